// KernelTable: what one instruction set computes, as plain function pointers over raw memory. CpuBackend
// splits a call of Backend into ranges and calls these on the threads of its pool. Included by isa/*.cc,
// which are compiled with flags of their own: nothing here may be an inline function or a library type
// (docs/design.md §4, "Hazards"). Test: tests/backend
#pragma once

#include <cstddef>
#include <cstdint>

namespace qw::cpu {

// Mirrors of QuantFormat and DType (core/dtype.h, which isa/ must not include); cpu_impl.h asserts equality.
enum Format : uint8_t {
  kF32,
  kF64,
  kF16,
  kBf16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2K,
  kQ3K,
  kQ4K,
  kQ5K,
  kQ6K,
  kIq1S,
  kIq1M,
  kIq2Xxs,
  kIq2Xs,
  kIq2S,
  kIq3Xxs,
  kIq3S,
  kIq4Nl,
  kIq4Xs,
  kMxfp4,
  kNvfp4,
  kTq1_0,
  kTq2_0,
  kQ1_0,
  kQ2_0,
  kInt4_32,
  kInt4_64,
  kInt4_128,
  kInt8_32,
  kInt8_128,
  kE4m3_32,
  kE4m3_128,
  kNf4_32,
  kNf4_64,
  kFp4_32,
  kFp4_64,
  kScb8_32,
  kScb8_128,
  kNvfp4S,
  kFormats
};
enum Number : uint8_t { kNumF32, kNumF64, kNumF16, kNumBf16, kNumbers };

inline constexpr int kPage = 32;       // tokens a KV page and a block of attention
inline constexpr int kMaxTileN = 4;    // weight rows of a register tile of `linear`
inline constexpr int kPanelRows = 48;  // weight rows dequantised at once; a multiple of kMaxTileN

// out[t, n] = Σ_k x[t, k] w[n, k] + bias[n].
template <class Real>
struct LinearCall {
  Real* out;      // rows of ldo
  const Real* x;  // rows of ldx
  const uint8_t* w;
  const Real* bias;  // null: none
  int64_t m, k, ldo, ldx;
  int64_t w_row;  // bytes between rows of w
  Format format;
};

// C[m, n] (+)= A[m, k] · B[k, n]. Each element is one chain of fma over k in order, started at C (add) or 0.
template <class Real>
struct GemmCall {
  Real* c;
  const Real* a;
  const Real* b;
  int64_t m, n, k;
  int64_t ldc, ldb;
  int64_t a_row, a_col;  // strides of A: it may be a transposed view
  bool add;
};

// Packs a matrix seen as [n, k], element (i, j) at src[i · n_stride + j · k_stride] with one of the strides
// 1, into ceil(n / panel) panels of [units of k][panel], padded with zeros. Bytes of a unit: sizeof(Real).
template <class Real>
struct PackCall {
  Real* dst;
  const Real* src;
  int64_t n, k;
  int64_t n_stride, k_stride;
};

// C[m, n] (+)= A · B (+ bias[n]) over packed panels of `units` units of k.
template <class Real>
struct MultiplyCall {
  Real* c;
  const Real* a;
  const Real* b;
  const Real* bias;  // null: none
  int64_t m, n, units, ldc;
  bool add;
};

// One way to multiply packed operands; `depth` numbers of k make a unit.
template <class Real>
struct ProductKernels {
  int rows, columns;  // of a panel of A and of B
  int depth;
  void (*pack_a)(const PackCall<Real>& call);
  void (*pack_b)(const PackCall<Real>& call);
  void (*multiply)(const MultiplyCall<Real>& call);
};

enum KvKind : uint8_t { kKvDense, kKvPagedReal, kKvPagedF16 };

template <class Real>
struct AttnCall {
  const Real* q;                                        // [T, H, hd]
  Real* out;                                            // [T, H, hd] contiguous
  Real* lse;                                            // [T, H] or null
  const void* k;                                        // dense: [T, K, hd]; paged: [pages, K, hd, 32]
  const void* v;                                        // dense: [T, K, hd]; paged: [pages, K, 32, hd]
  int64_t q_row, q_head, k_row, k_head, v_row, v_head;  // strides in elements (k, v: dense only)
  int heads, kv_heads, hd, window;
  Real scale;
  KvKind kind;
};

// Backward of the dense form; all of [T, heads, hd] are contiguous here but for q, k, v of `fwd`.
template <class Real>
struct AttnBackwardCall {
  AttnCall<Real> fwd;  // out and lse are inputs
  const Real* dout;
  Real* delta;  // [T, H], scratch: dout · out
  Real* dq;
  Real* dk;
  Real* dv;
  int64_t dout_row, dout_head;
};

// Query rows row0 … row0 + rows − 1 of one sequence and heads head0 … head0 + heads − 1 of one KV head.
struct AttnUnit {
  int64_t row0;
  int rows;
  int position0;  // of row0
  int head0, heads;
  int64_t kv_row0;        // dense: row of position 0
  const int32_t* blocks;  // paged: page of each 32 positions
};

// One sequence and one KV head with all heads that read it.
struct AttnBackwardUnit {
  int64_t row0;
  int length;
  int kv_head;
};

// Depthwise causal convolution of one sequence, `rows` rows of this step.
template <class Real>
struct ConvCall {
  Real* out;           // [rows, channels]
  const Real* x;       // [rows, ldx]
  const Real* w;       // [taps, channels]
  const Real* window;  // [taps − 1, channels], the inputs before the first row; null: a document begins
  int64_t rows, channels, ldx;
  int taps;
};
template <class Real>
struct ConvGrads {
  Real* dx;          // [rows, channels]
  Real* dw;          // [taps, channels], added to, or null
  const Real* dout;  // [rows, channels]
};

// Gated DeltaNet over rows of q | k | v.
template <class Real>
struct DeltaCall {
  Real* out;         // [T, v_heads, v_dim]
  const Real* qkv;   // [T, ld]: k_heads · k_dim of q, as many of k, v_heads · v_dim of v
  const Real* g;     // [T, v_heads], logarithm of the decay
  const Real* beta;  // [T, v_heads]
  int64_t ld;
  int k_heads, v_heads, k_dim, v_dim;
};
template <class Real>
struct DeltaGrads {
  Real* dqkv;        // [T, ld of the forward call, contiguous]
  Real* dg;          // [T, v_heads]
  Real* dbeta;       // [T, v_heads]
  const Real* dout;  // [T, v_heads, v_dim]
};
inline constexpr int kDeltaChunk = 64;  // rows of a chunk, forward and backward
// One document and one key head with all value heads that read it.
struct DeltaBackwardUnit {
  int64_t row0, rows;
  int k_head;
};
// Rows of one sequence, columns of one head.
template <class Real>
struct DeltaUnit {
  Real* state;  // [k_dim, v_dim] of the head
  int64_t row0, rows;
  int head, column, columns;
};

template <class Real>
struct AdamWCall {
  Real decay;                                                        // 1 − lr · weight_decay
  Real keep1, beta2, keep2, step_size, eps, sqrt_bias2, grad_scale;  // keep = 1 − beta
};

inline constexpr int kAttnQueries = 64;        // most query vectors (rows × heads) of an AttnUnit
inline constexpr int kAttnBackwardBlock = 64;  // keys of a block of the backward pass, and query rows
// Elements of scratch of a unit, forward or backward: these times head_dim, and these.
inline constexpr int kAttnScratchPerDim = 2 * kAttnQueries + 2 * kPage;
inline constexpr int kAttnScratchFixed = 2 * kAttnBackwardBlock * kAttnBackwardBlock;
static_assert(kAttnScratchPerDim >= 2 * kAttnBackwardBlock &&
              kAttnScratchFixed >= kAttnQueries * kPage + 2 * kAttnQueries);

template <class Real>
struct KernelTable {
  const char* isa;

