/* What `echosolid model --keep` saves and takes again, and what is given to it.
 *
 * Each stage has a key: the digest of the program, of the inputs, of the options that
 * matter to it, and of the key of the stage before. An option that no table names matters
 * to all of them, so that a new one never leaves an old result in use. */
#include <stdlib.h>
#include <string.h>

#include "echosolid/bone_flow.h"
#include "grey.h"
#include "model_run.h"

const char *const model_stage_names[STAGES] = {"bone", "volume", "field", "surface", "solid"};

enum { BONE = 1 << STAGE_BONE, VOLUME = 1 << STAGE_VOLUME, FIELD = 1 << STAGE_FIELD };
enum { SURFACE = 1 << STAGE_SURFACE, SOLID = 1 << STAGE_SOLID, EVERYTHING = -1 };

/* To which stages an option matters first; 0: only to what is written. */
static const struct {
    const char *name;
    int stages;
} matters[] = {
    {"output", 0},
    {"step", 0},
    {"step-tolerance", 0},
    {"step-facets", 0},
    {"step-force", 0},
    {"step-schema", 0},
    {"sheet", 0},
    {"volume", 0},
    {"field", 0},
    {"report", 0},
    {"truth", 0},
    {"keep", 0},
    {"unchecked", 0},
    {"dry-run", 0},
    {"threads", 0},
    {"memory", 0},
    {"from-bone", 0},
    {"from-field", 0},
    {"from-sheet", 0},
    {"detector", BONE},
    {"network", BONE},
    {"bone-threshold", BONE},
    {"interpolation", VOLUME},
    {"compounding", VOLUME},
    {"mask", VOLUME},
    {"threshold", VOLUME},
    {"spacing", VOLUME | FIELD},
    {"origin", VOLUME | FIELD},
    {"size", VOLUME | FIELD},
    {"bone-spacing", FIELD},
    {"blur", FIELD},
    {"min-weight", SURFACE},
    {"min-area", SURFACE},
    {"components", SURFACE},
    {"smooth", SURFACE},
    {"thickness", SOLID},
    {"open", SOLID},
    {"cap", SOLID},
    {"close-holes", SOLID},
};
enum { KNOWN = sizeof matters / sizeof *matters };

static int stages_of(const char *option) {
    for (int i = 0; i < KNOWN; i++)
        if (strcmp(matters[i].name, option) == 0) return matters[i].stages;
    return EVERYTHING;
}

/* ---- keys ----------------------------------------------------------------------------- */

static bool add_input(es_text *text, const char *what, const char *path, es_error *err) {
    char hex[33];
    if (!path) return true;
    if (!es_input_digest(path, hex, err)) return false;
    es_text_add(text, "\n%s %s", what, hex);
    return true;
}

/* Beside an .onnx lies what it wants to be fed with. */
static bool add_network(es_text *text, const char *path, es_error *err) {
    char hex[33], *beside = path ? app_sibling(path, ".json", err) : NULL;
    if (!path) return true;
    if (beside && es_file_digest(beside, hex, NULL)) es_text_add(text, "\nbeside %s", hex);
    es_free(beside);
    return beside && add_input(text, "network", path, err);
}

/* The values of the options of which the stages are exactly `stages`, or include it. */
static void add_options(es_text *text, const model_options *o, int stages) {
    for (const opt *row = command_model.options; row->name; row++) {
        int of = stages_of(row->name);
        if (stages == EVERYTHING ? of == EVERYTHING : of != EVERYTHING && (of & stages))
            options_add_value(text, row, o);
    }
}

