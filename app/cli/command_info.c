/* echosolid info: what is in a file, and what is missing in it. */
#include <math.h>
#include <string.h>

#include "checkup.h"
#include "recording.h"

#define PIXEL_BYTES 100e6 /* of pictures that the doctor looks at: a glance */

typedef struct info_options {
    common_options common;
    const char *config, *picture;
    bool quick;
    recording_options recording;
} info_options;

static const opt table[] = {{.name = "config",
                             .letter = 'c',
                             .type = OPT_TEXT,
                             .value = "XML",
                             .offset = offsetof(info_options, config),
                             .help = "PLUS device-set file: calibration, probe and depth for the "
                                     "verdicts, and to read --poses"},
                            {.name = "quick",
                             .letter = 'q',
                             .type = OPT_FLAG,
                             .offset = offsetof(info_options, quick),
                             .help = "do not look at the pictures: no spacing, no doctor"},
                            {.name = "picture",
                             .type = OPT_TEXT,
                             .value = "PNG",
                             .offset = offsetof(info_options, picture),
                             .help = "write a contact sheet: up to 12 frames, evenly spread"},
                            RECORDING_OPTIONS(info_options, recording),
                            {.name = NULL}};

static const char *const examples[] = {
    "echosolid info scan.igs.mha", "echosolid info scan.igs.mha --json",
    "echosolid info scan.igs.mha --picture sheet.png", "echosolid info knee.stl", NULL};

/* ---- recordings --------------------------------------------------------------- */

typedef struct transform_count {
    char name[ES_NAME_SIZE];
    int64_t present, valid;
    es_vec3 last;   /* origin in the latest valid frame */
    double path_mm; /* of the origin, over the valid frames */
} transform_count;

enum { TRANSFORMS = 64 };

typedef struct recording {
    int64_t frames, without_image, timed, back_in_time;
    double first_s, last_s, longest_gap_s;
    transform_count transforms[TRANSFORMS];
    int transform_count;
} recording;

static void count_transform(recording *r, const es_frame_transform *t) {
    int i = 0;
    while (i < r->transform_count && strcmp(r->transforms[i].name, t->name) != 0) i++;
    if (i == TRANSFORMS) return;
    if (i == r->transform_count) strcpy(r->transforms[r->transform_count++].name, t->name);
    transform_count *c = &r->transforms[i];
    es_vec3 origin = es_mat4_column(t->matrix, 3);
    c->present++;
    if (!t->valid) return;
    if (c->valid++) c->path_mm += es_vec3_length(es_vec3_sub(origin, c->last));
    c->last = origin;
}

static void count_frame(recording *r, const es_frame *frame) {
    r->frames++;
    for (size_t i = 0; i < frame->transform_count; i++) count_transform(r, &frame->transforms[i]);
    if (!frame->has_time) return;
    if (r->timed++ == 0)
        r->first_s = frame->time_s;
    else {
        r->back_in_time += frame->time_s < r->last_s;
        r->longest_gap_s = fmax(r->longest_gap_s, frame->time_s - r->last_s);
    }
    r->last_s = frame->time_s;
}

static bool read_recording(es_source *source, recording *r, es_error *err) {
    es_frame frame = {0};
    bool end = false, ok = true;
    memset(r, 0, sizeof *r);
    while ((ok = es_source_next(source, &frame, 0, &end, err)) && !end) count_frame(r, &frame);
    es_frame_clear(&frame);
    return ok;
}

static double duration(const recording *r) { return r->timed > 1 ? r->last_s - r->first_s : NAN; }

static double rate(const recording *r) {
    return duration(r) > 0 ? (double)(r->timed - 1) / duration(r) : NAN;
}

/* ---- the verdicts --------------------------------------------------------------- */

static json_t *recording_json(const char *file, const es_stream_info *info, const recording *r,
                              const app_checkup *v) {
    json_t *transforms = json_array(), *fields = json_object();
    for (int i = 0; i < r->transform_count; i++) {
        const transform_count *t = &r->transforms[i];
        json_array_append_new(transforms,
                              json_pack("{s:s, s:I, s:I, s:o}", "name", t->name, "frames",
                                        (json_int_t)t->present, "valid", (json_int_t)t->valid,
                                        "path_mm", app_json_number(t->path_mm)));
    }
    for (size_t i = 0; i < info->fields.count; i++)
        json_object_set_new(fields, info->fields.items[i].key,
                            json_string(info->fields.items[i].value));
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:i, s:s, s:s, s:[f,f], s:o, s:o, s:o, "
                     "s:I, s:o, s:o, s:o, s:o}",
                     "kind", "recording", "file", file, "format", info->format, "frames",
                     (json_int_t)r->frames, "width", (json_int_t)info->width, "height",
                     (json_int_t)info->height, "type", es_type_name(info->type), "channels",
                     info->channels, "orientation", info->orientation, "image_kind",
                     info->image_kind, "spacing", info->spacing_mm[0], info->spacing_mm[1],
                     "duration_s", app_json_number(duration(r)), "longest_gap_s",
                     r->timed > 1 ? app_json_number(r->longest_gap_s) : json_null(), "transforms",
                     transforms, "times_going_back", (json_int_t)r->back_in_time, "fields", fields,
                     "rate_hz", app_json_number(rate(r)), "spacing_verdict",
                     v->looked ? app_json_spacing(&v->spacing) : json_null(), "doctor",
                     v->looked ? app_json_findings(&v->findings) : json_null());
}

