-- SPDX-License-Identifier: MIT
-- Accesses to where no memory is: every size, and every kind of instruction that has
-- memory for an operand.
local case, board = ...

local DEVICE, DATA = board.DEVICE, board.DATA
local DONE = { "halt" }
local OLD = 0x1122334455667788
local read, write = require "conformance.access" (DEVICE)

-- One instruction with the device's address in rbx, and HLT.
local function one(name, instruction, accesses, after, more)
    local all = { rbx = DEVICE, rax = OLD, rcx = OLD }
    for reg, value in pairs(more and more.regs or {}) do
        all[reg] = value
    end
    accesses[#accesses + 1] = DONE
    case(name, { code = instruction .. "\n hlt", regs = all, trace = accesses, after = after,
        memory = more and more.memory, words = more and more.words, bits = more and more.bits })
end

-- ---- loads --------------------------------------------------------------

one("mov r8 keeps the rest", "mov (%rbx), %al", { read(0, 1, 0xff, { pc = 0x1002 }) },
    { rax = 0x11223344556677ff })
one("mov ah is the second byte", "mov 3(%rbx), %ah", { read(3, 1, 0xee) },
    { rax = 0x112233445566ee88 })
one("mov r16 keeps the rest", "mov 2(%rbx), %ax", { read(2, 2, 0xfedc) },
    { rax = 0x112233445566fedc })
one("mov r32 clears the upper half", "mov 4(%rbx), %eax", { read(4, 4, 0x80000001) },
    { rax = 0x80000001 })
one("mov r64", "mov 8(%rbx), %rax", { read(8, 8, 0x8000000000000001) },
    { rax = 0x8000000000000001 })
one("movzbl", "movzbl (%rbx), %eax", { read(0, 1, 0x80) }, { rax = 0x80 })
one("movzwq", "movzwq (%rbx), %rax", { read(0, 2, 0x8000) }, { rax = 0x8000 })
one("movsbw keeps the rest", "movsbw (%rbx), %ax", { read(0, 1, 0x80) },
    { rax = 0x112233445566ff80 })
one("movsbl clears the upper half", "movsbl (%rbx), %eax", { read(0, 1, 0x80) },
    { rax = 0xffffff80 })
one("movswq", "movswq (%rbx), %rax", { read(0, 2, 0x8000) }, { rax = -0x8000 })
one("movslq", "movslq (%rbx), %rax", { read(0, 4, 0x80000000) }, { rax = -0x80000000 })
one("an absolute address of 64 bits", "movabs 0x200010, %rax", { read(16, 8, 7) }, { rax = 7 })
one("a read that nobody answers is all ones", "mov (%rbx), %eax", { read(0, 4) },
    { rax = 0xffffffff })
one("an answer is cut to the size of the access", "mov (%rbx), %ax", { read(0, 2, 0x123456) },
    { rax = 0x1122334455663456 })
one("the base is overwritten by the load", "mov (%rbx), %rbx", { read(0, 8, 5) }, { rbx = 5 })
one("xlat", "xlat", { read(0x88, 1, 0x42) }, { rax = 0x1122334455667742 })

-- ---- stores -------------------------------------------------------------

one("mov of 8 bits", "mov %al, (%rbx)", { write(0, 1, 0x88, { pc = 0x1002 }) })
one("mov of ah", "mov %ah, (%rbx)", { write(0, 1, 0x77) })
one("mov of 16 bits", "mov %ax, (%rbx)", { write(0, 2, 0x7788) })
one("mov of 32 bits", "mov %eax, (%rbx)", { write(0, 4, 0x55667788) })
one("mov of 64 bits", "mov %rax, (%rbx)", { write(0, 8, OLD) })
one("an immediate is sign-extended to 64 bits", "movq $-2, (%rbx)", { write(0, 8, -2) })
one("an immediate of 16 bits", "movw $0x8001, 6(%rbx)", { write(6, 2, 0x8001) })
one("a segment register is stored in 16 bits", "mov %ds, (%rbx)", { write(0, 2, 0x10) })
one("setcc", "cmp %eax, %eax\n setz 5(%rbx)", { write(5, 1, 1) })
one("movnti", "movnti %eax, 8(%rbx)", { write(8, 4, 0x55667788) })

-- ---- where --------------------------------------------------------------

one("base, index, scale and displacement", "mov -8(%rbx,%rcx,4), %eax", { read(8, 4, 1) },
    { rax = 1 }, { regs = { rcx = 4 } })
one("an address of 32 bits wraps", "mov 0x10(%ebx), %eax", { read(0, 4, 1) }, { rax = 1 },
    { regs = { rbx = 0x7000000000 + DEVICE - 0x10 } })
one("relative to rip", "mov 0x200000-0x1006+8(%rip), %eax", { read(8, 4, 1) }, { rax = 1 })
one("a segment's base", "mov %fs:8, %eax", { read(8, 4, 1) }, { rax = 1 },
    { regs = { fs = board.data { base = DEVICE } } })
one("gs and a base", "mov %eax, %gs:(%rbx)", { write(0x100, 4, 0x55667788) }, nil,
    { regs = { gs = board.data { base = 0x100 } } })
one("ds has no base in long mode", "mov (%rbx), %eax", { read(0, 4, 1) }, { rax = 1 },
    { regs = { ds = board.data { base = 0x1000 } } })
one("protected mode: a segment's base, around 32 bits", "mov %es:(%ebx), %eax",
    { read(0, 4, 1) }, { rax = 1 }, { bits = 32, regs = { rbx = 0x80000000 + DEVICE,
        es = board.data { base = 0x80000000 } } })
one("real mode: behind the first megabyte", "mov $0xffff, %ax\n mov %ax, %ds\n"
    .. "mov 0x10, %ax", { { "mmio", addr = 0x100000, size = 2, write = false, answer = 5 } },
    { rax = 5 }, { bits = 16, regs = { rax = 0 } })

-- ---- both: read, then write ---------------------------------------------

local function both(name, instruction, size, answer, value, after, regs)
    one(name, instruction, { read(0, size, answer), write(0, size, value) }, after,
        { regs = regs })
end

both("add to memory", "add %eax, (%rbx)", 4, 1, 0x55667789)
both("an increment of 8 bits goes around", "incb (%rbx)", 1, 0xff, 0)
both("a decrement of 64 bits", "decq (%rbx)", 8, 0, -1)
both("not", "notw (%rbx)", 2, 0x1234, 0xedcb)
both("neg", "negl (%rbx)", 4, 5, 0xfffffffb)
both("or with an immediate", "orb $0x80, (%rbx)", 1, 1, 0x81)
both("a locked and", "lock andl $0xf0, (%rbx)", 4, 0xff, 0xf0)
both("shl by cl", "shll %cl, (%rbx)", 4, 3, 0x30, nil, { rcx = 4 })
both("ror by one", "rorw (%rbx)", 2, 1, 0x8000)
both("shld", "shld $8, %eax, (%rbx)", 4, 0x01020304, 0x02030455)
both("adc takes the carry", "stc\n adcl $0, (%rbx)", 4, 9, 10)
both("xchg", "xchg %ax, (%rbx)", 2, 0xabcd, 0x7788, { rax = 0x112233445566abcd })
both("xadd", "lock xadd %ecx, (%rbx)", 4, 10, 15, { rcx = 10 }, { rcx = 5 })
both("cmpxchg that is equal", "lock cmpxchg %ecx, (%rbx)", 4, 7, 9, { rax = 7 },
    { rax = 7, rcx = 9 })
both("bts by an immediate", "btsl $4, (%rbx)", 4, 1, 0x11)

one("bts by a register goes to another word", "bts %ecx, (%rbx)", { read(4, 4, 0),
    write(4, 4, 2) }, nil, { regs = { rcx = 33 } })

-- ---- reads with a purpose -----------------------------------------------

one("add to a register", "add (%rbx), %rax", { read(0, 8, 1) }, { rax = OLD + 1 })
one("cmp does not write", "cmpl $5, (%rbx)\n setz %al", { read(0, 4, 5) },
    { rax = 0x1122334455667701 })
one("test does not write", "testb $0x80, (%rbx)\n sets %al", { read(0, 1, 0x80) },
    { rax = 0x1122334455667701 })
one("cmov reads though its condition is false", "cmp %eax, %eax\n cmovne (%rbx), %rax",
    { read(0, 8, 1) }, { rax = OLD })
one("imul by three operands", "imul $3, (%rbx), %eax", { read(0, 4, 7) }, { rax = 21 })
one("mul", "mulb (%rbx)", { read(0, 1, 2) }, { rax = 0x1122334455660110 })
one("div", "divl (%rbx)", { read(0, 4, 7) }, { rax = 14, rdx = 2 },
    { regs = { rax = 100, rdx = 0 } })
one("bt", "btl $31, (%rbx)\n setc %al", { read(0, 4, 0x80000000) },
    { rax = 0x1122334455667701 })
one("bsr", "bsr (%rbx), %eax", { read(0, 4, 0x8000) }, { rax = 15 })
one("push writes what it reads", "push (%rbx)", { read(0, 8, 0x77) },
    { rsp = board.STACK - 8 }, { memory = { [board.STACK - 8] = 0x77 } })
one("pop writes what was on the stack", "push %rax\n pop 8(%rbx)", { write(8, 8, OLD) },
    { rsp = board.STACK })
one("call through a device", "call *(%rbx)", { read(0, 8, 0x3800, { rsp = board.STACK - 8 }) },
    { rsp = board.STACK - 8, pc = 0x3801 }, { words = { [0x3800] = 0xf4 },
        memory = { [board.STACK - 8] = 0x1002 } })
one("jmp through a device", "jmp *8(%rbx)", { read(8, 8, 0x3800) }, { pc = 0x3801 },
    { words = { [0x3800] = 0xf4 } })

-- ---- strings ------------------------------------------------------------

local function string(name, instruction, accesses, after, more)
    local regs = { rsi = DEVICE, rdi = DEVICE + 0x100, rcx = 2 }
    for reg, value in pairs(more and more.regs or {}) do
        regs[reg] = value
    end
    one("strings: " .. name, instruction, accesses, after,
        { regs = regs, words = more and more.words, memory = more and more.memory })
end

string("lods", "lodsw", { read(0, 2, 0x4321) }, { rsi = DEVICE + 2, rax = 0x1122334455664321 })
string("stos", "stosq", { write(0x100, 8, OLD) }, { rdi = DEVICE + 0x108 })
string("rep stos", "rep stosb", { write(0x100, 1, 0x88, { rcx = 1 }), write(0x101, 1, 0x88) },
    { rdi = DEVICE + 0x102, rcx = 0 })
string("rep movs from memory", "rep movsl", { write(0x100, 4, 0x11), write(0x104, 4, 0x22) },
    { rsi = DATA + 8, rcx = 0 }, { regs = { rsi = DATA }, words = { [DATA] = 0x2200000011 } })
string("rep movs to memory", "rep movsw", { read(0, 2, 0x1111), read(2, 2, 0x2222) },
    { rsi = DEVICE + 4, rdi = DATA + 4, rcx = 0 }, { regs = { rdi = DATA },
        memory = { [DATA] = 0x22221111 } })
string("rep movs from device to device", "rep movsb", { read(0, 1, 1), write(0x100, 1, 1),
    read(1, 1, 2), write(0x101, 1, 2) }, { rcx = 0 })
string("backwards", "std\n rep movsb", { read(0, 1, 1), read(-1, 1, 2) },
    { rsi = DEVICE - 2, rdi = DATA - 2 }, { regs = { rdi = DATA },
        memory = { [DATA - 8] = 2 << 56, [DATA] = 1 } })
string("scas until it is found", "repne scasb", { read(0x100, 1, 1), read(0x101, 1, 0x88) },
    { rdi = DEVICE + 0x102, rcx = 8 }, { regs = { rcx = 10 } })
string("cmps until they differ", "repe cmpsl", { read(0, 4, 1), read(4, 4, 3) },
    { rsi = DEVICE + 8, rdi = DATA + 8, rcx = 8 },
    { regs = { rcx = 10, rdi = DATA }, words = { [DATA] = 0x200000001 } })

-- ---- pieces -------------------------------------------------------------

one("across the pages of devices", "mov (%rbx), %eax",
    { read(0xffe, 2, 0x2211), read(0x1000, 2, 0x4433) }, { rax = 0x44332211 },
    { regs = { rbx = DEVICE + 0xffe } })
one("a store across the pages of devices", "mov %rax, (%rbx)", { write(0xffc, 4, 0x55667788),
    write(0x1000, 4, 0x11223344) }, nil, { regs = { rbx = DEVICE + 0xffc } })
one("from memory into a device behind it", "mov (%rbx), %eax",
    { { "mmio", addr = 0x100000, size = 2, write = false, answer = 0x4433 } },
    { rax = 0x44332211 }, { regs = { rbx = 0xffffe }, words = { [0xffff8] = 0x2211 << 48 } })
one("a store from memory into a device behind it", "mov %rax, (%rbx)",
    { { "mmio", addr = 0x100000, size = 4, write = true, value = 0x11223344 } }, nil,
    { regs = { rbx = 0xffffc }, memory = { [0xffff8] = 0x55667788 << 32 } })
one("not aligned, in one page", "mov 3(%rbx), %rax", { read(3, 8, 0x0807060504030201) },
    { rax = 0x0807060504030201 })
one("a vector is two halves", "movups (%rbx), %xmm1\n movups %xmm1, 16(%rbx)",
    { read(0, 8, 1), read(8, 8, 2), write(16, 8, 1), write(24, 8, 2) },
    { xmm1 = ("<i8i8"):pack(1, 2) }, { regs = { cr4 = 0x220 } })
one("x87: a number of 80 bits", "fldt (%rbx)\n fstpt 16(%rbx)", { read(0, 8, 1 << 63),
    read(8, 2, 0x3fff), write(16, 8, 1 << 63), write(24, 2, 0x3fff) }, nil)

-- ---- a device that is memory to read ------------------------------------

case("what cannot be written: reads are memory's, writes a device's", {
    code = "mov (%rbx), %eax\n incl (%rbx)\n mov (%rbx), %ecx\n hlt",
    map = { { at = DEVICE, size = 0x1000, prot = "r" } },
    words = { [DEVICE] = 41 },
    regs = { rbx = DEVICE },
    trace = { write(0, 4, 42, { rax = 41 }), DONE },
    after = { rcx = 41 },
})

case("prefetches and cache maintenance access nothing", {
    code = "prefetcht0 (%rbx)\n prefetchnta (%rbx)\n prefetchw (%rbx)\n hlt",
    regs = { rbx = DEVICE },
    trace = { DONE },
})

case("lea and nop access nothing", {
    code = "lea 5(%rbx), %rax\n nopl (%rbx)\n hlt",
    regs = { rbx = DEVICE },
    trace = { DONE },
    after = { rax = DEVICE + 5 },
})
