-- SPDX-License-Identifier: MIT
-- Wrong calls: runs, handlers, devices, and what these return. See wrong.lua.
-- luacheck: no max line length (a row is one line)
local _, wrong = ...
local hv = require "hv"

local PAGE, MIN, MAX, INF, NAN = 4096, math.mininteger, math.maxinteger, math.huge, 0 / 0
local on, nonsense = wrong.on, wrong.nonsense

-- ---- running and handlers ----------------------------------------------------

on("runs and handlers that cannot be", {
    { function(vm) vm:run(1) end, "run: a table expected, got number" },
    { function(vm) vm:run { 5 } end, "run: field names expected as keys, got a number" },
    { function(vm) vm:run { time = 1 } end, 'run: unknown field "time": the fields are timeout, exits' },
    { function(vm) vm:run { timeout = 0 } end, "run: timeout: 0: seconds expected, more than 0" },
    { function(vm) vm:run { timeout = -INF } end, "run: timeout: -inf: seconds expected" },
    { function(vm) vm:run { timeout = NAN } end, "run: timeout: " .. NAN .. ": seconds expected" },
    { function(vm) vm:run { timeout = false } end, "run: timeout: false: seconds expected" },
    { function(vm) vm:run { exits = 0 } end, "run: exits: 0: how many, at least 1" },
    { function(vm) vm:run { exits = MIN } end, "run: exits: -9223372036854775808: how many" },
    { function(vm) vm:run { exits = 1.5 } end, "run: exits: 1.5 is not a 64-bit integer" },
    { function(vm) vm:run { exits = {} } end, "run: exits: an integer expected, got table" },
    { function(vm) vm:stop "now" end, "stop: the machine is not running" },
    { function(vm) vm:hypercall() end, "hypercall: number: an integer expected, got nothing" },
    { function(vm) vm:hypercall(1) end, "hypercall: a function or nil expected, got nothing" },
    { function(vm) vm:hypercall("1", print) end, "hypercall: number: an integer expected, got string" },
    { function(vm) vm:hypercall(0.5, print) end, "hypercall: number: 0.5 is not a 64-bit integer" },
    { function(vm) vm:hypercall(1, "print") end, "hypercall: a function or nil expected, got string" },
    { function(vm) vm:hypercall(print) end, "hypercall: number: an integer expected, got function" },
    { function(vm) vm:hypercall(1, setmetatable({}, { __call = print })) end, "hypercall: a function or nil expected, got table" },
    { function(vm) vm:on() end, "on: a string expected, got nothing" },
    { function(vm) vm:on(1, print) end, "on: a string expected, got number" },
    { function(vm) vm:on "hvc" end, "on: a function or nil expected, got nothing" },
    { function(vm) vm:on("HVC", print) end, 'on: no exit is of kind "HVC": did you mean "hvc"?' },
    { function(vm) vm:on("hvc\0", print) end, 'on: "hvc": has a zero byte' },
    { function(vm) vm:on("", print) end, 'on: no exit is of kind ""' },
    { function(vm) vm:on("interrupt", print) end, 'on: no exit is of kind "interrupt"' },
    { function(vm) vm:on("none", print) end, 'on: no exit is of kind "none"' },
    { function(vm) vm:on("stop", print) end, 'on: "stop" ends the run: look at what run() returns' },
    { function(vm) vm:on("kick", print) end, 'on: "kick" ends the run' },
    { function(vm) vm:on("budget", print) end, 'on: "budget" ends the run' },
    { function(vm) vm:on("mmio", true) end, "on: a function or nil expected, got boolean" },
})

