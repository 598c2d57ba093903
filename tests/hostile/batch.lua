-- SPDX-License-Identifier: MIT
--- Many hostile guests: in workers, so that one which takes its worker down costs
-- no more than that; the rest of its batch goes on in another.
--
-- batch.run { hvlua=, replay=, backend=, arch=, kind=, count=, workers= } --> report
--   hvlua, replay   the program and replay.lua, to look into what crashed
--   body            fn(seed) instead of a stream, for tests of this file
-- batch.assertion(output) --> what the library said when it gave up, or nil
-- batch.judge(output of gdb) --> whose, why; nil: it did not crash
-- report: { ran=, exits=, how = { kind = n }, seconds=, crashes=, failures=, grown= }
--   crashes    { seed=, signal=, whose=, why=, pid= }: whose is "libunicorn" or "hvlua"
--   failures   { seed=, why= }: what hvlua did wrong without a crash
--   grown      { bytes=, maps=, files=, threads=, streams= }: the worst that a
--              worker had more at its end than after its first streams; nil where
--              nobody tells
--
-- Whose a crash is: an assertion of the library's says so itself; for the rest
-- a debugger, if there is one, looks where the stream crashes when it is run
-- again. What cannot be told is hvlua's.

local hv = require "hv"
local core = require "hv.core"

local batch = {}

local CHUNK, WARM = 1000, 200 -- streams of a worker; before it is measured
local HANG = 60               -- seconds without a new stream

-- ---- in the worker ------------------------------------------------------

local function number_in(path, pattern)
    local file <close> = io.open(path)
    return file and tonumber(file:read("a"):match(pattern))
end

local function maps_of()
    local file <close> = io.open "/proc/self/maps"
    local _, count = (file and file:read "a" or ""):gsub("\n", "")
    return count
end

local function files_of()
    local _, out = core.pipe { "sh", "-c", "ls /proc/$PPID/fd | wc -l" }
    return tonumber(out)
end

local function measure()
    collectgarbage()
    collectgarbage()
    local pages = number_in("/proc/self/statm", "^%d+ (%d+)")
    return pages and {
        bytes = pages * 4096, maps = maps_of(), files = files_of(),
        threads = number_in("/proc/self/status", "Threads:%s*(%d+)"),
    }
end

