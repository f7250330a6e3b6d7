/* nn_checks.h: what the calls of the stand-in of libcudnn refuse, each in one line; `call` is the name of the
 * call. */
#ifndef WINNOW_FAKECUDA_NN_CHECKS_H
#define WINNOW_FAKECUDA_NN_CHECKS_H

#include <stdlib.h>
#include <string.h>

#include "nn.h"

/* Is the word in FAKECUDA_SUPPORT? */
static inline bool support(const char *word)
{
    const char *list = getenv("FAKECUDA_SUPPORT");
    return list && strstr(list, word);
}

static inline float scalar(const void *p) { return *(const float *)p; }

static inline float *fresh(size_t n)
{
    float *p = calloc(n ? n : 1, sizeof *p);
    if (!p) abort();
    return p;
}

#define NEED_TENSORS(condition)                                                                              \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return nn_fail(call, CUDNN_STATUS_BAD_PARAM,                                                     \
                           "a tensor descriptor is missing, dead or was never set");                         \
    } while (0)
#define NEED_TYPE(t)                                                                                         \
    do {                                                                                                     \
        if (!nn_type_runs((t)->type))                                                                        \
            return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "type %d on this card", (int)(t)->type);        \
    } while (0)
#define NEED_POINTER(p, type)                                                                                \
    do {                                                                                                     \
        const char *bad_ = nn_bad_pointer(p, nn_element_bytes(type));                                        \
        if (bad_) return nn_fail(call, CUDNN_STATUS_BAD_PARAM, #p " is %s", bad_);                           \
    } while (0)

#endif
