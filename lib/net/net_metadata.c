/*
 * net_metadata.c: reads winnow's data in a model's userDefinedMetadata: the scaling of the input, the meaning
 * of the outputs, and the origin. docs/model-folder.md describes the keys. Unknown keys are copied as text.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net_parts.h"

void net_metadata_defaults(struct net_metadata *m)
{
    *m = (struct net_metadata){.input_scale = 1.0 / 255.0, .input_offset = 0, .temperature = 1, .frame = 1};
}

/* Whether the layer only passes on or selects values of its input. */
static bool passes_input(const struct net_layer *l)
{
    if (l->kind == LAYER_CONV2D) { /* channels in another order */
        bool plain = l->kernel_h == 1 && l->kernel_w == 1 && !l->use_bias && l->n_weights == 1 &&
                     l->weights[0].values && !l->trainable;
        for (size_t k = 0; plain && k < l->weights[0].n_values; k++)
            plain = l->weights[0].values[k] == 0 || l->weights[0].values[k] == 1;
        return plain;
    }
    return l->kind == LAYER_ZERO_PADDING || l->kind == LAYER_RESIZING || l->kind == LAYER_DROPOUT;
}

/* Whether x * scale + offset is more plausible for x from 0 to 255 than for x from 0 to 1. */
static bool suits_bytes(double scale, double offset)
{
    return fabs(scale) < 0.1 || fabs(offset) > 16 * fabs(scale);
}

void net_guess_input(struct net *n, bool header_only)
{
    bool bytes = n->bytes_input;
    int from = n->input;
    for (int i = 0; i < n->n_layers && !bytes; i++) {
        const struct net_layer *l = &n->layers[i];
        if (l->n_inputs != 1 || l->inputs[0] != from) continue;
        if (l->kind == LAYER_RESCALING)
            bytes = suits_bytes(l->rescale, l->offset);
        else if (l->kind == LAYER_SCALE && l->n_weights == 2 && l->weights[0].values && l->weights[1].values)
            bytes = suits_bytes(l->weights[0].values[0], l->weights[1].values[0]);
        else if (!passes_input(l))
            continue;
        from = i;
    }
    n->input_assumed = !bytes && !header_only; /* unknown without weights */
    if (!bytes) return;
    n->metadata.input_scale = 1;
    n->metadata.input_offset = 0;
}

static const char *const own_keys[] = {"classes", "model_id", "input", "temperature",
                                       "license", "onnx",     NULL};

static bool is_own_key(const char *key)
{
    for (int i = 0; own_keys[i]; i++)
        if (strcmp(own_keys[i], key) == 0) return true;
    return false;
}

static int read_classes(struct net_metadata *m, const cJSON *list, struct error *err)
{
    const cJSON *v;
    if (!list) return 0;
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1;
    if (n < 0 || n > 65536)
        return error_set(err, EX_DATAERR, "userDefinedMetadata: 'classes' must be a list of names");
    if (n == 0) return 0;
    if (!(m->classes = mem_zalloc((size_t)n, sizeof *m->classes, err))) return -1;
    cJSON_ArrayForEach(v, list)
    {
        if (!cJSON_IsString(v) || !layer_name_ok(v->valuestring))
            return error_set(err, EX_DATAERR, "userDefinedMetadata: class %d has no usable name",
                             m->n_classes + 1);
        for (int i = 0; i < m->n_classes; i++)
            if (n <= 4096 && strcmp(m->classes[i], v->valuestring) == 0)
                return error_set(err, EX_DATAERR, "userDefinedMetadata: the class '%s' occurs twice",
                                 v->valuestring);
        if (!(m->classes[m->n_classes] = mem_strdup(v->valuestring, err))) return -1;
        m->n_classes++;
    }
    return 0;
}

static int read_number(const cJSON *object, const char *key, double min, double max, double *out,
                       struct error *err)
{
    const cJSON *v = net_json_get(object, key);
    if (!v) return 0;
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= min) || !(v->valuedouble <= max))
        return error_set(err, EX_DATAERR, "userDefinedMetadata: '%s' must be a number from %g to %g", key,
                         min, max);
    *out = v->valuedouble;
    return 0;
}

