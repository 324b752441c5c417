/* echosolid simulate: a known object, a probe, a hand and a tracker with
 * errors give a recording; the truth is written beside it. */
#include <math.h>
#include <string.h>

#include "app.h"
#include "simulate_live.h"
#include "simulate_wires.h"

typedef struct simulate_options {
    common_options common;
    const char *output, *scene, *hold, *screen, *config, *phantom;
    int probe;
    bool grabber;
    double gain, width, radius, half_angle, depth, image_size[2], rate, pose_noise, angle_noise,
        lag, speckle, truth_spacing, lean, turn;
    int64_t frames, seed, anatomy, threads, dashes, sweeps;
    simulate_live live;
} simulate_options;

static const double DEGREE = 0.017453292519943295;

/* A face met at more than this shows no echo to speak of: what counts as seen. */
static const double SEEN_DEG = 72;

static const char *const probe_words[] = {"linear", "convex", NULL};

static const opt table[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .value = "FILE.igs.mha",
     .offset = offsetof(simulate_options, output),
     .help = "the recording; beside it come .xml (the calibration), .truth.ply (the true surface) "
             "and .seen.ply (the part that some beam met first, at less than 72 degrees of "
             "incidence)"},
    {.name = "scene",
     .type = OPT_TEXT,
     .value = "NAME",
     .fallback = "knee",
     .offset = offsetof(simulate_options, scene),
     .help =
         "sphere, box, cylinder, torus, knee, spine, ribs, forearm, abdomen or floor (of a water "
         "tank); or nwire: "
         "wires in a bath, to try calibrate nwire on (the truth is printed; with --phantom, "
         "--config, --probe, --radius, --half-angle, --gain, --dashes, --grabber, --frames, "
         "--rate, the noises, --lag, --speckle and --seed); or pivot: a stylus swung about its "
         "tip, to try calibrate pivot on (the truth is printed; with --frames, --rate, the noises "
         "and --seed)"},
    {.name = "anatomy",
     .type = OPT_INT,
     .low = 0,
     .high = 1e9,
     .fallback = "0",
     .offset = offsetof(simulate_options, anatomy),
     .help = "another person's knee, by number: size, shape and pose vary; 0: the standard one"},
    {.name = "phantom",
     .type = OPT_TEXT,
     .value = "NAME",
     .fallback = "fcal-1.2",
     .offset = offsetof(simulate_options, phantom),
     .help =
         "whose wires are in the bath of the nwire scene, by a name that calibrate nwire knows"},
    {.name = "config",
     .letter = 'c',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(simulate_options, config),
     .help = "take the wires of the nwire scene from this PhantomDefinition, as echosolid phantom "
             "--config-out writes it"},
    {.name = "gain",
     .type = OPT_NUMBER,
     .low = 0.05,
     .high = 20,
     .fallback = "1",
     .offset = offsetof(simulate_options, gain),
     .help = "of the nwire scene's echoes; at 3 wires are saturated"},
    {.name = "dashes",
     .type = OPT_INT,
     .low = 0,
     .high = 200,
     .fallback = "0",
     .offset = offsetof(simulate_options, dashes),
     .help = "bright streaks in each picture of the nwire scene, as bubbles and clips make them"},
    {.name = "grabber",
     .type = OPT_FLAG,
     .offset = offsetof(simulate_options, grabber),
     .help = "the nwire scene's pictures are a screen with ruler, grey bar and a running clock"},
    {.name = "hold",
     .type = OPT_TEXT,
     .value = "MOTIONS",
     .offset = offsetof(simulate_options, hold),
     .help = "over the floor, leave these motions out: rock, tilt, turn, raise, slide, joined by "
             "commas"},
    {.name = "sweeps",
     .type = OPT_INT,
     .low = 0,
     .high = ES_SWEEPS_MAX,
     .fallback = "0",
     .offset = offsetof(simulate_options, sweeps),
     .help = "so many sweeps side by side, each leant and turned another way, to try calibrate "
             "self on; 0: what suits the scene"},
    {.name = "lean",
     .type = OPT_NUMBER,
     .unit = UNIT_DEG,
     .low = 0,
     .high = 57,
     .fallback = "20",
     .offset = offsetof(simulate_options, lean),
     .help = "with --sweeps: tilt out of the image plane, half of it in the plane"},
    {.name = "turn",
     .type = OPT_NUMBER,
     .unit = UNIT_DEG,
     .low = 0,
     .high = 90,
     .fallback = "40",
     .offset = offsetof(simulate_options, turn),
     .help = "with --sweeps: turn about the probe's long axis"},
    {.name = "screen",
     .type = OPT_TEXT,
     .value = "NAME",
     .offset = offsetof(simulate_options, screen),
     .help = "instead of a scene, a scanner's screen whose pixel spacing is to be found: "
             "c5-2r60-a, c5-2r60-b, c5-2r60-c, or a number to draw one from; the truth is printed, "
             "and only --frames and --threads apply"},
    {.name = "probe",
     .type = OPT_WORD,
     .words = probe_words,
     .offset = offsetof(simulate_options, probe),
     .help = "kind of array (default: what suits the scene)"},
    {.name = "width",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 5,
     .high = 300,
     .offset = offsetof(simulate_options, width),
     .help = "aperture of a linear array"},
    {.name = "radius",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 5,
     .high = 200,
     .offset = offsetof(simulate_options, radius),
     .help = "radius of a convex array's face"},
    {.name = "half-angle",
     .type = OPT_NUMBER,
     .unit = UNIT_DEG,
     .low = 5,
     .high = 80,
     .offset = offsetof(simulate_options, half_angle),
     .help = "half the field of view of a convex array"},
    {.name = "depth",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 5,
     .high = 400,
     .offset = offsetof(simulate_options, depth),
     .help = "imaging depth"},
    {.name = "image-size",
     .type = OPT_NUMBERS,
     .count = 2,
     .unit = UNIT_PX,
     .low = 16,
     .high = 8192,
     .value = "WIDTH,HEIGHT",
     .offset = offsetof(simulate_options, image_size),
     .help = "size of the picture in pixels"},
    {.name = "frames",
     .letter = 'n',
     .type = OPT_INT,
     .low = 0,
     .high = 1e6,
     .fallback = "0",
     .offset = offsetof(simulate_options, frames),
     .help = "frames over the whole motion; 0: what suits the scene, about 0.7 mm apart"},
    {.name = "rate",
     .type = OPT_NUMBER,
     .unit = UNIT_HZ,
     .low = 0.1,
     .high = 1000,
     .fallback = "25",
     .offset = offsetof(simulate_options, rate),
     .help = "frames a second"},
    {.name = "pose-noise",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0,
     .high = 50,
     .fallback = "0",
     .offset = offsetof(simulate_options, pose_noise),
     .help = "standard deviation of the tracker's position, each axis and frame"},
    {.name = "angle-noise",
     .type = OPT_NUMBER,
     .unit = UNIT_DEG,
     .low = 0,
     .high = 45,
     .fallback = "0",
     .offset = offsetof(simulate_options, angle_noise),
     .help = "standard deviation of the tracker's rotation, each axis and frame"},
    {.name = "lag",
     .type = OPT_NUMBER,
     .unit = UNIT_S,
     .low = -2,
     .high = 2,
     .fallback = "0",
     .offset = offsetof(simulate_options, lag),
     .help = "the tracker is late by this much"},
    {.name = "speckle",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 4,
     .fallback = "1",
     .offset = offsetof(simulate_options, speckle),
     .help = "0: plain pictures without noise; 1: natural"},
    {.name = "truth-spacing",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0.1,
     .high = 10,
     .fallback = "0.7",
     .offset = offsetof(simulate_options, truth_spacing),
     .help = "cell size of the true surface's mesh"},
    {.name = "seed",
     .type = OPT_INT,
     .low = 0,
     .high = 9e15,
     .fallback = "1",
     .offset = offsetof(simulate_options, seed),
     .help = "same seed, same bytes"},
    {.name = "live",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 65535,
     .value = "PORT",
     .offset = offsetof(simulate_options, live.port),
     .help = "instead of writing a file, serve the frames by OpenIGTLink at 127.0.0.1 at their "
             "rate, as PlusServer does; 0: any free port, which is told"},
    {.name = "natnet",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 65535,
     .value = "PORT",
     .offset = offsetof(simulate_options, live.natnet),
     .help =
         "with --live, send the poses by NatNet, as OptiTrack's Motive does (its port is 1510), "
         "and the pictures without; 0: any free port, which is told"},
    {.name = "replay",
     .type = OPT_TEXT,
     .value = "FILE",
     .offset = offsetof(simulate_options, live.replay),
     .help = "with --live, serve this recording instead of a simulation"},
    {.name = "repeat",
     .type = OPT_FLAG,
     .offset = offsetof(simulate_options, live.repeat),
     .help = "with --live, start again at the end, until Ctrl-C"},
    THREADS_OPTION(simulate_options, threads),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid simulate --scene knee --frames 20 --pose-noise 0.3mm --angle-noise 0.3deg -o "
    "knee.igs.mha",
    "echosolid simulate --scene abdomen --frames 20 --speckle 0 -o abdomen.igs.mha --json",
    "echosolid simulate --screen c5-2r60-b -o screen.igs.mha", NULL};

