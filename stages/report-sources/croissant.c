/* croissant.c: describes the set as Croissant 1.1 JSON-LD. Every term that is used is in @context, and every
 * @id occurs once. Otherwise readers would read wrong data without an error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page/page.h"
#include "sources.h"

#define MANIFEST_MAX_BYTES (1ull << 33)

static const char context[] =
    "{\"@context\": {\"@language\": \"en\", \"@vocab\": \"https://schema.org/\", \"sc\": "
    "\"https://schema.org/\", "
    "\"cr\": \"http://mlcommons.org/croissant/\", \"rai\": \"http://mlcommons.org/croissant/RAI/\", "
    "\"dct\": \"http://purl.org/dc/terms/\", \"arrayShape\": \"cr:arrayShape\", \"citeAs\": \"cr:citeAs\", "
    "\"column\": \"cr:column\", \"conformsTo\": \"dct:conformsTo\", \"containedIn\": \"cr:containedIn\", "
    "\"data\": {\"@id\": \"cr:data\", \"@type\": \"@json\"}, "
    "\"dataType\": {\"@id\": \"cr:dataType\", \"@type\": \"@vocab\"}, "
    "\"equivalentProperty\": \"cr:equivalentProperty\", "
    "\"examples\": {\"@id\": \"cr:examples\", \"@type\": \"@json\"}, \"extract\": \"cr:extract\", "
    "\"field\": \"cr:field\", \"fileObject\": \"cr:fileObject\", \"fileProperty\": \"cr:fileProperty\", "
    "\"fileSet\": \"cr:fileSet\", \"format\": \"cr:format\", \"includes\": \"cr:includes\", "
    "\"isArray\": \"cr:isArray\", \"isLiveDataset\": \"cr:isLiveDataset\", \"jsonPath\": \"cr:jsonPath\", "
    "\"key\": \"cr:key\", \"md5\": \"cr:md5\", \"parentField\": \"cr:parentField\", \"path\": \"cr:path\", "
    "\"recordSet\": \"cr:recordSet\", \"references\": \"cr:references\", \"regex\": \"cr:regex\", "
    "\"repeated\": \"cr:repeated\", \"replace\": \"cr:replace\", \"samplingRate\": \"cr:samplingRate\", "
    "\"separator\": \"cr:separator\", \"source\": \"cr:source\", \"subField\": \"cr:subField\", "
    "\"transform\": \"cr:transform\"},\n";

static int member(struct text *t, const char *key, const char *value, struct error *err)
{
    return text_printf(t, err, " \"%s\": ", key) || page_json(t, value, err) || text_puts(t, ",\n", err) ? -1
                                                                                                         : 0;
}

/* Writes one sentence about rights, with the counts. */
static int limits(struct text *t, const struct sources *s, struct error *err)
{
    if (text_puts(t, "Rights as the hosts signalled them when the pictures were fetched:", err)) return -1;
    if (s->rights.words.n == 0) return text_puts(t, " not recorded.", err);
    for (size_t i = 0; i < s->rights.words.n; i++)
        if (text_printf(t, err, "%s %s %llu", i ? "," : "", s->rights.words.text[i],
                        (unsigned long long)s->rights.items[i].n))
            return -1;
    return text_puts(t, " pictures.", err);
}

static int head(struct text *t, const struct sources *s, const struct report_sources_options *o,
                struct error *err)
{
    struct text collected = TEXT_EMPTY, limited = TEXT_EMPTY;
    int rc = -1;
    if (s->has_url ? text_printf(&collected, err, "%llu pictures from %zu registrable domains, by URL.",
                                 (unsigned long long)s->all.n, s->domains.words.n)
                   : text_printf(&collected, err, "%llu pictures.", (unsigned long long)s->all.n))
        goto out;
    if (limits(&limited, s, err) || text_puts(t, context, err) ||
        text_puts(t,
                  " \"@type\": \"sc:Dataset\",\n \"conformsTo\": [\"http://mlcommons.org/croissant/1.1\", "
                  "\"http://mlcommons.org/croissant/RAI/1.0\"],\n",
                  err) ||
        member(t, "name", o->name, err) || member(t, "description", o->description, err) ||
        member(t, "license", o->licence, err) || member(t, "citeAs", o->cite_as, err) ||
        member(t, "datePublished", o->published, err) || member(t, "version", o->version, err) ||
        (o->url && member(t, "url", o->url, err)) || member(t, "rai:dataCollection", collected.data, err) ||
        text_printf(t, err, " \"rai:dataCollectionType\": [\"%s\"],\n",
                    s->has_url ? "Web Scraping" : "Others") ||
        (s->first[0] &&
         text_printf(t, err, " \"rai:dataCollectionTimeFrame\": [\"%s\", \"%s\"],\n", s->first, s->last)) ||
        text_puts(t, " \"rai:dataLimitations\": [", err) || page_json(t, limited.data, err) ||
        text_puts(t, "],\n", err))
        goto out;
    rc = 0;
out:
    text_release(&collected);
    text_release(&limited);
    return rc;
}

