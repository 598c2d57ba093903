-- SPDX-License-Identifier: MIT
-- hv.abi, hv.struct, hv.enum, hv.flags: what can be declared, and how it is laid out.
local t = ...
local hv = require "hv"
local struct = require "hv.abi.struct"

-- ---- what is refused, and the field's name in the message ------------------------

local s = hv.struct { "u32 a" }
local MANY = {}
for i = 1, 25 do
    MANY[i] = "in bytes p" .. i
end

local BAD = { -- { fields, text }
    { nil, "a table of calls and types expected, got nil" },
    { {}, "there are no calls" },
    { { s_t = s }, "there are no calls" },
    { { 1 }, "1: fields have names" },
    { { [1.5] = { 1 } }, "1.5: fields have names" },
    { { version = -1, a = { 1 } }, "version: an integer from 0 to 2^32-1 expected, got -1" },
    { { version = 1.5, a = { 1 } }, "version: " },
    { { version = "1", a = { 1 } }, "version: " },
    { { version = 1 << 32, a = { 1 } }, "version: " },
    { { a = 1 }, "a: a call { number, ... } or a type expected, got number" },
    { { a = "u8 x" }, "a: a call" },
    { { a = {} }, "a: its number is missing" },
    { { a = { "u8 x" } }, "a: its number is missing: { 1, ... }, got string" },
    { { a = { 1.5 } }, "a: its number is missing" },
    { { a = { -1 } }, "a: -1 is not 0 to 0x7fffffff" },
    { { a = { 1 << 31 } }, "a: 2147483648 is not 0 to 0x7fffffff" },
    { { a = { 1 }, b = { 1 } }, "b: 1 is the number of a" },
    { { a = { 1 }, b = { 5000 } }, "the numbers 1 to 5000: more than 4096" },
    { { a = { 1, "u8" } }, 'a: parameter 1: "u8": a type and a name expected' },
    { { a = { 1, "" } }, "a: parameter 1" },
    { { a = { 1, "u8 x y" } }, 'a: parameter 1: "u8 x y": a type and a name' },
    { { a = { 1, 8 } }, "a: parameter 1: a string such as" },
    { { a = { 1, "u8 x", {} } }, "a: parameter 2: a string such as" },
    { { a = { 1, "u7 x" } }, 'a: parameter 1: there is no type "u7"' },
    { { a = { 1, "int x" } }, 'there is no type "int"' },
    { { a = { 1, "u8 x", "u8 x" } }, 'a: "u8 x": there are two of that name' },
    { { a = { 1, "u8 while" } }, '"while" is a keyword of C, C++ or Lua' },
    { { a = { 1, "u8 class" } }, '"class" is a keyword' },
    { { a = { 1, "u8 nil" } }, '"nil" is a keyword' },
    { { ["int"] = { 1 } }, 'call: "int" is a keyword' },
    { { a = { 1, "u8 2x" } }, '"2x" is no name' },
    { { a = { 1, "u8 x-y" } }, '"x-y" is no name' },
    { { ["a b"] = { 1 } }, 'call: "a b" is no name' },
    { { _a = { 1 } }, "names that begin with _ or hv_" },
    { { hv_a = { 1 } }, "names that begin with _ or hv_" },
    { { [("a"):rep(41)] = { 1 } }, "more than 40 characters" },
    { { a = { 1, "bytes x" } }, 'a: parameter 1: "bytes x": in, out or inout' },
    { { a = { 1, "u8 x[4]" } }, '"u8 x[4]": in, out or inout' },
    { { a = { 1, "u8 x[]" } }, '"u8 x[]": in, out or inout' },
    { { a = { 1, "struct s x" }, s = s }, '"struct s x": in, out or inout' },
    { { a = { 1, "in bytes x[0]" } }, "[0]: 1 to 1048576 elements" },
    { { a = { 1, "in bytes x[-1]" } }, "[-1]: 1 to 1048576" },
    { { a = { 1, "in bytes x[n]" } }, "[n]: 1 to 1048576" },
    { { a = { 1, "in bytes x[1.5]" } }, "[1.5]: 1 to 1048576" },
    { { a = { 1, "in bytes x[99999999]" } }, "[99999999]: 1 to 1048576" },
    { { a = { 1, "in bytes x[]" } }, "bytes are as many as there are: leave [] out" },
    { { a = { 1, "out cstr x" } }, "a cstr is read: for what is written use out bytes" },
    { { a = { 1, "in cstr x[4]" } }, "a cstr is read" },
    { { a = { 1, "errno x" } }, "errno is for returns" },
    { { a = { 1, "char x[4]" } }, "char is for members of structs" },
    { { a = { 1, "at u8 x" } }, "a type and a name expected" },
    { { a = { 1, "in struct t x" } }, "there is no struct t: declare t = hv.struct {...}" },
    { { a = { 1, "enum t x" } }, "there is no enum t: declare t = hv.enum {...}" },
    { { a = { 1, "flags s x" }, s = s }, "there is no flags s" },
    { { a = { 1, "in struct a x" } }, "there is no struct a" },
    { { a = { 1, returns = "bytes" } }, 'a: returns: "bytes"' },
    { { a = { 1, returns = "cstr" } }, 'a: returns: "cstr"' },
    { { a = { 1, returns = "struct s" }, s = s }, 'a: returns: "struct s"' },
    { { a = { 1, returns = "i65" } }, 'a: returns: "i65"' },
    { { a = { 1, returns = 64 } }, "a: returns: a type such as" },
    { { a = { 1, return_ = "i64" } }, "a: unknown field return_" },
    { { a = { 1, [3] = "u8 x" } }, "a: unknown field 3" },
    { { a = { 1 }, range = 5 }, "range: { first, last } expected" },
    { { a = { 1 }, range = { 1 } }, "range: { first, last } expected" },
    { { a = { 1 }, range = { 1, 2, 3 } }, "range: { first, last } expected" },
    { { a = { 1 }, range = { 5, 2 } }, "range: 5 to 2: 0 to 0x7fffffff, rising" },
    { { a = { 1 }, range = { 2, 5 } }, "a: 1 is not in the range, 2 to 5" },
    { { a = { 1 }, range = { 0, 4096 } }, "the numbers 0 to 4096: more than 4096" },
    { { a = { 0x68766162 } }, "1752588642 is that of hv_abi_check" },
    { { a = { 1, table.unpack(MANY) } }, "a: 25 parameters: at most 24: pass a struct" },
    { { a = { 1, "in struct p x" }, p = hv.struct { "struct p next" } },
      "struct p: it contains itself" },
    { { a = { 1 }, p = hv.struct { "struct q x" }, q = hv.struct { "struct p x" } },
      "it contains itself" },
    { { a = { 1 }, p = hv.struct { "struct q x" }, q = hv.struct { "u8 x[]" } },
      "struct q is open: it cannot be part of another" },
    { { a = { 1, "in struct p x[4]" }, p = hv.struct { "u8 x[]" } },
      "struct p is open: there is no array of such" },
    { { a = { 1 }, p = hv.struct { "cstr x" } }, "cstr is behind a pointer, and no member" },
    { { a = { 1 }, p = hv.struct { "char x" } }, "char is for strings: char x[16]" },
    { { a = { 1 }, p = hv.struct { "u64 x[1048576]", "u64 y[1048576]", "u64 z" } },
      "more than 16777216 bytes" },
}

