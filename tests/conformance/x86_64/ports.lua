-- SPDX-License-Identifier: MIT
-- Ports: IN and OUT of every size, the string forms with every address size and
-- direction, and who may use them.
local case, board = ...

local DATA = board.DATA
local DONE = { "halt" }
local OLD = 0x1122334455667788

local function read(port, size, answer, regs)
    return { "io", port = port, size = size, write = false, answer = answer, regs = regs }
end

local function write(port, size, value, regs)
    return { "io", port = port, size = size, write = true, value = value, regs = regs }
end

-- One instruction, and HLT; rdx is a port.
local function one(name, instruction, access, regs, after)
    local all = { rax = OLD, rdx = 0xabcd0345 }
    for reg, value in pairs(regs or {}) do
        all[reg] = value
    end
    case(name, { code = instruction .. "\n hlt", regs = all, trace = { access, DONE },
        after = after })
end

-- ---- reads --------------------------------------------------------------

one("in al keeps the rest of rax", "in $0x80, %al", read(0x80, 1, 0xff, { pc = 0x1002 }), nil,
    { rax = 0x11223344556677ff })
one("in ax keeps the rest of rax", "in $0x80, %ax", read(0x80, 2, 0xfedc, { pc = 0x1003 }), nil,
    { rax = 0x112233445566fedc })
one("in eax clears the upper half", "in $0x80, %eax", read(0x80, 4, 0x80000001), nil,
    { rax = 0x80000001 })
one("in al from dx", "in %dx, %al", read(0x345, 1, 0, { pc = 0x1001 }), nil,
    { rax = 0x1122334455667700 })
one("in ax from dx", "in %dx, %ax", read(0x345, 2, 0x0102), nil, { rax = 0x1122334455660102 })
one("in eax from dx", "in %dx, %eax", read(0x345, 4, 0x7fffffff), nil, { rax = 0x7fffffff })
one("in with rex.w has 32 bits", ".byte 0x48\n in %dx, %eax", read(0x345, 4, -1,
    { pc = 0x1002 }), nil, { rax = 0xffffffff })
one("an answer is cut to the size of the port", "in %dx, %al", read(0x345, 1, 0x1234), nil,
    { rax = 0x1122334455667734 })
one("a port that nobody answers is all ones", "in %dx, %ax", read(0x345, 2), nil,
    { rax = 0x112233445566ffff })
one("a doubleword that nobody answers is all ones", "in %dx, %eax", read(0x345, 4), nil,
    { rax = 0xffffffff })
one("a port number is all of dx", "in %dx, %al", read(0xffff, 1, 1), { rdx = 0x1ffff },
    { rax = 0x1122334455667701, rdx = 0x1ffff })
one("an immediate port is not sign-extended", "in $0xff, %al", read(0xff, 1, 2), nil,
    { rax = 0x1122334455667702 })

-- ---- writes -------------------------------------------------------------

one("out al", "out %al, $0x80", write(0x80, 1, 0x88, { pc = 0x1002 }))
one("out ax", "out %ax, $0x81", write(0x81, 2, 0x7788, { pc = 0x1003 }))
one("out eax", "out %eax, $0xff", write(0xff, 4, 0x55667788, { pc = 0x1002 }))
one("out al to dx", "out %al, %dx", write(0x345, 1, 0x88, { pc = 0x1001 }))
one("out ax to dx", "out %ax, %dx", write(0x345, 2, 0x7788, { pc = 0x1002 }))
one("out eax to dx", "out %eax, %dx", write(0x345, 4, 0x55667788, { pc = 0x1001, rax = OLD }))

case("a read and writes, one after the other", {
    code = [[
        mov   $3, %ecx
again:  in    $0x80, %al
        inc   %al
        out   %al, $0x81
        loop  again
        hlt
    ]],
    trace = { read(0x80, 1, 10, { rcx = 3 }), write(0x81, 1, 11, { rcx = 3 }),
        read(0x80, 1, 20, { rcx = 2 }), write(0x81, 1, 21, { rcx = 2 }),
        read(0x80, 1, 0xff, { rcx = 1 }), write(0x81, 1, 0, { rcx = 1 }), DONE },
    after = { rcx = 0 },
})

case("flags are untouched by a port", {
    code = "xor %eax, %eax\n sub $1, %eax\n in $0x80, %al\n out %al, $0x80\n pushf\n hlt",
    trace = { read(0x80, 1, 0), write(0x80, 1, 0, { rflags = 0x97 }), DONE },
    memory = { [board.STACK - 8] = 0x97 },
})

case("real mode: an operand of 32 bits by prefix", {
    bits = 16,
    code = "mov $0x345, %dx\n mov $0x12345678, %eax\n out %eax, %dx\n in %dx, %eax\n"
        .. "in %dx, %ax\n hlt",
    trace = { write(0x345, 4, 0x12345678), read(0x345, 4, 0x87654321),
        read(0x345, 2, 0xcccc), DONE },
    after = { rax = 0x8765cccc },
})

