-- SPDX-License-Identifier: MIT
--- Calls answered from an earlier run: a recording (record.lua) in the handlers' place.
--
-- abi:replay(file) --> replay            vm:serve(replay [, nil, { on_error= }])
--
-- Each call is compared with the next one of its vCPU in the recording, by name and all
-- that the guest passes, and gets its answer: result, error, what is written to buffers;
-- a stop, and a machine that is closed. What else a handler did is not there. Order is
-- compared within each vCPU, not between them: that is the scheduler's. What the guest
-- passes wrong is found anew, by the limits of the recording, and compared too.
--
-- The first call that differs, or for which there is none, ends the run with an error
-- that has both, its place in the file, and the guest's PC. It stays the next one.
--
-- replay: { abi=, file=, answered=, left=, cut= }: how many calls were answered, how
-- many are left, and the line that is not whole, if the last is not. replay:finish()
-- raises unless all were answered.

local errno = require "hv.abi.errno"
local text = require "hv.abi.text"

local SHOWN = 160 -- bytes of a call, around where it differs
local LAST_CPU = 63
local UNKNOWN, UNSERVED = "there is no such call", "it has no handler"

local Replay = { __name = "replay" }

function Replay:__index(key)
    if key == "left" then
        return self.count - self.answered
    end
    return Replay[key]
end

function Replay:__tostring()
    return ("replay of %s from %s: %d calls answered, %d left"):format(
        self.abi.name, self.file, self.answered, self.left)
end

-- ---- the file ------------------------------------------------------------------

local function read_outs(r, call, entry)
    for _, p in ipairs(call.params) do
        if p.direction and p.direction ~= "in" then
            r:expect(", " .. p.name .. " =")
            entry.n = entry.n + 1
            entry[entry.n] = r:value(p)
        end
    end
end

-- = 5, data = "Hello"      = -ENOENT      = -ENOENT "why"      = -200, data = "Hello"
local function read_answer(r, call, entry)
    local name = r:error()
    local result
    if name then
        entry[1], entry[2], entry.n = nil, name, 2
        if not r:over() and not r:sees "stop" then
            r:string() -- why, for people
        end
        return
    elseif call.nr_only then
        result = r:integer()
    elseif r:take "nil%f[^%w_]" then
        result = nil
    elseif call.returns and call.returns.kind == "errno" then
        result = r:integer()
        if result > 0 or result <= -4096 then
            r:fail("%d: 0 or an error expected", result)
        end
        result = -result
    else
        result = r:result(call.returns)
    end
    read_outs(r, call, entry)
    entry.n = entry.n + 1
    entry[entry.n] = result
end

-- What stands behind the arguments.
local function read_end(r, call, entry)
    if r:take "raised" then
        entry.raised = r:string()
        return
    elseif r:take "closed" then
        entry.closed = true
        return
    end
    local answered = r:take "="
    if answered then
        read_answer(r, call, entry)
    end
    entry.stops = r:take "stop" ~= nil
    if entry.stops and not r:over() then
        entry.value = r:literal()
    elseif not (answered or entry.stops) then
        r:fail "=, stop, raised or closed expected"
    end
end

local function read_call(self, line)
    local r, entry = text.reader(line), { n = 0 }
    local call
    entry.cpu = r:integer()
    if entry.cpu < 0 or entry.cpu > LAST_CPU then
        r:fail("vcpu %d: they are 0 to %d", entry.cpu, LAST_CPU)
    end
    r:expect ":"
    local name = r:take "#%d+"
    if name then
        local nr = math.tointeger(tonumber(name:sub(2)))
        if not nr or nr < self.abi.first or nr > self.abi.last then
            r:fail("%s: the numbers are %d to %d", name, self.abi.first, self.abi.last)
        end
        call = { params = {}, nr_only = true }
    else
        name = r:take "[%a_][%w_]*" or r:fail "a call's name expected"
        call = self.abi.call[name] or r:fail("%s has no call %s", self.abi.name, name)
    end
    if r:take ":" then
        local number = r:take "E[%u%d]+" or r:fail "an error's name expected"
        if not errno[number] then
            r:fail("%s is no error's name", number)
        end
        entry.asked = ("%s: %s %s"):format(name, number, text.quoted(r:string()))
    else
        r:expect "("
        entry.asked = ("%s(%s)"):format(name, r:arguments(call))
        r:expect ")"
        read_end(r, call, entry)
    end
    if not r:over() then
        r:fail "nothing more expected"
    end
    return entry
