/* SPDX-License-Identifier: MIT */
/* signals.c - signals that arrive while Lua is busy, under ThreadSanitizer.
 *
 * ThreadSanitizer keeps a signal back until its thread next calls something it
 * knows. A Lua loop calls nothing: what interrupts it would never arrive. Linked
 * into the program, this sigaction() delivers at once where the signal has
 * found the thread in liblua's code, which is not instrumented, so that nothing
 * of ThreadSanitizer's is half done there; elsewhere it leaves it to it. */
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* What the kernel takes; the C library's struct is laid out otherwise. */
struct kernel_action {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

static uintptr_t lua_start, lua_end;
static struct kernel_action theirs;    /* ThreadSanitizer's */
static void (*_Atomic program_s)(int); /* the program's */

int sigaction(int number, const struct sigaction *action,
              struct sigaction *old);

static int find_lua(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    if (!strstr(info->dlpi_name, "liblua"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];

        if (part->p_type == PT_LOAD && part->p_flags & PF_X) {
            lua_start = info->dlpi_addr + part->p_vaddr;
            lua_end = lua_start + part->p_memsz;
        }
    }
    return 1;
}

static uintptr_t interrupted_at(void *context)
{
    const ucontext_t *at = context;

#ifdef __x86_64__
    return (uintptr_t)at->uc_mcontext.gregs[REG_RIP];
#else
    return (uintptr_t)at->uc_mcontext.pc;
#endif
}

__attribute__((no_sanitize("thread"))) static void
arrived(int number, siginfo_t *info, void *context)
{
    uintptr_t at = interrupted_at(context);

    if (at >= lua_start && at < lua_end)
        program_s(number);
    else
        theirs.handler(number, info, context);
}

/* Of the signals hvlua has only SIGURG interrupts Lua. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    static int (*next)(int, const struct sigaction *, struct sigaction *);
    struct kernel_action mine;
    int rc;

    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "sigaction");
    rc = next(number, action, old);
    if (rc < 0 || number != SIGURG || !action)
        return rc;
    dl_iterate_phdr(find_lua, NULL);
    program_s = action->sa_handler;
    syscall(SYS_rt_sigaction, number, NULL, &theirs, sizeof theirs.mask);
    if (theirs.handler == arrived)
        return 0;
    mine = theirs;
    mine.handler = arrived;
    return (int)syscall(SYS_rt_sigaction, number, &mine, NULL,
                        sizeof mine.mask);
}
