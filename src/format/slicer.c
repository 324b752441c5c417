/* Scenes of 3D Slicer: .mrb, .seq.mrb.
 *
 * A scene is a zip archive with one .mrml (XML) and a folder Data/. Sequences
 * are nodes of the scene; each names a storage node, and that a file: frames as
 * .seq.nrrd or .seq.mha, poses as .seq.mha (fields of frames) or .seq.mrb (a
 * scene of its own, with one LinearTransform a pose). Frames and poses belong
 * together where their index values (times) are equal.
 *
 * Slicer's world is RAS, ours LPS. The world's side of a transform is turned
 * once, here: x and y change their sign, F * M with F = diag(-1, -1, 1, 1).
 * A tool's own side (Probe) is no anatomical direction and stays as it is, so
 * that an ImageToProbe from a calibration fits. Transforms from Image start at
 * the picture as Slicer places it and are brought to pixels. */
#include <ctype.h>
#include <libxml/hash.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <math.h>
#include <string.h>

#include "archive.h"

enum { MRML_LIMIT = 1 << 25, SEQUENCES = 64, POSES_LIMIT = 1 << 24 };
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
    es_source *frames;
    char *given;
    es_mat4 pixel_to_ras;
    pose_list poses[SEQUENCES];
    int pose_count;
} scene;

static void scene_free(void *self) {
    scene *s = self;
    es_source_free(s->frames);
    for (int i = 0; i < s->pose_count; i++) es_free(s->poses[i].items);
    es_free(s->given);
    es_free(s);
}

/* ---- XML ------------------------------------------------------------------------- */

