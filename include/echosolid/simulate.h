/* echosolid/simulate.h: known objects as signed distances, a probe, a hand, a
 * tracker with errors, and the frames that they give: the truth that every
 * other room is tested against. Same seed, same bytes. */
#ifndef ECHOSOLID_SIMULATE_H
#define ECHOSOLID_SIMULATE_H

#include <math.h>

#include "echosolid/picture.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Scenes, mm, in their own axes:
 *   "sphere"    radius 20
 *   "box"       44 x 30 x 52 (x y z), sharp edges
 *   "cylinder"  radius 15, 70 long, along z
 *   "torus"     about the y axis, ring radius 24, tube radius 9
 *   "knee"      right knee in extension: distal femur, patella, proximal tibia
 *               and fibula; x lateral, y anterior, z proximal, origin in the
 *               middle of the joint line; shafts end 150 mm from it
 *   "spine"     three lumbar vertebrae from behind; x right, y posterior, z cranial,
 *               origin in the middle one's canal
 *   "ribs"      four ribs of a chest of 98 mm radius about the z axis
 *   "forearm"   the middle of a right ulna and radius; x lateral, y to the palm's
 *               side, z proximal
 *   "abdomen"   a cyst of 20 mm diameter at (-24, -55, -12) and a bright ball
 *               of 30 mm at (20, -65, 12) in even speckle, skin at y = 0: grey,
 *               no bone. Its "surface" is that of the two.
 *   "floor"     the bottom of a water tank, a plate of 240 x 8 x 240 with its
 *               face at y = 0, over which the hand rocks, tilts, turns, raises
 *               and slides the probe
 * All but the last two are centred on the origin and cast shadows like bone. */
typedef struct es_scene es_scene;
es_scene *es_scene_new(const char *name, es_error *err); /* unknown: ES_USAGE with the list */
/* The knee of another person, by number (invented variation of size, shape and pose;
 * src/simulate/anatomy.c has the ranges); 0: the standard one. ES_USAGE for another
 * scene with a number. */
es_scene *es_scene_new_anatomy(const char *name, uint64_t anatomy, es_error *err);
void es_scene_free(es_scene *scene);
const char *const *es_scene_names(void); /* NULL terminated */
/* Signed distance to the scene's surface, mm, negative inside. Exact outside
 * the simple scenes; for the knee true to first order near the surface, and
 * within a quarter further away. Thread-safe. */
double es_scene_distance(const es_scene *scene, es_vec3 p);
es_box3 es_scene_box(const es_scene *scene); /* contains the surface */
/* Distances in a band about the surface, for the true mesh; `band` voxels on
 * each side have weight 1. Voxel (0,0,0) lies at the origin. ES_USAGE for a
 * spacing outside .01 to 100 mm or a band outside 1 to 100 voxels. */
es_bricks *es_scene_bricks(const es_scene *scene, double spacing_mm, double band_voxels,
                           es_pool *pool, es_error *err);

/* Motions over the floor that the hand does not make; bits of
 * es_simulation.hold. */
enum {
    ES_HOLD_ROCK = 1,  /* in the image plane */
    ES_HOLD_TILT = 2,  /* out of it */
    ES_HOLD_TURN = 4,  /* about the probe's long axis */
    ES_HOLD_RAISE = 8, /* away from the floor */
    ES_HOLD_SLIDE = 16 /* along it */
};

/* What is left out of the picture: the thickness of the slice, refraction,
 * and speckle that lives in the body (it is drawn anew for every frame). */
typedef struct es_probe {
    bool curved;
    double width_mm;       /* linear: aperture; curved: 0 */
    double radius_mm;      /* curved: of the face; linear: 0 */
    double half_angle_rad; /* curved; linear: 0 */
    double depth_mm;       /* from the face */
    uint32_t image_size[2];
    double spacing_mm; /* square pixels; 0: chosen so that the picture fits */
} es_probe;

