-- SPDX-License-Identifier: MIT
-- The devices of the library (scripts/hv/device/), register by register: they
-- are attached to a stand-in, so that what a guest would do is done here.
local t = ...
local exit_port = require "hv.device.exit"
local pl011 = require "hv.device.pl011"
local uart16550 = require "hv.device.uart16550"

-- A machine that keeps what is attached, and a bus to reach it: bus.get(offset
-- [, size]), bus.set(offset, value [, size]).
local function machine()
    local vm, bus = {}, { stopped = {} }
    local cpu = {}
    function cpu:stop(code)
        t.eq(self, cpu)
        table.insert(bus.stopped, code)
    end
    function vm:attach(range)
        t.eq(self, vm)
        if range.at and range.at % 4 ~= 0 then
            error("attach: not here", 0)
        end
        bus.range = range
    end
    function bus.get(offset, size)
        local value = bus.range.read(offset, size or 1, cpu)
        t.eq(math.type(value), "integer", "what read returns")
        return value
    end
    function bus.set(offset, value, size)
        bus.range.write(offset, value, size or 1, cpu)
    end
    return vm, bus
end

-- An output that remembers each time it was called.
local function sink()
    local calls = {}
    return function(bytes) calls[#calls + 1] = bytes end, calls
end

local function serial(device, opts)
    local vm, bus = machine()
    local out, calls = sink()
    opts.out = opts.out or out
    bus.levels = {}
    if opts.irq == true then
        opts.irq = function(level) table.insert(bus.levels, level) end
    end
    return device(vm, opts), bus, calls, vm
end

-- ---- both serial ports -------------------------------------------------

-- What the two have in common, in terms of their registers.
local KINDS = {
    uart16550 = {
        open = uart16550, data = 0,
        ready = function(bus) return bus.get(5) & 1 ~= 0 end,
    },
    pl011 = {
        open = pl011, data = 0,
        ready = function(bus) return bus.get(0x18, 4) & 0x10 == 0 end,
    },
}

for name, kind in pairs(KINDS) do
    local function send(bus, text)
        for i = 1, #text do
            bus.set(kind.data, text:byte(i))
        end
    end

    local function receive(bus)
        local bytes = {}
        while kind.ready(bus) and #bytes < 1000 do
            bytes[#bytes + 1] = string.char(bus.get(kind.data) & 0xff)
        end
        return table.concat(bytes)
    end

    t.test(name .. ": a function gets each byte as it comes", function()
        local _, bus, calls = serial(kind.open, {})
        send(bus, "one\n\0\255")
        t.eq(calls, { "o", "n", "e", "\n", "\0", "\255" })
    end)

    t.test(name .. ": a file is flushed for lines and for prompts", function()
        local path = os.tmpname()
        local file <close> = assert(io.open(path, "w"))
        file:setvbuf("full", 1 << 16)
        local function seen()
            local back <close> = assert(io.open(path))
            return back:read "a"
        end
        local uart, bus = serial(kind.open, { out = file })
        send(bus, "Debian\nlogin: ")
        t.eq(seen(), "Debian\n")
        for _ = 1, 10 do
            t.ok(not kind.ready(bus))
        end
        t.eq(seen(), "Debian\nlogin: ")
        send(bus, "$ ")
        t.eq(seen(), "Debian\nlogin: ")
        uart:poll()
        t.eq(seen(), "Debian\nlogin: $ ")
        os.remove(path)
    end)

    t.test(name .. ": output to a file", function()
        local file <close> = io.tmpfile()
        local _, bus = serial(kind.open, { out = file })
        send(bus, "text\n")
        file:seek "set"
        t.eq(file:read "a", "text\n")
        t.raises(function()
            local closed = io.tmpfile()
            closed:close()
            kind.open(machine(), { out = closed })
        end, "^[^:]+:%d+: " .. name .. ": out must be an open file")
    end)

    t.test(name .. ": input from a string, a function and feed", function()
        local uart, bus = serial(kind.open, { input = "hi\0\255" })
        t.eq(receive(bus), "hi\0\255")
        uart:feed "more"
        uart:feed " and more"
        t.eq(receive(bus), "more and more")
        t.eq(bus.get(kind.data) & 0xff, 0, "nothing left reads as 0")
        local items = { 0x41, false, "bc", "", 0 }
        local n = 0
        uart, bus = serial(kind.open, {
            input = function() n = n + 1 return items[n] end,
        })
        t.eq(receive(bus), "A")
        t.eq(receive(bus), "bc")
        t.eq(receive(bus), "\0")
        t.ok(uart)
    end)

    t.test(name .. ": input that is no byte raises", function()
        for _, value in ipairs { 256, -1, 1.5, {}, true } do
            local _, bus = serial(kind.open, {
                input = function() return value end,
            })
            t.raises(function() kind.ready(bus) end,
                     "^" .. name .. ": input gave .* expected$")
        end
        local _, bus = serial(kind.open, {
            input = function() error "the script's own" end,
        })
        t.raises(function() kind.ready(bus) end, "the script's own")
    end)

    t.test(name .. ": mistakes raise at the caller's line", function()
        local vm = machine()
        local function bad(opts, pattern)
            t.raises(function()
                local uart = kind.open(vm, opts)
                return uart
            end, "device.lua:%d+: " .. pattern)
        end
        bad({ baud = 9600 }, name .. ': unknown option "baud"')
        bad({ at = "1Q" }, name .. ': at: "1Q": unknown unit')
        bad({ at = -1 }, name .. ": at: %-1: must not be negative")
        bad({ at = 2 }, "attach: not here")
        bad({ input = 5 }, name .. ": input must be a string or function")
        t.raises(function()
            local uart = kind.open(nil, {})
            return uart
        end, "device.lua:%d+: " .. name .. ": a machine expected, not a nil")
    end)

    t.test(name .. ": no access does harm", function()
        math.randomseed(3)
        local uart, bus = serial(kind.open, {
            irq = true, input = ("in"):rep(1000),
        })
        local extent = bus.range.size or bus.range.count
        local widths = { 1, 2, 4, 8 }
        for i = 1, 20000 do
            local width = widths[math.random(4)]
            local offset = math.random(0, extent - 1)
            if math.random(2) == 1 then
                offset = offset % 0x50
            end
            if math.random(2) == 1 then
                bus.set(offset, math.random(0), width)
            else
                local value = bus.get(offset, width)
                t.ok(width == 8 or value >> 8 * width == 0,
                     "no more bits than were asked for")
            end
            if i % 100 == 0 then
                uart:feed "x"
            end
        end
        for i = 2, #bus.levels do
            t.ok(bus.levels[i] ~= bus.levels[i - 1], "irq only on change")
        end
        t.ok(#bus.levels > 10, "the interrupt line moved")
    end)
end

-- ---- 16550 -------------------------------------------------------------

t.test("uart16550: where it is", function()
    local _, bus = serial(uart16550, {})
    t.eq({ bus.range.port, bus.range.count, bus.range.name },
         { 0x3f8, 8, "uart16550" })
    _, bus = serial(uart16550, { port = "0x2f8", name = "com2" })
    t.eq({ bus.range.port, bus.range.count, bus.range.name },
         { 0x2f8, 8, "com2" })
    _, bus = serial(uart16550, { at = 0x10000000, shift = 2 })
    t.eq({ bus.range.at, bus.range.size, bus.range.port },
         { 0x10000000, 32, nil })
    t.raises(function() serial(uart16550, { at = 0, port = 1 }) end,
             "at and port")
    t.raises(function() serial(uart16550, { shift = 4 }) end, "shift: 4: use")
end)

t.test("uart16550: registers after reset, and those that keep", function()
    local _, bus = serial(uart16550, {})
    local values = {}
    for register = 0, 7 do
        values[register + 1] = bus.get(register)
    end
    t.eq(values, { 0, 0, 0x01, 0, 0, 0x60, 0xb0, 0 })
    bus.set(7, 0x5a)
    t.eq(bus.get(7), 0x5a)
    bus.set(1, 0xff)
    t.eq(bus.get(1), 0x0f)
    bus.set(4, 0xef)
    t.eq(bus.get(4), 0x0f)
    bus.set(5, 0xff)
    bus.set(6, 0xff)
    t.eq(bus.get(5), 0x60, "LSR is read only")
    t.eq(bus.get(6), 0xb0, "MSR is read only")
end)

t.test("uart16550: the divisor latch hides data and IER", function()
    local _, bus, calls = serial(uart16550, { input = "x" })
    bus.set(3, 0x83)
    bus.set(0, 0x0c)
    bus.set(1, 0x01)
    t.eq({ bus.get(0), bus.get(1), bus.get(3) }, { 0x0c, 0x01, 0x83 })
    bus.set(3, 0x03)
    t.eq(bus.get(1), 0)
    t.eq(bus.get(0), 0x78)
    bus.set(0, 10)
    t.eq(calls, { "\n" })
    bus.set(3, 0x80)
    t.eq(bus.get(0, 2), 0x010c, "as one 16-bit port")
end)

t.test("uart16550: FIFO bits, and a FIFO that loses nothing", function()
    local _, bus = serial(uart16550, { input = "abc" })
    bus.set(2, 0xc7)
    t.eq(bus.get(2), 0xc1)
    t.eq(bus.get(5), 0x61)
    t.eq(bus.get(0), 0x61)
    bus.set(2, 0xc0)
    t.eq(bus.get(2), 0x01, "without bit 0 nothing else counts")
    t.eq(bus.get(0), 0x62)
end)

t.test("uart16550: receive interrupts", function()
    local uart, bus = serial(uart16550, { irq = true })
    uart:feed "a"
    t.eq(bus.levels, {})
    bus.set(1, 1)
    t.eq({ bus.levels, bus.get(2) }, { { true }, 0x04 })
    bus.get(0)
    t.eq({ bus.levels, bus.get(2) }, { { true, false }, 0x01 })
    bus.set(2, 0x81) -- FIFO, trigger 8
    uart:feed "1234567"
    t.eq({ #bus.levels, bus.get(2) }, { 3, 0xcc }, "time-out")
    uart:feed "8"
    t.eq({ #bus.levels, bus.get(2) }, { 3, 0xc4 }, "trigger level")
    for _ = 1, 8 do
        bus.get(0)
    end
    t.eq({ bus.levels[4], bus.get(2) }, { false, 0xc1 })
    local given = nil
    uart, bus = serial(uart16550, {
        irq = true, input = function() return given end,
    })
    bus.set(1, 1)
    t.eq(bus.levels, {})
    given = 65
    uart:poll()
    t.eq(bus.levels, { true })
end)

t.test("uart16550: transmitter-empty interrupts", function()
    local _, bus = serial(uart16550, { irq = true })
    bus.set(1, 2)
    t.eq(bus.levels, { true }, "empty already")
    t.eq(bus.get(2), 0x02)
    t.eq({ bus.get(2), bus.levels }, { 0x01, { true, false } },
         "reading IIR has cleared it")
    bus.set(1, 2)
    t.eq(#bus.levels, 2, "still enabled is no new cause")
    bus.set(0, 65)
    t.eq({ #bus.levels, bus.get(2) }, { 3, 0x02 })
    bus.set(0, 65)
    bus.set(1, 0)
    t.eq({ bus.levels[#bus.levels], bus.get(2) }, { false, 0x01 })
end)

t.test("uart16550: priorities", function()
    local uart, bus = serial(uart16550, { irq = true })
    bus.set(4, 0x10)
    bus.set(0, 65)
    bus.set(0, 66) -- no FIFO: overrun
    bus.set(4, 0x12) -- RTS: CTS has changed
    bus.set(1, 0x0f)
    t.eq(bus.get(2), 0x06)
    t.eq(bus.get(5), 0x63)
    t.eq(bus.get(5), 0x61, "reading LSR clears the overrun")
    t.eq(bus.get(2), 0x04)
    t.eq(bus.get(0), 65)
    t.eq(bus.get(2), 0x02)
    t.eq(bus.get(2), 0x00)
    t.eq(bus.get(6) & 0x0f, 0x0b, "leaving the real lines, then CTS")
    t.eq(bus.get(2), 0x01)
    t.eq(bus.levels, { true, false })
    t.ok(uart)
end)

t.test("uart16550: loopback", function()
    local _, bus, calls = serial(uart16550, { input = "outside" })
    bus.set(4, 0x1a)
    t.eq(bus.get(6) & 0xf0, 0x90, "what drivers look for")
    for bits, lines in pairs { [0] = 0, 0x20, 0x10, [4] = 0x40, [8] = 0x80 } do
        bus.set(4, 0x10 | bits)
        t.eq(bus.get(6) & 0xf0, lines)
    end
    bus.get(6)
    bus.set(4, 0x14)
    t.eq(bus.get(6) & 0x0f, 0x08, "RI that comes is no change, DCD is")
    bus.set(4, 0x10)
    t.eq(bus.get(6) & 0x0f, 0x04, "RI that goes is")
    bus.set(2, 1)
    for i = 1, 17 do
        bus.set(0, i)
    end
    t.eq(bus.get(5), 0x63, "16 fit")
    t.eq(bus.get(0), 1)
    bus.set(2, 3)
    t.eq(bus.get(5), 0x60, "cleared")
    t.eq(calls, {})
    bus.set(4, 0)
    t.eq(bus.get(0), ("o"):byte(), "the outside has waited")
end)

t.test("uart16550: wide accesses", function()
    local _, bus, calls = serial(uart16550, {})
    bus.set(0, 0x0a41, 2)
    t.eq({ calls, bus.get(1) }, { { "A" }, 0x0a }, "THR and IER")
    bus.set(7, -1, 8)
    t.eq(bus.get(7, 4), 0xff, "nothing behind the last register")
    _, bus, calls = serial(uart16550, { at = 0, shift = 2 })
    bus.set(0, 0xffffff0a, 4)
    t.eq(calls, { "\n" })
    t.eq({ bus.get(20, 4), bus.get(21), bus.get(4, 4) }, { 0x60, 0, 0 })
end)

-- ---- PL011 -------------------------------------------------------------

local DR, RSR, FR, IBRD, FBRD, LCR_H, CR, IFLS, IMSC, RIS, MIS, ICR, DMACR =
    0, 4, 0x18, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x38, 0x3c, 0x40, 0x44, 0x48

local function words(bus)
    return function(register) return bus.get(register, 4) end,
        function(register, value) bus.set(register, value, 4) end
end

t.test("pl011: where it is, who it is", function()
    local _, bus = serial(pl011, {})
    t.eq({ bus.range.at, bus.range.size, bus.range.name },
         { 0x09000000, 0x1000, "pl011" })
    local id = {}
    for offset = 0xfe0, 0xffc, 4 do
        id[#id + 1] = bus.get(offset, 4)
    end
    t.eq(id, { 0x11, 0x10, 0x34, 0, 0x0d, 0xf0, 0x05, 0xb1 })
end)

t.test("pl011: registers after reset, and those that keep", function()
    local _, bus = serial(pl011, {})
    local get, set = words(bus)
    t.eq({ get(RSR), get(FR), get(LCR_H), get(CR), get(IFLS), get(IMSC),
           get(RIS), get(MIS) }, { 0, 0x97, 0, 0x301, 0x12, 0, 0, 0 })
    for register, mask in pairs {
        [0x20] = 0xff, [IBRD] = 0xffff, [FBRD] = 0x3f, [LCR_H] = 0xff,
        [CR] = 0xff87, [IFLS] = 0x3f, [IMSC] = 0x7ff, [DMACR] = 7,
    } do
        set(register, 0xffffffff)
        t.eq(get(register), mask, ("register 0x%x"):format(register))
        set(register, 0)
        t.eq(get(register), 0, ("register 0x%x"):format(register))
    end
    set(0x100, -1)
    t.eq(get(0x100), 0, "no register")
    set(FR, -1)
    t.eq(get(FR) & 0x90, 0x90, "FR is read only")
end)

t.test("pl011: narrow accesses take the bytes they name", function()
    local _, bus, calls = serial(pl011, { input = "ab" })
    bus.set(IBRD, 0x1234, 2)
    t.eq({ bus.get(IBRD), bus.get(IBRD + 1), bus.get(IBRD, 2) },
         { 0x34, 0x12, 0x1234 })
    t.eq(bus.get(DR + 1), 0, "no effect beside DR")
    bus.set(DR + 1, 10)
    t.eq(calls, {})
    t.eq(bus.get(DR), 0x61)
    bus.set(DR, 0xffffff0a, 4)
    t.eq(calls, { "\n" })
end)

t.test("pl011: disabled, output waits in a FIFO that fills", function()
    local _, bus, calls = serial(pl011, { input = "x" })
    local get, set = words(bus)
    set(CR, 0x300)
    t.eq(get(FR) & 0x10, 0x10, "nothing is received")
    set(DR, 65)
    t.eq(get(FR) & 0xa0, 0x20, "one byte, no FIFO: full")
    set(DR, 66)
    set(LCR_H, 0x10)
    t.eq(get(FR) & 0xa0, 0x00, "neither full nor empty")
    for i = 1, 20 do
        set(DR, 48 + i % 10)
    end
    t.eq(get(FR) & 0xa0, 0x20)
    set(CR, 0x301)
    t.eq(get(FR) & 0xb0, 0x80)
    t.eq(table.concat(calls), "A123456789012345")
end)

t.test("pl011: receive interrupts", function()
    local uart, bus = serial(pl011, { irq = true })
    local get, set = words(bus)
    set(IMSC, 0x50)
    uart:feed "a"
    t.eq({ bus.levels, get(RIS), get(MIS) }, { { true }, 0x50, 0x50 })
    t.eq(get(FR) & 0x50, 0x40, "full without FIFO")
    get(DR)
    t.eq({ bus.levels, get(RIS) }, { { true, false }, 0 })
    set(LCR_H, 0x10)
    uart:feed "1234567"
    t.eq({ #bus.levels, get(RIS) }, { 3, 0x40 }, "below the level: time-out")
    set(ICR, 0x40)
    t.eq({ bus.levels[4], get(RIS) }, { false, 0 }, "ICR clears it")
    uart:feed "8"
    t.eq({ bus.levels[5], get(RIS) }, { true, 0x50 }, "half full")
    get(DR)
    t.eq(get(RIS), 0x40)
    for _ = 1, 7 do
        get(DR)
    end
    t.eq({ bus.levels[6], get(RIS), get(FR) & 0x10 }, { false, 0, 0x10 })
    set(IMSC, 0)
    uart:feed "z"
    t.eq({ #bus.levels, get(RIS) & 0x40, get(MIS) }, { 6, 0x40, 0 })
end)

t.test("pl011: levels of IFLS", function()
    for code, level in pairs { [0] = 2, 4, 8, 12, 14, 16, 16, 16 } do
        local uart, bus = serial(pl011, {})
        local get, set = words(bus)
        set(LCR_H, 0x10)
        set(IFLS, code << 3)
        uart:feed(("x"):rep(level - 1))
        t.eq(get(RIS) & 0x10, 0, "code " .. code)
        uart:feed "x"
        t.eq(get(RIS) & 0x10, 0x10, "code " .. code)
    end
end)

t.test("pl011: transmit interrupts", function()
    local _, bus = serial(pl011, { irq = true })
    local get, set = words(bus)
    set(IMSC, 0x20)
    t.eq(bus.levels, {}, "nothing was sent")
    set(DR, 65)
    t.eq({ bus.levels, get(MIS) }, { { true }, 0x20 })
    set(ICR, 0x20)
    t.eq({ bus.levels, get(MIS) }, { { true, false }, 0 })
end)

t.test("pl011: loopback", function()
    local _, bus, calls = serial(pl011, { input = "outside" })
    local get, set = words(bus)
    set(CR, 0x381)
    t.eq(get(FR) & 0x117, 0x10)
    for bit, line in pairs {
        [0x800] = 1, [0x400] = 2, [0x1000] = 4, [0x2000] = 0x100,
    } do
        set(CR, 0x381 | bit)
        t.eq(get(FR) & 0x107, line)
    end
    set(LCR_H, 0x10)
    for i = 1, 17 do
        set(DR, i)
    end
    t.eq({ get(RSR), get(RIS) & 0x400, get(FR) & 0x40 }, { 8, 0x400, 0x40 })
    set(RSR, 0)
    t.eq({ get(RSR), get(DR), get(DR) }, { 0, 1, 2 })
    t.eq(calls, {})
    set(CR, 0x301)
    t.eq(get(DR), ("o"):byte(), "the outside has waited")
end)

-- ---- exit --------------------------------------------------------------

t.test("exit: a write stops with its value", function()
    local vm, bus = machine()
    exit_port(vm, { port = 0x01 })
    t.eq({ bus.range.port, bus.range.count, bus.range.name }, { 1, 4, "exit" })
    bus.set(0, 42)
    bus.set(1, 43)
    t.eq({ bus.stopped, bus.get(0) }, { { 42 }, 0 })
    vm, bus = machine()
    exit_port(vm)
    t.eq(bus.range.port, 0xf4)
end)

t.test("exit: SiFive's test finisher", function()
    local vm, bus = machine()
    exit_port(vm, { at = 0x100000, style = "test" })
    t.eq({ bus.range.at, bus.range.size }, { 0x100000, 4 })
    bus.set(0, 0x5555, 4)
    bus.set(0, 7 << 16 | 0x3333, 4)
    bus.set(0, 0x7777, 4)
    bus.set(0, 0x1234, 4)
    t.eq(bus.stopped, { 0, 7, "reset" })
    t.raises(function() exit_port(vm, { style = "pc" }) end, 'style: "pc"')
    t.raises(function() exit_port(vm, { at = 0, port = 0 }) end, "at and port")
end)

t.test("exit: the serial lines of the machine come out first", function()
    local _, bus, calls, vm = serial(uart16550, {})
    bus.set(0, 65)
    exit_port(vm, {})
    bus.set(0, 0)
    t.eq({ calls, bus.stopped }, { { "A" }, { 0 } })
end)
