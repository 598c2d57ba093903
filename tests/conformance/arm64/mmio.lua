-- SPDX-License-Identifier: MIT
-- Loads and stores where no memory is: one register each, of every size and sign.
local case, board = ...

local DEVICE = board.DEVICE
local DONE = { "hvc", imm = 0 }
local OLD = 0x5a5a5a5a5a5a5a5a -- what a register holds before
local read, write = require "conformance.access" (DEVICE)

-- One instruction with the device's address in x1, and a hypercall.
local function one(name, instruction, access, after, regs)
    local all = { x1 = DEVICE, x2 = OLD, x3 = OLD }
    for reg, value in pairs(regs or {}) do
        all[reg] = value
    end
    access.regs = access.regs or { pc = 0x1004 }
    case(name, { code = instruction .. "\n hvc #0", regs = all, trace = { access, DONE },
        after = after })
end

-- ---- loads: size and sign ------------------------------------------------

one("ldrb w zero-extends a byte", "ldrb w2, [x1]", read(0, 1, 0x80), { x2 = 0x80 })
one("ldrh w zero-extends a halfword", "ldrh w2, [x1]", read(0, 2, 0x8001), { x2 = 0x8001 })
one("ldr w clears the upper half", "ldr w2, [x1]", read(0, 4, 0x80000001),
    { x2 = 0x80000001 })
one("ldr x takes all 64 bits", "ldr x2, [x1]", read(0, 8, 0x8000000000000001),
    { x2 = 0x8000000000000001 })
one("ldrsb w sign-extends a byte to 32 bits", "ldrsb w2, [x1]", read(0, 1, 0x80),
    { x2 = 0xffffff80 })
one("ldrsb x sign-extends a byte to 64 bits", "ldrsb x2, [x1]", read(0, 1, 0x80),
    { x2 = 0xffffffffffffff80 })
one("ldrsb x leaves a positive byte positive", "ldrsb x2, [x1]", read(0, 1, 0x7f),
    { x2 = 0x7f })
one("ldrsh w sign-extends a halfword to 32 bits", "ldrsh w2, [x1]", read(0, 2, 0x8000),
    { x2 = 0xffff8000 })
one("ldrsh x sign-extends a halfword to 64 bits", "ldrsh x2, [x1]", read(0, 2, 0x8000),
    { x2 = 0xffffffffffff8000 })
one("ldrsw x sign-extends a word", "ldrsw x2, [x1]", read(0, 4, 0x80000000),
    { x2 = 0xffffffff80000000 })
one("an answer is cut to the size of the access", "ldrh w2, [x1]", read(0, 2, 0x12345678),
    { x2 = 0x5678 })
one("a read that nobody answers is all ones", "ldrh w2, [x1]", read(0, 2, nil),
    { x2 = 0xffff })
one("a signed read that nobody answers is minus one", "ldrsb x2, [x1]", read(0, 1, nil),
    { x2 = -1 })

-- ---- stores -----------------------------------------------------------------

local BYTES = { x2 = 0x8877665544332211 }

one("strb w writes the lowest byte", "strb w2, [x1]", write(0, 1, 0x11), nil, BYTES)
one("strh w writes the lowest halfword", "strh w2, [x1]", write(0, 2, 0x2211), nil, BYTES)
one("str w writes the lower half", "str w2, [x1]", write(0, 4, 0x44332211), nil, BYTES)
one("str x writes all 64 bits", "str x2, [x1]", write(0, 8, 0x8877665544332211), nil, BYTES)

-- ---- register 31 ----------------------------------------------------------------

one("ldr into xzr reads and discards, and sp stays", "ldr xzr, [x1]", read(0, 8, 77),
    { sp = board.STACK, pc = 0x1008 })
one("ldrsb into wzr reads and discards", "ldrsb wzr, [x1]", read(0, 1, 0xff),
    { sp = board.STACK, pc = 0x1008 })
one("str of xzr writes zero, not sp", "str xzr, [x1]", write(0, 8, 0))
one("strb of wzr writes zero", "strb wzr, [x1]", write(0, 1, 0))
one("31 as the base is sp", "ldr w2, [sp, #8]", read(8, 4, 9), { x2 = 9, sp = DEVICE },
    { sp_el1 = DEVICE })
one("sp is written back as the base", "str w2, [sp, #-16]!", write(-16, 4, 7),
    { sp = DEVICE - 16 }, { sp_el1 = DEVICE, x2 = 7 })
one("x30 is loaded like any other", "ldr x30, [x1]", read(0, 8, 0x1234), { x30 = 0x1234 })

-- ---- where ------------------------------------------------------------------------

one("an immediate is scaled by the size", "ldrh w2, [x1, #6]", read(6, 2, 1), { x2 = 1 })
one("the largest immediate", "ldr x2, [x1, #32760]", read(32760, 8, 1), { x2 = 1 })
one("an unscaled, negative immediate", "ldur w2, [x1, #-4]", read(-4, 4, 1), { x2 = 1 })
one("an index register", "ldr w2, [x1, x3]", read(0x10, 4, 1), { x2 = 1 }, { x3 = 0x10 })
one("an index that is scaled", "str x2, [x1, x3, lsl #3]", write(0x20, 8, OLD), nil,
    { x3 = 4 })
one("a w index is zero-extended", "ldr w2, [x1, w3, uxtw #2]", read(0x40, 4, 1), { x2 = 1 },
    { x3 = 0xffffffff00000010 })
one("a w index is sign-extended", "ldrh w2, [x1, w3, sxtw]", read(-2, 2, 1), { x2 = 1 },
    { x3 = 0x00000000fffffffe })
