-- SPDX-License-Identifier: MIT
--- Rows of a trace: accesses of a device, by their offset in it.
--
-- access(base) --> read(offset, size, answer, regs), write(offset, size, value, regs)
return function(base)
    local function read(offset, size, answer, regs)
        return { "mmio", addr = base + offset, size = size, write = false,
            answer = answer, regs = regs }
    end
    local function write(offset, size, value, regs)
        return { "mmio", addr = base + offset, size = size, write = true,
            value = value, regs = regs }
    end
    return read, write
end
