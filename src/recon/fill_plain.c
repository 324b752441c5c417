/* Hole filling for any processor. */
#include "fill_steps.h"

const fill_kernels fill_kernels_plain = {make_bits, fill_brick, write_brick};
