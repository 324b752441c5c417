#include "thin.h"

#include <math.h>
#include <string.h>

/* Cells in a hash table with open addressing, numbered as they come. */
typedef struct cell_table {
    int32_t (*at)[3];    /* by number */
    double (*sum)[4];    /* x, y, z, confidence */
    uint32_t *members;   /* how many corners */
    uint32_t *slots;     /* number + 1; 0: free */
    uint32_t *of_corner; /* the number of each corner's cell */
    size_t mask, count;
} cell_table;

static void clear_table(cell_table *t) {
    es_free(t->at);
    es_free(t->sum);
    es_free(t->members);
    es_free(t->slots);
    es_free(t->of_corner);
}

static bool make_table(cell_table *t, size_t corners, es_error *err) {
    size_t slots = 16;
    while (slots < 2 * corners) slots *= 2;
    *t = (cell_table){.mask = slots - 1};
    t->at = es_alloc(corners, sizeof *t->at, err);
    t->sum = es_alloc_zero(corners, sizeof *t->sum, err);
    t->members = es_alloc_zero(corners, sizeof *t->members, err);
    t->of_corner = es_alloc(corners, sizeof *t->of_corner, err);
    t->slots = es_alloc_zero(slots, sizeof *t->slots, err);
    return t->at && t->sum && t->members && t->of_corner && t->slots;
}

static uint32_t find_cell(cell_table *t, const int32_t at[3]) {
    size_t slot = es_place_hash(at) & t->mask;
    while (t->slots[slot] && memcmp(t->at[t->slots[slot] - 1], at, sizeof *t->at) != 0)
        slot = (slot + 1) & t->mask;
    if (t->slots[slot] == 0) {
        memcpy(t->at[t->count], at, sizeof *t->at);
        t->slots[slot] = (uint32_t)++t->count;
    }
    return t->slots[slot] - 1;
}

static void add_corners(cell_table *t, const es_mesh *mesh, double cell_mm) {
    for (size_t i = 0; i < mesh->vertex_count; i++) {
        const float *v = mesh->vertices + 3 * i;
        int32_t at[3];
        for (int a = 0; a < 3; a++)
            at[a] = (int32_t)fmin(fmax(floor((double)v[a] / cell_mm), INT32_MIN), INT32_MAX);
        uint32_t cell = find_cell(t, at);
        for (int a = 0; a < 3; a++) t->sum[cell][a] += (double)v[a];
        if (mesh->confidence) t->sum[cell][3] += (double)mesh->confidence[i];
        t->members[cell]++;
        t->of_corner[i] = cell;
    }
}

/* There are no more cells than there were corners: in place. */
static void take_cells(const cell_table *t, es_mesh *mesh) {
    for (size_t c = 0; c < t->count; c++) {
        for (size_t a = 0; a < 3; a++)
            mesh->vertices[3 * c + a] = (float)(t->sum[c][a] / t->members[c]);
        if (mesh->confidence) mesh->confidence[c] = (float)(t->sum[c][3] / t->members[c]);
    }
    mesh->vertex_count = t->count;
}

static void take_triangles(const cell_table *t, es_mesh *mesh) {
    size_t kept = 0;
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        uint32_t *to = mesh->triangles + 3 * kept;
        const uint32_t *from = mesh->triangles + 3 * i;
        uint32_t a = t->of_corner[from[0]], b = t->of_corner[from[1]], c = t->of_corner[from[2]];
        if (a == b || b == c || c == a) continue;
        to[0] = a;
        to[1] = b;
        to[2] = c;
        kept++;
    }
    mesh->triangle_count = kept;
}

bool thin_mesh(es_mesh *mesh, double cell_mm, es_error *err) {
    cell_table table;
    bool ok = make_table(&table, mesh->vertex_count, err);
    if (ok) {
        add_corners(&table, mesh, cell_mm);
        take_triangles(&table, mesh);
        take_cells(&table, mesh);
    }
    clear_table(&table);
    return ok;
}
