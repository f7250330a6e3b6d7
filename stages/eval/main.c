/* eval: measures a classifier: metrics with intervals, curves, slices, report.html. Its input is a file of
 * predictions, or a model and pictures; it also compares two models (--compare, --gate). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "eval_decisions.h"
#include "model/predictor.h"

static const struct option_row rows[] = {
    OPTION_GROUP("Input"),
    OPTION(struct eval_options, STRING, 0, "predictions", predictions, "FILE",
           "predictions: id label p_<class>... ('-' is standard input)"),
    OPTION(struct eval_options, STRING, 0, "model", model, "DIR",
           "model folder to make the predictions with"),
    OPTION(struct eval_options, STRING, 0, "shards", shards, "DIR|MANIFEST",
           "pictures for --model: a shard set or a manifest"),
    OPTION(struct eval_options, STRING, 0, "split", split, "NAME",
           "split to evaluate: train, val, test or all"),
    OPTION(struct eval_options, STRING, 0, "classes", scoring.classes, "A,B,...",
           "names of the classes, for a model that does not name them"),
    OPTION(struct eval_options, STRING, 0, "input", scoring.input, "SPEC",
           "how pictures are scaled and resized for a model whose file does not say it: unit (0 to 1), "
           "bytes (0 to 255), tf (-1 to 1), torch, caffe; or "
           "side=N,resize=N|NxN,crop=N,order=rgb|bgr,range=1|255,mean=A:B:C,std=A:B:C"),
    OPTION(struct eval_options, STRING, 0, "device", device, "NAME",
           "where the model runs: auto, cpu, cuda, ref"),
    OPTION(struct eval_options, CHOICE, 0, "precision", precision, "P",
           "auto: int8 for an int8 model (see export --precision), and fp32 for any other",
           CHOICES(PREDICTOR_PRECISIONS)),
    OPTION(struct eval_options, INT, 0, "batch", batch, "N", "pictures in one forward pass; 0 means 8",
           RANGE(0, 1024)),
    OPTION(struct eval_options, STRING, 0, "memory", memory, "FILE",
           "keep here, by xxh128, what the model says of each picture of a shard set; what the same model "
           "said before is not computed again (CPU)"),
    OPTION(struct eval_options, STRING, 0, "reports", reports, "FILE",
           "reports from users (see collect-reports): show whether each reported mistake is fixed"),
    OPTION(struct eval_options, STRING, 0, "log", log, "FILE",
           "log.tsv of the training, to show its curves in the report"),

    OPTION_GROUP("Questions"),
    OPTION(struct eval_options, STRINGS, 0, "view", views, "NAME=A+B",
           "define a view, a yes-or-no question whose score is the sum of these classes (repeatable)"),
    OPTION(struct eval_options, STRING, 0, "views", views_file, "FILE",
           "read views from this file, one NAME=A+B in each line, instead of the built-in strict and "
           "broad"),
    OPTION(struct eval_options, DOUBLE, 0, "threshold", threshold, "X",
           "lowest score at which a view flags a picture", RANGE(0, 1)),
    OPTION(struct eval_options, STRINGS, 0, "slice", slice_columns, "COLUMN",
           "also report the rates for each value of this column of the predictions (repeatable)"),
    OPTION(struct eval_options, STRING, 0, "slices", slices_file, "FILE",
           "read more slices from this file: id (or path) and slice"),
    OPTION(struct eval_options, FLAG, 0, "fit-temperature", fit_temperature, NULL,
           "fit the temperature on these rows (use --split val) and, with --model, store it in the model"),

    OPTION_GROUP("Rates and decisions"),
    OPTION(struct eval_options, STRING, 0, "prevalence", prevalence, "CLASS=RATE,...",
           "how often each class arrives in practice: 0.002, 0.2% or 1/500; the other classes share the "
           "rest"),
    OPTION(struct eval_options, STRING, 0, "prevalence-from", prevalence_from, "FILE",
           "estimate these rates from scores of unlabelled pictures: p_<class>..., as classify prints them"),
    OPTION(struct eval_options, STRING, 0, "val-predictions", val_predictions, "FILE",
           "predictions for the validation split, to estimate rates and choose thresholds; with --model "
           "eval makes them"),
    OPTION(struct eval_options, STRING, 0, "max-miss", max_miss, "RATE@CONFIDENCE",
           "choose each view's review threshold: 1%@95% for at most 1% missed, with 95% confidence"),
    OPTION(struct eval_options, STRING, 0, "max-wrong-block", max_wrong_block, "RATE@CONFIDENCE",
           "also choose a block threshold: at most this share of the negatives is blocked without review"),

    OPTION(struct eval_options, STRING, 0, "cost", cost, "miss=X,review=Y,...",
           "instead of --max-miss: choose the thresholds that cost least at these rates; without "
           "block-wrong=Z nothing is blocked"),
    OPTION(struct eval_options, STRINGS, 0, "store-decisions", store_decisions, "VIEW",
           "with --model: write this view's thresholds into the model, where classify obeys them "
           "(repeatable)"),

    OPTION_GROUP("Two models"),
    OPTION(struct eval_options, FLAG, 0, "compare", compare, NULL,
           "compare two predictions files, OLD and NEW, on the rows that both have"),
    OPTION(struct eval_options, FLAG, 0, "drift", drift, NULL,
           "compare the scores of unlabelled pictures from two times, OLD and NEW; with "
           "--val-predictions also their rates"),
    OPTION(struct eval_options, STRINGS, 0, "gate", gates, "TEXT",
           "exit 1 unless this holds for NEW: 'recall@fpr=0.01 >= old', 'fpr[slice] no worse' (repeatable)"),

    OPTION_GROUP("Output"),
    OPTION(struct eval_options, STRING, 0, "out", out, "DIR",
           "folder for metrics.tsv, report.html, curves, slices, predictions.tsv"),
    OPTION(struct eval_options, FLAG, 0, "no-report", no_report, NULL, "write no report.html"),
    COMMON_ROW_ROOT(struct eval_options, common),
    COMMON_ROW_THREADS(struct eval_options, common),
    COMMON_ROW_TALK(struct eval_options, common),

    OPTION_GROUP("Expert"),
    OPTION(struct eval_options, INT, 0, "min-slice", min_slice, "N",
           "show slices with fewer rows, but never flag them", RANGE(1, 1e9)),
    OPTION(struct eval_options, INT, 0, "bootstrap", bootstrap, "N",
           "resamples for the interval of the accuracy; 0: Wilson's interval", RANGE(0, 1e6)),
    OPTION(struct eval_options, STRING, 0, "title", title, "TEXT", "heading of the report"),
    OPTION(struct eval_options, INT, 0, "worst", worst, "N", "worst mistakes shown in the report",
           RANGE(0, 500)),
    OPTION(struct eval_options, FLAG, 0, "no-thumbnails", no_thumbnails, NULL,
           "show no pictures in the report"),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "eval",
    .synopsis = "[OLD NEW]",
    .summary = "evaluate a model, with confidence intervals and a report, or compare two models",
    .details = "Reads predictions (id label p_<class>... and slice columns) or makes them with --model. "
               "Writes into --out: metrics.tsv (metric key value ci_low ci_high n), report.html, "
               "roc-VIEW.tsv, pr-VIEW.tsv, slices-VIEW.tsv, slices.tsv, and predictions.tsv with --model.\n\n"
               "  eval --predictions predictions.tsv --out runs/1/eval\n"
               "  eval --model runs/1/model --shards runs/1/shards --split "
               "test --log runs/1/log.tsv --out runs/1/eval\n"
               "  eval --model runs/1/model --shards runs/1/shards --split val --fit-temperature --out "
               "runs/1/eval-val\n"
               "  eval --compare runs/1/eval/predictions.tsv runs/2/eval/predictions.tsv --gate 'accuracy >= "
               "old' --gate 'fpr[*] no worse'",
    .rows = rows,
    .max_operands = 2,
};

static int store_temperature(const struct eval_options *o, const struct evaluation *e, struct error *err)
{
    char text[32], old[32];
    struct text path = TEXT_EMPTY, content = TEXT_EMPTY;
    int rc = -1;
    if (e->temperature.at_edge)
        return error_set(err, EX_DATAERR,
                         "no temperature fits: the best lies outside 0.05..20 (is every row right, or "
                         "none?)");
    if (text_printf(&path, err, "%s/temperature.tsv", o->out) ||
        text_printf(&content, err, "temperature\tnll_before\tnll_after\tn\n%s\t",
                    format_real(text, e->temperature.temperature)) ||
        text_printf(&content, err, "%s\t%s\t%zu\n", format_real(old, e->temperature.nll_before),
                    format_real(text, e->temperature.nll_after), e->p->n_rows) ||
        atomic_file_write(path.data, content.data, content.n_bytes, err))
        goto out;
    rc = o->model ? predict_store_temperature(o, e->temperature.temperature, err) : 0;
out:
    text_release(&path);
    text_release(&content);
    return rc;
}

/* Reads --val-predictions, which must have the classes of p. */
static int read_validation(struct predictions *val, const struct eval_options *o, const struct predictions *p,
                           struct error *err)
{
    struct manifest_source source = MANIFEST_SOURCE_EMPTY;
    struct predictions_options po = {.keep_groups = true, .no_find = true};
    char known[300];
    int rc = -1;
    if (manifest_source_open(&source, o->val_predictions, err) || predictions_read(val, &source, &po, err))
        goto out;
    bool same = val->n_classes == p->n_classes;
    for (int k = 0; same && k < p->n_classes; k++)
        same = strcmp(val->classes[k], p->classes[k]) == 0;
    if (!same) {
        error_set(err, EX_DATAERR,
                  "'%s' has scores of another model: its classes are not those of '%s', in this order: %s",
                  val->name, p->name,
                  text_names_for_people(known, sizeof known, (const char *const *)p->classes,
                                        (size_t)p->n_classes));
        goto out;
    }
    rc = 0;
out:
    manifest_source_close(&source);
    return rc;
}

