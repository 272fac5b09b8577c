// Speed of the tokenizer on one thread: loading a folder, encoding and decoding a text. Times are CPU time of
// the thread, so that other programs on the machine disturb them little. Side by side with HF tokenizers:
// bench/tokenizer_peer.sh.
//   tokenizer_bench FOLDER TEXT_FILE [REPEATS]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "base/mmap.h"
#include "text/tokenizer.h"

namespace {

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// The median of the times of `repeats` calls.
template <class Fn>
double median_seconds(int repeats, Fn&& fn) {
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    const double start = cpu_seconds();
    fn();
    times.push_back(cpu_seconds() - start);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// FNV-1a over the ids, to see that two programs did the same work.
unsigned long long hash_of(const std::vector<int32_t>& ids) {
  uint64_t h = 0xCBF29CE484222325u;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8)
      h = (h ^ (static_cast<uint32_t>(id) >> shift & 0xFFu)) * 0x100000001B3u;
  }
  return h;
}

// The same cuts as in bench/tokenizer_peer.sh.
std::vector<std::string_view> pieces_of(std::string_view text) {
  constexpr size_t kPiece = 65536;
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t newline = text.find('\n', std::min(kPiece, text.size()) - 1);
    const size_t n = newline == std::string_view::npos ? text.size() : newline + 1;
    out.push_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tokenizer_bench FOLDER TEXT_FILE [REPEATS]\n");
    return 2;
  }
  const int repeats = argc > 3 ? std::max(1, std::atoi(argv[3])) : 5;
  auto tokenizer = qw::Tokenizer::from_folder(argv[1]);
  const auto text = qw::read_file(argv[2]);
  if (!tokenizer || !text) {
    std::fprintf(stderr, "%s\n", (tokenizer ? text.error() : tokenizer.error()).debug().c_str());
    return 1;
  }
  const double load = median_seconds(repeats, [&] { tokenizer = qw::Tokenizer::from_folder(argv[1]); });
  std::vector<int32_t> ids;
  const auto encode_all = [&] {
    ids.clear();
    for (const std::string_view piece : pieces_of(*text)) {
      const std::vector<int32_t> some = tokenizer->encode(piece);
      ids.insert(ids.end(), some.begin(), some.end());
    }
  };
  const double first = median_seconds(1, encode_all);
  const double encode = median_seconds(repeats, encode_all);
  std::string decoded;
  const double decode = median_seconds(repeats, [&] { decoded = tokenizer->decode(ids, false); });
  const double megabytes = static_cast<double>(text->size()) / 1e6;
  std::printf(
      "qw    load %.3f s   encode %.1f MB/s (first call %.1f)   decode %.0f MB/s   %zu ids, fnv %016llx\n",
      load, megabytes / encode, megabytes / first, megabytes / decode, ids.size(), hash_of(ids));
  return 0;
}