static int keep_text(const cJSON *v, char **out, struct error *err)
{
    char *text = cJSON_PrintUnformatted(v);
    if (!text) return error_set(err, EX_OSERR, "cannot allocate the metadata");
    *out = mem_strdup(text, err);
    cJSON_free(text);
    return *out ? 0 : -1;
}

int net_read_metadata(struct net_metadata *m, const cJSON *object, struct error *err)
{
    net_metadata_defaults(m);
    if (!cJSON_IsObject(object)) return 0;
    const cJSON *input = net_json_get(object, "input"), *id = net_json_get(object, "model_id"), *v;
    if (read_classes(m, net_json_get(object, "classes"), err) ||
        read_number(object, "temperature", 1e-3, 1e3, &m->temperature, err) ||
        read_number(input, "scale", 1e-9, 1e9, &m->input_scale, err) ||
        read_number(input, "offset", -1e9, 1e9, &m->input_offset, err))
        return -1;
    if (cJSON_IsString(id) && strlen(id->valuestring) == 32 &&
        strspn(id->valuestring, "0123456789abcdef") == 32)
        snprintf(m->model_id, sizeof m->model_id, "%s", id->valuestring);
    v = net_json_get(input, "resize");
    if (cJSON_IsString(v)) {
        if (strlen(v->valuestring) >= sizeof m->resize || !layer_name_ok(v->valuestring))
            return error_set(err, EX_DATAERR, "userDefinedMetadata: 'resize' is not a method's name");
        snprintf(m->resize, sizeof m->resize, "%s", v->valuestring);
    }
    v = net_json_get(input, "color_space");
    if (v) {
        if (!cJSON_IsString(v) || strcmp(v->valuestring, "srgb") != 0)
            return error_set(err, EX_DATAERR, "userDefinedMetadata: 'color_space' is not srgb");
        memcpy(m->color, "srgb", 5);
    }
    v = net_json_get(input, "background");
    if (v) {
        const char *text = cJSON_IsString(v) ? v->valuestring : "";
        if (strlen(text) != 7 || text[0] != '#' || strspn(text + 1, "0123456789abcdef") != 6)
            return error_set(err, EX_DATAERR, "userDefinedMetadata: 'background' is not #rrggbb");
        snprintf(m->background, sizeof m->background, "%s", text);
    }
    v = net_json_get(input, "orientation");
    if (v) {
        const char *text = cJSON_IsString(v) ? v->valuestring : "";
        if (strcmp(text, "pillow") != 0 && strcmp(text, "none") != 0)
            return error_set(err, EX_DATAERR, "userDefinedMetadata: 'orientation' is not pillow or none");
        snprintf(m->orientation, sizeof m->orientation, "%s", text);
    }
    double frame = 1;
    if (read_number(input, "frame", 1, 100000, &frame, err)) return -1;
    if (frame != floor(frame)) return error_set(err, EX_DATAERR, "userDefinedMetadata: 'frame' is not whole");
    m->frame = (int)frame;
    if (cJSON_IsObject(net_json_get(object, "license")) &&
        keep_text(net_json_get(object, "license"), &m->license_json, err))
        return -1;
    if (cJSON_IsObject(net_json_get(object, "onnx")) &&
        keep_text(net_json_get(object, "onnx"), &m->onnx_json, err))
        return -1;
    cJSON *extra = cJSON_CreateObject();
    for (v = object->child; v; v = v->next)
        if (!is_own_key(v->string)) cJSON_AddItemToObject(extra, v->string, cJSON_Duplicate(v, true));
    int rc = extra && extra->child ? keep_text(extra, &m->extra_json, err) : 0;
    cJSON_Delete(extra);
    return rc;
}

/* Parses a JSON object that this program itself made. */
static cJSON *parse_own(const char *text, struct error *err)
{
    cJSON *v = NULL;
    if (net_json_parse(text, strlen(text), &v, err)) return NULL;
    if (cJSON_IsObject(v)) return v;
    cJSON_Delete(v);
    error_set(err, EX_SOFTWARE, "the extra metadata is not a JSON object");
    return NULL;
}

