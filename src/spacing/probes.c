/* Probes by name.
 *
 * Makers write what we need into the name: Telemed's C5-2R60S-3 has a radius
 * (R) of 60 mm and L12-5L40 a length (L) of 40 mm; Ultrasonix's C5-2/60 and
 * L14-5/38 have radius or length after the stroke. So a name is asked for in
 * the user's rows, then in the table, then by these rules. Names are compared
 * by their letters, digits and strokes alone; a row is also found without its
 * maker's name. */
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "probe_table.h"

enum { KEY_SIZE = 64, FILE_LIMIT = 1 << 20, ROW_LIMIT = 4096 };

/* Letters in lower case, digits and strokes; the rest is dropped. */
static void make_key(const char *name, char key[KEY_SIZE]) {
    size_t n = 0;
    for (; *name && n + 1 < KEY_SIZE; name++)
        if (isalnum((unsigned char)*name) || *name == '/')
            key[n++] = (char)tolower((unsigned char)*name);
    key[n] = 0;
}

static bool same_probe(const char *row, const char *key) {
    char own[KEY_SIZE];
    make_key(row, own);
    if (strcmp(own, key) == 0) return true;
    const char *model = strchr(row, ' ');
    if (!model) return false;
    make_key(model, own);
    return own[0] && strcmp(own, key) == 0;
}

static void unknown_as_nan(es_probe_entry *p) {
    double *numbers[] = {&p->radius_mm,      &p->radius_sigma, &p->aperture_mm,
                         &p->aperture_sigma, &p->field_deg,    &p->pitch_mm};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!(*numbers[i] > 0)) *numbers[i] = NAN;
}

/* ---- rows of the user ------------------------------------------------------- */

typedef struct row_reader {
    const char *path;
    size_t row;
    es_error *err;
} row_reader;

static bool row_fail(const row_reader *r, const char *problem) {
    return es_fail(r->err, ES_FORMAT, "%s: probe %zu: %s", r->path, r->row + 1, problem);
}

static bool read_number(const row_reader *r, const char *key, const json_t *value, double high,
                        double *out) {
    char problem[160];
    if (json_is_number(value) && json_number_value(value) > 0 && json_number_value(value) <= high) {
        *out = json_number_value(value);
        return true;
    }
    snprintf(problem, sizeof problem, "\"%s\" must be a number above 0 and up to %g", key, high);
    return row_fail(r, problem);
}

static bool read_kind(const row_reader *r, const json_t *value, es_probe_entry *p) {
    const char *kind = json_string_value(value);
    if (!kind || (strcmp(kind, "curved") != 0 && strcmp(kind, "linear") != 0))
        return row_fail(r, "\"kind\" must be \"curved\" or \"linear\"");
    p->curved = kind[0] == 'c';
    return true;
}

static bool read_text(const row_reader *r, const char *key, const json_t *value, char *out,
                      size_t size) {
    const char *text = json_string_value(value);
    char problem[160];
    if (text && text[0] && strlen(text) < size) {
        strcpy(out, text);
        return true;
    }
    snprintf(problem, sizeof problem, "\"%s\" must be a text of 1 to %zu bytes", key, size - 1);
    return row_fail(r, problem);
}

static bool read_key(const row_reader *r, const char *key, const json_t *value, es_probe_entry *p) {
    const struct {
        const char *key;
        double high, *out;
    } numbers[] = {
        {"radius_mm", 1000, &p->radius_mm},     {"radius_sigma", 1, &p->radius_sigma},
        {"aperture_mm", 1000, &p->aperture_mm}, {"aperture_sigma", 1, &p->aperture_sigma},
        {"field_deg", 360, &p->field_deg},      {"pitch_mm", 10, &p->pitch_mm}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(key, numbers[i].key) == 0)
            return read_number(r, key, value, numbers[i].high, numbers[i].out);
    if (strcmp(key, "elements") == 0) {
        double elements = 0;
        if (!read_number(r, key, value, 1e5, &elements)) return false;
        p->elements = (int)elements;
        return true;
    }
    if (strcmp(key, "kind") == 0) return read_kind(r, value, p);
    if (strcmp(key, "name") == 0) return read_text(r, key, value, p->name, sizeof p->name);
    if (strcmp(key, "source") == 0) return read_text(r, key, value, p->source, sizeof p->source);
    char problem[160];
    snprintf(problem, sizeof problem,
             "unknown key \"%.40s\"; expected name, kind, radius_mm, aperture_mm (each with "
             "_sigma), field_deg, pitch_mm, elements, source",
             key);
    return row_fail(r, problem);
}

static bool read_row(const row_reader *r, json_t *row, es_probe_entry *p) {
    memset(p, 0, sizeof *p);
    if (!json_is_object(row)) return row_fail(r, "must be an object");
    if (!json_is_string(json_object_get(row, "kind")))
        return row_fail(r, "\"kind\" is missing: \"curved\" or \"linear\"");
    const char *key;
    json_t *value;
    json_object_foreach(row, key, value) {
        if (!read_key(r, key, value, p)) return false;
    }
    if (!p->name[0]) return row_fail(r, "\"name\" is missing");
    if (!(p->curved ? p->radius_mm > 0 : p->aperture_mm > 0))
        return row_fail(r, p->curved ? "a curved probe needs \"radius_mm\""
                                     : "a linear probe needs \"aperture_mm\"");
    if (!p->source[0]) snprintf(p->source, sizeof p->source, "%.150s", es_path_name(r->path));
    if (p->radius_mm > 0 && !(p->radius_sigma > 0)) p->radius_sigma = .01;
    if (p->aperture_mm > 0 && !(p->aperture_sigma > 0)) p->aperture_sigma = .01;
    return true;
}

