-- SPDX-License-Identifier: MIT
---@meta hv
--
-- The types of `require "hv"` for editors (LuaCATS annotations); nothing loads this
-- file. Here .luarc.json finds it; in a project of your own, name it in a .luarc.json
-- under "workspace.library". tests/meta.lua compares it with what hvlua really has.
--
-- Everywhere: addresses are guest physical unless called virtual, sizes are bytes,
-- times are seconds, integers are 64 bits and signed (print them with %x, compare
-- addresses with math.ult). Mistakes raise at the caller's line, naming the culprit.

-- ---- values ------------------------------------------------------------

--- A guest address: any integer, or a string as for hv.bytes ("1M", "0x1000").
---@alias hv.address integer|string

--- A count of bytes: an integer from 0, or a string: "4096", "0x1000", "64K", "1M",
--- "2G", "1T". Fractions, other units and more than 2^63-1 raise.
---@alias hv.bytes integer|string

--- What the guest may do with memory: some of the letters "rwx", any others "-".
---@alias hv.prot string

--- The architecture of a guest.
---@alias hv.arch
---| "arm64" # AArch64: 64-bit Arm
---| "x86_64" # the PC's, from real mode to long mode

--- What runs guests, in the order in which hv.vm() tries them.
---@alias hv.backend.name
---| "hvf" # macOS's Hypervisor.framework: arm64 guests on Apple Silicon
---| "kvm" # Linux /dev/kvm: x86_64 guests on x86_64 hosts
---| "unicorn" # emulation by libunicorn 2: arm64 and x86_64 guests anywhere

--- A vCPU of either architecture. `---@cast cpu hv.vcpu.arm64` narrows it.
---@alias hv.cpu hv.vcpu.arm64|hv.vcpu.x86_64

-- ---- the module --------------------------------------------------------

--- hvlua's library: machines, guest code, devices, workers.
---@class hv
---@field version string hvlua's version, such as "0.1.0"
---@field image hv.images ELF and raw files as images: a function with more in it
---@field device hv.devices devices written in Lua
---@field x86 hv.x86 register settings for x86_64's modes
local hv = {}

--- What hv.vm() takes. The program's --arch and --backend fill in what is left out.
---@class hv.vm.options
---@field arch? hv.arch the guest's; "arm64" unless said
---@field backend? hv.backend.name the first that can run such guests here, unless said
---@field memory? hv.bytes maps so much at 0, "rwx"; a multiple of the page size
---@field hypercall_port? integer x86_64: the port of hypercalls, 1 to 0xffff (0xe8)
---@field ipa_size? integer hvf: bits of guest physical addresses (as many as there are)
---@field ipa_granule? "4K"|"16K"|integer hvf, macOS 26: the page size ("16K")
---@field el2? boolean hvf, macOS 15 on M3 and later: the guest has EL2, and starts there

--- A new machine, without vCPUs. Raises where no backend, or not the one that is
--- named, can run such guests here, saying why and what to do about it.
---@param options? hv.vm.options
---@return hv.machine vm
function hv.vm(options) end

--- What one backend can do for one architecture on this machine.
---@class hv.backend
---@field name hv.backend.name the backend
---@field arch hv.arch the guests' architecture
---@field ok boolean hv.vm can make such machines here
---@field why? string why not, and what to do about it; nil where ok
---@field about? string where ok, the library it stands on, if any: "libunicorn 2.1.1 (path)"

--- Every backend with every architecture, in the order in which hv.vm tries them.
---@return hv.backend[] list
function hv.backends() end

--- What a backend has for its guests on this machine. hvf has more to tell than the
--- others: what is optional here is only there.
---@class hv.caps
---@field backend hv.backend.name which one this is
---@field arch hv.arch the guests' architecture
---@field vcpus integer how many a machine can have
---@field page_size integer what addresses and sizes of memory are multiples of
---@field threads boolean vCPUs run at the same time, on a thread each
---@field el2 boolean guests can have EL2
---@field gic boolean|hv.caps.gic vm:gic{} works; its measures where they are known
---@field sme boolean|hv.caps.sme the processor has SME
---@field macos? string the version, such as "15.5"
---@field ipa_size? hv.caps.ipa_size bits of guest physical addresses
---@field ipa_granule? boolean page sizes can be chosen
---@field features? table<string, integer> what ID registers start as, by name
---@field ccsidr? hv.caps.ccsidr CCSIDR_EL1 by kind of cache, for levels 1 to 8
---@field missing? table<string, string> functions that this macOS lacks: which has them

--- The widths that hv.vm { ipa_size = } can have.
---@class hv.caps.ipa_size
---@field default integer the framework's own; hvlua takes max
---@field max integer the most that this machine has

--- CCSIDR_EL1 by cache level.
---@class hv.caps.ccsidr
---@field data integer[] of data and unified caches
---@field instruction integer[] of instruction caches

--- Streaming vectors.
---@class hv.caps.sme
---@field svl integer bytes of a vector: of z0, and 8 times those of p0

--- The measures of a GIC, and its interrupts.
---@class hv.caps.gic
---@field distributor hv.caps.gic.frame its page
---@field redistributor hv.caps.gic.redistributor its pages for vCPUs
---@field msi? hv.caps.gic.frame the page that messages are written to
---@field spi hv.caps.gic.spi the shared interrupts
---@field intid table<string, integer> the numbers of the host's own, by name

--- A part of the GIC, in bytes.
---@class hv.caps.gic.frame
---@field size integer how many it takes up
---@field alignment integer what its address is a multiple of

--- The parts that are the vCPUs', in bytes.
---@class hv.caps.gic.redistributor : hv.caps.gic.frame
---@field region_size integer how many all of them take up, for as many as there can be

--- Shared interrupts.
---@class hv.caps.gic.spi
---@field first integer the number of the first
---@field count integer how many there are

--- What a backend has to offer: without a name, the one that hv.vm would take. Raises
--- where it cannot run such guests here.
---@param backend? hv.backend.name
---@param arch? hv.arch "arm64" unless said
---@return hv.caps caps
function hv.caps(backend, arch) end

--- A declaration of hypercalls, from hv.abi().
---@class hv.abi
---@field name string the prefix of what is generated from it
---@field version integer what guests were built for
---@field hash integer of all that a guest depends on but the version
---@field first integer the first of its numbers
---@field last integer the last of them
---@field calls table[] by number: { name=, nr=, params=, returns=, ... }
---@field call table<string, table> the same by name
---@field types table<string, table> its structs, enums and flags
---@field order table[] the same, each behind those that it is made of
local declaration = {}

--- For vm:serve() in the ABI's place: what is answered is also written to the file, a
--- line for each call; scripts/hv/abi/record.lua says how. The file is written anew.
---@param file string
---@return hv.recording recording
function declaration:record(file) end

--- For vm:serve() in the ABI's place, without handlers: calls are answered from the
--- file. The first that differs from what is recorded, in the order of its vCPU, ends the
--- run with an error that shows both.
---@param file string what abi:record() has written, for this version and layout
---@return hv.replay replay
function declaration:replay(file) end

--- A file that gets what a machine answers. It can be a `local recording <close>`.
---@class hv.recording
---@field abi hv.abi the declaration
---@field file string its name
---@field calls integer how many are in it
local recording = {}

--- No more is written; calls are answered as before.
function recording:close() end

--- A recording that answers.
---@class hv.replay
---@field abi hv.abi the declaration
---@field file string its name
---@field answered integer how many calls it has answered
---@field left integer how many did not come yet
---@field cut? integer its last line, where that is not whole
local replay = {}

--- Raises unless all calls of the recording have come.
function replay:finish() end

--- Declare what a guest may ask of its host: calls are fields { number, "type name"...,
--- returns = type }, types fields of hv.struct, hv.enum and hv.flags; also `version` and
--- `range = { first, last }`. scripts/hv/abi.lua lists the types. Whatever is wrong
--- raises, naming the field.
---@param name string
---@param fields table
---@return hv.abi abi
function hv.abi(name, fields) end

--- A struct's members by the rules of C: { "u64 size", "char name[16]", "u8 rest[]" }.
---@param list string[]
---@return table struct for hv.abi()
function hv.struct(list) end

--- An integer whose values have names: { "idle", "busy", failed = 16 }.
---@param base? string "u8" to "u64", "i8" to "i64"; "u32" unless said
---@param list table
---@return table enum for hv.abi()
---@overload fun(list: table): table
function hv.enum(base, list) end

