-- SPDX-License-Identifier: MIT
-- A declaration with every type, for the tests of what is generated from one.
local hv = require "hv"

return function()
    return {
        version = 3, range = { 100, 140 },
        color = hv.enum("i8", { "red", green = 5, dark = -128 }),
        perm = hv.flags("u64", { "r", "w", high = math.mininteger }),
        big = hv.enum("i64", { least = math.mininteger, most = math.maxinteger }),
        point_t = hv.struct { "i16 x", "f32 y", "enum color color" },
        shape_t = hv.struct { "u8 n", "struct point at", "struct point all[2]",
            "char name[5]", "flags perm perm", "bool b", "ptr p", "errno e", "f64 d" },
        batch_t = hv.struct { "u64 id", "u16 n", "u8 rest[]" },
        none = { 100 },
        positives = { 101, "u8 a", "u16 b", "u32 c", "u64 d", returns = "u64" },
        negatives = { 102, "i8 a", "i16 b", "i32 c", "i64 d", returns = "i64" },
        small = { 103, "i8 a", returns = "i8" },
        byte = { 104, "u8 a", returns = "u8" },
        negate = { 105, "bool a", returns = "bool" },
        half = { 106, "f32 a", returns = "f32" },
        twice = { 107, "f64 a", returns = "f64" },
        next = { 108, "ptr a", returns = "ptr" },
        mix = { 109, "enum color color", "flags perm perm", returns = "enum color" },
        most = { 110, "flags perm perm", returns = "flags perm" },
        length = { 111, "cstr text", returns = "u32" },
        write = { 112, "u32 fd", "in bytes data", returns = "i64" },
        read = { 113, "out bytes data", returns = "i64" },
        upper = { 114, "inout bytes data", "in bytes tail[3]", "u8 data_size" },
        turn = { 115, "inout u16 four[4]", returns = "errno" },
        sum = { 116, "in i32 list[]", "out i64 total" },
        count = { 117, "out u32 list[]", returns = "u32" },
        shape = { 118, "in struct shape a", "out struct shape b" },
        points = { 119, "inout struct point p[2]", "in enum color colors[]" },
        batch = { 120, "in struct batch a", "out struct batch b", returns = "i64" },
        many = { 121, "u8 a", "i16 b", "in bytes c", "u64 d", "f32 e", "bool f",
            "out u32 g", "i64 h", "f64 i", returns = "u64" },
        refuse = { 122, "i32 number", returns = "u64" },
        fail = { 123, returns = "i64" },
        missing = { 124 },
        limit = { 125, "enum big big", returns = "enum big" },
    }
end
