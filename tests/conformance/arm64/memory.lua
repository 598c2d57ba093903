-- SPDX-License-Identifier: MIT
-- Guest memory that comes, goes and changes its rights while the guest stands still.
local case, board = ...

local AT, PAGE = 0x300000, board.PAGE
local DONE = { "hvc", imm = 0 }

local function page(vm)
    return vm:map { at = AT, size = PAGE }
end

-- ---- coming and going ----------------------------------------------------------

case("memory that comes after it was missed", {
    code = "ldr x2, [x1]\n ldr x3, [x1]\n hvc #0",
    regs = { x1 = AT },
    trace = {
        { "mmio", addr = AT, size = 8, write = false, answer = 1 },
        { "hvc", imm = 0, host = function(vm) page(vm) vm:u64(AT, 2) end },
    },
    after = { x2 = 1, x3 = 2 },
})

case("memory that goes after it was used", {
    code = "ldr x2, [x1]\n hvc #1\n ldr x3, [x1]\n str x3, [x1]\n hvc #0",
    regs = { x1 = AT },
    map = { { at = AT, size = PAGE } },
    words = { [AT] = 7 },
    trace = {
        { "hvc", imm = 1, regs = { x2 = 7 } },
        { "mmio", addr = AT, write = false, answer = 8, host = function(vm) vm:unmap(AT) end },
        { "mmio", addr = AT, write = true, value = 8 },
        DONE,
    },
    after = { x3 = 8 },
})

case("other memory in the same place", {
    code = "ldr x2, [x1]\n hvc #1\n ldr x3, [x1]\n hvc #0",
    regs = { x1 = AT },
    map = { { at = AT, size = PAGE } },
    words = { [AT] = 1 },
    trace = { { "hvc", imm = 1 }, { "hvc", imm = 0, host = function(vm)
        vm:unmap(AT)
        page(vm)
        vm:u64(AT, 2)
    end } },
    after = { x2 = 1, x3 = 2 },
})

case("other code in the same place", {
    code = "blr x1\n hvc #1\n blr x1\n hvc #0",
    regs = { x1 = AT },
    map = { { at = AT, size = PAGE } },
    more = { [AT] = "mov x2, #1\n ret" },
    trace = { { "hvc", imm = 1, regs = { x2 = 1 } }, { "hvc", imm = 0, regs = { x2 = 2 },
        host = function(vm)
            vm:unmap(AT)
            page(vm)
            vm:u32(AT, 0xd2800042)     -- mov x2, #2
            vm:u32(AT + 4, 0xd65f03c0) -- ret
        end } },
})

case("code that goes is a fault, and runs once it is back", {
    code = "br x1",
    regs = { x1 = AT },
    map = { { at = AT, size = PAGE } },
    more = { [AT] = "hvc #1\n mov x2, #1\n hvc #0" },
    trace = {
        { "hvc", imm = 1 },
        { "fault", addr = AT + 4, ec = 0x20, host = function(vm) vm:unmap(AT) end,
            regs = { pc = AT + 4 } },
        { "hvc", imm = 5, regs = { pc = AT + 8 }, host = function(vm)
            page(vm)
            vm:u32(AT + 4, 0xd40000a2) -- hvc #5
        end },
    },
})

case("an access over the edge of two ranges", {
    code = "ldr x2, [x1]\n stp x2, x2, [x3]\n hvc #0",
    regs = board.mmu { x1 = AT + PAGE - 4, x3 = AT + PAGE - 8 },
    map = { { at = AT, size = PAGE }, { at = AT + PAGE, size = PAGE } },
    tables = { [board.TABLES + 0x1008] = 0x200000 | board.BLOCK_EL1 },
    words = { [AT + PAGE - 8] = 0x1111111122222222, [AT + PAGE] = 0x3333333344444444 },
    trace = { DONE },
    memory = { [AT + PAGE - 8] = 0x4444444411111111, [AT + PAGE] = 0x4444444411111111 },
})

-- ---- rights ----------------------------------------------------------------------

case("a store to read-only memory leaves the guest, and changes nothing", {
    code = "ldr x2, [x1]\n str x3, [x1], #8\n ldr x4, [x1, #-8]\n hvc #0",
    regs = { x1 = AT, x3 = 9 },
    map = { { at = AT, size = PAGE, prot = "r" } },
    words = { [AT] = 5 },
    trace = { { "mmio", addr = AT, size = 8, write = true, value = 9,
        regs = { x1 = AT + 8, x2 = 5, pc = 0x1008 } }, DONE },
    after = { x4 = 5 },
    memory = { [AT] = 5 },
})

