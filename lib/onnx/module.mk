NEEDS.onnx := base io net
# onnx.proto comes with libonnx-dev; its C is made by protoc-c. Without either, ONNX is neither read nor
# written, and the programs say so.
ONNX_PROTO := $(firstword $(wildcard /usr/include/onnx/onnx.proto /usr/local/include/onnx/onnx.proto))
ONNX_PROTOC := $(shell command -v protoc-c 2>/dev/null)
ifeq ($(and $(ONNX_PROTO),$(ONNX_PROTOC),$(shell pkg-config --exists libprotobuf-c 2>/dev/null && echo yes)),)
CFLAGS.onnx := -DWINNOW_WITHOUT_ONNX
else
CFLAGS.onnx := -I$(BUILD)/gen $(shell pkg-config --cflags libprotobuf-c libcjson)
LIBS.onnx := $(shell pkg-config --libs libprotobuf-c)
$(BUILD)/gen/onnx.pb-c.c: $(ONNX_PROTO)
	@mkdir -p $(@D)
	@$(ONNX_PROTOC) --proto_path=$(dir $<) --c_out=$(@D) $(notdir $<) 2>$(@D)/onnx.protoc-c.log || { cat $(@D)/onnx.protoc-c.log >&2; exit 1; }
$(patsubst %.c,$(BUILD)/%.o,$(wildcard lib/onnx/*.c)): $(BUILD)/gen/onnx.pb-c.c
endif
