-- SPDX-License-Identifier: MIT
-- System registers: those that the host is asked for, and those that the guest has.
local case, board = ...

local DONE = { "hvc", imm = 0 }

local function encoding(op0, op1, crn, crm, op2)
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
end

local NOBODYS = encoding(3, 0, 15, 2, 1)

-- ---- the host's --------------------------------------------------------------------

case("a read of what nobody has", {
    code = "mrs x2, s3_0_c15_c2_1\n hvc #0",
    trace = { { "sysreg", reg = NOBODYS, write = false, answer = 0x8000000000000001,
        regs = { pc = 0x1004 } }, DONE },
    after = { x2 = 0x8000000000000001 },
})

case("a read that nobody answers is all ones", {
    code = "mrs x2, s3_0_c15_c2_1\n hvc #0",
    trace = { { "sysreg", reg = NOBODYS, write = false }, DONE },
    after = { x2 = -1 },
})

case("a write of what nobody has", {
    code = "msr s3_0_c15_c2_1, x2\n hvc #0",
    regs = { x2 = 0xfedcba9876543210 },
    trace = { { "sysreg", reg = NOBODYS, write = true, value = 0xfedcba9876543210,
        regs = { pc = 0x1004 } }, DONE },
})

case("xzr reads and discards, and writes zero", {
    code = "mrs xzr, s3_0_c15_c2_1\n msr s3_0_c15_c2_1, xzr\n hvc #0",
    trace = {
        { "sysreg", write = false, answer = 77 },
        { "sysreg", write = true, value = 0, regs = { sp = board.STACK } },
        DONE,
    },
})

case("each field of the encoding is in its place", {
    code = "mrs x2, s3_0_c11_c13_7\n mrs x3, s3_1_c15_c4_2\n mrs x4, s3_2_c15_c11_5\n"
        .. "mrs x5, s3_3_c11_c8_1\n hvc #0",
    trace = {
        { "sysreg", reg = encoding(3, 0, 11, 13, 7), answer = 2 },
        { "sysreg", reg = encoding(3, 1, 15, 4, 2), answer = 3 },
        { "sysreg", reg = encoding(3, 2, 15, 11, 5), answer = 4 },
        { "sysreg", reg = encoding(3, 3, 11, 8, 1), answer = 5 },
        DONE,
    },
    after = { x2 = 2, x3 = 3, x4 = 4, x5 = 5 },
})

case("the registers of an interrupt controller that is not there", {
    code = "mrs x2, s3_0_c12_c12_0\n msr s3_0_c4_c6_0, x2\n msr s3_0_c12_c12_1, x2\n hvc #0",
    trace = {
        { "sysreg", reg = encoding(3, 0, 12, 12, 0), write = false, answer = 1023 },
        { "sysreg", reg = encoding(3, 0, 4, 6, 0), write = true, value = 1023 },
        { "sysreg", reg = encoding(3, 0, 12, 12, 1), write = true, value = 1023 },
        DONE,
    },
})

case("the physical timer is the host's", {
    code = "msr cntp_ctl_el0, x2\n mrs x3, cntp_cval_el0\n hvc #0",
    regs = { x2 = 1 },
    trace = {
        { "sysreg", reg = encoding(3, 3, 14, 2, 1), write = true, value = 1 },
        { "sysreg", reg = encoding(3, 3, 14, 2, 2), write = false, answer = 0x55 },
        DONE,
    },
    after = { x3 = 0x55 },
})

for _, name in ipairs { "midr_el1", "id_aa64pfr0_el1", "ctr_el0", "cntvct_el0" } do
    local encodings = { midr_el1 = "s3_0_c0_c0_0", id_aa64pfr0_el1 = "s3_0_c0_c4_0",
        ctr_el0 = "s3_3_c0_c0_1", cntvct_el0 = "s3_3_c14_c0_2" }
    case(("a write of %s, which can only be read, is undefined"):format(name), {
        code = ("msr %s, x2"):format(encodings[name]),
        trace = { { "hvc", imm = board.VECTOR.sync, regs = { esr_el1 = 0x02000000,
            elr_el1 = 0x1000 } } },
    })
end

-- ---- the guest's -----------------------------------------------------------------------

case("what a guest writes, it reads", {
    code = [[
        msr   tpidr_el0, x2
        msr   tpidrro_el0, x3
        msr   tpidr_el1, x4
        msr   contextidr_el1, x5
        msr   mair_el1, x6
        msr   far_el1, x7
        msr   esr_el1, x8
        msr   afsr0_el1, xzr
        msr   sp_el0, x9
        mrs   x12, tpidr_el0
        mrs   x13, tpidrro_el0
        mrs   x14, tpidr_el1
        mrs   x15, contextidr_el1
        mrs   x16, mair_el1
        mrs   x17, far_el1
        mrs   x18, esr_el1
        mrs   x19, sp_el0
        hvc   #0
    ]],
    regs = { x2 = 1 << 63 | 2, x3 = 1 << 62 | 3, x4 = 1 << 61 | 4, x5 = 5, x6 = 1 << 60 | 6,
        x7 = 1 << 59 | 7, x8 = 8, x9 = 1 << 58 | 9 },
    trace = { DONE },
    after = { x12 = 1 << 63 | 2, x13 = 1 << 62 | 3, x14 = 1 << 61 | 4, x15 = 5,
        x16 = 1 << 60 | 6, x17 = 1 << 59 | 7, x18 = 8, x19 = 1 << 58 | 9,
        tpidr_el0 = 1 << 63 | 2, tpidrro_el0 = 1 << 62 | 3, tpidr_el1 = 1 << 61 | 4,
        contextidr_el1 = 5, mair_el1 = 1 << 60 | 6, far_el1 = 1 << 59 | 7, esr_el1 = 8,
        sp_el0 = 1 << 58 | 9 },
})

