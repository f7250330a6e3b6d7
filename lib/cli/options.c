/* options.c: parses options with getopt_long, and prints --help and --help-table. All three use one table, so
 * they always agree. */
#include "base/number.h"
#include "cli/options.h"

#include <assert.h>
#include <float.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

enum { HELP_VALUE = 1000, VERSION_VALUE, TABLE_VALUE, FIRST_LONG_VALUE };

static bool takes_argument(enum option_type type)
{
    return type != OPTION_FLAG && type != OPTION_COUNT && type != OPTION_HEADING;
}

/* Returns the index of `value` in a list separated by '|', or -1. */
static int choice_index(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (int i = 0; choices; i++) {
        const char *end = strchr(choices, '|');
        size_t length = end ? (size_t)(end - choices) : strlen(choices);
        if (length == n && memcmp(choices, value, n) == 0) return i;
        choices = end ? end + 1 : NULL;
    }
    return -1;
}

static void choice_name(const char *choices, int index, char *out, size_t bytes)
{
    for (; choices && index > 0; index--) {
        choices = strchr(choices, '|');
        choices = choices ? choices + 1 : NULL;
    }
    snprintf(out, bytes, "%.*s", choices ? (int)strcspn(choices, "|") : 0, choices ? choices : "");
}

/* Writes the default that --help shows, which is the initial value of the field; "" when there is no
 * default. */
static void default_text(const struct option_row *row, const void *fields, char *out, size_t bytes)
{
    const char *at = (const char *)fields + row->offset;
    out[0] = 0;
    switch (row->type) {
    case OPTION_STRING: {
        const char *s = *(const char *const *)(const void *)at;
        snprintf(out, bytes, "%s", s ? s : "");
        break;
    }
    case OPTION_INT: {
        int64_t v = *(const int64_t *)(const void *)at;
        /* A value below min means that there is no default. */
        if ((double)v >= row->min) snprintf(out, bytes, "%lld", (long long)v);
        break;
    }
    case OPTION_DOUBLE: snprintf(out, bytes, "%g", *(const double *)(const void *)at); break;
    case OPTION_SECONDS: {
        double s = *(const double *)(const void *)at;
        if (s >= 86400 && s / 86400 == (int)(s / 86400))
            snprintf(out, bytes, "%dd", (int)(s / 86400));
        else
            snprintf(out, bytes, "%gs", s);
        break;
    }
    case OPTION_BYTES: {
        uint64_t v = *(const uint64_t *)(const void *)at;
        const char *unit = "";
        if (v && v % 1073741824 == 0)
            v /= 1073741824, unit = "G";
        else if (v && v % 1048576 == 0)
            v /= 1048576, unit = "M";
        else if (v && v % 1024 == 0)
            v /= 1024, unit = "k";
        snprintf(out, bytes, "%llu%s", (unsigned long long)v, unit);
        break;
    }
    case OPTION_CHOICE: choice_name(row->choices, *(const int *)(const void *)at, out, bytes); break;
    default: break;
    }
}

#define HELP_COLUMN 28
#define HELP_WIDTH 80

/* Returns the width, within limits, of the terminal on standard output, where --help is printed. */
static int help_width(void)
{
    struct winsize w;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || w.ws_col < HELP_WIDTH) return HELP_WIDTH;
    return w.ws_col < 100 ? w.ws_col : 100;
}

/* Prints the words of text within the width of the help, from column `indent`
 * on. Line breaks count as blanks. */
static void wrap(FILE *to, const char *text, size_t n_bytes, int indent)
{
    const int width = help_width();
    const char *end = text + n_bytes;
    for (int column = indent; text < end;) {
        size_t n = strcspn(text, " \n");
        if (n > (size_t)(end - text)) n = (size_t)(end - text);
        if (column > indent && column + 1 + (int)n > width) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putc(' ', to);
            column++;
        }
        fwrite(text, 1, n, to);
        column += (int)n;
        text += n + strspn(text + n, " \n");
    }
    putc('\n', to);
}

