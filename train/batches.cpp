#include "train/batches.h"

#include <cstring>

#include "train/class_source.h"

namespace atrous::train {
namespace {

// Item i of the first axis of a contiguous tensor.
const std::byte* item(const Tensor& t, int64_t i) {
  return t.raw() + static_cast<size_t>(i) * (t.bytes() / static_cast<size_t>(t.dim(0)));
}

}  // namespace

DataSets open_datasets(const Config& config, const data::ClassList* stored) {
  DataSets sets;
  const int64_t classes = config.model.num_classes;
  if (config.data.dataset == given_tensors) {
    for (int64_t c = 0; c < classes; ++c) {
      data::ClassInfo info;
      const auto& names = config.data.class_names;
      info.name = names.empty() ? "class" + std::to_string(c) : names[static_cast<size_t>(c)];
      sets.classes.push_back(info);
    }
    if (stored) {
      // Labels of given batches cannot be renumbered.
      const data::ClassMatch match =
          data::match_classes(class_list(sets.classes, config, "data.class_names"), *stored);
      sets.notes.insert(sets.notes.end(), match.notes.begin(), match.notes.end());
      for (size_t k = 0; k < match.labels.size(); ++k) {
        ATROUS_CHECK(
            match.labels[k] == static_cast<int64_t>(k), ErrorKind::config,
            "[data.class_names] given batches need the classes of {} in their order. Got \"{}\" for class "
            "{}. Set data.class_names back.",
            stored->what, sets.classes[k].name, k);
      }
    }
    return sets;
  }
  const auto open = [&](const std::string& split, const data::ClassList* list) {
    return data::open_dataset(config.data, split, classes, config.model.in_channels, list);
  };
  sets.train = open_training_split<data::Dataset>(
      config, stored, [&](const data::ClassList* list) { return open("train", list); }, sets.notes);
  sets.classes = sets.train->classes();
  const data::ClassList meant = class_list(sets.classes, config, "the train split");
  sets.val = open("val", &meant);
  for (const auto* set : {&sets.train, &sets.val}) {
    ATROUS_CHECK((*set)->size() > 0, ErrorKind::data,
                 "[data] a split must hold images. Got none in \"{}\" of {}. Check data.root and the lists.",
                 set == &sets.train ? "train" : "val", config.data.root);
  }
  return sets;
}

BatchSource::BatchSource(const Config& config, const data::Dataset* set, int64_t first_batch, int64_t needed)
    : batch_(first_batch) {
  if (set) {
    loader_.emplace(*set, config.data, config.augment, config.seed, first_batch);
    return;
  }
  file_ = read_safetensors(config.data.root);
  const Tensor& images = file_.at("images");
  const Tensor& labels = file_.at("labels");
  const bool fits = images.rank() == 5 && images.dtype() == DType::f32 && labels.rank() == 4 &&
                    (labels.dtype() == DType::u8 || labels.dtype() == DType::i64) &&
                    images.dim(0) == labels.dim(0) && images.dim(1) == labels.dim(1) &&
                    images.dim(3) == labels.dim(2) && images.dim(4) == labels.dim(3);
  ATROUS_CHECK(fits, ErrorKind::data,
               "[data] given batches must be images f32 [steps,N,C,H,W] and labels u8 or i64 [steps,N,H,W]. "
               "Got {} and {} in \"{}\". Write the file again.",
               images.describe(), labels.describe(), config.data.root);
  ATROUS_CHECK(images.dim(2) == config.model.in_channels, ErrorKind::data,
               "[data] given images must have model.in_channels = {} channels. Got {}. Correct one of them.",
               config.model.in_channels, images.dim(2));
  ATROUS_CHECK(images.dim(0) >= needed, ErrorKind::data,
               "[data] a run needs train.max_steps * train.accumulate = {} given batches. Got {} in \"{}\". "
               "Shorten the run.",
               needed, images.dim(0), config.data.root);
}

data::Batch BatchSource::next() {
  return loader_ ? loader_->next() : given();
}

double BatchSource::wait_seconds() const {
  return loader_ ? loader_->wait_seconds() : 0;
}

data::Batch BatchSource::given() {
  const Tensor images = file_.at("images").contiguous_copy_if_needed();
  const Tensor labels = file_.at("labels").contiguous_copy_if_needed();
  const int64_t n = images.dim(1), channels = images.dim(2), pixels = images.dim(3) * images.dim(4);
  data::Batch batch;
  batch.step = batch_;
  batch.images = Tensor::empty({n, images.dim(3), images.dim(4), channels});
  const auto* planes = reinterpret_cast<const float*>(item(images, batch_));
  float* out = batch.images.data<float>();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t p = 0; p < pixels; ++p)
        out[(i * pixels + p) * channels + c] = planes[(i * channels + c) * pixels + p];
    }
    batch.ids.push_back("batch " + std::to_string(batch_) + " image " + std::to_string(i));
  }
  batch.labels = Tensor::empty({n, images.dim(3), images.dim(4)}, DType::u8);
  if (labels.dtype() == DType::u8) {
    std::memcpy(batch.labels.raw(), item(labels, batch_), static_cast<size_t>(n * pixels));
  } else {
    const auto* wide = reinterpret_cast<const int64_t*>(item(labels, batch_));
    for (int64_t i = 0; i < n * pixels; ++i) {
      ATROUS_CHECK(wide[i] >= 0 && wide[i] <= 255, ErrorKind::data,
                   "[data] given labels must be 0 to 255. Got {} in batch {}. Write the file again.", wide[i],
                   batch_);
      batch.labels.data<uint8_t>()[i] = static_cast<uint8_t>(wide[i]);
    }
  }
  ++batch_;
  return batch;
}

}  // namespace atrous::train
