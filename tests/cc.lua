-- SPDX-License-Identifier: MIT
-- hv.cc: guests in C: starting, memory, options, whose line an error is on, and what
-- the cache keeps (scripts/hv/cc.lua, cc/*.lua, cache.lua).
local t = ...
local hv = require "hv"
local core = require "hv.core"
local cc = require "hv.cc"
local cache = require "hv.cache"
local image = require "hv.image"

-- fn(...) as if these variables were in the environment; false: not there.
local function with(variables, fn, ...)
    local real = os.getenv
    rawset(os, "getenv", function(name)
        if variables[name] ~= nil then
            return variables[name] or nil
        end
        return real(name)
    end)
    local results = table.pack(pcall(fn, ...))
    rawset(os, "getenv", real)
    if not results[1] then
        error(results[2], 0)
    end
    return table.unpack(results, 2, results.n)
end

local COMPILERS = { clang = { arm64 = "clang", x86_64 = "clang" },
                    gcc = { arm64 = "aarch64-linux-gnu-gcc", x86_64 = "gcc" } }

local function has(program, arch)
    return pcall(with, { HVLUA_CC = program, HVLUA_CACHE = "" }, cc, {
        text = "long main(void) { return 0; }", arch = arch,
    })
end

local usable = {}
for name, programs in pairs(COMPILERS) do
    usable[name] = {}
    for arch, program in pairs(programs) do
        usable[name][arch] = has(program, arch) and program
    end
end

local function need(arch)
    if not (usable.clang[arch] or usable.gcc[arch]) then
        t.skip("no C compiler for " .. arch)
    end
end

-- fn(compile, open, arch) for each backend and compiler; compile(options) is hv.cc
-- there, and keeps nothing.
local function each(name, fn)
    for which, programs in pairs(usable) do
        t.on(("%s (%s)"):format(name, which), function(open, _, arch)
            local program = programs[arch]
            if not program then
                t.skip(("no %s for %s: make deps WITH=check"):format(which, arch))
            end
            fn(function(options)
                options.arch = arch
                local made = with({ HVLUA_CC = program, HVLUA_CACHE = "" }, cc, options)
                return made
            end, open, arch)
        end)
    end
end

local function run(open, img, at, registers)
    local vm = open { memory = "1M" }
    local all = registers or {}
    all.pc = at and vm:load(at, img) or vm:load(img)
    if vm.arch == "x86_64" then
        all = hv.x86.long(vm, 0xf0000, all)
    end
    local cpu = vm:vcpu(all)
    local exit = vm:run { timeout = 10 }
    t.eq(exit.kind, vm.arch == "x86_64" and "halt" or "wfi")
    return vm.arch == "x86_64" and cpu.rax or cpu.x0, vm, cpu
end

-- ---- what runs ---------------------------------------------------------------------

each("it starts with a stack, data and bss, wherever it is", function(compile, open)
    local img = compile { text = [[
static long zeros[1000];
static long counter = 30;
static const char *const words[] = {"one", "three"};
long depth(long n);
long depth(long n)
{
    volatile long here = n;
    return n ? depth(n - 1) + here : 0;
}
long main(void)
{
    long sum = depth(100) - 5050;
    int i;
    for (i = 0; i < 1000; i++)
        sum += zeros[i]++;
    return sum + counter++ + words[1][4] - 'e' + 12;
}
]] }
    t.eq({ img.base, img.entry, img.symbols._start }, { 0x10000, 0x10000, 0x10000 })
    t.eq((run(open, img)), 42)
    local result, vm, cpu = run(open, img, 0x30000)
    t.eq({ result, vm:u64(img:at(0x30000).symbols.counter) }, { 42, 31 })
    t.eq(vm:run { timeout = 10 }.kind, vm.arch == "x86_64" and "halt" or "wfi",
         "it goes on waiting")
    vm:load(0x30000, img)
    cpu.pc = 0x30000
    vm:run { timeout = 10 }
    t.eq(vm.arch == "x86_64" and cpu.rax or cpu.x0, 42, "bss is zero again")
end)

each("at, stack, defines, opt and flags", function(compile, open)
    local text = [[
int room[ROOM];
long main(void)
{
#ifdef __OPTIMIZE_SIZE__
    return VALUE + (WORD == ANSWER);
#else
    return -1;
#endif
}
]]
    local defines = { ROOM = 4, VALUE = "20 + 1", ANSWER = true, WORD = 1, GONE = false }
    local img = compile { text = text, at = "128K", stack = 4000, defines = defines,
                          opt = "-Os", flags = { "-UANSWER", "-DANSWER=1" } }
    t.eq({ img.base, img.name }, { 0x20000, "cc" })
    t.eq(img.symbols.hv_stack_top - img.symbols.hv_stack, 4000)
    t.eq((run(open, img)), 22)
    t.eq((run(open, compile { text = text, defines = defines })), -1)
    t.eq(compile { text = text, defines = defines, name = "guest.c" }.name, "guest.c")
end)

local MEMORY = [[
typedef unsigned long size;
void *memcpy(void *, const void *, size);
void *memmove(void *, const void *, size);
void *memset(void *, int, size);
int memcmp(const void *, const void *, size);
char a[40] = "0123456789", b[40] = "----------";
/* not to be known while compiling */
volatile size ten = 10, none = 0, four = 4;
struct big {
    long many[60];
} from, to;
long main(void)
{
    from.many[59] = 7;
    to = from;
    if (memcpy(b, a, ten) != b || b[9] != '9' || b[10])
        return 1;
    if (memcpy(b, a + 1, none) != b || b[0] != '0')
        return 2;
    if (memmove(a + 2, a, four) != a + 2 || memcmp(a, "0101236789", ten))
        return 3;
    if (memmove(b, b + 2, four) != b || memcmp(b, "2345456789", ten))
        return 4;
    if (memmove(b, b + 1, none) != b || memmove(b + 1, b, none) != b + 1)
        return 5;
    if (memset(a, 0x141, four) != a || memcmp(a, "AAAA236789", ten) ||
        memset(a, 0, none) != a || a[0] != 'A')
        return 6;
    if (memcmp("a\377", "a\1", four / 2) <= 0 || memcmp("a", "b", four / 4) >= 0 ||
        memcmp("a", "b", none))
        return 7;
    return 40 + (int)to.many[59] - 5;
}
]]