/* Program, recording, configuration, poses, and what places a frame. */
static bool base_key(const model_run *r, char hex[33], es_error *err) {
    const model_options *o = r->o;
    char program[33] = "";
    es_text text = {0};
    es_file_digest("/proc/self/exe", program, NULL); /* elsewhere the version must do */
    es_text_add(&text, "echosolid %s %s", es_version(), program);
    bool ok = add_input(&text, "recording", r->file, err) &&
              add_input(&text, "config", o->setup.config, err) &&
              add_input(&text, "poses", o->setup.recording.poses, err);
    add_options(&text, o, EVERYTHING);
    if (ok && text.failed) ok = es_fail(err, ES_MEMORY, "out of memory");
    if (ok) es_bytes_digest(text.bytes, text.length, hex);
    es_text_free(&text);
    return ok;
}

/* Of a stage, after that of `before`; `given` stands in for all of it. */
static bool stage_key(model_run *r, model_stage stage, const char *before, const char *given,
                      es_error *err) {
    es_text text = {0};
    es_text_add(&text, "%s %s", model_stage_names[stage], before);
    bool ok = add_input(&text, "given", given, err);
    if (ok && stage == STAGE_VOLUME) ok = add_input(&text, "mask", r->o->setup.mask, err);
    if (ok && stage == STAGE_BONE) ok = add_network(&text, r->o->detector.network, err);
    add_options(&text, r->o, 1 << stage);
    if (ok && text.failed) ok = es_fail(err, ES_MEMORY, "out of memory");
    if (ok) es_bytes_digest(text.bytes, text.length, r->keep.keys[stage]);
    es_text_free(&text);
    return ok;
}

static bool make_keys(model_run *r, es_error *err) {
    const model_options *o = r->o;
    char(*k)[33] = r->keep.keys, base[33];
    return base_key(r, base, err) && stage_key(r, STAGE_BONE, base, o->from_bone, err) &&
           stage_key(r, STAGE_VOLUME, base, NULL, err) &&
           stage_key(r, STAGE_FIELD, k[STAGE_BONE], o->from_field, err) &&
           stage_key(r, STAGE_SURFACE, k[STAGE_FIELD], o->from_sheet, err) &&
           stage_key(r, STAGE_SOLID, k[STAGE_SURFACE], NULL, err);
}

/* ---- what is made again -------------------------------------------------------------------- */

static bool needed(const model_run *r, model_stage stage) {
    const bool *given = r->keep.given;
    switch (stage) {
    case STAGE_BONE: return !given[STAGE_FIELD] && !given[STAGE_SURFACE];
    case STAGE_VOLUME: return r->o->volume || r->o->report;
    case STAGE_FIELD: return !given[STAGE_FIELD] && !given[STAGE_SURFACE];
    case STAGE_SURFACE: return !given[STAGE_SURFACE];
    default: return true;
    }
}

static void tell(const model_run *r, model_stage stage, es_kept kept, const char *why) {
    static const char *const words[] = {[ES_KEPT_OTHER] =
                                            "made again: inputs or options have changed",
                                        [ES_KEPT_BROKEN] = "made again: ",
                                        [ES_KEPT_GOOD] = "taken from the earlier run"};
    if (kept == ES_KEPT_NOTHING) return;
    app_note(&r->o->common, "  %-16s %s%s (--keep)", model_stage_names[stage], words[kept], why);
}

static bool check_given(const model_options *o, es_error *err) {
    if ((o->from_bone != NULL) + (o->from_field != NULL) + (o->from_sheet != NULL) > 1)
        return es_fail(err, ES_USAGE,
                       "--from-bone, --from-field and --from-sheet: each makes what stands before "
                       "it needless; give the last one only");
    if (o->from_sheet && o->field)
        return es_fail(err, ES_USAGE, "--field: with --from-sheet there are no distances to write");
    return true;
}

