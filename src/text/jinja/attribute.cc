// getattr and getitem of the immutable sandbox: methods of the builtin types, items of containers, and
// undefined for what does not exist, is private, or would change a value. Spec: jinja2.sandbox. Test:
// tests/text/jinja_template_test.cc
#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/iterate.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

class BoundMethod final : public Object {
 public:
  BoundMethod(MethodFunction function, const Value& self, std::string_view name)
      : function_(function), self_(self), name_(name) {}
  Value call(Interpreter& in, const Args& args) override { return function_(in, self_, args); }
  std::string repr(Interpreter&) const override {
    return fmt::format("<built-in method {} of {} object>", name_, jinja::type_name(self_));
  }
  std::string_view type_name() const override { return "builtin_function_or_method"; }

 private:
  MethodFunction function_;
  Value self_;
  std::string_view name_;
};

template <size_t N>
bool any_of(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// Attributes that every Python object has: unsafe, so undefined, and found before the items of a dict.
bool object_attribute(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "__class__",        "__doc__",     "__init__",         "__new__",          "__repr__",
      "__str__",          "__eq__",      "__ne__",           "__hash__",         "__dir__",
      "__lt__",           "__le__",      "__gt__",           "__ge__",           "__getstate__",
      "__format__",       "__reduce__",  "__reduce_ex__",    "__sizeof__",       "__delattr__",
      "__getattribute__", "__setattr__", "__subclasshook__", "__init_subclass__"};
  return name.starts_with("__") && any_of(kNames, name);
}

bool container_attribute(Kind kind, std::string_view name) {
  static constexpr std::string_view kDict[] = {
      "__len__",      "__iter__", "__getitem__", "__setitem__", "__contains__",     "__delitem__",
      "__reversed__", "__or__",   "__ror__",     "__ior__",     "__class_getitem__"};
  return kind == Kind::dict && any_of(kDict, name);
}

bool mutating(Kind kind, std::string_view name) {
  static constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  static constexpr std::string_view kList[] = {"append", "clear", "pop",    "reverse",
                                               "insert", "sort",  "extend", "remove"};
  return (kind == Kind::dict && any_of(kDict, name)) || (kind == Kind::list && any_of(kList, name));
}

Value unsafe(Heap& heap, const Value& object, std::string_view name) {
  return heap.undefined_hint(
      fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(object)));
}

// Python's getattr with the checks of the sandbox; none where the object has no such attribute.
std::optional<Value> get_attribute(Interpreter& in, const Value& object, std::string_view name) {
  Heap& heap = in.heap();
  if (object_attribute(name) || container_attribute(object.kind, name) || mutating(object.kind, name))
    return unsafe(heap, object, name);
  if (object.is(Kind::name_space)) {
    const Value* v = object.name_space->attributes.find(name);
    if (v == nullptr) return std::nullopt;
    return name.starts_with("_") ? unsafe(heap, object, name) : *v;
  }
  if (object.is(Kind::object)) return object.object->attribute(in, name);
  if (object.is(Kind::tuple) && object.list->group && (name == "grouper" || name == "list"))
    return object.list->items[name == "list"];
  MethodFunction method = nullptr;
  if (object.is_string()) {
    method = find_string_method(name);
  } else if (object.is_number()) {
    if (name == "real" || (name == "numerator" && object.is_integral()))
      return object.is_integral() ? heap.integer(to_big(object)) : object;
    method = find_number_method(object.kind, name);
  } else {
    method = find_container_method(object.kind, name);
  }
  if (method == nullptr) return std::nullopt;
  return Value::of(static_cast<Object*>(heap.make<BoundMethod>(method, object, heap.copy(name))));
}

// Python's object[key]; none for what jinja2 catches there (TypeError, LookupError).
std::optional<Value> subscript(Interpreter& in, const Value& object, const Value& key) {
  if (object.is(Kind::dict)) {
    if (key.is_string()) {
      const Value* v = object.dict->find(key.text());
      return v == nullptr ? std::nullopt : std::optional(*v);
    }
    try {
      const Value* v = object.dict->find(in.heap(), key);
      return v == nullptr ? std::nullopt : std::optional(*v);
    } catch (const Failure& failure) {
      if (failure.py != PyClass::type) throw;
      return std::nullopt;  // an unhashable key
    }
  }
  const bool indexed = object.is_string() || object.is_sequence() || object.is(Kind::range);
  if (!indexed || !key.is_integral()) return std::nullopt;
  const auto i = normal_index(to_index(key), *length_of(object));
  if (!i) return std::nullopt;
  if (object.is(Kind::range)) return range_at(*object.range, *i);
  if (object.is_sequence()) return object.list->items[static_cast<size_t>(*i)];
  const std::string_view text = object.text();
  if (object.str->ascii())
    return in.heap().string_view(text.substr(static_cast<size_t>(*i), 1), 1, object.str->markup);
  in.heap().touch(text.size());
  const size_t begin = offset_of_cp(text, static_cast<size_t>(*i));
  size_t end = begin;
  next_cp(text, end);
  return in.heap().string_view(text.substr(begin, end - begin), 1, object.str->markup);
}

}  // namespace

Value Interpreter::attribute(const Value& object, std::string_view name) {
  if (object.is(Kind::undefined)) {
    if (name.starts_with("__") && name.ends_with("__")) return unsafe(heap_, object, name);
    fail_runtime(PyClass::undefined, "{}", object.undefined->message());
  }
  if (const auto v = get_attribute(*this, object, name)) return *v;
  const bool private_name = name.starts_with("_") && object.is(Kind::object);
  if (private_name) return unsafe(heap_, object, name);
  if (object.is(Kind::dict))
    if (const Value* v = object.dict->find(name)) return *v;
  return heap_.undefined(heap_.string_view(name), object);
}

Value Interpreter::item(const Value& object, const Value& key) {
  if (object.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", object.undefined->message());
  if (const auto v = subscript(*this, object, key)) return *v;
  if (key.is_string())
    if (const auto v = get_attribute(*this, object, key.text())) return *v;
  return heap_.undefined(key, object);
}

}  // namespace qw::text::jinja
