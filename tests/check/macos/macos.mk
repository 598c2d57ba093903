# SPDX-License-Identifier: MIT
# macos.mk - hvlua compiled and linked for Macs from elsewhere, with clang and lld;
# part of the Makefile.
#   SDK=path    macOS's SDK; on a Mac `xcrun --show-sdk-path` tells it. `make check`
#               has a stand-in: sdk.sh
# What is made is build/macos and hvlua-macos.

DOCUMENTED += tests/check/macos/macos.mk
.PHONY: check-macos

MACOS := tests/check/macos
ifneq ($(UNAME_S),Darwin)
MACOS_LD := -fuse-ld=lld
MACOS_SIGN := $(MACOS)/codesign
endif

check-macos: ## compile and link for macOS against its SDK=path
	@test -e '$(SDK)/usr/lib/libSystem.tbd' || { echo \
		'check-macos: "$(SDK)" is no SDK of macOS: give one by SDK=path' >&2; \
		exit 1; }
	@$(TOOLS) sh $(MACOS)/sdk.sh opt '$(SDK)' build/macos/opt
	+$(Q)$(MAKE) --no-print-directory UNAME_S=Darwin VARIANT=macos SANITIZE= \
		HVF= WERROR=1 CFLAGS='-O2 -g -Wunguarded-availability' \
		CC='$(CLANG) --target=arm64-apple-macos11 -isysroot $(SDK)' \
		LDFLAGS='$(MACOS_LD)' CODESIGN='$(or $(MACOS_SIGN),$(CODESIGN))' \
		LUA_CFLAGS=-Ibuild/macos/opt/include \
		LUA_LIBS='-Lbuild/macos/opt/lib -llua5.4' \
		UNICORN_CFLAGS=-Ibuild/macos/opt/include all ctests shared
