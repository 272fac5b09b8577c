// Answers and files that nobody would write: names, lists of three hubs, records, journals. Whatever they
// say, the end is an error or a list whose paths are safe.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <fstream>

#include "base/mmap.h"
#include "base/rng.h"
#include "hub/catalogue.h"
#include "hub/part_file.h"
#include "hub/select.h"
#include "hub/store.h"
#include "tests/hub/fake_hub.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;

// A few bytes, or a few runs of bytes, changed, taken out or put twice.
std::string mutated(std::string text, uint64_t seed) {
  const Rng rng(name_key("hub fuzz", seed));
  static constexpr std::string_view kPieces[] = {"null", "-1",      "1e99",  "[]",
                                                 "{}",   "\"\"",    "true",  "../",
                                                 "/",    "\\u0000", "\"a\"", "18446744073709551616",
                                                 ":",    "@"};
  const uint64_t n = 1 + rng.below(4, 0);
  for (uint64_t i = 0; i < n && !text.empty(); ++i) {
    const size_t at = rng.below(text.size(), 10 * i + 1);
    const size_t length = std::min<size_t>(1 + rng.below(12, 10 * i + 2), text.size() - at);
    switch (rng.below(4, 10 * i + 3)) {
      case 0:
        text[at] = static_cast<char>(rng.below(256, 10 * i + 4));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(at, length));
        break;
      default:
        text.replace(at, length, kPieces[rng.below(std::size(kPieces), 10 * i + 5)]);
        break;
    }
  }
  return text;
}

TEST(HubFuzz, Names) {
  const Catalogue catalogue = load_catalogue();
  const std::string seeds[] = {
      "Qwen/Qwen3-0.6B-GGUF@refs/pr/3:Q8_0", "ollama:library/qwen3:0.6b", "qwen3:4b-q8_0",
      "https://huggingface.co/Qwen/Q/blob/main/a%20b/q-Q8_0-00001-of-00002.gguf", "modelscope:Qwen/Qwen3@v1"};
  int n_names = 0;
  for (uint64_t i = 0; i < 20'000; ++i) {
    const std::string text = mutated(seeds[i % std::size(seeds)], i);
    (void)catalogue.pull_name(text);
    (void)quant_of(text);
    const auto name = parse_name(text);
    if (!name || name->source == Source::disk) continue;
    ++n_names;
    const std::string key = Store::key_of(*name, name->quant);
    EXPECT_TRUE(safe_path(key)) << text << " -> " << key;
  }
  EXPECT_GT(n_names, 1000);
}

TEST(HubFuzz, ListsOfThreeHubs) {
  test::FakeHub hub;
  hub.add("Qwen/Tiny",
          {{"config.json", "{}"}, {"model.safetensors", std::string(2000, 'x')}, {"t-Q4_0.gguf", "x"}});
  hub.add("library/tiny:1b", {{"model.gguf", "GGUF"}, {"LICENSE", "free"}});
  std::atomic<uint64_t> seed = 0;
  hub.set_fault([&seed](const test::Request&, int, const test::Reply& good) {
    test::Reply bad = good;
    bad.body = mutated(good.body, seed);
    return std::optional(bad);
  });
  int n_lists = 0;
  for (seed = 0; seed < 600; ++seed)
    for (const char* name : {"Qwen/Tiny", "ms:Qwen/Tiny", "ollama:tiny:1b"}) {
      const auto list = list_files({}, hub.endpoints(), *parse_name(name));
      if (!list) continue;
      ++n_lists;
      for (const RemoteFile& file : list->files) {
        EXPECT_TRUE(safe_path(file.path)) << file.path;
        EXPECT_GE(file.size, 0);
      }
      (void)select_files(*list, "");
    }
  EXPECT_GT(n_lists, 100);
}

TEST(HubFuzz, RecordsAndJournals) {
  std::string pattern = (fs::temp_directory_path() / "qw-hubfuzz-XXXXXX").string();
  const fs::path folder = ::mkdtemp(pattern.data());
  Record record;
  record.name = "a/b";
  record.source = "huggingface";
  record.model_file = "x.gguf";
  record.files = {{.path = "x.gguf", .size = 3}};
  ASSERT_TRUE(write_record(folder, record));
  const std::string good = read_file(folder / ".qw.json").value();
  const RemoteFile file{.path = "w", .size = 1000, .hash_kind = HashKind::sha256, .hash = "h"};
  int n_records = 0;
  for (uint64_t i = 0; i < 500; ++i) {
    std::ofstream(folder / ".qw.json", std::ios::binary) << mutated(good, i);
    if (const auto r = read_record(folder)) {
      ++n_records;
      EXPECT_TRUE(r->model_file.empty() || safe_path(r->model_file)) << r->model_file;
    }
    std::ofstream(folder / (PartFile::stem(file) + ".ranges"), std::ios::binary)
        << mutated("qw-part 1 1000 h\n0 10\n50 700\n900 1000\n", i);
    std::ofstream(folder / (PartFile::stem(file) + ".part"), std::ios::binary) << std::string(1000, 'x');
    const auto part = PartFile::open(folder, file, "");
    ASSERT_TRUE(part);
    EXPECT_LE((*part)->done_bytes(), 1000);
    EXPECT_LE((*part)->prefix().bytes, 1000);
  }
  EXPECT_GT(n_records, 5);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace qw::hub
