// qw train that is stopped, killed, ended early, and goes on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/mmap.h"
#include "tests/e2e/train_fixture.h"

namespace qw::e2e {
namespace {

namespace fs = std::filesystem;

TEST_F(TrainTest, KilledAndResumedItHasTheLossesOfAnUndisturbedRun) {
  const std::string more = "steps = 60\ncheckpoint_minutes = 0\n";
  std::string text = read_file(config("whole", more)).value();
  const auto with_steps = [](std::string t) { return t.replace(t.find("steps = 12\n"), 11, ""); };
  const std::string whole = folder.file("w.toml", with_steps(text));
  ASSERT_EQ(qw({"train", whole}).status, 0);
  text = read_file(config("killed", more)).value();
  const std::string killed = folder.file("k.toml", with_steps(text));
  const pid_t child = ::fork();
  if (child == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 1);
    ::dup2(null, 2);
    ::execl(QW_PROGRAM, "qw", "train", killed.c_str(), nullptr);
    ::_exit(127);
  }
  while (losses("killed").size() < 20 && ::waitpid(child, nullptr, WNOHANG) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ASSERT_GE(losses("killed").size(), 20u);
  ASSERT_LT(losses("killed").size(), 60u) << "it ended before it was killed";
  EXPECT_EQ(qw({"train", killed}).status, 1);  // nothing is written over
  const Ran resumed = qw({"train", killed, "--resume"});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("Going on from"), resumed.err.npos);
  EXPECT_EQ(losses("killed"), losses("whole"));
  EXPECT_EQ(read_file(out("killed") + "/model.safetensors").value(),
            read_file(out("whole") + "/model.safetensors").value());
}

TEST_F(TrainTest, CtrlCWritesACheckpointOfTheLastStep) {
  std::string text = read_file(config("stopped", "")).value();
  text.replace(text.find("steps = 12"), 10, "steps = 4000");
  const std::string toml = folder.file("s.toml", text);
  Input input;
  input.interrupt_when = [&] { return losses("stopped").size() >= 5; };
  const Ran ran = qw({"train", toml}, input);
  const size_t done = losses("stopped").size();
  EXPECT_EQ(ran.status, 130) << ran.err;
  EXPECT_NE(ran.err.find(fmt::format("Stopped after step {}", done)), ran.err.npos) << ran.err;
  ASSERT_LT(done, 4000u);
  EXPECT_TRUE(fs::exists(out("stopped") + fmt::format("/checkpoints/step-{:08}/state.json", done)));
  EXPECT_FALSE(fs::exists(out("stopped") + "/model.safetensors"));  // it is not done
  const std::vector<double> before = losses("stopped");
  text.replace(text.find("steps = 4000"), 12, fmt::format("steps = {}", done + 3));
  const Ran resumed = qw({"train", folder.file("s.toml", text), "--resume"});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  std::vector<double> after = losses("stopped");
  ASSERT_EQ(after.size(), done + 3);
  after.resize(done);
  EXPECT_EQ(after, before);
}

TEST_F(TrainTest, WithoutACheckpointARunBeginsAnewButForItsResult) {
  const std::string toml = config("anew", "");
  const Ran first = qw({"train", toml, "--resume"});  // as a script does that is called again and again
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_NE(first.err.find("no checkpoint to go on from: the run begins"), first.err.npos) << first.err;
  ASSERT_EQ(losses("anew").size(), 12u);
  const std::string logged = read_file(out("anew") + "/log.jsonl").value();
  fs::remove_all(out("anew") + "/checkpoints");
  const Ran again = qw({"train", toml, "--resume"});
  EXPECT_EQ(again.status, 1);
  EXPECT_NE(again.err.find("holds a model"), again.err.npos) << again.err;
  EXPECT_EQ(read_file(out("anew") + "/log.jsonl").value(), logged);
}

TEST_F(TrainTest, AResumedRunKeepsItsDate) {
  const std::string text = read_file(config("date", "date = \"2001-02-03\"\n")).value();
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string t = text;
    return folder.file("d.toml", t.replace(t.find(from), from.size(), to));
  };
  const auto date_at = [&](const std::string& step) {
    return parse_json_file(out("date") + "/checkpoints/step-" + step + "/state.json")
        .value()
        .at("config")
        .at("date")
        .get<std::string>();
  };
  const Ran bad = qw({"train", with("2001-02-03", "tomorrow")});
  EXPECT_EQ(bad.status, 1);
  EXPECT_NE(bad.err.find("tomorrow"), bad.err.npos) << bad.err;
  ASSERT_EQ(qw({"train", with("steps = 12", "steps = 3")}).status, 0);
  EXPECT_EQ(date_at("00000003"), "2001-02-03");
  const Ran resumed = qw({"train", with("date = \"2001-02-03\"", ""), "--resume"});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(date_at("00000012"), "2001-02-03");
}

