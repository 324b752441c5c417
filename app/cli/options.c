/* Parsing command lines by table. */
#include "options.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const opt common_table[] = {{.name = "json",
                                    .type = OPT_FLAG,
                                    .offset = offsetof(common_options, json),
                                    .help = "print the result as JSON, for programs"},
                                   {.name = "quiet",
                                    .letter = 'q',
                                    .type = OPT_FLAG,
                                    .offset = offsetof(common_options, quiet),
                                    .help = "no progress and no notes on standard error"},
                                   {.name = "help",
                                    .letter = 'h',
                                    .type = OPT_FLAG,
                                    .offset = offsetof(common_options, help),
                                    .help = "print this help"},
                                   {.name = NULL}};

const opt *options_common(void);
const opt *options_common(void) { return common_table; }

typedef struct unit_suffix {
    opt_unit unit;
    const char *suffix;
    double factor;
} unit_suffix;

static const unit_suffix suffixes[] = {
    {UNIT_MM, "um", 1e-3}, {UNIT_MM, "mm", 1},    {UNIT_MM, "cm", 10},
    {UNIT_MM, "m", 1000},  {UNIT_S, "us", 1e-6},  {UNIT_S, "ms", 1e-3},
    {UNIT_S, "s", 1},      {UNIT_DEG, "deg", 1},  {UNIT_DEG, "rad", 57.29577951308232},
    {UNIT_PX, "px", 1},    {UNIT_GB, "MB", 1e-3}, {UNIT_GB, "GB", 1},
    {UNIT_HZ, "Hz", 1},
};
enum { SUFFIX_COUNT = sizeof suffixes / sizeof *suffixes };

static const char *units_allowed(opt_unit unit, char text[64]) {
    text[0] = '\0';
    for (int i = 0; i < SUFFIX_COUNT; i++)
        if (suffixes[i].unit == unit) {
            if (text[0]) strcat(text, ", ");
            strcat(text, suffixes[i].suffix);
        }
    return text;
}

/* "0.5", "0.5mm", "5cm" into the option's own unit. */
static bool parse_number(const opt *o, const char *text, double *value, es_error *err) {
    char number[64];
    size_t length = strlen(text), end = length;
    while (end > 0 && isalpha((unsigned char)text[end - 1])) end--;
    if (end == 0 || end >= sizeof number || es_parse_double(text, value)) end = length;
    if (end >= sizeof number)
        return es_fail(err, ES_USAGE, "--%s %s: expected a number", o->name, text);
    memcpy(number, text, end);
    number[end] = '\0';
    if (!es_parse_double(number, value) || !isfinite(*value))
        return es_fail(err, ES_USAGE, "--%s %s: expected a number", o->name, text);
    if (end < length) {
        double factor = 0;
        for (int i = 0; i < SUFFIX_COUNT; i++)
            if (suffixes[i].unit == o->unit && strcmp(text + end, suffixes[i].suffix) == 0)
                factor = suffixes[i].factor;
        char allowed[64];
        if (factor == 0)
            return es_fail(err, ES_USAGE, "--%s %s: unknown unit '%s'%s%s", o->name, text,
                           text + end, o->unit ? "; it may be " : "; expected a plain number",
                           units_allowed(o->unit, allowed));
        *value *= factor;
    }
    if ((o->low != 0 || o->high != 0) && !(*value >= o->low && *value <= o->high))
        return es_fail(err, ES_USAGE, "--%s %s: must be from %g to %g", o->name, text, o->low,
                       o->high);
    return true;
}

static bool parse_numbers(const opt *o, const char *text, double *values, es_error *err) {
    char *copy = es_copy_text(text, err);
    if (!copy) return false;
    int count = 0;
    bool ok = true;
    char *rest = copy;
    for (char *word; ok && (word = strtok_r(rest, " ,;", &rest)); count++)
        if (count < o->count) ok = parse_number(o, word, &values[count], err);
    es_free(copy);
    if (ok && count == 1 && o->count > 1 && o->unit == UNIT_MM && o->count == 3) {
        values[1] = values[2] = values[0]; /* --spacing 0.5 is isotropic */
        return true;
    }
    if (ok && count != o->count)
        return es_fail(err, ES_USAGE, "--%s '%s': expected %d numbers, found %d", o->name, text,
                       o->count, count);
    return ok;
}

static bool parse_word(const opt *o, const char *text, int *value, es_error *err) {
    es_text allowed = {0};
    for (int i = 0; o->words[i]; i++) {
        if (strcasecmp(text, o->words[i]) == 0) {
            *value = i;
            es_text_free(&allowed);
            return true;
        }
        es_text_add(&allowed, "%s%s", i ? ", " : "", o->words[i]);
    }
    es_fail(err, ES_USAGE, "--%s %s: unknown; it may be %s", o->name, text,
            allowed.failed ? "" : allowed.bytes);
    es_text_free(&allowed);
    return false;
}

