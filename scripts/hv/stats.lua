-- SPDX-License-Identifier: MIT
--- hvlua --stats: after the run, exits by kind and by handler, and where the time
-- went: in the guest, in hvlua (its backend's way in and out of the guest counts
-- as the guest), in the handlers' Lua code.
--
-- start()    count from now on; the table comes at the end of the program
-- finish()   print the table now, once
-- text(s)    the table for what core.stats() gives
--
-- Only exits that run() delivers: cpu:enter() and cpu:step() are not counted.

local core = require "hv.core"

local stats = {}

local function time(ns)
    if ns == 0 then
        return "-"
    elseif ns < 1e3 then
        return ("%d ns"):format(ns)
    elseif ns < 1e6 then
        return ("%.1f us"):format(ns / 1e3)
    elseif ns < 1e9 then
        return ("%.1f ms"):format(ns / 1e6)
    end
    return ("%.2f s"):format(ns / 1e9)
end

-- The rows as a list, those that took the longest first; and their sums.
local function sorted(rows)
    local list = {}
    local sum = { count = 0, guest = 0, hvlua = 0, lua = 0 }
    for key, row in pairs(rows) do
        row.kind, row.handler, row.source = key:match "^(.-)\n(.-)\n(.*)$"
        row.all = row.guest + row.hvlua + row.lua
        for name in pairs(sum) do
            sum[name] = sum[name] + row[name]
        end
        list[#list + 1] = row
    end
    table.sort(list, function(a, b)
        if a.all ~= b.all then
            return a.all > b.all
        elseif a.count ~= b.count then
            return a.count > b.count
        end
        return a.kind .. a.handler .. a.source < b.kind .. b.handler .. b.source
    end)
    return list, sum
end

local function handler(row)
    local words = {}
    for _, word in ipairs { row.handler, row.source } do
        words[#words + 1] = word ~= "" and word or nil
    end
    return #words == 0 and "-" or table.concat(words, "  ")
end

function stats.text(s)
    local list, sum = sorted(s.rows)
    local lines = {}
    local function add(format, ...)
        lines[#lines + 1] = format:format(...)
    end
    -- Between exits: starting a run, getting in and out of the guest's loop.
    local rest = math.max(s.total - sum.guest - sum.hvlua - sum.lua, 0)
    local all = math.max(sum.guest + sum.hvlua + sum.lua + rest, 1)
    add("hvlua: %d run%s, %s: %.1f %% in the guest, %.1f %% in hvlua, %.1f %% in Lua",
        s.runs, s.runs == 1 and "" or "s", time(s.total),
        100 * sum.guest / all, 100 * (sum.hvlua + rest) / all,
        100 * sum.lua / all)
    local width = 20
    for _, row in ipairs(list) do
        width = math.max(width, #handler(row))
    end
    local form = "%-8s %-" .. width .. "s %10s %10s %10s %10s"
    add(form, "exit", "handler", "count", "guest", "hvlua", "Lua")
    for _, row in ipairs(list) do
        add(form, row.kind, handler(row), row.count, time(row.guest),
            time(row.hvlua), time(row.lua))
    end
    add(form, "", "between exits", "", "", time(rest), "")
    add(form, "", "all", sum.count, time(sum.guest), time(sum.hvlua + rest),
        time(sum.lua))
    if s.exact then
        add("times: those of the first %d exits, then sampled",
            s.exact)
    end
    return table.concat(lines, "\n") .. "\n"
end

local started

function stats.start()
    core.stats()
    started = true
    local exit = os.exit
    os.exit = function(...) -- luacheck: ignore 122
        stats.finish()
        return exit(...)
    end
end

function stats.finish()
    if started then
        started = false
        io.stdout:flush()
        io.stderr:write(stats.text(core.stats()))
    end
end

return stats
