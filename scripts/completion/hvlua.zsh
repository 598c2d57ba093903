#compdef hvlua
# SPDX-License-Identifier: MIT
# zsh completion for hvlua: options, their values, scripts, then any files.

_arguments -S \
    '*-e+[run code]:code:' \
    '*-l+[require a module into a global of that name]:module:' \
    '-i[show the prompt after the script]' \
    '-E[ignore LUA_INIT, LUA_PATH and LUA_CPATH]' \
    '-W[turn warnings on]' \
    '(-v --version)'{-v,--version}'[show versions]' \
    '--backend=[the backend where a script names none]:backend:(hvf kvm unicorn)' \
    "--arch=[the guests' architecture where a script names none]:architecture:(arm64 x86_64)" \
    '--stats[count exits, and tell where the time went]' \
    '--hypercalls[tell each hypercall, and what they cost]' \
    '--watch[run the script again whenever it is saved]' \
    '--help[show what there is]' \
    '1:script:{ _files -g "*.lua"; compadd doctor abi }' \
    '*::argument:{ [[ $line[1] == abi ]] && compadd -- --c --asm --md --luacats -o --name= --conduit=; _files }'
