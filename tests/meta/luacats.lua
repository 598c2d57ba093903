-- SPDX-License-Identifier: MIT
--- Reads LuaCATS annotations, as far as scripts/hv/meta.lua uses them.
--
-- luacats.read(path) --> {
--   meta         what ---@meta names
--   classes      name -> { parents = { name... }, fields = { name -> field },
--                functions = { name -> function }, call = type, index = { type, type },
--                operators = { name -> true } }
--   aliases      name -> type
--   complaints   what is wrong with it, by line
-- }
--   field:    { type=, optional= }
--   function: { params = { name... }, method = is it called with a colon,
--               overloads = { type... } }
--   type:     { name= } { literal= } { array = type } { union = { type... }, text= }
--             { params = { name... }, parts = { type... } } for fun(...)
--
-- Everything has to be described, defined where it is named, and there only once.

local luacats = {}

-- ---- types -----------------------------------------------------------------

local union

local function several(text, at)
    local items = {}
    repeat
        items[#items + 1], at = union(text, at)
        local more = text:match("^%s*,()", at)
        at = more or at
    until not more
    return items, at
end

-- What follows "fun(": name: type, name?, ...: type): type, type
local function signature(text, at)
    local ty = { params = {}, parts = {} }
    while not text:find("^%s*%)", at) do
        local name, next = text:match("^[%s,]*([%a_][%w_]*)%??()", at)
        if not name then
            name, next = text:match("^[%s,]*(%.%.%.)()", at)
        end
        ty.params[#ty.params + 1] = assert(name, "parameters expected: " .. text)
        at = text:match("^:()", next) or next
        if at > next then
            ty.parts[#ty.parts + 1], at = union(text, at)
        end
    end
    at = text:match("^%s*%)()", at)
    local returns = text:match("^:%s*()", at)
    if returns then
        local results
        results, at = several(text, text:match("^%.%.%.:?%s*()", returns) or returns)
        table.move(results, 1, #results, #ty.parts + 1, ty.parts)
    end
    return ty, at
end

local function primary(text, at)
    at = text:match("^%s*()", at)
    local word, next = text:match('^"([^"]*)"()', at)
    if not word then
        word, next = text:match("^(%d+)()", at)
    end
    if word then
        return { literal = math.tointeger(word) or word }, next
    elseif text:find("^fun%(", at) then
        return signature(text, at + 4)
    elseif text:find("^%(", at) then
        local inner
        inner, at = union(text, at + 1)
        return inner, assert(text:match("^%s*%)()", at), "no ): " .. text)
    end
    word, next = text:match("^([%a_][%w_.]*%*?)()", at)
    local ty = { name = assert(word, "a type expected: " .. text:sub(at)) }
    if text:find("^<", next) then
        ty.parts, next = several(text, next + 1)
        next = assert(text:match("^%s*>()", next), "no >: " .. text)
    end
    return ty, next
end

function union(text, at)
    local ty, start = { union = {} }, text:match("^%s*()", at)
    repeat
        local one
        one, at = primary(text, at)
        local suffix = text:match("^%[%]", at) or text:match("^%?", at)
        while suffix do
            one = suffix == "[]" and { array = one }
                or { union = { one, { name = "nil" } } }
            at = at + #suffix
            suffix = text:match("^%[%]", at) or text:match("^%?", at)
        end
        table.insert(ty.union, one)
        local more = text:match("^%s*|()", at)
        at = more or at
    until not more
    ty.text = text:sub(start, at - 1)
    return ty, at
end

--- The type that a text starts with, and where that ends.
function luacats.type(text)
    return union(text, 1)
end

-- ---- lines -----------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

function Reader:complain(format, ...)
    table.insert(self.file.complaints,
                 ("line %d: %s"):format(self.line, format:format(...)))
end

-- A type, and the words behind it.
function Reader:type(text)
    local ok, ty, at = pcall(union, text, 1)
    if not ok then
        self:complain("%s", ty)
        return { union = {}, text = text }, text
    end
    table.insert(self.used, { ty, self.line })
    return ty, text:match("^%s*#?%s*(.*)", at)
end

-- What was said of it, in the lines above or behind it, must be something.
function Reader:described(what, words)
    if not words:find "%w" then
        self:complain("%s is not described", what)
    end
    self.words = ""
end

function Reader:add(to, name, what, value)
    if to[name] then
        self:complain("%s is there twice", what)
    end
    to[name] = value
end

-- A function or an empty line ends what belongs together.
function Reader:finish()
    self.words, self.params, self.overloads = "", {}, {}
    self.class, self.alias = nil, nil
end

local tags = {}

function tags:meta(text)
    self.file.meta = text
end

function tags:class(text)
    text = text:gsub("^%(partial%)%s*", "")
    local name, parents = text:match "^([%w_.]+)%s*:?%s*(.*)$"
    self:described(name, self.words)
    self.class = { name = name, parents = {}, fields = {}, functions = {}, operators = {} }
    for parent in parents:gmatch "[^%s,]+" do
        table.insert(self.class.parents, parent)
        table.insert(self.used, { { name = parent }, self.line })
    end
    self:add(self.file.classes, name, name, self.class)
end

function tags:field(text)
    local key, value = text:match "^%[(.-)%]%s+(.*)$"
    if key then
        self.class.index = { (self:type(key)), (self:type(value)) }
        return
    end
    local name, optional, rest = text:match "^([%w_]+)(%??)%s+(.*)$"
    local what = self.class.name .. "." .. name
    local ty, words = self:type(rest)
    self:described(what, words)
    self:add(self.class.fields, name, what, { type = ty, optional = optional == "?" })
end

function tags:alias(text)
    local name, rest = text:match "^([%w_.]+)%s*(.*)$"
    self:described(name, self.words)
    self.alias = rest ~= "" and self:type(rest) or { union = {}, text = name }
    self:add(self.file.aliases, name, name, self.alias)
end

function tags:param(text)
    local name, rest = text:match "^([%w_.]+)%??%s+(.*)$"
    self:type(rest)
    table.insert(self.params, name)
end

tags["return"] = function(self, text)
    self:type(text)
end

-- Of a class it says how that is called, of a function how else.
function tags:overload(text)
    local ty = self:type(text).union[1]
    if self.class then
        self.class.call = ty
    else
        table.insert(self.overloads, ty)
    end
end

function tags:operator(text)
    self.class.operators[text:match "^%w+"] = true
end

function Reader:define(owner, colon, name, params)
    local class = self.locals[owner]
    local fn = { params = {}, method = colon == ":", overloads = self.overloads }
    for param in params:gmatch "[^%s,]+" do
        table.insert(fn.params, param)
    end
    local what = class.name .. colon .. name
    self:described(what, self.words)
    if table.concat(fn.params, ",") ~= table.concat(self.params, ",") then
        self:complain("%s: its parameters are not its @params", what)
    end
    self:add(class.functions, name, what, fn)
end

function Reader:read(text)
    local tag, rest = text:match "^%-%-%-@(%w+)%s*(.*)$"
    local owner, colon, name, params =
        text:match "^function ([%w_]+)([.:])([%w_]+)%((.-)%) end$"
    if tags[tag] then
        tags[tag](self, rest)
    elseif text:find "^%-%-%-| " then
        local ty, words = self:type(text:sub(6))
        if ty.union[1] and ty.union[1].literal then
            self:described(ty.text, words)
        end
        table.insert(self.alias.union, ty)
    elseif text:find "^%-%-%-[^@]" then
        self.words = self.words .. text:sub(4)
    elseif self.locals[owner] then
        self:define(owner, colon, name, params)
        self:finish()
    elseif self.class and text:find "^local [%w_]+ = {}$" then
        self.locals[text:match "^local ([%w_]+)"] = self.class
    elseif text == "" or text:find "^%-%-[^-]" or text == "--" then
        self:finish()
    elseif text ~= "return hv" then
        self:complain("not understood: %s", text)
    end
end

local BUILTIN = {
    any = true, boolean = true, ["file*"] = true, integer = true, lightuserdata = true,
    ["nil"] = true, number = true, string = true, table = true,
}

function Reader:check_name(ty)
    for _, parts in ipairs { ty.union or {}, ty.parts or {}, { ty.array } } do
        for _, part in ipairs(parts) do
            self:check_name(part)
        end
    end
    local name = ty.name
    if name and not (BUILTIN[name] or self.file.classes[name] or self.file.aliases[name]) then
        self:complain("%s is no type", name)
    end
end

function luacats.read(path)
    local file = { classes = {}, aliases = {}, complaints = {} }
    local reader = setmetatable({ file = file, used = {}, locals = {}, line = 0 }, Reader)
    reader:finish()
    for text in io.lines(path) do
        reader.line = reader.line + 1
        reader:read(text)
    end
    for _, use in ipairs(reader.used) do
        reader.line = use[2]
        reader:check_name(use[1])
    end
    return file
end

return luacats
