// Equality, order and hash of values, as Python defines them across types.
#include <algorithm>
#include <cmath>
#include <functional>

#include "text/jinja/heap.h"

namespace qw::text::jinja {
namespace {

enum class Sign { less, same, greater, unordered };

Sign sign_of(int v) {
  return v < 0 ? Sign::less : v > 0 ? Sign::greater : Sign::same;
}

// An integer against a double, exactly.
Sign compare_mixed(const Value& integral, double real) {
  if (std::isnan(real)) return Sign::unordered;
  if (std::isinf(real)) return real > 0 ? Sign::less : Sign::greater;
  const int order = BigInt::compare(to_big(integral), BigInt::from_double(real));
  if (order != 0) return sign_of(order);
  const double fraction = real - std::trunc(real);
  return fraction > 0 ? Sign::less : fraction < 0 ? Sign::greater : Sign::same;
}

Sign flip(Sign s) {
  return s == Sign::less ? Sign::greater : s == Sign::greater ? Sign::less : s;
}

Sign compare_numbers(const Value& a, const Value& b) {
  const bool ra = a.is(Kind::real), rb = b.is(Kind::real);
  if (ra && rb) {
    if (std::isnan(a.real) || std::isnan(b.real)) return Sign::unordered;
    return a.real < b.real ? Sign::less : a.real > b.real ? Sign::greater : Sign::same;
  }
  if (ra) return flip(compare_mixed(b, a.real));
  if (rb) return compare_mixed(a, b.real);
  if (a.is(Kind::big_integer) || b.is(Kind::big_integer))
    return sign_of(BigInt::compare(to_big(a), to_big(b)));
  const int64_t x = a.is(Kind::boolean) ? a.boolean : a.integer;
  const int64_t y = b.is(Kind::boolean) ? b.boolean : b.integer;
  return x < y ? Sign::less : x > y ? Sign::greater : Sign::same;
}

bool same_object(const Value& a, const Value& b) {
  // Lists and dicts compare equal to themselves even where they hold a NaN: Python tests identity first.
  return a.kind == b.kind && a.kind != Kind::real && a.kind > Kind::string && a.list == b.list;
}

bool equal_item(Heap& heap, const Value& a, const Value& b, int depth) {
  if (a.is(Kind::real) && b.is(Kind::real) && std::isnan(a.real) && std::isnan(b.real)) return true;
  return equal(heap, a, b, depth);
}

bool equal_lists(Heap& heap, const ValueVector& a, const ValueVector& b, int depth) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](const Value& x, const Value& y) { return equal_item(heap, x, y, depth); });
}

bool equal_dicts(Heap& heap, const Dict& a, const Dict& b, int depth) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    const Value* other = b.find(heap, key);
    if (other == nullptr || !equal_item(heap, value, *other, depth)) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  const int64_t n = a.length();
  if (n != b.length()) return false;
  return n == 0 || (a.start == b.start && (n == 1 || a.step == b.step));
}

// Set equality of keys() or items() views; values() views have no equality of their own.
bool equal_views(Heap& heap, const DictView& a, const DictView& b, int depth) {
  using What = DictView::What;
  if (a.what == What::values || b.what == What::values) return &a == &b;
  if (a.what != b.what) return a.dict->items.empty() && b.dict->items.empty();
  if (a.what == What::items) return equal_dicts(heap, *a.dict, *b.dict, depth);
  if (a.dict->items.size() != b.dict->items.size()) return false;
  return std::all_of(a.dict->items.begin(), a.dict->items.end(),
                     [&](const auto& item) { return b.dict->find(heap, item.first) != nullptr; });
}

bool holds(Sign s, Order op) {
  switch (op) {
    case Order::lt:
      return s == Sign::less;
    case Order::le:
      return s == Sign::less || s == Sign::same;
    case Order::gt:
      return s == Sign::greater;
    case Order::ge:
      return s == Sign::greater || s == Sign::same;
  }
  return false;
}

