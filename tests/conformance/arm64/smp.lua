-- SPDX-License-Identifier: MIT
-- Two to four vCPUs: each has its own trace, and what they share comes out right,
-- whoever is first.
local case, board = ...

local VECTOR, DATA = board.VECTOR, board.DATA
local DONE = { "hvc", imm = 0 }
local ROUNDS = 2000

-- ---- locks and counters ------------------------------------------------------------
-- x1 is a lock, x2 what it guards, x3 the rounds.

local function counting(n, name, round, needs)
    local cpus, traces = {}, {}
    for i = 1, n do
        cpus[i], traces[i] = {}, { { "hvc", imm = 0, regs = { x4 = ROUNDS } } }
    end
    case(("%d vcpus: %s"):format(n, name), {
        code = (needs and ".arch_extension lse\n" or "") .. "mov x6, #1\nnext:\n" .. round .. [[

        add   x4, x4, #1
        cmp   x4, x3
        b.ne  next
        hvc   #0
    ]],
        cpus = cpus,
        regs = board.mmu { x1 = DATA, x2 = DATA + 64, x3 = ROUNDS },
        needs = needs,
        trace = traces,
        memory = { [DATA] = 0, [DATA + 64] = n * ROUNDS },
    })
end

local ADD = "ldr x7, [x2]\n add x7, x7, #1\n str x7, [x2]\n"

for n = 2, 4 do
    counting(n, "a lock by ldaxr and stxr", [[
take:   ldaxr w5, [x1]
        cbnz  w5, take
        stxr  w5, w6, [x1]
        cbnz  w5, take
    ]] .. ADD .. "stlr wzr, [x1]")
end

counting(2, "a counter by ldxr and stxr", "1: ldxr x7, [x2]\n add x7, x7, #1\n"
    .. "stxr w5, x7, [x2]\n cbnz w5, 1b")
counting(3, "a counter of 16 bits by ldaxrh and stlxrh",
    "1: ldaxrh w7, [x2]\n add w7, w7, #1\n stlxrh w5, w7, [x2]\n cbnz w5, 1b")
counting(2, "a lock by swp", "1: swpa w6, w5, [x1]\n cbnz w5, 1b\n" .. ADD .. "stlr wzr, [x1]",
    "FEAT_LSE")
counting(3, "a lock by cas", "1: mov w5, #0\n casa w5, w6, [x1]\n cbnz w5, 1b\n" .. ADD
    .. "stlr wzr, [x1]", "FEAT_LSE")
counting(4, "a counter by ldadd", "ldadd x6, x7, [x2]", "FEAT_LSE")
counting(2, "a counter by stadd, and a lock by ldset and ldclr",
    "1: ldseta w6, w5, [x1]\n cbnz w5, 1b\n" .. ADD .. "ldclrl w6, w5, [x1]", "FEAT_LSE")

-- ---- one tells the other ---------------------------------------------------------------

