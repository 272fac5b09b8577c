// map, select and their kin, which apply other filters and tests one item at a time, when they are asked for
// it; default and attr. Spec: jinja2.filters. Test: tests/text/chat_template_test.cc
#include <algorithm>

#include "text/jinja/args.h"
#include "text/jinja/attribute_path.h"
#include "text/jinja/builtins.h"

namespace qw::text::jinja {
namespace {

// Arguments that outlive the call: generators use them later.
Args keep(Interpreter& in, const Args& args) {
  auto* values = static_cast<Value*>(
      in.heap().memory()->allocate(args.positional.size() * sizeof(Value) + 1, alignof(Value)));
  std::uninitialized_copy(args.positional.begin(), args.positional.end(), values);
  auto* keywords = static_cast<Keyword*>(
      in.heap().memory()->allocate(args.keywords.size() * sizeof(Keyword) + 1, alignof(Keyword)));
  std::uninitialized_copy(args.keywords.begin(), args.keywords.end(), keywords);
  return {{values, args.positional.size()}, {keywords, args.keywords.size()}};
}

const Value* keyword(const Args& args, std::string_view name) {
  for (const Keyword& k : args.keywords)
    if (k.name == name) return &k.value;
  return nullptr;
}

class Mapped final : public Iterator {
 public:
  Mapped(const Value& subject, const Args& args) : subject_(subject), args_(args) {}
  bool next(Interpreter& in, Value& out) override {
    const Interpreter::Deeper deeper(in);  // generators over generators
    if (items_ == nullptr) {
      if (!truth(subject_)) return false;
      items_ = in.iterate(subject_);
      check();
    }
    in.heap().step();
    Value item;
    if (!items_->next(in, item)) return false;
    if (by_attribute_) {
      const Value* fallback = keyword(args_, "default");
      const AttributePath path(in, *keyword(args_, "attribute"), false,
                               fallback ? *fallback : Value::missing());
      out = path.get(in, item);
    } else {
      out = in.call_filter(need_text(args_.positional[0], "filter name"), item,
                           {args_.positional.subspan(1), args_.keywords});
    }
    return true;
  }

 private:
  void check() {
    by_attribute_ = args_.positional.empty() && keyword(args_, "attribute") != nullptr;
    if (!by_attribute_ && args_.positional.empty())
      fail_runtime(PyClass::other, "map requires a filter argument");
    if (!by_attribute_) return;
    for (const Keyword& k : args_.keywords)
      if (k.name != "attribute" && k.name != "default")
        fail_runtime(PyClass::other, "Unexpected keyword argument '{}'", k.name);
  }

  Value subject_;
  Args args_;
  Iterator* items_ = nullptr;
  bool by_attribute_ = false;
};

Value map(Interpreter& in, const Value& v, const Args& args) {
  return Value::of(static_cast<Iterator*>(in.heap().make<Mapped>(v, keep(in, args))));
}

class Selected final : public Iterator {
 public:
  Selected(const Value& subject, const Args& args, bool wanted, bool by_attribute)
      : subject_(subject), args_(args), wanted_(wanted), by_attribute_(by_attribute) {}
  bool next(Interpreter& in, Value& out) override {
    const Interpreter::Deeper deeper(in);  // generators over generators
    if (items_ == nullptr) {
      if (!truth(subject_)) return false;
      items_ = in.iterate(subject_);
      if (by_attribute_ && args_.positional.empty())
        fail_runtime(PyClass::other, "Missing parameter for attribute name");
    }
    while (items_->next(in, out)) {
      in.heap().step();
      if (passes(in, out) == wanted_) return true;
    }
    return false;
  }

 private:
  bool passes(Interpreter& in, Value item) const {
    size_t used = 0;
    if (by_attribute_) item = AttributePath(in, args_.positional[used++], false).get(in, item);
    if (used >= args_.positional.size()) return truth(item);
    const std::string_view test = need_text(args_.positional[used], "test name");
    return in.call_test(test, item, {args_.positional.subspan(used + 1), args_.keywords});
  }

  Value subject_;
  Args args_;
  bool wanted_, by_attribute_;
  Iterator* items_ = nullptr;
};

template <bool Wanted, bool ByAttribute>
Value selected(Interpreter& in, const Value& v, const Args& args) {
  return Value::of(static_cast<Iterator*>(in.heap().make<Selected>(v, keep(in, args), Wanted, ByAttribute)));
}

Value fallback(Interpreter& in, const Value& v, const Args& args) {
  const auto [value, boolean] = bind({"default"}, args, {"default_value", "boolean"});
  if (!v.is(Kind::undefined) && (!truth_or(boolean, false) || truth(v))) return v;
  return value.is(Kind::missing) ? in.heap().string_view("") : value;
}

// Attributes only: no fall back to the items of a dict.
Value attr(Interpreter& in, const Value& v, const Args& args) {
  const auto [name] = bind({"attr", 1}, args, {"name"});
  const std::string_view text = need_text(name, "attribute name");
  if (v.is(Kind::dict)) {
    Dict* empty = in.heap().dict();
    const Value found = in.attribute(Value::of(empty), text);
    if (found.is(Kind::undefined)) return in.heap().undefined(name, v);
  }
  return in.attribute(v, text);
}

constexpr FilterRow kRows[] = {
    {"map", map},
    {"select", selected<true, false>},
    {"reject", selected<false, false>},
    {"selectattr", selected<true, true>},
    {"rejectattr", selected<false, true>},
    {"default", fallback},
    {"d", fallback},
    {"attr", attr},
};

}  // namespace

FilterFunction find_selection_filter(std::string_view name) {
  const auto* it =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const FilterRow& r) { return r.name == name; });
  return it == std::end(kRows) ? nullptr : it->function;
}

}  // namespace qw::text::jinja
