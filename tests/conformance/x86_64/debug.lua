-- SPDX-License-Identifier: MIT
-- One instruction at a time, breakpoints, watchpoints, INT3 for the host; and what a
-- guest does with debug exceptions of its own.
local case, board = ...

local DEVICE, DATA, taken = board.DEVICE, board.DATA, board.taken
local DONE = { "halt" }
local DB, BP, UD = 1, 3, 6

local function step(regs, fields)
    local row = { "step", by = "step", regs = regs }
    for name, value in pairs(fields or {}) do
        row[name] = value
    end
    return row
end

-- ---- steps --------------------------------------------------------------

for _, bits in ipairs { 16, 32, 64 } do
    case(("steps in %d bits"):format(bits), {
        bits = bits,
        code = "inc %eax\n cmp $1, %al\n nop\n hlt",
        trace = bits == 64 and {
            step { pc = 0x1002, rax = 1, rflags = 2 }, step { pc = 0x1004, rflags = 0x46 },
            step { pc = 0x1005 }, DONE,
        } or bits == 32 and {
            step { pc = 0x1001, rax = 1, rflags = 2 }, step { pc = 0x1003, rflags = 0x46 },
            step { pc = 0x1004 }, DONE,
        } or {
            step { pc = 0x1002, rax = 1, rflags = 2 }, step { pc = 0x1004, rflags = 0x46 },
            step { pc = 0x1005 }, DONE,
        },
    })
end

case("a step over a branch, taken and not taken, a call and its return", {
    code = "jmp 1f\n nop\n1: jnz 2f\n nop\n2: jz 3f\n call 4f\n3: hlt\n4: ret",
    regs = { rflags = 2 },
    trace = { step { pc = 0x1003 }, step { pc = 0x1006 }, step { pc = 0x1008 },
        step { pc = 0x100e, rsp = board.STACK - 8 }, step { pc = 0x100d, rsp = board.STACK },
        DONE },
})

case("a step over out, in and a hypercall", {
    code = "out %al, $0x80\n in $0x80, %al\n out %al, $0xe8\n nop\n hlt",
    regs = { rax = 9 },
    trace = {
        { "io", by = "step", port = 0x80, value = 9, regs = { pc = 0x1002 } },
        { "io", by = "step", port = 0x80, write = false, answer = 7, regs = { pc = 0x1004 } },
        { "hvc", by = "step", nr = 7, regs = { pc = 0x1006 } },
        step { pc = 0x1007 },
        DONE,
    },
})

case("a step over hlt is its exit", {
    code = "hlt\n nop\n hlt",
    trace = { { "halt", by = "step", regs = { pc = 0x1001 } }, step { pc = 0x1002 }, DONE },
})

case("a step over a read of a device is the access, and the next step goes on", {
    code = "mov (%rbx), %eax\n inc %eax\n hlt",
    regs = { rbx = DEVICE },
    trace = { { "mmio", by = "step", addr = DEVICE, write = false, answer = 6,
        regs = { pc = 0x1002 } }, step { pc = 0x1004, rax = 7 }, DONE },
})

case("a step over a read and a write is both", {
    code = "incl (%rbx)\n nop\n hlt",
    regs = { rbx = DEVICE },
    trace = {
        { "mmio", by = "step", addr = DEVICE, write = false, answer = 6 },
        { "mmio", by = "step", addr = DEVICE, write = true, value = 7, regs = { pc = 0x1002 } },
        step { pc = 0x1003 },
        DONE,
    },
})

case("a step over a string is one element", {
    code = "rep movsb\n hlt",
    regs = { rsi = DATA, rdi = DATA + 0x100, rcx = 2 },
    words = { [DATA] = 0x2211 },
    trace = { step { pc = 0x1000, rcx = 1, rsi = DATA + 1 },
        step { pc = 0x1002, rcx = 0, rdi = DATA + 0x102 }, DONE },
    memory = { [DATA + 0x100] = 0x2211 },
})

case("a step into an exception stops at the handler", {
    code = "ud2",
    trace = { step { pc = board.handler(UD), rsp = board.STACK - 40, rflags = 2 },
        { "io", by = "step", port = UD, stack = { 0x1000, 8, 0x10002 } } },
})

case("a step into a page fault stops at the handler", {
    code = "mov (%rbx), %eax",
    regs = { rbx = 0x20008 },
    pages = { [0x20000] = 0 },
    trace = { step { pc = board.handler(14), cr2 = 0x20008, rsp = board.STACK - 48 } },
})

case("a step into int n, and out of its handler", {
    code = "int $0x21\n nop\n hlt",
    trace = { step { pc = board.handler(0x21), rsp = board.STACK - 40 },
        { "io", by = "step", port = 0x21, stack = { 0x1002, 8, 2 } },
        step { pc = 0x1002, rsp = board.STACK, rflags = 2 }, step { pc = 0x1003 }, DONE },
})

