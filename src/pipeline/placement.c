/* Where each frame lies: the configuration's transforms and the frame's own in
 * one graph, asked for image -> reference. */
#include <string.h>

#include "echosolid/pipeline.h"

struct es_placement {
    es_graph *graph;
    char image[ES_NAME_SIZE], reference[ES_NAME_SIZE]; /* reference "" until chosen */
    char reason[1000];
    es_field *seen; /* From and To of every transform that frames have carried */
    size_t seen_count, seen_capacity;
};

static bool take_names(es_placement *p, const es_plus *plus, const char *transform, es_error *err) {
    strcpy(p->image, "Image");
    if (transform) {
        if (es_transform_name_split(transform, p->image, p->reference, err)) return true;
        return es_prefix(err, "image-to-reference '%s'", transform);
    }
    es_plus_reconstruction recon;
    bool present = false;
    if (plus && !es_plus_reconstruction_get(plus, &recon, &present, err)) return false;
    if (present && recon.has_image_frame) strcpy(p->image, recon.image_frame);
    if (present && recon.has_reference_frame) strcpy(p->reference, recon.reference_frame);
    return true;
}

es_placement *es_placement_new(const es_plus *plus, const char *transform, es_error *err) {
    es_placement *p = es_alloc_zero(1, sizeof *p, err);
    if (!p) return NULL;
    p->graph = es_graph_new(err);
    if (!p->graph || !take_names(p, plus, transform, err) ||
        (plus && !es_plus_to_graph(plus, p->graph, err))) {
        es_placement_free(p);
        return NULL;
    }
    return p;
}

void es_placement_free(es_placement *placement) {
    if (!placement) return;
    for (size_t i = 0; i < placement->seen_count; i++) {
        es_free(placement->seen[i].key);
        es_free(placement->seen[i].value);
    }
    es_free(placement->seen);
    es_graph_free(placement->graph);
    es_free(placement);
}

static bool remember(es_placement *p, const char *from, const char *to, es_error *err) {
    for (size_t i = 0; i < p->seen_count; i++)
        if (strcmp(p->seen[i].key, from) == 0 && strcmp(p->seen[i].value, to) == 0) return true;
    if (p->seen_count == p->seen_capacity) {
        size_t capacity = p->seen_capacity ? 2 * p->seen_capacity : 8;
        if (!es_resize(&p->seen, capacity, sizeof *p->seen, err)) return false;
        p->seen_capacity = capacity;
    }
    es_field *slot = &p->seen[p->seen_count];
    slot->key = es_copy_text(from, err);
    slot->value = slot->key ? es_copy_text(to, err) : NULL;
    if (!slot->value) {
        es_free(slot->key);
        return false;
    }
    p->seen_count++;
    return true;
}

/* Poses of an earlier frame say nothing about this one: all are set invalid
 * before the frame's own are put in. */
static bool forget_poses(es_placement *p, const es_frame *frame, es_error *err) {
    for (size_t i = 0; i < frame->transform_count; i++) {
        char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
        if (es_transform_name_split(frame->transforms[i].name, from, to, NULL) &&
            strcmp(from, to) != 0 && !remember(p, from, to, err))
            return false;
    }
    for (size_t i = 0; i < p->seen_count; i++)
        if (!es_graph_set(p->graph, p->seen[i].key, p->seen[i].value, es_mat4_identity(), false,
                          err))
            return false;
    return true;
}

/* A patient's reference marker is preferred to the room, the room to the
 * tracker's own axes. */
static void choose_reference(es_placement *p) {
    static const char *const known[] = {"Reference", "World", "Tracker"};
    for (size_t i = 0; i < sizeof known / sizeof *known && !p->reference[0]; i++)
        if (es_graph_has_node(p->graph, known[i])) strcpy(p->reference, known[i]);
}

bool es_placement_find(es_placement *p, const es_frame *frame, es_mat4 *image_to_reference,
                       bool *placed, es_error *err) {
    *placed = false;
    if (!forget_poses(p, frame, err) || !es_frame_to_graph(frame, p->graph, err)) return false;
    if (!p->reference[0]) choose_reference(p);
    if (!p->reference[0]) {
        snprintf(p->reason, sizeof p->reason,
                 "the recording has no pose to Reference, World or Tracker; name the transform "
                 "with --image-to-reference");
        return true;
    }
    es_error why = {0};
    *placed = es_graph_find(p->graph, p->image, p->reference, image_to_reference, NULL, &why);
    if (*placed) return true;
    if (why.code == ES_MEMORY) {
        if (err) *err = why;
        return false;
    }
    snprintf(p->reason, sizeof p->reason, "%s", why.message);
    return true;
}

const char *es_placement_reason(const es_placement *placement) { return placement->reason; }
const char *es_placement_image(const es_placement *placement) { return placement->image; }
const char *es_placement_reference(const es_placement *placement) { return placement->reference; }
