# The dataset pipeline in parts: the same rules for make -j on one box, GNU parallel, or a scheduler's job array, each of
# whose tasks makes one target. Part-wise runs give the bytes of one run: manifest split remembers every row's place.
#
#   make -f pipelines/parts.mk SETTINGS=my.conf PARTS=8 -j2 dataset      one box
#   make -f pipelines/parts.mk SETTINGS=my.conf PARTS=8 fetch-3          one task
#   pipelines/slurm/submit my.conf                                       a cluster (see there)
#
# Steps, each STEP-0 .. STEP-(PARTS-1) and then STEP-join: fetch (parts by host, so that one task alone speaks to a server),
# validate, phash, augment. In between, as one job: dedup (exact copies, near copies over the hashes that are there, copies by features),
# split; at the end pack. Beyond the dataset: features (into RUN/cache, where phase head of `train` finds them), and classify
# (MODEL=RUN/round-N/fine/model, CLASSIFY=RUN/valid.tsv) with the scores joined in RUN/round-N/scores.tsv.
# What is remembered of pictures (RUN/memory.tsv, RUN/variants.tsv, RUN/near.cache) is used and kept as in a run that is not in parts.
# Every task can be killed and made again: its output appears whole or not at all; fetch and features go on where they were.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
PIPELINES := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
BIN ?= $(if $(filter %/share/winnow/pipelines,$(abspath $(PIPELINES))),$(PIPELINES)/../../../libexec/winnow,$(PIPELINES)/../bin)
PARTS ?= 8
SETTINGS_MK := $(shell BIN='$(BIN)' $(PIPELINES)/settings --make '$(subst ','\'',$(SETTINGS))' $(MAKEOVERRIDES))
$(if $(SETTINGS_MK),,$(error the settings cannot be read: a sign in SETTINGS or another KEY=VALUE of this command that the shell takes for its own))
$(if $(filter !%,$(SETTINGS_MK)),$(error $(patsubst !%,%,$(SETTINGS_MK))))
include $(SETTINGS_MK)
ROUND := $(shell cat $(RUN)/round 2>/dev/null || echo 1)
ROUND_DIR := $(RUN)/round-$(ROUND)
PARTS_DIR := $(ROUND_DIR)/parts
PART_NUMBERS := $(shell seq -f %03.0f 0 $$(($(PARTS) - 1)))
DECISIONS := $(RUN)/decisions.tsv
ROOT_FLAGS := --root $(RUN)
# One thread a task unless told: the tasks are the parallelism.
JOBS ?= 1

.PHONY: FORCE dataset pack lists validate-cut phash-cut augment-cut classify-cut features classify
# What a scheduler makes between the arrays: the cut of the next step, with everything before it.
lists: $(PARTS_DIR)/urls.stamp
validate-cut: $(PARTS_DIR)/validate.stamp
phash-cut: $(PARTS_DIR)/phash.stamp
augment-cut: $(PARTS_DIR)/augment.stamp
classify-cut: $(PARTS_DIR)/classify.stamp
dataset: $(ROUND_DIR)/shards/index.tsv
features: $(ROUND_DIR)/features.tsv
classify: $(ROUND_DIR)/scores.tsv
steps = fetch validate phash augment features classify
define step
.PHONY: $(1)-join $(foreach i,$(PART_NUMBERS),$(1)-$(i) $(1)-$(shell expr $(i) + 0))
$(foreach i,$(PART_NUMBERS),
$(1)-$(i): $(PARTS_DIR)/$(1)-out-$(i).tsv
$(if $(filter $(i),$(shell expr $(i) + 0)),,$(1)-$(shell expr $(i) + 0): $(1)-$(i)))
endef
$(foreach s,$(steps),$(eval $(call step,$(s))))
fetch-join: $(RUN)/fetched.tsv
validate-join: $(RUN)/valid.tsv
phash-join: $(ROUND_DIR)/split.tsv
augment-join: $(ROUND_DIR)/augmented.tsv
pack: $(ROUND_DIR)/shards/index.tsv
features-join: $(ROUND_DIR)/features.tsv
classify-join: $(ROUND_DIR)/scores.tsv

