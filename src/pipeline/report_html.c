/* The report for people: one HTML file that needs nothing else.
 *
 * It is XHTML-shaped HTML 5 (every element closed), so that both kinds of
 * parsers read it. Colours follow the reader's light or dark setting; on a
 * phone pictures stand in one column; on paper nothing is cut in two. */
#include <math.h>
#include <string.h>

#include "report_internal.h"

/* clang-format off */
static const char style[] =
":root{color-scheme:light dark;--ink:#1b2230;--soft:#5b6676;--paper:#ffffff;--card:#f4f6f9;"
"--line:#d8dee7;--accent:#0a6d6b;--warn:#8a5200;--warn-paper:#fff4de}\n"
"@media (prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa6b6;--paper:#14181f;"
"--card:#1d232c;--line:#323b48;--accent:#4cc3bd;--warn:#ffc46b;--warn-paper:#33270f}}\n"
"*{box-sizing:border-box}\n"
"body{margin:0;background:var(--paper);color:var(--ink);"
"font:16px/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif}\n"
"main{max-width:64rem;margin:0 auto;padding:2rem 1.25rem 3rem}\n"
"h1{font-size:1.75rem;line-height:1.25;margin:0 0 .5rem}\n"
"h2{font-size:1.2rem;margin:2.25rem 0 .5rem;padding-bottom:.3rem;"
"border-bottom:2px solid var(--accent)}\n"
".summary{font-size:1.1rem;margin:0 0 1rem}\n"
".notice{margin:0;color:var(--soft);font-size:.9rem;border-left:3px solid var(--accent);"
"padding-left:.75rem}\n"
"table{width:100%;border-collapse:collapse;margin:.5rem 0}\n"
"th,td{text-align:left;vertical-align:baseline;padding:.4rem .75rem .4rem 0;"
"border-bottom:1px solid var(--line);overflow-wrap:anywhere}\n"
"th{width:42%;font-weight:400;color:var(--soft)}\n"
"td{font-variant-numeric:tabular-nums}\n"
"td b{font-weight:600}\n"
".error{color:var(--soft)}\n"
"code{font:.85em ui-monospace,\"DejaVu Sans Mono\",monospace}\n"
".note,.warning{margin:.6rem 0;padding:.55rem .8rem;border-radius:.4rem;background:var(--card)}\n"
".warning{background:var(--warn-paper)}\n"
".warning b{color:var(--warn)}\n"
".pictures{display:grid;gap:1.1rem;margin:1rem 0;align-items:start;"
"grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr))}\n"
".pictures:has(>:nth-child(3):last-child){grid-template-columns:repeat(auto-fit,"
"minmax(min(100%,17rem),1fr))}\n"
"figure{margin:0;padding:.6rem;border-radius:.5rem;background:var(--card)}\n"
"img,svg{display:block;width:100%;height:auto;margin:0 auto;border-radius:.25rem}\n"
"svg{max-width:40rem}\n"
"figcaption{padding:.5rem .15rem 0;font-size:.9rem;color:var(--soft)}\n"
"@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--paper:#fff;--card:#fff;"
"--line:#bbb;--warn:#000;--warn-paper:#fff}body{font-size:10.5pt}main{max-width:none;padding:0}"
"h2{break-after:avoid}tr,figure,.note,.warning{break-inside:avoid}"
"figure,.note,.warning{border:1px solid var(--line)}}\n";
/* clang-format on */

/* ---- pieces ------------------------------------------------------------------ */

static void add_base64(es_text *html, const uint8_t *bytes, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (i + 1 < length) group |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < length) group |= bytes[i + 2];
        char out[4];
        for (int k = 0; k < 4; k++) out[k] = digits[group >> (18 - 6 * k) & 63];
        if (i + 1 >= length) out[2] = '=';
        if (i + 2 >= length) out[3] = '=';
        es_text_add_bytes(html, out, 4);
    }
}

/* ---- numbers ------------------------------------------------------------------- */

/* Decimals that leave `digits` significant ones. */
static int decimals_for(double value, int digits) {
    int decimals = digits - 1;
    double v = fabs(value);
    for (; v >= 10 && decimals > 0; decimals--) v /= 10;
    for (; v > 0 && v < 1 && decimals < 9; decimals++) v *= 10;
    return decimals;
}

/* Those that say the value to four digits, without zeros at the end. */
static int needed_decimals(double value) {
    int decimals = decimals_for(value, 4);
    if (decimals > 5) decimals = 5;
    double unit = 1;
    for (int i = 0; i < decimals; i++) unit *= 10;
    double scaled = round(value * unit);
    for (; decimals > 0 && fmod(scaled, 10) == 0; decimals--) scaled /= 10;
    return decimals;
}

