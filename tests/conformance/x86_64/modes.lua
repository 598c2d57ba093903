-- SPDX-License-Identifier: MIT
-- Real, protected and long mode: what operands, addresses, stacks and segments are in
-- each, and how a guest gets from one to the other.
local case, board = ...

local S, DATA, taken = board.SELECTOR, board.DATA, board.taken
local DONE = { "halt" }

-- Code that computes something, and HLT.
local function computes(name, bits, code, after, own)
    own = own or {}
    own.bits, own.code, own.after, own.trace = bits, code .. "\n hlt", after, { DONE }
    case(name, own)
end

-- ---- operands and addresses ---------------------------------------------

computes("real mode: 16 bits, and 32 by prefix", 16,
    "mov $0xffff, %ax\n inc %ax\n mov $0x12345678, %ebx\n mov $0x9abc, %bx", {
        rax = 0x55550000, rbx = 0x12349abc }, { regs = { rax = 0x55555555 } })
computes("real mode: an address of 32 bits by prefix", 16, "mov 0x10(%ebx,%ecx,4), %ax",
    { rax = 0x1234 }, { regs = { rbx = 0x4000, rcx = 4 }, words = { [0x4020] = 0x1234 } })
computes("real mode: an address of 16 bits goes around", 16, "mov 8(%bx), %ax",
    { rax = 0x1234 }, { regs = { rbx = 0xfff8 }, words = { [0] = 0x1234 } })
computes("real mode: a segment is sixteen times its selector", 16,
    "mov $0x1234, %ax\n mov %ax, %es\n mov %es:0x10, %bx", { rbx = 0x77 },
    { words = { [0x12350] = 0x77 } })
computes("real mode: bp is of the stack", 16, "mov $0x1000, %ax\n mov %ax, %ss\n"
    .. "mov $0x20, %bp\n mov (%bp), %cx\n mov %ds:(%bp), %dx", { rcx = 0x66, rdx = 0x55 },
    { words = { [0x10020] = 0x66, [0x20] = 0x55 } })
computes("real mode: a stack goes around its segment", 16, "push %bx",
    { rsp = 0xfffe }, { regs = { sp = 0, rbx = 0xbeef },
        memory = { [0xfff8] = 0xbeef << 48 } })
computes("real mode: a far call, and back", 16, "lcall $0x300, $0x800\n mov $7, %bx",
    { rax = 0x300, rbx = 7, sp = board.STACK }, { more = { [0x3800] = "mov %cs, %ax\n lret" },
        memory = { [board.STACK - 8] = 0x0000100500000000 } })
computes("real mode: lds and les", 16, "les 0x4000, %di\n lds 0x4004, %si\n mov (%si), %al",
    { rdi = 0x1111, rsi = 0x2222, rax = 0x99 },
    { words = { [DATA] = 0x1000222233331111, [0x12220] = 0x990000 } })
computes("real mode: all registers pushed and popped", 16, "pusha\n mov $9, %bx\n popa",
    { rbx = 2, rsp = board.STACK }, { regs = { rax = 1, rbx = 2, rcx = 3 },
        memory = { [board.STACK - 8] = 0x0001000300000002 } })

computes("protected mode: 32 bits, and 16 by prefix", 32,
    "mov $0xffffffff, %eax\n inc %eax\n mov $0x12345678, %ebx\n mov $0x9abc, %bx",
    { rax = 0, rbx = 0x12349abc })
computes("protected mode: an address of 16 bits by prefix", 32, "addr16 mov 8(%bx), %ax",
    { rax = 0x1234 }, { regs = { rbx = 0x5000fff8 }, words = { [0] = 0x1234 } })
computes("protected mode: a far call, and back", 32, "lcall $0x40, $0x3800\n mov $7, %ebx",
    { rax = 0x40, rbx = 7, rsp = board.STACK }, { more = { [0x3800] = "mov %cs, %eax\n lret" } })