# --- fetch: parts by host, a store a part; joined, the objects are linked into one store ---------------------------------
# RETRY=1, for the step `lists` only: every list is asked for again, and the hosts for their rules.
$(PARTS_DIR)/urls.stamp: $(SETTINGS_MK) $(RUN)/lists.tsv $(if $(RETRY),FORCE)
	@mkdir -p $(PARTS_DIR)
	if [ -n "$(strip $(SOURCES))" ]; then $(PIPELINES)/list-urls $(SOURCES); else printf 'url\tlabel\n'; fi >$(PARTS_DIR)/urls.tsv
	$(BIN)/manifest split --parts $(PARTS) --by host $(PARTS_DIR)/urls.tsv $(PARTS_DIR)/fetch-in-
	@touch $@
$(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/fetch-in-$(i).tsv): $(PARTS_DIR)/urls.stamp ;
# --max-same counts over a part only: it is asked again over the whole at the join.
$(PARTS_DIR)/fetch-out-%.tsv: $(PARTS_DIR)/fetch-in-%.tsv
	@$(BIN)/fetch --root $(PARTS_DIR)/store-$* $(FETCH_RIGHTS) $(TAKEDOWN) $(FETCH_FLAGS) --rejects $(PARTS_DIR)/fetch-rejects-$*.tsv -o $@ $<
