/* needs: base io hash image */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "image/markers.h"
#include "tap.h"

#define RDF                                                                                                  \
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
#define PLUS " xmlns:plus=\"http://ns.useplus.org/ldf/xmp/1.0/\""
#define IPTC " xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\""
#define TDM " xmlns:tdm=\"http://www.w3.org/ns/tdmrep/\""
#define DMI "http://ns.useplus.org/ldf/vocab/"
#define DST "http://cv.iptc.org/newscodes/digitalsourcetype/"
/* A C2PA superbox: sizes, jumb, jumd, the type's UUID; then what follows. */
#define JUMBF(n)                                                                                             \
    "\0\0\0" n "jumb\0\0\0\x1cjumd"                                                                          \
    "c2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\3c2pa\0"

static void put(struct text *t, const void *bytes, size_t n)
{
    struct error err = {0};
    if (text_add(t, bytes, n, &err)) exit(71);
}

static void put_number(struct text *t, uint32_t v, unsigned bytes, bool little)
{
    for (unsigned i = 0; i < bytes; i++)
        put(t, &(uint8_t){(uint8_t)(v >> 8 * (little ? i : bytes - 1 - i))}, 1);
}

enum container { JPEG, JPEG_MORE, PNG, WEBP, GIF, BMFF, BMFF_ITEM, CONTAINERS };
static const char *const container_names[] = {"jpeg", "jpeg, extended", "png",       "webp",
                                              "gif",  "bmff",           "bmff, item"};

/* A file that holds the packet, and for what the walk needs only. */
static struct text wrap(enum container c, bool c2pa, const char *data, size_t n)
{
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/", more[] = "http://ns.adobe.com/xmp/extension/",
                      keyword[] = "XML:com.adobe.xmp\0\0\0x-default\0";
    static const uint8_t uuids[2][16] = {{0xbe, 0x7a, 0xcf, 0xcb, 0x97, 0xa9, 0x42, 0xe8, 0x9c, 0x71, 0x99,
                                          0x94, 0x91, 0xe3, 0xaf, 0xac},
                                         {0xd8, 0xfe, 0xc3, 0xd6, 0x1b, 0x0e, 0x48, 0x3c, 0x92, 0x97, 0x58,
                                          0x28, 0x87, 0x7e, 0xc4, 0x81}};
    struct text t = TEXT_EMPTY, d = TEXT_EMPTY;
    switch (c) {
    case JPEG:
    case JPEG_MORE:
        if (c2pa)
            put(&d, "JP\0\1\0\0\0\1", 8);
        else if (c == JPEG)
            put(&d, xmp, sizeof xmp);
        else
            put(&d, more, sizeof more), put(&d, "0123456789abcdef0123456789abcdef\0\0\1\0\0\0\0\0", 40);
        put(&d, data, n);
        put(&t, "\xff\xd8\xff\xe0\0\x04hi\xff\xff", 10);
        put(&t, c2pa ? "\xeb" : "\xe1", 1);
        put_number(&t, (uint32_t)d.n_bytes + 2, 2, false);
        put(&t, d.data, d.n_bytes);
        put(&t, "\xff\xda\0\2\xff\xd9", 6);
        break;
    case PNG:
        if (!c2pa) put(&d, keyword, sizeof keyword);
        put(&d, data, n);
        put(&t, "\x89PNG\r\n\x1a\n\0\0\0\1IHDRx\0\0\0\0", 21);
        put_number(&t, (uint32_t)d.n_bytes, 4, false);
        put(&t, c2pa ? "caBX" : "iTXt", 4);
        put(&t, d.data, d.n_bytes);
        put(&t, "\0\0\0\0", 4);
        break;
    case WEBP:
        put(&t, "RIFF\0\0\0\0WEBPVP8X\1\0\0\0x\0", 22);
        put(&t, c2pa ? "C2PA" : "XMP ", 4);
        put_number(&t, (uint32_t)n, 4, true);
        put(&t, data, n);
        break;
    case GIF:
        put(&t, "GIF89a", 6);
        put(&t,
            c2pa ? "\x21\xff\x0b"
                   "C2PA_GIF"
                 : "\x21\xff\x0bXMP DataXMP",
            c2pa ? 11 : 14);
        put(&t, data, n);
        break;
    case BMFF:
        put(&t,
            "\0\0\0\x10"
            "ftypavif\0\0\0\0",
            16);
        put_number(&t, (uint32_t)n + 24, 4, false);
        put(&t, "uuid", 4);
        put(&t, uuids[c2pa], 16);
        put(&t, data, n);
        break;
    case BMFF_ITEM: /* among the coded picture's bytes, as avifenc and telephones write it */
        put(&t,
            "\0\0\0\x10"
            "ftypavif\0\0\0\0",
            16);
        put_number(&t, (uint32_t)n + 18, 4, false);
        put(&t, "mdat\x12\0\n<'", 9);
        put(&t, data, n);
        put(&t, "\"<\xff>/", 5);
        break;
    case CONTAINERS: break;
    }
    text_release(&d);
    return t;
}

