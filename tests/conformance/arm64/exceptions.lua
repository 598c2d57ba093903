-- SPDX-License-Identifier: MIT
-- What leaves EL1 for the host by an instruction of its own, and exceptions from EL1
-- to EL1: which vector, and what the registers say.
local case, board = ...

local VECTOR = board.VECTOR
local DONE = { "hvc", imm = 0 }
local NOWHERE = 0x40000000 -- no memory is there

-- ---- for the host -----------------------------------------------------------

case("hvc: every bit of its immediate, and behind it", {
    code = "hvc #0x5555\n hvc #0xaaaa\n hvc #0xffff",
    regs = { x0 = 5 },
    trace = {
        { "hvc", imm = 0x5555, nr = 5, regs = { pc = 0x1004 } },
        { "hvc", imm = 0xaaaa, regs = { pc = 0x1008 } },
        { "hvc", imm = 0xffff, regs = { pc = 0x100c, cpsr = board.MASKED } },
    },
})

case("hvc: the number is all of x0", {
    code = "hvc #0\n hvc #0",
    regs = { x0 = 0xfedcba9876543210 },
    trace = { { "hvc", nr = 0xfedcba9876543210 },
        { "hvc", nr = -1, host = function(_, cpu) cpu.x0 = -1 end } },
})

case("hvc: its syndrome", {
    code = "hvc #0xbeef",
    trace = { { "hvc", reason = 1, ec = 0x16, syndrome = 0x5a00beef } },
})

case("smc: immediate, number, and behind it", {
    code = "smc #0x1234\n hvc #0",
    regs = { x0 = 0x84000000 },
    trace = { { "smc", imm = 0x1234, nr = 0x84000000, ec = 0x17, regs = { pc = 0x1004 } }, DONE },
})

case("an smc's result is what the host leaves in x0", {
    code = "smc #0\n add x1, x0, #1\n hvc #0",
    trace = { { "smc", imm = 0 },
        { "hvc", imm = 0, host = function(_, cpu) cpu.x0 = 41 end } },
    after = { x1 = 42 },
})

case("wfi leaves the guest, and is behind it", {
    code = "wfi\n mov x2, #1\n wfi\n hvc #0",
    trace = { { "wfi", ec = 1, regs = { pc = 0x1004, x2 = 0 } },
        { "wfi", regs = { pc = 0x100c, x2 = 1 } }, DONE },
})

case("wfe, sev, yield and nop concern nobody", {
    code = "nop\n yield\n sev\n sevl\n wfe\n wfe\n mov x2, #1\n hvc #0",
    trace = { DONE },
    after = { x2 = 1, pc = 0x1020 },
})

-- ---- to a vector and back -----------------------------------------------------

case("svc with EL1's own stack", {
    code = "mov x2, #1\n svc #0x9abc\n mov x2, #2\n hvc #0",
    trace = {
        { "hvc", imm = VECTOR.sync, regs = { pc = board.VECTORS + 0x204, x2 = 1,
            esr_el1 = 0x56009abc, elr_el1 = 0x1008, spsr_el1 = board.MASKED,
            cpsr = board.MASKED } },
        DONE,
    },
    after = { x2 = 2, pc = 0x1010 },
})

case("svc with the stack of EL0", {
    code = "mov x2, sp\n svc #1\n mov x3, sp\n hvc #0",
    regs = { cpsr = board.EL1T },
    trace = {
        { "hvc", imm = VECTOR.sync_sp0, regs = { esr_el1 = 0x56000001, elr_el1 = 0x1008,
            spsr_el1 = board.EL1T, cpsr = board.MASKED, sp = board.STACK } },
        DONE,
    },
    after = { x2 = board.USER_STACK, x3 = board.USER_STACK, cpsr = board.EL1T },
})

case("an exception masks what was not masked, and eret takes that back", {
    code = "svc #0\n mrs x2, daif\n hvc #0",
    regs = { cpsr = 5 },
    trace = { { "hvc", imm = VECTOR.sync, regs = { spsr_el1 = 5, cpsr = board.MASKED } }, DONE },
    after = { x2 = 0, cpsr = 5 },
})

case("an exception keeps the flags, and saves them", {
    code = "cmp xzr, xzr\n svc #0\n mrs x2, nzcv\n hvc #0",
    trace = { { "hvc", imm = VECTOR.sync, regs = { spsr_el1 = 0x60000000 | board.MASKED,
        cpsr = 0x60000000 | board.MASKED } }, DONE },
    after = { x2 = 0x60000000 },
})

