-- SPDX-License-Identifier: MIT
-- Guests by what hv.abi's declaration generates: one in C passes every type in both
-- directions, one in assembly calls by the include file (scripts/hv/abi/header.lua,
-- include.lua).
local t = ...
local hv = require "hv"
local include = require "hv.abi.include"
local prototype = require "hv.abi.prototype"
local fields = dofile(t.folder .. "/tests/abi/lab.lua")
local compilers = assert(loadfile(t.folder .. "/tests/abi/compilers.lua"))(t)
local need = compilers.need

-- What the handlers get is compared here, what they return by the guest.
local function handlers(seen)
    local shape = {
        n = 255, at = { x = -32768, y = 1.5, color = "dark" },
        all = { { x = 1, y = -0.25, color = "red" }, { x = 2, y = 0.0, color = "green" } },
        name = "abcde", perm = { r = true, high = true }, b = true, p = 4096, e = 22, d = -2.5,
    }
    return {
        none = function() seen.none = true end,
        positives = function(a, b, c, d)
            t.eq({ a, b, c, d }, { 255, 65535, 0xffffffff, -1 })
            return -2
        end,
        negatives = function(a, b, c, d)
            t.eq({ a, b, c, d }, { -128, -32768, -0x80000000, math.mininteger })
            return math.maxinteger
        end,
        small = function(a) return a end,
        byte = function(a) return 255 - a end,
        negate = function(a) return not a end,
        half = function(a) return a / 2 end,
        twice = function(a) return a * 2 end,
        next = function(a) return a + 8 end,
        mix = function(color, perm)
            t.eq({ color, perm }, { "green", { r = true, high = true } })
            return "dark"
        end,
        most = function(perm)
            t.eq(perm, { w = true })
            return { "high", "r" }
        end,
        length = function(text) return #text end,
        write = function(fd, data)
            t.eq({ fd, data }, { 7, "a\0b" })
            return #data
        end,
        read = function(room) return ("x"):rep(room - 2) end,
        upper = function(data, tail, size)
            t.eq({ tail, size }, { "xyz", 200 })
            return data:upper()
        end,
        turn = function(four)
            return { four[4], four[3], four[2], four[1] }
        end,
        sum = function(list)
            local total = 0
            for _, value in ipairs(list) do
                total = total + value
            end
            return total
        end,
        count = function(room)
            t.eq(room, 5)
            return { 1, 0xffffffff, 3 }, 3
        end,
        shape = function(a)
            t.eq(a, shape)
            a.name, a.n, a.b, a.e = "z", 0, false, -1
            a.all[1], a.all[2] = a.all[2], a.all[1]
            return a
        end,
        points = function(p, colors)
            t.eq({ p[1].x, p[2].color, colors }, { 10, "green", { "red", "dark", "green" } })
            p[1].x, p[2].y = -10, 8.0
            return p
        end,
        batch = function(a, room)
            t.eq({ a, room }, { { id = -1, n = 3, rest = { 9, 8, 7, 0, 0, 0 } }, 40 })
            return { id = 1, n = 2, rest = { 5, 6 } }
        end,
        many = function(a, b, c, d, e, f, h, i)
            t.eq({ a, b, c, d, e, f, h, i },
                 { 1, -2, "cc", 1 << 63, 0.5, true, -8, 9.25 })
            return 77, 1 << 40
        end,
        refuse = function(number)
            return nil, number == 0 and "ENOENT" or "EPERM"
        end,
        fail = function() return nil, "EIO" end,
        limit = function(big)
            t.eq(big, "least")
            return "most"
        end,
    }
end

