/*
 * split.c: groups are identified by a 64-bit key of their name. If two names have the same key, their groups
 * are kept together, which does no harm. Memory: 48 bytes for each group and 4 for each row. The rows are
 * read a second time when they are written.
 */
#include "split.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash_index.h"
#include "base/mem.h"
#include "base/names.h"
#include "base/random.h"
#include "base/text.h"

/*
 * Numbers of random streams that no other program uses ("place" and "fold" in ASCII). With a small number,
 * the number that places a picture would equal the first number that augment draws for one of its variants.
 * That variant of every training picture would then be rotated to the same side.
 */
#define STREAM_PLACE 0x706c616365ull
#define STREAM_FOLD 0x73706c666f6c64ull

struct group {
    uint64_t key;
    double place;
    uint32_t n_rows, label; /* label: of its first row */
    int8_t previous;        /* the group's part in the previous split, or -1 */
    uint8_t part;
    bool many_labels;
    uint32_t fold;
};

struct label {
    uint64_t n_rows;
    uint32_t n_groups, n_groups_in[SPLIT_PARTS];
    uint64_t n_train_rows;
    const struct group *largest_outside; /* training */
};

struct split {
    const struct split_options *opt;
    struct group *groups;
    size_t n_groups, groups_capacity;
    struct hash_index group_index;
    uint32_t *row_group;
    size_t n_rows, rows_capacity;
    struct names label_names;
    struct label *labels; /* in the order of label_names */
    size_t n_labels, labels_capacity;
    uint64_t *pairs; /* group << 32 | label, for groups with more than one label */
    size_t n_pairs, pairs_capacity;
    bool spare; /* answer of check_spare */
};

static const char *split_part_name(enum split_part part)
{
    static const char *const names[] = {"train", "val", "test"};
    return names[part];
}

static int part_from_name(const char *s)
{
    if (!strcmp(s, "validation")) return SPLIT_VAL;
    for (int i = 0; i < SPLIT_PARTS; i++)
        if (!strcmp(s, split_part_name(i))) return i;
    return -1;
}

/*
 * The number in [0, 1) that places a group: below `test` it is in the test, below `test + val` in
 * validation, and otherwise in training. It depends on its arguments only, so that a group stays where it is
 * when data are added.
 */
static double split_place(uint64_t seed, const char *group)
{
    struct random r = random_start(seed, random_key(group, strlen(group)), STREAM_PLACE);
    return random_unit(&r);
}

/* The fold of a group, 0..folds-1, independent of its place. */
static int split_fold(uint64_t seed, const char *group, int64_t folds)
{
    struct random r = random_start(seed, random_key(group, strlen(group)), STREAM_FOLD);
    return (int)random_below(&r, (uint64_t)folds);
}

/* Returns the number of the group with that name, which is added when it is new, or -1 when there is no
 * memory. */
static int64_t find_group(struct split *s, const char *name, struct error *err)
{
    uint64_t key = random_key(name, strlen(name));
    uint32_t at;
    for (struct hash_walk w = hash_walk(&s->group_index, key); hash_walk_next(&s->group_index, &w, &at);)
        if (s->groups[at].key == key) return at;
    if (mem_grow(&s->groups, &s->groups_capacity, s->n_groups + 1, sizeof *s->groups, err) ||
        hash_index_add(&s->group_index, key, s->n_groups, err))
        return -1;
    struct group *g = &s->groups[s->n_groups];
    *g =
        (struct group){.key = key, .place = split_place((uint64_t)s->opt->common.seed, name), .previous = -1};
    if (s->opt->folds) g->fold = (uint32_t)split_fold((uint64_t)s->opt->common.seed, name, s->opt->folds);
    return (int64_t)s->n_groups++;
}

static int64_t find_label(struct split *s, const char *name, struct error *err)
{
    uint32_t at;
    if (names_find(&s->label_names, name, &at, err)) return -1;
    if (at == s->n_labels) {
        if (mem_grow(&s->labels, &s->labels_capacity, s->n_labels + 1, sizeof *s->labels, err)) return -1;
        s->labels[s->n_labels++] = (struct label){0};
    }
    return at;
}

/* Returns the name of a row's group, or the row's own name when it has no group. */
static const char *group_name(const struct manifest_reader *r, int group, int hash, int path)
{
    const char *name = manifest_field(r, group);
    if (!*name) name = manifest_field(r, hash);
    return *name ? name : manifest_field(r, path);
}

/* --- the previous split ----------------------------------------------------------------------- */

