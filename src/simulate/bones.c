/* bones.c: what people scan besides a knee: vertebrae, ribs, a forearm. */
#include "bones.h"

#include "shapes.h"

#define AT(x, y, z) es_vec3_make(x, y, z)

/* ---- the spine --------------------------------------------------------------- */

/* From one vertebra to the next. */
#define LEVEL 36.0

/* A plate with round edges, thin along x, leaning so that it is further from the
 * middle by `lean` for each mm to the front. */
static double plate(es_vec3 p, es_vec3 centre, es_vec3 half, double lean, double edge) {
    es_vec3 q = es_vec3_sub(p, centre);
    double slant = sqrt(1 + lean * lean);
    q = AT((q.x + lean * q.y) / slant, q.y, q.z);
    return (shape_box(q, AT(half.x - edge, half.y - edge, half.z - edge)) - edge) / slant;
}

/* The arch behind the canal: two laminae that fall away from the spinous process. */
static double arch(es_vec3 p) {
    es_vec3 side = AT(fabs(p.x), p.y, p.z);
    double lamina = plate(side, AT(9, 8, -3), AT(3.4, 9, 10), 0.8, 2.5);
    double spinous = plate(p, AT(0, 26, -8), AT(3.4, 15, 9), 0, 3);
    double tip = shape_ellipsoid(p, AT(0, 38, -10), AT(4.5, 4, 9.5));
    double upper = shape_ellipsoid(side, AT(17, 3, 14), AT(6, 7.5, 9));
    double lower = shape_ellipsoid(side, AT(13.5, 7, -18), AT(5, 5.5, 9));
    double d = smooth_min(lamina, smooth_min(spinous, tip, 4), 5);
    return smooth_min(d, smooth_min(upper, lower, 3), 6);
}

static double body(es_vec3 p) {
    double waist = 1.5 * (1 - shape_clamp(p.z * p.z / 169, 0, 1));
    es_vec3 q = AT(p.x / 1.32, p.y + 28, p.z);
    double round = sqrt(q.x * q.x + q.y * q.y) - (17 - waist);
    return shape_corner(round + 2, fabs(q.z) - 11.5) - 2;
}

static double vertebra(es_vec3 p) {
    es_vec3 side = AT(fabs(p.x), p.y, p.z);
    double pedicle = shape_rcone(side, AT(14, -16, 6), 5.5, AT(15, -2, 6), 5);
    double transverse = shape_rcone(side, AT(15, -3, 5), 5, AT(40, 1, 7), 3.2);
    double d = smooth_min(arch(p), smooth_min(pedicle, transverse, 5), 5);
    return smooth_min(d, body(p), 5);
}

double spine_field(const scene_model *model, es_vec3 p) {
    (void)model;
    double level = shape_clamp(round(p.z / LEVEL), -1, 1);
    /* The next vertebra can be nearer: processes reach beyond the half way. */
    double other = p.z > level * LEVEL ? level + 1 : level - 1;
    double d = vertebra(AT(p.x, p.y, p.z - level * LEVEL));
    if (fabs(other) > 1) return d;
    return fmin(d, vertebra(AT(p.x, p.y, p.z - other * LEVEL)));
}

/* A back: a furrow in the middle between its muscles. */
double spine_skin(const scene_model *model, es_vec3 p) {
    (void)model;
    double furrow = 5 * exp(-p.x * p.x / 450);
    return (p.y - 55 + furrow + 0.0022 * p.x * p.x) * 0.85;
}

/* ---- ribs -------------------------------------------------------------------- */

/* Each is a band 13 mm high and 8 thick on the chest's wall, falling to the front. */
static double rib(es_vec3 p, double z_mm) {
    const double chest = 98, fall = 0.28;
    double out = sqrt(p.x * p.x + p.y * p.y) - chest;
    double high = (p.z - z_mm - fall * p.x) / sqrt(1 + fall * fall);
    double across = shape_corner(fabs(out) - 1.5, fabs(high) - 4) - 2.5;
    double end = fabs(p.x) - 72;
    return smooth_max(across, end, 4);
}

double ribs_field(const scene_model *model, es_vec3 p) {
    (void)model;
    double nearest = HUGE_VAL;
    for (int i = 0; i < 4; i++) nearest = fmin(nearest, rib(p, (i - 1.5) * 24));
    /* The ring's other half is another side of the chest. */
    return smooth_max(nearest, 28 - p.y, 4);
}

double ribs_skin(const scene_model *model, es_vec3 p) {
    (void)model;
    return sqrt(p.x * p.x + p.y * p.y) - 118;
}

/* ---- the forearm --------------------------------------------------------------- */

static double ulna(es_vec3 p) {
    double shaft = smooth_min(shape_rcone(p, AT(-15, -5, -62), 6, AT(-14, -7, 0), 6.8),
                              shape_rcone(p, AT(-14, -7, 0), 6.8, AT(-12, -8, 62), 8), 1);
    double crest = shape_rcone(p, AT(-9.5, -4, -50), 2, AT(-7.5, -5, 50), 2.4);
    return smooth_min(shaft, crest, 4);
}

static double radius(es_vec3 p) {
    double shaft = smooth_min(shape_rcone(p, AT(14, 0, -62), 8.5, AT(17.5, 3, -5), 6.8),
                              shape_rcone(p, AT(17.5, 3, -5), 6.8, AT(11, 1, 62), 6.5), 1);
    double crest = shape_rcone(p, AT(9, -1, -50), 2.2, AT(8, -1, 40), 2);
    return smooth_min(shaft, crest, 4);
}

double forearm_field(const scene_model *model, es_vec3 p) {
    (void)model;
    return fmin(ulna(p), radius(p));
}

double forearm_skin(const scene_model *model, es_vec3 p) {
    (void)model;
    return smooth_min(ulna(p), radius(p), 30) - 12;
}
