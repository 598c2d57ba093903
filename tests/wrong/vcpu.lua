-- SPDX-License-Identifier: MIT
-- Wrong calls: registers, and what else vCPUs have. See wrong.lua.
-- luacheck: no max line length (a row is one line)
local t, wrong = ...

local MIN = math.mininteger
local check, on = wrong.check, wrong.on

-- ---- registers ------------------------------------------------------------

on("arm64", "values that arm64 registers cannot have", {
    { function(_, cpu) cpu.x0 = "1" end, "x0: an integer expected, got string" },
    { function(_, cpu) cpu.x0 = nil end, "x0: an integer expected, got nothing" },
    { function(_, cpu) cpu.x0 = 0.5 end, "x0: 0.5 is not a 64-bit integer" },
    { function(_, cpu) cpu.pc = 2.0 ^ 63 end, "pc: 9.2233720368548e+18 is not a 64-bit integer" },
    { function(_, cpu) cpu.w0 = 1 << 32 end, "w0: 4294967296 does not fit 32 bits" },
    { function(_, cpu) cpu.w0 = MIN end, "w0: -9223372036854775808 does not fit 32 bits" },
    { function(_, cpu) cpu.v0 = ("x"):rep(17) end, "v0: a string of 16 bytes expected, got 17" },
    { function(_, cpu) cpu.v0 = "" end, "v0: a string of 16 bytes expected, got 0" },
    { function(_, cpu) cpu.v31 = 0 end, "v31: a string of 16 bytes expected, got number" },
    { function(_, cpu) cpu.trap_debug = 1 end, "trap_debug: a boolean expected, got number" },
    { function(_, cpu) cpu.cpsr = 0x3cd end, hvf = "hvf: cpsr: mode 0xd: use 0 (EL0t), 4 (EL1t) or 5 (EL1h)", unicorn = "unicorn: cpsr: mode 0xd: use 0 (EL0t), 4 (EL1t) or 5 (EL1h)", kvm = "kvm: cpsr: mode 0xd: use 0 (EL0t)" },
    { function(vm) vm:vcpu { cpsr = -1 } end, hvf = "hvf: cpsr: mode 0x1f: use 0 (EL0t)", unicorn = "unicorn: cpsr: mode 0x1f: use 0 (EL0t)", kvm = "kvm: cpsr: mode 0x1f: use 0 (EL0t)" },
    { function(vm) vm:vcpu { x0 = 1, w0 = 2 } end, 'vcpu: "x0" and "w0" are the same register: give one of them' },
    { function(vm) vm:vcpu { lr = 1, x30 = 2 } end, 'vcpu: "x30" and "lr" are the same register' },
    { function(vm) vm:vcpu { x0 = {} } end, "x0: an integer expected, got table" },
    { function(_, cpu) cpu:sysreg() end, "sysreg: op0: an integer expected, got nothing" },
    { function(_, cpu) cpu:sysreg(3, 8, 0, 0, 0) end, "sysreg: op1: 8 is not 0 to 7" },
    { function(_, cpu) cpu:sysreg(3, 0, 16, 0, 0) end, "sysreg: crn: 16 is not 0 to 15" },
    { function(_, cpu) cpu:sysreg(3, 0, 0, -1, 0) end, "sysreg: crm: -1 is not 0 to 15" },
    { function(_, cpu) cpu:sysreg(3, 0, 0, 0, 1 << 32) end, "sysreg: op2: 4294967296 is not 0 to 7" },
    { function(_, cpu) cpu:sysreg(3, 0, 12, 0, 0, "x") end, "value: an integer expected, got string" },
    { function(_, cpu) cpu:sysreg(3, 0, 12, 0, 0, 0, 0) end, "sysreg: takes at most 6 arguments, got 7" },
    { function(_, cpu) cpu:sysreg(3, 7, 15, 15, 7) end, hvf = "hvf: register S3_7_C15_C15_7: the framework does not have it", unicorn = "unicorn: system register S3_7_C15_C15_7: not one of EL1 or EL0", kvm = "kvm: system register S3_7_C15_C15_7: this kernel does not have it" },
    { function(_, cpu) cpu:msr(0x10) end, "msr: only x86_64 has them: use cpu:sysreg()" },
    { function(_, cpu) cpu:inject() end, "inject: a table expected, got nothing" },
    { function(_, cpu) cpu:inject {} end, "inject: syndrome: an integer expected, got nothing" },
    { function(_, cpu) cpu:inject { syndrome = "x" } end, "inject: syndrome: an integer expected, got string" },
    { function(_, cpu) cpu:inject { syndrome = 0, far = {} } end, "inject: far: an integer expected, got table" },
    { function(_, cpu) cpu:inject { vector = 32 } end, 'inject: unknown field "vector": the fields are syndrome, far' },
})

