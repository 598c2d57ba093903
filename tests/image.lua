-- SPDX-License-Identifier: MIT
-- Images from files (scripts/hv/image.lua, elf.lua): good ones, bad ones, and
-- files made to do harm. The ELF files are made here, byte by byte.
local t = ...
local image = require "hv.image"

local TYPE = { rel = 1, exec = 2, dyn = 3, core = 4 }
local MACHINE = { arm64 = 183, x86_64 = 62, i386 = 3 }
local FLAGS = { r = 4, rx = 5, rw = 6, rwx = 7 }

local FORMAT = {
    [64] = {
        header = "<c4BBBc9I2I2I4I8I8I8I4I2I2I2I2I2I2", header_size = 64,
        program_size = 56, section = "<I4I4I8I8I8I8I4I4I8I8",
        section_size = 64, symbol_size = 24,
    },
    [32] = {
        header = "<c4BBBc9I2I2I4I4I4I4I4I2I2I2I2I2I2", header_size = 52,
        program_size = 32, section = "<I4I4I4I4I4I4I4I4I4I4",
        section_size = 40, symbol_size = 16,
    },
}

local function program(bits, p)
    local flags = FLAGS[p.prot or "rwx"]
    local paddr = p.paddr or p.vaddr
    local memsz = p.memsz or p.filesz
    if bits == 64 then
        return ("<I4I4i8i8i8i8i8i8"):pack(p.type or 1, flags, p.offset, p.vaddr,
                                          paddr, p.filesz, memsz, p.align or 1)
    end
    return ("<I4I4I4I4I4I4I4I4"):pack(p.type or 1, p.offset, p.vaddr, paddr,
                                      p.filesz, memsz, flags, p.align or 1)
end

local function symbol(bits, name, s)
    local info = (s.bind or 1) << 4 | (s.type or 0)
    if bits == 64 then
        return ("<I4BBI2i8i8"):pack(name, info, 0, s.shndx or 1, s.value, 0)
    end
    return ("<I4I4I4BBI2"):pack(name, s.value, 0, info, 0, s.shndx or 1)
end

