// From messages to the prompt that a model was trained on: the checkpoint's chat template, or another one.
// Test: tests/e2e/render_test.cc, tests/apps/chat_prompt_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/chat_renderer.h"
#include "text/tokenizer.h"

namespace qw::apps {

// The templates and named tokens of MODEL; a folder needs only tokenizer_config.json or chat_template.jinja.
// `template_file` is used instead of the model's own templates.
Result<ChatRenderer> open_renderer(std::string_view model, const std::optional<std::string>& template_file);
// Those of a tokenizer at hand.
Result<ChatRenderer> renderer_of(const Tokenizer& tokenizer, const std::optional<std::string>& template_file);

// Whether the template shows tools to the model and writes calls in a form that OutputEventParser reads.
bool renders_tool_calls(const ChatRenderer& renderer, std::string_view tools);

// What `qw run` adds to the object that `qw render` takes: add_generation_prompt is true unless the object's
// kwargs say otherwise; `kwargs` (a JSON object, "" for none) wins over them; `no_think` sets enable_thinking
// to false. The spelling of everything else is kept. Errors: json.parse, json.too_deep, prompt.no_object
// (args file), cli.bad_kwargs (args value).
struct PromptUse {
  bool no_think = false;
  std::string kwargs = {};
};
Result<std::string> answer_object(std::string_view object, std::string_view file, const PromptUse& use);

}  // namespace qw::apps
