-- SPDX-License-Identifier: MIT
--- Calls as they are answered, written to a file that replay.lua answers them from.
--
-- abi:record(file) --> recording         vm:serve(recording, handlers [, options])
--
-- recording: { abi=, file=, calls= }, how many it has; recording:close(), also a
-- `local recording <close>`. It is of one machine, and can be served again with other
-- handlers. Each call is in the file before the guest has its answer, so whatever ends a
-- run leaves what was answered. A file that is there is written anew; one that another
-- recording still writes is taken from it.
--
-- The file is text, a line for each call, in the order in which they were answered:
--
--     hvlua recording 1: abi lab, version 3, layout 0123456789abcdef
--     limits: 16777216, string 65536
--     0: add(a = 40, b = 2) = 42
--     0: read(path = "a", data[12]) = 5, data = "Hello"
--     0: read(path = "b", data[12]) = -ENOENT
--     1: read: EFAULT "path: at 0xfff0000"     what did not reach the handler
--     0: quit(status = 3) stop 3               the handler stopped the run with 3
--     0: add(a = 1, b = 2) raised "why"
--     0: quit(status = 4) closed               it closed the machine
--     0: #9() = 14                             number 9, which no call has
--
-- First is the vCPU's index; values are as text.lua has them. Empty lines, and those that
-- begin with --, are a person's; a call that a time limit has ended before its arguments
-- were read is such a line. What a handler gives to cpu:stop() is there when it is
-- nil, a boolean, a number or a string, else as ?. The call by which a guest tells what
-- it was built with is answered by the declaration alone, and is not recorded.

local core = require "hv.core"
local errno = require "hv.abi.errno"
local text = require "hv.abi.text"

local NAMES = {}
for name, number in pairs(errno) do
    NAMES[number] = name
end

local Recording = { __name = "recording" }
Recording.__index = Recording

local writing = setmetatable({}, { __mode = "v" }) -- file -> the recording that has it

function Recording:__tostring()
    return ("recording of %s in %s: %d calls"):format(self.abi.name, self.file, self.calls)
end

-- ---- the file ------------------------------------------------------------------

-- False, and self.failed says why. What stands behind a half line would be lost too.
local function put(self, line)
    if self.failed then
        return false
    end
    local ok, why = self.out:write(line, "\n")
    if ok then
        ok, why = self.out:flush()
    end
    self.failed = not ok and why or nil
    return ok
end

local function check(self, ok)
    if not ok then
        error(("abi: record: %s: %s"):format(self.file, self.failed), 0)
    end
end

function Recording:close()
    if getmetatable(self) ~= Recording then
        error(("close: a recording expected, got %s: write a:b(), not a.b()"):format(type(self)),
              2)
    elseif self.out then
        self.out:close()
        self.out = nil
    end
    if writing[self.file] == self then
        writing[self.file] = nil
    end
end
Recording.__gc, Recording.__close = Recording.close, Recording.close

local record = {}

function record.is(value)
    return getmetatable(value) == Recording
end

--- abi:record()
function record.open(abi, file)
    local out, why = io.open(file, "wb")
    if not out then
        return nil, why
    end
    local before = writing[file]
    if before and before.out then
        before:close()
        before.failed = "another recording has the file since"
    end
    local self = setmetatable({ abi = abi, file = file, calls = 0, out = out,
                                at = setmetatable({}, { __mode = "k" }) }, Recording)
    if not put(self, ("hvlua recording 1: abi %s, version %d, layout %016x"):format(
        abi.name, abi.version, abi.hash)) then
        self:close()
        return nil, ("%s: %s"):format(file, self.failed)
    end
    writing[file] = self
    return self
end

-- ---- calls ----------------------------------------------------------------------

local SAYS = { ["the handler says so"] = true, ["the default handler says so"] = true }

