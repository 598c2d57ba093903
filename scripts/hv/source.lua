-- SPDX-License-Identifier: MIT
--- Texts of other languages in Lua scripts: what is wrong on their third line is
-- wrong on some line of the script.

local source = {}

-- Is [first, last] of `script` the whole of a string literal?
local function is_literal(script, first, last)
    local before = script:sub(math.max(first - 80, 1), first - 1)
    local after = script:sub(last + 1, last + 80)
    local long = before:match "%[(=*)%[\n?$"
    return long and after:sub(1, #long + 2) == "]" .. long .. "]"
        or before:find "[\"']$" and after:sub(1, 1) == before:sub(-1)
end

--- The lines that end in text, or in its first `last` bytes.
function source.count_lines(text, last)
    local lines = 0
    for _ in text:sub(1, last):gmatch "\n" do
        lines = lines + 1
    end
    return lines
end

-- The line of `script` on which the literal `text` starts; of several the one
-- nearest to the call, as Lua knows only the line of that.
local function find_literal(script, text, near)
    script = script:gsub("\r\n", "\n")
    local best
    local first, last = script:find(text, 1, true)
    while first do
        if is_literal(script, first, last) then
            local line = source.count_lines(script, first - 1) + 1
            if not best or math.abs(line - near) < math.abs(best - near) then
                best = line
            end
        end
        first, last = script:find(text, first + 1, true)
    end
    return best
end

local function script_of(info)
    local path = info.source:match "^@(.*)"
    if not path then
        return info.source:sub(1, 1) ~= "=" and info.source or nil
    end
    local file <close> = io.open(path, "rb")
    return file and file:read(1 << 24)
end

--- Two functions. locate(n, message) puts a place before a message about line n of the
-- text, or about no line in particular; start() --> file, line, path: where the text
-- starts, by the file's name in messages and its whole one; or nil. `name` is the text's
-- own; `what` it is called where its lines are counted; `level` as for error(), from the
-- caller.
function source.locator(text, name, what, level)
    local info = debug.getinfo(level + 1, "Sl")
    local line -- unknown yet; false: the text is not in the script
    local function start()
        if line == nil then
            local script = text ~= "" and info and script_of(info)
            line = script and find_literal(script, text, info.currentline) or false
        end
        if line then
            return info.short_src, line, info.source:match "^@(.*)"
        end
    end
    return function(n, message)
        if name then
            return ("%s:%s %s"):format(name, n and n .. ":" or "", message)
        end
        local place, first = start()
        if place then
            return ("%s:%d: %s"):format(place, first + (n or 1) - 1, message)
        end
        place = info and info.short_src or "?"
        if info and info.currentline > 0 then
            place = ("%s:%d"):format(place, info.currentline)
        end
        return ("%s: %s%s"):format(
            place, n and ("line %d of %s: "):format(n, what) or "", message)
    end, start
end

--- Line n, without the blanks around it.
function source.line_of(text, n)
    local i = 0
    for line in (text .. "\n"):gmatch "(.-)\r?\n" do
        i = i + 1
        if i == n then
            return line:match "^%s*(.-)%s*$"
        end
    end
end

-- Does `line` have `symbol` as a word? Then also what follows it.
local function mention(line, symbol)
    local first, last = line:find(symbol, 1, true)
    while first do
        local after = line:sub(last + 1, last + 1)
        if not line:sub(first - 1, first - 1):find "[%w_.]"
            and not after:find "[%w_.]" then
            return after
        end
        first, last = line:find(symbol, last + 1, true)
    end
end

--- The first line that mentions `symbol`, better one that does not define it.
function source.line_with(text, symbol)
    local i, definition = 0, nil
    if not symbol or symbol == "" then
        return nil
    end
    for line in (text .. "\n"):gmatch "(.-)\n" do
        i = i + 1
        local after = mention(line, symbol)
        if after and after ~= ":" then
            return i
        end
        definition = definition or after and i
    end
    return definition
end

return source
