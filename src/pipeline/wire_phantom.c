/* Geometry of N-wire phantoms: from a configuration, or of known phantoms. */
#include <string.h>

#include "echosolid/calibration.h"

static const char path[] = "PhantomDefinition/Geometry/Pattern/Wire";

/* ---- known phantoms -------------------------------------------------------------------- */

/* A row is an N: where wires 1 and 3 stand (x), the middle one's x in front
 * and at the back, the height (z); mm. Wires run along y. */
typedef struct known_row {
    const char *names[3];
    double left, right, middle_front, middle_back, height;
} known_row;
typedef struct known_phantom {
    const char *name;
    double length;
    int rows;
    known_row row[3];
} known_phantom;

/* The fCal phantoms as the public configurations of PLUS define them. */
static const known_phantom known[] = {
    {"fcal-1.0",
     40,
     2,
     {{{"1:E3_e3", "2:F3_j3", "3:K3_k3"}, 20, 50, 25, 45, 5},
      {{"4:E4_e4", "5:J4_f4", "6:K4_k4"}, 20, 50, 45, 25, 0}}},
    {"fcal-1.2",
     40,
     3,
     {{{"1:E2_e2", "2:I2_f2", "3:J2_j2"}, 20, 45, 40, 25, 10},
      {{"4:E3_e3", "5:F3_j3", "6:K3_k3"}, 20, 50, 25, 45, 5},
      {{"7:E4_e4", "8:J4_f4", "9:K4_k4"}, 20, 50, 45, 25, 0}}},
    {"fcal-2.0",
     40,
     3,
     {{{"7:G1_g1", "8:L1_h1", "9:M1_m1"}, 30, 60, 55, 35, 20},
      {{"4:G3_g3", "5:H3_l3", "6:M3_m3"}, 30, 60, 35, 55, 10},
      {{"1:H5_h5", "2:L5_i5", "3:M5_m5"}, 35, 60, 55, 40, 0}}},
};
enum { KNOWN = sizeof known / sizeof *known };

/* In the order of es_phantom_probe behind the known ones. */
const char *const *es_wire_phantom_names(void) {
    static const char *const names[KNOWN + ES_PHANTOM_PROBES + 1] = {
        "fcal-1.0",       "fcal-1.2",       "fcal-2.0",
        "printed-linear", "printed-curved", "printed-endocavity"};
    return names;
}

static void set_wire(es_wire *wire, const char *name, double front, double back, double length,
                     double height) {
    snprintf(wire->name, sizeof wire->name, "%s", name);
    wire->front = es_vec3_make(front, 0, height);
    wire->back = es_vec3_make(back, length, height);
}

static void take_known(const known_phantom *known_one, es_wire_phantom *phantom) {
    phantom->patterns = known_one->rows;
    for (int p = 0; p < known_one->rows; p++) {
        const known_row *r = &known_one->row[p];
        double length = known_one->length;
        es_wire *w = &phantom->wires[3 * p];
        set_wire(&w[0], r->names[0], r->left, r->left, length, r->height);
        set_wire(&w[1], r->names[1], r->middle_front, r->middle_back, length, r->height);
        set_wire(&w[2], r->names[2], r->right, r->right, length, r->height);
    }
}

static bool take_printed(es_phantom_probe probe, es_wire_phantom *phantom, es_error *err) {
    es_phantom_options options = es_phantom_preset(probe);
    es_phantom_design design;
    if (!es_phantom_make(&options, &design, err)) return false;
    *phantom = design.wires;
    return true;
}

