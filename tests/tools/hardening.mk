# The checks that take longer than `make check`. What each found: docs/measured.md.
##@ Test
.PHONY: lint lint-format lint-cppcheck lint-clang-tidy lint-analyzer lint-shell check-asan check-ubsan check-tsan check-valgrind coverage check-fresh-root

# --- lint -------------------------------------------------------------------------------------------------------------
LINT_AREAS := $(filter-out onnx,$(AREAS))
LINT_SRCS := $(foreach a,$(LINT_AREAS),$(SRCS.$(a))) $(wildcard stages/*.c stages/*/*.c tools/*/*.c)
LINT_HEADERS := $(wildcard lib/*/*.h lib/*/*/*.h stages/*/*.h tools/*/*.h)
# The path analysis (lint-analyzer) takes ten seconds a file; what did not change is not looked at again.
## lint: clang-format, cppcheck, shellcheck, clang-tidy, path analysis (each also as lint-format ...)
lint: lint-format lint-cppcheck lint-shell lint-clang-tidy lint-analyzer
lint-format:
	@clang-format --dry-run -Werror $(FORMATTED)
lint-cppcheck:
	@mkdir -p build/lint/cppcheck
	@cppcheck --quiet --std=c11 --language=c --platform=unix64 -j $(LINT_JOBS) --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
	  --suppressions-list=tests/tools/cppcheck.txt --cppcheck-build-dir=build/lint/cppcheck -Ilib -D_GNU_SOURCE -D__linux__ -D__x86_64__ \
	  '-DWINNOW_VERSION="0"' $(LINT_SRCS)
LINT_JOBS ?= 2
# Left out: what asks for quotes where words are meant to be split (SC2046, SC2206, SC2207), and for a glob instead of `ls | grep` over names
# that winnow itself gave (SC2010).
lint-shell:
	@grep -rlIE --exclude-dir=build --exclude-dir=.git '^#!(/bin/sh|/usr/bin/env bash)|^# shellcheck shell=' . | \
	  xargs shellcheck --severity=warning --exclude=SC2046,SC2206,SC2207,SC2010
# clang-tidy's own checks take a second a file, clang's path analysis ten: apart, so that either can be run alone. A stamp a file, out of date
# with the file and the headers that the last build saw it include (all headers where it was never built).
lint-clang-tidy: $(patsubst %.c,build/lint/%.tidy,$(LINT_SRCS))
lint-analyzer: $(patsubst %.c,build/lint/%.analyzed,$(LINT_SRCS))
build/lint/%.tidy: LINT_CHECKS := -clang-analyzer-*
build/lint/%.analyzed: LINT_CHECKS := -*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling,-clang-analyzer-optin.performance.Padding,-clang-analyzer-optin.mpi.MPI-Checker
define lint_flags
$(patsubst %.c,build/lint/%.tidy,$(SRCS.$(1))) $(patsubst %.c,build/lint/%.analyzed,$(SRCS.$(1))): AREA_CFLAGS := $(CFLAGS.$(1))
endef
$(foreach a,$(LINT_AREAS),$(eval $(call lint_flags,$(a))))
define lint_rule
build/lint/%.$(1): %.c .clang-tidy
	@mkdir -p $$(@D)
	@clang-tidy --quiet '--checks=$$(LINT_CHECKS)' '--warnings-as-errors=*' $$< -- -std=gnu11 -D_GNU_SOURCE '-DWINNOW_VERSION="0"' -Ilib -pthread $$(AREA_CFLAGS) 2>$$@.log || \
	  { cat $$@.log >&2; exit 1; }
	@rm -f $$@.log && touch $$@
endef
$(foreach kind,tidy analyzed,$(eval $(call lint_rule,$(kind))))
lint_includes = $(if $(wildcard $(BUILD)/$(1).d),$(filter lib/%.h stages/%.h,$(file <$(BUILD)/$(1).d)),$(LINT_HEADERS))
ifneq ($(filter lint%,$(MAKECMDGOALS)),)
$(foreach f,$(LINT_SRCS:.c=),$(eval build/lint/$(f).tidy build/lint/$(f).analyzed: $(call lint_includes,$(f))))
endif

# --- sanitisers ---------------------------------------------------------------------------------------------------------
# Reports go to files, so that messages stay as the tests expect them and no report is missed where a test expects a failure. What cannot run
# under a sanitiser is named in tests/tools/sanitised, with the reason.
## check-asan: the suites under AddressSanitizer and UBSan; SUITES='unit/* cli' takes some
## check-ubsan: the suites under UBSan alone (other code, other findings)
## check-tsan: the suites that use threads under ThreadSanitizer (needs Debian's libomp-dev)
check-asan check-ubsan check-tsan: check-%:
	$(MAKE) --no-print-directory CONFIG=$* BUILD=build/$* BIN=build/$*/bin test-programs
	@BIN=$(BIN) pipelines/base-weights/run || echo "make $@: no base weights: what needs them is skipped" >&2
	tests/tools/sanitised $* $(SUITES)

## check-valgrind: unit tests, replays and command-line cases under memcheck, on release objects
check-valgrind: test-programs
	BUILD=$(BUILD) BIN=$(BIN) tests/tools/valgrind $(SUITES)

# --- coverage -----------------------------------------------------------------------------------------------------------
# Counts are written where a process ends without exit(), too: tests/tools/coverage_exit.c.
ifeq ($(CONFIG),coverage)
COUNTED := $(PROGRAMS) $(TESTS) $(REPLAYS)
$(COUNTED): $(BUILD)/tests/tools/coverage_exit.o
$(COUNTED): LDFLAGS += -Wl,--wrap=_exit,--wrap=setrlimit,--wrap=seccomp_load,--wrap=signals_reraise $(BUILD)/tests/tools/coverage_exit.o
endif
## coverage: the suites on counting objects: lines run of lib and stages, by folder
coverage:
	$(MAKE) --no-print-directory CONFIG=coverage BUILD=build/coverage BIN=build/coverage/bin test-programs
	find build/coverage -name '*.gcda' -delete
	-CONFIG=coverage BUILD=build/coverage BIN=build/coverage/bin tests/run $(SUITES)
	tests/tools/coverage build/coverage

## check-fresh-root: install the Debian package on a bare Debian and walk the tutorial (root, network)
check-fresh-root: deb
	tests/tools/fresh_root.sh dist/winnow_$(VERSION)_*.deb
