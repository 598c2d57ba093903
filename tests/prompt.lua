-- SPDX-License-Identifier: MIT
-- The prompt: what it shows, what it completes; and in a pseudo-terminal: keys,
-- history, Ctrl-C, Ctrl-D.
local t = ...
local complete = require "hv.complete"
local core = require "hv.core"
local hv = require "hv"
local pretty = require "hv.pretty"

-- ---- without a terminal ------------------------------------------------

-- What -i prints for these lines, after the greeting.
local function typed(...)
    local input = table.concat({ ... }, "\n") .. "\n"
    local status, out, err = t.run({ t.hvlua, "-i" }, input)
    t.eq(status, 0, err)
    return out:match "^hvlua [^\n]*\n(.*)$", err
end

t.test("expressions, statements, several lines", function()
    t.eq({ typed("1 + 1", "x = 5", "x, nil", "=x") },
         { "> 2\n> > 5\nnil\n> 5\n> \n", "" })
    t.eq({ typed("for i = 1, 2 do", "print(i)", "end") },
         { "> >> >> 1\n2\n> \n", "" })
    t.eq({ typed("'a'", "hv.version == require 'hv'.version") },
         { '> "a"\n> true\n> \n', "" })
    t.eq({ typed("_PROMPT, _PROMPT2 = '$ ', '+ '", "(1", ")") },
         { "> $ + 1\n$ \n", "" })
    t.eq({ typed("", "   ", "-- nothing") }, { "> > > > \n", "" })
end)

t.test("errors, and on it goes", function()
    local out, err = typed("error 'x'", "x x", "error {}", "f(", "")
    t.eq(out, "> > > > >> >> \n> \n")
    t.eq(err, "stdin:1: x\nstdin:1: syntax error near 'x'\nerror object: {}\n"
        .. "stdin:2: unexpected symbol near <eof>\n")
    local _, trace = typed("function f() return nil + 1 end", "f()")
    t.eq(trace, "stdin:1: attempt to perform arithmetic on a nil value\n"
        .. "stack traceback:\n\tstdin:1: in function 'f'\n")
end)

t.test("-i comes after the script, and status is that of os.exit", function()
    local status, out = t.run({ t.hvlua, "-i", "-e", "y = 7" }, "y\nos.exit(3)\n")
    t.eq(status, 3)
    t.ok(out:find "^hvlua [^\n]*\n> 7\n", out)
    status, out = t.run({ t.hvlua, "-i", "-e", "error 'x'" }, "print 'no'\n")
    t.eq(status, 1)
    t.ok(not out:find "no", out)
end)

-- ---- showing -----------------------------------------------------------

t.test("plain values", function()
    for value, text in pairs {
        [5] = "5", [-1] = "-1", [4096] = "4096 (0x1000)",
        [-4096] = "-4096 (0xfffffffffffff000)", [0.5] = "0.5", [true] = "true",
        ["a\tb\"\\"] = [["a\tb\"\\"]], ["a\nb\n"] = "[[\na\nb\n]]", ["ä"] = '"ä"',
    } do
        t.eq(pretty(value), text)
    end
    t.eq(pretty(nil), "nil")
    t.eq(pretty(print), "function (in C)")
    t.ok(pretty(pretty):find "^function %(.*pretty.lua:%d+%)$", pretty(pretty))
end)

t.test("bytes are dumped", function()
    t.eq(pretty "\127ELF\2\1\1\0 0123456789", table.concat({
        "19 bytes",
        "00000000  7f 45 4c 46 02 01 01 00  20 30 31 32 33 34 35 36  "
            .. "|.ELF.... 0123456|",
        "00000010  37 38 39" .. (" "):rep(42) .. "|789|",
    }, "\n"))
    local long = pretty(("\0"):rep(1000))
    t.ok(long:find "^1000 bytes\n" and long:find "\n%.%.%. and 744 more$", long)
    t.eq(pretty { "\1\2" }, "{ <2 bytes: 01 02> }")
end)

