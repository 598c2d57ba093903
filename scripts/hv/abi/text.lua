-- SPDX-License-Identifier: MIT
--- Values of a declaration's types as text that a person reads, and exactly back: what
-- recordings of calls are made of (record.lua, replay.lua).
--
--     -7  0xfff0  true  1.5  nan(0x7ff8000000000001)  -inf  green  r|w|0x100  "a\n\x00"
--     { 1, 2 }  { x = 1, y = { 2, 3 } }
--
-- text.write(p, value) --> text      p: a parameter or member: its type, count, open
-- text.result(ty, word) --> text     of a result as the guest has it in a register
-- text.arguments(call, value...) --> text    as a handler gets them
-- text.literal(value) --> text       of nil, a boolean, number or string; "?" of another
-- text.quoted(bytes) --> text
--
-- text.reader(line) --> r            takes it apart again; raises { why= }
-- r:value(p)  r:result(ty)  r:arguments(call) --> text  r:literal()  r:string()
-- r:error()  r:take(pattern) --> match or nil  r:sees(pattern)  r:expect(words)
-- r:fail(format, ...)  r:over()

local errno = require "hv.abi.errno"
local struct = require "hv.abi.struct"
local type_ = require "hv.abi.type"

local text = {}

-- ---- writing -----------------------------------------------------------------

local PLAIN = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

function text.quoted(bytes)
    return '"' .. bytes:gsub('[%c"\\\127-\255]', function(c)
        return PLAIN[c] or ("\\x%02x"):format(c:byte())
    end) .. '"'
end

local function float(value)
    value = math.type(value) == "integer" and value + 0.0 or value
    if value ~= value then -- there are many such
        return ("nan(0x%016x)"):format((string.unpack("<i8", string.pack("<d", value))))
    elseif value == math.huge or value == -math.huge then
        return value < 0 and "-inf" or "inf"
    end
    return ("%.17g"):format(value)
end

local write = {}

function write.int(_, value)
    return ("%d"):format(value)
end
write.errno = write.int

function write.ptr(_, value)
    return ("0x%x"):format(value)
end

function write.bool(_, value)
    return tostring(value)
end

function write.float(_, value)
    return float(value)
end

function write.enum(ty, value)
    return type(value) == "string" and value or ty.named[value] or ("%d"):format(value)
end

