# The flow, as targets of the one Makefile: dataset, train, round, demo, base-weights. Settings: SETTINGS=FILE.
# A rule is one line of stages. Everything a run makes lies in $(RUN); what belongs to a round of cleaning in $(RUN)/round-N.

PIPELINES := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
FLOW := dataset dataset-facts train round audit
# `make dataset` and `make train` without settings: the demo's, with its little web.
ifeq ($(SETTINGS)$(wildcard $(PIPELINES)/demo/run),)
$(if $(filter $(FLOW),$(MAKECMDGOALS)),$(error no settings: cp $(PIPELINES)/default.conf my.conf, edit it, and say SETTINGS=my.conf))
else ifeq ($(SETTINGS),)
dataset train: all
	@$(PIPELINES)/demo/run $@
dataset-facts round audit:
	@echo "make $@: which run? say SETTINGS=FILE (SETTINGS=$(PIPELINES)/demo.conf is the demo's)" >&2; exit 64
else ifneq ($(filter $(FLOW),$(MAKECMDGOALS)),)
# One reader of the settings, for make and the scripts alike; it also writes down which lists there are.
SETTINGS_MK := $(shell BIN='$(BIN)' $(PIPELINES)/settings --make '$(subst ','\'',$(SETTINGS))' $(MAKEOVERRIDES))
$(if $(SETTINGS_MK),,$(error the settings cannot be read: a sign in SETTINGS or another KEY=VALUE of this command that the shell takes for its own))
$(if $(filter !%,$(SETTINGS_MK)),$(error $(patsubst !%,%,$(SETTINGS_MK))))
include $(SETTINGS_MK)
# Programs that are built first are asked about their flags then, before an hour is spent.
SETTINGS_CHECK := $(if $(wildcard $(RUN)/settings.checked),,settings-check)
endif
ROUND := $(shell cat $(RUN)/round 2>/dev/null || echo 1)
ROUND_DIR := $(RUN)/round-$(ROUND)
ROOT_FLAGS := --root $(RUN)

.PHONY: $(FLOW) settings-check demo base-weights FORCE
FORCE:

##@ Data and training (SETTINGS=FILE; start from a copy of pipelines/default.conf)
## base-weights: bring the published networks into models/base
base-weights: | $(BIN)/export
	BIN='$(BIN)' $(PIPELINES)/base-weights/run

## demo: run the whole pipeline on harmless pictures, two rounds
demo: all
	$(PIPELINES)/demo/run

ifneq ($(SETTINGS_MK),)
settings-check: | $(addprefix $(BIN)/,fetch validate hash-dedup phash-dedup embed feature-dedup audit train-test-split augment pack train eval mine-errors export report-sources)
	@told=$$(BIN='$(BIN)' $(PIPELINES)/settings --make '$(subst ','\'',$(SETTINGS))' $(MAKEOVERRIDES)); case $$told in !*) echo "settings: $${told#!}" >&2; exit 65 ;; esac

DECISIONS := $(RUN)/decisions.tsv

# --- dataset ----------------------------------------------------------------------------------------------------------
## dataset: lists of URLs to shards; RETRY=1 asks again for what failed and is due (-n: what would run and why)
dataset: $(ROUND_DIR)/shards/index.tsv $(ROUND_DIR)/augmented.html $(ROUND_DIR)/sources.tsv $(if $(filter on,$(AUDIT)),$(ROUND_DIR)/audit.tsv)
## audit: what a person should see of the data set: odd pictures, facts that give labels away, clusters and a map (RUN/round-N/audit.html)
audit: $(ROUND_DIR)/audit.tsv
dataset-facts: $(RUN)/valid.tsv

# Pages become lists of addresses, cached page by page; RETRY=1 looks for pages whose answer is old.
ifneq ($(PAGES),)
EXPANDED := $(RUN)/pages/expanded
$(RUN)/pages/done: $(RUN)/page-lists.tsv $(if $(RETRY),FORCE)
	$(why)
	@mkdir -p $(@D)
	$(PIPELINES)/expand-pages $(PAGES_FLAGS) --cache $(@D)/cache $(PAGES) $(EXPANDED)
	@touch $@