t.test("tables", function()
    t.eq(pretty {}, "{}")
    t.eq(pretty { 1, "a", x = 0x9000000, ["a b"] = { y = false } },
         '{ 1, "a", ["a b"] = { y = false }, x = 0x9000000 }')
    local loop = {}
    loop.self = loop
    t.eq(pretty(loop), "{ self = <the same again> }")
    local wide = {}
    for i = 1, 60 do
        wide[i] = "some text"
    end
    local text = pretty(wide)
    t.ok(text:find '^{\n  "some text",\n' and text:find "\n  %.%.%. and 10 more\n}$",
         text)
    t.eq(pretty { { { { {} } } } }, "{ { { { {} } } } }")
    t.eq(pretty { { { { { 1 } } } } }, "{ { { { { ... } } } } }")
    t.eq(pretty(setmetatable({}, { __tostring = function() return "T" end })), "T")
end)

t.on("machines, vcpus, memory and exits are one line each", function(open, backend, arch)
    local vm = open()
    local memory = vm:map { at = 0x4000, size = "64K" }
    vm:map { at = "1M", size = "1M", prot = "rw" }
    local cpu = vm:vcpu()
    t.eq(pretty(vm), ("machine (%s on %s): 1 vcpu, memory 0x4000-0x13fff (64K, "
        .. "rwx), 0x100000-0x1fffff (1M, rw-)"):format(arch, backend))
    t.eq(pretty(memory), "memory 0x4000-0x13fff (64K, rwx)")
    cpu[arch == "arm64" and "pc" or "rip"] = 0x1234
    local line = pretty(cpu)
    t.ok(line:find(("^vcpu 0 %%(%s%%): %s 0x1234, %sp 0x0, "):format(
        arch, arch == "arm64" and "pc" or "rip", arch == "arm64" and "s" or "rs")),
        line)
    t.eq(pretty { kind = "mmio", addr = 0x9000000, size = 4, write = true,
                  value = 65, cpu = cpu, reason = 1 },
         "exit: mmio, addr 0x9000000, size 4, write, value 65, vcpu 0")
    t.eq(pretty { kind = "stop", value = "done", cpu = cpu },
         'exit: stop, value "done", vcpu 0')
    vm:close()
    t.eq(pretty(vm), "machine (closed)")
    t.eq(pretty(cpu), "vcpu (closed)")
    t.eq(pretty(memory), "memory (unmapped)")
end)

t.test("what only looks like an exit is a table", function()
    t.eq(pretty { kind = "step", count = 5 }, '{ count = 5, kind = "step" }')
end)

-- ---- completing --------------------------------------------------------

-- names() and registers() as prompt.c has them, of one object.
local OBJECT = { answer = 42 }
local CPU = { vm = {} }
local find = complete {
    names = function(value)
        if value == OBJECT then
            return "hv.machine", { run = true, x0 = false, __index = true }
        elseif value == CPU then
            return "hv.vcpu", { vbar_el1 = false, vbar_el2 = false }
        end
    end,
    registers = function(arch)
        return arch == "arm64" and { "x0", "x1", "pc" } or {}
    end,
}

local function completed(line, want)
    local before, text = line:match "^(.-)([%w_]*)$"
    t.eq(find(before, text), want, line)
end

t.test("completion of globals, fields, methods", function()
    _G.completion_test = {
        alpha = 1, beta = print, ["not a name"] = 1,
        list = { { gamma = 1 } }, object = OBJECT, cpu = CPU,
    }
    completed("completion_t", { "completion_test" })
    completed("print(completion_t", { "completion_test" })
    completed("func", { "function" })
    completed("completion_test.a", { "alpha" })
    completed("completion_test:", { "beta" })
    completed("completion_test.list[1].g", { "gamma" })
    completed("completion_test['list'][1].", { "gamma" })
    completed("x = completion_test.object.", {
        "arch", "backend", "closed", "cpus", "el2", "ipa_size", "memory", "page_size",
        "run", "running", "x0",
    })
    completed("completion_test.object:", { "run" })
    completed("completion_test.cpu.vb", { "vbar_el1" })
    CPU.vm.el2 = true
    completed("completion_test.cpu.vb", { "vbar_el1", "vbar_el2" })
    completed("completion_test.nothing.", {})
    completed("completion_test()[1].", {})
    completed("io.stdout:se", { "seek", "setvbuf" })
    completed("('x'):", {})
    completed("_VERSION:up", { "upper" })
    completed("hv..completion_t", { "completion_test" })
    completed("   ", { "    " })
    OBJECT.arch = "arm64"
    completed("completion_test.object:vcpu { p", {
        "package", "pairs", "pc", "pcall", "print",
    })
    completed("completion_test.object:vcpu { pc = 1 }, p", {
        "package", "pairs", "pcall", "print",
    })
    _G.completion_test = nil
end)

