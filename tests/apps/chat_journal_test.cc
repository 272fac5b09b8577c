#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "apps/chat/history.h"
#include "apps/chat/journal.h"
#include "base/mmap.h"

namespace qw::chat {
namespace {

class ChatJournal : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "qw_chat_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Applies and writes, as the chat does.
  static void both(Journal& journal, Conversation& conversation, const Json& record) {
    ASSERT_TRUE(conversation.apply(record).has_value()) << record.dump();
    ASSERT_TRUE(journal.append(record).has_value());
  }
  static void turn(Journal& journal, Conversation& conversation, const std::string& user,
                   const std::string& answer) {
    both(journal, conversation, {{"t", "user"}, {"content", user}});
    both(journal, conversation, {{"t", "answer"}, {"keep", 0}, {"ids", {1, 2}}});
    both(journal, conversation, {{"t", "delta"}, {"ids", {3}}, {"text", answer}, {"reasoning", ""}});
    both(journal, conversation, {{"t", "end"}, {"reason", "stop"}});
  }
  std::string bytes(const std::filesystem::path& file) { return read_file(file).value(); }
  void write(const std::filesystem::path& file, const std::string& content) {
    std::ofstream(file, std::ios::binary) << content;
  }

  std::filesystem::path folder_;
};

TEST_F(ChatJournal, ReplayGivesTheConversation) {
  Conversation live;
  std::filesystem::path file;
  {
    auto journal = Journal::create(folder_ / "chats", {"m.gguf", "a", "t"}).value();
    file = journal.file();
    both(journal, live, {{"t", "system"}, {"content", "Be brief.\nÄ你"}});
    turn(journal, live, "one", "1");
    turn(journal, live, "two", "2");
    turn(journal, live, "three", "3");
    both(journal, live, {{"t", "take_back"}, {"messages", 1}});
    both(journal, live, {{"t", "compact"}, {"messages", 2}, {"request", "Sum."}, {"summary", "one is 1"}});
    both(journal, live, {{"t", "drop"}, {"messages", 2}});
  }
  Conversation replayed;
  const auto journal = Journal::open(file, replayed);
  ASSERT_TRUE(journal.has_value());
  EXPECT_EQ(journal->origin().model, "m.gguf");
  EXPECT_EQ(journal->origin().adapter, "a");
  EXPECT_EQ(journal->origin().template_file, "t");
  EXPECT_EQ(replayed.system(), live.system());
  EXPECT_EQ(replayed.messages(), live.messages());
  EXPECT_EQ(replayed.messages(),
            (std::vector<Message>{{"user", "two"}, {"assistant", "2"}, {"user", "three"}}));
  EXPECT_EQ(replayed.known_ids(), (std::vector<int32_t>{1, 2, 3}));
}

TEST_F(ChatJournal, EveryCutOfTheFileLoadsAndGoesOn) {
  Conversation live;
  std::filesystem::path file;
  {
    auto journal = Journal::create(folder_, {"m"}).value();
    file = journal.file();
    turn(journal, live, "q1", "a1");
    both(journal, live, {{"t", "user"}, {"content", "q2"}});
    both(journal, live, {{"t", "answer"}, {"keep", 3}, {"ids", {7}}});
    both(journal, live, {{"t", "delta"}, {"ids", {8}}, {"text", "part"}, {"reasoning", "why"}});
  }
  const std::string whole = bytes(file);
  const size_t header = whole.find('\n') + 1;
  for (size_t n = header; n <= whole.size(); ++n) {
    write(file, whole.substr(0, n));
    Conversation conversation;
    {
      auto journal = Journal::open(file, conversation);
      ASSERT_TRUE(journal.has_value()) << n << " " << journal.error().debug();
      EXPECT_FALSE(conversation.answering());
      both(*journal, conversation, {{"t", "user"}, {"content", "after"}});
    }
    Conversation again;
    ASSERT_TRUE(Journal::open(file, again).has_value()) << n;
    EXPECT_EQ(again.messages(), conversation.messages()) << n;
    EXPECT_EQ(again.messages().back().content, "after");
  }
  Conversation last;
  write(file, whole);
  ASSERT_TRUE(Journal::open(file, last).has_value());
  EXPECT_EQ(last.messages().back(), (Message{"assistant", "part", "why"}));
  EXPECT_EQ(last.end_reason(), "interrupted");
  EXPECT_EQ(last.known_ids(), (std::vector<int32_t>{1, 2, 3, 7, 8}));
}

// A turn with a tool, cut anywhere: what is there loads, and the question counts as unanswered until the
// answer behind the tool has begun.
TEST_F(ChatJournal, EveryCutOfAToolTurnLoads) {
  Conversation live;
  std::filesystem::path file;
  {
    auto journal = Journal::create(folder_, {"m"}).value();
    file = journal.file();
    turn(journal, live, "q1", "a1");
    both(journal, live, {{"t", "user"}, {"content", "q2"}});
    both(journal, live, {{"t", "answer"}, {"keep", 0}, {"ids", {7}}});
    both(journal, live,
         {{"t", "delta"},
          {"ids", {8}},
          {"text", ""},
          {"reasoning", ""},
          {"calls", {{{"name", "f"}, {"arguments", "{\"x\": 1.0}"}}}}});
    both(journal, live, {{"t", "end"}, {"reason", "stop"}});
    both(journal, live, {{"t", "tool"}, {"name", "f"}, {"content", "{}"}, {"shown", "f() → {}"}});
    both(journal, live, {{"t", "answer"}, {"keep", 2}, {"ids", {9}}});
    both(journal, live, {{"t", "delta"}, {"ids", {10}}, {"text", "done"}, {"reasoning", ""}});
    both(journal, live, {{"t", "end"}, {"reason", "stop"}});
  }
  ASSERT_EQ(live.messages().size(), 6U);
  EXPECT_EQ(live.messages()[3].calls, (std::vector<Call>{{"f", "{\"x\": 1.0}"}}));
  EXPECT_EQ(live.messages()[4].role, "tool");
  EXPECT_EQ(live.turns(), (std::vector<size_t>{0, 2}));
  const Json call = live.to_messages()[3]["tool_calls"][0];
  EXPECT_EQ(call["function"]["arguments"], "{\"x\": 1.0}");
  const std::string whole = bytes(file);
  for (size_t n = whole.find('\n') + 1; n <= whole.size(); ++n) {
    write(file, whole.substr(0, n));
    Conversation c;
    ASSERT_TRUE(Journal::open(file, c).has_value()) << n;
    const bool second = c.messages().size() > 2;
    const bool answered = c.messages().size() == 6;
    EXPECT_EQ(c.n_unanswered(), second && !answered ? c.messages().size() - 2 : c.messages().size() == 1)
        << n;
  }
}

TEST_F(ChatJournal, CallsOfAnotherFormAreRefused) {
  Conversation c;
  ASSERT_TRUE(c.apply({{"t", "user"}, {"content", "q"}}));
  ASSERT_TRUE(c.apply({{"t", "answer"}, {"keep", 0}, {"ids", Json::array()}}));
  for (const Json& calls : {Json(3), Json::array({3}), Json::array({{{"name", "f"}}}),
                            Json::array({{{"name", "f"}, {"arguments", "no json"}}}),
                            Json::array({{{"name", "f"}, {"arguments", "[]"}}})})
    EXPECT_FALSE(c.apply({{"t", "delta"}, {"ids", {1}}, {"text", ""}, {"reasoning", ""}, {"calls", calls}}))
        << calls;
  EXPECT_TRUE(c.known_ids().empty());
  EXPECT_FALSE(c.apply({{"t", "tool"}, {"name", "f"}}));
}

TEST_F(ChatJournal, LastIsTheNewestThatNobodyUses) {
  Conversation found;
  EXPECT_FALSE(Journal::open_last(folder_ / "none", found).value().has_value());
  Conversation a, b, empty;
  auto first = std::make_optional(Journal::create(folder_, {"m"}).value());
  turn(*first, a, "first", "1");
  auto second = std::make_optional(Journal::create(folder_, {"m"}).value());
  turn(*second, b, "second", "2");
  const auto newest = Journal::create(folder_, {"m"}).value();  // without a message
  const auto now = std::filesystem::file_time_type::clock::now();
  std::filesystem::last_write_time(first->file(), now - std::chrono::seconds(9));
  std::filesystem::last_write_time(second->file(), now - std::chrono::seconds(5));
  first.reset();
  // flock belongs to the open file: the second journal is in use although it is this process that uses it.
  auto last = Journal::open_last(folder_, found).value();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(found.messages()[0].content, "first");
  Conversation other;
  EXPECT_EQ(Journal::open(second->file(), other).error().code(), "chat.in_use");
  second.reset();
  EXPECT_TRUE(Journal::open_last(folder_, found).value().has_value());
  EXPECT_EQ(found.messages()[0].content, "second");
}

TEST_F(ChatJournal, BadFilesAreErrors) {
  const std::pair<std::string, std::string> cases[] = {
      {"{\"a\":1}\n", "chat.bad_journal"},
      {"[1]\n", "chat.bad_journal"},
      {"{\"t\":\"chat\",\"version\":2,\"model\":\"m\"}\n", "chat.bad_journal"},
      {"{\"t\":\"chat\",\"version\":1,\"model\":\"m\"}\n{\"t\":\"what\"}\n", "chat.bad_journal"},
      {"{\"t\":\"chat\",\"version\":1,\"model\":\"m\"}\n{\"t\":\"drop\",\"messages\":1}\n",
       "chat.bad_journal"},
      {"{\"t\":\"chat\",\"version\":1,\"model\":\"m\"}\n{\"t\":\"answer\",\"keep\":5,\"ids\":[]}\n",
       "chat.bad_journal"},
      {"{\"t\":\"chat\",\"version\":1,\"model\":\"m\"}\n{\"t\":\"user\",\"content\":7}\n",
       "chat.bad_journal"},
  };
  for (const auto& [content, code] : cases) {
    write(folder_ / "x.jsonl", content);
    Conversation conversation;
    const auto journal = Journal::open(folder_ / "x.jsonl", conversation);
    ASSERT_FALSE(journal.has_value()) << content;
    EXPECT_EQ(journal.error().code(), code) << content;
  }
  Conversation conversation;
  EXPECT_EQ(Journal::open(folder_ / "absent.jsonl", conversation).error().code(), "file.open");
}

TEST_F(ChatJournal, RecordsOutliveKill) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Conversation c;
    auto journal = Journal::create(folder_, {"m"}).value();
    (void)journal.append({{"t", "user"}, {"content", "q"}});
    (void)journal.append({{"t", "answer"}, {"keep", 0}, {"ids", {1}}});
    (void)journal.append({{"t", "delta"}, {"ids", {2}}, {"text", "half"}, {"reasoning", ""}});
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  Conversation found;
  ASSERT_TRUE(Journal::open_last(folder_, found).value().has_value());
  EXPECT_EQ(found.messages(), (std::vector<Message>{{"user", "q"}, {"assistant", "half"}}));
}