/* Fixed decimals without the locale, thousands kept apart by thin spaces. */
static void add_number(es_text *html, double value, int decimals) {
    double unit = 1;
    for (int i = 0; i < decimals; i++) unit *= 10;
    double scaled = round(fabs(value) * unit);
    if (scaled >= 1e15 || (scaled == 0 && value != 0)) {
        char text[ES_NUMBER_SIZE];
        es_text_add(html, "%s", es_format_double(value, text));
        return;
    }
    uint64_t all = (uint64_t)scaled, whole = all / (uint64_t)unit, rest = all % (uint64_t)unit;
    char digits[32];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)whole);
    if (value < 0) es_text_add(html, "\xe2\x88\x92"); /* a real minus sign */
    for (int i = 0; i < count; i++) {
        if (i > 0 && count > 4 && (count - i) % 3 == 0) es_text_add(html, "\xe2\x80\x89");
        es_text_add_bytes(html, digits + i, 1);
    }
    if (decimals) es_text_add(html, ".%0*llu", decimals, (unsigned long long)rest);
}

/* "mm2" with a raised 2. */
static void add_unit(es_text *html, const char *unit) {
    size_t length = strlen(unit), letters = length;
    const char *raised = "";
    if (length > 1 && unit[length - 1] == '2') raised = "\xc2\xb2";
    if (length > 1 && unit[length - 1] == '3') raised = "\xc2\xb3";
    if (*raised) letters--;
    for (size_t i = 0; i < letters; i++) es_text_add_escaped(html, (const char[2]){unit[i], '\0'});
    es_text_add(html, "%s", raised);
}

/* Two significant digits of the error decide; without one, four of the value
 * and five decimals at most, and whole numbers as they are. */
static void add_figure(es_text *html, const item *entry) {
    bool has_error = isfinite(entry->error);
    if (!isfinite(entry->value)) {
        es_text_add(html, "not known");
        return;
    }
    int decimals = has_error ? decimals_for(entry->error, 2) : needed_decimals(entry->value);
    es_text_add(html, "<b>");
    add_number(html, entry->value, decimals);
    es_text_add(html, "</b>");
    if (has_error) {
        es_text_add(html, " <span class=\"error\">\xc2\xb1 ");
        add_number(html, fabs(entry->error), decimals);
        es_text_add(html, "</span>");
    }
    if (*entry->text) es_text_add(html, "\xc2\xa0"); /* no break before the unit */
    add_unit(html, entry->text);
}

/* ---- items ----------------------------------------------------------------------- */

static void add_table_row(es_text *html, const item *entry) {
    es_text_add(html, "<tr><th scope=\"row\">");
    es_text_add_escaped(html, entry->label);
    es_text_add(html, "</th><td>%s", entry->kind == ITEM_INPUT ? "<code>" : "");
    if (entry->kind == ITEM_NUMBER)
        add_figure(html, entry);
    else
        es_text_add_escaped(html, entry->text);
    es_text_add(html, "%s</td></tr>\n", entry->kind == ITEM_INPUT ? "</code>" : "");
}

static void add_note(es_text *html, const item *entry) {
    bool warning = entry->level == ES_WARNING;
    es_text_add(html, "<p class=\"%s\"><b>%s</b> ", warning ? "warning" : "note",
                warning ? "Warning:" : "Note:");
    es_text_add_escaped(html, entry->text);
    es_text_add(html, "</p>\n");
}

static void add_picture(es_text *html, const item *entry) {
    es_text_add(html, "<figure>");
    if (entry->kind == ITEM_PLOT) {
        es_text_add_bytes(html, entry->bytes, entry->length);
    } else {
        es_text_add(html, "<img width=\"%u\" height=\"%u\" alt=\"", entry->width, entry->height);
        es_text_add_escaped(html, entry->label);
        es_text_add(html, "\" style=\"max-width:%upx\" src=\"data:image/png;base64,", entry->width);
        add_base64(html, entry->bytes, entry->length);
        es_text_add(html, "\" />");
    }
    es_text_add(html, "<figcaption>");
    es_text_add_escaped(html, entry->label);
    es_text_add(html, "</figcaption></figure>\n");
}

/* Hidden until its script, at the end of the page, has something to show. */
static void add_view(es_text *html, const item *entry) {
    es_text_add(html, "<figure class=\"view\" hidden=\"hidden\">\n<figcaption>");
    es_text_add_escaped(html, entry->label);
    es_text_add(html, "</figcaption></figure>\n"
                      "<script type=\"application/octet-stream\" class=\"view-data\">");
    add_base64(html, entry->bytes, entry->length);
    es_text_add(html, "</script>\n");
}

/* The browser's side, when the report has a view. */
static const es_view_program *program_for(const es_report *report) {
    for (size_t i = 0; i < report->item_count; i++)
        if (report->items[i].kind == ITEM_VIEW) return es_view_program_get();
    return NULL;
}

