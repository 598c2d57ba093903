-- SPDX-License-Identifier: MIT
-- Every demo runs, and prints what it should.
local t = ...
local hv = require "hv"

local function can(arch)
    local whys = {}
    for _, b in ipairs(hv.backends()) do
        if b.arch == arch and b.ok then
            return arch == "arm64" and t.hypercalls(b)
        end
        whys[#whys + 1] = b.why
    end
    t.skip(table.concat(whys, "; "))
end

local function run(name, ...)
    local argv = { t.hvlua, ... }
    argv[#argv + 1] = ("%s/scripts/demos/%s.lua"):format(t.folder, name)
    local status, out, err = t.run(argv)
    local refused = err:match "unicorn: [^\n]*needs 2%.1[^\n]*"
    if refused then
        t.skip(refused)
    end
    t.eq({ status, err }, { 0, "" })
    return out
end

t.test("hello", function()
    can "arm64"
    t.eq(run "hello", "Hello from the guest\nstop\t42\n")
end)

t.test("minimal-arm64", function()
    can "arm64"
    t.eq(run "minimal-arm64", [[
machine: created
memory: 32768 bytes at 0x0
exit reason: 1
  physical_address: 0x0
  virtual_address: 0x0
  syndrome: 0x5a000000
HVC executed in Guest
X0 from Guest: 0x41
memory: unmapped
machine: closed
]])
end)

t.test("brk", function()
    can "arm64"
    t.eq(run "brk", [[
kind:            brk
exception class: 0x3c
x0:              0x42
pc:              0x4004, at the breakpoint
]])
end)

-- Those with guests in C need a compiler for them; each backend prints the same.
local function with_cc(name, want)
    for _, b in ipairs(hv.backends()) do
        t.test(("%s [%s %s]"):format(name, b.name, b.arch), function()
            if not b.ok then
                t.skip(b.why)
            elseif b.arch == "arm64" then
                t.hypercalls(b)
            end
            local ok, why = pcall(hv.cc, { text = "long main(void) { return 0; }", arch = b.arch })
            if not ok and why:find "install " then
                t.skip(why)
            end
            t.eq(run(name, "--backend=" .. b.name, "--arch=" .. b.arch), want)
        end)
    end
end

with_cc("abi-console", "What is said here is counted.\n\27[32m1: \27[0mfirst\n"
    .. "\27[32m2: \27[0msecond\n\27[32m3: \27[0mand the third\nstop\t3\n")
with_cc("abi-kv", [[
put            0
put again      -17
replace        0
get            3
get nothing    -2
stat           0
its writes     2
entries        2
answer         3
remove         0
remove again   -2
a bad pointer  -14
server of kv: 23 calls, 4 errors	0
]])
with_cc("abi-block", [[
read	EINVAL	the handler says so
read	EFAULT	data: 512 bytes at 0xffffff00
done
true	2
]])
with_cc("abi-versions", [[
log: the guest is built for version 1, the host has version 2
warning: from the second version
]])

-- What `make smoke` runs.
t.on("arm64", "a first look", function(open, backend)
    open():close() -- where the library is too old it says so here
    local status, out, err = t.run { t.hvlua, "--backend=" .. backend,
                                     t.folder .. "/tests/smoke.lua" }
    t.eq({ status, err }, { 0, "" }, out)
    t.ok(out:find("^ok +a machine on " .. backend) and not out:find "not ok", out)
    t.ok(out:find(("\nhvlua %s works here, on %s\n$"):format(hv.version, backend)), out)
end)

-- The demos for x86_64 say no backend: they must do the same on each.
for _, b in ipairs(hv.backends()) do
    if b.arch == "x86_64" then
        local backend = "--backend=" .. b.name
        local function each(name, want)
            t.test(("%s [%s]"):format(name, b.name), function()
                if not b.ok then
                    t.skip(b.why)
                end
                t.eq(run(name, backend), want)
            end)
        end
        each("minimal-kvm", "exit: halt\nrip:  4097, behind the hlt\n")
        each("serial", [[
Starting VM...
Hello from VM!
unhandled write to port 0x80: 0x0
ended by stop, code 7
Final RIP: 0x22
Starting the original bytes...
unhandled write to port 0xf8: 0x6f
ounhandled write to port 0xf8: 0x6f
ounhandled write to port 0xf8: 0x6f
ounhandled write to port 0xf8: 0x6f
ounhandled write to port 0xf8: 0x6f
ounhandled write to port 0xf8: 0x6f
o
ended by budget
Final RIP: 0xE
]])
    end
end

-- The two machines' lines mix as they come: each one's own must be in order.
t.test("tinyvmm", function()
    can "arm64"
    local out = run "tinyvmm"
    for id = 1, 2 do
        local at = 1
        for _, line in ipairs {
            ("[Parent] Started VM %d (PID "):format(id),
            ("[VM %d] VM created, guest memory: GPA 0x0 - 0x100000\n"):format(id),
            ("[VM %d] vCPU initialized: PC=0x10000, SP=0xff000\n"):format(id),
            ("[VM %d] Loaded 96 bytes of guest code at GPA 0x10000\n"):format(id),
            ("[VM %d] --- Guest Output ---\n"):format(id),
            ("Hello from VM %d!\n"):format(id),
            ("VM %d: 0 1 2 3 4 \n"):format(id),
            ("[VM %d] --- End Guest Output ---\n"):format(id),
            ("[VM %d] VM destroyed\n"):format(id),
            ("[Parent] VM %d completed successfully\n"):format(id),
        } do
            local found = out:find(line, at, true)
            t.ok(found, ("missing or out of order: %s in\n%s"):format(line, out))
            at = found + #line
        end
    end
end)
