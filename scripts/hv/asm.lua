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
local source = require "hv.source"

local KNOWN = {
    arch = "string", bits = "number", syntax = "string",
    at = "number or string", cpp = "boolean", name = "string",
}
local TARGET = { arm64 = "aarch64", x86_64 = "x86_64" }
local SHOWN = 20 -- errors listed

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
        local statement = n and source.line_of(text, n)
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
        return nil, report(locate, text, source.count_lines(before), why)
    end
    local ok, result, fault = elf.try(object.read, bytes, opts.arch)
    if not ok then
        return nil, locate(source.line_with(text, fault.symbol), "asm: " .. result)
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
    local locate = source.locator(text, opts.name, "the assembly", level + 1)
    local obj, message = assemble(text, opts, locate)
    if not obj then
        error(message, 0)
    end
    local function mover(address)
        local ok, placed, fault = elf.try(object.place, obj, address)
        if not ok then
            error(locate(source.line_with(text, fault.symbol), "asm: " .. placed), 0)
        end
        return placed
    end
    local fields = opts.at and mover(opts.at) or {}
    fields.name, fields.arch = opts.name or "asm", opts.arch
    fields.bits, fields.base = opts.bits or 64, opts.at or 0
    fields.assembler = obj.assembler
    return image.new(fields, mover)
end