-- An ELF file: header, program headers, the segments' data, and where there are
-- symbols, the tables they need. `change(header)` may spoil the header fields.
local function build(e)
    local bits = e.bits or 64
    local f = FORMAT[bits]
    local programs, data = {}, {}
    local place = f.header_size + #e.segments * f.program_size
    for _, s in ipairs(e.segments) do
        local p = {
            offset = place, filesz = #(s.data or ""), vaddr = 0,
        }
        for k, v in pairs(s) do
            p[k] = v
        end
        programs[#programs + 1] = program(bits, p)
        data[#data + 1] = s.data or ""
        place = place + #(s.data or "")
    end
    local tail, shoff, shnum = "", 0, 0
    if e.symbols then
        local names, symbols = "\0", { ("\0"):rep(f.symbol_size) }
        for _, s in ipairs(e.symbols) do
            symbols[#symbols + 1] = symbol(bits, #names, s)
            names = names .. s.name .. "\0"
        end
        symbols = table.concat(symbols)
        shoff, shnum = place + #names + #symbols, 3
        tail = names .. symbols .. ("\0"):rep(f.section_size)
            .. f.section:pack(0, 2, 0, 0, place + #names, #symbols, 2, 1, 8,
                              f.symbol_size)
            .. f.section:pack(0, 3, 0, 0, place, #names, 0, 0, 1, 0)
    end
    local h = {
        magic = "\x7fELF", class = bits // 32, order = 1, version = 1,
        type = TYPE[e.type or "exec"], machine = MACHINE[e.arch or "arm64"],
        entry = e.entry or 0, phoff = f.header_size, shoff = shoff,
        phentsize = f.program_size, phnum = #e.segments,
        shentsize = f.section_size, shnum = shnum, shstrndx = 0,
    }
    if e.change then
        e.change(h)
    end
    return f.header:pack(h.magic, h.class, h.order, h.version, "", h.type,
                         h.machine, 1, h.entry, h.phoff, h.shoff, 0,
                         f.header_size, h.phentsize, h.phnum, h.shentsize,
                         h.shnum, h.shstrndx)
        .. table.concat(programs) .. table.concat(data) .. tail
end

local function simple(change)
    return build {
        entry = 0x10004, change = change,
        segments = {
            { vaddr = 0x10000, data = "codecode", prot = "rx" },
            { vaddr = 0x20000, data = "data", memsz = 0x1000, prot = "rw" },
        },
        symbols = {
            { name = "_start", value = 0x10004, type = 2 },
            { name = "buffer", value = 0x20000, type = 1 },
            { name = "local", value = 0x10000, bind = 0 },
            { name = "LIMIT", value = 7, shndx = 0xfff1 },
            { name = "missing", value = 0, shndx = 0 },
            { name = "$x", value = 0x10000, bind = 0 },
            { name = "file.c", value = 0, type = 4, shndx = 0xfff1, bind = 0 },
        },
    }
end

-- ---- good files --------------------------------------------------------

t.test("an ELF executable", function()
    local img = image.from(simple())
    t.eq({ img.arch, img.bits, img.entry, img.base },
         { "arm64", 64, 0x10004, 0x10000 })
    t.eq(img.segments, {
        { at = 0x10000, data = "codecode", size = 8, prot = "rx" },
        { at = 0x20000, data = "data", size = 0x1000, prot = "rw" },
    })
    t.eq(img.symbols, {
        _start = 0x10004, buffer = 0x20000, ["local"] = 0x10000, LIMIT = 7,
    })
    t.eq(#img, 0x11000)
    t.eq(img.bytes, "codecode" .. ("\0"):rep(0xfff8) .. "data"
         .. ("\0"):rep(0xffc))
    t.eq(tostring(img), "image (bytes): arm64, 2 segments, 0x11000 bytes at "
         .. "0x10000, entry 0x10004")
    t.ok(image.is(img) and not image.is {} and not image.is "x")
end)

t.test("other architectures, 32 bits, no symbols", function()
    local segments = { { vaddr = 0x7c00, data = "boot" } }
    local img = image.from(build { arch = "x86_64", segments = segments })
    t.eq({ img.arch, img.bits, img.entry, img.symbols }, { "x86_64", 64, nil,
                                                          {} })
    img = image.from(build {
        arch = "i386", bits = 32, entry = 0x7c00, segments = segments,
        symbols = { { name = "boot", value = 0x7c00, type = 2 } },
    })
    t.eq({ img.arch, img.bits, img.entry, img.symbols.boot },
         { "x86_64", 32, 0x7c00, 0x7c00 })
    t.eq(img.segments,
         { { at = 0x7c00, data = "boot", size = 4, prot = "rwx" } })
    t.eq(image.from(build { arch = "x86_64", segments = segments },
                    { arch = "x86_64" }).arch, "x86_64")
    t.raises(function()
        image.from(build { segments = segments }, { arch = "x86_64" })
    end, "arm64 code, but x86_64 is wanted")
end)

t.test("physical addresses count, virtual entries are translated", function()
    local kernel = {
        { vaddr = -0x80000000, paddr = 0x100000, data = "text", prot = "rx" },
        { vaddr = -0x7fff0000, paddr = 0x110000, data = "data" },
    }
    local img = image.from(build {
        arch = "x86_64", entry = -0x7ffffffe, segments = kernel,
        symbols = { { name = "start", value = -0x7ffffffe } },
    })
    t.eq({ img.entry, img.segments[1].at, img.segments[2].at },
         { 0x100002, 0x100000, 0x110000 })
    t.eq(img.symbols.start, -0x7ffffffe)
    img = image.from(build {
        segments = {
            { vaddr = 0x1000, paddr = 0, data = "a" },
            { vaddr = 0x2000, paddr = 0, data = "b" },
        },
    })
    t.eq({ img.segments[1].at, img.segments[2].at }, { 0x1000, 0x2000 },
         "no physical addresses at all")
end)

t.test("segments come sorted; empty ones and notes do not come", function()
    local img = image.from(build {
        segments = {
            { vaddr = 0x3000, data = "c" },
            { type = 4, vaddr = 0x1000, data = "note" },
            { vaddr = 0x2000, data = "", memsz = 0 },
            { vaddr = 0x1000, data = "a", memsz = 0x2000 },
        },
    })
    t.eq({ #img.segments, img.segments[1].at, img.segments[2].at },
         { 2, 0x1000, 0x3000 })
    t.raises(function()
        local moved = img:at(0x5000)
        return moved
    end, "image.lua:%d+: image: %(bytes%): linked to be at 0x1000")
    t.eq(img:at(0x1000), img)
    t.raises(function() image.from(simple(), { at = 0x30000 }) end,
             "linked to be at 0x10000: leave out opts.at")
end)

-- A static PIE whose data has two pointers into itself.
local function pie(arch, relative, spoil)
    local rela = ("<i8i8i8"):pack(0x2000, relative, 0x1000)
        .. ("<i8i8i8"):pack(0x2008, relative, 0x2004)
    local dynamic = { 7, 0x1000, 8, #rela, 0x6ffffffb, 0x8000000, 0, 0 }
    local segments = {
        { vaddr = 0x1000, data = rela .. "code", prot = "rx", align = 0x1000 },
        { vaddr = 0x2000, data = ("-"):rep(20), memsz = 64, prot = "rw",
          align = 0x1000 },
        { type = 2, vaddr = 0x2010,
          data = ("<" .. ("i8"):rep(#dynamic)):pack(table.unpack(dynamic)) },
    }
    if spoil then
        spoil(segments)
    end
    return build {
        type = "dyn", arch = arch, entry = 0x1030, segments = segments,
        symbols = { { name = "main", value = 0x1030 } },
    }
end

t.test("a static PIE goes anywhere", function()
    for arch, relative in pairs { arm64 = 1027, x86_64 = 8 } do
        local img = image.from(pie(arch, relative))
        t.eq({ img.base, img.entry }, { 0x1000, 0x1030 })
        t.eq(img.segments[2].data,
             ("<i8i8"):pack(0x1000, 0x2004) .. "----")
        local moved = img:at(0x40000000)
        t.eq({ moved.entry, moved.symbols.main, moved.segments[2].at },
             { 0x40000030, 0x40000030, 0x40001000 })
        t.eq(moved.segments[2].data,
             ("<i8i8"):pack(0x40000000, 0x40001004) .. "----")
        t.eq(img.entry, 0x1030, "the first stays")
        t.eq(image.from(pie(arch, relative), { at = "1G" }).segments,
             moved.segments)
        t.raises(function() img:at(0x1234) end, "not at a multiple of 0x1000")
        t.raises(function() img:at(math.maxinteger & ~0xfff) end,
                 "does not fit below 2%^63")
    end
end)

t.test("raw files", function()
    local img = image.from("\xeb\xfe")
    t.eq({ img.entry, img.base, img.bytes, #img }, { 0, 0, "\xeb\xfe", 2 })
    img = img:at("0x7c00")
    t.eq({ img.entry, img.segments },
         { 0x7c00,
           { { at = 0x7c00, data = "\xeb\xfe", size = 2, prot = "rwx" } } })
    img = image.from(simple(), { raw = true, at = "1M", arch = "x86_64" })
    t.eq({ #img.segments, img.base, img.arch }, { 1, 1 << 20, "x86_64" })
    local kernel = "MZ" .. ("\0"):rep(54) .. "ARM\x64" .. ("\0"):rep(100)
    t.eq(image.from(kernel).bytes, kernel, "Linux's arm64 Image")
    t.raises(function() image.from("x"):at(math.maxinteger) end,
             "does not fit below 2%^63")
end)

t.test("from a file, by its path", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(simple())
    file:close()
    local img = image(path)
    os.remove(path)
    t.eq({ img.name, img.entry }, { path, 0x10004 })
    t.raises(function()
        local gone = image(path)
        return gone
    end, "image.lua:%d+: image: /")
    t.raises(function() image("/") end, "image: /: ")
    t.raises(function() image("/dev/zero", { limit = "8M" }) end,
             "image: /dev/zero: more than the limit of 0x800000 bytes")
end)

t.test("mistakes raise at the caller's line", function()
    local function bad(pattern, fn, ...)
        local n = select("#", ...)
        local args = { ... }
        t.raises(function()
            local img = fn(table.unpack(args, 1, n))
            return img
        end, "image.lua:%d+: " .. pattern)
    end
    bad("image: a path expected, not a nil", image, nil)
    bad("image: from: a string of bytes expected, not a table", image.from, {})
    bad('image: unknown option "att": did you mean "at"', image.from, "x",
        { att = 1 })
    bad('image: at: "1Q": unknown unit', image.from, "x", { at = "1Q" })
    bad("image: at: %-1: must not be negative", image.from, "x", { at = -1 })
    bad("image: kernel: empty", image.from, "", { name = "kernel" })
    local img = image.from "x"
    bad("image: at: an integer expected, got nothing", img.at, img)
end)

-- ---- bad files ---------------------------------------------------------

t.test("other formats are refused by their names", function()
    local cases = {
        { "\xcf\xfa\xed\xfe\0", "a Mach%-O file" },
        { "\xca\xfe\xba\xbe\0", "universal Mach%-O" },
        { "MZ" .. ("\0"):rep(100), "a PE file" },
        { "MZ" .. ("\0"):rep(0x200) .. "HdrS", "a Linux bzImage" },
        { "\0asm\1\0\0\0", "a WebAssembly module" },
        { "\x1f\x8b\8", "gzip%-compressed: decompress it first" },
        { "\xfd7zXZ\0", "xz%-compressed" }, { "\x28\xb5\x2f\xfd", "zstd" },
        { "BZh9", "bzip2" }, { "PK\3\4", "zip archive" },
        { "!<arch>\n", "an archive of object files: link it first" },
        { "BC\xc0\xde", "LLVM bitcode" },
    }
    for _, case in ipairs(cases) do
        t.raises(function() image.from(case[1]) end, "image: .*" .. case[2])
        t.eq(image.from(case[1], { raw = true }).bytes, case[1])
    end
end)

t.test("a damaged ELF header says what is wrong", function()
    local function bad(pattern, change)
        t.raises(function() image.from(simple(change)) end,
                 "^[^:]+:%d+: image: %(bytes%): .*" .. pattern)
    end
    bad("big%-endian ELF is not supported", function(h) h.order = 2 end)
    bad("class 3, byte order 1", function(h) h.class = 3 end)
    bad("version 0", function(h) h.version = 0 end)
    bad("32%-bit ELF for arm64 is not", function(h) h.class = 1 end)
    bad("RISC%-V code", function(h) h.machine = 243 end)
    bad("machine 999's code", function(h) h.machine = 999 end)
    bad("relocatable object: link it first", function(h) h.type = 1 end)
    bad("a core dump", function(h) h.type = 4 end)
    bad("ELF type 9", function(h) h.type = 9 end)
    bad("entry 0x99 is in no segment", function(h) h.entry = 0x99 end)
    bad("program headers: entries of 55 bytes", function(h)
        h.phentsize = 55
    end)
    bad("program headers: 0x%x+ bytes at offset", function(h)
        h.phnum = 60000
    end)
    bad("program headers: too many", function(h) h.phnum = 0xffff end)
    bad("no segment to load", function(h) h.phnum = 0 end)
    for _, offset in ipairs { 1 << 40, -1, -64, math.mininteger } do
        bad("program headers: ", function(h) h.phoff = offset end)
        bad("section headers: ", function(h) h.shoff = offset end)
    end
    bad("section headers: entries of 1 bytes", function(h)
        h.shentsize = 1
    end)
    bad("section headers: too many", function(h) h.shnum = 0 end)
    bad("section headers: 0x", function(h) h.shnum = 0xffff end)
    bad("string table: missing", function(h) h.shstrndx = 9 end)
    bad("string table: missing", function(h) h.shstrndx = 1 end)
    local good = simple()
    for n = 4, #good - 1 do
        t.raises(function() image.from(good:sub(1, n)) end,
                 "image: %(bytes%): ")
    end
end)

t.test("segments that cannot be are refused", function()
    local function bad(pattern, opts, ...)
        local bytes = build { segments = { ... } }
        t.raises(function() image.from(bytes, opts) end,
                 "^[^:]+:%d+: image: %(bytes%): .*" .. pattern)
    end
    local max = math.maxinteger
    bad("segment 1: 0x%x+ bytes at offset 0x", nil,
        { data = "x", filesz = max })
    bad("segment 1: 0x%x+ bytes at offset 0x", nil, { data = "x",
                                                       filesz = -1 })
    bad("segment 1: 0x%x+ bytes at offset 0x", nil, { data = "x",
                                                       offset = max })
    bad("segment 1: 0x%x+ bytes at offset 0x", nil, { data = "x",
                                                       offset = -1 })
    bad("8 bytes in the file, but 0x4 in memory", nil,
        { data = "12345678", memsz = 4 })
    bad("0x40000001 bytes of memory are more than the limit", nil,
        { data = "x", memsz = (1 << 30) + 1 })
    bad("bytes of memory are more than the limit", nil,
        { data = "x", memsz = -1 })
    bad("more than the limit of 0x2000 bytes of memory", { limit = "8K" },
        { data = "x", memsz = 0x1001 }, { data = "x", vaddr = 0x2000,
                                          memsz = 0x1000 })
    bad("segments 1 and 2 overlap", nil, { data = "1234", vaddr = 0x1000 },
        { data = "1234", vaddr = 0x1003 })
    bad("segments 2 and 1 overlap", nil, { data = "1", vaddr = 0x1800 },
        { data = "1", vaddr = 0x1000, memsz = 0x801 })
    bad("at 0x7ffffffffffffffe are not physical memory", nil,
        { data = "1234", vaddr = max - 1 })
    bad("at 0xfffffffffffffff0 are not physical memory", nil,
        { data = "1234", vaddr = -16 })
    bad("alignment 0x3 is not a power of two", nil, { data = "x", align = 3 })
    local many = {}
    for i = 1, 65 do
        many[i] = { data = "x", vaddr = i * 0x1000 }
    end
    bad("65 segments to load are more than 64", nil, table.unpack(many))
    t.eq(#image.from(build { segments = { table.unpack(many, 1, 64) } })
         .segments, 64)
end)

t.test("dynamic executables and shared libraries are refused", function()
    local code = { vaddr = 0x1000, data = "code" }
    local function bad(pattern, type, entry, dynamic)
        t.raises(function()
            image.from(build {
                type = type, entry = entry, segments = { code, dynamic },
            })
        end, pattern)
    end
    for _, type in ipairs { "exec", "dyn" } do
        bad("dynamically linked: link it with %-static", type, 0x1000,
            { type = 3, data = "/lib/ld.so\0" })
        bad("needs shared libraries: link it with %-static", type, 0x1000,
            { type = 2, data = ("<i8i8i8i8"):pack(1, 5, 0, 0) })
    end
    bad("a shared library", "dyn", 0, { type = 2, data = ("\0"):rep(16) })
    local img = image.from(build {
        type = "dyn", segments = {
            code, { type = 2, data = ("<i8i8"):pack(0x6ffffffb, 0x8000000) },
        },
    })
    t.eq(img.entry, nil, "a PIE without entry")
end)

t.test("relocations that lead nowhere are refused", function()
    local function bad(pattern, spoil)
        t.raises(function() image.from(pie("arm64", 1027, spoil)) end, pattern)
    end
    local function rela(place)
        return function(segments)
            segments[1].data = ("<i8i8i8"):pack(place, 1027, 0):rep(2)
                .. "code"
        end
    end
    bad("relocation at 0x5000: not in any segment's data", rela(0x5000))
    bad("not in any segment's data", rela(0x200d))
    bad("not in any segment's data", rela(0x2020))
    bad("not in any segment's data", rela(-1))
    bad("relocation at offset 0x0: overlaps another", rela(0x2000))
    local function dynamic(...)
        local data = ("<" .. ("i8"):rep(select("#", ...))):pack(...)
        return function(segments)
            segments[3].data = data
        end
    end
    bad("0x30 bytes at 0x9000 are in no segment", dynamic(7, 0x9000, 8, 48))
    bad("are in no segment", dynamic(7, 0x1000, 8, 1 << 40))
    bad("are in no segment", dynamic(7, 0x1000, 8, -24))
    bad("are in no segment", dynamic(7, 0x2014, 8, 24))
    bad("not a whole number of entries", dynamic(7, 0x1000, 8, 25))
end)

t.test("symbol tables that cannot be are refused", function()
    local function bad(pattern, offset, format, ...)
        local bytes = simple()
        local shoff = ("<i8"):unpack(bytes, 41)
        local place = shoff + offset
        local value = format:pack(...)
        bytes = bytes:sub(1, place) .. value
            .. bytes:sub(place + #value + 1)
        t.raises(function() image.from(bytes) end, pattern)
    end
    bad("symbol table: entries of 23 bytes", 64 + 56, "<i8", 23)
    bad("symbol table: entries of 0 bytes", 64 + 56, "<i8", 0)
    bad("not a whole number of entries", 64 + 32, "<i8", 25)
    bad("symbol table: ", 64 + 32, "<i8", -24)
    bad("symbol table: more than", 64 + 32, "<i8", 24 << 40)
    bad("symbol table: 0x", 64 + 24, "<i8", 1 << 40)
    bad("symbol table: 0x", 64 + 24, "<i8", -1)
    bad("string table: missing", 64 + 40, "<i4", 0)
    bad("string table: missing", 64 + 40, "<i4", 77)
    bad("section 2: 0x", 128 + 24, "<i8", math.maxinteger)
    bad("section 2: 0x", 128 + 32, "<i8", math.maxinteger)
    bad("the last name does not end", 128 + 32, "<i8", 4)
    bad("name at offset 0x1 of a string table of 0x1 bytes", 128 + 32, "<i8",
        1)
end)

t.test("small files cannot take much time or memory", function()
    -- names that overlap: 20000 of 4096 bytes each, in 500 KB of file
    local symbols, names = { ("\0"):rep(24) }, ("n"):rep(24000) .. "\0"
    for i = 1, 20000 do
        symbols[#symbols + 1] = ("<I4BBI2i8i8"):pack(i, 0x10, 0, 1, i, 0)
    end
    symbols = table.concat(symbols)
    local section = FORMAT[64].section
    local start = #build { segments = { { data = "x" } } }
    local shoff = start + #names + #symbols
    local bytes = build {
        segments = { { data = "x" } },
        change = function(h) h.shoff, h.shnum = shoff, 3 end,
    } .. names .. symbols .. ("\0"):rep(64)
        .. section:pack(0, 2, 0, 0, start + #names, #symbols, 2, 1, 8, 24)
        .. section:pack(0, 3, 0, 0, start, #names, 0, 0, 1, 0)
    local began = os.clock()
    t.raises(function() image.from(bytes) end, "names overlap too much")
    t.ok(os.clock() - began < 2, "in time")
    local img = image.from(build { segments = {
        { data = "x", vaddr = 0 }, { data = "x", vaddr = 1 << 62 },
    } })
    t.raises(function()
        local flat = img.bytes
        return flat
    end, "image.lua:%d+: image: bytes: .* spans 0x4000000000000001 bytes")
end)

-- ---- fuzzing -----------------------------------------------------------

local SPECIAL = { 0, 1, -1, 0x7f, 0x80, 0xffff, 1 << 31, (1 << 32) - 1, 1 << 32,
                  1 << 62, math.mininteger, math.maxinteger }

local function mutate(bytes)
    for _ = 1, math.random(4) do
        if #bytes == 0 then
            break
        end
        local where = math.random(4)
        local place = where == 1 and math.random(math.min(64, #bytes))
            or where == 2 and math.random(math.min(240, #bytes))
            or where == 3 and math.random(math.max(#bytes - 192, 1), #bytes)
            or math.random(#bytes)
        local how = math.random(8)
        local new = how == 1 and ""
            or how < 5 and string.char(math.random(0, 255))
            or ("<i8"):pack(how < 7 and SPECIAL[math.random(#SPECIAL)]
                            or math.random(0) >> math.random(0, 63))
                :sub(1, 1 << math.random(0, 3))
        if how == 1 and math.random(4) == 1 then
            bytes = bytes:sub(1, place)
        else
            bytes = bytes:sub(1, place - 1) .. new
                .. bytes:sub(place + #new)
        end
    end
    return bytes
end

local function check_segments(img)
    local finish, total = 0, 0
    for _, s in ipairs(img.segments) do
        t.ok(s.at >= finish and s.size > 0 and s.size >= #s.data)
        finish, total = s.at + s.size, total + s.size
        t.ok(finish > 0, "no wrap")
    end
    t.ok(total <= 1 << 30, "within the limit")
    if #img <= 1 << 20 then
        t.eq(#img.bytes, #img)
    end
end

t.test("20000 mutated files give an image or a clean error", function()
    local seeds = {
        simple(), pie("arm64", 1027), pie("x86_64", 8),
        build {
            arch = "i386", bits = 32, entry = 0x1001, symbols = {
                { name = "a", value = 0x1000 },
                { name = "b", value = 0x1001, bind = 0 },
            },
            segments = { { vaddr = 0x1000, data = "code", align = 4096 } },
        },
    }
    math.randomseed(11)
    local began, good, bad = os.clock(), 0, 0
    for i = 1, t.fewer(20000) do
        local bytes = mutate(seeds[i % #seeds + 1])
        local ok, result = pcall(image.from, bytes)
        if ok then
            good = good + 1
            check_segments(result)
            local address = math.random(0) >> math.random(1, 63)
            local moved, why = pcall(result.at, result, address)
            t.ok(moved or why:find "^image: %(bytes%): ", why)
        else
            bad = bad + 1
            t.ok(result:find "^image: %(bytes%): ", result)
        end
    end
    t.ok(good > t.fewer(1000) and bad > t.fewer(1000), ("%d good, %d bad"):format(good, bad))
    t.ok(os.clock() - began < 120, "in bounded time")
end)
