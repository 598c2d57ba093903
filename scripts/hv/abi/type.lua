-- SPDX-License-Identifier: MIT
--- The types that hypercalls pass, and how a declaration writes them.
--
-- type.scalars           name -> type
-- type.parse(text, where) --> { direction=, words = { ... }, name=, count=, open= }
--     "in struct stat info[4]": what stands there, as words; nothing is looked up
-- type.name(text, where) --> text, a name that C and Lua can have
--
-- A type: { kind=, name=, size=, align= } and by kind
--   int     signed=, min=, max=, format=    for string.pack
--   float   format=
--   bool, ptr, errno
--   cstr, bytes                              no size: they are behind a pointer
--   enum, flags   base=, names=, values=     see enum.lua
--   struct        members=, open=            see struct.lua
-- Sizes are bytes; all is little-endian, aligned as C does on 64-bit machines.
--
-- Whatever is wrong raises a table { why= }, which declare.lua puts into words that
-- name the field.

local type = {}

local function fail(format, ...)
    error({ why = format:format(...) }, 0)
end

type.fail = fail

-- ---- scalars -----------------------------------------------------------

local scalars = {}
type.scalars = scalars

for _, bits in ipairs { 8, 16, 32, 64 } do
    local size = bits // 8
    scalars["u" .. bits] = {
        kind = "int", name = "u" .. bits, size = size, align = size, signed = false,
        min = bits == 64 and math.mininteger or 0,
        max = bits == 64 and math.maxinteger or (1 << bits) - 1, format = "I" .. size,
    }
    scalars["i" .. bits] = {
        kind = "int", name = "i" .. bits, size = size, align = size, signed = true,
        min = -1 << bits - 1, max = (1 << bits - 1) - 1, format = "i" .. size,
    }
end

scalars.bool = { kind = "bool", name = "bool", size = 1, align = 1, format = "B" }
scalars.f32 = { kind = "float", name = "f32", size = 4, align = 4, format = "f" }
scalars.f64 = { kind = "float", name = "f64", size = 8, align = 8, format = "d" }
scalars.ptr = { kind = "ptr", name = "ptr", size = 8, align = 8, format = "i8" }
scalars.errno = { kind = "errno", name = "errno", size = 4, align = 4, format = "i4" }
scalars.cstr = { kind = "cstr", name = "cstr" }
scalars.bytes = { kind = "bytes", name = "bytes" }

-- ---- names -------------------------------------------------------------

-- Of C up to C23, C++ and Lua: a declaration is for all of them.
local KEYWORDS = {}
for word in ([[
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class
    compl const const_cast constexpr continue default delete do double dynamic_cast else
    elseif end enum explicit export extern false float for friend function goto if in
    inline int local long mutable namespace new nil noexcept not not_eq nullptr operator
    or or_eq private protected public register reinterpret_cast repeat restrict return
    short signed sizeof static static_assert static_cast struct switch template then this
    thread_local throw true try typedef typeid typename typeof union unsigned until using
    virtual void volatile wchar_t while xor xor_eq
]]):gmatch "%S+" do
    KEYWORDS[word] = true
end

-- Macros of compilers, where the code is for the system that they run on.
local MACROS = { linux = true, unix = true, i386 = true }

--- A name of a declaration: letters, digits and _, no keyword, nothing that the
-- generated code has for itself.
function type.name(name, what)
    if math.type(name) or _G.type(name) ~= "string" then
        fail("%s: a name expected, got %s", what, _G.type(name))
    elseif not name:find "^[%a_][%w_]*$" then
        fail('%s: "%s" is no name: use letters, digits and _', what, name)
    elseif KEYWORDS[name] then
        fail('%s: "%s" is a keyword of C, C++ or Lua', what, name)
    elseif MACROS[name] then
        fail('%s: "%s" is a macro of C compilers', what, name)
    elseif name:find "^_" or name:lower():find "^hv_" or name:lower() == "hv" then
        fail('%s: "%s": names that begin with _ or hv_ are for the generated code', what,
             name)
    elseif #name > 40 then
        fail('%s: "%s...": more than 40 characters', what, name:sub(1, 12))
    end
    return name
end

-- ---- "in struct stat info[4]" ---------------------------------------------

local DIRECTIONS = { ["in"] = true, out = true, inout = true }
local MOST = 1 << 20 -- elements of an array

--- What stands in one declaration, taken apart: { direction=, class=, type=, name=,
-- count=, open= }. `class` is "struct", "enum", "flags" or nil; `count` the number in
-- brackets; `open` that the brackets are empty.
function type.parse(text, what)
    if _G.type(text) ~= "string" then
        fail('%s: a string such as "u32 fd" expected, got %s', what, _G.type(text))
    end
    local found, rest = {}, text
    local array = rest:match "%[(.-)%]%s*$"
    if array then
        rest = rest:gsub("%[.-%]%s*$", "")
        found.open = not array:find "%S"
        found.count = not found.open and math.tointeger(tonumber(array)) or nil
        if not found.open and (not found.count or found.count < 1 or found.count > MOST) then
            fail('%s: "%s": [%s]: 1 to %d elements, or [] for as many as there are', what,
                 text, array, MOST)
        end
    end
    local words = {}
    for word in rest:gmatch "%S+" do
        words[#words + 1] = word
    end
    if DIRECTIONS[words[1]] then
        found.direction = table.remove(words, 1)
    end
    if words[1] == "struct" or words[1] == "enum" or words[1] == "flags" then
        found.class = table.remove(words, 1)
    end
    if #words ~= 2 then
        fail('%s: "%s": a type and a name expected, such as "u32 fd" or "in bytes data"',
             what, text)
    end
    found.type, found.name = words[1], type.name(words[2], what)
    found.text = text:gsub("%s+", " "):match "^ ?(.-) ?$"
    return found
end

return type
