// Matrix products with packed weights, on oneDNN's matmul primitive.
//
// Left to choose (`format_tag::any`), oneDNN lays weights out in the blocks that its kernels read.
// The layout is asked for once, for one number of rows, and then given to the product for every
// other: its AVX-512 kernels take the same blocks for any number of rows, and each row sums over K
// in the same order. It is never asked for again: the answer depends on the number of threads.
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "UnrollKernels.h"
#include "elementary.h"
#include "int8_products.h"
#include "planning.h"
#include "threads.h"

/// Planned products are kept by their number of rows. Windows use a few numbers again and again;
/// the callers' blocks of rows keep it to some twenty.
enum { KEPT_PRODUCTS = 64 };

/// The number of rows that the layout is chosen for.
enum { TYPICAL_ROWS = 32 };

/// A planned product with its arguments; only their addresses change from call to call.
typedef struct {
  size_t M, width;
  int threads, part;
  unsigned long last_use;
  dnnl_primitive_t primitive;
  dnnl_memory_t x, y, scratch;
  /// [M, width] the sums of int8 factors, where y must keep what it holds.
  int32_t *sums;
  // Guards the addresses while the product runs.
  pthread_mutex_t lock;
} product;

/// One panel of a weight.
typedef struct {
  size_t width;
  const layout *packed;
  dnnl_memory_t weight, bias;
} panel;

struct unroll_packed_weight {
  size_t K, panel_width, panel_count;
  bool accumulate, is_blocked;
  // Of int8 where oneDNN's sums are not exact: the panels' rows, [N, K], are multiplied here.
  bool is_own;
  unroll_precision precision;
  float *bias;
  // [N] of rows in int8.
  float *scales;
  panel *panels;
  // The packed panels, one after the other.
  char *memory;
  // Those of full panels and of the last one, where it is narrower: panels of one width share
  // their planned products, so they must share their layout.
  layout layouts[2];
  int layout_count;
  dnnl_stream_t stream;
  // Guards what follows; taken before the lock of a product.
  pthread_mutex_t lock;
  unsigned long uses;
  product products[KEPT_PRODUCTS];
};

// MARK: Packing

/// Plans a product of M rows with a panel whose weight has a given layout.
static dnnl_status_t plan(
    const unroll_packed_weight *w, size_t M, size_t width, const layout *weight,
    dnnl_primitive_desc_t *made) {
  layout x;
  dnnl_status_t status = layout_create(&x, M, w->K, type_of(w->precision));
  if (status != dnnl_success) return status;
  // Of int8 come sums; scales, bias and y are for what follows.
  bool is_int8 = w->precision == UNROLL_INT8;
  status = plan_matrix_product(
      made, &x, weight, is_int8 ? dnnl_s32 : dnnl_f32, M, width, w->bias && !is_int8,
      w->accumulate && !is_int8);
  layout_destroy(x);
  return status;
}

/// Asks for the layout that products of a width prefer.
static dnnl_status_t choose_layout(const unroll_packed_weight *w, size_t width, layout *chosen) {
  layout any;
  dnnl_status_t status = layout_create_any(&any, w->K, width, type_of(w->precision));
  if (status != dnnl_success) return status;
  dnnl_primitive_desc_t typical;
  status = plan(w, TYPICAL_ROWS, width, &any, &typical);
  layout_destroy(any);
  if (status != dnnl_success) return status;
  status = layout_of_weights(chosen, typical);
  dnnl_primitive_desc_destroy(typical);
  return status;
}

/// Chooses the layouts of all panels: those of one width have one.
static dnnl_status_t choose_layouts(unroll_packed_weight *w, size_t N) {
  for (size_t i = 0; i < w->panel_count; i++) {
    size_t left = N - i * w->panel_width;
    w->panels[i].width = left < w->panel_width ? left : w->panel_width;
    if (w->is_own) continue;
    if (i == 0 || w->panels[i].width != w->panel_width) {
      layout *chosen = &w->layouts[w->layout_count];
      dnnl_status_t status = choose_layout(w, w->panels[i].width, chosen);
      if (status != dnnl_success) return status;
      w->layout_count++;
      w->is_blocked = w->is_blocked && layout_is_blocked(chosen);
    }
    w->panels[i].packed = &w->layouts[w->layout_count - 1];
  }
  return dnnl_success;
}

/// Where a panel begins in memory: each on a line of the cache of its own.
static size_t panel_offset(const unroll_packed_weight *w, size_t index) {
  if (w->is_own) return index * w->panel_width * w->K;
  return index * ((layout_size(w->panels[0].packed) + 63) / 64 * 64);
}

