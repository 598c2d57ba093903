-- SPDX-License-Identifier: MIT
-- One instruction at a time, breakpoints, watchpoints, BRK for the host; and what a
-- guest does with debug exceptions of its own.
local case, board = ...

local VECTOR, DEVICE, DATA = board.VECTOR, board.DEVICE, board.DATA
local DONE = { "hvc", imm = 0 }

local function step(regs, fields)
    local row = { "step", by = "step", regs = regs }
    for name, value in pairs(fields or {}) do
        row[name] = value
    end
    return row
end

-- ---- steps ---------------------------------------------------------------------

case("a step is one instruction, and leaves no trace in PSTATE", {
    code = "mov x2, #1\n add x2, x2, #1\n cmp x2, #2\n hvc #0",
    trace = {
        step { pc = 0x1004, x2 = 1, cpsr = board.MASKED },
        step { pc = 0x1008, x2 = 2 },
        step { pc = 0x100c, cpsr = 0x60000000 | board.MASKED, mdscr_el1 = 0 },
        DONE,
    },
})

case("a step over a branch, taken and not taken", {
    code = "b 1f\n nop\n1: cbz x2, 2f\n nop\n2: cbnz x2, 1b\n bl 3f\n3: ret\n hvc #0",
    trace = { step { pc = 0x1008 }, step { pc = 0x1010 }, step { pc = 0x1014 },
        step { pc = 0x1018, x30 = 0x1018 }, step { pc = 0x1018 } },
})

case("a step over a hypercall is the hypercall", {
    code = "hvc #5\n mov x2, #1\n hvc #0",
    trace = { { "hvc", by = "step", imm = 5, regs = { pc = 0x1004, cpsr = board.MASKED } },
        step { pc = 0x1008, x2 = 1 }, DONE },
})

case("a step over smc and wfi is what they are", {
    code = "smc #5\n wfi\n hvc #0",
    trace = { { "smc", by = "step", imm = 5, regs = { pc = 0x1004 } },
        { "wfi", by = "step", regs = { pc = 0x1008 } }, DONE },
})

case("a step over a wfi that EL1 traps stops at the vector", {
    code = "wfi\n svc #0",
    regs = { cpsr = board.EL0 },
    trace = { step { pc = board.VECTORS + 0x400, esr_el1 = 0x07e00000, elr_el1 = 0x1000,
        spsr_el1 = board.EL0 }, { "hvc", imm = VECTOR.sync_el0 } },
})

case("a step over a load from a device is the access, and the next step goes on", {
    code = "ldr w2, [x1], #4\n add w2, w2, #1\n hvc #0",
    regs = { x1 = DEVICE },
    trace = {
        { "mmio", by = "step", addr = DEVICE, size = 4, answer = 6,
            regs = { pc = 0x1004, x1 = DEVICE + 4 } },
        step { pc = 0x1008, x2 = 7 },
        DONE,
    },
})

case("a step over a pair of stores is two accesses", {
    code = "stp x2, x3, [x1]\n nop\n hvc #0",
    regs = { x1 = DEVICE, x2 = 1, x3 = 2 },
    trace = {
        { "mmio", by = "step", addr = DEVICE, value = 1, regs = { pc = 0x1004 } },
        { "mmio", by = "step", addr = DEVICE + 8, value = 2, regs = { pc = 0x1004 } },
        step { pc = 0x1008 },
        DONE,
    },
})

case("a step into an exception stops at the vector", {
    code = "svc #7\n nop\n hvc #0",
    trace = {
        step { pc = board.VECTORS + 0x200, esr_el1 = 0x56000007, elr_el1 = 0x1004,
            spsr_el1 = board.MASKED, cpsr = board.MASKED },
        { "hvc", by = "step", imm = VECTOR.sync },
        step { pc = 0x1004, cpsr = board.MASKED },
        DONE,
    },
})

case("a step into an undefined instruction stops at the vector", {
    code = "udf #0",
    trace = { step { pc = board.VECTORS + 0x200, esr_el1 = 0x02000000, elr_el1 = 0x1000,
        spsr_el1 = board.MASKED } },
})

case("a step over brk that nobody asked for stops at the vector", {
    code = "brk #3",
    trace = { step { pc = board.VECTORS + 0x200, esr_el1 = 0xf2000003, elr_el1 = 0x1000,
        spsr_el1 = board.MASKED, cpsr = board.MASKED } },
})

case("a step into a fault of the MMU stops at the vector", {
    code = "ldr x2, [x1]",
    regs = board.mmu { x1 = 0x20008 },
    pages = { [0x20000] = 0 },
    trace = { step { pc = board.VECTORS + 0x200, esr_el1 = 0x96000007, far_el1 = 0x20008 } },
})