local GUEST = [[
#include "lab.h"
#include "lab.h"

#if HV_ABI_FLOATS
#define F32(value, bits) value
#define F64(value, bits) value
#else
#define F32(value, bits) bits
#define F64(value, bits) bits
#endif
#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what))                                                           \
            return __LINE__;                                                   \
    } while (0)

static char message[200];
static struct lab_shape shape, back;
static struct lab_point points[2];
static hv_u64 batch_room[5], other_room[5];

static int same(const char *a, const char *b, unsigned long n)
{
    while (n--)
        if (*a++ != *b++)
            return 0;
    return 1;
}

static long scalars(void)
{
    int error = 99;

    CHECK(lab_none() == 0);
    CHECK(lab_positives(255, 65535, 4294967295u, ~0ul, &error) == ~0ul - 1);
    CHECK(error == 0);
    CHECK(lab_negatives(-128, -32768, -2147483647 - 1, -9223372036854775807l - 1) ==
          9223372036854775807l);
    CHECK(lab_small(-128) == -128 && lab_small(127) == 127);
    CHECK(lab_byte(0, 0) == 255 && lab_byte(255, 0) == 0);
    CHECK(lab_negate(1, 0) == 0 && lab_negate(0, 0) == 1);
    CHECK(lab_half(F32(-3.0f, 0xc0400000u), 0) == F32(-1.5f, 0xbfc00000u));
    CHECK(lab_twice(F64(-0.75, 0xbfe8000000000000ul), 0) ==
          F64(-1.5, 0xbff8000000000000ul));
    CHECK(lab_next(message, 0) == (void *)(message + 8));
    CHECK(lab_mix(LAB_COLOR_GREEN, LAB_PERM_R | LAB_PERM_HIGH, 0) == LAB_COLOR_DARK);
    CHECK(lab_limit(LAB_BIG_LEAST, 0) == LAB_BIG_MOST);
    CHECK(lab_most(LAB_PERM_W, 0) == (LAB_PERM_HIGH | LAB_PERM_R));
    return 0;
}

static long buffers(void)
{
    char data[8] = "abc", four_letters[5] = "wxyz";
    hv_u16 four[4] = {1, 2, 3, 65535};
    hv_i32 list[3] = {-2147483647 - 1, 1, 2147483647};
    hv_i64 total = 5;
    hv_u32 counted[5] = {0, 0, 0, 44, 0};

    CHECK(lab_length("", 0) == 0 && lab_length("four", 0) == 4);
    CHECK(lab_write(7, "a\0b", 3) == 3);
    CHECK(lab_read(data, 6) == 4 && same(data, "xxxx\0\0\0", 8));
    CHECK(lab_upper(four_letters, 2, "xyz", 200) == 0 && same(four_letters, "WXyz", 5));
    CHECK(lab_turn(four) == 0 && four[0] == 65535 && four[1] == 3 && four[3] == 1);
    CHECK(lab_sum(list, 3, &total) == 0 && total == 0);
    CHECK(lab_count(counted, 5, 0) == 3 && counted[1] == 4294967295u && counted[3] == 44);
    return 0;
}

static long structs(void)
{
    static const hv_u8 rest[6] = {9, 8, 7};
    lab_color_t colors[3] = {LAB_COLOR_RED, LAB_COLOR_DARK, LAB_COLOR_GREEN};
    struct lab_batch *batch = (struct lab_batch *)batch_room;
    struct lab_batch *other = (struct lab_batch *)other_room;
    int i;

    shape.n = 255;
    shape.at.x = -32768;
    shape.at.y = F32(1.5f, 0x3fc00000u);
    shape.at.color = LAB_COLOR_DARK;
    shape.all[0].x = 1;
    shape.all[0].y = F32(-0.25f, 0xbe800000u);
    shape.all[1].x = 2;
    shape.all[1].color = LAB_COLOR_GREEN;
    for (i = 0; i < 5; i++)
        shape.name[i] = (char)('a' + i);
    shape.perm = LAB_PERM_R | LAB_PERM_HIGH;
    shape.b = 1;
    shape.p = (void *)4096;
    shape.e = 22;
    shape.d = F64(-2.5, 0xc004000000000000ul);
    CHECK(lab_shape(&shape, &back) == 0);
    CHECK(back.n == 0 && back.at.x == -32768 && back.at.color == LAB_COLOR_DARK);
    CHECK(back.at.y == shape.at.y && back.d == shape.d && back.p == shape.p);
    CHECK(back.all[0].x == 2 && back.all[1].y == shape.all[0].y);
    CHECK(same(back.name, "z\0\0\0", 5) && back.b == 0 && back.e == -1);
    CHECK(back.perm == shape.perm);

    points[0].x = 10;
    points[1].color = LAB_COLOR_GREEN;
    CHECK(lab_points(points, colors, 3) == 0);
    CHECK(points[0].x == -10 && points[1].y == F32(8.0f, 0x41000000u));

    batch->id = ~0ul;
    batch->n = 3;
    for (i = 0; i < 6; i++)
        batch->rest[i] = rest[i];
    CHECK(lab_batch(batch, sizeof *batch, other, sizeof other_room) == 16);
    CHECK(other->id == 1 && other->n == 2 && other->rest[0] == 5 && other->rest[1] == 6);
    return 0;
}

static long errors(void)
{
    hv_u32 g = 0;
    int error = 0;

    CHECK(lab_many(1, -2, "cc", 2, 1ul << 63, F32(0.5f, 0x3f000000u), 1, &g, -8,
                   F64(9.25, 0x4022800000000000ul), &error) == 1ul << 40);
    CHECK(g == 77 && error == 0);
    CHECK(lab_refuse(0, &error) == 0 && error == 2);
    CHECK(lab_refuse(1, &error) == 0 && error == 1);
    CHECK(lab_refuse(1, 0) == 0);
    CHECK(lab_fail() == -5);
    CHECK(lab_missing() == -38);
    CHECK(lab_write(7, (void *)~0xffful, 3) == -14);
    CHECK(lab_length((char *)~0xffful, &error) == 0 && error == 14);
    CHECK(lab_mix(4, 0, &error) == 0 && error == 22);
    CHECK(lab_most(LAB_PERM_HIGH >> 1, &error) == 0 && error == 22);
    CHECK((long)hv_call0(LAB_CALL_LIMIT + 1).value == -38);
    return 0;
}

long main(void)
{
    long line = 0;

    if (lab_abi_check(message, sizeof message) != 0)
        return -1;
    line = scalars();
    line = line ? line : buffers();
    line = line ? line : structs();
    return line ? line : errors();
}
]]

