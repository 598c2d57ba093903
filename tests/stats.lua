-- SPDX-License-Identifier: MIT
-- hvlua --stats: what is counted, and where the time went.
local t = ...

-- What core.stats() has after the script, as { kind, handler, source, row } lists
-- by "kind handler", and the whole; and what --stats has printed.
local SHOW = [[
local wire = require "hv.wire"
local s = require("hv.core").stats()
io.stdout:write(wire.encode(s))
]]

local function stats(script, ...)
    local status, out, err = t.run({ t.hvlua, "--stats", "-", ... }, script .. "\n" .. SHOW)
    t.eq(status, 0, err)
    local s = require "hv.wire".decode(out)
    local rows = {}
    for key, row in pairs(s.rows) do
        local kind, handler, source = key:match "^(.-)\n(.-)\n(.*)$"
        row.source = source
        rows[handler == "" and kind or kind .. " " .. handler] = row
    end
    return rows, s, err
end

-- A machine with `code` for each architecture at 0x1000.
local MACHINE = [[
local hv = require "hv"
local core = require "hv.core"
local backend, arch = ...
local function machine(code, registers)
    local vm = hv.vm { backend = backend, arch = arch, memory = "64K" }
    vm:load(0x1000, hv.asm(code[arch], {
        arch = arch, bits = arch == "x86_64" and 16 or nil,
    }))
    registers = registers or {}
    registers[arch == "arm64" and "pc" or "rip"] = 0x1000
    return vm, vm:vcpu(registers)
end
local function busy(seconds)
    local ends = core.clock() + seconds
    repeat until core.clock() > ends
end
local LOOP = { -- `count` hypercalls 1, then hypercall 0
    arm64 = "1: mov x0, #1\n hvc #0\n subs x9, x9, #1\n b.ne 1b\n"
        .. "mov x0, #0\n hvc #0",
    x86_64 = "1: mov $1, %eax\n out %al, $0xe8\n dec %ebx\n jnz 1b\n"
        .. "xor %eax, %eax\n out %al, $0xe8",
}
local function loop(count)
    return machine(LOOP, { [arch == "arm64" and "x9" or "rbx"] = count })
end
]]

local function near(ns, low, high, what)
    t.ok(ns >= low * 1e6 and ns <= high * 1e6,
         ("%s: %.1f ms, not %g to %g"):format(what, ns / 1e6, low, high))
end

