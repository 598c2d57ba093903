/* SPDX-License-Identifier: MIT */
/* os/object.h - reference counts. On macOS os_release() is a macro too; its
 * argument is a pointer of any kind. */
#ifndef OS_OBJECT_H
#define OS_OBJECT_H

__attribute__((visibility("default"))) void *os_retain(void *object);
__attribute__((visibility("default"))) void os_release(void *object);

#endif
