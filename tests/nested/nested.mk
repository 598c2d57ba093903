# SPDX-License-Identifier: MIT
# nested.mk - `make test-nested` and `make bench-nested`: the tests on the real KVM of
# each architecture, in machines that QEMU emulates; part of the Makefile.

DOCUMENTED += tests/nested/nested.mk

NESTED.arm64 := ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- STATIC=1
NESTED.x86_64 := ARCH=x86_64 STATIC=1

.PHONY: test-nested bench-nested nested nested-all

ASK := $(BUILD)/ask

$(ASK): tests/nested/ask.c $(BUILD)/core.flags
	@mkdir -p $(@D)
	@echo '  LINK    $@'
	$(Q)$(LINK) $(WARNINGS) -o $@ $<

LOOP := $(BUILD)/bench/loop

$(LOOP).o: tests/nested/loop.c $(BUILD)/core.flags
	$(call compile,core)

$(LOOP): $(LOOP).o $(CORE_OBJ) $(BUILD)/tests.flags
	$(call link,$(call flags.tests,$<))

# What goes into a machine of this architecture. Not alloc, which tells our calls of
# the C library from others' by the linker: it cannot where all are linked at once.
nested: $(PROGRAM) $(filter-out $(ALLOC),$(TESTS)) $(ASK) \
	$(LOOP) $(BUILD)/bench/kvm_arm64 $(BUILD)/bench/kvm_x86

# The jobs of a make -j are its own business.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell getconf _NPROCESSORS_ONLN || echo 2))

nested-all: all guests
	@ARCH=arm64 sh scripts/deps.sh fetch
	+@$(MAKE) $(JOBS) $(NESTED.arm64) nested
	+@$(MAKE) $(JOBS) $(NESTED.x86_64) nested

test-nested: nested-all ## run the tests on real KVM in QEMU, arm64 and x86_64; ARGS=...
	@bash tests/nested/run.sh test $(BOOT)

bench-nested: nested-all ## count an exit's instructions on real KVM in QEMU
	@bash tests/nested/run.sh bench $(BOOT)
