-- SPDX-License-Identifier: MIT
-- Several vCPUs in one machine: on a thread each, or taking turns; a script
-- cannot tell which.
local t = ...

-- Adds 1 to a shared counter x3/ecx times under a lock of its own making, then
-- hypercall 1, for ever.
local LOCKED = {
    arm64 = [[
        mov   x1, #0x4000           // the lock
        mov   x2, #0x5000           // what it protects
again:  mov   x4, #0
next:   mov   w6, #1
take:   ldaxr w5, [x1]
        cbnz  w5, take
        stxr  w5, w6, [x1]
        cbnz  w5, take
        ldr   x7, [x2]
        add   x7, x7, #1
        str   x7, [x2]
        stlr  wzr, [x1]
        add   x4, x4, #1
        cmp   x4, x3
        b.ne  next
        mov   x0, #1
        hvc   #0
        b     again
    ]],
    x86_64 = [[
again:  mov   %cx, %bx
next:   mov   $1, %al
take:   xchg  %al, 0x4000
        test  %al, %al
        jnz   take
        incl  0x5000
        movb  $0, 0x4000
        dec   %bx
        jnz   next
        mov   $1, %eax
        out   %al, $0xe8
        jmp   again
    ]],
}

local SPIN = {
    arm64 = "add x0, x0, #1\n b .-4",
    x86_64 = "spin: jmp spin",
}

-- `n` vCPUs that all begin with the same code.
local function guest(open, code, n, registers)
    local vm, first = t.guest(open, code, registers)
    local cpus = { first }
    for i = 2, n do
        local all = { pc = 0x1000, sp = 0x8000 - 0x800 * i }
        for name, value in pairs(registers or {}) do
            all[name] = value
        end
        cpus[i] = vm:vcpu(all)
    end
    return vm, cpus
end

local function rounds(arch, n)
    return { [arch == "arm64" and "x3" or "rcx"] = n }
end

