/* SIMD vectors of eight float32: the one vector type that the kernels are written in.
 *
 * Compiled with AVX2 and FMA an `f8` is one register; otherwise it is eight
 * floats in loops short enough for any compiler to vectorise.  Both spell the
 * same algorithms; results differ only in the rounding of fused operations.
 */
#ifndef FASTTSNE_SIMD8_H
#define FASTTSNE_SIMD8_H

#include <stdint.h>
#include <string.h>

#if defined(_MSC_VER)
#define F8_INLINE static __forceinline
#else
#define F8_INLINE static inline __attribute__((always_inline))
#endif

/* log(2) in two parts: the first has trailing zeros, so that n * LN2_HIGH is exact. */
#define F8_LN2_HIGH 0.693359375f
#define F8_LN2_LOW (-2.12194440e-4f)
/* Adding 1.5 * 2^23 rounds a float of modest size to the nearest integer,
 * which is then in the low bits of the mantissa. */
#define F8_ROUND 12582912.0f
#define F8_ROUND_BITS 0x4B400000
/* Bits of a float that a number of 16 bits leaves out: five of the exponent remain, and eleven. */
#define F8_CODE_SHIFT 12

#if defined(__AVX2__) && (defined(__FMA__) || defined(_MSC_VER))
#include <immintrin.h>

typedef __m256 f8;

F8_INLINE f8 f8_set1(float a) { return _mm256_set1_ps(a); }
F8_INLINE f8 f8_load(const float *p) { return _mm256_loadu_ps(p); }
F8_INLINE void f8_store(float *p, f8 a) { _mm256_storeu_ps(p, a); }
F8_INLINE f8 f8_add(f8 a, f8 b) { return _mm256_add_ps(a, b); }
F8_INLINE f8 f8_sub(f8 a, f8 b) { return _mm256_sub_ps(a, b); }
F8_INLINE f8 f8_mul(f8 a, f8 b) { return _mm256_mul_ps(a, b); }
F8_INLINE f8 f8_div(f8 a, f8 b) { return _mm256_div_ps(a, b); }
F8_INLINE f8 f8_min(f8 a, f8 b) { return _mm256_min_ps(a, b); }
F8_INLINE f8 f8_max(f8 a, f8 b) { return _mm256_max_ps(a, b); }
/* a * b + c */
F8_INLINE f8 f8_fma(f8 a, f8 b, f8 c) { return _mm256_fmadd_ps(a, b, c); }

/* Lane l becomes the sum of lanes l, l + 4, then pairs of pairs: a fixed order. */
F8_INLINE float f8_sum(f8 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

/* Bit l is set where a[l] < b[l]. */
F8_INLINE int f8_less(f8 a, f8 b) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

/* Eight points of two coordinates, 8 bytes at a time: four times fewer loads
 * than two hardware gathers, and faster on every processor measured.  The
 * intrinsics read through types that may alias floats, as double may not. */
#define F8_PAIR(y, j, a, b) \
    _mm_loadh_pi(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(y + 2 * (intptr_t)j[a]))), \
                 (const __m64 *)(y + 2 * (intptr_t)j[b]))
#define F8_GATHER2(y, j, out) do { \
    __m256 low = _mm256_insertf128_ps( \
        _mm256_castps128_ps256(F8_PAIR(y, j, 0, 1)), F8_PAIR(y, j, 4, 5), 1); \
    __m256 high = _mm256_insertf128_ps( \
        _mm256_castps128_ps256(F8_PAIR(y, j, 2, 3)), F8_PAIR(y, j, 6, 7), 1); \
    out[0] = _mm256_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)); \
    out[1] = _mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)); \
} while (0)

/* Eight numbers of 16 bits: see f8_decode. */
F8_INLINE f8 f8_load_codes(const uint16_t *codes, int32_t bits) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)codes));
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_slli_epi32(wide, F8_CODE_SHIFT), _mm256_set1_epi32(bits)));
}