each("memcpy, memmove, memset and memcmp are there for those who call them",
     function(compile, open)
    local img = compile { text = MEMORY, flags = { "-fno-builtin" } }
    t.eq((run(open, img)), 42)
    local own = compile { text = "long count; void *memset(void *p, int c, unsigned long n);\n"
        .. "void *memset(void *p, int c, unsigned long n) { count = (long)n; (void)c; return p; }\n"
        .. "long main(void) { memset(&count, 0, 9); return count; }", flags = { "-fno-builtin" } }
    t.eq((run(open, own)), 9, "its own goes first")
    t.eq(own.symbols.memcpy, nil)
end)

each("floating point where the guest has registers for it", function(compile, open, arch)
    local text = [[
double half(double x);
double half(double x) { return x / 2; }
long main(void)
{
    volatile double x = 85;
    return (long)half(x);
}
]]
    if arch == "arm64" then
        t.eq((run(open, compile { text = text })), 42)
        return
    end
    t.raises(function() compile { text = text } end, "SSE")
    t.ok(compile { text = text, flags = { "-msse2" } })
end)

-- ---- errors ------------------------------------------------------------------------

local function here()
    return debug.getinfo(2, "l").currentline
end

local function at_line(line, words)
    return ("^[^\n]*cc%%.lua:%d: %s"):format(line, words)
end

for which, programs in pairs(usable) do
    t.test(("an error is at its line of the script (%s)"):format(which), function()
        local program = programs.arm64
        if not program then
            t.skip("no compiler")
        end
        with({ HVLUA_CC = program }, function()
            local line = here()
            t.raises(function()
                hv.cc [[
                    long main(void)
                    {
                        return x;
                    }
                ]]
            end, at_line(line + 5, "compiler: [^\n]*'x'[^\n]*: \"return x;\"$"))
            t.raises(function() hv.cc "long main(void) { return y; }" end,
                     at_line(line + 9, "compiler: "))
            local text = [[
long main(void) { return nothing() + 1; }
]]
            t.raises(function() hv.cc { text = text } end, at_line(line + 12, "compiler: "))
            t.raises(function() hv.cc { text = text .. " " } end,
                     at_line(line + 15, "line 1 of the C text: compiler: "))
            t.raises(function() hv.cc { text = text, name = "boot.c" } end,
                     "^boot.c:1: compiler: ")
            t.raises(function()
                hv.cc [[
                    int elsewhere(void);
                    long main(void) { return elsewhere(); }
                ]]
            end, at_line(line + 21, 'cc: undefined symbol "elsewhere"'))
            t.raises(function() hv.cc [[ int f; ]] end, "there is no main: long main%(void%)")
            t.raises(function() hv.cc { text = "\n#include \"none.h\"\n", name = "i.c" } end,
                     "^i.c:2: compiler: [^\n]*none%.h")
            t.raises(function()
                hv.cc { text = "long main(void) { return 0; }", flags = { "-fnonsense" } }
            end, "compiler: un[^\n]*'%-fnonsense'")
            t.raises(function() hv.cc { name = "many.c", text = ("int x = y;\n"):rep(30) } end,
                     "\nmany.c:2: compiler: ")
        end)
    end)
