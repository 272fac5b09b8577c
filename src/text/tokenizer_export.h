// A loaded tokenizer in the form that a GGUF file carries, as llama.cpp's convert_hf_to_gguf writes it.
// Test: tests/text/tokenizer_export_test.cc
#pragma once

#include "text/tokenizer.h"

namespace qw {

// Rows of the vocabulary without a token are "[PADn]", unused, up to the last token. Errors: text.no_gguf_pre
// (GGUF has no name for the pre-tokenizer).
Result<GgufTokenizerData> export_to_gguf(const Tokenizer& tokenizer);

}  // namespace qw
