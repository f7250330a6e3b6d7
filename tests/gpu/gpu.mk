# What measures and proves the CUDA backend on a machine that has a card (docs/gpu.md).
ifeq ($(OFF.tensor/cuda),)
comma := ,
# gpu_bench puts itself in front of two calls of the runtime, to know how long the processor waits for the card.
$(BUILD)/bench/gpu_bench: ALL_LDFLAGS += $(addprefix -Wl$(comma)--export-dynamic-symbol=,cudaStreamSynchronize cudaEventSynchronize)

# Linked lazily: a call that a cuDNN does not have is an answer, and the others are asked all the same.
$(BUILD)/tests/gpu/probe.o: AREA_CFLAGS := $(CFLAGS.tensor/cuda)
$(BUILD)/tests/gpu/probe.o: $(BUILD)/cuda.txt
$(BUILD)/tests/gpu/probe: $(BUILD)/tests/gpu/probe.o
	$(CC) $(filter -fsanitize% --coverage,$(OPT.$(CONFIG))) -pie -Wl,-z,lazy -o $@ $< -L$(CUDA_LIB) -lcudnn -lcudart
test-programs: $(BUILD)/tests/gpu/probe $(BUILD)/bench/gpu_bench
endif

.PHONY: gpu-kit
##@ Measure
## gpu-kit: pack build/gpu-kit(.tar.gz): all that a machine with a card needs to run run.sh (docs/gpu.md)
# Its programs are built without the decoders of AVIF, HEIC and JPEG XL, whose libraries bring encoders of 20 MiB; its pictures are JPEG.
KIT_WITHOUT := $(foreach a,avif colour heic jxl,'OFF.image/$(a)=not in the kit')
KIT_PROGRAMS := bin/train bin/classify bin/pack bin/winnow-cuda.so bench/gpu_bench tests/gpu/probe $(foreach t,ops net step inception,tests/cuda_$(t)_test)
gpu-kit:
	@pipelines/base-weights/run
	@$(if $(OFF.tensor/cuda),echo 'gpu-kit: $(OFF.tensor/cuda)' >&2; exit 69)
	@$(MAKE) --no-print-directory BUILD=build/kit BIN=build/kit/bin $(KIT_WITHOUT) $(addprefix build/kit/,$(KIT_PROGRAMS))
	@BUILD=build/kit BIN=build/kit/bin tests/gpu/pack build/gpu-kit
