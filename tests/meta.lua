-- SPDX-License-Identifier: MIT
-- scripts/hv/meta.lua names all that hvlua has, nothing else, and the types of it:
-- what is new, gone or renamed on one side only fails here.
local t = ...
local hv = require "hv"
local core = require "hv.core"
local luacats = dofile(t.folder .. "/tests/meta/luacats.lua")

local file = luacats.read(t.folder .. "/scripts/hv/meta.lua")
local classes, aliases = file.classes, file.aliases
local checks = assert(loadfile(t.folder .. "/tests/meta/live.lua"))(t, luacats, file)
local members, compare, names, set = checks.members, checks.compare, checks.names, checks.set
local literals, upvalue, words = checks.literals, checks.upvalue, checks.words
local answered, note, looked_at = checks.answered, checks.note, checks.looked_at
local check_type, check_fields = checks.check_type, checks.check_fields
local check_functions, fits = checks.check_functions, checks.fits

-- ---- the file, and the module ------------------------------------------------

t.test("meta.lua is well formed", function()
    t.eq(file.complaints, {})
    t.eq(file.meta, "hv", 'what require "hv" finds')
end)

t.test("the module", function()
    local lazy = upvalue(getmetatable(hv).__index, "lazy")
    compare("hv", members "hv", names(hv, lazy))
    check_functions("hv", setmetatable({ -- behind a function that only loads it
        spawn = require "hv.spawn", size = require "hv.size",
    }, { __index = hv }))
    check_fields("hv", {
        version = hv.version, image = setmetatable({}, { __name = "images" }),
        device = setmetatable({}, { __name = "devices" }),
        x86 = setmetatable({}, { __name = "x86" }),
    })
end)

t.test("backends", function()
    local list = hv.backends()
    check_type("hv.backends()", list, "hv.backend[]")
    local live = { arch = {}, name = {} }
    for _, b in ipairs(list) do
        live.arch[b.arch], live.name[b.name] = true, true
    end
    compare("hv.arch", literals(aliases["hv.arch"]), live.arch)
    compare("hv.backend.name", literals(aliases["hv.backend.name"]), live.name)
end)

local function of_hvf(name)
    return name:find "^hv%.gic" or name:find "^hv%.caps%."
end

local has_hvf = false

t.test("caps", function()
    for _, b in ipairs(hv.backends()) do
        if b.ok then
            check_type("hv.caps()", hv.caps(b.name, b.arch), "hv.caps")
            has_hvf = has_hvf or b.name == "hvf"
        end
    end
    note("hv.caps", "missing", {}) -- where it is another macOS: tests/caps.lua
    note("hv.caps.gic", "msi", nil) -- where it is kvm's
end)

-- ---- machines ----------------------------------------------------------------

-- ---- machines ----------------------------------------------------------------

t.on("arm64", "gic", function(open)
    local vm = open()
    local address = { distributor = 0x8000000, redistributor = 0x80a0000 }
    local there, gic = pcall(vm.gic, vm, address)
    if not there then
        t.skip(gic)
    end
    compare("hv.gic", members "hv.gic",
            names(debug.getmetatable(gic), { ranges = true }))
    check_functions("hv.gic", gic)
    check_fields("hv.gic", gic)
    for name, range in pairs(gic.ranges) do
        check_type(name, range, "hv.gic.range")
    end
    vm:vcpu()
    check_type("gicd_ctlr", gic.gicd_ctlr, classes["hv.gic"].index[2])
    for _, name in ipairs { "hv.gic.options", "hv.gic.msi" } do
        for key in pairs(members(name)) do
            note(name, key, true)
        end
    end
    note("hv.gic.options", "msi", nil)
end)

t.on("machines", function(open)
    local vm = open { memory = "64K" }
    vm:vcpu()
    compare("hv.machine", members "hv.machine", names(core.machine, answered(vm)))
    check_functions("hv.machine", core.machine)
    check_fields("hv.machine", vm)
    check_type("hv.vm()", vm, "hv.machine")
end)