/* Eight rows of eight become eight columns. */
F8_INLINE void f8_transpose(f8 *v) {
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], _MM_SHUFFLE(1, 0, 1, 0));
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], _MM_SHUFFLE(3, 2, 3, 2));
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], _MM_SHUFFLE(1, 0, 1, 0));
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], _MM_SHUFFLE(3, 2, 3, 2));
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}

/* 2^n for the n that F8_ROUND left in the mantissa of `shifted`. */
F8_INLINE f8 f8_exp2_of_rounded(f8 shifted) {
    __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted),
                                 _mm256_set1_epi32(F8_ROUND_BITS - 127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(n, 23));
}

/* x = mantissa * 2^exponent with the mantissa in [sqrt(1/2), sqrt(2)). */
F8_INLINE f8 f8_split(f8 x, f8 *exponent) {
    __m256i bits = _mm256_sub_epi32(_mm256_castps_si256(x), _mm256_set1_epi32(0x3F3504F3));
    __m256i e = _mm256_srai_epi32(bits, 23);
    *exponent = _mm256_cvtepi32_ps(e);
    return _mm256_castsi256_ps(
        _mm256_sub_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(e, 23)));
}

#else /* portable */

typedef struct { float v[8]; } f8;

#define F8_EACH(expression) \
    f8 r; \
    for (int l = 0; l < 8; l++) r.v[l] = (expression); \
    return r

F8_INLINE f8 f8_set1(float a) { F8_EACH(a); }
F8_INLINE f8 f8_load(const float *p) { F8_EACH(p[l]); }
F8_INLINE void f8_store(float *p, f8 a) { memcpy(p, a.v, sizeof a.v); }
F8_INLINE f8 f8_add(f8 a, f8 b) { F8_EACH(a.v[l] + b.v[l]); }
F8_INLINE f8 f8_sub(f8 a, f8 b) { F8_EACH(a.v[l] - b.v[l]); }
F8_INLINE f8 f8_mul(f8 a, f8 b) { F8_EACH(a.v[l] * b.v[l]); }
F8_INLINE f8 f8_div(f8 a, f8 b) { F8_EACH(a.v[l] / b.v[l]); }
F8_INLINE f8 f8_min(f8 a, f8 b) { F8_EACH(a.v[l] < b.v[l] ? a.v[l] : b.v[l]); }
F8_INLINE f8 f8_max(f8 a, f8 b) { F8_EACH(a.v[l] > b.v[l] ? a.v[l] : b.v[l]); }
F8_INLINE f8 f8_fma(f8 a, f8 b, f8 c) { F8_EACH(a.v[l] * b.v[l] + c.v[l]); }

F8_INLINE float f8_sum(f8 a) {
    float s0 = a.v[0] + a.v[4], s1 = a.v[1] + a.v[5];
    float s2 = a.v[2] + a.v[6], s3 = a.v[3] + a.v[7];
    return (s0 + s2) + (s1 + s3);
}

F8_INLINE int f8_less(f8 a, f8 b) {
    int mask = 0;
    for (int l = 0; l < 8; l++) mask |= (a.v[l] < b.v[l]) << l;
    return mask;
}

#define F8_GATHER2(y, j, out) do { \
    for (int l = 0; l < 8; l++) { \
        out[0].v[l] = y[2 * (intptr_t)j[l]]; \
        out[1].v[l] = y[2 * (intptr_t)j[l] + 1]; \
    } \
} while (0)

F8_INLINE f8 f8_load_codes(const uint16_t *codes, int32_t bits) {
    f8 r;
    for (int l = 0; l < 8; l++) {
        int32_t value = ((int32_t)codes[l] << F8_CODE_SHIFT) + bits;
        memcpy(&r.v[l], &value, 4);
    }
    return r;
}

