-- SPDX-License-Identifier: MIT
--- Values as strings, for messages between processes.
--
-- wire.encode(value, ...) --> string       raises at the caller's line
-- wire.decode(string) --> value, ...       likewise
-- wire.try_encode(value, ...) --> string | nil, why
-- wire.try_decode(string) --> values with n | nil, why
--
-- nil, booleans, integers, floats, strings of any bytes, and tables of them.
-- Tables that are met twice are one table on the other side, cycles included;
-- metatables stay behind. Code and userdata raise, saying where they are.
--
-- What decode reads may come from anybody: it gives values or an error, in time
-- and memory in proportion to the length of the string.

local wire = {}

-- A message is VERSION, the number of values, the values. A value is a tag and
-- what follows it:
--   N nil   F false   T true
--   b i1   i i8   f float   s s1 string   S s8 string
--   {  u4 count, `count` values for the keys 1..count, then pairs of key and
--      value, then }
--   @  u4: the table of that number, in the order of their "{"
local VERSION = 1
local DEPTH_MAX = 200
local VALUES_MAX = 200
local PATH_MAX = 120

-- ---- encode ------------------------------------------------------------

local function step(key)
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then
        return "." .. key
    elseif type(key) == "string" then
        return ("[%q]"):format(key:sub(1, 40))
    end
    local plain = math.type(key) or type(key) == "boolean"
    return ("[%s]"):format(plain and tostring(key) or type(key))
end

local function path_of(state)
    local path = {}
    for i = 1, state.depth do
        path[i] = step(state.path[i])
    end
    path = table.concat(path)
    if #path > PATH_MAX then
        path = path:sub(1, PATH_MAX) .. "..."
    end
    local which = ("value %d"):format(state.which)
    if path == "" then
        return which
    end
    return state.several and which .. ": " .. path or path
end

local function refuse(state, words)
    error({ why = ("worker message: %s %s"):format(path_of(state), words) }, 0)
end

local put -- put(state, value)

local function put_under(state, key, value)
    state.depth = state.depth + 1
    state.path[state.depth] = key
    put(state, value)
    state.depth = state.depth - 1
end

