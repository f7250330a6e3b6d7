/*
 * corpus.c: collect, square, plant, write. A few thousand small pictures: everything is held in memory as
 * encoded bytes.
 */
#include "corpus.h"

#include <fnmatch.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/random.h"
#include "hash/content_hash.h"
#include "image/image.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "rcc.h"

#define JPEG_QUALITY 90
#define MAX_ARCHIVE_BYTES (1ull << 30)
#define MAX_LABELS 64

/*
 * Streams of random numbers of our own. With plain 1 and 2 the draws equalled train-test-split's for the same
 * seed and content, and every planted wrong label landed in the test split.
 */
enum { STREAM_FATE = 0xDE30C0, STREAM_CHANGE, STREAM_ORDER };

struct picture { /* one served file, or a URL without one */
    char *bytes;
    size_t n_bytes;
    char id[XXH128_HEX_BYTES];
    int label_true, label_given;
    const char *kind;
    char of[XXH128_HEX_BYTES];
    char transform[48];
    char *source;
    const char *extension;
    uint64_t order; /* place in the shuffled list */
};

struct corpus {
    const struct corpus_options *opt;
    struct stage_counts *n;
    struct picture *pictures;
    size_t n_images, capacity;
    char *labels[MAX_LABELS];
    size_t per_label[MAX_LABELS];
    int n_labels;
    /* the source row being read */
    int label;
    char *pattern, *package;
    char excluded[8][128];
    int n_excluded, min_side;
    double max_aspect;
    struct image decoded, square;
};

static int label_index(struct corpus *c, const char *name, struct error *err)
{
    for (int i = 0; i < c->n_labels; i++)
        if (!strcmp(c->labels[i], name)) return i;
    if (c->n_labels == MAX_LABELS) return error_set(err, EX_DATAERR, "more than %d labels", MAX_LABELS);
    if (!(c->labels[c->n_labels] = mem_strdup(name, err))) return -1;
    return c->n_labels++;
}

/* Takes ownership of bytes. */
static struct picture *add_image(struct corpus *c, uint8_t *bytes, size_t n_bytes, const char *extension,
                                 struct error *err)
{
    struct xxh128 hash;
    if (mem_grow(&c->pictures, &c->capacity, c->n_images + 1, sizeof *c->pictures, err)) {
        free(bytes);
        return NULL;
    }
    struct picture *p = &c->pictures[c->n_images++];
    *p =
        (struct picture){.bytes = (char *)bytes, .n_bytes = n_bytes, .extension = extension, .kind = "clean"};
    xxh128_of(&hash, bytes, n_bytes);
    xxh128_hex(p->id, &hash);
    return p;
}

static int cut(struct image *out, const struct image *in, int x, int y, int w, int h, struct error *err)
{
    if (image_reserve(out, w, h, in->channels, err)) return -1;
    size_t row = (size_t)w * (size_t)in->channels;
    for (int i = 0; i < h; i++)
        memcpy(out->pixels + (size_t)i * row,
               in->pixels + ((size_t)(y + i) * (size_t)in->width + (size_t)x) * (size_t)in->channels, row);
    return 0;
}

/* A source picture: decoded, flattened on white, middle square, one size, one codec. */
static int add_source(struct corpus *c, const char *name, const uint8_t *bytes, size_t n_bytes,
                      struct error *err)
{
    struct decode_options decode = DECODE_DEFAULTS;
    struct image_info info;
    struct image_failure failure;
    struct image small = IMAGE_EMPTY;
    uint8_t *jpeg;
    size_t n_jpeg;
    if (c->opt->limit && c->per_label[c->label] >= (size_t)c->opt->limit) return 0;
    c->n->n_read++;
    enum image_reason reason = image_decode(bytes, n_bytes, &decode, &c->decoded, &info, &failure);
    if (reason == IMAGE_DECODE_MEMORY) return error_set(err, EX_OSERR, "'%s': %s", name, failure.detail);
    if (reason != IMAGE_OK) {
        stage_warn("left out '%s': %s", name, failure.detail);
        c->n->n_rejected++;
        return 0;
    }
    int w = c->decoded.width, h = c->decoded.height, least = w < h ? w : h, most = w < h ? h : w;
    if (least < c->min_side || (double)most > c->max_aspect * least) {
        c->n->n_rejected++;
        return 0;
    }
    int side = (int)c->opt->side_px, rc = -1;
    if (image_to_rgb(&c->decoded, err) ||
        cut(&c->square, &c->decoded, (w - least) / 2, (h - least) / 2, least, least, err) ||
        image_resize(&small, &c->square, side, side, RESIZE_LANCZOS, err) ||
        image_encode_jpeg(&small, JPEG_QUALITY, &jpeg, &n_jpeg, err))
        goto out;
    struct picture *p = add_image(c, jpeg, n_jpeg, "jpg", err);
    if (!p || !(p->source = mem_strdup(name, err))) goto out;
    p->label_true = p->label_given = c->label;
    /* The packages hold some pictures twice; what is planted must be the only copies there are. */
    for (struct picture *q = c->pictures; q < p; q++)
        if (!strcmp(q->id, p->id)) {
            free(p->bytes);
            free(p->source);
            c->n_images--;
            c->n->n_rejected++;
            rc = 0;
            goto out;
        }
    c->per_label[c->label]++;
    c->n->n_kept++;
    rc = 0;
out:
    image_release(&small);
    return rc;
}

