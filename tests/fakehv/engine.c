/* SPDX-License-Identifier: MIT */
/* engine.c - opening an engine with the host as EL2, its registers, and what it
 * has seen of memory and code. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <libkern/OSCacheControl.h>

#include "engine.h"

/* Controls that not all headers name. */
enum {
    CTL_FLUSH_TLB = UC_CTL_TB_FLUSH + 1,
    CTL_TCG_BUFFER_SIZE = UC_CTL_TB_FLUSH + 3
};

enum { PAGE = 4096, BUFFER = 64 << 20 };

/* ---- registers ------------------------------------------------------------ */

uint64_t engine_reg(const struct engine *e, int id)
{
    uint64_t value = 0;

    e->u.reg_read(e->uc, id, &value);
    return value;
}

void engine_set_reg(const struct engine *e, int id, uint64_t value)
{
    e->u.reg_write(e->uc, id, &value);
}

static int x_id(unsigned n)
{
    return n < 29    ? UC_ARM64_REG_X0 + (int)n
           : n == 29 ? UC_ARM64_REG_X29
                     : UC_ARM64_REG_X30;
}

uint64_t engine_x(const struct engine *e, unsigned n)
{
    return n < 31 ? engine_reg(e, x_id(n)) : 0;
}

void engine_set_x(const struct engine *e, unsigned n, uint64_t value)
{
    if (n < 31)
        engine_set_reg(e, x_id(n), value);
}

static uc_arm64_cp_reg cp_reg(uint32_t reg, uint64_t value)
{
    return (uc_arm64_cp_reg){
        .op0 = reg >> 14 & 3,
        .op1 = reg >> 11 & 7,
        .crn = reg >> 7 & 15,
        .crm = reg >> 3 & 15,
        .op2 = reg & 7,
        .val = value,
    };
}

bool engine_sys(const struct engine *e, uint32_t reg, uint64_t *value)
{
    uc_arm64_cp_reg cp = cp_reg(reg, 0);
    uc_err err = e->u.reg_read(e->uc, UC_ARM64_REG_CP_REG, &cp);

    if (err == UC_ERR_OK)
        *value = cp.val;
    return err == UC_ERR_OK;
}

/* Whatever is written, the library then brings its own flags up to date. */
bool engine_set_sys(const struct engine *e, uint32_t reg, uint64_t value)
{
    uc_arm64_cp_reg cp = cp_reg(reg, value);

    return e->u.reg_write(e->uc, UC_ARM64_REG_CP_REG, &cp) == UC_ERR_OK;
}

uint32_t engine_pstate(const struct engine *e)
{
    return (uint32_t)engine_reg(e, UC_ARM64_REG_PSTATE);
}

/* SP is a copy of the banked register that PSTATE selects. */
static int bank(uint32_t pstate)
{
    switch (pstate & MODE_MASK) {
    case MODE_EL1H:
        return UC_ARM64_REG_SP_EL1;
    case MODE_EL2H:
        return UC_ARM64_REG_SP_EL2;
    case MODE_EL3H:
        return UC_ARM64_REG_SP_EL3;
    default:
        return UC_ARM64_REG_SP_EL0;
    }
}

static void flags_changed(const struct engine *e)
{
    uint64_t same = 0;

    engine_sys(e, SYS_TPIDR_EL2, &same);
    engine_set_sys(e, SYS_TPIDR_EL2, same);
}

void engine_set_pstate(const struct engine *e, uint32_t pstate)
{
    int from = bank(engine_pstate(e)), to = bank(pstate);

    engine_set_reg(e, UC_ARM64_REG_PSTATE, pstate);
    if (from != to) {
        engine_set_reg(e, from, engine_reg(e, UC_ARM64_REG_SP));
        engine_set_reg(e, UC_ARM64_REG_SP, engine_reg(e, to));
    }
    flags_changed(e);
}

void engine_flush_tlb(const struct engine *e)
{
    e->u.ctl(e->uc, UC_CTL_WRITE(CTL_FLUSH_TLB, 0));
}

/* ---- the vCPU's state ----------------------------------------------------- */

/* The debug registers always trap: up to 2.1.1 the library throws its code away,
 * also that which it executes, when a guest sets a breakpoint. */
static void load_debug(struct engine *e)
{
    enum { TPM = 3 << 5, TDE = 1 << 8, TDA = 7 << 9 };
    const struct vcpu *v = e->v;
    uint64_t mdscr = v->sys[fake_sysreg_row(SYS_MDSCR_EL1)];

    e->step = STEP_NOT;
    if (!e->el2) {
        engine_set_sys(e, SYS_MDCR_EL2,
                       TPM | TDA | (v->trap_exceptions ? TDE : 0));
    } else if (v->trap_exceptions && (mdscr & MDSCR_SS)) {
        e->step = v->cpsr & PSTATE_SS ? STEP_READY : STEP_OVER;
        mdscr &= ~(uint64_t)MDSCR_SS;
    }
    engine_set_sys(e, SYS_MDSCR_EL1, mdscr & (MDSCR_SS | MDSCR_KDE));
}

