-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 100
exclude_files = { "build/" }

-- A hypercall handler's parameters say which arguments are fetched, so it may
-- name some that it does not use.
unused_args = false

-- Types for editors: tables of functions that nothing calls.
files["scripts/hv/meta.lua"] = { ignore = { "241" } }
