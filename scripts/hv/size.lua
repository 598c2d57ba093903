-- SPDX-License-Identifier: MIT
--- Sizes and addresses as scripts write them.
--
-- size(value [, what [, level]]) --> integer, 0 to 2^63-1
--
-- `value` is an integer, or a string: "4096", "0x1000", "64K", "1M", "2G", "1T".
-- Anything else raises, `what` (or "size") naming the culprit, at stack level
-- `level`, counted from the caller as error() does.

local core = require "hv.core"

return function(value, what, level)
    local ok, size = pcall(core.size, value, what)
    if not ok then
        error(size, (level or 1) + 1)
    end
    return size
end
