/* OpenIGTLink messages as frames and poses. */
#ifndef ES_LIVE_INTAKE_H
#define ES_LIVE_INTAKE_H

#include "echosolid/live.h"

/* The value of a metadata key as text; false when it is absent or longer. */
bool intake_meta(const es_igtl_message *message, const char *key, char *text, size_t size);

/* What the message is called: the metadata IGTL_DEVICE_NAME (the header cuts
 * names to 20 letters), else the header's. */
void intake_name(const es_igtl_message *message, char name[ES_NAME_SIZE]);

/* An IMAGE as a frame, with what its metadata and its matrix say. `frame` is
 * overwritten, its memory reused; time 0 stays 0. *whole keeps the picture ({0} at
 * first): a part of one of the same size and kind is laid over it, and the frame has
 * all of it. *flat: false when it is a volume, or a part of a picture that is not
 * there, and nothing was done. */
bool intake_picture(const es_igtl_message *message, es_frame *frame, es_image *whole,
                    double spacing_mm[2], bool *flat, es_error *err);

/* The same of a flat picture that came otherwise (VIDEO); the message has what is said of it. */
bool intake_image(const es_igtl_message *message, const es_igtl_image *image, es_frame *frame,
                  double spacing_mm[2], es_error *err);

/* A SENSOR's numbers as the field <device>Sensor; at most 16 of them are kept, and
 * what is no SENSOR is passed over. */
bool intake_sensor(const es_igtl_message *message, es_fields *fields, es_error *err);

/* TRANSFORM, POSITION, QTRANS. False in *is_pose for other types, and for
 * content that is none. */
void intake_pose(const es_igtl_message *message, es_live_pose *pose, bool *is_pose);
/* Tool `index` of a TDATA or QTDATA; "Probe" becomes ProbeToTracker. */
void intake_tool(const es_igtl_message *message, size_t index, es_live_pose *pose, bool *is_pose);

#endif
