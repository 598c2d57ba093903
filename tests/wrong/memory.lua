-- SPDX-License-Identifier: MIT
-- Wrong calls: guest memory, and what is loaded into it. See wrong.lua.
-- luacheck: no max line length (a row is one line)
local _, wrong = ...
local hv = require "hv"

-- A multiple of every backend's page; hvf's is 16 KiB.
local PAGE, MIN, MAX, INF = 0x4000, math.mininteger, math.maxinteger, math.huge
local on = wrong.on

on("memory that cannot be mapped", {
    { function(vm) vm:map() end, "map: a table expected, got nothing" },
    { function(vm) vm:map "1M" end, "map: a table expected, got string" },
    { function(vm) vm:map {} end, "map: at: an integer expected, got nothing" },
    { function(vm) vm:map { at = "1M" } end, "map: size: an integer expected, got nothing" },
    { function(vm) vm:map { at = true, size = PAGE } end, "map: at: an integer expected, got boolean" },
    { function(vm) vm:map { at = "1M ", size = PAGE } end, 'map: at: "1M ": unknown unit' },
    { function(vm) vm:map { at = "1M", size = PAGE, port = 1 } end, 'map: unknown field "port": did you mean "prot"?' },
    { function(vm) vm:map { at = "1M", size = PAGE, host = 1 } end, "map: host: a light userdata expected, got number" },
    { function(vm) vm:map { at = "1M", size = PAGE, colour = 1 } end, 'map: unknown field "colour": the fields are at, size, prot, file, offset, shared' },
    { function(vm) vm:map { "1M", "16K" } end, "map: field names expected as keys, got a number" },
    { function(vm) vm:map { at = "1M", size = 0 } end, "map: size is 0" },
    { function(vm) vm:map { at = "1M", size = "0K" } end, "map: size is 0" },
    { function(vm) vm:map { at = 1 << 20 | 0x800, size = PAGE } end, "map: at 0x100800, size 0x4000: both must be multiples of the page size, 0x1000: the pages around are at 0x100000, size 0x5000", hvf = "map: at 0x100800, size 0x4000: both must be multiples of the page size, 0x4000: the pages around are at 0x100000, size 0x8000" },
    { function(vm) vm:map { at = "1M", size = 4095 } end, "map: at 0x100000, size 0xfff: both must be multiples of the page size" },
    { function(vm) vm:map { at = 1 << 31, size = 1 } end, "map: at 0x80000000, size 0x1: both must be multiples" },
    { function(vm) vm:map { at = (1 << 63) - PAGE, size = 1 } end, "map: at 0x7fffffffffffc000, size 0x1: both" },
    { function(vm) vm:map { at = -PAGE, size = "32K" } end, "map: at 0xffffffffffffc000, size 0x8000: ends beyond the address space" },
    { function(vm) vm:map { at = -PAGE, size = MAX - 0x3fff } end, "map: at 0xffffffffffffc000, size 0x7fffffffffffc000: ends beyond" },
    { function(vm) vm:map { at = MIN, size = MIN } end, "map: size: -9223372036854775808: must not be negative" },
    { function(vm) vm:map { at = "1M", size = 1 << 62 } end, "map: 0x4000000000000000 bytes: " },
    { function(vm) vm:map { at = 0, size = PAGE } end, "map: 0x0-0x3fff overlaps the memory at 0x0-0xffff: unmap that first" },
    { function(vm) vm:map { at = 0xc000, size = "32K" } end, "map: 0xc000-0x13fff overlaps the memory at 0x0-0xffff" },
    { function(vm) vm:map { at = 0, size = "1G" } end, "map: 0x0-0x3fffffff overlaps" },
    { function(vm) vm:map { at = "1M", size = PAGE, prot = "---" } end, 'map: prot: "---": needs at least one of rwx' },
    { function(vm) vm:map { at = "1M", size = PAGE, prot = "RW" } end, 'map: prot: "RW": only the letters rwx and - are allowed' },
    { function(vm) vm:map { at = "1M", size = PAGE, prot = "rw\0x" } end, 'map: prot: "rw": has a zero byte' },
    { function(vm) vm:map { at = "1M", size = PAGE, prot = {} } end, "map: prot: a string of rwx expected, got table" },
    { function(vm) vm:map { at = "1M", size = PAGE, file = true } end, "map: file: a path expected, got boolean" },
    { function(vm) vm:map { at = "1M", size = PAGE, file = "/dev/null\0x" } end, 'map: file: "/dev/null": has a zero byte' },
    { function(vm) vm:map { at = "1M", size = PAGE, file = "/dev/null" } end, "map: /dev/null: not a regular file" },
    { function(vm) vm:map { at = "1M", size = PAGE, file = "" } end, "map: : No such file or directory" },
    { function(vm) vm:map { at = "1M", size = PAGE, offset = 1 } end, "map: offset: only with file" },
    { function(vm) vm:map { at = "1M", size = PAGE, offset = {} } end, "map: offset: an integer expected, got table" },
    { function(vm) vm:map { at = "1M", size = PAGE, shared = 1 } end, "map: shared: a boolean expected, got number" },
    { function(vm) vm:map { at = "1M", size = PAGE, shared = "no" } end, "map: shared: a boolean expected, got string" },
})

