// Batches of images with objects.
#include <atomic>
#include <cmath>
#include <map>
#include <set>

#include "data/instances.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

enum class Kind { ordinary, empty, crowd_only, thin, crowded };

// Images of several shapes; the pixels of image i are i, its objects rectangles.
class Made final : public InstanceDataset {
 public:
  explicit Made(std::vector<Kind> kinds) : kinds_(std::move(kinds)) {}
  Made(int64_t n, Kind kind) : kinds_(static_cast<size_t>(n), kind) {}
  int64_t size() const override { return static_cast<int64_t>(kinds_.size()); }
  std::string id(int64_t index) const override { return std::to_string(index); }
  int64_t image_id(int64_t index) const override { return index; }
  InstanceSample load(int64_t index) const override {
    ++loads;
    if (index == broken) fail(ErrorKind::data, "[image broken_{}.png] the file ends early.", index);
    InstanceSample s;
    s.id = id(index);
    s.image_path = s.id + ".png";
    s.instances = instances(index);
    s.image = Tensor::full({s.instances.height, s.instances.width, 1}, static_cast<double>(index), DType::u8);
    return s;
  }
  Instances instances(int64_t index) const override {
    const Kind kind = kinds_[static_cast<size_t>(index)];
    Instances o;
    o.height = 40 + 10 * (index % 4);
    o.width = 50;
    const int64_t count = kind == Kind::empty ? 0 : kind == Kind::crowded ? 300 : 1 + index % 3;
    o.boxes = Tensor::empty({count, 4});
    for (int64_t i = 0; i < count; ++i) {
      const Mask mask{.x0 = i % 40,
                      .y0 = i % 30,
                      .width = kind == Kind::thin ? 1 : 6,
                      .height = 5,
                      .pixels = std::vector<uint8_t>(kind == Kind::thin ? 5u : 30u, 1)};
      const auto b = mask.bounds();
      for (size_t k = 0; k < 4; ++k) o.box(i)[k] = static_cast<float>(b[k]);
      o.labels.push_back(1 + static_cast<int32_t>(i % 2));
      o.masks.push_back(mask);
      o.crowd.push_back(kind == Kind::crowd_only);
      o.ids.push_back(index * 1000 + i);
      o.areas.push_back(30);
    }
    return o;
  }
  Instances boxes(int64_t index) const override {
    ++surveyed;
    Instances out = instances(index);
    out.masks.clear();
    return out;
  }
  CocoAnnotations annotations() const override { return {}; }
  int64_t num_classes() const override { return 3; }
  int64_t in_channels() const override { return 1; }
  const std::vector<ClassInfo>& classes() const override { return classes_; }
  int64_t category_id(int64_t label) const override { return label; }
  std::string describe() const override { return "made"; }

  mutable std::atomic<int64_t> loads = 0, surveyed = 0;
  int64_t broken = -1;

 private:
  std::vector<Kind> kinds_;
  std::vector<ClassInfo> classes_ = {{"background"}, {"a"}, {"b"}};
};

const AugmentOptions some{.crop_height = 36,
                          .crop_width = 40,
                          .scale_min = 0.7,
                          .scale_max = 1.5,
                          .flip_horizontal = 0.5,
                          .brightness = 0.2};

std::vector<InstanceBatch> read(const InstanceDataset& set, const DataOptions& data, int64_t first,
                                int64_t count, const AugmentOptions& augment = some, uint64_t seed = 3) {
  InstanceLoader loader(set, data, augment, seed, first);
  std::vector<InstanceBatch> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(loader.next());
  return out;
}

void check_equal(const InstanceBatch& a, const InstanceBatch& b) {
  CHECK(a.step == b.step);
  CHECK(a.ids == b.ids);
  REQUIRE(a.images.size() == b.images.size());
  for (size_t i = 0; i < a.images.size(); ++i) {
    CHECK(same(a.images[i], b.images[i]));
    const Instances &x = a.targets[i], &y = b.targets[i];
    CHECK(same(x.boxes, y.boxes));
    CHECK(x.labels == y.labels);
    CHECK(x.ids == y.ids);
    REQUIRE(x.masks.size() == y.masks.size());
    for (size_t k = 0; k < x.masks.size(); ++k) CHECK(x.masks[k].pixels == y.masks[k].pixels);
  }
}

}  // namespace

