-- SPDX-License-Identifier: MIT
--- What a word at the prompt may become: globals, fields, methods, registers.
--
-- complete(c) --> function(before, text) --> { word, ... }, sorted
--   c.names(object)   of a machine, vCPU or memory: its type and a table of its
--                     names, true for methods; nil of other objects
--   c.registers(arch) --> { name, ... }
--
-- An expression before the word is evaluated as far as it is names and constant
-- indexes; nothing is called. (A field that is looked up may be loaded by that,
-- as the parts of hv are.)

local KEYWORDS = {
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function",
    "goto", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then",
    "true", "until", "while",
}

-- What our objects have beside methods and registers.
local PROPERTIES = {
    ["hv.machine"] = {
        "arch", "backend", "closed", "cpus", "el2", "ipa_size", "memory", "page_size",
        "running",
    },
    ["hv.vcpu"] = { "index", "vm" },
    ["hv.memory"] = { "at", "prot", "size" },
}

local INDENT = "    "

local function index(value, key)
    return value[key]
end

-- The value of "vm.cpus[1]" at the end of `text`, or nil.
local function value_of(text)
    local name, rest = text:match "([%a_][%w_]*)([%w_%.%[%]\"']*)$"
    if not name then
        return nil
    end
    local ok, value = true, rawget(_G, name)
    while rest ~= "" and value ~= nil and ok do
        local key, after = rest:match "^%.([%a_][%w_]*)(.*)$"
        if not key then
            key, after = rest:match "^%[(%d+)%](.*)$"
            key = math.tointeger(key)
        end
        if not key then
            key, after = rest:match "^%[[\"']([%w_]*)[\"']%](.*)$"
        end
        if not key then
            return nil
        end
        ok, value = pcall(index, value, key)
        rest = after
    end
    if ok then
        return value
    end
end

-- Add the keys of a table, and of those that it inherits from.
local function add_keys(found, value, methods)
    local depth = 0
    while type(value) == "table" and depth < 10 do
        for key, field in next, value do
            if type(key) == "string" and key:find "^[%a_][%w_]*$"
                and (not methods or type(field) == "function") then
                found[key] = true
            end
        end
        local meta = debug.getmetatable(value)
        value = meta and rawget(meta, "__index")
        for key in next, meta and rawget(meta, "__names") or {} do
            found[key] = true
        end
        depth = depth + 1
    end
end

-- Registers of EL2, on a machine that has it not: most have names of EL1's too.
local function is_missing(kind, value, name)
    if kind ~= "hv.vcpu" or not name:find "_el2$" then
        return false
    end
    local ok, el2 = pcall(function() return value.vm.el2 end)
    return not (ok and el2)
end

local function fields(c, value, methods)
    local found = {}
    local kind, names = c.names(value)
    if kind then
        for name, is_method in pairs(names) do
            if (is_method or not methods) and not name:find "^__"
                and not is_missing(kind, value, name) then
                found[name] = true
            end
        end
        for _, name in ipairs(not methods and PROPERTIES[kind] or {}) do
            found[name] = true
        end
    elseif type(value) == "table" then
        add_keys(found, value, methods)
    elseif value ~= nil then
        local meta = debug.getmetatable(value)
        add_keys(found, type(meta) == "table" and rawget(meta, "__index"), methods)
    end
    return found
end

-- In vm:vcpu { ... } words are registers.
local function registers(c, before)
    local owner = before:match "([%w_%.%[%]\"']+):vcpu%s*%(?%s*{[^{}]*$"
    local value = owner and value_of(owner)
    local found = {}
    if c.names(value) == "hv.machine" then
        for _, name in ipairs(c.registers(value.arch)) do
            found[name] = true
        end
    end
    return found
end

local function words(c, before)
    local found = registers(c, before)
    add_keys(found, _G)
    for _, word in ipairs(KEYWORDS) do
        found[word] = true
    end
    return found
end

return function(c)
    return function(before, text)
        local owner, mark = before:match "^(.*)([.:])$"
        if text == "" and before:find "^%s*$" then
            return { INDENT }
        end
        local found
        if owner and not owner:find "%.$" then -- a concatenation has two
            found = fields(c, value_of(owner), mark == ":")
        else
            found = words(c, before)
        end
        local list = {}
        for word in pairs(found) do
            if word:sub(1, #text) == text then
                list[#list + 1] = word
            end
        end
        table.sort(list)
        return list
    end
end
