/*
 * net_preprocessor.c: reads preprocessor_config.json, in which Hugging Face's models describe the
 * preprocessing of pictures. It is beside the model file, or one folder up if the file is in a folder called
 * onnx.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "io/io.h"
#include "net/net_parts.h"

#define NAME "preprocessor_config.json"
#define MAX_BYTES (1u << 16) /* real ones have one kilobyte */

static bool flag(const cJSON *all, const char *key, bool missing)
{
    const cJSON *v = net_json_get(all, key);
    return cJSON_IsBool(v) ? cJSON_IsTrue(v) : missing;
}

/* Reads 224, {"height":224,"width":224} or {"shortest_edge":224}. *out becomes 0 when it is absent.
 * *keep_shape becomes true when it is the shorter side. */
static int side_of(const cJSON *v, bool *keep_shape, int *out, struct error *err)
{
    const cJSON *edge = net_json_get(v, "shortest_edge"), *height = net_json_get(v, "height"),
                *width = net_json_get(v, "width");
    int other;
    *keep_shape = edge != NULL;
    *out = 0;
    if (!v) return 0;
    if (edge     ? net_json_int(edge, 1, 8192, out)
        : height ? net_json_int(height, 1, 8192, out)
                 : net_json_int(v, 1, 8192, out))
        return error_set(err, EX_DATAERR, "a size that is none");
    if (!edge && height && (net_json_int(width, 1, 8192, &other) || other != *out))
        return error_set(err, EX_DATAERR, "only square pictures are supported");
    return 0;
}

static int three(const cJSON *list, double out[3], struct error *err)
{
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1;
    for (int c = 0; c < 3 && (n == 1 || n == 3); c++) {
        const cJSON *v = cJSON_GetArrayItem(list, n == 1 ? 0 : c);
        if (!cJSON_IsNumber(v)) n = -1;
        out[c] = n > 0 ? v->valuedouble : 0;
    }
    return n == 1 || n == 3 ? 0
                            : error_set(err, EX_DATAERR, "image_mean and image_std must have three numbers");
}

/* Reads a resampling filter, as Pillow's number. The default is bilinear, as in most readers of
 * Transformers. */
static int method_of(const cJSON *v, char *out, size_t out_bytes, struct error *err)
{
    static const char *const names[] = {NULL, "lanczos", "bilinear", "bicubic", "area", NULL};
    int number = 2;
    if (v && !cJSON_IsNull(v) && net_json_int(v, 0, 5, &number))
        return error_set(err, EX_DATAERR, "'resample' must be 0 to 5");
    if (!names[number])
        return error_set(err, EX_DATAERR,
                         "'resample' %d (%s) is not supported: say what to do instead, as in "
                         "--input torch,interpolation=bilinear",
                         number, number ? "Hamming" : "nearest");
    snprintf(out, out_bytes, "%s", names[number]);
    return 0;
}

static int read_config(struct net_input *in, const cJSON *all, struct error *err)
{
    const cJSON *factor = net_json_get(all, "rescale_factor");
    bool keep = false, ignored;
    int first = 0, crop = 0;
    *in = (struct net_input){.range = 1, .std = {1, 1, 1}};
    if (flag(all, "do_resize", true) && side_of(net_json_get(all, "size"), &keep, &first, err)) return -1;
    if (flag(all, "do_center_crop", false) && side_of(net_json_get(all, "crop_size"), &ignored, &crop, err))
        return -1;
    in->side_px = crop ? crop : first;
    if (crop && first && (first > crop || keep)) {
        in->first_px = first;
        in->keep_shape = keep;
    } else if (keep) { /* the shorter side gets the network's size, and the central square is cut out */
        in->first_px = first;
        in->keep_shape = true;
    }
    if (in->first_px && in->first_px < in->side_px)
        return error_set(err, EX_DATAERR, "a crop of %d cannot be cut from %d", in->side_px, in->first_px);
    if (method_of(net_json_get(all, "resample"), in->method, sizeof in->method, err)) return -1;
    if (flag(all, "do_normalize", true) && net_json_get(all, "image_mean") &&
        (three(net_json_get(all, "image_mean"), in->mean, err) ||
         three(net_json_get(all, "image_std"), in->std, err)))
        return -1;
    /* (byte * factor - mean) / std; a factor other than 1/255 is folded into mean and std */
    double rescale = !flag(all, "do_rescale", true) ? 1
                     : cJSON_IsNumber(factor)       ? factor->valuedouble
                                                    : 1.0 / 255;
    for (int c = 0; c < 3; c++) {
        if (!(in->std[c] > 0) || !(rescale > 0))
            return error_set(err, EX_DATAERR, "image_std and rescale_factor must be above 0");
        if (!(rescale > 0.0039 && rescale < 0.00393)) {
            in->mean[c] /= rescale * 255;
            in->std[c] /= rescale * 255;
        }
        if (!(fabs(in->mean[c]) <= 1e30) || !(in->std[c] > 0 && in->std[c] <= 1e30))
            return error_set(err, EX_DATAERR,
                             "numbers of image_mean, image_std or rescale_factor that are not usable");
    }
    return 0;
}

int net_input_beside(struct net_input *in, const char *path, bool *found, struct error *err)
{
    struct text file = TEXT_EMPTY;
    struct stat st;
    cJSON *all = NULL;
    char *bytes = NULL;
    size_t n_bytes;
    int rc = -1;
    *found = false;
    const char *slash = strrchr(path, '/');
    int folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? (int)strlen(path)
                 : slash                                     ? (int)(slash - path)
                                                             : 0;
    if (text_printf(&file, err, "%.*s/" NAME, folder ? folder : 1, folder ? path : ".")) goto out;
    if (!io_exists(file.data) && folder >= 4 && strncmp(path + folder - 4, "onnx", 4) == 0 &&
        (folder == 4 || path[folder - 5] == '/')) {
        text_clear(&file);
        if (text_printf(&file, err, "%.*s" NAME, folder - 4, path)) goto out;
    }
    if (!io_exists(file.data)) {
        rc = 0;
        goto out;
    }
    if (io_read_file(file.data, MAX_BYTES, &bytes, &n_bytes, err)) goto out;
    if (net_json_parse(bytes, n_bytes, &all, err) || read_config(in, all, err)) {
        (void)error_prefix(err, "'%s'", file.data);
        goto out;
    }
    *found = true;
    rc = 0;
out:
    cJSON_Delete(all);
    free(bytes);
    text_release(&file);
    return rc;
}
