-- SPDX-License-Identifier: MIT
--- `make bench`: hvlua beside C that does the same work by hand.
--
--   hvlua tests/bench/run.lua [options] [line...]
--
--   --rounds=N   of each line, ours and theirs in turn (11)
--   --json       as JSON
--   --no-ir      without counting instructions
--   --check      exit status 1 where a ratio is more than it should be
--
-- A line is: name, ours, theirs, unit, ratio, the most it should be, and the
-- instructions of either by callgrind, in one of what is measured. Times are
-- medians, and the ratio is the rounds' median. Both sides run the same guest on
-- the same libunicorn, pinned to the same processor, and have to come to the same
-- checksum. $HVLUA_BUILD is where the C side is.

local hv = require "hv"
local core = require "hv.core"

local folder = arg[0]:match "^(.*)/[^/]*$" or "."
local build = (os.getenv "HVLUA_BUILD" or "build/obj") .. "/bench/"
local hvlua = arg[-1]
local options = { rounds = 11, ir = true }
local wanted = {}

-- ---- the guests ----------------------------------------------------------

local function words(list)
    for i, word in ipairs(list) do
        list[i] = ("<I4"):pack(word):gsub(".", function(byte)
            return ("%02x"):format(byte:byte())
        end)
    end
    return table.concat(list)
end

