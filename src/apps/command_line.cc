#include "apps/command_line.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace qw::apps {
namespace {

constexpr size_t kHelpColumn = 32;

std::string range_text(IntRange r) {
  const bool low = r.min != std::numeric_limits<int64_t>::min();
  const bool high = r.max != std::numeric_limits<int64_t>::max();
  if (low && high) return fmt::format("{} … {}", r.min, r.max);
  if (low) return fmt::format(">= {}", r.min);
  return high ? fmt::format("<= {}", r.max) : std::string("…, -1, 0, 1, …");
}

std::string range_text(NumberRange r) {
  if (std::isinf(r.min) && std::isinf(r.max)) return "-inf … inf";
  if (std::isinf(r.max)) return fmt::format("{} {}", r.open_min ? ">" : ">=", r.min);
  return r.open_min ? fmt::format("> {}, <= {}", r.min, r.max) : fmt::format("{} … {}", r.min, r.max);
}

}  // namespace

Result<int64_t> parse_integer(std::string_view value, std::string_view option, IntRange range) {
  int64_t n = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
  if (error != std::errc() || end != value.data() + value.size() || n < range.min || n > range.max)
    return fail("cli.bad_integer", {{"option", option}, {"value", value}, {"range", range_text(range)}});
  return n;
}

Result<double> parse_number(std::string_view value, std::string_view option, NumberRange range) {
  double x = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), x);
  const bool parsed = error == std::errc() && end == value.data() + value.size() && !std::isnan(x);
  if (!parsed || x < range.min || x > range.max || (range.open_min && x == range.min))
    return fail("cli.bad_number", {{"option", option}, {"value", value}, {"range", range_text(range)}});
  return x;
}

void CommandLine::argument(std::string_view shown, std::string* value, bool required) {
  arguments_.push_back(
      {std::string(shown), required, [value](std::string v) { *value = std::move(v); }, false});
}

void CommandLine::argument(std::string_view shown, std::optional<std::string>* value) {
  arguments_.push_back({std::string(shown), false, [value](std::string v) { *value = std::move(v); }, false});
}

void CommandLine::arguments(std::string_view shown, std::vector<std::string>* values) {
  arguments_.push_back(
      {std::string(shown), true, [values](std::string v) { values->push_back(std::move(v)); }, true});
}

void CommandLine::flag(std::string_view name, bool* value, std::string_view help) {
  custom(
      name, "",
      [value](std::string_view) {
        *value = true;
        return Status();
      },
      help);
}

void CommandLine::text(std::string_view name, std::string_view shown, std::optional<std::string>* value,
                       std::string_view help) {
  custom(
      name, shown,
      [value](std::string_view v) {
        *value = std::string(v);
        return Status();
      },
      help);
}

void CommandLine::texts(std::string_view name, std::string_view shown, std::vector<std::string>* values,
                        std::string_view help) {
  custom(
      name, shown,
      [values](std::string_view v) {
        values->emplace_back(v);
        return Status();
      },
      help);
}

void CommandLine::integer(std::string_view name, std::optional<int64_t>* value, IntRange range,
                          std::string_view help) {
  custom(
      name, "N",
      [value, range, option = std::string(name)](std::string_view v) -> Status {
        QW_TRY(*value, parse_integer(v, option, range));
        return {};
      },
      help);
}

void CommandLine::number(std::string_view name, std::optional<double>* value, NumberRange range,
                         std::string_view help) {
  custom(
      name, "X",
      [value, range, option = std::string(name)](std::string_view v) -> Status {
        QW_TRY(*value, parse_number(v, option, range));
        return {};
      },
      help);
}

void CommandLine::choice(std::string_view name, std::vector<std::string> words,
                         std::optional<std::string>* value, std::string_view help) {
  const std::string shown = fmt::format("{}", fmt::join(words, "|"));
  custom(
      name, shown,
      [value, words = std::move(words), shown, option = std::string(name)](std::string_view v) -> Status {
        if (std::find(words.begin(), words.end(), v) == words.end())
          return fail("cli.bad_choice", {{"option", option}, {"value", v}, {"choices", shown}});
        *value = std::string(v);
        return {};
      },
      help);
}

