# The steps of the dataset that are one job each, whoever runs the rest: targets.mk (one machine) and parts.mk (in parts) include this.
# NEAR_FROM: the manifest whose near copies are looked for (with hashes as columns, no picture is read for it).

$(R)/labelled.tsv: $(RUN)/valid.tsv $(wildcard $(DECISIONS)) | $(P)/relabel
	@mkdir -p $(@D)
	if test -f $(DECISIONS); then \
	  $(P)/relabel --decisions $(DECISIONS) --rejects $(R)/relabel.rejects.tsv -o $@ $<; \
	else cp $< $@.tmp && mv $@.tmp $@; fi

$(R)/unique.tsv: $(R)/labelled.tsv | $(P)/hash-dedup
	$(P)/hash-dedup $(Q) $(HASH_DEDUP_FLAGS) --rejects $(R)/hash-dedup.rejects.tsv -o $@ $<

$(R)/distinct.tsv: $(NEAR_FROM) | $(P)/phash-dedup
	$(P)/phash-dedup $(Q) $(PHASH_DEDUP_FLAGS) --rejects $(R)/phash-dedup.rejects.tsv -o $@ $<

$(R)/split.tsv: $(R)/distinct.tsv | $(P)/train-test-split
	$(P)/train-test-split $(SPLIT_FLAGS) -o $@ $<

$(R)/shards/index.tsv: $(R)/augmented.tsv | $(P)/pack
	$(P)/pack $(Q) --size $(SIDE) --resize $(RESIZE) --rejects $(R)/pack.rejects.tsv -o $(@D) $<
