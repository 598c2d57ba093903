-- SPDX-License-Identifier: MIT
-- Two to four vCPUs: each has its own trace, and what they share comes out right,
-- whoever is first.
local case, board = ...

local DATA, taken = board.DATA, board.taken
local DONE = { "halt" }
local ROUNDS = 2000

-- ---- locks and counters -------------------------------------------------
-- rbx is a lock, rsi what it guards.

local function counting(n, name, round)
    local cpus, traces = {}, {}
    for i = 1, n do
        cpus[i], traces[i] = {}, { { "halt", regs = { rcx = 0 } } }
    end
    case(("%d vcpus: %s"):format(n, name), {
        code = "next:\n" .. round .. "\n dec %ecx\n jnz next\n hlt",
        cpus = cpus,
        regs = { rbx = DATA, rsi = DATA + 64, rcx = ROUNDS },
        trace = traces,
        memory = { [DATA] = 0, [DATA + 64] = n * ROUNDS },
    })
end

local ADD = "mov (%rsi), %rdx\n inc %rdx\n mov %rdx, (%rsi)\n"

for n = 2, 4 do
    counting(n, "a lock by xchg", "1: mov $1, %eax\n xchg %eax, (%rbx)\n test %eax, %eax\n jnz 1b\n"
        .. ADD .. "movl $0, (%rbx)")
end

counting(2, "a lock by cmpxchg", "1: xor %eax, %eax\n mov $1, %edi\n lock cmpxchg %edi, (%rbx)\n"
    .. "jne 1b\n" .. ADD .. "movl $0, (%rbx)")
counting(2, "a lock by bts and btr", "1: lock btsl $3, (%rbx)\n jc 1b\n" .. ADD
    .. "lock btrl $3, (%rbx)")
counting(3, "a counter by lock inc", "lock incq (%rsi)")
counting(2, "a counter by lock xadd", "mov $1, %eax\n lock xadd %eax, (%rsi)")
counting(2, "a counter of 16 bits by lock add", "lock addw $1, (%rsi)")
counting(2, "a counter by cmpxchg", "mov (%rsi), %rax\n1: lea 1(%rax), %rdx\n"
    .. "lock cmpxchg %rdx, (%rsi)\n jne 1b")

-- ---- one tells the other ------------------------------------------------

case("a message: what is written before it is there after it", {
    code = "nop",
    more = {
        [0x3400] = "mov $1, %ecx\n1: mov %ecx, (%rsi)\n mov %ecx, (%rbx)\n"
            .. "2: pause\n cmpl $0, (%rbx)\n jne 2b\n inc %ecx\n cmp $300, %ecx\n jne 1b\n hlt",
        [0x3600] = "mov $1, %ecx\n1: pause\n cmpl $0, (%rbx)\n je 1b\n cmp %ecx, (%rsi)\n jne 3f\n"
            .. "movl $0, (%rbx)\n inc %ecx\n cmp $300, %ecx\n jne 1b\n hlt\n3: ud2",
    },
    regs = { rbx = DATA, rsi = DATA + 256 },
    cpus = { { pc = 0x3400 }, { pc = 0x3600 } },
    trace = { { DONE }, { DONE } },
})

case("code that one writes, the other executes", {
    code = "nop",
    more = {
        [0x3400] = "1: pause\n cmpl $0, (%rbx)\n je 1b\n xor %eax, %eax\n cpuid\n"
            .. "call 0x3800\n hlt",
        [0x3600] = "movl $9, 0x3801\n movl $1, (%rbx)\n hlt",
        [0x3800] = "mov $1, %esi\n ret",
    },
    regs = { rbx = DATA },
    cpus = { { pc = 0x3400 }, { pc = 0x3600 } },
    trace = { { { "halt", regs = { rsi = 9 } } }, { DONE } },
})

-- ---- each for itself ----------------------------------------------------

case("each has its own number", {
    code = "mov $1, %eax\n cpuid\n shr $24, %ebx\n hlt",
    cpus = { {}, {}, {} },
    trace = { { { "halt", regs = { rbx = 0 } } }, { { "halt", regs = { rbx = 1 } } },
        { { "halt", regs = { rbx = 2 } } } },
})

case("each has its own accesses, and the answers to them", {
    code = "mov $3, %ecx\n1: mov (%rbx), %eax\n add %ecx, %eax\n mov %eax, 4(%rbx)\n"
        .. "out %al, $0x80\n dec %ecx\n jnz 1b\n hlt",
    cpus = { { rbx = board.DEVICE }, { rbx = board.DEVICE + 0x1000 } },
    trace = (function()
        local traces = {}
        for i = 1, 2 do
            local at, trace = board.DEVICE + 0x1000 * (i - 1), {}
            for round = 3, 1, -1 do
                local value = 16 * i + round
                trace[#trace + 1] = { "mmio", addr = at, size = 4, write = false,
                    answer = value, regs = { rcx = round } }
                trace[#trace + 1] = { "mmio", addr = at + 4, write = true,
                    value = value + round }
                trace[#trace + 1] = { "io", port = 0x80, value = value + round }
            end
            trace[#trace + 1] = DONE
            traces[i] = trace
        end
        return traces
    end)(),
})

case("each has its own stack, tables and exceptions", {
    code = "push %rcx\n ud2",
    cpus = { { rcx = 1, sp = 0x8000 }, { rcx = 2, sp = 0x7e00 }, { rcx = 3, sp = 0x7c00,
        idtr = { base = board.IDT + 16, limit = 0x200 } } },
    trace = {
        { taken(6, { 0x1001, 8, [4] = 0x8000 - 8 }) },
        { taken(6, { 0x1001, 8, [4] = 0x7e00 - 8 }) },
        { taken(7, { 0x1001, 8, [4] = 0x7c00 - 8 }) },
    },
})

case("each has its own mode", {
    asm = 64,
    code = "mov $-1, %rax\n hlt",
    more = { [0x3800] = ".code32\n mov $0x10000, %eax\n dec %eax\n push %eax\n hlt" },
    cpus = { {}, { pc = 0x3800, sp = 0x7e00, cr0 = board.CR0, cr4 = 0, efer = 0,
        cs = board.data { selector = 8, type = 11 } } },
    trace = { { { "halt", regs = { rax = -1 } } }, { { "halt", regs = { rax = 0xffff,
        rsp = 0x7dfc } } } },
})

case("each has its own breakpoint", {
    code = "nop\n nop\n nop\n hlt",
    cpus = { {}, {} },
    trace = {
        { { "break", regs = { pc = 0x1001 }, host = function(_, cpu)
            cpu:breakpoint(0x1001)
        end }, DONE },
        { { "break", regs = { pc = 0x1002 }, host = function(_, cpu)
            cpu:breakpoint(0x1002)
        end }, DONE },
    },
})

case("one is interrupted, the other is not", {
    code = "1: inc %eax\n cmp $1000, %eax\n jne 1b\n hlt",
    cpus = { { rflags = 0x202, sp = 0x8000 }, { rflags = 0x202, sp = 0x7e00 } },
    trace = { { { "io", port = 0x30, host = function(_, cpu)
        cpu:inject { vector = 0x30 }
    end }, DONE }, { DONE } },
})

case("one is in ring 3, the other in ring 0", {
    code = "inc %eax\n ud2",
    cpus = { board.user(64), {} },
    trace = { { taken(6, { 0x1002, board.SELECTOR.user_code }, { rax = 1 }) },
        { taken(6, { 0x1002, 8 }, { rax = 1 }) } },
})
