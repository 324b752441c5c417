/* Includes KERNEL_TEMPLATE once per pixel type, with
 *   PIXEL, SUFFIX   the type, and what NAME() puts behind names
 *   SMALL           1 for 1- and 2-byte integers
 *   IS_BYTE         1 for 1-byte integers
 *   LOWEST          smallest value of a small type
 *   IS_FLOAT, TO_PIXEL(double)
 *   HITS, HITS_MOST counter beside a kept value
 *   GATHER          what sums of LINEAR are gathered in, within one cell */
#define SMALL 1
#define IS_FLOAT 0
#define TO_PIXEL(value) ((PIXEL)rounded(value))
#define HITS uint16_t
#define HITS_MOST UINT16_MAX
#define GATHER float
#define IS_BYTE 1
#define PIXEL uint8_t
#define LOWEST 0
#define SUFFIX u8
#include KERNEL_TEMPLATE
#undef PIXEL
#undef LOWEST
#undef SUFFIX
#define PIXEL int8_t
#define LOWEST INT8_MIN
#define SUFFIX i8
#include KERNEL_TEMPLATE
#undef PIXEL
#undef LOWEST
#undef SUFFIX
#undef IS_BYTE
#define IS_BYTE 0
#define PIXEL uint16_t
#define LOWEST 0
#define SUFFIX u16
#include KERNEL_TEMPLATE
#undef PIXEL
#undef LOWEST
#undef SUFFIX
#define PIXEL int16_t
#define LOWEST INT16_MIN
#define SUFFIX i16
#include KERNEL_TEMPLATE
#undef PIXEL
#undef LOWEST
#undef SUFFIX
#undef SMALL
#undef HITS
#undef HITS_MOST
#undef GATHER

#define SMALL 0
#define HITS uint32_t
#define HITS_MOST UINT32_MAX
#define GATHER double
#define PIXEL uint32_t
#define LOWEST 0
#define SUFFIX u32
#include KERNEL_TEMPLATE
#undef PIXEL
#undef LOWEST
#undef SUFFIX
#define PIXEL int32_t
#define LOWEST 0
#define SUFFIX i32
#include KERNEL_TEMPLATE
#undef PIXEL
#undef LOWEST
#undef SUFFIX
#undef IS_FLOAT
#undef TO_PIXEL

#define IS_FLOAT 1
#define TO_PIXEL(value) ((PIXEL)(value))
#define PIXEL float
#define LOWEST 0
#define SUFFIX f32
#include KERNEL_TEMPLATE
#undef PIXEL
#undef LOWEST
#undef SUFFIX
#define PIXEL double
#define LOWEST 0
#define SUFFIX f64
#include KERNEL_TEMPLATE
#undef PIXEL
#undef LOWEST
#undef SUFFIX
#undef SMALL
#undef IS_FLOAT
#undef TO_PIXEL
#undef HITS
#undef HITS_MOST
#undef GATHER
#undef IS_BYTE
#undef KERNEL_TEMPLATE
