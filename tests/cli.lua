-- SPDX-License-Identifier: MIT
-- The program: options, scripts, exit status, Ctrl-C.
local t = ...
local hv = require "hv"

local function hvlua(...)
    return t.run { t.hvlua, ... }
end

-- It fails, and says so.
local function refused(text, ...)
    local status, _, err = hvlua(...)
    t.eq(status, 1)
    t.ok(err:find(text, 1, true), err)
end

local function script(text)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
end

t.test("-e, and what it prints", function()
    t.eq({ hvlua("-e", "print(1 + 1)", "-e", "print 'two'") }, { 0, "2\ntwo\n", "" })
    t.eq({ hvlua "-eprint(3)" }, { 0, "3\n", "" })
end)

t.test("an error exits with 1 and a traceback", function()
    local status, out, err = hvlua("-e", "error 'x'")
    t.eq({ status, out }, { 1, "" })
    t.ok(err:find("hvlua: (command line):1: x\nstack traceback:\n", 1, true), err)
    status, out, err = hvlua("-e", "error(setmetatable({}, { __tostring = "
        .. "function() return 'object' end }))")
    t.eq({ status, out, err }, { 1, "", "hvlua: object\n" })
    refused("error object is a table value", "-e", "error({})")
    refused("syntax error", "-e", "x x")
end)

t.test("a script with arguments", function()
    local path = script "print(#arg, arg[0], arg[1], (...), arg[-1] ~= nil) os.exit(7)"
    local status, out = hvlua(path, "a b", "-e", "--version")
    t.eq(status, 7)
    t.eq(out, ("3\t%s\ta b\ta b\ttrue\n"):format(path))
    os.remove(path)
end)

t.test("a missing script, an unknown option", function()
    refused("cannot open /nonexistent.lua", "/nonexistent.lua")
    refused("unrecognized option '--bakend=kvm'", "--bakend=kvm")
    refused("needs code after it", "-e")
    refused("no such arch", "--arch=mips")
    refused("no such backend", "--backend=xen")
end)

t.test("--version, --help", function()
    local status, out = hvlua "--version"
    t.eq(status, 0)
    t.ok(out:find("hvlua " .. hv.version, 1, true) and out:find "Lua 5.4", out)
    status, out = hvlua "--help"
    t.eq(status, 0)
    t.ok(out:find "%-%-backend=NAME", out)
end)

t.test("a script from standard input", function()
    t.eq({ t.run({ t.hvlua, "-" }, "print 'in'") }, { 0, "in\n", "" })
    t.eq({ t.run({ t.hvlua }, "print 'in'") }, { 0, "in\n", "" })
    t.eq({ t.run({ t.hvlua, "-", "x" }, "print(...)") }, { 0, "x\n", "" })
end)

t.test("--arch and --backend choose for scripts that do not", function()
    local show = "local hv = require 'hv' local vm = hv.vm() print(vm.arch, vm.backend)"
    local status, out, err = hvlua("--arch=x86_64", "--backend=unicorn", "-e", show)
    if status ~= 0 and err:find "needs 2%.1" then
        t.skip(err:match "unicorn: [^\n]*")
    end
    t.eq({ status, out }, { 0, "x86_64\tunicorn\n" }, err)
    status, out = hvlua("--backend=unicorn", "-e", show)
    t.eq({ status, out }, { 0, "arm64\tunicorn\n" })
    refused("kvm runs x86_64 guests", "--backend=kvm", "-e",
        "require('hv').vm { arch = 'arm64' }")
    status, out = hvlua("--arch=x86_64", "-e",
        "print(#require('hv').asm('nop; hlt'))")
    t.eq({ status, out }, { 0, "2\n" }, "hv.asm follows")
end)

-- The script sends itself what Ctrl-C sends, half a second later.
local INTERRUPT = [[
    require("hv.core").pipe { "sh", "-c",
        "(sleep 0.5; kill -INT $PPID) >/dev/null 2>&1 &" }
]]

local GUEST = INTERRUPT .. [[
    local hv = require "hv"
    local vm = hv.vm { memory = "64K" }
    vm:load(0, hv.asm %q)
    vm:vcpu()
    vm:hypercall(0, function() while true do end end)
    vm:run()
    print "not reached"
]]

for name, code in pairs {
    ["a script"] = INTERRUPT .. "while true do end",
    ["a guest"] = GUEST:format "b .",
    ["a handler"] = GUEST:format "mov x0, #0\n hvc #0",
    ["a read"] = INTERRUPT .. "io.popen('sleep 2; true'):read() while true do end",
} do
    t.test("Ctrl-C ends " .. name, function()
        local path = script(code)
        local status, out, err = hvlua(path)
        os.remove(path)
        t.eq({ status, out }, { 1, "" }, err)
        t.ok(err:find "interrupted!", err)
    end)
end

t.test("a second Ctrl-C ends what does not listen", function()
    local path = script(INTERRUPT .. INTERRUPT:gsub("0.5", "0.8") .. [[
        while true do pcall(function() while true do end end) end]])
    local status = hvlua(path)
    os.remove(path)
    t.eq(status, -2)
end)
