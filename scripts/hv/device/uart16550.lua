-- SPDX-License-Identifier: MIT
--- hv.device.uart16550: the serial port of the PC, as a 16550A.
--
-- uart16550(vm, opts) --> uart
--   opts.port    x86 port (0x3f8), or opts.at: an MMIO address
--   opts.shift   registers are 1 << shift bytes apart (0)
--   opts.out, opts.input   see terminal.lua
--   opts.irq     function(level): the interrupt line has changed
--   opts.name    "uart16550"
-- uart:feed(bytes)   input from now on; raises the interrupt
-- uart:poll()        for a guest that waits (hlt): show the output so far and
--                    ask opts.input whether there is something
--
-- Bytes leave at once, so the transmitter is always empty. Input waits outside
-- until the guest reads it: nothing is ever lost to an overrun or to a guest
-- that clears its FIFO, except in loopback, where the FIFO is real.

local attach = require "hv.device.attach"
local options = require "hv.options"
local terminal = require "hv.device.terminal"

local KNOWN = {
    at = "number or string", port = "number or string", shift = "number",
    out = "userdata or function", input = "string or function",
    irq = "function", name = "string",
}

local REGISTERS, FIFO = 8, 16
local TRIGGER = { [0] = 1, 4, 8, 14 } -- FCR bits 7:6

-- IER and IIR
local IER_DATA, IER_THRE, IER_LINE, IER_MODEM = 1, 2, 4, 8
local IIR_NONE, IIR_MODEM, IIR_THRE, IIR_DATA, IIR_LINE, IIR_TIMEOUT =
    1, 0, 2, 4, 6, 12
-- LSR and MCR
local DATA_READY, OVERRUN, EMPTY = 0x01, 0x02, 0x60
local LOOP = 0x10
local CONNECTED = 0xb0 -- MSR: DCD, DSR, CTS

local Uart = {}
Uart.__index = Uart

local function looped(self)
    return self.mcr & LOOP ~= 0
end

-- Bytes that the guest could read now.
local function available(self)
    if looped(self) then
        return #self.fifo
    end
    return math.min(self.line:waiting(), FIFO)
end

-- The modem lines that MSR shows: in loopback our own outputs.
local function modem(self)
    if not looped(self) then
        return CONNECTED
    end
    local mcr = self.mcr
    return (mcr & 1) << 5 | (mcr & 2) << 3 | (mcr & 4) << 4 | (mcr & 8) << 4
end

-- The interrupt of the highest priority that is pending and enabled.
local function pending(self, count)
    local ier = self.ier
    if ier & IER_LINE ~= 0 and self.overrun then
        return IIR_LINE
    elseif ier & IER_DATA ~= 0 and count > 0 then
        -- fewer than the trigger level: the time-out has long passed
        local enough = self.fcr & 1 == 0 or count >= TRIGGER[self.fcr >> 6]
        return enough and IIR_DATA or IIR_TIMEOUT
    elseif ier & IER_THRE ~= 0 and self.emptied then
        return IIR_THRE
    elseif ier & IER_MODEM ~= 0 and self.delta ~= 0 then
        return IIR_MODEM
    end
    return IIR_NONE
end

local function update(self)
    if self.irq then
        local watched = self.ier & IER_DATA ~= 0
        local level = pending(self, watched and available(self) or 0)
            ~= IIR_NONE
        if level ~= self.level then
            self.level = level
            self.irq(level)
        end
    end
end

local function receive(self)
    if looped(self) then
        return table.remove(self.fifo, 1) or 0
    end
    return self.line:get() or 0
end