computes("protected mode: a segment by its descriptor", 32,
    "mov $0x70, %eax\n mov %eax, %fs\n mov %fs:8, %ebx", { rbx = 0x55 },
    { words = { [board.GDT + 0x70] = 0x004093010000000f, [0x10008] = 0x55 } })
computes("protected mode: a descriptor that is used is marked", 32,
    "mov $0x70, %eax\n mov %eax, %fs", { rax = 0x70 },
    { words = { [board.GDT + 0x70] = 0x00cf92000000ffff },
        memory = { [board.GDT + 0x70] = 0x00cf93000000ffff } })
computes("protected mode: a segment of the local table", 32,
    "mov $0x70, %eax\n lldt %ax\n mov $12, %eax\n mov %eax, %gs\n mov %gs:0x10, %ebx\n sldt %ecx",
    { rbx = 0x66, rcx = 0x70 }, { words = { [board.GDT + 0x70] = 0x000082005000000f,
        [0x5008] = 0x004093010000ffff, [0x10010] = 0x66 } })
computes("protected mode: a null selector may be loaded", 32, "mov %eax, %fs\n mov %fs, %ebx",
    { rbx = 0 }, { regs = { rax = 0, rbx = 1 } })
computes("protected mode: a stack of 16 bits", 32, "mov $0x50, %eax\n mov %eax, %ss\n push %eax",
    { rsp = 0x1230000 + board.STACK - 4 }, { regs = { sp = 0x1230000 + board.STACK },
        memory = { [board.STACK - 8] = 0x50 << 32 } })
computes("protected mode: what is known of a descriptor", 32,
    "lar %ecx, %eax\n lsl %ecx, %ebx\n verr %cx\n setz %dl\n verw %cx\n setz %dh",
    { rax = 0x00c09100, rbx = 0xfffff | 0xfff00000, rdx = 1 }, { regs = { rcx = S.readonly } })

case("limits: a null selector is used", {
    bits = 32,
    code = "mov %eax, %fs\n mov %fs:0, %ebx",
    trace = { taken(13, { 0, 0x1002 }) },
})

computes("long mode: 32 bits clear the upper half, 16 and 8 do not", 64,
    "mov $5, %eax\n mov $5, %bx\n mov $5, %cl\n mov $5, %ch", { rax = 5,
        rbx = 0xffffffffffff0005, rcx = 0xffffffffffff0505 },
    { regs = { rax = -1, rbx = -1, rcx = -1 } })
computes("long mode: new registers, and the low bytes of old ones", 64,
    "mov $1, %r8d\n movb $2, %r15b\n mov $3, %sil\n mov $4, %bpl\n lea (%r8,%r8), %r12",
    { r8 = 1, r15 = 0xff02, rsi = 0xff03, rbp = 0xff04, r12 = 2 },
    { regs = { r8 = -1, r15 = 0xffff, rsi = 0xffff, rbp = 0xffff } })
computes("long mode: pushes are of 64 or 16 bits", 64, "push $-2\n pushw $3\n pop %bx\n pop %rax",
    { rax = -2, rbx = 3, rsp = board.STACK })
computes("long mode: a prefix gives no base", 64, "mov %es:0x4000, %eax",
    { rax = 0x77 }, { regs = { es = board.data { base = 0x1000 } }, words = { [DATA] = 0x77 } })
computes("long mode: fs keeps its base of 64 bits", 64, "mov %fs:(%rbx), %eax",
    { rax = 0x77 }, { regs = { fs = board.data { base = 1 << 40 }, rbx = DATA - (1 << 40) },
        words = { [DATA] = 0x77 } })
computes("long mode: a far return to another code segment of 64 bits", 64,
    "push $0x48\n push $0x3800\n lretq", { rax = 0x48, rsp = board.STACK },
    { more = { [0x3800] = "mov %cs, %eax\n hlt" } })
computes("long mode: enter and leave", 64, "enter $32, $0\n mov %rsp, %rax\n leave",
    { rax = board.STACK - 40, rbp = 0x77, rsp = board.STACK }, { regs = { rbp = 0x77 } })
