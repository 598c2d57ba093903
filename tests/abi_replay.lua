-- SPDX-License-Identifier: MIT
-- abi:replay where a run is another than the recorded one, and files of recordings that
-- are not as abi:record leaves them.
local t = ...
local caller = dofile(t.folder .. "/tests/abi/caller.lua")
local files = dofile(t.folder .. "/tests/abi/file.lua")
local hv = require "hv"

local ABI = hv.abi("lab", {
    version = 3, range = { 1, 9 },
    say = { 1, "cstr text" }, add = { 2, "i32 a", "i32 b", returns = "i32" },
    read = { 3, "cstr path", "out bytes data", returns = "i64" },
    stat = { 4, "u32 id", "out struct stat info", returns = "errno" },
    mode = { 5, "enum color c", "flags perm p", "in f64 v[2]", returns = "bool" },
    stat_t = hv.struct { "u64 size", "u8 links[2]" }, color = hv.enum { "red", "green" },
    perm = hv.flags { "r", "w" },
})
local HEAD = ("hvlua recording 1: abi lab, version 3, layout %016x\n"):format(ABI.hash)
    .. "limits: 4096, string 256\n"
local function guest(open)
    local vm, call = caller.guest(open)
    vm:write(0x20000, "Hello\0")
    return vm, function(...)
        local result, number = call(...)
        return result, number
    end
end

local function served(open, text)
    local path, _ <close> = files.temporary(text) -- it is read at once
    local vm, call = guest(open)
    local replay = ABI:replay(path)
    local server = vm:serve(replay)
    return call, replay, path, vm, server
end

-- ---- another run -----------------------------------------------------------------

t.on("the first call that differs ends the run, and shows both", function(open, _, arch)
    local recorded = HEAD .. "0: add(a = 1, b = 2) = 3\n\n-- a person's\n"
        .. '0: say(text = "Hello") = 0\n'
    local pc = arch == "arm64" and "0x10004" or "0x10002"
    local call, replay, path = served(open, recorded)
    t.eq((call(2, 1, 2)), 3)
    for _, case in ipairs {
        { { 2, 1, 2 }, "add(a = 1, b = 2)" },                      -- another call
        { { 1, 0x20001 }, 'say(text = "ello")' },                  -- another argument
        { { 1, -1 }, 'say: EFAULT "text: at 0xffffffffffffffff"' }, -- no argument
        { { 7 }, "#7()" },
    } do
        local why = t.raises(function() call(table.unpack(case[1])) end, "differs")
        t.ok(why:find(('%s:6: call 2 of vcpu 0 differs, at guest pc %s\n  recorded: say(text = '
             .. '"Hello")\n  now:      %s\nin the handler of: hypercall'):format(path, pc, case[2]),
             1, true), why)
    end
    t.eq({ replay.answered, replay.left }, { 1, 1 })
    t.raises(function() replay:finish() end, ('replay: %s:6: 1 calls of the recording did not '
        .. 'come, the first of them call 2 of vcpu 0: say(text = "Hello")'):format(path))
    t.eq((call(1, 0x20000)), 0) -- it was still the next one
    local why = t.raises(function() call(1, 0x20000) end, "is not in the recording")
    t.ok(why:find(('%s: call 3 of vcpu 0 is not in the recording, at guest pc %s\n  recorded: '
         .. 'nothing more\n  now:      say(text = "Hello")\n'):format(path, pc), 1, true), why)
    t.eq({ replay.answered, replay.left }, { 2, 0 })
    replay:finish()
end)

t.on("what is not the handler's is compared too", function(open)
    local call = served(open, HEAD .. '0: say: EFAULT "text: at 0xffffffffffffffff"\n'
        .. '0: add: ENOSYS "it has no handler"\n0: #7: ENOSYS "there is no such call"\n')
    t.raises(function() call(1, 0x20000) end, 'recorded: say: EFAULT "text: at 0xffff')
    t.raises(function() call(1, -2) end, '  now:      say: EFAULT "text: at 0xfffffffffffffffe"')
    t.eq({ call(1, -1) }, { -14, 14 })
    t.raises(function() call(7) end, "now:      #7()")
    t.eq({ call(2, 1, 2) }, { -38, 38 })
    t.raises(function() call(8) end, "now:      #8()")
    t.eq({ call(7) }, { -38, 38 })
end)

