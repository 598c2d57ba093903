-- SPDX-License-Identifier: MIT
--- hv.cc: guests in C, from the script.
--
-- cc(text) --> image (see image.lua)       cc { text = | file =, ... } --> image
--   abi      an ABI of hv.abi(), or a list: #include "NAME.h" is there (abi/header.lua)
--   conduit  how its stubs call the host: "hvc", "smc", "port@0xe8", "mmio@0x9000000"
--   arch     "arm64" (default) or "x86_64"
--   at       its address, unless image:at() or vm:load() names another (0x10000)
--   stack    its size ("16K")
--   opt      "-O1"
--   defines  { NAME = value }; true: 1
--   flags    { "-Wall", ... }, behind all others
--   name     the text's name in messages, such as the file it came from
--
-- The guest is freestanding: no library, no headers but the compiler's own. It starts
-- at _start, which gives it the stack and calls `long main(void)`; behind that it waits
-- (wfi, hlt) with the result in x0 or rax. An arm64 guest has its vector registers; an
-- x86_64 one is for 64-bit mode (hv.x86.long), without SSE unless `flags` say otherwise.
--
-- The compiler is clang, or a gcc for the guest's architecture; HVLUA_CC names another
-- program. What it complains about is raised at that line of the script. One text is
-- compiled once: see cache.lua.

local abi_module = require "hv.abi"
local cache = require "hv.cache"
local compiler = require "hv.cc.compiler"
local core = require "hv.core"
local elf = require "hv.elf"
local header = require "hv.abi.header"
local image = require "hv.image"
local object = require "hv.object"
local options = require "hv.options"
local prototype = require "hv.abi.prototype"
local size = require "hv.size"
local source = require "hv.source"
local startup = require "hv.cc.startup"

local KNOWN = {
    text = "string", file = "string", abi = "table", conduit = "string", arch = "string",
    at = "number or string", stack = "number or string", opt = "string", defines = "table",
    flags = "table", name = "string",
}
local ARCHES = { arm64 = true, x86_64 = true }
local SHOWN = 20 -- errors listed

-- ---- what the compiler says ------------------------------------------------------

local ERROR = { ["error"] = true, ["fatal error"] = true, ["Error"] = true } -- GNU as: E

