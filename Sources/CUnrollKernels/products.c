// Matrix products, packed and multiplied in tiles.
//
// The operand b, usually a weight, is cut into panels of some columns, and the operand a into tiles of some
// rows; see tile.inc.h. Both are packed in the order in which tiles read them. A block of rows stays in the
// second-level cache while the panels pass by, and a part of a panel in the first-level cache while the
// tiles of the block pass by (Goto & van de Geijn 2008).
#include "products.h"

#include <stdatomic.h>

#include "memory.h"
#include "threads.h"

/// A product in progress.
typedef struct {
  const product *product;
  /// `true` if the rows are split over the threads, `false` if the panels are.
  bool by_rows;
  atomic_bool is_out_of_memory;
} product_arguments;

/// A part of the sums.
typedef struct {
  size_t first, length;
} chain;

/// Returns the number of parts of the sums.
static size_t chain_count(const product *p) {
  switch (p->b.precision) {
  case UNROLL_F32: return part_count(p->K, LONGEST_CHAIN);
  case UNROLL_BF16: return part_count(length_of(UNROLL_BF16, p->K), LONGEST_CHAIN / 2);
  case UNROLL_INT8: return 1;
  }
  return 1;
}

/// Part `index` of the sums. Integer sums of int8 are exact in any order, so they are one part.
static chain chain_at(const product *p, size_t index, size_t count) {
  const size_t K = length_of(p->b.precision, p->K), first = part_start(K, count, index);
  return (chain){first, part_start(K, count, index + 1) - first};
}

/// Returns the words of a packed row that a step of k, or a pair, takes: two floats for a pair that is widened.
static size_t words_of_step(const product *p) {
  return p->b.precision == UNROLL_BF16 && !p->b.kernels->has_halves ? 2 : 1;
}

/// Returns the most rows of a tile.
static size_t tile_rows(const product *p) {
  return p->b.precision == UNROLL_BF16 ? p->b.kernels->rows_of_halves : p->b.kernels->rows;
}

/// Rows of a transposed matrix that are packed together. The first-level cache holds a line of each even where
/// they lie a power of two apart, until the tiles beside the first have read the rest of it.
enum { ROWS_TOGETHER = 4 };

/// Packs one chain of a block of rows as tiles: a tile's rows side by side, one tile after the other.
static void pack_tiles(const product *p, size_t row, size_t rows, chain c, float *packed) {
  const size_t tiles = part_count(rows, tile_rows(p)), words = words_of_step(p);
  const size_t piece = !p->a.transposed ? c.length
                       : p->b.precision == UNROLL_F32 ? ROWS_TOGETHER : ROWS_TOGETHER / 2;
  for (size_t k = 0; k < c.length; k += piece) {
    const size_t count = c.length - k < piece ? c.length - k : piece;
    for (size_t tile = 0, begin = 0, end; tile < tiles; tile++, begin = end) {
      end = part_start(rows, tiles, tile + 1);
      const size_t height = end - begin;
      float *to = packed + (begin * c.length + k * height) * words;
      if (p->b.precision == UNROLL_INT8)
        unroll_pack_pairs(
            (const int8_t *)p->a.numbers + (row + begin) * p->a.stride, p->a.stride, height, p->K,
            (int32_t *)(void *)to);
      else if (p->b.precision == UNROLL_F32)
        unroll_pack_rows(&p->a, row + begin, height, c.first + k, count, to, height);
      else if (words == 2)
        unroll_widen_halves(&p->a, row + begin, height, c.first + k, count, p->K, to, height);
      else
        unroll_pack_halves(
            &p->a, row + begin, height, c.first + k, count, p->K, (uint32_t *)(void *)to, height);
    }
  }
}

/// Multiplies one chain of a packed block of rows by `count` panels.
static void multiply_tiles(
    const product *p, const float *packed, size_t row, size_t rows, size_t panel, size_t count, chain c,
    size_t next) {
  const tile_kernels *kernels = p->b.kernels;
  const size_t column = panel * kernels->columns, width = count * kernels->columns;
  const size_t start = panel * p->b.stride + c.first * kernels->columns;
  tile_product tile = {
      .a = packed,
      .M = rows,
      .b = (const char *)p->b.numbers + start * size_of(p->b.precision),
      .panel_stride = p->b.stride,
      .next_distance = next,
      .N = p->N - column < width ? p->N - column : width,
      .K = c.length,
      .y = (float *)p->y + row * p->y_stride + column,
      .y_stride = p->y_stride,
      .bias = p->bias && c.first == 0 ? p->bias + column : NULL,
      .accumulate = p->accumulate || c.first > 0,
  };
  switch (p->b.precision) {
  case UNROLL_F32: return kernels->f32(&tile);
  case UNROLL_BF16: return kernels->bf16(&tile);
  case UNROLL_INT8: return kernels->int8(&tile);
  }
}

/// A block of rows is packed for some chains at a time, as much as this share of the second-level cache.
enum { CHAINS_TOGETHER = 3, PACKED_ROWS_SIZE = 256 << 10, PANELS_TOGETHER = 4 };