static const char *read_words(char out[MARKERS_TEXT_BYTES], const struct text *file)
{
    uint8_t *exact = malloc(file->n_bytes); /* a byte too far is seen */
    if (!exact) exit(71);
    memcpy(exact, file->data, file->n_bytes);
    image_markers_text(out, image_markers(exact, file->n_bytes));
    free(exact);
    return out;
}

static void test_xmp(void)
{
    static const struct {
        const char *packet, *words;
    } list[] = {
        {RDF "<rdf:Description" PLUS " plus:DataMining=\"" DMI "DMI-PROHIBITED\"/>",
         "data-mining:DMI-PROHIBITED@xmp"},
        {RDF "<rdf:Description plus:DataMining='" DMI "DMI-ALLOWED'" PLUS "/>",
         "data-mining:DMI-ALLOWED@xmp"},
        {RDF "<rdf:Description" PLUS "><plus:DataMining>" DMI "DMI-PROHIBITED-AIMLTRAINING</plus:DataMining>",
         "data-mining:DMI-PROHIBITED-AIMLTRAINING@xmp"},
        {RDF "<rdf:Description" PLUS "><plus:DataMining rdf:resource=\"" DMI
             "DMI-PROHIBITED-GENAIMLTRAINING\" />",
         "data-mining:DMI-PROHIBITED-GENAIMLTRAINING@xmp"},
        {RDF "<rdf:Description" PLUS "><plus:DataMining>\n " DMI
             "DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING \n</plus:DataMining>",
         "data-mining:DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING@xmp"},
        {RDF "<rdf:Description" PLUS " plus:DataMining=\"DMI-PROHIBITED-SEECONSTRAINT\"/>",
         "data-mining:DMI-PROHIBITED-SEE@xmp"},
        {RDF "<rdf:Description" PLUS " plus:DataMining=\"" DMI "DMI-UNSPECIFIED\"/>", ""},
        {RDF
         "<rdf:Description xmlns:p=\"http://ns.useplus.org/ldf/xmp/1.0/\" p:DataMining=\"DMI-PROHIBITED\"/>",
         "data-mining:DMI-PROHIBITED@xmp"},
        {RDF "<rdf:Description xmlns:plus=\"http://example.org/\" plus:DataMining=\"DMI-PROHIBITED\"/>", ""},
        {RDF "<rdf:Description plus:DataMining=\"DMI-PROHIBITED\"/>", ""},
        {RDF "<rdf:Description" PLUS " other='plus:DataMining=\"DMI-PROHIBITED\"'/>", ""},
        {RDF "<rdf:Description" PLUS " note='a > b' plus:DataMining=\"DMI-PROHIBITED\"/>",
         "data-mining:DMI-PROHIBITED@xmp"},
        {RDF "<!-- <rdf:Description" PLUS " plus:DataMining=\"DMI-PROHIBITED\"/> -->", ""},
        {RDF "<![CDATA[<rdf:Description" PLUS " plus:DataMining=\"DMI-PROHIBITED\"/>]]>", ""},
        {RDF "<rdf:Description" IPTC " Iptc4xmpExt:DigitalSourceType=\"" DST "trainedAlgorithmicMedia\"/>",
         "source:trainedAlgorithmicMedia@xmp"},
        {RDF "<rdf:Description" IPTC "><Iptc4xmpExt:DigitalSourceType>" DST
             "compositeWithTrainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>",
         "source:compositeWithTrainedAlgorithmicMedia@xmp"},
        {RDF "<rdf:Description" IPTC " Iptc4xmpExt:DigitalSourceType=\"" DST "compositeSynthetic\"/>",
         "source:compositeSynthetic@xmp"},
        {RDF "<rdf:Description" IPTC " Iptc4xmpExt:DigitalSourceType=\"" DST "digitalCapture\"/>",
         "source:other@xmp"},
        {RDF "<rdf:Description" TDM " tdm:reservation=\"1\" tdm:policy=\"https://example.org/p\"/>",
         "tdm-reservation:1@xmp"},
        {RDF "<rdf:Description" TDM "><tdm:reservation>0</tdm:reservation>", "tdm-reservation:0@xmp"},
        {RDF "<rdf:Description" TDM " tdm:reservation=\"2\"/>", ""},
        {"", ""},
        {"<", ""},
        {"<a", ""},
        {"<!--", ""},
        {"<a b='", ""},
        {RDF "<rdf:Description" PLUS " plus:DataMining=", ""},
        {RDF "<rdf:Description" PLUS "><plus:DataMining>DMI-PROHIBITED", ""},
    };
    char words[MARKERS_TEXT_BYTES];
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        for (enum container c = 0; c < CONTAINERS; c++) {
            struct text file = wrap(c, false, list[i].packet, strlen(list[i].packet));
            CHECK_SAY(strcmp(read_words(words, &file), list[i].words) == 0, "packet %zu in %s: '%s'", i,
                      container_names[c], words);
            text_release(&file);
        }
    /* A million levels, and the same of one open tag: linear, and what stands at the end is found. */
    struct text deep = TEXT_EMPTY;
    for (int i = 0; i < 1000000; i++)
        put(&deep, "<a>", 3);
    put(&deep, list[0].packet, strlen(list[0].packet));
    struct text file = wrap(WEBP, false, deep.data, deep.n_bytes);
    CHECK(strcmp(read_words(words, &file), list[0].words) == 0);
    text_release(&file);
    memset(deep.data, '<', 3000000);
    file = wrap(WEBP, false, deep.data, deep.n_bytes);
    read_words(words, &file);
    text_release(&file);
    text_release(&deep);
}

