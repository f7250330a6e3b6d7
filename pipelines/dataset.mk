# The steps of the dataset that are one job each, whoever runs the rest: targets.mk (one machine) and parts.mk (in parts) include this.
# NEAR_FROM: the manifest whose near copies are looked for (with hashes as columns, no picture is read for it).
# WITH: what validate makes for phash-dedup (PDQ) and audit in the decode that it needs anyway; not where flags ask for other hashes or other pictures.
PDQ := $(if $(strip $(foreach o,--no --di --al --pd,$(findstring $(o),$(PHASH_DEDUP_FLAGS)))$(foreach o,--he --allow-t --wi,$(findstring $(o),$(VALIDATE_FLAGS)))),,pdq)
STATS := $(if $(filter on,$(AUDIT)),$(if $(strip $(foreach o,--he --wi,$(findstring $(o),$(VALIDATE_FLAGS)))),,stats))
COMMA := ,
WITH := $(if $(PDQ)$(STATS),--with $(PDQ)$(if $(PDQ),$(if $(STATS),$(COMMA)))$(STATS))
# PAIRS: near pairs of the last run, so that only what is new is compared. A cache: a takedown deletes it.
PAIRS := $(if $(strip $(foreach o,--ag --di --near --hash-o --check,$(findstring $(o),$(PHASH_DEDUP_FLAGS)))),,--near-pairs $(RUN)/near.cache)

# FETCH_RIGHTS: hosts that are asked for nothing else are asked for their rules.
FETCH_RIGHTS := $(if $(filter ignore,$(RIGHTS_CHANGED)),,--recheck-rights)
# TAKEDOWN: pictures that their hosts refuse now leave the store.
TAKEDOWN := $(if $(filter takedown,$(RIGHTS_CHANGED)),--rights-changed takedown)
# `make -n` says of each step why it would run.
why = $(if $(findstring n,$(firstword -$(MAKEFLAGS))),$(info why: $@: $(if $(wildcard $@),$(if $?,newer than it: $?,asked for again),not there yet)))

# `$(same)`: the target is another name of the first prerequisite: nothing is written, and a table that is written anew is a new file, so that
# neither changes under the other's name. Its time is that of the prerequisite, which make takes as up to date. Copied where links do not work.
same = ln -fLT $< $@ 2>/dev/null || { cp $< $@.tmp && mv $@.tmp $@; }
$(ROUND_DIR)/labelled.tsv: $(RUN)/valid.tsv $(wildcard $(DECISIONS)) | $(BIN)/relabel
	$(why)
	@mkdir -p $(@D)
	if test -f $(DECISIONS); then \
	  $(BIN)/relabel --decisions $(DECISIONS) --rejects $(ROUND_DIR)/relabel.rejects.tsv -o $@ $<; \
	else $(same); fi

$(ROUND_DIR)/unique.tsv: $(ROUND_DIR)/labelled.tsv | $(BIN)/hash-dedup
	$(why)
	$(BIN)/hash-dedup $(ROOT_FLAGS) $(HASH_DEDUP_FLAGS) --rejects $(ROUND_DIR)/hash-dedup.rejects.tsv -o $@ $<

$(ROUND_DIR)/distinct.tsv: $(NEAR_FROM) | $(BIN)/phash-dedup
	$(why)
	$(BIN)/phash-dedup $(ROOT_FLAGS) $(PHASH_DEDUP_FLAGS) $(PICTURE_FLAGS) $(PAIRS) --rejects $(ROUND_DIR)/phash-dedup.rejects.tsv -o $@ $<

# Copies by features. They stay in the cache under the keys of phase head, which computes none again; so its flags are taken over.
SHOWN := $(if $(findstring s,$(firstword -$(MAKEFLAGS))),,set -x;)
define flags_of_head
set -- $(HEAD_FLAGS); like=; while test $$# -gt 0; do case $$1 in --boundary-cache=* | --unlock-from=* | --precision=* | --device=* | --input=* | --feature-layer=*) like="$$like $$1" ;; --boundary-cache | --unlock-from | --precision | --device | --input | --feature-layer) like="$$like $$1 $$2"; shift ;; esac; shift; done
endef
# BASE is a model folder, or a file with what a preprocessor_config.json beside it says.
BASE_FILE := $(BASE)$(if $(wildcard $(BASE)/.),/model.json,$(if $(wildcard $(BASE))$(filter %.onnx %.keras %.h5 %.pth,$(BASE)),,/model.json))
BASE_BESIDE := $(if $(filter $(BASE),$(BASE_FILE)),$(wildcard $(dir $(BASE))preprocessor_config.json))
$(ROUND_DIR)/single.tsv: $(ROUND_DIR)/distinct.tsv $(wildcard $(BASE_FILE)) $(BASE_BESIDE) | $(BIN)/embed $(BIN)/feature-dedup
	$(why)
	@by_hashes() { echo "make: $$1: copies are looked for by hashes alone (FEATURE_DEDUP = off says that this is meant)" >&2; $(same); }; \
	if ! test -f $(BASE_FILE); then by_hashes "no model '$(BASE_FILE)'"; exit; fi; \
	$(flags_of_head); status=0; \
	($(SHOWN) $(BIN)/embed $(ROOT_FLAGS) --base $(BASE) --size $(SIDE) --resize $(RESIZE) $(PICTURE_FLAGS) --cache $(RUN)/cache --device $(DEVICE) $$like --reduce sqrt,pca:64,whiten:0.5 -o $(ROUND_DIR)/features $<) || status=$$?; \
	case $$status in \
	0) $(SHOWN) $(BIN)/feature-dedup $(ROOT_FLAGS) $(if $(filter group,$(FEATURE_DEDUP)),--mark) $(FEATURE_DEDUP_FLAGS) $(PICTURE_FLAGS) --features $(ROUND_DIR)/features --rejects $(ROUND_DIR)/feature-dedup.rejects.tsv -o $@ $< ;; \
	65) by_hashes "embed cannot use '$(BASE)' for pictures of $(SIDE) x $(SIDE)" ;; \
	*) exit $$status ;; esac