  // Contiguous arrays of n elements; outputs may be an input.
  void (*add)(Real* out, const Real* a, const Real* b, int64_t n);
  void (*scale)(Real* out, const Real* a, Real s, int64_t n);
  void (*axpy)(Real* y, Real a, const Real* x, int64_t n);
  void (*silu_mul)(Real* out, const Real* gate, const Real* up, int64_t n);
  void (*silu_mul_backward)(Real* dgate, Real* dup, const Real* gate, const Real* up, const Real* dout,
                            int64_t n);
  void (*sigmoid)(Real* out, const Real* x, int64_t n);
  void (*sigmoid_backward)(Real* dx, const Real* out, const Real* dout, int64_t n);
  void (*sigmoid_mul)(Real* out, const Real* gate, const Real* x, int64_t n);
  void (*sigmoid_mul_backward)(Real* dgate, Real* dx, const Real* gate, const Real* x, const Real* dout,
                               int64_t n);
  void (*exp)(Real* out, const Real* x, int64_t n);
  double (*sum)(const Real* x, int64_t n);
  double (*sum_squares)(const Real* x, int64_t n);
  void (*adamw)(const AdamWCall<Real>& call, Real* param, const Real* grad, Real* m, Real* v, int64_t n);
  void (*convert)(void* dst, Number to, const void* src, Number from, int64_t n);

