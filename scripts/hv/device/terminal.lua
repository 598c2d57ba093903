-- SPDX-License-Identifier: MIT
--- The far end of a serial line: where bytes go, and where they come from.
--
-- terminal.open(vm, name, opts) --> line
--   opts.out    a file, or a function(byte), each a string; nil: io.stdout
--   opts.input  a string, or a function() that gives a byte, a string, or nil
--               when there is nothing yet; nil: nothing but line:feed(bytes)
--
-- Bytes go out as they come. A file is flushed at the end of a line, and when the
-- guest has looked for input a few times and found none: a prompt is seen.

local terminal = {}

local Line = {}
Line.__index = Line

-- Looks for input without output between them. A status register is read once
-- or twice for each byte put out, which does not mean waiting for input.
local LOOKS = 8

function Line:flush()
    if self.file then
        self.file:flush()
    end
end

function Line:put(byte)
    self.looks = 0
    self.write(string.char(byte))
    if byte == 10 then
        self:flush()
    end
end

--- Bytes for the guest, behind those that wait already.
function Line:feed(bytes)
    if type(bytes) ~= "string" then
        error(("%s: feed: a string of bytes expected, got %s")
              :format(self.name, type(bytes)), 3)
    end
    self.queue = self.queue:sub(self.next) .. bytes
    self.next = 1
end

-- Ask the script for more, once there is nothing left.
local function refill(self)
    local got = self.source and self.source()
    if got == nil or got == false or got == "" then
        self.looks = self.looks + 1
        if self.looks == LOOKS then
            self:flush()
        end
    elseif type(got) == "string" then
        self:feed(got)
    elseif math.type(got) == "integer" and got & ~0xff == 0 then
        self:feed(string.char(got))
    else
        error(("%s: input gave %s: a byte, a string or nil expected"):format(
              self.name, math.type(got) and tostring(got) or "a " .. type(got)),
              0)
    end
end

--- How many bytes wait for the guest.
function Line:waiting()
    if self.next > #self.queue then
        refill(self)
    end
    return #self.queue - self.next + 1
end

--- The next byte for the guest, or nil.
function Line:get()
    if self:waiting() == 0 then
        return nil
    end
    local byte = self.queue:byte(self.next)
    self.next = self.next + 1
    return byte
end

function terminal.open(vm, name, opts)
    if type(vm) ~= "userdata" and type(vm) ~= "table" then
        error(("%s: a machine expected, not a %s"):format(name, type(vm)), 3)
    end
    local input, out = opts.input, opts.out or io.stdout
    local file = type(out) ~= "function" and out or nil
    if file and io.type(file) ~= "file" then
        error(("%s: out must be an open file or a function"):format(name), 3)
    end
    return setmetatable({
        name = name, file = file,
        write = file and function(byte) file:write(byte) end or out,
        queue = type(input) == "string" and input or "", next = 1, looks = 0,
        source = type(input) == "function" and input or nil,
    }, Line)
end

return terminal