static void print_transforms(const recording *r) {
    if (r->transform_count == 0)
        printf("transforms    none: the frames have no poses; give them with the pictures to "
               "build a volume\n");
    for (int i = 0; i < r->transform_count; i++) {
        const transform_count *t = &r->transforms[i];
        printf("%-14s%-28s valid in %lld of %lld frames, path %.1f mm\n", i ? "" : "transforms",
               t->name, (long long)t->valid, (long long)r->frames, t->path_mm);
    }
}

/* Some servers write one pixel where there is no picture. */
static bool has_pictures(const es_stream_info *info) { return info->width > 1 && info->height > 0; }

static void print_recording(const char *file, const es_stream_info *info, const recording *r,
                            const app_checkup *v) {
    printf("%s: recording (%s)\n", file, info->format);
    printf("frames        %lld\n", (long long)r->frames);
    if (has_pictures(info))
        printf("picture       %u x %u, %s%s%s%s\n", info->width, info->height,
               es_type_name(info->type), info->channels == 3 ? " RGB" : "",
               info->image_kind[0] ? ", " : "", info->image_kind);
    else
        printf("picture       none, poses only%s\n", info->width ? " (frames of one pixel)" : "");
    if (info->orientation[0])
        printf("orientation   %s in the file, read as MF\n", info->orientation);
    else if (has_pictures(info))
        printf("orientation   not said in the file, taken as MF (u along the transducer, v into "
               "the body)\n");
    if (r->timed > 1)
        printf("time          %.3f s, %.1f frames a second, longest gap %.3f s%s\n", duration(r),
               rate(r), r->longest_gap_s, r->back_in_time ? ", GOES BACK in places" : "");
    print_transforms(r);
    if (has_pictures(info))
        printf("pixel size    %g x %g mm in the header\n", info->spacing_mm[0],
               info->spacing_mm[1]);
    if (!v->looked) return;
    if (has_pictures(info)) app_print_spacing(&v->spacing);
    app_print_findings(&v->findings);
}

static bool write_sheet(const char *path, es_source *source, int64_t frames, es_error *err) {
    es_image sheet = {0};
    bool ok = es_contact_sheet(source, frames, &sheet, err) && es_png_write(path, &sheet, err);
    es_image_clear(&sheet);
    return ok;
}

/* Poses first, then pictures, where the recording can be read twice. */
static bool visit(const info_options *o, es_source *source, const es_plus *plus, recording *r,
                  app_checkup *v, es_error *err) {
    if (!read_recording(source, r, err)) return false;
    bool again = es_source_can_rewind(source);
    if (o->picture && !again)
        return es_fail(err, ES_USAGE, "--picture needs a recording that can be read twice");
    return (o->quick || !again ||
            app_checkup_run(v, source, plus, o->config, PIXEL_BYTES, &o->common, err)) &&
           (!o->picture || write_sheet(o->picture, source, r->frames, err));
}

static int about_recording(const info_options *o, const char *file) {
    es_error err = {0};
    recording r;
    app_checkup v = {0};
    es_plus *plus = o->config ? es_plus_read(o->config, &err) : NULL;
    es_source *source = NULL;
    if (plus || !o->config)
        source = app_open_recording_told(file, &o->recording, plus, &o->common, &err);
    int status = 0;
    if (!source || !visit(o, source, plus, &r, &v, &err))
        status = app_fail(&err);
    else if (o->common.json)
        status = app_print_json(recording_json(file, es_source_info(source), &r, &v));
    else
        print_recording(file, es_source_info(source), &r, &v);
    app_checkup_clear(&v);
    es_source_free(source);
    es_plus_free(plus);
    return status;
}

/* ---- volumes and meshes --------------------------------------------------------- */

