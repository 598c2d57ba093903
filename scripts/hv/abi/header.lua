-- SPDX-License-Identifier: MIT
--- An ABI as a C header: numbers, constants, structs, and a stub for each call. It
-- needs no other header, and is C89, C11 and C++ for gcc and clang, arm64 and x86_64.
--
-- header(abi [, conduit]) --> text        conduit: see prototype.conduit()
--
-- What all such headers share is in each of them, between guards of its own: they go
-- into one program in any order.

local prototype = require "hv.abi.prototype"

local fill = prototype.fill

-- ---- what all headers share ----------------------------------------------------

local BASE = [=[
#ifndef HV_ABI_BASE
#define HV_ABI_BASE

typedef unsigned char hv_u8;
typedef unsigned short hv_u16;
typedef unsigned int hv_u32;
typedef unsigned long hv_u64;
typedef signed char hv_i8;
typedef short hv_i16;
typedef int hv_i32;
typedef long hv_i64;
typedef unsigned char hv_bool;

/* Where there are no registers for them, floats are passed and kept as their bits. */
#if defined(__ARM_FP) || defined(__SSE2__)
#define HV_ABI_FLOATS 1
typedef float hv_f32;
typedef double hv_f64;
#else
#define HV_ABI_FLOATS 0
typedef hv_u32 hv_f32;
typedef hv_u64 hv_f64;
#endif

#define HV_ABI_FUNCTION static __inline__ __attribute__((__unused__))
#define HV_ABI_ASSERT(name, what) \
    typedef char name[(what) ? 1 : -1] __attribute__((__unused__))

HV_ABI_ASSERT(hv_u64_has_8_bytes, sizeof(hv_u64) == 8 && sizeof(void *) == 8);

/* How a call gets to the host: an instruction, or a store of the call's number. */
#define HV_CONDUIT_HVC 1
#define HV_CONDUIT_SMC 2
#define HV_CONDUIT_PORT 3
#define HV_CONDUIT_MMIO 4

$default#ifndef HV_CONDUIT
#if defined(__aarch64__)
#define HV_CONDUIT HV_CONDUIT_HVC
#else
#define HV_CONDUIT HV_CONDUIT_PORT
#endif
#endif
#ifndef HV_PORT
#define HV_PORT 0xe8
#endif

#if HV_CONDUIT == HV_CONDUIT_MMIO && !defined(HV_DOORBELL)
#error "HV_CONDUIT_MMIO: define HV_DOORBELL, the address that calls are written to"
#endif
#if defined(__aarch64__)
#if HV_CONDUIT == HV_CONDUIT_HVC
#define HV_CALL "hvc %[hv_at]"
#define HV_CALL_AT [hv_at] "i"(0)
#elif HV_CONDUIT == HV_CONDUIT_SMC
#define HV_CALL "smc %[hv_at]"
#define HV_CALL_AT [hv_at] "i"(0)
#elif HV_CONDUIT == HV_CONDUIT_MMIO
#define HV_CALL "str w0, [%[hv_at]]"
#define HV_CALL_AT [hv_at] "r"((hv_u64)(HV_DOORBELL))
#else
#error "HV_CONDUIT: arm64 has hvc, smc and mmio"
#endif
#elif defined(__x86_64__)
#if HV_CONDUIT == HV_CONDUIT_PORT
#if HV_PORT > 0xff
#error "HV_PORT: 1 to 0xff: all registers that could have more are a call's own"
#endif
#define HV_CALL "outb %%al, %[hv_at]"
#define HV_CALL_AT [hv_at] "N"(HV_PORT)
#elif HV_CONDUIT == HV_CONDUIT_MMIO
#define HV_CALL "movl %%eax, (%[hv_at])"
#define HV_CALL_AT [hv_at] "r"((hv_u64)(HV_DOORBELL))
#else
#error "HV_CONDUIT: x86_64 has port and mmio"
#endif
#else
#error "hvlua's guests are arm64 or x86_64"
#endif

struct hv_result {
    hv_u64 value, error;
};

#endif
]=]

-- ---- calls with n words ------------------------------------------------------------

local X86_INPUT = { [1] = "D", [2] = "S", [4] = "c" } -- rdx, the third, is a result too
local X86_REGISTER = { [5] = "r8", [6] = "r9", [7] = "r10", [8] = "r11" }

local function arm64_body(n)
    local lines = { '    register hv_u64 x0 __asm__("x0") = nr;',
                    ('    register hv_u64 x1 __asm__("x1")%s;'):format(n > 0 and " = w1" or "") }
    local inputs = { "HV_CALL_AT" }
    for i = 2, n do
        lines[#lines + 1] = ('    register hv_u64 x%d __asm__("x%d") = w%d;'):format(i, i, i)
        inputs[#inputs + 1] = ('"r"(x%d)'):format(i)
    end
    lines[#lines + 1] = ([[

    __asm__ __volatile__(HV_CALL
                         : "+r"(x0), "%sr"(x1)
                         : %s
                         : "memory");
    hv_r.value = x0;
    hv_r.error = x1;]]):format(n > 0 and "+" or "=", table.concat(inputs, ", "))
    return table.concat(lines, "\n")
