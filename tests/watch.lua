-- SPDX-License-Identifier: MIT
-- hvlua --watch: a script that is saved runs again.
local t = ...
local core = require "hv.core"
local hv = require "hv"

local function folder()
    local path = os.tmpname()
    os.remove(path)
    t.run { "mkdir", path }
    return setmetatable({ path = path }, { __close = function() t.run { "rm", "-r", path } end })
end

local function write(path, text)
    local file <close> = assert(io.open(path .. ".new", "w"))
    file:write(text)
    file:close()
    assert(os.rename(path .. ".new", path)) -- as editors do
end

local function overwrite(path, text)
    local file <close> = assert(io.open(path, "w"))
    file:write(text)
end

-- A watch of script.lua in the background, whose output goes to a file. --> says(text)
-- waits until that is in it, behind what was found before.
local function watching(dir, ...)
    local log = dir.path .. "/log"
    overwrite(log, "")
    local _, program = t.run { "readlink", "-f", t.hvlua }
    local argv = { program:match "[^\n]+", "--watch", ... }
    local words = {}
    for i, word in ipairs(argv) do
        words[i] = "'" .. word:gsub("'", "'\\''") .. "'"
    end
    -- A shell's background program ignores Ctrl-C unless it is told otherwise.
    local env = t.foreground()
    local command = ("cd '%s'; %s %s >>log 2>&1 & echo $!"):format(
        dir.path, table.concat(env or {}, " "), table.concat(words, " "))
    local _, pid = t.run { "sh", "-c", command }
    pid = pid:match "%d+"
    local seen = 0
    local function says(text, note)
        local until_ = core.clock() + 20
        repeat
            local file <close> = assert(io.open(log))
            local all = file:read "a"
            local _, last = all:find(text, seen + 1, true)
            if last then
                seen = last
                return all
            end
            t.run { "sleep", "0.01" }
        until core.clock() > until_
        local file <close> = assert(io.open(log))
        error(("%s: not said: %s\n%s"):format(note or "watch", text, file:read "a"), 2)
    end
    return says, setmetatable({ pid = pid, interruptible = env }, { __close = function()
        t.run { "sh", "-c", "kill -INT " .. pid .. " 2>/dev/null; sleep 0.1; kill -9 " .. pid
            .. " 2>/dev/null" }
    end })
end

t.test("the script, a module and a file that it reads: each save is a run", function()
    local dir <close> = folder()
    write(dir.path .. "/script.lua", [[
        package.path = "./?.lua"
        local file = io.open "data.txt"
        io.stderr:write("one: ", require "part", " ", file:read "a", " ", arg[1], "\n")
    ]])
    write(dir.path .. "/part.lua", "return 'first'")
    write(dir.path .. "/data.txt", "data")
    local says, watch <close> = watching(dir, "script.lua", "argument")
    t.ok(watch.pid)
    says "one: first data argument"
    says "it has ended: waiting for a change"
    overwrite(dir.path .. "/part.lua", "return 'second'")
    says "one: second data"
    says "waiting"
    write(dir.path .. "/data.txt", "more")
    says "one: second more"
    says "waiting"
    write(dir.path .. "/script.lua", "io.stderr:write 'another script\\n' error 'oh'")
    says "another script"
    says "hvlua: script.lua:1: oh"
    says "it has ended with status 1: waiting for a change"
    write(dir.path .. "/script.lua", "syntax error")
    says "syntax error near"
    write(dir.path .. "/script.lua", "io.stderr:write 'mended\\n'")
    says "mended"
end)

t.test("a module that cannot be loaded runs again when it is mended", function()
    local dir <close> = folder()
    write(dir.path .. "/script.lua", [[
        package.path = "./?.lua"
        io.stderr:write("it says ", require "part", "\n")
    ]])
    write(dir.path .. "/part.lua", "return require 'deep'")
    write(dir.path .. "/deep.lua", "syntax error")
    local says, watch <close> = watching(dir, "script.lua")
    t.ok(watch.pid)
    says "syntax error near"
    says "waiting"
    write(dir.path .. "/deep.lua", "error 'not yet'")
    says "not yet"
    says "waiting"
    write(dir.path .. "/deep.lua", "return 'mended'")
    says "it says mended"
end)

