/*
 * predict_memory.c: --memory of eval. It keeps the predictions of a model for the pictures of a shard set, by
 * the picture's content hash. A model that was evaluated before (the published one, or one whose report is
 * written again) then computes new pictures only. The key of a prediction also includes the bytes of the
 * model's files and all settings that a probability depends on. The first value is the checksum of the
 * record: a picture that was packed in another way is computed again. The bits of a prediction do not depend
 * on its batch (docs/training-run.md), so the rows are the same as without the memory.
 */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/simd.h"
#include "io/io.h"
#include "predict_memory.h"

/* Increase this when the same model and record give another result than before. */
#define ANSWERS_VERSION 1
#define SCORED "scored"
#define MOST_FILES 1000

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Appends name and hash of a file of the model. */
static int add_file(struct text *words, const char *name, const char *path, struct error *err)
{
    struct xxh128 hash;
    char hex[XXH128_HEX_BYTES];
    uint64_t n_bytes;
    if (xxh128_of_file(&hash, &n_bytes, path, err)) return -1;
    xxh128_hex(hex, &hash);
    return text_printf(words, err, " %s %s", name, hex);
}

/* Appends the files of the model's folder, in the order of their names, or the model's single file. */
static int add_model(struct text *words, const char *model, struct error *err)
{
    struct text path = TEXT_EMPTY;
    char **names = NULL;
    size_t n = 0, capacity = 0;
    struct stat st;
    DIR *d = NULL;
    int rc = 0;
    if (stat(model, &st)) return error_errno(err, EX_NOINPUT, "cannot look at '%s'", model);
    if (!S_ISDIR(st.st_mode)) return add_file(words, "", model, err);
    if (!(d = opendir(model))) return error_errno(err, EX_NOINPUT, "cannot read '%s'", model);
    for (struct dirent *e; rc == 0 && (e = io_next_entry(d, model, &rc, err));) {
        if (n == MOST_FILES)
            rc = error_set(err, EX_DATAERR, "'%s' has more than %d files", model, MOST_FILES);
        else if (mem_grow(&names, &capacity, n + 1, sizeof *names, err) ||
                 !(names[n] = mem_strdup(e->d_name, err)))
            rc = -1;
        else
            n++;
    }
    if (n) qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        text_clear(&path);
        if (text_printf(&path, err, "%s/%s", model, names[i]))
            rc = -1;
        else if (stat(path.data, &st) == 0 && S_ISREG(st.st_mode))
            rc = add_file(words, names[i], path.data, err);
    }
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    text_release(&path);
    closedir(d);
    return rc;
}

int predict_memory_open(struct predict_memory *m, const struct eval_options *o,
                        const struct predictor *predictor, struct error *err)
{
    const char *device = predictor_device(predictor);
    struct text words = TEXT_EMPTY;
    struct error own = {0};
    m->n_classes = predictor_n_classes(predictor);
    /* The result of a GPU depends on more than can be recorded here. */
    if (strcmp(device, "cpu") != 0 && strcmp(device, "ref") != 0) {
        stage_note(&o->common, "--memory is not used on %s", device);
        return 0;
    }
    int rc =
        text_printf(&words, err, "eval %d winnow %s device %s simd %d precision %d classes %s input %s model",
                    ANSWERS_VERSION, WINNOW_VERSION, device, (int)simd_level(), o->precision,
                    o->scoring.classes ? o->scoring.classes : "its own",
                    o->scoring.input ? o->scoring.input : "its own");
    if (rc == 0 && (add_model(&words, o->model, &own) ||
                    picture_memory_open(&m->pictures, o->memory, words.data, &own))) {
        stage_warn("every picture is computed: %s", own.text);
        picture_memory_close(&m->pictures);
    } else if (rc == 0) {
        m->open = true;
    }
    text_release(&words);
    return rc;
}

bool predict_memory_find(struct predict_memory *m, const struct shard_record *r, float *probabilities)
{
    struct xxh128 content;
    char checksum[20], number[32];
    if (!m->open || xxh128_from_hex(&content, r->xxh128)) return false;
    const struct remembered *what = picture_memory_find(&m->pictures, &content);
    if (!what || strcmp(what->outcome, SCORED) != 0) return false;
    size_t n = (size_t)snprintf(checksum, sizeof checksum, "%016llx\t", (unsigned long long)r->checksum);
    if (strncmp(what->values, checksum, n) != 0) return false;
    const char *at = what->values + n;
    for (int k = 0; k < m->n_classes; k++) {
        const char *tab = strchr(at, '\t');
        double p;
        if (!tab || (size_t)(tab - at) >= sizeof number) return false;
        memcpy(number, at, (size_t)(tab - at));
        number[tab - at] = 0;
        if (!parse_number(number, &p) || !(p >= 0 && p <= 1)) return false;
        probabilities[k] = (float)p;
        at = tab + 1;
    }
    m->n_recalled += !*at;
    return !*at;
}

int predict_memory_add(struct predict_memory *m, const char *xxh128, uint64_t checksum,
                       const float *probabilities, struct error *err)
{
    struct xxh128 content;
    char number[32];
    if (!m->open || xxh128_from_hex(&content, xxh128)) return 0;
    text_clear(&m->values);
    int rc = text_printf(&m->values, err, "%016llx\t", (unsigned long long)checksum);
    for (int k = 0; rc == 0 && k < m->n_classes; k++)
        rc = text_printf(&m->values, err, "%s\t", format_f32(number, probabilities[k]));
    const struct remembered what = {.outcome = SCORED, .values = m->values.data};
    return rc ? -1 : picture_memory_add(&m->pictures, &content, &what, err);
}

void predict_memory_commit(struct predict_memory *m, const struct common_options *common, uint64_t n_done)
{
    struct error own = {0};
    if (!m->open) return;
    if (picture_memory_commit(&m->pictures, &own))
        stage_warn("the next run computes these pictures again: %s", own.text);
    stage_note(common, "%llu pictures computed, %llu remembered",
               (unsigned long long)(n_done - m->n_recalled), (unsigned long long)m->n_recalled);
}

void predict_memory_close(struct predict_memory *m)
{
    picture_memory_close(&m->pictures);
    text_release(&m->values);
    *m = PREDICT_MEMORY_EMPTY;
}
