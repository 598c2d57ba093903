-- SPDX-License-Identifier: MIT
--- What the parts of an ABI are called in C, and what of a C parameter is in which word.
-- The header, the assembler's include file and the reference are made of this.
--
-- prototype.type(abi, type) --> "hv_u32", "struct lab_stat", "lab_color_t"
-- prototype.call(abi, call) --> { text=, result=, error=, words = { expression... } }
--     text: "hv_i64 lab_write(hv_u32 fd, ...)"; error: its last parameter is one that
--     takes the error's number; words: what the stub passes, from the first on
-- prototype.signature(call) --> "write(u32 fd, in bytes data) -> i64"
-- prototype.integer(value, type) --> "4294967295u"
-- prototype.page(abi) --> page: lines of text, and the names that are taken in it
-- prototype.conduit(text) --> conduit     "mmio@0x9000000"; raises { why= }

local type_ = require "hv.abi.type"

local prototype = {}

--- The number of the call by which a guest tells its ABI: see abi/serve.lua.
prototype.check = 0x68766162 -- "hvab"

-- ---- types -------------------------------------------------------------------

local SCALAR = {
    bool = "hv_bool", f32 = "hv_f32", f64 = "hv_f64", ptr = "void *", errno = "hv_i32",
    cstr = "const char *", char = "char",
}

function prototype.type(abi, ty)
    if ty.kind == "int" then
        return "hv_" .. ty.name
    elseif ty.kind == "struct" then
        return ("struct %s_%s"):format(abi.name, ty.name)
    elseif ty.kind == "enum" or ty.kind == "flags" then
        return ("%s_%s_t"):format(abi.name, ty.name)
    end
    return SCALAR[ty.name]
end

--- "hv_u32 fd", "void *at", "char name[16]"
function prototype.declare(c_type, name, count)
    return ("%s%s%s%s"):format(c_type, c_type:find "%*$" and "" or " ", name,
                               count and ("[%d]"):format(count) or "")
end

--- An integer constant that is of its type wherever it stands, also in #if.
function prototype.integer(value, ty)
    if ty.signed then
        return value == math.mininteger and "(-9223372036854775807l - 1)"
            or ("%d%s"):format(value, ty.size == 8 and "l" or "")
    end
    return (value < 0 and "0x%x%s" or "%d%s"):format(value, ty.size == 8 and "ul" or "u")
end

-- ---- names -------------------------------------------------------------------

--- LAB_COLOR_RED of "lab", "color", "red".
function prototype.macro(...)
    return table.concat({ ... }, "_"):upper()
end

-- ---- pages -------------------------------------------------------------------

local Page = {}
Page.__index = Page

function prototype.page(abi)
    return setmetatable({ abi = abi, taken = {} }, Page)
end

function Page:add(format, ...)
    self[#self + 1] = select("#", ...) > 0 and format:format(...) or format
end

--- Two names of a declaration may come to the same one here: then who declares it has
-- to know.
function Page:claim(name, what)
    if self.taken[name] then
        type_.fail("%s: %s would be both %s and %s: rename one of them", self.abi.name,
                   name, self.taken[name], what)
    end
    self.taken[name] = what
    return name
end

function Page:text()
    return table.concat(self, "\n") .. "\n"
end

--- `text` with the value of each $name.
function prototype.fill(text, values)
    return (text:gsub("%$(%l[%l%d]*)", values))
end

-- ---- calls -------------------------------------------------------------------

function prototype.signature(call)
    local params = {}
    for i, p in ipairs(call.params) do
        params[i] = p.text
    end
    return ("%s(%s)%s"):format(call.name, table.concat(params, ", "),
                               call.returns and " -> " .. prototype.shown(call.returns) or "")
end

--- As a declaration names it: "enum color", "i64".
function prototype.shown(ty)
    local class = (ty.kind == "enum" or ty.kind == "flags" or ty.kind == "struct")
        and ty.kind .. " " or ""
    return class .. ty.name
end

-- A name for how much there is, which no parameter of the call has.
local function length_name(call, p, suffix)
    local name = p.name .. suffix
    for _, other in ipairs(call.params) do
        if other.name == name then
            return "hv_" .. name
        end
    end
    return name
end

-- A pointer that is not written through.
local function pointer_type(abi, p)
    local c_type = p.type.kind == "bytes" and "void" or prototype.type(abi, p.type)
    if p.direction ~= "in" then
        return c_type
    end
    return c_type:find "%*$" and c_type .. "const" or "const " .. c_type
end

-- Declarations and the words that go with them, each added to its list.
local function add_param(abi, call, p, list, words)
    local kind = p.type.kind
    if p.direction then
        local c_type = pointer_type(abi, p)
        list[#list + 1] = p.count and kind ~= "bytes"
            and prototype.declare(c_type, p.name, p.count)
            or prototype.declare(c_type .. (c_type:find "%*$" and "*" or " *"), p.name)
        words[#words + 1] = "(hv_u64)" .. p.name
    elseif kind == "float" then
        list[#list + 1] = prototype.declare(prototype.type(abi, p.type), p.name)
        words[#words + 1] = ("hv_%s_bits(%s)"):format(p.type.name, p.name)
    else
        local c_type = kind == "ptr" and "const void *" or prototype.type(abi, p.type)
        list[#list + 1] = prototype.declare(c_type, p.name)
        words[#words + 1] = "(hv_u64)" .. p.name
    end
    if p.sized then
        local name = length_name(call, p, p.open and "_count" or "_size")
        list[#list + 1] = "unsigned long " .. name
        words[#words + 1] = name
    end
end

-- Is a result its own error, where that is negative?
local function signed_result(ty)
    return not ty or ty.kind == "errno" or ty.kind == "int" and ty.signed
end

function prototype.call(abi, call)
    local list, words = {}, {}
    for _, p in ipairs(call.params) do
        add_param(abi, call, p, list, words)
    end
    local ty = call.returns
    local result = ty and ty.kind == "int" and "hv_i64" or "int"
    if not signed_result(ty) then
        result = prototype.type(abi, ty)
        list[#list + 1] = "int *hv_error"
    end
    return {
        text = prototype.declare(result, ("%s_%s(%s)"):format(
            abi.name, call.name, #list > 0 and table.concat(list, ", ") or "void")),
        result = result, error = not signed_result(ty), words = words,
    }
end

-- ---- how a call gets to the host ---------------------------------------------

local CONDUIT = { hvc = "arm64", smc = "arm64", port = "x86_64", mmio = true }

--- "mmio@0x9000000" --> { kind=, at= }; nil for nil: what the architecture has.
function prototype.conduit(text)
    if text == nil then
        return nil
    end
    local kind, place = text:match "^(%l+)@?(.*)$"
    local at = kind and place ~= "" and math.tointeger(tonumber(place)) or nil
    if not CONDUIT[kind] or text:find "@" and not at then
        type_.fail('conduit: "%s": there are hvc, smc, port, port@0xe8, mmio@0x9000000', text)
    elseif at and (kind == "hvc" or kind == "smc") then
        type_.fail('conduit: "%s": %s has no address', text, kind)
    elseif kind == "mmio" and (not at or at < 0 or at % 4 ~= 0) then
        type_.fail('conduit: "%s": the address that is written to, a multiple of 4: '
            .. "mmio@0x9000000", text)
    elseif kind == "port" and at and (at < 1 or at > 0xff) then
        type_.fail('conduit: "%s": a port of 1 to 0xff: for more there is no register left',
                   text)
    end
    return { kind = kind, at = at }
end

return prototype