t.on("memory and views", function(open)
    local vm = open { memory = "64K" }
    local memory = vm:map { at = "1M", size = "64K" }
    compare("hv.memory", members "hv.memory",
            names(debug.getmetatable(memory), answered(memory)))
    check_functions("hv.memory", memory)
    check_fields("hv.memory", memory)
    check_type("vm:map()", memory, "hv.memory")
    local live = {}
    for word in pairs(words) do
        live[word] = pcall(vm.view, vm, word) or nil
    end
    compare("hv.view.width", literals(aliases["hv.view.width"]), live)
    local view = vm:view "u16"
    check_type("vm:view()", view, "hv.view")
    compare("hv.view", members "hv.view", names(debug.getmetatable(view)))
    check_type("view[0]", view[0], classes["hv.view"].index[2])
end)

-- ---- vCPUs -------------------------------------------------------------------

-- A method that the other architecture alone has is there, and says so.
local function elsewhere(cpu, name, arch)
    local other = arch == "arm64" and "hv.vcpu.x86_64" or "hv.vcpu.arm64"
    local ok, why = pcall(function() cpu[name](cpu, 0, 0, 0, 0, 0) end)
    return classes[other].functions[name] and not ok and why:find " only "
end

t.on("vcpus", function(open, _, arch)
    local vm = open { memory = "64K" }
    local cpu, name = vm:vcpu(), "hv.vcpu." .. arch
    -- what __index knows by name: registers and methods
    local _, known = debug.getupvalue(debug.getmetatable(cpu).__index, 2)
    local said, live = members(name), names(known, answered(cpu))
    for key in pairs(cpu) do
        live[key] = true
    end
    for key in pairs(live) do
        live[key] = (said[key] or not elsewhere(cpu, key, arch)) and true or nil
    end
    compare(name, said, live)
    check_type("vm:vcpu()", cpu, name)
    check_functions("hv.vcpu", cpu)
    check_functions(name, cpu)
    check_fields("hv.vcpu", cpu)
end)