DOWNLOADED := $(if $(PICTURES),$(RUN)/downloaded.tsv,$(RUN)/fetched.tsv)
$(DOWNLOADED): $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/fetch-out-$(i).tsv)
	for i in $(PART_NUMBERS); do (cd $(PARTS_DIR)/store-$$i && find . -path '*objects/*' -type f) | while read -r f; do \
	  mkdir -p $(RUN)/$${f%/*}; ln -f $(PARTS_DIR)/store-$$i/$$f $(RUN)/$$f; done; done
	$(if $(TAKEDOWN),BIN=$(BIN) $(PIPELINES)/share-takedowns $(RUN))
	$(BIN)/manifest merge $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/fetch-rejects-$(i).tsv) -o $(RUN)/fetch.rejects.tsv
	$(BIN)/manifest merge $^ -o $@

# --- validate ----------------------------------------------------------------------------------------------------------------
$(PARTS_DIR)/validate.stamp: $(RUN)/fetched.tsv
	@mkdir -p $(PARTS_DIR)
	$(BIN)/manifest split --parts $(PARTS) --by xxh128 $< $(PARTS_DIR)/validate-in-
	@touch $@
$(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/validate-in-$(i).tsv): $(PARTS_DIR)/validate.stamp ;
$(PARTS_DIR)/validate-out-%.tsv: $(PARTS_DIR)/validate-in-%.tsv
	$(PIPELINES)/part-memory take $(RUN)/memory.tsv $< $(PARTS_DIR)/validate-memory-$*.tsv
	$(BIN)/validate $(ROOT_FLAGS) -j $(JOBS) --markers $(MARKERS) $(VALIDATE_FLAGS) $(PICTURE_FLAGS) $(WITH) --memory $(PARTS_DIR)/validate-memory-$*.tsv --rejects $(PARTS_DIR)/validate-rejects-$*.tsv -o $@ $<
$(RUN)/valid.tsv: $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/validate-out-$(i).tsv)
	$(PIPELINES)/part-memory give $(RUN)/memory.tsv $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/validate-memory-$(i).tsv)
	$(BIN)/manifest merge $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/validate-rejects-$(i).tsv) -o $(RUN)/validate.rejects.tsv
	$(BIN)/manifest merge $^ -o $@

# --- what is one job, and perceptual hashes in parts: the join is exact, it reads the hashes and no picture -----------------------
NEAR_FROM := $(PARTS_DIR)/hashed.tsv
include $(PIPELINES)/dataset.mk
$(PARTS_DIR)/phash.stamp: $(ROUND_DIR)/unique.tsv
	$(BIN)/manifest split --parts $(PARTS) --by xxh128 $< $(PARTS_DIR)/phash-in-
	@touch $@
$(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/phash-in-$(i).tsv): $(PARTS_DIR)/phash.stamp ;
$(PARTS_DIR)/phash-out-%.tsv: $(PARTS_DIR)/phash-in-%.tsv
	$(if $(PDQ),$(BIN)/manifest cat -o $@ $<,$(BIN)/phash-dedup $(ROOT_FLAGS) -j $(JOBS) $(PHASH_DEDUP_FLAGS) $(PICTURE_FLAGS) --hash-only --rejects $(PARTS_DIR)/phash-rejects-$*.tsv -o $@ $<)
$(PARTS_DIR)/hashed.tsv: $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/phash-out-$(i).tsv)
	$(if $(PDQ),,$(BIN)/manifest merge $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/phash-rejects-$(i).tsv) -o $(PARTS_DIR)/phash.rejects.tsv)
	$(BIN)/manifest merge $^ -o $@

# --- variants --------------------------------------------------------------------------------------------------------------------
$(PARTS_DIR)/augment.stamp: $(ROUND_DIR)/split.tsv
	$(BIN)/manifest split --parts $(PARTS) --by xxh128 $< $(PARTS_DIR)/augment-in-
	@touch $@
$(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/augment-in-$(i).tsv): $(PARTS_DIR)/augment.stamp ;
$(PARTS_DIR)/augment-out-%.tsv: $(PARTS_DIR)/augment-in-%.tsv
	$(PIPELINES)/part-memory take $(RUN)/variants.tsv $< $(PARTS_DIR)/augment-memory-$*.tsv
	$(BIN)/augment $(ROOT_FLAGS) -j $(JOBS) $(AUGMENT_FLAGS) $(PICTURE_FLAGS) --variants $(AUGMENT_VARIANTS) --out augmented --memory $(PARTS_DIR)/augment-memory-$*.tsv --rejects $(PARTS_DIR)/augment-rejects-$*.tsv -o $@ $<
ifneq ($(strip $(AUGMENT_VARIANTS)),0)
$(ROUND_DIR)/augmented.tsv: $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/augment-out-$(i).tsv)
	$(PIPELINES)/part-memory give $(RUN)/variants.tsv $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/augment-memory-$(i).tsv)
	$(BIN)/manifest merge $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/augment-rejects-$(i).tsv) -o $(ROUND_DIR)/augment.rejects.tsv
	$(BIN)/manifest merge $^ -o $@
endif

# --- features: what the frozen base makes of each picture, into the cache that phase head reads -----------------------------------
TRAIN_FEATURES = $(BIN)/train --phase head --shards $(ROUND_DIR)/shards --base $(BASE) --cache $(RUN)/cache --device $(DEVICE) --threads $(JOBS) \
  --folds $(FOLDS) --fold-rows all $(HEAD_FLAGS)
$(PARTS_DIR)/features-out-%.tsv: $(ROUND_DIR)/shards/index.tsv
	$(TRAIN_FEATURES) --features-only $$((10#$*))/$(PARTS)
	printf 'part\n%s\n' $* >$@.tmp && mv $@.tmp $@
$(ROUND_DIR)/features.tsv: $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/features-out-$(i).tsv)
	$(TRAIN_FEATURES) --features-only join/$(PARTS)
	rm -rf $(RUN)/cache/part-*-of-$(PARTS)
	$(BIN)/manifest cat $^ -o $@

# --- classify: MODEL's scores for the rows of CLASSIFY ------------------------------------------------------------------------------
MODEL ?= $(ROUND_DIR)/fine/model
CLASSIFY ?= $(RUN)/valid.tsv
$(PARTS_DIR)/classify.stamp: $(CLASSIFY)
	@mkdir -p $(PARTS_DIR)
	$(BIN)/manifest split --parts $(PARTS) $< $(PARTS_DIR)/classify-in-
	@touch $@
$(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/classify-in-$(i).tsv): $(PARTS_DIR)/classify.stamp ;
$(PARTS_DIR)/classify-out-%.tsv: $(PARTS_DIR)/classify-in-%.tsv $(MODEL)/model.json
	$(BIN)/classify $(ROOT_FLAGS) -j $(JOBS) --device $(DEVICE) --model $(MODEL) --rejects $(PARTS_DIR)/classify-rejects-$*.tsv -o $@ $<
$(ROUND_DIR)/scores.tsv: $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/classify-out-$(i).tsv)
	$(BIN)/manifest merge $(foreach i,$(PART_NUMBERS),$(PARTS_DIR)/classify-rejects-$(i).tsv) -o $(ROUND_DIR)/classify.rejects.tsv
	$(BIN)/manifest merge $^ -o $@
