-- SPDX-License-Identifier: MIT
-- As inplace.lua, for x86_64 guests, whose exits in the midst of a run are OUTs: what
-- handlers see there, and what they have changed from the next instruction on.
local t = ...
local hv = require "hv"

local CODE, TABLES, STACK, PORT = 0x1000, 0x20000, 0x8000, 0x40

local function on(name, fn)
    t.on("x86_64", name, fn)
end

local function asm(code, bits)
    return hv.asm(code, { arch = "x86_64", bits = bits })
end

-- A machine with the code at CODE, in 64 bits unless told otherwise.
local function guest(open, code, registers, bits)
    local vm = open { memory = "2M" }
    local all = { pc = CODE, sp = STACK }
    vm:load(CODE, asm(code, bits or 64))
    for name, value in pairs(registers or {}) do
        all[name] = value
    end
    if bits == 32 then
        all = hv.x86.protected(all)
    elseif bits ~= 16 then
        all = hv.x86.long(vm, TABLES, all)
    end
    return vm, vm:vcpu(all)
end

local DOORS = { "out %al, $0xe8", "out %al, $0x40", "out %eax, %dx", "out %ax, $0x40" }

-- Guest code that calls `change` where it says DOOR: by a hypercall, and by writes to
-- a port.
local function after(open, code, change, check, bits, flags)
    for _, door in ipairs(DOORS) do
        local vm, cpu = guest(open, (code:gsub("DOOR", function() return door end)),
            { rax = 7, rdx = PORT, rflags = flags }, bits)
        local calls = 0
        local function handler(c)
            calls = calls + 1
            change(vm, c, calls)
        end
        vm:hypercall(7, function(c) handler(c) end)
        vm:attach { port = PORT, write = function(_, value, _, c)
            t.eq(value, 7)
            handler(c)
        end }
        check(vm, cpu, vm:run { timeout = 10 }, door, function() return calls end)
    end
end

