-- SPDX-License-Identifier: MIT
-- Wrong calls: machines that cannot be, names that nothing has, closed machines. See wrong.lua.
-- luacheck: no max line length (a row is one line)
local t, wrong = ...
local hv = require "hv"

local PAGE, MIN, INF, NAN = 0x4000, math.mininteger, math.huge, 0 / 0
local check, on = wrong.check, wrong.on

-- ---- no machine ---------------------------------------------------------

t.test("machines that cannot be", function()
    check {
        { function() hv.vm(5) end, "hv.vm: a table expected, got number" },
        { function() hv.vm(print) end, "hv.vm: a table expected, got function" },
        { function() hv.vm({}, {}) end, "hv.vm: takes at most 1 argument, got 2" },
        { function() hv.vm { arch = "ARM64" } end, 'arch: "ARM64": use "arm64" or "x86_64"' },
        { function() hv.vm { arch = "" } end, 'arch: "": use "arm64" or "x86_64"' },
        { function() hv.vm { arch = true } end, "hv.vm: arch: a string expected, got boolean" },
        { function() hv.vm { arch = "arm64\0" } end, 'hv.vm: arch: "arm64": has a zero byte' },
        { function() hv.vm { backend = 7 } end, "hv.vm: backend: a string expected, got number" },
        { function() hv.vm { backend = "Kvm" } end, 'backend "Kvm": arm64 guests: no such backend: use "hvf", "kvm"' },
        { function() hv.vm { backend = "" } end, 'backend "": arm64 guests: no such backend' },
        { function() hv.vm { backend = "kvm\0" } end, 'hv.vm: backend: "kvm": has a zero byte' },
        { function() hv.vm { Arch = "arm64" } end, 'hv.vm: unknown field "Arch": did you mean "arch"?' },
        { function() hv.vm { memroy = "1M" } end, 'hv.vm: unknown field "memroy": did you mean "memory"?' },
        { function() hv.vm { ["arch\0"] = "arm64" } end, 'hv.vm: unknown field "arch"' },
        { function() hv.vm { [true] = 1 } end, "hv.vm: field names expected as keys, got a boolean" },
        { function() hv.vm { memory = true } end, "hv.vm: memory: an integer expected, got boolean" },
        { function() hv.vm { memory = {} } end, "hv.vm: memory: an integer expected, got table" },
        { function() hv.vm { memory = 0 } end, "hv.vm: memory: size is 0" },
        { function() hv.vm { memory = -1 } end, "hv.vm: memory: -1: must not be negative" },
        { function() hv.vm { memory = MIN } end, "hv.vm: memory: -9223372036854775808: must not be" },
        { function() hv.vm { memory = 1.5 } end, "hv.vm: memory: 1.5 is not a 64-bit integer" },
        { function() hv.vm { memory = 2.0 ^ 63 } end, "hv.vm: memory: 9.2233720368548e+18 is not a 64-bit" },
        { function() hv.vm { memory = INF } end, "hv.vm: memory: inf is not a 64-bit integer" },
        { function() hv.vm { memory = NAN } end, "hv.vm: memory: " .. NAN .. " is not a 64-bit integer" },
        { function() hv.vm { memory = "1.5M" } end, 'hv.vm: memory: "1.5M": must be a whole number' },
        { function() hv.vm { memory = "1X" } end, 'hv.vm: memory: "1X": unknown unit: use K, M, G or T' },
        { function() hv.vm { memory = "1MB" } end, 'hv.vm: memory: "1MB": unknown unit' },
        { function() hv.vm { memory = "64 " } end, 'hv.vm: memory: "64 ": unknown unit' },
        { function() hv.vm { memory = "64 K" } end, 'hv.vm: memory: "64 K": unknown unit' },
        { function() hv.vm { memory = " 64K" } end, 'hv.vm: memory: " 64K": not a size: write 4096' },
        { function() hv.vm { memory = "" } end, 'hv.vm: memory: "": not a size' },
        { function() hv.vm { memory = "0x" } end, 'hv.vm: memory: "0x": not a size' },
        { function() hv.vm { memory = "K" } end, 'hv.vm: memory: "K": not a size' },
        { function() hv.vm { memory = "-4K" } end, 'hv.vm: memory: "-4K": must not be negative' },
        { function() hv.vm { memory = "4096\0" } end, 'hv.vm: memory: "4096": ' },
        { function() hv.vm { memory = "9223372036854775808" } end, 'hv.vm: memory: "9223372036854775808": does not fit in 63 bits' },
        { function() hv.vm { memory = "0x8000000000000000" } end, 'hv.vm: memory: "0x8000000000000000": does not fit in 63 bits' },
        { function() hv.vm { memory = "8388608T" } end, 'hv.vm: memory: "8388608T": does not fit in 63 bits' },
        { function() hv.vm { hypercall_port = "232" } end, "hv.vm: hypercall_port: an integer expected, got string" },
        { function() hv.vm { hypercall_port = 1.5 } end, "hv.vm: hypercall_port: 1.5 is not a 64-bit integer" },
        { function() hv.vm { hypercall_port = -1 } end, "hv.vm: hypercall_port: -1: ports are 1 to 0xffff" },
        { function() hv.vm { hypercall_port = 1 << 32 } end, "hv.vm: hypercall_port: 4294967296: ports are 1" },
        { function() hv.vm { hypercall_port = 65536 } end, "hv.vm: hypercall_port: 65536: ports are 1" },
        { function() hv.vm { hypercall_port = 232 } end, "hv.vm: hypercall_port: only x86_64 has ports" },
        { function() hv.backends(1) end, "hv.backends: takes no arguments, got 1" },
        { function() local _ = hv.device.uart end, 'hv.device has no "uart": it has exit, pl011, uart16550' },
        { function() local _ = hv.x86.real end, 'hv.x86 has no "real": it has long, protected' },
        { function() local _ = hv[1] end, 'hv has no "1"' },
    }
end)

