-- SPDX-License-Identifier: MIT
--- Hypercalls as they come, a line each, and what they cost, like strace:
--
--     vcpu 0 0x4028  lab.write(fd = 1, data = "Hello\n") = 6  <3.1 us>
--     vcpu 0 0x4030  lab.stat(id = 7) = -ENOENT (the handler says so)  <1.2 us>
--
-- vm:trace { hypercalls = true }      from now on, to standard error; false: no more
-- vm:trace { hypercalls = fn }        fn(line) for each
-- vm:trace() --> rows                 { { name=, calls=, errors=, guest=, hvlua=, handler= }... }
-- hvlua --hypercalls script.lua       all machines of a script, and the table at the end
--
-- Times are seconds. `guest` is up to the call, with the way out of the guest and back
-- in; `hvlua` what is done with its arguments and results; `handler` the script's part.
-- Handlers of vm:hypercall() are told with their words in hexadecimal.

local core = require "hv.core"
local errno = require "hv.abi.errno"
local options = require "hv.options"
local struct = require "hv.abi.struct"
local text = require "hv.abi.text"

local trace = {}

local NAMES = {}
for name, number in pairs(errno) do
    NAMES[number] = name
end

-- ---- values in words -----------------------------------------------------------

local SHOWN, ITEMS = 32, 8

