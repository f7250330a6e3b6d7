/* model_card.c: writes MODEL_CARD.md from the model's folder and eval's tables. A fact that is not known is
 * called unknown and never left out: a reader must see that it was not measured. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "export.h"
#include "io/io.h"
#include "manifest/manifest.h"

/* --- eval's tables --- */

double metric_number(const char *s)
{
    double v;
    return parse_number(s, &v) ? v : NAN;
}

int metrics_read(struct metric_table *t, const char *path, struct error *err)
{
    static const char *const required[] = {"metric", "key", "value", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int got = -1;
    *t = (struct metric_table){0};
    if (manifest_reader_open(&r, path, required, err)) return -1;
    int metric = manifest_column(&r.schema, "metric"), key = manifest_column(&r.schema, "key"),
        value = manifest_column(&r.schema, "value");
    int low = manifest_column(&r.schema, "ci_low"), high = manifest_column(&r.schema, "ci_high"),
        n = manifest_column(&r.schema, "n");
    while ((got = manifest_reader_next(&r, err)) > 0) {
        if ((got = mem_grow(&t->rows, &t->room, t->n + 1, sizeof *t->rows, err))) break;
        struct metric_row *m = &t->rows[t->n++];
        snprintf(m->metric, sizeof m->metric, "%s", r.fields[metric]);
        snprintf(m->key, sizeof m->key, "%s", r.fields[key]);
        snprintf(m->value, sizeof m->value, "%s", r.fields[value]);
        snprintf(m->n, sizeof m->n, "%s", manifest_field(&r, n));
        m->low = metric_number(manifest_field(&r, low));
        m->high = metric_number(manifest_field(&r, high));
    }
    manifest_reader_close(&r);
    return got;
}

const struct metric_row *metrics_find(const struct metric_table *t, const char *metric, const char *key)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->rows[i].metric, metric) == 0 && (!key || strcmp(t->rows[i].key, key) == 0))
            return &t->rows[i];
    return NULL;
}

void metrics_release(struct metric_table *t)
{
    free(t->rows);
    *t = (struct metric_table){0};
}

