-- SPDX-License-Identifier: MIT
-- What backends have, and what is asked of one that does not.
local t = ...
local hv = require "hv"

t.on("what every backend tells of itself", function(open, backend, arch)
    local caps = hv.caps(backend, arch)
    t.eq({ caps.backend, caps.arch }, { backend, arch })
    t.eq(open().page_size, caps.page_size)
    t.ok(caps.vcpus >= 1 and caps.vcpus <= 64, caps.vcpus)
    for _, name in ipairs { "threads", "el2", "gic", "sme" } do
        t.ok(caps[name] ~= nil, name)
    end
    local worker <close> = hv.spawn(function(_, want) -- in a process of its own
        return hv.caps(want.backend, want.arch).vcpus
    end, { backend = backend, arch = arch })
    t.eq(worker:wait(20).results[1], caps.vcpus)
end)

t.test("without a name it is about what hv.vm would take", function()
    for _, b in ipairs(hv.backends()) do
        if b.name == "unicorn" and not b.ok then
            t.skip(b.why)
        end
    end
    local vm <close> = hv.vm()
    t.eq(hv.caps().backend, vm.backend)
    t.eq(hv.caps(nil, "x86_64").arch, "x86_64")
    local status, out = t.run { t.hvlua, "--backend=unicorn", "--arch=x86_64", "-e",
        "local c = require 'hv'.caps() print(c.backend, c.arch)" }
    t.eq({ status, out }, { 0, "unicorn\tx86_64\n" })
    t.raises(function() hv.caps "none" end, "no such backend")
    t.raises(function() hv.caps("unicorn", "arm") end, 'arch: "arm"')
    t.raises(function() hv.caps(1) end, "hv.caps: backend: a string expected, got number")
    t.raises(function() hv.caps("unicorn", "arm64", 1) end, "hv.caps: takes at most 2")
end)