case("what the host writes, the guest reads", {
    code = [[
        mrs   x2, tpidr_el1
        mrs   x3, vbar_el1
        mrs   x4, elr_el1
        mrs   x5, spsr_el1
        mrs   x6, ttbr1_el1
        mrs   x7, par_el1
        hvc   #0
    ]],
    regs = { tpidr_el1 = 1 << 63 | 2, vbar_el1 = 0x9800, elr_el1 = 1 << 62 | 4,
        spsr_el1 = 0x60000005, ttbr1_el1 = 0x7000, par_el1 = 0x801 },
    trace = { DONE },
    after = { x2 = 1 << 63 | 2, x3 = 0x9800, x4 = 1 << 62 | 4, x5 = 0x60000005, x6 = 0x7000,
        x7 = 0x801 },
})

case("the level, the stack that is selected, what is masked, the flags", {
    code = [[
        mrs   x2, currentel
        mrs   x3, spsel
        mrs   x4, daif
        msr   daifclr, #15
        mrs   x5, daif
        msr   daifset, #10
        mrs   x6, daif
        mov   x7, #0xf0000000
        msr   nzcv, x7
        mrs   x8, nzcv
        msr   spsel, #0
        mrs   x9, spsel
        hvc   #0
    ]],
    trace = { DONE },
    after = { x2 = 4, x3 = 1, x4 = 0x3c0, x5 = 0, x6 = 0x280, x8 = 0xf0000000, x9 = 0,
        cpsr = 0xf0000284 },
})

case("the stack pointers of both levels, by either name", {
    code = "mov x2, sp\n msr spsel, #0\n mov x3, sp\n mov sp, x4\n msr spsel, #1\n"
        .. "mrs x5, sp_el0\n hvc #0",
    regs = { x4 = 0x5550 },
    trace = { DONE },
    after = { x2 = board.STACK, x3 = board.USER_STACK, x5 = 0x5550, sp = board.STACK,
        sp_el0 = 0x5550, sp_el1 = board.STACK },
})

case("identification does not leave the guest, nor does the cache's", {
    code = [[
        mrs   x2, midr_el1
        mrs   x2, mpidr_el1
        mrs   x2, id_aa64pfr0_el1
        mrs   x2, id_aa64isar0_el1
        mrs   x2, id_aa64mmfr0_el1
        mrs   x2, id_aa64dfr0_el1
        mrs   x2, ctr_el0
        mrs   x2, dczid_el0
        mrs   x2, clidr_el1
        msr   csselr_el1, xzr
        isb
        mrs   x2, ccsidr_el1
        mrs   x2, cntfrq_el0
        hvc   #0
    ]],
    trace = { DONE },
})

case("identification that no feature has claimed yet is zero", {
    code = "mrs x2, s3_0_c0_c4_7\n mrs x3, s3_0_c0_c7_7\n mrs x4, s3_0_c0_c6_7\n hvc #0",
    regs = { x2 = 1, x3 = 1, x4 = 1 },
    trace = { DONE },
    after = { x2 = 0, x3 = 0, x4 = 0 },
})

case("the physical count goes on, never back, and does not leave the guest", {
    code = "mrs x2, cntpct_el0\n isb\n mrs x3, cntpct_el0\n cmp x3, x2\n cset x4, hs\n hvc #0",
    trace = { DONE },
    after = { x4 = 1 },
})

case("the lock of the debug registers, taken and given back", {
    code = [[
        mov   x1, #1
        msr   osdlr_el1, xzr
        msr   oslar_el1, x1
        isb
        mrs   x2, oslsr_el1
        msr   oslar_el1, xzr
        isb
        mrs   x3, oslsr_el1
        and   x2, x2, #2
        and   x3, x3, #2
        hvc   #0
    ]],
    trace = { DONE },
    after = { x2 = 2, x3 = 0 },
})

case("the first vCPU is number 0", {
    code = "mrs x2, mpidr_el1\n hvc #0",
    trace = { DONE },
    after = { x2 = 0x80000000, mpidr_el1 = 0x80000000 },
})

case("what the guest reads of itself is what the host reads", {
    code = [[
        mrs   x2, midr_el1
        mrs   x3, id_aa64pfr0_el1
        mrs   x4, id_aa64mmfr0_el1
        mrs   x5, ctr_el0
        mrs   x6, cntfrq_el0
        hvc   #0
    ]],
    setup = function(vm, cpu, log)
        vm:on("hvc", function()
            local names = { "midr_el1", "id_aa64pfr0_el1", "id_aa64mmfr0_el1", "ctr_el0",
                "cntfrq_el0" }
            for i, name in ipairs(names) do
                log[i] = cpu[name] == cpu["x" .. i + 1] and "same"
                    or ("%s: %x, %x"):format(name, cpu[name], cpu["x" .. i + 1])
            end
            cpu:stop()
        end)
    end,
    trace = { { "stop" } },
    log = { "same", "same", "same", "same", "same" },
})