end

t.test("options that are wrong are named, at the line of the call", function()
    local line = here()
    local function refuses(words, fn)
        t.raises(fn, at_line(line + 6, "cc: " .. words))
    end
    for words, options in pairs {
        ['unknown option "txt": did you mean "text"'] = { txt = "" },
        ["text or file: one of them is needed"] = {},
        ["text or file: one of them"] = { text = "", file = "x" },
        ["/nonexistent.c: No such file"] = { file = "/nonexistent.c" },
        ['arch: "mips": use "arm64" or "x86_64"'] = { text = "", arch = "mips" },
        ["stack: %-1"] = { text = "", stack = -1 },
        ["abi: one of hv.abi%(%), or a list of such, expected, got table"] =
            { text = "", abi = { {} } },
        ['conduit: "x": there are hvc, smc'] = { text = "", conduit = "x" },
        ["defines: 1: names and their values expected"] = { text = "", defines = { "X" } },
        ["flags: 2: a string expected, got table"] = { text = "", flags = { "-Wall", {} } },
        ["no C compiler for arm64: install clang, or set HVLUA_CC %(/none: not found%)"] =
            { text = "", HVLUA_CC = "/none" },
    } do
        local program = options.HVLUA_CC
        options.HVLUA_CC = nil
        line = here() - 5
        with({ HVLUA_CC = program }, refuses, words, function() hv.cc(options) end)
    end
end)

t.test("an image that does not fit where it is to be names symbol and line", function()
    need "x86_64"
    local img = hv.cc { arch = "x86_64", name = "far.c", text = [[
int number;
long main(void) { return (long)&number; }
]] }
    t.ok(img:at(0x1000))
    t.raises(function() img:at(1 << 32) end,
             'far.c:%d: cc: "number" is 0x1000%x+, which does not fit in 32 bits')
end)

-- ---- files -------------------------------------------------------------------------

local function folder_for(fn)
    local _, out = core.pipe { "mktemp", "-d" }
    local folder = out:match "[^\n]+"
    local ok, why = xpcall(fn, debug.traceback, folder)
    core.pipe { "rm", "-rf", folder }
    if not ok then
        error(why, 0)
    end
end

local function write(path, text)
    local file <close> = assert(io.open(path, "wb"))
    file:write(text)
end

local function read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

t.on("arm64", "a file, headers beside it, those of two ABIs", function(open)
    need "arm64"
    folder_for(function(folder)
        write(folder .. "/guest.c", '#include "one.h"\n#include "two.h"\n#include "own.h"\n'
              .. "long main(void) { return one_f(1) + two_g() + OWN; }\n")
        write(folder .. "/own.h", "#define OWN 20\n")
        write(folder .. "/one.h", "#error \"not this one\"\n")
        local one = hv.abi("one", { f = { 1, "u8 a", returns = "i64" } })
        local two = hv.abi("two", { g = { 2, returns = "i64" } })
        local img = hv.cc { file = folder .. "/guest.c", abi = { one, two } }
        t.eq(img.name, folder .. "/guest.c")
        local vm = open { memory = "1M" }
        vm:serve(one, { f = function(a) return a end })
        vm:serve(two, { g = function() return 21 end })
        local cpu = vm:vcpu { pc = vm:load(img) }
        vm:run { timeout = 10 }
        t.eq(cpu.x0, 42)
        write(folder .. "/own.h", "#define OWN 19\n")
        vm:load(hv.cc { file = folder .. "/guest.c", abi = { one, two } })
        cpu.pc = img.entry
        vm:run { timeout = 10 }
        t.eq(cpu.x0, 41, "another header, another guest")
        write(folder .. "/own.h", "#error broken\n")
        t.raises(function() hv.cc { file = folder .. "/guest.c", abi = { one, two } } end,
                 "own.h:1: ")
    end)
end)

