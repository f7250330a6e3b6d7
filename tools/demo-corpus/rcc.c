#include "rcc.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define MAX_DEPTH 32 /* of folders: a cycle in the tree ends here */
#define PATH_BYTES 2048

struct archive {
    const uint8_t *bytes;
    size_t n, tree, data, names, entry_bytes;
    rcc_visit *visit;
    void *context;
    size_t n_compressed, n_visited;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

static int damaged(struct error *err, const char *what)
{
    return error_set(err, EX_DATAERR, "damaged resource file: %s", what);
}

/* The entry's name as ASCII at the end of path (other characters become '_'); its new length, or -1. */
static int add_name(const struct archive *a, uint32_t offset, char *path, size_t length, struct error *err)
{
    size_t at = a->names + offset;
    if (offset > a->n || at + 6 > a->n) return damaged(err, "a name outside the file");
    size_t n = be16(a->bytes + at);
    if (at + 6 + 2 * n > a->n || length + n + 2 > PATH_BYTES) return damaged(err, "a name too long");
    path[length++] = '/';
    for (size_t i = 0; i < n; i++) {
        uint32_t c = be16(a->bytes + at + 6 + 2 * i);
        path[length++] = c > 32 && c < 127 && c != '/' ? (char)c : '_';
    }
    path[length] = 0;
    return (int)length;
}

static int walk(struct archive *a, uint32_t first, uint32_t count, char *path, size_t length, int depth,
                struct error *err)
{
    if (depth > MAX_DEPTH || a->n_visited > 1000000) return damaged(err, "folders too deep or in a circle");
    for (uint32_t i = 0; i < count; i++) {
        size_t at = a->tree + (size_t)(first + i) * a->entry_bytes;
        if (at + a->entry_bytes > a->n || at < a->tree) return damaged(err, "an entry outside the file");
        const uint8_t *e = a->bytes + at;
        uint32_t flags = be16(e + 4);
        int end = add_name(a, be32(e), path, length, err);
        if (end < 0) return -1;
        a->n_visited++;
        if (flags & 2) {
            if (walk(a, be32(e + 10), be32(e + 6), path, (size_t)end, depth + 1, err)) return -1;
        } else if (flags & (1 | 4)) {
            a->n_compressed++;
        } else {
            size_t data = a->data + be32(e + 10);
            if (data + 4 > a->n || be32(a->bytes + data) > a->n - data - 4)
                return damaged(err, "a file outside the archive");
            int rc = a->visit(a->context, path, a->bytes + data + 4, be32(a->bytes + data), err);
            if (rc) return rc;
        }
        path[length] = 0;
    }
    return 0;
}

int rcc_walk(const uint8_t *archive, size_t n_bytes, rcc_visit *visit, void *context, size_t *n_compressed,
             struct error *err)
{
    char path[PATH_BYTES] = "";
    struct archive a = {.bytes = archive, .n = n_bytes, .visit = visit, .context = context};
    if (n_bytes < 24 || memcmp(archive, "qres", 4))
        return error_set(err, EX_DATAERR, "not a Qt resource file");
    uint32_t version = be32(archive + 4);
    if (version < 1 || version > 3)
        return error_set(err, EX_DATAERR, "Qt resource version %u is not known", version);
    a.tree = be32(archive + 8);
    a.data = be32(archive + 12);
    a.names = be32(archive + 16);
    a.entry_bytes = version >= 2 ? 22 : 14;
    if (a.tree + a.entry_bytes > n_bytes) return damaged(err, "the tree is outside the file");
    /* Entry 0 is the root, a folder without a name. */
    const uint8_t *root = archive + a.tree;
    int rc = walk(&a, be32(root + 10), be32(root + 6), path, 0, 0, err);
    *n_compressed = a.n_compressed;
    return rc;
}
