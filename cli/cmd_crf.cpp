// `atrous crf`: refines the class probabilities of any tool with a dense CRF.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "cli/image_keys.h"
#include "core/allocator.h"
#include "core/device_runtime.h"
#include "core/error.h"
#include "core/safetensors.h"
#include "core/terminal.h"
#include "core/text.h"
#include "data/image_io.h"
#include "eval/crf.h"
#include "eval/pictures.h"
#include "eval/report/semantic_json.h"
#include "layers/state_dict.h"

namespace atrous::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string image, probs, output, labels, params;
  std::string device = "cpu";
  int64_t max_memory = eval::CrfOptions{}.max_memory;
  ImageKeys keys{{"data.exif", "data.alpha", "data.sixteen_bit"}};
  Report report;
};

// A NaN or infinity is reported with its position: the CRF checks sums only and could not name it.
void check_numbers(const std::string& path, const Tensor& probs) {
  const int64_t h = probs.dim(1), w = probs.dim(2);
  for (int64_t i = 0; i < probs.numel(); ++i) {
    const float p = probs.data<float>()[i];
    ATROUS_CHECK(
        std::isfinite(p), ErrorKind::data,
        "[crf {}] probabilities must be numbers. Got {} for class {} at pixel y {}, x {}. Look for a "
        "division by zero where they were made.",
        path, std::isnan(p) ? "NaN" : "infinity", i / (h * w), i / w % h, i % w);
  }
}

// The tensor `probs` [K, H, W] of a file as f32 [H, W, K], of an image of the size given.
Tensor read_probabilities(const std::string& path, int64_t height, int64_t width, const std::string& image,
                          const data::ImageReadOptions& options) {
  const TensorFile file = read_safetensors(path);
  const Tensor& t = file.at("probs");
  ATROUS_CHECK((t.dtype() == DType::f32 || t.dtype() == DType::f64) && t.rank() == 3 && t.numel() > 0,
               ErrorKind::data,
               "[crf {}] \"probs\" must be floats [K, H, W] with at least one pixel: a probability for each "
               "class and pixel. Got {}.",
               path, t.describe());
  const int64_t k = t.dim(0), h = t.dim(1), w = t.dim(2);
  ATROUS_CHECK(k >= 2, ErrorKind::data,
               "[crf {}] there must be at least two classes to decide between. Got {}. Give the background's "
               "probability 1 - p as well.",
               path, t.describe());
  ATROUS_CHECK(
      h == height && w == width, ErrorKind::data,
      "[crf {}] image and probabilities must have one size. Got an image of {} x {} pixels (H x W) and "
      "\"probs\" {}, read as [K, H, W]. {}.",
      path, height, width, t.shape().str(),
      t.dim(0) == height && t.dim(1) == width ? std::string("It looks like [H, W, K]: transpose to [K, H, W]")
                                              : data::size_advice(image, options, h, w, "--set data.exif"));
  const Tensor probs = t.to(DType::f32).contiguous_copy_if_needed();
  check_numbers(path, probs);
  return layers::from_file_layout(probs.reshape({1, k, h, w})).reshape({h, w, k});
}

// A result must not replace an input or another result.
void check_places(const Options& o) {
  std::error_code unknown;
  const auto same = [&](const std::string& a, const std::string& b) {
    return fs::weakly_canonical(a, unknown) == fs::weakly_canonical(b, unknown);
  };
  for (const std::string& output : {o.output, o.labels}) {
    if (output.empty()) continue;
    for (const std::string& input : {o.image, o.probs}) {
      ATROUS_CHECK(!same(output, input), ErrorKind::usage,
                   "[crf] results must not replace their input. Got \"{}\" for both. Choose another "
                   "--output or --labels.",
                   output);
    }
  }
  ATROUS_CHECK(o.labels.empty() || !same(o.labels, o.output), ErrorKind::usage,
               "[crf] --output and --labels must be two files. Got \"{}\" for both.", o.labels);
}

int64_t differing(const Tensor& a, const Tensor& b) {
  int64_t count = 0;
  for (int64_t i = 0; i < a.numel(); ++i) count += a.data<uint8_t>()[i] != b.data<uint8_t>()[i];
  return count;
}

