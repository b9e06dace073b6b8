// Products of plain row-major matrices, either of them transposed: what training multiplies once and
// then changes, so that packing does not pay.
#include <pthread.h>
#include <stdlib.h>

#include "UnrollKernels.h"
#include "planning.h"
#include "threads.h"

/// A window's products have a few shapes, and come again with every window.
enum { KEPT_PLANS = 64 };

/// What a plan depends on.
typedef struct {
  bool transpose_a, transpose_b, bias, accumulate;
  unroll_precision precision;
  int threads;
  size_t M, N, K;
} shape;

/// A planned product with its arguments; only their addresses change from call to call.
typedef struct {
  shape shape;
  unsigned long last_use;
  dnnl_primitive_t primitive;
  dnnl_memory_t a, b, c, bias, scratch;
} kept_plan;

struct unroll_products {
  dnnl_stream_t stream;
  // Guards what follows, and the addresses in the arguments while a product runs.
  pthread_mutex_t lock;
  unsigned long uses;
  kept_plan plans[KEPT_PLANS];
};

unroll_status unroll_products_create(unroll_products **created) {
  dnnl_status_t status = unroll_start_engine();
  if (status != dnnl_success) return status_of(status);
  unroll_products *p = calloc(1, sizeof *p);
  if (!p) return UNROLL_OUT_OF_MEMORY;
  if (pthread_mutex_init(&p->lock, NULL) != 0) {
    free(p);
    return UNROLL_OUT_OF_MEMORY;
  }
  status = dnnl_stream_create(&p->stream, unroll_engine, dnnl_stream_default_flags);
  if (status != dnnl_success) {
    unroll_products_destroy(p);
    return status_of(status);
  }
  *created = p;
  return UNROLL_OK;
}

static void forget_plan(kept_plan *k) {
  if (k->primitive) dnnl_primitive_destroy(k->primitive);
  for (size_t i = 0; i < 5; i++) {
    dnnl_memory_t memory = (dnnl_memory_t[]){k->a, k->b, k->c, k->bias, k->scratch}[i];
    if (memory) dnnl_memory_destroy(memory);
  }
  *k = (kept_plan){0};
}

void unroll_products_destroy(unroll_products *p) {
  if (!p) return;
  for (size_t i = 0; i < KEPT_PLANS; i++) forget_plan(&p->plans[i]);
  if (p->stream) dnnl_stream_destroy(p->stream);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

/// Describes a row-major [rows, columns], or the transpose of a row-major [columns, rows].
static dnnl_status_t describe(
    layout *made, size_t rows, size_t columns, bool transposed, unroll_precision precision) {
  return transposed ? layout_create_transposed(made, rows, columns, type_of(precision))
                    : layout_create(made, rows, columns, type_of(precision));
}

/// Makes an argument that will get its address later.
static dnnl_status_t create_argument(dnnl_memory_t *made, const layout *l) {
  return dnnl_memory_create(made, LAYOUT(*l), unroll_engine, DNNL_MEMORY_NONE);
}

/// Plans a product in a free place.
static dnnl_status_t create_plan(kept_plan *k, shape s) {
  k->shape = s;
  layout a, b, c, bias;
  dnnl_primitive_desc_t planned = NULL;
  dnnl_status_t status = describe(&a, s.M, s.K, s.transpose_a, s.precision);
  if (status != dnnl_success) return status;
  status = describe(&b, s.K, s.N, s.transpose_b, s.precision);
  if (status != dnnl_success) goto free_a;
  status = layout_create(&c, s.M, s.N, dnnl_f32);
  if (status != dnnl_success) goto free_b;
  status = layout_create(&bias, 1, s.N, dnnl_f32);
  if (status != dnnl_success) goto free_c;
  status = plan_matrix_product(&planned, &a, &b, dnnl_f32, s.M, s.N, s.bias, s.accumulate);
  if (status == dnnl_success) status = dnnl_primitive_create(&k->primitive, planned);
  if (status == dnnl_success) status = create_scratch(&k->scratch, planned, unroll_engine);
  if (planned) dnnl_primitive_desc_destroy(planned);
  if (status == dnnl_success) status = create_argument(&k->a, &a);
  if (status == dnnl_success) status = create_argument(&k->b, &b);
  if (status == dnnl_success) status = create_argument(&k->c, &c);
  if (status == dnnl_success) status = create_argument(&k->bias, &bias);
  layout_destroy(bias);
free_c:
  layout_destroy(c);
free_b:
  layout_destroy(b);
free_a:
  layout_destroy(a);
  return status;
}

static bool same_shape(shape s, shape t) {
  return s.transpose_a == t.transpose_a && s.transpose_b == t.transpose_b && s.bias == t.bias
      && s.accumulate == t.accumulate && s.precision == t.precision && s.threads == t.threads
      && s.M == t.M && s.N == t.N && s.K == t.K;
}

/// The planned product of a shape: a kept one, or a new one in the place of the one that was not
/// used for longest.
static dnnl_status_t find_plan(unroll_products *p, shape s, kept_plan **found) {
  kept_plan *oldest = &p->plans[0];
  for (size_t i = 0; i < KEPT_PLANS; i++) {
    kept_plan *k = &p->plans[i];
    if (k->primitive && same_shape(k->shape, s)) {
      k->last_use = ++p->uses;
      *found = k;
      return dnnl_success;
    }
    if (k->last_use < oldest->last_use) oldest = k;
  }
  forget_plan(oldest);
  dnnl_status_t status = create_plan(oldest, s);
  if (status != dnnl_success) {
    forget_plan(oldest);
    return status;
  }
  oldest->last_use = ++p->uses;
  *found = oldest;
  return dnnl_success;
}

unroll_status unroll_multiply(
    unroll_products *p, unroll_precision precision, unroll_operand a, unroll_operand b,
    const float *bias, float *c, bool accumulate, size_t M, size_t N, size_t K) {
  if (M == 0 || N == 0) return UNROLL_OK;
  if (K == 0 || precision == UNROLL_INT8) return UNROLL_PRODUCT_FAILED;
  shape s = {
      a.transposed, b.transposed, bias != NULL, accumulate, precision, unroll_apply_threads(),
      M, N, K};
  kept_plan *k;
  pthread_mutex_lock(&p->lock);
  dnnl_status_t status = find_plan(p, s, &k);
  // oneDNN's addresses are not const, but it only reads its sources.
  if (status == dnnl_success) status = dnnl_memory_set_data_handle(k->a, (void *)a.numbers);
  if (status == dnnl_success) status = dnnl_memory_set_data_handle(k->b, (void *)b.numbers);
  if (status == dnnl_success) status = dnnl_memory_set_data_handle(k->c, c);
  if (status == dnnl_success) status = dnnl_memory_set_data_handle(k->bias, (void *)bias);
  if (status == dnnl_success) {
    dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, k->a},
        {DNNL_ARG_WEIGHTS, k->b},
        {DNNL_ARG_DST, k->c},
        {DNNL_ARG_SCRATCHPAD, k->scratch},
        {DNNL_ARG_BIAS, k->bias},
    };
    status = dnnl_primitive_execute(k->primitive, p->stream, bias ? 5 : 4, arguments);
    // On a CPU the stream is in order and the call has waited; other runtimes need this.
    if (status == dnnl_success) status = dnnl_stream_wait(p->stream);
  }
  pthread_mutex_unlock(&p->lock);
  return status_of(status);
}
