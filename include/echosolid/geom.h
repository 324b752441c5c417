/* echosolid/geom.h: matrices, quaternions, poses in time, the transform
 * graph, boxes, and the triangle mesh as a value.
 *
 * Column vectors; a transform AToB takes points of A to B; composition reads
 * right to left: AToC = BToC * AToB. Millimetres, seconds, radians. */
#ifndef ECHOSOLID_GEOM_H
#define ECHOSOLID_GEOM_H

#include "echosolid/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct es_vec3 {
    double x, y, z;
} es_vec3;

static inline es_vec3 es_vec3_make(double x, double y, double z) {
    es_vec3 v = {x, y, z};
    return v;
}
static inline es_vec3 es_vec3_add(es_vec3 a, es_vec3 b) {
    return es_vec3_make(a.x + b.x, a.y + b.y, a.z + b.z);
}
static inline es_vec3 es_vec3_sub(es_vec3 a, es_vec3 b) {
    return es_vec3_make(a.x - b.x, a.y - b.y, a.z - b.z);
}
static inline es_vec3 es_vec3_scale(es_vec3 a, double s) {
    return es_vec3_make(a.x * s, a.y * s, a.z * s);
}
static inline double es_vec3_dot(es_vec3 a, es_vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline es_vec3 es_vec3_cross(es_vec3 a, es_vec3 b) {
    return es_vec3_make(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
double es_vec3_length(es_vec3 a);
es_vec3 es_vec3_unit(es_vec3 a); /* the zero vector stays zero */

/* Row-major: m[4 * row + column]; the last row of an affine one is 0 0 0 1. */
typedef struct es_mat4 {
    double m[16];
} es_mat4;

es_mat4 es_mat4_identity(void);
es_mat4 es_mat4_translation(double x, double y, double z);
es_mat4 es_mat4_scaling(double x, double y, double z);
es_mat4 es_mat4_rotation(es_vec3 axis, double angle_rad); /* axis of any length > 0 */
es_mat4 es_mat4_multiply(es_mat4 a, es_mat4 b);           /* a * b: b acts first */
/* ES_GEOMETRY when singular (|det| of the 3x3 under 1e-12 of the product of
 * its column norms), not finite, or not affine. */
bool es_mat4_invert(es_mat4 a, es_mat4 *inverse, es_error *err);
es_vec3 es_mat4_point(es_mat4 a, es_vec3 p);  /* with translation */
es_vec3 es_mat4_vector(es_mat4 a, es_vec3 v); /* without */
es_vec3 es_mat4_column(es_mat4 a, int column);
double es_mat4_det3(es_mat4 a);
bool es_mat4_finite(es_mat4 a);
/* Largest |R'R - I| element, 0 for a rotation or mirror. */
double es_mat4_rigid_defect(es_mat4 a);

typedef struct es_quat {
    double w, x, y, z;
} es_quat;

/* Shepperd's method; the 3x3 part is taken as a rotation. */
es_quat es_quat_from_mat4(es_mat4 a);
es_mat4 es_quat_to_mat4(es_quat q, es_vec3 translation);
/* The shorter turn of a rotation as a vector: axis times angle, 0 to pi. */
es_vec3 es_mat4_turn(es_mat4 a);
/* Slerp along the shorter way (Shoemake 1985). t in [0, 1]. */
es_quat es_quat_slerp(es_quat a, es_quat b, double t);
/* Rotation by slerp, translation linearly. */
es_mat4 es_pose_interpolate(es_mat4 a, es_mat4 b, double t);

typedef struct es_box3 {
    es_vec3 min, max; /* empty while min.x > max.x */
} es_box3;
es_box3 es_box3_empty(void);
bool es_box3_is_empty(es_box3 box);
void es_box3_add(es_box3 *box, es_vec3 p);

/* ---- poses in time --------------------------------------------------- */

/* Samples of one transform, by strictly increasing time. */
typedef struct es_pose_track es_pose_track;
es_pose_track *es_pose_track_new(es_error *err);
void es_pose_track_free(es_pose_track *track);
/* Invalid samples are kept as gaps. Time must grow: ES_FORMAT otherwise,
 * naming both times. */
bool es_pose_track_add(es_pose_track *track, double time_s, es_mat4 pose, bool valid,
                       es_error *err);
size_t es_pose_track_count(const es_pose_track *track);
/* The pose at time_s between its valid neighbours. ES_GEOMETRY when outside
 * the samples or when the neighbours are more than max_gap_s apart; the
 * message has the times. */
bool es_pose_track_at(const es_pose_track *track, double time_s, double max_gap_s, es_mat4 *pose,
                      es_error *err);

/* ---- the transform graph --------------------------------------------- */

/* Frames of reference as nodes, transforms as edges. Each edge may be walked
 * both ways. Per frame: es_graph_set the poses, then es_graph_find. */
typedef struct es_graph es_graph;
es_graph *es_graph_new(es_error *err);
void es_graph_free(es_graph *graph);
es_graph *es_graph_copy(const es_graph *graph, es_error *err);

/* "ProbeToTracker" or "ProbeToTrackerTransform" -> "Probe", "Tracker". Names
 * with several "To" are split at the one after which an upper-case letter or
 * digit follows; several such places are ES_FORMAT. */
enum { ES_NAME_SIZE = 128 };
bool es_transform_name_split(const char *name, char from[ES_NAME_SIZE], char to[ES_NAME_SIZE],
                             es_error *err);

/* Sets or replaces the edge From -> To. valid = false keeps the edge, known
 * but unusable now. A stored inverse edge (To -> From) is ES_GEOMETRY when it
 * disagrees. Singular or non-finite matrices are stored as invalid with a
 * reason that es_graph_find reports. */
bool es_graph_set(es_graph *graph, const char *from, const char *to, es_mat4 transform, bool valid,
                  es_error *err);

/* The transform from -> to by the shortest chain of valid edges. ES_GEOMETRY
 * with the chain that was tried and what is missing or invalid; also when two
 * chains of the same length differ by more than 1e-6 (relative), naming
 * both. `chain` (may be NULL, es_free it) gets "Image -> Probe -> Tracker". */
bool es_graph_find(const es_graph *graph, const char *from, const char *to, es_mat4 *transform,
                   char **chain, es_error *err);
bool es_graph_has_node(const es_graph *graph, const char *name);
/* All node names, comma separated, in order of first mention; es_free it. */
char *es_graph_nodes(const es_graph *graph, es_error *err);

/* ---- the mesh as a value --------------------------------------------- */

/* Triangles by index, counter-clockwise seen from outside. `confidence` is
 * NULL or one value per vertex (0..1). Everything es_free'd by
 * es_mesh_clear, which leaves {0}. */
typedef struct es_mesh {
    float *vertices; /* 3 per vertex, mm */
    size_t vertex_count;
    uint32_t *triangles; /* 3 per triangle */
    size_t triangle_count;
    float *confidence;
} es_mesh;
void es_mesh_clear(es_mesh *mesh);
bool es_mesh_copy(const es_mesh *mesh, es_mesh *copy, es_error *err);
es_box3 es_mesh_box(const es_mesh *mesh);
/* Area-weighted unit normals, 3 floats per vertex; `normals` has room. */
void es_mesh_normals(const es_mesh *mesh, float *normals);

/* ---- points that can be asked for neighbours ---------------------------- */

/* Points in cells of `reach_mm`, to ask quickly whether one lies near. The
 * points (3 floats each) are copied; non-finite ones are left out. */
typedef struct es_point_set es_point_set;
es_point_set *es_point_set_new(const float *points, size_t count, double reach_mm, es_error *err);
void es_point_set_free(es_point_set *set);
/* True when a point lies within reach_mm of p (3 floats). */
bool es_point_set_near(const es_point_set *set, const float *p);

/* ---- least squares -------------------------------------------------------- */

/* The rigid motion (det +1) that takes `from` to `to` best in the least
 * squares sense: Horn, "Closed-form solution of absolute orientation using
 * unit quaternions", 1987. `weights` may be NULL; `scale` not NULL: also the
 * scale (Umeyama 1991), which multiplies the 3x3 part. ES_GEOMETRY for fewer
 * than 3 points, points on one line, or numbers that are not finite. */
bool es_align_points(const es_vec3 *from, const es_vec3 *to, const double *weights, size_t count,
                     double *scale, es_mat4 *motion, es_error *err);

/* Eigenvalues (falling) and unit eigenvectors (columns of `vectors`, n x n
 * row-major) of a symmetric n x n matrix by Jacobi's rotations; n <= 32. */
void es_eigen_symmetric(const double *matrix, int n, double *values, double *vectors);

/* Levenberg and Marquardt's fit through cminpack. `residuals` fills m numbers
 * for the n parameters x; false stops the fit (its own error is kept). */
typedef bool es_fit_fn(void *context, const double *x, double *residuals, es_error *err);
typedef struct es_fit {
    es_fit_fn *residuals;
    void *context;
    int n, m;            /* m >= n */
    int max_evaluations; /* 0: 200 * (n + 1) */
    double tolerance;    /* relative, of cost and x; 0: 1e-10 */
    double step;         /* relative, of the forward differences; 0: 1.5e-8 */
} es_fit;
typedef struct es_fit_result {
    double cost; /* sum of squared residuals */
    int evaluations;
    bool converged;
    double condition; /* of the scaled normal matrix; INFINITY: singular */
} es_fit_result;
/* x: start and result. `covariance` (n x n row-major, may be NULL): inverse
 * normal matrix times cost / (m - n), from central differences at the result;
 * filled with INFINITY when a parameter is not determined. */
bool es_fit_run(const es_fit *fit, double *x, double *covariance, es_fit_result *result,
                es_error *err);
/* A residual r whose square is the soft L1 loss 2 s^2 (sqrt(1 + (r/s)^2) - 1),
 * with the sign of r: large ones count linearly. */
double es_fit_soft(double r, double scale);

#ifdef __cplusplus
}
#endif
#endif
