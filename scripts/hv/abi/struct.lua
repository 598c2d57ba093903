-- SPDX-License-Identifier: MIT
--- hv.struct: members laid out by the rules of C, and their bytes as Lua tables.
--
-- hv.struct { "u64 size", "char name[16]", "struct point at", "u8 rest[]" }
--
-- Members are scalars (u8 ... i64, bool, f32, f64, ptr, errno), structs, enums and
-- flags of the same declaration, arrays of these, and char name[n], a string that ends
-- at its first zero byte or with the array. The last may be open: name[].
--
-- struct.resolve(s, find, what)    lay it out; find(class, name) gives other types
-- Then s has size=, align=, members = { { name=, type=, offset=, count=, open=, char= } },
-- and open= where its size depends on how much there is.
-- struct.unpack(s, bytes) --> table         a whole one, or more of an open one
-- struct.pack(s, table, what) --> bytes     raises { why= } naming the member

local enum = require "hv.abi.enum"
local type = require "hv.abi.type"

local struct = {}

local Struct = { __name = "struct" }

function Struct:__tostring()
    return ("struct of %d members"):format(#self.declared)
end

-- ---- declaring -------------------------------------------------------------

local function read(list)
    if _G.type(list) ~= "table" then
        type.fail("struct: a table of members expected, got %s", _G.type(list))
    end
    local declared, seen = {}, {}
    for i, text in ipairs(list) do
        local member = type.parse(text, "struct: member " .. i)
        if member.direction then
            type.fail('struct: "%s": members have no direction', text)
        elseif seen[member.name] then
            type.fail('struct: "%s": there are two of that name', member.name)
        elseif member.open and i < #list then
            type.fail('struct: "%s": only the last member can be open', text)
        end
        seen[member.name], declared[i] = true, member
    end
    for key in pairs(list) do
        if math.type(key) ~= "integer" or key < 1 or key > #declared then
            type.fail("struct: %s: members are a list of strings", tostring(key))
        end
    end
    if #declared == 0 then
        type.fail "struct: no members"
    end
    return setmetatable({ kind = "struct", declared = declared }, Struct)
end

function struct.struct(list)
    local made = enum.at_caller(read, list)
    return made
end

function struct.is(value)
    return getmetatable(value) == Struct
end

-- ---- laying out ------------------------------------------------------------

local function align(at, to)
    return (at + to - 1) // to * to
end

local CHAR = { kind = "char", name = "char", size = 1, align = 1 }
local MOST = 1 << 24 -- bytes

local function member_type(member, find, what)
    if member.type == "char" and not member.class then
        if not (member.count or member.open) then
            type.fail('%s: "%s": char is for strings: char %s[16]', what, member.text,
                      member.name)
        end
        return CHAR
    end
    local ty = not member.class and type.scalars[member.type]
        or find(member.class, member.type, what)
    if not ty.size then
        type.fail('%s: "%s": %s is behind a pointer, and no member: use ptr', what,
                  member.text, member.type)
    elseif ty.open then
        type.fail('%s: "%s": struct %s is open: it cannot be part of another', what,
                  member.text, member.type)
    end
    return ty
end

--- Lay the struct out, and first those that it is made of.
function struct.resolve(s, find, what)
    if s.members then
        return s
    elseif s.busy then
        type.fail("%s: it contains itself", what)
    end
    s.busy = true
    local members, at, most = {}, 0, 1
    for i, declared in ipairs(s.declared) do
        local ty = member_type(declared, find, what)
        at = align(at, ty.align)
        members[i] = {
            name = declared.name, type = ty, offset = at, count = declared.count,
            open = declared.open, text = declared.text,
        }
        at = at + ty.size * (declared.open and 0 or declared.count or 1)
        most = math.max(most, ty.align)
        s.open = s.open or declared.open or nil
        if at > MOST then
            type.fail("%s: more than %d bytes", what, MOST)
        end
    end
    s.size, s.align, s.members, s.busy = align(at, most), most, members, nil
    return s
end

-- ---- values ----------------------------------------------------------------

-- One element's value from its bytes, and back; by kind.
local from, to = {}, {}

function from.int(ty, bytes, at)
    return (string.unpack("<" .. ty.format, bytes, at))
end
from.float, from.ptr, from.errno = from.int, from.int, from.int

function from.bool(_, bytes, at)
    return bytes:byte(at) ~= 0
end

-- A value without a name stays a number: what a guest has in a struct is no reason
-- to refuse all of it.
function from.enum(ty, bytes, at)
    local value = string.unpack("<" .. ty.format, bytes, at)
    return ty.named[value] or value
end

function from.flags(ty, bytes, at)
    return struct.flags(ty, (string.unpack("<" .. ty.format, bytes, at)))
end

function from.struct(ty, bytes, at)
    return struct.unpack(ty, bytes:sub(at, at + ty.size - 1))
end

--- The names of the flags that are set, as a table; rest= those bits that have none.
function struct.flags(ty, value)
    local set, left = {}, value
    for _, name in ipairs(ty.names) do
        local mask = ty.values[name]
        if value & mask == mask then
            set[name], left = true, left & ~mask
        end
    end
    set.rest = left ~= 0 and left or nil
    return set
end

local function wrong(what, ty, value)
    type.fail("%s: %s expected, got %s", what, ty.name or ty.kind,
              math.type(value) and tostring(value) or _G.type(value))
end

local function is_integer(ty, value)
    return math.type(value) == "integer" and (ty.size == 8
        or value >= ty.min and value <= ty.max)
end

function to.int(ty, value, what)
    if not is_integer(ty, value) then
        wrong(what, ty, value)
    end
    return string.pack("<i8", value):sub(1, ty.size)
end

function to.ptr(ty, value, what)
    return math.type(value) == "integer" and string.pack("<i8", value)
        or wrong(what, ty, value)
end

function to.float(ty, value, what)
    return math.type(value) and string.pack("<" .. ty.format, value) or wrong(what, ty, value)
end

function to.bool(ty, value, what)
    if _G.type(value) ~= "boolean" then
        wrong(what, ty, value)
    end
    return value and "\1" or "\0"
end

function to.errno(ty, value, what)
    return is_integer(type.scalars.i32, value) and string.pack("<i4", value)
        or wrong(what, ty, value)
end

--- An enum's or flags' value as an integer; raises { why= } for what is none.
function struct.number(ty, value, what)
    if ty.kind == "enum" then
        local number = ty.values[value] or value
        if math.type(number) ~= "integer" or not ty.named[number] then
            type.fail("%s: %s: one of %s expected", what, tostring(value),
                      table.concat(ty.names, ", "))
        end
        return number
    elseif is_integer(ty.base, value) then
        return value
    elseif _G.type(value) ~= "table" then
        wrong(what, ty, value)
    end
    local number = 0
    for key, set in pairs(value) do
        local name = math.type(key) and set or key
        if key == "rest" and math.type(set) == "integer" then
            number = number | set
        elseif not ty.values[name] then
            type.fail("%s: %s: some of %s expected", what, tostring(name),
                      table.concat(ty.names, ", "))
        elseif set then
            number = number | ty.values[name]
        end
    end
    return number
end

function to.enum(ty, value, what)
    return string.pack("<i8", struct.number(ty, value, what)):sub(1, ty.size)
end
to.flags = to.enum

function to.struct(ty, value, what)
    return struct.pack(ty, value, what)
end

--- Of one value of a type, its bytes, and of bytes from `at` on, the value.
function struct.to(ty, value, what)
    return to[ty.kind](ty, value, what)
end

function struct.from(ty, bytes, at)
    return from[ty.kind](ty, bytes, at)
end

-- ---- members, arrays and whole structs ---------------------------------------

--- `count` values in a row.
function struct.list(ty, bytes, at, count)
    local list = {}
    for i = 1, count do
        list[i] = from[ty.kind](ty, bytes, at + (i - 1) * ty.size)
    end
    return list
end

--- The bytes of a list; `count`: it has so many, no more and no less.
function struct.array(ty, list, count, what)
    if _G.type(list) ~= "table" then
        type.fail("%s: a list of %s expected, got %s", what, ty.name or ty.kind,
                  _G.type(list))
    elseif count and #list ~= count then
        type.fail("%s: %d values expected, got %d", what, count, #list)
    end
    local pieces = {}
    for i = 1, #list do -- also past a nil, which is none
        pieces[i] = to[ty.kind](ty, list[i], ("%s[%d]"):format(what, i))
    end
    return table.concat(pieces)
end

local function unpack_member(m, bytes)
    local at = m.offset + 1
    if m.type == CHAR then
        local text = bytes:sub(at, m.open and -1 or m.offset + m.count)
        return m.open and text or text:match "^[^\0]*"
    elseif m.open then
        return struct.list(m.type, bytes, at, (#bytes - m.offset) // m.type.size)
    elseif m.count then
        return struct.list(m.type, bytes, at, m.count)
    end
    return from[m.type.kind](m.type, bytes, at)
end

function struct.unpack(s, bytes)
    local value = {}
    for _, m in ipairs(s.members) do
        value[m.name] = unpack_member(m, bytes)
    end
    return value
end

local function pack_member(m, value, what)
    if m.type == CHAR then
        if _G.type(value) ~= "string" then
            type.fail("%s: a string expected, got %s", what, _G.type(value))
        elseif m.count and #value > m.count then
            type.fail("%s: %d bytes, there is room for %d", what, #value, m.count)
        end
        return value .. ("\0"):rep((m.count or 0) - #value)
    elseif m.open or m.count then
        return struct.array(m.type, value, m.count, what)
    end
    return to[m.type.kind](m.type, value, what)
end

function struct.pack(s, value, what)
    if _G.type(value) ~= "table" then
        type.fail("%s: a table expected, got %s", what, _G.type(value))
    end
    local pieces, at, left = {}, 0, {}
    for key in pairs(value) do
        left[key] = true
    end
    for _, m in ipairs(s.members) do
        local given = value[m.name]
        if given == nil then
            type.fail("%s: %s is missing", what, m.name)
        end
        local bytes = pack_member(m, given, ("%s.%s"):format(what, m.name))
        pieces[#pieces + 1] = ("\0"):rep(m.offset - at)
        pieces[#pieces + 1] = bytes
        at, left[m.name] = m.offset + #bytes, nil
    end
    if next(left) ~= nil then
        type.fail("%s: it has no member %s", what, tostring(next(left)))
    end
    pieces[#pieces + 1] = ("\0"):rep(s.size - at)
    return table.concat(pieces)
end

return struct
