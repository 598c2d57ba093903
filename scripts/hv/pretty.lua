-- SPDX-License-Identifier: MIT
--- Values as people read them: pretty(value) --> text, without a newline.
--
-- Machines, vCPUs, memory and exits are one line each; integers are shown in
-- hexadecimal too; strings of bytes are dumped; tables are one line where that
-- fits, else one line for each field.

local WIDTH = 78   -- columns of a table on one line
local DUMPED = 256 -- bytes of a dump
local QUOTED = 400 -- bytes of a text inside a table
local FIELDS = 50  -- of a table
local DEPTH = 4

local format -- of a value inside a table

-- ---- numbers, strings --------------------------------------------------

local function integer(n)
    if n > -10 and n < 10 then
        return tostring(n)
    end
    return ("%d (0x%x)"):format(n, n)
end

-- Inside tables one of the two is enough: large numbers are mostly addresses.
local function short_integer(n)
    return (n < -4096 or n >= 4096) and ("0x%x"):format(n) or tostring(n)
end

local function is_text(s)
    return utf8.len(s) and not s:find "[\0-\8\11\12\14-\31\127]"
end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
                  ["\""] = "\\\"", ["\\"] = "\\\\" }

local function quote(s)
    return '"' .. s:gsub("[\n\r\t\"\\]", ESCAPES) .. '"'
end

