// Runs that are stopped, killed or damaged, and go on: the same bits as one that nothing happened to.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"

using namespace atrous;
using namespace atrous::train;
using Catch::Matchers::Contains;

namespace {

// The metrics of a run, without what depends on the clock.
std::vector<std::string> metrics_of(const std::string& run) {
  std::vector<std::string> lines;
  for (JsonValue& line : read_metrics(run + "/metrics.jsonl")) {
    std::erase_if(line.object, [](const auto& member) {
      return member.first == "images_per_second" || member.first == "data_wait_percent" ||
             member.first == "seconds";
    });
    lines.push_back(to_text(line, -1));
  }
  return lines;
}

// All that must not depend on whether a run was stopped on its way.
void check_same_run(const std::string& run, const std::string& whole) {
  CHECK(last_of(run) == last_of(whole));
  CHECK(content_of(run + "/checkpoints/best.safetensors") ==
        content_of(whole + "/checkpoints/best.safetensors"));
  CHECK(content_of(run + "/best.json") == content_of(whole + "/best.json"));
  CHECK(metrics_of(run) == metrics_of(whole));
}

// Threads do not survive fork, so a run that shall be killed happens in a child that has used none yet: this
// test program is started anew with the hidden test below. After step `stop` it sends itself `number`, or,
// for SIGXFSZ, may not write more than `limit` bytes to a file from then on: the system ends it in the midst
// of a write.
pid_t start_run(const std::string& root, const std::string& run, const std::string& overrides,
                int64_t stop = 0, int number = 0, size_t limit = 0) {
  const pid_t child = fork();
  if (child == 0) {
    setenv("ATROUS_TEST_ROOT", root.c_str(), 1);
    setenv("ATROUS_TEST_RUN", run.c_str(), 1);
    setenv("ATROUS_TEST_SET", overrides.c_str(), 1);
    setenv("ATROUS_TEST_STOP", std::to_string(stop).c_str(), 1);
    setenv("ATROUS_TEST_SIGNAL", std::to_string(number).c_str(), 1);
    setenv("ATROUS_TEST_LIMIT", std::to_string(limit).c_str(), 1);
    execl("/proc/self/exe", "train_tests", "run as a child", static_cast<char*>(nullptr));
    _exit(99);
  }
  return child;
}

int status_of(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

void wait_for_lines(const std::string& run, int64_t count) {
  for (int i = 0; i < 3000 && lines_of(run + "/metrics.jsonl") < count; ++i) usleep(2000);
}

}  // namespace

TEST_CASE("run as a child", "[.]") {
  const char* root = std::getenv("ATROUS_TEST_ROOT");
  REQUIRE(root);
  const std::string set = std::getenv("ATROUS_TEST_SET");
  std::vector<std::string> overrides;
  std::istringstream words(set);
  for (std::string word; words >> word;) overrides.push_back(word);
  RunOptions options = out_folder(std::getenv("ATROUS_TEST_RUN"), true);
  options.on_step = [](int64_t step) {
    const int number = std::atoi(std::getenv("ATROUS_TEST_SIGNAL"));
    if (step != std::atoll(std::getenv("ATROUS_TEST_STOP"))) return;
    if (number != SIGXFSZ) {
      raise(number);
      return;
    }
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    std::signal(SIGXFSZ, SIG_DFL);
    const auto bytes = static_cast<rlim_t>(std::atoll(std::getenv("ATROUS_TEST_LIMIT")));
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
  };
  const Quiet quiet;
  const RunResult r = run_training(tiny_config(root, overrides), options);
  _exit(r.interrupted ? 128 + r.signal : 0);
}

TEST_CASE("a run that is stopped at any step and resumed leaves what an unbroken one leaves") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::string whole = folder / "whole";
  run_training(tiny_config(folder.path()), out_folder(whole));
  for (int64_t stop = 1; stop <= 9; ++stop) {
    for (int number : {SIGTERM, SIGKILL}) {
      CAPTURE(stop, number);
      const std::string run = folder / fmt::format("{}_{}", stop, number);
      const int status = status_of(start_run(folder.path(), run, "", stop, number));
      if (number == SIGTERM) {
        REQUIRE(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 128 + SIGTERM);
        const RunState state = read_checkpoint(run + "/checkpoints/last.safetensors").state;
        CHECK(state.step == stop);
        CHECK(state.last_validation == (stop > 4 ? (stop > 8 ? 8 : 4) : 0));  // none for being stopped
      } else {
        REQUIRE(WIFSIGNALED(status));
        CHECK(WTERMSIG(status) == SIGKILL);
      }
      CHECK(run_training(tiny_config(folder.path()), out_folder(run, true)).steps == 9);
      check_same_run(run, whole);
    }
  }
}