void CommandLine::custom(std::string_view name, std::string_view shown,
                         std::function<Status(std::string_view)> set, std::string_view help) {
  options_.push_back({std::string(name), std::string(shown), std::string(help), std::move(set)});
}

void CommandLine::heading(std::string_view code) {
  options_.push_back({"", "", std::string(code), nullptr});
}

const CommandLine::Option* CommandLine::find(std::string_view name) const {
  for (const Option& o : options_)
    if (!o.name.empty() && o.name == name) return &o;
  return nullptr;
}

// args[i] begins with "-"; moves i to the last word that was used.
Status CommandLine::apply_option(Args args, size_t& i) {
  const std::string_view word = args[i];
  std::string_view name = word;
  std::optional<std::string_view> value;
  if (const size_t equals = word.find('='); word.starts_with("--") && equals != word.npos) {
    name = word.substr(0, equals);
    value = word.substr(equals + 1);
  } else if (!word.starts_with("--") && word.size() > 2) {  // -p512
    name = word.substr(0, 2);
    value = word.substr(2);
  }
  if (name == "--help" || name == "-h") {
    help_wanted_ = true;
    return {};
  }
  const Option* option = find(name);
  if (option == nullptr) return fail("cli.unknown_option", {{"option", word}, {"command", name_}});
  if (option->shown.empty()) {
    if (value) return fail("cli.unexpected_value", {{"option", name}, {"value", *value}});
    return option->set("");
  }
  if (!value) {
    if (i + 1 >= args.size()) return fail("cli.missing_value", {{"option", name}, {"shown", option->shown}});
    value = args[++i];
  }
  return option->set(*value);
}

Status CommandLine::apply_argument(const std::string& value) {
  if (next_argument_ < arguments_.size()) {
    arguments_[next_argument_++].set(value);
  } else if (!arguments_.empty() && arguments_.back().repeats) {
    arguments_.back().set(value);
  } else {
    return fail("cli.extra_argument", {{"value", value}, {"command", name_}});
  }
  return {};
}

Status CommandLine::parse(Args args) {
  bool options_end = false;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    if (options_end || word == "-" || !word.starts_with("-")) {
      QW_TRY(apply_argument(word));
    } else if (word == "--") {
      options_end = true;
    } else {
      QW_TRY(apply_option(args, i));
      if (help_wanted_) return {};
    }
  }
  if (next_argument_ < arguments_.size() && arguments_[next_argument_].required)
    return fail("cli.missing_argument", {{"shown", arguments_[next_argument_].shown}, {"command", name_}});
  return {};
}

std::string CommandLine::help(Lang lang) const {
  std::string usage = fmt::format("qw {}", name_);
  for (const Argument& a : arguments_)
    usage += a.required ? fmt::format(" {}{}", a.shown, a.repeats ? "…" : "") : fmt::format(" [{}]", a.shown);
  std::string out = apps::text(lang, "help.usage", {{"usage", usage}}) + "\n\n";
  out += apps::text(lang, fmt::format("help.{}", name_)) + "\n";
  const std::string more = fmt::format("help.{}.more", name_);
  if (std::string said = apps::text(lang, more); said != more) out += said + "\n";
  out += fmt::format("\n{}\n", apps::text(lang, "help.options"));
  for (const Option& o : options_) {
    if (o.name.empty()) {
      out += fmt::format("\n{}\n", apps::text(lang, o.help));
      continue;
    }
    const std::string left = fmt::format("  {} {}", o.name, o.shown);
    const std::string_view fold = left.size() + 2 > kHelpColumn ? "\n" : "";
    const size_t gap = fold.empty() ? kHelpColumn - left.size() : kHelpColumn;
    out += fmt::format("{}{}{:{}}{}\n", left, fold, "", gap, apps::text(lang, o.help));
  }
  return out;
}

}  // namespace qw::apps
