-- SPDX-License-Identifier: MIT
-- The guest's own translation: where addresses lead, and the faults on the way.
local case, board = ...

local VECTOR, DEVICE = board.VECTOR, board.DEVICE
local DONE = { "hvc", imm = 0 }
local L1, L2 = board.TABLES, board.TABLES + 0x1000
local UPPER = 0xffffff8000000000 -- where the addresses of TTBR1 begin

local function fields(own, more)
    for name, value in pairs(more or {}) do
        own[name] = value
    end
    return own
end

-- ---- where addresses lead ------------------------------------------------------

case("a guest turns the MMU on", {
    code = [[
        msr   ttbr0_el1, x20
        msr   tcr_el1, x21
        msr   mair_el1, x22
        isb
        tlbi  vmalle1
        dsb   sy
        mrs   x23, sctlr_el1
        orr   x23, x23, #1
        msr   sctlr_el1, x23
        isb
        ldr   x2, [x1]
        str   x2, [x1, #8]
        hvc   #0
    ]],
    regs = { x1 = 0x20000, x20 = board.TABLES, x21 = board.TCR, x22 = 0xff },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
    words = { [0x30000] = 0x1234, [0x20000] = 0x9999 },
    trace = { DONE },
    after = { x2 = 0x1234, sctlr_el1 = board.MMU_ON },
    memory = { [0x30008] = 0x1234, [0x20008] = 0 },
})

case("a guest turns the MMU off again", {
    code = "mrs x5, sctlr_el1\n bic x5, x5, #1\n msr sctlr_el1, x5\n isb\n ldr x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x20000 },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
    words = { [0x30000] = 0x1234, [0x20000] = 0x9999 },
    trace = { DONE },
    after = { x2 = 0x9999 },
})

case("code is fetched where its address leads", {
    code = "br x1",
    regs = board.mmu { x1 = 0x20100 },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
    more = { [0x30100] = "hvc #0x77", [0x20100] = "hvc #0x11" },
    trace = { { "hvc", imm = 0x77, regs = { pc = 0x20104 } } },
})

case("the halves of a load in two pages come from two places", {
    code = "ldr x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x20ffc },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1, [0x21000] = 0x40000 | board.PAGE_EL1 },
    words = { [0x30ff8] = 0x1111111122222222, [0x40000] = 0x3333333344444444 },
    trace = { DONE },
    after = { x2 = 0x4444444411111111 },
})

case("a block of 2 MiB", {
    code = "ldr x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x404008 },
    tables = { [L2 + 16] = board.BLOCK_EL1 },
    words = { [0x4008] = 0x77 },
    trace = { DONE },
    after = { x2 = 0x77 },
})

case("a block of 1 GiB, of the upper addresses", {
    code = "ldr x2, [x1]\n br x3",
    regs = board.mmu { x1 = UPPER + 0x4000, x3 = UPPER + 0x20000 },
    tables = { [board.TABLES + 0x4000] = board.BLOCK_EL1 },
    words = { [0x4000] = 0x55 },
    more = { [0x20000] = "hvc #0x66" },
    trace = { { "hvc", imm = 0x66, regs = { x2 = 0x55, pc = UPPER + 0x20004 } } },
})

case("48 bits of address, by four levels", {
    code = "ldr x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x800000004008, ttbr0_el1 = 0x18000,
        tcr_el1 = board.TCR & ~63 | 16 },
    tables = { [0x18000] = L1 | 3, [0x18000 + 8 * 256] = 0x19000 | 3,
        [0x19000] = board.BLOCK_EL1 },
    words = { [0x4008] = 0x88 },
    trace = { DONE },
    after = { x2 = 0x88 },
})

case("a tag in the top byte, where that is ignored", {
    code = "ldr x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0xab << 56 | 0x20000, tcr_el1 = board.TCR | 1 << 37 },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
    words = { [0x30000] = 0x99 },
    trace = { DONE },
    after = { x2 = 0x99 },
})