/* "rock,tilt" as ES_HOLD_ bits. */
static bool parse_hold(const char *text, unsigned *hold, es_error *err) {
    static const char *const words[] = {"rock", "tilt", "turn", "raise", "slide"};
    *hold = 0;
    while (text && *text) {
        size_t length = strcspn(text, ","), word = 0;
        while (word < 5 && (strlen(words[word]) != length || strncmp(text, words[word], length)))
            word++;
        if (word == 5)
            return es_fail(err, ES_USAGE,
                           "--hold %.40s: expected rock, tilt, turn, raise, slide, joined by "
                           "commas",
                           text);
        *hold |= 1U << word;
        text += length + (text[length] == ',');
    }
    return true;
}

/* The scene's own probe and frames, and what was given instead. */
static bool make_simulation(const simulate_options *o, es_simulation *s, es_error *err) {
    if (!es_simulation_preset(o->scene, s, err) || !parse_hold(o->hold, &s->hold, err))
        return false;
    es_probe *p = &s->probe;
    bool curved = o->probe >= 0 ? o->probe == 1 : p->curved;
    if (curved != p->curved)
        *p = curved ? (es_probe){.curved = true,
                                 .radius_mm = 60,
                                 .half_angle_rad = 0.5236,
                                 .depth_mm = 120,
                                 .image_size = {512, 512}}
                    : (es_probe){.width_mm = 50, .depth_mm = 60, .image_size = {512, 512}};
    if (!isnan(o->width)) p->width_mm = o->width;
    if (!isnan(o->radius)) p->radius_mm = o->radius;
    if (!isnan(o->half_angle)) p->half_angle_rad = o->half_angle * DEGREE;
    if (!isnan(o->depth)) p->depth_mm = o->depth;
    for (int i = 0; i < 2 && !isnan(o->image_size[0]); i++)
        p->image_size[i] = (uint32_t)o->image_size[i];
    s->rate_hz = o->rate;
    s->pose_noise_mm = o->pose_noise;
    s->pose_noise_rad = o->angle_noise * DEGREE;
    s->lag_s = o->lag;
    s->speckle = o->speckle;
    s->seed = (uint64_t)o->seed;
    s->anatomy = (uint64_t)o->anatomy;
    s->threads = (int)o->threads;
    s->sweeps = (int)o->sweeps;
    s->lean_rad = o->sweeps ? o->lean * DEGREE : 0;
    s->turn_rad = o->sweeps ? o->turn * DEGREE : 0;
    s->frames = o->frames ? (int)o->frames : es_simulation_frames(s);
    return true;
}

