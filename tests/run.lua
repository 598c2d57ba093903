-- SPDX-License-Identifier: MIT
--- The test runner: hvlua tests/run.lua [pattern...]
--
-- Runs every tests/*.lua and every C test in $HVLUA_BUILD/tests, prints TAP, and
-- last one line "N passed, N failed, N skipped". (smoke.lua is no test of its own.)
-- Patterns pick tests by "file: name". A test file gets this table as its argument:
--
--   t.test(name, fn)            a test; it fails by raising
--   t.on([arch,] name, fn)      one for each backend and architecture: fn(open,
--                               backend, arch), where open{...} is hv.vm{...} there;
--                               skipped where the backend cannot, saying why
--   t.guest(open, code [, registers]) --> vm, cpu: 1 MiB of memory, the code (a
--                               text for each architecture; x86_64 in real mode)
--                               loaded at 0x1000 and pc there, sp at 0x8000
--   t.several(open)             the test wants several machines in one process: skipped
--                               where the backend has one only
--   t.eq(got, want [, note])    the same, tables by content
--   t.ok(value [, note])
--   t.raises(fn, text)          fn raises, and the message has `text` in it
--   t.skip(why)                 give this test up
--   t.hypercalls(backend)       the same, where the guest's own do not arrive
--   t.debugs(backend, arch)     the same, where the processor does not debug guests
--   t.run(argv [, input])       run a program --> status, stdout, stderr
--   t.hvlua                     the program under test, t.folder its folder
--   t.sanitized                 is it built with a sanitizer?
--   t.double                    is its backend hvf on the double (tests/fakehv)?
--   t.fewer(n)                  how often to do what takes long: n times, or where
--                               the machine is emulated itself, a tenth of that

local hv = require "hv"
local core = require "hv.core"

local t = {
    hvlua = arg[-1],
    folder = arg[0]:match "^(.*)/tests/[^/]*$" or ".",
    sanitized = arg[-1]:find "hvlua%-address[^/]*$" or arg[-1]:find "hvlua%-thread$",
}

-- There is no framework where a program is an ELF file.
local program <close> = io.open(t.hvlua, "rb")
t.double = program ~= nil and program:read(4) == "\x7fELF"

local patterns = arg
local count = { ok = 0, failed = 0, skipped = 0, all = 0 }
local current -- the file whose tests these are
local SKIP = {} -- marks a skip among errors

local function say(format, ...)
    io.write(format:format(...), "\n")
    io.flush()
end

local function diagnostics(text)
    for line in (text .. "\n"):gmatch "(.-)\n" do
        say("# %s", line)
    end
end

local function wanted(title)
    for _, pattern in ipairs(patterns) do
        if title:find(pattern) then
            return true
        end
    end
    return #patterns == 0
end

local function pass(title)
    count.all, count.ok = count.all + 1, count.ok + 1
    say("ok %d - %s", count.all, title)
end

local function fail(title, why)
    count.all, count.failed = count.all + 1, count.failed + 1
    say("not ok %d - %s", count.all, title)
    diagnostics(why)
end

local function skip(title, why)
    count.all, count.skipped = count.all + 1, count.skipped + 1
    say("ok %d - %s # SKIP %s", count.all, title, why)
end

-- ---- assertions --------------------------------------------------------

local function show(value, depth)
    if type(value) == "string" then
        return ("%q"):format(value)
    elseif math.type(value) == "integer" and (value > 9 or value < 0) then
        return ("%d (0x%x)"):format(value, value)
    elseif type(value) ~= "table" or (depth or 0) > 3 then
        return tostring(value)
    end
    local fields = {}
    for k, v in pairs(value) do
        fields[#fields + 1] = ("%s = %s"):format(tostring(k),
                                                 show(v, (depth or 0) + 1))
    end
    table.sort(fields)
    return "{ " .. table.concat(fields, ", ") .. " }"
end

local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
        return a == b and math.type(a) == math.type(b)
    end
    for k, v in pairs(a) do
        if not same(v, b[k]) then
            return false
        end
    end
    for k in pairs(b) do
        if a[k] == nil then
            return false
        end
    end
    return true
end

function t.eq(got, want, note)
    if not same(got, want) then
        error(("%sgot %s, want %s"):format(note and note .. ": " or "",
                                           show(got), show(want)), 2)
    end
end

function t.ok(value, note)
    if not value then
        error(note or "not true", 2)
    end
    return value
end

function t.raises(fn, text)
    local ok, why = pcall(fn)
    if ok then
        error(("did not raise; want an error with %q"):format(text), 2)
    elseif not tostring(why):find(text, 1, true)
        and not tostring(why):find(text) then
        error(("raised %q, without %q"):format(tostring(why), text), 2)
    end
    return why
end

function t.fewer(n)
    return os.getenv "HVLUA_NESTED" and n // 10 or n
end

function t.skip(why)
    error(setmetatable({ why = why }, SKIP), 0)
end

-- A program that says it cannot have hypercalls here is given up.
function t.run(argv, input)
    local status, out, err = core.pipe(argv, input or "")
    local why = err and err:match "kvm: hypercall: Linux [^\n]* keeps hvc to itself[^\n]*"
    if why and status ~= 0 then
        t.skip(why)
    end
    return status, out, err
end

-- What goes before a program for Ctrl-C to reach it, also where these tests are run in
-- the background or by nohup. nil: it does as it does here.
function t.foreground()
    local status = core.pipe({ "env", "--default-signal=INT", "true" }, "")
    return status == 0 and { "env", "--default-signal=INT" } or nil
end

-- ---- tests -------------------------------------------------------------

local function traceback(why)
    if getmetatable(why) == SKIP then
        return why
    end
    return debug.traceback(tostring(why), 2)
end

local old_library = false
for _, b in ipairs(hv.backends()) do
    old_library = old_library or (b.about or ""):find "^libunicorn 2%.0"
end

-- What an old library or kernel cannot do hvlua refuses in words: that is no failure.
local function refusal(why)
    return old_library and why:match "unicorn: [^\n]*needs 2%.1[^\n]*"
        or why:match "kvm: hypercall: Linux [^\n]* keeps hvc to itself[^\n]*"
        or os.getenv "HVLUA_NESTED" and why:find(": no input files", 1, true)
        and "this machine has no C compiler: its assembler is another machine's"
end

local function run(title, fn, ...)
    if not wanted(title) then
        return
    end
    local ok, why = xpcall(fn, traceback, ...)
    collectgarbage()
    if ok then
        pass(title)
    elseif getmetatable(why) == SKIP then
        skip(title, why.why)
    elseif refusal(why) then
        skip(title, refusal(why))
    else
        fail(title, why)
    end
end

function t.test(name, fn)
    run(("%s: %s"):format(current, name), fn)
end

local function close_all(machines)
    for vm in pairs(machines) do
        vm:close()
    end
end

-- Why the guest's own hypercalls do not arrive there, or nil.
local kept = {}

local function no_hypercalls(b)
    if kept[b.name] ~= nil then
        return kept[b.name] or nil
    end
    local vm <close> = hv.vm { backend = b.name, arch = b.arch }
    local ok, why = pcall(vm.hypercall, vm, 0, print)
    kept[b.name] = not ok and why:gsub("^%S+: ", "")
    return kept[b.name] or nil
end

-- Skip unless the guest's hypercalls arrive on this backend, one of hv.backends().
function t.hypercalls(b)
    local why = no_hypercalls(b)
    if why then
        t.skip(why)
    end
end

-- Skip where KVM is asked for what QEMU's processor does not have: at VMRUN 7.2 only
-- copies DR7, so that no breakpoint is armed, and INT3 is none of the exceptions of
-- which it asks KVM.
function t.debugs(backend, arch)
    if backend == "kvm" and arch == "x86_64" and os.getenv "HVLUA_NESTED" then
        t.skip "QEMU 7.2 looks at no debug register of KVM's, and does not ask it about INT3"
    end
end

-- Where they do not, a guest that makes one is not even assembled.
local function without_hypercalls(why)
    local asm = hv.asm
    hv.asm = function(text, ...)
        if type(text) == "string" and text:find "%f[%w]hvc%f[%W]" then
            t.skip(why)
        end
        return asm(text, ...)
    end
    return setmetatable({}, { __close = function() hv.asm = asm end })
end

function t.on(arch, name, fn)
    if fn == nil then
        arch, name, fn = nil, arch, name
    end
    for _, b in ipairs(hv.backends()) do
        local title = ("%s: %s [%s %s]"):format(current, name, b.name, b.arch)
        local possible = b.ok or not b.why:find "^%w+ runs " -- not here, ever
        if possible and (arch == nil or arch == b.arch) then
            run(title, function()
                if not b.ok then
                    t.skip(b.why)
                end
                local why = b.arch == "arm64" and no_hypercalls(b)
                local _ <close> = why and without_hypercalls(why) or nil
                local made <close> = setmetatable({}, {
                    __mode = "k", __close = close_all,
                })
                local function open(fields)
                    local config = { backend = b.name, arch = b.arch }
                    for k, v in pairs(fields or {}) do
                        config[k] = v
                    end
                    local vm = hv.vm(config)
                    made[vm] = true
                    return vm
                end
                fn(open, b.name, b.arch)
            end)
        end
    end
end

function t.guest(open, code, registers)
    local vm = open { memory = "1M" }
    local opts = { arch = vm.arch, bits = vm.arch == "x86_64" and 16 or nil }
    vm:load(0x1000, hv.asm(assert(code[vm.arch], "no code"), opts))
    local all = { pc = 0x1000, sp = 0x8000 }
    for name, value in pairs(registers or {}) do
        all[name] = value
    end
    return vm, vm:vcpu(all)
end

function t.several(open)
    local one = open()
    local ok, other = pcall(open)
    one:close()
    local why = not ok and other:match "[^ ]+: a process has one machine at a time"
    if why then
        t.skip(why)
    end
    t.ok(ok, other)
    other:close()
end

-- ---- files -------------------------------------------------------------

local function list(folder, pattern)
    local names = {}
    local _, out = core.pipe { "ls", folder }
    for name in (out or ""):gmatch "[^\n]+" do
        if name:find(pattern) then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

local function lua_tests()
    for _, name in ipairs(list(t.folder .. "/tests", "%.lua$")) do
        if name ~= "run.lua" and name ~= "smoke.lua" then
            local path = t.folder .. "/tests/" .. name
            local chunk, why = loadfile(path)
            current = name:gsub("%.lua$", "")
            if chunk then
                local ok
                ok, why = xpcall(chunk, traceback, t)
                why = not ok and why or nil
            end
            if why then
                fail(current .. ": loads", tostring(why))
            end
        end
    end
end

-- A C test prints TAP too; its lines become ours.
local function c_tests()
    local folder = os.getenv "HVLUA_BUILD"
    folder = folder and folder .. "/tests"
    for _, name in ipairs(folder and list(folder, "^[^.]+$") or {}) do
        if wanted(name .. ".c") then
            local status, out, err = core.pipe { folder .. "/" .. name }
            local seen = 0
            for verdict, title in (out or ""):gmatch "(n?o?t? ?ok) %d+ %- ([^\n]+)" do
                seen = seen + 1
                local why = title:match "# SKIP (.*)"
                title = ("%s.c: %s"):format(name, title)
                if verdict == "ok" then
                    (why and skip or pass)(title, why)
                else
                    fail(title, out)
                end
            end
            if status ~= 0 or seen == 0 then
                fail(name .. ".c: ends well",
                     ("status %s\n%s"):format(status, err or out))
            end
        end
    end
end

c_tests()
lua_tests()
say("1..%d", count.all)
say("%d passed, %d failed, %d skipped", count.ok, count.failed, count.skipped)
if count.all == 0 then
    io.stderr:write("run.lua: no test has a title like ", table.concat(patterns, ", "), "\n")
end
os.exit(count.failed == 0 and count.all > 0)
