-- SPDX-License-Identifier: MIT
-- The virtual timer: an exit when it fires, one for each time it is set.
local case = ...

local DONE = { "hvc", imm = 0 }
local FIRED = { "timer", reason = 2 }

-- The timer set to fire in x1 ticks, and then `after`.
local function armed(after)
    return [[
        mrs   x2, cntvct_el0
        add   x2, x2, x1
        msr   cntv_cval_el0, x2
        mov   x3, #1
        msr   cntv_ctl_el0, x3
        isb
    ]] .. after
end

case("it fires while the guest spins, and says so in its control", {
    code = armed "spin: cbz x5, spin\n mrs x4, cntv_ctl_el0\n hvc #0",
    regs = { x1 = 0x8000 },
    trace = { FIRED, { "hvc", imm = 0, host = function(_, cpu) cpu.x5 = 1 end } },
    after = { x4 = 5 },
})

case("it does not fire early", {
    code = armed "spin: cbz x5, spin\n mrs x6, cntvct_el0\n cmp x6, x2\n cset x7, hs\n hvc #0",
    regs = { x1 = 0x8000 },
    trace = { FIRED, { "hvc", imm = 0, host = function(_, cpu) cpu.x5 = 1 end } },
    after = { x7 = 1 },
})

case("what is past when it is set fires at once", {
    code = armed "spin: cbz x5, spin\n hvc #0",
    regs = { x1 = -1 },
    trace = { FIRED, { "hvc", imm = 0, host = function(_, cpu) cpu.x5 = 1 end } },
})

case("by its countdown", {
    code = "msr cntv_tval_el0, x1\n mov x3, #1\n msr cntv_ctl_el0, x3\nspin: cbz x5, spin\n hvc #0",
    regs = { x1 = 0x8000 },
    trace = { FIRED, { "hvc", imm = 0, host = function(_, cpu) cpu.x5 = 1 end } },
})

case("the countdown is signed, and the compare value follows it", {
    code = [[
        mov   x1, #-100
        msr   cntv_tval_el0, x1
        mrs   x2, cntv_cval_el0
        mrs   x3, cntvct_el0
        cmp   x2, x3
        cset  x4, lo
        mrs   x5, cntv_ctl_el0
        hvc   #0
    ]],
    trace = { DONE },
    after = { x4 = 1, x5 = 0 },
})

case("masked it does not fire, but says that it would", {
    code = [[
        msr   cntv_cval_el0, xzr
        mov   x3, #3
        msr   cntv_ctl_el0, x3
        mrs   x4, cntv_ctl_el0
        hvc   #0
    ]],
    trace = { DONE },
    after = { x4 = 7 },
})

case("turned off it does not fire", {
    code = "msr cntv_cval_el0, xzr\n msr cntv_ctl_el0, xzr\n mrs x4, cntv_ctl_el0\n hvc #0",
    trace = { DONE },
    after = { x4 = 0 },
})

case("once for each time that it is set", {
    code = armed "spin: b spin",
    regs = { x1 = 0x1000 },
    trace = { FIRED, { "timeout", with = { timeout = 0.05 } } },
})

case("set again it fires again", {
    code = [[
again:  mrs   x2, cntvct_el0
        add   x2, x2, x1
        msr   cntv_cval_el0, x2
        mov   x3, #1
        mov   x5, #0
        msr   cntv_ctl_el0, x3
spin:   cbz   x5, spin
        msr   cntv_ctl_el0, xzr
        hvc   #1
        b     again
    ]],
    regs = { x1 = 0x1000 },
    trace = (function()
        local function on(_, cpu) cpu.x5 = 1 end
        return { FIRED, { "hvc", imm = 1, host = on }, FIRED,
            { "hvc", imm = 1, host = on }, FIRED, { "hvc", imm = 1, host = on } }
    end)(),
})

case("unmasked later it fires then", {
    code = [[
        msr   cntv_cval_el0, xzr
        mov   x3, #3
        msr   cntv_ctl_el0, x3
        hvc   #1
        mov   x3, #1
        msr   cntv_ctl_el0, x3
spin:   cbz   x5, spin
        hvc   #0
    ]],
    trace = { { "hvc", imm = 1 }, FIRED,
        { "hvc", imm = 0, host = function(_, cpu) cpu.x5 = 1 end } },
})

case("set by the host", {
    code = "spin: cbz x5, spin\n hvc #0",
    regs = { cntv_cval_el0 = 0, cntv_ctl_el0 = 1 },
    trace = { FIRED, { "hvc", imm = 0, host = function(_, cpu) cpu.x5 = 1 end } },
    after = { cntv_ctl_el0 = 5 },
})

case("the count goes on, never back", {
    code = [[
        mov   x4, #1000
1:      mrs   x1, cntvct_el0
        isb
        mrs   x2, cntvct_el0
        cmp   x2, x1
        b.lo  2f
        subs  x4, x4, #1
        b.ne  1b
2:      hvc   #0
    ]],
    trace = { DONE },
    after = { x4 = 0 },
})