--- An integer whose bits have names: { "read", "write", all = 7 }.
---@param base? string "u8" to "u64"; "u32" unless said
---@param list table
---@return table flags for hv.abi()
---@overload fun(list: table): table
function hv.flags(base, list) end

--- What hv.cc() takes; one of text and file.
---@class hv.cc.options
---@field text? string the program
---@field file? string the file that it is in
---@field abi? hv.abi|hv.abi[] whose headers there are: #include "NAME.h"
---@field conduit? string how their stubs call: "hvc", "smc", "port@0xe8", "mmio@0x9000000"
---@field arch? hv.arch "arm64" unless said
---@field at? hv.address its address ("0x10000")
---@field stack? hv.bytes the stack's size ("16K")
---@field opt? string how to optimize ("-O1")
---@field defines? table<string, string|integer|boolean> macros; true: 1
---@field flags? string[] more arguments for the compiler
---@field name? string the text's name in messages

--- A freestanding guest in C, compiled once for each text. It starts with a stack, calls
--- `long main(void)`, and then waits with the result in x0 or rax. What the compiler
--- complains about is raised at that line of the script.
---@param given string|hv.cc.options
---@param level? integer where to look for the text, counted from the caller as by error() (1)
---@return hv.image image
function hv.cc(given, level) end

--- A size or address as scripts write them, in bytes: 0 to 2^63-1. Anything else
--- raises, naming `what`.
---@param value hv.bytes
---@param what? string the culprit's name in messages ("size")
---@param level? integer where to raise, counted from the caller as by error() (1)
---@return integer bytes
function hv.size(value, what, level) end

--- What hv.asm() takes besides the text.
---@class hv.asm.options
---@field arch? hv.arch "arm64" unless said, here or by the program's --arch
---@field bits? 16|32|64 x86_64: the mode the code runs in (64)
---@field syntax? "att"|"intel" x86_64: how it is written ("att")
---@field at? hv.address where it is to be, unless image:at() or vm:load() says (0)
---@field cpp? boolean run the C preprocessor first; needs clang
---@field name? string the text's name in messages, instead of the script's line

--- Assemble a text by clang, or GNU as for the guest's architecture (HVLUA_AS names
--- another). The image can be laid out anywhere. Errors raise at the text's lines.
---@param text string
---@param opts? hv.asm.options
---@param level? integer whose call is blamed, counted from the caller as by error() (1)
---@return hv.image image
function hv.asm(text, opts, level) end

--- A worker process: a copy of this one that calls body(worker, ...), or runs the
--- script of that path with the same as its `...`, at the same time. Arguments are
--- copied as they are; the parent's machines raise in the worker.
---@overload fun(options: hv.spawn.options): hv.worker
---@param body string|fun(worker: hv.worker.self, ...: any): ...: any
---@param ... any
---@return hv.worker worker
function hv.spawn(body, ...) end

--- hv.spawn { body, arguments..., on_output = }
---@class hv.spawn.options
---@field [integer] any the body, then its arguments
---@field on_output? fun(bytes: string) hears what the worker prints, as it comes

-- ---- machines ----------------------------------------------------------

--- A machine: guest memory, vCPUs, handlers and devices, on one backend. It can be a
--- `local vm <close>`. Once closed it has only close() and `closed`, and its parts
--- raise. Names that it does not have raise, and none can be set.
---@class hv.machine
---@field arch hv.arch the guest's architecture
---@field backend hv.backend.name what runs it
---@field cpus hv.cpu[] its vCPUs as they were made; a new list each time
---@field memory hv.range[] its memory by rising address; a new list each time
---@field page_size integer what addresses and sizes of memory are multiples of
---@field running boolean one of its handlers or devices is being called
---@field closed boolean it was closed
---@field ipa_size integer hvf: bits of guest physical addresses; raises elsewhere
---@field el2 boolean hvf: the guest has EL2; raises elsewhere
local machine = {}

--- What vm:serve() takes behind the handlers.
---@class hv.serve.options
---@field limit? hv.bytes the most bytes of one buffer ("16M")
---@field string? hv.bytes the most bytes of one cstr ("64K")
---@field on_error? fun(event: hv.serve.event) called for each error that the guest gets

--- An error that a guest got.
---@class hv.serve.event
---@field call string the call's name
---@field nr integer its number
---@field error string|integer the error's name, such as "EFAULT", or its number
---@field why string what is wrong
---@field cpu? integer the vCPU's index
---@field pc? integer the guest's PC

--- A machine's answering of one ABI.
---@class hv.server
---@field abi hv.abi the declaration
---@field vm hv.machine the machine that answers
---@field calls table<string, table> by call: { calls=, errors= }
---@field errors integer how many the guest got
---@field last? hv.serve.event the last of them

--- Answer an ABI's calls. A handler gets the values of all that is in or inout, the room
--- of what is out where the guest says it, and the vCPU; it returns the values of all
--- that is out or inout, then the call's result; or nil and an error's name. The
--- handler `default` (nr, cpu) is for numbers that no call has. What the guest passes
--- wrong is its error; what a handler returns wrong raises. It may be called again: new
--- handlers. A replay answers by itself.
---@param abi hv.abi|hv.recording|hv.replay
---@param handlers? table
---@param options? hv.serve.options
---@return hv.server server
function machine:serve(abi, handlers, options) end

--- One call's cost so far, in seconds.
---@class hv.trace.row
---@field name string the call
---@field calls integer how often it came
---@field errors integer how often that was an error
---@field guest number up to the call, with the way out of the guest and back in
---@field hvlua number what is done with arguments and results
---@field handler number the script's part

--- What vm:trace() takes.
---@class hv.trace.options
---@field hypercalls boolean|fun(line: string) to standard error, to a function, or no more

--- Tell each hypercall in a line from now on; without options, what they cost so far.
---@param options hv.trace.options
---@overload fun(self): hv.trace.row[]
function machine:trace(options) end

--- What vm:gic() takes: addresses, multiples of what hv.caps().gic says.
---@class hv.gic.options
---@field distributor hv.address where the distributor goes
---@field redistributor hv.address of the first vCPU; all that there can be follow it
---@field msi? hv.gic.msi messages that become shared interrupts

--- A frame for messages.
---@class hv.gic.msi
---@field at hv.address where it goes
---@field first integer the first of the shared interrupts that are for messages
---@field count integer how many are

--- Give the machine an interrupt controller of the host's, a GICv3, before it has
--- vCPUs. What the guest does with it is no exit, WFI and the timer are none any more,
--- and cpu:irq() is the GIC's to drive. hvf on macOS 15 and later; kvm on arm64, which
--- has no msi, and completes it with the vCPUs there are when it is first used or run.
---@param options hv.gic.options
---@return hv.gic gic
---@overload fun(self): hv.gic?
function machine:gic(options) end

--- A machine's GIC. Its registers are fields by their names: gicd_ctlr, gicd_typer,
--- gicd_pidr2, gicd_igroupr0 to 31 and likewise isenabler, icenabler, ispendr, icpendr,
--- isactiver, icactiver, gicd_ipriorityr0 to 254, gicd_icfgr0 to 63, gicd_irouter32 to
--- 1019, gicm_typer, gicm_set_spi_nsr. What each vCPU has, gicr_*, icc_*, ich_* and
--- icv_*, is among that one's registers.
---@class hv.gic
---@field ranges table<string, hv.gic.range> the addresses it takes up, by part
---@field [string] integer
local gic = {}

--- Where a part of a GIC is.
---@class hv.gic.range
---@field at integer its address
---@field size integer its bytes

--- Drive the line of a shared interrupt; an edge-triggered one is raised by true.
---@param intid integer 32 to 1019, on kvm to 991
---@param level boolean
function gic:spi(intid, level) end

