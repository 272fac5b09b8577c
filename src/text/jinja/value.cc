#include "text/jinja/value.h"

#include <functional>

#include "text/jinja/heap.h"
#include "text/jinja/print.h"

namespace qw::text::jinja {

std::string Undefined::message() const {
  if (!hint.empty()) return std::string(hint);
  if (object.is(Kind::missing)) return fmt::format("{} is undefined", repr(name));
  if (!name.is_string()) return fmt::format("{} object has no element {}", type_name(object), repr(name));
  return fmt::format("'{} object' has no attribute {}", type_name(object), repr(name));
}

int64_t Range::length() const {
  if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

Value Object::call(Interpreter&, const Args&) {
  type_error("'{}' object is not callable", type_name());
}
std::optional<Value> Object::attribute(Interpreter&, std::string_view) {
  return std::nullopt;
}
std::optional<int64_t> Object::length(Interpreter&) {
  return std::nullopt;
}

bool truth(const Value& v) {
  switch (v.kind) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return v.boolean;
    case Kind::integer:
      return v.integer != 0;
    case Kind::real:
      return v.real != 0;
    case Kind::big_integer:
    case Kind::iterator:
    case Kind::name_space:
    case Kind::object:
      return true;
    default:
      return *length_of(v) != 0;
  }
}

std::optional<int64_t> length_of(const Value& v) {
  switch (v.kind) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return static_cast<int64_t>(v.str->n_chars);
    case Kind::list:
    case Kind::tuple:
      return static_cast<int64_t>(v.list->items.size());
    case Kind::dict:
      return static_cast<int64_t>(v.dict->items.size());
    case Kind::dict_view:
      return static_cast<int64_t>(v.view->dict->items.size());
    case Kind::range:
      return v.range->length();
    default:
      return std::nullopt;
  }
}

std::string_view type_name(const Value& v) {
  switch (v.kind) {
    case Kind::missing:
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
    case Kind::big_integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return v.str->markup ? "Markup" : "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::dict:
      return "dict";
    case Kind::dict_view:
      return v.view->what == DictView::What::keys     ? "dict_keys"
             : v.view->what == DictView::What::values ? "dict_values"
                                                      : "dict_items";
    case Kind::range:
      return "range";
    case Kind::iterator:
      return v.iterator->type_name();
    case Kind::name_space:
      return "Namespace";
    case Kind::object:
      return v.object->type_name();
  }
  return "object";
}

BigInt to_big(const Value& v) {
  if (v.is(Kind::boolean)) return BigInt(v.boolean ? 1 : 0);
  if (v.is(Kind::integer)) return BigInt(v.integer);
  const std::span<const uint32_t> limbs = v.big->limbs;
  return BigInt(v.big->negative, std::vector<uint32_t>(limbs.begin(), limbs.end()));
}

double to_real(const Value& v) {
  if (v.is(Kind::real)) return v.real;
  if (v.is(Kind::boolean)) return v.boolean ? 1 : 0;
  if (v.is(Kind::integer)) return static_cast<double>(v.integer);
  const auto out = to_big(v).to_double();
  if (!out) fail_runtime(PyClass::overflow, "int too large to convert to float");
  return *out;
}

namespace {

constexpr size_t kLinearItems = 8;
constexpr uint32_t kFree = ~uint32_t{0};

}  // namespace

template <class Same>
size_t Dict::locate(size_t hash, Same same) const {
  if (items.size() <= kLinearItems) {
    for (size_t i = 0; i < items.size(); ++i)
      if (same(items[i].first)) return i;
    return kNoOffset;
  }
  for (size_t slot = hash & (index.size() - 1);; slot = (slot + 1) & (index.size() - 1)) {
    if (index[slot] == kFree) return kNoOffset;
    if (same(items[index[slot]].first)) return index[slot];
  }
}

void Dict::index_last(Heap& heap) {
  if (items.size() <= kLinearItems) return;
  const auto insert = [&](size_t i) {
    size_t slot = hash_of(heap, items[i].first) & (index.size() - 1);
    while (index[slot] != kFree) slot = (slot + 1) & (index.size() - 1);
    index[slot] = static_cast<uint32_t>(i);
  };
  if (items.size() * 2 > index.size()) {
    size_t size = 32;
    while (size < items.size() * 4) size *= 2;
    index.assign(size, kFree);
    for (size_t i = 0; i + 1 < items.size(); ++i) insert(i);
  }
  insert(items.size() - 1);
}

const Value* Dict::find(Heap& heap, const Value& key) const {
  const size_t at = locate(hash_of(heap, key), [&](const Value& k) { return equal(heap, k, key); });
  return at == kNoOffset ? nullptr : &items[at].second;
}

const Value* Dict::find(std::string_view key) const {
  const size_t hash = items.size() <= kLinearItems ? 0 : std::hash<std::string_view>()(key);
  const size_t at = locate(hash, [&](const Value& k) { return k.is_string() && k.text() == key; });
  return at == kNoOffset ? nullptr : &items[at].second;
}

void Dict::set(Heap& heap, const Value& key, const Value& value) {
  const size_t at = locate(hash_of(heap, key), [&](const Value& k) { return equal(heap, k, key); });
  if (at != kNoOffset) {
    items[at].second = value;
    return;
  }
  items.emplace_back(key, value);
  index_last(heap);
}

}  // namespace qw::text::jinja
