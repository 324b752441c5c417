/* The files behind one output: a header and its pixels, in one file or two.
 *
 * Nothing has its final name before everything is written. Recordings come
 * frame by frame while their header, which stands in front of the pixels,
 * still grows: then the pixels wait in a nameless scratch file and are copied
 * behind the header at the end, so that memory stays flat. */
#include <string.h>

#include "format_internal.h"

char *es_with_extension(const char *path, const char *extension, es_error *err) {
    const char *dot = strrchr(es_path_name(path), '.');
    int stem = dot ? (int)(dot - path) : (int)strlen(path);
    es_text text = {0};
    es_text_add(&text, "%.*s%s", stem, path, extension);
    if (text.failed) {
        es_text_free(&text);
        es_fail(err, ES_MEMORY, "out of memory");
        return NULL;
    }
    return text.bytes;
}

static bool open_data(es_writer *writer, const es_writer_plan *plan, es_error *err) {
    writer->data_path = es_with_extension(plan->path, plan->data_extension, err);
    if (!writer->data_path) return false;
    writer->data_name = es_path_name(writer->data_path);
    writer->data = es_output_open(writer->data_path, err);
    return writer->data != NULL;
}

bool es_writer_start(es_writer *writer, const es_writer_plan *plan, es_error *err) {
    memset(writer, 0, sizeof *writer);
    writer->head = es_output_open(plan->path, err);
    if (!writer->head) return false;
    if (plan->data_extension) {
        if (!open_data(writer, plan, err)) return false;
    } else if (plan->header_grows) {
        writer->scratch = es_scratch_open(plan->path, err);
        if (!writer->scratch) return false;
    }
    writer->packer.output = writer->data ? writer->data : writer->head;
    writer->packer.scratch = writer->scratch;
    return es_packer_start(&writer->packer, plan->packing, plan->level, err);
}

bool es_writer_finish(es_writer *writer, es_error *err) {
    if (!es_packer_finish(&writer->packer, err)) return false;
    if (writer->scratch && !es_scratch_copy(writer->scratch, writer->head, err)) return false;
    if (writer->stored_at &&
        !es_patch_number(writer->head, writer->stored_at, writer->packer.stored, err))
        return false;
    es_output *outs[2] = {writer->data ? writer->data : writer->head, writer->head};
    size_t count = writer->data ? 2 : 1;
    writer->head = writer->data = NULL; /* gone after commit, whatever it says */
    return es_output_commit_all(outs, count, err);
}

void es_writer_discard(es_writer *writer) {
    es_packer_clear(&writer->packer);
    es_scratch_close(writer->scratch);
    es_output_discard(writer->data);
    es_output_discard(writer->head);
    es_free(writer->data_path);
    memset(writer, 0, sizeof *writer);
}

bool es_write_later(es_output *out, const char *text, uint64_t *at, es_error *err) {
    if (!es_output_print(out, err, "%s", text)) return false;
    *at = es_output_position(out);
    return es_output_print(out, err, "%*s\n", ES_BLANK_NUMBER, "");
}

bool es_patch_number(es_output *out, uint64_t at, uint64_t value, es_error *err) {
    char digits[ES_BLANK_NUMBER + 1];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    return es_output_patch(out, at, digits, (size_t)length, err);
}
