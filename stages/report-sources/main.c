/* report-sources: describes the origin of a data set, as a table and as a Croissant description. Reads path
 * (and url bytes licence rights rights_signal fetched_at label split xxh128). */
#include <string.h>

#include "base/number.h"
#include "sources.h"

static const struct option_row rows[] = {
    COMMON_ROW_OUTPUT(struct report_sources_options, common),
    OPTION_GROUP("Croissant"),
    OPTION(struct report_sources_options, STRING, 0, "croissant", croissant, "FILE",
           "also describe the set as Croissant 1.1, in this file, which must be in the folder of MANIFEST"),
    OPTION(struct report_sources_options, STRING, 0, "name", name, "TEXT", "name of the set"),
    OPTION(struct report_sources_options, STRING, 0, "description", description, "TEXT",
           "one or more sentences about the set"),
    OPTION(struct report_sources_options, STRING, 0, "license", licence, "TEXT",
           "licence of the set: an address or words"),
    OPTION(struct report_sources_options, STRING, 0, "cite-as", cite_as, "TEXT", "how to cite the set"),
    OPTION(struct report_sources_options, STRING, 0, "published", published, "DATE",
           "date of publication, YYYY-MM-DD"),
    OPTION(struct report_sources_options, STRING, 0, "set-version", version, "N.N.N", "version of the set"),
    OPTION(struct report_sources_options, STRING, 0, "url", url, "URL", "address of the set (default: none)"),
    OPTION(struct report_sources_options, STRING, 0, "shards", shards, "DIR",
           "also describe the shard set or the tar files that pack wrote to this folder"),
    OPTION_GROUP("Common"),
    COMMON_ROW_TALK(struct report_sources_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "report-sources",
    .synopsis = "MANIFEST",
    .summary = "report where the pictures of a data set come from, as a table and as Croissant",
    .details =
        "The table has a row for the whole set and one for each registrable domain, licence, rights and "
        "rights_signal: kind name pictures pictures_share bytes bytes_share top first_fetched "
        "last_fetched, largest first; top is 1 for the top 10% of domains by bytes.",
    .rows = rows,
    .min_operands = 1,
    .max_operands = 1,
};

static bool is_version(const char *s)
{
    int n = 1;
    for (bool start = true; *s; s++) {
        if (*s == '.' && !start && n < 3)
            n++, start = true;
        else if (*s >= '0' && *s <= '9' && !(start && *s == '0' && s[1] >= '0' && s[1] <= '9'))
            start = false;
        else
            return false;
        if (start && !s[1]) return false;
    }
    return true;
}

/* Checks that the options have all that the description needs. Without it readers print warnings. */
static int check(const struct report_sources_options *o, const char *manifest, struct error *err)
{
    const char *const needed[][2] = {{"--name", o->name},           {"--description", o->description},
                                     {"--license", o->licence},     {"--cite-as", o->cite_as},
                                     {"--published", o->published}, {"--set-version", o->version}};
    char day[32];
    int64_t time;
    if (!o->croissant)
        return o->shards ? error_set(err, EX_USAGE, "--shards is for a description: give --croissant, too")
                         : 0;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!needed[i][1] || !*needed[i][1])
            return error_set(err, EX_USAGE, "--croissant needs %s, too", needed[i][0]);
    snprintf(day, sizeof day, "%.20sT00:00:00Z", o->published);
    if (strlen(o->published) != 10 || parse_time(day, &time))
        return error_set(err, EX_USAGE, "--published: '%s' is not a date YYYY-MM-DD", o->published);
    if (!*o->version || !is_version(o->version))
        return error_set(err, EX_USAGE, "--set-version: '%s' is not MAJOR.MINOR.PATCH", o->version);
    const char *a = strrchr(manifest, '/'), *b = strrchr(o->croissant, '/');
    size_t n = a ? (size_t)(a - manifest) : 0, m = b ? (size_t)(b - o->croissant) : 0;
    if (strcmp(manifest, "-") == 0 || n != m || memcmp(manifest, o->croissant, n) != 0)
        return error_set(err, EX_USAGE, "--croissant: '%s' is not in the folder of '%s'", o->croissant,
                         manifest);
    return 0;
}

int main(int argc, char **argv)
{
    struct report_sources_options opt = {.common = COMMON_OPTIONS_DEFAULTS};
    struct sources s = SOURCES_EMPTY;
    struct stage_counts n = {0};
    struct operands in;
    struct error err = {0};
    stage_begin("report-sources");
    int rc = options_parse(&table, &opt, argc, argv, &in);
    if (rc != OPTIONS_RUN) return rc;
    rc = check(&opt, in.items[0], &err) || sources_read(&s, in.items[0], opt.croissant != NULL, &err) ||
                 (opt.croissant && croissant_write(&s, &opt, in.items[0], &err)) ||
                 sources_write(&s, opt.common.output, &err)
             ? -1
             : 0;
    n.n_read = n.n_kept = s.all.n;
    sources_release(&s);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
