/* echosolid/judge.h: the spacing of a recording, judged from all that is at
 * hand: its pictures, its fields, a configuration, and what the user says.
 * A second header of the pipeline. */
#ifndef ECHOSOLID_JUDGE_H
#define ECHOSOLID_JUDGE_H

#include "echosolid/pipeline.h"
#include "echosolid/spacing.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NaN and NULL: not said. */
typedef struct es_judge_request {
    const es_plus *plus;
    const char *config; /* how the configuration is called in notes */
    double depth_mm, depth_sigma_mm;
    const char *probe;  /* name; ES_USAGE when it is in no table */
    const char *probes; /* JSON file of the user's own probes */
    double scanner_speed_m_s, true_speed_m_s;
    int frames;  /* pictures looked at, evenly spread; 0: 60 */
    bool motion; /* read the source again to compare its pictures' motion with its poses */
} es_judge_request;
void es_judge_request_init(es_judge_request *request);

typedef struct es_judgement {
    es_still still;
    es_shapes shapes;
    es_probe_entry probe;
    es_spacing_hints hints; /* hints.probe points into this struct */
    es_evidence_list evidence;
    es_decisions decisions; /* what was taken from files as depth and probe */
    es_spacing_verdict verdict;
    /* Without matrices and scan conversion: what those can be compared with. */
    es_spacing_verdict without_matrices;
} es_judgement;
/* Reads the source to its end and rewinds it where it can. One pass; three with
 * `motion`, where the source can be rewound. */
bool es_judge(es_source *source, const es_judge_request *request, es_judgement *judgement,
              es_error *err);
void es_judgement_clear(es_judgement *judgement);

/* The mean picture with what was found drawn over it: fan, edges, rows, ticks. */
bool es_judge_picture(const es_judgement *judgement, es_image *picture, es_error *err);

/* Where the echoes are, as a mask (u8, 255 inside) for es_source_window: the fan
 * or the array's rectangle that was found, two pixels wider. ES_GEOMETRY when
 * no shape was found, with the reasons. */
bool es_judge_mask(const es_judgement *judgement, es_image *mask, es_error *err);

/* Writes the verdict into a copy of the configuration: static transforms of
 * picture pixels that are known constants or axis-aligned (their directions
 * stay), and the scan conversion's spacing. A measured calibration is left
 * alone. `changes` says what was done; ES_GEOMETRY when there is no place that
 * means spacing, or no verdict. */
bool es_judge_write_plus(const es_spacing_verdict *verdict, es_plus *plus, es_decisions *changes,
                         es_error *err);
/* A copy of the recording with the spacing in its header; pictures, poses and
 * other fields stay. */
bool es_judge_write_recording(const es_spacing_verdict *verdict, es_source *source,
                              const char *path, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