case("steps from EL0 to EL1 and back", {
    code = "mov x2, #1\n svc #1\n mov x2, #2\n svc #2",
    regs = { cpsr = board.EL0 },
    trace = {
        step { pc = 0x1004, cpsr = board.EL0 },
        step { pc = board.VECTORS + 0x400, cpsr = board.MASKED, spsr_el1 = board.EL0 },
        { "hvc", by = "step", imm = VECTOR.sync_el0 },
        step { pc = 0x1008, cpsr = board.EL0, sp = board.USER_STACK },
        step { pc = 0x100c, x2 = 2 },
        { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = 0x56000002,
            spsr_el1 = board.EL0 } },
    },
})

case("a step over wfe", {
    code = "wfe\n mov x2, #1\n hvc #0",
    trace = { step { pc = 0x1004 }, step { pc = 0x1008, x2 = 1 }, DONE },
})

case("a step over a system register of nobody's", {
    code = "mrs x2, s3_0_c15_c2_1\n nop\n hvc #0",
    trace = {
        { "sysreg", by = "step", write = false, answer = 9, regs = { pc = 0x1004 } },
        step { pc = 0x1008, x2 = 9 },
        DONE,
    },
})

-- ---- breakpoints -------------------------------------------------------------------

local function breakpoint(at, on)
    return function(_, cpu)
        cpu:breakpoint(at, on)
    end
end

case("a breakpoint stops before its instruction, each time it is reached", {
    code = "again: add x2, x2, #1\n cmp x2, #3\n b.ne again\n hvc #0",
    trace = {
        { "break", host = breakpoint(0x1004), regs = { pc = 0x1004, x2 = 1,
            cpsr = board.MASKED } },
        { "break", regs = { pc = 0x1004, x2 = 2 } },
        { "break", regs = { pc = 0x1004, x2 = 3 } },
        DONE,
    },
})

case("a breakpoint on the first instruction", {
    code = "mov x2, #1\n hvc #0",
    trace = { { "break", host = breakpoint(0x1000), regs = { pc = 0x1000, x2 = 0 } }, DONE },
    after = { x2 = 1 },
})

case("a breakpoint that is taken away", {
    code = "again: add x2, x2, #1\n hvc #1\n b again",
    trace = {
        { "break", host = breakpoint(0x1000), regs = { x2 = 0 } },
        { "hvc", imm = 1 },
        { "break", regs = { x2 = 1 } },
        { "hvc", imm = 1, host = breakpoint(0x1000, false), regs = { x2 = 2 } },
        { "hvc", imm = 1, regs = { x2 = 3 } },
    },
})

case("six breakpoints, in any order", {
    code = "nop\n nop\n nop\n nop\n nop\n nop\n nop\n hvc #0",
    trace = {
        { "break", regs = { pc = 0x1004 }, host = function(_, cpu)
            for _, at in ipairs { 0x1018, 0x1004, 0x1010, 0x100c, 0x1008, 0x1014 } do
                cpu:breakpoint(at)
            end
        end },
        { "break", regs = { pc = 0x1008 } }, { "break", regs = { pc = 0x100c } },
        { "break", regs = { pc = 0x1010 } }, { "break", regs = { pc = 0x1014 } },
        { "break", regs = { pc = 0x1018 } },
        DONE,
    },
})

case("a breakpoint on a vector", {
    code = "svc #1\n hvc #0",
    trace = {
        { "break", host = breakpoint(board.VECTORS + 0x200), regs = {
            pc = board.VECTORS + 0x200, elr_el1 = 0x1004, esr_el1 = 0x56000001 } },
        { "hvc", imm = VECTOR.sync },
        DONE,
    },
})

case("a breakpoint in EL0", {
    code = "mov x2, #1\n svc #1",
    regs = { cpsr = board.EL0 },
    trace = {
        { "break", host = breakpoint(0x1004), regs = { pc = 0x1004, x2 = 1,
            cpsr = board.EL0 } },
        { "hvc", imm = VECTOR.sync_el0 },
    },
})

case("a breakpoint has a virtual address", {
    code = "br x1",
    regs = board.mmu { x1 = 0x20000 },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
    more = { [0x30000] = "mov x2, #1\n hvc #0" },
    trace = {
        { "break", regs = { pc = 0x20004, x2 = 1 }, host = function(_, cpu)
            cpu:breakpoint(0x20004)
            cpu:breakpoint(0x30004)
        end },
        DONE,
    },
})