/// Takes the memory of all panels, in huge pages where it fills some: reading a weight for one row is
/// bound by memory, and looks up an address for each page.
static dnnl_status_t take_memory(unroll_packed_weight *w) {
  enum { HUGE_PAGE = 2 << 20 };
  size_t last = w->panel_count - 1;
  const panel *end = &w->panels[last];
  size_t size = panel_offset(w, last) + (w->is_own ? end->width * w->K : layout_size(end->packed));
  void *memory = NULL;
  if (posix_memalign(&memory, size < HUGE_PAGE ? 64 : HUGE_PAGE, size) != 0)
    return dnnl_out_of_memory;
  w->memory = memory;
#ifdef MADV_HUGEPAGE
  // Advice: a refusal changes nothing.
  if (size >= HUGE_PAGE) (void)madvise(memory, size, MADV_HUGEPAGE);
#endif
  return dnnl_success;
}

/// Makes room for a panel.
static dnnl_status_t create_panel(unroll_packed_weight *w, size_t index) {
  panel *made = &w->panels[index];
  size_t width = made->width;
  dnnl_status_t status = dnnl_memory_create(
      &made->weight, LAYOUT(*made->packed), unroll_engine, w->memory + panel_offset(w, index));
  if (status != dnnl_success || !w->bias) return status;
  layout bias;
  status = layout_create(&bias, 1, width, dnnl_f32);
  if (status != dnnl_success) return status;
  float *part = w->bias + index * w->panel_width;
  status = dnnl_memory_create(&made->bias, LAYOUT(bias), unroll_engine, part);
  layout_destroy(bias);
  return status;
}

unroll_status unroll_packed_weight_create(
    size_t N, size_t K, bool bias, size_t panel_width, bool accumulate, unroll_precision precision,
    unroll_packed_weight **packed) {
  if (N == 0 || K == 0 || panel_width == 0) return UNROLL_PRODUCT_FAILED;
  dnnl_status_t status = unroll_start_engine();
  if (status != dnnl_success) return status_of(status);
  unroll_apply_threads();
  unroll_packed_weight *w = calloc(1, sizeof *w);
  if (!w) return UNROLL_OUT_OF_MEMORY;
  if (pthread_mutex_init(&w->lock, NULL) != 0) {
    free(w);
    return UNROLL_OUT_OF_MEMORY;
  }
  for (size_t i = 0; i < KEPT_PRODUCTS; i++) pthread_mutex_init(&w->products[i].lock, NULL);
  w->K = K;
  w->panel_width = panel_width < N ? panel_width : N;
  w->panel_count = (N + w->panel_width - 1) / w->panel_width;
  w->accumulate = accumulate;
  w->precision = precision;
  w->is_blocked = true;
  w->is_own = precision == UNROLL_INT8 && !unroll_onednn_int8_is_exact();
  w->panels = calloc(w->panel_count, sizeof *w->panels);
  status = w->panels ? dnnl_success : dnnl_out_of_memory;
  if (status == dnnl_success && bias) {
    w->bias = calloc(N, sizeof *w->bias);
    if (!w->bias) status = dnnl_out_of_memory;
  }
  if (status == dnnl_success && precision == UNROLL_INT8) {
    w->scales = calloc(N, sizeof *w->scales);
    if (!w->scales) status = dnnl_out_of_memory;
  }
  if (status == dnnl_success)
    status = dnnl_stream_create(&w->stream, unroll_engine, dnnl_stream_default_flags);
  if (status == dnnl_success) status = choose_layouts(w, N);
  if (status == dnnl_success) status = take_memory(w);
  for (size_t i = 0; status == dnnl_success && !w->is_own && i < w->panel_count; i++)
    status = create_panel(w, i);
  if (status != dnnl_success) {
    unroll_packed_weight_destroy(w);
    return status_of(status);
  }
  *packed = w;
  return UNROLL_OK;
}

/// Fills a panel from a matrix in a plain layout of shape [K, width].
static dnnl_status_t pack(unroll_packed_weight *w, panel *to, const layout *plain, const void *from) {
  dnnl_memory_t source = NULL;
  dnnl_primitive_desc_t plan = NULL;
  dnnl_primitive_t reorder = NULL;
  unroll_apply_threads();
  // oneDNN's argument is not const, but a reorder only reads its source.
  dnnl_status_t status =
      dnnl_memory_create(&source, LAYOUT(*plain), unroll_engine, (void *)from);
  if (status == dnnl_success)
    status = dnnl_reorder_primitive_desc_create(
        &plan, LAYOUT(*plain), unroll_engine, LAYOUT(*to->packed), unroll_engine, NULL);
  if (status == dnnl_success) status = dnnl_primitive_create(&reorder, plan);
  dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, to->weight}};
  if (status == dnnl_success)
    status = dnnl_primitive_execute(reorder, w->stream, 2, arguments);
  if (status == dnnl_success) status = dnnl_stream_wait(w->stream);
  if (reorder) dnnl_primitive_destroy(reorder);
  if (plan) dnnl_primitive_desc_destroy(plan);
  if (source) dnnl_memory_destroy(source);
  return status;
}

