/* Lists of named points: Slicer's .fcsv and .mrk.json, and the landmarks of a
 * PLUS phantom definition. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "echosolid/format.h"

enum { FILE_LIMIT = 4 << 20, POINTS_LIMIT = 100000 };

static bool add(es_points *points, const char *name, const double at[3], es_error *err) {
    if (points->count == POINTS_LIMIT)
        return es_fail(err, ES_FORMAT, "more than %d points", POINTS_LIMIT);
    if (points->count == points->capacity) {
        size_t capacity = points->capacity ? 2 * points->capacity : 16;
        if (!es_resize(&points->items, capacity, sizeof *points->items, err)) return false;
        points->capacity = capacity;
    }
    if (!isfinite(at[0] + at[1] + at[2]))
        return es_fail(err, ES_FORMAT, "point %zu is not finite", points->count + 1);
    es_point *p = &points->items[points->count++];
    snprintf(p->name, sizeof p->name, "%s", name ? name : "");
    p->at_mm = es_vec3_make(at[0], at[1], at[2]);
    return true;
}

void es_points_clear(es_points *points) {
    es_free(points->items);
    memset(points, 0, sizeof *points);
}

/* RAS, as Slicer shows them: files in LPS have x and y turned. */
static void to_ras(double at[3], bool lps) {
    if (!lps) return;
    at[0] = -at[0];
    at[1] = -at[1];
}

/* ---- .fcsv: id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID -------------- */

static bool read_fcsv_line(char *line, bool *lps, es_points *points, es_error *err) {
    if (line[0] == '#') {
        const char *system = strstr(line, "CoordinateSystem");
        if (system) *lps = strstr(system, "LPS") || strstr(system, "= 1");
        return true;
    }
    if (strspn(line, " \t\r") == strlen(line)) return true;
    char *cells[12] = {NULL};
    int count = 0;
    for (char *p = line; p && count < 12; count++) {
        cells[count] = p;
        p = strchr(p, ',');
        if (p) *p++ = '\0';
    }
    double at[3];
    for (int k = 0; k < 3; k++)
        if (count < 4 || !es_parse_double(cells[k + 1], &at[k]))
            return es_fail(err, ES_FORMAT, "expected id,x,y,z,... and found '%.60s'", line);
    to_ras(at, *lps);
    return add(points, cells[11] && cells[11][0] ? cells[11] : cells[0], at, err);
}

static bool read_fcsv(char *text, es_points *points, es_error *err) {
    bool lps = false;
    long number = 1;
    for (char *line = text; line && *line; number++) {
        char *next = strchr(line, '\n');
        if (next) *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        if (!read_fcsv_line(line, &lps, points, err)) return es_prefix(err, "line %ld", number);
        line = next;
    }
    return true;
}

/* ---- .mrk.json ------------------------------------------------------------------------- */

static bool read_control_point(const json_t *point, bool lps, es_points *points, es_error *err) {
    const json_t *position = json_object_get(point, "position");
    double at[3];
    for (size_t k = 0; k < 3; k++) {
        const json_t *x = json_array_get(position, k);
        if (!json_is_number(x))
            return es_fail(err, ES_FORMAT, "control point %zu has no position of three numbers",
                           points->count + 1);
        at[k] = json_number_value(x);
    }
    to_ras(at, lps);
    return add(points, json_string_value(json_object_get(point, "label")), at, err);
}

static bool read_markups(const char *text, size_t length, es_points *points, es_error *err) {
    json_error_t where;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!root) return es_fail(err, ES_FORMAT, "line %d: no JSON: %.100s", where.line, where.text);
    const json_t *markup = json_array_get(json_object_get(root, "markups"), 0);
    const json_t *list = json_object_get(markup, "controlPoints");
    const char *system = json_string_value(json_object_get(markup, "coordinateSystem"));
    bool ok = json_is_array(list) ||
              es_fail(err, ES_FORMAT, "has no markups[0].controlPoints: not a Slicer markups file");
    size_t i;
    const json_t *point;
    if (ok) json_array_foreach(list, i, point) {
            ok = read_control_point(point, system && strcmp(system, "LPS") == 0, points, err);
            if (!ok) break;
        }
    json_decref(root);
    return ok;
}

bool es_points_read(const char *path, es_points *points, es_error *err) {
    size_t length = 0;
    memset(points, 0, sizeof *points);
    char *text = es_file_read(path, FILE_LIMIT, &length, err);
    if (!text) return false;
    bool ok = text[strspn(text, " \t\r\n")] == '{' ? read_markups(text, length, points, err)
                                                   : read_fcsv(text, points, err);
    if (ok && points->count == 0) ok = es_fail(err, ES_FORMAT, "holds no points");
    if (!ok) {
        es_prefix(err, "%s", path);
        es_points_clear(points);
    }
    es_free(text);
    return ok;
}

/* ---- landmarks of a phantom -------------------------------------------------------------- */

bool es_plus_landmarks(const es_plus *plus, es_points *landmarks, es_error *err) {
    static const char path[] = "PhantomDefinition/Geometry/Landmarks/Landmark";
    size_t count = es_plus_element_count(plus, path);
    bool ok = true;
    memset(landmarks, 0, sizeof *landmarks);
    for (size_t i = 0; i < count && ok; i++) {
        double at[3];
        char *name = es_plus_attribute(plus, path, i, "Name", err);
        char *place = es_plus_attribute(plus, path, i, "Position", err);
        ok = (place && es_parse_doubles(place, at, 3) == 3) ||
             es_fail(err, ES_FORMAT, "landmark %zu of the phantom has no Position of 3 numbers",
                     i + 1);
        ok = ok && add(landmarks, name, at, err);
        es_free(name);
        es_free(place);
    }
    if (!ok) es_points_clear(landmarks);
    return ok;
}