computes("long mode: stores of table registers have ten bytes", 64, "sgdt 0x4000\n sidt 0x4010",
    {}, { memory = { [DATA] = board.GDT << 16 | 0x7f, [DATA + 16] = board.IDT << 16 | 0x3ff } })

-- ---- from one to the other ----------------------------------------------

local TABLE = { [0x900] = board.GDT << 16 | 0x7f }

case("real mode to protected mode", {
    bits = 16, asm = 64,
    code = ".code16\n lgdtl 0x900\n mov %cr0, %eax\n or $1, %al\n mov %eax, %cr0\n"
        .. "ljmp $0x40, $0x1100",
    more = { [0x1100] = ".code32\n mov $0x10, %eax\n mov %eax, %ds\n mov %cs, %ecx\n"
        .. "mov 0x200000, %ebx\n hlt" },
    words = TABLE,
    trace = { { "mmio", addr = 0x200000, size = 4, write = false, answer = 0x12345678 }, DONE },
    after = { rbx = 0x12345678, rcx = 0x40 },
})

case("until the jump, protected mode has the code segment it had", {
    bits = 16, asm = 64,
    code = ".code16\n lgdtl 0x900\n mov $0x11, %eax\n mov %eax, %cr0\n mov %cs, %bx\n"
        .. "mov $0x1234, %ax\n hlt",
    words = TABLE,
    trace = { DONE },
    after = { rax = 0x1234, rbx = 0 },
})

case("protected mode to real mode, and its vectors", {
    bits = 16, asm = 64,
    code = ".code16\n lgdtl 0x900\n mov $0x11, %eax\n mov %eax, %cr0\n ljmp $0x38, $0x1100",
    more = { [0x1100] = ".code16\n mov $0x10, %eax\n mov %eax, %cr0\n ljmp $0x100, $0x200",
        [0x1200] = ".code16\n mov %cs, %bx\n int $0x21" },
    words = TABLE,
    trace = { taken(0x21, { 0x204, 0x100 }, { rbx = 0x100 }) },
})

case("real mode keeps the limits that protected mode has set", {
    bits = 16, asm = 64,
    code = ".code16\n lgdtl 0x900\n mov $0x11, %eax\n mov %eax, %cr0\n mov $0x10, %bx\n"
        .. "mov %bx, %fs\n dec %ax\n mov %eax, %cr0\n mov $0x200000, %ebx\n"
        .. "mov %fs:(%ebx), %al\n hlt",
    words = TABLE,
    trace = { { "mmio", addr = 0x200000, size = 1, write = false, answer = 0x42 }, DONE },
    after = { rax = 0x42 },
})

case("real mode to long mode in one go", {
    bits = 16, asm = 64,
    code = [[.code16
        lgdtl 0x900
        mov   $0x20, %eax
        mov   %eax, %cr4
        mov   $0x10000, %eax
        mov   %eax, %cr3
        mov   $0xc0000080, %ecx
        mov   $0x100, %eax
        xor   %edx, %edx
        wrmsr
        mov   $0x80000011, %eax
        mov   %eax, %cr0
        ljmp  $0x48, $0x1100
    ]],
    more = { [0x1100] = "movabs $0x123456789abcdef0, %rbx\n mov $0xc0000080, %ecx\n rdmsr\n hlt" },
    words = TABLE,
    trace = { DONE },
    after = { rbx = 0x123456789abcdef0, rax = 0x500, efer = 0x500 },
})

case("32-bit paging to long mode", {
    bits = 32, asm = 64,
    code = [[.code32
        mov   %cr0, %eax
        and   $0x7fffffff, %eax
        mov   %eax, %cr0
        mov   $0x20, %eax
        mov   %eax, %cr4
        mov   $0x10000, %eax
        mov   %eax, %cr3
        mov   $0xc0000080, %ecx
        mov   $0x100, %eax
        xor   %edx, %edx
        wrmsr
        mov   $0x80000011, %eax
        mov   %eax, %cr0
        ljmp  $0x48, $0x1100
    ]],
    more = { [0x1100] = "mov $-1, %rbx\n hlt" },
    regs = board.paging(),
    trace = { DONE },
    after = { rbx = -1, efer = 0x500 },
})

