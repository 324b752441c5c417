/* A surface to a STEP file: piece by piece, so that near bones do not grow
 * together, then all of them into one file. */
#include "echosolid/solid.h"

#include <math.h>
#include <string.h>

typedef struct solid_work {
    const es_solid_options *options;
    es_pool *pool;
    es_solid_report *report;
    es_mesh *pieces;
    es_patches *patches;
    es_spline_cube *cubes;
    es_step_body *bodies;
    char (*names)[200];
    size_t count;      /* of pieces */
    size_t body_count; /* of those that are written */
    double area;       /* of what was measured so far */
} solid_work;

/* ---- the error of all pieces ------------------------------------------------------ */

static double mix(double so_far, double area, double more, double more_area) {
    return (so_far * area + more * more_area) / (area + more_area);
}

static void add_distance(es_mesh_distance *all, double area, const es_mesh_distance *more,
                         double more_area) {
    all->mean_mm = mix(all->mean_mm, area, more->mean_mm, more_area);
    all->signed_mean_mm = mix(all->signed_mean_mm, area, more->signed_mean_mm, more_area);
    all->rms_mm =
        sqrt(mix(all->rms_mm * all->rms_mm, area, more->rms_mm * more->rms_mm, more_area));
    all->p95_mm = fmax(all->p95_mm, more->p95_mm);
    all->max_mm = fmax(all->max_mm, more->max_mm);
    all->samples += more->samples;
}

static void add_distances(solid_work *w, const es_mesh_distance *to, const es_mesh_distance *from,
                          double area) {
    add_distance(&w->report->to_mesh, w->area, to, area);
    add_distance(&w->report->from_mesh, w->area, from, area);
    w->area += area;
}

/* ---- pieces ------------------------------------------------------------------------ */

static void add_body(solid_work *w, es_step_body body) {
    w->bodies[w->body_count++] = body;
    w->report->pieces++;
}

/* The largest piece is what was asked for; specks may go, said aloud. */
static bool leave_out(solid_work *w, size_t i, double area, const es_error *why, es_error *err) {
    if (why->code != ES_GEOMETRY || i == 0) return es_fail(err, why->code, "%s", why->message);
    es_log(ES_WARNING, "a piece of %.1f mm2 is not in the STEP file: %s", area, why->message);
    w->report->too_small++;
    return true;
}

static bool fit_piece(solid_work *w, size_t i, double area, es_error *err) {
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_error why = {0};
    options.tolerance_mm = w->options->tolerance_mm;
    options.thickness_mm = w->options->open ? 0 : w->options->thickness_mm;
    if (!es_surface_patches(&w->pieces[i], &options, w->pool, &w->patches[i], &r, &why))
        return leave_out(w, i, area, &why, err);
    es_solid_report *all = w->report;
    all->thickened |= r.walls > 0;
    all->reached &= r.reached;
    all->cell_mm = fmax(all->cell_mm, r.cell_mm);
    all->planes += r.planes;
    all->folded += r.folded;
    all->bridged += r.bridged;
    all->bridged_mm = fmax(all->bridged_mm, r.bridged_mm);
    if (r.walls > 0) all->thinnest_mm = fmin(all->thinnest_mm, r.thinnest_mm);
    add_distances(w, &r.to_mesh, &r.from_mesh, area);
    add_body(w, (es_step_body){.patches = &w->patches[i], .open = w->options->open});
    return true;
}

static bool fit_cube(solid_work *w, size_t i, double area, es_error *err) {
    es_cube_report r;
    es_error why = {0};
    if (!es_surface_cube(&w->pieces[i], w->options->tolerance_mm, w->pool, &w->cubes[i], &r, &why))
        return leave_out(w, i, area, &why, err);
    w->report->reached &= r.reached;
    add_distances(w, &r.to_mesh, &r.from_mesh, area);
    add_body(w, (es_step_body){.cube = &w->cubes[i]});
    return true;
}

/* Its share of the facets, by area. */
static bool reduce_piece(solid_work *w, size_t i, double area, double all_area, es_error *err) {
    es_mesh *mesh = &w->pieces[i];
    es_decimate_report r = {0};
    double share = floor((double)w->options->facets * area / all_area);
    es_decimate_options options = {.triangles = (size_t)fmax(4, share),
                                   .max_distance_mm = INFINITY};
    if (mesh->triangle_count > options.triangles &&
        !es_mesh_decimate(mesh, &options, w->pool, &r, err))
        return false;
    add_distances(w, &r.to_original, &r.from_original, area);
    add_body(w, (es_step_body){.mesh = mesh});
    return true;
}

