# SPDX-License-Identifier: MIT
# fish completion for hvlua: options and their values; scripts are files.

complete -c hvlua -s e -x -d 'run code'
complete -c hvlua -s l -x -d 'require a module into a global of that name'
complete -c hvlua -s v -l version -d 'show versions'
complete -c hvlua -l backend -x -a 'kvm unicorn' -d 'the backend where a script names none'
complete -c hvlua -l arch -x -a 'arm64 x86_64' -d 'the architecture where a script names none'
complete -c hvlua -l help -d 'show what there is'