cJSON *net_write_metadata(const struct net *n, const char *model_id, struct error *err)
{
    const struct net_metadata *m = &n->metadata;
    const struct net_shape *in = &n->layers[n->input].output;
    cJSON *object = cJSON_CreateObject(), *extra = NULL;
    cJSON *classes = cJSON_AddArrayToObject(object, "classes");
    for (int i = 0; i < m->n_classes; i++)
        cJSON_AddItemToArray(classes, cJSON_CreateString(m->classes[i]));
    cJSON_AddStringToObject(object, "model_id", model_id);
    cJSON *input = cJSON_AddObjectToObject(object, "input");
    if (in->rank == 3 && in->dim[0] > 0 && in->dim[1] > 0) {
        cJSON_AddNumberToObject(input, "height", in->dim[0]);
        cJSON_AddNumberToObject(input, "width", in->dim[1]);
    }
    cJSON_AddStringToObject(input, "layout", "NHWC");
    cJSON_AddStringToObject(input, "color", "RGB");
    cJSON_AddNumberToObject(input, "scale", m->input_scale);
    cJSON_AddNumberToObject(input, "offset", m->input_offset);
    if (m->resize[0]) cJSON_AddStringToObject(input, "resize", m->resize);
    if (m->color[0]) cJSON_AddStringToObject(input, "color_space", m->color);
    if (m->background[0]) cJSON_AddStringToObject(input, "background", m->background);
    if (m->orientation[0]) cJSON_AddStringToObject(input, "orientation", m->orientation);
    if (m->frame > 1) cJSON_AddNumberToObject(input, "frame", m->frame);
    cJSON_AddNumberToObject(object, "temperature", m->temperature);
    if (m->license_json && !(extra = parse_own(m->license_json, err))) goto fail;
    if (extra) cJSON_AddItemToObject(object, "license", extra);
    if (m->onnx_json && !(extra = parse_own(m->onnx_json, err))) goto fail;
    if (m->onnx_json) cJSON_AddItemToObject(object, "onnx", extra);
    if (m->extra_json) {
        if (!(extra = parse_own(m->extra_json, err))) goto fail;
        for (cJSON *v; (v = extra->child);) {
            cJSON_DetachItemViaPointer(extra, v);
            if (is_own_key(v->string))
                cJSON_Delete(v);
            else
                cJSON_AddItemToObject(object, v->string, v);
        }
        cJSON_Delete(extra);
    }
    return object;
fail:
    cJSON_Delete(object);
    return NULL;
}

/* --- for showing --- */

static int put_lines(const cJSON *v, const char *key, struct text *out, struct error *err)
{
    const cJSON *child;
    int i = 0;
    if (cJSON_IsObject(v) || cJSON_IsArray(v)) {
        cJSON_ArrayForEach(child, v)
        {
            struct text longer = TEXT_EMPTY;
            int rc = child->string
                         ? text_printf(&longer, err, "%s%s%s", key, key[0] ? "." : "", child->string)
                         : text_printf(&longer, err, "%s%s%d", key, key[0] ? "." : "", i++);
            rc = rc || put_lines(child, longer.data, out, err);
            text_release(&longer);
            if (rc) return -1;
        }
        return 0;
    }
    char *printed = cJSON_IsString(v) ? NULL : cJSON_PrintUnformatted(v);
    const char *value = cJSON_IsString(v) ? v->valuestring : printed ? printed : "";
    int rc = text_printf(out, err, "%s\t", key);
    for (const char *c = value; !rc && *c; c++)
        rc = text_add(out, (unsigned char)*c < 0x20 ? " " : c, 1, err);
    rc = rc || text_puts(out, "\n", err);
    cJSON_free(printed);
    return rc;
}

int net_metadata_lines(const struct net *n, struct text *out, struct error *err)
{
    const char *texts[] = {n->metadata.license_json, n->metadata.extra_json};
    static const char *const keys[] = {"license", ""};
    for (int i = 0; i < 2; i++) {
        cJSON *v = texts[i] ? parse_own(texts[i], err) : NULL;
        if (texts[i] && !v) return -1;
        int rc = v ? put_lines(v, keys[i], out, err) : 0;
        cJSON_Delete(v);
        if (rc) return -1;
    }
    return 0;
}
