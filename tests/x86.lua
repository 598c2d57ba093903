-- SPDX-License-Identifier: MIT
-- What an x86_64 guest does, exit by exit, the same on every backend: modes,
-- ports, MMIO, faults, interrupts, debugging.
local t = ...
local hv = require "hv"

local TABLES, CODE, STACK, IDT, GDT = 0x20000, 0x1000, 0x8000, 0x30000, 0x31000

local function on(name, fn)
    t.on("x86_64", name, fn)
end

-- A KVM that emulates its guests in software does not know every instruction; what
-- it says then is no failure of ours.
local function known(exit)
    if exit.kind == "error" and exit.cpu.vm.backend == "kvm"
        and exit.why:find "emulat" then
        t.skip(exit.why)
    end
    return exit
end

-- A machine in 16, 32 or 64 bits with the code at CODE.
local function guest(open, bits, code, registers)
    local vm = open { memory = "2M" }
    vm:load(CODE, hv.asm(code, { arch = "x86_64", bits = bits }))
    local all = { pc = CODE, sp = STACK }
    for k, v in pairs(registers or {}) do
        all[k] = v
    end
    if bits == 32 then
        all = hv.x86.protected(all)
    elseif bits == 64 then
        all = hv.x86.long(vm, TABLES, all)
    end
    return vm, vm:vcpu(all)
end

-- A GDT as hv.x86 has it, and in 64 bits a TSS; an IDT whose gate n reports
-- hypercall 0x100 + n with the error code (or 0) in rdi, then goes on behind.
local ERROR_CODE = { [8] = true, [10] = true, [11] = true, [12] = true, [13] = true,
    [14] = true, [17] = true }

local function with_idt(open, bits, code, registers)
    local vm, cpu = guest(open, bits, code, registers)
    vm:u64(GDT, 0)
    vm:u64(GDT + 8, bits == 64 and 0x00af9b000000ffff or 0x00cf9b000000ffff)
    vm:u64(GDT + 16, 0x00cf93000000ffff)
    cpu.gdtr = { base = GDT, limit = 23 }
    local at = 0x40000
    local reg = bits == 64 and "r" or "e"
    for n = 0, 63 do
        local entry = ERROR_CODE[n] and ("pop %%%sdi\n"):format(reg)
            or ("xor %edi, %edi\n")
        entry = entry .. ("mov $%d, %%eax\n out %%al, $0xe8\n iret%s")
            :format(0x100 + n, bits == 64 and "q" or "")
        vm:load(at, hv.asm(entry, { arch = "x86_64", bits = bits }))
        local gate = (at & 0xffff) | 8 << 16 | 0x8e << 40 | (at >> 16 & 0xffff) << 48
        if bits == 64 then
            vm:u64(IDT + 16 * n, gate)
            vm:u64(IDT + 16 * n + 8, at >> 32)
        else
            vm:u64(IDT + 8 * n, gate)
        end
        at = at + 32
    end
    cpu.idtr = { base = IDT, limit = 64 * (bits == 64 and 16 or 8) - 1 }
    return vm, cpu
end

-- ---- modes ------------------------------------------------------------------

on("hlt is behind the guest when it exits", function(open)
    for _, bits in ipairs { 16, 32, 64 } do
        local vm, cpu = guest(open, bits, "nop\n hlt\n mov $7, %bx\n hlt")
        t.eq({ vm:run().kind, cpu.rip }, { "halt", CODE + 2 })
        t.eq({ vm:run().kind, cpu.bx }, { "halt", 7 })
    end
end)

on("real mode addresses through segments", function(open)
    local vm, cpu = guest(open, 16, [[
        mov   $0x0123, %ax
        mov   %ax, %ds
        movw  $0xbeef, 0x10
        mov   %cs, %cx
        push  $0x55
        ljmp  $0x200, $0
    ]])
    vm:load(0x2000, hv.asm("nop\n hlt", { arch = "x86_64", bits = 16 }))
    local e = vm:run()
    t.eq(e.kind, "halt")
    t.eq(vm:u16(0x1240), 0xbeef)
    t.eq({ cpu.ds.selector, cpu.ds.base, cpu.cx }, { 0x123, 0x1230, 0 })
    t.eq({ cpu.sp, vm:u16(STACK - 2) }, { STACK - 2, 0x55 })
    t.eq(cpu.cs.selector, 0x200)
end)

