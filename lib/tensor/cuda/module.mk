# The CUDA backend: a plug-in (winnow-cuda.so) that lib/tensor/backend.c opens at run time. Needs the headers and link libraries of the CUDA
# toolkit, cuDNN 9 and NCCL; no GPU, no driver, no nvcc. They are taken from the first of these that has them all: CUDA_HOME, CUDA_PATH, the
# folder that pkg-config names, the toolkit's usual prefix, the system's folders, build/cuda (`./bootstrap gpu`). cuDNN and NCCL may lie in
# the system's folders beside any of them: Debian's and NVIDIA's own packages put them there.
cuda_pc := $(lastword $(shell pkg-config --list-all 2>/dev/null | sed -n 's/^\(cudart-[0-9.]*\) .*/\1/p' | sort -V))
CUDA_PREFIXES := $(CUDA_HOME) $(CUDA_PATH) $(if $(cuda_pc),$(shell pkg-config --variable=cudaroot $(cuda_pc))) /usr/local/cuda /usr build/cuda

cuda_header = $(firstword $(wildcard $(1)/include/$(2) /usr/include/$(2) /usr/include/*-linux-gnu/$(2)))
cuda_lib = $(patsubst %/,%,$(dir $(firstword $(wildcard $(addprefix $(1)/,lib64/libcudart.so lib/libcudart.so lib/*-linux-gnu/libcudart.so)))))
cuda_lacks = $(foreach h,cuda_runtime_api.h cublas_v2.h,$(if $(wildcard $(1)/include/$(h)),,$(h))) $(if $(call cuda_header,$(1),nccl.h),,nccl.h) \
  $(if $(call cuda_lib,$(1)),,libcudart.so) $(if $(shell grep 'CUDNN_MAJOR 9$$' $(or $(call cuda_header,$(1),cudnn_version.h),/dev/null)),,cuDNN 9)
CUDA_PREFIX := $(firstword $(foreach p,$(CUDA_PREFIXES),$(if $(strip $(call cuda_lacks,$(p))),,$(p))))
CUDA_INCLUDE := $(if $(CUDA_PREFIX),$(CUDA_PREFIX)/include)
CUDA_LIB := $(if $(CUDA_PREFIX),$(call cuda_lib,$(CUDA_PREFIX)))
CUDA_MAJOR := $(if $(CUDA_PREFIX),$(shell sed -n 's/^\#define CUDART_VERSION *\([0-9]*\)[0-9][0-9][0-9].*/\1/p' $(CUDA_INCLUDE)/cuda_runtime_api.h))

ifeq ($(CUDA_PREFIX),)
cuda_partly := $(firstword $(foreach p,$(CUDA_PREFIXES),$(if $(wildcard $(p)/include/cuda_runtime_api.h),$(p))))
OFF.tensor/cuda := $(if $(cuda_partly),$(cuda_partly) has no $(strip $(call cuda_lacks,$(cuda_partly))),no CUDA toolkit); ./bootstrap gpu fetches what is needed
endif

PLUGIN.tensor/cuda := winnow-cuda.so
NEEDS.tensor/cuda := base
# cuDNN 9 marks its whole descriptor interface as deprecated in favour of the graph API; docs/notes/cuda.md says why it is used all the same.
CFLAGS.tensor/cuda := $(if $(filter /usr,$(CUDA_PREFIX)),,-isystem $(CUDA_INCLUDE)) -Wno-deprecated-declarations -fvisibility=hidden
# No RUNPATH: lib/tensor/cuda_libraries.c finds the libraries on the machine that the plug-in runs on.
LIBS.tensor/cuda := -L$(CUDA_LIB) $(if $(filter asan ubsan tsan,$(CONFIG)),,-Wl,-z,defs) -lcudnn -lcublas -lcudart -ldl -lm

# The headers of another toolkit may be older than the objects: this file is what changes with them.
STAMP.tensor/cuda := $(BUILD)/cuda.txt
$(BUILD)/cuda.txt: FORCE
	@mkdir -p $(@D)
	@{ echo '$(CUDA_PREFIX)'; cat $(CUDA_PREFIX)/packages.txt; grep -h 'define CUDART_VERSION' $(CUDA_INCLUDE)/cuda_runtime_api.h; } >$@.new 2>/dev/null || :
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: FORCE cuda-prefix
# What bootstrap asks: "/usr/local/cuda 13".
cuda-prefix:
	@echo '$(CUDA_PREFIX) $(CUDA_MAJOR)'
