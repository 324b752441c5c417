/* One grabber, stream or file: pictures ready to be joined with poses. */
#ifndef ES_LIVE_CAPTURE_H
#define ES_LIVE_CAPTURE_H

#include "echosolid/capture.h"
#include "feed.h"
#include "tracker_internal.h"

enum { CAPTURE_STEPS = 16 };

typedef struct capture_grab {
    char *address, name[300];
    bool is_file, whole, looking;
    uint32_t crop[4];
    double silence_s, unix_s; /* es_clock_s -> Unix time, fixed at the start as trackers do */
    bool (*stop)(void *context);
    void *stop_context;
    es_fields *header; /* gets what a recording should say of the crop */
    /* One connection's. */
    es_capture *device; /* or */
    es_source *file;
    clock_fit clock;
    double begun_s;         /* when it was opened (es_clock_s) */
    double start_s;         /* a file's first frame is due then */
    double first_s, last_s; /* a file's first time, moved over gaps; the last picture's */
    double steps[CAPTURE_STEPS];
    size_t step_count;
    int64_t frames;
    double arrived_s; /* the last picture */
    /* Of all connections. */
    bool ready; /* the echoes were looked for */
    uint32_t width, height;
    es_source *cut; /* pictures in grey, cropped, without what lies beside the echoes */
    es_image last;
    double fresh_s; /* pictures that were taken before have waited while others were looked at */
    bool warned_size, warned_interlaced, warned_times;
    double spacing_mm[2];
    uint64_t odd, duplicates, missed, damaged;
} capture_grab;

bool capture_grab_init(capture_grab *grab, const es_live_capture_options *options, double silence_s,
                       es_error *err);
void capture_grab_clear(capture_grab *grab);

bool capture_connect(capture_grab *grab, es_error *err);
void capture_disconnect(capture_grab *grab);
/* Once, after the first connection: looks for the echoes in the first pictures. */
bool capture_prepare(capture_grab *grab, es_error *err);
/* The next picture, with its time. *end: the connection's pictures are over. */
bool capture_next(capture_grab *grab, es_frame *frame, double *arrived_s, bool *end, es_error *err);

#endif
