-- A disk of 16 blocks: buffers in and out, at most so long as the guest's own memory.
-- The guest copies one block to another and checks what it reads.
local hv = require "hv"

local BLOCK, BLOCKS = 512, 16

local abi = hv.abi("disk", {
    geometry = { 1, "out struct geometry g" },
    read = { 2, "u64 block", "out bytes data[512]", returns = "errno" },
    write = { 3, "u64 block", "in bytes data[512]", returns = "errno" },
    say = { 4, "cstr text" },
    geometry_t = hv.struct { "u64 blocks", "u32 size", "bool read_only" },
})

local guest = hv.cc { abi = abi, text = [[
#include "disk.h"

static unsigned char block[512];

long main(void)
{
    struct disk_geometry g;
    unsigned long i, sum = 0;

    disk_geometry(&g);
    for (i = 0; i < g.size; i++)
        block[i] = (unsigned char)(i * 7);
    if (disk_write(3, block) != 0)
        disk_say("cannot write");
    for (i = 0; i < g.size; i++)
        block[i] = 0;
    if (disk_read(3, block) != 0 || disk_write(g.blocks - 1, block) != 0)
        disk_say("cannot copy");
    for (i = 0; i < g.size; i++)
        sum += block[i];
    if (disk_read(g.blocks, block) == 0)
        disk_say("there is a block behind the last");
    if (disk_read(0, (void *)0xffffff00) == 0)
        disk_say("a buffer without memory was filled");
    disk_say("done");
    return (long)sum;
}
]] }

local disk = {}
for block = 0, BLOCKS - 1 do
    disk[block] = ("\0"):rep(BLOCK)
end

local vm <close> = hv.vm { memory = "1M" }
local server = vm:serve(abi, {
    geometry = function() return { blocks = BLOCKS, size = BLOCK, read_only = false } end,
    read = function(block)
        if not disk[block] then
            return nil, "EINVAL"
        end
        return disk[block]
    end,
    write = function(block, data)
        if not disk[block] then
            return "EINVAL"
        end
        disk[block] = data
    end,
    say = function(text) print(text) end,
}, { on_error = function(event) print(event.call, event.error, event.why) end })
local start = { pc = vm:load(guest) }
if vm.arch == "x86_64" then -- hvlua --arch=x86_64: as a boot loader leaves it
    start = hv.x86.long(vm, "512K", start)
end
local cpu = vm:vcpu(start)
vm:run()

local sum = 0
for i = 1, BLOCK do
    sum = sum + disk[BLOCKS - 1]:byte(i)
end
print((vm.arch == "arm64" and cpu.x0 or cpu.rax) == sum, server.errors) --> true  2
