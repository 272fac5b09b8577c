#include <gtest/gtest.h>

#include "apps/chat/graphemes.h"
#include "apps/chat/line_editor.h"
#include "base/rng.h"
#include "text/utf8.h"

namespace qw::chat {
namespace {

// Keys by the bytes a terminal sends; the events other than none.
struct Typed {
  History history;
  LineEditor editor{history, {"/help", "/save", "/stats", "/system"}};
  KeyDecoder decoder;
  std::vector<std::string> sent;

  EditEvent type(std::string_view bytes) {
    EditEvent last = EditEvent::none;
    for (const Key& key : decoder.feed(bytes)) {
      last = editor.key(key);
      if (last != EditEvent::submit) continue;
      sent.push_back(editor.take());
      EXPECT_TRUE(history.add(sent.back()).has_value());
    }
    return last;
  }
};

constexpr std::string_view kLeft = "\x1b[D", kRight = "\x1b[C", kUp = "\x1b[A", kDown = "\x1b[B";

TEST(ChatEditor, EditingKeys) {
  const std::pair<std::string, std::string> cases[] = {
      {"hello\x01X", "Xhello"},                   // ctrl-A
      {"hello\x01\x05X", "helloX"},               // ctrl-E
      {"hello\x1b[HX\x1b[FY", "XhelloY"},         // home, end
      {"ab\x1b[DX", "aXb"},                       // left
      {"a👩‍🚀\x1b[D\x7f", "👩‍🚀"},  // left over a cluster, backspace
      {"a👩‍🚀\x7f", "a"},                  // backspace takes the cluster
      {"你好\x02\x1b[3~", "你"},                  // ctrl-B, delete
      {"one two\x17", "one "},                    // ctrl-W
      {"one two\x17\x17\x19", "one two"},         // kills join, ctrl-Y
      {"one two\x01\x0b", ""},                    // ctrl-K
      {"one\x15\x19\x19", "oneone"},              // ctrl-U, ctrl-Y twice
      {"one two\x1b"
       "bX",
       "one Xtwo"},  // alt-B
      {"one two\x01\x1b"
       "fX",
       "oneX two"},  // alt-F
      {"one two\x01\x1b"
       "d",
       " two"},                            // alt-D
      {"path/to\x1b\x7f", "path/"},        // alt-backspace
      {"one two\x1b[1;5DX", "one Xtwo"},   // ctrl-left
      {"ab\ncd\x01X", "ab\nXcd"},          // ctrl-A in the second line
      {"ab\ncd\x01\x15", "abcd"},          // ctrl-U at its start joins the lines
      {"abc\x04", "abc"},                  // ctrl-D at the end of text: nothing
      {"abc\x01\x04", "bc"},               // ctrl-D in the text deletes
      {"abc\x17\x1f", "abc"},              // undo
      {"\x1b[200~a\nb\x1b[201~\x1f", ""},  // a paste is one edit
      {"e\x1b[Dx\xCC\x81\x7f", "e"},       // combining accent goes with its letter
      {"/he\t", "/help "},
      {"/s\t", "/s"},
      {"/st\t", "/stats "},
      {"see /he\t", "see /he"},
  };
  for (const auto& [bytes, text] : cases) {
    Typed t;
    EXPECT_EQ(t.type(bytes), EditEvent::none) << testing::PrintToString(bytes);
    EXPECT_EQ(t.editor.text(), text) << testing::PrintToString(bytes);
  }
}

TEST(ChatEditor, UndoTakesBackRunsOfTyping) {
  Typed t;
  for (const char c : std::string_view("ab cd")) t.type(std::string(1, c));
  t.type("\x7f\x7f");
  const std::string states[] = {"ab cd", "ab ", "ab", "", ""};
  for (const std::string& state : states) {
    t.type("\x1f");
    EXPECT_EQ(t.editor.text(), state);
  }
}

TEST(ChatEditor, MultiLineAndSubmit) {
  Typed t;
  t.type("one\\\rtwo\nthree\x1b\rfour\r");
  t.type("\x1b[200~pasted\nlines\r\nhere\x1b[201~\r");
  t.type("C:\\\\\r");  // two backslashes are text
  EXPECT_EQ(t.sent, (std::vector<std::string>{"one\ntwo\nthree\nfour", "pasted\nlines\nhere", "C:\\\\"}));
  EXPECT_EQ(t.editor.text(), "");
}

TEST(ChatEditor, UpAndDownMoveInTextThenHistory) {
  Typed t;
  t.type("first\rsecond\rsecond\r");
  EXPECT_EQ(t.history.entries().size(), 2U);
  t.type("draft");
  t.type(kUp);
  EXPECT_EQ(t.editor.text(), "second");
  t.type(kUp);
  EXPECT_EQ(t.editor.text(), "first");
  t.type(kUp);
  EXPECT_EQ(t.editor.text(), "first");
  t.type(kDown);
  t.type(kDown);
  EXPECT_EQ(t.editor.text(), "draft");

  t.editor.set_text("long line\nab\nlong line");
  t.type(kUp);
  EXPECT_EQ(t.editor.cursor(), 12U);  // behind "ab"
  t.type(kUp);
  EXPECT_EQ(t.editor.cursor(), 9U);  // the column is kept
  t.type(kDown);
  t.type("X");
  EXPECT_EQ(t.editor.text(), "long line\nabX\nlong line");
}

TEST(ChatEditor, UpMovesByWrappedRows) {
  Typed t;
  t.editor.set_width(10);
  t.type("0123456789abcdefghij");  // two rows of ten
  t.type(kUp);
  EXPECT_EQ(t.editor.cursor(), 9U);  // the end of a wrapped row is its last cluster
  EXPECT_EQ(t.editor.text(), "0123456789abcdefghij");
}

TEST(ChatEditor, InterruptAndLeave) {
  Typed t;
  EXPECT_EQ(t.type("text\x03"), EditEvent::cleared);
  EXPECT_EQ(t.editor.text(), "");
  EXPECT_EQ(t.type("a"), EditEvent::none);
  EXPECT_EQ(t.type("\x03"), EditEvent::cleared);
  EXPECT_EQ(t.type("\x03"), EditEvent::leave);
  Typed u;
  EXPECT_EQ(u.type("\x04"), EditEvent::leave);
  EXPECT_EQ(u.type("\x0c"), EditEvent::clear_screen);
  EXPECT_EQ(u.type("\x1a"), EditEvent::suspend);
}

TEST(ChatEditor, Search) {
  Typed t;
  t.type("alpha one\rbeta\ralpha two\r");
  t.type(
      "\x12"
      "alpha");
  EXPECT_EQ(t.editor.text(), "alpha two");
  EXPECT_EQ(t.editor.search(), "alpha");
  t.type("\x12");
  EXPECT_EQ(t.editor.text(), "alpha one");
  t.type("\r");
  EXPECT_EQ(t.sent.back(), "alpha one");
  EXPECT_FALSE(t.editor.search());
}

TEST(ChatEditor, CursorStaysBetweenClusters) {
  const std::string_view pieces[] = {"a",
                                     " ",
                                     "你",
                                     "👩‍🚀",
                                     "\xCC\x81",
                                     "🇩🇪",
                                     "\n",
                                     kLeft,
                                     kRight,
                                     kUp,
                                     kDown,
                                     "\x7f",
                                     "\x04",
                                     "\x17",
                                     "\x0b",
                                     "\x19",
                                     "\x1f",
                                     "\x1b\x7f",
                                     "\x01",
                                     "\x05",
                                     "\x1b"
                                     "d",
                                     "\x1b"
                                     "b",
                                     "\x1b"
                                     "f",
                                     "\xE2\x80\x8D"};
  const Rng rng(11);
  Typed t;
  t.editor.set_width(7);
  for (uint64_t i = 0; i < 20000; ++i) {
    t.type(pieces[rng.below(std::size(pieces), i)]);
    const std::string& text = t.editor.text();
    ASSERT_TRUE(text::utf8_valid(text)) << i;
    if (text.size() > 200) t.editor.set_text("");
    size_t at = 0;
    while (at < t.editor.cursor() && at < text.size()) at += grapheme_at(text, at).bytes;
    ASSERT_EQ(at, t.editor.cursor()) << i << " " << text;
  }
}

}  // namespace
}  // namespace qw::chat