static void help_row(FILE *to, const struct option_row *row, const void *fields)
{
    char left[128], value[256];
    struct text right = TEXT_EMPTY;
    struct error err = {0};
    int n = row->letter ? snprintf(left, sizeof left, "  -%c, --%s", row->letter, row->name)
                        : snprintf(left, sizeof left, "      --%s", row->name);
    if (row->type == OPTION_CHOICE)
        n += snprintf(left + n, sizeof left - (size_t)n, " %s", row->word ? row->word : "NAME");
    else if (takes_argument(row->type))
        n += snprintf(left + n, sizeof left - (size_t)n, " %s", row->word ? row->word : "VALUE");
    text_puts(&right, row->help, &err);
    if (row->type == OPTION_CHOICE) text_printf(&right, &err, " [%s]", row->choices);
    default_text(row, fields, value, sizeof value);
    if (value[0]) text_printf(&right, &err, " (default: %s)", value);
    fputs(left, to);
    if (n + 2 > HELP_COLUMN)
        fprintf(to, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(to, "%*s", HELP_COLUMN - n, "");
    wrap(to, right.data ? right.data : "", right.n_bytes, HELP_COLUMN);
    text_release(&right);
}

/* Lines that begin with a blank are examples and are printed unchanged. All others
 * are paragraphs and are wrapped. */
static void help_details(FILE *to, const char *text)
{
    putc('\n', to);
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (n == 0 || *text == ' ') {
            fprintf(to, "%.*s\n", (int)n, text);
        } else {
            while (text[n] && text[n + 1] && !strchr(" \n", text[n + 1]))
                n += 1 + strcspn(text + n + 1, "\n");
            wrap(to, text, n, 0);
        }
        text += n + (text[n] == '\n');
    }
}

static void print_help(FILE *to, const struct option_table *t, const void *fields)
{
    fprintf(to, "usage: %s [OPTION]... %s\n\n%s\n", t->name, t->synopsis, t->summary);
    if (t->details) help_details(to, t->details);
    fputs("\noptions:\n"
          "  -h, --help                print this and exit\n"
          "      --version             print the version and exit\n",
          to);
    for (const struct option_row *r = t->rows; r->type != OPTION_END; r++)
        if (r->type == OPTION_HEADING)
            fprintf(to, "\n%s:\n", r->help);
        else
            help_row(to, r, fields);
}

/* Prints name, letter, argument word, choices, default and help, for
 * completions and for the manual's test. */
static void print_table(const struct option_table *t, const void *fields)
{
    char value[256];
    printf("#program\t%s\t%s\t%s\n", t->name, t->synopsis, t->summary);
    for (const struct option_row *r = t->rows; r->type != OPTION_END; r++) {
        if (r->type == OPTION_HEADING) continue;
        default_text(r, fields, value, sizeof value);
        printf("--%s\t%s%c\t%s\t%s\t%s\t%s\n", r->name, r->letter ? "-" : "", r->letter ? r->letter : ' ',
               takes_argument(r->type) ? r->word ? r->word : "VALUE" : "", r->choices ? r->choices : "",
               value, r->help);
    }
    puts("--help\t-h\t\t\t\tprint this and exit\n--version\t \t\t\t\tprint the version and exit");
}

static int mistake(const struct option_table *t, const char *text)
{
    char shown[ERROR_TEXT_BYTES];
    fprintf(stderr, "%s: %s\n%s: try '%s --help'\n", t->name, text_for_people(shown, sizeof shown, text),
            t->name, t->name);
    return EX_USAGE;
}

/* Reports a failure. When memory ran out, it does not refer to --help, because the user made no mistake. */
static int failed(const struct option_table *t, const struct error *err)
{
    if (err->code != EX_OSERR) return mistake(t, err->text);
    fprintf(stderr, "%s: %s\n", t->name, err->text);
    return EX_OSERR;
}

