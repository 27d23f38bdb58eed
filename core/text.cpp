#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "core/error.h"

namespace atrous {
namespace {

// Levenshtein with transpositions of neighbours counted as one ("tarin" is at distance 1 of "train").
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  std::iota(d[0].begin(), d[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates) {
  const auto lower = [](std::string s) {
    for (char& c : s) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return s;
  };
  std::string best;
  size_t best_distance = word.size() / 3 + 2;  // further away is not a typing error
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(lower(word), lower(candidate));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string bytes_text(int64_t bytes) {
  constexpr double kib = 1024, mib = 1024 * kib;
  const auto amount = static_cast<double>(bytes);
  if (amount < kib) return fmt::format("{} bytes", bytes);
  if (amount < mib) return fmt::format("{:.0f} KiB", amount / kib);
  return fmt::format("{:.{}f} MiB", amount / mib, amount < 10 * mib ? 1 : 0);
}

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) -> uint32_t {
      return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u;
    };
    const uint32_t lead = byte(0);
    const size_t length = lead < 0x80         ? 1
                          : lead >> 5 == 0x6  ? 2
                          : lead >> 4 == 0xe  ? 3
                          : lead >> 3 == 0x1e ? 4
                                              : 0;
    if (length == 0) return false;
    uint32_t code = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t k = 1; k < length; ++k) {
      if (byte(k) >> 6 != 0x2) return false;
      code = code << 6 | (byte(k) & 0x3f);
    }
    constexpr uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
    i += length;
  }
  return true;
}

std::string counted(int64_t number, const std::string& noun, const std::string& plural) {
  return fmt::format("{} {}", number, number == 1 ? noun : plural.empty() ? noun + "s" : plural);
}

std::string plain_name(const std::string& text) {
  std::string name = shortened_name(text, 200);
  for (char& c : name) {
    const bool plain =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    if (!plain) c = '_';
  }
  return name;
}

uint32_t hash_of(std::string_view text) {
  uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

std::string shortened_name(const std::string& text, size_t limit) {
  ATROUS_ASSERT(limit > 9);
  if (text.size() <= limit) return text;
  size_t end = limit - 9;
  while (end > 0 && (static_cast<unsigned char>(text[end]) >> 6) == 0x2) --end;  // inside a character
  return fmt::format("{}~{:08x}", text.substr(0, end), hash_of(text));
}

}  // namespace atrous
