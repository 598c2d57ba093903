-- SPDX-License-Identifier: MIT
--- Hostile x86_64 guests, in 16, 32 and 64 bits; see arm64.lua for the interface.

local hv = require "hv"
local draw = require "hostile.draw"

local x86 = {}

local CODE, DATA, TABLES, IDT, GDT, TSS, STUBS, ROM, HOLE =
    0x1000, 0x8000, 0x20000, 0x30000, 0x31000, 0x32000, 0x33000, 0x40000, 0x50000
local HIGH = 0x100000000
local BITS = { 16, 32, 64 }

-- One unit a line. $A $B $C $D $S $I and $P are the accumulator, ... stack and
-- base pointer of the mode's width; si points to data, di to any memory, bx to
-- code, bp nowhere. A line starts with the modes that have it.
local UNITS = [[
all hlt
all nop; pause
all out %al, $0x40
all out %al, $0xe8
all mov $1, %eax; out %al, $0xe8
all out %eax, %dx
all out %ax, $0x70
all in $0x60, %al
all in %dx, %eax
all in %dx, %ax
all rep outsb
all rep outsl
all rep insb
all insw
all outsb
all std; rep insl
all rep movsb
all rep movsl
all rep stosb
all rep stosl
all repne scasb
all repe cmpsb
all lodsw
all std; movsw
all cld; lodsl
all mov $3, %ecx; rep outsb
all mov $5, %ecx; rep insb
all mov $4, %ecx; rep movsb
all mov $16, %ecx; rep stosl
all int $0x80
all int $0x0d
all int3
all int $0x1f
all ud2
all cli
all sti
all sti; hlt
all pushf; popf
all pushf; orw $0x100, ($S); popf
all push $0; popf
all clc; cmc; stc
all sgdt ($I)
all sidt ($I)
all smsw %ax
all lmsw %ax
all clts
all wbinvd
all invlpg ($B)
all rdmsr
all wrmsr
all mov $0x10, %ecx; rdmsr
all mov $0xc0000080, %ecx; rdmsr
all mov $0xc0000080, %ecx; rdmsr; xor $0x100, %eax; wrmsr
all mov $0xc0000080, %ecx; rdmsr; or $1, %eax; wrmsr
all mov $0xc0000082, %ecx; wrmsr
all mov $0x1b, %ecx; rdmsr; wrmsr
all mov $0x277, %ecx; wrmsr
all mov $0x174, %ecx; mov $8, %eax; xor %edx, %edx; wrmsr
all rdtsc
all rdtscp
all rdpmc
all cpuid
all mov $7, %eax; xor %ecx, %ecx; cpuid
all xgetbv
all xsetbv
all monitor
all mwait
all vmcall
all vmmcall
all vmrun
all clgi
all syscall
all sysenter
32 sysexit
64 sysretl
64 sysretq
64 swapgs
64 wrfsbase %rax
64 mov %cr8, %rax
64 mov %rax, %cr8
32 mov %cr0, %eax; xor $0x80000000, %eax; mov %eax, %cr0
16 mov %cr0, %eax; xor $1, %eax; mov %eax, %cr0
16 mov %cr0, %eax; or $1, %eax; mov %eax, %cr0; ljmp $8, $0x1400
32 mov %cr0, %eax; and $0xfffffffe, %eax; mov %eax, %cr0
all mov %cr2, $X
all mov %cr3, $X; mov $X, %cr3
all mov %cr4, $X; xor $0x20, $A; mov $X, %cr4
all mov %cr4, $X; xor $0x80, $A; mov $X, %cr4
all mov $X, %cr0
all mov $X, %cr2
all mov $X, %cr3
all mov $X, %cr4
all mov %cr0, $X; xor $0x10000, %eax; mov $X, %cr0
all mov $X, %dr0
all mov $X, %dr7
all mov %dr6, $X
all mov $0x20000, %eax; mov $X, %cr3
all lgdt ($I)
all lidt ($I)
all lldt %ax
all ltr %ax
all mov $24, %ax; ltr %ax
all str %ax
all sldt %ax
all lar %ax, %ecx
all lsl %ax, %ecx
all verr %ax
all verw %ax
all mov %ax, %ds
all mov %ax, %ss
all mov %ax, %es
all mov $16, %eax; mov %ax, %ds; mov %ax, %ss
all mov %cs, %ax
all mov $3, %ax; mov %ax, %fs
all push %fs; pop %gs
all lss ($I), $P
all lfs ($I), %eax
all ljmp *($I)
all lcall *($I)
16 ljmp $0, $0x1010
16 lcall $0, $0x1020
16 ljmpl $8, $0x1010
16 lret
32 ljmp $8, $0x1010
32 lcall $8, $0x1020
32 lret
32 iret
16 iret
64 iretq
64 lretq
64 push $16; push %rsp; pushfq; push $8; push %rbx; iretq
32 pushf; push $8; push %ebx; iret
32 pushf; push $0x1b; push %ebx; iret
32 arpl %ax, %cx
32 bound %eax, ($I)
16 bound %ax, (%si)
32 into
32 pusha; popa
32 daa; aas
32 aam $0
32 lds ($I), %eax
64 cmpxchg16b ($I)
all cmpxchg8b ($I)
all movb $0xf4, ($B)
all movl $0x90909090, ($B)
all mov %eax, 16($B)
all movb $0xc3, 8($B); call *$B
all mov ($P), %eax
all mov %eax, ($P)
all mov %al, 0xfff($P)
all movw %ax, 0xfff($P)
all mov ($P), $A
all add %eax, ($P)
all push ($P)
all movdqu ($P), %xmm0
all movdqu %xmm0, ($P)
all flds ($P)
all lock incl ($P)
all lock cmpxchg %ecx, ($I)
all lock xadd %eax, ($I)
all xchg %eax, ($I)
all mov ($D), $A
all mov $A, ($D)
all mov $A, ($I)
all mov %eax, %fs:($I)
all mov %gs:($I), %eax
all push $A; pop $C
all push %ebx_; ret
all call *$B
all jmp *$B
all jmp *($I)
all call .+6
all jmp .+5
all jmp .-20
all jne .+4
all loop .-8
all jrcxz_ .+4
all enter $16, $3
all leave
all enter $0xffff, $31
all ret $4
all div %ecx
all idivl ($I)
all mul %ecx
all imul %ecx, %eax
all div %cl
all shld $5, %eax, %ecx
all rcl $9, %al
all bsf %eax, %ecx
all bts %ecx, ($I)
all btc $A, ($I)
all popcnt %eax, %ecx
all crc32b %al, %ecx
all pshufb %xmm1, %xmm0
all movaps %xmm0, ($I)
all movaps ($I), %xmm1
all movntdq %xmm0, ($I)
all maskmovdqu %xmm1, %xmm0
all paddd ($I), %xmm2
all addps %xmm0, %xmm1
all divsd %xmm1, %xmm0
all sqrtpd %xmm0, %xmm1
all cvttsd2si %xmm0, %eax
all pcmpestri $0, %xmm0, %xmm1
all aesenc %xmm0, %xmm1
all mpsadbw $1, %xmm0, %xmm1
all ldmxcsr ($I)
all stmxcsr ($I)
all fxsave ($I)
all fxrstor ($I)
all xsave ($I)
all xrstor ($I)
all fninit
all fldl ($I)
all fstpt ($I)
all fbstp ($I)
all fnsave ($I)
all frstor ($I)
all fldenv ($I)
all fprem; fsin; fptan; fyl2x
all fwait
all emms
all movq ($I), %mm0
all vaddps %ymm0, %ymm1, %ymm2
all movbe ($I), %eax
all pushw $0x1234; popw %ax
all prefetcht0 ($P)
all clflush ($I)
all rdrand %eax
all lea ($I), $A
all xlat
all cbtw; cwtd
all mov %eax, 0x40000
all mov 0x40000, %eax
all add %al, 0x40000
all mov %eax, 0xfee00300
]]

