-- Two machines in parallel, each in a process of its own, as Hypervisor.framework
-- wants it: 1 MiB of memory, code at 0x10000, stack at 0xff000, and three
-- hypercalls. The workers' output reaches the terminal as it comes.
local hv = require "hv"

local EXIT, PUTCHAR, PUTS = 0, 1, 2

local GUEST = [[
        adr   x1, hello             // PUTS "Hello from VM n!"
        mov   x0, #2
        hvc   #0
        adr   x1, count             // PUTS "VM n: "
        mov   x0, #2
        hvc   #0
        mov   x19, #0
next:   add   x1, x19, #'0'         // PUTCHAR the digit, then a space
        mov   x0, #1
        hvc   #0
        mov   x1, #' '
        mov   x0, #1
        hvc   #0
        add   x19, x19, #1
        cmp   x19, #5
        b.ne  next
        mov   x1, #'\n'
        mov   x0, #1
        hvc   #0
        mov   x0, #0                // EXIT
        hvc   #0
hello:  .asciz "Hello from VM %d!\n"
count:  .asciz "VM %d: "
]]

local function tiny(_, id)
    local function say(...)
        print(("[VM %d] "):format(id) .. string.format(...))
    end
    io.stdout:setvbuf "line"
    say "Creating virtual machine..."
    local vm <close> = hv.vm { arch = "arm64" }
    vm:map { at = 0, size = "1M", prot = "rwx" }
    say "Mapped guest memory: GPA 0x0 - 0x100000"
    local cpu = vm:vcpu { pc = 0x10000, sp = 0xff000, cpsr = 0x3c5 }
    say("vCPU initialized: PC=0x%x, SP=0x%x", cpu.pc, cpu.sp)
    local code = hv.asm(GUEST:gsub("%%d", id), { arch = "arm64" })
    vm:load(0x10000, code)
    say("Loaded %d bytes of guest code at GPA 0x10000", #code)

    vm:hypercall(EXIT, function(c) c:stop(0) end)
    vm:hypercall(PUTCHAR, function(_, char) io.write(string.char(char & 255)) end)
    vm:hypercall(PUTS, function(_, at) io.write(vm:cstring(at)) end)
    say "--- Guest Output ---"
    local exit = vm:run { timeout = 10 }
    say "--- End Guest Output ---"
    say("Guest ended by %s", exit.kind)
    return exit.value
end

local function start(id)
    return hv.spawn { tiny, id, on_output = function(text) io.write(text) end }
end

local one <close> = start(1)
local two <close> = start(2)
print(("[Parent] Started VM 1 (PID %d) and VM 2 (PID %d)"):format(one.pid,
                                                                  two.pid))
local all_well = true
for id, worker in ipairs { one, two } do
    local report = worker:wait()
    local well = report.ok and report.results[1] == 0
    all_well = all_well and well
    print(("[Parent] VM %d %s"):format(id, well and "completed successfully"
        or "failed: " .. tostring(report.error)))
end
print(all_well and "[Parent] All VMs completed successfully!"
      or "[Parent] Some VMs failed")
os.exit(all_well, true)
