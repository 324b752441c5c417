/* echosolid view: finished meshes and a volume as a page that can be turned. */
#include <math.h>
#include <string.h>

#include "app.h"
#include "echosolid/page.h"
#include "echosolid/report.h"
#include "report_pictures.h"

enum { FILES_MAX = 8 };

typedef struct view_options {
    common_options common;
    const char *output, *truth;
    int64_t port, threads;
} view_options;

static const opt table[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .value = "HTML",
     .offset = offsetof(view_options, output),
     .help = "the page, one file that stands alone; without it the page is served to a browser on "
             "this machine until Ctrl-C"},
    {.name = "port",
     .type = OPT_INT,
     .low = 0,
     .high = 65535,
     .fallback = "0",
     .offset = offsetof(view_options, port),
     .help = "where it is served on 127.0.0.1; 0: a free one"},
    {.name = "truth",
     .type = OPT_TEXT,
     .value = "MESH",
     .offset = offsetof(view_options, truth),
     .help = "the true surface: the meshes can be coloured by their distance to it"},
    THREADS_OPTION(view_options, threads),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid view knee-sheet.stl volume.mha --truth knee.seen.ply -o knee-view.html", NULL};

typedef struct view_run {
    const view_options *o;
    const char *const *files;
    int count;
    es_pool *pool;
    bool has_truth;
    es_mesh truth;
    es_view *view;
    es_report *report;
    size_t meshes, volumes;
} view_run;

/* ---- meshes ----------------------------------------------------------------- */

static void add_mesh_rows(es_report *p, const es_mesh *mesh, const es_mesh_check *check) {
    es_box3 box = es_mesh_box(mesh);
    char text[120];
    snprintf(text, sizeof text, "%.1f x %.1f x %.1f mm", box.max.x - box.min.x,
             box.max.y - box.min.y, box.max.z - box.min.z);
    es_report_row(p, "size", "Size along x, y, z", text);
    es_report_number(p, "triangles", "Triangles", (double)mesh->triangle_count, "", NAN);
    es_report_number(p, "pieces", "Pieces", (double)check->components, "", NAN);
    es_report_number(p, "area", "Area", check->area_mm2, "mm2", NAN);
    if (check->closed)
        es_report_number(p, "volume", "Volume", check->volume_mm3, "mm3", NAN);
    else
        es_report_row(p, "volume", "Volume", "none: the surface is not closed");
}

static bool add_distance_rows(view_run *r, const es_mesh *mesh, es_error *err) {
    es_mesh_distance d;
    if (!r->has_truth) return true;
    if (!es_mesh_compare(mesh, &r->truth, 0.25, r->pool, &d, err)) return false;
    es_report_row(r->report, "truth", "True surface", es_path_name(r->o->truth));
    es_report_number(r->report, "rms", "Surface to truth, RMS", d.rms_mm, "mm", NAN);
    es_report_number(r->report, "p95", "Surface to truth, 95 %", d.p95_mm, "mm", NAN);
    es_report_number(r->report, "max", "Surface to truth, largest", d.max_mm, "mm", NAN);
    return true;
}

static bool add_mesh(view_run *r, const char *path, es_error *err) {
    es_mesh mesh = {0};
    es_mesh_check check;
    bool ok = es_mesh_read(path, &mesh, err) && es_mesh_inspect_welded(&mesh, &check, err);
    es_view_mesh shown = {.name = es_path_name(path),
                          .mesh = &mesh,
                          .sheet = ok && !check.closed,
                          .truth = r->has_truth ? &r->truth : NULL};
    ok = ok && es_view_add_mesh(r->view, &shown, r->pool, err);
    if (ok) {
        app_views views = app_views_of(&mesh);
        app_mesh_picture front = {.mesh = &mesh, .toward_eye = views.front},
                         oblique = {.mesh = &mesh, .toward_eye = views.oblique};
        es_report_section(r->report, es_path_name(path));
        add_mesh_rows(r->report, &mesh, &check);
        ok = add_distance_rows(r, &mesh, err) &&
             app_add_mesh(r->report, &front, es_path_name(path), err) &&
             app_add_mesh(r->report, &oblique, "The same, obliquely", err);
    }
    es_mesh_clear(&mesh);
    r->meshes++;
    return ok;
}

/* ---- the volume --------------------------------------------------------------- */

