// Closed and full streams, limits of the system, places that cannot be written.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/image_io.h"
#include "nets/factory.h"
#include "tests/cli/program.h"
#include "train/checkpoint.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

// Three pictures in a list set, and a checkpoint for them.
struct Project {
  TemporaryFolder folder;
  std::string weights = folder.path("net.safetensors");
  std::string config = folder.path("config.json");

  explicit Project(const std::string& first = "a") {
    const std::vector<std::string> names = {first, "b", "c"};
    std::vector<std::string> lines;
    for (size_t i = 0; i < names.size(); ++i) {
      data::write_png(folder.path(names[i] + ".png"), striped_picture(19, 26 + static_cast<int64_t>(i), 3));
      data::write_png(folder.path(fmt::format("label{}.png", i)),
                      stripes(19, 26 + static_cast<int64_t>(i), 3));
      lines.push_back(fmt::format("{}.png label{}.png\n", names[i], i));
    }
    write_text(folder.path("val.txt"), lines[0]);
    write_text(folder.path("train.txt"), lines[1] + lines[2]);
    nlohmann::json j;
    j["model"] = {{"name", "unet"}, {"num_classes", 3}, {"base_width", 4}, {"depth", 2}};
    j["data"] = {{"dataset", "list"}, {"root", folder.path()}, {"label_map", "identity"}, {"batch_size", 1}};
    j["train"] = {{"max_steps", 3}, {"log_every", 1}, {"validate_every", 2}, {"sample_images", 1}};
    write_text(config, j.dump());
    const train::Config parsed = train::parse_config(j.dump(), "test", {});
    const auto model = nets::make_model(parsed.model, 1);
    const std::vector<data::ClassInfo> classes = {
        {"left", {255, 0, 0}}, {"middle", {0, 255, 0}}, {"right", {0, 0, 255}}};
    const train::RunState state;
    train::save_checkpoint(weights, {&parsed, &classes, &state, model.get(), nullptr, nullptr});
    ::chmod(folder.path().c_str(), 0755);
  }

  // The exit code of "atrous" and its message, run by a shell that knows the names of `files`.
  Outcome shell(const std::string& command) const {
    ::setenv("A", ATROUS_PROGRAM, 1);
    ::setenv("W", weights.c_str(), 1);
    ::setenv("C", config.c_str(), 1);
    ::setenv("D", folder.path().c_str(), 1);
    ::unsetenv("ATROUS_DATA_DIR");
    const int status = std::system(("cd \"$D\"; " + command).c_str());
    Outcome o;
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (fs::exists(folder.path("err"))) o.err = read_text(folder.path("err"));
    return o;
  }

  // Its stdout is a pipe whose reader has gone; the exit code is in the file "code".
  void shell_without_reader(const std::string& command) const {
    shell("mkfifo gone; { read unused <gone; " + command +
          "; echo $? >code; } | { exec <&-; echo gone >gone; }");
  }
};

const std::string search =
    R"("$A" crf-search --weights "$W" --output search.json --grid bilateral_xy=3:6:3 --images 1 >out )";

}  // namespace

TEST_CASE("messages that nobody can read end no command") {
  for (const std::string stderr_is : {"2>&-", "2>/dev/full"}) {
    CAPTURE(stderr_is);
    const Project p;
    CHECK(p.shell(R"("$A" eval --weights "$W" --json eval.json >out )" + stderr_is).code == 0);
    CHECK(nlohmann::json::parse(read_text(p.folder.path("eval.json"))).contains("miou"));
    CHECK(p.shell(R"("$A" predict --weights "$W" --out pictures a.png no.png >out )" + stderr_is).code == 4);
    CHECK(fs::exists(p.folder.path("pictures/a.png")));
    CHECK(p.shell(R"("$A" train --config "$C" --out run >out )" + stderr_is).code == 0);
    CHECK(fs::exists(p.folder.path("run/checkpoints/best.safetensors")));
    CHECK(p.shell(search + stderr_is).code == 0);
    CHECK(nlohmann::json::parse(read_text(p.folder.path("search.json"))).contains("trials"));
    // The table is on stderr when stdout is for JSON.
    CHECK(p.shell(R"("$A" eval --weights "$W" --json - >eval.json )" + stderr_is).code == 0);
    CHECK(nlohmann::json::parse(read_text(p.folder.path("eval.json"))).contains("miou"));
  }
  const Project p;
  p.shell_without_reader(R"("$A" eval --weights "$W" --json eval.json 2>&1 >out)");
  CHECK(read_text(p.folder.path("code")) == "0\n");
}

TEST_CASE("results that stdout does not take are exit code 8") {
  const Project p;
  CHECK(p.shell(R"("$A" eval --weights "$W" >/dev/full 2>err)").code == 8);
  CHECK(p.shell(R"("$A" predict --weights "$W" --out pictures a.png >/dev/full 2>err)").code == 8);
  CHECK(p.shell(R"("$A" eval --weights "$W" >&- 2>err)").code == 8);
  p.shell_without_reader(R"("$A" eval --weights "$W" 2>err)");
  CHECK(read_text(p.folder.path("code")) == "8\n");
  CHECK_THAT(read_text(p.folder.path("err")), Contains("[stdout]"));
}

