/* The still pictures of meshes and volumes that the commands' reports share. */
#ifndef ECHOSOLID_APP_REPORT_PICTURES_H
#define ECHOSOLID_APP_REPORT_PICTURES_H

#include "echosolid/report.h"

/* Directions towards the eye: from where most of an open mesh is seen, and
 * obliquely to that. */
typedef struct app_views {
    es_vec3 front, oblique;
} app_views;
app_views app_views_of(const es_mesh *mesh);

typedef struct app_mesh_picture {
    const es_mesh *mesh;
    es_vec3 toward_eye;
    const float *scalar; /* NULL: bone colour; else over 0..high */
    double high;
    const char *scalar_name;
} app_mesh_picture;
bool app_add_mesh(es_report *report, const app_mesh_picture *picture, const char *caption,
                  es_error *err);

/* Three slices through the middle of the box: "Slice at x = 1.2 mm <where>". */
bool app_add_slices(es_report *report, const es_bricks *bricks, es_box3 box, const char *where,
                    es_error *err);

#endif
