// Matrix products, packed and multiplied in tiles.
//
// The factor b, a weight as a rule, is cut into panels of some columns, and the factor a into tiles of some
// rows; see tile.inc.h. Both are packed in the order in which tiles read them. A block of rows stays in the
// second-level cache while the panels pass by, and a part of a panel in the first-level cache while the
// tiles of the block pass by (Goto & van de Geijn 2008).
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "elementary.h"
#include "threads.h"
#include "tiles.h"

// MARK: Memory

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

/// Memory on a line of the cache of its own, in huge pages where it fills some: reading a weight for one row
/// is bound by memory, and looks up an address for each page. NULL if there is none.
static void *take_memory(size_t size) {
  void *memory = NULL;
  if (posix_memalign(&memory, size < HUGE_PAGE ? CACHE_LINE : HUGE_PAGE, size ? size : 1) != 0)
    return NULL;
#ifdef MADV_HUGEPAGE
  // Advice: a refusal changes nothing.
  if (size >= HUGE_PAGE) (void)madvise(memory, size, MADV_HUGEPAGE);
#endif
  return memory;
}

/// What a thread's scratch memory is for: the rows that it packs, or a whole factor that others read, too.
typedef enum { OF_ROWS, OF_FACTOR, PURPOSES } purpose;

/// Scratch memory that a thread keeps until it ends.
typedef struct {
  void *memory[PURPOSES];
  size_t size[PURPOSES];
} scratch;

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void release_scratch(void *context) {
  scratch *kept = context;
  for (int i = 0; i < PURPOSES; i++) free(kept->memory[i]);
  free(kept);
}

static void create_scratch_key(void) { (void)pthread_key_create(&scratch_key, release_scratch); }

/// The scratch memory of this thread, at least `size` bytes; what it held is lost. NULL if there is none.
static void *thread_scratch(purpose purpose, size_t size) {
  pthread_once(&scratch_once, create_scratch_key);
  scratch *kept = pthread_getspecific(scratch_key);
  if (!kept) {
    kept = calloc(1, sizeof *kept);
    if (!kept) return NULL;
    if (pthread_setspecific(scratch_key, kept) != 0) {
      free(kept);
      return NULL;
    }
  }
  if (kept->size[purpose] < size) {
    free(kept->memory[purpose]);
    kept->memory[purpose] = take_memory(size);
    kept->size[purpose] = kept->memory[purpose] ? size : 0;
  }
  return kept->memory[purpose];
}

// MARK: Packing

/// A row-major matrix, or the transpose of one: number (i, k) is at `i * stride + k`, or `k * stride + i`.
typedef struct {
  const void *numbers;
  size_t stride;
  bool transposed;
  unroll_precision precision;
} matrix;

typedef float four_floats __attribute__((ext_vector_type(4)));
typedef four_floats stored_four __attribute__((aligned(4)));

