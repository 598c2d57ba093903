-- SPDX-License-Identifier: MIT
--- The fields of a constructor's table: no typing mistake goes unnoticed.
--
-- options(what, given, known [, level, ...]) --> given, or {} for nil
--
-- `known` maps each field's name to the types it may have ("number or string").
-- An unknown field raises, naming the one most like it; so does a wrong type.
-- `level` counts from the caller, as with error(). `...` is what the caller was given
-- behind the table: nothing, or it raises.

-- The number of single-letter changes that make `a` of `b` (Levenshtein).
local function distance(a, b)
    local row = {}
    for j = 0, #b do
        row[j] = j
    end
    for i = 1, #a do
        local diagonal = row[0]
        row[0] = i
        for j = 1, #b do
            local same = a:byte(i) == b:byte(j)
            local best = math.min(row[j] + 1, row[j - 1] + 1,
                                  diagonal + (same and 0 or 1))
            diagonal, row[j] = row[j], best
        end
    end
    return row[#b]
end

local function advice(word, known)
    local names, best, least = {}, nil, 3
    for name in pairs(known) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local d = #word <= 32 and distance(word, name) or least
        if d < least and d < #name then
            best, least = name, d
        end
    end
    return best and ('did you mean "%s"?'):format(best)
        or "known options are " .. table.concat(names, ", ")
end

return function(what, given, known, level, ...)
    level = (level or 1) + 1
    if select("#", ...) > 0 then
        error(("%s: nothing goes behind the options, got %s")
              :format(what, type((...))), level)
    elseif given == nil then
        return {}
    elseif type(given) ~= "table" then
        error(("%s: options must be a table, not a %s")
              :format(what, type(given)), level)
    end
    for name, value in pairs(given) do
        local want = known[name]
        if not want then
            error(('%s: unknown option "%s": %s')
                  :format(what, name, advice(tostring(name), known)), level)
        elseif not (" " .. want .. " "):find(" " .. type(value) .. " ", 1,
                                             true) then
            error(("%s: %s must be a %s, not a %s")
                  :format(what, name, want, type(value)), level)
        end
    end
    return given
end
