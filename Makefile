# SPDX-License-Identifier: MIT
# hvlua's build. GNU make (3.81 or newer) and pkg-config; `make help` tells the
# targets. Yours to set, on the command line or in the environment:
#   CC CFLAGS CPPFLAGS LDFLAGS LDLIBS   as ever
#   CLANG LLD PKG_CONFIG                the tools of these names
#   WERROR=1                            warnings are errors
#   SANITIZE=address,undefined          build ./hvlua-address-undefined
#   ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- STATIC=1
#                                       build ./hvlua-arm64-static, for an arm64
#                                       Linux; `make deps` with these brings its
#                                       Lua. Each works without the others too
#   HVF=fake                            with backend hvf, on what stands in for
#                                       macOS's framework on Linux (tests/fakehv)
#   V=1                                 show the commands
#   DEPS=no, WITH=check                 `make deps` does nothing, or brings the
#                                       tools of `make check` too
#   ARGS=...                            for tests/run.lua, tests/bench/run.lua
#   STEP=...                            for tests/check.sh
#
# `make deps` may install the compiler, pkg-config and Lua, and other targets
# may stand beside it on the command line. So nothing of the machine is asked
# while this file is read, except for its name.

.DELETE_ON_ERROR:
.SUFFIXES:

UNAME_S := $(shell uname -s)

CFLAGS ?= -O2 -g
CLANG ?= clang
LLD ?= ld.lld
PKG_CONFIG ?= pkg-config
CODESIGN ?= codesign

comma := ,
space := $(subst ,, )
yes = $(filter-out 0 no,$($1))
Q := $(if $(call yes,V),,@)

ifneq ($(CROSS_COMPILE),)
ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
endif

# Each architecture and set of sanitizers has its objects and its program. HVF=fake
# has objects of its own for the same program: what that is linked from is in a file
# of both.
VARIANT := $(subst $(space),-,$(strip $(ARCH) $(if $(call yes,STATIC),static) \
	$(subst $(comma), ,$(SANITIZE))))
PLAIN := build/$(or $(VARIANT),obj)
BUILD := $(PLAIN)$(addprefix -hvf-,$(filter fake,$(HVF)))
PROGRAM := hvlua$(addprefix -,$(VARIANT))

CORE_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard core/*.c))
BINDINGS_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard bindings/*.c))
TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/*.c))
ALLOC := $(BUILD)/tests/alloc
LIBRARY := $(wildcard scripts/hv/*.lua scripts/hv/*/*.lua)
EMBEDDED := $(filter-out %/meta.lua,$(LIBRARY))
BENCH := $(addprefix $(BUILD)/bench/,unicorn_arm64 unicorn_x86 kvm_arm64 \
	kvm_x86 copy start)
