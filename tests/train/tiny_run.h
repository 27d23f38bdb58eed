// A tiny network, generated pictures, and runs of the one on the other.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/image_io.h"
#include "train/run_log.h"
#include "train/trainer.h"

namespace atrous::train {

inline std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Seven pictures whose classes are bright, dark and red, in a list set.
inline void make_pictures(const std::string& folder) {
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

inline Config tiny_config(const std::string& root, const std::vector<std::string>& overrides = {}) {
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

inline RunOptions out_folder(const std::string& path, bool resume = false) {
  RunOptions o;
  o.out_dir = path;
  o.resume = resume;
  return o;
}

inline std::string last_of(const std::string& run) {
  return content_of(run + "/checkpoints/last.safetensors");
}

// stderr of the runs would drown the results of the tests.
struct Quiet {
  int saved = dup(2);
  Quiet() {
    const int nothing = open("/dev/null", O_WRONLY);
    dup2(nothing, 2);
    close(nothing);
  }
  ~Quiet() {
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

inline int64_t lines_of(const std::string& path) {
  return static_cast<int64_t>(read_metrics(path).size());
}

}  // namespace atrous::train