function write.flags(ty, value)
    local set, names = struct.flags(ty, struct.number(ty, value, "")), {}
    for _, name in ipairs(ty.names) do
        names[#names + 1] = set[name] and name or nil
    end
    names[#names + 1] = set.rest and ("0x%x"):format(set.rest)
    return #names > 0 and table.concat(names, "|") or "0"
end

function write.struct(ty, value)
    local out = {}
    for i, m in ipairs(ty.members) do
        out[i] = ("%s = %s"):format(m.name, text.write(m, value[m.name]))
    end
    return "{ " .. table.concat(out, ", ") .. " }"
end

local TEXTS = { bytes = true, cstr = true, char = true }

function text.write(p, value)
    local kind = p.type.kind
    if TEXTS[kind] then
        return text.quoted(value)
    elseif p.count or p.open then
        local out = {}
        for i = 1, #value do
            out[i] = write[kind](p.type, value[i])
        end
        return #out > 0 and "{ " .. table.concat(out, ", ") .. " }" or "{}"
    end
    return write[kind](p.type, value)
end

function text.result(ty, word)
    if not ty then
        return "0"
    elseif ty.kind == "bool" then
        return tostring(word ~= 0)
    elseif ty.kind == "float" then
        local bytes = string.pack("<i8", word):sub(1, ty.size)
        return float((string.unpack("<" .. ty.format, bytes)))
    end
    return write[ty.kind](ty, word)
end

function text.literal(value)
    if type(value) == "string" then
        return text.quoted(value)
    elseif math.type(value) == "float" then
        local out = float(value)
        return out:find "^%-?%d+$" and out .. ".0" or out
    end
    return (value == nil or type(value) == "boolean" or math.type(value)) and tostring(value)
        or "?"
end

-- What is only out has no value, but its room where the guest says that.
local function each_argument(call, fn)
    local out = {}
    for _, p in ipairs(call.params) do
        if p.direction ~= "out" or p.sized then
            out[#out + 1] = fn(p, #out + 1)
        end
    end
    return table.concat(out, ", ")
end

local function argument(p, value)
    return p.direction == "out" and ("%s[%d]"):format(p.name, value)
        or ("%s = %s"):format(p.name, text.write(p, value))
end

function text.arguments(call, ...)
    local values = { ... }
    return each_argument(call, function(p, i)
        return argument(p, values[i])
    end)
end

-- ---- reading -----------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

function text.reader(line)
    return setmetatable({ line = line, at = 1 }, Reader)
end

function Reader:fail(format, ...)
    type_.fail("column %d: " .. format, self.at, ...)
end

--- What the pattern finds here, behind spaces.
function Reader:take(pattern)
    local first, last, found = self.line:find("^ *(" .. pattern .. ")", self.at)
    if first then
        self.at = last + 1
        return found
    end
end

function Reader:expect(words)
    for word in words:gmatch "%S+" do
        if not self:take(word:gsub("%p", "%%%0")) then
            self:fail("%s expected", word)
        end
    end
end

function Reader:over()
    return not self.line:find("[^ ]", self.at)
end

function Reader:sees(pattern)
    return self.line:find("^ *" .. pattern, self.at) ~= nil
end

local ESCAPES = { n = "\n", t = "\t", r = "\r", ['"'] = '"', ["\\"] = "\\" }

-- Escapes in one pass, from left to right.
local function unescaped(self, bytes)
    local out, at = {}, 1
    while true do
        local stop = bytes:find("\\", at, true)
        out[#out + 1] = bytes:sub(at, (stop or 0) - 1)
        if not stop then
            return table.concat(out)
        end
        local hex = bytes:match("^x(%x%x)", stop + 1)
        local plain = ESCAPES[bytes:sub(stop + 1, stop + 1)]
        if not (hex or plain) then
            self:fail("a string with an unknown escape, %s", bytes:sub(stop, stop + 1))
        end
        out[#out + 1] = hex and string.char(tonumber(hex, 16)) or plain
        at = stop + (hex and 4 or 2)
    end
end

function Reader:string()
    self:expect '"'
    local from, at = self.at, self.at
    repeat
        local stop = self.line:find('["\\]', at)
        if not stop then
            self:fail "a string has no end"
        end
        at = stop + (self.line:byte(stop) == 34 and 1 or 2) -- \" does not end it
    until self.line:byte(stop) == 34
    local bytes = unescaped(self, self.line:sub(from, at - 2))
    self.at = at
    return bytes
end

function Reader:integer(ty)
    local token = self:take "%-?0x%x+" or self:take "%-?%d+"
    local value = token and math.tointeger(tonumber(token))
    if not value then
        self:fail("an integer expected")
    elseif ty and ty.size < 8 and (value < ty.min or value > ty.max) then
        self:fail("%d does not fit %s", value, ty.name)
    end
    return value
end

function Reader:float()
    local nan = self:take "nan%(0x%x+%)"
    if nan then
        return (string.unpack("<d", string.pack("<i8", tonumber(nan:match "0x%x+"))))
    elseif self:take "%-inf" then
        return -math.huge
    elseif self:take "inf" then
        return math.huge
    end
    local token = self:take "[%-+]?[%d.][%w.]*[%-+]?%d*"
    token = token and token:find "^[%-+]?%d+$" and token .. ".0" or token -- also "-0"
    local value = token and tonumber(token)
    if not value then
        self:fail "a number expected"
    end
    return math.type(value) == "float" and value or value + 0.0 -- which -0.0 does not bear
end

local read = {}

function read.int(r, ty)
    return r:integer(ty)
end

function read.errno(r)
    return r:integer(type_.scalars.i32)
end

function read.ptr(r)
    return r:integer()
end

function read.bool(r)
    local word = r:take "%l+"
    if word ~= "true" and word ~= "false" then
        r:fail "true or false expected"
    end
    return word == "true"
end

function read.float(r)
    return r:float()
end

local NAME = "[%a_][%w_]*"

local function named(r, ty)
    local name = r:take(NAME)
    if name and not ty.values[name] then
        r:fail("%s: no name of %s %s", name, ty.kind, ty.name)
    end
    return name
end

function read.enum(r, ty)
    return named(r, ty) or r:integer(ty.base)
end

function read.flags(r, ty)
    local value = 0
    repeat
        local name = named(r, ty)
        value = value | (name and ty.values[name] or r:integer(ty.base))
    until not r:take "|"
    return struct.flags(ty, value)
end

function read.struct(r, ty)
    local value = {}
    r:expect "{"
    for i, m in ipairs(ty.members) do
        r:expect((i > 1 and ", " or "") .. m.name .. " =")
        value[m.name] = r:value(m)
    end
    r:expect "}"
    return value
end

function Reader:value(p)
    local kind = p.type.kind
    if TEXTS[kind] then
        return self:string()
    elseif not (p.count or p.open) then
        return read[kind](self, p.type)
    end
    local list = {}
    self:expect "{"
    if not self:take "}" then
        repeat
            list[#list + 1] = read[kind](self, p.type)
        until not self:take ","
        self:expect "}"
    end
    if p.count and #list ~= p.count then
        self:fail("%d values expected, there are %d", p.count, #list)
    end
    return list
end

--- As a handler returns it.
function Reader:result(ty)
    if not ty then
        return self:expect "0"
    end
    return read[ty.kind](self, ty)
end

--- The name of an error, or nil where none stands here.
function Reader:error()
    local name = self:take "%-E[%u%d]+"
    if name then
        name = name:sub(2)
        if not errno[name] then
            self:fail("%s is no error's name", name)
        end
        return name
    end
end

--- Arguments as text.arguments() writes them.
function Reader:arguments(call)
    return each_argument(call, function(p, i)
        self:expect((i > 1 and ", " or "") .. p.name)
        if p.direction ~= "out" then
            self:expect "="
            return argument(p, self:value(p))
        end
        self:expect "["
        local room = self:integer()
        self:expect "]"
        return argument(p, room)
    end)
end

function Reader:literal()
    if self:sees '"' then
        return self:string()
    end
    local word = self:take "true" or self:take "false" or self:take "nil" or self:take "%?"
    if word then
        return ({ ["true"] = true, ["false"] = false })[word]
    elseif self:sees "%-?%d+ *$" then
        return self:integer()
    end
    return self:float()
end

return text
