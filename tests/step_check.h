/* Two judges of STEP files: one reads the text by itself, the other is Open
 * CASCADE in its strict set-up (tests/oracle_step.cc). */
#ifndef ECHOSOLID_TESTS_STEP_CHECK_H
#define ECHOSOLID_TESTS_STEP_CHECK_H

#include <ctype.h>

#include "cad_files.h"

typedef struct step_text {
    size_t entities, faces, edges, vertices, solids, shells;
    size_t edge_uses; /* ORIENTED_EDGEs */
    bool closed;      /* each edge is used once in each sense */
    long euler;       /* V - E + F */
} step_text;

typedef struct step_side {
    long from, to;
} step_side;

static inline int by_step_side(const void *a, const void *b) {
    const step_side *p = a, *q = b;
    if (p->from != q->from) return p->from < q->from ? -1 : 1;
    return (p->to > q->to) - (p->to < q->to);
}

enum { STEP_ENTITIES = 2000000 };

/* Past the statement's ';', strings left out of account; refs get what it names. */
static inline const char *step_statement(const char *at, long *refs, size_t *count, size_t most) {
    *count = 0;
    for (; *at && *at != ';'; at++) {
        if (*at == '\'') {
            for (at++; *at && (*at != '\'' || at[1] == '\''); at++) at += *at == '\'';
            if (!*at) fail_msg("a string without end");
        } else if (*at == '#') {
            assert_true(*count < most);
            refs[(*count)++] = strtol(at + 1, NULL, 10);
        } else if (isdigit((unsigned char)*at) && at[1] == 'e') {
            fail_msg("a lower-case exponent: %.40s", at);
        }
    }
    assert_int_equal(*at, ';');
    return at + 1;
}

static inline void step_use_edge(int8_t *senses, long edge, const char *statement,
                                 const char *end) {
    bool forward = memcmp(end - 5, ".T.);", 5) == 0;
    if (!forward && memcmp(end - 5, ".F.);", 5) != 0) fail_msg("%.60s", statement);
    if (senses[edge] & (forward ? 1 : 2)) fail_msg("edge #%ld is used twice in one sense", edge);
    senses[edge] |= forward ? 1 : 2;
}

/* Every reference is defined, everything is defined once; edges are used at most
 * once in each sense. */
static inline step_text read_step(const char *path) {
    size_t length, count, side_count = 0;
    char *file = es_file_read(path, (size_t)1 << 30, &length, NULL);
    assert_non_null(file);
    assert_int_equal(strncmp(file, "ISO-10303-21;\nHEADER;\n", 22), 0);
    assert_string_equal(file + length - 26, "ENDSEC;\nEND-ISO-10303-21;\n");
    uint8_t *defined = calloc(STEP_ENTITIES, 1), *named = calloc(STEP_ENTITIES, 1);
    int8_t *senses = calloc(STEP_ENTITIES, 1);
    long *refs = malloc(STEP_ENTITIES * sizeof *refs);
    step_side *sides = malloc(3 * 60000 * sizeof *sides);
    step_text t = {.closed = true};
    const char *at = strstr(file, "DATA;\n");
    assert_non_null(at);
    for (at += 6; strncmp(at, "ENDSEC", 6) != 0; at += *at == '\n') {
        const char *start = at;
        at = step_statement(at, refs, &count, STEP_ENTITIES);
        const char *word = strchr(start, '=') + 1;
        assert_true(*start == '#' && refs[0] > 0 && refs[0] < STEP_ENTITIES);
        if (defined[refs[0]]++) fail_msg("#%ld is defined twice", refs[0]);
        for (size_t i = 1; i < count; i++) named[refs[i]] = 1;
        t.entities++;
        t.faces +=
            strncmp(word, "ADVANCED_FACE(", 14) == 0 || strncmp(word, "FACE_SURFACE(", 13) == 0;
        t.edges += strncmp(word, "EDGE_CURVE(", 11) == 0;
        t.vertices += strncmp(word, "VERTEX_POINT(", 13) == 0;
        t.solids += strncmp(word, "MANIFOLD_SOLID_BREP(", 20) == 0 ||
                    strncmp(word, "FACETED_BREP(", 13) == 0;
        t.shells += strncmp(word, "OPEN_SHELL(", 11) == 0;
        if (strncmp(word, "ORIENTED_EDGE(", 14) == 0) {
            step_use_edge(senses, refs[1], start, at);
            t.edge_uses++;
        }
        if (strncmp(word, "POLY_LOOP(", 10) == 0)
            for (size_t i = 1; i < count; i++)
                sides[side_count++] = (step_side){refs[i], refs[i == count - 1 ? 1 : i + 1]};
    }
    for (long n = 0; n < STEP_ENTITIES; n++)
        if (named[n] && !defined[n]) fail_msg("#%ld is named but not defined", n);
    if (side_count == 0) t.closed = t.edge_uses == 2 * t.edges;
    qsort(sides, side_count, sizeof *sides, by_step_side);
    for (size_t i = 0; i < side_count; i++) {
        step_side back = {sides[i].to, sides[i].from};
        if (i > 0 && by_step_side(&sides[i - 1], &sides[i]) == 0) fail_msg("a side twice");
        t.closed &= bsearch(&back, sides, side_count, sizeof back, by_step_side) != NULL;
        if (i == 0 || sides[i].from != sides[i - 1].from) t.vertices++;
    }
    t.edges += side_count / 2;
    t.euler = (long)t.vertices - (long)t.edges + (long)t.faces;
    free(defined);
    free(named);
    free(senses);
    free(refs);
    free(sides);
    es_free(file);
    return t;
}

