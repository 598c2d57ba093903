-- SPDX-License-Identifier: MIT
-- Interrupts from outside: when the guest lets them in, where they lead, and what they
-- find there.
local case, board = ...

local S, taken = board.SELECTOR, board.taken
local DONE = { "halt" }

local function inject(vector)
    return function(_, cpu) cpu:inject { vector = vector } end
end

local function with(row, fields)
    for name, value in pairs(fields) do
        row[name] = value
    end
    return row
end

for _, bits in ipairs { 16, 32, 64 } do
    local stack = { [16] = { 0x1000, 0, 0x202 }, [32] = { 0x1000, 8, 0x202 },
        [64] = { 0x1000, 8, 0x202, board.STACK, S.data } }
    case(("in %d bits, between two instructions"):format(bits), {
        bits = bits,
        code = "nop\n hlt",
        regs = { rflags = 0x202 },
        trace = { with(taken(0x30, stack[bits], { rflags = 2 }), { host = inject(0x30) }) },
    })
end

case("it comes once, and the guest goes on", {
    bits = 16,
    code = "inc %ax\n hlt\n inc %ax\n hlt",
    regs = { rflags = 0x202 },
    trace = { with(taken(0x30, nil, { rax = 0 }), { host = inject(0x30) }),
        { "halt", regs = { rax = 1, rflags = 0x202 } }, { "halt", regs = { rax = 2 } } },
})

case("it waits until interrupts are on, and one instruction longer", {
    code = "inc %eax\n sti\n inc %eax\n inc %eax\n hlt",
    trace = { with(taken(0x30, { 0x1005 }, { rax = 2 }), { host = inject(0x30) }) },
})

case("it waits through the handler of another", {
    code = "nop\n hlt",
    regs = { rflags = 0x202 },
    more = { [0x3800] = "inc %eax\n out %al, $0x80\n inc %eax\n iretq" },
    words = { [board.gate_at(64, 0x30)] = board.gate(0x3800) },
    trace = {
        { "io", port = 0x80, value = 1, host = inject(0x30) },
        with(taken(0x31, { 0x1000 }, { rax = 2 }), { host = inject(0x31) }),
    },
})

case("it waits for popf, and no longer", {
    code = "push $0x202\n popf\n inc %eax\n hlt",
    trace = { with(taken(0x30, { 0x1006 }, { rax = 0 }), { host = inject(0x30) }) },
})

case("it ends a halt", {
    code = "sti\n hlt\n inc %eax\n hlt",
    trace = { { "halt", regs = { pc = 0x1002 } },
        with(taken(0x30, { 0x1002 }, { rax = 0 }), { host = inject(0x30) }),
        DONE },
    after = { rax = 1 },
})

case("with interrupts off, a halt is a halt", {
    code = "hlt\n inc %eax\n hlt",
    trace = { { "halt", host = inject(0x30) }, { "halt", regs = { rax = 1 } } },
})

case("from ring 3", {
    code = "inc %eax\n jmp 0x1000",
    regs = board.user(64, { rflags = 0x202 }),
    trace = { with(taken(0x30, { 0x1000, S.user_code, [4] = board.USER_STACK, [5] = S.user_data },
        { rsp = board.INNER_STACK - 40 }), { host = inject(0x30) }) },
})

case("through a trap gate others may follow", {
    code = "nop\n hlt",
    regs = { rflags = 0x202 },
    words = { [board.gate_at(64, 0x30)] = board.gate(board.handler(0x30), { type = 15 }) },
    trace = { with(taken(0x30, { 0x1000 }, { rflags = 0x202 }), { host = inject(0x30) }),
        with(taken(0x31, { board.handler(0x30) + 2 }), { host = inject(0x31) }) },
})

case("with a stack of the interrupt stack table", {
    code = "nop\n hlt",
    regs = { rflags = 0x202 },
    words = { [board.gate_at(64, 0x30)] = board.gate(board.handler(0x30), { ist = 1 }) },
    trace = { with(taken(0x30, { 0x1000, [4] = board.STACK }, { rsp = board.IST - 40 }),
        { host = inject(0x30) }) },
})

case("a vector beyond the table is a fault from outside", {
    code = "nop\n hlt",
    regs = { rflags = 0x202 },
    trace = { with(taken(13, { 0x40 * 8 + 3, 0x1000 }), { host = inject(0x40) }) },
})

case("an interrupt of a vector that has an error code has none", {
    code = "nop\n hlt",
    regs = { rflags = 0x202 },
    trace = { with(taken(0x0d, { 0x1000, 8 }), { host = inject(0x0d) }) },
})

case("it comes between the elements of a string, or behind it", {
    code = "rep stosb\n hlt",
    regs = { rflags = 0x202, rdi = board.DEVICE, rcx = 3 },
    trace = { { "mmio", addr = board.DEVICE, write = true },
        { "mmio", addr = board.DEVICE + 1, write = true },
        { "mmio", addr = board.DEVICE + 2, write = true }, DONE },
    after = { rdi = board.DEVICE + 3, rcx = 0 },
})

case("behind an access that waits for its answer", {
    code = "mov (%rbx), %eax\n hlt",
    regs = { rflags = 0x202, rbx = board.DEVICE },
    trace = { { "mmio", addr = board.DEVICE, write = false, answer = 7 },
        with(taken(0x30, { 0x1002 }, { rax = 7 }), { host = inject(0x30) }), DONE },
})
