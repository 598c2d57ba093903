-- SPDX-License-Identifier: MIT
--- hvlua abi FILE.lua --c|--asm|--md|--luacats [-o FILE] [--name=NAME]
--     [--conduit=CONDUIT] [-- ARGUMENTS]: what hv.abi() declares in a script, for C,
-- assemblers, people and editors.
--
-- command(argument...) --> true, or false: standard error has been told why not
--
-- The script runs until it ends, makes a machine or exits: declarations come before
-- that. What it prints goes to standard error, as standard output may be the result.

local abi_module = require "hv.abi"
local core = require "hv.core"
local hv = require "hv"
local prototype = require "hv.abi.prototype"

local FORMATS = {
    ["--c"] = "hv.abi.header", ["--asm"] = "hv.abi.include", ["--md"] = "hv.abi.markdown",
    ["--luacats"] = "hv.abi.luacats",
}
local USAGE = "usage: hvlua abi FILE.lua --c|--asm|--md|--luacats [-o FILE] [--name=NAME]\n"
    .. "       [--conduit=hvc|smc|port[@0xe8]|mmio@ADDRESS] [-- ARGUMENTS]\n"

local function complain(format, ...)
    io.stderr:write("hvlua: abi: ", format:format(...), "\n")
    return false
end

-- ---- the command line ----------------------------------------------------------

local function nearest(word)
    for name in pairs(FORMATS) do
        if core.distance(word:match "^[^=]*", name) < 2 then
            return (": did you mean '%s'?"):format(name)
        end
    end
    return ""
end

-- One word; the number of the next.
local function read_option(opts, words, i)
    local word = words[i]
    local name, value = word:match "^%-%-(%l+)=(.+)$"
    if word == "-o" then
        opts.output = words[i + 1]
        return words[i + 1] and i + 2 or nil, "-o needs a file's name after it"
    elseif name == "name" or name == "conduit" then
        opts[name] = value
    elseif FORMATS[word] and opts.format and opts.format ~= word then
        return nil, ("%s and %s: one of them at a time"):format(opts.format, word)
    elseif FORMATS[word] then
        opts.format = word
    elseif word:find "^%-." then
        return nil, ("unrecognized option '%s'%s"):format(word, nearest(word))
    elseif opts.script then
        return nil, ("%s: there is a script already, %s: its arguments go behind --"):format(
            word, opts.script)
    else
        opts.script = word
    end
    return i + 1
end

local function read_arguments(words)
    local opts, i = { arguments = {} }, 1
    while words[i] do
        if words[i] == "--" then
            opts.arguments = table.move(words, i + 1, #words, 1, {})
            break
        end
        local next_word, why = read_option(opts, words, i)
        if not next_word then
            return nil, why
        end
        i = next_word
    end
    if not opts.script then
        return nil, "no script: whose declarations?"
    elseif not opts.format then
        return nil, "one of --c, --asm, --md and --luacats is needed"
    end
    local ok, conduit = pcall(prototype.conduit, opts.conduit)
    if not ok then
        return nil, conduit.why
    end
    opts.conduit = conduit
    return opts
end

-- ---- what is written -------------------------------------------------------------

local function chosen(declared, opts)
    local list, names = {}, {}
    for _, abi in ipairs(declared) do
        names[#names + 1] = abi.name
        list[#list + 1] = (not opts.name or abi.name == opts.name) and abi or nil
    end
    if #declared == 0 then
        return nil, ("%s declares no ABI before it ends or makes a machine"):format(opts.script)
    elseif #list == 0 then
        return nil, ("%s declares no ABI %s: there is %s"):format(
            opts.script, opts.name, table.concat(names, ", "))
    end
    return list
end

local function text_of(list, opts)
    local generate, pieces = require(FORMATS[opts.format]), {}
    for i, abi in ipairs(list) do
        local ok, text = pcall(generate, abi, opts.conduit)
        if not ok then
            return nil, type(text) == "table" and text.why or error(text, 0)
        end
        pieces[i] = text
    end
    return table.concat(pieces, "\n")
end

local function put(text, path)
    if not path then
        return io.stdout:write(text)
    end
    local file <close>, why = io.open(path, "wb")
    if not file then
        return nil, why
    end
    local ok
    ok, why = file:write(text)
    return ok and file:flush(), why
end

local function finish(declared, opts)
    local list, why = chosen(declared, opts)
    local text
    if list then
        text, why = text_of(list, opts)
    end
    if text then
        local ok
        ok, why = put(text, opts.output)
        text = ok and text
    end
    return text and true or complain("%s", why)
end

-- ---- running the script ------------------------------------------------------------

-- Whatever it is in the midst of, also a pcall(), its end is the program's.
local function run(opts)
    local chunk, why = loadfile(opts.script)
    if not chunk then
        return complain("%s", why)
    end
    local declared, exit, output = {}, os.exit, io.stdout
    local function stop()
        rawset(io, "stdout", output)
        exit(finish(declared, opts), true)
    end
    abi_module.on_declared = function(abi)
        declared[#declared + 1] = abi
    end
    hv.vm = stop
    rawset(os, "exit", stop)
    _G.print = function(...)
        local words = table.pack(...)
        for i = 1, words.n do
            words[i] = tostring(words[i])
        end
        io.stderr:write(table.concat(words, "\t"), "\n")
    end
    rawset(io, "stdout", io.stderr)
    io.output(io.stderr)
    _G.arg = table.move(opts.arguments, 1, #opts.arguments, 1, { [0] = opts.script })
    chunk(table.unpack(opts.arguments))
    stop()
end

return function(...)
    local opts, why = read_arguments { ... }
    if not opts then
        complain("%s", why)
        io.stderr:write(USAGE)
        return false
    end
    return run(opts)
end
