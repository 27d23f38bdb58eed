// Small things about text that several folders need.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace atrous {

// The candidate nearest to a mistyped word (edit distance with transpositions); empty if none is near enough
// to be meant. For "Did you mean ...?" after unknown commands, options and config keys.
std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates);

// "1 image", "2 images"; `plural` if it does not end in "s".
std::string counted(int64_t number, const std::string& noun, const std::string& plural = "");

bool is_utf8(std::string_view text);

// An amount of memory as commands print it: "432 bytes", "290 KiB", "1.4 MiB", "6270 MiB".
std::string bytes_text(int64_t bytes);

// "city/0001.png" -> "city_0001_png": a name of a file in a flat folder, of letters, digits, "-" and "_", at
// most 200 bytes long.
std::string plain_name(const std::string& text);

uint32_t hash_of(std::string_view text);  // FNV-1a

// The text, or so many of its first characters that it has at most `limit` bytes with a "~" and eight digits
// that depend on all of it: file systems take names of at most 255 bytes, 85 letters of some scripts.
std::string shortened_name(const std::string& text, size_t limit);

}  // namespace atrous
