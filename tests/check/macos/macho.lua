-- SPDX-License-Identifier: MIT
-- macho.lua FOLDER - are the programs and libraries that `make check-macos` has made
-- what a Mac would take? FOLDER has them: its install/, and ../../hvlua-macos.
local version = require "hv".version
local folder = assert(arg[1], "a folder expected")

local EXECUTE, DYLIB, BUNDLE = 2, 6, 8
local LOAD_DYLIB, ID_DYLIB, CODE_SIGNATURE, BUILD_VERSION = 0xc, 0xd, 0x1d, 0x32

local LUA = "/opt/homebrew/opt/lua@5.4/lib/liblua.5.4.dylib"
local SYSTEM = "/usr/lib/libSystem.B.dylib"

local function read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

-- What the header and the load commands of a Mach-O file say.
local function look(path)
    local bytes = read(path)
    local magic, cpu, _, kind, commands = string.unpack("<I4I4I4I4I4", bytes)
    assert(magic == 0xfeedfacf and cpu == 0x0100000c, path .. ": not of arm64")
    local seen, at = { kind = kind, needs = {} }, 33
    for _ = 1, commands do
        local command, size = string.unpack("<I4I4", bytes, at)
        command = command & 0x7fffffff
        if command == LOAD_DYLIB or command == ID_DYLIB then
            local name = string.unpack("z", bytes, at + string.unpack("<I4", bytes, at + 8))
            if command == ID_DYLIB then
                seen.id = name
            else
                seen.needs[#seen.needs + 1] = name
            end
        elseif command == BUILD_VERSION then
            seen.platform, seen.oldest = string.unpack("<I4I4", bytes, at + 8)
        elseif command == CODE_SIGNATURE then
            seen.signature = true
        end
        at = at + size
    end
    table.sort(seen.needs)
    return seen
end

-- The framework is looked up when it is needed: so nothing here needs it to start.
local function check(path, kind, id, ...)
    local seen, needs = look(path), table.concat({ ... }, " ")
    assert(seen.kind == kind, path .. ": of kind " .. seen.kind)
    assert(seen.id == id, path .. ": calls itself " .. tostring(seen.id))
    assert(table.concat(seen.needs, " ") == needs,
           path .. ": needs " .. table.concat(seen.needs, " "))
    assert(seen.platform == 1 and seen.oldest == 11 << 16, path .. ": not macOS 11's")
    assert(seen.signature, path .. ": has no place for a signature")
    print(path .. ": as it should be")
end

check(folder .. "/../../hvlua-macos", EXECUTE, nil, LUA, SYSTEM)
check(("%s/install/libhvlua.%s.dylib"):format(folder, version), DYLIB,
      ("/usr/local/lib/libhvlua.%s.dylib"):format(version:match "%d+"), LUA, SYSTEM)
check(folder .. "/install/core.so", BUNDLE, nil, SYSTEM)
