-- SPDX-License-Identifier: MIT
--- One stream, or some, in this process: what a worker that died was doing.
--
-- hvlua tests/hostile/replay.lua backend arch kind seed [last]

local folder = arg[0]:match "^(.*)/hostile/[^/]*$" or "."
package.path = folder .. "/?.lua;" .. package.path

local stream = require "hostile.stream"

local backend, arch, kind, first, last = table.unpack(arg, 1, 5)
if not kind or not math.tointeger(first) then
    io.stderr:write "replay: backend, arch, random or mutated, and a seed expected\n"
    os.exit(2)
end

local run = stream.runner(backend, arch, kind)
local failed = false
for seed = math.tointeger(first), math.tointeger(last or first) do
    local ok, how, exits = pcall(run, seed)
    failed = failed or not ok
    if not last or not ok then
        print(seed, ok and how or "failed: " .. tostring(how), exits)
    end
end
os.exit(not failed, true)
