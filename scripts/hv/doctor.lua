-- SPDX-License-Identifier: MIT
--- hvlua [--backend=NAME] [--arch=NAME] doctor [--json]: what works on this machine,
-- all of it or of that; of the rest why not, and the command that fixes it. Nothing is
-- taken for granted: each backend runs a guest, in a process of its own, and the
-- assembler assembles.
--
-- doctor(argument...) --> true: each architecture has a backend and an assembler
--
-- A check: { check=, name=, arch=, status=, detail=, fix=, version= }; status is
--   ok    it works
--   warn  it works, but should be better
--   no    it does not; hvlua may do without
--   fail  it does not, and something is missing without it

local core = require "hv.core"
local hv = require "hv"

-- What the program was told to look at; all there is unless it was.
local function chosen(b)
    local only = core.defaults
    return (only.backend or b.name) == b.name and (only.arch or b.arch) == b.arch
end

-- The architectures that it is about: a backend that was chosen may have but one.
local function arches()
    local list = {}
    for _, arch in ipairs { "arm64", "x86_64" } do
        local possible = false
        for _, b in ipairs(hv.backends()) do
            possible = possible or chosen(b) and b.arch == arch
                and (b.ok or core.defaults.arch or not b.why:find "^%w+ runs ")
        end
        list[#list + 1] = possible and arch or nil
    end
    return #list > 0 and list or { core.defaults.arch or "arm64" }
end

-- ---- JSON --------------------------------------------------------------

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t",
                  ["\r"] = "\\r", ["\b"] = "\\b", ["\f"] = "\\f" }