case("protected mode: ports of every size", {
    bits = 32,
    code = "in %dx, %al\n in %dx, %ax\n in %dx, %eax\n out %al, %dx\n out %ax, %dx\n"
        .. "out %eax, %dx\n hlt",
    regs = { rdx = 0x345 },
    trace = { read(0x345, 1, 1), read(0x345, 2, 2),
        read(0x345, 4, 0xa0b0c0d0), write(0x345, 1, 0xd0),
        write(0x345, 2, 0xc0d0), write(0x345, 4, 0xa0b0c0d0), DONE },
})

-- ---- strings: what they store -------------------------------------------

local function string(name, own)
    local all = { rdx = 0x345, rsi = DATA, rdi = DATA }
    for reg, value in pairs(own.regs or {}) do
        all[reg] = value
    end
    own.code, own.regs = own.code .. "\n hlt", all
    own.trace[#own.trace + 1] = DONE
    case("strings: " .. name, own)
end

string("insb", { code = "insb", trace = { read(0x345, 1, 0xab, { pc = 0x1001 }) },
    after = { rdi = DATA + 1, rsi = DATA }, memory = { [DATA] = 0xab } })
string("insw", { code = "insw", trace = { read(0x345, 2, 0xabcd) },
    after = { rdi = DATA + 2 }, memory = { [DATA] = 0xabcd } })
string("insl", { code = "insl", trace = { read(0x345, 4, 0xabcdef01) },
    after = { rdi = DATA + 4 }, memory = { [DATA] = 0xabcdef01 } })
string("an ins that nobody answers stores all ones", { code = "insw",
    trace = { read(0x345, 2) }, memory = { [DATA] = 0xffff } })
string("outsb", { code = "outsb", words = { [DATA] = OLD }, after = { rsi = DATA + 1 },
    trace = { write(0x345, 1, 0x88, { pc = 0x1001, rsi = DATA + 1 }) } })
string("outsw", { code = "outsw", words = { [DATA] = OLD }, after = { rsi = DATA + 2 },
    trace = { write(0x345, 2, 0x7788) } })
string("outsl", { code = "outsl", words = { [DATA] = OLD },
    after = { rsi = DATA + 4, rdi = DATA }, trace = { write(0x345, 4, 0x55667788) } })
string("backwards, where the flag says so", { code = "std\n insw\n outsb", words = {
        [DATA] = OLD },
    trace = { read(0x345, 2, 0xabcd, { rdi = DATA + 2 }), write(0x345, 1, 0x88) },
    regs = { rdi = DATA + 4 },
    after = { rdi = DATA + 2, rsi = DATA - 1 },
    memory = { [DATA] = 0x1122abcd55667788 } })
string("outs takes another segment, ins does not", { code = "outsb %fs:(%rsi), %dx\n"
        .. ".byte 0x64\n insb",
    regs = { fs = board.data { base = 0x100 } }, words = { [DATA + 0x100] = 0x77, [DATA] = 0x66 },
    trace = { write(0x345, 1, 0x77), read(0x345, 1, 0x55) },
    memory = { [DATA] = 0x55, [DATA + 0x100] = 0x77 } })

-- ---- strings: several elements ------------------------------------------

string("rep insb", { code = "rep insb", regs = { rcx = 3 },
    trace = { read(0x345, 1, 1), read(0x345, 1, 2), read(0x345, 1, 3) },
    after = { rcx = 0, rdi = DATA + 3 }, memory = { [DATA] = 0x030201 } })
string("rep insl", { code = "rep insl", regs = { rcx = 2 },
    trace = { read(0x345, 4, 0x11111111), read(0x345, 4, 0x22222222) },
    after = { rcx = 0, rdi = DATA + 8 }, memory = { [DATA] = 0x2222222211111111 } })
string("rep outsb tells where it is at", { code = "rep outsb", regs = { rcx = 3 },
    words = { [DATA] = OLD }, after = { rcx = 0, rsi = DATA + 3 },
    trace = { write(0x345, 1, 0x88, { rcx = 2, rsi = DATA + 1 }),
        write(0x345, 1, 0x77, { rcx = 1, rsi = DATA + 2 }),
        write(0x345, 1, 0x66, { rcx = 0, rsi = DATA + 3, pc = 0x1002 }) } })
string("rep outsw", { code = "rep outsw", regs = { rcx = 2 }, words = { [DATA] = OLD },
    trace = { write(0x345, 2, 0x7788), write(0x345, 2, 0x5566) },
    after = { rsi = DATA + 4 } })
string("rep of none accesses nothing", { code = "rep insb\n rep outsl", trace = {},
    after = { rdi = DATA, rsi = DATA, rcx = 0 } })
string("rep backwards", { code = "std\n rep outsl", regs = { rcx = 2, rsi = DATA + 4 },
    words = { [DATA] = OLD },
    trace = { write(0x345, 4, 0x11223344), write(0x345, 4, 0x55667788) },
    after = { rsi = DATA - 4 } })
string("addresses of 32 bits: counters and indexes too", { code = "rep outsb (%esi), %dx",
    regs = { rcx = 0x700000002, rsi = 0x900000000 + DATA }, words = { [DATA] = 0x2211 },
    trace = { write(0x345, 1, 0x11), write(0x345, 1, 0x22) },
    after = { rcx = 0, rsi = DATA + 2 } })
string("a page's end in the midst", { code = "rep insw", regs = { rcx = 2,
        rdi = DATA + 0xffd },
    trace = { read(0x345, 2, 0x2211), read(0x345, 2, 0x4433) },
    after = { rdi = DATA + 0x1001 },
    memory = { [DATA + 0xff8] = 0x3322110000000000, [DATA + 0x1000] = 0x44 } })

case("real mode: rep ins into es, with di around its end", {
    bits = 16,
    code = "mov $0x3000, %ax\n mov %ax, %es\n mov $0xfffe, %di\n mov $3, %cx\n"
        .. "mov $0x345, %dx\n rep insw\n hlt",
    trace = { read(0x345, 2, 0x1111), read(0x345, 2, 0x2222), read(0x345, 2, 0x3333), DONE },
    after = { rdi = 4, rcx = 0 },
    memory = { [0x3fff8] = 0x1111000000000000, [0x30000] = 0x33332222 },
})

case("real mode: rep outs counts cx, not ecx", {
    bits = 16,
    code = "rep outsb\n hlt",
    regs = { rcx = 0x50002, rdx = 0x345, rsi = 0x70000 + DATA },
    words = { [DATA] = 0x2211 },
    trace = { write(0x345, 1, 0x11), write(0x345, 1, 0x22), DONE },
    after = { rcx = 0x50000, rsi = 0x70000 + DATA + 2 },
})

case("from a port to a device", {
    code = "insl\n hlt",
    regs = { rdx = 0x345, rdi = board.DEVICE + 4 },
    trace = { read(0x345, 4, 0x12345678), { "mmio", addr = board.DEVICE + 4, size = 4,
        write = true, value = 0x12345678 }, DONE },
    after = { rdi = board.DEVICE + 8 },
})

case("from a device to a port", {
    code = "outsw\n hlt",
    regs = { rdx = 0x345, rsi = board.DEVICE + 4 },
    trace = { { "mmio", addr = board.DEVICE + 4, size = 2, write = false, answer = 0x4321 },
        write(0x345, 2, 0x4321), DONE },
    after = { rsi = board.DEVICE + 6 },
})

-- ---- who may ------------------------------------------------------------

local GP = 13

case("ring 3 may not, and the port is not read", {
    code = "in $0x80, %al",
    regs = board.user(64, { rax = OLD }),
    trace = { board.taken(GP, { 0, 0x1000, 0x1b, [5] = board.USER_STACK, [6] = 0x23 },
        { rax = OLD }) },
})

case("ring 3 may, where IOPL is 3", {
    code = "in $0x80, %al\n out %al, $0x81\n cli",
    regs = board.user(64, { rflags = 0x3002 }),
    trace = { read(0x80, 1, 5), write(0x81, 1, 5), board.taken(6) },
    more = { [0x1004] = "ud2" },
})

-- The map says no to ports 0x80-0x87 and 0x8a, and yes to 0x88, 0x89 and 0x8b.
local MAP = { [board.TASK + 0x70] = 0, [board.TASK + 0x78] = 0xff04ff }

local function mapped(name, instruction, access)
    local regs = board.user(64, { rax = OLD, rdx = 0x88 })
    regs.tr = { base = board.TASK, limit = 0x7a, selector = board.SELECTOR.task, type = 11,
        s = 0, dpl = 0, present = 1, avl = 0, l = 0, db = 0, g = 0 }
    case("the map of ports: " .. name, { code = instruction .. "\n ud2", regs = regs,
        words = MAP, trace = { access, access.port ~= GP and board.taken(6) or nil } })
end

mapped("a byte", "out %al, %dx", write(0x88, 1, 0x88))
mapped("a word", "out %ax, %dx", write(0x88, 2, 0x7788))
mapped("a doubleword of which one byte is not allowed", "out %eax, %dx",
    board.taken(GP, { 0, 0x1000 }))
mapped("a byte that is not allowed", "in $0x87, %al", board.taken(GP, { 0, 0x1000 },
    { rax = OLD }))
mapped("beyond its end", "mov $0x3f8, %dx\n in %dx, %al", board.taken(GP, { 0, 0x1004 }))
mapped("a string that is not allowed", "mov $0x80, %dl\n outsb", board.taken(GP, { 0, 0x1002 }))
