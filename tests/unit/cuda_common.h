/*
 * cuda_common.h: what the tests of the CUDA backend share. The same programs run on the stand-ins
 * (tests/fakecuda, the default) and, with WINNOW_CUDA_REAL=1 (make check-gpu), on the real libraries: only
 * which libraries the loader finds is different.
 */
#ifndef WINNOW_TESTS_CUDA_COMMON_H
#define WINNOW_TESTS_CUDA_COMMON_H

#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/random.h"
#include "tap.h"
#include "tensor/backend.h"

/* The stand-ins' controls; all NULL with the real libraries. */
struct fake {
    bool there;
    void (*fail_call)(long);
    long (*calls)(void);
    void (*fail_execution)(long);
    long (*executions)(void);
    const char *(*failed_call)(void);
    long (*complaints)(void);
    const char *(*last_complaint)(void);
    void (*forgive)(void);
    long (*live_objects)(void);
    size_t (*peak_bytes)(int);
    long (*count)(const char *, bool);
    const char *(*counted)(int, bool);
};

static struct fake fake;

static inline void cuda_folder_of(char *out, size_t bytes, const char *variable, const char *beside)
{
    const char *value = getenv(variable);
    char self[PATH_MAX - 40];
    if (value && *value) {
        snprintf(out, bytes, "%s", value);
        return;
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    snprintf(out, bytes, "%s/%s", self, beside);
}

/*
 * Finds the plug-in, and starts the program again with the stand-ins in front of the real libraries unless
 * those are asked for. Where there is no plug-in (no CUDA headers on this machine) prints SKIP and ends the
 * program. Who asks for the real libraries means to test a card: one that does not open is a failure.
 */
static inline void cuda_test_begin(char **argv, const char *what)
{
    char plugin[PATH_MAX + 40], stand_ins[PATH_MAX + 40], folder[PATH_MAX];
    bool real = getenv("WINNOW_CUDA_REAL") != NULL;
    cuda_folder_of(folder, sizeof folder, "BIN", "../bin");
    snprintf(plugin, sizeof plugin, "%s/winnow-cuda.so", folder);
    if (access(plugin, R_OK)) {
        tap_skip(what, "built without CUDA: ./bootstrap gpu");
        exit(tap_done());
    }
    setenv("WINNOW_PLUGIN_DIR", folder, 0);
    if (!real && !getenv("WINNOW_CUDA_STAND_INS")) {
        cuda_folder_of(folder, sizeof folder, "BUILD", "..");
        snprintf(stand_ins, sizeof stand_ins, "%s/fakecuda", folder);
        setenv("WINNOW_CUDA_STAND_INS", "1", 1);
        setenv("LD_LIBRARY_PATH", stand_ins, 1);
        execv("/proc/self/exe", argv);
        perror("cannot start again");
        exit(1);
    }
    char cache[PATH_MAX + 40];
    snprintf(cache, sizeof cache, "%s/cudnn-algorithms.tsv", tap_tmpdir());
    setenv("WINNOW_CUDA_CACHE", cache, 1);
    struct error err = {0};
    struct backend_options options = {.deterministic = true};
    const struct backend_table *table;
    struct backend *b;
    if (real && backend_open("cuda", &options, &table, &b, &err)) {
        CHECK_SAY(false, "%s: a GPU and its libraries open: %s", what, err.text);
        exit(tap_done());
    }
    if (real) table->close(b);
    void *handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        CHECK_SAY(false, "the plug-in loads: %s", dlerror());
        exit(tap_done());
    }
    const struct {
        const char *name;
        void *to;
    } symbols[] = {
        {"fakecuda_fail_call", &fake.fail_call},
        {"fakecuda_calls", &fake.calls},
        {"fakecuda_fail_execution", &fake.fail_execution},
        {"fakecuda_executions", &fake.executions},
        {"fakecuda_failed_call", &fake.failed_call},
        {"fakecuda_complaints", &fake.complaints},
        {"fakecuda_last_complaint", &fake.last_complaint},
        {"fakecuda_forgive", &fake.forgive},
        {"fakecuda_live_objects", &fake.live_objects},
        {"fakecuda_peak_bytes", &fake.peak_bytes},
        {"fakecuda_count", &fake.count},
        {"fakecuda_counted", &fake.counted},
    };
    fake.there = true;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        fake.there &= (*(void **)symbols[i].to = dlsym(handle, symbols[i].name)) != NULL;
    if (!real && !fake.there) {
        CHECK_SAY(false, "the stand-ins are in front of the real libraries");
        exit(tap_done());
    }
}

/* A part of a test program by itself: `cuda_ops_test fp32` (tests/mutants does that). */
static inline bool cuda_wanted(char **argv, const char *part) { return !argv[1] || !strcmp(argv[1], part); }

/* Cards before Ampere have no bfloat16; what is said then is a skip of the part. */
static inline bool cuda_has_bf16(const char *part)
{
    struct error err = {0};
    struct backend_options o = {.precision = PRECISION_BF16, .deterministic = true};
    const struct backend_table *t;
    struct backend *b;
    if (!backend_open("cuda", &o, &t, &b, &err)) {
        t->close(b);
        return true;
    }
    if (strstr(err.text, "needs compute capability"))
        tap_skip(part, err.text);
    else
        CHECK_SAY(false, "%s: bfloat16 opens: %s", part, err.text);
    return false;
}

/* No misuse seen, nothing left alive. */
static inline void cuda_check_clean(const char *when)
{
    if (!fake.there) return;
    CHECK_SAY(fake.complaints() == 0, "%s: no misuse of the libraries%s%s", when,
              fake.complaints() ? ": " : "", fake.complaints() ? fake.last_complaint() : "");
    CHECK_SAY(fake.live_objects() == 0, "%s: nothing left alive (%ld objects)", when, fake.live_objects());
    fake.forgive();
}

static inline void cuda_fill(struct random *r, float *values, size_t n, double scale)
{
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(scale * random_normal(r));
}

/* The largest |a - b| over the largest |b|; infinite where one is not a number. */
static inline double cuda_difference(const float *a, const float *b, size_t n)
{
    double most = 0, scale = 1e-30;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - b[i], s = b[i] < 0 ? -(double)b[i] : b[i];
        if (!(d == d)) return 1e30;
        d = d < 0 ? -d : d;
        most = d > most ? d : most;
        scale = s > scale ? s : scale;
    }
    return most / scale;
}

/* The same in the sense of least squares: for what a few elements may spoil. */
static inline double cuda_difference_rms(const float *a, const float *b, size_t n)
{
    double sum = 0, all = 1e-60;
    for (size_t i = 0; i < n; i++) {
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        all += (double)b[i] * b[i];
    }
    return sum == sum ? sqrt(sum / all) : 1e30;
}

#endif
