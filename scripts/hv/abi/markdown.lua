-- SPDX-License-Identifier: MIT
--- An ABI as a reference for people, in Markdown.
--
-- markdown(abi) --> text

local prototype = require "hv.abi.prototype"

local REGISTERS = {
    "`x1` / `rdi`", "`x2` / `rsi`", "`x3` / `rdx`", "`x4` / `rcx`", "`x5` / `r8`",
    "`x6` / `r9`", "`x7` / `r10`", "`x8` / `r11`",
}
local WORDS = #REGISTERS

local HEAD = [[
# The calls of $name

Version $version, layout `$layout`, numbers $first to $last. Made by `hvlua abi`: change
the declaration, not this.

A call's number is in `x0` (arm64) or `rax` (x86_64), its words in `x1` to `x8` or `rdi`
`rsi` `rdx` `rcx` `r8` `r9` `r10` `r11`. Then `hvc #0` or `out %al, $0xe8` calls the
host, unless the guest was built with another conduit. Behind it the result is in `x0`
or `rax`, and `x1` or `rdx` is 0 or an error's number; then the result is that negated.
All other registers stay.
]]

local function place(call, w)
    if call.words > WORDS and w >= WORDS then
        return ("memory at %s + %d"):format(REGISTERS[WORDS], 8 * (w - WORDS))
    end
    return REGISTERS[w]
end

local LENGTH = { bytes = "how many bytes", struct = "how many bytes" }

local function add_words(page, call)
    if #call.params == 0 then
        page:add "\nNo parameters."
        return
    end
    page:add "\n| where | what |\n|---|---|"
    local w = 1
    for _, p in ipairs(call.params) do
        local pointer = p.direction or p.type.kind == "cstr"
        page:add("| %s | `%s`%s |", place(call, w), p.text, pointer and ": its address" or "")
        if p.sized then
            page:add("| %s | %s of `%s` there are |", place(call, w + 1),
                     p.open and "how many" or LENGTH[p.type.kind], p.name)
        end
        w = w + p.words
    end
end

local function add_call(page, call)
    local ty = call.returns
    page:add("\n### %d: %s\n", call.nr, call.name)
    page:add("    %s;", prototype.call(page.abi, call).text)
    add_words(page, call)
    if ty and ty.kind ~= "errno" then
        page:add("\nReturns `%s`, or an error.", prototype.shown(ty))
    else
        page:add "\nReturns nothing but an error, where there is one."
    end
end

local function add_type(page, ty)
    page:add("\n### %s\n", prototype.shown(ty))
    if ty.kind == "struct" then
        page:add("%d bytes%s, aligned to %d.\n", ty.size,
                 ty.open and ", and what is behind" or "", ty.align)
        page:add "| offset | member |\n|---|---|"
        for _, m in ipairs(ty.members) do
            page:add("| %d | `%s` |", m.offset, m.text)
        end
        return
    end
    page:add("A `%s`%s.\n", ty.base.name, ty.kind == "flags" and ", of which bits are set" or "")
    page:add "| value | name |\n|---|---|"
    for _, name in ipairs(ty.names) do
        page:add(ty.kind == "flags" and "| 0x%x | `%s` |" or "| %d | `%s` |", ty.values[name],
                 prototype.macro(page.abi.name, ty.name, name))
    end
end

return function(abi)
    local page = prototype.page(abi)
    page:add("%s", prototype.fill(HEAD, {
        name = abi.name, version = tostring(abi.version), first = tostring(abi.first),
        last = tostring(abi.last), layout = ("%016x"):format(abi.hash),
    }))
    page:add "## Calls"
    for _, call in ipairs(abi.calls) do
        add_call(page, call)
    end
    if #abi.order > 0 then
        page:add "\n## Types"
    end
    for _, ty in ipairs(abi.order) do
        add_type(page, ty)
    end
    return page:text()
end
