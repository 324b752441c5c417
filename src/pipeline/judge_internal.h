/* Inside the judging of a recording's spacing. */
#ifndef ES_PIPELINE_JUDGE_INTERNAL_H
#define ES_PIPELINE_JUDGE_INTERNAL_H

#include "echosolid/judge.h"

/* True for a transform from picture pixels to millimetres, by its name. */
bool judge_is_pixel_transform(const char *from, const char *to);
/* Evidence, and depth and probe where the request has none, of a configuration. */
bool judge_configuration(const es_judge_request *request, es_judgement *judgement, es_error *err);
/* Adds the columns unless an equal matrix is there already. */
bool judge_add_matrix(const char *where, es_mat4 matrix, es_judgement *judgement, es_error *err);

#endif