local function work(worker, body, first, last)
    local report = { ran = 0, exits = 0, how = {}, failures = {} }
    local early
    for seed = first, last do
        if seed == first + WARM then
            early = measure()
        end
        report.seed = seed
        worker:mark(report)
        local ok, how, exits = pcall(body, seed)
        report.ran = report.ran + 1
        if ok then
            report.how[how] = (report.how[how] or 0) + 1
            report.exits = report.exits + (exits or 0)
        else
            report.failures[#report.failures + 1] = { seed = seed, why = tostring(how) }
        end
    end
    local late = early and measure()
    if late then
        report.grown = { streams = last - first + 1 - WARM }
        for what, value in pairs(late) do
            report.grown[what] = value - early[what]
        end
    end
    return report
end

-- ---- whose crash --------------------------------------------------------

-- What the library says when it gives up: "file.c:123: fn: Assertion ... failed",
-- "ERROR:file.c:123:...", "file.c:123: tcg fatal error". hvlua says no such thing.
function batch.assertion(output)
    return output:match "[^\n]*%.[ch]:%d+:[^\n]*"
end

-- The first frame that is neither the C library's nor nobody's.
function batch.judge(trace)
    local crash = trace:match "received signal (SIG%w+)" or trace:match "signal (SIG%w+)"
    if not crash then
        return nil
    end
    local first = trace:match "\n#0 [^\n]*" or ""
    local at = first:match "0x(%x+) in %?%? %(%)$"
    at = at and tonumber(at, 16)
    for low, high in trace:gmatch "0x(%x+)%s+0x(%x+)%s+%S+%s+%S+%s+rwxp" do
        if at and at >= tonumber(low, 16) and at < tonumber(high, 16) then
            return "libunicorn", crash .. " in code that libunicorn made"
        end
    end
    for frame in trace:gmatch "\n(#%d+ [^\n]*)" do
        if frame:find "libunicorn" then
            return "libunicorn", crash .. " " .. frame
        elseif frame:find " at core/" or frame:find " at bindings/" then
            return "hvlua", crash .. " " .. frame
        end
    end
    return "hvlua", crash .. first
end

local function debugged(job, first, last)
    local _, out = core.pipe { "gdb", "-nx", "-batch", "-ex", "handle SIGALRM nostop",
        "-ex", "run", "-ex", "bt 60", "-ex", "info proc mappings", "--args", job.hvlua,
        job.replay, job.backend, job.arch, job.kind, tostring(first), tostring(last) }
    if out then
        return batch.judge(out)
    end
end

local function whose(job, crash, first)
    local said = batch.assertion(crash.output)
    if crash.signal == 6 and said then
        return "libunicorn", said
    elseif not job.replay then
        return "hvlua", "no replay"
    end
    local who, why = debugged(job, crash.seed, crash.seed)
    if not who then -- not by itself
        who, why = debugged(job, first, crash.seed)
    end
    return who or "hvlua", why or "gdb is not there, or the crash did not come again"
end

-- ---- in the parent ------------------------------------------------------

local function add(total, part)
    total.ran = total.ran + part.ran
    total.exits = total.exits + part.exits
    for how, count in pairs(part.how) do
        total.how[how] = (total.how[how] or 0) + count
    end
    table.move(part.failures, 1, #part.failures, #total.failures + 1, total.failures)
    for what, value in pairs(part.grown or {}) do
        total.grown = total.grown or {}
        total.grown[what] = math.max(total.grown[what] or value, value)
    end
end

local function start(job, first, last)
    return {
        first = first, last = last, moved = core.clock(),
        worker = hv.spawn(work, job.body, first, last),
    }
end

-- One that has died: its mark has what it had done by then. What it was at counts
-- as run, the rest is still to do.
local function died(job, total, slot, report)
    local seed = report.mark and report.mark.seed or slot.first
    if report.mark then
        add(total, report.mark)
    end
    if slot.hung then
        total.failures[#total.failures + 1] = { seed = seed, why = "it hangs" }
    else
        local crash = { seed = seed, signal = report.signal or report.code,
            output = report.output, pid = slot.worker.pid }
        crash.whose, crash.why = whose(job, crash, slot.first)
        total.crashes[#total.crashes + 1] = crash
    end
    total.ran = total.ran + 1
    if seed < slot.last then
        return start(job, seed + 1, slot.last)
    end
end

-- Still there? A worker that has not come to its next stream for long is hung.
local function look(job, total, slot)
    local worker = slot.worker
    local report = worker:wait(0.02)
    if not report then
        local seed = worker.mark and worker.mark.seed
        if seed ~= slot.seed then
            slot.seed, slot.moved = seed, core.clock()
        elseif core.clock() - slot.moved > HANG then
            slot.hung = true
            worker:kill()
        end
        return slot
    elseif report.ok then
        add(total, report.results[1])
    else
        return died(job, total, slot, report)
    end
end

function batch.run(job)
    local total = { ran = 0, exits = 0, how = {}, crashes = {}, failures = {} }
    local started, next_seed, slots = core.clock(), 1, {}
    job.body = job.body
        or require("hostile.stream").runner(job.backend, job.arch, job.kind)
    repeat
        for i = 1, job.workers or 2 do
            if slots[i] then
                slots[i] = look(job, total, slots[i])
            elseif next_seed <= job.count then
                local last = math.min(next_seed + CHUNK - 1, job.count)
                slots[i] = start(job, next_seed, last)
                next_seed = last + 1
            end
        end
    until next_seed > job.count and next(slots) == nil
    total.seconds = core.clock() - started
    return total
end

return batch
