/*
 * heic_references.c: reads from iref of which items of a HEIF file a picture consists, before libheif decodes
 * it. When an item refers to itself, libheif follows the references without end.
 */
#include "image/heic/heic_references.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/codec.h"

/* A grid of a phone's pictures has depth one, and its alpha one more. */
#define DEEPEST 8
#define MOST_EDGES 65536

struct edge { /* item needs part */
    uint32_t item, part;
};

struct edges {
    struct edge *list;
    size_t n, capacity;
};

struct box {
    const uint8_t *content;
    size_t n; /* of the content */
    uint32_t kind;
};

#define KIND(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* Reads the box at *b, and moves *b past it. Returns false at the end or at an invalid box. */
static bool next_box(const uint8_t **b, size_t *n, struct box *out)
{
    if (*n < 8) return false;
    uint64_t size = be32(*b);
    size_t head = 8;
    out->kind = be32(*b + 4);
    if (size == 1) {
        if (*n < 16) return false;
        size = (uint64_t)be32(*b + 8) << 32 | be32(*b + 12);
        head = 16;
    } else if (size == 0) {
        size = *n;
    }
    if (size < head) return false;
    if (size > *n) size = *n; /* cut off: what is there may still be read */
    out->content = *b + head;
    out->n = (size_t)size - head;
    *b += size;
    *n -= (size_t)size;
    return true;
}

static int add_edge(struct edges *e, uint32_t item, uint32_t part, struct error *err)
{
    if (e->n >= MOST_EDGES) return error_set(err, EX_DATAERR, "more than %d references", MOST_EDGES);
    if (mem_grow(&e->list, &e->capacity, e->n + 1, sizeof *e->list, err)) return -1;
    e->list[e->n++] = (struct edge){item, part};
    return 0;
}

/*
 * Reads iref. "dimg" says from which items an item is derived, "auxl" whose alpha it is. As in libheif, the
 * next reference begins after the items of the previous one, whatever size its box has.
 */
static int read_references(struct edges *e, const uint8_t *b, size_t n, struct error *err)
{
    if (n < 4) return 0;
    const size_t id = b[0] == 0 ? 2 : 4;
    size_t at = 4;
    while (n - at >= 8) {
        uint32_t kind = be32(b + at + 4);
        size_t head = 8 + (be32(b + at) == 1 ? 8 : 0) + (kind == KIND('u', 'u', 'i', 'd') ? 16 : 0);
        if (n - at < head + id + 2) break;
        const uint8_t *from_at = b + at + head;
        uint32_t from = id == 2 ? be16(from_at) : be32(from_at);
        size_t count = be16(from_at + id);
        at += head + id + 2;
        for (size_t i = 0; i < count && n - at >= id; i++, at += id) {
            uint32_t to = id == 2 ? be16(b + at) : be32(b + at);
            if ((kind == KIND('d', 'i', 'm', 'g') && add_edge(e, from, to, err)) ||
                (kind == KIND('a', 'u', 'x', 'l') && add_edge(e, to, from, err)))
                return -1;
        }
    }
    return 0;
}

static int by_item(const void *a, const void *b)
{
    uint32_t x = ((const struct edge *)a)->item, y = ((const struct edge *)b)->item;
    return (x > y) - (x < y);
}

/* Raises the depth of each item above that of its parts. The depth of an item that contains itself has no
 * limit. */
static int check_depth(struct edges *e, struct error *err)
{
    uint8_t *depth = mem_zalloc(e->n, 1, err);
    if (!depth) return -1;
    qsort(e->list, e->n, sizeof *e->list, by_item);
    bool risen = true;
    /* depth[i] is that of edge i's item, kept at the first edge of the item */
    for (int round = 0; risen && round <= DEEPEST; round++) {
        risen = false;
        for (size_t i = 0, first = 0; i < e->n; i++) {
            if (e->list[i].item != e->list[first].item) first = i;
            struct edge wanted = {e->list[i].part, 0};
            const struct edge *part = bsearch(&wanted, e->list, e->n, sizeof *e->list, by_item);
            while (part && part > e->list && part[-1].item == wanted.item)
                part--;
            uint8_t least = part ? (uint8_t)(depth[part - e->list] + 1) : 1;
            if (depth[first] < least) {
                depth[first] = least;
                risen = true;
            }
        }
    }
    free(depth);
    return risen ? error_set(err, EX_DATAERR, "an item is made of itself") : 0;
}

int heic_check_references(const uint8_t *bytes, size_t n_bytes, struct error *err)
{
    struct edges e = {0};
    struct box box, inner;
    int rc = 0;
    while (rc == 0 && next_box(&bytes, &n_bytes, &box)) {
        if (box.kind != KIND('m', 'e', 't', 'a') || box.n < 4) continue;
        const uint8_t *b = box.content + 4;
        size_t n = box.n - 4;
        while (rc == 0 && next_box(&b, &n, &inner))
            if (inner.kind == KIND('i', 'r', 'e', 'f')) rc = read_references(&e, inner.content, inner.n, err);
    }
    if (rc == 0 && e.n > 0) rc = check_depth(&e, err);
    free(e.list);
    return rc;
}