-- ---- devices behind it ---------------------------------------------------------

case("a device has the physical address, and the virtual one too", {
    code = "ldr w2, [x1]\n str w2, [x1, #4]\n hvc #0",
    regs = board.mmu { x1 = 0x22008 },
    pages = { [0x22000] = (DEVICE + 0x1000) | board.PAGE_EL1 },
    trace = {
        { "mmio", addr = DEVICE + 0x1008, pa = DEVICE + 0x1008, va = 0x22008, size = 4,
            write = false, answer = 3 },
        { "mmio", addr = DEVICE + 0x100c, va = 0x2200c, size = 4, write = true, value = 3 },
        DONE,
    },
})

case("a device of EL0's", {
    code = "br x3",
    regs = board.mmu { cpsr = board.EL0, x1 = 0x22000, pc = board.USER },
    pages = { [0x22000] = DEVICE | board.PAGE_EL0 },
    more = { [board.USER] = "ldrsb x2, [x1, #1]!\n svc #0" },
    trace = {
        { "mmio", addr = DEVICE + 1, size = 1, write = false, answer = 0x80,
            regs = { x1 = 0x22001, cpsr = board.EL0, pc = board.USER + 4 } },
        { "hvc", imm = VECTOR.sync_el0, regs = { x2 = -128 } },
    },
})

case("an access to a device that is not aligned is one exit", {
    code = "ldr w2, [x1, #1]\n strh w2, [x1, #3]\n hvc #0",
    regs = board.mmu { x1 = DEVICE },
    trace = {
        { "mmio", addr = DEVICE + 1, size = 4, write = false, answer = 0x87654321 },
        { "mmio", addr = DEVICE + 3, size = 2, write = true, value = 0x4321 },
        DONE,
    },
})

case("a tagged address of a device", {
    code = "stp x2, x3, [x1], #16\n hvc #0",
    regs = board.mmu { x1 = 0x12 << 56 | DEVICE, tcr_el1 = board.TCR | 1 << 37, x2 = 1, x3 = 2 },
    trace = {
        { "mmio", addr = DEVICE, write = true, value = 1 },
        { "mmio", addr = DEVICE + 8, write = true, value = 2 },
        DONE,
    },
    after = { x1 = 0x12 << 56 | DEVICE + 16 },
})

case("a pair in two pages: memory and a device", {
    code = "ldp x2, x3, [x1]\n stp x3, x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x20ff8 },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1, [0x21000] = DEVICE | board.PAGE_EL1 },
    words = { [0x30ff8] = 0x11 },
    trace = {
        { "mmio", addr = DEVICE, size = 8, write = false, answer = 0x22 },
        { "mmio", addr = DEVICE, size = 8, write = true, value = 0x11 },
        DONE,
    },
    after = { x2 = 0x11, x3 = 0x22 },
    memory = { [0x30ff8] = 0x22 },
})

-- ---- faults of EL1 ---------------------------------------------------------------

local function fault(name, instruction, syndrome, at, more)
    local own = fields({
        code = instruction .. "\n hvc #0",
        regs = board.mmu { x1 = at, x2 = 5 },
        trace = { { "hvc", imm = VECTOR.sync, regs = { esr_el1 = syndrome, far_el1 = at,
            elr_el1 = 0x1000, spsr_el1 = board.MASKED, x1 = at, x2 = 5 } } },
    }, more)
    case(name, own)
end

fault("no entry, level 0: the address is in neither half", "ldr x2, [x1]", 0x96000004,
    0x8000000000)
fault("no entry, level 1", "ldr x2, [x1]", 0x96000005, 0x40000000)
fault("no entry, level 2", "ldr x2, [x1]", 0x96000006, 0x400008)
fault("no entry, level 3", "ldr x2, [x1]", 0x96000007, 0x20008, { pages = { [0x20000] = 0 } })
fault("a store where no entry is", "str x2, [x1]", 0x96000047, 0x20008,
    { pages = { [0x20000] = 0 } })
