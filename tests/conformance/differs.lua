-- SPDX-License-Identifier: MIT
-- What a backend cannot do, and why: { case = a pattern of the cases' names, on =, why= }.
-- `on` is a backend, or "libunicorn" for all that stand on it: so does the double of
-- Hypervisor.framework, which hvf has on Linux.
local list = {
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
    { case = "the syndrome of a read describes it", on = "kvm",
        why = "KVM tells no virtual address of an access that it completes" },
    { case = "a device has the physical address, and the virtual one too", on = "kvm",
        why = "KVM tells no virtual address of an access that it completes" },
    { case = "an exclusive store to read%-only memory", on = "kvm",
        why = "KVM tells no virtual address of an access that it leaves to the host" },
    { case = "smc: immediate, number, and behind it", on = "kvm",
        why = "KVM answers an smc with an immediate itself" },
    { case = "a step over smc and wfi", on = "kvm",
        why = "KVM answers an smc with an immediate itself" },
    { case = "entries, one by one, without handlers", on = "kvm",
        why = "KVM answers an smc with an immediate itself" },
    { case = "an error in the handler of wfi, of smc", on = "kvm",
        why = "KVM answers an smc with an immediate itself" },
    { case = "sysreg: ", on = "kvm",
        why = "a system register that KVM does not have is undefined to the guest" },
    { case = "sysreg handlers answer reads", on = "kvm",
        why = "a system register that KVM does not have is undefined to the guest" },
    { case = "a step over a system register of nobody's", on = "kvm",
        why = "a system register that KVM does not have is undefined to the guest" },
    { case = "is a fault for the host$", on = "kvm",
        why = "KVM tells the guest of tables and code that are not in memory" },
    { case = "code that goes is a fault", on = "kvm",
        why = "KVM tells the guest of tables and code that are not in memory" },
    { case = "a fault that a handler has seen comes again", on = "kvm",
        why = "KVM tells the guest of tables and code that are not in memory" },
    { case = "memory that is no", on = "kvm",
        why = "KVM enforces only the w of prot" },
    { case = "no vectors", on = "kvm",
        why = "KVM takes the exception into memory that is not there, and so the first one "
            .. "is lost" },
    { case = "vectors that come after they were missed", on = "kvm",
        why = "KVM takes the exception into memory that is not there" },
}

-- Where KVM itself runs in QEMU, that is the processor.
local emulated = {
    { case = "ldt?rs[bhw]", on = "kvm",
        why = "QEMU 7.2 does not tell KVM that a load extends the sign" },
    { case = "a signed read", on = "kvm",
        why = "QEMU 7.2 does not tell KVM that a load extends the sign" },
    { case = "an exception keeps the flags", on = "kvm",
        why = "QEMU 7.2 clears the flags as it takes an exception" },
    { case = "is checked$", on = "kvm",
        why = "QEMU 7.2 checks the alignment of data and of the stack for nobody" },
    { case = "where that is checked$", on = "kvm",
        why = "QEMU 7.2 checks the alignment of data and of the stack for nobody" },
    { case = "the flags of what it interrupts", on = "kvm",
        why = "QEMU 7.2 clears the flags as it takes an exception" },
    { case = "a wfi that EL1 traps", on = "kvm",
        why = "QEMU 7.2 does not have EL1 trap a wfi that is stepped" },
    { case = "daifset is trapped", on = "kvm",
        why = "QEMU 7.2 describes another register than that" },
}

if os.getenv "HVLUA_NESTED" then
    table.move(emulated, 1, #emulated, #list + 1, list)
end
return list