/* Takes the source; NULL is the error of its opening. */
static bool write_frames(const simulate_options *o, es_source *source, es_error *err) {
    es_frame frame = {0};
    es_sequence_options options = ES_SEQUENCE_DEFAULTS;
    double total = source ? (double)es_source_info(source)->frame_count : 0;
    es_sink *sink =
        source ? es_sequence_create(o->output, es_source_info(source), &options, err) : NULL;
    bool ok = sink != NULL, end = false;
    for (int64_t f = 0; ok; f++) {
        ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (!ok || end) break;
        ok = es_sink_put(sink, &frame, err);
        es_progress_step(app_progress(&o->common), "simulating", (double)f, total);
    }
    ok = ok && es_sink_finish(sink, err);
    es_frame_clear(&frame);
    es_sink_free(sink);
    es_source_free(source);
    return ok;
}

/* ImageToProbe and the scan conversion, as a user would have calibrated. */
static bool write_config(const es_simulation *s, const char *path, es_error *err) {
    es_plus *plus = es_plus_new(err);
    if (!plus) return false;
    es_mat4 image_to_probe = es_simulation_image_to_probe(s);
    es_fan fan = es_simulation_fan(s);
    double spacing = es_vec3_length(es_mat4_column(image_to_probe, 0));
    es_plus_transform t = {.from = "Image", .to = "Probe", .matrix = image_to_probe, .error = NAN};
    es_plus_scan_conversion scan = {
        .curvilinear = s->probe.curved,
        .depth_mm = s->probe.depth_mm,
        .width_mm = s->probe.curved ? NAN : s->probe.width_mm,
        .radius_start_mm = s->probe.curved ? fan.radius_start * spacing : NAN,
        .radius_stop_mm = s->probe.curved ? fan.radius_stop * spacing : NAN,
        .theta_start_deg = s->probe.curved ? fan.angle_start_rad * 57.29577951308232 : NAN,
        .theta_stop_deg = s->probe.curved ? fan.angle_stop_rad * 57.29577951308232 : NAN,
        .image_size = {(int32_t)s->probe.image_size[0], (int32_t)s->probe.image_size[1]},
        .spacing_mm = {spacing, spacing},
        .transducer_center_px = {s->probe.curved ? fan.apex_u : (fan.u0 + fan.u1) / 2,
                                 s->probe.curved ? fan.apex_v + fan.radius_start : fan.v0}};
    snprintf(scan.transducer_name, sizeof scan.transducer_name, "simulated");
    bool ok = es_plus_transform_set(plus, &t, err) &&
              es_plus_scan_conversion_set(plus, &scan, err) && es_plus_write(plus, path, err);
    es_plus_free(plus);
    return ok;
}