t.test("sizes that are none", function()
    check {
        { function() hv.size() end, "size: an integer expected, got nothing" },
        { function() hv.size {} end, "size: an integer expected, got table" },
        { function() hv.size(-1) end, "size: -1: must not be negative" },
        { function() hv.size "1e6" end, 'size: "1e6": unknown unit' },
        { function() hv.size "0x10.8" end, 'size: "0x10.8": must be a whole number' },
        { function() hv.size "1K1" end, 'size: "1K1": unknown unit' },
        { function() hv.size("4k ", "room") end, 'room: "4k ": unknown unit' },
        { function() hv.size("9007199254740992K", "room") end, 'room: "9007199254740992K": does not fit in 63 bits' },
    }
end)

-- ---- methods and names ------------------------------------------------------

on("methods without their object, with too many arguments", {
    { function(vm) vm.read() end, "machine expected as the first argument, got no value: write a:b(), not a.b()" },
    { function(vm) vm.map { at = 0, size = PAGE } end, "machine expected as the first argument, got table" },
    { function(vm) vm.load(0, "x") end, "machine expected as the first argument, got number" },
    { function(vm) vm.load() end, "machine expected as the first argument, got nil" },
    { function(vm) vm.vcpu {} end, "machine expected as the first argument, got table" },
    { function(vm) vm.u8(nil, 0) end, "machine expected as the first argument, got nil" },
    { function(vm) vm.close "vm" end, "machine expected as the first argument, got string" },
    { function(vm, cpu) vm.run(cpu) end, "machine expected as the first argument, got userdata" },
    { function(vm, _, mem) vm.unmap(mem) end, "machine expected as the first argument, got userdata" },
    { function(vm, cpu) cpu.step(vm) end, "vcpu expected as the first argument, got userdata" },
    { function(_, cpu) cpu.kick() end, "vcpu expected as the first argument, got no value" },
    { function(_, cpu) cpu.translate(0) end, "vcpu expected as the first argument, got number" },
    { function(_, _, mem) mem.unmap() end, "memory expected as the first argument, got no value" },
    { function(vm, _, mem) mem.protect(vm, "r") end, "memory expected as the first argument, got userdata" },
    { function(vm) vm:read(0, 1, 2) end, "read: takes at most 2 arguments, got 3" },
    { function(vm) vm:write(0, "x", 1) end, "write: takes at most 2 arguments, got 3" },
    { function(vm) vm:fill(0, 1, 0, 0) end, "fill: takes at most 3 arguments, got 4" },
    { function(vm) vm:find("x", 0, 1, true) end, "find: takes at most 3 arguments, got 4" },
    { function(vm) vm:cstring(0, 1, 2) end, "cstring: takes at most 2 arguments, got 3" },
    { function(vm) vm:unpack("B", 0, 1) end, "unpack: takes at most 2 arguments, got 3" },
    { function(vm) vm:u8(0, 1, 2) end, "u8: takes at most 2 arguments, got 3" },
    { function(vm) vm:u16(0, 1, 2) end, "u16: takes at most 2 arguments, got 3" },
    { function(vm) vm:u32(0, 1, 2) end, "u32: takes at most 2 arguments, got 3" },
    { function(vm) vm:u64(0, 1, nil) end, "u64: takes at most 2 arguments, got 3" },
    { function(vm) vm:view("u8", 0) end, "view: takes at most 1 argument, got 2" },
    { function(vm) vm:map({}, {}) end, "map: takes at most 1 argument, got 2" },
    { function(vm) vm:unmap(0, 1) end, "unmap: takes at most 1 argument, got 2" },
    { function(vm) vm:protect(0, "r", 1) end, "protect: takes at most 2 arguments, got 3" },
    { function(vm) vm:load(0, "x", 1) end, "load: takes at most 2 arguments, got 3" },
    { function(vm) vm:vcpu({}, 1, 2) end, "vcpu: takes at most 1 argument, got 3" },
    { function(vm) vm:on("hvc", print, 1) end, "on: takes at most 2 arguments, got 3" },
    { function(vm) vm:attach({}, {}) end, "attach: takes at most 1 argument, got 2" },
    { function(vm) vm:run({}, {}, {}) end, "run: takes at most 1 argument, got 3" },
    { function(vm) vm:stop(1, 2) end, "stop: takes at most 1 argument, got 2" },
    { function(vm) vm:close(true) end, "close: takes no arguments, got 1" },
    { function(_, _, mem) mem:unmap(0) end, "unmap: takes no arguments, got 1" },
    { function(_, _, mem) mem:protect("r", 0) end, "protect: takes at most 1 argument, got 2" },
    { function(_, cpu) cpu:run({}, 1) end, "run: takes at most 1 argument, got 2" },
    { function(_, cpu) cpu:stop(1, 2) end, "stop: takes at most 1 argument, got 2" },
    { function(_, cpu) cpu:kick(1) end, "kick: takes no arguments, got 1" },
    { function(_, cpu) cpu:step(1) end, "step: takes no arguments, got 1" },
    { function(_, cpu) cpu:enter(1, 2) end, "enter: takes at most 1 argument, got 2" },
    { function(_, cpu) cpu:answer(1, 2) end, "answer: takes at most 1 argument, got 2" },
    { function(_, cpu) cpu:translate(0, 1) end, "translate: takes at most 1 argument, got 2" },
    { function(_, cpu) cpu:irq(true, 1) end, "irq: takes at most 1 argument, got 2" },
    { function(_, cpu) cpu:inject({}, 1) end, "inject: takes at most 1 argument, got 2" },
    { function(_, cpu) cpu:breakpoint(0, true, 1) end, "breakpoint: takes at most 2 arguments, got 3" },
    { function(_, cpu) cpu:watchpoint(0, 4, "r", true, 1) end, "watchpoint: takes at most 4 arguments, got 5" },
})

