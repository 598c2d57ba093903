-- SPDX-License-Identifier: MIT
-- vm:serve: what guests pass, what handlers return, and neither does as it should.
local t = ...
local caller = dofile(t.folder .. "/tests/abi/caller.lua")
local hv = require "hv"

local function bits(format, value)
    return (string.unpack(format == "f" and "<I4" or "<i8", string.pack("<" .. format, value)))
end

t.on("scalars both ways, at their limits", function(open)
    local vm, call = caller.guest(open)
    local got
    local function echo(...)
        got = { ... }
        return got[1]
    end
    local fields, handlers = {}, {}
    local nr = 0
    local function declare(ty)
        nr = nr + 1
        local name = "c" .. nr
        fields[name], handlers[name] = { nr, ty .. " x", returns = ty }, echo
        return nr
    end
    local cases = {}
    for _, b in ipairs { 8, 16, 32, 64 } do
        local unsigned, signed = declare("u" .. b), declare("i" .. b)
        local most = b == 64 and -1 or (1 << b) - 1
        for _, case in ipairs {
            { unsigned, 0, 0 }, { unsigned, -1, most }, { unsigned, 0x1234567890abcdef,
              0x1234567890abcdef & most }, { signed, -1, -1 }, { signed, 0x7f, 0x7f },
            { signed, 1 << b - 1, math.mininteger >> 0 == 0 and 0 or -1 << b - 1 },
            { signed, (1 << b - 1) - 1, (1 << b - 1) - 1 },
        } do
            cases[#cases + 1] = case
        end
    end
    local bool, f32, f64, ptr = declare "bool", declare "f32", declare "f64", declare "ptr"
    table.move({ { bool, 0, false, 0 }, { bool, 1, true, 1 }, { bool, 0x100, false, 0 },
        { bool, 2, true, 1 }, { f32, bits("f", 1.5), 1.5, bits("f", 1.5) },
        { f64, bits("d", -2.25), -2.25, bits("d", -2.25) },
        { ptr, math.mininteger, math.mininteger } }, 1, 7, #cases + 1, cases)
    fields.e, fields.f = hv.enum("i16", { "no", "yes", low = -3 }), hv.flags { "r", "w", "x" }
    local enum, flags = declare "enum e", declare "flags f"
    table.move({ { enum, 1, "yes", 1 }, { enum, -3, "low", -3 }, { flags, 5,
        { r = true, x = true }, 5 }, { flags, 0, {}, 0 } }, 1, 4, #cases + 1, cases)
    vm:serve(hv.abi("t", fields), handlers)
    for i, case in ipairs(cases) do
        local result, failed = call(case[1], case[2])
        t.eq({ got[1], failed }, { case[3], 0 }, "case " .. i)
        t.eq(result, case[4] or case[3], "case " .. i)
    end
    for _, case in ipairs { { enum, 2 }, { enum, 0x7fff }, { flags, 8 } } do
        got = nil
        t.eq({ call(case[1], case[2]) }, { -22, 22, select(3, call(case[1], case[2])) })
        t.eq(got, nil)
    end
end)

local MEMORY = {
    put = { 1, "cstr text", returns = "u32" },
    write = { 2, "u32 fd", "in bytes data", returns = "i64" },
    read = { 3, "u32 fd", "out bytes data", returns = "i64" },
    swap = { 4, "inout bytes data[4]" },
    stat = { 5, "u32 id", "out struct stat info", returns = "errno" },
    sum = { 6, "in u32 values[]", returns = "u64" },
    seven = { 7, "out u16 values[7]", "out u8 one" },
    open = { 8, "inout struct open list" },
    point = { 9, "in struct point at", returns = "i32" },
    add = { 10, "inout i32 value", returns = "i32" },
    copy = { 11, "in bytes from", "out bytes to", returns = "i64" },
    many = { 12, "u8 a", "u8 b", "u8 c", "u8 d", "u8 e", "u8 f", "u8 g", "i8 h", "u16 i",
        "cstr j", returns = "u64" },
    eight = { 13, "u8 a", "u8 b", "u8 c", "u8 d", "u8 e", "u8 f", "u8 g", "i8 h",
        returns = "i64" },
    list = { 14, "out struct point at[]", returns = "u32" },
    none = { 15 },
    stat_t = hv.struct { "u64 size", "u32 mode", "u16 links[2]" },
    point_t = hv.struct { "i32 x", "i32 y" },
    open_t = hv.struct { "u32 n", "u16 rest[]" },
}

local function memory_handlers(seen)
    return {
        put = function(text) seen.text = text return #text end,
        write = function(fd, data) seen.fd, seen.data = fd, data return #data end,
        read = function(fd, room) seen.fd, seen.room = fd, room return ("r"):rep(fd) end,
        swap = function(data) seen.data = data return data:reverse() end,
        stat = function(id)
            if id == 0 then
                return nil, "ENOENT"
            end
            return { size = id, mode = 2, links = { 3, 4 } }
        end,
        sum = function(values)
            local sum = 0
            for _, value in ipairs(values) do
                sum = sum + value
            end
            return sum
        end,
        seven = function() return { 1, 2, 3, 4, 5, 6, 7 }, 255 end,
        open = function(list)
            seen.list = list
            for i, value in ipairs(list.rest) do
                list.rest[i] = value + 1
            end
            return list
        end,
        point = function(at) seen.at = at return at.x * at.y end,
        add = function(value) return value + 1, value end,
        copy = function(from) return from end,
        many = function(...) seen.many = table.pack(...) return select("#", ...) end,
        eight = function(a, b, c, d, e, f, g, h) return a + b + c + d + e + f + g + h end,
        list = function(room) seen.room = room return { { x = 1, y = 2 }, { x = 3, y = 4 } } end,
        none = function() seen.none = true end,
    }
end

t.on("memory both ways", function(open)
    local vm, call, cpu = caller.guest(open)
    local seen = {}
    local server = vm:serve(hv.abi("t", MEMORY), memory_handlers(seen))
    local function result(...)
        local value, failed = call(...)
        return { value, failed }
    end
    vm:write(0x20000, "hello\0")
    t.eq(result(1, 0x20000), { 5, 0 })
    t.eq(seen.text, "hello")
    t.eq(result(2, 7, 0x20000, 4), { 4, 0 })
    t.eq({ seen.fd, seen.data }, { 7, "hell" })
    t.eq(result(2, 7, 0x20000, 0), { 0, 0 })
    vm:fill(0x21000, 32, 0x55)
    t.eq(result(3, 5, 0x21000, 100), { 5, 0 })
    t.eq({ seen.room, vm:read(0x21000, 6) }, { 100, "rrrrr\x55" })
    t.eq(result(4, 0x20000), { 0, 0 })
    t.eq(vm:read(0x20000, 5), "lleho")
    t.eq(result(5, 9, 0x21000), { 0, 0 })
    t.eq({ vm:unpack("<I8I4I2I2", 0x21000) }, { 9, 2, 3, 4, 0x21010 })
    t.eq(result(5, 0, 0x21000), { -2, 2 })
    vm:pack("<I4I4I4", 0x22000, 1, 2, 0xffffffff)
    t.eq(result(6, 0x22000, 3), { 0x100000002, 0 })
    t.eq(result(6, 0x22000, 0), { 0, 0 })
    t.eq(result(7, 0x23000, 0x23100), { 0, 0 })
    t.eq({ vm:u16(0x23000), vm:u16(0x2300c), vm:u8(0x23100) }, { 1, 7, 255 })
    vm:pack("<I4I2I2I2", 0x24000, 9, 10, 20, 30)
    t.eq(result(8, 0x24000, 10), { 0, 0 })
    t.eq({ vm:unpack("<I4I2I2I2", 0x24000) }, { 9, 11, 21, 31, 0x2400a })
    t.eq(seen.list.n, 9)
    vm:pack("<i4i4", 0x25000, -3, 5)
    t.eq(result(9, 0x25000), { -15, 0 })
    t.eq(result(10, 0x25000), { -3, 0 })
    t.eq(vm:unpack("<i4", 0x25000), -2)
    t.eq(result(11, 0x20000, 3, 0x20003, 10), { 3, 0 })
    t.eq(vm:read(0x20000, 6), "llelle")
    vm:pack("<i8i8i8", 0x26000, -2, 0x12345, 0x20000)
    vm:write(0x20000, "spilled\0")
    t.eq(result(12, 1, 2, 3, 4, 5, 6, 7, 0x26000), { 11, 0 })
    t.eq({ table.unpack(seen.many, 1, 10) }, { 1, 2, 3, 4, 5, 6, 7, -2, 0x2345, "spilled" })
    t.eq(seen.many[11], cpu)
    t.eq(result(13, 1, 2, 3, 4, 5, 6, 7, 0x180), { 28 - 128, 0 })
    t.eq(result(14, 0x27000, 5), { 2, 0 })
    t.eq({ seen.room, vm:u32(0x2700c) }, { 5, 4 })
    t.eq(result(15), { 0, 0 })
    t.eq({ seen.none, server.errors, server.calls.stat.calls, server.calls.stat.errors },
         { true, 1, 2, 1 })
    t.ok(tostring(server):find "^server of t: %d+ calls, 1 errors$", tostring(server))
end)

-- What is not in memory; each case: call, errno, text of the event.
t.on("bad pointers become errors in the guest, and events", function(open)
    local vm, call = caller.guest(open)
    local seen, events = {}, {}
    vm:serve(hv.abi("t", MEMORY), memory_handlers(seen), {
        limit = "64K", string = 16, on_error = function(event) events[#events + 1] = event end,
    })
    local high = math.mininteger
    vm:write(0x20000, ("x"):rep(32))
    local before = vm:read(0, 0x80000) -- not the page tables
    for i, case in ipairs {
        { 1, { 0x100000 }, 14, "text: at 0x100000" },
        { 1, { -1 }, 14, "text: at 0xffff" },
        { 1, { 0xfffff }, 0 },
        { 1, { 0x20000 }, 36, "text: at 0x20000: no end in 16 bytes" },
        { 2, { 1, 0x100000, 1 }, 14, "data: 1 bytes at 0x100000" },
        { 2, { 1, 0xfff00, 0x101 }, 14, "data: 257 bytes at 0xfff00" },
        { 2, { 1, -8, 16 }, 14, "data: 16 bytes" },
        { 2, { 1, high, 1 }, 14, "data: 1 bytes at 0x8000000000000000" },
        { 2, { 1, 0, 0x10001 }, 7, "data: 65537: more than 65536 bytes" },
        { 2, { 1, 0, -1 }, 7, "data: -1: more than" },
        { 2, { 1, 0, high }, 7, "more than 65536 bytes" },
        { 3, { 1, 0x100000, 1 }, 14, "data: 1 bytes at 0x100000" },
        { 4, { 0xffffe }, 14, "data: 4 bytes at 0xffffe" },
        { 5, { 1, 0xffff8 }, 14, "info: 16 bytes at 0xffff8" },
        { 6, { 0, 0x4001 }, 7, "values: 16385: more than 65536 bytes" },
        { 6, { 0, 1 << 62 }, 7, "values: " },
        { 8, { 0x24000, 3 }, 22, "list: 3 bytes: struct open has 4" },
        { 8, { 0x100000, 4 }, 14, "list: 4 bytes" },
        { 10, { -2 }, 14, "value: 4 bytes" },
        { 11, { 0x20000, 10, 0x20009, 10 }, 22, "from and to overlap" },
        { 11, { 0x20000, 10, 0x20000, 1 }, 22, "from and to overlap" },
        { 11, { 0x20005, 10, 0x20000, 6 }, 22, "from and to overlap" },
        { 12, { 1, 2, 3, 4, 5, 6, 7, 0xffff0 }, 14, "parameters: 24 bytes at 0xffff0" },
    } do
        events = {}
        local nr, words, number, text = table.unpack(case)
        local value, failed = call(nr, table.unpack(words))
        t.eq({ failed, number == 0 or value }, { number, number == 0 or -number },
             ("case %d"):format(i))
        if number ~= 0 then
            t.eq({ #events, events[1].nr, events[1].cpu }, { 1, nr, 0 })
            t.ok(events[1].why:find(text, 1, true), events[1].why)
            t.ok(math.type(events[1].pc) == "integer" and events[1].call)
        end
    end
    t.eq(next(seen, (next(seen))), nil, "no handler was called but put")
    t.ok(vm:read(0, 0x80000) == before, "guest memory has changed")
end)

t.on("what a handler takes away, or may not write to", function(open)
    local vm, call = caller.guest(open)
    local page = vm.page_size
    vm:map { at = 0x200000, size = page, prot = "r" }
    vm:map { at = 0x300000, size = page }
    vm:serve(hv.abi("t", MEMORY), {
        read = function() vm:unmap(0x300000) return "gone" end,
        copy = function(from) return from end,
        seven = function() return { 1, 2, 3, 4, 5, 6, 7 }, 1 end,
    })
    t.eq({ select(2, call(3, 1, 0x200000, 8)) }, { 14, select(3, call(3, 1, 0x200000, 8)) })
    t.eq((select(2, call(11, 0x200000, 8, 0x20000, 8))), 0, "to read it is fine")
    t.eq((select(2, call(7, 0x20000, 0x200000))), 14)
    t.eq(vm:u16(0x20000), 0, "nothing is written in part")
    t.eq((select(2, call(3, 1, 0x300000, 8))), 14)
    vm:map { at = 0x300000, size = page }
    local server = vm:serve(hv.abi("t", MEMORY), {
        seven = function()
            vm:unmap(0x300000)
            return { 1, 2, 3, 4, 5, 6, 7 }, 1
        end,
    })
    t.eq({ (select(2, call(7, 0x20000, 0x300000))), vm:u16(0x20000) }, { 14, 0 })
    t.eq(server.last.why, "one: 1 bytes at 0x300000, which the handler took away")
end)

t.on("pointers are virtual where the guest has an MMU on", function(open)
    local vm, call, cpu = caller.guest(open)
    local seen = {}
    vm:serve(hv.abi("t", MEMORY), memory_handlers(seen))
    if vm.arch == "arm64" then -- 4 KiB pages: all is where it is, but two
        local table3 = 0x93000
        for i, at in ipairs { 0x90000, 0x91000, 0x92000 } do
            vm:u64(at, at + 0x1000 | 3)
            t.ok(i)
        end
        for page = 0, 255 do
            local to = page == 0x30 and 0x31 or page == 0x31 and 0x30 or page
            vm:u64(table3 + 8 * page, to << 12 | 0x403 | 1 << 10)
        end
        cpu.mair_el1, cpu.tcr_el1, cpu.ttbr0_el1 = 0xff, 16 | 1 << 23 | 2 << 32, 0x90000
        cpu.sctlr_el1 = cpu.sctlr_el1 | 1
    else -- the first 2 MiB by a table of small pages
        vm:u64(0x82000, 0x90000 | 3)
        for page = 0, 511 do
            local to = page == 0x30 and 0x31 or page == 0x31 and 0x30 or page
            vm:u64(0x90000 + 8 * page, page < 256 and (to << 12 | 3) or 0)
        end
        cpu.cr3 = cpu.cr3
    end
    vm:write(0x31ff0, "across two ")
    vm:write(0x30000, "?")
    vm:write(0x31ffb, "pages")
    vm:write(0x30000, "!!!\0")
    vm:write(0x31ff0, "from one page to")
    t.eq((select(2, call(1, 0x30ff0))), 14 - 14)
    t.eq(seen.text:sub(1, 16), "from one page to")
    t.eq((select(2, call(3, 4, 0x30ffe, 8))), 0)
    t.eq({ vm:read(0x31ffe, 2), vm:read(0x30000, 2) }, { "rr", "rr" })
    t.eq((select(2, call(2, 1, 0x100000 - 4, 8))), 14)
end)

t.on("a handler that returns what it should not raises, in its name", function(open)
    local vm, call = caller.guest(open)
    local abi = hv.abi("lab", MEMORY)
    for i, case in ipairs {
        { 1, { 0x30000 }, "put", function() end,
          "lab.put: the handler returned nil, u32 is expected" },
        { 1, { 0x30000 }, "put", function() return -1 end, "returned -1, u32 is expected" },
        { 1, { 0x30000 }, "put", function() return 1 << 32 end, "u32 is expected" },
        { 1, { 0x30000 }, "put", function() return "x" end, "returned string, u32 is expected" },
        { 1, { 0x30000 }, "put", function() return 1.5 end, "returned 1.5, u32 is expected" },
        { 1, { 0x30000 }, "put", function() return nil, "ENOWAY" end,
          'returned nil, "ENOWAY": the name of an error expected' },
        { 3, { 1, 0x30000, 4 }, "read", function() return "12345" end,
          "returned 5 bytes for data, the guest has room for 4" },
        { 3, { 1, 0x30000, 4 }, "read", function() return 5 end,
          "returned 5, a string is expected for data" },
        { 3, { 1, 0x30000, 4 }, "read", function() return nil end, "a string is expected" },
        { 4, { 0x30000 }, "swap", function() return "abc", 1 end,
          "returned 1, the call returns nothing" },
        { 5, { 1, 0x30000 }, "stat", function() return { size = 1 } end,
          "returned a wrong value: info: mode is missing" },
        { 5, { 1, 0x30000 }, "stat",
          function() return { size = "1", mode = 1, links = { 1, 2 } } end,
          "info.size: u64 expected, got string" },
        { 5, { 1, 0x30000 }, "stat",
          function() return { size = 1, mode = 1, links = { 1, 2 } }, 5000 end,
          "returned 5000, errno is expected" },
        { 7, { 0x30000, 0x30100 }, "seven", function() return { 1, 2 }, 3 end,
          "values: 7 values expected, got 2" },
        { 14, { 0x30000, 1 }, "list",
          function() return { { x = 1, y = 1 }, { x = 1, y = 1 } } end,
          "16 bytes for at, the guest has room for 8" },
        { 7, { 0x30000, 0x30100 }, "seven",
          function() return { 1, nil, 3, 4, 5, 6, 7 }, 3 end,
          "values[2]: u16 expected, got nil" },
        { 15, {}, "none", function() return 1 end, "returned 1, the call returns nothing" },
        { 1, { 0x30000 }, "put", function() return 1, 2 end, "one value too many, 2" },
        { 1, { 0x30000 }, "put", function() return 1, "EPERM" end, "too many, string" },
        { 1, { 0x30000 }, "put", function() return nil, "EPERM", false end, "too many, boolean" },
        { 1, { 0x30000 }, "put", function() return ("!"):rep(5000):byte(1, -1) end,
          "one value too many, 33" },
        { 3, { 1, 0x30000, 4 }, "read", function() return "1234", 4, 5 end, "too many, 5" },
        { 3, { 1, 0x30000, 4 }, "read", function() return nil, "EPERM", 5 end, "too many, 5" },
        { 5, { 1, 0x30000 }, "stat",
          function() return { size = 1, mode = 1, links = { 1, 2 } }, 0, {} end,
          "too many, table" },
        { 15, {}, "none", function() return nil, 1 end, "too many, 1" },
        { 15, {}, "none", function() return nil, nil, 1 end, "too many, 1" },
    } do
        vm:serve(abi, { [case[3]] = case[4] })
        local before = vm:read(0x30000, 256)
        local why = t.raises(function() call(case[1], table.unpack(case[2])) end, case[5])
        t.ok(tostring(why):find "tests/abi_call.lua:%d+: lab%.", ("case %d: %s"):format(i, why))
        t.eq(vm:read(0x30000, 256), before)
    end
    vm:serve(abi, { put = function() error "its own" end })
    t.raises(function() call(1, 0x30000) end, "its own")
    vm:serve(abi, { put = function() return 7 end }) -- and the machine is as before
    t.eq((call(1, 0x30000)), 7)
end)

t.on("errors that handlers choose, and errno results", function(open)
    local vm, call = caller.guest(open)
    local answer
    local server = vm:serve(hv.abi("t", {
        a = { 1, returns = "errno" }, b = { 2, returns = "i64" }, c = { 3 },
        d = { 4, "out bytes x", returns = "i64" },
    }), {
        a = function() return table.unpack(answer) end,
        b = function() return table.unpack(answer, 1, 2) end,
        c = function() return table.unpack(answer, 1, 2) end,
        d = function() return table.unpack(answer, 1, 2) end,
    })
    for _, case in ipairs {
        { 1, {}, 0 }, { 1, { 0 }, 0 }, { 1, { 5 }, 5 }, { 1, { "EBUSY" }, 16 },
        { 1, { nil, "EBUSY" }, 16 }, { 2, { nil, "EPERM" }, 1 }, { 3, { nil, "EIO" }, 5 },
        { 4, { nil, "ENOSPC" }, 28 }, { 2, { -7 }, 0, -7 },
    } do
        answer = case[2]
        local value, failed = call(case[1], 0x30000, 16)
        t.eq({ value, failed }, { case[4] or -case[3], case[3] })
    end
    t.eq(server.errors, 6)
    t.eq({ server.last.call, server.last.error, server.last.why },
         { "d", "ENOSPC", "the handler says so" })
end)

t.on("a handler may stop the run, and change registers", function(open)
    local vm, call, cpu = caller.guest(open)
    vm:serve(hv.abi("t", { a = { 1, "u32 x", returns = "u64" }, b = { 2, "out bytes x[4]" } }), {
        a = function(x, c) return c:stop(x) end,
        b = function(c) c:stop "b" end,
    })
    local _, _, exit = call(1, 42)
    t.eq({ exit.kind, exit.value }, { "stop", 42 })
    _, _, exit = call(2, 0x30000)
    t.eq({ exit.kind, exit.value, vm:read(0x30000, 4) }, { "stop", "b", "\0\0\0\0" })
    t.ok(cpu)
end)

t.on("spilled words are each call's own", function(open)
    t.several(open)
    local params = { 1 }
    for i = 1, 24 do
        params[i + 1] = "inout bytes p" .. i
    end
    local abi = hv.abi("t", { a = params })
    local function pass(base) -- a byte each, at base + 1, base + 3 and so on
        local vm, call = caller.guest(open)
        for i = 8, 48 do
            vm:u64(0x20000 + 8 * (i - 8), i % 2 == 1 and base + i or 1)
        end
        vm:write(base, ("a"):rep(50))
        return vm, function()
            return (select(2, call(1, base + 1, 1, base + 3, 1, base + 5, 1, base + 7, 0x20000)))
        end
    end
    local function upper(...)
        local bytes = { ... }
        for i = 1, 24 do
            bytes[i] = bytes[i]:upper()
        end
        return table.unpack(bytes, 1, 24)
    end
    local other, its_call = pass(0x40000)
    other:serve(abi, { a = upper })
    local vm, call = pass(0x30000)
    vm:serve(abi, { a = function(...)
        t.eq(its_call(), 0) -- in the midst of this call
        return upper(...)
    end })
    t.eq(call(), 0)
    local expected = ("aA"):rep(24) .. "aa"
    t.eq({ vm:read(0x30000, 50), other:read(0x40000, 50) }, { expected, expected })
    t.eq(rawget(_G, "w9"), nil)
end)

t.on("a handler, or who hears of errors, may close the machine", function(open)
    local abi = hv.abi("t", {
        a = { 1, returns = "u32" }, b = { 2, "out u32 x", returns = "errno" }, c = { 3 },
        d = { 4, returns = "bool" },
    })
    for case = 0, 31 do
        local vm, call = caller.guest(open)
        local function close(...)
            vm:close()
            return ...
        end
        local handlers = {
            a = function() return close(nil, "EPERM") end, b = function() return close(7) end,
            c = close, d = close,
        }
        if case & 1 ~= 0 then
            vm:trace { hypercalls = function() end }
        end
        vm:serve(abi, case & 2 ~= 0 and handlers or {}, { on_error = close })
        local ok, why = pcall(call, 1 + (case >> 2) % 4, 0x30000)
        t.ok(vm.closed, ("case %d"):format(case))
        -- c and d return the vCPU; of c, where C calls it, nobody is left to look at that
        local callee = (case >> 2) % 4
        t.eq(ok, case & 2 == 0 or callee < 2 or callee == 2 and case & 1 == 0,
             ("case %d: %s"):format(case, why))
        t.ok(ok or why:find("the handler returned", 1, true), why)
    end
end)

t.on("a time limit ends who hears of errors, and the next run is as ever", function(open)
    local vm, call = caller.guest(open)
    local endless = true
    vm:serve(hv.abi("t", { say = { 1, "cstr text", returns = "u32" } }), {
        say = function(text) return #text end,
    }, { on_error = function() while endless do end end })
    vm:write(0x20000, "four\0")
    local cpu = vm.cpus[1]
    cpu[vm.arch == "arm64" and "pc" or "rip"] = 0x10000
    cpu[vm.arch == "arm64" and "x0" or "rax"] = 1
    cpu[vm.arch == "arm64" and "x1" or "rdi"] = -8
    t.eq(vm:run { timeout = 0.05 }.kind, "timeout")
    endless = false
    t.eq({ (call(1, 0x20000)), (call(1, -8)) }, { 4, -14 })
end)

t.on("finalizers close the machine, or take its memory, while strings are read", function(open)
    local abi = hv.abi("t", { a = { 1, "cstr a", "cstr b" }, b = { 2, "cstr a", "f32 b" },
        c = { 3, "in u8 list[]" } })
    local ok = function() end
    for turn = 0, 11 do
        local vm, call, cpu = caller.guest(open)
        vm:fill(0x20000, 60000, 0x61)
        vm:serve(abi, { a = ok, b = ok, c = ok })
        local over
        setmetatable({}, { __gc = function()
            over = true
            if turn % 2 == 0 then
                vm:close()
            else
                vm:unmap(0)
                cpu:kick() -- without page tables not every KVM comes back by itself
            end
        end })
        for _ = 1, 3000 do
            local well, why = pcall(call, 1 + turn // 2 % 3, 0x20000, 60000)
            if over then
                t.ok(well or why:find("closed", 1, true) or why:find("memory", 1, true), why)
                break
            end
        end
        t.ok(over)
    end
end)

t.on("several ABIs, unknown numbers, no handler, new handlers", function(open)
    local vm, call = caller.guest(open)
    local one = hv.abi("one", { range = { 0, 9 }, a = { 1, returns = "u32" }, b = { 2 } })
    local two = hv.abi("two", { a = { 10, returns = "u32" } })
    local first = vm:serve(one, { a = function() return 1 end })
    vm:serve(two, { a = function() return 2 end })
    t.eq({ (call(1)), (call(10)) }, { 1, 2 })
    t.eq({ (call(2)), (call(5)), first.errors }, { -38, -38, 2 })
    t.eq(first.last.why, "there is no such call")
    local _, _, exit = call(11) -- nobody's
    t.eq({ exit.kind, exit.nr }, { "hvc", 11 })
    vm:serve(one, { a = function() return 3 end, default = function(nr)
        if nr == 3 then
            return nil, "EPERM"
        end
        return nr * 2
    end })
    t.eq({ (call(1)), (call(10)), (call(4)), (call(3)) }, { 3, 2, 8, -1 })
    t.raises(function() vm:serve(hv.abi("three", { a = { 9 } }), {}) end,
             "three has the numbers 9 to 9, one those from 0 to 9")
    vm:serve(hv.abi("one", { a = { 1, "u32 x" } }), {}) -- it has fewer numbers now
    t.eq({ (call(1)), (select(3, call(2))).kind }, { -38, "hvc" })
    vm:trace { hypercalls = function() end }
    vm:trace { hypercalls = false }
    vm:serve(one, { default = function() return "x" end })
    t.raises(function() call(4) end, "one: call 4: the default handler returned x")
    for _, results in ipairs { { 1, 2 }, { nil, "EPERM", 1 }, { nil, 1 } } do
        vm:serve(one, { default = function() return table.unpack(results, 1, 3) end })
        t.raises(function() call(4) end, "call 4: the default handler returned ")
    end
    for _, case in ipairs {
        { { nil, {} }, "serve: an ABI of hv.abi() expected, got nil" },
        { { one, nil }, "serve: a table of handlers expected, got nil" },
        { { one, { c = print } }, "serve: one has no call c" },
        { { two, { aa = print } }, 'serve: two has no call aa: did you mean "a"?' },
        { { one, { a = 1 } }, "serve: a: a function expected, got number" },
        { { one, setmetatable({}, { __index = { b = 1 } }) }, "serve: b: a function expected" },
        { { one, {}, { limits = 1 } }, 'unknown option "limits": did you mean "limit"?' },
        { { one, {}, { limit = -1 } }, "serve: limit" },
        { { one, {}, {}, 1 }, "nothing goes behind the options" },
    } do
        local given = case[1]
        t.raises(function() vm:serve(table.unpack(given, 1, given[4] and 4 or given[3] and 3 or 2))
        end, case[2])
    end
    vm:close()
    t.raises(function() vm:serve(one, {}) end, "the machine is closed")
end)

t.on("a guest says what it was built with", function(open)
    local vm, call = caller.guest(open)
    local abi = hv.abi("lab", { version = 3, a = { 1 } })
    local events = {}
    vm:serve(abi, {}, { on_error = function(e) events[#events + 1] = e end })
    local CHECK = 0x68766162
    vm:write(0x20000, "lab\0")
    vm:write(0x20010, "bal\0")
    local function check(at, version, hash, room)
        vm:fill(0x21000, 256, 0x55)
        local _, failed = call(CHECK, at, version, hash, 0x21000, room or 256)
        local message = vm:read(0x21000, 256)
        return failed, message:match "^([^\x55]*)\0" or message:match "^[^\x55]*"
    end
    t.eq({ check(0x20000, 3, abi.hash) }, { 0, "" })
    t.eq({ check(0x20000, 2, abi.hash) },
         { 71, "lab: the guest is built for version 2, the host has version 3" })
    t.eq({ check(0x20000, 3, 1) }, { 71, ("lab: version 3 of the guest's is laid out otherwise: "
        .. "0000000000000001, here %016x: build the guest anew"):format(abi.hash) })
    t.eq({ check(0x20010, 3, 1) }, { 71, "the host serves no ABI bal" })
    t.eq({ check(0x20000, 2, abi.hash, 9) }, { 71, "lab: the" })
    t.eq({ check(0x20000, 2, abi.hash, 0) }, { 71, "" })
    t.eq({ check(-1, 2, abi.hash, 0) }, { 14, "" })
    t.eq({ #events, events[1].error, events[1].call }, { 4, "EPROTO", "hv_abi_check" })
end)