static bool fail_unknown(const char *name, es_error *err) {
    char list[160] = "";
    size_t n = 0;
    for (const char *const *one = es_wire_phantom_names(); *one; one++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", *one);
    return es_fail(err, ES_USAGE,
                   "no phantom is called %s; there are %s, and any other as PhantomDefinition of "
                   "a configuration",
                   name, list);
}

bool es_wire_phantom_named(const char *name, es_wire_phantom *phantom, es_error *err) {
    const char *const *names = es_wire_phantom_names();
    memset(phantom, 0, sizeof *phantom);
    for (int k = 0; names[k]; k++) {
        if (strcmp(names[k], name) != 0) continue;
        if (k >= KNOWN) return take_printed((es_phantom_probe)(k - KNOWN), phantom, err);
        take_known(&known[k], phantom);
        return true;
    }
    return fail_unknown(name, err);
}

void es_wire_phantom_bath(const es_wire_phantom *phantom, es_bath *bath) {
    *bath = (es_bath)ES_BATH_DEFAULTS;
    bath->wire_count = 3 * phantom->patterns;
    for (int w = 0; w < bath->wire_count; w++) {
        bath->wires[w][0] = phantom->wires[w].front;
        bath->wires[w][1] = phantom->wires[w].back;
    }
    es_bath_fit(bath);
}

/* ---- from a configuration ------------------------------------------------------------------ */

static bool read_end(const es_plus *plus, const char *at, size_t index, const char *name,
                     es_vec3 *end, es_error *err) {
    double v[3];
    char *text = es_plus_attribute(plus, at, index, name, err);
    bool ok = text && es_parse_doubles(text, v, 3) == 3;
    if (ok) *end = es_vec3_make(v[0], v[1], v[2]);
    if (!ok && (!err || err->code == ES_OK))
        es_fail(err, ES_FORMAT, "%s of wire %zu is '%.60s'; expected three numbers", name,
                index + 1, text ? text : "");
    es_free(text);
    return ok;
}

static bool read_wire(const es_plus *plus, const char *at, size_t index, es_wire *wire,
                      es_error *err) {
    char *name = es_plus_attribute(plus, at, index, "Name", err);
    if (!name) {
        snprintf(wire->name, sizeof wire->name, "wire");
        if (err && err->code != ES_OK) return false;
    } else
        snprintf(wire->name, sizeof wire->name, "%s", name);
    es_free(name);
    return read_end(plus, at, index, "EndPointFront", &wire->front, err) &&
           read_end(plus, at, index, "EndPointBack", &wire->back, err);
}

bool es_wire_phantom_read(const es_plus *plus, es_wire_phantom *phantom, es_error *err) {
    size_t patterns = es_plus_element_count(plus, "PhantomDefinition/Geometry/Pattern");
    size_t wires = es_plus_element_count(plus, path);
    memset(phantom, 0, sizeof *phantom);
    if (patterns == 0 || patterns > ES_PATTERNS_MAX)
        return es_fail(err, ES_FORMAT,
                       "the configuration has %zu patterns in PhantomDefinition/Geometry; expected "
                       "1 to %d, or name a known phantom with --phantom",
                       patterns, ES_PATTERNS_MAX);
    for (size_t p = 0; p < patterns; p++) {
        char at[80];
        snprintf(at, sizeof at, "PhantomDefinition/Geometry/Pattern[%zu]/Wire", p);
        size_t count = es_plus_element_count(plus, at);
        if (count != 3)
            return es_fail(err, ES_FORMAT,
                           "pattern %zu of the phantom has %zu wires; an N has three: other kinds "
                           "of phantoms (crossed wires) are not handled",
                           p + 1, count);
    }
    phantom->patterns = (int)patterns;
    for (size_t i = 0; i < wires; i++)
        if (!read_wire(plus, path, i, &phantom->wires[i], err)) return false;
    return es_wire_match_check(phantom, err);
}

/* ---- to a configuration -------------------------------------------------------------------- */

static void add_wire(es_text *xml, const es_wire *w) {
    es_text_add(xml,
                "<Wire Name=\"%s\" EndPointFront=\"%.7g %.7g %.7g\" EndPointBack=\"%.7g %.7g "
                "%.7g\"/>\n",
                w->name, w->front.x, w->front.y, w->front.z, w->back.x, w->back.y, w->back.z);
}

es_plus *es_wire_phantom_plus(const es_wire_phantom *phantom, const es_points *landmarks,
                              es_error *err) {
    es_text xml = {0};
    es_plus *plus = NULL;
    es_text_add(&xml, "<PlusConfiguration version=\"2.1\">\n<PhantomDefinition><Geometry>\n");
    for (int w = 0; w < 3 * phantom->patterns; w++) {
        if (w % 3 == 0) es_text_add(&xml, "<Pattern Type=\"NWire\">\n");
        add_wire(&xml, &phantom->wires[w]);
        if (w % 3 == 2) es_text_add(&xml, "</Pattern>\n");
    }
    if (landmarks->count > 0) es_text_add(&xml, "<Landmarks>\n");
    for (size_t k = 0; k < landmarks->count; k++) {
        es_vec3 p = landmarks->items[k].at_mm;
        es_text_add(&xml, "<Landmark Name=\"%s\" Position=\"%.7g %.7g %.7g\"/>\n",
                    landmarks->items[k].name, p.x, p.y, p.z);
    }
    if (landmarks->count > 0) es_text_add(&xml, "</Landmarks>\n");
    es_text_add(&xml, "</Geometry></PhantomDefinition>\n</PlusConfiguration>\n");
    if (xml.failed)
        es_fail(err, ES_MEMORY, "out of memory for the configuration");
    else
        plus = es_plus_parse(xml.bytes, xml.length, "phantom", err);
    es_text_free(&xml);
    return plus;
}
