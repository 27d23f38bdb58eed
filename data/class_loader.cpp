#include "data/class_loader.h"

#include "data/normalizer.h"
#include "data/prefetch.h"
#include "data/sampling.h"

namespace atrous::data {

AugmentOptions class_augmentation(AugmentOptions augment, const DataOptions& data, int64_t crop) {
  if (data.image_height > 0 && augment.crop_height == 0) return augment;
  if (augment.crop_height == 0) augment.crop_height = augment.crop_width = crop;
  augment.resized_crop = true;
  return augment;
}

Tensor augmented_image(const ClassifiedImage& stored, const AugmentOptions& augment, uint64_t seed,
                       int64_t epoch, int64_t index) {
  const auto stream = mix_streams(internal::augment_stream, static_cast<uint64_t>(epoch));
  Rng rng(seed, mix_streams(stream, static_cast<uint64_t>(index)));
  Sample sample;
  sample.id = stored.id;
  sample.image = stored.image;
  return data::augment(sample, augment, rng).image;
}

struct ClassLoader::State {
  const ImageFolders& dataset;
  const DataOptions data;
  AugmentOptions augment;
  const uint64_t seed;
  const internal::Normalizer normalizer;
  internal::SampleCache<ClassifiedImage> cache;
  internal::PerEpoch<std::vector<int64_t>> orders;
  internal::Prefetcher<Batch> batches;  // last: its threads use all the rest

  State(const ImageFolders& d, const DataOptions& o, const AugmentOptions& a, uint64_t s, int64_t first_step)
      : dataset(d),
        data(o),
        augment(a),
        seed(s),
        normalizer(channel_statistics(data, dataset.in_channels())),
        cache(
            d.size(), o.cache_mb, [this](int64_t index) { return load(index); },
            [](const ClassifiedImage& stored) { return static_cast<int64_t>(stored.image.bytes()); }),
        orders([this](int64_t epoch) { return internal::shuffled_order(dataset.size(), seed, epoch); }),
        batches([this](int64_t step) { return make_batch(step); }, o.workers, first_step) {
    augment.border_color = loader_border_color(data, dataset.in_channels());
  }

  ClassifiedImage load(int64_t index) const {
    ClassifiedImage stored = dataset.load(index);
    stored.image = resized(stored.image, data);
    return stored;
  }

  Batch make_batch(int64_t step) {
    Batch batch;
    batch.step = step;
    batch.labels = Tensor::empty({data.batch_size, 1, 1}, DType::i32);
    for (int64_t i = 0; i < data.batch_size; ++i) {
      const int64_t position = step * data.batch_size + i, epoch = position / dataset.size();
      const auto at = static_cast<size_t>(position % dataset.size());
      const int64_t index = orders.with(epoch, [&](const auto& order) { return order[at]; });
      const ClassifiedImage stored = cache.get(index);
      const Tensor image = augmented_image(stored, augment, seed, epoch, index);
      if (i == 0)
        batch.images = Tensor::empty({data.batch_size, image.dim(0), image.dim(1), image.dim(2)}, DType::f32);
      ATROUS_CHECK(batch.images.dim(1) == image.dim(0) && batch.images.dim(2) == image.dim(1),
                   ErrorKind::config,
                   "[loader] all images of a batch must have one size. Got {} x {} ({}) after {} x {} ({}). "
                   "Leave out augment.rotate_quarter_turns, or set augment.crop_height and "
                   "augment.crop_width.",
                   image.dim(1), image.dim(0), stored.image_path, batch.images.dim(2), batch.images.dim(1),
                   batch.ids[0]);
      normalizer.apply(image.data<float>(), batch.images.data<float>() + i * image.numel(), image.numel());
      batch.labels.data<int32_t>()[i] = static_cast<int32_t>(stored.label);
      batch.ids.push_back(stored.id);
    }
    return batch;
  }
};

ClassLoader::ClassLoader(const ImageFolders& dataset, const DataOptions& data, const AugmentOptions& augment,
                         uint64_t seed, int64_t first_step) {
  ATROUS_CHECK(dataset.size() > 0, ErrorKind::data,
               "[loader] the data set is empty. Got {}. Check data.root.", data.root);
  ATROUS_CHECK(data.batch_size >= 1 && data.workers >= 0 && first_step >= 0, ErrorKind::config,
               "[loader] batch_size is at least 1, workers and step at least 0. Got {}, {} and {}.",
               data.batch_size, data.workers, first_step);
  state_ = std::make_unique<State>(dataset, data, augment, seed, first_step);
}

ClassLoader::~ClassLoader() = default;

Batch ClassLoader::next() {
  return state_->batches.next();
}

double ClassLoader::wait_seconds() const {
  return state_->batches.wait_seconds();
}

}  // namespace atrous::data
