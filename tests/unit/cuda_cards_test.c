/* needs: base tensor */
/* cuda_cards_test.c: the cards that plans can be asked for, and descriptions that lack something. */
#include <stdio.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "tap.h"
#include "tensor/cuda_cards.h"

static const char *const keys[] = {"deviceVer", "memoryBusWidth", "maxSharedMemoryPerBlock", "deviceName",
                                   "totalGlobalMem"};

int main(void)
{
    char json[CUDA_CARD_BYTES], cut[CUDA_CARD_BYTES];
    int n = 0;
    for (const char *name; (name = cuda_card_name(n)); n++) {
        struct error err = {0};
        CHECK_SAY(!cuda_card_describe(name, json, sizeof json, &err) && !cuda_card_check(json, &err) &&
                      json[strlen(json) - 1] == '}',
                  "%s is described whole %s", name, err.text);
    }
    CHECK_SAY(n >= 7, "%d cards are known", n);
    /* The data sheets' figures: TFLOP/s dense, fp32, TF32, bf16, fp16, and GB/s. */
    static const struct {
        const char *name;
        double fp32, tf32, bf16, fp16, gb;
    } sheets[] = {{"t4", 8.1, 8.1, 0, 65, 320},         {"a100", 19.5, 156, 312, 312, 2039},
                  {"rtx3090", 35.6, 35.6, 71, 71, 936}, {"rtx4090", 82.6, 82.6, 165, 165, 1008},
                  {"b200", 75, 1100, 2250, 2250, 8000}, {"rtx5090", 104.8, 104.8, 209.5, 209.5, 1792}};
    for (size_t i = 0; i < sizeof sheets / sizeof *sheets; i++) {
        struct error err = {0};
        cuda_card_describe(sheets[i].name, json, sizeof json, &err);
        double expected[] = {sheets[i].fp32, sheets[i].tf32, sheets[i].bf16, sheets[i].fp16, sheets[i].gb},
               got[] = {1e-12 * cuda_card_operations_per_s(json, PRECISION_F32),
                        1e-12 * cuda_card_operations_per_s(json, PRECISION_TF32),
                        1e-12 * cuda_card_operations_per_s(json, PRECISION_BF16),
                        1e-12 * cuda_card_operations_per_s(json, PRECISION_F16),
                        1e-9 * cuda_card_bytes_per_s(json)};
        bool near = true; /* sheets state another clock than the highest, by up to a tenth */
        for (int k = 0; k < 5; k++)
            near &= fabs(got[k] - expected[k]) <= 0.1 * expected[k];
        CHECK_SAY(near, "%s: %.1f, %.1f, %.1f, %.1f TFLOP/s and %.0f GB/s at most", sheets[i].name, got[0],
                  got[1], got[2], got[3], got[4]);
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct error err = {0};
        char quoted[40];
        snprintf(quoted, sizeof quoted, "\"%s\"", keys[i]);
        memcpy(cut, json, sizeof cut);
        char *at = strstr(cut, quoted);
        if (CHECK_SAY(at != NULL, "%s is there", keys[i])) at[1] = '?';
        CHECK_SAY(cuda_card_check(cut, &err) && err.code == EX_DATAERR && strstr(err.text, quoted),
                  "without it: %s", err.text);
    }
    static const char *const wrong[][3] = {{"\"deviceVer\":", "\"deviceVer\":\"",
                                            "no number for \"deviceVer\""},
                                           {"\"warpSize\":", "\"warpSize\":t", "no number for \"warpSize\""},
                                           {"\"maxGridSize\":[", "\"maxGridSize\":", "no list for"},
                                           {"\"deviceName\":\"", "\"deviceName\":", "no text for"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error err = {0};
        char *at = strstr(json, wrong[i][0]);
        if (!CHECK_SAY(at != NULL, "%s is there", wrong[i][0])) continue;
        snprintf(cut, sizeof cut, "%.*s%s%s", (int)(at - json), json, wrong[i][1], at + strlen(wrong[i][0]));
        CHECK_SAY(cuda_card_check(cut, &err) && err.code == EX_DATAERR && strstr(err.text, wrong[i][2]),
                  "a value of another kind: %s", err.text);
    }
    struct error err = {0};
    CHECK_SAY(cuda_card_describe("voodoo2", json, sizeof json, &err) && err.code == EX_USAGE &&
                  strstr(err.text, "h200") && strstr(err.text, "t4"),
              "an unknown card, the known ones listed: %s", err.text);
    return tap_done();
}
