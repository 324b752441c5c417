/* Pose tables as people and trackers write them: what is read, what stays in
 * doubt, and what is refused with its line. */
#include "format_support.h"

/* A turn of 90 degrees about z, then to (10, 20, 30): rotations that are
 * easily checked by hand. wxyz = (h, 0, 0, h). */
#define H "0.70710678"
static const double turned[16] = {0, -1, 0, 10, 1, 0, 0, 20, 0, 0, 1, 30, 0, 0, 0, 1};

static es_pose_table *open_table(const char *text, const char *layout) {
    es_error err = {0};
    es_pose_table *t = es_pose_table_read(write_mixed("t.csv", text, "", 0), layout, &err);
    if (!t) fail_msg("%s\n%s", err.message, text);
    return t;
}

static void refuse(const char *text, const char *layout, es_code code, const char *part) {
    es_error err = {0};
    es_pose_table *t = es_pose_table_read(write_mixed("t.csv", text, "", 0), layout, &err);
    if (t) fail_msg("was read:\n%s", text);
    assert_says(&err, code, part);
}

static es_pose_reading the_reading(const es_pose_table *t) {
    es_error err = {0};
    es_pose_reading *list, one;
    size_t count = 0;
    assert_ok(es_pose_table_readings(t, &list, &count, &err));
    one = list[0];
    char text[ES_POSE_TEXT];
    es_pose_reading_text(&one, text);
    if (count != 1) fail_msg("%zu readings, the first %s", count, text);
    es_free(list);
    return one;
}

static size_t count_readings(const es_pose_table *t) {
    es_error err = {0};
    es_pose_reading *list;
    size_t count = 0;
    assert_ok(es_pose_table_readings(t, &list, &count, &err));
    es_free(list);
    return count;
}

static void assert_pose(const es_pose_table *t, int tool, size_t sample, const double m[16]) {
    es_pose_reading r = the_reading(t);
    es_mat4 pose;
    assert_true(es_pose_table_pose(t, tool, sample, &r, &pose));
    for (int i = 0; i < 16; i++) /* digits of the tables */
        if (fabs(pose.m[i] - m[i]) > 1e-6) fail_msg("element %d: %g, not %g", i, pose.m[i], m[i]);
}

#define REST "unit=mm,direction=tool-to-tracker,handedness=right"

/* ---- layouts ------------------------------------------------------------------- */