t.test("headers beside a script, or a file, that is named without a folder", function()
    need "arm64"
    local _, program = t.run { "readlink", "-f", t.hvlua }
    folder_for(function(folder)
        write(folder .. "/own.h", "#define OWN 42\n")
        write(folder .. "/guest.c", '#include "own.h"\nlong main(void) { return OWN; }\n')
        write(folder .. "/script.lua", [==[
            local hv = require "hv"
            local text = hv.cc [[
                #include "own.h"
                long main(void) { return OWN; }
            ]]
            print(text.arch, hv.cc { file = "guest.c" }.name)
        ]==])
        local status, out, err = t.run { "sh", "-c", ("cd '%s' && exec '%s' script.lua"):format(
            folder, program:match "[^\n]+") }
        t.eq({ status, out, err }, { 0, "arm64\tguest.c\n", "" })
    end)
end)

-- ---- the cache ---------------------------------------------------------------------

-- How often a compiler ran meanwhile.
local function compilations(fn, ...)
    local real, count = core.pipe, 0
    core.pipe = function(argv, input)
        for _, word in ipairs(argv) do
            count = count + (word == "-c" and 1 or 0)
        end
        return real(argv, input)
    end
    local ok, why = pcall(fn, ...)
    core.pipe = real
    return ok and count or error(why, 0)
end

