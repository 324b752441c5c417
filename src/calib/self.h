/* self.h: what the parts of the self calibration share. */
#ifndef CALIB_SELF_H
#define CALIB_SELF_H

#include "echosolid/calib.h"

/* The parameters as changes of a state: turns and shifts in the image's own
 * axes (rad, mm), shares of a scale, s. Those that are not free are left out:
 * self_kind tells which parameter stands where. */
enum {
    SELF_TURN,
    SELF_SHIFT = 3,
    SELF_SCALE_U = 6, /* both scales when isotropic */
    SELF_SCALE_V,
    SELF_LAG,
    SELF_PARAMETERS = ES_SELF_PARAMETERS,
    SELF_BLOCKS = 10, /* of time; what is left out in turn for the intervals */
    SELF_PAIRS = SELF_BLOCKS * (SELF_BLOCKS + 1) / 2
};

typedef struct self_state {
    es_mat4 turn; /* image axes in the probe, a rotation */
    es_vec3 shift;
    double scale[2]; /* mm per pixel of the recording */
    double lag;
} self_state;

/* A place of a picture that is looked up in the others. */
typedef struct self_sample {
    uint32_t frame;
    float u, v; /* cells; their centres at integers */
    float grey; /* of the level there; 0: a surface's crest */
} self_sample;

/* Of one picture, for one state. */
typedef struct self_place {
    es_mat4 image, back;     /* mm in the picture to the reference, and back */
    es_vec3 turning, moving; /* of the image in its own axes, a second of lag */
    bool valid;
} self_place;

/* Height over a picture's plane: x, y, z . p + off; NaN without a pose. */
typedef struct self_plane {
    double x, y, z, off;
} self_plane;

/* What of the pictures is compared. */
typedef enum self_channel {
    SELF_GREY,   /* edges and spots, bright and dark */
    SELF_SURFACE /* the depth of the deepest bright echo of a column, dark below: bone, metal */
} self_channel;

/* Of one column: where the surface is, cells; NaN: nowhere. */
typedef struct self_crest {
    float row, slope; /* slope: rows a column */
} self_crest;

/* Sums over the lookups between two blocks of time. */
typedef struct self_sums {
    double normal[SELF_PARAMETERS * SELF_PARAMETERS];
    double slope[SELF_PARAMETERS], blank_slope[SELF_PARAMETERS]; /* half, of loss and blank */
    double n, loss, blank; /* robust loss; that of pictures without anything in common */
    double aa, bb, ab;     /* of the greys of the sample and of what was looked up */
} self_sums;

typedef struct self_view {
    self_sums pairs[SELF_PAIRS];
    size_t found; /* samples with a lookup */
} self_view;

typedef struct self_fit {
    const es_self_pictures *pictures;
    const es_pose_track *poses;
    const es_self_options *options;
    self_state base;
    uint8_t *lit; /* cells in the field of the echoes */
    size_t lit_count;
    self_channel channel;
    float *source;      /* the channel's values, count x cells */
    float *level;       /* the same, blurred and evened, in units of their deviation */
    self_crest *crests; /* count x width; of a surface */
    double blur;        /* of the level, cells */
    double gap_mm;      /* neighbours further apart are not interpolated between */
    double reach_mm;    /* a surface further off than this is another one */
    double soft;        /* residuals past it count less (Cauchy's loss); surface: mm */
    double chance;      /* loss of a surface that lies anywhere; of the last look */
    bool hold_scale;    /* for now */
    self_place *places;
    self_plane *planes;
    self_sample *samples;
    size_t sample_count, sample_room;
    self_view *view;
    double scatter[SELF_PARAMETERS * SELF_PARAMETERS]; /* of the ends from several starts */
} self_fit;

int self_scale_count(const self_fit *fit);
int self_parameter_count(const self_fit *fit);
int self_kind(const self_fit *fit, int parameter);
self_state self_moved(const self_fit *fit, const self_state *from, const double *change);
/* The change that takes one state to the other. */
void self_difference(const self_fit *fit, const self_state *from, const self_state *to, double *x);
es_mat4 self_image_to_probe(const self_state *state);
es_mat4 self_pose(const self_state *state); /* without the scales */

/* Most columns are dark under their brightest echo: a surface with a shadow. */
self_channel self_choose_channel(const self_fit *fit);
/* What the pictures show of fit->channel. ES_GEOMETRY for blank ones. */
bool self_source_make(self_fit *fit, es_error *err);
/* Of picture f of fit->source; `room`: one row. */
void self_find_crests(const self_fit *fit, size_t f, float *room);
/* Makes the pictures of this blur (cells). */
bool self_level_make(self_fit *fit, double blur, es_error *err);
/* The places that are looked up, `budget` at most: those that show most. */
void self_samples_make(self_fit *fit, size_t budget);

int self_block(const self_fit *fit, size_t frame);
int self_pair(int a, int b);
/* Looks every sample up in the other passes; derivatives when `derive`. */
void self_look(self_fit *fit, const self_state *state, bool derive, self_view *view);
/* All pairs of blocks, without those of `without` (-1: all). */
void self_total(const self_view *view, int without, self_sums *total);
/* Of edges and spots the correlation of the lookups, of a surface 1 less the misfit; 0 for
 * few. */
double self_agreement(const self_fit *fit, const self_sums *sums);
/* Misfit: 0 the same, 1 nothing in common; infinite for too few lookups. */
double self_misfit(const self_sums *sums);

/* Levenberg and Marquardt's steps at the present level, from fit->base. */
double self_refine(self_fit *fit, self_view *view, int rounds);

/* The change towards less loss / blank, by the normal matrix with `damping` of its diagonal. */
void self_step(const self_fit *fit, const self_sums *sums, double damping, double *change);

typedef struct self_start {
    self_state state;
    double cost;
    bool lost; /* fits clearly worse than the best */
    char name[64];
} self_start;
/* States to begin with, best first, from the drift of the pictures at the
 * present level; 0 with the error set when there are none. */
size_t self_find_starts(const self_fit *fit, self_start *list, size_t room, es_error *err);
bool self_scale_allowed(const self_state *state);
/* Distance between where two states put places of the picture, RMS. */
double self_apart(const self_fit *fit, const self_state *a, const self_state *b);

/* What is refused at once. Fills frames_used, turned_rad, apart_mm and the missing motions. */
bool self_check_motion(const self_fit *fit, es_self_result *result, es_error *err);
/* What a result is refused for; `list`: solutions, the best first. Fills rival_mm. */
bool self_judge(const self_fit *fit, const self_start *list, size_t count, es_self_result *result,
                es_error *err);

/* Intervals, observability, hold-out and the missing motions, at fit->base. */
void self_observe(self_fit *fit, es_self_result *result);

#endif
