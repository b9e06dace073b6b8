// Matrix products and loops that are compiled for more than one instruction set, which Swift cannot express.
// Matrices are row-major float; shapes stand in brackets.
//
// The bits of a result depend on its inputs alone: not on the processor, the instruction set or the number of
// threads, and a row of a product not on the other rows. Every number comes from additions,
// multiplications, divisions, square roots and fused multiply-adds that round once, in one fixed order.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
  UNROLL_OK = 0,
  UNROLL_OUT_OF_MEMORY,
  /// The processor lacks the instruction set that UNROLL_KERNELS names.
  UNROLL_UNSUPPORTED,
  /// UNROLL_KERNELS names no instruction set.
  UNROLL_UNKNOWN_INSTRUCTIONS,
  /// A size or a precision that the product does not have.
  UNROLL_PRODUCT_FAILED,
} unroll_status;

// Instruction sets

/// The instruction sets of products and loops; the later, the faster. All give the same bits.
typedef enum { UNROLL_PORTABLE, UNROLL_NEON, UNROLL_AVX2, UNROLL_AVX512 } unroll_instructions;

/// Returns the name of a set, as the environment variable UNROLL_KERNELS gives it.
const char *unroll_instructions_name(unroll_instructions set);

/// True if the processor has a set.
bool unroll_processor_has(unroll_instructions set);

/// True if the processor has AVX512_VNNI, which products of int8 use.
bool unroll_processor_has_vnni(void);

/// True if the processor has AVX512_BF16, which products of bf16 use.
bool unroll_processor_has_bf16(void);

/// Returns the instruction set in use: the one UNROLL_KERNELS names, or the best that the processor has.
unroll_instructions unroll_current_instructions(void);

/// Checks that UNROLL_KERNELS is unset or names a set that the processor has.
unroll_status unroll_check_instructions(void);

/// Uses a set from now on, for the whole process; weights that are packed already keep theirs.
unroll_status unroll_use_instructions(unroll_instructions set);

// Threads

/// Sets how many threads products and loops use, for the whole process; 0 for one on each processor that the
/// process may use.
void unroll_set_threads(int count);

/// Returns the number that was set, or 0.
int unroll_threads(void);

/// Returns the number of threads that a loop of the calling thread may use; 1 inside a part of another loop.
size_t unroll_thread_count(void);

/// Handles the rows from `begin` up to `end`.
typedef void (*unroll_row_task)(void *context, size_t begin, size_t end);

/// Runs a task over columns that do not need each other, in one part for each thread, of no fewer than
/// `least` columns. Products and loops of a part run on its thread alone.
void unroll_for_columns(size_t columns, size_t least, unroll_row_task task, void *context);

// Matrix products

/// The compute precision: the type of a product's operands. Results are float.
///
/// - f32: a sum is cut along k into parts of at most 384 terms, of nearly equal length. Each part is one chain
///   of fused multiply-adds from 0 in the order of k; the parts are added in their order. A bias is added to
///   the first part, and the previous contents of y, if products accumulate, before the others.
/// - bf16: operands are rounded to bfloat16, whose products are exact in float. A sum is cut into parts of at most
///   192 pairs of numbers that follow each other along k; of a pair, the second product is added first, and a missing
///   number is 0. Subnormal numbers count as 0, in operands and results.
/// - int8: sums are exact.
typedef enum { UNROLL_F32, UNROLL_BF16, UNROLL_INT8 } unroll_precision;

/// Rounds numbers to bfloat16, to the nearest, ties to even; a NaN stays one.
void unroll_round_to_bf16(const float *x, uint16_t *rounded, size_t n);

/// Rounds each row to whole numbers from -127 to 127 of a scale of its own, to the nearest, ties to even.
///
/// @param x       [M, K]
/// @param rounded [M, K] Out: `x / scale`.
/// @param scales  [M]    Out: the largest magnitude of the row / 127; NaN if a number is not finite.
void unroll_round_to_int8(const float *x, int8_t *rounded, float *scales, size_t M, size_t K);

/// The weight of `y = x W^T + bias`, laid out for products and cut along N into panels. Safe to multiply with from
/// several threads, not while it is packed.
typedef struct unroll_packed_weight unroll_packed_weight;

/// Makes room for a weight; `unroll_pack_panel` fills it.
///
/// @param bias       `true` if products add a bias.
/// @param panel      The rows of the weight in a panel; the last panel may have fewer.
/// @param accumulate `true` if products are added to the contents of `y`.
/// @param precision  The type of x, and of the weight once it is packed.
unroll_status unroll_packed_weight_create(
    size_t N, size_t K, bool bias, size_t panel, bool accumulate, unroll_precision precision,
    unroll_packed_weight **packed);