/* The previous split of groups, hashes and paths, found by a 64-bit key of kind and name. */
struct known {
    struct hash_index index;
    struct known_part {
        uint64_t key;
        int8_t part;
    } * parts;
    size_t n, capacity;
};

static struct known_part *known_at(const struct known *k, uint64_t key)
{
    uint32_t at;
    for (struct hash_walk w = hash_walk(&k->index, key); hash_walk_next(&k->index, &w, &at);)
        if (k->parts[at].key == key) return &k->parts[at];
    return NULL;
}

static uint64_t known_key(const char *kind, const char *name)
{
    return random_key(name, strlen(name)) ^ random_key(kind, strlen(kind));
}

static int known_add(struct known *k, const char *kind, const char *name, int part, struct error *err)
{
    if (!*name) return 0;
    uint64_t key = known_key(kind, name);
    struct known_part *known = known_at(k, key);
    /* if the previous split has two parts for a group, use the one further from training: a test picture must
     * never be trained on */
    if (known) {
        if (part > known->part) known->part = (int8_t)part;
        return 0;
    }
    if (mem_grow(&k->parts, &k->capacity, k->n + 1, sizeof *k->parts, err) ||
        hash_index_add(&k->index, key, k->n, err))
        return -1;
    k->parts[k->n++] = (struct known_part){key, (int8_t)part};
    return 0;
}

static int known_find(const struct known *k, const char *kind, const char *name)
{
    const struct known_part *known = *name ? known_at(k, known_key(kind, name)) : NULL;
    return known ? known->part : -1;
}

static int read_previous(struct known *k, const struct split_options *opt, struct error *err)
{
    static const char *const required[] = {"split", NULL};
    struct manifest_reader r;
    int got;
    if (manifest_reader_open(&r, opt->previous, required, err)) return -1;
    int split = manifest_column(&r.schema, "split"), group = manifest_column(&r.schema, opt->group_by);
    int hash = manifest_column(&r.schema, "xxh128"), path = manifest_column(&r.schema, "path");
    while ((got = manifest_reader_next(&r, err)) > 0) {
        int part = part_from_name(manifest_field(&r, split));
        if (part < 0) continue;
        if (known_add(k, "group", manifest_field(&r, group), part, err) ||
            known_add(k, "hash", manifest_field(&r, hash), part, err) ||
            known_add(k, "path", manifest_field(&r, path), part, err)) {
            got = -1;
            break;
        }
    }
    manifest_reader_close(&r);
    return got;
}

/* --- deciding --------------------------------------------------------------------------------- */

static int read_rows(struct split *s, struct manifest_source *in, const struct known *known,
                     struct error *err)
{
    const char *required[] = {"label", s->opt->group_by, NULL};
    struct manifest_reader r;
    int got;
    if (manifest_source_read(in, &r, required, err)) return -1;
    int label = manifest_column(&r.schema, "label"), group = manifest_column(&r.schema, s->opt->group_by);
    int hash = manifest_column(&r.schema, "xxh128"), path = manifest_column(&r.schema, "path");
    /* scan writes it from the name of the picture's folder. */
    int given = manifest_column(&r.schema, "given_split");
    char shown[64];
    while ((got = manifest_reader_next(&r, err)) > 0) {
        int64_t g = find_group(s, group_name(&r, group, hash, path), err);
        int64_t l = find_label(s, manifest_field(&r, label), err);
        if (g < 0 || l < 0 ||
            mem_grow(&s->row_group, &s->rows_capacity, s->n_rows + 1, sizeof *s->row_group, err))
            goto fail;
        struct group *of = &s->groups[g];
        if (of->n_rows == 0) of->label = (uint32_t)l;
        if (of->many_labels || of->label != (uint32_t)l) {
            if (mem_grow(&s->pairs, &s->pairs_capacity, s->n_pairs + 2, sizeof *s->pairs, err)) goto fail;
            if (!of->many_labels) s->pairs[s->n_pairs++] = (uint64_t)g << 32 | of->label;
            of->many_labels = true;
            s->pairs[s->n_pairs++] = (uint64_t)g << 32 | (uint64_t)l;
        }
        of->n_rows++;
        s->labels[l].n_rows++;
        s->row_group[s->n_rows++] = (uint32_t)g;
        int part = known_find(known, "group", manifest_field(&r, group));
        if (part < 0) part = known_find(known, "hash", manifest_field(&r, hash));
        if (part < 0) part = known_find(known, "path", manifest_field(&r, path));
        if (part > of->previous) of->previous = (int8_t)part;
        const char *stated = manifest_field(&r, given);
        part = *stated ? part_from_name(stated) : -1;
        if (*stated && part < 0) {
            error_set(err, EX_DATAERR, "'%s', row %llu: given_split is '%s', not train, val or test",
                      in->name, (unsigned long long)r.row, text_for_people(shown, sizeof shown, stated));
            goto fail;
        }
        if (part > of->previous) of->previous = (int8_t)part;
    }
    manifest_reader_close(&r);
    return got;
fail:
    manifest_reader_close(&r);
    return -1;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int compare_places(const void *a, const void *b, void *context)
{
    const struct group *groups = context;
    const struct group *x = &groups[*(const uint32_t *)a], *y = &groups[*(const uint32_t *)b];
    if (x->place != y->place) return x->place < y->place ? -1 : 1;
    return (x->key > y->key) - (x->key < y->key);
}

static uint32_t *groups_by_place(const struct split *s, struct error *err)
{
    uint32_t *order = mem_alloc((s->n_groups + 1) * sizeof *order, err);
    if (!order) return NULL;
    for (size_t i = 0; i < s->n_groups; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, s->n_groups, sizeof *order, compare_places, s->groups);
    return order;
}

/* Calls fn(s, label, argument) for each label of group g. */
static void each_label(struct split *s, uint32_t g, void (*fn)(struct split *, uint32_t, int), int argument)
{
    if (!s->groups[g].many_labels) {
        fn(s, s->groups[g].label, argument);
        return;
    }
    size_t low = 0, high = s->n_pairs;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->pairs[middle] >> 32 < g)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < s->n_pairs && s->pairs[low] >> 32 == g; low++)
        fn(s, (uint32_t)s->pairs[low], argument);
}

