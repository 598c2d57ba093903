-- SPDX-License-Identifier: MIT
-- For host.c: a guest that blinks the light of the program around it.
-- luacheck: read globals light
local hv = require "hv"

local vm <close> = hv.vm { memory = "64K" }

vm:load(0, hv.asm [[
        mov   x19, #3
next:   mov   x0, #1                // hypercall 1: light(x1)
        and   x1, x19, #1
        hvc   #0
        subs  x19, x19, #1
        b.ne  next
        mov   x0, #0                // hypercall 0: the end
        hvc   #0
]])
vm:hypercall(0, function(cpu) return cpu:stop() end)
vm:hypercall(1, function(_, on) light(on ~= 0) end)
vm:vcpu { pc = 0 }
vm:run { timeout = 10 }
