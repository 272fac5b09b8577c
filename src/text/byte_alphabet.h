// The byte alphabet of byte-level BPE (bytes_to_unicode of openai/gpt-2 encoder.py): each byte has a
// printable character that stands for it in vocabulary files ("Ġ" is a space). Test:
// tests/text/tokenizer_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace qw::text {

// The bytes that a spelling of the vocabulary stands for; none where it has a character outside the alphabet.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);
// The same, appended to `out`; false, with `out` as it was, where there are none.
bool append_bytes_of_spelling(std::string& out, std::string_view spelling);

// The spelling of bytes.
std::string spelling_of_bytes(std::string_view bytes);

}  // namespace qw::text
