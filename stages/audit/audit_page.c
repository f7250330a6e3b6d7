/*
 * audit_page.c: the data of the page of audit --sheet. Text is JSON. The points of the map are arrays of
 * little-endian numbers in base64, 9 bytes for each point, so that a browser can read 300,000 of them
 * quickly.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_findings.h"
#include "base/number.h"
#include "io/io.h"
#include "page/page.h"
#include "page/page_template.h"

/* pictures shown for a check: more than people look at would slow the browser down */
#define MOST_PICTURES 500
#define MOST_SHOWN 12 /* pictures shown of a cluster, the most typical ones */

extern const char audit_page_html[] __attribute__((visibility("hidden")));
extern const char audit_page_css[] __attribute__((visibility("hidden")));
extern const char audit_page_js[] __attribute__((visibility("hidden")));

static const char *const says[N_ALL_CHECKS] = {
    [CHECK_DARK] = "Hardly any pixel is bright.",
    [CHECK_LIGHT] = "Hardly any pixel is dark.",
    [CHECK_BLURRY] = "There are no sharp edges, even in a small copy.",
    [CHECK_LOW_INFORMATION] = "There is little but a flat colour.",
    [CHECK_ODD_SIZE] = "The size is far from that of the other pictures.",
    [CHECK_ODD_ASPECT_RATIO] = "The picture is very long or very tall.",
    [CHECK_GRAYSCALE] = "The file has no colours.",
    [CHECK_SOFT_EDGES] = "There are edges, and all of them are soft: out of focus, shaken or enlarged.",
    [CHECK_OFF_TOPIC] = "The picture resembles no other: it may belong in no class.",
    [CHECK_NEAR_EMPTY] = "The class has far fewer rows than the others.",
    [CHECK_OVER_FULL] = "The class has far more rows than the others.",
    [CHECK_PREDICTS] = "This fact alone predicts the label: a network can learn it instead of the picture.",
    [CHECK_WEAK_CLUSTER] = "The model is wrong here more often than elsewhere.",
};

const char *audit_check_name(int check)
{
    static const char *const names[] = {"soft_edges",      "off_topic",      "near_empty_class",
                                        "over_full_class", "predicts_label", "weak_cluster"};
    return check < N_CHECKS ? picture_check_names[check] : names[check - N_CHECKS];
}

