# SPDX-License-Identifier: MIT
# bash completion for hvlua: options, their values, scripts, then any files.

# Is there a script before the word being completed?
_hvlua_has_script()
{
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -e | -l) ((i++)) ;;
            --backend | --arch) ((i += 2)) ;; # "=" is a word, and so is the value
            --) return $((i + 1 >= COMP_CWORD)) ;;
            -) return 0 ;;
            -*) ;;
            *) return 0 ;;
        esac
    done
    return 1
}

_hvlua()
{
    local IFS=$'\n' cur=${COMP_WORDS[COMP_CWORD]}
    local prev=${COMP_WORDS[COMP_CWORD - 1]}

    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
    if [[ $prev == doctor ]]; then
        COMPREPLY=($(compgen -W --json -- "$cur"))
    elif [[ ${COMP_WORDS[1]} == abi && $cur == -* ]]; then
        COMPREPLY=($(compgen -W $'--c\n--asm\n--md\n--luacats\n-o\n--name=\n--conduit=' -- "$cur"))
    elif _hvlua_has_script; then
        COMPREPLY=($(compgen -f -- "$cur"))
    elif [[ $prev == -e || $prev == -l ]]; then
        return
    elif [[ $prev == --backend ]]; then
        COMPREPLY=($(compgen -W $'hvf\nkvm\nunicorn' -- "$cur"))
    elif [[ $prev == --arch ]]; then
        COMPREPLY=($(compgen -W $'arm64\nx86_64' -- "$cur"))
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W $'-e\n-i\n-l\n-v\n--version\n-E\n-W\n--backend=\n--arch=\n--stats\n--hypercalls\n--watch\n--help\n--' -- "$cur"))
        if [[ ${COMPREPLY[0]-} == *= ]]; then
            compopt -o nospace 2>/dev/null
        fi
    else
        COMPREPLY=($(compgen -f -X '!*.lua' -- "$cur") $(compgen -d -- "$cur")
            $(compgen -W $'doctor\nabi' -- "$cur"))
    fi
}

complete -o filenames -F _hvlua hvlua
