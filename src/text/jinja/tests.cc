// The tests of `is`. Spec: jinja2.tests. Test: tests/text/chat_template_test.cc
#include <algorithm>

#include "text/jinja/args.h"
#include "text/jinja/builtins.h"
#include "text/jinja/iterate.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace qw::text::jinja {
namespace {

template <Kind K>
bool is_kind(Interpreter&, const Value& v, const Args& args) {
  bind_none("test", args);
  return v.is(K);
}

template <bool Wanted>
bool is_bool(Interpreter&, const Value& v, const Args& args) {
  bind_none("test", args);
  return v.is(Kind::boolean) && v.boolean == Wanted;
}

bool defined(Interpreter&, const Value& v, const Args& args) {
  bind_none("defined", args);
  return !v.is(Kind::undefined);
}

bool integer(Interpreter&, const Value& v, const Args& args) {
  bind_none("integer", args);
  return v.is(Kind::integer) || v.is(Kind::big_integer);
}

bool number(Interpreter&, const Value& v, const Args& args) {
  bind_none("number", args);
  return v.is_number();
}

bool sequence(Interpreter&, const Value& v, const Args& args) {
  bind_none("sequence", args);
  return length_of(v).has_value() && !v.is(Kind::dict_view);
}

bool is_iterable(Interpreter&, const Value& v, const Args& args) {
  bind_none("iterable", args);
  return iterable(v);
}

bool callable(Interpreter&, const Value& v, const Args& args) {
  bind_none("callable", args);
  return v.is(Kind::undefined) || (v.is(Kind::object) && v.object->callable());
}

bool escaped(Interpreter&, const Value& v, const Args& args) {
  bind_none("escaped", args);
  return v.is_string() && v.str->markup;
}

bool lower(Interpreter& in, const Value& v, const Args& args) {
  bind_none("lower", args);
  return is_lower(to_str(in, v).text());
}

bool upper(Interpreter& in, const Value& v, const Args& args) {
  bind_none("upper", args);
  return is_upper(to_str(in, v).text());
}

bool remainder_is(Interpreter& in, const Value& v, const Value& divisor, int wanted) {
  return equal(in.heap(), binary_op(in, BinaryOp::mod, v, divisor), Value::of(wanted));
}

bool odd(Interpreter& in, const Value& v, const Args& args) {
  bind_none("odd", args);
  return remainder_is(in, v, Value::of(2), 1);
}

bool even(Interpreter& in, const Value& v, const Args& args) {
  bind_none("even", args);
  return remainder_is(in, v, Value::of(2), 0);
}

bool divisibleby(Interpreter& in, const Value& v, const Args& args) {
  const auto [n] = bind({"divisibleby", 1}, args, {"num"});
  return remainder_is(in, v, n, 0);
}

template <CompareOp Op>
bool compared(Interpreter& in, const Value& v, const Args& args) {
  const auto [other] = bind({"comparison", 1, 1}, args, {"b"});
  return compare_op(in, Op, v, other);
}

bool in_container(Interpreter& in, const Value& v, const Args& args) {
  const auto [container] = bind({"in", 1}, args, {"seq"});
  return contains(in, v, container);
}

// Python's `is`: small integers and strings of one character are shared, other equal values are not.
bool sameas(Interpreter&, const Value& v, const Args& args) {
  const auto [other] = bind({"sameas", 1}, args, {"other"});
  if (v.kind != other.kind) return false;
  switch (v.kind) {
    case Kind::none:
      return true;
    case Kind::boolean:
      return v.boolean == other.boolean;
    case Kind::integer:
      return v.integer == other.integer && v.integer >= -5 && v.integer <= 1024;
    case Kind::real:
      return false;
    case Kind::string:
      return v.str == other.str || (v.text() == other.text() && !v.str->markup && !other.str->markup);
    default:
      return v.object == other.object;
  }
}

bool filter(Interpreter&, const Value& v, const Args& args) {
  bind_none("filter", args);
  return v.is_string() && find_filter(v.text()) != nullptr;
}

bool test(Interpreter&, const Value& v, const Args& args) {
  bind_none("test", args);
  return v.is_string() && find_test(v.text()) != nullptr;
}

constexpr TestRow kRows[] = {
    {"defined", defined},
    {"undefined", is_kind<Kind::undefined>},
    {"none", is_kind<Kind::none>},
    {"string", is_kind<Kind::string>},
    {"mapping", is_kind<Kind::dict>},
    {"iterable", is_iterable},
    {"sequence", sequence},
    {"boolean", is_kind<Kind::boolean>},
    {"true", is_bool<true>},
    {"false", is_bool<false>},
    {"integer", integer},
    {"float", is_kind<Kind::real>},
    {"number", number},
    {"callable", callable},
    {"escaped", escaped},
    {"lower", lower},
    {"upper", upper},
    {"odd", odd},
    {"even", even},
    {"divisibleby", divisibleby},
    {"in", in_container},
    {"sameas", sameas},
    {"filter", filter},
    {"test", test},
    {"==", compared<CompareOp::eq>},
    {"eq", compared<CompareOp::eq>},
    {"equalto", compared<CompareOp::eq>},
    {"!=", compared<CompareOp::ne>},
    {"ne", compared<CompareOp::ne>},
    {">", compared<CompareOp::gt>},
    {"gt", compared<CompareOp::gt>},
    {"greaterthan", compared<CompareOp::gt>},
    {">=", compared<CompareOp::ge>},
    {"ge", compared<CompareOp::ge>},
    {"<", compared<CompareOp::lt>},
    {"lt", compared<CompareOp::lt>},
    {"lessthan", compared<CompareOp::lt>},
    {"<=", compared<CompareOp::le>},
    {"le", compared<CompareOp::le>},
};

}  // namespace

TestFunction find_test(std::string_view name) {
  const auto* it =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const TestRow& r) { return r.name == name; });
  return it == std::end(kRows) ? nullptr : it->function;
}

}  // namespace qw::text::jinja
