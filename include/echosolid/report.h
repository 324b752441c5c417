/* echosolid/report.h: what was done, with which figures and how sure they are,
 * as one HTML file for people and one JSON file for programs.
 *
 * A report is a list of sections; a section holds rows, numbers with unit and
 * error, notes, pictures and plots, shown in the order they were added. Adding
 * never fails on the spot: the first problem (out of memory, a key used twice)
 * is kept and comes out of es_report_write_*. Texts may hold anything; they
 * are escaped, and bytes that are not UTF-8 or are control characters are
 * replaced. The same calls give the same bytes: no date is written. */
#ifndef ECHOSOLID_REPORT_H
#define ECHOSOLID_REPORT_H

#include "echosolid/picture.h"
#include "echosolid/view.h"

typedef struct es_report es_report;
es_report *es_report_new(const char *title, es_error *err);
void es_report_free(es_report *report);

/* One sentence under the title: what came out. */
void es_report_summary(es_report *report, const char *text);

/* Starts a section, or goes on with the one of this title. In JSON it is
 * called by its title in lower case, "What was done" as what_was_done. */
void es_report_section(es_report *report, const char *title);

/* Keys are unique within their section: lower-case letters, digits and
 * underscores, and none of "notes", "pictures" and "views". */
void es_report_row(es_report *report, const char *key, const char *label, const char *text);
/* `error` is the half width of the interval in the same unit, NaN when none
 * is known. A value that is not finite is shown as "not known", null in JSON.
 * `unit` may be "". */
void es_report_number(es_report *report, const char *key, const char *label, double value,
                      const char *unit, double error);
/* An assumption (ES_NOTE) or a warning, in plain words. */
void es_report_note(es_report *report, es_level level, const char *text);
/* The picture (u8) is copied as PNG; the caption is its text for those who
 * cannot see it. */
void es_report_picture(es_report *report, const char *caption, const es_image *picture);
/* An <svg> element of es_plot_*, put in as it is. */
void es_report_plot(es_report *report, const char *caption, const es_text *svg);

/* An interactive 3-D view, one in a report; it shows on a screen, in a browser
 * with WebGL 2 that runs scripts. Nothing else of the page needs it: give the
 * same as pictures. In a program that was built without npm (see
 * es_view_program_get) a note says that there is none. */
void es_report_view(es_report *report, const char *caption, const es_view *view);

/* What it takes to repeat the work, in a table at the end: options as they
 * were used, inputs by name and XXH3-128 digest (es_file_digest). */
void es_report_option(es_report *report, const char *name, const char *value);
void es_report_input(es_report *report, const char *name, const char *digest);

/* A single file without outside references, and without any script but that of
 * the 3-D view, which the page's policy names by its hash. ES_USAGE, ES_MEMORY
 * or ES_IO; on failure nothing is left and an older file stays. */
bool es_report_write_html(const es_report *report, const char *path, es_error *err);
/* The same, appended to `html`. */
bool es_report_html(const es_report *report, es_text *html, es_error *err);
/* {"title", "summary", "program", "version", "notice", "sections": {<section>:
 * {<key>: text or {"value", "unit", "error"}, "notes": [{"level", "text"}],
 * "pictures": [caption], "views": [caption]}}, "options": {}, "inputs": [{"name", "xxh3_128"}]} */
bool es_report_write_json(const es_report *report, const char *path, es_error *err);

#endif