TEST_F(ChatJournal, LoadRecordChecksTheMessages) {
  const auto json = [](std::string_view text) { return parse_json(text, "").value(); };
  Conversation c;
  const auto record = load_record(
      json(
          R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})"),
      "f");
  ASSERT_TRUE(record.has_value());
  ASSERT_TRUE(c.apply(*record).has_value());
  EXPECT_EQ(c.system(), "S");
  EXPECT_EQ(load_record(Json{{"messages", c.to_messages()}}, "f").value(), *record);
  for (const std::string_view bad :
       {R"([])", R"({"messages":{}})", R"({"messages":[{"role":"assistant","content":"a"}]})",
        R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":"a"}]})",
        R"({"messages":[{"role":"user","content":["a"]}]})",
        R"({"messages":[{"role":"user","content":"a"},{"role":"system","content":"a"}]})"})
    EXPECT_EQ(load_record(json(bad), "f").error().code(), "chat.bad_file") << bad;
}

// An answer with these members beside its content, and a question after it.
Json with_answer(std::string_view members) {
  return parse_json(
             fmt::format(R"({{"messages":[{{"role":"user","content":"q"}},)"
                         R"({{"role":"assistant","content":"a",{}}},{{"role":"user","content":"r"}}]}})",
                         members),
             "")
      .value();
}

