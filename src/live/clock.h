/* Waits with an end on es_clock_s's clock: the wall clock may jump. */
#ifndef ES_LIVE_CLOCK_H
#define ES_LIVE_CLOCK_H

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* For waits by clock_wait. */
static inline void clock_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Until it is signalled, or `end_s` (then false). */
static inline bool clock_wait(pthread_cond_t *condition, pthread_mutex_t *lock, double end_s) {
    struct timespec end = {.tv_sec = (time_t)end_s,
                           .tv_nsec = (long)((end_s - floor(end_s)) * 1e9)};
    return pthread_cond_timedwait(condition, lock, &end) == 0;
}

#endif
