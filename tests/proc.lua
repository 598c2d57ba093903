-- SPDX-License-Identifier: MIT
-- Starting other programs (bindings/proclib.c).
local t = ...
local core = require "hv.core"

local function sh(script, input, ...)
    return core.pipe({ "sh", "-c", script, "sh", ... }, input)
end

t.test("pipe: status, output and errors", function()
    t.eq({ sh "echo out; echo err >&2; exit 7" }, { 7, "out\n", "err\n" })
    t.eq({ core.pipe { "true" } }, { 0, "", "" })
    t.eq(sh "kill -9 $$", -9)
    t.eq({ core.pipe({ "cat" }, "a\0b\n") }, { 0, "a\0b\n", "" })
end)

t.test("pipe: arguments reach the program as they are", function()
    local hostile = "$(echo no); `echo no` \"'\\ * > /dev/null\n"
    t.eq({ core.pipe { "printf", "%s", hostile } }, { 0, hostile, "" })
end)

t.test("pipe: a program that is not there is no error of the script",
       function()
    t.eq({ core.pipe { "hvlua-no-such-program" } },
         { nil, "hvlua-no-such-program: not found" })
    local status, why = core.pipe { "/" }
    t.eq(status, nil)
    t.ok(why:find "^/: ", why)
end)

t.test("pipe: a mistaken call raises", function()
    t.raises(function() core.pipe() end, "table expected")
    t.raises(function() core.pipe {} end, "a program and its arguments")
    t.raises(function() core.pipe { "true", 1 } end, "must be strings")
    t.raises(function() core.pipe { "true", "a\0b" } end, "zero bytes")
    t.raises(function() core.pipe({ "true" }, {}) end, "string expected")
end)

t.test("pipe: neither side waits for the other for ever", function()
    local big = ("0123456789abcdef"):rep(1 << 18) -- 4 MiB
    local status, out, err = sh("tee /dev/stderr", big)
    t.eq(status, 0)
    t.ok(out == big and err == big, "4 MiB in, out and back as errors")
    -- output first, input last, more than any pipe holds
    status, out, err = sh("head -c 3000000 /dev/zero >&2; "
                          .. "head -c 3000000 /dev/zero; wc -c", big)
    t.eq(status, 0)
    t.eq(#err, 3000000)
    t.eq(tonumber(out:sub(3000001)), #big)
end)

t.test("pipe: a child that does not read its input harms nobody", function()
    local big = ("x"):rep(4 << 20)
    for _ = 1, 20 do
        t.eq({ core.pipe({ "true" }, big) }, { 0, "", "" })
    end
    t.eq({ sh("exec <&-; echo done", big) }, { 0, "done\n", "" })
    t.eq(sh("exec >&- 2>&-; sleep 0.1; exit 3", big), 3)
end)

t.test("pipe: output has a limit, and its child an end", function()
    local status, why = core.pipe { "yes" }
    t.eq(status, nil)
    t.eq(why, "yes: more than 64 MiB of output")
end)

t.test("pipe: messages come in one language", function()
    t.eq({ sh "echo $LC_ALL$LANGUAGE" }, { 0, "C\n", "" })
end)

t.test("pipe: the child gets its three files and no other pipe", function()
    local probe = "for f in 3 4 5 6 7 8 9 10 11 12; do "
        .. "test -p /dev/fd/$f && echo $f; done; true"
    local file = assert(io.popen(probe))
    local inherited = file:read "a" -- make hands its own to all of us
    file:close()
    t.eq({ sh(probe) }, { 0, inherited, "" })
end)

t.test("pipe: nothing is left open or unreaped", function()
    local function open_files()
        local n = 0
        for fd = 0, 9 do
            local file = io.open("/dev/fd/" .. fd)
            if file then
                n = n + 1
                file:close()
            end
        end
        return n
    end
    local before = open_files()
    for _ = 1, 50 do
        core.pipe({ "cat" }, "x")
        core.pipe { "hvlua-no-such-program" }
    end
    t.eq(open_files(), before)
    local pid = select(2, sh "echo $PPID"):match "%d+"
    local status, out = core.pipe { "ps", "-A", "-o", "ppid=", "-o", "stat=" }
    if not status then
        t.skip "no ps here"
    end
    for parent, state in out:gmatch "(%d+)%s+(%S+)" do
        t.ok(parent ~= pid or not state:find "^Z", "a zombie is left")
    end
end)
