# make bench: what winnow does beside its peers, as tables. Prints, never fails; peers that are not installed are left out
# (./bootstrap deps brings them). BENCH='engine fetch' picks some. Nothing else should run on the machine.
BENCH ?= engine classify keras fetch fetch_million hash-dedup phash feature-dedup pictures eval train prevalence incremental
.PHONY: bench
##@ Measure
## bench: print tables beside the peers; BENCH='engine fetch' picks some
bench: all
	@for b in $(BENCH); do \
	  echo; echo "== $$b"; \
	  case $$b in \
	  train) test -d runs/demo || { echo "no runs/demo: make demo first"; continue; }; \
	    BIN=$(BIN) bash tests/bench/train.sh runs/demo/round-1/shards models/base/inception_v3 || :;; \
	  *) BUILD=$(BUILD) BIN=$(BIN) bash tests/bench/$$b.sh || :;; \
	  esac; done
