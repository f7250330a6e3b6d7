/* export.c: converts one model to one format. It opens the model, folds the temperature, writes the files,
 * measures the accuracy and writes the model card. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "export.h"
#include "io/io.h"
#include "net/net_int8.h"
#include "onnx/onnx.h"

void export_release(struct export *x)
{
    net_release(&x->net);
    text_release(&x->facts);
    text_release(&x->accuracy);
    text_release(&x->counts);
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
    if (!o->model) return error_set(err, EX_USAGE, "--model is missing (try --help)");
    if (!o->common.output || !o->common.output[0] || strcmp(o->common.output, "-") == 0)
        return error_set(err, EX_USAGE, "-o OUT is missing (try --help)");
    if (!shrinks && o->quantize > QUANTIZE_NONE)
        return error_set(err, EX_USAGE,
                         "--quantize can be used only with --to tfjs or demo; %s keeps float32",
                         o->to == TO_KERAS ? "Keras" : "ONNX");
    if (o->weights_only && text_ends(o->common.output, ".keras"))
        return error_set(err, EX_USAGE, "--weights-only needs an output name that ends in .h5");
    if (o->to != TO_KERAS && o->weights_only)
        return error_set(err, EX_USAGE, "--weights-only can be used only with --to keras");
    if (o->to != TO_ONNX && o->layout)
        return error_set(err, EX_USAGE, "--layout can be used only with --to onnx");
    if ((o->to == TO_ONNX || o->to == TO_TRANSFORMERS) && !onnx_available())
        return error_set(err, EX_UNAVAILABLE,
                         "this build has no ONNX (install libprotobuf-c-dev, protobuf-c-compiler and "
                         "libonnx-dev, and build again)");
    if (o->precision == EXPORT_INT8 && o->to != TO_TFJS && o->to != TO_ONNX)
        return error_set(err, EX_USAGE, "--precision int8 can be used only with --to tfjs or onnx");
    if (o->precision == EXPORT_INT8 && o->quantize > QUANTIZE_NONE)
        return error_set(err, EX_USAGE,
                         "--precision int8 stores its own small kernels: leave --quantize away");
    if (o->date && (strlen(o->date) != 10 || o->date[4] != '-' || o->date[7] != '-' ||
                    strspn(o->date, "0123456789-") != 10))
        return error_set(err, EX_USAGE, "--date: '%s' is not YYYY-MM-DD", o->date);
    return 0;
}

/* Finds the date of the model, which is the time when its file was written. The present time is not used, so
 * that a second export has the same bytes. */
static int find_date(struct export *x, struct error *err)
{
    struct text path = TEXT_EMPTY;
    struct stat st;
    struct tm tm;
    if (x->opt->date) {
        snprintf(x->date, sizeof x->date, "%s", x->opt->date);
        return 0;
    }
    if (text_printf(&path, err, "%s/model.json", x->opt->model)) return -1;
    if (stat(path.data, &st) && stat(x->opt->model, &st)) st.st_mtime = 0;
    text_release(&path);
    gmtime_r(&st.st_mtime, &tm);
    strftime(x->date, sizeof x->date, "%Y-%m-%d", &tm);
    return 0;
}

/* Warns when the classes are not those of nsfwjs. nsfwjs does not read a model's classes: it assumes these
 * names, by position. */
static void warn_of_nsfwjs(const struct export *x)
{
    static const char *const names[] = {"drawing", "hentai", "neutral", "porn", "sexy"};
    const struct net_metadata *m = &x->net.metadata;
    bool same = m->n_classes == 5;
    for (int i = 0; same && i < 5; i++)
        same = strncasecmp(m->classes[i], names[i], strlen(names[i])) == 0;
    if (m->n_classes > 0 && !same && !x->opt->common.quiet)
        stage_warn(
            "nsfwjs would call the outputs Drawing, Hentai, Neutral, Porn and Sexy, by position%s: use "
            "tf.loadLayersModel and the classes of model.json, as winnow-export(1) shows",
            m->n_classes < 5 ? ", or fail" : "");
}

/* --- formats that are a single file, with the card beside it --- */

/* Finds the file to write: OUT itself if it has that ending, and otherwise OUT/model<ending>. *folder becomes
 * the folder of the file. */
