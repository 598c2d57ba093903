-- SPDX-License-Identifier: MIT
-- What a backend cannot do, and why: { case = a pattern of the cases' names, on =, why= }.
-- `on` is a backend; or "libunicorn" for all that stand on it: so does the double of
-- Hypervisor.framework, which hvf has on Linux; or "emulator": a KVM that has no help of
-- the processor, and emulates each instruction in the kernel.
local arm64 = {
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
    table.move(emulated, 1, #emulated, #arm64 + 1, arm64)
end

local CONTROL = "libunicorn does not check what is written to control registers and MSRs"

local x86_64 = {
    { case = "rep ins into es, with di around its end", on = "kvm",
        why = "KVM stores several elements at once, as if the segment went on" },
    { case = "a float of 80 bits", on = "emulator",
        why = "the kernel's emulator of instructions has no x87" },
    { case = "int n", on = "emulator",
        why = "the kernel's emulator of instructions has INT n only in real mode" },
    { case = "protected mode: bound", on = "emulator",
        why = "the kernel's emulator of instructions has no BOUND" },
    { case = "real mode.* beyond the table", on = "emulator",
        why = "the kernel's emulator of instructions takes no notice of the IDT's limit" },
    { case = "ring 3 may, where IOPL is 3", on = "emulator",
        why = "this KVM runs ring 3 with an IOPL of 0" },
    { case = "a fault whose gate is absent", on = "emulator",
        why = "this KVM takes every fault in the delivery of another for a double one" },
    { case = "without a task state", on = "emulator",
        why = "this KVM takes no notice of the task state's limit" },
    { case = "32%-bit paging", on = "emulator",
        why = "this KVM has paging in long mode only" },
    { case = "what is known of a descriptor", on = "emulator",
        why = "the kernel's emulator of instructions has no LAR, LSL, VERR and VERW" },
    { case = "writes neither page", on = "emulator",
        why = "the kernel's emulator of instructions writes page by page" },
    { case = "a prefix gives no base", on = "libunicorn",
        why = "libunicorn adds the base of a segment that a prefix names, in any mode" },
    { case = "limits: ", on = "libunicorn",
        why = "libunicorn does not check the limits of segments, nor what they may do" },
    { case = "not aligned, where that is checked", on = "libunicorn",
        why = "libunicorn checks the alignment of data for nobody" },
    { case = "an address in the stack that is not canonical", on = "libunicorn",
        why = "libunicorn tells the address, but not by which segment: it is taken for ds" },
    { case = "a jump to an address that is not canonical", on = "libunicorn",
        why = "libunicorn jumps, and has the fault at the target" },
    { case = "a lock where none may be", on = "libunicorn",
        why = "libunicorn takes no notice of a LOCK before a MOV" },
    { case = "reserved bits of cr4", on = "libunicorn", why = CONTROL },
    { case = "paging without protection", on = "libunicorn", why = CONTROL },
    { case = "long mode cannot lose pae", on = "libunicorn", why = CONTROL },
    { case = "an address for an msr that is not canonical", on = "libunicorn", why = CONTROL },
}

return { arm64 = arm64, x86_64 = x86_64 }