/* ---- the truth ------------------------------------------------------------------ */

static void to_reference(es_mesh *mesh, es_mat4 scene_to_reference) {
    for (size_t i = 0; i < mesh->vertex_count; i++) {
        float *v = &mesh->vertices[3 * i];
        es_vec3 p = es_mat4_point(scene_to_reference, es_vec3_make(v[0], v[1], v[2]));
        v[0] = (float)p.x;
        v[1] = (float)p.y;
        v[2] = (float)p.z;
    }
}

/* Keeps the triangles whose corners all lie within `reach` mm of a first hit. */
static bool keep_seen(es_mesh *mesh, const float *hits, size_t hit_count, double reach,
                      es_error *err) {
    es_point_set *set = es_point_set_new(hits, hit_count, reach, err);
    if (!set) return false;
    size_t kept = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *triangle = &mesh->triangles[3 * t];
        bool seen = true;
        for (int k = 0; k < 3 && seen; k++)
            seen = es_point_set_near(set, &mesh->vertices[3 * (size_t)triangle[k]]);
        if (seen) memmove(&mesh->triangles[3 * kept++], triangle, 3 * sizeof *triangle);
    }
    mesh->triangle_count = kept;
    es_point_set_free(set);
    return es_mesh_keep_components(mesh, 0, 0, NULL, NULL, err);
}

typedef struct truth {
    es_mesh surface, seen;
    double area_mm2, seen_mm2;
} truth;

static bool make_truth(const simulate_options *o, const es_simulation *s, truth *t, es_error *err) {
    es_mat4 to = es_simulation_scene_to_reference(s);
    es_pool *pool = es_pool_new((int)o->threads, err);
    es_scene *scene = pool ? es_scene_new_anatomy(s->scene, s->anatomy, err) : NULL;
    es_bricks *bricks = scene ? es_scene_bricks(scene, o->truth_spacing, 3, pool, err) : NULL;
    es_iso_options iso = ES_ISO_DEFAULTS;
    size_t hit_count = 0;
    float *hits = bricks ? es_simulation_first_hits(s, SEEN_DEG, pool, &hit_count, err) : NULL;
    es_mesh_check check = {0};
    bool ok = hits && es_surface_extract(bricks, &iso, pool, &t->surface, err) &&
              es_mesh_copy(&t->surface, &t->seen, err) &&
              keep_seen(&t->seen, hits, hit_count, 1.0, err);
    ok = ok && es_mesh_inspect(&t->surface, &check, err);
    if (ok) t->area_mm2 = check.area_mm2;
    ok = ok && es_mesh_inspect(&t->seen, &check, err);
    if (ok) t->seen_mm2 = check.area_mm2;
    if (ok) {
        to_reference(&t->surface, to);
        to_reference(&t->seen, to);
    }
    es_free(hits);
    es_bricks_free(bricks);
    es_scene_free(scene);
    es_pool_free(pool);
    return ok;
}

