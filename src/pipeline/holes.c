/* Hole filling as people ask for it, in a PLUS configuration or in words, as
 * the steps of es_fill and of the compatible mode. */
#include <math.h>
#include <string.h>

#include "echosolid/pipeline.h"

typedef struct method {
    const char *word, *plus; /* on the command line, in a configuration */
    es_fill_kind kind;
    es_compat_fill_kind compat;
    es_plus_hole_filling fallback; /* attributes that are not given */
} method;

static const method methods[] = {
    {"stick",
     "STICK",
     ES_FILL_STICK,
     ES_COMPAT_STICK,
     {.stick_length_limit = 9, .number_of_sticks = 1}},
    {"gaussian",
     "GAUSSIAN",
     ES_FILL_GAUSSIAN,
     ES_COMPAT_GAUSSIAN,
     {.size = 5, .stdev = 2.0 / 3, .minimum_known_voxels_ratio = 0.5}},
    {"accumulation",
     "GAUSSIAN_ACCUMULATION",
     ES_FILL_GAUSSIAN_ACCUMULATION,
     ES_COMPAT_GAUSSIAN_ACCUMULATION,
     {.size = 5, .stdev = 2.0 / 3, .minimum_known_voxels_ratio = 0.5}},
    {"inverse",
     "DISTANCE_WEIGHT_INVERSE",
     ES_FILL_INVERSE_DISTANCE,
     ES_COMPAT_DISTANCE_WEIGHT_INVERSE,
     {.size = 5, .minimum_known_voxels_ratio = 0.5}},
    {"nearest",
     "NEAREST_NEIGHBOR",
     ES_FILL_NEAREST,
     ES_COMPAT_NEAREST_NEIGHBOR,
     {.size = 5, .minimum_known_voxels_ratio = 0.5}},
};
enum { METHODS = sizeof methods / sizeof *methods };

static const method *find_method(const char *plus) {
    for (int i = 0; i < METHODS; i++)
        if (strcmp(methods[i].plus, plus) == 0) return &methods[i];
    return NULL;
}

static void fill_in(es_plus_hole_filling *h, const method *m) {
    const es_plus_hole_filling *f = &m->fallback;
    snprintf(h->type, sizeof h->type, "%s", m->plus);
    if (!h->size) h->size = f->size;
    if (!h->stick_length_limit) h->stick_length_limit = f->stick_length_limit;
    if (!h->number_of_sticks) h->number_of_sticks = f->number_of_sticks;
    if (isnan(h->stdev)) h->stdev = f->stdev;
    if (isnan(h->minimum_known_voxels_ratio))
        h->minimum_known_voxels_ratio = f->minimum_known_voxels_ratio;
}

/* "gaussian:5:0.667:0.5" -> one element; false when it is none. */
static bool parse_step(char *text, es_plus_hole_filling *h) {
    char *rest = text, *word = strtok_r(rest, ":", &rest);
    double numbers[3];
    int count = 0;
    for (char *part; (part = strtok_r(rest, ":", &rest)); count++)
        if (count == 3 || !es_parse_double(part, &numbers[count]) || !(fabs(numbers[count]) < 1e6))
            return false;
    *h = (es_plus_hole_filling){.stdev = NAN, .minimum_known_voxels_ratio = NAN};
    for (int i = 0; word && i < METHODS; i++) {
        if (strcmp(word, methods[i].word) != 0) continue;
        bool stick = methods[i].kind == ES_FILL_STICK;
        bool gauss = !isnan(methods[i].fallback.stdev) && methods[i].fallback.stdev > 0;
        if (count > 0 && stick) h->stick_length_limit = (int)numbers[0];
        if (count > 1 && stick) h->number_of_sticks = (int)numbers[1];
        if (count > 0 && !stick) h->size = (int)numbers[0];
        if (count > 1 && gauss) h->stdev = numbers[1];
        if (count > 1 + gauss && !stick) h->minimum_known_voxels_ratio = numbers[1 + gauss];
        fill_in(h, &methods[i]);
        return count <= (gauss ? 3 : 2);
    }
    return false;
}