case("eret takes the flags from SPSR", {
    code = [[
        adr   x2, there
        msr   elr_el1, x2
        mov   x2, #0x3c5
        movk  x2, #0x9000, lsl #16
        msr   spsr_el1, x2
        eret
there:  mrs   x3, nzcv
        hvc   #0
    ]],
    trace = { DONE },
    after = { x3 = 0x90000000 },
})

case("an undefined instruction: PC is at it", {
    code = "udf #0\n hvc #0",
    trace = {
        { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x02000000, elr_el1 = 0x1000 } },
        { "hvc", imm = 0, host = function(_, cpu) cpu.elr_el1 = 0x1004 end },
    },
})

case("brk: the guest's own unless somebody asks for it", {
    code = "brk #0x4321\n hvc #0",
    trace = {
        { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0xf2004321, elr_el1 = 0x1000 } },
        { "hvc", imm = 0, host = function(_, cpu) cpu.elr_el1 = 0x1004 end },
    },
})

case("far_el1 is left alone by what has no address", {
    code = "svc #0",
    regs = { far_el1 = 0x1234 },
    trace = { { "hvc", imm = VECTOR.sync, regs = { far_el1 = 0x1234 } } },
})

-- ---- alignment ------------------------------------------------------------------

local CHECKED = board.SCTLR | 2

local function misaligned(name, instruction, syndrome, at, sctlr)
    case(name, {
        code = instruction .. "\n hvc #0",
        regs = board.mmu { x1 = at, x2 = 5, sctlr_el1 = sctlr | 1 },
        trace = { { "hvc", imm = VECTOR.sync, regs = { esr_el1 = syndrome, far_el1 = at,
            elr_el1 = 0x1000, x1 = at, x2 = 5 } } },
    })
end

misaligned("a load that is not aligned, where that is checked", "ldr w2, [x1]", 0x96000021,
    board.DATA + 2, CHECKED)
misaligned("a store that is not aligned, where that is checked", "str x2, [x1], #8",
    0x96000061, board.DATA + 4, CHECKED)
misaligned("an exclusive load that is not aligned", "ldxr x2, [x1]", 0x96000021,
    board.DATA + 12, board.SCTLR)
misaligned("a store-exclusive is not aligned, and that is checked", "stxr w3, x2, [x1]", 0x96000061,
    board.DATA + 12, board.SCTLR)

case("a load that is not aligned, where nobody minds", {
    code = "ldr x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = board.DATA + 3 },
    words = { [board.DATA] = 0x8877665544332211, [board.DATA + 8] = 0x00ffeeddccbbaa99 },
    trace = { DONE },
    after = { x2 = 0xbbaa998877665544 },
})

case("a branch to an address of code that is not aligned", {
    code = "mov x2, #0x1002\n br x2",
    trace = { { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x8a000000, far_el1 = 0x1002,
        elr_el1 = 0x1002 } } },
})

case("a stack pointer that is not aligned, where that is checked", {
    code = "ldr x2, [sp]",
    regs = board.mmu { sctlr_el1 = board.MMU_ON | 8, sp_el1 = board.STACK + 8, x2 = 5 },
    trace = { { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x9a000000, elr_el1 = 0x1000,
        x2 = 5 } } },
})

case("eret to a level there is not: what follows is an exception", {
    code = "adr x2, 1f\n msr elr_el1, x2\n mov x2, #0x3c9\n msr spsr_el1, x2\n eret\n"
        .. "1: mov x3, #1",
    trace = { { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x3a000000, elr_el1 = 0x1014,
        spsr_el1 = board.MASKED | 1 << 20, x3 = 0 } } },
})

-- ---- nested ----------------------------------------------------------------------

case("an exception in the handler of an exception", {
    code = "mov x2, #1\n svc #1\n mov x3, #3\n hvc #0",
    more = { [board.VECTORS + 0x200] = [[
        cbnz  x4, inner
        mov   x4, #1
        mrs   x5, elr_el1
        mrs   x6, spsr_el1
        svc   #2
        hvc   #0x11
        msr   elr_el1, x5
        msr   spsr_el1, x6
        eret
inner:  hvc   #0x22
        eret
    ]] },
    trace = {
        { "hvc", imm = 0x22, regs = { esr_el1 = 0x56000002, spsr_el1 = board.MASKED,
            elr_el1 = board.VECTORS + 0x214, x5 = 0x1008 } },
        { "hvc", imm = 0x11, regs = { x3 = 0 } },
        DONE,
    },
    after = { x3 = 3, pc = 0x1010 },
})

