-- SPDX-License-Identifier: MIT
-- The compilers that generated C is for: strict(standard) --> flags, gcc[arch],
-- need(program, arch) skips a test where it is missing.
local t = ...
local core = require "hv.core"

local compilers = { gcc = { arm64 = "aarch64-linux-gnu-gcc", x86_64 = "gcc" } }

function compilers.strict(standard)
    return { standard, "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wundef", "-Werror" }
end

-- gcc may be another compiler's name, or for another machine.
function compilers.need(program, arch)
    local status, machine = core.pipe { program, "-dumpmachine" }
    local target = arch == "arm64" and "^aarch64" or "^x86_64"
    if status ~= 0 or program ~= "clang" and not machine:find(target) then
        t.skip(("no %s for %s: make deps WITH=check"):format(program, arch))
    end
end

return compilers