/* Appends the text to a glob pattern, with * ? and [ escaped. */
static int literally(struct text *pattern, const char *s, struct error *err)
{
    for (; *s; s++)
        if (strchr("*?[", *s) ? text_printf(pattern, err, "[%c]", *s) : text_add(pattern, s, 1, err))
            return -1;
    return 0;
}

static int files(struct text *t, const struct sources *s, const char *path, const char *shards,
                 struct error *err)
{
    char *bytes = NULL, hex[2 * SHA256_BYTES + 1];
    uint8_t digest[SHA256_BYTES];
    size_t n;
    const char *slash = strrchr(path, '/');
    struct text name = TEXT_EMPTY, pattern = TEXT_EMPTY;
    int rc = -1;
    if (io_read_file(path, MANIFEST_MAX_BYTES, &bytes, &n, err)) goto out;
    sha256_of(digest, bytes, n);
    hex_encode(hex, digest, sizeof digest);
    if (page_url(&name, slash ? slash + 1 : path, err) ||
        text_puts(t,
                  " \"distribution\": [\n  {\"@type\": \"cr:FileObject\", \"@id\": \"manifest\", \"name\": "
                  "\"manifest\", "
                  "\"contentUrl\": ",
                  err) ||
        page_json(t, name.data, err) ||
        text_printf(t, err,
                    ", \"contentSize\": \"%zu B\", \"encodingFormat\": \"text/tab-separated-values\", "
                    "\"sha256\": \"%s\"},\n",
                    n, hex) ||
        text_puts(t,
                  "  {\"@type\": \"cr:FileSet\", \"@id\": \"image-files\", \"name\": \"image-files\", "
                  "\"encodingFormat\": \"image/jpeg\", \"includes\": [",
                  err))
        goto out;
    for (size_t i = 0; i < s->extensions.words.n; i++) {
        text_clear(&pattern);
        if ((s->prefix.n_bytes && literally(&pattern, s->prefix.data, err)) ||
            text_puts(&pattern, "*", err) || literally(&pattern, s->extensions.words.text[i], err) ||
            (i && text_puts(t, ", ", err)) || page_json(t, pattern.data, err))
            goto out;
    }
    rc = text_puts(t, "]}", err) || (shards && croissant_shards_files(t, shards, path, err)) ||
                 text_puts(t, "\n ],\n", err)
             ? -1
             : 0;
out:
    free(bytes);
    text_release(&name);
    text_release(&pattern);
    return rc;
}

/* Writes a record set of the words in a column, with a description of each as its second field. */
static int enumeration(struct text *t, const char *id, const char *type, const struct tallies *words,
                       bool splits, struct error *err)
{
    static const char *const known[][2] = {{"train", "TrainingSplit"},
                                           {"val", "ValidationSplit"},
                                           {"test", "TestSplit"}};
    const char *second = splits ? "url" : "index";
    if (text_printf(
            t, err,
            "  {\"@type\": \"cr:RecordSet\", \"@id\": \"%s\", \"name\": \"%s\", \"dataType\": \"%s\", "
            "\"key\": {\"@id\": \"%s/name\"}, \"field\": [{\"@type\": \"cr:Field\", \"@id\": \"%s/name\", "
            "\"name\": \"name\", \"dataType\": \"sc:Text\"}, {\"@type\": \"cr:Field\", \"@id\": \"%s/%s\", "
            "\"name\": \"%s\", \"dataType\": \"%s\"}], \"data\": [",
            id, id, type, id, id, id, second, second, splits ? "sc:URL" : "sc:Integer"))
        return -1;
    for (size_t i = 0; i < words->words.n; i++) {
        const char *word = words->words.text[i], *url = NULL;
        for (size_t k = 0; k < 3; k++)
            if (strcmp(word, known[k][0]) == 0) url = known[k][1];
        if (text_printf(t, err, "%s{\"%s/name\": ", i ? ", " : "", id) || page_json(t, word, err) ||
            (!splits ? text_printf(t, err, ", \"%s/index\": %zu}", id, i)
                     : text_printf(t, err, ", \"%s/url\": \"http://mlcommons.org/croissant/%s\"}", id,
                                   url ? url : "Split")))
            return -1;
    }
    return text_puts(t, "]},\n", err);
}

