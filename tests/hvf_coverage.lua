-- SPDX-License-Identifier: MIT
-- Every function of Hypervisor.framework, and how a script gets to it: each row
-- runs on the double, which logs the call, and once more with the call made to
-- fail, which the script has to get to know.
--
-- { function, expression, { arguments }, error= }: in arguments "*" is an address
-- of the host's or a register's value that the row does not choose; `error` is what
-- a failing call raises where that is not the framework's own word for it.
local t = ...
local hv = require "hv"

local FAIL, WORD = 0xfae94005, "HV_NO_RESOURCES"
local NOTHING = "gave nothing" -- where the function gives an object

-- What the rows call. One machine has all that there is, but EL2 and SME exclude
-- each other.
local PRELUDE = [[
local hv = require "hv"
local function machine(options)
    options = options or {}
    options.backend = "hvf"
    return hv.vm(options)
end
local function gic(vm)
    return vm:gic { distributor = 0x8000000, redistributor = 0x80a0000,
        msi = { at = 0x20000000, first = 64, count = 32 } }
end
local function vcpu(options)
    return machine(options):vcpu()
end
local function with_gic(options)
    local vm = machine(options)
    local g = gic(vm)
    return vm:vcpu(), g, vm
end
local function streaming()
    local cpu = vcpu()
    cpu.svcr = 3
    return cpu
end
local function text(c, n)
    return (c):rep(n)
end
]]

