/* Volumes: geometry and voxels through every format, spaces at the door, and
 * what an independent reader (VTK) makes of the files. */
#include "format_support.h"

#include <sys/wait.h>

static const char *const names[] = {"g.mha", "g.mhd", "g.nrrd", "g.nhdr", "g.nii", "g.nii.gz"};
enum { NAMES = sizeof names / sizeof *names };

/* A volume that stands askew: turned about z by 30 degrees, then mirrored in
 * its third axis, 5 x 4 x 3 voxels of three different sides. */
static es_grid_info askew(es_type type, int channels) {
    double c = cos(M_PI / 6), s = sin(M_PI / 6);
    return (es_grid_info){.size = {5, 4, 3},
                          .origin_mm = {-10.5, 20.25, 300.125},
                          .spacing_mm = {0.5, 0.75, 1.25},
                          .direction = {c, -s, 0, s, c, 0, 0, 0, -1},
                          .type = type,
                          .channels = channels};
}

static void fill(es_grid *grid) {
    es_error err = {0};
    assert_ok(es_grid_alloc(grid, &err));
    uint64_t count = 60 * (uint64_t)grid->info.channels;
    for (uint64_t i = 0; i < count; i++)
        es_type_set(grid->info.type, grid->data, i, sample(grid->info.type, i));
}

/* NIfTI-1 keeps its geometry in 32-bit floats: 2^-24 of 300 mm is 2e-5 mm. */
static void assert_same_geometry(const es_grid_info *a, const es_grid_info *b, double tolerance) {
    for (int i = 0; i < 3; i++) {
        assert_int_equal(a->size[i], b->size[i]);
        if (!(fabs(a->origin_mm[i] - b->origin_mm[i]) <= tolerance &&
              fabs(a->spacing_mm[i] - b->spacing_mm[i]) <= tolerance))
            fail_msg("axis %d: origin %.9g against %.9g, spacing %.9g against %.9g", i,
                     a->origin_mm[i], b->origin_mm[i], a->spacing_mm[i], b->spacing_mm[i]);
    }
    for (int i = 0; i < 9; i++)
        if (!(fabs(a->direction[i] - b->direction[i]) <= tolerance))
            fail_msg("direction %d: %.9g against %.9g", i, a->direction[i], b->direction[i]);
}

static double tolerance_of(const char *name) { return strstr(name, ".nii") ? 2e-5 : 1e-12; }

static void round_trip(const char *name, es_type type, int channels, bool compress) {
    es_error err = {0};
    es_grid grid = {.info = askew(type, channels)}, back = {0};
    es_grid_options options = {.compress = compress, .level = 1};
    fill(&grid);
    assert_ok(es_grid_write(in_folder(name), &grid.info, es_grid_slab, &grid, &options, &err));
    assert_ok(es_grid_read(in_folder(name), &back, &err));
    assert_same_geometry(&grid.info, &back.info, tolerance_of(name));
    assert_int_equal(back.info.type, type);
    assert_int_equal(back.info.channels, channels);
    assert_memory_equal(grid.data, back.data, 60 * (size_t)channels * es_type_size(type));
    es_grid_clear(&grid);
    es_grid_clear(&back);
}

static void every_type_survives_every_format(void **state) {
    (void)state;
    for (int n = 0; n < NAMES; n++)
        for (int type = ES_U8; type <= ES_F64; type++)
            for (int channels = 1; channels <= 3; channels += 2)
                for (int packed = 0; packed < 2; packed++) {
                    if (strstr(names[n], ".nii") && channels == 3 && type != ES_U8) continue;
                    round_trip(names[n], (es_type)type, channels, packed);
                }
}

static void nifti_refuses_colour_it_cannot_hold(void **state) {
    (void)state;
    es_error err = {0};
    es_grid grid = {.info = askew(ES_U16, 3)};
    fill(&grid);
    assert_false(es_grid_write(in_folder("c.nii"), &grid.info, es_grid_slab, &grid, NULL, &err));
    assert_says(&err, ES_UNSUPPORTED, "RGB");
    assert_false(exists(in_folder("c.nii")) || exists(in_folder("c.nii.part")));
    es_grid_clear(&grid);
}

