-- SPDX-License-Identifier: MIT
--- From a hypercall's words to a handler's arguments and back. A call becomes a Lua
-- function of its own, made of text: what its declaration tells is not looked at again
-- each time it comes.
--
-- marshal(call, arch, env) --> function(cpu, word...) that vm:hypercall() takes
--
-- env:
--   handler            the script's
--   count              a table, which gets more(): how many calls there were
--   limit, string      most bytes of a buffer, of a cstr
--   fault(call, cpu, name, why) --> results      the guest's mistake
--   refused(call, cpu, name) --> results         the handler's error
--   trace              nil, or { enter=, begin=, returned=, finish= }: see trace.lua; what
--                      enter() returns is closed when the call is over
--   place              nil, or a function: where the handler's answers come from
--   general            true: no call is C's, so that the function can be called
--
-- The guest is not trusted: each pointer is looked at before the handler is called,
-- those that are written to once more after it, before anything is written. The handler
-- is: what it returns and should not raises, in its name.

local core = require "hv.core"
local errno = require "hv.abi.errno"
local struct = require "hv.abi.struct"

local guest = core.guest

-- Where words are, beyond those that vm:hypercall() passes.
local REGISTERS = {
    arm64 = { "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", passed = 7 },
    x86_64 = { "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", passed = 6 },
}
local WORDS = 8

-- ---- what handlers return ----------------------------------------------------

local function blame(env, call, format, ...)
    local info = debug.getinfo(env.handler, "S")
    local place = env.place and env.place() or ("%s:%d"):format(info.short_src, info.linedefined)
    error(("%s: %s: the handler returned %s"):format(place, call.title, format:format(...)), 0)
end

local function shown(value)
    return math.type(value) and tostring(value) or type(value)
end

local function to_bytes(env, call, fn, ...)
    local ok, result = pcall(fn, ...)
    if not ok then
        if type(result) ~= "table" then
            error(result, 0)
        end
        blame(env, call, "a wrong value: %s", result.why)
    end
    return result
end