static bool add_piece(solid_work *w, size_t i, double all_area, es_error *err) {
    es_mesh_check check;
    if (!es_mesh_inspect(&w->pieces[i], &check, err)) return false;
    if (check.boundary_edges == 0 && check.bad_edges == 0 && check.volume_mm3 <= 0 && i > 0) {
        es_log(ES_WARNING, "a hollow of %.1f mm3 inside is not in the STEP file",
               -check.volume_mm3);
        w->report->hollows++;
        return true;
    }
    switch (w->options->mode) {
    case ES_STEP_SMOOTH: return fit_piece(w, i, check.area_mm2, err);
    case ES_STEP_PATCHES6: return fit_cube(w, i, check.area_mm2, err);
    case ES_STEP_FACETED: return reduce_piece(w, i, check.area_mm2, all_area, err);
    case ES_STEP_TESSELLATED:
        add_body(w, (es_step_body){.mesh = &w->pieces[i], .tessellated = true});
        break;
    }
    return true;
}

/* All but smooth patches need a closed mesh: sheets are thickened before they are
 * taken apart. */
static bool split(solid_work *w, const es_mesh *surface, es_error *err) {
    es_mesh solid = {0};
    es_mesh_check check;
    const es_mesh *all = surface;
    if (!es_mesh_inspect(surface, &check, err)) return false;
    bool closed = w->options->mode != ES_STEP_SMOOTH;
    if (closed && check.boundary_edges > 0 && w->options->open)
        return es_fail(err, ES_USAGE,
                       "an open sheet can be written as smooth patches only; write those, or let "
                       "it be thickened");
    if (closed && check.boundary_edges > 0) {
        if (!es_mesh_thicken(surface, w->options->thickness_mm, w->pool, &solid, NULL, err))
            return false;
        w->report->thickened = true;
        all = &solid;
    }
    w->pieces = es_mesh_split(all, &w->count, err);
    es_mesh_clear(&solid);
    return w->pieces != NULL;
}

/* ---- words ---------------------------------------------------------------------------- */

static void name_bodies(solid_work *w) {
    const char *name = w->options->name ? w->options->name : "bone";
    for (size_t b = 0; b < w->body_count; b++) {
        if (w->body_count == 1)
            snprintf(w->names[b], sizeof w->names[b], "%.180s", name);
        else
            snprintf(w->names[b], sizeof w->names[b], "%.160s %zu", name, b + 1);
        w->bodies[b].name = w->names[b];
    }
}

static void describe(const solid_work *w, char *text, size_t size) {
    const es_solid_report *r = w->report;
    const es_solid_options *o = w->options;
    char seen[120] = "closed by itself";
    if (o->seen)
        snprintf(seen, sizeof seen, "%s", o->seen);
    else if (o->open)
        snprintf(seen, sizeof seen, "open sheet of what was seen");
    else if (r->thickened)
        snprintf(seen, sizeof seen, "seen sheet thickened %g mm, hidden side not measured",
                 o->thickness_mm);
    char holes[80] = "", flat[60] = "";
    if (r->bridged)
        snprintf(holes, sizeof holes, "; %zu holes up to %.1f mm round closed, not measured",
                 r->bridged, r->bridged_mm);
    if (r->planes)
        snprintf(flat, sizeof flat, "; %zu flat end%s kept flat", r->planes,
                 r->planes == 1 ? "" : "s");
    static const char *const WORDS[] = {[ES_STEP_SMOOTH] = "smooth patches",
                                        [ES_STEP_FACETED] = "facets",
                                        [ES_STEP_PATCHES6] = "six B-spline patches",
                                        [ES_STEP_TESSELLATED] = "tessellated"};
    snprintf(
        text, size,
        "%s, mm; %s%s%s; deviation from the mesh RMS %.3f, 95 %% %.3f, max %.3f; back RMS %.3f, "
        "95 %% %.3f, max %.3f%s%.200s",
        WORDS[o->mode], seen, holes, flat, r->to_mesh.rms_mm, r->to_mesh.p95_mm, r->to_mesh.max_mm,
        r->from_mesh.rms_mm, r->from_mesh.p95_mm, r->from_mesh.max_mm, o->origin ? "; " : "",
        o->origin ? o->origin : "");
}