local function quoted(bytes)
    local cut = #bytes > SHOWN
    local out = bytes:sub(1, SHOWN):gsub('[%c"\\\127-\255]', function(c)
        local plain = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ["\0"] = "\\0",
            ['"'] = '\\"', ["\\"] = "\\\\" }
        return plain[c] or ("\\x%02x"):format(c:byte())
    end)
    return ('"%s"%s'):format(out, cut and ("... (%d bytes)"):format(#bytes) or "")
end

local show

local function list(values, ty)
    local out = {}
    for i, value in ipairs(values) do
        if i > ITEMS then
            out[i] = ("... (%d)"):format(#values)
            break
        end
        out[i] = show(ty, value)
    end
    return #out > 0 and "{ " .. table.concat(out, ", ") .. " }" or next(values) == nil and "{}"
        or "{ ... }"
end

-- Of a parameter or member.
local function value_of(p, value)
    if (p.count or p.open) and type(value) == "table" then
        return list(value, p.type)
    end
    return show(p.type, value)
end

local function members(ty, value)
    local out = {}
    for _, m in ipairs(ty.members) do
        out[#out + 1] = ("%s = %s"):format(m.name, value_of(m, value[m.name]))
    end
    return "{ " .. table.concat(out, ", ") .. " }"
end

-- A handler may give flags and enums in several ways, or what is none.
local function named(ty, value)
    local is, number = pcall(struct.number, ty, value, "")
    return is and text.write({ type = ty }, number) or nil
end

-- `ty` may be nil: then it is shown as it is.
function show(ty, value)
    local kind = ty and ty.kind
    local name = (kind == "flags" or kind == "enum") and named(ty, value)
    if name then
        return name
    elseif type(value) == "string" then
        return quoted(value)
    elseif kind == "ptr" and math.type(value) == "integer" then
        return ("0x%x"):format(value)
    elseif type(value) ~= "table" then
        return tostring(value)
    elseif kind == "struct" then
        return members(ty, value)
    end
    return list(value)
end

local function result_of(call, value)
    if call.name == "?" then -- no call: its handler's integer
        return ("%d"):format(value)
    end
    return text.result(call.returns, value)
end

local function microseconds(seconds)
    return seconds < 0.01 and ("%.1f us"):format(seconds * 1e6)
        or ("%.1f ms"):format(seconds * 1e3)
end

-- ---- a tracer --------------------------------------------------------------------

local Tracer = {}
Tracer.__index = Tracer

local function row_of(self, title)
    local row = self.rows[title]
    if not row then
        row = { name = title, calls = 0, errors = 0, guest = 0, hvlua = 0, handler = 0 }
        self.rows[title] = row
        self.rows[#self.rows + 1] = row
    end
    return row
end

-- The guest has called; arguments are still to be looked at.
function Tracer:enter(title, cpu)
    local now = core.clock()
    local at = self.at[cpu]
    if at and at.open then -- its handler raised
        self:line(at, "?")
    end
    at = { title = title, entered = now, open = true, index = cpu.index,
        pc = cpu.vm.arch == "arm64" and cpu.pc or cpu.rip,
        guest = now - (at and at.left or now), arguments = {} }
    self.at[cpu] = at
end

function Tracer:begin(call, ...)
    local values = table.pack(...)
    local cpu = values[values.n]
    local at, i = self.at[cpu], 0
    for _, p in ipairs(call.params) do
        if p.direction ~= "out" or p.sized then
            i = i + 1
            at.arguments[#at.arguments + 1] = p.direction == "out"
                and ("%s[%d]"):format(p.name, values[i])
                or ("%s = %s"):format(p.name, value_of(p, values[i]))
        end
    end
    at.began = core.clock()
end

-- What the handler has returned, before it is written.
function Tracer:returned(call, cpu, ...)
    local at, values, i = self.at[cpu], table.pack(...), 0
    at.ended = core.clock()
    at.outs = {}
    for _, p in ipairs(call.params) do
        if p.direction and p.direction ~= "in" then
            i = i + 1
            at.outs[i] = values[i] ~= nil and ("%s = %s"):format(p.name, value_of(p, values[i]))
                or nil
        end
    end
end

function Tracer:line(at, result)
    local handler = (at.ended or at.began or at.entered) - (at.began or at.entered)
    self.sink(("vcpu %d 0x%x  %s(%s) = %s  <%s>"):format(at.index, at.pc, at.title,
              table.concat(at.arguments, ", "), result, microseconds(handler)))
end

-- The guest gets its result.
function Tracer:finish(cpu, result, failed)
    local at, now = self.at[cpu], core.clock()
    local row = row_of(self, at.title)
    local handler = (at.ended or at.began or at.entered) - (at.began or at.entered)
    at.left, at.open = now, false
    row.calls = row.calls + 1
    row.errors = row.errors + (failed and 1 or 0)
    row.guest, row.handler = row.guest + at.guest, row.handler + handler
    row.hvlua = row.hvlua + (now - at.entered - handler)
    local outs = at.outs and not failed and table.concat(at.outs, ", ") or ""
    self:line(at, outs == "" and result or result .. ", " .. outs)
    at.left = core.clock() -- what printing took is nobody's
end

--- A call's own, for marshal.lua: its functions know the call.
function trace.hooks(tracer)
    local hooks = {}
    function hooks.enter(_, call, cpu)
        tracer:enter(call.title, cpu)
    end
    function hooks.begin(_, call, ...)
        tracer:begin(call, ...)
    end
    function hooks.returned(_, call, cpu, ...)
        tracer:returned(call, cpu, ...)
    end
    function hooks.failed(cpu, event)
        local at = tracer.at[cpu] -- nil: the handler has it traced from here on
        if at then
            at.event = event
        end
    end
    function hooks.finish(_, call, cpu, value, number)
        local event = tracer.at[cpu].event
        local shown = event and ("-%s (%s)"):format(NAMES[number] or number, event.why)
            or number ~= 0 and "-" .. NAMES[number] or result_of(call, value)
        tracer:finish(cpu, shown, number ~= 0)
        return value, number
    end
    return hooks
end

--- A handler of vm:hypercall() that is told of too.
function trace.plain(tracer, nr, fn)
    local info = debug.getinfo(fn, "u")
    local shown = math.max(info.nparams - 1, 0)
    return function(cpu, ...)
        tracer:enter("hypercall " .. nr, cpu)
        local at = tracer.at[cpu]
        for i = 1, math.min(shown, select("#", ...)) do
            at.arguments[i] = ("0x%x"):format((select(i, ...)))
        end
        at.began = core.clock()
        local results = table.pack(fn(cpu, ...))
        at.ended = core.clock()
        local out = {}
        for i = 1, results.n do
            out[i] = show(nil, results[i])
        end
        tracer:finish(cpu, table.concat(out, ", "))
        return table.unpack(results, 1, results.n)
    end
end

-- ---- machines --------------------------------------------------------------------

local tracers = setmetatable({}, { __mode = "k" }) -- machine -> tracer
local all -- of --hypercalls

local function to_stderr(line)
    io.stderr:write(line, "\n")
end

local function new(sink)
    return setmetatable({ rows = {}, sink = sink,
                          at = setmetatable({}, { __mode = "k" }) }, Tracer)
end

--- The tracer of a machine, or nil.
function trace.of(vm)
    if not tracers[vm] and core.defaults.hypercalls then
        all = all or new(to_stderr)
        tracers[vm] = all
    end
    return tracers[vm]
end

local KNOWN = { hypercalls = "boolean function" }

--- vm:trace(): see above. `again(vm)` makes its hypercalls anew.
function trace.machine(vm, opts, again, ...)
    local is, not_so = pcall(core.room, vm, 0, 0) -- a machine, and open
    if not is then
        error(not_so, 2)
    end
    local tracer = trace.of(vm)
    if opts == nil then
        return tracer and table.move(tracer.rows, 1, #tracer.rows, 1, {}) or {}
    end
    opts = options("trace", opts, KNOWN, 2, ...)
    if opts.hypercalls == nil then
        error("trace: hypercalls: true, false or a function expected, got nothing", 2)
    end
    tracers[vm] = opts.hypercalls and new(opts.hypercalls == true and to_stderr
        or opts.hypercalls) or nil
    again(vm)
end

-- ---- the table at the end --------------------------------------------------------

local function by_time(a, b)
    local x, y = a.guest + a.hvlua + a.handler, b.guest + b.hvlua + b.handler
    return x == y and a.name < b.name or x > y
end

function trace.print(rows, write)
    local width = 4
    table.sort(rows, by_time)
    for _, row in ipairs(rows) do
        width = math.max(width, #row.name)
    end
    local format = ("%%-%ds %%9s %%7s %%10s %%10s %%10s\n"):format(width)
    write(format:format("call", "count", "errors", "guest", "hvlua", "handler"))
    for _, row in ipairs(rows) do
        write(format:format(row.name, row.calls, row.errors, microseconds(row.guest),
                            microseconds(row.hvlua), microseconds(row.handler)))
    end
end

--- At the end of `hvlua --hypercalls`.
function trace.finish()
    if all and #all.rows > 0 then
        trace.print(all.rows, function(line) io.stderr:write(line) end)
    end
    return true
end

return trace
