-- SPDX-License-Identifier: MIT
--- hv.device.pl011: Arm's PrimeCell UART.
--
-- pl011(vm, opts) --> uart
--   opts.at      MMIO address (0x09000000)
--   opts.out, opts.input   see terminal.lua
--   opts.irq     function(level): the interrupt line has changed
--   opts.name    "pl011"
-- uart:feed(bytes)   input from now on; raises the interrupt
-- uart:poll()        for a guest that waits (wfi): show the output so far and
--                    ask opts.input whether there is something
--
-- As firmware leaves it: enabled, at its reset values otherwise, so that a
-- first program may write to DR without setting it up. While the guest has it
-- disabled output waits in the FIFO. Input waits outside until the guest reads.

local attach = require "hv.device.attach"
local options = require "hv.options"
local terminal = require "hv.device.terminal"

local KNOWN = {
    at = "number or string", out = "userdata or function",
    input = "string or function", irq = "function", name = "string",
}

local FIFO = 16
local LEVEL = { [0] = 2, 4, 8, 12, 14 } -- IFLS: 1/8, 1/4, 1/2, 3/4, 7/8

-- FR
local MODEM = 0x07 -- CTS, DSR, DCD
local RX_EMPTY, TX_FULL, RX_FULL, TX_EMPTY = 0x10, 0x20, 0x40, 0x80
-- CR
local ENABLE, LOOP, TX_ENABLE, RX_ENABLE = 0x001, 0x080, 0x100, 0x200
-- IMSC, RIS, MIS, ICR
local RX, TX, TIMEOUT, OVERRUN = 0x010, 0x020, 0x040, 0x400

-- UARTPeriphID and UARTPCellID of revision r1p5
local ID = { [0] = 0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1 }

local Uart = {}
Uart.__index = Uart

local function depth(self)
    return self.lcr_h & 0x10 ~= 0 and FIFO or 1
end

local function enabled(self, direction)
    return self.cr & ENABLE ~= 0 and self.cr & direction ~= 0
end

local function looped(self)
    return self.cr & LOOP ~= 0
end

-- Bytes that the guest could read now.
local function available(self)
    if looped(self) then
        return #self.fifo
    elseif not enabled(self, RX_ENABLE) then
        return 0
    end
    return math.min(self.line:waiting(), depth(self))
end

-- The receive interrupts follow what has arrived: `count` bytes are there, and
-- either they are more than the guest has been told of, or they are gone.
local function notice(self, count)
    local level = depth(self) == 1 and 1 or LEVEL[self.ifls >> 3 & 7] or FIFO
    if count > self.seen then
        self.ris = self.ris | TIMEOUT | (count >= level and RX or 0)
    elseif count < level then
        self.ris = self.ris & ~RX
    end
    if count == 0 then
        self.ris = self.ris & ~TIMEOUT
    end
    self.seen = count
end

local function update(self)
    if self.irq then
        notice(self, available(self))
        local level = self.ris & self.imsc ~= 0
        if level ~= self.level then
            self.level = level
            self.irq(level)
        end
    end
end