unroll_status unroll_pack_panel(
    unroll_packed_weight *w, size_t index, const float *rows, const float *bias) {
  if (index >= w->panel_count) return UNROLL_PRODUCT_FAILED;
  panel *to = &w->panels[index];
  float *part = w->bias + index * w->panel_width;
  if (w->is_own) {
    pthread_mutex_lock(&w->lock);
    unroll_round_to_int8(
        rows, (int8_t *)w->memory + panel_offset(w, index), w->scales + index * w->panel_width,
        to->width, w->K);
    for (size_t i = 0; w->bias && i < to->width; i++) part[i] = bias[i];
    pthread_mutex_unlock(&w->lock);
    return UNROLL_OK;
  }
  const void *from = rows;
  int8_t *rounded = NULL;
  if (w->precision == UNROLL_INT8) {
    from = rounded = malloc(to->width * w->K);
    if (!rounded) return UNROLL_OUT_OF_MEMORY;
    float *scales = w->scales + index * w->panel_width;
    unroll_round_to_int8(rows, rounded, scales, to->width, w->K);
  }
  layout plain;
  dnnl_status_t status =
      layout_create_transposed(&plain, w->K, to->width, rounded ? dnnl_s8 : dnnl_f32);
  if (status != dnnl_success) {
    free(rounded);
    return status_of(status);
  }
  pthread_mutex_lock(&w->lock);
  status = pack(w, to, &plain, from);
  free(rounded);
  for (size_t i = 0; w->bias && i < to->width; i++) part[i] = bias[i];
  pthread_mutex_unlock(&w->lock);
  layout_destroy(plain);
  return status_of(status);
}

unroll_status unroll_pack_columns(unroll_packed_weight *w, const float *columns) {
  if (w->panel_count != 1 || w->bias || w->precision == UNROLL_INT8) return UNROLL_PRODUCT_FAILED;
  panel *to = &w->panels[0];
  layout plain;
  dnnl_status_t status = layout_create(&plain, w->K, to->width, dnnl_f32);
  if (status != dnnl_success) return status_of(status);
  pthread_mutex_lock(&w->lock);
  status = pack(w, to, &plain, columns);
  pthread_mutex_unlock(&w->lock);
  layout_destroy(plain);
  return status_of(status);
}

static void forget_product(product *p) {
  if (p->primitive) dnnl_primitive_destroy(p->primitive);
  if (p->x) dnnl_memory_destroy(p->x);
  if (p->y) dnnl_memory_destroy(p->y);
  if (p->scratch) dnnl_memory_destroy(p->scratch);
  free(p->sums);
  p->sums = NULL;
  p->primitive = NULL;
  p->x = p->y = p->scratch = NULL;
  p->last_use = 0;
}

void unroll_packed_weight_destroy(unroll_packed_weight *w) {
  if (!w) return;
  for (size_t i = 0; i < KEPT_PRODUCTS; i++) {
    forget_product(&w->products[i]);
    pthread_mutex_destroy(&w->products[i].lock);
  }
  for (size_t i = 0; w->panels && i < w->panel_count; i++) {
    if (w->panels[i].weight) dnnl_memory_destroy(w->panels[i].weight);
    if (w->panels[i].bias) dnnl_memory_destroy(w->panels[i].bias);
  }
  for (int i = 0; i < w->layout_count; i++) layout_destroy(w->layouts[i]);
  if (w->stream) dnnl_stream_destroy(w->stream);
  pthread_mutex_destroy(&w->lock);
  free(w->panels);
  free(w->memory);
  free(w->bias);
  free(w->scales);
  free(w);
}

bool unroll_rows_are_independent(const unroll_packed_weight *w) { return w->is_blocked; }

// MARK: Multiplying

/// Plans and keeps a product in a free place.
static dnnl_status_t create_product(
    const unroll_packed_weight *w, const panel *part, size_t M, int threads, product *made) {
  made->M = M;
  made->width = part->width;
  made->threads = threads;
  made->part = unroll_part();
  if (w->precision == UNROLL_INT8 && w->accumulate) {
    made->sums = malloc(M * part->width * sizeof *made->sums);
    if (!made->sums) return dnnl_out_of_memory;
  }
  layout x, y;
  dnnl_primitive_desc_t planned = NULL;
  dnnl_status_t status = plan(w, M, part->width, part->packed, &planned);
  if (status != dnnl_success) return status;
  status = dnnl_primitive_create(&made->primitive, planned);
  if (status == dnnl_success) status = create_scratch(&made->scratch, planned, unroll_engine);
  dnnl_primitive_desc_destroy(planned);
  if (status != dnnl_success) return status;
  status = layout_create(&x, M, w->K, type_of(w->precision));
  if (status != dnnl_success) return status;
  status = dnnl_memory_create(&made->x, LAYOUT(x), unroll_engine, DNNL_MEMORY_NONE);
  layout_destroy(x);
  if (status != dnnl_success) return status;
  status = layout_create(
      &y, M, part->width, w->precision == UNROLL_INT8 ? dnnl_s32 : dnnl_f32);
  if (status != dnnl_success) return status;
  status = dnnl_memory_create(&made->y, LAYOUT(y), unroll_engine, DNNL_MEMORY_NONE);
  layout_destroy(y);
  return status;
}

