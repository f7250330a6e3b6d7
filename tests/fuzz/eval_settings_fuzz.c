/*
 * What settings files hand to eval: views (first byte v: a --views file) and gates (first byte g: one
 * --gate), over two small evaluations. Whatever is accepted must be answered: every check has a name and a
 * verdict.
 */
/* needs: stage/eval */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stages/eval/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct predictions p;
static struct views views;
static struct evaluation old_one, new_one;
static struct eval_options options = {.threshold = 0.5, .min_slice = 1};
static char views_path[64];
static FILE *views_file;

static void set_up(void)
{
    static const char rows[] =
        "id\tlabel\tp_hentai\tp_porn\tp_sexy\tp_neutral\tslice\n"
        "1\thentai\t0.7\t0.1\t0.1\t0.1\ta\n2\tporn\t0.1\t0.6\t0.2\t0.1\ta\n3\tsexy\t0.1\t0.4\t0.3\t0.2\tb\n"
        "4\tneutral\t0\t0\t0.1\t0.9\tb\n5\tneutral\t0\t0.6\t0\t0.4\ta\n6\tporn\t0\t1\t0\t0\tb\n";
    struct predictions_options o = {.auto_slices = true};
    struct error err = {0};
    if (predictions_read_memory(&p, rows, sizeof rows - 1, &o, &err) ||
        views_make(&views, &options, &p, &err) || evaluation_make(&old_one, &p, &views, &options, &err) ||
        evaluation_make(&new_one, &p, &views, &options, &err))
        abort();
    if (!(views_file = tmpfile())) abort();
    snprintf(views_path, sizeof views_path, "/proc/self/fd/%d", fileno(views_file));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    if (!views_file) set_up();
    if (size < 1 || size > 1 << 16) return 0;
    if (data[0] == 'v') {
        struct eval_options o = options;
        struct views made;
        o.views_file = views_path;
        rewind(views_file);
        if (ftruncate(fileno(views_file), 0) ||
            (size > 1 && fwrite(data + 1, 1, size - 1, views_file) != size - 1) || fflush(views_file))
            abort();
        if (views_make(&made, &o, &p, &err)) {
            if (err.code == 0 || !err.text[0]) abort();
            return 0;
        }
        for (size_t i = 0; i < made.n; i++) {
            int n = 0;
            for (int k = 0; k < p.n_classes; k++)
                n += made.items[i].positive[k] != 0;
            if (n == 0 || n == p.n_classes || !made.items[i].name[0]) abort();
            for (size_t j = 0; j < i; j++)
                if (strcmp(made.items[i].name, made.items[j].name) == 0) abort();
        }
        views_release(&made);
    } else {
        struct gate g;
        struct gate_checks checks = {0};
        char *text = malloc(size);
        if (!text) return 0;
        memcpy(text, data + 1, size - 1);
        text[size - 1] = 0;
        if (gate_parse(&g, text, &err) || gate_evaluate(&g, &old_one, &new_one, &checks, &err)) {
            if (err.code == 0 || !err.text[0]) abort();
        } else {
            if (checks.n == 0) abort();
            /* the same evaluation twice is no worse than itself */
            for (size_t i = 0; i < checks.n; i++)
                if (!checks.items[i].what[0] || (g.op == GATE_NO_WORSE && !checks.items[i].met)) abort();
        }
        free(checks.items);
        free(text);
    }
    return 0;
}
