#!/usr/bin/env lua5.4
-- SPDX-License-Identifier: MIT
-- hvlua as a module of stock Lua: `lua5.4 stock.lua`, from any folder.
--
-- `require "hv"` finds it where Lua looks anyway, or below another PREFIX by
--   LUA_PATH='PREFIX/share/lua/5.4/?.lua;PREFIX/share/lua/5.4/?/init.lua;;'
--   LUA_CPATH='PREFIX/lib/lua/5.4/?.so;;'
-- Ctrl-C is Lua's own here and does not end a guest: give runs a timeout.
local hv = require "hv"

local vm <close> = hv.vm { arch = "arm64", memory = "64K" }
vm:load(0, hv.asm [[
        mul   x1, x1, x2
        mov   x0, #1                // hypercall 1: the result
        hvc   #0
]])
vm:hypercall(1, function(cpu, product) return cpu:stop(product) end)
vm:vcpu { pc = 0, x1 = 6, x2 = 7 }

local exit = vm:run { timeout = 10 }
print(_VERSION, "hv " .. hv.version, exit.kind, exit.value)