/* Every row is checked, so that a mistake shows before it is needed. */
static bool search_rows(const char *path, json_t *rows, const char *key, es_probe_entry *probe,
                        bool *known, es_error *err) {
    size_t count = json_array_size(rows);
    if (!json_is_array(rows) || count > ROW_LIMIT)
        return es_fail(err, ES_FORMAT,
                       "%s: expected a list of at most %d probes, or {\"probes\": [...]}", path,
                       ROW_LIMIT);
    for (size_t i = 0; i < count; i++) {
        row_reader r = {path, i, err};
        es_probe_entry row;
        if (!read_row(&r, json_array_get(rows, i), &row)) return false;
        if (*known || !same_probe(row.name, key)) continue;
        *probe = row;
        *known = true;
    }
    return true;
}

static bool find_in_file(const char *path, const char *key, es_probe_entry *probe, bool *known,
                         es_error *err) {
    size_t length;
    char *text = es_file_read(path, FILE_LIMIT, &length, err);
    if (!text) return false;
    json_error_t problem;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    es_free(text);
    if (!root)
        return es_fail(err, ES_FORMAT, "%s: line %d: not JSON: %s", path, problem.line,
                       problem.text);
    json_t *rows = json_is_object(root) ? json_object_get(root, "probes") : root;
    bool ok = search_rows(path, rows, key, probe, known, err);
    json_decref(root);
    return ok;
}

/* ---- the table and the rules --------------------------------------------------- */

static bool find_in_table(const char *key, es_probe_entry *probe) {
    for (size_t i = 0; i < probe_table_count; i++)
        if (same_probe(probe_table[i].name, key)) {
            *probe = probe_table[i];
            return true;
        }
    return false;
}

/* Two or three digits at `text` as millimetres between low and high, followed
 * by no further digit; 0 when that is not so. */
static double read_length(const char *text, double low, double high) {
    double value = 0;
    int digits = 0;
    for (; isdigit((unsigned char)text[digits]) && digits < 4; digits++)
        value = 10 * value + (text[digits] - '0');
    return digits >= 2 && digits <= 3 && value >= low && value <= high ? value : 0;
}

static void take_rule(bool curved, double mm, const char *rule, es_probe_entry *probe) {
    probe->curved = curved;
    *(curved ? &probe->radius_mm : &probe->aperture_mm) = mm;
    *(curved ? &probe->radius_sigma : &probe->aperture_sigma) = .01;
    snprintf(probe->source, sizeof probe->source, "name rule: %s", rule);
}

/* [kind letters][frequencies]R|L|N[mm]..., Telemed. */
static bool apply_letter_rule(const char *key, es_probe_entry *probe) {
    size_t i = 0, letters;
    while (isalpha((unsigned char)key[i])) i++;
    letters = i;
    while (isdigit((unsigned char)key[i])) i++;
    if (letters == 0 || letters > 3 || i - letters < 2 || !strchr("rln", key[i]) || !key[i])
        return false;
    bool curved = key[i] == 'r';
    double mm = read_length(key + i + 1, curved ? 5 : 10, curved ? 100 : 150);
    if (mm == 0) return false;
    take_rule(curved, mm, curved ? "R and the radius in mm" : "L or N and the length in mm", probe);
    return true;
}

/* ...C...|...L.../mm, Ultrasonix and BK. */
static bool apply_stroke_rule(const char *key, es_probe_entry *probe) {
    const char *stroke = strchr(key, '/');
    if (!stroke || stroke[1] == 0 || strchr(stroke + 1, '/')) return false;
    bool curved = memchr(key, 'c', (size_t)(stroke - key)) != NULL;
    bool linear = memchr(key, 'l', (size_t)(stroke - key)) != NULL;
    double mm = read_length(stroke + 1, curved ? 5 : 10, curved ? 100 : 150);
    if (curved == linear || mm == 0) return false;
    take_rule(curved, mm, curved ? "C and /radius in mm" : "L and /length in mm", probe);
    return true;
}

bool es_probe_find(const char *name, const char *extra, es_probe_entry *probe, bool *known,
                   es_error *err) {
    char key[KEY_SIZE];
    make_key(name, key);
    memset(probe, 0, sizeof *probe);
    *known = false;
    if (extra && !find_in_file(extra, key, probe, known, err)) return false;
    if (!*known && key[0]) *known = find_in_table(key, probe);
    if (!*known) snprintf(probe->name, sizeof probe->name, "%.60s", name);
    if (!*known) *known = apply_letter_rule(key, probe) || apply_stroke_rule(key, probe);
    unknown_as_nan(probe);
    return true;
}
