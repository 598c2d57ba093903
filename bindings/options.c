/* SPDX-License-Identifier: MIT */
/* options.c - the command line: lua's own options, hvlua's, and what to say of
 * those that are neither. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "program.h"

static const char usage[] =
    "usage: hvlua [options] [script [arguments]]\n"
    "       hvlua doctor\n"
    "       hvlua abi script format\n"
    "  -e code          run code\n"
    "  -i               show the prompt after the script\n"
    "  -l mod           require mod into a global of that name\n"
    "  -l g=mod         require mod into the global g\n"
    "  -v, --version    show versions\n"
    "  -E               ignore LUA_INIT, LUA_PATH and LUA_CPATH\n"
    "  -W               turn warnings on\n"
    "  --backend=NAME   where a script names no backend: hvf, kvm, unicorn\n"
    "  --arch=NAME      the guests' architecture where a script names none:\n"
    "                   arm64, x86_64\n"
    "  --stats          count exits, and tell where the time went\n"
    "  --hypercalls     tell each hypercall, and at the end what they cost\n"
    "  --watch          run the script again whenever it is saved, or what it "
    "loads\n"
    "  --help           show this\n"
    "  --               end of options\n"
    "  -                the script is standard input\n"
    "  doctor           what works here, and what fixes the rest (--json)\n"
    "  abi              what a script declares by hv.abi, as a C header and "
    "in\n"
    "                   other formats; hvlua abi lists them\n"
    "Without a script: a prompt, or standard input where that is no "
    "terminal.\n";

void options_help(void)
{
    fputs(usage, stdout);
}

/* ---- what is meant ------------------------------------------------------- */

static int complain(const char *what, const char *meant)
{
    fprintf(stderr, "hvlua: %s", what);
    if (meant)
        fprintf(stderr, ": did you mean '%s'?", meant);
    fputs("\nhvlua --help lists the options\n", stderr);
    return -1;
}

/* Long options by their names; short ones where only the case is another. */
static const char *nearest_option(const char *word)
{
    static const char *const names[] = {"--backend",    "--arch",  "--stats",
                                        "--hypercalls", "--watch", "--help",
                                        "--version",    NULL};
    static const char *const letters[] = {"-e", "-i", "-l", "-v",
                                          "-E", "-W", NULL};
    char name[16];
    const char *nearest;

    if (strcmp(word, "-h") == 0)
        return "--help";
    if (word[1] != '-' && word[2] == '\0') {
        nearest = obj_nearest(word, letters);
        return nearest && vmm_distance(nearest, word) == 0 ? nearest : NULL;
    }
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    nearest = obj_nearest(name, names);
    if (!nearest) { /* -help */
        snprintf(name, sizeof name, "-%.*s", (int)strcspn(word, "="), word);
        nearest = obj_nearest(name, names);
    }
    return nearest;
}

static bool takes_value(const char *name)
{
    return strcmp(name, "--backend") == 0 || strcmp(name, "--arch") == 0;
}

static int unknown(const char *word)
{
    char what[300], meant[300];
    const char *nearest = nearest_option(word), *value = strchr(word, '=');

    snprintf(what, sizeof what, "unrecognized option '%s'", word);
    if (nearest && nearest[1] == '-')
        snprintf(meant, sizeof meant, "%s%s", nearest,
                 value && takes_value(nearest) ? value : "");
    else if (nearest)
        snprintf(meant, sizeof meant, "%s", nearest);
    return complain(what, nearest ? meant : NULL);
}

const char *options_nearest_file(const char *path, char *buffer, size_t size)
{
    const char *name = strrchr(path, '/');
    int folder = name ? (int)(name - path) + 1 : 0;
    unsigned least = 3; /* further away is another word */
    const char *best = NULL;
    struct dirent *entry;
    DIR *dir;

    name = path + folder;
    snprintf(buffer, size, "%.*s", folder ? folder : 1, folder ? path : ".");
    dir = opendir(buffer);
    while (dir && (entry = readdir(dir))) {
        unsigned d = vmm_distance(name, entry->d_name);

        if (d >= least || d >= strlen(name) || entry->d_name[0] == '.')
            continue;
        least = d;
        snprintf(buffer, size, "%.*s%s", folder, path, entry->d_name);
        best = buffer;
    }
    if (dir)
        closedir(dir);
    if (strchr(path, '/') == NULL && vmm_distance(path, "doctor") < least)
        best = "doctor"; /* "abi" is too short to be told from other words */
    return best;
}

