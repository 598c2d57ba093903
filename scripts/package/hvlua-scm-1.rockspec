-- SPDX-License-Identifier: MIT
-- hvlua for LuaRocks: the module "hv". From the top of the tree:
--   luarocks make scripts/package/hvlua-scm-1.rockspec
-- libunicorn is found by the system's loader, or named by HVLUA_LIBUNICORN.
rockspec_format = "3.0"
package = "hvlua"
version = "scm-1"
source = { url = "file://." } -- the tree it is in: it says no other place
description = {
    summary = "Scripting host for virtual machines",
    detailed = [[
        Lua scripts define a virtual machine's memory, load guest code and answer
        its hypercalls and device accesses, on KVM or on Unicorn's emulated CPUs,
        for arm64 and x86_64 guests.]],
    license = "MIT",
}
supported_platforms = { "linux", "macosx" }
dependencies = { "lua >= 5.4, < 5.5" }
external_dependencies = { UNICORN = { header = "unicorn/unicorn.h" } }
build = {
    type = "make",
    build_target = "module",
    install_target = "installmodule",
    variables = {
        CC = "$(CC)",
        CFLAGS = "$(CFLAGS)",
        LUA_CFLAGS = "-I$(LUA_INCDIR)",
        UNICORN_CFLAGS = "-I$(UNICORN_INCDIR)",
        PREFIX = "$(PREFIX)",
        LUADIR = "$(LUADIR)",
        CMODDIR = "$(LIBDIR)",
    },
}