case("a breakpoint on a load from a device, and then the access", {
    code = "ldr w2, [x1]\n hvc #0",
    regs = { x1 = DEVICE },
    trace = {
        { "break", host = breakpoint(0x1000), regs = { pc = 0x1000 } },
        { "mmio", addr = DEVICE, answer = 7, regs = { pc = 0x1004 } },
        DONE,
    },
    after = { x2 = 7 },
})

case("a breakpoint on a hypercall, and then the call", {
    code = "hvc #1\n hvc #0",
    trace = {
        { "break", host = breakpoint(0x1000), regs = { pc = 0x1000 } },
        { "hvc", imm = 1, regs = { pc = 0x1004 } },
        DONE,
    },
})

case("a breakpoint on an svc, and then the exception", {
    code = "svc #1\n hvc #0",
    trace = {
        { "break", host = breakpoint(0x1000), regs = { pc = 0x1000 } },
        { "hvc", imm = VECTOR.sync, regs = { elr_el1 = 0x1004, spsr_el1 = board.MASKED } },
        DONE,
    },
})

case("steps from a breakpoint", {
    code = "mov x2, #1\n mov x2, #2\n mov x2, #3\n hvc #0",
    trace = {
        { "break", host = breakpoint(0x1004), regs = { pc = 0x1004, x2 = 1 } },
        step { pc = 0x1008, x2 = 2 },
        step { pc = 0x100c, x2 = 3 },
        DONE,
    },
})

case("a step to a breakpoint, which then stops the run", {
    code = "mov x2, #1\n mov x2, #2\n hvc #0",
    trace = {
        step({ pc = 0x1004, x2 = 1 }, { host = breakpoint(0x1004) }),
        { "break", regs = { pc = 0x1004, x2 = 1 } },
        DONE,
    },
})

-- ---- watchpoints --------------------------------------------------------------------

local function watchpoint(at, size, access)
    return function(_, cpu)
        cpu:watchpoint(at, size, access)
    end
end

-- One access with what is watched; the access is made, and PC behind it.
local function watched(name, instruction, watch, row, more)
    local all = { x1 = DATA, x2 = 0x1122334455667788 }
    for reg, value in pairs(more and more.regs or {}) do
        all[reg] = value
    end
    row[1], row.host = "watch", watchpoint(table.unpack(watch))
    row.regs = { pc = 0x1004 }
    case(name, { code = instruction .. "\n hvc #0", regs = all, trace = { row, DONE },
        memory = more and more.memory, after = more and more.after,
        words = { [DATA] = 0x8877665544332211, [DATA + 8] = 0xffeeddccbbaa9988 } })
end

watched("a watched store is made, and told after it", "str x2, [x1]", { DATA, 8, "w" },
    { addr = DATA, size = 8, write = true, va = DATA },
    { memory = { [DATA] = 0x1122334455667788 } })
watched("a watched load is made, and told after it", "ldr x3, [x1]", { DATA, 8, "r" },
    { addr = DATA, size = 8, write = false }, { after = { x3 = 0x8877665544332211 } })
watched("a store to a part of what is watched", "strb w2, [x1, #5]", { DATA, 8, "rw" },
    { addr = DATA + 5, size = 1, write = true },
    { memory = { [DATA] = 0x8877885544332211 } })
watched("a store around what is watched", "str x2, [x1]", { DATA + 4, 2, "w" },
    { addr = DATA + 4, size = 8, write = true })
watched("the second half of a pair is watched", "stp x2, x2, [x1]", { DATA + 8, 8, "w" },
    { addr = DATA + 8, size = 8, write = true },
    { memory = { [DATA] = 0x1122334455667788, [DATA + 8] = 0x1122334455667788 } })
watched("a post-indexed load that is watched", "ldrh w3, [x1], #2", { DATA, 2, "r" },
    { addr = DATA, size = 2, write = false }, { after = { x1 = DATA + 2, x3 = 0x2211 } })

