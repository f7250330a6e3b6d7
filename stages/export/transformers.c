/*
 * transformers.c: writes a folder for Transformers.js' pipeline('image-classification', DIR): onnx/model.onnx
 * with the names of tensors that Transformers.js expects, the classes in config.json, and the preprocessing
 * in preprocessor_config.json. The pipeline applies the softmax itself, so the graph ends in logits, with the
 * temperature folded in.
 */
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "export.h"
#include "image/image.h"
#include "io/io.h"
#include "net/net_decisions.h"
#include "onnx/onnx.h"
#include "page/page.h"

/* Transformers.js opens only models of a type that it knows. This type means only that the input is a
 * picture. */
#define MODEL_TYPE "mobilenet_v2"

/* Adds "decisions", the thresholds that are stored in the model, if they were chosen for these weights. */
static int put_decisions(struct text *t, const struct export *x, struct error *err)
{
    const struct net_metadata *m = &x->net.metadata;
    struct net_decisions d;
    char *json = NULL;
    if (net_decisions_read(&d, m, err)) return -1;
    bool fit = d.n_views && strcmp(d.model_id, x->id) == 0 && d.temperature == m->temperature;
    net_decisions_release(&d);
    if (!fit) return 0;
    int rc =
        net_decisions_text(&json, m, err) || text_printf(t, err, ",\n  \"decisions\": %s", json) ? -1 : 0;
    free(json);
    return rc;
}

static int write_config(const struct export *x, const char *folder, struct error *err)
{
    const struct net_metadata *m = &x->net.metadata;
    struct text t = TEXT_EMPTY, path = TEXT_EMPTY;
    int rc = text_puts(&t,
                       "{\n  \"model_type\": \"" MODEL_TYPE "\",\n"
                       "  \"architectures\": [\"MobileNetV2ForImageClassification\"],\n  \"id2label\": {",
                       err);
    for (int i = 0; !rc && i < m->n_classes; i++)
        rc = text_printf(&t, err, "%s\"%d\": ", i ? ", " : "", i) || page_json(&t, m->classes[i], err);
    rc = rc || text_puts(&t, "},\n  \"label2id\": {", err);
    for (int i = 0; !rc && i < m->n_classes; i++)
        rc = text_puts(&t, i ? ", " : "", err) || page_json(&t, m->classes[i], err) ||
             text_printf(&t, err, ": %d", i);
    rc = rc || text_puts(&t, "}", err) || put_decisions(&t, x, err) || text_puts(&t, "\n}\n", err) ||
                 text_printf(&path, err, "%s/config.json", folder) ||
                 atomic_file_write(path.data, t.data, t.n_bytes, err)
             ? -1
             : 0;
    text_release(&t);
    text_release(&path);
    return rc;
}

/*
 * Writes preprocessor_config.json. x = byte * scale + offset is written as (byte * rescale_factor -
 * image_mean) / image_std, with the mean -offset and a deviation of 1, which rounds as classify does. Lanczos
 * (1) is the only method that averages when it reduces a picture in node, too; bilinear and bicubic sample
 * single pixels there.
 */
static int write_preprocessor(const struct net *n, const char *folder, struct error *err)
{
    const struct net_shape *in = &n->layers[n->input].output;
    struct text t = TEXT_EMPTY, path = TEXT_EMPTY;
    char scale[32], mean[32], size[80], crop[80] = "false";
    struct resize_rule rule;
    if (resize_rule_parse(n->metadata.resize, &rule, err)) return -1;
    int side = resize_rule_side(&rule, in->dim[0]);
    if (rule.keep_shape)
        snprintf(size, sizeof size, "{\"shortest_edge\": %d}", side);
    else
        snprintf(size, sizeof size, "{\"height\": %d, \"width\": %d}", side,
                 rule.first_px ? side : in->dim[1]);
    if (rule.first_px)
        snprintf(crop, sizeof crop, "true,\n  \"crop_size\": {\"height\": %d, \"width\": %d}", in->dim[0],
                 in->dim[1]);
    format_f64(scale, n->metadata.input_scale);
    format_f64(mean, n->metadata.input_offset == 0 ? 0 : -n->metadata.input_offset);
    int rc =
        text_printf(&t, err,
                    "{\n  \"image_processor_type\": \"ImageFeatureExtractor\",\n  \"do_convert_rgb\": true,\n"
                    "  \"do_resize\": true,\n  \"size\": %s,\n"
                    "  \"resample\": 1,\n  \"do_center_crop\": %s,\n"
                    "  \"do_rescale\": true,\n  \"rescale_factor\": %s,\n"
                    "  \"do_normalize\": true,\n  \"image_mean\": [%s, %s, %s],\n"
                    "  \"image_std\": [1, 1, 1]\n}\n",
                    size, crop, scale, mean, mean, mean) ||
                text_printf(&path, err, "%s/preprocessor_config.json", folder) ||
                atomic_file_write(path.data, t.data, t.n_bytes, err)
            ? -1
            : 0;
    text_release(&t);
    text_release(&path);
    return rc;
}

int export_transformers(struct export *x, const char *out_folder, struct error *err)
{
    const struct onnx_form form = {.nchw = true,
                                   .logits = true,
                                   .input_name = "pixel_values",
                                   .output_name = "logits"};
    struct text path = TEXT_EMPTY;
    if (x->net.metadata.n_classes == 0)
        return error_set(err, EX_DATAERR,
                         "'%s' does not name its classes, which --to transformers writes: give --classes",
                         x->opt->model);
    if (x->net.layers[x->net.output].activation != ACTIVATION_SOFTMAX)
        return error_set(err, EX_DATAERR,
                         "'%s' does not end in a softmax, so it has no logits for --to transformers; "
                         "--to onnx writes its scores as they are",
                         x->opt->model);
    int rc = text_printf(&path, err, "%s/onnx/model.onnx", out_folder) ||
                     onnx_write(&x->net, path.data, &form, err) || write_config(x, out_folder, err) ||
                     write_preprocessor(&x->net, out_folder, err)
                 ? -1
                 : 0;
    text_release(&path);
    return rc;
}
