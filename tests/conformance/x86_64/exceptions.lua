-- SPDX-License-Identifier: MIT
-- Exceptions through the guest's own tables: which vector, what is on the stack, which
-- stack that is; and what comes of it when that fails too.
local case, board = ...

local taken, S = board.taken, board.SELECTOR
local DONE = { "halt" }
local DE, UD, NM, DF, NP, SS, GP, AC = 0, 6, 7, 8, 11, 12, 13, 17
local NOWHERE = 1 << 46 -- canonical, and no page is there

-- ---- which, and where it is ---------------------------------------------

-- An exception of the instruction behind `before`, whose length is `at`.
local function fault(name, vector, code, instruction, own)
    own = own or {}
    local at = board.CODE + (own.at or 0)
    local stack = own.bits == 32 and { at, 8 } or { at, 8, [4] = board.STACK, [5] = S.data }
    if code then
        table.move(stack, 1, 5, 2)
        stack[1] = code
    end
    own.code = instruction
    own.trace = { taken(vector, stack, own.taken) }
    case(name, own)
end

fault("a division by zero", DE, nil, "div %ecx", { taken = { rcx = 0 } })
fault("a quotient that is too large", DE, nil, "mov $1, %edx\n div %ecx", { at = 5,
    regs = { rcx = 1, rax = 7 }, taken = { rax = 7, rdx = 1 } })
fault("the most negative number by minus one", DE, nil, "idiv %ecx",
    { regs = { rax = 0x80000000, rdx = 0xffffffff, rcx = 0xffffffff } })
fault("ud2", UD, nil, "ud2")
fault("an opcode that long mode does not have", UD, nil, ".byte 0x06")
fault("a lock where none may be", UD, nil, ".byte 0xf0\n mov %eax, %ebx")
fault("a move to cs", UD, nil, ".byte 0x8e, 0xc8")
fault("cr1", UD, nil, ".byte 0x0f, 0x20, 0xc8")
fault("protected mode: a division by zero", DE, nil, "div %ecx", { bits = 32 })
fault("protected mode: bound", 5, nil, "bound %eax, 0x4000", { bits = 32,
    regs = { rax = 11 }, words = { [board.DATA] = 10 << 32 } })
fault("the x87 that is switched off", NM, nil, "fninit", { regs = { cr0 = 0x80000015 } })
fault("sse that is not switched on", UD, nil, "movups %xmm0, %xmm1")
fault("an address that is not canonical", GP, 0, "mov (%rbx), %eax",
    { regs = { rbx = 1 << 47 } })
fault("an address in the stack that is not canonical", SS, 0, "mov (%rbp), %eax",
    { regs = { rbp = 1 << 47 } })
fault("a selector beyond the table", GP, 0x80, "mov %eax, %ds", { regs = { rax = 0x80 } })
fault("a selector of the wrong kind", GP, S.task, "mov %eax, %es", { regs = { rax = S.task } })
fault("a selector of what is absent", NP, S.absent, "mov %eax, %ds",
    { regs = { rax = S.absent } })
fault("a stack segment that cannot be written", GP, S.readonly, "mov %eax, %ss",
    { bits = 32, regs = { rax = S.readonly } })
fault("a stack segment that is absent", SS, S.absent, "mov %eax, %ss",
    { bits = 32, regs = { rax = S.absent } })
fault("protected mode: a null stack segment", GP, 0, "mov %eax, %ss", { bits = 32 })
fault("a jump to a selector beyond the table", GP, 0x80, "ljmp $0x80, $0x1000", { bits = 32 })
fault("a jump to data", GP, S.data, "ljmp $0x10, $0x1000", { bits = 32 })
fault("reserved bits written to cr4", GP, 0, "mov %rax, %cr4", { regs = { rax = 1 << 31 | 0x20 } })
fault("paging without protection written to cr0", GP, 0, "mov %rax, %cr0",
    { regs = { rax = 0x80000010 } })
fault("long mode without pae written to cr4", GP, 0, "mov %rax, %cr4", { regs = { rax = 0 } })
fault("an address for an msr that is not canonical", GP, 0, "wrmsr",
    { regs = { rcx = 0xc0000100, rax = 0, rdx = 0x8000 } })
fault("a jump to an address that is not canonical", GP, 0, "jmp *%rax",
    { regs = { rax = 1 << 47 } })

-- ---- limits of segments -------------------------------------------------

local SMALL = { base = 0, limit = 0xfff, g = 0, selector = S.small }

fault("limits: beyond a data segment", GP, 0, "mov %ds:0xffd, %eax", { bits = 32,
    regs = { ds = board.data(SMALL) } })
fault("limits: a write to what can only be read", GP, 0, "mov %eax, %ds:0x4000", { bits = 32,
    regs = { ds = board.data { type = 1, selector = S.readonly } } })
fault("limits: beyond the stack", SS, 0, "mov %ss:0x1000, %eax", { bits = 32,
    regs = { ss = board.data(SMALL), sp = 0x800 } })

