/* Recordings that clients start and stop, beside the one of the whole run. */
#include <string.h>
#include <unistd.h>

#include "run.h"

static bool is_journal(const char *path) { return es_has_suffix(path, ".nhdr"); }

/* "scan.igs.mha" is made of scan.igs.mha.live.nhdr. */
static char *with_ending(const char *path, const char *ending, es_error *err) {
    es_text text = {0};
    es_text_add(&text, "%s%s", path, ending);
    if (!text.failed) return text.bytes;
    es_text_free(&text);
    es_fail(err, ES_MEMORY, "out of memory");
    return NULL;
}

bool run_capture_start(es_live_run *r, const char *path, es_error *err) {
    run_capture *c = &r->capture;
    c->path = es_copy_text(path, err);
    c->journal_path = c->path ? with_ending(path, is_journal(path) ? "" : ".live.nhdr", err) : NULL;
    c->frames = 0;
    c->paused = false;
    c->journal = c->journal_path
                     ? es_journal_create(c->journal_path, es_source_info(r->options.source), err)
                     : NULL;
    if (c->journal && (!r->ready || run_record_survey(r, c->journal, err))) return true;
    run_capture_clear(r);
    return false;
}

bool run_capture_put(es_live_run *r, const es_frame *frame, es_error *err) {
    run_capture *c = &r->capture;
    if (!c->journal || c->paused) return true;
    bool ok = es_journal_put(c->journal, frame, err);
    c->frames += ok;
    return ok;
}

void run_capture_clear(es_live_run *r) {
    run_capture *c = &r->capture;
    es_journal_free(c->journal);
    es_free(c->journal_path);
    es_free(c->path);
    memset(c, 0, sizeof *c);
}

/* Without compression: it is done while frames come. */
static bool convert(const run_capture *c, es_error *err) {
    es_sequence_options options = {.compress = false, .level = 1};
    es_source *source = es_sequence_open(c->journal_path, err);
    es_sink *sink =
        source ? es_sequence_create(c->path, es_source_info(source), &options, err) : NULL;
    es_frame frame = {0};
    bool ok = sink != NULL, end = false;
    while (ok) {
        ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (!ok || end) break;
        ok = es_sink_put(sink, &frame, err);
    }
    ok = ok && es_sink_finish(sink, err);
    es_frame_clear(&frame);
    es_sink_free(sink);
    es_source_free(source);
    return ok;
}

bool run_capture_stop(es_live_run *r, es_error *err) {
    run_capture *c = &r->capture;
    bool converts = c->journal && c->frames > 0 && !is_journal(c->path);
    es_journal_free(c->journal);
    c->journal = NULL;
    bool ok = !converts || convert(c, err);
    if (converts && ok) {
        char *raw = with_ending(c->path, ".live.raw", NULL);
        unlink(c->journal_path);
        if (raw) unlink(raw);
        es_free(raw);
    }
    run_capture_clear(r);
    return ok;
}
