/* echosolid/wizard.h: a calibration while the frames come: what is collected, what
 * is still missing, and the result. A header of the live room. */
#ifndef ECHOSOLID_WIZARD_H
#define ECHOSOLID_WIZARD_H

#include "echosolid/calibration.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum es_wizard_method {
    ES_WIZARD_PIVOT,
    ES_WIZARD_LAG,
    ES_WIZARD_NWIRE,
    ES_WIZARD_WALL,
    ES_WIZARD_SELF,
    ES_WIZARD_METHODS
} es_wizard_method;
/* "pivot": as the commands are called. */
extern const char *const es_wizard_names[ES_WIZARD_METHODS];

/* What is asked for; the rest is as the commands have it by default. */
typedef struct es_wizard_request {
    es_wizard_method method;
    char tool[ES_NAME_SIZE]; /* "": Probe; of pivot: Stylus, or the only tool */
    char phantom[40];        /* nwire: one of es_wire_phantom_names; "": the configuration's */
    double temperature_c;    /* of the bath; NaN: not told */
    double spacing_mm;       /* wall, self: of the pixels; NaN: found */
    bool isotropic;          /* nwire, wall, self: square pixels */
    bool begin_at_config;    /* self: at the configuration's ImageTo<tool> */
} es_wizard_request;

/* What a page says: {"do": "wizard", "act": "begin", "method": "wall", ...} with the fields
 * of a request under its names, or {"act": "finish"} and so on. What cannot be is
 * ES_WIZARD_NOTHING; numbers are looked at by es_wizard_begin. */
typedef enum es_wizard_act {
    ES_WIZARD_NOTHING,
    ES_WIZARD_BEGIN, /* as `request` has it */
    ES_WIZARD_FINISH,
    ES_WIZARD_CANCEL,
    ES_WIZARD_KEEP
} es_wizard_act;
typedef struct es_wizard_said {
    es_wizard_act act;
    es_wizard_request request;
} es_wizard_said;
es_wizard_said es_wizard_said_read(const char *text, size_t length);

typedef enum es_wizard_phase {
    ES_WIZARD_IDLE,
    ES_WIZARD_COLLECTING,
    ES_WIZARD_SOLVING,
    ES_WIZARD_DONE,
    ES_WIZARD_REFUSED /* advice says why */
} es_wizard_phase;

/* One figure of what is there. */
typedef struct es_wizard_check {
    const char *what, *unit; /* static text */
    double found;
    double wanted; /* at least, or at most; NaN: told only */
    bool at_most, enough;
} es_wizard_check;
enum { ES_WIZARD_CHECKS = 8 };

typedef struct es_wizard_state {
    es_wizard_phase phase;
    es_wizard_request request;
    size_t seen, kept; /* frames that came, and those that are held */
    size_t step;       /* every step-th is held: it grows when memory is full */
    bool full;         /* and they would be too far apart: no more is taken */
    size_t lost;       /* for want of memory */
    uint64_t bytes;
    double seconds; /* of collecting */
    es_wizard_check checks[ES_WIZARD_CHECKS];
    int check_count;
    bool ready;         /* what was there at the last look gives a result */
    char advice[1100];  /* what is missing, in the solvers' own words; "": nothing */
    es_tool_list tools; /* that frames have named so far */
} es_wizard_state;

/* What was solved; that of the other methods is zero. */
typedef struct es_wizard_result {
    es_wizard_request request;
    char transform[2 * ES_NAME_SIZE]; /* of the poses */
    es_pose_list poses;
    es_pivot_result pivot;
    es_lag_outcome lag;
    es_wire_phantom phantom;
    es_wire_recording wires;
    es_wire_options wire_options;
    es_wire_outcome nwire;
    es_mat4 earlier; /* ImageTo<tool> of the configuration */
    bool has_earlier;
    es_wall_outcome wall;
    es_self_outcome self;
    double speed_mps; /* of the bath; NaN: not told */
} es_wizard_result;

typedef struct es_wizard_options {
    const es_plus *plus; /* borrowed; may be NULL */
    size_t frames_most;  /* frames held; past that every second one goes, and so on, until
                            poses would be 0.25 s apart: then no more is taken */
    uint64_t bytes_most;
    double look_every_s; /* and no more than half of the time is spent on looking */
    /* Called without any lock held, each may be NULL: the state has changed (from any
     * thread, about once a second while frames come); it was solved (from the
     * wizard's thread, before the phase is DONE; the result lives for the call); what
     * es_wizard_keep asked for (from the same thread). */
    void *context;
    void (*changed)(void *context);
    void (*solved)(void *context, const es_wizard_result *result);
    void (*keep)(void *context);
} es_wizard_options;
#define ES_WIZARD_DEFAULTS                                                                         \
    { .frames_most = 1200, .bytes_most = (uint64_t)512 << 20, .look_every_s = 1 }

/* Looks and solves in a thread of its own. All that follows may be called from any
 * thread, and waits for no look. */
typedef struct es_wizard es_wizard;
es_wizard *es_wizard_new(const es_wizard_options *options, es_error *err);
/* Waits for a look or solution that goes on; NULL is left alone. */
void es_wizard_free(es_wizard *wizard);

/* Collects anew. ES_USAGE for an unknown phantom, a temperature outside 0 to 95 or a
 * pixel outside 0.001 to 10 mm;
 * for nwire without wires or without Phantom to Reference in the configuration, the
 * reason. */
bool es_wizard_begin(es_wizard *wizard, const es_wizard_request *request, es_error *err);
/* One that came: copied while it collects, without what the solvers do not look at.
 * NULL wizards are left alone. */
void es_wizard_frame(es_wizard *wizard, const es_frame *frame);
void es_wizard_finish(es_wizard *wizard); /* solves what is there */
void es_wizard_cancel(es_wizard *wizard);
void es_wizard_keep(es_wizard *wizard); /* options.keep, when it is DONE */
void es_wizard_state_get(es_wizard *wizard, es_wizard_state *state);

#ifdef __cplusplus
}
#endif
#endif
