/* echosolid/igtl.h: OpenIGTLink messages to bytes and back, header versions 1
 * and 2 (protocols 1 to 3). A header of the live room, without sockets.
 *
 * Everything from a socket is hostile: every size is held against the bytes that
 * are there. What is read borrows from those bytes; numbers on the wire are
 * big-endian unless said. */
#ifndef ECHOSOLID_IGTL_H
#define ECHOSOLID_IGTL_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- framing ------------------------------------------------------------------ */

enum { ES_IGTL_HEADER = 58, ES_IGTL_TYPE = 12, ES_IGTL_DEVICE = 20 };

typedef struct es_igtl_limits {
    uint64_t body_max; /* larger ones are refused before memory is asked for */
    bool ignore_crc;   /* old bridges send none */
} es_igtl_limits;
#define ES_IGTL_LIMITS                                                                             \
    { .body_max = 1 << 30 }

typedef struct es_igtl_message {
    int version;                     /* of the header: 1 or 2 */
    char type[ES_IGTL_TYPE + 1];     /* "TRANSFORM" */
    char device[ES_IGTL_DEVICE + 1]; /* "ProbeToTracker" */
    uint64_t time;                   /* seconds of 1970 << 32 | fraction; 0: not said */
    uint32_t id;                     /* version 2, else 0 */
    const uint8_t *content;
    size_t content_size;
    const uint8_t *meta_index, *meta_data; /* version 2; count entries of 8 bytes each */
    size_t meta_size;
    int meta_count;
} es_igtl_message;

typedef enum es_igtl_state {
    ES_IGTL_WHOLE,     /* *used bytes are one message */
    ES_IGTL_SHORT,     /* *used bytes are wanted before more can be said */
    ES_IGTL_MALFORMED, /* the stream cannot be trusted any more: ES_FORMAT in err */
    ES_IGTL_TOO_LARGE, /* its body is over body_max: ES_UNSUPPORTED */
    ES_IGTL_CRC,       /* a whole message of *used bytes with another sum: skip it */
} es_igtl_state;
/* One message from the front of the bytes. The content of a type that is known
 * here is checked as well (ES_IGTL_MALFORMED); other types pass. */
es_igtl_state es_igtl_parse(const uint8_t *bytes, size_t length, const es_igtl_limits *limits,
                            es_igtl_message *message, size_t *used, es_error *err);

typedef struct es_igtl_meta {
    const char *key, *value; /* not terminated */
    size_t key_length, value_length;
    uint16_t encoding; /* 3: US-ASCII, 106: UTF-8 */
} es_igtl_meta;
/* index below meta_count */
es_igtl_meta es_igtl_meta_at(const es_igtl_message *message, int index);
bool es_igtl_meta_find(const es_igtl_message *message, const char *key, es_igtl_meta *meta);

/* CRC-64 of ECMA-182, not reflected, from 0. `crc` goes on from an earlier part. */
uint64_t es_igtl_crc(uint64_t crc, const void *bytes, size_t length);

/* Unix seconds and back; the wire's fraction is in units of 2^-32 s. */
double es_igtl_seconds(uint64_t time);
uint64_t es_igtl_time(double unix_s);

/* ---- what a message holds -------------------------------------------------------- */

/* TRANSFORM: mm */
bool es_igtl_get_transform(const es_igtl_message *message, es_mat4 *matrix, es_error *err);

/* POSITION and QTRANS: three numbers, six (w from the others) or seven */
typedef struct es_igtl_position {
    es_vec3 place;
    es_quat turn; /* 1 0 0 0 when absent */
    int numbers;
} es_igtl_position;
bool es_igtl_get_position(const es_igtl_message *message, es_igtl_position *position,
                          es_error *err);

/* TDATA and QTDATA: tools by name */
typedef struct es_igtl_tool {
    char name[ES_IGTL_DEVICE + 1];
    uint8_t type; /* 1 tracker, 2 6D, 3 3D, 4 5D */
    es_mat4 matrix;
    es_quat turn; /* QTDATA, as on the wire */
} es_igtl_tool;
size_t es_igtl_tool_count(const es_igtl_message *message);
bool es_igtl_get_tool(const es_igtl_message *message, size_t index, es_igtl_tool *tool,
                      es_error *err);

/* IMAGE. `matrix`: columns are the steps of i, j, k in mm and the place of the
 * middle between the first and the last voxel. */
typedef struct es_igtl_image {
    int channels;
    es_type type;
    bool little; /* byte order of the pixels */
    int frame;   /* 1 RAS, 2 LPS, as said; Slicer takes RAS whatever is said */
    uint16_t size[3], part_first[3], part_size[3];
    es_mat4 matrix;
    const uint8_t *pixels; /* of the part */
    size_t bytes;
} es_igtl_image;
bool es_igtl_get_image(const es_igtl_message *message, es_igtl_image *image, es_error *err);
/* Voxel index -> mm: the same with the first voxel's place. */
es_mat4 es_igtl_image_place(const es_igtl_image *image);
es_mat4 es_igtl_image_centre(es_mat4 place, const uint16_t size[3]);
/* The pixels in this machine's byte order; `to` has `bytes` room. */
void es_igtl_image_copy(const es_igtl_image *image, void *to);

/* VIDEO: one picture as a codec's packet. `matrix` and `frame` as in IMAGE. */
typedef struct es_igtl_video {
    char codec[5]; /* "H264"; letters that are none are '?' */
    bool grey;     /* the picture was grey before it was coded */
    int frame;
    uint16_t size[3];
    es_mat4 matrix;
    const uint8_t *bytes;
    size_t length;
} es_igtl_video;
/* ES_FORMAT for a volume or a part. */
bool es_igtl_get_video(const es_igtl_message *message, es_igtl_video *video, es_error *err);