typedef struct es_simulation {
    const char *scene;
    es_probe probe;
    int frames; /* over the whole motion, whose path does not depend on it */
    double rate_hz;
    double pose_noise_mm, pose_noise_rad; /* standard deviation per frame, each axis, of the
                                             marker in ProbeToTracker, about the marker */
    double lag_s;     /* the tracker is late: a frame of time t comes with the poses
                         of t - lag_s; before the start the hand rests */
    double speckle;   /* 0: a plain picture without noise or layers; 1: natural */
    uint64_t seed;    /* of the hand's wobble, the tissue, the speckle and the noise */
    uint64_t anatomy; /* of the knee, as for es_scene_new_anatomy; 0: the standard one */
    int threads;      /* <= 0: all the cores; never changes a byte */
    unsigned hold;    /* ES_HOLD_ bits; scene "floor" only */
    int sweeps;       /* 0: as suits the scene; else so many, side by side, each leant and turned
                         another way; not over the floor */
    double lean_rad;  /* of those sweeps: tilt out of the image plane, half of it in the plane */
    double turn_rad;  /* about the probe's long axis */
} es_simulation;
enum { ES_SWEEPS_MAX = 12 };
/* A linear 50 mm probe, 60 mm deep, over the knee. */
#define ES_SIMULATION_DEFAULTS                                                                     \
    {                                                                                              \
        .scene = "knee", .probe = {.width_mm = 50, .depth_mm = 60, .image_size = {512, 512}},      \
        .frames = 600, .rate_hz = 25, .speckle = 1, .seed = 1                                      \
    }
/* The defaults with a probe and a number of frames that suit the scene: a curved
 * array for spine and abdomen. */
bool es_simulation_preset(const char *scene, es_simulation *simulation, es_error *err);

/* The recording as a source: transforms ProbeToTracker and ReferenceToTracker
 * per frame (Reference = the scene's own axes up to a fixed transform),
 * Timestamp, and the header fields that say what was simulated. It can be
 * rewound. A frame is a function of the simulation and its index. Pictures
 * are made ahead, 16 at a time on `threads` threads, only when asked for.
 * ES_USAGE for an unknown scene, a probe that cannot be, a picture that does
 * not fit, and numbers out of their range (each message has the range). */
es_source *es_simulation_open(const es_simulation *simulation, es_error *err);
/* What a user would have calibrated: ImageToProbe (columns as long as the
 * pixel spacing, the third one across the image, after PLUS) and the fan.
 * Identity and kind NONE for a probe that es_simulation_open would refuse. */
es_mat4 es_simulation_image_to_probe(const es_simulation *simulation);
es_fan es_simulation_fan(const es_simulation *simulation);
/* Scene axes -> Reference of the recording: rigid, the same for all. */
es_mat4 es_simulation_scene_to_reference(const es_simulation *simulation);
/* Where the beams of all the frames (true poses) met the surface first,
 * within the depth, at no more than `incidence_deg` between beam and normal
 * (90 or more: at any; in the picture the echo fades where the cosine falls
 * from .4 to .15, 66 to 81 degrees): 3 floats a point in scene axes, by frame,
 * then by line. es_free it. */
float *es_simulation_first_hits(const es_simulation *simulation, double incidence_deg,
                                es_pool *pool, size_t *count, es_error *err);

/* ---- wires in a water bath ------------------------------------------------------- */

/* A tracked probe over a phantom of wires: each wire that cuts the picture is
 * a spot, wider with depth, with reverberation below it; the bath's floor is a
 * streak; words stand on the screen; speckle and noise. */
enum { ES_BATH_WIRES = 24 };
typedef struct es_bath {
    es_vec3 wires[ES_BATH_WIRES][2]; /* front and back end, phantom, mm; z towards the probe */
    int wire_count;
    uint32_t width, height;
    double spacing_mm[2];
    double standoff_mm; /* from the face to the middle of the wires */
    int frames;
    double rate_hz;
    double slide_mm, tilt_rad;            /* how far the hand goes about the middle; 0 0: at rest */
    double pose_noise_mm, pose_noise_rad; /* of ProbeToTracker, each axis and frame */
    double lag_s;                         /* tracker's time stamp minus video's for one event */
    double speckle;        /* 0: none, 1: natural; also reverberation and the floor */
    double dropped;        /* share of the frames without a valid pose */
    double dot_noise_px;   /* of each spot's place */
    double gain;           /* of all echoes: 1 natural; what is over white is white */
    double face_mm;        /* radius of a curved array's face; 0: a linear one */
    double half_angle_rad; /* of its fan; outside of it there is nothing */
    int dashes;            /* short bright streaks a picture, each elsewhere */
    bool grabber;          /* a scanner's screen around: ruler, grey bar, running clock */
    bool reversed;         /* the phantom is seen from its other side */
    bool mirrored;         /* the pictures are flipped left to right */
    bool text;
    bool frozen;         /* the tracker repeats its first pose */
    double second_lag_s; /* of the second half; NaN: the same */
    uint64_t seed;
} es_bath;
/* Without wires; 480 x 400 pixels of 0.12 mm, 150 frames at 10 Hz. */
#define ES_BATH_DEFAULTS                                                                           \
    {                                                                                              \
        .width = 480, .height = 400, .spacing_mm = {0.12, 0.115}, .standoff_mm = 22,               \
        .frames = 150, .rate_hz = 10, .slide_mm = 10, .tilt_rad = 0.3, .speckle = 1, .text = true, \
        .gain = 1, .second_lag_s = NAN, .seed = 1                                                  \
    }