local guests = {
    hypercall_arm64 = words {
        0xd28000e0, --  again:  mov   x0, #7
        0xaa1303e1, --          mov   x1, x19
        0xd28000e2, --          mov   x2, #7
        0xd4000002, --          hvc   #0
        0x8b000294, --          add   x20, x20, x0
        0xf1000673, --          subs  x19, x19, #1
        0x54ffff41, --          b.ne  again
        0xd2800000, --          mov   x0, #0
        0xaa1403e1, --          mov   x1, x20
        0xd4000002, --          hvc   #0
    },
    cstr_arm64 = words {
        0xd28000e0, --  again:  mov   x0, #7
        0xd2a00041, --          mov   x1, #0x20000
        0xd4000002, --          hvc   #0
        0x8b000294, --          add   x20, x20, x0
        0xf1000673, --          subs  x19, x19, #1
        0x54ffff61, --          b.ne  again
        0xaa1403e1, --          mov   x1, x20
        0xd2800000, --          mov   x0, #0
        0xd4000002, --          hvc   #0
    },
    mmio_arm64 = words {
        0xd2a12002, --          mov   x2, #0x9000000
        0xb9000053, --  again:  str   w19, [x2]
        0xb9400440, --          ldr   w0, [x2, #4]
        0x8b000294, --          add   x20, x20, x0
        0xf1000673, --          subs  x19, x19, #1
        0x54ffff81, --          b.ne  again
        0xd2800000, --          mov   x0, #0
        0xaa1403e1, --          mov   x1, x20
        0xd4000002, --          hvc   #0
    },
    start_arm64 = words {
        0xd28000e0, --          mov   x0, #7
        0xd2800421, --          mov   x1, #'!'
        0xd4000002, --          hvc   #0
    },
    hypercall_x86_64 = table.concat {
        "b807000000", -- again: mov   $7, %eax
        "4889df",     --        mov   %rbx, %rdi
        "be07000000", --        mov   $7, %esi
        "e6e8",       --        out   %al, $0xe8
        "eb00",       --        jmp   . + 2
        "4901c4",     --        add   %rax, %r12
        "48ffcb",     --        dec   %rbx
        "75e7",       --        jnz   again
        "31c0",       --        xor   %eax, %eax
        "4c89e7",     --        mov   %r12, %rdi
        "e6e8",       --        out   %al, $0xe8
        "eb00",       --        jmp   . + 2
        "f4",         --        hlt
    },
    pio = table.concat { -- real mode
        "66e710", --    again:  out   %eax, $0x10
        "6648",   --            dec   %eax
        "75f9",   --            jnz   again
        "f4",     --            hlt
    },
    start_x86_64 = table.concat { -- real mode
        "b80700", --            mov   $7, %ax
        "bf2100", --            mov   $'!', %di
        "e6e8",   --            out   %al, $0xe8
        "f4",     --            hlt
    },
}

-- ---- running the sides -----------------------------------------------------

local function fail(...)
    io.stderr:write("bench: ", string.format(...), "\n")
    os.exit(1)
end

-- Environment for a program: `env` finds it, taskset pins it.
local prefix = { "env", "LUA_CPATH=" .. build .. "?.so;;" }

local function run(argv, input)
    local full = { table.unpack(prefix) }
    table.move(argv, 1, #argv, #full + 1, full)
    local status, out, err = core.pipe(full, input or "")
    if status ~= 0 then
        return nil, (err or out):gsub("%s+$", "")
    end
    return out, err
end

-- The libunicorn that hvlua finds is everybody's.
local function share_library()
    if pcall(hv.vm, { backend = "unicorn" }) then
        local f = io.open "/proc/self/maps"
        local path = f and f:read "a":match "(/%C*/libunicorn[^/\n]*)\n"
        if path then
            prefix[#prefix + 1] = "HVLUA_LIBUNICORN=" .. path
        end
        return path
    end
end

local function theirs(program, ...)
    return { build .. program, ... }
end

local function ours(...)
    return { hvlua, folder .. "/work.lua", ... }
end

local function pin()
    if core.pipe { "taskset", "-c", "1", "true" } == 0 then
        table.move({ "taskset", "-c", "1" }, 1, 3, #prefix + 1, prefix)
    end
end

-- ---- instructions ----------------------------------------------------------

local valgrind = { "valgrind", "--tool=callgrind",
    "--callgrind-out-file=/dev/null" }

-- All that a program executes, in user space. What it translates counts too.
local function instructions(argv, input)
    local full = { table.unpack(valgrind) }
    table.move(argv, 1, #argv, #full + 1, full)
    local out, err = run(full, input)
    local n = out and err:match "Collected : (%d+)"
    return math.tointeger(tonumber(n))
end

-- In one of what is done n times: what n more add. The first thousands settle
-- caches, of Lua and of the engine.
local function per_one(make, per)
    local few, many = 3000, 13000
    local a, b = instructions(make(few)), instructions(make(many))
    return a and b and (b - a) / (many - few) / per
end

-- ---- the sorts of lines ------------------------------------------------------

local function median(list)
    table.sort(list)
    return list[(#list + 1) // 2]
end

-- Two programs that print nanoseconds and a checksum.
local function loop(line)
    local mine, other, ratio = {}, {}, {}
    for round = 1, options.rounds do
        local took = {}
        for i, make in ipairs { line.ours, line.theirs } do
            local out, why = run(make(line.n))
            if not out then
                return nil, why
            end
            local ns, sum = out:match "^(%d+)\t(%-?%d+)\n$"
            took[i] = tonumber(ns) / line.n / (line.per or 1)
            took[i + 2] = sum
        end
        if took[3] ~= took[4] then
            fail("%s: round %d: checksums differ: %s and %s", line.name, round,
                took[3], took[4])
        end
        mine[round], other[round] = took[1], took[2]
        ratio[round] = took[1] / took[2]
    end
    local r = { name = line.name, unit = "ns", most = line.most,
        ours = median(mine), theirs = median(other), ratio = median(ratio) }
    if options.ir and not line.no_ir then
        r.ours_ir = per_one(line.ours, line.per or 1)
        r.theirs_ir = per_one(line.theirs, line.per or 1)
    end
    if line.more then
        line.more(r, line)
    end
    return { r }
end

-- One program that prints the nanoseconds of either side.
local function call(line)
    local mine, other, ratio = {}, {}, {}
    for round = 1, options.rounds do
        local out, why = run(ours(line.work, tostring(line.n)))
        if not out then
            return nil, why
        end
        local a, b = out:match "^(%-?%d+)\t(%-?%d+)\n$"
        mine[round], other[round] = a / line.n, b / line.n
        ratio[round] = a / b
    end
    local r = { name = line.name, unit = "ns", most = line.most,
        ours = median(mine), theirs = median(other), ratio = median(ratio) }
    if options.ir then
        local ir = {}
        for _, part in ipairs { "loop", "call", "body" } do
            ir[part] = per_one(function(n)
                return ours(line.work, tostring(n), part)
            end, 1)
        end
        if ir.loop and ir.call and ir.body then
            r.ours_ir, r.theirs_ir = ir.body - ir.loop, ir.call - ir.loop
        end
    end
    return { r }
end

-- start.c runs both sides, and tells time and memory.
local function start(line)
    local mine = { hvlua, folder .. "/start.lua", line.name, line.code }
    local other = theirs(line.program, "start", "0", line.code)
    local argv = { build .. "start", tostring(10 * options.rounds), "--" }
    table.move(mine, 1, #mine, #argv + 1, argv)
    argv[#argv + 1] = "--"
    table.move(other, 1, #other, #argv + 1, argv)
    local out, why = run(argv)
    if not out then
        return nil, why
    end
    local us, kib, byte, us2, kib2, byte2 =
        out:match "^(%S+)\t(%d+)\t(%d+)\n(%S+)\t(%d+)\t(%d+)\n$"
    if byte ~= byte2 then
        fail("%s: bytes differ: %s and %s", line.name, byte, byte2)
    end
    local time = { name = "coldstart-" .. line.name, unit = "us",
        ours = tonumber(us), theirs = tonumber(us2), ratio = us / us2,
        most = line.most }
    if options.ir then
        time.ours_ir = instructions(mine, "\n")
        time.theirs_ir = instructions(other, "\n")
    end
    return { time, { name = "rss-" .. line.name, unit = "KiB",
        ours = tonumber(kib), theirs = tonumber(kib2), ratio = kib / kib2,
        most = line.most_kib } }
end

-- Which ioctls take registers: as many for many exits as for a few.
local function count_ioctls(r, line)
    local few, many = {}, {}
    for n, counts in pairs { [100] = few, [1100] = many } do
        local argv = line.ours(n)
        table.insert(argv, 1, "LD_PRELOAD=" .. build .. "ioctls.so")
        table.insert(argv, 1, "env")
        local _, err = run(argv)
        local runs, registers = tostring(err):match "(%d+)\t(%d+)\n"
        counts.runs, counts.registers = tonumber(runs), tonumber(registers)
    end
    r.exits = many.runs and few.runs and many.runs - few.runs
    r.register_ioctls = r.exits and many.registers - few.registers
end

-- ---- the lines -----------------------------------------------------------------

local function hypercall(guest, work, program, mode)
    local code = guests[guest]
    return function(n)
        return ours(work, tostring(n), code)
    end, function(n)
        return theirs(program, mode, tostring(n), code)
    end
end

local function copies(work, bytes)
    return function(n)
        return ours(work, tostring(n), tostring(bytes))
    end, function(n)
        return theirs("copy", tostring(bytes), tostring(n))
    end
end

-- A typed hypercall beside an untyped one: hvlua on both sides.
local function typed(work, beside, guest)
    local code = guests[guest]
    return function(n)
        return ours(work, tostring(n), code)
    end, function(n)
        return ours(beside, tostring(n), code)
    end
end

local function line(sort, fields, mine, other)
    fields.sort, fields.ours, fields.theirs = sort, mine, other
    return fields
end

local lines = {
    line(loop, { name = "hypercall-unicorn-arm64", n = 200000, most = 1.3 },
        hypercall("hypercall_arm64", "hypercall_arm64", "unicorn_arm64",
            "hypercall")),
    line(loop, { name = "hypercall-unicorn-arm64-hook", n = 200000, most = 1.5 },
        hypercall("hypercall_arm64", "hypercall_arm64", "unicorn_arm64", "hook")),
    line(loop, { name = "hypercall-unicorn-x86_64", n = 200000, most = 1.5 },
        hypercall("hypercall_x86_64", "hypercall_x86_64", "unicorn_x86",
            "hypercall")),
    line(loop, { name = "pio-kvm-x86_64", n = 5000, most = 1.03,
            more = count_ioctls },
        hypercall("pio", "pio_kvm", "kvm_x86", "pio")),
    line(loop, { name = "mmio-unicorn-arm64", n = 60000, per = 2, most = 1.3 },
        hypercall("mmio_arm64", "mmio_arm64", "unicorn_arm64", "mmio")),
    line(loop, { name = "hypercall-typed", n = 200000, most = 1.25 },
        typed("typed_arm64", "hypercall_arm64", "hypercall_arm64")),
    line(loop, { name = "hypercall-cstr-64", n = 200000, most = 2.0 },
        typed("cstr_arm64", "pointer_arm64", "cstr_arm64")),
    line(loop, { name = "hypercall-trace-off", n = 200000, most = 1.01 },
        typed("untraced_arm64", "typed_arm64", "hypercall_arm64")),
    line(start, { name = "unicorn", program = "unicorn_arm64", most = 1.25,
        most_kib = 1.15, code = guests.start_arm64 }),
    line(start, { name = "kvm", program = "kvm_x86", most = 1.25, most_kib = 1.5,
        code = guests.start_x86_64 }),
    line(call, { name = "mem-u32", work = "u32", n = 500000, most = 2.5 }),
    line(loop, { name = "mem-write-64K", n = 20000, most = 1.15 },
        copies("write", 65536)),
    line(loop, { name = "mem-read-1M", n = 1000, most = 1.5, no_ir = true },
        copies("read", 1 << 20)),
    line(call, { name = "register", work = "register", n = 500000, most = 4 }),
}

-- ---- what is shown ---------------------------------------------------------------

local function find_in(path, pattern)
    local f = io.open(path)
    local text = f and f:read "a" or ""
    if f then
        f:close()
    end
    return text:match(pattern) or "?"
end

local function machine(library)
    return {
        libunicorn = library or "none",
        cpu = find_in("/proc/cpuinfo", "model name%s*: ([^\n]*)"),
        kernel = find_in("/proc/sys/kernel/osrelease", "[^\n]*"),
        lua = _VERSION, hvlua = hv.version, rounds = options.rounds,
    }
end

local columns = { "name", "ours", "theirs", "unit", "ratio", "most", "ours_ir",
    "theirs_ir" }

local formats = { ours = "%.1f", theirs = "%.1f", ratio = "%.2f", most = "%.2f",
    ours_ir = "%.0f", theirs_ir = "%.0f" }

local function as_text(r)
    local cells = {}
    for i, name in ipairs(columns) do
        local value = r[name]
        cells[i] = value == nil and "-" or (formats[name] or "%s"):format(value)
    end
    if r.register_ioctls then
        cells[#cells + 1] = ("%d register ioctls in %d exits"):format(
            r.register_ioctls, r.exits)
    end
    return table.concat(cells, "\t")
end

local function quote(value)
    if type(value) == "number" then
        return ("%.10g"):format(value)
    end
    return '"' .. value:gsub('[%c"\\]', function(c)
        return ("\\u%04x"):format(c:byte())
    end) .. '"'
end

local function as_json(r)
    local keys, members = {}, {}
    for key in pairs(r) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    for i, key in ipairs(keys) do
        members[i] = quote(key) .. ":" .. quote(r[key])
    end
    return "{" .. table.concat(members, ",") .. "}"
end

-- ---- all of it ---------------------------------------------------------------------

local function read_options()
    for _, word in ipairs(arg) do
        local rounds = word:match "^%-%-rounds=(%d+)$"
        if rounds then
            options.rounds = math.max(1, math.tointeger(tonumber(rounds)))
        elseif word == "--json" then
            options.json = true
        elseif word == "--no-ir" then
            options.ir = false
        elseif word == "--check" then
            options.check = true
        elseif word:sub(1, 1) == "-" then
            fail("unknown option %s: there are --rounds=N --json --no-ir --check",
                word)
        else
            wanted[#wanted + 1] = word
        end
    end
end

local function is_wanted(l)
    for _, word in ipairs(wanted) do
        if l.name:find(word, 1, true) then
            return true
        end
    end
    return #wanted == 0
end

local function main()
    read_options()
    local library = share_library()
    pin()
    if options.ir and core.pipe { "valgrind", "--version" } ~= 0 then
        options.ir = false
        io.stderr:write "bench: no valgrind here: instructions are not counted\n"
    end
    local about = machine(library)
    if options.json then
        io.write('{"machine":', as_json(about), ',"lines":[')
    else
        print(("# %s, Linux %s, %s, hvlua %s, %s, %d rounds"):format(about.cpu,
            about.kernel, about.lua, about.hvlua, about.libunicorn,
            about.rounds))
        print("# " .. table.concat(columns, "\t"))
    end
    local missed, shown = 0, 0
    for _, l in ipairs(lines) do
        local results, why
        if is_wanted(l) then
            results, why = l.sort(l)
            if not results then
                io.stderr:write("bench: ", l.name, ": left out: ", why, "\n")
            end
        end
        for _, r in ipairs(results or {}) do
            shown = shown + 1
            missed = missed + (r.ratio > r.most and 1 or 0)
            if options.json then
                io.write(shown > 1 and "," or "", as_json(r))
            else
                print(as_text(r))
            end
            io.flush()
        end
    end
    if options.json then
        print "]}"
    end
    os.exit(shown > 0 and not (options.check and missed > 0))
end

main()
