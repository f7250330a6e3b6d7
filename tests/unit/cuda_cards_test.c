/* needs: base tensor */
/* cuda_cards_test.c: the cards that plans can be asked for, and descriptions that lack something. */
#include <stdio.h>
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
    struct error err = {0};
    CHECK_SAY(cuda_card_describe("voodoo2", json, sizeof json, &err) && err.code == EX_USAGE &&
                  strstr(err.text, "h200") && strstr(err.text, "t4"),
              "an unknown card, the known ones listed: %s", err.text);
    return tap_done();
}
