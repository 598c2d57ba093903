-- SPDX-License-Identifier: MIT
-- The exit loop: handlers, their errors, budgets, stopping, and what a handler may
-- do to the machine it serves.
local t = ...

-- Hypercalls 1, 2, 3, ... for ever; each result is added up.
local COUNT = {
    arm64 = [[
        mov   x19, #0
        mov   x20, #0
next:   add   x19, x19, #1
        mov   x1, x19
        mov   x0, #1
        hvc   #0
        add   x20, x20, x0
        b     next
    ]],
    x86_64 = [[
        xor   %bx, %bx
        xor   %bp, %bp
next:   inc   %bx
        mov   %bx, %di
        mov   $1, %ax
        out   %al, $0xe8
        add   %ax, %bp
        jmp   next
    ]],
}

local SPIN = { arm64 = "spin: b spin", x86_64 = "spin: jmp spin" }

local function sum(cpu, arch)
    return arch == "arm64" and cpu.x20 or cpu.rbp & 0xffff
end

t.on("handlers get arguments, results go back", function(open, _, arch)
    local vm, cpu = t.guest(open, COUNT)
    vm:hypercall(1, function(c, n)
        t.ok(c == cpu)
        if n == 5 then
            return c:stop { total = sum(c, arch) }
        end
        return 10 * n
    end)
    local exit = vm:run()
    t.eq(exit.kind, "stop")
    t.eq(exit.value, { total = 10 + 20 + 30 + 40 })
    t.ok(exit.cpu == cpu)
    vm:hypercall(1, function(c) c:stop() end)
    exit = vm:run()
    t.eq(exit.kind, "stop")
    t.eq(exit.value, nil)
end)