static void fields_of_volumes_are_kept(void **state) {
    (void)state;
    for (int n = 0; n < 4; n++) { /* NIfTI has no place for them */
        es_error err = {0};
        es_grid grid = {.info = askew(ES_U8, 1)}, back = {0};
        assert_ok(es_fields_set(&grid.info.fields, "MadeBy", "a test of 1 = 1", &err));
        fill(&grid);
        assert_ok(es_grid_write(in_folder(names[n]), &grid.info, es_grid_slab, &grid, NULL, &err));
        assert_ok(es_grid_read(in_folder(names[n]), &back, &err));
        assert_string_equal(es_fields_get(&back.info.fields, "MadeBy"), "a test of 1 = 1");
        es_grid_clear(&grid);
        es_grid_clear(&back);
    }
}

/* ---- spaces --------------------------------------------------------------- */

static es_grid_info info_of(const char *path) {
    es_error err = {0};
    es_grid_info info;
    assert_ok(es_grid_read_info(path, &info, &err));
    return info;
}

static void nrrd_spaces_become_lps(void **state) {
    (void)state;
    static const struct {
        const char *space;
        double x, y;
    } cases[] = {{"left-posterior-superior", 1, 1},
                 {"LPS", 1, 1},
                 {"right-anterior-superior", -1, -1},
                 {"RAS", -1, -1},
                 {"left-anterior-superior", 1, -1},
                 {"LAS", 1, -1},
                 {"scanner-xyz", 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[500];
        snprintf(header, sizeof header,
                 "NRRD0004\ntype: uchar\ndimension: 3\nspace: %s\nsizes: 1 1 1\n"
                 "space directions: (0,2,0) (3,0,0) (0,0,4)\nkinds: domain domain domain\n"
                 "encoding: raw\nspace origin: (10,20,30)\n\nx",
                 cases[i].space);
        es_grid_info info = info_of(write_mixed("s.nrrd", header, "", 0));
        double x = cases[i].x, y = cases[i].y;
        es_grid_info expected = {.size = {1, 1, 1},
                                 .origin_mm = {10 * x, 20 * y, 30},
                                 .spacing_mm = {2, 3, 4},
                                 .direction = {0, x, 0, y, 0, 0, 0, 0, 1}};
        assert_same_geometry(&info, &expected, 0);
        es_grid_info_clear(&info);
    }
}

static void nrrd_units_become_millimetres(void **state) {
    (void)state;
    es_grid_info info = info_of(write_mixed(
        "u.nrrd",
        "NRRD0004\ntype: uchar\ndimension: 3\nspace: LPS\nsizes: 1 1 1\nspace directions: (1,0,0) "
        "(0,1,0) (0,0,1)\nspace units: \"cm\" \"cm\" \"cm\"\nencoding: raw\nspace origin: "
        "(1,2,3)\n\nx",
        "", 0));
    assert_true(info.spacing_mm[1] == 10 && info.origin_mm[2] == 30);
    es_grid_info_clear(&info);
}

static void metaimage_lists_its_matrix_axis_by_axis(void **state) {
    (void)state;
    es_grid_info info = info_of(write_mixed(
        "m.mha",
        "NDims = 3\nDimSize = 1 1 1\nElementType = MET_UCHAR\nElementSpacing = 2 3 4\n"
        "TransformMatrix = 0 1 0 -1 0 0 0 0 1\nOffset = 5 6 7\nElementDataFile = LOCAL\nx",
        "", 0));
    /* The first axis points along +y, the second along -x. */
    es_grid_info expected = {.size = {1, 1, 1},
                             .origin_mm = {5, 6, 7},
                             .spacing_mm = {2, 3, 4},
                             .direction = {0, -1, 0, 1, 0, 0, 0, 0, 1}};
    assert_same_geometry(&info, &expected, 0);
    es_grid_info_clear(&info);
}

/* A NIfTI-1 header by the numbers of the standard, byte for byte. */
typedef struct nifti_bytes {
    unsigned char bytes[352 + 4];
} nifti_bytes;

static void put_short(nifti_bytes *n, int at, int16_t value) { memcpy(n->bytes + at, &value, 2); }
static void put_float(nifti_bytes *n, int at, float value) { memcpy(n->bytes + at, &value, 4); }

static nifti_bytes plain_nifti(void) {
    nifti_bytes n = {{0}};
    int32_t size = 348;
    memcpy(n.bytes, &size, 4);
    static const int16_t dim[8] = {3, 2, 2, 1, 1, 1, 1, 1};
    for (int i = 0; i < 8; i++) put_short(&n, 40 + 2 * i, dim[i]);
    put_short(&n, 70, 2); /* uint8 */
    put_short(&n, 72, 8);
    for (int i = 0; i < 4; i++) put_float(&n, 76 + 4 * i, i == 0 ? 1 : (float)(i + 1));
    put_float(&n, 108, 352);
    n.bytes[123] = 2; /* mm */
    memcpy(n.bytes + 344, "n+1", 4);
    memcpy(n.bytes + 352, "\x01\x02\x03\x04", 4);
    return n;
}

static void nifti_sform_is_ras(void **state) {
    (void)state;
    nifti_bytes n = plain_nifti();
    put_short(&n, 254, 1); /* sform_code */
    static const float rows[12] = {2, 0, 0, 10, 0, 3, 0, 20, 0, 0, 4, 30};
    for (int i = 0; i < 12; i++) put_float(&n, 280 + 4 * i, rows[i]);
    es_grid_info info = info_of(write_bytes("n.nii", n.bytes, sizeof n.bytes));
    es_grid_info expected = {.size = {2, 2, 1},
                             .origin_mm = {-10, -20, 30},
                             .spacing_mm = {2, 3, 4},
                             .direction = {-1, 0, 0, 0, -1, 0, 0, 0, 1}};
    assert_same_geometry(&info, &expected, 0);
    es_grid_info_clear(&info);
}

static void nifti_qform_turns_by_its_quaternion(void **state) {
    (void)state;
    nifti_bytes n = plain_nifti();
    put_short(&n, 252, 1);                /* qform_code */
    put_float(&n, 264, (float)sqrt(0.5)); /* d: 90 degrees about z, x -> y in RAS */
    put_float(&n, 268, 1), put_float(&n, 272, 2), put_float(&n, 276, 3);
    es_grid_info info = info_of(write_bytes("n.nii", n.bytes, sizeof n.bytes));
    es_grid_info expected = {.size = {2, 2, 1},
                             .origin_mm = {-1, -2, 3},
                             .spacing_mm = {2, 3, 4},
                             .direction = {0, 1, 0, -1, 0, 0, 0, 0, 1}};
    assert_same_geometry(&info, &expected, 1e-6); /* the quaternion is a 32-bit float */
    es_grid_info_clear(&info);
}

static void nifti_units_become_millimetres(void **state) {
    (void)state;
    nifti_bytes n = plain_nifti();
    n.bytes[123] = 3; /* micrometres */
    es_grid_info info = info_of(write_bytes("n.nii", n.bytes, sizeof n.bytes));
    assert_float_equal(info.spacing_mm[0], 0.002, 1e-12);
    es_grid_info_clear(&info);
}

static void nifti_scaling_is_applied(void **state) {
    (void)state;
    nifti_bytes n = plain_nifti();
    put_float(&n, 112, 0.5f);
    put_float(&n, 116, 10);
    es_error err = {0};
    es_grid grid;
    assert_ok(es_grid_read(write_bytes("n.nii", n.bytes, sizeof n.bytes), &grid, &err));
    assert_int_equal(grid.info.type, ES_F32);
    for (int i = 0; i < 4; i++)
        assert_float_equal(((float *)grid.data)[i], 10 + 0.5f * (float)(i + 1), 0);
    es_grid_clear(&grid);
}

static void reversed_nifti_is_read(void **state) {
    (void)state;
    nifti_bytes n = plain_nifti();
    static const struct {
        int at, size, count;
    } numbers[] = {{0, 4, 1},   {40, 2, 8},  {70, 2, 2},  {76, 4, 8},
                   {108, 4, 3}, {252, 2, 2}, {256, 4, 18}};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        for (int i = 0; i < numbers[k].count; i++)
            for (int a = 0; a < numbers[k].size / 2; a++) {
                unsigned char *word = n.bytes + numbers[k].at + i * numbers[k].size;
                unsigned char first = word[a];
                word[a] = word[numbers[k].size - 1 - a];
                word[numbers[k].size - 1 - a] = first;
            }
    es_error err = {0};
    es_grid grid;
    assert_ok(es_grid_read(write_bytes("n.nii", n.bytes, sizeof n.bytes), &grid, &err));
    assert_true(grid.info.size[0] == 2 && grid.info.spacing_mm[2] == 4);
    es_grid_clear(&grid);
}

/* Slices of zeros, without a volume in memory. */
static bool zeros(void *context, uint64_t z0, uint64_t count, void *out, es_error *err) {
    const es_grid_info *info = context;
    (void)z0, (void)err;
    memset(out, 0, (size_t)(count * info->size[0] * info->size[1]) * es_type_size(info->type));
    return true;
}

static void a_long_side_makes_nifti_2(void **state) {
    (void)state;
    for (int n = 4; n < 6; n++) {
        es_error err = {0};
        es_grid_info info = {.size = {40000, 2, 1},
                             .spacing_mm = {.1, .2, .3},
                             .direction = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                             .type = ES_I16,
                             .channels = 1};
        assert_ok(es_grid_write(in_folder(names[n]), &info, zeros, &info, NULL, &err));
        es_grid_info back = info_of(in_folder(names[n]));
        assert_same_geometry(&back, &info, 1e-15); /* 64-bit floats in NIfTI-2 */
        es_grid_info_clear(&back);
    }
    size_t length;
    char *bytes = slurp(in_folder("g.nii"), &length);
    assert_memory_equal(bytes + 4, "n+2\0\r\n\032\n", 8);
    assert_int_equal(length, 544 + 40000 * 2 * 2);
    es_free(bytes);
}

/* ---- streaming --------------------------------------------------------------- */

/* 168 MB in 1 MB slices, through each format and back, in a few megabytes. The
 * slack covers zlib, stdio and the 4 MB slabs. */
static void a_large_volume_streams(void **state) {
    (void)state;
    static const char *const streamed[] = {"big.mha", "big.nrrd", "big.nii.gz"};
    es_grid_info info = {.size = {1024, 1024, 160},
                         .spacing_mm = {1, 1, 1},
                         .direction = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                         .type = ES_U8,
                         .channels = 1};
    uint64_t before = es_memory_peak();
    for (int n = 0; n < 3; n++) {
        es_error err = {0};
        assert_ok(es_grid_write(in_folder(streamed[n]), &info, zeros, &info, NULL, &err));
        es_grid_file *file = es_grid_open(in_folder(streamed[n]), &err);
        if (!file) fail_msg("%s", err.message);
        unsigned char *slice = malloc(1 << 20);
        for (uint64_t z = 0; z < 160; z += 50)
            assert_ok(es_grid_file_slab(file, z, 1, slice, &err));
        assert_ok(es_grid_file_slab(file, 3, 1, slice, &err)); /* going back starts over */
        assert_false(es_grid_file_slab(file, 160, 1, slice, &err));
        assert_int_equal(err.code, ES_USAGE);
        free(slice);
        es_grid_close(file);
    }
    uint64_t grown = es_memory_peak() - before;
    if (grown > (32u << 20)) fail_msg("%.1f MB for volumes of 168 MB", (double)grown / 1e6);
}

/* ---- what is a volume ----------------------------------------------------------- */

static void volumes_and_recordings_are_told_apart(void **state) {
    (void)state;
#define M "NDims = 3\nDimSize = 2 1 1\nElementType = MET_UCHAR\n"
#define N "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 1 1\nencoding: raw\n"
    static const struct {
        const char *name, *header;
        bool is_grid;
    } cases[] = {
        {"v.mha", M "ElementDataFile = LOCAL\nxx", true},
        {"v.mha", M "Kinds = domain domain domain\nElementDataFile = LOCAL\nxx", true},
        {"v.mha",
         M "Kinds = domain domain domain\nSeq_Frame0000_ImageStatus = OK\n"
           "ElementDataFile = LOCAL\nxx",
         true}, /* as PLUS writes its volumes */
        {"v.mha", M "Kinds = domain domain list\nElementDataFile = LOCAL\nxx", false},
        {"v.mha", M "Seq_Frame0000_Timestamp = 1\nElementDataFile = LOCAL\nxx", false},
        {"v.mha", M "UltrasoundImageOrientation = MFA\nElementDataFile = LOCAL\nxx", false},
        {"v.mha", "NDims = 2\nDimSize = 2 1\nElementType = MET_UCHAR\nElementDataFile = LOCAL\nxx",
         false},
        {"v.nrrd", N "\nxx", true},
        {"v.nrrd", N "kinds: domain domain list\n\nxx", false},
        {"v.nrrd", N "Seq_Frame0000_Timestamp:=1\n\nxx", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_grid;
        es_error err = {0};
        assert_ok(
            es_file_is_grid(write_mixed(cases[i].name, cases[i].header, "", 0), &is_grid, &err));
        if (is_grid != cases[i].is_grid) fail_msg("wrong about\n%s", cases[i].header);
    }
    es_grid grid;
    es_error err = {0};
    assert_false(es_grid_read(write_mixed("v.mha", cases[3].header, "", 0), &grid, &err));
    assert_says(&err, ES_FORMAT, "recording");
}

static void broken_volumes_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *name, *header, *says;
    } cases[] = {
        {"v.mha", M "TransformMatrix = 1 0 0 1 0 0 0 0 1\nElementDataFile = LOCAL\nxx",
         "one plane"},
        {"v.mha", M "TransformMatrix = 0 0 0 0 0 0 0 0 0\nElementDataFile = LOCAL\nxx",
         "no direction"},
        {"v.mha", M "TransformMatrix = 1 0 0 0 1 0 0 0 nan\nElementDataFile = LOCAL\nxx",
         "not finite"},
        {"v.mha", M "ElementSpacing = 1 0 1\nElementDataFile = LOCAL\nxx", "spacing of 0"},
        {"v.mha", M "ElementSpacing = 1 -1 1\nElementDataFile = LOCAL\nxx", "spacing of -1"},
        {"v.mha", M "Offset = 1 1\nElementDataFile = LOCAL\nxx",
         "Offset: expected 3 numbers, found 2"},
        {"v.mha", M "ElementDataFile = LOCAL\nx", "expected 2 bytes of pixels, found 1"},
        {"v.nrrd", N "space: LPS\nspace directions: (1,0,0) (1,0,0) (0,0,1)\n\nxx", "one plane"},
        {"v.nrrd", N "spacings: 1 0 1\n\nxx", "spacing of 0"},
        {"v.nrrd", N "space: LPS\nspace origin: 1,2,3\n\nxx", "expected (x,y,z)"},
        {"v.nrrd", N "\nx", "expected 2 bytes of pixels, found 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_error err = {0};
        es_grid grid;
        assert_false(es_grid_read(write_mixed(cases[i].name, cases[i].header, "", 0), &grid, &err));
        assert_says(&err, ES_FORMAT, cases[i].says);
        assert_says(&err, ES_FORMAT, cases[i].name);
    }
}

static void broken_nifti_is_refused(void **state) {
    (void)state;
    static const struct {
        int at;
        int16_t value;
        const char *says;
        es_code code;
    } cases[] = {
        {40, 0, "dimensions", ES_FORMAT},
        {40, 9, "dimensions", ES_FORMAT},
        {42, -1, "size 1 is -1", ES_FORMAT},
        {42, 0, "size 1 is 0", ES_FORMAT},
        {70, 64 * 256, "data type", ES_UNSUPPORTED},
        {70, 1024, "data type", ES_UNSUPPORTED},
        {46, 2, "expected 8 bytes of pixels, found 4", ES_FORMAT},
        {110, 0, "voxels at byte", ES_FORMAT}, /* vox_offset becomes tiny */
        {82, 0, "no direction", ES_FORMAT},    /* pixdim[1] becomes 0 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nifti_bytes n = plain_nifti();
        put_short(&n, cases[i].at, cases[i].value);
        es_error err = {0};
        es_grid grid;
        bool ok = es_grid_read(write_bytes("n.nii", n.bytes, sizeof n.bytes), &grid, &err);
        if (ok) fail_msg("read although wrong: case %zu", i);
        assert_says(&err, cases[i].code, cases[i].says);
    }
    nifti_bytes n = plain_nifti();
    for (size_t length = 0; length < sizeof n.bytes; length += 11) {
        es_error err = {0};
        es_grid grid;
        assert_false(es_grid_read(write_bytes("n.nii", n.bytes, length), &grid, &err));
        assert_int_equal(err.code, ES_FORMAT);
    }
}

/* ---- an independent reader ------------------------------------------------------- */

typedef struct oracle {
    double size[3], spacing[3], origin[3], qform[12], sform[12], values[180];
    bool has_qform, has_sform;
    long count;
} oracle;

/* False where there is no oracle. */
static bool ask_oracle(const char *path, oracle *said) {
    char command[1200], *line = NULL;
    size_t room = 0;
    const char *source = getenv("ES_TEST_SOURCE");
    if (!source) return false;
    snprintf(command, sizeof command, "/usr/bin/python3 '%s/tests/format_oracle.py' '%s'", source,
             path);
    FILE *pipe = popen(command, "r");
    memset(said, 0, sizeof *said);
    while (pipe && getline(&line, &room, pipe) > 0) {
        char *numbers = strchr(line, ' ');
        if (!numbers) continue;
        if (strncmp(line, "size", 4) == 0) es_parse_doubles(numbers, said->size, 3);
        if (strncmp(line, "spacing", 7) == 0) es_parse_doubles(numbers, said->spacing, 3);
        if (strncmp(line, "origin", 6) == 0) es_parse_doubles(numbers, said->origin, 3);
        if (line[0] == 'Q') said->has_qform = es_parse_doubles(numbers, said->qform, 12) == 12;
        if (line[0] == 'S') said->has_sform = es_parse_doubles(numbers, said->sform, 12) == 12;
        if (strncmp(line, "values", 6) == 0)
            said->count = es_parse_doubles(numbers, said->values, 180);
    }
    free(line);
    int status = pipe ? pclose(pipe) : -1;
    if (status != 0 && WEXITSTATUS(status) != 77 && WEXITSTATUS(status) != 127)
        fail_msg("the oracle could not read %s", path);
    return status == 0;
}

/* VTK's matrices lead from millimetres along the axes to RAS. */
static void check_matrix(const es_grid_info *info, const double ras[12]) {
    for (int row = 0; row < 3; row++) {
        double sign = row < 2 ? -1 : 1;
        for (int i = 0; i < 3; i++)
            assert_float_equal(ras[4 * row + i], sign * info->direction[3 * row + i], 1e-5);
        assert_float_equal(ras[4 * row + 3], sign * info->origin_mm[row], 1e-4);
    }
}

static void check_against_oracle(const char *name, const oracle *said, const es_grid *grid) {
    const es_grid_info *info = &grid->info;
    bool nifti = strstr(name, ".nii") != NULL;
    for (int i = 0; i < 3; i++) {
        if (said->size[i] != (double)info->size[i]) fail_msg("%s: size %g", name, said->size[i]);
        assert_float_equal(said->spacing[i], info->spacing_mm[i], 1e-6);
        if (!nifti) assert_float_equal(said->origin[i], info->origin_mm[i], 1e-9);
    }
    int values = 60 * info->channels;
    assert_int_equal(said->count, values);
    if (nifti) {
        assert_true(said->has_qform && said->has_sform);
        check_matrix(info, said->qform);
        check_matrix(info, said->sform);
    }
    for (int i = 0; i < values; i++) {
        double expected = es_type_get(info->type, grid->data, (size_t)i);
        if (expected != said->values[i])
            fail_msg("%s: value %d is %g, VTK reads %g", name, i, expected, said->values[i]);
    }
}

static void vtk_reads_the_same(void **state) {
    (void)state;
    for (int n = 0; n < NAMES; n++) {
        if (strstr(names[n], ".n") && !strstr(names[n], ".nii"))
            continue; /* NRRD: by Teem, below */
        int channels = n % 2 ? 3 : 1;
        es_type type = channels == 3 ? ES_U8 : n == 0 ? ES_I16 : ES_F32;
        es_grid grid = {.info = askew(type, channels)};
        grid.info.direction[8] = 1; /* VTK reverses the slices of mirrored NIfTI */
        /* VTK reads no directions of MetaImage. */
        static const double upright[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
        if (!strstr(names[n], ".nii")) memcpy(grid.info.direction, upright, sizeof upright);
        es_error err = {0};
        oracle said;
        fill(&grid);
        assert_ok(es_grid_write(in_folder(names[n]), &grid.info, es_grid_slab, &grid, NULL, &err));
        if (!ask_oracle(in_folder(names[n]), &said)) {
            es_grid_clear(&grid);
            print_message("no VTK for /usr/bin/python3: skipped\n");
            skip();
        }
        check_against_oracle(names[n], &said, &grid);
        es_grid_clear(&grid);
    }
}

/* The reader of those who made NRRD, asked to write the file as text. */
static bool ask_teem(const char *path, oracle *said, char *geometry, size_t size) {
    char command[1200], *line = NULL;
    size_t room = 0;
    bool behind = false;
    snprintf(command, sizeof command, "teem-unu save -f nrrd -e ascii -i '%s'", path);
    if (system("command -v teem-unu > /dev/null") != 0) return false;
    FILE *pipe = popen(command, "r");
    memset(said, 0, sizeof *said);
    geometry[0] = '\0';
    while (pipe && getline(&line, &room, pipe) > 0) {
        if (strncmp(line, "space", 5) == 0 || strncmp(line, "sizes", 5) == 0)
            strncat(geometry, line, size - strlen(geometry) - 1);
        if (behind)
            said->count += es_parse_doubles(line, said->values + said->count, 180 - said->count);
        behind = behind || line[0] == '\n';
    }
    free(line);
    if (pipe && pclose(pipe) != 0) fail_msg("Teem could not read %s", path);
    return true;
}

static void teem_reads_the_same(void **state) {
    (void)state;
    for (int n = 2; n < 4; n++)
        for (int packed = 0; packed < 2; packed++) {
            int channels = n == 3 ? 3 : 1;
            es_grid grid = {.info = askew(n == 3 ? ES_U8 : ES_I16, channels)};
            static const double turned[9] = {0, -1, 0, 1, 0, 0, 0, 0, -1};
            memcpy(grid.info.direction, turned, sizeof turned);
            es_grid_options options = {.compress = packed, .level = 9};
            es_error err = {0};
            oracle said;
            char geometry[2000];
            fill(&grid);
            assert_ok(es_grid_write(in_folder(names[n]), &grid.info, es_grid_slab, &grid, &options,
                                    &err));
            if (!ask_teem(in_folder(names[n]), &said, geometry, sizeof geometry)) {
                es_grid_clear(&grid);
                print_message("no teem-unu here: skipped\n");
                skip();
            }
            char expected[500];
            snprintf(expected, sizeof expected,
                     "space: left-posterior-superior\nsizes: %s5 4 3\n"
                     "space directions: %s(0,0.5,0) (-0.75,0,0) (0,0,-1.25)\n"
                     "space origin: (-10.5,20.25,300.125)\n",
                     n == 3 ? "3 " : "", n == 3 ? "none " : "");
            assert_string_equal(geometry, expected);
            assert_int_equal(said.count, 60 * channels);
            for (int i = 0; i < 60 * channels; i++)
                assert_true(said.values[i] == es_type_get(grid.info.type, grid.data, (size_t)i));
            es_grid_clear(&grid);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_survives_every_format),
        cmocka_unit_test(nifti_refuses_colour_it_cannot_hold),
        cmocka_unit_test(fields_of_volumes_are_kept),
        cmocka_unit_test(nrrd_spaces_become_lps),
        cmocka_unit_test(nrrd_units_become_millimetres),
        cmocka_unit_test(metaimage_lists_its_matrix_axis_by_axis),
        cmocka_unit_test(nifti_sform_is_ras),
        cmocka_unit_test(nifti_qform_turns_by_its_quaternion),
        cmocka_unit_test(nifti_units_become_millimetres),
        cmocka_unit_test(nifti_scaling_is_applied),
        cmocka_unit_test(reversed_nifti_is_read),
        cmocka_unit_test(a_long_side_makes_nifti_2),
        cmocka_unit_test(a_large_volume_streams),
        cmocka_unit_test(volumes_and_recordings_are_told_apart),
        cmocka_unit_test(broken_volumes_are_refused),
        cmocka_unit_test(broken_nifti_is_refused),
        cmocka_unit_test(vtk_reads_the_same),
        cmocka_unit_test(teem_reads_the_same),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
