/* The networks' kernel for vectors of any width: TILE_OUTS outputs of VECTORS x LANES
 * neighbouring pixels at once. Their sums stay in registers, so a step of TILE_OUTS x VECTORS
 * fused multiply-adds costs VECTORS loads of pixels and TILE_OUTS of weights, and the multipliers
 * never wait for memory. Whoever includes this says LANES, VECTORS, the type `vector`,
 * INTRINSIC(name), which is _mm256_name or its like, and the KERNEL's name. */
enum { BLOCK = LANES * VECTORS };
_Static_assert((int)BLOCK <= (int)TILE_MOST, "the planes leave that much room behind them");

static inline vector load(const float *from) { return INTRINSIC(loadu_ps)(from); }
static inline vector broadcast(float value) { return INTRINSIC(set1_ps)(value); }
static inline vector multiply_add(vector a, vector b, vector c) {
    return INTRINSIC(fmadd_ps)(a, b, c);
}
static inline vector at_least_zero(vector a) {
    return INTRINSIC(max_ps)(a, INTRINSIC(setzero_ps)());
}
static inline void store(float *to, vector a) { INTRINSIC(storeu_ps)(to, a); }

static inline void block(const struct taps *taps, const float *bias, bool relu, size_t first,
                         float *const out[TILE_OUTS]) {
    vector sum[TILE_OUTS][VECTORS], in[VECTORS];
    for (int o = 0; o < TILE_OUTS; o++)
        for (int v = 0; v < VECTORS; v++) sum[o][v] = broadcast(bias[o]);
    const float *weight = taps->weight;
    for (size_t t = 0; t < taps->count; t++, weight += TILE_OUTS) {
        for (int v = 0; v < VECTORS; v++) in[v] = load(taps->at[t] + first + LANES * v);
        for (int o = 0; o < TILE_OUTS; o++) {
            vector w = broadcast(weight[o]);
            for (int v = 0; v < VECTORS; v++) sum[o][v] = multiply_add(w, in[v], sum[o][v]);
        }
    }
    for (int o = 0; o < TILE_OUTS; o++)
        for (int v = 0; v < VECTORS; v++)
            store(out[o] + first + LANES * v, relu ? at_least_zero(sum[o][v]) : sum[o][v]);
}

void KERNEL(const struct taps *taps, const float bias[TILE_OUTS], bool relu, size_t length,
            float *const out[TILE_OUTS]) {
    for (size_t first = 0; first < length; first += BLOCK) block(taps, bias, relu, first, out);
}
