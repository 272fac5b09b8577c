// ConfigReader: what is read, defaulted, refused and reported as unknown; rotary frequencies in both
// spellings.
#include "nn/config_reader.h"

#include <gtest/gtest.h>

#include "nn/rope_config.h"

namespace qw::nn {
namespace {

Json json(const char* text) {
  return parse_json(text, "test").value();
}

TEST(ConfigReader, ReadsByTypeAndReportsUnknownKeys) {
  const Json j = json(R"({"a": 3, "b": 1.5, "c": true, "d": "x", "e": null, "odd": 1, "fine": 2})");
  ConfigReader c(j);
  EXPECT_EQ(c.integer("a"), 3);
  EXPECT_EQ(c.number("b"), 1.5);
  EXPECT_EQ(c.number("a"), 3.0);
  EXPECT_TRUE(c.boolean("c"));
  EXPECT_EQ(c.string("d"), "x");
  EXPECT_EQ(c.integer("e", 7), 7) << "null counts as absent";
  EXPECT_EQ(c.optional_integer("absent"), std::nullopt);
  c.harmless({"fine"});
  ASSERT_TRUE(c.status());
  ASSERT_EQ(c.unknown_keys().size(), 1u);
  EXPECT_EQ(c.unknown_keys()[0].debug(), "config.unknown_key key=odd");
}

TEST(ConfigReader, TheFirstErrorStands) {
  const Json j = json(R"({"n": "four", "act": "gelu", "neg": -1, "huge": 99999999999, "list": [1, "a"]})");
  const auto first = [&](auto read) {
    ConfigReader c(j);
    read(c);
    return c.status() ? std::string() : c.status().error().debug();
  };
  EXPECT_EQ(first([](ConfigReader& c) { c.integer("absent"); }), "config.missing key=absent");
  EXPECT_EQ(first([](ConfigReader& c) { c.integer("n"); }),
            "config.type key=n expected=an integer found=\"four\"");
  EXPECT_EQ(first([](ConfigReader& c) { c.only("act", {"silu"}); }),
            "config.value key=act found=\"gelu\" expected=\"silu\"");
  EXPECT_EQ(first([](ConfigReader& c) { c.integer("neg"); }), "config.range key=neg found=-1");
  EXPECT_EQ(first([](ConfigReader& c) { c.integer("huge"); }), "config.range key=huge found=99999999999");
  EXPECT_EQ(first([](ConfigReader& c) { c.at_most("heads", 9, 8); }), "config.range key=heads found=9");
  EXPECT_EQ(first([](ConfigReader& c) { c.at_most("heads", 8, 8); }), "");
  EXPECT_EQ(first([](ConfigReader& c) { c.numbers("list"); }),
            "config.type key=list expected=a list of numbers found=\"a\"");
  EXPECT_EQ(first([](ConfigReader& c) { c.object("n"); }),
            "config.type key=n expected=an object found=\"four\"");
}

TEST(Rope, BothSpellingsGiveTheSameFrequencies) {
  const Json hub = json(R"({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4.0}})");
  const Json five = json(R"({"rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 4.0}})");
  ConfigReader a(hub), b(five);
  const RopeConfig ra = read_rope(a, 8, 512, 1e4);
  const RopeConfig rb = read_rope(b, 8, 512, 1e4);
  ASSERT_TRUE(a.status() && b.status());
  EXPECT_EQ(ra.spec.inv_freq, rb.spec.inv_freq);
  EXPECT_FLOAT_EQ(ra.spec.inv_freq[0], 0.25F);
  EXPECT_TRUE(a.unknown_keys().empty());
  EXPECT_TRUE(b.unknown_keys().empty());
}

// Values by hand from the paper's formulas: dim 4, theta 100, factor 4, original 32: pair 0 turns 32/(2π)
// ≈ 5.1 times.
TEST(Rope, YarnKeepsFastAndInterpolatesSlowFrequencies) {
  const Json j = json(
      R"({"rope_theta": 100.0, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}})");
  ConfigReader c(j);
  const RopeConfig r = read_rope(c, 4, 32, 1e4);
  ASSERT_TRUE(c.status()) << c.status().error().debug();
  // low = max(floor(4 ln(32/(64π)) / (2 ln 100)), 0) = 0; high = ceil(4 ln(32/(2π)) / (2 ln 100)) =
  // ceil(0.707) = 1
  EXPECT_FLOAT_EQ(r.spec.inv_freq[0], 1.0F);
  EXPECT_FLOAT_EQ(r.spec.inv_freq[1], 0.1F / 4);
  EXPECT_NEAR(r.spec.scale, 0.1 * std::log(4.0) + 1, 1e-12);
  EXPECT_EQ(r.max_positions, 128);
}

TEST(Rope, UnknownKindsAndKeysAreNamed) {
  const Json dynamic = json(R"({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}})");
  ConfigReader a(dynamic);
  read_rope(a, 8, 512, 1e4);
  EXPECT_EQ(a.status().error().debug(), "rope.unknown_type key=rope_scaling.rope_type found=dynamic");
  const Json odd = json(R"({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "spin": 3}})");
  ConfigReader b(odd);
  read_rope(b, 8, 512, 1e4);
  ASSERT_EQ(b.unknown_keys().size(), 1u);
  EXPECT_EQ(b.unknown_keys()[0].arg("key"), "rope_parameters.spin");
  const Json factors =
      json(R"({"rope_parameters": {"rope_type": "explicit_factors", "rope_theta": 1e4, "factors": [1, 2]}})");
  ConfigReader c(factors);
  read_rope(c, 8, 512, 1e4);
  EXPECT_EQ(c.status().error().code(), "config.length");
}

TEST(Rope, RefusesFactorsThatGiveNoFrequencies) {
  const std::string yarn = R"("rope_type": "yarn", "original_max_position_embeddings": 32, )";
  const std::string llama3 = R"("rope_type": "llama3", "original_max_position_embeddings": 32, )";
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"("rope_type": "linear", "factor": 0)", "factor"},
      {R"("rope_type": "linear", "factor": 1e-300)", "factor"},
      {yarn + R"("factor": 0.0)", "factor"},
      {yarn + R"("factor": -4)", "factor"},
      {yarn + R"("factor": 1e300)", "factor"},
      {yarn + R"("factor": 4, "beta_fast": 0)", "beta_fast"},
      {yarn + R"("factor": 4, "beta_slow": -1)", "beta_slow"},
      {yarn + R"("factor": 4, "attention_factor": -1)", "attention_factor"},
      {llama3 + R"("factor": 0, "low_freq_factor": 1, "high_freq_factor": 4)", "factor"},
      {llama3 + R"("factor": 8, "low_freq_factor": 0, "high_freq_factor": 4)", "low_freq_factor"},
      {llama3 + R"("factor": 8, "low_freq_factor": 4, "high_freq_factor": 4)", "high_freq_factor"},
      {R"("rope_type": "explicit_factors", "factors": [1, 1, 0, 1])", "factors"},
      {R"("rope_type": "explicit_factors", "factors": [1, 1, 1e300, 1])", "factors"}};
  for (const auto& [members, key] : cases) {
    const Json config = json(fmt::format(R"({{"rope_scaling": {{{}}}}})", members).c_str());
    ConfigReader c(config);
    read_rope(c, 8, 512, 1e4);
    ASSERT_FALSE(c.status().has_value()) << members;
    EXPECT_EQ(c.status().error().code(), "config.range") << members;
    EXPECT_EQ(c.status().error().arg("key"), "rope_scaling." + key) << members;
  }
}

}  // namespace
}  // namespace qw::nn
