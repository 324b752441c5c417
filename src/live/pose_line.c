/* A line of text as a pose: JSON, or numbers between commas. Whatever can print can be
 * a tracker. Nothing is assumed: a word that is not understood is refused. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "echosolid/trackers.h"

/* A quaternion becomes the matrix; its length is judged here, so that a wrong
 * order of numbers is at least sometimes seen. */
static bool set_turn(es_pose_line *line, const double q[4], const double place[3], es_error *err) {
    double norm = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    if (!(fabs(norm - 1) < 0.01)) {
        if (!line->valid) return true; /* of a tool that was not seen */
        return es_fail(err, ES_FORMAT,
                       "a quaternion (w, x, y, z) of length %.4g; a rotation's has 1", norm);
    }
    es_quat unit = {q[0] / norm, q[1] / norm, q[2] / norm, q[3] / norm};
    line->matrix = es_quat_to_mat4(unit, es_vec3_make(place[0], place[1], place[2]));
    return true;
}

/* ---- JSON ------------------------------------------------------------------------------ */

static bool get_numbers(const json_t *root, const char *key, size_t count, double *values,
                        es_error *err) {
    const json_t *array = json_object_get(root, key);
    if (!json_is_array(array) || json_array_size(array) != count)
        return es_fail(err, ES_FORMAT, "\"%s\": expected %zu numbers", key, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_number(item))
            return es_fail(err, ES_FORMAT, "\"%s\": number %zu is none", key, i + 1);
        values[i] = json_number_value(item);
    }
    return true;
}

static bool get_place(const json_t *root, es_pose_line *line, es_error *err) {
    double place[3], turn[4];
    bool matrix = json_object_get(root, "matrix") != NULL;
    bool parts = json_object_get(root, "position") || json_object_get(root, "quaternion");
    if (matrix && parts)
        return es_fail(err, ES_FORMAT, "both a matrix and a position or quaternion: which?");
    if (!matrix && !parts && !line->valid) return true;
    if (matrix) return get_numbers(root, "matrix", 16, line->matrix.m, err);
    return get_numbers(root, "position", 3, place, err) &&
           get_numbers(root, "quaternion", 4, turn, err) && set_turn(line, turn, place, err);
}

static bool check_keys(const json_t *root, es_error *err) {
    static const char *const known[] = {"time",   "name",  "position", "quaternion",
                                        "matrix", "valid", "error_mm"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)root, key, value) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found |= strcmp(key, known[i]) == 0;
        if (!found)
            return es_fail(err, ES_FORMAT,
                           "key \"%.40s\"; known are time, name, position, quaternion, matrix, "
                           "valid, error_mm",
                           key);
    }
    return true;
}

static bool read_object(const json_t *root, es_pose_line *line, es_error *err) {
    const json_t *time = json_object_get(root, "time"), *name = json_object_get(root, "name");
    const json_t *valid = json_object_get(root, "valid"), *off = json_object_get(root, "error_mm");
    if (!json_is_object(root)) return es_fail(err, ES_FORMAT, "JSON, but not an object {...}");
    if (!check_keys(root, err)) return false;
    if (!json_is_string(name) || json_string_length(name) == 0 ||
        json_string_length(name) >= ES_NAME_SIZE)
        return es_fail(err, ES_FORMAT, "\"name\": expected a text of 1 to %d bytes",
                       ES_NAME_SIZE - 1);
    if ((time && !json_is_number(time) && !json_is_null(time)) ||
        (off && !json_is_number(off) && !json_is_null(off)) || (valid && !json_is_boolean(valid)))
        return es_fail(err, ES_FORMAT,
                       "time and error_mm are numbers (or null), valid is true or false");
    snprintf(line->name, sizeof line->name, "%s", json_string_value(name));
    line->has_time = json_is_number(time);
    line->time_s = json_number_value(time);
    line->valid = !valid || json_is_true(valid);
    if (json_is_number(off)) line->error_mm = json_number_value(off);
    return get_place(root, line, err);
}

static bool parse_json(const char *text, size_t length, es_pose_line *line, es_error *err) {
    json_error_t problem;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (!root) return es_fail(err, ES_FORMAT, "not JSON: %.150s", problem.text);
    bool ok = read_object(root, line, err);
    json_decref(root);
    return ok;
}

