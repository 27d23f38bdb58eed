#include "data/loader.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>

#include "data/statistics.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

// Samples whose pixels are their number.
class Numbers final : public Dataset {
 public:
  explicit Numbers(int64_t n) : n_(n) {}
  int64_t size() const override { return n_; }
  std::string id(int64_t index) const override { return std::to_string(index); }
  Sample load(int64_t index) const override {
    ++loads;
    if (index == broken)
      fail(ErrorKind::data, "[image broken_{}.png] PNG could not be read: the file ends early.", index);
    Sample s;
    s.id = id(index);
    s.image_path = s.id + ".png";
    const int64_t width = index == odd ? 13 : 12;
    s.image = Tensor::full({10, width, 1}, static_cast<double>(index), DType::u8);
    for (int64_t i = 0; i < 10 * width; i += 3) s.image.data<uint8_t>()[i] = static_cast<uint8_t>(i);
    if (labelled) s.label = Tensor::full({10, width}, static_cast<double>(index % 4), DType::u8);
    return s;
  }
  int64_t num_classes() const override { return 4; }
  int64_t in_channels() const override { return 1; }
  const std::vector<ClassInfo>& classes() const override { return classes_; }
  std::string describe() const override { return "numbers"; }

  mutable std::atomic<int64_t> loads = 0;
  int64_t broken = -1, odd = -1;
  bool labelled = true;

 private:
  int64_t n_;
  std::vector<ClassInfo> classes_;
};

const AugmentOptions everything{.crop_height = 8,
                                .crop_width = 9,
                                .scale_min = 0.8,
                                .scale_max = 1.4,
                                .flip_horizontal = 0.5,
                                .rotate_degrees = 15,
                                .elastic_sigma = 1,
                                .brightness = 0.2,
                                .contrast = 0.2,
                                .blur_sigma_max = 1};

std::vector<Batch> read(const Dataset& set, const DataOptions& data, uint64_t seed, int64_t first,
                        int64_t count) {
  Loader loader(set, data, everything, seed, first);
  std::vector<Batch> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(loader.next());
  return out;
}

void check_equal(const Batch& a, const Batch& b) {
  CHECK(a.step == b.step);
  CHECK(a.ids == b.ids);
  CHECK(same(a.images, b.images));
  CHECK(same(a.labels, b.labels));
}

}  // namespace

TEST_CASE("loader: the same batches for 0, 1 and 4 workers, with and without cache") {
  const Numbers set(10);
  const std::vector<Batch> expected = read(set, options_with(0), 7, 0, 12);
  for (const int64_t workers : {1, 4}) {
    for (const int64_t cache : {0, 1024}) {
      DataOptions o = options_with(workers);
      o.cache_mb = cache;
      const std::vector<Batch> got = read(set, o, 7, 0, 12);
      for (size_t i = 0; i < expected.size(); ++i) check_equal(got[i], expected[i]);
    }
  }
}

TEST_CASE("loader: reading may start at any step") {
  const Numbers set(10);
  const std::vector<Batch> expected = read(set, options_with(2), 7, 0, 12);
  for (const int64_t first : {1, 5, 11}) {
    const Batch batch = read(set, options_with(2), 7, first, 1)[0];
    check_equal(batch, expected[static_cast<size_t>(first)]);
  }
}

TEST_CASE("loader: every epoch shows every sample once, in a new order") {
  const Numbers set(10);
  std::vector<std::vector<std::string>> epochs(3);
  int64_t position = 0;
  for (const Batch& batch : read(set, options_with(2), 1, 0, 10)) {
    CHECK(batch.images.shape() == Shape{3, 8, 9, 1});
    CHECK(batch.labels.shape() == Shape{3, 8, 9});
    for (const std::string& id : batch.ids) epochs[static_cast<size_t>(position++ / 10)].push_back(id);
  }
  for (const auto& epoch : epochs) CHECK(std::set<std::string>(epoch.begin(), epoch.end()).size() == 10);
  CHECK(epochs[0] != epochs[1]);
  CHECK(epochs[1] != epochs[2]);
  CHECK(read(set, options_with(0), 2, 0, 4)[0].ids != read(set, options_with(0), 1, 0, 4)[0].ids);
}

TEST_CASE("loader: a sample is changed anew in every epoch") {
  const Numbers set(1);
  const std::vector<Batch> epochs = read(set, options_with(0, 1), 1, 0, 4);
  for (size_t i = 1; i < epochs.size(); ++i) CHECK_FALSE(same(epochs[i].images, epochs[0].images));
}

TEST_CASE("loader: a batch may be larger than the set") {
  const Numbers set(2);
  const Batch a = read(set, options_with(0, 9), 1, 0, 1)[0], b = read(set, options_with(3, 9), 1, 0, 1)[0];
  check_equal(a, b);
}

