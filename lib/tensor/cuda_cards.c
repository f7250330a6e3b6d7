/*
 * cuda_cards.c: describes cards, in the form in which cuDNN reads it, so that plans can be made without
 * having the card. The numbers come from data sheets and tables of compute capabilities, and were not read
 * from cards. The plans that cuDNN offers depend almost only on the compute capability. The memory and the
 * number of SMs determine which plans fit.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "tensor/cuda_cards.h"

static const struct card {
    const char *name, *title;
    int capability; /* 900 is 9.0 */
    int sms, shared_block, shared_sm, threads_sm, blocks_sm;
    int clock_mhz, memory_clock_mhz, bus_bits, l2_mib;
    double memory_gib;
} cards[] = {
    {"t4", "Tesla T4", 750, 40, 65536, 65536, 1024, 16, 1590, 5001, 256, 4, 14.6},
    {"rtx2080ti", "NVIDIA GeForce RTX 2080 Ti", 750, 68, 65536, 65536, 1024, 16, 1545, 7000, 352, 5, 10.8},
    {"a100", "NVIDIA A100-SXM4-80GB", 800, 108, 166912, 167936, 2048, 32, 1410, 1593, 5120, 40, 79.2},
    {"rtx3090", "NVIDIA GeForce RTX 3090", 860, 82, 101376, 102400, 1536, 16, 1695, 9751, 384, 6, 23.7},
    {"rtx4090", "NVIDIA GeForce RTX 4090", 890, 128, 101376, 102400, 1536, 24, 2520, 10501, 384, 72, 23.6},
    {"l4", "NVIDIA L4", 890, 58, 101376, 102400, 1536, 24, 2040, 6251, 192, 48, 22.0},
    {"h100", "NVIDIA H100 80GB HBM3", 900, 132, 232448, 233472, 2048, 32, 1980, 2619, 5120, 50, 79.1},
    {"h200", "NVIDIA H200", 900, 132, 232448, 233472, 2048, 32, 1980, 3201, 6144, 60, 140.4},
    {"b200", "NVIDIA B200", 1000, 148, 232448, 233472, 2048, 32, 1965, 3996, 8192, 126, 178.4},
    {"rtx5090", "NVIDIA GeForce RTX 5090", 1200, 170, 101376, 102400, 1536, 24, 2407, 14001, 512, 96, 31.4},
};

const char *cuda_card_name(int i) { return i < (int)(sizeof cards / sizeof *cards) ? cards[i].name : NULL; }

int cuda_card_describe(const char *name, char *json, size_t bytes, struct error *err)
{
    char known[200] = "";
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++) {
        const struct card *c = &cards[i];
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", c->name);
        if (strcasecmp(name, c->name)) continue;
        snprintf(json, bytes,
                 "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
                 "\"regsPerBlock\":65536,\"multiProcessorCount\":%d,\"warpSize\":32,"
                 "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,"
                 "\"reservedSharedMemoryPerBlock\":%d,\"maxSharedMemoryPerSM\":%d,"
                 "\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":%d,\"maxThreadsPerBlock\":1024,"
                 "\"maxThreadsPerSM\":%d,\"pciDeviceId\":0,"
                 "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":%.0f,\"smClockRateKHz\":%d,"
                 "\"memClockRateKHz\":%d,\"memoryBusWidth\":%d,\"l2CacheSize\":%d,\"cudaDeviceId\":0,"
                 "\"deviceVer\":%d,\"driverVer\":13000,\"deviceName\":\"%s\"}",
                 c->sms, c->shared_block, c->capability < 800 ? 0 : 1024, c->shared_sm, c->blocks_sm,
                 c->threads_sm, c->memory_gib * 1073741824.0, c->clock_mhz * 1000, c->memory_clock_mhz * 1000,
                 c->bus_bits, c->l2_mib << 20, c->capability, c->title);
        return 0;
    }
    return error_set(err, EX_USAGE, "unknown card '%s' (there are %s)", name, known);
}

int cuda_card_check(const char *json, struct error *err)
{
    static const char *const keys[] = {"maxGridSize",
                                       "maxBlockSize",
                                       "regsPerBlock",
                                       "multiProcessorCount",
                                       "warpSize",
                                       "maxRegistersPerSM",
                                       "maxCtasPerSM",
                                       "maxThreadsPerBlock",
                                       "maxThreadsPerSM",
                                       "pciDeviceId",
                                       "isTccDriver",
                                       "supportCoopLaunch",
                                       "totalGlobalMem",
                                       "smClockRateKHz",
                                       "memClockRateKHz",
                                       "memoryBusWidth",
                                       "l2CacheSize",
                                       "cudaDeviceId",
                                       "deviceVer",
                                       "driverVer",
                                       "deviceName",
                                       "maxSharedMemoryPerBlock",
                                       "maxSharedMemoryPerBlockOptin",
                                       "reservedSharedMemoryPerBlock",
                                       "maxSharedMemoryPerSM"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char quoted[60];
        snprintf(quoted, sizeof quoted, "\"%s\"", keys[i]);
        const char *value = strstr(json, quoted);
        if (!value) return error_set(err, EX_DATAERR, "the description of the card has no %s", quoted);
        /* cuDNN does not name the key whose value it refuses */
        value += strlen(quoted);
        value += strspn(value, " \t\r\n:");
        bool array = i < 2, text = !strcmp(keys[i], "deviceName");
        if (!strchr(array ? "[" : text ? "\"" : "-0123456789", *value) || !*value)
            return error_set(err, EX_DATAERR, "the description of the card has no %s for %s",
                             array  ? "list"
                             : text ? "text"
                                    : "number",
                             quoted);
    }
    return 0;
}

double cuda_card_number(const char *json, const char *key)
{
    char quoted[60], text[40];
    double value;
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    const char *at = strstr(json, quoted);
    if (at) at = strchr(at, ':');
    if (at) at += 1 + strspn(at + 1, " \t");
    return at && snprintf(text, sizeof text, "%.*s", (int)strcspn(at, ",} \t\r\n"), at) > 0 &&
                   parse_number(text, &value)
               ? value
               : 0;
}

double cuda_card_operations(int capability, enum backend_precision precision)
{
    static const struct {
        int capability;
        double fp32, tf32, halves; /* bf16 and fp16: as many, but that Turing has fp16 only */
    } known[] = {
        {75, 128, 128, 1024}, {80, 128, 1024, 2048}, {86, 256, 256, 512},    {87, 256, 512, 1024},
        {89, 256, 256, 512},  {90, 256, 2048, 4096}, {100, 256, 4096, 8192}, {103, 256, 4096, 8192},
        {120, 256, 256, 512}, {121, 256, 256, 512},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].capability == capability)
            return precision == PRECISION_F32                       ? known[i].fp32
                   : precision == PRECISION_TF32                    ? known[i].tf32
                   : precision == PRECISION_BF16 && capability < 80 ? 0
                                                                    : known[i].halves;
    return 0;
}

double cuda_card_operations_per_s(const char *json, enum backend_precision precision)
{
    return cuda_card_operations((int)cuda_card_number(json, "deviceVer") / 10, precision) *
           cuda_card_number(json, "multiProcessorCount") * cuda_card_number(json, "smClockRateKHz") * 1e3;
}

/* Memory transfers data twice in a clock, as the numbers in cudaDeviceProp mean it. */
double cuda_card_bytes_per_s(const char *json)
{
    return 2 * cuda_card_number(json, "memClockRateKHz") * 1e3 * cuda_card_number(json, "memoryBusWidth") / 8;
}
