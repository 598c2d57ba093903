-- SPDX-License-Identifier: MIT
-- Page tables of all three kinds: what they map, what they forbid, what they are told;
-- and page faults, with their address and code.
local case, board = ...

local taken = board.taken
local DONE = { "halt" }
local PF = 14
local FAR = 0x20000 -- a page whose entry the case gives
local P, W, U, FETCH = 1, 2, 4, 16 -- of the error code

local function with(regs, more)
    for name, value in pairs(more or {}) do
        regs[name] = value
    end
    return regs
end

-- One access to FAR, by its entry, and the page fault of it.
local function fault(name, entry, instruction, code, regs, own)
    own = own or {}
    local all = with({ rbx = FAR + 8 }, regs)
    own.code, own.regs, own.pages = instruction, all, { [FAR] = entry }
    own.trace = { taken(PF, { code, 0x1000 }, { cr2 = FAR + 8, rbx = FAR + 8 }) }
    case("a fault: " .. name, own)
end

local NOT_THERE = FAR | board.PAGE_0 & ~1
local WP = { cr0 = board.CR0 | board.CR0_PG | board.CR0_WP }
local NX = { efer = board.EFER | board.EFER_NXE }

fault("a read of what is not present", NOT_THERE, "mov (%rbx), %eax", 0)
fault("a write of what is not present", NOT_THERE, "mov %eax, (%rbx)", W)
fault("a read and write in one", NOT_THERE, "incl (%rbx)", W)
fault("a write to a read-only page, where ring 0 minds", FAR | board.PAGE_0_RO,
    "mov %eax, (%rbx)", P | W, WP)
fault("ring 3 reads a page of ring 0", FAR | board.PAGE_0, "mov (%rbx), %eax", P | U,
    board.user(64))
fault("ring 3 writes a page of ring 0", FAR | board.PAGE_0, "mov %eax, (%rbx)", P | W | U,
    board.user(64))
fault("ring 3 writes a read-only page", FAR | board.PAGE_3_RO, "mov %eax, (%rbx)", P | W | U,
    board.user(64))
fault("ring 3 reads what is not present", NOT_THERE, "mov (%rbx), %eax", U, board.user(64))
fault("a reserved bit", FAR | board.PAGE_0 | board.NX, "mov (%rbx), %eax", P | 8)
fault("32-bit paging: a read of what is not present", NOT_THERE, "mov (%ebx), %eax", 0,
    board.paging(), { bits = 32 })
fault("32-bit paging: a write to a read-only page", FAR | board.PAGE_0_RO,
    "mov %eax, (%ebx)", P | W, with(board.paging(), WP), { bits = 32 })
fault("32-bit paging, pae: a write of what is not present", NOT_THERE, "mov %eax, (%ebx)", W,
    board.paging_pae(), { bits = 32 })

-- The code at a page of its own, of which the entry is given: where the fetch faults.
local function fetch(name, entry, code, regs)
    case("a fetch: " .. name, {
        code = "jmp *%rbx",
        regs = with({ rbx = FAR + 8 }, regs),
        pages = { [FAR] = entry },
        more = { [FAR + 8] = "hlt" },
        trace = { code and taken(PF, { code, FAR + 8 }, { cr2 = FAR + 8 }) or DONE },
    })
end

fetch("of data", FAR | board.PAGE_0 | board.NX, P | FETCH, NX)
fetch("of what is not present", NOT_THERE, FETCH, NX)
fetch("by ring 3 of a page of ring 0", FAR | board.PAGE_0, P | U | FETCH,
    with(board.user(64), NX))
fetch("by ring 0 of a page of ring 3", FAR | board.PAGE_3, nil)
fetch("of what is code", FAR | board.PAGE_0, nil, NX)

case("a fetch across a page's end faults at the second page", {
    code = "jmp *%rbx",
    regs = { rbx = FAR - 1 },
    pages = { [FAR] = NOT_THERE },
    words = { [FAR - 8] = 0x0f << 56 },
    trace = { taken(PF, { 0, FAR - 1 }, { cr2 = FAR }) },
})

case("a read across a page's end faults at the second page", {
    code = "mov (%rbx), %rax",
    regs = { rbx = FAR - 3, rax = 7 },
    pages = { [FAR] = NOT_THERE },
    trace = { taken(PF, { 0, 0x1000 }, { cr2 = FAR, rax = 7 }) },
})

