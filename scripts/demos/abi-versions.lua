-- An interface that changes: the same guest, built for version 1 and for version 2, on
-- a host of version 2. Each asks first whether they fit, and the old one is refused in
-- words, not by what goes wrong later.
local hv = require "hv"

local function declare(version)
    return hv.abi("log", {
        version = version,
        write = version == 1 and { 1, "cstr text" } or { 1, "enum level level", "cstr text" },
        level_t = version > 1 and hv.enum("u8", { "info", "warning" }) or nil,
    })
end

local GUEST = [[
#include "log.h"

long main(void)
{
    char why[128];

    if (log_abi_check(why, sizeof why) != 0) {
        /* it has no call to say it by: where it is, the host can read it */
        return (long)why;
    }
#if LOG_VERSION == 1
    log_write("from the first version");
#else
    log_write(LOG_LEVEL_WARNING, "from the second version");
#endif
    return 0;
}
]]

for version = 1, 2 do
    local vm <close> = hv.vm { memory = "1M" }
    vm:serve(declare(2), { write = function(level, text) print(level .. ": " .. text) end })
    local start = { pc = vm:load(hv.cc { abi = declare(version), text = GUEST }) }
    if vm.arch == "x86_64" then -- hvlua --arch=x86_64: as a boot loader leaves it
        start = hv.x86.long(vm, "512K", start)
    end
    local cpu = vm:vcpu(start)
    vm:run()
    local why = vm.arch == "arm64" and cpu.x0 or cpu.rax
    if why ~= 0 then
        print(vm:cstring(why))
    end
end
