-- SPDX-License-Identifier: MIT
-- What is Hypervisor.framework's alone; tests/hvf_coverage.lua has each function,
-- tests/gic.lua the interrupt controller.
local t = ...
local hv = require "hv"

-- A test for backend hvf.
local function on(name, fn)
    t.on("arm64", name, function(open, backend)
        if backend ~= "hvf" then
            t.skip(backend .. " has no such choice")
        end
        fn(open)
    end)
end

-- Has this macOS no such function?
local function lacks(name)
    return (hv.caps("hvf").missing or {})[name] ~= nil
end

on("addresses are as wide as this machine has them, or as said", function(open)
    local most = hv.caps("hvf").ipa_size.max
    local vm = open()
    t.eq(vm.ipa_size, most)
    local last = (1 << most) - vm.page_size
    vm:map { at = last, size = vm.page_size }
    t.raises(function() vm:map { at = 1 << most, size = vm.page_size } end,
             ("map: 0x%x-0x%x: guest physical addresses have %d bits in this machine: they "
             .. "end at 0x%x"):format(1 << most, (1 << most) + vm.page_size - 1, most,
                                      (1 << most) - 1))
    vm:close()
    vm = open { ipa_size = 36 }
    t.eq(vm.ipa_size, 36)
    t.raises(function() vm:map { at = 1 << 36, size = vm.page_size } end, "have 36 bits")
    vm:close()
    t.raises(function() open { ipa_size = most + 1 } end, lacks "hv_vm_config_set_ipa_size"
        and "ipa_size: more than 36: this macOS is too old"
        or ("ipa_size: %d: guest physical addresses have at most %d bits"):format(most + 1, most))
end)

on("pages of 4 KiB", function(open)
    if not hv.caps("hvf").ipa_granule then
        t.skip "came with macOS 26"
    end
    local vm = open { ipa_granule = "4K" }
    t.eq(vm.page_size, 4096)
    vm:map { at = 0x1000, size = 4096, prot = "rx" }
    vm:map { at = 0x2000, size = 4096, prot = "rw" }
    vm:load(0x1000, hv.asm [[
        mov   x0, #0x2000
        str   x0, [x0]
        mov   x1, #0x1000
        str   x0, [x1]
    ]])
    vm:vcpu { pc = 0x1000 }
    local exit = vm:run()
    t.eq({ exit.kind, exit.addr, vm:u64(0x2000) }, { "mmio", 0x1000, 0x2000 })
    vm:close()
    vm = open { ipa_granule = "16K" }
    t.raises(function() vm:map { at = 0x1000, size = 4096 } end,
             "the pages around are at 0x0, size 0x4000")
end)

on("a guest with EL2: its own HVC, the host's SMC", function(open)
    if not hv.caps("hvf").el2 then
        t.skip "this processor has none to give"
    end
    local vm = open { el2 = true, memory = "1M" }
    vm:load(0x4000, hv.asm [[
        adr   x0, el2
        msr   vbar_el2, x0
        mrs   x9, currentel
        mov   x8, sp
        adr   x0, below
        msr   elr_el2, x0
        mov   x0, #0x3c5
        msr   spsr_el2, x0
        mov   x0, #1 << 31              // HCR_EL2.RW
        msr   hcr_el2, x0
        eret
below:  mov   x1, #5
        hvc   #7
        .balign 2048
el2:    .org  el2 + 0x400
        mrs   x2, esr_el2
        smc   #9
        .org  el2 + 0x800
    ]])
    local cpu = vm:vcpu { pc = 0x4000, sp = 0x8000 }
    t.eq({ vm.el2, cpu.cpsr, cpu.sp_el2, cpu.sp_el1 }, { true, 0x3c9, 0x8000, 0 })
    vm:on("hvc", function() error "the host's" end)
    local exit = vm:run { timeout = 20 }
    t.eq({ exit.kind, exit.imm }, { "smc", 9 })
    t.eq({ cpu.x9, cpu.x8, cpu.x1, cpu.x2, cpu.hcr_el2, cpu.esr_el2 },
         { 8, 0x8000, 5, 0x5a000007, 1 << 31, 0x5a000007 })
    t.raises(function() return cpu.svcr end, lacks "hv_vcpu_get_sme_state"
        and "svcr: this macOS is too old" or "svcr: needs SME")
    for _, mode in ipairs { 0x3c0, 0x3c4, 0x3c5, 0x3c8, 0x3c9 } do
        cpu.cpsr = mode
        t.eq(cpu.cpsr, mode)
    end
    t.raises(function() cpu.cpsr = 0x3cd end, "cpsr: mode 0xd: use 0 (EL0t), 4 (EL1t) or 5 "
        .. "(EL1h), 8 (EL2t) or 9 (EL2h)")
    vm:close()
    local other = open():vcpu()
    t.raises(function() return other.hcr_el2 end, "hcr_el2: needs EL2: hv.vm { el2 = true }")
    t.raises(function() other.sp_el2 = 0 end, "sp_el2: needs EL2")
    t.raises(function() return other.cntp_ctl_el0 end, "cntp_ctl_el0: needs a gic")
end)