on("files that cannot be mapped", {
    { function(vm, _, _, path) vm:map { at = "1M", size = PAGE, file = path, offset = PAGE } end, "map: /SHORT: has 5 bytes: too short for offset 0x4000, size 0x4000" },
    { function(vm, _, _, path) vm:map { at = "1M", size = PAGE, file = path, offset = MIN } end, "map: /SHORT: has 5 bytes: too short for offset 0x8000000000000000" },
    { function(vm, _, _, path) vm:map { at = "1M", size = PAGE, file = path, offset = -1 } end, "map: /SHORT: has 5 bytes: too short for offset 0xffffffffffffffff" },
    { function(vm, _, _, path) vm:map { at = "1M", size = PAGE, file = path, shared = true } end, "map: /SHORT: has 5 bytes: too short for offset 0x0, size 0x4000" },
    { function(vm, _, _, path) vm:map { at = "1M", size = PAGE, file = path, offset = 1, shared = true } end, "map: offset 0x1: shared memory needs a multiple of the page size, 0x1000", hvf = "map: offset 0x1: shared memory needs a multiple of the page size, 0x4000" },
    { function(vm, _, _, path) vm:map { at = 0, size = PAGE, file = path } end, "map: 0x0-0x3fff overlaps" },
    { function(vm, _, _, path) vm:map { at = "1M", size = PAGE, file = path .. "/x" } end, "map: /SHORT/x: Not a directory" },
    { function(vm, _, _, path) vm:map { at = "1M", size = PAGE, file = path, host = path } end, "map: host: a light userdata expected, got string" },
}, function()
    local file = assert(io.open(wrong.short, "w"))
    file:write "short"
    file:close()
    return wrong.short
end)