TEST_CASE("instance loader: batches do not depend on workers, nor on where reading began") {
  const Made set(7, Kind::ordinary);
  for (const int64_t bins : {0, 3}) {
    const auto alone = read(set, options_with(0, 3, bins), 0, 9);
    const auto three = read(set, options_with(3, 3, bins), 0, 9);
    const auto later = read(set, options_with(2, 3, bins), 4, 5);
    for (size_t i = 0; i < 9; ++i) check_equal(alone[i], three[i]);
    for (size_t i = 0; i < 5; ++i) check_equal(alone[i + 4], later[i]);
    const auto other = read(set, options_with(0, 3, bins), 0, 3, some, 4);
    CHECK((other[0].ids != alone[0].ids || other[1].ids != alone[1].ids || other[2].ids != alone[2].ids));
  }
}

TEST_CASE("instance loader: every epoch reads each image once, in a new order") {
  const Made set(6, Kind::ordinary);
  const auto batches = read(set, options_with(0, 2), 0, 6);
  std::multiset<std::string> first, second;
  std::vector<std::string> order;
  for (size_t i = 0; i < 3; ++i) first.insert(batches[i].ids.begin(), batches[i].ids.end());
  for (size_t i = 3; i < 6; ++i) second.insert(batches[i].ids.begin(), batches[i].ids.end());
  CHECK(first == second);
  CHECK(std::set<std::string>(first.begin(), first.end()).size() == 6);
  CHECK((batches[0].ids != batches[3].ids || batches[1].ids != batches[4].ids));
}

TEST_CASE("instance loader: images keep their own size, in [0, 1], and objects are training targets") {
  const Made set({Kind::ordinary, Kind::ordinary, Kind::ordinary, Kind::ordinary});
  const auto batches = read(set, options_with(0, 4), 0, 1, {});
  std::set<int64_t> heights;
  for (size_t i = 0; i < 4; ++i) {
    const Tensor& image = batches[0].images[i];
    heights.insert(image.dim(0));
    CHECK(image.dtype() == DType::f32);
    CHECK(image.data<float>()[0] * 255 == Approx(std::stod(batches[0].ids[i])));
    CHECK(batches[0].targets[i].height == image.dim(0));
    CHECK(batches[0].targets[i].size() == 1 + std::stoll(batches[0].ids[i]) % 3);
  }
  CHECK(heights == std::set<int64_t>{40, 50, 60, 70});
  DataOptions resized = options_with(0, 4);
  resized.image_height = resized.image_width = 20;
  const auto small = read(set, resized, 0, 1, {});
  for (const Tensor& image : small[0].images) CHECK(image.shape() == Shape{20, 20, 1});
}

TEST_CASE("instance loader: images without an object to learn from are left out, or kept when asked") {
  const Made set({Kind::empty, Kind::ordinary, Kind::crowd_only, Kind::ordinary, Kind::thin});
  {
    InstanceLoader loader(set, options_with(0, 2), some, 1, 0);
    CHECK(loader.images() == 2);
    CHECK(loader.batches_per_epoch() == 1);
    for (int64_t i = 0; i < 3; ++i) {
      const InstanceBatch batch = loader.next();
      CHECK(std::set<std::string>(batch.ids.begin(), batch.ids.end()) == std::set<std::string>{"1", "3"});
    }
  }
  DataOptions keep = options_with(0, 5);
  keep.keep_empty_images = true;
  InstanceLoader loader(set, keep, {}, 1, 0);
  CHECK(loader.images() == 5);
  const InstanceBatch batch = loader.next();
  for (size_t i = 0; i < 5; ++i) {
    const bool none = batch.ids[i] == "0" || batch.ids[i] == "2";  // the crowd is no target
    CHECK((batch.targets[i].size() == 0) == none);
    CHECK(batch.targets[i].boxes.dim(0) == batch.targets[i].size());
  }
  const Made nothing(3, Kind::crowd_only);
  CHECK_SAYS(ErrorKind::data, InstanceLoader(nothing, options_with(0), some, 1, 0), "an image with an object",
             "data.crowds=objects");
}

