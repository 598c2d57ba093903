-- SPDX-License-Identifier: MIT
-- EL0: exceptions from there, what it may not do, and the way to and fro.
local case, board = ...

local VECTOR = board.VECTOR
local DONE = { "hvc", imm = 0 }
local UNDEFINED = 0x02000000
local UMA, DZE, UCT, NTWI, UCI = 1 << 9, 1 << 14, 1 << 15, 1 << 16, 1 << 26

local function with(regs)
    local all = { cpsr = board.EL0 }
    for name, value in pairs(regs or {}) do
        all[name] = value
    end
    return all
end

-- One instruction of EL0's, and what EL1 gets to know.
local function refused(name, instruction, syndrome, regs)
    case(name, {
        code = instruction .. "\n svc #0",
        regs = with(regs),
        trace = { { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = syndrome,
            elr_el1 = 0x1000, spsr_el1 = board.EL0, cpsr = board.MASKED,
            pc = board.VECTORS + 0x404 } } },
    })
end

-- One that EL1 allows: the svc after it is what comes.
local function allowed(name, instruction, regs, after)
    case(name, {
        code = instruction .. "\n svc #0",
        regs = with(regs),
        trace = { { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = 0x56000000,
            elr_el1 = 0x1008 } } },
        after = after,
    })
end

-- ---- svc ----------------------------------------------------------------------

case("svc: EL1 gets its own stack, and EL0 its own back", {
    code = "mov x2, sp\n sub sp, sp, #32\n svc #7\n mov x3, sp\n svc #8",
    regs = with {},
    trace = {
        { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = 0x56000007, elr_el1 = 0x100c,
            spsr_el1 = board.EL0, cpsr = board.MASKED, sp = board.STACK,
            sp_el0 = board.USER_STACK - 32 } },
        { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = 0x56000008, sp = board.STACK } },
    },
    after = { x2 = board.USER_STACK, x3 = board.USER_STACK - 32 },
})

case("eret to EL0, with its flags and nothing masked", {
    code = [[
        adr   x2, user
        msr   elr_el1, x2
        mov   x2, #0xf0000000
        msr   spsr_el1, x2
        eret
user:   mrs   x3, nzcv
        svc   #1
    ]],
    trace = { { "hvc", imm = VECTOR.sync_el0, regs = { spsr_el1 = 0xf0000000, x3 = 0xf0000000,
        elr_el1 = 0x101c } } },
})

case("a thousand calls of EL0's", {
    code = "mov x2, #1000\nagain: svc #1\n subs x2, x2, #1\n b.ne again\n svc #2",
    regs = with {},
    more = { [board.VECTORS + 0x400] = [[
        mrs   x4, esr_el1
        and   x4, x4, #0xffff
        cmp   x4, #2
        b.eq  1f
        add   x5, x5, #1
        eret
1:      hvc   #0
    ]] },
    trace = { DONE },
    after = { x5 = 1000, x2 = 0, sp = board.STACK },
})

case("a fault of EL0's in a handler of EL1's that returned there", {
    code = "svc #1\n udf #0",
    regs = with {},
    trace = {
        { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = 0x56000001 } },
        { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = UNDEFINED, elr_el1 = 0x1004 } },
    },
})

case("inject: into EL1, from EL0", {
    code = "wfi\n nop",
    regs = with { sctlr_el1 = board.SCTLR | NTWI },
    trace = {
        { "wfi", regs = { pc = 0x1004, cpsr = board.EL0 } },
        { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = 0x92000010, far_el1 = 0x77,
            elr_el1 = 0x1004, spsr_el1 = board.EL0, sp = board.STACK },
            host = function(_, cpu) cpu:inject { syndrome = 0x92000010, far = 0x77 } end },
    },
})

-- ---- what EL0 has not ------------------------------------------------------------

refused("an undefined instruction", "udf #0", UNDEFINED)
refused("hvc is undefined", "hvc #5", UNDEFINED)
refused("smc is undefined", "smc #5", UNDEFINED)
refused("eret is undefined", "eret", UNDEFINED)
refused("a write of EL1's registers is undefined", "msr vbar_el1, x0", UNDEFINED)
refused("a read of EL1's registers is undefined", "mrs x2, sctlr_el1", UNDEFINED)
refused("spsel is undefined", "msr spsel, #1", UNDEFINED)
refused("tlbi is undefined", "tlbi vmalle1", UNDEFINED)
refused("a register that only EL1 may write", "msr tpidrro_el0, x0", UNDEFINED)
refused("a register that nobody has is the guest's own business", "mrs x2, s3_0_c15_c2_1",
    UNDEFINED)
