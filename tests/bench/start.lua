-- SPDX-License-Identifier: MIT
-- hvlua's side of the cold starts: what a script does up to its first hypercall.
-- The arguments are the backend, and the guest's code in hexadecimal.
local hv = require "hv"

local backend, code = arg[1], arg[2]:gsub("%x%x", function(byte)
    return string.char(tonumber(byte, 16))
end)
local arm = backend == "unicorn"
local vm = hv.vm { arch = arm and "arm64" or "x86_64", backend = backend }
vm:map { at = 0, size = "16M" }
vm:write(0x1000, code)
vm:hypercall(7, function(cpu, letter)
    io.write(string.char(letter))
    io.flush()
    io.read() -- until start.c has seen enough
    cpu:stop()
end)
vm:vcpu { pc = arm and 0x1000 or nil, rip = not arm and 0x1000 or nil }
vm:run()