/* ---- commas ------------------------------------------------------------------------------- */

enum { CELLS = 24 };

/* Cuts `text` in place; blanks about a cell go. */
static int cut_cells(char *text, char *cells[CELLS]) {
    int count = 0;
    for (char *at = text; at && count < CELLS;) {
        char *comma = strchr(at, ',');
        if (comma) *comma = '\0';
        while (*at == ' ' || *at == '\t') at++;
        for (char *end = at + strlen(at); end > at && (end[-1] == ' ' || end[-1] == '\t');)
            *--end = '\0';
        cells[count++] = at;
        at = comma ? comma + 1 : NULL;
    }
    return count;
}

static bool read_valid(const char *word, bool *valid, es_error *err) {
    bool yes = strcmp(word, "1") == 0 || strcmp(word, "true") == 0;
    bool no = strcmp(word, "0") == 0 || strcmp(word, "false") == 0;
    *valid = yes;
    return yes || no ||
           es_fail(err, ES_FORMAT, "valid is \"%.20s\"; expected 1, 0, true or false", word);
}

static bool read_cells(char *const *cells, int count, es_pose_line *line, es_error *err) {
    /* 2 + 7 or 16 numbers, then valid, then error; 18 and more can only be a matrix */
    int numbers = count >= 18 ? 16 : 7, rest = count - 2 - numbers;
    double values[16];
    if (rest < 0 || rest > 2)
        return es_fail(err, ES_FORMAT,
                       "%d cells; expected time,name, 7 numbers (x y z qw qx qy qz) or 16, and "
                       "perhaps valid,error",
                       count);
    if (!cells[1][0] || strlen(cells[1]) >= ES_NAME_SIZE)
        return es_fail(err, ES_FORMAT, "the second cell is the name of the tool");
    snprintf(line->name, sizeof line->name, "%s", cells[1]);
    line->has_time = cells[0][0] != '\0';
    if (line->has_time && !es_parse_double(cells[0], &line->time_s))
        return es_fail(err, ES_FORMAT, "time \"%.20s\" is no number", cells[0]);
    if (rest > 0 && !read_valid(cells[2 + numbers], &line->valid, err)) return false;
    if (rest > 1 && cells[3 + numbers][0] && !es_parse_double(cells[3 + numbers], &line->error_mm))
        return es_fail(err, ES_FORMAT, "error \"%.20s\" is no number", cells[3 + numbers]);
    for (int i = 0; i < numbers; i++)
        if (!es_parse_double(cells[2 + i], &values[i]))
            return es_fail(err, ES_FORMAT, "\"%.20s\" is no number", cells[2 + i]);
    if (numbers == 7) return set_turn(line, values + 3, values, err);
    memcpy(line->matrix.m, values, sizeof values);
    return true;
}

static bool is_rigid(es_mat4 a) {
    return es_mat4_finite(a) && a.m[12] == 0 && a.m[13] == 0 && a.m[14] == 0 && a.m[15] == 1 &&
           es_mat4_rigid_defect(a) < 0.01 && es_mat4_det3(a) > 0;
}

bool es_pose_line_parse(const char *text, size_t length, es_pose_line *line, es_error *err) {
    char copy[ES_POSE_LINE_MAX + 1], *cells[CELLS];
    *line = (es_pose_line){.valid = true, .error_mm = NAN, .matrix = es_mat4_identity()};
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) length--;
    if (length > ES_POSE_LINE_MAX || memchr(text, 0, length))
        return es_fail(err, ES_FORMAT, "a line of %zu bytes; at most %d, and of text", length,
                       ES_POSE_LINE_MAX);
    memcpy(copy, text, length);
    copy[length] = '\0';
    bool ok = copy[strspn(copy, " \t")] == '{'
                  ? parse_json(copy, length, line, err)
                  : read_cells(cells, cut_cells(copy, cells), line, err);
    if (!ok) return false;
    if (line->has_time && !(fabs(line->time_s) < 1e11))
        return es_fail(err, ES_FORMAT, "time %g: expected seconds", line->time_s);
    if (line->valid && !is_rigid(line->matrix))
        return es_fail(err, ES_FORMAT,
                       "no pose: expected finite numbers, a rotation without mirror, and mm; 16 "
                       "numbers are four rows, the last 0 0 0 1");
    return true;
}
