#include "page_slices.h"

#include <string.h>

void page_slices_init(page_slices *s) { pthread_mutex_init(&s->lock, NULL); }

void page_slices_clear(page_slices *s) {
    es_grid_clear(&s->volume);
    es_text_free(&s->bytes);
    pthread_mutex_destroy(&s->lock);
}

/* With the lock held, as below. */
static void send(page_slices *s) {
    if (!s->volume.data ||
        !page_put_cuts(&s->bytes, &s->volume, s->placed ? s->at : s->middle, s->white))
        return;
    es_page_server_send(s->server, s->channel, false, s->bytes.bytes, s->bytes.length, NULL);
}

static size_t bytes_of(const es_grid_info *info) {
    return es_type_size(info->type) * (size_t)info->channels * (size_t)info->size[0] *
           (size_t)info->size[1] * (size_t)info->size[2];
}

/* Its size was looked at when it was made. */
static bool copy_volume(page_slices *s, const es_grid *volume) {
    const size_t bytes = bytes_of(&volume->info);
    if (!s->volume.data || bytes_of(&s->volume.info) != bytes) {
        es_free(s->volume.data);
        s->volume.data = es_alloc(bytes, 1, NULL);
    }
    s->volume.info = volume->info;
    s->volume.info.fields = (es_fields){0};
    if (s->volume.data) memcpy(s->volume.data, volume->data, bytes);
    return s->volume.data != NULL;
}

void page_slices_volume(page_slices *s, const es_grid *volume, es_vec3 middle, double white) {
    pthread_mutex_lock(&s->lock);
    s->middle = middle;
    s->white = white;
    if (copy_volume(s, volume)) send(s);
    pthread_mutex_unlock(&s->lock);
}

void page_slices_move(page_slices *s, const es_vec3 *at) {
    pthread_mutex_lock(&s->lock);
    s->placed = at != NULL;
    if (at) s->at = *at;
    send(s);
    pthread_mutex_unlock(&s->lock);
}

bool page_slices_place(page_slices *s, es_vec3 *at) {
    pthread_mutex_lock(&s->lock);
    bool placed = s->placed;
    *at = s->at;
    pthread_mutex_unlock(&s->lock);
    return placed;
}
