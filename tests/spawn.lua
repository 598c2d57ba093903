-- SPDX-License-Identifier: MIT
-- Worker processes.
local t = ...
local hv = require "hv"

t.test("a worker returns values, and its output is collected", function()
    local up = 20
    local w <close> = hv.spawn(function(_, a, b)
        print("sum", a + b + up)
        io.stderr:write "and an error line\n"
        return a + b, { list = { 1, 2, "three" } }, nil, 1.5, false
    end, 1, 2)
    local report = w:wait()
    t.eq(report.ok, true, report.error)
    t.eq(report.results, { 3, { list = { 1, 2, "three" } }, nil, 1.5, false, n = 5 })
    t.eq(report.output, "sum\t23\nand an error line\n")
    t.eq(w.output, report.output)
    t.eq(w:wait(), report, "again")
    t.ok(w.pid > 1)
end)

t.test("messages go both ways", function()
    local w <close> = hv.spawn(function(worker)
        while true do
            local n, more = worker:receive()
            if not n then
                return "parent closed"
            end
            worker:send(n * 2, more)
        end
    end)
    for i = 1, 100 do
        w:send(i, { i })
        t.eq({ w:receive(10) }, { i * 2, { i } })
    end
    w:close_input()
    t.eq(w:wait(10).results, { "parent closed", n = 1 })
end)

