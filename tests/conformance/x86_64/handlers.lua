-- SPDX-License-Identifier: MIT
-- Handlers in the midst of a run: their answers, their errors, stopping; and what they
-- change under the guest.
local case, board = ...

local DEVICE, DATA = board.DEVICE, board.DATA
local DONE = { "halt" }

-- ---- answers ------------------------------------------------------------

case("a hypercall's arguments and results", {
    code = "mov $7, %eax\n out %al, $0xe8\n hlt",
    regs = { rdi = 1, rsi = 2, rdx = 3, rcx = 4, r8 = 5, r9 = 6 },
    setup = function(vm, _, log)
        vm:hypercall(7, function(_, a, b, c, d, e, f)
            table.move({ a, b, c, d, e, f }, 1, 6, 1, log)
            return 100, 200
        end)
    end,
    trace = { DONE },
    after = { rax = 100, rdx = 200, rcx = 4, rdi = 1 },
    log = { 1, 2, 3, 4, 5, 6 },
})

case("a hypercall's number is all of rax", {
    code = "out %al, $0xe8\n hlt",
    regs = { rax = 0x8000000000000007 },
    setup = function(vm)
        vm:hypercall(7, function() error "not this" end)
    end,
    trace = { { "hvc", nr = 0x8000000000000007 }, DONE },
})

