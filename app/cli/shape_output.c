/* What becomes of a sheet: options and words of the commands that make surfaces. */
#include "shape_output.h"

#include <math.h>

es_shape_options shape_choose(const shape_options *o) {
    return (es_shape_options){.close_holes_mm = o->close_holes,
                              .open = o->open,
                              .cap = o->cap,
                              .thickness_mm = o->thickness};
}

bool shape_check(const shape_options *o, es_error *err) {
    if (!o->open || !o->cap) return true;
    return es_fail(err, ES_USAGE, "--open and --cap: a sheet is either left open or capped");
}

void shape_print_closed(const es_shape *shape) {
    const es_mesh_closing *h = &shape->holes;
    if (h->closed > 0)
        printf("holes         %zu closed, %.1f mm2, not measured; %zu larger stay open\n",
               h->closed, h->area_mm2, h->left);
    if (shape->kind == ES_SHAPE_CAPPED)
        printf("cap           %.1f mm2 over %zu rim%s, not measured: %.0f %% of the surface\n",
               shape->cap.area_mm2, shape->cap.closed, shape->cap.closed == 1 ? "" : "s",
               100 * shape->cap.area_mm2 / shape->check.area_mm2);
}

static json_t *closing_json(const es_mesh_closing *c) {
    return json_pack("{s:I, s:I, s:f, s:I, s:s}", "closed", (json_int_t)c->closed, "left",
                     (json_int_t)c->left, "area_mm2", c->area_mm2, "vertices",
                     (json_int_t)c->vertices, "note", "closed, not measured");
}

void shape_add_json(const shape_options *o, const es_shape *shape, json_t *root) {
    static const char *const kinds[] = {"closed", "open", "thickened", "capped"};
    json_object_set_new(root, "shape", json_string(kinds[shape->kind]));
    json_object_set_new(root, "sheet_facets_left_out", json_integer((json_int_t)shape->left_out));
    json_object_set_new(root, "self_intersections", json_integer((json_int_t)shape->crossings));
    json_object_set_new(root, "cap",
                        shape->kind == ES_SHAPE_CAPPED ? closing_json(&shape->cap) : json_null());
    json_t *holes = isnan(o->close_holes) ? json_null() : closing_json(&shape->holes);
    if (!isnan(o->close_holes))
        json_object_set_new(holes, "diameter_mm", json_real(o->close_holes));
    json_object_set_new(root, "closed_holes", holes);
}
