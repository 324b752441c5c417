/* What `echosolid bone` writes: JSON, recordings of frames, a contact sheet. */
#ifndef ECHOSOLID_APP_BONE_OUTPUT_H
#define ECHOSOLID_APP_BONE_OUTPUT_H

#include "echosolid/bone_flow.h"
#include "recording.h"

/* One frame with what was found in it. */
typedef struct bone_frame {
    const es_frame *frame;
    const es_trace *trace; /* NULL: the frame has no picture */
    double agreement;      /* NaN without picture */
} bone_frame;

/* JSON, written frame by frame, so that a recording of any length fits: into
 * a file, or to standard output. */
typedef struct bone_json {
    es_output *file; /* NULL: standard output */
    const es_stream_info *info;
    bool more; /* a frame was written */
} bone_json;
/* `head`: the object's members before "frames"; freed. */
bool bone_json_begin(bone_json *json, json_t *head, es_error *err);
bool bone_json_put(bone_json *json, const bone_frame *frame, es_error *err);
/* `tail`: the members behind "frames"; freed. */
bool bone_json_end(bone_json *json, json_t *tail, es_error *err);

/* Frames with a picture of their own in place of the scanner's. */
typedef enum bone_picture {
    BONE_PROBABILITY, /* grey: es_bone_paint */
    BONE_BESIDE,      /* RGB: probability, original grey, original grey */
    BONE_OVERLAY      /* RGB: the frame with the bone drawn in */
} bone_picture;
typedef struct bone_frames {
    es_sink *sink; /* NULL: not asked for */
    bone_picture kind;
    double spacing_mm[2];
    es_frame frame;
    es_image probability, grey;
} bone_frames;
bool bone_frames_open(bone_frames *out, const char *path, bone_picture kind,
                      const es_stream_info *info, const double spacing_mm[2], es_error *err);
bool bone_frames_put(bone_frames *out, const bone_frame *frame, es_error *err);
bool bone_frames_finish(bone_frames *out, es_error *err);
void bone_frames_close(bone_frames *out);

/* A contact sheet: up to 40 frames with the bone drawn in, spread evenly over
 * `expected` frames. */
enum { BONE_TILES = 40 };
typedef struct bone_sheet {
    const char *path; /* NULL: not asked for */
    int64_t expected, seen;
    es_image tiles[BONE_TILES];
    int count;
} bone_sheet;
bool bone_sheet_put(bone_sheet *sheet, const bone_frame *frame, es_error *err);
bool bone_sheet_write(const bone_sheet *sheet, es_error *err);
void bone_sheet_clear(bone_sheet *sheet);

#endif
