-- SPDX-License-Identifier: MIT
-- hv.asm: assembling, laying out, relocating, and whose line an error is on
-- (scripts/hv/asm.lua, object.lua, relocate.lua).
local t = ...
local core = require "hv.core"
local asm = require "hv.asm"
local image = require "hv.image"

-- Run fn with core.pipe replaced: replacement(real, argv, input).
local function with_pipe(replacement, fn)
    local real = core.pipe
    core.pipe = function(argv, input)
        return replacement(real, argv, input)
    end
    local results = table.pack(pcall(fn))
    core.pipe = real
    if not results[1] then
        error(results[2], 0)
    end
    return table.unpack(results, 2, results.n)
end

-- The assemblers of this machine, each as if it were the only one. `mark` makes
-- texts differ, so that no result of another comes from the cache.
local TOOLS = {
    clang = {
        mark = " ", allow = function(program)
            return program:find("clang", 1, true)
        end,
    },
    gnu = {
        mark = "  ", allow = function(program)
            return not program:find("clang", 1, true)
        end,
    },
}

local function only(tool, fn)
    return with_pipe(function(real, argv, input)
        if not tool.allow(argv[1]) then
            return nil, argv[1] .. ": not found"
        end
        return real(argv, input)
    end, fn)
end

for _, tool in pairs(TOOLS) do
    for _, arch in ipairs { "arm64", "x86_64" } do
        tool[arch] = not os.getenv "HVLUA_AS"
            and pcall(only, tool, function()
                return asm("nop" .. tool.mark, { arch = arch })
            end)
    end
end

local function need(arch)
    if not (TOOLS.clang[arch] or TOOLS.gnu[arch]) then
        t.skip("no assembler for " .. arch)
    end
end

-- A test for each assembler that can do `arch`: fn(assemble, name).
local function each_tool(name, arch, fn)
    for which, tool in pairs(TOOLS) do
        t.test(("%s (%s)"):format(name, which), function()
            if not tool[arch] then
                t.skip(("no %s assembler for %s"):format(which, arch))
            end
            only(tool, function()
                fn(function(text, opts)
                    opts = opts or {}
                    opts.arch = arch
                    local img = asm(text .. tool.mark, opts)
                    return img
                end, which)
            end)
        end)
    end
end

local function hex(bytes)
    return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- ---- relocation --------------------------------------------------------

-- Each relocation type that assemblers emit, and what two linkers make of them
-- for .text at this address.
local A64 = [[
_start: b far
        bl far
        b.eq far
        cbz x0, far
        tbz x0, #3, far
        adr x0, far
        adrp x1, far
        add x1, x1, :lo12:far
        ldrb w2, [x1, :lo12:far]
        ldrh w2, [x1, :lo12:far]
        ldr w2, [x1, :lo12:far]
        ldr x2, [x1, :lo12:far]
        ldr q2, [x1, :lo12:far]
        ldr x3, far
        movz x4, #:abs_g3:far
        movk x4, #:abs_g2_nc:far
        movk x4, #:abs_g1_nc:far
        movk x4, #:abs_g0_nc:far
        movz x5, #:abs_g1:far
        movz x5, #:abs_g2:far
        movz x6, #:abs_g1_s:far
        movz x7, #:prel_g1:_start
        movk x7, #:prel_g0_nc:far
        movz x7, #:prel_g3:far
        .quad gone, far + 4
        .word far, far - .
        .quad far - .
        .weak gone
        .data
        .skip 0x500
        .balign 16
far:    .quad far
]]
local A64_AT = 0x12345680
local A64_CODE = "600100145f010094c02b0054a02b00b4802b1836602b0010"
    .. "0100009021003091220070392200587922004cb9220046f92200c33d632a0058"
    .. "0400e0d20400c0f28446a2f204808bf28546a2d20500c0d28646a2d20700a092"
    .. "07a580f20700e0d20000000000000000045c341200000000005c34120c050000"
    .. "0805000000000000"

local X86 = [[
_start: jmp far
        call far
        jne far
        mov far(%rip), %rax
        mov $far, %eax
        mov $far, %rax
        movabs $far, %rax
        mov far(,%rax,8), %rcx
        movl $1, far(%rip)
        .code16
        mov $low, %ax
        jmp far16
        .code32
        mov $far, %eax
        call far
        .quad gone, far, far - .
        .long far, far - .
        .word low
        .byte low
        .weak gone
        .set low, 0x7c
        .data
        .skip 0x500
far16:
far:    .quad far
]]
local X86_AT = 0x1e80
local X86_CODE = "e96d050000e8680500000f8562050000488b055b050000b8f2230000"
    .. "48c7c0f223000048b8f223000000000000488b0cc5f2230000c7053305000001"
    .. "000000b87c00e92d05b8f2230000e8230500000000000000000000f223000000"
    .. "0000001305000000000000f2230000070500007c007c"

