/*
 * hevc_plugin.h: what libheif decodes HEVC with here: libde265 without threads. libheif's own plug-in starts
 * one for each processor, which the workers' sandbox does not allow.
 */
#ifndef WINNOW_IMAGE_HEVC_PLUGIN_H
#define WINNOW_IMAGE_HEVC_PLUGIN_H

#include <stdbool.h>

/* What this thread's decoder saw since hevc_plugin_use(). */
struct hevc_seen {
    bool any;        /* a first picture, which the two below describe: colour comes before alpha */
    bool gray;       /* it has no chroma */
    bool full_range; /* its stream says so */
    bool out_of_memory;
    const char *message; /* of libde265, about data that do not make a whole picture; else NULL */
};
extern _Thread_local struct hevc_seen hevc_seen;

/* Makes libheif take this decoder (once a process) and forgets what was seen. */
void hevc_plugin_use(void);

#endif