static void the_same_pose_is_read_from_every_layout(void **state) {
    (void)state;
    static const struct {
        const char *text, *layout;
    } cases[] = {
        {"tx,ty,tz,qw,qx,qy,qz\n10,20,30," H ",0,0," H "\n", REST},
        {"qx qy qz qw tx ty tz\n0 0 " H " " H " 10 20 30\n", REST},
        {"x;y;z;q_w;q_x;q_y;q_z\n10;20;30;0,70710678;0;0;0,70710678\n", REST},
        {"10\t20\t30\t" H "\t0\t0\t" H "\n", "quaternion=wxyz," REST},
        {"10,20,30,0,0," H "," H "\n", "quaternion=xyzw," REST},
        {"0,0," H "," H ",10,20,30\n", "quaternion=xyzw," REST},
        {"0 -1 0 10 1 0 0 20 0 0 1 30\n", REST},
        {"0,-1,0,10,1,0,0,20,0,0,1,30,0,0,0,1\n", REST},
        {"0,1,0,0,-1,0,0,0,0,0,1,0,10,20,30,1\n", REST},
        {"10,20,30,0,-1,0,1,0,0,0,0,1\n", "matrix=rows," REST},
        {"10,20,30,0,1,0,-1,0,0,0,0,1\n", "matrix=columns," REST},
        {"0 -1 0 0.01 1 0 0 0.02 0 0 1 0.03\n", "kitti"},
        {"0.5 0.010 0.020 0.030 0 0 " H " " H "\n", "tum"},
        {"# timestamp tx ty tz qx qy qz qw\n0.5 0.010 0.020 0.030 0 0 " H " " H "\n", NULL},
        {"tx,ty,tz,azimuth,elevation,roll\n1,2,3,90,0,0\n",
         "angle=deg,unit=cm,direction=tool-to-tracker,handedness=right"},
        {"tx [mm],ty [mm],tz [mm],rx [deg],ry [deg],rz [deg]\n10,20,30,0,0,90\n",
         "euler=XYZ,direction=tool-to-tracker,handedness=right"},
        {"10,20,30,0,0,1.57079632679\n", "first=position,rotation=axis-angle,angle=rad," REST},
        {"0,0,90,10,20,30\n", "first=rotation,euler=xyz,angle=deg," REST},
        {"0,0,90,10,20,30\n", "columns=rx:ry:rz:x:y:z,euler=ZYX,angle=deg," REST},
        {"5,10,20,30," H ",0,0," H ",ok\n", "columns=time:tx:ty:tz:qw:qx:qy:qz:note," REST},
        {"tx_inch,ty_inch,tz_inch,qw,qx,qy,qz\n0.39370079,0.78740157,1.18110236," H ",0,0," H "\n",
         "direction=tool-to-tracker,handedness=right"},
        {"field.pose.position.x,field.pose.position.y,field.pose.position.z,"
         "field.pose.orientation.x,field.pose.orientation.y,field.pose.orientation.z,"
         "field.pose.orientation.w\n10,20,30,0,0," H "," H "\n",
         REST},
        {"PosX,PosY,PosZ,RotX,RotY,RotZ,RotW\n10,20,30,0,0," H "," H "\n", REST},
        {"m00,m01,m02,m03,m10,m11,m12,m13,m20,m21,m22,m23\n0,-1,0,10,1,0,0,20,0,0,1,30\n", REST},
        {"r11,r12,r13,r21,r22,r23,r31,r32,r33,tx,ty,tz\n0,-1,0,1,0,0,0,0,1,10,20,30\n", REST},
        /* The inverse, the opposite sense and the mirrored axes of the pose. */
        {"-20,10,-30," H ",0,0,-" H "\n",
         "quaternion=wxyz,unit=mm,direction=tracker-to-tool,handedness=right"},
        {"10,20,30," H ",0,0,-" H "\n", "quaternion=wxyz,sense=opposite," REST},
        {"10,20,-30," H ",0,0," H "\n",
         "quaternion=wxyz,unit=mm,direction=tool-to-tracker,handedness=left"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_pose_table *t = open_table(cases[i].text, cases[i].layout);
        assert_pose(t, 0, 0, turned);
        es_pose_table_free(t);
    }
}

static void what_nobody_says_stays_in_doubt(void **state) {
    (void)state;
    es_pose_table *t = open_table("10,20,30," H ",0,0," H "\n", NULL);
    /* order, unit, direction, sense, handedness */
    assert_int_equal(count_readings(t), 2 * 4 * 2 * 2 * 2);
    es_pose_table_free(t);
    t = open_table("10,20,30," H ",0,0," H "\n", "direction=tracker-to-tool");
    assert_int_equal(count_readings(t), 2 * 4 * 2);
    es_pose_table_free(t);
    /* The other order of nine numbers is the opposite sense: counted once. */
    t = open_table("10,20,30,0,-1,0,1,0,0,0,0,1\n", "unit=mm,handedness=right");
    assert_int_equal(count_readings(t), 2 * 2);
    es_pose_table_free(t);
    t = open_table("1,2,3,4,5,6\n",
                   REST); /* 24 sequences or axis-angle, deg or rad, either first */
    assert_int_equal(count_readings(t), 25 * 2 * 2);
    es_pose_table_free(t);
}

static void euler_sequences_follow_their_words(void **state) {
    (void)state;
    /* Z Y X about moving axes by 30, 20 and 10 degrees is x y z about fixed
     * ones by 10, 20 and 30. */
    es_pose_table *a = open_table("30,20,10,1,2,3\n", "first=rotation,euler=ZYX,angle=deg," REST);
    es_pose_table *b = open_table("10,20,30,1,2,3\n", "first=rotation,euler=xyz,angle=deg," REST);
    es_pose_reading ra = the_reading(a), rb = the_reading(b);
    es_mat4 pa, pb, x = es_mat4_rotation(es_vec3_make(1, 0, 0), 10 * M_PI / 180),
                    y = es_mat4_rotation(es_vec3_make(0, 1, 0), 20 * M_PI / 180),
                    z = es_mat4_rotation(es_vec3_make(0, 0, 1), 30 * M_PI / 180);
    assert_true(es_pose_table_pose(a, 0, 0, &ra, &pa) && es_pose_table_pose(b, 0, 0, &rb, &pb));
    es_mat4 truth = es_mat4_multiply(z, es_mat4_multiply(y, x));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            assert_true(fabs(pa.m[4 * i + j] - truth.m[4 * i + j]) < 1e-12);
            assert_true(fabs(pb.m[4 * i + j] - truth.m[4 * i + j]) < 1e-12);
        }
    es_pose_table_free(a);
    es_pose_table_free(b);
}

