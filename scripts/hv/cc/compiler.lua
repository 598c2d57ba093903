-- SPDX-License-Identifier: MIT
--- Compilers for guests: which there are, and how each is asked for an object.
--
-- compiler.find(arch) --> tool, or nil and why not
-- tool: { program=, version=, argv = { what it is always told } }
-- compiler.flags(arch) --> { flag... }     for freestanding code, the guest's way
-- compiler.run(tool, flags, input, output) --> true; false and stderr; nil and why
--
-- clang, or else a cross gcc, or a gcc whose host is of the guest's architecture;
-- HVLUA_CC names another program.

local core = require "hv.core"

local compiler = {}

local TARGET = { arm64 = "aarch64", x86_64 = "x86_64" }

-- No unwinder, no thread-local canary, no libgcc. Where there is no MMU, memory is
-- Device memory to arm64, and an unaligned access faults. An interrupt on x86_64 is
-- taken on the stack in use, and vector registers are for those who have set CR4.
local FLAGS = {
    both = { "-ffreestanding", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
        "-fno-unwind-tables", "-fno-pic", "-fno-pie",
        "-Werror=implicit-function-declaration" },
    arm64 = { "-mstrict-align", "-mno-outline-atomics" },
    x86_64 = { "-mno-red-zone", "-mno-sse", "-mno-mmx", "-mno-80387", "-mcmodel=small",
        "-fcf-protection=none" },
}

function compiler.flags(arch)
    local list = {}
    for _, flags in ipairs { FLAGS.both, FLAGS[arch] } do
        table.move(flags, 1, #flags, #list + 1, list)
    end
    return list
end

-- ---- which there are -----------------------------------------------------------

local answers = {} -- program and option -> first line of its answer, or false

local function ask(program, option)
    local key = program .. "\0" .. option
    if answers[key] == nil then
        local status, out = core.pipe { program, option }
        answers[key] = status == 0 and out:match "[^\n]+" or false
    end
    return answers[key]
end

-- Its options are gcc's, but for the target: there it has all of them.
local function clang(program, arch)
    local version = ask(program, "--version")
    if not version then
        return nil, program .. ": not found"
    end
    return { program = program, version = version, argv = {
        program, ("--target=%s-none-elf"):format(TARGET[arch]), "-Qunused-arguments",
        "-fno-color-diagnostics", "-fno-caret-diagnostics",
    } }
end

local function gcc(program, arch)
    local version, machine = ask(program, "--version"), ask(program, "-dumpmachine")
    if not version then
        return nil, program .. ": not found"
    elseif not machine or machine:match "^[^-]*" ~= TARGET[arch]
        or version:find("clang", 1, true) then
        return nil, ("%s: no gcc for %s"):format(program, arch)
    end
    return { program = program, version = version, argv = {
        program, "-fdiagnostics-color=never", "-fno-diagnostics-show-caret",
    } }
end

local function candidates(arch)
    local chosen = os.getenv "HVLUA_CC"
    if chosen and chosen ~= "" then
        local is_clang = chosen:match "[^/]*$":find("clang", 1, true)
        return { { chosen, is_clang and clang or gcc } }
    end
    local target = TARGET[arch]
    return {
        { "clang", clang }, { target .. "-linux-gnu-gcc", gcc },
        { target .. "-elf-gcc", gcc }, { "gcc", gcc },
    }
end

function compiler.find(arch)
    local reasons = {}
    for _, candidate in ipairs(candidates(arch)) do
        local tool, why = candidate[2](candidate[1], arch)
        if tool then
            return tool
        end
        reasons[#reasons + 1] = why
    end
    return nil, ("no C compiler for %s: install clang, or set HVLUA_CC (%s)"):format(
        arch, table.concat(reasons, "; "))
end

-- ---- asking it -----------------------------------------------------------------

function compiler.run(tool, flags, input, output)
    local argv = table.move(tool.argv, 1, #tool.argv, 1, {})
    table.move(flags, 1, #flags, #argv + 1, argv)
    for _, word in ipairs { "-x", "c", input, "-o", output } do
        argv[#argv + 1] = word
    end
    local status, stdout, stderr = core.pipe(argv)
    if not status then
        return nil, stdout
    elseif status ~= 0 then
        return false, stderr
    end
    return true
end

return compiler