/// Packs rows of floats side by side: `packed[k * width + i] = x[i * stride + k]`. Squares of 4 x 4 numbers are
/// transposed in registers; the last squares of both directions overlap those before.
static void interleave_floats(
    const float *x, size_t stride, size_t rows, size_t K, float *packed, size_t width) {
  if (rows < 4 || K < 4) {
    for (size_t i = 0; i < rows; i++)
      for (size_t k = 0; k < K; k++) packed[k * width + i] = x[i * stride + k];
    return;
  }
  for (size_t row = 0; row < rows; row += 4) {
    const size_t i = row + 4 <= rows ? row : rows - 4;
    const float *from = x + i * stride;
    for (size_t step = 0; step < K; step += 4) {
      const size_t k = step + 4 <= K ? step : K - 4;
      const four_floats a = *(const stored_four *)(from + k);
      const four_floats b = *(const stored_four *)(from + stride + k);
      const four_floats c = *(const stored_four *)(from + 2 * stride + k);
      const four_floats d = *(const stored_four *)(from + 3 * stride + k);
      const four_floats ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const four_floats cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const four_floats ab_end = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const four_floats cd_end = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      float *to = packed + k * width + i;
      *(stored_four *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
      *(stored_four *)(to + width) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
      *(stored_four *)(to + 2 * width) = __builtin_shufflevector(ab_end, cd_end, 0, 1, 4, 5);
      *(stored_four *)(to + 3 * width) = __builtin_shufflevector(ab_end, cd_end, 2, 3, 6, 7);
    }
  }
}

/// The float that a bfloat16 stands for: its upper half.
INLINED float float_of_half(uint16_t half) { return float_of_bits((uint32_t)half << 16); }

/// Copies a few floats that stand side by side.
INLINED void copy_few(const float *from, float *to, size_t count) {
  if (count < 4) {
    for (size_t i = 0; i < count; i++) to[i] = from[i];
    return;
  }
  for (size_t i = 0; i + 4 < count; i += 4) *(stored_four *)(to + i) = *(const stored_four *)(from + i);
  *(stored_four *)(to + count - 4) = *(const stored_four *)(from + count - 4);
}

/// Packs rows of a matrix side by side as floats: `packed[k * width + i]` is number (row + i, first + k).
static void pack_rows(
    const matrix *x, size_t row, size_t rows, size_t first, size_t K, float *packed, size_t width) {
  const size_t across = x->transposed ? 1 : x->stride, along = x->transposed ? x->stride : 1;
  const size_t start = row * across + first * along;
  if (x->precision == UNROLL_BF16) {
    const uint16_t *from = (const uint16_t *)x->numbers + start;
    for (size_t k = 0; k < K; k++)
      for (size_t i = 0; i < rows; i++)
        packed[k * width + i] = float_of_half(from[i * across + k * along]);
    return;
  }
  const float *from = (const float *)x->numbers + start;
  if (!x->transposed) return interleave_floats(from, across, rows, K, packed, width);
  for (size_t k = 0; k < K; k++) copy_few(from + k * along, packed + k * width, rows);
}

/// Packs rows of int8 as pairs of int16: `packed[k * rows + i]` holds numbers 2k and 2k + 1 of row i.
static void pack_pairs(const int8_t *x, size_t stride, size_t rows, size_t K, int32_t *packed) {
  for (size_t i = 0; i < rows; i++, x += stride)
    for (size_t k = 0; k < K; k += 2) {
      const int16_t pair[2] = {x[k], k + 1 < K ? x[k + 1] : 0};
      memcpy(&packed[k / 2 * rows + i], pair, sizeof pair);
    }
}

// MARK: The product of packed panels

/// A factor in panels, as `pack_panel` leaves it.
typedef struct {
  const tile_kernels *kernels;
  unroll_precision precision;
  const void *numbers;
  /// The numbers of a panel; pairs of them in int8.
  size_t stride;
} panels;

/// The size of a number, or of a pair in int8.
static size_t size_of(unroll_precision precision) {
  return precision == UNROLL_F32 ? sizeof(float) : sizeof(uint16_t);
}

/// The numbers, or pairs of them, along K.
static size_t length_of(unroll_precision precision, size_t K) {
  return precision == UNROLL_INT8 ? (K + 1) / 2 : K;
}

/// A product at work.
typedef struct {
  matrix a;
  panels b;
  size_t M, N, K;
  const float *bias;
  void *y;
  size_t y_stride;
  bool accumulate;
  /// Whether threads share out the rows, or the panels.
  bool by_rows;
  atomic_bool is_out_of_memory;
} product;

/// A part of the sums.
typedef struct {
  size_t first, length;
} chain;

/// Part `index` of the sums. Those of int8 are exact in any order, so they are one.
static chain chain_at(const product *p, size_t index, size_t count) {
  const size_t K = length_of(p->b.precision, p->K), first = part_start(K, count, index);
  return (chain){first, part_start(K, count, index + 1) - first};
}

/// Packs one chain of a block of rows as tiles: a tile's rows side by side, one tile after the other.
static void pack_tiles(const product *p, size_t row, size_t rows, chain c, float *packed) {
  const size_t tiles = part_count(rows, p->b.kernels->rows);
  // The rows of a transposed matrix are read for all tiles at once, in pieces that the cache holds.
  const size_t piece = p->a.transposed ? 16 : c.length;
  for (size_t k = 0; k < c.length; k += piece)
    for (size_t tile = 0; tile < tiles; tile++) {
      const size_t begin = part_start(rows, tiles, tile), end = part_start(rows, tiles, tile + 1);
      const size_t count = c.length - k < piece ? c.length - k : piece, height = end - begin;
      float *to = packed + begin * c.length + k * height;
      if (p->a.precision == UNROLL_INT8)
        pack_pairs(
            (const int8_t *)p->a.numbers + (row + begin) * p->a.stride, p->a.stride, height, p->K,
            (int32_t *)(void *)to);
      else
        pack_rows(&p->a, row + begin, height, c.first + k, count, to, height);
    }
}

/// Multiplies one chain of a packed block of rows by `count` panels.
///
/// @param expanded Room for one panel in floats, or NULL where bfloat16 is multiplied as it is.
static void multiply_tiles(
    const product *p, const float *packed, size_t row, size_t rows, size_t panel, size_t count, chain c,
    float *expanded) {
  const tile_kernels *kernels = p->b.kernels;
  const size_t column = panel * kernels->columns, width = count * kernels->columns;
  const size_t start = panel * p->b.stride + c.first * kernels->columns;
  tile_product tile = {
      .a = packed,
      .M = rows,
      .b = (const char *)p->b.numbers + start * size_of(p->b.precision),
      .panel_stride = p->b.stride,
      .N = p->N - column < width ? p->N - column : width,
      .K = c.length,
      .y = (float *)p->y + row * p->y_stride + column,
      .y_stride = p->y_stride,
      .bias = p->bias && c.first == 0 ? p->bias + column : NULL,
      .accumulate = p->accumulate || c.first > 0,
  };
  if (p->b.precision == UNROLL_INT8) return kernels->int8(&tile);
  if (p->b.precision == UNROLL_BF16 && !expanded) return kernels->bf16(&tile);
  if (expanded) {
    unroll_expand_halves(tile.b, expanded, c.length * kernels->columns);
    tile.b = expanded;
  }
  kernels->f32(&tile);
}

/// A block of rows is packed for some chains at a time, as much as this share of the second-level cache.
enum { CHAINS_TOGETHER = 3, PACKED_ROWS_SIZE = 192 << 10, PANELS_TOGETHER = 4 };

/// Multiplies rows from `row` up to `last_row` by panels from `panel` up to `last_panel`.
static void multiply_range(
    product *p, size_t row, size_t last_row, size_t panel, size_t last_panel) {
  const tile_kernels *kernels = p->b.kernels;
  const size_t K = length_of(p->b.precision, p->K), rows = last_row - row;
  const size_t chains = p->b.precision == UNROLL_INT8 ? 1 : part_count(K, LONGEST_CHAIN);
  const size_t together = chains < CHAINS_TOGETHER ? chains : CHAINS_TOGETHER;
  const size_t packed_length = part_count(K, chains) * together;
  size_t most = PACKED_ROWS_SIZE / sizeof(float) / packed_length;
  if (most < kernels->rows) most = kernels->rows;
  const size_t blocks = part_count(rows, most), tallest = part_count(rows, blocks);
  // Where many rows meet a panel it pays to make floats of it first.
  const bool expands = p->b.precision == UNROLL_BF16 && tallest > kernels->rows / 2;
  const size_t step = expands ? 1 : PANELS_TOGETHER;
  const size_t packed_size = tallest * packed_length;
  float *packed = thread_scratch(
      OF_ROWS, (packed_size + (expands ? LONGEST_CHAIN * kernels->columns : 0)) * sizeof *packed);
  if (!packed) return atomic_store(&p->is_out_of_memory, true);
  for (size_t block = 0; block < blocks; block++) {
    const size_t begin = row + part_start(rows, blocks, block);
    const size_t height = row + part_start(rows, blocks, block + 1) - begin;
    for (size_t first = 0; first < chains; first += together) {
      const size_t last = first + together < chains ? first + together : chains;
      const size_t start = chain_at(p, first, chains).first;
      for (size_t index = first; index < last; index++) {
        const chain c = chain_at(p, index, chains);
        pack_tiles(p, begin, height, c, packed + height * (c.first - start));
      }
      for (size_t at = panel; at < last_panel; at += step)
        for (size_t index = first; index < last; index++) {
          const chain c = chain_at(p, index, chains);
          multiply_tiles(
              p, packed + height * (c.first - start), begin, height, at,
              at + step < last_panel ? step : last_panel - at, c,
              expands ? packed + packed_size : NULL);
        }
    }
  }
}

static void multiply_part(void *context, size_t begin, size_t end) {
  product *p = context;
  if (p->by_rows)
    multiply_range(p, begin, end, 0, part_count(p->N, p->b.kernels->columns));
  else
    multiply_range(p, 0, p->M, begin, end);
}

/// Multiplies on all threads.
static unroll_status multiply(product *p) {
  // A thread packs the rows that it multiplies: it should have enough of them to pay for that.
  enum { ROWS_OF_A_THREAD = 32 };
  p->by_rows = p->M >= ROWS_OF_A_THREAD * unroll_thread_count();
  atomic_init(&p->is_out_of_memory, false);
  const size_t count = p->by_rows ? p->M : part_count(p->N, p->b.kernels->columns);
  unroll_for_rows(count, p->M * p->N * p->K / 16, multiply_part, p);
  return atomic_load(&p->is_out_of_memory) ? UNROLL_OUT_OF_MEMORY : UNROLL_OK;
}

// MARK: Packed weights

/// The rows of a panel: `unroll_packed_weight` is cut along N into pieces, and each piece into panels.
struct unroll_packed_weight {
  const tile_kernels *kernels;
  unroll_precision precision;
  size_t N, K, piece_width;
  bool accumulate;
  /// [N], or NULL.
  float *bias;
  /// [N] those of the rows in int8, or NULL.
  float *scales;
  char *memory;
};

/// The numbers of a panel.
static size_t panel_stride(const unroll_packed_weight *w) {
  return length_of(w->precision, w->K) * w->kernels->columns;
}

/// The columns of y that a piece computes.
static size_t width_of(const unroll_packed_weight *w, size_t index) {
  const size_t left = w->N - index * w->piece_width;
  return left < w->piece_width ? left : w->piece_width;
}

/// Where a piece begins in memory.
static char *piece_at(const unroll_packed_weight *w, size_t index) {
  const size_t panels = part_count(w->piece_width, w->kernels->columns);
  return w->memory + index * panels * panel_stride(w) * size_of(w->precision);
}

static size_t piece_count(const unroll_packed_weight *w) { return part_count(w->N, w->piece_width); }

unroll_status unroll_packed_weight_create(
    size_t N, size_t K, bool bias, size_t panel, bool accumulate, unroll_precision precision,
    unroll_packed_weight **packed) {
  const unroll_status status = unroll_check_instructions();
  if (status != UNROLL_OK) return status;
  if (N == 0 || K == 0 || panel == 0) return UNROLL_PRODUCT_FAILED;
  unroll_packed_weight *w = calloc(1, sizeof *w);
  if (!w) return UNROLL_OUT_OF_MEMORY;
  w->kernels = unroll_tile_kernels(unroll_current_instructions());
  w->precision = precision;
  w->N = N;
  w->K = K;
  w->piece_width = panel < N ? panel : N;
  w->accumulate = accumulate;
  const size_t last = piece_count(w) - 1;
  const size_t last_panels = part_count(width_of(w, last), w->kernels->columns);
  // The multiplications cannot overflow: the weight itself is in memory.
  const size_t size = (size_t)(piece_at(w, last) - w->memory)
      + last_panels * panel_stride(w) * size_of(precision);
  w->memory = take_memory(size);
  if (bias) w->bias = calloc(N, sizeof *w->bias);
  if (precision == UNROLL_INT8) w->scales = calloc(N, sizeof *w->scales);
  if (!w->memory || (bias && !w->bias) || (precision == UNROLL_INT8 && !w->scales)) {
    unroll_packed_weight_destroy(w);
    return UNROLL_OUT_OF_MEMORY;
  }
  *packed = w;
  return UNROLL_OK;
}

void unroll_packed_weight_destroy(unroll_packed_weight *w) {
  if (!w) return;
  free(w->memory);
  free(w->bias);
  free(w->scales);
  free(w);
}

/// The arguments of `pack_panels`.
typedef struct {
  const tile_kernels *kernels;
  unroll_precision precision;
  /// Row n of this is column n of the factor b: the rows of a weight, or the transpose of b.
  matrix from;
  size_t N, K;
  void *packed;
  /// [N] Out: the scales of int8.
  float *scales;
  atomic_bool is_out_of_memory;
} packing;

/// Packs one panel in int8: the rows of a weight with a scale each.
static bool pack_int8_panel(const packing *p, size_t row, size_t rows, size_t panel) {
  const size_t K = p->K, columns = p->kernels->columns, pairs = length_of(UNROLL_INT8, K);
  int8_t *packed = (int8_t *)p->packed + panel * pairs * columns * 2;
  int8_t *rounded = thread_scratch(OF_ROWS, K);
  if (!rounded) return false;
  memset(packed, 0, pairs * columns * 2);
  for (size_t i = 0; i < rows; i++) {
    const float *from = (const float *)p->from.numbers + (row + i) * p->from.stride;
    unroll_round_to_int8(from, rounded, p->scales + row + i, 1, K);
    for (size_t k = 0; k < K; k++) packed[(k / 2 * columns + i) * 2 + k % 2] = rounded[k];
  }
  return true;
}

/// Packs one panel in bfloat16.
static bool pack_bf16_panel(const packing *p, size_t row, size_t rows, size_t panel) {
  const size_t columns = p->kernels->columns, count = p->K * columns;
  float *floats = thread_scratch(OF_ROWS, count * sizeof *floats);
  if (!floats) return false;
  if (rows < columns) memset(floats, 0, count * sizeof *floats);
  pack_rows(&p->from, row, rows, 0, p->K, floats, columns);
  unroll_round_to_bf16(floats, (uint16_t *)p->packed + panel * count, count);
  return true;
}

static void pack_panels(void *context, size_t begin, size_t end) {
  packing *p = context;
  const size_t columns = p->kernels->columns;
  for (size_t panel = begin; panel < end; panel++) {
    const size_t row = panel * columns, rows = p->N - row < columns ? p->N - row : columns;
    bool is_packed = true;
    if (p->precision == UNROLL_INT8) {
      is_packed = pack_int8_panel(p, row, rows, panel);
    } else if (p->precision == UNROLL_BF16) {
      is_packed = pack_bf16_panel(p, row, rows, panel);
    } else {
      float *packed = (float *)p->packed + panel * p->K * columns;
      if (rows < columns) memset(packed, 0, p->K * columns * sizeof *packed);
      pack_rows(&p->from, row, rows, 0, p->K, packed, columns);
    }
    if (!is_packed) atomic_store(&p->is_out_of_memory, true);
  }
}

/// Packs on all threads.
static unroll_status pack(packing *p) {
  atomic_init(&p->is_out_of_memory, false);
  unroll_for_rows(part_count(p->N, p->kernels->columns), p->N * p->K, pack_panels, p);
  return atomic_load(&p->is_out_of_memory) ? UNROLL_OUT_OF_MEMORY : UNROLL_OK;
}

/// Packs one piece of a weight.
static unroll_status pack_piece(unroll_packed_weight *w, size_t index, matrix from) {
  packing arguments = {
      .kernels = w->kernels,
      .precision = w->precision,
      .from = from,
      .N = width_of(w, index),
      .K = w->K,
      .packed = piece_at(w, index),
      .scales = w->scales ? w->scales + index * w->piece_width : NULL,
  };
  return pack(&arguments);
}

unroll_status unroll_pack_panel(
    unroll_packed_weight *w, size_t index, const float *rows, const float *bias) {
  if (index >= piece_count(w)) return UNROLL_PRODUCT_FAILED;
  if (w->bias)
    memcpy(w->bias + index * w->piece_width, bias, width_of(w, index) * sizeof *bias);
  return pack_piece(w, index, (matrix){rows, w->K, false, UNROLL_F32});
}

unroll_status unroll_pack_columns(unroll_packed_weight *w, const float *columns) {
  if (piece_count(w) != 1 || w->bias || w->precision == UNROLL_INT8) return UNROLL_PRODUCT_FAILED;
  return pack_piece(w, 0, (matrix){columns, w->N, true, UNROLL_F32});
}

// MARK: Multiplying

/// The arguments of `scale_sums`.
typedef struct {
  const int32_t *sums;
  const float *row_scales, *column_scales, *bias;
  float *y;
  size_t N;
  bool accumulate;
} sums_arguments;

/// One row of `scale_sums`; what is constant where this is inlined decides nothing in the loop.
INLINED void scale_row(const sums_arguments *a, size_t m, bool has_bias, bool accumulate) {
  const int32_t *sums = a->sums + m * a->N;
  const float *column_scales = a->column_scales, *bias = a->bias;
  float *y = a->y + m * a->N, scale = a->row_scales[m];
  size_t N = a->N;
#pragma clang loop vectorize(assume_safety)
  for (size_t n = 0; n < N; n++) {
    float number = (float)sums[n] * (scale * column_scales[n]);
    if (has_bias) number += bias[n];
    y[n] = accumulate ? y[n] + number : number;
  }
}

/// Makes numbers of sums of int8: `y = scales sum + bias`, or `y += ...`; y may be where the sums are.
INLINED void scale_sums_body(void *context, size_t begin, size_t end) {
  const sums_arguments *a = context;
  for (size_t m = begin; m < end; m++) {
    if (a->bias && a->accumulate)
      scale_row(a, m, true, true);
    else if (a->bias)
      scale_row(a, m, true, false);
    else if (a->accumulate)
      scale_row(a, m, false, true);
    else
      scale_row(a, m, false, false);
  }
}

COMPILED_FOR_EACH(
    static, void, scale_sums, (void *context, size_t begin, size_t end), (context, begin, end))

/// Multiplies by a piece in int8: exact sums first, which then become numbers.
static unroll_status multiply_int8(
    const unroll_packed_weight *w, size_t index, product *p, const float *scales, float *y) {
  int32_t *sums = w->accumulate ? malloc(p->M * p->N * sizeof *sums) : (int32_t *)(void *)y;
  if (!sums) return UNROLL_OUT_OF_MEMORY;
  p->y = sums;
  p->bias = NULL;
  p->accumulate = false;
  const unroll_status status = multiply(p);
  const size_t first = index * w->piece_width;
  sums_arguments made = {
      sums, scales, w->scales + first, w->bias ? w->bias + first : NULL, y, p->N, w->accumulate};
  if (status == UNROLL_OK) unroll_for_rows(p->M, p->M * p->N, scale_sums, &made);
  if (w->accumulate) free(sums);
  return status;
}

unroll_status unroll_product(
    const unroll_packed_weight *w, size_t index, const void *x, const float *scales, float *y,
    size_t M) {
  if (index >= piece_count(w)) return UNROLL_PRODUCT_FAILED;
  if (M == 0) return UNROLL_OK;
  product p = {
      .a = {x, w->K, false, w->precision},
      .b = {w->kernels, w->precision, piece_at(w, index), panel_stride(w)},
      .M = M,
      .N = width_of(w, index),
      .K = w->K,
      .bias = w->bias ? w->bias + index * w->piece_width : NULL,
      .y = y,
      .y_stride = width_of(w, index),
      .accumulate = w->accumulate,
  };
  return w->precision == UNROLL_INT8 ? multiply_int8(w, index, &p, scales, y) : multiply(&p);
}

/// The most numbers of the factor b that are packed at a time.
enum { PACKED_FACTOR = 1 << 20 };

unroll_status unroll_multiply(
    unroll_precision precision, unroll_operand a, unroll_operand b, const float *bias, float *c,
    bool accumulate, size_t M, size_t N, size_t K) {
  if (M == 0 || N == 0) return UNROLL_OK;
  if (K == 0 || precision == UNROLL_INT8) return UNROLL_PRODUCT_FAILED;
  const tile_kernels *kernels = unroll_tile_kernels(unroll_current_instructions());
  const size_t most = PACKED_FACTOR / K / kernels->columns * kernels->columns;
  const size_t width = most > kernels->columns ? most : kernels->columns;
  const size_t size = part_count(N < width ? N : width, kernels->columns) * kernels->columns * K;
  float *packed = thread_scratch(OF_FACTOR, size * sizeof *packed);
  if (!packed) return UNROLL_OUT_OF_MEMORY;
  for (size_t column = 0; column < N; column += width) {
    const size_t count = N - column < width ? N - column : width;
    // Columns of b are rows of its transpose.
    const size_t start = column * (b.transposed ? K : 1);
    const size_t number_size = precision == UNROLL_F32 ? sizeof(float) : sizeof(uint16_t);
    packing factor = {
        .kernels = kernels,
        .precision = UNROLL_F32,
        .from = {(const char *)b.numbers + start * number_size, b.transposed ? K : N,
                 !b.transposed, precision},
        .N = count,
        .K = K,
        .packed = packed,
    };
    unroll_status done = pack(&factor);
    product p = {
        .a = {a.numbers, a.transposed ? M : K, a.transposed, precision},
        .b = {kernels, UNROLL_F32, packed, K * kernels->columns},
        .M = M,
        .N = count,
        .K = K,
        .bias = bias ? bias + column : NULL,
        .y = c + column,
        .y_stride = N,
        .accumulate = accumulate,
    };
    if (done == UNROLL_OK) done = multiply(&p);
    if (done != UNROLL_OK) return done;
  }
  return UNROLL_OK;
}