on("names that nothing has", {
    { function(vm) local _ = vm.memroy end, 'a machine has no "memroy": did you mean "memory"?' },
    { function(vm) vm:hypecrall(1, print) end, 'a machine has no "hypecrall": did you mean "hypercall"?' },
    { function(vm) vm:laod(0, "x") end, 'a machine has no "laod": did you mean "load"?' },
    { function(vm) local _ = vm["arch\0"] end, 'a machine has no "arch": did you mean "arch"?' },
    { function(vm) local _ = vm[0] end, "a machine has no fields of type number" },
    { function(vm) local _ = vm[vm] end, "a machine has no fields of type userdata" },
    { function(vm) vm.arch = "arm64" end, 'machine: cannot set "arch"' },
    { function(vm) vm.memory = {} end, 'machine: cannot set "memory"' },
    { function(vm) vm[1] = 1 end, 'machine: cannot set "1"' },
    { function(_, _, mem) local _ = mem.addr end, 'memory has no "addr": it has at, size, prot, protect, unmap' },
    { function(_, _, mem) local _ = mem[1] end, 'memory has no "1": it has at, size' },
    { function(_, _, mem) mem.prot = "r" end, 'memory: cannot set "prot": protect() changes prot' },
    { function(_, _, mem) mem.size = PAGE end, 'memory: cannot set "size"' },
    { function(_, cpu) cpu.index = 1 end, 'vcpu: cannot set "index"' },
    { function(_, cpu) cpu.vm = cpu.vm end, 'vcpu: cannot set "vm"' },
    { function(_, cpu) cpu.run = print end, 'vcpu: cannot set "run": it is a method' },
})

