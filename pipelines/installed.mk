# The pipeline of an installed winnow: the same rules without a build (see tools/run).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
.PHONY: all
all:
include $(dir $(lastword $(MAKEFILE_LIST)))targets.mk
