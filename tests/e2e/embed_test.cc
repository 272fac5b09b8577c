// qw embed, qw rerank and qw score on tiny models, against transformers (tests/golden/data/scoring).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "io/gguf/writer.h"
#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

std::string model(const std::string& name) {
  return std::string(QW_SOURCE_DIR) + "/tests/golden/data/scoring/" + name;
}
Json expected(const std::string& name) {
  return parse_json_file(model(name) + "/expected.json").value();
}
std::vector<std::string> texts(const Json& list) {
  return list.get<std::vector<std::string>>();
}
void expect_near(const Json& got, const Json& want, double tolerance, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i].get<double>(), want[i].get<double>(), tolerance) << what << " " << i;
}
std::string as_lines(const Json& list) {
  std::string out;
  for (const Json& text : list) out += to_json_line(Json{{"text", text}}) + "\n";
  return out;
}

// Command options → the vectors that expected.json has under `key`.
void expect_vectors(std::vector<std::string> options, const char* key, bool as_arguments) {
  const Json want = expected("embedding");
  std::vector<std::string> args{"embed", model("embedding")};
  if (as_arguments)
    for (const std::string& t : texts(want["texts"])) args.push_back(t);
  args.insert(args.end(), options.begin(), options.end());
  if (!as_arguments) args.push_back("--jsonl");
  const Ran ran = qw(args, {.in = as_arguments ? "" : as_lines(want["texts"])});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const std::vector<Json> lines = ran.jsonl();
  ASSERT_EQ(lines.size(), want["texts"].size());
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["index"], i);
    expect_near(lines[i]["embedding"], want[key][i], 1e-4, key);
  }
}

TEST(Embed, GivesTheVectorsOfTheReference) {
  expect_vectors({}, "last", true);
  expect_vectors({}, "last", false);
  expect_vectors({"--dim", "8"}, "dim8", true);
  expect_vectors({"--pooling", "mean"}, "mean", true);
  expect_vectors({"--prompt", "query"}, "query", true);
  expect_vectors({"--instruct", expected("embedding")["task"].get<std::string>()}, "query", false);
}

TEST(Embed, ATextIsTheSameInAnyCompany) {
  const Json want = expected("embedding");
  const std::string text = want["texts"][0].get<std::string>();
  const Ran alone = qw({"embed", model("embedding"), text});
  std::string many;
  for (int i = 0; i < 300; ++i) many += text + (i % 2 == 0 ? "" : " and on") + "\n";
  const Ran together = qw({"embed", model("embedding")}, {.in = many});
  ASSERT_EQ(together.status, 0) << together.err;
  ASSERT_EQ(together.jsonl().size(), 300U);
  EXPECT_EQ(together.jsonl()[298]["embedding"], alone.jsonl()[0]["embedding"]);
}

TEST(Embed, RefusesWhatItCannotDo) {
  EXPECT_EQ(qw({"embed", model("embedding"), "x", "--dim", "33"}).status, 1);
  EXPECT_NE(qw({"embed", model("embedding"), "x", "--prompt", "none"}).err.find("query"), std::string::npos);
  const std::string longer(4000, 'z');
  const Ran refused = qw({"embed", model("embedding"), longer});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("511"), std::string::npos) << refused.err;
  EXPECT_EQ(qw({"embed", model("embedding"), longer, "--truncate"}).jsonl()[0]["tokens"], 512);
}

// The embedding model with another file of sentence-transformers' in it: what qw embed says of it.
std::string said_with(const std::string& name, const std::string& content) {
  const TempFolder folder;
  std::filesystem::copy(model("embedding"), folder.path(), std::filesystem::copy_options::recursive);
  folder.file(name, content);
  const Ran ran = qw({"embed", folder.path().string(), "x"});
  EXPECT_EQ(ran.status, 1) << content;
  EXPECT_NE(ran.err.find(name), std::string::npos) << content << ": " << ran.err;
  return ran.err;
}

TEST(Embed, RefusesFilesOfAnotherForm) {
  for (const char* modules :
       {R"([{"type":1}])", R"([{"type":"x.Pooling","path":2}])", R"([{"type":"x.Pooling"}])", "[3]", "{}"})
    said_with("modules.json", modules);
  for (const char* most : {"0", "-5", "4294967295", "2147483648", "\"512\"", "1.5"}) {
    const std::string said =
        said_with("sentence_bert_config.json", fmt::format(R"({{"max_seq_length":{}}})", most));
    EXPECT_NE(said.find("max_seq_length"), std::string::npos) << said;
  }
  said_with("sentence_bert_config.json", "[]");
}

// A copy of a GGUF file that also says how an embedding is made.
void add_pooling(const std::filesystem::path& from, const std::filesystem::path& to, uint32_t type) {
  const auto file = GgufFile::open(from).value();
  GgufMetadata metadata;
  for (const auto& [key, value] : file->metadata())
    if (key != "qwen3.pooling_type") metadata.value(key, value);
  metadata.u32("qwen3.pooling_type", type);
  std::vector<GgufTensorPlan> plans;
  for (const auto& [name, tensor] : file->tensors())
    plans.push_back({.name = std::string(name), .shape = tensor.shape, .type = tensor.type});
  GgufWriter writer = GgufWriter::create(to, metadata, plans).value();
  for (size_t i = 0; i < plans.size(); ++i)
    ASSERT_TRUE(writer.write(i, 0, file->tensors().at(plans[i].name).bytes).has_value());
  ASSERT_TRUE(writer.finish().has_value());
}

