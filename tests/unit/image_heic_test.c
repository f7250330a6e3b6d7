/* needs: base io hash manifest image image/heic */
/* The references of a HEIF file: fragments of a meta box, which are no pictures. */
#include <string.h>

#include "image/heic/heic_references.h"
#include "image/image.h"
#include "tap.h"

static size_t put_box(uint8_t *out, const char *kind, const uint8_t *content, size_t n)
{
    size_t size = n + 8;
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(size >> (24 - 8 * i));
    memcpy(out + 4, kind, 4);
    memcpy(out + 8, content, n);
    return size;
}

struct reference {
    const char *kind;
    int from, n, to[4];
};

/* meta { iref { references } } with ids of two bytes (version 0) or four. */
static size_t make(uint8_t *out, const struct reference *r, size_t n, int version)
{
    uint8_t iref[8192] = {(uint8_t)version, 0, 0, 0}, body[64], meta[8200] = {0};
    size_t at = 4, id = version ? 4 : 2;
    for (size_t i = 0; i < n; i++) {
        memset(body, 0, sizeof body);
        body[id - 2] = (uint8_t)(r[i].from >> 8);
        body[id - 1] = (uint8_t)r[i].from;
        body[id + 1] = (uint8_t)r[i].n;
        for (int k = 0; k < r[i].n; k++) {
            body[id + 2 + ((size_t)k + 1) * id - 2] = (uint8_t)(r[i].to[k] >> 8);
            body[id + 2 + ((size_t)k + 1) * id - 1] = (uint8_t)r[i].to[k];
        }
        at += put_box(iref + at, r[i].kind, body, id + 2 + (size_t)r[i].n * id);
    }
    size_t inner = put_box(meta + 4, "iref", iref, at);
    return put_box(out, "meta", meta, inner + 4);
}

int main(void)
{
    static const struct {
        const char *what;
        int rc;
        struct reference list[10];
        size_t n;
    } cases[] = {
        {"a grid of four", 0, {{"dimg", 1, 4, {2, 3, 4, 5}}}, 1},
        {"a grid with alpha and a thumbnail of itself",
         0,
         {{"dimg", 1, 2, {2, 3}}, {"auxl", 9, 1, {1}}, {"thmb", 1, 1, {1}}},
         3},
        {"two grids that share a tile", 0, {{"dimg", 1, 2, {3, 4}}, {"dimg", 2, 2, {3, 4}}}, 2},
        {"itself", -1, {{"dimg", 7, 1, {7}}}, 1},
        {"one of several", -1, {{"dimg", 1, 4, {2, 3, 1, 4}}}, 1},
        {"through two others", -1, {{"dimg", 1, 1, {2}}, {"dimg", 2, 1, {3}}, {"dimg", 3, 2, {9, 1}}}, 3},
        {"through its alpha", -1, {{"auxl", 2, 1, {1}}, {"dimg", 2, 1, {1}}}, 2},
        {"seven deep",
         0,
         {{"dimg", 1, 1, {2}},
          {"dimg", 2, 1, {3}},
          {"dimg", 3, 1, {4}},
          {"dimg", 4, 1, {5}},
          {"dimg", 5, 1, {6}},
          {"dimg", 6, 1, {7}},
          {"dimg", 7, 1, {8}}},
         7},
        {"in two boxes of one item", -1, {{"dimg", 1, 1, {2}}, {"dimg", 1, 1, {3}}, {"dimg", 3, 1, {1}}}, 3},
    };
    uint8_t bytes[9000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int version = 0; version < 2; version++) {
            struct error err = {0};
            size_t n = make(bytes, cases[i].list, cases[i].n, version);
            int rc = heic_check_references(bytes, n, &err);
            CHECK_SAY(rc == cases[i].rc && (rc == 0 || err.code == EX_DATAERR), "%s, version %d: %d %s",
                      cases[i].what, version, rc, err.text);
            for (size_t cut = 0; cut < n; cut++) { /* every prefix is read within its bounds */
                uint8_t copy[9000];
                memcpy(copy, bytes, cut);
                (void)heic_check_references(copy, cut, &err);
            }
        }
    /* A box that claims to be larger than all of them hides nothing: libheif goes by the number of items. */
    const struct reference hidden[] = {{"dimg", 5, 1, {6}}, {"dimg", 7, 1, {7}}};
    size_t n = make(bytes, hidden, 2, 0);
    struct error err = {0};
    bytes[8 + 4 + 8 + 4 + 1] = 0xFB;
    CHECK(heic_check_references(bytes, n, &err) == -1);
    return tap_done();
}
