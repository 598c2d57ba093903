-- SPDX-License-Identifier: MIT
--- The x86_64 machine of the cases: 1 MiB of memory at 0 and none elsewhere, code at
-- CODE in the innermost ring with interrupts off, an IDT whose handlers tell which they
-- are, a GDT, a task state, and page tables. A case has, besides what case.lua says:
--
--   bits    16: real mode, 32: protected mode, no paging; else long mode, paging on
--   asm     64 where its code has .code16, .code32 and .code64 for several modes
--   pages   { [va] = entry } of the page tables, instead of the page itself for ring 0

local hv = require "hv"

local board = {
    arch = "x86_64",
    MEMORY = "1M",
    CODE = 0x1000, -- the page whose code ring 3 may execute
    PARK = 0x3000,
    DATA = 0x4000,
    USER_DATA = 0x5000, -- the page that ring 3 may write
    USER_STACK = 0x6000,
    INNER_STACK = 0x7000, -- for who comes from ring 3
    IST = 0x7800, -- the first stack of the interrupt stack table
    STACK = 0x8000,
    HANDLERS = 0x8000,
    IDT = 0x9000,
    GDT = 0xa000,
    TASK = 0xb000,
    TABLES = 0x10000, -- long mode's
    TABLES_32 = 0x14000,
    TABLES_PAE = 0x16000,
    DEVICE = 0x200000,
    PAGE = 0x1000,
    GATES = 64,
}

-- Selectors; CODE_16, CODE_32 and CODE_64 whatever the mode is.
board.SELECTOR = { code = 0x08, data = 0x10, user_code = 0x1b, user_data = 0x23,
    task = 0x28, code_16 = 0x38, code_32 = 0x40, code_64 = 0x48, data_16 = 0x50,
    absent = 0x58, small = 0x60, readonly = 0x68 }

local DESCRIPTORS = {
    [0x10] = 0x00cf93000000ffff, [0x20] = 0x00cff3000000ffff,
    [0x38] = 0x00009b000000ffff, [0x40] = 0x00cf9b000000ffff, [0x48] = 0x00af9b000000ffff,
    [0x50] = 0x000093000000ffff, [0x58] = 0x00cf13000000ffff, [0x60] = 0x0040930000000fff,
    [0x68] = 0x00cf91000000ffff,
}

-- ---- handlers -----------------------------------------------------------
-- Handler n is `out %al` to port n, then an IRET over the error code where there is one.

local HAS_CODE = { [8] = true, [10] = true, [11] = true, [12] = true, [13] = true,
    [14] = true, [17] = true }
local RETURN = { [16] = { "", "iretw" }, [32] = { "add $4, %esp\n", "iretl" },
    [64] = { "add $8, %rsp\n", "iretq" } }

local function handlers(bits)
    local over, back = table.unpack(RETURN[bits])
    local text = {}
    for n = 0, board.GATES - 1 do
        text[#text + 1] = (".balign 16\n out %%al, $%d\n%s%s"):format(n,
            HAS_CODE[n] and over or "", back)
    end
    return table.concat(text, "\n")
end

function board.handler(n)
    return board.HANDLERS + 16 * n
end

-- A gate: type 14 of interrupts, 15 of traps.
function board.gate(handler, fields)
    local g = { selector = 8, type = 14, dpl = 0, ist = 0, present = 1 }
    for name, value in pairs(fields or {}) do
        g[name] = value
    end
    return (handler & 0xffff) | g.selector << 16 | g.ist << 32 | g.type << 40
        | g.dpl << 45 | g.present << 47 | (handler >> 16 & 0xffff) << 48
end

-- Where the gate of vector n is.
function board.gate_at(bits, n)
    return board.IDT + (bits == 32 and 8 or 16) * n
end

-- The exit of handler n, with what is on its stack.
function board.taken(n, stack, regs)
    return { "io", port = n, size = 1, write = true, stack = stack, regs = regs }
end

-- ---- tables -------------------------------------------------------------