static bool add_text(const opt *o, const char *text, const char **texts, es_error *err) {
    int count = 0;
    while (count < o->count && texts[count]) count++;
    if (count == o->count)
        return es_fail(err, ES_USAGE, "--%s %s: given more than %d times", o->name, text, o->count);
    texts[count] = text;
    return true;
}

static bool set_value(const opt *o, const char *text, void *options, es_error *err) {
    char *place = (char *)options + o->offset;
    double number = 0;
    int64_t whole = 0;
    switch (o->type) {
    case OPT_FLAG: *(bool *)place = true; return true;
    case OPT_INT:
        if (!es_parse_int(text, &whole))
            return es_fail(err, ES_USAGE, "--%s %s: expected a whole number", o->name, text);
        if ((o->low != 0 || o->high != 0) && ((double)whole < o->low || (double)whole > o->high))
            return es_fail(err, ES_USAGE, "--%s %s: must be from %g to %g", o->name, text, o->low,
                           o->high);
        *(int64_t *)place = whole;
        return true;
    case OPT_NUMBER:
        if (!parse_number(o, text, &number, err)) return false;
        *(double *)place = number;
        return true;
    case OPT_NUMBERS: return parse_numbers(o, text, (double *)place, err);
    case OPT_TEXT: *(const char **)place = text; return true;
    case OPT_TEXTS: return add_text(o, text, (const char **)place, err);
    case OPT_WORD: return parse_word(o, text, (int *)place, err);
    }
    return false;
}

static bool set_defaults(const opt *table, void *options, es_error *err) {
    for (const opt *o = table; o->name; o++) {
        char *place = (char *)options + o->offset;
        if (o->type == OPT_NUMBER) *(double *)place = NAN;
        if (o->type == OPT_NUMBERS)
            for (int i = 0; i < o->count; i++) ((double *)place)[i] = NAN;
        if (o->type == OPT_WORD) *(int *)place = -1;
        if (o->fallback && !set_value(o, o->fallback, options, err)) return false;
    }
    return true;
}

