# SPDX-License-Identifier: MIT
# fuzz.mk - the fuzz targets, tests/fuzz/*.c, each a program of libFuzzer's; part
# of the Makefile. They take clang and its runtime (Debian: libclang-rt-14-dev).
# `tests/fuzz/run.sh SECONDS` builds and runs them.

FUZZ_SANITIZE := fuzzer-no-link,address,undefined
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/*.c))

.PHONY: fuzz fuzz-targets fuzzers

DOCUMENTED += tests/fuzz/fuzz.mk

flags.fuzzers = $(COMPILE) $(LUA_CFLAGS) -Ibindings
FUZZ_LINK = $(LINK) -fsanitize=fuzzer $< $(CORE_OBJ) \
	$(filter-out %/main.o,$(BINDINGS_OBJ)) $(LUA_LIBS) -ldl -lm $(LDLIBS)

$(FUZZERS:=.o): $(BUILD)/%.o: %.c $(BUILD)/core.flags $(BUILD)/bindings.flags
	$(call compile,fuzzers)

$(FUZZERS): %: %.o $(CORE_OBJ) $(BINDINGS_OBJ)
	$(call link,$(FUZZ_LINK))

-include $(FUZZERS:=.d)

fuzzers: $(FUZZERS)

fuzz-targets: ## build the fuzz targets (libFuzzer; takes clang)
	@$(MAKE) --no-print-directory CC='$(CLANG)' SANITIZE=$(FUZZ_SANITIZE) \
		fuzzers

fuzz: all guests ## run 100000 hostile guests of each kind: half an hour
	@HVLUA_STREAMS=100000 ./$(PROGRAM) tests/run.lua \
		'^hostile: .* streams %['