t.test(("%d declarations that are none"):format(#BAD), function()
    t.ok(#BAD >= 60)
    for i, case in ipairs(BAD) do
        local why = t.raises(function() hv.abi("t", case[1]) end, case[2])
        t.ok(why:find("hv.abi: t: ", 1, true), ("%d: %s"):format(i, why))
        t.ok(why:find "^[^:]*tests/abi.lua:%d+: ", why)
    end
    for name, why in pairs { [1] = "a name expected, got number", ["a b"] = "is no name",
        ["while"] = "is a keyword" } do
        t.raises(function() hv.abi(name, { a = { 1 } }) end, "hv.abi: ")
        t.raises(function() hv.abi(name, { a = { 1 } }) end, why)
    end
    t.raises(function() hv.abi("t", { a = { 1 } }, 1) end, "hv.abi: takes 2 arguments, got 3")
end)

t.test("structs, enums and flags that are none", function()
    for _, case in ipairs {
        { hv.struct, { nil }, "hv.struct: a table of members expected, got nil" },
        { hv.struct, { {} }, "hv.struct: no members" },
        { hv.struct, { { "u8 x", "u8 x" } }, 'hv.struct: "x": there are two' },
        { hv.struct, { { "in u8 x" } }, 'hv.struct: "in u8 x": members have no direction' },
        { hv.struct, { { "u8 x[]", "u8 y" } }, "only the last member can be open" },
        { hv.struct, { { x = "u8" } }, "hv.struct: x: members are a list" },
        { hv.struct, { { "u8 x", [3] = "u8 y" } }, "hv.struct: 3: members are a list" },
        { hv.struct, { { 1 } }, "hv.struct: member 1: a string" },
        { hv.enum, { {} }, "hv.enum: no names" },
        { hv.enum, { 1 }, "hv.enum: a table of names expected, got number" },
        { hv.enum, { { "a", "a" } }, 'hv.enum: "a" is there twice' },
        { hv.enum, { { "a", b = 0 } }, 'hv.enum: "a" and "b" are both 0' },
        { hv.enum, { { a = 1.5 } }, 'hv.enum: "a": an integer expected' },
        { hv.enum, { "u8", { a = 256 } }, 'hv.enum: "a": 256 does not fit u8' },
        { hv.enum, { "i8", { a = -129 } }, 'hv.enum: "a": -129 does not fit i8' },
        { hv.enum, { "f32", { "a" } }, "hv.enum: f32: u8 to u64 or i8 to i64 expected" },
        { hv.enum, { { "if" } }, "is a keyword" },
        { hv.flags, { "i8", { "a" } }, "hv.flags: i8: u8 to u64 expected" },
        { hv.flags, { { a = 0 } }, 'hv.flags: "a": 0 has no bits' },
        { hv.flags, { { "a", "rest" } }, 'hv.flags: "rest" is for the bits that have no name' },
        { hv.flags, { "u8", { "a", "b", "c", "d", "e", "f", "g", "h", "i" } },
          "hv.flags: 9 names, u8 has 8 bits" },
    } do
        t.raises(function() case[1](table.unpack(case[2])) end, case[3])
    end
end)

-- ---- layouts ---------------------------------------------------------------------

local function layout(fields, types)
    local all = { a = { 1 }, s = hv.struct(fields) }
    for name, ty in pairs(types or {}) do
        all[name] = ty
    end
    local resolved = hv.abi("t", all).types.s
    local offsets = {}
    for i, m in ipairs(resolved.members) do
        offsets[i] = m.offset
    end
    return offsets, resolved.size, resolved.align, resolved
end

t.test("structs are laid out as C does", function()
    local function check(fields, offsets, size, align, types)
        local o, n, a = layout(fields, types)
        t.eq({ o, n, a }, { offsets, size, align }, table.concat(fields, "; "))
    end
    check({ "u8 a" }, { 0 }, 1, 1)
    check({ "u8 a", "u16 b", "u8 c" }, { 0, 2, 4 }, 6, 2)
    check({ "u8 a", "u64 b", "u32 c" }, { 0, 8, 16 }, 24, 8)
    check({ "bool a", "f32 b", "f64 c", "ptr d", "errno e" }, { 0, 4, 8, 16, 24 }, 32, 8)
    check({ "char name[5]", "i16 x[3]" }, { 0, 6 }, 12, 2)
    check({ "u32 n", "u8 rest[]" }, { 0, 4 }, 4, 4)
    check({ "u8 n", "u64 rest[]" }, { 0, 8 }, 8, 8)
    check({ "u8 a", "struct p b", "u8 c" }, { 0, 8, 24 }, 32, 8,
          { p = hv.struct { "u64 x", "u8 y" } })
    check({ "u8 a", "enum e b", "flags f c" }, { 0, 1, 8 }, 16, 8,
          { e = hv.enum("u8", { "x" }), f = hv.flags("u64", { "x" }) })
    check({ "struct p b[3]", "u8 c" }, { 0, 9 }, 10, 1, { p_t = hv.struct { "u8 x[3]" } })
end)

t.test("values become bytes, and bytes values", function()
    local types = { e = hv.enum("i16", { "no", "yes", other = -5 }),
        f = hv.flags { "r", "w", "x" }, p = hv.struct { "u16 x", "u16 y" } }
    local _, _, _, ty = layout({ "u8 a", "i32 b", "bool c", "f32 d", "f64 e", "enum e f",
        "flags f g", "struct p h[2]", "char i[6]", "u64 j", "u16 rest[]" }, types)
    local value = { a = 255, b = -2, c = true, d = 0.5, e = -1e300, f = "other",
        g = { r = true, x = true }, h = { { x = 1, y = 2 }, { x = 3, y = 4 } }, i = "abc",
        j = -1, rest = { 7, 8, 9 } }
    local bytes = struct.pack(ty, value, "v")
    t.eq(#bytes, ty.members[11].offset + 6)
    t.eq(struct.unpack(ty, bytes), value)
    t.eq(bytes:sub(1, 9), "\xff\0\0\0\xfe\xff\xff\xff\1")
    value.i = "abcdef" -- all of its room
    t.eq(struct.unpack(ty, struct.pack(ty, value, "v")).i, "abcdef")
    value.f, value.g = 1, { "w", rest = 0x100 }
    local back = struct.unpack(ty, struct.pack(ty, value, "v"))
    t.eq({ back.f, back.g }, { "yes", { w = true, rest = 0x100 } })
    local function refused(field, bad, text)
        local old = value[field]
        value[field] = bad
        local ok, why = pcall(struct.pack, ty, value, "v")
        t.ok(not ok and why.why:find(text, 1, true), field .. ": " .. tostring(why and why.why))
        value[field] = old
    end
    refused("a", 256, "v.a: u8 expected, got 256")
    refused("a", 1.5, "v.a: u8 expected")
    refused("a", "1", "v.a: u8 expected, got string")
    refused("b", 1 << 31, "v.b: i32 expected")
    refused("c", 1, "v.c: bool expected")
    refused("d", "1", "v.d: f32 expected")
    refused("f", "maybe", "v.f: maybe: one of")
    refused("f", 7, "v.f: 7: one of")
    refused("g", { q = true }, "v.g: q: some of r, w, x")
    refused("h", { { x = 1, y = 2 } }, "v.h: 2 values expected, got 1")
    refused("h", { { x = 1, y = 2 }, { x = 1 } }, "v.h[2]: y is missing")
    refused("i", "abcdefg", "v.i: 7 bytes, there is room for 6")
    refused("j", nil, "v: j is missing")
    refused("k", 1, "v: it has no member k")
    refused("rest", { 1, 70000 }, "v.rest[2]: u16 expected")
end)

t.test("types are each ABI's own, and in the hash", function()
    local shared = hv.struct { "struct inner x" }
    local function make(inner, version, extra)
        return hv.abi("t", { version = version, a = { 1, "in struct outer x", extra },
                             outer = shared, inner = inner })
    end
    local one, two = make(hv.struct { "u8 v" }), make(hv.struct { "u64 v" })
    t.eq({ one.types.outer.size, two.types.outer.size }, { 1, 8 })
    t.ok(one.hash ~= two.hash)
    t.eq(one.hash, make(hv.struct { "u8 v" }, 7).hash, "the version is told apart")
    t.ok(one.hash ~= make(hv.struct { "u8 w" }).hash)
    t.ok(one.hash ~= make(hv.struct { "u8 v" }, 1, "u8 more").hash)
    t.eq(tostring(one):match "^abi t: version 1, 1 calls, layout %x+$" ~= nil, true)
end)
