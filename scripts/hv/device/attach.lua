-- SPDX-License-Identifier: MIT
--- Where a device is: an MMIO range or x86 ports, as its options say.
--
-- attach(vm, what, opts, device [, level])
--   what    the device's kind, for messages
--   opts    the script's: at=, port=, name=
--   device  { at= or port= the default, bytes=, read=, write= }
--
-- read(offset, size, cpu) and write(offset, value, size, cpu) are as for
-- vm:attach(). Mistakes raise at `level`, counted from the caller.

local size = require "hv.size"

return function(vm, what, opts, device, level)
    level = (level or 1) + 1
    local known, method = pcall(function() return vm.attach end)
    if not known or type(method) ~= "function" then
        error(("%s: a machine expected, got %s"):format(what, type(vm)), level)
    elseif opts.at and opts.port then
        error(what .. ": at and port: a device has only one of them", level)
    end
    local range = {
        name = opts.name or what, read = device.read, write = device.write,
    }
    if opts.at or not opts.port and device.at then
        range.at = size(opts.at or device.at, what .. ": at", level)
        range.size = device.bytes
    else
        range.port = size(opts.port or device.port, what .. ": port", level)
        range.count = device.bytes
    end
    local ok, why = pcall(vm.attach, vm, range)
    if not ok then
        error(why, level)
    end
end
