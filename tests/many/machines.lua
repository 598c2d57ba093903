-- SPDX-License-Identifier: MIT
-- machines.lua BACKEND ARCH COUNT: many machines, one after the other, each of which
-- makes one hypercall. Prints how much memory this process has (KiB) 20 times on
-- the way. See many.lua.
local hv = require "hv"
local backend, arch, count = arg[1], arg[2], tonumber(arg[3])

-- Hypercall 1, as bytes.
local CODE = {
    arm64 = "\x20\x00\x80\xd2\x02\x00\x00\xd4", -- mov x0, #1; hvc #0
    x86_64 = "\xb8\x01\x00\xe6\xe8", -- mov $1, %ax; out %al, $0xe8
}

local function memory()
    local status <close> = io.open "/proc/self/status"
        or io.popen 'printf "VmRSS: "; ps -o rss= -p $PPID'
    return tonumber(status:read("a"):match "VmRSS:%s*(%d+)")
end

-- A machine whose handler does `answer`.
local function make(answer)
    local vm = hv.vm { backend = backend, arch = arch, memory = "64K" }
    vm:load(0x1000, CODE[arch])
    vm:vcpu { pc = 0x1000 }
    vm:hypercall(1, answer)
    return vm
end

-- How a machine ends.
local WAYS = {
    function(i) -- it is closed
        local vm <close> = make(function(cpu) cpu:stop(i) end)
        assert(vm:run().value == i)
    end,
    function(i) -- the collector finds it
        assert(make(function(cpu) cpu:stop(i) end):run().value == i)
    end,
    function() -- its own handler closes it
        local vm = make(function(cpu) cpu.vm:close() end)
        assert(vm:run().kind == "stop" and vm.closed)
    end,
}

for i = 1, count do
    WAYS[i % #WAYS + 1](i)
    if i % 30 == 0 then
        collectgarbage()
    end
    if i % (count // 20) == 0 then
        collectgarbage()
        print(memory())
    end
end