local function transmit(self, value)
    self.emptied = true
    if not looped(self) then
        self.line:put(value)
    elseif #self.fifo >= (self.fcr & 1 ~= 0 and FIFO or 1) then
        self.overrun = true
    else
        self.fifo[#self.fifo + 1] = value
    end
end

local function set_modem(self, value)
    local before = modem(self)
    self.mcr = value & 0x1f
    if not looped(self) then
        self.fifo = {}
    end
    local now = modem(self)
    -- RI counts only when it goes away
    local changed = (before ~ now) & 0xb0 | before & ~now & 0x40
    self.delta = self.delta | changed >> 4
end

local READ = {
    [0] = receive,
    [1] = function(self) return self.ier end,
    [2] = function(self)
        local why = pending(self, available(self))
        if why == IIR_THRE then
            self.emptied = false
        end
        return why | (self.fcr & 1 ~= 0 and 0xc0 or 0)
    end,
    [3] = function(self) return self.lcr end,
    [4] = function(self) return self.mcr end,
    [5] = function(self)
        local value = EMPTY | (self.overrun and OVERRUN or 0)
            | (available(self) > 0 and DATA_READY or 0)
        self.overrun = false
        return value
    end,
    [6] = function(self)
        local value = modem(self) | self.delta
        self.delta = 0
        return value
    end,
    [7] = function(self) return self.scr end,
}

local WRITE = {
    [0] = transmit,
    [1] = function(self, value)
        -- the transmitter is empty: enabling its interrupt causes one
        if value & ~self.ier & IER_THRE ~= 0 then
            self.emptied = true
        end
        self.ier = value & 0x0f
    end,
    [2] = function(self, value)
        if value & 2 ~= 0 or (value ~ self.fcr) & 1 ~= 0 then
            self.fifo = {}
        end
        self.fcr = value & 1 ~= 0 and value & 0xc9 or 0
    end,
    [3] = function(self, value) self.lcr = value end,
    [4] = set_modem,
    [7] = function(self, value) self.scr = value end,
}

local function divisor_selected(self, register)
    return register < 2 and self.lcr & 0x80 ~= 0
end

local function read_register(self, register)
    if divisor_selected(self, register) then
        return self.divisor >> 8 * register & 0xff
    end
    local value = READ[register](self)
    update(self)
    return value
end

local function write_register(self, register, value)
    value = value & 0xff
    if divisor_selected(self, register) then
        local shift = 8 * register
        self.divisor = self.divisor & ~(0xff << shift) | value << shift
    elseif WRITE[register] then
        WRITE[register](self, value)
        update(self)
    end
end

-- Registers side by side answer a wide access one byte each, as on the bus;
-- where they are apart, only the first byte of each is wired.
local function each(self, offset, width)
    local first = offset >> self.shift
    local apart = self.shift > 0
    if first >= REGISTERS or apart and offset & (1 << self.shift) - 1 ~= 0 then
        return first, first - 1
    end
    return first, math.min(first + (apart and 1 or width), REGISTERS) - 1
end

local function read(self, offset, width)
    local value = 0
    local first, last = each(self, offset, width)
    for register = first, last do
        value = value | read_register(self, register) << 8 * (register - first)
    end
    return value
end

local function write(self, offset, value, width)
    local first, last = each(self, offset, width)
    for register = first, last do
        write_register(self, register, value >> 8 * (register - first))
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
    opts = options("uart16550", opts, KNOWN, 2, ...)
    local shift = opts.shift or 0
    if shift ~= 0 and shift ~= 1 and shift ~= 2 and shift ~= 3 then
        error(("uart16550: shift: %s: use 0, 1, 2 or 3"):format(shift), 2)
    end
    local self = setmetatable({
        line = terminal.open(vm, "uart16550", opts), irq = opts.irq,
        shift = math.tointeger(shift), level = false, fifo = {}, divisor = 0,
        ier = 0, fcr = 0, lcr = 0, mcr = 0, scr = 0, delta = 0,
        emptied = false, overrun = false,
    }, Uart)
    attach(vm, "uart16550", opts, {
        port = 0x3f8, bytes = REGISTERS << self.shift,
        read = function(offset, width) return read(self, offset, width) end,
        write = function(offset, value, width)
            write(self, offset, value, width)
        end,
    }, 2)
    return self
end
