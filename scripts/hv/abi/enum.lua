-- SPDX-License-Identifier: MIT
--- hv.enum and hv.flags: integers whose values have names.
--
-- hv.enum { "idle", "busy", failed = 16 }     0, 1 and 16; a value is one of them
-- hv.flags { "read", "write", all = 7 }       bits 0 and 1, and a mask of three
-- hv.enum("u8", {...}), hv.flags("u64", {...})   u32 unless said
--
-- In Lua a value of an enum is its name, flags are a table { read = true }; both may
-- also be given as an integer, and flags as a list of names. Bits that have no name are
-- the integer `rest`, which thus is no name of a flag's.

local type = require "hv.abi.type"

local enum = {}

local Enum = { __name = "enum" }

function Enum:__tostring()
    return ("%s of %d names"):format(self.kind, #self.names)
end

local function positional(flags, i)
    return flags and 1 << i - 1 or i - 1
end

-- names (in the order of their values), values (name -> value).
local function read(kind, base, list)
    local flags = kind == "flags"
    local names, values, taken = {}, {}, {}
    local function add(name, value, what)
        type.name(name, what)
        if values[name] then
            type.fail('%s: "%s" is there twice', kind, name)
        elseif math.type(value) ~= "integer" then
            type.fail('%s: "%s": an integer expected, got %s', kind, name, _G.type(value))
        elseif base.size < 8 and (value < base.min or value > base.max) then
            type.fail('%s: "%s": %d does not fit %s', kind, name, value, base.name)
        elseif taken[value] then
            type.fail('%s: "%s" and "%s" are both %d', kind, taken[value], name, value)
        elseif flags and name == "rest" then
            type.fail('%s: "rest" is for the bits that have no name: use another', kind)
        elseif flags and value == 0 then
            type.fail('%s: "%s": 0 has no bits: leave it out', kind, name)
        end
        names[#names + 1], values[name], taken[value] = name, value, name
    end
    local count = #list
    if flags and count > base.size * 8 then
        type.fail("%s: %d names, %s has %d bits", kind, count, base.name, base.size * 8)
    end
    for i = 1, count do
        add(list[i], positional(flags, i), kind .. ": name " .. i)
    end
    for key, value in pairs(list) do
        if math.type(key) ~= "integer" or key < 1 or key > count then
            add(key, value, kind)
        end
    end
    if #names == 0 then
        type.fail("%s: no names", kind)
    end
    table.sort(names, function(a, b) return math.ult(values[a], values[b]) end)
    return names, values, taken
end

local function make(kind, base, list)
    if list == nil then
        base, list = "u32", base
    end
    local scalar = _G.type(base) == "string" and type.scalars[base]
    if not scalar or scalar.kind ~= "int" or kind == "flags" and scalar.signed then
        type.fail("%s: %s: %s expected", kind, tostring(base), kind == "flags"
            and "u8 to u64" or "u8 to u64 or i8 to i64")
    elseif _G.type(list) ~= "table" then
        type.fail("%s: a table of names expected, got %s", kind, _G.type(list))
    end
    local names, values, taken = read(kind, scalar, list)
    local all = 0
    for _, value in pairs(values) do
        all = all | value
    end
    return setmetatable({
        kind = kind, base = scalar, size = scalar.size, align = scalar.align,
        format = scalar.format, names = names, values = values, named = taken, all = all,
    }, Enum)
end

--- Raise what `fn` raises with a table at the line of whoever called the function
-- that calls this.
function enum.at_caller(fn, ...)
    local ok, result = pcall(fn, ...)
    if not ok then
        local why = _G.type(result) == "table" and result.why
        error(why and "hv." .. why or result, why and 3 or 0)
    end
    return result
end

function enum.enum(base, list)
    local made = enum.at_caller(make, "enum", base, list)
    return made
end

function enum.flags(base, list)
    local made = enum.at_caller(make, "flags", base, list)
    return made
end

function enum.is(value)
    return getmetatable(value) == Enum
end

return enum