F8_INLINE void f8_transpose(f8 *v) {
    for (int i = 0; i < 8; i++) {
        for (int l = 0; l < i; l++) {
            float t = v[i].v[l];
            v[i].v[l] = v[l].v[i];
            v[l].v[i] = t;
        }
    }
}

F8_INLINE f8 f8_exp2_of_rounded(f8 shifted) {
    f8 r;
    for (int l = 0; l < 8; l++) {
        int32_t n;
        memcpy(&n, &shifted.v[l], 4);
        n = (int32_t)((uint32_t)(n - (F8_ROUND_BITS - 127)) << 23);
        memcpy(&r.v[l], &n, 4);
    }
    return r;
}

F8_INLINE f8 f8_split(f8 x, f8 *exponent) {
    f8 r;
    for (int l = 0; l < 8; l++) {
        int32_t bits, e;
        memcpy(&bits, &x.v[l], 4);
        e = (bits - 0x3F3504F3) >> 23;
        bits -= (int32_t)((uint32_t)e << 23);
        exponent->v[l] = (float)e;
        memcpy(&r.v[l], &bits, 4);
    }
    return r;
}

#undef F8_EACH
#endif

#define F8_GATHER(y, j, d, out) do { \
    if (d == 2) { \
        F8_GATHER2(y, j, out); \
    } else { \
        float lanes[8]; \
        for (int c = 0; c < d; c++) { \
            for (int l = 0; l < 8; l++) lanes[l] = y[d * (intptr_t)j[l] + c]; \
            out[c] = f8_load(lanes); \
        } \
    } \
} while (0)

/* Eight points out of rows of `d` coordinates. */
F8_INLINE void f8_gather(const float *y, const int32_t *j, int d, f8 *out) {
    F8_GATHER(y, j, d, out);
}

/* The same by distances from the row that y points to. */
F8_INLINE void f8_gather_near(const float *y, const int16_t *j, int d, f8 *out) {
    F8_GATHER(y, j, d, out);
}

/* Numbers from 0 on in 16 bits, with 12 bits of precision: the highest bits of value +
 * `smallest`, a power of two, counted from those of `smallest`. */
F8_INLINE f8 f8_decode(const uint16_t *codes, float smallest) {
    int32_t bits;
    memcpy(&bits, &smallest, 4);
    return f8_sub(f8_load_codes(codes, bits), f8_set1(smallest));
}

F8_INLINE uint16_t encode(float value, float smallest) {
    int32_t bits, low;
    value += smallest;
    memcpy(&bits, &value, 4);
    memcpy(&low, &smallest, 4);
    bits = (bits - low + (1 << (F8_CODE_SHIFT - 1))) >> F8_CODE_SHIFT;
    return (uint16_t)(bits < 0 ? 0 : bits > 65535 ? 65535 : bits);
}

/* Add to `sums` the products of four rows of a panel with three other panels.  A panel
 * is eight rows, stored depth by depth:
 *     sums[3 i + p] lane j += sum_k a[8 k + i] b[p * stride + 8 k + j].
 * Twelve sums run at once: more than hide the latency of a fused multiply-add on two
 * units, and with the four operands exactly the sixteen registers there are. */
