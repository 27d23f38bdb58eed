// Small things about text that several folders need.
#pragma once

#include <string>
#include <vector>

namespace atrous {

// The candidate nearest to a mistyped word (edit distance with transpositions); empty if none is near enough
// to be meant. For "Did you mean ...?" after unknown commands, options and config keys.
std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace atrous
