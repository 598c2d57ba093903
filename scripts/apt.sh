# SPDX-License-Identifier: MIT
# apt.sh - packages of another release of Debian, or for another architecture,
# without touching the machine's own apt: for scripts to source. The machine's
# own sources and keys say where packages come from and whom to trust.
#
# The functions set $reason, in words, where they fail.

# The name of this Debian's release; empty on anything else.
debian_release() {
    # shellcheck source=/dev/null
    . /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}"
}

# Write the machine's own apt sources of Debian main for release $1 to files
# $3/1.sources, $3/2.sources, ... with release $2 in its place, for architecture
# $4. Each has its own file, for some may be a third party's that uses Debian's
# names. Of their options only the address and the key go along: none that
# relaxes a check.
next_sources() {
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
        /etc/apt/sources.list.d/*.sources; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done >"$3/files"
    awk -v old="$1" -v new="$2" -v arch="$4" -v dir="$3" '
    function has(list, word) {
        gsub(/[ \t\n]+/, " ", list)
        return index(" " list " ", " " word " ") > 0
    }
    function source(uris, suites, components, key) {
        if (!has(components, "main") || uris ~ /cdrom:/ ||
            !(has(suites, old) || has(suites, "stable") ||
              has(suites, "oldstable")))
            return
        file = dir "/" ++count ".sources"
        print "Types: deb\nURIs:" uris "\nSuites: " new > file
        print "Components: main\nArchitectures: " arch > file
        if (key != "")
            print "Signed-By:" key > file
        close(file)
    }
    function one_line(line,    options, key, n, word, i, components) {
        sub(/#.*/, "", line)
        if (match(line, /^[ \t]*deb[ \t]*\[[^]]*\]/)) {
            options = substr(line, 1, RLENGTH - 1)
            line = "deb" substr(line, RLENGTH + 1)
            sub(/^[^[]*\[/, "", options)
            n = split(options, word)
            for (i = 1; i <= n; i++)
                if (word[i] ~ /^signed-by=/)
                    key = " " substr(word[i], 11)
            gsub(/,/, " ", key)
        }
        n = split(line, word)
        if (n < 4 || word[1] != "deb")
            return
        for (i = 4; i <= n; i++)
            components = components " " word[i]
        source(" " word[2], word[3], components, key)
    }
    function stanza() {
        if (has(field["types"], "deb") &&
            tolower(field["enabled"]) !~ /^ *(no|false|off|0)/)
            source(field["uris"], field["suites"], field["components"],
                   field["signed-by"])
        split("", field)
    }
    function deb822(line,    colon) {
        if (line ~ /^#/)
            return
        if (line ~ /^[ \t]*$/) {
            stanza()
        } else if (line ~ /^[ \t]/) {
            field[name] = field[name] "\n" line
        } else if (colon = index(line, ":")) {
            name = tolower(substr(line, 1, colon - 1))
            field[name] = substr(line, colon + 1)
        }
    }
    {
        list = $0
        while ((getline line < list) > 0)
            if (list ~ /\.sources$/)
                deb822(line)
            else
                one_line(line)
        close(list)
        stanza()
    }' "$3/files"
}

# An apt configuration that keeps all of apt within directory $1, for packages of
# architecture $2. The machine's
# own (proxies, passwords of mirrors) is read before it and goes on to hold,
# except where it could touch the system, choose releases or relax checks.
private_apt() {
    mkdir -p "$1/lists/partial" "$1/cache/archives/partial" || return
    : >"$1/status" || return
    cat >"$1/apt.conf" <<END
#clear APT::Update;
#clear APT::Default-Release;
#clear APT::Architectures;
APT::Architecture "$2";
APT::Architectures "$2";
APT::Sandbox::User "root"; // its own user may not get into this directory
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::Languages "none";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Dir::State "$1";
Dir::State::lists "$1/lists";
Dir::State::status "$1/status";
Dir::Cache "$1/cache";
Dir::Cache::archives "$1/cache/archives";
Dir::Cache::pkgcache "$1/cache/pkgcache.bin";
Dir::Cache::srcpkgcache "$1/cache/srcpkgcache.bin";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
END
}

# A command of apt's with that configuration, of $work, and its one $source.
private() {
    command=$1
    shift
    "$command" -c "$work/apt/apt.conf" -o Dir::Etc::sourcelist="$source" \
        "$@" 2>>"$work/log"
}

# The first that apt had to say against it.
complaint() {
    sed -n 's/^[EW]: //p' "$work/log" | head -n 1
}

# Open $source, one of next_sources', for architecture $1.
open_source() {
    from=$(sed -n 's/^URIs: *//p' "$source")
    : >"$work/log"
    rm -rf "$work/apt" "$work/download"
    private_apt "$work/apt" "$1" && mkdir "$work/download" || return
    if ! private apt-get -q update --error-on=any >>"$work/log"; then
        reason="no $(sed -n 's/^Suites: *//p' "$source") from $from: $(complaint)"
        return 1
    fi
    if ! grep -qx 'Origin: Debian' "$work"/apt/lists/*Release; then
        reason="$from is not Debian's"
        return 1
    fi
}

# The file of package $1 into $work/download.
download() {
    (cd "$work/download" && private apt-get -q download "$1") >>"$work/log" ||
        {
            reason="no $1 from $from: $(complaint)"
            return 1
        }
}

# ---- packages that stay ------------------------------------------------

# Where they do: in the user's cache folder.
cache_folder() {
    echo "${HVLUA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hvlua}"
}

# A kernel's package goes by its version; what depends on it has a plain name.
real_package() {
    private apt-cache show --no-all-versions "$1" | awk -v name="$1" '
        /^Depends:/ && name ~ /^linux-image-/ { name = $2 }
        END { print name }'
}

# Of package $3 of release $1 for architecture $2, those files whose paths match
# one of the patterns $4: into $work/tree.
unpack() {
    next_sources "$(debian_release)" "$1" "$work" "$2"
    reason="the apt sources of this machine name no Debian main"
    for source in "$work"/*.sources; do
        [ -f "$source" ] || break
        if open_source "$2" && download "$(real_package "$3")"; then
            mkdir "$work/all" "$work/tree" &&
                dpkg-deb -x "$work"/download/*.deb "$work/all" || return
            (
                cd "$work/all" || exit
                for pattern in $4; do
                    find . -type f -path "./$pattern"
                done | while read -r file; do
                    cp "$file" "$work/tree" || exit
                done
            )
            return
        fi
    done
    return 1
}

# The folder with those files, fetched if it is not in the cache, with the sums
# by which each later use knows them. Its name is printed; else why there is none.
cached() {
    folder=$(cache_folder)/$1-$2/$3
    if [ ! -d "$folder" ]; then
        mkdir -p "${folder%/*}" && work=$(mktemp -d "${folder%/*}/new.XXXXXX") ||
            return
        echo "fetching $3 for $2 of Debian $1 into ${folder%/*}" >&2
        if ! unpack "$@" || ! (cd "$work/tree" && sha256sum -- * >SHA256SUMS) ||
            ! mv -T "$work/tree" "$folder"; then
            [ -d "$folder" ] || echo "cannot get $3: $reason" >&2
        fi
        rm -rf "$work"
    fi
    if ! (cd "$folder" && sha256sum --quiet -c SHA256SUMS) >&2; then
        echo "$folder is damaged: remove it, and it is fetched again" >&2
        return 1
    fi
    echo "$folder"
}
