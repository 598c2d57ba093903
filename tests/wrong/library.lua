-- SPDX-License-Identifier: MIT
-- Wrong calls: what is written in Lua. See wrong.lua.
-- luacheck: no max line length (a row is one line)
local t, wrong = ...
local hv = require "hv"

local MAX, NAN = math.maxinteger, 0 / 0
local check, on = wrong.check, wrong.on

-- ---- images, assembly, devices, workers -----------------------------------------

t.test("images and assembly that cannot be", function()
    local raw = hv.image.from "xyz"
    check {
        { function() hv.image() end, "image: a path expected, not a nil" },
        { function() hv.image(5) end, "image: a path expected, not a number" },
        { function() hv.image "/nonexistent" end, "image: /nonexistent: No such file or directory" },
        { function() hv.image "/" end, "image: /: Is a directory" },
        { function() hv.image("/dev/null", 5) end, "image: options must be a table, not a number" },
        { function() hv.image("/dev/null", {}, 5) end, "image: nothing goes behind the options, got number" },
        { function() hv.image "/dev/null" end, "image: /dev/null: empty" },
        { function() hv.image("/dev/zero", { limit = "1M" }) end, "image: /dev/zero: more than the limit of 0x100000 bytes: raise opts.limit" },
        { function() hv.image.from(5) end, "image: from: a string of bytes expected, not a number" },
        { function() hv.image.from("x", { at = -1 }) end, "image: at: -1: must not be negative" },
        { function() hv.image.from("x", { At = 1 }) end, 'image: unknown option "At": did you mean "at"?' },
        { function() hv.image.from("x", { limit = true }) end, "image: limit must be a number or string, not a boolean" },
        { function() hv.image.from("xyz", { limit = 2 }) end, "image: (bytes): 0x3 bytes are more than the limit of 0x2: raise opts.limit" },
        { function() hv.image.from("xyz", { at = MAX }) end, "image: (bytes): does not fit below 2^63 at 0x7fffffffffffffff" },
        { function() hv.image.from("x", {}, {}) end, "image: nothing goes behind the options, got table" },
        { function() hv.image.from "\x7fELF" end, "image: (bytes): ELF header: the file has only 4 bytes" },
        { function() hv.image.from "\x1f\x8b" end, "image: (bytes): gzip-compressed: decompress it first (gzip -d): an ELF executable or opts.raw expected" },
        { function() raw:at() end, "image: at: an integer expected, got nothing" },
        { function() raw:at "1Y" end, 'image: at: "1Y": unknown unit' },
        { function() raw:at(MAX) end, "image: (bytes): does not fit below 2^63" },
        { function() hv.asm() end, "asm: a string of assembly expected, not a nil" },
        { function() hv.asm {} end, "asm: a string of assembly expected, not a table" },
        { function() hv.asm("nop", "arm64") end, "asm: options must be a table, not a string" },
        { function() hv.asm("nop", { arch = "arm" }) end, 'asm: arch: "arm": use "arm64" or "x86_64"' },
        { function() hv.asm("nop", { arch = 64 }) end, "asm: arch must be a string, not a number" },
        { function() hv.asm("nop", { archh = "arm64" }) end, 'asm: unknown option "archh": did you mean "arch"?' },
        { function() hv.asm("nop", { bits = 16 }) end, "asm: bits: only for x86_64, not arm64" },
        { function() hv.asm("nop", { arch = "x86_64", bits = 8 }) end, "asm: bits: 8: use 16, 32 or 64" },
        { function() hv.asm("nop", { arch = "x86_64", syntax = "nasm" }) end, 'asm: syntax: "nasm": use "att" or "intel"' },
        { function() hv.asm("nop", { cpp = 1 }) end, "asm: cpp must be a boolean, not a number" },
        { function() hv.asm("nop", { at = "1W" }) end, 'asm: at: "1W": unknown unit' },
        { function() hv.asm("nop", nil, "x") end, "asm: level: an integer expected, got string" },
        { function() hv.asm "frobnicate x0" end, "assembler: unrecognized instruction mnemonic: \"frobnicate x0\"" },
    }
end)

