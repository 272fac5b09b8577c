// Any bytes as qwen.tiktoken; what loads encodes the bytes and decodes the ids again.
#include <cstdint>
#include <cstdlib>

#include "text/tokenizer_parts.h"
#include "text/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto parts = qw::parse_tiktoken(bytes, "f");
  if (!parts || !qw::number_added_tokens("f", *parts->bpe, parts->added)) return 0;
  const qw::Tokenizer tokenizer = qw::TokenizerBuilder::build(*std::move(parts));
  const auto ids = tokenizer.encode(bytes.substr(0, 4096));
  for (const int32_t id : ids) {
    if (!tokenizer.has_token(id)) std::abort();
  }
  if (!qw::text::utf8_valid(tokenizer.decode(ids, false))) std::abort();
  return 0;
}