fault("a post-indexed load is not written back", "ldr x2, [x1], #8", 0x96000007, 0x20008,
    { pages = { [0x20000] = 0 } })
fault("a reserved entry of level 3 is none", "ldr x2, [x1]", 0x96000007, 0x20008,
    { pages = { [0x20000] = 0x20000 | 0x701 } })
fault("no access flag, level 3", "ldr x2, [x1]", 0x9600000b, 0x20010,
    { pages = { [0x20000] = 0x20000 | 0x303 } })
fault("no access flag, level 2", "str x2, [x1]", 0x9600004a, 0x400010,
    { tables = { [L2 + 16] = 0x301 } })
fault("a store to what is read-only", "str x2, [x1]", 0x9600004f, 0x20010,
    { pages = { [0x20000] = 0x20000 | board.PAGE_RO } })
fault("walks of the upper half that are turned off", "ldr x2, [x1]", 0x96000004, UPPER,
    { regs = board.mmu { x1 = UPPER, x2 = 5, tcr_el1 = board.TCR | 1 << 23 } })
fault("an access as if by EL0 to what is EL1's", "ldtr x2, [x1]", 0x9600000f, 0x20000)
fault("a tag where it is not ignored", "ldr x2, [x1]", 0x96000004, 0xab << 56 | 0x20000)
fault("the second page of a pair", "ldp x2, x3, [x1]", 0x96000007, 0x20ff8, {
    pages = { [0x21000] = 0 },
    trace = { { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x96000007, far_el1 = 0x21000,
        elr_el1 = 0x1000, x2 = 5 } } },
})
fault("privileged access never", "ldr x2, [x1]", 0x9600000f, board.USER_DATA, {
    code = ".inst 0xd500419f // msr pan, #1\n ldr x2, [x1]\n hvc #0",
    needs = "FEAT_PAN",
    trace = { { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x9600000f,
        far_el1 = board.USER_DATA, elr_el1 = 0x1004 } } },
})

case("an exception sets PAN, where EL1 asks for that", {
    code = "svc #0",
    needs = "FEAT_PAN",
    regs = { sctlr_el1 = board.SCTLR & ~(1 << 23) },
    trace = { { "hvc", imm = VECTOR.sync, regs = { cpsr = board.MASKED | 1 << 22,
        spsr_el1 = board.MASKED } } },
})

case("inject sets PAN, where EL1 asks for that", {
    code = "hvc #1",
    needs = "FEAT_PAN",
    regs = { sctlr_el1 = board.SCTLR & ~(1 << 23) },
    trace = { { "hvc", imm = 1 }, { "hvc", imm = VECTOR.sync,
        host = function(_, cpu) cpu:inject { syndrome = 0x02000000 } end,
        regs = { cpsr = board.MASKED | 1 << 22, spsr_el1 = board.MASKED } } },
})

case("dc zva where no entry is", {
    code = "dc zva, x1",
    regs = board.mmu { x1 = 0x20040 },
    pages = { [0x20000] = 0 },
    trace = { { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x96000047, elr_el1 = 0x1000 } } },
})

-- ---- fetches -----------------------------------------------------------------------

-- By ret: br leaves its mark in PSTATE, where the CPU has BTI.
local function fetch(name, syndrome, at, more)
    case(name, fields({
        code = "ret x1",
        regs = board.mmu { x1 = at },
        trace = { { "hvc", imm = VECTOR.sync, regs = { esr_el1 = syndrome, far_el1 = at,
            elr_el1 = at, spsr_el1 = board.MASKED } } },
    }, more))
end

fetch("code where no entry is", 0x86000006, 0x400000)
fetch("code without access flag", 0x8600000b, 0x20000,
    { pages = { [0x20000] = 0x20000 | 0x303 } })
