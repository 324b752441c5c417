/* Bone points of single frames, kept to be held against the surface that all
 * frames made. Inside the room. */
#ifndef ECHOSOLID_PIPELINE_SCATTER_H
#define ECHOSOLID_PIPELINE_SCATTER_H

#include "echosolid/pipeline.h"

typedef struct scatter_list scatter_list;
/* For about `frames` frames: every n-th found line is kept. */
scatter_list *scatter_new(int64_t frames, es_error *err);
scatter_list *scatter_copy(const scatter_list *list, es_error *err);
void scatter_free(scatter_list *list);
/* The list as it is, to go back to while nothing but scatter_add came since. */
typedef struct scatter_mark {
    size_t count;
    int64_t lines;
} scatter_mark;
scatter_mark scatter_where(const scatter_list *list);
void scatter_back(scatter_list *list, scatter_mark mark);
void scatter_add(scatter_list *list, const es_trace *trace, es_mat4 image_to_reference);
bool scatter_judge(const scatter_list *list, const es_mesh *sheet, double limit_mm, es_pool *pool,
                   es_scatter *scatter, es_error *err);

#endif