end

local function add(self, entry, line)
    local calls = self.calls[entry.cpu] or { next = 1 }
    self.calls[entry.cpu] = calls
    calls[#calls + 1], self.count = entry, self.count + 1
    entry.line, entry.number = line, #calls
end

local function read_head(abi, line)
    local version = line:match "^hvlua recording (%d+): "
    local name, of, hash = line:match "^hvlua recording 1: abi (%S+), version (%d+), layout (%x+)$"
    if not version then
        return "this is no recording of hvlua's"
    elseif version ~= "1" then
        return ("a recording in format %s, this hvlua reads 1"):format(version)
    elseif not name then
        return "abi, version and layout expected"
    elseif name ~= abi.name then
        return ("a recording of the ABI %s, this is %s"):format(name, abi.name)
    elseif of ~= tostring(abi.version) then
        return ("a recording of version %s, this is version %d"):format(of, abi.version)
    elseif hash ~= ("%016x"):format(abi.hash) then
        return ("a recording of another layout of version %d, %s, this is %016x: record it anew")
            :format(abi.version, hash, abi.hash)
    end
end

local function read_line(self, line, number)
    if number == 1 then
        return read_head(self.abi, line)
    elseif not line:find "%S" or line:find "^%-%-" then
        return nil
    elseif line:find "^limits:" then
        local limit, most = line:match "^limits: (%d+), string (%d+)$"
        limit, most = math.tointeger(tonumber(limit)), math.tointeger(tonumber(most))
        if not (limit and most) or self.opts then
            return "limits, once, expected: limits: BYTES, string BYTES"
        end
        self.opts = { limit = limit, string = most }
        return nil
    elseif not self.opts then
        return "limits expected: limits: BYTES, string BYTES"
    end
    local ok, entry = pcall(read_call, self, line)
    if not ok then
        return type(entry) == "table" and entry.why or error(entry, 0)
    end
    add(self, entry, number)
end

local replay = {}

function replay.is(value)
    return getmetatable(value) == Replay
end

--- abi:replay(); nil and why it cannot be
function replay.open(abi, file)
    local input <close>, cannot = io.open(file, "rb")
    if not input then
        return nil, cannot
    end
    local self = setmetatable({ abi = abi, file = file, count = 0, answered = 0, calls = {},
                                unanswered = setmetatable({}, { __mode = "k" }) }, Replay)
    local number = 0
    while true do
        local line, broken = input:read "L"
        if not line and (broken or number > 0) then
            return not broken and self or nil, broken and ("%s: %s"):format(file, broken)
        end
        number = number + 1
        line = line or ""
        if line:sub(-1) ~= "\n" and number > 1 then
            self.cut = number -- what was written when the run ended
            return self
        end
        local why = read_line(self, line:gsub("\n$", ""), number)
        if why then
            return nil, ("%s:%d: %s"):format(file, number, why)
        end
    end
end

-- ---- answering -------------------------------------------------------------------

local function pc_of(cpu)
    return cpu.vm.arch == "arm64" and cpu.pc or cpu.rip
end

local function around(line, from)
    if #line <= SHOWN then
        return line
    end
    from = math.max(1, math.min(from - SHOWN // 2, #line - SHOWN))
    local last = from + SHOWN
    return (from > 1 and "..." or "") .. line:sub(from, last) .. (last < #line and "..." or "")
end

local function same(a, b) -- up to here
    local low, high = 0, math.min(#a, #b)
    while low < high do
        local middle = (low + high + 1) // 2
        if a:sub(1, middle) == b:sub(1, middle) then
            low = middle
        else
            high = middle - 1
        end
    end
    return low + 1
end

local function next_of(self, cpu)
    local calls = self.calls[cpu.index]
    return calls and calls[calls.next], calls
end

-- The next call, which is to be the one that is asked for.
local function expect(self, cpu, asked)
    local entry, calls = next_of(self, cpu)
    if not entry then
        local line = self.cut and (", line %d of which is cut off"):format(self.cut) or ""
        error(("%s: call %d of vcpu %d is not in the recording%s, at guest pc 0x%x\n"
            .. "  recorded: nothing more\n  now:      %s"):format(
                self.file, calls and #calls + 1 or 1, cpu.index, line, pc_of(cpu),
                around(asked, 1)), 0)
    elseif entry.asked ~= asked then
        local from = same(entry.asked, asked)
        error(("%s:%d: call %d of vcpu %d differs, at guest pc 0x%x\n  recorded: %s\n"
            .. "  now:      %s"):format(self.file, entry.line, entry.number, cpu.index, pc_of(cpu),
                around(entry.asked, from), around(asked, from)), 0)
    end
    calls.next, self.answered, self.place = calls.next + 1, self.answered + 1, entry
    return entry
end

local function answer(self, entry, cpu)
    if entry.raised then
        error(("%s:%d: call %d of vcpu %d, %s: in the recording its handler raised: %s"):format(
            self.file, entry.line, entry.number, cpu.index, entry.asked, entry.raised), 0)
    elseif entry.closed then
        cpu.vm:close()
    elseif entry.stops then
        cpu:stop(entry.value)
    end
    return table.unpack(entry, 1, entry.n)
end

local function last(...)
    return (select(select("#", ...), ...))
end

--- The handlers that marshal.lua calls.
function replay.handlers(self)
    local handlers = {}
    for name, call in pairs(self.abi.call) do
        handlers[name] = function(...)
            local cpu = last(...)
            return answer(self, expect(self, cpu, ("%s(%s)"):format(
                name, text.arguments(call, ...))), cpu)
        end
    end
    function handlers.default(nr, cpu)
        return answer(self, expect(self, cpu, ("#%d()"):format(nr)), cpu)
    end
    return handlers
end

local function title(call)
    return call.name == "?" and "#" .. call.nr or call.name
end

--- The guest is about to get an error that is no handler's.
function replay.fault(self, call, cpu, name, why)
    expect(self, cpu, ("%s: %s %s"):format(title(call), name, text.quoted(why)))
end

--- Was there nobody to answer the call?
function replay.unserved(self, call, cpu)
    local entry = next_of(self, cpu)
    return entry and entry.asked == ("%s: ENOSYS %s"):format(title(call),
        text.quoted(call.name == "?" and UNKNOWN or UNSERVED))
end

--- Where the answer comes from, for what is wrong with it.
function replay.place(self)
    return ("%s:%d"):format(self.file, self.place and self.place.line or 1)
end

--- A machine is served: --> the limits
function replay.begin(self, vm, level)
    if self.vm and self.vm ~= vm then
        error("serve: the replay is another machine's: make one of its own", level + 1)
    end
    self.vm = vm
    return self.opts or { limit = 1 << 24, string = 1 << 16 }
end

--- All has come that was recorded.
function Replay:finish()
    if not replay.is(self) then
        error(("finish: a replay expected, got %s: write a:b(), not a.b()"):format(type(self)), 2)
    end
    local first
    for _, calls in pairs(self.calls) do
        local entry = calls[calls.next]
        if entry and (not first or entry.line < first.line) then
            first = entry
        end
    end
    if first then
        error(("replay: %s:%d: %d calls of the recording did not come, the first of them "
            .. "call %d of vcpu %d: %s"):format(self.file, first.line, self.left, first.number,
                                                first.cpu, around(first.asked, 1)), 2)
    end
end

return replay
