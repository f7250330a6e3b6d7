/*
 * export.c: one model into one format: open, fold, write, measure, describe.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "export.h"
#include "io/io.h"
#include "onnx/onnx.h"

void export_release(struct export *x)
{
    net_release(&x->net);
    text_release(&x->folder);
    text_release(&x->facts);
    text_release(&x->accuracy);
}

const char *export_fact(const struct export *x, const char *key, char *out, size_t bytes)
{
    size_t n = strlen(key);
    out[0] = 0;
    for (const char *line = x->facts.data; line && *line; line = strchr(line, '\n') + 1)
        if (strncmp(line, key, n) == 0 && line[n] == '\t') {
            size_t length = strcspn(line + n + 1, "\n");
            snprintf(out, bytes, "%.*s", (int)length, line + n + 1);
            break;
        }
    return out;
}

static int check_options(const struct export_options *o, struct error *err)
{
    bool shrinks = o->to == TO_TFJS || o->to == TO_DEMO;
    if (!o->model)
        return error_set(err, EX_USAGE, "--model is missing (try --help)");
    if (!o->common.output || !o->common.output[0] || strcmp(o->common.output, "-") == 0)
        return error_set(err, EX_USAGE, "-o OUT is missing (try --help)");
    if (!shrinks && o->quantize > QUANTIZE_NONE)
        return error_set(err, EX_USAGE, "--quantize goes with --to tfjs or demo; %s keeps float32", o->to == TO_ONNX ? "ONNX" : "Keras");
    if (o->to != TO_KERAS && o->weights_only)
        return error_set(err, EX_USAGE, "--weights-only goes with --to keras");
    if (o->to != TO_ONNX && o->layout)
        return error_set(err, EX_USAGE, "--layout goes with --to onnx");
    if (o->to == TO_ONNX && !onnx_available())
        return error_set(err, EX_UNAVAILABLE, "this build has no ONNX (install libprotobuf-c-dev, protobuf-c-compiler and libonnx-dev, and build again)");
    if (o->date && (strlen(o->date) != 10 || o->date[4] != '-' || o->date[7] != '-' || strspn(o->date, "0123456789-") != 10))
        return error_set(err, EX_USAGE, "--date: '%s' is not YYYY-MM-DD", o->date);
    return 0;
}

/* The model's own date: when its file was written. No clock is read, so a second export gives the same bytes. */
static int find_date(struct export *x, struct error *err)
{
    struct text path = TEXT_EMPTY;
    struct stat st;
    struct tm tm;
    if (x->opt->date) {
        snprintf(x->date, sizeof x->date, "%s", x->opt->date);
        return 0;
    }
    if (text_printf(&path, err, "%s/model.json", x->opt->model))
        return -1;
    if (stat(path.data, &st) && stat(x->opt->model, &st))
        st.st_mtime = 0;
    text_release(&path);
    gmtime_r(&st.st_mtime, &tm);
    strftime(x->date, sizeof x->date, "%Y-%m-%d", &tm);
    return 0;
}

/* OUT as a file of that ending: OUT itself, or OUT/model<ending>. x->folder becomes the folder it lies in. */
static int file_in(struct export *x, const char *ending, struct text *file, struct error *err)
{
    const char *out = x->opt->common.output, *slash = strrchr(out, '/');
    if (!text_ends(out, ending))
        return text_printf(file, err, "%s/model%s", out, ending) || text_puts(&x->folder, out, err) ? -1 : 0;
    if (text_puts(file, out, err))
        return -1;
    return slash ? text_add(&x->folder, out, slash == out ? 1 : (size_t)(slash - out), err) : text_puts(&x->folder, ".", err);
}

static int write_it(struct export *x, struct error *err)
{
    const struct export_options *o = x->opt;
    struct text file = TEXT_EMPTY;
    int rc = -1;
    switch (o->to) {
    case TO_TFJS:
        rc = text_puts(&x->folder, o->common.output, err) || net_write_tfjs_as(&x->net, o->common.output, x->encoding, err) ? -1 : 0;
        break;
    case TO_ONNX:
        rc = file_in(x, ".onnx", &file, err) || onnx_write(&x->net, file.data, o->layout == 1, err) ? -1 : 0;
        break;
    case TO_KERAS:
        rc = file_in(x, ".h5", &file, err) || net_write_h5(&x->net, file.data, o->weights_only, err) ? -1 : 0;
        break;
    case TO_DEMO:
        rc = text_puts(&x->folder, o->common.output, err) || export_demo(x, err) ? -1 : 0;
        break;
    }
    text_release(&file);
    return rc;
}

static int measure(struct export *x, struct error *err)
{
    struct text written = TEXT_EMPTY;
    bool readable = x->opt->to == TO_TFJS || x->opt->to == TO_DEMO;
    int rc = text_printf(&written, err, "%s%s", x->opt->common.output, x->opt->to == TO_DEMO ? "/model" : "") ||
             export_accuracy(x, x->opt->model, readable ? written.data : NULL, err) ? -1 : 0;
    text_release(&written);
    return rc;
}

int export_run(struct export *x, const struct export_options *opt, struct error *err)
{
    static const enum net_encoding encodings[] = {
        [QUANTIZE_NONE] = NET_FLOAT32, [QUANTIZE_FLOAT16] = NET_FLOAT16, [QUANTIZE_UINT16] = NET_UINT16, [QUANTIZE_UINT8] = NET_UINT8,
    };
    *x = (struct export){.opt = opt};
    if (check_options(opt, err) || net_open(&x->net, opt->model, err) || find_date(x, err))
        return -1;
    int quantize = opt->quantize != QUANTIZE_AUTO ? opt->quantize : opt->to == TO_DEMO ? QUANTIZE_UINT16 : QUANTIZE_NONE;
    x->encoding = encodings[quantize];
    net_hash(&x->net, x->source_id);
    if (opt->fold_temperature && net_fold_temperature(&x->net, err))
        return error_prefix(err, "'%s'", opt->model);
    if (net_metadata_lines(&x->net, &x->facts, err))
        return -1;
    /* The id of what a reader will have; the files carry it, too. */
    if (x->encoding == NET_FLOAT32)
        net_hash(&x->net, x->id);
    else {
        struct net rounded;
        if (net_copy(&rounded, &x->net, err))
            return -1;
        net_requantize(&rounded, x->encoding);
        net_hash(&rounded, x->id);
        net_release(&rounded);
    }
    if (write_it(x, err) || (opt->shards && measure(x, err)))
        return -1;
    return export_card(x, err);
}
