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
bool run_push(es_live_run *run, es_frame *frame, const es_mat4 *place, double arrived_s,
              bool patient);
bool run_has_room(es_live_run *run);
/* Waits until all is inserted and ends the threads. */
void run_join(es_live_run *run);

/* Whoever waits longest for the volume gets it next: the inserter, which comes
 * back at once, would else keep the others out. */
void run_lock_work(es_live_run *run);
void run_unlock_work(es_live_run *run);

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

/* run_mesh.c: extracts, gives to who looks on, and counts. {0} at first. */
typedef struct run_surface {
    es_distance_copy field;
    int cells; /* of the thinning lattice */
} run_surface;
void run_show_mesh(es_live_run *run, run_surface *surface);

#endif
