/* SPDX-License-Identifier: MIT */
/* object.c - what os_release() is for. Memory of an object that is gone stays,
 * so that whoever still uses it is found out. */
#include <stdlib.h>

#include "fake.h"

#define ALIVE UINT64_C(0x6f626a6563747631)
#define GONE UINT64_C(0x676f6e65676f6e65)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct object *alive, *gone;
static unsigned living;

static const char *const names[] = {"", "hv_vm_config_t", "hv_vcpu_config_t",
                                    "hv_gic_config_t", "hv_gic_state_t"};

void *fake_object_new(enum object_kind kind, size_t size)
{
    struct object *o = calloc(1, size);

    if (o == NULL)
        return NULL;
    o->magic = ALIVE;
    o->kind = kind;
    atomic_init(&o->count, 1);
    pthread_mutex_lock(&mutex);
    o->next = alive;
    if (alive != NULL)
        alive->before = o;
    alive = o;
    living++;
    pthread_mutex_unlock(&mutex);
    return o;
}

void fake_object_check(const void *object, enum object_kind kind)
{
    const struct object *o = object;

    if (o->magic == GONE)
        fake_die("%s used after os_release()", names[kind]);
    if (o->magic != ALIVE || o->kind != kind)
        fake_die("%p is no %s", object, names[kind]);
}

void *os_retain(void *object)
{
    struct object *o = object;

    if (o == NULL)
        return NULL;
    fake_object_check(o, o->kind);
    atomic_fetch_add(&o->count, 1);
    return o;
}

void os_release(void *object)
{
    struct object *o = object;

    if (o == NULL)
        return;
    if (o->magic != ALIVE)
        fake_die("os_release() of what is no object, or was released");
    if (atomic_fetch_sub(&o->count, 1) > 1)
        return;
    if (o->kind == GIC_STATE) {
        free(((struct hv_gic_state_s *)object)->data);
        ((struct hv_gic_state_s *)object)->data = NULL;
    }
    pthread_mutex_lock(&mutex);
    o->magic = GONE;
    if (o->before != NULL)
        o->before->next = o->next;
    else
        alive = o->next;
    if (o->next != NULL)
        o->next->before = o->before;
    o->next = gone;
    gone = o;
    living--;
    pthread_mutex_unlock(&mutex);
}

unsigned fake_hv_objects(void)
{
    unsigned n;

    pthread_mutex_lock(&mutex);
    n = living;
    pthread_mutex_unlock(&mutex);
    return n;
}

static void free_all(struct object *o)
{
    while (o != NULL) {
        struct object *next = o->next;

        free(o);
        o = next;
    }
}

void fake_objects_at_exit(void)
{
    for (const struct object *o = alive; o != NULL; o = o->next)
        fake_note("%s was never released", names[o->kind]);
    free_all(gone);
    gone = NULL;
}

/* ---- hv_vm_config --------------------------------------------------------- */

enum { DEFAULT_IPA = 36 };

hv_vm_config_t fake_vm_config_create(void)
{
    hv_vm_config_t config = fake_object_new(VM_CONFIG, sizeof *config);

    if (config != NULL)
        config->granule = HV_IPA_GRANULE_16KB;
    return config;
}

hv_return_t fake_vm_config_get_max_ipa_size(uint32_t *ipa_bit_length)
{
    if (ipa_bit_length == NULL)
        return HV_BAD_ARGUMENT;
    *ipa_bit_length = fake.max_ipa;
    return HV_SUCCESS;
}

hv_return_t fake_vm_config_get_default_ipa_size(uint32_t *ipa_bit_length)
{
    if (ipa_bit_length == NULL)
        return HV_BAD_ARGUMENT;
    *ipa_bit_length = DEFAULT_IPA;
    return HV_SUCCESS;
}

/* Widths below 32 bits are refused: nobody has seen what they do. */
hv_return_t fake_vm_config_set_ipa_size(hv_vm_config_t config,
                                        uint32_t ipa_bit_length)
{
    if (config == NULL)
        return HV_BAD_ARGUMENT;
    fake_object_check(config, VM_CONFIG);
    if (ipa_bit_length > fake.max_ipa)
        return HV_UNSUPPORTED;
    if (ipa_bit_length != 0 && ipa_bit_length < 32)
        return HV_BAD_ARGUMENT;
    config->ipa_size = ipa_bit_length;
    return HV_SUCCESS;
}

hv_return_t fake_vm_config_get_ipa_size(hv_vm_config_t config,
                                        uint32_t *ipa_bit_length)
{
    if (config == NULL || ipa_bit_length == NULL)
        return HV_BAD_ARGUMENT;
    fake_object_check(config, VM_CONFIG);
    *ipa_bit_length = config->ipa_size != 0 ? config->ipa_size : DEFAULT_IPA;
    return HV_SUCCESS;
}

hv_return_t fake_vm_config_get_el2_supported(bool *el2_supported)
{
    if (el2_supported == NULL)
        return HV_BAD_ARGUMENT;
    *el2_supported = fake.el2;
    return HV_SUCCESS;
}

hv_return_t fake_vm_config_get_el2_enabled(hv_vm_config_t config,
                                           bool *el2_enabled)
{
    if (config == NULL || el2_enabled == NULL)
        return HV_BAD_ARGUMENT;
    fake_object_check(config, VM_CONFIG);
    *el2_enabled = config->el2;
    return HV_SUCCESS;
}

hv_return_t fake_vm_config_set_el2_enabled(hv_vm_config_t config,
                                           bool el2_enabled)
{
    if (config == NULL)
        return HV_BAD_ARGUMENT;
    fake_object_check(config, VM_CONFIG);
    if (el2_enabled && !fake.el2)
        return HV_UNSUPPORTED;
    config->el2 = el2_enabled;
    return HV_SUCCESS;
}

hv_return_t fake_vm_config_get_default_ipa_granule(hv_ipa_granule_t *granule)
{
    if (granule == NULL)
        return HV_BAD_ARGUMENT;
    *granule = HV_IPA_GRANULE_16KB;
    return HV_SUCCESS;
}

hv_return_t fake_vm_config_get_ipa_granule(hv_vm_config_t config,
                                           hv_ipa_granule_t *granule)
{
    if (config == NULL || granule == NULL)
        return HV_BAD_ARGUMENT;
    fake_object_check(config, VM_CONFIG);
    *granule = config->granule;
    return HV_SUCCESS;
}

hv_return_t fake_vm_config_set_ipa_granule(hv_vm_config_t config,
                                           hv_ipa_granule_t granule)
{
    if (config == NULL || granule > HV_IPA_GRANULE_16KB)
        return HV_BAD_ARGUMENT;
    fake_object_check(config, VM_CONFIG);
    config->granule = granule;
    return HV_SUCCESS;
}