static void count_in(struct split *s, uint32_t label, int part) { s->labels[label].n_groups_in[part]++; }
static void count_out(struct split *s, uint32_t label, int part) { s->labels[label].n_groups_in[part]--; }
static void count_group(struct split *s, uint32_t label, int unused)
{
    (void)unused;
    s->labels[label].n_groups++;
}
static void check_spare(struct split *s, uint32_t label, int unused)
{
    (void)unused;
    s->spare &= s->labels[label].n_groups_in[SPLIT_TRAIN] > 1;
}

static void move_group(struct split *s, uint32_t g, enum split_part part)
{
    each_label(s, g, count_out, s->groups[g].part);
    s->groups[g].part = (uint8_t)part;
    each_label(s, g, count_in, (int)part);
}

static bool has_label(struct split *s, uint32_t g, uint32_t label)
{
    if (!s->groups[g].many_labels) return s->groups[g].label == label;
    uint64_t key = (uint64_t)g << 32 | label;
    return bsearch(&key, s->pairs, s->n_pairs, sizeof *s->pairs, compare_u64) != NULL;
}

/* Whether training has another group of every label that this group has. */
static bool can_be_spared(struct split *s, uint32_t g)
{
    s->spare = true;
    each_label(s, g, check_spare, 0);
    return s->spare;
}

/*
 * The only exception to the rule that the place of a group decides. A class with few groups would often have
 * none in the test split or in validation. The first group, in the order of places, that can be spared from
 * training is moved there. Groups from a previous split are not moved.
 */
static void fill_empty_parts(struct split *s, const uint32_t *order)
{
    for (uint32_t l = 0; l < s->n_labels; l++) {
        struct label *label = &s->labels[l];
        const enum split_part wanted[] = {SPLIT_TRAIN, SPLIT_TEST, SPLIT_VAL};
        for (int w = 0; w < 3; w++) {
            enum split_part part = wanted[w];
            double share = part == SPLIT_TRAIN ? 1 : part == SPLIT_TEST ? s->opt->test : s->opt->val;
            if (share <= 0 || label->n_groups_in[part] || label->n_groups < (uint32_t)w + 1) continue;
            for (size_t i = 0; i < s->n_groups; i++) {
                /* For training, the group with the highest place is moved, and for the other parts the one
                 * with the lowest. */
                uint32_t g = part == SPLIT_TRAIN ? order[s->n_groups - 1 - i] : order[i];
                enum split_part from = s->groups[g].part;
                if (!has_label(s, g, l) || s->groups[g].previous >= 0 || from == part) continue;
                if (part != SPLIT_TRAIN && (from != SPLIT_TRAIN || !can_be_spared(s, g))) continue;
                move_group(s, g, part);
                break;
            }
        }
    }
}

/*
 * --exact: assigns the groups of each label, in the order of their places, to the test split up to its share
 * of the label's pictures, and then to validation. The sizes are exact to half a group. When pictures are
 * added, the border between the parts moves, and an older group may change its part.
 */
