# The dataset pipeline in parts: the same rules for make -j on one box, GNU parallel, or a scheduler's job array, each of
# whose tasks makes one target. Part-wise runs give the bytes of one run: manifest split remembers every row's place.
#
#   make -f pipelines/parts.mk SETTINGS=my.conf PARTS=8 -j2 dataset      one box
#   make -f pipelines/parts.mk SETTINGS=my.conf PARTS=8 fetch-3          one task
#   pipelines/slurm/submit my.conf                                       a cluster (see there)
#
# Steps, each STEP-0 .. STEP-(PARTS-1) and then STEP-join: fetch (parts by host, so that one task alone speaks to a server),
# validate, phash, augment. In between, as one job: dedup (exact copies, then near copies over the hashes that are there),
# split; at the end pack. Beyond the dataset: features (into RUN/cache, where phase head of `train` finds them), and classify
# (MODEL=RUN/round-N/fine/model, CLASSIFY=RUN/valid.tsv) with the scores joined in RUN/round-N/scores.tsv.
# Every task can be killed and made again: its output appears whole or not at all; fetch and features go on where they were.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
PIPELINES := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
BIN ?= $(PIPELINES)/../bin
PARTS ?= 8
include $(SETTINGS)
RUN ?= runs/$(NAME)
ROUND := $(shell cat $(RUN)/round 2>/dev/null || echo 1)
R := $(RUN)/round-$(ROUND)
W := $(R)/parts
N := $(shell seq -f %03.0f 0 $$(($(PARTS) - 1)))
LISTS := $(shell find -L $(SOURCES) -name '*.txt' -o -name '*.tsv' 2>/dev/null | LC_ALL=C sort)
DECISIONS := $(RUN)/decisions.tsv
P := $(BIN)
Q := --root $(RUN)
# One thread a task unless told: the tasks are the parallelism.
JOBS ?= 1

.PHONY: dataset pack lists validate-cut phash-cut augment-cut classify-cut features classify
# What a scheduler makes between the arrays: the cut of the next step, with everything before it.
lists: $(W)/urls.stamp
validate-cut: $(W)/validate.stamp
phash-cut: $(W)/phash.stamp
augment-cut: $(W)/augment.stamp
classify-cut: $(W)/classify.stamp
dataset: $(R)/shards/index.tsv
features: $(R)/features.tsv
classify: $(R)/scores.tsv
steps = fetch validate phash augment features classify
define step
.PHONY: $(1)-join $(foreach i,$(N),$(1)-$(i) $(1)-$(shell expr $(i) + 0))
$(foreach i,$(N),
$(1)-$(i): $(W)/$(1)-out-$(i).tsv
$(if $(filter $(i),$(shell expr $(i) + 0)),,$(1)-$(shell expr $(i) + 0): $(1)-$(i)))
endef
$(foreach s,$(steps),$(eval $(call step,$(s))))
fetch-join: $(RUN)/fetched.tsv
validate-join: $(RUN)/valid.tsv
phash-join: $(R)/split.tsv
augment-join: $(R)/augmented.tsv
pack: $(R)/shards/index.tsv
features-join: $(R)/features.tsv
classify-join: $(R)/scores.tsv

# --- fetch: parts by host, a store a part; joined, the objects are linked into one store ---------------------------------
$(W)/urls.stamp: $(SETTINGS) $(LISTS)
	@mkdir -p $(W)
	$(PIPELINES)/list-urls $(SOURCES) >$(W)/urls.tsv
	$(P)/manifest split --parts $(PARTS) --by host $(W)/urls.tsv $(W)/fetch-in-
	@touch $@
$(foreach i,$(N),$(W)/fetch-in-$(i).tsv): $(W)/urls.stamp ;
# --max-same counts over a part only: it is asked again over the whole at the join.
$(W)/fetch-out-%.tsv: $(W)/fetch-in-%.tsv
	@$(P)/fetch --root $(W)/store-$* $(FETCH_FLAGS) --rejects $(W)/fetch-rejects-$*.tsv -o $@ $<