one("an x index is negative", "ldrb w2, [x1, x3, sxtx]", read(-1, 1, 1), { x2 = 1 },
    { x3 = -1 })
one("the base register is overwritten by the load", "ldr x1, [x1]", read(0, 8, 0x77),
    { x1 = 0x77 })

-- ---- write-back: seen as soon as the exit is ----------------------------------------

one("a post-indexed load goes where the base was", "ldr w2, [x1], #4",
    read(0, 4, 5, { x1 = DEVICE + 4, pc = 0x1004 }), { x2 = 5, x1 = DEVICE + 4 })
one("a pre-indexed load goes where the base will be", "ldr w2, [x1, #4]!",
    read(4, 4, 5, { x1 = DEVICE + 4, pc = 0x1004 }), { x2 = 5, x1 = DEVICE + 4 })
one("a post-indexed store goes where the base was", "strh w2, [x1], #-2",
    write(0, 2, 0x5a5a, { x1 = DEVICE - 2, pc = 0x1004 }), { x1 = DEVICE - 2 })
one("a pre-indexed store goes where the base will be", "strb w2, [x1, #-1]!",
    write(-1, 1, 0x5a, { x1 = DEVICE - 1, pc = 0x1004 }), { x1 = DEVICE - 1 })
one("a post-indexed signed load", "ldrsh x2, [x1], #255", read(0, 2, 0xfffe),
    { x2 = -2, x1 = DEVICE + 255 })
one("a pre-indexed load of 64 bits", "ldr x2, [x1, #-256]!", read(-256, 8, 6),
    { x2 = 6, x1 = DEVICE - 256 })
one("a post-indexed store of xzr", "str xzr, [x1], #8", write(0, 8, 0), { x1 = DEVICE + 8 })

-- ---- ordered and unprivileged ---------------------------------------------------------

one("ldar", "ldar w2, [x1]", read(0, 4, 0x80000000), { x2 = 0x80000000 })
one("ldarb", "ldarb w2, [x1]", read(0, 1, 0x81), { x2 = 0x81 })
one("stlr", "stlr x2, [x1]", write(0, 8, OLD))
one("stlrh", "stlrh w2, [x1]", write(0, 2, 0x5a5a))
one("ldtrsb, as if by EL0", "ldtrsb w2, [x1, #3]", read(3, 1, 0x80), { x2 = 0xffffff80 })
one("sttr, as if by EL0", "sttr x2, [x1, #-8]", write(-8, 8, OLD))

-- ---- what is no access ------------------------------------------------------------------

case("prefetches access nothing", {
    code = "prfm pldl1keep, [x1]\n prfm pstl2strm, [x1, #8]\n prfum pldl1keep, [x1, #-3]\n hvc #0",
    regs = { x1 = DEVICE },
    trace = { DONE },
})

case("cache maintenance accesses nothing", {
    code = "dc cvac, x1\n dc civac, x1\n dc cvau, x1\n ic ivau, x1\n dsb sy\n isb\n hvc #0",
    regs = { x1 = DEVICE },
    trace = { DONE },
})

-- ---- several, one after the other --------------------------------------------------------

case("each access of a loop leaves the guest once", {
    code = [[
        mov   x4, #3
again:  ldr   w2, [x1]
        add   w2, w2, #1
        str   w2, [x1, #4]
        subs  x4, x4, #1
        b.ne  again
        hvc   #0
    ]],
    regs = { x1 = DEVICE },
    trace = {
        read(0, 4, 10, { x4 = 3 }), write(4, 4, 11, { x4 = 3 }),
        read(0, 4, 20, { x4 = 2 }), write(4, 4, 21, { x4 = 2 }),
        read(0, 4, 30, { x4 = 1 }), write(4, 4, 31, { x4 = 1 }),
        DONE,
    },
})

case("flags and registers are untouched by an access", {
    code = [[
        mov   x5, #1
        cmp   x5, #2
        ldr   x2, [x1]
        mrs   x6, nzcv
        cset  x7, lo
        hvc   #0
    ]],
    regs = { x1 = DEVICE },
    trace = { read(0, 8, 0, { cpsr = 0x80000000 | board.MASKED, pc = 0x100c }), DONE },
    after = { x6 = 0x80000000, x7 = 1, x2 = 0, x1 = DEVICE },
})

case("memory, device and memory again", {
    code = "str x3, [x2]\n ldr x4, [x1]\n str x4, [x2, #8]\n ldr x5, [x2]\n hvc #0",
    regs = { x1 = DEVICE, x2 = board.DATA, x3 = 111 },
    trace = { read(0, 8, 222), DONE },
    after = { x4 = 222, x5 = 111 },
    memory = { [board.DATA] = 111, [board.DATA + 8] = 222 },
})

case("a device far up, beyond 32 bits", {
    code = "ldr w2, [x1]\n hvc #0",
    regs = { x1 = 0x380001004 },
    trace = { { "mmio", addr = 0x380001004, size = 4, write = false, answer = 3 }, DONE },
    after = { x2 = 3 },
})

-- ---- raw: what the hardware said -----------------------------------------------------------

case("the syndrome of a read describes it", {
    code = "ldr x1, [x2]\n hvc #0",
    regs = { x2 = DEVICE + 8 },
    trace = { { "mmio", addr = DEVICE + 8, reason = 1, ec = 0x24, va = DEVICE + 8,
        pa = DEVICE + 8, size = 8, write = false, answer = 0 }, DONE },
})
