/* bench_poses: how often the layout of a pose table is found, missed, or taken
 * for another, over 48 layouts of simulated motions: 4 orders of the numbers,
 * 3 units, 2 handednesses, 2 directions, none of them named. Asked: none
 * wrong; with motion in the picture's plane 90 % answered; without, none.
 * `--check` fails otherwise; `--seed N` takes other motions. */
#include <unistd.h>

#include "../tests/pose_scene.h"

/* Right is what places each picture within this of the truth: the table's
 * digits and readings that are alike leave less. */
static const double RIGHT_MM = 0.2;

typedef struct tally {
    int answered, wrong, asked;
    double seconds;
} tally;

static es_source *join(pose_scene *s, const char *path, const es_plus *plus, es_error *err) {
    es_pose_request request;
    es_decisions decisions = {0};
    es_pose_request_init(&request);
    request.path = path;
    request.plus = plus;
    es_source *joined = es_pose_join(scene_open(s, err), &request, &decisions, err);
    es_decisions_clear(&decisions);
    return joined;
}

static void try_layout(int n, uint64_t seed, bool in_plane, const char *path, tally *t, bool talk) {
    es_error err = {0};
    pose_scene s;
    scene_make(&s, seed, in_plane);
    scene_write(&s, path, scene_layout_number(n));
    es_plus *plus = scene_plus(&s, &err);
    double start = es_clock_s();
    es_source *joined = join(&s, path, plus, &err);
    t->seconds += es_clock_s() - start;
    if (joined) {
        double error = scene_error_mm(&s, joined);
        t->answered++;
        t->wrong += !(error <= RIGHT_MM);
        if (error > RIGHT_MM)
            printf("  layout %d, seed %llu: WRONG, %.1f mm off\n", n, (unsigned long long)seed,
                   error);
    } else {
        t->asked++;
        if (talk) printf("  layout %d: %s\n", n, err.message);
    }
    es_source_free(joined);
    es_plus_free(plus);
    scene_clear(&s);
}

int main(int argc, char **argv) {
    uint64_t seed = 5000;
    bool check = false, talk = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) check = true;
        if (strcmp(argv[i], "--talk") == 0) talk = true;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) seed = strtoull(argv[++i], NULL, 10);
    }
    char path[64] = "/tmp/echosolid-poses-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    tally with = {0}, without = {0};
    for (int n = 0; n < LAYOUTS; n++) {
        try_layout(n, seed + (uint64_t)n, true, path, &with, talk);
        try_layout(n, seed + 100 + (uint64_t)n, false, path, &without, false);
    }
    unlink(path);
    bool good =
        with.wrong + without.wrong + without.answered == 0 && 10 * with.answered >= 9 * LAYOUTS;
    printf("%-28s %8s %6s %6s %10s\n", "48 layouts", "answered", "wrong", "asked", "s a table");
    printf("%-28s %8d %6d %6d %10.2f\n", "motion in the plane", with.answered, with.wrong,
           with.asked, with.seconds / LAYOUTS);
    printf("%-28s %8d %6d %6d %10.2f\n", "motion across it only", without.answered, without.wrong,
           without.asked, without.seconds / LAYOUTS);
    printf("asked: 0 wrong, 43 answered with motion in the plane, 0 without: %s\n",
           good ? "yes" : "MISSED");
    return check && !good ? 1 : 0;
}
