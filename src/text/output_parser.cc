#include "text/output_parser.h"

#include <algorithm>

namespace qw {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";

}  // namespace

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
  for (const std::string& text : stops) {
    if (text.empty()) continue;
    Pattern p{.text = text, .fallback = std::vector<size_t>(text.size() + 1)};
    for (size_t i = 1; i < text.size(); ++i) {
      p.state = p.fallback[i];
      p.fallback[i + 1] = advance(p, text[i]);
    }
    p.state = 0;
    patterns_.push_back(std::move(p));
  }
}

size_t StopMatcher::advance(const Pattern& pattern, char c) {
  size_t state = pattern.state;
  while (state > 0 && pattern.text[state] != c) state = pattern.fallback[state];
  return pattern.text[state] == c ? state + 1 : 0;
}

std::string StopMatcher::push(std::string_view text) {
  if (stopped()) return {};
  if (patterns_.empty()) return std::string(text);
  const size_t before = held_.size();
  held_ += text;
  for (size_t i = 0; i < text.size(); ++i) {
    size_t longest = 0;
    for (size_t p = 0; p < patterns_.size(); ++p) {
      Pattern& pattern = patterns_[p];
      pattern.state = advance(pattern, text[i]);
      if (pattern.state == pattern.text.size() && pattern.state > longest) {
        longest = pattern.state;
        matched_ = static_cast<int>(p);
      }
    }
    if (stopped()) {
      rest_ = text.substr(i + 1);
      held_.resize(before + i + 1 - longest);
      return std::move(held_);
    }
  }
  size_t keep = 0;
  for (const Pattern& pattern : patterns_) keep = std::max(keep, pattern.state);
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopMatcher::finish() {
  if (stopped()) return {};
  for (Pattern& pattern : patterns_) pattern.state = 0;
  std::string out = std::move(held_);
  held_.clear();
  return out;
}

std::string_view StopMatcher::matched() const {
  return stopped() ? std::string_view(patterns_[static_cast<size_t>(matched_)].text) : std::string_view();
}

OutputParser::OutputParser(const OutputOptions& options)
    : state_(!options.reasoning            ? State::answer
             : options.starts_in_reasoning ? State::reasoning
                                           : State::start),
      has_reasoning_(state_ == State::reasoning),
      close_({std::string(kClose)}),
      stop_(options.stop) {}

OutputDelta OutputParser::push(std::string_view text) {
  OutputDelta out;
  consume(text, out);
  return out;
}

void OutputParser::consume(std::string_view text, OutputDelta& out) {
  // `owned` is what at_start gave back, since it may hold more than `text`.
  std::string owned;
  if (state_ == State::start) {
    owned = at_start(text);
    text = owned;
  }
  if (state_ == State::reasoning) {
    text = in_block(text, out);
  }
  if (state_ == State::answer_newlines) {
    text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
    if (!text.empty()) state_ = State::answer;
  }
  if (state_ == State::answer) out.text += stop_.push(text);
}

// Decides whether the stream begins with the opening tag; gives back the text behind it, or all of it.
std::string_view OutputParser::at_start(std::string_view text) {
  start_ += text;
  const size_t tag = std::min(start_.find_first_not_of(" \t\r\n"), start_.size());
  const std::string_view rest = std::string_view(start_).substr(tag);
  if (rest.size() < kOpen.size() && kOpen.starts_with(rest)) return {};
  if (!rest.starts_with(kOpen)) {
    state_ = State::answer;
    return start_;
  }
  state_ = State::reasoning;
  has_reasoning_ = true;
  return rest.substr(kOpen.size());
}

// Gives back the text behind the closing tag.
std::string_view OutputParser::in_block(std::string_view text, OutputDelta& out) {
  add_reasoning(close_.push(text), out);
  if (!close_.stopped()) return {};
  state_ = State::answer_newlines;
  return close_.rest();
}

void OutputParser::add_reasoning(std::string_view text, OutputDelta& out) {
  if (!reasoning_began_) {
    text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
    reasoning_began_ = !text.empty();
  }
  const size_t last = text.find_last_not_of('\n');
  if (last == std::string_view::npos) {
    newlines_ += text;
    return;
  }
  out.reasoning += newlines_;
  out.reasoning += text.substr(0, last + 1);
  newlines_ = text.substr(last + 1);
}

OutputDelta OutputParser::finish() {
  OutputDelta out;
  if (state_ == State::start) {
    state_ = State::answer;
    out.text += stop_.push(start_);
  }
  if (state_ == State::reasoning) add_reasoning(close_.finish(), out);
  out.text += stop_.finish();
  return out;
}

bool prompt_opens_reasoning(std::string_view prompt) {
  const size_t last = prompt.find_last_not_of(" \t\r\n");
  return last != std::string_view::npos && prompt.substr(0, last + 1).ends_with(kOpen);
}

std::vector<int32_t> reasoning_tag_ids(const Tokenizer& tokenizer) {
  std::vector<int32_t> out;
  for (const std::string_view tag : {kOpen, kClose}) {
    if (const std::optional<int32_t> id = tokenizer.id_of(tag)) out.push_back(*id);
  }
  return out;
}

}  // namespace qw