TEST_CASE("instance loader: a sample is changed anew in every epoch") {
  const Made set(2, Kind::ordinary);
  for (const int64_t bins : {0, 3}) {
    std::set<std::vector<float>> boxes;
    int64_t seen = 0;
    for (const InstanceBatch& batch : read(set, options_with(0, 2, bins), 0, 12)) {
      for (size_t i = 0; i < 2; ++i) {
        if (batch.ids[i] != "0" || batch.targets[i].size() == 0) continue;
        const float* b = batch.targets[i].box(0);
        boxes.insert({b[0], b[1], b[2], b[3]});
        ++seen;
      }
    }
    CHECK(seen > 2);
    CHECK(boxes.size() > 1);
  }
}

TEST_CASE("instance loader: one object and three hundred") {
  const Made set({Kind::ordinary, Kind::crowded});
  const auto batches = read(set, options_with(2, 2), 0, 3);
  for (const InstanceBatch& batch : batches) {
    for (size_t i = 0; i < 2; ++i) {
      const Instances& o = batch.targets[i];
      CHECK(o.size() <= (batch.ids[i] == "0" ? 1 : 300));
      CHECK(o.masks.size() == o.labels.size());
    }
  }
  const auto whole = read(set, options_with(0, 2), 0, 1, {.flip_horizontal = 0.5});
  CHECK(whole[0].targets[0].size() + whole[0].targets[1].size() == 301);
}

TEST_CASE(
    "instance loader: aspect-ratio bins never mix in a batch, and an epoch has floor(n / batch) batches") {
  // Heights 40, 50, 60, 70 at width 50: aspect 1.25, 1, 0.83, 0.71 and, for k = 3, the bins edged by 2^(i/3).
  const Made set(23, Kind::ordinary);
  const auto bin = [](const std::string& id) {
    const double aspect = 50.0 / (40 + 10 * (std::stoi(id) % 4));
    return std::floor(std::log2(aspect) * 3 + 1e-9);
  };
  InstanceLoader loader(set, options_with(2, 4, 3), some, 8, 0);
  CHECK(loader.batches_per_epoch() == 5);
  for (int epoch = 0; epoch < 4; ++epoch) {
    std::map<std::string, int> seen;
    for (int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
      const InstanceBatch batch = loader.next();
      CHECK(batch.ids.size() == 4);
      for (const std::string& id : batch.ids) {
        CHECK(bin(id) == bin(batch.ids[0]));
        ++seen[id];
      }
    }
    CHECK(seen.size() >= 16);
  }
  // Fewer images than a batch: they repeat.
  const Made two(2, Kind::ordinary);
  CHECK(read(two, options_with(0, 4, 3), 0, 2)[1].ids.size() == 4);
}

TEST_CASE("instance loader: an error surfaces at its batch with the file's name; decoded images are kept") {
  Made set(6, Kind::ordinary);
  set.broken = 4;
  for (const int64_t workers : {0, 3}) {
    InstanceLoader loader(set, options_with(workers, 1), some, 2, 0);
    int64_t good = 0;
    const std::string message = message_of(ErrorKind::data, [&] {
      for (; good < 6; ++good) loader.next();
    });
    CHECK_THAT(message, Catch::Contains("broken_4.png"));
    CHECK(good < 6);
  }
  const Made sound(4, Kind::ordinary);
  read(sound, options_with(0, 4), 0, 5);
  CHECK(sound.loads == 4);
  DataOptions none = options_with(0, 4);
  none.cache_mb = 0;
  const Made again(4, Kind::ordinary);
  read(again, none, 0, 5);
  CHECK(again.loads == 20);
  CHECK_SAYS(ErrorKind::data, InstanceLoader(Made(0, Kind::ordinary), none, some, 1, 0), "empty");
}

TEST_CASE("instance loader: images that are known are not surveyed again") {
  const Made set({Kind::ordinary, Kind::empty, Kind::ordinary, Kind::crowd_only});
  const DataOptions data = options_with(0, 2, 3);
  const TrainingImages images = training_images(set, data);
  CHECK(images.members == std::vector<int64_t>{0, 2});
  CHECK(images.bins.size() == 2);
  CHECK(set.surveyed == 4);
  InstanceLoader told(set, images, data, some, 3, 0);
  const InstanceBatch batch = told.next();
  CHECK(set.surveyed == 4);
  InstanceLoader alone(set, data, some, 3, 0);
  CHECK(set.surveyed == 8);
  check_equal(batch, alone.next());
}
