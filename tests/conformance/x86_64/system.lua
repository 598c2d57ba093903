-- SPDX-License-Identifier: MIT
-- CPUID, MSRs, control registers, and the calls between rings.
local case, board = ...

local S, DATA, taken = board.SELECTOR, board.DATA, board.taken
local DONE = { "halt" }
local GP, UD = 13, 6

local function computes(name, code, after, own)
    own = own or {}
    own.code, own.after, own.trace = code .. "\n hlt", after, { DONE }
    case(name, own)
end

-- ---- cpuid --------------------------------------------------------------

computes("cpuid clears the upper halves", "cpuid\n or %rbx, %rax\n or %rcx, %rax\n"
    .. "or %rdx, %rax\n shr $32, %rax", { rax = 0 },
    { regs = { rax = -1 << 32, rbx = -1, rcx = -1 << 32, rdx = -1 } })
computes("cpuid touches no other register", "cpuid", { rsi = 1, rdi = 2, rbp = 3, r8 = 4,
    rflags = 0x893, rsp = board.STACK }, { regs = { rsi = 1, rdi = 2, rbp = 3, r8 = 4,
        rflags = 0x893 } })
computes("cpuid tells of pae, msrs and cmpxchg8b", "mov $1, %eax\n cpuid\n and $0x160, %edx",
    { rdx = 0x160 })
computes("cpuid tells of long mode", "mov $0x80000001, %eax\n cpuid\n shr $29, %edx\n"
    .. "and $1, %edx", { rdx = 1 })
computes("cpuid knows leaves of both kinds", "cpuid\n mov %eax, %esi\n mov $0x80000000, %eax\n"
    .. "cpuid\n cmp $0x80000001, %eax\n setae %cl\n cmp $1, %esi\n setae %ch\n movzwl %cx, %ecx",
    { rcx = 0x101 }, { regs = { rax = 0 } })

case("cpuid in ring 3", {
    code = "cpuid\n ud2",
    regs = board.user(64),
    trace = { taken(UD, { 0x1002 }) },
})

-- ---- msrs ---------------------------------------------------------------

local function msr(name, nr, low, high)
    local value = high << 32 | low
    computes("msr: " .. name, "wrmsr\n mov $0, %eax\n mov $-1, %rdx\n rdmsr",
        { rax = low, rdx = high, [name] = value },
        { regs = { rcx = nr, rax = 0x5555555500000000 | low, rdx = high } })
end

msr("star", 0xc0000081, 0x12345678, 0x00100008)
msr("lstar", 0xc0000082, 0x89abcdef, 0xffff8000)
msr("cstar", 0xc0000083, 0x11223344, 0)
msr("sfmask", 0xc0000084, 0x47700, 0)
msr("kernel_gs_base", 0xc0000102, 0x80000000, 0xffffffff)
msr("fs_base", 0xc0000100, 0x1000, 0x7f)
msr("gs_base", 0xc0000101, 0xfffff000, 0xffffffff)
msr("sysenter_cs", 0x174, 8, 0)
msr("sysenter_esp", 0x175, 0x80001000, 0xffffffff)
msr("sysenter_eip", 0x176, 0x1000, 0)
msr("pat", 0x277, 0x00070106, 0x00070406)

computes("msr: what the host writes the guest reads", "rdmsr", { rax = 0x56789abc,
    rdx = 0x1234 }, { regs = { rcx = 0xc0000102, kernel_gs_base = 0x123456789abc } })
computes("msr: pat begins as it is reset", "rdmsr", { rax = 0x00070406, rdx = 0x00070406 },
    { regs = { rcx = 0x277 } })
computes("msr: efer has what long mode needs", "rdmsr\n or $1, %eax\n wrmsr\n rdmsr",
    { rax = 0x501, rdx = 0, efer = 0x501 }, { regs = { rcx = 0xc0000080 } })
computes("msr: a base counts at once", "mov $0x4000, %eax\n xor %edx, %edx\n wrmsr\n"
    .. "mov %fs:8, %ebx", { rbx = 0x77 }, { regs = { rcx = 0xc0000100 },
        words = { [DATA + 8] = 0x77 } })
