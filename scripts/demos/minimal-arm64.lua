-- The smallest VMM for arm64: two pages of memory, one vCPU, one exit. The guest
-- puts a value into x0 and calls the hypervisor; the script looks at the exit as
-- the hardware reported it, and gives everything back in reverse order.
local hv = require "hv"

local PAGE = 16384                  -- Apple Silicon's
local EL1H_MASKED = 0x3c5           -- EL1 with SP_EL1, all interrupts masked
local HVC = 0x16                    -- exception class of HVC in the syndrome

local vm = hv.vm { arch = "arm64" }
print("machine: created")
local memory = vm:map { at = 0, size = 2 * PAGE, prot = "rwx" }
print(("memory: %d bytes at 0x%x"):format(memory.size, memory.at))
vm:load(0, hv.asm [[
        mov   x0, #0x41
        hvc   #0
]])

local cpu = vm:vcpu { pc = 0, cpsr = EL1H_MASKED }
local exit = cpu:enter()            -- one entry, one exit, nothing handled for us
print(("exit reason: %d"):format(exit.reason))
print(("  physical_address: 0x%x"):format(exit.pa))
print(("  virtual_address: 0x%x"):format(exit.va))
print(("  syndrome: 0x%x"):format(exit.syndrome))
if exit.syndrome >> 26 == HVC then
    print "HVC executed in Guest"
    print(("X0 from Guest: 0x%x"):format(cpu.x0))
end

memory:unmap()
print "memory: unmapped"
vm:close()                          -- and its vCPU before it
print "machine: closed"
