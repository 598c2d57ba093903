-- SPDX-License-Identifier: MIT
-- The inputs that the fuzz targets keep (tests/fuzz/corpus), without a fuzzer: what
-- once was found stays mended where clang's runtime for it is not installed.
local t = ...
local hv = require "hv"

local function each(target, fn)
    local folder = t.folder .. "/tests/fuzz/corpus/" .. target
    local _, listing = t.run { "ls", folder }
    local count = 0
    for name in listing:gmatch "[^\n]+" do
        local file <close> = assert(io.open(folder .. "/" .. name, "rb"))
        local ok, why = pcall(fn, file:read "a")
        t.ok(ok, ("%s: %s"):format(name, why))
        count = count + 1
    end
    t.ok(count >= 20, count .. " files only")
end

t.test("ELF files", function()
    each("elf", dofile(t.folder .. "/tests/fuzz/elf.lua"))
end)

t.test("sizes", function()
    local good = 0
    each("size", function(text)
        local ok, size = pcall(hv.size, text)
        good = good + (ok and 1 or 0)
        if ok then
            t.ok(math.type(size) == "integer" and size >= 0, text)
        else
            t.ok(tostring(size):find "size: \"", size)
        end
    end)
    t.ok(good > 3, good .. " sizes only")
end)
