-- The smallest VMM for x86_64: 8 KiB of memory at guest physical address 4096, and
-- one instruction, hlt. On /dev/kvm where there is one, else emulated.
local hv = require "hv"

local vm <close> = hv.vm { arch = "x86_64" }
vm:map { at = 4096, size = 8192 }
vm:write(4096, "\xf4")              -- hlt

-- Real mode: the code segment begins at 0, so that rip is the address.
local cpu = vm:vcpu { rip = 4096, rflags = 2, cs = { base = 0, selector = 0 } }
local exit = vm:run()

print(("exit: %s"):format(exit.kind))
print(("rip:  %d, behind the hlt"):format(cpu.rip))
assert(exit.kind == "halt" and cpu.rip == 4097)
