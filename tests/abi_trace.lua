-- SPDX-License-Identifier: MIT
-- vm:trace and hvlua --hypercalls: each call in a line, and what they cost.
local t = ...
local caller = dofile(t.folder .. "/tests/abi/caller.lua")
local hv = require "hv"

local ABI = {
    puts = { 2, "cstr text" },
    write = { 3, "u32 fd", "in bytes data", returns = "i64" },
    read = { 4, "u32 fd", "out bytes buffer", returns = "i64" },
    stat = { 5, "u32 id", "out struct stat info", returns = "errno" },
    mode = { 6, "enum color c", "flags perm p", "ptr at", "in u16 v[]", returns = "enum color" },
    stat_t = hv.struct { "u64 size", "u32 mode" },
    color = hv.enum { "red", "green" },
    perm = hv.flags { "r", "w", "x" },
}
local HANDLERS = {
    puts = function() end,
    write = function(_, data) return #data end,
    read = function() return "d\1ta" end,
    stat = function(id)
        if id == 0 then
            return nil, "ENOENT"
        end
        return { size = id, mode = 1 }
    end,
    mode = function() return "green" end,
}

local function guest(open)
    local vm, call = caller.guest(open)
    vm:write(0x20000, "Hello, \"you\"\n\0")
    vm:pack("<I2I2", 0x21000, 1, 65535)
    return vm, call
end

