-- SPDX-License-Identifier: MIT
-- Guest memory: the map, and every way to look into it.
local t = ...

t.on("map keeps ranges sorted and apart", function(open)
    local vm = open()
    local page = vm.page_size
    local at = 8 * page
    vm:map { at = at, size = 2 * page }
    vm:map { at = 0, size = page, prot = "r-x" }
    vm:map { at = "1M", size = "64K", prot = "rw" }
    t.eq(vm.memory, {
        { at = 0, size = page, prot = "r-x" },
        { at = at, size = 2 * page, prot = "rwx" },
        { at = 0x100000, size = 0x10000, prot = "rw-" },
    })
    local free = 16 * page
    for _, wrong in ipairs {
        { { at = at, size = page }, "overlaps" },
        { { at = at - page, size = 2 * page }, "overlaps" },
        { { at = at + page, size = 2 * page }, "overlaps" },
        { { at = at - page, size = 4 * page }, "overlaps" },
        { { at = 1, size = page }, ("page size, 0x%x"):format(page) },
        { { at = free, size = 1 }, ("size 0x%x"):format(page) },
        { { at = free, size = 0 }, "size is 0" },
        { { at = free, size = -page }, "must not be negative" },
        { { at = -page, size = 2 * page }, "ends beyond" },
        { { at = free, size = 1 << 62 }, "map: " },
        { { at = free, size = page, prot = "" }, "at least one of rwx" },
        { { at = free, size = page, prot = "rwz" }, "only the letters rwx" },
        { { at = free, size = page, prot = 7 }, "a string of rwx" },
        { { at = free, size = 0.5 }, "not a 64-bit integer" },
        { { at = {}, size = page }, "an integer expected, got table" },
        { { size = page }, "at: an integer expected, got nothing" },
        { { at = free, size = page, porT = "r" }, 'did you mean "prot"?' },
        { { at = free, size = page, file = 1 }, "a path expected" },
        { { at = free, size = page, file = "/nonexistent" },
            "/nonexistent: No such file" },
        { { at = free, size = page, file = "/" }, "not a regular file" },
        { { at = free, size = page, file = "/dev/zero" }, "not a regular file" },
        { { at = free, size = page, offset = page }, "only with file" },
        { { at = free, size = page, shared = true }, "a file to share" },
        { { at = free, size = page, host = {} }, "a light userdata expected" },
    } do
        t.raises(function() vm:map(wrong[1]) end, wrong[2])
    end
    t.eq(#vm.memory, 3, "after all those errors")
end)

t.on("no memory beyond the physical addresses, with a vcpu or without", function(open)
    for _, cpus in ipairs { 0, 1 } do
        local vm = open { memory = "64K" }
        for _ = 1, cpus do
            vm:vcpu()
        end
        for _, at in ipairs { -vm.page_size, math.mininteger, 1 << 60, 1 << 52 } do
            t.raises(function() vm:map { at = at, size = vm.page_size } end, ("0x%x"):format(at))
            t.eq(#vm.memory, 1)
        end
        vm:close()
    end
end)

t.on("unmap and protect name a range by its start", function(open)
    local vm = open()
    local page = vm.page_size
    local low = vm:map { at = 0, size = 4 * page }
    local high = vm:map { at = 16 * page, size = page }
    t.raises(function() vm:unmap(page) end, "is inside the memory that starts at 0x0")
    t.raises(function() vm:unmap(32 * page) end,
             ("no memory is mapped at 0x%x"):format(32 * page))
    t.raises(function() vm:protect(16 * page, "q") end, "only the letters")
    low:protect "r-x"
    t.eq(low.prot, "r-x")
    vm:protect(16 * page, "rw")
    t.eq(high.prot, "rw-")
    vm:unmap(low)
    t.raises(function() return low.prot end, "unmapped")
    t.raises(function() low:unmap() end, "unmapped")
    t.raises(function() vm:unmap(low) end, "unmapped already")
    t.raises(function() vm:u8(0) end, "no memory is mapped at 0x0")
    high:unmap()
    t.eq(#vm.memory, 0)
    local again = vm:map { at = 0, size = page }
    t.eq(vm:read(0, 4), "\0\0\0\0", "new memory is zeroed")
    t.eq(tostring(low), "memory (unmapped)")
    t.eq(again.at, 0)
end)

t.on("another machine's memory is refused", function(open)
    t.several(open)
    local one, two = open(), open()
    local mem = one:map { at = 0, size = "64K" }
    two:map { at = 0, size = "64K" }
    t.raises(function() two:unmap(mem) end, "another machine's")
    t.eq(mem.prot, "rwx")
end)

t.on("read and write cross from range to range", function(open)
    local vm = open()
    local page = vm.page_size
    local outside = ("no memory is mapped at 0x%x"):format(2 * page)
    vm:map { at = 0, size = page }
    vm:map { at = page, size = page, prot = "r" }
    vm:write(page - 3, "abcdef")
    t.eq(vm:read(page - 3, 6), "abcdef")
    t.eq(vm:read(page, 0), "")
    t.raises(function() vm:read(2 * page - 1, 2) end, outside)
    t.raises(function() vm:write(2 * page - 1, "xy") end, outside)
    t.eq(vm:read(2 * page - 1, 1), "\0", "a write is whole or not at all")
    t.raises(function() vm:read(0, -1) end, "must not be negative")
    t.raises(function() vm:read(0, 1 << 40) end, "at most 1 GiB")
    t.raises(function() vm:read(-1, 2) end, "no memory is mapped at 0xffffffffffffffff")
    t.raises(function() vm:read("0x", 1) end, "not a size")
    t.raises(function() vm:write(0) end, "a string of bytes expected, got no value")
end)

t.on("memory at the very top of the address space", function(open, backend)
    local vm = open()
    local top = -vm.page_size
    if not pcall(vm.map, vm, { at = top, size = vm.page_size }) then
        t.skip(backend .. " has no guest physical addresses that high")
    end
    vm:u8(-1, 0x5a)
    t.eq(vm:u8(-1), 0x5a)
    t.raises(function() vm:u16(-1) end, "no memory is mapped")
    t.raises(function() vm:cstring(-1) end, "no memory is mapped")
end)

t.on("integers of every size", function(open)
    local vm = open { memory = "64K" }
    vm:write(0x100, "\x88\x99\xaa\xbb\xcc\xdd\xee\xff")
    t.eq(vm:u8(0x100), 0x88)
    t.eq(vm:u16(0x100), 0x9988)
    t.eq(vm:u32(0x100), 0xbbaa9988)
    t.eq(vm:u64(0x100), 0xffeeddccbbaa9988)
    vm:u8(0x200, 255)
    vm:u8(0x201, -128)
    vm:u16(0x202, -1)
    vm:u32(0x204, 0xfedcba98)
    t.eq(vm:read(0x200, 8), "\xff\x80\xff\xff\x98\xba\xdc\xfe")
    t.raises(function() vm:u8(0, 256) end, "u8: 256 does not fit")
    t.raises(function() vm:u8(0, -129) end, "u8: -129 does not fit")
    t.raises(function() vm:u32(0, 1 << 32) end, "does not fit 4 bytes")
    t.raises(function() vm:u32(0, "1") end, "an integer expected, got string")
    t.raises(function() vm:u32(0, 1.5) end, "not a 64-bit integer")
    t.raises(function() vm:u32(0xfffe) end, "no memory is mapped at 0x10000")
    vm:u16(0x300, 2.0)
    t.eq(vm:u16(0x300), 2)
end)

t.on("views", function(open)
    local vm = open { memory = "64K" }
    local u32, u8 = vm:view "u32", vm:view "u8"
    u32[0x10] = 0x01020304
    t.eq(u8[0x10], 4)
    t.eq(u32[0x10], 0x01020304)
    u8[0x13] = 0xff
    t.eq(u32[0x10], 0xff020304)
    t.raises(function() return u32[0x10000] end, "no memory is mapped")
    t.raises(function() u32[0] = nil end, "number expected")
    t.raises(function() return u32.x end, "u32")
    t.raises(function() vm:view "u33" end, "u33")
    vm:close()
    t.raises(function() return u32[0] end, "the machine is closed")
end)

t.on("pack and unpack", function(open)
    local vm = open { memory = "64K" }
    t.eq(vm:pack("<I4 z s2", 0x100, 7, "name", "xyz"), 0x100 + 4 + 5 + 5)
    t.eq({ vm:unpack("<I4 z s2", 0x100) }, { 7, "name", "xyz", 0x10e })
    t.eq({ vm:unpack("<i2", 0x100) }, { 7, 0x102 })
    vm:pack("z", 0xfffe, "a")
    t.eq({ vm:unpack("z", 0xfffe) }, { "a", 0x10000 })
    t.raises(function() vm:pack("z", 0xffff, "a") end, "no memory is mapped at 0x10000")
    t.raises(function() vm:unpack("<I4", 0xffff) end, "no memory is mapped at 0x10000")
    t.raises(function() vm:unpack("q!", 0) end, "invalid format option")
end)

t.on("cstring, fill, find", function(open)
    local vm = open { memory = "32K" }
    vm:write(0x3ffe, "split\0tail")
    t.eq(vm:cstring(0x3ffe), "split")
    t.eq(vm:cstring(0x3ffe, 6), "split")
    t.raises(function() vm:cstring(0x3ffe, 5) end, "no NUL in the 5 bytes")
    vm:fill(0x7800, 0x800, 0x41)
    t.raises(function() vm:cstring(0x7800) end, "no memory is mapped at 0x8000")
    t.eq(vm:read(0x77ff, 3), "\0AA")
    t.raises(function() vm:fill(0, 1, 256) end, "256 is not 0 to 255")
    t.raises(function() vm:fill(0x7fff, 2) end, "mapped at 0x8000")
    t.eq(vm:find("split", 0, "32K"), 0x3ffe)
    t.eq(vm:find("tail", 0, "32K"), 0x4004)
    t.eq(vm:find("AAA", 0x7ffc, 4), 0x7ffc)
    t.eq(vm:find("AAA", 0x7ffe, 2), nil)
    t.eq(vm:find("nowhere", 0, "32K"), nil)
    t.raises(function() vm:find("", 0, 1) end, "nothing to find")
    t.raises(function() vm:find("a", 0, "33K") end, "mapped at 0x8000")
end)

t.on("files behind memory", function(open)
    local vm, path = open(), os.tmpname()
    local page = vm.page_size
    local out = assert(io.open(path, "wb"))
    out:write(("0123456789abcdef"):rep(2 * page // 16), "tail")
    out:close()
    vm:map { at = 0, size = 3 * page, file = path, prot = "rw" }
    t.eq(vm:read(2 * page, 6), "tail\0\0", "what the file lacks is zero")
    vm:write(0, "private")
    vm:map { at = "1M", size = page, file = path, offset = page, shared = true }
    vm:write("1M", "shared!")
    t.raises(function()
        vm:map { at = "2M", size = 3 * page, file = path, shared = true }
    end, "too short")
    t.raises(function()
        vm:map { at = "2M", size = page, file = path, offset = 1 << 40 }
    end, "too short")
    vm:close()
    local file = assert(io.open(path, "rb"))
    local bytes = file:read "a"
    file:close()
    os.remove(path)
    t.eq(bytes:sub(1, 7), "0123456", "a private copy")
    t.eq(bytes:sub(page + 1, page + 7), "shared!")
end)