/* ---- trackers' own tables -------------------------------------------------------- */

static void an_ndi_log_is_read_with_its_tools_and_gaps(void **state) {
    (void)state;
    es_pose_table *t = open_table("Tools,Port,Frame,State,Q0,Qx,Qy,Qz,Tx,Ty,Tz,Error\r\n"
                                  "2,Probe,1,OK," H ",0,0," H ",10,20,30,0.1\r\n"
                                  "2,Ref,1,OK,1,0,0,0,1,2,3,0.1\r\n"
                                  "2,Probe,2,MISSING,,,,,,,,\r\n"
                                  "2,Ref,2,OK,1,0,0,0,1,2,3,0.1\r\n",
                                  NULL);
    const es_pose_table_info *about = es_pose_table_about(t);
    assert_int_equal(about->tools, 2);
    assert_int_equal(about->samples, 2);
    assert_string_equal(about->format, "NDI");
    assert_string_equal(es_pose_table_tool(t, 1), "Ref");
    assert_pose(t, 0, 0, turned);
    es_pose_reading r = the_reading(t);
    es_mat4 pose;
    assert_false(es_pose_table_pose(t, 0, 1, &r, &pose));
    assert_true(es_pose_table_pose(t, 1, 1, &r, &pose));
    es_pose_table_free(t);
    /* Side by side, one row a frame. */
    t = open_table("Tools,Port 1,Frame,State,Q0,Qx,Qy,Qz,Tx,Ty,Tz,Error,Port 2,State,Q0,Qx,Qy,Qz,"
                   "Tx,Ty,Tz,Error\n2,A,1,OK,1,0,0,0,1,2,3,0.1,B,OK," H ",0,0," H ",10,20,30,0.1\n"
                   "2,A,2,OK,1,0,0,0,1,2,3,0.1,B,Missing,,,,,,,,\n",
                   NULL);
    assert_int_equal(es_pose_table_about(t)->tools, 2);
    assert_pose(t, 1, 0, turned);
    r = the_reading(t);
    assert_false(es_pose_table_pose(t, 1, 1, &r, &pose));
    assert_true(es_pose_table_pose(t, 0, 1, &r, &pose));
    es_pose_table_free(t);
}

static const char motive[] =
    "Format Version,1.23,Take Name,Take 1,Capture Frame Rate,120.0,Export Frame Rate,120.0,Total "
    "Frames in Take,2,Total Exported Frames,2,Rotation Type,%s,Length Units,Meters,Coordinate "
    "Space,Global\n\n"
    ",Type,Rigid Body,Rigid Body,Rigid Body,%sRigid Body,Rigid Body,Rigid Body,Rigid Body,Marker\n"
    ",Name,Sonde \xC3\xA9,Sonde \xC3\xA9,Sonde \xC3\xA9,%sSonde \xC3\xA9,Sonde \xC3\xA9,Sonde "
    "\xC3\xA9,Sonde \xC3\xA9,M1\n"
    ",ID,1,1,1,%s1,1,1,1,2\n"
    ",,Rotation,Rotation,Rotation,%sPosition,Position,Position,Mean Marker Error,Position\n"
    "Frame,Time (Seconds),X,Y,Z,%sX,Y,Z,,X\n"
    "%s";

