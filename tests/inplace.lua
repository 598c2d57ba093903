-- SPDX-License-Identifier: MIT
-- Handlers that change the machine under a guest in the midst of its run: what
-- they have changed counts from the next instruction on, as after any exit.
local t = ...
local hv = require "hv"

local DEVICE = 0x200000 -- no memory is there

local function on(name, fn)
    t.on("arm64", name, fn)
end

local function guest(open, code, registers)
    return t.guest(open, { arm64 = code }, registers)
end

-- Guest code that calls `change` where it says DOOR, or first of all: once by a
-- hypercall, and once by an access to a device.
local function after(open, code, change, check)
    for _, door in ipairs { "hvc #7", "str w1, [x28]", "ldr w1, [x28]" } do
        local text, doors = code:gsub("DOOR", door)
        local vm, cpu = guest(open, doors > 0 and text or door .. "\n" .. code,
            { x0 = door == "hvc #7" and 7 or 0, x28 = DEVICE })
        vm:hypercall(7, function(c) change(vm, c) return 0 end)
        vm:attach { at = DEVICE, size = 4096,
            read = function(_, _, c) change(vm, c) return 0 end,
            write = function(_, _, _, c) change(vm, c) end }
        check(vm, cpu, vm:run { timeout = 10 }, door)
        vm:close()
    end
end

