// What Swift cannot express: matrix products on oneDNN, and loops compiled for more than one
// instruction set. Matrices are row-major float; shapes stand in brackets.
//
// The bits of a result do not depend on the number of threads, nor does a row of a product depend
// on the other rows, where `unroll_rows_are_independent` says so; the loops below always have both
// properties.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
  UNROLL_OK = 0,
  UNROLL_OUT_OF_MEMORY,
  /// oneDNN has no implementation, or failed in another way.
  UNROLL_PRODUCT_FAILED,
} unroll_status;

// Threads

/// Sets how many threads products and loops use, for the whole process; 0 leaves it to OpenMP.
/// Without libgomp (macOS) the loops run on one thread and oneDNN chooses for itself.
void unroll_set_threads(int count);

/// The number that was set, or 0.
int unroll_threads(void);

// Matrix products

/// The weight of `y = x W^T + bias`, in the layout that oneDNN multiplies fastest, cut along N into
/// panels. Safe to use from several threads; they take turns.
typedef struct unroll_packed_weight unroll_packed_weight;

/// Makes room for a weight; `unroll_pack_panel` fills it.
///
/// @param bias       [N], copied, or NULL.
/// @param panel      The rows of the weight in a panel; the last panel may have fewer.
/// @param accumulate Whether products are added to what `y` holds.
unroll_status unroll_packed_weight_create(
    size_t N, size_t K, const float *bias, size_t panel, bool accumulate,
    unroll_packed_weight **packed);

/// Releases a weight; NULL is fine.
void unroll_packed_weight_destroy(unroll_packed_weight *weight);

/// Packs one panel.
///
/// @param rows [width of the panel, K], as `torch.nn.Linear` keeps a weight; not needed afterwards.
unroll_status unroll_pack_panel(unroll_packed_weight *weight, size_t index, const float *rows);

/// Multiplies by one panel: `y = x W^T + bias`, or `y += ...` for an accumulating weight.
///
/// @param x [M, K]
/// @param y [M, width of the panel]
unroll_status unroll_product(
    unroll_packed_weight *weight, size_t index, const float *x, float *y, size_t M);

/// Whether row i of a product has the same bits whatever M and the number of threads are. True of
/// oneDNN's blocked kernels (AVX-512 in 2.x), not of the general ones it falls back to.
bool unroll_rows_are_independent(const unroll_packed_weight *weight);

// Recurrent cells, one time step

/// LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).
///
/// @param gates  [B, 4H] in the order i, f, g, o. In: pre-activations. Out: activations.
/// @param c      [B, H]  the cell state at t-1.
/// @param c_next [B, H]  Out: the cell state at t; may be `c`.
/// @param h_next [B, H]  Out: the hidden state at t.
void unroll_lstm_step(
    float *gates, const float *c, float *c_next, float *h_next, size_t B, size_t H);

/// GRU with the reset gate applied after the recurrent product, as cuDNN and PyTorch have it:
/// `n = tanh(W_in x + b_in + r * (W_hn h + b_hn))`.
///
/// @param gates     [B, 3H] in the order r, z, n. In: the input's part, biases included.
///                  Out: activations.
/// @param recurrent [B, 3H] the recurrent part, biases included.
/// @param h         [B, H]  the hidden state at t-1.
/// @param h_next    [B, H]  Out: the hidden state at t; may be `h`.
void unroll_gru_step(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t B, size_t H);

/// The plain recurrent cell (Elman 1990): `h_next = tanh(gates)`.
///
/// @param gates  [B, H] pre-activations.
/// @param h_next [B, H] Out: the hidden state at t.
void unroll_rnn_tanh_step(const float *gates, float *h_next, size_t B, size_t H);

/// The plain recurrent cell with `max(x, 0)`; a NaN stays one.
void unroll_rnn_relu_step(const float *gates, float *h_next, size_t B, size_t H);

// Log-softmax, panel by panel, so that the logits of a window never exist as a whole

/// Takes the logits of one panel of the vocabulary into the running maximum and sum of each row.
///
/// @param logits  [M, N]
/// @param maximum [M] the largest logit so far; -infinity before the first panel.
/// @param sum     [M] the sum of `exp(logit - maximum)` so far; 0 before the first panel.
void unroll_softmax_add_panel(
    const float *logits, size_t M, size_t N, float *maximum, double *sum);

/// Turns maximum and sum into the logarithm of the partition function.
///
/// @param sum [M] In: the sum. Out: `log(sum of exp(logit))`.
void unroll_softmax_finish(const float *maximum, double *sum, size_t M);

/// Subtracts the logarithm of the partition function from the logits of a row.
///
/// @param row [N] In: logits. Out: log-probabilities.
void unroll_softmax_normalize(float *row, size_t N, double log_partition);

// Elementary functions, in place over n numbers

void unroll_exp(float *x, size_t n);
void unroll_tanh(float *x, size_t n);
void unroll_sigmoid(float *x, size_t n);
