-- SPDX-License-Identifier: MIT
-- An arm64 guest one instruction at a time: steps, breakpoints, watchpoints, kicks,
-- and code that changes under it.
local t = ...

local function guest(open, code, registers)
    return t.guest(open, { arm64 = code }, registers)
end

local function on(name, fn)
    t.on("arm64", name, fn)
end

local DEVICE = 0x200000 -- no memory is there

-- ---- debugging ---------------------------------------------------------

on("single steps", function(open)
    local vm, cpu = guest(open, [[
        mov   x2, #1
        add   x2, x2, #1
        b     over
        nop
over:   hvc   #3
        mov   x2, #9
    ]])
    for _, pc in ipairs { 0x1004, 0x1008, 0x1010 } do
        t.eq({ cpu:step().kind, cpu.pc }, { "step", pc })
    end
    t.eq(cpu.x2, 2)
    local e = cpu:step()
    t.eq({ e.kind, e.imm, cpu.pc }, { "hvc", 3, 0x1014 })
    t.eq({ cpu:step().kind, cpu.x2 }, { "step", 9 })
    t.eq(vm.running, false)
end)

on("stepping over mmio completes it first", function(open)
    local vm, cpu = guest(open, "ldr w2, [x1]\n nop\n nop", { x1 = DEVICE })
    t.eq({ cpu:step().kind, cpu.pc }, { "mmio", 0x1004 })
    cpu:answer(6)
    t.eq({ cpu:step().kind, cpu.x2, cpu.pc }, { "step", 6, 0x1008 })
    t.ok(vm)
end)

on("breakpoints stop before the instruction, and let go again", function(open)
    local vm, cpu = guest(open, [[
        mov   x2, #0
loop:   add   x2, x2, #1
        cmp   x2, #5
        b.ne  loop
        hvc   #0
    ]])
    cpu:breakpoint(0x1004)
    for i = 0, 4 do
        local e = vm:run { timeout = 10 }
        t.eq({ e.kind, cpu.pc, cpu.x2 }, { "break", 0x1004, i })
    end
    t.eq(vm:run().kind, "hvc")
    cpu.pc = 0x1000
    cpu:breakpoint(0x1004, false)
    cpu:breakpoint(0x1010)
    t.eq({ vm:run().kind, cpu.x2 }, { "break", 5 })
    cpu:breakpoint(0x1010, false)
    t.eq(vm:run().kind, "hvc")
end)

