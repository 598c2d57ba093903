-- SPDX-License-Identifier: MIT
-- Hostile guests: streams of random and of mutated valid instructions, each in a
-- machine of its own with a budget, in workers (tests/hostile/batch.lua). No stream
-- may crash hvlua, hang it, or leave something behind. What goes down in libunicorn
-- is contained, and told with its seed:
--   hvlua tests/hostile/replay.lua unicorn x86_64 random 1234
--
-- HVLUA_STREAMS is how many of each kind run (2000); `make fuzz` runs 100000. On
-- kvm, whose machines take longer to make, a hundredth of that but at least 50.
local t = ...
local hv = require "hv"

package.path = t.folder .. "/tests/?.lua;" .. package.path
local batch = require "hostile.batch"

local REPLAY = t.folder .. "/tests/hostile/replay.lua"
local STREAMS = math.tointeger(os.getenv "HVLUA_STREAMS") or 2000
local FULL = STREAMS > 2000 -- then it tells how it went

local function say(format, ...)
    io.write("# ", format:format(...):gsub("\n", " "), "\n")
    io.flush()
end

local function tell(report, title)
    local kinds = {}
    for kind, count in pairs(report.how) do
        kinds[#kinds + 1] = ("%s %d"):format(kind, count)
    end
    table.sort(kinds)
    say("%s: %d streams, %d exits, %.1f s; %d crashes, %d failures", title, report.ran,
        report.exits, report.seconds, #report.crashes, #report.failures)
    say("  %s", table.concat(kinds, ", "))
end

local function replay_line(job, seed)
    return ("replay.lua %s %s %s %d"):format(job.backend, job.arch, job.kind, seed)
end

-- A leak shows in what a worker has more at its end than after its first streams.
-- What pipes there are at a moment varies, and so does what malloc() keeps.
local function check_grown(grown)
    t.ok(grown.maps < 64, grown.maps .. " mappings more")
    t.ok(grown.files <= 8, grown.files .. " open files more")
    t.ok(grown.threads <= 0, grown.threads .. " threads more")
    t.ok(grown.bytes < 96 << 20, grown.bytes .. " bytes more")
end

-- What the sanitizer wrote of a crash that is told here, and is not hvlua's.
local function drop_report(pid)
    local log = (os.getenv "ASAN_OPTIONS" or ""):match "log_path=([^:]+)"
    if log then
        os.remove(log .. "." .. pid)
    end
end

local function check(job, report)
    local bad = {}
    for _, crash in ipairs(report.crashes) do
        local line = ("%s: signal %s: %s"):format(replay_line(job, crash.seed),
                                                 crash.signal, crash.why)
        if crash.whose == "libunicorn" then
            say("contained, libunicorn's own: %s", line)
            drop_report(crash.pid)
        else
            bad[#bad + 1] = line
        end
    end
    for _, failure in ipairs(report.failures) do
        bad[#bad + 1] = ("%s: %s"):format(replay_line(job, failure.seed), failure.why)
    end
    t.ok(#bad == 0, table.concat(bad, "\n", 1, math.min(#bad, 20)))
    t.eq(report.ran, job.count)
    if report.grown then
        check_grown(report.grown)
    end
end

-- ---- the streams ------------------------------------------------------------

-- The kernel in QEMU then goes on without paging at its own next instruction, with the
-- guest's general registers, and nothing there runs any more.
local function check_survives(backend, arch, kind)
    if kind == "mutated" and backend == "kvm" and arch == "x86_64"
        and os.getenv "HVLUA_NESTED" then
        t.skip "QEMU 7.2 comes out of some guests with their CR0, and with that goes down itself"
    end
end

for _, kind in ipairs { "random", "mutated" } do
    t.on(kind .. " streams", function(open, backend, arch)
        open():close() -- where the library is too old it says so here
        check_survives(backend, arch, kind)
        local count = backend == "kvm" and math.max(STREAMS // 100, 50) or STREAMS
        local job = { hvlua = t.hvlua, replay = REPLAY, backend = backend, arch = arch,
            kind = kind, count = count }
        local report = batch.run(job)
        if FULL then
            tell(report, ("%s %s %s"):format(backend, arch, kind))
        end
        check(job, report)
        -- Streams that all end alike would test little.
        local kinds = 0
        for _ in pairs(report.how) do
            kinds = kinds + 1
        end
        local least = backend == "kvm" and arch == "arm64" and 3 or 6
        t.ok(kinds >= least, "they end in " .. kinds .. " ways only")
        t.ok(report.exits > report.ran, "there are few exits")
    end)
end

-- In one process that ends in peace, so that a program built with SANITIZE= finds
-- what is left behind.
for _, kind in ipairs { "random", "mutated" } do
    t.on(kind .. " streams leave nothing behind", function(open, backend, arch)
        open():close()
        check_survives(backend, arch, kind)
        local status, out, err = t.run { "env",
            "LSAN_OPTIONS=suppressions=" .. t.folder .. "/tests/hostile/lsan.supp",
            t.hvlua, REPLAY, backend, arch, kind, "1", backend == "kvm" and "20" or "100" }
        if status == -6 and batch.assertion(err) then
            t.skip("libunicorn gave up: " .. batch.assertion(err))
        end
        t.eq(status, 0, out .. err)
    end)
end

-- ---- the containment --------------------------------------------------------

local function batch_of(count, body, whose)
    return batch.run { count = count, body = body, workers = 2, hvlua = t.hvlua,
        replay = whose and REPLAY }
end

local function die(signal)
    require("hv.core").pipe { "sh", "-c", ("kill -%s $PPID"):format(signal) }
end

t.test("a crash costs one stream, and is told by its seed", function()
    local report = batch_of(2500, function(seed)
        if seed == 700 or seed == 701 or seed == 2500 then
            io.stderr:write "hvlua: qemu/tcg/tcg.c:1: f: Assertion `x' failed.\n"
            die "ABRT"
        end
        return "end", 1
    end)
    t.eq({ report.ran, report.exits, report.how["end"] }, { 2500, 2497, 2497 })
    local seeds = {}
    for i, crash in ipairs(report.crashes) do
        seeds[i] = crash.seed
        t.eq({ crash.signal, crash.whose }, { 6, "libunicorn" })
        t.ok(crash.why:find("Assertion `x' failed", 1, true), crash.why)
    end
    table.sort(seeds)
    t.eq(seeds, { 700, 701, 2500 })
end)

t.test("a crash that the library does not own up to is hvlua's", function()
    local report = batch_of(20, function(seed)
        if seed == 5 then
            die "KILL"
        elseif seed == 6 then
            die "ABRT"
        end
        return "end", 1
    end)
    t.eq(report.ran, 20)
    t.eq({ report.crashes[1].seed, report.crashes[1].whose }, { 5, "hvlua" })
    t.eq({ report.crashes[2].seed, report.crashes[2].whose }, { 6, "hvlua" })
end)

t.test("what a stream raises is a failure", function()
    local report = batch_of(10, function(seed)
        if seed % 4 == 0 then
            error "not so"
        end
        return "end", 1
    end)
    t.eq({ report.ran, #report.failures, report.how }, { 10, 2, { ["end"] = 8 } })
    t.ok(report.failures[1].why:find "not so")
end)

t.test("whose a backtrace says a crash is", function()
    local heading = "Thread 1 \"hvlua\" received signal SIGSEGV, Segmentation fault.\n"
    local function whose(frames)
        return (batch.judge(heading .. frames))
    end
    t.eq(whose("#0  0x0000700000001010 in ?? ()\n 0x700000000000 0x700000100000 "
               .. "0x100000 0x0 rwxp\n"), "libunicorn")
    t.eq(whose "#0  0x0000600000001010 in ?? ()\n", "hvlua")
    t.eq(whose("#0  0x1 in memcpy () from /lib/libc.so.6\n#1  0x2 in tlb_flush () "
               .. "from /usr/lib/libunicorn.so.2\n#2  run (x=1) at core/unicorn.c:1\n"),
         "libunicorn")
    t.eq(whose("#0  0x1 in memcpy () from /lib/libc.so.6\n#1  0x2 in take (x=0x1) at "
               .. "core/mem.c:5\n#2  0x3 in uc_emu_start () from "
               .. "/usr/lib/libunicorn.so.2\n"), "hvlua")
    t.eq(batch.judge "[Inferior 1 (process 1) exited normally]\n", nil)
end)

-- ---- what streams have found ------------------------------------------------

t.on("arm64", "a guest sets breakpoints of its own", function(open)
    local vm, cpu = t.guest(open, { arm64 = [[
        adr   x1, there
        msr   dbgbvr0_el1, x1
        mov   x2, #0x1e5
        msr   dbgbcr0_el1, x2
        isb
        mrs   x3, dbgbcr0_el1
        mov   x4, #0xa000
        msr   mdscr_el1, x4
        isb
        mrs   x5, mdscr_el1
there:  mov   x6, #1
        hvc   #3
    ]] })
    local exit = vm:run { timeout = 5 }
    t.eq({ exit.kind, exit.imm }, { "hvc", 3 })
    t.eq({ cpu.x3, cpu.x5, cpu.x6 }, { 0x1e5, 0xa000, 1 })
end)

t.on("x86_64", "a guest sets breakpoints of its own", function(open, backend)
    if backend == "kvm" then
        t.skip "there they work"
    end
    local function run(code, registers)
        local vm = open { memory = "1M" }
        vm:load(0x1000, hv.asm(code, { arch = "x86_64" }))
        local all = { pc = 0x1000, sp = 0x8000 }
        for name, value in pairs(registers or {}) do
            all[name] = value
        end
        local cpu = vm:vcpu(hv.x86.long(vm, 0x20000, all))
        return vm:run { timeout = 5 }, cpu
    end
    local exit, cpu = run [[
        lea   there(%rip), %rax
        mov   %rax, %dr0
        mov   $0x401, %r9d
        out   %al, $0xe8
        mov   %r9, %dr7
        mov   %dr7, %rbx
        mov   %dr0, %rcx
there:  mov   $5, %edx
        hlt
    ]]
    t.eq(exit.kind, "hvc")
    exit = cpu.vm:run { timeout = 5 }
    t.eq({ exit.kind, cpu.rbx, cpu.rcx, cpu.rdx }, { "halt", 0x401, cpu.rax, 5 })
    exit, cpu = run("mov %rax, %dr7\n hlt", { rax = 1 << 32 })
    t.eq({ exit.kind, cpu.rip }, { "shutdown", 0x1000 }) -- #GP, and no IDT
    exit, cpu = run("mov %rax, %dr5\n mov %rax, %dr6\n mov %dr6, %rbx\n hlt")
    t.eq({ exit.kind, cpu.rbx, cpu.dr7 }, { "halt", 0xffff0ff0, 0x400 })
    exit = run("mov %rax, %dr4\n hlt", { cr4 = 0x28 })
    t.ok(exit.why:find "#UD", exit.why)
    exit, cpu = run("mov %rax, %dr3\n hlt", { rax = -1 })
    t.eq({ exit.kind, cpu.dr3 }, { "halt", -1 })
    -- one instruction at a time
    cpu.pc, cpu.rax = 0x1000, 7
    t.eq({ cpu:step().kind, cpu.pc, cpu.dr3 }, { "step", 0x1003, 7 })
end)

t.on("x86_64", "memory goes and comes where the guest has no page", function(open)
    local vm = open { memory = "1M" }
    vm:map { at = "2M", size = 4096 }
    vm:load(0x1000, hv.asm("hlt\n mov (%rbx), %rax\n hlt", { arch = "x86_64" }))
    local cpu = vm:vcpu(hv.x86.long(vm, 0x20000, { pc = 0x1000, sp = 0x8000 }))
    t.eq(vm:run().kind, "halt")
    vm:u64(0x20000 + 2 * 4096 + 8, 0) -- 2 MiB to 4 MiB
    cpu.cr3 = cpu.cr3
    for _ = 1, 50 do
        vm:unmap "2M"
        vm:map { at = "2M", size = 4096 }
        vm:unmap "2M"
        vm:map { at = "4M", size = 4096 }
        vm:unmap "4M"
        vm:map { at = "2M", size = 4096 }
    end
    vm:u64(0x200000, 77)
    vm:u64(0x20000 + 2 * 4096 + 8, 0x200083)
    cpu.cr3, cpu.rbx = cpu.cr3, 0x200000
    t.eq({ vm:run().kind, cpu.rax }, { "halt", 77 })
end)

t.on("x86_64", "an answer changes the memory that the instruction reads", function(open)
    -- the copy reads a device, then writes memory that is none by then
    local vm = open { memory = "64K" }
    vm:map { at = 0x10000, size = 4096 }
    vm:load(0x1000, hv.asm("movsl\n hlt", { arch = "x86_64", bits = 32 }))
    local cpu = vm:vcpu(hv.x86.protected { pc = 0x1000, rsi = 0x20ffe, rdi = 0x10000 })
    vm:map { at = 0x21000, size = 4096 }
    local seen = {}
    vm:on("mmio", function(_, e)
        seen[#seen + 1] = e.write and "w" or "r"
        t.ok(#seen < 20, "it goes round and round")
        if #seen == 1 then
            vm:unmap(0x21000)
        elseif #seen == 2 then
            vm:map { at = 0x20000, size = 0x2000 }
        end
        return 0x55
    end)
    t.eq(vm:run { timeout = 5 }.kind, "halt")
    t.eq(cpu.rip, 0x1002)
    t.ok(seen[1] == "r", seen[1])
end)

t.on("x86_64", "an instruction reads across the edge of its own page", function(open)
    local vm = open { memory = "64K" }
    vm:load(0x1000, hv.asm("cmpsl\n hlt", { arch = "x86_64", bits = 32 }))
    vm:u8(0xfff, 0x11) -- before the code, a7 f4 0 from 0x1000
    local cpu = vm:vcpu(hv.x86.protected { pc = 0x1000, rsi = 0xfffff, rdi = 0xfff })
    local bytes = 0
    vm:on("mmio", function(_, e)
        bytes = bytes + e.size
        t.ok(e.addr >= 0xfffff and e.addr + e.size <= 0x100003, e.addr)
        return (0x00f4a711 >> 8 * (e.addr - 0xfffff)) & (1 << 8 * e.size) - 1
    end)
    local exit = vm:run { timeout = 5 }
    if exit.kind == "error" and exit.why:find "emulat" then
        t.skip(exit.why)
    end
    t.eq({ exit.kind, cpu.rip, cpu.rflags & 0x40 }, { "halt", 0x1002, 0x40 })
    t.eq(bytes, 4)
end)

t.on("x86_64", "a port's string goes to a device, and registers are looked at", function(open)
    local vm = open { memory = "64K" }
    vm:load(0x1000, hv.asm("rep insl\n hlt", { arch = "x86_64", bits = 32 }))
    local cpu = vm:vcpu(hv.x86.protected { pc = 0x1000, rcx = 300, rdx = 0x60,
        rdi = 0x20000 })
    local reads, last = 0, nil
    vm:on("io", function(c)
        reads, last = reads + 1, c.rdi
        return 7
    end)
    vm:on("mmio", function() end)
    t.eq(vm:run { timeout = 20 }.kind, "halt")
    t.eq({ reads, cpu.rcx, cpu.rdi }, { 300, 0, 0x20000 + 1200 })
    t.ok(last > 0x20000, last)
end)

t.on("x86_64", "a read's handler changes the code, then looks at registers", function(open)
    -- what kvm executes once more for that is a loop by then
    local w <close> = hv.spawn(function()
        local vm, cpu = t.guest(open, { x86_64 = "in $0x40, %al\n hlt" })
        vm:attach { port = 0x40, read = function(_, _, c)
            vm:write(0x1000, "\xeb\xfe")
            local ax = c.rax
            c:stop()
            return ax
        end }
        return vm:run().kind, cpu.pc
    end)
    local report = t.ok(w:wait(20), "it hangs")
    t.ok(report.ok, report.error)
    t.eq(report.results[1], "stop")
end)

t.on("x86_64", "steps to where no step ends", function(open)
    local w <close> = hv.spawn(function()
        local vm, cpu = t.guest(open, { x86_64 = "ud2" })
        vm:u32(4 * 6, 0x2000)
        vm:write(0x2000, "\xeb\xfe") -- the handler of #UD: jmp .
        local into, pc = cpu:step().kind, cpu.pc
        cpu.cs = { base = 0x200000, limit = 0xffff, selector = 0x2000, type = 11, present = 1,
            s = 1 }
        cpu.pc = 0 -- there is nothing
        return into, pc, cpu:step().kind
    end)
    local report = t.ok(w:wait(20), "it hangs")
    t.ok(report.ok, report.error)
    local into, pc, nowhere = table.unpack(report.results)
    t.ok(into == "step" or into == "timeout", into)
    t.eq(pc, 0x2000)
    t.ok(("fault error shutdown timeout"):find(nowhere), nowhere)
end)

t.on("arm64", "exceptions without a block between them", function(open)
    -- a vector that nobody can fetch from: with libunicorn 2.0.1 there is no end to it
    local w <close> = hv.spawn(function()
        local vm = t.guest(open, { arm64 = "udf #0" }, {
            vbar_el1 = 0xd63820079e28d800, tcr_el1 = 0xf6319d60129c3788,
        })
        return vm:run { timeout = 0.05, exits = 10 }.kind
    end)
    local report = t.ok(w:wait(20), "it hangs")
    t.ok(report.ok, report.error)
    t.ok(("fault timeout"):find(report.results[1]), report.results[1])
end)

t.on("a time limit never interrupts who called run", function(open)
    local vm = t.guest(open, { arm64 = "b .-0\n", x86_64 = "jmp .\n" })
    local device = { arm64 = "ldr x0, [x1]\n b .-4", x86_64 = "in $0x40, %al\n jmp .-2" }
    vm:load(0x1000, hv.asm(device[vm.arch], { arch = vm.arch,
        bits = vm.arch == "x86_64" and 16 or nil }))
    if vm.arch == "arm64" then
        vm.cpus[1].x1 = 0x900000
    end
    local function answer() return 0 end
    vm:on("mmio", answer)
    vm:on("io", answer)
    for _ = 1, 400 do
        local exit = vm:run { timeout = 0.0003 }
        t.eq(exit.kind, "timeout")
        for _ = 1, 50 do end
    end
end)