local WIDE = {
    [16] = { A = "%ax", B = "%bx", C = "%cx", D = "%di", S = "%esp", I = "%si",
        P = "%bp", X = "%eax" },
    [32] = { A = "%eax", B = "%ebx", C = "%ecx", D = "%edi", S = "%esp",
        I = "%esi", P = "%ebp", X = "%eax" },
    [64] = { A = "%rax", B = "%rbx", C = "%rcx", D = "%rdi", S = "%rsp",
        I = "%rsi", P = "%rbp", X = "%rax" },
}

local function spell(line, bits)
    return (line:gsub("%$(%u)", WIDE[bits])
        :gsub("%%ebx_", bits == 16 and "%%bx" or bits == 32 and "%%ebx" or "%%rbx")
        :gsub("jrcxz_", bits == 64 and "jrcxz" or "jecxz"))
end

local function assemble(bits)
    local lines = {}
    for modes, line in UNITS:gmatch "(%w+) ([^\n]+)" do
        if modes == "all" or tonumber(modes) == bits then
            lines[#lines + 1] = ("u%d: %s"):format(#lines + 1, spell(line, bits))
        end
    end
    local image = hv.asm(table.concat(lines, "\n") .. ("\nu%d: nop"):format(#lines + 1),
                         { arch = "x86_64", bits = bits })
    local units = {}
    for i = 1, #lines do
        units[i] = image.bytes:sub(image.symbols["u" .. i] + 1,
                                   image.symbols["u" .. i + 1])
    end
    return units
end

--- Lists of instructions' bytes, by mode.
function x86.corpus()
    local corpus = {}
    for _, bits in ipairs(BITS) do
        corpus[bits] = assemble(bits)
    end
    return corpus
end

-- ---- instructions -------------------------------------------------------

local PREFIXES = { "\x66", "\x67", "\xf0", "\xf2", "\xf3", "\x2e", "\x36", "\x64",
    "\x65", "\x48", "\x41", "\x44", "\x4f", "\x0f", "\xc4", "\xc5", "\x62" }

local function mutate(unit)
    local roll, i = math.random(10), math.random(#unit)
    local head, byte, tail = unit:sub(1, i - 1), unit:byte(i), unit:sub(i + 1)
    if roll <= 4 then
        return head .. string.char(byte ~ 1 << math.random(0, 7)) .. tail
    elseif roll <= 6 then
        return head .. string.char(math.random(0, 255)) .. tail
    elseif roll <= 8 then
        return draw.one(PREFIXES) .. unit
    elseif roll == 9 then
        return head .. tail
    end
    return head
end

local function mutated(units, count)
    local list = {}
    for i = 1, count do
        list[i] = draw.one(units)
    end
    for _ = 1, math.random(0, count // 2) do
        local i, j = math.random(count), math.random(count)
        if draw.chance(15) then
            list[i], list[j] = list[j], list[i]
        elseif #list[i] > 0 then
            list[i] = mutate(list[i])
        end
    end
    return table.concat(list)
end

local FINISH = { -- mov $0xdead, %eax; out %al, $0xe8; jmp to the latter
    [16] = "\x66\xb8\xad\xde\0\0\xe6\xe8\xeb\xfc",
    [32] = "\xb8\xad\xde\0\0\xe6\xe8\xeb\xfc",
    [64] = "\xb8\xad\xde\0\0\xe6\xe8\xeb\xfc",
}

-- ---- tables -------------------------------------------------------------

-- What an exception runs: a step of one byte over the instruction, mostly.
local SKIP = {
    [16] = "\x55\x89\xe5\xff\x46\x02\x5d\xcf", -- push %bp; mov %sp, %bp; incw 2(%bp)
    [32] = "\xff\x04\x24\xcf",                 -- incl (%esp); iret
    [64] = "\x48\xff\x04\x24\x48\xcf",         -- incq (%rsp); iretq
}
local POP = { [16] = "", [32] = "\x83\xc4\x04", [64] = "\x48\x83\xc4\x08" }
local WITH_CODE = { [8] = true, [10] = true, [11] = true, [12] = true, [13] = true,
    [14] = true, [17] = true }
local GATES = 64

local function stubs(bits)
    local pieces = {}
    for n = 0, GATES - 1 do
        local stub = (WITH_CODE[n] and POP[bits] or "") .. SKIP[bits]
        if draw.chance(8) then
            stub = draw.one { "\xf4", "\xeb\xfe", "\xe6\xe8" .. stub,
                draw.bytes(16) }
        end
        pieces[n + 1] = stub .. ("\0"):rep(32 - #stub)
    end
    return table.concat(pieces)
end

local function vectors(bits)
    local gates = {}
    for n = 0, GATES - 1 do
        local at = STUBS + 32 * n
        if bits == 16 then
            gates[n + 1] = string.pack("<I2I2", at & 15, at >> 4)
        else
            local attributes = draw.one { 0x8e00, 0x8e00, 0x8e00, 0x8f00, 0xee00 }
            if draw.chance(3) then
                attributes = math.random(0, 0xffff)
            end
            gates[n + 1] = string.pack("<I2I2I2I2", at & 0xffff, 8, attributes,
                                       at >> 16)
                .. (bits == 64 and ("\0"):rep(8) or "")
        end
    end
    return table.concat(gates)
end

local function descriptors(bits)
    local code = bits == 64 and 0x00af9b000000ffff or 0x00cf9b000000ffff
    local all = { 0, code, 0x00cf93000000ffff,
        0x00008b0000000067 | TSS << 16, 0, -- a TSS, 16 bytes in 64 bits
        code | 3 << 45, 0x00cff3000000ffff, -- level 3
        0x00009b000000ffff, 0x000093000000ffff, -- 16 bits
        math.random(0), math.random(0) }
    return string.pack(("<i8"):rep(#all), table.unpack(all))
end

-- 64 bits: the first 2 MiB in pages of 4 KiB, the next in one of 2 MiB; 32 bits
-- find a page directory of theirs at TABLES + 0x4000.
local identity = {}
for i = 0, 511 do
    identity[i] = i << 12 | 7
end
local legacy = {}
for i = 0, 1023 do
    legacy[i + 1] = i << 12 | 7
end
legacy = string.pack(("<I4"):rep(1024), table.unpack(legacy))

local function paging(writes)
    local entries = table.move(identity, 0, 511, 1, {})
    for _ = 1, draw.chance(50) and math.random(0, 8) or 0 do
        local i, roll = math.random(96), math.random(4)
        entries[i] = roll == 1 and math.random(0) or roll == 2 and 0
            or roll == 3 and entries[i] ~ 1 << math.random(0, 63)
            or entries[math.random(96)]
    end
    local function put(at, ...)
        writes[#writes + 1] = { at, string.pack(("<I8"):rep(select("#", ...)), ...) }
    end
    put(TABLES, TABLES + 0x1000 | 7)
    put(TABLES + 0x1000, TABLES + 0x2000 | 7, TABLES | 7, 0x83, math.random(0))
    put(TABLES + 0x2000, TABLES + 0x3000 | 7, 0x200083, HIGH | 0x83)
    put(TABLES + 0x3000, table.unpack(entries))
    writes[#writes + 1] = { TABLES + 0x4000, string.pack("<I4I4", TABLES + 0x5000 | 7,
                                                         0x83) }
    writes[#writes + 1] = { TABLES + 0x5000, legacy }
end

-- ---- registers ----------------------------------------------------------

local POINTERS = { CODE, DATA, TABLES, IDT, GDT, STUBS, ROM, HOLE, DATA + 0x7ff9,
    ROM + 0xffe, HIGH, HIGH + 0xffe, 0x3f8, 0xe8, 0xffff, 0xfee00000 }
local NAMES = { "rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi", "r8", "r9", "r10",
    "r11", "r12", "r13", "r14", "r15" }

local function general(bits)
    local all = { pc = CODE, rflags = draw.chance(85) and 2 or draw.one { 0x202, 0x102,
        0x3002, 0x10002, 0x20002, math.random(0, 0x3fffff) } }
    local mask = bits == 64 and -1 or 0xffffffff
    for _, name in ipairs(NAMES) do
        all[name] = draw.value(POINTERS) & mask
    end
    all.sp = draw.chance(85) and DATA + 0x3000 or draw.value(POINTERS) & mask
    if draw.chance(75) then
        all.rbx, all.rsi, all.rdi, all.rbp = CODE + math.random(0, 255),
            DATA + 8 * math.random(0, 64), draw.one { DATA, CODE, ROM, HOLE }, HOLE
        all.rcx = draw.one { 0, 1, 3, 17, 300 }
    end
    for i = 0, 15, math.random(1, 6) do
        all["xmm" .. i] = string.pack("<I8I8", draw.value(POINTERS), math.random(0))
    end
    return all
end

local function registers(bits)
    local all = general(bits)
    if bits > 16 then
        all = hv.x86.protected(all)
    end
    if bits == 64 then
        all.cs.db, all.cs.l = 0, 1
        all.cr0, all.cr3, all.cr4 = 0x80000011, TABLES, 0x620
        all.efer = 0x500 | (draw.chance(50) and 1 or 0)
    else
        all.cr3 = draw.chance(80) and TABLES + 0x4000 or draw.value(POINTERS)
        all.cr4 = draw.chance(80) and 0x600 or nil
    end
    all.gdtr = { base = GDT, limit = draw.chance(90) and 87 or math.random(0, 0xffff) }
    all.idtr = { base = bits == 16 and 0 or IDT, limit = draw.chance(90)
        and GATES * (bits == 64 and 16 or bits == 32 and 8 or 4) - 1
        or math.random(0, 0xffff) }
    if draw.chance(20) then
        all.fs_base, all.gs_base = draw.value(POINTERS) & 0x7fffffff, DATA
    end
    if draw.chance(10) then
        all.star, all.lstar = 0x0010000800000000, CODE
    end
    return all
end

function x86.build(kind, corpus)
    local bits = draw.one(BITS)
    local code = kind == "random" and draw.bytes(math.random(16, 400))
        or mutated(corpus[bits], math.random(8, 80))
    code = code .. FINISH[bits]
    local writes = {
        { CODE, code }, { DATA, code }, { ROM, code }, { GDT, descriptors(bits) },
        { STUBS, stubs(bits) }, { bits == 16 and 0 or IDT, vectors(bits) },
        { TSS, string.pack("<I4I4I4I4", 0, DATA + 0x3000, 16, DATA + 0x3000) },
    }
    paging(writes)
    return {
        code = CODE, skip = 1, bits = bits, registers = registers(bits),
        writes = writes,
        maps = {
            { at = 0, size = 0x10000, prot = draw.chance(90) and "rwx" or "rw" },
            { at = TABLES, size = 0x6000, prot = "rw" },
            { at = IDT, size = 0x4000, prot = draw.chance(80) and "rwx" or "rx" },
            { at = ROM, size = 0x1000, prot = "rx" },
            { at = HIGH, size = 0x1000, prot = "rwx" },
        },
    }
end

return x86
