-- SPDX-License-Identifier: MIT
-- What alloc.c does again and again, with another allocation failing each time: a
-- script that uses the whole API, and a look at what is left of its machines.
local hv, path = ... -- the module, a file to map
local core = require "hv.core"

-- Calls 1, 2 and 3, a device's register, and an address or port that nobody has; at
-- WELL call 9. As bytes: no assembler is needed, nor its memory.
local CODE = {
    arm64 = "\x20\x00\x80\xd2\x02\x00\x00\xd4" -- next: mov x0, #1; hvc #0
        .. "\x22\x01\x40\xb9\x22\x05\x00\xb9" -- ldr w2, [x9]; str w2, [x9, #4]
        .. "\x40\x00\x80\xd2\x02\x00\x00\xd4" -- mov x0, #2; hvc #0
        .. "\x60\x00\x80\xd2\x02\x00\x00\xd4" -- mov x0, #3; hvc #0
        .. "\x43\x01\x40\xb9\xf7\xff\xff\x17" -- ldr w3, [x10]; b next
        .. "\x20\x01\x80\xd2\x02\x00\x00\xd4" -- mov x0, #9; hvc #0
        .. "\x00\x00\x00\x14", -- b .
    x86_64 = "\xb8\x01\x00\xe6\xe8" -- next: mov $1, %ax; out %al, $0xe8
        .. "\xba\x00\x03\xec\xee" -- mov $0x300, %dx; in %dx, %al; out %al, %dx
        .. "\xb8\x02\x00\xe6\xe8" -- mov $2, %ax; out %al, $0xe8
        .. "\xb8\x03\x00\xe6\xe8" -- mov $3, %ax; out %al, $0xe8
        .. "\xe4\x60\xeb\xe8" -- in $0x60, %al; jmp next
        .. "\xb8\x09\x00\xe6\xe8\xeb\xfe", -- mov $9, %ax; out %al, $0xe8; jmp .
}
local WELL = { arm64 = 0x1028, x86_64 = 0x1018 }
local DEVICE = {
    arm64 = { at = 0x200000, size = 16 }, x86_64 = { port = 0x300, count = 4 },
}
local REGISTERS = {
    arm64 = { pc = 0x1000, sp = 0x8000, x9 = 0x200000, x10 = 0x300000,
        v0 = ("v"):rep(16) },
    x86_64 = { pc = 0x1000, sp = 0x8000, al = 1, xmm0 = ("x"):rep(16),
        ds = { base = 0x100 } },
}

local made = {} -- the machines of this turn

local function open(fields)
    local vm = hv.vm(fields)
    made[#made + 1] = vm
    return vm
end

-- fn raises what was planned; anything else goes on.
local function planned(text, fn, ...)
    local ok, why = pcall(fn, ...)
    if ok or type(why) ~= "string" or not why:find(text, 1, true) then
        error(ok and "did not raise " .. text or why, 0)
    end
end

local function handle(vm, arch)
    vm:hypercall(1, function(_, a, b) return a + b, nil end)
    vm:hypercall(2, function() error "planned" end)
    vm:on("hvc", function(cpu, exit) cpu:stop { exit.nr } end)
    vm:on(arch == "arm64" and "mmio" or "io", function(_, exit)
        return exit.size
    end)
    vm:attach {
        at = DEVICE[arch].at, size = DEVICE[arch].size, port = DEVICE[arch].port,
        count = DEVICE[arch].count, name = "d",
        read = function(offset) return offset + #("x"):rep(100) end,
        write = function(_, value) return { value } end,
    }
end

local function use_memory(vm)
    local mem = vm:map { at = "1M", size = "64K", prot = "rw", file = path }
    vm:map { at = "2M", size = "16K", prot = "r", file = path, shared = true }
    vm:protect("1M", "rwx")
    vm:write(0x4000, ("text\0"):rep(40))
    vm:fill(0x5000, 64, 1)
    assert(vm:find("xt\0te", 0x4000, 200) == 0x4002)
    assert(vm:cstring(0x4000) == "text" and #vm:read(0x4000, 3000) == 3000)
    assert(vm:unpack("<I4 z", vm:pack("<I4", 0x6000, 7) - 4) == 7)
    local u32 = vm:view "u32"
    u32[0x4100] = vm:u16(0x4000)
    assert(#vm.memory == 3 and mem.prot == "rwx" and tostring(mem))
    vm:unmap "2M"
    mem:unmap()
end

local function use_cpu(vm, cpu, arch)
    local n = 0
    for name, value in pairs(cpu) do
        n = n + #name + #tostring(value)
    end
    assert(n > 100 and cpu.vm == vm and vm.cpus[1] == cpu and tostring(cpu))
    cpu[arch == "arm64" and "v1" or "xmm1"] = ("y"):rep(16)
    cpu:translate(0x1000)
    cpu:breakpoint(0x1000)
    assert(cpu:run().kind == "break")
    cpu:breakpoint(0x1000, false)
    cpu:watchpoint(0x7000, 4, "w")
    cpu:watchpoint(0x7000, 4, "w", false)
    assert(cpu:step().kind == "step")
    assert(cpu:enter().kind == "hvc")
    assert(cpu:enter().addr == DEVICE[arch].at)
    cpu:answer(5)
    cpu.pc = 0x1000
end

local function use_machine(b)
    local vm = open { backend = b.name, arch = b.arch, memory = "64K" }
    vm:load(0x1000, CODE[b.arch])
    vm:load("12K", hv.image.from(CODE[b.arch], { name = "code" }))
    local cpu = vm:vcpu(REGISTERS[b.arch])
    use_memory(vm)
    use_cpu(vm, cpu, b.arch)
    handle(vm, b.arch)
    planned("planned", vm.run, vm)
    assert(vm:run { timeout = 60 }.value[1] == 3)
    assert(vm:run { exits = 1 }.kind == "budget")
    local function fail() error "not in the ordinary" end
    vm:hypercall(1, core.typed(function(text, n) return #text + n end, fail, fail, 5000, "u4",
                               "s8", "u4"))
    vm:fill(0x8000, 4998, 0x61) -- a string across pages
    cpu[b.arch == "arm64" and "x1" or "rdi"], cpu.pc = 0x8000, 0x1000
    planned("planned", vm.run, vm)
    cpu.pc = 0x1000
    vm:hypercall(1, function() return "no integer" end)
    planned("result 1: an integer expected, got string", vm.run, vm)
    vm:hypercall(1, function() vm:close() end)
    cpu.pc = 0x1000
    assert(vm:run().kind == "stop" and vm.closed)
end

local function use_two(b)
    local vm = open { backend = b.name, arch = b.arch, memory = "64K" }
    vm:load(0x1000, CODE[b.arch])
    local running = 2
    vm:hypercall(9, function(cpu)
        running = running - 1
        if running == 0 then
            cpu:stop "both"
        end
        cpu.pc = WELL[b.arch]
    end)
    for _ = 1, 2 do
        vm:vcpu { pc = WELL[b.arch] }
    end
    assert(vm:run { timeout = 60 }.value == "both")
    vm:close()
end

local function use_processes()
    local status, out = core.pipe({ "cat" }, "through a pipe")
    assert(status == 0 and out == "through a pipe", out)
    local worker <close> = hv.spawn(function(worker, value)
        worker:send(value)
        return worker:receive()
    end, { 1, "two" })
    worker:send "x"
    local got = worker:receive(60)
    local report = worker:wait(60)
    if not report.ok then
        error(report.error .. ": " .. report.output)
    end
    assert(got[2] == "two" and report.results[1] == "x")
end

-- For the end: a state that is closed with its machines open.
local function leave_open(b)
    local vm = open { backend = b.name, arch = b.arch, memory = "64K" }
    vm:load(0x1000, CODE[b.arch])
    vm:vcpu(REGISTERS[b.arch])
    handle(vm, b.arch)
    planned("planned", vm.run, vm)
end

local turns = {
    machine = use_machine, two = use_two, processes = use_processes,
    open = leave_open,
}

-- One machine after a failure: it can be looked at, run, and closed.
local function look(vm)
    local at = WELL[vm.arch]
    local memory = vm.memory
    if #memory == 0 or memory[1].at ~= 0 then
        error "the memory has gone"
    end
    vm:load(0x1000, CODE[vm.arch])
    local cpu = vm.cpus[1] or vm:vcpu()
    cpu.pc = at
    vm:hypercall(9, function(c) c:stop "well" end)
    for _ = 1, 8 do -- a vCPU may have had an exit in its hands
        local exit = vm:run { timeout = 60 }
        if exit.value == "well" then
            vm:close()
            return
        end
        cpu.pc = at
    end
    error "the machine does not run any more"
end

return {
    run = function(turn, backend) turns[turn](backend) end,
    look = function()
        for i, vm in ipairs(made) do
            made[i] = nil
            if not vm.closed then
                look(vm)
            end
        end
        assert(#made == 0)
        collectgarbage()
        collectgarbage()
    end,
    backends = hv.backends,
}
