-- SPDX-License-Identifier: MIT
-- How a run ends: kicks before, during and after it, budgets, time, and where that
-- leaves the guest.
local case, board = ...

local DEVICE = board.DEVICE
local DONE = { "hvc", imm = 0 }

local function kick(_, cpu)
    cpu:kick()
end

-- ---- kicks --------------------------------------------------------------------

case("a kick before the first run: no instruction is executed", {
    code = "mov x2, #1\n hvc #0",
    trace = { { "kick", host = kick, regs = { pc = 0x1000, x2 = 0 } }, DONE },
    after = { x2 = 1 },
})

case("two kicks before a run are one", {
    code = "hvc #0",
    trace = { { "kick", host = function(_, cpu) cpu:kick() cpu:kick() end }, DONE },
})

case("a kick after a run is for the next", {
    code = "hvc #1\n hvc #0",
    trace = { { "hvc", imm = 1 }, { "kick", host = kick, regs = { pc = 0x1004 } }, DONE },
})

case("a kick in a handler ends the run behind what it handled", {
    code = "hvc #1\n mov x2, #1\n hvc #0",
    setup = function(vm)
        vm:on("hvc", function(cpu, exit)
            if exit.imm == 1 then
                cpu:kick()
            else
                cpu:stop "end"
            end
        end)
    end,
    trace = { { "kick", regs = { pc = 0x1004, x2 = 0 } }, { "stop", value = "end" } },
})

case("a kick while a device's answer is waited for", {
    code = "ldr w2, [x1]\n hvc #0",
    regs = { x1 = DEVICE },
    trace = {
        { "mmio", addr = DEVICE, answer = 5 },
        { "kick", host = kick, regs = { x2 = 5, pc = 0x1004 } },
        DONE,
    },
})

case("a kick in the handler of a read: the answer counts", {
    code = "ldr w2, [x1]\n hvc #0",
    regs = { x1 = DEVICE },
    setup = function(vm, cpu)
        vm:attach { at = DEVICE, size = 8, read = function() cpu:kick() return 9 end }
    end,
    trace = { { "kick", regs = { x2 = 9, pc = 0x1004 } }, DONE },
})

case("a kick between the two accesses of a pair", {
    code = "ldp x2, x3, [x1]\n hvc #0",
    regs = { x1 = DEVICE },
    trace = {
        { "mmio", addr = DEVICE, answer = 1 },
        { "mmio", addr = DEVICE + 8, answer = 2, host = kick },
        { "kick", regs = { x2 = 1, x3 = 2, pc = 0x1004 } },
        DONE,
    },
})

case("a kick before a step", {
    code = "mov x2, #1\n hvc #0",
    trace = {
        { "kick", by = "step", host = kick, regs = { pc = 0x1000, x2 = 0 } },
        { "step", by = "step", regs = { pc = 0x1004, x2 = 1 } },
        DONE,
    },
})

case("a kick before a single entry", {
    code = "mov x2, #1\n hvc #0",
    trace = {
        { "kick", by = "enter", host = kick, regs = { pc = 0x1000 } },
        { "hvc", by = "enter", imm = 0 },
    },
})

case("a kick does not lose an interrupt", {
    code = "nop\n hvc #0",
    regs = { cpsr = 5 },
    trace = {
        { "kick", regs = { pc = 0x1000 }, host = function(_, cpu)
            cpu:irq(true)
            cpu:kick()
        end },
        { "hvc", imm = board.VECTOR.irq, regs = { elr_el1 = 0x1000 } },
    },
})

-- ---- time and budgets ------------------------------------------------------------

case("the time is up while the guest spins, and it goes on where it was", {
    code = "spin: add x2, x2, #1\n add x3, x3, #1\n cbz x4, spin\n sub x5, x2, x3\n hvc #0",
    trace = {
        { "timeout", with = { timeout = 0.01 } },
        { "timeout", with = { timeout = 0.01 } },
        { "hvc", imm = 0, host = function(_, cpu) cpu.x4 = 1 end },
    },
    after = { x5 = 0 },
})

case("the time is up in the midst of exceptions of the guest's own", {
    code = "spin: svc #1\n add x2, x2, #1\n cbz x4, spin\n sub x5, x3, x2\n hvc #0",
    more = { [board.VECTORS + 0x200] = "add x3, x3, #1\n eret" },
    trace = {
        { "timeout", with = { timeout = 0.01 } },
        { "hvc", imm = 0, host = function(_, cpu) cpu.x4 = 1 end },
    },
    after = { x5 = 0 },
})

case("the time is up while EL0 spins", {
    code = "spin: b spin",
    regs = { cpsr = board.EL0 },
    trace = { { "timeout", with = { timeout = 0.01 }, regs = { pc = 0x1000,
        cpsr = board.EL0 } } },
})

