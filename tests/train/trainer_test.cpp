// Whole runs of a tiny network on generated pictures: the same bits whatever threads, workers and stops.
#include "train/trainer.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "core/error.h"
#include "core/parallel.h"
#include "core/safetensors.h"
#include "data/image_io.h"
#include "tests/train/temporary_folder.h"
#include "train/checkpoint.h"
#include "train/run_log.h"

using namespace atrous;
using namespace atrous::train;
using Catch::Matchers::Contains;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Seven pictures whose classes are bright, dark and red, in a list set.
void make_pictures(const std::string& folder) {
  constexpr int64_t height = 20, width = 28;
  std::ofstream train(folder + "/train.txt"), val(folder + "/val.txt");
  for (int64_t i = 0; i < 7; ++i) {
    const Tensor image = Tensor::empty({height, width, 3}, DType::u8);
    const Tensor label = Tensor::empty({height, width}, DType::u8);
    for (int64_t p = 0; p < height * width; ++p) {
      const auto c = static_cast<uint8_t>((p / width / 7 + (p % width) / 10 + i) % 3);
      label.data<uint8_t>()[p] = p % 31 == 0 ? 255 : c;
      const uint8_t colors[3][3] = {{200, 210, 190}, {30, 20, 40}, {190, 40, 30}};
      for (int64_t k = 0; k < 3; ++k) {
        image.data<uint8_t>()[p * 3 + k] = static_cast<uint8_t>(colors[c][k] + (p * 7 + i * 13 + k * 5) % 23);
      }
    }
    const std::string name = "picture" + std::to_string(i);
    data::write_png(folder + "/" + name + ".png", image);
    data::write_png(folder + "/" + name + "_label.png", label);
    (i < 5 ? train : val) << name << ".png " << name << "_label.png\n";
  }
}

Config tiny_config(const std::string& root, const std::vector<std::string>& overrides = {}) {
  std::vector<std::string> all = {"data.root=" + root};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return parse_config(R"({
    "model": {"name": "unet", "num_classes": 3, "base_width": 4, "depth": 2},
    "data": {"dataset": "list", "label_map": "identity", "batch_size": 2, "workers": 1},
    "augment": {"crop_height": 16, "crop_width": 24, "flip_horizontal": 0.5, "scale_min": 0.8, "scale_max": 1.2, "brightness": 0.2},
    "optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.01, "clip_norm": 5},
    "schedule": {"name": "poly", "warmup_steps": 2},
    "train": {"max_steps": 9, "validate_every": 4, "checkpoint_every": 3, "log_every": 2, "accumulate": 2, "ema_decay": 0.9,
              "class_weights": "sqrt_median_frequency", "sample_images": 1,
              "losses": [{"kind": "cross_entropy"}, {"kind": "dice", "weight": 0.5}]},
    "seed": 5})",
                      "tiny", all);
}

RunOptions out_folder(const std::string& path, bool resume = false) {
  RunOptions o;
  o.out_dir = path;
  o.resume = resume;
  return o;
}

std::string last_of(const std::string& run) {
  return content_of(run + "/checkpoints/last.safetensors");
}

// stderr of the runs would drown the results of the tests.
struct Quiet {
  int saved = dup(2);
  Quiet() {
    std::fflush(stderr);
    if (!std::freopen("/dev/null", "w", stderr)) std::abort();
  }
  ~Quiet() {
    std::fflush(stderr);
    dup2(saved, 2);
    close(saved);
  }
};

template <class F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e;
  }
  return Error(ErrorKind::internal, "no error");
}

// Threads do not survive fork, so a run that shall be killed happens in a child that has used none yet: this
// test program is started anew with the hidden test below.
pid_t start_run(const std::string& root, const std::string& run, const std::string& overrides) {
  const pid_t child = fork();
  if (child == 0) {
    setenv("ATROUS_TEST_ROOT", root.c_str(), 1);
    setenv("ATROUS_TEST_RUN", run.c_str(), 1);
    setenv("ATROUS_TEST_SET", overrides.c_str(), 1);
    execl("/proc/self/exe", "train_tests", "run as a child", static_cast<char*>(nullptr));
    _exit(99);
  }
  return child;
}

int64_t lines_of(const std::string& path) {
  return static_cast<int64_t>(read_metrics(path).size());
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
  const Quiet quiet;
  const RunResult r =
      run_training(tiny_config(root, overrides), out_folder(std::getenv("ATROUS_TEST_RUN"), true));
  _exit(r.interrupted ? 128 + r.signal : 0);
}

TEST_CASE("the same seed gives the same checkpoint bytes on any number of threads and workers") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const int before = num_threads();
  std::vector<std::string> bytes;
  for (const auto& [threads, workers] : std::vector<std::pair<int, int>>{{1, 0}, {2, 1}, {4, 4}}) {
    set_num_threads(threads);
    const std::string run = folder / std::to_string(threads);
    const RunResult r = run_training(tiny_config(folder.path(), {"data.workers=" + std::to_string(workers)}),
                                     out_folder(run));
    CHECK(r.steps == 9);
    bytes.push_back(last_of(run));
    CHECK(content_of(run + "/checkpoints/best.safetensors").size() > 1000);
  }
  set_num_threads(before);
  REQUIRE(bytes[0].size() > 10000);
  CHECK(bytes[0] == bytes[1]);
  CHECK(bytes[0] == bytes[2]);
}