/* A stranger's XML: bounded, without document types, network or entities. */
static xmlDoc *read_mrml(zip_t *zip, es_error *err) {
    zip_int64_t count = zip_get_num_entries(zip, 0), found = -1;
    for (zip_int64_t i = 0; i < count && found < 0; i++) {
        const char *name = es_archive_entry(zip, (size_t)i);
        if (name && es_has_suffix(name, ".mrml")) found = i;
    }
    size_t length = 0;
    if (found < 0) {
        es_fail(err, ES_FORMAT, "an archive without a scene (.mrml)");
        return NULL;
    }
    char *text = es_archive_text(zip, (size_t)found, MRML_LIMIT, &length, err);
    if (!text) return NULL;
    xmlDoc *doc = NULL;
    if (!strstr(text, "<!DOCTYPE") && !memchr(text, 0, length))
        doc = xmlReadMemory(text, (int)length, NULL, NULL,
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    es_free(text);
    if (doc && xmlDocGetRootElement(doc)) return doc;
    xmlFreeDoc(doc);
    es_fail(err, ES_FORMAT, "its scene (.mrml) is no sound XML without document types");
    return NULL;
}

static xmlNode *first_node(const xmlDoc *doc) {
    return xmlFirstElementChild(xmlDocGetRootElement(doc));
}

static bool is_node(const xmlNode *node, const char *name) {
    return strcmp((const char *)node->name, name) == 0;
}

/* The value of an attribute up to `size` bytes; "" when absent or longer. */
static const char *get(const xmlNode *node, const char *name, char *text, size_t size) {
    xmlChar *value = xmlGetProp(node, BAD_CAST name);
    bool fits = value && strlen((const char *)value) < size;
    snprintf(text, size, "%s", fits ? (const char *)value : "");
    xmlFree(value);
    return text;
}

/* "a:x;b:y" -> the value of `key`. */
static const char *get_part(const xmlNode *node, const char *name, const char *key, char *text,
                            size_t size) {
    char all[4000];
    get(node, name, all, sizeof all);
    text[0] = '\0';
    for (char *at = all; at && *at;) {
        char *stop = strchr(at, ';');
        if (stop) *stop++ = '\0';
        size_t length = strlen(key);
        if (strncmp(at, key, length) == 0 && at[length] == ':')
            snprintf(text, size, "%.*s", (int)size - 1, at + length + 1);
        at = stop;
    }
    return text;
}

static xmlNode *find_id(const xmlDoc *doc, const char *id) {
    char text[200];
    for (xmlNode *node = first_node(doc); node; node = xmlNextElementSibling(node))
        if (*id && strcmp(get(node, "id", text, sizeof text), id) == 0) return node;
    return NULL;
}

/* The name of the file behind a node, %20 and so on decoded. */
static void file_of(const xmlDoc *doc, const xmlNode *node, char *file, size_t size) {
    char id[200];
    file[0] = '\0';
    if (!*get(node, "storageNodeRef", id, sizeof id))
        get_part(node, "references", "storage", id, sizeof id);
    xmlNode *storage = find_id(doc, id);
    if (!storage) return;
    get(storage, "fileName", file, size);
    char *to = file;
    for (const char *from = file; *from; from++) {
        unsigned value;
        if (*from == '%' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2]) &&
            sscanf(from + 1, "%2x", &value) == 1 && value) {
            *to++ = (char)value;
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

/* The entry of that name, in whatever folder the archive has on top; -1. */
static zip_int64_t find_entry(zip_t *zip, const char *file) {
    zip_int64_t count = zip_get_num_entries(zip, 0);
    size_t length = strlen(file);
    for (zip_int64_t i = 0; length && i < count; i++) {
        const char *name = es_archive_entry(zip, (size_t)i);
        size_t n = name ? strlen(name) : 0;
        if (n >= length && strcmp(name + n - length, file) == 0 &&
            (n == length || name[n - length - 1] == '/'))
            return i;
    }
    return -1;
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

/* All nodes by their id. */
static xmlHashTable *index_nodes(const xmlDoc *doc) {
    xmlHashTable *table = xmlHashCreate(1024);
    for (xmlNode *node = first_node(doc); table && node; node = xmlNextElementSibling(node)) {
        xmlChar *id = xmlGetProp(node, BAD_CAST "id");
        if (id) xmlHashAddEntry(table, id, node);
        xmlFree(id);
    }
    return table;
}

/* "id:value;id:value" in the order of the file. */
static bool add_indexed(pose_list *list, xmlHashTable *nodes, const char *values, es_error *err) {
    char id[200], text[1000];
    bool ok = true;
    for (const char *at = values; ok && *at;) {
        size_t length = strcspn(at, ";"), colon = strcspn(at, ":;");
        if (colon < length && colon < sizeof id) {
            double time_s = NAN;
            es_mat4 matrix = es_mat4_identity();
            snprintf(id, sizeof id, "%.*s", (int)colon, at);
            snprintf(text, sizeof text, "%.*s",
                     (int)(length - colon - 1 < 60 ? length - colon - 1 : 60), at + colon + 1);
            if (!es_parse_double(text, &time_s)) time_s = NAN;
            xmlNode *node = xmlHashLookup(nodes, BAD_CAST id);
            bool valid =
                node && is_node(node, "LinearTransform") &&
                parse_matrix(get(node, "matrixTransformToParent", text, sizeof text), &matrix);
            ok = add_pose(list, time_s, matrix, valid, err);
        }
        at += length + (at[length] == ';');
    }
    return ok;
}

/* A scene of transforms alone: .seq.mrb. */
static bool read_transform_scene(scene *s, zip_t *zip, const char *name, es_error *err) {
    xmlDoc *doc = read_mrml(zip, err);
    if (!doc) return false;
    xmlHashTable *nodes = index_nodes(doc);
    bool ok = nodes || es_fail(err, ES_MEMORY, "out of memory");
    for (xmlNode *node = first_node(doc); ok && node; node = xmlNextElementSibling(node)) {
        xmlChar *values =
            is_node(node, "Sequence") ? xmlGetProp(node, BAD_CAST "indexValues") : NULL;
        pose_list *list = values ? list_of(s, name) : NULL;
        if (list) ok = add_indexed(list, nodes, (const char *)values, err);
        xmlFree(values);
    }
    xmlHashFree(nodes, NULL);
    xmlFreeDoc(doc);
    return ok;
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

static bool read_transforms(scene *s, zip_t *zip, const char *file, const char *name,
                            es_error *err) {
    char path[ES_SCRATCH_NAME];
    zip_int64_t entry = find_entry(zip, file);
    if (entry < 0) return es_fail(err, ES_FORMAT, "%s: is named in the scene but not there", file);
    es_scratch *scratch = es_archive_unpack(zip, (size_t)entry, err);
    if (!scratch) return es_prefix(err, "%s", file);
    es_scratch_name(scratch, path);
    bool ok;
    if (es_has_suffix(file, ".mrb")) {
        zip_t *inner = es_archive_open(path, err);
        ok = inner && read_transform_scene(s, inner, name, err);
        if (inner) zip_discard(inner);
    } else {
        ok = read_transform_frames(s, path, err);
    }
    es_scratch_close(scratch);
    return ok || es_blame(err, path, file);
}

/* ---- the sequences of a scene ------------------------------------------------------- */

typedef struct sequence {
    xmlNode *node;
    char name[200], file[1000], class[100];
} sequence;

static void describe(const xmlDoc *doc, xmlNode *node, sequence *q) {
    q->node = node;
    file_of(doc, node, q->file, sizeof q->file);
    get_part(node, "attributes", "DataNodeClassName", q->class, sizeof q->class);
    if (!*get_part(node, "attributes", "Sequences.Source", q->name, sizeof q->name))
        get(node, "name", q->name, sizeof q->name);
}

static bool holds_poses(const sequence *q) {
    return strstr(q->class, "Transform") || es_has_suffix(q->file, ".mrb") ||
           (!*q->class && es_has_suffix(q->file, ".mha"));
}

/* The sequence of pictures: the chosen one or the only one. */
static bool choose_frames(const es_container_name *name, const sequence *all, int count, int *found,
                          es_error *err) {
    char names[500] = "";
    size_t used = 0;
    int fitting = 0;
    *found = -1;
    for (int i = 0; i < count; i++) {
        if (holds_poses(&all[i]) || !*all[i].file) continue;
        bool chosen = !*name->choice || strcmp(name->choice, all[i].name) == 0;
        if (chosen) *found = i;
        fitting += chosen;
        if (used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.60s", used ? ", " : "",
                                     all[i].name);
    }
    if (fitting == 1) return true;
    if (!used)
        return es_fail(err, ES_FORMAT, "%s: its scene has no sequence of pictures stored as a file",
                       name->path);
    return es_fail(err, ES_USAGE, "%s: %s sequence of pictures; it has: %s; choose one: FILE#NAME",
                   name->path, fitting ? "has more than one" : "has no such", names);
}

/* The frames' file, with pixel_to_ras of the picture. */
static bool open_frames(scene *s, zip_t *zip, const char *file, es_error *err) {
    char path[ES_SCRATCH_NAME];
    zip_int64_t entry = find_entry(zip, file);
    if (entry < 0) return es_fail(err, ES_FORMAT, "%s: is named in the scene but not there", file);
    es_scratch *scratch = es_archive_unpack(zip, (size_t)entry, err);
    if (!scratch) return es_prefix(err, "%s", file);
    es_scratch_name(scratch, path);
    s->frames = es_recording_open_scratch(path, file, scratch, s->pixel_to_ras.m, err);
    return s->frames || es_blame(err, path, file);
}

static bool open_sequences(scene *s, const es_container_name *name, zip_t *zip, const xmlDoc *doc,
                           es_error *err) {
    sequence *all = es_alloc_zero(SEQUENCES, sizeof *all, err);
    if (!all) return false;
    int count = 0, frames = -1;
    for (xmlNode *node = first_node(doc); node && count < SEQUENCES;
         node = xmlNextElementSibling(node))
        if (is_node(node, "Sequence")) describe(doc, node, &all[count++]);
    bool ok = choose_frames(name, all, count, &frames, err);
    if (ok && !open_frames(s, zip, all[frames].file, err)) ok = es_prefix(err, "%s", name->path);
    for (int i = 0; ok && i < count; i++) {
        char transform[ES_NAME_SIZE];
        if (!holds_poses(&all[i]) || !*all[i].file) continue;
        transform_name(s, all[i].name, transform);
        if (!read_transforms(s, zip, all[i].file, transform, err))
            ok = es_prefix(err, "%s", name->path);
    }
    es_free(all);
    return ok;
}

/* Transforms that stand still, as nodes of their own (a calibration). */
static bool add_still(scene *s, const xmlDoc *doc, es_error *err) {
    char name[200], text[1000], from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    bool ok = true;
    for (xmlNode *node = first_node(doc); ok && node; node = xmlNextElementSibling(node)) {
        es_mat4 matrix;
        if (!is_node(node, "LinearTransform")) continue;
        get(node, "name", name, sizeof name);
        if (es_has_suffix(name, "Transform")) name[strlen(name) - strlen("Transform")] = '\0';
        if (strlen(name) >= ES_NAME_SIZE || !es_transform_name_split(name, from, to, NULL))
            continue;
        if (!parse_matrix(get(node, "matrixTransformToParent", text, sizeof text), &matrix))
            continue;
        pose_list *list = list_of(s, name);
        if (list && list->count == 0) { /* a sequence's current item is no calibration */
            list->by_index = true;
            ok = add_pose(list, NAN, matrix, true, err);
        }
    }
    return ok;
}

/* ---- the source --------------------------------------------------------------------- */

/* Which sides are the world's and the picture's, and how poses find frames. */
static bool settle(scene *s, es_error *err) {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE], other[ES_NAME_SIZE], end[ES_NAME_SIZE];
    int64_t frames = es_source_info(s->frames)->frame_count;
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

static es_mat4 settle_matrix(const scene *s, const pose_list *list, es_mat4 matrix) {
    if (list->from_image) matrix = es_mat4_multiply(matrix, s->pixel_to_ras);
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

static bool scene_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    scene *s = self;
    if (!es_source_next(s->frames, frame, flags, end, err)) return es_prefix(err, "%s", s->given);
    for (int i = 0; i < s->pose_count && !*end; i++) {
        pose_list *list = &s->poses[i];
        const timed_pose *pose = pose_at(list, frame);
        bool valid = pose && pose->valid;
        es_mat4 matrix = valid ? settle_matrix(s, list, pose->matrix) : es_mat4_identity();
        if (!es_frame_set_transform(frame, list->name, matrix, valid, err)) return false;
    }
    return true;
}

static bool scene_rewind(void *self, es_error *err) {
    scene *s = self;
    for (int i = 0; i < s->pose_count; i++) s->poses[i].cursor = 0;
    return es_source_rewind(s->frames, err);
}

static es_source *source_of(scene *s, es_error *err) {
    static const es_source_ops ops = {scene_next, scene_rewind, scene_free};
    es_stream_info info = {0};
    if (!es_stream_info_copy(es_source_info(s->frames), &info, err)) {
        scene_free(s);
        return NULL;
    }
    snprintf(info.format, sizeof info.format, "Slicer scene");
    es_source *source = es_source_new(&ops, s, &info, err);
    es_stream_info_clear(&info);
    return source;
}

es_source *es_slicer_open(const es_container_name *name, zip_t *zip, es_error *err) {
    scene *s = es_alloc_zero(1, sizeof *s, err);
    xmlDoc *doc = NULL;
    bool ok = s && (s->given = es_copy_text(name->path, err));
    if (ok && !(doc = read_mrml(zip, err))) ok = es_prefix(err, "%s", name->path);
    ok = ok && open_sequences(s, name, zip, doc, err) && add_still(s, doc, err) && settle(s, err);
    xmlFreeDoc(doc);
    zip_discard(zip);
    if (ok) return source_of(s, err);
    if (s) scene_free(s);
    return NULL;
}
