-- SPDX-License-Identifier: MIT
--- Object files: from the assembler's output to bytes at an address.
--
-- object.read(bytes, arch) --> object    everything that needs no address
-- object.place(object, at) --> { entry=, segments=, symbols= }
--
-- Both raise as elf.lua does; { why=, symbol= } names the symbol that is at
-- fault, for those who can tell which line it is on.

local elf = require "hv.elf"
local relocate = require "hv.relocate"

local object = {}

local WRITE, ALLOC, EXEC, TLS = 1, 2, 4, 0x400
local NOBITS, NOTE, REL, RELA = 8, 7, 9, 4
local UNDEFINED, ABSOLUTE, COMMON, RESERVED = 0, 0xfff1, 0xfff2, 0xff00
local WEAK, LOCAL = 2, 0
local SIZE_MAX = 1 << 30

local fail = elf.fail

local function fail_symbol(symbol, format, ...)
    error({ why = format:format(...), symbol = symbol }, 0)
end

local function rank(section)
    if section.flags & EXEC ~= 0 then
        return section.name == ".text" and 0 or 1
    elseif section.flags & WRITE == 0 then
        return 2
    end
    return section.type == NOBITS and 4 or 3
end

local function protection(section)
    return "r" .. (section.flags & WRITE ~= 0 and "w" or "")
        .. (section.flags & EXEC ~= 0 and "x" or "")
end

-- The sections that take up memory, code first: .text starts the image, so that
-- loading it somewhere and jumping there is one address.
local function loaded(file, sections)
    local list = {}
    for _, section in ipairs(sections) do
        local wanted = section.flags & ALLOC ~= 0 and section.type ~= NOTE
        if wanted and section.flags & TLS ~= 0 then
            fail("%s: thread-local storage is not supported", section.name)
        elseif wanted then
            local align = math.max(section.align, 1)
            if align & align - 1 ~= 0 or section.size < 0
                or section.size > SIZE_MAX or align > SIZE_MAX then
                fail("%s: 0x%x bytes aligned to 0x%x", section.name,
                     section.size, align)
            end
            list[#list + 1] = {
                name = section.name, size = section.size, align = align,
                data = file:data(section), prot = protection(section),
                index = section.index, rank = rank(section), relocations = {},
            }
        end
    end
    table.sort(list, function(a, b)
        return a.rank < b.rank or a.rank == b.rank and a.index < b.index
    end)
    return list
end