/// Releases a weight; NULL is fine.
void unroll_packed_weight_destroy(unroll_packed_weight *weight);

/// Packs one panel and replaces its previous contents.
///
/// @param rows [width of the panel, K], as `torch.nn.Linear` keeps a weight; not needed afterwards.
/// @param bias [width of the panel], copied; not read where products add none.
unroll_status unroll_pack_panel(
    unroll_packed_weight *weight, size_t index, const float *rows, const float *bias);

/// Packs the only panel of a weight without bias from its transpose, so that `y = x A`.
///
/// @param columns A, [K, N]; not needed afterwards.
unroll_status unroll_pack_columns(unroll_packed_weight *weight, const float *columns);

/// Multiplies by one panel: `y = x W^T + bias`, or `y += ...` for an accumulating weight.
///
/// @param x      [M, K] of the weight's precision.
/// @param scales [M] the scales of the rows of x in int8; not read for other precisions.
/// @param y      [M, width of the panel]
unroll_status unroll_product(
    const unroll_packed_weight *weight, size_t index, const void *x, const float *scales, float *y,
    size_t M);

/// An operand of a product: a row-major matrix, or the transpose of one.
typedef struct {
  const void *numbers;
  bool transposed;
} unroll_operand;

/// Computes `C = A B`, optionally `+ bias` and `+ C`.
///
/// @param a    [M, K], or the transpose of a [K, M].
/// @param b    [K, N], or the transpose of an [N, K].
/// @param bias [N], or NULL.
/// @param precision The type of a and b.
/// @param c    [M, N]
unroll_status unroll_multiply(
    unroll_precision precision, unroll_operand a, unroll_operand b, const float *bias, float *c,
    bool accumulate, size_t M, size_t N, size_t K);

// Recurrent cells, one time step

/// The function of a cell's gates: the logistic one, or `alpha x + beta`, cut off at 0 and 1.
typedef struct {
  bool is_hard;
  float alpha, beta;
} unroll_gates;

/// LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).
///
/// @param gates  [B, 4H] in the order i, f, g, o. In: pre-activations. Out: activations.
/// @param c      [B, H]  the cell state at t-1.
/// @param c_next [B, H]  Out: the cell state at t; may be `c`.
/// @param h_next [B, H]  Out: the hidden state at t.
void unroll_lstm_step(
    float *gates, const float *c, float *c_next, float *h_next, size_t B, size_t H,
    unroll_gates kind);

/// GRU with the reset gate applied after the recurrent product, as cuDNN and PyTorch have it:
/// `n = tanh(W_in x + b_in + r * (W_hn h + b_hn))`.
///
/// @param gates     [B, 3H] in the order r, z, n. In: the input's part, biases included.
///                  Out: activations.
/// @param recurrent [B, 3H] the recurrent part, biases included; left as it is.
/// @param h         [B, H]  the hidden state at t-1.
/// @param h_next    [B, H]  Out: the hidden state at t; may be `h`.
void unroll_gru_step(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t B, size_t H,
    unroll_gates kind);

/// GRU with the reset gate applied before the recurrent product (Cho et al. 2014), first half: the gates
/// r and z.
///
/// @param gates     [B, 3H] in the order r, z, n. In: the input's part. Out: activations of r and z.
/// @param recurrent [B, 2H] the recurrent part of r and z, biases included.
/// @param h         [B, H]  the hidden state at t-1.
/// @param reset_h   [B, H]  Out: `r * h`, which `W_hn` multiplies.
void unroll_gru_reset_step(
    float *gates, const float *recurrent, const float *h, float *reset_h, size_t B, size_t H,
    unroll_gates kind);

/// The second half: `n = tanh(W_in x + b_in + W_hn (r * h) + b_hn)`.
///
/// @param gates     [B, 3H] In: the output of the first half. Out: activations.
/// @param recurrent [B, H]  the recurrent part of n, bias included.
/// @param h         [B, H]  the hidden state at t-1.
/// @param h_next    [B, H]  Out: the hidden state at t; may be `h`.
void unroll_gru_candidate_step(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t B, size_t H);

/// The vanilla (Elman 1990) recurrent cell: `h_next = tanh(gates)`.
///
/// @param gates  [B, H] pre-activations.
/// @param h_next [B, H] Out: the hidden state at t.
void unroll_rnn_tanh_step(const float *gates, float *h_next, size_t B, size_t H);

