# SPDX-License-Identifier: MIT
# fakehv.mk - build/<objects>/fakehv/libHypervisor.so, which stands in for
# Hypervisor.framework on Linux, and its tests; part of the Makefile. It is never
# installed. See tests/fakehv/include/Hypervisor/Hypervisor.h.

FAKEHV := $(BUILD)/fakehv/libHypervisor.so
FAKEHV_OBJ := $(patsubst tests/%.c,$(BUILD)/%.o,$(wildcard tests/fakehv/*.c))
FAKEHV_TESTS := $(patsubst tests/fakehv/test/%.c,$(BUILD)/tests/%,\
	$(wildcard tests/fakehv/test/fakehv*.c))
FAKEHV_INCLUDE := -Itests/fakehv/include -Itests/fakehv

# Of core it has what finds libunicorn, and what decodes loads and stores.
FAKEHV_CORE := $(addprefix $(BUILD)/core/,unicorn.o error.o a64.o)
FAKEHV_EXPORTS := tests/fakehv/exports.map

.PHONY: fakehv

DOCUMENTED += tests/fakehv/fakehv.mk
FLAGS += $(BUILD)/fakehv.flags

flags.fakehv = $(COMPILE) $(FAKEHV_INCLUDE) $(UNICORN_CFLAGS)
FAKEHV_LINK = $(LINK) -shared $(FAKEHV_OBJ) $(FAKEHV_CORE) \
	-Wl,--version-script=$(FAKEHV_EXPORTS) -Wl,-soname,libHypervisor.so \
	$(call libs,$$ORIGIN/../../deps/lib)
# Lazily bound, the resolvers of indirect functions run after all else is there.
FAKEHV_TEST_LINK = $(LINK) $1 -L$(dir $(FAKEHV)) -lHypervisor -Wl,-z,lazy \
	-Wl,-rpath,'$$ORIGIN/../fakehv' $(call libs,$$ORIGIN/../../deps/lib)

fakehv: $(FAKEHV) ## build the double of Hypervisor.framework

$(FAKEHV_OBJ): $(BUILD)/%.o: tests/%.c $(BUILD)/fakehv.flags
	$(call compile,fakehv)

$(FAKEHV): $(FAKEHV_OBJ) $(FAKEHV_CORE) $(FAKEHV_EXPORTS)
	$(call link,$(FAKEHV_LINK))

$(FAKEHV_TESTS:=.o): $(BUILD)/tests/%.o: tests/fakehv/test/%.c \
		$(BUILD)/fakehv.flags
	$(call compile,fakehv)

$(FAKEHV_TESTS): %: %.o $(FAKEHV)
	$(call link,$(call FAKEHV_TEST_LINK,$<))

ctests: $(FAKEHV_TESTS)

-include $(FAKEHV_OBJ:.o=.d) $(FAKEHV_TESTS:=.d)
