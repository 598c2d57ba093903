-- A breakpoint instruction that the host gets to see: without `trap_debug` it
-- would be an exception of the guest's own, to be taken at its VBAR_EL1.
local hv = require "hv"

local vm <close> = hv.vm { arch = "arm64" }
vm:map { at = 0x4000, size = "16K", prot = "rwx" }
vm:u32(0x4000, 0xd2800840)          -- mov x0, #0x42
vm:u32(0x4004, 0xd4200000)          -- brk #0

local cpu = vm:vcpu { pc = 0x4000, trap_debug = true }
local exit = vm:run()

print("kind:            " .. exit.kind)
print(("exception class: 0x%x"):format(exit.syndrome >> 26))
print(("x0:              0x%x"):format(cpu.x0))
print(("pc:              0x%x, at the breakpoint"):format(cpu.pc))
assert(exit.kind == "brk" and exit.ec == 0x3c and cpu.x0 == 0x42)