static int field(struct text *t, const char *set, const char *column, const char *type, const char *reference,
                 struct error *err)
{
    return text_printf(
        t, err,
        ",\n    {\"@type\": \"cr:Field\", \"@id\": \"%s/%s\", \"name\": \"%s\", \"dataType\": %s, "
        "\"source\": {\"fileObject\": {\"@id\": \"manifest\"}, \"extract\": {\"column\": \"%s\"}}%s}",
        set, column, column, type, column, reference);
}

static int records(struct text *t, const struct sources *s, const char *shards, struct error *err)
{
    static const char label[] = "[\"sc:Text\", \"cr:Label\"]", split[] = "[\"sc:Text\", \"cr:Split\"]",
                      to_label[] = ", \"references\": {\"field\": {\"@id\": \"labels/name\"}}",
                      to_split[] = ", \"references\": {\"field\": {\"@id\": \"splits/name\"}}";
    if (text_puts(t, " \"recordSet\": [\n", err) ||
        (s->has_label && enumeration(t, "labels", "sc:Enumeration", &s->labels, false, err)) ||
        (s->has_split && enumeration(t, "splits", "cr:Split", &s->splits, true, err)) ||
        text_puts(t,
                  "  {\"@type\": \"cr:RecordSet\", \"@id\": \"pictures\", \"name\": \"pictures\", "
                  "\"key\": {\"@id\": \"pictures/path\"}, \"field\": [\n    {\"@type\": \"cr:Field\", "
                  "\"@id\": \"pictures/path\", \"name\": \"path\", \"dataType\": \"sc:Text\", \"source\": "
                  "{\"fileObject\": "
                  "{\"@id\": \"manifest\"}, \"extract\": {\"column\": \"path\"}}}",
                  err) ||
        (s->has_label && field(t, "pictures", "label", label, to_label, err)) ||
        (s->has_split && field(t, "pictures", "split", split, to_split, err)) ||
        (s->has_hash && field(t, "pictures", "xxh128", "\"sc:Text\"", "", err)) ||
        (s->has_url && field(t, "pictures", "url", "\"sc:URL\"", "", err)) ||
        (s->rights.words.n && field(t, "pictures", "rights", "\"sc:Text\"", "", err)) ||
        text_puts(t, "]},\n", err))
        return -1;
    /* A join needs the files as its source. The transform changes nothing, but makes the path a text. */
    return text_puts(
               t,
               "  {\"@type\": \"cr:RecordSet\", \"@id\": \"images\", \"name\": \"images\", \"field\": [\n"
               "    {\"@type\": \"cr:Field\", \"@id\": \"images/path\", \"name\": \"path\", \"dataType\": "
               "\"sc:Text\", "
               "\"source\": {\"fileSet\": {\"@id\": \"image-files\"}, \"extract\": {\"fileProperty\": "
               "\"fullpath\"}, "
               "\"transform\": {\"regex\": \"^(.*)$\"}}, \"references\": {\"fileObject\": {\"@id\": "
               "\"manifest\"}, "
               "\"extract\": {\"column\": \"path\"}}},\n"
               "    {\"@type\": \"cr:Field\", \"@id\": \"images/image\", \"name\": \"image\", "
               "\"dataType\": \"sc:ImageObject\", \"source\": {\"fileSet\": {\"@id\": \"image-files\"}, "
               "\"extract\": {\"fileProperty\": \"content\"}}}",
               err) ||
                   (s->has_label && field(t, "images", "label", "\"sc:Text\"", "", err)) ||
                   (s->has_split && field(t, "images", "split", "\"sc:Text\"", "", err)) ||
                   (s->has_hash && field(t, "images", "xxh128", "\"sc:Text\"", "", err)) ||
                   text_puts(t, "]}", err) || (shards && croissant_shards_records(t, shards, err)) ||
                   text_puts(t, "\n ]\n}\n", err)
               ? -1
               : 0;
}

int croissant_write(const struct sources *s, const struct report_sources_options *o, const char *path,
                    struct error *err)
{
    struct text t = TEXT_EMPTY;
    int rc = head(&t, s, o, err) || files(&t, s, path, o->shards, err) || records(&t, s, o->shards, err) ||
                     atomic_file_write(o->croissant, t.data, t.n_bytes, err)
                 ? -1
                 : 0;
    text_release(&t);
    return rc;
}
