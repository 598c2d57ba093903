-- SPDX-License-Identifier: MIT
-- abi:record and abi:replay: a run's calls written down, and another run answered from
-- that. What is wrong with files is in abi_replay.lua.
local t = ...
local caller = dofile(t.folder .. "/tests/abi/caller.lua")
local files = dofile(t.folder .. "/tests/abi/file.lua")
local hv = require "hv"
local struct = require "hv.abi.struct"
local text = require "hv.abi.text"

-- --> vm, call(nr, word...) --> result, error, the exit's kind and value
local function guest(open)
    local vm, call = caller.guest(open)
    return vm, function(...)
        local result, number, exit = call(...)
        return result, number, exit.kind, exit.value
    end
end

local function lines_of(path)
    local lines = {}
    for line in files.contents(path):gmatch "([^\n]*)\n" do
        lines[#lines + 1] = line
    end
    return table.move(lines, 3, #lines, 1, {})
end

-- Calls of a guest, with all that it sees of their answers.
local function script(vm, call, calls)
    local seen, memory = {}, {}
    for i, words in ipairs(calls) do
        if not vm.closed then
            vm:fill(0x30000, 0x1000, 0x55)
            seen[i] = table.pack(pcall(call, table.unpack(words)))
            memory[i] = not vm.closed and vm:read(0x20000, 0x20000)
        end
    end
    return seen, memory
end

-- Record it, and replay it: --> what both have seen, the replay, the lines.
local function both(open, abi, prepare, handlers, calls, opts)
    local path, _ <close> = files.temporary()
    local vm, call = guest(open)
    prepare(vm)
    vm:serve(abi:record(path), handlers, opts)
    local first, memory = script(vm, call, calls)
    vm:close()
    local again, its_call = guest(open)
    prepare(again)
    local replay = abi:replay(path)
    again:serve(replay)
    local second, its_memory = script(again, its_call, calls)
    again:close()
    for i = 1, #calls do
        t.ok(memory[i] == its_memory[i], ("call %d: other memory"):format(i))
    end
    return first, second, replay, lines_of(path)
end

-- ---- values as text ------------------------------------------------------------

local ABI = hv.abi("all", {
    ints = { 1, "u8 a", "i8 b", "u16 c", "i32 d", "u64 e", returns = "i64" },
    floats = { 2, "f32 a", "f64 b", returns = "f64" },
    single = { 3, "f32 a", returns = "f32" },
    words = { 4, "bool a", "ptr b", "enum color c", "flags perm d", returns = "enum color" },
    set = { 5, "flags perm x", returns = "flags perm" },
    yes = { 6, "u8 x", returns = "bool" },
    at = { 7, "ptr x", returns = "ptr" },
    put = { 8, "cstr text", "in bytes data", returns = "u32" },
    get = { 9, "out bytes data", returns = "i64" },
    swap = { 10, "inout bytes data[5]" },
    deep = { 11, "inout struct outer x", "out struct inner y[2]", returns = "errno" },
    list = { 12, "in u16 v[]", "out f64 w[]", "inout i32 n", returns = "u32" },
    open = { 13, "inout struct rest x" },
    none = { 14 },
    many = { 15, "u8 a", "u8 b", "u8 c", "u8 d", "u8 e", "u8 f", "u8 g", "cstr h", "out u8 i",
        returns = "errno" },
    inner = hv.struct { "f32 f", "u64 big", "char name[6]" },
    outer = hv.struct { "i8 a", "struct inner list[2]", "enum color c", "flags perm p",
        "bool yes", "errno e", "ptr at", "f64 d[3]" },
    rest_t = hv.struct { "u32 n", "enum color c[]" },
    color = hv.enum("u16", { "red", "green", stop = 77 }),
    perm = hv.flags("u64", { "r", "w", "x", top = math.mininteger }),
})

local NAN = string.unpack("<d", "\1\0\0\0\0\0\xf0\xff") -- a signalling one with a sign
local QUIET = string.unpack("<d", "\5\0\0\0\0\0\xf8\x7f")

local function bits(value)
    return math.type(value) == "float" and string.pack("<d", value) or value
end

t.test("each value is read back as it was written", function()
    local types = ABI.types
    local all = {}
    for i = 0, 255 do
        all[i + 1] = string.char(i)
    end
    local scalars = require("hv.abi.type").scalars
    for i, case in ipairs {
        { "i64", math.mininteger, "-9223372036854775808" }, { "i64", math.maxinteger },
        { "u8", 255, "255" }, { "i8", -128, "-128" }, { "ptr", -1, "0xffffffffffffffff" },
        { "f64", -0.0, "-0" }, { "f64", 0.1, "0.10000000000000001" }, { "f64", 5e-324 },
        { "f64", 1e300 }, { "f64", -1e-7 }, { "f64", math.huge, "inf" },
        { "f64", -math.huge, "-inf" }, { "f64", NAN, "nan(0xfff0000000000001)" },
        { "f64", QUIET, "nan(0x7ff8000000000005)" }, { "f64", 2.0 ^ 53 + 2 },
        { "bool", false, "false" }, { "bool", true, "true" }, { "errno", -5, "-5" },
        { "cstr", 'a"b\\c\n\t\r', '"a\\"b\\\\c\\n\\t\\r"' }, { "bytes", "" },
        { "bytes", table.concat(all) }, { "bytes", '\\"' }, { "bytes", "\\x41\\" },
        { "color", "stop", "stop" }, { "color", 9, "9" }, { "perm", {}, "0" },
        { "perm", { r = true, top = true, rest = 8 }, "r|top|0x8" },
    } do
        local p = { type = types[case[1]] or scalars[case[1]] }
        local written = text.write(p, case[2])
        if case[3] then
            t.eq(written, case[3], "case " .. i)
        end
        local r = text.reader(written)
        local back = r:value(p)
        t.eq({ bits(back), r:over() }, { bits(case[2]), true }, written)
    end
    for _, value in ipairs { 1, -7, math.mininteger, 1.0, -0.0, 1e15, 2.0 ^ 63, NAN, math.huge,
        true, false, "x\0\n\"y", "" } do
        local back = text.reader(text.literal(value)):literal()
        t.eq({ bits(back), math.type(back) }, { bits(value), math.type(value) })
    end
    t.eq({ text.literal(nil), text.literal {}, text.reader "nil":literal() }, { "nil", "?" })
end)

-- ---- all types -----------------------------------------------------------------

local function prepare(vm)
    vm:write(0x20000, "a \"text\"\n\xff\0")
    vm:write(0x20100, "\0\1\\x\0")
    local outer = ABI.types.outer
    vm:write(0x21000, struct.pack(outer, {
        a = -5, list = { { f = 1.5, big = -1, name = "ab" }, { f = 0.1, big = 7,
            name = "abcdef" } },
        c = "green", p = { "w", rest = 16 }, yes = true, e = 5, at = -1, d = { 1, -0.0, NAN },
    }, "outer"))
    vm:write(0x21000 + outer.members[2].offset + 16 + 3, "cd") -- behind the name's end
    vm:u16(0x21000 + outer.members[3].offset, 99) -- which has no name
    vm:pack("<I2I2I2", 0x22000, 1, 65535, 0)
    vm:pack("<i4", 0x22100, -1)
    vm:pack("<I4I2I2I2I2", 0x22200, 3, 0, 1, 77, 5)
    vm:u64(0x22300, 0x20000)
    vm:u64(0x22308, 0x30000)
end

local INNER = { { f = 0.1, big = math.mininteger, name = "x\0y" },
    { f = -math.huge, big = 3, name = "" } }
local HANDLERS = {
    ints = function(a, b, c, d, e) return a + b + c + d + e end,
    floats = function(a, b) return a == a and b or -a end,
    single = function(a) return a end,
    words = function(_, _, c) return c end,
    set = function(x) return x end,
    yes = function(x) return x > 3 end,
    at = function(x) return ~x end,
    put = function(a, b) return #a + #b end,
    get = function(room) return ("\0\n\"\\"):rep(room // 4) end,
    swap = function(data) return data:reverse() end,
    deep = function(x)
        x.c, x.d = "stop", { NAN, -0.0, 1.0 }
        x.list[2].name = "q"
        return x, INNER
    end,
    list = function(v, _, n) return { NAN, QUIET, -0.0, 1 / 3, 7.0 }, n - 1, #v end,
    open = function(x)
        x.c = { "red", "stop" }
        return x
    end,
    none = function() end,
    many = function(a)
        if a == 1 then
            return 3, 200
        end
        return 200
    end,
}

local function f32(value)
    return (string.unpack("<I4", string.pack("<f", value)))
end

local function f64(value)
    return (string.unpack("<i8", string.pack("<d", value)))
end

local CALLS = {
    { 1, 255, -128, 65535, -7, math.mininteger }, { 1, 0x1ff, 0, 0, 0, -1 },
    { 2, f32(0.1), f64(0.1) }, { 2, 0x7f800001, f64(1) }, { 2, f32(1), f64(NAN) },
    { 2, f32(-0.0), f64(-math.huge) }, { 3, 0xffc12345 }, { 3, 0x7f812345 }, { 3, f32(1 / 3) },
    { 3, 1 }, { 4, 1, -1, 77, 5 }, { 4, 0, 0, 0, math.mininteger }, { 5, 7 }, { 5, 0 },
    { 6, 3 }, { 6, 4 }, { 7, 0 }, { 7, -1 }, { 8, 0x20000, 0x20100, 5 }, { 8, 0x20000, 0, 0 },
    { 9, 0x30000, 0 }, { 9, 0x30000, 41 }, { 10, 0x20100 }, { 11, 0x21000, 0x30100 },
    { 12, 0x22000, 3, 0x30200, 5, 0x22100 }, { 12, 0x22000, 0, 0x30200, 7, 0x22100 },
    { 13, 0x22200, 12 }, { 14 }, { 15, 0, 0, 0, 0, 0, 0, 0, 0x22300 },
    { 15, 1, 0, 0, 0, 0, 0, 0, 0x22300 },
    -- and what reaches no handler
    { 4, 1, 0, 5, 0 }, { 5, 8 }, { 8, -1, 0, 0 }, { 8, 0x20000, 0, 1 << 40 }, { 9, 0xfffff, 9 },
    { 15, 0, 0, 0, 0, 0, 0, 0, -8 }, { 13, 0x22200, 3 }, { 12, 0x22000, 3, 0x22000, 5, 0x22100 },
}

t.on("every type, there and back: the guest sees the same", function(open)
    local handlers = setmetatable({
        deep = function(x) -- numbers for names, an integer for a float
            x = HANDLERS.deep(x)
            x.c, x.d[3], x.p = 77, 1, { "w", rest = 16 }
            return x, INNER, 0
        end,
    }, { __index = HANDLERS })
    local first, second, replay, lines = both(open, ABI, prepare, handlers, CALLS)
    for i, words in ipairs(CALLS) do
        t.eq(first[i][1], true, ("call %d: %s"):format(i, first[i][2]))
        t.eq(second[i], first[i], ("call %d, number %d"):format(i, words[1]))
    end
    t.eq({ replay.answered, replay.left, replay.cut, #lines }, { #CALLS, 0, nil, #CALLS })
    replay:finish()
    local function line(i, want)
        t.eq(lines[i], want)
    end
    line(1, "0: ints(a = 255, b = -128, c = 65535, d = -7, e = -9223372036854775808) = "
         .. "-9223372036854710153")
    line(5, "0: floats(a = 1, b = nan(0xfff0000000000001)) = nan(0xfff0000000000001)")
    line(11, "0: words(a = true, b = 0xffffffffffffffff, c = stop, d = r|x) = stop")
    line(13, "0: set(x = r|w|x) = r|w|x")
    line(19, '0: put(text = "a \\"text\\"\\n\\xff", data = "\\x00\\x01\\\\x\\x00") = 15')
    line(21, '0: get(data[0]) = 0, data = ""')
    line(25, "0: list(v = { 1, 65535, 0 }, w[5], n = -1) = 3, w = { nan(0xfff0000000000001), "
         .. "nan(0x7ff8000000000005), -0, 0.33333333333333331, 7 }, n = -2")
    line(27, "0: open(x = { n = 3, c = { red, green, stop, 5 } }) = 0, x = { n = 3, c = "
         .. "{ red, stop } }")
    line(28, "0: none() = 0")
    line(30, '0: many(a = 1, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = "a \\"text\\"\\n\\xff"'
         .. ") = -200, i = 3")
    line(31, '0: words: EINVAL "c: no value of enum color: 5"')
    line(33, '0: put: EFAULT "text: at 0xffffffffffffffff"')
    t.eq({ first[30][3], second[30][3] }, { 200, 200 })
    t.ok(lines[24]:find('deep(x = { a = -5, list = { { f = 1.5, big = -1, name = "ab" }, { f = '
         .. '0.10000000149011612, big = 7, name = "abcdef" } }, c = 99, p = w|0x10, yes = true, '
         .. "e = 5, at = 0xffffffffffffffff, d = { 1, -0, nan(0xfff0000000000001) } }) = 0, x =",
         1, true), lines[24])
    t.ok(lines[24]:find('name = "q" } }, c = stop, ', 1, true), lines[24])
end)

-- ---- what does not simply answer -------------------------------------------------

local ENDS = hv.abi("ends", {
    range = { 1, 9 }, quit = { 1, "u32 how", "out u32 x", returns = "u32" },
    leave = { 2, "u32 how", returns = "i64" }, nobody = { 3, "u32 x" },
    color = { 4, returns = "enum color" }, color_t = hv.enum { one = 1 },
})
local STOPS = { 7, 7.0, "x\0\"", true, false, math.mininteger }

t.on("handlers that stop, that there are not, and errors", function(open)
    local handlers = {
        quit = function(how, cpu)
            if how == 0 then
                return cpu:stop "none"
            elseif how == 1 then
                cpu:stop {}
                return 5, 6
            elseif how == 2 then
                cpu:stop(2)
                return 5
            end
            cpu:stop(3)
            return nil, "EBUSY"
        end,
        leave = function(how, cpu)
            if STOPS[how] ~= nil then
                cpu:stop(STOPS[how])
            else
                cpu.vm:stop()
            end
            return how > 3 and -1 or nil
        end,
        color = function(cpu) return cpu:stop "color" end,
        default = function(nr, cpu)
            if nr == 7 then
                return nil, "EPERM"
            elseif nr == 8 then
                cpu:stop(8)
                return 88
            elseif nr == 9 then
                return cpu:stop()
            end
            return -nr
        end,
    }
    local calls = { { 1, 0, 0x30000 }, { 1, 1, 0x30000 }, { 1, 2, 0x30000 }, { 1, 3, 0x30000 },
        { 2, 1 }, { 2, 2 }, { 2, 3 }, { 2, 4 }, { 2, 5 }, { 2, 6 }, { 2, 7 }, { 3, 1 }, { 4 },
        { 6 }, { 7 }, { 8 }, { 9 } }
    local first, second, replay, lines = both(open, ENDS, prepare, handlers, calls)
    t.eq({ first[2][5] }, { {} })
    first[2][5] = nil -- a table is not written down
    t.eq(second, first)
    t.eq({ replay.left, replay.answered }, { 0, #calls })
    t.eq({ first[1][5], first[5][5], first[10][5], first[13][5] },
         { "none", 7, math.mininteger, "color" })
    t.eq(math.type(second[6][5]), "float")
    for i, want in pairs {
        '0: quit(how = 0) stop "none"', "0: quit(how = 1) = 6, x = 5 stop ?",
        "0: quit(how = 2) = nil, x = 5 stop 2", "0: quit(how = 3) = -EBUSY stop 3",
        "0: leave(how = 1) stop 7", "0: leave(how = 2) stop 7.0",
        '0: leave(how = 3) stop "x\\x00\\""', "0: leave(how = 4) = -1 stop true",
        "0: leave(how = 5) = -1 stop false", "0: leave(how = 6) = -1 stop -9223372036854775808",
        "0: leave(how = 7) = -1 stop", '0: nobody: ENOSYS "it has no handler"',
        '0: color() stop "color"', "0: #6() = -6", "0: #7() = -EPERM", "0: #8() = 88 stop 8",
        "0: #9() stop",
    } do
        t.eq(lines[i], want)
    end
    handlers.default = nil
    first, second, replay, lines = both(open, ENDS, prepare, handlers, { { 6 }, { 3, 4 } })
    t.eq({ second, replay.left, lines[1] }, { first, 0, '0: #6: ENOSYS "there is no such call"' })
end)

t.on("handlers that raise, close the machine, or take memory away", function(open)
    local why = "tests: no\nsecond line"
    local function close(how, cpu)
        cpu.vm:close()
        return how
    end
    local function take(_, cpu)
        cpu.vm:unmap(0)
        cpu:kick() -- without page tables not every KVM comes back by itself
        return 1, 2
    end
    for i, case in ipairs {
        { { quit = function() error(why, 0) end }, '(how = 4) raised "tests: no"' },
        { { quit = function() error {} end }, '(how = 4) raised "(a table)"' },
        { { quit = function() return "x" end }, "the handler returned a wrong value: x: u32" },
        { { quit = close }, "(how = 4) closed" },
        { { quit = take }, '(how = 4) = -EFAULT '
            .. '"x: 4 bytes at 0x30000, which the handler took away"' },
    } do
        local path, _ <close> = files.temporary()
        local vm, call = guest(open)
        local recording <close> = ENDS:record(path)
        vm:serve(recording, case[1])
        local first = table.pack(pcall(call, 1, 4, 0x30000))
        t.ok(lines_of(path)[1]:find(case[2], 1, true), lines_of(path)[1])
        t.eq({ #lines_of(path), recording.calls }, { 1, 1 })
        vm:close()
        local again, its_call = guest(open)
        again:serve(ENDS:replay(path))
        local second = table.pack(pcall(its_call, 1, 4, 0x30000))
        t.eq(second[1], first[1], "case " .. i)
        if i <= 3 then
            t.ok(second[2]:find(path .. ":3: call 1 of vcpu 0, quit(how = 4): in the recording "
                 .. "its handler raised: ", 1, true), second[2])
        elseif i == 4 then
            t.eq({ second, again.closed }, { first, true })
        else
            t.eq({ second[2], second[3] }, { -14, 14 })
        end
    end
end)

t.on("a time limit, and who hears of errors", function(open)
    local path, _ <close> = files.temporary()
    local vm, call = guest(open)
    local endless, called = true, false
    vm:serve(ENDS:record(path), {
        leave = function()
            called = true
            while endless do end
            return 1
        end,
        default = function() return nil, "ENOENT" end,
    }, { on_error = function() error "heard" end })
    local cpu, arm = vm.cpus[1], vm.arch == "arm64"
    for _ = 1, 100 do -- it may be over before the guest has called
        cpu[arm and "pc" or "rip"], cpu[arm and "x0" or "rax"] = 0x10000, 2
        t.eq(vm:run { timeout = 0.05 }.kind, "timeout")
        if called then break end
    end
    t.ok(called)
    endless = false
    t.eq((call(2)), 1)
    t.raises(function() call(3) end, "heard")
    t.raises(function() call(6) end, "heard")
    local lines = lines_of(path)
    t.ok(lines[1]:find('^0: leave%(how = %d+%) raised ".*interrupted!"$'), lines[1])
    t.eq({ lines[2], lines[3] }, { "0: leave(how = 0) = 1",
        '0: nobody: ENOSYS "it has no handler"' })
    t.ok(lines[4]:find '^0: #6%(%) raised ".*heard"$', lines[4])
end)

t.on("a time limit while arguments are read, or the answer is written", function(open)
    local path, _ <close> = files.temporary()
    local vm, call = guest(open)
    local abi = hv.abi("slow", {
        many = { 1, "in u8 data[]" }, give = { 2, "out u8 data[]", returns = "u32" },
        few = { 3 },
    })
    local list = {}
    vm:serve(abi:record(path), {
        many = function() end, give = function() return list end, few = function() end,
    })
    local function cut_off(nr)
        local before = #lines_of(path)
        local cpu, names = vm.cpus[1], caller.registers[vm.arch]
        for _ = 1, 100 do -- it may be over before the guest has called
            cpu[vm.arch == "arm64" and "pc" or "rip"] = 0x10000
            cpu[names[1]], cpu[names[2]], cpu[names[3]] = nr, 0x20000, 0x50000
            vm:run { timeout = 0.005 }
            local lines = lines_of(path)
            if #lines > before then
                return lines[#lines]
            end
        end
    end
    local line = cut_off(1)
    t.ok(line:find '^%-%- 0: many%(%?%) raised ".*interrupted!"$', line)
    for i = 1, 0x50000 do
        list[i] = 255
    end
    line = cut_off(2)
    t.ok(line:find '^0: give%(data%[327680%]%) raised ".*interrupted!"$', line)
    call(3)
    t.eq(abi:replay(path).left, 2)
end)

-- ---- together with the rest --------------------------------------------------------

t.on("traced calls are the same, recorded, replayed or neither", function(open)
    local path, _ <close> = files.temporary()
    local told = {}
    for i = 1, 3 do
        local vm, call = guest(open)
        local lines = {}
        told[i] = lines
        prepare(vm)
        vm:trace { hypercalls = function(line)
            lines[#lines + 1] = line:gsub("  <.->$", "")
        end }
        vm:serve(i == 1 and ABI or i == 2 and ABI:record(path) or ABI:replay(path),
                 i < 3 and HANDLERS or nil)
        script(vm, call, CALLS)
        vm:trace { hypercalls = false }
        if i < 3 then -- and goes on when the trace does not
            call(14)
        end
        t.eq(#lines, #CALLS)
        vm:close()
    end
    for i, line in ipairs(told[1]) do
        t.eq({ told[2][i], told[3][i] }, { line, line })
    end
    t.eq(#lines_of(path), #CALLS + 1)
end)

t.on("new handlers in the midst, and guests that say what they are", function(open)
    local path, _ <close> = files.temporary()
    local abi = hv.abi("fresh", { a = { 1, returns = "u32" }, b = { 2 } })
    local vm, call = guest(open)
    local recording = abi:record(path)
    vm:write(0x20000, "fresh\0")
    vm:serve(recording, {})
    local function run(its)
        return { (its(1)), (its(0x68766162, 0x20000, 1, abi.hash)), (its(0x68766162, 0x20000, 9)) }
    end
    local first = run(call)
    vm:serve(recording, { a = function() return 3 end })
    local second = run(call)
    t.eq({ first, second }, { { -38, 0, -71 }, { 3, 0, -71 } })
    t.eq({ recording.calls, tostring(recording) },
         { 2, ("recording of fresh in %s: 2 calls"):format(path) })
    vm:close()
    local again, its_call = guest(open)
    again:write(0x20000, "fresh\0")
    local replay = abi:replay(path)
    local server = again:serve(replay)
    t.eq({ run(its_call), run(its_call) }, { first, second })
    t.eq({ replay.left, server.calls.a.calls, server.errors }, { 0, 2, 3 })
    t.eq(tostring(replay), ("replay of fresh from %s: 2 calls answered, 0 left"):format(path))
end)

t.on("calls of several vCPUs: in order for each", function(open, _, arch)
    local path, _ <close> = files.temporary()
    local abi = hv.abi("two", { add = { 1, "u32 cpu", "u32 i", returns = "u32" } })
    -- calls add(cpu, 1) to add(cpu, 20), and adds up what comes back
    local code = arch == "arm64" and [[
            mov   w20, #0
            mov   w21, #0
    next:   add   w20, w20, #1
            mov   x0, #1
            mov   w1, w19
            mov   w2, w20
            hvc   #0
            add   w21, w21, w0
            cmp   w20, #20
            b.lo  next
            mov   x0, #9
            hvc   #0
            b     .
    ]] or [[
            xor   %r12d, %r12d
            xor   %r13d, %r13d
    next:   inc   %r12d
            mov   $1, %eax
            mov   %ebx, %edi
            mov   %r12d, %esi
            out   %al, $0xe8
            add   %eax, %r13d
            cmp   $20, %r12d
            jb    next
            mov   $9, %eax
            out   %al, $0xe8
            jmp   .
    ]]
    local function run(mock, handlers)
        local vm = open { memory = "1M" }
        vm:load(0x10000, hv.asm(code, { arch = arch }))
        local ended = 0
        local registers = arch == "x86_64" and hv.x86.long(vm, 0x80000) or {}
        for i = 0, 1 do
            registers[arch == "arm64" and "pc" or "rip"] = 0x10000
            registers[arch == "arm64" and "x19" or "rbx"] = i
            t.ok(vm:vcpu(registers))
        end
        vm:hypercall(9, function(cpu)
            ended = ended + 1
            if ended == 2 then
                cpu:stop()
            end
        end)
        vm:serve(mock, handlers)
        local sums = {}
        t.eq(vm:run { timeout = 20 }.kind, "stop")
        for i, cpu in ipairs(vm.cpus) do
            sums[i] = cpu[arch == "arm64" and "x21" or "r13"]
        end
        vm:close()
        return sums
    end
    local seed = 0
    local function handler(cpu, i)
        seed = seed + 1
        return cpu * 1000 + i * i + (seed & 1)
    end
    local sums = run(abi:record(path), { add = handler })
    local lines, count = lines_of(path), { 0, 0 }
    for _, line in ipairs(lines) do
        local cpu, same, i = line:match "^(%d): add%(cpu = (%d), i = (%d+)%)"
        t.eq(same, cpu)
        count[cpu + 1] = count[cpu + 1] + 1
        t.eq(tonumber(i), count[cpu + 1])
    end
    t.eq(count, { 20, 20 })
    local replay = abi:replay(path)
    t.eq(run(replay), sums)
    t.eq({ replay.answered, replay.left }, { 40, 0 })
    -- other order of the lines, vCPU 1 first: the same for each
    table.sort(lines, function(a, b)
        local x, y = { a:match "^(%d).- i = (%d+)" }, { b:match "^(%d).- i = (%d+)" }
        return x[1] == y[1] and tonumber(x[2]) < tonumber(y[2]) or x[1] > y[1]
    end)
    local head = files.contents(path):match "^[^\n]*\n[^\n]*\n"
    local file <close> = assert(io.open(path, "w"))
    file:write(head, table.concat(lines, "\n"), "\n")
    file:close()
    t.eq(run(abi:replay(path)), sums)
    -- and the two exchanged are found at once
    local other <close> = assert(io.open(path, "w"))
    other:write(head, (table.concat(lines, "\n") .. "\n"):gsub("%f[^\n\0]%d:", function(cpu)
        return 1 - tonumber(cpu:sub(1, 1)) .. ":"
    end), "\n")
    other:close()
    t.raises(function() run(abi:replay(path)) end, "differs, at guest pc 0x100")
end)
