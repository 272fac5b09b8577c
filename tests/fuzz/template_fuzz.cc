// Chat templates of any bytes, with variables of any JSON: an answer or an error, never a crash or a hang.
// The input is a template and, behind the first NUL byte, the JSON object of its variables.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = input.find('\0');
  const auto parsed = qw::ChatTemplate::parse(input.substr(0, nul));
  if (!parsed) return 0;
  qw::RenderInputs inputs;
  inputs.limits = {.max_bytes = 16 << 20, .max_steps = 200'000};
  if (nul != std::string_view::npos) (void)inputs.set_all_json(input.substr(nul + 1));
  (void)parsed->render_with_spans(inputs);
  return 0;
}