static void a_motive_table_says_its_own_reading(void **state) {
    (void)state;
    char text[4000];
    snprintf(text, sizeof text, motive, "Quaternion", "Rigid Body,", "Sonde \xC3\xA9,", "1,",
             "Rotation,", "W,",
             "0,0.0,0,0," H "," H ",0.01,0.02,0.03,0.0001,5\n1,0.008333,,,,,,,,,\n");
    es_pose_table *t = open_table(text, NULL);
    assert_string_equal(es_pose_table_about(t)->format, "Motive");
    assert_string_equal(es_pose_table_tool(t, 0), "Sonde \xC3\xA9");
    assert_pose(t, 0, 0, turned);
    assert_true(fabs(es_pose_table_time(t, 1) - 0.008333) < 1e-9);
    es_pose_reading r = the_reading(t);
    es_mat4 pose;
    assert_false(es_pose_table_pose(t, 0, 1, &r, &pose));
    es_pose_table_free(t);
    /* Angles: moving or fixed axes is not said in the file. */
    snprintf(text, sizeof text, motive, "XYZ", "", "", "", "", "",
             "0,0.0,0,0,90,0.01,0.02,0.03,0.0001,5\n");
    t = open_table(text, NULL);
    assert_int_equal(count_readings(t), 2);
    es_pose_table_free(t);
    t = open_table(text, "euler=XYZ");
    assert_pose(t, 0, 0, turned);
    es_pose_table_free(t);
}

static void a_vicon_table_leaves_its_rotation_open(void **state) {
    (void)state;
    static const char text[] = "Segments\n100\n,,P:Probe,,,,,,P:Ref,,,,,\n"
                               "Frame,Sub Frame,RX,RY,RZ,TX,TY,TZ,RX,RY,RZ,TX,TY,TZ\n"
                               ",,deg,deg,deg,mm,mm,mm,deg,deg,deg,mm,mm,mm\n"
                               "1,0,0,0,90,10,20,30,0,0,0,1,2,3\n2,0,0,0,90,10,20,30\n"
                               "\nTrajectories\n100\n,,a,,\nFrame,Sub Frame,X,Y,Z\n1,0,1,2,3\n";
    es_pose_table *t = open_table(text, NULL);
    assert_int_equal(es_pose_table_about(t)->samples, 2);
    assert_int_equal(es_pose_table_about(t)->tools, 2);
    assert_int_equal(count_readings(t), 7); /* six orders of three axes, or one axis */
    assert_true(fabs(es_pose_table_time(t, 1) - es_pose_table_time(t, 0) - 0.01) < 1e-12);
    es_pose_table_free(t);
    t = open_table(text, "rotation=axis-angle");
    assert_pose(t, 0, 1, turned);
    es_pose_table_free(t);
}

static void a_trc_table_gives_bodies_of_three_markers(void **state) {
    (void)state;
    static const char head[] = "PathFileType\t4\t(X/Y/Z)\ta.trc\n"
                               "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n"
                               "100\t100\t1\t3\tmm\n";
    char text[1000];
    snprintf(text, sizeof text,
             "%sFrame#\tTime\tProbe1\t\t\tProbe2\t\t\tProbe3\t\t\n"
             "\t\tX1\tY1\tZ1\tX2\tY2\tZ2\tX3\tY3\tZ3\n"
             "1\t0.00\t10\t20\t30\t10\t60\t30\t0\t25\t30\n",
             head);
    es_pose_table *t = open_table(text, NULL);
    assert_pose(t, 0, 0, turned);
    es_pose_table_free(t);
    snprintf(text, sizeof text, "%sFrame#\tTime\tNose\t\t\n\t\tX1\tY1\tZ1\n1\t0.0\t1\t2\t3\n",
             head);
    refuse(text, NULL, ES_UNSUPPORTED, "markers");
}

