-- SPDX-License-Identifier: MIT
-- Floating point: the guest's own, once it has allowed it to itself. Before that, it
-- is EL1's exception.
local case, board = ...

local VECTOR = board.VECTOR
local DONE = { "hvc", imm = 0 }
local TRAP = 0x1fe00000
local NONE, NOT_EL0, ALL = 0, 1 << 20, 3 << 20

case("EL1 allows it to itself and computes", {
    code = [[
        mov   x0, #0x300000
        msr   cpacr_el1, x0
        isb
        fmov  d0, #1.5
        fmov  d1, #2.0
        fmul  d2, d0, d1
        fcvtzs x2, d2
        hvc   #0
    ]],
    trace = { DONE },
    after = { x2 = 3, v2 = ("<dd"):pack(3, 0) },
})

local function trapped(name, instruction, cpacr, regs)
    local all = { cpacr_el1 = cpacr, x1 = board.DATA, x2 = 5 }
    for reg, value in pairs(regs or {}) do
        all[reg] = value
    end
    case(name, {
        code = "mov x3, #3\n" .. instruction .. "\n hvc #0",
        regs = all,
        trace = { { "hvc", imm = all.cpsr and VECTOR.sync_el0 or VECTOR.sync,
            regs = { esr_el1 = TRAP, elr_el1 = 0x1004, x3 = 3, x2 = 5 } } },
        memory = { [board.DATA] = 0 },
    })
end

trapped("arithmetic is an exception until it is allowed", "fadd d0, d0, d1", NONE)
trapped("a move from a general register, too", "fmov d0, x2", NONE)
trapped("a load, too", "ldr q0, [x1], #16", NONE)
trapped("a store of a pair, too", "stp d0, d1, [x1]", NONE)
trapped("a load of a structure, too", "ld1 {v0.16b}, [x1]", NONE)
trapped("integers in vectors, too", "add v0.4s, v1.4s, v2.4s", NONE)
trapped("its control register, too", "mrs x2, fpcr", NONE)
trapped("the value 2 allows nothing", "fmov s0, #1.0", 2 << 20)
trapped("EL0 where only EL1 may", "fmov d0, #1.0", NOT_EL0, { cpsr = board.EL0 })
trapped("EL0 where nobody may", "fmov d0, #1.0", NONE, { cpsr = board.EL0 })

case("EL1 where only EL1 may", {
    code = "fmov d0, #1.0\n fcvtzs x2, d0\n hvc #0",
    regs = { cpacr_el1 = NOT_EL0 },
    trace = { DONE },
    after = { x2 = 1 },
})

case("EL0 where all may", {
    code = "fmov d0, #4.0\n fcvtzs x2, d0\n svc #0",
    regs = { cpacr_el1 = ALL, cpsr = board.EL0 },
    trace = { { "hvc", imm = VECTOR.sync_el0, regs = { x2 = 4, esr_el1 = 0x56000000 } } },
})

case("the handler allows it, and eret repeats the instruction", {
    code = "mov x2, #7\n scvtf d0, x2\n fcvtzs x3, d0\n svc #2",
    regs = { cpsr = board.EL0 },
    more = { [board.VECTORS + 0x400] = [[
        mrs   x4, esr_el1
        lsr   x4, x4, #26
        cmp   x4, #7
        b.ne  1f
        add   x5, x5, #1
        mov   x4, #0x300000
        msr   cpacr_el1, x4
        isb
        eret
1:      hvc   #0
    ]] },
    trace = { DONE },
    after = { x3 = 7, x5 = 1, esr_el1 = 0x56000002 },
})

case("it is taken away again", {
    code = [[
        fmov  d0, #1.0
        msr   cpacr_el1, xzr
        isb
        mov   x2, #1
        fmov  d0, #2.0
        mov   x2, #2
        hvc   #0
    ]],
    regs = { cpacr_el1 = ALL },
    trace = { { "hvc", imm = VECTOR.sync, regs = { esr_el1 = TRAP, elr_el1 = 0x1010, x2 = 1,
        v0 = ("<dd"):pack(1, 0) } } },
})

case("the same code, once allowed and once not", {
    code = "again: fmov d0, #1.0\n add x2, x2, #1\n hvc #1\n b again",
    regs = { cpacr_el1 = ALL },
    trace = {
        { "hvc", imm = 1, regs = { x2 = 1 } },
        { "hvc", imm = 1, regs = { x2 = 2 } },
        { "hvc", imm = VECTOR.sync, host = function(_, cpu) cpu.cpacr_el1 = NONE end,
            regs = { esr_el1 = TRAP, elr_el1 = 0x1000, x2 = 2 } },
        { "hvc", imm = 1, host = function(_, cpu) cpu.cpacr_el1 = ALL end, regs = { x2 = 3 } },
    },
})

case("a step into it stops at the vector", {
    code = "nop\n fmov d0, #1.0",
    trace = {
        { "step", by = "step", regs = { pc = 0x1004 } },
        { "step", by = "step", regs = { pc = board.VECTORS + 0x200, esr_el1 = TRAP,
            elr_el1 = 0x1004, spsr_el1 = board.MASKED } },
    },
})

case("flags and rounding are the guest's, and the host's to see", {
    code = [[
        fmov  d0, #1.0
        fmov  d1, #3.0
        fdiv  d2, d0, d1
        mrs   x2, fpsr
        mov   x3, #0x00c00000
        msr   fpcr, x3
        fmov  d3, #-1.5
        frinti d4, d3
        hvc   #0
    ]],
    regs = { cpacr_el1 = ALL },
    trace = { DONE },
    after = { x2 = 0x10, fpsr = 0x10, fpcr = 0xc00000, v4 = ("<dd"):pack(-1, 0) },
})
