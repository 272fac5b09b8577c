#include "text/jinja/operators.h"

#include <algorithm>

#include "text/jinja/arithmetic.h"
#include "text/jinja/format.h"
#include "text/jinja/iterate.h"
#include "text/jinja/markup.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

constexpr const char* kOpNames[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

[[noreturn]] void unsupported(BinaryOp op, const Value& a, const Value& b) {
  for (const Value& v : {a, b})
    if (v.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", v.undefined->message());
  type_error("unsupported operand type(s) for {}: '{}' and '{}'", kOpNames[static_cast<int>(op)],
             type_name(a), type_name(b));
}

Value concat_text(Interpreter& in, const Value& a, const Value& b) {
  const bool markup = a.str->markup || b.str->markup;
  const Value x = markup ? escape(in, a) : a, y = markup ? escape(in, b) : b;
  const size_t n = x.text().size() + y.text().size();
  in.heap().touch(n);
  char* p = static_cast<char*>(in.heap().memory()->allocate(n + 1, 1));
  std::copy(x.text().begin(), x.text().end(), p);
  std::copy(y.text().begin(), y.text().end(), p + x.text().size());
  return in.heap().string_view({p, n}, x.str->n_chars + y.str->n_chars, markup);
}

Value concat_lists(Interpreter& in, const Value& a, const Value& b) {
  List* out = in.heap().list();
  out->items.reserve(a.list->items.size() + b.list->items.size());
  in.heap().step((a.list->items.size() + b.list->items.size()) / 8);
  out->items.insert(out->items.end(), a.list->items.begin(), a.list->items.end());
  out->items.insert(out->items.end(), b.list->items.begin(), b.list->items.end());
  return Value::of(out, a.kind);
}

Value repeat_list(Interpreter& in, const Value& list, int64_t count) {
  const size_t n = list.list->items.size();
  const size_t times = count < 0 || n == 0 ? 0 : static_cast<size_t>(count);
  if (times > 0) in.heap().reserve(times > (size_t{1} << 40) ? times : times * n * sizeof(Value));
  List* out = in.heap().list();
  out->items.reserve(n * times);
  for (size_t i = 0; i < times; ++i)
    out->items.insert(out->items.end(), list.list->items.begin(), list.list->items.end());
  in.heap().step(n * times / 8);
  return Value::of(out, list.kind);
}

// The sequence forms of + and *; none where they do not apply.
std::optional<Value> sequence_op(Interpreter& in, BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::add) {
    if (a.is_string() && b.is_string()) return concat_text(in, a, b);
    if (a.is_sequence() && a.kind == b.kind) return concat_lists(in, a, b);
    return std::nullopt;
  }
  if (op != BinaryOp::mul) return std::nullopt;
  const Value& sequence = a.is_integral() ? b : a;
  const Value& count = a.is_integral() ? a : b;
  if (!count.is_integral()) return std::nullopt;
  if (sequence.is_string()) return repeat_text(in, sequence, to_index(count));
  if (sequence.is_sequence()) return repeat_list(in, sequence, to_index(count));
  return std::nullopt;
}

// Start, stop, count and step of a slice over `length` elements, as Python's slice.indices().
struct SliceBounds {
  int64_t start, stop, count, step;
};

SliceBounds slice_bounds(const Value& start, const Value& stop, const Value& step, int64_t length) {
  const int64_t by = step.is(Kind::none) ? 1 : std::max(to_index(step), -std::numeric_limits<int64_t>::max());
  if (by == 0) value_error("slice step cannot be zero");
  const int64_t low = by < 0 ? -1 : 0, high = by < 0 ? length - 1 : length;
  const auto bound = [&](const Value& v, int64_t fallback) {
    if (v.is(Kind::none)) return fallback;
    const int64_t i = to_index(v);
    return i < 0 ? std::max(i + length, low) : std::min(i, high);
  };
  const int64_t from = bound(start, by < 0 ? high : low);
  const int64_t to = bound(stop, by < 0 ? low : high);
  int64_t count = 0;
  if (by > 0 && from < to) count = (to - from - 1) / by + 1;
  if (by < 0 && from > to) count = (from - to - 1) / -by + 1;
  return {from, to, count, by};
}

Value slice_text(Interpreter& in, const Str& s, const SliceBounds& b) {
  Heap& heap = in.heap();
  if (b.step == 1) {
    const auto from = static_cast<size_t>(b.start), n = static_cast<size_t>(b.count);
    if (s.ascii()) return heap.string_view(s.text.substr(from, n), n, s.markup);
    heap.touch(s.text.size());
    const size_t begin = offset_of_cp(s.text, from);
    const std::string_view rest = s.text.substr(begin);
    return heap.string_view(rest.substr(0, offset_of_cp(rest, n)), n, s.markup);
  }
  std::vector<size_t> offsets;  // of each code point
  offsets.reserve(s.n_chars);
  heap.touch(s.text.size() * 8);
  for (size_t i = 0; i < s.text.size(); next_cp(s.text, i)) offsets.push_back(i);
  std::string out;
  for (int64_t k = 0; k < b.count; ++k) {
    size_t i = offsets[static_cast<size_t>(b.start + k * b.step)];
    append_cp(out, next_cp(s.text, i));
  }
  return heap.string(out, s.markup);
}

Value slice_range(Interpreter& in, const Range& r, const SliceBounds& b) {
  Value out = Value::of_kind(Kind::range);
  const int64_t step = r.step * b.step;
  const int64_t start = r.start + b.start * r.step;
  out.range = in.heap().make<Range>(start, r.start + b.stop * r.step, step);
  return out;
}

bool any_equal(Interpreter& in, const ValueVector& items, const Value& item) {
  return std::any_of(items.begin(), items.end(), [&](const Value& v) { return equal(in.heap(), v, item); });
}

bool view_contains(Interpreter& in, const DictView& view, const Value& item) {
  const Dict& dict = *view.dict;
  if (view.what == DictView::What::keys) return dict.find(in.heap(), item) != nullptr;
  if (view.what == DictView::What::items) {
    if (!item.is(Kind::tuple) || item.list->items.size() != 2) return false;
    const Value* v = dict.find(in.heap(), item.list->items[0]);
    return v != nullptr && equal(in.heap(), *v, item.list->items[1]);
  }
  return std::any_of(dict.items.begin(), dict.items.end(),
                     [&](const auto& entry) { return equal(in.heap(), entry.second, item); });
}

}  // namespace

