-- SPDX-License-Identifier: MIT
-- Devices of a script's own: vm:attach, for MMIO on both architectures and ports.
local t = ...

-- Reads 4 bytes at 0x200004, writes them plus one at 0x200008, hypercall 1.
local MMIO = {
    arm64 = [[
        movz  x1, #0x20, lsl #16
        ldr   w2, [x1, #4]
        add   w2, w2, #1
        str   w2, [x1, #8]
        mov   x0, #1
        hvc   #0
    ]],
    x86_64 = [[
        xor   %ax, %ax
        mov   %ax, %ds
        movl  $0x20000, %ebx
        movl  4(%ebx), %edx
        incl  %edx
        movl  %edx, 8(%ebx)
        mov   $1, %ax
        out   %al, $0xe8
    ]],
}

-- Real mode reaches 64 KiB with 16-bit offsets: the x86 device is lower, and the
-- data segment's limit is lifted.
local function guest(open, code)
    local vm = open { memory = "64K" }
    local hv = require "hv"
    local x86 = vm.arch == "x86_64"
    vm:load(0x1000, hv.asm(code[vm.arch],
        { arch = vm.arch, bits = x86 and 16 or nil }))
    local cpu = vm:vcpu { pc = 0x1000, sp = 0x8000 }
    if x86 then
        cpu.ds = { base = 0, limit = 0xffffffff, g = 1, selector = 0 }
    end
    return vm, cpu, x86 and 0x20000 or 0x200000
end

t.on("MMIO reads and writes reach the device with its offsets", function(open)
    local vm, cpu, base = guest(open, MMIO)
    local log = {}
    vm:attach {
        at = base, size = 0x1000, name = "counter",
        read = function(offset, size, c)
            t.ok(c == cpu)
            log[#log + 1] = { "read", offset, size }
            return 41
        end,
        write = function(offset, value, size, c)
            t.ok(c == cpu)
            log[#log + 1] = { "write", offset, value, size }
        end,
    }
    vm:hypercall(1, function(c) c:stop "done" end)
    t.eq(vm:run().value, "done")
    t.eq(log, { { "read", 4, 4 }, { "write", 8, 42, 4 } })
end)

t.on("what a device does not answer reads as all ones", function(open, _, arch)
    local vm, cpu, base = guest(open, MMIO)
    local written
    vm:attach { at = base, size = 16,
        write = function(_, value) written = value end }
    vm:hypercall(1, function(c) c:stop() end)
    vm:run()
    t.eq(written, 0, "0xffffffff + 1 in 32 bits")
    t.ok(cpu[arch == "arm64" and "x2" or "edx"] == 0)
end)

t.on("a device's mistakes name it", function(open)
    for answer, got in pairs { text = "string", [1.5] = "1.5" } do
        local vm, _, base = guest(open, MMIO)
        vm:attach { at = base, size = 16, name = "bad",
            read = function() return answer end }
        local why = t.raises(function() vm:run() end,
            'device "bad": read at offset 4: an integer expected, got ' .. got)
        t.ok(why:find("mmio read of 4 bytes at 0x20", 1, true), why)
    end
    local vm, _, base = guest(open, MMIO)
    vm:attach { at = base, size = 16, read = function() error "burnt" end }
    t.raises(function() vm:run() end, "burnt")
    t.eq(vm:run().kind, "hvc", "and the run goes on behind the read")
end)

t.on("an access without a device goes to on, or ends the run", function(open, _, arch)
    local vm, cpu, base = guest(open, MMIO)
    local exit = vm:run()
    t.eq({ exit.kind, exit.addr, exit.size, exit.write, exit.value },
        { "mmio", base + 4, 4, false, nil })
    cpu:answer(9)
    exit = vm:run()
    t.eq({ exit.kind, exit.addr, exit.write, exit.value },
        { "mmio", base + 8, true, 10 })
    t.eq(vm:run().kind, "hvc")
    cpu.pc = 0x1000
    local seen = {}
    vm:on("mmio", function(c, e)
        seen[#seen + 1] = e.addr - base
        t.ok(c == cpu and e.cpu == cpu)
        return not e.write and 99 or nil
    end)
    t.eq(vm:run().kind, "hvc")
    t.eq(seen, { 4, 8 })
    t.eq(cpu[arch == "arm64" and "x2" or "edx"], 100)
    cpu.pc = 0x1000
    vm:on("mmio", function() return "x" end)
    t.raises(function() vm:run() end, "answer to a read must be an integer")
end)

t.on("a handler that raises leaves a read answered", function(open, _, arch)
    local vm, cpu, base = guest(open, MMIO)
    vm:attach { at = base, size = 16, name = "once", read = function()
        error "no"
    end, write = function() end }
    t.raises(function() vm:run() end, "no")
    t.eq(vm:run().kind, "hvc")
    t.eq(cpu[arch == "arm64" and "x2" or "edx"], 0)
end)

t.on("registers in a read's handler are those behind it", function(open, _, arch)
    local vm, cpu = guest(open, MMIO)
    local start, next_pc
    vm:on("mmio", function(c, e)
        if not e.write then
            start = c.pc
            c[arch == "arm64" and "x9" or "rsi"] = 1234
            return 7
        end
        next_pc = c.pc
    end)
    t.eq(vm:run().kind, "hvc")
    t.eq(cpu[arch == "arm64" and "x2" or "edx"], 8)
    t.eq(cpu[arch == "arm64" and "x9" or "rsi"], 1234)
    if arch == "arm64" then
        t.eq({ start, next_pc }, { 0x1008, 0x1010 })
    else -- mov 4(%ebx), %edx and inc %edx before it, in 16-bit code
        t.eq({ start, next_pc }, { 0x100f, 0x1016 })
    end
end)

t.on("attach refuses what could never work", function(open, _, arch)
    local vm = open { memory = "64K" }
    local f = function() return 0 end
    vm:attach { at = "1M", size = 0x100, read = f }
    for _, wrong in ipairs {
        { { at = "1M", size = 1, read = f }, "overlaps the device" },
        { { at = 0xfff80, size = 0x100, read = f }, "overlaps the device" },
        { { at = 0xff000, size = "8K", read = f }, "overlaps the device" },
        { { at = 0x8000, size = 1, read = f }, "overlaps the memory" },
        { { at = "2M", size = 0, read = f }, "must be positive" },
        { { at = -1, size = 2, read = f }, "end inside the address space" },
        { { at = "2M", size = 16 }, "needs a read or a write function" },
        { { at = "2M", size = 16, read = 5 }, "read: a function expected" },
        { { at = "2M", size = 16, write = "f" }, "write: a function expected" },
        { { at = "2M", read = f }, "size: an integer expected" },
        { { size = 16, read = f }, "at: an integer expected" },
        { { at = "2M", size = 16, raed = f }, 'did you mean "read"?' },
    } do
        t.raises(function() vm:attach(wrong[1]) end, wrong[2])
    end
    if arch == "arm64" then
        t.raises(function() vm:attach { port = 1, read = f } end, "only x86_64")
        return
    end
    vm:attach { port = 0x60, count = 4, read = f }
    t.raises(function() vm:attach { port = 0x63, read = f } end, "overlaps the device")
    t.raises(function() vm:attach { port = 0xe8, read = f } end, "hypercall port")
    t.raises(function() vm:attach { port = 0x10000, read = f } end, "0 to 0xffff")
    t.raises(function() vm:attach { port = 0xffff, count = 2, read = f } end, "0 to 0xffff")
    vm:attach { port = 0x64, read = f }
    vm:attach { at = 0x100100, size = 1 << 20, write = f, name = "far" }
end)

t.on("x86_64", "ports of every size, both ways", function(open)
    local vm, cpu = t.guest(open, { x86_64 = [[
        mov   $0x300, %dx
        in    %dx, %al
        inc   %dx
        in    %dx, %ax
        mov   %ax, %cx
        inc   %dx
        inl   %dx, %eax
        inc   %dx
        outl  %eax, %dx
        outw  %ax, %dx
        outb  %al, %dx
        in    $0x40, %al
        mov   $1, %eax
        out   %al, $0xe8
    ]] })
    local log = {}
    vm:attach { port = 0x300, count = 4,
        read = function(offset, size)
            log[#log + 1] = ("r%d.%d"):format(offset, size)
            return -1 << 8 | 0x11 * (offset + 1)
        end,
        write = function(offset, value, size)
            log[#log + 1] = ("w%d.%d=%x"):format(offset, size, value)
        end }
    vm:on("io", function(_, e)
        t.eq({ e.port, e.size, e.write }, { 0x40, 1, false })
        return 0x5a
    end)
    vm:hypercall(1, function(c) c:stop(cpu.cx) end)
    t.eq(vm:run().value, 0xff22)
    t.eq(log, { "r0.1", "r1.2", "r2.4", "w3.4=ffffff33", "w3.2=ff33", "w3.1=33" })
end)

t.on("x86_64", "string port instructions are one exit for each element", function(open)
    local vm, cpu = t.guest(open, { x86_64 = [[
        cld
        mov   $0x300, %dx
        mov   $0x2000, %di
        mov   $5, %cx
        rep insb
        mov   $0x2000, %si
        mov   $3, %cx
        rep outsw
        std
        mov   $0x2100, %di
        mov   $2, %cx
        rep insl
        mov   $1, %ax
        out   %al, $0xe8
    ]] })
    local n, out = 0, {}
    vm:attach { port = 0x300, count = 8,
        read = function() n = n + 1 return 0x40 + n end,
        write = function(_, value, size) out[#out + 1] = { value, size } end }
    vm:hypercall(1, function(c) c:stop() end)
    t.eq(vm:run().kind, "stop")
    t.eq(vm:read(0x2000, 6), "ABCDE\0")
    t.eq(out, { { 0x4241, 2 }, { 0x4443, 2 }, { 0x45, 2 } })
    t.eq(vm:u32(0x2100), 0x46)
    t.eq(vm:u32(0x20fc), 0x47)
    t.eq({ cpu.cx, cpu.si, cpu.di }, { 0, 0x2006, 0x20f8 })
end)

t.on("x86_64", "a run ended in the middle of a string goes on there", function(open)
    local vm = t.guest(open, { x86_64 = [[
        cld
        mov   $0x300, %dx
        mov   $0x2000, %di
        mov   $6, %cx
        rep insb
        mov   $1, %ax
        out   %al, $0xe8
    ]] })
    local n = 0
    vm:attach { port = 0x300, read = function() n = n + 1 return 0x60 + n end }
    vm:hypercall(1, function(c) c:stop "end" end)
    t.eq(vm:run { exits = 2 }.kind, "budget")
    t.eq(vm:run { exits = 3 }.kind, "budget")
    t.eq(vm:run().value, "end")
    t.eq(vm:read(0x2000, 7), "abcdef\0")
end)

t.on("x86_64", "the hypercall port can move", function(open)
    local hv = require "hv"
    local vm = open { memory = "64K", hypercall_port = 0x500 }
    vm:load(0x1000, hv.asm("mov $0x500, %dx\n mov $9, %ax\n out %al, $0xe8\n"
        .. "out %al, %dx", { arch = "x86_64", bits = 16 }))
    vm:vcpu { pc = 0x1000 }
    t.eq(vm:run().port, 0xe8)
    t.eq(vm:run().nr, 9)
end)