case("a write across a page's end writes neither page", {
    code = "mov %rax, (%rbx)",
    regs = { rbx = FAR - 4, rax = -1 },
    pages = { [FAR] = NOT_THERE },
    trace = { taken(PF, { W, 0x1000 }, { cr2 = FAR }) },
    memory = { [FAR - 8] = 0, [FAR] = 0 },
})

case("a push that faults leaves the stack pointer", {
    code = "push %rax",
    regs = { sp = FAR + 8 },
    pages = { [FAR] = NOT_THERE },
    words = { [board.gate_at(64, PF)] = board.gate(board.handler(PF), { ist = 1 }) },
    trace = { taken(PF, { W, 0x1000, [5] = FAR + 8 }, { cr2 = FAR }) },
})

case("a string stops at the element that faults", {
    code = "rep stosb",
    regs = { rdi = FAR - 2, rcx = 5, rax = 0x77 },
    pages = { [FAR] = NOT_THERE },
    trace = { taken(PF, { W, 0x1000 }, { cr2 = FAR, rcx = 3, rdi = FAR }) },
    memory = { [FAR - 8] = 0x7777 << 48 },
})

case("a page fault, and the access once more", {
    code = "mov (%rbx), %eax\n hlt",
    regs = { rbx = FAR },
    pages = { [FAR] = NOT_THERE },
    words = { [FAR] = 0x55 },
    trace = { taken(PF, nil, { rax = 0 }), { "halt", host = function(vm)
        vm:u64(board.entry(FAR), FAR | board.PAGE_0)
    end } },
    after = { rax = 0x55, rsp = board.STACK },
})

-- ---- what is mapped -----------------------------------------------------

local function mapped(name, own)
    own.code = own.code or "mov (%rbx), %eax\n hlt"
    own.regs = with({ rbx = FAR + 0x10 }, own.regs)
    own.trace = own.trace or { DONE }
    own.after = own.after or { rax = 0x55 }
    own.words = with({ [0x30010] = 0x55 }, own.words)
    case("mapped: " .. name, own)
end

mapped("a page to another", { pages = { [FAR] = 0x30000 | board.PAGE_0 } })
mapped("32-bit paging: a page to another", { bits = 32, pages = { [FAR] = 0x30000
    | board.PAGE_0 }, code = "mov (%ebx), %eax\n hlt", regs = board.paging() })
mapped("32-bit paging, pae: a page to another", { bits = 32, pages = { [FAR] = 0x30000
    | board.PAGE_0 }, code = "mov (%ebx), %eax\n hlt", regs = board.paging_pae() })
mapped("a page to a device", { pages = { [FAR] = board.DEVICE + 0x5000 | board.PAGE_0 },
    trace = { { "mmio", addr = board.DEVICE + 0x5010, size = 4, write = false,
        answer = 0x55 }, DONE } })
mapped("2 MiB in one", { words = { [board.TABLES + 0x2010] = board.PAGE_0 | board.LARGE },
    regs = { rbx = 0x430010 } })
mapped("1 GiB in one", { needs = "pdpe1gb",
    words = { [board.TABLES + 0x1008] = board.PAGE_0 | board.LARGE },
    regs = { rbx = 0x40030010 } })
mapped("32-bit paging: 4 MiB in one", { bits = 32, code = "mov (%ebx), %eax\n hlt",
    words = { [board.TABLES_32 + 8] = board.PAGE_0 | board.LARGE },
    regs = with(board.paging { rbx = 0x830010 }, { cr4 = board.CR4_PSE }) })
mapped("the upper half", { words = { [board.TABLES + 0xff8] = board.TABLES + 0x1000 | 7 },
    regs = { rbx = -(1 << 39) + 0x30010 } })
mapped("ring 0 writes a read-only page, where it does not mind",
    { pages = { [FAR] = 0x30000 | board.PAGE_0_RO }, code = "incl (%rbx)\n hlt",
        after = { rbx = FAR + 0x10 }, memory = { [0x30010] = 0x56 } })
mapped("ring 3 reads and writes its page", { pages = { [FAR] = 0x30000 | board.PAGE_3 },
    regs = board.user(64), code = "incl (%rbx)\n mov (%rbx), %eax\n ud2",
    trace = { taken(6, { 0x1004 }) }, after = { rax = 0x56 } })
