/* bmode.h: the picture of one frame. */
#ifndef SIMULATE_BMODE_H
#define SIMULATE_BMODE_H

#include "probe.h"
#include "scene.h"

/* Tables of one probe: read-only while frames are made. */
typedef struct bmode bmode;
bmode *bmode_new(const es_simulation *simulation, const scene_model *model,
                 const probe_geometry *geometry, es_error *err);
void bmode_free(bmode *b);

/* Memory of one worker; one picture at a time. */
typedef struct bmode_scratch bmode_scratch;
bmode_scratch *bmode_scratch_new(const bmode *b, es_error *err);
void bmode_scratch_free(bmode_scratch *scratch);

/* Fills `pixels`, image_size[0] * image_size[1] bytes: a function of the
 * tables, the frame's number and the pose. */
void bmode_render(const bmode *b, bmode_scratch *scratch, int64_t index, es_mat4 face_to_scene,
                  uint8_t *pixels);

#endif
