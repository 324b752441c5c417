/* The typed option table: one per command. Parsing, --help, the man page,
 * docs/commands.md and shell completion all come from it. */
#ifndef ECHOSOLID_APP_OPTIONS_H
#define ECHOSOLID_APP_OPTIONS_H

#include "echosolid/base.h"

typedef enum opt_type {
    OPT_FLAG,    /* bool */
    OPT_INT,     /* int64_t, low..high */
    OPT_NUMBER,  /* double, low..high; NAN while not given and without default */
    OPT_NUMBERS, /* double[count], NAN first while not given */
    OPT_TEXT,    /* const char *, NULL while not given */
    OPT_TEXTS,   /* const char *[count], given up to count times, NULL behind the last */
    OPT_WORD,    /* int: index into words, -1 while not given */
} opt_type;

/* What a number measures: the unit it is stored in, and the others that the
 * command line accepts as a suffix ("5cm", "40ms", "0.3deg"). */
typedef enum opt_unit {
    UNIT_NONE,
    UNIT_MM,  /* um mm cm m */
    UNIT_S,   /* us ms s */
    UNIT_DEG, /* deg rad; stored in degrees */
    UNIT_PX,
    UNIT_GB, /* MB GB; stored in 10^9 bytes */
    UNIT_HZ,
} opt_unit;

typedef struct opt {
    const char *name; /* without --; NULL ends the table */
    char letter;      /* short form or 0 */
    opt_type type;
    opt_unit unit;
    double low, high;         /* inclusive; of each number; both 0: any finite value */
    const char *fallback;     /* default as a user would type it; NULL: none */
    const char *help;         /* one sentence without full stop */
    size_t offset;            /* into the command's options struct */
    int count;                /* OPT_NUMBERS: how many; OPT_TEXTS: at most */
    const char *const *words; /* OPT_WORD: NULL terminated */
    const char *value;        /* what stands for the value in help: FILE, N, MM */
} opt;

/* The row of the option table that most commands have; `field` is an int64_t. */
#define THREADS_OPTION(T, field)                                                                   \
    {                                                                                              \
        .name = "threads", .letter = 't', .type = OPT_INT, .low = 0, .high = 256, .fallback = "0", \
        .offset = offsetof(T, field),                                                              \
        .help = "threads; 0 takes all the cores; the result is the same bytes"                     \
    }

typedef struct command {
    const char *name;            /* one word, or two: "calibrate pivot" */
    const char *summary;         /* one line */
    const char *usage;           /* "FILE -o OUT [options]" */
    const char *description;     /* paragraphs */
    const char *const *examples; /* command lines that run as tests; NULL terminated */
    const opt *options;
    size_t options_size;
    int arguments_min, arguments_max; /* FILE arguments */
    /* Returns the exit status; `options` is the filled struct. */
    int (*run)(const void *options, const char *const *files, int file_count);
} command;

/* Every command has these as its struct's first member. */
typedef struct common_options {
    bool help, json, quiet;
} common_options;

extern const command *const commands[]; /* NULL terminated */
/* By "word" or "word second", as in "calibrate pivot"; `words` tells how many of
 * the two were the name. `second` may be NULL. */
const command *command_find(const char *word, const char *second, int *words);

/* Fills `options` (options_size bytes) from argv[0..argc). FILE arguments go
 * to `files`. ES_USAGE in plain words; --help stops the parsing. */
bool options_parse(const command *cmd, int argc, char **argv, void *options, const char **files,
                   int *file_count, es_error *err);

void help_command(const command *cmd, FILE *out);
void help_overview(FILE *out);
void docs_markdown(FILE *out);
void docs_man(FILE *out);
void docs_completion(FILE *out);

/* The options as they were used, "spacing=0.5 threads=2", for headers and
 * reports: those that differ from the default. es_free it. */
char *options_used(const command *cmd, const void *options);

/* One of them, " name=value"; nothing while it is not given. */
void options_add_value(es_text *text, const opt *option, const void *options);

/* The line that a person would type to do the same again, quoted for a shell:
 * what differs from the defaults, and files without their folders. es_free it. */
char *options_command_line(const command *cmd, const void *options, const char *const *files,
                           int count);

/* Every command; main.c lists them in the order of the help. */
extern const command command_plan;
extern const command command_info;
extern const command command_spacing;
extern const command command_doctor;
extern const command command_calibrate_pivot;
extern const command command_calibrate_spin;
extern const command command_calibrate_landmarks;
extern const command command_calibrate_lag;
extern const command command_calibrate_nwire;
extern const command command_calibrate_wall;
extern const command command_calibrate_self;
extern const command command_calibrate;
extern const command command_phantom;
extern const command command_reconstruct;
extern const command command_bone;
extern const command command_model;
extern const command command_surface;
extern const command command_simulate;
extern const command command_live;
extern const command command_track;
extern const command command_compare;
extern const command command_view;
extern const command command_convert;
extern const command command_bench;

#endif
