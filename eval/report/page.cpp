#include "eval/report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/output_folder.h"
#include "core/text.h"
#include "eval/report/html.h"

namespace atrous::eval {

std::string fact_key(std::string name) {
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

std::string report_head(const std::string& network, const Facts& facts) {
  const auto fact = [&](const char* wanted) {
    for (const auto& [name, text] : facts) {
      if (name == wanted) return text;
    }
    return std::string();
  };
  return page_head("Evaluation: " + network, fmt::format("{}, split \"{}\"", fact("weights"), fact("split")));
}

std::string facts_table(const Facts& facts) {
  std::string out = "<h2>How it was measured</h2>\n<table>\n";
  for (const auto& [name, text] : facts) {
    out +=
        fmt::format("<tr><td>{}</td><td class=\"text\">{}</td></tr>\n", escape_html(name), escape_html(text));
  }
  return out + "</table>\n";
}

std::string picture_name(size_t rank, const std::string& id, const char* kind) {
  return fmt::format("{:02}_{}_{}.png", rank, plain_name(id), kind);
}

void remove_pictures(const std::string& folder, const std::vector<std::string>& of_kinds) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) return;
  for (const std::string& file : files_in(folder)) {
    const std::string name = std::filesystem::path(file).filename().string();
    const size_t digits = name.find_first_not_of("0123456789");
    if (digits == std::string::npos || digits < 2 || name[digits] != '_') continue;
    if (std::any_of(of_kinds.begin(), of_kinds.end(),
                    [&](const std::string& kind) { return name.ends_with(fmt::format("_{}.png", kind)); }))
      std::filesystem::remove(file, ignored);
  }
}

void prepare_worst_folder(const std::string& folder) {
  make_output_folder(folder + "/worst", "--report");
  remove_pictures(folder + "/worst", {"image", "label", "prediction", "error", "objects"});
}

}  // namespace atrous::eval
