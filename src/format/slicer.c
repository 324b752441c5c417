/* Scenes of 3D Slicer: .mrb, .seq.mrb.
 *
 * A scene is a zip archive with one .mrml (XML) and a folder Data/. Sequences
 * are nodes of the scene; each names a storage node, and that a file: frames as
 * .seq.nrrd or .seq.mha, poses as .seq.mha (fields of frames), either as
 * .seq.mrb (a scene of its own, with one volume or LinearTransform an item, as
 * it may also be opened alone). Frames and poses belong together where their
 * index values (times) are equal.
 *
 * Slicer's world is RAS, ours LPS. The world's side of a transform is turned
 * once, here: x and y change their sign, F * M with F = diag(-1, -1, 1, 1).
 * A tool's own side (Probe) is no anatomical direction and stays as it is, so
 * that an ImageToProbe from a calibration fits. Transforms from Image start at
 * the picture as Slicer places it and are brought to pixels. Pictures that each
 * have a place of their own get the transform ImageToWorld from it. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "slicer_internal.h"

enum { SEQUENCES = 64, POSES_LIMIT = 1 << 24 };
/* vtkMRMLSequenceNode's own tolerance of index values. */
static const double SAME_TIME_S = 1e-3;

typedef struct timed_pose {
    double time_s; /* NaN: none */
    es_mat4 matrix;
    bool valid;
} timed_pose;

/* One transform over time. */
typedef struct pose_list {
    char name[ES_NAME_SIZE];
    timed_pose *items;
    size_t count, capacity, cursor;
    bool by_index, from_image, to_world;
} pose_list;

typedef struct scene {
    es_source *frames; /* NULL: poses alone, one frame for each of `leader` */
    int leader;
    int64_t index;
    char *given;
    es_placements placements;
    pose_list poses[SEQUENCES];
    int pose_count;
} scene;

static void scene_free(void *self) {
    scene *s = self;
    es_source_free(s->frames);
    for (int i = 0; i < s->pose_count; i++) es_free(s->poses[i].items);
    es_free(s->placements.pixel_to_ras);
    es_free(s->given);
    es_free(s);
}

/* ---- scenes within a scene --------------------------------------------------------- */

/* An entry of a scene, unpacked. */
static es_scratch *unpack(const es_mrml *mrml, const char *file, char path[ES_SCRATCH_NAME],
                          es_error *err) {
    zip_int64_t entry = es_mrml_entry(mrml, file, true);
    es_scratch *scratch = NULL;
    if (entry < 0)
        es_fail(err, ES_FORMAT, "%s: is named in the scene but not there", file);
    else if (!(scratch = es_archive_unpack(mrml->zip, (size_t)entry, err)))
        es_prefix(err, "%s", file);
    else
        es_scratch_name(scratch, path);
    return scratch;
}

/* The scene in which the items of a sequence lie: a file of its own (.seq.mrb), or
 * the same as that of the sequence. */
typedef struct item_scene {
    es_mrml mrml;
    es_scratch *scratch; /* NULL: the same */
    zip_t *zip;
    char path[ES_SCRATCH_NAME];
    xmlChar *values; /* "id:value;id:value" */
} item_scene;

static xmlChar *index_values(const xmlNode *node) {
    return es_mrml_is(node, "Sequence") ? xmlGetProp(node, BAD_CAST "indexValues") : NULL;
}

static void close_items(item_scene *items) {
    xmlFree(items->values);
    if (!items->scratch) return;
    es_mrml_close(&items->mrml);
    if (items->zip) zip_discard(items->zip);
    es_scratch_close(items->scratch);
}

static bool open_items(item_scene *items, const es_mrml *mrml, const char *file, es_error *err) {
    memset(items, 0, sizeof *items);
    items->scratch = unpack(mrml, file, items->path, err);
    bool ok = items->scratch && (items->zip = es_archive_open(items->path, err)) &&
              es_mrml_open(&items->mrml, items->zip, err);
    for (xmlNode *node = ok ? es_mrml_first(&items->mrml) : NULL; node && !items->values;
         node = xmlNextElementSibling(node))
        items->values = index_values(node);
    if (ok && !items->values) ok = es_fail(err, ES_FORMAT, "a scene without a sequence");
    if (ok) return true;
    if (items->scratch) es_blame(err, items->path, file);
    close_items(items);
    return false;
}

