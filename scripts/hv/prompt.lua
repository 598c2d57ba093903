-- SPDX-License-Identifier: MIT
--- The prompt: what it reads, runs, shows and completes. hvlua's prompt.c calls
-- open(c) --> step, complete
--   c.edit(prompt)           a line; nil: the end of input; false: Ctrl-C
--   c.remember(line)         for the arrow keys
--   c.edited                 there are arrow keys, on a terminal
--   c.append(path, text)     to a file that nobody else may read
--   c.evaluate(handler, fn, ...) --> true, results... | false, handler(error);
--                            Ctrl-C ends it
--   c.names(object)          see complete.lua
--   c.registers(arch)
--   step()                   read, run, show once; false: the input has ended
--   complete(before, text)   --> what `text`, with `before` before it, may become
-- _PROMPT and _PROMPT2 are the prompts, as in lua. HVLUA_HISTORY is where lines
-- are kept, else ~/.hvlua_history; empty: nowhere.

local complete = require "hv.complete"
local pretty = require "hv.pretty"

local KEPT = 1000 -- lines of history, give or take as many again
local MOST = 1 << 22 -- bytes of it

-- ---- history -----------------------------------------------------------

local function history_path()
    local path = os.getenv "HVLUA_HISTORY"
    local home = os.getenv "HOME"
    if path then
        return path ~= "" and path or nil
    end
    return home and home .. "/.hvlua_history"
end

-- The end of it. What cannot be read, a folder say, counts as empty.
local function read_lines(path)
    local lines = {}
    local file <close> = io.open(path)
    local size = file and file:seek "end"
    local text = size and file:seek("set", math.max(size - MOST, 0))
        and file:read(MOST)
    for line in (text or ""):gmatch "[^\n]+" do
        lines[#lines + 1] = line
    end
    return lines
end

-- A file that has grown too long is written anew.
local function shorten(c, path, lines)
    local kept = table.move(lines, #lines - KEPT + 1, #lines, 1, {})
    local new = path .. ".new"
    os.remove(new)
    if c.append(new, table.concat(kept, "\n") .. "\n") then
        os.rename(new, path)
    end
    return kept
end

-- A function that remembers a line. What cannot be written is not kept: it is
-- no reason to stop.
local function open_history(c)
    local path = c.edited and history_path()
    local last
    if path then
        local lines = read_lines(path)
        if #lines > 2 * KEPT then
            lines = shorten(c, path, lines)
        end
        for _, line in ipairs(lines) do
            c.remember(line)
        end
        last = lines[#lines]
    end
    return function(line)
        if line == last or line:find "^%s*$" then
            return
        end
        last = line
        c.remember(line)
        if path then
            c.append(path, line .. "\n")
        end
    end
end

-- ---- reading -----------------------------------------------------------

local function prompt(name, default)
    local given = _G[name]
    return given ~= nil and tostring(given) or default
end

-- A chunk; or nil and why it is none; or false: there was nothing to run; or
-- nothing at all: the input has ended.
local function read_chunk(c, remember)
    local text = c.edit(prompt("_PROMPT", "> "))
    if not text then
        return text
    end
    remember(text)
    text = text:gsub("^=", "return ")
    if text:find "^%s*$" then
        return false
    end
    while true do
        local chunk = load("return " .. text, "=stdin", "t")
        local why
        if not chunk then
            chunk, why = load(text, "=stdin", "t")
        end
        if chunk then
            return chunk
        elseif not why:find "<eof>$" then
            return nil, why
        end
        local line = c.edit(prompt("_PROMPT2", ">> "))
        if line == nil then
            return nil, why
        elseif not line then
            return false
        end
        remember(line)
        text = text .. "\n" .. line
    end
end

-- ---- running -----------------------------------------------------------

-- A message with the traceback of what was typed: without the prompt's own
-- frames, and without any where a line was just typed wrong.
local function traceback(why)
    if type(why) ~= "string" and type(why) ~= "number" then
        local meta = debug.getmetatable(why)
        return meta and meta.__tostring and tostring(why)
            or "error object: " .. pretty(why)
    end
    local frames, lua = {}, false
    for frame in debug.traceback("", 2):gmatch "\n(\t[^\n]*)" do
        if frame:find "^\t%[C%]: in .*evaluate'$" then
            break
        end
        frames[#frames + 1] = frame
    end
    local last = frames[#frames] or ""
    if last:find "in main chunk$" or last:find "tail calls" then
        frames[#frames] = nil
    end
    for _, frame in ipairs(frames) do
        lua = lua or not frame:find "^\t%[C%]"
    end
    if not lua then
        return tostring(why)
    end
    return why .. "\nstack traceback:\n" .. table.concat(frames, "\n")
end

local function show(...)
    for i = 1, select("#", ...) do
        print(pretty((select(i, ...))))
    end
end

local function finish(c, ok, ...)
    if ok and select("#", ...) > 0 then
        ok = { c.evaluate(traceback, show, ...) }
        if ok[1] then
            return
        end
        return finish(c, table.unpack(ok, 1, 2))
    elseif not ok then
        io.stdout:flush()
        io.stderr:write(tostring((...)), "\n")
    end
end

return function(c)
    local remember = open_history(c)
    if _G.hv == nil then
        _G.hv = require "hv"
    end
    if c.edited then
        print "hv is loaded. Tab completes, Ctrl-C stops a guest, Ctrl-D ends."
    end
    local function step()
        local chunk, why = read_chunk(c, remember)
        if chunk then
            finish(c, c.evaluate(traceback, chunk))
        elseif why then
            finish(c, false, why)
        end
        return chunk ~= nil or why ~= nil
    end
    return step, complete(c)
end