case("long mode to compatibility mode and back", {
    code = "push $0x40\n push $0x3800\n lretq",
    more = {
        [0x3800] = ".code32\n dec %eax\n inc %ebx\n push %ebx\n ljmp $8, $0x3900",
        [0x3900] = "mov %rsp, %rcx\n hlt",
    },
    regs = { rax = 0x100000000, rbx = -1 },
    trace = { DONE },
    after = { rax = 0xffffffff, rbx = 0, rcx = board.STACK - 4 },
})

case("compatibility mode has the bases of segments", {
    code = "push $0x40\n push $0x3800\n lretq",
    more = { [0x3800] = ".code32\n mov %es:0x3000, %eax\n hlt" },
    regs = { es = board.data { base = 0x1000 } },
    words = { [DATA] = 0x77 },
    trace = { DONE },
    after = { rax = 0x77 },
})

case("long mode back to protected mode", {
    code = "push $0x40\n push $0x3800\n lretq",
    more = { [0x3800] = [[.code32
        mov   $0x11, %eax
        mov   %eax, %cr0
        mov   $0xc0000080, %ecx
        rdmsr
        mov   0x200000, %ebx
        hlt
    ]] },
    trace = { { "mmio", addr = 0x200000, size = 4, write = false, answer = 5 }, DONE },
    after = { rax = 0x100, rbx = 5, efer = 0x100 },
})

case("an exception of compatibility mode has a frame of long mode", {
    code = "push $0x40\n push $0x3800\n lretq",
    more = { [0x3800] = ".code32\n push %eax\n ud2" },
    trace = { taken(6, { 0x3801, 0x40, [4] = board.STACK - 4, [5] = S.data },
        { rsp = board.STACK - 16 - 40 }) },
})

-- ---- arithmetic and its flags -------------------------------------------

local CF, PF, AF, ZF, SF, OF = 1, 4, 16, 64, 128, 0x800

-- With the flags that the instruction defines, in rbx.
local function flags(name, instruction, regs, after, defined, set)
    local all = { rflags = 2 }
    for reg, value in pairs(regs) do
        all[reg] = value
    end
    after.rbx = set
    computes("flags: " .. name, 64, ("%s\n pushf\n pop %%rbx\n and $%d, %%rbx")
        :format(instruction, defined), after, { regs = all })
end

local ALL = CF | PF | AF | ZF | SF | OF

flags("an addition that overflows", "add %cl, %al", { rax = 0x7f, rcx = 1 }, { rax = 0x80 },
    ALL, AF | SF | OF)
flags("an addition with carry", "add %ecx, %eax", { rax = 0xffffffff, rcx = 1 }, { rax = 0 },
    ALL, CF | PF | AF | ZF)
flags("a subtraction that borrows", "sub %rcx, %rax", { rax = 0, rcx = 1 }, { rax = -1 },
    ALL, CF | PF | AF | SF)
flags("cmp of the most negative number", "cmp $1, %eax", { rax = 0x80000000 }, {},
    ALL, PF | AF | OF)
flags("inc leaves the carry", "stc\n inc %ax", { rax = 0xffff }, { rax = 0 },
    ALL, CF | PF | AF | ZF)
flags("dec leaves the carry", "stc\n dec %al", { rax = 0x80 }, { rax = 0x7f },
    ALL, CF | AF | OF)
flags("neg of zero", "neg %eax", { rax = 0 }, { rax = 0 }, ALL, PF | ZF)
flags("neg of the most negative number", "neg %al", { rax = 0x80 }, { rax = 0x80 },
    ALL, CF | SF | OF)
flags("adc with all ones", "stc\n adc $-1, %rax", { rax = 0 }, { rax = 0 },
    ALL, CF | PF | AF | ZF)
flags("sbb of itself", "stc\n sbb %eax, %eax", { rax = 7 }, { rax = 0xffffffff },
    ALL, CF | PF | AF | SF)
