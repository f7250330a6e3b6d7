/* net_json.c: cJSON with limits. cJSON itself accepts duplicate keys, any number of values, and bytes
 * after the end. A model file from a stranger may have none of these. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/net_parts.h"

/* Scans the bytes once before anything is allocated, and counts the depth and the values. Strings are
 * skipped. */
static int count_values(const char *bytes, size_t n_bytes, struct error *err)
{
    int depth = 0;
    size_t values = 1;
    bool string = false;
    for (size_t i = 0; i < n_bytes; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == 0) return error_set(err, EX_DATAERR, "not JSON: a NUL byte at offset %zu", i);
        if (string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                string = false;
            continue;
        }
        if (c == '"')
            string = true;
        else if (c == '{' || c == '[') {
            values++;
            if (++depth > NET_MAX_JSON_DEPTH)
                return error_set(err, EX_DATAERR, "JSON nested deeper than %d at offset %zu",
                                 NET_MAX_JSON_DEPTH, i);
        } else if (c == '}' || c == ']')
            depth--;
        else if (c == ',')
            values++;
    }
    if (values > NET_MAX_JSON_VALUES)
        return error_set(err, EX_DATAERR, "more than %d JSON values", NET_MAX_JSON_VALUES);
    return 0;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* NET_MAX_JSON_DEPTH limits the recursion. */
static int refuse_duplicates(const cJSON *v, struct error *err)
{
    const cJSON *child;
    if (cJSON_IsObject(v)) {
        size_t n = 0, i = 0;
        cJSON_ArrayForEach(child, v) n++;
        const char **keys = mem_alloc((n + 1) * sizeof *keys, err);
        if (!keys) return -1;
        cJSON_ArrayForEach(child, v) keys[i++] = child->string;
        if (n > 1) qsort(keys, n, sizeof *keys, compare_keys);
        for (i = 1; i < n; i++)
            if (strcmp(keys[i - 1], keys[i]) == 0) {
                char shown[64];
                error_set(err, EX_DATAERR, "the key '%s' occurs twice in one object",
                          text_for_people(shown, sizeof shown, keys[i]));
                free(keys);
                return -1;
            }
        free(keys);
    }
    if (cJSON_IsObject(v) || cJSON_IsArray(v))
        cJSON_ArrayForEach(child, v) if (refuse_duplicates(child, err)) return -1;
    return 0;
}

int net_json_parse(const char *bytes, size_t n_bytes, cJSON **out, struct error *err)
{
    const char *end = NULL;
    *out = NULL;
    if (n_bytes > NET_MAX_JSON_BYTES)
        return error_set(err, EX_DATAERR, "JSON of %zu bytes is over the limit of %u", n_bytes,
                         NET_MAX_JSON_BYTES);
    if (!text_is_utf8(bytes, n_bytes)) return error_set(err, EX_DATAERR, "not JSON: not UTF-8");
    if (count_values(bytes, n_bytes, err)) return -1;
    cJSON *root = cJSON_ParseWithLengthOpts(bytes, n_bytes, &end, false);
    if (!root)
        return error_set(err, EX_DATAERR, "not JSON: a mistake near offset %zu",
                         end && end >= bytes && end <= bytes + n_bytes ? (size_t)(end - bytes) : (size_t)0);
    while (end < bytes + n_bytes && (*end == ' ' || *end == '\n' || *end == '\r' || *end == '\t'))
        end++;
    if (end != bytes + n_bytes) {
        error_set(err, EX_DATAERR, "not JSON: something follows the end at offset %zu",
                  (size_t)(end - bytes));
        cJSON_Delete(root);
        return -1;
    }
    if (refuse_duplicates(root, err)) {
        cJSON_Delete(root);
        return -1;
    }
    *out = root;
    return 0;
}

const cJSON *net_json_get(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
    return cJSON_IsNull(v) ? NULL : v;
}

int net_json_int(const cJSON *v, long min, long max, int *out)
{
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= (double)min) || !(v->valuedouble <= (double)max) ||
        v->valuedouble != floor(v->valuedouble))
        return -1;
    *out = (int)v->valuedouble;
    return 0;
}

int net_json_reopen(const char *text, const char *key, cJSON **all, cJSON **value, struct error *err)
{
    *all = NULL;
    if (text && net_json_parse(text, strlen(text), all, err)) return -1;
    if (!*all) *all = cJSON_CreateObject();
    cJSON_DeleteItemFromObjectCaseSensitive(*all, key);
    *value = cJSON_AddObjectToObject(*all, key);
    return 0;
}

int net_json_keep(char **text, cJSON *all, struct error *err)
{
    char *printed = cJSON_PrintUnformatted(all), *kept = printed ? mem_strdup(printed, err) : NULL;
    cJSON_free(printed);
    cJSON_Delete(all);
    if (!kept) return error_set(err, EX_OSERR, "cannot allocate the metadata");
    free(*text);
    *text = kept;
    return 0;
}
