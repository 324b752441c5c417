/* Recordings that clients start and stop, beside the one of the whole run. */
#include <string.h>

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
    c->frames = c->marks = 0;
    c->paused = false;
    r->captures++;
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

void run_capture_end(es_live_run *r, const es_error *why) {
    es_log(ES_WARNING, "the recording that a client started ends here: %s", why->message);
    run_capture_clear(r);
}

bool run_capture_stop(es_live_run *r, es_error *err) {
    run_capture *c = &r->capture;
    /* Without compression: frames come meanwhile. */
    const es_sequence_options options = {.compress = false, .level = 1};
    bool converts = c->journal && c->frames > 0 && !is_journal(c->path);
    int64_t frames;
    es_journal_free(c->journal);
    c->journal = NULL;
    bool ok = !converts || es_journal_convert(c->journal_path, c->path, &options, &frames, err);
    run_capture_clear(r);
    return ok;
}