static int evaluate(const struct eval_options *o, struct manifest_source *source, const char *model_line,
                    struct error *err)
{
    struct predictions p = PREDICTIONS_EMPTY, val = PREDICTIONS_EMPTY;
    struct decisions decisions = DECISIONS_EMPTY;
    struct views views = VIEWS_EMPTY;
    struct evaluation e = EVALUATION_EMPTY;
    struct user_reports reports = USER_REPORTS_EMPTY;
    struct text report = TEXT_EMPTY;
    struct predictions_options po = {.slice_columns = o->slice_columns.items,
                                     .n_slice_columns = o->slice_columns.n,
                                     .auto_slices = true,
                                     .keep_path_keys = o->slices_file != NULL,
                                     .keep_groups = o->max_miss != NULL,
                                     .no_find = !o->slices_file && !o->reports};
    size_t n_unknown = 0;
    int rc = -1;
    if (predictions_read(&p, source, &po, err) ||
        (o->slices_file && predictions_add_slices(&p, o->slices_file, &n_unknown, err)) ||
        (o->reports && user_reports_read(&reports, o->reports, &p, err)) || views_make(&views, o, &p, err) ||
        evaluation_make(&e, &p, &views, o, err) ||
        (o->val_predictions && read_validation(&val, o, &p, err)) ||
        decisions_make(&decisions, &e, o->val_predictions ? &val : &p, o, err))
        goto out;
    if (n_unknown)
        stage_note(&o->common, "%zu rows of '%s' name pictures that are not among the predictions", n_unknown,
                   o->slices_file);
    if (!o->no_report) {
        struct report_input in = {&e, o, &reports, &decisions, source, model_line};
        if (text_printf(&report, err, "%s/report.html", o->out) || report_write(&in, report.data, err))
            goto out;
    }
    if (eval_write_tables(&e, &reports, &decisions, o->out, err) ||
        (o->fit_temperature && store_temperature(o, &e, err)) ||
        (o->store_decisions.n && predict_store_decisions(o, &decisions, err)))
        goto out;
    stage_note(&o->common,
               "%zu rows, %d classes: accuracy %.4f, balanced %.4f, log loss %.4f, ECE %.4f, temperature "
               "%.4f",
               p.n_rows, p.n_classes, e.c.accuracy, e.c.balanced_accuracy, e.c.log_loss,
               calibration_ece(e.width15, 15), e.temperature.temperature);
    rc = decisions.n_refused ? EX_VERDICT_NO : 0;
out:
    user_reports_release(&reports);
    decisions_release(&decisions);
    evaluation_release(&e);
    predictions_release(&val);
    views_release(&views);
    predictions_release(&p);
    text_release(&report);
    return rc;
}

