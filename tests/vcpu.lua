-- SPDX-License-Identifier: MIT
-- vCPU registers: every class of them, as properties.
local t = ...

local function roundtrip(cpu, names, value)
    for _, name in ipairs(names) do
        cpu[name] = value
        t.eq(cpu[name], value, name)
    end
end

local function numbered(prefix, first, last)
    local names = {}
    for i = first, last do
        names[#names + 1] = prefix .. i
    end
    return names
end

t.on("arm64", "general registers", function(open)
    local cpu = open { memory = "64K" }:vcpu()
    roundtrip(cpu, numbered("x", 0, 30), 0x0123456789abcdef)
    roundtrip(cpu, numbered("x", 0, 30), -2)
    roundtrip(cpu, { "sp", "pc" }, 0x8000)
    t.eq(cpu.fp, cpu.x29)
    t.eq(cpu.lr, -2)
    t.eq(cpu.w3, 0xfffffffe)
    cpu.w3 = -1
    t.eq(cpu.x3, 0xffffffff, "32 bits clear the upper half")
    t.raises(function() cpu.w3 = 1 << 32 end, "does not fit 32 bits")
    t.raises(function() cpu.w3 = -(1 << 31) - 1 end, "does not fit 32 bits")
end)

t.on("arm64", "reset state", function(open)
    local cpu = open { memory = "64K" }:vcpu()
    t.eq(cpu.cpsr, 0x3c5)
    t.eq(cpu.pc, 0)
    t.eq(cpu.x0, 0)
    t.eq(cpu.sctlr_el1 & 1, 0, "MMU off")
    t.eq(cpu.trap_debug, false)
    t.eq(cpu.index, 0)
end)

t.on("arm64", "system registers", function(open)
    local vm = open { memory = "64K" }
    local cpu = vm:vcpu { vbar_el1 = 0x8000 }
    t.eq(cpu.vbar_el1, 0x8000)
    roundtrip(cpu, { "elr_el1", "far_el1", "tpidr_el0", "tpidr_el1",
        "tpidrro_el0", "ttbr0_el1", "ttbr1_el1", "mair_el1", "sp_el0" }, 0x7000)
    roundtrip(cpu, { "spsr_el1" }, 0x3c5)
    roundtrip(cpu, { "esr_el1" }, 0x56000000)
    t.eq(cpu:sysreg(3, 0, 12, 0, 0), 0x8000)
    cpu:sysreg(3, 0, 12, 0, 0, 0x9000)
    t.eq(cpu.vbar_el1, 0x9000)
    t.ok(cpu.midr_el1 ~= 0)
    t.raises(function() cpu:sysreg(4, 0, 0, 0, 0) end, "op0: 4 is not 0 to 3")
    t.raises(function() cpu:sysreg(3, 0, 12, 0) end, "op2: an integer expected")
    t.raises(function() cpu:msr(0x10) end, "only x86_64")
    t.raises(function() return cpu.vbar_ell end, 'did you mean "vbar_el1"?')
end)

t.on("arm64", "stack pointers have banks", function(open)
    local cpu = open { memory = "64K" }:vcpu { cpsr = 0x3c5, sp = 0x1000 }
    t.eq(cpu.sp_el1, 0x1000)
    cpu.sp_el0 = 0x2000
    t.eq(cpu.sp, 0x1000)
    cpu.cpsr = 0x3c4 -- EL1t: SP_EL0
    t.eq(cpu.sp, 0x2000)
    cpu.sp = 0x3000
    t.eq(cpu.sp_el0, 0x3000)
    t.eq(cpu.sp_el1, 0x1000)
    cpu.cpsr = 0x3c0 -- EL0
    t.eq(cpu.sp, 0x3000)
    cpu.cpsr = 0x3c5
    t.eq(cpu.sp, 0x1000)
end)

t.on("vector registers are strings of 16 bytes", function(open, _, arch)
    local cpu = open { memory = "64K" }:vcpu()
    local bytes = "0123456789abcdef"
    roundtrip(cpu, arch == "arm64" and numbered("v", 0, 31)
        or numbered("xmm", 0, 15), bytes)
    local name = arch == "arm64" and "v0" or "xmm0"
    t.raises(function() cpu[name] = "short" end, "16 bytes")
    t.raises(function() cpu[name] = 1 end, "16 bytes")
end)

t.on("x86_64", "general registers and their parts", function(open)
    local cpu = open { memory = "64K" }:vcpu()
    roundtrip(cpu, { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp" },
        0x1122334455667788)
    roundtrip(cpu, numbered("r", 8, 15), -3)
    t.eq(cpu.eax, 0x55667788)
    t.eq(cpu.ax, 0x7788)
    t.eq(cpu.al, 0x88)
    t.eq(cpu.ah, 0x77)
    cpu.al = 0xff
    cpu.ah = 0
    t.eq(cpu.rax, 0x11223344556600ff)
    cpu.ax = -1
    t.eq(cpu.rax, 0x112233445566ffff)
    cpu.eax = 1
    t.eq(cpu.rax, 1, "32 bits clear the upper half")
    cpu.r9b = 0
    t.eq(cpu.r9, -3 & ~0xff)
    t.eq(cpu.sp, cpu.rsp)
    cpu.pc = 0x1234
    t.eq(cpu.rip, 0x1234)
    t.raises(function() cpu.al = 256 end, "does not fit 8 bits")
    t.raises(function() return cpu.rxa end, 'did you mean "')
    t.raises(function() cpu:sysreg(3, 0, 0, 0, 0) end, "only arm64")
end)

t.on("x86_64", "reset state is real mode at 0", function(open)
    local cpu = open { memory = "64K" }:vcpu()
    t.eq(cpu.rip, 0)
    t.eq(cpu.rflags, 2)
    t.eq(cpu.cr0 & 1, 0)
    t.eq(cpu.cs.base, 0)
    t.eq(cpu.cs.selector, 0)
    t.eq(cpu.efer & 0x500, 0)
end)

t.on("x86_64", "segments, tables and control registers", function(open)
    local vm = open { memory = "64K" }
    local cpu = vm:vcpu { ds = { base = 0x100, selector = 0x10 },
        gdtr = { base = 0x800, limit = 0x27 } }
    t.eq(cpu.ds.base, 0x100)
    t.eq(cpu.ds.selector, 0x10)
    t.eq(cpu.gdtr, { base = 0x800, limit = 0x27 })
    cpu.ds = { base = 0x200 }
    t.eq(cpu.ds.selector, 0x10, "fields not named stay")
    t.eq(cpu.ds.base, 0x200)
    cpu.idtr = { limit = 0x3ff }
    t.eq(cpu.idtr.limit, 0x3ff)
    cpu.cr3 = 0x2000
    cpu.cr2 = 0x1234
    t.eq(cpu.cr3, 0x2000)
    t.eq(cpu.cr2, 0x1234)
    t.raises(function() cpu.ds = { bas = 1 } end, 'did you mean "base"?')
    t.raises(function() cpu.ds = 5 end, "a table expected")
    t.raises(function() cpu.ds = { selector = 0x10000 } end, "does not fit 16 bits")
    t.raises(function() cpu.gdtr = { limit = 1, type = 3 } end, "unknown field")
end)

t.on("x86_64", "msr", function(open)
    local cpu = open { memory = "64K" }:vcpu()
    cpu:msr(0xc0000102, 0x1000) -- KERNEL_GS_BASE
    t.eq(cpu:msr(0xc0000102), 0x1000)
    t.eq(cpu.kernel_gs_base, 0x1000)
    t.raises(function() cpu:msr(1 << 32) end, "numbers have 32 bits")
    t.raises(function() cpu:msr(-1) end, "numbers have 32 bits")
end)

t.on("mistakes leave no vCPU behind", function(open)
    local vm = open { memory = "64K" }
    t.raises(function() vm:vcpu { pcc = 0 } end, 'did you mean "pc"?')
    t.raises(function() vm:vcpu { pc = "0" } end, "pc: an integer expected")
    t.raises(function() vm:vcpu { pc = 1.5 } end, "not a 64-bit integer")
    t.raises(function() vm:vcpu { [1] = 0 } end, 'no register "1"')
    t.raises(function() vm:vcpu { trap_debug = 1 } end, "a boolean expected")
    t.raises(function() vm:vcpu(5) end, "table expected")
    t.raises(function() vm:vcpu({}, {}) end, "at most 1 argument")
    t.eq(#vm.cpus, 0)
    local cpu = vm:vcpu { pc = 4 }
    t.eq(vm.cpus, { cpu })
    t.ok(cpu.vm == vm)
end)

t.on("pairs shows every register once", function(open, _, arch)
    local cpu = open { memory = "64K" }:vcpu { pc = 0x40 }
    local seen, n = {}, 0
    for name, value in pairs(cpu) do
        t.ok(seen[name] == nil, name)
        t.ok(value ~= nil, name)
        seen[name] = value
        n = n + 1
    end
    t.ok(n > 60, "only " .. n)
    t.eq(seen[arch == "arm64" and "pc" or "rip"], 0x40)
end)

t.on("x86_64", "translate without paging is the identity", function(open)
    local cpu = open { memory = "64K" }:vcpu()
    t.eq(cpu:translate(0x1234), 0x1234)
end)

t.on("x86_64", "translate walks four levels", function(open)
    local vm = open { memory = "4M" }
    vm:u64(0x10000, 0x11003)                   -- PML4[0]
    vm:u64(0x11000, 0x12003)                   -- PDPT[0]
    vm:u64(0x11008, 0xc0000083 | 0)            -- PDPT[1]: 1 GiB page at 3 GiB
    vm:u64(0x12000, 0x13003)                   -- PD[0]
    vm:u64(0x12008, 0x200083)                  -- PD[1]: 2 MiB page
    vm:u64(0x13000 + 8 * 5, 0x8000000000042003 & ~(1 << 63)) -- PT[5]
    local cpu = vm:vcpu { cr3 = 0x10000, cr4 = 0x20, efer = 0x500,
        cr0 = 0x80000011 }
    t.eq(cpu:translate(0x5123), 0x42123)
    t.eq(cpu:translate(0x200456), 0x200456)
    t.eq(cpu:translate(0x40000789), 0xc0000789)
    t.eq(cpu:translate(0x6000), nil)
    t.eq(cpu:translate(1 << 47), nil, "not canonical")
    t.eq(cpu:translate(1 << 39), nil)
end)

t.on("arm64", "translate walks what TCR_EL1 describes", function(open)
    local vm = open { memory = "4M" }
    vm:u64(0x10000, 0x11003)                   -- level 1 -> level 2
    vm:u64(0x10008, 0x40000701)                -- 1 GiB block
    vm:u64(0x11000, 0x12003)                   -- level 2 -> level 3
    vm:u64(0x11008, 0x200701)                  -- 2 MiB block
    vm:u64(0x12000 + 8 * 5, 0x42703)           -- page
    vm:u64(0x12000 + 8 * 6, 0x42701)           -- a block at level 3 is none
    local cpu = vm:vcpu { ttbr0_el1 = 0x10000, tcr_el1 = 25 | 1 << 23,
        mair_el1 = 0xff }
    t.eq(cpu:translate(0x5123), 0x5123, "MMU off")
    cpu.sctlr_el1 = cpu.sctlr_el1 | 1
    t.eq(cpu:translate(0x5123), 0x42123)
    t.eq(cpu:translate(0x6123), nil)
    t.eq(cpu:translate(0x200456), 0x200456)
    t.eq(cpu:translate(0x40000789), 0x40000789)
    t.eq(cpu:translate(0x80000000), nil)
    t.eq(cpu:translate(1 << 39), nil, "outside TTBR0's half")
    t.eq(cpu:translate(-4096), nil, "TTBR1 walks are off")
end)