BENCH_MODULES := $(addprefix $(BUILD)/bench/,empty.so ioctls.so)
GUESTS := $(patsubst %.S,build/%.elf,$(wildcard guests/arm64/*.S \
	guests/x86_64/*.S))

# These go before all else that is asked for, also under -j.
FIRST := $(filter clean distclean deps,$(MAKECMDGOALS))

.PHONY: all deps demo test smoke check bench clean distclean guests ctests help FORCE

all: $(PROGRAM) ## build ./hvlua (the default)

# ---- flags ------------------------------------------------------------

# The output of command $2, for variable $1: run when a recipe first needs it.
ask = $(eval $1 := $$(shell $2))$($1)

TOOLS = ARCH='$(ARCH)' CC='$(CC)' CLANG='$(CLANG)' LLD='$(LLD)' PKG_CONFIG='$(PKG_CONFIG)'
LUA_CFLAGS = $(call ask,LUA_CFLAGS,$(TOOLS) sh scripts/deps.sh lua --cflags)
LUA_LIBS = $(call ask,LUA_LIBS,$(TOOLS) sh scripts/deps.sh lua --libs)
UNICORN_CFLAGS = $(call ask,UNICORN_CFLAGS,\
	$(TOOLS) sh scripts/deps.sh unicorn --cflags)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	$(if $(call yes,WERROR),-Werror)
SANITIZERS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) \
	-fno-sanitize-recover=all -fno-omit-frame-pointer)

# One set of objects serves the program and the libraries, which export what the
# public headers declare and nothing else.
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE -pthread -fPIC -fvisibility=hidden \
	$(OWN_CALLS) -Icore $(WARNINGS) $(SANITIZERS) \
	$(CPPFLAGS) $(CFLAGS) -MMD -MP
LINK = $(CC) -pthread $(if $(call yes,STATIC),-static) $(SANITIZERS) \
	$(CFLAGS) $(LDFLAGS)
ASSEMBLE = $(CLANG) $(if $(call yes,WERROR),-Werror) -MMD -MP

# What a link ends with. libunicorn is looked for in folder $1, where `make deps`
# puts one, before the system's. (Sanitizers open it for the program, and of the
# two tags only the older counts then.)
ifeq ($(UNAME_S),Darwin)
LIBS :=
libs = $(LIBS) $(LDLIBS)
ENTITLEMENTS := entitlements.plist
SIGN = $(CODESIGN) --sign - --force --identifier $(@F) --entitlements \
	$(ENTITLEMENTS) $@.new && $(call signed,$@.new)
# Is it, so that macOS lets it use the framework?
signed = $(CODESIGN) -d --entitlements - $1 2>/dev/null | \
	grep -aq com.apple.security.hypervisor
CHECK_SIGNED = $(call signed,$(PROGRAM)) || { echo "$(PROGRAM) is not signed \
	with $(ENTITLEMENTS)" >&2; exit 1; }
else
LIBS := -ldl -lm
OWN_CALLS := -fno-semantic-interposition # as ever on macOS
libs = '-Wl,-rpath,$1' \
	-Wl,$(if $(SANITIZE),--disable-new-dtags,--enable-new-dtags) \
	$(LIBS) $(LDLIBS)
# Lua's C modules find Lua in the program: where it is a static library, also
# what hvlua itself does not call.
EXPORT := -Wl,-E -Wl,--whole-archive
EXPORTED := -Wl,--no-whole-archive
# Of what our objects call, what goes by way of tests/alloc.c.
WRAPPED := malloc calloc realloc aligned_alloc strdup free mmap munmap \
	pthread_create
endif

# What each flags file holds. All that is built from it is built again when it
# changes; objects are in it because a link with one less is another link.
flags.core = $(COMPILE) $(UNICORN_CFLAGS) $(HVF_FLAGS)
flags.library = sh scripts/library.sh $(EMBEDDED)
flags.bindings = $(COMPILE) -I$(BUILD) \
	$(or $(LUA_CFLAGS),$(if $(LUA_LIBS),,$(error no Lua 5.4)))
program = $(LINK) $(CORE_OBJ) $(BINDINGS_OBJ) \
	$(EXPORT) $(LUA_LIBS) $(EXPORTED) $(call libs,$1)
flags.program = $(call program,$$ORIGIN/build/deps/lib)
flags.tests = $(LINK) $1 $(CORE_OBJ) $(call libs,$$ORIGIN/../../deps/lib)
flags.alloc = $(LINK) $(ALLOC).o $(CORE_OBJ) \
	$(filter-out %/main.o,$(BINDINGS_OBJ)) $(WRAPPED:%=-Wl,--wrap=%) \
	$(LUA_LIBS) $(call libs,$$ORIGIN/../../deps/lib)
flags.guests = $(ASSEMBLE); $(LLD)

FLAGS := $(addprefix $(BUILD)/,core.flags library.flags bindings.flags \
	tests.flags alloc.flags bench.flags) $(PLAIN)/program.flags \
	build/guests.flags

DOCUMENTED := Makefile
include scripts/install.mk
ifeq ($(UNAME_S),Linux)
include tests/fakehv/fakehv.mk

ifeq ($(HVF),fake)
ifneq ($(filter install libs deb,$(MAKECMDGOALS)),)
$(error HVF=fake is for trying things out: it is not installed)
endif
HVF_FLAGS := -Itests/fakehv/include \
	-DHVF_LIBRARY='"$(CURDIR)/$(FAKEHV)"'
all: $(FAKEHV)
endif
endif

$(FLAGS): %.flags: FORCE | $(FIRST)
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(flags.$(*F)))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# ---- the program and the C tests --------------------------------------

define compile
@mkdir -p $(@D)
@echo '  CC      $<'
$(Q)$(flags.$1) -c -o $@ $<
endef

# A new file, for macOS kills a signed program that is changed where it is.
define link
@mkdir -p $(@D)
@echo '  LINK    $@'
$(Q)$1 -o $@.new
$(Q)$(SIGN)
$(Q)mv -f $@.new $@
endef

$(CORE_OBJ): $(BUILD)/%.o: %.c $(BUILD)/core.flags
	$(call compile,core)

$(BINDINGS_OBJ): $(BUILD)/%.o: %.c $(BUILD)/bindings.flags
	$(call compile,bindings)

$(BUILD)/library.inc: $(EMBEDDED) scripts/library.sh $(BUILD)/library.flags
	@echo '  GEN     $@'
	$(Q)$(flags.library) >$@

$(BUILD)/bindings/openlib.o: $(BUILD)/library.inc

$(filter-out $(ALLOC).o,$(TESTS:=.o)): $(BUILD)/%.o: %.c $(BUILD)/core.flags
	$(call compile,core)

$(ALLOC).o: tests/alloc.c $(BUILD)/bindings.flags
	$(call compile,bindings)

$(PROGRAM): $(CORE_OBJ) $(BINDINGS_OBJ) $(PLAIN)/program.flags $(ENTITLEMENTS)
	$(call link,$(flags.program))

$(filter-out $(ALLOC),$(TESTS)): %: %.o $(CORE_OBJ) $(BUILD)/tests.flags \
		$(ENTITLEMENTS)
	$(call link,$(call flags.tests,$<))

$(ALLOC): $(ALLOC).o $(CORE_OBJ) $(BINDINGS_OBJ) $(BUILD)/alloc.flags \
		$(ENTITLEMENTS)
	$(call link,$(flags.alloc))

ctests: $(TESTS)

-include $(CORE_OBJ:.o=.d) $(BINDINGS_OBJ:.o=.d) $(TESTS:=.d)

# ---- the C side of the benchmark --------------------------------------

# Of core they have what finds libunicorn: so that both sides find the same.
BENCH_CORE := $(addprefix $(BUILD)/core/,unicorn.o error.o)
flags.bench = $(LINK) $1 $(BENCH_CORE) $(call libs,$$ORIGIN/../../deps/lib)

$(BENCH:=.o): $(BUILD)/bench/%.o: tests/bench/%.c $(BUILD)/core.flags
	$(call compile,core)

$(BENCH): %: %.o $(BENCH_CORE) $(BUILD)/bench.flags
	$(call link,$(call flags.bench,$<))

$(BENCH_MODULES): $(BUILD)/bench/%.so: tests/bench/%.c $(BUILD)/bindings.flags
	@mkdir -p $(@D)
	@echo '  LINK    $@'
	$(Q)$(flags.bindings) -fPIC -fvisibility=default -shared -o $@ $< -ldl

-include $(BENCH:=.d) $(BENCH_MODULES:.so=.d)

# ---- guests -----------------------------------------------------------

# A guest is linked at the address that its "// link at 0x..." line gives.
TARGET.arm64 := aarch64-linux-gnu
TARGET.x86_64 := x86_64-linux-gnu

$(GUESTS:.elf=.o): build/%.o: %.S build/guests.flags
	@mkdir -p $(@D)
	@echo '  AS      $<'
	$(Q)$(ASSEMBLE) --target=$(TARGET.$(notdir $(@D))) -c -o $@ $<

$(GUESTS): build/%.elf: build/%.o %.S guests/guest.ld
	@echo '  LINK    $@'
	$(Q)at=$$(sed -n 's|^// link at \(0x[0-9a-fA-F]*\)$$|\1|p' $*.S); \
	test -n "$$at" || { \
		echo '$*.S: no line "// link at 0x..."' >&2; exit 1; }; \
	$(LLD) -static -z max-page-size=4096 --fatal-warnings \
		--defsym=LINK_AT=$$at --script=guests/guest.ld -o $@ $<

guests: $(GUESTS) ## assemble guests/<arch>/*.S to build/guests/<arch>/*.elf

-include $(GUESTS:.elf=.d)

# ---- the rest ---------------------------------------------------------

deps: | $(filter clean distclean,$(FIRST)) ## install what the build needs
	@$(TOOLS) WITH='$(WITH)' sh scripts/deps.sh

demo: all guests ## run every demo of scripts/demos
	@failed=; for demo in scripts/demos/*.lua; do \
		echo "== $$demo"; \
		./$(PROGRAM) "$$demo" || failed="$$failed $$demo"; \
	done; \
	if test -n "$$failed"; then echo "failed:$$failed" >&2; exit 1; fi

test: all guests ctests ## run the tests; ARGS=... goes to tests/run.lua
	@HVLUA_BUILD=$(BUILD) HVLUA_CACHE=$(CURDIR)/$(BUILD)/cache \
		./$(PROGRAM) tests/run.lua $(ARGS)

smoke: all ## a first look: does it work on this machine?
	$(Q)$(CHECK_SIGNED)
	@./$(PROGRAM) tests/smoke.lua

check: ## check what else can be checked; STEP="asan lint": that
	+@MAKE='$(MAKE)' $(TOOLS) sh tests/check.sh $(STEP)

bench: all $(BENCH) $(BENCH_MODULES) ## compare with C on Linux; ARGS=... goes to tests/bench/run.lua
	@HVLUA_BUILD=$(BUILD) ./$(PROGRAM) tests/bench/run.lua $(ARGS)

include tests/fuzz/fuzz.mk
include tests/check/macos/macos.mk
include tests/nested/nested.mk

clean: ## remove what was built; build/deps stays
	@for made in build/*; do \
		test "$$made" = build/deps || \
			rm -rf "$$made" "hvlua-$${made#build/}"; \
	done; rm -f hvlua

distclean: clean ## remove build/deps too
	@rm -rf build

help: ## show this
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/make \1|\2/p' $(DOCUMENTED) | \
		while IFS='|' read -r name text; do \
			printf '%-16s %s\n' "$$name" "$$text"; \
		done
