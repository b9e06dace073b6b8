// The calls that differ between oneDNN 2.x and 3.x, under one name: memory descriptors are values
// in 2.x and handles in 3.x, and primitives lost their operation descriptors.
#pragma once
#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stddef.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout;
#define LAYOUT(l) (l)
#else
typedef dnnl_memory_desc_t layout;
#define LAYOUT(l) (&(l))
#endif

/// Describes a row-major matrix.
static inline dnnl_status_t layout_create(
    layout *made, size_t rows, size_t columns, dnnl_data_type_t type) {
  dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_tag(made, 2, dims, type, dnnl_ab);
#else
  return dnnl_memory_desc_init_by_tag(made, 2, dims, type, dnnl_ab);
#endif
}

/// Describes a column-major matrix: a row-major one, transposed.
static inline dnnl_status_t layout_create_transposed(
    layout *made, size_t rows, size_t columns, dnnl_data_type_t type) {
  dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_tag(made, 2, dims, type, dnnl_ba);
#else
  return dnnl_memory_desc_init_by_tag(made, 2, dims, type, dnnl_ba);
#endif
}

/// Describes a matrix in whatever layout the product prefers.
static inline dnnl_status_t layout_create_any(
    layout *made, size_t rows, size_t columns, dnnl_data_type_t type) {
  dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_tag(made, 2, dims, type, dnnl_format_tag_any);
#else
  return dnnl_memory_desc_init_by_tag(made, 2, dims, type, dnnl_format_tag_any);
#endif
}

/// Releases a description that one of the functions above, or `layout_of_weights`, made.
static inline void layout_destroy(layout l) {
#if DNNL_VERSION_MAJOR >= 3
  dnnl_memory_desc_destroy(l);
#else
  (void)l;
#endif
}

/// The layout of the weights that a product was planned with.
static inline dnnl_status_t layout_of_weights(layout *made, const_dnnl_primitive_desc_t plan) {
#if DNNL_VERSION_MAJOR >= 3
  const_dnnl_memory_desc_t found = dnnl_primitive_desc_query_md(plan, dnnl_query_weights_md, 0);
  return found ? dnnl_memory_desc_clone(made, found) : dnnl_invalid_arguments;
#else
  const dnnl_memory_desc_t *found = dnnl_primitive_desc_query_md(plan, dnnl_query_weights_md, 0);
  if (!found) return dnnl_invalid_arguments;
  *made = *found;
  return dnnl_success;
#endif
}

/// The bytes that a matrix takes in a layout.
static inline size_t layout_size(const layout *l) {
  return dnnl_memory_desc_get_size(LAYOUT(*l));
}

/// Makes the scratch memory that a plan asks for.
static inline dnnl_status_t create_scratch(
    dnnl_memory_t *made, const_dnnl_primitive_desc_t plan, dnnl_engine_t engine) {
#if DNNL_VERSION_MAJOR >= 3
  const_dnnl_memory_desc_t found =
      dnnl_primitive_desc_query_md(plan, dnnl_query_scratchpad_md, 0);
#else
  const dnnl_memory_desc_t *found =
      dnnl_primitive_desc_query_md(plan, dnnl_query_scratchpad_md, 0);
#endif
  if (!found) return dnnl_invalid_arguments;
  return dnnl_memory_create(made, found, engine, DNNL_MEMORY_ALLOCATE);
}

/// Whether a layout keeps the elements in blocks rather than in plain rows or columns.
static inline bool layout_is_blocked(const layout *l) {
#if DNNL_VERSION_MAJOR >= 3
  int blocks = 0;
  dnnl_status_t status = dnnl_memory_desc_query(*l, dnnl_query_inner_nblks_s32, &blocks);
  return status == dnnl_success && blocks > 0;
#else
  return l->format_kind == dnnl_blocked && l->format_desc.blocking.inner_nblks > 0;
#endif
}

/// Makes a product add to its destination instead of replacing it.
static inline dnnl_status_t append_sum(dnnl_post_ops_t operations) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_post_ops_append_sum(operations, 1.0f, 0, dnnl_data_type_undef);
#else
  return dnnl_post_ops_append_sum(operations, 1.0f);
#endif
}

/// Plans `y = x W + bias`; `bias` may be NULL.
static inline dnnl_status_t plan_product(
    dnnl_primitive_desc_t *plan, dnnl_engine_t engine, const layout *x, const layout *weight,
    const layout *bias, const layout *y, const_dnnl_primitive_attr_t attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_matmul_primitive_desc_create(
      plan, engine, *x, *weight, bias ? *bias : NULL, *y, attributes);
#else
  dnnl_matmul_desc_t operation;
  dnnl_status_t status = dnnl_matmul_desc_init(&operation, x, weight, bias, y);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(plan, &operation, attributes, engine, NULL);
#endif
}