/// The vanilla recurrent cell with `max(x, 0)`; a NaN stays one.
void unroll_rnn_relu_step(const float *gates, float *h_next, size_t B, size_t H);

/// minGRU (Feng et al. 2024): `h_next = (1 - z) h + z n`.
///
/// @param gates  [B, 2H] in the order z, n. In: pre-activations. Out: z's activation; n as it is.
/// @param h      [B, H]  the hidden state at t-1.
/// @param h_next [B, H]  Out: the hidden state at t; may be `h`.
void unroll_mingru_step(float *gates, const float *h, float *h_next, size_t B, size_t H);

/// QRNN (Bradbury et al. 2016), its pooling with a forget and an output gate, where f weighs the candidate:
/// `c_next = f z + (1 - f) c`, `h_next = o c_next`.
///
/// @param gates  [B, 3H] in the order z, f, o. In: pre-activations. Out: activations.
/// @param c      [B, H]  the cell state at t-1.
/// @param c_next [B, H]  Out: the cell state at t; may be `c`.
/// @param h_next [B, H]  Out: the hidden state at t.
void unroll_qrnn_step(
    float *gates, const float *c, float *c_next, float *h_next, size_t B, size_t H);

// Recurrent cells, one time step backwards; `d` stands for the gradient of the loss with respect to the name
// after it

/// LSTM, backwards.
///
/// @param gates  [B, 4H] In: activations. Out: gradients of the pre-activations.
/// @param c      [B, H]  the cell state at t-1.
/// @param c_next [B, H]  the cell state at t.
/// @param dh     [B, H]  of the hidden state at t.
/// @param dc     [B, H]  In: of the cell state at t. Out: at t-1.
void unroll_lstm_step_backward(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t B,
    size_t H, unroll_gates kind);

/// The gradient of an LSTM's cell state at t by everything that follows, the hidden state at t
/// included: `total = dc + dh o (1 - tanh(c_next)^2)`. Before `unroll_lstm_step_backward`.
///
/// @param gates  [B, 4H] activations.
/// @param c_next [B, H]  the cell state at t.
/// @param dh     [B, H]  of the hidden state at t.
/// @param dc     [B, H]  of the cell state at t by the steps after t.
/// @param total  [B, H]
void unroll_lstm_cell_gradient(
    const float *gates, const float *c_next, const float *dh, const float *dc, float *total,
    size_t B, size_t H);

/// GRU, backwards.
///
/// @param gates       [B, 3H] In: activations. Out: gradients of the input's part.
/// @param recurrent   [B, 3H] In: the recurrent part. Out: its gradients.
/// @param h           [B, H]  the hidden state at t-1.
/// @param dh          [B, H]  of the hidden state at t.
/// @param dh_previous [B, H]  Out: the gradient that reaches the state at t-1 past the gates is added; or NULL.
void unroll_gru_step_backward(
    float *gates, float *recurrent, const float *h, const float *dh, float *dh_previous, size_t B,
    size_t H, unroll_gates kind);

/// GRU with the reset gate before the product, backwards, the candidate and the gate z.
///
/// @param gates       [B, 3H] In: activations. Out: gradients of the pre-activations of z and n.
/// @param drecurrent  [B, 2H] Out: the same of z, in its second half.
/// @param dcandidate  [B, H]  Out: the same of n.
/// @param h           [B, H]  the hidden state at t-1.
/// @param dh          [B, H]  of the hidden state at t.
/// @param dh_previous [B, H]  Out: the gradient that reaches the state at t-1 past the gates is added; or NULL.
void unroll_gru_candidate_step_backward(
    float *gates, float *drecurrent, float *dcandidate, const float *h, const float *dh,
    float *dh_previous, size_t B, size_t H, unroll_gates kind);

/// The gate r, after the candidate's gradient has been multiplied by `W_hn`.
///
/// @param gates       [B, 3H] In: the activation of r. Out: the gradient of its pre-activation.
/// @param drecurrent  [B, 2H] Out: the same, in its first half.
/// @param h           [B, H]  the hidden state at t-1.
/// @param dreset_h    [B, H]  of `r * h`.
/// @param dh_previous [B, H]  Out: the gradient that reaches the state at t-1 through `r * h` is added; or
///                    NULL.
void unroll_gru_reset_step_backward(
    float *gates, float *drecurrent, const float *h, const float *dreset_h, float *dh_previous,
    size_t B, size_t H, unroll_gates kind);