/* ---- poses ------------------------------------------------------------------------- */

static bool add_pose(pose_list *list, double time_s, es_mat4 matrix, bool valid, es_error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        if (capacity > POSES_LIMIT) return es_fail(err, ES_UNSUPPORTED, "too many poses");
        if (!es_resize(&list->items, capacity, sizeof *list->items, err)) return false;
        list->capacity = capacity;
    }
    list->items[list->count++] = (timed_pose){time_s, matrix, valid};
    return true;
}

/* The list of that transform; NULL when there are too many. */
static pose_list *list_of(scene *s, const char *name) {
    for (int i = 0; i < s->pose_count; i++)
        if (strcmp(s->poses[i].name, name) == 0) return &s->poses[i];
    if (s->pose_count == SEQUENCES) return NULL;
    pose_list *list = &s->poses[s->pose_count++];
    snprintf(list->name, sizeof list->name, "%s", name);
    return list;
}

/* A name such as ProbeToTracker out of the node's, which may be anything. */
static void transform_name(const scene *s, const char *given, char name[ES_NAME_SIZE]) {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE], clean[100];
    size_t used = 0;
    for (const char *at = given; *at && used + 1 < sizeof clean; at++) {
        if (strncmp(at, "-Seq", 4) == 0) break;
        if (isalnum((unsigned char)*at) || *at == '_') clean[used++] = *at;
    }
    clean[used] = '\0';
    if (es_has_suffix(clean, "Transform")) clean[used - strlen("Transform")] = '\0';
    if (es_transform_name_split(clean, from, to, NULL)) {
        snprintf(name, ES_NAME_SIZE, "%s", clean);
        return;
    }
    snprintf(name, ES_NAME_SIZE, "%sToWorld", *clean ? clean : "Tool");
    es_log(ES_NOTE, "%s: the transform \"%.60s\" has no name of the form AToB; it is called %s",
           s->given, given, name);
}

static bool parse_matrix(const char *text, es_mat4 *matrix) {
    return es_parse_doubles(text, matrix->m, 16) == 16 && es_mat4_finite(*matrix);
}

static bool add_items(pose_list *list, const es_mrml *mrml, const char *values, es_error *err) {
    char text[1000];
    es_mrml_item item;
    while (es_mrml_next_item(mrml, &values, &item)) {
        es_mat4 matrix = es_mat4_identity();
        bool valid =
            item.node && es_mrml_is(item.node, "LinearTransform") &&
            parse_matrix(es_mrml_get(item.node, "matrixTransformToParent", text, sizeof text),
                         &matrix);
        if (!add_pose(list, item.value, matrix, valid, err)) return false;
    }
    return true;
}

static bool read_transform_frames(scene *s, const char *path, es_error *err) {
    es_source *source = es_sequence_open(path, err);
    if (!source) return false;
    es_frame frame = {0};
    bool end = false, ok = true;
    while ((ok = es_source_next(source, &frame, 0, &end, err)) && !end)
        for (size_t i = 0; ok && i < frame.transform_count; i++) {
            const es_frame_transform *t = &frame.transforms[i];
            pose_list *list = list_of(s, t->name);
            if (list)
                ok = add_pose(list, frame.has_time ? frame.time_s : NAN, t->matrix, t->valid, err);
        }
    es_frame_clear(&frame);
    es_source_free(source);
    return ok;
}

/* ---- the sequences of a scene ------------------------------------------------------- */

typedef struct sequence {
    xmlNode *node;
    char name[200], file[1000], class[100];
    bool poses, pictures;
} sequence;

/* What the items of a sequence in the same scene are, by the first of them. */
static void judge_items(const es_mrml *mrml, const char *values, sequence *q) {
    char file[1000] = "";
    es_mrml_item first;
    if (!es_mrml_next_item(mrml, &values, &first) || !first.node) return;
    q->poses = es_mrml_is(first.node, "LinearTransform");
    if (!q->poses) es_mrml_file(mrml, first.node, file, sizeof file);
    q->pictures = *file != '\0';
}

/* A .seq.mrb whose class is not told: by its contents. */
static bool judge_inside(const es_mrml *mrml, sequence *q, es_error *err) {
    item_scene items;
    if (!open_items(&items, mrml, q->file, err)) return false;
    judge_items(&items.mrml, (const char *)items.values, q);
    close_items(&items);
    return true;
}

