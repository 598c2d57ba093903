-- SPDX-License-Identifier: MIT
--- hv.asm: from assembly text in a script to an image.
--
-- asm(text [, opts [, level]]) --> image (see image.lua)
--   opts.arch    "arm64" (default) or "x86_64"
--   opts.bits    x86_64: 16, 32 or 64 (default): the mode the code runs in
--   opts.syntax  x86_64: "att" (default) or "intel"
--   opts.at      its address, unless image:at() or vm:load() names another
--   opts.cpp     run the C preprocessor first
--   opts.name    the text's name in messages, such as the file it came from
--
-- The code is assembled once for each text and relocated wherever it is loaded,
-- so that labels, literal pools and absolute addresses are right there. clang
-- does it, or else GNU as for the guest's architecture; HVLUA_AS names another
-- program. What it complains about is raised at that line of the script.

local core = require "hv.core"
local elf = require "hv.elf"
local image = require "hv.image"
local object = require "hv.object"
local options = require "hv.options"
local size = require "hv.size"

local KNOWN = {
    arch = "string", bits = "number", syntax = "string",
    at = "number or string", cpp = "boolean", name = "string",
}
local TARGET = { arm64 = "aarch64", x86_64 = "x86_64" }
local SHOWN = 20 -- errors listed

-- ---- where the text is in the script -----------------------------------

