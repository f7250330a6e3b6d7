/*
 * predictions.c: reads and checks a predictions file; see predictions.h.
 */
#include "metric/predictions.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"
#include "manifest/source.h"

/* --- numbers and ids --- */

bool parse_number(const char *s, double *out)
{
    static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *p = s;
    bool negative = *p == '-';
    uint64_t mantissa = 0;
    int digits = 0, exponent = 0;
    p += *p == '-' || *p == '+';
    for (; *p >= '0' && *p <= '9'; p++, digits++)
        mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, digits++, exponent--)
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    if (digits > 0 && (*p == 'e' || *p == 'E')) {
        bool down = p[1] == '-';
        const char *q = p + 1 + (p[1] == '-' || p[1] == '+');
        int e = 0;
        if (*q >= '0' && *q <= '9') {
            for (; *q >= '0' && *q <= '9' && e < 10000; q++)
                e = e * 10 + (*q - '0');
            exponent += down ? -e : e;
            p = q;
        }
    }
    /* A mantissa below 2^53 and a power of ten that is a double: one correctly rounded operation (Clinger
     * 1990). */
    if (digits > 0 && digits <= 19 && *p == 0 && mantissa < UINT64_C(1) << 53 && exponent >= -22 &&
        exponent <= 22) {
        double value = (double)mantissa;
        value = exponent < 0 ? value / ten[-exponent] : value * ten[exponent];
        *out = negative ? -value : value;
        return true;
    }
    /* strtod also takes blanks, nan and hexadecimal: no writer of ours makes those. */
    char *end;
    if (!*s || (s[strspn(s, "0123456789+-.eE")] && strcmp(s + (*s == '-' || *s == '+'), "inf") != 0))
        return false;
    *out = strtod(s, &end);
    return end != s && *end == 0 && !isnan(*out);
}

