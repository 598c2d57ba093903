-- SPDX-License-Identifier: MIT
-- Hypercalls by a store to an address without memory, for hosts that keep the
-- guest's own instruction to themselves.
local t = ...

local AT = 0x10000

-- Twice hypercall 7 with 20 and 22, then hypercall 0 with what came back.
local CALLS = {
    arm64 = [[
        mov   x9, #0x10000
        mov   x8, #0x1234
        mov   x0, #7
        mov   x1, #20
        mov   x2, #22
        str   x8, [x9]
        mov   x5, x0
        mov   x0, #7
        strb  w8, [x9]
        add   x1, x0, x5
        mov   x0, #0
        str   wzr, [x9]
    ]],
    x86_64 = [[
        mov   $0x1000, %bx
        mov   %bx, %es
        mov   $7, %ax
        mov   $20, %di
        mov   $22, %si
        movl  $0x1234, %es:0
        mov   %ax, %bp
        mov   $7, %ax
        movb  $1, %es:0
        add   %ax, %bp
        mov   %bp, %di
        mov   $0, %ax
        movw  $0, %es:0
    ]],
}

local function guest(open, code)
    local vm = open { memory = "64K" }
    vm:load(0x1000, require "hv".asm(code[vm.arch], {
        arch = vm.arch, bits = vm.arch == "x86_64" and 16 or nil,
    }))
    return vm, vm:vcpu { pc = 0x1000, sp = 0x8000 }
end

t.on("number, arguments and results are those of every hypercall", function(open)
    local vm = guest(open, CALLS)
    local seen = {}
    vm:hypercall { via = "mmio", at = AT }
    vm:hypercall(7, function(cpu, a, b)
        seen[#seen + 1] = cpu.pc
        return a + b
    end)
    vm:hypercall(0, function(cpu, sum) cpu:stop(sum) end)
    t.eq(vm:run().value, 84)
    t.eq(#seen, 2)
    t.ok(seen[1] > 0x1000 and seen[2] > seen[1], "PC is past each store")
end)

t.on("one that nobody handles ends the run, as an hvc", function(open, _, arch)
    local vm, cpu = guest(open, CALLS)
    vm:hypercall { via = "mmio", at = ("0x%x"):format(AT) }
    local e = vm:run()
    t.eq({ e.kind, e.nr, e.imm }, { "hvc", 7, 0 })
    cpu[arch == "arm64" and "x0" or "rax"] = 5
    e = vm:run()
    t.eq({ e.kind, e.nr }, { "hvc", 7 })
    t.eq(cpu[arch == "arm64" and "x5" or "rbp"], 5, "what was written is the result")
end)

t.on("loads, and other addresses, are devices still", function(open)
    local vm = guest(open, {
        arm64 = "mov x9, #0x10000\n ldr x1, [x9]\n str x1, [x9, #8]\n str x1, [x9]",
        x86_64 = "mov $0x1000, %bx\n mov %bx, %es\n mov %es:0, %cl\n mov %cl, %es:8\n"
            .. "mov %cl, %es:0",
    })
    vm:hypercall { via = "mmio", at = AT }
    local log = {}
    vm:on("mmio", function(_, e)
        log[#log + 1] = { e.addr - AT, e.write }
        return 3
    end)
    t.eq(vm:run().kind, "hvc")
    t.eq(log, { { 0, false }, { 8, true } })
end)

t.on("a doorbell is where no memory is", function(open)
    local vm = open { memory = "64K" }
    local line = debug.getinfo(1, "l").currentline + 1
    local why = t.raises(function() vm:hypercall { via = "mmio", at = 0xfff8 } end,
        "doorbell: there is memory at 0xfff8: it takes an address without any")
    t.ok(why:find("doorbell.lua:" .. line, 1, true), why)
    t.raises(function() vm:hypercall { via = "mmio" } end, "hypercall: at:")
    t.raises(function() vm:hypercall { at = AT } end, "hypercall: via:")
    t.raises(function() vm:hypercall { via = "hvc", at = AT } end, 'use "mmio"')
    t.raises(function() vm:hypercall { via = "mmio", to = AT } end, 'unknown field "to"')
    t.raises(function() vm:hypercall({ via = "mmio", at = AT }, print) end, "at most")
    vm:hypercall { via = "mmio", at = AT }
end)
