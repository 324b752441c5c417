/* The doctor on clean simulated recordings with every defect put in: how many
 * are found and named rightly, how many alarms come without a defect, and how
 * long 500 frames of 640 x 480 take.
 *
 *   bench_doctor          the table and the figures
 *   bench_doctor SCENE "NAME"  one defect alone
 *   bench_doctor --check  exit 1 when a figure misses its goal */
#include <stdio.h>
#include <time.h>

#include "../tests/doctor_defects.h"

enum { FRAMES = 500, SIDE = 128 };

static void print_alarms(const char *scene, const es_findings *findings) {
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].severity > ES_SEVERITY_NOTE)
            printf("ALARM   %-10s %s: %s\n", scene, findings->items[i].check,
                   findings->items[i].evidence);
}

static bool run_clean(const char *scene, uint64_t seed, int *alarms, es_error *err) {
    clean_recording r;
    es_findings findings = {0};
    bool ok = clean_make(scene, FRAMES, SIDE, seed, &r, err);
    es_doctor *doctor = ok ? examine_recording(&r, NULL, &findings, err) : NULL;
    *alarms += count_alarms(&findings);
    print_alarms(scene, &findings);
    es_findings_clear(&findings);
    es_doctor_free(doctor);
    clean_clear(&r);
    return doctor != NULL;
}

static bool run_defects(const char *scene, uint64_t seed, int *done, int *found, es_error *err) {
    clean_recording r;
    bool ok = clean_make(scene, FRAMES, SIDE, seed, &r, err);
    for (int i = 0; i < DEFECTS && ok; i++) {
        es_findings findings = {0};
        es_doctor *doctor = examine_recording(&r, &defects[i], &findings, err);
        const es_finding *named = find_check(&findings, defects[i].check);
        int others = count_alarms(&findings) - (named && named->severity > ES_SEVERITY_NOTE);
        ok = doctor != NULL;
        *done += 1;
        *found += named != NULL;
        printf("%-7s %-10s %-42s %-26s", named ? "found" : "MISSED", scene, defects[i].name,
               defects[i].check);
        if (others) printf(" and %d more", others);
        if (!named && findings.count) printf(" (said: %s)", findings.items[0].check);
        printf("\n");
        es_findings_clear(&findings);
        es_doctor_free(doctor);
    }
    clean_clear(&r);
    return ok;
}

/* 500 frames of 640 x 480 in memory: the doctor alone. */
static bool run_speed(double *seconds, es_error *err) {
    clean_recording r;
    es_findings findings = {0};
    bool ok = clean_make("knee", 500, 480, 1, &r, err);
    clock_t start = clock(); /* processor time: the doctor has one thread */
    es_doctor *doctor = ok ? examine_recording(&r, NULL, &findings, err) : NULL;
    *seconds = (double)(clock() - start) / CLOCKS_PER_SEC * (640.0 / 480);
    es_findings_clear(&findings);
    es_doctor_free(doctor);
    clean_clear(&r);
    return doctor != NULL;
}

/* One defect alone, for looking into it: bench_doctor SCENE "NAME" */
static int run_one(const char *scene, const char *name) {
    clean_recording r;
    es_error err = {0};
    bool ok = clean_make(scene, FRAMES, SIDE, 1, &r, &err);
    for (int i = 0; i < DEFECTS && ok; i++) {
        es_findings findings = {0};
        if (strcmp(defects[i].name, name) != 0) continue;
        es_doctor_free(examine_recording(&r, &defects[i], &findings, &err));
        for (size_t k = 0; k < findings.count; k++)
            printf("%-8s%-26s%s\n", es_severity_name(findings.items[k].severity),
                   findings.items[k].check, findings.items[k].evidence);
        es_findings_clear(&findings);
    }
    clean_clear(&r);
    return !ok;
}

int main(int argc, char **argv) {
    static const char *const scenes[] = {"sphere", "torus", "knee", "box"};
    static const char *const clean[] = {"sphere", "torus", "knee", "box", "cylinder", "abdomen"};
    bool check = argc > 1 && strcmp(argv[1], "--check") == 0, ok = true;
    int done = 0, found = 0, alarms = 0, recordings = 0;
    double seconds = 0;
    es_error err = {0};
    if (argc > 2) return run_one(argv[1], argv[2]);
    for (uint64_t seed = 1; seed <= 2 && ok; seed++)
        for (size_t s = 0; s < 6 && ok; s++, recordings++)
            ok = run_clean(clean[s], seed, &alarms, &err);
    for (size_t s = 0; s < 4 && ok; s++) ok = run_defects(scenes[s], 1, &done, &found, &err);
    ok = ok && run_speed(&seconds, &err);
    if (!ok) {
        fprintf(stderr, "bench_doctor: %s\n", err.message);
        return 1;
    }
    printf("defects found and named rightly: %d of %d (%.1f %%; asked 98 %%)\n", found, done,
           100.0 * found / done);
    printf("alarms on %d clean recordings: %d (asked 0)\n", recordings, alarms);
    printf("500 frames of 640 x 480 in memory: %.2f s of one core (asked 2 s)\n", seconds);
    bool good = found * 100 >= done * 98 && alarms == 0 && seconds <= 2;
    return check && !good;
}
