-- SPDX-License-Identifier: MIT
--- Reading ELF files: headers, sections, symbols, relocations.
--
-- elf.open(bytes) --> file    and then file:programs(), file:sections(), ...
--
-- A file is whatever somebody sent. Every offset, size and count in it is held
-- against the file's length before it is used; what does not fit is raised as a
-- table { why = "..." }, so that elf.try() tells a bad file from a bug of ours.

local elf = {}

local File = {}
File.__index = File

-- What differs between the two classes: string.unpack formats and their sizes.
local CLASS = {
    [32] = {
        header = "<I2I2I4I4I4I4I4I2I2I2I2I2I2", header_size = 52,
        program = "<I4I4I4I4I4I4I4I4", program_size = 32,
        section = "<I4I4I4I4I4I4I4I4I4I4", section_size = 40,
        symbol = "<I4I4I4BBI2", symbol_size = 16,
    },
    [64] = {
        header = "<I2I2I4I8I8I8I4I2I2I2I2I2I2", header_size = 64,
        program = "<I4I4I8I8I8I8I8I8", program_size = 56,
        section = "<I4I4I8I8I8I8I4I4I8I8", section_size = 64,
        symbol = "<I4BBI2I8I8", symbol_size = 24,
    },
}
local RELA = "<I8I8i8"
local RELA_SIZE = 24

local MACHINE = {
    [3] = { arch = "x86_64", bits = 32 },
    [62] = { arch = "x86_64", bits = 64 },
    [183] = { arch = "arm64", bits = 64 },
}
local FOREIGN = {
    [2] = "SPARC", [8] = "MIPS", [20] = "PowerPC", [21] = "64-bit PowerPC",
    [22] = "S/390", [40] = "32-bit ARM", [43] = "64-bit SPARC",
    [243] = "RISC-V", [247] = "BPF", [258] = "LoongArch",
}

local NAME_MAX = 4096 -- bytes of one name; longer ones are cut
local COUNT_MAX = 1 << 20 -- symbols, relocations: a table each

function elf.fail(format, ...)
    error({ why = format:format(...) }, 0)
end
local fail = elf.fail

--- fn(...)'s results after true, or false and why the file is bad.
function elf.try(fn, ...)
    local results = table.pack(pcall(fn, ...))
    if results[1] then
        return table.unpack(results, 1, results.n)
    end
    local why = results[2]
    if type(why) ~= "table" or not why.why then
        error(why, 0)
    end
    return false, why.why, why
end

-- Sizes past 2^63 come out of string.unpack as negative numbers.
local function within(bytes, offset, size)
    return offset >= 0 and size >= 0 and offset <= #bytes
        and size <= #bytes - offset
end