-- ---- in a pseudo-terminal ----------------------------------------------

local LIBRARIES = { -- HVLUA_LIBEDIT, by what it makes of the prompt
    ["libedit"] = "libedit.so.2", ["GNU readline"] = "libreadline.so.8",
    ["no library"] = "none",
}

local function quote(word)
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function read_file(path)
    local file <close> = io.open(path, "rb")
    return file and file:read "a" or ""
end

-- The program in a terminal: say(keys), expect(text that follows what was
-- expected before), finish() --> does it end with status 0?
local function terminal(library)
    local status, out = t.run { "script", "--version" }
    if status ~= 0 or not out:find "util%-linux" then
        t.skip "needs script of util-linux"
    end
    local able, _, why = t.run { "script", "-qec", "true", "/dev/null" }
    if able ~= 0 then
        t.skip("no pseudo-terminal here: " .. why:gsub("%s+$", ""))
    end
    local screen, history = os.tmpname(), os.tmpname()
    os.remove(history)
    -- exec: a shell that waits would take Ctrl-C for its own end; libedit takes no
    -- letter that the locale has not
    local command = ("exec env HVLUA_LIBEDIT=%s HVLUA_HISTORY=%s TERM=xterm "
        .. "LC_ALL=C.UTF-8 %s"):format(library, quote(history), quote(t.hvlua))
    local keys = assert(io.popen(("timeout 60 script -qefc %s %s >/dev/null 2>&1"):format(
        quote(command), quote(screen)), "w"))
    local self, from = { history = history }, 1
    local function shown()
        return (read_file(screen):gsub("\27%[[%d;?]*%a", ""):gsub("\r", ""))
    end
    function self.say(text)
        keys:write(text)
        keys:flush()
    end
    function self.expect(text)
        local ends = core.clock() + 10
        repeat
            local first, last = shown():find(text, from, true)
            if first then
                from = last + 1
                return
            end
            core.poll({}, 0.02)
        until core.clock() > ends
        error(("%q is not on the screen:\n%s"):format(text, shown():sub(from)), 2)
    end
    function self.finish()
        local ok = keys:close()
        os.remove(screen)
        os.remove(history)
        return ok
    end
    self.expect "hvlua "
    self.expect "> "
    if library ~= "none" and not shown():find "Tab completes" then
        self.say "\4"
        self.finish()
        t.skip("there is no " .. library)
    end
    return self
end

-- Lines are typed when the prompt is there; what they print is no part of them.
local function enter(tty, ...)
    for _, line in ipairs { ... } do
        tty.say(line .. "\n")
        tty.expect "\n> "
    end
end

