-- SPDX-License-Identifier: MIT
--- One hostile guest: a machine drawn from a seed, run under a budget.
--
-- local run = stream.runner(backend, arch, kind)    kind: "random" or "mutated"
-- run(seed) --> how it ended (an exit's kind, or "raised"), exits
--
-- run() raises what a guest must never bring about: an error out of hvlua that no
-- handler raised, an exit that makes no sense, a run that outlives its time, a
-- machine that is not usable afterwards. What the guest does depends on the seed
-- only, but for where its time is up.

local hv = require "hv"
local core = require "hv.core"
local draw = require "hostile.draw"

local stream = {}

local TIMEOUT, LATE = os.getenv "HVLUA_NESTED" and 0.03 or 0.002, 10
local HANDLED = { "hvc", "smc", "mmio", "io", "sysreg", "brk", "step", "break",
    "watch", "halt", "wfi", "timer", "fault", "shutdown", "error" }
local KINDS = { stop = true, timeout = true, budget = true, kick = true }
for _, kind in ipairs(HANDLED) do
    KINDS[kind] = true
end

local WANTED = {} -- what handlers raise on purpose

-- ---- what handlers do to a machine --------------------------------------

local function somewhere(plan)
    local map = draw.one(plan.maps)
    return map.at + math.random(0, map.size + 16)
end

local function a_register(arch)
    return arch == "arm64" and "x" .. math.random(0, 30)
        or draw.one { "rax", "rcx", "rdx", "rbx", "rsi", "rdi", "rsp", "r9" }
end

local TAMPER = {
    function(_, vm, plan) vm:write(somewhere(plan), draw.bytes(math.random(64))) end,
    function(_, vm, plan) vm:fill(somewhere(plan), math.random(256), 0xcc) end,
    function(_, vm, plan) vm:read(somewhere(plan), math.random(64)) end,
    function(_, vm, plan) vm:unmap(draw.one(plan.maps).at) end,
    function(_, vm, plan)
        vm:protect(draw.one(plan.maps).at, draw.one { "r", "rw", "rx", "rwx", "w" })
    end,
    function(_, vm)
        local page = vm.page_size
        vm:map { at = math.random(0, 0x60) << 12 & -page, size = page,
            prot = draw.one { "r", "rw", "rwx" } }
    end,
    function(cpu, vm) cpu[a_register(vm.arch)] = math.random(0) end,
    function(cpu, _, plan) cpu.pc = somewhere(plan) end,
    function(cpu) cpu:irq(draw.chance(50)) end,
    function(cpu, vm)
        cpu:inject(vm.arch == "arm64"
                   and { syndrome = math.random(0, 63) << 26, far = math.random(0) }
                   or { vector = math.random(0, 255) })
    end,
    function(cpu, _, plan) cpu:breakpoint(plan.code + plan.skip * math.random(0, 64)) end,
    function(cpu, _, plan)
        local size = 1 << math.random(0, 3)
        cpu:watchpoint(somewhere(plan) & -size, size, draw.one { "r", "w", "rw" })
    end,
    function(cpu) cpu.trap_debug = draw.chance(50) end,
    function(cpu, _, plan) cpu:translate(draw.chance(50) and somewhere(plan)
                                         or math.random(0)) end,
    function(cpu) cpu:kick() end,
    function(cpu) for _ in pairs(cpu) do end end,
}

-- These take it amiss when what they are asked is not possible: that is right.
local function tamper(cpu, plan)
    pcall(draw.one(TAMPER), cpu, cpu.vm, plan)
end

-- ---- handlers -----------------------------------------------------------

local function step_over(cpu, plan)
    if draw.chance(90) then
        cpu.pc = cpu.pc + plan.skip
    elseif draw.chance(50) then
        cpu.pc = plan.code + plan.skip * math.random(0, 32)
    end
end

local READS = { mmio = true, io = true, sysreg = true }
local STEPS_OVER = { fault = true, brk = true, shutdown = true }

local function handler(kind, plan, count)
    return function(cpu, exit)
        count.exits = count.exits + 1
        if exit.kind ~= kind or exit.cpu ~= cpu then
            error(("a handler for %s got %s"):format(kind, exit.kind))
        end
        local roll = math.random(1000)
        if roll <= 10 then
            cpu:stop(roll)
        elseif roll <= 13 then
            error(WANTED)
        elseif roll <= 100 then
            tamper(cpu, plan)
        end
        if kind == "error" then -- nothing to go on with where it is
            cpu.pc = plan.code + plan.skip * math.random(0, 64)
        elseif STEPS_OVER[kind] then
            step_over(cpu, plan)
        end
        if READS[kind] and not exit.write and draw.chance(80) then
            return math.random(0)
        end
    end
end

local function add_handlers(vm, plan, count)
    for _, kind in ipairs(HANDLED) do
        if draw.chance(85) then
            vm:on(kind, handler(kind, plan, count))
        end
    end
    vm:hypercall(0xdead, function(cpu) cpu:stop "end" end)
    vm:hypercall(1, function(_, a, b) return a ~ b, math.random(0) end)
    if draw.chance(30) then
        vm:attach { at = 0x50000, size = 0x100, read = function(offset, size)
            return offset * size
        end, write = function() end }
    end
end

-- ---- a machine ----------------------------------------------------------

local function open(backend, arch, plan)
    local vm = hv.vm { backend = backend, arch = arch }
    for _, map in ipairs(plan.maps) do
        vm:map(map)
    end
    for _, write in ipairs(plan.writes) do
        vm:write(write[1], write[2])
    end
    return vm
end

-- Registers may hold what the architecture or the host refuses. Then they are
-- what they were.
local function add_cpu(vm, plan)
    local ok, cpu = pcall(vm.vcpu, vm, plan.registers)
    if ok then
        return cpu
    end
    cpu = vm.cpus[#vm.cpus] or vm:vcpu {}
    for name, value in pairs(plan.registers) do
        pcall(function() cpu[name] = value end)
    end
    return cpu
end

local function enter(vm, cpu)
    local roll = math.random(100)
    if roll <= 5 then
        for _ = 1, 20 do
            cpu:step()
        end
        return { kind = "step" }
    elseif roll <= 8 then
        -- without a time limit: one that does not come back has to be kicked
        cpu:kick()
        return cpu:enter()
    end
    local target = roll <= 90 and vm or cpu
    return target:run { timeout = TIMEOUT, exits = math.random(200) }
end

local function check(vm, cpu, exit, seconds)
    if type(exit) ~= "table" or not KINDS[exit.kind] and exit.kind ~= "none" then
        error("an exit of no kind: " .. tostring(exit and exit.kind))
    elseif seconds > LATE then
        error(("it ran for %.1f s"):format(seconds))
    elseif math.type(cpu.pc) ~= "integer" or vm.running or vm.closed then
        error "the machine is not usable"
    end
end

local function play(vm, plan)
    local count = { exits = 0 }
    local cpu = add_cpu(vm, plan)
    if draw.chance(5) then
        add_cpu(vm, plan)
    end
    add_handlers(vm, plan, count)
    if draw.chance(10) then
        tamper(cpu, plan)
    end
    local how
    for _ = 1, math.random(3) do
        local started = core.clock()
        local ok, exit = pcall(enter, vm, cpu)
        if not ok and exit ~= WANTED then
            error(exit, 0)
        end
        if ok then
            check(vm, cpu, exit, core.clock() - started)
        end
        how = ok and exit.kind or "raised"
        if how == "timeout" or exit.value == "end" then
            break
        end
    end
    return how, count.exits
end

function stream.runner(backend, arch, kind)
    local guests = require("hostile." .. arch)
    local corpus = guests.corpus()
    return function(seed)
        draw.seed(arch, kind, seed)
        local plan = guests.build(kind, corpus)
        local vm = open(backend, arch, plan)
        local ok, how, exits = pcall(play, vm, plan)
        vm:close()
        if not ok then
            error(how, 0)
        end
        return how, exits
    end
end

return stream