TEST_F(TrainTest, ARunThatStoppedEarlyStaysStopped) {
  const std::string text =
      read_file(config("early", "eval_every = 1\nearly_stop = 2\neval_data = [\"" + data + "\"]\n")).value();
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string t = text;
    return folder.file("e.toml", t.replace(t.find(from), from.size(), to));
  };
  const std::string toml = with("lr = 0.003", "lr = 0");  // nothing is gained
  EXPECT_EQ(qw({"train", toml}).status, 0);
  ASSERT_EQ(losses("early").size(), 3u);
  const Ran again = qw({"train", toml, "--resume", "--json"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(again.json()["stopped_early"], true);
  EXPECT_EQ(losses("early").size(), 3u);
  // Another learning rate is among what may change.
  const Ran more = qw({"train", with("early_stop = 2", "early_stop = 9"), "--resume"});
  EXPECT_EQ(more.status, 0) << more.err;
  EXPECT_EQ(losses("early").size(), 12u);
}

TEST_F(TrainTest, ARunWithEarlyStopEndsWithTheWeightsOfItsBestEvaluation) {
  const std::string toml = config("best", "eval_every = 1\nearly_stop = 3\neval_data = [\"" + data + "\"]\n");
  std::string text = read_file(toml).value();
  text.replace(text.find("lr = 0.003"), 10, "lr = 0.9");  // goes astray after a step or two
  const Ran ran = qw({"train", folder.file("b.toml", text), "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  int64_t best_step = 0, last = 0;
  double best = INFINITY;
  for (const Json& line : log("best"))
    if (line.contains("eval_loss")) {
      last = line["step"].get<int64_t>();
      if (const double loss = line["eval_loss"].get<double>(); loss < best) {
        best = loss;
        best_step = last;
      }
    }
  ASSERT_LT(best_step, last);
  EXPECT_EQ(ran.json()["best_step"], best_step);
  // The result is that model: a run of no learning from it evaluates to the same.
  text = read_file(config("again", "eval_data = [\"" + data + "\"]\n")).value();
  const std::string model = kModels + "qwen3_tied";
  text.replace(text.find(model), model.size(), out("best"));
  text.replace(text.find("lr = 0.003\nsteps = 12"), 21, "lr = 0\nsteps = 1");
  ASSERT_EQ(qw({"train", folder.file("c.toml", text)}).status, 0);
  EXPECT_NEAR(log("again").back()["eval_loss"].get<double>(), best, 1e-6);
}

// A run that was killed behind the evaluation of step 12 and goes on from step 11.
struct KilledTest : TrainTest {
  std::string text = read_file(config("killed",
                                      "eval_every = 1\nearly_stop = 9\nkeep_checkpoints = 2\n"
                                      "checkpoint_minutes = 0\neval_data = [\"" +
                                          data + "\"]\n"))
                         .value();

  void SetUp() override {
    ASSERT_EQ(qw({"train", folder.file("k.toml", text)}).status, 0);
    ASSERT_EQ(log("killed").back()["step"], 12);
    fs::remove_all(out("killed") + "/checkpoints/step-00000012");
    // From here on it learns nothing good.
    text.replace(text.find("lr = 0.003"), 10, "lr = 0.9");
  }
  // Whose weights the resumed run ends with.
  Json best_step() const {
    const Ran ran = qw({"train", folder.file("k.toml", text), "--resume", "--json"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return ran.json()["best_step"];
  }
};

TEST_F(KilledTest, GoesBackToTheBestEvaluationBeforeTheCheckpoint) {
  EXPECT_EQ(best_step(), 11);
}

TEST_F(KilledTest, ForgetsAnEvaluationWhoseWeightsAreGone) {
  fs::remove_all(out("killed") + "/best");
  EXPECT_EQ(best_step(), 12);
}

TEST_F(KilledTest, ForgetsEvaluationsOnOtherData) {
  const std::string other = folder.file("other.jsonl", chats(9));
  text.replace(text.find("eval_data = [\"" + data), data.size() + 14, "eval_data = [\"" + other);
  EXPECT_EQ(best_step(), 12);
}

}  // namespace
}  // namespace qw::e2e
