// Enums whose values have names in configs, flags and messages. A table next to the enum states each name
// once; parsing, help, writing and messages read it:
//
//   enum class Border { zero, reflect };
//   constexpr auto names_of(Border) {
//     return std::to_array<Named<Border>>({{Border::zero, "zero"}, {Border::reflect, "reflect"}});
//   }
#pragma once

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace atrous {

template <class E>
struct Named {
  E value;
  const char* name;
  // Further options that this value uses, separated by blanks. An option that some rows have and
  // this one lacks is refused with it.
  std::string_view takes = {};
};

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E e) {
  names_of(e);
};

template <NamedEnum E>
constexpr const char* name_of(E value) {
  for (const Named<E>& n : names_of(value)) {
    if (n.value == value) return n.name;
  }
  return "?";
}

template <NamedEnum E>
constexpr std::optional<E> find_named(std::string_view name) {
  for (const Named<E>& n : names_of(E{})) {
    if (n.name == name) return n.value;
  }
  return std::nullopt;
}

template <NamedEnum E>
std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const Named<E>& n : names_of(E{})) names.emplace_back(n.name);
  return names;
}

// Whether `word` is one of `words`, which are separated by blanks.
constexpr bool contains_word(std::string_view words, std::string_view word) {
  for (size_t at = words.find(word); at != std::string_view::npos; at = words.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || words[at - 1] == ' ') && (end == words.size() || words[end] == ' ')) return true;
  }
  return false;
}

// Whether the row of `value` takes that option.
template <NamedEnum E>
constexpr bool takes_option(E value, std::string_view option) {
  for (const Named<E>& n : names_of(value)) {
    if (n.value == value && contains_word(n.takes, option)) return true;
  }
  return false;
}

// The names of the values that take an option.
template <NamedEnum E>
std::vector<std::string> names_that_take(std::string_view option) {
  std::vector<std::string> names;
  for (const Named<E>& n : names_of(E{})) {
    if (contains_word(n.takes, option)) names.emplace_back(n.name);
  }
  return names;
}

}  // namespace atrous

template <atrous::NamedEnum E>
struct fmt::formatter<E> : fmt::formatter<std::string_view> {
  auto format(E value, fmt::format_context& context) const {
    return fmt::formatter<std::string_view>::format(atrous::name_of(value), context);
  }
};
