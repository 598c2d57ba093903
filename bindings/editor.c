/* SPDX-License-Identifier: MIT */
/* editor.c - a line from the terminal: edited, with history and completion,
 * where the machine has libedit or GNU readline; else as the terminal gives it.
 *
 * The library is opened at run time, so that hvlua runs without one and contains
 * none: libedit first, which is BSD, and then GNU readline, which is GPL. Both
 * have this interface, under these names. It is used through its callbacks: they
 * leave the waiting to us, and so Ctrl-C as well. */
#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

#ifdef __APPLE__
static const char *const libraries[] = {"/usr/lib/libedit.3.dylib",
                                        "libreadline.8.dylib", NULL};
#else
static const char *const libraries[] = {"libedit.so.2", "libedit.so.0",
                                        "libreadline.so.8", NULL};
#endif

typedef char **attempt_fn(const char *text, int start, int end);
typedef char *generate_fn(const char *text, int state);

/* The library has no context to give to what it calls. */
static struct editor {
    void *library;
    /* its functions, and its variables */
    void (*install)(const char *prompt, void (*on_line)(char *));
    void (*remove)(void);
    void (*read_char)(void);
    void (*remember)(const char *line);
    char **(*matches)(const char *text, generate_fn *generate);
    void (*prepare)(int meta);
    void (*unprepare)(void);
    void (*resize)(void);
    int (*redraw)(void);
    void (*forget_line)(void);
    char **buffer;
    const int *end; /* how much of it is in use */
    const char **program, **breaks;
    int *catches, *catches_size, *appends, *over;
    attempt_fn **attempt;
    void *libedit; /* a symbol that only libedit has, or NULL */
    /* the line that is being read */
    lua_State *L;
    char *line;
    bool done;
    lua_Integer match;
} editor;

static const struct {
    const char *name;
    size_t at; /* of the pointer in struct editor */
    bool needed;
} symbols[] = {
#define MEMBER(name) offsetof(struct editor, name)
    {"rl_callback_handler_install", MEMBER(install), true},
    {"rl_callback_handler_remove", MEMBER(remove), true},
    {"rl_callback_read_char", MEMBER(read_char), true},
    {"add_history", MEMBER(remember), true},
    {"rl_completion_matches", MEMBER(matches), true},
    {"rl_prep_terminal", MEMBER(prepare), true},
    {"rl_deprep_terminal", MEMBER(unprepare), true},
    {"rl_resize_terminal", MEMBER(resize), true},
    {"rl_forced_update_display", MEMBER(redraw), true},
    {"rl_line_buffer", MEMBER(buffer), true},
    {"rl_end", MEMBER(end), true},
    {"rl_readline_name", MEMBER(program), true},
    {"rl_basic_word_break_characters", MEMBER(breaks), true},
    {"rl_catch_signals", MEMBER(catches), true},
    {"rl_completion_append_character", MEMBER(appends), true},
    {"rl_attempted_completion_over", MEMBER(over), true},
    {"rl_attempted_completion_function", MEMBER(attempt), true},
    {"rl_catch_sigwinch", MEMBER(catches_size), false},
    {"rl_free_line_state", MEMBER(forget_line), false},
    {"el_init", MEMBER(libedit), false},
#undef MEMBER
};

/* ---- the library --------------------------------------------------------- */

/* The pointers are copied as bytes: C has no conversion from an object's
 * pointer, which is what dlsym gives, to a function's. */
static bool open_library(const char *name)
{
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

    for (size_t i = 0; library && i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i].name);

        memcpy((char *)&editor + symbols[i].at, &symbol, sizeof symbol);
        if (!symbol && symbols[i].needed) {
            dlclose(library);
            return false;
        }
    }
    editor.library = library;
    return library != NULL;
}

/* HVLUA_LIBEDIT names another library; none where it cannot be opened. */
static void find_library(void)
{
    const char *chosen = getenv("HVLUA_LIBEDIT");

    if (chosen && *chosen)
        open_library(chosen);
    else
        for (int i = 0; libraries[i] && !editor.library; i++)
            open_library(libraries[i]);
}

/* ---- completion ---------------------------------------------------------- */

/* complete(before, text) --> list, kept in the registry */
static const char completer[] = "hv.prompt.complete";

/* Protected: find(text, how much of the line is before it) --> list */
static int find(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, completer);
    lua_pushlstring(L, *editor.buffer, (size_t)lua_tointeger(L, 2));
    lua_pushstring(L, lua_touserdata(L, 1));
    lua_call(L, 2, 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    return 1;
}

/* The next of the list on top, as memory that the library frees. */
static char *generate(const char *text, int state)
{
    const char *match;
    char *copy;

    (void)text;
    if (!state)
        editor.match = 0;
    lua_rawgeti(editor.L, -1, ++editor.match);
    match = lua_tostring(editor.L, -1);
    copy = match ? strdup(match) : NULL;
    lua_pop(editor.L, 1);
    return copy;
}