fetch("code that EL1 may not execute", 0x8600000f, 0x20000,
    { pages = { [0x20000] = 0x20000 | board.PAGE_EL1 | board.PXN } })
fetch("code that EL0 may write is not EL1's", 0x8600000f, board.USER_DATA)
fetch("code that can be written, where that is forbidden", 0x8600000f, 0x20000, {
    pages = { [0x1000] = 0x1000 | board.PAGE_RO, [0x8000] = 0x8000 | board.PAGE_RO },
    regs = board.mmu { x1 = 0x20000, sctlr_el1 = board.MMU_ON | 1 << 19 },
})

-- ---- faults of EL0 --------------------------------------------------------------------

local function user(name, instruction, syndrome, at, more)
    case(name, fields({
        code = "nop",
        more = { [board.USER] = instruction },
        regs = board.mmu { x1 = at, x2 = 5, pc = board.USER, cpsr = board.EL0 },
        trace = { { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = syndrome, far_el1 = at,
            spsr_el1 = board.EL0, sp = board.STACK, x2 = 5 } } },
    }, more))
end

user("EL0: no entry", "ldr x2, [x1]", 0x92000007, 0x20008, { pages = { [0x20000] = 0 } })
user("EL0: what is EL1's to read", "ldr x2, [x1]", 0x9200000f, 0x20008)
user("EL0: what is EL1's to write", "str x2, [x1]", 0x9200004f, 0x20008)
user("EL0: a store to what is read-only", "str x2, [x1]", 0x9200004f, board.USER + 0x800)
user("EL0: code that it may not execute", "ret x1", 0x8200000f, 0x20000,
    { pages = { [0x20000] = 0x20000 | board.PAGE_EL0_RO | board.UXN } })
user("EL0: code that is EL1's", "ret x1", 0x8200000f, 0x20000,
    { pages = { [0x20000] = 0x20000 | board.PAGE_EL1 | board.UXN } })
user("EL0: code where no entry is", "ret x1", 0x82000006, 0x400000)

-- ---- nested, and mended -------------------------------------------------------------------

case("a fault in the handler of an svc", {
    code = "svc #1\n hvc #0",
    regs = board.mmu { x1 = 0x20008 },
    pages = { [0x20000] = 0 },
    more = { [board.VECTORS + 0x200] = [[
        mrs   x4, esr_el1
        lsr   x5, x4, #26
        cmp   x5, #0x15
        b.ne  1f
        mrs   x6, elr_el1
        ldr   x2, [x1]
        msr   elr_el1, x6
        eret
1:      hvc   #0x44
        eret
    ]] },
    trace = {
        { "hvc", imm = 0x44, regs = { esr_el1 = 0x96000007, far_el1 = 0x20008,
            elr_el1 = board.VECTORS + 0x214, x6 = 0x1004 } },
        { "hvc", imm = 0, host = function(vm)
            vm:u64(board.entry(0x20000), 0x30000 | board.PAGE_EL1)
            vm:u64(0x30008, 0xabc)
        end },
    },
    after = { x2 = 0xabc },
})

case("the handler of a fault mends the page, and eret repeats the store", {
    code = "str x2, [x1], #8\n hvc #0",
    regs = board.mmu { x1 = 0x20008, x2 = 0x77, x9 = board.entry(0x20000),
        x10 = 0x30000 | board.PAGE_EL1 },
    pages = { [0x20000] = 0 },
    more = { [board.VECTORS + 0x200] = "str x10, [x9]\n dsb ishst\n isb\n eret" },
    trace = { DONE },
    after = { x1 = 0x20010 },
    memory = { [0x30008] = 0x77 },
})