bool model_keep_plan(model_run *r, es_error *err) {
    const model_options *o = r->o;
    model_keep *k = &r->keep;
    if (!check_given(o, err)) return false;
    k->given[STAGE_BONE] = o->from_bone != NULL;
    k->given[STAGE_FIELD] = o->from_field != NULL;
    k->given[STAGE_SURFACE] = o->from_sheet != NULL;
    if (!o->keep) return true;
    if (!(k->folder = es_keep_open(o->keep, err)) || !make_keys(r, err)) return false;
    for (int i = 0; i < STAGES; i++) {
        char why[300];
        if (!needed(r, (model_stage)i)) continue;
        es_kept kept = es_keep_look(k->folder, model_stage_names[i], k->keys[i], why);
        k->reused[i] = kept == ES_KEPT_GOOD;
        tell(r, (model_stage)i, kept, why);
    }
    return true;
}

/* ---- taking --------------------------------------------------------------------------------- */

static double number(const model_run *r, model_stage stage, const char *name) {
    double value = es_keep_number(r->keep.folder, model_stage_names[stage], name);
    return value >= 0 ? value : 0;
}

static bool take_examples(model_run *r, es_error *err) {
    bool ok = true;
    const char *name;
    es_image picture = {0};
    for (size_t i = 0; ok && (name = es_keep_file(r->keep.folder, "bone", i)); i++) {
        long long frame;
        if (sscanf(name, "frame-%lld.ppm", &frame) != 1) continue;
        char *path = es_keep_path(r->keep.folder, name, err);
        ok = path && es_ppm_read(path, &picture, err) &&
             es_model_give_example(r->model, frame, &picture, err);
        es_free(path);
    }
    es_image_clear(&picture);
    return ok;
}

static bool take_lines(model_run *r, es_error *err) {
    char *path = es_keep_path(r->keep.folder, "bone.lines", err);
    es_lines_reader *lines = path ? es_lines_open(path, err) : NULL;
    bool ok = lines && es_model_take_lines(r->model, lines, err) && take_examples(r, err);
    es_lines_close(lines);
    es_free(path);
    return ok;
}

static es_bricks *take_bricks(const model_run *r, const char *name, es_error *err) {
    char *path = es_keep_path(r->keep.folder, name, err);
    es_bricks *bricks = path ? es_bricks_load(path, err) : NULL;
    es_free(path);
    return bricks;
}

/* The field only where something is made of it; how it was seen and its numbers always. */
static bool take_field(model_run *r, es_error *err) {
    es_bricks *field = NULL, *seen = take_bricks(r, "seen.bricks", err);
    es_volume_stats s = {.frames = (uint64_t)number(r, STAGE_FIELD, "frames"),
                         .pixels_inserted = (uint64_t)number(r, STAGE_FIELD, "lines"),
                         .bricks = (uint64_t)number(r, STAGE_FIELD, "bricks"),
                         .bytes = (uint64_t)number(r, STAGE_FIELD, "bytes")};
    bool wanted = !r->keep.reused[STAGE_SURFACE] || r->o->field;
    if (seen && wanted) field = take_bricks(r, "field.bricks", err);
    if (!seen || (wanted && !field)) {
        es_bricks_free(seen);
        return false;
    }
    es_model_give_field(r->model, field, seen, s);
    return true;
}

static bool take_mesh(const model_run *r, const char *name, es_mesh *mesh, es_error *err) {
    char *path = es_keep_path(r->keep.folder, name, err);
    bool ok = path && es_mesh_read(path, mesh, err);
    es_free(path);
    return ok;
}

static bool take_sheet(model_run *r, es_error *err) {
    es_mesh sheet = {0};
    if (!take_mesh(r, "sheet.ply", &sheet, err)) return false;
    es_model_give_sheet(r->model, &sheet, (size_t)number(r, STAGE_SURFACE, "pieces"),
                        (size_t)number(r, STAGE_SURFACE, "dropped"));
    return true;
}

static es_mesh_closing take_closing(const model_run *r, const char *const names[4]) {
    return (es_mesh_closing){.closed = (size_t)number(r, STAGE_SOLID, names[0]),
                             .left = (size_t)number(r, STAGE_SOLID, names[1]),
                             .vertices = (size_t)number(r, STAGE_SOLID, names[2]),
                             .area_mm2 = number(r, STAGE_SOLID, names[3])};
}

