#include "planning.h"

#include <pthread.h>

dnnl_engine_t unroll_engine;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;
static dnnl_status_t engine_status;

static void create_engine(void) {
  engine_status = dnnl_engine_create(&unroll_engine, dnnl_cpu, 0);
}

dnnl_status_t unroll_start_engine(void) {
  pthread_once(&engine_once, create_engine);
  return engine_status;
}

dnnl_status_t plan_matrix_product(
    dnnl_primitive_desc_t *made, const layout *x, const layout *weight, dnnl_data_type_t result,
    size_t M, size_t N, bool bias, bool accumulate) {
  layout y, added;
  dnnl_post_ops_t sum = NULL;
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_status_t status = layout_create(&y, M, N, result);
  if (status != dnnl_success) return status;
  status = layout_create(&added, 1, N, dnnl_f32);
  if (status != dnnl_success) goto free_y;
  status = dnnl_primitive_attr_create(&attributes);
  // oneDNN's own belongs to the thread that plans, not to the one that computes.
  if (status == dnnl_success)
    status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
  if (status == dnnl_success && accumulate) {
    status = dnnl_post_ops_create(&sum);
    if (status == dnnl_success) status = append_sum(sum);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attributes, sum);
  }
  if (status == dnnl_success)
    status = plan_product(made, unroll_engine, x, weight, bias ? &added : NULL, &y, attributes);
  if (sum) dnnl_post_ops_destroy(sum);
  if (attributes) dnnl_primitive_attr_destroy(attributes);
  layout_destroy(added);
free_y:
  layout_destroy(y);
  return status;
}
