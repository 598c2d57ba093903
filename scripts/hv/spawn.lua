-- SPDX-License-Identifier: MIT
--- Worker processes: hv.spawn(fn | "script.lua", ...) --> worker
--
-- The function, or the script, runs in a process of its own, a copy of this one,
-- at the same time as this one. It is called fn(worker, ...), a script gets the
-- same as its `...`. Arguments, messages and results are data (wire.lua).
--
-- In the parent:
--   worker:send(value...)        to the worker's receive()
--   worker:receive([timeout])    the next message's values; nil, why: none came
--   worker:wait([timeout])       --> report, once it has ended; nil: not yet
--   worker:kill()                ends it now
--   worker:close()               kills it if it runs; `local w <close>` does too
--   worker.pid, worker.output    all it has printed so far
--   report: { ok=, results={...}, output=, error=, signal=, code=, messages=, mark= }
--     ok       the function returned; `results` is what, results.n how many
--     error    what it raised, or why it is not there any more
--     signal   the signal's number that killed it
--     messages what it sent and nobody received
--     mark     what it marked last: what it died of. While it runs, worker.mark
-- spawn { fn, ..., on_output = function(bytes) } hears output as it comes.
--
-- In the worker:
--   worker:send(value...), worker:receive() --> values; nil when the parent has
--   gone or closed. Its standard output and error go to the parent.
--   worker:mark(value) tells the parent what it is about to do, such as the seed
--   of a guest that may take the worker down with it.

local core = require "hv.core"
local wire = require "hv.wire"

-- Waiting for one worker serves them all: none is held up by a full pipe, and
-- each one's output is heard when it comes.
local alive = setmetatable({}, { __mode = "k" })

local FRAME = "<s4" -- a message: its length, a letter, then wire.encode(...)
local MOST = 1 << 30

-- A method's first argument has to be its object.
local function check_self(self, class)
    if getmetatable(self) ~= class then
        error(("worker expected as the first argument, got %s: write a:b(), "
               .. "not a.b()"):format(type(self)), 3)
    end
end

-- ---- the worker's side -------------------------------------------------

local Child = { __name = "worker" }
Child.__index = Child