static void several_tools_in_a_row_are_named_by_their_columns(void **state) {
    (void)state;
    es_pose_table *t = open_table(
        "time_ms,Probe_tx,Probe_ty,Probe_tz,Probe_qw,Probe_qx,Probe_qy,Probe_qz,Stylus tx,Stylus "
        "ty,Stylus tz,Stylus qw,Stylus qx,Stylus qy,Stylus qz,Temperature\n"
        "1000,1,2,3,1,0,0,0,10,20,30," H ",0,0," H ",21\n1040,1,2,3,1,0,0,0,,,,,,,,21\n",
        REST);
    assert_int_equal(es_pose_table_about(t)->tools, 2);
    assert_string_equal(es_pose_table_tool(t, 1), "Stylus");
    assert_string_equal(es_pose_table_about(t)->unread, "Temperature");
    assert_true(fabs(es_pose_table_time(t, 1) - 1.04) < 1e-12);
    assert_pose(t, 1, 0, turned);
    es_pose_table_free(t);
}

/* ---- how it is written -------------------------------------------------------------- */

static void marks_comments_blank_lines_and_quotes_do_not_matter(void **state) {
    (void)state;
    es_pose_table *t = open_table("\xEF\xBB\xBF# a note\r\n\r\n\"tx\",\"ty\",\"tz\",\"qw\",\"qx\","
                                  "\"qy\",\"qz\"\r\n// more\r\n\"10\", 20 ,30," H ",0,0," H ",\r\n"
                                  "# end\r\n",
                                  REST);
    assert_int_equal(es_pose_table_about(t)->samples, 1);
    assert_int_equal(es_pose_table_line(t, 0), 5);
    assert_pose(t, 0, 0, turned);
    es_pose_table_free(t);
}

static void gaps_at_the_start_keep_their_rows(void **state) {
    (void)state;
    es_pose_table *t =
        open_table("1,,,,,,,\n2,NaN,nan,NaN,NaN,NaN,NaN,NaN\n3,10,20,30," H ",0,0," H "\n",
                   "quaternion=wxyz," REST);
    assert_int_equal(es_pose_table_about(t)->samples, 3);
    assert_pose(t, 0, 2, turned);
    es_pose_table_free(t);
}

static void names_of_files_are_kept(void **state) {
    (void)state;
    es_pose_table *t = open_table(
        "file,tx,ty,tz,qw,qx,qy,qz\nimg 1 \xC3\xBC.png,10,20,30," H ",0,0," H "\n", REST);
    assert_string_equal(es_pose_table_file(t, 0), "img 1 \xC3\xBC.png");
    es_pose_table_free(t);
    t = open_table("a.png,10,20,30," H ",0,0," H "\nb.png,10,20,30," H ",0,0," H "\n", NULL);
    assert_string_equal(es_pose_table_file(t, 1), "b.png");
    es_pose_table_free(t);
}

/* The mean step of a table of eight rows with this step, or why it has no time. */
static es_pose_table *timed(const char *unit, double step, const char *layout) {
    char text[1000] = "";
    for (int i = 0; i < 8; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.9g,10,20,30," H ",0,0," H "\n",
                 1000 + i * step);
    (void)unit;
    return open_table(text, layout);
}