t.on("exits are counted by kind and handler", function(_, backend, arch)
    local rows, s = stats(MACHINE .. [[
        local vm = loop(20)
        vm:hypercall(0, function(cpu) cpu:stop() end)
        vm:hypercall(1, function() end)
        vm:run()
        vm:close()
        local again = loop(5)
        again:hypercall(1, function() end) -- and nobody for 0
        again:run()
        again:run { timeout = 0.01 }
    ]], backend, arch)
    t.eq(s.runs, 3)
    t.eq(s.exact, nil)
    t.eq(rows["hvc 0"].count, 1)
    t.eq(rows.hvc.count, 1)
    t.eq(rows.hvc.lua, 0)
    local ones = {}
    for key, row in pairs(s.rows) do
        ones[#ones + 1] = key:find "^hvc\n1\nstdin:%d+$" and row.count or nil
    end
    table.sort(ones)
    t.eq(ones, { 5, 20 }, "the two handlers apart")
    local sum = 0
    for _, row in pairs(s.rows) do
        sum = sum + row.guest + row.hvlua + row.lua
    end
    t.ok(sum > 0 and sum <= s.total, "no more time than there was")
end)

t.on("devices by name, kinds, and the rest", function(_, backend, arch)
    local rows = stats(MACHINE .. [[
        local vm = machine {
            arm64 = "ldr x1, =0x9000000\n str w0, [x1]\n ldr w0, [x1]\n"
                .. "str w0, [x1, #0x1000]\n str w0, [x1, #0x2000]\n hvc #7",
            x86_64 = "mov $0xc000, %ax\n mov %ax, %ds\n mov %al, 0x0\n"
                .. "mov 0x0, %al\n mov %al, 0x1000\n mov %al, 0x2000\n"
                .. "mov $0x80000007, %eax\n out %al, $0xe8",
        }
        local base = arch == "arm64" and 0x9000000 or 0xc0000
        local function no() return 0 end
        vm:attach { at = base, size = 16, read = no, write = no, name = "box" }
        vm:attach { at = base + 0x1000, size = 16, write = no }
        vm:on("mmio", function() end)
        vm:hypercall(arch == "arm64" and 0 or 0x80000007, function(cpu) cpu:stop() end)
        vm:run()
    ]], backend, arch)
    t.eq(rows["mmio box"].count, 2)
    t.eq(rows[arch == "arm64" and "mmio 0x9001000" or "mmio 0xc1000"].count, 1)
    t.eq(rows["mmio on"].count, 1)
    t.ok(rows["mmio on"].source:find "^stdin:%d+$")
    t.eq(rows[arch == "arm64" and "hvc 0" or "hvc 0x80000007"].count, 1)
end)

t.on("the time goes where it was spent", function(_, backend, arch)
    local rows, s = stats(MACHINE .. [[
        local vm = loop(3)
        vm:hypercall(1, function() busy(0.03) end)
        vm:hypercall(0, function(cpu) cpu:stop() end)
        vm:run()
        vm:close()
        local spin = machine { arm64 = "b .", x86_64 = "jmp ." }
        spin:run { timeout = 0.1 }
    ]], backend, arch)
    local rest = s.total / 1e6 - 90 -- each has 90 of it, and no more than the other leaves
    near(rows["hvc 1"].lua, 90, rest, "Lua")
    near(rows.timeout.guest, 90, rest, "guest")
    near(s.total, 190, 500, "all")
    t.ok(rows["hvc 1"].hvlua < (t.sanitized and 60e6 or 20e6))
end)

t.on("also where exits are too many for a clock", function(_, backend, arch)
    local rows, s = stats(MACHINE .. [[
        local n = 0
        local vm = loop(60000)
        vm:hypercall(1, function()
            n = n + 1
            if n == 50000 then busy(0.2) end
        end)
        vm:hypercall(0, function(cpu) cpu:stop() end)
        vm:run()
    ]], backend, arch)
    local row = rows["hvc 1"]
    t.eq(row.count, 60000)
    t.eq(rows["hvc 0"].count, 1)
    if s.exact then
        t.ok(s.exact >= 256 and s.exact < 60000)
    end
    t.ok(row.lua >= 200e6, "one slow call among many is seen, all of it")
    local sum = 0
    for _, each in pairs(rows) do
        sum = sum + each.guest + each.hvlua + each.lua
    end
    near(sum, 200, s.total / 1e6 * 1.2, "sum")
end)

t.on("a handler may end the program", function(_, backend, arch)
    local code = arch == "arm64" and [["\2\0\0\xd4"]] or [["\xe6\xe8"]]
    local status, _, err = t.run({ t.hvlua, "--stats", "-" }, ([[
        local vm = require "hv".vm { backend = %q, arch = %q, memory = "64K" }
        vm:load(0x1000, %s)
        vm:vcpu { pc = 0x1000 }
        vm:hypercall(0, function() os.exit(7, true) end)
        vm:run()
    ]]):format(backend, arch, code))
    t.eq(status, 7)
    t.ok(err:find "^hvlua: 1 run, ", err)
    t.ok(err:find "hvc +0 +stdin:4 +1 ", err)
end)

t.on("a machine in a handler has its own time", function(open, backend, arch)
    t.several(open)
    local rows = stats(MACHINE .. [[
        local vm = loop(1)
        vm:hypercall(1, function()
            local spin = machine { arm64 = "b .", x86_64 = "jmp ." }
            spin:run { timeout = 0.1 }
            busy(0.02)
        end)
        vm:hypercall(0, function(cpu) cpu:stop() end)
        vm:run()
    ]], backend, arch)
    near(rows.timeout.guest, 90, 300, "inner")
    local lua = rows["hvc 1"].lua
    t.ok(lua >= 20e6, "outer")
    t.ok(rows["hvc 1"].hvlua < 30e6, "nobody else's")
end)

t.on("in a machine in a handler there are too many for a clock", function(open, backend, arch)
    t.several(open)
    local _, s = stats(MACHINE .. [[
        local vm = loop(1)
        vm:hypercall(1, function()
            local many = loop(20000)
            many:hypercall(1, function() end)
            many:hypercall(0, function(cpu) cpu:stop() end)
            many:run()
            busy(0.2)
        end)
        vm:hypercall(0, function(cpu) cpu:stop() end)
        vm:run()
    ]], backend, arch)
    local sum = 0
    for _, each in pairs(s.rows) do
        sum = sum + each.guest + each.hvlua + each.lua
    end
    near(sum, 200, s.total / 1e6 * 1.2, "sum")
end)

t.on("what it prints, and when", function(_, backend, arch)
    local script = MACHINE .. [[
        local vm = loop(2)
        vm:hypercall(0, function(cpu) cpu:stop() end)
        vm:hypercall(1, function() end)
        vm:run()
    ]]
    local function printed(last, want)
        local status, out, err = t.run({ t.hvlua, "--stats", "-", backend, arch },
                                       script .. last)
        t.eq({ status, out }, { want, "" }, err)
        t.ok(err:find "hvlua: 1 run, [%d.]+ %a+: [%d.]+ %% in the guest", err)
        t.ok(err:find "\nhvc +1  stdin:%d+ +2 +%S+ [um]?s", err)
        local _, times = err:gsub("hvlua: 1 run", "")
        t.eq(times, 1)
        return err
    end
    printed("", 0)
    printed("os.exit(7)", 7)
    printed("os.exit(true, true)", 0)
    t.ok(printed("error 'x'", 1):find "stdin:%d+: x\n")
    local status, out, err = t.run({ t.hvlua, "-", backend, arch }, script)
    t.eq({ status, out, err }, { 0, "", "" }, "and nothing without")
end)

t.test("without machines: nothing to count", function()
    local _, _, err = t.run { t.hvlua, "--stats", "-e", "x = 1" }
    t.ok(err:find "^hvlua: 0 runs, %-: 0.0 %% in the guest", err)
end)

-- Reading the clock at each exit would double what a short one takes.
t.on("counting costs little", function(_, backend, arch)
    local script = MACHINE .. ("local times = %d\n"):format(t.fewer(60000)) .. [[
        local vm = loop(times)
        vm:hypercall(0, function(cpu) cpu:stop() end)
        vm:hypercall(1, function() end)
        local before = os.clock()
        vm:run()
        print(os.clock() - before)
    ]]
    local best = {}
    local function cheap()
        return best["--stats"] < 1.4 * best["-E"]
    end
    -- A machine in QEMU takes what its host gives to others for its own time: then more
    -- rounds find what it takes by itself.
    for round = 1, 25 do
        for _, option in ipairs { "--stats", "-E" } do
            local _, out = t.run({ t.hvlua, option, "-", backend, arch }, script)
            local seconds = tonumber(out)
            best[option] = math.min(best[option] or seconds, seconds)
        end
        if round >= 5 and cheap() then
            break
        end
    end
    t.ok(cheap(),
         ("%.1f ms, %.1f ms without"):format(best["--stats"] * 1e3, best["-E"] * 1e3))
end)
