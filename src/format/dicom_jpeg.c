/* Which colours a JPEG stream holds.
 *
 * The data set may say RGB over a stream of YCbCr and the reverse. The stream
 * itself knows better: an Adobe segment names the transform, a JFIF segment
 * means YCbCr, components named R, G, B are what they say; without any of these
 * a lossy stream holds YCbCr, as nearly all do, and a lossless one what the
 * data set says. Segments: ITU-T T.81, annex B. */
#include <string.h>

#include "dicom_internal.h"

typedef struct jpeg_marks {
    bool jfif, adobe, adobe_ybr, frame, lossless, rgb_names;
} jpeg_marks;

/* body: `length` bytes behind the segment's length. */
static void read_segment(jpeg_marks *marks, int marker, const unsigned char *body, size_t length) {
    bool start_of_frame =
        marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (marker == 0xe0 && length >= 5 && memcmp(body, "JFIF", 5) == 0) marks->jfif = true;
    if (marker == 0xee && length >= 12 && memcmp(body, "Adobe", 5) == 0) {
        marks->adobe = true;
        marks->adobe_ybr = body[11] == 1;
    }
    if (start_of_frame) {
        marks->frame = true;
        marks->lossless = marker % 4 == 3; /* C3, C7, CB, CF */
        marks->rgb_names = length >= 15 && body[6] == 'R' && body[9] == 'G' && body[12] == 'B';
    }
}

bool es_jpeg_is_ybr(const unsigned char *stream, size_t length, bool told) {
    jpeg_marks marks = {0};
    size_t at = 2; /* behind the start of image */
    while (!marks.frame && at + 4 <= length && stream[at] == 0xff) {
        size_t size = (size_t)stream[at + 2] << 8 | stream[at + 3];
        if (size < 2 || at + 2 + size > length) break;
        read_segment(&marks, stream[at + 1], stream + at + 4, size - 2);
        at += 2 + size;
    }
    if (marks.adobe) return marks.adobe_ybr;
    if (marks.jfif) return true;
    if (marks.rgb_names) return false;
    return marks.frame && !marks.lossless ? true : told;
}