/* Options that earlier versions had, and what to say instead. */
static const struct {
    const char *option, *instead;
} removed[] = {
    {"--no-orient", "say --orientation none"},
    {"--no-verify", "copies are always verified on their pixels"},
    {"--sum-tolerance", "a row of probabilities may miss 1 by 0.01"},
};

static const char *instead_of(const char *given)
{
    size_t n = strcspn(given, "=");
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++)
        if (strlen(removed[i].option) == n && memcmp(removed[i].option, given, n) == 0)
            return removed[i].instead;
    return NULL;
}

static int set_field(const struct option_row *row, void *fields, const char *value, struct error *err)
{
    char *at = (char *)fields + row->offset, what[80];
    bool bounded = row->min < row->max;
    snprintf(what, sizeof what, "--%s", row->name);
    switch (row->type) {
    case OPTION_FLAG: *(bool *)at = true; return 0;
    case OPTION_COUNT: ++*(int *)(void *)at; return 0;
    case OPTION_STRING: *(const char **)(void *)at = value; return 0;
    case OPTION_STRINGS: {
        struct option_strings *s = (struct option_strings *)(void *)at;
        const char **items = mem_realloc(s->items, (s->n + 1) * sizeof *items, err);
        if (!items) return -1;
        items[s->n++] = value;
        s->items = items;
        return 0;
    }
    case OPTION_INT:
        return parse_i64(value, bounded ? (int64_t)row->min : 0, bounded ? (int64_t)row->max : INT64_MAX,
                         (int64_t *)(void *)at, what, err);
    case OPTION_DOUBLE:
        return parse_double(value, bounded ? row->min : -DBL_MAX, bounded ? row->max : DBL_MAX,
                            (double *)(void *)at, what, err);
    case OPTION_BYTES:
        return parse_bytes(value, bounded ? (uint64_t)row->min : 0, bounded ? (uint64_t)row->max : INT64_MAX,
                           (uint64_t *)(void *)at, what, err);
    case OPTION_SECONDS:
        return parse_seconds(value, bounded ? row->min : 0, bounded ? row->max : 1e12, (double *)(void *)at,
                             what, err);
    case OPTION_CHOICE: {
        int i = choice_index(row->choices, value);
        if (i < 0) {
            char shown[80];
            return error_set(err, EX_USAGE, "%s: '%s' is not one of %s", what,
                             text_for_people(shown, sizeof shown, value), row->choices);
        }
        *(int *)(void *)at = i;
        return 0;
    }
    default: return error_set(err, EX_SOFTWARE, "option table of type %d", row->type);
    }
}