-- Is [first, last] of `source` the whole of a string literal?
local function is_literal(source, first, last)
    local before = source:sub(math.max(first - 80, 1), first - 1)
    local after = source:sub(last + 1, last + 80)
    local long = before:match "%[(=*)%[\n?$"
    return long and after:sub(1, #long + 2) == "]" .. long .. "]"
        or before:find "[\"']$" and after:sub(1, 1) == before:sub(-1)
end

local function count_lines(text, last)
    local lines = 0
    for _ in text:sub(1, last):gmatch "\n" do
        lines = lines + 1
    end
    return lines
end

-- The line of `source` on which the literal `text` starts; of several the one
-- nearest to the call, as Lua knows only the line of that.
local function find_literal(source, text, near)
    source = source:gsub("\r\n", "\n")
    local best
    local first, last = source:find(text, 1, true)
    while first do
        if is_literal(source, first, last) then
            local line = count_lines(source, first - 1) + 1
            if not best or math.abs(line - near) < math.abs(best - near) then
                best = line
            end
        end
        first, last = source:find(text, first + 1, true)
    end
    return best
end

local function source_of(info)
    local path = info.source:match "^@(.*)"
    if not path then
        return info.source:sub(1, 1) ~= "=" and info.source or nil
    end
    local file <close> = io.open(path, "rb")
    return file and file:read(1 << 24)
end

-- A function that puts a place before a message about line n of the text, or
-- about no line in particular.
local function locator(text, name, level)
    local info = debug.getinfo(level + 1, "Sl")
    local start -- unknown yet; false: the text is not in the source
    return function(n, message)
        if name then
            return ("%s:%s %s"):format(name, n and n .. ":" or "", message)
        end
        if start == nil then
            local source = text ~= "" and info and source_of(info)
            start = source
                and find_literal(source, text, info.currentline) or false
        end
        local place = info and info.short_src or "?"
        if start then
            return ("%s:%d: %s"):format(place, start + (n or 1) - 1, message)
        elseif info and info.currentline > 0 then
            place = ("%s:%d"):format(place, info.currentline)
        end
        return ("%s: %s%s"):format(
            place, n and ("line %d of the assembly: "):format(n) or "", message)
    end
end

local function line_of(text, n)
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

-- The first line that mentions `symbol`, better one that does not define it.
local function line_with(text, symbol)
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

-- ---- what the assembler says -------------------------------------------

local KINDS = {
    ["error"] = "error", ["Error"] = "error", ["fatal error"] = "error",
    ["Fatal error"] = "error", ["note"] = "note",
}

-- "<stdin>:3:5: error: words" of clang, "{standard input}:3: Error: words" of
-- GNU as, whose words may end in the statement itself. Errors inside a macro
-- are in "<instantiation>": the note that follows says where it was used.
local function parse(stderr)
    local errors, open = {}, 1
    for output in stderr:gmatch "[^\r\n]+" do
        local place, kind, words = output:match "^(.-):%s*(%a[%a ]-): (.*)"
        local file, line = (place or ""):match "^(.-):(%d+)"
        file = file or place
        local ours = file == "<stdin>" or file == "{standard input}"
        line = ours and tonumber(line) or nil
        if KINDS[kind] == "error" then
            words = words:gsub(" %-%- `.*'$", "")
            if not ours and file ~= "<instantiation>" then
                words = place .. ": " .. words
            end
            errors[#errors + 1] = { line = line, message = words }
        elseif KINDS[kind] == "note" and line then
            for i = open, #errors do
                errors[i].line = errors[i].line or line
            end
            open = #errors + 1
        end
    end
    return errors
end

local function report(locate, text, skipped, stderr)
    local lines = {}
    for _, e in ipairs(parse(stderr)) do
        local n = e.line and e.line > skipped and e.line - skipped or nil
        local statement = n and line_of(text, n)
        local words = "assembler: " .. e.message
        if statement then
            words = ('%s%s "%s"'):format(words, words:find "%?$" and "" or ":",
                                         statement)
        end
        lines[#lines + 1] = locate(n, words)
    end
    if #lines == 0 then
        return locate(nil, "assembler: failed: " .. stderr:sub(1, 2000))
    elseif #lines > SHOWN then
        local more = #lines - SHOWN
        lines = table.move(lines, 1, SHOWN, 1, {})
        lines[#lines + 1] = ("and %d more errors"):format(more)
    end
    return table.concat(lines, "\n")
end

-- ---- assemblers --------------------------------------------------------

-- Each gives the object file, or false and stderr where the text is at fault,
-- or nil and why where this program will not do.

local function clang(program, opts, text)
    local argv = {
        program, ("--target=%s-linux-gnu"):format(TARGET[opts.arch]), "-c",
        "-fintegrated-as", "-fno-color-diagnostics", "-Qunused-arguments", "-x",
        opts.cpp and "assembler-with-cpp" or "assembler", "-", "-o", "-",
    }
    local status, stdout, stderr = core.pipe(argv, text)
    if not status then
        return nil, stdout
    elseif stderr:find("unable to create target", 1, true)
        or stderr:find("unknown target triple", 1, true) then
        return nil, ("%s: cannot make %s code"):format(program, opts.arch)
    elseif status ~= 0 then
        return false, stderr
    end
    return stdout
end

local function gnu_as(program, opts, text)
    if opts.cpp then
        return nil, ("%s: has no preprocessor: opts.cpp needs clang")
            :format(program)
    end
    -- the object needs a file it can seek in
    local path = os.tmpname()
    local _ <close> = setmetatable({}, {
        __close = function() os.remove(path) end,
    })
    local argv = { program, "-o", path, "--" }
    local status, stdout, stderr = core.pipe(argv, text)
    if not status then
        return nil, stdout
    elseif status ~= 0 then
        return false, stderr
    end
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

-- Plain `as` is for whatever its host is.
local function native_as(program, opts, text)
    local status, stdout = core.pipe({ program, "--version" }, "")
    local target = status == 0 and stdout:match "target of `([^']*)'"
    if not target or target:match "^[^-]*" ~= TARGET[opts.arch] then
        return nil, ("%s: not GNU as for %s"):format(program, opts.arch)
    end
    return gnu_as(program, opts, text)
end

local function candidates(opts)
    local chosen = os.getenv "HVLUA_AS"
    if chosen and chosen ~= "" then
        local is_clang = chosen:match "[^/]*$":find("clang", 1, true)
        return { { chosen, is_clang and clang or gnu_as } }
    end
    local target = TARGET[opts.arch]
    return {
        { "clang", clang }, { target .. "-linux-gnu-as", gnu_as },
        { target .. "-elf-as", gnu_as }, { "as", native_as },
    }
end

local function run(opts, text)
    local reasons = {}
    for _, candidate in ipairs(candidates(opts)) do
        local program, assemble = candidate[1], candidate[2]
        local result, why = assemble(program, opts, text)
        if result ~= nil then
            return result, why, program
        end
        reasons[#reasons + 1] = why
    end
    return nil, ("no assembler for %s: install clang, or set HVLUA_AS (%s)")
        :format(opts.arch, table.concat(reasons, "; "))
end

-- ---- hv.asm ------------------------------------------------------------

local cache, cached = {}, 0 -- text and options -> object
local CACHED_MAX = 256

local function prologue(opts)
    local lines = ""
    if opts.bits and opts.bits ~= 64 then
        lines = lines .. (".code%d\n"):format(opts.bits)
    end
    if opts.syntax == "intel" then
        lines = lines .. ".intel_syntax noprefix\n"
    end
    return lines
end

-- The object, with the program that made it, or nil and a message that says
-- where.
local function assemble(text, opts, locate)
    local before = prologue(opts)
    local key = table.concat({
        opts.arch, before, tostring(opts.cpp), os.getenv "HVLUA_AS" or "", text,
    }, "\0")
    if cache[key] then
        return cache[key]
    end
    local bytes, why, program = run(opts, before .. text .. "\n")
    if bytes == nil then
        return nil, locate(nil, "asm: " .. why)
    elseif not bytes then
        return nil, report(locate, text, count_lines(before), why)
    end
    local ok, result, fault = elf.try(object.read, bytes, opts.arch)
    if not ok then
        return nil, locate(line_with(text, fault.symbol), "asm: " .. result)
    end
    result.assembler = program
    if cached >= CACHED_MAX then
        cache, cached = {}, 0
    end
    cache[key], cached = result, cached + 1
    return result
end

local function check(text, opts, level)
    local function bad(...)
        error("asm: " .. string.format(...), level + 3)
    end
    if type(text) ~= "string" then
        bad("a string of assembly expected, not a %s", type(text))
    end
    opts = options("asm", opts, KNOWN, level + 2)
    local arch = opts.arch or "arm64"
    if not TARGET[arch] then
        bad('arch: "%s": use "arm64" or "x86_64"', arch)
    elseif arch ~= "x86_64" and (opts.bits or opts.syntax) then
        bad("%s: only for x86_64, not %s", opts.bits and "bits" or "syntax",
            arch)
    elseif opts.bits and opts.bits ~= 16 and opts.bits ~= 32
        and opts.bits ~= 64 then
        bad("bits: %s: use 16, 32 or 64", opts.bits)
    elseif opts.syntax and opts.syntax ~= "att" and opts.syntax ~= "intel" then
        bad('syntax: "%s": use "att" or "intel"', opts.syntax)
    end
    return {
        arch = arch, bits = opts.bits and math.tointeger(opts.bits),
        syntax = opts.syntax, cpp = opts.cpp, name = opts.name,
        at = opts.at and size(opts.at, "asm: at", level + 2),
    }
end

return function(text, opts, level)
    if level ~= nil and math.type(level) ~= "integer" then
        error("asm: level: an integer expected, got " .. type(level), 2)
    end
    level = level or 1
    opts = check(text, opts, level)
    local locate = locator(text, opts.name, level + 1)
    local obj, message = assemble(text, opts, locate)
    if not obj then
        error(message, 0)
    end
    local function mover(address)
        local ok, placed, fault = elf.try(object.place, obj, address)
        if not ok then
            error(locate(line_with(text, fault.symbol), "asm: " .. placed), 0)
        end
        return placed
    end
    local fields = opts.at and mover(opts.at) or {}
    fields.name, fields.arch = opts.name or "asm", opts.arch
    fields.bits, fields.base = opts.bits or 64, opts.at or 0
    fields.assembler = obj.assembler
    return image.new(fields, mover)
end