static char **attempt(const char *text, int start, int end)
{
    lua_State *L = editor.L;
    int top = lua_gettop(L);
    char **matches = NULL;

    (void)end;
    *editor.over = 1; /* no names of files instead */
    *editor.appends = '\0';
    lua_pushcfunction(L, find);
    lua_pushlightuserdata(L, (void *)(uintptr_t)text);
    lua_pushinteger(L, start);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK)
        matches = editor.matches(text, generate);
    lua_settop(L, top);
    return matches;
}

/* ---- one line ------------------------------------------------------------ */

static void on_line(char *line)
{
    editor.line = line;
    editor.done = true;
    editor.remove(); /* the terminal is as others expect it */
}

/* What signals left in the pipe. True: Ctrl-C. */
static bool drain(int fd)
{
    bool interrupted = false;
    char number;

    while (read(fd, &number, 1) == 1) {
        interrupted |= number == SIGINT;
        if (!editor.library)
            continue;
        if (number == SIGCONT) { /* the shell had the terminal */
            editor.unprepare();
            editor.prepare(1);
        }
        if (number == SIGWINCH)
            editor.resize();
        else if (number == SIGCONT)
            editor.redraw();
    }
    return interrupted;
}

/* Wait for input. False: it was Ctrl-C. */
static bool wait_for_input(void)
{
    struct pollfd fd[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = ctrlc_fd(), .events = POLLIN}};

    for (;;) {
        if (poll(fd, 2, -1) < 0 && errno != EINTR)
            return true;
        if (fd[1].revents && drain(fd[1].fd))
            return false;
        if (fd[0].revents)
            return true;
    }
}

static int interrupted(lua_State *L, const char *shown)
{
    fputs(shown, stdout);
    lua_pushboolean(L, 0);
    return 1;
}

/* libedit writes to memory that it has given back once a line has a thousand bytes.
 * So one that gets long is read in pieces: what comes next is on a new line, from
 * which no way leads back. At once there can come at most a piece out of the
 * history, or one more that was cut out of this. */
enum { PIECE = 450 };

static void take_piece(luaL_Buffer *b)
{
    luaL_addlstring(b, *editor.buffer, (size_t)*editor.end);
    editor.remove();
    fputs("\n", stdout);
    fflush(stdout);
    editor.install("", on_line);
}

static int read_edited(lua_State *L, const char *prompt)
{
    luaL_Buffer b;

    luaL_buffinit(L, &b);
    editor.L = L;
    editor.line = NULL;
    editor.done = false;
    fflush(stdout);
    editor.install(prompt, on_line);
    while (!editor.done) {
        if (!wait_for_input()) {
            if (editor.forget_line)
                editor.forget_line();
            editor.remove();
            return interrupted(L, "^C\n");
        }
        editor.read_char();
        if (!editor.done && editor.libedit && *editor.end > PIECE)
            take_piece(&b);
    }
    if (!editor.line) {
        fputs("\n", stdout);
        return 0;
    }
    luaL_addstring(&b, editor.line);
    free(editor.line);
    luaL_pushresult(&b);
    return 1;
}

/* A terminal gives whole lines, so that nothing stays behind in stdin. */
static int read_plain(lua_State *L, const char *prompt)
{
    bool terminal = isatty(STDIN_FILENO);
    luaL_Buffer b;
    int c;

    fputs(prompt, stdout);
    fflush(stdout);
    if (terminal && !wait_for_input())
        return interrupted(L, "\n"); /* the terminal shows ^C itself */
    luaL_buffinit(L, &b);
    while ((c = getc(stdin)) != EOF && c != '\n')
        luaL_addchar(&b, (char)c);
    luaL_pushresult(&b);
    if (c == EOF && lua_rawlen(L, -1) == 0) {
        fputs("\n", stdout);
        return 0;
    }
    return 1;
}

/* edit(prompt) --> line; nil: the end; false: Ctrl-C */
static int edit(lua_State *L)
{
    const char *prompt = luaL_checkstring(L, 1);

    return editor.library ? read_edited(L, prompt) : read_plain(L, prompt);
}

/* remember(line): for the arrow keys. */
static int remember(lua_State *L)
{
    size_t n;
    const char *line = luaL_checklstring(L, 1, &n);

    if (editor.library && (!editor.libedit || n <= PIECE))
        editor.remember(line);
    return 0;
}

/* ---- opening ------------------------------------------------------------- */

/* Words end at whatever is between two names. */
static void set_up(void)
{
    static const char breaks[] = " \t\n\"\\'><=;|&{}()[]+-*/%^~#,.:!?";

    *editor.program = "hvlua";
    *editor.breaks = breaks;
    *editor.catches = 0; /* signals are ours (ctrlc.c) */
    if (editor.catches_size)
        *editor.catches_size = 0;
    *editor.attempt = attempt;
    setlocale(LC_CTYPE, ""); /* or letters beyond ASCII are shown as numbers */
}

void editor_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"edit", edit}, {"remember", remember}, {NULL, NULL}};

    luaL_setfuncs(L, functions, 0);
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        find_library();
    if (editor.library)
        set_up();
    lua_pushboolean(L, editor.library != NULL);
    lua_setfield(L, -2, "edited");
}

void editor_complete(lua_State *L)
{
    lua_setfield(L, LUA_REGISTRYINDEX, completer);
}