TEST_CASE("with stdin, stdout and stderr closed, messages land in no file of the run") {
  const Project p;
  const Outcome o = p.shell(R"("$A" train --config "$C" --out run <&- >&- 2>&-)");
  CHECK(o.code == 8);  // of stdout
  std::istringstream lines(read_text(p.folder.path("run/metrics.jsonl")));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    CHECK(nlohmann::json::parse(line).contains("step"));
  CHECK(count == 5);
  CHECK(p.shell(R"("$A" train --config "$C" --out run2 <&- >out 2>&-)").code == 0);
}

TEST_CASE("a limit on the size of files is an error like a full disk") {
  const Project p;
  write_text(p.folder.path("weights"), "old");
  const Outcome o = p.shell(R"(ulimit -f 1; exec "$A" export-weights --weights "$W" --output weights 2>err)");
  CHECK(o.code == 8);
  CHECK_THAT(o.err, Contains("File too large"));
  CHECK(read_text(p.folder.path("weights")) == "old");
  CHECK(p.shell(R"(ulimit -f 1; exec "$A" train --config "$C" --out run 2>err)").code == 8);
  for (const auto& entry : fs::recursive_directory_iterator(p.folder.path()))
    CHECK_THAT(entry.path().string(), !Contains(".tmp"));
}

TEST_CASE("a folder that may not be written is refused with the reason") {
  const Project p;
  fs::create_directory(p.folder.path("locked"));
  ::chmod(p.folder.path("locked").c_str(), 0555);
  const std::string as_user = ::getuid() == 0 ? "setpriv --reuid=65534 --clear-groups --inh-caps=-all " : "";
  if (p.shell(as_user + R"("$A" --version >/dev/null 2>&1)").code != 0)
    return;  // out of reach of another user
  for (const char* command : {R"("$A" doctor --json locked/x.json 2>&1 | cat >err)",
                              R"("$A" predict --weights "$W" --out locked a.png 2>&1 | cat >err)"}) {
    CAPTURE(command);
    CHECK_THAT(p.shell(as_user + command).err,
               Contains("locked\": Permission denied") || Contains("locked/x.json\": Permission denied"));
  }
}

TEST_CASE("threads that the system refuses are exit code 6") {
  const Project p;
  const Outcome o =
      p.shell(R"(ulimit -v 1000000; ATROUS_THREADS=300 exec "$A" eval --weights "$W" 2>err >out)");
  CHECK(o.code == 6);
  CHECK_THAT(o.err, Contains("[threads]") && Contains("of 299 threads") && Contains("ATROUS_THREADS") &&
                        !Contains("--sliding"));
}

TEST_CASE("names of files may be as long as file systems take, in any script") {
  std::string name;  // with ".png" 253 bytes, of which no "_label", ".tmp" or process number can be added
  for (int i = 0; i < 83; ++i) name += "\xe6\xa3\xae";
  const Project p(name);
  CHECK(p.shell(R"("$A" predict --weights "$W" --out pictures *.png >out 2>err)").code == 0);
  CHECK(fs::exists(p.folder.path("pictures/" + name + ".png")));
  CHECK(p.shell(R"("$A" train --config "$C" --out run >out 2>err)").code == 0);
  CHECK(p.shell(R"("$A" eval --weights "$W" --report report >out 2>err)").code == 0);
}

TEST_CASE("train: the way to the folder of a run stays, and a refused run leaves none") {
  const Project p;
  CHECK(p.shell(R"("$A" train --config "$C" --out q/a/../b --set data.root=nowhere 2>err)").code == 4);
  CHECK_FALSE(fs::exists(p.folder.path("q")));
  CHECK(p.shell(R"("$A" train --config "$C" --out q/a/../b >out 2>err)").code == 0);
  CHECK(fs::exists(p.folder.path("q/a/../b/checkpoints/last.safetensors")));
}

TEST_CASE("train: best.json is written after its weights") {
  const Project p;
  fs::create_directories(p.folder.path("run/checkpoints/best.safetensors/in the way"));
  CHECK(p.shell(R"("$A" train --config "$C" --out run >out 2>err)").code == 8);
  CHECK_FALSE(fs::exists(p.folder.path("run/best.json")));
}

TEST_CASE("train: a path that the files of a run cannot hold is refused, not changed") {
  const Project p;
  fs::create_directory(p.folder.path("d\xff"));
  const Outcome o = p.shell("\"$A\" train --config \"$C\" --out run --set data.root=\"$D/d\xff\" 2>err");
  CHECK(o.code == 3);
  CHECK_THAT(o.err, Contains("data.root must be UTF-8") && Contains("symbolic link"));
  CHECK_FALSE(fs::exists(p.folder.path("run")));
}

TEST_CASE("With --json, /dev/stdout is as -, and adds to what a file holds") {
  const Project p;
  write_text(p.folder.path("log"), "before\n");
  CHECK(p.shell(R"("$A" eval --weights "$W" --json /dev/stdout >>log 2>err)").code == 0);
  const std::string log = read_text(p.folder.path("log"));
  REQUIRE(log.starts_with("before\n{"));
  CHECK(nlohmann::json::parse(log.substr(7)).contains("miou"));
  CHECK_THAT(p.shell("true").err, Contains("mIoU"));  // the table
  CHECK(p.shell(R"("$A" eval --weights "$W" --json /dev/fd/3 3>>log >out 2>err)").code == 0);
  CHECK(read_text(p.folder.path("log")).starts_with(log + "{"));
  CHECK_THAT(read_text(p.folder.path("out")), Contains("mIoU"));
}
