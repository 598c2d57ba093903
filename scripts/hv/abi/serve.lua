-- SPDX-License-Identifier: MIT
--- vm:serve(abi, handlers [, options]) --> server: a machine answers an ABI's calls.
-- In the ABI's place there may be abi:record(file) or abi:replay(file), which needs no
-- handlers: see record.lua and replay.lua.
--
-- handlers: call -> function(arguments..., cpu). Arguments are the parameters in order:
-- what is in or inout by its value, what is out only by its room where the guest says
-- how much there is. The handler returns the values of all that is out and inout, in
-- order, then the call's result:
--     read = function(fd, room) return data end             -- i64: #data, unless given
--     stat = function(id) return { size = 1, mode = 2 } end -- errno: 0
-- or nil, "EPERM" for an error. A handler that has stopped the run need return nothing.
-- handlers.default(nr, cpu) is for numbers of the ABI's range that no call has; calls
-- without a handler, and such numbers without it, are ENOSYS.
--
-- options: limit, string    most bytes of one buffer ("16M"), of one cstr ("64K")
--          on_error         fn(event) for each error that the guest gets
--
-- server: { abi=, vm=, calls = { name -> { calls=, errors= } }, errors=, last= }; an event is
-- { call=, nr=, error=, why=, cpu=, pc= }, the last one server.last; cpu and pc are nil
-- where a handler has closed the machine.
--
-- A guest tells which ABI it was built with by a call of its own, CHECK: name, version,
-- layout hash, and room for a message. What does not fit is EPROTO, in words.

local abi_module = require "hv.abi"
local core = require "hv.core"
local errno = require "hv.abi.errno"
local marshal = require "hv.abi.marshal"
local options = require "hv.options"
local prototype = require "hv.abi.prototype"
local size = require "hv.size"
local trace = require "hv.abi.trace"

local CHECK = prototype.check
local record, replay -- the modules, where they are in use

local Server = { __name = "server" }
Server.__index = Server

function Server:__tostring()
    local calls, errors = 0, 0
    for _, count in pairs(self.calls) do
        calls, errors = calls + count.calls, errors + count.errors
    end
    return ("server of %s: %d calls, %d errors"):format(self.abi.name, calls, errors)
end

-- What a call of so many costs is a local variable's increment: its sum is made when
-- it is asked for.
local Count = {}

function Count:__index(key)
    if key == "calls" then
        return self.before + self.more()
    end
end

local function none()
    return 0
end

local servers = setmetatable({}, { __mode = "k" }) -- machine -> { name -> server }

-- ---- errors ------------------------------------------------------------------

-- The guest gets the error, who serves it an event. A handler may have closed the
-- machine: then there is no guest to be asked.
local function fail(server, call, cpu, name, why)
    local number = math.type(name) == "integer" and name or errno[name]
    local count = server.calls[call.name]
    server.errors = server.errors + 1
    if count then
        count.errors = count.errors + 1
    end
    local event = { call = call.name, nr = call.nr, error = name, why = why }
    if not server.vm.closed then
        event.cpu, event.pc = cpu.index, server.arch == "arm64" and cpu.pc or cpu.rip
    end
    server.last = event
    if server.hooks then
        server.hooks.failed(cpu, event)
    end
    if server.on_error then
        server.on_error(event)
    end
    return -number, number
end

-- What is no handler's doing: in a replay that has to be as it was.
local function fault(server, call, cpu, name, why)
    if server.replay then
        replay.fault(server.replay, call, cpu, name, why)
    end
    return fail(server, call, cpu, name, why)
end

-- ---- unknown numbers, and the check ----------------------------------------------

local function unknown(server, call)
    return function(cpu)
        if server.default and not (server.replay
            and replay.unserved(server.replay, call, cpu)) then
            local value, why, more = server.default(call.nr, cpu)
            if math.type(value) == "integer" and why == nil and more == nil then
                return value, 0
            elseif value == nil and errno[why] and more == nil then
                return fail(server, call, cpu, why, "the default handler says so")
            elseif value == nil and why == nil and core.stopping(cpu) then
                return 0, 0
            end
            local info = debug.getinfo(server.default, "S")
            error(("%s:%d: %s: the default handler returned %s, an integer or nil and an "
                .. "error's name is expected"):format(
                    info.short_src, info.linedefined, call.title,
                    math.type(value) == "integer" and "more than one value"
                        or tostring(value)), 0)
        end
        return fault(server, call, cpu, "ENOSYS", "there is no such call")
    end
end

local function missing(server, call)
    return function(cpu)
        local count = server.calls[call.name]
        count.before = count.before + 1
        return fault(server, call, cpu, "ENOSYS", "it has no handler")
    end
