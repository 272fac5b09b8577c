#include "nn/load.h"

namespace qw::nn {

void LoadVisitor::on_weight(Weight& w, ShardAxis) {
  if (error_) return;
  if (Status s = load(w); !s) error_ = s.error();
}

Status LoadVisitor::finish() {
  if (error_) return tl::unexpected<Error>(*error_);
  return source_.finish();
}

Status LoadVisitor::load(Weight& w) {
  QW_TRY(const WeightBytes bytes, source_.take(w.name, w.shape.dims()));
  w.trainable = trainable_ && traits(bytes.format).is_float;
  // Vectors and convolutions are small and used by kernels of one type. Trained matrices need a type that the
  // optimiser can step in.
  const bool real = w.shape.rank() != 2 || w.trainable || backend_.real() == DType::f64;
  if (real && traits(bytes.format).is_float) return to_real(w, bytes);
  // Files may say so of any tensor; only matrices are computed with in blocks.
  if (w.shape.rank() != 2 && !traits(bytes.format).is_float)
    return fail("weights.not_matrix", {{"tensor", w.name}, {"found", traits(bytes.format).name}});
  w.format = bytes.format;
  const DType dtype = storage_dtype(w.format);
  QW_TRY(StoragePtr storage, backend_.import_host(bytes.bytes, bytes.holder));
  const Shape stored = dtype == DType::u8 ? Shape{w.rows(), row_bytes(w.format, w.cols())} : w.shape;
  w.data = Tensor(std::move(storage), 0, stored, dtype);
  if (bytes.input_order.empty()) return {};
  const Shape order{w.cols()};
  QW_TRY(StoragePtr held, backend_.alloc(bytes.input_order.size() * sizeof(int32_t)));
  w.input_order = Tensor(std::move(held), 0, order, DType::i32);
  backend_.upload(w.input_order, bytes.input_order.data());
  return {};
}

Status LoadVisitor::to_real(Weight& w, const WeightBytes& bytes) {
  QW_TRY(StoragePtr raw, backend_.import_host(bytes.bytes, bytes.holder));
  const Tensor stored(std::move(raw), 0, w.shape, storage_dtype(bytes.format));
  const DType real = backend_.real();
  QW_TRY(StoragePtr owned, backend_.alloc(static_cast<size_t>(w.shape.elements() * traits(real).bytes)));
  w.format = real == DType::f64 ? QuantFormat::f64 : QuantFormat::f32;
  w.data = Tensor(std::move(owned), 0, w.shape, real);
  backend_.copy(w.data, stored);
  return {};
}

}  // namespace qw::nn