-- A message: "M", a mark: "P", what the body returned: "R", or what it raised: "E".
-- Or nil and why these values cannot be sent.
local function frame(letter, ...)
    local body, why = wire.try_encode(...)
    if body and #body >= MOST then
        return nil, ("worker message: %d bytes are more than 1 GiB"):format(#body)
    end
    return body and FRAME:pack(letter .. body), why
end

local function post(self, name, letter, ...)
    local message, why = frame(letter, ...)
    if not message then
        error(why, 3)
    elseif not self.channel:write(message) then
        error(("worker: %s: the parent has gone"):format(name), 3)
    end
end

function Child:send(...)
    check_self(self, Child)
    post(self, "send", "M", ...)
end

function Child:mark(value)
    check_self(self, Child)
    post(self, "mark", "P", value)
end

function Child:receive()
    check_self(self, Child)
    local head = self.channel:read(4)
    local body = head and self.channel:read((string.unpack("<I4", head)))
    if body then
        return wire.decode(body:sub(2))
    end
end

local function traceback(why)
    return type(why) == "string" and debug.traceback(why, 2) or tostring(why)
end

-- What the worker does with its life. It never returns to the script above it.
local function live(channel, body, ...)
    local child = setmetatable({ channel = channel }, Child)
    local done = table.pack(xpcall(body, traceback, child, ...))
    local why = not done[1] and done[2]
    local message
    if not why then
        message, why = frame("R", table.unpack(done, 2, done.n))
    end
    channel:write(message or frame("E", why))
    core.exit(why and 1 or 0)
end

-- ---- the parent's side -------------------------------------------------

local Worker = { __name = "worker" }

local function flush(self, output)
    if output and output ~= "" then
        self.chunks[#self.chunks + 1] = output
        if self.on_output then
            self.on_output(output)
        end
    end
end

local function break_off(self)
    self.broken = "worker: sent a malformed message"
    self.process:kill()
end

-- A worker that sends nonsense has been overwritten by its guest: it is heard no
-- more.
local function understand(self, body)
    local values = wire.try_decode(body:sub(2))
    local letter = values and body:sub(1, 1)
    if letter == "M" then
        table.insert(self.inbox, values)
    elseif letter == "P" then
        self.mark = values[1]
    elseif letter == "R" then
        self.results = values
    elseif letter == "E" then
        self.raised = values[1]
    else
        break_off(self)
    end
end

-- Take whole messages out of what has arrived. What has come of one that is not
-- whole is not joined before the rest is there.
local function take(self, bytes)
    local parts = self.parts
    parts[#parts + 1] = bytes
    parts.size = parts.size + #bytes
    if parts.size < parts.wanted then
        return
    end
    local input, at, wanted = table.concat(parts), 1, 4
    while #input - at + 1 >= 4 and not self.broken do
        local length = string.unpack("<I4", input, at)
        if length > MOST then
            break_off(self)
        elseif #input - at + 1 < 4 + length then
            wanted = 4 + length
            break
        else
            understand(self, input:sub(at + 4, at + 3 + length))
            at = at + 4 + length
        end
    end
    local rest = self.broken and "" or input:sub(at)
    self.parts = { rest, size = #rest, wanted = wanted }
end

local CHUNK = 65536 -- as much as a pipe takes at a time

-- Move what can be moved now. The pipes' ends tell that it has ended. Who hears the
-- output may raise: that comes last.
local function pump(self)
    local from = self.sent + 1
    local output, bytes, sent =
        self.process:pump(self.outbox:sub(from, from + CHUNK - 1))
    if bytes and bytes ~= "" then
        take(self, bytes)
    end
    self.sent = sent and self.sent + sent or #self.outbox
    if self.sent == #self.outbox then
        self.outbox, self.sent = "", 0
    end
    self.silent = output == nil and bytes == nil
    if self.silent then
        alive[self] = nil
    end
    flush(self, output)
end

-- Wait until some worker has something to say, at most for `timeout` seconds.
local function serve(timeout, sending)
    local processes, workers = {}, {}
    for worker in pairs(alive) do
        processes[#processes + 1] = worker.process
        workers[#workers + 1] = worker
    end
    core.poll(processes, timeout, sending)
    for _, worker in ipairs(workers) do
        pump(worker)
    end
end

-- A number of seconds, or nil for ever, becomes a function that says how much
-- is left.
local function countdown(what, timeout, level)
    if timeout == nil then
        return function() end
    elseif type(timeout) ~= "number" or timeout < 0 or timeout ~= timeout then
        error(("worker: %s: timeout: seconds expected, not %s")
              :format(what, tostring(timeout)), level + 1)
    end
    local ends = core.clock() + timeout
    return function()
        return math.max(ends - core.clock(), 0)
    end
end

local methods = {}

function methods:send(...)
    check_self(self, Worker)
    local message, why = frame("M", ...)
    if self.closed then
        error("worker: send: it is closed", 2)
    elseif not message then
        error(why, 2)
    end
    self.outbox = self.outbox .. message
    while self.outbox ~= "" and not self.silent do
        serve(nil, true)
    end
end

function methods:receive(timeout)
    check_self(self, Worker)
    local left = countdown("receive", timeout, 2)
    while #self.inbox == 0 do
        if self.silent then
            return nil, "worker: it has ended"
        elseif left() == 0 then
            return nil, "worker: nothing came in time"
        end
        serve(left())
    end
    local values = table.remove(self.inbox, 1)
    return table.unpack(values, 1, values.n)
end

local function make_report(self, how, number)
    local report = {
        ok = self.results ~= nil and how == "exit" and number == 0,
        results = self.results,
        output = table.concat(self.chunks),
        messages = self.inbox,
        mark = self.mark,
    }
    if how == "signal" then
        report.signal = number
        report.error = self.broken
            or ("worker: killed by signal %d%s"):format(number, self.mark ~= nil
                and ", at mark " .. tostring(self.mark) or "")
    else
        report.code = number
        report.error = self.raised
            or not report.ok
            and ("worker: it exited with %d before it was done"):format(number)
            or nil
    end
    return report
end

function methods:wait(timeout)
    check_self(self, Worker)
    local left = countdown("wait", timeout, 2)
    while not self.report do
        if self.silent then
            -- Its pipes are closed: it is dead, or about to be.
            local how, number = self.process:wait(timeout ~= nil)
            if how then
                self.report = make_report(self, how, number)
                self.process:close()
                break
            end
            serve(math.min(left(), 0.001))
        else
            serve(left())
        end
        if timeout and not self.report and left() == 0 then
            return nil
        end
    end
    return self.report
end

function methods:kill()
    check_self(self, Worker)
    self.process:kill()
end

function methods:close()
    check_self(self, Worker)
    self.process:close()
    self.silent, self.closed = true, true
    alive[self] = nil
    self.report = self.report or make_report(self, "signal", 9)
end

function methods:close_input()
    check_self(self, Worker)
    self.process:close_input()
end

function Worker:__index(name)
    if name == "output" then
        if not self.silent then
            pump(self)
        end
        return table.concat(self.chunks)
    end
    return methods[name]
end

Worker.__close = methods.close

function Worker:__tostring()
    return ("worker (process %d)"):format(self.pid)
end

--- spawn(fn | path, ...) or spawn { fn | path, ..., on_output = } --> worker
local function spawn(body, ...)
    local args, on_output = table.pack(...), nil
    if type(body) == "table" then
        local given = body
        on_output, body = given.on_output, given[1]
        args = table.pack(table.unpack(given, 2))
        for name in pairs(given) do
            if math.type(name) ~= "integer" and name ~= "on_output" then
                error(('spawn: unknown field "%s": the fields are on_output')
                      :format(tostring(name)), 2)
            end
        end
    end
    if on_output ~= nil and type(on_output) ~= "function" then
        error("spawn: on_output: a function expected, got "
              .. type(on_output), 2)
    end
    if type(body) == "string" then
        local chunk, why = loadfile(body)
        if not chunk then
            error("spawn: " .. why, 2)
        end
        body = chunk
    elseif type(body) ~= "function" then
        error("spawn: a function or a script's path expected, got "
              .. type(body), 2)
    end
    local process = core.fork(function(channel)
        live(channel, body, table.unpack(args, 1, args.n))
    end)
    local worker = setmetatable({
        process = process, pid = process:pid(), on_output = on_output,
        chunks = {}, inbox = {}, parts = { size = 0, wanted = 4 }, outbox = "",
        sent = 0, silent = false,
    }, Worker)
    alive[worker] = true
    return worker
end

return spawn
