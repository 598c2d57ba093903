-- SPDX-License-Identifier: MIT
--- hv.abi: what a guest may ask of its host, declared once. vm:serve() (abi/serve.lua)
-- answers by it, `hvlua abi` (abi/command.lua) writes it down for C, assembly and people.
--
-- hv.abi(name, {
--     version = 3,
--     puts  = { 2, "cstr text" },
--     write = { 3, "u32 fd", "in bytes data", returns = "i64" },
--     stat  = { 5, "u32 id", "out struct stat info", returns = "errno" },
--     stat_t = hv.struct { "u64 size", "u32 mode" },
-- }) --> abi
--
-- Fields besides calls and types: `version` (1), and `range = { first, last }`, the
-- numbers that are this ABI's (from its lowest to its highest call).
--
-- A parameter is "type name", with these types and what they take of the eight words
-- that a call can pass (x1-x8; rdi rsi rdx rcx r8 r9 r10 r11):
--     u8 ... u64, i8 ... i64, bool, f32, f64, ptr, enum NAME, flags NAME    a word
--     cstr                                a pointer to bytes that end with a zero
--     in | out | inout bytes name         a pointer, and how many bytes
--     in | out | inout bytes name[64]     a pointer
--     in | out | inout TYPE name          a pointer to one
--     in | out | inout TYPE name[4]       a pointer to four
--     in | out | inout TYPE name[]        a pointer, and how many
--     in | out | inout struct NAME name   a pointer; to an open one, also its bytes
-- What takes more than eight words leaves the rest, from the eighth on, in guest
-- memory, eight bytes each: the eighth word is its address. A call has at most 24
-- parameters.
--
-- A call's result is in x0 or rax; x1 or rdx is 0, or the error's number, and then the
-- result is that negated.
--
-- abi: { name=, version=, first=, last=, hash=, calls = { call... } by number,
-- call = { name -> call }, types = { name -> type }, order = { type... } }
-- abi:record(file), abi:replay(file): calls written down, and answered from that
-- call: { name=, nr=, params=, returns=, words=, text= }
-- param: { name=, type=, direction=, count=, open=, words=, text= }

local enum = require "hv.abi.enum"
local prototype = require "hv.abi.prototype"
local struct = require "hv.abi.struct"
local type_ = require "hv.abi.type"

local fail = type_.fail

local WORDS = 8
local NUMBERS = 0x7fffffff -- the rest is for SMCCC's own calls
local RANGE = 4096
local PARAMS = 24 -- each has up to seven local variables, and Lua has 200: see marshal.lua

local methods = {}
local Abi = { __name = "abi", __index = methods }

