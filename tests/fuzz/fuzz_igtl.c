/* Any bytes as OpenIGTLink messages: no crash, nothing read past the end, and
 * what was taken comes back byte for byte but for the sum. */
#include <stdlib.h>
#include <string.h>

#include "echosolid/igtl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void read_all(const es_igtl_message *m) {
    static es_igtl_sensor sensor;
    static es_igtl_array array;
    es_mat4 matrix;
    es_igtl_position position;
    es_igtl_tool tool;
    es_igtl_image image;
    es_igtl_video video;
    es_igtl_text text;
    es_igtl_status status;
    es_igtl_command command;
    es_igtl_stream stream;
    es_mesh mesh;
    es_igtl_meta meta;
    es_igtl_get_transform(m, &matrix, NULL);
    es_igtl_get_position(m, &position, NULL);
    es_igtl_get_tool(m, 0, &tool, NULL);
    es_igtl_get_image(m, &image, NULL);
    if (es_igtl_get_video(m, &video, NULL) &&
        (strlen(video.codec) > 4 || video.length > m->content_size))
        abort();
    es_igtl_get_string(m, &text, NULL);
    es_igtl_get_status(m, &status, NULL);
    es_igtl_get_command(m, &command, NULL);
    es_igtl_get_sensor(m, &sensor, NULL);
    es_igtl_get_array(m, &array, NULL);
    es_igtl_get_stream(m, &stream, NULL);
    if (es_igtl_get_mesh(m, &mesh, NULL)) es_mesh_clear(&mesh);
    es_igtl_meta_find(m, "Status", &meta);
    for (int i = 0; i < m->meta_count && i < 20; i++) es_igtl_meta_at(m, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    es_igtl_limits limits = {.body_max = 1 << 20, .ignore_crc = true};
    es_igtl_message m;
    size_t used;
    while (es_igtl_parse(bytes, length, &limits, &m, &used, NULL) == ES_IGTL_WHOLE) {
        es_igtl_out out = {0};
        if (used > length) abort();
        read_all(&m);
        es_igtl_put_message(&out, &m);
        es_igtl_message again;
        size_t again_used;
        if (!out.failed && es_igtl_parse(out.bytes, out.length, &limits, &again, &again_used,
                                         NULL) != ES_IGTL_WHOLE)
            abort();
        es_igtl_out_clear(&out);
        bytes += used;
        length -= used;
    }
    return 0;
}