t.on("registers", function(open, _, arch)
    local vm = open { memory = "64K" }
    local cpu, count = vm:vcpu(), 0
    for key, field in pairs(members("hv.vcpu." .. arch .. ".options")) do
        local ok, value = pcall(function() return cpu[key] end)
        if ok then
            check_type(key, value, field.type)
            count = count + 1
        else -- not on this backend, or not on this processor
            t.ok(not value:find " has no ", value)
        end
        -- no value fits: the name is known, and no vCPU is made
        local why = t.raises(function() vm:vcpu { [key] = print } end, key .. ":")
        t.ok(not why:find " has no ", why)
    end
    t.eq(#vm.cpus, 1)
    t.ok(count > 100, count)
end)

-- ---- exits -------------------------------------------------------------------

t.on("kinds of exits", function(open)
    local vm = open()
    local all, handled = {}, {}
    for word in pairs(words) do
        local taken, why = pcall(vm.on, vm, word, nil)
        handled[word] = taken or nil
        all[word] = taken or why:find "ends the run" and true or nil
    end
    compare("hv.exit.handled", literals(aliases["hv.exit.handled"]), handled)
    compare("hv.exit.kind", literals(aliases["hv.exit.kind"]), all)
end)

local ran = {} -- architecture -> exits of it were looked at

t.on("exits", function(open, _, arch)
    local vm = t.guest(open, {
        arm64 = [[
            hvc   #1
            mov   x1, #0x40000000
            ldr   w2, [x1]
            str   w2, [x1]
            mrs   x2, s3_0_c15_c2_1
            mov   x0, #7
            hvc   #0
            msr   vbar_el1, x1
            udf   #0
        ]],
        x86_64 = [[
            out   %al, $0xe8
            in    $0x60, %al
            out   %al, $0x60
            mov   $7, %ax
            out   %al, $0xe8
            cli
            hlt
        ]],
    })
    vm:hypercall(7, function(cpu)
        cpu:stop { "anything" }
    end)
    local last
    repeat
        last = vm:run { timeout = 10 }
        check_type("vm:run()", last, "hv.exit")
    until last.kind == "fault" or last.kind == "halt" or last.kind == "timeout"
    t.eq(last.kind, arch == "arm64" and "fault" or "halt")
    vm:close()
    vm = t.guest(open, { arm64 = "hvc #0", x86_64 = "out %al, $0xe8" })
    vm:on("hvc", function() vm:close() end)
    check_type("the exit of a machine that is closed", vm:run(), "hv.exit")
    ran[arch] = true
end)

-- ---- option tables -----------------------------------------------------------

-- Literals that an option's type allows are those that the refusal of another lists.
local function check_literals(what, field, try)
    local said = literals(field.type)
    local first = next(said)
    local _, why = pcall(try, math.type(first) and 77 or "qqqqqqqqqq")
    local use = first and why and why:match "use ([^\n]* or [^\n]*)$"
    if use then
        said["or"] = true
        compare(what, said, set(use))
    end
    return use ~= nil
end

local SAMPLES = {
    boolean = true, integer = 1, float = 0.5, string = "1", ["function"] = print,
    table = {}, userdata = io.stdout, thread = coroutine.create(print),
}
-- A value is refused for its type where meta.lua says another, and only there.
local function check_samples(what, field, give)
    local first = next(literals(field.type))
    for kind, sample in pairs(SAMPLES) do
        local ok, why = pcall(give, sample)
        local refused = not ok and (why:find " expected" or why:find " must be a"
            or why:find " not a 64%-bit integer" or why:find ": use .* or ") and true
        local whole, fit = pcall(fits, sample, field.type)
        fit = whole and fit -- a table without its fields does not
        if type(sample) ~= type(first) and refused == fit then
            error(("%s: a %s is %s, want %s"):format(what, kind, ok and "taken" or why,
                                                     field.type.text))
        end
    end
end

-- The fields that cannot be left out, without one of them.
local function others(name, base, missing)
    local given = {}
    for key, field in pairs(classes[name].fields) do
        if key ~= missing and not field.optional then
            given[key] = 1 << 20
        end
    end
    for key, value in pairs(base) do
        given[key] = key ~= missing and value or nil
    end
    return given
end

-- `try` gives a table of options to their function, which lists its fields when one
-- is like none of them. base(key) are those of which it needs some, to look at `key`.
-- The result is how many of them list their values likewise.
local function check_options(name, try, base)
    local _, why = pcall(try, { qqqqqqqqqq = 1 })
    local live = why:match "the fields are ([^\n]*)$"
        or why:match "known options are ([^\n]*)$"
    compare(name, members(name), set(t.ok(live, why)))
    local listed, whole = 0, not name:find "%.fields$"
    base = base or function() return {} end
    local _, bare = pcall(function() try(others(name, base())) end)
    for key, field in pairs(classes[name].fields) do
        local what = name .. "." .. key
        local function give(value)
            local given = others(name, base(key), key)
            given[key] = value
            try(given)
        end
        check_samples(what, field, give)
        listed = listed + (check_literals(what, field, give) and 1 or 0)
        if whole and field.optional then
            t.ok(not bare or not bare:find(" " .. key .. ": ", 1, true), bare)
        elseif whole then
            t.raises(function() try(others(name, base(key), key)) end, key .. ":")
        end
        looked_at[what], looked_at[what .. "?"] = true, whole
    end
    return listed
end

t.test("options of functions that need no machine", function()
    t.eq(check_options("hv.vm.options", hv.vm), 2, "arch and backend list their values")
    t.eq(check_options("hv.asm.options", function(opts)
        opts.arch = opts.arch or (opts.bits or opts.syntax) and "x86_64" or nil
        hv.asm("", opts)
    end), 3, "so do arch, bits and syntax")
    check_options("hv.image.options", function(opts) hv.image.from("x", opts) end)
    check_options("hv.spawn.options", function(opts)
        local w <close> = hv.spawn(opts)
        t.ok(w)
    end, function() return { function() end } end)
end)

t.on("options of methods and devices", function(open, _, arch)
    check_options("hv.map.options", function(opts)
        local fresh <close> = open()
        fresh:map(opts)
    end)
    local vm, device = open { memory = "64K" }, hv.device
    check_options("hv.run.options", function(opts) vm:run(opts) end)
    check_options("hv.doorbell", function(opts) vm:hypercall(opts) end, function()
        return { via = "mmio", at = 1 << 30 }
    end)
    local cpu = vm:vcpu()
    check_options("hv.event." .. arch, function(event) cpu:inject(event) end)
    check_options("hv.pl011.options", function(opts) device.pl011(vm, opts) end)
    if arch == "x86_64" then -- it has ports
        t.eq(check_options("hv.uart16550.options", function(opts)
            device.uart16550(vm, opts)
        end), 1, "shift lists its values")
        t.eq(check_options("hv.device.exit.options", function(opts)
            device.exit(vm, opts)
        end), 1, "style lists its values")
        check_options("hv.attach.options", function(opts)
            local fresh <close> = open()
            fresh:attach(opts)
        end, function(key)
            local ports = key == "port" or key == "count"
            return ports and { port = 0x60, read = print }
                or { at = 0, size = 1, read = print }
        end)
        compare("hv.segment", members "hv.segment", names(cpu.cs))
        compare("hv.table", members "hv.table", names(cpu.gdtr))
        check_options("hv.segment.fields", function(fields) cpu.cs = fields end)
        check_options("hv.table.fields", function(fields) cpu.gdtr = fields end)
    end
end)

t.on("arm64", "gic", function(open)
    local vm = open()
    local there, gic = pcall(vm.gic, vm, { distributor = 0x8000000, redistributor = 0x80a0000 })
    t.ok(there or gic:find "not on this backend", gic)
    check_options("hv.gic.options", function(opts) vm:gic(opts) end, function()
        return { msi = { at = 0x20000000, first = 64, count = 32 } }
    end)
    check_options("hv.gic.msi", function(opts)
        vm:gic { distributor = 0x8000000, redistributor = 0x80a0000, msi = opts }
    end, function() return { first = 64, count = 32 } end)
    if there then
        compare("hv.gic", members "hv.gic",
                names(debug.getmetatable(gic), { ranges = true }))
        check_functions("hv.gic", gic)
        check_fields("hv.gic", gic)
        vm:vcpu()
        check_type("gicd_ctlr", gic.gicd_ctlr, classes["hv.gic"].index[2])
    end
end)

t.on("declared hypercalls", function(open, _, arch)
    local vm = open { memory = "64K" }
    local abi = hv.abi("lab", { a = { 1, "u8 x" }, s = hv.struct { "u8 x" },
                                e = hv.enum { "x" }, f = hv.flags { "x" } })
    check_type("hv.abi()", abi, "hv.abi")
    compare("hv.abi", members "hv.abi", names(abi, getmetatable(abi).__index))
    check_fields("hv.abi", abi)
    check_functions("hv.abi", abi)
    members "hv.server" -- it has more, which is its own business
    check_options("hv.serve.options", function(opts) vm:serve(abi, {}, opts) end)
    check_options("hv.trace.options", function(opts) vm:trace(opts) end)
    vm:trace { hypercalls = function() end }
    local arm = arch == "arm64"
    vm:load(0x1000, arm and "\x02\0\0\xd4\x7f\x20\x03\xd5" or "\xe6\xe8\xf4") -- and wait
    vm:vcpu(arm and { pc = 0x1000, x0 = 1 } or { rip = 0x1000, rax = 1 })
    local server = vm:serve(abi, {})
    check_fields("hv.server", server)
    vm:run { timeout = 20 }
    check_type("an event", server.last, "hv.serve.event")
    check_fields("hv.serve.event", server.last)
    check_fields("hv.server", server)
    check_type("vm:trace()", vm:trace()[1], "hv.trace.row")
    local path <const> = os.tmpname()
    local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
    local recording = abi:record(path)
    local replay = abi:replay(path)
    check_type("abi:record()", recording, "hv.recording")
    check_fields("hv.recording", recording)
    check_functions("hv.recording", recording)
    check_type("abi:replay()", replay, "hv.replay")
    check_fields("hv.replay", replay)
    check_functions("hv.replay", replay)
    members "hv.recording" -- they have more, as the server has
    members "hv.replay"
    recording:close()
    local half <close> = assert(io.open(path, "a"))
    half:write "cut"
    half:close()
    check_fields("hv.replay", abi:replay(path))
    server = vm:serve(abi, { a = function()
        vm:close()
        return nil, "EPERM"
    end })
    local cpu = vm.cpus[1]
    cpu.pc, cpu[arm and "x0" or "rax"] = 0x1000, 1
    vm:run { timeout = 20 }
    check_fields("hv.serve.event", server.last)
end)

-- ---- what is written in Lua --------------------------------------------------

t.test("images", function()
    compare("hv.images", members "hv.images", names(hv.image))
    check_functions("hv.images", hv.image)
    t.eq(classes["hv.images"].call.params, { "path", "opts" })
    local image, raw = hv.asm "nop", hv.image.from "raw"
    local bare = hv.image.new { name = "bare", base = 0, segments = {}, symbols = {} }
    local metatable = getmetatable(image)
    t.ok(image.segments and image.bytes)
    compare("hv.image", members "hv.image",
            names(image, raw, upvalue(metatable.__index, "methods")))
    t.eq(metatable.__len ~= nil, classes["hv.image"].operators.len)
    for _, each in ipairs { image, raw, bare } do
        check_fields("hv.image", each)
        check_functions("hv.image", each)
        check_type("an image", each, "hv.image")
    end
end)

t.test("workers and reports", function()
    local w <close> = hv.spawn(function(worker)
        worker:send "unheard"
        worker:mark "seen"
        local found = {}
        for name in pairs(getmetatable(worker).__index) do
            found[name] = not name:find "^__" or nil
        end
        return found
    end)
    local report = w:wait(20)
    t.ok(report.ok, report.error)
    check_type("wait()", report, "hv.report")
    compare("hv.worker.self", members "hv.worker.self", report.results[1])
    -- of its fields those are public that the comment above the source names
    local live = names(upvalue(getmetatable(w).__index, "methods"))
    for line in io.lines(t.folder .. "/scripts/hv/spawn.lua") do
        for key in (line:match "^%-%-.*" or ""):gmatch "worker%.([%a_]+)" do
            live[key] = true
        end
    end
    compare("hv.worker", members "hv.worker", live)
    check_functions("hv.worker", w)
    check_fields("hv.worker", w)
    check_type("hv.spawn()", w, "hv.worker")
    local dead <close> = hv.spawn(function(worker) worker:receive() end)
    check_fields("hv.worker", dead)
    dead:kill()
    check_type("wait()", dead:wait(20), "hv.report")
end)

t.on("devices and x86", function(open, _, arch)
    compare("hv.devices", members "hv.devices", names(hv.device))
    local loaded = {}
    for name in pairs(hv.device) do
        loaded[name] = require("hv.device." .. name)
    end
    check_functions("hv.devices", loaded)
    local vm = open { memory = "64K" }
    for i, name in ipairs { "uart16550", "pl011" } do
        local uart = hv.device[name](vm, { at = i << 24 })
        compare("hv.uart", members "hv.uart", names(getmetatable(uart).__index))
        check_functions("hv.uart", uart)
    end
    compare("hv.x86", members "hv.x86", names(hv.x86))
    check_functions("hv.x86", hv.x86)
    if arch == "x86_64" then
        local said = members "hv.vcpu.x86_64.options"
        for _, registers in ipairs { hv.x86.protected(), hv.x86.long(vm, 0x1000) } do
            for name, value in pairs(registers) do
                t.ok(said[name], name)
                t.eq(type(value) == "table", said[name].type.text == "hv.segment", name)
            end
        end
    end
end)

t.test("options of hv.cc", function()
    local known = {} -- a text of each kind would have to be compiled
    for key in (t.raises(function() hv.cc { qqqqqqqqqq = 1 } end, "known options are ")
        :match "known options are ([^\n]*)"):gmatch "[%w_]+" do
        known[key] = true
    end
    compare("hv.cc.options", members "hv.cc.options", known)
    for key in pairs(known) do
        note("hv.cc.options", key, true)
        note("hv.cc.options", key, nil)
    end
end)

t.test("nothing in meta.lua was passed over", function()
    if not (ran.arm64 and ran.x86_64) then
        t.skip "there were not guests of both architectures"
    end
    local missed = {}
    for name, class in pairs(classes) do
        if not looked_at[name] and not (of_hvf(name) and not has_hvf) then
            missed[#missed + 1] = name
        end
        for key, field in pairs(class.fields) do
            local what = name .. "." .. key
            local seen = looked_at[what] and looked_at[what .. "?"]
            if field.optional and not seen and not (of_hvf(what) and not has_hvf) then
                missed[#missed + 1] = what
            end
        end
    end
    table.sort(missed)
    t.ok(#missed == 0, "nothing live was seen of " .. table.concat(missed, ", "))
end)
