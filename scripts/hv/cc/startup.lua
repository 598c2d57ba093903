-- SPDX-License-Identifier: MIT
--- What a guest in C has besides its C: where it starts, its stack, and the functions
-- that compilers call of their own accord.
--
-- startup.start(arch, stack) --> text     goes before the C; stack: bytes
-- startup.runtime(arch, names) --> text   goes behind it: those of these functions
-- startup.has[name]                       is there such a function?
--
-- All is assembly in C's clothes: it has to be one object with the C, as no linker is
-- asked for, and a loop of C might be made a call of the very function it is in.

local startup = {}

local START = {
    arm64 = [[
.globl _start
_start: mov x0, #3 << 20
msr cpacr_el1, x0
isb
adrp x0, hv_stack_top
add x0, x0, :lo12:hv_stack_top
mov sp, x0
bl main
1: wfi
b 1b
]],
    x86_64 = [[
.globl _start
_start: leaq hv_stack_top(%rip), %rsp
xorl %ebp, %ebp
call main
1: hlt
jmp 1b
]],
}

local STACK = [[
.pushsection .bss
.balign 16
hv_stack: .skip %d
hv_stack_top: .popsection
]]

local RUNTIME = {
    arm64 = {
        memcpy = [[
mov x3, x0
cbz x2, 2f
1: ldrb w4, [x1], #1
strb w4, [x3], #1
subs x2, x2, #1
b.ne 1b
2: ret
]],
        memmove = [[
mov x3, x0
cbz x2, 3f
cmp x0, x1
b.hi 2f
1: ldrb w4, [x1], #1
strb w4, [x3], #1
subs x2, x2, #1
b.ne 1b
ret
2: sub x2, x2, #1
ldrb w4, [x1, x2]
strb w4, [x3, x2]
cbnz x2, 2b
3: ret
]],
        memset = [[
mov x3, x0
cbz x2, 2f
1: strb w1, [x3], #1
subs x2, x2, #1
b.ne 1b
2: ret
]],
        memcmp = [[
1: cbz x2, 2f
sub x2, x2, #1
ldrb w3, [x0], #1
ldrb w4, [x1], #1
subs w3, w3, w4
b.eq 1b
mov w0, w3
ret
2: mov w0, #0
ret
]],
    },
    x86_64 = {
        memcpy = [[
movq %rdi, %rax
movq %rdx, %rcx
rep movsb
ret
]],
        memmove = [[
movq %rdi, %rax
movq %rdx, %rcx
cmpq %rsi, %rdi
ja 1f
rep movsb
ret
1: leaq -1(%rdi,%rcx), %rdi
leaq -1(%rsi,%rcx), %rsi
std
rep movsb
cld
ret
]],
        memset = [[
movq %rdi, %r8
movl %esi, %eax
movq %rdx, %rcx
rep stosb
movq %r8, %rax
ret
]],
        memcmp = [[
xorl %ecx, %ecx
1: cmpq %rcx, %rdx
je 2f
movzbl (%rdi,%rcx), %eax
movzbl (%rsi,%rcx), %r8d
incq %rcx
subl %r8d, %eax
je 1b
ret
2: xorl %eax, %eax
ret
]],
    },
}

startup.has = {}
for name in pairs(RUNTIME.arm64) do
    startup.has[name] = true
end

-- Outside functions of C there are no operands, so that % is itself.
local function in_c(assembly)
    return ("__asm__(%s);\n"):format(assembly:gsub("([^\n]*)\n", '"%1\\n" '))
end

function startup.start(arch, stack)
    return in_c(START[arch]) .. in_c(STACK:format(stack))
end

function startup.runtime(arch, names)
    local pieces = {}
    for i, name in ipairs(names) do
        pieces[i] = in_c((".text\n.globl %s\n%s:\n"):format(name, name) .. RUNTIME[arch][name])
    end
    return table.concat(pieces)
end

return startup