t.on("only the arguments a handler declares", function(open, _, arch)
    local vm = t.guest(open, {
        arm64 = [[ mov x1, #1
            mov x2, #2
            mov x3, #3
            mov x4, #4
            mov x5, #5
            mov x6, #6
            mov x7, #7
            mov x0, #70
    again:  hvc #0
            mov x0, #2
            b again ]],
        x86_64 = [[ mov $1, %di
            mov $2, %si
            mov $3, %dx
            mov $4, %cx
            movl $5, %edi
            mov $1, %di
            mov $70, %ax
    again:  out %al, $0xe8
            mov $2, %ax
            jmp again ]],
    })
    local all = arch == "arm64" and { 1, 2, 3, 4, 5, 6, 7 } or { 1, 2, 3, 4, 0, 0 }
    vm:hypercall(70, function(...)
        t.eq({ select(2, ...) }, all)
        vm:stop "all"
    end)
    t.eq(vm:run().value, "all")
    vm:hypercall(2, function(_, a, b, ...)
        t.eq({ a, b, select("#", ...) }, { 1, 2, #all - 2 })
        vm:stop "some"
    end)
    t.eq(vm:run().value, "some")
    vm:hypercall(2, function(...) t.eq(select("#", ...), 1 + #all) vm:stop "va" end)
    t.eq(vm:run().value, "va")
    local function two(_, a, b, none) t.eq({ a, b, none }, { 1, 2, all[3] }) vm:stop(2) end
    vm:hypercall(2, two)
    t.eq(vm:run().value, 2)
end)

t.on("several results, and nil keeps a register", function(open, _, arch)
    local vm, cpu = t.guest(open, {
        arm64 = "mov x1, #7\n mov x0, #1\n hvc #0\n mov x0, #9\n hvc #0",
        x86_64 = "mov $7, %dx\n mov $1, %ax\n out %al, $0xe8\n mov %ax, %bx\n"
            .. "mov $9, %ax\n out %al, $0xe8",
    })
    vm:hypercall(1, function() return nil, 5 end)
    vm:hypercall(9, function(c) c:stop() end)
    vm:run()
    t.eq(arch == "arm64" and cpu.x1 or cpu.dx, 5)
    t.eq(cpu[arch == "arm64" and "x0" or "ax"], 9)
end)

t.on("results that are no integers are the handler's mistake", function(open)
    for _, wrong in ipairs { "text", 1.5, {}, true } do
        local vm = t.guest(open, COUNT)
        vm:hypercall(1, function() return wrong end)
        local why = t.raises(function() vm:run() end,
            "hypercall 1: result 1: an integer expected")
        t.ok(why:find "vcpu 0, guest pc 0x10", why)
    end
    local vm = t.guest(open, COUNT)
    vm:hypercall(1, function() return 1, 2, 3, 4, 5 end)
    t.raises(function() vm:run() end, "result")
end)

t.on("an unknown hypercall goes to on, or ends the run", function(open)
    local vm = t.guest(open, COUNT)
    local exit = vm:run()
    t.eq({ exit.kind, exit.nr }, { "hvc", 1 })
    local seen
    vm:on("hvc", function(cpu, e)
        seen = e
        cpu:stop(e.nr + 100)
    end)
    t.eq(vm:run().value, 101)
    t.eq(seen.kind, "hvc")
    vm:on("hvc", nil)
    t.eq(vm:run().kind, "hvc")
    vm:hypercall(1, function(cpu) cpu:stop "number" end)
    t.eq(vm:run().value, "number")
    vm:hypercall(1, nil)
    t.eq(vm:run().kind, "hvc")
end)

t.on("on and hypercall check what they are given", function(open)
    local vm = open { memory = "64K" }
    t.raises(function() vm:on("hcv", print) end, 'did you mean "hvc"?')
    t.raises(function() vm:on("timeout", print) end, "ends the run")
    t.raises(function() vm:on("hvc", 5) end, "a function or nil expected, got number")
    t.raises(function() vm:hypercall("x", print) end, "an integer expected")
    t.raises(function() vm:hypercall(1, {}) end, "a function or nil expected")
    t.raises(function() vm:hypercall(1, print, 2) end, "at most 2 arguments")
    t.raises(function() vm:on(nil, print) end, "string expected")
end)

t.on("a handler's error is the script's error", function(open)
    local vm, cpu = t.guest(open, COUNT)
    local line
    vm:hypercall(1, function()
        line = debug.getinfo(1, "l").currentline + 1
        error "boom"
    end)
    local why = t.raises(function() vm:run() end, "boom")
    t.ok(why:find("loop.lua:" .. line .. ": boom", 1, true), why)
    t.ok(why:find("hypercall 1 (hvc #0), vcpu 0, guest pc 0x10", 1, true), why)
    t.ok(why:find("stack traceback:", 1, true), why)
    -- ... and the machine stays usable, behind the instruction.
    local pc = cpu.pc
    vm:hypercall(1, function(c, n) return c:stop(n) end)
    t.eq(vm:run().value, 2)
    t.eq(cpu.pc, pc)
end)

t.on("errors that are no strings come through as they are", function(open)
    local vm = t.guest(open, COUNT)
    local thing = { code = 7 }
    vm:hypercall(1, function() error(thing) end)
    local ok, why = pcall(vm.run, vm)
    t.ok(not ok and why == thing)
    vm:hypercall(1, function() error() end)
    ok, why = pcall(vm.run, vm)
    t.ok(not ok and why == nil)
end)

t.on("a thousand errors in a row do not wear anything out", function(open)
    local vm = t.guest(open, COUNT)
    local n = 0
    vm:hypercall(1, function() n = n + 1 error "again" end)
    for _ = 1, 1000 do
        t.ok(not pcall(vm.run, vm))
    end
    t.eq(n, 1000)
    vm:hypercall(1, function(c, i) return c:stop(i) end)
    t.eq(vm:run().value, 1001)
end)

t.on("a handler cannot yield", function(open)
    local vm = t.guest(open, COUNT)
    vm:hypercall(1, function() coroutine.yield() end)
    t.raises(function() vm:run() end, "attempt to yield")
    vm:hypercall(1, function(c)
        local co = coroutine.wrap(function() coroutine.yield(5) end)
        return c:stop(co())
    end)
    t.eq(vm:run().value, 5)
end)

t.on("runs inside a coroutine", function(open)
    local vm = t.guest(open, COUNT)
    vm:hypercall(1, function(c, n) if n == 3 then c:stop(n) end end)
    local co = coroutine.create(function() return vm:run().value end)
    t.eq({ coroutine.resume(co) }, { true, 3 })
end)

t.on("code of the script's that runs inside a call and closes the machine", function(open)
    local function closing(use)
        local vm = open { memory = "64K" }
        local cpu = vm:vcpu()
        local options = setmetatable({}, {
            __index = function() vm:close() end,
        })
        pcall(use, vm, cpu, options)
        vm:close()
    end
    closing(function(vm, _, options)
        options.timeout = 0.01
        vm:run(options)
    end)
    closing(function(vm, _, options) vm:map(options) end)
    closing(function(vm, _, options) vm:attach(options) end)
    closing(function(vm, _, options) vm:vcpu(options) end)
    closing(function(_, cpu, options) cpu:inject(options) end)
    closing(function(_, cpu, options) cpu.cs = options end)
    local packsize = string.packsize
    closing(function(vm)
        string.packsize = function() vm:close() return 4 end -- luacheck: ignore 122
        vm:unpack("I4", 0)
    end)
    string.packsize = packsize -- luacheck: ignore 122
    for _ = 1, 20 do -- a finalizer strikes in the middle of a read
        local vm = open { memory = "1M" }
        vm:vcpu()
        setmetatable({}, { __gc = function() vm:close() end })
        local ok, why
        for _ = 1, 60 do
            ok, why = pcall(vm.read, vm, 0, 500000)
            if not ok then
                t.ok(why:find "closed", why)
            end
        end
        vm:close()
    end
end)

-- ---- budgets -----------------------------------------------------------

t.on("an exits budget ends a talkative guest", function(open)
    local vm = t.guest(open, COUNT)
    local n = 0
    vm:hypercall(1, function() n = n + 1 end)
    t.eq(vm:run { exits = 7 }.kind, "budget")
    t.eq(n, 7)
    t.eq(vm:run { exits = 1 }.kind, "budget")
    t.eq(n, 8)
    t.raises(function() vm:run { exits = 0 } end, "at least 1")
    t.raises(function() vm:run { exits = -1 } end, "at least 1")
    t.raises(function() vm:run { exits = "7" } end, "an integer expected")
    t.raises(function() vm:run { exit = 7 } end, 'did you mean "exits"?')
    t.raises(function() vm:run(7) end, "a table expected")
    t.raises(function() vm:run({}, 1) end, "at most 1 argument")
end)

t.on("a timeout ends an endless guest", function(open)
    local vm = t.guest(open, SPIN)
    for _ = 1, 3 do
        local started = os.clock()
        local exit = vm:run { timeout = 0.02 }
        t.eq(exit.kind, "timeout")
        t.ok(os.clock() - started < 5)
    end
    t.raises(function() vm:run { timeout = 0 } end, "more than 0")
    t.raises(function() vm:run { timeout = -1 } end, "more than 0")
    t.raises(function() vm:run { timeout = 0 / 0 } end, "more than 0")
    t.raises(function() vm:run { timeout = "x" } end, "more than 0")
    t.raises(function() vm:run { timeout = {} } end, "more than 0")
end)

t.on("a timeout ends an endless handler", function(open)
    local vm = t.guest(open, COUNT)
    local entered = 0
    vm:hypercall(1, function()
        entered = entered + 1
        while true do end
    end)
    t.eq(vm:run { timeout = 0.02 }.kind, "timeout")
    t.eq(entered, 1)
    vm:hypercall(1, function()
        while true do pcall(function() while true do end end) end
    end)
    t.eq(vm:run { timeout = 0.02 }.kind, "timeout", "one that catches errors")
    vm:hypercall(1, function(c) c:stop "well" end)
    t.eq(vm:run { timeout = 10 }.value, "well", "and nothing is left armed")
    for i = 1, 1000 do
        t.ok(i)
    end
end)

t.on("a timeout ends an endless read, which then is all ones", function(open, _, arch)
    local vm, cpu = t.guest(open, {
        arm64 = "mov x1, #0x100000\nldrb w2, [x1]\nhvc #0",
        x86_64 = "mov $0xffff, %ax\nmov %ax, %ds\nmov 0x10, %dl\nout %al, $0xe8",
    })
    local reading = false
    vm:attach { at = "1M", size = 1, read = function()
        reading = true
        while true do end
    end }
    for _ = 1, 100 do -- a slow host may need more than one to get there
        t.eq(vm:run { timeout = 0.02 }.kind, "timeout")
        if reading then
            break
        end
    end
    t.ok(reading, "it never read")
    t.eq(arch == "arm64" and cpu.w2 or cpu.dl, 0xff)
    t.eq(vm:run { timeout = 10 }.kind, "hvc", "and on it goes")
end)

t.on("a timeout ends a machine inside a handler too", function(open)
    t.several(open)
    local vm = t.guest(open, COUNT)
    local inner = t.guest(open, SPIN)
    vm:hypercall(1, function() while true do inner:run() end end)
    t.eq(vm:run { timeout = 0.05 }.kind, "timeout")
    t.eq(inner.running, false)
    t.eq(inner:run { timeout = 0.01 }.kind, "timeout")
end)

t.on("a timeout that does not fire costs nothing and leaves nothing", function(open)
    local vm = t.guest(open, COUNT)
    vm:hypercall(1, function(c, n) return c:stop(n) end)
    for i = 1, 50 do
        t.eq(vm:run { timeout = 60 }.value, i)
    end
end)

-- ---- what handlers may do -------------------------------------------------

t.on("a handler registers handlers", function(open)
    local vm = t.guest(open, COUNT)
    vm:hypercall(1, function()
        vm:hypercall(1, function(c, n) c:stop(n) end)
    end)
    t.eq(vm:run().value, 2)
end)

t.on("a handler removes itself and is collected", function(open)
    local vm = t.guest(open, COUNT)
    vm:hypercall(1, function(_, n)
        vm:hypercall(1, nil)
        collectgarbage()
        return n
    end)
    local exit = vm:run()
    t.eq({ exit.kind, exit.nr }, { "hvc", 1 })
end)

t.on("a handler maps, unmaps and writes memory", function(open)
    local vm = t.guest(open, COUNT)
    local extra
    vm:hypercall(1, function(c, n)
        if n == 1 then
            extra = vm:map { at = "4M", size = "64K" }
            vm:write("4M", "mapped")
        elseif n == 2 then
            t.eq(vm:read("4M", 6), "mapped")
            extra:protect "r"
        elseif n == 3 then
            extra:unmap()
            collectgarbage()
        else
            c:stop(#vm.memory)
        end
    end)
    t.eq(vm:run().value, 1)
end)

t.on("a handler cannot run its own machine", function(open)
    local vm, cpu = t.guest(open, COUNT)
    vm:hypercall(1, function(c, n)
        t.raises(function() vm:run() end, "running already")
        t.raises(function() cpu:run() end, "running already")
        t.raises(function() cpu:enter() end, "running already")
        t.raises(function() vm:vcpu() end, "is running")
        t.eq(vm.running, true)
        c:stop(n)
    end)
    t.eq(vm:run().value, 1)
    t.eq(vm:run().value, 2)
    t.eq(vm.running, false)
end)

t.on("a handler runs another machine", function(open)
    t.several(open)
    local vm, inner = t.guest(open, COUNT), t.guest(open, COUNT)
    inner:hypercall(1, function(c, n) c:stop(n * 100) end)
    vm:hypercall(1, function(c, n) c:stop(inner:run().value + n) end)
    t.eq(vm:run().value, 101)
    t.eq(vm:run().value, 202)
end)

t.on("machines in handlers of machines, too deep", function(open)
    t.several(open)
    t.guest(open, COUNT):close() -- which may be skipped
    local function dig(depth)
        local vm <close> = t.guest(open, COUNT)
        vm:hypercall(1, function(c) c:stop(dig(depth + 1)) end)
        return vm:run().value
    end
    t.raises(function() dig(1) end, "too deep")
end)

t.on("a handler closes its machine", function(open)
    local vm, cpu = t.guest(open, COUNT)
    vm:hypercall(1, function()
        vm:close()
        t.raises(function() return cpu.pc end, "closed")
        t.raises(function() vm:read(0, 1) end, "closed")
        collectgarbage()
        return 5
    end)
    t.eq(vm:run().kind, "stop")
    t.ok(vm.closed)
    vm:close()
end)

t.on("a handler closes its machine and raises", function(open)
    local vm = t.guest(open, COUNT)
    vm:hypercall(1, function()
        vm:close()
        error "after closing"
    end)
    t.raises(function() vm:run() end, "after closing")
    t.ok(vm.closed)
end)

t.on("the last reference goes while the machine runs", function(open)
    local n = 0
    local function go()
        local vm = t.guest(open, COUNT)
        vm:hypercall(1, function(c, i)
            n = i
            if i == 20 then c:stop "end" end
        end)
        return vm
    end
    local function collect() collectgarbage() collectgarbage() end
    local vm = go()
    local run = vm.run
    local exit = run((function() local v = vm; vm = nil; collect() return v end)())
    t.eq({ n, exit.value }, { 20, "end" })
end)

t.on("stop and kick outside a run", function(open)
    local vm, cpu = t.guest(open, COUNT)
    t.raises(function() vm:stop() end, "not running")
    t.raises(function() cpu:stop() end, "not running")
    vm:hypercall(1, function(c, n) c:stop(n) end)
    cpu:kick()
    t.eq(vm:run().kind, "kick", "latched")
    t.eq(vm:run().value, 1, "and used up")
end)

t.on("a kick in a handler ends the run after it", function(open)
    local vm, cpu = t.guest(open, COUNT)
    local n = 0
    vm:hypercall(1, function(c) n = n + 1 c:kick() return 1 end)
    t.eq(vm:run().kind, "kick")
    t.eq(n, 1)
    t.eq(vm:run().kind, "kick")
    t.eq(n, 2)
    t.ok(cpu.pc)
end)

t.on("enter: one entry, one exit", function(open, _, arch)
    local vm, cpu = t.guest(open, COUNT)
    vm:hypercall(1, function() error "handlers are not called" end)
    for i = 1, 3 do
        local exit = cpu:enter()
        t.eq({ exit.kind, exit.nr }, { "hvc", 1 })
        t.eq(arch == "arm64" and cpu.x1 or cpu.di, i)
    end
    t.raises(function() cpu:answer(1) end, "it has read nothing")
    t.raises(function() cpu:enter(1) end, "it has read nothing")
end)

t.on("the collector may strike at every step", function(open)
    local mode = collectgarbage "incremental"
    local pause, speed = collectgarbage("setpause", 0), collectgarbage("setstepmul", 400)
    local _ <close> = setmetatable({}, { __close = function() -- skipped or not
        collectgarbage("setpause", pause)
        collectgarbage("setstepmul", speed)
        collectgarbage(mode)
    end })
    local vm = t.guest(open, COUNT)
    local kept = {}
    vm:hypercall(1, function(c, n)
        kept[n % 7] = { tostring(n) }
        collectgarbage "step"
        if n == 300 then c:stop(#kept) end
        return n
    end)
    t.eq(vm:run().kind, "stop")
end)