local ROWS = {
    { "vm_get_max_vcpu_count", "hv.caps 'hvf'.vcpus", { "*" } },
    { "vm_create", "machine()", { "*" } },
    { "vm_destroy", "machine():close() machine()", {}, error = "one machine at a time" },
    { "vm_map", "machine():map { at = 0x8000, size = '64K', prot = 'rx' }",
        { "*", 0x8000, 0x10000, 5 } },
    { "vm_unmap", "machine():map { at = 0x8000, size = '64K' }:unmap()", { 0x8000, 0x10000 } },
    { "vm_protect", "machine():map { at = 0x8000, size = '64K' }:protect 'r'",
        { 0x8000, 0x10000, 1 } },
    { "vm_allocate", "machine { memory = '64K' }", { "*", 0x10000, 0 } },
    { "vm_deallocate", "machine():map { at = 0, size = '32K' }:unmap()", { "*", 0x8000 },
        error = "does not take its memory back" },

    { "vm_config_create", "machine()", {}, error = NOTHING },
    { "vm_config_get_max_ipa_size", "hv.caps 'hvf'.ipa_size.max", { "*" } },
    { "vm_config_get_default_ipa_size", "hv.caps 'hvf'.ipa_size.default", { "*" } },
    { "vm_config_set_ipa_size", "machine { ipa_size = 38 }", { "*", 38 } },
    { "vm_config_get_ipa_size", "assert(machine { ipa_size = 38 }.ipa_size == 38)",
        { "*", "*" } },
    { "vm_config_get_el2_supported", "assert(hv.caps 'hvf'.el2)", { "*" } },
    { "vm_config_set_el2_enabled", "machine { el2 = true }", { "*", 1 } },
    { "vm_config_get_el2_enabled", "assert(machine { el2 = true }.el2)", { "*", "*" } },
    { "vm_config_get_default_ipa_granule", "assert(hv.caps 'hvf'.page_size == 0x4000)",
        { "*" } },
    { "vm_config_set_ipa_granule", "machine { ipa_granule = '4K' }", { "*", 0 } },
    { "vm_config_get_ipa_granule",
        "assert(machine { ipa_granule = '4K' }.page_size == 0x1000)", { "*", "*" } },

    { "vcpu_config_create", "hv.caps 'hvf'.features", {}, error = NOTHING },
    { "vcpu_config_get_feature_reg", "assert(hv.caps 'hvf'.features.id_aa64pfr0_el1 ~= 0)",
        { "*", 0, "*" } },
    { "vcpu_config_get_ccsidr_el1_sys_reg_values",
        "assert(#hv.caps 'hvf'.ccsidr.instruction == 8)", { "*", 0, "*" } },

    { "vcpu_create", "machine():vcpu()", { "*", "*", 0 }, error = "as many as it can have" },
    { "vcpu_destroy", "local vm = machine() vm:vcpu() vm:close() machine()", { 0 },
        error = "one machine at a time" },
    { "vcpu_get_reg", "_ = vcpu().x7", { 0, 7, "*" } },
    { "vcpu_set_reg", "vcpu().pc = 0x4000", { 0, 31, 0x4000 } },
    { "vcpu_get_simd_fp_reg", "_ = vcpu().v3", { 0, 3, "*" } },
    { "vcpu_set_simd_fp_reg", "vcpu().v31 = text('v', 16)", { 0, 31 } },
    { "vcpu_get_sys_reg", "_ = vcpu().ttbr0_el1", { 0, 0xc100, "*" } },
    { "vcpu_set_sys_reg", "vcpu():sysreg(3, 0, 12, 0, 0, 0x8000)", { 0, 0xc600, 0x8000 } },
    { "vcpu_get_pending_interrupt", "_ = vcpu():fiq()", { 0, 1, "*" } },
    { "vcpu_set_pending_interrupt", "vcpu():irq(true)", { 0, 0, 1 } },
    { "vcpu_get_trap_debug_exceptions", "_ = vcpu().trap_debug", { 0, "*" } },
    { "vcpu_set_trap_debug_exceptions", "vcpu().trap_debug = true", { 0, 1 } },
    { "vcpu_get_trap_debug_reg_accesses", "_ = vcpu().trap_debug_registers", { 0, "*" } },
    { "vcpu_set_trap_debug_reg_accesses", "vcpu().trap_debug_registers = true", { 0, 1 } },
    { "vcpu_run", "vcpu():enter()", { 0 } },
    { "vcpus_exit", "vcpu():kick()", { "*", 1 },
        error = false }, -- from any thread, also signals: there is nobody to tell
    { "vcpu_get_exec_time", "_ = vcpu().exec_time", { 0, "*" } },
    { "vcpu_get_vtimer_mask", "_ = vcpu().vtimer_mask", { 0, "*" } },
    { "vcpu_set_vtimer_mask", "vcpu().vtimer_mask = true", { 0, 1 } },
    { "vcpu_get_vtimer_offset", "_ = vcpu().vtimer_offset", { 0, "*" } },
    { "vcpu_set_vtimer_offset", "vcpu().vtimer_offset = 0x1234", { 0, 0x1234 } },

    { "sme_config_get_max_svl_bytes", "assert(hv.caps 'hvf'.sme.svl == 64)", { "*" } },
    { "vcpu_get_sme_state", "_ = vcpu().svcr", { 0, "*" } },
    { "vcpu_set_sme_state", "vcpu().svcr = 1", { 0, "*" } },
    { "vcpu_get_sme_z_reg", "assert(#streaming().z9 == 64)", { 0, 9, "*", 64 } },
    { "vcpu_set_sme_z_reg", "streaming().z31 = text('z', 64)", { 0, 31, "*", 64 } },
    { "vcpu_get_sme_p_reg", "assert(#streaming().p0 == 8)", { 0, 0, "*", 8 } },
    { "vcpu_set_sme_p_reg", "streaming().p15 = text('p', 8)", { 0, 15, "*", 8 } },
    { "vcpu_get_sme_za_reg", "assert(#streaming().za == 4096)", { 0, "*", 4096 } },
    { "vcpu_set_sme_za_reg", "streaming().za = text('a', 4096)", { 0, "*", 4096 } },
    { "vcpu_get_sme_zt0_reg", "assert(#streaming().zt0 == 64)", { 0, "*" } },
    { "vcpu_set_sme_zt0_reg", "streaming().zt0 = text('t', 64)", { 0, "*" } },

    { "gic_config_create", "gic(machine())", {}, error = NOTHING },
    { "gic_config_set_distributor_base", "gic(machine())", { "*", 0x8000000 } },
    { "gic_config_set_redistributor_base", "gic(machine())", { "*", 0x80a0000 } },
    { "gic_config_set_msi_region_base", "gic(machine())", { "*", 0x20000000 } },
    { "gic_config_set_msi_interrupt_range", "gic(machine())", { "*", 64, 32 } },
    { "gic_create", "gic(machine())", { "*" } },
    { "gic_set_spi", "gic(machine()):spi(40, true)", { 40, 1 } },
    { "gic_send_msi", "gic(machine()):msi(70)", { 0x20000040, 70 } },
    { "gic_get_distributor_reg", "_ = gic(machine()).gicd_irouter40", { 0x6140, "*" } },
    { "gic_set_distributor_reg", "gic(machine()).gicd_ctlr = 2", { 0, 2 } },
    { "gic_get_redistributor_base", "assert(with_gic().gicr_base == 0x80a0000)", { 0, "*" } },
    { "gic_get_redistributor_reg", "_ = with_gic().gicr_typer", { 0, 8, "*" } },
    { "gic_set_redistributor_reg", "with_gic().gicr_isenabler0 = 1", { 0, 0x10100, 1 } },
    { "gic_get_icc_reg", "_ = with_gic().icc_pmr_el1", { 0, 0xc230, "*" } },
    { "gic_set_icc_reg", "with_gic().icc_igrpen1_el1 = 1", { 0, 0xc667, 1 } },
    { "gic_get_ich_reg", "_ = with_gic { el2 = true }.ich_lr7_el2", { 0, 0xe667, "*" } },
    { "gic_set_ich_reg", "with_gic { el2 = true }.ich_hcr_el2 = 1", { 0, 0xe658, 1 } },
    { "gic_get_icv_reg", "_ = with_gic { el2 = true }.icv_bpr1_el1", { 0, 0xc663, "*" } },
    { "gic_set_icv_reg", "with_gic { el2 = true }.icv_pmr_el1 = 0xf0", { 0, 0xc230, 0xf0 } },
    { "gic_get_msi_reg", "_ = gic(machine()).gicm_typer", { 8, "*" } },
    { "gic_set_msi_reg", "gic(machine()).gicm_set_spi_nsr = 70", { 0x40, 70 } },
    { "gic_set_state", "local _, g = with_gic() g:restore(g:save())", { "*", 126976 } },
    { "gic_reset", "gic(machine()):reset()", {} },
    { "gic_state_create", "gic(machine()):save()", {}, error = NOTHING },
    { "gic_state_get_size", "assert(#gic(machine()):save() == 126976)", { "*", "*" } },
    { "gic_state_get_data", "gic(machine()):save()", { "*", "*" } },
    { "gic_get_distributor_size", "hv.caps 'hvf'.gic.distributor.size", { "*" } },
    { "gic_get_distributor_base_alignment", "hv.caps 'hvf'.gic.distributor.alignment", { "*" } },
    { "gic_get_redistributor_region_size", "hv.caps 'hvf'.gic.redistributor.region_size",
        { "*" } },
    { "gic_get_redistributor_size", "hv.caps 'hvf'.gic.redistributor.size", { "*" } },
    { "gic_get_redistributor_base_alignment", "hv.caps 'hvf'.gic.redistributor.alignment",
        { "*" } },
    { "gic_get_msi_region_size", "hv.caps 'hvf'.gic.msi.size", { "*" } },
    { "gic_get_msi_region_base_alignment", "hv.caps 'hvf'.gic.msi.alignment", { "*" } },
    { "gic_get_spi_interrupt_range", "assert(hv.caps 'hvf'.gic.spi.first == 32)",
        { "*", "*" } },
    { "gic_get_intid", "assert(hv.caps 'hvf'.gic.intid.maintenance == 25)", { 23, "*" } },
}

