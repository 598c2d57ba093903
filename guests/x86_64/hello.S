// SPDX-License-Identifier: MIT
// link at 0x80000
//
// Says hello by hypercalls: number in rax, argument in rdi, then out to port
// 0xe8. 1 is putchar, 0 is exit. Starts in 64-bit mode; needs no stack and no
// memory but its own. Keeps its place in rsi: rax and rdx take results.

        .code64
        .globl  _start
_start: leaq    text(%rip), %rsi
1:      movzbl  (%rsi), %edi
        testl   %edi, %edi
        jz      2f
        incq    %rsi
        movl    $1, %eax                // putchar
        outb    %al, $0xe8
        jmp     1b
2:      xorl    %eax, %eax              // exit
        xorl    %edi, %edi
        outb    %al, $0xe8
        jmp     2b                      // whoever resumes us exits again

text:   .asciz  "Hello from x86_64\n"