$(RUN)/fetched.tsv: $(foreach i,$(N),$(W)/fetch-out-$(i).tsv)
	for i in $(N); do (cd $(W)/store-$$i && find . -path '*objects/*' -type f) | while read -r f; do \
	  mkdir -p $(RUN)/$${f%/*}; ln -f $(W)/store-$$i/$$f $(RUN)/$$f; done; done
	$(P)/manifest merge $(foreach i,$(N),$(W)/fetch-rejects-$(i).tsv) -o $(RUN)/fetch.rejects.tsv
	$(P)/manifest merge $^ -o $@

# --- validate ----------------------------------------------------------------------------------------------------------------
$(W)/validate.stamp: $(RUN)/fetched.tsv
	@mkdir -p $(W)
	$(P)/manifest split --parts $(PARTS) --by xxh128 $< $(W)/validate-in-
	@touch $@
$(foreach i,$(N),$(W)/validate-in-$(i).tsv): $(W)/validate.stamp ;
$(W)/validate-out-%.tsv: $(W)/validate-in-%.tsv
	$(P)/validate $(Q) -j $(JOBS) $(VALIDATE_FLAGS) --rejects $(W)/validate-rejects-$*.tsv -o $@ $<
$(RUN)/valid.tsv: $(foreach i,$(N),$(W)/validate-out-$(i).tsv)
	$(P)/manifest merge $(foreach i,$(N),$(W)/validate-rejects-$(i).tsv) -o $(RUN)/validate.rejects.tsv
	$(P)/manifest merge $^ -o $@

# --- what is one job, and perceptual hashes in parts: the join is exact, it reads the hashes and no picture -----------------------
NEAR_FROM := $(W)/hashed.tsv
include $(PIPELINES)/dataset.mk
$(W)/phash.stamp: $(R)/unique.tsv
	$(P)/manifest split --parts $(PARTS) --by xxh128 $< $(W)/phash-in-
	@touch $@
$(foreach i,$(N),$(W)/phash-in-$(i).tsv): $(W)/phash.stamp ;
$(W)/phash-out-%.tsv: $(W)/phash-in-%.tsv
	$(P)/phash-dedup $(Q) -j $(JOBS) $(PHASH_DEDUP_FLAGS) --hash-only --rejects $(W)/phash-rejects-$*.tsv -o $@ $<
$(W)/hashed.tsv: $(foreach i,$(N),$(W)/phash-out-$(i).tsv)
	$(P)/manifest merge $(foreach i,$(N),$(W)/phash-rejects-$(i).tsv) -o $(W)/phash.rejects.tsv
	$(P)/manifest merge $^ -o $@

# --- variants --------------------------------------------------------------------------------------------------------------------
$(W)/augment.stamp: $(R)/split.tsv
	$(P)/manifest split --parts $(PARTS) --by xxh128 $< $(W)/augment-in-
	@touch $@
$(foreach i,$(N),$(W)/augment-in-$(i).tsv): $(W)/augment.stamp ;
$(W)/augment-out-%.tsv: $(W)/augment-in-%.tsv
	$(P)/augment $(Q) -j $(JOBS) $(AUGMENT_FLAGS) --variants $(AUGMENT_VARIANTS) --out augmented --rejects $(W)/augment-rejects-$*.tsv -o $@ $<
$(R)/augmented.tsv: $(foreach i,$(N),$(W)/augment-out-$(i).tsv)
	$(P)/manifest merge $(foreach i,$(N),$(W)/augment-rejects-$(i).tsv) -o $(R)/augment.rejects.tsv
	$(P)/manifest merge $^ -o $@

# --- features: what the frozen base makes of each picture, into the cache that phase head reads -----------------------------------
# The folds as in targets.mk: with FOLD_ROWS = all the test pictures need features, too.
FOLD_ROWS ?= train
TRAIN_FEATURES = $(P)/train --phase head --shards $(R)/shards --base $(BASE) --cache $(RUN)/cache --device $(DEVICE) --threads $(JOBS) \
  --folds $(FOLDS) --fold-rows $(FOLD_ROWS) $(HEAD_FLAGS)
$(W)/features-out-%.tsv: $(R)/shards/index.tsv
	$(TRAIN_FEATURES) --features-only $$((10#$*))/$(PARTS)
	printf 'part\n%s\n' $* >$@.tmp && mv $@.tmp $@
$(R)/features.tsv: $(foreach i,$(N),$(W)/features-out-$(i).tsv)
	$(TRAIN_FEATURES) --features-only join/$(PARTS)
	rm -rf $(RUN)/cache/part-*-of-$(PARTS)
	$(P)/manifest cat $^ -o $@

# --- classify: MODEL's scores for the rows of CLASSIFY ------------------------------------------------------------------------------
MODEL ?= $(R)/fine/model
CLASSIFY ?= $(RUN)/valid.tsv
$(W)/classify.stamp: $(CLASSIFY)
	@mkdir -p $(W)
	$(P)/manifest split --parts $(PARTS) $< $(W)/classify-in-
	@touch $@
$(foreach i,$(N),$(W)/classify-in-$(i).tsv): $(W)/classify.stamp ;
$(W)/classify-out-%.tsv: $(W)/classify-in-%.tsv $(MODEL)/model.json
	$(P)/classify $(Q) -j $(JOBS) --device $(DEVICE) --model $(MODEL) --rejects $(W)/classify-rejects-$*.tsv -o $@ $<
$(R)/scores.tsv: $(foreach i,$(N),$(W)/classify-out-$(i).tsv)
	$(P)/manifest merge $(foreach i,$(N),$(W)/classify-rejects-$(i).tsv) -o $(R)/classify.rejects.tsv
	$(P)/manifest merge $^ -o $@