static int check_usage(const struct eval_options *o, const struct operands *operands, struct error *err)
{
    if (o->compare) {
        if (operands->n != 2)
            return error_set(err, EX_USAGE, "--compare takes two predictions files: OLD NEW");
        if (o->predictions || o->model || o->shards || o->reports || o->prevalence || o->prevalence_from)
            return error_set(err, EX_USAGE,
                             "--compare cannot be used with --predictions, --model, --shards, --reports or "
                             "--prevalence");
        return 0;
    }
    if (o->drift) {
        if (operands->n != 2) return error_set(err, EX_USAGE, "--drift takes two files of scores: OLD NEW");
        if (o->predictions || o->model || o->shards || o->prevalence || o->prevalence_from || o->max_miss)
            return error_set(err, EX_USAGE, "--drift can be used only with --val-predictions and --out");
        return 0;
    }
    if (operands->n)
        return error_set(err, EX_USAGE, "'%s': only --compare and --drift take operands", operands->items[0]);
    if (o->gates.n) return error_set(err, EX_USAGE, "--gate needs --compare OLD NEW");
    if (!o->out) return error_set(err, EX_USAGE, "--out DIR is needed");
    if (!o->predictions == !o->model)
        return error_set(err, EX_USAGE, "either --predictions or --model is needed");
    if (o->memory && (!*o->memory || !o->model || !o->shards))
        return error_set(err, EX_USAGE,
                         *o->memory ? "--memory needs --model and --shards" : "--memory: an empty name");
    if (o->prevalence && o->prevalence_from)
        return error_set(err, EX_USAGE, "either --prevalence or --prevalence-from, not both");
    if (o->val_predictions && !o->prevalence_from && !o->max_miss && !o->cost)
        return error_set(err, EX_USAGE,
                         "--val-predictions is used only with --prevalence-from, --max-miss or --cost");
    struct guarantee g;
    if (o->cost && (o->max_miss || !(o->prevalence || o->prevalence_from)))
        return error_set(err, EX_USAGE, "--cost needs --prevalence or --prevalence-from, and no --max-miss");
    if (o->cost && o->predictions && !o->val_predictions)
        return error_set(err, EX_USAGE,
                         "--cost needs --val-predictions FILE: thresholds are not chosen on the rows that "
                         "say what they cost");
    if ((o->max_miss && guarantee_parse(&g, o->max_miss, "--max-miss", err)) ||
        (o->max_wrong_block && guarantee_parse(&g, o->max_wrong_block, "--max-wrong-block", err)))
        return -1;
    if (o->max_wrong_block && !o->max_miss)
        return error_set(err, EX_USAGE, "--max-wrong-block needs --max-miss");
    if (o->store_decisions.n && (!o->model || !o->max_miss))
        return error_set(err, EX_USAGE, "--store-decisions needs --model and --max-miss");
    if (o->store_decisions.n && o->fit_temperature)
        return error_set(err, EX_USAGE,
                         "--store-decisions after --fit-temperature: a new temperature gives other scores");
    if (o->max_miss && o->predictions && !o->val_predictions)
        return error_set(
            err, EX_USAGE,
            "--max-miss needs --val-predictions FILE: a threshold guarantees nothing on the rows "
            "on which it was chosen");
    if (o->model && !o->shards) return error_set(err, EX_USAGE, "--model needs --shards DIR|MANIFEST");
    if (o->predictions && o->shards && !io_exists(o->shards))
        return error_set(err, EX_NOINPUT, "no shards at '%s'", o->shards);
    return 0;
}

