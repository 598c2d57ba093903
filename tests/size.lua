-- SPDX-License-Identifier: MIT
-- Sizes and addresses, and the options of constructors (scripts/hv/size.lua,
-- options.lua).
local t = ...
local options = require "hv.options"
local size = require "hv.size"

t.test("sizes: numbers and strings", function()
    local cases = {
        { 0, 0 }, { 4096, 4096 }, { 65536.0, 65536 }, { "0", 0 },
        { "4096", 4096 }, { "0x1000", 0x1000 }, { "0XfF", 255 },
        { "64K", 65536 }, { "1m", 1 << 20 }, { "2G", 2 << 30 },
        { "1T", 1 << 40 }, { "0x10K", 16384 },
        { math.maxinteger, math.maxinteger },
        { "9223372036854775807", math.maxinteger },
        { "0x7fffffffffffffff", math.maxinteger },
        { "8388607T", 8388607 << 40 },
    }
    for _, case in ipairs(cases) do
        local got = size(case[1])
        t.eq(got, case[2], tostring(case[1]))
        t.eq(math.type(got), "integer", tostring(case[1]))
    end
end)

t.test("sizes: what is not one raises, with the reason", function()
    local cases = {
        { -1, "^[^:]+:%d+: size: %-1: must not be negative$" },
        { "-1", "must not be negative" },
        { -0x1p70, "not a 64-bit integer" },
        { 1.5, "not a 64-bit integer" },
        { "1.5K", 'size: "1.5K": must be a whole number' },
        { 0x1p63, "not a 64-bit integer" },
        { 0 / 0, "not a 64-bit integer" },
        { math.huge, "not a 64-bit integer" },
        { "9223372036854775808", "does not fit in 63 bits" },
        { "0x8000000000000000", "does not fit in 63 bits" },
        { "99999999999999999999999", "does not fit in 63 bits" },
        { "8388608T", "does not fit in 63 bits" },
        { "1Q", 'size: "1Q": unknown unit: use K, M, G or T$' },
        { "64KB", "unknown unit" }, { "1 K", "unknown unit" },
        { "K", "not a size" }, { "", "not a size" }, { "0x", "not a size" },
        { "x10", "not a size" }, { " 1", "not a size" },
        { "1\0", "unknown unit" }, { "1\0K", "unknown unit" },
        { nil, "size: an integer expected, got nothing" },
        { {}, "size: an integer expected, got table" },
        { true, "size: an integer expected, got boolean" },
    }
    for i = 1, #cases do
        t.raises(function() size(cases[i][1]) end, cases[i][2])
    end
end)

t.test("sizes: the caller's name, at the line asked for", function()
    local function map(opts)
        local at = size(opts.at, "map: at", 2)
        return at
    end
    local line = debug.getinfo(1, "l").currentline + 2
    t.raises(function()
        local at = map { at = "4X" }
        return at
    end, (':%d: map: at: "4X": unknown'):format(line))
end)

t.test("options: unknown and mistyped fields raise", function()
    local known = { arch = "string", at = "number or string", raw = "boolean" }
    local given = { arch = "arm64", at = 1 }
    t.eq(options("image", given, known), given)
    t.eq(options("image", nil, known), {})
    local function bad(opts, pattern)
        t.raises(function() options("image", opts, known) end, pattern)
    end
    bad({ arhc = 1 }, '^[^:]+:%d+: image: unknown option "arhc": '
        .. 'did you mean "arch"%?$')
    bad({ colour = 1 }, "known options are arch, at, raw$")
    bad({ 1 }, 'unknown option "1"')
    bad({ [("x"):rep(1 << 20)] = 1 }, "known options are")
    bad({ raw = "yes" }, "image: raw must be a boolean, not a string$")
    bad({ at = {} }, "image: at must be a number or string, not a table$")
    bad("arm64", "image: options must be a table, not a string$")
end)
