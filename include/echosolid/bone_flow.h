/* echosolid/bone_flow.h: bone in many frames: what a detector must know of a
 * recording, detection on all threads, and bone as a channel of a volume.
 * A third header of the pipeline. */
#ifndef ECHOSOLID_BONE_FLOW_H
#define ECHOSOLID_BONE_FLOW_H

#include "echosolid/judge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* By es_bone_method; NULL terminated. */
extern const char *const es_bone_method_names[];
/* The one that is used where none is asked for: the network, in a build that has one. */
es_bone_method es_bone_method_default(void);
/* The second opinion on a detector's bone: another one. */
es_bone_method es_bone_second(es_bone_method method);

/* ---- what is known of the frames ------------------------------------------ */

/* NaN and NULL: not said. */
typedef struct es_bone_request {
    const es_plus *plus;
    const char *config; /* how the configuration is called in messages */
    double spacing_mm[2];
} es_bone_request;
/* Fills clip, fan and survey.pixel_mm of the setup for frames that need no
 * pose. The spacing is the given one, else that of the configuration's
 * calibration, else what es_judge concludes; where that is nothing,
 * ES_GEOMETRY with what would settle it. The fan is the configuration's, else
 * one that is seen in the pictures. Reads the source to its end where it must
 * look, and rewinds it. Every choice is a decision. */
bool es_bone_setup_make(es_source *source, const es_bone_request *request, es_setup *setup,
                        es_error *err);

/* The defaults with the fan, clip and spacing of a setup. */
es_bone_options es_setup_bone_options(const es_setup *setup);

/* ---- detection ---------------------------------------------------------------- */

/* One detector per worker of the pool (borrowed; may be NULL). */
typedef struct es_bone_crew es_bone_crew;
es_bone_crew *es_bone_crew_new(const es_bone_options *options, es_pool *pool, es_error *err);
void es_bone_crew_free(es_bone_crew *crew);
double es_bone_crew_threshold(const es_bone_crew *crew); /* as es_bone_threshold */
/* Traces up to ES_BATCH frames with pictures. The result does not depend on
 * the threads. Errors name the frame. */
bool es_bone_crew_detect(es_bone_crew *crew, const es_frame *const *frames, size_t count,
                         es_trace *traces, es_error *err);

/* The frames' scan lines, nothing found on them. */
bool es_bone_crew_lines(es_bone_crew *crew, const es_frame *const *frames, size_t count,
                        es_trace *traces, es_error *err);

/* ---- bone in a volume ------------------------------------------------------------ */

/* Prepares the setup's volume for es_bone_paint's pictures: u8, one channel,
 * no threshold. Call it before es_volume_new. */
void es_setup_for_bone(es_setup *setup);

/* An es_stage_fn's context: detects, paints, and inserts into `volume`
 * (borrowed), which then holds 0..255, the mean (or maximum, ...) of the
 * probability that each frame gave. */
typedef struct es_bone_channel es_bone_channel;
es_bone_channel *es_bone_channel_new(const es_bone_options *options, es_pool *pool,
                                     es_volume *volume, es_error *err);
void es_bone_channel_free(es_bone_channel *channel);
bool es_stage_bone(void *channel, const es_frame *const *frames, const es_mat4 *image_to_reference,
                   size_t count, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
