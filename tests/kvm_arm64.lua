-- SPDX-License-Identifier: MIT
-- What arm64 guests of kvm meet that others do not: exits that KVM does not make, and
-- calls that its kernel answers.
local t = ...
local hv = require "hv"

local BELL = 0x200000

-- Guests that end by a store to the doorbell: so these run on every kernel.
local function on(name, fn)
    t.on("arm64", name, function(open, backend)
        if backend ~= "kvm" then
            t.skip("about kvm, not " .. backend)
        end
        fn(function(code, registers)
            local vm, cpu = t.guest(open, { arm64 = code }, registers)
            vm:hypercall { via = "mmio", at = BELL }
            return vm, cpu
        end)
    end)
end

-- A store to the doorbell: hypercall x0.
local RING = "\n mov x9, #0x200000\n str x0, [x9]\n"

on("a wfi that waits leaves the guest, behind it", function(guest)
    local vm, cpu = guest("wfi\n mov x0, #3" .. RING)
    local e = vm:run { timeout = 20 }
    t.eq({ e.kind, e.ec, cpu.pc }, { "wfi", 1, 0x1004 })
    e = vm:run { timeout = 20 }
    t.eq({ e.kind, e.nr }, { "hvc", 3 })
end)

on("a wfi with an interrupt at hand does not wait", function(guest)
    local vm, cpu = guest("wfi\n mov x0, #4" .. RING)
    cpu:irq(true)
    local e = vm:run { timeout = 20 }
    t.eq({ e.kind, e.nr }, { "hvc", 4 })
end)

on("of two vcpus the one that waits is told, and the other goes on", function(guest)
    local vm = guest("wfi\n wfi\n b .-8")
    local count = 0
    local second = vm:vcpu { pc = 0x3000, sp = 0x7000 }
    vm:load(0x3000, hv.asm "add x1, x1, #1\n b .-4")
    vm:on("wfi", function(cpu)
        t.eq(cpu.index, 0)
        count = count + 1
        if count == 3 then
            cpu:stop "three"
        end
    end)
    t.eq(vm:run { timeout = 20 }.value, "three")
    t.ok(second.x1 > 0)
end)

on("system registers that nobody has are undefined", function(guest)
    local vm, cpu = guest("mrs x2, s3_0_c15_c2_1\n nop", { vbar_el1 = 0x8000 })
    vm:load(0x8200, hv.asm("mrs x1, esr_el1\n mrs x2, elr_el1\n mov x0, #9" .. RING))
    local e = vm:run { timeout = 20 }
    t.eq({ e.kind, e.nr, cpu.x1, cpu.x2 }, { "hvc", 9, 0x02000000, 0x1000 })
end)

on("a guest whose vector is nowhere, or no code, is told", function(guest)
    for _, vbar in ipairs { 0x40000000, 0x8000 } do
        local vm, cpu = guest("udf #0", { vbar_el1 = vbar })
        local e = vm:run { timeout = 20 }
        t.eq({ e.kind, e.vector, cpu.pc }, { "fault", 0x200, vbar + 0x200 })
        t.ok(e.why:find(("VBAR_EL1 = 0x%x"):format(vbar), 1, true), e.why)
        -- mended, it goes on
        if vbar == 0x8000 then
            vm:load(0x8200, hv.asm("mov x0, #5" .. RING))
            e = vm:run { timeout = 20 }
            t.eq({ e.kind, e.nr }, { "hvc", 5 })
        end
    end
end)

on("an endless guest is not taken for a hopeless one", function(guest)
    local vm = guest("add x1, x1, #1\n b .-4")
    t.eq(vm:run { timeout = 0.3 }.kind, "timeout")
end)

-- By its bytes, as it is about what becomes of it where the kernel keeps it.
local HVC = "\x02\0\0\xd4"

on("psci: who answers it", function(guest)
    local vm, cpu = guest("nop\n mov x5, #6\n mov x0, #8" .. RING, { x0 = 0x84000008 })
    vm:load(0x1000, HVC)
    local e = vm:run { timeout = 20 }
    if e.kind == "hvc" then
        t.eq({ e.nr, cpu.pc }, { 0x84000008, 0x1004 })
    else
        t.eq({ e.kind, e.why }, { "shutdown", "the guest powered itself off" })
    end
    e = vm:run { timeout = 20 }
    t.eq({ e.kind, e.nr, cpu.x5 }, { "hvc", 8, 6 }, "it can be run again")
end)

on("calls of the architecture are the kernel's", function(guest)
    local vm, cpu = guest("nop\n mov x5, x0\n mov x0, #8" .. RING, { x0 = 0x80000000 })
    vm:load(0x1000, HVC) -- SMCCC_VERSION
    local e = vm:run { timeout = 20 }
    t.eq({ e.kind, e.nr }, { "hvc", 8 })
    t.ok(cpu.x5 >= 0x10001, ("version 0x%x"):format(cpu.x5))
end)

on("a read's registers are those behind it, and the answer comes last", function(guest)
    local vm, cpu = guest("ldr x2, [x1]\n mov x3, x2\n mov x0, #1" .. RING,
        { x1 = 0x300000, x2 = 7 })
    vm:on("mmio", function(c)
        t.eq(c.pc, 0x1004)
        c.x2, c.x5 = 1, 2
        return 3
    end)
    t.eq(vm:run { timeout = 20 }.nr, 1)
    t.eq({ cpu.x2, cpu.x3, cpu.x5 }, { 3, 3, 2 })
end)

on("a PC written in the midst of an access holds", function(guest)
    local vm, cpu = guest("ldr x2, [x1]\n mov x0, #1" .. RING .. "nop\n mov x0, #2" .. RING,
        { x1 = 0x300000 })
    vm:on("mmio", function(c)
        c.pc = 0x1014
        return 3
    end)
    local e = vm:run { timeout = 20 }
    t.eq({ e.kind, e.nr, cpu.x2 }, { "hvc", 2, 3 })
    cpu.pc = 0x1000
    e = cpu:enter()
    cpu:answer(9)
    t.eq({ e.kind, cpu.x2, cpu.pc }, { "mmio", 9, 0x1004 })
end)
