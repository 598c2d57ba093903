-- SPDX-License-Identifier: MIT
-- What the fuzz target elf.c does with each input: fn(bytes) raises what is wrong
-- with hvlua, and nothing about the bytes.

local image = require "hv.image"
local elf = require "hv.elf"
local object = require "hv.object"

local LIMIT = 1 << 20

local function expect(condition, what)
    if not condition then
        error("not so: " .. what, 2)
    end
end

local function check_symbols(symbols)
    for name, value in pairs(symbols) do
        expect(type(name) == "string" and name ~= "", "a symbol has a name")
        expect(math.type(value) == "integer", "a symbol's value is an integer")
    end
end

local function check_segments(segments, limit)
    local at, total = 0, 0
    for _, segment in ipairs(segments) do
        expect(math.type(segment.at) == "integer" and segment.at >= at,
               "segments rise and do not overlap")
        expect(segment.size >= 0 and segment.at + segment.size >= segment.at,
               "a segment ends below 2^63")
        expect(#segment.data <= segment.size, "its data fit into it")
        expect(segment.prot:find "^r?w?x?$", "its prot is one")
        at, total = segment.at + segment.size, total + segment.size
    end
    expect(total <= limit, "it keeps to the limit")
end

local function check_image(made)
    expect(image.is(made), "it is an image")
    check_segments(made.segments, LIMIT)
    check_symbols(made.symbols)
    expect(made.entry == nil or math.type(made.entry) == "integer", "entry")
    if #made <= LIMIT then -- else there are gaps
        expect(#made.bytes == #made, "its bytes are as many as it says")
    end
    expect(type(tostring(made)) == "string", "tostring")
end

-- Errors of this library begin with its name; Lua's own begin otherwise.
local function refused(why)
    expect(type(why) == "string" and why:find "image: ", tostring(why))
    expect(not why:find "attempt to", why)
    expect(not why:find("\n", 1, true) or #why < 10000, "an error is short")
end

local function as_image(bytes)
    local ok, made = pcall(image.from, bytes, { limit = LIMIT, name = "input" })
    if not ok then
        refused(made)
        return
    end
    local fine, why = pcall(function() return made.segments, made.symbols end)
    if not fine then -- an image that can be anywhere is laid out when looked at
        expect(type(why) == "table" and why.why, tostring(why))
        return
    end
    check_image(made)
    local moved
    ok, moved = pcall(made.at, made, made.base + 0x200000)
    if ok then
        check_image(moved)
        expect(#moved == #made, "moving changes no size")
    else
        refused(moved)
    end
end

local function as_object(bytes, arch)
    local ok, made = elf.try(object.read, bytes, arch)
    if not ok then
        expect(type(made) == "string" and made ~= "", "a reason")
        return
    end
    for _, at in ipairs { 0, 0x10000, 0x40000000, 1 << 47 } do
        local fine, placed = elf.try(object.place, made, at)
        if fine then
            check_segments(placed.segments, 1 << 30)
            check_symbols(placed.symbols)
        end
    end
end

return function(bytes)
    as_image(bytes)
    as_object(bytes, "arm64")
    as_object(bytes, "x86_64")
end
