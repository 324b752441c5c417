/* A bounded queue of poses: a ring under a lock that is held for a copy only. */
#include <pthread.h>

#include "echosolid/live.h"

struct es_live_poses {
    pthread_mutex_t lock;
    es_live_pose *items; /* a ring */
    size_t capacity, first, count;
    uint64_t pushed, dropped;
};

es_live_poses *es_live_poses_new(size_t capacity, es_error *err) {
    if (capacity == 0) {
        es_fail(err, ES_USAGE, "a queue of poses with room for none");
        return NULL;
    }
    es_live_poses *poses = es_alloc_zero(1, sizeof *poses, err);
    if (!poses) return NULL;
    poses->items = es_alloc_zero(capacity, sizeof *poses->items, err);
    if (!poses->items) {
        es_free(poses);
        return NULL;
    }
    poses->capacity = capacity;
    pthread_mutex_init(&poses->lock, NULL);
    return poses;
}

void es_live_poses_free(es_live_poses *poses) {
    if (!poses) return;
    pthread_mutex_destroy(&poses->lock);
    es_free(poses->items);
    es_free(poses);
}

bool es_live_poses_push(es_live_poses *poses, const es_live_pose *pose) {
    pthread_mutex_lock(&poses->lock);
    bool full = poses->count == poses->capacity;
    if (full) {
        poses->first = (poses->first + 1) % poses->capacity;
        poses->count--;
        poses->dropped++;
    }
    poses->items[(poses->first + poses->count++) % poses->capacity] = *pose;
    poses->pushed++;
    pthread_mutex_unlock(&poses->lock);
    return !full;
}

size_t es_live_poses_take(es_live_poses *poses, es_live_pose *out, size_t room) {
    pthread_mutex_lock(&poses->lock);
    size_t taken = poses->count < room ? poses->count : room;
    for (size_t i = 0; i < taken; i++) {
        out[i] = poses->items[poses->first];
        poses->first = (poses->first + 1) % poses->capacity;
    }
    poses->count -= taken;
    pthread_mutex_unlock(&poses->lock);
    return taken;
}

void es_live_poses_count(es_live_poses *poses, uint64_t *pushed, uint64_t *dropped) {
    pthread_mutex_lock(&poses->lock);
    *pushed = poses->pushed;
    *dropped = poses->dropped;
    pthread_mutex_unlock(&poses->lock);
}