/* Rows that follow one another share a table, pictures share a grid. */
typedef enum group { GROUP_NONE, GROUP_TABLE, GROUP_PICTURES } group;

static group group_of(item_kind kind) {
    if (kind == ITEM_PICTURE || kind == ITEM_PLOT) return GROUP_PICTURES;
    return kind == ITEM_NOTE || kind == ITEM_VIEW ? GROUP_NONE : GROUP_TABLE;
}

static void change_group(es_text *html, group *open, group next) {
    static const char *const begin[] = {"", "<table><tbody>\n", "<div class=\"pictures\">\n"};
    static const char *const end[] = {"", "</tbody></table>\n", "</div>\n"};
    if (*open == next) return;
    es_text_add(html, "%s%s", end[*open], begin[next]);
    *open = next;
}

static void add_item(es_text *html, const item *entry, group *open) {
    group wanted = group_of(entry->kind);
    change_group(html, open, wanted);
    if (wanted == GROUP_TABLE)
        add_table_row(html, entry);
    else if (wanted == GROUP_PICTURES)
        add_picture(html, entry);
    else if (entry->kind == ITEM_VIEW)
        add_view(html, entry);
    else
        add_note(html, entry);
}

static bool in_section(const item *entry, size_t section) {
    return entry->kind != ITEM_OPTION && entry->kind != ITEM_INPUT && entry->section == section;
}

static void add_section(es_text *html, const es_report *report, size_t index) {
    group open = GROUP_NONE;
    es_text_add(html, "<section id=\"%s\">\n<h2>", report->sections[index].key);
    es_text_add_escaped(html, report->sections[index].title);
    es_text_add(html, "</h2>\n");
    for (size_t i = 0; i < report->item_count; i++)
        if (in_section(&report->items[i], index)) add_item(html, &report->items[i], &open);
    change_group(html, &open, GROUP_NONE);
    es_text_add(html, "</section>\n");
}

/* Version, options and input digests: what it takes to repeat the work. */
static void add_origin(es_text *html, const es_report *report) {
    es_text_add(html,
                "<section>\n<h2>How to repeat this</h2>\n<table><tbody>\n"
                "<tr><th scope=\"row\">Program</th><td>echosolid %s</td></tr>\n",
                es_version());
    for (item_kind kind = ITEM_OPTION; kind <= ITEM_INPUT; kind++)
        for (size_t i = 0; i < report->item_count; i++)
            if (report->items[i].kind == kind) add_table_row(html, &report->items[i]);
    es_text_add(html, "</tbody></table>\n</section>\n");
}

static void add_program(es_text *html, const es_report *report) {
    const es_view_program *program = program_for(report);
    if (!program) return;
    es_text_add(html, "<script>");
    es_text_add_bytes(html, program->script, program->script_length);
    es_text_add(html, "</script>\n");
}

static void add_head(es_text *html, const es_report *report) {
    const es_view_program *program = program_for(report);
    es_text_add(html,
                "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n"
                "<head>\n<meta charset=\"utf-8\" />\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                "img-src data:; style-src 'unsafe-inline'%s%s%s\" />\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
                "<meta name=\"generator\" content=\"echosolid %s\" />\n<title>",
                program ? "; script-src '" : "", program ? program->script_hash : "",
                program ? "'" : "", es_version());
    es_text_add_escaped(html, report->title);
    es_text_add(html, "</title>\n<style>\n%s%s</style>\n</head>\n", style,
                program ? program->style : "");
}

static void add_body(es_text *html, const es_report *report) {
    es_text_add(html, "<body>\n<main>\n<h1>");
    es_text_add_escaped(html, report->title);
    es_text_add(html, "</h1>\n");
    if (report->summary) {
        es_text_add(html, "<p class=\"summary\">");
        es_text_add_escaped(html, report->summary);
        es_text_add(html, "</p>\n");
    }
    es_text_add(html, "<p class=\"notice\">" REPORT_NOTICE "</p>\n");
    for (size_t i = 0; i < report->section_count; i++) add_section(html, report, i);
    add_origin(html, report);
    es_text_add(html, "</main>\n");
    add_program(html, report);
    es_text_add(html, "</body>\n</html>\n");
}

bool es_report_html(const es_report *report, es_text *html, es_error *err) {
    if (report->problem.code != ES_OK) {
        if (err) *err = report->problem;
        return false;
    }
    add_head(html, report);
    add_body(html, report);
    return !html->failed || es_fail(err, ES_MEMORY, "report: out of memory");
}

bool es_report_write_html(const es_report *report, const char *path, es_error *err) {
    es_text html = {0};
    bool ok = es_report_html(report, &html, err) ? report_write_text(path, &html, err)
                                                 : es_prefix(err, "%s", path);
    es_text_free(&html);
    return ok;
}