bool es_holes_parse(const char *text, es_holes *holes, es_error *err) {
    holes->count = 0;
    if (strcmp(text, "none") == 0) return true;
    char *copy = es_copy_text(text, err);
    if (!copy) return false;
    bool ok = true;
    char *rest = copy;
    for (char *step; ok && (step = strtok_r(rest, "+", &rest)); holes->count++)
        ok = holes->count < ES_PLUS_HOLE_MAX && parse_step(step, &holes->steps[holes->count]);
    es_free(copy);
    if (ok && holes->count > 0) return true;
    return es_fail(err, ES_USAGE,
                   "hole filling '%s': expected none, or up to %d of stick:LENGTH:STICKS, "
                   "gaussian:SIZE:STDEV:RATIO, accumulation:SIZE:STDEV:RATIO, inverse:SIZE:RATIO, "
                   "nearest:SIZE:RATIO joined by +",
                   text, ES_PLUS_HOLE_MAX);
}

bool es_holes_from_plus(const es_plus_reconstruction *plus, es_holes *holes, es_error *err) {
    holes->count = 0;
    if (!plus->has_fill_holes || !plus->fill_holes) return true;
    for (int i = 0; i < plus->hole_filling_count; i++) {
        const method *m = find_method(plus->hole_filling[i].type);
        if (!m)
            return es_fail(err, ES_UNSUPPORTED, "hole filling %s of the configuration is not known",
                           plus->hole_filling[i].type);
        holes->steps[i] = plus->hole_filling[i];
        fill_in(&holes->steps[i], m);
    }
    holes->count = plus->hole_filling_count;
    if (holes->count > 0) return true;
    return es_fail(err, ES_FORMAT,
                   "the configuration says FillHoles=ON without a HoleFillingElement; add one, or "
                   "give --fill");
}

void es_holes_describe(const es_holes *holes, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "%s", holes->count ? "" : "none: holes stay holes");
    for (int i = 0; i < holes->count && used < size; i++) {
        const es_plus_hole_filling *h = &holes->steps[i];
        const method *m = find_method(h->type);
        const char *then = i ? ", then " : "";
        int n =
            m->kind == ES_FILL_STICK
                ? snprintf(text + used, size - used, "%sstick %d long, %d", then,
                           h->stick_length_limit, h->number_of_sticks)
                : snprintf(text + used, size - used, "%s%s of %d voxels", then, m->word, h->size);
        used += n > 0 ? (size_t)n : 0;
    }
}

es_fill_options es_holes_fill_options(const es_holes *holes, es_pool *pool) {
    es_fill_options options = {.count = holes->count, .pool = pool};
    for (int i = 0; i < holes->count; i++) {
        const es_plus_hole_filling *h = &holes->steps[i];
        options.steps[i] = (es_fill_step){.kind = find_method(h->type)->kind,
                                          .stick_length_limit = h->stick_length_limit,
                                          .number_of_sticks = h->number_of_sticks,
                                          .size = h->size,
                                          .stdev = h->stdev,
                                          .minimum_known_ratio = h->minimum_known_voxels_ratio};
    }
    return options;
}

size_t es_holes_compat_steps(const es_holes *holes, es_compat_fill_step steps[ES_PLUS_HOLE_MAX]) {
    for (int i = 0; i < holes->count; i++) {
        const es_plus_hole_filling *h = &holes->steps[i];
        steps[i] = (es_compat_fill_step){.kind = find_method(h->type)->compat,
                                         .stick_length = h->stick_length_limit,
                                         .sticks = h->number_of_sticks,
                                         .size = h->size,
                                         .stdev_voxels = (float)h->stdev,
                                         .known_ratio = (float)h->minimum_known_voxels_ratio};
    }
    return (size_t)holes->count;
}
