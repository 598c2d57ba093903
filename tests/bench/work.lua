-- SPDX-License-Identifier: MIT
--- hvlua's side of `make bench`: hvlua work.lua line n [code]
--
-- Does the work of one line n times. Prints the nanoseconds of processor time for
-- all, and the checksum; where an empty C call is what it is compared with, the
-- nanoseconds of either.

local line, n, code = arg[1], tonumber(arg[2]), arg[3]

local function bytes(hex)
    return (hex:gsub("%x%x", function(byte)
        return string.char(tonumber(byte, 16))
    end))
end

local function result(start, sum)
    print(("%.0f"):format((os.clock() - start) * 1e9), sum)
end

-- A machine with the code in it, and memory for more.
local function machine(options, at)
    local hv = require "hv"
    local vm = hv.vm(options)
    vm:map { at = 0, size = "16M" }
    vm:write(at, bytes(code))
    return vm, hv
end

-- Serve hypercall 7, the sum of its arguments, until 0 tells the checksum.
local function serve(vm)
    vm:hypercall(7, function(_, a, b) return a + b end)
    vm:hypercall(0, function(cpu, sum) cpu:stop(sum) end)
    local start = os.clock()
    local exit = vm:run()
    result(start, exit.value)
end

local lines = {}

function lines.hypercall_arm64()
    local vm = machine({ arch = "arm64" }, 0x10000)
    vm:vcpu { pc = 0x10000, x19 = n }
    serve(vm)
end

-- The same by a declaration; and where calls were told in lines before.
local function typed_arm64(traced)
    local vm, hv = machine({ arch = "arm64" }, 0x10000)
    vm:vcpu { pc = 0x10000, x19 = n }
    vm:serve(hv.abi("bench", {
        stop = { 0, "u64 sum" }, add = { 7, "u64 a", "u64 b", returns = "u64" },
    }), {
        add = function(a, b) return a + b end,
        stop = function(sum, cpu) cpu:stop(sum) end,
    })
    if traced then
        vm:trace { hypercalls = function() end }
        vm:trace { hypercalls = false }
    end
    local start = os.clock()
    local exit = vm:run()
    result(start, exit.value)
end

function lines.typed_arm64()
    typed_arm64(false)
end

function lines.untraced_arm64()
    typed_arm64(true)
end

-- A string of 64 bytes, and its pointer alone.
local function text_arm64(serve_it)
    local vm, hv = machine({ arch = "arm64" }, 0x10000)
    vm:write(0x20000, ("x"):rep(64) .. "\0")
    vm:vcpu { pc = 0x10000, x19 = n }
    serve_it(vm, hv)
    vm:hypercall(0, function(cpu, sum) cpu:stop(sum) end)
    local start = os.clock()
    local exit = vm:run()
    result(start, exit.value)
end

function lines.cstr_arm64()
    text_arm64(function(vm, hv)
        vm:serve(hv.abi("bench", { len = { 7, "cstr text", returns = "u32" } }), {
            len = function(text) return #text end,
        })
    end)
end

function lines.pointer_arm64()
    text_arm64(function(vm)
        vm:hypercall(7, function() return 64 end)
    end)
end

function lines.hypercall_x86_64()
    local vm, hv = machine({ arch = "x86_64", backend = "unicorn" }, 0x10000)
    vm:vcpu(hv.x86.long(vm, 0x1000, { rip = 0x10000, rbx = n }))
    serve(vm)
end

function lines.mmio_arm64()
    local vm = machine({ arch = "arm64" }, 0x10000)
    local device
    vm:attach {
        at = 0x9000000, size = 0x1000,
        write = function(_, value) device = value end,
        read = function() return device + 1 end,
    }
    vm:hypercall(0, function(cpu, sum) cpu:stop(sum) end)
    vm:vcpu { pc = 0x10000, x19 = n }
    local start = os.clock()
    local exit = vm:run()
    result(start, exit.value)
end

function lines.pio_kvm()
    local vm = machine({ arch = "x86_64", backend = "kvm" }, 0x1000)
    local sum = 0
    vm:attach { port = 0x10, write = function(_, value) sum = sum + value end }
    vm:vcpu { rip = 0x1000, rax = n }
    local start = os.clock()
    vm:run()
    result(start, sum)
end

function lines.mmio_kvm()
    local vm = machine({ arch = "arm64", backend = "kvm" }, 0x1000)
    local sum = 0
    vm:attach {
        at = 0x9000000, size = 0x1000,
        write = function(_, value) sum = sum + value end,
    }
    vm:vcpu { pc = 0x1000, x19 = n }
    local start = os.clock()
    vm:run() -- up to a store where no device is
    result(start, sum)
end

-- A machine of 16 MiB for lines that run no guest.
local function memory()
    local vm = require "hv".vm {}
    vm:map { at = 0, size = "16M" }
    return vm
end

-- From two strings in turn, as copy.c does from two buffers.
function lines.write()
    local vm, size = memory(), math.tointeger(code)
    local a, b = ("a"):rep(size), ("b"):rep(size)
    local start = os.clock()
    for i = 1, n do
        vm:write(0x100000, i % 2 == 0 and b or a)
    end
    result(start, vm:u8(0x100000 + size - 1))
end

function lines.read()
    local vm, size = memory(), math.tointeger(code)
    local at, last = { [0] = 0x800000, 0x400000 }, nil
    vm:fill(at[0], size, ("b"):byte())
    vm:fill(at[1], size, ("a"):byte())
    local start = os.clock()
    for i = 1, n do
        last = vm:read(at[i % 2], size)
    end
    result(start, last:byte(-1))
end

-- What one pass of a body costs, and an empty C call that is given as much, two
-- values: n times each, in turn, in one process; less what the loop around them
-- costs. With a part given ("loop",
-- "call", "body") only that runs, once, for counting its instructions.
local function against_empty(body)
    local passes = {
        loop = function()
            for _ = 1, n do
            end
        end,
        call = function()
            local empty, a, b = require "empty", arg, 0x100000
            for _ = 1, n do
                empty(a, b)
            end
        end,
        body = body,
    }
    if code then
        return passes[code]()
    end
    local best = { loop = math.huge, call = math.huge, body = math.huge }
    for _ = 1, 5 do
        for part, pass in pairs(passes) do
            local start = os.clock()
            pass()
            best[part] = math.min(best[part], os.clock() - start)
        end
    end
    print(("%.0f\t%.0f"):format((best.body - best.loop) * 1e9,
        (best.call - best.loop) * 1e9))
end

function lines.u32()
    local view = memory():view "u32"
    view[0x100000] = 0x87654321
    against_empty(function()
        local u32, at, value = view, 0x100000, nil
        for _ = 1, n do
            value = u32[at]
        end
        assert(value == 0x87654321)
    end)
end

function lines.register()
    local vcpu = memory():vcpu { x0 = -7 }
    against_empty(function()
        local cpu, value = vcpu, nil
        for _ = 1, n do
            value = cpu.x0
        end
        assert(value == -7)
    end)
end

lines[line]()
