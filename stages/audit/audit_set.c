/* audit_set.c: reads the rows of a manifest into audit_set. */
#include "audit_set.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"
#include "label_facts.h"
#include "manifest/url_host.h"

const char *const fact_names[N_FACTS] = {"format",          "mode",       "frames",
                                         "orientation",     "size",       "host",
                                         "pixels",          "aspect",     "bytes",
                                         "bytes_per_pixel", "brightness", "entropy",
                                         "blurriness"};

static const char *const stat_columns[] = {"brightness", "brightness_5", "brightness_99",
                                           "entropy",    "blurriness",   "blurriness_std"};

int audit_columns_find(struct audit_columns *c, const struct manifest_reader *r, struct error *err)
{
    const struct manifest_schema *s = &r->schema;
    const struct {
        int *column;
        const char *name;
    } needed[] = {{&c->path, "path"},
                  {&c->mode, "mode"},
                  {&c->width, "width"},
                  {&c->height, "height"},
                  {&c->stats[0], stat_columns[0]},
                  {&c->stats[1], stat_columns[1]},
                  {&c->stats[2], stat_columns[2]},
                  {&c->stats[3], stat_columns[3]},
                  {&c->stats[4], stat_columns[4]},
                  {&c->stats[5], stat_columns[5]}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if ((*needed[i].column = manifest_column(s, needed[i].name)) < 0)
            return error_set(err, EX_DATAERR,
                             "'%s' has no column '%s': run validate --with stats (or pdq,stats) first",
                             r->name, needed[i].name);
    c->edge_width = manifest_column(s, "edge_width");
    c->label = manifest_column(s, "label");
    c->group = manifest_column(s, "group");
    c->xxh128 = manifest_column(s, "xxh128");
    c->url = manifest_column(s, "url");
    c->bytes = manifest_column(s, "bytes");
    c->format = manifest_column(s, "format");
    c->frames = manifest_column(s, "frames");
    c->orientation = manifest_column(s, "orientation");
    return 0;
}

static int row_error(const struct manifest_reader *r, const char *column, const char *value,
                     struct error *err)
{
    return error_set(err, EX_DATAERR, "'%s', row %llu: %s '%.40s' is not what validate --with stats writes",
                     r->name, (unsigned long long)r->row, column, value);
}

static int side(uint32_t *out, const struct manifest_reader *r, int column, struct error *err)
{
    uint64_t v;
    const char *text = r->fields[column];
    if (!parse_digits(text, strlen(text), &v) || v < 1 || v > INT32_MAX)
        return row_error(r, r->schema.names[column], text, err);
    *out = (uint32_t)v;
    return 0;
}

int audit_row_measures(struct picture_measures *m, const struct audit_columns *c,
                       const struct manifest_reader *r, struct error *err)
{
    double *const to[] = {&m->brightness, &m->brightness_5, &m->brightness_99,
                          &m->entropy,    &m->blurriness,   &m->blurriness_std};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        const char *text = r->fields[c->stats[i]];
        /* Brightness is at most 1, entropy 9.6 and the others a few thousand. */
        if (!parse_number(text, to[i]) || !(*to[i] >= 0 && *to[i] <= 1e6))
            return row_error(r, stat_columns[i], text, err);
    }
    if (side(&m->width, r, c->width, err) || side(&m->height, r, c->height, err)) return -1;
    m->gray = text_starts(r->fields[c->mode], "gray");
    const char *edges = manifest_field(r, c->edge_width);
    m->edge_width = 0;
    if (*edges && (!parse_number(edges, &m->edge_width) || !(m->edge_width > 0 && m->edge_width <= 1e6)))
        return row_error(r, "edge_width", edges, err);
    return 0;
}

/* The arrays of all rows, or of the labelled ones, grow together. */
static int grow_labelled(struct audit_set *s, struct error *err)
{
    size_t n = s->n_labelled + 1, was = s->capacity_labelled;
    struct {
        void *array;
        size_t each;
    } all[N_FACTS + 2] = {{&s->label, sizeof *s->label}, {&s->fold, sizeof *s->fold}};
    for (int f = 0; f < N_FACTS; f++) {
        if (f < FACT_PIXELS)
            all[f + 2].array = &s->words[f], all[f + 2].each = sizeof **s->words;
        else
            all[f + 2].array = &s->numbers[f], all[f + 2].each = sizeof **s->numbers;
    }
    if (n <= was) return 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        s->capacity_labelled = was;
        if (mem_grow(all[i].array, &s->capacity_labelled, n, all[i].each, err)) {
            s->capacity_labelled = was;
            return -1;
        }
    }
    return 0;
}