  // One row of d elements. rms_norm_backward adds to dw unless it is null.
  void (*rms_norm)(Real* out, const Real* x, const Real* w, Real eps, int64_t d);
  void (*rms_norm_backward)(Real* dx, Real* dw, const Real* x, const Real* w, Real eps, const Real* dout,
                            int64_t d);
  // One head of hd elements; table [rot/2, 2], sign −1 for the inverse.
  void (*rope)(Real* out, const Real* x, const Real* table, int hd, int rot, Real sign);
  // Elements [first, first + n) of a row; of block formats both are multiples of 32.
  void (*dequantise)(Real* out, const uint8_t* row, Format format, int64_t first, int64_t n);
  Real (*cross_entropy)(const Real* logits, int64_t n, int64_t target);
  void (*cross_entropy_backward)(Real* dlogits, const Real* logits, int64_t n, int64_t target, Real dloss);

  // Weight rows [begin, end) of all rows of x; scratch: kPanelRows · k elements rounded up to whole vectors.
  void (*linear)(const LinearCall<Real>& call, int64_t begin, int64_t end, Real* scratch);
  void (*gemm)(const GemmCall<Real>& call);

  ProductKernels<Real> product;       // of the numbers as they are
  ProductKernels<Real> bf16_product;  // of operands rounded to bf16 (f32 tables)

  // Channels [begin, end).
  void (*causal_conv)(const ConvCall<Real>& call, int64_t begin, int64_t end);
  void (*causal_conv_backward)(const ConvCall<Real>& call, const ConvGrads<Real>& grads, int64_t begin,
                               int64_t end);
  // Row by row. Scratch: 2 · k_dim elements.
  void (*delta_step)(const DeltaCall<Real>& call, const DeltaUnit<Real>& unit, Real* scratch);
  // In chunks, counted from the unit's first row. Scratch: kDeltaChunk · (4 · k_dim + v_dim + 2 · kDeltaChunk
  // + 3) elements.
  void (*delta_chunk)(const DeltaCall<Real>& call, const DeltaUnit<Real>& unit, Real* scratch);
  // Scratch: k_dim · v_dim · (chunks of the document + kDeltaChunk + 2) + (kDeltaChunk + 2) · (2 · k_dim +
  // 2 · v_dim + 2) elements.
  void (*delta_backward)(const DeltaCall<Real>& call, const DeltaGrads<Real>& grads,
                         const DeltaBackwardUnit& unit, Real* scratch);

  // Scratch: kAttnScratchPerDim · hd + kAttnScratchFixed elements.
  void (*attention)(const AttnCall<Real>& call, const AttnUnit& unit, Real* scratch);
  void (*attention_backward)(const AttnBackwardCall<Real>& call, const AttnBackwardUnit& unit, Real* scratch);
};

// Filled by isa/*.cc. Each copies the lower table first and overwrites what it does better; the caller has
// checked that the machine runs it.
void fill_generic(KernelTable<float>& table);
void fill_generic(KernelTable<double>& table);
void fill_avx2(KernelTable<float>& table);
void fill_avx512(KernelTable<float>& table);
void fill_avx512_bf16(KernelTable<float>& table);  // bf16_product by dot instructions, over any table

}  // namespace qw::cpu