on("library devices that cannot be", {
    { function() hv.device.pl011() end, "pl011: a machine expected, not a nil" },
    { function() hv.device.pl011(5) end, "pl011: a machine expected, not a number" },
    { function() hv.device.pl011 { at = 0 } end, "pl011: a machine expected, got table" },
    { function() hv.device.exit(io.stdout) end, "exit: a machine expected, got userdata" },
    { function(_, cpu) hv.device.exit(cpu) end, "exit: a machine expected, got userdata" },
    { function(vm) hv.device.pl011(vm, 5) end, "pl011: options must be a table, not a number" },
    { function(vm) hv.device.pl011(vm, {}, 1) end, "pl011: nothing goes behind the options, got number" },
    { function(vm) hv.device.exit(vm, {}, {}) end, "exit: nothing goes behind the options, got table" },
    { function(vm) hv.device.uart16550(vm, {}, "x") end, "uart16550: nothing goes behind the options, got string" },
    { function(vm) hv.device.pl011(vm, { at = "x" }) end, 'pl011: at: "x": not a size' },
    { function(vm) hv.device.pl011(vm, { at = 0 }) end, "attach: overlaps the memory at 0" },
    { function(vm) hv.device.pl011(vm, { at = -1 }) end, "pl011: at: -1: must not be negative" },
    { function(vm) hv.device.pl011(vm, { port = 1 }) end, 'pl011: unknown option "port"' },
    { function(vm) hv.device.pl011(vm, { out = 5 }) end, "pl011: out must be a userdata or function, not a number" },
    { function(vm) hv.device.pl011(vm, { input = {} }) end, "pl011: input must be a string or function, not a table" },
    { function(vm) hv.device.uart16550(vm, { at = "1M", port = 1 }) end, "uart16550: at and port: a device has only one of them" },
    { function(vm) hv.device.uart16550(vm, { at = "1M", shift = 4 }) end, "uart16550: shift: 4: use 0, 1, 2 or 3" },
    { function(vm) hv.device.uart16550(vm, { at = "1M", shift = 0.5 }) end, "uart16550: shift: 0.5: use 0, 1, 2 or 3" },
    { function(vm) hv.device.uart16550(vm, { at = "1M", irq = true }) end, "uart16550: irq must be a function, not a boolean" },
    { function(vm) hv.device.exit(vm, { at = "1M", style = "x" }) end, 'exit: style: "x": use "value" or "test"' },
    { function(_, _, _, uart) uart:feed(5) end, "pl011: feed: a string of bytes expected, got number" },
    { function(_, _, _, uart) uart:feed() end, "pl011: feed: a string of bytes expected, got nil" },
}, function(vm)
    return hv.device.pl011(vm, { at = "16M", out = function() end })
end)

t.test("x86 registers without a machine", function()
    check {
        { function() hv.x86.protected(5) end, "x86.protected: a table of registers expected, got number" },
        { function() hv.x86.protected({}, 1) end, "x86.protected: nothing goes behind the registers" },
        { function() hv.x86.long() end, "x86.long: machine expected as the first argument, got nil" },
        { function() hv.x86.long({}, 0) end, "x86.long: machine expected as the first argument, got table" },
    }
end)

t.test("workers that cannot be", function()
    local w <close> = hv.spawn(function(worker) return worker:receive() end)
    check {
        { function() hv.spawn() end, "spawn: a function or a script's path expected, got nil" },
        { function() hv.spawn(5) end, "spawn: a function or a script's path expected, got number" },
        { function() hv.spawn {} end, "spawn: a function or a script's path expected, got nil" },
        { function() hv.spawn "/nonexistent.lua" end, "spawn: cannot open /nonexistent.lua" },
        { function() hv.spawn { print, on_output = 5 } end, "spawn: on_output: a function expected, got number" },
        { function() hv.spawn { print, onoutput = print } end, 'spawn: unknown field "onoutput": the fields are on_output' },
        { function() w:send(print) end, "worker message: value 1 is a function: send data, not code" },
        { function() w:send(1, { a = { io.stdout } }) end, "worker message: value 2: .a[1] is a userdata: send data, not code" },
        { function() w:receive "1" end, "worker: receive: timeout: seconds expected, not 1" },
        { function() w:receive(-1) end, "worker: receive: timeout: seconds expected, not -1" },
        { function() w:wait(NAN) end, "worker: wait: timeout: seconds expected, not " },
        { function() w:wait {} end, "worker: wait: timeout: seconds expected, not table: " },
        { function() w.send(1) end, "worker expected as the first argument, got number: write a:b(), not a.b()" },
        { function() w.wait() end, "worker expected as the first argument, got nil" },
        { function() w.kill {} end, "worker expected as the first argument, got table" },
    }
    w:close()
    check {
        { function() w:send(1) end, "worker: send: it is closed" },
    }
end)

t.test("what a worker's own side refuses", function()
    local w <close> = hv.spawn(function(worker)
        check {
            { function() worker:send(print) end, "worker message: value 1 is a function" },
            { function() worker.send(1) end, "worker expected as the first argument, got number" },
            { function() worker.receive() end, "worker expected as the first argument, got nil" },
        }
    end)
    local report_of = w:wait(20)
    t.ok(report_of.ok, report_of.error)
end)