static bool wanted(const struct corpus *c, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    for (int i = 0; i < c->n_excluded; i++)
        if (!strcmp(base, c->excluded[i])) return false;
    return true;
}

static int visit_archived(void *context, const char *path, const uint8_t *bytes, size_t n_bytes,
                          struct error *err)
{
    struct corpus *c = context;
    char name[1024];
    if (fnmatch(strchr(c->pattern, '!') + 1, path, FNM_PATHNAME) || !wanted(c, path)) return 0;
    snprintf(name, sizeof name, "%s:%s", c->package, path);
    return add_source(c, name, bytes, n_bytes, err);
}

static int read_archive(struct corpus *c, const char *path, struct error *err)
{
    char *bytes;
    size_t n, n_compressed;
    if (io_read_file(path, MAX_ARCHIVE_BYTES, &bytes, &n, err)) return -1;
    int rc = rcc_walk((const uint8_t *)bytes, n, visit_archived, c, &n_compressed, err);
    free(bytes);
    return rc ? error_prefix(err, "%s", path) : 0;
}

static int read_folder(struct corpus *c, const char *pattern, struct error *err)
{
    glob_t found;
    int rc = 0, got = glob(pattern, 0, NULL, &found);
    if (got == GLOB_NOMATCH)
        return error_set(err, EX_NOINPUT, "nothing matches '%s': another version of package %s?", pattern,
                         c->package);
    if (got) return error_set(err, EX_OSERR, "cannot list '%s'", pattern);
    for (size_t i = 0; i < found.gl_pathc && rc == 0; i++) {
        char *bytes, name[1024];
        size_t n;
        if (!wanted(c, found.gl_pathv[i])) continue;
        if ((rc = io_read_file(found.gl_pathv[i], MAX_ARCHIVE_BYTES, &bytes, &n, err))) break;
        const char *inside = strstr(found.gl_pathv[i], "/usr/");
        snprintf(name, sizeof name, "%s:%s", c->package, inside ? inside : found.gl_pathv[i]);
        rc = add_source(c, name, (const uint8_t *)bytes, n, err);
        free(bytes);
    }
    globfree(&found);
    return rc;
}

/* "path/x*.png,!a.png,!b.png;min-side>=150;aspect<=12" into pattern, exclusions and limits. */
static int parse_glob(struct corpus *c, const char *text, struct error *err)
{
    uint64_t side;
    char *rest;
    c->n_excluded = 0;
    c->min_side = 1;
    c->max_aspect = 1e9;
    free(c->pattern);
    if (!(c->pattern = mem_strdup(text, err))) return -1;
    char *limits = strchr(c->pattern, ';');
    if (limits) *limits++ = 0;
    for (char *l = limits ? strtok_r(limits, ";", &rest) : NULL; l; l = strtok_r(NULL, ";", &rest)) {
        if (text_starts(l, "min-side>=") && !parse_u64(l + 10, 1, 65535, &side, "min-side", err))
            c->min_side = (int)side;
        else if (text_starts(l, "aspect<=") && !parse_double(l + 8, 1, 1e6, &c->max_aspect, "aspect", err))
            ;
        else
            return error_set(err, EX_DATAERR, "unknown limit '%s'", l);
    }
    char *exclusions = strstr(c->pattern, ",!");
    if (exclusions) *exclusions++ = 0;
    for (char *e = exclusions ? strtok_r(exclusions, ",", &rest) : NULL; e; e = strtok_r(NULL, ",", &rest)) {
        if (c->n_excluded == 8 || *e != '!') return error_set(err, EX_DATAERR, "a bad exclusion '%s'", e);
        snprintf(c->excluded[c->n_excluded++], sizeof c->excluded[0], "%s", e + 1);
    }
    return 0;
}

