/* SPDX-License-Identifier: MIT */
/* log.c - every call, with its thread and result; every wrong one reported;
 * and calls that are made to fail. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake.h"

enum { CALLS = 65536, REPORTS = 256, FAILURES = 128 };

static struct {
    pthread_mutex_t mutex;
    struct fake_hv_call *calls;
    uint64_t count;
    char *report[REPORTS];
    unsigned reports;
    struct {
        char function[64];
        int result;
        unsigned times;
    } fail[FAILURES];
    unsigned fails;
    FILE *file;
} l = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

/* ---- reports -------------------------------------------------------------- */

void fake_report(const char *format, ...)
{
    char text[300];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "fakehv: thread %d: %s\n", thread_id(), text);
    pthread_mutex_lock(&l.mutex);
    if (l.reports < REPORTS)
        l.report[l.reports++] = strdup(text);
    pthread_mutex_unlock(&l.mutex);
    if (fake.strict > 1)
        abort();
}

void fake_note(const char *format, ...)
{
    char text[300];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "fakehv: note: %s\n", text);
}

void fake_die(const char *format, ...)
{
    char text[300];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "fakehv: thread %d: %s: aborting\n", thread_id(), text);
    abort();
}

unsigned fake_hv_reports(void)
{
    unsigned reports;

    pthread_mutex_lock(&l.mutex);
    reports = l.reports;
    pthread_mutex_unlock(&l.mutex);
    return reports;
}

const char *fake_hv_report(unsigned i)
{
    const char *report;

    pthread_mutex_lock(&l.mutex);
    report = i < l.reports ? l.report[i] : NULL;
    pthread_mutex_unlock(&l.mutex);
    return report;
}

void fake_hv_forget(void)
{
    pthread_mutex_lock(&l.mutex);
    for (unsigned i = 0; i < l.reports; i++)
        free(l.report[i]);
    l.reports = 0;
    l.count = 0;
    pthread_mutex_unlock(&l.mutex);
}

/* ---- failures ------------------------------------------------------------- */

void fake_hv_fail(const char *function, int result, unsigned times)
{
    unsigned i;

    pthread_mutex_lock(&l.mutex);
    for (i = 0; i < l.fails; i++)
        if (strcmp(l.fail[i].function, function) == 0)
            break;
    if (i < FAILURES) {
        if (i == l.fails)
            l.fails++;
        snprintf(l.fail[i].function, sizeof l.fail[i].function, "%s", function);
        l.fail[i].result = result;
        l.fail[i].times = times;
    }
    pthread_mutex_unlock(&l.mutex);
}

/* "function=number,...": these always fail. */
bool fake_log_fail_list(const char *list)
{
    pthread_mutex_lock(&l.mutex);
    l.fails = 0;
    pthread_mutex_unlock(&l.mutex);
    while (list != NULL && *list != '\0') {
        char function[64];
        const char *equals = strchr(list, '=');
        size_t length = equals != NULL ? (size_t)(equals - list) : 0;
        char *end;
        long long result;

        if (length == 0 || length >= sizeof function)
            return false;
        memcpy(function, list, length);
        function[length] = '\0';
        errno = 0;
        result = strtoll(equals + 1, &end, 0);
        if (end == equals + 1 || errno != 0 || (*end != ',' && *end != '\0'))
            return false;
        fake_hv_fail(function, (int)(uint32_t)result, UINT32_MAX);
        list = *end == ',' ? end + 1 : end;
    }
    return true;
}

bool fake_call_fails(const char *function, unsigned since, int *result)
{
    bool fails = false;

    if (since > fake.macos)
        fake_die("%s is not in macOS %u.%u", function, fake.macos / 100,
                 fake.macos % 100);
    pthread_mutex_lock(&l.mutex);
    for (unsigned i = 0; i < l.fails && !fails; i++) {
        fails =
            l.fail[i].times > 0 && strcmp(l.fail[i].function, function) == 0;
        if (fails)
            *result = l.fail[i].result;
        if (fails && l.fail[i].times != UINT32_MAX)
            l.fail[i].times--;
    }
    pthread_mutex_unlock(&l.mutex);
    return fails;
}

/* ---- calls ---------------------------------------------------------------- */

static const char *name_of(int result)
{
    static const char *const names[] = {
        "HV_SUCCESS",
        "HV_ERROR",
        "HV_BUSY",
        "HV_BAD_ARGUMENT",
        "HV_ILLEGAL_GUEST_STATE",
        "HV_NO_RESOURCES",
        "HV_NO_DEVICE",
        "HV_DENIED",
        "HV_EXISTS",
    };
    unsigned n = (unsigned)result - 0xfae94000u;

    if (result == 0)
        return names[0];
    if (result == HV_UNSUPPORTED)
        return "HV_UNSUPPORTED";
    return n > 0 && n < sizeof names / sizeof *names ? names[n] : "?";
}

static void write_line(const struct fake_hv_call *call)
{
    fprintf(l.file, "%" PRIu64 " %d %s(", call->number, call->thread,
            call->function);
    for (unsigned i = 0; i < call->args; i++)
        fprintf(l.file, "%s0x%" PRIx64, i > 0 ? ", " : "", call->arg[i]);
    fprintf(l.file, ") = %s\n", name_of(call->result));
    fflush(l.file);
}

void fake_call_done(const char *function, const struct log_args *args,
                    int result)
{
    struct fake_hv_call call = {.function = function,
                                .thread = thread_id(),
                                .args = args->count,
                                .result = result};

    memcpy(call.arg, args->arg, sizeof call.arg);
    pthread_mutex_lock(&l.mutex);
    if (l.calls == NULL)
        l.calls = calloc(CALLS, sizeof *l.calls);
    call.number = l.count++;
    if (l.calls != NULL)
        l.calls[call.number % CALLS] = call;
    if (l.file != NULL)
        write_line(&call);
    pthread_mutex_unlock(&l.mutex);
}

void fake_log_open(const char *path)
{
    pthread_mutex_lock(&l.mutex);
    if (l.file != NULL)
        fclose(l.file);
    l.file = path != NULL && *path != '\0' ? fopen(path, "ae") : NULL;
    pthread_mutex_unlock(&l.mutex);
}

uint64_t fake_hv_calls(void)
{
    uint64_t count;

    pthread_mutex_lock(&l.mutex);
    count = l.count;
    pthread_mutex_unlock(&l.mutex);
    return count;
}

bool fake_hv_call(uint64_t number, struct fake_hv_call *call)
{
    bool kept;

    pthread_mutex_lock(&l.mutex);
    kept = l.calls != NULL && number < l.count && l.count - number <= CALLS;
    if (kept)
        *call = l.calls[number % CALLS];
    pthread_mutex_unlock(&l.mutex);
    return kept;
}

static void before_fork(void)
{
    pthread_mutex_lock(&l.mutex);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&l.mutex);
}

__attribute__((constructor)) static void start(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

__attribute__((destructor)) static void end(void)
{
    fake_objects_at_exit();
    fake_hv_forget();
    free(l.calls);
    l.calls = NULL;
    fake_log_open(NULL);
}