on("x86_64", "values that x86_64 registers cannot have", {
    { function(_, cpu) cpu.rax = {} end, "rax: an integer expected, got table" },
    { function(_, cpu) cpu.eax = 1 << 32 end, "eax: 4294967296 does not fit 32 bits" },
    { function(_, cpu) cpu.ax = 1 << 31 end, "ax: 2147483648 does not fit 16 bits" },
    { function(_, cpu) cpu.ah = -129 end, "ah: -129 does not fit 8 bits" },
    { function(_, cpu) cpu.xmm0 = "x" end, "xmm0: a string of 16 bytes expected, got 1" },
    { function(_, cpu) cpu.cs = 8 end, "cs: a table expected, got number" },
    { function(_, cpu) cpu.cs = { Base = 0 } end, 'cs: unknown field "Base": did you mean "base"?' },
    { function(_, cpu) cpu.ds = { base = "0" } end, "ds: base: an integer expected, got string" },
    { function(_, cpu) cpu.ds = { base = 0.5 } end, "ds: 0.5 is not a 64-bit integer" },
    { function(_, cpu) cpu.ds = { limit = 1 << 32 } end, "ds: limit: 4294967296 does not fit 32 bits" },
    { function(_, cpu) cpu.ds = { limit = -1 } end, "ds: limit: -1 does not fit 32 bits" },
    { function(_, cpu) cpu.es = { type = 16 } end, "es: type: 16 does not fit 4 bits" },
    { function(_, cpu) cpu.es = { dpl = 4 } end, "es: dpl: 4 does not fit 2 bits" },
    { function(_, cpu) cpu.fs = { present = 2 } end, "fs: present: 2 does not fit 1 bit" },
    { function(_, cpu) cpu.fs = { l = true } end, "fs: l: an integer expected, got boolean" },
    { function(_, cpu) cpu.gdtr = { limit = 0x10000 } end, "gdtr: limit: 65536 does not fit 16 bits" },
    { function(_, cpu) cpu.idtr = { selector = 0 } end, 'idtr: unknown field "selector": the fields are base, limit' },
    { function(_, cpu) cpu.gdtr = "x" end, "gdtr: a table expected, got string" },
    { function(_, cpu) cpu.cr8 = 16 end, kvm = "kvm: cr8: it has 4 bits", unicorn = "unicorn: cr8: there is no local APIC" },
    { function(vm) vm:vcpu { cr8 = 16 } end, kvm = "kvm: cr8: it has 4 bits", unicorn = "unicorn: cr8: there is no local APIC" },
    { function(vm) vm:vcpu { rip = 1, pc = 2 } end, 'vcpu: "rip" and "pc" are the same register' },
    { function(vm) vm:vcpu { rax = 1, al = 2 } end, 'vcpu: "rax" and "al" are the same register' },
    { function(vm) vm:vcpu { ah = 2, ax = 3 } end, 'vcpu: "ax" and "ah" are the same register' },
    { function(vm) vm:vcpu { cs = {}, ds = { x = 1 } } end, 'ds: unknown field "x"' },
    { function(_, cpu) cpu:msr() end, "msr: an integer expected, got nothing" },
    { function(_, cpu) cpu:msr(1 << 32) end, "msr: 4294967296: numbers have 32 bits" },
    { function(_, cpu) cpu:msr(MIN) end, "msr: -9223372036854775808: numbers have 32 bits" },
    { function(_, cpu) cpu:msr(0xc0000102, "x") end, "value: an integer expected, got string" },
    { function(_, cpu) cpu:msr(0x10, 0, 0) end, "msr: takes at most 2 arguments, got 3" },
    { function(_, cpu) cpu:msr(0x12345678) end, kvm = "kvm: msr 0x12345678: this host's KVM does not have it", unicorn = "unicorn: msr 0x12345678: the emulated CPU does not have it" },
    { function(_, cpu) cpu:sysreg(3, 0, 0, 0, 0) end, "sysreg: only arm64 has them: use cpu:msr()" },
    { function(_, cpu) cpu:inject {} end, "inject: vector: an integer expected, got nothing" },
    { function(_, cpu) cpu:inject { vector = 256 } end, "inject: vector: 256 is not 0 to 255" },
    { function(_, cpu) cpu:inject { vector = -1 } end, "inject: vector: -1 is not 0 to 255" },
    { function(_, cpu) cpu:inject { vector = 32, syndrome = 0 } end, 'inject: unknown field "syndrome": the fields are vector' },
    { function(_, cpu) cpu:irq(true) end, kvm = "kvm: irq: not on this backend with x86_64 guests: use inject", unicorn = "unicorn: irq: not on this backend with x86_64 guests: use inject" },
})

