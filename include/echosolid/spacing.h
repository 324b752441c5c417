/* echosolid/spacing.h: evidence for the pixel spacing, and its combination.
 * Each finder looks at pictures or at what a file says and gives evidence:
 * a value in mm per pixel for one or both axes, how sure it is, what it
 * depends on, and words. Nothing found is not an error: it gives no evidence
 * and a reason. The method and the figures behind each sigma are in
 * docs/spacing.md.
 *
 * Pictures are in MF orientation; pixel centres at whole numbers; edges of a
 * mask lie half a pixel outside its first and last pixels. */
#ifndef ECHOSOLID_SPACING_H
#define ECHOSOLID_SPACING_H

#include "echosolid/picture.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a still: what a recording's pictures have in common ------------------- */

/* Per pixel over the frames, f32 grey 0..255 (other types scaled by the range
 * of the data): minimum, maximum, mean, standard deviation. One frame is
 * allowed: the first three are equal then, and the deviation 0. */
typedef struct es_still {
    uint32_t width, height;
    int64_t frames;
    es_image low, high, mean, deviation;
} es_still;
/* Adds frames one by one, so that a recording larger than memory works. */
typedef struct es_still_maker es_still_maker;
es_still_maker *es_still_maker_new(es_error *err);
/* ES_FORMAT when the size differs from the first picture's. */
bool es_still_maker_add(es_still_maker *maker, const es_image *picture, es_error *err);
bool es_still_maker_finish(es_still_maker *maker, es_still *still, es_error *err);
void es_still_maker_free(es_still_maker *maker);
void es_still_clear(es_still *still);

/* ---- the shape of the echoes ------------------------------------------------ */

/* Why a finder found nothing, or what limits what it found: for people. */
enum { ES_WHY_SIZE = 300 };

/* A convex (or sector) fan, pixels; 1-sigma beside each number. `aspect` =
 * spacing_u / spacing_v; radii and the apex row are in pixels along v. A
 * flipped fan is given as in the picture turned right way up: row v of the
 * picture is height - 1 - v there. A radius that was not seen is a guess for
 * drawing. The sigma of a radius is that of what is lit: first or last samples
 * that are not shown are es_shape_evidence's business. */
typedef struct es_fan_found {
    bool found;
    es_fan fan; /* kind CURVED */
    double radius_start_sigma, radius_stop_sigma, apex_sigma, aspect_sigma;
    double width_sigma;         /* of a trapezoid's first row, px; NaN: it is none */
    bool start_seen, stop_seen; /* false: cut by the picture or dark: that radius is no evidence */
    bool pinned;                /* the side edges pin the apex */
    bool cut_left, cut_right, cut_bottom;
    bool flipped; /* the apex lies below: the picture is upside down */
    bool ring;    /* found by the transducer's bright ring in a dark field */
    char why[ES_WHY_SIZE];
} es_fan_found;
bool es_fan_find(const es_still *still, es_fan_found *found, es_error *err);

/* The echoes of a linear array: a rectangle (or a trapezoid, virtual convex).
 * When an edge is not straight, upright and sharp the width is a lower bound. */
typedef struct es_aperture_found {
    bool found;
    double left, right; /* columns of the edges, at the first row of the echoes */
    double sigma;       /* of the width, px */
    bool left_sharp, right_sharp;
    bool trapezoid;
    char why[ES_WHY_SIZE];
} es_aperture_found;
bool es_aperture_find(const es_still *still, es_aperture_found *found, es_error *err);

/* First and last row of the echoes (edges, in rows). `exact` false: nothing
 * shows where the field ends, and what is lit is the least that it can have. */
typedef struct es_rows_found {
    bool found;
    double top, bottom, sigma;
    bool exact;
    char why[ES_WHY_SIZE];
} es_rows_found;
bool es_rows_find(const es_still *still, es_rows_found *found, es_error *err);

/* Depth ticks or dots along a column or a row. The step in mm is ambiguous by
 * itself. */
typedef struct es_ticks_found {
    bool found;
    int axis;  /* 0: along u, 1: along v */
    double at; /* column (axis 1) or row (axis 0) of the comb */
    double first, period_px, period_sigma;
    int count, major_every; /* major ticks: 0 none seen */
    char why[ES_WHY_SIZE];
} es_ticks_found;
enum { ES_TICKS_MAX = 4 };
/* The best combs, best first; *count 0 when there are none. */
bool es_ticks_find(const es_still *still, es_ticks_found found[ES_TICKS_MAX], int *count,
                   es_error *err);