bool ordered_lists(Heap& heap, const ValueVector& a, const ValueVector& b, Order op, int depth) {
  const size_t n = std::min(a.size(), b.size());
  for (size_t i = 0; i < n; ++i)
    if (!equal_item(heap, a[i], b[i], depth + 1)) return ordered(heap, a[i], b[i], op, depth + 1);
  return holds(a.size() < b.size() ? Sign::less : a.size() > b.size() ? Sign::greater : Sign::same, op);
}

size_t mix(size_t h, size_t v) {
  return (h ^ v) * 0x9E3779B97F4A7C15u + (h >> 29);
}

size_t hash_number(const Value& v) {
  // Equal numbers of different types must agree, so integral doubles hash as the integer they are.
  if (v.is(Kind::boolean)) return std::hash<int64_t>()(v.boolean);
  if (v.is(Kind::integer)) return std::hash<int64_t>()(v.integer);
  if (v.is(Kind::real)) {
    if (std::fabs(v.real) < 9e18 && std::trunc(v.real) == v.real)
      return std::hash<int64_t>()(static_cast<int64_t>(v.real));
    return std::hash<double>()(v.real);
  }
  return std::hash<double>()(to_big(v).to_double().value_or(0));
}

}  // namespace

bool equal(Heap& heap, const Value& a, const Value& b, int depth) {
  if (depth > kMaxValueDepth) fail_limit("values nested too deeply");
  heap.step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == Sign::same;
  if (a.kind != b.kind) return false;
  if (same_object(a, b)) return true;
  switch (a.kind) {
    case Kind::string:
      heap.touch(a.text().size());
      return a.text() == b.text();
    case Kind::list:
    case Kind::tuple:
      return equal_lists(heap, a.list->items, b.list->items, depth + 1);
    case Kind::dict:
      return equal_dicts(heap, *a.dict, *b.dict, depth + 1);
    case Kind::dict_view:
      return equal_views(heap, *a.view, *b.view, depth + 1);
    case Kind::range:
      return equal_ranges(*a.range, *b.range);
    case Kind::iterator:
    case Kind::name_space:
    case Kind::object:
      return false;  // identity was tested above
    default:
      return true;  // none, undefined
  }
}

bool ordered(Heap& heap, const Value& a, const Value& b, Order op, int depth) {
  if (depth > kMaxValueDepth) fail_limit("values nested too deeply");
  heap.step();
  if (a.is_number() && b.is_number()) return holds(compare_numbers(a, b), op);
  if (a.is_string() && b.is_string()) return holds(sign_of(a.text().compare(b.text())), op);
  if (a.is_sequence() && a.kind == b.kind)
    return ordered_lists(heap, a.list->items, b.list->items, op, depth);
  for (const Value& v : {a, b})
    if (v.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", v.undefined->message());
  constexpr const char* kNames[] = {"<", "<=", ">", ">="};
  type_error("'{}' not supported between instances of '{}' and '{}'", kNames[static_cast<int>(op)],
             type_name(a), type_name(b));
}

size_t hash_of(Heap& heap, const Value& v, int depth) {
  if (depth > kMaxValueDepth) fail_limit("values nested too deeply");
  heap.step();
  switch (v.kind) {
    case Kind::boolean:
    case Kind::integer:
    case Kind::big_integer:
    case Kind::real:
      return hash_number(v);
    case Kind::string:
      return std::hash<std::string_view>()(v.text());
    case Kind::tuple: {
      size_t h = 7;
      for (const Value& item : v.list->items) h = mix(h, hash_of(heap, item, depth + 1));
      return h;
    }
    case Kind::range:
      return mix(static_cast<size_t>(v.range->length()), 11);
    case Kind::list:
    case Kind::dict:
      type_error("unhashable type: '{}'", type_name(v));
    case Kind::dict_view:
      if (v.view->what != DictView::What::values) type_error("unhashable type: '{}'", type_name(v));
      [[fallthrough]];
    case Kind::iterator:
    case Kind::name_space:
    case Kind::object:
      return std::hash<const void*>()(v.object);
    default:
      return static_cast<size_t>(v.kind);
  }
}

}  // namespace qw::text::jinja
