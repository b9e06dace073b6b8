// Tiles of a matrix product, the way it is done since GotoBLAS (Goto & van de Geijn 2008): a few rows by the
// columns of a panel, whose sums stay in registers while k runs once. Each step loads the panel's row of
// numbers and multiplies it by one number of each row.
//
// A sum of floats is one chain of fused multiply-adds in the order of k. Each rounds once, so vectors of
// any length, and `fmaf` in a plain loop, give the same bits. Sums of int8 are exact. Of bfloat16 two numbers that
// follow each other along K, a pair, stand side by side, and the second product of a pair is added before the first:
// that is the order of AVX512_BF16, where one instruction adds both.
//
// Included once for each instruction set, with
//
//   SET(name)   the set's own name of a function or type
//   FOR_SET     the attribute that compiles a function for the set
//   LANES       the floats of a vector
//   VECTORS     the vectors of a panel's row
//   ROWS        the most rows of a tile: ROWS * VECTORS sums and VECTORS + 1 factors fill the registers
//   ROWS_OF_HALVES  the same for bfloat16, where widening takes registers
//   ADD_PAIRS   (sums, x, w): adds products of pairs of int16 to sums of int32
//   ADD_HALVES  (sums, x, w): adds products of pairs of bfloat16 to sums of floats; undefined where no instruction
//               does. Then each half of a pair is widened and multiplied as a float
//   HAS_FLOATS  whether the tiles of floats are wanted, too

typedef float SET(floats) __attribute__((ext_vector_type(LANES)));
typedef int32_t SET(integers) __attribute__((ext_vector_type(LANES)));
typedef uint32_t SET(words) __attribute__((ext_vector_type(LANES)));
typedef int16_t SET(pairs) __attribute__((ext_vector_type(2 * LANES)));
// In memory, at any address.
typedef SET(floats) SET(stored_floats) __attribute__((aligned(4)));
typedef SET(integers) SET(stored_integers) __attribute__((aligned(4)));
typedef SET(words) SET(stored_words) __attribute__((aligned(4)));
typedef int8_t SET(stored_bytes) __attribute__((ext_vector_type(2 * LANES), aligned(1)));

enum { SET(columns) = LANES * VECTORS };

/// Which numbers a tile multiplies, known where it is compiled.
typedef enum { SET(f32), SET(bf16), SET(int8) } SET(kind);

// A tile of few rows has few sums, and each waits for the one before it: several panels at a time keep
// the multipliers busy.
#define PANELS_TOGETHER(rows) ((rows) == 1 ? 4 : ROWS / (rows) > 4 ? 4 : ROWS / (rows))

#if HAS_FLOATS

/// Returns the floats of a row that a step multiplies: both of a pair where they are widened.
INLINED size_t SET(numbers_of_step)(const SET(kind) kind) {
#ifdef ADD_HALVES
  (void)kind;
  return 1;
#else
  return kind == SET(bf16) ? 2 : 1;
#endif
}

/// Loads a vector of weights as floats; of pairs of bfloat16, which is the upper half of a float, the second
/// numbers at `place` 0 and the first ones at 1.
INLINED FOR_SET SET(floats) SET(load)(const void *from, const SET(kind) kind, const int place) {
  if (kind == SET(f32)) return *(const SET(stored_floats) *)from;
  const SET(words) pairs = *(const SET(stored_words) *)from;
  return (SET(floats))(place == 0 ? pairs & 0xFFFF0000 : pairs << 16);
}

/// Adds one step of k, or one pair of bfloat16, to the sums of the rows by one panel.
INLINED FOR_SET void SET(add_step)(
    SET(floats) (*sums)[4 * VECTORS], const float *a, const char *from, const int rows, const int panel,
    const SET(kind) kind) {
#ifdef ADD_HALVES
  if (kind == SET(bf16)) {
    SET(words) w[VECTORS];
    UNROLLED for (int v = 0; v < VECTORS; v++) w[v] = *(const SET(stored_words) *)(from + v * 4 * LANES);
    UNROLLED for (int i = 0; i < rows; i++) {
      uint32_t pair;
      memcpy(&pair, a + i, sizeof pair);
      const SET(words) x = pair;
      UNROLLED for (int v = 0; v < VECTORS; v++)
        sums[i][panel * VECTORS + v] = ADD_HALVES(sums[i][panel * VECTORS + v], x, w[v]);
    }
    return;
  }
#endif
  UNROLLED for (int place = 0; place < (kind == SET(bf16) ? 2 : 1); place++) {
    SET(floats) w[VECTORS];
    UNROLLED for (int v = 0; v < VECTORS; v++) w[v] = SET(load)(from + v * 4 * LANES, kind, place);
    UNROLLED for (int i = 0; i < rows; i++) {
      const SET(floats) x = a[place * rows + i];
      UNROLLED for (int v = 0; v < VECTORS; v++)
        sums[i][panel * VECTORS + v] = __builtin_elementwise_fma(x, w[v], sums[i][panel * VECTORS + v]);
    }
  }
}

