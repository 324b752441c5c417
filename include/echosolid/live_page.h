/* echosolid/live_page.h: the page on which the bone grows, in a browser. Fed by
 * what a live run shows; a third header of the live room. */
#ifndef ECHOSOLID_LIVE_PAGE_H
#define ECHOSOLID_LIVE_PAGE_H

#include "echosolid/coach.h"
#include "echosolid/live_run.h"
#include "echosolid/page.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct es_live_page_options {
    const char *address, *token; /* as es_page_options has them */
    int port;
    const char *source; /* where the frames come from, shown; borrowed */
    bool can_save;      /* Save is offered, and given to who polls */
    double picture_hz;  /* pictures sent a second at most */
    int picture_side;   /* px at most: larger ones are averaged down */
    es_coach_options coach;
    /* For judging the spacing, borrowed: the configuration and its name; NULL: none. */
    const es_plus *plus;
    const char *config;
    /* A text {"do": "wizard", ...} of a page, from the thread that serves; NULL: none. */
    void (*wizard)(void *context, const char *text, size_t length);
    void *wizard_context;
} es_live_page_options;
#define ES_LIVE_PAGE_DEFAULTS                                                                      \
    { .picture_hz = 12, .picture_side = 512, .coach = ES_COACH_DEFAULTS }

/* Serves the page at once, from a thread of its own: before the run starts it
 * says what is waited for. Errors as es_page_server_new. */
typedef struct es_live_page es_live_page;
es_live_page *es_live_page_new(const es_live_page_options *options, es_error *err);
void es_live_page_free(es_live_page *page); /* the run must have ended */
int es_live_page_port(const es_live_page *page);
/* False in a program that was built without npm: no 3-D view. */
bool es_live_page_has_scene(void);

/* What es_live_watch calls, each from the thread that it names; NULL pages are
 * left alone. */
void es_live_page_frame(es_live_page *page, const es_frame *frame, const es_mat4 *place);
void es_live_page_bone(es_live_page *page, const es_frame *frame, const es_mat4 *place,
                       const es_trace *trace);
void es_live_page_mesh(es_live_page *page, const es_mesh *mesh);
bool es_live_page_wants_mesh(es_live_page *page, bool *anybody);
/* Shown as three slices through the middle of the newest picture, or where a page has put
 * them; kept, so that they can be moved before the next one comes. */
void es_live_page_volume(es_live_page *page, const es_grid *volume);
/* The path and the coach's gaps are as without the frames from this one on. */
void es_live_page_undone(es_live_page *page, int64_t first);

/* To be called between frames, by the thread that runs the run (its `stop`): does
 * what the pages asked for, and tells how it stands four times a second. True
 * when Save was pressed. */
bool es_live_page_poll(es_live_page *page, es_live_run *run);

/* How saving goes, from any thread: a line for people, and whether it goes on. */
void es_live_page_saving(es_live_page *page, bool goes_on, const char *line);
/* Offers a file that was written as a download, under its own name. */
bool es_live_page_offer(es_live_page *page, const char *path, es_error *err);
/* The newest word of the calibrations, JSON with "kind": "wizard"; from any thread. */
void es_live_page_wizard(es_live_page *page, const char *json);
/* The scan is over: outputs are being written. */
void es_live_page_end(es_live_page *page, const char *line);

#ifdef __cplusplus
}
#endif
#endif