flags("logic clears carry and overflow", "stc\n and $0x80, %al", { rax = 0xff }, { rax = 0x80 },
    ALL & ~AF, SF)
flags("not leaves all flags", "stc\n not %eax", { rax = 0 }, { rax = 0xffffffff }, CF | ZF, CF)
flags("shl by one", "shl %al", { rax = 0xc0 }, { rax = 0x80 }, ALL & ~AF, CF | SF)
flags("shr by one", "shr %al", { rax = 0x81 }, { rax = 0x40 }, ALL & ~AF, CF | OF)
flags("sar", "sar $4, %al", { rax = 0x88 }, { rax = 0xf8 }, CF | PF | ZF | SF, CF | SF)
flags("a shift by none leaves all flags", "stc\n shl %cl, %eax", { rax = 0, rcx = 32 },
    { rax = 0 }, ALL, CF)
flags("rol by one", "rol %al", { rax = 0x80 }, { rax = 1 }, CF | OF, CF | OF)
flags("rcr through the carry", "stc\n rcr %al", { rax = 1 }, { rax = 0x80 }, CF | OF, CF | OF)
flags("rcl of 8 bits by nine is nothing", "stc\n rcl $9, %al", { rax = 0x5a }, { rax = 0x5a },
    CF, CF)
flags("mul that fits", "mul %cl", { rax = 15, rcx = 17 }, { rax = 255 }, CF | OF, 0)
flags("mul that does not fit", "mul %rcx", { rax = 1 << 63, rcx = 2 }, { rax = 0, rdx = 1 },
    CF | OF, CF | OF)
flags("imul that does not fit", "imul %ecx, %eax", { rax = 0x10000, rcx = 0x8000 },
    { rax = 0x80000000 }, CF | OF, CF | OF)
flags("bt", "bt $63, %rax", { rax = 1 << 63 }, {}, CF, CF)
flags("bsf of zero", "bsf %ecx, %eax", { rcx = 0 }, {}, ZF, ZF)
flags("cmpxchg that is not equal", "cmpxchg %ecx, %edx", { rax = 1, rdx = 2, rcx = 3 },
    { rax = 2, rdx = 2 }, ALL, CF | PF | AF | SF)
flags("cmpxchg8b that is equal", "cmpxchg8b 0x4000", { rax = 0, rdx = 0, rcx = 7 }, {}, ZF, ZF)
flags("sahf and lahf", "mov $0xff, %ah\n sahf\n lahf", { rax = 0 }, { rax = 0xd700 },
    CF | PF | AF | ZF | SF, CF | PF | AF | ZF | SF)

computes("idiv rounds to zero", 64, "mov $-7, %rax\n cqto\n mov $2, %ecx\n idiv %rcx",
    { rax = -3, rdx = -1 })
computes("widening of the accumulator", 64, "mov $0x80, %al\n cbtw\n mov %rax, %rbx\n cwtl\n"
    .. "mov %rax, %rcx\n cltq\n cwtd", { rbx = 0xff80, rcx = 0xffffff80, rax = -128,
        rdx = 0xffff })
computes("bswap", 64, "bswap %rax\n bswap %ebx", { rax = 0x0807060504030201,
    rbx = 0x04030201 }, { regs = { rax = 0x0102030405060708, rbx = -1 << 32 | 0x01020304 } })
computes("loop counts by the address size", 64, "1: inc %eax\n addr32 loop 1b",
    { rax = 3, rcx = 0 }, { regs = { rcx = 0x500000003 } })
computes("jecxz looks at the lower half", 64, "jecxz 1f\n inc %eax\n1: jrcxz 2f\n inc %ebx\n2:",
    { rax = 0, rbx = 1 }, { regs = { rcx = 1 << 32 } })
computes("real mode: decimal digits", 16, "mov $0x83, %al\n sub $0x48, %al\n das\n mov %al, %bl\n"
    .. "mov $63, %al\n aam", { rbx = 0x35, rax = 0x0603 })
