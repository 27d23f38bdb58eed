#include "data/loader.h"

#include <algorithm>
#include <cstring>

#include "data/augment_internal.h"
#include "data/normalizer.h"
#include "data/prefetch.h"
#include "data/sampling.h"

namespace atrous::data {
namespace {

int64_t bytes_of(const Sample& sample) {
  return static_cast<int64_t>(sample.image.bytes() + (sample.label.defined() ? sample.label.bytes() : 0));
}

}  // namespace

struct Loader::State {
  const Dataset& dataset;
  const DataOptions data;
  AugmentOptions augment;
  const uint64_t seed;
  const internal::Normalizer normalizer;
  internal::SampleCache<Sample> cache;
  internal::PerEpoch<std::vector<int64_t>> orders;
  internal::Prefetcher<Batch> batches;  // last: its threads use all the rest

  State(const Dataset& d, const DataOptions& o, const AugmentOptions& a, uint64_t s, int64_t first_step)
      : dataset(d),
        data(o),
        augment(with_border(a, o, d)),
        seed(s),
        normalizer(channel_statistics(data, dataset.in_channels())),
        cache(
            d.size(), o.cache_mb,
            [this](int64_t index) {
              return resize_sample(dataset.load(index), data.image_height, data.image_width, true);
            },
            bytes_of),
        orders([this](int64_t epoch) { return internal::shuffled_order(dataset.size(), seed, epoch); }),
        batches([this](int64_t step) { return make_batch(step); }, o.workers, first_step) {}

  static AugmentOptions with_border(AugmentOptions augment, const DataOptions& data, const Dataset& dataset) {
    augment.border_color = loader_border_color(data, dataset.in_channels());
    return augment;
  }

  // Index of sample `position` of the endless concatenation of shuffled epochs.
  int64_t index_at(int64_t position) {
    const int64_t n = dataset.size();
    return orders.with(position / n,
                       [&](const auto& order) { return order[static_cast<size_t>(position % n)]; });
  }

  Sample make_sample(int64_t position) {
    const int64_t index = index_at(position);
    const Sample stored = cache.get(index);
    ATROUS_CHECK(stored.label.defined(), ErrorKind::data, "[loader] training needs labels. {} has none.",
                 stored.image_path);
    const auto epoch = static_cast<uint64_t>(position / dataset.size());
    Rng rng(seed, mix_streams(mix_streams(internal::augment_stream, epoch), static_cast<uint64_t>(index)));
    return data::augment(stored, augment, rng);
  }

  Batch make_batch(int64_t step) {
    Batch batch;
    batch.step = step;
    for (int64_t i = 0; i < data.batch_size; ++i) {
      const Sample sample = make_sample(step * data.batch_size + i);
      const int64_t height = sample.image.dim(0), width = sample.image.dim(1), channels = sample.image.dim(2);
      if (i == 0) {
        batch.images = Tensor::empty({data.batch_size, height, width, channels}, DType::f32);
        batch.labels = Tensor::empty({data.batch_size, height, width}, DType::u8);
      }
      ATROUS_CHECK(
          batch.images.dim(1) == height && batch.images.dim(2) == width, ErrorKind::config,
          "[loader] all images of a batch must have one size. Got {} x {} ({}) after {} x {} ({}). Set "
          "augment.crop_height and augment.crop_width, or data.image_height and data.image_width.",
          width, height, sample.image_path, batch.images.dim(2), batch.images.dim(1), batch.ids[0]);
      normalizer.apply(sample.image.data<float>(), batch.images.data<float>() + i * sample.image.numel(),
                       sample.image.numel());
      std::memcpy(batch.labels.data<uint8_t>() + i * height * width, sample.label.data<uint8_t>(),
                  sample.label.bytes());
      batch.ids.push_back(sample.id);
    }
    return batch;
  }
};

Loader::Loader(const Dataset& dataset, const DataOptions& data, const AugmentOptions& augment, uint64_t seed,
               int64_t first_step) {
  ATROUS_CHECK(dataset.size() > 0, ErrorKind::data, "[loader] the data set is empty.");
  ATROUS_CHECK(data.batch_size >= 1 && data.workers >= 0 && first_step >= 0, ErrorKind::config,
               "[loader] batch_size is at least 1, workers and step at least 0. Got {}, {} and {}.",
               data.batch_size, data.workers, first_step);
  state_ = std::make_unique<State>(dataset, data, augment, seed, first_step);
}

Loader::~Loader() = default;

Batch Loader::next() {
  return state_->batches.next();
}

std::vector<double> loader_border_color(const DataOptions& data, int64_t channels) {
  const auto mean = channel_statistics(data, channels).mean;
  return {mean.begin(), mean.end()};
}

double Loader::wait_seconds() const {
  return state_->batches.wait_seconds();
}

}  // namespace atrous::data
