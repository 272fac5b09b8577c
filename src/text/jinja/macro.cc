#include "text/jinja/macro.h"

#include "text/jinja/print.h"

namespace qw::text::jinja {

std::optional<Value> MacroObject::attribute(Interpreter& in, std::string_view name) {
  Heap& heap = in.heap();
  if (name == "name") return name_.empty() ? Value::none() : heap.string_view(name_);
  if (name == "catch_kwargs") return Value::of(body_.takes_kwargs);
  if (name == "catch_varargs") return Value::of(body_.takes_varargs);
  if (name == "caller") return Value::of(body_.takes_caller);
  if (name == "explicit_caller") return Value::of(body_.explicit_caller);
  if (name != "arguments") return std::nullopt;
  List* names = heap.list();
  for (const MacroParam& p : body_.params) names->items.push_back(heap.string_view(p.name->name));
  return Value::of(names, Kind::tuple);
}

std::string MacroObject::repr(Interpreter&) const {
  if (name_.empty()) return "<Macro anonymous>";
  std::string out = "<Macro ";
  append_repr(out, name_);
  return out + ">";
}

Value Interpreter::call_macro(const MacroBody& macro, Activation* closure, std::string_view name,
                              const Args& args) {
  const Deeper deeper(*this);
  Activation* const frame = activate(macro.function, closure);
  bind_macro_arguments(macro, *frame, name, args);
  std::string buffer;
  std::string* const sink = std::exchange(out_, &buffer);
  Activation* const around = std::exchange(frame_, frame);
  enter(macro.loads);
  for (const MacroParam& p : macro.params) {
    Value& v = slot(p.name->ref);
    if (!v.is(Kind::missing)) continue;
    if (p.fallback) {
      slot(p.name->ref) = eval(*p.fallback);
    } else {
      v = heap_.undefined_hint(fmt::format("parameter '{}' was not provided", p.name->name));
    }
  }
  run_body(macro.body);
  frame_ = around;
  out_ = sink;
  return as_markup_if_escaping(buffer);
}

// Positional arguments first, then the rest by keyword; what is left over goes to kwargs and varargs.
void Interpreter::bind_macro_arguments(const MacroBody& macro, Activation& frame, std::string_view name,
                                       const Args& args) {
  const size_t n = macro.params.size();
  std::vector<bool> used(args.keywords.size());
  for (size_t i = 0; i < n; ++i) {
    Value& v = frame.slots[macro.params[i].name->ref.slot];
    if (i < args.positional.size()) {
      v = args.positional[i];
      continue;
    }
    for (size_t k = 0; k < args.keywords.size(); ++k) {
      if (args.keywords[k].name != macro.params[i].name->name) continue;
      v = args.keywords[k].value;
      used[k] = true;
    }
  }
  bind_special_arguments(macro, frame, name, args, used);
}

void Interpreter::bind_special_arguments(const MacroBody& macro, Activation& frame, std::string_view name,
                                         const Args& args, std::vector<bool>& used) {
  if (macro.takes_caller && !macro.explicit_caller) {
    Value caller = Value::none();
    for (size_t k = 0; k < args.keywords.size(); ++k) {
      if (args.keywords[k].name != "caller") continue;
      caller = args.keywords[k].value;
      used[k] = true;
    }
    if (caller.is(Kind::none)) caller = heap_.undefined_hint("No caller defined");
    frame.slots[macro.caller_slot] = caller;
  }
  Dict* rest = heap_.dict();
  for (size_t k = 0; k < args.keywords.size(); ++k)
    if (!used[k]) rest->set(heap_, heap_.string_view(args.keywords[k].name), args.keywords[k].value);
  if (macro.takes_kwargs) {
    frame.slots[macro.kwargs_slot] = Value::of(rest);
  } else if (!rest->items.empty()) {
    type_error("macro '{}' takes no keyword argument '{}'", name, rest->items[0].first.text());
  }
  const size_t n = std::min(macro.params.size(), args.positional.size());
  if (macro.takes_varargs) {
    List* more = heap_.list();
    more->items.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(n), args.positional.end());
    frame.slots[macro.varargs_slot] = Value::of(more, Kind::tuple);
  } else if (args.positional.size() > macro.params.size()) {
    type_error("macro '{}' takes not more than {} argument(s)", name, macro.params.size());
  }
}

}  // namespace qw::text::jinja