on("a guest at EL2 uses a device, whatever the tables of EL1 are", function(open)
    if not hv.caps("hvf").el2 then
        t.skip "this processor has none to give"
    end
    local vm = open { el2 = true, memory = "1M" }
    vm:map { at = 0x40000000, size = "64K" }
    vm:load(0x4000, hv.asm "str w2, [x3]\n stp x4, x5, [x3]\n smc #1")
    vm:load(0x40004000, hv.asm "str x4, [x5]\n str x4, [x5]")
    vm:u64(0x8000, 0x40000401) -- a block of 1 GiB that is elsewhere
    local cpu = vm:vcpu { pc = 0x4000, x2 = 0x22, x3 = 0x20000000, x4 = 4, x5 = 5 }
    cpu.ttbr0_el1, cpu.tcr_el1, cpu.sctlr_el1 = 0x8000, 25, cpu.sctlr_el1 | 1
    local seen = {}
    vm:on("mmio", function(_, exit)
        seen[#seen + 1] = { exit.addr, exit.size, exit.value }
    end)
    t.eq(vm:run({ timeout = 20 }).kind, "smc")
    t.eq(seen, { { 0x20000000, 4, 0x22 }, { 0x20000000, 8, 4 }, { 0x20000008, 8, 5 } })
end)

on("a guest with EL2 is stepped, broken into and watched at each level", function(open)
    if not hv.caps("hvf").el2 then
        t.skip "this processor has none to give"
    end
    local vm = open { el2 = true, memory = "1M" }
    vm:load(0x4000, hv.asm [[
        mov   x1, #1
        hvc   #7
        str   x1, [x3]
        b     .
        .balign 2048
el2:    .org  el2 + 0x400
        mov   x2, #2
        eret
        .org  el2 + 0x800
    ]])
    local cpu = vm:vcpu { pc = 0x4000, cpsr = 0x3c5, vbar_el2 = 0x4800, x3 = 0x8000 }
    cpu.hcr_el2 = 1 << 31
    local function expect(exit, kind, pc, cpsr)
        t.eq({ exit.kind, cpu.pc, cpu.cpsr & 0x3df }, { kind, pc, cpsr })
    end
    expect(cpu:step(), "step", 0x4004, 0x3c5)
    expect(cpu:step(), "step", 0x4c00, 0x3c9)
    expect(cpu:step(), "step", 0x4c04, 0x3c9)
    expect(cpu:step(), "step", 0x4008, 0x3c5)
    t.eq({ cpu.x1, cpu.x2 }, { 1, 2 })
    cpu.pc = 0x4000
    cpu:breakpoint(0x4004)
    cpu:breakpoint(0x4c00)
    cpu:watchpoint(0x8000, 8, "w")
    expect(vm:run { timeout = 20 }, "break", 0x4004, 0x3c5)
    expect(vm:run { timeout = 20 }, "break", 0x4c00, 0x3c9)
    expect(vm:run { timeout = 20 }, "watch", 0x400c, 0x3c5)
    t.eq(vm:u64(0x8000), 1)
end)

on("on the way past a breakpoint the timer fires once, and an interrupt waits", function(open)
    local vm, cpu = t.guest(open, { arm64 = [[
        nop
        add   x2, x2, #1
        hvc   #1
    ]] })
    vm:load(0x4280, hv.asm "mov x3, x2\n hvc #2")
    cpu.vbar_el1 = 0x4000
    cpu:breakpoint(0x1004)
    t.eq({ vm:run({ timeout = 20 }).kind, cpu.pc }, { "break", 0x1004 })
    cpu.cntv_cval_el0, cpu.cntv_ctl_el0 = 0, 1
    t.eq({ vm:run({ timeout = 20 }).kind, cpu.pc, cpu.x2 }, { "timer", 0x1004, 0 })
    cpu.cpsr = 0x345 -- IRQ is not masked
    cpu:irq(true)
    local exit = vm:run { timeout = 20 }
    t.eq({ exit.kind, exit.imm, cpu.x3, cpu.elr_el1 }, { "hvc", 2, 1, 0x1008 })
end)

on("SME: vectors and matrices, on and off", function(open)
    local sme = hv.caps("hvf").sme
    if not sme then
        t.skip "this processor has none"
    end
    local vm = open { memory = "64K" }
    local cpu, n = vm:vcpu(), sme.svl
    t.eq(cpu.svcr, 0)
    for name, size in pairs { z0 = n, z31 = n, p0 = n // 8, p15 = n // 8, za = n * n, zt0 = 64 } do
        local which = name:find "^z[at]" and "ZA is off: it is bit 1" or "streaming mode is off"
        t.raises(function() return cpu[name] end, which)
        cpu.svcr = 3
        local value = (name .. "."):rep(size):sub(1, size)
        cpu[name] = value
        t.eq(cpu[name], value)
        t.raises(function() cpu[name] = value .. "x" end,
                 ("%s: has %d bytes, got %d"):format(name, size, size + 1))
        t.raises(function() cpu[name] = 1 end, name .. ": a string of bytes expected, got number")
        t.eq(cpu[name], value)
        cpu.svcr = 0
        cpu.svcr = 3
        t.eq(cpu[name], ("\0"):rep(size), "switched off, it is gone")
        cpu.svcr = 0
    end
    t.raises(function() cpu.svcr = 4 end, "svcr: it has bits 0")
    vm:close()
    vm = open { memory = "64K" }
    cpu = vm:vcpu { svcr = 1, z3 = ("z"):rep(n) }
    t.eq(cpu.z3, ("z"):rep(n))
end)

on("time in the guest", function(open)
    local vm, cpu = t.guest(open, { arm64 = [[
        hvc   #0
        b     .
    ]] })
    vm:run()
    local before = cpu.exec_time
    t.eq(vm:run({ timeout = 0.05 }).kind, "timeout")
    local after = cpu.exec_time
    t.ok(after - before > 1000000 and after - before < 20 * 1000000000, after - before)
    t.raises(function() cpu.exec_time = 0 end, "exec_time: it can only be read")
end)

on("ID registers as the guest is to see them", function(open)
    local vm, cpu = t.guest(open, { arm64 = [[
        mrs   x1, id_aa64pfr1_el1
        hvc   #0
    ]] })
    local features = hv.caps("hvf").features
    t.eq(cpu.id_aa64pfr1_el1, features.id_aa64pfr1_el1)
    t.eq({ cpu.ctr_el0, cpu.clidr_el1, cpu.dczid_el0 },
         { features.ctr_el0, features.clidr_el1, features.dczid_el0 })
    cpu.id_aa64pfr1_el1 = features.id_aa64pfr1_el1 & ~(15 << 24) -- without SME
    vm:run()
    t.eq(cpu.x1, features.id_aa64pfr1_el1 & ~(15 << 24))
end)

on("one machine in a process, and more by hv.spawn", function(open)
    local vm = open { memory = "64K" }
    t.raises(function() open() end, "hvf: a process has one machine at a time: close the "
        .. "other one, or make this one with hv.spawn")
    vm:write(0, "mine")
    local worker <close> = hv.spawn(function()
        local own <close> = require "hv".vm { backend = "hvf", memory = "64K" }
        own:write(0, "its")
        return own:read(0, 3)
    end)
    t.eq(worker:wait(20).results[1], "its")
    t.eq(vm:read(0, 4), "mine")
    vm:close()
    open()
end)

-- ---- where there can be no machine: the double is such a Mac ------------------

local function with(switch, ...)
    if not (t.double and pcall(hv.caps, "hvf")) then
        t.skip "needs the double of Hypervisor.framework: make HVF=fake"
    end
    return t.run { "env", switch, t.hvlua, ... }
end

on("a step over a debug register that this chip has not ends at the guest's vector", function(open)
    local vm = open()
    vm:map { at = 0x10000, size = vm.page_size }
    vm:load(0x10000, hv.asm "msr dbgbvr15_el1, x0")
    local cpu = vm:vcpu { pc = 0x10000, vbar_el1 = 0x10000 }
    t.eq({ cpu:step().kind, cpu.pc, cpu.esr_el1 >> 26 }, { "step", 0x10200, 0 })
    cpu.pc, cpu.trap_debug_registers = 0x10000, true
    t.eq({ cpu:step().kind, cpu.pc, cpu.elr_el1 }, { "step", 0x10200, 0x10000 })
end)

t.test("without the entitlement: the command that signs, and status 1", function()
    local status, out, err = with("FAKE_HV_ENTITLED=0", "--backend=hvf",
                                  t.folder .. "/scripts/demos/hello.lua")
    t.eq({ status, out }, { 1, "" })
    t.ok(err:find("HV_DENIED", 1, true) and err:find("`codesign --sign - --force "
        .. "--entitlements entitlements.plist ./hvlua`", 1, true), err)
end)

t.test("inside a virtual machine, and under Rosetta: which of them, and unicorn instead", function()
    for switch, why in pairs {
        ["FAKE_HV_INSIDE_VM=1"] = "this macOS runs inside a virtual machine that does not "
            .. 'offer virtualization: use backend "unicorn"',
        ["FAKE_HV_TRANSLATED=1"] = "this program runs under Rosetta: build it for arm64",
    } do
        local status, out, err = with(switch, "--backend=hvf", "-e", "require 'hv'.vm()")
        t.eq({ status, out }, { 1, "" })
        t.ok(err:find("hvf: " .. why, 1, true), err)
        status, out = with(switch, "-e", "print(require 'hv'.vm().backend)")
        t.eq({ status, out }, { 0, "unicorn\n" })
    end
end)

t.test("what fails around an entry is the run's error", function()
    for name, case in pairs {
        hv_vcpu_set_vtimer_mask = { "vtimer_mask", [[
            cpu.cntv_cval_el0, cpu.cntv_ctl_el0 = 0, 1
            assert(vm:run().kind == "timer")
            cpu.cntv_ctl_el0 = 0
        ]] },
        hv_vcpu_set_trap_debug_reg_accesses = { "debug", "cpu:breakpoint(16)" },
    } do
        local status, out, err = with(("FAKE_HV_FAIL=%s=0xfae94001"):format(name), "-e", [[
            local hv = require "hv"
            local vm = hv.vm { backend = "hvf", memory = "64K" }
            vm:load(0, hv.asm "hvc #0")
            local cpu = vm:vcpu { pc = 0 }
        ]] .. case[2] .. [[
            for _ = 1, 2 do -- as often as it fails
                print(select(2, pcall(vm.run, vm)))
            end
            print(cpu.pc, cpu.mdscr_el1, cpu.trap_debug)]])
        local why = "hvf: " .. case[1] .. ": HV_ERROR: the framework does not say why\n"
        t.eq({ status, out, err }, { 0, why .. why .. "0\t0\tfalse\n", "" })
    end
end)

t.test("each error of the framework's in words", function()
    local words = {
        [0xfae94001] = "HV_ERROR: ", [0xfae94002] = "one machine at a time",
        [0xfae94003] = "HV_BAD_ARGUMENT: ", [0xfae94004] = "HV_ILLEGAL_GUEST_STATE: ",
        [0xfae94005] = "HV_NO_RESOURCES: ", [0xfae94006] = "HV_NO_DEVICE: ",
        [0xfae94007] = "HV_DENIED: ", [0xfae94008] = "HV_EXISTS: ",
        [0xfae9400f] = "HV_UNSUPPORTED: some macOS say so of a program without the "
            .. "entitlement: `codesign",
        [0xfae94fff] = "hvf: machine: error 0xfae94fff",
    }
    for code, word in pairs(words) do
        local status, _, err = with(("FAKE_HV_FAIL=hv_vm_create=0x%x"):format(code),
                                    "-e", "require 'hv'.vm { backend = 'hvf' }")
        t.eq(status, 1)
        t.ok(err:find(word, 1, true), err)
    end
end)