on("protected mode computes with 32 bits", function(open)
    local vm, cpu = guest(open, 32, [[
        mov   $0x12345678, %eax
        lea   1(%eax, %eax, 2), %ebx
        mov   %ebx, 0x100000
        call  sub
        hlt
sub:    push  %eax
        pop   %esi
        ret
    ]])
    t.eq(vm:run().kind, "halt")
    t.eq(vm:u32(0x100000), 0x12345678 * 3 + 1)
    t.eq({ cpu.rsi, cpu.rsp }, { 0x12345678, STACK })
end)

on("long mode computes with 64 bits", function(open)
    local vm, cpu = guest(open, 64, [[
        movabs $0x123456789abcdef0, %rax
        mov   %rax, %r15
        bswap %r15
        push  %r15
        mov   (%rsp), %r8
        mov   %eax, %ebx
        lea   here(%rip), %r9
here:   hlt
    ]], { rbx = -1 })
    t.eq(vm:run().kind, "halt")
    t.eq(cpu.r8, string.unpack("<i8", string.pack(">i8", 0x123456789abcdef0)))
    t.eq({ cpu.rbx, cpu.r9, cpu.rsp }, { 0x9abcdef0, cpu.rip - 1, STACK - 8 })
    t.eq({ cpu.cs.l, cpu.efer & 0x400 }, { 1, 0x400 })
end)

on("a guest switches from real mode to long mode by itself", function(open)
    local vm = open { memory = "2M" }
    vm:u64(GDT, 0)
    vm:u64(GDT + 8, 0x00af9b000000ffff)  -- 64-bit code
    vm:u64(GDT + 16, 0x00cf93000000ffff) -- data
    vm:u64(GDT + 24, 0x00cf9b000000ffff) -- 32-bit code
    vm:pack("<I2 I4", 0x900, 31, GDT)
    hv.x86.long(vm, TABLES)
    vm:load(0x3000, hv.asm([[
        mov   $16, %ax
        mov   %ax, %ds
        mov   %ax, %ss
        mov   $0x5000, %esp
        mov   $0x32323232, %ebp
        out   %al, $0x40
        mov   %cr4, %eax
        or    $0x20, %eax
        mov   %eax, %cr4
        mov   $0x20000, %eax
        mov   %eax, %cr3
        mov   $0xc0000080, %ecx
        rdmsr
        or    $0x100, %eax
        wrmsr
        mov   %cr0, %eax
        or    $0x80000000, %eax
        mov   %eax, %cr0
        ljmp  $8, $0x4000
    ]], { arch = "x86_64", bits = 32 }))
    vm:load(0x4000, hv.asm([[
        movabs $0x6464646464646464, %rbx
        out   %al, $0x41
        mov   $9, %eax
        out   %al, $0xe8
    ]], { arch = "x86_64" }))
    vm:load(CODE, hv.asm([[
        cli
        mov   $0x1616, %si
        lgdtl 0x900
        mov   %cr0, %eax
        or    $1, %eax
        mov   %eax, %cr0
        ljmpl $24, $0x3000
    ]], { arch = "x86_64", bits = 16 }))
    local cpu = vm:vcpu { pc = CODE, sp = STACK }
    local e = vm:run()
    t.eq({ e.kind, e.port, cpu.ebp, cpu.si }, { "io", 0x40, 0x32323232, 0x1616 })
    t.eq(cpu.cs.selector, 24)
    e = vm:run()
    t.eq({ e.kind, e.port, cpu.rbx }, { "io", 0x41, 0x6464646464646464 })
    t.eq({ cpu.cs.l, cpu.efer & 0x500 }, { 1, 0x500 })
    t.eq(vm:run().nr, 9)
end)

-- ---- MMIO ----------------------------------------------------------------------

local DEVICE = 0x300000