// The folder that it runs in, until the end of the test.
class RunsIn {
 public:
  explicit RunsIn(const std::filesystem::path& folder) : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(folder);
  }
  ~RunsIn() { std::filesystem::current_path(before_); }
  RunsIn(const RunsIn&) = delete;
  RunsIn& operator=(const RunsIn&) = delete;

 private:
  std::filesystem::path before_;
};

TEST(Embed, AGgufFileSaysItsPoolingItself) {
  const TempFolder folder;
  const std::string plain = (folder / "plain.gguf").string();
  ASSERT_EQ(qw({"convert", model("embedding"), plain, "--type", "f32"}).status, 0);
  const std::string averaged = folder / "averaged", of_means = folder / "averaged.gguf";
  std::filesystem::copy(model("embedding"), averaged, std::filesystem::copy_options::recursive);
  std::ofstream(averaged + "/1_Pooling/config.json") << R"({"pooling_mode_mean_tokens": true})";
  ASSERT_EQ(qw({"convert", averaged, of_means, "--type", "f32"}).status, 0);
  folder.file("modules.json", "not of this model");
  const RunsIn there(folder.path());
  const std::string text = texts(expected("embedding")["texts"])[0];
  const auto vector = [&](const std::string& file, const std::vector<std::string>& more = {}) {
    std::vector<std::string> args{"embed", file, text};
    args.insert(args.end(), more.begin(), more.end());
    return qw(args).json()["embedding"];
  };
  const Json mean = vector(plain, {"--pooling", "mean"}), last = vector(plain, {"--pooling", "last"});
  // The end of a text, which the folder's tokenizer adds, is in the file too.
  expect_near(last, expected("embedding")["last"][0], 1e-4, "last");
  EXPECT_NE(mean, last);
  EXPECT_EQ(vector(plain), last);
  EXPECT_EQ(vector(of_means), mean);
  const std::string back = folder / "back";
  ASSERT_EQ(qw({"convert", of_means, back, "--type", "f32"}).status, 0);
  expect_near(vector(back), mean, 1e-5, "a folder again");
  for (const auto& [type, want] : {std::pair(1U, mean), {3U, last}}) {
    const std::string file = (folder / fmt::format("{}.gguf", type)).string();
    add_pooling(plain, file, type);
    EXPECT_EQ(vector(file), want) << type;
  }
  const std::string ranker = (folder / "rank.gguf").string();
  add_pooling(plain, ranker, 4);
  const Ran refused = qw({"embed", ranker, text});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("pooling_type"), std::string::npos) << refused.err;
  EXPECT_EQ(qw({"embed", ranker, text, "--pooling", "mean"}).status, 0);
}

TEST(Rerank, GivesTheProbabilitiesOfTheReferenceBestFirst) {
  const Json want = expected("reranker");
  std::vector<std::string> args{"rerank", model("reranker"), "--query", want["query"].get<std::string>(),
                                "--json"};
  for (const std::string& d : texts(want["documents"])) args.push_back(d);
  const Ran ran = qw(args);
  ASSERT_EQ(ran.status, 0) << ran.err;
  const Json results = ran.json()["results"];
  ASSERT_EQ(results.size(), want["scores"].size());
  double last = 2;
  for (const Json& r : results) {
    EXPECT_NEAR(r["score"].get<double>(), want["scores"][r["index"].get<size_t>()].get<double>(), 1e-4);
    EXPECT_LE(r["score"].get<double>(), last);
    last = r["score"].get<double>();
  }
  const Ran lines = qw({"rerank", model("reranker"), "--query", want["query"].get<std::string>(), "--jsonl"},
                       {.in = as_lines(want["documents"])});
  EXPECT_NE(lines.out.find(fmt::format("\t{}\t", results[0]["index"].get<int>())), std::string::npos);
}

void expect_scores(const std::string& name, const char* key) {
  const Json want = expected(name);
  const Ran ran = qw({"score", model(name)}, {.in = as_lines(want["texts"])});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const std::vector<Json> lines = ran.jsonl();
  ASSERT_EQ(lines.size(), want["texts"].size());
  for (size_t i = 0; i < lines.size(); ++i) {
    ASSERT_TRUE(lines[i].contains(key)) << lines[i];
    const Json got = lines[i][key].is_array() ? lines[i][key] : Json::array({lines[i][key]});
    expect_near(got, want["scores"][i], 5e-4, name);
  }
}

TEST(Score, GivesTheScoresOfTheReference) {
  expect_scores("classifier", "scores");
  expect_scores("reward", "score");
  expect_scores("process_reward", "steps");
}

TEST(Score, SaysWhereAModelIsOfAnotherKind) {
  EXPECT_NE(qw({"score", model("reranker")}, {.in = "{}\n"}).err.find("qw rerank"), std::string::npos);
  EXPECT_NE(qw({"run", model("reward"), "x"}).err.find("qw score"), std::string::npos);
  const Ran none = qw({"score", model("process_reward")}, {.in = "{\"text\": \"no step\"}\n"});
  EXPECT_EQ(none.jsonl()[0]["code"], "score.no_steps");
}

}  // namespace
}  // namespace qw::e2e