static void test_c2pa(void)
{
    static const char plain[] = JUMBF("\x2d"),
                      training[] = JUMBF("\x50") "c2pa.ai_training\xa1\x63use\x6anotAllowed",
                      allowed[] = JUMBF("\x50") "c2pa.ai_training\xa1\x63use\x67"
                                                "allowed",
                      model[] = JUMBF("\x70") "digitalSourceType\x78\x46" DST "trainedAlgorithmicMedia",
                      part[] = JUMBF("\x70") "digitalSourceType\x78\x46" DST
                                             "compositeWithTrainedAlgorithmicMedia",
                      other[] = "\0\0\0\x20jumb\0\0\0\x18jumd\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf\x10\3x\0";
    static const struct {
        const char *box;
        size_t n;
        const char *words;
    } list[] = {
        {plain, sizeof plain, "c2pa"},
        {training, sizeof training, "c2pa,ai_training:notAllowed@c2pa"},
        {allowed, sizeof allowed, "c2pa"},
        {model, sizeof model, "c2pa,source:trainedAlgorithmicMedia@c2pa"},
        {part, sizeof part, "c2pa,source:compositeWithTrainedAlgorithmicMedia@c2pa"},
    };
    char words[MARKERS_TEXT_BYTES];
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        for (enum container c = 0; c < BMFF_ITEM; c++) {
            struct text file = wrap(c, true, list[i].box, list[i].n);
            CHECK_SAY(strcmp(read_words(words, &file), c == GIF ? "c2pa" : list[i].words) == 0,
                      "box %zu in %s: '%s'", i, container_names[c], words);
            text_release(&file);
        }
    struct text file = wrap(JPEG, true, other, sizeof other);
    CHECK_SAY(strcmp(read_words(words, &file), "") == 0, "JUMBF of another kind: '%s'", words);
    text_release(&file);
}

int main(void)
{
    test_xmp();
    test_c2pa();
    char words[MARKERS_TEXT_BYTES];
    CHECK(strlen(image_markers_text(words, (1u << IMAGE_MARKERS) - 1)) < sizeof words - 1);
    CHECK(strcmp(image_markers_generated(0), "unknown") == 0 &&
          strcmp(image_markers_generated(1u << MARKER_SOURCE_OTHER), "no") == 0 &&
          strcmp(image_markers_generated(1u << MARKER_SOURCE_OTHER | 1u << MARKER_C2PA_PART), "partly") ==
              0 &&
          strcmp(image_markers_generated(1u << MARKER_SOURCE_OTHER | 1u << MARKER_C2PA_MODEL), "yes") == 0);
    CHECK(!image_markers_prohibit(1u << MARKER_MINING_NO_GENERATIVE | 1u << MARKER_MINING_ALLOWED |
                                  1u << MARKER_C2PA) &&
          image_markers_prohibit(1u << MARKER_MINING_ALLOWED | 1u << MARKER_MINING_PROHIBITED));
    return tap_done();
}
