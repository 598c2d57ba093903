-- The first script: a guest whose hypercalls are Lua functions.
local hv = require "hv"

local vm <close> = hv.vm { arch = "arm64" }          -- best backend on this machine
vm:map { at = 0, size = "1M", prot = "rwx" }
vm:load(0x10000, hv.asm [[
        adr   x2, text
next:   ldrb  w1, [x2], #1
        cbz   w1, done
        mov   x0, #1                // hypercall 1: putchar
        hvc   #0
        b     next
done:   mov   x0, #0                // hypercall 0: exit
        mov   x1, #42
        hvc   #0
text:   .asciz "Hello from the guest\n"
]])

vm:hypercall(0, function(cpu, status) return cpu:stop(status) end)
vm:hypercall(1, function(cpu, char) io.write(string.char(char & 0xff)) end)

vm:vcpu { pc = 0x10000, sp = 0xff000 }
local exit = vm:run()
print(exit.kind, exit.value)                         --> stop  42