Value binary_op(Interpreter& in, BinaryOp op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return arithmetic(in.heap(), op, a, b);
  if (a.is_string() && op == BinaryOp::mod) return percent_format(in, a, b);
  if (const auto v = sequence_op(in, op, a, b)) return *v;
  if (op == BinaryOp::add && (a.is_string() || a.is_sequence()) && !b.is(Kind::undefined))
    type_error("can only concatenate {0} (not \"{1}\") to {0}", type_name(a), type_name(b));
  unsupported(op, a, b);
}

Value sign(Interpreter& in, const Value& v, bool minus) {
  if (v.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", v.undefined->message());
  if (!v.is_number()) type_error("bad operand type for unary {}: '{}'", minus ? '-' : '+', type_name(v));
  if (v.is(Kind::real)) return Value::of(minus ? -v.real : v.real);
  const BigInt big = to_big(v);
  return in.heap().integer(minus ? -big : big);
}

bool compare_op(Interpreter& in, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::eq:
      return equal(in.heap(), a, b);
    case CompareOp::ne:
      return !equal(in.heap(), a, b);
    case CompareOp::lt:
      return ordered(in.heap(), a, b, Order::lt);
    case CompareOp::le:
      return ordered(in.heap(), a, b, Order::le);
    case CompareOp::gt:
      return ordered(in.heap(), a, b, Order::gt);
    case CompareOp::ge:
      return ordered(in.heap(), a, b, Order::ge);
    case CompareOp::in:
      return contains(in, a, b);
    case CompareOp::not_in:
      return !contains(in, a, b);
  }
  return false;
}

bool contains(Interpreter& in, const Value& item, const Value& container) {
  switch (container.kind) {
    case Kind::string:
      if (!item.is_string())
        type_error("'in <string>' requires string as left operand, not {}", type_name(item));
      in.heap().touch(container.text().size());
      return container.text().find(item.text()) != std::string_view::npos;
    case Kind::list:
    case Kind::tuple:
      return any_equal(in, container.list->items, item);
    case Kind::dict:
      return container.dict->find(in.heap(), item) != nullptr;
    case Kind::dict_view:
      return view_contains(in, *container.view, item);
    default:
      break;
  }
  if (!iterable(container))
    type_error("argument of type '{}' is not a container or iterable", type_name(container));
  Iterator* it = in.iterate(container);
  for (Value v; it->next(in, v);) {
    in.heap().step();
    if (equal(in.heap(), v, item)) return true;
  }
  return false;
}

Value slice_op(Interpreter& in, const Value& object, const Value& start, const Value& stop,
               const Value& step) {
  if (object.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", object.undefined->message());
  if (object.is(Kind::dict)) fail_runtime(PyClass::lookup, "a dict has no slices");
  const bool sliceable = object.is_string() || object.is_sequence() || object.is(Kind::range);
  if (!sliceable) type_error("'{}' object is not subscriptable", type_name(object));
  const SliceBounds bounds = slice_bounds(start, stop, step, *length_of(object));
  if (object.is_string()) return slice_text(in, *object.str, bounds);
  if (object.is(Kind::range)) return slice_range(in, *object.range, bounds);
  List* out = in.heap().list();
  out->items.reserve(static_cast<size_t>(bounds.count));
  in.heap().step(static_cast<size_t>(bounds.count) / 8);
  for (int64_t k = 0; k < bounds.count; ++k)
    out->items.push_back(object.list->items[static_cast<size_t>(bounds.start + k * bounds.step)]);
  return Value::of(out, object.kind);
}

int64_t to_index(const Value& v) {
  if (v.is(Kind::integer)) return v.integer;
  if (v.is(Kind::boolean)) return v.boolean ? 1 : 0;
  if (v.is(Kind::big_integer))
    return v.big->negative ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
  if (v.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", v.undefined->message());
  type_error("'{}' object cannot be interpreted as an integer", type_name(v));
}

Value repeat_text(Interpreter& in, const Value& text, int64_t count) {
  const size_t n = text.text().size();
  const size_t times = count < 0 || n == 0 ? 0 : static_cast<size_t>(count);
  if (times > 0) in.heap().reserve(times > (size_t{1} << 40) ? times : times * n);
  in.heap().touch(n * times);
  char* p = static_cast<char*>(in.heap().memory()->allocate(n * times + 1, 1));
  for (size_t i = 0; i < times; ++i) std::copy(text.text().begin(), text.text().end(), p + i * n);
  return in.heap().string_view({p, n * times}, text.str->n_chars * times, text.str->markup);
}

std::optional<int64_t> normal_index(int64_t i, int64_t length) {
  if (i < 0) i += length;
  if (i < 0 || i >= length) return std::nullopt;
  return i;
}

}  // namespace qw::text::jinja
