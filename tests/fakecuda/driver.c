/*
 * driver.c: a libcuda.so.1 for machines without a driver. cuDNN 9.27 and later are linked to six functions of
 * the driver and cannot be loaded without them; planning for a card that is only described calls none of
 * those, so that each may say that there is no device. Others are looked up by name and may be missing.
 */
#define NO_DEVICE 100 /* CUDA_ERROR_NO_DEVICE */
#define API(name)                                                                                            \
    __attribute__((visibility("default"))) int name(void);                                                   \
    int name(void) { return NO_DEVICE; }
API(cuTensorMapEncodeTiled)
API(cuTensorMapEncodeIm2col)
API(cuModuleUnload)
API(cuModuleLoadData)
API(cuModuleGetFunction)
API(cuGetErrorString)
