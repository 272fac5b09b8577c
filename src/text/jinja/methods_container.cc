// The methods of dict, list, tuple, range, int and float that change nothing. Spec: Python 3.14.
// Test: tests/text/chat_template_test.cc
#include <algorithm>
#include <cmath>

#include "text/jinja/args.h"
#include "text/jinja/builtins.h"
#include "text/jinja/iterate.h"
#include "text/jinja/operators.h"

namespace qw::text::jinja {
namespace {

template <DictView::What W>
Value view(Interpreter& in, const Value& self, const Args& args) {
  bind_none("dict method", args);
  return make_view(in.heap(), self.dict, W);
}

Value get(Interpreter& in, const Value& self, const Args& args) {
  const auto [key, fallback] = bind({"get", 1, 2}, args, {"key", "default"});
  const Value* found = self.dict->find(in.heap(), key);
  return found != nullptr ? *found : value_or(fallback, Value::none());
}

Value copy_dict(Interpreter& in, const Value& self, const Args& args) {
  bind_none("copy", args);
  Dict* out = in.heap().dict();
  for (const auto& [key, value] : self.dict->items) out->set(in.heap(), key, value);
  return Value::of(out);
}

Value copy_list(Interpreter& in, const Value& self, const Args& args) {
  bind_none("copy", args);
  return Value::of(in.to_list(self));
}

Value fromkeys(Interpreter& in, const Value&, const Args& args) {
  const auto [keys, value] = bind({"fromkeys", 1, 2}, args, {"iterable", "value"});
  Dict* out = in.heap().dict();
  Iterator* it = in.iterate(keys);
  for (Value key; it->next(in, key);) out->set(in.heap(), key, value_or(value, Value::none()));
  return Value::of(out);
}

Value index(Interpreter& in, const Value& self, const Args& args) {
  const auto [item, start, stop] = bind({"index", 1, 3}, args, {"value", "start", "stop"});
  const auto n = *length_of(self);
  const auto bound = [&](const Value& v, int64_t fallback) {
    if (v.is(Kind::missing)) return fallback;
    const int64_t i = to_index(v);
    return i < 0 ? std::max<int64_t>(i + n, 0) : std::min(i, n);
  };
  for (int64_t i = bound(start, 0); i < bound(stop, n); ++i) {
    const Value v =
        self.is(Kind::range) ? range_at(*self.range, i) : self.list->items[static_cast<size_t>(i)];
    if (equal(in.heap(), v, item)) return Value::of(i);
  }
  value_error("the value is not in the {}", type_name(self));
}

Value count(Interpreter& in, const Value& self, const Args& args) {
  const auto [item] = bind({"count", 1, 1}, args, {"value"});
  int64_t n = 0;
  Iterator* it = in.iterate(self);
  for (Value v; it->next(in, v);) n += equal(in.heap(), v, item);
  return Value::of(n);
}

Value isdisjoint(Interpreter& in, const Value& self, const Args& args) {
  const auto [other] = bind({"isdisjoint", 1, 1}, args, {"other"});
  Iterator* it = in.iterate(other);
  for (Value v; it->next(in, v);)
    if (contains(in, v, self)) return Value::of(false);
  return Value::of(true);
}

Value bit_length(Interpreter&, const Value& self, const Args& args) {
  bind_none("bit_length", args);
  return Value::of(to_big(self).bits());
}

Value bit_count(Interpreter&, const Value& self, const Args& args) {
  bind_none("bit_count", args);
  int64_t n = 0;
  const BigInt big = to_big(self);
  for (const uint32_t limb : big.limbs()) n += std::popcount(limb);
  return Value::of(n);
}

Value is_integer(Interpreter&, const Value& self, const Args& args) {
  bind_none("is_integer", args);
  return Value::of(!self.is(Kind::real) || (std::isfinite(self.real) && std::trunc(self.real) == self.real));
}

Value itself(Interpreter&, const Value& self, const Args& args) {
  bind_none("conjugate", args);
  return self;
}

template <size_t N>
MethodFunction find_in(const MethodRow (&rows)[N], std::string_view name) {
  for (const MethodRow& row : rows)
    if (row.name == name) return row.function;
  return nullptr;
}

constexpr MethodRow kDict[] = {
    {"items", view<DictView::What::items>},
    {"keys", view<DictView::What::keys>},
    {"values", view<DictView::What::values>},
    {"get", get},
    {"copy", copy_dict},
    {"fromkeys", fromkeys},
};
constexpr MethodRow kList[] = {{"index", index}, {"count", count}, {"copy", copy_list}};
constexpr MethodRow kTuple[] = {{"index", index}, {"count", count}};
constexpr MethodRow kView[] = {{"isdisjoint", isdisjoint}};
constexpr MethodRow kInteger[] = {
    {"bit_length", bit_length}, {"bit_count", bit_count}, {"is_integer", is_integer}, {"conjugate", itself}};
constexpr MethodRow kReal[] = {{"is_integer", is_integer}, {"conjugate", itself}};

}  // namespace

MethodFunction find_container_method(Kind kind, std::string_view name) {
  switch (kind) {
    case Kind::dict:
      return find_in(kDict, name);
    case Kind::list:
      return find_in(kList, name);
    case Kind::tuple:
    case Kind::range:
      return find_in(kTuple, name);
    case Kind::dict_view:
      return find_in(kView, name);
    default:
      return nullptr;
  }
}

MethodFunction find_number_method(Kind kind, std::string_view name) {
  return kind == Kind::real ? find_in(kReal, name) : find_in(kInteger, name);
}

}  // namespace qw::text::jinja