local function put_table(state, value)
    local out, seen = state.out, state.seen
    if seen[value] then
        out[#out + 1] = ("<c1I4"):pack("@", seen[value])
        return
    elseif state.depth >= DEPTH_MAX then
        refuse(state, ("is nested deeper than %d tables"):format(DEPTH_MAX))
    end
    state.tables = state.tables + 1
    seen[value] = state.tables
    local count = rawlen(value)
    out[#out + 1] = ("<c1I4"):pack("{", count)
    for i = 1, count do
        put_under(state, i, rawget(value, i))
    end
    for key, item in next, value do
        if math.type(key) ~= "integer" or key < 1 or key > count then
            put_under(state, key, key)
            put_under(state, key, item)
        end
    end
    out[#out + 1] = "}"
end

local PUT = {
    ["nil"] = function()
        return "N"
    end,
    boolean = function(value)
        return value and "T" or "F"
    end,
    number = function(value)
        if math.type(value) == "float" then
            return ("<c1d"):pack("f", value)
        elseif value >= -128 and value <= 127 then
            return ("<c1i1"):pack("b", value)
        end
        return ("<c1i8"):pack("i", value)
    end,
    string = function(value)
        return (#value < 256 and "<c1s1" or "<c1s8")
            :pack(#value < 256 and "s" or "S", value)
    end,
}

function put(state, value)
    local kind = type(value)
    local simple = PUT[kind]
    if simple then
        state.out[#state.out + 1] = simple(value)
    elseif kind == "table" then
        put_table(state, value)
    else
        refuse(state, ("is a %s: send data, not code"):format(kind))
    end
end

local function encode(...)
    local n = select("#", ...)
    if n > VALUES_MAX then
        error({ why = ("worker message: %d values are more than %d: send a "
                       .. "table"):format(n, VALUES_MAX) }, 0)
    end
    local state = {
        out = { ("BB"):pack(VERSION, n) }, seen = {}, tables = 0, path = {},
        depth = 0, several = n > 1,
    }
    for i = 1, n do
        state.which = i
        put(state, (select(i, ...)))
    end
    return table.concat(state.out)
end

-- ---- decode ------------------------------------------------------------

local function damaged(words, ...)
    error({ why = "worker message: damaged: " .. words:format(...) }, 0)
end

local function take(state, format, length)
    local place = state.place
    if length > #state.bytes - place + 1 then
        damaged("ends at byte %d", #state.bytes)
    end
    state.place = place + length
    return (format:unpack(state.bytes, place))
end

local get -- get(state, depth) --> value

local END = {} -- what get() gives for "}"

local function get_string(state, length)
    local place = state.place
    if length < 0 or length > #state.bytes - place + 1 then
        damaged("string at byte %d is longer than the message", place)
    end
    state.place = place + length
    return state.bytes:sub(place, place + length - 1)
end

local function get_value(state, depth)
    local value = get(state, depth)
    if value == END then
        damaged("no value before byte %d", state.place)
    end
    return value
end

local function get_table(state, depth)
    if depth >= DEPTH_MAX then
        damaged("nested deeper than %d tables", DEPTH_MAX)
    end
    local value = {}
    state.tables[#state.tables + 1] = value
    local count = take(state, "<I4", 4)
    if count > #state.bytes - state.place + 1 then
        damaged("table of %d values is longer than the message", count)
    end
    for i = 1, count do
        value[i] = get_value(state, depth + 1)
    end
    while true do
        local key = get(state, depth + 1)
        if key == END then
            return value
        elseif key == nil or key ~= key then
            damaged("%s as a key", key == nil and "nil" or "nan")
        end
        value[key] = get_value(state, depth + 1)
    end
end

local GET = {
    N = function() return nil end,
    F = function() return false end,
    T = function() return true end,
    b = function(state) return take(state, "<i1", 1) end,
    i = function(state) return take(state, "<i8", 8) end,
    f = function(state) return take(state, "<d", 8) end,
    s = function(state) return get_string(state, take(state, "<I1", 1)) end,
    S = function(state) return get_string(state, take(state, "<i8", 8)) end,
    ["{"] = get_table,
    ["}"] = function() return END end,
    ["@"] = function(state)
        local number = take(state, "<I4", 4)
        return state.tables[number] or damaged("no table %d yet", number)
    end,
}

function get(state, depth)
    local tag = take(state, "c1", 1)
    local read = GET[tag]
    if not read then
        damaged("tag %q at byte %d", tag, state.place - 1)
    end
    return read(state, depth)
end

local function decode(bytes)
    if type(bytes) ~= "string" then
        error({ why = ("worker message: a string expected, not a %s")
                :format(type(bytes)) }, 0)
    end
    local state = { bytes = bytes, place = 1, tables = {} }
    local version = take(state, "B", 1)
    if version ~= VERSION then
        damaged("version %d, not %d", version, VERSION)
    end
    local values = { n = take(state, "B", 1) }
    if values.n > VALUES_MAX then
        damaged("%d values are more than %d", values.n, VALUES_MAX)
    end
    for i = 1, values.n do
        values[i] = get_value(state, 0)
    end
    if state.place <= #bytes then
        damaged("%d bytes too many", #bytes - state.place + 1)
    end
    return values
end

-- ---- the four ----------------------------------------------------------

local function try(fn, ...)
    local ok, result = pcall(fn, ...)
    if ok then
        return result
    elseif type(result) ~= "table" or not result.why then
        error(result, 0)
    end
    return nil, result.why
end

function wire.try_encode(...)
    return try(encode, ...)
end

function wire.try_decode(bytes)
    return try(decode, bytes)
end

function wire.encode(...)
    local bytes, why = try(encode, ...)
    return bytes or error(why, 2)
end

function wire.decode(bytes)
    local values, why = try(decode, bytes)
    if not values then
        error(why, 2)
    end
    return table.unpack(values, 1, values.n)
end

return wire
