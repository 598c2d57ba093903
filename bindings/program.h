/* SPDX-License-Identifier: MIT */
/* program.h - what the files of the program hvlua share; the bindings know
 * nothing of them. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "hvlib.h"

/* ---- options.c ----------------------------------------------------------- */

struct options {
    int script; /* where in argv its name is; argc: there is none */
    bool code, interactive, version, help, noenv, stats, hypercalls, watch;
    const char *arch, *backend; /* NULL: not given */
};

/* Read the command line up to the script's name. -1: it was wrong, and standard
 * error has been told how. */
int options_read(struct options *o, int argc, char **argv);

void options_help(void);

/* What is nearest to `path` in its folder, or NULL; in the buffer. */
const char *options_nearest_file(const char *path, char *buffer, size_t size);

/* ---- ctrlc.c ------------------------------------------------------------- */

/* What Ctrl-C does. */
enum ctrlc {
    CTRLC_ONCE,  /* interrupts what runs; a second one ends the program */
    CTRLC_STOPS, /* interrupts what runs, however often */
    CTRLC_TOLD   /* nothing but to make ctrlc_fd() readable */
};

/* From now on Ctrl-C is taken, as CTRLC_ONCE, unless the program was started
 * so as to ignore it. */
void ctrlc_open(lua_State *L, struct runs *runs);
void ctrlc_set(enum ctrlc what);

/* While CTRLC_TOLD: one byte for each SIGINT, SIGCONT and SIGWINCH, its number.
 * -1: nothing of the kind. */
int ctrlc_fd(void);

/* ---- editor.c ------------------------------------------------------------ */

/* Add edit(), remember() and whether lines are edited to the table on top. */
void editor_open(lua_State *L);
/* What is on top completes lines, and is popped: complete(before, text) --> the
 * list of what `text` may become. */
void editor_complete(lua_State *L);

/* ---- prompt.c ------------------------------------------------------------ */

/* Read, run, show, until the input ends. A LUA_* status: LUA_OK, or what kept
 * the prompt from being there, as a message on the stack. */
int prompt_run(lua_State *L);

#endif