/// One tile: `rows` rows by `panels` panels, of which the last may be cut off at N.
///
/// In each step it fetches a line of the cache, from `ahead` on, into the second level.
INLINED FOR_SET void SET(tile)(
    const tile_product *p, size_t row, size_t column, const int rows, const int panels,
    const SET(kind) kind, const char *ahead) {
  const size_t step = SET(columns) * sizeof(float), stride = p->panel_stride * sizeof(float);
  const size_t numbers = SET(numbers_of_step)(kind);
  const float *a = (const float *)p->a + row * p->K * numbers;
  const char *b = (const char *)p->b + column / SET(columns) * stride;
  float *y = (float *)p->y + row * p->y_stride + column;
  // The lines of the result come from memory while the sums are computed.
  UNROLLED for (int i = 0; i < rows; i++) {
    UNROLLED for (int v = 0; v < panels * VECTORS; v += LINE / (4 * LANES))
      __builtin_prefetch(y + (size_t)i * p->y_stride + v * LANES, 1);
    __builtin_prefetch(y + (size_t)i * p->y_stride + panels * VECTORS * LANES - 1, 1);
  }
  SET(floats) sums[ROWS][4 * VECTORS];
  UNROLLED for (int i = 0; i < rows; i++)
    UNROLLED for (int v = 0; v < panels * VECTORS; v++) sums[i][v] = 0;
  NOT_UNROLLED for (size_t k = 0; k < p->K; k++) {
    UNROLLED for (int panel = 0; panel < panels; panel++) {
      __builtin_prefetch(ahead + (size_t)panel * stride, 0, 2);
      SET(add_step)(sums, a, b + (size_t)panel * stride, rows, panel, kind);
    }
    a += (size_t)rows * numbers;
    b += step;
    ahead += step;
  }
  if (column + (size_t)panels * SET(columns) > p->N) {
    float whole[ROWS * 4 * SET(columns)];
    UNROLLED for (int i = 0; i < rows; i++)
      UNROLLED for (int v = 0; v < panels * VECTORS; v++)
        *(SET(stored_floats) *)(whole + (i * panels * VECTORS + v) * LANES) = sums[i][v];
    return leave_floats(p, row, column, (size_t)rows, (size_t)panels * SET(columns), whole);
  }
  if (p->bias)
    UNROLLED for (int v = 0; v < panels * VECTORS; v++) {
      const SET(floats) bias = *(const SET(stored_floats) *)(p->bias + column + v * LANES);
      UNROLLED for (int i = 0; i < rows; i++) sums[i][v] += bias;
    }
  UNROLLED for (int i = 0; i < rows; i++, y += p->y_stride)
    UNROLLED for (int v = 0; v < panels * VECTORS; v++) {
      SET(stored_floats) *to = (SET(stored_floats) *)(y + v * LANES);
      *to = p->accumulate ? *to + sums[i][v] : sums[i][v];
    }
}

#endif

/// One tile of sums of products of int8.
INLINED FOR_SET void SET(int8_tile)(
    const tile_product *p, size_t row, size_t column, const int rows, const int panels) {
  const size_t step = 2 * SET(columns), stride = 2 * p->panel_stride;
  const int32_t *a = (const int32_t *)p->a + row * p->K;
  const int8_t *b = (const int8_t *)p->b + column / SET(columns) * stride;
  SET(integers) sums[ROWS][4 * VECTORS];
  UNROLLED for (int i = 0; i < rows; i++)
    UNROLLED for (int v = 0; v < panels * VECTORS; v++) sums[i][v] = 0;
  NOT_UNROLLED for (size_t k = 0; k < p->K; k++) {
    UNROLLED for (int panel = 0; panel < panels; panel++) {
      const int8_t *from = b + (size_t)panel * stride;
      __builtin_prefetch(from + STEPS_AHEAD * step);
      SET(pairs) w[VECTORS];
      UNROLLED for (int v = 0; v < VECTORS; v++)
        w[v] = __builtin_convertvector(
            *(const SET(stored_bytes) *)(from + 2 * v * LANES), SET(pairs));
      UNROLLED for (int i = 0; i < rows; i++) {
        const SET(integers) x = a[i];
        UNROLLED for (int v = 0; v < VECTORS; v++) {
          const int place = panel * VECTORS + v;
          sums[i][place] = ADD_PAIRS(sums[i][place], (SET(pairs))x, w[v]);
        }
      }
    }
    a += rows;
    b += step;
  }
  int32_t whole[ROWS * 4 * SET(columns)];
  UNROLLED for (int i = 0; i < rows; i++)
    UNROLLED for (int v = 0; v < panels * VECTORS; v++)
      *(SET(stored_integers) *)(whole + (i * panels * VECTORS + v) * LANES) = sums[i][v];
  leave_integers(p, row, column, (size_t)rows, (size_t)panels * SET(columns), whole);
}

