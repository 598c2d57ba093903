-- SPDX-License-Identifier: MIT
-- arm64's virtual timer: it fires once for each time it is set to.
local t = ...

local function kinds(vm)
    local exit = vm:run { timeout = 20 }
    return exit.kind .. " " .. (exit.imm or "")
end

t.on("arm64", "the virtual timer's mask and offset", function(open, backend)
    if backend == "kvm" then
        t.skip "kvm keeps the timer's offset and mask to itself"
    end
    local vm, cpu = t.guest(open, { arm64 = [[
        mrs   x0, cntvct_el0
        hvc   #0
        mov   x1, #1
        msr   cntv_cval_el0, xzr
        msr   cntv_ctl_el0, x1
        movz  x2, #4, lsl #16
1:      subs  x2, x2, #1
        b.ne  1b
        hvc   #1
    ]] })
    local function run()
        local exit = vm:run { timeout = 20 }
        return exit.kind .. " " .. (exit.imm or "")
    end
    cpu.vtimer_offset = 0
    t.eq(run(), "hvc 0")
    local before = cpu.x0
    cpu.vtimer_offset, cpu.pc = before, 0x1000
    t.eq({ cpu.vtimer_offset, run() }, { before, "hvc 0" })
    t.ok(math.ult(cpu.x0, before), "time has not begun anew")
    t.eq(cpu.vtimer_mask, false)
    cpu.vtimer_mask = true
    t.eq(run(), "hvc 1")
    t.eq(cpu.vtimer_mask, true)
    cpu.vtimer_mask = false
    cpu.pc = 0x1008
    t.eq(run(), "timer ")
    t.eq(cpu.vtimer_mask, true)
    t.eq(run(), "hvc 1")
    t.raises(function() cpu.vtimer_mask = 1 end, "vtimer_mask: a boolean expected, got number")
end)


t.on("arm64", "set to a later time without an exit, it fires again", function(open)
    local vm, cpu = t.guest(open, { arm64 = [[
        mov   x1, #1
        msr   cntv_cval_el0, xzr
        msr   cntv_ctl_el0, x1
        isb
        nop                             // the first
        mrs   x2, cntvct_el0
        mrs   x3, cntfrq_el0
        lsr   x3, x3, #6                // 16 ms
        add   x2, x2, x3
        msr   cntv_cval_el0, x2
1:      add   x4, x4, #1
        b     1b
    ]] })
    for _ = 1, 2 do
        t.eq(kinds(vm), "timer ")
    end
    t.ok(cpu.x4 > 0 and not math.ult(cpu.cntv_cval_el0, 2))
    t.eq(vm:run({ timeout = 0.1 }).kind, "timeout") -- and not once more
end)

-- Some time, for who looks now and then: on kvm at each tick of the kernel's, and those
-- of a machine in QEMU come late where its host is busy.
local LONG = os.getenv "HVLUA_NESTED" and 25 or 22

t.on("arm64", "switched off and on again without an exit, it fires again", function(open)
    local vm, cpu = t.guest(open, { arm64 = ([[
        mov   x1, #1
        msr   cntv_cval_el0, xzr
        msr   cntv_ctl_el0, x1
        isb
        nop
        msr   cntv_ctl_el0, xzr
        mov   x5, #1
        lsl   x5, x5, #%d
1:      subs  x5, x5, #1
        b.ne  1b
        msr   cntv_ctl_el0, x1
1:      add   x4, x4, #1
        b     1b
    ]]):format(LONG) })
    t.eq(kinds(vm), "timer ")
    t.eq(cpu.x5, 0)
    t.eq(kinds(vm), "timer ")
    t.eq(cpu.x5, 0)
    t.eq(cpu.cntv_ctl_el0, 5)
    t.eq(vm:run({ timeout = 0.05 }).kind, "timeout")
end)

t.on("arm64", "it runs on while nobody is there, and fires as a run begins", function(open)
    local vm, cpu = t.guest(open, { arm64 = "b ." })
    cpu.cntv_cval_el0 = 0
    t.eq(vm:run({ timeout = 0.01 }).kind, "timeout")
    cpu.cntv_ctl_el0 = 1
    t.eq(kinds(vm), "timer ")
    cpu.cntv_ctl_el0 = 3 -- its interrupt is masked: ISTATUS tells all the same
    t.eq(vm:run({ timeout = 0.01 }).kind, "timeout")
    t.eq(cpu.cntv_ctl_el0, 7)
    cpu.cntv_ctl_el0 = 1
    t.eq(kinds(vm), "timer ")
end)