case("the last bytes of a segment", {
    bits = 32,
    code = "mov %ds:0xffc, %eax\n hlt",
    regs = { ds = board.data(SMALL) },
    words = { [0xff8] = 0x1234567800000000 },
    trace = { DONE },
    after = { rax = 0x12345678 },
})

-- ---- int n --------------------------------------------------------------

fault("int n is behind it", 0x21, nil, "int $0x21", { at = 2 })
fault("int n of one byte is behind it", 3, nil, "int3", { at = 1 })
fault("protected mode: int n", 0x30, nil, "int $0x30", { at = 2, bits = 32 })
fault("protected mode: int n by an overflow", 4, nil, "mov $0x7f, %al\n add $1, %al\n into",
    { at = 5, bits = 32 })
fault("int n beyond the table", GP, 0x40 * 8 + 2, "int $0x40")
fault("int n of a vector with an error code has none", GP, nil, "int $13", { at = 2 })
fault("int n through a gate that is absent", NP, 0x20 * 8 + 2, "int $0x20",
    { words = { [board.gate_at(64, 0x20)] = board.gate(0x8200, { present = 0 }) } })
fault("int n through what is no gate", GP, 0x20 * 8 + 2, "int $0x20",
    { words = { [board.gate_at(64, 0x20)] = board.gate(0x8200, { type = 0 }) } })

case("real mode: a software interrupt, and back", {
    bits = 16,
    code = "sti\n stc\n int $0x21\n setc %al\n hlt",
    trace = { taken(0x21, { 0x1004, 0, 0x203 }, { sp = board.STACK - 6, rflags = 3 }), DONE },
    after = { al = 1, sp = board.STACK, rflags = 0x203 },
})

case("real mode: a division by zero", {
    bits = 16,
    code = "nop\n div %cl",
    trace = { taken(DE, { 0x1001, 0 }, { sp = board.STACK - 6 }) },
})

case("real mode: an undefined opcode", {
    bits = 16,
    code = "ud2",
    trace = { taken(UD, { 0x1000, 0, 2 }) },
})

case("limits: real mode has segments of 64 KiB", {
    bits = 16,
    code = "mov 0xffff, %ax",
    trace = { taken(GP, { 0x1000, 0 }) },
})

case("real mode: a software interrupt beyond the table", {
    bits = 16,
    code = "int $0x21",
    regs = { idtr = { base = 0, limit = 4 * 0x21 - 1 } },
    trace = { taken(GP, { 0x1000, 0 }) },
})

case("int n and iret in long mode", {
    code = "sti\n stc\n int $0x21\n setc %al\n hlt",
    trace = { taken(0x21, { 0x1004, 8, 0x203, board.STACK, S.data }, { rflags = 3 }), DONE },
    after = { al = 1, rsp = board.STACK },
})

case("a fault, and back to what is mended", {
    code = "div %ecx\n hlt",
    regs = { rax = 7 },
    trace = { taken(DE), { "halt", host = function(_, cpu) cpu.rcx = 2 end } },
    after = { rax = 3, rdx = 1, rsp = board.STACK },
})

-- ---- what it does to the stack and the flags ----------------------------

case("a fault saves the flags, and that it may resume", {
    code = "stc\n ud2",
    trace = { taken(UD, { [3] = 0x10003 }, { rflags = 3 }) },
})

case("int n saves the flags as they are", {
    code = "sti\n stc\n int3",
    trace = { taken(3, { [3] = 0x203 }, { rflags = 3 }) },
})

case("a trap gate leaves interrupts on", {
    code = "sti\n nop\n ud2",
    words = { [board.gate_at(64, UD)] = board.gate(board.handler(UD), { type = 15 }) },
    trace = { taken(UD, nil, { rflags = 0x202 }) },
})

case("an interrupt gate turns interrupts off", {
    code = "sti\n nop\n ud2",
    trace = { taken(UD, nil, { rflags = 2 }) },
})

case("long mode aligns the stack", {
    code = "ud2",
    regs = { sp = board.STACK - 7 },
    trace = { taken(UD, { [4] = board.STACK - 7 }, { rsp = board.STACK - 16 - 40 }) },
})

case("a stack of the interrupt stack table", {
    code = "ud2",
    words = { [board.gate_at(64, UD)] = board.gate(board.handler(UD), { ist = 1 }) },
    trace = { taken(UD, { 0x1000, 8, [4] = board.STACK, [5] = S.data },
        { rsp = board.IST - 40 }) },
})

case("protected mode: no change of ring, no change of stack", {
    bits = 32,
    code = "ud2",
    trace = { taken(UD, { 0x1000, 8 }, { rsp = board.STACK - 12 }) },
})

-- ---- from ring 3 --------------------------------------------------------

case("ring 3 to ring 0, with the stack of the task state", {
    code = "ud2",
    regs = board.user(64),
    trace = { taken(UD, { 0x1000, S.user_code, [4] = board.USER_STACK, [5] = S.user_data },
        { rsp = board.INNER_STACK - 40 }) },
})

