/* The parts of a live run. */
#ifndef ES_LIVE_RUN_INTERNAL_H
#define ES_LIVE_RUN_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "echosolid/live_run.h"
#include "frame_list.h"
#include "latency.h"

enum { QUEUE_MOST = 64, UNSHOWN_MOST = 256 };

/* A frame on its way into the volume. */
typedef struct run_slot {
    es_frame frame;
    es_mat4 place;
    double arrived_s; /* NaN: not known */
    bool begins;      /* a slice: before it the volume gets a checkpoint */
} run_slot;

/* Frames that are taken back together: up to the next slice, a tenth of undo_s. */
typedef struct run_slice {
    int64_t first, frames; /* number of the first one; how many were inserted */
    double begin_s, end_s; /* in seconds of inserting */
    int64_t capture;       /* which recording of a client there was, and its frame */
    int64_t capture_first;
} run_slice;

/* The taker's, but for what other threads ask. */
typedef struct run_slices {
    run_slice *items; /* the oldest first; guarded by the lock, as the numbers beside it */
    size_t count, most;
    size_t kept;            /* checkpoints of the volume */
    double stamp_s, scan_s; /* of the last frame; NaN: the next one begins a slice */
    int64_t marks;          /* written into the recording */
} run_slices;

/* A recording that a client started. */
typedef struct run_capture {
    es_journal *journal; /* NULL: none */
    char *path, *journal_path;
    int64_t frames;
    bool paused;
    int64_t marks; /* of frames that were taken back */
} run_capture;

struct es_live_run {
    es_live_run_options options;
    es_pool *pool;
    /* The taker's alone. */
    es_plus *plus; /* a copy of the request's, which commands may change */
    run_capture capture;
    int64_t captures; /* that were started */
    bool paused;      /* frames are recorded, marked and not inserted */
    es_frame newest;  /* its transforms, for those who ask */
    es_placement *placement;
    es_journal *journal;
    frame_list early; /* until the setup is made */
    es_mat4 place;
    double ready_s, told_s;
    es_frame frame;
    /* Made once, before the threads start. */
    es_setup setup;
    atomic_bool ready; /* the setup is made and the threads run */
    es_model *model;
    es_volume *volume; /* the model's, or ours */
    pthread_t inserter, previewer;
    bool inserter_runs, previewer_runs;
    /* Held while the volume is worked on; taken by run_lock_work. */
    pthread_mutex_t work, turn;
    /* Guarded by the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    run_slices slices;
    run_slot *queue; /* a ring */
    size_t first, count;
    bool no_more, failed;
    bool all_inserted; /* the last preview may be made */
    es_error error;
    int64_t changes;  /* batches inserted */
    double started_s; /* 0: no frame has come */
    es_live_state state;
    latencies inserted, shown;
    double unshown[UNSHOWN_MOST]; /* when frames came that no mesh shows yet */
    size_t unshown_count;
    char record_error[1000]; /* written once */
};

/* run_insert.c: threads that insert and preview. */
bool run_make_ready(es_live_run *run, es_error *err);
/* Puts a frame (its memory is swapped) into the queue; false when there is no
 * room and `patient` is not set, or the inserter has failed. */
typedef struct run_arrival {
    es_mat4 place;
    double arrived_s;
    bool patient, begins;
} run_arrival;
bool run_push(es_live_run *run, es_frame *frame, const run_arrival *arrival);
bool run_has_room(es_live_run *run);
/* Waits until all is inserted and ends the threads. */
void run_join(es_live_run *run);

/* Whoever waits longest for the volume gets it next: the inserter, which comes
 * back at once, would else keep the others out. */
void run_lock_work(es_live_run *run);
void run_unlock_work(es_live_run *run);

/* A recording cannot go on: it ends here, and the run goes on. */
void run_record_end(es_live_run *run, const es_error *why);
void run_capture_end(es_live_run *run, const es_error *why);

bool run_record_survey(es_live_run *run, es_journal *journal, es_error *err);

/* run_undo.c */
bool run_slices_make(es_live_run *run, es_error *err);
/* Counts a frame that will be inserted; whether a slice begins with it. */
bool run_slice_frame(es_live_run *run, const es_frame *frame);
/* The same for the frames of the warm-up, which make one slice; then it ends. */
bool run_slice_early(es_live_run *run, const es_frame *frame);
void run_slices_end(es_live_run *run);
/* With the work locked: the volume can come back to here. */
void run_checkpoint(es_live_run *run);
size_t run_checkpoints(const es_live_run *run);
uint64_t run_undo_bytes(const es_live_run *run);
/* How far back it can go; the lock is held. */
double run_undo_s(const es_live_run *run);

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

/* run_volume.c: to the server's clients. `base`: what was sent whole, {0} at first; the
 * grid may be taken for it. */
void run_send_volume(es_live_run *run, es_grid *base, es_grid *grid);

/* run_mesh.c: extracts, gives to who looks on, and counts. {0} at first. */
typedef struct run_surface {
    es_distance_copy field;
    int cells;  /* of the thinning lattice */
    bool shows; /* something */
} run_surface;
void run_show_mesh(es_live_run *run, run_surface *surface);

#endif