-- { { line=, message= }... }: line of the text, nil where it is about something else.
local function parse(job, folder, stderr)
    local errors = {}
    for output in stderr:gmatch "[^\r\n]+" do
        local file, line, kind, words = output:match "^(.-):(%d+):[%d:]* (%a[%a ]*): (.*)"
        if not ERROR[kind] then
            file, line, kind, words = nil, nil, output:match "^[^:]+: (%a[%a ]*): (.*)"
        end
        if ERROR[kind] and file == job.place then
            errors[#errors + 1] = { line = tonumber(line) - job.line + 1, message = words }
        elseif ERROR[kind] then
            local made = file and file:sub(1, #folder.path) == folder.path
            file = made and file:sub(#folder.path + 2) or file
            errors[#errors + 1] = {
                message = (file and ("%s:%s: "):format(file, line) or "") .. words,
            }
        end
    end
    return errors
end

local function report(job, folder, stderr)
    local lines = {}
    for _, e in ipairs(parse(job, folder, stderr)) do
        local statement = e.line and source.line_of(job.text, e.line)
        lines[#lines + 1] = job.locate(e.line, ("compiler: %s%s"):format(
            e.message, statement and (': "%s"'):format(statement) or ""))
    end
    if #lines == 0 then
        return job.locate(nil, "compiler: failed: " .. stderr:sub(1, 2000))
    elseif #lines > SHOWN then
        local more = #lines - SHOWN
        lines = table.move(lines, 1, SHOWN, 1, {})
        lines[#lines + 1] = ("and %d more errors"):format(more)
    end
    return table.concat(lines, "\n")
end

-- ---- compiling -------------------------------------------------------------------

local function fail(job, message)
    error({ message = job.locate(nil, "cc: " .. message) }, 0)
end

-- A folder for what the compiler reads and writes besides its standard input.
local function work_folder(job)
    local status, out, err = core.pipe { "mktemp", "-d" }
    local folder = status == 0 and out:match "^[^\n]+"
    if not folder then
        fail(job, "mktemp -d: " .. (err or out))
    end
    return setmetatable({ path = folder }, {
        __close = function() core.pipe { "rm", "-rf", "--", folder } end,
    })
end

local function contents(path)
    local file <close>, why = io.open(path, "rb")
    if not file then
        return nil, why
    end
    return file:read "a"
end

local function write(job, folder, name, text)
    local file <close>, why = io.open(("%s/%s"):format(folder.path, name), "wb")
    if not (file and file:write(text) and file:flush()) then
        fail(job, why or "cannot write to " .. folder.path)
    end
end

-- The text is a file beside the headers: so they come before any of the same name. What
-- comes out is ours to write, which a watch takes note of (watch.lua).
local function run(job, folder, mode, text)
    local flags = { "-I" .. folder.path, table.unpack(mode) }
    table.move(job.flags, 1, #job.flags, #flags + 1, flags)
    local output = folder.path .. "/out"
    write(job, folder, "text.c", text)
    write(job, folder, "out", "")
    local ok, why = compiler.run(job.tool, flags, folder.path .. "/text.c", output)
    if ok == nil then
        fail(job, why)
    elseif not ok then
        error({ message = report(job, folder, why) }, 0)
    end
    return assert(contents(output))
end

-- Functions that the compiler calls, and the text does not have.
local function needed(job, bytes)
    local ok, file = elf.try(elf.open, bytes)
    if not ok then
        fail(job, "the compiler's output: " .. file)
    end
    local names, symbols = {}, file:symbols(file:sections()) or {}
    for i = 1, #symbols do
        if symbols[i].shndx == 0 and startup.has[symbols[i].name] then
            names[#names + 1] = symbols[i].name
        end
    end
    return names
end

local function compile(job, folder)
    local bytes = run(job, folder, { "-c" }, job.whole)
    local names = needed(job, bytes)
    if #names > 0 then
        bytes = run(job, folder, { "-c" }, job.whole .. startup.runtime(job.arch, names))
    end
    return bytes
end

-- Does the text's meaning depend on files that are not known here?
local function includes(job)
    local left = job.text:gsub('(#%s*include%s*)"([^"\n]*)"', function(_, name)
        return job.headers[name] and "" or nil
    end)
    for _, flag in ipairs(job.flags) do
        if flag:find "^%-i[nm]" or flag:find "^@" then
            return true
        end
    end
    -- A # has other spellings, and what stands behind it may be on another line.
    return left:find "include" or left:find "\\\r?\n"
end

-- What a text includes is loaded too, for whoever watches this script: it hears of what
-- is opened.
local function open_included(folder)
    local rule = (contents(folder.path .. "/included") or ""):gsub("\\\n", " ")
    for name in rule:gsub("\\ ", "\0"):gmatch "%S+" do -- as make reads it
        local path = name:gsub("%z", " "):gsub("%$%$", "$"):gsub("\\#", "#")
        local file = io.open(path, "rb")
        if file then
            file:close()
        end
    end
end

-- What the object is made of, as a text; nil where that cannot be told.
local function key_of(job, folder)
    local text = job.whole
    if text:find "incbin" or text:find "%f[%w]embed%f[%W]" then
        return nil
    elseif includes(job) then
        text = run(job, folder, { "-E", "-P", "-MMD", "-MF", folder.path .. "/included" }, text)
        open_included(folder)
    end
    local parts = { "cc", core.version, job.arch, job.tool.program, job.tool.version, text,
        table.concat(job.flags, "\0") }
    local names = {}
    for name in pairs(job.headers) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        parts[#parts + 1] = name .. "\0" .. job.headers[name]
    end
    return table.concat(parts, "\0\0")
end

local objects, count = {}, 0 -- of this process, by key
local COUNT_MAX = 64

local function remember(key, obj)
    if count >= COUNT_MAX then
        objects, count = {}, 0
    end
    objects[key], count = obj, count + 1
end

-- What is missing for another reason than that somebody forgot it.
local function explain(job, symbol, why)
    if symbol == "main" then
        return "there is no main: long main(void) is what is called"
    elseif job.arch == "x86_64" and symbol and symbol:find "^__%l+[sd]f" then
        return why .. ': floating point takes SSE: flags = { "-msse2" }, cr4 with OSFXSR'
    end
    return why
end

local function read_object(job, bytes)
    local ok, obj, fault = elf.try(object.read, bytes, job.arch)
    if not ok then
        error({ message = job.locate(source.line_with(job.text, fault.symbol),
                                     "cc: " .. explain(job, fault.symbol, obj)) }, 0)
    end
    return obj
end

local function make(job)
    local folder <close> = work_folder(job)
    for name, text in pairs(job.headers) do
        write(job, folder, name, text)
    end
    local key = key_of(job, folder)
    if key and objects[key] then
        return objects[key]
    end
    local bytes = key and cache.get(key)
    local cached = bytes ~= nil
    bytes = bytes or compile(job, folder)
    local obj = read_object(job, bytes)
    if key then
        remember(key, obj)
        if not cached then
            cache.put(key, bytes)
        end
    end
    return obj
end

-- ---- hv.cc -------------------------------------------------------------------------

-- The text and its name; or nil and what is wrong, as from those below.
local function text_of(given)
    if (given.text == nil) == (given.file == nil) then
        return nil, "text or file: one of them is needed"
    elseif given.text then
        return given.text, given.name
    end
    local text, why = contents(given.file)
    return text, text and (given.name or given.file) or why
end

local function headers_of(given)
    local list = given.abi or {}
    list = abi_module.is(list) and { list } or list
    local ok, conduit = pcall(prototype.conduit, given.conduit)
    if not ok then
        return nil, conduit.why
    end
    local headers = {}
    for _, abi in ipairs(list) do
        if not abi_module.is(abi) then
            return nil, ("abi: one of hv.abi(), or a list of such, expected, got %s"):format(
                type(abi))
        end
        local made, text = pcall(header, abi, conduit)
        if not made then
            return nil, "abi: " .. (type(text) == "table" and text.why or text)
        end
        headers[abi.name .. ".h"] = text
    end
    return headers
end

local function flags_of(given, arch)
    local flags, defines = compiler.flags(arch), {}
    flags[#flags + 1] = given.opt or "-O1"
    for name, value in pairs(given.defines or {}) do
        if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
            return nil, ("defines: %s: names and their values expected"):format(tostring(name))
        elseif value then
            defines[#defines + 1] = ("-D%s=%s"):format(name, value == true and 1 or value)
        end
    end
    table.sort(defines)
    table.move(defines, 1, #defines, #flags + 1, flags)
    for i, flag in ipairs(given.flags or {}) do
        if type(flag) ~= "string" then
            return nil, ("flags: %d: a string expected, got %s"):format(i, type(flag))
        end
        flags[#flags + 1] = flag
    end
    return flags
end

-- Includes are looked for beside the script, or the file, that the text is in.
local function place_of(job, start)
    local file, line, path = start()
    if job.name then
        file, line, path = job.name, 1, job.name
    end
    job.place, job.line = file or "text", line or 1
    if path then
        table.insert(job.flags, 1, "-iquote" .. (path:match "^.*/" or "./"))
    end
end

local function check(given, level)
    local function need(value, why)
        if value == nil then
            error("cc: " .. why, level + 3)
        end
        return value, why
    end
    given = type(given) == "string" and { text = given }
        or options("cc", given, KNOWN, level + 2)
    local arch = given.arch or core.defaults.arch or "arm64"
    need(ARCHES[arch], ('arch: "%s": use "arm64" or "x86_64"'):format(arch))
    local stack = size(given.stack or "16K", "cc: stack", level + 2)
    local job = {
        arch = arch, at = size(given.at or 0x10000, "cc: at", level + 2),
        start = startup.start(arch, stack + 15 & ~15),
        headers = need(headers_of(given)), flags = need(flags_of(given, arch)),
        tool = need(compiler.find(arch)),
    }
    job.text, job.name = need(text_of(given))
    return job
end

return function(given, level)
    level = level or 1
    local job = check(given, level)
    local start
    job.locate, start = source.locator(job.text, job.name, "the C text", level + 1)
    place_of(job, start)
    job.whole = ('%s#line %d "%s"\n%s\n'):format(
        job.start, job.line, job.place:gsub('[\\"]', "\\%0"), job.text)
    local ok, obj = pcall(make, job)
    if not ok then
        error(type(obj) == "table" and obj.message or obj, 0)
    end
    local function mover(address)
        local fits, placed, fault = elf.try(object.place, obj, address)
        if not fits then
            error(job.locate(source.line_with(job.text, fault.symbol), "cc: " .. placed), 0)
        end
        return placed
    end
    local fields = mover(job.at)
    fields.name, fields.arch, fields.bits = job.name or "cc", job.arch, 64
    fields.base, fields.assembler = job.at, job.tool.program
    return image.new(fields, mover)
end