computes("swapgs", "swapgs\n mov %gs:0, %eax\n swapgs\n mov %gs:0, %ebx", { rax = 0x44,
    rbx = 0x55, kernel_gs_base = DATA }, { regs = { kernel_gs_base = DATA,
        gs = board.data { base = DATA + 8 } }, words = { [DATA] = 0x44, [DATA + 8] = 0x55 } })
computes("time goes on", "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %rbx\n"
    .. "1: rdtsc\n shl $32, %rdx\n or %rdx, %rax\n cmp %rbx, %rax\n jbe 1b\n setg %cl",
    { rcx = 1 })

case("an msr there is not is for the host", {
    code = "rdmsr\n wrmsr\n hlt",
    regs = { rcx = 0x80000082, rax = -1, rdx = -1 },
    trace = {
        { "sysreg", reg = 0x80000082, write = false, answer = 0x1122334455667788,
            regs = { pc = 0x1002 } },
        { "sysreg", reg = 0x80000082, write = true, value = 0x1122334455667788,
            regs = { pc = 0x1004 } },
        DONE,
    },
    after = { rax = 0x55667788, rdx = 0x11223344 },
})

-- ---- control registers --------------------------------------------------

computes("cr2 is read and written", "mov %rbx, %cr2\n mov %cr2, %rax", { rax = 0x123456789,
    cr2 = 0x123456789 }, { regs = { rbx = 0x123456789 } })
computes("cr8 is read and written", "mov %rbx, %cr8\n mov %cr8, %rax", { rax = 9, cr8 = 9 },
    { regs = { rbx = 9 } })
computes("cr0.et stays one", "mov %cr0, %rax\n and $-0x11, %rax\n or $1, %rax\n mov %rax, %cr0\n"
    .. "mov %cr0, %rbx\n and $0x11, %ebx", { rbx = 0x11 })
computes("cr3 reads as written", "mov %cr3, %rax\n mov %rax, %cr3\n mov %cr3, %rbx",
    { rax = board.TABLES, rbx = board.TABLES })
computes("lmsw sets ts, and cannot clear pe", "mov $8, %eax\n lmsw %ax\n smsw %ebx\n clts\n"
    .. "smsw %ecx\n and $9, %ebx\n and $9, %ecx", { rbx = 9, rcx = 1 })
computes("ring 0 sets iopl and the interrupt flag by popf", "push $0x3202\n popf\n pushf\n"
    .. "pop %rax\n cli", { rax = 0x3202 })
computes("popf keeps the bit that is always one, and those that are always zero",
    "push $0x802a\n popf\n pushf\n pop %rax", { rax = 2 })
computes("popf sets and clears what tells of cpuid", "push $0x200002\n popf\n pushf\n pop %rax\n"
    .. "push $2\n popf\n pushf\n pop %rbx", { rax = 0x200002, rbx = 2 })
computes("the task register", "mov $0x28, %eax\n ltr %ax\n str %ebx", { rbx = 0x28 },
    { words = { [board.GDT + 0x28] = 0x67 | board.TASK << 16 | 0x89 << 40 },
        memory = { [board.GDT + 0x28] = 0x67 | board.TASK << 16 | 0x8b << 40 } })

case("a task that is busy cannot be loaded", {
    code = "mov $0x28, %eax\n ltr %ax",
    trace = { taken(GP, { 0x28, 0x1005 }) },
})

case("ring 3 changes neither iopl nor the interrupt flag by popf", {
    code = "push $0x3002\n popf\n pushf\n pop %rax\n ud2",
    regs = board.user(64, { rflags = 0x202 }),
    trace = { taken(UD, nil, { rax = 0x202 }) },
})

-- ---- from ring to ring --------------------------------------------------

local CALLS = { star = 0x0010000800000000, lstar = 0x3800, sfmask = 0x201,
    efer = board.EFER | board.EFER_SCE }

local function calls(regs)
    for name, value in pairs(CALLS) do
        regs[name] = value
    end
    return regs
end

