-- SPDX-License-Identifier: MIT
-- Messages between processes (scripts/hv/wire.lua).
local t = ...
local wire = require "hv.wire"

local function round(...)
    return wire.decode(wire.encode(...))
end

local function bits(float)
    return (("<i8"):unpack(("<d"):pack(float)))
end

t.test("wire: plain values keep value and type", function()
    local values = {
        true, false, 0, 1, -1, 127, 128, -128, -129, math.maxinteger,
        math.mininteger, 1.0, -0.0, 0.1, math.huge, -math.huge, 0x1p-1074,
        "", "text", "\0\1\255\n", ("x"):rep(255), ("x"):rep(256),
        ("\0"):rep(100000),
    }
    for _, value in ipairs(values) do
        local got = round(value)
        t.eq(got, value)
        t.eq(math.type(got) or type(got), math.type(value) or type(value))
        if math.type(value) == "float" then
            t.eq(bits(got), bits(value))
        end
    end
    local nan = round(0 / 0)
    t.ok(nan ~= nan, "nan")
end)

t.test("wire: several values, nils among them", function()
    local got = table.pack(round(nil, 1, nil, "x", nil))
    t.eq(got, { n = 5, nil, 1, nil, "x", nil })
    t.eq(select("#", round()), 0)
    t.eq(select("#", round(nil)), 1)
    local many = {}
    for i = 1, 200 do
        many[i] = i
    end
    t.eq({ round(table.unpack(many)) }, many)
    t.raises(function() wire.encode(table.unpack(many, 1, 201)) end,
             "201 values are more than 200")
end)

t.test("wire: tables of all shapes", function()
    local values = {
        {}, { 1, 2, 3 }, { a = 1, b = { c = { "d" } } }, { [0] = 0, "one" },
        { 1, nil, 3 }, { nil, nil, 3 }, { [1.5] = true, [-1] = false },
        { [true] = 1, [false] = 2 }, { [math.maxinteger] = "last" },
        { { {} }, { { {} } } },
    }
    for i, value in ipairs(values) do
        t.eq(round(value), value, "table " .. i)
    end
end)

t.test("wire: shared tables stay shared, cycles stay cycles", function()
    local shared = { "shared" }
    local a, b = round({ shared, x = shared }, shared)
    t.ok(rawequal(a[1], a.x), "within a value")
    t.ok(rawequal(a[1], b), "between values")
    local loop = { list = {} }
    loop.self, loop.list[1] = loop, loop
    local got = round(loop)
    t.ok(rawequal(got.self, got) and rawequal(got.list[1], got), "cycle")
    local key = {}
    key[key] = key
    got = round(key)
    t.ok(rawequal(next(got), got) and rawequal(got[got], got), "table as key")
end)

t.test("wire: no metamethod runs, no metatable arrives", function()
    local function boom() error "metamethod" end
    local value = setmetatable({ 1, 2, x = 3 }, {
        __index = boom, __len = boom, __pairs = boom, __eq = boom,
    })
    local got = round(value)
    t.eq(got, { 1, 2, x = 3 })
    t.eq(getmetatable(got), nil)
end)

t.test("wire: code and userdata raise, naming the path", function()
    local f = function() end
    local function bad(pattern, ...)
        local values = table.pack(...)
        t.raises(function()
            wire.encode(table.unpack(values, 1, values.n))
        end, pattern)
    end
    bad("^[^:]+:%d+: worker message: %.handlers%[3%] is a function: "
        .. "send data, not code$", { handlers = { 1, 2, f } })
    bad("worker message: value 1 is a function", f)
    bad("worker message: value 2: %.a is a function", 1, { a = f })
    bad("worker message: %[1%] is a userdata", { io.stdout })
    bad("worker message: %.co is a thread", { co = coroutine.create(f) })
    bad('worker message: %["two words"%]%[true%] is a function',
        { ["two words"] = { [true] = f } })
    bad("worker message: %[function%] is a function", { [f] = 1 })
    local why = select(2, wire.try_encode { f })
    t.eq(why, "worker message: [1] is a function: send data, not code")
end)

local function nested(depth)
    local value = {}
    for _ = 2, depth do
        value = { value }
    end
    return value
end

t.test("wire: depth is bounded both ways", function()
    t.eq(round(nested(200)), nested(200))
    t.raises(function() wire.encode(nested(201)) end,
             "nested deeper than 200 tables")
    t.raises(function() wire.encode(nested(100000)) end,
             "nested deeper than 200 tables")
    local open = "{\1\0\0\0"
    t.raises(function() wire.decode("\1\1" .. open:rep(201)) end,
             "damaged: nested deeper than 200 tables")
    t.raises(function() wire.decode("\1\1" .. open:rep(1000000)) end,
             "damaged: nested deeper than 200 tables")
end)

t.test("wire: damaged messages raise at the caller's line", function()
    local nan = ("<d"):pack(0 / 0)
    local cases = {
        { "", "ends at byte 0" }, { "\1", "ends at byte 1" },
        { "\2\0", "version 2, not 1" }, { "\1\1", "ends at byte 2" },
        { "\1\1?", 'tag "%?" at byte 3' }, { "\1\0N", "1 bytes too many" },
        { "\1\1i\0\0", "ends at byte 5" }, { "\1\1}", "no value before byte" },
        { "\1\1s\5abc", "string at byte 5 is longer" },
        { "\1\1S" .. ("<i8"):pack(-1), "is longer than the message" },
        { "\1\1S" .. ("<i8"):pack(math.maxinteger), "is longer" },
        { "\1\1{\255\255\255\255", "table of 4294967295 values is longer" },
        { "\1\1{\0\0\0\0", "ends at byte 7" },
        { "\1\1{\0\0\0\0NN}", "nil as a key" },
        { "\1\1{\0\0\0\0f" .. nan .. "N}", "nan as a key" },
        { "\1\1{\0\0\0\0T}", "no value before byte" },
        { "\1\1{\1\0\0\0}}", "no value before byte" },
        { "\1\1@\1\0\0\0", "no table 1 yet" },
        { "\1\1@\0\0\0\0", "no table 0 yet" },
        { "\1\201", "201 values are more than 200" },
    }
    for _, case in ipairs(cases) do
        t.raises(function() wire.decode(case[1]) end,
                 "^[^:]+:%d+: worker message: damaged: .*" .. case[2])
        t.eq(wire.try_decode(case[1]), nil)
    end
    t.raises(function() wire.decode(nil) end, "a string expected, not a nil")
end)

t.test("wire: 20000 mutated messages give values or a clean error", function()
    local shared = { "s", 1.5 }
    local seeds = {
        wire.encode { 1, 2.5, "text", { a = true, b = shared, shared } },
        wire.encode(nil, -300, ("long"):rep(100), nested(50)),
        wire.encode { [shared] = shared, [1 << 40] = "x", [""] = false },
    }
    math.randomseed(7)
    local good, bad = 0, 0
    for i = 1, t.fewer(20000) do
        local bytes = seeds[i % #seeds + 1]
        for _ = 1, math.random(3) do
            local at = math.random(#bytes)
            local with = math.random(4) == 1 and ""
                or string.char(math.random(0, 255)):rep(math.random(4))
            bytes = bytes:sub(1, at - 1) .. with .. bytes:sub(at + #with)
        end
        local values, why = wire.try_decode(bytes)
        if values then
            good = good + 1
        else
            bad = bad + 1
            t.ok(why:find "^worker message: damaged: ", why)
        end
    end
    t.ok(good > 100 and bad > 100, ("%d good, %d bad"):format(good, bad))
end)
