/* Marching cubes (Lorensen and Cline 1987) with its case table computed.
 *
 * In each face of a cell, every run of inside corners is cut off by one
 * segment, from the edge where a walk round the face comes in to the edge
 * where it goes out. Where a face is ambiguous (inside corners on one
 * diagonal) both inside corners are cut off: the rule looks at the face
 * alone, so the two cells that share it draw the same segments and the
 * surface has no cracks. An edge that is crossed belongs to two faces, comes
 * in on one and goes out on the other, so the segments close into loops.
 *
 * A loop is cut into triangles by diagonals through the inside of the cell.
 * One that lay in a face could be drawn by the neighbour too, and an edge
 * would then carry four triangles. Of the allowed ways the one with the
 * shortest diagonals is taken. One exists for every case (the test checks). */
#include <limits.h>
#include <string.h>

#include "cases.h"

enum { LONGEST_LOOP = 7, FACES = 6, NOT_ALLOWED = INT_MAX / 4 };

typedef struct outline {
    int length;
    int edge[CUBE_EDGES];
} outline;

static int edge_between(int corner_a, int corner_b) {
    int axis = (corner_a ^ corner_b) >> 1; /* 1, 2, 4 -> 0, 1, 2 */
    int start = corner_a & corner_b;
    return 4 * axis + (start >> (axis + 1) % 3 & 1) + 2 * (start >> (axis + 2) % 3 & 1);
}

/* The corners of face 2 * axis + side, counter-clockwise seen from outside. */
static void face_corners(int face, int corner[4]) {
    int axis = face / 2, side = (face & 1) << axis;
    int u = 1 << (axis + 1) % 3, v = 1 << (axis + 2) % 3;
    int round[4] = {0, u, u | v, v};
    for (int i = 0; i < 4; i++) corner[i] = side | round[face & 1 ? i : (4 - i) % 4];
}

static int edge_faces(int edge) {
    int axis = edge / 4, u = (axis + 1) % 3, v = (axis + 2) % 3;
    return 1 << (2 * u + (edge & 1)) | 1 << (2 * v + (edge >> 1 & 1));
}

/* next[e]: the edge to which the surface's outline runs from crossed edge e. */
static void trace_face(int sign_pattern, int face, int next[CUBE_EDGES]) {
    int corner[4];
    face_corners(face, corner);
    for (int i = 0; i < 4; i++) {
        int first = (i + 1) & 3;
        if (sign_pattern >> corner[i] & 1 || !(sign_pattern >> corner[first] & 1)) continue;
        int last = first;
        while (sign_pattern >> corner[(last + 1) & 3] & 1) last = (last + 1) & 3;
        next[edge_between(corner[i], corner[first])] =
            edge_between(corner[last], corner[(last + 1) & 3]);
    }
}

/* Twice the edge midpoint's coordinate, so that lengths are whole numbers. */
static int midpoint(int edge, int axis) {
    return edge / 4 == axis ? 1 : 2 * (surface_edge_corner(edge) >> axis & 1);
}

/* Squared length of a diagonal, or NOT_ALLOWED when it lies in a face. */
static int diagonal_cost(int a, int b) {
    if (edge_faces(a) & edge_faces(b)) return NOT_ALLOWED;
    int sum = 0;
    for (int axis = 0; axis < 3; axis++) {
        int d = midpoint(a, axis) - midpoint(b, axis);
        sum += d * d;
    }
    return sum;
}

/* The cheapest triangulation of a polygon by intervals (Klincsek 1980):
 * best[i][j] is the cost of the part between corners i and j, cut off by the
 * diagonal i j, which is paid where it is drawn. */
static void cut_loop(const outline *loop, iso_case *result) {
    int best[LONGEST_LOOP][LONGEST_LOOP] = {{0}}, middle[LONGEST_LOOP][LONGEST_LOOP] = {{0}};
    int n = loop->length;
    for (int span = 2; span < n; span++)
        for (int i = 0; i + span < n; i++) {
            int j = i + span;
            int own = span == n - 1 ? 0 : diagonal_cost(loop->edge[i], loop->edge[j]);
            best[i][j] = NOT_ALLOWED;
            for (int k = i + 1; k < j; k++) {
                int cost = own + best[i][k] + best[k][j];
                if (cost >= best[i][j]) continue;
                best[i][j] = cost;
                middle[i][j] = k;
            }
        }
    int stack[LONGEST_LOOP][2] = {{0, n - 1}}, depth = 1;
    while (depth > 0) {
        depth--;
        int i = stack[depth][0], j = stack[depth][1];
        if (j - i < 2) continue;
        int k = middle[i][j];
        uint8_t *corner = result->corner + 3 * result->triangles++;
        corner[0] = (uint8_t)loop->edge[i];
        corner[1] = (uint8_t)loop->edge[k];
        corner[2] = (uint8_t)loop->edge[j];
        stack[depth][0] = i, stack[depth++][1] = k;
        stack[depth][0] = k, stack[depth++][1] = j;
    }
}

static iso_case trace_case(int sign_pattern) {
    iso_case result = {0};
    int next[CUBE_EDGES];
    memset(next, -1, sizeof next);
    for (int face = 0; face < FACES; face++) trace_face(sign_pattern, face, next);
    for (int start = 0; start < CUBE_EDGES; start++) {
        if (next[start] < 0) continue;
        outline loop = {0};
        for (int edge = start; next[edge] >= 0;) {
            int after = next[edge];
            loop.edge[loop.length++] = edge;
            result.edges |= (uint16_t)(1 << edge);
            next[edge] = -1;
            edge = after;
        }
        cut_loop(&loop, &result);
    }
    return result;
}

void surface_cases(iso_case cases[256]) {
    for (int pattern = 0; pattern < 256; pattern++) cases[pattern] = trace_case(pattern);
}
