-- Two machines in parallel, each in a process of its own, as Hypervisor.framework
-- wants it: 1 MiB, code at 0x10000, stack at 0xff000, and three hypercalls.
local hv = require "hv"

local EXIT, PUTCHAR, PUTS = 0, 1, 2
local GUEST = [[
        adr   x1, hello             // PUTS "Hello from VM n!"
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
hello:  .asciz "Hello from VM %d!\nVM %d: "
]]

local function tiny(_, id)
    local function say(...)
        print(("[VM %d] "):format(id) .. string.format(...))
    end
    io.stdout:setvbuf "line"
    local vm = hv.vm { arch = "arm64", memory = "1M" }
    say "VM created, guest memory: GPA 0x0 - 0x100000"
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
    vm:close()
    say "VM destroyed"
    return exit.kind == "stop" and exit.value
end

local workers = {}
for id = 1, 2 do
    workers[id] = hv.spawn { tiny, id, on_output = function(s) io.write(s) end }
    print(("[Parent] Started VM %d (PID %d)"):format(id, workers[id].pid))
end
for id, worker in ipairs(workers) do        -- what either prints is seen at once
    local report = worker:wait()
    assert(report.ok and report.results[1] == 0, report.error)
    print(("[Parent] VM %d completed successfully"):format(id))
end
