// qw tokenize: text to ids and back, whole or a line at a time. Test: tests/e2e/tokenize_test.cc
#include "apps/commands/commands.h"
#include "apps/ids_input.h"
#include "apps/jsonl.h"
#include "apps/tokenizer_files.h"

namespace qw::apps {
namespace {

struct Options {
  std::string model;
  bool jsonl = false, decode = false, skip_special = false, bos = false;
};

// {"text": …} → {"ids": […]}, or the other way.
Result<Json> answer_line(const Tokenizer& tokenizer, const Options& o, const std::string& text) {
  QW_TRY(const Json line, parse_json(text, "stdin"));
  Json out;
  const char* key = o.decode ? "ids" : "text";
  if (!line.is_object() || !line.contains(key)) return fail("jsonl.no_key", {{"key", key}});
  if (o.decode) {
    QW_TRY(const auto ids, ids_from_json(line[key], "ids"));
    out["text"] = tokenizer.decode(ids, o.skip_special);
    return out;
  }
  if (!line[key].is_string()) return fail("jsonl.not_text", {{"key", key}});
  out["ids"] = tokenizer.encode(line[key].get_ref<const std::string&>(), {.add_bos = o.bos});
  return out;
}

Status whole(Program& program, const Tokenizer& tokenizer, const Options& o) {
  QW_TRY(const std::string in, read_stdin());
  if (!o.decode) {
    const std::vector<int32_t> ids = tokenizer.encode(in, {.add_bos = o.bos});
    return program.console().write(fmt::format("[{}]\n", fmt::join(ids, ",")));
  }
  QW_TRY(const Json json, parse_json(in, "stdin"));
  QW_TRY(const auto ids, ids_from_json(json, "stdin"));
  const std::string text = tokenizer.decode(ids, o.skip_special);
  return program.console().write(program.json() ? to_json_line(Json{{"text", text}}) + "\n" : text);
}

}  // namespace

Result<int> tokenize_command(Program& program, Args args) {
  Options o;
  CommandLine line("tokenize");
  line.argument("MODEL", &o.model, true);
  line.flag("--jsonl", &o.jsonl, "help.tokenize.jsonl");
  line.flag("--decode", &o.decode, "help.tokenize.decode");
  line.flag("--skip-special", &o.skip_special, "help.tokenize.skip_special");
  line.flag("--bos", &o.bos, "help.tokenize.bos");
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  if (o.decode && o.bos) return fail("cli.exclusive", {{"option", "--bos"}, {"other", "--decode"}});
  if (o.skip_special && !o.decode)
    return fail("cli.only_with", {{"option", "--skip-special"}, {"other", "--decode"}});
  QW_TRY(const Tokenizer tokenizer, open_tokenizer(o.model));
  if (o.bos && !tokenizer.bos_id()) return fail("tokenize.no_bos", {{"model", o.model}});
  if (o.jsonl) {
    LineReader lines;
    QW_TRY(answer_jsonl(
        program.console(), [&] { return lines.next(); },
        [&](const std::string& text) { return answer_line(tokenizer, o, text); }));
  } else {
    QW_TRY(whole(program, tokenizer, o));
  }
  return kExitOk;
}

}  // namespace qw::apps