case("a message: what is written before a release is there after an acquire", {
    code = "nop",
    more = {
        [0x1100] = [[
        mov   x3, #1
1:      str   x3, [x2]
        stlr  x3, [x1]
2:      ldar  x4, [x1, #0]
        cbnz  x4, 2b
        add   x3, x3, #1
        cmp   x3, #500
        b.ne  1b
        hvc   #0
    ]],
        [0x1200] = [[
        mov   x3, #1
1:      ldar  x4, [x1]
        cbz   x4, 1b
        ldr   x5, [x2]
        cmp   x5, x3
        b.ne  3f
        stlr  xzr, [x1]
        add   x3, x3, #1
        cmp   x3, #500
        b.ne  1b
        hvc   #0
3:      hvc   #1
    ]],
    },
    regs = board.mmu { x1 = DATA, x2 = DATA + 256 },
    cpus = { { pc = 0x1100 }, { pc = 0x1200 } },
    trace = { { DONE }, { DONE } },
})

case("wfe waits for sev", {
    code = "nop",
    more = {
        [0x1100] = "1: ldar w3, [x1]\n cbnz w3, 2f\n wfe\n b 1b\n2: hvc #0",
        [0x1200] = "mov w3, #1\n stlr w3, [x1]\n dsb ish\n sev\n hvc #0",
    },
    regs = board.mmu { x1 = DATA },
    cpus = { { pc = 0x1100 }, { pc = 0x1200 } },
    trace = { { DONE }, { DONE } },
})

case("code that one writes is what the other executes", {
    code = "nop",
    more = {
        [0x1100] = [[
1:      ldar  w3, [x1]
        cbnz  w3, 2f
        bl    there
        b     1b
2:      isb
        bl    there
        hvc   #0
        .balign 64
there:  mov   x2, #1
        ret
    ]],
        [0x1200] = [[
1:      add   x4, x4, #1
        cmp   x4, #2000
        b.ne  1b
        str   w5, [x6]
        dc    cvau, x6
        dsb   ish
        ic    ivau, x6
        dsb   ish
        mov   w3, #1
        stlr  w3, [x1]
        hvc   #0
    ]],
    },
    regs = board.mmu { x1 = DATA, x5 = 0xd28000e2, x6 = 0x1140 }, -- mov x2, #7
    cpus = { { pc = 0x1100 }, { pc = 0x1200 } },
    trace = { { { "hvc", imm = 0, regs = { x2 = 7 } } }, { DONE } },
})

case("an entry that one invalidates is no longer the other's", {
    code = "nop",
    pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
    words = { [0x30000] = 1, [0x31000] = 2 },
    more = {
        [0x1100] = [[
1:      ldr   x2, [x7]
        ldar  w3, [x1]
        cbz   w3, 1b
        ldr   x2, [x7]
        hvc   #0
    ]],
        [0x1200] = [[
1:      add   x4, x4, #1
        cmp   x4, #2000
        b.ne  1b
        str   x5, [x6]
        dsb   ishst
        lsr   x8, x7, #12
        tlbi  vae1is, x8
        dsb   ish
        isb
        mov   w3, #1
        stlr  w3, [x1]
        hvc   #0
    ]],
    },
    regs = board.mmu { x1 = DATA, x5 = 0x31000 | board.PAGE_EL1, x6 = board.entry(0x20000),
        x7 = 0x20000 },
    cpus = { { pc = 0x1100 }, { pc = 0x1200 } },
    trace = { { { "hvc", imm = 0, regs = { x2 = 2 } } }, { DONE } },
})

-- ---- each for itself ---------------------------------------------------------------------

case("each has its own number", {
    code = "mrs x2, mpidr_el1\n hvc #0",
    cpus = { {}, {}, {}, {} },
    trace = {
        { { "hvc", regs = { x2 = 0x80000000 } } }, { { "hvc", regs = { x2 = 0x80000001 } } },
        { { "hvc", regs = { x2 = 0x80000002 } } }, { { "hvc", regs = { x2 = 0x80000003 } } },
    },
})

case("each has its own device accesses, and the answers to them", {
    code = [[
        mov   x5, #3
1:      ldr   w2, [x1]
        stp   w2, w5, [x1, #4]
        subs  x5, x5, #1
        b.ne  1b
        hvc   #0
    ]],
    cpus = { { x1 = board.DEVICE }, { x1 = board.DEVICE + 0x1000 },
        { x1 = board.DEVICE + 0x2000 } },
    trace = (function()
        local traces = {}
        for i = 1, 3 do
            local at, trace = board.DEVICE + 0x1000 * (i - 1), {}
            for round = 3, 1, -1 do
                trace[#trace + 1] = { "mmio", addr = at, size = 4, write = false,
                    answer = 100 * i + round, regs = { x5 = round } }
                trace[#trace + 1] = { "mmio", addr = at + 4, size = 4, write = true,
                    value = 100 * i + round }
                trace[#trace + 1] = { "mmio", addr = at + 8, size = 4, write = true,
                    value = round }
            end
            trace[#trace + 1] = DONE
            traces[i] = trace
        end
        return traces
    end)(),
})

case("each has its own exceptions, stacks and system registers", {
    code = "msr tpidr_el1, x2\n svc #1\n mrs x3, tpidr_el1\n udf #0",
    cpus = { { x2 = 1, sp_el1 = 0x7000 }, { x2 = 2, sp_el1 = 0x6f00 },
        { x2 = 3, sp_el1 = 0x6e00 } },
    trace = (function()
        local traces = {}
        for i = 1, 3 do
            traces[i] = {
                { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x56000001,
                    sp = 0x7100 - 0x100 * i, elr_el1 = 0x1008 } },
                { "hvc", imm = VECTOR.sync, regs = { esr_el1 = 0x02000000, x3 = i,
                    elr_el1 = 0x100c } },
            }
        end
        return traces
    end)(),
})

case("each has its own breakpoint", {
    code = "nop\n nop\n nop\n hvc #0",
    cpus = { {}, {} },
    trace = {
        { { "break", regs = { pc = 0x1004 }, host = function(_, cpu)
            cpu:breakpoint(0x1004)
        end }, DONE },
        { { "break", regs = { pc = 0x1008 }, host = function(_, cpu)
            cpu:breakpoint(0x1008)
        end }, DONE },
    },
})

case("one is in EL0, the other in EL1, and both are interrupted by exits", {
    code = "1: svc #1\n add x2, x2, #1\n cmp x2, #3\n b.ne 1b\n svc #2",
    cpus = { { cpsr = board.EL0 }, {} },
    trace = (function()
        local function row(vector, imm)
            return { "hvc", imm = vector, regs = { esr_el1 = 0x56000000 | imm } }
        end
        local a, b = VECTOR.sync_el0, VECTOR.sync
        return { { row(a, 1), row(a, 1), row(a, 1), row(a, 2) },
            { row(b, 1), row(b, 1), row(b, 1), row(b, 2) } }
    end)(),
})