/* With --model: writes the predictions for the validation split to predictions-val.tsv. */
static int predict_validation(struct eval_options *o, struct text *path, struct error *err)
{
    struct eval_options val = *o;
    struct text line = TEXT_EMPTY;
    int rc = -1;
    val.split = "val";
    if (!text_printf(path, err, "%s/predictions-val.tsv", o->out))
        rc = predict_run(&val, path->data, &line, err);
    o->val_predictions = path->data;
    text_release(&line);
    return rc;
}

static int run(const struct eval_options *given, const struct operands *operands, struct error *err)
{
    /* a copy, in which the predictions that are computed here can be named */
    struct eval_options copy = *given, *o = &copy;
    struct manifest_source source = MANIFEST_SOURCE_EMPTY;
    struct text made = TEXT_EMPTY, model_line = TEXT_EMPTY, val = TEXT_EMPTY;
    int rc = -1;
    if (check_usage(o, operands, err)) return -1;
    if (o->out && io_mkdirs(o->out, err)) return -1;
    if (o->drift) return drift_run(o, operands->items[0], operands->items[1], err);
    if (o->compare) return compare_run(o, operands->items[0], operands->items[1], err);
    if (o->model && (text_printf(&made, err, "%s/predictions.tsv", o->out) ||
                     predict_run(o, made.data, &model_line, err)))
        goto out;
    if (o->model && (o->max_miss || o->cost || o->prevalence_from) && !o->val_predictions &&
        predict_validation(o, &val, err))
        goto out;
    if (manifest_source_open(&source, o->model ? made.data : o->predictions, err)) goto out;
    rc = evaluate(o, &source, model_line.data ? model_line.data : "", err);
out:
    manifest_source_close(&source);
    text_release(&made);
    text_release(&model_line);
    text_release(&val);
    return rc;
}

int main(int argc, char **argv)
{
    struct eval_options opt = {.common = COMMON_OPTIONS_DEFAULTS,
                               .split = "test",
                               .device = "auto",
                               .threshold = 0.5,
                               .bootstrap = 2000,
                               .min_slice = 20,
                               .worst = 60,
                               .title = "Evaluation"};
    struct operands operands;
    struct error err = {0};
    int rc;
    stage_begin("eval");
    rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = run(&opt, &operands, &err);
    options_release(&table, &opt);
    return stage_end(rc, &err, NULL, &opt.common);
}