on("ranges that are not there", {
    { function(vm) vm:unmap() end, "unmap: at: an integer expected, got nothing" },
    { function(vm) vm:unmap {} end, "unmap: at: an integer expected, got table" },
    { function(vm, cpu) vm:unmap(cpu) end, "unmap: at: an integer expected, got userdata" },
    { function(vm) vm:unmap "0x10000" end, "unmap: no memory is mapped at 0x10000" },
    { function(vm) vm:unmap(PAGE) end, "unmap: 0x4000 is inside the memory that starts at 0x0: name its start" },
    { function(vm) vm:unmap(-1) end, "unmap: no memory is mapped at 0xffffffffffffffff" },
    { function(vm) vm:unmap(1 << 31) end, "unmap: no memory is mapped at 0x80000000" },
    { function(vm) vm:unmap(0.5) end, "unmap: at: 0.5 is not a 64-bit integer" },
    { function(vm) vm:protect() end, "protect: at: an integer expected, got nothing" },
    { function(vm) vm:protect(0) end, "protect: prot: needs r, w or x" },
    { function(vm) vm:protect(0, "") end, 'protect: prot: "": needs at least one of rwx' },
    { function(vm) vm:protect(0, 7) end, "protect: prot: a string of rwx expected, got number" },
    { function(vm) vm:protect(0, "r w") end, 'protect: prot: "r w": only the letters rwx' },
    { function(vm) vm:protect(0x8000, "r") end, "protect: 0x8000 is inside the memory that starts at 0x0" },
    { function(vm) vm:protect(MIN, "r") end, "protect: no memory is mapped at 0x8000000000000000" },
    { function(_, _, mem) mem:protect() end, "protect: prot: needs r, w or x" },
    { function(_, _, mem) mem:protect "rX" end, 'protect: prot: "rX": only the letters rwx' },
})

on("reads and writes out of bounds", {
    { function(vm) vm:read() end, "read: at: an integer expected, got nothing" },
    { function(vm) vm:read(0) end, "read: size: an integer expected, got nothing" },
    { function(vm) vm:read({}, 1) end, "read: at: an integer expected, got table" },
    { function(vm) vm:read(0, "1P") end, 'read: size: "1P": unknown unit' },
    { function(vm) vm:read(0, 0x10001) end, "read: 0x10001 bytes at 0x0: no memory is mapped at 0x10000" },
    { function(vm) vm:read(0xffff, 2) end, "read: 0x2 bytes at 0xffff: no memory is mapped at 0x10000" },
    { function(vm) vm:read(0, 1 << 31) end, "read: size: 2147483648 bytes: at most 1 GiB at a time" },
    { function(vm) vm:read(0, MAX) end, "read: size: 9223372036854775807 bytes: at most 1 GiB" },
    { function(vm) vm:read(0, MIN) end, "read: size: -9223372036854775808: must not be negative" },
    { function(vm) vm:read(1 << 31, 1) end, "read: 0x1 bytes at 0x80000000: no memory is mapped at 0x80000000" },
    { function(vm) vm:read(MAX, 2) end, "read: 0x2 bytes at 0x7fffffffffffffff: no memory" },
    { function(vm) vm:read(-1, 1 << 30) end, "read: 0x40000000 bytes at 0xffffffffffffffff: no memory is mapped at 0xffffffffffffffff" },
    { function(vm) vm:write(0, nil) end, "write: a string of bytes expected, got nil" },
    { function(vm) vm:write(0, 65) end, "write: a string of bytes expected, got number" },
    { function(vm) vm:write("x", "x") end, 'write: at: "x": not a size' },
    { function(vm) vm:write(0xfffe, "abc") end, "write: 0x3 bytes at 0xfffe: no memory is mapped at 0x10000" },
    { function(vm) vm:write(-2, "abc") end, "write: 0x3 bytes at 0xfffffffffffffffe: no memory" },
    { function(vm) vm:fill(0) end, "fill: size: an integer expected, got nothing" },
    { function(vm) vm:fill(0, 1, "\0") end, "fill: byte: an integer expected, got string" },
    { function(vm) vm:fill(0, 1, -1) end, "fill: byte: -1 is not 0 to 255" },
    { function(vm) vm:fill(0, 1, 1 << 63) end, "fill: byte: -9223372036854775808 is not 0 to 255" },
    { function(vm) vm:fill(0, MAX) end, "fill: 0x7fffffffffffffff bytes at 0x0: no memory is mapped at 0x10000" },
    { function(vm) vm:fill(0x8000, MAX) end, "fill: 0x7fffffffffffffff bytes at 0x8000: no memory is mapped at 0x10000" },
    { function(vm) vm:fill(1, -1) end, "fill: size: -1: must not be negative" },
    { function(vm) vm:find() end, "find: at: an integer expected, got nothing" },
    { function(vm) vm:find("x", 0) end, "find: size: an integer expected, got nothing" },
    { function(vm) vm:find(1, 0, 1) end, "find: a string of bytes expected, got number" },
    { function(vm) vm:find("", 0, 16) end, "find: nothing to find" },
    { function(vm) vm:find("x", 0, "64T") end, "find: 0x400000000000 bytes at 0x0: no memory" },
    { function(vm) vm:find("x", 0xffff, 2) end, "find: 0x2 bytes at 0xffff: no memory is mapped at 0x10000" },
    { function(vm) vm:cstring() end, "cstring: at: an integer expected, got nothing" },
    { function(vm) vm:cstring(0x10000) end, "cstring: 0x1 bytes at 0x10000: no memory is mapped" },
    { function(vm) vm:cstring(0, 0) end, "cstring: no NUL in the 0 bytes from 0x0" },
    { function(vm) vm:cstring(0, 1 << 31) end, "cstring: max: 2147483648 bytes: at most 1 GiB" },
    { function(vm) vm:cstring(0, -1) end, "cstring: max: -1: must not be negative" },
    { function(vm) vm:cstring(-1) end, "cstring: 0x1 bytes at 0xffffffffffffffff: no memory" },
})

