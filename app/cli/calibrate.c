/* What the calibrate commands share. */
#include "calibrate.h"

#include <string.h>

bool calibrate_check_poses(const recording_options *table, int files, es_error *err) {
    return !table->poses || files < 2 ||
           es_fail(err, ES_USAGE, "give a recording with the poses or --poses, one of the two");
}

/* What the file has instead of the poses that were asked for. */
static bool tell_tools(es_source *source, const char *tool, es_error *err) {
    es_error first = *err;
    es_tool_list tools;
    char names[600] = "";
    size_t length = 0;
    if (first.code != ES_GEOMETRY || !es_source_rewind(source, err) ||
        !es_tool_list_read(source, &tools, err)) {
        *err = first;
        return false;
    }
    for (int k = 0; k < tools.count && length < sizeof names; k++)
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", k ? ", " : "",
                                   tools.names[k]);
    return es_fail(err, ES_GEOMETRY,
                   "%.500s. The file has poses of %s: name the marker with --tool if it is another "
                   "than %s, or give the recording or table that has its poses",
                   first.message, names[0] ? names : "no tool", tool);
}

bool calibrate_open(const common_options *common, const char *file, const calibrate_how *how,
                    calibrate_input *input, es_error *err) {
    memset(input, 0, sizeof *input);
    es_source *source = NULL;
    bool ok = !how->config || (input->plus = es_plus_read(how->config, err)) != NULL;
    if (ok && how->table)
        source = app_open_recording_told(file, how->table, input->plus, common, err);
    else if (ok)
        source = es_sequence_open(file, err);
    ok = source && es_pose_list_choose(source, how->tool, how->reference, input->transform, err);
    if (ok && !es_pose_list_read(source, input->plus, input->transform, &input->poses, err))
        ok = tell_tools(source, how->tool ? how->tool : "that", err);
    es_source_free(source);
    if (ok)
        app_note(common, "%s: %zu of %zu frames have a valid %s", es_path_name(file),
                 input->poses.placed, input->poses.count, input->transform);
    else
        calibrate_close(input);
    return ok;
}

void calibrate_close(calibrate_input *input) {
    es_plus_free(input->plus);
    es_pose_list_clear(&input->poses);
    memset(input, 0, sizeof *input);
}

bool calibrate_write(const es_plus *plus, const char *path, const char *from, const char *to,
                     es_mat4 matrix, double error, es_error *err) {
    if (!path) return true;
    es_plus_transform t = {.matrix = matrix, .error = error};
    snprintf(t.from, sizeof t.from, "%s", from);
    snprintf(t.to, sizeof t.to, "%s", to);
    return es_calibration_write(plus, path, &t, err);
}

json_t *calibrate_json_vector(es_vec3 v) {
    return json_pack("[o, o, o]", app_json_number(v.x), app_json_number(v.y), app_json_number(v.z));
}

json_t *calibrate_json_matrix(es_mat4 m) {
    json_t *array = json_array();
    for (int i = 0; i < 16; i++) json_array_append_new(array, app_json_number(m.m[i]));
    return array;
}
