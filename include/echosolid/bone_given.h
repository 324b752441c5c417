/* echosolid/bone_given.h: the bone of a recording as somebody else found it, in place of
 * a detector. A further header of the pipeline. */
#ifndef ECHOSOLID_BONE_GIVEN_H
#define ECHOSOLID_BONE_GIVEN_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What `echosolid bone --json` writes, or another program in its form:
 * {"frames": [{"index": 0, "surface": [[[u, v], ...], ...],
 *              "surface_confidence": [0.9, ...]}, ...]}
 * with points in pixels of the picture as it is stored. Without "surface_confidence" a
 * piece counts as certain. */
typedef struct es_bone_given es_bone_given;
/* `info`: of the recording (how its pictures lie); spacing_mm: of a pixel, u and v.
 * ES_FORMAT for what is not of that form, a frame that is there twice, and one that the
 * recording does not have. */
es_bone_given *es_bone_given_read(const char *path, const es_stream_info *info,
                                  const double spacing_mm[2], es_error *err);
void es_bone_given_free(es_bone_given *given);
int64_t es_bone_given_frames(const es_bone_given *given); /* with bone */
/* On each scan line of the trace the first point of the frame's polylines, with the
 * incidence by their slope there. A frame that is not listed has no bone. */
void es_bone_given_put(const es_bone_given *given, int64_t index, es_trace *trace);

#ifdef __cplusplus
}
#endif
#endif