static void add_volume_rows(es_report *p, const es_grid_info *info) {
    char text[120];
    const uint64_t *n = info->size;
    const double *mm = info->spacing_mm;
    snprintf(text, sizeof text, "%llu x %llu x %llu of %s", (unsigned long long)n[0],
             (unsigned long long)n[1], (unsigned long long)n[2], es_type_name(info->type));
    es_report_row(p, "voxels", "Voxels", text);
    snprintf(text, sizeof text, "%.4g x %.4g x %.4g mm", mm[0], mm[1], mm[2]);
    es_report_row(p, "spacing", "Voxel size", text);
    snprintf(text, sizeof text, "%.1f x %.1f x %.1f mm", (double)n[0] * mm[0], (double)n[1] * mm[1],
             (double)n[2] * mm[2]);
    es_report_row(p, "size", "Size along its axes", text);
}

/* Still slices, where the volume's axes are those of the pictures. */
static bool add_stills(view_run *r, const es_grid *grid, es_error *err) {
    static const double straight[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    if (memcmp(grid->info.direction, straight, sizeof straight) != 0) {
        es_report_note(r->report, ES_NOTE,
                       "The volume's axes are turned against x, y and z: it is shown in the 3-D "
                       "view, without still slices.");
        return true;
    }
    es_bricks *bricks = es_bricks_from_grid(grid, NULL, err);
    if (!bricks) return false;
    es_mat4 to_mm = es_grid_to_mm(&grid->info);
    const uint64_t *n = grid->info.size;
    es_box3 box = {
        es_mat4_point(to_mm, es_vec3_make(0, 0, 0)),
        es_mat4_point(to_mm, es_vec3_make((double)n[0] - 1, (double)n[1] - 1, (double)n[2] - 1))};
    bool ok = app_add_slices(r->report, bricks, box, "through the middle of the volume", err);
    es_bricks_free(bricks);
    return ok;
}

static bool add_volume(view_run *r, const char *path, es_error *err) {
    es_grid grid = {0};
    const char *name = es_path_name(path);
    bool ok = es_grid_read(path, &grid, err) &&
              es_view_set_volume(r->view, name, &grid.info, es_grid_slab, &grid, err);
    if (ok) {
        es_report_section(r->report, name);
        add_volume_rows(r->report, &grid.info);
        ok = add_stills(r, &grid, err);
    }
    es_grid_clear(&grid);
    r->volumes++;
    return ok;
}

/* ---- the page -------------------------------------------------------------------- */

static bool is_mesh(const char *path) {
    return es_has_suffix(path, ".stl") || es_has_suffix(path, ".ply") ||
           es_has_suffix(path, ".obj");
}

/* What each file is, before any of them is read whole. */
static bool check_files(const view_run *r, es_error *err) {
    int volumes = 0;
    for (int i = 0; i < r->count; i++) {
        bool is_grid = false;
        if (is_mesh(r->files[i])) continue;
        if (!es_grid_can_write(r->files[i], NULL))
            return es_fail(err, ES_USAGE,
                           "%s: can be viewed: meshes (.stl .ply .obj) and one volume (.mha .mhd "
                           ".nrrd .nhdr .nii .nii.gz .dcm)",
                           r->files[i]);
        if (!es_file_is_grid(r->files[i], &is_grid, err)) return false;
        if (!is_grid)
            return es_fail(err, ES_USAGE,
                           "%s is a recording; make a volume (echosolid reconstruct) or a model "
                           "(echosolid model) of it first",
                           r->files[i]);
        if (++volumes > 1)
            return es_fail(err, ES_USAGE, "%s: one view has one volume", r->files[i]);
    }
    if (!r->o->output || es_has_suffix(r->o->output, ".html")) return true;
    return es_fail(err, ES_USAGE, "%s: a view is a page, name it .html", r->o->output);
}

static bool add_files(view_run *r, es_error *err) {
    for (int i = 0; i < r->count; i++)
        if (is_mesh(r->files[i]) ? !add_mesh(r, r->files[i], err)
                                 : !add_volume(r, r->files[i], err))
            return false;
    return true;
}

static bool add_origin(view_run *r, es_error *err) {
    char digest[33];
    char *line = options_command_line(&command_view, r->o, r->files, r->count);
    if (!line) return es_fail(err, ES_MEMORY, "out of memory");
    es_report_option(r->report, "command", line);
    es_free(line);
    for (int i = 0; i < r->count + r->has_truth; i++) {
        const char *path = i < r->count ? r->files[i] : r->o->truth;
        if (!es_input_digest(path, digest, err)) return false;
        es_report_input(r->report, es_path_name(path), digest);
    }
    return true;
}

static bool make_page(view_run *r, es_error *err) {
    const char *first = es_path_name(r->files[0]);
    r->has_truth = r->o->truth != NULL;
    if (!check_files(r, err) || (r->has_truth && !es_mesh_read(r->o->truth, &r->truth, err)))
        return false;
    r->pool = es_pool_new((int)r->o->threads, err);
    r->view = r->pool ? es_view_new(first, err) : NULL;
    r->report = r->view ? es_report_new(first, err) : NULL;
    if (!r->report) return false;
    es_report_section(r->report, "In three dimensions"); /* it comes first, and is filled last */
    if (!add_files(r, err)) return false;
    es_report_section(r->report, "In three dimensions");
    es_report_view(r->report, "In millimetres as the files have them", r->view);
    return add_origin(r, err);
}

static int print_result(const view_run *r) {
    if (r->o->common.json)
        return app_print_json(json_pack("{s:s, s:I, s:I, s:b}", "output", r->o->output, "meshes",
                                        (json_int_t)r->meshes, "volumes", (json_int_t)r->volumes,
                                        "interactive", es_view_program_get() != NULL));
    printf("%s: %zu mesh%s and %zu volume%s; open it in a browser\n", r->o->output, r->meshes,
           r->meshes == 1 ? "" : "es", r->volumes, r->volumes == 1 ? "" : "s");
    if (!es_view_program_get())
        printf("still pictures only: this echosolid was built without npm\n");
    return 0;
}

/* ---- serving ------------------------------------------------------------------------- */

/* Says where, before the waiting starts. */
static bool say_where(const view_run *r, int port, es_error *err) {
    bool ok = r->o->common.json ? printf("{\"url\": \"http://127.0.0.1:%d/\"}\n", port) > 0
                                : printf("open http://127.0.0.1:%d/ (Ctrl-C ends it)\n", port) > 0;
    return (ok && fflush(stdout) == 0) || es_fail_errno(err, "standard output");
}

static bool serve(const view_run *r, const char *html, size_t length, es_error *err) {
    const es_page pages[] = {
        {.address = "/", .type = "text/html; charset=utf-8", .bytes = html, .length = length},
        {.address = "/favicon.ico", .type = "image/x-icon", .bytes = ""}};
    es_page_options o = {.pages = pages, .count = 2, .port = (int)r->o->port};
    es_page_server *server = es_page_server_new(&o, err);
    bool ok =
        server && say_where(r, es_page_server_port(server), err) && es_page_server_run(server, err);
    es_page_server_free(server);
    return ok;
}

/* A finished report is a page already. */
static bool serve_report(const view_run *r, es_error *err) {
    size_t length;
    if (r->o->output || r->o->truth)
        return es_fail(err, ES_USAGE, "%s is a page already: open it, or view it without options",
                       r->files[0]);
    char *html = es_file_read(r->files[0], (size_t)1 << 28, &length, err);
    bool ok = html && serve(r, html, length, err);
    es_free(html);
    return ok;
}

static bool serve_files(view_run *r, es_error *err) {
    es_text html = {0};
    bool ok = make_page(r, err) && es_report_html(r->report, &html, err) &&
              serve(r, html.bytes, html.length, err);
    es_text_free(&html);
    return ok;
}

static bool show(view_run *r, es_error *err) {
    if (r->count == 1 && es_has_suffix(r->files[0], ".html")) return serve_report(r, err);
    if (!r->o->output) return serve_files(r, err);
    return make_page(r, err) && es_report_write_html(r->report, r->o->output, err);
}

static int run(const void *options, const char *const *files, int count) {
    es_error err = {0};
    view_run r = {.o = options, .files = files, .count = count};
    int status = !show(&r, &err) ? app_fail(&err) : r.o->output ? print_result(&r) : 0;
    es_report_free(r.report);
    es_view_free(r.view);
    es_mesh_clear(&r.truth);
    es_pool_free(r.pool);
    return status;
}

const command command_view = {
    .name = "view",
    .summary = "finished models and a volume as a page that can be turned",
    .usage = "FILE... [-o PAGE.html] [options]",
    .description =
        "Shows a finished report as it is, or puts meshes (STL, PLY, OBJ) and one volume (MHA, "
        "NRRD, NIfTI, DICOM) into one page that "
        "needs nothing else: surfaces with opacity and colouring, three slices through the grey "
        "volume, a box with millimetres, distances between points that are clicked. Meshes of "
        "more than 100,000 triangles and volumes of more than 2 million voxels are shown "
        "smaller; the files stay as they are. The page holds still pictures, too, for paper and "
        "for browsers without WebGL 2.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(view_options),
    .arguments_min = 1,
    .arguments_max = FILES_MAX,
    .run = run};