for name, library in pairs(LIBRARIES) do
    t.test("Ctrl-C at the prompt, with " .. name, function()
        local tty = terminal(library)
        tty.say "junk junk"
        tty.expect "junk junk"
        tty.say "\3"
        tty.expect "^C"
        tty.expect "> "
        tty.say "for i = 1, 3 do\n"
        tty.expect ">> "
        tty.say "\3"
        tty.expect "^C"
        tty.expect "\n> "
        tty.say "6 * 7\n"
        tty.expect "42 (0x2a)\n> "
        for _ = 1, 3 do
            tty.say "print('o' .. 'n') while true do end\n"
            tty.expect "on\n"
            tty.say "\3"
            tty.expect "interrupted!\n> "
        end
        tty.say "print('o' .. 'n') print(os.execute 'sleep 20')\n"
        tty.expect "on\n"
        core.poll({}, 0.5)
        tty.say "\3"
        tty.expect "signal\t2\n> "
        tty.say "print('o' .. 'n') io.read()\n"
        tty.expect "on\n"
        core.poll({}, 0.5)
        tty.say "\3"
        tty.expect "interrupted!\n> "
        tty.say "1 + 1\n"
        tty.expect "2\n> "
        tty.say "\4"
        t.ok(tty.finish())
    end)

    t.test("Ctrl-C stops a guest, with " .. name, function()
        local tty = terminal(library)
        local arch
        for _, b in ipairs(hv.backends()) do
            arch = b.ok and b.arch or arch
        end
        -- a hypercall, then an endless loop
        local code = arch == "arm64" and [["\2\0\0\xd4\0\0\0\x14"]]
            or [["\xe6\xe8\xeb\xfe"]]
        enter(tty, ("vm = hv.vm { arch = '%s', memory = '64K' }"):format(arch),
              ("vm:load(0, %s)"):format(code), "cpu = vm:vcpu()",
              "vm:hypercall(0, function() print('i' .. 'n') while true do end end)")
        tty.say "vm:run()\n"
        tty.expect "in\n"
        tty.say "\3"
        tty.expect "interrupted!\nin the handler of: hypercall 0"
        tty.expect "\n> "
        tty.say "vm:run { timeout = 0.1 }\n" -- the Ctrl-C is not left over
        tty.expect "exit: timeout"
        tty.expect "\n> "
        for _ = 1, 2 do
            tty.say "print('o' .. 'n') vm:run()\n"
            tty.expect "on\n"
            core.poll({}, 0.1)
            tty.say "\3"
            tty.expect "interrupted!\n> "
        end
        tty.say "vm.running\n"
        tty.expect "false\n> "
        tty.say "\4"
        t.ok(tty.finish())
    end)

    if library ~= "none" then
        t.test("completion and history, with " .. name, function()
            local tty = terminal(library)
            tty.say "pri\t(12 + 30)\n"
            tty.expect "42\n> "
            tty.say "#hv.back\t() > 0\n"
            tty.expect "true\n> "
            tty.say "io.stdout.setv\t\n"
            tty.expect "function (in C)\n> "
            enter(tty, "x = 'ä'")
            tty.say "111 + #x\n"
            tty.expect "113 (0x71)\n> "
            tty.say "\27[A\n" -- the line before
            tty.expect "113 (0x71)\n> "
            local _, out = t.run { "ls", "-l", tty.history }
            t.ok(out:find "^%-rw%-%-%-%-%-%-%-", out)
            t.eq(read_file(tty.history), "print(12 + 30)\n#hv.backends() > 0\n"
                .. "io.stdout.setvbuf\nx = 'ä'\n111 + #x\n")
            tty.say "\4"
            t.ok(tty.finish())
        end)

        t.test("completion of machines and their parts, with " .. name, function()
            local tty = terminal(library)
            local arch
            for _, b in ipairs(hv.backends()) do
                arch = b.ok and b.arch or arch
            end
            enter(tty, ("vm = hv.vm { arch = '%s', memory = '64K' }"):format(arch),
                  "cpu = vm:vcpu()", "mem = vm:map { at = '1M', size = '64K' }")
            tty.say "vm.backe\t == nil\n"
            tty.expect "false\n> "
            tty.say "type(vm.unma\t)\n"
            tty.expect '"function"\n> '
            tty.say((arch == "arm64" and "cpu.vbar_\t" or "cpu.rfl\t") .. " ~= nil\n")
            tty.expect "true\n> "
            tty.say "type(cpu.breakp\t)\n"
            tty.expect '"function"\n> '
            tty.say "type(mem.prote\t)\n"
            tty.expect '"function"\n> '
            tty.say "\4"
            t.ok(tty.finish())
        end)

        t.test("long lines, with " .. name, function()
            local tty = terminal(library)
            tty.say "y = '"
            for _ = 1, 30 do
                tty.say(("b"):rep(100))
            end
            tty.say "'\n"
            tty.expect "b'\n> "
            tty.say "#y\n"
            tty.expect "3000 (0xbb8)\n> "
            tty.say "\27[A\27[A\n" -- libedit does not get such a line back
            tty.say "\4"
            t.ok(tty.finish())
        end)
    end
end
