-- SPDX-License-Identifier: MIT
-- The program: options, scripts, exit status, Ctrl-C. What lua has too is done as
-- lua does it, side by side.
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
    refused("unrecognized option '--bakend=kvm': did you mean '--backend=kvm'?",
            "--bakend=kvm")
    refused("unrecognized option '-stats': did you mean '--stats'?", "-stats")
    refused("unrecognized option '-h': did you mean '--help'?", "-h")
    refused("unrecognized option '-V': did you mean '-v'?", "-V")
    refused("unrecognized option '-x'\n", "-x")
    refused("unrecognized option '-vx'\n", "-vx")
    refused("'-e' needs code after it", "-e")
    refused("'-l' needs a module's name after it", "-l", "-v")
    refused("--arch=mips: there is no such arch\n", "--arch=mips")
    refused("no such arch: did you mean '--arch=arm64'?", "--arch=arm46")
    refused("no such backend: did you mean '--backend=kvm'?", "--backend=kmv")
    refused("--backend needs a name: did you mean '--backend=", "--backend", "kvm")
end)

t.test("a wrong option is found before anything runs", function()
    local status, out = hvlua("-e", "print 'ran'", "--bogus")
    t.eq({ status, out }, { 1, "" })
end)

t.test("a misspelt script: did you mean the one that is there", function()
    local path = script "print 'ran'"
    refused(("did you mean '%s'?"):format(path), path .. "x")
    os.remove(path)
    refused("did you mean 'doctor'?", "docter")
    local _, _, err = hvlua "/"
    t.ok(err:find "^hvlua: cannot read /" and not err:find "did you mean", err)
end)

t.test("a script that says with #! what runs it", function()
    local _, folder = t.run { "pwd" }
    local program = t.hvlua:find "^/" and t.hvlua
        or folder:gsub("\n", "/") .. t.hvlua
    if #program > 100 then
        t.skip "the program's path is too long for a #! line"
    end
    local path = script(("#!%s\nprint(arg[0], ...)\nos.exit(5)\n"):format(program))
    t.run { "chmod", "+x", path }
    t.eq({ t.run { path, "a" } }, { 5, path .. "\ta\n", "" })
    os.remove(path)
end)

-- ---- as lua does it ----------------------------------------------------

local lua
for _, name in ipairs { "lua5.4", "lua-5.4", "lua54", "lua" } do
    local status, out = t.run { name, "-v" }
    if status == 0 and out:find "^Lua 5%.4" then
        lua = name
        break
    end
end

