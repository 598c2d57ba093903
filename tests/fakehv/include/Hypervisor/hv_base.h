/* SPDX-License-Identifier: MIT */
/* hv_base.h - what the other headers begin with. */
#ifndef HYPERVISOR_HV_BASE_H
#define HYPERVISOR_HV_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <os/object.h>

/* A function of the framework's. */
#define HV_EXTERN extern __attribute__((visibility("default")))

/* An enumeration of a fixed type is that type and constants without a name:
 * what <os/base.h> does where the language has no better. */
#define HV_ENUM(name, type)                                                    \
    typedef type name;                                                         \
    enum

/* Ten constants of a numbered family, of which the last digit is the macro's:
 * `tens` are the digits before, or nothing. */
#define HV_TEN(family, tens, base, stride)                                     \
    family##tens##0 = HV_NTH(tens, 0, base, stride),                           \
    family##tens##1 = HV_NTH(tens, 1, base, stride),                           \
    family##tens##2 = HV_NTH(tens, 2, base, stride),                           \
    family##tens##3 = HV_NTH(tens, 3, base, stride),                           \
    family##tens##4 = HV_NTH(tens, 4, base, stride),                           \
    family##tens##5 = HV_NTH(tens, 5, base, stride),                           \
    family##tens##6 = HV_NTH(tens, 6, base, stride),                           \
    family##tens##7 = HV_NTH(tens, 7, base, stride),                           \
    family##tens##8 = HV_NTH(tens, 8, base, stride),                           \
    family##tens##9 = HV_NTH(tens, 9, base, stride)
/* NOLINTNEXTLINE(bugprone-macro-parentheses): it is a constant's definition */
#define HV_ONE(family, n, base, stride) family##n = (base) + (n) * (stride)
#define HV_NTH(tens, ones, base, stride) ((base) + tens##ones * (stride))

#endif
