-- SPDX-License-Identifier: MIT
-- A first look: does hvlua work on this machine? `make smoke`, or
--   ./hvlua [--backend=NAME] tests/smoke.lua
-- A line for each thing that a backend has to do, and exit status 1 at the first that
-- it does not. It takes no second.
local hv = require "hv"

local function check(ok, format, ...)
    local line = format:format(...)
    print((ok and "ok      " or "not ok  ") .. line)
    if not ok then
        os.exit(1, true)
    end
end

local vm = hv.vm { arch = "arm64" }
check(true, "a machine on %s, with pages of %d bytes", vm.backend, vm.page_size)

vm:map { at = 0, size = "1M" }
vm:map { at = "1M", size = "64K", prot = "r" }
local code = hv.asm [[
        mov   x0, #1
        mov   x1, #20
        hvc   #0                        // hypercall 1: x0 becomes what it returns
        mov   x9, #0x200000
        str   x0, [x9]                  // a device that is Lua functions
        ldr   x2, [x9, #8]
        mov   x9, #0x100000
        str   x2, [x9]                  // memory that is read-only
        wfi
        mrs   x3, cntvct_el0
        add   x3, x3, #0x6000           // a moment from now
        msr   cntv_cval_el0, x3
        mov   x3, #1
        msr   cntv_ctl_el0, x3
        b     .
both:   mov   x0, #2
        hvc   #0                        // hypercall 2: a vCPU is here
        b     .
]]
vm:load(0x4000, code)
local both = 0x4000 + code.symbols.both
local cpu = vm:vcpu { pc = 0x4000 }
check(cpu.pc == 0x4000 and vm:u32(0x4000) == 0xd2800020, "memory, a vCPU, and what they hold")

local seen = {}
vm:hypercall(1, function(_, x1) seen.hvc = x1 return x1 * 2 + 2 end)
vm:attach { at = 0x200000, size = 16, read = function() return 7 end,
    write = function(_, value) seen.mmio = value end }
local exit = vm:run { timeout = 10 }
check(seen.hvc == 20, "a hypercall, answered")
check(seen.mmio == 42 and cpu.x2 == 7, "a device, written and read")
check(exit.kind == "mmio" and exit.addr == 0x100000 and exit.write, "read-only memory stays so")
check(vm:run { timeout = 10 }.kind == "wfi", "a guest that waits")
check(vm:run { timeout = 10 }.kind == "timer", "its timer")
check(vm:run { timeout = 0.01 }.kind == "timeout", "a guest in an endless loop, ended")

cpu.pc, cpu.cntv_ctl_el0 = both, 0
vm:vcpu { pc = both }
vm:hypercall(2, function(c)
    seen[c.index] = true
    if seen[0] and seen[1] then
        c:stop "both"
    end
end)
check(vm:run { timeout = 10 }.value == "both", "two vCPUs at once")

local name = vm.backend
vm:close()
hv.vm({ arch = "arm64", backend = name }):close()
check(true, "closed, and opened once more")
print(("hvlua %s works here, on %s"):format(hv.version, name))