local function log_of(vm, answer)
    local log = {}
    vm:on("mmio", function(_, e)
        log[#log + 1] = { e.write and "w" or "r", e.addr - DEVICE, e.size, e.value }
        return not e.write and answer or nil
    end)
    return log
end

on("mmio of every size", function(open)
    local vm, cpu = guest(open, 64, [[
        mov   (%rbx), %al
        mov   1(%rbx), %cx
        mov   4(%rbx), %edx
        mov   8(%rbx), %rsi
        movzbl 16(%rbx), %edi
        movsbq 17(%rbx), %r8
        mov   %al, (%rbx)
        mov   %cx, 2(%rbx)
        mov   %edx, 4(%rbx)
        mov   %rsi, 8(%rbx)
        movl  $0x77, 12(%rbx)
        hlt
    ]], { rbx = DEVICE, rax = -1, rcx = -1, rdx = -1 })
    local v = 0x1122334455667788 | 0x80
    local log = log_of(vm, v)
    t.eq(vm:run().kind, "halt")
    t.eq(log, { { "r", 0, 1 }, { "r", 1, 2 }, { "r", 4, 4 }, { "r", 8, 8 },
        { "r", 16, 1 }, { "r", 17, 1 },
        { "w", 0, 1, v & 0xff }, { "w", 2, 2, v & 0xffff }, { "w", 4, 4, v & 0xffffffff },
        { "w", 8, 8, v }, { "w", 12, 4, 0x77 } })
    t.eq({ cpu.rax, cpu.rcx & 0xffff, cpu.rdx, cpu.rsi, cpu.rdi, cpu.r8 },
        { -1 & ~0xff | v & 0xff, v & 0xffff, v & 0xffffffff, v, v & 0xff,
            (v & 0xff) - 256 })
end)

on("mmio in instructions that do more than move", function(open)
    local vm, cpu = guest(open, 64, [[
        add   (%rbx), %eax          # read
        orl   $0x10, 4(%rbx)        # read, then write
        push  8(%rbx)               # read, memory written
        cmpb  $5, 16(%rbx)          # read, flags
        sete  %r8b
        hlt
    ]], { rbx = DEVICE, rax = 100 })
    local log = log_of(vm, 5)
    t.eq(vm:run().kind, "halt")
    t.eq(log, { { "r", 0, 4 }, { "r", 4, 4 }, { "w", 4, 4, 0x15 }, { "r", 8, 8 },
        { "r", 16, 1 } })
    t.eq({ cpu.rax, vm:u64(STACK - 8), cpu.r8 & 0xff }, { 105, 5, 1 })
end)

on("string instructions to and from mmio", function(open)
    local vm, cpu = guest(open, 32, [[
        cld
        mov   $0x300000, %edi
        mov   $0x2000, %esi
        mov   $3, %ecx
        rep movsl
        mov   $0x300100, %esi
        mov   $0x2100, %edi
        mov   $2, %ecx
        rep movsb
        hlt
    ]])
    vm:pack("<I4 I4 I4", 0x2000, 1, 2, 3)
    local log = log_of(vm, 0x61)
    t.eq(vm:run().kind, "halt")
    t.eq(log, { { "w", 0, 4, 1 }, { "w", 4, 4, 2 }, { "w", 8, 4, 3 },
        { "r", 0x100, 1 }, { "r", 0x101, 1 } })
    t.eq(vm:read(0x2100, 3), "aa\0")
    t.eq({ cpu.ecx, cpu.esi, cpu.edi }, { 0, 0x300102, 0x2102 })
end)

on("writes to memory without w are mmio writes, reads are not", function(open)
    local vm, cpu = guest(open, 64, "mov (%rbx), %rax\n mov %rcx, (%rbx)\n hlt",
        { rbx = DEVICE, rcx = 7 })
    local rom = vm:map { at = DEVICE, size = 4096, prot = "r" }
    vm:u64(DEVICE, 99)
    local e = vm:run()
    t.eq({ e.kind, e.addr, e.write, e.value, cpu.rax }, { "mmio", DEVICE, true, 7, 99 })
    t.eq({ vm:run().kind, vm:u64(DEVICE) }, { "halt", 99 })
    cpu.pc = CODE
    rom:protect "rw"
    t.eq({ vm:run().kind, vm:u64(DEVICE) }, { "halt", 7 })
    rom:unmap()
    cpu.pc = CODE
    t.eq(vm:run().kind, "mmio")
end)

on("reads answered by hand", function(open)
    local vm, cpu = guest(open, 64, "in $0x60, %al\n mov (%rbx), %ecx\n hlt",
        { rbx = DEVICE, rax = 0x1100 })
    t.eq({ cpu:enter().port, cpu.rip }, { 0x60, CODE + 2 })
    cpu:answer(0x1ff)
    t.raises(function() cpu:answer(1) end, "it has read nothing")
    t.eq({ cpu:enter().kind, cpu.rax }, { "mmio", 0x11ff })
    t.eq({ cpu:enter(0x5566).kind, cpu.rcx }, { "halt", 0x5566 })
    cpu.pc = CODE
    cpu:enter()
    t.eq({ cpu:enter().kind, cpu.al }, { "mmio", 0xff }, "all ones for who does not answer")
    t.ok(vm)
end)

on("registers looked at and changed while a read waits", function(open)
    local vm, cpu = guest(open, 16, [[
        mov   $0x300, %dx
        mov   $3, %cx
        mov   $0x2000, %di
        cld
        rep insb
        in    $0x60, %al
        mov   $9, %eax
        out   %al, $0xe8
    ]])
    local n = 0
    vm:attach { port = 0x300, read = function(_, _, c)
        n = n + 1
        c.rbx = c.rbx + c.rdx
        return 0x40 + n
    end }
    vm:attach { port = 0x60, read = function(_, _, c)
        c.rsi = c.rip
        return 0x77
    end }
    vm:hypercall(9, function(c) c:stop { c.rbx, c.rsi } end)
    t.eq(vm:run().value, { 0x900, CODE + 14 })
    t.eq({ vm:read(0x2000, 4), cpu.cx, cpu.di }, { "ABC\0", 0, 0x2003 })
end)

on("code where no memory is, is an error that says so", function(open)
    local vm, cpu = guest(open, 64, "mov $0x300000, %eax\n jmp *%rax")
    local e = vm:run { timeout = 10 }
    t.eq(e.kind, "error")
    t.ok(#e.why > 10, e.why)
    t.eq(cpu.rip, 0x300000)
    vm:map { at = 0x300000, size = 4096 }
    vm:u8(0x300000, 0xf4)
    t.eq(vm:run { timeout = 10 }.kind, "halt", "and can be mended")
end)

-- ---- exceptions and interrupts -----------------------------------------------------

on("a fault without an IDT is a shutdown", function(open)
    for _, bits in ipairs { 32, 64 } do
        local vm = guest(open, bits, "ud2", { idtr = { base = 0, limit = 0 } })
        local e = vm:run()
        t.eq(e.kind, "shutdown")
        t.ok(#e.why > 5, e.why)
    end
end)

on("int n and exceptions go through the guest's IDT and back", function(open)
    for _, bits in ipairs { 32, 64 } do
        local vm, cpu = with_idt(open, bits, [[
            int   $0x21
            mov   $1, %ebx
            int3
            mov   $2, %ebx
            hlt
        ]])
        local e = known(vm:run())
        t.eq({ e.kind, e.nr, cpu.rdi }, { "hvc", 0x121, 0 }, bits)
        e = vm:run()
        t.eq({ e.nr, cpu.rbx }, { 0x103, 1 })
        t.eq({ vm:run().kind, cpu.rbx, cpu.rsp }, { "halt", 2, STACK })
    end
end)

on("divide error, undefined opcode, page fault: one after the other", function(open)
    local vm, cpu = with_idt(open, 64, [[
        xor   %ecx, %ecx
        div   %ecx
        nop
        ud2
        mov   (%rbx), %rax
    ]], { rbx = 1 << 40 })
    local e = vm:run()
    t.eq({ e.nr, vm:u64(cpu.rsp) }, { 0x100, CODE + 2 })
    vm:u64(cpu.rsp, CODE + 4)
    e = vm:run()
    t.eq({ e.nr, vm:u64(cpu.rsp) }, { 0x106, CODE + 5 })
    vm:u64(cpu.rsp, CODE + 7)
    for _ = 1, 3 do -- again and again: none of them turns into a double fault
        e = vm:run()
        t.eq({ e.nr, cpu.rdi, cpu.cr2, vm:u64(cpu.rsp) }, { 0x10e, 0, 1 << 40, CODE + 7 })
    end
end)

on("real mode has an interrupt vector table", function(open)
    local vm, cpu = guest(open, 16, "int $0x10\n mov $2, %bx\n hlt")
    vm:load(0x700, hv.asm("mov $1, %bx\n mov $0x55, %eax\n out %al, $0xe8\n iretw",
        { arch = "x86_64", bits = 16 }))
    vm:pack("<I2 I2", 0x10 * 4, 0x700, 0)
    t.eq({ vm:run().nr, cpu.bx }, { 0x55, 1 })
    t.eq({ vm:run().kind, cpu.bx }, { "halt", 2 })
end)

on("inject: an interrupt waits until the guest lets it in", function(open)
    local vm, cpu = with_idt(open, 64, [[
        mov   $1, %ebx
        out   %al, $0x40
        mov   $2, %ebx
        sti
        nop
        mov   $3, %ebx
        hlt
        hlt
    ]])
    t.eq({ vm:run().port, cpu.rbx }, { 0x40, 1 })
    cpu:inject { vector = 0x30 }
    local e = vm:run { timeout = 10 }
    t.eq({ e.kind, e.nr }, { "hvc", 0x130 })
    t.ok(cpu.rbx >= 2, "not before sti")
    cpu.idtr = { limit = 0 } -- and only once
    t.eq({ vm:run { timeout = 10 }.kind, cpu.rbx }, { "halt", 3 })
    t.raises(function() cpu:inject { vector = 256 } end, "256 is not 0 to 255")
    t.raises(function() cpu:inject { syndrome = 1 } end, "unknown field")
    t.raises(function() cpu:irq(true) end, "not on this backend")
end)

-- ---- debugging -------------------------------------------------------------------------

on("single steps", function(open)
    local vm, cpu = guest(open, 64, [[
        mov   $1, %ebx
        inc   %ebx
        jmp   over
        nop
over:   out   %al, $0x40
        mov   $9, %ebx
    ]])
    for _, pc in ipairs { CODE + 5, CODE + 7, CODE + 10 } do
        t.eq({ cpu:step().kind, cpu.rip }, { "step", pc })
    end
    t.eq(cpu.rbx, 2)
    t.eq({ cpu:step().kind, cpu.rip }, { "io", CODE + 12 })
    t.eq({ cpu:step().kind, cpu.rbx }, { "step", 9 })
    t.eq(cpu.rflags & 0x100, 0, "the trap flag is not the guest's")
    t.ok(vm)
end)

on("breakpoints stop before the instruction, and let go again", function(open, backend)
    t.debugs(backend, "x86_64")
    local vm, cpu = guest(open, 64, [[
        xor   %ebx, %ebx
loop:   inc   %ebx
        cmp   $3, %ebx
        jne   loop
        hlt
    ]])
    cpu:breakpoint(CODE + 2)
    for i = 0, 2 do
        t.eq({ vm:run { timeout = 10 }.kind, cpu.rip, cpu.rbx }, { "break", CODE + 2, i })
    end
    t.eq(vm:run { timeout = 10 }.kind, "halt")
    cpu:breakpoint(CODE + 2, false)
    cpu.pc = CODE
    t.eq(vm:run { timeout = 10 }.kind, "halt")
end)

on("breakpoints at outs, which hooks overlap at", function(open, backend)
    t.debugs(backend, "x86_64")
    local vm, cpu = guest(open, 64, [[
again:  out   %al, $0x40
        out   %al, $0x40
        inc   %ebx
        jmp   again
    ]])
    local calls = 0
    vm:attach { port = 0x40, write = function() calls = calls + 1 end }
    for i = 0, 2 do
        cpu:breakpoint(CODE + 2 * i)
    end
    for i = 0, 8 do
        local at, round = i % 3, i // 3
        t.eq({ vm:run { timeout = 10 }.kind, cpu.rip, calls, cpu.rbx },
            { "break", CODE + 2 * at, 2 * round + at, round })
    end
end)

on("a guest that single-steps itself over port i/o", function(open, backend)
    if backend ~= "unicorn" then
        t.skip "whether a #DB follows is kvm's to say"
    end
    for _, changes in ipairs { false, true } do -- where the engine has to be left
        local vm, cpu = guest(open, 16, [[
            out   %al, $0x40
            in    $0x40, %al
            inc   %bx
            hlt
        ]], { rflags = 0x102, rax = 3 })
        local seen = {}
        vm:u32(4 * 1, 0x9000)
        vm:load(0x9000, hv.asm("mov %sp, %di\n mov (%di), %cx\n out %al, $0x50\n iret",
            { arch = "x86_64", bits = 16 }))
        vm:attach { port = 0x40,
            write = function(_, value, _, c)
                seen[#seen + 1] = { c.rip - CODE, value }
                if changes then
                    c.rflags = c.rflags
                end
            end,
            read = function(_, _, c) seen[#seen + 1] = { c.rip - CODE } return 9 end }
        vm:attach { port = 0x50, write = function(_, value, _, c)
            seen[#seen + 1] = { "db", c.cx - CODE, value, c.dr6 & 0x4000 }
            c.dr6 = 0
        end }
        t.eq({ vm:run { timeout = 10 }.kind, cpu.bx }, { "halt", 1 })
        t.eq({ table.unpack(seen, 1, 5) }, { { 2, 3 }, { "db", 2, 3, 0x4000 },
            { 4 }, { "db", 4, 9, 0x4000 }, { "db", 5, 9, 0x4000 } })
    end
end)

on("watchpoints", function(open, backend)
    local vm, cpu = guest(open, 64, [[
        mov   $0x4000, %ebx
        mov   %eax, 8(%rbx)
        mov   (%rbx), %ecx
        mov   %eax, (%rbx)
        hlt
    ]], { rax = 6 })
    cpu:watchpoint(0x4000, 4, "w")
    local e = vm:run { timeout = 10 }
    if e.kind == "halt" and backend == "kvm" then
        t.skip "this kvm takes data watchpoints and never reports one"
    end
    t.eq({ e.kind, e.addr, e.size }, { "watch", 0x4000, 4 })
    t.eq(vm:run { timeout = 10 }.kind, "halt")
    t.eq(vm:u32(0x4000), 6)
    cpu:watchpoint(0x4000, 4, "w", false)
    cpu.pc = CODE
    t.eq(vm:run { timeout = 10 }.kind, "halt")
end)

on("int3 is the host's with trap_debug", function(open, backend)
    t.debugs(backend, "x86_64")
    local vm, cpu = guest(open, 64, "nop\n int3\n hlt", { trap_debug = true })
    t.eq({ known(vm:run()).kind, cpu.rip }, { "brk", CODE + 1 })
    cpu.pc = CODE + 2
    t.eq(vm:run().kind, "halt")
end)

-- ---- code and time ------------------------------------------------------------------------

on("code written by the host is the code that runs", function(open)
    local vm, cpu = guest(open, 64, "again: mov $1, %ebx\n out %al, $0x40\n jmp again")
    for i = 1, 30 do
        vm:u32(CODE + 1, i)
        t.eq({ vm:run().port, cpu.rbx }, { 0x40, i })
    end
end)

on("code written by the guest is the code that runs", function(open)
    local vm, cpu = guest(open, 64, [[
        xor   %ecx, %ecx
next:   mov   %ecx, patch+1(%rip)
patch:  mov   $0, %eax
        cmp   %eax, %ecx
        jne   wrong
        inc   %ecx
        cmp   $50, %ecx
        jne   next
        hlt
wrong:  out   %al, $0x40
    ]])
    t.eq({ vm:run { timeout = 20 }.kind, cpu.rcx }, { "halt", 50 })
end)

on("a kick between two instructions loses nothing", function(open, backend)
    local vm, cpu = guest(open, 64,
        "loop: inc %rbx\n incq 0x4000\n dec %rcx\n jnz loop\n hlt")
    -- One kvm takes 3 us for a round, the next a thousandth of that.
    local n, stops, e = backend == "kvm" and 10000 or 2000000
    repeat
        n, stops = 10 * n, 0
        cpu.pc, cpu.rcx, cpu.rbx = CODE, n, 0
        vm:u64(0x4000, 0)
        repeat
            e = vm:run { timeout = 0.005 }
            stops = stops + 1
        until e.kind ~= "timeout"
        t.eq({ e.kind, cpu.rbx, vm:u64(0x4000), cpu.rcx }, { "halt", n, n, 0 })
    until stops > 2 or n >= 1000000000
    t.ok(stops > 2, "only " .. stops)
end)

on("msr access that nobody handles", function(open)
    local vm, cpu = with_idt(open, 64, "mov $0x4b564dff, %ecx\n rdmsr\n hlt")
    local e = vm:run { timeout = 10 }
    -- The host's choice where it can ask, else the architecture's #GP.
    if e.kind == "sysreg" then
        t.eq({ e.reg, e.write }, { 0x4b564dff, false })
        cpu:answer(0x1122334455667788)
        t.eq({ vm:run().kind, cpu.rax, cpu.rdx }, { "halt", 0x55667788, 0x11223344 })
    elseif e.kind == "hvc" then
        t.eq(e.nr, 0x10d)
    else
        t.eq(e.kind, "halt")
    end
end)

on("x86.long and x86.protected check what they are given", function(open)
    local vm = open { memory = "64K" }
    t.raises(function() hv.x86.long(vm, 1) end, "a multiple of 4096")
    t.raises(function() hv.x86.long(vm, 0xf000) end, "no memory is mapped at 0x10000")
end)

t.on("arm64", "x86.long wants a machine of its own architecture", function(open)
    t.raises(function() hv.x86.long(open(), 0) end, "an x86_64 machine expected")
end)