case("a step in ring 3", {
    code = "inc %eax\n ud2",
    regs = board.user(64),
    trace = { step { pc = 0x1002, rax = 1 }, taken(UD, { 0x1002 }) },
})

case("a step into an exception of ring 3", {
    code = "ud2",
    regs = board.user(64),
    trace = { step { pc = board.handler(UD), rsp = board.INNER_STACK - 40 } },
})

case("the guest does not see that it is stepped", {
    code = "pushf\n pop %rax\n hlt",
    trace = { step { rsp = board.STACK - 8 }, step { rax = 2 }, DONE },
    after = { dr6 = 0xffff0ff0 },
})

-- ---- breakpoints --------------------------------------------------------

local function breakpoint(at, on)
    return function(_, cpu)
        cpu:breakpoint(at, on)
    end
end

case("a breakpoint stops before its instruction, each time it is reached", {
    code = "again: inc %eax\n cmp $3, %eax\n jne again\n hlt",
    trace = {
        { "break", host = breakpoint(0x1002), regs = { pc = 0x1002, rax = 1, rflags = 2 } },
        { "break", regs = { pc = 0x1002, rax = 2 } }, { "break", regs = { rax = 3 } },
        DONE,
    },
})

case("a breakpoint on the first instruction", {
    code = "inc %eax\n hlt",
    trace = { { "break", host = breakpoint(0x1000), regs = { pc = 0x1000, rax = 0 } }, DONE },
    after = { rax = 1 },
})

case("a breakpoint that is taken away", {
    code = "again: inc %eax\n out %al, $0x80\n jmp again",
    trace = {
        { "break", host = breakpoint(0x1000), regs = { rax = 0 } }, { "io", value = 1 },
        { "break", regs = { rax = 1 } }, { "io", value = 2, host = breakpoint(0x1000, true) },
        { "io", value = 3, host = breakpoint(0x1000, false) },
    },
})

case("four breakpoints, in any order", {
    code = "nop\n nop\n nop\n nop\n nop\n hlt",
    trace = {
        { "break", regs = { pc = 0x1001 }, host = function(_, cpu)
            for _, at in ipairs { 0x1003, 0x1001, 0x1004, 0x1002 } do
                cpu:breakpoint(at)
            end
        end },
        { "break", regs = { pc = 0x1002 } }, { "break", regs = { pc = 0x1003 } },
        { "break", regs = { pc = 0x1004 } }, DONE,
    },
})

case("a breakpoint in a handler", {
    code = "ud2",
    trace = { { "break", host = breakpoint(board.handler(UD)), regs = {
        pc = board.handler(UD), rsp = board.STACK - 40 } }, taken(UD, { 0x1000 }) },
})

case("a breakpoint in ring 3", {
    code = "inc %eax\n ud2",
    regs = board.user(64),
    trace = { { "break", host = breakpoint(0x1002), regs = { pc = 0x1002, rax = 1 } },
        taken(UD, { 0x1002 }) },
})

case("a breakpoint has a virtual address", {
    code = "jmp *%rbx",
    regs = { rbx = 0x20000 },
    pages = { [0x20000] = 0x30000 | board.PAGE_0 },
    more = { [0x30000] = "inc %eax\n hlt" },
    trace = { { "break", regs = { pc = 0x20002, rax = 1 }, host = function(_, cpu)
        cpu:breakpoint(0x20002)
        cpu:breakpoint(0x30000)
    end }, DONE },
})

case("real mode: a breakpoint has a linear address", {
    bits = 16,
    code = "ljmp $0x200, $0x10",
    more = { [0x2010] = "inc %ax\n hlt" },
    trace = { { "break", host = breakpoint(0x2011), regs = { pc = 0x11, rax = 1 } }, DONE },
})

for _, on in ipairs {
    { "an out", "out %al, $0x80", { "io", port = 0x80, write = true } },
    { "an in", "in $0x80, %al", { "io", port = 0x80, write = false, answer = 1 } },
    { "a hypercall", "out %al, $0xe8", { "hvc", nr = 0 } },
    { "a read of a device", "mov (%rbx), %eax", { "mmio", addr = DEVICE, answer = 1 } },
    { "an exception", "ud2", taken(UD, { 0x1000 }) },
    { "hlt", "hlt", { "halt", regs = { pc = 0x1001 } } },
} do
    case(("a breakpoint on %s, and then that"):format(on[1]), {
        code = on[2],
        regs = { rbx = DEVICE },
        trace = { { "break", host = breakpoint(0x1000), regs = { pc = 0x1000 } }, on[3] },
    })
end

case("steps from a breakpoint", {
    code = "inc %eax\n inc %eax\n inc %eax\n hlt",
    trace = { { "break", host = breakpoint(0x1002), regs = { rax = 1 } },
        step { pc = 0x1004, rax = 2 }, step { pc = 0x1006, rax = 3 }, DONE },
})