// MARK: All tiles of a product

/// A tile of a number of rows that is known where it is compiled.
INLINED FOR_SET void SET(tile_of)(
    const tile_product *p, size_t row, size_t column, const int rows, const int panels,
    const SET(kind) kind, const char *ahead) {
#if HAS_FLOATS
  if (kind != SET(int8)) return SET(tile)(p, row, column, rows, panels, kind, ahead);
#endif
  (void)kind, (void)ahead;
  SET(int8_tile)(p, row, column, rows, panels);
}

#define TILE_CASE(count)                                                             \
  case count:                                                                        \
    if (PANELS_TOGETHER(count) > 1 && panels > 1)                                    \
      return SET(tile_of)(                                                           \
          p, row, column, count, PANELS_TOGETHER(count), kind, ahead);      \
    return SET(tile_of)(p, row, column, count, 1, kind, ahead);

/// A tile of any number of rows.
INLINED FOR_SET void SET(any_tile)(
    const tile_product *p, size_t row, size_t column, size_t rows, size_t panels,
    const SET(kind) kind, const char *ahead) {
  switch (rows) {
    TILE_CASE(1) TILE_CASE(2) TILE_CASE(3) TILE_CASE(4)
#if ROWS > 4
    TILE_CASE(5) TILE_CASE(6)
#endif
#if ROWS > 6
    TILE_CASE(7) TILE_CASE(8) TILE_CASE(9) TILE_CASE(10)
    TILE_CASE(11) TILE_CASE(12) TILE_CASE(13) TILE_CASE(14)
#endif
  }
}

/// All tiles: a panel meets each tile while it is in the cache.
INLINED FOR_SET void SET(all_tiles)(const tile_product *p, const SET(kind) kind) {
  const size_t tiles = part_count(p->M, kind == SET(bf16) ? ROWS_OF_HALVES : ROWS);
  const size_t tallest = part_count(p->M, tiles), together = PANELS_TOGETHER(tallest);
  const size_t size = kind == SET(int8) ? sizeof(uint16_t) : sizeof(float);
  const size_t step = SET(columns) * size, share = part_count(p->K, tiles);
  for (size_t column = 0, panels; column < p->N; column += panels * SET(columns)) {
    panels = part_count(p->N - column, SET(columns)) >= together ? together : 1;
    const char *panel = (const char *)p->b + column / SET(columns) * p->panel_stride * size;
    for (size_t tile = 0; tile < tiles; tile++) {
      const size_t row = part_start(p->M, tiles, tile), end = part_start(p->M, tiles, tile + 1);
      // A single tile fetches its own panel some steps ahead. Of several, each begins at its share of the next
      // panel, so that the panel is there when the first tile needs it.
      const char *ahead = tiles == 1 ? panel + STEPS_AHEAD * step
                                     : panel + p->next_distance * size + tile * share * step;
      SET(any_tile)(p, row, column, end - row, panels, kind, ahead);
    }
  }
}

#if HAS_FLOATS
FOR_SET static void SET(multiply_f32)(const tile_product *p) { SET(all_tiles)(p, SET(f32)); }
FOR_SET static void SET(multiply_bf16)(const tile_product *p) { SET(all_tiles)(p, SET(bf16)); }
#endif
FOR_SET static void SET(multiply_int8)(const tile_product *p) { SET(all_tiles)(p, SET(int8)); }

#undef SET
#undef FOR_SET
#undef LANES
#undef VECTORS
#undef ROWS
#undef ROWS_OF_HALVES
#undef ADD_PAIRS
#undef ADD_HALVES
#undef HAS_FLOATS
#undef PANELS_TOGETHER
#undef TILE_CASE
