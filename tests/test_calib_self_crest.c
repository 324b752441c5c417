/* Where the self calibration takes a bone to lie in a picture, against the true bone of
 * the simulation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../src/calib/self.h"
#include "echosolid/calibration.h"
#include "echosolid/simulate.h"

/* By the cosine of the incidence: up to 46, 57 and 66 degrees. */
enum { BINS = 3 };
static const double least_cosine[BINS] = {0.7, 0.55, 0.4};

typedef struct offsets {
    double sum[BINS], square[BINS]; /* along the beam, deeper is positive; mm */
    int count[BINS], far;
} offsets;

static es_simulation bone(const char *scene, uint64_t seed) {
    es_simulation s;
    assert_true(es_simulation_preset(scene, &s, NULL));
    s.frames = 60;
    s.sweeps = 6;
    s.lean_rad = 0.35;
    s.turn_rad = 0.7;
    s.probe.image_size[0] = s.probe.image_size[1] = 256;
    s.seed = seed;
    return s;
}

/* Of a place in the scene's axes, met along `beam`. */
static void add_offset(const es_scene *scene, es_vec3 p, es_vec3 beam, offsets *o) {
    const double step = 0.1;
    double d = es_scene_distance(scene, p);
    es_vec3 normal = es_vec3_unit(
        es_vec3_make(es_scene_distance(scene, es_vec3_make(p.x + step, p.y, p.z)) - d,
                     es_scene_distance(scene, es_vec3_make(p.x, p.y + step, p.z)) - d,
                     es_scene_distance(scene, es_vec3_make(p.x, p.y, p.z + step)) - d));
    double cosine = -es_vec3_dot(normal, beam);
    int bin = 0;
    while (bin < BINS && cosine < least_cosine[bin]) bin++;
    if (bin == BINS) return;
    if (fabs(d) > 1.5) {
        o->far++;
        return;
    }
    o->sum[bin] -= d / cosine, o->square[bin] += d * d, o->count[bin]++;
}

static void add_picture(const self_fit *fit, size_t f, es_mat4 image_to_scene,
                        const es_scene *scene, offsets *o) {
    const es_self_pictures *p = fit->pictures;
    double middle = 0.5 * (p->cell_px - 1);
    es_vec3 beam = es_vec3_unit(es_mat4_column(image_to_scene, 1));
    for (size_t x = 0; x < p->width; x++) {
        self_crest c = fit->crests[f * p->width + x];
        if (isnan(c.row)) continue;
        es_vec3 px =
            es_vec3_make((double)x * p->cell_px + middle, (double)c.row * p->cell_px + middle, 0);
        add_offset(scene, es_mat4_point(image_to_scene, px), beam, o);
    }
}

static void read_all(const es_simulation *s, es_self_pictures *pictures, es_pose_track **track) {
    es_pose_list poses = {0};
    bool timed;
    es_source *source = es_simulation_open(s, NULL);
    assert_non_null(source);
    assert_true(es_self_pictures_read(source, NULL, pictures, &timed, NULL));
    assert_true(es_source_rewind(source, NULL));
    assert_true(es_pose_list_read(source, NULL, "ProbeToReference", &poses, NULL));
    *track = es_pose_list_track(&poses, NULL);
    assert_non_null(*track);
    es_pose_list_clear(&poses);
    es_source_free(source);
}

static void find_offsets(const es_simulation *s, offsets *o) {
    es_self_pictures pictures = {0};
    es_pose_track *track;
    es_mat4 pose, back;
    read_all(s, &pictures, &track);
    size_t cells = (size_t)pictures.width * pictures.height;
    self_fit fit = {.pictures = &pictures, .poses = track, .channel = SELF_SURFACE};
    fit.lit = es_alloc_zero(cells, 1, NULL);
    fit.source = es_alloc_zero(cells * pictures.count, sizeof *fit.source, NULL);
    fit.crests = es_alloc_zero(pictures.count * pictures.width, sizeof *fit.crests, NULL);
    assert_true(fit.lit && fit.source && fit.crests);
    assert_int_equal(self_choose_channel(&fit), SELF_SURFACE);
    assert_true(self_source_make(&fit, NULL));
    es_scene *scene = es_scene_new(s->scene, NULL);
    assert_true(es_mat4_invert(es_simulation_scene_to_reference(s), &back, NULL));
    memset(o, 0, sizeof *o);
    for (size_t f = 0; f < pictures.count; f++) {
        assert_true(es_pose_track_at(track, pictures.times_s[f], 0.5, &pose, NULL));
        es_mat4 m = es_mat4_multiply(es_mat4_multiply(back, pose), es_simulation_image_to_probe(s));
        add_picture(&fit, f, m, scene, o);
    }
    es_scene_free(scene);
    es_free(fit.lit);
    es_free(fit.source);
    es_free(fit.crests);
    es_pose_track_free(track);
    es_self_pictures_clear(&pictures);
}

/* The calibration's interval holds 0.1 mm an axis that all passes share, one standard
 * deviation: what the mean may be off by. Where the bone is steep a depth counts by the
 * cosine, half as much and less, so that it may be off by three times that. */
static void a_bone_is_taken_to_lie_where_it_is_however_it_is_met(void **state) {
    (void)state;
    static const char *const scenes[] = {"knee", "forearm"};
    for (int k = 0; k < 2; k++) {
        offsets o;
        es_simulation s = bone(scenes[k], 40 + (uint64_t)k);
        find_offsets(&s, &o);
        for (int b = 0; b < BINS; b++) {
            double mean = o.sum[b] / o.count[b];
            print_message("%s, cosine %.2f and more: %+.3f mm along the beam in the mean, RMS %.3f "
                          "across the surface, %d places\n",
                          scenes[k], least_cosine[b], mean, sqrt(o.square[b] / o.count[b]),
                          o.count[b]);
            assert_true(o.count[b] > 100);
            assert_true(fabs(mean) < (b < 2 ? 0.1 : 0.3));
        }
        /* those that are not of the bone's face are outliers of the fit, and few */
        assert_true(20 * o.far < o.count[0] + o.count[1] + o.count[2]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bone_is_taken_to_lie_where_it_is_however_it_is_met)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