static bool describe(const es_mrml *mrml, xmlNode *node, sequence *q, es_error *err) {
    q->node = node;
    es_mrml_file(mrml, node, q->file, sizeof q->file);
    es_mrml_get_part(node, "attributes", "DataNodeClassName", q->class, sizeof q->class);
    if (!*es_mrml_get_part(node, "attributes", "Sequences.Source", q->name, sizeof q->name))
        es_mrml_get(node, "name", q->name, sizeof q->name);
    if (!*q->file) {
        xmlChar *values = index_values(node);
        if (values) judge_items(mrml, (const char *)values, q);
        xmlFree(values);
        return true;
    }
    bool told = *q->class != '\0', nested = es_has_suffix(q->file, ".mrb");
    if (nested && !told) return judge_inside(mrml, q, err);
    q->poses = strstr(q->class, "Transform") || (!told && es_has_suffix(q->file, ".mha"));
    q->pictures = !q->poses && (!nested || strstr(q->class, "Volume"));
    return true;
}

/* The sequence of pictures: the chosen one or the only one; -1: there is none. */
static bool choose_frames(const es_input *name, const sequence *all, int count, int *found,
                          es_error *err) {
    char names[500] = "";
    size_t used = 0;
    int fitting = 0;
    *found = -1;
    for (int i = 0; i < count; i++) {
        if (!all[i].pictures) continue;
        bool chosen = !*name->choice || strcmp(name->choice, all[i].name) == 0;
        if (chosen) *found = i;
        fitting += chosen;
        if (used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.60s", used ? ", " : "",
                                     all[i].name);
    }
    if (fitting == 1) return true;
    if (!used && !*name->choice) return true; /* poses alone */
    if (!used) return es_fail(err, ES_FORMAT, "its scene has no sequence of pictures in a file");
    return es_fail(err, ES_USAGE, "%s sequence of pictures; it has: %s; choose one: FILE#NAME",
                   fitting ? "has more than one" : "has no such", names);
}

/* All pictures in one file. */
static bool open_file(scene *s, const es_mrml *mrml, const char *file, es_error *err) {
    char path[ES_SCRATCH_NAME];
    es_mat4 place;
    es_scratch *scratch = unpack(mrml, file, path, err);
    if (!scratch) return false;
    s->frames = es_recording_open_scratch(path, file, scratch, place.m, err);
    if (!s->frames) return es_blame(err, path, file);
    s->placements.pixel_to_ras = es_alloc(1, sizeof place, err);
    if (!s->placements.pixel_to_ras) return false;
    s->placements.pixel_to_ras[0] = place;
    s->placements.count = 1;
    return true;
}

static bool open_frames(scene *s, const char *path, const es_mrml *mrml, const sequence *q,
                        es_error *err) {
    if (!*q->file) {
        xmlChar *values = index_values(q->node);
        s->frames =
            es_pictures_open(path, q->name, mrml, (const char *)values, &s->placements, err);
        xmlFree(values);
        return s->frames != NULL;
    }
    if (!es_has_suffix(q->file, ".mrb")) return open_file(s, mrml, q->file, err);
    item_scene items;
    if (!open_items(&items, mrml, q->file, err)) return false;
    s->frames = es_pictures_open(items.path, q->file, &items.mrml, (const char *)items.values,
                                 &s->placements, err);
    close_items(&items);
    return s->frames != NULL;
}

static bool read_transforms(scene *s, const es_mrml *mrml, const sequence *q, es_error *err) {
    char name[ES_NAME_SIZE], path[ES_SCRATCH_NAME];
    transform_name(s, q->name, name);
    if (!*q->file || es_has_suffix(q->file, ".mrb")) {
        item_scene items = {.mrml = *mrml};
        if (*q->file && !open_items(&items, mrml, q->file, err)) return false;
        if (!*q->file) items.values = index_values(q->node);
        pose_list *list = list_of(s, name);
        bool ok = !list || add_items(list, &items.mrml, (const char *)items.values, err);
        close_items(&items);
        return ok;
    }
    es_scratch *scratch = unpack(mrml, q->file, path, err);
    if (!scratch) return false;
    bool ok = read_transform_frames(s, path, err) || es_blame(err, path, q->file);
    es_scratch_close(scratch);
    return ok;
}