/* The scan lines of a linear array, seen in its speckle (lines.c): once or twice
 * their number a pixel. One picture cannot tell `per_px` from 1 - `per_px`. */
typedef struct es_lines_found {
    bool found;
    double per_px, sigma; /* below .5; 1-sigma */
    char why[ES_WHY_SIZE];
} es_lines_found;

/* Draws what was seen over the recording's mean picture; NULL is left out. An
 * edge that is only a bound is drawn in the ticks' colour. */
bool es_shape_picture(const es_still *still, const es_fan_found *fan,
                      const es_aperture_found *aperture, const es_rows_found *rows,
                      const es_ticks_found *ticks, int tick_count, es_image *picture,
                      es_error *err);

/* ---- probes ------------------------------------------------------------------ */

/* One row of the probe table; NaN where unknown. */
typedef struct es_probe_entry {
    char name[64];
    bool curved;
    double radius_mm, radius_sigma;     /* sigma relative, 1-sigma */
    double aperture_mm, aperture_sigma; /* linear: as shown */
    double field_deg;                   /* full field of view, for checks only */
    double pitch_mm;
    int elements;
    char source[160];
} es_probe_entry;
/* By name, without regard to case, blanks and dashes; exact rows first, then
 * the makers' name rules (C5-2R60 -> radius 60). `extra` (may be NULL): a JSON
 * file of the user's own rows, asked first. *known = false: not in the table. */
bool es_probe_find(const char *name, const char *extra, es_probe_entry *probe, bool *known,
                   es_error *err);

/* ---- evidence ------------------------------------------------------------------ */

enum { ES_EVIDENCE_NOTE = 400 };
typedef struct es_evidence {
    char source[32];      /* "dicom-regions", "fan-radius", "fan-depth", "ticks", ... */
    char group[32];       /* sources that share an error: "depth", "probe", "calibration", ... */
    double spacing_mm[2]; /* NaN: says nothing about this axis */
    double sigma[2];      /* relative (of ln s), 1-sigma; INFINITY: shown, never used */
    int bound;            /* -1: true spacing is not larger, +1: not smaller, 0: equal */
    bool suspect;         /* a known constant that nobody measured: never used */
    bool square;          /* says that both axes are alike, whatever the value */
    char note[ES_EVIDENCE_NOTE]; /* what was seen, what was assumed */
} es_evidence;
typedef struct es_evidence_list {
    es_evidence *items;
    size_t count, capacity;
} es_evidence_list;
bool es_evidence_add(es_evidence_list *list, const es_evidence *evidence, es_error *err);
void es_evidence_clear(es_evidence_list *list);

/* What the user or a scanner says. NaN and NULL: not said. */
typedef struct es_spacing_hints {
    double depth_mm, depth_sigma_mm; /* sigma NaN: .5 */
    const es_probe_entry *probe;     /* NULL: unknown */
    double scanner_speed_m_s;        /* assumed by the scanner; NaN: 1540 */
    double true_speed_m_s;           /* of the medium; NaN: as the scanner assumes */
} es_spacing_hints;

/* ---- the verdict ------------------------------------------------------------- */

enum { ES_ASK_MAX = 8 };
typedef struct es_spacing_verdict {
    bool known;
    double spacing_mm[2];
    double ci95_mm[2][2];      /* low, high of each axis */
    bool anisotropic;          /* the axes differ by more than three sigma */
    char summary[1000];        /* in plain words, with the disagreements and their causes */
    char ask[ES_ASK_MAX][200]; /* what would settle it, cheapest first */
    int ask_count;
} es_spacing_verdict;
/* Robust combination in ln(s): one voice a group, Huber at two sigma, bounds
 * respected, suspects never used. Refuses (known = false) without a source of
 * sigma < 3 % that is not a suspect. */
bool es_spacing_resolve(const es_evidence_list *evidence, const es_spacing_hints *hints,
                        es_spacing_verdict *verdict, es_error *err);

/* ---- what a file says ---------------------------------------------------------- */

/* Where a constant that nobody measured comes from ("the constant of PLUS's
 * sample configurations"), or NULL when the two numbers are no known default. */
