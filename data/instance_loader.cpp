#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>

#include "core/parallel.h"
#include "core/text.h"
#include "data/instances.h"
#include "data/loader.h"
#include "data/prefetch.h"
#include "data/sampling.h"

namespace atrous::data {
namespace {

// Facts about an image that are needed before any batch is made.
struct Survey {
  bool useful = false;  // has an object to train on
  bool crowd = false;   // a crowd
  int64_t bin = 0;      // of its aspect ratio
};

// The edges of torchvision's create_aspect_ratio_groups: 2^(-1), ..., 2^1 in 2k steps.
int64_t aspect_bin(const Instances& objects, int64_t bins) {
  if (bins == 0) return 0;
  const double aspect = static_cast<double>(objects.width) / static_cast<double>(objects.height);
  int64_t bin = 0;
  for (int64_t i = 0; i <= 2 * bins; ++i) {
    bin += aspect >= std::exp2(static_cast<double>(i - bins) / static_cast<double>(bins));
  }
  return bin;
}

Survey survey_of(const Instances& annotated, int64_t bins) {
  Survey out;
  const Instances targets = training_targets(annotated);
  for (int64_t i = 0; i < targets.size(); ++i) {
    const float* b = targets.box(i);
    // A box of a pixel or less is useless for training (torchvision's references leave such images out).
    out.useful = out.useful || (b[2] - b[0] > 1 && b[3] - b[1] > 1);
  }
  out.crowd = std::ranges::any_of(annotated.crowd, [](uint8_t crowd) { return crowd != 0; });
  out.bin = aspect_bin(annotated, bins);
  return out;
}

int64_t bytes_of(const InstanceSample& sample) {
  auto bytes = static_cast<int64_t>(sample.image.bytes());
  for (const Mask& m : sample.instances.masks) bytes += static_cast<int64_t>(m.pixels.size());
  return bytes;
}

}  // namespace

TrainingImages training_images(const InstanceDataset& dataset, const DataOptions& data) {
  ATROUS_CHECK(dataset.size() > 0, ErrorKind::data, "[loader] the data set is empty.");
  ATROUS_CHECK(data.aspect_ratio_bins >= 0, ErrorKind::config,
               "[loader] aspect_ratio_bins is at least 0. Got {}.", data.aspect_ratio_bins);
  TrainingImages out;
  if (data.keep_empty_images && data.aspect_ratio_bins == 0) {
    for (int64_t i = 0; i < dataset.size(); ++i) out.members.push_back(i);
    return out;
  }
  std::vector<Survey> surveys(static_cast<size_t>(dataset.size()));
  parallel_for(dataset.size(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      surveys[static_cast<size_t>(i)] = survey_of(dataset.boxes(i), data.aspect_ratio_bins);
  });
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const Survey& s = surveys[static_cast<size_t>(i)];
    if (!s.useful && !data.keep_empty_images) continue;
    out.members.push_back(i);
    out.bins.push_back(s.bin);
  }
  if (!out.members.empty()) return out;
  const auto crowds = std::ranges::count_if(surveys, &Survey::crowd);
  std::string notes;  // among others, name the tools that write iscrowd 1 everywhere
  for (const std::string& note : dataset.notes()) notes += "\n" + note;
  fail(ErrorKind::data,
       "[loader] training needs an image with an object. Got {}: {} with crowds, {} with boxes of a pixel or "
       "nothing at all. Run `atrous data check`{}.{}",
       counted(dataset.size(), "image"), crowds, dataset.size() - crowds,
       crowds > 0 ? ", or set data.crowds=objects if each crowd is one object"
                  : ", or set data.keep_empty_images to train on images without objects",
       notes);
}

struct InstanceLoader::State {
  using Batches = std::vector<std::vector<int64_t>>;  // of an epoch: positions in `members`

  const InstanceDataset& dataset;
  const DataOptions data;
  AugmentOptions augment;
  const uint64_t seed;
  const TrainingImages images;
  internal::SampleCache<InstanceSample> cache;
  internal::PerEpoch<std::vector<int64_t>> orders;
  internal::PerEpoch<Batches> grouped;
  std::optional<internal::Prefetcher<InstanceBatch>> batches;  // last: its threads use all the rest

  State(const InstanceDataset& d, TrainingImages which, const DataOptions& o, const AugmentOptions& a,
        uint64_t s, int64_t first_step)
      : dataset(d),
        data(o),
        augment(with_border(a, o, d)),
        seed(s),
        images(std::move(which)),
        cache(
            d.size(), o.cache_mb, [this](int64_t index) { return load(index); }, bytes_of),
        orders([this](int64_t epoch) { return internal::shuffled_order(count(), seed, epoch); }),
        grouped([this](int64_t epoch) { return group(internal::shuffled_order(count(), seed, epoch)); }) {
    batches.emplace([this](int64_t step) { return make_batch(step); }, o.workers, first_step);
  }

