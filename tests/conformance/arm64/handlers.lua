-- SPDX-License-Identifier: MIT
-- Handlers in the midst of a run: their answers, their errors, stopping; and what
-- they change under the guest.
local case, board = ...

local DEVICE = board.DEVICE
local DONE = { "hvc", imm = 0 }

-- ---- answers --------------------------------------------------------------------

case("a hypercall's arguments come from x1 on, its results go to x0 on", {
    code = "hvc #0\n hvc #0",
    regs = { x0 = 7, x1 = 10, x2 = 20, x3 = 30 },
    setup = function(vm, _, log)
        vm:hypercall(7, function(_, a, b, c)
            log[1], log[2], log[3] = a, b, c
            return 100, 200, 300, 400
        end)
    end,
    trace = { { "hvc", nr = 100 } },
    after = { x0 = 100, x1 = 200, x2 = 300, x3 = 400, pc = 0x1008 },
    log = { 10, 20, 30 },
})

case("a result of nil leaves its register alone", {
    code = "hvc #0\n hvc #0",
    regs = { x0 = 7, x1 = 10 },
    setup = function(vm)
        vm:hypercall(7, function() return nil, 5 end)
        vm:on("hvc", function(cpu) cpu:stop() end)
        vm:hypercall(8, function(cpu) cpu:stop "not this" end)
    end,
    trace = { { "budget", with = { exits = 1 }, regs = { x0 = 7, x1 = 5 } } },
})