/// The vanilla cell with tanh, backwards, over `count` = B * H numbers.
///
/// @param gates  Out: gradients of the pre-activations.
/// @param h_next The hidden state at t.
/// @param dh     Of the hidden state at t.
void unroll_rnn_tanh_step_backward(
    float *gates, const float *h_next, const float *dh, size_t count);

/// The vanilla cell with `max(x, 0)`, backwards; the derivative at 0 is 0.
void unroll_rnn_relu_step_backward(
    float *gates, const float *h_next, const float *dh, size_t count);

/// minGRU, backwards.
///
/// @param gates       [B, 2H] In: activations. Out: gradients of the pre-activations.
/// @param h           [B, H]  the hidden state at t-1.
/// @param dh          [B, H]  of the hidden state at t.
/// @param dh_previous [B, H]  Out: the gradient that reaches the state at t-1 is added; or NULL.
void unroll_mingru_step_backward(
    float *gates, const float *h, const float *dh, float *dh_previous, size_t B, size_t H);

/// QRNN, backwards.
///
/// @param gates  [B, 3H] In: activations. Out: gradients of the pre-activations.
/// @param c      [B, H]  the cell state at t-1.
/// @param c_next [B, H]  the cell state at t.
/// @param dh     [B, H]  of the hidden state at t.
/// @param dc     [B, H]  In: of the cell state at t, by later steps. Out: of that at t-1.
/// @param total  [B, H]  Out: of the cell state at t, `h_next` included; or NULL.
void unroll_qrnn_step_backward(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, float *total,
    size_t B, size_t H);

// Log-softmax, panel by panel, so that the logits of a window never exist as a whole

/// Adds the logits of one panel of the vocabulary to the running maximum and sum of each row.
///
/// @param logits  [M, N]
/// @param maximum [M] the largest logit so far; -infinity before the first panel.
/// @param sum     [M] the sum of `exp(logit - maximum)` so far; 0 before the first panel.
void unroll_softmax_add_panel(
    const float *logits, size_t M, size_t N, float *maximum, double *sum);

/// As `unroll_softmax_add_panel`, with the sum that the entropy of each row needs.
///
/// @param weighted [M] the sum of `(logit - maximum) * exp(logit - maximum)` so far; 0 before the
///                 first panel.
void unroll_softmax_add_panel_with_entropy(
    const float *logits, size_t M, size_t N, float *maximum, double *sum, double *weighted);

/// Turns the sums into entropies; called before `unroll_softmax_finish`.
///
/// @param weighted [M] Out: the entropy of `softmax(logits)` in nats.
void unroll_softmax_entropy(const double *sum, double *weighted, size_t M);

/// Turns maximum and sum into the logarithm of the partition function.
///
/// @param sum [M] In: the sum. Out: `log(sum of exp(logit))`.
void unroll_softmax_finish(const float *maximum, double *sum, size_t M);

/// Subtracts the logarithm of the partition function from the logits of a row.
///
/// @param row [N] In: logits. Out: log-probabilities.
void unroll_softmax_normalize(float *row, size_t N, double log_partition);

/// Turns the logits of a panel into the gradient of a scaled cross-entropy with respect to them:
/// `scale * (softmax - 1 at the target)`.
///
/// @param logits        [M, N] In: logits. Out: gradients.
/// @param log_partition [M]    from `unroll_softmax_finish`.
/// @param targets       [M]    token ids, not negative.
/// @param first         The token of the panel's first column.
void unroll_softmax_gradient(
    float *logits, size_t M, size_t N, const double *log_partition, const int32_t *targets,
    size_t first, float scale);

// Sums

/// Adds the sums of columns: `sums += sum of the rows of x`.
///
/// @param x    [M, N]
/// @param sums [N]
void unroll_add_column_sums(const float *x, size_t M, size_t N, float *sums);

/// `y += x`
void unroll_add(float *restrict y, const float *restrict x, size_t n);

/// Returns the sum of w[k] * x[k] in double precision, in an order that depends on n alone.
double unroll_dot(const float *w, const double *x, size_t n);

/// The numbers in a piece of an array, but for the last piece, and the parts of a piece: sums of squares are taken of each part.
///
/// Nothing may change them: they are part of the result.
#define UNROLL_SUM_PIECE 4194304
#define UNROLL_SUM_PARTS 64

/// Returns the index of the first number of a part of a piece of n numbers.
size_t unroll_part_begin(size_t n, size_t part);

/// Computes the sums of squares of `count` parts of a piece of n numbers, in double precision.
///
/// @param x     The numbers of these parts.
/// @param n     The numbers of the whole piece.
/// @param first The first part, from 0.
/// @param sums  Out: [count]
void unroll_sum_squares_of_parts(const float *x, size_t n, size_t first, size_t count, double *sums);