/* ---- Open CASCADE ----------------------------------------------------------------- */

typedef struct step_verdict {
    int solids, shells, faces, edges, vertices, free_edges, valid;
    double tolerance, volume, area, size[3];
    char name[256];
} step_verdict;

/* The reader's settings without the mending of orientations. */
static inline bool make_strict(const char *resources) {
    char command[2500], folder[400];
    snprintf(folder, sizeof folder, "%s", in_folder("strict"));
    snprintf(command, sizeof command,
             "mkdir -p '%s' && cp '%s/STEP' '%s/IGES' '%s' && sed -i -E "
             "'s/^(FromSTEP.FixShape.(FixShellOrientationMode|FixFaceOrientationMode|"
             "FixOrientationMode|FixReorderMode)[[:space:]]*:).*/\\1 0/' '%s/STEP' && "
             "grep -cE '^FromSTEP.FixShape.Fix(ShellOrientation|FaceOrientation|Orientation|"
             "Reorder)Mode[[:space:]]*: 0' '%s/STEP' | grep -qx 4",
             folder, resources, resources, folder, folder, folder);
    return system(command) == 0;
}

/* False without Open CASCADE; the test should then skip. */
static inline bool ask_occt(const char *path, step_verdict *v) {
    const char *oracle = getenv("ES_STEP_ORACLE"), *resources = getenv("ES_STEP_RESOURCES");
    char command[1500], line[1000] = "", file[400]; /* in_folder's places come round again */
    snprintf(file, sizeof file, "%s", path);
    if (!oracle || !resources) {
        print_message("Open CASCADE is not installed (libocct-data-exchange-dev): not asked\n");
        return false;
    }
    if (!file_exists(in_folder("strict/STEP"))) assert_true(make_strict(resources));
    snprintf(command, sizeof command,
             "CSF_STEPDefaults='%s' CSF_IGESDefaults='%s' ASAN_OPTIONS=detect_leaks=0 '%s' '%s' "
             "2>/dev/null",
             in_folder("strict"), in_folder("strict"), oracle, file);
    FILE *answer = popen(command, "r");
    assert_non_null(answer);
    char *got = fgets(line, sizeof line, answer);
    pclose(answer);
    *v = (step_verdict){0};
    if (!got || sscanf(line,
                       "solids=%d shells=%d faces=%d edges=%d vertices=%d free=%d valid=%d "
                       "tolerance=%lf volume=%lf area=%lf size=%lf,%lf,%lf name=\"%255[^\"]",
                       &v->solids, &v->shells, &v->faces, &v->edges, &v->vertices, &v->free_edges,
                       &v->valid, &v->tolerance, &v->volume, &v->area, &v->size[0], &v->size[1],
                       &v->size[2], v->name) < 13)
        fail_msg("Open CASCADE: %s", line);
    return true;
}

#endif
