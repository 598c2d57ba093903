/* SPDX-License-Identifier: MIT */
/* symbols.c - the exported functions. Each hv_*() is an indirect function,
 * which the dynamic linker asks where it is: nowhere, if this macOS is older.
 * So dlsym() gives NULL, and a weak reference is NULL, as on a Mac. */
#include "fake.h"

#define LOG_ARGS(...)                                                          \
    &(const struct log_args)                                                   \
    {                                                                          \
        LOG_COUNT(__VA_ARGS__),                                                \
        {                                                                      \
            LOG_REST(__VA_ARGS__, 0)                                           \
        }                                                                      \
    }
#define LOG_COUNT(...) LOG_FIRST(__VA_ARGS__, 0)
#define LOG_FIRST(count, ...) count
#define LOG_REST(count, ...) __VA_ARGS__

/* What a function's result is in the log, and what stands for a failure. */
#define RESULT_OF(value)                                                       \
    _Generic((value), hv_return_t                                              \
             : (value), default                                                \
             : (hv_return_t)((uintptr_t)(value) == 0))
#define FAILURE(type, result)                                                  \
    (type)(_Generic((type)0, hv_return_t : (intptr_t)(result), default : 0))

#define FN(since, type, name, params, args, log)                               \
    static type call_##name params                                             \
    {                                                                          \
        int forced;                                                            \
        type result;                                                           \
                                                                               \
        if (fake_call_fails("hv_" #name, since, &forced))                      \
            result = FAILURE(type, forced);                                    \
        else                                                                   \
            result = fake_##name args;                                         \
        fake_call_done("hv_" #name, LOG_ARGS log, RESULT_OF(result));          \
        return result;                                                         \
    }
#include "functions.h"

/* A resolver may run before anything else does, even a sanitizer. */
#if defined(__clang__) && __clang_major__ >= 14
#define EARLY __attribute__((disable_sanitizer_instrumentation, used))
#else
#define EARLY __attribute__((no_sanitize("address", "undefined"), used))
#endif

#define FN(since, type, name, params, args, log)                               \
    EARLY static __typeof__(hv_##name) *find_##name(void)                      \
    {                                                                          \
        if (fake.macos == 0)                                                   \
            fake_switches_read();                                              \
        return fake.macos >= (since) ? call_##name : NULL;                     \
    }                                                                          \
    extern __typeof__(hv_##name) hv_##name                                     \
        __attribute__((ifunc("find_" #name)));
#include "functions.h"