local function dump(s)
    local lines = { ("%d byte%s"):format(#s, #s == 1 and "" or "s") }
    for at = 1, math.min(#s, DUMPED), 16 do
        local bytes = s:sub(at, math.min(at + 15, DUMPED))
        local hex = bytes:gsub(".", function(byte)
            return ("%02x "):format(byte:byte())
        end)
        lines[#lines + 1] = ("%08x  %-24s %-24s |%s|"):format(
            at - 1, hex:sub(1, 24), hex:sub(25),
            (bytes:gsub("[^\32-\126]", ".")))
    end
    if #s > DUMPED then
        lines[#lines + 1] = ("... and %d more"):format(#s - DUMPED)
    end
    return table.concat(lines, "\n")
end

local function string_inside(s)
    if not is_text(s) then
        local hex = s:sub(1, 16):gsub(".", function(byte)
            return (" %02x"):format(byte:byte())
        end)
        return ("<%d bytes:%s%s>"):format(#s, hex, #s > 16 and " ..." or "")
    elseif #s > QUOTED then
        return ("%s... (%d bytes)"):format(quote(s:sub(1, QUOTED)), #s)
    end
    return quote(s)
end

local function string_alone(s)
    if not is_text(s) then
        return dump(s)
    elseif s:find "\n." and not s:find "]]" then
        return "[[\n" .. s .. "]]"
    end
    return quote(s)
end

-- ---- our objects -------------------------------------------------------

local function size(n)
    for shift, unit in pairs { [30] = "G", [20] = "M", [10] = "K" } do
        local rest = n >> shift
        if n ~= 0 and n % (1 << shift) == 0 and rest < 1024 then
            return rest .. unit
        end
    end
    return tostring(n)
end

local function range(r)
    return ("0x%x-0x%x (%s, %s)"):format(r.at, r.at + r.size - 1, size(r.size),
                                         r.prot)
end

local objects = {}

function objects.machine(vm)
    local text, memory = tostring(vm), {}
    if vm.closed then
        return text
    end
    for i, r in ipairs(vm.memory) do
        memory[#memory + 1] = i <= 3 and range(r) or nil
    end
    if #vm.memory > 3 then
        memory[#memory + 1] = ("%d more"):format(#vm.memory - 3)
    end
    return ("%s: %d vcpu%s, %s"):format(
        text, #vm.cpus, #vm.cpus == 1 and "" or "s",
        #memory == 0 and "no memory" or "memory " .. table.concat(memory, ", "))
end

local SHOWN = { -- registers of a vCPU on one line
    arm64 = { "pc", "sp", "cpsr", "x0", "x1" },
    x86_64 = { "rip", "rsp", "rflags", "rax", "rdi" },
}

function objects.vcpu(cpu)
    local text, registers = tostring(cpu), {}
    if text:find "closed" then
        return text
    end
    for i, name in ipairs(SHOWN[cpu.vm.arch]) do
        registers[i] = ("%s 0x%x"):format(name, cpu[name])
    end
    return text .. ": " .. table.concat(registers, ", ")
end

function objects.memory(memory)
    local text = tostring(memory)
    return text:find "unmapped" and text or "memory " .. range(memory)
end

local function object(value)
    local text = tostring(value)
    local describe = objects[text:match "^%a+" or ""]
    local ok, better = false, nil
    if describe and not text:find ": 0x" then
        ok, better = pcall(describe, value)
    end
    return ok and better or text
end

-- ---- exits -------------------------------------------------------------

local EXIT_FIELDS = {
    "nr", "imm", "addr", "port", "reg", "size", "write", "value", "vector",
    "code", "why",
}
local EXIT_KINDS = {}
for kind in ([[hvc smc mmio io sysreg brk step break watch halt wfi timer fault
               shutdown stop timeout budget kick error]]):gmatch "%a+" do
    EXIT_KINDS[kind] = true
end

local EXIT_NAMES = { kind = true, cpu = true, reason = true, syndrome = true,
                     ec = true, va = true, pa = true }
for _, name in ipairs(EXIT_FIELDS) do
    EXIT_NAMES[name] = true
end

local function is_exit(value)
    for name in next, value do
        if not EXIT_NAMES[name] then
            return false
        end
    end
    return EXIT_KINDS[rawget(value, "kind")]
end

local function exit(value, depth)
    local words = { "exit: " .. value.kind }
    for _, name in ipairs(EXIT_FIELDS) do
        local field = rawget(value, name)
        if name == "write" and field ~= nil then
            words[#words + 1] = field and "write" or "read"
        elseif field ~= nil then
            words[#words + 1] = name .. " " .. format(field, depth + 1)
        end
    end
    local cpu = rawget(value, "cpu")
    local text = cpu and tostring(cpu):match "^vcpu %d+"
    words[#words + 1] = text
    return table.concat(words, ", ")
end

-- ---- tables ------------------------------------------------------------

local ORDER = { number = 1, string = 2 }

local function before(a, b)
    local x, y = ORDER[type(a)] or 3, ORDER[type(b)] or 3
    if x ~= y then
        return x < y
    elseif x == 3 then
        return tostring(a) < tostring(b)
    end
    return a < b
end

local function key_text(key, depth)
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then
        return key
    end
    return "[" .. format(key, depth + 1) .. "]"
end

-- Its fields as texts: the list without keys, then the rest by key.
local function field_texts(value, depth)
    local keys, texts, length = {}, {}, #value
    for key in next, value do
        local listed = math.type(key) == "integer" and key >= 1 and key <= length
        if not listed then
            keys[#keys + 1] = key
        end
    end
    table.sort(keys, before)
    for i = 1, math.min(length, FIELDS) do
        texts[i] = format(rawget(value, i), depth + 1)
    end
    for _, key in ipairs(keys) do
        if #texts >= FIELDS then
            break
        end
        texts[#texts + 1] = key_text(key, depth) .. " = "
            .. format(rawget(value, key), depth + 1)
    end
    if length + #keys > #texts then
        texts[#texts + 1] = ("... and %d more"):format(length + #keys - #texts)
    end
    return texts
end

local open = {} -- tables that are being shown

local function plain_table(value, depth)
    if open[value] then
        return "<the same again>"
    elseif next(value) == nil then
        return "{}"
    elseif depth >= DEPTH then
        return "{ ... }"
    end
    open[value] = true
    local ok, texts = pcall(field_texts, value, depth)
    open[value] = nil
    if not ok then
        error(texts, 0)
    end
    local line = "{ " .. table.concat(texts, ", ") .. " }"
    if #line + 2 * depth <= WIDTH and not line:find "\n" then
        return line
    end
    local indent = ("  "):rep(depth + 1)
    return "{\n" .. indent .. table.concat(texts, ",\n" .. indent) .. "\n"
        .. ("  "):rep(depth) .. "}"
end

local function table_text(value, depth)
    local meta = debug.getmetatable(value)
    if meta and rawget(meta, "__tostring") then
        return tostring(value)
    elseif is_exit(value) then
        return exit(value, depth)
    end
    return plain_table(value, depth)
end

-- ---- anything ----------------------------------------------------------

local function function_text(fn)
    local info = debug.getinfo(fn, "S")
    return info.what == "C" and "function (in C)"
        or ("function (%s:%d)"):format(info.short_src, info.linedefined)
end

function format(value, depth)
    local kind = type(value)
    if math.type(value) == "integer" then
        return depth == 0 and integer(value) or short_integer(value)
    elseif kind == "string" then
        return depth == 0 and string_alone(value) or string_inside(value)
    elseif kind == "table" then
        return table_text(value, depth)
    elseif kind == "userdata" then
        return object(value)
    elseif kind == "function" then
        return function_text(value)
    end
    return tostring(value)
end

return function(value)
    return format(value, 0)
end