/* Distance from the face and pixels so that all the wires are in the picture
 * over most of the motion, for phantoms that are higher or wider than 35 mm;
 * others keep theirs. */
void es_bath_fit(es_bath *bath);
/* ProbeToTracker and ReferenceToTracker (without noise) a frame, Timestamp.
 * Can be rewound; a frame is a function of the bath and its index. ES_USAGE
 * for numbers out of their range. */
es_source *es_bath_open(const es_bath *bath, es_error *err);
/* The truths. ImageToProbe is that of the pictures as they are given (with
 * `mirrored`, of the flipped ones). */
es_mat4 es_bath_image_to_probe(const es_bath *bath);
es_mat4 es_bath_phantom_to_reference(void);
/* Where the wires cut frame `index`, pixels; NaN where they do not. For tests
 * without pictures. */
void es_bath_dots(const es_bath *bath, int64_t index, double dots[ES_BATH_WIRES][2]);

/* ---- a stylus about its tip ------------------------------------------------------- */

/* Swung wider and wider within a cone about its tip, which stays where it is, beside a
 * probe that lies still. */
typedef struct es_stylus {
    int frames;
    double rate_hz;
    es_vec3 tip_mm, pivot_mm;             /* in the stylus; in the reference */
    double cone_rad;                      /* from one side to the other, in the end */
    double widening_s;                    /* until then */
    double pose_noise_mm, pose_noise_rad; /* each axis and frame */
    uint64_t seed;
} es_stylus;
#define ES_STYLUS_DEFAULTS                                                                         \
    {                                                                                              \
        .frames = 500, .rate_hz = 25, .tip_mm = {12, -5, 199.6}, .pivot_mm = {30, 40, 50},         \
        .cone_rad = 1.2, .widening_s = 8, .seed = 1                                                \
    }
/* StylusToTracker, ProbeToTracker, ReferenceToTracker and a small picture a frame,
 * Timestamp. Can be rewound; a frame is a function of the stylus and its index.
 * ES_USAGE for numbers out of their range. */
es_source *es_stylus_open(const es_stylus *stylus, es_error *err);

/* ---- a scanner's screen --------------------------------------------------------- */

/* What a scanner shows, with all that spoils it, for those who must find its
 * scale: the truth is the struct itself. Pixel centres lie at whole numbers;
 * mm are those of the object. Nothing is drawn outside of `panel`, whose
 * edges lie at whole numbers less a half. */

/* Marks with equal steps beside the echoes, drawn at whole pixels as scanners
 * do: mark k stands at the pixel nearest to zero_px + k * step_mm / spacing. */
typedef struct es_screen_comb {
    int axis;       /* 1: marks one under another (along v), 0: side by side */
    double zero_px; /* of mark 0, along the comb */
    int at_px;      /* column (axis 1) or row (axis 0) where the marks begin */
    double step_mm;
    int marks;
    int length, major_length; /* pixels from at_px; negative: leftwards, upwards */
    int major_every;          /* every n-th from the 0th is longer; 0: all alike */
    int thickness;            /* pixels along the comb */
    bool line;                /* an axis line through at_px */
    bool numbers;             /* beside the major ones */
    uint8_t level;
} es_screen_comb;

/* What else stands on a screen; u, v of the upper left corner. */
typedef enum es_screen_kind {
    ES_SCREEN_TEXT,
    ES_SCREEN_CLOCK, /* a time of day that counts */
    ES_SCREEN_BLINK, /* a disc of `width` that comes and goes */
    ES_SCREEN_BAR,   /* grey scale, bright end up, width x height */
    ES_SCREEN_BOX,   /* outline, width x height */
    ES_SCREEN_LOGO,  /* a disc with a hole, `width` across, and the text beside it */
    ES_SCREEN_FOCUS, /* a triangle of `width` that points left */
} es_screen_kind;
typedef struct es_screen_item {
    es_screen_kind kind;
    int u, v, width, height;
    int scale; /* of letters, 6 x 10 pixels at 1 */
    uint8_t level;
    char text[32];
} es_screen_item;

/* A sector without echoes (a rib, a bubble, no contact), as shares of the
 * field from left to right; `gain` 0: black, 1: as bright as the rest. */
typedef struct es_screen_shadow {
    double from, to, start_mm, gain;
} es_screen_shadow;

enum { ES_SCREEN_SHADOWS = 6, ES_SCREEN_COMBS = 2, ES_SCREEN_ITEMS = 24 };

