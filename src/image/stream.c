/* Frame sources and sinks: thin handles over the formats, the simulator and,
 * later, live links. */
#include <string.h>

#include "echosolid/image.h"

void es_stream_info_clear(es_stream_info *info) {
    es_fields_clear(&info->fields);
    memset(info, 0, sizeof *info);
}

bool es_stream_info_copy(const es_stream_info *from, es_stream_info *to, es_error *err) {
    es_fields fields = {0};
    if (!es_fields_copy(&from->fields, &fields, err)) {
        es_fields_clear(&fields);
        return false;
    }
    es_fields_clear(&to->fields);
    *to = *from;
    to->fields = fields;
    return true;
}

struct es_source {
    es_source_ops ops;
    void *self;
    es_stream_info info;
};

es_source *es_source_new(const es_source_ops *ops, void *self, const es_stream_info *info,
                         es_error *err) {
    es_source *source = es_alloc_zero(1, sizeof *source, err);
    if (!source || !es_stream_info_copy(info, &source->info, err)) {
        ops->free(self);
        es_free(source);
        return NULL;
    }
    source->ops = *ops;
    source->self = self;
    return source;
}

const es_stream_info *es_source_info(const es_source *source) { return &source->info; }

bool es_source_next(es_source *source, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    *end = false;
    if (es_cancelled(err)) return false;
    return source->ops.next(source->self, frame, flags, end, err);
}

bool es_source_can_rewind(const es_source *source) { return source->ops.rewind != NULL; }

bool es_source_rewind(es_source *source, es_error *err) {
    if (!source->ops.rewind)
        return es_fail(err, ES_UNSUPPORTED, "a live source cannot be read a second time");
    return source->ops.rewind(source->self, err);
}

void es_source_free(es_source *source) {
    if (!source) return;
    source->ops.free(source->self);
    es_stream_info_clear(&source->info);
    es_free(source);
}

struct es_sink {
    es_sink_ops ops;
    void *self;
};

es_sink *es_sink_new(const es_sink_ops *ops, void *self, es_error *err) {
    es_sink *sink = es_alloc_zero(1, sizeof *sink, err);
    if (!sink) {
        ops->free(self);
        return NULL;
    }
    sink->ops = *ops;
    sink->self = self;
    return sink;
}

bool es_sink_put(es_sink *sink, const es_frame *frame, es_error *err) {
    return !es_cancelled(err) && sink->ops.put(sink->self, frame, err);
}

bool es_sink_finish(es_sink *sink, es_error *err) {
    return !es_cancelled(err) && sink->ops.finish(sink->self, err);
}

void es_sink_free(es_sink *sink) {
    if (!sink) return;
    sink->ops.free(sink->self);
    es_free(sink);
}
