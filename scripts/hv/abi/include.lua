-- SPDX-License-Identifier: MIT
--- An ABI as an include file for GNU as and clang: numbers, constants, sizes and
-- offsets, and a macro for each call, for arm64 and x86_64.
--
-- include(abi [, conduit]) --> text        conduit: see prototype.conduit()
--
-- One text serves both architectures, and on x86_64 both syntaxes: it finds out by the
-- size of a nop which of them it is assembled for, and has x86_64's few instructions as
-- bytes.

local prototype = require "hv.abi.prototype"

local HEAD = [[
/* $name.inc - the calls of the ABI $name, version $version, for guests in assembly.
 * Made by `hvlua abi`: change the declaration, not this.
 *
 * A macro $name_CALL loads the number and calls the host. Its words are in registers
 * before: x1 to x8 on arm64, rdi rsi rdx rcx r8 r9 r10 r11 on x86_64. Behind it the
 * result is in x0 or rax, and the error's number in x1 or rdx, 0 for none. */
]]

local BASE = [=[
        .ifndef HV_ABI_BASE
        .equ HV_ABI_BASE, 1

        .pushsection .hv_abi, ""
771:    nop
772:
        .if 772b - 771b == 4
        .equ HV_ARM64, 1
        .else
        .equ HV_ARM64, 0
        .endif
        .popsection

        .equ HV_CONDUIT_HVC, 1
        .equ HV_CONDUIT_SMC, 2
        .equ HV_CONDUIT_PORT, 3
        .equ HV_CONDUIT_MMIO, 4
$default        .ifndef HV_CONDUIT
        .if HV_ARM64
        .equ HV_CONDUIT, HV_CONDUIT_HVC
        .else
        .equ HV_CONDUIT, HV_CONDUIT_PORT
        .endif
        .endif
        .ifndef HV_PORT
        .equ HV_PORT, 0xe8
        .endif

/* The call \nr. By HV_CONDUIT_MMIO it changes x9. */
        .macro hv_call nr
        .if HV_ARM64
        movz w0, #((\nr) & 0xffff)
        movk w0, #((\nr) >> 16 & 0xffff), lsl #16
        .if HV_CONDUIT == HV_CONDUIT_HVC
        hvc #0
        .elseif HV_CONDUIT == HV_CONDUIT_SMC
        smc #0
        .elseif HV_CONDUIT == HV_CONDUIT_MMIO
        hv_load x9, HV_DOORBELL
        str w0, [x9]
        .else
        .error "HV_CONDUIT: arm64 has hvc, smc and mmio"
        .endif
        .else
        .byte 0xb8 /* mov nr, eax */
        .long \nr
        .if HV_CONDUIT == HV_CONDUIT_PORT
        .byte 0xe6, HV_PORT /* out al, port */
        .elseif HV_CONDUIT == HV_CONDUIT_MMIO
        .byte 0xa3 /* mov eax, doorbell */
        .quad HV_DOORBELL
        .else
        .error "HV_CONDUIT: x86_64 has port and mmio"
        .endif
        .endif
        .endm

/* Any 64 bits into a register of arm64. */
        .macro hv_load register, value
        movz \register, #((\value) & 0xffff)
        movk \register, #((\value) >> 16 & 0xffff), lsl #16
        movk \register, #((\value) >> 32 & 0xffff), lsl #32
        movk \register, #((\value) >> 48 & 0xffff), lsl #48
        .endm

        .endif
]=]

local CHECKER = [=[

/* Is the host's ABI this one? Room for the host's reason in words is at x4 or rcx, x5
 * or r8 bytes of it. */
        .macro $name_abi_check
        .if HV_ARM64
        b .Lhv_code\@
.Lhv_name\@:
        .asciz "$name"
        .balign 4
.Lhv_code\@:
        adr x1, .Lhv_name\@
        hv_load x2, $upper_VERSION
        hv_load x3, $upper_LAYOUT
        .else
        .byte 0x48, 0x8d, 0x3d /* lea name(%rip), rdi */
        .long .Lhv_name\@ - .Lhv_code\@
.Lhv_code\@:
        .byte 0xbe /* mov version, esi */
        .long $upper_VERSION
        .byte 0x48, 0xba /* mov layout, rdx */
        .quad $upper_LAYOUT
        .byte 0xeb, .Lhv_call\@ - .Lhv_name\@ /* jmp */
.Lhv_name\@:
        .asciz "$name"
.Lhv_call\@:
        .endif
        hv_call $check
        .endm
]=]

-- ---- this ABI's own ------------------------------------------------------------------

local function equ(page, name, value, what)
    page:add("        .equ %s, %s", page:claim(name, what), value)
end

local function add_type(page, ty)
    local prefix = page.abi.name
    local what = ("%s %s"):format(ty.kind, ty.name)
    page:add("\n/* %s */", what)
    if ty.kind ~= "struct" then
        for _, name in ipairs(ty.names) do
            local value = ty.values[name]
            equ(page, prototype.macro(prefix, ty.name, name),
                     (value < 0 and "0x%x" or "%d"):format(value), what .. ": " .. name)
        end
        return
    end
    equ(page, prototype.macro(prefix, ty.name, "sizeof"), ty.size, what)
    for _, m in ipairs(ty.members) do
        equ(page, prototype.macro(prefix, ty.name, "offset", m.name), m.offset,
                 what .. ": " .. m.name)
    end
end

local function default_of(conduit)
    if not conduit then
        return ""
    end
    local lines = { "        .ifndef HV_CONDUIT",
                    "        .equ HV_CONDUIT, HV_CONDUIT_" .. conduit.kind:upper() }
    if conduit.at then
        lines[3] = ("        .equ %s, 0x%x"):format(
            conduit.kind == "port" and "HV_PORT" or "HV_DOORBELL", conduit.at)
    end
    return table.concat(lines, "\n") .. "\n        .endif\n"
end

return function(abi, conduit)
    local page = prototype.page(abi)
    local upper = abi.name:upper()
    local function fill(template)
        return prototype.fill(template, {
            name = abi.name, version = tostring(abi.version), upper = upper,
            default = default_of(conduit), check = ("0x%x"):format(prototype.check),
        })
    end
    page:add("%s", fill(HEAD) .. fill(BASE))
    page:add("        .ifndef HV_ABI_OF_%s\n        .equ HV_ABI_OF_%s, 1\n", upper, upper)
    equ(page, upper .. "_VERSION", abi.version, "the version")
    equ(page, upper .. "_LAYOUT", ("0x%016x"):format(abi.hash), "the layout's hash")
    page:add ""
    for _, call in ipairs(abi.calls) do
        equ(page, prototype.macro(abi.name, "call", call.name), call.nr,
                 "the number of " .. call.name)
    end
    for _, ty in ipairs(abi.order) do
        add_type(page, ty)
    end
    for _, call in ipairs(abi.calls) do
        page:add("\n/* %s */", prototype.signature(call))
        local name = ("%s_%s"):format(abi.name, call.name)
        page:claim(name:lower(), "call " .. call.name) -- macros are not told apart by case
        page:add("        .macro %s", name)
        page:add("        hv_call %s\n        .endm",
                 prototype.macro(abi.name, "call", call.name))
    end
    page:claim(abi.name:lower() .. "_abi_check", "the check of versions")
    page:add("%s", fill(CHECKER))
    page:add "        .endif"
    return page:text()
end