on("integers that do not fit", {
    { function(vm) vm:u8() end, "u8: at: an integer expected, got nothing" },
    { function(vm) vm:u16 "" end, 'u16: at: "": not a size' },
    { function(vm) vm:u32(0.1) end, "u32: at: 0.1 is not a 64-bit integer" },
    { function(vm) vm:u64(INF) end, "u64: at: inf is not a 64-bit integer" },
    { function(vm) vm:u64(0xfff9) end, "read: 0x8 bytes at 0xfff9: no memory is mapped at 0x10000" },
    { function(vm) vm:u64(0xfff9, 0) end, "write: 0x8 bytes at 0xfff9: no memory is mapped at 0x10000" },
    { function(vm) vm:u16(-1, 0) end, "write: 0x2 bytes at 0xffffffffffffffff: no memory" },
    { function(vm) vm:u8(0, 256) end, "u8: 256 does not fit 1 byte" },
    { function(vm) vm:u16(0, 1 << 31) end, "u16: 2147483648 does not fit 2 bytes" },
    { function(vm) vm:u32(0, MIN) end, "u32: -9223372036854775808 does not fit 4 bytes" },
    { function(vm) vm:u32(0, -(1 << 31) - 1) end, "u32: -2147483649 does not fit 4 bytes" },
    { function(vm) vm:u64(0, 2.0 ^ 64) end, "u64: value: 1.844674407371e+19 is not a 64-bit integer" },
    { function(vm) vm:u64(0, "1") end, "u64: value: an integer expected, got string" },
    { function(vm) vm:u8(0, true) end, "u8: value: an integer expected, got boolean" },
    { function(vm) vm:view() end, 'view: "u8", "u16", "u32" or "u64" expected, got nothing' },
    { function(vm) vm:view(8) end, 'view: "u8", "u16", "u32" or "u64" expected, got number' },
    { function(vm) vm:view "i8" end, 'view: "i8": use "u8", "u16", "u32" or "u64"' },
    { function(vm) vm:view "u8\0" end, 'view: "u8": has a zero byte' },
    { function(vm) local _ = vm:view "u8"[0x10000] end, "read: 0x1 bytes at 0x10000: no memory" },
    { function(vm) local _ = vm:view "u16".size end, 'u16: at: "size": not a size' },
    { function(vm) vm:view "u16"[0xffff] = 1 end, "write: 0x2 bytes at 0xffff: no memory" },
    { function(vm) vm:view "u8"[0] = "x" end, "u8: value: an integer expected, got string" },
    { function(vm) vm:view "u32"[{}] = 1 end, "u32: at: an integer expected, got table" },
    { function(vm) vm:pack() end, "pack: at: an integer expected, got nothing" },
    { function(vm) vm:pack(5, 0) end, "pack: a format for string.pack expected, got number" },
    { function(vm) vm:pack("<I4", 0) end, "pack: value 1: number expected, got nil" },
    { function(vm) vm:pack("<I4 z", 0, 1, {}) end, "pack: value 2: string expected, got table" },
    { function(vm) vm:pack("B", 0, 256) end, "pack: value 1: unsigned overflow" },
    { function(vm) vm:pack("I17", 0, 1) end, 'pack: format "I17": integral size (17) out of limits [1,16]' },
    { function(vm) vm:pack("?", 0) end, "pack: format \"?\": invalid format option '?'" },
    { function(vm) vm:pack("<I8", 0xfffc, 1) end, "write: 0x8 bytes at 0xfffc: no memory" },
    { function(vm) vm:unpack({}, 0) end, "unpack: a format for string.unpack expected, got table" },
    { function(vm) vm:unpack("<I4", 0xfffe) end, "unpack: 0x4 bytes at 0xfffe: no memory is mapped at 0x10000" },
    { function(vm) vm:unpack("c2000000000", 0) end, "unpack: 0x77359400 bytes at 0x0: no memory" },
    { function(vm) vm:unpack("w", 0) end, "unpack: format \"w\": invalid format option 'w'" },
    { function(vm) vm:unpack("s4", 0xfffc) end, 'unpack: format "s4": data string too short' },
    { function(vm) vm:unpack("z", 0x20000) end, "unpack: 0x1 bytes at 0x20000: no memory" },
}, function(vm)
    vm:u32(0xfffc, -1)
end)

