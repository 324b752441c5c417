/* Plots as SVG text, for pages that scale and print. */
#include <math.h>
#include <stdio.h>

#include "picture_internal.h"

enum { WIDTH = 520, HEIGHT = 240, LEFT = 56, RIGHT = 16, TOP = 12, BOTTOM = 52, MOST_BINS = 400 };

typedef struct histogram {
    uint64_t bins[MOST_BINS], total, beyond, tallest;
    int count;
    double low, high;
} histogram;

static bool histogram_count(histogram *h, const es_histogram *plot, es_error *err) {
    double least, most;
    h->count = plot->bins ? plot->bins : 40;
    if (h->count < 1 || h->count > MOST_BINS)
        return es_fail(err, ES_USAGE, "a histogram of %d bins; expected 1 to %d", plot->bins,
                       MOST_BINS);
    if (!picture_range(plot->values, plot->count, &least, &most))
        return es_fail(err, ES_USAGE, "a histogram of %zu values, none of them finite",
                       plot->count);
    bool chosen = plot->low < plot->high && isfinite(plot->low) && isfinite(plot->high);
    h->low = chosen ? plot->low : least;
    h->high = chosen ? plot->high : most > least ? most : least + 1;
    double scale = h->count / (h->high - h->low);
    for (size_t i = 0; i < plot->count; i++) {
        double value = (double)plot->values[i];
        if (!isfinite(value)) continue;
        h->total++;
        if (value < h->low || value > h->high) {
            h->beyond++;
            continue;
        }
        int bin = (int)((value - h->low) * scale);
        if (bin >= h->count) bin = h->count - 1;
        if (++h->bins[bin] > h->tallest) h->tallest = h->bins[bin];
    }
    return true;
}

static void add_number(es_text *svg, double value, int decimals) {
    char number[ES_NUMBER_SIZE];
    es_text_add(svg, "%s", picture_number(value, decimals, number));
}

/* A rectangle in the plot's pixels. */
static void add_rectangle(es_text *svg, double x, double y, double width, double height) {
    const double values[4] = {x, y, width, height};
    static const char *const names[4] = {"x", "y", "width", "height"};
    es_text_add(svg, "<rect");
    for (int i = 0; i < 4; i++) {
        es_text_add(svg, " %s=\"", names[i]);
        add_number(svg, values[i], 2);
        es_text_add(svg, "\"");
    }
    es_text_add(svg, "/>");
}

static void add_label(es_text *svg, double x, double y, const char *anchor, double value,
                      int decimals, const char *unit) {
    es_text_add(svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">", (int)lround(x), (int)lround(y),
                anchor);
    add_number(svg, value, decimals);
    es_text_add(svg, "%s</text>", unit);
}

static void add_bars(es_text *svg, const histogram *h) {
    double wide = (double)(WIDTH - LEFT - RIGHT) / h->count, high = HEIGHT - TOP - BOTTOM;
    es_text_add(svg, "<g fill=\"#0b8f8c\">");
    for (int i = 0; i < h->count; i++) {
        double bar = high * (double)h->bins[i] / (double)(h->tallest ? h->tallest : 1);
        if (h->bins[i]) add_rectangle(svg, LEFT + i * wide, TOP + high - bar, wide * 0.9, bar);
    }
    es_text_add(svg, "</g>\n");
}

/* Round numbers on both axes; shares of all values on the upright one. */
static void add_axes(es_text *svg, const histogram *h) {
    double wide = WIDTH - LEFT - RIGHT, high = HEIGHT - TOP - BOTTOM, bottom = TOP + high;
    double share = 100.0 * (double)h->tallest / (double)h->total;
    double step = picture_round_length((h->high - h->low) / 4), first = ceil(h->low / step);
    es_text_add(svg, "<g fill=\"currentColor\">");
    add_rectangle(svg, LEFT, bottom, wide, 1);
    for (int i = 0; i <= 10 && (first + i) * step <= h->high + step * 1e-6; i++) {
        double value = (first + i) * step;
        double x = LEFT + wide * picture_window(value, h->low, h->high);
        add_rectangle(svg, x, bottom, 1, 5);
        add_label(svg, x, bottom + 20, "middle", value, picture_decimals(step), "");
    }
    step = share > 0 ? picture_round_length(share / 2) : 1;
    for (int i = 0; i <= 4 && i * step <= share; i++) {
        double y = bottom - high * (share > 0 ? i * step / share : 0);
        add_rectangle(svg, LEFT - 5, y, 5, 1);
        add_label(svg, LEFT - 8, y + 5, "end", i * step, picture_decimals(step), " %");
    }
    es_text_add(svg, "</g>\n");
}

bool es_plot_histogram(const es_histogram *plot, es_text *svg, es_error *err) {
    histogram h = {0};
    if (!histogram_count(&h, plot, err)) return false;
    es_text_add(svg,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %d %d\" "
                "font-family=\"system-ui,sans-serif\" font-size=\"15\">\n",
                WIDTH, HEIGHT);
    add_bars(svg, &h);
    add_axes(svg, &h);
    es_text_add(svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"currentColor\">",
                (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
    es_text_add_escaped(svg, plot->label ? plot->label : "");
    if (h.beyond)
        es_text_add(svg, " (%llu of %llu lie beyond)", (unsigned long long)h.beyond,
                    (unsigned long long)h.total);
    es_text_add(svg, "</text>\n</svg>\n");
    return !svg->failed || es_fail(err, ES_MEMORY, "out of memory for a plot");
}
