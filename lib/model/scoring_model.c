/* scoring_model.c: opens a model for scoring; see scoring_model.h. */
#include "model/scoring_model.h"

#include "onnx/onnx.h"

static int make_remarks(const struct net *n, const char *path, enum net_ending ending, struct text *out,
                        struct error *err)
{
    static const char *const endings[] = {
        [NET_ENDS_IN_LOGITS] = "ends in logits: softmax is applied to them",
        [NET_ENDS_IN_ONE] = "has one output: it is used as the score of the second of two classes",
        [NET_ENDS_IN_SIGMOIDS] = "has a sigmoid for each class: the scores do not add up to 1",
    };
    int unnamed = n->metadata.n_classes == 0;
    if (endings[ending] && text_printf(out, err, "'%s' %s\n", path, endings[ending])) return -1;
    if (n->input_assumed &&
        text_printf(out, err,
                    "'%s' does not say how its input is scaled: 0 to 1 is assumed (set it with --input)%s\n",
                    path, unnamed ? "; it names no classes (name them with --classes)" : ""))
        return -1;
    return 0;
}

int scoring_model_open(struct net *n, const char *path, const struct scoring_options *o,
                       enum scoring_form form, struct text *remarks, struct error *err)
{
    struct net_input input = {0};
    enum net_ending ending = NET_ENDS_IN_PROBABILITIES;
    *n = NET_EMPTY;
    bool beside = false;
    if ((o->input ? net_input_parse(&input, o->input, err) : net_input_beside(&input, path, &beside, err)) ||
        onnx_open_model(n, path, input.side_px, form == SCORING_HEADER, err))
        return -1;
    beside &= n->input_assumed; /* a preprocessing that the model itself records takes precedence */
    if (((o->input || beside) && net_set_input(n, &input, err)) ||
        (beside && remarks &&
         text_printf(remarks, err, "'%s' is fed as preprocessor_config.json beside it says\n", path)) ||
        net_infer_shapes(n, 0, 0, err) ||
        (form != SCORING_AS_FILE && net_make_probabilities(n, &ending, err)) ||
        (o->classes && net_set_classes(n, o->classes, err)) ||
        (remarks && make_remarks(n, path, ending, remarks, err))) {
        net_release(n);
        return error_prefix(err, "'%s'", path);
    }
    return 0;
}

struct picture_rules scoring_picture_rules(const struct net_metadata *m)
{
    return (struct picture_rules){.background = m->background,
                                  .color = m->color,
                                  .orientation = m->orientation,
                                  .frame = m->frame};
}