case("a step to a breakpoint, which then stops the run", {
    code = "inc %eax\n inc %eax\n hlt",
    trace = { step({ pc = 0x1002, rax = 1 }, { host = breakpoint(0x1002) }),
        { "break", regs = { pc = 0x1002, rax = 1 } }, DONE },
})

-- ---- watchpoints --------------------------------------------------------

local function watched(name, instruction, watch, row, own)
    row[1] = "watch"
    row.host = function(_, cpu) cpu:watchpoint(table.unpack(watch)) end
    row.regs = row.regs or { pc = 0x1002 }
    case("a watchpoint: " .. name, { code = instruction .. "\n hlt", regs = { rbx = DATA,
        rax = 0x1122334455667788 }, words = { [DATA] = 0x77 }, trace = { row, DONE },
        memory = own and own.memory, after = own and own.after })
end

watched("a store is made, and told after it", "mov %eax, (%rbx)", { DATA, 4, "w" },
    { addr = DATA, size = 4, write = true }, { memory = { [DATA] = 0x55667788 } })
watched("a load is made, and told after it", "mov (%rbx), %ecx", { DATA, 4, "rw" },
    { addr = DATA, size = 4 }, { after = { rcx = 0x77 } })
watched("a push", "mov %rbx, %rsp\n push %rax", { DATA - 8, 8, "w" },
    { addr = DATA - 8, size = 8, write = true, regs = { pc = 0x1004 } })

case("a watchpoint: what is not watched is not told", {
    code = "mov %al, 3(%rbx)\n mov %al, 5(%rbx)\n mov 4(%rbx), %ecx\n hlt",
    regs = { rbx = DATA },
    trace = { { "halt", host = function(_, cpu) cpu:watchpoint(DATA + 4, 1, "w") end } },
})

-- ---- int3 for the host --------------------------------------------------

case("int n of one byte, when the host asks for it, is not behind", {
    code = "nop\n int3\n hlt",
    regs = { trap_debug = true },
    trace = { { "brk", regs = { pc = 0x1001, rsp = board.STACK } }, { "brk" },
        { "halt", host = function(_, cpu) cpu.pc = 0x1002 end } },
})

case("int n of one byte is back in the hands of the guest", {
    code = "int3",
    regs = { trap_debug = true },
    trace = { { "brk" }, { "io", port = BP, stack = { 0x1001 },
        host = function(_, cpu) cpu.trap_debug = false end } },
})

-- ---- the guest's own ----------------------------------------------------

case("the guest steps itself", {
    code = "push $0x102\n popf\n nop\n nop",
    trace = { taken(DB, { 0x1007, 8, 0x102 }, { dr6 = 0xffff4ff0, rflags = 2 }) },
})

case("the guest steps its ring 3", {
    code = "inc %eax\n inc %eax",
    regs = board.user(64, { rflags = 0x102 }),
    trace = { taken(DB, { 0x1002, board.SELECTOR.user_code, 0x102 }, { rax = 1 }) },
})

case("the guest's own breakpoint is a fault", {
    code = "mov %rbx, %dr0\n mov $0x403, %ecx\n mov %rcx, %dr7\n nop\n inc %eax\n hlt",
    regs = { rbx = 0x100c },
    trace = { taken(DB, { 0x100c, 8, 2 }, { dr6 = 0xffff0ff1, rax = 0 }) },
})

case("the guest's own watchpoint is a trap", {
    code = "mov %rbx, %dr1\n mov $0xd0040c, %ecx\n mov %rcx, %dr7\n mov %eax, (%rbx)\n hlt",
    regs = { rbx = DATA },
    trace = { taken(DB, { 0x100d }, { dr6 = 0xffff0ff2 }) },
})

case("debug registers are read and written, with the bits that are fixed", {
    code = [[
        mov   %rbx, %dr3
        mov   %dr3, %rax
        xor   %ecx, %ecx
        mov   %rcx, %dr6
        mov   %rcx, %dr7
        mov   %dr6, %rsi
        mov   %dr7, %rdi
        hlt
    ]],
    regs = { rbx = 0x123456789a },
    trace = { DONE },
    after = { rax = 0x123456789a, rsi = 0xffff0ff0, rdi = 0x400, dr3 = 0x123456789a },
})

case("dr4 is dr6, unless cr4 says there is none", {
    code = "mov %rax, %dr6\n mov %dr4, %rbx\n mov %rcx, %cr4\n mov %dr4, %rbx",
    regs = { rax = 1, rcx = board.CR4_PAE | 8 },
    trace = { taken(UD, { 0x1009 }, { rbx = 0xffff0ff1 }) },
})

case("ring 3 has no debug registers", {
    code = "mov %rax, %dr0",
    regs = board.user(64),
    trace = { taken(13, { 0, 0x1000 }) },
})

case("a debug register of 64 bits that has 32", {
    code = "mov %rax, %dr7",
    regs = { rax = 1 << 32 },
    trace = { taken(13, { 0, 0x1000 }) },
})
