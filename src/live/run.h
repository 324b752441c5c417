/* The parts of a live run. */
#ifndef ES_LIVE_RUN_INTERNAL_H
#define ES_LIVE_RUN_INTERNAL_H

#include <pthread.h>

#include "echosolid/live_run.h"
#include "frame_list.h"

enum { LATENCY_BINS = 20000, QUEUE_MOST = 64 };
#define LATENCY_BIN_S 1e-4

/* A frame on its way into the volume. */
typedef struct run_slot {
    es_frame frame;
    es_mat4 place;
    double arrived_s; /* NaN: not known */
} run_slot;

/* A recording that a client started. */
typedef struct run_capture {
    es_journal *journal; /* NULL: none */
    char *path, *journal_path;
    int64_t frames;
    bool paused;
} run_capture;

struct es_live_run {
    es_live_run_options options;
    es_pool *pool;
    /* The taker's alone. */
    es_plus *plus; /* a copy of the request's, which commands may change */
    run_capture capture;
    bool paused;     /* frames are recorded, marked and not inserted */
    es_frame newest; /* its transforms, for those who ask */
    es_placement *placement;
    es_journal *journal;
    frame_list early; /* until the setup is made */
    es_mat4 place;
    double started_s, ready_s, told_s;
    es_frame frame;
    /* Made once, before the threads start. */
    es_setup setup;
    bool ready; /* the setup is made and the threads run */
    es_model *model;
    es_volume *volume; /* the model's, or ours */
    es_stage_fn *stage;
    void *stage_context;
    pthread_t inserter, previewer;
    bool inserter_runs, previewer_runs;
    int preview_by; /* the previewer's: voxels of the field in one of the preview's, along a side */
    /* Held while the volume is worked on. */
    pthread_mutex_t work;
    int64_t changes; /* batches inserted */
    /* Guarded by the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    run_slot *queue; /* a ring */
    size_t first, count;
    bool no_more, failed;
    bool all_inserted; /* the last preview may be made */
    es_error error;
    es_live_state state;
    uint32_t latency[LATENCY_BINS + 1];
    uint64_t latency_count;
    char record_error[1000];
};

/* run_insert.c: threads that insert and preview. */
bool run_make_ready(es_live_run *run, es_error *err);
/* Puts a frame (its memory is swapped) into the queue; false when there is no
 * room and `patient` is not set, or the inserter has failed. */
bool run_push(es_live_run *run, es_frame *frame, const es_mat4 *place, double arrived_s,
              bool patient);
bool run_has_room(es_live_run *run);
/* Waits until all is inserted and ends the threads. */
void run_join(es_live_run *run);

bool run_record_survey(es_live_run *run, es_journal *journal, es_error *err);

/* run_capture.c */
bool run_capture_start(es_live_run *run, const char *path, es_error *err);
bool run_capture_put(es_live_run *run, const es_frame *frame, es_error *err);
/* Ends it, and makes the file that was asked for. */
bool run_capture_stop(es_live_run *run, es_error *err);
void run_capture_clear(es_live_run *run);

/* commands.c: answers what waits. */
void run_commands(es_live_run *run);

/* run_show.c */
bool run_is_sendable(const es_grid_info *info);
bool run_copy_volume(es_live_run *run, es_grid *grid, es_error *err);
void run_send_frame(es_live_run *run, const es_frame *frame, const es_mat4 *place);
void *run_preview(void *run);

#endif