static int put_list(struct text *t, const char *const *texts, size_t n, struct error *err)
{
    int rc = text_puts(t, "[", err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = (i && text_puts(t, ",", err)) || page_json(t, texts[i], err) ? -1 : 0;
    return rc || text_puts(t, "]", err) ? -1 : 0;
}

static int put_check(struct text *t, const struct finding *f, size_t n, struct error *err)
{
    size_t shown = n < MOST_PICTURES ? n : MOST_PICTURES;
    int rc = text_printf(t, err, "{\"name\":\"%s\",\"says\":\"%s\",\"n\":%zu,\"items\":[",
                         audit_check_name(f->check), says[f->check], n);
    for (size_t i = 0; rc == 0 && i < shown; i++)
        rc = text_puts(t, i ? ",\n[" : "[", err) || page_json(t, f[i].path, err) || text_puts(t, ",", err) ||
                     page_json(t, f[i].label, err) || text_printf(t, err, ",%.3f,", f[i].score) ||
                     page_json(t, f[i].measure, err) || text_puts(t, "]", err)
                 ? -1
                 : 0;
    return rc || text_puts(t, "]}", err) ? -1 : 0;
}

static int put_checks(struct text *t, const struct finding *findings, size_t n, struct error *err)
{
    size_t start[N_ALL_CHECKS + 1] = {0};
    const char *comma = "";
    int rc = text_puts(t, "[", err);
    for (size_t i = 0; i < n; i++)
        start[findings[i].check + 1]++;
    for (int c = 0; c < N_ALL_CHECKS; c++)
        start[c + 1] += start[c];
    for (int k = 0; rc == 0 && k < N_ALL_CHECKS; k++) {
        int c = (k + CHECK_NEAR_EMPTY) % N_ALL_CHECKS; /* findings about the whole set come first */
        if (start[c + 1] == start[c]) continue;
        rc = text_puts(t, comma, err) || put_check(t, findings + start[c], start[c + 1] - start[c], err) ? -1
                                                                                                         : 0;
        comma = ",\n";
    }
    return rc || text_puts(t, "]", err) ? -1 : 0;
}

/* --- clusters --- */

struct typical {
    float likeness;
    uint32_t row;
};

static int most_typical_first(const void *x, const void *y)
{
    const struct typical *a = x, *b = y;
    if (a->likeness != b->likeness) return a->likeness > b->likeness ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static int put_cluster(struct text *t, const struct audit_map *m, size_t c, struct typical *members,
                       struct error *err)
{
    const struct audit_cluster *a = &m->about[c];
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->clusters.of[i] == c) members[n++] = (struct typical){m->clusters.likeness[i], (uint32_t)i};
    qsort(members, n, sizeof *members, most_typical_first);
    int rc = text_printf(t, err,
                         "{\"n\":%zu,\"label\":%d,\"of\":%u,\"asked\":%u,\"right\":%u,\"weak\":%s,"
                         "\"confused\":[%d,%d,%u],\"shown\":[",
                         n, (int)a->label, a->n_label, a->n_asked, a->n_right, a->weak ? "true" : "false",
                         (int)a->given, (int)a->said, a->n_confused);
    for (size_t i = 0; rc == 0 && i < n && i < MOST_SHOWN; i++)
        rc = text_printf(t, err, i ? ",%u" : "%u", members[i].row);
    return rc || text_puts(t, "]}", err) ? -1 : 0;
}

static void put_16(uint8_t *to, size_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

/* Writes x, y, label and cluster of all points, 16 bits each (65535: no label), then for each a byte: whether
 * the prediction is right. */
static int put_points(struct text *t, const struct audit_map *m, struct error *err)
{
    uint8_t *bytes = mem_zalloc(9 * m->n + 1, 1, err);
    if (!bytes) return -1;
    for (size_t i = 0; i < m->n; i++) {
        put_16(bytes + 2 * i, (size_t)lrint(m->xy[2 * i] * 65535));
        put_16(bytes + 2 * (m->n + i), (size_t)lrint(m->xy[2 * i + 1] * 65535));
        put_16(bytes + 2 * (2 * m->n + i), m->points[i].label < 65535 ? m->points[i].label : 65535);
        put_16(bytes + 2 * (3 * m->n + i), m->clusters.of[i]);
        bytes[8 * m->n + i] = m->points[i].answer;
    }
    int rc =
        text_puts(t, "\"", err) || page_base64(t, bytes, 9 * m->n, err) || text_puts(t, "\"", err) ? -1 : 0;
    free(bytes);
    return rc;
}

/* Writes the pictures to label next, each as [point, 1 if it was chosen by its margin]. */
static int put_next(struct text *t, const struct label_next *next, size_t n, struct error *err)
{
    size_t shown = n < MOST_PICTURES ? n : MOST_PICTURES;
    int rc = text_printf(t, err, "{\"n\":%zu,\"items\":[", n);
    for (size_t i = 0; rc == 0 && i < shown; i++)
        rc = text_printf(t, err, "%s[%u,%d]", i ? "," : "", next[i].point, next[i].by_margin);
    return rc || text_puts(t, "]}", err) ? -1 : 0;
}

static int put_map(struct text *t, const struct audit_map *m, struct error *err)
{
    struct typical *members = mem_alloc((m->n + 1) * sizeof *members, err);
    int rc = members && !text_printf(t, err, "{\"n\":%zu,\"accuracy\":", m->n) ? 0 : -1;
    if (rc == 0)
        rc = isnan(m->accuracy) ? text_puts(t, "null", err) : text_printf(t, err, "%.6f", m->accuracy);
    if (rc == 0) rc = text_puts(t, ",\"clusters\":[", err);
    for (size_t c = 0; rc == 0 && c < m->clusters.n; c++)
        rc = (c && text_puts(t, ",\n", err)) || put_cluster(t, m, c, members, err) ? -1 : 0;
    rc =
        rc || text_puts(t, "],\"points\":", err) || put_points(t, m, err) || text_puts(t, ",\"paths\":[", err)
            ? -1
            : 0;
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        rc = (i && text_puts(t, ",\n", err)) || page_json(t, m->points[i].path, err) ? -1 : 0;
    free(members);
    return rc || text_puts(t, "]}", err) ? -1 : 0;
}

int audit_page_write(const char *path, const char *root, const struct finding *findings, size_t n,
                     const struct audit_map *map, const struct label_next *next, size_t n_next,
                     const char *const *labels, size_t n_labels, struct error *err)
{
    struct text way = TEXT_EMPTY, url = TEXT_EMPTY, policy = TEXT_EMPTY, data = TEXT_EMPTY;
    int rc = -1;
    if (page_way_to_root(&way, path, root, err) || text_puts(&url, "", err) ||
        (way.data && page_url(&url, way.data, err)) ||
        page_policy(&policy, audit_page_css, audit_page_js, err) || text_puts(&data, "{\"way\":", err) ||
        page_json(&data, url.data, err) || text_puts(&data, ",\"labels\":", err) ||
        put_list(&data, labels, n_labels, err) || text_puts(&data, ",\n\"checks\":", err) ||
        put_checks(&data, findings, n, err) || text_puts(&data, ",\n\"next\":", err) ||
        put_next(&data, next, n_next, err) || text_puts(&data, ",\n\"map\":", err) ||
        (map ? put_map(&data, map, err) : text_puts(&data, "null", err)) || text_puts(&data, "}", err))
        goto out;
    const struct page_part parts[] = {{"csp", policy.data},
                                      {"css", audit_page_css},
                                      {"js", audit_page_js},
                                      {"data", data.data}};
    rc = page_write(path, audit_page_html, parts, sizeof parts / sizeof *parts, err);
out:
    text_release(&way);
    text_release(&url);
    text_release(&policy);
    text_release(&data);
    return rc;
}
