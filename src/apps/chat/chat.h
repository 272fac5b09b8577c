// The conversation itself: turns, commands, context, journal. Test: tests/e2e/chat_test.cc
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "apps/chat/answer.h"
#include "apps/chat/commands.h"
#include "apps/chat/conversation.h"
#include "apps/chat/journal.h"
#include "apps/chat/ui.h"
#include "apps/tools/clock.h"
#include "text/chat_renderer.h"

namespace qw::chat {

// What the conversation runs on; everything outlives the Chat.
struct ChatModel {
  Origin origin;  // written into journals, so that --continue finds it
  const Tokenizer& tokenizer;
  const ChatRenderer& renderer;
  Engine& engine;
  std::vector<int32_t> stop_ids = {};
  uint64_t adapter = 0;  // Request.key.adapter
};

struct ChatOptions {
  SamplingParams sampling = {};  // the seed is that of the first answer; each further one takes the next
  int max_tokens = -1;
  std::vector<std::string> stop = {};
  std::string kwargs = {};            // JSON object for the template; "": none
  std::filesystem::path folder = {};  // of the journals
  bool tools = false;                 // the model may call the built-in tools
  tools::ClockSource clock = {};
};

class Chat {
 public:
  Chat(apps::Console& console, Ui& ui, const ChatModel& model, ChatOptions options);

  // --system. Errors: file.write.
  void set_system(const std::string& text);
  // Goes on with a conversation of the past.
  void take_up(Journal journal, Conversation conversation);
  // Reads and answers until the person leaves; whether every turn was answered. Errors: input.read,
  // output.write.
  Result<bool> run();
  // Whether there was an answer, whole or in part.
  bool answered() const { return last_.has_value(); }

 private:
  struct Prompt {
    std::vector<int32_t> ids;
    size_t n_kept = 0;
    bool opens_reasoning = false;
  };
  struct Outcome {
    AnswerEnd end;
    std::string text;  // without reasoning
    std::vector<ToolCall> calls;
  };

  Status turn(const std::string& text);
  // The answer to the newest message, which is the user's, with the tools that the model calls on the way.
  Status answer();
  // One generation. None: there is no prompt, and the person knows.
  Result<std::optional<Outcome>> answer_round();
  void run_tools(const std::vector<ToolCall>& calls);
  Status command(const ChatCommand& command);
  void help();
  void system(const std::string& text);
  Status retry();
  void stats();
  Status compact();
  void drop(const std::string& argument);
  void save(const std::string& name);
  void load(const std::string& name);

  // The prompt for these messages; `may_think`: as the options say, else not at all. Errors: those of the
  // template, and engine.prompt_too_long.
  Result<Prompt> make_prompt(const Json& messages, bool may_think = true) const;
  std::string size_in_tokens() const;
  Result<Prompt> prompt_with(const std::string& user) const;
  // Runs the prompt; `recorded`: the journal takes the pieces. Errors: chat.events, output.write.
  Result<Outcome> generate(const Prompt& prompt, int max_tokens, bool recorded);
  void report_end(const AnswerEnd& end);
  // A message that was not answered goes back to the line editor.
  void take_back_unanswered();
  void record(const Json& record);
  void say(std::string_view code, std::initializer_list<ErrorArg> args = {});
  void fail_turn(const Error& error);

  apps::Console& console_;
  Ui& ui_;
  const ChatModel& model_;
  ChatOptions options_;
  Conversation conversation_;
  std::optional<Journal> journal_;  // made with the first record
  std::optional<AnswerEnd> last_;   // for /stats
  uint64_t n_answers_ = 0;
  bool all_answered_ = true;
  bool journal_failed_ = false;
  bool leaving_ = false;
};

}  // namespace qw::chat
