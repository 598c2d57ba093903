# SPDX-License-Identifier: MIT
# install.mk - what `make install` puts where, for the Makefile, which includes
# this. Yours to set:
#   PREFIX=/usr/local     below which everything goes
#   DESTDIR=              put all that below this folder, for packages
#   BINDIR= LIBDIR= ...   single folders (the first lines below)
#   LIBUNICORN=no         leave the libunicorn of build/deps out

PREFIX ?= /usr/local
BINDIR = $(PREFIX)/bin
LIBDIR = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
DATADIR = $(PREFIX)/share
MANDIR = $(DATADIR)/man
ZSHDIR = $(DATADIR)/zsh/site-functions
# Where stock Lua 5.4 looks for modules.
LUADIR = $(DATADIR)/lua/5.4
CMODDIR = $(LIBDIR)/lua/5.4

INSTALL ?= install
OBJCOPY ?= objcopy
VERSION := $(shell sed -n 's/^.define HV_VERSION "\(.*\)"/\1/p' bindings/hvlib.h)
MAJOR := $(firstword $(subst ., ,$(VERSION)))

DOCUMENTED += scripts/install.mk
.PHONY: libs shared module install installmodule uninstall deb

# ---- folders as others see them ---------------------------------------

# Folder $1 without PREFIX; one that is not below that keeps a "|" in front.
below = $(subst |$(PREFIX)/,,|$1)
outside = $(findstring |,$(call below,$1))

# The way up from folder $1 to PREFIX: "../..".
up = $(subst $(space),/,$(patsubst %,..,$(subst /, ,$(call below,$1))))
space := $(subst ,, )

# Folder $2 as seen from folder $1, which $3 stands for: relative, so that a tree
# may be moved as a whole, unless one of them is not below PREFIX.
from = $(if $(call outside,$1)$(call outside,$2),$2,$3/$(call up,$1)/$(call \
	below,$2))

# The libunicorn that is installed too, as seen from what is in folder $1.
unicorn_from = $(call from,$1,$(LIBDIR)/hvlua,$$ORIGIN)

# ---- what is built ----------------------------------------------------

# The libraries leave a signal handler behind in programs that would unload them
# again, so they ask to stay: nodelete.
ifeq ($(UNAME_S),Darwin)
DYLIB := libhvlua.$(VERSION).dylib
DYLIB_LINKS := libhvlua.$(MAJOR).dylib libhvlua.dylib
SHARED = -dynamiclib -install_name '$(LIBDIR)/libhvlua.$(MAJOR).dylib' \
	-current_version $(VERSION) -compatibility_version $(MAJOR)
MODULE = -bundle -undefined dynamic_lookup
LOCALIZE = : # the linker does it
else
DYLIB := libhvlua.so.$(VERSION)
DYLIB_LINKS := libhvlua.so.$(MAJOR) libhvlua.so
STAY := -Wl,-z,nodelete -Wl,-Bsymbolic-functions
SHARED = -shared $(STAY) -Wl,-z,defs -Wl,-soname,libhvlua.so.$(MAJOR)
MODULE = -shared $(STAY)
LOCALIZE = $(OBJCOPY) --localize-hidden
# Under -flto gcc would leave objects that objcopy cannot look into.
MACHINE_CODE = $(if $(findstring -flto,$(CFLAGS)),$(if $(findstring \
	clang,$(CC)),,-flinker-output=nolto-rel))
endif

OUT := $(BUILD)/install
LIB_OBJ := $(filter-out %/main.o %/options.o %/ctrlc.o %/prompt.o \
	%/editor.o,$(BINDINGS_OBJ))
MODULE_OBJ := $(filter-out %/openlib.o,$(LIB_OBJ))
PRODUCTS := $(addprefix $(OUT)/,hvlua $(DYLIB) libhvlua.a core.so hvlua.pc \
	hvlua.1)

flags.installed = $(call program,$(call unicorn_from,$(BINDIR)))
flags.shared = $(LINK) $(SHARED) $(CORE_OBJ) $(LIB_OBJ) $(LUA_LIBS) \
	$(call libs,$(call unicorn_from,$(LIBDIR)))
flags.module = $(LINK) $(MODULE) $(CORE_OBJ) $(MODULE_OBJ) \
	$(call libs,$(call unicorn_from,$(CMODDIR)/hv))
merge = $(CC) $(CFLAGS) -r -nostdlib $(MACHINE_CODE)
flags.static = $(merge); $(LOCALIZE); $(CORE_OBJ) $(LIB_OBJ)

# The name by which pkg-config knows this Lua; and folders of hvlua.pc.
LUA_MODULE = $(firstword $(call ask,LUA_PROVIDES,\
	$(TOOLS) sh scripts/deps.sh lua --print-provides))
inside = $(if $(call outside,$1),$1,$${prefix}/$(call below,$1))
prefix_from = $(if $(call outside,$1),$(PREFIX),$${pcfiledir}/$(call up,$1))
flags.text = sed -e 's|@VERSION@|$(VERSION)|' -e 's|@LUA@|$(LUA_MODULE)|' \
	-e 's|@PREFIX@|$(call prefix_from,$(LIBDIR)/pkgconfig)|' \
	-e 's|@LIBDIR@|$(call inside,$(LIBDIR))|' \
	-e 's|@INCLUDEDIR@|$(call inside,$(INCLUDEDIR))|' -e 's|@LIBS@|$(LIBS)|'

FLAGS += $(addprefix $(BUILD)/,installed.flags shared.flags module.flags \
	static.flags text.flags)

$(OUT)/hvlua: $(CORE_OBJ) $(BINDINGS_OBJ) $(BUILD)/installed.flags \
		$(ENTITLEMENTS)
	$(call link,$(flags.installed))