typedef struct es_igtl_text {
    uint16_t encoding;
    const char *bytes; /* not terminated */
    size_t length;
} es_igtl_text;
bool es_igtl_get_string(const es_igtl_message *message, es_igtl_text *text, es_error *err);

typedef struct es_igtl_status {
    uint16_t code; /* 1: OK */
    int64_t subcode;
    char name[ES_IGTL_DEVICE + 1];
    es_igtl_text text; /* encoding 3 */
} es_igtl_status;
bool es_igtl_get_status(const es_igtl_message *message, es_igtl_status *status, es_error *err);

/* COMMAND and RTS_COMMAND */
typedef struct es_igtl_command {
    uint32_t id;
    char name[129];
    es_igtl_text text;
} es_igtl_command;
bool es_igtl_get_command(const es_igtl_message *message, es_igtl_command *command, es_error *err);

/* CAPABILITY: type names */
size_t es_igtl_capability_count(const es_igtl_message *message);
void es_igtl_get_capability(const es_igtl_message *message, size_t index,
                            char type[ES_IGTL_TYPE + 1]);

typedef struct es_igtl_sensor {
    uint8_t count, status;
    uint64_t unit;
    double values[255];
} es_igtl_sensor;
bool es_igtl_get_sensor(const es_igtl_message *message, es_igtl_sensor *sensor, es_error *err);

/* NDARRAY: `data` is big-endian, the last axis fastest */
typedef struct es_igtl_array {
    uint8_t scalar, axes; /* the wire's code: 2..7, 10, 11, 13 (complex) */
    uint16_t size[255];
    const uint8_t *data;
    size_t bytes;
} es_igtl_array;
bool es_igtl_get_array(const es_igtl_message *message, es_igtl_array *array, es_error *err);

typedef struct es_igtl_point {
    char name[65], group[33], owner[ES_IGTL_DEVICE + 1];
    uint8_t rgba[4];
    es_vec3 place;
    float radius;
} es_igtl_point;
size_t es_igtl_point_count(const es_igtl_message *message);
void es_igtl_get_point(const es_igtl_message *message, size_t index, es_igtl_point *point);

/* POLYDATA as a mesh: polygons as fans, strips; vertices and lines are left
 * out. `mesh` is overwritten, {0} on failure. */
bool es_igtl_get_mesh(const es_igtl_message *message, es_mesh *mesh, es_error *err);

/* STT_TDATA and STT_QTDATA */
typedef struct es_igtl_stream {
    int32_t resolution_ms;
    char frame[33];
} es_igtl_stream;
bool es_igtl_get_stream(const es_igtl_message *message, es_igtl_stream *stream, es_error *err);

/* ---- making messages ----------------------------------------------------------------- */

/* Grows as messages are put in, one after the other. A failed allocation is
 * kept in `failed`; nothing more is put in then. */
typedef struct es_igtl_out {
    uint8_t *bytes;
    size_t length, capacity;
    size_t start; /* of the message that is open */
    bool failed;
} es_igtl_out;
void es_igtl_out_clear(es_igtl_out *out);

/* What stands in the header. Names are cut to their fields. */
typedef struct es_igtl_head {
    int version;
    const char *device;
    uint64_t time;
    uint32_t id;
    /* Version 2: key, value, key, value, NULL, in this order; NULL: none. The
     * values are UTF-8. */
    const char *const *meta;
} es_igtl_head;

void es_igtl_put_raw(es_igtl_out *out, const es_igtl_head *head, const char *type,
                     const void *content, size_t length);
/* A message as it was read, byte for byte what was sent if that was regular. */
void es_igtl_put_message(es_igtl_out *out, const es_igtl_message *message);
void es_igtl_put_transform(es_igtl_out *out, const es_igtl_head *head, es_mat4 matrix);
void es_igtl_put_position(es_igtl_out *out, const es_igtl_head *head,
                          const es_igtl_position *position);
void es_igtl_put_tools(es_igtl_out *out, const es_igtl_head *head, const es_igtl_tool *tools,
                       size_t count, bool quaternions);
/* The pixels are this machine's unless `little` says otherwise: they are sent as
 * they are. `matrix` as in es_igtl_image. */
void es_igtl_put_image(es_igtl_out *out, const es_igtl_head *head, const es_igtl_image *image);
/* At most 65535 bytes of text go into a STRING; more is cut. */
void es_igtl_put_string(es_igtl_out *out, const es_igtl_head *head, const char *text,
                        size_t length);
void es_igtl_put_status(es_igtl_out *out, const es_igtl_head *head, uint16_t code, int64_t subcode,
                        const char *name, const char *text);
/* `reply`: RTS_COMMAND */
void es_igtl_put_command(es_igtl_out *out, const es_igtl_head *head, bool reply, uint32_t id,
                         const char *name, const char *text, size_t length);
void es_igtl_put_capability(es_igtl_out *out, const es_igtl_head *head, const char *const *types,
                            size_t count);
void es_igtl_put_sensor(es_igtl_out *out, const es_igtl_head *head, const es_igtl_sensor *sensor);
void es_igtl_put_array(es_igtl_out *out, const es_igtl_head *head, const es_igtl_array *array);
void es_igtl_put_points(es_igtl_out *out, const es_igtl_head *head, const es_igtl_point *points,
                        size_t count);
/* Points, triangles, and the confidence as a scalar of each point. */
void es_igtl_put_mesh(es_igtl_out *out, const es_igtl_head *head, const es_mesh *mesh);
void es_igtl_put_stream(es_igtl_out *out, const es_igtl_head *head, const char *type,
                        const es_igtl_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