-- Common symbols have a size, and their alignment as value: they get a place of
-- their own behind everything else.
local function add_commons(list, symbols)
    for i = 1, #symbols do
        local symbol = symbols[i]
        if symbol.shndx == COMMON then
            local align = math.max(symbol.value, 1)
            if align & align - 1 ~= 0 or align > SIZE_MAX or symbol.size < 0
                or symbol.size > SIZE_MAX then
                fail_symbol(symbol.name, 'common symbol "%s" is not valid',
                            symbol.name)
            end
            list[#list + 1] = {
                name = symbol.name, size = symbol.size, align = align,
                data = "", prot = "rw", relocations = {},
            }
            symbol.value, symbol.section = 0, list[#list]
        end
    end
end

-- Offsets from the image's base, and its alignment. Each is a multiple of its
-- section's alignment, so any base that is a multiple of the largest will do.
local function lay_out(list)
    local size, align = 0, 1
    for _, section in ipairs(list) do
        size = size + section.align - 1 & -section.align
        section.offset = size
        size = size + section.size
        align = section.size > 0 and math.max(align, section.align) or align
        if size > SIZE_MAX then
            fail("more than 0x%x bytes", SIZE_MAX)
        end
    end
    return size, align
end

local function bind(symbols, by_index)
    for i = 1, #symbols do
        local symbol = symbols[i]
        local shndx = symbol.shndx
        if shndx ~= UNDEFINED and shndx < RESERVED then
            symbol.section = by_index[shndx]
        elseif shndx >= RESERVED and shndx ~= ABSOLUTE and shndx ~= COMMON then
            fail_symbol(symbol.name, 'symbol "%s" is of section 0x%x',
                        symbol.name, shndx)
        end
    end
end

-- What a relocation is about. The assembler names local labels by their section
-- and offset; the script knows them as labels.
local function target_of(symbols, symbol, addend)
    if symbol.name ~= "" then
        return symbol.name
    elseif not symbol.section then
        return ("0x%x"):format(symbol.value + addend)
    end
    for i = 1, #symbols do
        local label = symbols[i]
        if label.section == symbol.section and elf.public(label)
            and label.value == symbol.value + addend then
            return label.name
        end
    end
    return symbol.section.name
end

local function check_relocation(section, r, symbols, kinds)
    local kind = kinds[r.type]
    local symbol = symbols[r.symbol]
    if not symbol then
        fail("relocation in %s: symbol %d does not exist", section.name,
             r.symbol)
    end
    local name = symbol.name
    if not kind then
        name = target_of(symbols, symbol, r.addend)
        fail_symbol(name, 'relocation type %d for "%s" is not supported',
                    r.type, name)
    elseif r.offset < 0 or r.offset > #section.data - kind.size then
        fail("relocation in %s: offset 0x%x is outside", section.name,
             r.offset)
    elseif r.symbol ~= 0 and symbol.shndx == UNDEFINED
        and symbol.bind ~= WEAK then
        fail_symbol(name, 'undefined symbol "%s"', name)
    elseif symbol.shndx ~= UNDEFINED and symbol.shndx ~= ABSOLUTE
        and not symbol.section then
        fail_symbol(name, '"%s" is in a section that is not loaded', name)
    end
    return {
        offset = r.offset, kind = kind, symbol = symbol, addend = r.addend,
    }
end

local function read_relocations(file, sections, by_index, symbols)
    local kinds = relocate[file.arch]
    for _, section in ipairs(sections) do
        local target = by_index[section.info]
        if section.type == REL and target then
            fail("%s: relocations without addend are not supported",
                 section.name)
        elseif section.type == RELA and target then
            for _, r in ipairs(file:relas(section.offset, section.size)) do
                table.insert(target.relocations,
                             check_relocation(target, r, symbols, kinds))
            end
        end
    end
end

function object.read(bytes, arch)
    local file = elf.open(bytes)
    if file.kind ~= 1 then
        fail "not a relocatable object"
    elseif file.arch ~= arch or file.bits ~= 64 then
        fail("the assembler made %d-bit %s code, not %s", file.bits,
             file.arch, arch)
    end
    local sections = file:sections()
    local symbols = file:symbols(sections) or {}
    local list, by_index = loaded(file, sections), {}
    for _, section in ipairs(list) do
        by_index[section.index] = section
    end
    bind(symbols, by_index)
    add_commons(list, symbols)
    read_relocations(file, sections, by_index, symbols)
    local size, align = lay_out(list)
    return {
        arch = arch, sections = list, symbols = symbols, size = size,
        align = align,
    }
end

local function address(symbol, at)
    if symbol.section then
        return at + symbol.section.offset + symbol.value
    end
    return symbol.value -- absolute, or weak and undefined: 0
end

local function relocated(obj, section, at)
    local patches = {}
    for _, r in ipairs(section.relocations) do
        local size = r.kind.size
        if size > 0 then
            local place = at + section.offset + r.offset
            local format = "<I" .. size
            local old = format:unpack(section.data, r.offset + 1)
            local new, why = r.kind.apply(address(r.symbol, at) + r.addend,
                                          place, old)
            if not new then
                local name = target_of(obj.symbols, r.symbol, r.addend)
                fail_symbol(name, '"%s" %s of %s at 0x%x', name, why,
                            r.kind.name, place)
            end
            local mask = size < 8 and (1 << size * 8) - 1 or -1
            patches[#patches + 1] = {
                offset = r.offset, bytes = format:pack(new & mask),
            }
        end
    end
    return elf.patch(section.data, patches)
end

-- clang aligns x86 .text to 4 where nobody asked for it, and x86 cares for no
-- alignment below that of its vectors.
local function check_base(obj, at)
    local align = obj.align
    if obj.arch == "x86_64" and align <= 4 then
        align = 1
    end
    if at & align - 1 ~= 0 then
        fail("cannot be at 0x%x: it needs an address that is a multiple of %d",
             at, align)
    elseif at > math.maxinteger - obj.size then
        fail("0x%x bytes at 0x%x do not fit below 2^63", obj.size, at)
    end
end

local function public_symbols(obj, at)
    local found = {}
    for i = 1, #obj.symbols do
        local symbol = obj.symbols[i]
        if elf.public(symbol)
            and (symbol.section or symbol.shndx == ABSOLUTE) then
            -- a global name is the one meant where a local has it as well
            if symbol.bind ~= LOCAL or not found[symbol.name] then
                found[symbol.name] = address(symbol, at)
            end
        end
    end
    return found
end

function object.place(obj, at)
    check_base(obj, at)
    local segments = {}
    for _, section in ipairs(obj.sections) do
        if section.size > 0 then
            segments[#segments + 1] = {
                at = at + section.offset, data = relocated(obj, section, at),
                size = section.size, prot = section.prot,
            }
        end
    end
    local symbols = public_symbols(obj, at)
    return {
        entry = symbols._start or at, segments = segments, symbols = symbols,
    }
end

return object
