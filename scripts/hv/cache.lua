-- SPDX-License-Identifier: MIT
--- What took long to make, kept on disk: a file for each key, in HVLUA_CACHE, else
-- XDG_CACHE_HOME/hvlua, else ~/.cache/hvlua. HVLUA_CACHE= (empty): nothing is kept.
--
-- cache.get(key) --> bytes, or nil        cache.put(key, bytes)
--
-- Nothing here raises: without a cache all is only slower. Several processes may share
-- it: an entry gets its name when it is whole. One that is damaged is none, and the
-- next put() replaces it. put() removes what nobody has read for a month. The folder may
-- be removed at any time.

local core = require "hv.core"
local hash = require("hv.abi").hash

local cache = {}

local MAGIC = "hvlua cache 1\n"
local FORMAT = "<I8s4s4" -- hash of the rest, key, bytes
local NAME = "/%016x"
local OLD = "+30" -- days

local function set(name)
    local value = os.getenv(name)
    return value ~= "" and value or nil
end

-- A name that begins with - would be an option, or worse, to those who are called.
local function folder()
    local where = set "HVLUA_CACHE"
    if not os.getenv "HVLUA_CACHE" then
        local base = set "XDG_CACHE_HOME" or set "HOME" and os.getenv "HOME" .. "/.cache"
        where = base and base .. "/hvlua"
    end
    return where and where:find "^[^/]" and "./" .. where or where
end

local function path_of(where, key)
    return where .. NAME:format(hash(key))
end

-- Two keys may have one hash: then the later one has the entry.
function cache.get(key)
    local where = folder()
    local file <close> = where and io.open(path_of(where, key), "rb")
    local text = file and file:read "a"
    if not text or text:sub(1, #MAGIC) ~= MAGIC then
        return nil
    end
    local whole, sum, stored, bytes, behind = pcall(string.unpack, FORMAT, text, #MAGIC + 1)
    if whole and stored == key and behind == #text + 1
        and sum == hash(text:sub(#MAGIC + 9)) then
        return bytes
    end
end

local function write(path, key, bytes)
    local file <close> = io.open(path, "wb")
    local text = string.pack("<s4s4", key, bytes)
    return file and file:write(MAGIC, string.pack("<I8", hash(text)), text) and file:flush()
end

-- Others may keep things in the folder too. Not by -delete, which not every find has.
local function prune(where)
    core.pipe { "find", where, "-maxdepth", "1", "-type", "f", "(", "-name",
        ("[0-9a-f]"):rep(16), "-o", "-name", "new.??????", ")", "-atime", OLD,
        "-exec", "rm", "-f", "--", "{}", "+" }
end

function cache.put(key, bytes)
    local where = folder()
    if not where or core.pipe { "mkdir", "-p", "--", where } ~= 0 then
        return
    end
    local status, out = core.pipe { "mktemp", where .. "/new.XXXXXX" }
    local new = status == 0 and out:match "^[^\n]+"
    if new and not (write(new, key, bytes) and os.rename(new, path_of(where, key))) then
        os.remove(new)
    end
    prune(where)
end

return cache