static int word(struct audit_set *s, enum fact f, const char *text, struct error *err)
{
    return names_find(&s->texts[f], text, &s->words[f][s->n_labelled], err);
}

static int host_word(struct audit_set *s, const char *url, struct error *err)
{
    char host[256]; /* DNS names are at most this long; a longer name is cut */
    size_t n;
    const char *from = url_host(url, &n);
    if (n >= sizeof host) n = sizeof host - 1;
    for (size_t i = 0; i < n; i++)
        host[i] = (char)tolower((unsigned char)from[i]);
    host[n] = 0;
    return word(s, FACT_HOST, host, err);
}

int audit_set_add(struct audit_set *s, const struct audit_columns *c, const struct manifest_reader *r,
                  struct error *err)
{
    struct picture_measures m = {0};
    const char *bytes = manifest_field(r, c->bytes), *label = manifest_field(r, c->label);
    uint64_t n_bytes = 0;
    if (audit_row_measures(&m, c, r, err) ||
        mem_grow(&s->size, &s->capacity_rows, s->n_rows + 1, sizeof *s->size, err))
        return -1;
    if (s->n_rows >= INT32_MAX) return error_set(err, EX_DATAERR, "'%s': too many rows", r->name);
    s->size[s->n_rows++] = picture_size(m.width, m.height);
    if (*bytes && !parse_digits(bytes, strlen(bytes), &n_bytes)) return row_error(r, "bytes", bytes, err);
    if (!*label) return 0;
    /* near copies must be in the same fold, or the rule would learn their label */
    const char *key = manifest_field(r, c->group);
    if (!*key) key = manifest_field(r, c->xxh128);
    if (!*key) key = r->fields[c->path];
    char size[32];
    snprintf(size, sizeof size, "%ux%u", m.width, m.height);
    if (grow_labelled(s, err) || names_find(&s->labels, label, &s->label[s->n_labelled], err) ||
        word(s, FACT_FORMAT, manifest_field(r, c->format), err) ||
        word(s, FACT_MODE, r->fields[c->mode], err) ||
        word(s, FACT_FRAMES, manifest_field(r, c->frames), err) ||
        word(s, FACT_ORIENTATION, manifest_field(r, c->orientation), err) || word(s, FACT_SIZE, size, err) ||
        host_word(s, manifest_field(r, c->url), err))
        return -1;
    double pixels = (double)m.width * (double)m.height;
    const double numbers[N_FACTS] =
        {[FACT_PIXELS] = pixels,           [FACT_ASPECT] = (double)m.width / (double)m.height,
         [FACT_BYTES] = (double)n_bytes,   [FACT_BYTES_PER_PIXEL] = (double)n_bytes / pixels,
         [FACT_BRIGHTNESS] = m.brightness, [FACT_ENTROPY] = m.entropy,
         [FACT_BLURRINESS] = m.blurriness};
    for (int f = FACT_PIXELS; f < N_FACTS; f++)
        s->numbers[f][s->n_labelled] = numbers[f];
    s->fold[s->n_labelled] = fact_fold(key);
    s->n_labelled++;
    const int columns[N_FACTS] =
        {[FACT_FORMAT] = c->format, [FACT_FRAMES] = c->frames, [FACT_ORIENTATION] = c->orientation,
         [FACT_HOST] = c->url,      [FACT_BYTES] = c->bytes,   [FACT_BYTES_PER_PIXEL] = c->bytes};
    for (int f = 0; f < N_FACTS; f++)
        s->has[f] = columns[f] >= 0;
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int audit_set_finish(struct audit_set *s, struct error *err)
{
    size_t n = s->labels.n;
    const char **sorted = n ? mem_dup(s->labels.text, n * sizeof *sorted, err) : NULL;
    struct names by_name = NAMES_EMPTY;
    uint32_t number;
    int rc = n && !sorted ? -1 : 0;
    if (sorted) qsort(sorted, n, sizeof *sorted, by_text);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = names_find(&by_name, sorted[i], &number, err);
    for (size_t i = 0; rc == 0 && i < s->n_labelled; i++)
        rc = names_find(&by_name, s->labels.text[s->label[i]], &s->label[i], err);
    free(sorted);
    if (rc) {
        names_release(&by_name);
        return -1;
    }
    names_release(&s->labels);
    s->labels = by_name;
    return 0;
}

void audit_set_release(struct audit_set *s)
{
    free(s->size);
    free(s->label);
    free(s->fold);
    for (int f = 0; f < N_FACTS; f++) {
        if (f < FACT_PIXELS) {
            free(s->words[f]);
            names_release(&s->texts[f]);
        }
        free(s->numbers[f]);
    }
    names_release(&s->labels);
    *s = AUDIT_SET_EMPTY;
}
