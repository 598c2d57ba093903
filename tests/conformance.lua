-- SPDX-License-Identifier: MIT
-- What a backend has to do, whichever it is: guests, and what is to leave them, exit
-- by exit, written down from the architecture and not from a run. The cases are in
-- conformance/<arch>/, what they look like in conformance/case.lua; what a backend
-- cannot do, and why, is in conformance/differs.lua.
local t = ...

package.path = t.folder .. "/tests/?.lua;" .. package.path
local run = require "conformance.case"
local differs = require "conformance.differs"

local SETS = {
    arm64 = {
        "mmio", "pairs", "exceptions", "el0", "mmu", "interrupts", "debug", "timer",
        "run", "handlers", "memory", "sysreg", "fp", "smp",
    },
    x86_64 = {
        "modes", "ports", "mmio", "exceptions", "paging", "system", "debug",
        "interrupts", "run", "handlers", "smp",
    },
}

local _, system = t.run { "uname" }
local EMULATED = { unicorn = true, hvf = not system:find "Darwin" }

-- What a row may say that it is on (differs.lua).
local function stands_on(backend, board, open)
    local nested = backend == "kvm" and os.getenv "HVLUA_NESTED"
    return {
        [backend] = true,
        libunicorn = EMULATED[backend],
        qemu = EMULATED[backend] or nested,
        emulator = board.emulates and board.emulates(backend, open),
    }
end

local function reason(name, board, backend, open)
    local on
    for _, row in ipairs(differs[board.arch]) do
        if name:find(row.case) then
            on = on or stands_on(backend, board, open)
            if on[row.on] then
                return row.why
            end
        end
    end
end

local seen = { arm64 = {}, x86_64 = {} }

local function declare(board, topic)
    return function(name, case)
        name = topic .. ": " .. name
        assert(not seen[board.arch][name], "two cases have the name: " .. name)
        seen[board.arch][name] = true
        t.on(board.arch, name, function(open, backend)
            local why = reason(name, board, backend, open)
            if why then
                t.skip(why)
            end
            why = run(board, case, open, t.sanitized and 120 or 20)
            if why then
                t.skip(why)
            end
        end)
    end
end

for arch, topics in pairs(SETS) do
    local board = require("conformance." .. arch .. ".board")
    for _, topic in ipairs(topics) do
        local path = ("%s/tests/conformance/%s/%s.lua"):format(t.folder, arch, topic)
        assert(loadfile(path))(declare(board, topic), board)
    end
end

t.test("what differs has a case", function()
    for arch, rows in pairs(differs) do
        for _, row in ipairs(rows) do
            local found = false
            for name in pairs(seen[arch]) do
                found = found or name:find(row.case) ~= nil
            end
            t.ok(found, ("no case of %s is called %s"):format(arch, row.case))
        end
    end
end)