TEST_F(ChatJournal, LoadRecordChecksTheCalls) {
  for (const char* none : {"null", "[]"}) {
    const auto record = load_record(with_answer(fmt::format(R"("tool_calls":{})", none)), "f");
    ASSERT_TRUE(record.has_value()) << none;
    EXPECT_TRUE(Conversation().apply(*record).has_value()) << none;
  }
  for (const char* bad : {R"("x")", R"([{"name":"f","arguments":""}])", R"([{"name":"f","arguments":null}])",
                          R"([{"arguments":"{}"}])", "[3]"}) {
    Json object = with_answer(fmt::format(R"("tool_calls":{})", bad));
    object["messages"].erase(2);  // what calls is followed by no user
    const auto record = load_record(object, "f");
    ASSERT_FALSE(record.has_value()) << bad;
    EXPECT_EQ(record.error().code(), "chat.bad_file") << bad;
  }
}

TEST_F(ChatJournal, HistoryIsSharedAndWithoutRepeats) {
  const auto file = folder_ / "sub" / "history.jsonl";
  auto a = History::open(file).value();
  auto b = History::open(file).value();
  ASSERT_TRUE(a.add("one\ntwo").has_value());
  ASSERT_TRUE(b.add("你好").has_value());
  ASSERT_TRUE(a.add("three").has_value());
  ASSERT_TRUE(a.add("one\ntwo").has_value());
  EXPECT_EQ(a.entries(), (std::deque<std::string>{"three", "one\ntwo"}));
  EXPECT_EQ(History::open(file)->entries(), (std::deque<std::string>{"你好", "three", "one\ntwo"}));
  write(file, bytes(file) + "\"torn");
  ASSERT_TRUE(b.add("after").has_value());
  EXPECT_EQ(History::open(file)->entries().back(), "after");
  EXPECT_EQ(History::open(file)->entries().size(), 4U);
}

