/* simulate --live: a simulated or recorded sweep over OpenIGTLink. */
#ifndef ECHOSOLID_APP_SIMULATE_LIVE_H
#define ECHOSOLID_APP_SIMULATE_LIVE_H

#include "app.h"

typedef struct simulate_live {
    double port;        /* NaN: not asked for */
    double natnet;      /* NaN: the poses come with the pictures */
    const char *replay; /* NULL: what is simulated */
    bool repeat;
} simulate_live;

/* Serves the source (taken; NULL is the error of its opening) until it ends or
 * Ctrl-C; the exit status. `preload`: its frames are made first. */
int simulate_serve(const common_options *common, const simulate_live *live, es_source *source,
                   bool preload, es_error *err);

#endif
