-- SPDX-License-Identifier: MIT
-- What a backend cannot do, and why: { case = a pattern of the cases' names, on =, why= }.
-- `on` is a backend, or "libunicorn" for all that stand on it: so does the double of
-- Hypervisor.framework.
return {
    { case = "is checked$", on = "libunicorn",
        why = "libunicorn has no SCTLR_EL1.A, and a store-exclusive that fails is not checked" },
    { case = "EL1 sets a %w+ on EL0", on = "unicorn",
        why = "the guest's own breakpoints and watchpoints are registers without effect" },
}
