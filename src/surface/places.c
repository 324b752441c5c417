/* Vertices that share their coordinates: one vertex in a file that has no
 * indices, such as STL. A hash table of places finds them. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "topology.h"

typedef struct place_table {
    const es_mesh *mesh;
    uint32_t *slots; /* vertex or NO_VERTEX */
    size_t mask;
} place_table;

#define NO_VERTEX UINT32_MAX

/* The finaliser of SplitMix64 (Steele, Lea and Flood 2014), over coordinates
 * as bits; -0 counts as 0. */
static uint64_t hash_place(const float at[3]) {
    uint64_t hash = 0;
    for (int a = 0; a < 3; a++) {
        uint32_t bits;
        float value = at[a] + 0.0f;
        memcpy(&bits, &value, sizeof bits);
        hash += bits + 0x9e3779b97f4a7c15u;
        hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
        hash = (hash ^ hash >> 27) * 0x94d049bb133111ebu;
        hash ^= hash >> 31;
    }
    return hash;
}

/* At most half full once every vertex is in. */
static bool make_table(place_table *table, const es_mesh *mesh, es_error *err) {
    size_t count = 16;
    while (count < 2 * mesh->vertex_count) count *= 2;
    *table = (place_table){.mesh = mesh, .mask = count - 1};
    table->slots = es_alloc(count, sizeof *table->slots, err);
    if (table->slots) memset(table->slots, 0xff, count * sizeof *table->slots); /* NO_VERTEX */
    return table->slots != NULL;
}

/* The vertex that was put first where `vertex` lies, or `vertex` itself, which
 * is in the table from now on. */
static uint32_t put_vertex(place_table *table, uint32_t vertex) {
    const float *all = table->mesh->vertices, *at = all + 3 * (size_t)vertex;
    for (size_t slot = hash_place(at) & table->mask;; slot = (slot + 1) & table->mask) {
        if (table->slots[slot] == NO_VERTEX) return table->slots[slot] = vertex;
        const float *there = all + 3 * (size_t)table->slots[slot];
        if (there[0] == at[0] && there[1] == at[1] && there[2] == at[2]) return table->slots[slot];
    }
}

uint32_t *surface_places(const es_mesh *mesh, es_error *err) {
    place_table table;
    if (!make_table(&table, mesh, err)) return NULL;
    uint32_t *places = es_alloc(mesh->vertex_count, sizeof *places, err);
    if (places)
        for (size_t v = 0; v < mesh->vertex_count; v++) places[v] = put_vertex(&table, (uint32_t)v);
    es_free(table.slots);
    return places;
}

/* Try number `attempt` for a vertex: the corners and sides of a cube about
 * where it was, then of larger ones. At least some steps of a 32-bit float. */
static void step_aside(const double from[3], size_t attempt, double step_mm, float to[3]) {
    size_t side = attempt % 27 < 13 ? attempt % 27 : attempt % 27 + 1; /* 13: the centre */
    if (side == 27) side = 0;
    for (int a = 0; a < 3; a++, side /= 3) {
        double least = fmax(fmax(step_mm, fabs(from[a]) * 0x1p-21), FLT_MIN);
        to[a] = (float)(from[a] + ((double)(side % 3) - 1) * least * (1 + (double)(attempt / 27)));
    }
}

bool surface_part_places(es_mesh *mesh, size_t first, double step_mm, es_error *err) {
    place_table table;
    if (!make_table(&table, mesh, err)) return false;
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        float *at = mesh->vertices + 3 * v;
        double from[3] = {at[0], at[1], at[2]};
        for (size_t attempt = 0; put_vertex(&table, (uint32_t)v) != v && v >= first; attempt++)
            step_aside(from, attempt, step_mm, at);
    }
    es_free(table.slots);
    return true;
}