static int read_sources(struct corpus *c, struct error *err)
{
    static const char *const required[] = {"package", "glob", "label", NULL};
    struct manifest_table t;
    struct text path = TEXT_EMPTY;
    int rc = -1;
    if (manifest_table_read(&t, c->opt->sources, required, err)) return -1;
    int package = manifest_column(&t.schema, "package"), pattern = manifest_column(&t.schema, "glob"),
        label = manifest_column(&t.schema, "label");
    for (size_t i = 0; i < t.n_rows; i++) {
        c->package = (char *)manifest_cell(&t, i, package);
        if (parse_glob(c, manifest_cell(&t, i, pattern), err) ||
            (c->label = label_index(c, manifest_cell(&t, i, label), err)) < 0)
            goto out;
        text_clear(&path);
        char *inside = strchr(c->pattern, '!');
        if (text_printf(&path, err, "%s/%s/%.*s", c->opt->packages, c->package,
                        (int)(inside ? inside - c->pattern : (long)strlen(c->pattern)), c->pattern) ||
            (inside ? read_archive(c, path.data, err) : read_folder(c, path.data, err)))
            goto out;
    }
    rc = 0;
out:
    text_release(&path);
    manifest_table_release(&t);
    return rc;
}

/* --- planting --- */

static int other_label(struct random *r, int n_labels, int label)
{
    int other = (int)random_below(r, (uint64_t)(n_labels - 1));
    return other + (other >= label);
}

/* The newest picture is a copy of another. */
static int name_copy(struct corpus *c, struct picture *p, size_t original, int label_given, const char *kind,
                     const char *transform, struct error *err)
{
    const struct picture *from = &c->pictures[original];
    p->label_true = from->label_true;
    p->label_given = label_given;
    p->kind = kind;
    memcpy(p->of, from->id, sizeof p->of);
    snprintf(p->transform, sizeof p->transform, "%s", transform);
    return (p->source = mem_strdup(from->source, err)) ? 0 : -1;
}

static int decode_own(const struct picture *from, struct image *in, struct error *err)
{
    struct decode_options decode = DECODE_DEFAULTS;
    struct image_info info;
    struct image_failure failure;
    return image_decode((const uint8_t *)from->bytes, from->n_bytes, &decode, in, &info, &failure) == IMAGE_OK
               ? 0
               : error_set(err, EX_SOFTWARE, "cannot decode what was just encoded: %s", failure.detail);
}

/* A copy that a person takes for the same picture: one of three changes, then one of three codecs, whatever
 * the class. */
static int add_near_copy(struct corpus *c, size_t original, int label_given, const char *kind,
                         struct random *r, struct error *err)
{
    struct image in = IMAGE_EMPTY, part = IMAGE_EMPTY, out = IMAGE_EMPTY;
    const struct picture *from = &c->pictures[original];
    char transform[48];
    const char *extension = "jpg";
    uint8_t *bytes;
    size_t n;
    int rc = -1, side = (int)c->opt->side_px, quality = JPEG_QUALITY, made;
    if (decode_own(from, &in, err)) goto out;
    int change = (int)random_below(r, 3), codec = (int)random_below(r, 4);
    if (change == 0) { /* resize to 60..140 % */
        made = (int)(side * random_range(r, 0.6, 1.4));
        snprintf(transform, sizeof transform, "resize-%d", made);
        if (image_resize(&out, &in, made, made, RESIZE_BILINEAR, err)) goto out;
    } else if (change == 1) { /* recompress */
        quality = 35 + (int)random_below(r, 45);
        codec = 0;
        snprintf(transform, sizeof transform, "jpeg-%d", quality);
        if (image_copy(&out, &in, err)) goto out;
    } else { /* 1 % off each edge, back to size */
        int edge = side / 100 > 0 ? side / 100 : 1;
        snprintf(transform, sizeof transform, "crop-%d", edge);
        if (cut(&part, &in, edge, edge, side - 2 * edge, side - 2 * edge, err) ||
            image_resize(&out, &part, side, side, RESIZE_BILINEAR, err))
            goto out;
    }
    if (codec == 1   ? image_encode_png(&out, &bytes, &n, err)
        : codec == 2 ? image_encode_webp(&out, 85, &bytes, &n, err)
                     : image_encode_jpeg(&out, quality, &bytes, &n, err))
        goto out;
    extension = codec == 1 ? "png" : codec == 2 ? "webp" : "jpg";
    struct picture *p = add_image(c, bytes, n, extension, err);
    if (!p) goto out;
    rc = name_copy(c, p, original, label_given, kind, transform, err);
out:
    image_release(&in);
    image_release(&part);
    image_release(&out);
    return rc;
}

