#include <algorithm>

#include "base/env.h"
#include "base/mmap.h"
#include "hub/sources.h"

namespace qw::hub {
namespace {

constexpr size_t kMaxTokenBytes = 4096;

std::string trimmed(std::string_view s) {
  const size_t begin = s.find_first_not_of(" \t\r\n");
  if (begin == s.npos) return {};
  return std::string(s.substr(begin, s.find_last_not_of(" \t\r\n") - begin + 1));
}

// A token goes into a header: nothing but visible ASCII.
std::string token(std::string_view text) {
  std::string out = trimmed(text);
  const bool plain = std::all_of(out.begin(), out.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  return plain ? out : std::string();
}

std::string token_of_file(const std::string& file) {
  const Result<std::string> text = read_file(file, kMaxTokenBytes);
  return text ? token(*text) : std::string();
}

std::string endpoint(const char* variable, std::string usual) {
  std::string out = env(variable).value_or(std::move(usual));
  while (out.ends_with('/')) out.pop_back();
  return out;
}

bool is_true(const std::string& value) {
  std::string low = value;
  std::transform(low.begin(), low.end(), low.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return low == "1" || low == "true" || low == "yes" || low == "on";
}

}  // namespace

std::string huggingface_home() {
  if (const auto home = env("HF_HOME")) return *home;
  if (const auto cache = env("XDG_CACHE_HOME")) return *cache + "/huggingface";
  if (const auto home = env("HOME")) return *home + "/.cache/huggingface";
  return {};
}

Endpoints endpoints_from_environment() {
  Endpoints out;
  out.huggingface = endpoint("HF_ENDPOINT", out.huggingface);
  if (const auto domain = env("MODELSCOPE_DOMAIN")) out.modelscope = "https://" + *domain;
  out.modelscope = endpoint("MODELSCOPE_ENDPOINT", out.modelscope);
  out.ollama = endpoint("QW_OLLAMA_ENDPOINT", out.ollama);
  for (const char* variable : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (const auto value = env(variable); value && out.hf_token.empty()) out.hf_token = token(*value);
  if (out.hf_token.empty()) {
    const std::string home = huggingface_home();
    const auto file = env("HF_TOKEN_PATH");
    if (file || !home.empty()) out.hf_token = token_of_file(file ? *file : home + "/token");
  }
  out.modelscope_token = token(env("MODELSCOPE_API_TOKEN").value_or(""));
  for (const char* variable : {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"})
    if (const auto value = env(variable); value && is_true(*value) && out.offline.empty())
      out.offline = variable;
  return out;
}

}  // namespace qw::hub
