/*
 * net_torch_test.c: old PyTorch checkpoints (tests/fuzz/corpus/torch_state, by gen_torch_corpus.py): what a
 * state dict holds is read, transposed views and shared storages included, and every program that is more
 * than a state dict is refused with what it asks for. The whole networks are in tensor_efficientnet_test.c.
 */
/* needs: net io base */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/torch_state.h"
#include "tap.h"

static const char *corpus(const char *name)
{
    static char path[512];
    const char *top = getenv("TOP");
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/torch_state/%s.pth", top ? top : ".", name);
    return path;
}

static void check_ordinary(void)
{
    struct torch_state s;
    struct error err = {0};
    if (!CHECK_SAY(!torch_state_open(&s, corpus("ordinary"), &err), "a state dict: %s", err.text)) return;
    CHECK(s.n_tensors == 3 && !torch_state_find(&s, "x") && !torch_state_find(&s, "_metadata"));
    const struct torch_tensor *w = torch_state_find(&s, "w"), *n = torch_state_find(&s, "n");
    if (CHECK(w && w->dtype == TORCH_FLOAT && w->rank == 2 && w->dim[0] == 2 && w->dim[1] == 3))
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < 3; k++)
                CHECK_SAY(torch_tensor_at(w, i, k, 0, 0) == (float)(i + 2 * k), "w[%d,%d], a transposed view",
                          i, k);
    CHECK(n && n->dtype == TORCH_LONG && n->rank == 0);
    torch_state_release(&s);
    if (!CHECK_SAY(!torch_state_open(&s, corpus("shared"), &err), "a shared storage: %s", err.text)) return;
    const struct torch_tensor *b = torch_state_find(&s, "b");
    CHECK(b && torch_tensor_at(b, 2, 0, 0, 0) == 5);
    torch_state_release(&s);
}

static void check_refused(void)
{
    static const char *const cases[][2] = {
        {"calls-system", "the Python name 'posix.system' at byte"},
        {"calls-getattr", "the Python name 'builtins.getattr'"},
        {"half", "the Python name 'torch.HalfStorage'"},
        {"parameter", "the Python name 'torch._utils._rebuild_parameter'"},
        {"instance", "pickle operation 0x69 at byte"},
        {"view", "a storage that is not"},
        {"cut", "it is cut off"},
        {"longer", "bytes after its last storage"},
        {"outside", "a tensor outside its storage"},
        {"huge-stride", "a tensor of impossible sizes"},
        {"negative", "a tensor outside its storage"},
        {"other-size", "whose size is not what its tensors say"},
        {"no-values", "the values of 'w' are not there"},
        {"not-a-tensor", "'epoch' is not a tensor"},
        {"tensor-alone", "not a state dict"},
        {"no-operand", "without its operand"},
        {"no-mark", "without its mark"},
        {"no-memo", "was not remembered"},
        {"far-memo", "too many remembered values"},
        {"long", "more than 64 bits"},
        {"big-endian", "little-endian"},
        {"protocol-4", "no pickle of protocol 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct torch_state s;
        struct error err = {0};
        bool refused = torch_state_open(&s, corpus(cases[i][0]), &err) != 0;
        CHECK_SAY(refused && err.code == EX_DATAERR && strstr(err.text, cases[i][1]) &&
                      strstr(err.text, ".pth'"),
                  "%s is refused: %s", cases[i][0], err.text);
        if (!refused) torch_state_release(&s);
    }
}

static void check_models(void)
{
    static const struct {
        int side;
        size_t n_parameters;
    } nets[] = {{224, 3413024}, {240, 4189344}, {260, 4869168}};
    struct net n;
    struct error err = {0};
    for (int i = 0; i < 3; i++) {
        if (!CHECK_SAY(!net_build_efficientnet_lite(&n, i, 0, &err), "Lite%d: %s", i, err.text)) continue;
        const struct net_shape *in = &n.layers[n.input].output, *out = &n.layers[n.output].output;
        CHECK_SAY(net_count_parameters(&n, false) == nets[i].n_parameters, "%zu parameters",
                  net_count_parameters(&n, false));
        CHECK(in->dim[0] == nets[i].side && out->dim[0] == (nets[i].side + 31) / 32 && out->dim[2] == 1280);
        CHECK(n.metadata.input_scale == 1.0 / 128 && n.metadata.input_offset == -127.0 / 128);
        net_release(&n);
    }
    CHECK(net_build_efficientnet_lite(&n, 3, 0, &err) && err.code == EX_USAGE);
    CHECK_SAY(net_open(&n, corpus("ordinary"), &err) && strstr(err.text, "not EfficientNet-Lite's"),
              "a checkpoint of another network: %s", err.text);
}

int main(void)
{
    check_ordinary();
    check_refused();
    check_models();
    return tap_done();
}