static bool open_sequences(scene *s, const es_input *name, const es_mrml *mrml, es_error *err) {
    sequence *all = es_alloc_zero(SEQUENCES, sizeof *all, err);
    int count = 0, frames = -1;
    bool ok = all != NULL;
    for (xmlNode *node = es_mrml_first(mrml); ok && node && count < SEQUENCES;
         node = xmlNextElementSibling(node))
        if (es_mrml_is(node, "Sequence")) ok = describe(mrml, node, &all[count++], err);
    ok = ok && choose_frames(name, all, count, &frames, err) &&
         (frames < 0 || open_frames(s, name->path, mrml, &all[frames], err));
    for (int i = 0; ok && i < count; i++)
        if (all[i].poses) ok = read_transforms(s, mrml, &all[i], err);
    es_free(all);
    return ok;
}

/* Transforms that stand still, as nodes of their own (a calibration). */
static bool add_still(scene *s, const es_mrml *mrml, es_error *err) {
    char name[200], text[1000], from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    bool ok = true;
    for (xmlNode *node = es_mrml_first(mrml); ok && node; node = xmlNextElementSibling(node)) {
        es_mat4 matrix;
        if (!es_mrml_is(node, "LinearTransform")) continue;
        es_mrml_get(node, "name", name, sizeof name);
        if (es_has_suffix(name, "Transform")) name[strlen(name) - strlen("Transform")] = '\0';
        if (strlen(name) >= ES_NAME_SIZE || !es_transform_name_split(name, from, to, NULL))
            continue;
        if (!parse_matrix(es_mrml_get(node, "matrixTransformToParent", text, sizeof text), &matrix))
            continue;
        pose_list *list = list_of(s, name);
        if (list && list->count == 0) { /* a sequence's current item is no calibration */
            list->by_index = true;
            ok = add_pose(list, NAN, matrix, true, err);
        }
    }
    return ok;
}

/* Pictures with places of their own, where no transform of the picture is told. */
static bool add_places(scene *s, es_error *err) {
    if (s->placements.count <= 1) return true;
    for (int i = 0; i < s->pose_count; i++)
        if (strncmp(s->poses[i].name, "ImageTo", 7) == 0) return true;
    pose_list *list = list_of(s, "ImageToWorld");
    for (size_t i = 0; list && i < s->placements.count; i++)
        if (!add_pose(list, NAN, es_mat4_identity(), true, err)) return false;
    es_log(ES_NOTE,
           "%s: its pictures lie at places of their own, which are taken as the transform "
           "ImageToWorld",
           s->given);
    return true;
}

/* ---- the source --------------------------------------------------------------------- */

/* Of a scene without pictures, the longest list of poses says what a frame is. */
static bool find_leader(scene *s, es_error *err) {
    for (int i = 1; i < s->pose_count; i++)
        if (s->poses[i].count > s->poses[s->leader].count) s->leader = i;
    return (s->pose_count > 0 && s->poses[s->leader].count > 1) ||
           es_fail(err, ES_FORMAT, "%s: its scene has no sequence of pictures or of transforms",
                   s->given);
}

static int64_t frame_count(const scene *s) {
    return s->frames ? es_source_info(s->frames)->frame_count : (int64_t)s->poses[s->leader].count;
}

/* Which sides are the world's and the picture's, and how poses find frames. */
static bool settle(scene *s, es_error *err) {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE], other[ES_NAME_SIZE], end[ES_NAME_SIZE];
    if (!s->frames && !find_leader(s, err)) return false;
    int64_t frames = frame_count(s);
    for (int i = 0; i < s->pose_count; i++) {
        pose_list *list = &s->poses[i];
        list->to_world = es_transform_name_split(list->name, from, to, NULL);
        list->from_image = list->to_world && strcmp(from, "Image") == 0;
        for (int j = 0; j < s->pose_count && list->to_world; j++)
            if (es_transform_name_split(s->poses[j].name, other, end, NULL) &&
                strcmp(other, to) == 0)
                list->to_world = false;
        bool timed = list->count > 0 && !list->by_index;
        for (size_t k = 0; k < list->count && timed; k++) timed = isfinite(list->items[k].time_s);
        list->by_index = !timed;
        if (!timed && list->count > 1 && (int64_t)list->count != frames)
            return es_fail(err, ES_FORMAT,
                           "%s: %lld frames but %zu poses of %s, and the poses have no times to "
                           "match them by",
                           s->given, (long long)frames, list->count, list->name);
    }
    if (s->pose_count)
        es_log(ES_NOTE,
               "%s: transforms are turned from Slicer's RAS to LPS on the world's side; a tool's "
               "own axes stay as they are",
               s->given);
    return true;
}