local function outs_of(call)
    local outs = {}
    for _, p in ipairs(call.params) do
        if p.direction and p.direction ~= "in" then
            outs[#outs + 1] = p
        end
    end
    return outs
end

-- What the handler has made of the call, in words: " = 5, data = ...", or nothing where
-- it has only stopped the run.
local function answer(call, state, value, number)
    local results, outs = state.results or {}, outs_of(call)
    local out
    local given = results[1] ~= nil or call.name == "?" and value ~= 0
    if number ~= 0 then
        local why = state.event.why
        out = "-" .. (NAMES[number] or number) .. (SAYS[why] and "" or " " .. text.quoted(why))
    elseif state.stopped and not given then
        return ""
    elseif call.name == "?" then
        out = ("%d"):format(value)
    else
        out = state.stopped and results[#outs + 1] == nil and "nil"
            or text.result(call.returns, value)
    end
    for i, p in ipairs(not NAMES[number] and results[1] ~= nil and outs or {}) do
        out = ("%s, %s = %s"):format(out, p.name, text.write(p, results[i]))
    end
    return " = " .. out
end

local function line_of(call, state, closed, value, number)
    local event = state.event
    local line = ("%d: %s"):format(state.index, call.name == "?" and "#" .. call.nr or call.name)
    if event and not state.arguments and not SAYS[event.why] then
        return ("%s: %s %s"):format(line, NAMES[number] or event.error, text.quoted(event.why))
    end
    line = ("%s(%s)"):format(line, state.arguments or "")
    return closed and line .. " closed" or line .. answer(call, state, value, number)
        .. (state.stopped and " stop" .. (state.stopped == "nil" and "" or " " .. state.stopped)
            or "")
end

-- A call is a guard: where it ends before its answer, it says that. A time limit or
-- Ctrl-C may end it before it is known what the guest has passed: no answer can be found
-- by that, it is only told to people.
local Call = {}

function Call:__close(why)
    local recording, call = self.recording, self.call
    if self.done or recording.failed or not recording.out then
        return
    elseif self.event and not self.arguments and not SAYS[self.event.why] then
        put(recording, line_of(call, self)) -- who heard of the error has raised
    else
        why = type(why) == "string" and why or ("(a %s)"):format(type(why))
        local known = self.arguments or #call.params == 0 and ""
        put(recording, ("%s%d: %s(%s) raised %s"):format(known and "" or "-- ", self.index,
            call.name == "?" and "#" .. call.nr or call.name, known or "?",
            text.quoted(why:match "^[^\n]*")))
        if not known then
            return
        end
    end
    recording.calls = recording.calls + 1
end

--- What marshal.lua tells of each call; `others`: who else hears of it, or nil.
function record.hooks(recording, vm, others)
    local hooks, calls = {}, recording.at
    local function also(name, ...)
        if others then
            others[name](...)
        end
    end
    function hooks.enter(env, call, cpu)
        also("enter", env, call, cpu)
        local state = setmetatable({ recording = recording, call = call, index = cpu.index,
                                     stopping = core.stopping(cpu) }, Call)
        calls[cpu] = state
        return state
    end
    function hooks.begin(env, call, ...)
        also("begin", env, call, ...)
        calls[select(select("#", ...), ...)].arguments = text.arguments(call, ...)
    end
    function hooks.returned(env, call, cpu, ...)
        also("returned", env, call, cpu, ...)
        calls[cpu].results = { ... }
    end
    function hooks.failed(cpu, event)
        also("failed", cpu, event)
        if calls[cpu] then -- nil: not one of ours, such as the check
            calls[cpu].event = event
        end
    end
    function hooks.finish(env, call, cpu, value, number)
        local state = calls[cpu]
        calls[cpu] = nil
        local stopping, with = core.stopping(cpu)
        state.stopped = stopping and not state.stopping and text.literal(with) or nil
        if recording.out or recording.failed then
            local line = line_of(call, state, vm.closed, value, number)
            state.done = true
            check(recording, put(recording, line))
            recording.calls = recording.calls + 1
        end
        state.done = true
        also("finish", env, call, cpu, value, number)
        return value, number
    end
    return hooks
end

--- A machine is served: the limits are part of what its guest sees.
function record.begin(recording, vm, opts, level)
    local limits = ("limits: %d, string %d"):format(opts.limit, opts.string)
    if recording.failed or not recording.out then
        error(("serve: the recording is %s"):format(recording.failed
              and "broken: " .. recording.failed or "closed"), level + 1)
    elseif recording.vm and recording.vm ~= vm then
        error("serve: the recording is of another machine: use another file", level + 1)
    elseif recording.limits and recording.limits ~= limits then
        error(("serve: the recording has %s, this is %s"):format(recording.limits, limits),
              level + 1)
    end
    if not recording.limits then
        check(recording, put(recording, limits))
    end
    recording.vm, recording.limits = vm, limits
end

return record