function Abi:__tostring()
    return ("abi %s: version %d, %d calls, layout %016x"):format(
        self.name, self.version, #self.calls, self.hash)
end

-- ---- types -----------------------------------------------------------------

-- "struct stat" is the field `stat`, or where a call has that name, `stat_t`. Each ABI
-- has copies of its own: what a struct is made of may differ.
local function finder(fields, seen)
    local copies = {}
    local function copy_of(value, name, find)
        local own = copies[value]
        if not own then
            own = {}
            for key, field in pairs(value) do
                own[key] = field
            end
            own.name = name
            copies[value] = setmetatable(own, getmetatable(value))
        end
        if own.kind == "struct" then
            struct.resolve(own, find, "struct " .. name)
        end
        if not seen[own] then
            seen[own] = true
            seen[#seen + 1] = own -- behind those that it is made of
        end
        return own
    end
    local function find(class, name, what)
        if not class then
            fail('%s: there is no type "%s": u8 to u64, i8 to i64, bool, f32, f64, ptr, '
                .. "cstr, bytes, struct, enum and flags are", what, tostring(name))
        end
        for _, key in ipairs { name, name .. "_t" } do
            local value = fields[key]
            if (struct.is(value) or enum.is(value)) and value.kind == class then
                return copy_of(value, name, find)
            end
        end
        fail('%s: there is no %s %s: declare %s = hv.%s {...}', what, class, name, name, class)
    end
    return find
end

-- ---- calls -------------------------------------------------------------------

local function check_direction(param, parsed, what)
    local kind = param.type.kind
    local memory = kind == "bytes" or parsed.count or parsed.open or kind == "struct"
    if memory and not param.direction then
        fail('%s: "%s": in, out or inout: it is in guest memory', what, parsed.text)
    elseif kind == "cstr" and (param.direction and param.direction ~= "in" or parsed.count
        or parsed.open) then
        fail('%s: "%s": a cstr is read: for what is written use out bytes', what, parsed.text)
    elseif kind == "bytes" and parsed.open then
        fail('%s: "%s": bytes are as many as there are: leave [] out', what, parsed.text)
    elseif kind == "errno" and not memory then
        fail('%s: "%s": errno is for returns, and for members of structs', what, parsed.text)
    elseif param.type.open and (parsed.count or parsed.open) then
        fail('%s: "%s": struct %s is open: there is no array of such', what, parsed.text,
             param.type.name)
    end
    if kind == "cstr" then
        param.direction = nil
    end
end

-- How many words it takes, and whether these are an address.
local function measure(param)
    local sized = param.type.kind == "bytes" and not param.count or param.open
        or param.type.open
    param.words = param.direction and sized and 2 or 1
    param.sized = param.direction and sized and true or nil
end

local function read_param(text, find, what)
    local parsed = type_.parse(text, what)
    if parsed.type == "char" then
        fail('%s: "%s": char is for members of structs: use cstr or bytes', what, text)
    end
    local param = {
        name = parsed.name, direction = parsed.direction, count = parsed.count,
        open = parsed.open, text = parsed.text,
        type = not parsed.class and type_.scalars[parsed.type]
            or find(parsed.class, parsed.type, what),
    }
    check_direction(param, parsed, what)
    measure(param)
    return param
end

local RESULTS = { int = true, bool = true, float = true, ptr = true, errno = true, enum = true,
    flags = true }

local function read_result(text, find, what)
    if text == nil then
        return nil
    elseif type(text) ~= "string" then
        fail('%s: returns: a type such as "i64" expected, got %s', what, type(text))
    end
    local class, name = text:match "^%s*(%l+)%s+([%w_]+)%s*$"
    local ty = class and (class == "enum" or class == "flags") and find(class, name, what)
        or type_.scalars[text:match "^%s*(.-)%s*$"]
    if not ty or not RESULTS[ty.kind] then
        fail('%s: returns: "%s": an integer, bool, f32, f64, ptr, errno, enum or flags '
            .. "expected", what, text)
    end
    return ty
end

local function read_number(nr, what)
    if math.type(nr) ~= "integer" then
        fail("%s: its number is missing: { 1, ... }, got %s", what, type(nr))
    elseif nr < 0 or nr > NUMBERS then
        fail("%s: %d is not 0 to 0x%x", what, nr, NUMBERS)
    end
    return nr
end

local function read_call(name, fields, find)
    type_.name(name, "call")
    local call = { name = name, nr = read_number(fields[1], name), params = {}, words = 0 }
    local seen = {}
    if #fields - 1 > PARAMS then
        fail("%s: %d parameters: at most %d: pass a struct", name, #fields - 1, PARAMS)
    end
    for i = 2, #fields do
        local param = read_param(fields[i], find, ("%s: parameter %d"):format(name, i - 1))
        if seen[param.name] then
            fail('%s: "%s": there are two of that name', name, param.text)
        end
        seen[param.name], call.params[i - 1] = true, param
        call.words = call.words + param.words
    end
    for key in pairs(fields) do
        if key ~= "returns" and not (math.type(key) == "integer" and fields[key] ~= nil
            and key >= 1 and key <= #fields) then
            fail("%s: unknown field %s: there are the number, parameters and returns", name,
                 tostring(key))
        end
    end
    call.returns = read_result(fields.returns, find, name)
    call.spilled = call.words > WORDS
    return call
end

-- ---- all of it ---------------------------------------------------------------

local function sorted_keys(fields)
    local keys = {}
    for key in pairs(fields) do
        if type(key) ~= "string" then
            fail("%s: fields have names: call = { number, ... }", tostring(key))
        end
        keys[#keys + 1] = key
    end
    table.sort(keys)
    return keys
end

local function add_calls(abi, fields, keys, find)
    local taken = {}
    for _, key in ipairs(keys) do
        local value = fields[key]
        if key == "version" or key == "range" or struct.is(value) or enum.is(value) then
            goto continue
        elseif type(value) ~= "table" then
            fail("%s: a call { number, ... } or a type expected, got %s", key, type(value))
        end
        local call = read_call(key, value, find)
        if taken[call.nr] then
            fail("%s: %d is the number of %s", key, call.nr, taken[call.nr])
        end
        taken[call.nr], abi.call[key] = key, call
        abi.calls[#abi.calls + 1] = call
        ::continue::
    end
    if #abi.calls == 0 then
        fail "there are no calls"
    end
    table.sort(abi.calls, function(a, b) return a.nr < b.nr end)
end

local function set_range(abi, range)
    local first, last = abi.calls[1].nr, abi.calls[#abi.calls].nr
    if range ~= nil then
        local lowest = type(range) == "table" and range[1]
        local highest = type(range) == "table" and range[2]
        if math.type(lowest) ~= "integer" or math.type(highest) ~= "integer"
            or next(range, 2) then
            fail "range: { first, last } expected"
        elseif lowest < 0 or highest > NUMBERS or lowest > highest then
            fail("range: %d to %d: 0 to 0x%x, rising", lowest, highest, NUMBERS)
        elseif first < lowest or last > highest then
            local out = first < lowest and abi.calls[1] or abi.calls[#abi.calls]
            fail("%s: %d is not in the range, %d to %d", out.name, out.nr, lowest, highest)
        end
        first, last = lowest, highest
    end
    if last - first >= RANGE then
        fail("the numbers %d to %d: more than %d: make two ABIs of it", first, last, RANGE)
    end
    if first <= prototype.check and prototype.check <= last then
        fail("the numbers %d to %d: %d is that of hv_abi_check", first, last, prototype.check)
    end
    abi.first, abi.last = first, last
end

-- ---- the layout's hash ---------------------------------------------------------

-- All that a guest depends on, in one text: names are part of it, comments are none.
local function canonical(abi)
    local lines = {}
    local function add(format, ...)
        lines[#lines + 1] = format:format(...)
    end
    local function suffix(p)
        return p.open and "[]" or p.count and ("[%d]"):format(p.count) or ""
    end
    add("abi %s %d %d", abi.name, abi.first, abi.last)
    for _, ty in ipairs(abi.order) do
        if ty.kind == "struct" then
            for _, m in ipairs(ty.members) do
                add("struct %s %s%s %s %d", ty.name, m.type.name, suffix(m), m.name, m.offset)
            end
        else
            for _, name in ipairs(ty.names) do
                add("%s %s %s %s %d", ty.kind, ty.name, ty.base.name, name, ty.values[name])
            end
        end
    end
    for _, call in ipairs(abi.calls) do
        add("call %d %s %s", call.nr, call.name, call.returns and call.returns.name or "")
        for _, p in ipairs(call.params) do
            add("%s %s%s %s", p.direction or "", p.type.name, suffix(p), p.name)
        end
    end
    return table.concat(lines, "\n")
end

-- FNV-1a, 64 bits.
local function hash(text)
    local value = 0xcbf29ce484222325
    for i = 1, #text do
        value = (value ~ text:byte(i)) * 0x100000001b3
    end
    return value
end

local function declare(name, fields)
    type_.name(name, "the ABI's name")
    if type(fields) ~= "table" then
        fail("a table of calls and types expected, got %s", type(fields))
    end
    local version = fields.version
    if version ~= nil and (math.type(version) ~= "integer" or version < 0
        or version > 0xffffffff) then
        fail("version: an integer from 0 to 2^32-1 expected, got %s", tostring(version))
    end
    local keys, seen = sorted_keys(fields), {}
    local find = finder(fields, seen)
    local abi = { name = name, version = version or 1, calls = {}, call = {}, types = {} }
    for _, key in ipairs(keys) do -- also those that no call has
        local value = fields[key]
        if struct.is(value) or enum.is(value) then
            type_.name(key, "type")
            find(value.kind, key:match "^(.+)_t$" or key, key)
        end
    end
    add_calls(abi, fields, keys, find)
    set_range(abi, fields.range)
    for _, ty in ipairs(seen) do
        abi.types[ty.name] = ty
    end
    abi.order = table.move(seen, 1, #seen, 1, {})
    abi.hash = hash(canonical(abi))
    return setmetatable(abi, Abi)
end

-- ---- mocks ---------------------------------------------------------------------

local function opened(module, abi, what, file, ...)
    if getmetatable(abi) ~= Abi then
        error(("abi: %s: an ABI of hv.abi() expected, got %s: call it with abi:%s(file)"):format(
            what, type(abi), what), 3)
    elseif type(file) ~= "string" then
        error(("abi: %s: a file's name expected, got %s"):format(what, type(file)), 3)
    elseif select("#", ...) > 0 then
        error(("abi: %s: nothing goes behind the file's name"):format(what), 3)
    end
    local made, why = require(module).open(abi, file)
    if not made then
        error(("abi: %s: %s"):format(what, why), 3)
    end
    return made
end

--- For vm:serve(): what it answers is written to the file too (abi/record.lua).
function methods.record(abi, file, ...)
    local made = opened("hv.abi.record", abi, "record", file, ...)
    return made
end

--- For vm:serve(): the file answers (abi/replay.lua).
function methods.replay(abi, file, ...)
    local made = opened("hv.abi.replay", abi, "replay", file, ...)
    return made
end

local module = {}

--- Of any text, 64 bits.
module.hash = hash

--- fn(abi), which hears of each that is declared: for abi/command.lua.
module.on_declared = nil

function module.abi(name, fields, ...)
    if select("#", ...) > 0 then
        error("hv.abi: takes 2 arguments, got " .. 2 + select("#", ...), 2)
    end
    local ok, result = pcall(declare, name, fields)
    if not ok then
        local why = type(result) == "table" and result.why
        error(why and ("hv.abi: %s%s"):format(type(name) == "string" and name .. ": " or "", why)
              or result, why and 2 or 0)
    end
    if module.on_declared then
        module.on_declared(result)
    end
    return result
end

function module.is(value)
    return getmetatable(value) == Abi
end

return module