on("arm64", "names that arm64 does not have", {
    { function(_, cpu) cpu:bereakpoint(0) end, 'vcpu: arm64 has no register "bereakpoint": did you mean "breakpoint"?' },
    { function(_, cpu) local _ = cpu[1] end, 'vcpu: arm64 has no register "1": did you mean "x1"?' },
    { function(_, cpu) cpu[{}] = 1 end, 'vcpu: arm64 has no register "table: 0x' },
    { function(_, cpu) local _ = cpu["pc\0"] end, 'vcpu: arm64 has no register "pc' },
    { function(_, cpu) local _ = cpu.completely_unheard_of end, 'vcpu: arm64 has no register "completely_unheard_of"' },
    { function(_, cpu) local _ = cpu.x31 end, 'vcpu: arm64 has no register "x31": did you mean "x1"?' },
    { function(_, cpu) cpu.X0 = 1 end, 'vcpu: arm64 has no register "X0": did you mean "x0"?' },
    { function(_, cpu) cpu.rax = 1 end, 'vcpu: arm64 has no register "rax"' },
    { function(vm) vm:vcpu { sctlr = 0 } end, 'vcpu: arm64 has no register "sctlr"' },
    { function(vm) vm:vcpu { ["pc\0"] = 0 } end, 'vcpu: arm64 has no register "pc' },
    { function(vm) vm:vcpu { run = 1 } end, 'vcpu: arm64 has no register "run"' },
    { function(vm) vm:vcpu { [0] = 1 } end, 'vcpu: arm64 has no register "0"' },
})

on("x86_64", "names that x86_64 does not have", {
    { function(_, cpu) cpu:stpe() end, 'vcpu: x86_64 has no register "stpe"' },
    { function(_, cpu) local _ = cpu.x0 end, 'vcpu: x86_64 has no register "x0"' },
    { function(_, cpu) cpu.cr1 = 0 end, 'vcpu: x86_64 has no register "cr1": did you mean "cr0"?' },
    { function(_, cpu) local _ = cpu.r16 end, 'vcpu: x86_64 has no register "r16"' },
    { function(_, cpu) cpu.vbar_el1 = 0 end, 'vcpu: x86_64 has no register "vbar_el1"' },
    { function(vm) vm:vcpu { RIP = 0 } end, 'vcpu: x86_64 has no register "RIP": did you mean "rip"?' },
})

-- ---- closed, and somebody else's ---------------------------------------------

-- The other machine is opened once the first is closed, so that backends with one
-- machine in a process have both.
t.on("closed machines and their parts", function(open, backend, arch)
    local vm = open()
    local mem = vm:map { at = 0, size = "64K" }
    local cpu, view = vm:vcpu(), vm:view "u8"
    local gone = vm:map { at = "1M", size = PAGE }
    gone:unmap()
    check({
        { function() gone:unmap() end, "the memory is unmapped" },
        { function() gone:protect "r" end, "the memory is unmapped" },
        { function() vm:unmap(gone) end, "unmap: the memory is unmapped already" },
        { function() local _ = gone.prot end, "the memory is unmapped" },
    }, backend)
    vm:close()
    local other = open { memory = "64K" }
    check({
        { function() vm:write(0, "x") end, "the machine is closed" },
        { function() vm:fill(0, 1) end, "the machine is closed" },
        { function() vm:find("x", 0, 1) end, "the machine is closed" },
        { function() vm:cstring(0) end, "the machine is closed" },
        { function() vm:pack("B", 0, 1) end, "the machine is closed" },
        { function() vm:unpack("B", 0) end, "the machine is closed" },
        { function() vm:u64(0) end, "the machine is closed" },
        { function() vm:view "u8" end, "the machine is closed" },
        { function() vm:protect(0, "r") end, "the machine is closed" },
        { function() vm:unmap(mem) end, "the machine is closed" },
        { function() vm:load(0, "x") end, "the machine is closed" },
        { function() vm:load {} end, "the machine is closed" },
        { function() local _ = vm.running end, "the machine is closed" },
        { function() local _ = vm.page_size end, "the machine is closed" },
        { function() local _ = vm.cpus end, "the machine is closed" },
        { function() local _ = view[0] end, "the machine is closed" },
        { function() view[0] = 1 end, "the machine is closed" },
        { function() mem:unmap() end, "the machine is closed" },
        { function() other:unmap(mem) end, "unmap: that memory is another machine's" },
        { function() local _ = cpu.vm end, "the machine is closed" },
        { function() cpu:stop() end, "the machine is closed" },
        { function() cpu:answer(1) end, "the machine is closed" },
        { function() cpu:translate(0) end, "the machine is closed" },
        { function() cpu:breakpoint(0) end, "the machine is closed" },
        { function() cpu:watchpoint(0, 1) end, "the machine is closed" },
        { function() cpu:irq(true) end, "the machine is closed" },
        { function() cpu:inject {} end, "the machine is closed" },
        { function() cpu:msr(0) end, "the machine is closed" },
        { function() cpu:sysreg(0, 0, 0, 0, 0) end, "the machine is closed" },
        { function() hv.x86.long(vm, 0) end, "x86.long: the machine is closed" },
        { function() hv.device.pl011(vm) end, "the machine is closed" },
    }, backend)
    t.eq(other.arch, arch)
end)
