/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"

/* A message is made where the facts are and read at the top of the call stack,
 * on the same thread: so it is the thread's, and no object has to carry it. */
static _Thread_local char why[512];

void vmm_reason(const char *format, ...)
{
    va_list args;
    char text[sizeof why]; /* the arguments may include the last reason */

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(why, text, sizeof why);
}

const char *vmm_why(void)
{
    return why;
}
