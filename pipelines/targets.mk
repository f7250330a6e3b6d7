# The flow, as targets of the one Makefile: dataset, train, round, demo, base-weights. Settings: SETTINGS=FILE.
# A rule is one line of stages. Everything a run makes lies in $(RUN); what belongs to a round of cleaning in $(RUN)/round-N.

PIPELINES := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
SETTINGS ?= $(PIPELINES)/demo.conf
ifneq ($(filter dataset dataset-facts train round,$(MAKECMDGOALS)),)
include $(SETTINGS)
endif
RUN ?= runs/$(NAME)
ROUND := $(shell cat $(RUN)/round 2>/dev/null || echo 1)
R := $(RUN)/round-$(ROUND)
P := $(BIN)
Q := --root $(RUN)
FOLD_ROWS ?= train
FOLD_PASSES ?= 1

.PHONY: dataset dataset-facts train round demo base-weights FORCE
FORCE:

##@ Data and training (SETTINGS=FILE; start from a copy of pipelines/default.conf)
## base-weights: bring the published networks into models/base
base-weights:
	$(PIPELINES)/base-weights/run

## demo: run the whole pipeline on harmless pictures, two rounds
demo: all
	$(PIPELINES)/demo/run

ifneq ($(NAME),)
LISTS := $(if $(SOURCES),$(shell find -L $(SOURCES) -name '*.txt' -o -name '*.tsv' 2>/dev/null | LC_ALL=C sort))
DECISIONS := $(RUN)/decisions.tsv

# --- dataset ----------------------------------------------------------------------------------------------------------
## dataset: lists of URLs to shards; RETRY=1 asks again for what failed and is due
dataset: $(R)/shards/index.tsv $(R)/augmented.html
dataset-facts: $(RUN)/valid.tsv

# Pages become lists of addresses, cached page by page; RETRY=1 looks for pages whose answer is old.
ifneq ($(PAGES),)
EXPANDED := $(RUN)/pages/expanded
$(RUN)/pages/done: $(shell find -L $(PAGES) -name '*.txt' 2>/dev/null | LC_ALL=C sort) $(if $(RETRY),FORCE)
	@mkdir -p $(@D)
	$(PIPELINES)/expand-pages $(PAGES_FLAGS) --cache $(@D)/cache $(PAGES) $(EXPANDED)
	@touch $@
endif

# RETRY=1 asks again for what failed and is due (cron); otherwise only a changed list does.
$(RUN)/fetched.tsv: $(SETTINGS) $(LISTS) $(if $(PAGES),$(RUN)/pages/done) $(if $(RETRY),FORCE) | $(P)/fetch
	@mkdir -p $(@D)
	@test -n "$(LISTS)$(PAGES)" || { echo "make: no lists of URLs in SOURCES = $(SOURCES)" >&2; exit 66; }
	@$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,echo '$(P)/fetch $(Q) (and FETCH_FLAGS, not shown: they may name a proxy with its password) -o $@ $(SOURCES)')
	@$(P)/fetch $(Q) $(FETCH_FLAGS) --summary $(RUN)/fetch-summary.tsv --rejects $(RUN)/fetch.rejects.tsv -o $@ $(SOURCES) $(EXPANDED)

$(RUN)/valid.tsv: $(RUN)/fetched.tsv | $(P)/validate
	$(P)/validate $(Q) $(VALIDATE_FLAGS) --rejects $(RUN)/validate.rejects.tsv -o $@ $<

NEAR_FROM := $(R)/unique.tsv
include $(PIPELINES)/dataset.mk

$(R)/augmented.tsv: $(R)/split.tsv | $(P)/augment
	$(P)/augment $(Q) $(AUGMENT_FLAGS) --variants $(AUGMENT_VARIANTS) --out augmented --rejects $(R)/augment.rejects.tsv -o $@ $<

$(R)/augmented.html: $(R)/split.tsv | $(P)/augment
	$(P)/augment $(Q) $(AUGMENT_FLAGS) --variants 7 --sheet $@ $< >/dev/null

# --- train ------------------------------------------------------------------------------------------------------------
## train: train head and fine-tune, then report, suspects, review page, exports
train: $(R)/report.html $(R)/suspects.tsv $(R)/exports

# The caches are shared by the rounds: a picture's features depend on the picture and the base weights alone.
$(R)/head/model/model.json $(R)/head/oof.tsv &: $(R)/shards/index.tsv $(BASE)/model.json | $(P)/train
	$(P)/train --shards $(R)/shards --base $(BASE) --phase head --folds $(FOLDS) --fold-rows $(FOLD_ROWS) --fold-passes $(FOLD_PASSES) --cache $(RUN)/cache --on-change restart --device $(DEVICE) $(HEAD_FLAGS) --out $(R)/head
	@touch $(R)/head/model/model.json $(R)/head/oof.tsv

