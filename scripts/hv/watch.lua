-- SPDX-License-Identifier: MIT
--- hvlua --watch script.lua: run it again whenever it is saved, or any file it has
-- loaded: modules, images, what it opens for reading.
--
-- watch.run(program, script, argument...)   until Ctrl-C; --> a status
-- watch.report()                    in the script's process: tell what it loads
--
-- Each run is a process of its own, on the same terminal. One that is still running
-- is interrupted as by Ctrl-C, so that it ends as it would; after two seconds it is
-- ended all the same. Files that it writes itself are its own business, also where it
-- reads them too: else a script that keeps something in a file would run for ever.

local core = require "hv.core"

local watch = {}

local PATIENCE = 2 -- seconds from SIGINT to SIGKILL
local QUIET = 0.02 -- seconds without a change: the editor is done

local function say(format, ...)
    io.stderr:write("hvlua: ", format:format(...), "\n")
end

local function tell_end(status)
    if status == 0 then
        say "it has ended: waiting for a change"
    elseif status < 0 then
        say("it was ended by signal %d: waiting for a change", -status)
    else
        say("it has ended with status %d: waiting for a change", status)
    end
end

-- What the script's process says it has loaded, and what it is about to write.
local function heard(w, line)
    local path = line:sub(2)
    if line:sub(1, 1) == "+" then
        w:add(path)
    else
        w:remove(path)
    end
end

local function settle(w)
    repeat
        local news, text = w:wait(QUIET)
        if news == "line" then
            heard(w, text)
        end
    until not news or news == "ended"
end

-- What it writes when it is interrupted is its own too.
local function stop(w)
    local status, lines = w:stop(PATIENCE)
    for _, line in ipairs(lines or {}) do
        heard(w, line)
    end
    return status
end

local function once(w, argv)
    local status
    w:start(argv)
    while true do
        local news, detail = w:wait()
        if news == "line" then
            heard(w, detail)
        elseif news == "ended" then
            status = detail
            tell_end(status)
        elseif news == "changed" then
            settle(w)
            return stop(w) or status
        end
    end
end

function watch.run(program, script, ...)
    local w <close> = core.watch()
    local file, why = io.open(script)
    if not file then
        say("cannot open %s", why)
        return 1
    end
    file:close()
    w:add(script)
    local argv = { program, ... }
    while true do
        local ok, result = pcall(once, w, argv)
        if not ok then
            stop(w)
            if tostring(result):find("interrupted!", 1, true) then
                return 0 -- how a watch ends
            end
            error(result, 0)
        end
        w:add(script) -- it may be another file by now
        io.stderr:write "\n"
        say("%s: again", script)
    end
end

-- ---- in the script's process -------------------------------------------------------

--- From now on, tell of every file that is loaded or opened for reading: "+path"; and
-- "-path", before it can be seen to change, of what is opened for writing. The
-- descriptor is told by HVLUA_WATCH; it stays open, as its end means the process's.
function watch.report()
    local number = os.getenv "HVLUA_WATCH"
    local out = number and io.open("/dev/fd/" .. number, "w")
    if not out then
        return false
    end
    core.end_with_parent()
    out:setvbuf "line"
    local told = {}
    local function say_once(mark, path)
        if type(path) == "string" and told[path] ~= mark and told[path] ~= "-"
            and not path:find "\n" then
            told[path] = mark
            out:write(mark, path, "\n")
        end
    end
    local function tell(path)
        say_once("+", path)
    end
    local function before(fn)
        return function(path, ...)
            tell(path)
            return fn(path, ...)
        end
    end
    local open, rename, output = io.open, os.rename, io.output
    local function io_open(path, mode, ...)
        if type(mode) == "string" and mode:find "[wa+]" then
            say_once("-", path)
            return open(path, mode, ...)
        end
        local file, why, code = open(path, mode, ...)
        if file then -- a cache looks for what it is about to write
            tell(path)
        end
        return file, why, code
    end
    local load_module, loaded, search = require, package.loaded, package.searchpath
    local function find_module(name)
        return type(package.path) == "string" and search(name, package.path) or nil
    end
    local function replace(where, functions)
        for name, fn in pairs(functions) do
            where[name] = fn
        end
    end
    replace(io, {
        open = io_open, lines = before(io.lines), input = before(io.input),
        output = function(file)
            say_once("-", file)
            return output(file)
        end,
    })
    replace(os, {
        rename = function(from, to)
            say_once("-", to)
            return rename(from, to)
        end,
    })
    replace(_G, {
        loadfile = before(loadfile), dofile = before(dofile),
        require = function(name)
            if type(name) == "string" and not loaded[name] then
                tell(find_module(name)) -- first: what is wrong with it will be mended there
            end
            local module, path = load_module(name)
            tell(path) -- who found it may have been another
            return module, path
        end,
    })
    local map = core.machine.map
    function core.machine.map(vm, options, ...)
        if type(options) == "table" then -- what is shared is the guest's to write to
            say_once(options.shared and "-" or "+", options.file)
        end
        return map(vm, options, ...)
    end
    return true
end

return watch