local function files(folder)
    local _, out = core.pipe { "ls", "-A", folder }
    local names = {}
    for name in out:gmatch "[^\n]+" do
        names[#names + 1] = name
    end
    return names
end

local function forget()
    package.loaded["hv.cc"] = nil
    return require "hv.cc"
end

t.test("a cache's folder by any name", function()
    need "arm64"
    local _, program = t.run { "readlink", "-f", t.hvlua }
    folder_for(function(folder)
        write(folder .. "/script.lua", "require 'hv'.cc 'long main(void) { return 1; }'")
        for _, name in ipairs { "-delete", "!", "a folder" } do
            local status, out, err = t.run { "sh", "-c",
                ("cd '%s' && HVLUA_CACHE='%s' exec '%s' script.lua"):format(
                    folder, name, program:match "[^\n]+") }
            t.eq({ status, out, err }, { 0, "", "" })
            t.eq(#files(folder .. "/" .. name), 1, name)
        end
        t.eq(#files(folder), 4)
    end)
end)

t.test("a text is compiled once: in a process, and on disk", function()
    need "arm64"
    folder_for(function(folder)
        local text = "long main(void) { return 1234; }"
        local kept = folder .. "/deep/cache"
        local function compile(options, variables)
            options.text = options.text or text
            return compilations(with, variables or { HVLUA_CACHE = kept }, forget(), options)
        end
        t.eq(compile {}, 1)
        t.eq(#files(kept), 1)
        t.eq(compile {}, 0)
        t.eq(compile { at = "2M", name = nil }, 0, "its address is no part of it")
        t.eq({ compile { opt = "-O2" }, compile { flags = { "-g" } },
               compile { defines = { X = 1 } }, compile { stack = "1K" },
               compile { text = text .. "\n" } }, { 1, 1, 1, 1, 1 })
        t.eq(#files(kept), 6)
        t.eq(compile({}, { HVLUA_CACHE = "" }), 1)
        t.eq(compile({}, { HVLUA_CACHE = false, XDG_CACHE_HOME = folder }), 1)
        t.eq(#files(folder .. "/hvlua"), 1)
        t.eq(compile({}, { HVLUA_CACHE = false, XDG_CACHE_HOME = "", HOME = folder }), 1)
        t.eq(#files(folder .. "/.cache/hvlua"), 1)
        t.eq(compile({}, { HVLUA_CACHE = "/proc/none" }), 1, "nowhere to keep it")
        local again = forget()
        with({ HVLUA_CACHE = "" }, function()
            t.eq({ compilations(again, { text = text }), compilations(again, { text = text }) },
                 { 1, 0 })
        end)
        t.eq(compilations(with, { HVLUA_CACHE = kept }, forget(),
                          { text = '__asm__(".incbin \\"/dev/null\\"");' .. text }), 1)
        t.eq(#files(kept), 6, "what it includes is not known")
        for i, include in ipairs { "%:include", "#/**/include", "#inc\\\nlude" } do
            for number = 2 * i, 2 * i + 1 do
                write(folder .. "/number.h", "#define NUMBER " .. number)
                t.eq(compile { text = ('%s "%s/number.h"\nlong main(void) { return NUMBER; }')
                    :format(include, folder) }, 1, include)
            end
        end
    end)
end)

t.test("a damaged entry is made anew", function()
    need "arm64"
    folder_for(function(folder)
        local function compile()
            return compilations(with, { HVLUA_CACHE = folder }, forget(),
                                { text = "long main(void) { return 77; }" })
        end
        t.eq(compile(), 1)
        local path = folder .. "/" .. files(folder)[1]
        local whole = read(path)
        local damages = {
            "", whole:sub(1, 10), whole:sub(1, -2), whole .. "x",
            whole:sub(1, -100) .. "X" .. whole:sub(-98), "#" .. whole:sub(2),
        }
        for i, damaged in ipairs(damages) do
            write(path, damaged)
            t.eq({ compile(), compile() }, { 1, 0 }, "damage " .. i)
            t.eq(read(path), whole)
        end
        t.eq(#files(folder), 1)
    end)
end)

t.test("keys of one hash do not get each other's entry", function()
    folder_for(function(folder)
        with({ HVLUA_CACHE = folder }, function()
            cache.put("one", "first")
            t.eq(cache.get "one", "first")
            local name = files(folder)[1]
            cache.put("two", "second")
            local other = files(folder)[1] == name and files(folder)[2] or files(folder)[1]
            assert(os.rename(folder .. "/" .. name, folder .. "/" .. other))
            t.eq(cache.get "two", nil)
        end)
    end)
end)

t.test("entries that nobody reads go, and nothing else does", function()
    folder_for(function(folder)
        with({ HVLUA_CACHE = folder }, function()
            cache.put("old", "1")
            local old = files(folder)[1]
            cache.put("recent", "2")
            for _, name in ipairs { old, "new.AbCdEf", "another", "0123456789abcdex" } do
                t.eq(core.pipe { "touch", "-a", "-t", "202001010000", folder .. "/" .. name }, 0)
            end
            cache.put("last", "3")
            t.eq({ cache.get "old", cache.get "recent", cache.get "last" }, { nil, "2", "3" })
            t.eq({ #files(folder), read(folder .. "/another"),
                   read(folder .. "/0123456789abcdex") }, { 4, "", "" })
        end)
    end)
end)

t.test("processes share the cache", function()
    need "arm64"
    folder_for(function(folder)
        local workers = {}
        for i = 1, 4 do
            workers[i] = hv.spawn(function(_, where)
                rawset(os, "getenv", function(name)
                    return name == "HVLUA_CACHE" and where or nil
                end)
                local sum = 0
                for n = 1, 5 do
                    local text = ("long main(void) { return %d; }"):format(n)
                    sum = sum + #require "hv.cc"(text).bytes
                end
                return sum
            end, folder)
        end
        local sums = {}
        for i, worker in ipairs(workers) do
            local report = worker:wait()
            t.ok(report.ok, report.error)
            sums[i] = report.results[1]
        end
        t.eq(sums, { sums[1], sums[1], sums[1], sums[1] })
        t.eq(#files(folder), 5, "and nothing half done is left")
    end)
end)

t.test("what hv.cc leaves behind: nothing", function()
    need "arm64"
    folder_for(function(folder)
        local script = folder .. "/script.lua"
        write(script, "local hv = require 'hv'\nprint(hv.cc 'long main(void) { return 5; }')\n"
              .. "print(pcall(hv.cc, 'x'))")
        local status, out = core.pipe { "env", "TMPDIR=" .. folder, "HVLUA_CACHE=", t.hvlua,
            script }
        t.eq(status, 0)
        t.ok(out:find "^image cc: arm64, ", out)
        t.eq(files(folder), { "script.lua" })
    end)
end)

t.test("it is an image", function()
    need "arm64"
    local img = hv.cc "long main(void) { return 0; }"
    t.ok(image.is(img))
    t.ok(img.assembler)
end)
