/* Inside of the room: how a screen's frames are drawn. */
#ifndef ECHOSOLID_SIMULATE_SCREEN_H
#define ECHOSOLID_SIMULATE_SCREEN_H

#include "echosolid/simulate.h"

/* The echoes of a screen: where each pixel lies among lines and samples. */
typedef struct screen_echoes screen_echoes;
/* Keeps the pointer. */
screen_echoes *screen_echoes_new(const es_screen *screen, es_error *err);
void screen_echoes_free(screen_echoes *echoes);
/* Floats that one worker needs for screen_echoes_draw. */
size_t screen_echoes_scratch(const screen_echoes *echoes);
/* Grey 0..255 of frame `index`; nothing is left of what `picture` held. */
void screen_echoes_draw(const screen_echoes *echoes, int64_t index, float *scratch, float *picture);

/* The interface: what stands still, u8 grey, 0 where the echoes show through. */
bool screen_interface_new(const es_screen *screen, es_image *still, es_error *err);
/* Lays it over the picture, with what moves. */
void screen_interface_draw(const es_screen *screen, const es_image *still, int64_t index,
                           float *picture);

/* Blur, compression, noise and rounding, in place and then into bytes. */
void screen_grab(const es_screen *screen, int64_t index, float *picture, uint8_t *pixels);

#endif
