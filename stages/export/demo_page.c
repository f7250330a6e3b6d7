/*
 * demo_page.c: writes a static page that runs the model in the browser. It consists of the files in
 * web/demo, TensorFlow.js from npm, the model as a TFJS folder, and info.json with the facts about the model
 * that the page shows. The page needs no server code and sends no request to other hosts.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "export.h"
#include "base/number.h"
#include "io/io.h"
#include "net/net_decisions.h"
#include "manifest/manifest.h"

#define MAX_PART_BYTES (64u << 20) /* the largest file, tf.min.js, has 1.5 MB */

static const char *const page_files[] = {"index.html", "page.css",  "page.js",  "open.js", "turn.js",
                                         "picture.js", "worker.js", "icon.svg", NULL};

/* Files from npm: {the path below node_modules, the name in the page}. Only the plain and the SIMD build are
 * used, because threads need HTTP headers that static servers do not send. */
static const struct {
    const char *from, *to;
} npm_files[] = {
    {"@tensorflow/tfjs/dist/tf.min.js", "vendor/tf.min.js"},
    {"@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js", "vendor/tf-backend-wasm.min.js"},
    {"@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm", "vendor/tfjs-backend-wasm.wasm"},
    {"@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm", "vendor/tfjs-backend-wasm-simd.wasm"},
};

/* Sets out to `given`, or else to the first of `places` that contains `probe`. Places are relative to the
 * program's folder (the installed or the checkout layout). Leaves out empty if none is found. */
static int find_part(const char *given, const char *const *places, const char *probe, struct text *out,
                     struct error *err)
{
    char self[PATH_MAX];
    text_clear(out);
    if (given) return text_puts(out, given, err);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    for (int i = 0; places[i]; i++) {
        struct text path = TEXT_EMPTY;
        text_clear(out);
        bool there = !text_printf(out, err, "%s/%s", self, places[i]) &&
                     !text_printf(&path, err, "%s/%s", out->data, probe) && io_exists(path.data);
        text_release(&path);
        if (there) return 0;
    }
    text_clear(out);
    return 0;
}

static int copy_file(const char *from, const char *folder, const char *name, struct error *err)
{
    struct text to = TEXT_EMPTY;
    char *bytes = NULL;
    size_t n_bytes;
    int rc = io_read_file(from, MAX_PART_BYTES, &bytes, &n_bytes, err) ||
                     text_printf(&to, err, "%s/%s", folder, name) || io_mkdirs_for(to.data, err) ||
                     atomic_file_write(to.data, bytes, n_bytes, err)
                 ? -1
                 : 0;
    free(bytes);
    text_release(&to);
    return rc;
}

static int copy_parts(const struct export *x, const char *out_folder, struct text *web, struct error *err)
{
    static const char *const web_places[] = {"../../share/winnow/web/demo", "../web/demo", "../../web/demo",
                                             "../../../web/demo", NULL};
    static const char *const npm_places[] = {"../../share/winnow/node_modules", "../build/npm/node_modules",
                                             "../../build/npm/node_modules", "../../npm/node_modules", NULL};
    struct text npm = TEXT_EMPTY, path = TEXT_EMPTY;
    int rc = -1;
    if (find_part(x->opt->web, web_places, "index.html", web, err) ||
        find_part(x->opt->npm, npm_places, npm_files[0].from, &npm, err))
        goto out;
    if (!web->n_bytes || !npm.n_bytes) {
        error_set(err, EX_NOINPUT,
                  !web->n_bytes
                      ? "the page's files were not found: give their folder with --web"
                      : "TensorFlow.js was not found: run './bootstrap' or 'npm install @tensorflow/tfjs "
                        "@tensorflow/tfjs-backend-wasm', or give its folder with --npm");
        goto out;
    }
    for (int i = 0; page_files[i]; i++) {
        text_clear(&path);
        if (text_printf(&path, err, "%s/%s", web->data, page_files[i]) ||
            copy_file(path.data, out_folder, page_files[i], err))
            goto out;
    }
    for (size_t i = 0; i < sizeof npm_files / sizeof *npm_files; i++) {
        text_clear(&path);
        if (text_printf(&path, err, "%s/%s", npm.data, npm_files[i].from) ||
            copy_file(path.data, out_folder, npm_files[i].to, err))
            goto out;
    }
    rc = 0;
out:
    text_release(&npm);
    text_release(&path);
    return rc;
}

/* --- info.json --- */

/* '<' is escaped as well, so that the text is safe if somebody pastes it into HTML. */
static int put_string(struct text *t, const char *s, struct error *err)
{
    if (text_puts(t, "\"", err)) return -1;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        bool plain = *p >= 0x20 && *p != '"' && *p != '\\' && *p != '<' && *p != 0x7f;
        if (plain ? text_add(t, p, 1, err) : text_printf(t, err, "\\u%04x", *p)) return -1;
    }
    return text_puts(t, "\"", err);
}

