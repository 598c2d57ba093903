-- SPDX-License-Identifier: MIT
--- Images: guest code and data, ready to be put into guest memory.
--
-- image(path [, opts]) --> image           from a file
-- image.from(bytes [, opts]) --> image     from a string
--   opts.at     where to load what can be anywhere (raw files, static PIE)
--   opts.raw    take the file as it is, whatever it looks like
--   opts.arch   refuse files for another architecture; what raw files hold
--   opts.limit  refuse more guest memory than this (default "1G")
--   opts.name   what to call it in messages (default: the path)
--
-- An image: { name=, arch=, bits=, base=, entry=, symbols = { name = address },
-- segments = { { at=, data=, size=, prot= }, ... } }. Segments rise and never
-- overlap; the bytes from #data to size are zero. entry is nil where the file
-- does not say. Also:
--   image:at(address [, level])   the same image laid out there
--   image.bytes, #image, tostring(image)
--
-- Reads raw files and statically linked little-endian ELF for arm64, x86_64 and
-- i386. What is none of that, or is damaged, raises; it does nothing else.

local elf = require "hv.elf"
local options = require "hv.options"
local size = require "hv.size"

local image = {}

local fail = elf.fail
local LIMIT = 1 << 30

-- ---- the image itself --------------------------------------------------

local methods = {}
local movers = setmetatable({}, { __mode = "k" }) -- image -> function(address)
local LAZY = { entry = true, segments = true, symbols = true }

local Image = { __name = "image" }

