-- SPDX-License-Identifier: MIT
-- Ten thousand machines, opened, run and closed in every way there is, leave nothing
-- behind: neither memory nor open files. In a process of its own for each backend,
-- where nothing else moves and hardly any file may be open. A machine costs about a
-- millisecond: some 10 seconds for each backend.
local t = ...

-- Sanitizers keep much of what was freed; that for addresses looks for leaks itself.
local COUNT = t.sanitized and 600 or t.fewer(10000)

-- KiB by which the last quarter may surpass the first: 140 bytes for each machine.
-- libunicorn loses 32 of them by itself. What stands in for Hypervisor.framework keeps
-- 64 more, to find out who uses what he has released.
local ALLOWED = { unicorn = 1024, kvm = 1024, hvf = 1536 }

-- What is freed goes back to the system at once: glibc's allocator would rather keep
-- more and more of what libunicorn uses, up to some limit, and hide the rest.
local PROCESS = "ulimit -n 64; MALLOC_MMAP_THRESHOLD_=65536 "
    .. 'MALLOC_TRIM_THRESHOLD_=65536 exec "$@"'

t.on("ten thousand machines come and go", function(_, backend, arch)
    -- A machine of kvm has three files open, so 30 that wait for the collector are
    -- more than there may be: then it is made to come.
    local status, out, err = t.run {
        "sh", "-c", PROCESS, "sh", t.hvlua,
        t.folder .. "/tests/many/machines.lua", backend, arch, tostring(COUNT),
    }
    t.eq(status, 0, err)
    local samples = {}
    for size in out:gmatch "%d+" do
        samples[#samples + 1] = tonumber(size)
    end
    t.eq(#samples, 20)
    local early = math.max(table.unpack(samples, 1, 5))
    local late = math.max(table.unpack(samples, 16))
    t.ok(t.sanitized or late - early <= ALLOWED[backend],
        ("grew from %d to %d KiB: %s"):format(early, late, out:gsub("\n", " ")))
end)