void run_crf(const Options& o) {
  const Device device = chosen_device(o.device);
  eval::CrfOptions crf = eval::parse_crf(o.params, {}, "--params");
  crf.max_memory = o.max_memory;
  check_places(o);
  const data::ImageReadOptions reading = o.keys.resolve();
  const Tensor image = data::read_image(o.image, reading);
  const Tensor before = read_probabilities(o.probs, image.dim(0), image.dim(1), o.image, reading);
  const int64_t h = before.dim(0), w = before.dim(1), k = before.dim(2);
  ATROUS_CHECK(o.labels.empty() || k <= 256, ErrorKind::data,
               "[--labels] label images hold at most 256 classes. Got {}. Leave it out.", k);

  const auto start = std::chrono::steady_clock::now();
  const eval::CrfRefined after = eval::refine(image, before.to(device), crf);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const AllocatorStats memory = device == Device::cpu ? allocator_stats() : device_allocator_stats(device);

  const Tensor labels = k <= 256 ? eval::labels_of(after.probabilities) : Tensor();
  const Tensor out = layers::to_file_layout(after.probabilities.reshape({1, h, w, k})).reshape({k, h, w});
  write_safetensors(o.output, {{"probs", out}}, {{"atrous.crf", eval::crf_text(crf)}});
  if (!o.labels.empty()) data::write_png(o.labels, labels, eval::voc_palette());

  JsonValue j = JsonValue::make_object();
  j["height"] = JsonValue::of(h);
  j["width"] = JsonValue::of(w);
  j["classes"] = JsonValue::of(k);
  j["crf"] = eval::crf_to_json(crf);
  j["tiles"] = JsonValue::of(after.tiles);
  j["device"] = JsonValue::of(name_of(device));
  print_to(o.report.table(), "image        {} x {} pixels, {} classes\nparameters   {}\n", h, w, k,
           eval::crf_text(crf));
  if (labels.defined()) {
    const int64_t changed = differing(eval::labels_of(before), labels);
    j["changed_pixels"] = JsonValue::of(changed);
    print_to(o.report.table(), "labels       {} of {} pixels changed ({:.2f} %)\n", changed, h * w,
             100 * static_cast<double>(changed) / static_cast<double>(h * w));
  }
  if (after.tiles > 1)
    print_to(o.report.table(), "tiles        {}, to stay within {} MiB: an approximation\n", after.tiles,
             o.max_memory);
  j["seconds"] = JsonValue::of(seconds);
  j["peak_memory_bytes"] = JsonValue::of(memory.peak_in_use);
  print_to(stderr, "{:.2f} s, peak memory {}\n", seconds, bytes_text(memory.peak_in_use));
  o.report.write_json(to_text(j));
}

}  // namespace

void add_crf_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("crf", "Refines class probabilities along the edges of their image");
  command->footer(
      "atrous crf --image photo.png --probs probs.safetensors --output refined.safetensors --labels "
      "labels.png --params preset=deeplab_v2,bilateral_xy=60");
  auto o = std::make_shared<Options>();
  command->add_option("--image", o->image, "The photograph, RGB or grey")->required();
  command
      ->add_option("--probs", o->probs,
                   "Safetensors with probs, float [K,H,W]: the probabilities of K classes at each pixel")
      ->required();
  command->add_option("--output", o->output, "Safetensors file for the refined probs, float32 [K,H,W]")
      ->required();
  command->add_option("--labels", o->labels, "Also write the class indices, with a palette (PNG)")
      ->type_name("FILE");
  command
      ->add_option("--params", o->params,
                   fmt::format("Parameters, or preset=NAME and overrides. Default: {}", eval::crf_text({})))
      ->type_name("KEY=VALUE,...");
  command
      ->add_option("--max-memory", o->max_memory,
                   "Memory limit of the CRF in MiB; an image that needs more is refined in overlapping parts")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  o->keys.add_option(*command);
  add_device_option(*command, o->device);
  o->report.add_option(*command);
  command->callback([o] { run_crf(*o); });
}

}  // namespace atrous::cli