/// Multiplies rows from `row` up to `last_row` by panels from `panel` up to `last_panel`; false if memory is short.
static bool multiply_rows(
    const product *p, size_t row, size_t last_row, size_t panel, size_t last_panel) {
  const tile_kernels *kernels = p->b.kernels;
  const size_t K = length_of(p->b.precision, p->K), rows = last_row - row, words = words_of_step(p);
  const size_t chains = chain_count(p), together = chains < CHAINS_TOGETHER ? chains : CHAINS_TOGETHER;
  const size_t packed_length = part_count(K, chains) * together * words;
  size_t most = PACKED_ROWS_SIZE / sizeof(float) / packed_length;
  if (most < tile_rows(p)) most = tile_rows(p);
  const size_t blocks = part_count(rows, most), tallest = part_count(rows, blocks);
  const size_t step = tallest > tile_rows(p) ? 1 : PANELS_TOGETHER;
  float *packed = unroll_thread_scratch(OF_ROWS, tallest * packed_length * sizeof *packed);
  if (!packed) return false;
  for (size_t block = 0; block < blocks; block++) {
    const size_t begin = row + part_start(rows, blocks, block);
    const size_t height = row + part_start(rows, blocks, block + 1) - begin;
    for (size_t first = 0; first < chains; first += together) {
      const size_t last = first + together < chains ? first + together : chains;
      const size_t start = chain_at(p, first, chains).first;
      for (size_t index = first; index < last; index++) {
        const chain c = chain_at(p, index, chains);
        pack_tiles(p, begin, height, c, packed + height * (c.first - start) * words);
      }
      for (size_t at = panel; at < last_panel; at += step)
        for (size_t index = first; index < last; index++) {
          const chain c = chain_at(p, index, chains);
          // After a panel's last chain here comes the next panel's first one.
          const size_t next = index + 1 < last ? c.length * kernels->columns
                                               : p->b.stride - (c.first - start) * kernels->columns;
          multiply_tiles(
              p, packed + height * (c.first - start) * words, begin, height, at,
              at + step < last_panel ? step : last_panel - at, c, next);
        }
    }
  }
  return true;
}

/// The same without subnormal numbers in bf16, as its definition wants it.
static bool multiply_range(
    const product *p, size_t row, size_t last_row, size_t panel, size_t last_panel) {
  if (p->b.precision != UNROLL_BF16) return multiply_rows(p, row, last_row, panel, last_panel);
  const uint64_t mode = unroll_flush_subnormals();
  const bool is_done = multiply_rows(p, row, last_row, panel, last_panel);
  unroll_restore_subnormals(mode);
  return is_done;
}

static void multiply_part(void *context, size_t begin, size_t end) {
  product_arguments *a = context;
  const product *p = a->product;
  const size_t panels = part_count(p->N, p->b.kernels->columns);
  const bool is_done = a->by_rows ? multiply_range(p, begin, end, 0, panels)
                                  : multiply_range(p, 0, p->M, begin, end);
  if (!is_done) atomic_store(&a->is_out_of_memory, true);
}

unroll_status unroll_multiply_panels(const product *p) {
  // A thread packs the rows that it multiplies: it should have enough of them to pay for that.
  enum { ROWS_OF_A_THREAD = 32 };
  product_arguments arguments = {.product = p};
  arguments.by_rows = p->M >= ROWS_OF_A_THREAD * unroll_thread_count();
  atomic_init(&arguments.is_out_of_memory, false);
  const size_t count = arguments.by_rows ? p->M : part_count(p->N, p->b.kernels->columns);
  unroll_for_rows(count, p->M * p->N * p->K / 16, multiply_part, &arguments);
  return atomic_load(&arguments.is_out_of_memory) ? UNROLL_OUT_OF_MEMORY : UNROLL_OK;
}

// MARK: Plain matrices

/// The maximum number of elements of the operand b that are packed at a time.
enum { PACKED_FACTOR = 1 << 21 };

unroll_status unroll_multiply(
    unroll_precision precision, unroll_operand a, unroll_operand b, const float *bias, float *c,
    bool accumulate, size_t M, size_t N, size_t K) {
  if (M == 0 || N == 0) return UNROLL_OK;
  if (K == 0 || precision == UNROLL_INT8) return UNROLL_PRODUCT_FAILED;
  const tile_kernels *kernels = unroll_tile_kernels(unroll_current_instructions());
  const size_t steps = length_of(precision, K);
  const size_t most = PACKED_FACTOR / steps / kernels->columns * kernels->columns;
  const size_t width = most > kernels->columns ? most : kernels->columns;
  const size_t size = part_count(N < width ? N : width, kernels->columns) * kernels->columns * steps;
  float *packed = unroll_thread_scratch(OF_FACTOR, size * sizeof *packed);
  if (!packed) return UNROLL_OUT_OF_MEMORY;
  for (size_t column = 0; column < N; column += width) {
    const size_t count = N - column < width ? N - column : width;
    // Columns of b are rows of its transpose.
    const size_t start = column * (b.transposed ? K : 1);
    const size_t number_size = precision == UNROLL_F32 ? sizeof(float) : sizeof(uint16_t);
    packing factor = {
        .kernels = kernels,
        .precision = precision,
        .from = {(const char *)b.numbers + start * number_size, b.transposed ? K : N,
                 !b.transposed, precision},
        .N = count,
        .K = K,
        .packed = packed,
    };
    unroll_status done = unroll_pack_panels(&factor);
    product p = {
        .a = {a.numbers, a.transposed ? M : K, a.transposed, precision},
        .b = {kernels, precision, packed, steps * kernels->columns},
        .M = M,
        .N = count,
        .K = K,
        .bias = bias ? bias + column : NULL,
        .y = c + column,
        .y_stride = N,
        .accumulate = accumulate,
    };
    if (done == UNROLL_OK) done = unroll_multiply_panels(&p);
    if (done != UNROLL_OK) return done;
  }
  return UNROLL_OK;
}