end

local function x86_body(n)
    local lines = { ("    hv_u64 rdx%s;"):format(n >= 3 and " = w3" or "") }
    local inputs = { "HV_CALL_AT" }
    for i = 1, n do
        local register = X86_REGISTER[i]
        if register then
            lines[#lines + 1] = ('    register hv_u64 %s __asm__("%s") = w%d;'):format(
                register, register, i)
            inputs[#inputs + 1] = ('"r"(%s)'):format(register)
        elseif X86_INPUT[i] then
            inputs[#inputs + 1] = ('"%s"(w%d)'):format(X86_INPUT[i], i)
        end
    end
    lines[#lines + 1] = ([[

    __asm__ __volatile__(HV_CALL
                         : "+a"(nr), "%sd"(rdx)
                         : %s
                         : "memory");
    hv_r.value = nr;
    hv_r.error = rdx;]]):format(n >= 3 and "+" or "=", table.concat(inputs, ", "))
    return table.concat(lines, "\n")
end

local CALLER = [[
#ifndef HV_ABI_CALL$n
#define HV_ABI_CALL$n
HV_ABI_FUNCTION struct hv_result hv_call$n($parameters)
{
    struct hv_result hv_r;
#if defined(__aarch64__)
$arm64
#else
$x86
#endif
    return hv_r;
}
#endif
]]

local function caller(n)
    local parameters = { "hv_u64 nr" }
    for i = 1, n do
        parameters[i + 1] = "hv_u64 w" .. i
    end
    return fill(CALLER, { n = tostring(n), parameters = table.concat(parameters, ", "),
                          arm64 = arm64_body(n), x86 = x86_body(n) })
end

local FLOAT = [[
#ifndef HV_ABI_F$bits
#define HV_ABI_F$bits
union hv_f$bits_words {
    hv_f$bits value;
    hv_u$bits bits;
};
HV_ABI_FUNCTION hv_u64 hv_f$bits_bits(hv_f$bits value)
{
    union hv_f$bits_words hv_f;

    hv_f.value = value;
    return hv_f.bits;
}
HV_ABI_FUNCTION hv_f$bits hv_f$bits_of(hv_u64 bits)
{
    union hv_f$bits_words hv_f;

    hv_f.bits = (hv_u$bits)bits;
    return hv_f.value;
}
#endif
]]

-- ---- this ABI's own ------------------------------------------------------------------

local function define(page, name, value, what)
    page:add("#define %s %s", page:claim(name, what), value)
end

-- Under a name that no other assertion of any header has.
local function assert_that(page, condition, ...)
    page.asserted = (page.asserted or 0) + 1
    page:add("HV_ABI_ASSERT(hv_%s_%d, %s);", page.abi.name, page.asserted,
             condition:format(...))
end

local function add_constants(page, ty)
    local abi = page.abi
    local what = ("%s %s"):format(ty.kind, ty.name)
    page:add("\n/* %s */", what)
    page:add("typedef hv_%s %s;", ty.base.name, page:claim(prototype.type(abi, ty), what))
    for _, name in ipairs(ty.names) do
        define(page, prototype.macro(abi.name, ty.name, name),
                    prototype.integer(ty.values[name], ty.base), what .. ": " .. name)
    end
end

local function add_struct(page, ty)
    local abi = page.abi
    local c_type = prototype.type(abi, ty)
    local open = ty.open and "__extension__ " or "" -- C89 knows no open arrays
    page:add("\n/* %d bytes%s */\n%s%s {", ty.size, ty.open and ", and what is behind" or "",
             open, page:claim(c_type, "struct " .. ty.name))
    for _, m in ipairs(ty.members) do
        local member = prototype.declare(prototype.type(abi, m.type), m.name, m.count)
        page:add("    %s%s; /* %d */", member, m.open and "[]" or "", m.offset)
    end
    page:add "};"
    assert_that(page, "sizeof(%s) == %d", c_type, ty.size)
    for _, m in ipairs(ty.members) do
        assert_that(page, "__builtin_offsetof(%s, %s) == %d", c_type, m.name, m.offset)
    end
end

local WORDS = 8

