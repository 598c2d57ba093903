-- SPDX-License-Identifier: MIT
--- hv.x86: the register settings that put an x86_64 vCPU into a mode, which a PC's
-- firmware and boot loader would have done by then.
--
-- hv.x86.protected([registers]) --> registers    32 bits, flat segments, no paging
-- hv.x86.long(vm, at [, registers]) --> registers
--     64 bits; writes page tables at `at` (6 pages of guest memory) that map the
--     first 4 GiB to themselves, in pages of 2 MiB
--
-- vm:vcpu(hv.x86.long(vm, 0x1000, { pc = 0x10000, sp = 0x80000 }))
--
-- Selectors are 8 for code and 16 for data, as a guest's own GDT would have them;
-- none is needed while the guest loads no segment register.

local core = require "hv.core"
local size = require "hv.size"

local x86 = {}

local PE, ET, PG = 1 << 0, 1 << 4, 1 << 31 -- CR0
local PAE = 1 << 5 -- CR4
local LME, LMA = 1 << 8, 1 << 10 -- EFER
local PRESENT, WRITE, LARGE = 1 << 0, 1 << 1, 1 << 7 -- page table entries
local PAGE, TABLES = 4096, 6 -- PML4, PDPT, four page directories

local function segment(fields)
    local s = { base = 0, limit = 0xffffffff, present = 1, s = 1, dpl = 0, g = 1,
        avl = 0 }
    for name, value in pairs(fields) do
        s[name] = value
    end
    return s
end

local function check(what, registers, ...)
    if registers ~= nil and type(registers) ~= "table" then
        error(("%s: a table of registers expected, got %s")
              :format(what, type(registers)), 3)
    elseif select("#", ...) > 0 then
        error(what .. ": nothing goes behind the registers", 3)
    end
end

local function flat(code, registers)
    local data = segment { selector = 16, type = 3, db = 1, l = 0 }
    local all = { rflags = 2, cs = segment(code), ds = data, es = data, fs = data,
        gs = data, ss = data }
    for name, value in pairs(registers or {}) do
        all[name] = value
    end
    return all
end

function x86.protected(registers, ...)
    check("x86.protected", registers, ...)
    local all = flat({ selector = 8, type = 11, db = 1, l = 0 }, registers)
    all.cr0 = all.cr0 or PE | ET
    return all
end

local function write_tables(vm, at)
    local function entry(i)
        return at + i * PAGE | PRESENT | WRITE
    end
    vm:fill(at, TABLES * PAGE)
    vm:u64(at, entry(1))
    for i = 0, 3 do
        vm:u64(at + PAGE + 8 * i, entry(2 + i))
    end
    local directories = {}
    for i = 0, 4 * 512 - 1 do
        directories[i + 1] = string.pack("<I8", i << 21 | PRESENT | WRITE | LARGE)
    end
    vm:write(at + 2 * PAGE, table.concat(directories))
end

function x86.long(vm, at, registers, ...)
    check("x86.long", registers, ...)
    local ok, why = pcall(core.room, vm, 0, 0)
    if not ok then
        error("x86.long: " .. why, 2)
    elseif vm.arch ~= "x86_64" then
        error(("x86.long: an x86_64 machine expected, this one is %s")
              :format(vm.arch), 2)
    end
    at = type(at) == "string" and size(at, "x86.long: at", 2) or at
    if math.type(at) ~= "integer" or at % PAGE ~= 0 then
        error(("x86.long: page tables at %s: a multiple of 4096 expected")
              :format(tostring(at)), 2)
    end
    ok, why = pcall(write_tables, vm, at)
    if not ok then
        error("x86.long: " .. tostring(why):gsub("^[^:\n]+:%d+: ", ""), 2)
    end
    local all = flat({ selector = 8, type = 11, db = 0, l = 1 }, registers)
    all.cr0 = all.cr0 or PE | ET | PG
    all.cr3 = all.cr3 or at
    all.cr4 = all.cr4 or PAE
    all.efer = all.efer or LME | LMA
    return all
end

return x86
