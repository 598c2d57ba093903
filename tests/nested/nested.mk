# SPDX-License-Identifier: MIT
# nested.mk - `make test-nested` and `make bench-nested`: the tests on the real KVM of
# each architecture, in machines that QEMU emulates; part of the Makefile.

DOCUMENTED += tests/nested/nested.mk

NESTED.arm64 := ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- STATIC=1
NESTED.x86_64 := ARCH=x86_64 STATIC=1

.PHONY: test-nested bench-nested nested

ASK := $(BUILD)/ask

$(ASK): tests/nested/ask.c $(BUILD)/core.flags
	@mkdir -p $(@D)
	@echo '  LINK    $@'
	$(Q)$(LINK) $(WARNINGS) -o $@ $<

# What goes into a machine of this architecture. Not alloc, which tells our calls of
# the C library from others' by the linker: it cannot where all are linked at once.
nested: $(PROGRAM) $(filter-out $(ALLOC),$(TESTS)) $(ASK)

test-nested: all guests ## run the tests on real KVM in QEMU, arm64 and x86_64; ARGS=...
	+@$(MAKE) DEPS= deps ARCH=arm64
	+@$(MAKE) $(NESTED.arm64) nested
	+@$(MAKE) $(NESTED.x86_64) nested
	@bash tests/nested/run.sh $(BOOT)