mapped("any level forbids ring 3", { words = { [board.TABLES + 0x2000] =
    board.TABLES + 0x3000 | 3 }, regs = with(board.user(64), { rbx = board.USER_DATA }),
    trace = { taken(PF, { P | U }, { cr2 = board.CODE }) }, after = { rax = 0 } })
mapped("any level forbids writing", { words = { [board.TABLES + 0x2000] =
    board.TABLES + 0x3000 | 0x25 }, regs = with({ rbx = FAR }, WP), code = "mov %eax, (%rbx)",
    trace = { { "shutdown" } }, after = {} })

-- ---- what tables are told -----------------------------------------------

local function told(name, entry, code, becomes)
    case("told: " .. name, {
        code = code .. "\n hlt",
        regs = { rbx = FAR },
        pages = { [FAR] = entry },
        trace = { DONE },
        memory = { [board.entry(FAR)] = becomes },
    })
end

told("a read marks a page as accessed", FAR | 3, "mov (%rbx), %eax", FAR | 0x23)
told("a write marks it as dirty", FAR | 3, "mov %eax, (%rbx)", FAR | 0x63)
told("a write after a read", FAR | 3, "mov (%rbx), %eax\n mov %eax, (%rbx)", FAR | 0x63)
told("what is not looked at is not marked", FAR | 3, "lea (%rbx), %rax", FAR | 3)
told("bits of the system's own are left alone", FAR | 0xe03, "mov (%rbx), %eax", FAR | 0xe23)

case("told: tables are accessed too", {
    code = "hlt",
    trace = { DONE },
    memory = { [board.TABLES] = board.TABLES + 0x1000 | 0x27,
        [board.TABLES + 0x1000] = board.TABLES + 0x2000 | 0x27,
        [board.TABLES + 0x2000] = board.TABLES + 0x3000 | 0x27 },
})

-- ---- translations that change -------------------------------------------

case("invlpg: a new entry counts", {
    code = "mov (%rbx), %eax\n mov %rcx, (%rdx)\n invlpg (%rbx)\n mov (%rbx), %esi\n hlt",
    regs = { rbx = FAR, rcx = 0x30000 | board.PAGE_0, rdx = board.entry(FAR) },
    words = { [FAR] = 1, [0x30000] = 2 },
    trace = { DONE },
    after = { rax = 1, rsi = 2 },
})

case("cr3: another set of tables", {
    code = "mov (%rbx), %eax\n mov %rcx, %cr3\n mov (%rbx), %esi\n hlt",
    regs = { rbx = 0x200000, rcx = 0x18000 },
    words = { [0x18000] = 0x19007, [0x19000] = 0x1a007, [0x1a000] = board.TABLES + 0x3000 | 7,
        [0x1a008] = board.PAGE_0 | board.LARGE, [0] = 0x66 },
    trace = { { "mmio", addr = board.DEVICE, size = 4, answer = 5 }, DONE },
    after = { rax = 5, rsi = 0x66, cr3 = 0x18000 },
})

case("cr0.wp: what was allowed is no longer", {
    code = "mov %eax, (%rbx)\n mov %rcx, %cr0\n mov %eax, (%rbx)",
    regs = { rbx = FAR, rcx = board.CR0 | board.CR0_PG | board.CR0_WP },
    pages = { [FAR] = FAR | board.PAGE_0_RO },
    trace = { taken(PF, { P | W, 0x1005 }, { cr2 = FAR }) },
})

case("the host changes a page table", {
    code = "mov (%rbx), %eax\n out %al, $0x80\n mov (%rbx), %eax\n hlt",
    regs = { rbx = FAR },
    words = { [FAR] = 1, [0x30000] = 2 },
    trace = { { "io", port = 0x80, value = 1 }, { "halt", host = function(vm, cpu)
        vm:u64(board.entry(FAR), 0x30000 | board.PAGE_0)
        cpu.cr3 = cpu.cr3
    end } },
    after = { rax = 2 },
})

case("the host translates as the guest does", {
    code = "hlt",
    pages = { [FAR] = 0x30000 | board.PAGE_0 },
    setup = function(_, cpu, log)
        log[1], log[2] = cpu:translate(FAR + 0x123), cpu:translate(0x234567)
    end,
    trace = { DONE },
    log = { 0x30123, 0x234567 },
})
