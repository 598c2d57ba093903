-- SPDX-License-Identifier: MIT
-- Files of a test: file.temporary([bytes]) --> path, guard that removes it when it is
-- closed; file.contents(path) --> bytes

local file = {}

function file.temporary(bytes)
    local path = os.tmpname()
    local out <close> = assert(io.open(path, "wb"))
    out:write(bytes or "")
    return path, setmetatable({}, { __close = function() os.remove(path) end })
end

function file.contents(path)
    local input <close> = assert(io.open(path, "rb"))
    return input:read "a"
end

return file