-- What a program does with the case, without its own name.
local function done(program, case)
    local argv = { "env", "-u", "LUA_INIT", "-u", "LUA_INIT_5_4" }
    for _, setting in ipairs(case.env or {}) do
        argv[#argv + 1] = setting
    end
    argv[#argv + 1] = program
    for _, word in ipairs(case) do
        argv[#argv + 1] = word
    end
    local status, out, err = t.run(argv, case.input)
    local name = (program == t.hvlua and "hvlua" or program) .. ": "
    if err:sub(1, #name) == name then
        err = "program: " .. err:sub(#name + 1)
    end
    return status, out, err
end

local SCRIPT = [[
#!/usr/bin/anything
print(#arg, arg[1], arg[2], arg[3], select("#", ...), ...)
print(arg[-1], arg[-2], arg[-3])
return 1
]]

-- %s is the script, %m the folder it is in.
local CASES = {
    ["-e twice"] = { "-e", "print(1)", "-e", "print 'two'" },
    ["-e in one word"] = { "-eprint(arg[0] ~= nil, #arg)" },
    ["an error"] = { "-e", "local function f() error 'x' end f()" },
    ["an error that is a table"] = { "-e", "error {}" },
    ["an error that is nil"] = { "-e", "error()" },
    ["an error that is a number"] = { "-e", "error(7)" },
    ["an error with __tostring"] = {
        "-e", "error(setmetatable({}, { __tostring = function() return 'T' end }))",
    },
    ["a syntax error"] = { "-e", "x x" },
    ["what follows an error"] = { "-e", "error 'x'", "-e", "print 'no'", "%s" },
    ["exit status"] = { "-e", "os.exit(3)" },
    ["exit status false"] = { "-e", "os.exit(false)" },
    ["exit status, closing"] = { "-e", "os.exit(true, true)" },
    ["exit status of a chunk that returns"] = { "-e", "return 3" },
    ["a script's arguments"] = { "%s", "a", "-e", "--" },
    ["options before a script"] = { "-e", "x = 1", "%s", "a" },
    ["-- before a script"] = { "--", "%s", "a" },
    ["-- before none"] = { "-e", "print(#arg, arg[0] ~= nil)", "--" },
    ["standard input"] = { input = "print(#arg, ...)" },
    ["standard input by -"] = { "-", "a", "b", input = "print(#arg, arg[0], ...)" },
    ["-- and a file called -"] = { "--", "-", input = "print 'no'" },
    ["standard input with a #! line"] = { "-", input = "#!x\nprint 'in'" },
    ["standard input is not read after -e"] = { "-e", "x = 1", input = "print 'no'" },
    ["an error in standard input, by -"] = { "-", input = "\nerror 'x'" },
    ["-l"] = { "-e", "package.path = '%m/?.lua'", "-l", "mod", "-e",
               "print(mod.name)" },
    ["-l in one word"] = { "-lmath", "-e", "print(math.pi)" },
    ["-l g=mod"] = { "-l", "m=math", "-e", "print(m == math)" },
    ["-l of nothing"] = { "-e", "package.path, package.cpath = '', ''", "-l",
                          "nothing" },
    ["-W"] = { "-W", "-e", "warn 'w'" },
    ["no -W"] = { "-e", "warn 'w'" },
    ["-W after -e"] = { "-e", "warn 'w'", "-W", "-e", "warn 'x'" },
    ["LUA_INIT"] = { "-e", "print(x)", env = { "LUA_INIT=x = 5" } },
    ["LUA_INIT_5_4 before LUA_INIT"] = {
        "-e", "print(x)", env = { "LUA_INIT=x = 5", "LUA_INIT_5_4=x = 6" },
    },
    ["LUA_INIT=@file"] = { "-e", "print 'then'", env = { "LUA_INIT=@%s" } },
    ["LUA_INIT=@nothing"] = { "-e", "print 'no'", env = { "LUA_INIT=@/nothing" } },
    ["an error in LUA_INIT"] = { "-e", "print 'no'", env = { "LUA_INIT=error 'x'" } },
    ["LUA_INIT and -E"] = { "-E", "-e", "print(x)", env = { "LUA_INIT=x = 5" } },
    ["LUA_PATH and -E"] = {
        "-E", "-e", "print(package.path:find '/nowhere')",
        env = { "LUA_PATH=/nowhere/?.lua;;" },
    },
    ["LUA_PATH"] = {
        "-e", "print((package.path:find '/nowhere') ~= nil)",
        env = { "LUA_PATH=/nowhere/?.lua;;" },
    },
    ["arg taken away"] = { "-e", "arg = nil", "%s" },
    ["arg changed"] = { "-e", "arg = { 'x', 'y' }", "%s", "a" },
    ["a script that is not there"] = { "/nothing/at/all.lua" },
    ["a script with a syntax error"] = { "%m/bad" },
}

local function with_files(fn)
    local folder = os.tmpname()
    os.remove(folder)
    t.run { "mkdir", folder }
    for name, text in pairs {
        script = SCRIPT, bad = "x x", ["mod.lua"] = "return { name = ... }",
    } do
        local file <close> = assert(io.open(folder .. "/" .. name, "w"))
        file:write(text)
    end
    local ok, why = pcall(fn, folder)
    t.run { "rm", "-r", folder }
    if not ok then
        error(why, 0)
    end
end

local function fill(case, folder)
    local filled = { input = case.input, env = {} }
    local function expand(word)
        return (word:gsub("%%([sm])", { s = folder .. "/script", m = folder }))
    end
    for i, word in ipairs(case) do
        filled[i] = expand(word)
    end
    for i, word in ipairs(case.env or {}) do
        filled.env[i] = expand(word)
    end
    return filled
end

local function needs_lua()
    if not lua then
        t.skip "there is no lua 5.4 to compare with"
    end
end

for title, case in pairs(CASES) do
    t.test("as lua: " .. title, function()
        needs_lua()
        with_files(function(folder)
            local filled = fill(case, folder)
            local want = { done(lua, filled) }
            local got = { done(t.hvlua, filled) }
            got[2] = got[2]:gsub("%f[^\0\n\t]" .. t.hvlua:gsub("%W", "%%%0")
                                 .. "%f[\0\n\t]", lua) -- in arg
            t.eq(got, want)
        end)
    end)
end

t.test("as lua: wrong options", function()
    needs_lua()
    for _, words in ipairs {
        { "-x" }, { "-e" }, { "-l" }, { "-e", "-v" }, { "-vv" }, { "-ii" }, { "-W1" },
        { "-E", "-Ex" }, { "--x" },
    } do
        local status, out, err = done(lua, words)
        local ours = { done(t.hvlua, words) }
        t.eq({ ours[1], ours[2] }, { status, out }, table.concat(words, " "))
        local first = err:match "^[^\n]*"
        if first:find "unrecognized" then
            t.eq(ours[3]:sub(1, #first), first)
        end
    end
end)

t.test("-v shows versions, and goes on with what follows", function()
    local status, out = hvlua("-v", "-e", "print(1)")
    t.eq(status, 0)
    t.ok(out:find "^hvlua [%d.]+ %(Lua 5%.4%.%d+%)\n1\n$", out)
    status, out = t.run({ t.hvlua, "-v" }, "print 'not read'")
    t.eq(status, 0)
    t.ok(out:find "^hvlua [%d.]+ %(Lua 5%.4%.%d+%)\n$", out)
end)

t.test("unlike lua: an error in standard input is one", function()
    local status, out, err = t.run({ t.hvlua }, "error 'x'")
    t.eq({ status, out }, { 1, "" })
    t.ok(err:find "^hvlua: stdin:1: x\n", err)
end)

t.test("-l leaves a module's version out of the global's name", function()
    t.eq({ hvlua("-e", "package.preload['mod-v2'] = function() return 2 end",
                 "-l", "mod-v2", "-e", "print(mod)") }, { 0, "2\n", "" })
end)

-- ---- hvlua's own ------------------------------------------------------

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
    if status ~= 0 and (err:find "needs 2%.1" or err:find "libunicorn not found") then
        t.skip(err:match "unicorn: [^\n]*")
    end
    t.eq({ status, out }, { 0, "x86_64\tunicorn\n" }, err)
    status, out = hvlua("--backend=unicorn", "-e", show)
    t.eq({ status, out }, { 0, "arm64\tunicorn\n" })
    for _, b in ipairs(require "hv".backends()) do
        if not b.ok and b.why:find "^kvm runs " then
            refused(b.why, "--backend=kvm", "-e",
                ("require('hv').vm { arch = '%s' }"):format(b.arch))
        end
    end
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

local function interrupted(code)
    local path = script(code)
    local words = t.foreground() or {}
    table.move({ t.hvlua, path }, 1, 2, #words + 1, words)
    local status, out, err = t.run(words)
    os.remove(path)
    return status, out, err
end

for name, code in pairs {
    ["a script"] = INTERRUPT .. "while true do end",
    ["a guest"] = GUEST:format "b .",
    ["a handler"] = GUEST:format "mov x0, #0\n hvc #0",
    ["a read"] = INTERRUPT .. "io.popen('sleep 2; true'):read() while true do end",
} do
    t.test("Ctrl-C ends " .. name, function()
        local status, out, err = interrupted(code)
        local none = err:match "no backend runs arm64 guests here[^\n]*"
        if none then
            t.skip(none)
        end
        t.eq({ status, out }, { 1, "" }, err)
        t.ok(err:find "interrupted!", err)
    end)
end

t.test("a second Ctrl-C ends what does not listen", function()
    t.eq(interrupted(INTERRUPT .. INTERRUPT:gsub("0.5", "0.8") .. [[
        while true do pcall(function() while true do end end) end]]), -2)
end)

t.test("closed standard files are nobody else's", function()
    local status = t.run { "sh", "-c", [[exec timeout 10 "$1" <&-]], "sh", t.hvlua }
    t.eq(status, 0)
    status = t.run { "sh", "-c", [[exec timeout 10 "$1" -e 'print(1)' >&- 2>&-]], "sh",
        t.hvlua }
    t.eq(status, 0)
end)

t.test("doctor takes few options before it", function()
    local status, _, err = t.run { t.hvlua, "--arch=arm64", "--stats", "doctor" }
    t.eq({ status, err }, { 1, "hvlua: doctor takes only --backend=NAME and --arch=NAME "
        .. "before it: --stats\n" })
end)