$(R)/fine/model/model.json: $(R)/head/model/model.json | $(P)/train
	$(LAUNCH) $(P)/train --shards $(R)/shards --base $(R)/head/model --phase fine-tune --cache $(RUN)/cache --on-change restart --device $(DEVICE) $(FINE_FLAGS) --out $(R)/fine
	@touch $@

# Reports from users: which pictures of the data set they mean, then what the new model says of those.
REPORT_FILES := $(if $(REPORTS),$(sort $(wildcard $(REPORTS)/*.tsv)))
ifneq ($(REPORT_FILES),)
REPORTED := $(R)/reports.tsv
$(R)/reported.tsv: $(R)/split.tsv $(REPORT_FILES) | $(P)/collect-reports
	$(P)/collect-reports $(REPORTS_FLAGS) --manifest $< --slices $(R)/report-slices.tsv -o $@ $(REPORT_FILES)
$(R)/reports.tsv: $(R)/reported.tsv $(R)/fine/model/model.json | $(P)/eval $(P)/collect-reports
	$(PIPELINES)/reported-pictures $(R)/reported.tsv $(R)/split.tsv >$(R)/reported-pictures.tsv
	now=; if test $$(wc -l <$(R)/reported-pictures.tsv) -gt 1; then \
	  $(P)/eval $(Q) --model $(R)/fine/model --shards $(R)/reported-pictures.tsv --split all --device $(DEVICE) --no-report --out $(R)/eval-reported; \
	  now="--predictions $(R)/eval-reported/predictions.tsv"; fi; \
	$(P)/collect-reports $(REPORTS_FLAGS) --manifest $(R)/split.tsv $$now -o $@ $(REPORT_FILES) 2>$@.log || \
	  { s=$$?; cat $@.log >&2; exit $$s; }     # files that are no reports were named the first time
	rm -f $@.log
endif

$(R)/report.html: $(R)/fine/model/model.json $(REPORTED) | $(P)/eval
	$(P)/eval --model $(R)/fine/model --shards $(R)/shards --split test --log $(R)/fine/log.tsv $(EVAL_FLAGS) \
	  $(if $(REPORTED),--reports $(REPORTED) --slices $(R)/report-slices.tsv) --out $(R)/eval
	$(P)/eval --model $(R)/head/model --shards $(R)/shards --split test $(EVAL_FLAGS) --out $(R)/eval-head
	$(P)/eval --model $(R)/head/model --shards $(R)/shards --split val $(EVAL_FLAGS) --out $(R)/eval-head-val
	cp $(R)/eval/metrics.tsv $(R)/metrics.tsv
	cp $(R)/eval/report.html $@.tmp && mv $@.tmp $@

# Every picture by a model that did not see it. With FOLD_ROWS = train the training pictures come from the folds, the others from the head
# model, which never trained on them.
ifeq ($(FOLD_ROWS),all)
$(R)/out-of-sample.tsv: $(R)/head/oof.tsv
	cp $< $@.tmp && mv $@.tmp $@
else
$(R)/out-of-sample.tsv: $(R)/head/oof.tsv $(R)/report.html | $(P)/manifest
	$(P)/manifest cat $(R)/head/oof.tsv $(R)/eval-head-val/predictions.tsv $(R)/eval-head/predictions.tsv -o $@
endif

$(R)/suspects.tsv: $(R)/out-of-sample.tsv $(REPORTED) | $(P)/mine-errors
	$(P)/mine-errors $(MINE_FLAGS) --predictions $< --margins $(R)/head/margins.tsv --manifest $(R)/split.tsv --root $(RUN) $(if $(REPORTED),--reports $(REPORTED)) \
	  $(if $(TRUTH),--truth $(TRUTH) --truth-report $(R)/suspects-truth.tsv) --review $(R)/review.html -o $@

$(R)/exports: $(R)/report.html | $(P)/export
	rm -rf $@.tmp && mkdir -p $@.tmp
	slices=; if test -f $(R)/eval/slices.tsv; then slices="--slices $(R)/eval/slices.tsv"; fi; \
	for to in $(EXPORTS); do \
	  test $$to = demo && shards="--shards $(R)/shards" || shards=; \
	  $(P)/export --model $(R)/fine/model --metrics $(R)/metrics.tsv $$slices $$shards --to $$to -o $@.tmp/$$to >$@.tmp/$$to.tsv || exit; \
	  test -s $@.tmp/$$to.tsv || rm $@.tmp/$$to.tsv; done
	rm -rf $@ && mv $@.tmp $@

# --- round ------------------------------------------------------------------------------------------------------------
# `make round DECISIONS_FROM=FILE`: takes a reviewer's decisions in and goes round again. A round that was broken off goes on.
## round: apply DECISIONS_FROM=FILE and run dataset and train again
round:
	@test -f $(R)/suspects.tsv || { echo "make round: round $(ROUND) is not finished: make dataset train first" >&2; exit 66; }
	$(PIPELINES)/next-round $(RUN) $(ROUND) $(DECISIONS_FROM)
	$(MAKE) SETTINGS=$(SETTINGS) dataset train
endif
