-- SPDX-License-Identifier: MIT
-- hvlua doctor: what it finds is so, and what is broken is found.
local t = ...
local hv = require "hv"

-- ---- reading JSON ------------------------------------------------------

-- One value of `text` from `at` on, and where it ends; raises where that is none.
local value

local NAMED = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function string_at(text, at)
    local parts = {}
    at = at + 1
    while true do
        local plain, stop = text:match('^([^%c"\\]*)()', at)
        parts[#parts + 1] = plain
        at = stop
        local code = text:match("^\\u(%x%x%x%x)", at)
        local escape = text:match('^\\([\\"/bfnrt])', at)
        if text:sub(at, at) == '"' then
            local s = table.concat(parts)
            assert(utf8.len(s), "no UTF-8")
            return s, at + 1
        elseif code then
            parts[#parts + 1], at = utf8.char(tonumber(code, 16)), at + 6
        else
            assert(escape, "a string is wrong")
            parts[#parts + 1], at = NAMED[escape] or escape, at + 2
        end
    end
end

local function list_at(text, at, close, item)
    at = text:match("^%s*()", at + 1)
    while text:sub(at, at) ~= close do
        at = text:match("^%s*()", item(at))
        local comma = text:match("^,%s*()", at)
        assert(comma or text:sub(at, at) == close, "no comma")
        at = comma or at
    end
    return at + 1
end

function value(text, at)
    local first = text:sub(at, at)
    local result = {}
    if first == '"' then
        return string_at(text, at)
    elseif first == "[" then
        return result, list_at(text, at, "]", function(from)
            result[#result + 1], from = value(text, from)
            return from
        end)
    elseif first == "{" then
        return result, list_at(text, at, "}", function(from)
            local name, colon = string_at(text, from)
            from = assert(text:match("^:%s*()", colon), "no colon")
            result[name], from = value(text, from)
            return from
        end)
    end
    local word, stop = text:match("^([%w.+-]+)()", at)
    if word == "true" or word == "false" then
        return word == "true", stop
    end
    return assert(tonumber(word), "no value"), stop
end

-- ---- asking ------------------------------------------------------------

-- Its status and what it found, with these environment settings.
local function doctor(...)
    local argv = { "env", ... }
    table.move({ t.hvlua, "doctor", "--json" }, 1, 3, #argv + 1, argv)
    local status, out, err = t.run(argv)
    t.eq(err, "")
    local found, stop = value(out, 1)
    t.ok(out:find("^%s*$", stop), "text after the JSON")
    t.eq(status, found.ok and 0 or 1)
    return found
end

local function find(found, check, arch, name)
    for _, c in ipairs(found.checks) do
        if c.check == check and (not arch or c.arch == arch)
            and (not name or c.name == name) then
            return c
        end
    end
    error(("nothing about %s %s"):format(check, arch or ""), 2)
end

t.test("it agrees with hv.backends and hv.asm", function()
    local found, can = doctor(), {}
    for _, b in ipairs(hv.backends()) do
        local check = find(found, "backend", b.arch, b.name)
        if b.ok then
            t.eq(check.status, "ok", check.detail)
            t.ok(check.page_size >= 4096 and check.detail:find "^ran a guest in ")
            can[b.arch] = true
        else
            t.eq({ check.status, check.detail }, { "no", b.why })
        end
    end
    local all = true
    for _, arch in ipairs { "arm64", "x86_64" } do
        local check = find(found, "assembler", arch)
        local ok, image = pcall(hv.asm, "nop", { arch = arch })
        t.eq(check.status, ok and "ok" or "fail")
        t.ok(not ok or check.detail:find(image.assembler, 1, true), check.detail)
        all = all and ok and can[arch] or false
    end
    t.eq(found.ok, all)
    t.eq(found.version, hv.version)
    t.eq(find(found, "lua").version, _VERSION:match "[%d.]+"
         .. find(found, "lua").version:match "^5%.4(%.%d+)$")
    local _, size = t.run { "getconf", "PAGESIZE" }
    t.eq(find(found, "page size").value, math.tointeger(size:match "%d+"))
end)

t.test("for people: a table, and what it comes to", function()
    local status, out, err = t.run { t.hvlua, "doctor" }
    t.eq(err, "")
    t.ok(out:find("^hvlua " .. hv.version .. " on "), out)
    for _, b in ipairs(hv.backends()) do
        t.ok(out:find(("\n%s +%s +%s"):format(b.name, b.arch, b.ok and "ok" or "no")),
             out)
    end
    t.ok(out:find(status == 0 and "\nEvery architecture has" or "\nMissing: no "), out)
end)

t.test("no assembler: it fails, and says how to get one", function()
    local found = doctor("HVLUA_AS=/none/such \"one\"\\\n\1\255")
    t.eq(found.ok, false)
    local check = find(found, "assembler", "arm64")
    t.eq({ check.status, check.fix }, { "fail", "unset HVLUA_AS" })
    t.ok(check.detail:find('/none/such "one"\\', 1, true), check.detail)
    found = doctor("PATH=/nonexistent", "HVLUA_AS=")
    check = find(found, "assembler", "arm64")
    t.eq(check.status, "fail")
    t.ok(check.fix:find "make .*deps", check.fix)
    t.eq(find(found, "compiler").status, "no")
end)

t.test("no libunicorn: no backend, and what to do", function()
    local found = doctor "HVLUA_LIBUNICORN=/nonexistent.so"
    local check = find(found, "backend", "arm64", "unicorn")
    t.eq({ check.status, check.fix }, { "no", "unset HVLUA_LIBUNICORN" })
    t.eq(find(found, "libunicorn").status, "no")
    t.eq(found.ok, false)
end)

t.test("few files: a warning", function()
    local status, out = t.run { "sh", "-c", "ulimit -n 100; exec \"$0\" doctor", t.hvlua }
    t.ok(status == 0 or status == 1)
    t.ok(out:find "\nopen files +warn +100 [^\n]*\n +fix: ulimit %-n 1024\n", out)
end)

-- A library with libunicorn's names that is 2.0.1 and ends the process.
local STUB = [[
#include <stdlib.h>
unsigned uc_version(void *major, void *minor) { return 0x020001ff; }
]]

t.test("a backend that crashes is found out, and no crash", function()
    local source <close> = assert(io.open(t.folder .. "/core/unicorn.c"))
    local folder = os.tmpname()
    os.remove(folder)
    t.run { "mkdir", folder }
    local text = STUB
    for name in source:read "a":gmatch '"(uc_[%w_]+)"' do
        if name ~= "uc_version" then
            text = text .. ("void %s(void) { abort(); }\n"):format(name)
        end
    end
    local library = folder .. "/libunicorn.so"
    local status = t.run({ "cc", "-w", "-shared", "-fPIC", "-o", library, "-x", "c", "-" },
                         text)
    if status ~= 0 then
        t.run { "rm", "-r", folder }
        t.skip "there is no C compiler"
    end
    local found = doctor("HVLUA_LIBUNICORN=" .. library)
    t.run { "rm", "-r", folder }
    local check = find(found, "backend", "arm64", "unicorn")
    t.eq(check.status, "fail")
    t.ok(check.detail:find "killed by signal 6", check.detail)
    check = find(found, "libunicorn")
    t.eq({ check.status, check.version, check.fix },
         { "warn", "2.0.1", "unset HVLUA_LIBUNICORN" })
    t.ok(check.detail:find(library, 1, true), check.detail)
end)

t.test("of one backend, of one architecture", function()
    local function ask(...)
        local status, out, err = t.run { t.hvlua, ... }
        t.eq(err, "")
        local found = value(out, 1)
        t.eq(status, found.ok and 0 or 1)
        local seen = {}
        for _, c in ipairs(found.checks) do
            if c.check == "backend" or c.check == "assembler" then
                seen[#seen + 1] = c.name .. " " .. c.arch
            end
        end
        return table.concat(seen, ", ")
    end
    t.eq(ask("--backend=unicorn", "--arch=x86_64", "doctor", "--json"),
         "unicorn x86_64, assembler x86_64")
    t.eq(ask("--backend=kvm", "doctor", "--json"):match "^kvm arm64, kvm x86_64, assembler ",
         "kvm arm64, kvm x86_64, assembler ")
end)

-- The double of Hypervisor.framework is any macOS, on any Mac.
t.test("hvf: what this macOS lacks, and this processor", function()
    if not (t.double and find(doctor(), "backend", "arm64", "hvf").status == "ok") then
        t.skip "needs the double of Hypervisor.framework: make HVF=fake"
    end
    local function features(...)
        local found = {}
        for _, c in ipairs(doctor(...).checks) do
            if c.check == "feature" then
                found[c.name] = c.status == "ok" or c.detail:match "came with macOS [%d.]+"
                    or c.detail:match "this processor has none"
            end
        end
        return found
    end
    t.eq(features "FAKE_HV_MACOS=12.0", {
        memory = "came with macOS 12.1", ipa_size = "came with macOS 13.0",
        el2 = "came with macOS 15.0", gic = "came with macOS 15.0",
        sme = "came with macOS 15.2", ipa_granule = "came with macOS 26.0",
    })
    t.eq(features("FAKE_HV_MACOS=15.2", "FAKE_HV_CHIP=m1"), {
        memory = true, ipa_size = true, gic = true, el2 = "this processor has none",
        sme = "this processor has none", ipa_granule = "came with macOS 26.0",
    })
    local denied = find(doctor "FAKE_HV_ENTITLED=0", "backend", "arm64", "hvf")
    t.eq({ denied.status, denied.fix },
         { "fail", "codesign --sign - --force --entitlements entitlements.plist ./hvlua" })
    local inside = find(doctor "FAKE_HV_INSIDE_VM=1", "backend", "arm64", "hvf")
    t.eq(inside.status, "no")
    t.ok(inside.detail:find "inside a virtual machine", inside.detail)
end)

t.test("wrong arguments", function()
    local status, out, err = t.run { t.hvlua, "doctor", "-json" }
    t.eq({ status, out }, { 1, "" })
    t.ok(err:find "did you mean '%-%-json'", err)
end)
