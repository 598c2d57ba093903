/* SPDX-License-Identifier: MIT */
/* signals.c - signals that arrive while Lua is busy, under ThreadSanitizer.
 *
 * ThreadSanitizer keeps a signal back until its thread next calls something it
 * knows. A Lua loop calls nothing: what interrupts it would never arrive. Linked
 * into the program, this sigaction() delivers at once where the signal has
 * found the thread in liblua's code, which is not instrumented, so that nothing
 * of ThreadSanitizer's is half done there; elsewhere it leaves it to it. In forks
 * of a process with threads it has stopped looking, at signals too: there this
 * one delivers always. */
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

static long loaded_by; /* process */

/* Of each signal that interrupts Lua: */
static struct delivery {
    int number;
    struct kernel_action theirs;    /* ThreadSanitizer's */
    void (*_Atomic program_s)(int); /* the program's */
} deliveries[] = {{.number = SIGURG}, {.number = SIGINT}};

int sigaction(int number, const struct sigaction *action,
              struct sigaction *old);

__attribute__((constructor)) static void load(void)
{
    loaded_by = syscall(SYS_getpid);
}

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

__attribute__((no_sanitize("thread"))) static struct delivery *
delivery_of(int number)
{
    for (size_t i = 0; i < sizeof deliveries / sizeof deliveries[0]; i++)
        if (deliveries[i].number == number)
            return &deliveries[i];
    return NULL;
}

__attribute__((no_sanitize("thread"))) static void
arrived(int number, siginfo_t *info, void *context)
{
    struct delivery *d = delivery_of(number);
    uintptr_t at = interrupted_at(context);

    if ((at >= lua_start && at < lua_end) || syscall(SYS_getpid) != loaded_by)
        d->program_s(number);
    else
        d->theirs.handler(number, info, context);
}

int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    static int (*next)(int, const struct sigaction *, struct sigaction *);
    struct delivery *d = delivery_of(number);
    struct kernel_action mine;
    int rc;

    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "sigaction");
    rc = next(number, action, old);
    if (rc < 0 || !d || !action || action->sa_handler == SIG_DFL ||
        action->sa_handler == SIG_IGN)
        return rc;
    dl_iterate_phdr(find_lua, NULL);
    d->program_s = action->sa_handler;
    syscall(SYS_rt_sigaction, number, NULL, &d->theirs, sizeof mine.mask);
    if (d->theirs.handler == arrived)
        return 0;
    mine = d->theirs;
    mine.handler = arrived;
    return (int)syscall(SYS_rt_sigaction, number, &mine, NULL,
                        sizeof mine.mask);
}
