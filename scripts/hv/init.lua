-- SPDX-License-Identifier: MIT
--- hvlua's library: `local hv = require "hv"`.
--
-- hv.vm { arch=, backend=, memory=, hypercall_port= } --> machine
-- hv.backends()            what runs here: { {name=, arch=, ok=, why=}, ... }
-- hv.caps([backend])       what a backend has: { vcpus=, page_size=, gic=, ... }
-- hv.asm(text [, opts])    assembly text --> image          (asm.lua)
-- hv.cc(text | options)    C --> image                      (cc.lua)
-- hv.image(path [, opts])  ELF or raw file --> image        (image.lua)
-- hv.spawn(fn, ...)        a worker process                 (spawn.lua)
-- hv.device                uart16550, pl011, exit           (device/)
-- hv.x86                   registers for protected and long mode (x86.lua)
-- hv.abi(name, {...})      what a guest may ask of its host (abi.lua); hv.struct,
--                          hv.enum, hv.flags: types for it
-- hv.cc(text | {...})      a guest in C --> image           (cc.lua)
-- hv.size(text)            "64K", "1M", 4096 --> bytes
-- hv.version
--
-- The parts that not every script uses are loaded when they are first named.

local core = require "hv.core"

local hv = {
    vm = core.vm,
    backends = core.backends,
    caps = core.caps,
    version = core.version,
}

local function later(name)
    return function(...)
        return require(name)(...)
    end
end

-- A table of the library, in which a mistyped name is a mistake.
local function strict(name, fields)
    return setmetatable(fields, { __index = function(_, key)
        local known = {}
        for field in pairs(fields) do
            known[#known + 1] = field
        end
        table.sort(known)
        error(('%s has no "%s": it has %s'):format(name, tostring(key),
              table.concat(known, ", ")), 2)
    end })
end

local lazy = {
    asm = function()
        local asm = require "hv.asm"
        return function(text, opts, level)
            if opts == nil and core.defaults.arch then
                opts = { arch = core.defaults.arch }
            end
            return asm(text, opts, level or 1) -- a tail call: no level of its own
        end
    end,
    cc = function() return require "hv.cc" end,
    size = function() return require "hv.size" end,
    image = function() return require "hv.image" end,
    spawn = function() return require "hv.spawn" end,
    abi = function() return require("hv.abi").abi end,
    struct = function() return require("hv.abi.struct").struct end,
    enum = function() return require("hv.abi.enum").enum end,
    flags = function() return require("hv.abi.enum").flags end,
    x86 = function() return strict("hv.x86", require "hv.x86") end,
    device = function()
        return strict("hv.device", {
            uart16550 = later "hv.device.uart16550",
            pl011 = later "hv.device.pl011",
            exit = later "hv.device.exit",
        })
    end,
}

setmetatable(hv, {
    __names = lazy, -- for completion at the prompt
    __index = function(_, name)
        local load = lazy[name]
        if not load then
            error(('hv has no "%s"'):format(tostring(name)), 2)
        end
        local value = load()
        hv[name] = value
        return value
    end,
})

-- ---- methods of the machine that are written in Lua --------------------

-- Raise what `fn` raises at the line that called the method.
local function blame(fn, ...)
    local ok, result = pcall(fn, ...)
    if not ok then
        if type(result) == "string" then
            result = result:gsub("^[^:\n]+:%d+: ", "")
        end
        error(result, 3)
    end
    return result
end

-- All of it or nothing: no image is left half loaded.
local function load_image(vm, image)
    for _, segment in ipairs(image.segments) do
        core.room(vm, segment.at, segment.size)
    end
    for _, segment in ipairs(image.segments) do
        vm:write(segment.at, segment.data)
        local rest = segment.size - #segment.data
        if rest > 0 then
            vm:fill(segment.at + #segment.data, rest)
        end
    end
end

local function load(vm, at, what, ...)
    core.room(vm, 0, 0) -- is it a machine, and open?
    if select("#", ...) > 0 then
        error("load: takes at most 2 arguments, got " .. 2 + select("#", ...))
    elseif what == nil and type(at) == "table" then
        at, what = nil, at
    end
    if type(what) == "string" then
        at = core.room(vm, at, #what)
        vm:write(at, what)
        return at
    elseif type(what) ~= "table" or not hv.image.is(what) then
        error("load: bytes or an image expected, got " .. type(what))
    elseif what.arch and what.arch ~= vm.arch then
        error(("load: the image is for %s, the machine is %s")
              :format(what.arch, vm.arch))
    end
    if at ~= nil then
        what = what:at(at)
    end
    load_image(vm, what)
    return what.entry or what.segments[1] and what.segments[1].at
end

--- vm:load(at, bytes | image), vm:load(image) --> where it starts
--
-- Bytes go to `at`. An image goes to its own addresses, or is laid out anew from
-- `at`; its entry point is the result.
function core.machine.load(vm, at, what, ...)
    local entry = blame(load, vm, at, what, ...)
    return entry
end

--- vm:serve(abi, handlers [, options]) --> server    see abi/serve.lua
function core.machine.serve(vm, abi, handlers, options, ...)
    return require "hv.abi.serve".machine(vm, abi, handlers, options, ...)
end

--- vm:trace { hypercalls = true }    see abi/trace.lua
function core.machine.trace(vm, options, ...)
    return require "hv.abi.serve".trace(vm, options, ...)
end

core.hypercall = core.machine.hypercall
if core.defaults.hypercalls then -- hvlua --hypercalls
    require "hv.abi.serve".watch_hypercalls()
end


return hv
