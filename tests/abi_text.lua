-- SPDX-License-Identifier: MIT
-- What hv.abi's declaration generates, as text: compilers, assemblers, editors and
-- people get what they can read, and hvlua abi writes it (scripts/hv/abi/*.lua).
local t = ...
local hv = require "hv"
local core = require "hv.core"
local header = require "hv.abi.header"
local include = require "hv.abi.include"
local luacats = require "hv.abi.luacats"
local markdown = require "hv.abi.markdown"
local prototype = require "hv.abi.prototype"
local fields = dofile(t.folder .. "/tests/abi/lab.lua")
local compilers = assert(loadfile(t.folder .. "/tests/abi/compilers.lua"))(t)
local need = compilers.need

-- ---- the compile matrix ------------------------------------------------------------

local function write(path, text)
    local file <close> = assert(io.open(path, "wb"))
    file:write(text)
end

local function folder_for(fn)
    local _, out = core.pipe { "mktemp", "-d" }
    local folder = out:match "[^\n]+"
    local ok, why = pcall(fn, folder)
    core.pipe { "rm", "-rf", folder }
    if not ok then
        error(why, 0)
    end
end

-- Compiling without a word on standard error.
local function quiet(argv, folder)
    local status, out, err = core.pipe(argv)
    t.eq({ status, err or out }, { 0, "" }, table.concat(argv, " "):gsub(folder, "."))
end

local OTHER = { range = { 200, 200 }, only = { 200, "f32 a", "in bytes b" } }

local function each_source(folder, fn)
    local conduits = { "", "mmio@0x9000000" }
    for i, conduit in ipairs(conduits) do
        local chosen = conduit ~= "" and prototype.conduit(conduit) or nil
        write(folder .. "/lab.h", header(hv.abi("lab", fields()), chosen))
        write(folder .. "/other.h", header(hv.abi("other", OTHER), chosen))
        local source = folder .. "/use.c"
        write(source, '#include "other.h"\n#include "lab.h"\nextern int use(void);\n'
              .. "int use(void) { return lab_none() + (int)lab_fail() + other_only(0, 0, 0); }\n")
        fn(source, i)
    end
end

local MATRIX = {
    { "clang", "arm64", "--target=aarch64-none-elf" },
    { "clang", "x86_64", "--target=x86_64-none-elf" },
    { "clang", "x86_64", "--target=x86_64-none-elf", "-mno-sse" },
    { "clang", "arm64", "--target=aarch64-none-elf", "-mgeneral-regs-only" },
    { compilers.gcc.arm64, "arm64" }, { compilers.gcc.arm64, "arm64", "-mgeneral-regs-only" },
    { compilers.gcc.x86_64, "x86_64" }, { compilers.gcc.x86_64, "x86_64", "-mno-sse" },
}

for _, row in ipairs(MATRIX) do
    t.test("the header compiles: " .. table.concat(row, " "), function()
        need(row[1], row[2])
        folder_for(function(folder)
            each_source(folder, function(source)
                for standard, opt in pairs { ["-std=c89"] = "-O0", ["-std=c11"] = "-O2" } do
                    local argv = { row[1], table.unpack(row, 3) }
                    local flags = compilers.strict(standard)
                    table.move(flags, 1, #flags, #argv + 1, argv)
                    table.move({ "-Wstrict-prototypes", "-Wmissing-prototypes", opt,
                        "-ffreestanding", "-c", source, "-o", folder .. "/use.o" }, 1, 8,
                        #argv + 1, argv)
                    quiet(argv, folder)
                end
            end)
        end)
    end)
end

t.test("the header is C++, too", function()
    need("clang", "x86_64")
    folder_for(function(folder)
        each_source(folder, function(source)
            for _, standard in ipairs { "-std=c++98", "-std=c++17" } do
                for _, target in ipairs { "aarch64", "x86_64" } do
                    quiet({ "clang", ("--target=%s-none-elf"):format(target), "-x", "c++", standard,
                        "-Wall", "-Wextra", "-Werror", "-fsyntax-only", source }, folder)
                end
            end
        end)
    end)
end)

t.test("a conduit that the architecture has not, or a layout that is not so", function()
    need("clang", "x86_64")
    folder_for(function(folder)
        each_source(folder, function(source, i)
            local status, _, err = core.pipe { "clang", "--target=x86_64-none-elf", "-c", source,
                "-DHV_CONDUIT=HV_CONDUIT_HVC", "-o", folder .. "/use.o" }
            t.eq(status, 1)
            t.ok(err:find("x86_64 has port and mmio", 1, true), err)
            if i > 1 then
                return
            end
            local text = header(hv.abi("lab", fields()))
            local moved, count = text:gsub("hv_f32 y;", "hv_f64 y;")
            t.eq(count, 1)
            write(folder .. "/lab.h", moved)
            status, _, err = core.pipe { "clang", "--target=x86_64-none-elf", "-c", source,
                "-o", folder .. "/use.o" }
            t.eq(status, 1)
            t.ok(err:find "__builtin_offsetof%(struct lab_shape, ", err)
        end)
    end)
end)

-- ---- assemblers -------------------------------------------------------------------

local ASSEMBLERS = {
    { arch = "x86_64", "as" }, { arch = "arm64", "aarch64-linux-gnu-as" },
    { arch = "x86_64", "clang", "-c", "--target=x86_64-none-elf" },
    { arch = "arm64", "clang", "-c", "--target=aarch64-none-elf" },
}
local DOORBELL = ".equ HV_CONDUIT, 4\n.equ HV_DOORBELL, 0x9000000\n"

for _, tool in ipairs(ASSEMBLERS) do
    t.test(("the include file assembles: %s %s"):format(tool[1], tool.arch), function()
        if tool[1] == "as" and core.host().machine ~= "x86_64"
            or core.pipe { tool[1], "--version" } ~= 0 then
            t.skip(("no %s for %s"):format(tool[1], tool.arch))
        end
        local text = include(hv.abi("lab", fields()))
        local intel = tool.arch == "x86_64" and ".intel_syntax noprefix\n" or ""
        folder_for(function(folder)
            for _, before in ipairs { "", intel, DOORBELL, intel .. DOORBELL } do
                write(folder .. "/use.s", before .. text .. text -- twice is as well
                      .. "lab_none\nlab_many\nlab_abi_check\n")
                local argv = table.move(tool, 1, #tool, 1, {})
                table.move({ folder .. "/use.s", "-o", folder .. "/use.o" }, 1, 3, #argv + 1,
                           argv)
                quiet(argv, folder)
            end
        end)
    end)
end

-- ---- for people and editors ----------------------------------------------------------

t.test("the reference has every call, word and type", function()
    local abi = hv.abi("lab", fields())
    local text = markdown(abi)
    for _, call in ipairs(abi.calls) do
        t.ok(text:find(("\n### %d: %s\n"):format(call.nr, call.name), 1, true), call.name)
        t.ok(text:find("    " .. prototype.call(abi, call).text .. ";", 1, true), call.name)
    end
    for _, ty in ipairs(abi.order) do
        t.ok(text:find(("\n### %s %s\n"):format(ty.kind, ty.name), 1, true), ty.name)
    end
    t.ok(text:find("| `x2` / `rsi` | `in bytes data`: its address |", 1, true))
    t.ok(text:find("| `x3` / `rdx` | how many bytes of `data` there are |", 1, true))
    t.ok(text:find("| memory at `x8` / `r11` + 16 | `f64 i` |", 1, true))
    t.ok(text:find("| 48 | `flags perm perm` |", 1, true))
    t.ok(text:find(("Version 3, layout `%016x`, numbers 100 to 140."):format(abi.hash), 1, true))
end)

t.test("how a declaration is written across lines is not seen", function()
    local abi = hv.abi("lab", { a = { 1, "in\n  bytes\tb " }, s = hv.struct { "u8\n c" } })
    local line = hv.abi("lab", { a = { 1, "in bytes b" }, s = hv.struct { "u8 c" } })
    for _, generate in ipairs { header, include, luacats, markdown } do
        t.eq(generate(abi), generate(line))
    end
end)

t.test("the handlers' types are what editors can read", function()
    local read = dofile(t.folder .. "/tests/meta/luacats.lua").read
    local abi = hv.abi("lab", fields())
    folder_for(function(folder)
        local meta <close> = assert(io.open(t.folder .. "/scripts/hv/meta.lua"))
        local text = luacats(abi) -- uses the types of hvlua's own
        write(folder .. "/lab.lua", meta:read "a" .. text)
        local file = read(folder .. "/lab.lua")
        t.eq(file.complaints, {})
        t.ok(file.classes["lab.handlers"] and file.classes["lab.shape"]
             and file.aliases["lab.color"])
        for name in pairs(abi.call) do
            t.ok(text:find(("---@field %s? fun("):format(name), 1, true), name)
        end
        t.ok(text:find("---@field write? fun(fd: integer, data: string, cpu: hv.cpu): (integer)?, "
                       .. "lab.errno? write(u32 fd, in bytes data) -> i64", 1, true), text)
        t.ok(text:find("read? fun(data: integer, cpu: hv.cpu): (string)?, (integer|lab.errno)?",
                       1, true), text)
    end)
end)

t.test("names that come to one are refused, naming both", function()
    local function refuses(generate, declared, words)
        local ok, why = pcall(generate, hv.abi("lab", declared))
        t.ok(not ok and why.why:find(words, 1, true), not ok and why.why or "generated")
    end
    refuses(header, { put = { 1 }, Put = { 2 } },
            "lab: LAB_CALL_PUT would be both the number of put and the number of Put")
    refuses(header, { abi_check = { 1 } }, "lab_abi_check would be both")
    refuses(include, { a = { 1 }, p = hv.struct { "u8 x", "u8 X" } }, "LAB_P_OFFSET_X")
    -- what a declaration may well have
    header(hv.abi("lab", { stat = { 1, "out struct stat stat" }, color_t = hv.enum { "red" },
        stat_t = hv.struct { "u8 x" }, color = { 2, "enum color color" } }))
end)

-- ---- hvlua abi -----------------------------------------------------------------------

local SCRIPT = [[
local hv = require "hv"
print("words", ...)
io.write "more "
io.stdout:write "and more\n"
hv.abi("one", { f = { 1, "u8 a" } })
local two = hv.abi("two", { g = { 10 } })
print(pcall(hv.vm, {}))
print "ran on"
]]

local function each_mistake(folder, path, fn)
    for _, case in ipairs {
        { "no script", "--c" }, { "one of --c, --asm, --md and --luacats", path },
        { "did you mean '--c'?", path, "--C" },
        { "--c and --md: one of them", path, "--c", "--md" },
        { "declares no ABI three: there is one, two", path, "--c", "--name=three" },
        { "cannot open", folder .. "/none.lua", "--c" },
        { "a file's name", path, "--c", "-o" },
        { folder .. "/x/y: ", path, "--c", "-o", folder .. "/x/y" },
        { 'conduit: "smoke"', path, "--c", "--conduit=smoke" },
        { 'conduit: "mmio"', path, "--c", "--conduit=mmio" },
        { "a port of 1 to 0xff", path, "--c", "--conduit=port@0x100" },
        { "there is a script already", path, path, "--c" },
    } do
        fn(case[1], table.unpack(case, 2))
    end
end

local function abi_command(...)
    return core.pipe { t.hvlua, "abi", ... }
end

t.test("hvlua abi writes what the script declares before it makes a machine", function()
    folder_for(function(folder)
        local path = folder .. "/abi.lua"
        write(path, SCRIPT)
        local status, out, err = abi_command(path, "--c", "--", "a", "--b")
        t.eq({ status, err }, { 0, "words\ta\t--b\nmore and more\n" })
        t.ok(out:find "^/%* one%.h " and out:find "\n/%* two%.h ", out)
        status, out = abi_command("--asm", "--name=two", "--conduit=mmio@0x1000", path)
        t.eq(status, 0)
        t.ok(out:find "^/%* two%.inc " and out:find "%.equ HV_DOORBELL, 0x1000\n", out)
        t.eq({ abi_command(path, "--md", "-o", folder .. "/a.md") },
             { 0, "", "words\nmore and more\n" })
        local file <close> = io.open(folder .. "/a.md")
        t.eq(file:read "l", "# The calls of one")
    end)
end)

t.test("hvlua abi says what is wrong", function()
    folder_for(function(folder)
        local path = folder .. "/abi.lua"
        write(path, SCRIPT)
        each_mistake(folder, path, function(words, ...)
            local status, out, err = abi_command(...)
            t.eq({ status, out }, { 1, "" }, words)
            t.ok(err:find(words, 1, true), err)
        end)
        write(path, "error 'boom'")
        local status, _, err = abi_command(path, "--c")
        t.ok(status == 1 and err:find("abi.lua:1: boom\nstack traceback", 1, true), err)
        write(path, "os.exit(0)")
        status, _, err = abi_command(path, "--c")
        t.ok(status == 1 and err:find("declares no ABI before it ends", 1, true), err)
    end)
end)

t.test("a script that is called abi", function()
    folder_for(function(folder)
        write(folder .. "/abi", "print 'a script'")
        t.eq({ core.pipe { t.hvlua, folder .. "/abi" } }, { 0, "a script\n", "" })
    end)
    local status, _, err = core.pipe { t.hvlua, "--stats", "abi" }
    t.ok(status == 1 and err:find("abi takes only --backend", 1, true), err)
end)