--- Send a message, which becomes a shared interrupt.
---@param intid integer one of those that vm:gic() was given for messages
---@param at? hv.address where it is written (the frame's SET_SPI_NSR)
function gic:msi(intid, at) end

--- Back to how it began; the vCPUs' own registers of it (icc_*) stay.
function gic:reset() end

--- Its state but for the vCPUs' icc_*, in the host's own format. The machine must not
--- be running.
---@return string state
function gic:save() end

--- What gic:save() gave, into the GIC of a machine with as many vCPUs, none of which
--- has ever run (gic:reset() or not). Raises otherwise, and when it is something else,
--- or another host's.
---@param state string
function gic:restore(state) end

--- A range of guest memory, as vm.memory lists it.
---@class hv.range
---@field at integer its address
---@field size integer its bytes
---@field prot hv.prot three characters, such as "r-x"

--- What vm:map() takes.
---@class hv.map.options
---@field at hv.address where: a multiple of the page size, not overlapping other memory
---@field size hv.bytes how much: a multiple of the page size
---@field prot? hv.prot what the guest may do ("rwx"); kvm cannot withhold r or x
---@field file? string the path of a regular file whose bytes it starts with, then zeros
---@field offset? hv.address where in the file to begin (0)
---@field shared? boolean the guest's writes reach the file, which must be long enough
---@field host? lightuserdata a C host's own memory, page-aligned, instead of new one

--- Give the guest memory, zeroed unless it comes from a file or a C host, whose memory
--- has to outlive the machine.
---@param range hv.map.options
---@return hv.memory memory
function machine:map(range) end

--- Take away the whole range that starts at `at`, or the memory of that object.
--- Raises where no range starts there.
---@param at hv.address|hv.memory
function machine:unmap(at) end

--- Change what the guest may do with the whole range that starts at `at`. A write
--- without "w" becomes an mmio exit; the host's own accesses ignore it.
---@param at hv.address
---@param prot hv.prot
function machine:protect(at, prot) end

--- Put bytes at `at`, which comes back as an integer; or an image, at its own
--- addresses or laid out anew from `at`, whose entry point (else its first address)
--- comes back. All of it, or it raises and nothing: for an image of another
--- architecture, and outside memory.
---@overload fun(self: hv.machine, image: hv.image): integer?
---@param at hv.address
---@param what string|hv.image
---@return integer? start
function machine:load(at, what) end

--- The `size` bytes at `at`, at most 1 GiB. Raises unless all of them are memory.
---@param at hv.address
---@param size hv.bytes
---@return string bytes
function machine:read(at, size) end

--- Write bytes at `at`: all of them, or it raises and none.
---@param at hv.address
---@param bytes string
function machine:write(at, bytes) end

--- Set `size` bytes from `at` to one value, 0 to 255.
---@param at hv.address
---@param size hv.bytes
---@param byte? integer zero unless given
function machine:fill(at, size, byte) end

--- The address of the first place of `bytes` in the `size` bytes from `at`, or nil.
--- Raises for an empty string, and unless all of the range is memory.
---@param bytes string
---@param at hv.address
---@param size hv.bytes
---@return integer? found
function machine:find(bytes, at, size) end

--- The bytes from `at` up to the first NUL. Raises where there is none in `max` bytes,
--- or memory ends before it.
---@param at hv.address
---@param max? hv.bytes 64 KiB unless given, at most 1 GiB
---@return string text
function machine:cstring(at, max) end

--- Write string.pack(format, ...) at `at`; the address behind it comes back.
---@param format string
---@param at hv.address
---@param ... any
---@return integer behind
function machine:pack(format, at, ...) end

--- What string.unpack(format) makes of the bytes at `at`, and the address behind
--- them. A format of variable length looks at 64 KiB at most.
---@param format string
---@param at hv.address
---@return any ... the values, then the address
function machine:unpack(format, at) end

--- Read the byte at `at`, or write it: -128 to 255, else it raises.
---@overload fun(self: hv.machine, at: hv.address, value: integer)
---@param at hv.address
---@return integer value 0 to 255
function machine:u8(at) end

--- Read 2 bytes at `at` as a little-endian integer, or write them: -2^15 to 2^16-1.
---@overload fun(self: hv.machine, at: hv.address, value: integer)
---@param at hv.address
---@return integer value 0 to 2^16-1
function machine:u16(at) end

--- Read 4 bytes at `at` as a little-endian integer, or write them: -2^31 to 2^32-1.
---@overload fun(self: hv.machine, at: hv.address, value: integer)
---@param at hv.address
---@return integer value 0 to 2^32-1
function machine:u32(at) end

--- Read 8 bytes at `at` as a little-endian integer, or write them.
---@overload fun(self: hv.machine, at: hv.address, value: integer)
---@param at hv.address
---@return integer value signed, as all integers of Lua
function machine:u64(at) end

--- The width of the integers of a view.
---@alias hv.view.width "u8"|"u16"|"u32"|"u64"

--- Guest memory as a table of integers: view[at] reads, view[at] = value writes, as
--- vm:u8() to vm:u64() do. The fastest way from Lua to guest memory.
---@param width hv.view.width
---@return hv.view view
function machine:view(width) end

--- Add a vCPU, not while the machine runs. It starts as the architecture resets
--- (arm64: EL1h, interrupts masked, MMU off; x86_64: real mode at 0), then takes the
--- registers given. An unknown name or a value that does not fit raises and adds none.
---@param registers? hv.vcpu.arm64.options|hv.vcpu.x86_64.options
---@return hv.cpu cpu
function machine:vcpu(registers) end

--- A hypercall's handler: handler(cpu, a1, a2, ...) gets as many arguments as it
--- declares, 7 at most on arm64 and 6 on x86_64. Integers that it returns go to the
--- result registers, 4 or 2; nil leaves one alone, anything else raises.
---@alias hv.hypercall fun(cpu: hv.cpu, ...: integer): integer?, integer?, integer?, integer?

--- Handle the hypercall of this number; nil removes the handler. arm64: `hvc`, number
--- in x0, arguments x1-x7, results x0-x3. x86_64: `out %al, $0xe8`, number in rax,
--- arguments rdi rsi rdx rcx r8 r9, results rax rdx.
--- With a table: from now on a store to `at`, a guest physical address without memory,
--- is a hypercall too, whatever is stored. That works on any host: kvm on arm64 needs
--- it where Linux is older than 6.4, and raises if there is none.
---@param nr integer
---@param handler hv.hypercall?
---@overload fun(self: hv.machine, doorbell: hv.doorbell)
function machine:hypercall(nr, handler) end

--- What vm:hypercall{} takes.
---@class hv.doorbell
---@field via "mmio" by a store
---@field at hv.address to where: an address without memory

--- Handle exits of one kind that no hypercall handler or device takes; nil removes
--- the handler. To a read (mmio, io, sysreg) it returns the integer that the guest
--- finds; nil answers all ones. To other kinds it returns nothing, else it raises.
--- Without a handler such an exit ends the run.
---@param kind hv.exit.handled
---@param handler? fun(cpu: hv.cpu, exit: hv.exit): integer?
function machine:on(kind, handler) end

--- A device's read(offset, size, cpu): the integer that the guest finds in the 1, 2, 4
--- or 8 bytes at `offset` from the device's start. Anything else raises.
---@alias hv.attach.read fun(offset: integer, size: integer, cpu: hv.cpu): integer

--- A device's write(offset, value, size, cpu).
---@alias hv.attach.write fun(offset: integer, value: integer, size: integer, cpu: hv.cpu)

--- What vm:attach() takes: `at` and `size`, or `port` and `count`; a function or two.
---@class hv.attach.options
---@field at? hv.address where its registers are: neither memory nor another device
---@field size? hv.bytes of its registers, with `at`
---@field port? hv.address x86_64: its first port, 0 to 0xffff, not the hypercall port
---@field count? hv.bytes how many ports (1)
---@field read? hv.attach.read answers reads; without it they are all ones
---@field write? hv.attach.write hears writes; without it they are dropped
---@field name? string its name in messages

--- Attach a device: functions for the accesses to a range of addresses or ports.
---@param device hv.attach.options
function machine:attach(device) end

--- What vm:run() and cpu:run() take.
---@class hv.run.options
---@field timeout? number seconds, more than 0, after which it ends: guest and handlers
---@field exits? integer how many exits it handles, at least 1, before it ends

--- Run all vCPUs until an exit ends the run: one that nobody handles, or a stop,
--- timeout, budget or kick. A handler's error comes out as it is, with the exit and
--- a traceback. Raises from a handler of the same machine, and without a vCPU.
---@param options? hv.run.options
---@return hv.exit exit
function machine:run(options) end

--- From a handler: end the run with a stop exit of this value once the handler has
--- returned. Raises when the machine does not run.
---@param value? any
function machine:stop(value) end

--- Close the machine, its vCPUs and its memory: any number of times, and also from a
--- handler, where the run then ends with a stop exit.
function machine:close() end

-- ---- memory ------------------------------------------------------------

--- A range of guest memory, as vm:map() returns it. It keeps its machine alive.
---@class hv.memory
---@field at integer its address
---@field size integer its bytes
---@field prot hv.prot three characters, such as "rw-"; raises once unmapped
local memory = {}

--- Change what the guest may do with it; see vm:protect().
---@param prot hv.prot
function memory:protect(prot) end

--- Take it from the machine. Raises when that has been done.
function memory:unmap() end

--- What vm:view() returns, indexed by address. Other values than integers raise.
---@class hv.view
---@field [hv.address] integer the integer there; unsigned, except for "u64"

-- ---- exits -------------------------------------------------------------

--- The kinds of exits that vm:on() can handle. When a handler runs, the guest's PC is
--- behind the instruction, except where this says "at".
---@alias hv.exit.handled
---| "hvc" # a hypercall that has no handler of its own
---| "smc" # arm64: SMC
---| "mmio" # an access to addresses without memory, or a write to memory without "w"
---| "io" # x86_64: an access to a port
---| "sysreg" # an MRS, MSR, rdmsr or wrmsr that nobody handles
---| "brk" # BRK or int3 while cpu.trap_debug; PC at it
---| "step" # one instruction was executed
---| "break" # a breakpoint; PC at the instruction, which is still to be executed
---| "watch" # a watchpoint
---| "halt" # x86_64: hlt
---| "wfi" # arm64: WFI
---| "timer" # arm64: the guest's virtual timer has fired
---| "fault" # an exception that the guest cannot handle; PC at the instruction
---| "shutdown" # x86_64: a triple fault; or the guest's own power-off
---| "error" # the host cannot go on with this guest: see exit.why

--- All kinds of exits: those that can be handled, and those that only end a run.
---@alias hv.exit.kind
---| hv.exit.handled
---| "stop" # vm:stop(), cpu:stop(), or the machine was closed
---| "timeout" # the run's time is up
---| "budget" # the run's exits are used up
---| "kick" # cpu:kick()

--- An exit: a plain table. A field that its kind does not have is nil.
---@class hv.exit
---@field kind hv.exit.kind what has happened
---@field cpu? hv.cpu the vCPU; nil when its machine was closed meanwhile
---@field imm? integer hvc, smc, brk: the number in the instruction
---@field nr? integer hvc, smc: the number in x0 or rax
---@field addr? integer mmio: the address; watch: the virtual one; fault: the address, where known
---@field port? integer io: the port
---@field reg? integer sysreg: arm64 op0<<14|op1<<11|crn<<7|crm<<3|op2, x86_64 the MSR's number
---@field size? integer mmio, io, watch: bytes of the access
---@field write? boolean mmio, io, sysreg, watch: it writes
---@field value? any mmio, io, sysreg that write: the integer; stop: what stop() was given
---@field vector? integer fault: x86_64 the exception, arm64 its offset in the vector table
---@field code? integer fault: x86_64's error code
---@field why? string fault, shutdown, error: the reason in words
---@field reason? integer raw: arm64 0 cancelled, 1 exception, 2 timer; kvm KVM_EXIT_*
---@field syndrome? integer raw, arm64: ESR_EL2
---@field ec? integer raw, arm64: the syndrome's exception class
---@field va? integer raw, arm64: FAR_EL2, the virtual address of a fault
---@field pa? integer raw, arm64: the guest physical address of a fault

-- ---- vCPUs -------------------------------------------------------------

--- A vCPU of a machine, which owns it. Registers are its fields: reading and writing
--- them raises while it runs, except in its own handlers, and so do unknown names and
--- values that do not fit. pairs(cpu) goes over those of full width that the backend has.
---@class hv.vcpu
---@field index integer 0, 1, ... in the order they were made; cannot be set
---@field vm hv.machine its machine; cannot be set
local vcpu = {}

--- Run this vCPU alone, as vm:run() does all of them.
---@param options? hv.run.options
---@return hv.exit exit
function vcpu:run(options) end

--- Enter the guest once and return its exit: no handler is called, so that a script
--- can be its own loop. `answer` completes the read that the exit before was; else
--- that reads as all ones.
---@param answer? integer
---@return hv.exit exit
function vcpu:enter(answer) end

--- Answer the read (mmio, io, sysreg) that the last exit was. Raises when it was none.
---@param value integer
function vcpu:answer(value) end

--- Execute one instruction: a step exit, or whatever else it caused. On kvm x86_64 an
--- exception's handler is part of that: one that does not come back soon ends in a
--- timeout exit.
---@return hv.exit exit
function vcpu:step() end

--- From a handler: end the run with a stop exit of this value; see vm:stop().
---@param value? any
function vcpu:stop(value) end

--- Get it out of the guest: its run ends with a kick exit. When it does not run, its
--- next run does at once.
function vcpu:kick() end

--- Set a breakpoint on a virtual address, or clear it: at most 16, or as many as the
--- backend has. Hits are break exits; the run after one goes on past it.
---@param at hv.address
---@param on? boolean set it (true)
function vcpu:breakpoint(at, on) end

--- Watch 1, 2, 4 or 8 bytes at a multiple of that, by virtual address: at most 4, or
--- as many as the backend has. Hits are watch exits.
---@param at hv.address
---@param size hv.bytes
---@param access? "r"|"w"|"rw" what to watch for ("rw")
---@param on? boolean set it (true)
function vcpu:watchpoint(at, size, access, on) end

--- The guest physical address behind a virtual one by the guest's page tables as they
--- are now; nil where nothing is mapped.
---@param va hv.address
---@return integer? pa
function vcpu:translate(va) end

--- Drive the interrupt line, arm64's IRQ: the guest takes it while it is true and not
--- masked. Without an argument: what it is at. Raises for x86_64 guests, which get
--- theirs by inject().
---@param level? boolean
---@return boolean? level nothing when it is driven
function vcpu:irq(level) end

--- The same for arm64's other line, FIQ.
---@param level? boolean
---@return boolean? level nothing when it is driven
function vcpu:fiq(level) end

--- A segment register, as in a descriptor. Reading gives all fields; writing changes
--- those that are given.
---@class (partial) hv.segment : hv.segment.fields

--- The fields of a segment register.
---@class hv.segment.fields
---@field base integer 64 bits
---@field limit integer in bytes, 32 bits
---@field selector integer 16 bits
---@field type integer what the descriptor's type field says
---@field s integer 1: code or data, 0: a system segment
---@field dpl integer the privilege level, 0 to 3
---@field present integer 1: it can be used
---@field avl integer free for software
---@field l integer 1: 64-bit code
---@field db integer 1: 32 bits by default, 0: 16
---@field g integer 1: the descriptor counts its limit in pages

--- A descriptor-table register. Writing changes the fields that are given.
---@class (partial) hv.table : hv.table.fields

--- The fields of a descriptor-table register.
---@class hv.table.fields
---@field base integer 64 bits
---@field limit integer in bytes less one, 16 bits

--- The exception that cpu:inject() makes pending on arm64.
---@class hv.event.arm64
---@field syndrome integer what ESR_EL1 will say
---@field far? integer what FAR_EL1 will say (0)

--- The interrupt that cpu:inject() makes pending on x86_64.
---@class hv.event.x86_64
---@field vector integer 0 to 255

--- An arm64 vCPU.
---@class hv.vcpu.arm64 : hv.vcpu, hv.vcpu.arm64.registers
local arm64 = {}

--- Read any system register by its encoding, or write it. Raises for those that the
--- backend does not let the host reach.
---@param op0 integer 0 to 3
---@param op1 integer 0 to 7
---@param crn integer 0 to 15
---@param crm integer 0 to 15
---@param op2 integer 0 to 7
---@param value? integer
---@return integer value nothing when it writes
function arm64:sysreg(op0, op1, crn, crm, op2, value) end

--- Make a synchronous exception into EL1 pending; it is taken when the guest goes on.
---@param event hv.event.arm64
function arm64:inject(event) end

--- An x86_64 vCPU.
---@class hv.vcpu.x86_64 : hv.vcpu, hv.vcpu.x86_64.registers
local x86_64 = {}

--- Read any model-specific register by its number, 32 bits, or write it. Raises for those
--- that the backend does not have.
---@param number integer
---@param value? integer
---@return integer value nothing when it writes
function x86_64:msr(number, value) end

--- Make an external interrupt pending; it is delivered once the guest accepts them.
---@param event hv.event.x86_64
function x86_64:inject(event) end

--- The registers of arm64, as fields of its vCPUs.
---@class hv.vcpu.arm64.registers
---@field x0 integer general register 0
---@field x1 integer general register 1
---@field x2 integer general register 2
---@field x3 integer general register 3
---@field x4 integer general register 4
---@field x5 integer general register 5
---@field x6 integer general register 6
---@field x7 integer general register 7
---@field x8 integer general register 8
---@field x9 integer general register 9
---@field x10 integer general register 10
---@field x11 integer general register 11
---@field x12 integer general register 12
---@field x13 integer general register 13
---@field x14 integer general register 14
---@field x15 integer general register 15
---@field x16 integer general register 16
---@field x17 integer general register 17
---@field x18 integer general register 18
---@field x19 integer general register 19
---@field x20 integer general register 20
---@field x21 integer general register 21
---@field x22 integer general register 22
---@field x23 integer general register 23
---@field x24 integer general register 24
---@field x25 integer general register 25
---@field x26 integer general register 26
---@field x27 integer general register 27
---@field x28 integer general register 28
---@field x29 integer general register 29
---@field x30 integer general register 30
---@field sp integer the stack pointer that cpsr selects
---@field pc integer the program counter
---@field cpsr integer condition flags, interrupt masks, exception level (PSTATE)
---@field fp integer x29, the frame pointer
---@field lr integer x30, the link register
---@field pstate integer cpsr by its other name
---@field fpcr integer floating-point control
---@field fpsr integer floating-point status
---@field w0 integer the low 32 bits of x0; writing clears the rest
---@field w1 integer the low 32 bits of x1; writing clears the rest
---@field w2 integer the low 32 bits of x2; writing clears the rest
---@field w3 integer the low 32 bits of x3; writing clears the rest
---@field w4 integer the low 32 bits of x4; writing clears the rest
---@field w5 integer the low 32 bits of x5; writing clears the rest
---@field w6 integer the low 32 bits of x6; writing clears the rest
---@field w7 integer the low 32 bits of x7; writing clears the rest
---@field w8 integer the low 32 bits of x8; writing clears the rest
---@field w9 integer the low 32 bits of x9; writing clears the rest
---@field w10 integer the low 32 bits of x10; writing clears the rest
---@field w11 integer the low 32 bits of x11; writing clears the rest
---@field w12 integer the low 32 bits of x12; writing clears the rest
---@field w13 integer the low 32 bits of x13; writing clears the rest
---@field w14 integer the low 32 bits of x14; writing clears the rest
---@field w15 integer the low 32 bits of x15; writing clears the rest
---@field w16 integer the low 32 bits of x16; writing clears the rest
---@field w17 integer the low 32 bits of x17; writing clears the rest
---@field w18 integer the low 32 bits of x18; writing clears the rest
---@field w19 integer the low 32 bits of x19; writing clears the rest
---@field w20 integer the low 32 bits of x20; writing clears the rest
---@field w21 integer the low 32 bits of x21; writing clears the rest
---@field w22 integer the low 32 bits of x22; writing clears the rest
---@field w23 integer the low 32 bits of x23; writing clears the rest
---@field w24 integer the low 32 bits of x24; writing clears the rest
---@field w25 integer the low 32 bits of x25; writing clears the rest
---@field w26 integer the low 32 bits of x26; writing clears the rest
---@field w27 integer the low 32 bits of x27; writing clears the rest
---@field w28 integer the low 32 bits of x28; writing clears the rest
---@field w29 integer the low 32 bits of x29; writing clears the rest
---@field w30 integer the low 32 bits of x30; writing clears the rest
---@field v0 string vector register 0: 16 bytes
---@field v1 string vector register 1: 16 bytes
---@field v2 string vector register 2: 16 bytes
---@field v3 string vector register 3: 16 bytes
---@field v4 string vector register 4: 16 bytes
---@field v5 string vector register 5: 16 bytes
---@field v6 string vector register 6: 16 bytes
---@field v7 string vector register 7: 16 bytes
---@field v8 string vector register 8: 16 bytes
---@field v9 string vector register 9: 16 bytes
---@field v10 string vector register 10: 16 bytes
---@field v11 string vector register 11: 16 bytes
---@field v12 string vector register 12: 16 bytes
---@field v13 string vector register 13: 16 bytes
---@field v14 string vector register 14: 16 bytes
---@field v15 string vector register 15: 16 bytes
---@field v16 string vector register 16: 16 bytes
---@field v17 string vector register 17: 16 bytes
---@field v18 string vector register 18: 16 bytes
---@field v19 string vector register 19: 16 bytes
---@field v20 string vector register 20: 16 bytes
---@field v21 string vector register 21: 16 bytes
---@field v22 string vector register 22: 16 bytes
---@field v23 string vector register 23: 16 bytes
---@field v24 string vector register 24: 16 bytes
---@field v25 string vector register 25: 16 bytes
---@field v26 string vector register 26: 16 bytes
---@field v27 string vector register 27: 16 bytes
---@field v28 string vector register 28: 16 bytes
---@field v29 string vector register 29: 16 bytes
---@field v30 string vector register 30: 16 bytes
---@field v31 string vector register 31: 16 bytes
---@field sp_el0 integer EL0's stack pointer
---@field sp_el1 integer EL1's stack pointer
---@field elr_el1 integer where ERET returns to
---@field spsr_el1 integer the cpsr that ERET restores
---@field esr_el1 integer the syndrome of the exception taken to EL1
---@field far_el1 integer the virtual address that faulted
---@field vbar_el1 integer where the exception vectors are
---@field sctlr_el1 integer system control: MMU, caches, alignment checks
---@field cpacr_el1 integer access to SIMD and floating point
---@field actlr_el1 integer auxiliary control
---@field ttbr0_el1 integer page tables of the lower addresses
---@field ttbr1_el1 integer page tables of the upper addresses
---@field tcr_el1 integer translation control
---@field mair_el1 integer memory attributes, by index
---@field amair_el1 integer auxiliary memory attributes
---@field par_el1 integer the result of AT
---@field contextidr_el1 integer the context's identifier
---@field csselr_el1 integer which cache CCSIDR_EL1 describes
---@field afsr0_el1 integer auxiliary fault status 0
---@field afsr1_el1 integer auxiliary fault status 1
---@field tpidr_el0 integer EL0's thread pointer
---@field tpidrro_el0 integer EL0's read-only thread pointer
---@field tpidr_el1 integer EL1's thread pointer
---@field mdscr_el1 integer debug control: single step
---@field cntkctl_el1 integer EL0's access to timers
---@field cntfrq_el0 integer the system counter's frequency in Hz
---@field cntv_ctl_el0 integer the virtual timer's control
---@field cntv_cval_el0 integer when the virtual timer fires
---@field midr_el1 integer which processor this is
---@field mpidr_el1 integer which of the processors this is
---@field revidr_el1 integer the processor's revision
---@field ctr_el0 integer the caches' line sizes
---@field dczid_el0 integer the block size of DC ZVA
---@field clidr_el1 integer the levels of caches
---@field id_aa64pfr0_el1 integer processor features 0
---@field id_aa64pfr1_el1 integer processor features 1
---@field id_aa64dfr0_el1 integer debug features 0
---@field id_aa64dfr1_el1 integer debug features 1
---@field id_aa64isar0_el1 integer instruction set 0
---@field id_aa64isar1_el1 integer instruction set 1
---@field id_aa64mmfr0_el1 integer memory model 0
---@field id_aa64mmfr1_el1 integer memory model 1
---@field id_aa64mmfr2_el1 integer memory model 2
---@field id_aa64zfr0_el1 integer SVE features
---@field id_aa64smfr0_el1 integer SME features
---@field mdccint_el1 integer interrupts of the debug channel
---@field apiakeylo_el1 integer pointer authentication's key for instructions, A: low half
---@field apiakeyhi_el1 integer its high half
---@field apibkeylo_el1 integer pointer authentication's key for instructions, B: low half
---@field apibkeyhi_el1 integer its high half
---@field apdakeylo_el1 integer pointer authentication's key for data, A: low half
---@field apdakeyhi_el1 integer its high half
---@field apdbkeylo_el1 integer pointer authentication's key for data, B: low half
---@field apdbkeyhi_el1 integer its high half
---@field apgakeylo_el1 integer pointer authentication's key for anything: low half
---@field apgakeyhi_el1 integer its high half
---@field cntp_tval_el0 integer the physical timer: ticks left; with a GIC
---@field cntp_ctl_el0 integer its control
---@field cntp_cval_el0 integer when it fires
---@field scxtnum_el0 integer EL0's software context number
---@field scxtnum_el1 integer EL1's software context number
---@field vpidr_el2 integer what the guest's guest reads as midr_el1; guests with EL2
---@field vmpidr_el2 integer and as mpidr_el1
---@field sctlr_el2 integer EL2's system control
---@field hcr_el2 integer what EL2 traps
---@field mdcr_el2 integer debugging that EL2 traps
---@field cptr_el2 integer EL2's traps of FP, SVE, SME
---@field ttbr0_el2 integer EL2's translation table
---@field ttbr1_el2 integer EL2's second translation table
---@field tcr_el2 integer EL2's translation control
---@field vttbr_el2 integer the table of stage 2
---@field vtcr_el2 integer the control of stage 2
---@field spsr_el2 integer pstate before the exception into EL2
---@field elr_el2 integer where it came from
---@field sp_el2 integer EL2's stack pointer
---@field esr_el2 integer its syndrome
---@field far_el2 integer its address
---@field hpfar_el2 integer its physical page
---@field mair_el2 integer EL2's memory attributes
---@field vbar_el2 integer EL2's vectors
---@field tpidr_el2 integer EL2's thread pointer
---@field cntvoff_el2 integer CNTPCT less CNTVCT, as EL2 sets it
---@field cnthctl_el2 integer EL2's timer control
---@field cnthp_tval_el2 integer EL2's timer: ticks left
---@field cnthp_ctl_el2 integer its control
---@field cnthp_cval_el2 integer when it fires
---@field svcr integer SME's switches: bit 0 streaming mode, bit 1 ZA; what is switched is zeroed
---@field smcr_el1 integer the streaming vector length
---@field smpri_el1 integer streaming priority
---@field tpidr2_el0 integer EL0's second thread pointer
---@field z0 string SME's vector 0: hv.caps().sme.svl bytes; in streaming mode
---@field z1 string SME's vector 1: hv.caps().sme.svl bytes; in streaming mode
---@field z2 string SME's vector 2: hv.caps().sme.svl bytes; in streaming mode
---@field z3 string SME's vector 3: hv.caps().sme.svl bytes; in streaming mode
---@field z4 string SME's vector 4: hv.caps().sme.svl bytes; in streaming mode
---@field z5 string SME's vector 5: hv.caps().sme.svl bytes; in streaming mode
---@field z6 string SME's vector 6: hv.caps().sme.svl bytes; in streaming mode
---@field z7 string SME's vector 7: hv.caps().sme.svl bytes; in streaming mode
---@field z8 string SME's vector 8: hv.caps().sme.svl bytes; in streaming mode
---@field z9 string SME's vector 9: hv.caps().sme.svl bytes; in streaming mode
---@field z10 string SME's vector 10: hv.caps().sme.svl bytes; in streaming mode
---@field z11 string SME's vector 11: hv.caps().sme.svl bytes; in streaming mode
---@field z12 string SME's vector 12: hv.caps().sme.svl bytes; in streaming mode
---@field z13 string SME's vector 13: hv.caps().sme.svl bytes; in streaming mode
---@field z14 string SME's vector 14: hv.caps().sme.svl bytes; in streaming mode
---@field z15 string SME's vector 15: hv.caps().sme.svl bytes; in streaming mode
---@field z16 string SME's vector 16: hv.caps().sme.svl bytes; in streaming mode
---@field z17 string SME's vector 17: hv.caps().sme.svl bytes; in streaming mode
---@field z18 string SME's vector 18: hv.caps().sme.svl bytes; in streaming mode
---@field z19 string SME's vector 19: hv.caps().sme.svl bytes; in streaming mode
---@field z20 string SME's vector 20: hv.caps().sme.svl bytes; in streaming mode
---@field z21 string SME's vector 21: hv.caps().sme.svl bytes; in streaming mode
---@field z22 string SME's vector 22: hv.caps().sme.svl bytes; in streaming mode
---@field z23 string SME's vector 23: hv.caps().sme.svl bytes; in streaming mode
---@field z24 string SME's vector 24: hv.caps().sme.svl bytes; in streaming mode
---@field z25 string SME's vector 25: hv.caps().sme.svl bytes; in streaming mode
---@field z26 string SME's vector 26: hv.caps().sme.svl bytes; in streaming mode
---@field z27 string SME's vector 27: hv.caps().sme.svl bytes; in streaming mode
---@field z28 string SME's vector 28: hv.caps().sme.svl bytes; in streaming mode
---@field z29 string SME's vector 29: hv.caps().sme.svl bytes; in streaming mode
---@field z30 string SME's vector 30: hv.caps().sme.svl bytes; in streaming mode
---@field z31 string SME's vector 31: hv.caps().sme.svl bytes; in streaming mode
---@field p0 string SME's predicate 0: an eighth of that
---@field p1 string SME's predicate 1: an eighth of that
---@field p2 string SME's predicate 2: an eighth of that
---@field p3 string SME's predicate 3: an eighth of that
---@field p4 string SME's predicate 4: an eighth of that
---@field p5 string SME's predicate 5: an eighth of that
---@field p6 string SME's predicate 6: an eighth of that
---@field p7 string SME's predicate 7: an eighth of that
---@field p8 string SME's predicate 8: an eighth of that
---@field p9 string SME's predicate 9: an eighth of that
---@field p10 string SME's predicate 10: an eighth of that
---@field p11 string SME's predicate 11: an eighth of that
---@field p12 string SME's predicate 12: an eighth of that
---@field p13 string SME's predicate 13: an eighth of that
---@field p14 string SME's predicate 14: an eighth of that
---@field p15 string SME's predicate 15: an eighth of that
---@field za string SME's matrix: svl * svl bytes; while svcr has ZA
---@field zt0 string SME's table: 64 bytes; while svcr has ZA
---@field icc_pmr_el1 integer the GIC's CPU interface: priority mask
---@field icc_bpr0_el1 integer binary point of group 0
---@field icc_ap0r0_el1 integer active priorities of group 0
---@field icc_ap1r0_el1 integer active priorities of group 1
---@field icc_rpr_el1 integer running priority
---@field icc_bpr1_el1 integer binary point of group 1
---@field icc_ctlr_el1 integer control
---@field icc_sre_el1 integer use of these registers
---@field icc_igrpen0_el1 integer group 0 enabled
---@field icc_igrpen1_el1 integer group 1 enabled
---@field icc_sre_el2 integer use of these registers at EL2
---@field ich_ap0r0_el2 integer the GIC's interface for hypervisors: active priorities, group 0
---@field ich_ap1r0_el2 integer active priorities of group 1
---@field ich_hcr_el2 integer control
---@field ich_vtr_el2 integer what there is
---@field ich_misr_el2 integer maintenance status
---@field ich_eisr_el2 integer list registers at their end
---@field ich_elrsr_el2 integer list registers that are free
---@field ich_vmcr_el2 integer the virtual interface's state
---@field ich_lr0_el2 integer list register 0
---@field ich_lr1_el2 integer list register 1
---@field ich_lr2_el2 integer list register 2
---@field ich_lr3_el2 integer list register 3
---@field ich_lr4_el2 integer list register 4
---@field ich_lr5_el2 integer list register 5
---@field ich_lr6_el2 integer list register 6
---@field ich_lr7_el2 integer list register 7
---@field ich_lr8_el2 integer list register 8
---@field ich_lr9_el2 integer list register 9
---@field ich_lr10_el2 integer list register 10
---@field ich_lr11_el2 integer list register 11
---@field ich_lr12_el2 integer list register 12
---@field ich_lr13_el2 integer list register 13
---@field ich_lr14_el2 integer list register 14
---@field ich_lr15_el2 integer list register 15
---@field icv_pmr_el1 integer the virtual CPU interface of a guest with EL2: priority mask
---@field icv_bpr0_el1 integer binary point of group 0
---@field icv_ap0r0_el1 integer active priorities of group 0
---@field icv_ap1r0_el1 integer active priorities of group 1
---@field icv_rpr_el1 integer running priority
---@field icv_bpr1_el1 integer binary point of group 1
---@field icv_ctlr_el1 integer control
---@field icv_sre_el1 integer use of these registers
---@field icv_igrpen0_el1 integer group 0 enabled
---@field icv_igrpen1_el1 integer group 1 enabled
---@field gicr_typer integer the GIC's redistributor: which vCPU
---@field gicr_pidr2 integer its version
---@field gicr_igroupr0 integer groups
---@field gicr_isenabler0 integer enabled; write to enable
---@field gicr_icenabler0 integer write to disable
---@field gicr_ispendr0 integer pending; write to make so
---@field gicr_icpendr0 integer write to clear
---@field gicr_isactiver0 integer active; write to make so
---@field gicr_icactiver0 integer write to deactivate
---@field gicr_ipriorityr0 integer priorities of interrupts 0 to 3
---@field gicr_ipriorityr1 integer priorities of interrupts 4 to 7
---@field gicr_ipriorityr2 integer priorities of interrupts 8 to 11
---@field gicr_ipriorityr3 integer priorities of interrupts 12 to 15
---@field gicr_ipriorityr4 integer priorities of interrupts 16 to 19
---@field gicr_ipriorityr5 integer priorities of interrupts 20 to 23
---@field gicr_ipriorityr6 integer priorities of interrupts 24 to 27
---@field gicr_ipriorityr7 integer priorities of interrupts 28 to 31
---@field gicr_icfgr0 integer edge or level of interrupts 0 to 15
---@field gicr_icfgr1 integer of 16 to 31
---@field gicr_base integer where the redistributor is; cannot be set
---@field trap_debug boolean the guest's breakpoint instructions are brk exits
---@field trap_debug_registers boolean its accesses to debug registers are sysreg exits
---@field vtimer_mask boolean the virtual timer does not fire; true after it has, until that is over
---@field vtimer_offset integer the host's counter less the guest's cntvct_el0
---@field exec_time integer nanoseconds in the guest so far; hvf; cannot be set

--- Registers of arm64 to set, some of them.
---@class (partial) hv.vcpu.arm64.options : hv.vcpu.arm64.registers

--- The registers of x86_64, as fields of its vCPUs.
---@class hv.vcpu.x86_64.registers
---@field rax integer general register
---@field rbx integer general register
---@field rcx integer general register
---@field rdx integer general register
---@field rsi integer general register
---@field rdi integer general register
---@field rbp integer general register
---@field rsp integer general register
---@field r8 integer general register
---@field r9 integer general register
---@field r10 integer general register
---@field r11 integer general register
---@field r12 integer general register
---@field r13 integer general register
---@field r14 integer general register
---@field r15 integer general register
---@field rip integer the instruction pointer
---@field rflags integer flags
---@field pc integer rip
---@field sp integer rsp
---@field eax integer the low 32 bits of rax; writing clears the rest
---@field ebx integer the low 32 bits of rbx; writing clears the rest
---@field ecx integer the low 32 bits of rcx; writing clears the rest
---@field edx integer the low 32 bits of rdx; writing clears the rest
---@field esi integer the low 32 bits of rsi; writing clears the rest
---@field edi integer the low 32 bits of rdi; writing clears the rest
---@field ebp integer the low 32 bits of rbp; writing clears the rest
---@field esp integer the low 32 bits of rsp; writing clears the rest
---@field r8d integer the low 32 bits of r8; writing clears the rest
---@field r9d integer the low 32 bits of r9; writing clears the rest
---@field r10d integer the low 32 bits of r10; writing clears the rest
---@field r11d integer the low 32 bits of r11; writing clears the rest
---@field r12d integer the low 32 bits of r12; writing clears the rest
---@field r13d integer the low 32 bits of r13; writing clears the rest
---@field r14d integer the low 32 bits of r14; writing clears the rest
---@field r15d integer the low 32 bits of r15; writing clears the rest
---@field eip integer the low 32 bits of rip
---@field eflags integer the low 32 bits of rflags
---@field ax integer the low 16 bits of rax
---@field bx integer the low 16 bits of rbx
---@field cx integer the low 16 bits of rcx
---@field dx integer the low 16 bits of rdx
---@field si integer the low 16 bits of rsi
---@field di integer the low 16 bits of rdi
---@field bp integer the low 16 bits of rbp
---@field r8w integer the low 16 bits of r8
---@field r9w integer the low 16 bits of r9
---@field r10w integer the low 16 bits of r10
---@field r11w integer the low 16 bits of r11
---@field r12w integer the low 16 bits of r12
---@field r13w integer the low 16 bits of r13
---@field r14w integer the low 16 bits of r14
---@field r15w integer the low 16 bits of r15
---@field al integer the low 8 bits of rax
---@field bl integer the low 8 bits of rbx
---@field cl integer the low 8 bits of rcx
---@field dl integer the low 8 bits of rdx
---@field ah integer bits 8 to 15 of rax
---@field bh integer bits 8 to 15 of rbx
---@field ch integer bits 8 to 15 of rcx
---@field dh integer bits 8 to 15 of rdx
---@field sil integer the low 8 bits of rsi
---@field dil integer the low 8 bits of rdi
---@field bpl integer the low 8 bits of rbp
---@field spl integer the low 8 bits of rsp
---@field r8b integer the low 8 bits of r8
---@field r9b integer the low 8 bits of r9
---@field r10b integer the low 8 bits of r10
---@field r11b integer the low 8 bits of r11
---@field r12b integer the low 8 bits of r12
---@field r13b integer the low 8 bits of r13
---@field r14b integer the low 8 bits of r14
---@field r15b integer the low 8 bits of r15
---@field cr0 integer protection, paging, caches
---@field cr2 integer the virtual address of the last page fault
---@field cr3 integer where the page tables are
---@field cr4 integer extensions
---@field cr8 integer the task priority
---@field efer integer long mode, syscall, no-execute
---@field apic_base integer where the local APIC is
---@field fs_base integer the base of fs
---@field gs_base integer the base of gs
---@field dr0 integer the address of hardware breakpoint 0
---@field dr1 integer the address of hardware breakpoint 1
---@field dr2 integer the address of hardware breakpoint 2
---@field dr3 integer the address of hardware breakpoint 3
---@field dr6 integer what the debug exception was
---@field dr7 integer debug control
---@field cs hv.segment the code segment
---@field ds hv.segment the data segment
---@field es hv.segment the extra segment
---@field fs hv.segment the segment fs
---@field gs hv.segment the segment gs
---@field ss hv.segment the stack segment
---@field ldtr hv.segment the local descriptor table
---@field tr hv.segment the task register
---@field gdtr hv.table the global descriptor table
---@field idtr hv.table the interrupt descriptor table
---@field xmm0 string vector register 0: 16 bytes
---@field xmm1 string vector register 1: 16 bytes
---@field xmm2 string vector register 2: 16 bytes
---@field xmm3 string vector register 3: 16 bytes
---@field xmm4 string vector register 4: 16 bytes
---@field xmm5 string vector register 5: 16 bytes
---@field xmm6 string vector register 6: 16 bytes
---@field xmm7 string vector register 7: 16 bytes
---@field xmm8 string vector register 8: 16 bytes
---@field xmm9 string vector register 9: 16 bytes
---@field xmm10 string vector register 10: 16 bytes
---@field xmm11 string vector register 11: 16 bytes
---@field xmm12 string vector register 12: 16 bytes
---@field xmm13 string vector register 13: 16 bytes
---@field xmm14 string vector register 14: 16 bytes
---@field xmm15 string vector register 15: 16 bytes
---@field tsc integer the time-stamp counter
---@field sysenter_cs integer sysenter's code segment
---@field sysenter_esp integer sysenter's stack pointer
---@field sysenter_eip integer sysenter's entry
---@field pat integer page attributes, by index
---@field star integer syscall's segments
---@field lstar integer syscall's entry in 64-bit mode
---@field cstar integer syscall's entry in compatibility mode
---@field sfmask integer the flags that syscall clears
---@field kernel_gs_base integer the gs_base that swapgs swaps in
---@field tsc_aux integer what rdtscp gives besides
---@field trap_debug boolean the guest's breakpoint instructions are brk exits

--- Registers of x86_64 to set, some of them.
---@class (partial) hv.vcpu.x86_64.options : hv.vcpu.x86_64.registers

-- ---- images ------------------------------------------------------------

--- Guest code and data, laid out from an address. What can be anywhere (hv.asm, raw
--- files, static PIE) gets its default address at the first look at its contents.
---@class hv.image
---@field name string what it is called in messages
---@field arch? hv.arch its guests' architecture; nil: a raw file's, not said
---@field bits? integer of the code: 16, 32 or 64; nil: a raw file's
---@field base integer where it is laid out from
---@field entry? integer where it starts; nil where the file does not say
---@field segments hv.image.segment[] by rising address, never overlapping
---@field symbols table<string, integer> the addresses of its labels and symbols
---@field assembler? string the program that made it; nil where none did
---@field bytes string all from the first address to the last, zeros between; at most 1 GiB
---@operator len: integer
local image = {}

--- A piece of an image.
---@class hv.image.segment
---@field at integer its address
---@field data string what it starts with; the rest is zeros
---@field size integer its bytes
---@field prot hv.prot what the guest needs to do with it, such as "rx"

--- What lays an image out from an address: { entry=, segments=, symbols= }.
---@alias hv.image.mover fun(address: integer): table

--- The same image laid out from another address. Raises for one that was linked to be
--- where it is.
---@param address hv.address
---@param level? integer where to raise, counted from the caller as by error() (1)
---@return hv.image image
function image:at(address, level) end

--- What hv.image() and hv.image.from() take besides the file.
---@class hv.image.options
---@field at? hv.address where to lay out what can be anywhere (0, or as linked)
---@field raw? boolean take it as it is, whatever it looks like
---@field arch? hv.arch refuse files for others; what a raw file holds
---@field limit? hv.bytes refuse more guest memory than this ("1G")
---@field name? string what to call it in messages (the path)

--- hv.image(path): a raw file, or a statically linked little-endian ELF file for
--- arm64, x86_64 or i386. What is damaged or something else raises, saying what it is.
---@class hv.images
---@overload fun(path: string, opts?: hv.image.options): hv.image
local images = {}

--- The same from a string of bytes.
---@param bytes string
---@param opts? hv.image.options
---@return hv.image image
function images.from(bytes, opts) end

--- Is this value an image?
---@param value any
---@return boolean is
function images.is(value) end

--- An image of fields of your own: at least name and base, and segments and symbols
--- unless there is a mover. That gives those, and the entry, for any address.
---@param fields table
---@param mover? hv.image.mover
---@return hv.image image
function images.new(fields, mover) end

-- ---- workers -----------------------------------------------------------

--- A worker process, as its parent has it. It takes a `local w <close>`, which kills
--- it if it still runs. Messages and results are data: nil, booleans, numbers, strings
--- and tables of them; other values raise.
---@class hv.worker
---@field pid integer its process
---@field output string all that it has printed so far, errors too
---@field mark? any the last value that it gave to its mark()
local worker = {}

--- Send values to the worker's receive(); waits while the worker is too busy to take
--- them. One that has ended gets them no more, without an error; after close() it
--- raises.
---@param ... any
function worker:send(...) end

--- The values of the worker's next message; nil and why when it has ended without
--- one, or none came in time.
---@param timeout? number seconds, 0 for what is there; nil: for ever
---@return any ... the values, or nil and why
function worker:receive(timeout) end

--- Wait until it has ended; the report is the same each time. With a timeout in
--- seconds, 0 to look only, nil says that it still runs.
---@overload fun(self: hv.worker, timeout: number): hv.report?
---@return hv.report report
function worker:wait() end

--- End it now (SIGKILL). wait() still gives its report.
function worker:kill() end

--- Kill it if it runs, and forget it: any number of times.
function worker:close() end

--- No more messages: once it has had those sent, its receive() gives nil.
function worker:close_input() end

--- How a worker has ended.
---@class hv.report
---@field ok boolean its function has returned
---@field results? table what that returned, and as `n` how many values; nil where not ok
---@field output string all that it has printed
---@field error? string what it raised, with a traceback, or why it is not there any more
---@field signal? integer the number of the signal that killed it
---@field code? integer its exit status, where no signal did
---@field messages table[] what it sent and nobody received: each { n =, values... }
---@field mark? any the last value that it gave to its mark()

--- The same worker as its own function gets it. What it prints goes to the parent.
---@class hv.worker.self
local inside = {}

--- Send values to the parent's receive(). Raises when the parent has gone.
---@param ... any
function inside:send(...) end

--- Wait for the parent's next message; nil when there will be none.
---@return any ... its values
function inside:receive() end

--- Tell the parent what comes next, such as the seed of a guest that may take the
--- worker down with it: its report will have it. Raises when the parent has gone.
---@param value any
function inside:mark(value) end

-- ---- devices -----------------------------------------------------------

--- Devices written in Lua, on vm:attach().
---@class hv.devices
local device = {}

--- A serial port, to its script.
---@class hv.uart
local uart = {}

--- Bytes for the guest, behind those that wait already; raises the interrupt.
---@param bytes string
function uart:feed(bytes) end

--- For a guest that waits (hlt, wfi): show the output so far, and ask the input
--- function whether there is something.
function uart:poll() end

--- A serial port's input: bytes, or a function that gives some bytes, the value of
--- one, or nil for none yet. It is asked when the guest looks and nothing waits.
---@alias hv.uart.input string|fun(): string|integer|nil

--- What hv.device.uart16550() takes.
---@class hv.uart16550.options
---@field at? hv.address its MMIO address, instead of a port; arm64 has no ports
---@field port? hv.address its first port (0x3f8)
---@field shift? 0|1|2|3 registers are 1 << shift bytes apart (0)
---@field out? file*|fun(byte: string) where output goes (io.stdout)
---@field input? hv.uart.input what the guest reads
---@field irq? fun(level: boolean) hears that the interrupt line has changed
---@field name? string its name in messages ("uart16550")

--- Attach the serial port of the PC, a 16550A. Output leaves at once; input waits
--- until the guest reads it, so none is lost.
---@param vm hv.machine
---@param opts? hv.uart16550.options
---@return hv.uart uart
function device.uart16550(vm, opts) end

--- What hv.device.pl011() takes.
---@class hv.pl011.options
---@field at? hv.address its MMIO address (0x09000000)
---@field out? file*|fun(byte: string) where output goes (io.stdout)
---@field input? hv.uart.input what the guest reads
---@field irq? fun(level: boolean) hears that the interrupt line has changed
---@field name? string its name in messages ("pl011")

--- Attach Arm's PrimeCell UART, enabled, so that a first program may write to DR
--- without setting it up.
---@param vm hv.machine
---@param opts? hv.pl011.options
---@return hv.uart uart
function device.pl011(vm, opts) end

--- What is written to an exit device, and the stop exit's value.
---@alias hv.device.exit.style
---| "value" # the value that is written
---| "test" # SiFive's: 0x5555 stops with 0, 0x3333|code<<16 with code, 0x7777 with "reset"

--- What hv.device.exit() takes.
---@class hv.device.exit.options
---@field at? hv.address its MMIO address, instead of a port; arm64 has no ports
---@field port? hv.address its port (0xf4)
---@field style? hv.device.exit.style which values stop with what ("value")
---@field name? string its name in messages ("exit")

--- Attach a register of 4 bytes that ends the run with a stop exit when the guest
--- writes to it.
---@param vm hv.machine
---@param opts? hv.device.exit.options
function device.exit(vm, opts) end

-- ---- x86_64's modes ----------------------------------------------------

--- The registers that put an x86_64 vCPU into a mode, for vm:vcpu(). Selectors are 8
--- for code and 16 for data; what `registers` has of its own stays.
---@class hv.x86
local x86 = {}

--- 32 bits, flat segments, no paging.
---@param registers? hv.vcpu.x86_64.options
---@return hv.vcpu.x86_64.options registers
function x86.protected(registers) end

--- 64 bits. Writes page tables at `at`, 6 pages of guest memory, that map the first
--- 4 GiB to themselves in pages of 2 MiB.
---@param vm hv.machine an x86_64 one
---@param at integer a multiple of 4096
---@param registers? hv.vcpu.x86_64.options
---@return hv.vcpu.x86_64.options registers
function x86.long(vm, at, registers) end

return hv
