-- SPDX-License-Identifier: MIT
-- The interrupt controller of the host's own.
local t = ...
local hv = require "hv"

local GICD, GICR = 0x8000000, 0x80a0000
local MSI = { at = 0x20000000, first = 64, count = 32 }

-- A machine with a gic, with a frame for messages if asked for, or a skip with the
-- backend's own words for why not.
local function with_gic(open, msi)
    local vm = open { memory = "1M" }
    local ok, gic = pcall(vm.gic, vm, { distributor = GICD, redistributor = GICR, msi = msi })
    if not ok then
        t.ok(gic:find "not on this backend" or gic:find "this macOS is too old", gic)
        t.skip(gic:match "[^:]*:%d+: (.*)" or gic)
    end
    return vm, gic
end

-- Guests that take interrupts: x10 counts them, x11 is the last one's number. What
-- they begin with is in `setup`, then they wait for x10 to become x12.
local TAKER = [[
        adr   x0, vectors
        msr   vbar_el1, x0
        mov   x0, #0xf0
        msr   icc_pmr_el1, x0
        mov   x0, #1
        msr   icc_igrpen1_el1, x0
        isb
        %s
        msr   daifclr, #2
1:      cmp   x10, x12
        b.lo  1b
        hvc   #1
        .balign 2048
vectors:
        .org  vectors + 0x280
        mrs   x11, icc_iar1_el1
        add   x10, x10, #1
        %s
        msr   icc_eoir1_el1, x11
        eret
        .org  vectors + 0x800
]]

local function taker(vm, setup, handle)
    vm:load(0x4000, hv.asm(TAKER:format(setup or "", handle or "")))
    vm:on("hvc", function(cpu, exit) cpu:stop(exit.imm) end)
end

-- Interrupts are enabled by the host: group 1, priority 0x80.
local function enable(gic, intid)
    local word, bit = intid // 32, 1 << intid % 32
    gic.gicd_ctlr = 0x12 -- affinity routing, group 1
    gic["gicd_igroupr" .. word] = gic["gicd_igroupr" .. word] | bit
    gic["gicd_isenabler" .. word] = bit
    gic["gicd_irouter" .. intid] = 0
end

t.on("arm64", "it is made once, before vcpus, and knows where it is", function(open)
    local vm, gic = with_gic(open)
    t.eq(tostring(gic), "gic")
    t.eq(vm:gic(), gic)
    local ranges = gic.ranges
    t.eq({ ranges.distributor.at, ranges.redistributors.at, ranges.msi }, { GICD, GICR, nil })
    t.raises(function() vm:gic { distributor = 0, redistributor = 0 } end,
             "gic: the machine has one")
    t.raises(function() vm:map { at = GICD, size = "64K" } end,
             "overlaps the gic's distributor at 0x8000000")
    vm:load(0x4000, hv.asm "hvc #1")
    local cpu = vm:vcpu { pc = 0x4000 }
    t.eq(cpu.gicr_base, GICR)
    t.raises(function() cpu.gicr_base = 0 end, "gicr_base: it can only be read")
    vm:run()
    t.raises(function() vm:vcpu() end, "vcpu: the machine has a gic, and has run: make its vcpus "
        .. "before that")
    vm:close()
    t.eq(tostring(gic), "gic (closed)")
    t.raises(function() return gic.gicd_ctlr end, "the machine is closed")
    t.raises(function() gic:spi(40, true) end, "the machine is closed")
    vm = open()
    t.eq(vm:gic(), nil)
    t.raises(function() return vm:vcpu().icc_pmr_el1 end, "icc_pmr_el1: needs a gic: vm:gic{}")
    t.raises(function() vm:gic { distributor = GICD, redistributor = GICR } end,
             "the machine has vcpus: make the gic first")
end)

