/* net_open.c: chooses the reader for a path. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/text.h"
#include "io/io.h"
#include "net/net_parts.h"
#include "net/torch_state.h"

/*
 * Recognises other kinds of folders that users give by mistake: -1 with err set; 0 when it is none of them.
 */
static int not_a_model_folder(const char *path, struct text *text, struct error *err)
{
    static const struct {
        const char *file, *what;
    } kinds[] = {
        {"saved_model.pb",
         "a TensorFlow SavedModel: convert it with tensorflowjs_converter, as a layers model, or "
         "save the Keras model as .keras"},
        {"config.json",
         "a Hugging Face folder: give its onnx/model.onnx, or the Keras model that it was made of"},
        {"data.pkl", "an unpacked PyTorch file: copy the weights into a Keras model and save that as .h5"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        text_clear(text);
        if (text_printf(text, err, "%s/%s", path, kinds[i].file)) return -1;
        if (io_exists(text->data)) return error_set(err, EX_DATAERR, "'%s' is %s", path, kinds[i].what);
    }
    return 0;
}

static bool has_file(const char *folder, const char *name, struct text *text, struct error *err)
{
    text_clear(text);
    return !text_printf(text, err, "%s/%s", folder, name) && io_exists(text->data);
}

/* Whether this is a zip archive of no other known kind. The members may be in any order. */
static bool may_be_keras(const unsigned char *first, size_t n)
{
    const struct file_kind *kind = n >= 4 && memcmp(first, "PK\3\4", 4) == 0 ? file_kind_of(first, n) : NULL;
    return kind && (strncmp(kind->name, "a Keras 3", 9) == 0 || strcmp(kind->name, "a zip archive") == 0);
}

static int open_path(struct net *n, const char *path, bool header_only, struct error *err)
{
    struct text text = TEXT_EMPTY;
    struct stat st;
    int rc = -1;
    *n = NET_EMPTY;
    if (stat(path, &st)) return error_errno(err, EX_NOINPUT, "cannot open the model '%s'", path);
    if (S_ISDIR(st.st_mode)) {
        if (!text_printf(&text, err, "%s/model.json", path)) {
            if (io_exists(text.data))
                rc = net_read_tfjs(n, path, text.data, header_only, err);
            else if (has_file(path, "model.weights.h5", &text, err))
                rc = net_read_keras_folder(n, path, header_only, err);
            else if (!err->code && !not_a_model_folder(path, &text, err))
                error_set(err, EX_NOINPUT, "'%s' is not a model folder: it has no model.json", path);
        }
    } else {
        static const unsigned char hdf5_mark[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
        unsigned char first[FILE_KIND_BYTES] = {0};
        int fd = S_ISREG(st.st_mode) ? io_open_read(path, err)
                                     : error_set(err, EX_DATAERR, "'%s' is not a regular file", path);
        if (fd < 0) return -1;
        ssize_t got = io_read_some(fd, first, sizeof first, path, err);
        close(fd);
        if (got < 0) return -1;
        if (got >= 8 && memcmp(first, hdf5_mark, 8) == 0)
            rc = net_read_h5(n, path, header_only, err);
        else if (may_be_keras(first, (size_t)got))
            rc = net_read_keras(n, path, header_only, err);
        else if (torch_state_is(first, (size_t)got))
            rc = net_read_torch(n, path, err);
        else if (!file_kind_refuse(path, first, (size_t)got, err)) {
            const char *slash = strrchr(path, '/');
            if (!text_add(&text, slash ? path : ".", slash ? (size_t)(slash - path) + (slash == path) : 1,
                          err))
                rc = net_read_tfjs(n, text.data, path, header_only, err);
        }
    }
    text_release(&text);
    return rc;
}

int net_open(struct net *n, const char *path, struct error *err) { return open_path(n, path, false, err); }

int net_open_header(struct net *n, const char *path, struct error *err)
{
    return open_path(n, path, true, err);
}