t.on("results are what their types are, however a handler gives them", function(open)
    local vm, call = guest(open)
    local lines = {}
    local abi = hv.abi("lab", {
        f64 = { 1, returns = "f64" }, f32 = { 2, returns = "f32" }, is = { 3, returns = "bool" },
        set = { 4, returns = "flags perm" }, color_of = { 5, returns = "enum color" },
        all = { 6, "out struct all all", "out flags perm p", "out enum color c[2]" },
        all_t = hv.struct { "flags perm p", "enum color c", "flags perm q[3]", "f32 f" },
        color = ABI.color, perm = ABI.perm, range = { 1, 9 },
    })
    vm:serve(abi, {
        f64 = function() return 1.5 end, f32 = function() return -0.25 end,
        is = function() return true end, color_of = function() return 1 end,
        set = function() return { w = true, rest = 8 } end,
        all = function()
            return { p = { "r" }, c = 1, q = { {}, 3, { x = true } }, f = 1.5 }, { "r", "w" },
                { 0, "green" }
        end,
        default = function(nr) return -nr end,
    })
    vm:trace { hypercalls = function(line) lines[#lines + 1] = line:match "lab.*  " end }
    for nr = 1, 7 do
        call(nr, 0x21000, 0x22000, 0x23000)
    end
    t.eq(lines, {
        "lab.f64() = 1.5  ", "lab.f32() = -0.25  ", "lab.is() = true  ", "lab.set() = w|0x8  ",
        "lab.color_of() = green  ",
        "lab.all() = 0, all = { p = r, c = green, q = { 0, r|w, x }, f = 1.5 }, p = r|w, "
            .. "c = { red, green }  ",
        "lab: call 7() = -7  ",
    })
end)

t.on("a line for each call, with names and values", function(open)
    local vm, call = guest(open)
    local lines = {}
    vm:serve(hv.abi("lab", ABI), HANDLERS)
    vm:hypercall(100, function(_, a, b) return a + b end)
    vm:trace { hypercalls = function(line) lines[#lines + 1] = line end }
    vm:hypercall(101, function() end)
    call(2, 0x20000)
    call(3, 1, 0x20000, 5)
    call(4, 1, 0x22000, 100)
    call(5, 7, 0x22000)
    call(5, 0, 0x22000)
    call(6, 1, 5, 0x1234, 0x21000, 2)
    call(2, -1)
    call(1) -- nobody's
    call(100, 1, 2)
    call(101)
    call(7)
    local pc = vm.arch == "arm64" and "0x10004" or "0x10002"
    for i, want in ipairs {
        'lab.puts(text = "Hello, \\"you\\"\\n") = 0',
        'lab.write(fd = 1, data = "Hello") = 5',
        'lab.read(fd = 1, buffer[100]) = 4, buffer = "d\\x01ta"',
        "lab.stat(id = 7) = 0, info = { size = 7, mode = 1 }",
        "lab.stat(id = 0) = -ENOENT (the handler says so)",
        "lab.mode(c = green, p = r|x, at = 0x1234, v = { 1, 65535 }) = green",
        "lab.puts() = -EFAULT (text: at 0xffffffffffffffff)",
        "hypercall 100(0x1, 0x2) = 3",
        "hypercall 101() = ",
    } do
        local place, what, time = (lines[i] or ""):match "^(vcpu 0 0x%x+)  (.*)  <([%d.]+ [um]s)>$"
        t.eq({ place, what }, { "vcpu 0 " .. pc, want })
        t.ok(time)
    end
    t.eq(#lines, 9)
    local rows = {}
    for _, row in ipairs(vm:trace()) do
        rows[row.name] = { row.calls, row.errors }
        t.ok(row.guest >= 0 and row.hvlua >= 0 and row.handler >= 0)
    end
    t.eq(rows, { ["lab.puts"] = { 2, 1 }, ["lab.write"] = { 1, 0 }, ["lab.read"] = { 1, 0 },
        ["lab.stat"] = { 2, 1 }, ["lab.mode"] = { 1, 0 }, ["hypercall 100"] = { 1, 0 },
        ["hypercall 101"] = { 1, 0 } })
    vm:trace { hypercalls = false }
    call(2, 0x20000)
    call(100, 1, 2)
    t.eq({ #lines, #vm:trace() }, { 9, 0 })
    for bad, why in pairs { [{ {} }] = "hypercalls: true, false or a function expected",
        [{ { hypercalls = 1 } }] = "hypercalls must be a boolean function",
        [{ { hypercall = true } }] = 'did you mean "hypercalls"', [{ 1 }] = "options must be",
        [{ {}, 1 }] = "nothing goes behind" } do
        t.raises(function() vm:trace(table.unpack(bad)) end, why)
    end
end)

t.on("a guest that is built otherwise is told of in the line", function(open)
    local vm, call = guest(open)
    local lines = {}
    vm:trace { hypercalls = function(line) lines[#lines + 1] = line end }
    vm:serve(hv.abi("lab", ABI), {})
    vm:serve(hv.abi("other", { version = 2, a = { 20 } }), {})
    vm:write(0x20000, "lab\0none\0")
    call(0x68766162, 0x20000, 9, 0, 0, 0)
    call(0x68766162, 0x20004, 9, 0, 0, 0)
    t.eq(lines[1]:match "  (.*)  <", "hv_abi_check() = -EPROTO (lab: the guest is built for "
         .. "version 9, the host has version 1)")
    t.eq(lines[2]:match "  (.*)  <", "hv_abi_check() = -EPROTO")
end)

t.on("a handler that raises, and runs that go on", function(open)
    local vm, call = guest(open)
    local lines = {}
    vm:trace { hypercalls = function(line) lines[#lines + 1] = line end }
    vm:serve(hv.abi("lab", ABI), { puts = function() error "no" end })
    t.raises(function() call(2, 0x20000) end, "no")
    call(3, 1, 0x20000, 1)
    t.eq(lines[1]:match "  (.*)  <", 'lab.puts(text = "Hello, \\"you\\"\\n") = ?')
    t.eq(lines[2]:match "  (.*)  <", "lab.write() = -ENOSYS (it has no handler)")
end)

t.test("hvlua --hypercalls: lines, and the table at the end", function()
    if not pcall(hv.vm) then
        t.skip(select(2, pcall(hv.vm)))
    end
    local script = [[
        local hv = require "hv"
        local vm = hv.vm { memory = "64K" }
        vm:load(0x4000, hv.asm "mov x0, #1\n mov x1, #65\n hvc #0\n mov x0, #9\n hvc #0\n wfi")
        vm:serve(hv.abi("lab", { putc = { 1, "u8 ch" } }), { putc = function() end })
        vm:hypercall(9, function(_, a) return a end)
        vm:vcpu { pc = 0x4000 }
        vm:run()
    ]]
    local status, out, err = t.run({ t.hvlua, "--hypercalls", "-" }, script)
    t.eq({ status, out }, { 0, "" })
    t.ok(err:find "vcpu 0 0x400c  lab%.putc%(ch = 65%) = 0  <", err)
    t.ok(err:find "hypercall 9%(0x0%) = 0  <", err)
    t.ok(err:find "\ncall +count +errors +guest +hvlua +handler\n", err)
    t.ok(err:find "\nlab%.putc +1 +0 ", err)
    t.ok(err:find "\nhypercall 9 +1 +0 ", err)
    status, out, err = t.run({ t.hvlua, "--hypercalls", "-e", "print(1)" })
    t.eq({ status, out, err }, { 0, "1\n", "" })
end)