TEST_CASE("a run leaves its files, learns, and never overwrites") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::string run = folder / "run";
  const Config config = tiny_config(
      folder.path(), {"train.max_steps=60", "train.validate_every=20", "expected={\"miou\": [0.8, 0.1]}",
                      "augment.scale_min=1", "augment.scale_max=1"});
  const RunResult r = run_training(config, out_folder(run));
  CHECK(r.best_miou > 0.7);
  CHECK(r.expectation_met);
  for (const char* name : {"config.json", "metrics.jsonl", "best.json", "report.html",
                           "checkpoints/last.previous.safetensors"}) {
    CHECK(std::filesystem::exists(run + "/" + name));
  }
  CHECK(parse_config(content_of(run + "/config.json"), "config.json", {}).train.max_steps == 60);
  int validations = 0, steps = 0;
  for (const JsonValue& line : read_metrics(run + "/metrics.jsonl")) {
    REQUIRE(line.find("step"));
    validations += line.find("miou") != nullptr;
    if (!line.find("loss")) continue;
    ++steps;
    CHECK(line.find("lr"));
  }
  CHECK(validations == 3);
  CHECK(steps == 30);
  const std::string html = content_of(run + "/report.html");
  CHECK(html.find("<svg class=\"chart\"") != std::string::npos);
  CHECK(html.find("data:image/png;base64,iVBOR") != std::string::npos);
  CHECK(html.find("http://") == std::string::npos);
  CHECK(html.find("https://") == std::string::npos);

  const Error again = error_of([&] { run_training(config, out_folder(run)); });
  CHECK(again.kind() == ErrorKind::usage);
  CHECK_THAT(again.what(), Contains("never overwritten"));

  const LoadedModel loaded = load_model(run + "/checkpoints/best.safetensors");
  CHECK_FALSE(loaded.model->training());
  CHECK(loaded.classes.size() == 3);
  CHECK(loaded.config.model.base_width == 4);

  Config wrong = config;
  wrong.expected["miou"] = {1.0, 0.0};
  wrong.train.max_steps = 2;
  CHECK_FALSE(run_training(wrong, out_folder(folder / "short")).expectation_met);
}

TEST_CASE("a run that is stopped at any step and resumed ends in the same bytes") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  run_training(tiny_config(folder.path()), out_folder(folder / "whole"));
  const std::string whole = last_of(folder / "whole");
  for (int64_t stop = 1; stop < 9; ++stop) {
    // The first `stop` steps of the same schedule: SIGTERM after the line of that step.
    const std::string run = folder / ("stop" + std::to_string(stop));
    const pid_t child = start_run(folder.path(), run, "train.log_every=1");
    wait_for_lines(run, stop);
    kill(child, stop % 2 ? SIGTERM : SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    if (stop % 2 && WIFEXITED(status))
      CHECK((WEXITSTATUS(status) == 128 + SIGTERM || WEXITSTATUS(status) == 0));
    run_training(tiny_config(folder.path()), out_folder(run, true));
    CHECK(last_of(run) == whole);
  }
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
  CHECK(stored->state.step == 6);
  REQUIRE(messages.size() == 2);
  CHECK_THAT(messages[1], Contains("going on from the checkpoint before it"));
}

TEST_CASE("NaN stops with the layer named, and the checkpoint stays") {
  const TemporaryFolder folder;
  const Quiet quiet;
  // Given batches of which the third holds a NaN.
  const Tensor images = Tensor::full({4, 2, 3, 8, 8}, 0.5);
  const Tensor labels = Tensor::zeros({4, 2, 8, 8}, DType::u8);
  images.data<float>()[2 * 2 * 3 * 64 + 7] = std::numeric_limits<float>::quiet_NaN();
  write_safetensors(folder / "batches.safetensors", {{"images", images}, {"labels", labels}});
  const std::vector<std::string> set = {"data.dataset=tensors", "train.max_steps=4", "train.accumulate=1",
                                        "train.checkpoint_every=1", "train.class_weights=none"};
  const Error e = error_of(
      [&] { run_training(tiny_config(folder / "batches.safetensors", set), out_folder(folder / "run")); });
  CHECK(e.kind() == ErrorKind::diverged);
  CHECK_THAT(e.what(), Contains("at step 3") && Contains("conv") && Contains("batch 2 image 0"));
  INFO(e.what());
  CHECK(read_checkpoint(folder / "run/checkpoints/last.safetensors").state.step == 2);
}

TEST_CASE("a dry run says what memory a step takes and writes nothing") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  RunOptions o = out_folder(folder / "run");
  o.dry_run = true;
  const RunResult r = run_training(tiny_config(folder.path()), o);
  CHECK(r.peak_memory_bytes > 10000);
  CHECK(r.parameters > 500);
  CHECK(r.last_loss > 0);
  CHECK_FALSE(std::filesystem::exists(folder / "run"));
}

TEST_CASE("training errors before the first step") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const auto refuse = [&](const std::vector<std::string>& set) {
    return error_of([&] { run_training(tiny_config(folder.path(), set), out_folder(folder / "run")); });
  };
  CHECK_THAT(refuse({"train.max_steps=0"}).what(),
             Contains("exactly one of train.epochs and train.max_steps"));
  CHECK_THAT(refuse({"data.root="}).what(), Contains("needs data.root"));
  CHECK_THAT(refuse({"train.class_weights=1,2"}).what(),
             Contains("one number per class. Got 2 for 3 classes"));
  CHECK_THAT(refuse({"train.class_weights=median"}).what(), Contains("median_frequency"));
  const Error unwritable =
      error_of([&] { run_training(tiny_config(folder.path()), out_folder("/proc/run")); });
  CHECK(unwritable.kind() == ErrorKind::io);
  CHECK_THAT(unwritable.what(), Contains("must be writable") && Contains("/proc/run"));
}