t.on("vCPUs share memory, locks hold", function(open, backend, arch)
    local n = backend == "kvm" and 300 or 5000
    for count = 2, 4 do
        local vm, cpus = guest(open, LOCKED, count, rounds(arch, n))
        local done, seen, inside = 0, {}, false
        vm:hypercall(1, function(cpu)
            t.ok(not inside, "handlers run one at a time")
            inside = true
            if not seen[cpu.index] then
                seen[cpu.index] = true
                done = done + 1
            end
            inside = false
            if done == count then cpu:stop(done) end
        end)
        local exit = vm:run { timeout = 60 }
        t.eq({ exit.kind, exit.value }, { "stop", count })
        t.eq(#vm.cpus, count)
        t.ok(vm:u32(0x5000) >= count * n, "the lock holds")
        t.ok(exit.cpu == cpus[exit.cpu.index + 1])
    end
end)

t.on("a run with a fixed number of rounds loses no increment", function(open, _, arch)
    local vm, cpus = guest(open, LOCKED, 2, rounds(arch, 200))
    local left = { [0] = 5, 5 }
    vm:hypercall(1, function(cpu)
        left[cpu.index] = left[cpu.index] - 1
        if left[0] <= 0 and left[1] <= 0 then
            cpu:stop()
        elseif left[cpu.index] <= 0 then
            cpu.pc = 0x3000 -- wait there
        end
    end)
    vm:load(0x3000, require("hv").asm(SPIN[arch],
        { arch = arch, bits = arch == "x86_64" and 16 or nil }))
    t.eq(vm:run { timeout = 60 }.kind, "stop")
    t.eq(vm:u16(0x5000), 2 * 5 * 200)
    t.eq(#cpus, 2)
end)

t.on("cpu:run runs one of them", function(open, _, arch)
    local vm, cpus = guest(open, LOCKED, 2, rounds(arch, 10))
    local who = {}
    vm:hypercall(1, function(cpu)
        who[#who + 1] = cpu.index
        cpu:stop()
    end)
    t.ok(cpus[2]:run { timeout = 10 }.cpu == cpus[2])
    t.ok(cpus[1]:run { timeout = 10 }.cpu == cpus[1])
    t.eq(who, { 1, 0 })
    t.eq(vm:u16(0x5000), 20)
end)

t.on("a vCPU that may be in the guest is not touched", function(open)
    local vm, cpus = guest(open, LOCKED, 2, { [open().arch == "arm64" and "x3" or "rcx"] = 5 })
    vm:hypercall(1, function(cpu)
        local other = cpus[cpu.index == 0 and 2 or 1]
        t.raises(function() return other.pc end, "it is running")
        t.raises(function() other.pc = 0 end, "it is running")
        t.raises(function() other:breakpoint(0) end, "it is running")
        t.raises(function() other:translate(0) end, "it is running")
        t.ok(cpu.pc > 0)
        cpu:stop()
    end)
    t.eq(vm:run { timeout = 10 }.kind, "stop")
    t.ok(cpus[1].pc > 0 and cpus[2].pc > 0)
end)

t.on("the end of a run ends all, and none of their exits is lost", function(open, _, arch)
    local vm, cpus = guest(open, LOCKED, 3, rounds(arch, 3))
    local count = { [0] = 0, 0, 0 }
    vm:hypercall(1, function(cpu)
        count[cpu.index] = count[cpu.index] + 1
        cpu:stop()
    end)
    for _ = 1, 60 do
        t.eq(vm:run { timeout = 20 }.kind, "stop")
    end
    local all = count[0] + count[1] + count[2]
    t.eq(all, 60)
    local held = vm:u16(0x5000) - 3 * all -- rounds under way, exits not delivered
    t.ok(held >= 0 and held <= 3 * 3, held)
    t.eq(#cpus, 3)
end)

t.on("a handler's error, a budget, a timeout, a kick end them all", function(open, _, arch)
    local vm, cpus = guest(open, LOCKED, 3, rounds(arch, 5))
    vm:hypercall(1, function(cpu) error("from " .. cpu.index) end)
    t.raises(function() vm:run { timeout = 20 } end, "from ")
    local n = 0
    vm:hypercall(1, function() n = n + 1 end)
    t.eq(vm:run { timeout = 20, exits = 9 }.kind, "budget")
    t.eq(n, 9)
    local first
    vm:hypercall(1, function(cpu)
        first = first or cpu.index
        cpus[first == 0 and 3 or 1]:kick()
    end)
    local exit = vm:run { timeout = 20 }
    t.eq(exit.kind, "kick")
    t.ok(exit.cpu == cpus[first == 0 and 3 or 1])
    vm:hypercall(1, function() while true do end end)
    t.eq(vm:run { timeout = 0.05 }.kind, "timeout")
    t.eq(vm:run { timeout = 0.05 }.kind, "timeout")
end)

t.on("arm64", "memory comes and goes while another vCPU writes to a device", function(open)
    local vm = t.guest(open, { arm64 = [[
again:  mov   x0, #1
        hvc   #0
        b     again
        .org  0x100
        mov   x1, #0x40000000
next:   stp   x2, x3, [x1], #16
        sub   x1, x1, #16
        b     next
    ]] })
    vm:vcpu { pc = 0x1100 }
    local writes, calls, alone, page = 0, 0, 0, vm.page_size
    vm:attach { at = 0x40000000, size = 16, write = function()
        writes, alone = writes + 1, 0
    end }
    vm:hypercall(1, function(cpu)
        calls, alone = calls + 1, alone + 1
        for i = 1, alone <= 20 and 10 or 0 do -- unicorn's vCPUs have long turns
            vm:map { at = 0x10000000 + i * page, size = page }
        end
        for i = 1, alone <= 20 and 10 or 0 do
            vm:unmap(0x10000000 + i * page)
        end
        if calls >= 20 and writes >= 20 then cpu:stop() end
    end)
    t.eq(vm:run { timeout = 60 }.kind, "stop")
end)

t.on("a handler closes the machine that several vCPUs run", function(open, _, arch)
    local vm, cpus = guest(open, LOCKED, 3, rounds(arch, 5))
    vm:hypercall(1, function() vm:close() end)
    t.eq(vm:run { timeout = 20 }.kind, "stop")
    t.ok(vm.closed)
    t.raises(function() return cpus[2].pc end, "closed")
end)

t.on("endless guests of all vCPUs end in time", function(open)
    local vm = guest(open, SPIN, 4)
    t.eq(vm:run { timeout = 0.1 }.kind, "timeout")
    t.eq(vm:run { timeout = 0.1 }.kind, "timeout")
end)

t.on("64 vCPUs and no more", function(open)
    local vm = open { memory = "64K" }
    local made = 0
    while made < 70 do
        local ok, why = pcall(vm.vcpu, vm)
        if not ok then
            t.ok(why:find "at most 64" or why:find "kvm: ", why)
            break
        end
        made = made + 1
    end
    t.ok(made >= 4 and made <= 64, made)
    t.eq(#vm.cpus, made)
end)