t.test("a guest that runs on is interrupted, and ends in peace", function()
    local dir <close> = folder()
    local text = [[
        local hv = require "hv"
        local arm = pcall(hv.vm)
        local vm <close> = hv.vm { arch = arm and "arm64" or "x86_64", memory = "64K" }
        local _ <close> = setmetatable({}, { __close = function() io.stderr:write "closed\n" end })
        vm:load(0x4000, arm and "\x02\0\0\xd4\0\0\0\x14" -- hvc #0; b .
            or "\xe6\xe8\xeb\xfe") -- out %al, $0xe8; jmp .
        vm:hypercall(0, function() io.stderr:write "RUN\n" end)
        vm:vcpu { [arm and "pc" or "rip"] = 0x4000 }
        vm:run()
    ]]
    write(dir.path .. "/script.lua", text:gsub("RUN", "first"))
    local says, watch <close> = watching(dir, "script.lua")
    says "first"
    write(dir.path .. "/script.lua", text:gsub("RUN", "second"))
    says "closed"
    local all = says "second"
    t.ok(not all:find "interrupted", all)
    -- one that does not mind is ended all the same
    write(dir.path .. "/script.lua", [[
        io.stderr:write "stubborn\n"
        while true do pcall(function() while true do end end) end
    ]])
    says "stubborn"
    write(dir.path .. "/script.lua", text:gsub("RUN", "third"))
    says "third"
    if not watch.interruptible then
        return
    end
    t.run { "kill", "-INT", watch.pid }
    says "closed"
    for _ = 1, 200 do
        if t.run { "kill", "-0", watch.pid } ~= 0 then
            return
        end
        t.run { "sleep", "0.01" }
    end
    error "Ctrl-C does not end it"
end)

t.test("what the script writes itself is no reason to run it again", function()
    local dir <close> = folder()
    local text = [[
        local function state(path, update)
            local file <close> = io.open(path)
            local runs = file and tonumber(file:read "a") or 0
            update(path, runs + 1)
            return runs
        end
        local function overwrite(path, text)
            local file <close> = io.open(path, "w")
            file:write(text)
        end
        local function replace(path, text)
            overwrite(path .. ".new", text)
            os.rename(path .. ".new", path)
        end
        local function update(path, text)
            local file <close> = io.open(path, "a+")
            file:read "a"
            file:write(text)
        end
        local function redirect(path, text)
            io.output(path)
            io.write(text)
            io.close()
        end
        require "part"
        io.stderr:write(state("one", overwrite), state("two", replace), state("three", update),
                        state("four", redirect), " WHO\n")
        for _, name in ipairs { "one", "two", "three", "four" } do
            io.open(name):close()
        end
    ]]
    write(dir.path .. "/part.lua", "return 1")
    write(dir.path .. "/script.lua", text:gsub("WHO", "I"))
    local says, watch <close> = watching(dir, "script.lua")
    t.ok(watch.pid)
    says "0000 I\n"
    for round, run in ipairs { "1111 I\n", "22122 I\n" } do
        says "waiting for a change"
        t.run { "sleep", "0.3" } -- in which all there is to come would
        overwrite(dir.path .. "/part.lua", "return " .. round)
        says(run)
    end
end)

t.test("nor what it writes when it is interrupted, or its guest's shared file", function()
    local dir <close> = folder()
    local text = [[
        local hv = require "hv"
        local file = io.open "state"
        local runs = file:read "n"
        file:close()
        local _ <close> = setmetatable({}, { __close = function()
            local file <close> = io.open("state", "w")
            file:write(runs + 1)
        end })
        local arm = pcall(hv.vm)
        local vm <close> = hv.vm { arch = arm and "arm64" or "x86_64" }
        vm:map { at = 0, size = "64K", file = "disk", shared = true }
        vm:load(0x4000, arm and "\2\0\0\xd4\0\0\0\x14" -- hvc #0; b .
            or "\xe6\xe8\xeb\xfe") -- out %al, $0xe8; jmp .
        vm:hypercall(0, function() io.stderr:write("run ", runs, " WHO\n") end)
        vm:vcpu { [arm and "pc" or "rip"] = 0x4000 }
        vm:run()
    ]]
    overwrite(dir.path .. "/state", "0")
    overwrite(dir.path .. "/disk", ("\0"):rep(1 << 16))
    write(dir.path .. "/script.lua", text:gsub("WHO", "I"))
    local says, watch <close> = watching(dir, "script.lua")
    t.ok(watch.pid)
    says "run 0 I\n"
    for round, who in ipairs { "you", "they" } do
        t.run { "sleep", "0.3" }
        write(dir.path .. "/script.lua", text:gsub("WHO", who))
        says(("run %d %s\n"):format(round, who))
    end
    t.run { "sleep", "0.3" }
    local file <close> = assert(io.open(dir.path .. "/log"))
    t.eq(select(2, file:read "a":gsub("again", "")), 2)
end)

