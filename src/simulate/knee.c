/* knee.c: distal femur, patella, proximal tibia and fibula.
 *
 * Each bone is a smooth union of a few round cones, discs and ellipsoids,
 * from which grooves and facets are cut with smooth intersections. The
 * condyles follow Iwaki, Pinskerova and Freeman, "Tibiofemoral movement 1:
 * the shapes and relative movements of the femur and tibia in the unloaded
 * cadaver knee", JBJS Br 2000: a flexion facet of 21-22 mm radius and an
 * extension facet of 29-32 mm. Widths are those of an adult man (femur 84 mm,
 * tibial plateau 75 mm from side to side). */
#include "knee.h"

#include "shapes.h"

/* Half the cartilage gap between femur and tibia. */
#define GAP 3.0
#define AT(x, y, z) es_vec3_make(x, y, z)

static double femur_shaft(es_vec3 p) {
    es_vec3 flat = AT(p.x, p.y * 1.15, p.z); /* narrower from front to back */
    double shaft = shape_rcone(p, AT(0, 9, 150), 13.5, AT(0, 7, 75), 14.5);
    double flare = shape_rcone(flat, AT(0, 6, 82), 14.5, AT(0, 1, 36), 31) * 0.95;
    return smooth_min(shaft, flare, 16);
}

static double femur_condyles(es_vec3 p) {
    double medial = smooth_min(shape_barrel(p, AT(-22, -15, GAP + 21.5), 21.5, 12.5, 11),
                               shape_barrel(p, AT(-21, -2, GAP + 28.5), 28.5, 12, 11), 6);
    double lateral = smooth_min(shape_barrel(p, AT(23, -14, GAP + 21), 21, 12.5, 11),
                                shape_barrel(p, AT(22, 0, GAP + 29), 29, 12, 11), 6);
    return smooth_min(medial, lateral, 3);
}

/* The trochlear groove: inside a V turned about the trochlea's axis (sulcus
 * angle about 140 degrees), only in front and fading out at its ends. */
static double groove_cut(es_vec3 p, double distance) {
    double y = p.y - 8, z = p.z - (GAP + 31), across = fabs(p.x);
    double radial = sqrt(y * y + z * z);
    if (across > 19 || radial > 50) return distance;
    double angle = atan2(z, y) * (180 / M_PI);
    double inside = shape_ramp(angle, -95, -70) * (1 - shape_ramp(angle, 50, 75)) *
                    (1 - shape_ramp(across, 13, 19)) * (1 - shape_ramp(radial, 32, 50));
    double valley = (radial - (19.6 + 0.364 * sqrt(p.x * p.x + 6))) * 0.94;
    double depth = fmin(smooth_max(distance, valley, 2) - distance, 5);
    return distance + inside * depth;
}

static double femur(es_vec3 p) {
    double d = smooth_min(femur_condyles(p), femur_shaft(p), 12);
    d = smooth_min(d, shape_barrel(p, AT(0, 8, GAP + 31), 24, 26, 12), 10);
    d = smooth_min(d, shape_ellipsoid(p, AT(-35, -6, GAP + 29), AT(7, 13, 12)), 10);
    d = smooth_min(d, shape_ellipsoid(p, AT(36, -5, GAP + 27), AT(5.5, 11, 10)), 10);
    d = groove_cut(p, d);
    double notch = shape_rcone(p, AT(0, -45, GAP - 4), 12, AT(0, 3, GAP + 17), 9.5);
    return smooth_max(d, -notch, 3);
}

/* Height of the tibial plateau: sloping 7 degrees backwards, a dish on the
 * medial side, a dome on the lateral one, two spines between. */
static double plateau_z(double x, double y) {
    double medial_r2 = (x + 20) * (x + 20) + (y + 2) * (y + 2);
    double lateral_r2 = (x - 20) * (x - 20) + (y + 2) * (y + 2);
    double dish = shape_clamp(0.0035 * medial_r2 - 1.2, -1.5, 1.5);
    double dome = shape_clamp(0.4 - 0.002 * lateral_r2, -1.5, 1.5);
    double side = shape_ramp(x, -8, 8), u = (fabs(x) - 5) / 4, v = (y + 1) / 8;
    double spines = 6 * exp(-u * u - v * v);
    return -GAP + y * 0.12278 + dish * (1 - side) + dome * side + spines;
}