/* Whether --help comes before the first mistake in the arguments. */
static bool asks_for_help(int argc, char **argv, const char *letters, const struct option *longs)
{
    optind = 0;
    for (int value; (value = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        if (value == 'h' || value == HELP_VALUE) return true;
        if (value == '?' || value == ':') return false;
    }
    return false;
}

int options_parse(const struct option_table *table, void *fields, int argc, char **argv,
                  struct operands *operands)
{
    struct error err = {0};
    char letters[3 * 64 + 4], text[256], *l = letters, *help = NULL;
    size_t help_bytes = 0;
    int n_rows = 0, code = OPTIONS_RUN;
    while (table->rows[n_rows].type != OPTION_END)
        n_rows++;
    struct option *longs = mem_zalloc((size_t)n_rows + 4, sizeof *longs, &err);
    if (!longs) return failed(table, &err);
    int n = 0;
    *l++ = ':'; /* makes getopt distinguish a missing argument from an unknown option */
    for (int i = 0; i < n_rows; i++) {
        const struct option_row *r = &table->rows[i];
        if (r->type == OPTION_HEADING) continue;
        longs[n++] = (struct option){r->name, takes_argument(r->type) ? required_argument : no_argument, NULL,
                                     FIRST_LONG_VALUE + i};
        if (r->letter && l < letters + sizeof letters - 4) {
            *l++ = r->letter;
            if (takes_argument(r->type)) *l++ = ':';
        }
    }
    *l++ = 'h';
    *l = 0;
    longs[n++] = (struct option){"help", no_argument, NULL, HELP_VALUE};
    longs[n++] = (struct option){"version", no_argument, NULL, VERSION_VALUE};
    longs[n] = (struct option){"help-table", no_argument, NULL, TABLE_VALUE};

    opterr = 0;
    /* --help shows the defaults, so its text is made before any option changes the fields. It is printed only
     * when the parser reaches --help: a wrong value before it must still be an error, because
     * pipelines/settings relies on this. */
    if (asks_for_help(argc, argv, letters, longs)) {
        FILE *f = open_memstream(&help, &help_bytes);
        if (f) print_help(f, table, fields);
        if (!f || fclose(f)) {
            error_errno(&err, EX_OSERR, "cannot make the text of --help");
            code = failed(table, &err);
        }
    }
    optind = 0;
    while (code == OPTIONS_RUN) {
        int before = optind ? optind : 1, value = getopt_long(argc, argv, letters, longs, NULL);
        const struct option_row *row = NULL;
        if (value == -1) break;
        if (value == '?' || value == ':') {
            const char *given = before < argc ? argv[before] : "";
            if (optopt && optopt < HELP_VALUE)
                snprintf(text, sizeof text, value == ':' ? "option -%c needs a value" : "unknown option -%c",
                         optopt);
            else if (value == ':' || optopt >= HELP_VALUE)
                snprintf(text, sizeof text,
                         value == ':' ? "option '%.100s' needs a value" : "option '%.100s' takes no value",
                         given);
            else if (instead_of(given))
                snprintf(text, sizeof text, "the option %.*s was removed: %s", (int)strcspn(given, "="),
                         given, instead_of(given));
            else
                snprintf(text, sizeof text, "unknown or ambiguous option '%.100s'", given);
            code = mistake(table, text);
        } else if (value == 'h' || value == HELP_VALUE) {
            fwrite(help, 1, help_bytes, stdout);
            code = 0;
        } else if (value == VERSION_VALUE) {
            printf("%s (winnow) %s\n", table->name, WINNOW_VERSION);
            code = 0;
        } else if (value == TABLE_VALUE) {
            print_table(table, fields);
            code = 0;
        } else {
            for (int i = 0; i < n_rows && !row; i++)
                if (value == FIRST_LONG_VALUE + i ||
                    (table->rows[i].letter && value == table->rows[i].letter))
                    row = &table->rows[i];
            assert(row); /* getopt returns values of our own table only */
            if (set_field(row, fields, optarg, &err)) code = failed(table, &err);
        }
    }
    free(longs);
    free(help);
    if (code == 0 && (fflush(stdout) || ferror(stdout))) code = EX_IOERR;
    *operands = (struct operands){argv + optind, argc - optind};
    if (code == OPTIONS_RUN && operands->n < table->min_operands) {
        snprintf(text, sizeof text, "missing operand: %s", table->synopsis);
        code = mistake(table, text);
    } else if (code == OPTIONS_RUN && table->max_operands >= 0 && operands->n > table->max_operands) {
        snprintf(text, sizeof text, "one argument too many: '%.100s'", operands->items[table->max_operands]);
        code = mistake(table, text);
    }
    if (code != OPTIONS_RUN) options_release(table, fields);
    return code;
}

void options_release(const struct option_table *table, void *fields)
{
    for (const struct option_row *r = table->rows; r->type != OPTION_END; r++)
        if (r->type == OPTION_STRINGS) {
            struct option_strings *s = (struct option_strings *)(void *)((char *)fields + r->offset);
            free(s->items);
            *s = (struct option_strings){0};
        }
}