function File:check(what, offset, size)
    if not within(self.bytes, offset, size) then
        fail("%s: 0x%x bytes at offset 0x%x, but the file has only 0x%x",
             what, size, offset, #self.bytes)
    end
end

local function machine_of(number, bits)
    local machine = MACHINE[number]
    if not machine then
        local name = FOREIGN[number]
        fail("%s code: only arm64, x86_64 and i386 are supported",
             name or ("machine %d's"):format(number))
    elseif machine.bits ~= bits then
        fail("%d-bit ELF for %s is not supported: build a %d-bit one", bits,
             machine.bits == 32 and "i386" or machine.arch, machine.bits)
    end
    return machine
end

function elf.open(bytes)
    if bytes:sub(1, 4) ~= "\x7fELF" then
        fail "not an ELF file"
    elseif #bytes < 16 then
        fail("ELF header: the file has only %d bytes", #bytes)
    end
    local class, order, version = bytes:byte(5, 7)
    if order == 2 then
        fail "big-endian ELF is not supported"
    elseif order ~= 1 or class < 1 or class > 2 or version ~= 1 then
        fail("ELF header: class %d, byte order %d, version %d are not valid",
             class, order, version)
    end
    local bits = class * 32
    local layout = CLASS[bits]
    if #bytes < layout.header_size then
        fail("ELF header: the file has only %d bytes", #bytes)
    end
    local kind, machine, _, entry, phoff, shoff, _, _, phentsize, phnum,
        shentsize, shnum, shstrndx = layout.header:unpack(bytes, 17)
    machine = machine_of(machine, bits)
    return setmetatable({
        bytes = bytes, layout = layout, kind = kind, arch = machine.arch,
        bits = bits, entry = entry, phoff = phoff, phentsize = phentsize,
        phnum = phnum, shoff = shoff, shentsize = shentsize, shnum = shnum,
        shstrndx = shstrndx,
    }, File)
end

--- The program headers, in the order of the file.
function File:programs()
    local list, layout = {}, self.layout
    if self.phnum == 0 then
        return list
    elseif self.phnum == 0xffff then
        fail "program headers: too many"
    elseif self.phentsize ~= layout.program_size then
        fail("program headers: entries of %d bytes, not %d", self.phentsize,
             layout.program_size)
    end
    self:check("program headers", self.phoff, self.phnum * self.phentsize)
    for i = 1, self.phnum do
        local p = {}
        local place = self.phoff + (i - 1) * self.phentsize + 1
        if self.bits == 64 then
            p.type, p.flags, p.offset, p.vaddr, p.paddr, p.filesz, p.memsz,
                p.align = layout.program:unpack(self.bytes, place)
        else
            p.type, p.offset, p.vaddr, p.paddr, p.filesz, p.memsz, p.flags,
                p.align = layout.program:unpack(self.bytes, place)
        end
        list[i] = p
    end
    return list
end

-- The NUL-terminated string at `offset` of a string table. Names may overlap,
-- so that a small file could hold names of any total length: `budget` counts;
-- and no search for the NUL goes further than a name may.
local function name_at(strings, offset, budget)
    if offset >= #strings then
        fail("name at offset 0x%x of a string table of 0x%x bytes", offset,
             #strings)
    end
    local name = strings:sub(offset + 1, offset + 32)
    local finish = name:find("\0", 1, true)
    if not finish then
        name = strings:sub(offset + 1, offset + NAME_MAX)
        finish = name:find("\0", 1, true)
    end
    name = finish and name:sub(1, finish - 1) or name
    budget.left = budget.left - #name
    if budget.left < 0 then
        fail "string table: names overlap too much"
    end
    return name
end

function File:budget()
    return { left = 8 * #self.bytes + 65536 }
end

function File:data(section)
    if section.type == 8 then -- SHT_NOBITS
        return ""
    end
    self:check(("section %d"):format(section.index), section.offset,
               section.size)
    return self.bytes:sub(section.offset + 1, section.offset + section.size)
end

function File:strings(section)
    if not section or section.type ~= 3 then -- SHT_STRTAB
        fail "string table: missing"
    end
    local strings = self:data(section)
    if strings ~= "" and strings:byte(-1) ~= 0 then
        fail "string table: the last name does not end"
    end
    return strings
end

local function name_sections(file, list)
    if file.shstrndx == 0 then
        return
    end
    local strings = file:strings(list[file.shstrndx])
    local budget = file:budget()
    for _, section in ipairs(list) do
        section.name = name_at(strings, section.name_offset, budget)
    end
end

--- The sections by number, the null section left out; {} for a file without.
function File:sections()
    local list, layout = {}, self.layout
    if self.shoff == 0 then
        return list
    elseif self.shentsize ~= layout.section_size then
        fail("section headers: entries of %d bytes, not %d", self.shentsize,
             layout.section_size)
    elseif self.shnum == 0 then
        fail "section headers: too many"
    end
    self:check("section headers", self.shoff, self.shnum * self.shentsize)
    for i = 1, self.shnum - 1 do
        local s = { index = i, name = "" }
        s.name_offset, s.type, s.flags, s.addr, s.offset, s.size, s.link,
            s.info, s.align, s.entsize =
            layout.section:unpack(self.bytes, self.shoff + i * self.shentsize
                                  + 1)
        list[i] = s
    end
    name_sections(self, list)
    return list
end

local function table_count(file, section, entry_size, what)
    if section.entsize ~= entry_size then
        fail("%s: entries of %d bytes, not %d", what, section.entsize,
             entry_size)
    elseif section.size % entry_size ~= 0 then
        fail("%s: 0x%x bytes are not a whole number of entries", what,
             section.size)
    elseif section.size // entry_size > COUNT_MAX then
        fail("%s: more than %d entries", what, COUNT_MAX)
    end
    file:check(what, section.offset, section.size)
    return section.size // entry_size
end

local function read_symbol(file, section, i)
    local s, info = {}
    local place = section.offset + i * section.entsize + 1
    if file.bits == 64 then
        s.name_offset, info, s.other, s.shndx, s.value, s.size =
            file.layout.symbol:unpack(file.bytes, place)
    else
        s.name_offset, s.value, s.size, info, s.other, s.shndx =
            file.layout.symbol:unpack(file.bytes, place)
    end
    s.type, s.bind = info & 15, info >> 4
    return s
end

--- The symbols of the first symbol table, by number from 0 (a null symbol);
-- nil: the file was stripped. And that table's section.
function File:symbols(sections)
    for _, section in ipairs(sections) do
        if section.type == 2 then -- SHT_SYMTAB
            local count = table_count(self, section, self.layout.symbol_size,
                                      "symbol table")
            local strings = self:strings(sections[section.link])
            local budget, list = self:budget(), {}
            for i = 0, count - 1 do
                local symbol = read_symbol(self, section, i)
                symbol.name = symbol.name_offset == 0 and ""
                    or name_at(strings, symbol.name_offset, budget)
                list[i] = symbol
            end
            return list, section
        end
    end
end

--- The relocations with addend in `size` bytes at `offset` in the file.
function File:relas(offset, size)
    if size < 0 or size % RELA_SIZE ~= 0 then
        fail("relocations: 0x%x bytes are not a whole number of entries", size)
    elseif size // RELA_SIZE > COUNT_MAX then
        fail("relocations: more than %d entries", COUNT_MAX)
    end
    self:check("relocations", offset, size)
    local list = {}
    for place = offset + 1, offset + size, RELA_SIZE do
        local at, info, addend = RELA:unpack(self.bytes, place)
        list[#list + 1] = {
            offset = at, type = info & 0xffffffff, symbol = info >> 32,
            addend = addend,
        }
    end
    return list
end

--- May `name` appear among an image's symbols? Not sections, files, thread
-- locals, nor the assembler's marks of code and data ($x, $d.1).
function elf.public(symbol)
    return symbol.name ~= "" and symbol.type <= 2 and symbol.shndx ~= 0
        and not symbol.name:find "^%$[adtx]$"
        and not symbol.name:find "^%$[adtx]%."
end

--- `data` with each of `patches` { offset=, bytes= } in its place.
function elf.patch(data, patches)
    if #patches == 0 then
        return data
    end
    table.sort(patches, function(a, b) return a.offset < b.offset end)
    local pieces, done = {}, 0
    for _, patch in ipairs(patches) do
        local finish = patch.offset + #patch.bytes
        if patch.offset < done or finish > #data then
            fail("relocation at offset 0x%x: overlaps another", patch.offset)
        end
        pieces[#pieces + 1] = data:sub(done + 1, patch.offset)
        pieces[#pieces + 1] = patch.bytes
        done = finish
    end
    pieces[#pieces + 1] = data:sub(done + 1)
    return table.concat(pieces)
end

return elf
