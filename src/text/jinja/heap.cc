#include "text/jinja/heap.h"

#include <cstring>

#include "text/jinja/unicode.h"

namespace qw::text::jinja {

void* Heap::Meter::do_allocate(size_t bytes, size_t alignment) {
  take(bytes);
  return std::pmr::new_delete_resource()->allocate(bytes, alignment);
}

void Heap::Meter::do_deallocate(void* p, size_t bytes, size_t alignment) {
  std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
}

Heap::Heap(size_t max_bytes, size_t max_steps) : meter_(max_bytes), memory_(&meter_), max_steps_(max_steps) {}

std::string_view Heap::copy(std::string_view text) {
  if (text.empty()) return {};
  touch(text.size());
  char* p = static_cast<char*>(memory_.allocate(text.size(), 1));
  std::memcpy(p, text.data(), text.size());
  return {p, text.size()};
}

Value Heap::string(std::string_view text, bool markup) {
  return string_view(copy(text), markup);
}

Value Heap::string_view(std::string_view text, bool markup) {
  return string_view(text, count_cps(text), markup);
}

Value Heap::string_view(std::string_view text, size_t n_chars, bool markup) {
  return Value::of(make<Str>(text, n_chars, markup));
}

Value Heap::integer(const BigInt& v) {
  if (const auto small = v.small()) return Value::of(*small);
  const size_t n = v.limbs().size();
  auto* limbs = static_cast<uint32_t*>(memory_.allocate(n * sizeof(uint32_t), alignof(uint32_t)));
  std::memcpy(limbs, v.limbs().data(), n * sizeof(uint32_t));
  Value out = Value::of_kind(Kind::big_integer);
  out.big = make<BigRep>(v.negative(), std::span<const uint32_t>(limbs, n));
  return out;
}

List* Heap::list() {
  return make<List>(&memory_);
}

Value Heap::tuple(std::initializer_list<Value> items) {
  List* out = list();
  out->items.assign(items.begin(), items.end());
  return Value::of(out, Kind::tuple);
}

Dict* Heap::dict() {
  return make<Dict>(&memory_);
}

Value Heap::undefined(Value name, Value object) {
  Value out = Value::of_kind(Kind::undefined);
  out.undefined = make<Undefined>(std::string_view(), name, object);
  return out;
}

Value Heap::undefined_hint(std::string_view hint) {
  Value out = Value::of_kind(Kind::undefined);
  out.undefined = make<Undefined>(copy(hint), Value::none(), Value::missing());
  return out;
}

}  // namespace qw::text::jinja