static int place_exactly(struct split *s, const uint32_t *order, struct error *err)
{
    uint64_t *filled = mem_zalloc(s->n_labels * SPLIT_PARTS, sizeof *filled, err);
    if (!filled) return -1;
    for (size_t i = 0; i < s->n_groups; i++) {
        struct group *g = &s->groups[i];
        if (g->previous >= 0) filled[g->label * SPLIT_PARTS + (uint32_t)g->previous] += g->n_rows;
    }
    for (size_t i = 0; i < s->n_groups; i++) {
        struct group *g = &s->groups[order[i]];
        uint64_t *f = filled + g->label * SPLIT_PARTS, n = s->labels[g->label].n_rows;
        if (g->previous >= 0) continue;
        g->part = SPLIT_TRAIN;
        if ((double)f[SPLIT_TEST] + g->n_rows / 2.0 <= s->opt->test * (double)n)
            g->part = SPLIT_TEST;
        else if ((double)f[SPLIT_VAL] + g->n_rows / 2.0 <= s->opt->val * (double)n)
            g->part = SPLIT_VAL;
        f[g->part] += g->n_rows;
    }
    free(filled);
    return 0;
}

static bool holds_most_of_its_label(const struct split *s, const struct group *g)
{
    return 2 * (uint64_t)g->n_rows > s->labels[g->label].n_rows;
}

/* Warns when a class has far fewer training pictures than requested because of a large group, unless the user
 * or a previous split placed that group. */
static void warn_of_small_training(struct split *s)
{
    double asked = 1 - s->opt->val - s->opt->test;
    for (size_t i = 0; i < s->n_groups; i++) {
        const struct group *g = &s->groups[i];
        struct label *l = &s->labels[g->label];
        if (g->part == SPLIT_TRAIN)
            l->n_train_rows += g->n_rows;
        else if (g->previous < 0 && (!l->largest_outside || g->n_rows > l->largest_outside->n_rows))
            l->largest_outside = g;
    }
    for (size_t i = 0; i < s->n_labels; i++) {
        const struct label *l = &s->labels[i];
        char label[128];
        if (l->n_rows < 20 || !l->largest_outside ||
            (double)l->n_train_rows >= 0.7 * asked * (double)l->n_rows)
            continue;
        stage_warn("class '%s': training gets %llu of %llu pictures where %.0f were asked for, since one "
                   "group of %u is in %s; --exact or another --seed may do better",
                   text_for_people(label, sizeof label, s->label_names.text[i]),
                   (unsigned long long)l->n_train_rows, (unsigned long long)l->n_rows,
                   asked * (double)l->n_rows, l->largest_outside->n_rows,
                   split_part_name((enum split_part)l->largest_outside->part));
    }
}

static int decide(struct split *s, struct error *err)
{
    size_t n = 0;
    if (s->n_pairs) qsort(s->pairs, s->n_pairs, sizeof *s->pairs, compare_u64);
    for (size_t i = 0; i < s->n_pairs; i++)
        if (i == 0 || s->pairs[i] != s->pairs[i - 1]) s->pairs[n++] = s->pairs[i];
    s->n_pairs = n;
    for (size_t i = 0; i < s->n_groups; i++) {
        struct group *g = &s->groups[i];
        g->part = g->place < s->opt->test                 ? SPLIT_TEST
                  : g->place < s->opt->test + s->opt->val ? SPLIT_VAL
                                                          : SPLIT_TRAIN;
        /* An example is a class that mostly consists of frames of one film. If these were not in training,
         * the class could hardly be learnt. */
        if (holds_most_of_its_label(s, g)) g->part = SPLIT_TRAIN;
        if (g->previous >= 0) g->part = (uint8_t)g->previous;
    }
    uint32_t *order = groups_by_place(s, err);
    if (!order || (s->opt->exact && place_exactly(s, order, err))) {
        free(order);
        return -1;
    }
    for (size_t i = 0; i < s->n_groups; i++) {
        each_label(s, (uint32_t)i, count_group, 0);
        each_label(s, (uint32_t)i, count_in, s->groups[i].part);
    }
    fill_empty_parts(s, order);
    free(order);
    warn_of_small_training(s);
    return 0;
}