case("the handler of a fetch mends the page, and eret repeats it", {
    code = "br x1",
    regs = board.mmu { x1 = 0x20000, x9 = board.entry(0x20000),
        x10 = 0x30000 | board.PAGE_EL1 },
    pages = { [0x20000] = 0 },
    more = { [0x30000] = "hvc #0x12",
        [board.VECTORS + 0x200] = "str x10, [x9]\n dsb ishst\n isb\n eret" },
    trace = { { "hvc", imm = 0x12 } },
})

-- ---- tables that change -------------------------------------------------------------------

case("a new entry counts once the old one is invalidated", {
    code = [[
        ldr   x2, [x1]
        str   x10, [x9]
        dsb   ishst
        lsr   x11, x1, #12
        tlbi  vae1, x11
        dsb   ish
        isb
        ldr   x3, [x1]
        hvc   #0
    ]],
    regs = board.mmu { x1 = 0x20000, x9 = board.entry(0x20000),
        x10 = 0x31000 | board.PAGE_EL1 },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
    words = { [0x30000] = 1, [0x31000] = 2 },
    trace = { DONE },
    after = { x2 = 1, x3 = 2 },
})

case("an entry of the host's counts once the guest has invalidated the old one", {
    code = "ldr x2, [x1]\n hvc #1\n tlbi vmalle1\n dsb ish\n isb\n ldr x3, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x20000 },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
    words = { [0x30000] = 1, [0x31000] = 2 },
    trace = { { "hvc", imm = 1 }, { "hvc", imm = 0, host = function(vm)
        vm:u64(board.entry(0x20000), 0x31000 | board.PAGE_EL1)
    end } },
    after = { x2 = 1, x3 = 2 },
})

case("two address spaces and their numbers", {
    code = [[
        ldr   x2, [x1]
        msr   ttbr0_el1, x9
        isb
        ldr   x3, [x1]
        msr   ttbr0_el1, x10
        isb
        ldr   x4, [x1]
        hvc   #0
    ]],
    regs = board.mmu { x1 = 0x404000, ttbr0_el1 = 1 << 48 | L1, x9 = 2 << 48 | 0x18000,
        x10 = 1 << 48 | L1 },
    tables = { [L2 + 16] = 0x000000 | board.BLOCK_EL1 | 1 << 11, -- 0x404000 -> 0x4000
        [0x18000] = 0x19000 | 3, [0x19000] = L2 + 0x1000 | 3,
        [0x19010] = 0x1a000 | 3, [0x1a000 + 8 * 4] = 0x30000 | board.PAGE_EL1 | 1 << 11 },
    words = { [0x4000] = 0x111, [0x30000] = 0x222 },
    trace = { DONE },
    after = { x2 = 0x111, x3 = 0x222, x4 = 0x111 },
})

-- ---- asking for a translation ----------------------------------------------------------------

case("at: where an address leads", {
    code = "at s1e1r, x1\n isb\n mrs x2, par_el1\n and x2, x2, #0xfffffffff000\n hvc #0",
    regs = board.mmu { x1 = 0x20123 },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
    trace = { DONE },
    after = { x2 = 0x30000 },
})

case("at: why it leads nowhere", {
    code = "at s1e0w, x1\n isb\n mrs x2, par_el1\n and x2, x2, #0x7f\n hvc #0",
    regs = board.mmu { x1 = board.USER },
    trace = { DONE },
    after = { x2 = 0x0f << 1 | 1 },
})

-- ---- tables without memory ----------------------------------------------------------------------

case("a table that is not in memory is a fault for the host", {
    code = "ldr x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x400008, x2 = 5 },
    tables = { [L2 + 16] = 0x40000000 | 3 },
    trace = { { "fault", addr = 0x40000000, ec = 0x24, va = 0x400008,
        regs = { pc = 0x1000, x2 = 5 } } },
})

case("no table at all: the first fetch is a fault for the host", {
    code = "nop",
    regs = board.mmu { ttbr0_el1 = 0x40000000 },
    trace = { { "fault", addr = 0x40000000, ec = 0x20, va = 0x1000, regs = { pc = 0x1000 } } },
})
