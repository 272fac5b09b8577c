// A tokenizer small enough to check by hand.
#pragma once

#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace qw {

// A vocabulary of all bytes, a few merges, two special tokens, an ordinary added one, and padding.
inline GgufTokenizerData small_gguf() {
  GgufTokenizerData g;
  g.file = "small.gguf";
  g.model = "gpt2";
  g.pre = "qwen2";
  for (int b = 0; b < 256; ++b)
    g.tokens.push_back(text::spelling_of_bytes(std::string(1, static_cast<char>(b))));
  g.token_types.assign(256, 1);
  const auto merge = [&](const std::string& a, const std::string& b) {
    g.merges.push_back(a + " " + b);
    g.tokens.push_back(a + b);
    g.token_types.push_back(1);
  };
  merge("h", "e");         // 256
  merge("l", "l");         // 257
  merge("he", "ll");       // 258
  merge("hell", "o");      // 259
  merge("\xC4\xA0", "h");  // 260: a space and h
  const auto add = [&](const std::string& content, int32_t type) {
    g.tokens.push_back(content);
    g.token_types.push_back(type);
  };
  add("<|end|>", 3);    // 261
  add("<think>", 4);    // 262
  add("[PAD0]", 5);     // 263
  add("<|start|>", 3);  // 264
  g.named_ids = {{"bos_token", 264}, {"eos_token", 261}};
  return g;
}

}  // namespace qw