local function send(self, byte)
    if not looped(self) then
        self.line:put(byte)
    elseif enabled(self, RX_ENABLE) then
        if #self.fifo >= depth(self) then
            self.ris, self.rsr = self.ris | OVERRUN, self.rsr | 8
        else
            self.fifo[#self.fifo + 1] = byte
        end
    end
end

-- What waits in the transmit FIFO leaves at once when it may.
local function drain(self)
    if enabled(self, TX_ENABLE) and #self.held > 0 then
        local held = self.held
        self.held = {}
        for _, byte in ipairs(held) do
            send(self, byte)
        end
        self.ris = self.ris | TX
    end
end

local function read_data(self)
    local count, byte = available(self), nil
    notice(self, count)
    if looped(self) then
        byte = table.remove(self.fifo, 1)
    elseif count > 0 then
        byte = self.line:get()
    end
    -- what is left was there before: no new interrupt for it
    self.seen = math.max(count - 1, 0)
    notice(self, self.seen)
    return byte or 0
end

local function write_data(self, value)
    if #self.held < depth(self) then
        self.held[#self.held + 1] = value & 0xff
    end
    drain(self)
end

local function flags(self)
    local count, modem = available(self), MODEM
    if looped(self) then -- RTS, DTR, OUT1, OUT2 come back as CTS, DSR, DCD, RI
        local cr = self.cr
        modem = cr >> 11 & 1 | cr >> 9 & 2 | cr >> 10 & 4 | cr >> 5 & 0x100
    end
    return modem | (count == 0 and RX_EMPTY or 0)
        | (count >= depth(self) and RX_FULL or 0)
        | (#self.held == 0 and TX_EMPTY or 0)
        | (#self.held >= depth(self) and TX_FULL or 0)
end

local function raw_interrupts(self)
    notice(self, available(self))
    return self.ris
end

local function set_control(self, value)
    self.cr = value & 0xff87
    if not looped(self) then
        self.fifo = {}
    end
    drain(self)
end

local function keep(field, mask)
    return function(self) return self[field] end,
        function(self, value) self[field] = value & mask end
end

local READ, WRITE = {
    [0x00] = read_data,
    [0x04] = function(self) return self.rsr end,
    [0x18] = flags,
    [0x3c] = raw_interrupts,
    [0x40] = function(self) return raw_interrupts(self) & self.imsc end,
}, {
    [0x00] = write_data,
    [0x04] = function(self) self.rsr = 0 end,
    [0x44] = function(self, value) self.ris = self.ris & ~value end,
}

READ[0x20], WRITE[0x20] = keep("ilpr", 0xff)
READ[0x24], WRITE[0x24] = keep("ibrd", 0xffff)
READ[0x28], WRITE[0x28] = keep("fbrd", 0x3f)
READ[0x2c], WRITE[0x2c] = keep("lcr_h", 0xff)
READ[0x30], WRITE[0x30] = keep("cr", 0), set_control
READ[0x34], WRITE[0x34] = keep("ifls", 0x3f)
READ[0x38], WRITE[0x38] = keep("imsc", 0x7ff)
READ[0x48], WRITE[0x48] = keep("dmacr", 7)

-- Registers are words; a narrower access takes the bytes it names, and only one
-- that starts at the register has its effects.
local function read(self, offset, width)
    local register, shift = offset & ~3, 8 * (offset & 3)
    local value
    if register >= 0xfe0 and register <= 0xffc then
        value = ID[(register - 0xfe0) >> 2]
    elseif shift ~= 0 and register == 0 or not READ[register] then
        value = 0
    else
        value = READ[register](self)
        update(self)
    end
    local mask = width < 4 and (1 << 8 * width) - 1 or 0xffffffff
    return value >> shift & mask
end

local function write(self, offset, value)
    local set = WRITE[offset]
    if set then
        set(self, value & 0xffffffff)
        update(self)
    end
end

function Uart:feed(bytes)
    self.line:feed(bytes)
    update(self)
end

function Uart:poll()
    self.line:flush()
    update(self)
end

return function(vm, opts, ...)
    opts = options("pl011", opts, KNOWN, 2, ...)
    local self = setmetatable({
        line = terminal.open(vm, "pl011", opts), irq = opts.irq,
        level = false, fifo = {}, held = {}, seen = 0, rsr = 0, ilpr = 0,
        ibrd = 0, fbrd = 0, lcr_h = 0, cr = ENABLE | TX_ENABLE | RX_ENABLE,
        ifls = 0x12, imsc = 0, ris = 0, dmacr = 0,
    }, Uart)
    attach(vm, "pl011", opts, {
        at = 0x09000000, bytes = 0x1000,
        read = function(offset, width) return read(self, offset, width) end,
        write = function(offset, value) write(self, offset, value) end,
    }, 2)
    return self
end