on("an out: what its handler is told, and what it sees", function(open)
    local vm, cpu = guest(open, [[
        mov   $0x12345678, %eax
        out   %al, $0x40
        out   %ax, $0x40
        out   %eax, $0x40
        mov   $0x41, %edx
        out   %al, %dx
        out   %ax, %dx
        out   %eax, %dx
        hlt
    ]])
    local seen = {}
    vm:on("io", function(c, e)
        seen[#seen + 1] = { e.port, e.size, e.value, e.write, c.rip - CODE, c.rax }
        t.eq(c.rip, c.pc)
        t.eq(c.cs.l, 1)
        t.eq(c.rip - CODE, seen[#seen][5], "also when all has been looked at")
    end)
    t.eq({ vm:run { timeout = 10 }.kind, cpu.rip }, { "halt", CODE + 22 })
    local rax = 0x12345678
    t.eq(seen, {
        { 0x40, 1, 0x78, true, 7, rax }, { 0x40, 2, 0x5678, true, 10, rax },
        { 0x40, 4, rax, true, 12, rax }, { 0x41, 1, 0x78, true, 18, rax },
        { 0x41, 2, 0x5678, true, 20, rax }, { 0x41, 4, rax, true, 21, rax },
    })
end)

on("code right behind the out", function(open)
    for _, write in ipairs {
        function(vm, at) vm:load(at, asm("mov $2, %ebx", 64)) end,
        function(vm, at) vm:u8(at + 1, 2) end,
        function(vm, at) vm:view "u8"[at + 1] = 2 end,
        function(vm, at) vm:unmap(0) vm:map { at = 0, size = "2M" }
            hv.x86.long(vm, TABLES, {})
            vm:load(at, asm("mov $2, %ebx\n hlt", 64)) end,
    } do
        after(open, "DOOR\n mov $1, %ebx\n hlt", function(vm, c)
            write(vm, c.rip)
        end, function(_, cpu, e, door)
            t.eq({ e.kind, cpu.rbx }, { "halt", 2 }, door)
        end)
    end
end)

on("code elsewhere, and of the block under way before the out", function(open)
    local f
    after(open, [[
        jmp   start
f:      mov   $1, %ebx
        ret
start:  call  f
        mov   %ebx, %ecx
        DOOR
        call  f
        hlt
    ]], function(vm)
        f = CODE + 2
        vm:load(f, asm("mov $2, %ebx", 64))
    end, function(_, cpu, e, door)
        t.eq({ e.kind, cpu.rcx, cpu.rbx }, { "halt", 1, 2 }, door)
    end)
    after(open, [[
again:  mov   $1, %ebx
        DOOR
        dec   %esi
        jp    again
        hlt
    ]], function(vm)
        vm:u8(CODE + 1, 5)
    end, function(_, cpu, e, door, calls)
        t.eq({ e.kind, cpu.rbx, calls() }, { "halt", 5, 2 }, door)
    end)
end)

on("memory that comes, goes and is protected, behind an out", function(open)
    local data = 0x400000
    after(open, "mov $0x400000, %ebx\n DOOR\n mov (%rbx), %ecx\n hlt", function(vm)
        vm:map { at = data, size = "4K" }
        vm:u64(data, 77)
    end, function(_, cpu, e, door)
        t.eq({ e.kind, cpu.rcx }, { "halt", 77 }, door)
    end)
    for change, rights in pairs { protect = { "r" }, unmap = {} } do
        after(open, [[
            mov   $0x400000, %ebx
            out   %al, $0x50
            mov   %eax, (%rbx)
            DOOR
            mov   %eax, (%rbx)
            hlt
        ]], function(vm)
            vm[change](vm, data, table.unpack(rights))
        end, function(vm, cpu, e, door)
            t.eq(e.port, 0x50)
            vm:map { at = data, size = "4K" }
            e = vm:run { timeout = 10 }
            t.eq({ e.kind, e.addr, e.write, cpu.rbx }, { "mmio", data, true, data },
                door .. " " .. change)
        end)
    end
end)

on("the memory that the out is in goes, or may not be executed", function(open, backend)
    if backend ~= "unicorn" then
        t.skip "what a fetch from nowhere becomes is kvm's to say"
    end
    for _, change in ipairs {
        function(vm) vm:unmap(0x400000) end,
        function(vm) vm:protect(0x400000, "rw") end,
    } do
        after(open, "mov $0x400000, %ebx\n jmp *%rbx", function(vm) change(vm) end,
            function(vm, cpu, e, door, calls)
                t.eq(e.kind, "error") -- nothing is there yet
                vm:map { at = 0x400000, size = "4K" }
                local code = asm(door .. "\n mov $1, %ecx\n hlt", 64)
                vm:load(0x400000, code)
                e = vm:run { timeout = 10 }
                t.eq({ e.kind, calls(), cpu.rcx, cpu.rip },
                    { "error", 1, 0, 0x400000 + #code - 6 }, door)
            end)
    end
end)

on("rip", function(open)
    after(open, "DOOR\n hlt\n nop\n mov $5, %ebx\n hlt",
        function(_, c) c.rip = c.rip + 2 end,
        function(_, cpu, e, door)
            t.eq({ e.kind, cpu.rbx }, { "halt", 5 }, door)
        end)
    after(open, "DOOR\n mov $5, %ebx\n nop\n hlt", function(_, c)
        c.rip = c.rip + 5
        c:stop "enough"
    end, function(vm, cpu, e, door)
        t.eq({ e.kind, e.value, vm:u8(cpu.rip), cpu.rbx }, { "stop", "enough", 0x90, 0 },
            door)
        t.eq({ vm:run { timeout = 10 }.kind, cpu.rbx }, { "halt", 0 })
    end)
end)

on("flags live through an out, and can be changed by it", function(open)
    local code = [[
        cmp   $7, %eax      # equal: ZF
        DOOR
        setz  %bl
        jnz   no
        inc   %ecx
no:     mov   $-1, %rsi
        add   $1, %rsi      # CF
        DOOR
        adc   $0x10, %ebp
        stc
        inc   %edi          # keeps CF
        DOOR
        adc   $0x100, %ebp
        mov   $1, %esi
        add   $2, %esi      # 3, no CF; RFLAGS is more than 3
        DOOR
        adc   $0x1000, %ebp
        std
        DOOR
        pushf
        pop   %r8
        hlt
    ]]
    for _, look in ipairs {
        function() end,
        function(c, n) return c.rflags & 0x41, n end,
        function(c) return c.cr3 end,
        function(c) c.r9 = c.cr0 end,
        function(c) c.rflags = c.rflags end,
        function(c) c.rip = c.rip end,
        function(c) c.dr0 = 0 end,
        function(c) c.rflags = c.rflags c.dr0 = 0 c.rip = c.rip c.xmm1 = c.xmm1 end,
        function(c) c.rip = c.rip c.xmm1 = c.xmm1 c.rflags = c.rflags end,
        function(c) c.rflags = c.rflags return c.lstar + c.dr6 end,
    } do
        local want = { 0x40, 0x01, 0x01 }
        after(open, code, function(_, c, n)
            local flags, nr = look(c, n)
            if nr and want[nr] then
                t.eq(flags & want[nr], want[nr])
            end
        end, function(_, cpu, e, door)
            t.eq({ e.kind, cpu.bl, cpu.ecx, cpu.ebp, cpu.r8 & 0x400 },
                { "halt", 1, 1, 0x1112, 0x400 }, door)
        end)
    end
    after(open, code, function(_, c) c.rflags = c.rflags ~ 0x41 end,
        function(_, cpu, e, door)
            t.eq({ e.kind, cpu.bl, cpu.ecx, cpu.ebp }, { "halt", 0, 0, 0x1111 }, door)
        end)
end)

on("registers of every sort, in any order", function(open)
    after(open, "DOOR\n mov %r9, %r10\n hlt", function(_, c) c.r9 = c.cr3 end,
        function(_, cpu, e, door)
            t.eq({ e.kind, cpu.r9, cpu.r10 }, { "halt", TABLES, TABLES }, door)
        end)
    local sets = {
        function(c) c.rbx = 1 end, function(c) c.rflags = c.rflags | 1 end,
        function(c) c.dr0 = 0x7000 end, function(c) c.xmm0 = ("x"):rep(16) end,
        function(c) c.fs_base = 0x9000 end, function(c) c.lstar = 0x1234 end,
        function(c) c.rip = c.rip + 1 end, function(c) c.gdtr = { base = 5, limit = 6 } end,
        function(c) c.rcx = c.cr3 end, function(c) c.r15 = c.rip end,
    }
    local order = 7
    for _ = 1, 60 do
        local left, list = { table.unpack(sets) }, {}
        while #left > 0 do
            order = (order * 1103515245 + 12345) & 0x7fffffff
            list[#list + 1] = table.remove(left, (order >> 8) % #left + 1)
        end
        after(open, "cmp $7, %eax\n DOOR\n hlt\n mov %fs:8, %esi\n adc $0, %edi\n hlt",
            function(vm, c)
                vm:u32(0x9008, 99)
                local rip = c.rip
                for i = 1, #list do
                    list[i](c)
                end
                t.eq(c.rip, rip + 1)
                t.eq(c.rflags & 1, 1)
            end, function(_, cpu, e, door)
                t.eq({ e.kind, cpu.rbx, cpu.dr0, cpu.xmm0, cpu.fs_base, cpu.lstar,
                    cpu.gdtr.base, cpu.rcx, cpu.esi, cpu.edi },
                    { "halt", 1, 0x7000, ("x"):rep(16), 0x9000, 0x1234, 5, cpu.cr3,
                        99, 1 }, door)
            end)
    end
end)

on("page tables", function(open, backend)
    if backend ~= "unicorn" then
        t.skip "kvm calls no handler in place"
    end
    local one, two = 0x10000, 0x11000
    local paged = { rax = 7, rdx = PORT }
    local function machine(door, change)
        local vm, cpu = guest(open, "mov 0x405000, %ebx\n" .. door ..
            "\n mov 0x405000, %ecx\n hlt", paged, 32)
        vm:map { at = 0x200000, size = "6M" }
        for at, second in pairs { [one] = 0x400000, [two] = 0 } do
            vm:u32(at, 0x83) -- 4 MiB, writable
            vm:u32(at + 4, second | 0x83)
        end
        vm:u32(0x5000, 11)
        vm:u32(0x405000, 22)
        vm:hypercall(7, function(c) change(vm, c) end)
        vm:attach { port = PORT, write = function(_, _, _, c) change(vm, c) end }
        cpu.cr4 = cpu.cr4 | 0x10
        return vm, cpu
    end
    for _, door in ipairs(DOORS) do
        local vm, cpu = machine(door, function(_, c) c.cr3 = two end)
        cpu.cr3 = one
        cpu.cr0 = cpu.cr0 | 0x80000000
        t.eq({ vm:run { timeout = 10 }.kind, cpu.rbx, cpu.rcx }, { "halt", 22, 11 }, door)
        vm, cpu = machine(door, function(_, c)
            c.cr3 = two
            c.cr0 = c.cr0 | 0x80000000
        end)
        t.eq({ vm:run { timeout = 10 }.kind, cpu.rbx, cpu.rcx }, { "halt", 22, 11 }, door)
        vm, cpu = machine(door, function(m) m:u32(one + 4, 0x83) end) -- and no INVLPG
        cpu.cr3 = one
        cpu.cr0 = cpu.cr0 | 0x80000000
        t.eq({ vm:run { timeout = 10 }.kind, cpu.rbx, cpu.rcx }, { "halt", 22, 11 }, door)
    end
end)

on("the privilege level, by the handler", function(open)
    for _, door in ipairs { "out %al, $0xe8", "out %al, $0x40" } do
        -- Counted in memory: kvm-amd resets a vCPU that has shut down.
        local vm = guest(open, "again: " .. door .. "\n incl 0x9000\n jmp again",
            { rax = 7 }, 32)
        local calls = 0
        local function change(c)
            calls = calls + 1
            if calls < 3 then
                return
            end
            local tr = c.tr
            tr.limit = 0 -- no bitmap
            c.tr = tr
            for _, name in ipairs { "cs", "ss" } do
                local s = c[name]
                s.dpl, s.selector = 3, s.selector | 3
                c[name] = s
            end
        end
        vm:hypercall(7, function(c) change(c) end)
        vm:attach { port = PORT, write = function(_, _, _, c) change(c) end }
        local e = vm:run { timeout = 10 } -- #GP, and there is no IDT
        t.eq({ e.kind, calls, vm:u32(0x9000) }, { "shutdown", 3, 3 }, door)
    end
end)

on("breakpoints and watchpoints behind an out", function(open, backend)
    t.debugs(backend, "x86_64")
    after(open, "DOOR\n mov $1, %ebx\n hlt", function(_, c) c:breakpoint(c.rip) end,
        function(vm, cpu, e, door)
            t.eq({ e.kind, vm:u8(cpu.rip), cpu.rbx }, { "break", 0xbb, 0 }, door)
            t.eq({ vm:run { timeout = 10 }.kind, cpu.rbx }, { "halt", 1 }, door)
        end)
    after(open, "DOOR\n mov $1, %ebx\n nop\n nop\n hlt", -- where no hook is yet
        function(_, c) c:breakpoint(c.rip + 6) end,
        function(vm, cpu, e, door)
            t.eq({ e.kind, vm:u8(cpu.rip + 1), cpu.rbx }, { "break", 0xf4, 1 }, door)
            t.eq(vm:run { timeout = 10 }.kind, "halt", door)
        end)
    for _, door in ipairs(DOORS) do -- set before
        local vm, cpu = guest(open, door .. "\n mov $1, %ebx\n hlt",
            { rax = 7, rdx = PORT })
        local calls = 0
        vm:hypercall(7, function() calls = calls + 1 end)
        vm:attach { port = PORT, write = function() calls = calls + 1 end }
        cpu:breakpoint(CODE + #asm(door, 64))
        t.eq({ vm:run { timeout = 10 }.kind, calls, cpu.rbx }, { "break", 1, 0 }, door)
        t.eq({ vm:run { timeout = 10 }.kind, calls, cpu.rbx }, { "halt", 1, 1 }, door)
    end
    if backend == "unicorn" then
        after(open, "mov $0x9000, %ebx\n DOOR\n mov (%rbx), %ecx\n mov %eax, (%rbx)\n hlt",
            function(_, c) c:watchpoint(0x9000, 4, "w") end,
            function(_, _, e, door)
                t.eq({ e.kind, e.addr }, { "watch", 0x9000 }, door)
            end)
    end
end)

on("an interrupt that the handler injects", function(open, backend)
    for flags, want in pairs { [0x202] = 0, [0x2] = 1 } do -- or behind the STI
        after(open, "DOOR\n inc %bx\n sti\n nop\n inc %bx\n hlt", function(vm, c)
            vm:u32(4 * 0x30, 0x9000)
            vm:load(0x9000, asm("out %al, $0x50\n hlt", 16))
            c:inject { vector = 0x30 }
        end, function(_, cpu, e, door)
            t.eq({ e.kind, e.port, cpu.rip }, { "io", 0x50, 0x9002 }, door)
            t.ok(cpu.bx == want or (backend == "kvm" and cpu.bx > want))
        end, 16, flags)
    end
end)

on("another machine that runs meanwhile, and garbage", function(open)
    after(open, "cmp $7, %eax\n DOOR\n setz %bl\n hlt", function(vm)
        local other, cpu = guest(open, "mov $7, %eax\n out %al, $0xe8\n hlt")
        local calls = 0
        other:hypercall(7, function() calls = calls + 1 return 8 end)
        t.raises(function() vm:run() end, "running already")
        t.eq({ other:run { timeout = 5 }.kind, cpu.rax, calls }, { "halt", 8, 1 })
        collectgarbage()
        vm:map { at = 0x400000, size = "4K" }
        collectgarbage()
    end, function(_, cpu, e, door)
        t.eq({ e.kind, cpu.bl }, { "halt", 1 }, door)
    end)
end)

on("errors, closing, budgets and kicks in an out", function(open)
    for _, door in ipairs { "out %al, $0xe8", "out %al, $0x40" } do
        local code = door .. "\n" .. door .. "\n hlt"
        local function machine(change)
            local vm, cpu = guest(open, code, { rax = 7 })
            local calls = 0
            local function handler()
                calls = calls + 1
                change(vm, cpu)
            end
            vm:hypercall(7, handler)
            vm:attach { port = PORT, write = handler }
            return vm, cpu, function() return calls end
        end
        for _, look in ipairs { function() end, function(c) c.rbx = c.cr0 end,
            function(c) c.rflags = c.rflags end } do
            local vm, cpu, calls = machine(function(_, c) look(c) error "no" end)
            t.raises(function() vm:run() end, "no")
            t.eq({ cpu.rip, calls() }, { CODE + 2, 1 }, door)
            t.raises(function() vm:run() end, "no")
            t.eq({ cpu.rip, calls() }, { CODE + 4, 2 }, door)
            t.eq(vm:run().kind, "halt")
            vm, _, calls = machine(function(m, c) look(c) m:close() end)
            t.eq({ vm:run().kind, vm.closed, calls() }, { "stop", true, 1 }, door)
            vm, cpu, calls = machine(function(_, c) look(c) end)
            t.eq({ vm:run { exits = 1 }.kind, cpu.rip, calls() }, { "budget", CODE + 2, 1 })
            t.eq({ vm:run { exits = 2 }.kind, cpu.rip, calls() }, { "halt", CODE + 5, 2 })
            vm, cpu, calls = machine(function(_, c) look(c) c:kick() end)
            t.eq({ vm:run().kind, cpu.rip, calls() }, { "kick", CODE + 2, 1 }, door)
            t.eq({ vm:run().kind, cpu.rip, calls() }, { "kick", CODE + 4, 2 }, door)
        end
    end
end)

on("very many in one run", function(open)
    local many = t.sanitized and 20000 or 200000
    local vm, cpu = guest(open, [[
again:  mov   $7, %eax
        mov   %rbx, %rdi
        out   %al, $0xe8
        add   %rax, %r12
        dec   %rbx
        jnz   again
        hlt
    ]], { rbx = many })
    local calls = 0
    vm:hypercall(7, function(c, a)
        calls = calls + 1
        if calls == many // 2 then
            c:kick()
        end
        return a + 1
    end)
    t.eq({ vm:run { timeout = 60 }.kind, calls }, { "kick", many // 2 })
    t.eq({ vm:run { timeout = 60, exits = 1000 }.kind, calls }, { "budget", many // 2 + 1000 })
    t.eq({ vm:run { timeout = 60 }.kind, calls }, { "halt", many })
    t.eq(cpu.r12, many * (many + 1) // 2 + many)
    cpu.rip, cpu.rbx = CODE, -1
    t.eq(vm:run { timeout = 0.2 }.kind, "timeout")
    t.ok(calls > many)
end)

on("at the end of a page, with prefixes, and where blocks are full", function(open)
    local lines, want = {}, 0
    for i = 1, 700 do
        lines[#lines + 1] = i % 3 == 0 and "out %ax, $0x40" or "inc %ebx"
        want = want + (i % 3 == 0 and 1 or 0)
    end
    for pad = 0, 4 do
        local vm, cpu = guest(open, (".rept %d\n nop\n .endr\n"):format(pad) ..
            ("jmp far\n .org 0xffd\nfar: .rept %d\n nop\n .endr\n out %%al, $0x40\n"):format(pad)
            .. "inc %ecx\n" .. table.concat(lines, "\n") .. "\n hlt")
        local calls, last = 0, nil
        vm:attach { port = PORT, write = function(_, _, _, c)
            t.ok(last == nil or c.rip > last)
            calls, last = calls + 1, c.rip
        end }
        t.eq({ vm:run { timeout = 10 }.kind, calls, cpu.rbx, cpu.rcx },
            { "halt", want + 1, 700 - want, 1 })
    end
end)

on("several vcpus", function(open)
    local vm = open { memory = "2M" }
    vm:load(CODE, asm([[
again:  mov   $7, %eax
        mov   %rbx, %rdi
        out   %al, $0xe8
        add   %rax, %r12
        dec   %rbx
        jnz   again
        mov   $8, %eax
        out   %al, $0xe8
    ]], 64))
    local n, done, count = 5000, 0, {}
    for i = 1, 3 do
        vm:vcpu(hv.x86.long(vm, TABLES, { pc = CODE, sp = STACK * i, rbx = n, rcx = i }))
    end
    vm:hypercall(7, function(c, a)
        local i = c.rcx
        count[i] = (count[i] or 0) + 1
        if count[i] % 1000 == 0 then -- what the others run
            vm:u8(CODE, vm:u8(CODE))
            t.raises(function() return vm.cpus[i % 3 + 1].rip end, "only its own handlers")
        end
        return a
    end)
    vm:hypercall(8, function(c)
        done = done + 1
        t.eq(c.r12, n * (n + 1) // 2)
        if done == 3 then
            c:stop()
        end
        c.rip = c.rip - 2 -- once more
        c.rax = 9
    end)
    vm:hypercall(9, function(c) c.rip = c.rip - 2 end)
    t.eq({ vm:run { timeout = 60 }.kind, done, count }, { "stop", 3, { n, n, n } })
end)

on("a step over an out", function(open)
    local vm, cpu = guest(open, "out %al, $0x40\n inc %ebx\n out %al, $0x40\n hlt")
    local calls = 0
    vm:attach { port = PORT, write = function() calls = calls + 1 end }
    local e = cpu:step()
    t.eq({ e.kind, e.port, cpu.rip, calls }, { "io", 0x40, CODE + 2, 0 })
    t.eq({ cpu:step().kind, cpu.rip, cpu.rbx }, { "step", CODE + 4, 1 })
    t.eq({ vm:run { timeout = 10 }.kind, calls }, { "halt", 1 })
end)
