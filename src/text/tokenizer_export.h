// A loaded tokenizer in the forms in which files carry it: GGUF's, as llama.cpp's convert_hf_to_gguf writes
// it, and the files of a Hugging Face folder. Test: tests/text/tokenizer_export_test.cc
#pragma once

#include <map>

#include "text/tokenizer.h"

namespace qw {

// Rows of the vocabulary without a token are "[PADn]", unused, up to the last token. Errors: text.no_gguf_pre
// (GGUF has no name for the pre-tokenizer).
Result<GgufTokenizerData> export_to_gguf(const Tokenizer& tokenizer);

// tokenizer.json (read by HF `tokenizers`) and tokenizer_config.json, by name. Errors: text.no_json_form (the
// pre-tokenizer of a GGUF file that no tokenizer.json spells).
Result<std::map<std::string, std::string>> export_to_folder(const Tokenizer& tokenizer);

}  // namespace qw