static const char *const HOLES[4] = {"holes_closed", "holes_left", "holes_vertices", "holes_mm2"};
static const char *const CAP[4] = {"cap_closed", "cap_left", "cap_vertices", "cap_mm2"};

static bool take_shape(model_run *r, es_error *err) {
    es_shape shape = {.kind = (es_shape_kind)number(r, STAGE_SOLID, "kind"),
                      .holes = take_closing(r, HOLES),
                      .cap = take_closing(r, CAP),
                      .left_out = (size_t)number(r, STAGE_SOLID, "left_out"),
                      .crossings = (size_t)number(r, STAGE_SOLID, "crossings")};
    bool ok =
        take_mesh(r, "solid.ply", &shape.mesh, err) &&
        (shape.kind != ES_SHAPE_THICKENED || take_mesh(r, "solid-sheet.ply", &shape.sheet, err)) &&
        es_mesh_inspect_welded(&shape.mesh, &shape.check, err);
    if (ok) es_model_give_shape(r->model, &shape);
    es_shape_clear(&shape);
    return ok;
}

static bool take_grey(model_run *r, es_error *err) {
    if (!r->o->report) return true;
    r->keep.grey = take_bricks(r, "volume.bricks", err);
    return r->keep.grey != NULL;
}

bool model_keep_copy_volume(model_run *r, es_error *err) {
    char *path = es_keep_path(r->keep.folder, "volume.mha", err);
    es_grid grid = {0};
    es_grid_options options = {.compress = true, .level = 1}; /* as grey_write */
    bool ok = path && es_grid_read(path, &grid, err) &&
              app_origin_fields(&r->origin, &grid.info.fields, err) &&
              es_grid_write(r->o->volume, &grid.info, es_grid_slab, &grid, &options, err);
    es_grid_clear(&grid);
    es_free(path);
    return ok;
}

/* ---- what is given ------------------------------------------------------------------------- */

static bool give_field(model_run *r, es_error *err) {
    es_grid grid = {0};
    es_bricks *field = NULL;
    bool ok =
        es_grid_read(r->o->from_field, &grid, err) &&
        ((field = es_bricks_from_grid(&grid, NULL, err)) || es_prefix(err, "%s", r->o->from_field));
    es_grid_clear(&grid);
    if (ok) es_model_give_field(r->model, field, NULL, (es_volume_stats){0});
    return ok;
}

static bool give_sheet(model_run *r, es_error *err) {
    es_mesh sheet = {0};
    es_mesh_check check;
    if (!es_mesh_read(r->o->from_sheet, &sheet, err)) return false;
    bool ok = es_mesh_inspect(&sheet, &check, err);
    if (ok && check.bad_edges > 0)
        ok = es_fail(err, ES_GEOMETRY,
                     "%s: %zu edges with more than two facets, or against one "
                     "another; echosolid info tells more",
                     r->o->from_sheet, check.bad_edges);
    if (ok) {
        es_model_give_field(r->model, NULL, NULL, (es_volume_stats){0});
        es_model_give_sheet(r->model, &sheet, check.components, 0);
    }
    es_mesh_clear(&sheet);
    return ok;
}

static bool give(model_run *r, es_error *err) {
    const model_keep *k = &r->keep;
    if (k->given[STAGE_FIELD] && !give_field(r, err)) return false;
    if (k->given[STAGE_SURFACE] && !give_sheet(r, err)) return false;
    if (!k->given[STAGE_BONE]) return true;
    r->keep.bone = es_bone_given_read(r->o->from_bone, es_source_info(r->s.source),
                                      r->s.setup.survey.pixel_mm, err);
    if (!r->keep.bone) return false;
    es_model_use_given(r->model, r->keep.bone);
    return true;
}

