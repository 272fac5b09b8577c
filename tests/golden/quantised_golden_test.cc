// Quantised Hugging Face folders (GPTQ, AWQ, FP8, compressed-tensors, bitsandbytes) against their dequantised
// f32 twins: every weight equal to the bit, logits within 5e-4, greedy tokens equal, on every instruction
// set; an adapter's way back through them; and a merge that writes plain numbers.
#include <bit>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "golden/model_runner.h"
#include "io/checkpoint.h"
#include "io/hf/folder_writer.h"
#include "io/weight_rows.h"
#include "tests/io/temp_dir.h"

namespace qw::golden {
namespace {

constexpr double kLogits = 5e-4;
constexpr std::string_view kDigest = "digest.";

// FNV-1a over the f32 words, negative zero as zero: tools/goldens/quantised.py.
class Digest {
 public:
  void add(std::span<const float> values) {
    for (const float v : values) {
      const float unsigned_zero = v + 0.0F;
      hash_ = (hash_ ^ std::bit_cast<uint32_t>(unsigned_zero)) * 0x100000001B3;
    }
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xCBF29CE484222325;
};

uint64_t digest_of(WeightRows& rows, std::string_view name) {
  Digest digest;
  for (size_t i = 0; i < rows.items().size(); ++i) {
    if (rows.items()[i].name != name) continue;
    const Status read = rows.for_each_portion(i, [&](int64_t, std::span<const float> values) -> Status {
      digest.add(values);
      return {};
    });
    EXPECT_TRUE(read) << name;
  }
  return digest.value();
}

uint64_t stored_digest(Expected& expected, const std::string& name) {
  const Host<uint8_t> bytes = expected.u8(name);
  uint64_t value = 0;
  if (bytes.values.size() == sizeof value) std::memcpy(&value, bytes.values.data(), sizeof value);
  return value;
}

class QuantisedGolden : public testing::TestWithParam<Case> {
 protected:
  std::filesystem::path folder() const { return data_folder() / "quantised" / GetParam().name; }
  Expected expected() const { return Expected(folder() / "expected.safetensors"); }
};

TEST_P(QuantisedGolden, WeightsAreThoseOfTheReferenceToTheBit) {
  for (const std::string_view isa : supported_isas()) {
    SCOPED_TRACE(isa);
    const auto runner = Runner::open(folder(), isa);
    ASSERT_TRUE(runner);
    Expected want = expected();
    WeightList list;
    runner->model().visit(list);
    WeightRows rows(list.weights(), runner->backend());
    int n_quantised = 0;
    for (const Weight* w : list.weights()) {
      const std::string key = std::string(kDigest) + w->name;
      EXPECT_EQ(traits(w->format).is_float, !want.has(key)) << w->name << " is " << traits(w->format).name;
      if (!want.has(key)) continue;
      EXPECT_EQ(digest_of(rows, w->name), stored_digest(want, key))
          << w->name << ", " << traits(w->format).name;
      ++n_quantised;
    }
    EXPECT_EQ(want.names(kDigest).size(), static_cast<size_t>(n_quantised));
  }
}

TEST_P(QuantisedGolden, LogitsAndGreedyTokensAgree) {
  for (const std::string_view isa : supported_isas()) {
    SCOPED_TRACE(isa);
    const auto runner = Runner::open(folder(), isa);
    ASSERT_TRUE(runner);
    Expected want = expected();
    for (const std::string prompt : {"case0.", "case1."}) {
      const std::vector<int32_t> ids = want.ids(prompt + "input_ids");
      const Host<float> logits = want.f32(prompt + "logits_last8");
      const int64_t n = logits.shape.at(0);
      EXPECT_TRUE(compare(prompt + "dense", last_rows(runner->logits(ids), n), logits, kLogits));
      EXPECT_TRUE(compare(prompt + "paged", last_rows(runner->paged_logits(ids), n), logits, kLogits));
      const std::vector<int32_t> greedy = want.ids(prompt + "greedy");
      EXPECT_EQ(runner->greedy(ids, greedy.size()), greedy) << prompt;
    }
    EXPECT_EQ(want.unread({std::string(kDigest)}), std::vector<std::string>{});
  }
}

// A folder written from a quantised one holds plain numbers, says nothing of a quantisation, and loads as the
// same model.
TEST_P(QuantisedGolden, IsWrittenAsPlainNumbers) {
  const auto runner = Runner::open(folder(), supported_isas().back());
  ASSERT_TRUE(runner);
  WeightList list;
  runner->model().visit(list);
  WeightRows rows(list.weights(), runner->backend());
  const auto checkpoint = open_checkpoint(folder());
  ASSERT_TRUE(checkpoint);
  EXPECT_FALSE(checkpoint->quantisation.empty());
  const TempDir dir;
  const auto out = dir.path() / "plain";
  ASSERT_TRUE(write_hf_folder(out, {.config = checkpoint->config, .format = QuantFormat::f32}, rows));
  const auto again = open_checkpoint(out);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->quantisation.empty());
  EXPECT_FALSE(again->config.contains("quantization_config"));
  const auto plain = Runner::open(out, supported_isas().back());
  ASSERT_TRUE(plain);
  Expected want = expected();
  const std::vector<int32_t> ids = want.ids("case1.input_ids");
  EXPECT_TRUE(compare("written", last_rows(plain->logits(ids), 8), want.f32("case1.logits_last8"), kLogits));
}

INSTANTIATE_TEST_SUITE_P(Cases, QuantisedGolden, testing::ValuesIn(cases("quantised")), param_name);

}  // namespace
}  // namespace qw::golden