static int about_volume(const info_options *o, const char *file) {
    es_error err = {0};
    es_grid_info info = {0};
    if (!es_grid_read_info(file, &info, &err)) return app_fail(&err);
    int status = 0;
    const uint64_t *n = info.size;
    const double *s = info.spacing_mm, *p = info.origin_mm, *d = info.direction;
    if (o->common.json) {
        status = app_print_json(json_pack(
            "{s:s, s:s, s:[I,I,I], s:s, s:i, s:[f,f,f], s:[f,f,f], s:[f,f,f,f,f,f,f,f,f]}", "kind",
            "volume", "file", file, "size", (json_int_t)n[0], (json_int_t)n[1], (json_int_t)n[2],
            "type", es_type_name(info.type), "channels", info.channels, "spacing_mm", s[0], s[1],
            s[2], "origin_mm", p[0], p[1], p[2], "direction", d[0], d[1], d[2], d[3], d[4], d[5],
            d[6], d[7], d[8]));
    } else {
        printf("%s: volume\n", file);
        printf("size          %llu x %llu x %llu voxels, %s%s\n", (unsigned long long)n[0],
               (unsigned long long)n[1], (unsigned long long)n[2], es_type_name(info.type),
               info.channels == 3 ? " RGB" : "");
        printf("spacing       %g x %g x %g mm\n", s[0], s[1], s[2]);
        printf("origin        %g, %g, %g mm (LPS)\n", p[0], p[1], p[2]);
        for (size_t i = 0; i < info.fields.count; i++)
            if (strncmp(info.fields.items[i].key, "Echosolid", 9) == 0)
                printf("%s  %s\n", info.fields.items[i].key, info.fields.items[i].value);
    }
    es_grid_info_clear(&info);
    return status;
}

static int about_mesh(const info_options *o, const char *file) {
    es_error err = {0};
    es_mesh mesh = {0};
    es_mesh_check c;
    size_t crossings;
    if (!es_mesh_read(file, &mesh, &err) || !es_mesh_inspect(&mesh, &c, &err) ||
        !es_mesh_find_crossings(&mesh, NULL, NULL, &crossings, &err)) {
        es_mesh_clear(&mesh);
        return app_fail(&err);
    }
    es_box3 box = es_mesh_box(&mesh);
    int status = 0;
    if (o->common.json) {
        status = app_print_json(json_pack(
            "{s:s, s:s, s:I, s:I, s:[f,f,f], s:[f,f,f], s:o, s:I}", "kind", "mesh", "file", file,
            "vertices", (json_int_t)mesh.vertex_count, "triangles", (json_int_t)mesh.triangle_count,
            "min_mm", box.min.x, box.min.y, box.min.z, "max_mm", box.max.x, box.max.y, box.max.z,
            "check", app_json_check(&c), "self_intersections", (json_int_t)crossings));
    } else {
        printf("%s: mesh of %zu triangles, %zu vertices, %zu piece%s\n", file, mesh.triangle_count,
               mesh.vertex_count, c.components, c.components == 1 ? "" : "s");
        printf("box           %.2f x %.2f x %.2f mm\n", box.max.x - box.min.x,
               box.max.y - box.min.y, box.max.z - box.min.z);
        if (c.closed)
            printf("closed        yes, volume %.1f mm3\n", c.volume_mm3);
        else
            printf("closed        no: %zu boundary edges in %zu loops, %zu bad edges, %zu bad "
                   "vertices\n",
                   c.boundary_edges, c.boundary_loops, c.bad_edges, c.bad_vertices);
        printf("crossings     %zu pairs of facets that run through one another\n", crossings);
        printf("area          %.1f mm2\n", c.area_mm2);
    }
    es_mesh_clear(&mesh);
    return status;
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    const info_options *o = options;
    es_error err = {0};
    bool is_grid = false, is_mesh = es_mesh_can_write(files[0], NULL);
    if (!is_mesh && !app_is_volume(files[0], &o->recording, &is_grid, &err)) return app_fail(&err);
    if (o->picture && (is_mesh || is_grid)) {
        es_fail(&err, ES_USAGE, "--picture shows the frames of a recording; %s is none", files[0]);
        return app_fail(&err);
    }
    if (is_mesh) return about_mesh(options, files[0]);
    return is_grid ? about_volume(options, files[0]) : about_recording(options, files[0]);
}

const command command_info = {
    .name = "info",
    .summary = "what is in a recording, a volume or a mesh",
    .usage = "FILE [options]",
    .description =
        "Tells what a file holds. A recording: frames, picture size, orientation, time, each "
        "transform with the number of frames in which it is valid and the path of its origin, "
        "the size of a pixel with its interval, and what the doctor finds at a glance at a "
        "bounded number of pictures (echosolid spacing and doctor tell more; --quick leaves both "
        "out). Size and geometry of a volume; triangles, box, closedness and volume of a mesh.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(info_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run};
