/* All poses of one transform of a recording, for calibrations. */
#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

static bool grow(es_pose_list *list, es_error *err) {
    if (list->count < list->capacity) return true;
    size_t capacity = list->capacity ? 2 * list->capacity : 256;
    if (!es_resize(&list->times_s, capacity, sizeof *list->times_s, err) ||
        !es_resize(&list->poses, capacity, sizeof *list->poses, err) ||
        !es_resize(&list->valid, capacity, sizeof *list->valid, err))
        return false;
    list->capacity = capacity;
    return true;
}

static bool add(es_pose_list *list, es_placement *placement, const es_frame *frame, es_error *err) {
    es_mat4 pose;
    bool placed = false;
    if (!grow(list, err) || !es_placement_find(placement, frame, &pose, &placed, err)) return false;
    size_t i = list->count++;
    list->times_s[i] = frame->has_time ? frame->time_s : (double)frame->index;
    list->timed = list->timed && frame->has_time;
    list->valid[i] = placed;
    list->poses[i] = placed ? pose : es_mat4_scaling(NAN, NAN, NAN);
    list->placed += placed;
    return true;
}

bool es_pose_list_read(es_source *source, const es_plus *plus, const char *transform,
                       es_pose_list *list, es_error *err) {
    memset(list, 0, sizeof *list);
    list->timed = true;
    es_placement *placement = es_placement_new(plus, transform, err);
    es_frame frame = {0};
    bool end = false, ok = placement != NULL;
    while (ok && (ok = es_source_next(source, &frame, 0, &end, err)) && !end)
        ok = add(list, placement, &frame, err) && !es_cancelled(err);
    if (ok && list->placed == 0)
        ok = es_fail(err, ES_GEOMETRY, "no frame has a valid %s: %s", transform,
                     list->count ? es_placement_reason(placement) : "the recording is empty");
    es_frame_clear(&frame);
    es_placement_free(placement);
    if (!ok) es_pose_list_clear(list);
    return ok;
}

void es_pose_list_clear(es_pose_list *list) {
    es_free(list->times_s);
    es_free(list->poses);
    es_free(list->valid);
    memset(list, 0, sizeof *list);
}

/* ---- which tool ---------------------------------------------------------------------- */

static bool is_base(const char *name) {
    static const char *const bases[] = {"Tracker", "Reference", "World", "Image", "Phantom"};
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        if (strcmp(name, bases[i]) == 0) return true;
    return false;
}

void es_tool_list_see(es_tool_list *t, const es_frame *frame) {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    for (size_t i = 0; i < frame->transform_count; i++) {
        if (!es_transform_name_split(frame->transforms[i].name, from, to, NULL)) continue;
        if (strcmp(from, "Reference") == 0 || strcmp(to, "Reference") == 0) t->reference = true;
        int k = 0;
        while (k < t->count && strcmp(t->names[k], from) != 0) k++;
        if (k == t->count && k < ES_TOOLS_MAX && !is_base(from)) strcpy(t->names[t->count++], from);
    }
}

bool es_tool_list_read(es_source *source, es_tool_list *tools, es_error *err) {
    es_frame frame = {0};
    bool end = false, ok = true;
    memset(tools, 0, sizeof *tools);
    for (int i = 0; i < 20 && ok && !end; i++)
        if ((ok = es_source_next(source, &frame, 0, &end, err)) && !end)
            es_tool_list_see(tools, &frame);
    es_frame_clear(&frame);
    return ok && es_source_rewind(source, err);
}

bool es_pose_list_choose(es_source *source, const char *tool, const char *reference,
                         char transform[2 * ES_NAME_SIZE], es_error *err) {
    es_tool_list t;
    if (!es_tool_list_read(source, &t, err)) return false;
    for (int k = 0; k < t.count && !tool; k++)
        if (strcmp(t.names[k], "Stylus") == 0 || t.count == 1) tool = t.names[k];
    if (!tool) {
        es_text names = {0};
        for (int k = 0; k < t.count; k++) es_text_add(&names, "%s%s", k ? ", " : "", t.names[k]);
        es_fail(err, ES_USAGE, "which tool? the recording has %s; name one with --tool",
                names.length ? names.bytes : "no tool");
        es_text_free(&names);
        return false;
    }
    snprintf(transform, 2 * ES_NAME_SIZE, "%sTo%s", tool,
             reference     ? reference
             : t.reference ? "Reference"
                           : "Tracker");
    return true;
}
