-- SPDX-License-Identifier: MIT
-- How a run ends: kicks before, during and after it, budgets, time, and where that
-- leaves the guest.
local case, board = ...

local DEVICE = board.DEVICE
local DONE = { "halt" }

local function kick(_, cpu)
    cpu:kick()
end

-- ---- kicks --------------------------------------------------------------

case("a kick before the first run: no instruction is executed", {
    code = "inc %eax\n hlt",
    trace = { { "kick", host = kick, regs = { pc = 0x1000, rax = 0 } }, DONE },
    after = { rax = 1 },
})

case("two kicks before a run are one", {
    code = "hlt",
    trace = { { "kick", host = function(_, cpu) cpu:kick() cpu:kick() end }, DONE },
})

case("a kick after a run is for the next", {
    code = "hlt\n inc %eax\n hlt",
    trace = { DONE, { "kick", host = kick, regs = { pc = 0x1001, rax = 0 } }, DONE },
    after = { rax = 1 },
})

case("a kick in the handler of a write ends the run behind it", {
    code = "out %al, $0x80\n inc %eax\n hlt",
    setup = function(vm)
        vm:attach { port = 0x80, write = function(_, _, _, cpu) cpu:kick() end }
    end,
    trace = { { "kick", regs = { pc = 0x1002, rax = 0 } }, DONE },
    after = { rax = 1 },
})

case("a kick in the handler of a read: the answer counts", {
    code = "mov (%rbx), %eax\n hlt",
    regs = { rbx = DEVICE },
    setup = function(vm, cpu)
        vm:attach { at = DEVICE, size = 8, read = function() cpu:kick() return 9 end }
    end,
    trace = { { "kick", regs = { rax = 9, pc = 0x1002 } }, DONE },
})

case("a kick while an answer is waited for", {
    code = "in $0x80, %al\n hlt",
    trace = { { "io", port = 0x80, answer = 5 },
        { "kick", host = kick, regs = { rax = 5, pc = 0x1002 } }, DONE },
})

case("a kick between the two accesses of one instruction", {
    code = "incl (%rbx)\n nop\n hlt",
    regs = { rbx = DEVICE },
    trace = { { "mmio", write = false, answer = 1 },
        { "mmio", write = true, value = 2, host = kick },
        { "kick", regs = { pc = 0x1002 } }, DONE },
})

case("a kick before a step", {
    code = "inc %eax\n hlt",
    trace = { { "kick", by = "step", host = kick, regs = { pc = 0x1000 } },
        { "step", by = "step", regs = { pc = 0x1002, rax = 1 } }, DONE },
})

case("a kick does not lose an interrupt", {
    code = "nop\n hlt",
    regs = { rflags = 0x202 },
    trace = { { "kick", regs = { pc = 0x1000 }, host = function(_, cpu)
        cpu:inject { vector = 0x30 }
        cpu:kick()
    end }, board.taken(0x30, { 0x1000 }) },
})

-- ---- time and budgets ---------------------------------------------------

for _, bits in ipairs { 16, 32, 64 } do
    case(("the time is up while %d bits spin, and they go on where they were"):format(bits), {
        bits = bits,
        code = "1: inc %ecx\n inc %edx\n test %eax, %eax\n jz 1b\n sub %ecx, %edx\n hlt",
        trace = { { "timeout", with = { timeout = 0.01 } },
            { "timeout", with = { timeout = 0.01 } },
            { "halt", host = function(_, cpu) cpu.rax = 1 end } },
        after = { rdx = 0 },
    })
end

case("the time is up while ring 3 spins", {
    code = "jmp 0x1000",
    regs = board.user(64),
    trace = { { "timeout", with = { timeout = 0.01 }, regs = { pc = 0x1000, rsp =
        board.USER_STACK } } },
})

case("the time is up in the midst of exceptions of the guest's own", {
    code = "1: ud2\n inc %edx\n test %eax, %eax\n jz 1b\n sub %ecx, %edx\n hlt",
    more = { [0x3800] = "inc %ecx\n addq $2, (%rsp)\n iretq" },
    words = { [board.gate_at(64, 6)] = board.gate(0x3800) },
    trace = { { "timeout", with = { timeout = 0.01 } },
        { "halt", host = function(_, cpu) cpu.rax = 1 end } },
    after = { rdx = 0 },
})

case("the time is up while the guest adds to memory, and no sum is wrong", {
    code = "1: incl 0x4000\n lock addl $1, 0x4040\n xadd %esi, %edi\n inc %edx\n test %eax, %eax\n"
        .. "jz 1b\n sub 0x4000, %edx\n mov 0x4040, %ecx\n sub 0x4000, %ecx\n hlt",
    trace = { { "timeout", with = { timeout = 0.003 } }, { "timeout", with = { timeout = 0.003 } },
        { "timeout", with = { timeout = 0.003 } },
        { "halt", host = function(_, cpu) cpu.rax = 1 end } },
    after = { rdx = 0, rcx = 0 },
})