on("devices that cannot be attached", {
    { function(vm) vm:attach() end, "attach: a table expected, got nothing" },
    { function(vm) vm:attach(print) end, "attach: a table expected, got function" },
    { function(vm) vm:attach {} end, "attach: at: an integer expected, got nothing" },
    { function(vm) vm:attach { at = "1M" } end, "attach: size: an integer expected, got nothing" },
    { function(vm) vm:attach { at = "1M", size = 4 } end, "attach: needs a read or a write function" },
    { function(vm) vm:attach { at = "1M", size = 4, read = 1 } end, "attach: read: a function expected, got number" },
    { function(vm) vm:attach { at = "1M", size = 4, read = print, write = {} } end, "attach: write: a function expected, got table" },
    { function(vm) vm:attach { at = "1M", size = 4, read = print, name = 7 } end, "attach: name: a string expected, got number" },
    { function(vm) vm:attach { at = "1M", size = 4, count = 4, read = print } end, "attach: count: not with at: memory has at and size, ports have port and count" },
    { function(vm) vm:attach { at = "1M", size = 0, read = print } end, "attach: size: must be positive and end inside the address space" },
    { function(vm) vm:attach { at = "1M", size = -1, read = print } end, "attach: size: -1: must not be negative" },
    { function(vm) vm:attach { at = -1, size = 2, read = print } end, "attach: size: must be positive and end inside" },
    { function(vm) vm:attach { at = -2, size = MAX, read = print } end, "attach: size: must be positive and end inside" },
    { function(vm) vm:attach { at = 0, size = 1, read = print } end, "attach: overlaps the memory at 0: unmap that first" },
    { function(vm) vm:attach { at = 0xffff, size = 2, read = print } end, "attach: overlaps the memory at 0" },
    { function(vm) vm:attach { at = "2M", size = 1, read = print } end, "attach: overlaps the device at 2097152" },
    { function(vm) vm:attach { at = 0x1fffff, size = 2, read = print } end, "attach: overlaps the device at 2097152" },
    { function(vm) vm:attach { at = 0x20000, size = MAX - 0x20000, read = print } end, "attach: overlaps the device at 2097152" },
    { function(vm) vm:attach { at = "3M", size = 4, reads = print } end, 'attach: unknown field "reads": did you mean "read"?' },
    { function(vm) vm:attach { at = "3M", size = 4, read = print, irq = 5 } end, 'attach: unknown field "irq": the fields are at, size, port, count, read, write, name' },
}, function(vm)
    vm:attach { at = "2M", size = PAGE, read = function() return 0 end }
end)

on("arm64", "ports on arm64", {
    { function(vm) vm:attach { port = 0x60, read = print } end, "attach: port: only x86_64 has ports: use at" },
    { function(vm) hv.device.uart16550(vm) end, "attach: port: only x86_64 has ports: use at" },
    { function(vm) hv.device.exit(vm, {}) end, "attach: port: only x86_64 has ports: use at" },
    { function(vm) hv.x86.long(vm, 0) end, "x86.long: an x86_64 machine expected, this one is arm64" },
})

on("x86_64", "ports that are none", {
    { function(vm) vm:attach { port = "x", read = print } end, 'attach: port: "x": not a size' },
    { function(vm) vm:attach { port = 0x10000, read = print } end, "attach: ports are 0 to 0xffff" },
    { function(vm) vm:attach { port = -1, read = print } end, "attach: ports are 0 to 0xffff" },
    { function(vm) vm:attach { port = 1 << 32, read = print } end, "attach: ports are 0 to 0xffff" },
    { function(vm) vm:attach { port = 0x60, count = 0, read = print } end, "attach: ports are 0 to 0xffff" },
    { function(vm) vm:attach { port = 0x60, count = MAX, read = print } end, "attach: ports are 0 to 0xffff" },
    { function(vm) vm:attach { port = 0x60, size = 4, read = print } end, "attach: size: not with port: memory has at and size" },
    { function(vm) vm:attach { port = 0x60, at = "1M", read = print } end, "attach: at: not with port: memory has at and size" },
    { function(vm) vm:attach { port = 0xe0, count = 16, read = print } end, "attach: port 232 is the hypercall port" },
    { function(vm) vm:attach { port = 0x70, count = 2, write = print } end, "attach: overlaps the device at 113" },
    { function(vm) hv.x86.long(vm, 0x800) end, "x86.long: page tables at 2048: a multiple of 4096 expected" },
    { function(vm) hv.x86.long(vm, 0.5) end, "x86.long: page tables at 0.5: a multiple of 4096" },
    { function(vm) hv.x86.long(vm, "4Q") end, 'x86.long: at: "4Q": unknown unit' },
    { function(vm) hv.x86.long(vm) end, "x86.long: page tables at nil: a multiple of 4096" },
    { function(vm) hv.x86.long(vm, 0xc000) end, "x86.long: fill: 0x6000 bytes at 0xc000: no memory is mapped at 0x10000" },
    { function(vm) hv.x86.long(vm, 0, 5) end, "x86.long: a table of registers expected, got number" },
    { function(vm) hv.x86.long(vm, 0, {}, {}) end, "x86.long: nothing goes behind the registers" },
    { function(vm) vm:vcpu(hv.x86.protected { eip = 0, rip = 0 }) end, 'vcpu: "rip" and "eip" are the same register' },
}, function(vm)
    vm:attach { port = 0x71, read = function() return 0 end }
end)

-- ---- nonsense from handlers ------------------------------------------------

local CALLS = {
    arm64 = "next: mov x0, #1\n hvc #0\n b next",
    x86_64 = "next: mov $1, %ax\n out %al, $0xe8\n jmp next",
}
local READS = {
    arm64 = "next: ldr w2, [x1]\n mov x0, #1\n hvc #0\n b next",
    x86_64 = "next: in %dx, %al\n mov $1, %ax\n out %al, $0xe8\n jmp next",
}

