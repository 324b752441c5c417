/* Saving what is there while a live scan goes on: one thread, one save at a time. */
#ifndef ECHOSOLID_APP_LIVE_SAVE_H
#define ECHOSOLID_APP_LIVE_SAVE_H

#include <pthread.h>
#include <stdatomic.h>

#include "app.h"
#include "echosolid/live_page.h"

typedef struct live_saver {
    es_live_page *page; /* is told, and offers the files; borrowed like all here */
    es_live_run *run;
    const char *folder;
    const app_origin *origin;
    double thickness_mm; /* of the solid, as the model's options have it */
    pthread_t thread;
    bool started;
    atomic_bool busy;
    char base[1200]; /* FOLDER/scan-N */
} live_saver;

/* Writes scan-N.stl, .step (both with bone) and .mha into the folder, N the first
 * that is free; the page is told how it goes. While one save runs, another is left
 * out. Once the run's setup is there. */
void live_save(live_saver *saver);
/* Waits for a save that runs. */
void live_save_end(live_saver *saver);

#endif
