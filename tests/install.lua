-- SPDX-License-Identifier: MIT
-- `make install`, and programs that use what it installed: from other folders,
-- after the whole tree was moved, built with each compiler, as packages.
local t = ...
local hv = require "hv"
local core = require "hv.core"

local function shell(script, ...)
    return t.run { "sh", "-c", script, "sh", ... }
end

local function has(program)
    return shell("command -v \"$1\"", program) == 0
end

local function need(...)
    for _, program in ipairs { ... } do
        if not has(program) then
            t.skip("no " .. program)
        end
    end
end

-- The output of what has to succeed.
local function output(argv)
    local status, out, err = t.run(argv)
    t.eq(status, 0, ("%s: %s%s"):format(table.concat(argv, " "), err or out,
                                        err and out or ""))
    return out, err
end

local function ran(...)
    return output { "sh", "-c", ... }
end

local function read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

local function write(path, text)
    local file <close> = assert(io.open(path, "w"))
    file:write(text)
end

local function lines(text)
    local list = {}
    for line in text:gmatch "[^\n]+" do
        list[#list + 1] = line
    end
    return list
end

local function can_run_arm64()
    for _, b in ipairs(hv.backends()) do
        if b.arch == "arm64" and b.ok then
            return
        end
    end
    t.skip "no backend for arm64 here"
end

-- ---- one build, one staged tree, made when first asked for --------------

local folder = ran("cd \"$1\" && pwd", "sh", t.folder):match "[^\n]+"
local made -- a temporary folder
local stage -- where `make install` put what belongs into /opt/hv lua

local function work()
    made = made or ran "mktemp -d":match "[^\n]+"
    return made
end

-- make, but not as part of the make that runs us; its variables are in the
-- environment all the same.
local function make(...)
    if t.sanitized then
        t.skip "a program without sanitizers is installed: tested where that is"
    end
    need("make", "pkg-config")
    return output { "env", "-u", "MAKEFLAGS", "-u", "MFLAGS", "-u", "MAKELEVEL",
                    "make", "-C", folder, "BUILD=" .. work() .. "/obj", "SANITIZE=",
                    "HVF=", "LIBUNICORN=", ... }
end

local PREFIX = "/opt/hv lua"

-- The folder that stands for PREFIX: everything in it runs where it was not
-- installed to.
local function prefix()
    if not stage then
        local to = work() .. "/stage"
        make("-j2", "install", "PREFIX=" .. PREFIX, "DESTDIR=" .. to)
        stage = to .. PREFIX
    end
    return stage
end

local function files(path)
    return lines(ran("cd \"$1\" && find . ! -type d | LC_ALL=C sort", "sh", path))
end

local LINUX = ran "uname -s" == "Linux\n"
local HELLO = "Hello from the guest\nstop\t42\n"
local DEMO = "share/hvlua/demos/hello.lua"

local function linux()
    if not LINUX then
        t.skip "looks into ELF files"
    end
end

t.test("make install puts everything below PREFIX", function()
    local found = {}
    for _, file in ipairs(files(prefix())) do
        found[file] = true
    end
    t.eq(#files(work() .. "/stage"), #files(prefix()), "files outside of PREFIX")
    local dylib = LINUX and "lib/libhvlua.so" or "lib/libhvlua.dylib"
    for _, file in ipairs {
        "bin/hvlua", dylib, "lib/libhvlua.a", "lib/lua/5.4/hv/core.so",
        "lib/pkgconfig/hvlua.pc", "include/hvlua/vmm.h", "include/hvlua/hvlua.h",
        "share/lua/5.4/hv/init.lua", "share/lua/5.4/hv/device/pl011.lua",
        "share/man/man1/hvlua.1", "share/bash-completion/completions/hvlua",
        "share/zsh/site-functions/_hvlua", "share/fish/vendor_completions.d/hvlua.fish",
        DEMO, "share/hvlua/embed/host.c",
    } do
        t.ok(found["./" .. file], file .. " is missing")
    end
    for _, path in ipairs(lines(output { "sh", "-c", "cd \"$1/scripts\" && "
        .. "find hv -name '*.lua'", "sh", folder })) do
        t.ok(found["./share/lua/5.4/" .. path], path .. " is missing")
    end
end)

t.test("a second make install builds nothing", function()
    prefix()
    local out = make("install", "PREFIX=" .. PREFIX, "DESTDIR=" .. work() .. "/stage")
    t.ok(out:find "  INSTALL ", out)
    for _, step in ipairs { "CC", "LINK", "AR", "GEN" } do
        t.ok(not out:find("  " .. step .. " ", 1, true), out)
    end
end)

-- ---- the program ---------------------------------------------------------

local function hello(program)
    can_run_arm64()
    t.eq({ t.run { "sh", "-c", 'cd / && exec "$1" "$2"', "sh", program,
                   prefix() .. "/" .. DEMO } }, { 0, HELLO, "" })
end

t.test("the program runs from any folder", function()
    hello(prefix() .. "/bin/hvlua")
end)

t.test("the program runs by a symbolic link, through PATH, all alone", function()
    local elsewhere = work() .. "/elsewhere"
    ran('mkdir -p "$2" && ln -s "$1/bin/hvlua" "$2/linked" && cp "$1/bin/hvlua" "$2"',
        "sh", prefix(), elsewhere)
    hello(elsewhere .. "/linked")
    hello(elsewhere .. "/hvlua")
    t.eq(ran('cd / && PATH="$1:$PATH" hvlua --version', "sh", elsewhere),
         output { t.hvlua, "--version" })
end)

t.test("the program takes its own library, not that of another version", function()
    ran('mkdir -p "$1/other/hv" && echo "error [[another]]" >"$1/other/hv/init.lua"',
        "sh", work())
    t.eq(ran('cd / && LUA_PATH="$1/other/?/init.lua;$1/other/?.lua" "$2" '
        .. '-e "print(require [[hv.size]] [[1K]], require [[hv]].version)"',
        "sh", work(), prefix() .. "/bin/hvlua"), ("1024\t%s\n"):format(hv.version))
end)

t.test("a tree that was moved works", function()
    local moved = work() .. "/moved tree"
    ran('cp -R "$1" "$2"', "sh", prefix(), moved)
    can_run_arm64()
    t.eq(ran('cd / && "$1/bin/hvlua" "$1/share/hvlua/demos/hello.lua"', "sh", moved),
         HELLO)
end)

-- Which libunicorn the Lua code's process has in the end.
local LOADED = [[
    local vm = require("hv").vm { backend = "unicorn" }
    for line in io.lines "/proc/self/maps" do
        local path = line:match "(/.*/)libunicorn%.so"
        if path then
            print(path)
            break
        end
    end
]]

t.test("what is installed finds the libunicorn that is installed with it", function()
    linux()
    local lib = prefix() .. "/lib/hvlua/"
    if not io.open(lib .. "libunicorn.so.2") then
        t.skip "make deps did not fetch one"
    end
    t.ok(io.open(lib .. "copyright"), "its licence is missing")
    t.eq(ran('unset HVLUA_LIBUNICORN; cd / && exec "$1" -e "$2"', "sh",
             prefix() .. "/bin/hvlua", LOADED), lib .. "\n")
end)

-- ---- stock Lua -----------------------------------------------------------

local function stock()
    for _, name in ipairs { "lua5.4", "lua54", "lua" } do
        local status, out = t.run { name, "-v" }
        if status == 0 and out:find "^Lua 5%.4" then
            return name
        end
    end
    t.skip "no stock Lua 5.4"
end

local STOCK = [[cd / && exec env LUA_PATH="$1/share/lua/5.4/?.lua;]]
    .. [[$1/share/lua/5.4/?/init.lua" LUA_CPATH="$1/lib/lua/5.4/?.so" "$2" "$3"]]

t.test("stock Lua runs the example, from any folder", function()
    local lua = stock()
    can_run_arm64()
    t.eq(ran(STOCK, "sh", prefix(), lua, prefix() .. "/share/hvlua/embed/stock.lua"),
         ("Lua 5.4\thv %s\tstop\t42\n"):format(hv.version))
end)

t.test("the module for stock Lua brings no Lua of its own", function()
    linux()
    need "readelf"
    local out = output { "readelf", "-d", prefix() .. "/lib/lua/5.4/hv/core.so" }
    t.ok(out:find "NEEDED" and not out:find "liblua", out)
    t.ok(out:find "NODELETE", out)
end)

t.test("workers run in stock Lua", function()
    local lua, script = stock(), work() .. "/worker.lua"
    write(script, [[
        local hv = require "hv"
        local worker = hv.spawn(function(_, n) return n * 2 end, 21)
        local report = worker:wait(60)
        print(report.ok, report.results[1])
    ]])
    t.eq(ran(STOCK, "sh", prefix(), lua, script), "true\t42\n")
end)

-- ---- programs that embed it ----------------------------------------------

local COMPILERS = { "gcc", "clang" }

-- Compile and link against the installed files; "$1" is the prefix.
local COMPILE = [[
    prefix=$1 compiler=$2 source=$3 to=$4; shift 4
    PKG_CONFIG_PATH=$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
    export PKG_CONFIG_PATH
    eval exec '"$compiler" -Wall -Wextra -Werror -o "$to" "$source"' \
        $(pkg-config --cflags hvlua) '"$@"' $(pkg-config --libs hvlua)
]]
local RUN = 'cd "$1/share/hvlua/embed" && LD_LIBRARY_PATH=$1/lib '
    .. 'DYLD_LIBRARY_PATH=$1/lib && export LD_LIBRARY_PATH DYLD_LIBRARY_PATH && '
    .. 'program=$2 && shift 2 && exec "$program" "$@"'

local function compile(compiler, source, ...)
    local to = ("%s/%s-%s"):format(work(), source:match "([^/]*)%.%w*$", compiler)
    ran(COMPILE, "sh", prefix(), compiler, source, to, ...)
    return to
end

local LIGHT = "the light is on\nthe light is off\nthe light is on\n"
local EMBED = "/share/hvlua/embed/"

for _, compiler in ipairs(COMPILERS) do
    t.test("a C host runs a script with its own function, " .. compiler, function()
        need(compiler)
        local host = compile(compiler, prefix() .. EMBED .. "host.c")
        can_run_arm64()
        t.eq(ran(RUN, "sh", prefix(), host, "light.lua"), LIGHT)
        -- what is wrong in the script is told by the host
        local status, _, err = t.run { "sh", "-c", RUN, "sh", prefix(), host, "/none" }
        t.eq(status, 1)
        t.ok(err:find "^host: cannot open /none", err)
    end)

    t.test("the C core runs a guest without Lua, " .. compiler, function()
        need(compiler)
        local program = compile(compiler, prefix() .. EMBED .. "core.c")
        can_run_arm64()
        t.eq(ran(RUN, "sh", prefix(), program), "unicorn: hvc number 42\n")
    end)
end

t.test("the C host is 40 lines at most", function()
    local _, count = read(prefix() .. EMBED .. "host.c"):gsub("\n", "\n")
    t.ok(count <= 40, count)
end)

-- The static library alone: without our shared one, and its core without Lua.
t.test("programs link the static library", function()
    need "cc"
    local script = [[
        prefix=$1 source=$2 to=$3 lua=$4; shift 4
        export PKG_CONFIG_PATH=$prefix/lib/pkgconfig:$PKG_CONFIG_PATH
        others() {
            for flag in $(pkg-config --static --libs-only-l --libs-only-other hvlua); do
                case $flag in
                -lhvlua) ;;
                -llua*) test -z "$lua" || printf '%s ' "$flag" ;;
                *) printf '%s ' "$flag" ;;
                esac
            done
        }
        eval cc -o '"$to" "$source"' $(pkg-config --cflags hvlua) \
            '"$prefix/lib/libhvlua.a"' -pthread $(others)
        exec "$to" "$@"
    ]]
    can_run_arm64()
    local embed = prefix() .. EMBED
    t.eq(ran(script, "sh", prefix(), embed .. "core.c", work() .. "/core-static", ""),
         "unicorn: hvc number 42\n")
    t.eq(ran(script, "sh", prefix(), embed .. "host.c", work() .. "/host-static", "lua",
             embed .. "light.lua"), LIGHT)
end)

t.test("a state without its libraries is refused in words", function()
    need "cc"
    local source = work() .. "/bare.c"
    write(source, [[
        #include <hvlua.h>
        #include <lauxlib.h>
        #include <stdio.h>
        int main(void)
        {
            lua_State *L = luaL_newstate();
            lua_pushcfunction(L, luaopen_hv);
            printf("%d ", lua_pcall(L, 0, 1, 0));
            puts(lua_tostring(L, -1));
            lua_close(L);
            return 0;
        }
    ]])
    local out = ran(RUN, "sh", prefix(), compile("cc", source))
    t.ok(out:find '^2 hv: this Lua state has no "setmetatable": call luaL_openlibs', out)
end)

-- The program needs Lua, as the module does, and is linked with none of ours.
t.test("a library that was unloaded stays, for its signal handlers", function()
    linux()
    need "cc"
    local source = work() .. "/unload.c"
    write(source, [[
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <lauxlib.h>
        #include <stdio.h>
        int main(int argc, char **argv)
        {
            void *library;

            lua_close(luaL_newstate());
            if (dlopen(argv[argc - 1], RTLD_NOW | RTLD_NOLOAD) != NULL)
                return puts("loaded before") < 0;
            library = dlopen(argv[argc - 1], RTLD_NOW);
            if (library == NULL)
                return puts(dlerror()) < 0;
            dlclose(library);
            puts(dlopen(argv[argc - 1], RTLD_NOW | RTLD_NOLOAD) ? "stays" : "gone");
            return 0;
        }
    ]])
    local program = compile("cc", source, "-ldl", "-Wl,--as-needed")
    for _, library in ipairs { "/lib/libhvlua.so", "/lib/lua/5.4/hv/core.so" } do
        t.eq(ran(RUN, "sh", prefix(), program, prefix() .. library), "stays\n", library)
    end
end)

-- ---- headers and symbols -------------------------------------------------

t.test("the headers stand alone, in C and in C++", function()
    for _, compiler in ipairs { "gcc -std=c11", "clang -std=c11", "g++ -std=c++11",
                                "clang++ -std=c++11", "c++" } do
        local program = compiler:match "^%S+"
        local language = program:find "%+" and "c++" or "c"
        for _, header in ipairs { "hvlua.h", "vmm.h" } do
            if has(program) then
                ran([[printf '#include <%s>\n#include <%s>\n' "$3" "$3" | PKG_CONFIG_PATH=$1]]
                    .. [[/lib/pkgconfig:$PKG_CONFIG_PATH sh -c 'eval exec "$0 -x $1" ]]
                    .. [[-Wall -Wextra -Wpedantic -Werror -fsyntax-only - ]]
                    .. [["$(pkg-config --cflags hvlua)"' "$2" "$4"]],
                    "sh", prefix(), compiler, header, language)
            end
        end
    end
end)

t.test("a C++ program links", function()
    need "c++"
    local source = work() .. "/plus.cc"
    write(source, "#include <hvlua.h>\n#include <vmm.h>\n"
        .. "int main() { lua_CFunction open = luaopen_hv;\n"
        .. "return open == nullptr || vmm_kind_find(\"hvc\") != VMM_HVC; }\n")
    ran(RUN, "sh", prefix(), compile("c++", source))
end)

-- The functions of the public headers, each on a line of its own.
local function declared()
    local names = {}
    for _, header in ipairs { "vmm.h", "hvlua.h" } do
        local text = read(prefix() .. "/include/hvlua/" .. header):gsub("/%*.-%*/", "")
            :gsub("typedef[^;]*;", "")
        for name in text:gmatch "%f[%w_]([vl][mu][ma][%w_]*)%(" do
            names[#names + 1] = name .. "\n"
        end
    end
    table.sort(names)
    return table.concat(names)
end

t.test("the libraries export what the headers declare, and nothing else", function()
    linux()
    need "nm"
    local script = [[nm "$@" | sed -n 's/.* [A-TV-Z] //p' | LC_ALL=C sort]]
    t.eq(ran(script, "sh", "-D", "--defined-only", prefix() .. "/lib/libhvlua.so"),
         declared(), "libhvlua.so")
    t.eq(ran(script, "sh", "-g", "--defined-only", prefix() .. "/lib/libhvlua.a"),
         declared(), "libhvlua.a")
end)

t.test("the version is the same everywhere", function()
    t.eq(ran('PKG_CONFIG_PATH=$1/lib/pkgconfig pkg-config --modversion hvlua', "sh",
             prefix()), hv.version .. "\n")
    t.ok(read(prefix() .. "/share/man/man1/hvlua.1"):find("hvlua " .. hv.version, 1, true))
    t.eq(read(folder .. "/scripts/package/debian/changelog"):match "^hvlua %((.-)%)",
         hv.version, "debian/changelog")
    linux()
    local link = ran('cd "$1/lib" && readlink libhvlua.so', "sh", prefix())
    t.eq(link, ("libhvlua.so.%s\n"):format(hv.version))
    t.ok(output { "readelf", "-d", prefix() .. "/lib/libhvlua.so" }
        :find(("soname: [libhvlua.so.%s]"):format(hv.version:match "%d+"), 1, true))
end)

-- ---- uninstall -----------------------------------------------------------

t.test("make uninstall leaves nothing but what others put there", function()
    local to = work() .. "/left"
    ran('mkdir "$1" && cp -R "$2" "$1/root"', "sh", to, prefix():sub(1, -#PREFIX - 1))
    local own = to .. "/root" .. PREFIX .. "/share/hvlua/demos/mine.lua"
    write(own, "")
    make("uninstall", "PREFIX=" .. PREFIX, "DESTDIR=" .. to .. "/root")
    t.eq(files(to), { "./root/opt/hv lua/share/hvlua/demos/mine.lua" })
    os.remove(own)
    make("uninstall", "PREFIX=" .. PREFIX, "DESTDIR=" .. to .. "/root")
    t.eq(files(to), {})
    t.eq(ran('find "$1" -name "*hv" -o -name "*hvlua*"', "sh", to), "", "folders")
end)

-- ---- the manual and completion -------------------------------------------

t.test("the man page has no warnings", function()
    need "groff"
    local page = prefix() .. "/share/man/man1/hvlua.1"
    local _, err = output { "groff", "-ww", "-man", "-Tascii", "-z", page }
    t.eq(err, "")
    if has "mandoc" then
        t.eq(output { "mandoc", "-T", "lint", "-W", "error", page }, "")
    end
end)

local function options()
    local found = {}
    for option in output({ t.hvlua, "--help" }):gmatch "\n%s+([^\n]*)" do
        for word in (option .. "  "):match "^.-  ":gmatch "%-%-?%w[%w-]*" do
            found[#found + 1] = word
        end
    end
    t.ok(#found >= 7, "found few options in --help")
    return found
end

t.test("manual and completions know every option", function()
    local share = prefix() .. "/share/"
    local man = read(share .. "man/man1/hvlua.1"):gsub("\\%-", "-")
    local bash = read(share .. "bash-completion/completions/hvlua")
    local zsh = read(share .. "zsh/site-functions/_hvlua")
    local fish = read(share .. "fish/vendor_completions.d/hvlua.fish")
    for _, option in ipairs(options()) do
        local pattern = "%f[-]" .. option:gsub("%-", "%%-") .. "%f[^%w-]"
        local dashless = option:match "^%-%-(.*)"
        t.ok(man:find(pattern), option .. " is not in hvlua.1")
        t.ok(bash:find(pattern), option .. " is not in the completion for bash")
        t.ok(zsh:find(pattern), option .. " is not in the completion for zsh")
        t.ok(fish:find(dashless and "%-l " .. dashless:gsub("%-", "%%-") .. "%f[^%w-]"
            or "%-s " .. option:sub(2) .. "%f[^%w]"),
            option .. " is not in the completion for fish")
    end
end)

t.test("bash completes", function()
    need "bash"
    local script = [[
        . "$1/share/bash-completion/completions/hvlua"
        cd "$1/share/hvlua/demos"; shift
        COMP_WORDS=(hvlua "$@") COMP_CWORD=$#
        $(complete -p hvlua | sed 's/.* -F \([^ ]*\) .*/\1/')
        printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | tr '\n' ' '
    ]]
    local function completes(...)
        return output { "bash", "-c", script, "bash", prefix(), ... }
    end
    local all = completes "-"
    for _, option in ipairs(options()) do
        t.ok((" " .. all):find("[ ]" .. option:gsub("%-", "%%-") .. "=? "),
             option .. " is not in " .. all)
    end
    t.eq(completes "--ba", "--backend= ")
    t.eq(completes("--backend", "="), "hvf kvm unicorn ")
    t.eq(completes("--backend", "=", "u"), "unicorn ")
    t.eq(completes("--arch", "=", "x"), "x86_64 ")
    t.eq(completes "hel", "hello.lua ")
    t.eq(completes("--backend", "=", "kvm", "hel"), "hello.lua ")
    t.eq(completes("--", "hel"), "hello.lua ")
    t.eq(completes("-e", ""), " ")
    t.eq(completes("hello.lua", "--ba"), " ", "the script's own options")
end)

for name, check in pairs { zsh = "zsh/site-functions/_hvlua",
                           fish = "fish/vendor_completions.d/hvlua.fish" } do
    t.test(name .. " reads its completion", function()
        need(name)
        output { name, "-n", prefix() .. "/share/" .. check }
    end)
end

-- ---- packages ------------------------------------------------------------

-- The tree as a package's source has it.
local function copy_tree(to)
    ran('mkdir "$2" && cd "$1" && cp -R Makefile README.md LICENSE entitlements.plist '
        .. 'core bindings scripts guests tests "$2"', "sh", folder, to)
    return to
end

t.test("Debian packages build, and work with the system's libunicorn", function()
    need("dpkg-buildpackage", "dpkg-deb", "make")
    local status, _, err = t.run { "dpkg-checkbuilddeps",
                                   folder .. "/scripts/package/debian/control" }
    if status ~= 0 then
        t.skip(err:match "[^\n]*" or "dpkg-checkbuilddeps")
    end
    make("deb", "DEBDIR=" .. work() .. "/deb")
    local root = work() .. "/root"
    ran('for deb in "$1"/*.deb; do dpkg-deb -x "$deb" "$2" || exit; done', "sh",
        work() .. "/deb", root)
    t.eq(ran('for deb in "$1"/*.deb; do dpkg-deb -f "$deb" Package Version; done |'
        .. ' sort | uniq -c | tr -s " "', "sh", work() .. "/deb"),
        " 1 Package: hvlua\n 1 Package: libhvlua-dev\n 1 Package: libhvlua0\n"
        .. (" 1 Package: lua-hv\n 4 Version: %s\n"):format(hv.version))
    t.eq(ran('find "$1" -name "*unicorn*"', "sh", root), "", "libunicorn came along")
    hello(root .. "/usr/bin/hvlua")
    local lua = stock()
    t.eq(ran('cd / && LUA_PATH="$1/share/lua/5.4/?.lua;$1/share/lua/5.4/?/init.lua" '
        .. 'LUA_CPATH=$(echo "$1"/lib/*/lua/5.4)/?.so exec "$2" "$3"', "sh", root .. "/usr",
        lua, root .. "/usr/share/hvlua/embed/stock.lua"),
        ("Lua 5.4\thv %s\tstop\t42\n"):format(hv.version))
end)

t.test("the rock builds", function()
    need "luarocks"
    local tree, lua = work() .. "/rocks", stock()
    ran([[cd "$1" && env -u MAKEFLAGS -u SANITIZE -u HVF -u BUILD luarocks --lua-version 5.4 \
        --tree "$2" make scripts/package/hvlua-scm-1.rockspec]], "sh",
        copy_tree(work() .. "/rock"), tree)
    can_run_arm64()
    t.eq(ran(STOCK, "sh", tree, lua, prefix() .. EMBED .. "stock.lua"),
         ("Lua 5.4\thv %s\tstop\t42\n"):format(hv.version))
end)

t.test("the Homebrew formula is Ruby", function()
    need "ruby"
    output { "ruby", "-c", folder .. "/scripts/package/hvlua.rb" }
end)

-- Into the user's own Homebrew nothing is installed without being asked.
t.test("the Homebrew formula builds", function()
    need "brew"
    if not os.getenv "CI" then
        t.skip "installs into Homebrew: only where CI is set"
    end
    ran([[
        set -e
        brew tap-new --no-git hvlua-test/local >/dev/null
        trap 'brew uninstall -f hvlua; brew untap -f hvlua-test/local' EXIT
        cp scripts/package/hvlua.rb "$(brew --repository hvlua-test/local)/Formula"
        HOMEBREW_HVLUA=$PWD brew install --HEAD hvlua-test/local/hvlua
        brew test hvlua-test/local/hvlua
    ]])
end)

if made then
    core.pipe { "rm", "-rf", made }
end
