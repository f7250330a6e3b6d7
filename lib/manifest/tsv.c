#include "manifest/tsv.h"

#include <stdint.h>
#include <string.h>

int tsv_escape_cut(struct text *line, const char *field, size_t max_bytes, struct error *err)
{
    size_t begin = line->n_bytes;
    for (;;) {
        size_t plain = strcspn(field, "\t\n\r\\"), left = max_bytes - (line->n_bytes - begin);
        size_t fits = left > 1 ? left - 1 : 0; /* any byte may take two */
        if (plain >= fits) return text_add(line, field, fits, err);
        if (text_add(line, field, plain, err)) return -1;
        if (!field[plain]) return 0;
        const char *two = field[plain] == '\t'   ? "\\t"
                          : field[plain] == '\n' ? "\\n"
                          : field[plain] == '\r' ? "\\r"
                                                 : "\\\\";
        if (text_add(line, two, 2, err)) return -1;
        field += plain + 1;
    }
}

int tsv_escape(struct text *line, const char *field, struct error *err)
{
    return tsv_escape_cut(line, field, SIZE_MAX, err);
}

bool tsv_unescape(char *s)
{
    char *out = strchr(s, '\\');
    if (!out) return true;
    for (char *in = out; *in; in++) {
        if (*in != '\\') {
            *out++ = *in;
            continue;
        }
        switch (*++in) {
        case 't': *out++ = '\t'; break;
        case 'n': *out++ = '\n'; break;
        case 'r': *out++ = '\r'; break;
        case '\\': *out++ = '\\'; break;
        default: return false;
        }
    }
    *out = 0;
    return true;
}
