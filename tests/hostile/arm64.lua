-- SPDX-License-Identifier: MIT
--- Hostile arm64 guests: what a stream's machine holds before it runs.
--
-- arm64.corpus() --> units            valid instructions, assembled once
-- arm64.build(kind, corpus) --> plan  draws from math.random, which is seeded
--
-- A plan: { maps = { { at=, size=, prot= }, ... }, writes = { { at, bytes }, ... },
-- registers = {}, code = where, skip = how far a handler steps over a fault }.
-- Every stream ends in hypercall 0xdead, if it comes so far.

local hv = require "hv"
local draw = require "hostile.draw"

local arm64 = {}

local CODE, VECTORS, DATA, TABLES, ROM, HOLE =
    0x10000, 0x14000, 0x20000, 0x30000, 0x40000, 0x50000
local HIGH = 0x100000000

-- x28 code, x27 data, x26 no memory, x25 read-only, x24 tables; one unit a line.
-- A line's weight is how often it is there.
local UNITS = [[
    hvc #0
    hvc #1
    hvc #0xffff
    smc #0
    smc #3
    svc #0
    svc #0x42
    brk #1
    hlt #0
    udf #7
    wfi
    wfe
    sev
    yield
    eret
    eret
    mrs x0, elr_el1; add x0, x0, #4; msr elr_el1, x0; eret
    mov x0, #0x3c5; msr spsr_el1, x0; msr elr_el1, x28; eret
    msr spsr_el1, xzr; msr elr_el1, x28; eret
    mov x0, #0x10; msr spsr_el1, x0; msr elr_el1, x28; eret
    msr spsr_el1, x3; msr elr_el1, x4; eret
    mrs x1, sctlr_el1; eor x1, x1, #1; msr sctlr_el1, x1; isb
    mrs x1, sctlr_el1; eor x1, x1, #2; msr sctlr_el1, x1; isb
    msr sctlr_el1, x5; isb
    msr ttbr0_el1, x24; isb
    msr ttbr1_el1, x24; isb
    msr ttbr0_el1, x6; tlbi vmalle1; dsb sy; isb
    msr tcr_el1, x7; isb
    msr mair_el1, x8
    msr vbar_el1, x28
    msr vbar_el1, x9
    msr cpacr_el1, x10; isb
    msr sp_el0, x27
    msr spsel, #0
    msr spsel, #1
    msr daifclr, #15
    msr daifset, #15
    msr daif, x11
    mrs x12, daif
    msr nzcv, x13
    mrs x12, nzcv
    mrs x12, currentel
    mrs x12, midr_el1
    mrs x12, mpidr_el1
    mrs x12, id_aa64pfr0_el1
    mrs x12, id_aa64isar0_el1
    mrs x12, ctr_el0
    mrs x12, dczid_el0
    mrs x12, cntvct_el0
    mrs x12, cntpct_el0
    mrs x12, cntfrq_el0
    mrs x12, cntv_ctl_el0
    mov x12, #1; msr cntv_ctl_el0, x12
    msr cntv_cval_el0, x14
    msr cntv_tval_el0, x15
    msr cntv_cval_el0, xzr; mov x12, #1; msr cntv_ctl_el0, x12; msr daifclr, #2
    msr cntp_ctl_el0, x14
    mrs x12, S3_0_C12_C12_0
    msr S3_0_C12_C12_1, x12
    mrs x12, S3_3_C15_C2_7
    msr S3_0_C15_C1_0, x12
    mrs x12, S3_4_C1_C1_0
    msr S3_4_C1_C1_0, x12
    msr mdscr_el1, x16; isb
    mov x12, #0xa001; msr mdscr_el1, x12; isb
    msr dbgbvr0_el1, x28
    msr dbgbcr0_el1, x12
    msr oslar_el1, xzr
    mrs x12, pmccntr_el0
    msr pmcr_el0, x12
    mrs x12, par_el1
    at s1e1r, x27; isb; mrs x12, par_el1
    at s1e0w, x17
    at s12e1r, x17
    tlbi vmalle1
    tlbi vae1, x18
    tlbi vmalle1is
    tlbi alle1
    tlbi ipas2e1, x18
    ic iallu
    ic ivau, x28
    ic ivau, x19
    dc civac, x27
    dc civac, x19
    dc zva, x27
    dc zva, x26
    dc zva, x25
    dc isw, x19
    dsb sy
    dmb ish
    isb
    clrex
    str w20, [x28]; dsb sy; ic ivau, x28; dsb sy; isb
    str w20, [x28, #16]
    str x20, [x28, #256]
    ldr w0, [x28, #64]; str w0, [x28, #32]; isb
    str x20, [x24]; tlbi vmalle1; dsb sy; isb
    str x20, [x24, #4096]; dsb sy; isb
    str x20, [x24, #8]
    ldr w0, [x26]
    ldr x1, [x26, #8]
    str w2, [x26]
    str x3, [x26, #0xff8]
    strb w3, [x26, #1]
    ldrsh x4, [x26, #2]
    ldr x5, [x26], #8
    str x5, [x26, #-8]!
    ldp x6, x7, [x26]
    stp x6, x7, [x26, #16]!
    ldp q0, q1, [x26]
    stp q0, q1, [x26]
    ldr q2, [x26]
    str q2, [x26], #16
    ld1 {v0.16b}, [x26]
    st4 {v0.16b, v1.16b, v2.16b, v3.16b}, [x26]
    ldxr x0, [x26]
    stxr w1, x0, [x26]
    ldar w0, [x26]
    stlr w0, [x26]
    mov x0, #0x3ffc; ldr x1, [x26, x0]
    str x2, [x25]
    strb w2, [x25, #7]
    stp x2, x3, [x25, #8]
    st1 {v0.16b}, [x25]
    mov x0, #0x3ffc; ldr x1, [x25, x0]
    stxr w1, x0, [x25]
    ldr w0, [x27]
    ldr x1, [x27, #8]!
    str x1, [x27], #8
    ldur x1, [x27, #-3]
    stur x1, [x27, #0x7d]
    ldp x2, x3, [x27, #16]
    stp x2, x3, [x27, #-16]!
    ldr q0, [x27]
    str q1, [x27, #32]
    ldxr x0, [x27]; add x0, x0, #1; stxr w1, x0, [x27]
    ldxp x0, x1, [x27]; stxp w2, x1, x0, [x27]
    ldaxr w0, [x27]; stlxr w1, w0, [x27]; cbnz w1, .-8
    ldxrb w0, [x27]; clrex; stxrb w1, w0, [x27]
    ldar x0, [x27]
    ldtr x0, [x27]
    sttr x0, [x27]
    prfm pldl1keep, [x26]
    ldr x0, [x21]
    str x0, [x22]
    ldr q0, [x23]
    stp q0, q1, [x20]
    ld1 {v0.8h, v1.8h}, [x27], #32
    ld4 {v0.4s, v1.4s, v2.4s, v3.4s}, [x27]
    st3 {v4.b, v5.b, v6.b}[3], [x27]
    ld2r {v7.2d, v8.2d}, [x27]
    st4 {v28.2d, v29.2d, v30.2d, v31.2d}, [x27], x0
    add v0.4s, v1.4s, v2.4s
    fadd v0.2d, v1.2d, v2.2d
    fmla v0.4s, v1.4s, v2.s[1]
    fdiv d0, d1, d2
    fsqrt v3.4s, v4.4s
    fcvtzs x0, d1
    scvtf s0, x1
    frintn d1, d2
    tbl v0.16b, {v1.16b, v2.16b, v3.16b, v4.16b}, v5.16b
    ext v0.16b, v1.16b, v2.16b, #3
    zip1 v0.8h, v1.8h, v2.8h
    sqrdmulh v0.4s, v1.4s, v2.4s
    pmull v0.8h, v1.8b, v2.8b
    uaddlv s0, v1.8h
    cnt v0.16b, v1.16b
    dup v0.2d, x1
    umov w0, v1.b[5]
    movi v0.2d, #0xff00ff00ff00ff00
    aese v0.16b, v1.16b
    sha256h q0, q1, v2.4s
    crc32x w0, w1, x2
    fmov d0, x1
    msr fpcr, x0
    mrs x0, fpsr
    add x0, x1, x2
    subs x3, x4, #1
    madd x0, x1, x2, x3
    smulh x0, x1, x2
    udiv x0, x1, x2
    sdiv w0, w1, w2
    rbit x0, x1
    clz w0, w1
    extr x0, x1, x2, #13
    bfi x0, x1, #5, #9
    csel x0, x1, x2, gt
    ccmp x0, x1, #4, ne
    adc x0, x1, x2
    movk x0, #0xbeef, lsl #32
    adr x0, .
    adrp x0, .
    eor x0, x1, x2, ror #7
    mov sp, x27
    mov sp, x20
    add sp, sp, #16
    str x0, [sp, #-16]!
    b .+8
    b .-16
    b.ne .+12
    cbz x0, .+8
    tbnz w1, #3, .+8
    bl .+8
    br x28
    blr x28
    br x20
    ret
    ret x29
    ldr x0, .+64
    .inst 0xd69f0bff
    .inst 0xd65f0bff
    .inst 0xf8e00020
    .inst 0xc8a07c41
    .inst 0x05e03be0
    .inst 0xd51e1100
    .inst 0xd51c1100
    .inst 0xd53e1100
    .inst 0xd51b4220
    .inst 0xffffffff
]]

--- Lists of instruction words.
function arm64.corpus()
    local lines = {}
    for line in UNITS:gmatch "[^\n]+" do
        lines[#lines + 1] = ("u%d: %s"):format(#lines + 1, line)
    end
    local image = hv.asm(".arch armv8-a+crypto+crc\n" .. table.concat(lines, "\n")
                         .. ("\nu%d: nop"):format(#lines + 1))
    local units = {}
    for i = 1, #lines do
        local first, last = image.symbols["u" .. i], image.symbols["u" .. i + 1]
        units[i] = { string.unpack(("<I4"):rep((last - first) // 4),
                                   image.bytes, first + 1) }
        table.remove(units[i]) -- where unpack stopped
    end
    return units
end

-- ---- instructions -------------------------------------------------------

-- Where operands, opcodes and immediates mostly are.
local FIELDS = { { 0, 5 }, { 5, 5 }, { 16, 5 }, { 10, 6 }, { 10, 12 }, { 5, 14 },
    { 12, 9 }, { 15, 7 }, { 21, 2 }, { 29, 3 }, { 24, 5 }, { 5, 19 } }

local function mutate(word)
    local roll = math.random(10)
    if roll <= 4 then
        for _ = 1, math.random(3) do
            word = word ~ 1 << math.random(0, 31)
        end
    elseif roll <= 9 then
        local field = draw.one(FIELDS)
        local mask = (1 << field[2]) - 1 << field[1]
        word = word & ~mask | math.random(0) & mask
    else
        word = math.random(0) & 0xffffffff
    end
    return word
end

local function valid_words(corpus, count)
    local words = {}
    while #words < count do
        local unit = draw.one(corpus)
        for i = 1, #unit do
            words[#words + 1] = unit[i]
        end
    end
    return words
end

local function mutated_words(corpus, count)
    local words = valid_words(corpus, count)
    for _ = 1, math.random(0, #words // 2) do
        local i, j = math.random(#words), math.random(#words)
        local roll = math.random(8)
        if roll == 1 then
            words[i], words[j] = words[j], words[i]
        elseif roll == 2 then
            words[i] = words[j]
        else
            words[i] = mutate(words[i])
        end
    end
    return words
end

local function random_words(_, count)
    local words = {}
    for i = 1, count do
        words[i] = math.random(0) & 0xffffffff
    end
    return words
end

local function pack(words)
    return string.pack(("<I4"):rep(#words), table.unpack(words))
end

local MAKE = { random = random_words, mutated = mutated_words }
local FINISH = pack { 0xd29bd5a0, 0xd4000002, 0x17ffffff } -- mov x0, #0xdead; hvc; b

-- ---- vectors and tables -------------------------------------------------

local STUBS = {
    -- mrs x18, elr_el1; add x18, x18, #4; msr elr_el1, x18; eret
    pack { 0xd5384032, 0x91001252, 0xd5184032, 0xd69f03e0 },
    pack { 0xd4000022, 0xd69f03e0 }, -- hvc #1; eret
    pack { 0xd69f03e0 }, -- eret, again and again
    pack { 0x14000000 }, -- b .
}

local function vectors(corpus)
    local pieces = {}
    for i = 1, 16 do
        local roll = math.random(20)
        local stub = roll <= 15 and STUBS[1] or roll <= 18 and STUBS[roll - 14]
            or pack(random_words(corpus, 8))
        pieces[i] = stub .. ("\0"):rep(0x80 - #stub)
    end
    return table.concat(pieces)
end

-- The first 2 MiB, mapped to themselves in pages; what is not, is random.
local pages = {}
for i = 0, 511 do
    pages[i] = i << 12 | 0x703 -- valid, AF, inner shareable, read and write
end

local function tables()
    local entries = table.move(pages, 0, 511, 1, {})
    for _ = 1, math.random(0, 12) do
        local i, roll = math.random(96), math.random(4)
        if roll == 1 then
            entries[i] = math.random(0)
        elseif roll == 2 then
            entries[i] = 0
        elseif roll == 3 then
            entries[i] = entries[i] ~ 1 << math.random(0, 63)
        else
            entries[i] = entries[math.random(96)]
        end
    end
    local writes = {
        { TABLES, string.pack("<I8I8I8", TABLES + 0x1000 | 3, 0x40000701,
                              math.random(0)) },
        { TABLES + 0x1000, string.pack("<I8I8I8", TABLES + 0x2000 | 3, 0x701,
                                       TABLES | 3) },
        { TABLES + 0x2000, string.pack(("<I8"):rep(512), table.unpack(entries)) },
    }
    return table.unpack(writes)
end

-- ---- registers ----------------------------------------------------------

local POINTERS = { CODE, DATA, TABLES, ROM, HOLE, DATA + 0x7ff8, ROM + 0x3ffc,
    HIGH, HIGH + 0x3ffe, CODE + 0x7ffe, 0, 0x1000000000000 }

local function registers()
    local all = { pc = CODE, sp = draw.chance(80) and DATA + 0x4000
        or draw.value(POINTERS) }
    for i = 0, 30 do
        all["x" .. i] = draw.value(POINTERS)
    end
    all.x28, all.x27, all.x26, all.x25, all.x24 =
        CODE + 4 * math.random(0, 64), DATA + 8 * math.random(0, 64), HOLE, ROM,
        TABLES
    for i = 0, 31, math.random(1, 8) do
        all["v" .. i] = string.pack("<I8I8", draw.value(POINTERS), math.random(0))
    end
    all.vbar_el1 = draw.chance(85) and VECTORS or draw.value(POINTERS)
    all.ttbr0_el1 = draw.chance(90) and TABLES or draw.value(POINTERS)
    all.ttbr1_el1 = draw.chance(90) and TABLES or draw.value(POINTERS)
    all.tcr_el1 = draw.chance(90) and 0x180193519 or math.random(0)
    all.cpacr_el1 = draw.chance(80) and 3 << 20 or 0
    all.elr_el1 = draw.value(POINTERS)
    all.spsr_el1 = draw.one { 0x3c5, 0, 0x3c4, 0x1d, math.random(0) }
    if draw.chance(30) then
        all.sctlr_el1 = draw.chance(80) and 0x30d01805 or math.random(0)
    end
    if draw.chance(25) then
        all.cpsr = draw.one { 0x3c0, 0x3c4, 0x005, 0x3c5 | 1 << 20,
            math.random(0) & 0xffffffff }
    end
    return all
end

function arm64.build(kind, corpus)
    local code = pack(MAKE[kind](corpus, math.random(8, 96))) .. FINISH
    return {
        code = CODE, skip = 4, registers = registers(),
        maps = {
            { at = CODE, size = 0x8000, prot = draw.chance(80) and "rwx" or "rx" },
            { at = DATA, size = 0x8000, prot = draw.chance(50) and "rwx" or "rw" },
            { at = TABLES, size = 0x4000, prot = "rw" },
            { at = ROM, size = 0x4000, prot = draw.chance(50) and "r" or "rx" },
            { at = HIGH, size = 0x4000, prot = "rwx" },
        },
        writes = { { CODE, code }, { VECTORS, vectors(corpus) },
            { DATA, code }, { ROM, code }, tables() },
    }
end

return arm64
