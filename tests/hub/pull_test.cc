// Pulls from a hub that misbehaves: the model arrives whole and verified, or an error says why and what came
// is kept.
#include "hub/pull.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <set>
#include <thread>

#include "base/mmap.h"
#include "hub/hash.h"
#include "tests/hub/fake_hub.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;
using test::FakeHub;
using test::random_bytes;
using test::Reply;
using test::Request;

constexpr size_t kBig = 700'000;

class PullTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "qw-pull-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    store_ = Store(folder_ / "models");
    ::setenv("HF_HOME", (folder_ / "hf").c_str(), 1);
    ::setenv("HOME", folder_.c_str(), 1);
    hub_.add("Qwen/Tiny", {{"config.json", "{\"model_type\":\"qwen3\"}"},
                           {"tokenizer.json", random_bytes(5'000, 1)},
                           {"README.md", "not needed"},
                           {"model.safetensors.index.json",
                            R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})"},
                           {"model-1.safetensors", random_bytes(kBig, 2)},
                           {"model-2.safetensors", random_bytes(kBig / 3, 3)},
                           {"pytorch_model.bin", random_bytes(2'000, 4)}});
    network_.retry.base = Milliseconds(20);
    network_.http.stall_s = 2;
    options_.download = {.connections = 4, .min_chunk = 40'000, .max_chunk = 100'000};
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<Pulled> run(const std::string& name) {
    PullEvents events;
    events.planned = [this](const PullPlan& plan) { plan_ = plan; };
    events.progress = [this](const DownloadProgress& p) { last_ = p; };
    return pull(store_, network_, endpoints_, *parse_name(name), events, options_);
  }
  void expect_tiny(const Result<Pulled>& pulled) {
    ASSERT_TRUE(pulled.has_value()) << pulled.error().debug();
    const fs::path folder = pulled->model.folder;
    EXPECT_EQ(read_file(folder / "model-1.safetensors").value(), random_bytes(kBig, 2));
    EXPECT_EQ(read_file(folder / "model-2.safetensors").value(), random_bytes(kBig / 3, 3));
    EXPECT_EQ(read_file(folder / "tokenizer.json").value(), random_bytes(5'000, 1));
    EXPECT_EQ(read_file(folder / "config.json").value(), "{\"model_type\":\"qwen3\"}");
    EXPECT_FALSE(fs::exists(folder / "README.md"));
    EXPECT_FALSE(fs::exists(folder / "pytorch_model.bin"));
    EXPECT_TRUE(store_.partials().empty());
    EXPECT_EQ(store_.list().size(), 1U);
  }
  static bool is_blob(const Request& request) { return request.target.starts_with("/blob/"); }

  FakeHub hub_;
  fs::path folder_;
  Store store_{fs::path()};
  Network network_;
  Endpoints endpoints_ = hub_.endpoints();
  PullOptions options_;
  PullPlan plan_;
  DownloadProgress last_;
};

TEST_F(PullTest, ArrivesInPartsFromAnotherHost) {
  expect_tiny(run("Qwen/Tiny"));
  EXPECT_EQ(plan_.licence, "apache-2.0");
  EXPECT_EQ(plan_.files.size(), 5U);
  EXPECT_EQ(last_.done, last_.total);
  EXPECT_GT(hub_.cdn().requests().size(), 8U);  // ranges
  const auto model = store_.find("huggingface/Qwen/Tiny/main");
  ASSERT_TRUE(model);
  EXPECT_EQ(model->record->commit, FakeHub::kCommit);
  EXPECT_EQ(store_.matches("tiny").size(), 1U);
  EXPECT_EQ(store_.matches("qwen/TINY").size(), 1U);
  EXPECT_EQ(store_.matches("Qwen/Other").size(), 0U);
  const size_t before = hub_.cdn().requests().size();
  const auto again = run("Qwen/Tiny");
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->fresh);
  EXPECT_EQ(hub_.cdn().requests().size(), before);
}

TEST_F(PullTest, ATokenGoesToTheHubAndToNobodyElse) {
  hub_.set_gated("Qwen/Tiny", "hf_secret");
  auto refused = run("Qwen/Tiny");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), "hub.gated");
  EXPECT_NE(refused.error().arg("page").find("/Qwen/Tiny"), std::string::npos);
  endpoints_.hf_token = "hf_wrong";
  refused = run("Qwen/Tiny");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), "hub.gated_waiting");
  endpoints_.hf_token = "hf_secret";
  expect_tiny(run("Qwen/Tiny"));
  size_t n_told = 0;
  for (const Request& r : hub_.hub().requests()) n_told += r.header("authorization") == "Bearer hf_secret";
  EXPECT_GT(n_told, 5U);
  for (const Request& r : hub_.cdn().requests()) EXPECT_EQ(r.header("authorization"), "") << r.target;
}

TEST_F(PullTest, WhatIsNotThereIsSaid) {
  EXPECT_EQ(run("Qwen/None").error().code(), "hub.private");
  EXPECT_EQ(run("Qwen/Tiny@v9").error().code(), "hub.no_revision");
  EXPECT_EQ(run("Qwen/Tiny:Q4_0").error().code(), "hub.no_quant");
  EXPECT_EQ(run("ms:Qwen/None").error().code(), "hub.not_found");
  EXPECT_EQ(run("ollama:none:1b").error().code(), "hub.not_found");
  endpoints_.offline = "HF_HUB_OFFLINE";
  EXPECT_EQ(run("Qwen/Tiny").error().code(), "hub.offline");
  endpoints_.offline.clear();
  endpoints_.huggingface = "http://127.0.0.1:1";
  const auto nobody = run("Qwen/Tiny");
  EXPECT_EQ(nobody.error().code(), "hub.unreachable");
  EXPECT_EQ(nobody.error().arg("host"), "127.0.0.1");
  endpoints_.huggingface = "https" + hub_.hub().url().substr(4);  // speaks no TLS
  EXPECT_EQ(run("Qwen/Tiny").error().code(), "hub.tls");
  endpoints_.huggingface = "http://no-such-host.invalid";
  EXPECT_EQ(run("Qwen/Tiny").error().code(), "hub.unreachable");
}

TEST_F(PullTest, AnswersThatAreNoListAreRefused) {
  for (const char* body :
       {"", "<html>login</html>", "[]", "{}", R"({"sha":"x","siblings":[]})",
        R"({"sha":"0123456789abcdef0123456789abcdef01234567","siblings":[{"rfilename":"a"}]})",
        R"({"sha":3,"siblings":{}})"}) {
    hub_.set_fault([body](const Request&, int, const Reply&) { return Reply{.body = body}; });
    EXPECT_EQ(run("Qwen/Tiny").error().code(), "hub.bad_answer") << body;
  }
}

TEST_F(PullTest, NoPathLeavesTheStore) {
  for (const char* path : {"../../../evil.json", "/tmp/evil.json", "a/../../b.json", ".qw.json"}) {
    hub_.add("o/Evil", {{"config.json", "{}"}, {"model.safetensors", "x"}, {path, "evil"}});
    const auto pulled = run("o/Evil");
    ASSERT_FALSE(pulled) << path;
    EXPECT_EQ(pulled.error().code(), "hub.unsafe_path") << path;
  }
  EXPECT_TRUE(store_.list().empty());
}

TEST_F(PullTest, BrokenConnectionsCostOnlyWhatWasLost) {
  hub_.set_fault([](const Request& r, int n, const Reply& good) -> std::optional<Reply> {
    if (!is_blob(r) || n % 3 == 2) return std::nullopt;
    Reply bad = good;
    bad.cut_after = static_cast<int64_t>(bad.body.size() * 2 / 3);
    bad.reset = n % 3 == 1;
    return bad;
  });
  expect_tiny(run("Qwen/Tiny"));
}

TEST_F(PullTest, ErrorsThatPassAreWaitedFor) {
  std::atomic<int> n_bad = 0;
  hub_.set_fault([&n_bad](const Request& r, int n, const Reply&) -> std::optional<Reply> {
    if (n > 1 || r.target.starts_with("/Qwen/")) return std::nullopt;
    ++n_bad;
    constexpr int kStatus[] = {500, 502, 503, 429, 504};
    Reply bad{.status = kStatus[n_bad % 5], .body = "busy"};
    if (bad.status == 429 || bad.status == 503) bad.headers["Retry-After"] = "0";
    return bad;
  });
  expect_tiny(run("Qwen/Tiny"));
  EXPECT_GT(n_bad, 3);
}

TEST_F(PullTest, RetryAfterIsHonoured) {
  std::atomic<bool> told = false;

  hub_.set_fault([&](const Request& r, int, const Reply&) -> std::optional<Reply> {
    if (!is_blob(r)) return std::nullopt;
    if (!told.exchange(true)) {
      return Reply{.status = 429, .headers = {{"Retry-After", "1"}}};
    }
    return std::nullopt;
  });
  options_.download.connections = 1;
  const auto start = std::chrono::steady_clock::now();
  expect_tiny(run("Qwen/Tiny"));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(950));
  // More than it is reasonable to wait for is said at once.
  fs::remove_all(store_.models());
  hub_.set_fault([](const Request& r, int, const Reply&) -> std::optional<Reply> {
    return is_blob(r) ? std::optional(Reply{.status = 429, .headers = {{"Retry-After", "4000"}}})
                      : std::nullopt;
  });
  const auto refused = run("Qwen/Tiny");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), "hub.rate_limited");
  EXPECT_EQ(refused.error().arg("seconds"), "4000");
  network_.retry.patience = std::chrono::seconds(1);  // also an address, which is asked for its size first
  test::Server busy([](const Request&) { return Reply{.status = 429, .headers = {{"Retry-After", "2"}}}; });
  EXPECT_EQ(run(busy.url("/x-Q8_0.gguf")).error().code(), "hub.rate_limited");
  EXPECT_EQ(busy.requests().size(), 1U);
}

