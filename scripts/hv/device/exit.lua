-- SPDX-License-Identifier: MIT
--- hv.device.exit: a register that ends the run when the guest writes to it.
--
-- exit(vm, opts)
--   opts.port    x86 port (0xf4), or opts.at: an MMIO address
--   opts.style   "value" (default): the run stops with the value written
--                "test": SiFive's test finisher: 0x5555 stops with 0,
--                0x3333 | code << 16 with code, 0x7777 with "reset"; other
--                values do nothing
--   opts.name    "exit"

local attach = require "hv.device.attach"
local options = require "hv.options"

local KNOWN = {
    at = "number or string", port = "number or string", style = "string",
    name = "string",
}

local STYLE = {
    value = function(value)
        return value
    end,
    test = function(value)
        local order = value & 0xffff
        if order == 0x5555 then
            return 0
        elseif order == 0x3333 then
            return value >> 16 & 0xffff
        elseif order == 0x7777 then
            return "reset"
        end
    end,
}

return function(vm, opts, ...)
    opts = options("exit", opts, KNOWN, 2, ...)
    local style = STYLE[opts.style or "value"]
    if not style then
        error(('exit: style: "%s": use "value" or "test"'):format(opts.style),
              2)
    end
    attach(vm, "exit", opts, {
        port = 0xf4, bytes = 4,
        read = function() return 0 end,
        write = function(offset, value, _, cpu)
            local code = offset == 0 and style(value)
            if code then
                return cpu:stop(code)
            end
        end,
    }, 2)
end