-- The bytes of a value for an out parameter. `room`: how many there can be.
local function encode(env, call, p, value, room)
    local bytes
    if p.type.kind == "bytes" then
        if type(value) ~= "string" then
            blame(env, call, "%s, a string is expected for %s", shown(value), p.name)
        end
        bytes = value
    elseif p.count or p.open then
        bytes = to_bytes(env, call, struct.array, p.type, value, p.count, p.name)
    else
        bytes = to_bytes(env, call, struct.to, p.type, value, p.name)
    end
    if #bytes > room then
        blame(env, call, "%d bytes for %s, the guest has room for %d", #bytes, p.name, room)
    end
    return bytes
end

-- A result as a word; nil: it is none.
local WORD = {}

function WORD.int(ty, value)
    local fits = math.type(value) == "integer"
        and (ty.size == 8 or value >= ty.min and value <= ty.max)
    return fits and value or nil
end

function WORD.ptr(_, value)
    return math.type(value) == "integer" and value or nil
end

function WORD.bool(_, value)
    if type(value) == "boolean" then
        return value and 1 or 0
    end
end

function WORD.float(ty, value)
    if math.type(value) then
        local bytes = string.pack("<" .. ty.format, value)
        return (string.unpack(ty.size == 4 and "<I4" or "<i8", bytes))
    end
end

function WORD.enum(ty, value)
    local ok, number = pcall(struct.number, ty, value, "")
    return ok and number or nil
end
WORD.flags = WORD.enum

-- An error's number: 0, 1 to 4095, or its name.
function WORD.errno(_, value)
    value = errno[value] or value
    return math.type(value) == "integer" and value >= 0 and value < 4096 and value or nil
end

-- Results beyond the simple case: a word, then the error; or what env has for it.
-- `more`: what stands behind them, where nobody would look.
local function result(env, call, cpu, value, why, more, length)
    local ty = call.returns
    local surplus = more
    if why ~= nil and not (value == nil and type(why) == "string") then
        surplus = why
    end
    if surplus ~= nil then
        blame(env, call, "one value too many, %s", shown(surplus))
    elseif value == nil and why then
        if not errno[why] then
            blame(env, call, 'nil, "%s": the name of an error expected, such as "EPERM"', why)
        end
        return env.refused(call, cpu, why)
    elseif value == nil and (core.stopping(cpu) or not ty or ty.kind == "errno") then
        return 0, 0
    elseif value == nil and ty.kind == "int" and length then
        value = length
    elseif not ty then
        blame(env, call, "%s, the call returns nothing", shown(value))
    end
    local word = WORD[ty.kind](ty, value)
    if not word then
        blame(env, call, "%s, %s is expected", shown(value), ty.name)
    elseif ty.kind == "errno" and word ~= 0 then
        return env.refused(call, cpu, value)
    end
    return word, 0
end

-- ---- the text of a call --------------------------------------------------------

local Text = {}
Text.__index = Text

function Text:add(format, ...)
    self[#self + 1] = select("#", ...) > 0 and format:format(...) or format
end

function Text:constant(value)
    self.constants[#self.constants + 1] = value
    return "k" .. #self.constants
end

function Text:fault(condition, name, format, ...)
    self:add("if %s then return fault(call, cpu, %q, (%q):format(%s)) end", condition, name,
             format, table.concat({ ... }, ", "))
end

-- Words in order: parameters of the function, registers, guest memory.
function Text:words_of(call, arch)
    local registers, names = REGISTERS[arch], {}
    local passed = math.min(call.words, registers.passed)
    for i = 1, passed do
        names[i] = "w" .. i
    end
    self.parameters = table.concat({ "cpu", table.unpack(names) }, ", ")
    for i = passed + 1, math.min(call.words, WORDS) do
        self:add("local w%d = cpu.%s", i, registers[i])
    end
    if call.spilled then
        local n = call.words - WORDS + 1
        self:add("local spilled = read(cpu, w8, %d)", 8 * n)
        self:fault("not spilled", "EFAULT", "parameters: %d bytes at 0x%x", 8 * n, "w8")
        local all = {}
        for i = WORDS, call.words do
            all[#all + 1] = "w" .. i
        end
        self:add("local %s", table.concat(all, ", ", 2))
        self:add("%s = unpack(%q, spilled)", table.concat(all, ", "), "<" .. ("i8"):rep(n))
    end
end

local Scalar = {}

function Scalar.int(_, p, w)
    local ty = p.type
    if ty.size == 8 then
        return w
    elseif ty.signed then
        local sign = 1 << 8 * ty.size - 1
        return ("((%s & 0x%x) ~ 0x%x) - 0x%x"):format(w, ty.max * 2 + 1, sign, sign)
    end
    return ("%s & 0x%x"):format(w, ty.max)
end

function Scalar.ptr(_, _, w)
    return w
end

function Scalar.bool(_, _, w)
    return ("%s & 0xff ~= 0"):format(w)
end

function Scalar.float(_, p, w)
    return p.type.size == 8 and ('(unpack("<d", pack("<i8", %s)))'):format(w)
        or ('(unpack("<f", pack("<I4", %s & 0xffffffff)))'):format(w)
end

function Scalar.enum(text, p, w)
    local base = { type = p.type.base }
    text:fault(("not %s[%s]"):format(text:constant(p.type.named), Scalar.int(text, base, w)),
               "EINVAL", p.name .. ": no value of enum " .. p.type.name .. ": %d", w)
    return ("%s[%s]"):format(text:constant(p.type.named), Scalar.int(text, base, w))
end

function Scalar.flags(text, p, w)
    local ty = text:constant(p.type)
    local value = Scalar.int(text, { type = p.type.base }, w)
    text:fault(("(%s) & ~%s.all ~= 0"):format(value, ty), "EINVAL",
               p.name .. ": no flags " .. p.type.name .. ": 0x%x", w)
    return ("flags(%s, %s)"):format(ty, value)
end

-- A value out of the bytes that were read.
local function decoded(text, p, bytes)
    if p.type.kind == "bytes" then
        return bytes
    end
    local ty = text:constant(p.type)
    if p.count or p.open then
        return ("list(%s, %s, 1, #%s // %d)"):format(ty, bytes, bytes, p.type.size)
    elseif p.type.kind == "struct" then
        return ("structure(%s, %s)"):format(ty, bytes)
    end
    return ("from(%s, %s, 1)"):format(ty, bytes)
end

-- The bytes that a pointer parameter is about, into n<i>.
local function size_of(text, p, i, length)
    local size = p.type.size or 1
    if not p.sized then
        text:add("local n%d = %d", i, size * (p.count or 1))
        return
    end
    local unit = p.open and size or 1
    text:fault(("ult(%d, %s)"):format(text.limit // unit, length), "E2BIG",
               p.name .. ": %d: more than " .. text.limit .. " bytes", length)
    text:add("local n%d = %s * %d", i, length, unit)
    if p.type.open then
        text:fault(("n%d < %d"):format(i, size), "EINVAL",
                   p.name .. ": %d bytes: struct " .. p.type.name .. " has " .. size,
                   "n" .. i)
    end
end

local function pointer(text, p, i, w)
    size_of(text, p, i, "w" .. w + 1)
    local place = p.name .. ": %d bytes at 0x%x"
    if p.direction ~= "in" then
        text:fault(("not room(cpu, w%d, n%d, true)"):format(w, i), "EFAULT", place, "n" .. i,
                   "w" .. w)
    end
    if p.direction ~= "out" then
        text:add("local b%d = read(cpu, w%d, n%d)", i, w, i)
        text:fault(("not b%d"):format(i), "EFAULT", place, "n" .. i, "w" .. w)
        text:add("local v%d = %s", i, decoded(text, p, "b" .. i))
        return "v" .. i
    elseif p.sized then
        text:add("local v%d = n%d // %d", i, i, p.open and p.type.size or 1)
        return "v" .. i
    end
end

-- What parameter i is to the handler, or nil: nothing.
local function argument(text, p, i, w)
    if p.direction then
        return pointer(text, p, i, w)
    elseif p.type.kind == "cstr" then
        text:add("local v%d, long%d = cstring(cpu, w%d, %d)", i, i, w, text.string)
        text:fault(("not v%d and long%d"):format(i, i), "ENAMETOOLONG",
                   p.name .. ": at 0x%x: no end in " .. text.string .. " bytes", "w" .. w)
        text:fault(("not v%d"):format(i), "EFAULT", p.name .. ": at 0x%x", "w" .. w)
    else
        text:add("local v%d = %s", i, Scalar[p.type.kind](text, p, "w" .. w))
    end
    return "v" .. i
end

-- Of two pointers one of which is written to, the other must not see it.
local function overlaps(text, pointers)
    for j, b in ipairs(pointers) do
        for k = 1, j - 1 do
            local a = pointers[k]
            if a.p.direction ~= "in" or b.p.direction ~= "in" then
                text:fault(("n%d > 0 and n%d > 0 and (ult(w%d - w%d, n%d) or ult(w%d - w%d, n%d))")
                    :format(a.i, b.i, a.w, b.w, b.i, b.w, a.w, a.i), "EINVAL",
                    ("%s and %s overlap: 0x%%x and 0x%%x"):format(a.p.name, b.p.name),
                    "w" .. a.w, "w" .. b.w)
            end
        end
    end
end

local function outs_of(pointers)
    local outs = {}
    for _, pointed in ipairs(pointers) do
        if pointed.p.direction ~= "in" then
            outs[#outs + 1] = pointed
        end
    end
    return outs
end

-- How long the one thing is that has a length of its own; what `returns` then defaults
-- to.
local function length_of(outs)
    local only
    for _, out in ipairs(outs) do
        if out.p.sized then
            if only then
                return "nil"
            end
            only = ("#o%d // %d"):format(out.i, out.p.open and out.p.type.size or 1)
        end
    end
    return only or "nil"
end

-- Two results as the call's, of which a tracer hears.
function Text:told(results)
    return self.traced and ("done(env, call, cpu, %s)"):format(results) or results
end

-- What the guest gets in memory: all of it, or nothing.
local function write_outs(text, outs)
    if #outs == 0 then
        return
    end
    local buffers = {}
    for i, out in ipairs(outs) do
        buffers[i] = ("w%d, o%d"):format(out.w, out.i)
    end
    text:add("local bad = number == 0 and write(cpu, %s)", table.concat(buffers, ", "))
    for i, out in ipairs(outs) do
        text:fault(("bad == %d"):format(i), "EFAULT",
                   out.p.name .. ": %d bytes at 0x%x, which the handler took away",
                   "#o" .. out.i, "w" .. out.w)
    end
end

local function after(text, call, outs)
    local results = {}
    for _, out in ipairs(outs) do
        results[#results + 1] = "r" .. out.i
    end
    local first = results[1]
    results[#results + 1] = "r"
    results[#results + 1] = "why"
    text:add("local %s, more = handler(%s)", table.concat(results, ", "), text.arguments)
    if text.traced then
        text:add("returned(env, call, cpu, %s)", table.concat(results, ", "))
    end
    if first then -- nil, "EPERM"; or stopped
        text:add("if %s == nil and (type(%s) == \"string\" or stopping(cpu)) then", first,
                 results[2])
        text:add("  return %s end", text:told(("result(env, call, cpu, nil, %s, %s)"):format(
            results[2], results[3])))
    end
    for _, out in ipairs(outs) do
        text:add("local o%d = encode(env, call, %s, r%d, n%d)", out.i, text:constant(out.p),
                 out.i, out.i)
    end
    local ty = call.returns
    if ty and ty.kind == "int" then -- the common cases
        text:add("local value, number = r, 0")
        text:add('if not (mtype(r) == "integer"%s and why == nil and more == nil) then',
                 ty.size == 8 and "" or (" and r >= %d and r <= %d"):format(ty.min, ty.max))
    elseif not ty then
        text:add("local value, number = 0, 0")
        text:add("if not (r == nil and why == nil and more == nil) then")
    else
        text:add("local value, number do")
    end
    text:add("  value, number = result(env, call, cpu, r, why, more, %s) end", length_of(outs))
    write_outs(text, outs)
    text:add("return %s", text:told "value, number")
end

local HEAD = [[
local env, call, handler, count, fault, result, encode, guest, flags, list, structure, from,
    stopping, constants = ...
local read, write, room, cstring = guest.read, guest.write, guest.room, guest.cstring
local unpack, pack, ult, mtype, type = string.unpack, string.pack, math.ult, math.type, type
local calls = 0
function count.more() return calls end
]]

-- With a tracer each way out goes by it.
local TRACED = [[
local enter, begin, returned, done = env.trace.enter, env.trace.begin, env.trace.returned,
    env.trace.finish
local untold = fault
function fault(c, cpu, ...) return done(env, c, cpu, untold(c, cpu, ...)) end
]]

local function write_text(call, arch, env)
    local text = setmetatable({ constants = {}, limit = env.limit, string = env.string,
                                traced = env.trace }, Text)
    text:words_of(call, arch)
    local w, arguments, pointers = 1, {}, {}
    for i, p in ipairs(call.params) do
        arguments[#arguments + 1] = argument(text, p, i, w)
        if p.direction then
            pointers[#pointers + 1] = { p = p, i = i, w = w }
        end
        w = w + p.words
    end
    overlaps(text, pointers)
    arguments[#arguments + 1] = "cpu"
    text.arguments = table.concat(arguments, ", ")
    if text.traced then
        text:add("begin(env, call, %s)", text.arguments)
    end
    after(text, call, outs_of(pointers))
    local lines = { HEAD }
    for i in ipairs(text.constants) do
        lines[#lines + 1] = ("local k%d = constants[%d]"):format(i, i)
    end
    lines[#lines + 1] = text.traced and TRACED or ""
    lines[#lines + 1] = ("return function(%s)"):format(text.parameters)
    lines[#lines + 1] = text.traced and "local _ <close> = enter(env, call, cpu)"
        or ""
    lines[#lines + 1] = "calls = calls + 1"
    lines[#lines + 1] = table.concat(text, "\n")
    lines[#lines + 1] = "end"
    return table.concat(lines, "\n"), text.constants
end

-- ---- calls of integers and strings ------------------------------------------------

-- What bindings/hypercalllib.c can do by itself, as it names it; nil: it cannot.
local function code_of(ty)
    if not ty then
        return "-"
    elseif ty.kind == "int" then
        return (ty.signed and "i" or "u") .. ty.size
    elseif ty.kind == "ptr" then
        return "u8"
    elseif ty.kind == "bool" then
        return "b1"
    end
    return ty.kind == "cstr" and "s8" or nil
end

local RESULTS = { int = true, ptr = true }

-- The call in C, with the general function for what is out of the ordinary; or only
-- that.
local function typed(call, env, general)
    local codes = {}
    for i, p in ipairs(call.params) do
        codes[i] = not p.direction and code_of(p.type) or nil
    end
    if env.trace or env.general or #codes ~= #call.params or #codes > 6
        or call.returns and not RESULTS[call.returns.kind] then
        return general
    end
    local function finish(cpu, value, why, more)
        return result(env, call, cpu, value, why, more)
    end
    local made = core.typed(env.handler, general, finish, env.string, code_of(call.returns),
                            table.unpack(codes))
    local more = env.count.more
    function env.count.more()
        return more() + core.typed_calls(made)
    end
    return made
end

return function(call, arch, env)
    local code, constants = write_text(call, arch, env)
    local chunk = assert(load(code, ("=hypercall %s"):format(call.title), "t"))
    return typed(call, env, chunk(env, call, env.handler, env.count, env.fault, result, encode,
        guest, struct.flags, struct.list, struct.unpack, struct.from, core.stopping, constants))
end