int slices_read(struct weak_slices *t, const char *path, struct error *err)
{
    static const char *const required[] = {"slice", "rate", "k", "n", "value", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int got = -1;
    *t = (struct weak_slices){0};
    if (manifest_reader_open(&r, path, required, err)) return -1;
    int flagged = manifest_column(&r.schema, "flagged");
    while ((got = manifest_reader_next(&r, err)) > 0) {
        if (strcmp(manifest_field(&r, flagged), "1") != 0) continue;
        if ((got = mem_grow(&t->rows, &t->room, t->n + 1, sizeof *t->rows, err))) break;
        struct weak_slice *s = &t->rows[t->n++];
#define FIELD(name) manifest_field(&r, manifest_column(&r.schema, name))
        snprintf(s->slice, sizeof s->slice, "%s", FIELD("slice"));
        snprintf(s->rate, sizeof s->rate, "%s", FIELD("rate"));
        snprintf(s->k, sizeof s->k, "%s", FIELD("k"));
        snprintf(s->n, sizeof s->n, "%s", FIELD("n"));
        s->value = metric_number(FIELD("value"));
        s->low = metric_number(FIELD("wilson_low"));
        s->high = metric_number(FIELD("wilson_high"));
        s->difference = metric_number(FIELD("minus_rest"));
#undef FIELD
    }
    manifest_reader_close(&r);
    return got;
}

static bool is_markup(char c) { return strchr("|\\`*_[]<>#&", c) != NULL; }

int export_plain(struct text *t, const char *s, struct error *err)
{
    for (; *s; s++)
        if ((is_markup(*s) && text_puts(t, "\\", err)) ||
            text_add(t, (unsigned char)*s < 0x20 ? " " : s, 1, err))
            return -1;
    return 0;
}

static void put_plain(FILE *f, const char *s, size_t n)
{
    for (size_t i = 0; i < n && s[i]; i++) {
        if (is_markup(s[i])) fputc('\\', f);
        fputc((unsigned char)s[i] < 0x20 ? ' ' : s[i], f);
    }
}

void export_put_plain(FILE *f, const char *s) { put_plain(f, s, strlen(s)); }

/* --- the card --- */

static void put_metric(FILE *f, const struct metric_table *t, const char *metric, const char *key,
                       const char *shown)
{
    const struct metric_row *m = metrics_find(t, metric, key);
    if (!m) return;
    double v = metric_number(m->value);
    fputs("| ", f);
    export_put_plain(f, shown);
    fputs(" | ", f);
    if (isnan(v))
        fprintf(f, "not defined | |");
    else if (isnan(m->low) || isnan(m->high))
        fprintf(f, "%.4g | |", v);
    else
        fprintf(f, "%.4g | %.4g to %.4g |", v, m->low, m->high);
    fprintf(f, " %s |\n", m->n);
}

static void put_facts(FILE *f, const struct export *x, const char *prefix)
{
    size_t n = strlen(prefix);
    for (const char *line = x->facts.data; line && *line; line = strchr(line, '\n') + 1) {
        const char *tab = strchr(line, '\t');
        if (!tab || strncmp(line, prefix, n) != 0) continue;
        fputs("| ", f);
        put_plain(f, line + n, (size_t)(tab - line) - n);
        fputs(" | ", f);
        put_plain(f, tab + 1, strcspn(tab + 1, "\n"));
        fputs(" |\n", f);
    }
}

static bool has_facts(const struct export *x, const char *prefix)
{
    for (const char *line = x->facts.data; line && *line; line = strchr(line, '\n') + 1)
        if (text_starts(line, prefix)) return true;
    return false;
}

static void put_head(FILE *f, struct export *x)
{
    static const char *const encodings[NET_ENCODINGS] = {"float32", "float16", "16-bit integers",
                                                         "8-bit integers"};
    const struct net_metadata *m = &x->net.metadata;
    const struct net_shape *in = &x->net.layers[x->net.input].output;
    char frame[40] = "";
    fputs("# Model card: ", f);
    export_put_plain(f, x->opt->title ? x->opt->title : x->net.name);
    fputs("\n\n", f);
    fprintf(f, "| | |\n| --- | --- |\n| model id | `%s` |\n", x->id);
    if (strcmp(x->id, x->source_id) != 0) fprintf(f, "| made from | `%s` |\n", x->source_id);
    fprintf(f, "| date | %s |\n| layers | %d |\n| numbers | %zu, kernels as %s |\n", x->date, x->net.n_layers,
            net_count_parameters(&x->net, false), encodings[x->encoding]);
    if (m->frame > 1) snprintf(frame, sizeof frame, ", frame %d of animations", m->frame);
    if (in->rank == 3)
        fprintf(f,
                "| input | %dx%d RGB, x = byte * %.9g + %.9g, whole picture stretched (%s)%s%s%s%s%s%s |\n",
                in->dim[1], in->dim[0], m->input_scale, m->input_offset,
                m->resize[0] ? m->resize : "bilinear", m->background[0] ? ", transparent parts on " : "",
                m->background, m->color[0] ? ", colours as sRGB" : "",
                m->orientation[0] ? ", orientation " : "", m->orientation, frame);
    fprintf(f, "| classes |");
    for (int i = 0; i < m->n_classes; i++) {
        fputc(' ', f);
        export_put_plain(f, m->classes[i]);
        fputs(i + 1 < m->n_classes ? "," : "", f);
    }
    fprintf(f, " |\n| temperature | %.9g%s |\n\n", m->temperature,
            m->temperature != 1
                ? " (winnow applies it; other programs see softmax at 1: export with --fold-temperature)"
            : x->opt->fold_temperature ? " (folded into the last layer)"
                                       : "");
}

static void put_training(FILE *f, struct export *x)
{
    char text[256];
    fprintf(f, "## Training\n\n");
    if (has_facts(x, "train.")) {
        fprintf(f, "Every setting that the weights depend on, as `train` recorded it:\n\n| setting | value "
                   "|\n| --- | --- |\n");
        put_facts(f, x, "train.");
    } else if (export_fact(x, "note", text, sizeof text)[0])
        fprintf(f, "%s\n", text);
    else
        fprintf(f, "The model says nothing about how it was trained.\n");
    if (has_facts(x, "metrics.")) {
        fprintf(f, "\nDuring training, on validation pictures (used to choose the epoch, so not a "
                   "test):\n\n| | |\n| --- | --- |\n");
        put_facts(f, x, "metrics.");
    }
    fprintf(f, "\n");
}

static int put_metrics(FILE *f, struct export *x, struct error *err)
{
    struct metric_table t;
    fprintf(f, "## Test\n\n");
    if (!x->opt->metrics) {
        fprintf(f, "Not measured: no metrics were given to `export`.\n\n");
        return 0;
    }
    if (metrics_read(&t, x->opt->metrics, err)) {
        metrics_release(&t);
        return -1;
    }
    fprintf(f, "On held-out pictures; intervals are 95%%.\n\n| measure | value | interval | of |\n| --- | "
               "--- | --- | --- |\n");
    put_metric(f, &t, "accuracy", NULL, "accuracy");
    put_metric(f, &t, "balanced_accuracy", NULL, "balanced accuracy");
    put_metric(f, &t, "f1-score", "macro avg", "F1, macro");
    put_metric(f, &t, "roc_auc_ovr", "macro", "ROC AUC, macro");
    for (int i = 0; i < x->net.metadata.n_classes; i++) {
        char shown[160];
        snprintf(shown, sizeof shown, "recall of %s", x->net.metadata.classes[i]);
        put_metric(f, &t, "recall", x->net.metadata.classes[i], shown);
        snprintf(shown, sizeof shown, "precision of %s", x->net.metadata.classes[i]);
        put_metric(f, &t, "precision", x->net.metadata.classes[i], shown);
    }
    for (size_t i = 0; i < t.n; i++)
        if (strcmp(t.rows[i].metric, "binary_recall_at_fpr") == 0) {
            char shown[160];
            snprintf(shown, sizeof shown, "recall at false positive rate (%s)", t.rows[i].key);
            put_metric(f, &t, t.rows[i].metric, t.rows[i].key, shown);
        }
    fprintf(f, "\n## Calibration\n\nHow far a stated probability is from the share that is right.\n\n"
               "| measure | value | interval | of |\n| --- | --- | --- | --- |\n");
    put_metric(f, &t, "ece", "top-label equal-width 15", "expected calibration error, 15 bins");
    put_metric(f, &t, "log_loss", NULL, "log loss");
    put_metric(f, &t, "temperature", NULL, "temperature that fits the test pictures best");
    put_metric(f, &t, "ece_after_temperature", NULL, "calibration error with it");
    fprintf(f, "\n");
    metrics_release(&t);
    return 0;
}

static int put_slices(FILE *f, struct export *x, struct error *err)
{
    struct weak_slices t;
    fprintf(f, "## Slices\n\n");
    if (!x->opt->slices) {
        fprintf(f, "Not measured: no slices were given to `export`. A model that was not measured on a group "
                   "of pictures is not known to be fair to it.\n\n");
        return 0;
    }
    if (slices_read(&t, x->opt->slices, err)) {
        free(t.rows);
        return -1;
    }
    if (t.n == 0)
        fprintf(f, "No slice differs from the rest beyond chance (Holm-corrected). That is not proof that "
                   "none does.\n");
    else
        fprintf(f, "These differ from the rest beyond chance:\n\n| slice | rate | value | interval | "
                   "difference from the rest | of |\n| --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < t.n; i++) {
        fputs("| ", f);
        export_put_plain(f, t.rows[i].slice);
        fprintf(f, " | %s | %.4g | %.4g to %.4g | %+.4g | %s |\n", t.rows[i].rate, t.rows[i].value,
                t.rows[i].low, t.rows[i].high, t.rows[i].difference, t.rows[i].n);
    }
    fprintf(f, "\n");
    free(t.rows);
    return 0;
}

static void put_tail(FILE *f, struct export *x)
{
    char name[128], holder[256], source[256];
    if (x->accuracy.n_bytes > 0) {
        fprintf(f,
                "## This export\n\nThe model as it came and as it was written, on the same "
                "pictures:\n\n```\n%s```\n\n",
                x->accuracy.data);
    }
    fprintf(f, "## Limits\n\n"
               "- It knows only its classes: any other picture is put into one of them, "
               "often with a high number.\n"
               "- The numbers describe the test pictures above. Other sources, sizes, compressions and "
               "cultures shift them.\n"
               "- Very small, cropped, overlaid or collaged pictures, drawings of unusual style and dark "
               "frames are read worse.\n"
               "- Not for deciding about people without a person who looks, and not for finding or matching "
               "illegal material.\n"
               "- Read pictures as docs/preprocessing.md says: another decoder or resizer changes the "
               "numbers.\n\n## Licence\n\n");
    export_fact(x, "license.name", name, sizeof name);
    if (!name[0]) {
        fprintf(f, "The licence of the base weights is not recorded in the model; who publishes it has to "
                   "know it.\n");
        return;
    }
    fputs("Base weights: ", f);
    export_put_plain(f, name);
    fputs(", ", f);
    export_put_plain(f, export_fact(x, "license.holder", holder, sizeof holder));
    fputs(" (", f);
    export_put_plain(f, export_fact(x, "license.source", source, sizeof source));
    fputs(").\n", f);
    if (strcmp(name, "MIT") == 0) { /* the MIT licence requires its notice in every copy */
        fputs("\nCopyright (c) ", f);
        export_put_plain(f, holder);
        fputs("\n\n"
              "Permission is hereby granted, free of charge, to any person obtaining a copy of this software "
              "and associated documentation files (the\n"
              "\"Software\"), to deal in the Software without restriction, including without limitation the "
              "rights to use, copy, modify, merge,\n"
              "publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to "
              "whom the Software is furnished to do so,\n"
              "subject to the following conditions:\n\n"
              "The above copyright notice and this permission notice shall be included in all copies or "
              "substantial portions of the Software.\n\n"
              "THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, "
              "INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF\n"
              "MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE "
              "AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR\n"
              "ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, "
              "ARISING FROM, OUT OF OR IN CONNECTION WITH\n"
              "THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.\n",
              f);
    }
}

/* The last line of a card that export wrote names its subject. Cards of older versions have only this
 * sentence. */
#define MARK "<!-- winnow export: "
#define OLD_MARK "- It knows only its classes: any other picture is put into one of them, "

/* Returns 1 when a card may be written to path, because there is no file or one that export wrote for
 * `subject`; 0 when not; -1 with err set. */
static int is_free(const char *path, const char *subject, struct error *err)
{
    struct text mark = TEXT_EMPTY;
    char *card = NULL;
    size_t n;
    if (access(path, F_OK)) return 1;
    int rc = text_printf(&mark, err, MARK "%s -->", subject) || io_read_text(path, 1 << 24, &card, &n, err)
                 ? -1
             : strstr(card, mark.data)                       ? 1
             : !strstr(card, MARK) && strstr(card, OLD_MARK) ? 1
                                                             : 0;
    text_release(&mark);
    free(card);
    return rc;
}

/* Sets name to MODEL_CARD.md, or to <subject>.MODEL_CARD.md when the first is a file that export did not
 * write, or a card of another export. */
static int choose_name(struct text *name, const char *stays, const char *subject, struct error *err)
{
    struct text path = TEXT_EMPTY;
    int rc = text_printf(&path, err, "%s/MODEL_CARD.md", stays) ? -1 : is_free(path.data, subject, err);
    if (rc == 1)
        rc = text_puts(name, "MODEL_CARD.md", err);
    else if (rc == 0) {
        text_clear(&path);
        rc = text_printf(name, err, "%s.MODEL_CARD.md", subject) ||
                     text_printf(&path, err, "%s/%s", stays, name->data)
                 ? -1
                 : is_free(path.data, subject, err);
        if (rc == 0)
            rc = error_set(err, EX_CANTCREAT,
                           "'%s' was not written by export, and would be replaced: move it away", path.data);
        else if (rc == 1)
            rc = 0;
    }
    text_release(&path);
    return rc;
}

int export_card(struct export *x, const char *folder, const char *stays, const char *subject,
                struct error *err)
{
    struct atomic_file f = ATOMIC_FILE_EMPTY;
    struct text path = TEXT_EMPTY, name = TEXT_EMPTY;
    int rc = -1;
    if (choose_name(&name, stays, subject, err) || text_printf(&path, err, "%s/%s", folder, name.data) ||
        atomic_file_open(&f, path.data, err))
        goto out;
    put_head(f.stream, x);
    if (x->counts.n_bytes > 0) fprintf(f.stream, "## Data\n\n%s\n", x->counts.data);
    if (export_card_sources(f.stream, x, err)) goto out;
    put_training(f.stream, x);
    if (put_metrics(f.stream, x, err) || put_slices(f.stream, x, err) ||
        export_card_decisions(f.stream, x, err))
        goto out;
    put_tail(f.stream, x);
    fprintf(f.stream, "\n" MARK "%s -->\n", subject);
    rc = atomic_file_commit(&f, err);
out:
    atomic_file_discard(&f);
    text_release(&path);
    text_release(&name);
    return rc;
}
