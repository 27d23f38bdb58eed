// Typing slips, help, exit codes and streams.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/program.h"

using namespace atrous::cli_test;
using Catch::Contains;

TEST_CASE("help shows an example first, on stdout, with exit code 0") {
  // The list that the message about an unknown command ends with.
  const std::string message = run({"xxxxxxxx"}).err;
  const std::string lead = "The commands are: ";
  REQUIRE_THAT(message, Contains(lead));
  std::istringstream names(message.substr(message.find(lead) + lead.size()));
  int commands = 0;
  for (std::string command; names >> command; ++commands) {
    command.pop_back();  // comma or full stop
    const Outcome o = run({command, "--help"});
    CAPTURE(command);
    CHECK(o.code == 0);
    CHECK(o.err == "");
    CHECK_THAT(o.out, Contains("Example:\n  atrous " + command));
    CHECK(o.out.find("Example:") < o.out.find("Usage:"));
  }
  CHECK(commands >= 8);
  CHECK_THAT(run({"--help"}).out, Contains("Example:"));
  const Outcome version = run({"--version"});
  CHECK(version.code == 0);
  CHECK_THAT(version.out, Contains("atrous 0."));
}

TEST_CASE("unknown commands and options are usage errors that name the nearest") {
  Outcome o = run({"tarin"});
  CHECK(o.code == 2);
  CHECK(o.out == "");
  CHECK_THAT(o.err, Contains("unknown command \"tarin\". Did you mean \"train\"?"));
  o = run({"metrics", "semantics"});
  CHECK(o.code == 2);
  CHECK_THAT(o.err, Contains("Did you mean \"semantic\"?"));
  // The slip is told, not the required option that is missing because of it.
  o = run({"eval", "--wieghts", "x"});
  CHECK(o.code == 2);
  CHECK_THAT(o.err, Contains("unknown option \"--wieghts\". Did you mean \"--weights\"?"));
  CHECK_THAT(o.err, Contains("`atrous eval --help`"));
  o = run({"bench", "kernels", "--fliter", "x"});
  CHECK(o.code == 2);
  CHECK_THAT(o.err, Contains("`atrous bench kernels --help`"));
  o = run({"eval"});
  CHECK(o.code == 2);
  CHECK_THAT(o.err, Contains("--weights is required"));
  o = run({});
  CHECK(o.code == 2);
  o = run({"eval", "--weights", "x", "--split", "vla"});
  CHECK(o.code == 2);
  CHECK_THAT(o.err, Contains("vla"));
}

TEST_CASE("numbers that are none, or out of range, are told with the range") {
  const std::vector<std::string> shapes{"data", "make-shapes", "--out", "none"};
  const auto with = [&](const std::string& option, const std::string& value) {
    std::vector<std::string> arguments = shapes;
    arguments.insert(arguments.end(), {option, value});
    const Outcome o = run(arguments);
    CHECK(o.code == 2);
    return o.err;
  };
  for (const char* value : {"1e400", "-3", "0", "99999999999999999999", "1e30"})
    CHECK_THAT(with("--train", value),
               Contains("--train") && Contains("in range") && Contains("1 to 1000000"));
  CHECK_THAT(with("--seed", "-1.5"),
             Contains("--seed must be a whole number from 0 to 18446744073709551615. Got \"-1.5\""));
  CHECK_THAT(with("--classes", "many"),
             Contains("--classes must be a whole number of at most 64 bits. Got \"many\""));
}

TEST_CASE("doctor reports in text and JSON; --json - keeps stdout clean") {
  const Outcome o = run({"doctor", "--json", "-"}, {"ATROUS_THREADS=3"});
  CHECK(o.code == 0);
  const auto j = nlohmann::json::parse(o.out);
  CHECK(j["cpu"]["threads"] == 3);
  CHECK(j["version"].get<std::string>().starts_with("0."));
  CHECK(j["libraries"].contains("libpng"));
  bool found = false;
  for (const auto& v : j["environment"])
    found = found || (v["name"] == "ATROUS_THREADS" && v["value"] == "3");
  CHECK(found);
  CHECK_THAT(o.err, Contains("libraries"));
}

