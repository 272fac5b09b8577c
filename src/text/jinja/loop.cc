#include "text/jinja/loop.h"

#include "text/jinja/iterate.h"

namespace qw::text::jinja {
namespace {

// loop.cycle and loop.changed as values.
class LoopMethod final : public Object {
 public:
  LoopMethod(LoopContext* loop, bool cycle) : loop_(loop), cycle_(cycle) {}
  Value call(Interpreter& in, const Args& args) override {
    if (!args.keywords.empty()) type_error("loop methods take no keyword arguments");
    return cycle_ ? loop_->cycle(args) : loop_->changed(in, args);
  }
  std::string repr(Interpreter&) const override { return "<bound method of LoopContext>"; }
  std::string_view type_name() const override { return "method"; }

 private:
  LoopContext* loop_;
  bool cycle_;
};

}  // namespace

bool LoopFilter::next(Interpreter& in, Value& out) {
  while (items_->next(in, out))
    if (in.loop_test(node_, activation_, out)) return true;
  return false;
}

bool LoopContext::peek(Interpreter& in) {
  if (after_.is(Kind::missing)) {
    Value v;
    if (items_->next(in, v)) after_ = v;
  }
  return !after_.is(Kind::missing);
}

bool LoopContext::next(Interpreter& in, Value& out) {
  if (!after_.is(Kind::missing)) {
    out = std::exchange(after_, Value::missing());
  } else if (!items_->next(in, out)) {
    return false;
  }
  ++index0_;
  before_ = current_;
  current_ = out;
  return true;
}

int64_t LoopContext::count(Interpreter& in) {
  if (count_) return *count_;
  if (!source_.is(Kind::missing)) count_ = length_of(source_);
  if (!count_) {
    // No length of its own: take the rest now and go on from that copy.
    List* rest = in.heap().list();
    for (Value v; items_->next(in, v);) rest->items.push_back(v);
    items_ = in.iterate(Value::of(rest));
    count_ = static_cast<int64_t>(rest->items.size()) + index0_ + 1 + !after_.is(Kind::missing);
  }
  return *count_;
}

Value LoopContext::call(Interpreter& in, const Args& args) {
  if (args.positional.size() != 1 || !args.keywords.empty()) type_error("loop() takes one argument");
  if (!node_.recursive) type_error("The loop must have the 'recursive' marker to be called recursively.");
  return in.call_recursive_loop(node_, closure_, args.positional[0], depth0_ + 1);
}

std::optional<Value> LoopContext::attribute(Interpreter& in, std::string_view name) {
  if (name == "index") return Value::of(index0_ + 1);
  if (name == "index0") return Value::of(index0_);
  if (name == "first") return Value::of(index0_ == 0);
  if (name == "last") return Value::of(!peek(in));
  if (name == "length") return Value::of(count(in));
  if (name == "revindex") return Value::of(count(in) - index0_);
  if (name == "revindex0") return Value::of(count(in) - index0_ - 1);
  if (name == "depth") return Value::of(depth0_ + 1);
  if (name == "depth0") return Value::of(depth0_);
  if (name == "previtem")
    return index0_ == 0 ? in.heap().undefined_hint("there is no previous item") : before_;
  if (name == "nextitem") return peek(in) ? after_ : in.heap().undefined_hint("there is no next item");
  if (name == "cycle" || name == "changed")
    return Value::of(static_cast<Object*>(in.heap().make<LoopMethod>(this, name == "cycle")));
  return std::nullopt;
}

std::string LoopContext::repr(Interpreter& in) const {
  auto& self = const_cast<LoopContext&>(*this);  // the length may have to be counted first
  return fmt::format("<LoopContext {}/{}>", index0_ + 1, self.count(in));
}

Value LoopContext::cycle(const Args& args) const {
  if (args.positional.empty()) type_error("no items for cycling given");
  return args.positional[static_cast<size_t>(index0_) % args.positional.size()];
}

Value LoopContext::changed(Interpreter& in, const Args& args) {
  List* now = in.heap().list();
  now->items.assign(args.positional.begin(), args.positional.end());
  const Value tuple = Value::of(now, Kind::tuple);
  if (!last_changed_.is(Kind::missing) && equal(in.heap(), last_changed_, tuple)) return Value::of(false);
  last_changed_ = tuple;
  return Value::of(true);
}

}  // namespace qw::text::jinja
