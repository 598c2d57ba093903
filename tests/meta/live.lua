-- SPDX-License-Identifier: MIT
--- What is live beside what meta.lua says of it: live(t, luacats, file) --> a table
-- of functions. They raise where the two differ.
local t, luacats, file = ...
local classes, aliases = file.classes, file.aliases

-- ---- names -----------------------------------------------------------------

local looked_at = {} -- class -> true; "class.field" -> true: a value was seen;
                     -- "class.field?" -> true: it was missing

-- Fields and functions of a class and its parents.
local function members(name, found)
    local class = assert(classes[name], name)
    found, looked_at[name] = found or {}, true
    for _, parent in ipairs(class.parents) do
        members(parent, found)
    end
    for _, part in ipairs { class.fields, class.functions } do
        for key, value in pairs(part) do
            found[key] = value
        end
    end
    return found
end

local function compare(what, said, live)
    local wrong = {}
    for name in pairs(live) do
        if said[name] == nil then
            wrong[#wrong + 1] = ("meta.lua lacks %s"):format(name)
        end
    end
    for name in pairs(said) do
        if live[name] == nil then
            wrong[#wrong + 1] = ("only meta.lua has %s"):format(name)
        end
    end
    table.sort(wrong)
    if #wrong > 0 then
        error(what .. ": " .. table.concat(wrong, ", "), 2)
    end
end

-- The keys of tables, metamethods apart.
local function names(...)
    local found = {}
    for _, from in ipairs { ... } do
        for name in pairs(from) do
            found[name] = not name:find "^__" or nil
        end
    end
    return found
end

local function set(text)
    local found = {}
    for name in text:gmatch "[%w_]+" do
        found[math.tointeger(name) or name] = true
    end
    return found
end

-- The literals that a type allows.
local function literals(ty, found)
    found = found or {}
    for _, part in ipairs(ty.union or {}) do
        literals(part, found)
    end
    if ty.literal then
        found[ty.literal] = true
    elseif aliases[ty.name] then
        literals(aliases[ty.name], found)
    end
    return found
end

local function upvalue(fn, wanted)
    for i = 1, 255 do
        local name, value = debug.getupvalue(fn, i)
        if name == wanted then
            return value
        end
    end
    error("no upvalue " .. wanted, 2)
end

-- Fields that C compares one by one are in no list: every word in quotes in the C
-- sources may be one, and those are that the object does not refuse as unknown.
local words = {}
for _, folder in ipairs { t.folder .. "/bindings/", t.folder .. "/core/" } do
    local _, listing = t.run { "ls", folder }
    for name in listing:gmatch "[^\n]+%.c" do
        local source <close> = assert(io.open(folder .. name))
        for word in source:read "a":gmatch '"([%a_][%w_]*)"' do
            words[word] = true
        end
    end
end

local function answered(object)
    local found = {}
    for word in pairs(words) do
        local ok, why = pcall(function() return object[word] end)
        found[word] = ok or not why:find " has no " or nil
    end
    return names(found)
end

-- ---- types -----------------------------------------------------------------

local fits

local function note(name, key, value)
    looked_at[name .. "." .. key .. (value == nil and "?" or "")] = true
end

-- Is it such an object, by the name in its metatable? A plain table has the fields
-- of the class, each of its type; which one has not, is worth an error.
local function instance(value, name)
    local mt = debug.getmetatable(value)
    if mt and mt.__name then
        local own = "hv." .. mt.__name:gsub("^hv%.", "")
        return name == own or name:sub(1, #own + 1) == own .. "."
    elseif type(value) ~= "table" then
        return false
    end
    local said = members(name)
    compare(name, said, setmetatable(names(value), { __index = function(_, key)
        return said[key].optional or nil
    end }))
    for key, field in pairs(said) do
        if value[key] ~= nil and not fits(value[key], field.type) then
            error(("%s: %s is %s, want %s"):format(name, key, tostring(value[key]),
                                                   field.type.text))
        end
        note(name, key, value[key])
    end
    return true
end

function fits(value, ty)
    local kind = type(value)
    if ty.union then
        for _, one in ipairs(ty.union) do
            if fits(value, one) then
                return true
            end
        end
        return false
    elseif ty.array then
        for i = 1, kind == "table" and #value or 0 do
            if not fits(value[i], ty.array) then
                return false
            end
        end
        return kind == "table"
    elseif ty.literal then
        return value == ty.literal
    elseif ty.params then
        return kind == "function"
    elseif aliases[ty.name] then
        return fits(value, aliases[ty.name])
    elseif classes[ty.name] then
        return instance(value, ty.name)
    end
    return ty.name == "any" or ty.name == kind or ty.name == math.type(value)
end

local function check_type(what, value, ty)
    ty = type(ty) == "string" and luacats.type(ty) or ty
    if not fits(value, ty) then
        error(("%s is %s, want %s"):format(what, tostring(value), ty.text), 2)
    end
end

-- What not every backend has raises on the others, saying that.
local function check_fields(name, object)
    for key, field in pairs(classes[name].fields) do
        local there, value = pcall(function() return object[key] end)
        if there then
            if not (field.optional and value == nil) then
                check_type(name .. "." .. key, value, field.type)
            end
            note(name, key, value)
        else
            t.ok(value:find "not on this backend", value)
        end
    end
end

-- The parameters of a Lua function have the names that meta.lua gives them, in the
-- longest form that it has. Of a C function only their number is known to C.
local function check_functions(name, from)
    for key, said in pairs(classes[name].functions) do
        local fn, want, live = from[key], said.params, {}
        t.eq(type(fn), "function", name .. "." .. key)
        local info = debug.getinfo(fn, "uS")
        for i = said.method and 2 or 1, info.nparams do
            live[#live + 1] = debug.getlocal(fn, i)
        end
        for _, overload in ipairs(said.overloads) do
            local own = table.move(overload.params, said.method and 2 or 1,
                                   #overload.params, 1, {})
            want = #own > #want and own or want
        end
        if info.isvararg and want[#want] == "..." then
            live[#live + 1] = "..." -- else it is there to refuse what is too much
        end
        if info.what ~= "C" then
            t.eq(live, want, name .. "." .. key)
        end
    end
end

return {
    members = members, compare = compare, names = names, set = set, literals = literals,
    upvalue = upvalue, words = words, answered = answered, note = note,
    looked_at = looked_at, check_type = check_type, check_fields = check_fields,
    check_functions = check_functions, fits = fits,
}
