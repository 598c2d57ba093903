-- SPDX-License-Identifier: MIT
-- README's chapter on hypercalls, as a newcomer follows it: each script is saved, each
-- command is run.
local t = ...
local hv = require "hv"

local function chapter()
    local file <close> = assert(io.open(t.folder .. "/README.md"))
    local text = file:read "a"
    return assert(text:match "\n## Hypercalls in ten minutes\n(.-)\n## ")
end

local function in_folder(folder, command)
    local program = t.hvlua:sub(1, 1) == "/" and t.hvlua or "$OLDPWD/" .. t.hvlua
    return t.run { "sh", "-c", ("cd '%s' && %s"):format(folder,
        command:gsub("^hvlua ", function() return program .. " " end)) }
end

t.test("hypercalls in ten minutes", function()
    local ok, why = pcall(hv.cc, "long main(void) { return 0; }")
    if not ok and why:find "install " then
        t.skip(why)
    elseif not pcall(hv.vm) then
        t.skip(select(2, pcall(hv.vm)))
    end
    local folder = os.tmpname()
    os.remove(folder)
    t.run { "mkdir", folder }
    local _ <close> = setmetatable({}, { __close = function() t.run { "rm", "-r", folder } end })
    local said, commands = {}, 0
    local text = chapter()
    local at = 1
    repeat
        local script, next = text:match("\n```lua\n(.-)\n```\n()", at)
        local file <close> = assert(io.open(folder .. "/first.lua", "w"))
        file:write(script, "\n")
        file:close()
        local until_ = text:find("\n```lua\n", next, true) or #text
        for command in text:sub(next, until_):gmatch "\n    (hvlua [^\n]*)" do
            commands = commands + 1
            if command:find "%-%-watch" then -- until Ctrl-C
                command = table.concat(t.foreground() or {}, " ")
                    .. " timeout --foreground --preserve-status -s INT 3 "
                    .. command:gsub("^hvlua", function()
                        return (t.hvlua:sub(1, 1) == "/" and "" or "$OLDPWD/") .. t.hvlua
                    end)
            end
            local status, out, err = in_folder(folder, command)
            t.eq(status, 0, command .. "\n" .. out .. err)
            said[#said + 1] = out .. err
        end
        at = until_
    until not text:find("\n```lua\n", at, true)
    t.eq(commands, 7)
    t.eq(said[1], "Hello, host\nthe guest returned\t42\n")
    t.ok(said[2]:find 'lab%.say%(text = "Hello, host"%) = 0  <', said[2])
    t.ok(said[2]:find "lab%.add%(a = 40, b = 2%) = 42  <", said[2])
    t.ok(said[3]:find "lab" and said[3]:find "add", said[3])
    local header <close> = assert(io.open(folder .. "/lab.h"))
    t.ok(header:read "a":find "lab_add", "lab.h")
    t.ok(said[5]:find "^local hv = \nthere is no such file\nit is Lua:\t1\n", said[5])
    local now = t.ok(said[6]:match "^seconds\t(%d+)\n$", said[6])
    t.eq(said[7], "2 calls as recorded\n")
    local calls <close> = assert(io.open(folder .. "/first.calls"))
    local lines = text:match "\n    (0: now[^\n]*)\n    " .. "\n"
        .. text:match "\n    (0: say[^\n]*)\n" .. "\n"
    t.eq(calls:read "a":match "\n(0:.*)", (lines:gsub("%d%d%d+", now)))
end)