local function write_vectors(vm, bits)
    vm:load(board.HANDLERS, hv.asm(handlers(bits), { arch = "x86_64", bits = bits }))
    for n = 0, board.GATES - 1 do
        if bits == 16 then
            vm:u32(4 * n, board.handler(n))
        else
            vm:u64(board.gate_at(bits, n), board.gate(board.handler(n)))
        end
    end
end

local function write_descriptors(vm, bits)
    for at, descriptor in pairs(DESCRIPTORS) do
        vm:u64(board.GDT + at, descriptor)
    end
    local code = bits == 64 and 0x00af9b000000ffff or 0x00cf9b000000ffff
    vm:u64(board.GDT + 0x08, code)
    vm:u64(board.GDT + 0x18, code | 3 << 45)
    vm:u64(board.GDT + 0x28, 0x67 | board.TASK << 16 | 0x8b << 40)
    if bits == 64 then
        vm:u64(board.TASK + 4, board.INNER_STACK)
        vm:u64(board.TASK + 36, board.IST)
    else
        vm:u32(board.TASK + 4, board.INNER_STACK)
        vm:u32(board.TASK + 8, board.SELECTOR.data)
    end
    vm:u16(board.TASK + 0x66, 0x68)
end

-- Entries: P, W, U, accessed, dirty, large, not for code.
board.PAGE_0 = 0x63
board.PAGE_0_RO = 0x61
board.PAGE_3 = 0x67
board.PAGE_3_RO = 0x65
board.LARGE = 0x80
board.NX = 1 << 63

local function page(va)
    local open = va == board.CODE or va == board.USER_DATA
    return va | (open and board.PAGE_3 or board.PAGE_0)
end

-- Where the entry of a page is: of long mode and PAE; of 32 bits.
function board.entry(va)
    return board.TABLES + 0x3000 + 8 * (va >> 12)
end

function board.entry_32(va)
    return board.TABLES_32 + 0x1000 + 4 * (va >> 12)
end