t.on("arm64", "places that it cannot have", function(open)
    with_gic(open):close()
    local function refused(text, options, memory)
        local vm <close> = open(memory and { memory = memory })
        options.distributor = options.distributor or GICD
        options.redistributor = options.redistributor or GICR
        t.raises(function() vm:gic(options) end, text)
        t.eq(vm:gic(), nil)
    end
    refused("distributor: 0x8000800 is no multiple of 0x10000: 0x8000000 and 0x8010000 are",
            { distributor = GICD + 0x800 })
    refused("guest physical addresses end at", { redistributor = 1 << 50 })
    refused("overlaps the distributor", { redistributor = GICD })
    refused("overlaps the memory at 0x0", { distributor = 0x10000 }, "1M")
    refused("gic: msi: 100 interrupts from 1000 on: SPIs are 32 to 1019",
            { msi = { at = MSI.at, first = 1000, count = 100 } })
    refused("gic: msi: count: 0: 1 to 988", { msi = { at = MSI.at, first = 64, count = 0 } })
    refused("gic: msi: first: 2000: interrupts are numbered up to 1019",
            { msi = { at = MSI.at, first = 2000, count = 1 } })
end)

t.on("arm64", "its registers have Arm's names, and no others", function(open)
    local vm, gic = with_gic(open)
    local cpu = vm:vcpu()
    local spi = hv.caps(vm.backend).gic.spi
    local last = spi.first + spi.count - 1
    gic.gicd_isenabler1 = 0xff
    gic.gicd_icenabler1 = 0x0f
    t.eq(gic.gicd_isenabler1, 0xf0)
    gic["gicd_ipriorityr" .. last // 4] = 0x11223344
    t.eq(gic["gicd_ipriorityr" .. last // 4] & 0xf0f0f0f0, 0x10203040)
    gic["gicd_irouter" .. last] = 1
    t.eq(gic["gicd_irouter" .. last], 1)
    cpu.icc_pmr_el1 = 0xf0
    cpu.gicr_isenabler0 = 1 << 27
    t.eq({ cpu.icc_pmr_el1, cpu.gicr_isenabler0 >> 16 }, { 0xf0, 1 << 11 })
    for name, text in pairs {
        gicd_isenabler32 = 'did you mean "gicd_isenabler0"', gicd_irouter31 = "gicd_irouter32",
        gicd_ctrl = 'did you mean "gicd_ctlr"', gicd_ipriorityr01 = "gicd_ipriorityr0",
        gicm_type = "gicm_typer", whatever = "those of vcpus", ["gicd_ctlr\0"] = "zero byte",
        gicd_isenabler = "gicd_isenabler0", ["gicd_isenabler-1"] = "no register",
        ["gicd_isenabler99999999999999999999"] = "no register",
    } do
        t.raises(function() return gic[name] end, text)
        t.raises(function() gic[name] = 0 end, text)
    end
    t.raises(function() return gic[1] end, "a register's name expected, got number")
    t.raises(function() gic.gicd_ctlr = "x" end, "gicd_ctlr")
end)

t.on("arm64", "a shared interrupt gets to the guest, and is level or edge", function(open)
    local vm, gic = with_gic(open)
    taker(vm, nil, "hvc #2")
    local cpu = vm:vcpu { pc = 0x4000, x12 = 3 }
    enable(gic, 40)
    gic:spi(40, true)
    for i = 1, 3 do -- for as long as the line is up
        local exit = vm:run { timeout = 5 }
        t.eq({ exit.kind, exit.value, cpu.x10, cpu.x11 }, { "stop", 2, i, 40 })
    end
    gic:spi(40, false)
    t.eq(vm:run({ timeout = 5 }).value, 1)
    t.raises(function() gic:spi(31, true) end, "gic: spi: 31 is not 32 to 1019")
    t.raises(function() gic:spi(1020, true) end, "interrupts are numbered up to 1019")
    t.raises(function() gic:spi(40) end, "spi: level: a boolean expected, got nothing")
    t.raises(function() cpu:irq(true) end, "this machine has a gic, which drives the line")
end)

t.on("arm64", "a message becomes a shared interrupt, once", function(open)
    local vm, gic = with_gic(open, MSI)
    taker(vm)
    local cpu = vm:vcpu { pc = 0x4000, x12 = 2 }
    t.eq({ gic.ranges.msi.at, gic.gicm_typer >> 16 }, { MSI.at, MSI.first })
    enable(gic, 70)
    gic.gicd_icfgr4 = 2 << 12 -- 70: edge
    gic:msi(70)
    t.eq(vm:run({ timeout = 0.2 }).kind, "timeout")
    t.eq({ cpu.x10, cpu.x11 }, { 1, 70 })
    gic:msi(70, MSI.at + 0x40)
    t.eq(vm:run({ timeout = 5 }).value, 1)
    t.raises(function() gic:spi(70, true) end, "70 is for messages: use gic:msi()")
    t.raises(function() gic:msi(40) end, "gic: msi: 40 is not 64 to 95")
    t.raises(function() gic:msi(70, MSI.at) end, "HV_BAD_ARGUMENT")
end)

t.on("arm64", "the timers interrupt by themselves: no timer exits", function(open)
    local vm = with_gic(open)
    taker(vm, [[
        mov   x0, #1
        msr   cntv_cval_el0, xzr
        msr   cntv_ctl_el0, x0
    ]], "msr cntv_ctl_el0, xzr")
    vm:on("timer", function() error "a timer exit" end)
    local cpu = vm:vcpu { pc = 0x4000, x12 = 1 }
    cpu.gicr_igroupr0, cpu.gicr_isenabler0 = 1 << 27, 1 << 27
    vm:gic().gicd_ctlr = 0x12
    t.eq(vm:run({ timeout = 5 }).value, 1)
    t.eq(cpu.x11, hv.caps(vm.backend).gic.intid.el1_virtual_timer)
    cpu.cntp_ctl_el0 = 3
    t.eq(cpu.cntp_ctl_el0 & 3, 3)
end)

t.on("arm64", "WFI waits in the host: a kick, and an interrupt, end it", function(open)
    local vm, gic = with_gic(open)
    taker(vm, "wfi", "hvc #2")
    vm:on("wfi", function() error "a wfi exit" end)
    local cpu = vm:vcpu { pc = 0x4000, x12 = 1 }
    t.eq(vm:run({ timeout = 0.1 }).kind, "timeout")
    enable(gic, 33)
    gic:spi(33, true)
    t.eq(vm:run({ timeout = 5 }).value, 2)
    t.eq(cpu.x11, 33)
end)

t.on("arm64", "one vcpu interrupts the other", function(open)
    local vm, gic = with_gic(open)
    taker(vm)
    vm:load(0x8000, hv.asm [[
        mov   x0, #1
        msr   icc_igrpen1_el1, x0
        movz  x1, #0x0300, lsl #16      // SGI 3
        movk  x1, #1                    // to the first
        msr   icc_sgi1r_el1, x1
        isb
1:      wfi
        b     1b
    ]])
    local first = vm:vcpu { pc = 0x4000, x12 = 1 }
    local second = vm:vcpu { pc = 0x8000 }
    t.eq({ first.gicr_base, second.gicr_base }, { GICR, GICR + 0x20000 })
    gic.gicd_ctlr = 0x12
    first.gicr_igroupr0, first.gicr_isenabler0 = 1 << 3, 1 << 3
    t.eq(vm:run({ timeout = 5 }).value, 1)
    t.eq(first.x11, 3)
end)

t.on("arm64", "its state is saved and restored; reset", function(open)
    local vm, gic = with_gic(open)
    vm:vcpu()
    gic.gicd_isenabler2 = 0x1234
    gic.gicd_ipriorityr9 = 0x40404040
    local state = gic:save()
    gic:reset()
    t.eq(gic.gicd_isenabler2, 0)
    gic:restore(state)
    t.eq({ gic.gicd_isenabler2, gic.gicd_ipriorityr9 }, { 0x1234, 0x40404040 })
    vm:close()
    vm, gic = with_gic(open) -- another machine
    vm:vcpu()
    gic:restore(state)
    t.eq(gic.gicd_isenabler2, 0x1234)
    for _, bad in ipairs { "", state:sub(1, -2), ("x"):rep(#state) } do
        t.raises(function() gic:restore(bad) end, "is it from gic:save() of a machine like this?")
    end
    t.eq(gic.gicd_isenabler2, 0x1234)
    t.raises(function() gic:restore(1) end, "what gic:save() gave expected, got number")
end)

t.on("arm64", "its state is restored with vcpus, and before any of them has run", function(open)
    local RAN = "gic: restore: a vcpu of this machine has run: do it before, or in another machine"
    for _, enter in ipairs { "run", "enter", "step" } do
        local vm, gic = with_gic(open)
        vm:load(0x4000, hv.asm "hvc #1\n nop\n b .")
        local cpu = vm:vcpu { pc = 0x4000 }
        vm:vcpu { pc = 0x4008 }
        gic.gicd_isenabler2 = 0x1234
        local state = gic:save()
        gic:restore(state)
        cpu[enter](cpu)
        gic.gicd_isenabler2 = 0x8000
        t.raises(function() gic:restore(state) end, RAN)
        t.eq(gic.gicd_isenabler2, 0x9234)
        gic:reset() -- which does not take back that it has run
        t.raises(function() gic:restore(state) end, RAN)
        t.eq({ gic.gicd_isenabler2, gic:save() ~= state }, { 0, true })
        vm:close()
        vm, gic = with_gic(open)
        t.raises(function() gic:restore(state) end, "gic: restore: make the vcpus first")
        vm:vcpu()
        vm:vcpu()
        gic:reset()
        gic:restore(state)
        t.eq(gic.gicd_isenabler2, 0x1234)
        vm:close()
    end
end)

t.on("arm64", "what was pending in one machine comes in another", function(open)
    local vm, gic = with_gic(open)
    vm:vcpu()
    enable(gic, 40)
    gic.gicd_ispendr1 = 1 << 8
    local state = gic:save()
    vm:close()
    vm, gic = with_gic(open)
    taker(vm, nil, "hvc #2")
    local cpu = vm:vcpu { pc = 0x4000, x12 = 1 }
    gic:restore(state)
    t.eq({ vm:run({ timeout = 5 }).value, cpu.x11 }, { 2, 40 })
end)

t.on("arm64", "guests find their redistributors where gicr_base is", function(open)
    local vm = with_gic(open)
    vm:load(0x4000, hv.asm "ldr x0, [x1, #8]\n hvc #1")
    vm:on("hvc", function(cpu) cpu:stop() end)
    local cpus = { vm:vcpu { pc = 0x4000 }, vm:vcpu { pc = 0x4000 }, vm:vcpu { pc = 0x4000 } }
    for i, cpu in ipairs(cpus) do
        cpu.x1 = cpu.gicr_base
        cpu:run { timeout = 5 }
        t.eq(cpu.x0, cpu.gicr_typer)
        t.eq({ cpu.x0 >> 32, cpu.x0 >> 4 & 1 }, { i - 1, i == #cpus and 1 or 0 })
    end
end)

t.on("arm64", "not in a handler what concerns all of it", function(open)
    local vm, gic = with_gic(open)
    taker(vm, nil, "hvc #2")
    vm:vcpu { pc = 0x4000, x12 = 1 }
    enable(gic, 40)
    vm:on("hvc", function(cpu, exit)
        if exit.imm == 2 then
            for _, method in ipairs { "save", "reset" } do
                t.raises(function() gic[method](gic) end, method .. ": the machine is running")
            end
            gic:spi(40, false)
        else
            cpu:stop(exit.imm)
        end
    end)
    gic:spi(40, true)
    t.eq(vm:run({ timeout = 5 }).value, 1)
end)

t.on("arm64", "what is pending is what was made so, and what lines are", function(open)
    local vm, gic = with_gic(open)
    local cpu = vm:vcpu()
    local bit = 1 << 8 -- of 40
    gic.gicd_ispendr1 = 1
    gic.gicd_ispendr1 = bit
    t.eq({ gic.gicd_ispendr1, gic.gicd_icpendr1 }, { bit | 1, bit | 1 })
    gic.gicd_icpendr1 = 1
    t.eq(gic.gicd_ispendr1, bit)
    gic:spi(40, true)
    gic.gicd_icpendr1 = bit
    t.eq(gic.gicd_ispendr1, bit)
    gic:spi(40, false)
    t.eq({ gic.gicd_ispendr1, gic.gicd_icpendr1 }, { 0, 0 })
    cpu.gicr_ispendr0 = 1 << 20
    t.eq(cpu.gicr_icpendr0, 1 << 20)
    cpu.gicr_icpendr0 = 1 << 20
    t.eq(cpu.gicr_ispendr0, 0)
end)

t.on("arm64", "reset leaves all as it was", function(open)
    local vm, gic = with_gic(open)
    local first, second = vm:vcpu(), vm:vcpu()
    local fresh = gic:save()
    for n = 0, 31 do
        for i, name in ipairs { "igroupr", "isenabler", "ispendr", "isactiver" } do
            pcall(function() gic[("gicd_%s%d"):format(name, n)] = 0x10204081 << i end)
        end
    end
    gic.gicd_ctlr, gic.gicd_icfgr4, gic.gicd_ipriorityr30 = 0x12, 2 << 12, 0x40404040
    gic.gicd_irouter99 = 1
    first.gicr_igroupr0, second.gicr_isenabler0, second.gicr_ispendr0 = 0x123, 1 << 20, 1 << 21
    first.gicr_isactiver0, second.gicr_ipriorityr7, first.gicr_icenabler0 = 1 << 22, 0x80, 0xf
    t.ok(gic:save() ~= fresh)
    gic:reset()
    t.ok(gic:save() == fresh)
end)

t.on("arm64", "registers and lines from a handler, while another vcpu runs", function(open)
    local vm, gic = with_gic(open)
    taker(vm, nil, "hvc #2")
    vm:load(0x8000, hv.asm "1: hvc #3\n b 1b")
    local count, busy = 0, vm:vcpu { pc = 0x4000, x12 = 1 }
    local other = vm:vcpu { pc = 0x8000 }
    enable(gic, 40)
    vm:on("hvc", function(cpu, exit)
        if exit.imm == 3 then
            count = count + 1
            gic.gicd_ipriorityr10 = count & 0xff
            t.eq(gic.gicd_ipriorityr10 & 0xf0, count & 0xf0)
            other.icc_pmr_el1 = 0x80
            t.eq(other.icc_pmr_el1, 0x80)
            gic:spi(40, count >= 50)
        else
            gic:spi(40, false)
            cpu:stop(exit.imm)
        end
    end)
    t.eq(vm:run({ timeout = 20 }).value, 2)
    t.eq({ busy.x11, count >= 50 }, { 40, true })
end)

t.on("arm64", "what the kernel has of it and what not", function(open, backend)
    if backend ~= "kvm" then
        t.skip("about kvm, not " .. backend)
    end
    local vm, gic = with_gic(open)
    for _, use in ipairs { function() gic.gicd_ctlr = 0 end, function() gic:spi(40, true) end,
        function() gic:save() end, function() gic:reset() end } do
        t.raises(use, "kvm: gic: it is the kernel's, which needs to know the vcpus: "
            .. "make them first")
    end
    local cpu = vm:vcpu()
    vm:vcpu() -- for as long as none of these were used
    t.eq(gic.gicd_typer & 0x1f, 992 // 32 - 1)
    t.raises(function() vm:vcpu() end, "kvm: make a vcpu: the gic is in use")
    t.raises(function() gic:spi(992, true) end, "kvm: gic: spi: 992: this kernel has 32 to 991")
    gic.gicd_irouter1000 = 1 -- of none
    t.eq(gic.gicd_irouter1000, 0)
    t.raises(function() return gic.gicm_typer end, "this kernel has no frame for messages")
    t.raises(function() return cpu.icc_rpr_el1 end, "icc_rpr_el1: this kernel does not have it")
    t.raises(function() return cpu.icv_pmr_el1 end, "not on this backend")
    t.raises(function() vm:gic { distributor = GICD, redistributor = GICR } end, "has one")
    t.raises(function()
        open():gic { distributor = GICD, redistributor = GICR, msi = MSI }
    end, "kvm: gic: msi: not on this backend: the kernel's messages need an ITS: leave it out")
end)

t.on("elsewhere it says which backend has one", function(open, backend, arch)
    if hv.caps(backend, arch).gic then
        t.skip(backend .. " has one")
    end
    local vm = open()
    t.raises(function() vm:gic { distributor = 0, redistributor = 0 } end,
             "gic: not on this backend with " .. vm.arch .. " guests: it is on hvf")
    t.eq(vm:gic(), nil)
end)
