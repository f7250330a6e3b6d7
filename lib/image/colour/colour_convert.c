/*
 * colour_convert.c: converts samples from the colour space that a file describes to sRGB, with lcms2. With a
 * description that cannot be used (a profile that lcms refuses, a transfer function of high dynamic range),
 * the samples are not changed.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lcms2.h>

#include "image/colour.h"

/* Chromaticities of ITU-T H.273's primaries: red, green, blue. */
static const struct {
    unsigned number;
    double xy[6];
} primaries[] = {
    {1, {0.640, 0.330, 0.300, 0.600, 0.150, 0.060}}, {2, {0.640, 0.330, 0.300, 0.600, 0.150, 0.060}},
    {5, {0.640, 0.330, 0.290, 0.600, 0.150, 0.060}}, {6, {0.630, 0.340, 0.310, 0.595, 0.155, 0.070}},
    {9, {0.708, 0.292, 0.170, 0.797, 0.131, 0.046}}, {12, {0.680, 0.320, 0.265, 0.690, 0.150, 0.060}},
};

static cmsHPROFILE make_profile(const double xy[6], const double white[2], cmsToneCurve *curve)
{
    cmsToneCurve *curves[3] = {curve, curve, curve};
    cmsCIExyY w = {white[0], white[1], 1};
    cmsCIExyYTRIPLE rgb = {{xy[0], xy[1], 1}, {xy[2], xy[3], 1}, {xy[4], xy[5], 1}};
    cmsHPROFILE p = curve ? cmsCreateRGBProfile(&w, &rgb, curves) : NULL;
    if (curve) cmsFreeToneCurve(curve);
    return p;
}

/* Returns sRGB's curve. It is also used for BT.709 and similar curves, which browsers treat as the same. */
static cmsToneCurve *srgb_curve(void)
{
    static const double parameters[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
    return cmsBuildParametricToneCurve(NULL, 4, parameters);
}

static const double d65[2] = {0.3127, 0.3290};

static cmsHPROFILE profile_of(const struct colour_note *n)
{
    if (n->has_cicp) {
        for (size_t i = 0; i < sizeof primaries / sizeof *primaries; i++) {
            if (primaries[i].number != n->primaries) continue;
            cmsToneCurve *curve = n->transfer == 8               ? cmsBuildGamma(NULL, 1.0)
                                  : n->transfer == 4             ? cmsBuildGamma(NULL, 2.2)
                                  : n->transfer == 5             ? cmsBuildGamma(NULL, 2.8)
                                  : cicp_is_srgb(1, n->transfer) ? srgb_curve()
                                                                 : NULL;
            return make_profile(primaries[i].xy, d65, curve);
        }
        return NULL;
    }
    if (n->icc)
        return n->n_icc <= UINT32_MAX ? cmsOpenProfileFromMem(n->icc, (cmsUInt32Number)n->n_icc) : NULL;
    if (!n->has_gamma) return NULL;
    const double *white = n->has_chromaticities ? n->chromaticities : d65,
                 *xy = n->has_chromaticities ? n->chromaticities + 2 : primaries[0].xy;
    return make_profile(xy, white, cmsBuildGamma(NULL, 1 / n->gamma));
}

static int convert(struct image *m, cmsHTRANSFORM t, struct error *err)
{
    if (m->channels == 1) {
        uint8_t in[256 * 3], out[256 * 3];
        bool gray = true;
        for (int i = 0; i < 256 * 3; i++)
            in[i] = (uint8_t)(i / 3);
        cmsDoTransform(t, in, out, 256);
        for (int i = 0; i < 256; i++)
            gray = gray && abs(out[3 * i] - out[3 * i + 1]) <= 1 && abs(out[3 * i + 2] - out[3 * i + 1]) <= 1;
        if (gray) {
            for (size_t i = 0, n = image_bytes(m); i < n; i++)
                m->pixels[i] = out[3 * m->pixels[i] + 1];
            return 0;
        }
        if (image_to_rgb(m, err)) return -1;
    }
    for (int y = 0; y < m->height; y++) {
        uint8_t *row = m->pixels + (size_t)y * (size_t)m->width * 3;
        cmsDoTransform(t, row, row, (cmsUInt32Number)m->width);
    }
    return 0;
}

/* Converts a picture with a grey profile as three equal samples, so that grey and RGB pictures are converted
 * in the same way. */
static int convert_gray(struct image *m, cmsHPROFILE from, cmsHPROFILE srgb)
{
    uint8_t in[256], out[256 * 3];
    cmsHTRANSFORM t = cmsCreateTransform(from, TYPE_GRAY_8, srgb, TYPE_RGB_8, INTENT_PERCEPTUAL, 0);
    if (!t) return 0;
    for (int i = 0; i < 256; i++)
        in[i] = (uint8_t)i;
    cmsDoTransform(t, in, out, 256);
    cmsDeleteTransform(t);
    for (size_t i = 0, n = image_bytes(m); i < n; i++)
        m->pixels[i] = out[3 * m->pixels[i] + 1];
    return 0;
}

int colour_to_srgb(struct image *m, const struct colour_note *note, struct error *err)
{
    int rc = 0;
    cmsHPROFILE from = profile_of(note);
    if (!from) return 0;
    cmsHPROFILE srgb = cmsCreate_sRGBProfile();
    cmsColorSpaceSignature space = cmsGetColorSpace(from);
    if (srgb && space == cmsSigGrayData) {
        rc = convert_gray(m, from, srgb);
    } else if (srgb && space == cmsSigRgbData) {
        cmsHTRANSFORM t = cmsCreateTransform(from, TYPE_RGB_8, srgb, TYPE_RGB_8, INTENT_PERCEPTUAL, 0);
        if (t) rc = convert(m, t, err);
        if (t) cmsDeleteTransform(t);
    }
    if (srgb) cmsCloseProfile(srgb);
    cmsCloseProfile(from);
    return rc;
}

struct colour_inks *colour_inks_open(const struct colour_note *note)
{
    cmsHTRANSFORM t = NULL;
    if (!note->icc || note->n_icc > UINT32_MAX) return NULL;
    cmsHPROFILE from = cmsOpenProfileFromMem(note->icc, (cmsUInt32Number)note->n_icc);
    if (!from) return NULL;
    cmsHPROFILE srgb = cmsCreate_sRGBProfile();
    if (srgb && cmsGetColorSpace(from) == cmsSigCmykData)
        t = cmsCreateTransform(from, TYPE_CMYK_8_REV, srgb, TYPE_RGB_8, INTENT_PERCEPTUAL, 0);
    if (srgb) cmsCloseProfile(srgb);
    cmsCloseProfile(from);
    return t;
}

void colour_inks_row(const struct colour_inks *inks, uint8_t *rgb, const uint8_t *cmyk, size_t n)
{
    cmsDoTransform((cmsHTRANSFORM)(uintptr_t)inks, cmyk, rgb, (cmsUInt32Number)n);
}

void colour_inks_close(struct colour_inks *inks)
{
    if (inks) cmsDeleteTransform(inks);
}
