-- SPDX-License-Identifier: MIT
-- Accesses where no memory is by instructions that access more than a register, or
-- that nobody can complete in the guest's place.
local case, board = ...

local DEVICE = board.DEVICE
local DONE = { "hvc", imm = 0 }
local EDGE = 0x100000 -- where the memory ends
local read, write = require "conformance.access" (DEVICE)

local function one(name, instruction, accesses, after, regs)
    local all, trace = { x1 = DEVICE, x2 = -1, x3 = -1 }, {}
    for reg, value in pairs(regs or {}) do
        all[reg] = value
    end
    for i, access in ipairs(accesses) do
        access.regs = access.regs or { pc = 0x1004 }
        trace[i] = access
    end
    trace[#trace + 1] = DONE
    case(name, { code = instruction .. "\n hvc #0", regs = all, trace = trace, after = after })
end

-- ---- two registers: the lower address first -----------------------------------

one("ldp x", "ldp x2, x3, [x1, #16]", { read(16, 8, 1 << 63), read(24, 8, 7) },
    { x2 = 1 << 63, x3 = 7 })
one("ldp w clears the upper halves", "ldp w2, w3, [x1]",
    { read(0, 4, 0xffffffff), read(4, 4, 1) }, { x2 = 0xffffffff, x3 = 1 })
one("ldpsw sign-extends both", "ldpsw x2, x3, [x1, #-8]",
    { read(-8, 4, 0x80000000), read(-4, 4, 0x7fffffff) },
    { x2 = 0xffffffff80000000, x3 = 0x7fffffff })
one("stp x", "stp x2, x3, [x1]", { write(0, 8, 11), write(8, 8, 22) }, nil,
    { x2 = 11, x3 = 22 })
one("stp w", "stp w2, w3, [x1, #4]", { write(4, 4, 0x99), write(8, 4, 0x88) }, nil,
    { x2 = 0x100000099, x3 = 0x200000088 })
one("ldp, post-indexed", "ldp x2, x3, [x1], #32",
    { read(0, 8, 1, { x1 = DEVICE + 32, pc = 0x1004 }), read(8, 8, 2) },
    { x1 = DEVICE + 32, x2 = 1, x3 = 2 })
one("stp, pre-indexed", "stp x2, x3, [x1, #-16]!",
    { write(-16, 8, 3, { x1 = DEVICE - 16, pc = 0x1004 }), write(-8, 8, 4) },
    { x1 = DEVICE - 16 }, { x2 = 3, x3 = 4 })
one("stp onto the stack", "stp x29, x30, [sp, #-16]!", { write(-16, 8, 29), write(-8, 8, 30) },
    { sp = DEVICE - 16 }, { sp_el1 = DEVICE, x29 = 29, x30 = 30 })
one("ldnp and its hint", "ldnp x2, x3, [x1]", { read(0, 8, 5), read(8, 8, 6) },
    { x2 = 5, x3 = 6 })
one("stp of xzr and a register", "stp xzr, x3, [x1]", { write(0, 8, 0), write(8, 8, 22) }, nil,
    { x3 = 22 })
one("ldp into xzr and a register", "ldp xzr, x3, [x1]", { read(0, 8, 1), read(8, 8, 2) },
    { x3 = 2, sp = board.STACK })
one("ldp over its own base", "ldp x1, x2, [x1]", { read(0, 8, 1), read(8, 8, 2) },
    { x1 = 1, x2 = 2 })
one("a pair that nobody answers is all ones", "ldp w2, w3, [x1]", { read(0, 4), read(4, 4) },
    { x2 = 0xffffffff, x3 = 0xffffffff })

-- ---- pairs half in memory -----------------------------------------------------------

case("ldp over the end of memory: the half that is there is read", {
    code = "ldp x2, x3, [x1]\n hvc #0",
    regs = { x1 = EDGE - 8, x3 = -1 },
    words = { [EDGE - 8] = 0x123 },
    trace = { { "mmio", addr = EDGE, size = 8, write = false, answer = 0x456 }, DONE },
    after = { x2 = 0x123, x3 = 0x456 },
})

case("stp over the end of memory: the half that is there is written", {
    code = "stp x2, x3, [x1]\n hvc #0",
    regs = { x1 = EDGE - 8, x2 = 0x123, x3 = 0x456 },
    trace = { { "mmio", addr = EDGE, size = 8, write = true, value = 0x456 }, DONE },
    memory = { [EDGE - 8] = 0x123 },
})

case("stp into the beginning of memory: only the first half leaves the guest", {
    code = "stp x2, x3, [x1], #16\n hvc #0",
    regs = { x1 = 0x300000 - 8, x2 = 0x123, x3 = 0x456 },
    map = { { at = 0x300000, size = board.PAGE } },
    trace = { { "mmio", addr = 0x300000 - 8, size = 8, write = true, value = 0x123 }, DONE },
    after = { x1 = 0x300008 },
    memory = { [0x300000] = 0x456 },
})

case("a load that memory ends under is a fault, and changes nothing", {
    code = "ldr x2, [x1], #8\n hvc #0",
    regs = board.mmu { x1 = EDGE - 4, x2 = 7 },
    trace = { { "fault", regs = { pc = 0x1000, x1 = EDGE - 4, x2 = 7 } } },
})

-- ---- answered by hand -----------------------------------------------------------------

case("a pair is answered one read after the other, entry by entry", {
    code = "ldp x2, x3, [x1]\n hvc #0",
    regs = { x1 = DEVICE },
    trace = {
        { "mmio", by = "enter", addr = DEVICE, size = 8, answer = 11, regs = { pc = 0x1004 } },
        { "mmio", by = "enter", addr = DEVICE + 8, size = 8, answer = 22,
            regs = { x2 = 11, pc = 0x1004 } },
        { "hvc", by = "enter", imm = 0 },
    },
    after = { x2 = 11, x3 = 22 },
})

-- ---- vector registers: 8 bytes at a time -------------------------------------------------

local FP = { cpacr_el1 = 3 << 20 }

local function simd(name, instruction, accesses, after, regs)
    local all = { cpacr_el1 = FP.cpacr_el1, v2 = ("\xee"):rep(16), v3 = ("\xdd"):rep(16) }
    for reg, value in pairs(regs or {}) do
        all[reg] = value
    end
    one(name, instruction, accesses, after, all)
end

local function vector(low, high)
    return ("<i8i8"):pack(low, high)
end

simd("ldr b clears the rest of the register", "ldr b2, [x1]", { read(0, 1, 0x80) },
    { v2 = vector(0x80, 0) })
simd("ldr h", "ldr h2, [x1]", { read(0, 2, 0x8001) }, { v2 = vector(0x8001, 0) })
simd("ldr s", "ldr s2, [x1, #4]", { read(4, 4, 0x40490fdb) }, { v2 = vector(0x40490fdb, 0) })
simd("ldr d", "ldr d2, [x1]", { read(0, 8, -1) }, { v2 = vector(-1, 0) })
simd("ldr q comes in two", "ldr q2, [x1]", { read(0, 8, 1), read(8, 8, 2) },
    { v2 = vector(1, 2) })
simd("str s", "str s2, [x1]", { write(0, 4, 0xeeeeeeee) })
simd("str q, post-indexed", "str q2, [x1], #16", { write(0, 8, 1), write(8, 8, 2) },
    { x1 = DEVICE + 16 }, { v2 = vector(1, 2) })
simd("ldp d", "ldp d2, d3, [x1]", { read(0, 8, 3), read(8, 8, 4) },
    { v2 = vector(3, 0), v3 = vector(4, 0) })
simd("ldp q comes in four", "ldp q2, q3, [x1]",
    { read(0, 8, 1), read(8, 8, 2), read(16, 8, 3), read(24, 8, 4) },
    { v2 = vector(1, 2), v3 = vector(3, 4) })
simd("stp q comes in four", "stp q2, q3, [x1, #32]",
    { write(32, 8, 1), write(40, 8, 2), write(48, 8, 3), write(56, 8, 4) }, nil,
    { v2 = vector(1, 2), v3 = vector(3, 4) })

-- ---- what nobody can complete in the guest's place ----------------------------------------

local function fault(name, instruction, write_, regs)
    local all = { x1 = DEVICE, cpacr_el1 = FP.cpacr_el1, x2 = 5, x3 = 6 }
    for reg, value in pairs(regs or {}) do
        all[reg] = value
    end
    case(name, {
        code = instruction .. "\n hvc #0",
        regs = all,
        trace = { { "fault", addr = DEVICE, ec = 0x24, pa = DEVICE,
            regs = { pc = 0x1000, x1 = DEVICE, x2 = 5, x3 = 6 } } },
        needs = write_,
    })
end

fault("an exclusive load is a fault: it needs memory", "ldxr x2, [x1]")
fault("an exclusive pair is a fault", "ldxp x2, x3, [x1]")
fault("an atomic add is a fault", ".arch_extension lse\n ldadd x2, x3, [x1]", "FEAT_LSE")
fault("a compare and swap is a fault", ".arch_extension lse\n cas x2, x3, [x1]", "FEAT_LSE")
fault("a structure load is a fault", "ld1 {v0.16b, v1.16b}, [x1]")
fault("a structure store is a fault, and does not write back", "st2 {v0.8b, v1.8b}, [x1], #16")
fault("dc zva is a fault", "dc zva, x1")
