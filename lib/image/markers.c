/* markers.c: see markers.h. Finds XMP packets and C2PA manifests in the segments, chunks and boxes of
 * files. */
#include "image/markers.h"

#include <stdio.h>
#include <string.h>

#include "image/codec.h"

#define BIT(marker) (1u << (marker))

static const char *const words[IMAGE_MARKERS] = {
    [MARKER_MINING_ALLOWED] = "data-mining:DMI-ALLOWED@xmp",
    [MARKER_MINING_PROHIBITED] = "data-mining:DMI-PROHIBITED@xmp",
    [MARKER_MINING_NO_TRAINING] = "data-mining:DMI-PROHIBITED-AIMLTRAINING@xmp",
    [MARKER_MINING_NO_GENERATIVE] = "data-mining:DMI-PROHIBITED-GENAIMLTRAINING@xmp",
    [MARKER_MINING_ONLY_SEARCH] = "data-mining:DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING@xmp",
    [MARKER_MINING_SEE] = "data-mining:DMI-PROHIBITED-SEE@xmp",
    [MARKER_TDM_0] = "tdm-reservation:0@xmp",
    [MARKER_TDM_1] = "tdm-reservation:1@xmp",
    [MARKER_C2PA] = "c2pa",
    [MARKER_C2PA_NO_TRAINING] = "ai_training:notAllowed@c2pa",
    [MARKER_SOURCE_MODEL] = "source:trainedAlgorithmicMedia@xmp",
    [MARKER_SOURCE_PART] = "source:compositeWithTrainedAlgorithmicMedia@xmp",
    [MARKER_SOURCE_SYNTHETIC] = "source:compositeSynthetic@xmp",
    [MARKER_SOURCE_OTHER] = "source:other@xmp",
    [MARKER_C2PA_MODEL] = "source:trainedAlgorithmicMedia@c2pa",
    [MARKER_C2PA_PART] = "source:compositeWithTrainedAlgorithmicMedia@c2pa",
};

const char *image_markers_text(char out[MARKERS_TEXT_BYTES], uint32_t set)
{
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i < IMAGE_MARKERS; i++)
        if (set & BIT(i))
            n += (size_t)snprintf(out + n, MARKERS_TEXT_BYTES - n, "%s%s", n ? "," : "", words[i]);
    return out;
}

const char *image_markers_generated(uint32_t set)
{
    if (set & (BIT(MARKER_SOURCE_MODEL) | BIT(MARKER_C2PA_MODEL))) return "yes";
    if (set & (BIT(MARKER_SOURCE_PART) | BIT(MARKER_C2PA_PART) | BIT(MARKER_SOURCE_SYNTHETIC)))
        return "partly";
    return set & BIT(MARKER_SOURCE_OTHER) ? "no" : "unknown";
}

bool image_markers_prohibit(uint32_t set)
{
    return set &
           (BIT(MARKER_MINING_PROHIBITED) | BIT(MARKER_MINING_NO_TRAINING) | BIT(MARKER_MINING_ONLY_SEARCH) |
            BIT(MARKER_MINING_SEE) | BIT(MARKER_TDM_1) | BIT(MARKER_C2PA_NO_TRAINING));
}

/* --- XMP: a linear scan over the tags, without a tree, so that nesting needs no memory --- */

struct span {
    const char *s;
    size_t n;
};

static bool equals(struct span a, const char *word)
{
    return a.n == strlen(word) && memcmp(a.s, word, a.n) == 0;
}

