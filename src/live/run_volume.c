/* The growing volume for clients of the server: whole, or, where they are said to
 * understand it, what has changed since it was last sent whole.
 *
 * A part holds all changes since then, not only the newest: so each part may be left out
 * for a slow client, and a late one gets the whole and then any part. */
#include <string.h>

#include "outgo.h"
#include "run.h"

static size_t voxel_bytes(const es_grid_info *info) {
    return es_type_size(info->type) * (size_t)info->channels;
}

static bool same_lattice(const es_grid_info *a, const es_grid_info *b) {
    return memcmp(a->size, b->size, sizeof a->size) == 0 &&
           memcmp(a->origin_mm, b->origin_mm, sizeof a->origin_mm) == 0 &&
           memcmp(a->spacing_mm, b->spacing_mm, sizeof a->spacing_mm) == 0 && a->type == b->type &&
           a->channels == b->channels;
}

/* First and last voxel along each axis. */
typedef struct voxel_box {
    uint64_t first[3], last[3];
    bool any;
} voxel_box;

static void add_voxel(voxel_box *box, const uint64_t at[3]) {
    for (int a = 0; a < 3; a++) {
        if (!box->any || at[a] < box->first[a]) box->first[a] = at[a];
        if (!box->any || at[a] > box->last[a]) box->last[a] = at[a];
    }
    box->any = true;
}

/* The voxels that differ. */
static voxel_box find_changes(const es_grid *a, const es_grid *b) {
    const uint64_t *n = a->info.size;
    const size_t voxel = voxel_bytes(&a->info), row = (size_t)n[0] * voxel;
    const char *of_a = a->data, *of_b = b->data;
    voxel_box box = {0};
    for (uint64_t z = 0; z < n[2]; z++)
        for (uint64_t y = 0; y < n[1]; y++, of_a += row, of_b += row) {
            if (memcmp(of_a, of_b, row) == 0) continue;
            uint64_t low = 0, high = n[0] - 1;
            while (memcmp(of_a + low * voxel, of_b + low * voxel, voxel) == 0) low++;
            while (memcmp(of_a + high * voxel, of_b + high * voxel, voxel) == 0) high--;
            add_voxel(&box, (const uint64_t[3]){low, y, z});
            add_voxel(&box, (const uint64_t[3]){high, y, z});
        }
    return box;
}

static size_t count_voxels(const voxel_box *box) {
    size_t count = 1;
    for (int a = 0; a < 3; a++) count *= (size_t)(box->last[a] - box->first[a] + 1);
    return count;
}

static void copy_box(const es_grid *grid, const voxel_box *box, char *to) {
    const uint64_t *n = grid->info.size;
    const size_t voxel = voxel_bytes(&grid->info);
    const size_t row = (size_t)(box->last[0] - box->first[0] + 1) * voxel;
    for (uint64_t z = box->first[2]; z <= box->last[2]; z++)
        for (uint64_t y = box->first[1]; y <= box->last[1]; y++, to += row)
            memcpy(to, (const char *)grid->data + ((z * n[1] + y) * n[0] + box->first[0]) * voxel,
                   row);
}

static bool send_part(es_live_run *r, const es_grid *grid, const voxel_box *box) {
    es_igtl_out out = {0};
    const size_t bytes = count_voxels(box) * voxel_bytes(&grid->info);
    char *pixels = es_alloc(bytes, 1, NULL);
    if (!pixels) return false;
    copy_box(grid, box, pixels);
    outgo_volume_part(&out, "Volume", grid, box->first, box->last, pixels, outgo_now());
    bool ok = es_live_server_send_part(r->options.server, &out);
    es_igtl_out_clear(&out);
    es_free(pixels);
    return ok;
}

/* Takes the grid if parts may follow. */
static void send_whole(es_live_run *r, es_grid *base, es_grid *grid) {
    es_igtl_out out = {0};
    outgo_volume(&out, "Volume", grid, outgo_now());
    bool ok = es_live_server_send(r->options.server, &out, true);
    es_igtl_out_clear(&out);
    es_grid_clear(base);
    if (!ok || !r->options.volume_parts) return;
    *base = *grid;
    *grid = (es_grid){0};
}

void run_send_volume(es_live_run *r, es_grid *base, es_grid *grid) {
    if (base->data && same_lattice(&base->info, &grid->info)) {
        const voxel_box box = find_changes(base, grid);
        if (!box.any) return;
        const uint64_t *n = grid->info.size;
        if (2 * count_voxels(&box) <= n[0] * n[1] * n[2] && send_part(r, grid, &box)) return;
    }
    send_whole(r, base, grid);
}
