-- SPDX-License-Identifier: MIT
--- The host's side of a machine that runs tests in QEMU: hvlua tests/nested/host.lua
--- name answers <console
--
-- Prints what comes from the machine's console, with its name before each line, and
-- answers where it asks for an assembler (ask.c), by the file `answers`. Answers are
-- kept, as long as the tools are the same: machines spend much of their time waiting for
-- them, and two of the three ask for the same. Succeeds if the tests counted themselves,
-- none failed, and the machine said so as it went. Ends with 75 as soon as its kernel
-- says that one of its processors is stuck for good, with interrupts off: QEMU 7.2
-- brings it there, rarely, where the host is busy.
local cache = require "hv.cache"
local core = require "hv.core"

local name, path = ...
local answers = assert(io.open(path, "w"))
answers:setvbuf "no"

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local LOCKED_UP = 75
local ALLOWED = { clang = true, ["ld.lld"] = true }

local function encode(bytes)
    local word = bytes:gsub("..?.?", function(part)
        local a, b, c = part:byte(1, 3)
        local bits = a << 16 | (b or 0) << 8 | (c or 0)
        local digits = ""
        for i = 0, 3 do
            local at = (bits >> (18 - 6 * i) & 63) + 1
            digits = digits .. (i > #part and "=" or DIGITS:sub(at, at))
        end
        return digits
    end)
    return word == "" and "=" or word
end

local function decode(word)
    return (word:gsub("[^%w+/]", ""):gsub("..?.?.?", function(part)
        local bits = 0
        for i = 1, 4 do
            local digit = i <= #part and DIGITS:find(part:sub(i, i), 1, true) - 1 or 0
            bits = bits << 6 | digit
        end
        return string.pack(">I3", bits):sub(1, #part - 1)
    end))
end

local tools = {} -- which they are
for program in pairs(ALLOWED) do
    local _, version = core.pipe { program, "--version" }
    tools[#tools + 1] = version
end
table.sort(tools)

local function ask(request)
    local argv = {}
    for word in request:gmatch "%S+" do
        argv[#argv + 1] = decode(word)
    end
    local input = table.remove(argv)
    local status, output, messages = 127, "", "not for machines: " .. tostring(argv[1])
    if ALLOWED[argv[1]] then
        status, output, messages = core.pipe(argv, input)
    end
    return ("%s %s %s\n"):format(encode(tostring(status or 127)), encode(output or ""),
                                 encode(messages or "")), status == 0
end

local function answer(request)
    local key = table.concat(tools) .. request
    local kept, worked = cache.get(key), false
    local answered = kept
    if not kept then
        answered, worked = ask(request)
    end
    answers:write(answered)
    if worked then -- why it failed may be gone the next time
        cache.put(key, answered)
    end
end

local counts, ended
for line in io.lines() do
    line = line:gsub("\r+$", "")
    local text, request = line:match "^(.-)\1 (.*)$"
    if request then
        answer(request)
        line = text
    end
    counts = line:match "^%d+ passed, %d+ failed, %d+ skipped$" or counts
    ended = line:match "^nested: status (%d+)$" or ended
    if line ~= "" or not request then
        io.write(name, " | ", line, "\n")
        io.flush()
    end
    if line:find("Watchdog detected hard LOCKUP", 1, true) then
        os.exit(LOCKED_UP)
    end
end

if not counts or ended ~= "0" or not counts:find(" 0 failed", 1, true) then
    print(("%s | failed: %s, exit status %s"):format(name, counts or "no tests were counted",
        ended or "unknown: the machine went down before its tests had ended"))
    os.exit(1)
end
