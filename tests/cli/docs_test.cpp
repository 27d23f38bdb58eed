// docs/commands.md and docs/environment.md say what the program says.
#include <catch2/catch.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "core/env.h"
#include "tests/cli/program.h"

using namespace atrous;
using namespace atrous::cli_test;

namespace {

std::string page(const std::string& name) {
  const std::string text = read_text(std::string(ATROUS_SOURCE_DIR) + "/docs/" + name);
  REQUIRE_FALSE(text.empty());
  return text;
}

std::set<std::string> flags_in(const std::string& text) {
  static const std::regex flag("--[a-z][a-z0-9-]*");
  return {std::sregex_token_iterator(text.begin(), text.end(), flag), std::sregex_token_iterator()};
}

// The options of a command as `--help` declares them, at the start of a line.
std::set<std::string> options_of(const std::vector<std::string>& command) {
  std::vector<std::string> arguments = command;
  arguments.push_back("--help");
  const Outcome o = run(arguments);
  REQUIRE(o.code == 0);
  std::set<std::string> options;
  std::istringstream lines(o.out);
  for (std::string line; std::getline(lines, line);) {
    static const std::regex declaration("^  (?:-[a-z],)?(--[a-z][a-z0-9-]*).*");
    std::smatch match;
    if (std::regex_match(line, match, declaration) && match[1] != "--help") options.insert(match[1]);
  }
  return options;
}

}  // namespace

TEST_CASE("docs/commands.md lists exactly the options of every command") {
  const std::string text = page("commands.md");
  const std::vector<std::vector<std::string>> commands = {{"train"},
                                                          {"eval"},
                                                          {"predict"},
                                                          {"crf"},
                                                          {"crf-search"},
                                                          {"forward"},
                                                          {"metrics", "semantic"},
                                                          {"metrics", "coco"},
                                                          {"summary"},
                                                          {"weights", "show"},
                                                          {"weights", "convert"},
                                                          {"data", "check"},
                                                          {"data", "show"},
                                                          {"data", "make-shapes"},
                                                          {"bench", "kernels"},
                                                          {"bench", "nets"},
                                                          {"doctor"}};
  for (const auto& command : commands) {
    std::string heading = "## atrous";
    for (const std::string& word : command) heading += " " + word;
    CAPTURE(heading);
    const size_t begin = text.find(heading + "\n");
    REQUIRE(begin != std::string::npos);
    const std::string section = text.substr(begin, text.find("\n## ", begin) - begin);
    // The table's first column.
    std::set<std::string> described;
    std::istringstream lines(section);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("| `--")) described.merge(flags_in(line.substr(0, line.find(" | "))));
    }
    CHECK(described == options_of(command));
  }
}

TEST_CASE("docs/environment.md is the table of core/env.cpp") {
  const std::string text = page("environment.md");
  size_t rows = 0;
  for (const env::Variable& v : env::table()) {
    // A bar inside a cell of a table is escaped.
    std::string type = std::regex_replace(std::string(v.type), std::regex("\\|"), "\\|");
    const std::string row =
        std::string("| `") + v.name + "` | " + type + " | " + v.default_value + " | " + v.help + " |\n";
    CAPTURE(row);
    CHECK(text.find(row) != std::string::npos);
    ++rows;
  }
  size_t written = 0;
  for (size_t at = text.find("\n| `"); at != std::string::npos; at = text.find("\n| `", at + 1)) ++written;
  CHECK(rows == written);
}