on("what vCPUs cannot do", {
    { function(vm) vm:vcpu(5) end, "vcpu: a table expected, got number" },
    { function(vm) vm:vcpu "pc" end, "vcpu: a table expected, got string" },
    { function(vm) vm:vcpu { pc = "4K" } end, "pc: an integer expected, got string" },
    { function(vm) vm:vcpu { 1, 2 } end, "vcpu: "  },
    { function(_, cpu) cpu:fiq(1) end, "fiq: a boolean expected, got number" },
    { function(_, cpu) cpu:irq(1) end, "irq: a boolean expected, got number" },
    { function(_, cpu) cpu:inject(14) end, "inject: a table expected, got number" },
    { function(_, cpu) cpu:breakpoint() end, "breakpoint: at: an integer expected, got nothing" },
    { function(_, cpu) cpu:breakpoint "here" end, 'breakpoint: at: "here": not a size' },
    { function(_, cpu) cpu:breakpoint(0, 0) end, "breakpoint: on: a boolean expected, got number" },
    { function(_, cpu) cpu:breakpoint(0, "off") end, "breakpoint: on: a boolean expected, got string" },
    { function(_, cpu) cpu:watchpoint() end, "watchpoint: at: an integer expected, got nothing" },
    { function(_, cpu) cpu:watchpoint(0) end, "watchpoint: size: an integer expected, got nothing" },
    { function(_, cpu) cpu:watchpoint(0, 0) end, "watchpoint: 0 bytes at 0x0: watch 1, 2, 4 or 8 bytes at a multiple of that" },
    { function(_, cpu) cpu:watchpoint(0, 3) end, "watchpoint: 3 bytes at 0x0: watch 1, 2, 4 or 8" },
    { function(_, cpu) cpu:watchpoint(2, 4) end, "watchpoint: 4 bytes at 0x2: watch 1, 2, 4 or 8 bytes at a multiple" },
    { function(_, cpu) cpu:watchpoint(-4, 8) end, "watchpoint: 8 bytes at 0xfffffffffffffffc: watch" },
    { function(_, cpu) cpu:watchpoint(0, 16) end, "watchpoint: size: 16: watch 1, 2, 4 or 8 bytes" },
    { function(_, cpu) cpu:watchpoint(0, 1 << 32 | 4) end, "watchpoint: size: 4294967300: watch 1, 2, 4 or 8" },
    { function(_, cpu) cpu:watchpoint(0, MIN) end, "watchpoint: size: -9223372036854775808: must not" },
    { function(_, cpu) cpu:watchpoint(0, 4, "x") end, 'watchpoint: access: "x": only the letters rw' },
    { function(_, cpu) cpu:watchpoint(0, 4, "") end, 'watchpoint: access: "": needs at least one of rw' },
    { function(_, cpu) cpu:watchpoint(0, 4, true) end, "watchpoint: access: a string of rw expected, got boolean" },
    { function(_, cpu) cpu:watchpoint(0, 4, "r", 1) end, "watchpoint: on: a boolean expected, got number" },
    { function(_, cpu) cpu:translate() end, "translate: va: an integer expected, got nothing" },
    { function(_, cpu) cpu:translate(true) end, "translate: va: an integer expected, got boolean" },
    { function(_, cpu) cpu:answer() end, "answer: an integer expected, got nothing" },
    { function(_, cpu) cpu:answer "1" end, "answer: an integer expected, got string" },
    { function(_, cpu) cpu:answer(1) end, "vcpu 0: answer: it has read nothing that waits for an answer" },
    { function(_, cpu) cpu:enter(0.5) end, "answer: 0.5 is not a 64-bit integer" },
    { function(_, cpu) cpu:enter(0) end, "vcpu 0: answer: it has read nothing" },
    { function(_, cpu) cpu:stop() end, "stop: the machine is not running" },
    { function(_, cpu) cpu:run { timeout = "1" } end, "run: timeout: 1: seconds expected, more than 0" },
    { function(_, cpu) pairs(cpu)(cpu, {}) end, "next: a register's name expected, got table" },
    { function(_, cpu) pairs(cpu)(cpu, "nope") end, "next: "  },
})

t.on("65 vCPUs are too many", function(open, backend)
    local vm = open()
    for _ = 1, 64 do
        vm:vcpu()
    end
    check({ { function() vm:vcpu() end, "vcpu: a machine has at most 64" } }, backend)
    t.eq(#vm.cpus, 64)
end)