bool model_keep_load(model_run *r, es_error *err) {
    const bool *reused = r->keep.reused;
    if (!give(r, err)) return false;
    bool ok = (!reused[STAGE_VOLUME] || take_grey(r, err)) &&
              (!reused[STAGE_FIELD] || take_field(r, err)) &&
              (!reused[STAGE_BONE] || take_lines(r, err)) &&
              (!reused[STAGE_SURFACE] || take_sheet(r, err)) &&
              (!reused[STAGE_SOLID] || take_shape(r, err));
    if (!ok) return es_prefix(err, "--keep %s (remove the folder to start anew)", r->o->keep);
    if (!r->keep.folder || reused[STAGE_BONE] || !needed(r, STAGE_BONE)) return true;
    char *path = es_keep_path(r->keep.folder, "bone.lines", err);
    r->keep.lines = path ? es_lines_create(path, err) : NULL;
    es_free(path);
    es_model_keep_lines(r->model, r->keep.lines);
    return r->keep.lines != NULL;
}

/* ---- keeping ------------------------------------------------------------------------------ */

static es_keep_stage stage_of(const model_run *r, model_stage stage) {
    es_keep_stage s = {.name = model_stage_names[stage]};
    memcpy(s.key, r->keep.keys[stage], sizeof s.key);
    return s;
}

/* Names a file of the stage; its path, to be freed. */
static char *add_file(const model_run *r, es_keep_stage *s, const char *name, es_error *err) {
    snprintf(s->files[s->file_count++], sizeof s->files[0], "%s", name);
    return es_keep_path(r->keep.folder, name, err);
}

static void add_number(es_keep_stage *s, const char *name, double value) {
    s->numbers[s->number_count].name = name;
    s->numbers[s->number_count++].value = value;
}

static bool keep_bone(model_run *r, es_error *err) {
    es_keep_stage s = stage_of(r, STAGE_BONE);
    es_free(add_file(r, &s, "bone.lines", err));
    bool ok = es_lines_finish(r->keep.lines, err);
    r->keep.lines = NULL;
    for (size_t i = 0; ok && i < es_model_example_count(r->model); i++) {
        int64_t frame;
        char name[64];
        const es_image *picture = es_model_example(r->model, i, &frame);
        snprintf(name, sizeof name, "frame-%06lld.ppm", (long long)frame);
        char *path = add_file(r, &s, name, err);
        ok = path && es_ppm_write(path, picture, err);
        es_free(path);
    }
    return ok && es_keep_put(r->keep.folder, &s, err);
}

static bool keep_bricks(const model_run *r, es_keep_stage *s, const char *name,
                        const es_bricks *bricks, es_error *err) {
    char *path = add_file(r, s, name, err);
    bool ok = path && es_bricks_save(path, bricks, err);
    es_free(path);
    return ok;
}

static bool keep_volume(model_run *r, es_error *err) {
    es_keep_stage s = stage_of(r, STAGE_VOLUME);
    es_fill_stats stats;
    es_volume *volume = es_model_volume(r->model);
    es_bricks *bricks = es_volume_bricks(volume, err);
    char *path = bricks ? add_file(r, &s, "volume.mha", err) : NULL;
    grey_output out = {
        .path = path, .holes = &r->s.setup.holes, .pool = r->s.pool, .origin = &r->origin};
    bool ok = path && grey_write(&out, volume, &stats, err) &&
              keep_bricks(r, &s, "volume.bricks", bricks, err);
    es_free(path);
    es_bricks_free(bricks);
    return ok && es_keep_put(r->keep.folder, &s, err);
}

bool model_keep_frames(model_run *r, es_error *err) {
    if (!r->keep.folder) return true;
    return (!r->keep.lines || keep_bone(r, err)) &&
           (!es_model_volume(r->model) || keep_volume(r, err));
}