local RESULTS = {
    { function(vm) vm:hypercall(1, function() return "5" end) vm:run() end, "hypercall 1: result 1: an integer expected, got string" },
    { function(vm) vm:hypercall(1, function() return 0.5 end) vm:run() end, "hypercall 1: result 1: an integer expected, got 0.5" },
    { function(vm) vm:hypercall(1, function() return INF end) vm:run() end, "hypercall 1: result 1: an integer expected, got inf" },
    { function(vm) vm:hypercall(1, function() return false end) vm:run() end, "hypercall 1: result 1: an integer expected, got boolean" },
    { function(vm) vm:hypercall(1, function() return 1, {} end) vm:run() end, "hypercall 1: result 2: an integer expected, got table" },
    { function(vm) vm:hypercall(1, function(cpu) return cpu end) vm:run() end, "hypercall 1: result 1: an integer expected, got userdata" },
    { function(vm) vm:hypercall(1, function(c) return 1, 2, table.unpack({ 3, 4, 5 }, 1, c.vm.arch == "arm64" and 3 or 1) end) vm:run() end, "hypercall 1: result " },
    { function(vm) vm:hypercall(1, function() return table.unpack({}, 1, 5000), {} end) vm:run() end, "hypercall 1: result 2: an integer" },
    { function(vm) vm:hypercall(1, function() return nil, nil, nil, nil, 5 end) vm:run() end, "hypercall 1: result 5: at most " },
    { function(vm) vm:hypercall(1, function() error "no" end) vm:run() end, "no" },
    { function(vm) vm:on("hvc", function() return 5 end) vm:run() end, "hvc handler: returned 5: only reads are answered: set registers" },
    { function(vm) vm:on("hvc", function() return true end) vm:run() end, "hvc handler: returned boolean: only reads are answered" },
    { function(vm) vm:hypercall(1, function(cpu) cpu:answer(5) end) vm:run() end, "vcpu 0: answer: it has read nothing" },
    { function(vm) vm:hypercall(1, function() vm:run() end) vm:run() end, "run: the machine is running already" },
    { function(vm) vm:hypercall(1, function() vm:vcpu() end) vm:run() end, "vcpu: the machine is running: add vcpus before it runs" },
    { function(vm) vm:hypercall(1, function(cpu) cpu:enter() end) vm:run() end, "vcpu 0: enter: the machine is running already" },
    { function(vm) vm:hypercall(1, function(cpu) cpu:step() end) vm:run() end, "vcpu 0: step: the machine is running already" },
    { function(vm) vm:hypercall(1, function() vm:stop(1, 2) end) vm:run() end, "stop: takes at most 1 argument, got 2" },
}
nonsense("arm64", "what a hypercall handler may not return", CALLS, RESULTS)
nonsense("x86_64", "what a hypercall handler may not return", CALLS, RESULTS)

nonsense("arm64", "what a read may not be answered with", READS, {
    { function(vm) vm:on("mmio", function() return "5" end) vm:run() end, "mmio handler: the answer to a read must be an integer, got string" },
    { function(vm) vm:on("mmio", function() return 0.5 end) vm:run() end, "mmio handler: the answer to a read must be an integer, got 0.5" },
    { function(vm) vm:on("mmio", function() return {} end) vm:run() end, "mmio handler: the answer to a read must be an integer, got table" },
    { function(vm) vm:attach { at = "2M", size = 4, name = "d", read = function() return "5" end } vm:run() end, 'device "d": read at offset 0: an integer expected, got string' },
    { function(vm) vm:attach { at = "1M", size = "2M", read = function() end } vm:run() end, 'device "without name": read at offset 1048576: an integer expected, got nothing' },
})

nonsense("x86_64", "what a read may not be answered with", READS, {
    { function(vm) vm:on("io", function() return "5" end) vm:run() end, "io handler: the answer to a read must be an integer, got string" },
    { function(vm) vm:on("io", function() return NAN end) vm:run() end, "io handler: the answer to a read must be an integer, got " .. NAN },
    { function(vm) vm:on("io", function() return print end) vm:run() end, "io handler: the answer to a read must be an integer, got function" },
    { function(vm) vm:attach { port = 0x300, name = "d", read = function() return true end } vm:run() end, 'device "d": read at offset 0: an integer expected, got boolean' },
    { function(vm) vm:attach { port = 0x2ff, count = 9, read = function() end } vm:run() end, 'device "without name": read at offset 1: an integer expected, got nothing' },
})
