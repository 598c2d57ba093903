-- SPDX-License-Identifier: MIT
-- A guest that makes one call, with whatever the test puts into its registers.
--
-- caller.guest(open [, at]) --> vm, call, cpu
-- call(nr, word...) --> result, error, exit; result and error are nil where the machine
-- was closed
-- caller.registers[arch] --> where number and words are, the number's first

local hv = require "hv"

local caller = {
    registers = {
        arm64 = { "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8" },
        x86_64 = { "rax", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11" },
    },
}

local CODE = { arm64 = "hvc #0\n wfi", x86_64 = "out %al, $0xe8\n hlt" }
local RESULTS = { arm64 = { "x0", "x1" }, x86_64 = { "rax", "rdx" } }
local PC = { arm64 = "pc", x86_64 = "rip" }

function caller.guest(open, at)
    local vm = open { memory = "1M" }
    local arch = vm.arch
    at = at or 0x10000
    vm:load(at, hv.asm(CODE[arch], { arch = arch }))
    local cpu = vm:vcpu(arch == "x86_64" and hv.x86.long(vm, at + 0x70000) or nil)
    local function call(...)
        for i, name in ipairs(caller.registers[arch]) do
            cpu[name] = (select(i, ...)) or 0
        end
        cpu[PC[arch]] = at
        local exit = vm:run { timeout = 20 }
        if vm.closed then
            return nil, nil, exit
        end
        return cpu[RESULTS[arch][1]], cpu[RESULTS[arch][2]], exit
    end
    return vm, call, cpu
end

return caller