static void the_unit_of_time_is_found_by_the_rate_or_asked_for(void **state) {
    (void)state;
    static const double steps[] = {0.04, 40, 4e4};
    for (int i = 0; i < 3; i++) {
        es_pose_table *t = timed("", steps[i], NULL);
        assert_true(es_pose_table_about(t)->has_time);
        assert_true(fabs(es_pose_table_time(t, 1) - es_pose_table_time(t, 0) - 0.04) < 1e-6);
        es_pose_table_free(t);
    }
    es_pose_table *t = timed("", 1, NULL); /* counts rows: a frame number */
    assert_false(es_pose_table_about(t)->has_time);
    es_pose_table_free(t);
    t = open_table("time,tx,ty,tz,qw,qx,qy,qz\n1,1,2,3,1,0,0,0\n2,1,2,3,1,0,0,0\n", NULL);
    assert_false(es_pose_table_about(t)->has_time);
    assert_non_null(strstr(es_pose_table_about(t)->time_note, "time=s, ms"));
    es_pose_table_free(t);
    t = open_table("time,tx,ty,tz,qw,qx,qy,qz\n2,1,2,3,1,0,0,0\n1,1,2,3,1,0,0,0\n", "time=s");
    assert_false(es_pose_table_about(t)->has_time);
    assert_non_null(strstr(es_pose_table_about(t)->time_note, "do not grow"));
    es_pose_table_free(t);
}

/* ---- what is refused ------------------------------------------------------------------ */

static void broken_tables_are_refused_with_their_line(void **state) {
    (void)state;
    static const char q[] = "10,20,30,1,0,0,0\n";
    char text[400];
    refuse("", NULL, ES_FORMAT, "no line");
    refuse("\n\r\n# only this\n", NULL, ES_FORMAT, "no line");
    refuse("a,b,c\n1,2,3\n", NULL, ES_FORMAT, "numbers of a pose");
    refuse("10,20,30,0.5,0.1,0,0\n", NULL, ES_FORMAT, "columns=");
    refuse("10,20,30,1,0,0,0,1,2\n", NULL, ES_FORMAT, "columns=");
    snprintf(text, sizeof text, "%s%s10,20,30,1,0,0\n%s", q, q, q);
    refuse(text, NULL, ES_FORMAT, "line 3: 6 columns; expected 7 as in line 1");
    snprintf(text, sizeof text, "%s10,20,30,1,0,0,0,5\n", q);
    refuse(text, NULL, ES_FORMAT, "line 2: 8 columns");
    snprintf(text, sizeof text, "%sthe,tracker,was,moved,from,here,on\n%s", q, q);
    refuse(text, NULL, ES_FORMAT, "line 2: 'the'");
    snprintf(text, sizeof text, "%s%s10,20,3o,1,0,0,0\n", q, q);
    refuse(text, NULL, ES_FORMAT, "line 3: column 3: '3o'");
    refuse("x,y,z,qw,qx,qy\n10,20,30,1,0,0,0\n", NULL, ES_FORMAT, "line 1: the header has 6 names");
    refuse("\xFF\xFEt\0x", NULL, ES_UNSUPPORTED, "UTF-16");
    refuse("tx,ty,tz,qw,qx,qy,qz\n10,20,30,1e999,0,0,0\n", NULL, ES_FORMAT,
           "line 2: column 4: '1e999'");
    refuse("Format Version,1.23\n\n", NULL, ES_FORMAT, "Motive");
    refuse("Segments\n100\n", NULL, ES_FORMAT, "Vicon");
    refuse("PathFileType\t4\n", NULL, ES_FORMAT, ".trc");
}

static void words_of_the_option_are_checked(void **state) {
    (void)state;
    static const char named[] = "tx,ty,tz,qw,qx,qy,qz\n10,20,30,1,0,0,0\n";
    refuse(named, "quaternion=zyxw", ES_USAGE, "wxyz, xyzw");
    refuse(named, "colour=red", ES_USAGE, "quaternion");
    refuse(named, "unit", ES_USAGE, "name=value");
    refuse(named, "time=h", ES_USAGE, "ms");
    refuse(named, "euler=XYZ", ES_USAGE, "the header names the columns");
    refuse(named, "quaternion=xyzw", ES_USAGE, "the header names the columns");
    refuse(named, "columns=a:b:c", ES_USAGE, "columns=a:b:c");
    refuse("tx_mm,ty_mm,tz_mm,qw,qx,qy,qz\n10,20,30,1,0,0,0\n", "unit=m", ES_USAGE, "header");
}