char *format_real(char *out, double value)
{
    double back;
    if (isnan(value)) /* printf may say -nan */
        return memcpy(out, "nan", 4);
    snprintf(out, 32, "%.15g", value);
    if (!parse_number(out, &back) || back != value) snprintf(out, 32, "%.17g", value);
    return out;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct id_key id_key_of(const char *id)
{
    struct id_key key = {{0}};
    size_t n = strlen(id);
    if (n == 32) {
        size_t i = 0;
        for (; i < 16; i++) {
            int high = hex_digit(id[2 * i]), low = hex_digit(id[2 * i + 1]);
            if (high < 0 || low < 0) break;
            key.bytes[i] = (uint8_t)(high << 4 | low);
        }
        if (i == 16) return key;
    }
    if (n >= 1 && n <= 18 && strspn(id, "0123456789") == n && (n == 1 || id[0] != '0')) {
        uint64_t value = strtoull(id, NULL, 10);
        memset(&key, 0, sizeof key);
        for (int i = 15; i >= 8; i--, value >>= 8)
            key.bytes[i] = (uint8_t)value;
        return key;
    }
    uint64_t a = random_key(id, n), b = a ^ random_mix(n + UINT64_C(0x9e3779b97f4a7c15));
    for (size_t i = 0; i < n; i++) /* a second pass of another kind: 128 bits in all */
        b = random_mix(b + (uint8_t)id[i]);
    memcpy(key.bytes, &a, 8);
    memcpy(key.bytes + 8, &b, 8);
    return key;
}

int id_key_compare(const struct id_key *a, const struct id_key *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

/* --- the table --- */

enum { SLICE_NONE = -1 };

/* A column that may turn out to be a slice: its distinct values so far and each row's. */
struct slice_column {
    int column;
    bool asked; /* by name: any number of values up to PREDICTIONS_MAX_SLICES */
    bool off;   /* too many values */
    char **values;
    uint64_t *hashes;
    size_t n_values, values_capacity;
    uint32_t *codes; /* n_rows, 0 = empty, else index + 1 */
    size_t codes_capacity;
    uint32_t *buckets; /* hash -> value index + 1, when there are many */
    size_t n_buckets;
    uint32_t last;
};

/* What the stages of this family write: not slices unless asked for. */
static const char *const known_columns[] = {"id",         "path",      "xxh128", "label",       "label_given",
                                            "label_true", "pred",      "split",  "fold",        "group",
                                            "keeper",     "distance",  "pdq",    "pdq_quality", "url",
                                            "bytes",      "width",     "height", "frames",      "http_status",
                                            "fetched_at", "variant",   "source", "params",      "aum",
                                            "kind",       "suggested", "score",  "method",      "rank",
                                            NULL};

static bool is_known(const char *name)
{
    if (text_starts(name, "p_") || text_starts(name, "z_") || text_starts(name, "reject_")) return true;
    for (const char *const *k = known_columns; *k; k++)
        if (strcmp(*k, name) == 0) return true;
    return false;
}

static int row_error(const struct manifest_reader *r, int id_column, struct error *err, const char *what)
{
    char shown[128], id[128], text[512];
    text_for_people(shown, sizeof shown, r->name);
    text_for_people(id, sizeof id, manifest_field(r, id_column));
    text_for_people(text, sizeof text, what);
    return error_set(err, EX_DATAERR, "'%s', row %llu (id '%s'): %s", shown, (unsigned long long)r->row, id,
                     text);
}

static void slice_column_release(struct slice_column *c)
{
    for (size_t i = 0; i < c->n_values; i++)
        free(c->values[i]);
    free(c->values);
    free(c->hashes);
    free(c->codes);
    free(c->buckets);
}

/* Index of the value, added when new; SLICE_NONE with *full true when the column holds too many. -2 on error.
 */
static int64_t slice_value(struct slice_column *c, const char *value, bool *full, struct error *err)
{
    uint64_t h = random_key(value, strlen(value));
    if (c->n_values && c->hashes[c->last] == h && strcmp(c->values[c->last], value) == 0) return c->last;
    if (c->n_values * 2 >= c->n_buckets) {
        size_t n = c->n_buckets ? c->n_buckets * 2 : 256;
        uint32_t *buckets = mem_zalloc(n, sizeof *buckets, err);
        if (!buckets) return -2;
        for (size_t i = 0; i < c->n_values; i++) {
            size_t at = c->hashes[i] & (n - 1);
            while (buckets[at])
                at = (at + 1) & (n - 1);
            buckets[at] = (uint32_t)i + 1;
        }
        free(c->buckets);
        c->buckets = buckets;
        c->n_buckets = n;
    }
    size_t at = h & (c->n_buckets - 1);
    for (; c->buckets[at]; at = (at + 1) & (c->n_buckets - 1)) {
        uint32_t i = c->buckets[at] - 1;
        assert(c->hashes); /* a bucket in use stands for a value */
        if (c->hashes[i] == h && strcmp(c->values[i], value) == 0) return c->last = i;
    }
    if (c->n_values >= (c->asked ? PREDICTIONS_MAX_SLICES : PREDICTIONS_MAX_AUTO_SLICES)) {
        *full = true;
        return SLICE_NONE;
    }
    size_t capacity = c->values_capacity;
    if (mem_grow(&c->values, &c->values_capacity, c->n_values + 1, sizeof *c->values, err) ||
        mem_grow(&c->hashes, &capacity, c->values_capacity, sizeof *c->hashes, err) ||
        !(c->values[c->n_values] = mem_strdup(value, err)))
        return -2;
    c->hashes[c->n_values] = h;
    c->buckets[at] = (uint32_t)++c->n_values;
    return c->last = (uint32_t)c->n_values - 1;
}

struct reading {
    struct predictions *p;
    struct manifest_reader *r;
    int id, label, path;
    int *p_columns, *z_columns;
    struct slice_column *slices;
    size_t n_slices;
    double tolerance;
};

static int class_of(const struct predictions *p, const char *label, int last)
{
    if (last >= 0 && strcmp(p->classes[last], label) == 0) return last;
    for (int k = 0; k < p->n_classes; k++)
        if (strcmp(p->classes[k], label) == 0) return k;
    return -1;
}

static int find_columns(struct reading *x, const struct predictions_options *o, struct error *err)
{
    const struct manifest_schema *s = &x->r->schema;
    struct predictions *p = x->p;
    char shown[256];
    int n_z = 0;
    text_for_people(shown, sizeof shown, x->r->name);
    if ((x->id = manifest_column(s, "id")) < 0 && (x->id = manifest_column(s, "xxh128")) < 0 &&
        (x->id = manifest_column(s, "path")) < 0)
        return error_set(err, EX_DATAERR, "'%s' has no column 'id' (nor 'xxh128' or 'path')", shown);
    if ((x->label = manifest_column(s, "label")) < 0)
        return error_set(err, EX_DATAERR, "'%s' has no column 'label'", shown);
    x->path = manifest_column(s, "path");
    if (!(p->classes = mem_zalloc(s->n, sizeof *p->classes, err)) ||
        !(x->p_columns = mem_zalloc(s->n, sizeof *x->p_columns, err)) ||
        !(x->z_columns = mem_zalloc(s->n, sizeof *x->z_columns, err)) ||
        !(x->slices = mem_zalloc(s->n, sizeof *x->slices, err)))
        return -1;
    for (size_t i = 0; i < s->n; i++)
        if (text_starts(s->names[i], "p_") && s->names[i][2]) {
            if (!(p->classes[p->n_classes] = mem_strdup(s->names[i] + 2, err))) return -1;
            x->p_columns[p->n_classes++] = (int)i;
        }
    if (p->n_classes == 0)
        return error_set(err, EX_DATAERR,
                         "'%s' has no class column: one 'p_<class>' for each class is needed", shown);
    if (p->n_classes == 1)
        return error_set(err, EX_DATAERR,
                         "'%s' has one class column only ('p_%s'): there is nothing to tell apart", shown,
                         p->classes[0]);
    if (p->n_classes > PREDICTIONS_MAX_CLASSES)
        return error_set(err, EX_DATAERR, "'%s' has %d class columns; the limit is %d", shown, p->n_classes,
                         PREDICTIONS_MAX_CLASSES);
    for (int k = 0; k < p->n_classes; k++) {
        char name[512];
        snprintf(name, sizeof name, "z_%s", p->classes[k]);
        x->z_columns[k] = manifest_column(s, name);
        n_z += x->z_columns[k] >= 0;
    }
    if (n_z > 0 && n_z < p->n_classes)
        return error_set(err, EX_DATAERR, "'%s' has logits (z_<class>) for %d of its %d classes", shown, n_z,
                         p->n_classes);
    if (n_z == 0) {
        free(x->z_columns);
        x->z_columns = NULL;
    }
    for (size_t i = 0; i < o->n_slice_columns; i++) {
        int c = manifest_column(s, o->slice_columns[i]);
        if (c < 0)
            return error_set(err, EX_DATAERR, "'%s' has no column '%s' to slice by", shown,
                             o->slice_columns[i]);
        bool there = false;
        for (size_t j = 0; j < x->n_slices; j++)
            there = there || x->slices[j].column == c;
        if (!there) x->slices[x->n_slices++] = (struct slice_column){.column = c, .asked = true};
    }
    for (size_t i = 0; o->auto_slices && i < s->n; i++) {
        bool asked = strcmp(s->names[i], "slice") == 0, there = false;
        for (size_t j = 0; j < x->n_slices; j++)
            there = there || x->slices[j].column == (int)i;
        if (!there && (asked || !is_known(s->names[i])))
            x->slices[x->n_slices++] = (struct slice_column){.column = (int)i, .asked = asked};
    }
    return 0;
}

static int number_error(const struct reading *x, int column, const char *text, double value, bool number,
                        struct error *err)
{
    char what[400], shown[64];
    const char *name = x->r->schema.names[column];
    text_for_people(shown, sizeof shown, text);
    if (!*text)
        snprintf(what, sizeof what, "%.200s is empty", name);
    else if (!number)
        snprintf(what, sizeof what, "%.200s is '%s', which is no number", name, shown);
    else if (value < 0)
        snprintf(what, sizeof what, "%.200s is %s, below 0", name, shown);
    else
        snprintf(what, sizeof what, "%.200s is %s, over 1: these are no probabilities", name, shown);
    return row_error(x->r, x->id, err, what);
}

static int grow_rows(struct predictions *p, bool logits, bool paths, struct error *err)
{
    size_t capacity = p->capacity ? p->capacity + p->capacity / 2 : 4096, k = (size_t)p->n_classes;
    void *grown;
    if (capacity >= UINT32_MAX) return error_set(err, EX_DATAERR, "more than four thousand million rows");
#define GROW(field, each)                                                                                    \
    do {                                                                                                     \
        if (!(grown = mem_realloc(p->field, capacity * (each), err))) return -1;                             \
        p->field = grown;                                                                                    \
    } while (0)
    GROW(p, k * sizeof *p->p);
    if (logits) GROW(z, k * sizeof *p->z);
    GROW(label, sizeof *p->label);
    GROW(pred, sizeof *p->pred);
    GROW(keys, sizeof *p->keys);
    if (paths) GROW(path_keys, sizeof *p->path_keys);
#undef GROW
    p->capacity = capacity;
    return 0;
}

static int read_row(struct reading *x, struct error *err)
{
    struct predictions *p = x->p;
    const char **f = x->r->fields;
    size_t i = p->n_rows;
    int best = 0, last = i > 0 ? p->label[i - 1] : -1;
    double sum = 0, value = 0, *row = p->p + i * (size_t)p->n_classes;
    char what[400], shown[128];
    if (!f[x->id][0]) return row_error(x->r, x->id, err, "the id is empty");
    p->keys[i] = id_key_of(f[x->id]);
    if (p->path_keys) p->path_keys[i] = id_key_of(manifest_field(x->r, x->path));
    for (int k = 0; k < p->n_classes; k++) {
        const char *text = f[x->p_columns[k]];
        bool number = parse_number(text, &value);
        if (!number || value < 0 || value > 1 + 1e-6)
            return number_error(x, x->p_columns[k], text, value, number, err);
        row[k] = value;
        sum += value;
        if (value > row[best]) best = k;
    }
    if (fabs(sum - 1) > x->tolerance) {
        snprintf(what, sizeof what, "the probabilities sum to %.6g, not to 1", sum);
        return row_error(x->r, x->id, err, what);
    }
    for (int k = 0; x->z_columns && k < p->n_classes; k++) {
        if (!parse_number(f[x->z_columns[k]], &value) || !isfinite(value)) {
            snprintf(what, sizeof what, "%.200s is '%s', which is no finite number",
                     x->r->schema.names[x->z_columns[k]],
                     text_for_people(shown, sizeof shown, f[x->z_columns[k]]));
            return row_error(x->r, x->id, err, what);
        }
        p->z[i * (size_t)p->n_classes + (size_t)k] = value;
    }
    p->pred[i] = best;
    p->label[i] = class_of(p, f[x->label], last);
    if (p->label[i] < 0) {
        if (f[x->label][0])
            snprintf(what, sizeof what, "the label '%s' is none of the classes (no column p_%s)",
                     text_for_people(shown, sizeof shown, f[x->label]), shown);
        else
            snprintf(what, sizeof what, "the label is empty");
        return row_error(x->r, x->id, err, what);
    }
    for (size_t j = 0; j < x->n_slices; j++) {
        struct slice_column *c = &x->slices[j];
        bool full = false;
        if (c->off) continue;
        int64_t v = f[c->column][0] ? slice_value(c, f[c->column], &full, err) : SLICE_NONE;
        if (v == -2 || mem_grow(&c->codes, &c->codes_capacity, i + 1, sizeof *c->codes, err)) return -1;
        if (full && c->asked) {
            snprintf(what, sizeof what, "the slice column '%.100s' has more than %d values",
                     x->r->schema.names[c->column], PREDICTIONS_MAX_SLICES);
            return row_error(x->r, x->id, err, what);
        }
        c->off = full;
        c->codes[i] = (uint32_t)(v + 1);
    }
    p->n_rows++;
    return 0;
}

static struct slice *add_slice(struct predictions *p, const char *family, const char *value,
                               struct error *err)
{
    struct text name = TEXT_EMPTY;
    if (mem_grow(&p->slices, &p->slices_capacity, p->n_slices + 1, sizeof *p->slices, err)) return NULL;
    struct slice *s = &p->slices[p->n_slices];
    *s = (struct slice){0};
    bool plain = strcmp(family, "slice") == 0 || strcmp(family, "slices") == 0;
    if ((plain ? text_puts(&name, value, err) : text_printf(&name, err, "%s=%s", family, value)) ||
        !(s->family = mem_strdup(family, err))) {
        text_release(&name);
        return NULL;
    }
    s->name = name.data;
    p->n_slices++;
    return s;
}

/* Turns the codes of the columns that stayed into slices, in the order in which their values came. */
static int make_slices(struct reading *x, struct error *err)
{
    struct predictions *p = x->p;
    for (size_t j = 0; j < x->n_slices; j++) {
        struct slice_column *c = &x->slices[j];
        size_t first = p->n_slices;
        if (c->off || (c->n_values < 2 && !c->asked)) continue;
        for (size_t v = 0; v < c->n_values; v++)
            if (!add_slice(p, x->r->schema.names[c->column], c->values[v], err)) return -1;
        assert(c->codes || p->n_rows == 0); /* each row that was read has a code */
        for (size_t i = 0; i < p->n_rows; i++)
            if (c->codes[i]) {
                struct slice *s = &p->slices[first + c->codes[i] - 1];
                if (mem_grow(&s->rows, &s->capacity, s->n_rows + 1, sizeof *s->rows, err)) return -1;
                s->rows[s->n_rows++] = (uint32_t)i;
            }
    }
    return 0;
}

static uint64_t key_hash(const struct id_key *key)
{
    uint64_t a, b;
    memcpy(&a, key->bytes, 8);
    memcpy(&b, key->bytes + 8, 8);
    return random_mix(a ^ b * UINT64_C(0x9e3779b97f4a7c15));
}

/* Fills the index; a key that is there already is an error that names both rows. */
static int index_rows(struct predictions *p, struct error *err)
{
    size_t size = 64;
    while (size < p->n_rows + p->n_rows / 2)
        size *= 2;
    if (!(p->index = mem_zalloc(size, sizeof *p->index, err))) return -1;
    p->index_size = size;
    for (size_t i = 0; i < p->n_rows; i++) {
        size_t at = key_hash(&p->keys[i]) & (size - 1);
        for (; p->index[at]; at = (at + 1) & (size - 1))
            if (id_key_compare(&p->keys[p->index[at] - 1], &p->keys[i]) == 0) {
                char shown[256];
                return error_set(err, EX_DATAERR, "'%s', row %zu: the same id as row %u",
                                 text_for_people(shown, sizeof shown, p->name), i + 1, p->index[at]);
            }
        p->index[at] = (uint32_t)i + 1;
    }
    return 0;
}

int64_t predictions_find(const struct predictions *p, const struct id_key *key)
{
    for (size_t at = key_hash(key) & (p->index_size - 1); p->index[at]; at = (at + 1) & (p->index_size - 1))
        if (id_key_compare(&p->keys[p->index[at] - 1], key) == 0) return (int64_t)p->index[at] - 1;
    return -1;
}

static int read_all(struct predictions *p, struct manifest_reader *r, const struct predictions_options *o,
                    struct error *err)
{
    struct reading x = {.p = p,
                        .r = r,
                        .tolerance = o->sum_tolerance > 0 ? o->sum_tolerance : PREDICTIONS_SUM_TOLERANCE};
    char shown[256];
    int rc = -1, got;
    if (!(p->name = mem_strdup(r->name, err)) || find_columns(&x, o, err)) goto out;
    while ((got = manifest_reader_next(r, err)) > 0)
        if ((p->n_rows == p->capacity &&
             grow_rows(p, x.z_columns != NULL, o->keep_path_keys && x.path >= 0, err)) ||
            read_row(&x, err))
            goto out;
    if (got < 0) goto out;
    if (p->n_rows == 0) {
        error_set(err, EX_DATAERR, "'%s' has a header and no rows",
                  text_for_people(shown, sizeof shown, r->name));
        goto out;
    }
    if (index_rows(p, err) || make_slices(&x, err)) goto out;
    rc = 0;
out:
    free(x.p_columns);
    free(x.z_columns);
    for (size_t j = 0; j < x.n_slices; j++)
        slice_column_release(&x.slices[j]);
    free(x.slices);
    if (rc) predictions_release(p);
    return rc;
}

int predictions_read(struct predictions *out, const char *path, const struct predictions_options *options,
                     struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc;
    *out = PREDICTIONS_EMPTY;
    if (manifest_reader_open(&r, path, NULL, err)) return -1;
    rc = read_all(out, &r, options, err);
    manifest_reader_close(&r);
    return rc;
}

int predictions_read_memory(struct predictions *out, const char *bytes, size_t n_bytes,
                            const struct predictions_options *options, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc;
    *out = PREDICTIONS_EMPTY;
    if (manifest_reader_open_memory(&r, bytes, n_bytes, "memory", NULL, err)) return -1;
    rc = read_all(out, &r, options, err);
    manifest_reader_close(&r);
    return rc;
}

void predictions_release(struct predictions *p)
{
    for (int k = 0; p->classes && k < p->n_classes; k++)
        free(p->classes[k]);
    free(p->classes);
    for (size_t i = 0; i < p->n_slices; i++) {
        free(p->slices[i].name);
        free(p->slices[i].family);
        free(p->slices[i].rows);
    }
    free(p->slices);
    free(p->p);
    free(p->z);
    free(p->label);
    free(p->pred);
    free(p->keys);
    free(p->path_keys);
    free(p->index);
    free(p->name);
    *p = PREDICTIONS_EMPTY;
}

/* --- slices file --- */

static int compare_rows(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return a < b ? -1 : a > b;
}

static struct slice *find_slice(struct predictions *p, size_t first, const char *name, struct error *err)
{
    char shown[128];
    for (size_t i = first; i < p->n_slices; i++)
        if (strcmp(p->slices[i].name, name) == 0) return &p->slices[i];
    if (p->n_slices - first >= PREDICTIONS_MAX_SLICES) {
        error_set(err, EX_DATAERR, "more than %d slices; the next is '%s'", PREDICTIONS_MAX_SLICES,
                  text_for_people(shown, sizeof shown, name));
        return NULL;
    }
    return add_slice(p, "slices", name, err);
}

/* path key -> row, for a file that names pictures by path: sorted pairs. */
struct path_row {
    struct id_key key;
    uint32_t row;
};

static int compare_path_rows(const void *x, const void *y)
{
    return id_key_compare(&((const struct path_row *)x)->key, &((const struct path_row *)y)->key);
}

int predictions_add_slices(struct predictions *p, const char *path, size_t *n_unknown, struct error *err)
{
    static const char *const required[] = {"slice", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct path_row *paths = NULL;
    size_t first = p->n_slices;
    char shown[256];
    int rc = -1, got, id, slice;
    *n_unknown = 0;
    if (manifest_reader_open(&r, path, required, err)) return -1;
    slice = manifest_column(&r.schema, "slice");
    text_for_people(shown, sizeof shown, r.name);
    if ((id = manifest_column(&r.schema, "id")) < 0 && (id = manifest_column(&r.schema, "xxh128")) < 0) {
        if ((id = manifest_column(&r.schema, "path")) < 0) {
            error_set(err, EX_DATAERR, "'%s' has no column 'id' (nor 'xxh128' or 'path')", shown);
            goto out;
        }
        if (!p->path_keys) {
            error_set(err, EX_DATAERR,
                      "'%s' names pictures by path, but the predictions have no column 'path'", shown);
            goto out;
        }
        if (!(paths = mem_alloc(p->n_rows * sizeof *paths, err))) goto out;
        for (size_t i = 0; i < p->n_rows; i++)
            paths[i] = (struct path_row){p->path_keys[i], (uint32_t)i};
        qsort(paths, p->n_rows, sizeof *paths, compare_path_rows);
    }
    while ((got = manifest_reader_next(&r, err)) > 0) {
        struct path_row wanted = {id_key_of(r.fields[id]), 0};
        int64_t row = -1;
        if (!r.fields[slice][0]) {
            row_error(&r, id, err, "the slice is empty");
            goto out;
        }
        if (paths) {
            struct path_row *found = bsearch(&wanted, paths, p->n_rows, sizeof *paths, compare_path_rows);
            row = found ? (int64_t)found->row : -1;
        } else {
            row = predictions_find(p, &wanted.key);
        }
        if (row < 0) {
            ++*n_unknown;
            continue;
        }
        struct slice *s = find_slice(p, first, r.fields[slice], err);
        if (!s || mem_grow(&s->rows, &s->capacity, s->n_rows + 1, sizeof *s->rows, err)) goto out;
        s->rows[s->n_rows++] = (uint32_t)row;
    }
    if (got < 0) goto out;
    /* The same picture and slice twice in the file is one membership. */
    for (size_t i = first; i < p->n_slices; i++) {
        struct slice *s = &p->slices[i];
        size_t kept = 0;
        qsort(s->rows, s->n_rows, sizeof *s->rows, compare_rows);
        for (size_t j = 0; j < s->n_rows; j++)
            if (kept == 0 || s->rows[kept - 1] != s->rows[j]) s->rows[kept++] = s->rows[j];
        s->n_rows = kept;
    }
    rc = 0;
out:
    free(paths);
    manifest_reader_close(&r);
    return rc;
}

int predictions_spool(const char *path, struct text *usable, int *fd, struct error *err)
{
    bool standard_input = !path || strcmp(path, "-") == 0;
    struct stat st;
    *fd = -1;
    if (!standard_input) {
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) return text_puts(usable, path, err);
        if (stat(path, &st) || S_ISDIR(st.st_mode)) {
            errno = errno ? errno : EISDIR;
            return error_errno(err, EX_NOINPUT, "cannot open '%s'", path);
        }
    }
    int in = standard_input ? STDIN_FILENO : io_open_read(path, err);
    if (in < 0) return -1;
    *fd = manifest_spool(in, standard_input ? "standard input" : path, err);
    if (in != STDIN_FILENO) close(in);
    return *fd < 0 ? -1 : text_printf(usable, err, "/proc/self/fd/%d", *fd);
}

/* --- rows again --- */

struct picked_at {
    uint32_t row, index;
};

static int compare_picked_at(const void *x, const void *y)
{
    const struct picked_at *a = x, *b = y;
    return a->row < b->row ? -1 : a->row > b->row ? 1 : a->index < b->index ? -1 : a->index > b->index;
}

int picked_rows_read(struct picked_rows *out, const struct predictions *p, const char *path,
                     const uint32_t *rows, size_t n, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct picked_at *at = NULL;
    size_t next = 0;
    int rc = -1, id;
    char shown[256];
    *out = PICKED_ROWS_EMPTY;
    if (manifest_reader_open(&r, path, NULL, err)) return -1;
    if ((id = manifest_column(&r.schema, "id")) < 0 && (id = manifest_column(&r.schema, "xxh128")) < 0)
        id = manifest_column(&r.schema, "path");
    if (!(at = mem_alloc((n ? n : 1) * sizeof *at, err)) ||
        !(out->cells = mem_zalloc(n ? n : 1, sizeof *out->cells, err)))
        goto out;
    for (size_t i = 0; i < n; i++)
        at[i] = (struct picked_at){rows[i], (uint32_t)i};
    qsort(at, n, sizeof *at, compare_picked_at);
    while (next < n) {
        int got = manifest_reader_next(&r, err);
        if (got < 0) goto out;
        bool wanted = got > 0 && r.row - 1 == at[next].row;
        struct id_key key = wanted && id >= 0 ? id_key_of(r.fields[id]) : (struct id_key){{0}};
        if (got == 0 || (wanted && (id < 0 || id_key_compare(&key, &p->keys[at[next].row])))) {
            error_set(err, EX_DATAERR, "'%s' changed while it was read",
                      text_for_people(shown, sizeof shown, r.name));
            goto out;
        }
        if (!wanted) continue;
        const char **cells = arena_alloc(&out->arena, r.schema.n * sizeof *cells, err);
        if (!cells) goto out;
        for (size_t c = 0; c < r.schema.n; c++)
            if (!(cells[c] = arena_strdup(&out->arena, r.fields[c], err))) goto out;
        for (uint32_t row = at[next].row; next < n && at[next].row == row; next++)
            out->cells[at[next].index] = cells;
    }
    out->n = n;
    out->schema = r.schema; /* the names move over */
    r.schema = (struct manifest_schema){0};
    rc = 0;
out:
    free(at);
    manifest_reader_close(&r);
    if (rc) picked_rows_release(out);
    return rc;
}

void picked_rows_release(struct picked_rows *p)
{
    for (size_t i = 0; i < p->schema.n; i++)
        free(p->schema.names[i]);
    free(p->schema.names);
    free(p->cells);
    arena_release(&p->arena);
    *p = PICKED_ROWS_EMPTY;
}