on("watchpoints", function(open)
    local vm, cpu = guest(open, [[
        mov   x1, #0x4000
        str   x2, [x1, #8]
        ldr   x3, [x1]
        str   x2, [x1]
        strb  w2, [x1, #7]
        hvc   #0
    ]], { x2 = 5 })
    cpu:watchpoint(0x4000, 8, "w")
    local e = vm:run { timeout = 10 }
    t.eq({ e.kind, e.addr & ~7, e.write }, { "watch", 0x4000, true })
    e = vm:run { timeout = 10 }
    t.eq({ e.kind, e.write }, { "watch", true })
    t.eq(vm:run { timeout = 10 }.kind, "hvc")
    t.eq(vm:u64(0x4000), 5 << 56 | 5)
    cpu.pc = 0x1000
    cpu:watchpoint(0x4000, 8, "w", false)
    cpu:watchpoint(0x4000, 4, "r")
    e = vm:run { timeout = 10 }
    t.eq({ e.kind, e.write }, { "watch", false })
    cpu:watchpoint(0x4000, 4, "r", false)
    t.eq(vm:run { timeout = 10 }.kind, "hvc")
    t.eq(cpu.x3, 5 << 56 | 5)
    t.raises(function() cpu:watchpoint(0x4001, 2) end, "at a multiple of that")
    t.raises(function() cpu:watchpoint(0x4000, 3) end, "watch 1, 2, 4 or 8")
    t.raises(function() cpu:watchpoint(0x4000, 8, "x") end, "only the letters rw")
end)

-- ---- code and time -----------------------------------------------------------------

on("breakpoints of the host leave the guest's debug registers as they were", function(open)
    local vm, cpu = guest(open, [[
        mov   x0, #0x1000               // MDSCR_EL1.TDCC
        msr   mdscr_el1, x0
        msr   dbgbvr1_el1, x0
        nop
        nop
        mrs   x2, dbgbvr0_el1
        mrs   x3, mdscr_el1
        hvc   #0
    ]])
    local function register(n, op2, ...)
        return cpu:sysreg(2, 0, 0, n, op2, ...)
    end
    register(0, 4, 0x1234)
    register(0, 5, 0x1e4) -- not enabled
    register(0, 6, 0x5678)
    cpu:breakpoint(0x1010)
    cpu:breakpoint(0x2000)
    cpu:watchpoint(0x3000, 8, "rw")
    for _, kind in ipairs { "break", "step", "hvc" } do
        t.eq((kind == "step" and cpu:step() or vm:run { timeout = 20 }).kind, kind)
        t.eq({ register(0, 4), register(0, 5), register(0, 6), register(1, 4), cpu.mdscr_el1 },
             { 0x1234, 0x1e4, 0x5678, 0x1000, 0x1000 })
    end
    t.eq({ cpu.x2, cpu.x3 }, { 0x1234, 0x1000 })
end)

-- Loops over a store at 0x1004 to x3, and counts in x2.
local function stores(open)
    return guest(open, [[
loop:   add   x2, x2, #1
        str   x2, [x3]
        cmp   x2, x4
        b.ne  loop
        hvc   #0
    ]], { x3 = 0x4000 })
end

on("a breakpoint is stopped at once, whatever else ends the run on the way past it", function(open)
    local vm, cpu = stores(open)
    cpu.x4 = 3
    cpu:breakpoint(0x1004)
    for i = 1, 3 do
        t.eq({ vm:run({ timeout = 10 }).kind, cpu.x2, vm:u64(0x4000) }, { "break", i, i - 1 })
        cpu:kick()
        t.eq({ vm:run({ timeout = 10 }).kind, cpu.x2 }, { "kick", i })
        cpu:kick()
        t.eq({ cpu:enter().kind, cpu.x2 }, { "kick", i })
    end
    t.eq({ vm:run({ timeout = 10 }).kind, vm:u64(0x4000) }, { "hvc", 3 })
end)

on("breakpoints and watchpoints are told once each, with time limits in between", function(open)
    for _, kind in ipairs { "break", "watch" } do
        local vm, cpu = stores(open)
        cpu.x4 = t.fewer(300)
        if kind == "break" then
            cpu:breakpoint(0x1004)
        else
            cpu:watchpoint(0x4000, 8, "w")
        end
        local told, stops = 0, 0
        repeat
            local e = vm:run { timeout = 0.0002 }
            told = told + (e.kind == kind and 1 or 0)
            stops = stops + (e.kind == "timeout" and 1 or 0)
        until e.kind == "hvc" or told > cpu.x2
        t.eq({ told, cpu.x2, vm:u64(0x4000) }, { cpu.x4, cpu.x4, cpu.x4 })
        vm:close()
    end
end)

on("code written by the host is the code that runs", function(open)
    local vm, cpu = guest(open, "again: mov x2, #1\n hvc #0\n b again")
    for i = 1, 50 do
        vm:u32(0x1000, 0xd2800002 | i << 5) -- mov x2, #i
        t.eq({ vm:run().kind, cpu.x2 }, { "hvc", i })
    end
    vm:hypercall(0, function(c)
        vm:u32(0x1000, 0xd2800002 | 99 << 5)
        if c.x2 == 99 then c:stop "seen" end
    end)
    cpu.x0 = 0
    t.eq(vm:run { exits = 10 }.value, "seen")
end)

on("code written where it may not be executed yet is the code that runs", function(open)
    local vm, cpu = guest(open, "hvc #1")
    t.eq(vm:run({ timeout = 20 }).imm, 1)
    vm:protect(0, "rw")
    vm:load(0x1000, "\x42\0\0\xd4") -- hvc #2
    vm:protect(0, "rwx")
    cpu.pc = 0x1000
    t.eq(vm:run({ timeout = 20 }).imm, 2)
end)

on("code written by the guest is the code that runs", function(open)
    local vm, cpu = guest(open, [[
        adr   x1, patch
        mov   x4, #0
next:   mov   w2, #0x0003
        movk  w2, #0xd280, lsl #16
        orr   w2, w2, w4, lsl #5    // mov x3, #x4
        str   w2, [x1]
        dc    cvau, x1
        dsb   ish
        ic    ivau, x1
        dsb   ish
        isb
patch:  mov   x3, #0
        cmp   x3, x4
        b.ne  wrong
        add   x4, x4, #1
        cmp   x4, #200
        b.ne  next
        hvc   #1
wrong:  hvc   #2
    ]])
    local e = vm:run { timeout = 30 }
    t.eq({ e.kind, e.imm, cpu.x4 }, { "hvc", 1, 200 })
end)

on("a kick between two instructions loses nothing", function(open)
    local vm, cpu = guest(open, [[
loop:   add   x2, x2, #1
        add   x3, x3, #1
        ldr   x5, [x1]
        add   x5, x5, #1
        str   x5, [x1]
        cmp   x2, x4
        b.ne  loop
        hvc   #0
    ]], { x1 = 0x4000, x4 = 3000000 })
    local stops = 0
    repeat
        local e = vm:run { timeout = 0.0005 }
        stops = stops + 1
    until e.kind == "hvc"
    t.eq({ cpu.x2, cpu.x3, vm:u64(0x4000) }, { 3000000, 3000000, 3000000 })
    t.ok(stops > 2, "only " .. stops)
end)

on("cache maintenance that EL0 may not do is its fault, also with two vcpus", function(open)
    local vm, cpu = guest(open, "ic ivau, x0\n nop", { cpsr = 0x3c0 }) -- EL0
    vm:load(0x4400, require("hv").asm "hvc #7") -- for exceptions from EL0
    cpu.vbar_el1 = 0x4000
    vm:vcpu { pc = 0x8000 }
    t.eq({ cpu:step().kind, cpu.pc }, { "step", 0x4400 })
    cpu.pc, cpu.cpsr = 0x1000, 0x3c0
    local e = cpu:run { timeout = 10 }
    t.eq({ e.kind, e.imm, cpu.esr_el1 >> 26 }, { "hvc", 7, 0x18 })
end)
