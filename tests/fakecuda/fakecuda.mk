# The stand-ins for libcudart, libcudnn, libcublas and libnccl (README.md here), under the names the loader looks for. They are
# made from the real headers, so that a prototype that changed is a compile error; without the headers they are left out.
ifeq ($(OFF.tensor/cuda),)
FAKE := $(BUILD)/fakecuda
FAKE_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -g -fPIC -pthread -Wall -Wextra -Wshadow -Wno-unused-parameter -fno-strict-aliasing \
  -ffp-contract=off -fvisibility=hidden -isystem $(CUDA_INCLUDE) $(if $(DEVELOPER),-Werror)
FAKE_LIBS := $(FAKE)/libcudart.so.$(CUDA_MAJOR) $(FAKE)/libcublas.so.$(CUDA_MAJOR) $(FAKE)/libcudnn.so.9 $(FAKE)/libnccl.so.2

$(FAKE)/%.o: tests/fakecuda/%.c tests/fakecuda/fake.h tests/fakecuda/nn.h tests/fakecuda/nn_checks.h tests/fakecuda/nn_conv.h $(BUILD)/cuda.txt
	@mkdir -p $(@D)
	$(CC) $(FAKE_CFLAGS) -c -o $@ $<
$(FAKE)/libcudart.so.$(CUDA_MAJOR): $(addprefix $(FAKE)/,core.o cudart.o gemm.o)
$(FAKE)/libcublas.so.$(CUDA_MAJOR): $(FAKE)/cublas.o $(FAKE)/libcudart.so.$(CUDA_MAJOR)
$(FAKE)/libcudnn.so.9: $(addprefix $(FAKE)/,cudnn_descriptors.o cudnn_convolution.o cudnn_graph.o cudnn_ops.o cudnn_norm.o cudnn_elementwise.o) $(FAKE)/libcudart.so.$(CUDA_MAJOR)
$(FAKE)/libnccl.so.2: $(FAKE)/nccl.o $(FAKE)/libcudart.so.$(CUDA_MAJOR)
# cuDNN 9 is a small library before several large ones, which the finder asks for.
FAKE_PARTS := $(patsubst %,$(FAKE)/libcudnn_%.so.9,ops cnn graph heuristic engines_precompiled engines_runtime_compiled)
$(FAKE_PARTS): ; $(CC) -shared -nostdlib -Wl,-soname,$(@F) -o $@ -x c /dev/null
$(FAKE_LIBS):
	$(CC) -shared -pthread -Wl,-soname,$(@F) -Wl,--default-symver -Wl,-z,defs -o $@ $^ -lm

# How to build the plug-in with one file changed: what tests/suites/cuda_mutants.sh needs to know.
$(FAKE)/plugin.env: tests/fakecuda/fakecuda.mk lib/tensor/cuda/module.mk $(BIN)/$(PLUGIN.tensor/cuda)
	@mkdir -p $(@D)
	@printf '%s\n' 'plugin_cc="$(CC)"' 'plugin_cflags="$(filter-out -MMD -MP -DWINNOW_VERSION%,$(ALL_CFLAGS)) -fPIC $(CFLAGS.tensor/cuda)"' \
	  'plugin_objects="$(OBJS.tensor/cuda) $(PLUGIN_BASE)"' 'plugin_ldflags="$(filter-out -pie,$(ALL_LDFLAGS)) $(LIBS.tensor/cuda)"' 'cuda_lib="$(abspath $(CUDA_LIB))"' >$@

# What asks the real cuDNN for plans without a card (tests/suites/cudnn_plans.sh), and the driver that some of its versions want to see.
PLANS_AREAS := $(call areas_of,base net tensor)
$(BUILD)/tests/cudnn/plans: $(BUILD)/tests/cudnn/plans.o $(foreach a,$(PLANS_AREAS),$(call archive,$(a)))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(call linked,$(PLANS_AREAS))
$(FAKE)/driver/libcuda.so.1: tests/fakecuda/driver.c
	@mkdir -p $(@D)
	$(CC) $(FAKE_CFLAGS) -shared -Wl,-soname,$(@F) -o $@ $<

test-programs: $(BUILD)/tests/cudnn/plans $(FAKE)/driver/libcuda.so.1
test-programs: $(FAKE_LIBS) $(FAKE_PARTS) $(FAKE)/plugin.env
endif

.PHONY: check-gpu
##@ Test
## check-gpu: run the CUDA tests on the real libraries and a real GPU; without one they fail
check-gpu: test-programs
	@WINNOW_CUDA_REAL=1 BUILD=$(BUILD) BIN=$(BIN) tests/run 'unit/cuda_*'

.PHONY: check-cudnn
## check-cudnn: ask the real cuDNN for plans on described cards; VERSIONS='9.19.1 9.28.1' fetches these and asks each
check-cudnn: test-programs
	@$(if $(VERSIONS),BUILD=$(BUILD) BIN=$(BIN) tests/cudnn/versions $(VERSIONS),ONLY='plan-*' BUILD=$(BUILD) BIN=$(BIN) tests/run cudnn_plans cuda_mutants)

.PHONY: bench-gpu
GPU_BENCH_AREAS := $(call areas_of,base net tensor)
$(BUILD)/bench/gpu_bench: $(BUILD)/tests/bench/gpu_bench.o $(foreach a,$(GPU_BENCH_AREAS),$(call archive,$(a)))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(call linked,$(GPU_BENCH_AREAS))
##@ Measure
## bench-gpu: images/s and share of the GPU's peak; OPTIONS='--batches 64 --precisions bf16'
bench-gpu: all $(BUILD)/bench/gpu_bench
	@BUILD=$(BUILD) BIN=$(BIN) tests/bench/gpu.sh $(OPTIONS)