TEST_CASE("loader: the cache loads each sample once, and keeps to its limit") {
  const Numbers set(10);
  read(set, options_with(0), 1, 0, 20);
  CHECK(set.loads == 10);
  DataOptions none = options_with(0);
  none.cache_mb = 0;
  const Numbers fresh(10);
  read(fresh, none, 1, 0, 20);
  CHECK(fresh.loads == 60);
}

TEST_CASE("loader: the error of a worker arrives in next(), at its own step, whatever the workers") {
  int64_t good_before[3];
  for (const int64_t workers : {0, 1, 4}) {
    Numbers set(10);
    set.broken = 6;
    Loader loader(set, options_with(workers), everything, 3, 0);
    int64_t good = 0;
    const std::string text = message_of(ErrorKind::data, [&] {
      for (;; ++good) loader.next();
    });
    CHECK(text == "[image broken_6.png] PNG could not be read: the file ends early.");
    CHECK_THROWS_AS(loader.next(), Error);  // and stays
    good_before[workers == 4 ? 2 : workers] = good;
  }
  CHECK(good_before[0] == good_before[1]);
  CHECK(good_before[1] == good_before[2]);
}

TEST_CASE("loader rejects: images of different size in a batch, samples without label") {
  Numbers set(10);
  set.odd = 4;
  Loader loader(set, options_with(1, 10), {}, 1, 0);
  CHECK_SAYS(ErrorKind::config, loader.next(), "one size", "augment.crop_height");
  Numbers bare(3);
  bare.labelled = false;
  Loader second(bare, options_with(1), {}, 1, 0);
  CHECK_SAYS(ErrorKind::data, second.next(), "needs labels");
}

TEST_CASE("loader: may be dropped at any time") {
  const Numbers set(50);
  for (int i = 0; i < 20; ++i) Loader loader(set, options_with(4), everything, 1, 0);
  Loader loader(set, options_with(2), everything, 1, 0);
  loader.next();
  CHECK(loader.wait_seconds() >= 0);
}

TEST_CASE("loader: the border becomes zero after normalisation") {
  const Numbers set(4);
  Loader loader(set, options_with(0, 1), {.crop_height = 30, .crop_width = 30}, 1, 0);
  const Batch batch = loader.next();
  int64_t outside = 0;
  for (int64_t p = 0; p < 900; ++p) {
    if (batch.labels.data<uint8_t>()[p] != ignore_label) continue;
    ++outside;
    CHECK(batch.images.data<float>()[p] == 0);
  }
  CHECK(outside == 900 - 120);
}

TEST_CASE("loader: threads that the system refuses are an error, not the end of the program") {
  // In a child, as the limit would stay. The superuser has no such limit; address space is refused to all.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    rlimit memory{};
    ::getrlimit(RLIMIT_AS, &memory);
    memory.rlim_cur = rlim_t{1} << 30;
    ::setrlimit(RLIMIT_AS, &memory);
    const Numbers set(7);
    int code = 1;
    try {
      Loader loader(set, options_with(4000), everything, 1, 0);
    } catch (const Error& e) {
      code = e.kind() == ErrorKind::memory && std::string(e.what()).find("data.workers") != std::string::npos
                 ? 0
                 : 2;
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("loader: any number of channels is normalised alike") {
  class Flat final : public Dataset {
   public:
    explicit Flat(int64_t channels) : channels_(channels) {}
    int64_t size() const override { return 1; }
    std::string id(int64_t) const override { return "flat"; }
    Sample load(int64_t) const override {
      Sample s;
      s.image = Tensor::empty({7, 11, channels_}, DType::u8);
      for (int64_t i = 0; i < s.image.numel(); ++i) s.image.data<uint8_t>()[i] = static_cast<uint8_t>(3 * i);
      s.label = Tensor::full({7, 11}, 0, DType::u8);
      return s;
    }
    int64_t num_classes() const override { return 2; }
    int64_t in_channels() const override { return channels_; }
    const std::vector<ClassInfo>& classes() const override { return classes_; }
    std::string describe() const override { return "flat"; }

   private:
    int64_t channels_;
    std::vector<ClassInfo> classes_;
  };
  for (const int64_t channels : {1, 2, 3, 5}) {
    DataOptions data = options_with(0, 1);
    data.mean.clear();
    data.std.clear();
    for (int64_t c = 0; c < channels; ++c) {
      data.mean.push_back(0.1 * static_cast<double>(c + 1));
      data.std.push_back(0.2 * static_cast<double>(c + 1));
    }
    const Flat set(channels);
    Loader loader(set, data, {}, 1, 0);
    const Batch batch = loader.next();
    for (int64_t i = 0; i < batch.images.numel(); ++i) {
      const auto c = static_cast<double>(i % channels + 1);
      const double want = (static_cast<double>(static_cast<uint8_t>(3 * i)) / 255 - 0.1 * c) / (0.2 * c);
      REQUIRE(batch.images.data<float>()[i] == Approx(want).margin(1e-5));
    }
  }
}