on("each hvc has its own immediate", function(open)
    local lines, want = {}, {}
    for i = 1, 40 do
        lines[#lines + 1] = ("hvc #%d"):format(i)
        if i % 8 == 0 then -- longer than a block, and over the edge of pages
            lines[#lines + 1] = (".rept %d\n nop\n .endr"):format(i * 60 + 1)
        end
        want[i] = i
    end
    local vm = guest(open, "mov x0, #99\n mov x5, #3\nagain:\n" ..
        table.concat(lines, "\n") .. "\n subs x5, x5, #1\n b.ne again\n hvc #1000")
    local seen = {}
    vm:on("hvc", function(cpu, e)
        t.eq({ e.syndrome, e.ec }, { 0x5a000000 | e.imm, 0x16 })
        if e.imm == 1000 then
            cpu:stop()
        end
        seen[#seen + 1] = e.imm
    end)
    vm:run { timeout = 10 }
    t.eq(#seen, 121)
    for i = 1, 120 do
        t.eq(seen[i], want[(i - 1) % 40 + 1])
    end
end)

on("memory that comes, goes and is protected", function(open)
    after(open, "mov x2, #0x100000\n ldr x3, [x2]\n hvc #1", function(vm)
        vm:map { at = 0x100000, size = vm.page_size }
        vm:u64(0x100000, 77)
    end, function(_, cpu, e, door)
        t.eq({ e.kind, e.imm, cpu.x3 }, { "hvc", 1, 77 }, door)
    end)
    for change, rights in pairs { protect = { "r" }, unmap = {} } do
        local vm = open { memory = "512K" }
        vm:map { at = 0x80000, size = vm.page_size }
        vm:load(0x1000, hv.asm "str x2, [x2]\n hvc #7\n str x0, [x2]\n hvc #1")
        vm:hypercall(7, function()
            vm[change](vm, 0x80000, table.unpack(rights))
        end)
        local cpu = vm:vcpu { pc = 0x1000, x0 = 7, x2 = 0x80000 }
        local e = vm:run { timeout = 10 }
        t.eq({ e.kind, e.addr, e.write, cpu.pc }, { "mmio", 0x80000, true, 0x100c })
        vm:close()
    end
end)

on("code", function(open)
    after(open, [[
        b     start
f:      mov   x3, #1
        ret
start:  bl    f
        DOOR
        bl    f
        hvc   #1
    ]], function(vm)
        vm:load(0x1004, hv.asm "mov x3, #2")
    end, function(_, cpu, e, door)
        t.eq({ e.imm, cpu.x3 }, { 1, 2 }, door)
    end)
end)

on("pc, and the level with its stack pointer", function(open)
    after(open, "hvc #1\n nop\n hvc #2", function(_, c) c.pc = 0x100c end,
        function(_, cpu, e, door)
            t.eq({ e.imm, cpu.pc }, { 2, 0x1010 }, door)
        end)
    after(open, "mov x3, sp\n mrs x4, currentel\n hvc #1", function(_, c)
        c.cpsr = 0x3c4 -- EL1 with SP_EL0
        c.sp = 0x5000
    end, function(_, cpu, e, door)
        t.eq({ e.imm, cpu.x3, cpu.x4, cpu.cpsr & 15 }, { 1, 0x5000, 4, 4 }, door)
    end)
end)

on("pc and stop at once", function(open)
    after(open, "hvc #1\n nop\n mov x3, #1\n hvc #2", function(_, c)
        c.pc = 0x100c
        c:stop "enough"
    end, function(_, cpu, e, door)
        t.eq({ e.kind, e.value, cpu.pc, cpu.x3 }, { "stop", "enough", 0x100c, 0 },
            door)
    end)
end)

on("breakpoints and watchpoints", function(open)
    after(open, "nop\n mov x3, #1\n hvc #1", function(_, c)
        c:breakpoint(0x1008)
    end, function(_, cpu, e, door)
        t.eq({ e.kind, cpu.pc, cpu.x3 }, { "break", 0x1008, 0 }, door)
    end)
    after(open, "mov x2, #0x9000\n ldr x3, [x2]\n str x3, [x2]\n hvc #1",
        function(_, c) c:watchpoint(0x9000, 8, "w") end,
        function(_, cpu, e, door)
            t.eq({ e.kind, e.addr, cpu.pc }, { "watch", 0x9000, 0x1010 }, door)
        end)
end)

on("an interrupt", function(open)
    after(open, "msr daifclr, #2\n nop\n nop\n hvc #1", function(vm, c)
        c.vbar_el1 = 0x8000
        vm:load(0x8280, hv.asm "hvc #2")
        c:irq(true)
    end, function(_, cpu, e, door)
        t.eq({ e.imm, cpu.pc }, { 2, 0x8284 }, door)
    end)
end)

on("another machine that runs meanwhile", function(open)
    t.several(open)
    after(open, "hvc #1", function()
        local other = guest(open, "mov x0, #7\n hvc #7\n hvc #3")
        local calls = 0
        other:hypercall(7, function() calls = calls + 1 return 8 end)
        local e = other:run { timeout = 5 }
        t.eq({ e.imm, e.nr, calls }, { 3, 8, 1 })
        other:close()
    end, function(_, _, e, door)
        t.eq(e.imm, 1, door)
    end)
end)

on("errors, closing, budgets and kicks", function(open)
    for _, door in ipairs { "hvc #7", "str w1, [x28]" } do
        local code = door .. "\n" .. door .. "\n mov x0, #0\n hvc #1"
        local function machine(change)
            local vm, cpu = guest(open, code, { x0 = 7, x28 = DEVICE })
            local calls = 0
            local function handler()
                calls = calls + 1
                change(vm, cpu)
            end
            vm:hypercall(7, handler)
            vm:attach { at = DEVICE, size = 4096, write = handler }
            return vm, cpu, function() return calls end
        end
        local vm, cpu, calls = machine(function() error "no" end)
        t.raises(function() vm:run() end, "no")
        t.eq({ cpu.pc, calls() }, { 0x1004, 1 }, door)
        t.raises(function() vm:run() end, "no")
        t.eq({ cpu.pc, calls() }, { 0x1008, 2 }, door)
        t.eq(vm:run().imm, 1)
        vm:close()
        vm, _, calls = machine(function(m) m:close() end)
        t.eq({ vm:run().kind, vm.closed, calls() }, { "stop", true, 1 }, door)
        vm, cpu, calls = machine(function() end)
        t.eq({ vm:run { exits = 1 }.kind, cpu.pc, calls() }, { "budget", 0x1004, 1 })
        vm:close()
        vm, cpu, calls = machine(function(_, c) c:kick() end)
        t.eq({ vm:run().kind, cpu.pc, calls() }, { "kick", 0x1004, 1 }, door)
        t.eq({ vm:run().kind, cpu.pc, calls() }, { "kick", 0x1008, 2 }, door)
        vm:close()
    end
end)
