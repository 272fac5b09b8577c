// Members of CpuBackend: blocked products over packed operands. Included by cpu_backend.cc.
#pragma once

#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/memory.inl"

namespace qw::cpu {

// Numbers of k packed at once: a panel of A then stays in L1, a block of panels of B in L2.
inline constexpr int64_t kDepthBlock = 512;
inline constexpr int64_t kPackedB = int64_t{1} << 21;  // elements of B packed at once, for all threads
inline constexpr int64_t kCachedB = int64_t{3} << 16;  // elements of B that a thread goes through repeatedly
inline constexpr int64_t kTaskPanels = 32;             // panels of A of a task, at most
inline constexpr int64_t kDecodedColumns = 64;         // columns of a weight decoded at once by linear_dx

// C is cut in blocks of columns, then k in blocks of depth, then rows among the threads: what a thread adds
// to an element comes in the order of k.
template <class Real>
template <class PackB>
void CpuBackend<Real>::packed_product(const ProductKernels<Real>& kernels, const Product& p, PackB pack_b) {
  const auto up = [](int64_t x, int64_t to) { return (x + to - 1) / to * to; };
  const int64_t depths = (p.k + kDepthBlock - 1) / kDepthBlock;
  const int64_t depth = up((p.k + depths - 1) / depths, 32);  // whole blocks of a quantised row
  const int64_t padded = up(p.n, kDecodedColumns);
  const int64_t parts = (padded * depth + kPackedB - 1) / kPackedB;
  const int64_t width = up((p.n + parts - 1) / parts, kDecodedColumns);  // columns packed at once
  const int64_t layers = std::clamp<int64_t>(kPackedB / (width * depth), 1, depths);
  const int64_t panels = (p.m + kernels.rows - 1) / kernels.rows;
  const int64_t tasks = std::min(panels, up((panels + kTaskPanels - 1) / kTaskPanels, pool_.threads()));
  const int64_t task_rows = (panels + tasks - 1) / tasks * kernels.rows;
  reserve_packed(layers * width * depth);
  reserve_scratch(std::max(task_rows * depth, kDecodedColumns * depth));
  for (int64_t column = 0; column < p.n; column += width) {
    const int64_t columns = std::min(width, p.n - column);
    for (int64_t first = 0; first < depths; first += layers) {
      const int64_t count = std::min(layers, depths - first);
      const int64_t groups = (columns + kDecodedColumns - 1) / kDecodedColumns;
      pool_.parallel_for(count * groups, std::max<int64_t>(1, groups / (2 * pool_.threads())),
                         [&](int64_t begin, int64_t end, int thread) {
                           for (int64_t i = begin; i < end; ++i) {
                             const int64_t k0 = (first + i / groups) * depth,
                                           j = i % groups * kDecodedColumns;
                             const int64_t deep = std::min(depth, p.k - k0);
                             const int64_t units = (deep + kernels.depth - 1) / kernels.depth;
                             pack_b(packed_.get() + i / groups * width * depth + j * units, column + j,
                                    std::min(kDecodedColumns, columns - j), k0, deep, thread);
                           }
                         });
      pool_.parallel_for(tasks, 1, [&](int64_t begin, int64_t end, int thread) {
        for (int64_t t = begin; t < end; ++t)
          for (int64_t layer = 0; layer < count; ++layer) {
            const int64_t k0 = (first + layer) * depth;
            product_block(
                kernels, p,
                {panels * t / tasks * kernels.rows, std::min(panels * (t + 1) / tasks * kernels.rows, p.m),
                 column, columns, k0, std::min(depth, p.k - k0)},
                packed_.get() + layer * width * depth, scratch(thread));
          }
      });
    }
  }
}

// Rows and columns of one block of depth: packs A, then goes through B in parts that stay in cache.
template <class Real>
void CpuBackend<Real>::product_block(const ProductKernels<Real>& kernels, const Product& p,
                                     const ProductBlock& b, const Real* packed_b, Real* scratch) {
  const int64_t rows = b.row_end - b.row;
  const int64_t units = (b.depth + kernels.depth - 1) / kernels.depth;
  kernels.pack_a({scratch, p.a + b.row * p.a_row + b.k * p.a_col, rows, b.depth, p.a_row, p.a_col});
  const int64_t step = std::max<int64_t>(kCachedB / units / kernels.columns, 1) * kernels.columns;
  const bool last = b.k + b.depth == p.k;
  for (int64_t j = 0; j < b.columns; j += step)
    kernels.multiply({p.c + b.row * p.ldc + b.column + j, scratch, packed_b + j * units,
                      last && p.bias != nullptr ? p.bias + b.column + j : nullptr, rows,
                      std::min(step, b.columns - j), units, p.ldc, p.add || b.k > 0});
}

template <class Real>
void CpuBackend<Real>::reserve_packed(int64_t elements) {
  if (elements <= packed_elements_) return;
  packed_.reset(static_cast<Real*>(aligned_memory(static_cast<size_t>(elements) * sizeof(Real))));
  QW_CHECK(packed_ != nullptr, "out of memory for {} bytes of packed operands",
           static_cast<size_t>(elements) * sizeof(Real));
  packed_elements_ = elements;
}

}  // namespace qw::cpu