typedef struct names {
    char *config, *truth, *seen;
} names;

static bool write_truth(const simulate_options *o, const es_simulation *s, const names *n, truth *t,
                        es_error *err) {
    app_origin origin;
    char title[80];
    if (!make_truth(o, s, t, err) || !app_origin_make(&origin, &command_simulate, o, NULL, 0, err))
        return false;
    es_mesh_write_options write = {.title = title};
    app_origin_title(&origin, "true surface", title);
    bool ok = es_mesh_write(n->truth, &t->surface, &write, err);
    app_origin_title(&origin, "true surface that some beam met first", title);
    if (t->seen.triangle_count) ok = ok && es_mesh_write(n->seen, &t->seen, &write, err);
    app_origin_clear(&origin);
    return ok;
}

static int print_result(const simulate_options *o, const es_simulation *s, const names *n,
                        const truth *t) {
    if (o->common.json)
        return app_print_json(json_pack("{s:s, s:s, s:s, s:s, s:I, s:f, s:f}", "output", o->output,
                                        "config", n->config, "truth", n->truth, "seen", n->seen,
                                        "frames", (json_int_t)s->frames, "area_mm2", t->area_mm2,
                                        "seen_mm2", t->seen_mm2));
    printf("%s: %lld frames of the %s\n", o->output, (long long)s->frames, o->scene);
    printf("%s: ImageToProbe and scan conversion\n", n->config);
    printf("%s: the true surface, %.0f mm2\n", n->truth, t->area_mm2);
    if (t->seen_mm2 > 0)
        printf("%s: the part that some beam met first, %.0f mm2 (%.0f %%)\n", n->seen, t->seen_mm2,
               100 * t->seen_mm2 / t->area_mm2);
    else
        printf("no beam meets a hard surface in this scene\n");
    return 0;
}

/* ---- a screen ------------------------------------------------------------------- */

static bool make_screen(const simulate_options *o, es_screen *screen, es_error *err) {
    int64_t seed;
    if (!isnan(o->width) || !isnan(o->radius) || !isnan(o->half_angle) || !isnan(o->depth) ||
        !isnan(o->image_size[0]))
        return es_fail(err, ES_USAGE,
                       "simulate: a screen comes with its own probe, depth and size: leave out "
                       "--width, --radius, --half-angle, --depth and --image-size");
    if (es_parse_int(o->screen, &seed) && seed >= 0)
        es_screen_random((uint64_t)seed, screen);
    else if (!es_screen_named(o->screen, screen, err))
        return false;
    if (o->frames) screen->frames = (int)(o->frames < 1000000 ? o->frames : 1000000);
    return true;
}

/* What a sample configuration claims about the pixels. */
static bool write_claim(const es_screen *screen, const char *path, es_error *err) {
    es_plus *plus = es_plus_new(err);
    if (!plus) return false;
    es_plus_transform t = {
        .from = "Image", .to = "Reference", .matrix = es_mat4_identity(), .error = NAN};
    for (int i = 0; i < 3; i++) t.matrix.m[5 * i] = screen->header_spacing_mm;
    bool ok = es_plus_transform_set(plus, &t, err) && es_plus_write(plus, path, err);
    es_plus_free(plus);
    return ok;
}

static int print_screen(const simulate_options *o, const es_screen *s, const char *config) {
    if (o->common.json)
        return app_print_json(json_pack(
            "{s:s, s:s?, s:i, s:[f,f], s:f, s:b, s:f, s:f, s:f, s:f}", "output", o->output,
            "config", config, "frames", s->frames, "spacing_mm", s->spacing_mm[0], s->spacing_mm[1],
            "depth_mm", s->setting_mm, "curved", s->curved, "radius_mm", s->radius_mm, "width_mm",
            s->width_mm, "half_angle_deg", s->half_angle_rad / DEGREE, "claimed_mm",
            s->header_spacing_mm));
    printf("%s: %d frames of %u x %u pixels of %.5g x %.5g mm\n", o->output, s->frames, s->width,
           s->height, s->spacing_mm[0], s->spacing_mm[1]);
    if (s->curved)
        printf("convex array of %g mm radius, %.3g degrees, set to %g mm\n", s->radius_mm,
               2 * s->half_angle_rad / DEGREE, s->setting_mm);
    else
        printf("linear array of %.4g mm, set to %g mm\n", s->width_mm, s->setting_mm);
    if (config) printf("%s: claims %g mm\n", config, s->header_spacing_mm);
    return 0;
}

