#include "apps/chat/prompt.h"

#include "apps/chat/commands.h"

namespace qw::chat {
namespace {

constexpr int kEscapeMs = 40;      // how long a lone ESC waits for the rest of a sequence
constexpr int kSizeCheckMs = 500;  // a window signal can be lost between two waits

std::vector<std::string> command_names() {
  std::vector<std::string> out;
  for (const CommandRow& row : command_table()) out.emplace_back(row.name);
  return out;
}

}  // namespace

Prompt::Prompt(Terminal& terminal, const History& history, PromptTexts texts)
    : terminal_(terminal),
      texts_(std::move(texts)),
      editor_(history, command_names()),
      size_(terminal.size()),
      view_(size_) {}

std::optional<std::string> Prompt::read() {
  follow_size();
  bool done = take_keys(std::exchange(waiting_, {})) || take_keys(decoder_.feed(std::exchange(typed_, {})));
  if (!done) draw();
  while (!done) {
    const Terminal::Wake wake = terminal_.wait(decoder_.waiting() ? kEscapeMs : kSizeCheckMs);
    if (wake == Terminal::Wake::closed) return std::nullopt;
    const std::vector<Key> keys =
        wake == Terminal::Wake::input ? decoder_.feed(terminal_.read_input()) : decoder_.flush();
    done = take_keys(keys);
    const bool resized = follow_size();
    if (!done && (!keys.empty() || resized || wake == Terminal::Wake::signal)) draw();
  }
  terminal_.write(view_.finish(editor_.text()));
  std::string text = editor_.take();
  if (left_) return std::nullopt;
  return text;
}

void Prompt::draw() {
  std::string hint;
  if (editor_.search()) hint = texts_.search_hint + *editor_.search();
  if (hint_leave_) hint = texts_.leave_hint;
  editor_.set_width(view_.text_width());
  terminal_.write(view_.draw(editor_.text(), editor_.cursor(), hint));
}

// True where the terminal has another size.
bool Prompt::follow_size() {
  const ScreenSize now = terminal_.size();
  if (now == size_) return false;
  size_ = now;
  view_.set_size(now);
  return true;
}

bool Prompt::handle(EditEvent event) {
  hint_leave_ = event == EditEvent::cleared;
  switch (event) {
    case EditEvent::none:
    case EditEvent::cleared:
      return false;
    case EditEvent::submit:
      return true;
    case EditEvent::leave:
      left_ = true;
      return true;
    case EditEvent::clear_screen:
      terminal_.write("\x1b[H\x1b[2J");
      view_.cleared();
      return false;
    case EditEvent::suspend:
      terminal_.write(view_.finish(editor_.text()));
      terminal_.suspend();
      return false;
  }
  return false;
}

bool Prompt::take_keys(const std::vector<Key>& keys) {
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!handle(editor_.key(keys[i]))) continue;
    waiting_.assign(keys.begin() + static_cast<std::ptrdiff_t>(i) + 1, keys.end());
    return true;
  }
  return false;
}

}  // namespace qw::chat