case("the time is up in the midst of strings", {
    code = "1: mov $0x100, %ecx\n rep stosb\n sub $0x100, %rdi\n test %ebx, %ebx\n jz 1b\n hlt",
    regs = { rdi = board.DATA, rax = 0x5a },
    trace = { { "timeout", with = { timeout = 0.01 } },
        { "halt", host = function(_, cpu) cpu.rbx = 1 end } },
    after = { rcx = 0, rdi = board.DATA },
    memory = { [board.DATA + 0xf8] = 0x5a5a5a5a5a5a5a5a, [board.DATA + 0x100] = 0 },
})

case("a budget of exits ends the run behind the last of them", {
    code = "again: inc %eax\n out %al, $0x80\n jmp again",
    setup = function(vm, _, log)
        vm:on("io", function(cpu) log[#log + 1] = cpu.rax end)
    end,
    trace = { { "budget", with = { exits = 3 }, regs = { rax = 3, pc = 0x1004 } },
        { "budget", with = { exits = 1 }, regs = { rax = 4, pc = 0x1004 } } },
    log = { 1, 2, 3, 4 },
})

case("every element of a string counts for a budget", {
    code = "rep outsb\n hlt",
    regs = { rcx = 3, rsi = board.DATA, rdx = 0x80 },
    words = { [board.DATA] = 0x332211 },
    setup = function(vm, _, log)
        vm:on("io", function(_, exit) log[#log + 1] = exit.value end)
    end,
    trace = { { "budget", with = { exits = 2 }, regs = { rcx = 1, rsi = board.DATA + 2 } },
        DONE },
    log = { 0x11, 0x22, 0x33 },
})

-- ---- single entries -----------------------------------------------------

case("entries, one by one, without handlers", {
    code = "out %al, $0xe8\n in $0x80, %al\n mov %al, (%rbx)\n mov (%rbx), %ecx\n hlt",
    regs = { rbx = DEVICE, rax = 7 },
    setup = function(vm)
        vm:on("io", function() error "no handler is called" end)
        vm:hypercall(7, function() error "no handler is called" end)
    end,
    trace = {
        { "hvc", by = "enter", nr = 7, regs = { pc = 0x1002 } },
        { "io", by = "enter", port = 0x80, answer = 4, regs = { pc = 0x1004 } },
        { "mmio", by = "enter", write = true, value = 4, regs = { pc = 0x1006 } },
        { "mmio", by = "enter", write = false, answer = 5, regs = { pc = 0x1008 } },
        { "halt", by = "enter", regs = { pc = 0x1009, rcx = 5 } },
    },
})

-- ---- what the host writes between ---------------------------------------

case("the host moves rip", {
    code = "hlt\n inc %eax\n inc %ecx\n hlt",
    trace = { DONE, { "halt", host = function(_, cpu) cpu.rip = 0x1003 end } },
    after = { rax = 0, rcx = 1 },
})

case("the host writes flags", {
    code = "hlt\n setc %al\n setz %ah\n hlt",
    trace = { DONE, { "halt", host = function(_, cpu) cpu.rflags = 0x43 end } },
    after = { rax = 0x101 },
})

case("the host writes segments", {
    code = "hlt\n mov %fs:0, %eax\n hlt",
    words = { [board.DATA] = 0x77 },
    trace = { DONE, { "halt", host = function(_, cpu) cpu.fs = { base = board.DATA } end } },
    after = { rax = 0x77 },
})

case("the host sends ring 0 to ring 3", {
    code = "hlt\n nop\n hlt",
    trace = { DONE, { "io", port = 13, stack = { 0, 0x1002, 0x1b },
        host = function(_, cpu)
            for name, value in pairs(board.user(64)) do
                cpu[name] = value
            end
        end } },
})

case("the host writes another set of tables", {
    code = "hlt\n mov 0x5000, %eax\n hlt",
    words = { [0x30000] = 0x66 },
    trace = { DONE, { "halt", host = function(vm, cpu)
        vm:write(0x18000, vm:read(board.TABLES, 0x4000))
        vm:u64(0x18000, 0x19007)
        vm:u64(0x19000, 0x1a007)
        vm:u64(0x1a000, 0x1b007)
        vm:u64(0x1b000 + 8 * 5, 0x30000 | board.PAGE_0)
        cpu.cr3 = 0x18000
    end } },
    after = { rax = 0x66 },
})

case("the host takes real mode to long mode", {
    bits = 16, asm = 64,
    code = ".code16\n inc %ax\n hlt",
    more = { [0x3800] = "movabs $0x123456789a, %rbx\n hlt" },
    trace = { DONE, { "halt", host = function(_, cpu)
        cpu.cs = { selector = 8, base = 0, limit = 0xffffffff, type = 11, s = 1, dpl = 0,
            present = 1, avl = 0, l = 1, db = 0, g = 1 }
        cpu.cr3, cpu.cr4, cpu.efer = board.TABLES, board.CR4_PAE, board.EFER
        cpu.cr0, cpu.rip = board.CR0 | board.CR0_PG, 0x3800
    end } },
    after = { rax = 1, rbx = 0x123456789a },
})
