/* echosolid/pipeline.h: the wiring of sources, stages and sinks, and the
 * report. One flow serves every command, offline and live. */
#ifndef ECHOSOLID_PIPELINE_H
#define ECHOSOLID_PIPELINE_H

#include "echosolid/bone.h"
#include "echosolid/cad.h"
#include "echosolid/format.h"
#include "echosolid/recon.h"
#include "echosolid/simulate.h"
#include "echosolid/surface.h"

#endif