t.test("hvf: the same questions on another Mac", function()
    if not t.double or not pcall(hv.caps, "hvf") then
        t.skip "needs the double of Hypervisor.framework: make HVF=fake"
    end
    local function ask(expression, ...)
        local argv = { "env", "FAKE_HV_MACOS=26.0", ... } -- unless said
        local code = "local c = require 'hv'.caps 'hvf' print(" .. expression .. ")"
        table.move({ t.hvlua, "-e", code }, 1, 3, #argv + 1, argv)
        local status, out, err = t.run(argv)
        t.eq({ status, err }, { 0, "" })
        return (out:gsub("\n$", ""))
    end
    t.eq(ask("c.macos, c.ipa_size.default, c.ipa_size.max, c.el2, c.sme", "FAKE_HV_CHIP=m1"),
         "26.0\t36\t36\tfalse\tfalse")
    t.eq(ask("c.ipa_size.max, c.el2, c.sme", "FAKE_HV_CHIP=m3"), "40\ttrue\tfalse")
    t.eq(ask("c.sme.svl, #c.ccsidr.data, c.missing", "FAKE_HV_CHIP=m4"), "64\t8\tnil")
    t.eq(ask("c.missing.hv_vm_allocate, c.missing.hv_gic_create, "
        .. "c.missing.hv_vcpu_get_sme_state, c.missing.hv_vm_create, c.gic",
             "FAKE_HV_MACOS=12.0"), "12.1\t15.0\t15.2\tnil\tfalse")
    t.eq(ask("c.vcpus", "FAKE_HV_MAX_VCPUS=4"), "4")
    t.eq(ask("c.gic", "FAKE_HV_ENTITLED=0"), "true") -- its measures need a machine
    t.eq(ask("c.features.id_aa64smfr0_el1, c.ipa_granule", "FAKE_HV_MACOS=15.0"), "nil\tfalse")
end)

t.on("choices that only some have", function(open, backend, arch)
    if backend == "hvf" then
        t.skip "hvf has them"
    end
    for option, value in pairs { ipa_size = 40, ipa_granule = "4K", el2 = true } do
        t.raises(function() open { [option] = value } end, ("%s: %s: not on this backend "
            .. "with %s guests: it is on hvf"):format(backend, option, arch))
    end
    local vm = open { el2 = false }
    t.raises(function() return vm.el2 end, "not on this backend")
    t.raises(function() return vm.ipa_size end, "not on this backend")
    if arch == "arm64" then
        local cpu, values = vm:vcpu(), { za = "x", z0 = "x", icv_pmr_el1 = 0, exec_time = 0 }
        if backend ~= "kvm" then -- which has these with a gic
            values.gicr_typer, values.gicr_base = 0, 0
        end
        for name, value in pairs(values) do
            local why = name .. ": not on this backend with arm64 guests: it is on hvf"
            t.raises(function() return cpu[name] end, why)
            t.raises(function() cpu[name] = value end, why)
        end
    end
end)

t.test("choices out of bounds", function()
    for options, why in pairs {
        [{ ipa_size = 0 }] = "hv.vm: ipa_size: 0: it is a number of bits, such as 36 or 40",
        [{ ipa_size = 64 }] = "hv.vm: ipa_size: 64: it is a number of bits",
        [{ ipa_size = "x" }] = "hv.vm: ipa_size: an integer expected, got string",
        [{ ipa_granule = "8K" }] = 'hv.vm: ipa_granule: 8192: it is "4K" or "16K"',
        [{ ipa_granule = 0 }] = "hv.vm: ipa_granule: 0",
        [{ el2 = 1 }] = "hv.vm: el2: a boolean expected, got number",
        [{ ipa_sise = 36 }] = 'unknown field "ipa_sise": did you mean "ipa_size"?',
    } do
        t.raises(function() hv.vm(options) end, why)
    end
end)

t.on("arm64", "debug registers for the host to answer", function(open, backend)
    if backend == "kvm" then
        t.skip "kvm keeps the guest's accesses to debug registers to itself"
    end
    local vm, cpu = t.guest(open, { arm64 = [[
        mov   x1, #0x1000
        msr   dbgbvr1_el1, x1
        mrs   x2, dbgbvr1_el1
        hvc   #0
    ]] })
    local seen = {}
    vm:on("sysreg", function(_, exit)
        seen[#seen + 1] = { exit.reg, exit.write, exit.value }
        return 0x77
    end)
    t.eq(cpu.trap_debug_registers, false)
    t.eq(vm:run().kind, "hvc")
    t.eq({ #seen, cpu.x2 }, { 0, 0x1000 })
    cpu.trap_debug_registers, cpu.pc = true, 0x1000
    t.eq(vm:run().kind, "hvc")
    t.eq(seen, { { 0x800c, true, 0x1000 }, { 0x800c, false } })
    t.eq({ cpu.x2, cpu.trap_debug_registers }, { 0x77, true })
end)

t.on("arm64", "two interrupt lines, which tell what they are at", function(open)
    local vm, cpu = t.guest(open, { arm64 = [[
        adr   x0, vectors
        msr   vbar_el1, x0
        msr   daifclr, #3
1:      b     1b
        .balign 2048
vectors:
        .org  vectors + 0x280
        hvc   #1
        .org  vectors + 0x300
        hvc   #2
        .org  vectors + 0x800
    ]] })
    t.eq({ cpu:irq(), cpu:fiq() }, { false, false })
    cpu:fiq(true)
    t.eq({ cpu:irq(), cpu:fiq() }, { false, true })
    t.eq(vm:run({ timeout = 20 }).imm, 2)
    t.eq(cpu:fiq(), true)
    cpu:fiq(false)
    cpu:irq(true)
    cpu.pc = 0x1000
    t.eq(vm:run({ timeout = 20 }).imm, 1)
    t.eq({ cpu:irq(), cpu:fiq() }, { true, false })
    t.raises(function() cpu:fiq(1) end, "fiq: a boolean expected, got number")
    t.raises(function() cpu:fiq(true, 1) end, "fiq: takes at most 1 argument, got 2")
end)