each_tool("arm64 relocations come out as a linker makes them", "arm64",
          function(assemble)
    local img = assemble(A64)
    local placed = img:at(A64_AT)
    t.eq(hex(placed.segments[1].data), A64_CODE)
    t.eq({ placed.segments[1].at, placed.segments[2].at, placed.symbols.far },
         { A64_AT, 0x12345700, 0x12345c00 })
    t.eq(placed.segments[2].data:sub(0x501), ("<i8"):pack(0x12345c00))
    t.eq(hex(assemble(A64, { at = A64_AT }).segments[1].data), A64_CODE)
    t.eq(hex(img:at(0x40000000):at(A64_AT).segments[1].data), A64_CODE)
end)

each_tool("x86_64 relocations come out as a linker makes them", "x86_64",
          function(assemble)
    local placed = assemble(X86):at(X86_AT)
    t.eq(hex(placed.segments[1].data), X86_CODE)
    t.eq(placed.symbols.far, 0x23f2)
    t.eq(placed.segments[2].data:sub(0x501), ("<i8"):pack(0x23f2))
end)

each_tool("labels are right wherever the image is loaded", "arm64",
          function(assemble)
    local img = assemble [[
        ldr x0, =text
        adr x1, text
        hvc #0
text:   .asciz "hello"
]]
    for _, at in ipairs { 0, 0x10000, 0x80000000, 1 << 40 } do
        local placed = img:at(at)
        local bytes = placed.bytes
        t.eq(placed.symbols.text, at + 12)
        t.ok(bytes:find(("<i8"):pack(at + 12), 1, true), "literal pool")
        t.eq(bytes:sub(13, 18), "hello\0")
        t.eq({ placed.entry, placed.base, placed.arch }, { at, at, "arm64" })
    end
    t.ok(image.is(img))
    t.eq(img.symbols.text, 12, "without an address: from 0")
end)

