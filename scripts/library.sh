#!/bin/sh
# SPDX-License-Identifier: MIT
# library.sh FILE... - Lua modules as the inside of a C array: module name, file
# name as Lua wants it, text. bindings/openlib.c includes it.
set -eu

for file; do
    name=${file#scripts/}
    module=$(printf '%s\n' "${name%.lua}" | sed 's|/init$||; s|/|.|g')
    printf '{"%s", "=%s",\n' "$module" "$name"
    # "?" too: a pair of them may start a trigraph
    sed 's/[\\"?]/\\&/g; s/^/"/; s/$/\\n"/' "$file"
    printf '},\n'
done
