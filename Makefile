# winnow: the one build file. `make help` lists the targets; an optional config.mk beside it is included.
# Its text is the lines `## TARGET: what it does` of this file and those it includes; `##@ GROUP` puts what follows into a group.
#
# The parts describe themselves: lib/<area>/module.mk and stages/<name>/module.mk say what they need,
#   NEEDS.<area> := base io           other areas (their needs come along)
#   LIBS.<area> := -lcurl             what the linker needs for it
#   CFLAGS.<area> := -mavx2           extra flags for its objects only
#   OFF.<area> := why                 set when it cannot be built here: left out, and said by `make config`
# where <area> is the path below lib/ ("tensor/ref"), and stage/<name> for a program. A unit test names its areas in a
# line `/* needs: base io */`. Nothing else has to be edited to add a part.

-include config.mk

CONFIG ?= release
BUILD ?= build/$(CONFIG)
# One spelling for a folder below this one: dependency files name an object as the compiler was told, and what is built with
# an absolute BUILD would else not be built again after a header changed.
override BUILD := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))
BIN ?= bin
CC ?= cc
AR ?= ar
prefix ?= /usr/local
VERSION := $(shell cat VERSION)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

OPT.release := -O2 -g
OPT.asan := -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
OPT.ubsan := -O1 -g -fsanitize=undefined -fno-sanitize-recover=undefined
OPT.tsan := -O1 -g -fsanitize=thread
OPT.coverage := -O0 -g --coverage
OPT.fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
HARDEN := -fstack-protector-strong -fPIE
HARDEN.release := -D_FORTIFY_SOURCE=2
LDHARDEN := -pie -Wl,-z,relro,-z,now
WARN := -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Wpointer-arith -Wno-unused-parameter
ifdef DEVELOPER
WARN += -Werror
endif
# -ffp-contract=off: the same source gives the same bits whether or not the machine has FMA.
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DWINNOW_VERSION='"$(VERSION)"' -Ilib $(OPT.$(CONFIG)) -ffp-contract=off \
  -pthread $(HARDEN) $(HARDEN.$(CONFIG)) $(WARN) -MMD -MP $(CFLAGS)
ALL_LDFLAGS = $(filter -fsanitize% --coverage,$(OPT.$(CONFIG))) $(LDHARDEN) -pthread $(LDFLAGS)

# --- the parts ------------------------------------------------------------------------------------------------------
AREA_FILES := $(shell find lib -name module.mk | sort)
STAGE_FILES := $(sort $(wildcard stages/*/module.mk))
# Programs that the checkout needs and nobody installs: tools/<name>/.
TOOL_FILES := $(sort $(wildcard tools/*/module.mk))
# What plain `make` makes; said here because parts bring rules of their own.
.DEFAULT_GOAL := all
include $(AREA_FILES) $(STAGE_FILES) $(TOOL_FILES)
ALL_AREAS := $(patsubst lib/%/module.mk,%,$(AREA_FILES))
AREAS := $(foreach a,$(ALL_AREAS),$(if $(OFF.$(a)),,$(a)))
STAGES := $(patsubst stages/%/module.mk,%,$(STAGE_FILES))
TOOLS := $(patsubst tools/%/module.mk,%,$(TOOL_FILES))
PROGRAMS := $(addprefix $(BIN)/,$(STAGES)) $(BIN)/winnow
PLUGINS := $(foreach a,$(AREAS),$(if $(PLUGIN.$(a)),$(BIN)/$(PLUGIN.$(a))))

archive = $(BUILD)/lib/$(1)/area.a
closure = $(sort $(1) $(foreach d,$(NEEDS.$(1)),$(if $(OFF.$(d)),,$(call closure,$(d)))))
areas_of = $(sort $(foreach d,$(1),$(call closure,$(d))))
link_libs = $(foreach a,$(1),$(LIBS.$(a)))
linked = -Wl,--start-group $(foreach a,$(1),$(call archive,$(a))) -Wl,--end-group $(call link_libs,$(1)) -lm