end

-- What has no handler is traced as well.
local function told(hooks, call, fn)
    if not hooks then
        return fn
    end
    return function(cpu, ...)
        local _ <close> = hooks.enter({}, call, cpu)
        return hooks.finish({}, call, cpu, fn(cpu, ...))
    end
end

-- A recording may be of a time when there was no handler yet.
local function replayed(server, call, answer)
    local nobody = told(server.hooks, call, missing(server, call))
    return function(cpu, ...)
        if replay.unserved(server.replay, call, cpu) then
            return nobody(cpu)
        end
        return answer(cpu, ...)
    end
end

local function mismatch(server, name, version, hash)
    local abi = server and server.abi
    if not abi then
        return ("the host serves no ABI %s"):format(name)
    elseif version ~= abi.version then
        return ("%s: the guest is built for version %d, the host has version %d"):format(
            name, version, abi.version)
    elseif hash ~= abi.hash then
        return ("%s: version %d of the guest's is laid out otherwise: %016x, here %016x: "
            .. "build the guest anew"):format(name, version, hash, abi.hash)
    end
end

-- Words: name, version, hash, message, room for it.
local function checker(vm)
    return function(cpu, at, version, hash, message, room)
        local name = core.guest.cstring(cpu, at, 64)
        if not name then
            return -errno.EFAULT, errno.EFAULT
        end
        local server = servers[vm][name]
        local why = mismatch(server, name, version & 0xffffffff, hash)
        if not why then
            return 0, 0
        end
        if room > 0 then
            core.guest.write(cpu, message, why:sub(1, room - 1) .. "\0")
        end
        if server then
            fail(server, { name = "hv_abi_check", nr = CHECK }, cpu, "EPROTO", why)
        end
        return -errno.EPROTO, errno.EPROTO
    end
end

-- ---- vm:serve --------------------------------------------------------------------

local function nearest(name, known)
    local best, least = nil, 3
    for other in pairs(known) do
        local d = core.distance(name, other)
        if d < least then
            best, least = other, d
        end
    end
    return best
end

-- A copy: what is checked is what is called, also when tracing makes it anew.
local function check_handlers(abi, handlers, level)
    if type(handlers) ~= "table" then
        error(("serve: a table of handlers expected, got %s"):format(type(handlers)), level)
    end
    for name in pairs(handlers) do
        if name ~= "default" and not abi.call[name] then
            local near = type(name) == "string" and nearest(name, abi.call)
            error(("serve: %s has no call %s%s"):format(abi.name, tostring(name),
                  near and (': did you mean "%s"?'):format(near) or ""), level)
        end
    end
    local own = { default = handlers.default }
    for name in pairs(abi.call) do
        own[name] = handlers[name]
    end
    for name, handler in pairs(own) do
        if type(handler) ~= "function" then
            error(("serve: %s: a function expected, got %s"):format(name, type(handler)), level)
        end
    end
    return own
end

local function check_ranges(vm, abi, level)
    for name, other in pairs(servers[vm]) do
        local o = other.abi
        if name ~= abi.name and abi.first <= o.last and o.first <= abi.last then
            error(("serve: %s has the numbers %d to %d, %s those from %d to %d: give one of "
                .. "them another range"):format(abi.name, abi.first, abi.last, name, o.first,
                                                o.last), level)
        end
    end
end

local KNOWN = { limit = "number or string", string = "number or string", on_error = "function" }

local quiet = false -- what is registered is ours

local function set_hypercall(vm, nr, fn)
    quiet = true
    local ok, why = pcall(core.hypercall, vm, nr, fn)
    quiet = false
    if not ok then
        error("serve: " .. why:gsub("^[^\n]-%.lua:%d+: ", ""), 0)
    end
end

local function environment(server, call, opts)
    local count = server.calls[call.name]
        or setmetatable({ before = 0, errors = 0, more = none }, Count)
    count.before, count.more = count.calls, none -- it may be made anew
    server.calls[call.name] = count
    return {
        count = count, limit = opts.limit, string = opts.string, trace = server.hooks,
        general = server.replay ~= nil,
        place = server.replay and function() return replay.place(server.replay) end,
        fault = function(...) return fault(server, ...) end,
        refused = function(c, cpu, name)
            return fail(server, c, cpu, name, "the handler says so")
        end,
    }
end