F8_INLINE void f8_panel_products(
    const float *a, const float *b, intptr_t stride, intptr_t depth, f8 *sums) {
    f8 s00 = sums[0], s01 = sums[1], s02 = sums[2], s10 = sums[3], s11 = sums[4], s12 = sums[5];
    f8 s20 = sums[6], s21 = sums[7], s22 = sums[8], s30 = sums[9], s31 = sums[10], s32 = sums[11];
    for (intptr_t k = 0; k < 8 * depth; k += 8) {
        f8 v0 = f8_load(b + k), v1 = f8_load(b + stride + k), v2 = f8_load(b + 2 * stride + k), x;
        x = f8_set1(a[k]);
        s00 = f8_fma(x, v0, s00);
        s01 = f8_fma(x, v1, s01);
        s02 = f8_fma(x, v2, s02);
        x = f8_set1(a[k + 1]);
        s10 = f8_fma(x, v0, s10);
        s11 = f8_fma(x, v1, s11);
        s12 = f8_fma(x, v2, s12);
        x = f8_set1(a[k + 2]);
        s20 = f8_fma(x, v0, s20);
        s21 = f8_fma(x, v1, s21);
        s22 = f8_fma(x, v2, s22);
        x = f8_set1(a[k + 3]);
        s30 = f8_fma(x, v0, s30);
        s31 = f8_fma(x, v1, s31);
        s32 = f8_fma(x, v2, s32);
    }
    sums[0] = s00; sums[1] = s01; sums[2] = s02; sums[3] = s10; sums[4] = s11; sums[5] = s12;
    sums[6] = s20; sums[7] = s21; sums[8] = s22; sums[9] = s30; sums[10] = s31; sums[11] = s32;
}

/* The number of the lowest bit that is set, of a mask of eight that is not zero. */
F8_INLINE int lowest_bit(int mask) {
#if defined(__GNUC__)
    return __builtin_ctz((unsigned)mask);
#else
    int bit = 0;
    while (!(mask >> bit & 1)) bit++;
    return bit;
#endif
}

/* Ask for the first cache lines of an array that will be read soon; the processor
 * itself sees the pattern after a few lines and fetches the others. */
F8_INLINE void prefetch(const float *p, intptr_t count) {
#if defined(__GNUC__)
    for (intptr_t i = 0; i < count && i < 16 * 8; i += 16) __builtin_prefetch(p + i);
#else
    (void)p; (void)count;
#endif
}

/* exp(x) for x <= 0, relative error below 2e-7; arguments under -87 give the
 * smallest normal number, not a denormal one. x = n ln 2 + r, Taylor in r. */
F8_INLINE f8 f8_exp(f8 x) {
    x = f8_max(x, f8_set1(-87.0f));
    f8 shifted = f8_fma(x, f8_set1(1.44269504f), f8_set1(F8_ROUND));
    f8 n = f8_sub(shifted, f8_set1(F8_ROUND));
    f8 r = f8_fma(n, f8_set1(-F8_LN2_LOW), f8_fma(n, f8_set1(-F8_LN2_HIGH), x));
    f8 s = f8_set1(1.0f / 5040);
    s = f8_fma(s, r, f8_set1(1.0f / 720));
    s = f8_fma(s, r, f8_set1(1.0f / 120));
    s = f8_fma(s, r, f8_set1(1.0f / 24));
    s = f8_fma(s, r, f8_set1(1.0f / 6));
    s = f8_fma(s, r, f8_set1(0.5f));
    s = f8_fma(s, r, f8_set1(1.0f));
    s = f8_fma(s, r, f8_set1(1.0f));
    return f8_mul(s, f8_exp2_of_rounded(shifted));
}

/* log(x) for normal x > 0, absolute error below 1e-7 * max(1, |log x|).
 * log m = 2 artanh((m - 1) / (m + 1)), a series in s <= 0.172. */
F8_INLINE f8 f8_log(f8 x) {
    f8 e, m = f8_split(x, &e);
    f8 one = f8_set1(1.0f);
    f8 s = f8_div(f8_sub(m, one), f8_add(m, one));
    f8 s2 = f8_mul(s, s);
    f8 t = f8_set1(2.0f / 9);
    t = f8_fma(t, s2, f8_set1(2.0f / 7));
    t = f8_fma(t, s2, f8_set1(2.0f / 5));
    t = f8_fma(t, s2, f8_set1(2.0f / 3));
    t = f8_fma(t, s2, f8_set1(2.0f));
    t = f8_fma(t, s, f8_mul(e, f8_set1(F8_LN2_LOW)));
    return f8_fma(e, f8_set1(F8_LN2_HIGH), t);
}

#endif