static bool starts(struct span a, const char *word)
{
    return a.n >= strlen(word) && memcmp(a.s, word, strlen(word)) == 0;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static struct span skip(struct span a, size_t n) { return (struct span){a.s + n, a.n - n}; }

static const char *const namespaces[] = {
    "http://ns.useplus.org/ldf/xmp/1.0/", "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "http://www.w3.org/ns/tdmrep", /* with # or / at its end, in older and newer texts */
};
static const char *const names[] = {"DataMining", "DigitalSourceType", "reservation"};
#define PROPERTIES 3

/* Returns the last part of "http://.../name" or "scheme:name", without surrounding blanks. */
static struct span term(struct span v)
{
    while (v.n > 0 && is_blank(v.s[0]))
        v = skip(v, 1);
    while (v.n > 0 && is_blank(v.s[v.n - 1]))
        v.n--;
    for (size_t i = v.n; i > 0; i--)
        if (v.s[i - 1] == '/' || v.s[i - 1] == ':' || v.s[i - 1] == '#') return skip(v, i);
    return v;
}

static uint32_t note(int property, struct span value)
{
    struct span t = term(value);
    if (t.n == 0) return 0;
    if (property == 0)
        return equals(t, "DMI-ALLOWED")                                 ? BIT(MARKER_MINING_ALLOWED)
               : equals(t, "DMI-PROHIBITED")                            ? BIT(MARKER_MINING_PROHIBITED)
               : equals(t, "DMI-PROHIBITED-AIMLTRAINING")               ? BIT(MARKER_MINING_NO_TRAINING)
               : equals(t, "DMI-PROHIBITED-GENAIMLTRAINING")            ? BIT(MARKER_MINING_NO_GENERATIVE)
               : equals(t, "DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING") ? BIT(MARKER_MINING_ONLY_SEARCH)
               : starts(t, "DMI-PROHIBITED-SEE")                        ? BIT(MARKER_MINING_SEE)
                                                                        : 0;
    if (property == 1)
        return equals(t, "trainedAlgorithmicMedia")                ? BIT(MARKER_SOURCE_MODEL)
               : equals(t, "compositeWithTrainedAlgorithmicMedia") ? BIT(MARKER_SOURCE_PART)
               : equals(t, "compositeSynthetic")                   ? BIT(MARKER_SOURCE_SYNTHETIC)
                                                                   : BIT(MARKER_SOURCE_OTHER);
    return equals(t, "1") ? BIT(MARKER_TDM_1) : equals(t, "0") ? BIT(MARKER_TDM_0) : 0;
}

/* Finds the next name="value" in a tag and moves *a past it. */
static bool next_attribute(struct span *a, struct span *name, struct span *value)
{
    const char *quote;
    while (a->n > 0 && (is_blank(a->s[0]) || a->s[0] == '/'))
        *a = skip(*a, 1);
    name->s = a->s;
    while (a->n > 0 && a->s[0] != '=' && !is_blank(a->s[0]))
        *a = skip(*a, 1);
    name->n = (size_t)(a->s - name->s);
    while (a->n > 0 && is_blank(a->s[0]))
        *a = skip(*a, 1);
    if (a->n == 0 || a->s[0] != '=') return false;
    *a = skip(*a, 1);
    while (a->n > 0 && is_blank(a->s[0]))
        *a = skip(*a, 1);
    if (a->n < 2 || (a->s[0] != '"' && a->s[0] != '\'')) return false;
    if (!(quote = memchr(a->s + 1, a->s[0], a->n - 1))) return false;
    *value = (struct span){a->s + 1, (size_t)(quote - a->s - 1)};
    *a = skip(*a, value->n + 2);
    return true;
}

/* Returns the property with this name, or -1. prefixes has, for each property, the namespace prefix that was
 * declared last, or is empty. */
static int property_of(struct span name, const struct span prefixes[PROPERTIES])
{
    const char *colon = memchr(name.s, ':', name.n);
    if (!colon) return -1;
    struct span prefix = {name.s, (size_t)(colon - name.s)}, local = skip(name, prefix.n + 1);
    for (int i = 0; i < PROPERTIES; i++)
        if (prefix.n > 0 && prefix.n == prefixes[i].n && memcmp(prefix.s, prefixes[i].s, prefix.n) == 0 &&
            equals(local, names[i]))
            return i;
    return -1;
}

/* Returns the number of bytes before a '>' that is not in quotes, or n when there is none. */
static size_t tag_bytes(struct span a)
{
    char quote = 0;
    for (size_t i = 0; i < a.n; i++)
        if (quote)
            quote = a.s[i] == quote ? 0 : quote;
        else if (a.s[i] == '"' || a.s[i] == '\'')
            quote = a.s[i];
        else if (a.s[i] == '>')
            return i;
    return a.n;
}

static uint32_t scan_tag(struct span tag, struct span after, struct span prefixes[PROPERTIES])
{
    struct span name, value, rest, element = {tag.s, 0};
    uint32_t set = 0;
    while (element.n < tag.n && !is_blank(tag.s[element.n]) && tag.s[element.n] != '/')
        element.n++;
    tag = skip(tag, element.n);
    for (rest = tag; next_attribute(&rest, &name, &value);) {
        if (!starts(name, "xmlns:")) continue;
        for (int i = 0; i < PROPERTIES; i++)
            if (starts(value, namespaces[i])) prefixes[i] = skip(name, 6);
    }
    int own = property_of(element, prefixes);
    for (rest = tag; next_attribute(&rest, &name, &value);) {
        int property = property_of(name, prefixes);
        if (property >= 0) set |= note(property, value);
        if (own >= 0 && equals(name, "rdf:resource")) set |= note(own, value);
    }
    if (own >= 0) {
        const char *end = memchr(after.s, '<', after.n);
        if (end) set |= note(own, (struct span){after.s, (size_t)(end - after.s)});
    }
    return set;
}

static uint32_t scan_xmp(const uint8_t *bytes, size_t n_bytes)
{
    static const struct {
        const char *start, *end;
    } others[] = {{"!--", "-->"}, {"![CDATA[", "]]>"}, {"?", "?>"}, {"/", ">"}};
    struct span a = {(const char *)bytes, n_bytes}, prefixes[PROPERTIES] = {{NULL, 0}};
    uint32_t set = 0;
    for (const char *open; a.n > 0 && (open = memchr(a.s, '<', a.n));) {
        a = skip(a, (size_t)(open - a.s) + 1);
        size_t i = 0;
        while (i < 4 && !starts(a, others[i].start))
            i++;
        if (i < 4) {
            const char *end = memmem(a.s, a.n, others[i].end, strlen(others[i].end));
            if (!end) break;
            a = skip(a, (size_t)(end - a.s));
            continue;
        }
        size_t n = tag_bytes(a);
        if (n == a.n) break;
        set |= scan_tag((struct span){a.s, n}, skip(a, n + 1), prefixes);
        a = skip(a, n + 1);
    }
    return set;
}

/* --- C2PA: its presence, and the two statements that are plain text in its CBOR --- */

static uint32_t scan_c2pa(const uint8_t *bytes, size_t n)
{
    static const char training[] = ".ai_training", no[] = "notAllowed", source[] = "digitalsourcetype/";
    uint32_t set = BIT(MARKER_C2PA);
    struct span a = {(const char *)bytes, n};
    for (const char *at; (at = memmem(a.s, a.n, training, sizeof training - 1));) {
        a = skip(a, (size_t)(at - a.s) + sizeof training - 1);
        if (memmem(a.s, a.n < 24 ? a.n : 24, no, sizeof no - 1)) set |= BIT(MARKER_C2PA_NO_TRAINING);
    }
    a = (struct span){(const char *)bytes, n};
    for (const char *at; (at = memmem(a.s, a.n, source, sizeof source - 1));) {
        a = skip(a, (size_t)(at - a.s) + sizeof source - 1);
        if (starts(a, "trainedAlgorithmicMedia")) set |= BIT(MARKER_C2PA_MODEL);
        if (starts(a, "compositeWithTrainedAlgorithmicMedia")) set |= BIT(MARKER_C2PA_PART);
    }
    return set;
}

/* Whether b is a JUMBF superbox whose description names C2PA. The box may continue in other segments. */
static bool is_c2pa_box(const uint8_t *b, size_t n)
{
    return n >= 28 && memcmp(b + 4, "jumb", 4) == 0 && memcmp(b + 12, "jumd", 4) == 0 &&
           memcmp(b + 16, "c2pa", 4) == 0;
}

/* --- containers --- */

static uint32_t scan_jpeg(const uint8_t *b, size_t n)
{
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/", more[] = "http://ns.adobe.com/xmp/extension/";
    uint32_t set = 0;
    int manifest = -1; /* the number of the JUMBF box that is a C2PA manifest */
    for (size_t at = 2; at + 4 <= n && b[at] == 0xff;) {
        unsigned marker = b[at + 1];
        if (marker == 0xff) { /* padding */
            at++;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
            at += 2;
            continue;
        }
        size_t length = be16(b + at + 2), n_data = length - 2;
        const uint8_t *data = b + at + 4;
        if (marker == 0xda || marker == 0xd9 || length < 2 || length > n - at - 2) break;
        if (marker == 0xe1 && n_data > sizeof xmp && memcmp(data, xmp, sizeof xmp) == 0) {
            set |= scan_xmp(data + sizeof xmp, n_data - sizeof xmp);
        } else if (marker == 0xe1 && n_data > sizeof more + 40 && memcmp(data, more, sizeof more) == 0) {
            set |= scan_xmp(data + sizeof more + 40, n_data - sizeof more - 40);
        } else if (marker == 0xeb && n_data > 8 && memcmp(data, "JP", 2) == 0) {
            int box = (int)be16(data + 2);
            if (is_c2pa_box(data + 8, n_data - 8)) manifest = box;
            if (box == manifest) set |= scan_c2pa(data + 8, n_data - 8);
        }
        at += 2 + length;
    }
    return set;
}

/* iTXt consists of: keyword, NUL, compressed?, method, language, NUL, translated keyword, NUL, text. */
static uint32_t scan_itxt(const uint8_t *b, size_t n)
{
    static const char keyword[] = "XML:com.adobe.xmp";
    if (n < sizeof keyword + 2 || memcmp(b, keyword, sizeof keyword) != 0 || b[sizeof keyword] != 0) return 0;
    const uint8_t *at = b + sizeof keyword + 2, *end = b + n;
    for (int i = 0; i < 2; i++) {
        const uint8_t *nul = memchr(at, 0, (size_t)(end - at));
        if (!nul) return 0;
        at = nul + 1;
    }
    return scan_xmp(at, (size_t)(end - at));
}

static uint32_t scan_png(const uint8_t *b, size_t n)
{
    uint32_t set = 0;
    for (size_t at = 8; at + 12 <= n;) {
        size_t length = be32(b + at);
        const uint8_t *type = b + at + 4, *data = b + at + 8;
        if (length > n - at - 12) break;
        if (memcmp(type, "iTXt", 4) == 0)
            set |= scan_itxt(data, length);
        else if (memcmp(type, "caBX", 4) == 0 && is_c2pa_box(data, length))
            set |= scan_c2pa(data, length);
        at += 12 + length;
    }
    return set;
}

static uint32_t scan_webp(const uint8_t *b, size_t n)
{
    uint32_t set = 0;
    for (size_t at = 12; at + 8 <= n;) {
        size_t length = le32(b + at + 4);
        const uint8_t *data = b + at + 8;
        if (length > n - at - 8) break;
        if (memcmp(b + at, "XMP ", 4) == 0)
            set |= scan_xmp(data, length);
        else if (memcmp(b + at, "C2PA", 4) == 0 && is_c2pa_box(data, length))
            set |= scan_c2pa(data, length);
        at += 8 + length + (length & 1);
        if (at > n) break;
    }
    return set;
}

/* Finds XMP in a GIF, which contains the packet unchanged, without block lengths. The end of the packet is
 * its own end mark. */
static uint32_t scan_gif(const uint8_t *b, size_t n)
{
    static const char xmp[] = "\x21\xff\x0bXMP DataXMP",
                      c2pa[] = "\x21\xff\x0b"
                               "C2PA_GIF",
                      end[] = "<?xpacket end";
    const uint8_t *at = memmem(b, n, xmp, sizeof xmp - 1), *manifest = memmem(b, n, c2pa, sizeof c2pa - 1);
    uint32_t set = manifest ? BIT(MARKER_C2PA) : 0;
    if (!at) return set;
    at += sizeof xmp - 1;
    const uint8_t *stop = memmem(at, n - (size_t)(at - b), end, sizeof end - 1);
    return set | scan_xmp(at, stop ? (size_t)(stop - at) : n - (size_t)(at - b));
}

/* BMFF stores XMP as an item in mdat or idat, or in a uuid box. In both cases the packet is unchanged, so it
 * is found by its first bytes. The usual namespace prefixes are assumed. */
static uint32_t scan_packets(const uint8_t *b, size_t n)
{
    static const char wrapper[] = "<x:xmpmeta", start[] = "<rdf:RDF", end[] = "</rdf:RDF";
    uint32_t set = 0;
    for (const uint8_t *last = b + n, *packet, *outer, *stop;
         (packet = memmem(b, n, start, sizeof start - 1));) {
        outer = memmem(b, (size_t)(packet - b), wrapper, sizeof wrapper - 1);
        stop = memmem(packet, (size_t)(last - packet), end, sizeof end - 1);
        if (!stop) stop = last;
        if (outer) packet = outer;
        set |= scan_xmp(packet, (size_t)(stop - packet));
        b = stop;
        n = (size_t)(last - b);
    }
    return set;
}

static uint32_t scan_bmff(const uint8_t *b, size_t n)
{
    static const uint8_t c2pa[16] = {0xd8, 0xfe, 0xc3, 0xd6, 0x1b, 0x0e, 0x48, 0x3c,
                                     0x92, 0x97, 0x58, 0x28, 0x87, 0x7e, 0xc4, 0x81};
    uint32_t set = scan_packets(b, n);
    for (size_t at = 0; at + 8 <= n;) {
        uint64_t length = be32(b + at);
        size_t head = 8;
        if (length == 1 && n - at >= 16) {
            length = (uint64_t)be32(b + at + 8) << 32 | be32(b + at + 12);
            head = 16;
        } else if (length == 0) {
            length = n - at;
        }
        if (length < head || length > n - at) break;
        if (memcmp(b + at + 4, "uuid", 4) == 0 && length >= head + 16 && memcmp(b + at + head, c2pa, 16) == 0)
            set |= scan_c2pa(b + at + head + 16, (size_t)length - head - 16);
        at += (size_t)length;
    }
    return set;
}

uint32_t image_markers(const uint8_t *bytes, size_t n_bytes)
{
    switch (image_kind_of(bytes, n_bytes)) {
    case IMAGE_JPEG: return scan_jpeg(bytes, n_bytes);
    case IMAGE_PNG: return scan_png(bytes, n_bytes);
    case IMAGE_WEBP: return scan_webp(bytes, n_bytes);
    case IMAGE_GIF: return scan_gif(bytes, n_bytes);
    case IMAGE_AVIF:
    case IMAGE_HEIC: return scan_bmff(bytes, n_bytes);
    default: return 0;
    }
}