t.on("of long calls, where they differ", function(open)
    local long = ("x"):rep(100) .. ("y"):rep(100)
    local call, _, _, vm = served(open, HEAD .. ('0: say(text = "%s!") = 0\n'):format(long))
    vm:write(0x20000, long .. "?\0")
    local why = t.raises(function() call(1, 0x20000) end, "differs")
    local recorded, now = why:match "\n  recorded: ([^\n]*)\n  now:      ([^\n]*)\n"
    t.ok(recorded:find '^%.%.%.x+y+!"%)$' and now:find '^%.%.%.x+y+%?"%)$', why)
    t.ok(#recorded < 200 and #now == #recorded, why)
end)

t.on("an answer that does not fit the guest is the file's mistake", function(open)
    local call, _, path, vm, server = served(open, HEAD
        .. '0: read(path = "Hello", data[4]) = 5, data = "12345"\n'
        .. '0: read(path = "Hello", data[4]) = -9, data = "1234"\n'
        .. "0: stat(id = 1) = -200, info = { size = 1, links = { 2, 3 } }\n")
    t.raises(function() call(3, 0x20000, 0x30000, 4) end, path .. ":3: lab.read: the handler "
        .. "returned 5 bytes for data, the guest has room for 4")
    t.eq({ call(3, 0x20000, 0x30000, 4) }, { -9, 0 })
    t.eq({ vm:read(0x30000, 4), server.errors }, { "1234", 0 })
    t.eq({ call(4, 1, 0x30000) }, { -200, 200 })
    t.eq({ vm:read(0x30000, 4), server.errors }, { "1234", 1 })
end)

t.on("the recording's limits hold", function(open)
    local call, _, _, vm = served(open, HEAD
        .. '0: read: E2BIG "data: 4097: more than 4096 bytes"\n'
        .. '0: say: ENAMETOOLONG "text: at 0x21000: no end in 256 bytes"\n')
    vm:fill(0x21000, 257, 65)
    t.eq({ (call(3, 0x20000, 0x30000, 4097)), (call(1, 0x21000)) }, { -7, -36 })
    local empty, _ <close> = files.temporary(HEAD)
    local replay = ABI:replay(empty)
    for _, case in ipairs {
        { { replay, {} }, "serve: a replay has all answers: no handlers beside it" },
        { { replay, nil, { limit = 1 } }, "serve: limit, string: a replay has those of its" },
        { { replay, nil, { string = 1 } }, "serve: limit, string: a replay has those of its" },
        { { replay, nil, { limits = 1 } }, 'did you mean "limit"' },
    } do
        local why = t.raises(function() vm:serve(table.unpack(case[1], 1, 3)) end, case[2])
        t.ok(why:find "^%.?/?tests/abi_replay.lua:%d+: ", why)
    end
end)

t.on("a closed machine, and one that is another's", function(open)
    t.several(open)
    local path, _ <close> = files.temporary(HEAD)
    local vm, other = guest(open), guest(open)
    local replay, recording = ABI:replay(path), ABI:record(path .. ".2")
    vm:serve(replay)
    vm:serve(recording, {}, { limit = 512 })
    t.raises(function() other:serve(replay) end, "serve: the replay is another machine's")
    t.raises(function() other:serve(recording, {}) end,
             "serve: the recording is of another machine: use another file")
    t.raises(function() vm:serve(recording, {}) end,
             "serve: the recording has limits: 512, string 65536, this is limits: 16777216")
    vm:close()
    t.raises(function() vm:serve(replay) end, "the machine is closed")
    t.raises(function() vm:serve(recording, {}) end, "the machine is closed")
    for _, wrong in ipairs {
        function() vm:serve(ABI, {}) end, function() vm.serve(1) end,
        function() vm:trace { hypercalls = true } end, function() vm.trace(1) end,
        function() recording.close() end, function() replay.finish({}) end,
    } do
        t.raises(wrong, "^[^\n]*abi_replay.lua:%d+: ")
    end
    t.eq({ replay.answered, replay.left, recording.calls }, { 0, 0, 0 })
    recording:close()
    recording:close()
    t.raises(function() other:serve(recording, {}) end, "serve: the recording is closed")
    os.remove(path .. ".2")
end)

-- ---- writing ---------------------------------------------------------------------

t.on("two recordings of one file: the later one has it", function(open)
    t.several(open)
    local path, _ <close> = files.temporary "what was there before"
    local vm, call = guest(open)
    local first = ABI:record(path)
    vm:serve(first, { add = function(a, b) return a + b end })
    call(2, 1, 2)
    local before = files.contents(path)
    t.eq(select(2, before:gsub("\n", "")), 3)
    local other, its_call = guest(open)
    other:serve(ABI:record(path), { add = function(a, b) return a * b end })
    its_call(2, 3, 4)
    local why = t.raises(function() call(2, 1, 2) end, "another recording has the file since")
    t.ok(why:find("abi: record: " .. path .. ": another", 1, true), why)
    t.raises(function() vm:serve(first, {}) end, "serve: the recording is broken: another")
    t.eq(files.contents(path):match "\n(0:.*)$", "0: add(a = 3, b = 4) = 12\n")
    -- behind close() calls are answered, and not written
    local third <close> = ABI:record(path)
    other:serve(third, { add = function() return 7 end })
    third:close()
    t.eq((its_call(2, 3, 4)), 7)
    t.eq({ files.contents(path):match "\n(0:.*)$", third.calls }, { nil, 0 })
end)

t.test("a file that cannot be written", function()
    local function record(path)
        return ABI:record(path)
    end
    t.raises(function() record "/none/such" end, "abi: record: /none/such: No such file")
    local full <close> = io.open("/dev/full", "w")
    if not full then
        t.skip "there is no /dev/full"
    elseif not pcall(hv.vm) then
        t.skip(select(2, pcall(hv.vm)))
    end
    t.raises(function() record "/dev/full" end, "abi: record: /dev/full: No space left")
    -- one that gets full later: a limit on the size of files, in a process of its own
    local path, _ <close> = files.temporary()
    local script = ([[
        local hv = require "hv"
        local abi = hv.abi("lab", { say = { 1, "cstr text" } })
        local vm = hv.vm { memory = "1M" }
        vm:load(0x10000, hv.asm "next: mov x0, #1\n mov x1, #0x20000\n hvc #0\n b next")
        vm:fill(0x20000, 300, 65)
        local calls = 0
        vm:vcpu { pc = 0x10000 }
        local recording = abi:record(%q)
        local handlers = { say = function() calls = calls + 1 end }
        vm:serve(recording, handlers)
        for _ = 1, 2 do print((select(2, pcall(vm.run, vm, { timeout = 20 })))) end
        print((select(2, pcall(vm.serve, vm, recording, handlers))))
        print(calls)
    ]]):format(path)
    local limited = "trap '' XFSZ; ulimit -f 4; exec " .. t.hvlua .. " -"
    local _, out = t.run({ "sh", "-c", limited }, script)
    t.ok(out:find("abi: record: " .. path .. ": File too large", 1, true), out)
    t.ok(select(2, out:gsub("abi: record: ", "")) == 2 and tonumber(out:match "(%d+)\n$") > 5, out)
    t.ok(out:find("serve: the recording is broken: File too large", 1, true), out)
    local text = files.contents(path) -- and what is there can be used
    local abi = hv.abi("lab", { say = { 1, "cstr text" } })
    local replay = abi:replay(path)
    t.eq({ replay.cut ~= nil, replay.left }, { text:sub(-1) ~= "\n",
         select(2, text:gsub("\n", "")) - 2 })
end)

t.test("a process that is killed leaves what was answered", function()
    if not pcall(hv.vm) then
        t.skip(select(2, pcall(hv.vm)))
    end
    local path, _ <close> = files.temporary()
    local script = ([[
        local hv = require "hv"
        local abi = hv.abi("lab", { say = { 1, "u32 i" } })
        local vm = hv.vm { memory = "1M" }
        vm:load(0x10000, hv.asm [=[
            next: mov x0, #1
            add x19, x19, #1
            mov x1, x19
            hvc #0
            b next
        ]=])
        vm:vcpu { pc = 0x10000 }
        vm:serve(abi:record(%q), { say = function(i)
            if i == 4 then os.execute "kill -9 $PPID" end
        end })
        vm:run { timeout = 20 }
    ]]):format(path)
    t.run({ t.hvlua, "-" }, script)
    local text = files.contents(path)
    t.eq(text:match "\n(0:.*)$", "0: say(i = 1) = 0\n0: say(i = 2) = 0\n0: say(i = 3) = 0\n")
end)

-- ---- files -----------------------------------------------------------------------

local WHOLE = HEAD .. '0: say(text = "a\\x00\\n") = 0\n0: add(a = -1, b = 2) = 1\n'
    .. '1: read(path = "x", data[9]) = 2, data = "\\\\\\""\n'
    .. "0: stat(id = 1) = 0, info = { size = -1, links = { 1, 255 } }\n"
    .. "0: mode(c = green, p = r|0x8, v = { nan(0xfff8000000000000), -1e-05 }) = true\n"
    .. '0: stat(id = 2) = -ENOENT\n0: say: EFAULT "text: at 0x0"\n0: #7() = 5 stop "x"\n'
    .. "0: add(a = 1, b = 2) stop 1.5\n0: add(a = 1, b = 2) raised \"why\"\n"
    .. "0: add(a = 1, b = 2) closed\n"

t.test("a recording that is cut off anywhere", function()
    local path, _ <close> = files.temporary()
    for length = 0, #WHOLE do
        local file <close> = assert(io.open(path, "wb"))
        file:write(WHOLE:sub(1, length))
        file:close()
        local ok, replay = pcall(ABI.replay, ABI, path)
        local lines = select(2, WHOLE:sub(1, length):gsub("\n", ""))
        local whole = length == 0 or WHOLE:sub(length, length) == "\n"
        if lines == 0 and length < #HEAD:match "[^\n]*" then
            t.ok(not ok and replay:find(path .. ":1: ", 1, true), replay)
        else
            t.ok(ok, replay)
            local cut = not whole and lines > 0 and lines + 1 or nil
            t.eq({ replay.left, replay.cut }, { math.max(lines - 2, 0), cut })
        end
    end
end)

t.on("the call of a line that is cut off is not in it", function(open)
    local call = served(open, HEAD .. "0: add(a = 1, b = 2) = 3\n0: add(a = 1, b = 2) = 1")
    t.eq((call(2, 1, 2)), 3)
    t.raises(function() call(2, 1, 2) end,
             "call 2 of vcpu 0 is not in the recording, line 4 of which is cut off, at guest pc")
end)

t.test("recordings of something else, and lines that are none", function()
    local path, _ <close> = files.temporary()
    local function refused(text, want)
        local file <close> = assert(io.open(path, "wb"))
        file:write(text)
        file:close()
        local why = t.raises(function() ABI:replay(path) end, want)
        t.ok(why:find("^%.?/?tests/abi_replay.lua:%d+: abi: replay: " .. path:gsub("%p", "%%%0")
                      .. ":%d+: "), why)
    end
    local first = HEAD:match "[^\n]*"
    refused("", ":1: this is no recording of hvlua's")
    refused("\0\0\0\n", ":1: this is no recording of hvlua's")
    refused(first:gsub("ing 1", "ing 2") .. "\n", "a recording in format 2, this hvlua reads 1")
    refused(first:gsub("layout", "out") .. "\n", ":1: abi, version and layout expected")
    refused(first:gsub("lab", "bal") .. "\n", "a recording of the ABI bal, this is lab")
    refused(first:gsub("version 3", "version 2") .. "\n", "of version 2, this is version 3")
    refused(first:gsub("%x+$", ("0"):rep(16)) .. "\n", ("a recording of another layout of version "
        .. "3, 0000000000000000, this is %016x: record it anew"):format(ABI.hash))
    refused(first .. "\n0: add(a = 1, b = 2) = 3\n", ":2: limits expected")
    refused(first .. "\nlimits: 99999999999999999999, string 1\n", ":2: limits, once, expected")
    refused(HEAD .. "limits: 1, string 1\n", ":3: limits, once, expected")
    refused(HEAD .. HEAD, ":3: column 1: an integer expected")
    for _, case in ipairs {
        { "add(a = 1, b = 2) = 3", "column 1: an integer expected" },
        { "0 add(a = 1, b = 2) = 3", "column 2: : expected" },
        { "0: ", "a call's name expected" },
        { "-1: add(a = 1, b = 2) = 3", "column 3: vcpu -1: they are 0 to 63" },
        { "64: add(a = 1, b = 2) = 3", "vcpu 64: they are 0 to 63" },
        { "0: sub(a = 1) = 1", "lab has no call sub" },
        { "0: #0() = 1", "#0: the numbers are 1 to 9" },
        { "0: #99999999999999999999() = 1", "the numbers are 1 to 9" },
        { "0: add(a = 1) = 3", ", expected" },
        { "0: add(a = 1, c = 2) = 3", "b expected" },
        { "0: add(a = 1, b = 2, c = 3) = 3", ") expected" },
        { "0: add(a = 1, b = 4294967296) = 3", "4294967296 does not fit i32" },
        { "0: add(a = 1, b = 99999999999999999999) = 3", "an integer expected" },
        { "0: add(a = 1.5, b = 2) = 3", ", expected" },
        { "0: add(a = 1, b = 2) = 3 4", "nothing more expected" },
        { "0: add(a = 1, b = 2) = 3, x = 4", "nothing more expected" },
        { "0: add(a = 1, b = 2) =", "an integer expected" },
        { "0: add(a = 1, b = 2)", "=, stop, raised or closed expected" },
        { "0: add(a = 1, b = 2) = -ENOWAY", "ENOWAY is no error's name" },
        { "0: add(a = 1, b = 2) = -EPERM why", '" expected' },
        { "0: add(a = 1, b = 2) raised", '" expected' },
        { "0: add(a = 1, b = 2) stop x", "a number expected" },
        { '0: say(text = "x) = 0', "a string has no end" },
        { '0: say(text = "x\\', "a string has no end" },
        { '0: say(text = "\\q") = 0', "an unknown escape, \\q" },
        { '0: say(text = "\\xg0") = 0', "an unknown escape, \\x" },
        { '0: say(text = "") = 1', "0 expected" },
        { '0: say: ENOWAY "x"', "ENOWAY is no error's name" },
        { "0: say: EFAULT", '" expected' },
        { '0: read(path = "x") = 2, data = ""', ", expected" },
        { '0: read(path = "x", data[9]) = 2', ", expected" },
        { '0: read(path = "x", data[]) = 2, data = ""', "an integer expected" },
        { "0: stat(id = 1) = 5000", "5000: 0 or an error expected" },
        { "0: stat(id = 1) = -4096", "-4096: 0 or an error expected" },
        { "0: stat(id = 1) = 0, info = { size = 1 }", ", expected" },
        { "0: stat(id = 1) = 0, info = { size = 1, links = { 1 } }", "2 values expected, there" },
        { "0: stat(id = 1) = 0, info = { size = 1, links = { 1, 2", "} expected" },
        { "0: stat(id = 1) = 0, info = { links = { 1, 2 }, size = 1 }", "size expected" },
        { "0: mode(c = blue, p = 0, v = { 1, 2 }) = true", "blue: no name of enum color" },
        { "0: mode(c = red, p = r|q, v = { 1, 2 }) = true", "q: no name of flags perm" },
        { "0: mode(c = red, p = 0, v = { 1, x }) = true", "a number expected" },
        { "0: mode(c = red, p = 0, v = { 1, nan }) = true", "a number expected" },
        { "0: mode(c = red, p = 0, v = { 1, 2 }) = 1", "true or false expected" },
    } do
        refused(HEAD .. "0: add(a = 1, b = 2) = 3\n" .. case[1] .. "\n", case[2])
        t.raises(function() ABI:replay(path) end, ":4: column ")
    end
    t.raises(function() ABI:replay "/none/such" end, "abi: replay: /none/such: No such file")
    t.raises(function() ABI:replay "/" end, "abi: replay: /: Is a directory")
    for _, case in ipairs {
        { function() ABI:replay() end, "abi: replay: a file's name expected, got nil" },
        { function() ABI:record(1) end, "abi: record: a file's name expected, got number" },
        { function() ABI.record(path) end, "abi: record: an ABI of hv.abi() expected, got string: "
            .. "call it with abi:record(file)" },
        { function() ABI:replay(path, {}) end, "abi: replay: nothing goes behind the file's name" },
    } do
        t.raises(case[1], case[2])
    end
end)

t.on("recordings that were tampered with: an error with its place, or a run", function(open)
    math.randomseed(20261120)
    local path, _ <close> = files.temporary()
    local words = { "0", "9", "-", "{", "}", '"', "\\", "\0", "nan(0x1)", ",", "\n", " stop", "=",
        "E", "x", ":", "#", "(", ")", "99999999999999999999" }
    local read = 0
    local calls = { { 1, 0x20000 }, { 2, 1, 2 }, { 3, 0x20000, 0x30000, 9 }, { 4, 1, 0x30000 },
        { 7 }, { 1, 0 } }
    for _ = 1, 400 do
        local at = math.random(#HEAD + 1, #WHOLE)
        local word = math.random(2) == 1 and words[math.random(#words)] or math.random(0, 9)
        local text = WHOLE:sub(1, at - 1) .. word .. WHOLE:sub(at + math.random(0, 3))
        local file <close> = assert(io.open(path, "wb"))
        file:write(text)
        file:close()
        local ok, replay = pcall(ABI.replay, ABI, path)
        if not ok then
            t.ok(replay:find(path .. ":%d+: column %d+: ") or replay:find(path .. ":%d+: limits"),
                 replay .. "\n" .. text)
        else
            read = read + 1
            local vm <close>, call = guest(open)
            vm:serve(replay)
            for _, words_of in ipairs(calls) do
                local well, why = pcall(call, table.unpack(words_of))
                t.ok(well or why:find(path, 1, true), why)
                if vm.closed then
                    break
                end
            end
        end
    end
    t.ok(read > 400 // 10, read)
end)