t.test("large messages do not lock up", function()
    local big = ("x"):rep(1 << 20)
    local w <close> = hv.spawn(function(worker)
        for _ = 1, 3 do
            worker:send(worker:receive())
            print(big:sub(1, 200000))
        end
    end)
    for _ = 1, 3 do
        w:send(big)
    end
    for _ = 1, 3 do
        t.ok(w:receive(20) == big)
    end
    local report = w:wait(20)
    t.ok(report.ok, report.error)
    t.eq(#report.output, 3 * 200001)
end)

t.test("who hears the output may raise, and loses nothing", function()
    local w <close> = hv.spawn { function(worker)
        worker:send "message"
        print "output"
        return "result"
    end, on_output = function() error "deaf" end }
    t.raises(function() w:wait(20) end, "deaf")
    local report = w:wait(20)
    t.eq({ report.ok, report.results, report.output, report.messages },
        { true, { "result", n = 1 }, "output\n", { { "message", n = 1 } } })
end)

t.test("sixteen megabytes take no more than their copying", function()
    local big = ("0123456789abcdef"):rep(1 << 20)
    local w <close> = hv.spawn(function(worker) return worker:receive() end)
    w:send(big)
    t.ok(w:wait(60).results[1] == big)
end)

t.test("workers really run at the same time", function()
    local function meet(worker)
        worker:send "here"
        return worker:receive()
    end
    local workers = {}
    for i = 1, 4 do
        workers[i] = hv.spawn(meet)
    end
    for i = 1, 4 do
        t.eq(workers[i]:receive(20), "here") -- nobody can have ended yet
    end
    for i = 1, 4 do
        workers[i]:send(i)
    end
    for i = 4, 1, -1 do
        t.eq(workers[i]:wait(20).results, { i, n = 1 })
    end
end)

t.test("output is heard while another worker is waited for", function()
    local heard = {}
    local function talk(worker, name)
        print(name)
        worker:receive()
    end
    local a <close> = hv.spawn { talk, "a", on_output = function(s) heard.a = s end }
    local b <close> = hv.spawn { talk, "b", on_output = function(s) heard.b = s end }
    while not (heard.a and heard.b) do
        a:wait(0.01)
    end
    t.eq(heard, { a = "a\n", b = "b\n" })
    a:send(1)
    b:send(1)
    t.ok(a:wait(10).ok and b:wait(10).ok)
end)

t.test("a worker lets its siblings alone", function()
    local first <close> = hv.spawn(function(worker) return worker:receive() end)
    local second <close> = hv.spawn(function(worker)
        collectgarbage()
        collectgarbage()
        worker:send "collected"
        return worker:receive()
    end)
    t.eq(second:receive(10), "collected")
    first:close_input() -- the second one must not hold it open
    t.eq(first:wait(10).results, { n = 0 })
    second:close_input()
    t.eq(second:wait(10).results, { n = 0 })
end)

t.test("an error in a worker comes with its traceback", function()
    local w <close> = hv.spawn(function() error "in there" end)
    local report = w:wait(10)
    t.eq({ report.ok, report.code, report.signal }, { false, 1, nil })
    t.ok(report.error:find "spawn.lua:%d+: in there", report.error)
    t.ok(report.error:find "stack traceback", report.error)
end)

t.test("a worker that crashes takes nobody with it", function()
    local bystander <close> = hv.spawn(function(worker) return worker:receive() end)
    local w <close> = hv.spawn(function()
        print "before the crash"
        io.stdout:flush()
        local core = require "hv.core"
        core.pipe { "sh", "-c", "kill -ABRT $PPID" }
        while true do end
    end)
    local report = w:wait(20)
    t.eq({ report.ok, report.signal, report.output },
        { false, 6, "before the crash\n" })
    t.ok(report.error:find "signal 6")
    bystander:send "alive"
    t.eq(bystander:wait(20).results, { "alive", n = 1 })
end)

t.test("a worker that crashes has said what it was about to do", function()
    local w <close> = hv.spawn(function(worker)
        local core = require "hv.core"
        for seed = 1, 10 do
            worker:mark { seed = seed }
            if seed == 7 then
                core.pipe { "sh", "-c", "kill -KILL $PPID" }
            end
        end
    end)
    local report = w:wait(20)
    t.eq({ report.signal, report.mark, w.mark }, { 9, { seed = 7 }, { seed = 7 } })
    local v <close> = hv.spawn(function(worker)
        worker:mark(5)
        require "hv.core".pipe { "sh", "-c", "kill -ABRT $PPID" }
    end)
    t.eq(v:wait(20).error, "worker: killed by signal 6, at mark 5")
    local u <close> = hv.spawn(function(worker) worker:mark(print) end)
    t.ok(u:wait(20).error:find "spawn.lua:%d+: .*function", u.report.error)
end)

t.test("a worker does not outlive its parent, however that ends", function()
    local core = require "hv.core"
    local script = os.tmpname()
    local file <close> = assert(io.open(script, "w"))
    file:write [[
        local w = require "hv".spawn(function() while true do end end)
        io.write(w.pid) io.flush()
        require "hv.core".pipe { "sh", "-c", "kill -KILL $PPID" }
    ]]
    file:close()
    local _, pid = core.pipe { t.hvlua, script }
    os.remove(script)
    local ends = core.clock() + 10
    local gone
    repeat
        core.poll({}, 0.1)
        gone = core.pipe { "kill", "-0", pid } ~= 0
    until gone or core.clock() > ends
    t.ok(tonumber(pid) and gone, pid)
end)

t.test("a worker that leaves early is no success", function()
    local w <close> = hv.spawn(function() os.exit(3) end)
    local report = w:wait(10)
    t.eq({ report.ok, report.code }, { false, 3 })
    t.ok(report.error:find "exited with 3")
    local z <close> = hv.spawn(function() os.exit(0) end)
    t.eq(z:wait(10).ok, false)
end)

t.test("messages to a worker that has gone hurt nobody", function()
    local w <close> = hv.spawn(function() return "early" end)
    require "hv.core".pipe { "sleep", "0.1" } -- and not a look at it meanwhile
    for _ = 1, 3 do
        w:send(("late"):rep(100000))
    end
    t.eq(w:wait(20).results, { "early", n = 1 })
    w:close()
    t.raises(function() w:send "x" end, "it is closed")
end)

t.test("kill, close, time limits", function()
    local w = hv.spawn(function() while true do end end)
    t.eq(w:wait(0.01), nil)
    t.eq({ w:receive(0.01) }, { nil, "worker: nothing came in time" })
    w:kill()
    t.eq(w:wait(10).signal, 9)
    w:close()
    w:close()
    local v = hv.spawn(function() while true do end end)
    v:close()
    t.eq(v:wait().ok, false)
    t.eq({ v:receive() }, { nil, "worker: it has ended" })
    t.raises(function() v:wait(-1) end, "seconds expected")
    t.raises(function() v:wait "x" end, "seconds expected")
end)

t.test("what cannot be sent", function()
    t.raises(function() hv.spawn(5) end, "a function or a script's path")
    t.raises(function() hv.spawn "/nonexistent.lua" end, "nonexistent")
    t.raises(function() hv.spawn { print, on_ouptut = print } end, "unknown field")
    local w <close> = hv.spawn(function() return print end)
    local report = w:wait(10)
    t.eq(report.ok, false)
    t.ok(report.error:find "function", report.error)
    local v <close> = hv.spawn(function(worker) return worker:receive() end)
    t.raises(function() v:send { f = print } end, "function")
    v:send "still fine"
    t.eq(v:wait(10).results, { "still fine", n = 1 })
end)

t.test("a script as a worker", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write [[
        local worker, a = ...
        worker:send(a .. "!")
        return a:upper()
    ]]
    file:close()
    local w <close> = hv.spawn(path, "hello")
    os.remove(path)
    t.eq(w:receive(10), "hello!")
    t.eq(w:wait(10).results, { "HELLO", n = 1 })
end)

t.test("hundreds of workers leave nothing open", function()
    -- The least of some looks: a sanitizer's own thread opens files now and then.
    local function open_files()
        local core = require "hv.core"
        local least = math.huge
        for _ = 1, 3 do
            local _, out = core.pipe { "sh", "-c",
                "sleep 0.2; ls /proc/$PPID/fd 2>/dev/null | wc -l" }
            least = math.min(least, tonumber(out))
        end
        return least
    end
    local before = open_files()
    for i = 1, 100 do
        local w = hv.spawn(function() return i end)
        t.eq(w:wait(20).results[1], i)
    end
    collectgarbage()
    t.eq(open_files(), before)
end)

t.on("the parent's machines stay the parent's", function(open, backend)
    if backend == "hvf" and t.hvlua:find "%-thread$" then
        t.skip "ThreadSanitizer takes a fork's threads for the vCPUs' of its parent"
    end
    local vm = open { memory = "64K" }
    local cpu, mem = vm:vcpu(), vm:map { at = "1M", size = "16K" }
    local w <close> = hv.spawn(function()
        local out = {}
        for _, use in ipairs {
            function() vm:run() end, function() return cpu.pc end,
            function() return mem.prot end, function() vm:read(0, 1) end,
        } do
            out[#out + 1] = select(2, pcall(use))
        end
        return out
    end)
    local report = w:wait(10)
    t.ok(report.ok, report.error)
    t.eq(#report.results[1], 4)
    for _, why in ipairs(report.results[1]) do
        t.ok(why:find "parent process's", why)
    end
    t.eq(cpu.pc, 0)
end)

t.on("machines in workers, also from inside a handler", function(open)
    local function inner(_, n)
        local vm <close>, cpu = t.guest(open, {
            arm64 = "mov x0, #3\n hvc #0", x86_64 = "mov $3, %ax\n out %al, $0xe8",
        })
        vm:hypercall(3, function(c) c:stop(n) end)
        return vm:run { timeout = 20 }.value, cpu.index
    end
    local vm = t.guest(open, {
        arm64 = "mov x0, #3\n hvc #0", x86_64 = "mov $3, %ax\n out %al, $0xe8",
    })
    vm:hypercall(3, function(c)
        local a <close> = hv.spawn(inner, 5)
        local b <close> = hv.spawn(inner, 6)
        c:stop { a:wait(20).results, b:wait(20).results }
    end)
    t.eq(vm:run().value, { { 5, 0, n = 2 }, { 6, 0, n = 2 } })
end)
