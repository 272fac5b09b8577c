// qw train as a user runs it, on the tiny models of the goldens.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <map>
#include <set>

#include "base/descriptor.h"
#include "base/mmap.h"
#include "tests/e2e/train_fixture.h"

namespace qw::e2e {
namespace {

namespace fs = std::filesystem;

TEST_F(TrainTest, AFullRunLeavesAModelALogAReportAndACheckpoint) {
  const std::string eval = folder.file("eval.jsonl", chats(7));
  const Ran ran = qw({"train", config("a", "eval_every = 5\neval_data = [\"" + eval + "\"]\n")});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const std::vector<Json> lines = log("a");
  ASSERT_EQ(losses("a").size(), 12u);
  EXPECT_LT(losses("a").back(), 0.9 * losses("a").front());
  for (const char* key : {"step", "loss", "lr", "grad_norm", "tokens", "tok_s"})
    EXPECT_TRUE(lines[0].contains(key)) << key;
  int evaluations = 0;
  for (const Json& line : lines) evaluations += line.contains("eval_loss");
  EXPECT_EQ(evaluations, 3);  // at 5, 10 and the end
  EXPECT_TRUE(fs::exists(out("a") + "/report.html"));
  EXPECT_TRUE(fs::exists(out("a") + "/checkpoints/step-00000012/state.json"));
  const Ran answer = qw({"run", out("a"), "say 3", "--greedy", "--max-tokens", "4"});
  EXPECT_EQ(answer.status, 0) << answer.err;
}

TEST_F(TrainTest, WithoutATerminalTheFirstAndTheLastStepAreSaid) {
  const Ran ran = qw({"train", config("said", "")});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.err.find("step 1/12  loss"), ran.err.npos) << ran.err;
  EXPECT_NE(ran.err.find("step 12/12  loss"), ran.err.npos) << ran.err;
  EXPECT_EQ(ran.err.find("step 6/12"), ran.err.npos) << "more than one line a minute: " << ran.err;
  EXPECT_EQ(ran.err.find('\r'), ran.err.npos);
  EXPECT_EQ(qw({"train", config("quiet", ""), "--quiet"}).err, "");
}

TEST_F(TrainTest, AnAdapterGoesOnOverItsOwnModelOnly) {
  const fs::path model = folder / "model";
  fs::copy(kModels + "qwen3_tied", model, fs::copy_options::recursive);
  std::string text = read_file(config("lora", "method = \"lora\"\n")).value();
  const std::string from = kModels + "qwen3_tied";
  text.replace(text.find(from), from.size(), model.string());
  const std::string toml = folder.file("l.toml", text);
  ASSERT_EQ(qw({"train", toml}).status, 0);
  EXPECT_EQ(qw({"train", toml, "--resume"}).status, 0);
  // One number of the last matrix of the file, in its last row; a norm of 32 numbers stands behind it.
  const std::string weights = read_file(model / "model.safetensors").value();
  std::string touched = weights;
  char& byte = touched[touched.size() - 32 * sizeof(float) - 2];
  byte = static_cast<char>(byte ^ 1);
  std::ofstream(model / "model.safetensors", std::ios::binary) << touched;
  const Ran one = qw({"train", toml, "--resume"});
  EXPECT_EQ(one.status, 1);
  EXPECT_NE(one.err.find("below the adapter"), one.err.npos) << one.err;
  std::ofstream(model / "model.safetensors", std::ios::binary) << weights;
  EXPECT_EQ(qw({"train", toml, "--resume"}).status, 0);
  // Another model of the same shape in its place: one step of training away.
  ASSERT_EQ(qw({"train", config("other", "")}).status, 0);
  fs::copy(out("other") + "/model.safetensors", model / "model.safetensors",
           fs::copy_options::overwrite_existing);
  const Ran ran = qw({"train", toml, "--resume"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.err.find("below the adapter"), ran.err.npos) << ran.err;
}

TEST_F(TrainTest, ATeacherMustStayTheSame) {
  const fs::path teacher = folder / "teacher";
  fs::copy(kModels + "qwen3_untied", teacher, fs::copy_options::recursive);
  std::string text = read_file(config("taught", "teacher = \"" + teacher.string() + "\"\n")).value();
  text.replace(text.find("\"sft\""), 5, "\"distill\"");
  const std::string toml = folder.file("t.toml", text);
  const Ran first = qw({"train", toml});
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(qw({"train", toml, "--resume"}).status, 0);
  ASSERT_EQ(qw({"train", config("other", "", "qwen3_untied")}).status, 0);
  fs::copy(out("other") + "/model.safetensors", teacher / "model.safetensors",
           fs::copy_options::overwrite_existing);
  const Ran ran = qw({"train", toml, "--resume"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.err.find("teacher"), ran.err.npos) << ran.err;
}

TEST_F(TrainTest, ModelAndTokenizerMustBelongTogether) {
  const fs::path model = folder / "model";
  fs::copy(kModels + "qwen3_tied", model, fs::copy_options::recursive);
  Json facts = Json::parse(read_file(model / "config.json").value());
  facts.erase("dtype");
  facts["torch_dtype"] = nullptr;
  std::ofstream(model / "config.json") << facts;
  const std::string toml = config("rows", "init = \"random\"\n");
  std::string text = read_file(toml).value();
  text.replace(text.find(kModels + "qwen3_tied"), (kModels + "qwen3_tied").size(), model.string());
  EXPECT_EQ(qw({"train", folder.file("r.toml", text)}).status, 0);
  facts["vocab_size"] = 100;
  std::ofstream(model / "config.json") << facts;
  const Ran small = qw({"train", folder.file("r.toml", text), "--dry-run"});
  EXPECT_EQ(small.status, 1);
  EXPECT_NE(small.err.find("100 tokens"), small.err.npos) << small.err;
  facts["initializer_range"] = "much";
  std::ofstream(model / "config.json") << facts;
  EXPECT_EQ(qw({"train", folder.file("r.toml", text), "--dry-run"}).status, 1);
}

TEST_F(TrainTest, ADraftingLayerTakesNothingForLearning) {
  const fs::path model = folder / "model";
  fs::copy(kModels + "qwen3_tied", model, fs::copy_options::recursive);
  Json facts = Json::parse(read_file(kModels + "../hybrid/qwen3_5/config.json").value());
  std::string text = read_file(config("drafts", "init = \"random\"\n")).value();
  text.replace(text.find(kModels + "qwen3_tied"), (kModels + "qwen3_tied").size(), model.string());
  Json plans[2];
  for (const int layers : {0, 1}) {
    facts["text_config"]["mtp_num_hidden_layers"] = layers;
    std::ofstream(model / "config.json") << facts;
    const Ran ran = qw({"train", folder.file("d.toml", text), "--dry-run", "--json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    plans[layers] = ran.json();
  }
  EXPECT_LT(plans[0]["weight_bytes"], plans[1]["weight_bytes"]);
  for (const char* key : {"parameters_learning", "gradient_bytes", "optimizer_bytes"})
    EXPECT_EQ(plans[0][key], plans[1][key]) << key;
}

// Its weights would be 4 TB: nobody tries to take them.
TEST_F(TrainTest, WeightsThatDoNotFitAreRefusedBeforeTheyAreThere) {
  const fs::path model = folder / "model";
  fs::copy(kModels + "qwen3_tied", model, fs::copy_options::recursive);
  Json facts = Json::parse(read_file(model / "config.json").value());
  facts["hidden_size"] = facts["vocab_size"] = 1 << 20;
  std::ofstream(model / "config.json") << facts;
  for (const std::string init : {"pretrained", "random"}) {
    std::string text = read_file(config("large", "init = \"" + init + "\"\n")).value();
    const std::string from = kModels + "qwen3_tied";
    text.replace(text.find(from), from.size(), model.string());
    const Ran ran = qw({"train", folder.file("l.toml", text), "--dry-run"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("for its weights as f32"), ran.err.npos) << ran.err;
  }
}

// Before anything is read or takes memory.
TEST_F(TrainTest, OfTwoAtOnceTheSecondHearsOfTheFirst) {
  data = (folder / "absent.jsonl").string();
  const std::string toml = config("busy", "");
  fs::create_directories(out("busy"));
  const std::string lock = out("busy") + "/.lock";
  const Descriptor held(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  ASSERT_EQ(::flock(held.get(), LOCK_EX | LOCK_NB), 0);
  for (const bool resume : {false, true}) {
    std::vector<std::string> args{"train", toml};
    if (resume) args.push_back("--resume");
    const Ran ran = qw(args);
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("in use by another"), ran.err.npos) << ran.err;
  }
  // A plan writes nothing: it goes on to the data.
  EXPECT_NE(qw({"train", toml, "--dry-run"}).err.find("absent.jsonl"), std::string::npos);
}

TEST_F(TrainTest, NothingIsWrittenOverAModel) {
  fs::copy(kModels + "qwen3_tied", out("over"), fs::copy_options::recursive);
  const std::string weights = read_file(out("over") + "/model.safetensors").value();
  for (const std::string more : {"", "init = \"random\"\n", "method = \"lora\"\n"}) {
    const Ran ran = qw({"train", config("over", more, "qwen3_untied")});
    EXPECT_EQ(ran.status, 1) << more;
    EXPECT_NE(ran.err.find("holds a model"), ran.err.npos) << ran.err;
  }
  EXPECT_EQ(read_file(out("over") + "/model.safetensors").value(), weights);
  EXPECT_FALSE(fs::exists(out("over") + "/log.jsonl"));
  // Of the model to begin with a plan says so, too.
  std::string text = read_file(config("over", "")).value();
  text.replace(text.find(kModels + "qwen3_tied"), (kModels + "qwen3_tied").size(), out("over") + "/.");
  const Ran plan = qw({"train", folder.file("over.toml", text), "--dry-run"});
  EXPECT_EQ(plan.status, 1);
  EXPECT_NE(plan.err.find("the model itself"), plan.err.npos) << plan.err;
}

TEST_F(TrainTest, AnAdapterIsLearntAndUsed) {
  const Ran ran =
      qw({"train",
          config("lora", "method = \"lora\"\n[lora]\nrank = 4\ntargets = [\"q_proj\", \"down_proj\"]\n")});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_LT(losses("lora").back(), losses("lora").front());
  EXPECT_TRUE(fs::exists(out("lora") + "/adapter_config.json"));
  EXPECT_TRUE(fs::exists(out("lora") + "/adapter_model.safetensors"));
  EXPECT_FALSE(fs::exists(out("lora") + "/model.safetensors"));
  const std::string facts = out("lora") + "/adapter_config.json";
  Json json = Json::parse(read_file(facts).value());
  json["of_tomorrow"] = true;
  std::ofstream(facts) << json;
  const Ran again = qw(
      {"train", config("more", "method = \"lora\"\nadapter = \"" + out("lora") + "\"\nshuffle = false\n")});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_LT(losses("more").front(), losses("lora").front());
  EXPECT_NE(again.err.find("of_tomorrow"), again.err.npos) << again.err;
}

// Of short conversations below a high limit the most memory is the engine's that samples the answers.
TEST_F(TrainTest, ThePlanCountsTheRankOfTheAdapterItBeginsWith) {
  std::vector<int64_t> activations;
  for (const int rank : {4, 64}) {
    const std::string name = fmt::format("rank{}", rank);
    const Ran made = qw({"train", config(name, fmt::format("method = \"lora\"\n[lora]\nrank = {}\n", rank))});
    ASSERT_EQ(made.status, 0) << made.err;
    const std::string toml =
        folder.file(name + "-on.toml",
                    fmt::format("model = \"{0}qwen3_tied\"\nteacher = \"{0}qwen3_untied\"\nout = \"{1}\"\n"
                                "task = \"distill\"\nmethod = \"lora\"\nadapter = \"{2}\"\ndata = [\"{3}\"]\n"
                                "seq_len = 480\nbatch_size = 1\npacking = false\nsteps = 1\n"
                                "[distill]\non_policy = true\nmax_new_tokens = 8\n",
                                kModels, out("on"), out(name), data));
    const Ran plan = qw({"train", toml, "--dry-run", "--json"});
    ASSERT_EQ(plan.status, 0) << plan.err;
    activations.push_back(plan.json()["activation_bytes"].get<int64_t>());
  }
  EXPECT_GT(activations[1], activations[0]);
}

TEST_F(TrainTest, AModelThatCameAsOneFileBecomesOne) {
  const Ran ran = qw({"train", config("file", "", "../gguf/qwen3_untied.F32.gguf")});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_LT(losses("file").back(), losses("file").front());
  const Ran answer = qw({"run", out("file") + "/model.gguf", "say 3", "--greedy", "--max-tokens", "4"});
  EXPECT_EQ(answer.status, 0) << answer.err;
  const Ran quantised = qw({"train", config("quantised", "", "../gguf/llama_blocks.Q8_0.gguf")});
  EXPECT_NE(quantised.err.find("qlora"), quantised.err.npos) << quantised.err;
}

TEST_F(TrainTest, TheResultHasTheTypeThatIsAskedFor) {
  const auto types = [&](const std::string& name) {
    const std::string file = read_file(out(name) + "/model.safetensors").value();
    uint64_t length = 0;  // 8 bytes of length, then the JSON of the tensors
    std::memcpy(&length, file.data(), sizeof length);
    std::set<std::string> found;
    for (const auto& [tensor, entry] : Json::parse(file.substr(8, length)).get<std::map<std::string, Json>>())
      if (tensor != "__metadata__") found.insert(entry.at("dtype").get<std::string>());
    return found;
  };
  for (const auto& [asked, stored] :
       std::map<std::string, std::string>{{"f32", "F32"}, {"bf16", "BF16"}, {"f16", "F16"}}) {
    const Ran ran = qw({"train", config(asked, "save_dtype = \"" + asked + "\"\n")});
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(types(asked), std::set{stored});
  }
}

// Over quantised weights as they stand in memory, and over a folder of the floats that they stand for.
TEST_F(TrainTest, AnAdapterLearnsOverQuantisedWeightsAsOverTheirFloats) {
  const std::string packed = folder / "q.gguf", floats = folder / "floats";
  for (const char* type : {"q8_0", "q4_0"}) {
    fs::remove_all(packed);
    fs::remove_all(floats);
    ASSERT_EQ(qw({"convert", kModels + "qwen3_tied", packed, "--type", type}).status, 0);
    ASSERT_EQ(qw({"convert", packed, floats, "--to", "hf", "--type", "f32"}).status, 0);
    const auto learn = [&](const std::string& name, const std::string& method, const std::string& model) {
      const std::string from = kModels + "qwen3_tied";
      std::string text =
          read_file(config(name, "precision = \"f32\"\nmethod = \"" + method + "\"\n[lora]\nrank = 4\n"))
              .value();
      const Ran ran =
          qw({"train", folder.file(name + ".toml", text.replace(text.find(from), from.size(), model))});
      EXPECT_EQ(ran.status, 0) << ran.err;
      return losses(name);
    };
    const auto quantised = learn(std::string("q-") + type, "qlora", packed);
    const auto plain = learn(std::string("f-") + type, "lora", floats);
    ASSERT_EQ(quantised.size(), 12u);
    ASSERT_EQ(plain.size(), 12u);
    EXPECT_LT(quantised.back(), 0.95 * quantised.front());
    for (size_t i = 0; i < plain.size(); ++i)
      EXPECT_NEAR(quantised[i], plain[i], 1e-4 * plain[i]) << type << i;
  }
}

TEST_F(TrainTest, PreferencesAreLearntFromTheirStart) {
  data =
      folder.file("pairs.jsonl",
                  R"({"messages":[{"role":"user","content":"q"}],"chosen":"good word","rejected":"bad word"})"
                  "\n");
  const std::string toml = config("dpo", "batch_size = 1\n");
  std::string text = read_file(toml).value();
  text.replace(text.find("task = \"sft\""), 12, "task = \"dpo\"");
  text.replace(text.find("batch_size = 4\n"), 15, "");
  const Ran ran = qw({"train", folder.file("d.toml", text)});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_NEAR(losses("dpo").front(), 0.6931, 1e-3);
  EXPECT_LT(losses("dpo").back(), 0.6);
  EXPECT_EQ(log("dpo").back()["accuracy"], 1.0);
}

TEST_F(TrainTest, OnPolicyDistillationMovesTheStudentTowardsItsTeacher) {
  for (const std::string method : {"full", "lora"}) {
    std::string text = read_file(config(method, "")).value();
    text.replace(text.find("task = \"sft\""), 12, "task = \"distill\"");
    text.replace(text.find("batch_size = 4"), 14, "batch_size = 16");
    text += "method = \"" + method + "\"\nteacher = \"" + kModels +
            "qwen3_untied\"\n[distill]\non_policy = true\nbeta = 1.0\nmax_new_tokens = 8\n";
    const Ran ran = qw({"train", folder.file("d-" + method + ".toml", text)});
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_LT(losses(method).back(), losses(method).front()) << method;
  }
}

// Of generation_config.json, where there may be several.
TEST_F(TrainTest, OnPolicyAnswersEndAtEveryStopToken) {
  const fs::path model = folder / "model";
  fs::copy(kModels + "qwen3_tied", model, fs::copy_options::recursive);
  const auto tokens = [&](const std::string& name, int max_new_tokens) {
    std::string text = read_file(config(name, "")).value();
    text.replace(text.find(kModels + "qwen3_tied"), (kModels + "qwen3_tied").size(), model.string());
    text.replace(text.find("task = \"sft\""), 12, "task = \"distill\"");
    text += fmt::format("teacher = \"{}qwen3_untied\"\n[distill]\non_policy = true\nmax_new_tokens = {}\n",
                        kModels, max_new_tokens);
    const Ran ran = qw({"train", folder.file("s-" + name + ".toml", text)});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return ran.status == 0 ? log(name)[0]["tokens"].get<int64_t>() : 0;
  };
  const int64_t one_token_each = tokens("one", 1);
  Json facts = Json::parse(read_file(model / "generation_config.json").value());
  facts["eos_token_id"] = Json::array();
  for (int id = 0; id < 320; ++id) facts["eos_token_id"].push_back(id);
  std::ofstream(model / "generation_config.json") << facts;
  EXPECT_EQ(tokens("any", 8), one_token_each);
}

// The engine that samples takes its memory beside a step's activations, which are kept.
TEST_F(TrainTest, ThePlanAddsSamplingToTheStep) {
  std::string text = read_file(config("plan", "")).value();
  text.replace(text.find("task = \"sft\""), 12, "task = \"distill\"");
  text.replace(text.find("seq_len = 64"), 12, "seq_len = 500");  // more of it than of the steps
  text += "teacher = \"" + kModels + "qwen3_untied\"\n";
  const auto activations = [&](const std::string& more) {
    const Ran ran = qw({"train", folder.file("p.toml", text + more), "--dry-run", "--json"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return ran.json()["activation_bytes"].get<int64_t>();
  };
  const std::string on_policy = "[distill]\non_policy = true\nmax_new_tokens = 8\n";
  EXPECT_LT(activations("recompute = true\n" + on_policy), activations(on_policy));
}

TEST_F(TrainTest, ErrorsSayWhatToDo) {
  EXPECT_EQ(qw({"train"}).status, 2);
  EXPECT_EQ(qw({"train", folder / "absent.toml"}).status, 1);
  const Ran unknown = qw({"train", config("u", "learning_rate = 1\n")});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.err.find("learning_rate"), unknown.err.npos);
  data = folder.file("bad.jsonl", chats(2) + "nothing\n");
  const Ran bad = qw({"train", config("b", "")});
  EXPECT_EQ(bad.status, 1);
  EXPECT_NE(bad.err.find("bad.jsonl:3"), bad.err.npos) << bad.err;
  EXPECT_FALSE(fs::exists(out("b") + "/log.jsonl"));
  const Ran skipped = qw({"train", config("s", "bad_lines = \"skip\"\n"), "--dry-run", "--json"});
  EXPECT_EQ(skipped.status, 0) << skipped.err;
  EXPECT_EQ(skipped.json()["documents"], 2);
  data = folder.file("good.jsonl", chats(4));
  EXPECT_NE(qw({"train", config("q", "method = \"qlora\"\n")}).err.find("method = \"lora\""),
            std::string::npos);
  EXPECT_EQ(qw({"train", config("l", "seq_len = 100000\n")}).status, 1);
  std::string long_answers = read_file(config("o", "teacher = \"" + kModels +
                                                       "llama\"\n[distill]\non_policy = true\n"
                                                       "max_new_tokens = 2147483647\n"))
                                 .value();
  long_answers.replace(long_answers.find("\"sft\""), 5, "\"distill\"");
  const Ran too_long = qw({"train", folder.file("o.toml", long_answers)});
  EXPECT_EQ(too_long.status, 1);
  EXPECT_NE(too_long.err.find("max_new_tokens"), too_long.err.npos) << too_long.err;
}

TEST_F(TrainTest, ThePrintedConfigurationIsOne) {
  const Ran printed = qw({"train", "--print-config"});
  ASSERT_EQ(printed.status, 0);
  std::string text = printed.out;
  const auto set = [&](const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
  };
  set("model = \"\"", "model = \"" + kModels + "llama\"");
  set("out = \"\"", "out = \"" + out("p") + "\"");
  set("task = \"pretrain\"", "task = \"sft\"");
  set("data = []", "data = [\"" + data + "\"]");
  const Ran plan = qw({"train", folder.file("p.toml", text), "--dry-run", "--json"});
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_FALSE(fs::exists(out("p")));
  EXPECT_NE(qw({"train", "--print-config", "--lang", "zh"}).out.find("起始模型"), std::string::npos);
}

}  // namespace
}  // namespace qw::e2e