TEST_CASE("bad environment variables are usage errors, whatever the command") {
  const struct {
    const char* variable;
    const char* told;
  } cases[] = {
      {"ATROUS_THREADS=many", "ATROUS_THREADS must be a number from 1 to 1024"},
      {"ATROUS_THREADS=0", "ATROUS_THREADS must be a number from 1 to 1024"},
      {"ATROUS_ISA=mmx", "ATROUS_ISA must be one of generic, avx2, avx512"},
      {"ATROUS_VERBOSE=foo", "ATROUS_VERBOSE must be dispatch"},
      {"ATROUS_VALIDATE=yes", "ATROUS_VALIDATE must be ref"},
      {"ATROUS_SYNC=yes", "ATROUS_SYNC must be one of 0, 1"},
      {"ATROUS_SIM_LAG=2", "ATROUS_SIM_LAG must be one of 0, 1"},
      {"ATROUS_SIM_CHECK=some", "ATROUS_SIM_CHECK must be one of 0, 1, all"},
      {"ATROUS_SIM_SEED=x", "ATROUS_SIM_SEED must be a number"},
      {"ATROUS_SIM_MEMORY=-5", "ATROUS_SIM_MEMORY must be a number of bytes from 1"},
      {"ATROUS_SIM_MEMORY=4G", "ATROUS_SIM_MEMORY=4294967296 for 4 GiB"},
      {"ATROUS_SIM_MEMORY=0", "ATROUS_SIM_MEMORY must be a number of bytes from 1"},
      {"ATROUS_IMPL=conv2d", "op:name"},
      {"ATROUS_IMPL=covn2d:ref", "Got \"covn2d\". Did you mean \"conv2d\"?"},
      {"ATROUS_IMPL=nope:naive", "The ops are: adaptive_avg_pool2d, anchors, avg_pool2d"},
      {"ATROUS_IMPL=conv2d.forwards:ref", "Did you mean \"conv2d.forward\"? The entries are: conv2d.forward"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.variable);
    const Outcome o = run({"doctor"}, {c.variable});
    CHECK(o.code == 2);
    CHECK(o.out == "");
    CHECK_THAT(o.err, Contains(c.told));
    CHECK(run({"--help"}, {c.variable}).code == 0);
  }
  for (const char* good : {"ATROUS_SYNC=0", "ATROUS_SIM_CHECK=all", "ATROUS_VERBOSE=", "ATROUS_SIM_MEMORY=1",
                           "ATROUS_IMPL=conv2d:ref,resize.forward:ref"})
    CHECK(run({"doctor"}, {good}).code == 0);
}

TEST_CASE("a variable that nobody reads is a warning that names the nearest") {
  const Outcome o = run({"doctor"}, {"ATROUS_VERBOS=dispatch"});
  CHECK(o.code == 0);
  CHECK_THAT(o.err, Contains("warning") && Contains("no variable ATROUS_VERBOS,") &&
                        Contains("Did you mean ATROUS_VERBOSE?"));
  CHECK(run({"doctor"}).err == "");
}

TEST_CASE("results that cannot be written are an I/O error") {
  Outcome o = run({"doctor"}, {}, "/dev/full");
  CHECK(o.code == 8);
  CHECK_THAT(o.err, Contains("[stdout] writing the results failed"));
  o = run({"doctor", "--json", "/dev/full"});
  CHECK(o.code == 8);
  CHECK_THAT(o.err, Contains("/dev/full"));
  CHECK(std::filesystem::is_character_file("/dev/full"));  // written to, not replaced
  o = run({"doctor", "--json", "/nonexistent/folder/x.json"});
  CHECK(o.code == 8);
  CHECK_THAT(o.err, Contains("/nonexistent/folder/x.json"));
}