static int run_screen(const simulate_options *o) {
    es_error err = {0};
    es_screen screen;
    char *config = NULL;
    bool ok = es_sequence_can_write(o->output, &err) && make_screen(o, &screen, &err) &&
              write_frames(o, es_screen_open(&screen, (int)o->threads, &err), &err);
    if (ok && screen.header_spacing_mm > 0)
        ok = (config = app_sibling(o->output, ".xml", &err)) && write_claim(&screen, config, &err);
    app_progress_end();
    int status = ok ? print_screen(o, &screen, config) : app_fail(&err);
    es_free(config);
    return status;
}

/* ---- wires in a bath ------------------------------------------------------------ */

static void make_bath(const simulate_options *o, const es_wire_phantom *phantom, es_bath *bath) {
    es_wire_phantom_bath(phantom, bath);
    if (o->frames) bath->frames = (int)o->frames;
    if (o->probe == 1) {
        bath->face_mm = isnan(o->radius) ? 60 : o->radius;
        bath->half_angle_rad = (isnan(o->half_angle) ? 30 : o->half_angle) * DEGREE;
    }
    bath->rate_hz = o->rate;
    bath->pose_noise_mm = o->pose_noise;
    bath->pose_noise_rad = o->angle_noise * DEGREE;
    bath->lag_s = o->lag;
    bath->speckle = o->speckle;
    bath->gain = o->gain;
    bath->dashes = (int)o->dashes;
    bath->grabber = o->grabber;
    bath->seed = (uint64_t)o->seed;
}

/* The wires of the options, and the bath that they are in. */
static bool plan_bath(const simulate_options *o, es_wire_phantom *phantom, es_bath *bath,
                      es_error *err) {
    if (!wires_phantom(o->config, o->phantom, phantom, err)) return false;
    make_bath(o, phantom, bath);
    return true;
}

static int run_wires(const simulate_options *o) {
    es_error err = {0};
    es_bath bath;
    es_wire_phantom phantom;
    char *config = NULL;
    bool ok = es_sequence_can_write(o->output, &err) && plan_bath(o, &phantom, &bath, &err) &&
              (config = app_sibling(o->output, ".xml", &err));
    if (ok && o->config && strcmp(o->config, config) == 0)
        ok = es_fail(&err, ES_USAGE,
                     "simulate: %s would be overwritten with the phantom's place: give the "
                     "recording another name",
                     config);
    ok = ok && write_frames(o, es_bath_open(&bath, &err), &err) &&
         wires_write_config(&phantom, config, &err);
    app_progress_end();
    int status = ok ? wires_print(&o->common, o->output, config, &bath) : app_fail(&err);
    es_free(config);
    return status;
}

/* ---- a stylus ------------------------------------------------------------------- */

static es_stylus make_stylus(const simulate_options *o) {
    es_stylus stylus = ES_STYLUS_DEFAULTS;
    if (o->frames) stylus.frames = (int)o->frames;
    stylus.rate_hz = o->rate;
    stylus.pose_noise_mm = o->pose_noise;
    stylus.pose_noise_rad = o->angle_noise * DEGREE;
    stylus.seed = (uint64_t)o->seed;
    return stylus;
}

static int run_stylus(const simulate_options *o) {
    es_error err = {0};
    es_stylus s = make_stylus(o);
    bool ok =
        es_sequence_can_write(o->output, &err) && write_frames(o, es_stylus_open(&s, &err), &err);
    app_progress_end();
    if (!ok) return app_fail(&err);
    if (o->common.json)
        return app_print_json(json_pack("{s:s, s:i, s:[f, f, f]}", "output", o->output, "frames",
                                        s.frames, "tip_mm", s.tip_mm.x, s.tip_mm.y, s.tip_mm.z));
    printf("%s: %d frames of a stylus swung about its tip\n", o->output, s.frames);
    printf("truth: tip at %g, %g, %g mm in the stylus\n", s.tip_mm.x, s.tip_mm.y, s.tip_mm.z);
    return 0;
}

