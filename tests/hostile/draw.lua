-- SPDX-License-Identifier: MIT
--- What hostile guests are drawn from: math.random, seeded by the stream.

local draw = {}

--- Everything that follows depends on these only.
function draw.seed(arch, kind, seed)
    local salt = 0
    for byte in (arch .. " " .. kind):gmatch "." do
        salt = salt * 31 + byte:byte()
    end
    math.randomseed(seed, salt)
end

function draw.chance(percent)
    return math.random(100) <= percent
end

function draw.one(list)
    return list[math.random(#list)]
end

local EDGES = { 0, 1, -1, 8, 0xfff, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff,
    0x7fffffffffffffff, math.mininteger, 0xffff000000000000, 0xfffffffffffff000,
    0x7fffffffffff, 0x800000000000, 0xffffffff80000000, 0x5555555555555555 }

--- A register's value: a pointer into what is there, an edge, or anything.
function draw.value(pointers)
    local roll = math.random(10)
    if roll <= 5 then
        return draw.one(pointers) + (draw.chance(30) and math.random(-16, 16) or 0)
    elseif roll <= 7 then
        return draw.one(EDGES)
    elseif roll == 8 then
        return math.random(0, 0xffff)
    end
    return math.random(0)
end

function draw.bytes(count)
    local words = {}
    for i = 1, (count + 7) // 8 do
        words[i] = math.random(0)
    end
    return string.pack(("<i8"):rep(#words), table.unpack(words)):sub(1, count)
end

return draw
