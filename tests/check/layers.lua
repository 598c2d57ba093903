-- SPDX-License-Identifier: MIT
--- What no compiler checks: hvlua tests/check/layers.lua
--
-- Who may include what, what libraries may not call, mutable globals of core (in
-- build/obj/core), names, lengths, words. Prints a line for each breach, and
-- fails if there was one.

-- clang-format keeps code to 80 columns; a comment may run a little over.
local MAX_LINES, MAX_FUNCTION, MAX_COLUMNS = 600, 60, 88

-- Files that may be longer.
local LONG_FILES = {
    ["scripts/hv/meta.lua"] = "declarations, which editors read as one file",
}

-- Functions that may be longer: a switch over what a host reports is a table of
-- cases, and reads best in one piece. "path: name" -> why.
local LONG_FUNCTIONS = {}

-- Headers that only some files may include. The comparators of the benchmark are
-- hosts of their own.
local HEADERS = {
    { header = "^l[ua]%w*%.hp*$", not_in = "^core/",
        why = "core knows nothing of Lua" },
    { header = "backend%.h$", only_in = { "^core/", "^tests/a64%.c$", "^tests/fuzz/decoders%.c$" },
        why = "what backends implement is theirs and core's" },
    { header = "^linux/kvm", only_in = { "^core/kvm[%w_]*%.[ch]$", "^tests/bench/" },
        why = "only core/kvm* know KVM" },
    { header = "^unicorn/", only_in = { "^core/unicorn[%w_]*%.[ch]$",
        "^tests/bench/", "^tests/fakehv/" },
        why = "only core/unicorn* know Unicorn" },
    { header = "^Hypervisor/", only_in = { "^core/hvf[%w_]*%.[ch]$", "^tests/fakehv/" },
        why = "only core/hvf* know Hypervisor.framework" },
}

-- A library neither prints nor ends the process: who embeds it decides.
local LIBRARY = { "^core/", "^bindings/%w*lib%.c$" }
local NOT_CALLED = {
    exit = true, abort = true, assert = true, printf = true, fprintf = true,
    vprintf = true, vfprintf = true, puts = true, fputs = true, putchar = true,
    perror = true,
}

-- What a worker prints that cannot go on: its output is its parent's to read.
local LAST_WORDS = { ["bindings/spawnlib.c"] = "fprintf" }

-- Demos begin with what README shows, and are not to be read past a licence.
local NO_LICENCE = { "^scripts/demos/" }

local EMPTY_NAMES = { util = true, utils = true, common = true, helper = true,
    helpers = true, misc = true }

-- In brackets, so that this file is not one of those it looks for.
local UNFINISHED = { "%f[%w]TO[D]O%f[%W]", "%f[%w]FIX[M]E%f[%W]", "%f[%w]XX[X]%f[%W]",
    "%f[%w]for [n]ow%f[%W]" }

local breaches = 0

local function breach(where, what, ...)
    breaches = breaches + 1
    print(("%s: %s"):format(where, what:format(...)))
end

local function matches(text, patterns)
    for _, pattern in ipairs(patterns) do
        if text:find(pattern) then
            return true
        end
    end
    return false
end

