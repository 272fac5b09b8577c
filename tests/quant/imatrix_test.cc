// Importance matrices: what is summed, that a file gives back what was saved, and what is refused.
#include "quant/imatrix.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "backend/cpu/cpu_backend.h"
#include "io/gguf/writer.h"

namespace qw::quant {
namespace {

namespace fs = std::filesystem;

struct File {
  fs::path path = fs::temp_directory_path() / fmt::format("qw_imatrix_{}.gguf", ::getpid());
  ~File() { fs::remove(path); }
};

TEST(Imatrix, IsTheMeanSquareOfTheInputs) {
  Imatrix m;
  m.add("a", 0, std::vector<float>{1, 2, 3, 4}, 2);
  m.add("a", 0, std::vector<float>{0, 3}, 2);
  EXPECT_EQ(m.find("a")->mean(0), (std::vector<float>{10.0F / 3, 29.0F / 3}));
  EXPECT_EQ(m.find("b"), nullptr);
}

TEST(Imatrix, AnExpertThatWasNeverAskedIsWeighedAsAllAre) {
  Imatrix m;
  m.add("a", 0, std::vector<float>{1, 2}, 2);
  m.add("a", 1, std::vector<float>{3, 4}, 2);
  m.add("a", 2, {}, 2);
  ASSERT_EQ(m.find("a")->matrices(), 3);
  EXPECT_EQ(m.find("a")->mean(1), (std::vector<float>{9, 16}));
  EXPECT_EQ(m.find("a")->mean(2), (std::vector<float>{5, 10}));
}

TEST(Imatrix, AFileGivesItBack) {
  const File file;
  Imatrix m;
  m.add("blk.0.attn_q.weight", 0, std::vector<float>{1, 2, 3}, 3);
  m.add("blk.0.ffn_up_exps.weight", 1, std::vector<float>{0.5F, 2}, 2);
  ASSERT_TRUE(m.save(file.path, "text.txt", 3, 512));
  const Imatrix back = Imatrix::load(file.path).value();
  EXPECT_EQ(back.size(), 2U);
  EXPECT_EQ(back.find("blk.0.attn_q.weight")->sums, m.find("blk.0.attn_q.weight")->sums);
  EXPECT_EQ(back.find("blk.0.ffn_up_exps.weight")->counts, (std::vector<double>{0, 1}));
}

TEST(Imatrix, RefusesWhatIsNone) {
  const File file;
  const auto write = [&](const char* type, std::vector<GgufTensorPlan> plans, float value) {
    GgufMetadata m;
    m.text("general.type", type);
    auto writer = GgufWriter::create(file.path, m, plans).value();
    for (size_t i = 0; i < plans.size(); ++i) {
      const std::vector<float> data(static_cast<size_t>(gguf_tensor_bytes(plans[i])) / 4, value);
      EXPECT_TRUE(writer.write(i, 0, std::as_bytes(std::span(data))));
    }
    EXPECT_TRUE(writer.finish());
    const auto made = Imatrix::load(file.path);
    return made ? std::string("none") : made.error().code();
  };
  const GgufTensorPlan sums{"a.in_sum2", QuantFormat::f32, {1, 4}},
      counts{"a.counts", QuantFormat::f32, {1, 1}};
  EXPECT_EQ(write("imatrix", {sums, counts}, 2), "none");
  EXPECT_EQ(write("model", {sums, counts}, 2), "imatrix.not_one");
  EXPECT_EQ(write("imatrix", {sums}, 2), "imatrix.tensor");
  EXPECT_EQ(write("imatrix", {sums, {"a.counts", QuantFormat::f32, {2, 1}}}, 2), "imatrix.tensor");
  EXPECT_EQ(write("imatrix", {sums, counts}, -1), "imatrix.tensor");
  EXPECT_EQ(write("imatrix", {sums, counts}, NAN), "imatrix.tensor");
}

TEST(Imatrix, TheCollectorTakesEachMatrixByItsPlaceInGguf) {
  EXPECT_EQ(imatrix_place("model.layers.3.self_attn.q_proj.weight").tensor, "blk.3.attn_q.weight");
  EXPECT_EQ(imatrix_place("model.layers.3.mlp.experts.17.up_proj.weight").matrix, 17);
  EXPECT_EQ(imatrix_place("mtp.fc.weight").tensor, "mtp.fc.weight");
  const auto backend = make_cpu_backend({.threads = 1, .isa = {}}).value();
  Arena arena(*backend);
  ImatrixCollector collector(*backend);
  Weight w;
  w.shape = Shape{2, 3};
  const std::vector<float> values{1, 2, 3, 4, 5, 6, 7, 8};
  const Tensor all = arena.alloc({2, 4}, DType::f32);
  backend->upload(all, values.data());
  w.name = "model.layers.0.mlp.down_proj.weight";
  collector.trace()(w, all.slice(1, 1, 3));  // rows with a stride
  w.name = "lm_head.weight";
  collector.trace()(w, all.slice(1, 1, 3));
  EXPECT_EQ(collector.result().size(), 1U);
  EXPECT_EQ(collector.result().find("blk.0.ffn_down.weight")->sums, (std::vector<double>{40, 58, 80}));
}

}  // namespace
}  // namespace qw::quant
