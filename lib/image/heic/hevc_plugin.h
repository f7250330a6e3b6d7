/*
 * hevc_plugin.h: a plug-in with which libheif decodes HEVC: libde265 without threads. libheif's own plug-in
 * starts a thread for each processor, which the workers' sandbox does not allow.
 */
#ifndef WINNOW_IMAGE_HEVC_PLUGIN_H
#define WINNOW_IMAGE_HEVC_PLUGIN_H

#include <stdbool.h>

/* What this thread's decoder has seen since hevc_plugin_use(). */
struct hevc_seen {
    /* a picture was decoded; the two fields below describe the first one (colour comes before alpha) */
    bool any;
    bool gray;       /* it has no chroma */
    bool full_range; /* its stream says so */
    bool out_of_memory;
    const char *message; /* of libde265, about data that do not make a whole picture; else NULL */
};
extern _Thread_local struct hevc_seen hevc_seen;

/* Registers this decoder with libheif (once a process), and clears the record of what was seen. */
void hevc_plugin_use(void);

#endif