static std::vector<uint64_t> sizes_of_leftovers(const std::string& folder) {
  std::vector<uint64_t> sizes;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().ends_with(".tmp")) sizes.push_back(entry.file_size());
  }
  return sizes;
}

TEST_CASE("a run that dies while it writes a checkpoint goes on from the one before") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::string whole = folder / "whole";
  run_training(tiny_config(folder.path()), out_folder(whole));
  const size_t size = last_of(whole).size();
  // Of the checkpoints after steps 3, 4 (the one before the validation), 6 and 9.
  for (int64_t step : {3, 4, 6, 9}) {
    for (size_t bytes : {size / 2, size - 2000}) {  // those before the first validation are shorter
      CAPTURE(step, bytes);
      const std::string run = folder / fmt::format("{}_{}", step, bytes);
      const int status = status_of(start_run(folder.path(), run, "", step, SIGXFSZ, bytes));
      REQUIRE(WIFSIGNALED(status));
      CHECK(WTERMSIG(status) == SIGXFSZ);
      CHECK(sizes_of_leftovers(run + "/checkpoints") == std::vector<uint64_t>{bytes});
      const std::string last = run + "/checkpoints/last.safetensors";
      CHECK(std::filesystem::exists(last) == (step > 3));
      if (step > 3) CHECK(read_checkpoint(last).state.step < step);
      CHECK(run_training(tiny_config(folder.path()), out_folder(run, true)).steps == 9);
      check_same_run(run, whole);
      CHECK(sizes_of_leftovers(run + "/checkpoints").empty());
    }
  }
}

TEST_CASE("train.max_minutes saves and stops without a trace in the run") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::string whole = folder / "whole", run = folder / "run";
  run_training(tiny_config(folder.path(), {"expected={\"miou\": [1, 0]}"}), out_folder(whole));
  RunOptions options = out_folder(run);
  options.on_step = [](int64_t step) {
    if (step == 4) usleep(1100000);  // a validation is due after this step
  };
  const RunResult r = run_training(
      tiny_config(folder.path(), {"expected={\"miou\": [1, 0]}", "train.max_minutes=0.016"}), options);
  CHECK(r.timed_out);
  CHECK_FALSE(r.interrupted);
  CHECK(r.expectation_met);  // nothing is judged yet
  CHECK(r.steps <= 4);
  if (r.steps > 0) CHECK(read_checkpoint(run + "/checkpoints/last.safetensors").state.last_validation == 0);
  const RunResult end =
      run_training(tiny_config(folder.path(), {"expected={\"miou\": [1, 0]}"}), out_folder(run, true));
  CHECK(end.steps == 9);
  CHECK_FALSE(end.timed_out);
  CHECK_FALSE(end.expectation_met);
  check_same_run(run, whole);
}

TEST_CASE("a validation that fails loses nothing") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::string whole = folder / "whole", run = folder / "run";
  const std::vector<std::string> rarely = {"train.checkpoint_every=100"};
  run_training(tiny_config(folder.path(), rarely), out_folder(whole));
  const std::string picture = folder / "picture6.png", good = content_of(picture);
  RunOptions options = out_folder(run);
  options.on_step = [&](int64_t step) {
    if (step == 4) std::ofstream(picture, std::ios::binary) << "no picture";
  };
  const Error e = error_of([&] { run_training(tiny_config(folder.path(), rarely), options); });
  CHECK(e.kind() == ErrorKind::data);
  CHECK(read_checkpoint(run + "/checkpoints/last.safetensors").state.step == 4);
  std::ofstream(picture, std::ios::binary) << good;
  run_training(tiny_config(folder.path(), rarely), out_folder(run, true));
  check_same_run(run, whole);
}

TEST_CASE("a resumed run does not need the weights that it started from") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  run_training(tiny_config(folder.path(), {"train.max_steps=2"}), out_folder(folder / "first"));
  const std::string weights = folder / "first/checkpoints/best.safetensors";
  const Config config = tiny_config(folder.path(), {"model.weights=" + weights});
  run_training(config, out_folder(folder / "whole"));
  RunOptions options = out_folder(folder / "run");
  options.on_step = [](int64_t step) {
    if (step == 5) raise(SIGTERM);
  };
  CHECK(run_training(config, options).interrupted);
  std::filesystem::remove(weights);
  CHECK(error_of([&] { run_training(config, out_folder(folder / "new")); }).kind() == ErrorKind::checkpoint);
  run_training(config, out_folder(folder / "run", true));
  check_same_run(folder / "run", folder / "whole");
}

