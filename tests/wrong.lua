-- SPDX-License-Identifier: MIT
-- Wrong calls: each says what is wrong with it, and where.
--
-- The files in wrong/ have rows { call, text, <backend> = text, ... }, where backends
-- may have their own words. The call raises; the message begins with the
-- row's own file and line and goes on with the text. Rows are written on one line,
-- so that the line of the call is that of its function; a handler's nonsense is
-- blamed on the handler.
local t = ...

local short = os.tmpname() -- where a part makes a file of 5 bytes
local seen, distinct = {}, 0 -- the places of rows that were checked

-- What is wrong with how a row fails, or nil.
local function verdict(row, backend, ...)
    local call, text = row[1], row[backend] or row[2]
    local info = debug.getinfo(call, "S")
    local place = ("%s:%d: "):format(info.short_src, info.linedefined)
    local ok, why = pcall(call, ...)
    if not seen[place] then
        seen[place], distinct = true, distinct + 1
    end
    if ok then
        return place .. "raised nothing, want " .. text
    elseif type(why) ~= "string" then
        return place .. "raised a " .. type(why)
    elseif why:sub(1, #place) ~= place then
        return ("%swant %q\n  at another place: %q"):format(place, text, why)
    end
    why = why:gsub(short:gsub("%p", "%%%0"), "/SHORT", 1)
    if why:sub(#place + 1, #place + #text) ~= text then
        return ("%swant %q\n  got  %q"):format(place, text, why:sub(#place + 1))
    end
end

local function report(wrong)
    if #wrong > 0 then
        error(table.concat(wrong, "\n"), 0)
    end
end

local function check(rows, backend, ...)
    local wrong = {}
    for _, row in ipairs(rows) do
        wrong[#wrong + 1] = verdict(row, backend, ...)
    end
    report(wrong)
end

-- What must be the same after a wrong call as before.
local function state_of(vm)
    local cpus = {}
    for i, cpu in ipairs(vm.cpus) do
        cpus[i] = { pc = cpu.pc, sp = cpu.sp }
    end
    return { memory = vm.memory, cpus = cpus, byte = vm:u8(0), running = vm.running }
end

-- Rows against one machine: they get it, its vCPU and its memory object, and leave
-- them as they were.
local function on(arch, name, rows, prepare)
    if rows == nil or type(rows) == "function" then
        arch, name, rows, prepare = nil, arch, name, rows
    end
    local function body(open, backend)
        local vm = open()
        local mem = vm:map { at = 0, size = "64K" }
        local cpu = vm:vcpu { pc = 0x1000, sp = 0x8000 }
        local more = prepare and prepare(vm, cpu, open)
        local before = state_of(vm)
        check(rows, backend, vm, cpu, mem, more)
        t.eq(state_of(vm), before, "left behind by a wrong call")
    end
    if arch then
        t.on(arch, name, body)
    else
        t.on(name, body)
    end
end

-- Rows with a machine of its own each, whose guest does `code` for ever.
local function nonsense(arch, name, code, rows)
    t.on(arch, name, function(open, backend)
        local wrong = {}
        for _, row in ipairs(rows) do
            local vm, cpu = t.guest(open, code, arch == "arm64"
                and { x1 = 0x200000 } or { rdx = 0x300, rdi = 7 })
            wrong[#wrong + 1] = verdict(row, backend, vm, cpu)
            for _, kind in ipairs { "hvc", "mmio", "io" } do
                vm:on(kind, function(c) c:stop "well" end)
            end
            vm:hypercall(1, nil)
            t.eq(vm:run().value, "well", "usable after a wrong answer")
            vm:close()
        end
        report(wrong)
    end)
end

for _, part in ipairs { "machine", "memory", "vcpu", "run", "library" } do
    assert(loadfile(("%s/tests/wrong/%s.lua"):format(t.folder, part)))(t, {
        check = check, on = on, nonsense = nonsense, short = short,
    })
end

t.test("there are hundreds of them", function()
    if distinct == 0 then
        t.skip "none was run"
    end
    t.ok(distinct >= 250, distinct .. " distinct wrong calls")
end)
os.remove(short)