case("a device's functions get the offset", {
    code = "ldrh w2, [x1, #6]\n strb w2, [x1, #3]\n hvc #0",
    regs = { x1 = DEVICE },
    setup = function(vm, _, log)
        vm:attach { at = DEVICE, size = 16,
            read = function(at, size)
                log[#log + 1] = ("%d bytes read at %d"):format(size, at)
                return 0x1234
            end,
            write = function(at, value, size)
                log[#log + 1] = ("%d bytes written at %d: %x"):format(size, at, value)
            end }
    end,
    trace = { DONE },
    log = { "2 bytes read at 6", "1 bytes written at 3: 34" },
})

case("a read whose handler returns nothing is all ones", {
    code = "ldr w2, [x1]\n hvc #0",
    regs = { x1 = DEVICE },
    setup = function(vm) vm:on("mmio", function() end) end,
    trace = { DONE },
    after = { x2 = 0xffffffff },
})

case("sysreg handlers answer reads and see what is written", {
    code = "mrs x2, s3_0_c15_c2_1\n msr s3_0_c15_c2_1, x2\n hvc #0",
    setup = function(vm, _, log)
        vm:on("sysreg", function(_, exit)
            log[#log + 1] = exit.write and exit.value or "read"
            return 0x1234567890abcdef
        end)
    end,
    trace = { DONE },
    log = { "read", 0x1234567890abcdef },
})

-- ---- errors and stopping ------------------------------------------------------------

case("an error of a hypercall's handler: the guest is behind the call", {
    code = "mov x2, #1\n hvc #1\n mov x2, #2\n hvc #0",
    setup = function(vm)
        vm:on("hvc", function(cpu, exit)
            if exit.imm == 1 then
                error "boom"
            end
            cpu:stop(exit.imm)
        end)
    end,
    trace = {
        { raises = "boom", regs = { pc = 0x1008, x2 = 1 } },
        { "stop", value = 0, regs = { x2 = 2 } },
    },
})

case("an error while a device is read: the read is all ones", {
    code = "ldr w2, [x1], #4\n hvc #0",
    regs = { x1 = DEVICE, x2 = 5 },
    setup = function(vm)
        vm:attach { at = DEVICE, size = 8, read = function() error "torn" end }
    end,
    trace = { { raises = "torn", regs = { pc = 0x1004, x1 = DEVICE + 4 } }, DONE },
    after = { x2 = 0xffffffff },
})

case("an error between the two stores of a pair: the second still comes", {
    code = "stp x2, x3, [x1]\n hvc #0",
    regs = { x1 = DEVICE, x2 = 1, x3 = 2 },
    setup = function(vm, _, log)
        vm:on("mmio", function(_, exit)
            log[#log + 1] = exit.value
            if exit.value == 1 then
                error "first"
            end
        end)
    end,
    trace = { { raises = "first", regs = { pc = 0x1004 } }, DONE },
    log = { 1, 2 },
})

case("an error in the handler of wfi, of smc, and of a fault", {
    code = "wfi\n smc #1\n ldxr x2, [x1]",
    regs = { x1 = DEVICE },
    setup = function(vm)
        for _, kind in ipairs { "wfi", "smc", "fault" } do
            vm:on(kind, function() error("in " .. kind) end)
        end
    end,
    trace = { { raises = "in wfi", regs = { pc = 0x1004 } },
        { raises = "in smc", regs = { pc = 0x1008 } },
        { raises = "in fault", regs = { pc = 0x1008 } } },
})

case("stop in a read's handler: the answer counts", {
    code = "ldr w2, [x1]\n add w3, w2, #1\n hvc #0",
    regs = { x1 = DEVICE },
    setup = function(vm, cpu)
        vm:attach { at = DEVICE, size = 8, read = function() cpu:stop "here" return 4 end }
    end,
    trace = { { "stop", value = "here", regs = { x2 = 4, x3 = 0, pc = 0x1004 } }, DONE },
    after = { x3 = 5 },
})

case("stop after the first half of a load of two", {
    code = "ldp x2, x3, [x1]\n hvc #0",
    regs = { x1 = DEVICE },
    setup = function(vm, cpu)
        local n = 0
        vm:on("mmio", function()
            n = n + 1
            if n == 1 then
                cpu:stop(n)
            end
            return n * 10
        end)
    end,
    trace = { { "stop", value = 1, regs = { x2 = 10 } }, DONE },
    after = { x2 = 10, x3 = 20 },
})

case("a fault that a handler has seen comes again, unless it is mended", {
    code = "br x1",
    regs = { x1 = 0x300000 },
    setup = function(vm, _, log)
        vm:on("fault", function(_, exit)
            log[#log + 1] = exit.addr
            if #log == 2 then
                vm:map { at = 0x300000, size = board.PAGE }
                vm:u32(0x300000, 0xd4000022) -- hvc #1
            end
        end)
    end,
    trace = { { "hvc", imm = 1, regs = { pc = 0x300004 } } },
    log = { 0x300000, 0x300000 },
})

-- ---- what a handler changes counts at once -----------------------------------------------

local function changing(name, code, change, own)
    own.code = "hvc #1\n" .. code .. "\n hvc #0"
    own.setup = function(vm)
        vm:on("hvc", function(cpu, exit)
            if exit.imm == 1 then
                change(vm, cpu)
            else
                cpu:stop(exit.imm)
            end
        end)
    end
    case(name, own)
end

local END = { "stop", value = 0 }

changing("a handler moves PC", "mov x2, #1\n mov x3, #1", function(_, cpu) cpu.pc = 0x1008 end,
    { trace = { END }, after = { x2 = 0, x3 = 1 } })

changing("a handler changes the code that comes next", "mov x2, #1",
    function(vm) vm:u32(0x1004, 0xd2800122) end, -- mov x2, #9
    { trace = { END }, after = { x2 = 9 } })

changing("a handler raises the interrupt line", "nop",
    function(_, cpu) cpu:irq(true) end, { regs = { cpsr = 5 }, trace = { { "stop",
        value = board.VECTOR.irq, regs = { elr_el1 = 0x1004 } } } })

changing("a handler injects an exception", "nop",
    function(_, cpu) cpu:inject { syndrome = 0x96000010, far = 0x123 } end,
    { trace = { { "stop", value = board.VECTOR.sync, regs = { elr_el1 = 0x1004,
        far_el1 = 0x123 } } } })

changing("a handler sends the guest to EL0", "mrs x2, tpidr_el0\n svc #3",
    function(_, cpu) cpu.cpsr = board.EL0 end,
    { trace = { { "stop", value = board.VECTOR.sync_el0, regs = { esr_el1 = 0x56000003,
        elr_el1 = 0x100c } } } })

changing("a handler turns the MMU on", "ldr x2, [x1]",
    function(_, cpu)
        cpu.ttbr0_el1, cpu.tcr_el1, cpu.mair_el1 = board.TABLES, board.TCR, 0xff
        cpu.sctlr_el1 = board.MMU_ON
    end, { regs = { x1 = 0x20000 }, pages = { [0x20000] = 0x30000 | board.PAGE_EL1 },
        words = { [0x30000] = 0x77, [0x20000] = 0x11 }, trace = { END },
        after = { x2 = 0x77 } })

changing("a handler sets a breakpoint", "mov x2, #1\n mov x3, #1",
    function(_, cpu) cpu:breakpoint(0x1008) end,
    { trace = { { "break", regs = { pc = 0x1008, x2 = 1, x3 = 0 } }, END } })

changing("a handler sets a watchpoint", "str x2, [x1]",
    function(_, cpu) cpu:watchpoint(board.DATA, 8, "w") end,
    { regs = { x1 = board.DATA }, trace = { { "watch", addr = board.DATA }, END } })

changing("a handler asks for brk", "brk #5",
    function(_, cpu) cpu.trap_debug = true end,
    { trace = { { "brk", imm = 5, regs = { pc = 0x1004 } } } })

changing("a handler sets the timer", "spin: cbz x5, spin",
    function(_, cpu) cpu.cntv_cval_el0, cpu.cntv_ctl_el0 = 0, 1 end,
    { trace = { { "timer" }, { "stop", value = 0,
        host = function(_, cpu) cpu.x5 = 1 end } } })
