-- SPDX-License-Identifier: MIT
--- The arm64 machine of the cases: 1 MiB of memory at 0 and none elsewhere, code
-- at CODE in EL1 with all interrupts masked, vectors that tell which they are, and
-- page tables for those who want the MMU on.

local hv = require "hv"

local board = {
    arch = "arm64",
    MEMORY = "1M",
    CODE = 0x1000,
    USER = 0x2000, -- the page whose code EL0 may execute
    PARK = 0x3000,
    DATA = 0x4000,
    USER_DATA = 0x5000, -- the page that EL0 may write
    STACK = 0x7000,
    USER_STACK = 0x6000,
    VECTORS = 0x8000,
    TABLES = 0x10000,
    DEVICE = 0x200000,
    PAGE = 0x4000, -- what all backends can map: the largest page of any
}

-- Entry n of the vector table is `hvc #(0x100 + n)`, then `eret`.
board.VECTOR = {
    sync_sp0 = 0x100, irq_sp0 = 0x101,
    sync = 0x104, irq = 0x105,
    sync_el0 = 0x108, irq_el0 = 0x109,
}

local VECTORS = (function()
    local text = {}
    for i = 0, 15 do
        text[#text + 1] = (".balign 128\n hvc #%d\n eret"):format(i + 0x100)
    end
    return table.concat(text, "\n")
end)()

-- SCTLR_EL1: its bits that are one where a feature is missing, among them SPAN, with
-- which exceptions leave PSTATE.PAN alone; MMU and caches off.
board.SCTLR = 0x30d00980
board.MMU_ON = board.SCTLR | 1
board.MASKED = 0x3c5 -- PSTATE: EL1 with its own stack, DAIF set
board.EL1T = 0x3c4 -- EL1 with the stack of EL0
board.EL0 = 0x3c0

-- ---- page tables --------------------------------------------------------
-- 4 KiB pages, 39 bits. The first 2 MiB by pages, to themselves, for EL1; then a block
-- for the device. A case's `pages` are entries of its own, by virtual address; its
-- `tables` are words anywhere.

board.PAGE_EL1 = 0x703   -- read, write, execute; accessed, inner shareable, normal
board.PAGE_RO = 0x783
board.PAGE_EL0 = 0x743   -- and EL0 may, so EL1 may not execute it
board.PAGE_EL0_RO = 0x7c3
board.BLOCK_EL1 = 0x701
board.PXN = 1 << 53
board.UXN = 1 << 54

-- Normal memory, write-back; the upper half with the same tables' shape.
board.TCR = 25 | 1 << 8 | 1 << 10 | 3 << 12
    | 25 << 16 | 1 << 24 | 1 << 26 | 3 << 28 | 2 << 30 | 1 << 32

local IDENTITY = (function()
    local entries = {}
    for page = 0, 511 do
        entries[#entries + 1] = ("<i8"):pack(page << 12 | board.PAGE_EL1)
    end
    return table.concat(entries)
end)()

local function map_pages(vm, case)
    local L1, L2, L3 = board.TABLES, board.TABLES + 0x1000, board.TABLES + 0x2000
    vm:u64(L1, L2 | 3)
    vm:u64(L2, L3 | 3)
    vm:u64(L2 + 8, board.DEVICE | board.BLOCK_EL1)
    vm:write(L3, IDENTITY)
    vm:u64(L3 + 8 * (board.USER >> 12), board.USER | board.PAGE_EL0_RO)
    vm:u64(L3 + 8 * (board.USER_DATA >> 12), board.USER_DATA | board.PAGE_EL0)
    for va, entry in pairs(case.pages or {}) do
        vm:u64(L3 + 8 * (va >> 12), entry)
    end
    for at, entry in pairs(case.tables or {}) do
        vm:u64(at, entry)
    end
end

-- Where the entry of a page is.
function board.entry(va)
    return board.TABLES + 0x2000 + 8 * (va >> 12)
end

-- Registers with which the MMU is on.
function board.mmu(regs)
    local all = { sctlr_el1 = board.MMU_ON, ttbr0_el1 = board.TABLES,
        ttbr1_el1 = board.TABLES + 0x4000, tcr_el1 = board.TCR, mair_el1 = 0xff }
    for name, value in pairs(regs or {}) do
        all[name] = value
    end
    return all
end

-- ---- what case.lua asks for ---------------------------------------------

function board.prepare(vm, case)
    vm:load(board.VECTORS, hv.asm(VECTORS))
    vm:load(board.PARK, hv.asm "b .")
    map_pages(vm, case)
end

function board.registers()
    return { pc = board.CODE, sp_el1 = board.STACK, sp_el0 = board.USER_STACK,
        vbar_el1 = board.VECTORS, sctlr_el1 = board.SCTLR, cpacr_el1 = 0 }
end

function board.park(cpu)
    cpu.pc, cpu.cpsr, cpu.sctlr_el1 = board.PARK, board.MASKED, board.SCTLR
end

-- The field of an ID register that is not 0 where a CPU has it.
local FEATURES = {
    FEAT_LSE = { "id_aa64isar0_el1", 20 },
    FEAT_PAN = { "id_aa64mmfr1_el1", 20 },
}

function board.lacks(cpu, feature)
    local reg, shift = table.unpack(FEATURES[feature])
    if cpu[reg] >> shift & 15 == 0 then
        return ("this CPU has no %s (%s[%d:%d] is 0)"):format(feature, reg, shift + 3, shift)
    end
end

return board
