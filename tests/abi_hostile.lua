-- SPDX-License-Identifier: MIT
-- Guests that call with whatever is in their registers: nothing changes but the
-- buffers that a call passes, and only when it succeeds. HVLUA_FUZZ=full: 100,000
-- calls on unicorn, 2,000 on kvm.
local t = ...
local caller = dofile(t.folder .. "/tests/abi/caller.lua")
local hv = require "hv"

local FULL = os.getenv "HVLUA_FUZZ" == "full"
local SIZE = 0x20000 -- of what is looked at; page tables are behind it

local ABI = {
    range = { 0, 13 },
    a = { 1, "u8 x", "i16 y", "bool z", "f32 f", "f64 g", returns = "i64" },
    b = { 2, "cstr text", returns = "u32" },
    c = { 3, "in bytes data", returns = "i64" },
    d = { 4, "out bytes data", returns = "i64" },
    e = { 5, "inout bytes data[32]", "u32 x" },
    f = { 6, "in struct s x", "out struct s y", returns = "errno" },
    g = { 7, "in bytes from", "out bytes to", "inout u32 n", returns = "i64" },
    h = { 8, "inout struct open list" },
    i = { 9, "out u16 v[]", "in u64 w[]", returns = "u64" },
    j = { 10, "enum e x", "flags f y", "ptr p", returns = "enum e" },
    k = { 11, "u8 a", "u8 b", "u8 c", "u8 d", "u8 e", "u8 f", "u8 g", "in bytes h", "out u8 i" },
    l = { 12, "out struct s y[3]" },
    s = hv.struct { "u64 a", "i32 b", "char c[5]", "u16 d[2]" },
    open = hv.struct { "u32 n", "u16 rest[]" },
    e_t = hv.enum { "zero", "one", "two" },
    f_t = hv.flags { "r", "w", "x" },
}

-- Where a call's buffers are, by its words: { at, size }, and 8 bytes of spilled words
-- are only read.
local OUT = {
    [4] = function(w) return { { w[1], w[2] } } end,
    [5] = function(w) return { { w[1], 32 } } end,
    [6] = function(w) return { { w[2], 24 } } end,
    [7] = function(w) return { { w[3], w[4] }, { w[5], 4 } } end,
    [8] = function(w) return { { w[1], w[2] } } end,
    [9] = function(w) return { { w[1], w[2] * 2 } } end,
    [11] = function(_, spilled) return { { spilled[3] or 0, spilled[3] and 1 or 0 } } end,
    [12] = function(w) return { { w[1], 72 } } end,
}

local function value(i)
    return { a = i, b = -1, c = "abcde", d = { 1, 2 } }
end

local HANDLERS = {
    a = function(x) return x end,
    b = function(text) return #text end,
    c = function(data) return #data end,
    d = function(room) return ("D"):rep(room // 2) end,
    e = function() return ("E"):rep(32) end,
    f = function(x) return value(x.a) end,
    g = function(from, room, n) return from:sub(1, room), n + 1 & 0xffffffff end,
    h = function(list) list.n = 7 return list end,
    j = function(x) return x end,
    k = function(_, _, _, _, _, _, _, h) return #h & 0xff end,
    l = function() return { value(1), value(2), value(3) } end,
}
HANDLERS.i = function(room, w) return room > 0 and { 0xffff } or {}, #w end

local function draw_word(random)
    local kind = random(10)
    if kind <= 4 then
        return random(0, SIZE - 1)
    elseif kind <= 5 then
        return random(0, 2)
    elseif kind <= 7 then
        return random(0, 64)
    elseif kind == 8 then
        return SIZE - random(0, 32)
    elseif kind == 9 then
        return random(0) -- all 64 bits
    end
    return -random(0, 16)
end

t.on("random calls change nothing but what they pass", function(open, backend)
    local vm, call = caller.guest(open, 0x80000)
    local server = vm:serve(hv.abi("fuzz", ABI), HANDLERS, { limit = "64K", string = 256 })
    local seed = 20261120
    math.randomseed(seed)
    for i = 0, SIZE // 8 - 1 do
        vm:u64(i * 8, i % 4 > 0 and math.random(0, SIZE // 2) -- as spilled words are
            or math.random(0) & 0x7f7f7f007f7f7f7f)
    end
    local count = backend == "kvm" and (FULL and 2000 or 300) or FULL and 100000 or 3000
    local before, succeeded = vm:read(0, SIZE), {}
    for n = 1, count do
        local nr, words = math.random(0, 13), {}
        for i = 1, 8 do
            words[i] = i == 8 and math.random(2) == 1 and 32 * math.random(0, 4000) + 8
                or draw_word(math.random)
        end
        local spilled = {}
        if words[8] >= 0 and words[8] <= SIZE - 24 then
            spilled = { string.unpack("<i8i8i8", before, words[8] + 1) }
        end
        local _, number, exit = call(nr, table.unpack(words))
        t.ok(exit.kind == "wfi" or exit.kind == "halt", exit.kind)
        local failed = number ~= 0
        local after = vm:read(0, SIZE)
        local expected = before
        for _, range in ipairs(not failed and OUT[nr] and OUT[nr](words, spilled) or {}) do
            local at, size = range[1], range[2]
            if size > 0 then -- what a call that succeeded may have changed
                expected = expected:sub(1, at) .. after:sub(at + 1, at + size)
                    .. expected:sub(at + size + 1)
            end
        end
        if after ~= expected then
            error(("call %d of seed %d: number %d changed what it did not pass")
                  :format(n, seed, nr))
        end
        before = after
        succeeded[nr] = succeeded[nr] or not failed
    end
    for nr = 1, 12 do -- or it would not have tested much
        t.ok(succeeded[nr] or backend == "kvm", ("number %d never succeeded"):format(nr))
    end
    t.ok(server.errors > count // 10, "there were few errors: " .. server.errors)
end)
