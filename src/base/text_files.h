// Which files of a Hugging Face folder belong to its text, whatever becomes of the weights: tokenizer, chat
// templates, generation defaults, modules of an embedding model, licence. From what transformers,
// sentence-transformers, their tokenizers and qw read. Test: tests/hub/select_test.cc,
// tests/io/hf_folder_writer_test.cc
#pragma once

#include <string_view>

namespace qw {

// `path` is relative to the folder, with "/": "tokenizer.json", "1_Pooling/config.json", "LICENSE.txt".
bool is_text_file(std::string_view path);
// LICENSE…, NOTICE… of the folder itself; text files too.
bool is_licence_file(std::string_view path);

}  // namespace qw