TEST_F(PullTest, AServerThatStaysBrokenIsAnErrorAndWhatCameIsKept) {
  network_.retry.attempts = 3;
  hub_.set_fault([](const Request& r, int n, const Reply& good) -> std::optional<Reply> {
    if (!is_blob(r) || good.body.size() < 1000 || n < 2) return std::nullopt;
    return Reply{.status = 503};
  });
  const auto failed = run("Qwen/Tiny");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), "hub.server");
  ASSERT_EQ(store_.partials().size(), 1U);
  EXPECT_EQ(store_.partials()[0].name, "Qwen/Tiny");
  EXPECT_TRUE(store_.list().empty());
  const int64_t kept = last_.done;
  EXPECT_GT(kept, 0);
  hub_.set_fault({});
  expect_tiny(run("Qwen/Tiny"));
  EXPECT_GE(plan_.have_bytes, kept);
}

TEST_F(PullTest, WrongContentIsFetchedAgainOnceAndThenRefused) {
  std::atomic<bool> forever = false;
  hub_.set_fault([&](const Request& r, int n, const Reply& good) -> std::optional<Reply> {
    if (!is_blob(r) || good.body.size() < 30'000 || (!forever && n > 0)) return std::nullopt;
    Reply bad = good;
    bad.body[5] = static_cast<char>(bad.body[5] + 1);
    return bad;
  });
  expect_tiny(run("Qwen/Tiny"));
  fs::remove_all(store_.models());
  forever = true;
  const auto refused = run("Qwen/Tiny");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), "hub.wrong_hash");
  EXPECT_TRUE(store_.list().empty());
}