static bool keep_field(model_run *r, es_error *err) {
    es_keep_stage s = stage_of(r, STAGE_FIELD);
    const es_volume_stats *d = &r->result.distance;
    add_number(&s, "frames", (double)d->frames);
    add_number(&s, "lines", (double)d->pixels_inserted);
    add_number(&s, "bricks", (double)d->bricks);
    add_number(&s, "bytes", (double)d->bytes);
    return keep_bricks(r, &s, "field.bricks", es_model_field(r->model), err) &&
           keep_bricks(r, &s, "seen.bricks", es_model_seen(r->model), err) &&
           es_keep_put(r->keep.folder, &s, err);
}

static bool keep_mesh(const model_run *r, es_keep_stage *s, const char *name, const es_mesh *mesh,
                      es_error *err) {
    es_mesh_write_options options = {.title = "", .open = true};
    char *path = add_file(r, s, name, err);
    bool ok = path && es_mesh_write(path, mesh, &options, err);
    es_free(path);
    return ok;
}

static bool keep_sheet(model_run *r, es_error *err) {
    es_keep_stage s = stage_of(r, STAGE_SURFACE);
    add_number(&s, "pieces", (double)r->result.pieces_kept);
    add_number(&s, "dropped", (double)r->result.pieces_dropped);
    return keep_mesh(r, &s, "sheet.ply", &r->result.sheet, err) &&
           es_keep_put(r->keep.folder, &s, err);
}

static void add_closing(es_keep_stage *s, const char *const names[4], const es_mesh_closing *c) {
    add_number(s, names[0], (double)c->closed);
    add_number(s, names[1], (double)c->left);
    add_number(s, names[2], (double)c->vertices);
    add_number(s, names[3], c->area_mm2);
}

static bool keep_shape(model_run *r, es_error *err) {
    es_keep_stage s = stage_of(r, STAGE_SOLID);
    const es_shape *shape = &r->result.shape;
    add_number(&s, "kind", shape->kind);
    add_number(&s, "left_out", (double)shape->left_out);
    add_number(&s, "crossings", (double)shape->crossings);
    add_closing(&s, HOLES, &shape->holes);
    add_closing(&s, CAP, &shape->cap);
    return keep_mesh(r, &s, "solid.ply", &shape->mesh, err) &&
           (shape->kind != ES_SHAPE_THICKENED ||
            keep_mesh(r, &s, "solid-sheet.ply", &shape->sheet, err)) &&
           es_keep_put(r->keep.folder, &s, err);
}

/* What was decided stands beside it for a person; nothing is taken from it. */
bool model_keep_decisions(const model_run *r, es_error *err) {
    char *path = es_keep_path(r->keep.folder, "decisions.json", err);
    json_t *list = app_json_decisions(&r->s.setup.decisions);
    char *text = list ? json_dumps(list, JSON_INDENT(1)) : NULL;
    es_output *out = path && text ? es_output_open(path, err) : NULL;
    bool ok = out && es_output_print(out, err, "%s\n", text);
    if (path && !text) es_fail(err, ES_MEMORY, "out of memory");
    if (ok)
        ok = es_output_commit(out, err);
    else
        es_output_discard(out);
    free(text);
    json_decref(list);
    es_free(path);
    return ok;
}

bool model_keep_result(model_run *r, es_error *err) {
    const bool *reused = r->keep.reused;
    if (!r->keep.folder) return true;
    return (reused[STAGE_FIELD] || !needed(r, STAGE_FIELD) || keep_field(r, err)) &&
           (reused[STAGE_SURFACE] || !needed(r, STAGE_SURFACE) || keep_sheet(r, err)) &&
           (reused[STAGE_SOLID] || keep_shape(r, err)) && model_keep_decisions(r, err);
}

void model_keep_clear(model_keep *k) {
    es_lines_discard(k->lines);
    es_bone_given_free(k->bone);
    es_bricks_free(k->grey);
    es_keep_free(k->folder);
}