case("what is not watched is not told", {
    code = [[
        ldr   x3, [x1]
        strb  w2, [x1, #3]
        strb  w2, [x1, #5]
        strh  w2, [x1, #6]
        hvc   #1
        strb  w2, [x1, #4]
        hvc   #0
    ]],
    regs = { x1 = DATA },
    trace = {
        { "hvc", imm = 1, host = watchpoint(DATA + 4, 1, "w") },
        { "watch", addr = DATA + 4, size = 1, write = true },
        DONE,
    },
})

case("a watchpoint has a virtual address", {
    code = "str x2, [x3]\n str x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x20008, x2 = 7, x3 = 0x30010 },
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
    trace = {
        { "watch", host = watchpoint(0x20008, 8, "w"), addr = 0x20008, write = true,
            regs = { pc = 0x1008 } },
        DONE,
    },
    memory = { [0x30008] = 7 },
})

case("four watchpoints", {
    code = "str x2, [x1]\n str x2, [x1, #16]\n ldr x3, [x1, #32]\n str x2, [x1, #48]\n hvc #0",
    regs = { x1 = DATA },
    trace = {
        { "watch", addr = DATA, host = function(_, cpu)
            cpu:watchpoint(DATA, 8, "w")
            cpu:watchpoint(DATA + 16, 8, "w")
            cpu:watchpoint(DATA + 32, 8, "r")
            cpu:watchpoint(DATA + 48, 8, "rw")
        end },
        { "watch", addr = DATA + 16, write = true },
        { "watch", addr = DATA + 32, write = false },
        { "watch", addr = DATA + 48, write = true },
        DONE,
    },
})

case("a watched access that is a fault of the guest's own is no hit", {
    code = "str x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x20008 },
    pages = { [0x20000] = 0x20000 | board.PAGE_RO },
    trace = { { "hvc", imm = VECTOR.sync, host = watchpoint(0x20010, 8, "w"),
        regs = { esr_el1 = 0x9600004f, far_el1 = 0x20008 } } },
})

-- ---- brk for the host -------------------------------------------------------------------

case("brk, when the host asks for it, is not behind", {
    code = "brk #0x1234\n hvc #0",
    regs = { trap_debug = true },
    trace = {
        { "brk", imm = 0x1234, ec = 0x3c, syndrome = 0xf2001234, regs = { pc = 0x1000,
            esr_el1 = 0 } },
        { "hvc", imm = 0, host = function(_, cpu) cpu.pc = 0x1004 end },
    },
})

case("brk comes again and again until PC is moved", {
    code = "brk #1",
    regs = { trap_debug = true },
    trace = { { "brk", imm = 1 }, { "brk", imm = 1 }, { "brk", imm = 1, regs = { pc = 0x1000 } } },
})

case("brk in EL0, when the host asks for it", {
    code = "brk #2",
    regs = { trap_debug = true, cpsr = board.EL0 },
    trace = { { "brk", imm = 2, regs = { pc = 0x1000, cpsr = board.EL0 } } },
})

case("brk back in the hands of the guest", {
    code = "brk #2",
    regs = { trap_debug = true },
    trace = { { "brk", imm = 2 }, { "hvc", imm = VECTOR.sync,
        host = function(_, cpu) cpu.trap_debug = false end, regs = { esr_el1 = 0xf2000002 } } },
})

case("brk of the guest's own while the host has a breakpoint", {
    code = "brk #2\n nop",
    trace = { { "hvc", imm = VECTOR.sync, host = breakpoint(0x1004),
        regs = { esr_el1 = 0xf2000002, elr_el1 = 0x1000, spsr_el1 = board.MASKED } } },
})

-- ---- the guest's own -------------------------------------------------------------------------

case("EL1 steps EL0, with the architecture's means", {
    code = [[
        mov   x2, #1
        msr   mdscr_el1, x2
        adr   x3, user
        msr   elr_el1, x3
        mov   x3, #0x200000
        msr   spsr_el1, x3
        eret
user:   mov   x4, #4
        mov   x5, #5
    ]],
    trace = { { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = 0xcb000022,
        elr_el1 = 0x1020, x4 = 4, x5 = 0, spsr_el1 = 0 } } },
})

case("EL1 sets a watchpoint on EL0", {
    code = [[
        msr   dbgwvr0_el1, x2
        msr   dbgwcr0_el1, x3
        mov   x4, #0x8000
        msr   mdscr_el1, x4
        isb
        msr   elr_el1, x6
        msr   spsr_el1, xzr
        eret
    ]],
    regs = { x2 = DATA, x3 = 0x1ff5, x6 = 0x1100 },
    more = { [0x1100] = "ldr x5, [x2]\n str x2, [x2]" },
    trace = { { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = 0xd2000062, far_el1 = DATA,
        elr_el1 = 0x1104 } } },
    memory = { [DATA] = 0 },
})

case("EL1 sets a breakpoint on EL0", {
    code = [[
        msr   dbgbvr0_el1, x2
        msr   dbgbcr0_el1, x3
        mov   x4, #0x8000
        msr   mdscr_el1, x4
        isb
        msr   elr_el1, x6
        msr   spsr_el1, xzr
        eret
    ]],
    regs = { x2 = 0x1104, x3 = 0x1e5, x6 = 0x1100 },
    more = { [0x1100] = "mov x5, #5\n mov x5, #6" },
    trace = { { "hvc", imm = VECTOR.sync_el0, regs = { esr_el1 = 0xc2000022,
        elr_el1 = 0x1104, x5 = 5 } } },
})