endif

# Pictures on disk and pictures of the web are one manifest from here on.
DOWNLOADED := $(if $(PICTURES),$(RUN)/downloaded.tsv,$(RUN)/fetched.tsv)

# RETRY=1 asks again for what failed and is due (cron); otherwise only a changed list does. With TAKEDOWN, purge takes what
# left the store out of the tables and shards of all rounds before the table appears: whoever is killed in between begins again.
$(DOWNLOADED): $(SETTINGS_MK) $(RUN)/lists.tsv $(if $(PAGES),$(RUN)/pages/done) $(if $(RETRY),FORCE) | $(BIN)/fetch $(BIN)/purge $(SETTINGS_CHECK)
	$(why)
	@test -n "$(strip $(PAGES))" -o $$(wc -l <$(RUN)/lists.tsv) -gt 1 || \
	  { echo "make: no lists of URLs: set SOURCES in" '$(subst ','\'',$(SETTINGS))' "to a folder with one CLASS.txt a class, or PICTURES to a folder of pictures with one sub-folder a class (SOURCES =" $(SOURCES)")" >&2; exit 66; }
	@$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,echo '$(BIN)/fetch $(ROOT_FLAGS) (and FETCH_FLAGS, not shown: they may name a proxy with its password) -o $@ $(SOURCES)')
	@status=0; $(BIN)/fetch $(ROOT_FLAGS) $(FETCH_RIGHTS) $(TAKEDOWN) $(FETCH_FLAGS) --summary $(RUN)/fetch-summary.tsv --rejects $(RUN)/fetch.rejects.tsv \
	  -o $@$(if $(TAKEDOWN),.new) $(SOURCES) $(EXPANDED) || status=$$?; \
	$(if $(TAKEDOWN),for t in $(RUN)/*/takedown.tsv; do test ! -s $$t || md5sum --status -c $(RUN)/purged.md5 2>/dev/null || { \
	  $(BIN)/purge --store $${t%/*} $(RUN) >$(RUN)/.purged && { ! grep -q '^model-trained-with-it' $(RUN)/.purged || : >$(RUN)/retrain; } && \
	  md5sum $$t >$(RUN)/purged.md5 && rm $(RUN)/.purged; } || exit; done;) \
	exit $$status
	$(if $(TAKEDOWN),@mv $@.new $@)

$(RUN)/valid.tsv: $(RUN)/fetched.tsv | $(BIN)/validate
	$(why)
	$(BIN)/validate $(ROOT_FLAGS) --markers $(MARKERS) $(VALIDATE_FLAGS) $(PICTURE_FLAGS) $(WITH) --memory $(RUN)/memory.tsv --rejects $(RUN)/validate.rejects.tsv -o $@ $<

NEAR_FROM := $(ROUND_DIR)/unique.tsv
include $(PIPELINES)/dataset.mk

ifneq ($(strip $(AUGMENT_VARIANTS)),0)
$(ROUND_DIR)/augmented.tsv: $(ROUND_DIR)/split.tsv | $(BIN)/augment
	$(why)
	$(BIN)/augment $(ROOT_FLAGS) $(AUGMENT_FLAGS) $(PICTURE_FLAGS) --variants $(AUGMENT_VARIANTS) --out augmented --memory $(RUN)/variants.tsv --rejects $(ROUND_DIR)/augment.rejects.tsv -o $@ $<
endif

$(ROUND_DIR)/augmented.html: $(ROUND_DIR)/split.tsv | $(BIN)/augment
	$(why)
	$(BIN)/augment $(ROOT_FLAGS) $(AUGMENT_FLAGS) $(PICTURE_FLAGS) --variants 7 --sheet $@ $< >/dev/null

# --- train ------------------------------------------------------------------------------------------------------------
## train: train head and fine-tune, then report, suspects, review page, exports
train: $(ROUND_DIR)/report.html $(ROUND_DIR)/suspects.tsv $(ROUND_DIR)/exports $(if $(filter on,$(AUDIT)),$(ROUND_DIR)/audit.tsv)

$(BASE_FILE):
	@echo "make: no model '$@': BASE names a folder with a model.json, a file (.onnx, .keras, .h5), or a published network, which make base-weights (installed: winnow run base-weights) brings" >&2; exit 66

# The caches are shared by the rounds: a picture's features depend on the picture and the base weights alone.
$(ROUND_DIR)/head/model/model.json $(ROUND_DIR)/head/oof.tsv &: $(ROUND_DIR)/shards/index.tsv $(BASE_FILE) $(BASE_BESIDE) | $(BIN)/train
	$(why)
	$(BIN)/train --shards $(ROUND_DIR)/shards --base $(BASE) --phase head --folds $(FOLDS) --fold-rows all --fold-passes $(FOLD_PASSES) --cache $(RUN)/cache --on-change restart --device $(DEVICE) $(HEAD_FLAGS) --out $(ROUND_DIR)/head
	@touch $(ROUND_DIR)/head/model/model.json $(ROUND_DIR)/head/oof.tsv

$(ROUND_DIR)/fine/model/model.json: $(ROUND_DIR)/head/model/model.json | $(BIN)/train
	$(why)
	$(LAUNCH) $(BIN)/train --shards $(ROUND_DIR)/shards --base $(ROUND_DIR)/head/model --phase fine-tune --cache $(RUN)/cache --on-change restart --device $(DEVICE) $(FINE_FLAGS) --out $(ROUND_DIR)/fine
	@touch $@

# Reports from users: which pictures of the data set they mean, then what the new model says of those.
# REPORT_FILES are words of the shell, whatever the files are called; report-lists.tsv stands for them where make looks.
REPORT_FILES := $(if $(REPORTS),$(shell ls $(REPORTS)/*.tsv 2>/dev/null | head -n 1 | wc -l | grep -v '^0'))
ifneq ($(REPORT_FILES),)
REPORT_FILES := $(REPORTS)/*.tsv
REPORTED := $(ROUND_DIR)/reports.tsv
$(ROUND_DIR)/reported.tsv: $(ROUND_DIR)/split.tsv $(RUN)/report-lists.tsv | $(BIN)/collect-reports
	$(why)
	$(BIN)/collect-reports $(REPORTS_FLAGS) --manifest $< --slices $(ROUND_DIR)/report-slices.tsv -o $@ $(REPORT_FILES)
$(ROUND_DIR)/reports.tsv: $(ROUND_DIR)/reported.tsv $(ROUND_DIR)/fine/model/model.json | $(BIN)/eval $(BIN)/collect-reports
	$(why)
	$(PIPELINES)/reported-pictures $(ROUND_DIR)/reported.tsv $(ROUND_DIR)/split.tsv >$(ROUND_DIR)/reported-pictures.tsv
	now=; if test $$(wc -l <$(ROUND_DIR)/reported-pictures.tsv) -gt 1; then \
	  $(BIN)/eval $(ROOT_FLAGS) --model $(ROUND_DIR)/fine/model --shards $(ROUND_DIR)/reported-pictures.tsv --split all --device $(DEVICE) --no-report --out $(ROUND_DIR)/eval-reported; \
	  now="--predictions $(ROUND_DIR)/eval-reported/predictions.tsv"; fi; \
	$(BIN)/collect-reports $(REPORTS_FLAGS) --manifest $(ROUND_DIR)/split.tsv $$now -o $@ $(REPORT_FILES) 2>$@.log || \
	  { s=$$?; cat $@.log >&2; exit $$s; }     # files that are not reports were named the first time
	rm -f $@.log
endif

# What a model said of a picture it says again: after new reports, and when nightly measures a published model, new pictures alone are computed.
$(ROUND_DIR)/report.html: $(ROUND_DIR)/fine/model/model.json $(REPORTED) | $(BIN)/eval
	$(why)
	$(BIN)/eval --model $(ROUND_DIR)/fine/model --memory $(ROUND_DIR)/fine/scored.tsv --shards $(ROUND_DIR)/shards --split test --log $(ROUND_DIR)/fine/log.tsv $(EVAL_FLAGS) \
	  $(if $(REPORTED),--reports $(REPORTED) --slices $(ROUND_DIR)/report-slices.tsv) --out $(ROUND_DIR)/eval
	$(BIN)/eval --model $(ROUND_DIR)/head/model --memory $(ROUND_DIR)/head/scored.tsv --shards $(ROUND_DIR)/shards --split test $(EVAL_FLAGS) --out $(ROUND_DIR)/eval-head
	cp $(ROUND_DIR)/eval/metrics.tsv $(ROUND_DIR)/metrics.tsv
	cp $(ROUND_DIR)/eval/report.html $@.tmp && mv $@.tmp $@

# The folds cover the pictures of all splits: each one's probabilities come from a model that did not see it.
$(ROUND_DIR)/suspects.tsv: $(ROUND_DIR)/head/oof.tsv $(REPORTED) | $(BIN)/mine-errors
	$(why)
	like=; if test -f $(ROUND_DIR)/features/info.tsv; then like="--features $(ROUND_DIR)/features"; fi; \
	for by in hash phash $(if $(filter off,$(FEATURE_DEDUP)),,feature); do \
	  if test -f $(ROUND_DIR)/$$by-dedup.rejects.tsv; then like="$$like --conflicts $(ROUND_DIR)/$$by-dedup.rejects.tsv"; fi; done; \
	$(BIN)/mine-errors $(MINE_FLAGS) --predictions $< --margins $(ROUND_DIR)/head/margins.tsv --manifest $(ROUND_DIR)/split.tsv --root $(RUN) $$like $(if $(REPORTED),--reports $(REPORTED)) \
	  $(if $(TRUTH),--truth $(TRUTH) --truth-report $(ROUND_DIR)/suspects-truth.tsv) --review $(ROUND_DIR)/review.html -o $@

# Where the pictures come from. A description names a manifest in the folder that paths start from, a copy of the round's, and the shards.
CROISSANT := $(if $(strip $(CROISSANT_FLAGS)),$(RUN)/croissant.json)
$(ROUND_DIR)/sources.tsv: $(ROUND_DIR)/split.tsv $(if $(CROISSANT),$(ROUND_DIR)/shards/index.tsv) | $(BIN)/report-sources
	$(why)
	$(if $(CROISSANT),cp $< $(RUN)/dataset.tsv)
	$(BIN)/report-sources $(if $(CROISSANT),--name '$(subst ','\'',$(NAME))' --croissant $(CROISSANT) --shards $(ROUND_DIR)/shards $(CROISSANT_FLAGS)) -o $@ $(if $(CROISSANT),$(RUN)/dataset.tsv,$<)

$(ROUND_DIR)/exports: $(ROUND_DIR)/report.html $(ROUND_DIR)/sources.tsv | $(BIN)/export
	$(why)
	rm -rf $@.tmp && mkdir -p $@.tmp
	slices=; if test -f $(ROUND_DIR)/eval/slices.tsv; then slices="--slices $(ROUND_DIR)/eval/slices.tsv"; fi; \
	for to in $(EXPORTS); do \
	  test $$to = demo && shards="--shards $(ROUND_DIR)/shards" || shards=; \
	  $(BIN)/export -q --model $(ROUND_DIR)/fine/model --metrics $(ROUND_DIR)/metrics.tsv $$slices $$shards --sources $(ROUND_DIR)/sources.tsv $(addprefix --croissant ,$(CROISSANT)) --to $$to -o $@.tmp/$$to >$@.tmp/$$to.tsv || exit; \
	  test -s $@.tmp/$$to.tsv || rm $@.tmp/$$to.tsv; done
	rm -rf $@ && mv $@.tmp $@

# --- round ------------------------------------------------------------------------------------------------------------
# `make round DECISIONS_FROM=FILE`: takes a reviewer's decisions in and goes round again. A round that was interrupted goes on.
## round: apply DECISIONS_FROM=FILE and run dataset and train again
round:
	@test -f $(ROUND_DIR)/suspects.tsv || { echo "make round: round $(ROUND) is not finished: make dataset train first" >&2; exit 66; }
	@BIN='$(BIN)' $(PIPELINES)/next-round $(RUN) $(ROUND) '$(subst ','\'',$(DECISIONS_FROM))'
	$(MAKE) SETTINGS='$(subst ','\'',$(SETTINGS))' dataset train
endif