local function output(command)
    local pipe <close> = assert(io.popen(command))
    local lines = {}
    for line in pipe:lines() do
        lines[#lines + 1] = line
    end
    assert(pipe:close(), command)
    return lines
end

-- ---- lines -------------------------------------------------------------

local function check_include(path, where, header)
    for _, rule in ipairs(HEADERS) do
        if header:find(rule.header) and (rule.not_in and path:find(rule.not_in)
            or rule.only_in and not matches(path, rule.only_in)) then
            breach(where, "includes %s: %s", header, rule.why)
        end
    end
end

-- C without what stands in comments and strings on one line.
local function code_of(line)
    return (line:gsub('\\"', ""):gsub('"[^"]*"', '""'):gsub("/%*.-%*/", "")
        :gsub("^%s*%*.*", ""):gsub("/%*.*", ""):gsub("//.*", ""))
end

local function check_c(path, where, line)
    local header = line:match '^%s*#%s*include%s*[<"]([^>"]+)'
    if header then
        check_include(path, where, header)
    elseif matches(path, LIBRARY) then
        for name in code_of(line):gmatch "([%w_]+)%s*%(" do
            if NOT_CALLED[name] and LAST_WORDS[path] ~= name then
                breach(where, "a library does not call %s()", name)
            end
        end
    end
    if (utf8.len(line) or #line) > MAX_COLUMNS then
        breach(where, "%d columns, more than %d", utf8.len(line) or #line, MAX_COLUMNS)
    end
end

-- .clang-format puts a function's braces, and no other pair, in the first column.
local function check_functions(path, lines)
    local start -- of the declaration that the next brace belongs to
    local name
    local inside = false -- its braces
    for i, line in ipairs(lines) do
        if line == "}" then
            inside = false
        end
        if line == "}" and start then
            local length = i - start + 1
            local title = ("%s: %s"):format(path, name)
            if length > MAX_FUNCTION and not LONG_FUNCTIONS[title] then
                breach(("%s:%d"):format(path, start), "%s() has %d lines, more than %d",
                    name, length, MAX_FUNCTION)
            end
            start = nil
        elseif line == "{" then
            inside = true
        elseif start and not inside and line:find ";%s*$" then
            start = nil -- a declaration
        elseif line:find "^[%a_]" and not line:find "[;:]%s*$" then
            if not start or lines[i - 1] == "" then
                start = i
            end
            name = line:match "([%w_]+)%(" or name
        elseif line == "" and lines[i + 1] ~= "{" and not (start and name) then
            start = nil
        end
    end
end

-- ---- files -------------------------------------------------------------

local function check_file(path)
    local lines, head = {}, ""
    local c = path:find "%.[ch]$"
    for line in io.lines(path) do
        local where = ("%s:%d"):format(path, #lines + 1)
        lines[#lines + 1] = line
        if #lines <= 3 then
            head = head .. line
        end
        for _, word in ipairs(UNFINISHED) do
            if line:find(word) then
                breach(where, '"%s": finish it, or say what is so', line:match(word))
            end
        end
        if c then
            check_c(path, where, line)
        end
    end
    if #lines > MAX_LINES and not LONG_FILES[path] then
        breach(path, "%d lines, more than %d: is that one idea?", #lines, MAX_LINES)
    end
    if not head:find("SPDX-License-Identifier: MIT", 1, true)
        and not matches(path, NO_LICENCE) then
        breach(path, "no SPDX-License-Identifier in the first lines")
    end
    if EMPTY_NAMES[path:match "([^/]*)%.%w+$"] then
        breach(path, "a name that says nothing of what is in it")
    end
    if c then
        check_functions(path, lines)
    end
end

-- ---- mutable globals ---------------------------------------------------

-- What is in sections that are written to, but for the thread's own and what the
-- linker makes constant.
local function check_object(path)
    for _, line in ipairs(output("objdump -t " .. path)) do
        local section, name = line:match "^%x+ [^\t]* ([^%s]+)\t%x+%s+(.*)$"
        local kind = line:match "^%x+ (.......)"
        if kind and kind:find "O" and (section:find "^%.data" or section:find "^%.bss"
            or section == "*COM*") and not section:find "^%.data%.rel%.ro" then
            breach(path, "%s is a mutable global: core keeps no state outside its objects",
                name)
        end
    end
end

local paths = output [[find core bindings guests scripts tests Makefile .ci \
    -name '*.[chS]' -o -name '*.lua' -o -name '*.sh' -o -name '*.mk' \
    -o -name Makefile -o -name run | sort]]
for _, path in ipairs(paths) do
    check_file(path)
end

local objects = output "find build/obj/core -name '*.o' | sort"
assert(#objects > 0, "build/obj/core is empty: make")
for _, path in ipairs(objects) do
    check_object(path)
end

print(("%d files, %d objects, %d breaches"):format(#paths, #objects, breaches))
os.exit(breaches == 0)
