/* backend.c: finds a device by its name. The CUDA backend is a plug-in, so that one package runs
 * on machines with and without it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/plugin.h"
#include "tensor/backend.h"
#include "tensor/cuda_cards.h"
#include "tensor/cuda_libraries.h"

#ifdef WITHOUT_ONEDNN
const struct backend_table *backend_cpu(void) { return NULL; }
#endif

static const struct plugin cuda_plugin = {"winnow-cuda.so", "winnow_backend", "the CUDA backend",
                                          "built without CUDA", cuda_libraries_open};

const struct cuda_library *backend_cuda_libraries(size_t *n)
{
    struct plugin plugin = cuda_plugin;
    struct error ignored = {0};
    char path[PATH_MAX];
    void *symbol;
    plugin.prepare = cuda_libraries_open_always;
    plugin_open(&plugin, &symbol, path, &ignored);
    return cuda_libraries(n);
}

/* always: also when the machine has no driver. */
static int find_cuda(bool always, const struct backend_table **out, struct error *err)
{
    struct plugin plugin = cuda_plugin;
    const struct backend_table *(*entry)(void);
    char path[PATH_MAX];
    void *symbol;
    if (always) plugin.prepare = cuda_libraries_open_always;
    if (plugin_open(&plugin, &symbol, path, err)) return -1;
    *(void **)&entry = symbol;
    const struct backend_table *t = entry ? entry() : NULL;
    if (!t || t->abi != BACKEND_ABI)
        return error_set(err, EX_NODEVICE, "'%s' is not a backend of this version", path);
    *out = t;
    return 0;
}

static int find(const char *name, bool always, const struct backend_table **out, struct error *err)
{
    if (!strcmp(name, "ref")) {
        *out = &backend_ref;
        return 0;
    }
    if (!strcmp(name, "cpu"))
        return (*out = backend_cpu()) ? 0 : error_set(err, EX_NODEVICE, "device 'cpu': built without oneDNN");
    if (!strcmp(name, "cuda")) {
        if (find_cuda(always, out, err)) return error_prefix(err, "device 'cuda'");
        error_clear(err);
        return 0;
    }
    return error_set(err, EX_USAGE, "unknown device '%s' (there are auto, cuda, cpu, ref)", name);
}

/* Reads the list of GPUs from WINNOW_CUDA_DEVICES, such as "0,1,2"; without it, options->device_index is
 * used. */
static int parse_devices(struct backend_options *o, struct error *err)
{
    const char *list = getenv("WINNOW_CUDA_DEVICES");
    o->n_devices = 0;
    for (const char *s = list && *list ? list : NULL; s;) {
        size_t n = strcspn(s, ",");
        uint64_t v = 0;
        if (!parse_digits(s, n, &v) || v > 1000)
            return error_set(err, EX_USAGE, "cuda: WINNOW_CUDA_DEVICES '%s' is not a list such as 0,1", list);
        if (o->n_devices == BACKEND_MAX_DEVICES)
            return error_set(err, EX_USAGE, "cuda: more than %d GPUs in '%s'", BACKEND_MAX_DEVICES, list);
        for (int i = 0; i < o->n_devices; i++)
            if (o->devices[i] == (int)v)
                return error_set(err, EX_USAGE, "cuda: GPU %d appears twice in '%s'", (int)v, list);
        o->devices[o->n_devices++] = (int)v;
        s = s[n] ? s + n + 1 : NULL;
    }
    return 0;
}

static int read_card(struct backend_options *o, struct error *err)
{
    const char *name = strstr(o->described, "\"deviceName\"");
    if (cuda_card_check(o->described, err)) return -1;
    o->card = (struct card_numbers){.capability = (int)cuda_card_number(o->described, "deviceVer") / 10,
                                    .sms = (int)cuda_card_number(o->described, "multiProcessorCount"),
                                    .clock_khz = (int)cuda_card_number(o->described, "smClockRateKHz"),
                                    .memory_bytes = (size_t)cuda_card_number(o->described, "totalGlobalMem")};
    sscanf(name, "\"deviceName\" : \"%255[^\"]", o->card.name);
    return 0;
}

static int open_with(const struct backend_table *t, const struct backend_options *options,
                     struct backend **out, struct error *err)
{
    struct backend_options o = *options;
    if (!strcmp(t->name, "cuda") && (o.described ? read_card(&o, err) : parse_devices(&o, err))) return -1;
    return t->open(out, &o, err);
}

int backend_open(const char *name, const struct backend_options *options, const struct backend_table **table,
                 struct backend **out, struct error *err)
{
    static const char *const in_turn[] = {"cuda", "cpu", "ref"};
    *out = NULL;
    if (name && *name && strcmp(name, "auto"))
        return find(name, options->described != NULL, table, err) || open_with(*table, options, out, err) ? -1
                                                                                                          : 0;
    for (size_t i = 0; i < sizeof in_turn / sizeof *in_turn; i++) {
        if (!find(in_turn[i], false, table, err) && !open_with(*table, options, out, err)) {
            error_clear(err);
            return 0;
        }
        /* do not continue on a slower device, whose results differ in the last bits */
        if (err->saved_errno == ENOMEM) return -1;
    }
    return -1;
}