-- All numbers of the range: those that no call has are answered too.
local function register(vm, server, handlers, opts)
    local abi, by_number = server.abi, {}
    local tracer = trace.of(vm)
    local traces = tracer and trace.hooks(tracer) or nil
    local hooks = server.recording and record.hooks(server.recording, vm, traces) or traces
    server.hooks = hooks
    for _, call in ipairs(abi.calls) do
        call.title = abi.name .. "." .. call.name
        local env = environment(server, call, opts)
        env.handler = handlers[call.name]
        by_number[call.nr] = env.handler and marshal(call, server.arch, env)
            or told(hooks, call, missing(server, call))
        if server.replay then
            by_number[call.nr] = replayed(server, call, by_number[call.nr])
        end
    end
    for nr = abi.first, abi.last do
        local call = { name = "?", nr = nr, title = ("%s: call %d"):format(abi.name, nr),
            params = {} }
        by_number[nr] = by_number[nr] or told(hooks, call, unknown(server, call))
        set_hypercall(vm, nr, by_number[nr])
    end
    local check = { name = "hv_abi_check", nr = CHECK, title = "hv_abi_check", params = {} }
    set_hypercall(vm, CHECK, told(traces, check, checker(vm)))
    server.again = function()
        register(vm, server, handlers, opts)
    end
end

local serve = {}

-- Numbers that the ABI had, and has no more, are nobody's.
local function withdraw(vm, old, abi)
    for nr = old.first, old.last do
        if nr < abi.first or nr > abi.last then
            set_hypercall(vm, nr, nil)
        end
    end
end

-- What abi:record() and abi:replay() give.
local function mocks_of(value)
    record = record or package.loaded["hv.abi.record"]
    replay = replay or package.loaded["hv.abi.replay"]
    return record and record.is(value) and value, replay and replay.is(value) and value
end

local function check_no_handlers(handlers, opts, level)
    if handlers ~= nil then
        error("serve: a replay has all answers: no handlers beside it", level)
    elseif opts.limit or opts.string then
        error("serve: limit, string: a replay has those of its recording", level)
    end
end

--- vm:serve()
function serve.machine(vm, abi, handlers, opts, ...)
    local is, not_so = pcall(core.room, vm, 0, 0) -- a machine, and open
    if not is then
        error(not_so, 2)
    end
    local recording, from = mocks_of(abi)
    abi = recording and recording.abi or from and from.abi or abi
    if not abi_module.is(abi) then
        error(("serve: an ABI of hv.abi() expected, got %s"):format(type(abi)), 2)
    end
    opts = options("serve", opts, KNOWN, 2, ...)
    servers[vm] = servers[vm] or {}
    if from then
        check_no_handlers(handlers, opts, 3)
        handlers = replay.handlers(from)
    end
    handlers = check_handlers(abi, handlers, 3)
    check_ranges(vm, abi, 3)
    local limits = from and replay.begin(from, vm, 2) or {
        limit = size(opts.limit or "16M", "serve: limit", 2),
        string = size(opts.string or "64K", "serve: string", 2),
    }
    if recording then
        record.begin(recording, vm, limits, 2)
    end
    local server = setmetatable({
        abi = abi, vm = vm, arch = vm.arch, calls = {}, errors = 0,
        default = handlers.default, on_error = opts.on_error, recording = recording,
        replay = from,
    }, Server)
    register(vm, server, handlers, limits)
    local before = servers[vm][abi.name]
    if before then
        withdraw(vm, before.abi, abi)
    end
    servers[vm][abi.name] = server
    return server
end

-- ---- tracing -----------------------------------------------------------------------

local originals = setmetatable({}, { __mode = "k" }) -- traced handler -> the script's

-- The number is an ABI's.
local function is_served(vm, nr)
    for _, server in pairs(servers[vm] or {}) do
        if nr >= server.abi.first and nr <= server.abi.last then
            return true
        end
    end
    return nr == CHECK and servers[vm] ~= nil
end

local function traced(vm, nr, fn)
    local tracer = trace.of(vm)
    fn = originals[fn] or fn
    if not (fn and tracer) or is_served(vm, nr) then
        return fn
    end
    local wrapped = trace.plain(tracer, nr, fn)
    originals[wrapped] = fn
    return wrapped
end

--- From now on each handler that vm:hypercall() gets is told of, where its machine is
-- traced.
function serve.watch_hypercalls()
    core.on_hypercall(function(vm, nr, fn)
        if not quiet then
            set_hypercall(vm, nr, traced(vm, nr, fn))
        end
    end)
end

--- vm:trace(): what it changes is made anew.
function serve.trace(vm, opts, ...)
    serve.watch_hypercalls()
    return trace.machine(vm, opts, function()
        for _, server in pairs(servers[vm] or {}) do
            server.again()
        end
        for nr, fn in pairs(core.hypercalls(vm)) do
            set_hypercall(vm, nr, traced(vm, nr, fn))
        end
    end, ...)
end

return serve