-- fn(...) with HVLUA_CC as if it were that.
local function with_compiler(program, fn, ...)
    local real = os.getenv
    rawset(os, "getenv", function(name)
        if name == "HVLUA_CC" then
            return program
        end
        return real(name)
    end)
    local ok, result = pcall(fn, ...)
    rawset(os, "getenv", real)
    return ok and result or error(result, 0)
end

-- A machine with the image loaded, and the register that its result comes in.
local function start(open, image, registers)
    local vm = open { memory = "1M" }
    vm:load(image)
    local all = registers or {}
    all.pc = image.entry
    if vm.arch == "x86_64" then
        all = hv.x86.long(vm, 0xf0000, all)
    end
    local cpu = vm:vcpu(all)
    return vm, function()
        local exit = vm:run { timeout = 20 }
        t.eq(exit.kind, vm.arch == "x86_64" and "halt" or "wfi")
        return vm.arch == "x86_64" and cpu.rax or cpu.x0
    end
end

-- more: flags=, conduit= and, for the vCPU, registers=
local function all_types(open, arch, program, standard, more)
    more = more or {}
    local abi = hv.abi("lab", fields())
    local options = { arch = arch, abi = abi, text = GUEST, conduit = more.conduit,
                      flags = compilers.strict(standard) }
    table.move(more.flags or {}, 1, #(more.flags or {}), #options.flags + 1, options.flags)
    local image = with_compiler(program, function() return (hv.cc(options)) end)
    local vm, run = start(open, image, more.registers)
    local seen = {}
    local server = vm:serve(abi, handlers(seen))
    t.eq(run(), 0, "the line of the guest that found a difference")
    t.ok(seen.none)
    t.eq({ server.calls.missing.errors, server.calls.refuse.errors }, { 1, 3 })
end

t.on("every type, in both directions (clang)", function(open, _, arch)
    need("clang", arch)
    all_types(open, arch, "clang", "-std=c89")
end)

t.on("every type, in both directions (gcc)", function(open, _, arch)
    need(compilers.gcc[arch], arch)
    all_types(open, arch, compilers.gcc[arch], "-std=c11")
end)

t.on("x86_64", "floats in registers of SSE", function(open, backend, arch)
    need("clang", arch)
    if backend ~= "unicorn" then
        t.skip "not every kvm runs SSE in the guest"
    end
    all_types(open, arch, "clang", "-std=c89", {
        registers = { cr4 = 1 << 5 | 1 << 9 }, flags = { "-msse2" },
    })
end)

t.on("a doorbell instead of an instruction", function(open, _, arch)
    need("clang", arch)
    all_types(function(config)
        local vm = open(config)
        vm:hypercall { via = "mmio", at = 0xe0000000 }
        return vm
    end, arch, "clang", "-std=c89", { conduit = "mmio@0xe0000000" })
end)

-- ---- versions --------------------------------------------------------------------

local CHECKING = [[
#include "lab.h"
char message[200];
long main(void)
{
    return lab_abi_check(message, sizeof message);
}
]]

t.on("a guest that was built with another version is told so", function(open, _, arch)
    need("clang", arch)
    local function asks(built, served)
        local image = hv.cc { arch = arch, abi = hv.abi("lab", built), text = CHECKING }
        local vm, run = start(open, image)
        vm:serve(hv.abi(served.name or "lab", served.fields), {})
        return run(), vm:cstring(image.symbols.message)
    end
    local now = { version = 3, f = { 1, "u32 a" } }
    t.eq({ asks(now, { fields = now }) }, { 0, "" })
    t.eq({ asks({ version = 2, f = { 1, "u32 a" } }, { fields = now }) },
         { -71, "lab: the guest is built for version 2, the host has version 3" })
    local status, why = asks({ version = 3, f = { 1, "u64 a" } }, { fields = now })
    t.eq(status, -71)
    t.ok(why:find "^lab: version 3 of the guest's is laid out otherwise: ", why)
    t.eq({ asks(now, { name = "other", fields = now }) },
         { -71, "the host serves no ABI lab" })
end)

-- ---- assembly ----------------------------------------------------------------------

local CALLS = {
    arm64 = [[
_start: mov w1, #LAB_COLOR_GREEN
        mov x2, #LAB_PERM_R
        lab_mix
        mov x19, x0
        adr x1, point
        mov w2, #-3
        strh w2, [x1, #LAB_POINT_OFFSET_X]
        lab_point
        mov x20, x0
        adr x4, message
        mov x5, #100
        lab_abi_check
        mov x21, x0
        wfi
        .balign 4
point:  .skip LAB_POINT_SIZEOF
message: .skip 100
]],
    x86_64 = [[
_start: mov $LAB_COLOR_GREEN, %edi
        mov $LAB_PERM_R, %esi
        lab_mix
        mov %rax, %rbx
        lea point(%rip), %rdi
        movw $-3, LAB_POINT_OFFSET_X(%rdi)
        lab_point
        mov %rax, %rbp
        lea message(%rip), %rcx
        mov $100, %r8d
        lab_abi_check
        mov %rax, %r12
        hlt
        .balign 4
point:  .skip LAB_POINT_SIZEOF
message: .skip 100
]],
}

local function assembly_fields(version)
    return {
        version = version,
        color = hv.enum { "red", green = 5 }, perm = hv.flags { "r", "w" },
        point_t = hv.struct { "u8 n", "i16 x" },
        mix = { 0x12345, "enum color color", "flags perm perm", returns = "i64" },
        point = { 0x12346, "in struct point p", returns = "i64" },
    }
end

local function assembled(open, arch, version, conduit)
    local text = include(hv.abi("lab", assembly_fields(7)), conduit)
    local image = hv.asm(text .. CALLS[arch], { arch = arch }):at(0x8000)
    local vm = open { memory = "1M" }
    vm:load(image)
    if conduit then
        vm:hypercall { via = "mmio", at = conduit.at }
    end
    vm:serve(hv.abi("lab", assembly_fields(version)), {
        mix = function(color, perm)
            t.eq({ color, perm }, { "green", { r = true } })
            return -5
        end,
        point = function(p) return p.x end,
    })
    local registers, x86 = { pc = image.entry }, arch == "x86_64"
    local cpu = vm:vcpu(x86 and hv.x86.long(vm, 0xf0000, registers) or registers)
    vm:run { timeout = 5 }
    return { x86 and cpu.rbx or cpu.x19, x86 and cpu.rbp or cpu.x20,
        x86 and cpu.r12 or cpu.x21, vm:cstring(image.symbols.message) }
end

t.on("a guest in assembly, by the include file", function(open, _, arch)
    for _, conduit in ipairs { false, prototype.conduit "mmio@0xe0000000" } do
        t.eq(assembled(open, arch, 7, conduit or nil), { -5, -3, 0, "" })
        t.eq(assembled(open, arch, 8, conduit or nil), { -5, -3, -71,
            "lab: the guest is built for version 7, the host has version 8" })
    end
end)
