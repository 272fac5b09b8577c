// A chat template: parsed once, rendered many times (from any thread). The language is Jinja with the meaning
// of jinja2 3.1 as transformers 5.12 configures it: immutable sandbox, trim_blocks, lstrip_blocks, break and
// continue, {% generation %}, tojson without ASCII or HTML escapes, raise_exception, strftime_now.
// Spec: docs/text_templates.md. Test: tests/text/chat_template_test.cc
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/local_time.h"

namespace qw {

namespace text::jinja {
class Heap;
struct Dict;
struct List;
struct Value;
}  // namespace text::jinja

// What one rendering may use before it fails with template.limit. A hundred messages take about 10⁴ steps.
struct RenderLimits {
  size_t max_bytes = size_t{1} << 30;  // of values made and text written
  size_t max_steps = 50'000'000;       // nodes evaluated, and 16 bytes of text touched
};

// The variables of a rendering, and its clock.
class RenderInputs {
 public:
  RenderInputs();
  ~RenderInputs();
  RenderInputs(RenderInputs&&) noexcept;
  RenderInputs& operator=(RenderInputs&&) noexcept;

  // The last value of a name counts. JSON keeps the order of keys, big integers and the difference of 1
  // and 1.0. Errors: json.parse, json.too_deep, template.limit.
  Status set_json(std::string_view name, std::string_view json);
  // Every member of a JSON object becomes a variable. Errors as set_json; template.input where it is no
  // object.
  Status set_all_json(std::string_view object);
  void set_text(std::string_view name, std::string_view utf8);  // ill-formed parts become U+FFFD
  void set_bool(std::string_view name, bool value);
  void set_null(std::string_view name);

  // For values made on heap().
  void set(std::string_view name, const text::jinja::Value& value);
  text::jinja::Heap& heap() { return *heap_; }

  LocalTime now;
  RenderLimits limits;

 private:
  friend class ChatTemplate;
  std::unique_ptr<text::jinja::Heap> heap_;
  text::jinja::Dict* variables_;
};

struct Rendered {
  std::string text;
  // Byte ranges [first, second) of `text` written by {% generation %} blocks: what the assistant said, for
  // training.
  std::vector<std::pair<size_t, size_t>> generation;
};

class ChatTemplate {
 public:
  // Errors: template.syntax (args line, column, message).
  static Result<ChatTemplate> parse(std::string_view source);

  // Errors: template.runtime, template.limit (args line, column, message), template.raised (message is that
  // of raise_exception). Lines and columns count from 1, columns in characters.
  Result<Rendered> render_with_spans(const RenderInputs& inputs) const;
  Result<std::string> render(const RenderInputs& inputs) const;

 private:
  struct Parsed;
  explicit ChatTemplate(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace qw
