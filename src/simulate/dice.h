/* dice.h: numbers by chance. Each group of facts draws from its own stream, so
 * that a new one does not change the others. */
#ifndef SIMULATE_DICE_H
#define SIMULATE_DICE_H

#include "echosolid/base.h"

typedef struct dice {
    es_random random;
} dice;

static inline dice dice_of(uint64_t seed, uint64_t group) {
    return (dice){es_random_new(seed, group)};
}
static inline double between(dice *d, double low, double high) {
    return low + (high - low) * es_random_uniform(&d->random);
}
static inline int whole(dice *d, int low, int high) { /* both included */
    return low + (int)((high - low + 1) * es_random_uniform(&d->random));
}
static inline bool chance(dice *d, double share) { return es_random_uniform(&d->random) < share; }

#endif
