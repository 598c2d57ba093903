-- SPDX-License-Identifier: MIT
-- The interrupt line: when the guest takes it, and which vector it goes to.
local case, board = ...

local VECTOR = board.VECTOR

local function line(level)
    return function(_, cpu)
        cpu:irq(level)
    end
end

case("it waits for the guest to let it in", {
    code = "hvc #1\n mov x2, #1\n msr daifclr, #2\n mov x2, #2\n hvc #0",
    trace = {
        { "hvc", imm = 1 },
        { "hvc", imm = VECTOR.irq, host = line(true), regs = { x2 = 1, elr_el1 = 0x100c,
            spsr_el1 = board.MASKED & ~0x80, cpsr = board.MASKED,
            pc = board.VECTORS + 0x284 } },
        { "hvc", imm = 0, host = line(false), regs = { x2 = 2 } },
    },
})

case("it is taken at once, where nothing is masked", {
    code = "nop\n hvc #0",
    regs = { cpsr = 5 },
    trace = {
        { "hvc", imm = VECTOR.irq, host = line(true), regs = { elr_el1 = 0x1000, spsr_el1 = 5,
            pc = board.VECTORS + 0x284 } },
        { "hvc", imm = 0, host = line(false) },
    },
})

case("it is not taken while it is masked", {
    code = "mov x2, #1\n mov x2, #2\n hvc #0",
    trace = { { "hvc", imm = 0, host = line(true), regs = { x2 = 2 } } },
})

case("a line that has dropped was never there", {
    code = "hvc #1\n hvc #2\n msr daifclr, #2\n nop\n hvc #0",
    trace = {
        { "hvc", imm = 1 },
        { "hvc", imm = 2, host = line(true) },
        { "hvc", imm = 0, host = line(false) },
    },
})

case("it is taken again and again, for as long as it is up", {
    code = "nop\n hvc #0",
    regs = { cpsr = 5 },
    trace = {
        { "hvc", imm = VECTOR.irq, host = line(true), regs = { elr_el1 = 0x1000 } },
        { "hvc", imm = VECTOR.irq, regs = { elr_el1 = 0x1000 } },
        { "hvc", imm = VECTOR.irq, regs = { elr_el1 = 0x1000 } },
        { "hvc", imm = 0, host = line(false) },
    },
})

case("the flags of what it interrupts are kept, and saved", {
    code = "cmp xzr, xzr\n msr daifclr, #2\n nop\n hvc #0",
    trace = {
        { "hvc", imm = VECTOR.irq, host = line(true), regs = {
            spsr_el1 = 0x60000000 | board.MASKED & ~0x80, cpsr = 0x60000000 | board.MASKED } },
        { "hvc", imm = 0, host = line(false), regs = { cpsr = 0x60000345 } },
    },
})

case("from EL0, with EL1's stack", {
    code = "nop\n svc #0",
    regs = { cpsr = 0 },
    trace = {
        { "hvc", imm = VECTOR.irq_el0, host = line(true), regs = { elr_el1 = 0x1000,
            spsr_el1 = 0, sp = board.STACK, cpsr = board.MASKED } },
        { "hvc", imm = VECTOR.sync_el0, host = line(false), regs = { elr_el1 = 0x1008 } },
    },
})

case("from EL1 with the stack of EL0", {
    code = "nop\n hvc #0",
    regs = { cpsr = 4 },
    trace = {
        { "hvc", imm = VECTOR.irq_sp0, host = line(true), regs = { spsr_el1 = 4,
            sp = board.STACK, pc = board.VECTORS + 0x84 } },
        { "hvc", imm = 0, host = line(false), regs = { sp = board.USER_STACK, cpsr = 4 } },
    },
})

case("not in a handler, which has it masked, but after eret", {
    code = "svc #0\n nop\n hvc #0",
    regs = { cpsr = 5 },
    trace = {
        { "hvc", imm = VECTOR.sync },
        { "hvc", imm = VECTOR.irq, host = line(true), regs = { elr_el1 = 0x1004 } },
        { "hvc", imm = 0, host = line(false) },
    },
})

case("in the handler of an svc that lets it in", {
    code = "svc #0\n hvc #0",
    more = { [board.VECTORS + 0x200] = [[
        mrs   x5, elr_el1
        mrs   x6, spsr_el1
        hvc   #1
        msr   daifclr, #2
        nop
        msr   daifset, #2
        msr   elr_el1, x5
        msr   spsr_el1, x6
        eret
    ]] },
    trace = {
        { "hvc", imm = 1 },
        { "hvc", imm = VECTOR.irq, host = line(true), regs = { x5 = 0x1004,
            elr_el1 = board.VECTORS + 0x210, spsr_el1 = board.MASKED & ~0x80 } },
        { "hvc", imm = 0, host = line(false) },
    },
})

case("while the guest waits on a device", {
    code = "ldr w2, [x1]\n add w3, w2, #1\n hvc #0",
    regs = { cpsr = 5, x1 = board.DEVICE },
    trace = {
        { "mmio", addr = board.DEVICE, write = false, answer = 6 },
        { "hvc", imm = VECTOR.irq, host = line(true), regs = { elr_el1 = 0x1004, x2 = 6 } },
        { "hvc", imm = 0, host = line(false) },
    },
    after = { x3 = 7 },
})

case("a loop that waits for it", {
    code = "msr daifclr, #2\nspin: cbz x2, spin\n hvc #0",
    more = { [board.VECTORS + 0x280] = "mov x2, #1\n hvc #1\n eret" },
    trace = {
        { "hvc", imm = 1, host = line(true) },
        { "hvc", imm = 0, host = line(false) },
    },
})

case("wfi, and the interrupt that ends it", {
    code = "wfi\n mov x2, #1\n msr daifclr, #2\n nop\n hvc #0",
    trace = {
        { "wfi", regs = { pc = 0x1004 } },
        { "hvc", imm = VECTOR.irq, host = line(true), regs = { x2 = 1, elr_el1 = 0x100c } },
        { "hvc", imm = 0, host = line(false) },
    },
})

case("both handlers of an interrupt and of the exception in it", {
    code = "nop\n hvc #0",
    regs = { cpsr = 5 },
    more = { [board.VECTORS + 0x280] = [[
        mrs   x5, elr_el1
        mrs   x6, spsr_el1
        svc   #3
        msr   elr_el1, x5
        msr   spsr_el1, x6
        hvc   #2
        eret
    ]] },
    trace = {
        { "hvc", imm = VECTOR.sync, host = line(true), regs = { esr_el1 = 0x56000003,
            elr_el1 = board.VECTORS + 0x28c, x5 = 0x1000, x6 = 5 } },
        { "hvc", imm = 2 },
        { "hvc", imm = 0, host = line(false) },
    },
})