static int write_rows(struct split *s, struct manifest_source *in, struct manifest_writer *out,
                      struct stage_counts *n, struct error *err)
{
    struct manifest_reader r;
    char fold[16];
    int got;
    if (manifest_source_read(in, &r, NULL, err)) return -1;
    while ((got = manifest_reader_next(&r, err)) > 0) {
        if (n->n_kept == s->n_rows) break;
        assert(s->row_group);
        const struct group *g = &s->groups[s->row_group[n->n_kept]];
        snprintf(fold, sizeof fold, "%u", g->fold);
        /* Folds are for out-of-fold predictions of the training data. The test split has none. */
        const char *const added[] = {split_part_name(g->part), g->part == SPLIT_TEST ? "" : fold};
        if (manifest_writer_row(out, r.fields, added, err)) {
            got = -1;
            break;
        }
        n->n_kept++;
    }
    manifest_reader_close(&r);
    if (got < 0) return -1;
    return got || n->n_kept != s->n_rows
               ? error_set(err, EX_DATAERR, "'%s' was written to while it was read", in->name)
               : manifest_source_check(in, err);
}

static void split_release(struct split *s)
{
    names_release(&s->label_names);
    free(s->labels);
    free(s->groups);
    hash_index_release(&s->group_index);
    free(s->row_group);
    free(s->pairs);
}

int split_run(const struct split_options *opt, struct manifest_source *in, struct manifest_writer *out,
              struct stage_counts *n, struct error *err)
{
    struct split s = {.opt = opt};
    struct known known = {0};
    int rc = -1;
    if ((opt->previous && read_previous(&known, opt, err)) || read_rows(&s, in, &known, err) ||
        decide(&s, err))
        goto out;
    n->n_read = s.n_rows;
    rc = write_rows(&s, in, out, n, err);
    for (size_t i = 0; i < s.n_labels && rc == 0; i++)
        stage_note(&opt->common, "%s: %llu pictures, groups: %u train, %u val, %u test",
                   s.label_names.text[i], (unsigned long long)s.labels[i].n_rows,
                   s.labels[i].n_groups_in[SPLIT_TRAIN], s.labels[i].n_groups_in[SPLIT_VAL],
                   s.labels[i].n_groups_in[SPLIT_TEST]);
out:
    hash_index_release(&known.index);
    free(known.parts);
    split_release(&s);
    return rc;
}

int split_check(const struct split_options *opt, struct manifest_source *in, struct manifest_writer *out,
                struct stage_counts *n, struct error *err)
{
    const char *required[] = {opt->group_by, "split", NULL};
    struct split s = {.opt = opt};
    struct manifest_reader r;
    int got, rc = -1;
    if (manifest_source_read(in, &r, required, err)) return -1;
    int group = manifest_column(&r.schema, opt->group_by), split = manifest_column(&r.schema, "split");
    int fold = manifest_column(&r.schema, "fold"), hash = manifest_column(&r.schema, "xxh128"),
        path = manifest_column(&r.schema, "path");
    while ((got = manifest_reader_next(&r, err)) > 0) {
        int part = part_from_name(manifest_field(&r, split));
        if (part < 0) {
            char shown[64];
            error_set(err, EX_DATAERR, "'%s', row %llu: split is '%s', not train, val or test", in->name,
                      (unsigned long long)r.row,
                      text_for_people(shown, sizeof shown, manifest_field(&r, split)));
            goto out;
        }
        /* A test row has no fold. */
        const char *f = part == SPLIT_TEST ? "" : manifest_field(&r, fold);
        uint32_t in_fold = *f ? (uint32_t)random_key(f, strlen(f)) | 1 : 0;
        int64_t g = find_group(&s, group_name(&r, group, hash, path), err);
        if (g < 0 || mem_grow(&s.row_group, &s.rows_capacity, s.n_rows + 1, sizeof *s.row_group, err))
            goto out;
        struct group *of = &s.groups[g];
        if (of->n_rows++ == 0) {
            of->part = (uint8_t)part;
            of->fold = in_fold;
        } else if (of->part != part || of->fold != in_fold) {
            of->many_labels = true; /* here: in many parts */
        }
        s.row_group[s.n_rows++] = (uint32_t)g;
    }
    if (got < 0) goto out;
    manifest_reader_close(&r);
    if (manifest_source_read(in, &r, NULL, err)) goto out;
    for (; (got = manifest_reader_next(&r, err)) > 0 && n->n_read < s.n_rows; n->n_read++) {
        bool torn = s.groups[s.row_group[n->n_read]].many_labels;
        n->n_rejected += torn;
        n->n_kept += !torn;
        if (torn && manifest_writer_row(out, r.fields, NULL, err)) goto out;
    }
    if (got >= 0 && manifest_source_check(in, err) == 0) rc = n->n_rejected > 0;
out:
    manifest_reader_close(&r);
    split_release(&s);
    return rc;
}
