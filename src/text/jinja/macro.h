// Macros and the callers of call blocks. Spec: jinja2.runtime.Macro. Test: tests/text/chat_template_test.cc
#pragma once

#include "text/jinja/interpreter.h"

namespace qw::text::jinja {

class MacroObject final : public Object {
 public:
  // Without a name: the caller of a call block.
  MacroObject(const MacroBody& body, Activation* closure, std::string_view name)
      : body_(body), closure_(closure), name_(name) {}

  Value call(Interpreter& in, const Args& args) override {
    return in.call_macro(body_, closure_, name_, args);
  }
  std::optional<Value> attribute(Interpreter& in, std::string_view name) override;
  std::string repr(Interpreter& in) const override;
  std::string_view type_name() const override { return "Macro"; }

 private:
  const MacroBody& body_;
  Activation* closure_;
  std::string_view name_;
};

}  // namespace qw::text::jinja