case("ring 3 to ring 0: the new stack has a null selector", {
    code = "ud2",
    regs = board.user(64),
    trace = { { "stop" } },
    setup = function(vm, _, log)
        vm:on("io", function(cpu)
            log[1], log[2], log[3] = cpu.ss.selector, cpu.cs.selector, cpu.cs.dpl
            cpu:stop()
        end)
    end,
    log = { 0, 8, 0 },
})

case("protected mode: ring 3 to ring 0", {
    bits = 32,
    code = "ud2",
    regs = board.user(32),
    trace = { taken(UD, { 0x1000, S.user_code, [4] = board.USER_STACK, [5] = S.user_data },
        { rsp = board.INNER_STACK - 20 }) },
})

local function forbidden(name, instruction, regs)
    local all = board.user(64)
    for reg, value in pairs(regs or {}) do
        all[reg] = value
    end
    case("ring 3 may not " .. name, { code = instruction, regs = all,
        trace = { taken(GP, { 0, 0x1000, S.user_code }) } })
end

forbidden("halt", "hlt")
forbidden("turn interrupts off", "cli")
forbidden("write cr0", "mov %rax, %cr0")
forbidden("read cr3", "mov %cr3, %rax")
forbidden("read an msr", "rdmsr", { rcx = 0xc0000080 })
forbidden("load a table register", "lgdt (%rsp)", { sp = board.USER_DATA })
forbidden("load a task", "ltr %ax")
forbidden("clear ts", "clts")
forbidden("forget a translation", "invlpg (%rax)")

case("ring 3 may not int n through a gate of ring 0", {
    code = "int $0x21",
    regs = board.user(64),
    trace = { taken(GP, { 0x21 * 8 + 2, 0x1000, S.user_code }) },
})

case("ring 3 may int n through a gate of its own", {
    code = "int $0x21",
    regs = board.user(64),
    words = { [board.gate_at(64, 0x21)] = board.gate(board.handler(0x21), { dpl = 3 }) },
    trace = { taken(0x21, { 0x1002, S.user_code, [4] = board.USER_STACK }) },
})

case("ring 3 loads a segment of ring 0", {
    code = "mov %eax, %ds",
    regs = board.user(64, { rax = S.data }),
    trace = { taken(GP, { S.data, 0x1000, S.user_code }) },
})

case("ring 3 reads what is not aligned, where that is checked", {
    code = "push %rax\n mov 1(%rsp), %eax",
    regs = board.user(64, { rflags = 0x40002, cr0 = 0x80040011 }),
    trace = { taken(AC, { 0, 0x1001, S.user_code }) },
})

-- ---- faults upon faults -------------------------------------------------

local ABSENT = board.gate(0, { present = 0 })

case("a fault whose gate is absent is the absence of the gate", {
    code = "ud2",
    words = { [board.gate_at(64, UD)] = ABSENT },
    trace = { taken(NP, { UD * 8 + 3, 0x1000 }) },
})

case("an absent gate for a contributory exception is a double fault", {
    code = "div %ecx",
    words = { [board.gate_at(64, DE)] = ABSENT },
    trace = { taken(DF, { 0 }) },
})

case("an absent gate for a page fault is a double fault", {
    code = "mov (%rbx), %eax",
    regs = { rbx = NOWHERE },
    words = { [board.gate_at(64, 14)] = ABSENT },
    trace = { taken(DF, { 0 }, { cr2 = NOWHERE }) },
})

case("a page fault on the stack of a page fault is a double fault", {
    code = "push %rax",
    regs = { sp = NOWHERE },
    words = { [board.gate_at(64, DF)] = board.gate(board.handler(DF), { ist = 1 }) },
    trace = { taken(DF, { 0, [5] = NOWHERE }, { rsp = board.IST - 48 }) },
})

local function shutdown(name, own)
    own.trace = { { "shutdown" } }
    case("a triple fault: " .. name, own)
end

shutdown("no gate for the double fault", { code = "ud2",
    regs = { idtr = { base = board.IDT, limit = 0 } } })
shutdown("protected mode", { bits = 32, code = "ud2",
    regs = { idtr = { base = board.IDT, limit = 0 } } })
shutdown("a stack that is not there", { code = "push %rax", regs = { sp = NOWHERE } })
shutdown("real mode, beyond the table", { bits = 16, code = "int $3",
    regs = { idtr = { base = 0, limit = 0 } } })
shutdown("from ring 3, without a task state", { code = "ud2", regs = board.user(64,
    { tr = { base = board.TASK, limit = 3 } }) })

-- ---- nested -------------------------------------------------------------

case("an exception in the handler of an exception", {
    code = "ud2",
    more = { [0x3800] = "div %ecx" },
    words = { [board.gate_at(64, UD)] = board.gate(0x3800) },
    trace = { taken(DE, { 0x3800, 8, [4] = board.STACK - 40, [7] = 0x1000 }) },
})

case("fifty exceptions, each in the handler of the one before", {
    code = "mov $50, %ecx\n ud2",
    more = { [0x3800] = "dec %ecx\n jz 1f\n ud2\n1: hlt" },
    words = { [board.gate_at(64, UD)] = board.gate(0x3800) },
    trace = { { "halt", regs = { rsp = board.STACK - 50 * 48 + 8 } } },
})
