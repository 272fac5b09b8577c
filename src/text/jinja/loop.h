// The special variable `loop` and the filter of a for loop. Spec: jinja2.runtime.LoopContext.
// Test: tests/text/chat_template_test.cc
#pragma once

#include "text/jinja/interpreter.h"

namespace qw::text::jinja {

class LoopContext final : public Object, public Iterator {
 public:
  // `source` is what is iterated (its length is that of the loop); `closure` where a recursive loop was
  // defined.
  LoopContext(const Loop& node, Activation* closure, Iterator* items, const Value& source, int depth0)
      : node_(node), closure_(closure), items_(items), source_(source), depth0_(depth0) {}

  bool next(Interpreter& in, Value& out) override;
  Value call(Interpreter& in, const Args& args) override;
  std::optional<Value> attribute(Interpreter& in, std::string_view name) override;
  std::optional<int64_t> length(Interpreter& in) override { return count(in); }
  std::string repr(Interpreter& in) const override;
  std::string_view type_name() const override { return "LoopContext"; }

  Value cycle(const Args& args) const;
  Value changed(Interpreter& in, const Args& args);

 private:
  int64_t count(Interpreter& in);
  bool peek(Interpreter& in);

  const Loop& node_;
  Activation* closure_;
  Iterator* items_;
  Value source_;
  int depth0_;
  int64_t index0_ = -1;
  std::optional<int64_t> count_;
  Value before_ = Value::missing(), current_ = Value::missing(), after_ = Value::missing();
  Value last_changed_ = Value::missing();
};

// The items that pass the test of a for loop, pulled one by one while the loop runs.
class LoopFilter final : public Iterator {
 public:
  LoopFilter(const Loop& node, Activation* activation, Iterator* items)
      : node_(node), activation_(activation), items_(items) {}
  bool next(Interpreter& in, Value& out) override;

 private:
  const Loop& node_;
  Activation* activation_;
  Iterator* items_;
};

}  // namespace qw::text::jinja