static double tibia(es_vec3 p) {
    double d = smooth_min(shape_ellipsoid(p, AT(-17, -1, -14), AT(21, 25.5, 26)),
                          shape_ellipsoid(p, AT(18, -2, -14), AT(20.5, 23, 26)), 10);
    d = smooth_min(d, shape_rcone(p, AT(0, -2, -22), 27, AT(0, 2, -62), 16), 10);
    d = smooth_min(d, shape_rcone(p, AT(1, 3, -62), 15, AT(3, 4, -150), 12.5), 10);
    d = smooth_min(d, shape_ellipsoid(p, AT(3, 19, -42), AT(9, 8, 13)), 9);
    d = smooth_min(d, shape_rcone(p, AT(3, 15, -60), 4.5, AT(2, 14, -150), 3.5), 8);
    if (p.z < -20) return d; /* the plateau is far */
    return smooth_max(d, (p.z - plateau_z(p.x, p.y)) * 0.9, 3);
}

static double fibula(es_vec3 p) {
    return smooth_min(shape_ellipsoid(p, AT(41, -20, -28), AT(9, 10, 12)),
                      shape_rcone(p, AT(41, -20, -34), 6.5, AT(36, -16, -150), 6), 6);
}

static double patella(es_vec3 p) {
    es_vec3 q = es_vec3_sub(p, AT(2, 44.5, 38));
    double d = shape_ellipsoid(q, AT(0, 0, 0), AT(23, 12.5, 21.5));
    d = smooth_max(d, (0.42 * fabs(q.x) - q.y - 10.5) * 0.92, 2);
    return smooth_max(d, (0.8 * fabs(q.x) - q.z - 21) * 0.78, 4);
}

double knee_bone(int bone, es_vec3 p) {
    switch (bone) {
    case KNEE_FEMUR: return femur(p);
    case KNEE_TIBIA: return tibia(p);
    case KNEE_FIBULA: return fibula(p);
    default: return patella(p);
    }
}

/* Boxes that contain the bones. */
static const es_box3 bone_boxes[KNEE_BONES] = {
    [KNEE_FEMUR] = {{-46, -42, 0}, {46, 40, 166}},
    [KNEE_TIBIA] = {{-42, -34, -165}, {42, 34, 8}},
    [KNEE_FIBULA] = {{29, -33, -158}, {52, -8, -14}},
    [KNEE_PATELLA] = {{-23, 30, 15}, {27, 59, 61}},
};

static double box_distance(const es_box3 *box, es_vec3 p) {
    es_vec3 centre = es_vec3_scale(es_vec3_add(box->min, box->max), 0.5);
    es_vec3 half = es_vec3_scale(es_vec3_sub(box->max, box->min), 0.5);
    return fmax(shape_box(es_vec3_sub(p, centre), half), 0);
}

double knee_field(es_vec3 p) {
    double nearest = HUGE_VAL;
    for (int bone = 0; bone < KNEE_BONES; bone++) {
        /* The field may fall short of the true distance, hence .7. */
        if (box_distance(&bone_boxes[bone], p) * 0.7 > nearest) continue;
        nearest = fmin(nearest, knee_bone(bone, p));
    }
    return nearest;
}

double knee_skin(es_vec3 p) {
    double d = knee_bone(0, p);
    for (int bone = 1; bone < KNEE_BONES; bone++) d = smooth_min(d, knee_bone(bone, p), 24);
    return d - 11;
}

double knee_cartilage_mm(es_vec3 p) {
    if (femur(p) > 0.5) return 0;
    double trochlea = shape_ramp(p.y, 16, 22) * (1 - shape_ramp(p.z, 48, 54)) *
                      (1 - shape_ramp(fabs(p.x), 20, 26));
    double condyles = 1 - shape_ramp(p.z, 8, 14);
    return 2.4 * fmax(trochlea, condyles);
}