/* ---- the command ---------------------------------------------------------------- */

static bool check(const simulate_options *o, es_error *err) {
    es_scene *scene = es_scene_new_anatomy(o->scene, (uint64_t)o->anatomy, err);
    es_scene_free(scene);
    return scene && es_sequence_can_write(o->output, err);
}

static bool check_live(const simulate_options *o, es_error *err) {
    bool live = !isnan(o->live.port);
    if (!live && !o->output)
        return es_fail(err, ES_USAGE,
                       "simulate: name the recording with -o, or serve it with "
                       "--live PORT");
    if (live && (o->output || o->screen))
        return es_fail(err, ES_USAGE,
                       "simulate: --live writes no file and has no screens: leave "
                       "out -o and --screen");
    return live || (!o->live.replay && !o->live.repeat && isnan(o->live.natnet)) ||
           es_fail(err, ES_USAGE, "simulate: --replay, --repeat and --natnet are for --live PORT");
}

/* NULL: `err` says why. */
static es_source *open_scene(const simulate_options *o, es_error *err) {
    es_simulation s;
    es_wire_phantom phantom;
    es_bath bath;
    es_stylus stylus = make_stylus(o);
    if (strcmp(o->scene, "pivot") == 0) return es_stylus_open(&stylus, err);
    if (strcmp(o->scene, "nwire") == 0)
        return plan_bath(o, &phantom, &bath, err) ? es_bath_open(&bath, err) : NULL;
    return make_simulation(o, &s, err) ? es_simulation_open(&s, err) : NULL;
}

static int run_live(const simulate_options *o) {
    es_error err = {0};
    es_source *source =
        o->live.replay ? es_sequence_open(o->live.replay, &err) : open_scene(o, &err);
    return simulate_serve(&o->common, &o->live, source, !o->live.replay, &err);
}

static int run(const void *options, const char *const *files, int count) {
    (void)files;
    (void)count;
    const simulate_options *o = options;
    es_error err = {0};
    if (!check_live(o, &err)) return app_fail(&err);
    if (!isnan(o->live.port)) return run_live(o);
    if (o->screen) return run_screen(o);
    if (strcmp(o->scene, "nwire") == 0) return run_wires(o);
    if (strcmp(o->scene, "pivot") == 0) return run_stylus(o);
    es_simulation s;
    truth t = {{0}, {0}, 0, 0};
    names n = {0};
    int status = 1;
    bool ok = check(o, &err) && make_simulation(o, &s, &err) &&
              (n.config = app_sibling(o->output, ".xml", &err)) &&
              (n.truth = app_sibling(o->output, ".truth.ply", &err)) &&
              (n.seen = app_sibling(o->output, ".seen.ply", &err)) &&
              write_frames(o, es_simulation_open(&s, &err), &err) &&
              write_config(&s, n.config, &err) && write_truth(o, &s, &n, &t, &err);
    app_progress_end();
    status = ok ? print_result(o, &s, &n, &t) : app_fail(&err);
    es_mesh_clear(&t.surface);
    es_mesh_clear(&t.seen);
    es_free(n.config);
    es_free(n.truth);
    es_free(n.seen);
    return status;
}

const command command_simulate = {
    .name = "simulate",
    .summary = "a recording of a known object, with the truth beside it",
    .usage = "-o FILE.igs.mha | --live PORT [options]",
    .description =
        "Objects are signed distances (a knee with real dimensions, simple solids, an abdomen "
        "phantom with a 20 mm cyst and a 30 mm ball, the floor of a water tank); the probe is "
        "moved by a hand, tracked with "
        "noise and lag. The pictures show bone edge, shadow, layers and speckle. The same options "
        "and seed give the same bytes. With --screen, a scanner's whole screen (fan or linear "
        "field, ruler, words) with a known pixel spacing, to try echosolid spacing on; the .xml "
        "beside it is the claim that a recording often comes with.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(simulate_options),
    .arguments_min = 0,
    .arguments_max = 0,
    .run = run};