static int file_in(const char *out, const char *ending, struct text *file, struct text *folder,
                   struct error *err)
{
    const char *slash = strrchr(out, '/');
    if (!text_ends(out, ending))
        return text_printf(file, err, "%s/model%s", out, ending) || text_puts(folder, out, err) ? -1 : 0;
    if (text_puts(file, out, err)) return -1;
    return slash ? text_add(folder, out, slash == out ? 1 : (size_t)(slash - out), err)
                 : text_puts(folder, ".", err);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Writes a Keras file. A name that ends in .keras means Keras 3's format, and any other name the .h5 that
 * every Keras reads. With --weights-only the file has the weights of the base, as keras-applications
 * publishes them and loads them with include_top=False. */
static int write_keras(const struct export *x, const char *file, struct error *err)
{
    struct net base;
    if (text_ends(file, ".keras")) return net_write_keras(&x->net, file, err);
    if (!x->opt->weights_only) return net_write_h5(&x->net, file, false, err);
    if (net_copy(&base, &x->net, err)) return -1;
    int rc = net_cut_head(&base, err) || net_write_h5(&base, file, true, err) ? -1 : 0;
    net_release(&base);
    return rc;
}

/* Measures the accuracy. An int8 model is measured as a temporary model folder beside the file. */
static int measure(struct export *x, const char *file, struct error *err)
{
    struct text made = TEXT_EMPTY, target = TEXT_EMPTY;
    if (x->opt->precision != EXPORT_INT8) return export_accuracy(x, x->opt->model, NULL, err);
    int rc = io_mkdirs_for(file, err) || net_begin_folder(file, &made, &target, err) ||
                     net_write_tfjs_as(&x->net, made.data, NET_WHOLE, err) ||
                     export_accuracy(x, x->opt->model, made.data, err)
                 ? -1
                 : 0;
    if (made.data) net_abandon_folder(made.data);
    text_release(&made);
    text_release(&target);
    return rc;
}

static int write_file(struct export *x, struct error *err)
{
    const struct export_options *o = x->opt;
    struct text file = TEXT_EMPTY, folder = TEXT_EMPTY;
    bool onnx = o->to == TO_ONNX;
    struct onnx_form form = ONNX_FORM_DEFAULTS;
    const char *ending = onnx ? ".onnx" : text_ends(o->common.output, ".keras") ? ".keras" : ".h5";
    form.int8 = o->precision == EXPORT_INT8;
    form.nchw = o->layout == LAYOUT_NCHW || (o->layout == LAYOUT_AUTO && onnx_was_nchw(&x->net));
    int rc = file_in(o->common.output, ending, &file, &folder, err) ||
                     (o->shards && measure(x, file.data, err)) ||
                     (onnx ? onnx_write(&x->net, file.data, &form, err) : write_keras(x, file.data, err)) ||
                     export_card(x, folder.data, folder.data, file_name(file.data), err)
                 ? -1
                 : 0;
    text_release(&file);
    text_release(&folder);
    return rc;
}

/* --- formats that are a folder, which appears whole or not at all --- */

static const char *const format_names[] =
    {[TO_TFJS] = "tfjs", [TO_DEMO] = "demo", [TO_TRANSFORMERS] = "transformers"};

static int write_folder(struct export *x, struct error *err)
{
    const struct export_options *o = x->opt;
    struct text made = TEXT_EMPTY, target = TEXT_EMPTY, model = TEXT_EMPTY;
    int rc = -1;
    if (net_begin_folder(o->common.output, &made, &target, err) ||
        text_printf(&model, err, "%s%s", made.data, o->to == TO_DEMO ? "/model" : "") ||
        (o->to == TO_DEMO           ? export_demo(x, made.data, err)
         : o->to == TO_TRANSFORMERS ? export_transformers(x, made.data, err)
                                    : net_write_tfjs_as(&x->net, made.data, x->encoding, err)) ||
        (o->shards && export_accuracy(x, o->model, model.data, err)) ||
        export_card(x, made.data, target.data, format_names[o->to], err) ||
        net_publish_folder(made.data, target.data, err))
        goto out;
    rc = 0;
out:
    if (rc && made.data) net_abandon_folder(made.data);
    text_release(&made);
    text_release(&target);
    text_release(&model);
    return rc;
}

/* Opens the model. Its outputs become probabilities, except for Keras and TFJS, which get the model as it
 * is. */
static int open_model(struct export *x, struct error *err)
{
    const struct export_options *o = x->opt;
    struct text remarks = TEXT_EMPTY;
    /* An ONNX file keeps its outputs, because the user knows what they are. */
    bool as_file = o->to == TO_TFJS || o->to == TO_KERAS || (o->to == TO_ONNX && onnx_is_file(o->model));
    int rc = scoring_model_open(&x->net, o->model, &o->scoring, as_file ? SCORING_AS_FILE : SCORING_FULL,
                                &remarks, err);
    if (!rc && !o->common.quiet) stage_warn_lines(remarks.data);
    text_release(&remarks);
    return rc;
}

int export_run(struct export *x, const struct export_options *opt, struct error *err)
{
    static const enum net_encoding encodings[] = {
        [QUANTIZE_NONE] = NET_FLOAT32,
        [QUANTIZE_FLOAT16] = NET_FLOAT16,
        [QUANTIZE_UINT16] = NET_UINT16,
        [QUANTIZE_UINT8] = NET_UINT8,
    };
    *x = (struct export){.opt = opt};
    if (check_options(opt, err) || open_model(x, err) || find_date(x, err)) return -1;
    int quantize = opt->quantize != QUANTIZE_AUTO ? opt->quantize
                   : opt->to == TO_DEMO           ? QUANTIZE_UINT16
                                                  : QUANTIZE_NONE;
    x->encoding = encodings[quantize];
    if (net_hash(&x->net, x->source_id, err)) return -1;
    if (opt->precision == EXPORT_INT8 || (opt->to == TO_TFJS && net_is_int8(&x->net))) {
        if (!net_is_int8(&x->net) && export_int8(x, err)) return -1;
        if (opt->quantize == QUANTIZE_AUTO) x->encoding = NET_WHOLE;
    }
    if ((opt->fold_temperature || opt->to == TO_TRANSFORMERS) && net_fold_temperature(&x->net, err))
        return error_prefix(err, "'%s'", opt->model);
    if (net_metadata_lines(&x->net, &x->facts, err) || (opt->shards && export_count(x, err))) return -1;
    /* The id of the model in its new encoding; its files contain this id, too. */
    if (x->encoding == NET_FLOAT32 || x->encoding == NET_WHOLE) {
        if (net_hash(&x->net, x->id, err)) return -1;
    } else {
        struct net rounded;
        if (net_copy(&rounded, &x->net, err)) return -1;
        net_requantize(&rounded, x->encoding);
        int rc = net_hash(&rounded, x->id, err);
        net_release(&rounded);
        if (rc) return -1;
    }
    if (opt->to == TO_ONNX || opt->to == TO_KERAS) return write_file(x, err);
    if (write_folder(x, err)) return -1;
    if (opt->to == TO_TFJS) warn_of_nsfwjs(x);
    return 0;
}