-- ---- running a row -------------------------------------------------------

local function double()
    for _, b in ipairs(hv.backends()) do
        if b.name == "hvf" and b.ok and t.double then
            return true
        end
    end
end

-- Run the row's script with these switches of the double: status, stderr, log.
local function run(row, switches)
    local log = os.tmpname()
    local code = row[2]:find "^hv%.caps" and "local _ = " .. row[2] or row[2]
    local argv = { "env", "FAKE_HV_LOG=" .. log }
    for name, value in pairs(switches or {}) do
        argv[#argv + 1] = name .. "=" .. value
    end
    argv[#argv + 1] = t.hvlua
    argv[#argv + 1] = "-"
    local status, _, err = t.run(argv, PRELUDE .. code .. "\n")
    local file <close> = assert(io.open(log))
    local calls = file:read "a"
    os.remove(log)
    return status, err, calls
end

-- Was `name` called with these arguments, and went well?
local function called(calls, name, arguments)
    for text in calls:gmatch("hv_" .. name .. "%(([^)]*)%) = HV_SUCCESS") do
        local same, i = true, 0
        for number in text:gmatch "0x%x+" do
            i = i + 1
            same = same and (arguments[i] == "*" or arguments[i] == math.tointeger(number))
        end
        if same and i == #arguments then
            return true
        end
    end
    return false
end

for _, row in ipairs(ROWS) do
    local name, expression, arguments = row[1], row[2], row[3]
    t.test(("hv_%s: %s"):format(name, expression), function()
        if not double() then
            t.skip "needs the double of Hypervisor.framework: make HVF=fake"
        end
        local status, err, calls = run(row)
        t.eq({ status, err }, { 0, "" })
        t.ok(called(calls, name, arguments), "not called so:\n" .. calls)
        status, err = run(row, { FAKE_HV_FAIL = ("hv_%s=0x%x"):format(name, FAIL) })
        if row.error == false then
            t.eq({ status, err }, { 0, "" })
        else
            t.eq(status, 1)
            t.ok(err:find(row.error or WORD, 1, true), err)
        end
    end)
end

-- ---- all of them ---------------------------------------------------------

t.test("there is a row for each of the 89 functions", function()
    local listed, rows, count = {}, {}, 0
    for _, row in ipairs(ROWS) do
        t.ok(not rows[row[1]], row[1] .. ": twice")
        rows[row[1]] = true
    end
    local file <close> = assert(io.open(t.folder .. "/tests/fakehv/functions.h"))
    local text = file:read("a"):gsub("#define.-\n\n", "\n")
    for kind, rest in text:gmatch "\n([FVO]%d)%(%d+, ([^)]*)" do
        local name = kind:find "O" and rest:match "^[%w_]+,%s*([%w_]+)" or rest:match "^[%w_]+"
        listed[name], count = true, count + 1
        t.ok(rows[name], "no row for hv_" .. name)
    end
    for name in pairs(rows) do
        t.ok(listed[name], "there is no hv_" .. name)
    end
    t.eq(count, 89)
end)

t.test("a macOS that lacks a function says so, and which has it", function()
    if not double() then
        t.skip "needs the double of Hypervisor.framework: make HVF=fake"
    end
    for macos, cases in pairs {
        ["11.0"] = {
            { "machine { ipa_size = 40 }", "ipa_size: more than 36: this macOS is too old: "
                .. "hv_vm_config_set_ipa_size came with 13.0" },
            { "assert(machine { memory = '64K' }.ipa_size == 36)", nil },
        },
        ["13.0"] = {
            { "machine { el2 = true }", "hv_vm_config_set_el2_enabled came with 15.0" },
            { "gic(machine())", "hv_gic_create came with 15.0" },
        },
        ["15.0"] = {
            { "vcpu().svcr = 1", "hv_vcpu_get_sme_state came with 15.2" },
            { "_ = vcpu().za", "hv_vcpu_get_sme_state came with 15.2" },
        },
        ["15.2"] = {
            { "machine { ipa_granule = '4K' }", "hv_vm_config_set_ipa_granule came with 26.0" },
            { "assert(machine { ipa_granule = '16K' }.page_size == 0x4000)", nil },
        },
    } do
        for _, case in ipairs(cases) do
            local status, err = run({ nil, case[1] }, { FAKE_HV_MACOS = macos })
            if case[2] then
                t.ok(err:find(case[2], 1, true), macos .. ": " .. err)
            else
                t.eq({ status, err }, { 0, "" })
            end
        end
    end
end)