static es_mat4 settle_matrix(const scene *s, const pose_list *list, int64_t frame, es_mat4 matrix) {
    size_t place = s->placements.count > 1 ? (size_t)frame : 0;
    if (list->from_image && s->placements.count)
        matrix = es_mat4_multiply(matrix, s->placements.pixel_to_ras[place]);
    if (list->to_world) matrix = es_mat4_multiply(es_mat4_scaling(-1, -1, 1), matrix);
    return matrix;
}

/* Frames come in growing time, and so does the cursor; a step back (jitter)
 * starts over. */
static const timed_pose *pose_at(pose_list *list, const es_frame *frame) {
    if (list->by_index) {
        size_t index = list->count == 1 ? 0 : (size_t)frame->index;
        return index < list->count ? &list->items[index] : NULL;
    }
    if (!frame->has_time) return NULL;
    for (int pass = 0; pass < 2; pass++, list->cursor = 0)
        for (size_t i = list->cursor; i < list->count; i++)
            if (fabs(list->items[i].time_s - frame->time_s) <= SAME_TIME_S) {
                list->cursor = i;
                return &list->items[i];
            }
    return NULL;
}

/* A frame without a picture, at the time of its pose. */
static void next_pose(scene *s, es_frame *frame, bool *end) {
    const pose_list *leader = &s->poses[s->leader];
    *end = s->index >= (int64_t)leader->count;
    if (*end) return;
    es_frame_begin(frame, s->index);
    frame->time_s = leader->items[s->index++].time_s;
    frame->has_time = isfinite(frame->time_s);
}

static bool scene_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    scene *s = self;
    if (!s->frames)
        next_pose(s, frame, end);
    else if (!es_source_next(s->frames, frame, flags, end, err))
        return es_prefix(err, "%s", s->given);
    for (int i = 0; i < s->pose_count && !*end; i++) {
        pose_list *list = &s->poses[i];
        const timed_pose *pose = pose_at(list, frame);
        bool valid = pose && pose->valid;
        es_mat4 matrix =
            valid ? settle_matrix(s, list, frame->index, pose->matrix) : es_mat4_identity();
        if (!es_frame_set_transform(frame, list->name, matrix, valid, err)) return false;
    }
    return true;
}

static bool scene_rewind(void *self, es_error *err) {
    scene *s = self;
    for (int i = 0; i < s->pose_count; i++) s->poses[i].cursor = 0;
    s->index = 0;
    return !s->frames || es_source_rewind(s->frames, err);
}

static es_source *source_of(scene *s, es_error *err) {
    static const es_source_ops ops = {scene_next, scene_rewind, scene_free};
    es_stream_info info = {.type = ES_U8, .channels = 1, .spacing_mm = {1, 1}};
    if (s->frames && !es_stream_info_copy(es_source_info(s->frames), &info, err)) {
        scene_free(s);
        return NULL;
    }
    info.frame_count = frame_count(s);
    snprintf(info.format, sizeof info.format, "Slicer scene");
    es_source *source = es_source_new(&ops, s, &info, err);
    es_stream_info_clear(&info);
    return source;
}

es_source *es_slicer_open(const es_input *name, zip_t *zip, es_error *err) {
    scene *s = es_alloc_zero(1, sizeof *s, err);
    es_mrml mrml = {0};
    bool ok = s && (s->given = es_copy_text(name->path, err));
    ok = ok && ((es_mrml_open(&mrml, zip, err) && open_sequences(s, name, &mrml, err)) ||
                es_prefix(err, "%s", name->path));
    ok = ok && add_still(s, &mrml, err) && add_places(s, err) && settle(s, err);
    es_mrml_close(&mrml);
    zip_discard(zip);
    if (ok) return source_of(s, err);
    if (s) scene_free(s);
    return NULL;
}
