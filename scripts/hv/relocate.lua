-- SPDX-License-Identifier: MIT
--- What each relocation type of an object file does to the bytes it names.
--
-- relocate[arch][type] = { name =, size =, apply = function(v, p, old) }
--
-- `v` is the symbol's value plus addend, `p` the address of the place, `old`
-- the integer of `size` bytes there now. apply gives the new integer, or nil
-- and why there is none. Names and numbers are those of the two psABIs.

local function fits_signed(v, bits)
    return v >= -(1 << bits - 1) and v < 1 << bits - 1
end

local function fits_unsigned(v, bits)
    return v >> bits == 0
end

local function out_of_reach(distance)
    return nil, ("is 0x%x bytes away, out of reach"):format(math.abs(distance))
end

local function too_large(v, bits)
    return nil, ("is 0x%x, which does not fit in %d bits"):format(v, bits)
end

-- `bits` of `value` from bit `shift` of an instruction.
local function insert(old, value, shift, bits)
    local mask = (1 << bits) - 1
    return old & ~(mask << shift) | (value & mask) << shift
end

-- The address itself, in 8 * size bits. `sign` nil: signed and unsigned will
-- both do, as for data that is only ever compared or truncated.
local function absolute(size, sign)
    local bits = size * 8
    return function(v)
        local fits = bits == 64
            or sign ~= "signed" and fits_unsigned(v, bits)
            or sign ~= "unsigned" and fits_signed(v, bits)
        if not fits then
            return too_large(v, bits)
        end
        return v
    end
end

local function relative(size, sign)
    local place = absolute(size, sign)
    return function(v, p)
        local value = place(v - p)
        if value then
            return value
        end
        return out_of_reach(v - p)
    end
end

-- A branch or literal load: a distance in instructions.
local function branch(shift, bits)
    return function(v, p, old)
        local distance = v - p
        if distance & 3 ~= 0 then
            return nil, ("is at 0x%x, not on a multiple of 4"):format(v)
        elseif not fits_signed(distance, bits + 2) then
            return out_of_reach(distance)
        end
        return insert(old, distance >> 2, shift, bits)
    end
end

-- ADR and ADRP: the two low bits of the immediate live apart from the others.
local function adr(shift, checked)
    return function(v, p, old)
        local distance = (v >> shift) - (p >> shift)
        if checked and not fits_signed(distance, 21) then
            return out_of_reach(v - p)
        end
        return insert(insert(old, distance, 29, 2), distance >> 2, 5, 19)
    end
end

-- The low 12 bits, in units of the access: ADD, LDR, STR.
local function low12(shift)
    return function(v, _, old)
        if v & (1 << shift) - 1 ~= 0 then
            return nil, ("is at 0x%x, not on a multiple of %d")
                :format(v, 1 << shift)
        end
        return insert(old, (v & 0xfff) >> shift, 10, 12 - shift)
    end
end

-- MOVZ and MOVK: 16 bits of the address.
local function movw(group, checked)
    local bits = 16 * (group + 1)
    return function(v, _, old)
        if checked and bits < 64 and not fits_unsigned(v, bits) then
            return too_large(v, bits)
        end
        return insert(old, v >> 16 * group, 5, 16)
    end
end

-- MOVN for negative values, MOVZ for others: bit 30 tells them apart.
local function movw_signed(group, from_place)
    local bits = 16 * (group + 1)
    return function(v, p, old)
        v = from_place and v - p or v
        if bits < 64 and not fits_signed(v, bits + 1) then
            return too_large(v, bits)
        elseif v < 0 then
            return insert(old & ~(1 << 30), ~v >> 16 * group, 5, 16)
        end
        return insert(old | 1 << 30, v >> 16 * group, 5, 16)
    end
end

local function movw_relative(group)
    local place = movw(group, false)
    return function(v, p, old)
        return place(v - p, p, old)
    end
end

local function none(_, _, old)
    return old
end

local function entry(name, size, apply)
    return { name = name, size = size, apply = apply }
end

