/* The bundle that cmake/viewer.cmake makes: script NULL without npm. */
#ifndef ES_PIPELINE_VIEW_PROGRAM_H
#define ES_PIPELINE_VIEW_PROGRAM_H

#include "echosolid/view.h"

extern const es_view_program view_program;

#endif