-- ---- loading --------------------------------------------------------------

on("what cannot be loaded", {
    { function(vm) vm:load(0) end, "load: bytes or an image expected, got nil" },
    { function(vm) vm:load(nil, "x") end, "load: at: an integer expected, got nothing" },
    { function(vm) vm:load(0.5, "x") end, "load: at: 0.5 is not a 64-bit integer" },
    { function(vm) vm:load("1Q", "x") end, 'load: at: "1Q": unknown unit' },
    { function(vm) vm:load({}, "x") end, "load: at: an integer expected, got table" },
    { function(vm) vm:load(0, 7) end, "load: bytes or an image expected, got number" },
    { function(vm) vm:load(0, io.stdout) end, "load: bytes or an image expected, got userdata" },
    { function(vm) vm:load(0, {}) end, "load: bytes or an image expected, got table" },
    { function(vm) vm:load {} end, "load: bytes or an image expected, got table" },
    { function(vm) vm:load(0xffff, "xy") end, "load: 0x2 bytes at 0xffff: no memory is mapped at 0x10000" },
    { function(vm) vm:load(-1, "xy") end, "load: 0x2 bytes at 0xffffffffffffffff: no memory" },
    { function(vm) vm:load(1 << 31, "x") end, "load: 0x1 bytes at 0x80000000: no memory" },
    { function(vm, _, _, image) vm:load(image) end, "load: 0x20000 bytes at 0x0: no memory is mapped at 0x10000" },
    { function(vm, _, _, image) vm:load("64K", image) end, "load: 0x20000 bytes at 0x10000: no memory" },
    { function(vm, _, _, image) vm:load("1Z", image) end, 'image: at: "1Z": unknown unit' },
    { function(vm, _, _, image) vm:load(-1, image) end, "image: at: -1: must not be negative" },
    { function(vm, _, _, image) vm:load(MAX, image) end, "image: big: does not fit below 2^63 at 0x7fffffffffffffff" },
    { function(vm, _, _, image) vm:load(image, 0) end, "load: bytes or an image expected, got number" },
    { function(vm, _, _, image) vm.load(image) end, "machine expected as the first argument, got table" },
}, function()
    return hv.image.from(("\xff"):rep(0x20000), { name = "big" })
end)