-- The words of a call; what is beyond the eighth goes into memory.
local function pass(page, words)
    local passed = { table.unpack(words, 1, #words > WORDS and WORDS - 1 or #words) }
    if #words > WORDS then
        for i = WORDS, #words do
            page:add("    hv_rest[%d] = %s;", i - WORDS, words[i])
        end
        passed[WORDS] = "(hv_u64)hv_rest"
    end
    return passed
end

local function add_stub(page, call)
    local abi, c = page.abi, prototype.call(page.abi, call)
    local spilled = #c.words > WORDS and #c.words - WORDS + 1
    page:claim(("%s_%s"):format(abi.name, call.name), "call " .. call.name)
    page:add("\n/* %d: %s */", call.nr, prototype.signature(call))
    page:add("HV_ABI_FUNCTION %s\n{", c.text)
    if c.error then
        page:add "    struct hv_result hv_r;"
    end
    if spilled then
        page:add("    hv_u64 hv_rest[%d];", spilled)
    end
    if c.error or spilled then
        page:add ""
    end
    local passed = pass(page, c.words)
    table.insert(passed, 1, prototype.macro(abi.name, "call", call.name))
    local made = ("hv_call%d(%s)"):format(#passed - 1, table.concat(passed, ", "))
    if not c.error then
        page:add("    return (%s)%s.value;\n}", c.result, made)
        return
    end
    local float = call.returns.kind == "float"
    page:add("    hv_r = %s;", made)
    page:add("    if (hv_error)\n        *hv_error = (int)hv_r.error;")
    page:add("    return hv_r.error ? 0 : %s;\n}", float
        and ("hv_%s_of(hv_r.value)"):format(call.returns.name)
        or ("(%s)hv_r.value"):format(c.result))
end

local CHECKER = [[

/* Is the host's ABI this one? 0, or -errno, and the host's reason in words. */
HV_ABI_FUNCTION int $name_abi_check(char *message, unsigned long size)
{
    return (int)hv_call5($check, (hv_u64)"$name", $version,
                         $layout, (hv_u64)message, size).value;
}
]]

-- ---- all of it -----------------------------------------------------------------------

local HEAD = [[
/* $name.h - the calls of the ABI $name, version $version, for guests in C.
 * Made by `hvlua abi`: change the declaration, not this.
 *
 * A stub gives 0 or -errno; the value or -errno, where the call returns a signed
 * integer; else the value, or 0 and the error's number in *hv_error, which may be 0. */
]]

local function default_of(conduit)
    if not conduit then
        return ""
    end
    local lines = { "#ifndef HV_CONDUIT",
                    "#define HV_CONDUIT HV_CONDUIT_" .. conduit.kind:upper() }
    if conduit.at then
        lines[3] = conduit.kind == "port" and ("#define HV_PORT 0x%x"):format(conduit.at)
            or ("#define HV_DOORBELL 0x%xul"):format(conduit.at)
    end
    return table.concat(lines, "\n") .. "\n#endif\n"
end

-- hv_call<n> for as many words as there are calls of, and what floats take.
local function add_callers(page)
    local counts, floats = { [5] = true }, {} -- 5: the check
    for _, call in ipairs(page.abi.calls) do
        counts[math.min(call.words, WORDS)] = true
        for _, p in ipairs(call.params) do
            floats[not p.direction and p.type.name or ""] = true
        end
        floats[call.returns and call.returns.name or ""] = true
    end
    for n = 0, WORDS do
        if counts[n] then
            page:add("%s", caller(n))
        end
    end
    for _, bits in ipairs { "32", "64" } do
        if floats["f" .. bits] then
            page:add("%s", fill(FLOAT, { bits = bits }))
        end
    end
end

return function(abi, conduit)
    local page = prototype.page(abi)
    local upper = abi.name:upper()
    local values = {
        name = abi.name, version = tostring(abi.version), default = default_of(conduit),
        check = ("0x%x"):format(prototype.check), layout = upper .. "_LAYOUT",
    }
    page:add("%s#ifndef HV_ABI_OF_%s\n#define HV_ABI_OF_%s\n", fill(HEAD, values), upper, upper)
    page:add("%s", fill(BASE, values))
    add_callers(page)
    define(page, upper .. "_VERSION", ("%du"):format(abi.version), "the version")
    define(page, upper .. "_LAYOUT", ("0x%016xul"):format(abi.hash), "the layout's hash")
    page:add ""
    for _, call in ipairs(abi.calls) do
        define(page, prototype.macro(abi.name, "call", call.name), ("0x%xu"):format(call.nr),
                    "the number of " .. call.name)
    end
    for _, ty in ipairs(abi.order) do
        local add = ty.kind == "struct" and add_struct or add_constants
        add(page, ty)
    end
    for _, call in ipairs(abi.calls) do
        add_stub(page, call)
    end
    page:claim(abi.name .. "_abi_check", "the check of versions")
    values.version = upper .. "_VERSION"
    page:add("%s", fill(CHECKER, values))
    page:add "#endif"
    return page:text()
end
