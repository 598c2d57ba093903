-- SPDX-License-Identifier: MIT
-- What a backend cannot do, and why: { case = a pattern of the cases' names, on =, why= }.
-- `on` is a backend, or "libunicorn" for all that stand on it: so does the double of
-- Hypervisor.framework, which hvf has on Linux.
return {
    { case = "is checked$", on = "libunicorn",
        why = "libunicorn checks the alignment of data and of the stack for nobody" },
    { case = "code that is not aligned$", on = "libunicorn",
        why = "libunicorn executes what it finds at an address that is not aligned" },
    { case = "eret to a level there is not", on = "libunicorn",
        why = "libunicorn sets PSTATE.IL and takes no notice of it" },
    { case = "flags of what it interrupts", on = "libunicorn",
        why = "libunicorn clears the flags as it takes an interrupt" },
    { case = "EL1 sets a %w+ on EL0", on = "unicorn",
        why = "the guest's own breakpoints and watchpoints are registers without effect" },
}
