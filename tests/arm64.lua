-- SPDX-License-Identifier: MIT
-- What an arm64 guest does, exit by exit: traps to the host, exceptions of its
-- own, address translation.
local t = ...

local DEVICE = 0x200000 -- no memory is there

local function guest(open, code, registers)
    return t.guest(open, { arm64 = code }, registers)
end

local function on(name, fn)
    t.on("arm64", name, fn)
end

-- Handlers for an MMIO device that answers `answer` and logs what it sees.
local function device(vm, answer)
    local log = {}
    vm:on("mmio", function(_, e)
        log[#log + 1] = { e.write and "w" or "r", e.addr - DEVICE, e.size, e.value }
        return not e.write and (type(answer) == "function" and answer(e) or answer)
            or nil
    end)
    return log
end

-- ---- traps to the host -------------------------------------------------

on("hvc and smc, with their immediates", function(open, backend)
    local imm = backend == "kvm" and 0 or 0xffff -- it answers other smc itself
    local vm, cpu = guest(open, ([[
        mov   x0, #5
        hvc   #0x1234
        smc   #%d
        hvc   #0
    ]]):format(imm))
    local e = vm:run()
    t.eq({ e.kind, e.imm, e.nr, e.ec, e.reason, e.syndrome },
        { "hvc", 0x1234, 5, 0x16, 1, 0x5a001234 })
    t.eq(cpu.pc, 0x1008)
    e = vm:run()
    t.eq({ e.kind, e.imm, e.ec, cpu.pc }, { "smc", imm, 0x17, 0x100c })
    t.eq(vm:run().imm, 0)
end)

on("wfi is behind the guest when it exits", function(open)
    local vm, cpu = guest(open, "wfi\n mov x5, #1\n hvc #0")
    t.eq(vm:run().kind, "wfi")
    t.eq(cpu.pc, 0x1004)
    t.eq(vm:run().kind, "hvc")
    t.eq(cpu.x5, 1)
end)

on("mmio loads of every size and sign", function(open, backend)
    -- What KVM completes it completes by the syndrome.
    local no_sign = backend == "kvm" and os.getenv "HVLUA_NESTED"
    local cases = {
        { "ldrb w2, [x1]", 1, 0x80, 0x80 },
        { "ldrh w2, [x1]", 2, 0x8000, 0x8000 },
        { "ldr w2, [x1]", 4, 0x80000000, 0x80000000 },
        { "ldr x2, [x1]", 8, 1 << 63, 1 << 63 },
        { "ldrsb w2, [x1]", 1, 0x80, 0xffffff80 },
        { "ldrsb x2, [x1]", 1, 0x80, -128 },
        { "ldrsh w2, [x1]", 2, 0x8001, 0xffff8001 },
        { "ldrsh x2, [x1]", 2, 0x8001, -32767 },
        { "ldrsw x2, [x1]", 4, 0x80000000, -0x80000000 },
        { "ldrsb x2, [x1]", 1, 0x7f, 0x7f },
        { "ldrb w2, [x1]", 1, -1, 0xff },
    }
    for _, case in ipairs(cases) do
        if no_sign and case[1]:find "^ldrs" then
            case[4] = case[3]
        end
        local vm, cpu = guest(open, case[1] .. "\n hvc #0", { x1 = DEVICE, x2 = -1 })
        local log = device(vm, case[3])
        t.eq(vm:run().kind, "hvc", case[1])
        t.eq(log, { { "r", 0, case[2] } }, case[1])
        t.eq(cpu.x2, case[4], case[1])
        t.eq(cpu.pc, 0x1008, case[1])
    end
end)

on("mmio stores of every size, and of the zero register", function(open)
    local vm = guest(open, [[
        strb  w2, [x1]
        strh  w2, [x1, #2]
        str   w2, [x1, #4]
        str   x2, [x1, #8]
        str   xzr, [x1, #16]
        ldr   xzr, [x1, #24]
        hvc   #0
    ]], { x1 = DEVICE, x2 = 0x1122334455667788 })
    local log = device(vm, 5)
    t.eq(vm:run().kind, "hvc")
    t.eq(log, { { "w", 0, 1, 0x88 }, { "w", 2, 2, 0x7788 }, { "w", 4, 4, 0x55667788 },
        { "w", 8, 8, 0x1122334455667788 }, { "w", 16, 8, 0 }, { "r", 24, 8 } })
end)

on("mmio forms that the syndrome does not describe", function(open)
    local vm, cpu = guest(open, [[
        ldr   w2, [x1], #4              // post-index
        str   w2, [x1, #4]!             // pre-index
        ldp   x3, x4, [x1, #8]
        stp   w3, w4, [x1], #16
        ldrsb x5, [x1, #-1]!
        ldur  x6, [x1, #-7]
        mov   x7, #16
        ldr   w8, [x1, x7]
        ldpsw x9, x10, [x1]
        hvc   #0
    ]], { x1 = DEVICE })
    local log = device(vm, function(e) return e.addr - DEVICE | 0xf0000000 end)
    t.eq(vm:run().kind, "hvc")
    t.eq(log, {
        { "r", 0, 4 }, { "w", 8, 4, 0xf0000000 },
        { "r", 16, 8 }, { "r", 24, 8 },
        { "w", 8, 4, 0xf0000010 }, { "w", 12, 4, 0xf0000018 },
        { "r", 23, 1 }, { "r", 16, 8 }, { "r", 39, 4 },
        { "r", 23, 4 }, { "r", 27, 4 },
    })
    t.eq(cpu.x1, DEVICE + 23)
    t.eq({ cpu.x3, cpu.x4, cpu.x5, cpu.x6 }, { 0xf0000010, 0xf0000018, 0x17, 0xf0000010 })
    t.eq(cpu.x8, 0xf0000027)
    t.eq({ cpu.x9, cpu.x10 }, { 0xf0000017 - (1 << 32), 0xf000001b - (1 << 32) })
end)

on("mmio with vector registers comes in pieces of 8 bytes", function(open)
    local vm, cpu = guest(open, [[
        mrs   x0, cpacr_el1
        orr   x0, x0, #(3 << 20)
        msr   cpacr_el1, x0
        isb
        ldr   q0, [x1]
        str   q0, [x1, #16]
        ldr   d1, [x1]
        ldr   s2, [x1]
        stp   d1, d1, [x1]
        hvc   #0
    ]], { x1 = DEVICE })
    local log = device(vm, function(e) return 0x1111111111111111 * (1 + e.addr - DEVICE) end)
    t.eq(vm:run().kind, "hvc")
    local one, nine = 0x1111111111111111, 0x1111111111111111 * 9
    t.eq(log, { { "r", 0, 8 }, { "r", 8, 8 }, { "w", 16, 8, one }, { "w", 24, 8, nine },
        { "r", 0, 8 }, { "r", 0, 4 }, { "w", 0, 8, one }, { "w", 8, 8, one } })
    t.eq(cpu.v0, string.pack("<i8i8", one, nine))
    t.eq(cpu.v2, string.pack("<I4", 0x11111111) .. ("\0"):rep(12))
end)

on("an unanswered pair can be answered by hand, one after the other", function(open)
    local vm, cpu = guest(open, "ldp x2, x3, [x1]\n hvc #0", { x1 = DEVICE })
    local e = cpu:enter()
    t.eq({ e.kind, e.addr, e.size, cpu.pc }, { "mmio", DEVICE, 8, 0x1004 })
    e = cpu:enter(11)
    t.eq({ e.kind, e.addr, e.size, cpu.x2 }, { "mmio", DEVICE + 8, 8, 11 })
    e = cpu:enter(22)
    t.eq({ e.kind, cpu.x2, cpu.x3, cpu.pc }, { "hvc", 11, 22, 0x1008 })
    t.eq(vm.running, false)
end)

on("writes to memory without w are mmio writes, reads are not", function(open)
    local vm, cpu = guest(open, "ldr x2, [x1]\n str x3, [x1]\n hvc #0",
        { x1 = 0x300000, x3 = 7 })
    vm:map { at = 0x300000, size = "16K", prot = "r" }
    vm:u64(0x300000, 99)
    local e = vm:run()
    t.eq({ e.kind, e.addr, e.write, e.value, e.size }, { "mmio", 0x300000, true, 7, 8 })
    t.eq(cpu.x2, 99)
    t.eq(vm:u64(0x300000), 99)
    cpu.pc = 0x1000
    vm:protect(0x300000, "rw")
    t.eq(vm:run().kind, "hvc")
    t.eq(vm:u64(0x300000), 7)
    vm:protect(0x300000, "r")
    cpu.pc, cpu.x3 = 0x1000, 8
    t.eq(vm:run().kind, "mmio", "and the protection can come back")
    t.eq(vm:u64(0x300000), 7)
end)

on("code in memory without x is a fault", function(open, backend)
    if backend == "kvm" then
        t.skip "kvm enforces only the w of prot"
    end
    local vm, cpu = guest(open, "br x1", { x1 = 0x300000 })
    vm:map { at = 0x300000, size = "16K", prot = "rw" }
    vm:u32(0x300000, 0xd503201f)
    local e = vm:run()
    t.eq(e.kind, "fault")
    t.ok(#e.why > 10, e.why)
    t.eq(cpu.pc, 0x300000)
end)

on("code where no memory is, is a fault", function(open, backend)
    local vm, cpu = guest(open, "br x1", { x1 = 0x40000000 })
    local e = vm:run()
    if backend == "kvm" then -- tells the guest first, which has no handler for it
        t.eq({ e.kind, e.vector, cpu.pc }, { "fault", 0x200, 0x200 })
        return
    end
    t.eq({ e.kind, e.ec, e.pa }, { "fault", 0x20, 0x40000000 })
    t.eq(cpu.pc, 0x40000000)
end)

on("memory mapped and unmapped between runs", function(open)
    local vm, cpu = guest(open, "again: ldr x2, [x1]\n hvc #0\n b again",
        { x1 = 0x300000 })
    t.eq(vm:run().kind, "mmio")
    cpu:answer(1)
    t.eq({ vm:run().kind, cpu.x2 }, { "hvc", 1 })
    for i = 2, 4 do
        local mem = vm:map { at = 0x300000, size = "16K" }
        vm:u64(0x300000, i)
        t.eq({ vm:run().kind, cpu.x2 }, { "hvc", i })
        mem:unmap()
        t.eq(vm:run().kind, "mmio")
        cpu:answer(i * 10)
        t.eq({ vm:run().kind, cpu.x2 }, { "hvc", i * 10 })
    end
end)

on("system registers that nobody has", function(open, backend)
    if backend == "kvm" then
        t.skip "to kvm's guests they are undefined instructions: see kvm_arm64.lua"
    end
    local vm, cpu = guest(open, [[
        mrs   x2, s3_0_c15_c2_1
        msr   s3_0_c15_c2_1, x3
        hvc   #0
    ]], { x3 = 77 })
    local enc = 3 << 14 | 0 << 11 | 15 << 7 | 2 << 3 | 1
    local log = {}
    vm:on("sysreg", function(_, e)
        log[#log + 1] = { e.reg, e.write, e.value }
        return not e.write and 55 or nil
    end)
    t.eq(vm:run().kind, "hvc")
    t.eq(log, { { enc, false }, { enc, true, 77 } })
    t.eq({ cpu.x2, cpu.pc }, { 55, 0x100c })
end)

on("brk: the guest's own, or the host's", function(open)
    local vm, cpu = guest(open, "brk #7\n hvc #0", { vbar_el1 = 0x8000 })
    vm:load(0x8200, require("hv").asm("mrs x9, esr_el1\n hvc #1"))
    local e = vm:run()
    t.eq({ e.kind, e.imm, cpu.x9 }, { "hvc", 1, 0xf2000007 })
    cpu.pc, cpu.trap_debug = 0x1000, true
    e = vm:run()
    t.eq({ e.kind, e.imm, e.ec, cpu.pc }, { "brk", 7, 0x3c, 0x1000 })
    cpu.trap_debug, cpu.x9 = false, 0
    t.eq({ vm:run().imm, cpu.x9 }, { 1, 0xf2000007 })
end)

-- ---- exceptions of the guest's own ------------------------------------------

-- A vector table at 0x8000 whose entries report which they are: hvc #offset/0x80.
local VECTORS = (function()
    local text = {}
    for i = 0, 15 do
        text[#text + 1] = (".balign 128\n hvc #%d\n eret"):format(i + 0x100)
    end
    return table.concat(text, "\n")
end)()

local function with_vectors(open, code, registers)
    local all = { vbar_el1 = 0x8000 }
    for k, v in pairs(registers or {}) do
        all[k] = v
    end
    local vm, cpu = guest(open, code, all)
    vm:load(0x8000, require("hv").asm(VECTORS))
    return vm, cpu
end

on("svc at EL1 goes to the guest's vectors and back", function(open)
    local vm, cpu = with_vectors(open, "mov x3, #1\n svc #9\n mov x3, #2\n hvc #0")
    local e = vm:run()
    t.eq({ e.kind, e.imm }, { "hvc", 0x104 }) -- current EL, SPx, synchronous
    t.eq({ cpu.esr_el1, cpu.elr_el1, cpu.spsr_el1, cpu.cpsr, cpu.x3 },
        { 0x56000009, 0x1008, 0x3c5, 0x3c5, 1 })
    e = vm:run()
    t.eq({ e.imm, cpu.x3, cpu.pc }, { 0, 2, 0x1010 })
end)

on("EL0 and back, with the stack pointers' banks", function(open)
    local vm, cpu = with_vectors(open, [[
        adr   x2, user
        msr   elr_el1, x2
        mov   x2, #0x10
        lsl   x2, x2, #2
        mov   x2, #0
        msr   spsr_el1, x2
        mov   x2, #0x7000
        msr   sp_el0, x2
        eret
user:   mov   x3, sp
        svc   #1
        mov   x4, #4
        svc   #2
    ]], { sp = 0x9000 })
    local e = vm:run()
    t.eq({ e.imm, cpu.esr_el1, cpu.x3, cpu.sp }, { 0x108, 0x56000001, 0x7000, 0x9000 })
    t.eq(cpu.spsr_el1 & 0xf, 0)
    t.eq(cpu.sp_el0, 0x7000)
    e = vm:run()
    t.eq({ e.imm, cpu.esr_el1, cpu.x4 }, { 0x108, 0x56000002, 4 })
end)

on("SP_EL0 at EL1 has vectors of its own", function(open)
    local vm, cpu = with_vectors(open, "msr spsel, #0\n mov x3, sp\n svc #0",
        { sp = 0x9000, sp_el0 = 0x7000 })
    local e = vm:run()
    t.eq({ e.imm, cpu.x3, cpu.sp, cpu.spsr_el1 & 0xf }, { 0x100, 0x7000, 0x9000, 4 })
end)

on("undefined instructions and privileged ones at EL0", function(open)
    local vm, cpu = with_vectors(open, "udf #0")
    local e = vm:run()
    t.eq({ e.imm, cpu.esr_el1, cpu.elr_el1 }, { 0x104, 0x02000000, 0x1000 })
    vm:close()
    vm, cpu = with_vectors(open, "msr vbar_el1, x0", { cpsr = 0x3c0 })
    e = vm:run()
    t.eq({ e.imm, cpu.elr_el1 }, { 0x108, 0x1000 })
    vm:close()
    vm, cpu = with_vectors(open, "hvc #5", { cpsr = 0x3c0 })
    e = vm:run()
    t.eq({ e.imm, cpu.esr_el1 >> 26, cpu.elr_el1 }, { 0x108, 0, 0x1000 })
end)

on("faults without a vector table are told, not spun on", function(open)
    local vm, cpu = guest(open, "udf #0", { vbar_el1 = 0x40000000 })
    local e = vm:run { timeout = 10 }
    t.eq({ e.kind, e.vector }, { "fault", 0x200 })
    t.ok(e.why:find "VBAR_EL1", e.why)
    t.ok(cpu.pc)
    vm:close()
    -- zeroed memory at VBAR: every instruction there is undefined, for ever
    vm = guest(open, "udf #0", { vbar_el1 = 0x40000 })
    t.ok(vm:run { timeout = 1 }.kind)
end)

on("inject: an exception that the guest did not cause", function(open)
    local vm, cpu = with_vectors(open, "hvc #0\n mov x3, #1\n hvc #0")
    t.eq(vm:run().imm, 0)
    cpu:inject { syndrome = 0x96000010, far = 0xdead0 }
    local e = vm:run()
    t.eq({ e.imm, cpu.esr_el1, cpu.far_el1, cpu.elr_el1 },
        { 0x104, 0x96000010, 0xdead0, 0x1004 })
    t.raises(function() cpu:inject { vector = 1 } end, "unknown field")
    t.raises(function() cpu:inject {} end, "syndrome: an integer expected")
end)

on("the interrupt line waits until the guest lets it in", function(open)
    local vm, cpu = with_vectors(open, [[
        mov   x3, #1
        hvc   #0
        mov   x3, #2
        msr   daifclr, #2
        mov   x3, #3
        hvc   #0
    ]])
    t.eq(vm:run().imm, 0)
    cpu:irq(true)
    local e = vm:run()
    t.eq({ e.imm, cpu.x3 }, { 0x105, 2 })
    cpu:irq(false)
    e = vm:run()
    t.eq({ e.imm, cpu.x3 }, { 0, 3 })
    t.raises(function() cpu:irq(1) end, "boolean expected")
end)

on("the virtual timer", function(open)
    local vm, cpu = with_vectors(open, [[
        mov   x3, #0
        mrs   x1, cntvct_el0
        add   x1, x1, #0x10000
        msr   cntv_cval_el0, x1
        mov   x1, #1
        msr   cntv_ctl_el0, x1
spin:   add   x3, x3, #1
        cbz   x4, spin
        mrs   x5, cntv_ctl_el0
        hvc   #0
    ]])
    local e = vm:run { timeout = 20 }
    t.eq(e.kind, "timer")
    t.ok(cpu.x3 > 0)
    t.eq(vm:run { timeout = 0.05 }.kind, "timeout", "once for each programming")
    cpu.x4 = 1
    t.eq(vm:run { timeout = 20 }.imm, 0)
    t.eq(cpu.x5 & 7, 5, "enabled, and its condition holds")
end)

-- ---- the MMU -------------------------------------------------------------------

-- 4 KiB granule, 39 bits, level 1 at 0x10000: the first 2 MiB by pages, identity
-- but for 0x40000 -> 0x50000; the device at its place; one page not accessed yet.
local MMU_ON = [[
        msr   ttbr0_el1, x20
        msr   tcr_el1, x21
        msr   mair_el1, x22
        isb
        tlbi  vmalle1
        mrs   x23, sctlr_el1
        orr   x23, x23, #1
        msr   sctlr_el1, x23
        isb
]]

local function with_mmu(open, code, registers)
    local all = { x20 = 0x10000, x21 = 25 | 1 << 23 | 3 << 12 | 1 << 8 | 1 << 10,
        x22 = 0xff }
    for k, v in pairs(registers or {}) do
        all[k] = v
    end
    local vm, cpu = with_vectors(open, MMU_ON .. code, all)
    vm:u64(0x10000, 0x11003)
    vm:u64(0x11000, 0x12003)
    vm:u64(0x11000 + 8, DEVICE | 0x701)                -- 2 MiB block
    for page = 0, 511 do
        vm:u64(0x12000 + 8 * page, page << 12 | 0x703)
    end
    vm:u64(0x12000 + 8 * 0x40, 0x50000 | 0x703)
    vm:u64(0x12000 + 8 * 0x41, 0)                      -- translation fault
    vm:u64(0x12000 + 8 * 0x42, 0x42000 | 0x303)        -- access flag fault
    vm:u64(0x12000 + 8 * 0x43, 0x43000 | 0x783)        -- read-only
    return vm, cpu
end

on("translated loads, stores and code", function(open)
    local vm, cpu = with_mmu(open, [[
        mov   x1, #0x40000
        ldr   x2, [x1]
        str   x2, [x1, #8]
        mov   x4, #0x40000
        add   x4, x4, #0x100
        br    x4
    ]])
    vm:u64(0x50000, 0x1234)
    vm:u32(0x50100, 0xd4000042 | 0x77 << 5) -- hvc #0x77 | 2
    vm:load(0x50100, require("hv").asm "hvc #0x77")
    vm:load(0x40100, require("hv").asm "hvc #0x11") -- not what is executed
    local e = vm:run()
    t.eq({ e.kind, e.imm, cpu.x2, vm:u64(0x50008), cpu.pc },
        { "hvc", 0x77, 0x1234, 0x1234, 0x40104 })
    t.eq(cpu:translate(0x40100), 0x50100)
end)

on("translated mmio has the physical address", function(open)
    local vm, cpu = with_mmu(open, "mov x1, #0x200000\n ldr w2, [x1, #8]\n hvc #0")
    local log = device(vm, 3)
    t.eq(vm:run().kind, "hvc")
    t.eq({ log, cpu.x2 }, { { { "r", 8, 4 } }, 3 })
end)

on("translation, access flag and permission faults", function(open)
    for _, case in ipairs {
        { "ldr x2, [x1]", 0x41008, 0x96000007 }, { "str x2, [x1]", 0x41008, 0x96000047 },
        { "ldr x2, [x1]", 0x42000, 0x9600000b }, { "str x2, [x1]", 0x43010, 0x9600004f },
        { "br x1", 0x41000, 0x86000007 },
    } do
        local vm, cpu = with_mmu(open, case[1] .. "\n hvc #0", { x1 = case[2] })
        local e = vm:run()
        t.eq({ e.imm, cpu.esr_el1, cpu.far_el1 }, { 0x104, case[3], case[2] }, case[1])
    end
end)

on("a handler that mends the page, and eret to the instruction", function(open)
    local vm, cpu = with_mmu(open, "ldr x2, [x1]\n hvc #0", { x1 = 0x41008 })
    vm:u64(0x60008, 0xabc)
    vm:on("hvc", function(c, e)
        if e.imm == 0x104 then
            vm:u64(0x12000 + 8 * 0x41, 0x60000 | 0x703)
        else
            c:stop(c.x2)
        end
    end)
    t.eq(vm:run { timeout = 10 }.value, 0xabc)
    t.ok(cpu)
end)

on("floating point", function(open)
    local vm, cpu = guest(open, [[
        mov   x0, #(3 << 20)
        msr   cpacr_el1, x0
        isb
        fmov  d0, #1.5
        fmov  d1, #2.0
        fmul  d2, d0, d1
        fcvtzs x2, d2
        hvc   #0
    ]])
    t.eq({ vm:run().kind, cpu.x2 }, { "hvc", 3 })
    t.eq(cpu.v2, string.pack("<dd", 3.0, 0.0))
end)