TEST_F(PullTest, AServerWithoutRangesSendsTheWhole) {
  hub_.set_fault([this](const Request& r, int n, const Reply&) -> std::optional<Reply> {
    if (!is_blob(r)) return std::nullopt;
    Request whole = r;
    whole.headers.erase("range");
    const std::string hash = r.target.substr(6);
    Reply reply;
    for (const auto& [size, seed] : {std::pair<size_t, uint64_t>{kBig, 2}, {kBig / 3, 3}, {5'000, 1}}) {
      ContentHash h(HashKind::sha256, static_cast<int64_t>(size));
      const std::string content = random_bytes(size, seed);
      h.add(std::as_bytes(std::span(content)));
      if (h.finish() == hash) reply = test::content_reply(whole, content);
    }
    if (n == 6) reply.cut_after = 1000;  // and once it breaks
    return reply;
  });
  expect_tiny(run("Qwen/Tiny"));
}

TEST_F(PullTest, SilenceEndsAConnection) {
  hub_.set_fault([](const Request& r, int n, const Reply& good) -> std::optional<Reply> {
    if (!is_blob(r) || n > 0) return std::nullopt;
    Reply bad = good;
    bad.stall_ms = 60'000;
    return bad;
  });
  expect_tiny(run("Qwen/Tiny"));
}

TEST_F(PullTest, AFileThatGrewIsSaid) {
  hub_.set_fault([](const Request& r, int, const Reply& good) -> std::optional<Reply> {
    if (!is_blob(r)) return std::nullopt;
    Reply bad = good;
    bad.headers["Content-Range"] = "bytes 0-9/999999999";
    return bad;
  });
  EXPECT_EQ(run("Qwen/Tiny").error().code(), "hub.changed");
}

TEST_F(PullTest, RedirectsThatAreNoGoodEnd) {
  hub_.set_fault([this](const Request& r, int, const Reply&) -> std::optional<Reply> {
    if (!r.target.starts_with("/Qwen/")) return std::nullopt;
    return Reply{.status = 302, .headers = {{"Location", hub_.hub().url(r.target)}}};
  });
  EXPECT_EQ(run("Qwen/Tiny").error().code(), "hub.redirect");
  hub_.set_fault([](const Request& r, int, const Reply&) -> std::optional<Reply> {
    if (!r.target.starts_with("/Qwen/")) return std::nullopt;
    return Reply{.status = 302, .headers = {{"Location", "file:///etc/passwd"}}};
  });
  EXPECT_EQ(run("Qwen/Tiny").error().code(), "hub.redirect");
}

TEST_F(PullTest, StoppedInTheMiddleItGoesOn) {
  hub_.set_fault([](const Request& r, int, const Reply& good) -> std::optional<Reply> {
    if (!is_blob(r)) return std::nullopt;
    Reply slow = good;
    slow.bytes_per_s = 200'000;
    return slow;
  });
  std::stop_source stop;
  network_.stop = stop.get_token();
  const std::jthread stopper([&stop] {
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    stop.request_stop();
  });
  const auto stopped = run("Qwen/Tiny");
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), "hub.cancelled");
  const int64_t kept = last_.done;
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, last_.total);
  network_.stop = {};
  hub_.set_fault({});
  const int64_t before = hub_.cdn_bytes();
  expect_tiny(run("Qwen/Tiny"));
  EXPECT_GE(plan_.have_bytes, kept);
  EXPECT_LE(hub_.cdn_bytes() - before, plan_.total_bytes - kept);
}