local function a64(name, apply)
    return entry("R_AARCH64_" .. name, 4, apply)
end

local arm64 = {
    [0] = entry("R_AARCH64_NONE", 0, none),
    [257] = entry("R_AARCH64_ABS64", 8, absolute(8)),
    [258] = entry("R_AARCH64_ABS32", 4, absolute(4)),
    [259] = entry("R_AARCH64_ABS16", 2, absolute(2)),
    [260] = entry("R_AARCH64_PREL64", 8, relative(8)),
    [261] = entry("R_AARCH64_PREL32", 4, relative(4)),
    [262] = entry("R_AARCH64_PREL16", 2, relative(2)),
    [263] = a64("MOVW_UABS_G0", movw(0, true)),
    [264] = a64("MOVW_UABS_G0_NC", movw(0, false)),
    [265] = a64("MOVW_UABS_G1", movw(1, true)),
    [266] = a64("MOVW_UABS_G1_NC", movw(1, false)),
    [267] = a64("MOVW_UABS_G2", movw(2, true)),
    [268] = a64("MOVW_UABS_G2_NC", movw(2, false)),
    [269] = a64("MOVW_UABS_G3", movw(3, true)),
    [270] = a64("MOVW_SABS_G0", movw_signed(0)),
    [271] = a64("MOVW_SABS_G1", movw_signed(1)),
    [272] = a64("MOVW_SABS_G2", movw_signed(2)),
    [273] = a64("LD_PREL_LO19", branch(5, 19)),
    [274] = a64("ADR_PREL_LO21", adr(0, true)),
    [275] = a64("ADR_PREL_PG_HI21", adr(12, true)),
    [276] = a64("ADR_PREL_PG_HI21_NC", adr(12, false)),
    [277] = a64("ADD_ABS_LO12_NC", low12(0)),
    [278] = a64("LDST8_ABS_LO12_NC", low12(0)),
    [279] = a64("TSTBR14", branch(5, 14)),
    [280] = a64("CONDBR19", branch(5, 19)),
    [282] = a64("JUMP26", branch(0, 26)),
    [283] = a64("CALL26", branch(0, 26)),
    [284] = a64("LDST16_ABS_LO12_NC", low12(1)),
    [285] = a64("LDST32_ABS_LO12_NC", low12(2)),
    [286] = a64("LDST64_ABS_LO12_NC", low12(3)),
    [287] = a64("MOVW_PREL_G0", movw_signed(0, true)),
    [288] = a64("MOVW_PREL_G0_NC", movw_relative(0)),
    [289] = a64("MOVW_PREL_G1", movw_signed(1, true)),
    [290] = a64("MOVW_PREL_G1_NC", movw_relative(1)),
    [291] = a64("MOVW_PREL_G2", movw_signed(2, true)),
    [292] = a64("MOVW_PREL_G2_NC", movw_relative(2)),
    [293] = a64("MOVW_PREL_G3", movw_signed(3, true)),
    [299] = a64("LDST128_ABS_LO12_NC", low12(4)),
    [314] = a64("PLT32", relative(4, "signed")),
}

local x86_64 = {
    [0] = entry("R_X86_64_NONE", 0, none),
    [1] = entry("R_X86_64_64", 8, absolute(8)),
    [2] = entry("R_X86_64_PC32", 4, relative(4, "signed")),
    [4] = entry("R_X86_64_PLT32", 4, relative(4, "signed")),
    [10] = entry("R_X86_64_32", 4, absolute(4, "unsigned")),
    [11] = entry("R_X86_64_32S", 4, absolute(4, "signed")),
    [12] = entry("R_X86_64_16", 2, absolute(2)),
    [13] = entry("R_X86_64_PC16", 2, relative(2)),
    [14] = entry("R_X86_64_8", 1, absolute(1)),
    [15] = entry("R_X86_64_PC8", 1, relative(1, "signed")),
    [24] = entry("R_X86_64_PC64", 8, relative(8)),
}

return { arm64 = arm64, x86_64 = x86_64 }