$(OUT)/$(DYLIB): $(CORE_OBJ) $(LIB_OBJ) $(BUILD)/shared.flags
	$(call link,$(flags.shared))

$(OUT)/core.so: $(CORE_OBJ) $(MODULE_OBJ) $(BUILD)/module.flags
	$(call link,$(flags.module))

# One object for each half, in which only what the public headers declare is
# left to clash with the names of a program. The core alone needs no Lua.
$(OUT)/core.o: $(CORE_OBJ)
$(OUT)/lua.o: $(LIB_OBJ)
$(OUT)/core.o $(OUT)/lua.o: $(BUILD)/static.flags
	@mkdir -p $(@D)
	$(Q)$(merge) -o $@ $(filter %.o,$^)
	$(Q)$(LOCALIZE) $@

$(OUT)/libhvlua.a: $(OUT)/core.o $(OUT)/lua.o
	@echo '  AR      $@'
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(OUT)/hvlua.pc: scripts/package/hvlua.pc.in
$(OUT)/hvlua.1: scripts/man/hvlua.1
$(OUT)/hvlua.pc $(OUT)/hvlua.1: $(BUILD)/text.flags
	@mkdir -p $(@D)
	@echo '  GEN     $@'
	$(Q)$(flags.text) $(filter scripts/%,$^) >$@

shared: $(OUT)/$(DYLIB) $(OUT)/core.so
libs: $(PRODUCTS) ## build the libraries and the program as they are installed

# ---- what goes where --------------------------------------------------

COMPLETION := scripts/completion/hvlua
EXAMPLES := $(wildcard $(addprefix scripts/,demos/*.* embed/*.*))
UNICORN := build/deps/lib

# Each calls function $1 with a folder, a mode (or "link"), files and, where that
# is another, the file's name there.
program_files = $(call $1,$(BINDIR),755,$(OUT)/hvlua) \
	$(call $1,$(MANDIR)/man1,644,$(OUT)/hvlua.1) \
	$(call $1,$(DATADIR)/bash-completion/completions,644,$(COMPLETION).bash,hvlua) \
	$(call $1,$(ZSHDIR),644,$(COMPLETION).zsh,_hvlua) \
	$(call $1,$(DATADIR)/fish/vendor_completions.d,644,$(COMPLETION).fish) \
	$(call tree,$1,$(DATADIR)/hvlua,$(EXAMPLES))
module_files = $(call $1,$(CMODDIR)/hv,755,$(OUT)/core.so) \
	$(call tree,$1,$(LUADIR),$(LIBRARY))
library_files = $(call $1,$(LIBDIR),755,$(OUT)/$(DYLIB)) \
	$(foreach link,$(DYLIB_LINKS),$(call $1,$(LIBDIR),link,$(DYLIB),$(link))) \
	$(call $1,$(LIBDIR),644,$(OUT)/libhvlua.a) \
	$(call $1,$(LIBDIR)/pkgconfig,644,$(OUT)/hvlua.pc) \
	$(call $1,$(INCLUDEDIR)/hvlua,644,core/vmm.h bindings/hvlua.h)
unicorn_files = $(call $1,$(LIBDIR)/hvlua,644,$(UNICORN)/libunicorn.so.2) \
	$(call $1,$(LIBDIR)/hvlua,644,$(UNICORN)/copyright)

# Files of scripts/ with their folders there, below folder $2.
tree = $(foreach file,$3,$(call $1,$2$(patsubst scripts%/,%,$(dir \
	$(file))),644,$(file)))

# Folders that are hvlua's alone.
OWN = '$(LUADIR)/hv' '$(CMODDIR)/hv' '$(LIBDIR)/hvlua' '$(DATADIR)/hvlua' \
	'$(INCLUDEDIR)/hvlua'

define newline


endef

put = $(foreach file,$3,$(call put_at,$(DESTDIR)$1,$2,$(file),$(or \
	$4,$(notdir $(file))))$(newline))
put_at = @echo '  INSTALL $1/$4'; $(INSTALL) -d '$1' && $(if $(filter link,$2),ln \
	-sf,$(INSTALL) -m $2) '$3' '$1/$4'

drop = $(foreach file,$3,@rm -f '$(DESTDIR)$1/$(or \
	$4,$(notdir $(file)))'$(newline))

install: libs ## install to PREFIX=/usr/local, below DESTDIR=
	$(call program_files,put)
	$(call module_files,put)
	$(call library_files,put)
	$(if $(and $(wildcard $(UNICORN)/libunicorn.so.2),$(filter-out \
		no,$(or $(LIBUNICORN),yes))),$(call unicorn_files,put))

# What `luarocks make` runs.
module: $(OUT)/core.so
installmodule: module
	$(call module_files,put)

uninstall: ## remove what install put there
	$(call program_files,drop)
	$(call module_files,drop)
	$(call library_files,drop)
	$(call unicorn_files,drop)
	@cd '$(DESTDIR)/' && for folder in $(OWN); do \
		test ! -d ".$$folder" || \
			find ".$$folder" -depth -type d -exec rmdir {} \; ; \
	done 2>/dev/null; :

# ---- packages ---------------------------------------------------------

# In a copy, as the top of the tree has to have the folder debian.
DEBDIR := build/deb

deb: ## build Debian packages, to build/deb
	@rm -rf $(DEBDIR) && mkdir -p $(DEBDIR)/hvlua
	@cp -R Makefile README.md LICENSE entitlements.plist core bindings scripts \
		guests tests scripts/package/debian $(DEBDIR)/hvlua
	@cd $(DEBDIR)/hvlua && env -u MAKEFLAGS -u MAKELEVEL dpkg-buildpackage -b \
		-us -uc
