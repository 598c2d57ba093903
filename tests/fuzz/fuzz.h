/* SPDX-License-Identifier: MIT */
/* fuzz.h - what the fuzz targets share. libFuzzer calls
 * LLVMFuzzerTestOneInput(); what must not be ends in a crash, with the input. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define fuzz_check(true_)                                                      \
    ((true_) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #true_))

static inline void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    abort();
}

#endif