void engine_load(struct engine *e)
{
    const struct vcpu *v = e->v;

    load_debug(e);
    engine_set_reg(e, UC_ARM64_REG_SP_EL0, v->sp_el0);
    engine_set_reg(e, UC_ARM64_REG_SP_EL1, v->sp_el1);
    if (e->el2)
        engine_set_reg(e, UC_ARM64_REG_SP_EL2, v->sp_el2);
    engine_set_reg(e, UC_ARM64_REG_PSTATE, v->cpsr);
    engine_set_reg(e, UC_ARM64_REG_SP, engine_reg(e, bank(v->cpsr)));
    engine_set_reg(e, UC_ARM64_REG_PC, v->pc);
    flags_changed(e);
}

void engine_store(struct engine *e)
{
    struct vcpu *v = e->v;

    v->pc = engine_reg(e, UC_ARM64_REG_PC);
    v->cpsr = engine_pstate(e);
    if (e->step != STEP_NOT)
        v->cpsr = (v->cpsr & ~(uint32_t)PSTATE_SS) |
                  (e->step == STEP_OVER ? 0u : PSTATE_SS);
    engine_set_reg(e, bank(v->cpsr), engine_reg(e, UC_ARM64_REG_SP));
    v->sp_el0 = engine_reg(e, UC_ARM64_REG_SP_EL0);
    v->sp_el1 = engine_reg(e, UC_ARM64_REG_SP_EL1);
    if (e->el2)
        v->sp_el2 = engine_reg(e, UC_ARM64_REG_SP_EL2);
    for (unsigned n = 0; n < ZREGS && v->sme->state.streaming_sve_mode_enabled;
         n++)
        e->u.reg_read(e->uc, UC_ARM64_REG_V0 + (int)n, v->sme->z[n]);
}

/* ---- memory and code ------------------------------------------------------ */

/* The library forgets code by virtual address, as the current level sees it. At
 * EL3, whose MMU is off, that is the physical one. */
static void forget(struct engine *e, uint64_t at, uint64_t size)
{
    e->u.ctl(e->uc, UC_CTL_WRITE(UC_CTL_TB_REMOVE_CACHE, 2), at, at + size);
}

static bool same(const struct piece *a, const struct piece *b)
{
    return a->ipa == b->ipa && a->size == b->size && a->host == b->host;
}

static bool is_among(const struct piece *p, const struct piece *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (same(p, &list[i]))
            return true;
    return false;
}

static void detach_old(struct engine *e)
{
    for (size_t i = 0; i < e->count;) {
        struct piece *p = &e->attached[i];

        if (is_among(p, fake_vm.pieces, fake_vm.count)) {
            i++;
            continue;
        }
        forget(e, p->ipa, p->size);
        e->u.mem_unmap(e->uc, p->ipa, p->size);
        *p = e->attached[--e->count];
    }
}

static void attach_new(struct engine *e)
{
    if (e->room < fake_vm.count) {
        struct piece *grown =
            realloc(e->attached, fake_vm.room * sizeof *grown);

        if (grown == NULL)
            fake_die("out of memory");
        e->attached = grown;
        e->room = fake_vm.room;
    }
    for (size_t i = 0; i < fake_vm.count; i++) {
        const struct piece *p = &fake_vm.pieces[i];
        uc_err err;

        if (is_among(p, e->attached, e->count))
            continue;
        err = e->u.mem_map_ptr(e->uc, p->ipa, p->size, UC_PROT_ALL, p->host);
        if (err != UC_ERR_OK)
            fake_die("libunicorn: map: %s", e->u.strerror(err));
        e->attached[e->count++] = *p;
    }
}

void engine_stale(struct engine *e, uint64_t at, uint64_t size)
{
    pthread_mutex_lock(&e->mutex);
    if (e->stales < STALE) {
        e->stale[e->stales].at = at;
        e->stale[e->stales].size = size;
    }
    if (e->stales <= STALE)
        e->stales++;
    pthread_mutex_unlock(&e->mutex);
}

static void forget_stale(struct engine *e)
{
    pthread_mutex_lock(&e->mutex);
    for (unsigned i = 0; e->stales <= STALE && i < e->stales; i++)
        forget(e, e->stale[i].at, e->stale[i].size);
    for (size_t i = 0; e->stales > STALE && i < e->count; i++)
        forget(e, e->attached[i].ipa, e->attached[i].size);
    e->stales = 0;
    pthread_mutex_unlock(&e->mutex);
}