each_tool("sections in order, padded, zero-filled, commons behind", "arm64",
          function(assemble)
    local img = assemble([[
        .section .rodata
ro:     .byte 1
        .bss
        .balign 32
zero:   .skip 100
        .data
        .balign 8
rw:     .quad ro
        .comm shared, 16, 64
        .section .late, "ax"
late:   nop
        .text
        nop
_start: b late
        .section .notes, "a", %note
        .quad 1
        .section .comment2
        .quad 2
]], { at = 0x1000 })
    local at, prot = {}, {}
    for i, s in ipairs(img.segments) do
        at[i], prot[i] = s.at, s.prot
    end
    t.eq(prot, { "rx", "rx", "r", "rw", "rw", "rw" })
    t.eq(at, { 0x1000, 0x1008, 0x100c, 0x1010, 0x1020, 0x10c0 })
    t.eq(img.symbols, {
        _start = 0x1004, late = 0x1008, ro = 0x100c, rw = 0x1010,
        zero = 0x1020, shared = 0x10c0,
    })
    t.eq({ img.entry, #img }, { 0x1004, 0xd0 })
    t.eq({ #img.segments[5].data, img.segments[5].size }, { 0, 100 })
    t.eq(img.bytes, ("<I4I4I4"):pack(0xd503201f, 0x14000001, 0xd503201f)
         .. "\1\0\0\0" .. ("<i8"):pack(0x100c) .. ("\0"):rep(0xb8))
end)

each_tool("no code at all is an empty image", "arm64", function(assemble)
    local img = assemble ""
    t.eq({ #img, img.bytes, img.segments, img:at(64).entry }, { 0, "", {}, 64 })
end)

each_tool("16, 32 and 64 bits, AT&T and Intel syntax", "x86_64",
          function(assemble)
    local function bytes(text, bits, syntax)
        return hex(assemble(text, { bits = bits, syntax = syntax }).bytes)
    end
    t.eq(bytes("mov $1, %ax", 16), "b80100")
    t.eq(bytes("mov $1, %eax", 16), "66b801000000")
    t.eq(bytes("mov $1, %eax", 32), "b801000000")
    t.eq(bytes("mov $1, %rax", 64), "48c7c001000000")
    t.eq(bytes("mov rax, [rbx + 8]", nil, "intel"), "488b4308")
    t.eq(bytes("mov ax, 1\nout 0x10, al", 16, "intel"), "b80100e610")
    t.eq(assemble("hlt", { bits = 16 }).bits, 16)
    local sector = assemble("jmp there\n.skip 100\nthere: mov $there, %si",
                            { bits = 16 }):at(0x7c00)
    t.eq(sector.bytes:sub(-3), "\xbe" .. ("<I2"):pack(sector.symbols.there))
    t.eq(assemble("nop"):at(0x7c01).base, 0x7c01, "x86 may be at odd places")
end)

t.test("the C preprocessor", function()
    if not TOOLS.clang.arm64 then
        t.skip "no clang for arm64"
    end
    t.eq(hex(asm("#define N 7\nmov x0, #N // seven", { cpp = true }).bytes),
         "e00080d2")
    t.raises(function() asm('nop\n#include "hvlua-none.h"', { cpp = true }) end,
             "line 2 of the assembly: assembler: 'hvlua%-none.h' file not found")
    if TOOLS.gnu.arm64 then
        t.raises(function()
            only(TOOLS.gnu, function() asm("nop // cpp", { cpp = true }) end)
        end, "has no preprocessor: opts.cpp needs clang")
    end
end)

-- ---- addresses that will not do ----------------------------------------

each_tool("what is out of reach names symbol, place and line", "arm64",
          function(assemble)
    local img = assemble([[
        nop
        adrp x0, 0
        movz x0, #:abs_g0:data
        .data
data:   .quad 0
]], { name = "reach.S" })
    t.eq(img:at(0x100).symbols.data, 0x10c)
    t.raises(function() img:at(0x10000) end,
             'reach.S:3: asm: "data" is 0x1000c, which does not fit in 16 bits '
             .. "of R_AARCH64_MOVW_UABS_G0 at 0x10008")
    local far = assemble([[
        bl   far
        .set far, 0x40000000
        .globl far
]], { name = "far.S" })
    t.ok(far:at(0x40001000))
    -- clang forgets the name of what is no place
    t.raises(function() far:at(0x1000) end,
             'is 0x3ffff000 bytes away, out of reach of R_AARCH64_CALL26')
    local odd = assemble([[
        ldr x0, [x0, :lo12:odd]
        .data
        .byte 0
odd:    .quad 0
]], { name = "odd.S" })
    t.raises(function() odd:at(0) end, 'odd.S:1: asm: "odd" is at 0x5, not on '
             .. "a multiple of 8")
end)

each_tool("x86 values that do not fit", "x86_64", function(assemble)
    local img = assemble([[
        mov $label, %eax
        .byte 0
label:
]], { name = "wide.S" })
    t.ok(img:at(0xfffffff0))
    t.raises(function() img:at(0x100000000) end,
             'wide.S:1: asm: "label" is 0x100000006, which does not fit in 32')
end)

each_tool("alignment and the end of memory", "arm64", function(assemble)
    local img = assemble("vectors: .balign 2048\nnop", { name = "vec.S" })
    t.raises(function() img:at(0x10400) end, "vec.S: asm: cannot be at 0x10400:"
             .. " it needs an address that is a multiple of 2048")
    t.raises(function() assemble("nop"):at(math.maxinteger - 3) end,
             "do not fit below 2%^63")
    t.raises(function() assemble("nop", { at = 2 }) end,
             "asm: cannot be at 0x2: it needs an address that is a multiple")
end)

-- ---- errors at the right line ------------------------------------------

local function here()
    return debug.getinfo(2, "l").currentline
end

local function at_line(line, words)
    return ("^[^\n]*asm%%.lua:%d: %s"):format(line, words)
end

t.test("an error is at its line of the script", function()
    need "arm64"
    local line = here()
    t.raises(function()
        asm [[
            nop
            moov x0, #1
        ]]
    end, at_line(line + 4, 'assembler: [^\n]*mnemonic[^\n]* "moov x0, #1"$'))
    t.raises(function() asm [[moov x0, #2]] end,
             at_line(line + 7, "assembler: "))
    t.raises(function()
        local code =
            asm
            [==[

            // the first line of the text is two lines above
            moov x0, #3 ]==]
        return code
    end, at_line(line + 15, "assembler: "))
    local text = [[
        nop
        moov x0, #4
    ]]
    t.raises(function() asm(text) end, at_line(line + 20, "assembler: "))
    t.raises(function() asm "moov x0, #5" end,
             at_line(line + 23, "assembler: "))
    t.raises(function() asm 'moov x0, #5' end,
             at_line(line + 25, "assembler: "))
end)

t.test("of texts that are alike, the one of the call", function()
    need "arm64"
    local line = here()
    local first = function() asm "moov x1, #1" end
    local second = function() asm "moov x1, #1" end
    t.raises(first, at_line(line + 1, "assembler: "))
    t.raises(second, at_line(line + 2, "assembler: "))
end)

t.test("a text that is not in the source counts its own lines", function()
    need "arm64"
    local line = here()
    t.raises(function() asm(("nop\n"):rep(2) .. "moov x0, #6") end,
             at_line(line + 1, "line 3 of the assembly: assembler: "))
    t.raises(function() asm("nop\nmoov x0, #7") end,
             at_line(line + 3, "line 2 of the assembly: assembler: "))
    t.raises(function() asm("nop\nmoov x0, #7", { name = "boot.S" }) end,
             "^boot.S:2: assembler: ")
    local chunk = load("require 'hv.asm' [[\nnop\nmoov x0, #8]]", "=stdin")
    t.raises(chunk, "^stdin:1: line 2 of the assembly: assembler: ")
    chunk = load("\nrequire 'hv.asm' [[\nnop\nmoov x0, #9]]")
    t.raises(chunk, '^%[string "..."%]:4: assembler: ')
end)

t.test("a source with CRLF line ends", function()
    need "arm64"
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write("local asm = require 'hv.asm'\r\nasm [[\r\nnop\r\n",
               "moov x0, #10\r\n]]\r\n")
    file:close()
    local chunk = loadfile(path)
    t.raises(chunk, ":4: assembler: ")
    os.remove(path)
end)

each_tool("all errors are listed, macros where they are used", "arm64",
          function(assemble, which)
    local ok, message = pcall(assemble, [[
        .macro twice reg
        bork \reg
        .endm
        moov x0, #1
        nop
        twice x1
        add x0, x1, #99999
]], { name = "all.S" })
    t.eq(ok, false)
    local lines = {}
    for line in message:gmatch "all.S:(%d+): assembler: " do
        lines[#lines + 1] = tonumber(line)
    end
    table.sort(lines)
    -- GNU as names the line of the macro that is wrong
    t.eq(lines, which == "clang" and { 4, 6, 7 } or { 2, 4, 7 })
    ok, message = pcall(assemble, ("moov x0\n"):rep(30), { name = "many.S" })
    t.eq(ok, false)
    t.eq(select(2, message:gsub("many.S:%d+:", "")), 20)
    t.ok(message:find "\nand 10 more errors$", message)
end)

each_tool("the options' own lines are not counted", "x86_64",
          function(assemble)
    t.raises(function()
        assemble("nop\nmoov eax, 1", {
            bits = 32, syntax = "intel", name = "two.S",
        })
    end, "two.S:2: assembler: ")
end)

each_tool("an undefined symbol is at the line that names it", "arm64",
          function(assemble)
    t.raises(function()
        assemble("start: nop\nb stars\nb star\n", { name = "sym.S" })
    end, 'sym.S:[23]: asm: undefined symbol "stars?"')
    t.raises(function()
        assemble("nop\nadrp x0, :got:thing\nthing: nop", { name = "got.S" })
    end, 'got.S:2: asm: relocation type %d+ for "thing" is not supported')
    t.raises(function()
        assemble(".section .tdata, \"awT\"\n.quad 0", { name = "tls.S" })
    end, "tls.S: asm: .tdata: thread%-local storage is not supported")
end)

t.test("mistakes raise at the caller's line", function()
    local function bad(pattern, text, opts)
        t.raises(function() asm(text, opts) end, "asm.lua:%d+: " .. pattern)
    end
    bad("asm: a string of assembly expected, not a nil", nil)
    bad('asm: unknown option "arhc": did you mean "arch"', "", { arhc = 1 })
    bad('asm: arch: "arm": use "arm64" or "x86_64"', "", { arch = "arm" })
    bad("asm: bits: only for x86_64, not arm64", "", { bits = 64 })
    bad("asm: syntax: only for x86_64", "", { syntax = "att" })
    bad("asm: bits: 8: use 16, 32 or 64", "", { arch = "x86_64", bits = 8 })
    bad('asm: syntax: "nasm": use', "", { arch = "x86_64", syntax = "nasm" })
    bad('asm: at: "1Q": unknown unit', "", { at = "1Q" })
    bad("asm: options must be a table", "", "arm64")
    local function wrapper()
        asm("", { at = -1 }, 2)
    end
    local line = here() + 1
    t.raises(function() wrapper() end, at_line(line, "asm: at: %-1: must not"))
end)

-- ---- programs ----------------------------------------------------------

t.test("each text is assembled once", function()
    need "arm64"
    local runs = 0
    with_pipe(function(real, ...)
        runs = runs + 1
        return real(...)
    end, function()
        local text = "mov x9, #0x77 // once"
        local first = asm(text)
        local before = runs
        t.ok(before > 0, "assembled")
        local second = asm(text, { at = 0x1000, arch = "arm64" })
        t.eq(runs, before)
        t.eq({ first.entry, second.entry }, { 0, 0x1000 })
        first.segments[1].data = "spoilt"
        t.eq(#asm(text).segments[1].data, 4)
        asm(text .. " more")
        t.ok(runs > before, "another text")
    end)
end)

t.test("no assembler at all", function()
    with_pipe(function(_, argv)
        return nil, argv[1] .. ": not found"
    end, function()
        local line = here()
        t.raises(function() asm "nop // nobody assembles this" end,
                 at_line(line + 1, "asm: no assembler for arm64: install "
                         .. "clang, or set HVLUA_AS %(.*: not found"))
    end)
end)

t.test("what the programs are given, and no shell", function()
    local hostile = "$(echo no); `echo no` & exit // none"
    local seen = {}
    pcall(with_pipe, function(_, argv, input)
        table.insert(seen, { argv, input })
        return nil, "not found"
    end, function() asm(hostile, { arch = "x86_64" }) end)
    t.ok(#seen >= 1)
    for _, call in ipairs(seen) do
        for _, argument in ipairs(call[1]) do
            t.ok(not argument:find("echo", 1, true), argument)
        end
    end
    t.eq(seen[1][2], hostile .. "\n")
    t.eq(seen[1][1][1], os.getenv "HVLUA_AS" or "clang")
end)

t.test("a program that fails without a word we know", function()
    with_pipe(function()
        return 1, "", "collapsed\nat once\n"
    end, function()
        t.raises(function() asm "nop // collapse" end,
                 "assembler: failed: collapsed\nat once")
    end)
    with_pipe(function()
        return 0, "not an object", ""
    end, function()
        if not os.getenv "HVLUA_AS" then
            t.raises(function() asm "nop // junk" end, "asm: not an ELF file")
        end
    end)
end)

-- What a broken assembler may hand over: an object with anything in it.
t.test("5000 mutated objects give an image or a clean error", function()
    if not TOOLS.clang.arm64 or not TOOLS.clang.x86_64 then
        t.skip "no clang for both architectures"
    end
    local seeds = {}
    only(TOOLS.clang, function()
        with_pipe(function(real, ...)
            local status, out, err = real(...)
            seeds[#seeds + 1] = out
            return status, out, err
        end, function()
            asm(A64 .. "// seed")
            asm(X86 .. "# seed", { arch = "x86_64" })
        end)
    end)
    t.eq(#seeds, 2)
    math.randomseed(5)
    local good, bad = 0, 0
    for i = 1, t.fewer(5000) do
        local which = i % 2 + 1
        local bytes = seeds[which]
        for _ = 1, math.random(4) do
            local place = math.random(3) == 1 and math.random(64)
                or math.random(#bytes)
            local new = math.random(2) == 1 and string.char(math.random(0, 255))
                or ("<i8"):pack(math.random(0) >> math.random(0, 63))
            bytes = bytes:sub(1, place - 1) .. new .. bytes:sub(place + #new)
        end
        local at = math.random(0, 1 << 16) << 8
        local ok, result = pcall(with_pipe, function()
            return 0, bytes, ""
        end, function()
            local img = asm("nop // mutant " .. i, {
                arch = which == 1 and "arm64" or "x86_64", name = "mutant",
            })
            local placed = img:at(at)
            return placed
        end)
        if ok then
            good = good + 1
            t.ok(#result <= 1 << 30)
        else
            bad = bad + 1
            t.ok(result:find "^mutant:%d*:? ?asm: ", result)
        end
    end
    t.ok(good > 100 and bad > 100, ("%d good, %d bad"):format(good, bad))
end)