/* in, turned about its middle; black where there is nothing. */
static int turn_into(struct image *out, const struct image *in, double degrees, struct error *err)
{
    double s = sin(degrees * 3.14159265358979 / 180), c = cos(degrees * 3.14159265358979 / 180);
    if (image_reserve(out, in->width, in->height, in->channels, err)) return -1;
    for (int y = 0; y < in->height; y++)
        for (int x = 0; x < in->width; x++) {
            double u = x - (in->width - 1) / 2.0, v = y - (in->height - 1) / 2.0;
            double p = c * u - s * v + (in->width - 1) / 2.0, q = s * u + c * v + (in->height - 1) / 2.0;
            int px = (int)floor(p), py = (int)floor(q);
            bool there = px >= 0 && py >= 0 && px + 1 < in->width && py + 1 < in->height;
            for (int k = 0; k < in->channels; k++) {
                size_t at = ((size_t)py * (size_t)in->width + (size_t)px) * (size_t)in->channels + (size_t)k;
                size_t below = (size_t)in->width * (size_t)in->channels, beside = (size_t)in->channels;
                const uint8_t *from = in->pixels + (there ? at : 0);
                double fx = p - px, fy = q - py;
                double value = there ? (1 - fy) * ((1 - fx) * from[0] + fx * from[beside]) +
                                           fy * ((1 - fx) * from[below] + fx * from[below + beside])
                                     : 0;
                out->pixels[((size_t)y * (size_t)in->width + (size_t)x) * (size_t)in->channels + (size_t)k] =
                    (uint8_t)(value + 0.5);
            }
        }
    return 0;
}

/* in on a larger ground: a caption bar above it, or a border around it. */
static int put_on(struct image *out, const struct image *in, int left, int top, int right, uint8_t grey,
                  struct error *err)
{
    int width = in->width + left + right, height = in->height + top + (right ? top : 0);
    if (image_reserve(out, width, height, in->channels, err)) return -1;
    memset(out->pixels, grey, image_bytes(out));
    size_t row = (size_t)in->width * (size_t)in->channels;
    for (int y = 0; y < in->height; y++)
        memcpy(out->pixels + ((size_t)(y + top) * (size_t)width + (size_t)left) * (size_t)in->channels,
               in->pixels + (size_t)y * row, row);
    return 0;
}

/* A copy that hashes miss: one of six changes. */
static int add_altered_copy(struct corpus *c, size_t original, int label_given, struct random *r,
                            struct error *err)
{
    static const char *const names[] = {"caption", "crop-10", "crop-20", "border", "turn-5", "mirror"};
    struct image in = IMAGE_EMPTY, out = IMAGE_EMPTY;
    const struct picture *from = &c->pictures[original];
    int change = (int)random_below(r, sizeof names / sizeof *names), side = (int)c->opt->side_px;
    int edge = side * (change == 1 ? 5 : 10) / 100, rc = decode_own(from, &in, err);
    uint8_t *bytes;
    size_t n;
    if (!rc && change == 0)
        rc = put_on(&out, &in, 0, side * 15 / 100, 0, 255, err);
    else if (!rc && change <= 2)
        rc = cut(&out, &in, edge, edge, side - 2 * edge, side - 2 * edge, err);
    else if (!rc && change == 3)
        rc = put_on(&out, &in, edge, edge, edge, 0, err);
    else if (!rc && change == 4)
        rc = turn_into(&out, &in, random_below(r, 2) ? 5 : -5, err);
    else if (!rc) {
        rc = image_copy(&out, &in, err);
        for (int y = 0; !rc && y < in.height; y++)
            for (int x = 0; x < in.width; x++)
                memcpy(out.pixels + ((size_t)y * (size_t)in.width + (size_t)x) * (size_t)in.channels,
                       in.pixels +
                           ((size_t)y * (size_t)in.width + (size_t)(in.width - 1 - x)) * (size_t)in.channels,
                       (size_t)in.channels);
    }
    if (!rc && !(rc = image_encode_jpeg(&out, JPEG_QUALITY, &bytes, &n, err))) {
        struct picture *p = add_image(c, bytes, n, "jpg", err);
        rc = p ? name_copy(c, p, original, label_given, "altered-copy", names[change], err) : -1;
    }
    image_release(&in);
    image_release(&out);
    return rc;
}