case("a device's functions get the offset", {
    code = "mov 6(%rbx), %cx\n mov %cl, 3(%rbx)\n hlt",
    regs = { rbx = DEVICE },
    setup = function(vm, _, log)
        vm:attach { at = DEVICE, size = 16,
            read = function(at, size)
                log[#log + 1] = ("%d bytes read at %d"):format(size, at)
                return 0x1234
            end,
            write = function(at, value, size)
                log[#log + 1] = ("%d bytes written at %d: %x"):format(size, at, value)
            end }
    end,
    trace = { DONE },
    log = { "2 bytes read at 6", "1 bytes written at 3: 34" },
})

case("ports of a device", {
    code = "in $0x82, %ax\n out %al, $0x83\n in $0x84, %al\n hlt",
    setup = function(vm, _, log)
        vm:attach { port = 0x80, count = 4,
            read = function(at, size) log[#log + 1] = at * 10 + size return 0x77 end,
            write = function(at, value) log[#log + 1] = at * 1000 + value end }
    end,
    trace = { { "io", port = 0x84, write = false }, DONE },
    log = { 22, 3 * 1000 + 0x77 },
})

-- ---- errors and stopping ------------------------------------------------

case("an error of a write's handler: the guest is behind the write", {
    code = "out %al, $0x80\n inc %eax\n hlt",
    setup = function(vm)
        vm:attach { port = 0x80, write = function() error "boom" end }
    end,
    trace = { { raises = "boom", regs = { pc = 0x1002, rax = 0 } }, DONE },
    after = { rax = 1 },
})

case("an error while a device is read: the read is all ones", {
    code = "mov (%rbx), %ax\n hlt",
    regs = { rbx = DEVICE },
    setup = function(vm)
        vm:attach { at = DEVICE, size = 8, read = function() error "torn" end }
    end,
    trace = { { raises = "torn", regs = { pc = 0x1003 } }, DONE },
    after = { rax = 0xffff },
})

case("an error between a read and a write: the write still comes", {
    code = "incl (%rbx)\n hlt",
    regs = { rbx = DEVICE },
    setup = function(vm, _, log)
        vm:on("mmio", function(_, exit)
            log[#log + 1] = exit.value or "read"
            if not exit.write then
                error "first"
            end
        end)
    end,
    trace = { { raises = "first", regs = { pc = 0x1002 } }, DONE },
    log = { "read", 0 },
})

case("an error in the midst of a string: the rest still comes", {
    code = "rep outsb\n hlt",
    regs = { rcx = 3, rsi = DATA, rdx = 0x80 },
    words = { [DATA] = 0x332211 },
    setup = function(vm, _, log)
        vm:on("io", function(_, exit)
            log[#log + 1] = exit.value
            if exit.value == 0x22 then
                error "second"
            end
        end)
    end,
    trace = { { raises = "second", regs = { rcx = 1 } }, DONE },
    log = { 0x11, 0x22, 0x33 },
})

case("an error in the handler of hlt and of a triple fault", {
    code = "hlt\n ud2",
    regs = { idtr = { base = 0, limit = 0 } },
    setup = function(vm)
        for _, kind in ipairs { "halt", "shutdown" } do
            vm:on(kind, function() error("in " .. kind) end)
        end
    end,
    trace = { { raises = "in halt", regs = { pc = 0x1001 } }, { raises = "in shutdown" } },
})

case("stop in a read's handler: the answer counts", {
    code = "mov (%rbx), %eax\n lea 1(%rax), %ecx\n hlt",
    regs = { rbx = DEVICE },
    setup = function(vm, cpu)
        vm:attach { at = DEVICE, size = 8, read = function() cpu:stop "here" return 4 end }
    end,
    trace = { { "stop", value = "here", regs = { rax = 4, rcx = 0, pc = 0x1002 } }, DONE },
    after = { rcx = 5 },
})

-- ---- what a handler changes counts at once ------------------------------

local function changing(name, code, change, own)
    own.code = "out %al, $0x80\n" .. code .. "\n hlt"
    own.setup = function(vm)
        vm:on("io", function(cpu, exit)
            if exit.port == 0x80 then
                change(vm, cpu)
            else
                cpu:stop(exit.port)
            end
        end)
    end
    own.trace = own.trace or { DONE }
    case("a handler " .. name, own)
end

changing("moves rip", "inc %eax\n inc %ecx", function(_, cpu) cpu.rip = 0x1004 end,
    { after = { rax = 0, rcx = 1 } })
changing("changes the code that comes next", "mov $1, %eax",
    function(vm) vm:u8(0x1003, 9) end, { after = { rax = 9 } })
changing("changes flags", "setc %al", function(_, cpu) cpu.rflags = cpu.rflags | 1 end,
    { after = { rax = 1 } })
changing("changes memory", "mov 0x4000, %eax", function(vm) vm:u32(DATA, 5) end,
    { after = { rax = 5 } })
changing("changes the stack", "pop %rax", function(vm, cpu)
    cpu.rsp = cpu.rsp - 8
    vm:u64(cpu.rsp, 77)
end, { after = { rax = 77, rsp = board.STACK } })
changing("injects an interrupt", "inc %eax", function(_, cpu) cpu:inject { vector = 0x30 } end,
    { regs = { rflags = 0x202 }, trace = { { "stop", value = 0x30, regs = { rax = 0 },
        stack = { 0x1002, 8, 0x202 } } } })
changing("sets a breakpoint", "inc %eax\n inc %eax", function(_, cpu) cpu:breakpoint(0x1004) end,
    { trace = { { "break", regs = { pc = 0x1004, rax = 1 } }, DONE } })
changing("maps memory", "mov (%rbx), %eax",
    function(vm)
        vm:map { at = DEVICE, size = board.PAGE }
        vm:u32(DEVICE, 0x55)
    end, { regs = { rbx = DEVICE }, after = { rax = 0x55 } })
changing("protects memory", "mov %ecx, (%rbx)",
    function(vm) vm:protect(0x300000, "r") end, { regs = { rbx = 0x300000, rcx = 6 },
        map = { { at = 0x300000, size = board.PAGE } },
        words = { [board.TABLES + 0x2008] = 0x200000 | board.PAGE_0 | board.LARGE },
        trace = { { "mmio", addr = 0x300000, write = true, value = 6 }, DONE } })
changing("maps another page", "mov (%rbx), %eax",
    function(vm, cpu)
        vm:u64(board.entry(0x20000), 0x30000 | board.PAGE_0)
        cpu.cr3 = cpu.cr3
    end, { regs = { rbx = 0x20000 }, words = { [0x20000] = 1, [0x30000] = 2 },
        after = { rax = 2 } })
changing("sends the guest to ring 3", "nop\n hlt", function(_, cpu)
    for name, value in pairs(board.user(64)) do
        cpu[name] = value
    end
end, { trace = { { "stop", value = 13, stack = { 0, 0x1003, 0x1b } } } })
