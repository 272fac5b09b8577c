// qw render: messages to the prompt text, whole or a case a line. Test: tests/e2e/render_test.cc
#include <fstream>

#include "apps/chat_prompt.h"
#include "apps/commands/commands.h"
#include "apps/jsonl.h"
#include "base/mmap.h"

namespace qw::apps {
namespace {

// FILE line by line.
NextLine lines_of(const std::string& file, std::ifstream& in, LineReader& standard) {
  if (file == "-") return [&standard] { return standard.next(); };
  return [&in, file]() -> Result<std::optional<std::string>> {
    std::string line;
    if (std::getline(in, line)) return line;
    if (in.bad()) return fail("file.open", {{"file", file}, {"reason", "read error"}});
    return std::nullopt;
  };
}

Status render_lines(Program& program, const ChatRenderer& renderer, const std::string& file,
                    const LocalTime& now) {
  std::ifstream in;
  if (file != "-") {
    QW_TRY(MappedFile::open(file));  // says what is wrong with it
    in.open(file, std::ios::binary);
  }
  LineReader standard;
  return answer_jsonl(program.console(), lines_of(file, in, standard),
                      [&](const std::string& line) -> Result<Json> {
                        QW_TRY(const Rendered rendered, renderer.render_json(line, now));
                        return Json{{"rendered", rendered.text}};
                      });
}

Status render_whole(Program& program, const ChatRenderer& renderer, const std::string& file,
                    const LocalTime& now) {
  std::string object;
  if (file == "-") {
    QW_TRY(object, read_stdin());
  } else {
    QW_TRY(object, read_file(file));
  }
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
