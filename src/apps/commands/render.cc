// qw render: messages to the prompt text, whole or a case a line. Test: tests/e2e/render_test.cc
#include <sstream>

#include "apps/chat_prompt.h"
#include "apps/commands/commands.h"
#include "apps/jsonl.h"

namespace qw::apps {
namespace {

Status render_lines(Program& program, const ChatRenderer& renderer, const std::string& file,
                    const LocalTime& now) {
  LineReader standard;
  std::istringstream lines;
  if (file != "-") {
    QW_TRY(std::string content, read_input(file));
    lines.str(std::move(content));
  }
  const NextLine next = [&]() -> Result<std::optional<std::string>> {
    if (file == "-") return standard.next();
    std::string line;
    return std::getline(lines, line) ? std::optional(line) : std::nullopt;
  };
  return answer_jsonl(program.console(), next, [&](const std::string& line) -> Result<Json> {
    QW_TRY(const Rendered rendered, renderer.render_json(line, now));
    return Json{{"rendered", rendered.text}};
  });
}

Status render_whole(Program& program, const ChatRenderer& renderer, const std::string& file,
                    const LocalTime& now) {
  QW_TRY(const std::string object, read_input(file));
  QW_TRY(const Rendered rendered, renderer.render_json(object, now));
  if (!program.json()) return program.console().write(rendered.text);
  return program.console().write(to_json_line(Json{{"rendered", rendered.text}}) + "\n");
}

}  // namespace

Result<int> render_command(Program& program, Args args) {
  std::string model, file;
  bool jsonl = false;
  std::optional<std::string> template_file;
  LocalTime now = LocalTime::now();
  CommandLine line("render");
  line.argument("MODEL", &model, true);
  line.argument("FILE", &file, true);
  line.flag("--jsonl", &jsonl, "help.render.jsonl");
  line.custom(
      "--now", "TIME",
      [&now](std::string_view value) -> Status {
        const auto parsed = LocalTime::parse(value);
        if (!parsed) return fail("cli.bad_time", {{"value", value}});
        now = *parsed;
        return {};
      },
      "help.render.now");
  line.text("--template", "FILE", &template_file, "help.template");
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  QW_TRY(const ChatRenderer renderer, open_renderer(model, template_file));
  QW_TRY(jsonl ? render_lines(program, renderer, file, now) : render_whole(program, renderer, file, now));
  return kExitOk;
}

}  // namespace qw::apps