static int put_number(struct text *t, const char *key, double v, struct error *err)
{
    char number[32];
    return text_printf(t, err, ",\"%s\":%s", key, isfinite(v) ? format_f64(number, v) : "null");
}

static int put_pair(struct text *t, const char *key, const char *value, struct error *err)
{
    return text_printf(t, err, "%s\"%s\":", t->data[t->n_bytes - 1] == '{' ? "" : ",", key) ||
                   put_string(t, value, err)
               ? -1
               : 0;
}

static int put_figure(struct text *t, const struct metric_table *m, const char *metric, const char *key,
                      const char *shown, struct error *err)
{
    const struct metric_row *r = m ? metrics_find(m, metric, key) : NULL;
    if (!r) return 0;
    return (t->data[t->n_bytes - 1] == '}' && text_puts(t, ",", err)) || text_puts(t, "{", err) ||
                   put_pair(t, "name", shown, err) || put_number(t, "value", metric_number(r->value), err) ||
                   put_number(t, "low", r->low, err) || put_number(t, "high", r->high, err) ||
                   put_pair(t, "n", r->n, err) || text_puts(t, "}", err)
               ? -1
               : 0;
}

static int put_figures(struct export *x, struct text *t, struct error *err)
{
    struct metric_table m = {0};
    int rc = -1;
    if (text_puts(t, ",\"figures\":[", err) || (x->opt->metrics && metrics_read(&m, x->opt->metrics, err)) ||
        put_figure(t, &m, "accuracy", NULL, "Accuracy", err) ||
        put_figure(t, &m, "balanced_accuracy", NULL, "Balanced accuracy", err))
        goto out;
    for (int i = 0; i < x->net.metadata.n_classes; i++) {
        struct text shown = TEXT_EMPTY;
        int bad = text_printf(&shown, err, "Recall of %s", x->net.metadata.classes[i]) ||
                  put_figure(t, &m, "recall", x->net.metadata.classes[i], shown.data, err);
        text_release(&shown);
        if (bad) goto out;
    }
    rc = put_figure(t, &m, "ece", "top-label equal-width 15", "Calibration error", err) ||
                 text_puts(t, "]", err)
             ? -1
             : 0;
out:
    metrics_release(&m);
    return rc;
}

static int put_weak(struct export *x, struct text *t, struct error *err)
{
    struct weak_slices w = {0};
    int rc = -1;
    if (text_printf(t, err, ",\"slices_measured\":%s,\"weak\":[", x->opt->slices ? "true" : "false") ||
        (x->opt->slices && slices_read(&w, x->opt->slices, err)))
        goto out;
    for (size_t i = 0; i < w.n; i++)
        if (text_puts(t, i ? ",{" : "{", err) || put_pair(t, "slice", w.rows[i].slice, err) ||
            put_pair(t, "rate", w.rows[i].rate, err) || put_number(t, "value", w.rows[i].value, err) ||
            put_number(t, "low", w.rows[i].low, err) || put_number(t, "high", w.rows[i].high, err) ||
            put_pair(t, "n", w.rows[i].n, err) || text_puts(t, "}", err))
            goto out;
    rc = text_puts(t, "]", err);
out:
    free(w.rows);
    return rc;
}

/* Writes the slices that a reporter may choose. They are read from slices.tsv in the page's folder, so that
 * each site can define its own list. */
