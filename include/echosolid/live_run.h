/* echosolid/live_run.h: frames as they come into a volume, recorded, inserted,
 * shown. A second header of the live room. */
#ifndef ECHOSOLID_LIVE_RUN_H
#define ECHOSOLID_LIVE_RUN_H

#include "echosolid/live.h"
#include "echosolid/pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How it stands; filled once a second for `tell`, and at the end. */
typedef struct es_live_state {
    double seconds;             /* since the first frame */
    int64_t received, recorded; /* frames */
    int64_t unplaced, inserted;
    int64_t dropped;    /* the queue of frames to insert was full: ES_LIVE_INSERTED is 0 */
    int64_t waiting;    /* in that queue */
    int64_t undone;     /* were inserted, and were taken back; not among the inserted */
    double undo_s;      /* how far es_live_run_undo can go back */
    double undo_step_s; /* and how far each time */
    double latency_median_s, latency_p99_s; /* received to inserted; NaN: none yet */
    /* Received to seen: the mesh that holds it was given to the watch and the server. */
    double shown_median_s, shown_p99_s;
    int64_t previews;
    double preview_s, previews_s; /* of processor time: the last one; all of them */
    size_t triangles;             /* of the last preview, as sent */
    uint64_t bricks, volume_bytes, undo_bytes, memory_peak;
    const char *record_error; /* NULL: the recording goes on */
    es_live_stats link;
} es_live_state;

/* Who looks on; called from threads of the run, never two at a time for one
 * function, and what is given lives for the call only. Each may be NULL. */
typedef struct es_live_watch {
    void *context;
    /* Every received frame; `place` NULL: no valid pose. */
    void (*frame)(void *context, const es_frame *frame, const es_mat4 *place);
    void (*mesh)(void *context, const es_mesh *mesh);
    /* Whether another mesh would be taken now; NULL: always. Where that is false and
     * *anybody, who looks on is busy with the last one; without anybody a mesh is made every
     * two seconds, so that there is one for who comes. May be called with locks of the run
     * held: call nothing of it. */
    bool (*wants_mesh)(void *context, bool *anybody);
    /* The grey volume, every two seconds at most, while it is under 32 MB. */
    void (*volume)(void *context, const es_grid *volume);
    /* The newest of the frames that were inserted, and the bone in it. */
    void (*bone)(void *context, const es_frame *frame, const es_mat4 *place, const es_trace *trace);
    void (*state)(void *context, const es_live_state *state);
    /* Frames from this one on, as far as they were inserted, were taken back. */
    void (*undone)(void *context, int64_t first);
} es_live_watch;

typedef struct es_live_run_options {
    es_source *source; /* borrowed */
    es_live *live;     /* whose source it is; NULL: another kind, which never drops */
    const es_setup_request *request;
    const es_model_options *bone; /* NULL: grey alone */
    const char *record;           /* NAME.nhdr, see es_journal_create; NULL: nothing */
    int warm_up;                  /* placed frames before spacing and lattice are chosen */
    int queue;                    /* frames that wait for insertion, 2 to 64 */
    double catch_up_s;        /* so long after the warm-up frames wait instead of being dropped */
    double undo_s;            /* of inserted frames, taken back at a time; 0: never */
    double undo_keep_s;       /* how far back at most, 32 times undo_s */
    uint64_t undo_bytes;      /* for that, of each volume (grey, bone) */
    double preview_hz;        /* at most */
    size_t preview_triangles; /* at most: the surface is thinned until they suffice */
    int threads;
    es_live_server *server;      /* gets pictures, poses, mesh and volume; borrowed; NULL: none */
    bool volume_parts;           /* its clients get of the volume what has changed, as parts */
    const char *output_folder;   /* where commands may write; NULL: nowhere */
    bool (*stop)(void *context); /* asked between frames */
    void *stop_context;
    es_live_watch watch;
} es_live_run_options;
#define ES_LIVE_RUN_DEFAULTS                                                                       \
    {                                                                                              \
        .warm_up = 20, .queue = 8, .catch_up_s = 3, .undo_s = 5, .undo_keep_s = 30,                \
        .undo_bytes = 1 << 27, .preview_hz = 30, .preview_triangles = 20000                        \
    }

/* Takes frames until the source ends or `stop` says so. In this order each frame
 * is counted, looked at for room in the queue of frames to insert (none: it is
 * dropped from insertion and marked), recorded, and queued. A thread of its own
 * places and inserts, another makes previews at most preview_hz times a second
 * and never more than half of the time. Spacing and the rest of the setup
 * are chosen from the first `warm_up` placed frames, which are inserted too.
 * What came meanwhile is caught up with in catch_up_s; nothing is dropped then.
 * A recording that fails (disk full) ends the recording, not the run. */
typedef struct es_live_run es_live_run;
es_live_run *es_live_run_new(const es_live_run_options *options, es_error *err);
/* False also when no frame could be placed (ES_GEOMETRY); the recording is there. */
bool es_live_run_go(es_live_run *run, es_error *err);
/* What comes of it; all NULL before the warm-up is over. The setup and the state may
 * be asked for from any thread. */
const es_setup *es_live_run_setup(const es_live_run *run);
es_volume *es_live_run_volume(const es_live_run *run);
es_model *es_live_run_model(const es_live_run *run);
es_live_state es_live_run_state(es_live_run *run);

/* From `stop`, between two frames: frames are recorded, marked and not inserted. */
void es_live_run_pause(es_live_run *run, bool paused);
bool es_live_run_is_paused(const es_live_run *run);
/* From `stop`, between two frames: as if the frames of the last undo_s had not been
 * inserted (up to a tenth of that more; the frames of the warm-up together); again, it
 * goes further back, as far as is kept: undo_keep_s, or less where so much changed that
 * the copies pass undo_bytes. Seconds in which nothing was inserted do not count. What
 * waits is inserted first. The recordings say which frames it were (ES_LIVE_UNDONE), so that
 * they make the same volume again. False when there was nothing to take back. */
typedef struct es_live_undone {
    int64_t first, frames; /* these: from this one on, as far as they were inserted */
    double seconds;        /* from the first to the last of them */
} es_live_undone;
bool es_live_run_undo(es_live_run *run, es_live_undone *undone);
/* What is in the volume so far, from any thread once es_live_run_setup is not
 * NULL, while the run goes on. ES_GEOMETRY: nothing yet. */
typedef struct es_live_snapshot {
    es_model *model; /* to be finished; NULL without bone */
    es_grid volume;  /* holes are not filled */
} es_live_snapshot;
bool es_live_run_snapshot(es_live_run *run, es_live_snapshot *snapshot, es_error *err);
void es_live_snapshot_clear(es_live_snapshot *snapshot);

void es_live_run_free(es_live_run *run);

#ifdef __cplusplus
}
#endif
#endif