static const opt *find_in(const opt *table, const char *name, size_t length, char letter) {
    for (const opt *o = table; o->name; o++)
        if (letter ? o->letter == letter
                   : strlen(o->name) == length && strncmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

static const opt *find_option(const command *cmd, const char *name, size_t length, char letter) {
    const opt *o = find_in(cmd->options, name, length, letter);
    return o ? o : find_in(common_table, name, length, letter);
}

bool options_parse(const command *cmd, int argc, char **argv, void *options, const char **files,
                   int *file_count, es_error *err) {
    memset(options, 0, cmd->options_size);
    *file_count = 0;
    if (!set_defaults(cmd->options, options, err)) return false;
    bool only_files = false;
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        if (only_files || word[0] != '-' || !word[1]) {
            if (*file_count == cmd->arguments_max)
                return es_fail(err, ES_USAGE, "%s: one argument too many: %s", cmd->name, word);
            files[(*file_count)++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_files = true;
            continue;
        }
        bool is_long = word[1] == '-';
        const char *name = word + (is_long ? 2 : 1);
        size_t length = strcspn(name, "=");
        if (!is_long && length != 1)
            return es_fail(err, ES_USAGE, "%s: unknown option %s; see echosolid %s --help",
                           cmd->name, word, cmd->name);
        const opt *o = find_option(cmd, name, length, is_long ? 0 : name[0]);
        if (!o)
            return es_fail(err, ES_USAGE, "%s: unknown option %s; see echosolid %s --help",
                           cmd->name, word, cmd->name);
        const char *value = name[length] == '=' ? name + length + 1 : NULL;
        if (o->type == OPT_FLAG && value)
            return es_fail(err, ES_USAGE, "--%s takes no value", o->name);
        if (o->type != OPT_FLAG && !value) {
            if (i + 1 == argc) return es_fail(err, ES_USAGE, "--%s needs a value", o->name);
            value = argv[++i];
        }
        if (!set_value(o, value, options, err)) return false;
    }
    if (((const common_options *)options)->help) return true;
    if (*file_count < cmd->arguments_min)
        return es_fail(err, ES_USAGE, "%s: too few arguments; usage: echosolid %s %s", cmd->name,
                       cmd->name, cmd->usage);
    return true;
}

static void add_value(es_text *text, const opt *o, const char *place) {
    char number[ES_NUMBER_SIZE];
    switch (o->type) {
    case OPT_FLAG:
        if (*(const bool *)place) es_text_add(text, " %s", o->name);
        break;
    case OPT_INT: es_text_add(text, " %s=%lld", o->name, (long long)*(const int64_t *)place); break;
    case OPT_NUMBER:
    case OPT_NUMBERS:
        if (isnan(*(const double *)place)) break;
        es_text_add(text, " %s=", o->name);
        for (int i = 0; i < (o->type == OPT_NUMBER ? 1 : o->count); i++)
            es_text_add(text, "%s%s", i ? "," : "",
                        es_format_double(((const double *)place)[i], number));
        break;
    case OPT_TEXT:
    case OPT_TEXTS:
        for (int i = 0; i < (o->type == OPT_TEXT ? 1 : o->count); i++) {
            const char *value = ((const char *const *)place)[i];
            if (value) es_text_add(text, " %s=%s", o->name, es_path_name(value));
        }
        break;
    case OPT_WORD: {
        int word = *(const int *)place;
        if (word >= 0) es_text_add(text, " %s=%s", o->name, o->words[word]);
        break;
    }
    }
}

void options_add_value(es_text *text, const opt *o, const void *options) {
    add_value(text, o, (const char *)options + o->offset);
}

char *options_used(const command *cmd, const void *options) {
    es_text text = {0};
    es_text_add(&text, "%s", cmd->name);
    for (const opt *o = cmd->options; o->name; o++)
        if (strcmp(o->name, "threads") != 0) /* never changes a result */
            options_add_value(&text, o, options);
    if (text.failed) es_text_free(&text);
    return text.bytes;
}

/* ---- the command line that does it again ------------------------------------- */

/* In single quotes where a shell would read more than the word itself. */
static void add_word(es_text *line, const char *before, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./,:+=@%#";
    es_text_add(line, " %s", before);
    if (*word && word[strspn(word, plain)] == '\0') {
        es_text_add(line, "%s", word);
        return;
    }
    es_text_add(line, "'");
    for (const char *s = word; *s; s++) es_text_add(line, *s == '\'' ? "'\\''" : "%c", *s);
    es_text_add(line, "'");
}

/* One option as it stands in `place`; nothing for a flag or value not given. */
static void add_option(es_text *line, const opt *o, const char *place) {
    char before[64], number[ES_NUMBER_SIZE];
    es_text value = {0};
    snprintf(before, sizeof before, "--%s ", o->name);
    if (o->type == OPT_FLAG && *(const bool *)place) es_text_add(line, " --%s", o->name);
    if (o->type == OPT_INT) es_text_add(&value, "%lld", (long long)*(const int64_t *)place);
    if (o->type == OPT_WORD && *(const int *)place >= 0)
        es_text_add(&value, "%s", o->words[*(const int *)place]);
    int numbers = o->type == OPT_NUMBERS ? o->count : o->type == OPT_NUMBER;
    for (int i = 0; i < numbers && !isnan(*(const double *)place); i++)
        es_text_add(&value, "%s%s", i ? "," : "",
                    es_format_double(((const double *)place)[i], number));
    if (value.length) add_word(line, before, value.bytes);
    int texts = o->type == OPT_TEXTS ? o->count : o->type == OPT_TEXT;
    for (int i = 0; i < texts && ((const char *const *)place)[i]; i++)
        add_word(line, before, es_path_name(((const char *const *)place)[i]));
    line->failed |= value.failed;
    es_text_free(&value);
}

static void add_if_changed(es_text *line, const opt *o, const char *used, const char *fallback) {
    es_text now = {0}, otherwise = {0};
    add_option(&now, o, used + o->offset);
    add_option(&otherwise, o, fallback + o->offset);
    bool same = now.length == otherwise.length &&
                (!now.length || memcmp(now.bytes, otherwise.bytes, now.length) == 0);
    if (!same) es_text_add_bytes(line, now.bytes, now.length);
    line->failed |= now.failed || otherwise.failed;
    es_text_free(&now);
    es_text_free(&otherwise);
}

char *options_command_line(const command *cmd, const void *options, const char *const *files,
                           int count) {
    es_text line = {0};
    void *fallback = es_alloc_zero(1, cmd->options_size, NULL);
    bool ok = fallback && set_defaults(cmd->options, fallback, NULL);
    es_text_add(&line, "echosolid %s", cmd->name);
    for (int i = 0; i < count; i++) add_word(&line, "", es_path_name(files[i]));
    for (const opt *o = cmd->options; ok && o->name; o++)
        if (strcmp(o->name, "threads") != 0) add_if_changed(&line, o, options, fallback);
    es_free(fallback);
    if (!ok || line.failed) es_text_free(&line);
    return line.bytes;
}

const command *command_find(const char *word, const char *second, int *words) {
    char both[64];
    snprintf(both, sizeof both, "%s %s", word, second ? second : "");
    for (*words = 2; *words > 0; --*words)
        for (const command *const *c = commands; *c; c++)
            if (strcmp((*c)->name, *words == 2 ? both : word) == 0) return *c;
    return NULL;
}
