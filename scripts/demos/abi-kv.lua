-- A store of keys and values for guests: structs both ways, flags, errors by name.
-- `hvlua --hypercalls scripts/demos/abi-kv.lua` shows each call with its arguments,
-- `hvlua abi scripts/demos/abi-kv.lua --md` describes them.
local hv = require "hv"

local abi = hv.abi("kv", {
    put = { 1, "cstr key", "in bytes value", "flags how how", returns = "errno" },
    get = { 2, "cstr key", "out bytes value", returns = "i64" },
    stat = { 3, "cstr key", "out struct entry info", returns = "errno" },
    list = { 4, "out struct entry entries[]", returns = "u32" },
    remove = { 5, "cstr key", returns = "errno" },
    report = { 6, "cstr what", "i64 number" },
    how_t = hv.flags { "create", "replace" },
    entry_t = hv.struct { "char key[16]", "u32 size", "u32 writes" },
})

local guest = hv.cc { abi = abi, text = [[
#include "kv.h"

long main(void)
{
    struct kv_entry entries[4], one;
    char value[8];
    hv_u32 count;
    int error;

    kv_report("put", kv_put("answer", "42", 2, KV_HOW_CREATE));
    kv_report("put again", kv_put("answer", "43", 2, KV_HOW_CREATE));
    kv_report("replace", kv_put("answer", "43!", 3, KV_HOW_REPLACE));
    kv_report("get", kv_get("answer", value, sizeof value));
    kv_report("get nothing", kv_get("question", value, sizeof value));
    kv_report("stat", kv_stat("answer", &one));
    kv_report("its writes", one.writes);
    kv_put("other", value, 1, KV_HOW_CREATE);
    count = kv_list(entries, 4, &error);
    kv_report("entries", count);
    kv_report(entries[0].key, entries[0].size);
    kv_report("remove", kv_remove("other"));
    kv_report("remove again", kv_remove("other"));
    kv_report("a bad pointer", kv_put((const char *)0x7fff0000, "", 0, KV_HOW_CREATE));
    return 0;
}
]] }

local store = {}

local function entry(key)
    return { key = key, size = #store[key].value, writes = store[key].writes }
end

local vm <close> = hv.vm { memory = "1M" }
local server = vm:serve(abi, {
    put = function(key, value, how)
        local old = store[key]
        if #key > 16 then
            return "ENAMETOOLONG"
        elseif old and not how.replace then
            return "EEXIST"
        elseif not old and not how.create then
            return "ENOENT"
        end
        store[key] = { value = value, writes = (old and old.writes or 0) + 1 }
    end,
    get = function(key, room)
        if not store[key] then
            return nil, "ENOENT"
        end
        return store[key].value:sub(1, room)
    end,
    stat = function(key)
        if not store[key] then
            return nil, "ENOENT"
        end
        return entry(key)
    end,
    list = function(room)
        local keys, entries = {}, {}
        for key in pairs(store) do
            keys[#keys + 1] = key
        end
        table.sort(keys)
        for i = 1, math.min(room, #keys) do
            entries[i] = entry(keys[i])
        end
        return entries
    end,
    remove = function(key)
        if not store[key] then
            return "ENOENT"
        end
        store[key] = nil
    end,
    report = function(what, number) print(("%-14s %d"):format(what, number)) end,
})
local start = { pc = vm:load(guest) }
if vm.arch == "x86_64" then -- hvlua --arch=x86_64: as a boot loader leaves it
    start = hv.x86.long(vm, "512K", start)
end
local cpu = vm:vcpu(start)
vm:run()
print(server, vm.arch == "arm64" and cpu.x0 or cpu.rax)