  static AugmentOptions with_border(AugmentOptions augment, const DataOptions& data,
                                    const InstanceDataset& d) {
    augment.border_color = loader_border_color(data, d.in_channels());
    return augment;
  }

  int64_t count() const { return static_cast<int64_t>(images.members.size()); }

  InstanceSample load(int64_t index) const {
    InstanceSample sample = dataset.load(index);
    sample.instances = training_targets(sample.instances);
    return resize_sample(sample, data.image_height, data.image_width);
  }

  // torchvision's GroupedBatchSampler: an image waits in its bin until a batch is full. Images left at the
  // epoch's end fill further batches, the fullest bin first, with images of the same bin that came before.
  Batches group(const std::vector<int64_t>& order) const {
    const auto size = static_cast<size_t>(data.batch_size);
    Batches out;
    std::map<int64_t, std::vector<int64_t>> waiting, seen;
    for (const int64_t member : order) {
      const int64_t bin = images.bins[static_cast<size_t>(member)];
      std::vector<int64_t>& batch = waiting[bin];
      batch.push_back(member);
      seen[bin].push_back(member);
      if (batch.size() == size) out.push_back(std::exchange(batch, {}));
    }
    std::vector<std::pair<int64_t, std::vector<int64_t>>> rest(waiting.begin(), waiting.end());
    std::stable_sort(rest.begin(), rest.end(),
                     [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
    for (auto& [bin, batch] : rest) {
      if (static_cast<int64_t>(out.size()) >= batches_per_epoch()) break;
      const std::vector<int64_t>& same = seen[bin];
      for (size_t i = 0; batch.size() < size; ++i) batch.push_back(same[i % same.size()]);
      out.push_back(std::move(batch));
    }
    return out;
  }

  int64_t batches_per_epoch() const { return std::max<int64_t>(1, count() / data.batch_size); }

  struct Place {
    int64_t epoch = 0, index = 0;  // of the data set
  };
  Place place(int64_t step, int64_t i) {
    if (data.aspect_ratio_bins > 0) {
      const int64_t epoch = step / batches_per_epoch();
      const auto at = static_cast<size_t>(step % batches_per_epoch());
      const int64_t member =
          grouped.with(epoch, [&](const Batches& b) { return b[at][static_cast<size_t>(i)]; });
      return {epoch, images.members[static_cast<size_t>(member)]};
    }
    const int64_t position = step * data.batch_size + i, epoch = position / count();
    const auto at = static_cast<size_t>(position % count());
    const int64_t member = orders.with(epoch, [&](const auto& order) { return order[at]; });
    return {epoch, images.members[static_cast<size_t>(member)]};
  }

  InstanceBatch make_batch(int64_t step) {
    InstanceBatch batch;
    batch.step = step;
    for (int64_t i = 0; i < data.batch_size; ++i) {
      const auto [epoch, index] = place(step, i);
      const auto stream = mix_streams(internal::augment_stream, static_cast<uint64_t>(epoch));
      Rng rng(seed, mix_streams(stream, static_cast<uint64_t>(index)));
      InstanceSample sample = data::augment(cache.get(index), augment, rng);
      batch.images.push_back(std::move(sample.image));
      batch.targets.push_back(std::move(sample.instances));
      batch.ids.push_back(std::move(sample.id));
    }
    return batch;
  }
};

InstanceLoader::InstanceLoader(const InstanceDataset& dataset, TrainingImages images, const DataOptions& data,
                               const AugmentOptions& augment, uint64_t seed, int64_t first_step) {
  ATROUS_CHECK(data.batch_size >= 1 && data.workers >= 0 && first_step >= 0, ErrorKind::config,
               "[loader] batch_size is at least 1, workers and step at least 0. Got {}, {} and {}.",
               data.batch_size, data.workers, first_step);
  state_ = std::make_unique<State>(dataset, std::move(images), data, augment, seed, first_step);
}

InstanceLoader::InstanceLoader(const InstanceDataset& dataset, const DataOptions& data,
                               const AugmentOptions& augment, uint64_t seed, int64_t first_step)
    : InstanceLoader(dataset, training_images(dataset, data), data, augment, seed, first_step) {}

InstanceLoader::~InstanceLoader() = default;

InstanceBatch InstanceLoader::next() {
  return state_->batches->next();
}

double InstanceLoader::wait_seconds() const {
  return state_->batches->wait_seconds();
}

int64_t InstanceLoader::images() const {
  return state_->count();
}

int64_t InstanceLoader::batches_per_epoch() const {
  return state_->batches_per_epoch();
}

}  // namespace atrous::data
