// The global functions of templates. Spec: jinja2.defaults, jinja2.utils, transformers' chat_template_utils.
// Test: tests/text/chat_template_test.cc
#include <algorithm>

#include "text/jinja/args.h"
#include "text/jinja/builtins.h"
#include "text/jinja/iterate.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace qw::text::jinja {
namespace {

constexpr int64_t kMaxRange = 100000;  // jinja2.sandbox.MAX_RANGE

Value range(Interpreter& in, const Args& args) {
  if (!args.keywords.empty()) type_error("range() takes no keyword arguments");
  const size_t n = args.positional.size();
  if (n < 1 || n > 3) type_error("range expected 1 to 3 arguments, got {}", n);
  const auto at = [&](size_t i) { return to_index(args.positional[i]); };
  Range r{n == 1 ? 0 : at(0), at(n == 1 ? 0 : 1), n == 3 ? at(2) : 1};
  if (r.step == 0) value_error("range() arg 3 must not be zero");
  // Bounds of 64 bits would overflow the arithmetic; a range that long is refused by its length anyway.
  const int64_t bound = int64_t{1} << 61;
  const bool wild =
      std::max({r.start, r.stop, r.step}) > bound || std::min({r.start, r.stop, r.step}) < -bound;
  if (wild || r.length() > kMaxRange)
    fail_runtime(PyClass::overflow, "Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).",
                 kMaxRange);
  Value out = Value::of_kind(Kind::range);
  out.range = in.heap().make<Range>(r);
  return out;
}

// dict(mapping or pairs, **more)
void fill_dict(Interpreter& in, Dict& out, const Args& args) {
  if (args.positional.size() > 1)
    type_error("dict expected at most 1 argument, got {}", args.positional.size());
  if (args.positional.size() == 1) {
    const Value& source = args.positional[0];
    if (source.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", source.undefined->message());
    Iterator* it =
        in.iterate(source.is(Kind::dict) ? make_view(in.heap(), source.dict, DictView::What::items) : source);
    for (Value pair; it->next(in, pair);) {
      in.heap().step();
      const List* parts = in.to_list(pair);
      if (parts->items.size() != 2)
        value_error("dictionary update sequence element has length {}; 2 is required", parts->items.size());
      out.set(in.heap(), parts->items[0], parts->items[1]);
    }
  }
  for (const Keyword& keyword : args.keywords)
    out.set(in.heap(), in.heap().string(keyword.name), keyword.value);
}

Value dict(Interpreter& in, const Args& args) {
  Dict* out = in.heap().dict();
  fill_dict(in, *out, args);
  return Value::of(out);
}

Value name_space(Interpreter& in, const Args& args) {
  Value out = Value::of_kind(Kind::name_space);
  out.name_space = in.heap().make<Namespace>(in.heap().memory());
  fill_dict(in, out.name_space->attributes, args);
  return out;
}

class Cycler final : public Object {
 public:
  explicit Cycler(List* items) : items_(items) {}
  std::optional<Value> attribute(Interpreter& in, std::string_view name) override;
  std::string repr(Interpreter&) const override { return "<jinja2.utils.Cycler object>"; }
  std::string_view type_name() const override { return "Cycler"; }
  bool callable() const override { return false; }

  Value next() {
    const Value out = items_->items[at_];
    at_ = (at_ + 1) % items_->items.size();
    return out;
  }
  void reset() { at_ = 0; }

 private:
  List* items_;
  size_t at_ = 0;
};

class CyclerMethod final : public Object {
 public:
  CyclerMethod(Cycler* cycler, bool next) : cycler_(cycler), next_(next) {}
  Value call(Interpreter&, const Args& args) override {
    bind_none("cycler method", args);
    if (next_) return cycler_->next();
    cycler_->reset();
    return Value::none();
  }
  std::string repr(Interpreter&) const override { return "<bound method of Cycler>"; }
  std::string_view type_name() const override { return "method"; }

 private:
  Cycler* cycler_;
  bool next_;
};

std::optional<Value> Cycler::attribute(Interpreter& in, std::string_view name) {
  if (name == "current") return items_->items[at_];
  if (name == "pos") return Value::of(at_);
  if (name == "items") return Value::of(items_, Kind::tuple);
  if (name != "next" && name != "reset") return std::nullopt;
  return Value::of(static_cast<Object*>(in.heap().make<CyclerMethod>(this, name == "next")));
}

Value cycler(Interpreter& in, const Args& args) {
  if (!args.keywords.empty()) type_error("cycler() takes no keyword arguments");
  if (args.positional.empty()) fail_runtime(PyClass::other, "at least one item has to be provided");
  List* items = in.heap().list();
  items->items.assign(args.positional.begin(), args.positional.end());
  return Value::of(static_cast<Object*>(in.heap().make<Cycler>(items)));
}

class Joiner final : public Object {
 public:
  explicit Joiner(const Value& separator) : separator_(separator) {}
  Value call(Interpreter& in, const Args& args) override {
    bind_none("joiner", args);
    return std::exchange(used_, true) ? separator_ : in.heap().string_view("");
  }
  std::optional<Value> attribute(Interpreter&, std::string_view name) override {
    if (name == "sep") return separator_;
    if (name == "used") return Value::of(used_);
    return std::nullopt;
  }
  std::string repr(Interpreter&) const override { return "<jinja2.utils.Joiner object>"; }
  std::string_view type_name() const override { return "Joiner"; }

 private:
  Value separator_;
  bool used_ = false;
};

Value joiner(Interpreter& in, const Args& args) {
  const auto [separator] = bind({"joiner"}, args, {"sep"});
  const Value text = separator.is(Kind::missing) ? in.heap().string_view(", ") : separator;
  return Value::of(static_cast<Object*>(in.heap().make<Joiner>(text)));
}

Value lipsum(Interpreter&, const Args&) {
  fail_runtime(PyClass::other, "lipsum() is not supported: a prompt must be reproducible");
}

Value raise_exception(Interpreter& in, const Args& args) {
  const auto [message] = bind({"raise_exception", 1}, args, {"message"});
  throw Failure{Fault::raised, PyClass::other, str(in, message)};
}

Value strftime_now(Interpreter& in, const Args& args) {
  const auto [format] = bind({"strftime_now", 1}, args, {"format"});
  const std::string_view pattern = need_text(format, "strftime() argument 1");
  if (pattern.size() > 4096) fail_limit("time format too long");
  return in.heap().string(in.now().format(pattern));
}

struct Row {
  std::string_view name;
  Value (*function)(Interpreter& in, const Args& args);
  std::string_view repr;
};
constexpr Row kRows[] = {
    {"range", range, "<function safe_range>"},
    {"dict", dict, "<class 'dict'>"},
    {"namespace", name_space, "<class 'jinja2.utils.Namespace'>"},
    {"cycler", cycler, "<class 'jinja2.utils.Cycler'>"},
    {"joiner", joiner, "<class 'jinja2.utils.Joiner'>"},
    {"lipsum", lipsum, "<function generate_lorem_ipsum>"},
    {"raise_exception", raise_exception, "<function raise_exception>"},
    {"strftime_now", strftime_now, "<function strftime_now>"},
};

class Global final : public Object {
 public:
  explicit Global(const Row& row) : row_(row) {}
  Value call(Interpreter& in, const Args& args) override { return row_.function(in, args); }
  std::string repr(Interpreter&) const override { return std::string(row_.repr); }
  std::string_view type_name() const override { return "function"; }

 private:
  const Row& row_;
};

}  // namespace

std::optional<Value> find_global(Interpreter& in, std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return Value::of(static_cast<Object*>(in.heap().make<Global>(row)));
  return std::nullopt;
}

}  // namespace qw::text::jinja