t.test("what a guest in C includes is watched, what the compiler writes is not", function()
    if not pcall(hv.cc, "long main(void) { return 0; }") then
        t.skip "no C compiler for arm64"
    end
    local dir <close> = folder()
    write(dir.path .. "/the number.h", "#define NUMBER 1")
    write(dir.path .. "/guest.c", '#include "./the number.h"\nlong main(void) { return NUMBER; }')
    write(dir.path .. "/script.lua", [[
        local hv = require "hv"
        io.stderr:write "it begins\n"
        local vm <close> = hv.vm { memory = "1M" }
        local cpu = vm:vcpu { pc = vm:load(hv.cc { file = "guest.c" }) }
        vm:run()
        io.stderr:write("the number is ", cpu.x0, "\n")
    ]])
    local says, watch <close> = watching(dir, "script.lua")
    t.ok(watch.pid)
    says "the number is 1\n"
    for number = 2, 3 do
        says "waiting"
        write(dir.path .. "/the number.h", "#define NUMBER " .. number)
        says(("the number is %d\n"):format(number))
    end
    local file <close> = assert(io.open(dir.path .. "/log"))
    t.eq(select(2, file:read "a":gsub("begins", "")), 3)
end)

t.test("a link's target is watched, and the link", function()
    local dir <close> = folder()
    t.run { "mkdir", dir.path .. "/there" }
    write(dir.path .. "/there/one.lua", "return 'first'")
    write(dir.path .. "/there/two.lua", "return 'third'")
    t.eq(t.run { "ln", "-s", "there/one.lua", dir.path .. "/part.lua" }, 0)
    write(dir.path .. "/script.lua", "io.stderr:write(dofile 'part.lua', ' part\\n')")
    local says, watch <close> = watching(dir, "script.lua")
    t.ok(watch.pid)
    says "first part"
    says "waiting"
    write(dir.path .. "/there/one.lua", "return 'second'")
    says "second part"
    says "waiting"
    t.eq(t.run { "ln", "-sfn", "there/two.lua", dir.path .. "/part.lua" }, 0)
    says "third part"
end)

t.test("a program does not outlive its watch, however that ends", function()
    local dir <close> = folder()
    write(dir.path .. "/script.lua", [[
        local _, pid = require "hv.core".pipe { "sh", "-c", "echo $PPID" }
        io.stderr:write("pid ", pid)
        while true do end
    ]])
    local says, watch <close> = watching(dir, "script.lua")
    local pid = says "\n":match "pid (%d+)"
    t.eq(t.run { "kill", "-0", pid }, 0)
    t.run { "kill", "-KILL", watch.pid }
    for _ = 1, 500 do
        if t.run { "kill", "-0", pid } ~= 0 then
            return
        end
        t.run { "sleep", "0.01" }
    end
    t.run { "kill", "-KILL", pid }
    error "it runs on"
end)

t.test("what a program tells last is heard", function()
    local watch <close> = core.watch()
    for _ = 1, t.fewer(200) do
        watch:start { "/bin/sh", "-c", "echo it >/dev/fd/$HVLUA_WATCH" }
        local news, text, heard
        repeat
            news, text = watch:wait(0.0001)
            heard = heard or news == "line" and text
        until news == "ended"
        t.eq(heard, "it")
    end
end)

t.test("what cannot be watched", function()
    for _, case in ipairs {
        { { "--watch" }, "hvlua: --watch needs a script's file" },
        { { "--watch", "-" }, "hvlua: --watch needs a script's file" },
        { { "--watch", "-e", "print(1)" }, "hvlua: --watch needs a script's file" },
        { { "--watch", "/none/such.lua" }, "hvlua: cannot open /none/such.lua" },
    } do
        local status, out, err = t.run { t.hvlua, table.unpack(case[1]) }
        t.eq({ status, out }, { 1, "" })
        t.ok(err:find(case[2], 1, true), err)
    end
end)
