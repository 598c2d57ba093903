// SPDX-License-Identifier: MIT
// link at 0x80000
//
// Says hello by hypercalls: number in x0, argument in x1. 1 is putchar, 0 is
// exit. Needs no stack and no memory but its own.

        .globl  _start
_start: adr     x2, text
1:      ldrb    w1, [x2], #1
        cbz     w1, 2f
        mov     x0, #1                  // putchar
        hvc     #0
        b       1b
2:      mov     x0, #0                  // exit
        mov     x1, #0
        hvc     #0
        b       2b                      // whoever resumes us exits again

text:   .asciz  "Hello from arm64\n"
