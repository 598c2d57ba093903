-- SPDX-License-Identifier: MIT
--- What an exit costs, in instructions: hvlua tests/nested/bench.lua, in the machine
-- that `make bench-nested` boots. There an instruction takes a nanosecond of the
-- machine's time (QEMU's -icount), so that counts repeat, whatever else the host does.
--
-- For each line, beside a loop in C that does the same by hand: core's exit loop with a
-- callback in C (loop.c), which is what is limited, and hvlua with a handler in Lua.
-- Each for many exits and for a few, so that what is done once does not count. Prints
-- TAP and counts.
local hv = require "hv"
local core = require "hv.core"

local FEW, MANY = 1000, 11000

-- `most` times what the C side takes may core take, and `more` instructions.
local LINES = {
    arm64 = {
        name = "mmio-kvm-arm64", program = "kvm_arm64", kind = "mmio", work = "mmio_kvm",
        most = 1.09, more = 450,
        code = [[
                mov   x8, #0x9000000
        again:  str   w19, [x8]
                subs  x19, x19, #1
                b.ne  again
                mov   x8, #0x9100000
                str   wzr, [x8]
        ]],
    },
    x86_64 = {
        name = "pio-kvm-x86_64", program = "kvm_x86", kind = "pio", work = "pio_kvm",
        most = 1.15, more = 450,
        code = [[
        again:  out   %eax, $0x10
                dec   %eax
                jnz   again
                hlt
        ]],
    },
}

local folder = arg[0]:match "^(.*)/nested/[^/]*$"
local build = os.getenv "HVLUA_BUILD" .. "/bench/"

-- What the program says of n exits: nanoseconds, and the checksum.
local function run(argv)
    local status, out, err = core.pipe(argv)
    local ns, sum = (out or ""):match "^(%d+)\t(-?%d+)\n$"
    if status ~= 0 or not ns then
        error(("%s: %s %s%s"):format(argv[1], status, out, err))
    end
    return tonumber(ns), sum
end

-- Instructions for each exit.
local function cost(side, line, hex)
    local function times(n)
        return run(({
            C = { build .. line.program, line.kind, tostring(n), hex },
            core = { build .. "loop", tostring(n), hex },
            Lua = { arg[-1], folder .. "/bench/work.lua", line.work, tostring(n), hex },
        })[side])
    end
    local few, many, sum = times(FEW), times(MANY)
    return (many - few) / (MANY - FEW), sum
end

local function measure(line, arch)
    local hex = hv.asm(line.code, { arch = arch, bits = arch == "x86_64" and 16 or nil })
        .bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
    local c, want = cost("C", line, hex)
    print(("# %s: %.0f instructions for each exit in C"):format(line.name, c))
    local good
    for _, side in ipairs { "Lua", "core" } do
        local ours, got = cost(side, line, hex)
        assert(got == want, ("%s: got %s, want %s"):format(line.name, got, want))
        local ratio, more = ours / c, ours - c
        print(("# %s: %s: %.0f, %.3f times that, %+.0f"):format(line.name, side, ours, ratio,
            more))
        good = ratio <= line.most and more <= line.more
    end
    return good
end

local failed = 0
for _, b in ipairs(hv.backends()) do
    local line = b.name == "kvm" and b.ok and LINES[b.arch]
    if line then
        local good = measure(line, b.arch)
        failed = failed + (good and 0 or 1)
        print(("%s 1 - %s: at most %.2f times what C takes, and %d instructions more")
            :format(good and "ok" or "not ok", line.name, line.most, line.more))
    end
end
print "1..1"
print(("%d passed, %d failed, 0 skipped"):format(1 - failed, failed))
os.exit(failed == 0)