refused("brk", "brk #6", 0xf2000006)

-- ---- what EL1 may allow --------------------------------------------------------------
-- The syndrome: 0x62000000, Op0 at 20, Op2 at 17, Op1 at 14, CRn at 10, Rt at 5, CRm
-- at 1, and 1 for a read.

refused("daifset is trapped", "msr daifset, #2", 0x620cd3e4)
allowed("daifset, if it may", "msr daifset, #2", { cpsr = 0, sctlr_el1 = board.SCTLR | UMA },
    { spsr_el1 = 0x80 })
refused("ctr_el0 is trapped", "mrs x2, ctr_el0", 0x6232c041)
allowed("ctr_el0, if it may", "mrs x2, ctr_el0", { sctlr_el1 = board.SCTLR | UCT })
refused("dc zva is trapped", "dc zva, x1", 0x6212dc28, { x1 = board.DATA })
allowed("dc zva, if it may, zeroes", "dc zva, x1",
    { sctlr_el1 = board.SCTLR | DZE, x1 = board.DATA })
refused("dc cvau is trapped", "dc cvau, x1", 0x6212dc36, { x1 = board.DATA })
refused("ic ivau is trapped", "ic ivau, x1", 0x6212dc2a, { x1 = board.DATA })
allowed("ic ivau, if it may", "ic ivau, x1", { sctlr_el1 = board.SCTLR | UCI,
    x1 = board.DATA })
refused("wfi is trapped", "wfi", 0x07e00000)
refused("cntvct_el0 is trapped", "mrs x2, cntvct_el0", 0x6234f841, { cntkctl_el1 = 0 })
allowed("cntvct_el0, if it may", "mrs x2, cntvct_el0", { cntkctl_el1 = 2 })
refused("the timer's registers are trapped", "mrs x2, cntv_ctl_el0", 0x6232f847,
    { cntkctl_el1 = 0 })
allowed("the timer's registers, if it may", "mrs x2, cntv_cval_el0",
    { cntkctl_el1 = 3 << 8, cntv_cval_el0 = 0x123456 }, { x2 = 0x123456 })
allowed("tpidr_el0 is EL0's", "msr tpidr_el0, x1", { x1 = 0x1234 }, { tpidr_el0 = 0x1234 })
allowed("tpidrro_el0 can be read", "mrs x2, tpidrro_el0", { tpidrro_el0 = 0x4321 },
    { x2 = 0x4321 })

-- ---- for the host, from EL0 ------------------------------------------------------------

case("a device, from EL0", {
    code = "ldrb w2, [x1]\n strb w2, [x1, #1]\n svc #0",
    regs = with { x1 = board.DEVICE },
    trace = {
        { "mmio", addr = board.DEVICE, size = 1, write = false, answer = 0x7e,
            regs = { pc = 0x1004, cpsr = board.EL0 } },
        { "mmio", addr = board.DEVICE + 1, size = 1, write = true, value = 0x7e },
        { "hvc", imm = VECTOR.sync_el0 },
    },
})

case("a pair of registers and a device, with EL0's stack", {
    code = "stp x2, x3, [sp, #-16]!\n svc #0",
    regs = with { sp_el0 = board.DEVICE + 16, x2 = 1, x3 = 2 },
    trace = {
        { "mmio", addr = board.DEVICE, write = true, value = 1 },
        { "mmio", addr = board.DEVICE + 8, write = true, value = 2 },
        { "hvc", imm = VECTOR.sync_el0, regs = { sp_el0 = board.DEVICE } },
    },
})

case("wfi, if it may, leaves the guest", {
    code = "wfi\n svc #0",
    regs = with { sctlr_el1 = board.SCTLR | NTWI },
    trace = { { "wfi", regs = { pc = 0x1004 } }, { "hvc", imm = VECTOR.sync_el0 } },
})