$(ROUND_DIR)/split.tsv: $(ROUND_DIR)/$(if $(filter off,$(FEATURE_DEDUP)),distinct,single).tsv | $(BIN)/train-test-split
	$(why)
	$(BIN)/train-test-split $(SPLIT_FLAGS) -o $@ $<

# What a person should see before training. Pictures that validate did not measure (AUDIT = off) are measured now. The folds' predictions,
# which tell the clusters that the model finds hard, are waited for where training was asked for, and taken where they are there.
OOF := $(ROUND_DIR)/head/oof.tsv
$(ROUND_DIR)/measured.tsv: $(ROUND_DIR)/split.tsv | $(BIN)/validate
	$(why)
	if head -n 1 $< | tr '\t' '\n' | grep -qx blurriness; then $(same); \
	else $(BIN)/validate $(ROOT_FLAGS) --min-bytes 0 --min-side 1 $(PICTURE_FLAGS) --with stats --memory $(RUN)/measured.memory.tsv -o $@ $<; fi
$(ROUND_DIR)/audit.tsv: $(ROUND_DIR)/$(if $(STATS),split,measured).tsv $(if $(filter train round,$(MAKECMDGOALS)),$(OOF),$(wildcard $(OOF))) | $(BIN)/audit
	$(why)
	like=; if test -f $(ROUND_DIR)/features/info.tsv; then like="--features $(ROUND_DIR)/features"; \
	  if test -f $(OOF); then like="$$like --predictions $(OOF)"; fi; fi; \
	$(BIN)/audit $(ROOT_FLAGS) $(AUDIT_FLAGS) $$like --facts $(ROUND_DIR)/facts.tsv --sheet $(ROUND_DIR)/audit.html -o $@ $<

# Without variants the rows of the split are what is packed.
ifeq ($(strip $(AUGMENT_VARIANTS)),0)
$(ROUND_DIR)/augmented.tsv: $(ROUND_DIR)/split.tsv
	$(why)
	$(same)
endif

# The shard files of this round, or of the one before, are taken over by links: only what is new is decoded.
PACKED = $(patsubst %/index.tsv,%,$(firstword $(wildcard $(ROUND_DIR)/shards/index.tsv $(RUN)/round-$(shell expr $(ROUND) - 1)/shards/index.tsv)))
$(ROUND_DIR)/shards/index.tsv: $(ROUND_DIR)/augmented.tsv | $(BIN)/pack
	$(why)
	$(BIN)/pack $(ROOT_FLAGS) --size $(SIDE) --resize $(RESIZE) $(PICTURE_FLAGS) --encoding $(ENCODING) $(addprefix --reuse ,$(PACKED)) --rejects $(ROUND_DIR)/pack.rejects.tsv -o $(@D) $<

# Pictures on disk come in here; DOWNLOADED is what fetch brings beside them.
ifneq ($(PICTURES),)
$(RUN)/imported.tsv: $(SETTINGS_MK) $(RUN)/picture-files.md5 | $(BIN)/scan $(BIN)/import $(SETTINGS_CHECK)
	$(why)
	$(BIN)/scan --follow --allow-outside --rejects $(RUN)/scan.rejects.tsv $(PICTURES) | \
	  $(BIN)/import $(ROOT_FLAGS) --allow-outside --by $(PICTURES_BY) --rejects $(RUN)/import.rejects.tsv -o $@
$(RUN)/fetched.tsv: $(if $(SOURCES)$(PAGES),$(DOWNLOADED)) $(RUN)/imported.tsv | $(BIN)/manifest
	$(why)
	$(BIN)/manifest cat -o $@ $^
endif
