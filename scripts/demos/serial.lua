-- A PC's serial port and an exit port, in real mode. The guest polls the line
-- status at 0x3fd, prints to 0x3f8, and ends through port 0x01 with a code. Every
-- exit is treated as hostile: a port that nobody serves is logged, not obeyed.
local hv = require "hv"

local function run(code, budget)
    local vm <close> = hv.vm { arch = "x86_64", memory = "64K" }
    vm:load(0, code)
    hv.device.uart16550(vm, { port = 0x3f8, out = io.stdout })
    hv.device.exit(vm, { port = 0x01 })
    vm:on("io", function(_, exit)           -- reads see all ones
        print(("unhandled %s port 0x%x: 0x%x"):format(
            exit.write and "write to" or "read of", exit.port, exit.value or -1))
    end)
    local cpu = vm:vcpu { rip = 0, rsp = 0xfffc, rflags = 2 }
    local exit = vm:run(budget)
    io.write(exit.kind == "budget" and "\n" or "")
    print(("ended by %s%s"):format(exit.kind, exit.value
        and (", code %d"):format(exit.value) or ""))
    print(("Final RIP: 0x%X"):format(cpu.rip))
end

print "Starting VM..."
run(hv.asm([[
        mov   $message, %si
next:   lodsb
        test  %al, %al
        jz    done
        mov   %al, %ah
wait:   mov   $0x3fd, %dx           # line status: may we send?
        inb   %dx, %al
        test  $0x20, %al
        jz    wait
        mov   %ah, %al
        mov   $0x3f8, %dx
        outb  %al, %dx
        jmp   next
done:   mov   $0x80, %dx            # a port that nobody serves
        outb  %al, %dx
        mov   $7, %al
        outb  %al, $0x01            # exit, code 7
        hlt
message: .asciz "Hello from VM!\n"
]], { arch = "x86_64", bits = 16 }))

-- The bytes of the lesson that this demo follows. Its code looks for the message
-- four bytes behind its start, and its jump goes past the load: it sends "o" for
-- ever. A budget ends it, and the script goes on.
print "Starting the original bytes..."
run("\xbe\x20\x00\xac\x3c\x00\x74\x06\xe6\xf8\xba\xf8\x03\xee"
    .. "\xeb\xf4\xb0\x00\xe6\x01\xf4\0\0\0\0\0\0\0Hello from VM!\n\0",
    { exits = 12 })
