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

static double femur_condyles(const knee_anatomy *a, es_vec3 p) {
    double m = a->medial_mm, l = a->lateral_mm, x = a->apart_mm;
    double my = a->medial_back_mm, ly = a->lateral_back_mm;
    double medial =
        smooth_min(shape_barrel(p, AT(-22 - x, -15 - my, GAP + 21.5 + m), 21.5 + m, 12.5, 11),
                   shape_barrel(p, AT(-21 - x, -2 - my, GAP + 28.5 + m), 28.5 + m, 12, 11), 6);
    double lateral =
        smooth_min(shape_barrel(p, AT(23 + x, -14 - ly, GAP + 21 + l), 21 + l, 12.5, 11),
                   shape_barrel(p, AT(22 + x, 0 - ly, GAP + 29 + l), 29 + l, 12, 11), 6);
    return smooth_min(medial, lateral, 3);
}

/* The trochlear groove: inside a V turned about the trochlea's axis (sulcus
 * angle about 140 degrees), only in front and fading out at its ends. */
static double groove_cut(const knee_anatomy *a, es_vec3 p, double distance) {
    double y = p.y - 8, z = p.z - (GAP + 31), across = fabs(p.x);
    double radial = sqrt(y * y + z * z);
    if (across > 19 || radial > 50) return distance;
    double angle = atan2(z, y) * (180 / M_PI);
    double inside = shape_ramp(angle, -95, -70) * (1 - shape_ramp(angle, 50, 75)) *
                    (1 - shape_ramp(across, 13, 19)) * (1 - shape_ramp(radial, 32, 50));
    double valley = (radial - (19.6 - a->groove_mm + 0.364 * sqrt(p.x * p.x + 6))) * 0.94;
    double depth = fmin(smooth_max(distance, valley, 2) - distance, 5);
    return distance + inside * depth;
}

static double femur(const knee_anatomy *a, es_vec3 p) {
    double d = smooth_min(femur_condyles(a, p), femur_shaft(p), 12);
    d = smooth_min(d, shape_barrel(p, AT(0, 8, GAP + 31), 24, 26, 12), 10);
    d = smooth_min(d, shape_ellipsoid(p, AT(-35, -6, GAP + 29), AT(7, 13, 12)), 10);
    d = smooth_min(d, shape_ellipsoid(p, AT(36, -5, GAP + 27), AT(5.5, 11, 10)), 10);
    d = groove_cut(a, p, d);
    double notch = shape_rcone(p, AT(0, -45, GAP - 4), 12, AT(0, 3, GAP + 17), 9.5);
    return smooth_max(d, -notch, 3);
}

/* Height of the tibial plateau: sloping 7 degrees backwards, a dish on the
 * medial side, a dome on the lateral one, two spines between. */
static double plateau_z(const knee_anatomy *a, double x, double y) {
    double medial_r2 = (x + 20) * (x + 20) + (y + 2) * (y + 2);
    double lateral_r2 = (x - 20) * (x - 20) + (y + 2) * (y + 2);
    double dish = shape_clamp((0.0035 + a->dish) * medial_r2 - 1.2, -1.5, 1.5);
    double dome = shape_clamp(0.4 - (0.002 + a->dome) * lateral_r2, -1.5, 1.5);
    double side = shape_ramp(x, -8, 8), u = (fabs(x) - 5) / 4, v = (y + 1) / 8;
    double spines = 6 * exp(-u * u - v * v);
    return -GAP + y * (0.12278 + a->slope) + dish * (1 - side) + dome * side + spines;
}