TEST_CASE("a damaged last checkpoint does not replace the good one before it") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::string whole = folder / "whole", run = folder / "run";
  const std::string last = run + "/checkpoints/last.safetensors";
  const std::string previous = run + "/checkpoints/last.previous.safetensors";
  run_training(tiny_config(folder.path()), out_folder(whole));
  RunOptions options = out_folder(run, true);
  options.on_step = [](int64_t step) {
    if (step == 7) raise(SIGTERM);
  };
  run_training(tiny_config(folder.path()), options);
  REQUIRE(read_checkpoint(last).state.step == 7);
  REQUIRE(read_checkpoint(previous).state.step == 6);
  std::ofstream(last, std::ios::binary) << "damaged";
  run_training(tiny_config(folder.path()), options);
  CHECK(read_checkpoint(last).state.step == 7);
  CHECK(read_checkpoint(previous).state.step == 6);
  run_training(tiny_config(folder.path()), out_folder(run, true));
  check_same_run(run, whole);
}

TEST_CASE("a run outlives the reader of its messages") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const int saved = dup(2);
  dup2(ends[1], 2);
  close(ends[0]);
  close(ends[1]);
  int64_t steps = 0;
  const Error e =
      error_of([&] { steps = run_training(tiny_config(folder.path()), out_folder(folder / "run")).steps; });
  dup2(saved, 2);
  close(saved);
  std::clearerr(stderr);
  INFO(e.what());
  CHECK(steps == 9);
}

TEST_CASE("signals: INT, TERM, USR1 save and stop, HUP saves and goes on, a second one ends at once") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  for (int number : {SIGINT, SIGTERM, SIGUSR1}) {
    const std::string run = folder / std::to_string(number);
    const pid_t child =
        start_run(folder.path(), run, "train.max_steps=100000 train.log_every=1 train.validate_every=100000");
    wait_for_lines(run, 3);
    kill(child, number);
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 128 + number);
    CHECK(read_checkpoint(run + "/checkpoints/last.safetensors").state.step >= 3);
  }
  const std::string run = folder / "hup";
  const pid_t child = start_run(
      folder.path(), run,
      "train.max_steps=100000 train.log_every=1 train.validate_every=100000 train.checkpoint_every=100000");
  wait_for_lines(run, 2);
  CHECK_FALSE(std::filesystem::exists(run + "/checkpoints/last.safetensors"));
  kill(child, SIGHUP);
  wait_for_lines(run, lines_of(run + "/metrics.jsonl") + 3);
  CHECK(std::filesystem::exists(run + "/checkpoints/last.safetensors"));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST_CASE("two processes cannot share a folder") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const std::string run = folder / "run";
  const pid_t child = start_run(folder.path(), run, "train.max_steps=100000 train.log_every=1");
  wait_for_lines(run, 1);
  const Error e = error_of([&] { run_training(tiny_config(folder.path()), out_folder(run, true)); });
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  CHECK(e.kind() == ErrorKind::io);
  CHECK_THAT(e.what(), Contains("another process is using"));
}

TEST_CASE("resume refuses other settings, and falls back from a damaged checkpoint") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::string run = folder / "run";
  run_training(tiny_config(folder.path(), {"train.max_steps=6"}), out_folder(run));

  const Config changed = tiny_config(folder.path(), {"train.max_steps=6", "optimizer.lr=0.5"});
  const Error e = error_of([&] { run_training(changed, out_folder(run, true)); });
  CHECK(e.kind() == ErrorKind::config);
  CHECK_THAT(e.what(), Contains("Got other values for: optimizer.lr"));
  RunOptions allowed = out_folder(run, true);
  allowed.allow_change = {"optimizer.lr", "train.max_steps"};
  CHECK(run_training(tiny_config(folder.path(), {"train.max_steps=7", "optimizer.lr=0.5"}), allowed).steps ==
        7);

  const std::string last = run + "/checkpoints/last.safetensors";
  const std::string good = content_of(last);
  std::string flipped = good;
  flipped[flipped.size() - 100] ^= 1;
  std::ofstream(last, std::ios::binary) << flipped;
  const Error damaged = error_of([&] { read_checkpoint(last); });
  CHECK(damaged.kind() == ErrorKind::checkpoint);
  CHECK_THAT(damaged.what(), Contains("must have its stored checksum"));
  std::ofstream(last, std::ios::binary) << good.substr(0, good.size() / 2);
  CHECK(error_of([&] { read_checkpoint(last); }).kind() == ErrorKind::checkpoint);
  std::vector<std::string> messages;
  const auto stored = read_newest_checkpoint({last, run + "/checkpoints/last.previous.safetensors"},
                                             [&](const std::string& m) { messages.push_back(m); });
  REQUIRE(stored);
  CHECK(stored->state.step == 7);  // that from before the last validation
  REQUIRE(messages.size() == 2);
  CHECK_THAT(messages[1], Contains("continuing from the previous checkpoint"));
}