/* bytes NULL: the original's own. */
static int add_derived(struct corpus *c, size_t original, const char *bytes, size_t n_bytes, int label_given,
                       const char *kind, const char *transform, struct error *err)
{
    const struct picture *from = &c->pictures[original];
    uint8_t *copy = mem_dup(bytes ? bytes : from->bytes, bytes || n_bytes ? n_bytes : from->n_bytes, err);
    struct picture *p =
        copy ? add_image(c, copy, bytes || n_bytes ? n_bytes : from->n_bytes, "jpg", err) : NULL;
    if (!p) return -1;
    return name_copy(c, p, original, label_given, kind, transform, err);
}

struct drawn {
    uint64_t value;
    size_t index;
};

static int by_value(const void *a, const void *b)
{
    const struct drawn *p = a, *q = b;
    return p->value < q->value ? -1 : p->value > q->value;
}

static int plant(struct corpus *c, struct error *err)
{
    static const char html[] =
        "<!doctype html>\n<title>Image removed</title>\n<p>The picture you are looking for is gone.</p>\n";
    const struct corpus_options *o = c->opt;
    size_t n = c->n_images;
    /*
     * A picture's fate is its place in an order drawn from (seed, its content): exactly the shares asked for,
     * whatever the order of the sources.
     */
    struct drawn *drawn = mem_zalloc(n, sizeof *drawn, err);
    if (!drawn) return -1;
    for (size_t i = 0; i < n; i++) {
        struct random r =
            random_start((uint64_t)o->common.seed, random_key(c->pictures[i].id, 32), STREAM_FATE);
        drawn[i] = (struct drawn){random_u64(&r), i};
    }
    qsort(drawn, n, sizeof *drawn, by_value);
    for (size_t place = 0; place < n; place++) {
        size_t i = drawn[place].index;
        struct random r =
            random_start((uint64_t)o->common.seed, random_key(c->pictures[i].id, 32), STREAM_CHANGE);
        double u = ((double)place + 0.5) / (double)n;
        int label = c->pictures[i].label_true, other = other_label(&r, c->n_labels, label), rc = 0;
        char page[200];
        if ((u -= o->wrong_labels) < 0) {
            c->pictures[i].label_given = other;
            c->pictures[i].kind = "wrong-label";
        } else if ((u -= o->exact_copies) < 0) {
            rc = add_derived(c, i, NULL, 0, label, "exact-copy", "", err);
        } else if ((u -= o->near_copies) < 0) {
            rc = add_near_copy(c, i, label, "near-copy", &r, err);
        } else if ((u -= o->cross_copies) < 0) {
            rc = random_below(&r, 2) ? add_derived(c, i, NULL, 0, other, "cross-copy", "", err)
                                     : add_near_copy(c, i, other, "cross-copy", &r, err);
        } else if ((u -= o->dead_links) < 0) {
            rc = add_derived(c, i, c->pictures[i].id, 0, label, "dead-link", "", err);
        } else if ((u -= o->broken) < 0) {
            rc = add_derived(c, i, NULL, c->pictures[i].n_bytes / 2, label, "truncated", "half", err);
        } else if ((u -= o->broken) < 0) {
            /* A page of its own each: the rule for many URLs with the same
             * bytes is not what is tried here. */
            snprintf(page, sizeof page, "%s<!-- %s -->\n", html, c->pictures[i].id);
            rc = add_derived(c, i, page, strlen(page), label, "html", "", err);
        } else if (u < o->altered_copies) {
            rc = add_altered_copy(c, i, label, &r, err);
        }
        if (rc) {
            free(drawn);
            return -1;
        }
    }
    free(drawn);
    return 0;
}

/*
 * Errors that are in the packages: the label stays, the truth changes. After planting, so that the pictures
 * are the same with and without the file.
 */
static int apply_known(struct corpus *c, struct error *err)
{
    static const char *const required[] = {"source", "label_true", NULL};
    struct manifest_table t;
    int rc = 0;
    if (!c->opt->known) return 0;
    if (manifest_table_read(&t, c->opt->known, required, err)) return -1;
    int source = manifest_column(&t.schema, "source"), label = manifest_column(&t.schema, "label_true");
    for (size_t row = 0; row < t.n_rows && rc == 0; row++) {
        int truth = label_index(c, manifest_cell(&t, row, label), err);
        if (truth < 0) rc = -1;
        for (size_t i = 0; i < c->n_images && rc == 0; i++) {
            struct picture *p = &c->pictures[i];
            if (strcmp(p->source, manifest_cell(&t, row, source))) continue;
            p->label_true = truth;
            if (!strcmp(p->kind, "clean")) p->kind = "known-error";
        }
    }
    manifest_table_release(&t);
    return rc;
}

