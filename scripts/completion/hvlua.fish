# SPDX-License-Identifier: MIT
# fish completion for hvlua: options and their values; scripts are files.

complete -c hvlua -s e -x -d 'run code'
complete -c hvlua -s l -x -d 'require a module into a global of that name'
complete -c hvlua -s i -d 'show the prompt after the script'
complete -c hvlua -s E -d 'ignore LUA_INIT, LUA_PATH and LUA_CPATH'
complete -c hvlua -s W -d 'turn warnings on'
complete -c hvlua -s v -l version -d 'show versions'
complete -c hvlua -l backend -x -a 'hvf kvm unicorn' -d 'the backend where a script names none'
complete -c hvlua -l arch -x -a 'arm64 x86_64' -d 'the architecture where a script names none'
complete -c hvlua -l stats -d 'count exits, and tell where the time went'
complete -c hvlua -n __fish_use_subcommand -a doctor -d 'what works on this machine'
complete -c hvlua -n '__fish_seen_subcommand_from doctor' -l json -d 'for programs'
complete -c hvlua -l help -d 'show what there is'
