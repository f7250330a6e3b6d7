# The CUDA backend: a plug-in (winnow-cuda.so) that lib/tensor/backend.c opens at run time. Needs the headers and link libraries of the CUDA
# toolkit and cuDNN 9; no GPU, no driver, no nvcc. CUDA_HOME says where; else $CUDA_PATH, else the toolkit's usual prefix. Debian's
# and NVIDIA's own packages for cuDNN put it into the system's folders, which the compiler searches anyway.
CUDA_HOME ?= $(or $(CUDA_PATH),/usr/local/cuda)
CUDA_INCLUDE := $(firstword $(patsubst %/cuda_runtime_api.h,%,$(wildcard $(CUDA_HOME)/include/cuda_runtime_api.h /usr/include/cuda_runtime_api.h)))
CUDA_LIB := $(firstword $(patsubst %/,%,$(dir $(wildcard $(CUDA_HOME)/lib64/libcudart.so $(CUDA_HOME)/lib/libcudart.so /usr/lib/*/libcudart.so))))
CUDNN_HEADER := $(firstword $(wildcard $(CUDA_INCLUDE)/cudnn_version.h /usr/include/cudnn_version.h /usr/include/*/cudnn_version.h))
CUDA_MAJOR := $(shell sed -n 's/^\#define CUDART_VERSION *\([0-9]*\)[0-9][0-9][0-9].*/\1/p' $(CUDA_INCLUDE)/cuda_runtime_api.h 2>/dev/null)
CUDNN_MAJOR := $(shell sed -n 's/^\#define CUDNN_MAJOR *//p' $(CUDNN_HEADER) 2>/dev/null)

ifeq ($(CUDA_INCLUDE),)
OFF.tensor/cuda := no CUDA headers (cuda_runtime_api.h) in CUDA_HOME=$(CUDA_HOME)
else ifeq ($(wildcard $(CUDA_INCLUDE)/cublas_v2.h),)
OFF.tensor/cuda := no cuBLAS headers in $(CUDA_INCLUDE)
else ifneq ($(CUDNN_MAJOR),9)
OFF.tensor/cuda := no cuDNN 9 headers (found: $(or $(CUDNN_MAJOR),none))
else ifeq ($(wildcard $(CUDA_INCLUDE)/nccl.h /usr/include/nccl.h),)
OFF.tensor/cuda := no NCCL headers
else ifeq ($(CUDA_LIB),)
OFF.tensor/cuda := no libcudart to link against in CUDA_HOME=$(CUDA_HOME)
endif

PLUGIN.tensor/cuda := winnow-cuda.so
NEEDS.tensor/cuda := base
# cuDNN 9 marks its whole descriptor interface as deprecated in favour of the graph API; docs/notes/cuda.md says why it is used all the same.
CFLAGS.tensor/cuda := -isystem $(CUDA_INCLUDE) -Wno-deprecated-declarations -fvisibility=hidden
LIBS.tensor/cuda := -L$(CUDA_LIB) -Wl,-rpath,$(CUDA_LIB) -Wl,--enable-new-dtags $(if $(filter asan ubsan tsan,$(CONFIG)),,-Wl,-z,defs) -lcudnn -lcublas -lcudart -ldl -lm