case("syscall: where to, what is kept, and what is masked", {
    code = "stc\n syscall",
    more = { [0x3800] = "mov %cs, %eax\n mov %ss, %ebx\n pushf\n pop %rdx\n hlt" },
    regs = calls(board.user(64, { rflags = 0x202 })),
    trace = { DONE },
    after = { rax = 8, rbx = 0x10, rcx = 0x1003, r11 = 0x203, rdx = 2,
        rsp = board.USER_STACK },
})

case("syscall that is switched off", {
    code = "syscall",
    regs = calls(board.user(64)),
    trace = { taken(UD, { 0x1000, S.user_code }) },
    setup = function(_, cpu) cpu.efer = board.EFER end,
})

case("sysret: to ring 3, where IOPL is 3", {
    code = "out %al, $0x80\n ud2",
    more = { [0x3800] = "sysretq" },
    regs = calls { pc = 0x3800, rcx = 0x1000, r11 = 0x3203, sp = board.USER_STACK },
    trace = { { "io", port = 0x80, regs = { pc = 0x1002, rflags = 0x3203,
        rsp = board.USER_STACK } }, taken(UD, { 0x1002, 0x23, [4] = board.USER_STACK,
        [5] = 0x1b }) },
})

case("sysenter: from ring 3, with a stack", {
    bits = 32,
    code = "sysenter",
    more = { [0x3800] = "mov %cs, %eax\n mov %ss, %ebx\n hlt" },
    regs = board.user(32, { sysenter_cs = 8, sysenter_esp = board.STACK - 8,
        sysenter_eip = 0x3800, rflags = 0x202 }),
    trace = { { "halt", regs = { rflags = 2 } } },
    after = { rax = 8, rbx = 0x10, rsp = board.STACK - 8 },
})

case("protected mode: ring 3 without a code segment for sysenter", {
    bits = 32,
    code = "sysenter",
    regs = board.user(32, { sysenter_cs = 0 }),
    trace = { taken(GP, { 0, 0x1000, S.user_code }) },
})

case("protected mode: ring 3 by sysexit, with a stack", {
    bits = 32,
    code = "sysexit",
    more = { [0x3800] = "ud2" },
    regs = { sysenter_cs = 8, rcx = board.USER_STACK, rdx = 0x3800 },
    trace = { taken(UD, { 0x3800, 0x1b, [4] = board.USER_STACK, [5] = 0x23 }) },
})

case("iret to ring 3, and an exception back", {
    code = "nop",
    more = { [0x3800] = "push $0x23\n push $0x6000\n push $0x202\n push $0x1b\n push $0x1000\n"
        .. "iretq", [0x1001] = "mov %rsp, %rax\n ud2" },
    regs = { pc = 0x3800 },
    trace = { taken(UD, { 0x1004, 0x1b, [4] = board.USER_STACK, [5] = 0x23 },
        { rax = board.USER_STACK, rsp = board.INNER_STACK - 40 }) },
})

case("iret with the flag of nested tasks in long mode", {
    code = "push $0x4002\n popf\n iretq",
    trace = { taken(GP, { 0, 0x1006 }) },
})

-- ---- other registers, and more bytes ------------------------------------

computes("a locked exchange of 16 bytes", "lock cmpxchg16b 0x4000\n setz %sil", {
    rax = 1, rdx = 2, rsi = 1 }, { regs = { rax = 1, rdx = 2, rbx = 3, rcx = 4, rsi = 0 },
    words = { [DATA] = 1, [DATA + 8] = 2 }, memory = { [DATA] = 3, [DATA + 8] = 4 } })
computes("sse: xmm registers come and go", "movdqa %xmm1, %xmm2\n movq %xmm1, %rax",
    { rax = 5, xmm2 = ("<i8i8"):pack(5, 6) },
    { regs = { cr4 = 0x220, xmm1 = ("<i8i8"):pack(5, 6) } })
computes("sse: computing", "cvtsi2sd %rax, %xmm0\n mulsd %xmm0, %xmm0\n cvttsd2si %xmm0, %rbx",
    { rbx = 144 }, { regs = { cr4 = 0x220, rax = -12 } })
computes("x87: computing", "fninit\n fld1\n fadd %st(0)\n fistpl 0x4000", {},
    { memory = { [DATA] = 2 } })