static void numbers_that_are_no_rotation_are_gaps(void **state) {
    (void)state;
    es_pose_table *t = open_table("tx,ty,tz,qw,qx,qy,qz\n1,2,3,1,0,0,0\n0,0,0,0,0,0,0\n"
                                  "1,2,3,9,9,9,9\n",
                                  REST);
    es_pose_reading r = the_reading(t);
    es_mat4 pose;
    assert_true(es_pose_table_pose(t, 0, 0, &r, &pose));
    assert_false(es_pose_table_pose(t, 0, 1, &r, &pose));
    assert_false(es_pose_table_pose(t, 0, 2, &r, &pose));
    es_pose_table_free(t);
}

static void too_many_columns_are_refused(void **state) {
    (void)state;
    size_t columns = 5000;
    char *text = calloc(columns, 3);
    for (size_t i = 0; i < columns; i++) strcat(text + 2 * (i ? i - 1 : 0), "1,");
    refuse(text, NULL, ES_FORMAT, "4096");
    free(text);
}

static void a_missing_file_and_failing_memory_are_told(void **state) {
    (void)state;
    es_error err = {0};
    assert_null(es_pose_table_read(in_folder("none.csv"), NULL, &err));
    assert_int_equal(err.code, ES_IO);
    const char *path = write_mixed("m.csv",
                                   "Tools,Port,Frame,State,Q0,Qx,Qy,Qz,Tx,Ty,Tz,Error\n"
                                   "1,A,1,OK,1,0,0,0,1,2,3,0\n1,B,1,OK,1,0,0,0,1,2,3,0\n",
                                   "", 0);
    for (long n = 0; n < 200; n++) {
        err = (es_error){0};
        es_alloc_fail_after(n);
        es_pose_table *t = es_pose_table_read(path, "unit=mm", &err);
        es_alloc_fail_after(-1);
        if (t) {
            es_pose_table_free(t);
            assert_true(n > 5);
            return;
        }
        assert_int_equal(err.code, ES_MEMORY);
    }
    fail_msg("never succeeded");
}

static void a_long_table_is_read_in_time(void **state) {
    (void)state;
    const char *path = in_folder("long.csv");
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 200000; i++) fprintf(file, "%.3f,10,20,30," H ",0,0," H "\n", 0.01 * i);
    fclose(file);
    es_error err = {0};
    double start = es_clock_s();
    es_pose_table *t = es_pose_table_read(path, NULL, &err);
    assert_non_null(t);
    assert_int_equal(es_pose_table_about(t)->samples, 200000);
    assert_true(es_clock_s() - start < 20); /* linear: a second on a plain core */
    es_pose_table_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_pose_is_read_from_every_layout),
        cmocka_unit_test(what_nobody_says_stays_in_doubt),
        cmocka_unit_test(euler_sequences_follow_their_words),
        cmocka_unit_test(an_ndi_log_is_read_with_its_tools_and_gaps),
        cmocka_unit_test(a_motive_table_says_its_own_reading),
        cmocka_unit_test(a_vicon_table_leaves_its_rotation_open),
        cmocka_unit_test(a_trc_table_gives_bodies_of_three_markers),
        cmocka_unit_test(several_tools_in_a_row_are_named_by_their_columns),
        cmocka_unit_test(marks_comments_blank_lines_and_quotes_do_not_matter),
        cmocka_unit_test(gaps_at_the_start_keep_their_rows),
        cmocka_unit_test(names_of_files_are_kept),
        cmocka_unit_test(the_unit_of_time_is_found_by_the_rate_or_asked_for),
        cmocka_unit_test(broken_tables_are_refused_with_their_line),
        cmocka_unit_test(words_of_the_option_are_checked),
        cmocka_unit_test(numbers_that_are_no_rotation_are_gaps),
        cmocka_unit_test(too_many_columns_are_refused),
        cmocka_unit_test(a_missing_file_and_failing_memory_are_told),
        cmocka_unit_test(a_long_table_is_read_in_time),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
