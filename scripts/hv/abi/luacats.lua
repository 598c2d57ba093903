-- SPDX-License-Identifier: MIT
--- The types of an ABI's handlers for editors (LuaCATS annotations): what vm:serve()
-- passes to them, and what they return. See abi/serve.lua.
--
-- luacats(abi) --> text
--
--     ---@type lab.handlers
--     local handlers = {}

local errno = require "hv.abi.errno"
local prototype = require "hv.abi.prototype"

local SCALAR = {
    int = "integer", bool = "boolean", float = "number", ptr = "integer", errno = "integer",
    cstr = "string", bytes = "string", char = "string",
}

local function class(page, ty)
    return ("%s.%s"):format(page.abi.name, ty.name)
end

-- What one value is in Lua. Without names a value of an enum is its number.
local function value_type(page, ty)
    return SCALAR[ty.kind] or class(page, ty)
end

local function in_lua(page, p)
    local plain = value_type(page, p.type)
    local list = (p.count or p.open) and p.type.kind ~= "bytes" and p.type.kind ~= "char"
    return list and plain .. "[]" or plain
end

-- ---- types -------------------------------------------------------------------

local add_type = {}

function add_type.struct(page, ty)
    page:add("\n--- struct %s\n---@class %s", ty.name,
             page:claim(class(page, ty), "struct " .. ty.name))
    for _, m in ipairs(ty.members) do
        page:add("---@field %s %s %s", m.name, in_lua(page, m), m.text)
    end
end

function add_type.enum(page, ty)
    page:add("\n--- enum %s\n---@alias %s", ty.name,
             page:claim(class(page, ty), "enum " .. ty.name))
    page:add "---| integer # what has no name, in structs and lists"
    for _, name in ipairs(ty.names) do
        page:add('---| "%s" # %d', name, ty.values[name])
    end
end

function add_type.flags(page, ty)
    page:add("\n--- flags %s: those that are set\n---@class %s", ty.name,
             page:claim(class(page, ty), "flags " .. ty.name))
    for _, name in ipairs(ty.names) do
        page:add("---@field %s? boolean 0x%x", name, ty.values[name])
    end
    page:add "---@field rest? integer bits without a name"
end

-- ---- handlers ------------------------------------------------------------------

-- What is out only is an argument where there is a room to tell.
local function arguments_of(page, call)
    local list = {}
    for _, p in ipairs(call.params) do
        if p.direction ~= "out" then
            list[#list + 1] = ("%s: %s"):format(p.name, in_lua(page, p))
        elseif p.sized then
            list[#list + 1] = p.name .. ": integer"
        end
    end
    list[#list + 1] = "cpu: hv.cpu"
    return table.concat(list, ", ")
end

-- Each may be nil, and then an error's name follows: nil, "EPERM".
local function results_of(page, call)
    local list = {}
    for _, p in ipairs(call.params) do
        if p.direction == "out" or p.direction == "inout" then
            list[#list + 1] = in_lua(page, p)
        end
    end
    local ty = call.returns
    if ty then
        list[#list + 1] = value_type(page, ty)
            .. (ty.kind == "errno" and ("|%s.errno"):format(page.abi.name)
                or ty.kind == "flags" and "|string[]|integer" or "")
    end
    list[1] = list[1] or "nil"
    for i, each in ipairs(list) do
        list[i] = each == "nil" and each or ("(%s)?"):format(each)
    end
    local error_type = page.abi.name .. ".errno?"
    if #list == 1 then
        list[2] = error_type
    else
        list[2] = ("(%s|%s)?"):format(list[2]:match "^%((.*)%)%?$", page.abi.name .. ".errno")
    end
    return table.concat(list, ", ")
end

local function add_errors(page)
    local names = {}
    for name in pairs(errno) do
        names[#names + 1] = name
    end
    table.sort(names, function(a, b) return errno[a] < errno[b] end)
    page:add("\n--- Behind nil, what the guest gets as its error.\n---@alias %s",
             page:claim(page.abi.name .. ".errno", "the errors"))
    for _, name in ipairs(names) do
        page:add('---| "%s" # %d', name, errno[name])
    end
end

return function(abi)
    local page = prototype.page(abi)
    page:add("---@meta\n--\n-- The handlers of the ABI %s, version %d. Made by `hvlua abi`.",
             abi.name, abi.version)
    add_errors(page)
    for _, ty in ipairs(abi.order) do
        add_type[ty.kind](page, ty)
    end
    page:add("\n--- What vm:serve() takes.\n---@class %s",
             page:claim(abi.name .. ".handlers", "the handlers"))
    page:add("---@field default? fun(nr: integer, cpu: hv.cpu): integer?, %s.errno? numbers "
             .. "of no call", abi.name)
    for _, call in ipairs(abi.calls) do
        page:add("---@field %s? fun(%s): %s %s", call.name, arguments_of(page, call),
                 results_of(page, call), prototype.signature(call))
    end
    return page:text()
end
