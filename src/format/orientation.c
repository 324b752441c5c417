/* Marks such as MF or UNA: which way the stored picture lies.
 *
 * PLUS names the direction of the image's x axis, then of its y axis: along
 * the transducer towards its marked (M) or unmarked (U) end, and in depth
 * towards far (F) or near (N). A mark that starts with F or N belongs to a
 * picture stored on its side, x in depth, as raw echo lines are. The third
 * letter (A, D) is the direction across the plane; a single plane has none, so
 * it moves no pixel. Inside echosolid a frame is always MF: u to the marked
 * end, v away from the probe. */
#include <string.h>
#include <strings.h>

#include "format_internal.h"

static bool is_one_of(char letter, const char *letters) {
    return letter && strchr(letters, letter) != NULL;
}

bool es_orientation_parse(const char *mark, es_turn *turn, es_error *err) {
    memset(turn, 0, sizeof *turn);
    if (!*mark) return true;
    char m[4] = {0};
    size_t length = strlen(mark);
    for (size_t i = 0; i < length && i < 3; i++)
        m[i] = (char)(mark[i] >= 'a' && mark[i] <= 'z' ? mark[i] - 'a' + 'A' : mark[i]);
    bool upright = is_one_of(m[0], "MU") && is_one_of(m[1], "FN");
    bool on_side = is_one_of(m[0], "FN") && is_one_of(m[1], "MU");
    if (length == 3 && strcmp(m, "AMF") == 0)
        return es_fail(err, ES_UNSUPPORTED,
                       "orientation AMF (slices across the beam) is not supported; store the "
                       "frames as MFA");
    if (length < 2 || length > 3 || (!upright && !on_side) || (m[2] && !is_one_of(m[2], "AD")))
        return es_fail(
            err, ES_FORMAT,
            "orientation \"%.20s\" is unknown; expected MF, MN, UF, UN, FM, FU, NM or NU, "
            "perhaps with A or D behind",
            mark);
    turn->transpose = on_side;
    turn->flip_u = m[on_side ? 1 : 0] == 'U';
    turn->flip_v = m[on_side ? 0 : 1] == 'N';
    return true;
}

/* One element between places that `bytes` says; the common sizes inline. */
static inline void copy_element(unsigned char *to, const unsigned char *from, size_t bytes) {
    switch (bytes) {
    case 1: *to = *from; break;
    case 2: memcpy(to, from, 2); break;
    case 3: memcpy(to, from, 3); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    default: memcpy(to, from, bytes); break;
    }
}

void es_orientation_apply(es_turn turn, const void *from, void *to, uint32_t width, uint32_t height,
                          size_t bytes) {
    const unsigned char *in = from;
    unsigned char *out = to;
    size_t out_width = turn.transpose ? height : width;
    size_t out_height = turn.transpose ? width : height;
    /* Steps in the stored picture for one step along u and v. */
    ptrdiff_t step_u = (ptrdiff_t)(turn.transpose ? width * bytes : bytes);
    ptrdiff_t step_v = (ptrdiff_t)(turn.transpose ? bytes : width * bytes);
    if (turn.flip_u) in += (ptrdiff_t)(out_width - 1) * step_u, step_u = -step_u;
    if (turn.flip_v) in += (ptrdiff_t)(out_height - 1) * step_v, step_v = -step_v;
    for (size_t v = 0; v < out_height; v++, in += step_v) {
        const unsigned char *element = in;
        if (step_u == (ptrdiff_t)bytes) {
            memcpy(out, in, out_width * bytes);
            out += out_width * bytes;
            continue;
        }
        for (size_t u = 0; u < out_width; u++, element += step_u, out += bytes)
            copy_element(out, element, bytes);
    }
}

/* The corner that a DICOM picture was cut out at: "u v". */
static void add_crop(const es_stream_info *info, double *u, double *v) {
    const char *text = es_fields_get(&info->fields, "DicomCropOrigin");
    double crop[2];
    if (!text || es_parse_doubles(text, crop, 2) != 2) return;
    *u += crop[0];
    *v += crop[1];
}

bool es_stored_place(const es_stream_info *info, double *u, double *v, es_error *err) {
    es_turn turn;
    if (!es_orientation_parse(info->orientation, &turn, err)) return false;
    if (turn.flip_u) *u = (double)info->width - 1 - *u;
    if (turn.flip_v) *v = (double)info->height - 1 - *v;
    if (turn.transpose) {
        double swap = *u;
        *u = *v;
        *v = swap;
    }
    add_crop(info, u, v);
    return true;
}