/* ---- the whole -------------------------------------------------------------------------- */

static bool alloc_bodies(solid_work *w, es_error *err) {
    w->patches = es_alloc_zero(w->count, sizeof *w->patches, err);
    w->cubes = w->patches ? es_alloc_zero(w->count, sizeof *w->cubes, err) : NULL;
    w->bodies = w->cubes ? es_alloc_zero(w->count, sizeof *w->bodies, err) : NULL;
    w->names = w->bodies ? es_alloc(w->count, sizeof *w->names, err) : NULL;
    return w->names != NULL;
}

static bool check_options(const es_mesh *surface, const es_solid_options *o, es_error *err) {
    if (surface->triangle_count == 0)
        return es_fail(err, ES_GEOMETRY, "the surface has no triangles; there is no solid");
    if (surface->triangle_count > ES_SOLID_TRIANGLES_MAX)
        return es_fail(err, ES_UNSUPPORTED,
                       "%zu triangles: a STEP file is made of %zu at most; take larger voxels, or "
                       "reduce the mesh first",
                       surface->triangle_count, ES_SOLID_TRIANGLES_MAX);
    if (o->mode != ES_STEP_FACETED) return true;
    if (o->facets < 4) return es_fail(err, ES_USAGE, "%zu facets: expected 4 or more", o->facets);
    if (o->facets > ES_STEP_FACETS_MAX && !o->many_facets)
        return es_fail(err, ES_UNSUPPORTED,
                       "%zu facets: CAD systems take a minute to read %d, and several for twice as "
                       "many; ask for fewer, take smooth patches, or force it",
                       o->facets, ES_STEP_FACETS_MAX);
    return true;
}

static bool write_bodies(solid_work *w, const char *path, es_error *err) {
    char text[600];
    const es_solid_options *o = w->options;
    name_bodies(w);
    describe(w, text, sizeof text);
    bool lists = o->mode == ES_STEP_TESSELLATED;
    es_step_options options = {.schema = lists ? ES_STEP_AP242 : o->schema,
                               .name = o->name,
                               .description = text,
                               .time = o->time,
                               .many_facets = o->many_facets};
    bool ok = es_step_write(path, w->bodies, w->body_count, &options, &w->report->file, err);
    w->report->hollows += w->report->file.hollows;
    return ok;
}

/* Fits take long, and CAD systems longer to read what a thousand of them give. */
static bool keeps_all(const es_solid_options *o) {
    return o->mode == ES_STEP_FACETED || o->mode == ES_STEP_TESSELLATED;
}

static void leave_rest(solid_work *w, size_t most) {
    w->report->surplus = w->count - most;
    es_log(ES_WARNING,
           "%zu pieces: the STEP file has the %zu largest; keep fewer (components, least area), or "
           "write facets",
           w->count, most);
}

bool es_solid_write_step(const char *path, const es_mesh *surface, const es_solid_options *options,
                         es_pool *pool, es_solid_report *report, es_error *err) {
    es_solid_report own;
    solid_work w = {.options = options, .pool = pool, .report = report ? report : &own};
    *w.report = (es_solid_report){.reached = true, .thinnest_mm = INFINITY};
    bool ok =
        check_options(surface, options, err) && split(&w, surface, err) && alloc_bodies(&w, err);
    double area = 0;
    for (size_t i = 0; ok && i < w.count; i++) {
        es_mesh_check piece;
        ok = es_mesh_inspect(&w.pieces[i], &piece, err);
        area += piece.area_mm2;
    }
    size_t most = keeps_all(options) ? w.count : ES_SOLID_PIECES_MAX;
    for (size_t i = 0; ok && i < w.count && i < most; i++) ok = add_piece(&w, i, area, err);
    if (ok && w.count > most) leave_rest(&w, most);
    ok = ok ? write_bodies(&w, path, err) : es_prefix(err, "%s", path);
    for (size_t i = 0; i < w.count; i++) {
        if (w.pieces) es_mesh_clear(&w.pieces[i]);
        if (w.patches) es_patches_clear(&w.patches[i]);
        if (w.cubes) es_spline_cube_clear(&w.cubes[i]);
    }
    es_free(w.pieces);
    es_free(w.patches);
    es_free(w.cubes);
    es_free(w.bodies);
    es_free(w.names);
    return ok;
}
