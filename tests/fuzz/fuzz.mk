# Fuzz targets: tests/fuzz/<name>_fuzz.c with LLVMFuzzerTestOneInput and the same `needs` line as a unit test; stage/<name> among the
# needs takes that stage's sources but its main.c. The seed corpus is tests/fuzz/corpus/<name>/, a dictionary <name>.dict beside it.
#   make check                                        replays the corpora with whatever compiler builds the rest
#   make fuzz                                         builds every target under clang's libFuzzer, ASan and UBSan
#   make fuzz TARGET='journal robots' SECONDS=600     builds and runs these, one after the other; TARGET=all: every one
# What a run finds is left in build/fuzz/found/<name>/ and the run ends with an error. docs/measured.md has the counts.
FUZZ_SRCS := $(sort $(wildcard tests/fuzz/*_fuzz.c))
FUZZ_NAMES := $(patsubst tests/fuzz/%_fuzz.c,%,$(FUZZ_SRCS))
REPLAYS := $(addprefix $(BUILD)/replay/,$(FUZZ_NAMES))

define fuzz_rules
NEEDS.fuzz/$(1) := $(call needs_of,tests/fuzz/$(1)_fuzz.c)
AREAS.fuzz/$(1) := $$(filter-out fuzz/% stage/%,$$(call closure,fuzz/$(1)))
OBJS.fuzz/$(1) := $(BUILD)/tests/fuzz/$(1)_fuzz.o $$(foreach s,$$(filter stage/%,$$(NEEDS.fuzz/$(1))),$$(filter-out %/main.o,$$(OBJS.$$(s))))
LIBS.fuzz/$(1) := $$(foreach s,$$(filter stage/%,$$(NEEDS.fuzz/$(1))),$$(LIBS.$$(s)))
$(BUILD)/replay/$(1): $$(OBJS.fuzz/$(1)) $(BUILD)/tests/fuzz/replay_main.o $$(foreach a,$$(AREAS.fuzz/$(1)),$$(call archive,$$(a)))
	@mkdir -p $$(@D)
	$$(call say,LINK)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$(OBJS.fuzz/$(1)) $(BUILD)/tests/fuzz/replay_main.o $$(call linked,$$(AREAS.fuzz/$(1))) $$(LIBS.fuzz/$(1))
# Only under CONFIG=fuzz CC=clang: libFuzzer brings main.
$(BUILD)/fuzzer/$(1): $$(OBJS.fuzz/$(1)) $$(foreach a,$$(AREAS.fuzz/$(1)),$$(call archive,$$(a)))
	@mkdir -p $$(@D)
	$$(call say,LINK)$$(CC) $$(filter-out -fsanitize=fuzzer-no-link%,$$(ALL_LDFLAGS)) -fsanitize=fuzzer,address,undefined -o $$@ $$(OBJS.fuzz/$(1)) \
	  $$(call linked,$$(AREAS.fuzz/$(1))) $$(LIBS.fuzz/$(1))
endef
$(foreach f,$(FUZZ_NAMES),$(eval $(call fuzz_rules,$(f))))

FUZZ_WANTED := $(if $(filter all,$(TARGET)),$(FUZZ_NAMES),$(TARGET))
# Without oneDNN and CUDA: no stranger's byte comes near them, and clang takes no `pragma GCC target`.
FUZZ_MAKE = $(MAKE) --no-print-directory CONFIG=fuzz BUILD=build/fuzz BIN=build/fuzz/bin CC=clang WARN=-w DEVELOPER= \
  'OFF.tensor/cpu=not fuzzed' 'OFF.tensor/cuda=not fuzzed'
.PHONY: fuzz fuzz-programs fuzz-list
test-programs: $(REPLAYS)
fuzz-programs: $(addprefix $(BUILD)/fuzzer/,$(or $(FUZZ_WANTED),$(FUZZ_NAMES)))
##@ Test
fuzz-list:
	@printf '%s\n' $(FUZZ_NAMES)
## fuzz: build the fuzz targets (clang); TARGET='journal robots'|all SECONDS=600 runs them
fuzz:
	+$(FUZZ_MAKE) fuzz-programs
	$(if $(FUZZ_WANTED),tests/fuzz/run $(or $(SECONDS),600) $(FUZZ_WANTED))
$(BUILD)/tests/fuzz/%.o: AREA_CFLAGS := -I.
