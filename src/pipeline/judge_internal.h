/* Inside the judging of a recording's spacing. */
#ifndef ES_PIPELINE_JUDGE_INTERNAL_H
#define ES_PIPELINE_JUDGE_INTERNAL_H

#include "echosolid/judge.h"

/* What one pass over the frames leaves: the still picture, the fields and the
 * transforms. Frames are taken evenly; where their number is not known, the
 * distance doubles whenever there are enough. */
enum { JUDGE_MATRICES = 4 };
typedef struct judge_pass {
    es_still_maker *maker;
    es_frame_scale scale;
    struct {
        char name[ES_NAME_SIZE];
        es_mat4 matrix;
    } matrices[JUDGE_MATRICES];
    int matrix_count;
    int64_t stride, taken, limit;
} judge_pass;
bool judge_pass_begin(judge_pass *pass, const es_stream_info *info, int frames, es_error *err);
/* Whether the pixels of frame `f` are wanted; then they may be there. */
bool judge_pass_wants(const judge_pass *pass, int64_t f);
bool judge_pass_add(judge_pass *pass, const es_frame *frame, bool wanted, es_error *err);
void judge_pass_free(judge_pass *pass);
/* The request is one that can be answered. */
bool judge_check_request(const es_judge_request *request, es_error *err);
/* What the pass and the files say; ES_FORMAT when it saw no picture. */
bool judge_conclude(const es_stream_info *info, const es_judge_request *request, judge_pass *pass,
                    es_judgement *judgement, es_error *err);

/* True for a transform from picture pixels to millimetres, by its name. */
bool judge_is_pixel_transform(const char *from, const char *to);
/* Evidence, and depth and probe where the request has none, of a configuration. */
bool judge_configuration(const es_judge_request *request, es_judgement *judgement, es_error *err);
/* Evidence of what moved in the pictures against the poses, where the source
 * can be read again, frames have a place, and the motion determines it. */
bool judge_motion(es_source *source, const es_plus *plus, es_evidence_list *evidence,
                  es_error *err);
/* The same of what crossing pictures show: at which scale do they agree? */
bool judge_overlap(es_source *source, const es_plus *plus, es_evidence_list *evidence,
                   es_error *err);
/* The pose of each frame's picture in its own axes, in mm: picture -> reference with columns of
 * unit length, at right angles. Rewinds. Frames without one are not `placed`. */
bool judge_read_poses(es_source *source, const es_plus *plus, size_t frames, es_mat4 *pose,
                      bool *placed, es_error *err);
/* Adds the columns unless an equal matrix is there already. */
bool judge_add_matrix(const char *where, es_mat4 matrix, es_judgement *judgement, es_error *err);

#endif