TEST_F(ChatJournal, HistoryFileIsWrittenAnewWhenLong) {
  const auto file = folder_ / "history.jsonl";
  std::string content;
  for (size_t i = 0; i < 5 * kMaxHistory; ++i) content += fmt::format("\"entry {}\"\n", i);
  write(file, content);
  std::filesystem::permissions(file,
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  std::filesystem::create_hard_link(file, folder_ / "before");
  EXPECT_EQ(History::open(file)->entries().size(), kMaxHistory);
  EXPECT_EQ(bytes(folder_ / "before"), content) << "a crash would have left nothing";
  EXPECT_EQ(static_cast<unsigned>(std::filesystem::status(file).permissions()), 0600U);
  const std::string after = bytes(file);
  EXPECT_EQ(static_cast<size_t>(std::count(after.begin(), after.end(), '\n')), kMaxHistory);
  EXPECT_EQ(History::open(file)->entries().back(), fmt::format("entry {}", 5 * kMaxHistory - 1));
}

TEST_F(ChatJournal, HistoryFileWithoutALineToReadIsLeftAlone) {
  const auto file = folder_ / "history.jsonl";
  std::string content;
  for (size_t i = 0; i < 5 * kMaxHistory; ++i) content += "no JSON\n";
  write(file, content);
  EXPECT_TRUE(History::open(file)->entries().empty());
  EXPECT_EQ(bytes(file), content);
}

}  // namespace
}  // namespace qw::chat
