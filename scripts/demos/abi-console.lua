-- A console for the guest: characters, lines in and out, colours. The declaration is
-- all that host and guest share; the guest is C, compiled from this script.
local hv = require "hv"

local abi = hv.abi("con", {
    putc = { 1, "u8 ch" },
    puts = { 2, "cstr text" },
    gets = { 3, "out bytes line", returns = "i64" }, -- its length, or -ENODATA at the end
    color = { 4, "enum color c" },
    exit = { 5, "i32 status" },
    color_t = hv.enum("u8", { "plain", "red", "green" }),
})

local guest = hv.cc { abi = abi, text = [[
#include "con.h"

static void number(unsigned long n)
{
    if (n >= 10)
        number(n / 10);
    con_putc('0' + n % 10);
}

long main(void)
{
    char line[64];
    hv_i64 n;
    unsigned long lines = 0;

    con_puts("What is said here is counted.\n");
    while ((n = con_gets(line, sizeof line - 1)) >= 0) {
        line[n] = 0;
        lines++;
        con_color(CON_COLOR_GREEN);
        number(lines);
        con_puts(": ");
        con_color(CON_COLOR_PLAIN);
        con_puts(line);
        con_putc('\n');
    }
    con_exit((int)lines);
    return 0;
}
]] }

local input = { "first", "second", "and the third" }
local CODES = { plain = "\27[0m", red = "\27[31m", green = "\27[32m" }

local vm <close> = hv.vm { memory = "1M" }
vm:serve(abi, {
    putc = function(ch) io.write(string.char(ch)) end,
    puts = function(text) io.write(text) end,
    gets = function(room)
        local line = table.remove(input, 1)
        if not line then
            return nil, "ENODATA"
        end
        return line:sub(1, room)
    end,
    color = function(name) io.write(os.getenv "NO_COLOR" and "" or CODES[name]) end,
    exit = function(status, cpu) cpu:stop(status) end,
})
local start = { pc = vm:load(guest) }
if vm.arch == "x86_64" then -- hvlua --arch=x86_64: as a boot loader leaves it
    start = hv.x86.long(vm, "512K", start)
end
vm:vcpu(start)
local exit = vm:run()
print(exit.kind, exit.value) --> stop  3