typedef struct es_screen {
    uint32_t width, height;   /* 64 to 2048 */
    int frames;               /* 1 to 100000 */
    double spacing_mm[2];     /* u, v */
    double header_spacing_mm; /* what the recording claims by a constant ImageToReference; 0: no
                                 claim */
    double setting_mm;        /* the depth that the scanner shows */
    /* The array. curved: radius and half angle; else its width, and the half
     * angle of a trapezoid (virtual convex) or 0. */
    bool curved;
    double radius_mm, half_angle_rad, width_mm;
    double face_u, face_v; /* pixel of the middle of the face, on its surface */
    double depth_mm;       /* of the lines, from the face */
    int panel[4];          /* first column, first row, one past the last of each */
    /* The echoes. */
    double blank_first_mm, blank_last_mm; /* samples that are not shown */
    double dark_left_mm, dark_right_mm;   /* no contact at the ends of the face */
    int shadows;
    es_screen_shadow shadow[ES_SCREEN_SHADOWS];
    bool dark_field;       /* a few bright reflectors in black, as in water */
    double ring_mm;        /* bright and still at the face; 0: none */
    double haze_mm;        /* bright near field; 0: none */
    double range_db;       /* shown from black to white */
    double attenuation_db; /* over the depth, after the scanner's own gain */
    double change;         /* of the echoes between frames: 0 none, 1 all */
    double gamma;
    uint8_t background; /* outside of the echoes */
    /* The interface. */
    int combs, items;
    es_screen_comb comb[ES_SCREEN_COMBS];
    es_screen_item item[ES_SCREEN_ITEMS];
    /* How it was grabbed, in this order. */
    double blur_px; /* standard deviation */
    int jpeg;       /* quality 20 to 100; 0: none */
    double noise;   /* standard deviation, grey */
    uint64_t seed;  /* of speckle and noise */
} es_screen;

/* A plausible screen drawn from the seed, 8 frames. */
void es_screen_random(uint64_t seed, es_screen *screen);
/* "c5-2r60-a", "c5-2r60-b", "c5-2r60-c": 512 x 512 pixels of a convex probe
 * of 60 mm radius and 60 degrees, set to 150 mm, whose recording claims 0.2
 * mm: the setting is the height of the picture (a), counts from the middle of
 * the face (b), the same with 30 rows of margin (c). ES_USAGE with the list. */
bool es_screen_named(const char *name, es_screen *screen, es_error *err);
/* The screen's frames, grey, 25 a second, with ImageToReference of
 * header_spacing_mm if there is one. A frame is a function of the screen and
 * its index. Can be rewound. `threads` <= 0: all the cores; never changes a
 * byte. ES_USAGE for what cannot be drawn. */
es_source *es_screen_open(const es_screen *screen, int threads, es_error *err);
/* Where the echoes may be: CURVED (also a trapezoid: its radius_start is the
 * distance from the virtual apex to the middle of the flat face), or LINEAR
 * with its edges at fractions of pixels, before the panel and the blanks cut. */
es_fan es_screen_fan(const es_screen *screen);
/* Scan lines from one end of the field to the other, both ends counted. */
int es_screen_lines(const es_screen *screen);

/* ---- frames to learn from --------------------------------------------------------- */

/* Bone, or none, in random anatomy, seen by a random probe and shown by a
 * random scanner: what the bone network is trained on (training/). Lines go
 * straight down from the face, which is row 0. */
typedef struct es_lesson_options {
    uint32_t rows, lines;   /* 32 to 1024 */
    double row_mm, line_mm; /* 0.05 to 1 */
    double bone_free;       /* share of the frames without bone, 0 to 1 */
    bool unlike;            /* shapes and settings that the others never have: to judge with */
} es_lesson_options;
/* What the network reads: samples of 0.4 mm. */
#define ES_LESSON_DEFAULTS                                                                         \
    { .rows = 160, .lines = 112, .row_mm = 0.4, .line_mm = 0.4, .bone_free = 0.33 }
typedef struct es_lesson_truth {
    float row;    /* of the crest of the bone's echo, centres at integers; NaN: no bone here */
    bool visible; /* lit, brighter than its shadow, at less than some 72 degrees of incidence */
} es_lesson_truth;

/* Scratch memory; one per thread. ES_USAGE for numbers out of their range. */
typedef struct es_lesson es_lesson;
es_lesson *es_lesson_new(const es_lesson_options *options, es_error *err);
void es_lesson_free(es_lesson *lesson);
/* grey: rows x lines; truth: one a line. A function of the options and the
 * seed alone. */
void es_lesson_draw(es_lesson *lesson, uint64_t seed, uint8_t *grey, es_lesson_truth *truth);

#ifdef __cplusplus
}
#endif
#endif