local function span(self)
    local first, last = self.segments[1], self.segments[#self.segments]
    if not first then
        return 0
    end
    return last.at + last.size - first.at
end

local function flat(self)
    local total = span(self)
    if total > LIMIT then
        error(("image: bytes: %s spans 0x%x bytes: load its segments")
              :format(self.name, total), 3)
    end
    local pieces, at = {}, nil
    for _, segment in ipairs(self.segments) do
        pieces[#pieces + 1] = ("\0"):rep(segment.at - (at or segment.at))
        pieces[#pieces + 1] = segment.data
        pieces[#pieces + 1] = ("\0"):rep(segment.size - #segment.data)
        at = segment.at + segment.size
    end
    return table.concat(pieces)
end

-- An image of relocatable code has no contents before it has an address: the
-- first look at them gives it its default one.
function Image:__index(key)
    if LAZY[key] and movers[self] then
        for name, value in pairs(movers[self](self.base)) do
            rawset(self, name, value)
        end
        return rawget(self, key)
    elseif key == "bytes" then
        local bytes = flat(self)
        rawset(self, "bytes", bytes)
        return bytes
    end
    return methods[key]
end

function Image:__len()
    return span(self)
end

function Image:__tostring()
    local entry = self.entry and (", entry 0x%x"):format(self.entry) or ""
    return ("image %s: %s, %d segments, 0x%x bytes at 0x%x%s"):format(
        self.name, self.arch or "any architecture", #self.segments, #self,
        self.segments[1] and self.segments[1].at or self.base, entry)
end

--- The same image laid out from `address` on; itself where it is there already.
function methods:at(address, level)
    level = (level or 1) + 1
    address = size(address, "image: at", level)
    if address == self.base and rawget(self, "segments") then
        return self
    elseif not movers[self] then
        error(("image: %s: linked to be at 0x%x: load it without an address")
              :format(self.name, self.base), level)
    end
    local fields = { base = address }
    for _, key in ipairs { "name", "arch", "bits" } do
        fields[key] = self[key]
    end
    local ok, placed = elf.try(movers[self], address)
    if not ok then
        error(("image: %s: %s"):format(self.name, placed), level)
    end
    for key, value in pairs(placed) do
        fields[key] = value
    end
    return image.new(fields, movers[self])
end

--- An image of these fields; `mover(address)` gives entry, segments and symbols
-- of one that can be anywhere, and is asked for those that are missing.
function image.new(fields, mover)
    local self = setmetatable(fields, Image)
    movers[self] = mover
    return self
end

function image.is(value)
    return getmetatable(value) == Image
end

-- ---- what the first bytes say ------------------------------------------

-- Formats somebody may well try to load, in words. Linux's arm64 Image calls
-- itself a PE file as well, so that firmware can start it.
local MAGIC = {
    { "\xcf\xfa\xed\xfe", "a Mach-O file (macOS)" },
    { "\xce\xfa\xed\xfe", "a 32-bit Mach-O file (macOS)" },
    { "\xfe\xed\xfa\xcf", "a big-endian Mach-O file" },
    { "\xfe\xed\xfa\xce", "a big-endian Mach-O file" },
    { "\xca\xfe\xba\xbe", "a universal Mach-O or Java class file" },
    { "\0asm", "a WebAssembly module" },
    { "\x1f\x8b", "gzip-compressed: decompress it first (gzip -d)" },
    { "\xfd7zXZ\0", "xz-compressed: decompress it first (xz -d)" },
    { "\x28\xb5\x2f\xfd", "zstd-compressed: decompress it first (zstd -d)" },
    { "BZh", "bzip2-compressed: decompress it first (bzip2 -d)" },
    { "PK\3\4", "a zip archive: unpack it first" },
    { "!<arch>\n", "an archive of object files: link it first" },
    { "BC\xc0\xde", "LLVM bitcode: compile it first" },
}

local function foreign(bytes)
    if bytes:sub(1, 2) == "MZ" then
        if bytes:sub(57, 60) == "ARM\x64" then
            return nil
        elseif bytes:sub(0x203, 0x206) == "HdrS" then
            return "a Linux bzImage: load the vmlinux it was made from"
        end
        return "a PE file (Windows, EFI)"
    end
    for _, entry in ipairs(MAGIC) do
        if bytes:sub(1, #entry[1]) == entry[1] then
            return entry[2]
        end
    end
end

-- ---- ELF executables ---------------------------------------------------

local PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
local DT_NULL, DT_NEEDED, DT_RELA, DT_RELASZ = 0, 1, 7, 8
local DT_FLAGS_1, DF_1_PIE = 0x6ffffffb, 0x8000000
local WANTED = {
    [DT_NEEDED] = true, [DT_RELA] = true, [DT_RELASZ] = true,
    [DT_FLAGS_1] = true,
}
local LOADS_MAX = 64
local RELATIVE = { arm64 = 1027, x86_64 = 8 }
local KIND = {
    [1] = "a relocatable object: link it first, or assemble it with hv.asm",
    [4] = "a core dump",
}

local function protection(flags)
    local prot = (flags & 4 ~= 0 and "r" or "")
        .. (flags & 2 ~= 0 and "w" or "") .. (flags & 1 ~= 0 and "x" or "")
    return prot ~= "" and prot or "r"
end

local function check_program(file, i, p, limit)
    local what = ("segment %d"):format(i)
    file:check(what, p.offset, p.filesz)
    if p.memsz < 0 or p.memsz > limit then
        fail("%s: 0x%x bytes of memory are more than the limit of 0x%x: "
             .. "raise opts.limit", what, p.memsz, limit)
    elseif p.memsz < p.filesz then
        fail("%s: 0x%x bytes in the file, but 0x%x in memory", what, p.filesz,
             p.memsz)
    elseif p.align & p.align - 1 ~= 0 then
        fail("%s: alignment 0x%x is not a power of two", what, p.align)
    end
end

-- Guest memory is physical memory: p_paddr counts, unless a linker that does
-- not know about it left it zero everywhere.
local function choose_addresses(loads)
    local physical = false
    for _, p in ipairs(loads) do
        physical = physical or p.paddr ~= 0
    end
    for _, p in ipairs(loads) do
        p.at = physical and p.paddr or p.vaddr
        if p.at < 0 or p.at > math.maxinteger - p.memsz then
            fail("segment %d: 0x%x bytes at 0x%x are not physical memory",
                 p.index, p.memsz, p.at)
        end
    end
end

local function loads_of(file, programs, limit)
    local loads, total = {}, 0
    for i, p in ipairs(programs) do
        if p.type == PT_LOAD and p.memsz ~= 0 then
            check_program(file, i, p, limit)
            p.index, total = i, total + p.memsz
            loads[#loads + 1] = p
            if total > limit then
                fail("more than the limit of 0x%x bytes of memory: raise "
                     .. "opts.limit", limit)
            end
        end
    end
    if #loads > LOADS_MAX then
        fail("%d segments to load are more than %d", #loads, LOADS_MAX)
    elseif #loads == 0 then
        fail "no segment to load: is it linked?"
    end
    choose_addresses(loads)
    table.sort(loads, function(a, b)
        return a.at < b.at or a.at == b.at and a.index < b.index
    end)
    for i = 2, #loads do
        local before = loads[i - 1]
        if loads[i].at < before.at + before.memsz then
            fail("segments %d and %d overlap", before.index, loads[i].index)
        end
    end
    return loads
end

-- The segment that holds virtual address `va`.
local function load_at(loads, va)
    for _, p in ipairs(loads) do
        if math.ult(va - p.vaddr, p.memsz) then
            return p
        end
    end
end

local function physical_entry(file, loads)
    local p = load_at(loads, file.entry)
    if p then
        return file.entry - p.vaddr + p.at
    elseif file.entry ~= 0 then
        fail("entry 0x%x is in no segment", file.entry)
    end
end

-- The values of the dynamic section that matter here, by tag.
local function dynamic_of(file, programs)
    for i, p in ipairs(programs) do
        if p.type == PT_DYNAMIC then
            local format = file.bits == 64 and "<i8I8" or "<i4I4"
            local step = file.bits // 4
            file:check(("segment %d"):format(i), p.offset, p.filesz)
            local found = {}
            for place = p.offset + 1, p.offset + p.filesz - step + 1, step do
                local tag, value = format:unpack(file.bytes, place)
                if tag == DT_NULL then
                    break
                end
                found[tag] = WANTED[tag] and value
            end
            return found
        end
    end
    return {}
end

local function check_kind(file, programs, dynamic)
    if KIND[file.kind] then
        fail("%s", KIND[file.kind])
    elseif file.kind ~= 2 and file.kind ~= 3 then
        fail("ELF type %d is not an executable", file.kind)
    end
    for _, p in ipairs(programs) do
        if p.type == PT_INTERP then
            fail "dynamically linked: link it with -static"
        end
    end
    if dynamic[DT_NEEDED] then
        fail "needs shared libraries: link it with -static"
    end
    local flags = dynamic[DT_FLAGS_1] or 0
    if file.kind == 3 and file.entry == 0 and flags & DF_1_PIE == 0 then
        fail "a shared library: link it with -static-pie"
    end
end

-- Relocations that only add the load address. Startup code that does the same
-- again comes to the same result, as the addend is not in the place itself.
local function relative_relocations(file, loads, dynamic)
    local va, bytes = dynamic[DT_RELA], dynamic[DT_RELASZ]
    if file.bits ~= 64 or not va or not bytes then
        return {}
    end
    local home = load_at(loads, va)
    local start = home and va - home.vaddr
    if not home or start > home.filesz or bytes < 0
        or bytes > home.filesz - start then
        fail("relocations: 0x%x bytes at 0x%x are in no segment", bytes, va)
    end
    local list = {}
    for _, r in ipairs(file:relas(home.offset + start, bytes)) do
        if r.type == RELATIVE[file.arch] then
            local p = load_at(loads, r.offset)
            r.start = p and r.offset - p.vaddr
            if not p or r.start > p.filesz - 8 then
                fail("relocation at 0x%x: not in any segment's data", r.offset)
            end
            r.segment = p
            list[#list + 1] = r
        end
    end
    return list
end

local function symbols_of(file, bias)
    local found, global = {}, {}
    local list = file:symbols(file:sections())
    for i = 1, list and #list or 0 do
        local symbol = list[i]
        local name = symbol.name
        if elf.public(symbol) and not global[name]
            and (symbol.bind ~= 0 or not found[name]) then
            found[name] = symbol.shndx == 0xfff1 and symbol.value
                or symbol.value + bias
            global[name] = symbol.bind ~= 0 or nil
        end
    end
    return found
end

local function page_of(loads)
    local page = 1
    for _, p in ipairs(loads) do
        page = math.ult(page, p.align) and p.align or page
    end
    return page
end

local function place(file, loads, relocations, bias)
    local page, last = page_of(loads), loads[#loads]
    if bias & page - 1 ~= 0 then
        fail("0x%x is not at a multiple of 0x%x from where it was linked to be",
             loads[1].at + bias, page)
    elseif bias > math.maxinteger - last.at - last.memsz then
        fail("does not fit below 2^63 at 0x%x", loads[1].at + bias)
    end
    local patches = {}
    for _, r in ipairs(relocations) do
        local list = patches[r.segment] or {}
        patches[r.segment] = list
        list[#list + 1] = {
            offset = r.start, bytes = ("<i8"):pack(r.addend + bias),
        }
    end
    local segments = {}
    for i, p in ipairs(loads) do
        local data = file.bytes:sub(p.offset + 1, p.offset + p.filesz)
        segments[i] = {
            at = p.at + bias, size = p.memsz, prot = protection(p.flags),
            data = elf.patch(data, patches[p] or {}),
        }
    end
    local entry = physical_entry(file, loads)
    return {
        entry = entry and entry + bias, segments = segments,
        symbols = symbols_of(file, bias),
    }
end

local function from_elf(bytes, opts, fields)
    local file = elf.open(bytes)
    local programs = file:programs()
    local dynamic = dynamic_of(file, programs)
    check_kind(file, programs, dynamic)
    if opts.arch and opts.arch ~= file.arch then
        fail("%s code, but %s is wanted", file.arch, opts.arch)
    end
    local loads = loads_of(file, programs, fields.limit)
    local linked = loads[1].at
    local mover
    fields.base = linked
    if file.kind == 3 then
        local list = relative_relocations(file, loads, dynamic)
        mover = function(address)
            return place(file, loads, list, address - linked)
        end
        fields.base = fields.at or linked
    elseif fields.at and fields.at ~= linked then
        fail("linked to be at 0x%x: leave out opts.at", linked)
    end
    local placed = mover and mover(fields.base) or place(file, loads, {}, 0)
    placed.name, placed.arch, placed.bits = fields.name, file.arch, file.bits
    placed.base = fields.base
    return image.new(placed, mover)
end

-- ---- raw files ---------------------------------------------------------

local function from_raw(bytes, opts, fields)
    local function mover(address)
        if address > math.maxinteger - #bytes then
            fail("does not fit below 2^63 at 0x%x", address)
        end
        return {
            entry = address, symbols = {}, segments = {
                { at = address, data = bytes, size = #bytes, prot = "rwx" },
            },
        }
    end
    local placed = mover(fields.at or 0)
    placed.name, placed.arch, placed.base = fields.name, opts.arch,
        fields.at or 0
    return image.new(placed, mover)
end

-- ---- the constructors --------------------------------------------------

local KNOWN = {
    at = "number or string", raw = "boolean", arch = "string",
    limit = "number or string", name = "string",
}

local function read(bytes, opts, fields)
    local words = not opts.raw and foreign(bytes)
    if bytes == "" then
        fail "empty"
    elseif words then
        fail("%s: an ELF executable or opts.raw expected", words)
    elseif #bytes > fields.limit then
        fail("0x%x bytes are more than the limit of 0x%x: raise opts.limit",
             #bytes, fields.limit)
    elseif not opts.raw and bytes:sub(1, 4) == "\x7fELF" then
        return from_elf(bytes, opts, fields)
    end
    return from_raw(bytes, opts, fields)
end

-- Not to be called as a tail call: `level` counts stack frames.
local function build(bytes, opts, name, level)
    local fields = {
        name = opts.name or name,
        at = opts.at and size(opts.at, "image: at", level + 1),
        limit = size(opts.limit or LIMIT, "image: limit", level + 1),
    }
    local ok, result = elf.try(read, bytes, opts, fields)
    if not ok then
        error(("image: %s: %s"):format(fields.name, result), level + 1)
    end
    return result
end

-- In pieces: what a path leads to may have no end (/dev/zero).
local function contents(path, limit)
    local file <close>, why = io.open(path, "rb")
    if not file then
        return nil, why
    end
    local pieces, total = {}, 0
    while total <= limit do
        local piece, reason = file:read(1 << 20)
        if reason then
            return nil, ("%s: %s"):format(path, reason)
        elseif not piece then
            return table.concat(pieces)
        end
        pieces[#pieces + 1], total = piece, total + #piece
    end
    return nil, ("%s: more than the limit of 0x%x bytes: raise opts.limit")
        :format(path, limit)
end

function image.from(bytes, opts, ...)
    if type(bytes) ~= "string" then
        error(("image: from: a string of bytes expected, not a %s")
              :format(type(bytes)), 2)
    end
    opts = options("image", opts, KNOWN, 2, ...)
    local result = build(bytes, opts, "(bytes)", 2)
    return result
end

local function open(_, path, opts, ...)
    if type(path) ~= "string" then
        error(("image: a path expected, not a %s"):format(type(path)), 2)
    end
    opts = options("image", opts, KNOWN, 2, ...)
    local limit = size(opts.limit or LIMIT, "image: limit", 2)
    local bytes, why = contents(path, limit)
    if not bytes then
        error("image: " .. why, 2)
    end
    local result = build(bytes, opts, path, 2)
    return result
end

return setmetatable(image, { __call = open })