/// The planned product of M rows with a panel, locked: a kept one, or a new one in the place of the one
/// that was not used for longest.
static dnnl_status_t find_product(
    unroll_packed_weight *w, const panel *part, size_t M, product **found) {
  int threads = unroll_apply_threads(), own = unroll_part();
  product *oldest = &w->products[0];
  for (size_t i = 0; i < KEPT_PRODUCTS; i++) {
    product *p = &w->products[i];
    if (p->primitive && p->M == M && p->width == part->width && p->threads == threads
        && p->part == own) {
      p->last_use = ++w->uses;
      pthread_mutex_lock(&p->lock);
      *found = p;
      return dnnl_success;
    }
    if (p->last_use < oldest->last_use) oldest = p;
  }
  pthread_mutex_lock(&oldest->lock);
  forget_product(oldest);
  dnnl_status_t status = create_product(w, part, M, threads, oldest);
  if (status != dnnl_success) {
    forget_product(oldest);
    pthread_mutex_unlock(&oldest->lock);
    return status;
  }
  oldest->last_use = ++w->uses;
  *found = oldest;
  return dnnl_success;
}

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
MULTIVERSIONED static void scale_sums(void *context, size_t begin, size_t end) {
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

/// Makes numbers of the sums of a panel.
static void scale_panel(
    const unroll_packed_weight *w, size_t index, const int32_t *sums, const float *scales, float *y,
    size_t M) {
  size_t first = index * w->panel_width, width = w->panels[index].width;
  sums_arguments made = {
      sums, scales, w->scales + first, w->bias ? w->bias + first : NULL, y, width, w->accumulate};
  unroll_for_rows(M, M * width, scale_sums, &made);
}

/// Multiplies by a panel of int8 that oneDNN would not sum exactly.
static unroll_status own_product(
    const unroll_packed_weight *w, size_t index, const int8_t *x, const float *scales, float *y,
    size_t M) {
  size_t width = w->panels[index].width;
  int32_t *sums = w->accumulate ? malloc(M * width * sizeof *sums) : (int32_t *)(void *)y;
  if (!sums) return UNROLL_OUT_OF_MEMORY;
  unroll_apply_threads();
  unroll_int8_sums(
      x, (const int8_t *)w->memory + panel_offset(w, index), sums, M, width, w->K);
  scale_panel(w, index, sums, scales, y, M);
  if (w->accumulate) free(sums);
  return UNROLL_OK;
}

unroll_status unroll_product(
    unroll_packed_weight *w, size_t index, const void *x, const float *scales, float *y, size_t M) {
  if (index >= w->panel_count) return UNROLL_PRODUCT_FAILED;
  if (M == 0) return UNROLL_OK;
  if (w->is_own) return own_product(w, index, x, scales, y, M);
  const panel *part = &w->panels[index];
  product *p;
  pthread_mutex_lock(&w->lock);
  dnnl_status_t status = find_product(w, part, M, &p);
  pthread_mutex_unlock(&w->lock);
  if (status != dnnl_success) return status_of(status);
  status = dnnl_memory_set_data_handle(p->x, (void *)x);
  void *result = p->sums ? (void *)p->sums : y;
  if (status == dnnl_success) status = dnnl_memory_set_data_handle(p->y, result);
  if (status == dnnl_success) {
    dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, p->x},
        {DNNL_ARG_WEIGHTS, part->weight},
        {DNNL_ARG_DST, p->y},
        {DNNL_ARG_SCRATCHPAD, p->scratch},
        {DNNL_ARG_BIAS, part->bias},
    };
    bool is_int8 = w->precision == UNROLL_INT8;
    int count = w->bias && !is_int8 ? 5 : 4;
    status = dnnl_primitive_execute(p->primitive, w->stream, count, arguments);
    // On a CPU the stream is in order and the call has waited; other runtimes need this.
    if (status == dnnl_success) status = dnnl_stream_wait(w->stream);
    if (status == dnnl_success && is_int8) scale_panel(w, index, result, scales, y, M);
  }
  pthread_mutex_unlock(&p->lock);
  return status_of(status);
}