/* What others do to page tables and memory takes effect when one's turn begins.
 * Up to 2.1.1 a full buffer of translated code is a crash, which a guest can
 * cause; how full it is nobody tells. So that is reckoned in hooks.c. */
void engine_catch_up(struct engine *e)
{
    uint32_t pstate = engine_pstate(e);

    fake_lock();
    if (e->seen != fake_vm.changes || e->stales > 0) {
        engine_set_reg(e, UC_ARM64_REG_PSTATE, PSTATE_DAIF | MODE_EL3H);
        flags_changed(e);
        forget_stale(e);
        detach_old(e);
        attach_new(e);
        e->seen = fake_vm.changes;
        engine_set_reg(e, UC_ARM64_REG_PSTATE, pstate);
        flags_changed(e);
    }
    fake_unlock();
    if (e->emitted > e->budget) {
        e->u.ctl(e->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
        e->emitted = 0;
    }
    engine_flush_tlb(e);
}

/* The host has written code. Guests see it from here on, and not before. */
void sys_icache_invalidate(void *start, size_t len)
{
    uint64_t from = (uintptr_t)start, to = from + len;

    fake_lock();
    for (size_t i = 0; i < fake_vm.count; i++) {
        const struct piece *p = &fake_vm.pieces[i];
        uint64_t begin = (uintptr_t)p->host, end = begin + p->size;
        uint64_t first = from > begin ? from : begin;
        uint64_t last = to < end ? to : end;

        for (unsigned n = 0; first < last && n < MAX_VCPUS; n++)
            if (fake_vm.vcpu[n] != NULL)
                engine_stale(fake_vm.vcpu[n]->engine, p->ipa + (first - begin),
                             last - first);
    }
    fake_unlock();
}

void sys_dcache_flush(void *start, size_t len)
{
    (void)start, (void)len;
}

/* ---- where the library keeps an exception --------------------------------- */

/* What stands in the private page, and what it raises. */
static const uint32_t stub[] = {
    0xd40b4b41, /* svc #0x5a5a */
    0xd414b4a1, /* svc #0xa5a5 */
};
enum { SYNDROME_ONE = 0x56005a5a, SYNDROME_TWO = 0x5600a5a5 };
#define STUB (STAGE2_BASE + PAGE)

struct exception { /* in the library's own order */
    uint32_t syndrome, fsr;
    uint64_t va;
    uint32_t target;
};

static uint32_t u32_at(const uint8_t *p, size_t at)
{
    uint32_t value;

    memcpy(&value, p + at, sizeof value);
    return value;
}

unsigned engine_exception(struct engine *e)
{
    struct exception x;
    uint32_t opcode;

    e->u.context_save(e->uc, e->context);
    memcpy(&x, (const uint8_t *)e->context + e->exception, sizeof x);
    e->syndrome = x.syndrome;
    e->far = x.va;
    if (x.syndrome == 0 &&
        walk_instruction(e, engine_reg(e, UC_ARM64_REG_PC), &opcode))
        e->syndrome = unicorn_daif_syndrome(opcode);
    return x.target;
}

static void sample(struct engine *e, unsigned svc, uint8_t *copy, size_t size)
{
    engine_set_reg(e, UC_ARM64_REG_PSTATE, PSTATE_DAIF | MODE_EL1H);
    flags_changed(e);
    e->u.emu_start(e->uc, STUB + 4 * svc, 0, 0, 0);
    e->u.context_save(e->uc, e->context);
    memcpy(copy, e->context, size);
}

/* The one place where both exceptions are found. */
static bool find_exception(struct engine *e)
{
    const size_t target = offsetof(struct exception, target);
    size_t size = e->u.context_size(e->uc), found = 0;
    uint8_t *one = calloc(2, size), *two;

    if (one == NULL)
        return false;
    two = one + size;
    sample(e, 0, one, size);
    sample(e, 1, two, size);
    for (size_t at = 0; at + sizeof(struct exception) <= size; at += 4) {
        if (u32_at(one, at) != SYNDROME_ONE ||
            u32_at(two, at) != SYNDROME_TWO || u32_at(one, at + target) != 1 ||
            u32_at(two, at + target) != 1)
            continue;
        if (found != 0) {
            found = 0;
            break;
        }
        found = at;
    }
    free(one);
    e->exception = found;
    return found != 0;
}

/* ---- opening -------------------------------------------------------------- */

static void become_el2(struct engine *e)
{
    enum { TZ = 1 << 8, RES1 = 0x32ff, TTA = 1 << 20 };

    engine_set_sys(e, SYS_CNTFRQ_EL0, TICKS_PER_SECOND);
    if (e->el2) {
        engine_set_sys(e, SYS_HCR_EL2, 0);
        return;
    }
    engine_set_sys(e, SYS_CNTHCTL_EL2, 0); /* CNTPCT and CNTP_* trap */
    engine_set_sys(e, SYS_CPTR_EL2, UINT64_C(1) << 31 | RES1 | TTA | TZ);
    engine_set_sys(e, SYS_VTCR_EL2,
                   (64 - STAGE2_BITS) | 2 << 6 | 1 << 8 | 1 << 10 | 3 << 12 |
                       4 << 16 | UINT64_C(1) << 31);
    engine_set_sys(e, SYS_VTTBR_EL2, STAGE2_BASE);
    e->hcr = HCR_GUEST;
    engine_set_sys(e, SYS_HCR_EL2, e->hcr);
}

/* A guest with EL2 gets the plainer CPU, which has nothing that the library
 * could end the process over. */
static uc_err configure(struct engine *e)
{
    const struct unicorn *u = &e->u;
    uc_err err = u->ctl(e->uc, UC_CTL_WRITE(UC_CTL_CPU_MODEL, 1),
                        e->el2 ? (int)UC_CPU_ARM64_A72 : (int)UC_CPU_ARM64_MAX);

    if (err == UC_ERR_OK)
        err = u->ctl(e->uc, UC_CTL_WRITE(CTL_TCG_BUFFER_SIZE, 1),
                     (uint32_t)BUFFER);
    e->budget = BUFFER - BUFFER / 8;
    if (err == UC_ERR_OK)
        err = u->ctl(e->uc, UC_CTL_WRITE(UC_CTL_UC_USE_EXITS, 1), 1);
    return err;
}

static bool open_engine(struct engine *e, void *pages)
{
    const struct unicorn *u = &e->u;

    if (u->version < UNICORN_VERSION(2, 1, 0) ||
        u->open(UC_ARCH_ARM64, UC_MODE_ARM, &e->uc) != UC_ERR_OK)
        return false;
    if (configure(e) != UC_ERR_OK ||
        u->mem_map_ptr(e->uc, STAGE2_BASE, STAGE2_SIZE, UC_PROT_ALL, pages) !=
            UC_ERR_OK ||
        u->context_alloc(e->uc, &e->context) != UC_ERR_OK || !hooks_add(e))
        return false;
    fake_lock();
    if (memcmp((uint8_t *)pages + PAGE, stub, sizeof stub) != 0)
        memcpy((uint8_t *)pages + PAGE, stub, sizeof stub);
    fake_unlock();
    /* NS, HCE, RW; pointer authentication and, with EL2, WFx are not for EL3 */
    engine_set_sys(e, SYS_SCR_EL3, 0x501 | 3 << 16 | (e->el2 ? 3 << 12 : 0));
    if (!find_exception(e))
        return false;
    become_el2(e);
    return true;
}

void engine_close(struct engine *e)
{
    if (e->context != NULL)
        e->u.context_free(e->context);
    if (e->uc != NULL)
        e->u.close(e->uc);
    unicorn_unload(&e->u);
    pthread_mutex_destroy(&e->mutex);
    free(e->attached);
    free(e);
}

struct engine *engine_open(struct vcpu *v)
{
    struct engine *e = calloc(1, sizeof *e);
    void *pages = NULL;
    bool opened = false;

    if (e == NULL)
        return NULL;
    pthread_mutex_init(&e->mutex, NULL);
    e->v = v;
    fake_lock();
    if (fake_vm.exists) {
        pages = fake_stage2_pages(fake_vm.tables);
        e->el2 = fake_vm.el2;
        e->seen = fake_vm.changes - 1;
    }
    fake_unlock();
    if (pages != NULL && unicorn_load(&e->u) == 0)
        opened = open_engine(e, pages);
    if (!opened) {
        engine_close(e);
        return NULL;
    }
    return e;
}

const char *fake_hv_unusable(void)
{
    static char why[300];
    struct unicorn u;

    if (unicorn_load(&u) < 0) {
        snprintf(why, sizeof why, "%s", vmm_why());
        return why;
    }
    unicorn_unload(&u);
    if (u.version >= UNICORN_VERSION(2, 1, 0))
        return NULL;
    snprintf(why, sizeof why,
             "the double of Hypervisor.framework needs libunicorn 2.1, this is "
             "%u.%u.%u",
             u.version >> 16, u.version >> 8 & 0xff, u.version & 0xff);
    return why;
}