static double tibia(const knee_anatomy *a, es_vec3 p) {
    double d = smooth_min(shape_ellipsoid(p, AT(-17, -1, -14), AT(21, 25.5, 26)),
                          shape_ellipsoid(p, AT(18, -2, -14), AT(20.5, 23, 26)), 10);
    d = smooth_min(d, shape_rcone(p, AT(0, -2, -22), 27, AT(0, 2, -62), 16), 10);
    d = smooth_min(d, shape_rcone(p, AT(1, 3, -62), 15, AT(3, 4, -150), 12.5), 10);
    d = smooth_min(d, shape_ellipsoid(p, AT(3, 19, -42), AT(9, 8, 13)), 9);
    d = smooth_min(d, shape_rcone(p, AT(3, 15, -60), 4.5, AT(2, 14, -150), 3.5), 8);
    if (p.z < -20) return d; /* the plateau is far */
    return smooth_max(d, (p.z - plateau_z(a, p.x, p.y)) * 0.9, 3);
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

/* ---- other people --------------------------------------------------------- */

/* The point in the axes of the standard bone. */
static es_vec3 to_standard(const knee_person *who, es_vec3 p) {
    es_vec3 q = es_vec3_sub(es_vec3_sub(p, who->place), who->pivot);
    es_vec3 x = es_mat4_column(who->turn, 0), y = es_mat4_column(who->turn, 1);
    es_vec3 z = es_mat4_column(who->turn, 2);
    q = es_vec3_add(AT(es_vec3_dot(q, x), es_vec3_dot(q, y), es_vec3_dot(q, z)), who->pivot);
    return AT(q.x / who->size.x, q.y / who->size.y, q.z / who->size.z);
}

static double least_size(const knee_person *who) {
    return fmin(who->size.x, fmin(who->size.y, who->size.z));
}

static double waves(const knee_person *who, es_vec3 p) {
    double sum = 0;
    for (int i = 0; i < KNEE_WAVES; i++) sum += sin(es_vec3_dot(who->wave[i], p) + who->phase[i]);
    return who->wave_mm * sum / KNEE_WAVES;
}

static double standard_bone(const knee_anatomy *a, int bone, es_vec3 p) {
    switch (bone) {
    case KNEE_FEMUR: return femur(a, p);
    case KNEE_TIBIA: return tibia(a, p);
    case KNEE_FIBULA: return fibula(p);
    default: return patella(p);
    }
}

/* Times the least size: a step by it never passes the surface. */
double knee_bone(const knee_anatomy *a, int bone, es_vec3 p) {
    const knee_person *who = &a->bones[bone];
    if (!a->varied) return standard_bone(a, bone, p);
    double d = standard_bone(a, bone, to_standard(who, p)) * least_size(who);
    return d + waves(who, p);
}

/* ---- all of them ------------------------------------------------------------ */

/* Boxes that contain the standard bones; those of others within ROOM_MM more. */
#define ROOM_MM 6.0
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

/* The field may fall short of the true distance, hence .7. */
static double beyond_box(const knee_anatomy *a, int bone, es_vec3 p) {
    const knee_person *who = &a->bones[bone];
    if (!a->varied) return box_distance(&bone_boxes[bone], p) * 0.7;
    double d = box_distance(&bone_boxes[bone], to_standard(who, p)) * least_size(who);
    return (d - 2 * who->wave_mm) * 0.7 - ROOM_MM;
}

static void add_corner(es_box3 *box, const knee_person *who, es_vec3 q) {
    q = es_vec3_sub(AT(q.x * who->size.x, q.y * who->size.y, q.z * who->size.z), who->pivot);
    q = es_vec3_add(es_mat4_vector(who->turn, q), es_vec3_add(who->pivot, who->place));
    es_box3_add(box, q);
}

es_box3 knee_box(const knee_anatomy *a) {
    es_box3 box = es_box3_empty();
    if (!a->varied) return (es_box3)KNEE_BOX;
    for (int bone = 0; bone < KNEE_BONES; bone++)
        for (int corner = 0; corner < 8; corner++) {
            const es_box3 *b = &bone_boxes[bone];
            double room = ROOM_MM + a->bones[bone].wave_mm;
            add_corner(&box, &a->bones[bone],
                       AT(corner & 1 ? b->max.x + room : b->min.x - room,
                          corner & 2 ? b->max.y + room : b->min.y - room,
                          corner & 4 ? b->max.z + room : b->min.z - room));
        }
    return box;
}

double knee_field(const knee_anatomy *a, es_vec3 p) {
    double nearest = HUGE_VAL;
    for (int bone = 0; bone < KNEE_BONES; bone++) {
        if (beyond_box(a, bone, p) > nearest) continue;
        nearest = fmin(nearest, knee_bone(a, bone, p));
    }
    return nearest;
}

double knee_skin(const knee_anatomy *a, es_vec3 p) {
    double d = knee_bone(a, 0, p);
    for (int bone = 1; bone < KNEE_BONES; bone++) d = smooth_min(d, knee_bone(a, bone, p), 24);
    return d - (11 + a->tissue_mm);
}

double knee_cartilage_mm(const knee_anatomy *a, es_vec3 p) {
    if (knee_bone(a, KNEE_FEMUR, p) > 0.5) return 0;
    if (a->varied) p = to_standard(&a->bones[KNEE_FEMUR], p);
    double trochlea = shape_ramp(p.y, 16, 22) * (1 - shape_ramp(p.z, 48, 54)) *
                      (1 - shape_ramp(fabs(p.x), 20, 26));
    double condyles = 1 - shape_ramp(p.z, 8, 14);
    return 2.4 * fmax(trochlea, condyles);
}
