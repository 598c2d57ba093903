-- SPDX-License-Identifier: MIT
-- Machines and their lives: options, closing, dropping, being somebody else's.
local t = ...
local hv = require "hv"

t.test("hv.vm refuses what it does not know", function()
    t.raises(function() hv.vm { arhc = "arm64" } end, 'did you mean "arch"?')
    t.raises(function() hv.vm { colour = 1 } end,
        "the fields are arch, backend, memory, hypercall_port")
    t.raises(function() hv.vm { "arm64" } end, "field names expected as keys")
    t.raises(function() hv.vm { arch = "mips" } end, 'use "arm64" or "x86_64"')
    t.raises(function() hv.vm { arch = 64 } end, "a string expected, got number")
    t.raises(function() hv.vm { backend = "xen" } end, "no such backend")
    t.raises(function() hv.vm "arm64" end, "a table expected, got string")
    t.raises(function() hv.vm({}, 1) end, "at most")
    t.raises(function() hv.vm { hypercall_port = 0 } end, "ports are 1 to 0xffff")
    t.raises(function() hv.vm { hypercall_port = 0x10000 } end, "ports are")
    for _, b in ipairs(hv.backends()) do
        if not b.ok and b.why:find "^kvm runs " then
            t.raises(function() hv.vm { memory = "1M", arch = b.arch, backend = "kvm" } end,
                "kvm runs guests of the host's own architecture")
        end
    end
    t.raises(function() return hv.nothing end, 'hv has no "nothing"')
end)

t.test("mistakes are raised at the caller's own line", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local why = t.raises(function() hv.vm { arhc = 1 } end, "arhc")
    t.ok(why:find("vm.lua:" .. line .. ":", 1, true), why)
end)

t.test("arm64 unless said otherwise", function()
    local possible = false
    for _, b in ipairs(hv.backends()) do
        possible = possible or (b.arch == "arm64" and b.ok)
    end
    if not possible then -- then nothing else is taken instead
        t.raises(function() hv.vm() end, "no backend runs arm64 guests here")
        return
    end
    local vm <close> = hv.vm()
    t.eq(vm.arch, "arm64")
end)

t.test("backends say why not", function()
    for _, b in ipairs(hv.backends()) do
        t.ok(b.ok or #b.why > 20, b.name)
        t.ok(b.ok == (b.why == nil))
        if not b.ok then
            t.raises(function() hv.vm { backend = b.name, arch = b.arch } end,
                b.why:sub(1, 20))
        end
    end
end)

t.on("close is for good, and any number of times", function(open)
    local vm = open { memory = "64K" }
    local cpu = vm:vcpu()
    local mem = vm:map { at = "1M", size = "64K" }
    t.eq(vm.closed, false)
    vm:close()
    vm:close()
    t.eq(vm.closed, true)
    for _, use in ipairs {
        function() return vm.arch end, function() return vm.memory end,
        function() vm:map { at = 0, size = 4096 } end, function() vm:read(0, 1) end,
        function() vm:run() end, function() vm:vcpu() end,
        function() vm:hypercall(1, print) end, function() vm:on("hvc", print) end,
        function() vm:stop() end, function() vm:attach {} end,
        function() vm:load(0, "x") end,
        function() return cpu.pc end, function() cpu.pc = 0 end,
        function() cpu:run() end, function() cpu:kick() end,
        function() cpu:step() end, function() cpu:enter() end,
        function() pairs(cpu) end,
        function() mem:unmap() end, function() mem:protect "r" end,
        function() return mem.prot end,
    } do
        t.raises(use, "closed")
    end
    t.eq(tostring(vm), "machine (closed)")
    t.eq(tostring(cpu), "vcpu (closed)")
end)

t.on("close variables and dropped references are safe in any order", function(open)
    do
        local vm <close> = open { memory = "64K" }
        vm:vcpu()
    end
    do
        local cpu = open { memory = "64K" }:vcpu()
        collectgarbage()
        collectgarbage()
        t.eq(cpu.pc, 0, "a vCPU keeps its machine alive")
    end
    do
        local mem = open():map { at = 0, size = "64K" }
        collectgarbage()
        t.eq(mem.prot, "rwx", "so does memory")
    end
    local view = open { memory = "64K" }:view "u8"
    collectgarbage()
    t.eq(view[0], 0, "and a view")
end)

t.on("dropped machines go with the garbage, many at once", function(open)
    t.several(open)
    local vms = {}
    for i = 1, 20 do
        vms[i] = open { memory = "64K" }
        vms[i]:vcpu()
    end
    vms = nil
    collectgarbage()
    t.eq(vms, nil)
end)

t.on("methods want their own kind of object", function(open)
    local vm = open { memory = "64K" }
    local cpu = vm:vcpu()
    t.raises(function() vm.read(0, 1) end, "write a:b(), not a.b()")
    t.raises(function() vm.read(cpu, 0, 1) end, "machine expected")
    t.raises(function() cpu.run(vm) end, "vcpu expected")
    t.raises(function() vm.close(io.stdout) end, "machine expected")
    t.raises(function() vm.speed = 1 end, 'cannot set "speed"')
    t.raises(function() return vm.speed end, 'a machine has no "speed"')
    t.raises(function() return vm[1] end, "no fields of type number")
    t.eq(getmetatable(vm), "protected")
end)

t.on("several machines at once", function(open)
    t.several(open)
    local vms = {}
    for i = 1, 5 do
        local vm, cpu = t.guest(open, {
            arm64 = "mov x0, #9\n hvc #0\n mov x0, #8\n hvc #0",
            x86_64 = "mov $9, %ax\n out %al, $0xe8\n mov $8, %ax\n out %al, $0xe8",
        })
        vms[i] = { vm = vm, cpu = cpu, seen = {} }
        for nr = 8, 9 do
            vm:hypercall(nr, function(c)
                table.insert(vms[i].seen, nr)
                c:stop(i * 10 + nr)
            end)
        end
    end
    for round = 9, 8, -1 do
        for i, v in ipairs(vms) do
            t.eq(v.vm:run().value, i * 10 + round)
        end
    end
    t.eq(vms[5].seen, { 9, 8 })
end)

t.on("a run needs a vCPU, and load takes bytes or an image", function(open)
    local vm = open { memory = "64K" }
    t.raises(function() vm:run() end, "it has no vcpu")
    t.raises(function() vm:load(0, 5) end, "bytes or an image expected, got number")
    t.raises(function() vm:load(0) end, "bytes or an image expected")
    t.raises(function() vm:load("64K", "x") end, "no memory is mapped at 0x10000")
    t.eq(vm:load("4K", "abc"), 4096)
    t.eq(vm:read(4096, 3), "abc")
    local other = vm.arch == "arm64" and "x86_64" or "arm64"
    t.raises(function() vm:load(0, hv.asm("nop", { arch = other })) end,
        "the image is for " .. other)
end)