case("a store half into read-only memory", {
    code = "stp x2, x3, [x1]\n hvc #0",
    regs = { x1 = AT + PAGE - 8, x2 = 1, x3 = 2 },
    map = { { at = AT, size = PAGE }, { at = AT + PAGE, size = PAGE, prot = "r" } },
    trace = { { "mmio", addr = AT + PAGE, size = 8, write = true, value = 2 }, DONE },
    memory = { [AT + PAGE - 8] = 1, [AT + PAGE] = 0 },
})

case("the right to write, taken away and given back", {
    code = "again: add x2, x2, #1\n str x2, [x1]\n hvc #1\n b again",
    regs = { x1 = AT },
    map = { { at = AT, size = PAGE } },
    trace = {
        { "hvc", imm = 1 },
        { "mmio", addr = AT, write = true, value = 2, host = function(vm) vm:protect(AT, "r") end },
        { "hvc", imm = 1 },
        { "hvc", imm = 1, host = function(vm) vm:protect(AT, "rw") end },
    },
    memory = { [AT] = 3 },
})

case("memory that is not executable, and then is", {
    code = "br x1",
    regs = { x1 = AT },
    map = { { at = AT, size = PAGE, prot = "rw" } },
    more = { [AT] = "hvc #3" },
    trace = {
        { "fault", addr = AT, ec = 0x20, pa = AT, regs = { pc = AT } },
        { "hvc", imm = 3, host = function(vm) vm:protect(AT, "rx") end },
    },
})

case("memory that is no longer executable", {
    code = "br x1",
    regs = { x1 = AT },
    map = { { at = AT, size = PAGE } },
    more = { [AT] = "hvc #3\n hvc #4" },
    trace = {
        { "hvc", imm = 3 },
        { "fault", addr = AT + 4, regs = { pc = AT + 4 },
            host = function(vm) vm:protect(AT, "rw") end },
    },
})

case("an exclusive store to read-only memory is a fault", {
    code = "ldxr x2, [x1]\n stxr w3, x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x20000 },
    map = { { at = AT, size = PAGE, prot = "r" } },
    pages = { [0x20000] = AT | board.PAGE_EL1 },
    trace = { { "fault", addr = AT, ec = 0x24, va = 0x20000, regs = { pc = 0x1004 } } },
})

case("page tables in read-only memory", {
    code = "ldr x2, [x1]\n hvc #0",
    regs = board.mmu { x1 = 0x404008 },
    map = { { at = AT, size = PAGE, prot = "r" } },
    tables = { [board.TABLES + 0x1010] = AT | 3 },
    words = { [AT + 8 * 4] = 0x4000 | board.PAGE_EL1, [0x4008] = 0x66 },
    trace = { DONE },
    after = { x2 = 0x66 },
})

-- ---- what the host writes ------------------------------------------------------------

case("what the host writes is what the guest reads, and the other way round", {
    code = "again: ldr x2, [x1]\n add x2, x2, #1\n str x2, [x1]\n hvc #1\n b again",
    regs = { x1 = board.DATA },
    trace = {
        { "hvc", imm = 1, regs = { x2 = 1 } },
        { "hvc", imm = 1, host = function(vm) vm:u64(board.DATA, 100) end,
            regs = { x2 = 101 } },
    },
    memory = { [board.DATA] = 101 },
})

case("code that the host writes is what is executed", {
    code = "again: mov x2, #1\n hvc #1\n b again",
    trace = {
        { "hvc", imm = 1, regs = { x2 = 1 } },
        { "hvc", imm = 1, host = function(vm) vm:u32(0x1000, 0xd2800062) end, regs = { x2 = 3 } },
        { "hvc", imm = 1, host = function(vm) vm:u32(0x1000, 0xd2800082) end, regs = { x2 = 4 } },
    },
})

case("code that the guest writes, and makes known", {
    code = [[
        adr   x1, 1f
        str   w3, [x1]
        dc    cvau, x1
        dsb   ish
        ic    ivau, x1
        dsb   ish
        isb
1:      mov   x2, #1
        hvc   #0
    ]],
    regs = { x3 = 0xd2800062 },
    trace = { DONE },
    after = { x2 = 3 },
})