case("an undefined instruction in the handler of an svc", {
    code = "svc #1\n hvc #0",
    more = { [board.VECTORS + 0x200] = [[
        mrs   x4, esr_el1
        lsr   x5, x4, #26
        cbz   x5, bad
        mrs   x6, elr_el1
        udf   #0
        msr   elr_el1, x6
        eret
bad:    mrs   x7, elr_el1
        add   x7, x7, #4
        msr   elr_el1, x7
        hvc   #0x33
        eret
    ]] },
    trace = { { "hvc", imm = 0x33, regs = { esr_el1 = 0x02000000, x6 = 0x1004 } }, DONE },
})

case("a hundred exceptions in each other, and back", {
    code = "mov x2, #100\n svc #0\n hvc #0",
    more = { [board.VECTORS + 0x200] = [[
        mrs   x5, elr_el1
        str   x5, [sp, #-16]!
        add   x3, x3, #1
        subs  x2, x2, #1
        b.eq  1f
        svc   #0
1:      ldr   x5, [sp], #16
        msr   elr_el1, x5
        mov   x6, #0x3c5
        msr   spsr_el1, x6
        eret
    ]] },
    trace = { DONE },
    after = { x2 = 0, x3 = 100, sp = board.STACK },
})

-- ---- no handler ------------------------------------------------------------------

local function unhandled(name, code, fields, regs)
    local all = { vbar_el1 = NOWHERE }
    for reg, value in pairs(regs or {}) do
        all[reg] = value
    end
    local row = { "fault", regs = { pc = 0x1000 } }
    for field, value in pairs(fields) do
        row[field] = value
    end
    case(name, { code = code, regs = all, trace = { row } })
end

unhandled("an undefined instruction and no vectors", "udf #0",
    { vector = 0x200, ec = 0, syndrome = 0x02000000 })
unhandled("an svc and no vectors: PC is at it", "svc #3",
    { vector = 0x200, ec = 0x15, syndrome = 0x56000003 })
unhandled("an svc of EL0 and no vectors", "svc #3", { vector = 0x400, ec = 0x15,
    regs = { pc = 0x1000, cpsr = board.EL0 } }, { cpsr = board.EL0 })
unhandled("with EL0's stack, and no vectors", "brk #1", { vector = 0, ec = 0x3c,
    regs = { pc = 0x1000, cpsr = board.EL1T, sp = board.USER_STACK } }, { cpsr = board.EL1T })

case("vectors that come after they were missed", {
    code = "svc #3\n hvc #0",
    regs = { vbar_el1 = NOWHERE },
    trace = {
        { "fault", vector = 0x200 },
        { "hvc", imm = VECTOR.sync, regs = { elr_el1 = 0x1004, esr_el1 = 0x56000003 },
            host = function(_, cpu) cpu.vbar_el1 = board.VECTORS end },
        DONE,
    },
})

-- ---- by the host ---------------------------------------------------------------------

case("inject: into EL1, with an address", {
    code = "hvc #1\n mov x2, #1\n hvc #0",
    trace = {
        { "hvc", imm = 1 },
        { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x96000010, far_el1 = 0xdead0,
            elr_el1 = 0x1004, spsr_el1 = board.MASKED, x2 = 0 },
            host = function(_, cpu) cpu:inject { syndrome = 0x96000010, far = 0xdead0 } end },
        DONE,
    },
})

case("inject: while the guest used EL0's stack", {
    code = "msr spsel, #0\n hvc #1\n hvc #0",
    trace = {
        { "hvc", imm = 1 },
        { "hvc", imm = VECTOR.sync_sp0, regs = { spsr_el1 = board.EL1T, sp = board.STACK },
            host = function(_, cpu) cpu:inject { syndrome = 0x02000000 } end },
        DONE,
    },
    after = { sp = board.USER_STACK },
})

case("inject: twice, the second into the handler of the first", {
    code = "hvc #1\n hvc #0",
    trace = {
        { "hvc", imm = 1 },
        { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x02000000,
            elr_el1 = board.VECTORS + 0x200 },
            host = function(_, cpu)
                cpu:inject { syndrome = 0x96000010 }
                cpu:inject { syndrome = 0x02000000 }
            end },
    },
})