static int put_slice_names(const char *web, struct text *t, struct error *err)
{
    static const char *const required[] = {"name", "text", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct text path = TEXT_EMPTY;
    int got = -1;
    if (text_puts(t, ",\"slices\":[", err) || text_printf(&path, err, "%s/slices.tsv", web)) goto out;
    if (!io_exists(path.data)) {
        got = 0;
        goto out;
    }
    if (manifest_reader_open(&r, path.data, required, err)) goto out;
    int name = manifest_column(&r.schema, "name"), text = manifest_column(&r.schema, "text");
    for (int i = 0; (got = manifest_reader_next(&r, err)) > 0; i++)
        if (text_puts(t, i ? ",{" : "{", err) || put_pair(t, "name", r.fields[name], err) ||
            put_pair(t, "text", r.fields[text], err) || text_puts(t, "}", err)) {
            got = -1;
            break;
        }
    manifest_reader_close(&r);
out:
    text_release(&path);
    return got || text_puts(t, "]", err) ? -1 : 0;
}

static int put_decision_view(struct text *t, const struct net_decision_view *v, int n_classes,
                             struct error *err)
{
    bool first = true;
    if (text_puts(t, "{", err) || put_pair(t, "name", v->name, err) ||
        put_number(t, "review", v->review, err) || put_number(t, "block", v->block, err) ||
        text_puts(t, ",\"classes\":[", err))
        return -1;
    for (int k = 0; k < n_classes; k++) {
        if (!v->classes[k]) continue;
        if (text_printf(t, err, "%s%d", first ? "" : ",", k)) return -1;
        first = false;
    }
    if (text_puts(t, "]", err) ||
        (v->max_miss.given && (put_number(t, "max_miss", v->max_miss.rate, err) ||
                               put_number(t, "confidence", v->max_miss.confidence, err))))
        return -1;
    return text_puts(t, "}", err);
}

/*
 * Writes the model's stored thresholds, but only if they were chosen for this model. "exact" is true if they
 * were chosen for the exported weights, and false if they were chosen for the original weights before
 * rounding.
 */
static int put_decisions(struct export *x, struct text *t, struct error *err)
{
    const struct net_metadata *m = &x->net.metadata;
    struct net_decisions d;
    int rc = -1;
    if (net_decisions_read(&d, m, err)) return -1;
    bool exact = strcmp(d.model_id, x->id) == 0;
    if (d.n_views == 0 || (!exact && strcmp(d.model_id, x->source_id) != 0) ||
        fabs(d.temperature - m->temperature) > 1e-9 * m->temperature) {
        net_decisions_release(&d);
        return 0;
    }
    if (text_printf(t, err, ",\"decisions\":{\"exact\":%s,\"date\":", exact ? "true" : "false") ||
        put_string(t, d.date, err) || text_puts(t, ",\"views\":[", err))
        goto out;
    for (size_t i = 0; i < d.n_views; i++)
        if ((i && text_puts(t, ",", err)) || put_decision_view(t, &d.views[i], d.n_classes, err)) goto out;
    rc = text_puts(t, "]}", err);
out:
    net_decisions_release(&d);
    return rc;
}

static int write_info(struct export *x, const char *out_folder, const char *web, struct error *err)
{
    static const char *const weights[NET_ENCODINGS] = {"32 bits per weight",
                                                       "16 bits per weight (half precision)",
                                                       "16 bits per weight", "8 bits per weight"};
    const struct net_metadata *m = &x->net.metadata;
    const struct net_layer *in = &x->net.layers[x->net.input], *last = &x->net.layers[x->net.output];
    struct text t = TEXT_EMPTY, path = TEXT_EMPTY;
    int rc = -1;
    if (in->output.rank != 3 || in->output.dim[0] != in->output.dim[1] || in->output.dim[0] < 1 ||
        in->output.dim[2] != 3 || last->output.rank != 1) {
        error_set(err, EX_DATAERR,
                  "'%s': the page needs a network that takes square RGB pictures of a fixed size and gives a "
                  "list of scores",
                  x->opt->model);
        goto out;
    }
    if (text_puts(&t, "{", err) ||
        put_pair(&t, "title", x->opt->title ? x->opt->title : "Try the classifier", err) ||
        put_pair(&t, "model_id", x->id, err) || put_pair(&t, "made_from", x->source_id, err) ||
        put_pair(&t, "date", x->date, err) || put_pair(&t, "weights", weights[x->encoding], err) ||
        put_pair(&t, "resize", m->resize[0] ? m->resize : "bilinear", err) ||
        (m->background[0] && put_pair(&t, "background", m->background, err)) ||
        (m->color[0] && put_pair(&t, "color", m->color, err)) ||
        (m->orientation[0] && put_pair(&t, "orientation", m->orientation, err)) ||
        (m->frame > 1 && put_number(&t, "frame", m->frame, err)) ||
        text_printf(&t, err, ",\"size\":%d", in->output.dim[0]) ||
        put_number(&t, "scale", m->input_scale, err) || put_number(&t, "offset", m->input_offset, err) ||
        put_number(&t, "temperature", m->temperature, err) || text_puts(&t, ",\"classes\":[", err))
        goto out;
    for (int i = 0; i < last->output.dim[0]; i++) {
        char plain[32];
        if ((i && text_puts(&t, ",", err)) || put_string(&t, net_class_name(m, i, plain), err)) goto out;
    }
    if (text_puts(&t, "]", err) || put_figures(x, &t, err) || put_weak(x, &t, err) ||
        put_slice_names(web, &t, err) || put_decisions(x, &t, err) || text_puts(&t, "}\n", err) ||
        text_printf(&path, err, "%s/info.json", out_folder) ||
        atomic_file_write(path.data, t.data, t.n_bytes, err))
        goto out;
    rc = 0;
out:
    text_release(&t);
    text_release(&path);
    return rc;
}

int export_demo(struct export *x, const char *out_folder, struct error *err)
{
    struct text web = TEXT_EMPTY, model = TEXT_EMPTY;
    int rc = text_printf(&model, err, "%s/model", out_folder) || copy_parts(x, out_folder, &web, err) ||
                     write_info(x, out_folder, web.data, err) ||
                     net_write_tfjs_as(&x->net, model.data, x->encoding, err)
                 ? -1
                 : 0;
    text_release(&web);
    text_release(&model);
    return rc;
}