case("the time is up while the guest adds to memory, and no sum is wrong", {
    code = [[
spin:   ldr   x2, [x1]
        add   x2, x2, #1
        str   x2, [x1]
        ldxr  x3, [x6]
        add   x3, x3, #1
        stxr  w5, x3, [x6]
        cbnz  w5, other
        add   x7, x7, #1
        cbz   x4, spin
        sub   x8, x2, x7
        sub   x9, x3, x7
        hvc   #0
other:  add   x3, x3, #0
1:      ldxr  x3, [x6]
        add   x3, x3, #1
        stxr  w5, x3, [x6]
        cbnz  w5, 1b
        add   x7, x7, #1
        cbz   x4, spin
        hvc   #1
    ]],
    regs = board.mmu { x1 = board.DATA, x6 = board.DATA + 64 },
    trace = {
        { "timeout", with = { timeout = 0.003 } },
        { "timeout", with = { timeout = 0.003 } },
        { "timeout", with = { timeout = 0.003 } },
        { "hvc", imm = 0, host = function(_, cpu) cpu.x4 = 1 end },
    },
    after = { x8 = 0, x9 = 0 },
})

case("a budget of exits ends the run behind the last of them", {
    code = "again: add x2, x2, #1\n hvc #1\n b again",
    setup = function(vm, _, log)
        vm:on("hvc", function(cpu) log[#log + 1] = cpu.x2 end)
    end,
    trace = {
        { "budget", with = { exits = 3 }, regs = { x2 = 3, pc = 0x1008 } },
        { "budget", with = { exits = 1 }, regs = { x2 = 4, pc = 0x1008 } },
    },
    log = { 1, 2, 3, 4 },
})

case("both accesses of a pair count for a budget", {
    code = "stp x2, x3, [x1]\n hvc #0",
    regs = { x1 = DEVICE, x2 = 7, x3 = 8 },
    setup = function(vm, _, log)
        vm:on("mmio", function(_, exit) log[#log + 1] = exit.value end)
    end,
    trace = {
        { "budget", with = { exits = 1 }, regs = { pc = 0x1004 } },
        { "budget", with = { exits = 1 }, regs = { pc = 0x1004 } },
        DONE,
    },
    log = { 7, 8 },
})

-- ---- single entries ------------------------------------------------------------------

case("entries, one by one, without handlers", {
    code = "hvc #1\n ldr w2, [x1]\n str w2, [x1]\n smc #2\n wfi\n hvc #0",
    regs = { x1 = DEVICE },
    setup = function(vm)
        vm:on("hvc", function() error "no handler is called" end)
    end,
    trace = {
        { "hvc", by = "enter", imm = 1, regs = { pc = 0x1004 } },
        { "mmio", by = "enter", write = false, answer = 4, regs = { pc = 0x1008 } },
        { "mmio", by = "enter", write = true, value = 4, regs = { pc = 0x100c } },
        { "smc", by = "enter", imm = 2, regs = { pc = 0x1010 } },
        { "wfi", by = "enter", regs = { pc = 0x1014 } },
        { "hvc", by = "enter", imm = 0 },
    },
})

-- ---- registers that the host writes between ------------------------------------------------

case("the host moves PC", {
    code = "hvc #1\n mov x2, #1\n mov x3, #1\n hvc #0",
    trace = { { "hvc", imm = 1 },
        { "hvc", imm = 0, host = function(_, cpu) cpu.pc = 0x1008 end } },
    after = { x2 = 0, x3 = 1 },
})

case("the host sends EL1 to EL0, with its stack", {
    code = "hvc #1\n mov x2, sp\n svc #2",
    trace = { { "hvc", imm = 1 },
        { "hvc", imm = board.VECTOR.sync_el0, regs = { x2 = board.USER_STACK,
            spsr_el1 = 0x600003c0 },
            host = function(_, cpu) cpu.cpsr = 0x600003c0 end } },
})

case("the host writes vectors, flags and floating point", {
    code = "mrs x4, nzcv\n mrs x5, tpidr_el0\n fmov x6, d3\n fmov x7, v3.d[1]\n svc #1",
    regs = { cpsr = 0x900003c5, tpidr_el0 = 0x1234, cpacr_el1 = 3 << 20, vbar_el1 = 0x9000,
        v3 = ("<i8i8"):pack(5, 6) },
    more = { [0x9200] = "hvc #0x99" },
    trace = { { "hvc", imm = 0x99 } },
    after = { x4 = 0x90000000, x5 = 0x1234, x6 = 5, x7 = 6 },
})