-- The first 2 MiB in pages of 4 KiB, the device's in a large one.
local function write_tables(vm, pages)
    local wide, narrow = {}, {}
    for va = 0, 0x3ff000, board.PAGE do
        local entry = pages[va] or page(va)
        wide[#wide + 1] = va < 0x200000 and ("<I8"):pack(entry) or nil
        narrow[#narrow + 1] = ("<I4"):pack(entry & 0xffffffff)
    end
    local at = board.TABLES
    vm:u64(at, at + 0x1000 | 7)
    vm:u64(at + 0x1000, at + 0x2000 | 7)
    vm:u64(at + 0x2000, at + 0x3000 | 7)
    vm:u64(at + 0x2008, board.DEVICE | board.PAGE_0 | board.LARGE)
    vm:write(at + 0x3000, table.concat(wide))
    vm:u32(board.TABLES_32, board.TABLES_32 + 0x1000 | 7)
    vm:write(board.TABLES_32 + 0x1000, table.concat(narrow))
    vm:u64(board.TABLES_PAE, at + 0x2000 | 1)
end

-- ---- registers ----------------------------------------------------------

board.CR0_PE, board.CR0_WP, board.CR0_PG = 1, 1 << 16, 1 << 31
board.CR0 = 0x11
board.CR4_PSE, board.CR4_PAE = 1 << 4, 1 << 5
board.EFER = 0x500 -- LME and LMA
board.EFER_NXE, board.EFER_SCE = 1 << 11, 1

local function segment(selector, dpl, fields)
    local s = { selector = selector, base = 0, limit = 0xffffffff, type = 3, s = 1,
        dpl = dpl, present = 1, avl = 0, l = 0, db = 1, g = 1 }
    for name, value in pairs(fields or {}) do
        s[name] = value
    end
    return s
end

-- A data segment, which begins at 0 and has no end unless told.
function board.data(fields)
    return segment(board.SELECTOR.data, 0, fields)
end

local function segments(ring, bits)
    local s = board.SELECTOR
    local code, data = s.code, board.data()
    if ring == 3 then
        code, data = s.user_code, segment(s.user_data, 3)
    end
    local wide = bits == 64
    return { ds = data, es = data, fs = data, gs = data, ss = data,
        cs = segment(code, ring, { type = 11, l = wide and 1 or 0, db = wide and 0 or 1 }) }
end

local function with(regs, more)
    for name, value in pairs(more or {}) do
        regs[name] = value
    end
    return regs
end

-- Registers of a case in ring 3, whose code is at CODE all the same.
function board.user(bits, regs)
    return with(with(segments(3, bits), { sp = board.USER_STACK }), regs)
end

-- Registers with which protected mode has paging.
function board.paging(regs)
    return with({ cr3 = board.TABLES_32, cr0 = board.CR0 | board.CR0_PG }, regs)
end

function board.paging_pae(regs)
    return with({ cr3 = board.TABLES_PAE, cr4 = board.CR4_PAE,
        cr0 = board.CR0 | board.CR0_PG }, regs)
end

-- ---- what case.lua asks for ---------------------------------------------

function board.prepare(vm, case)
    local bits = case.bits or 64
    write_vectors(vm, bits)
    vm:load(board.PARK, "\xeb\xfe")
    write_descriptors(vm, bits)
    write_tables(vm, case.pages or {})
end

function board.registers(case)
    local bits = case.bits or 64
    local regs = { pc = board.CODE, sp = board.STACK, rflags = 2 }
    if bits == 16 then
        return regs
    end
    with(regs, segments(0, bits))
    with(regs, { cr0 = board.CR0, gdtr = { base = board.GDT, limit = 0x7f },
        idtr = { base = board.IDT, limit = board.GATES * (bits == 32 and 8 or 16) - 1 },
        tr = segment(board.SELECTOR.task, 0, { base = board.TASK, limit = 0x67, type = 11,
            s = 0, db = 0, g = 0 }) })
    if bits == 64 then
        with(regs, { cr0 = board.CR0 | board.CR0_PG, cr3 = board.TABLES,
            cr4 = board.CR4_PAE, efer = board.EFER })
    end
    return regs
end

function board.park(cpu)
    cpu.pc = board.PARK
end

-- Leaf of CPUID, register and bit.
local FEATURES = { pdpe1gb = { 0x80000001, "rdx", 26 } }

function board.lacks(cpu, feature)
    local leaf, reg, bit = table.unpack(FEATURES[feature])
    cpu.vm:load(board.CODE, "\x0f\xa2\xf4") -- cpuid, hlt
    cpu.pc, cpu.rax = board.CODE, leaf
    cpu.vm:run()
    if cpu[reg] >> bit & 1 == 0 then
        return ("this CPU has no %s (CPUID 0x%x, %s[%d] is 0)"):format(feature, leaf, reg, bit)
    end
end

-- A KVM without the processor's help goes through its guests in the kernel's emulator of
-- instructions, which knows none of the x87.
local emulator = {}

function board.emulates(backend, open)
    if backend == "kvm" and emulator[1] == nil then
        local vm <close> = open { memory = board.MEMORY }
        vm:load(board.CODE, hv.asm("fld1\n hlt", { arch = "x86_64", bits = 16 }))
        vm:vcpu { pc = board.CODE }
        emulator[1] = vm:run().kind == "error"
    end
    return backend == "kvm" and emulator[1]
end

-- Word n on the stack, from its top: of as many bytes as the code segment has.
function board.word(cpu, n)
    local cs, vm = cpu.cs, cpu.vm
    if cs.l == 1 then
        return vm:u64(cpu.sp + 8 * (n - 1))
    elseif cs.db == 1 then
        return vm:u32(cpu.ss.base + cpu.esp + 4 * (n - 1))
    end
    return vm:u16(cpu.ss.base + (cpu.esp & 0xffff) + 2 * (n - 1))
end

return board