/* --- writing --- */

static int by_order(const void *a, const void *b)
{
    const struct picture *p = a, *q = b;
    return p->order < q->order ? -1 : p->order > q->order;
}

static int write_all(struct corpus *c, struct error *err)
{
    static const char *const columns[] = {"id",        "label_true", "label_given", "kind", "of",
                                          "transform", "url",        "source",      NULL};
    struct manifest_writer truth = MANIFEST_WRITER_EMPTY;
    struct atomic_file lists[MAX_LABELS];
    struct text path = TEXT_EMPTY, url = TEXT_EMPTY;
    int rc = -1;
    for (int i = 0; i < c->n_labels; i++)
        lists[i] = ATOMIC_FILE_EMPTY;
    for (size_t i = 0; i < c->n_images; i++) {
        struct random r =
            random_start((uint64_t)c->opt->common.seed, random_key(c->pictures[i].id, 32), STREAM_ORDER + i);
        c->pictures[i].order = random_u64(&r);
    }
    qsort(c->pictures, c->n_images, sizeof *c->pictures, by_order);
    if (text_printf(&path, err, "%s/www/x/", c->opt->out) || io_mkdirs_for(path.data, err)) goto out;
    text_clear(&path);
    if (text_printf(&path, err, "%s/urls/x", c->opt->out) || io_mkdirs_for(path.data, err)) goto out;
    for (int i = 0; i < c->n_labels; i++) {
        text_clear(&path);
        if (text_printf(&path, err, "%s/urls/%s.txt", c->opt->out, c->labels[i]) ||
            atomic_file_open(&lists[i], path.data, err))
            goto out;
    }
    text_clear(&path);
    if (text_printf(&path, err, "%s/truth.tsv", c->opt->out) ||
        manifest_writer_open(&truth, path.data, NULL, columns, err))
        goto out;
    for (size_t i = 0; i < c->n_images; i++) {
        struct picture *p = &c->pictures[i];
        bool dead = !strcmp(p->kind, "dead-link");
        text_clear(&path);
        text_clear(&url);
        /* Names say nothing about label, kind or source. */
        if (text_printf(&path, err, "%s/www/%02zx/%05zu.%s", c->opt->out, i % 64, i, p->extension) ||
            text_printf(&url, err, "%s/%02zx/%05zu.%s", c->opt->base_url, i % 64, i, p->extension))
            goto out;
        if (!dead &&
            (io_mkdirs_for(path.data, err) || atomic_file_write(path.data, p->bytes, p->n_bytes, err)))
            goto out;
        fprintf(lists[p->label_given].stream, "%s\n", url.data);
        const char *row[] = {dead ? "" : p->id,
                             c->labels[p->label_true],
                             c->labels[p->label_given],
                             p->kind,
                             p->of,
                             p->transform,
                             url.data,
                             p->source};
        if (manifest_writer_row(&truth, NULL, row, err)) goto out;
    }
    for (int i = 0; i < c->n_labels; i++)
        if (atomic_file_commit(&lists[i], err)) goto out;
    rc = manifest_writer_commit(&truth, err);
out:
    for (int i = 0; i < c->n_labels; i++)
        atomic_file_discard(&lists[i]);
    manifest_writer_discard(&truth);
    text_release(&path);
    text_release(&url);
    return rc;
}

int corpus_make(const struct corpus_options *opt, struct stage_counts *n, struct error *err)
{
    struct corpus c = {.opt = opt, .n = n};
    int rc = read_sources(&c, err);
    if (rc == 0 && c.n_labels < 2)
        rc = error_set(err, EX_DATAERR, "'%s' has fewer than two labels", opt->sources);
    if (rc == 0) rc = plant(&c, err);
    if (rc == 0) rc = apply_known(&c, err);
    if (rc == 0) rc = write_all(&c, err);
    for (size_t i = 0; i < c.n_images; i++) {
        free(c.pictures[i].bytes);
        free(c.pictures[i].source);
    }
    for (int i = 0; i < c.n_labels; i++)
        free(c.labels[i]);
    free(c.pictures);
    free(c.pattern);
    image_release(&c.decoded);
    image_release(&c.square);
    return rc;
}