-- JSON is UTF-8: bytes that are not become U+FFFD each.
local function valid(s)
    local pieces, from = {}, 1
    while from <= #s do
        local _, bad = utf8.len(s, from)
        pieces[#pieces + 1] = s:sub(from, (bad or #s + 1) - 1)
        if bad then
            pieces[#pieces + 1] = "\u{FFFD}"
        end
        from = (bad or #s) + 1
    end
    return table.concat(pieces)
end

local function json_string(s)
    return '"' .. valid(s):gsub('[%c"\\]', function(c)
        return ESCAPES[c] or ("\\u%04x"):format(c:byte())
    end) .. '"'
end

-- Strings, numbers, booleans, lists and tables with string keys.
local function json(value)
    local parts = {}
    if type(value) == "string" then
        return json_string(value)
    elseif type(value) ~= "table" then
        return tostring(value)
    elseif #value > 0 then
        for i, item in ipairs(value) do
            parts[i] = json(item)
        end
        return "[" .. table.concat(parts, ",\n") .. "]"
    end
    for name, item in pairs(value) do
        parts[#parts + 1] = json_string(name) .. ": " .. json(item)
    end
    table.sort(parts)
    return "{" .. table.concat(parts, ", ") .. "}"
end

-- ---- commands that fix -------------------------------------------------

local INSTALL = { -- what has libunicorn and clang, by package manager
    { "apt-get", "sudo apt-get install libunicorn2 clang" },
    { "dnf", "sudo dnf install unicorn clang" },
    { "pacman", "sudo pacman -S unicorn clang" },
    { "brew", "brew install unicorn" },
}

-- pcall, but Ctrl-C is for who called us, and no finding.
local function try_call(fn, ...)
    local results = table.pack(pcall(fn, ...))
    if not results[1] and tostring(results[2]):find("interrupted!", 1, true) then
        error(results[2], 0)
    end
    return table.unpack(results, 1, results.n)
end

local function runs(program)
    local ok, status = try_call(core.pipe, { program, "--version" })
    return ok and status == 0
end

-- The command that installs what hvlua needs: `make deps`, as it works from here,
-- where this is the source tree. First `variable` goes, if that is what is wrong.
-- `newer`: the system's package is there already, and is too old.
local function install(variable, newer)
    local given = variable and os.getenv(variable)
    if given and given ~= "" then
        return "unset " .. variable
    end
    local folder = package.path:match "^(.-)/scripts/%?%.lua"
    local makefile <close> = folder and io.open(folder .. "/Makefile")
    if makefile then
        return folder == os.getenv "PWD" and "make deps"
            or ("make -C '%s' deps"):format(folder:gsub("'", "'\\''"))
    end
    for _, manager in ipairs(newer and {} or INSTALL) do
        if runs(manager[1]) then
            return manager[2]
        end
    end
end

-- KVM's module is the processor's maker's; without its feature none will do.
local function load_kvm()
    local file <close> = io.open "/proc/cpuinfo"
    local text = file and file:read "a" or ""
    if text:find "%f[%w]vmx%f[%W]" then
        return "sudo modprobe kvm_intel"
    elseif text:find "%f[%w]svm%f[%W]" then
        return "sudo modprobe kvm_amd"
    end
    return nil -- no command can
end

-- Core's sentences have the command in backquotes.
local function fix_in(why)
    local command = why:match "`([^`]*)`"
    if command == "make deps" or why:find "HVLUA_LIBUNICORN" then
        return install("HVLUA_LIBUNICORN", why:find "or newer")
    elseif command and command:find "modprobe" then
        return load_kvm()
    end
    return command
end

-- ---- backends ----------------------------------------------------------

local CODE = {
    arm64 = string.pack("<I4", 0xd4000002), -- hvc #0
    x86_64 = "\xe6\xe8",                    -- out %al, $0xe8
}

-- In a worker: one instruction of a guest, up to its handler. --> page size,
-- seconds
local function try(_, backend, arch)
    local before = core.clock()
    local vm <close> = hv.vm { backend = backend, arch = arch, memory = "64K" }
    vm:load(0x1000, CODE[arch])
    vm:hypercall(0, function(cpu) cpu:stop(42) end)
    vm:vcpu { [arch == "arm64" and "pc" or "rip"] = 0x1000 }
    local exit = vm:run { timeout = 5 }
    if exit.kind ~= "stop" or exit.value ~= 42 then
        error(("the guest's first instruction ended in: %s %s")
              :format(exit.kind, exit.why or ""), 0)
    end
    return vm.page_size, core.clock() - before
end

-- The results of try(), or nil and why.
local function trial(backend, arch)
    local worker <close> = hv.spawn(try, backend, arch)
    local report = worker:wait(20)
    if not report then
        return nil, "a guest of one instruction does not end"
    elseif not report.ok then
        return nil, report.error:match("^[^\n]*"):gsub("^[^:]*%.lua:%d+: ", "")
    end
    return table.unpack(report.results)
end

local function check_backend(b)
    local check = { check = "backend", name = b.name, arch = b.arch, status = "no" }
    if not b.ok then
        check.detail = b.why
        check.fix = fix_in(b.why)
        return check
    end
    local page_size, seconds = trial(b.name, b.arch)
    if not page_size then
        check.detail = "a guest was tried: " .. seconds
        check.fix = fix_in(seconds)
        check.status = "fail"
    else
        check.status = "ok"
        check.detail = ("ran a guest in %.1f ms, pages of %d bytes")
            :format(seconds * 1e3, page_size)
        check.page_size = page_size
    end
    return check
end

local function check_backends(checks)
    local about
    for _, b in ipairs(hv.backends()) do
        checks[#checks + 1] = chosen(b) and check_backend(b) or nil
        about = about or b.name == "unicorn" and b.about
    end
    return about
end

-- What macOS has brought over the years, by a function of each and a name of
-- hv.caps().
local FEATURES = {
    { name = "memory", since = "hv_vm_allocate", what = "the framework's own allocation" },
    { name = "ipa_size", since = "hv_vm_config_set_ipa_size", what = "wider addresses" },
    { name = "el2", since = "hv_vm_config_set_el2_enabled", what = "guests with EL2",
        cap = "el2" },
    { name = "gic", since = "hv_gic_create", what = "GICv3" },
    { name = "sme", since = "hv_vcpu_get_sme_state", what = "SME registers", cap = "sme" },
    { name = "ipa_granule", since = "hv_vm_config_set_ipa_granule", what = "4 KiB pages" },
}

-- Nothing of it is needed: "no" is only what a script cannot have here.
local function check_features(checks)
    local ok, caps = try_call(hv.caps, "hvf", "arm64")
    if not ok or not chosen { name = "hvf", arch = "arm64" } then
        return -- the backend's own check says why
    end
    local missing = caps.missing or {}
    for _, feature in ipairs(FEATURES) do
        local since = missing[feature.since]
        local there = not since and (not feature.cap or caps[feature.cap])
        checks[#checks + 1] = {
            check = "feature", name = feature.name, arch = "arm64", version = caps.macos,
            status = there and "ok" or "no",
            detail = since and ("hvf: %s: came with macOS %s, this is %s")
                    :format(feature.what, since, caps.macos or "older")
                or there and ("hvf: %s"):format(feature.what)
                or ("hvf: %s: this processor has none"):format(feature.what),
        }
    end
end

local function check_unicorn(about)
    local check = { check = "libunicorn", name = "libunicorn" }
    local major, minor = (about or ""):match "(%d+)%.(%d+)"
    if not major then
        check.status, check.detail = "no", "not found"
        check.fix = install "HVLUA_LIBUNICORN"
        return check
    end
    check.status = "ok"
    check.detail = about:gsub("^libunicorn ", "")
    check.version = about:match "%d+%.%d+%.?%d*"
    if tonumber(major) == 2 and tonumber(minor) < 1 then
        check.status = "warn"
        check.detail = check.detail .. ": older than 2.1: guests store 20 times "
            .. "slower, can abort hvlua, and cannot be x86_64"
        check.fix = install("HVLUA_LIBUNICORN", true)
    end
    return check
end

-- ---- tools -------------------------------------------------------------

local function first_line(text)
    return text:match "^%s*([^\n]*)"
end

-- What `program --version` says first; nil: it does not run.
local function version_of(program)
    local ok, status, out = try_call(core.pipe, { program, "--version" })
    return ok and status == 0 and first_line(out) or nil
end

local SAMPLE = {
    arm64 = { text = "hvc #0", bytes = CODE.arm64 },
    x86_64 = { text = "out %al, $0xe8", bytes = CODE.x86_64 },
}

local function check_assembler(arch)
    local check = { check = "assembler", name = "assembler", arch = arch }
    local sample = SAMPLE[arch]
    local ok, image = try_call(hv.asm, sample.text, { arch = arch, name = "sample" })
    if not ok then
        check.status, check.fix = "fail", install "HVLUA_AS"
        check.detail = first_line(image):gsub("^sample: asm: ", "")
    elseif image.bytes ~= sample.bytes then
        check.status, check.fix = "fail", install "HVLUA_AS"
        check.detail = image.assembler .. ": assembles something else"
    else
        check.status = "ok"
        check.version = version_of(image.assembler)
        check.detail = ("%s: %s"):format(image.assembler, check.version or "")
    end
    return check
end

-- Only builds need it, and this one is built.
local function check_compiler(host)
    local check = { check = "compiler", name = "compiler", status = "ok" }
    local given = os.getenv "CC"
    local name = given and given:match "%S+" or "cc"
    check.version = version_of(name)
    check.detail = ("%s: %s; this hvlua is by %s")
        :format(name, check.version or "not found", host.compiler)
    if not check.version then
        check.status, check.fix = "no", install "CC"
    end
    return check
end

-- ---- the host ----------------------------------------------------------

local function limit(name, value, unit, least, fix)
    local low = value and value < least
    return {
        check = "limit", name = name, status = low and "warn" or "ok",
        value = value, fix = low and fix or nil,
        detail = (value and ("%d %s"):format(value, unit) or "no limit")
            .. (low and ": few" or ""),
    }
end

local function check_host(checks, host)
    local function add(check)
        checks[#checks + 1] = check
    end
    add { check = "lua", name = "Lua", status = "ok", detail = host.lua,
          version = host.lua:match "%d[%d.]*" }
    add { check = "page size", name = "page size", status = "ok",
          detail = ("%d bytes"):format(host.page_size), value = host.page_size }
    add { check = "processors", name = "processors", status = "ok",
          detail = tostring(host.cpus), value = host.cpus }
    add(limit("open files", host.files, "files: a vcpu on kvm takes one", 256,
              "ulimit -n 1024"))
    add(limit("memory", host.memory, "bytes of addresses: guests' memory too",
              4 << 30, "ulimit -v unlimited"))
    add(limit("processes", host.processes, "threads and workers", 64,
              "ulimit -u 1024"))
end

-- ---- the whole ---------------------------------------------------------

-- What has to work for each architecture, in words where it does not.
local function verdict(checks)
    local missing = {}
    for _, arch in ipairs(arches()) do
        for _, kind in ipairs { "backend", "assembler" } do
            local found
            for _, check in ipairs(checks) do
                found = found or check.check == kind and check.arch == arch
                    and check.status == "ok"
            end
            if not found then
                missing[#missing + 1] = ("no %s for %s guests"):format(kind, arch)
            end
        end
    end
    return missing
end

local function examine()
    local host, checks = core.host(), {}
    local about = check_backends(checks)
    check_features(checks)
    checks[#checks + 1] = check_unicorn(about)
    for _, arch in ipairs(arches()) do
        checks[#checks + 1] = check_assembler(arch)
    end
    checks[#checks + 1] = check_compiler(host)
    check_host(checks, host)
    return checks, ("%s %s %s"):format(host.system, host.release, host.machine)
end

-- Checks of one group stand together.
local GROUP = { backend = 1, feature = 2 }

local function print_table(checks, system)
    print(("hvlua %s on %s"):format(hv.version, system))
    for i, check in ipairs(checks) do
        if i == 1 or GROUP[check.check] ~= GROUP[checks[i - 1].check] then
            print()
        end
        print(("%-11s %-7s %-5s %s"):format(check.name, check.arch or "",
                                            check.status, check.detail))
        if check.fix then
            print(("%25s fix: %s"):format("", check.fix))
        end
    end
end

local function bad_argument(argument)
    local near = argument:find "json" or argument == "-j"
    io.stderr:write(("hvlua: doctor: unrecognized argument '%s'%s\n"):format(
        argument, near and ": did you mean '--json'?" or ": it takes --json"))
    return false
end

return function(...)
    local as_json = false
    for _, argument in ipairs { ... } do
        if argument ~= "--json" then
            return bad_argument(argument)
        end
        as_json = true
    end
    local checks, system = examine()
    local missing = verdict(checks)
    if as_json then
        print(json {
            ok = #missing == 0, version = hv.version, system = system,
            checks = checks,
        })
    else
        print_table(checks, system)
        print("\n" .. (#missing == 0
            and (next(core.defaults) and "Guests of %s have a backend and an assembler."
                or "Every architecture has a backend and an assembler.")
                :format(table.concat(arches(), ", "))
            or "Missing: " .. table.concat(missing, ", ") .. "."))
    end
    return #missing == 0
end
