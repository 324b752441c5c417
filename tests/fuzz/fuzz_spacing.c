/* libFuzzer: any bytes as what people and readers hand to the spacing room as
 * JSON: a file of probes, and the regions that a DICOM reader left in the
 * header. What was found must be a number that can be used, or be marked. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "echosolid/spacing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *probe_file(const uint8_t *data, size_t size) {
    static char path[] = "/tmp/fuzz_spacing_XXXXXX";
    static int file = -1;
    if (file < 0) file = mkstemp(path);
    if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        return NULL;
    return path;
}

static void read_probes(const uint8_t *data, size_t size) {
    static const char *const names[] = {"C5-2R60S-3", "a", "Acme L7", ""};
    const char *path = probe_file(data, size);
    for (size_t i = 0; path && i < sizeof names / sizeof *names; i++) {
        es_probe_entry probe;
        bool known = false;
        es_error err = {0};
        bool ok = es_probe_find(names[i], path, &probe, &known, &err);
        if (!ok && err.code == ES_OK) __builtin_trap();
        double mm = probe.curved ? probe.radius_mm : probe.aperture_mm;
        if (ok && known && !(mm > 0 && isfinite(mm))) __builtin_trap();
    }
}

static void read_regions(const uint8_t *data, size_t size) {
    es_stream_info info = {.width = 640, .height = 480, .channels = 1};
    es_evidence_list list = {0};
    char *text = malloc(size + 1);
    if (!text) return;
    memcpy(text, data, size);
    text[size] = 0;
    bool ok = es_fields_set(&info.fields, "DicomRegions", text, NULL) &&
              es_header_evidence(&info, &list, NULL);
    for (size_t i = 0; ok && i < list.count; i++)
        for (int a = 0; a < 2; a++)
            if (isfinite(list.items[i].sigma[a]) && !isnan(list.items[i].spacing_mm[a]) &&
                !(list.items[i].spacing_mm[a] > 0))
                __builtin_trap();
    es_evidence_clear(&list);
    es_fields_clear(&info.fields);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 1 << 16) return 0;
    read_probes(data, size);
    read_regions(data, size);
    return 0;
}