TEST_F(PullTest, TwoPullsShareTheWork) {
  hub_.set_fault([](const Request& r, int, const Reply& good) -> std::optional<Reply> {
    if (!is_blob(r)) return std::nullopt;
    Reply slow = good;
    slow.bytes_per_s = 400'000;
    return slow;
  });
  std::atomic<int> waited = 0;
  const auto one = [&](Result<Pulled>& out) {
    PullEvents events;
    events.waiting = [&waited] { ++waited; };
    out = pull(store_, network_, endpoints_, *parse_name("Qwen/Tiny"), events, options_);
  };
  Result<Pulled> a = fail("none"), b = fail("none");
  {
    const std::jthread first([&] { one(a); }), second([&] { one(b); });
  }
  expect_tiny(a);
  expect_tiny(b);
  EXPECT_EQ(waited, 1);
  EXPECT_NE(a->fresh, b->fresh);
  EXPECT_EQ(hub_.cdn_bytes(), static_cast<int64_t>(kBig + kBig / 3 + 5'000));  // nothing twice
}

TEST_F(PullTest, AnotherVersionTakesWhatIsTheSame) {
  expect_tiny(run("Qwen/Tiny"));
  fs::path record = store_.folder("huggingface/Qwen/Tiny/main");
  Record old = *read_record(record);
  old.commit = "older";
  ASSERT_TRUE(write_record(record, old));
  hub_.add("Qwen/Tiny", {{"config.json", "{}"},
                         {"model.safetensors", random_bytes(9'000, 9)},
                         {"tokenizer.json", random_bytes(5'000, 1)}});
  const size_t before = hub_.cdn().requests().size();
  const auto pulled = run("Qwen/Tiny");
  ASSERT_TRUE(pulled) << pulled.error().debug();
  EXPECT_EQ(plan_.have_bytes, 5'000);
  EXPECT_EQ(hub_.cdn().requests().size(), before + 1);
  EXPECT_FALSE(fs::exists(pulled->model.folder / "model-1.safetensors"));
  EXPECT_EQ(read_file(pulled->model.folder / "model.safetensors").value(), random_bytes(9'000, 9));
}

TEST_F(PullTest, AModelInUseIsNotReplacedNorRemoved) {
  const auto pulled = run("Qwen/Tiny");
  expect_tiny(pulled);
  const std::string key = pulled->model.key;
  {
    const FileLock use = store_.lock_use(key, false), other = store_.lock_use(key, false);
    EXPECT_TRUE(use.held());
    EXPECT_TRUE(other.held());
    EXPECT_EQ(store_.remove(pulled->model).error().code(), "hub.in_use");
  }
  EXPECT_TRUE(store_.remove(pulled->model));
  EXPECT_TRUE(store_.list().empty());
  EXPECT_FALSE(fs::exists(store_.models() / "huggingface"));
}

TEST_F(PullTest, ALockThatCannotBeMadeIsAnErrorAndNoWait) {
  std::stop_source stop;
  network_.stop = stop.get_token();
  PullEvents events;
  events.waiting = [&stop] { stop.request_stop(); };
  const auto expect_error = [&](const fs::path& file) {
    const auto pulled = pull(store_, network_, endpoints_, *parse_name("Qwen/Tiny"), events, options_);
    ASSERT_FALSE(pulled);
    EXPECT_EQ(pulled.error().code(), "file.write") << pulled.error().debug();
    EXPECT_NE(pulled.error().arg("file").find(file.string()), std::string::npos);
  };
  const fs::path locks = store_.models() / ".locks";
  fs::create_directories(store_.models());
  std::ofstream(locks) << "a file";
  expect_error(locks);
  fs::remove(locks);
  EXPECT_TRUE(store_.lock_pull("huggingface/Qwen/Tiny/main").held());
  for (const auto& entry : std::vector(fs::directory_iterator(locks), fs::directory_iterator())) {
    fs::remove(entry.path());
    fs::create_directory(entry.path());  // opens for nobody, root too
    expect_error(entry.path());
  }
  EXPECT_FALSE(store_.lock_pull("huggingface/Qwen/Tiny/main").busy());
}

TEST_F(PullTest, ModelScope) {
  expect_tiny(run("modelscope:Qwen/Tiny"));
  EXPECT_FALSE(run("modelscope:Qwen/Tiny")->fresh);
  EXPECT_EQ(store_.list()[0].name(), "modelscope:Qwen/Tiny");
  for (const char* name : {"tiny", "Qwen/Tiny", "modelscope:Qwen/Tiny", "ms:qwen/tiny"})
    EXPECT_EQ(store_.matches(name).size(), 1U) << name;
  for (const char* name : {"modelscope", "ms", "qwen", "ollama:tiny"})
    EXPECT_TRUE(store_.matches(name).empty()) << name;
}

TEST_F(PullTest, Ollama) {
  hub_.add("library/tiny:1b", {{"model.gguf", random_bytes(200'000, 7)},
                               {"template.ollama", "{{ .Prompt }}"},
                               {"params.json", "{\"stop\":[\"x\"]}"},
                               {"LICENSE", "free"}});
  const auto pulled = run("ollama:tiny:1b");
  ASSERT_TRUE(pulled) << pulled.error().debug();
  EXPECT_EQ(read_file(pulled->model.model_path()).value(), random_bytes(200'000, 7));
  EXPECT_EQ(read_file(pulled->model.folder / "params.json").value(), "{\"stop\":[\"x\"]}");
  EXPECT_TRUE(fs::exists(pulled->model.folder / "LICENSE"));
  for (const char* name : {"ollama:tiny:1b", "ollama:tiny", "tiny"})
    EXPECT_EQ(store_.matches(name).size(), 1U) << name;
  EXPECT_TRUE(store_.matches("ollama").empty());
}

TEST_F(PullTest, OneGgufOfARepositoryInAllItsParts) {
  hub_.add("Qwen/Tiny-GGUF", {{"t-Q8_0.gguf", random_bytes(3'000, 1)},
                              {"t-Q4_K_M-00001-of-00002.gguf", random_bytes(4'000, 2)},
                              {"t-Q4_K_M-00002-of-00002.gguf", random_bytes(5'000, 3)}});
  const auto pulled = run("Qwen/Tiny-GGUF");
  ASSERT_TRUE(pulled) << pulled.error().debug();
  EXPECT_EQ(pulled->model.name(), "Qwen/Tiny-GGUF:Q4_K_M");
  EXPECT_EQ(pulled->model.model_path().filename(), "t-Q4_K_M-00001-of-00002.gguf");
  EXPECT_EQ(pulled->model.bytes, 9'000);
  ASSERT_TRUE(run("Qwen/Tiny-GGUF:q8_0"));
  EXPECT_EQ(store_.list().size(), 2U);
  EXPECT_EQ(store_.matches("Qwen/Tiny-GGUF:Q8_0").size(), 1U);
  EXPECT_EQ(store_.matches("tiny-gguf").size(), 2U);
}

TEST_F(PullTest, GgufFilesWithoutAQuantisationOfTheirOwnDoNotReplaceEachOther) {
  const std::string a = random_bytes(3'000, 1), b = random_bytes(4'000, 2), c = random_bytes(5'000, 3);
  hub_.add("o/Many", {{"config.json", "{}"},
                      {"model.safetensors", random_bytes(2'000, 4)},
                      {"plain.gguf", a},
                      {"small/x-Q4_0.gguf", b},
                      {"large/x-Q4_0.gguf", c}});
  const std::string page = "https://huggingface.co/o/Many/blob/main/";
  ASSERT_TRUE(run("o/Many"));
  std::set<std::string> names;
  for (const auto& [file, content] :
       {std::pair("plain.gguf", a), {"small/x-Q4_0.gguf", b}, {"large/x-Q4_0.gguf", c}}) {
    const auto pulled = run(page + file);
    ASSERT_TRUE(pulled) << pulled.error().debug();
    EXPECT_EQ(read_file(pulled->model.model_path()).value(), content);
    names.insert(pulled->model.name());
    const auto again = run(pulled->model.name());  // the name asks for this very file
    ASSERT_TRUE(again) << again.error().debug();
    EXPECT_EQ(read_file(again->model.model_path()).value(), content);
  }
  EXPECT_EQ(names.size(), 3U);
  EXPECT_EQ(store_.list().size(), 4U);
  EXPECT_EQ(store_.matches("o/Many:Q4_0").size(), 2U);  // what was asked for finds both
}

TEST_F(PullTest, AnAddress) {
  const std::string content = random_bytes(300'000, 11);
  test::Server plain([&content](const Request& r) {
    if (r.target != "/files/some-Q8_0.gguf?x=1") return Reply{.status = 404};
    Reply reply = test::content_reply(r, content);
    reply.headers["ETag"] = "\"v1\"";
    return reply;
  });
  const auto pulled = run(plain.url("/files/some-Q8_0.gguf?x=1"));
  ASSERT_TRUE(pulled) << pulled.error().debug();
  EXPECT_FALSE(pulled->verified);
  EXPECT_EQ(read_file(pulled->model.model_path()).value(), content);
  // Changed on the way: the ETag of a range is not that of the list.
  std::atomic<int> n = 0;
  test::Server changing([&content, &n](const Request& r) {
    Reply reply = test::content_reply(r, content);
    reply.headers["ETag"] = fmt::format("\"v{}\"", n++ / 3);
    return reply;
  });
  EXPECT_EQ(run(changing.url("/new-Q8_0.gguf")).error().code(), "hub.changed");
  EXPECT_EQ(run(plain.url("/none.gguf")).error().code(), "hub.no_file");
  test::Server page([](const Request&) { return Reply{.body = "hello"}; });
  EXPECT_EQ(run(page.url("/page.html")).error().code(), "hub.no_weights");
}

TEST_F(PullTest, AFolderAndAFileOfThisMachine) {
  fs::create_directories(folder_ / "mine/.git");
  for (const char* name : {"config.json", "model.safetensors", "notes.txt", ".git/config"})
    std::ofstream(folder_ / "mine" / name) << name;
  const auto folder = run((folder_ / "mine").string());
  ASSERT_TRUE(folder) << folder.error().debug();
  EXPECT_EQ(read_file(folder->model.folder / "model.safetensors").value(), "model.safetensors");
  EXPECT_FALSE(fs::exists(folder->model.folder / "notes.txt"));
  EXPECT_EQ(fs::hard_link_count(folder->model.folder / "model.safetensors"), 2U);
  std::ofstream(folder_ / "x-Q4_0.gguf") << "GGUF";
  const auto file = run((folder_ / "x-Q4_0.gguf").string());
  ASSERT_TRUE(file) << file.error().debug();
  EXPECT_EQ(read_file(file->model.model_path()).value(), "GGUF");
  EXPECT_EQ(store_.matches("x-q4_0").size(), 1U);
  EXPECT_EQ(run((folder_ / "./x-Q4_0.gguf").string())->model.key, file->model.key);
  // Another file of the same name stands beside it.
  fs::create_directories(folder_ / "b");
  std::ofstream(folder_ / "b/x-Q4_0.gguf") << "GGUF2";
  const auto other = run((folder_ / "b/x-Q4_0.gguf").string());
  ASSERT_TRUE(other) << other.error().debug();
  EXPECT_EQ(read_file(other->model.model_path()).value(), "GGUF2");
  EXPECT_EQ(read_file(file->model.model_path()).value(), "GGUF");
  const auto both = store_.matches("x-q4_0");
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(names_of(both), both[0].key + ", " + both[1].key);
  EXPECT_EQ(store_.matches(both[0].key).size(), 1U);
  EXPECT_EQ(run((folder_ / "none").string()).error().code(), "hub.no_disk_file");
}

TEST_F(PullTest, WhatOtherProgramsHaveIsTakenFromThem) {
  ContentHash h(HashKind::sha256, static_cast<int64_t>(kBig));
  const std::string content = random_bytes(kBig, 2);
  h.add(std::as_bytes(std::span(content)));
  const fs::path blobs = folder_ / "hf/hub/models--Qwen--Tiny/blobs";
  fs::create_directories(blobs);
  std::ofstream(blobs / h.finish(), std::ios::binary) << content;
  expect_tiny(run("Qwen/Tiny"));
  EXPECT_EQ(plan_.have_bytes, static_cast<int64_t>(kBig));
}

}  // namespace
}  // namespace qw::hub