/// Returns the sum of squares, in double precision: part by part, piece by piece.
double unroll_sum_of_squares(const float *x, size_t n);

/// `true` if all numbers are finite.
bool unroll_all_finite(const float *x, size_t n);

// Optimizers

typedef enum {
  UNROLL_SGD, UNROLL_ADAM, UNROLL_RMSPROP, UNROLL_ADAGRAD, UNROLL_ADADELTA, UNROLL_ASGD,
} unroll_rule;

/// The maximum number of state slots that an optimizer keeps for a parameter.
#define UNROLL_OPTIMIZER_SLOTS 3

/// The hyperparameters of a step. With x, the gradient after scaling, clipping and weight decay, and slots s:
///
/// - SGD: `s0 = decay1 s0 + gain1 x`, `p -= rate (gradient_share x + buffer_share s0)`; without s0,
///   `p -= rate x`.
/// - Adam: `s0 = decay1 s0 + gain1 x`, `s1 = decay2 s1 + gain2 x^2`, with s2 its largest value so far
///   in its place below, `p -= rate s0 / (sqrt(s1) correction + outside)`.
/// - RMSprop: `s0 = decay2 s0 + gain2 x^2`, with s2 `s2 = decay2 s2 + gain2 x` and `s0 - s2^2` in its
///   place below, `d = x / (sqrt(s0 + inside) + outside)`, with s1 `s1 = decay1 s1 + gain1 d` in its
///   place, `p -= rate d`.
/// - Adagrad: `s0 += x^2`, `p -= rate x / (sqrt(s0 + inside) + outside)`.
/// - Adadelta: `s0 = decay2 s0 + gain2 x^2`, `d = x sqrt(s1 + inside) / sqrt(s0 + inside)`,
///   `s1 = decay2 s1 + gain2 d^2`, `p -= rate d`.
/// - ASGD: `p = shrink p - rate x`, `s0 += gain1 (p - s0)`.
typedef struct {
  unroll_rule rule;
  /// Multiplies the gradient.
  float scale;
  /// Bounds each element of the gradient; infinity for no bound.
  float limit;
  /// The factor of L2 weight decay: `weight_decay * parameter` is added to the gradient.
  float weight_decay;
  /// Multiplies the parameter first; 1 for nothing.
  float shrink;
  float rate, decay1, gain1, decay2, gain2, gradient_share, buffer_share;
  float correction, inside, outside;
} unroll_update;

/// Updates parameters and optimizer state by one step.
///
/// @param p     [n] the parameters.
/// @param g     [n] their gradient, or NULL for a gradient of zero.
/// @param slots [n] each; NULL for slots that the optimizer does not use.
void unroll_update_step(
    float *p, const float *g, float *const slots[UNROLL_OPTIMIZER_SLOTS], size_t n,
    unroll_update update);

// Regularisation

/// The key of a dropout mask: the seed of a training, the site of the mask, and the number of the draw.
typedef struct {
  uint64_t seed;
  uint32_t site, draw;
  /// The probability that a number is dropped, 0 <= rate < 1; the others are divided by 1 - rate.
  float rate;
  /// The stream of the batch that comes first, for a window that has only some of them.
  uint32_t first_column;
} unroll_dropout;

/// One block of the generator Philox4x32-10, in place.
void unroll_philox(uint32_t x[4], uint32_t key0, uint32_t key1);

/// `y = x * mask`. A number's mask depends on its time step, stream of the batch and index, and on no other
/// number.
///
/// @param x      [T, B, N]
/// @param y      [T, B, N] may be x.
/// @param locked `true` if all time steps of a window share one mask.
void unroll_drop(
    const float *x, float *y, size_t T, size_t B, size_t N, bool locked, unroll_dropout dropout);

/// Returns the one mask of a whole row of an embedding.
float unroll_row_mask(uint32_t row, unroll_dropout dropout);

/// `y += scale * x`
void unroll_add_scaled(float *restrict y, const float *restrict x, float scale, size_t n);

/// Adds the gradient of `scale / 2 * sum of (h[t + 1] - h[t])^2` by h.
///
/// @param y [T, size]
/// @param h [T, size]
void unroll_add_temporal_gradient(
    float *restrict y, const float *restrict h, float scale, size_t T, size_t size);

// Elementary functions, in place over n numbers

void unroll_exp(float *x, size_t n);
void unroll_tanh(float *x, size_t n);
void unroll_sigmoid(float *x, size_t n);