const char *es_spacing_default(const double spacing_mm[2]);
/* A spacing that is written down somewhere: suspect when it is a known
 * default. Numbers that cannot be a pixel's size (outside of .005 to 5 mm)
 * are shown and never used. `item` comes with all but the suspicion. */
bool es_evidence_add_written(es_evidence_list *list, es_evidence item, es_error *err);
/* The header's spacing, and the DICOM fields that the reader left in
 * info->fields (docs/spacing.md names them), in the order of trust. Broken
 * fields are shown as evidence that is not used, with what is wrong. */
bool es_header_evidence(const es_stream_info *info, es_evidence_list *list, es_error *err);
/* Depth of Scan Field in mm, or NaN; and the name of the probe, or NULL. */
double es_header_depth(const es_stream_info *info);
const char *es_header_probe(const es_stream_info *info);
/* The columns of a transform of picture pixels, such as ImageToProbe; `where`
 * says which and from what, e.g. "ImageToProbe of rig.xml". */
bool es_matrix_evidence(const char *where, es_mat4 matrix, es_evidence_list *list, es_error *err);

/* PixelSpacingMm and micronsPerPixel of the frames, one after the other. */
typedef struct es_frame_scale {
    int64_t frames, changed_at; /* first frame that differs, -1: none */
    double first_mm[2], last_mm[2];
    char key[32];
} es_frame_scale;
#define ES_FRAME_SCALE_NONE                                                                        \
    { .changed_at = -1 }
void es_frame_scale_add(es_frame_scale *scale, const es_frame *frame);
bool es_frame_scale_evidence(const es_frame_scale *scale, es_evidence_list *list, es_error *err);

/* ---- what was seen, in millimetres ---------------------------------------------------- */

enum { ES_MODES_TEXT = 200 };
typedef struct es_shapes {
    es_fan_found fan;
    es_aperture_found aperture;
    es_rows_found rows;
    es_ticks_found ticks[ES_TICKS_MAX];
    int tick_count;
    es_lines_found lines;
    /* Two fields of echoes in one picture ("2 pictures beside one another (...)", "a second
     * field below the first (...)"); "": one, or what cannot be told apart. */
    char views[ES_MODES_TEXT];
} es_shapes;
/* All the finders, one after the other. */
bool es_shapes_find(const es_still *still, es_shapes *shapes, es_error *err);
/* What a known probe or depth makes of fan, aperture and rows: "fan-radius",
 * "fan-depth", "fan-end", "aperture", "depth-rows". */
bool es_shape_evidence(const es_shapes *shapes, const es_spacing_hints *hints,
                       es_evidence_list *list, es_error *err);

/* ---- readings that need other evidence -------------------------------------------- */

/* What the depth setting means where a fan is seen: the three readings of
 * docs/spacing.md. Looks at what es_fan_find gave and at the items
 * "fan-radius" and "fan-depth" of the list; adds "depth-height" and, where
 * that reading is the true one, silences "fan-depth". */
bool es_depth_readings(const es_fan_found *fan, const es_still *still,
                       const es_spacing_hints *hints, es_evidence_list *list, es_error *err);
/* A comb's step in mm from the rest of the evidence and the depth. Where that
 * leaves several, they are named and not used. */
bool es_ticks_evidence(const es_shapes *shapes, const es_still *still,
                       const es_spacing_hints *hints, es_evidence_list *list, es_error *err);

/* What the scan lines of a known linear probe say across, "scan-lines": once or
 * twice an element, seen or folded, four values of which the other evidence must
 * name one. Never good enough to decide; comes last. */
bool es_lines_evidence(const es_shapes *shapes, const es_spacing_hints *hints,
                       es_evidence_list *list, es_error *err);

/* Speed of sound in water, m/s, 0 to 95 degrees C. Marczak, "Water as a
 * standard in the measurements of speed of sound in liquids", 1997. */
double es_water_speed(double temperature_c);

/* What a recording's pictures hold besides one picture of tissue, as DICOM's regions
 * tell it: "M-mode (0,240 to 639,479), 2 pictures of tissue beside one another";
 * "" when nothing of the kind is told. */
void es_picture_modes(const es_stream_info *info, char text[ES_MODES_TEXT]);

#ifdef __cplusplus
}
#endif
#endif
