/* Opening a recording, with a table of poses beside it. */
#include "recording.h"

#include <math.h>

static bool check_words(const recording_options *o, es_error *err) {
    bool given = o->layout || o->tool || !isnan(o->time_offset) || !isnan(o->fps);
    return o->poses || !given ||
           es_fail(err, ES_USAGE,
                   "--pose-layout, --pose-tool, --time-offset and --fps speak of a table of poses; "
                   "name it with --poses");
}

bool app_is_volume(const char *file, const recording_options *o, bool *is_volume, es_error *err) {
    bool is_grid = false;
    if (!es_file_is_grid(file, &is_grid, err)) return false;
    *is_volume = is_grid && !o->poses;
    return true;
}

es_source *app_open_recording(const char *file, const recording_options *o, const es_plus *plus,
                              es_decisions *decisions, es_error *err) {
    es_source *source = check_words(o, err) ? es_sequence_open(file, err) : NULL;
    if (!source || !o->poses) return source;
    es_pose_request request = {.path = o->poses,
                               .layout = o->layout,
                               .tools = o->tool,
                               .time_offset_s = o->time_offset,
                               .rate_hz = o->fps,
                               .plus = plus};
    return es_pose_join(source, &request, decisions, err);
}

es_source *app_open_recording_told(const char *file, const recording_options *o,
                                   const es_plus *plus, const common_options *common,
                                   es_error *err) {
    es_decisions found = {0};
    es_source *source = app_open_recording(file, o, plus, &found, err);
    app_decisions(common, &found);
    es_decisions_clear(&found);
    return source;
}

es_source *app_open_recording_config(const char *file, const recording_options *o,
                                     const char *config, const common_options *common,
                                     es_error *err) {
    es_plus *plus = config ? es_plus_read(config, err) : NULL;
    es_source *source =
        plus || !config ? app_open_recording_told(file, o, plus, common, err) : NULL;
    es_plus_free(plus);
    return source;
}