# One short line a command; V=1 shows the commands.
say = $(if $(V),,@echo "  $(1) $@";)
.PHONY: all help config format
##@ Build
## all: build every program and plug-in (the default)
all: $(PROGRAMS) $(PLUGINS) $(addprefix $(BIN)/,$(TOOLS))

# A plug-in carries its own hidden copy of lib/base: the programs that open it export nothing.
PLUGIN_BASE := $(patsubst %.c,$(BUILD)/pic/%.o,$(sort $(wildcard lib/base/*.c)))
$(BUILD)/pic/%.o: HARDEN := -fstack-protector-strong -fPIC -fvisibility=hidden
$(BUILD)/pic/%.o: %.c VERSION
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

define area_rules
SRCS.$(1) := $(sort $(wildcard lib/$(1)/*.c))
OBJS.$(1) := $$(patsubst %.c,$(BUILD)/%.o,$$(SRCS.$(1)))
$$(OBJS.$(1)): AREA_CFLAGS := $$(CFLAGS.$(1))
$(if $(PLUGIN.$(1)),
$$(OBJS.$(1)): $$(STAMP.$(1))
$$(OBJS.$(1)): HARDEN := -fstack-protector-strong -fPIC
$(BIN)/$(PLUGIN.$(1)): $$(OBJS.$(1)) $$(PLUGIN_BASE)
	@mkdir -p $$(@D)
	$$(call say,LINK)$$(CC) $$(filter-out -pie,$$(ALL_LDFLAGS)) -shared -o $$@ $$(OBJS.$(1)) $$(PLUGIN_BASE) $$(LIBS.$(1))
)
$(call archive,$(1)): $$(OBJS.$(1))
	@rm -f $$@
	@$$(AR) rcs $$@ $$^
endef
$(foreach a,$(AREAS),$(eval $(call area_rules,$(a))))

define stage_rules
OBJS.stage/$(1) := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard stages/$(1)/*.c tools/$(1)/*.c)))
AREAS.stage/$(1) := $(call areas_of,$(NEEDS.stage/$(1)))
$$(OBJS.stage/$(1)): AREA_CFLAGS := $$(CFLAGS.stage/$(1))
$(BIN)/$(1): $$(OBJS.stage/$(1)) $$(foreach a,$$(AREAS.stage/$(1)),$$(call archive,$$(a)))
	@mkdir -p $$(@D)
	$$(call say,LINK)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$(OBJS.stage/$(1)) $$(call linked,$$(AREAS.stage/$(1))) $$(LIBS.stage/$(1))
endef
$(foreach s,$(STAGES) $(TOOLS),$(eval $(call stage_rules,$(s))))

$(BUILD)/%.o: %.c VERSION
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ALL_CFLAGS) $(AREA_CFLAGS) -c -o $@ $<

# `winnow --help` shows each program's own summary, out of its option table: one line `.summary = "...",` in its main.c.
LISTED := $(STAGES)
$(BUILD)/programs.h: $(foreach s,$(LISTED),stages/$(s)/main.c)
	@mkdir -p $(@D)
	@for s in $(LISTED); do sed -n 's,^ *\.summary = \("[^"]*"\)\,$$,{"'$$s'"\, \1}\,,p' stages/$$s/main.c; done >$@.tmp
	@test $$(wc -l <$@.tmp) = $(words $(LISTED)) || { echo "make: a summary is not on one line of its own in stages/*/main.c" >&2; exit 1; }
	@cmp -s $@.tmp $@ && rm $@.tmp && touch $@ || mv $@.tmp $@
$(BUILD)/stages/winnow.o: $(BUILD)/programs.h
$(BUILD)/stages/winnow.o: AREA_CFLAGS := -I$(BUILD)
$(BIN)/winnow: $(BUILD)/stages/winnow.o $(call archive,base)
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $< $(call archive,base)

help:
	@echo "usage: make [TARGET]... [VARIABLE=VALUE]..."
	@awk '/^##@ / { group = substr($$0, 5); if (!(group in text)) order[++n] = group } \
	  /^## [^ :]+: / { name = $$2; sub(/:$$/, "", name); sub(/^## [^:]+: /, ""); text[group] = text[group] sprintf("  %-18s %s\n", name, $$0) } \
	  END { for (i = 1; i <= n; i++) printf "\n%s\n%s", order[i], text[order[i]] }' $(filter Makefile %.mk,$(MAKEFILE_LIST))

# --- tests ----------------------------------------------------------------------------------------------------------
TEST_SRCS := $(sort $(wildcard tests/unit/*_test.c))
TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(TEST_SRCS))
needs_of = $(filter-out $(foreach a,$(ALL_AREAS),$(if $(OFF.$(a)),$(a))),$(shell sed -n 's,^/\* needs: \(.*\) \*/.*,\1,p' $(1)))
define test_rules
AREAS.test/$(1) := $(call areas_of,$(call needs_of,tests/unit/$(1).c))
$(BUILD)/tests/$(1): $(BUILD)/tests/unit/$(1).o $(BUILD)/tests/unit/tap.o $$(foreach a,$$(AREAS.test/$(1)),$$(call archive,$$(a)))
	@mkdir -p $$(@D)
	$$(call say,LINK)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$< $(BUILD)/tests/unit/tap.o $$(call linked,$$(AREAS.test/$(1)))
endef
$(foreach t,$(notdir $(TEST_SRCS:.c=)),$(eval $(call test_rules,$(t))))
# reads files with weights alone by the inner headers of lib/net, which name cJSON's and HDF5's
$(BUILD)/tests/unit/net_h5_test.o: AREA_CFLAGS := $(CFLAGS.net)

.PHONY: check check-cli deps clean
test-programs: all $(TESTS)
.PHONY: test-programs
##@ Test
# Suites run two at a time; each prints TAP.
## check: run the test suites; SUITES='unit/base_test cli' takes some
check: test-programs
	@BIN=$(BIN) pipelines/base-weights/run || echo "make check: no base weights: what needs them is skipped" >&2
	@$(if $(OFF.tensor/cuda),echo "make check: the CUDA tests are skipped: $(OFF.tensor/cuda)" >&2)
	@BUILD=$(BUILD) BIN=$(BIN) tests/run $(SUITES)
## check-cli: run the command-line cases; UPDATE=1 rewrites what they expect, to be read as a diff
check-cli: all
	@BUILD=$(BUILD) BIN=$(BIN) UPDATE=$(UPDATE) tests/run cli
##@ Build
## config: say which parts are built, and why others are left out
config:
	@echo "areas: $(AREAS)"; $(foreach a,$(ALL_AREAS),$(if $(OFF.$(a)),echo "left out: $(a): $(OFF.$(a))";)) echo "programs: $(STAGES)"
## format: apply .clang-format (clang-format 14) to every C source
FORMATTED = $(shell git ls-files '*.c' '*.h' 2>/dev/null || find lib stages tests -name '*.[ch]')
format:
	clang-format -i $(FORMATTED)
## deps: install all packages that building, tests and benchmarks need (Debian)
deps:
	./bootstrap deps
## clean: remove build/ and bin/
clean:
	rm -rf build $(BIN)
##@ Variables
## V=1: show the commands
## DEVELOPER=1: make warnings errors
## CONFIG=asan: with AddressSanitizer (or ubsan, tsan, coverage); add BUILD=build/asan BIN=build/asan/bin

-include pipelines/targets.mk
-include install.mk
include tests/fuzz/fuzz.mk
include tests/tools/hardening.mk
-include tests/bench/bench.mk
-include tests/fakecuda/fakecuda.mk
-include tests/gpu/gpu.mk
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