/* ---- options with a name ------------------------------------------------- */

static const char *after(const char *word, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(word, prefix, n) == 0 ? word + n : NULL;
}

static int choose(const char *option, const char *value,
                  const char *const *names, const char **chosen)
{
    char what[300], meant[64];
    const char *nearest = obj_nearest(value, names);

    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], value) == 0) {
            *chosen = value;
            return 0;
        }
    snprintf(what, sizeof what, "%s=%s: there is no such %s", option, value,
             option + 2);
    if (nearest)
        snprintf(meant, sizeof meant, "%s=%s", option, nearest);
    return complain(what, nearest ? meant : NULL);
}

static int choose_arch(const char *value, struct options *o)
{
    const char *names[VMM_ARCHES + 1] = {NULL};

    for (int i = 0; i < VMM_ARCHES; i++)
        names[i] = vmm_arch_name((enum vmm_arch)i);
    return choose("--arch", value, names, &o->arch);
}

static int choose_backend(const char *value, struct options *o)
{
    const char *names[16] = {NULL};

    for (int i = 0; i < 15 && vmm_backend_name(i); i++)
        names[i] = vmm_backend_name(i);
    return choose("--backend", value, names, &o->backend);
}

static int named(const char *word, struct options *o)
{
    const char *value;

    if ((value = after(word, "--backend=")))
        return choose_backend(value, o);
    if ((value = after(word, "--arch=")))
        return choose_arch(value, o);
    if (strcmp(word, "--backend") == 0)
        return complain("--backend needs a name", "--backend=unicorn");
    if (strcmp(word, "--arch") == 0)
        return complain("--arch needs a name", "--arch=x86_64");
    if (strcmp(word, "--stats") == 0)
        o->stats = true;
    else if (strcmp(word, "--hypercalls") == 0)
        o->hypercalls = true;
    else if (strcmp(word, "--watch") == 0)
        o->watch = true;
    else if (strcmp(word, "--help") == 0)
        o->help = true;
    else if (strcmp(word, "--version") == 0)
        o->version = true;
    else
        return unknown(word);
    return 0;
}

/* ---- options with a letter ----------------------------------------------- */

/* -e and -l take the rest of the word or, unless that is an option too, the
 * next one. */
static int with_value(const char *word, const char *next, int *i)
{
    char what[64];

    if (word[2])
        return 0;
    if (next && next[0] != '-') {
        ++*i;
        return 0;
    }
    snprintf(what, sizeof what, "'%s' needs %s after it", word,
             word[1] == 'e' ? "code" : "a module's name");
    return complain(what, NULL);
}

static int lettered(const char *word, const char *next, int *i,
                    struct options *o)
{
    if (word[1] == 'e')
        o->code = true;
    if (word[1] == 'e' || word[1] == 'l')
        return with_value(word, next, i);
    if (word[2] != '\0')
        return unknown(word);
    switch (word[1]) {
    case 'i':
        o->interactive = true;
        o->version = true;
        return 0;
    case 'v':
        o->version = true;
        return 0;
    case 'E':
        o->noenv = true;
        return 0;
    case 'W':
        return 0;
    default:
        return unknown(word);
    }
}

int options_read(struct options *o, int argc, char **argv)
{
    int i = 1, rc = 0;

    *o = (struct options){0};
    for (; i < argc && rc == 0; i++) {
        const char *word = argv[i];

        if (word[0] != '-' || word[1] == '\0')
            break;
        if (strcmp(word, "--") == 0) {
            i++;
            break;
        }
        rc = word[1] == '-' ? named(word, o)
                            : lettered(word, argv[i + 1], &i, o);
    }
    o->script = i < argc ? i : argc;
    return rc;
}
