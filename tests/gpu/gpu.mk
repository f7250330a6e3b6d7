# What measures and proves the CUDA backend on a machine that has a card (docs/gpu.md).
ifeq ($(OFF.tensor/cuda),)
comma := ,
# gpu_bench stands in front of two calls of the runtime, to know how long the processor waits for the card.
$(BUILD)/bench/gpu_bench: ALL_LDFLAGS += $(addprefix -Wl$(comma)--export-dynamic-symbol=,cudaStreamSynchronize cudaEventSynchronize)
endif
