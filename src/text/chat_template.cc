#include "text/chat_template.h"

#include <algorithm>

#include "text/jinja/interpreter.h"
#include "text/jinja/json.h"
#include "text/jinja/parser.h"
#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace qw {

namespace jinja = text::jinja;

namespace {

constexpr size_t kMaxInputBytes = size_t{1} << 32;
constexpr size_t kMaxTemplateBytes = size_t{1} << 28;  // of constants

tl::unexpected<Error> report(const jinja::Failure& failure, std::string_view source, size_t fallback) {
  static constexpr std::string_view kCodes[] = {"template.syntax", "template.runtime", "template.raised",
                                                "template.limit"};
  const size_t at = std::min(failure.offset == jinja::kNoOffset ? fallback : failure.offset, source.size());
  const std::string_view before = source.substr(0, at);
  const size_t newline = before.rfind('\n');
  const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
  return fail(kCodes[static_cast<size_t>(failure.fault)],
              {{"message", failure.message},
               {"line", 1 + std::count(before.begin(), before.end(), '\n')},
               {"column", 1 + jinja::count_cps(before.substr(line_begin))}});
}

// Lone surrogates can arise from escapes in a template; they have no UTF-8 form.
bool has_surrogates(std::string_view text) {
  for (size_t i = text.find('\xED'); i != std::string_view::npos; i = text.find('\xED', i + 1))
    if (i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) >= 0xA0) return true;
  return false;
}

}  // namespace

RenderInputs::RenderInputs()
    : heap_(std::make_unique<jinja::Heap>(kMaxInputBytes)), variables_(heap_->dict()) {}
RenderInputs::~RenderInputs() = default;
RenderInputs::RenderInputs(RenderInputs&&) noexcept = default;
RenderInputs& RenderInputs::operator=(RenderInputs&&) noexcept = default;

Status RenderInputs::set_json(std::string_view name, std::string_view json) {
  QW_TRY(const jinja::Value value, jinja::value_from_json(*heap_, json));
  variables_->set(*heap_, heap_->string(name), value);
  return {};
}

Status RenderInputs::set_all_json(std::string_view object) {
  QW_TRY(const jinja::Value value, jinja::value_from_json(*heap_, object));
  if (!value.is(jinja::Kind::dict))
    return fail("template.input", {{"what", "kwargs"}, {"expected", "object"}});
  for (const auto& [key, item] : value.dict->items) variables_->set(*heap_, key, item);
  return {};
}

void RenderInputs::set_text(std::string_view name, std::string_view utf8) {
  variables_->set(*heap_, heap_->string(name),
                  heap_->string(text::utf8_valid(utf8) ? utf8 : text::utf8_lossy(utf8)));
}

void RenderInputs::set(std::string_view name, const jinja::Value& value) {
  variables_->set(*heap_, heap_->string(name), value);
}

void RenderInputs::set_bool(std::string_view name, bool value) {
  variables_->set(*heap_, heap_->string(name), jinja::Value::of(value));
}

void RenderInputs::set_null(std::string_view name) {
  variables_->set(*heap_, heap_->string(name), jinja::Value::none());
}

struct ChatTemplate::Parsed {
  std::string source;
  jinja::Heap constants{kMaxTemplateBytes};
  jinja::Tree tree;
};

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  auto parsed = std::make_shared<Parsed>();
  if (!text::utf8_valid(source))
    return fail("template.syntax", {{"message", "the template is not UTF-8"}, {"line", 1}, {"column", 1}});
  parsed->source = jinja::normalize_source(source);
  try {
    parsed->tree = jinja::parse_template(parsed->source, parsed->constants);
  } catch (const jinja::Failure& failure) {
    return report(failure, parsed->source, 0);
  }
  return ChatTemplate(std::move(parsed));
}

Result<Rendered> ChatTemplate::render_with_spans(const RenderInputs& inputs) const {
  jinja::Heap heap(inputs.limits.max_bytes, inputs.limits.max_steps);
  jinja::Interpreter interpreter(heap, *inputs.variables_, inputs.now);
  try {
    Rendered out;
    out.text = interpreter.run(parsed_->tree);
    if (has_surrogates(out.text)) jinja::value_error("the output holds a surrogate, which has no UTF-8 form");
    out.generation = interpreter.take_spans();
    for (auto& [begin, end] : out.generation) end = std::min(end, out.text.size());
    return out;
  } catch (const jinja::Failure& failure) {
    return report(failure, parsed_->source, interpreter.offset());
  }
}

Result<std::string> ChatTemplate::render(const RenderInputs& inputs) const {
  QW_TRY(Rendered out, render_with_spans(inputs));
  return std::move(out.text);
}

}  // namespace qw
