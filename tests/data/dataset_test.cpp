#include "data/dataset.h"

#include <cstdlib>

#include "data/list_dataset.h"
#include "data/statistics.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

// A list set of 2 train and 1 val pairs, 4 x 3 pixels, 2 classes.
struct SmallSet : TemporaryFolder {
  DataOptions options;
  SmallSet() {
    options.root = path();
    for (const char* name : {"a", "b", "c"}) {
      write_png(file(std::string("images/") + name + ".png"), ramp({3, 4, 3}));
      write_png(file(std::string("labels/") + name + ".png"),
                pixels({3, 4}, {0, 0, 1, 1, 0, 0, 1, 1, 0, 255, 1, 1}));
    }
    list("train.txt", "images/a.png labels/a.png\nimages/b.png labels/b.png\n");
    list("val.txt", "images/c.png labels/c.png\n");
  }
  void list(const std::string& name, const std::string& text) const { write_text(file(name), text); }
  std::unique_ptr<Dataset> open(const std::string& split = "train", int64_t classes = 2,
                                int64_t channels = 3) const {
    return open_dataset(options, split, classes, channels);
  }
};

}  // namespace

TEST_CASE("list set: samples with ids, paths, image and label") {
  SmallSet set;
  const auto train = set.open();
  CHECK(train->size() == 2);
  CHECK(train->id(1) == "b");
  CHECK(train->num_classes() == 2);
  CHECK(train->classes()[1].name == "class1");
  const Sample sample = train->load(0);
  CHECK(sample.image_path == set.file("images/a.png"));
  CHECK(same(sample.image, ramp({3, 4, 3})));
  CHECK(values_of(sample.label) == std::vector<int>{0, 0, 1, 1, 0, 0, 1, 1, 0, 255, 1, 1});
  CHECK(same(train->load_label(0), sample.label));
  CHECK_THAT(train->describe(),
             Catch::Contains("label map: 0:class0 1:class1 255:ignore") && Catch::Contains("2 images"));
  CHECK(set.open("val")->size() == 1);
}

TEST_CASE("list set rejects: a line without two fields") {
  SmallSet set;
  set.list("train.txt", "images/a.png labels/a.png\nimages/b.png\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "train.txt:2", "two fields", "Got 1");
  set.list("train.txt", "images/a.png labels/a.png extra\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "train.txt:1", "Got 3");
  set.list("train.txt", "images/a photo.png labels/a.png\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "train.txt:1", "Got 3", "double quotes");
}

TEST_CASE("list set rejects: an empty list") {
  SmallSet set;
  set.list("train.txt", "");
  CHECK_SAYS(ErrorKind::data, set.open(), "train.txt", "at least one image");
}

TEST_CASE("list set rejects: a missing list, root or option") {
  SmallSet set;
  set.options.train_list = "nope.txt";
  CHECK_SAYS(ErrorKind::data, set.open(), "nope.txt", "does not exist", "data.train_list");
  set.options.root = "/nonexistent";
  CHECK_SAYS(ErrorKind::data, set.open(), "/nonexistent", "Set data.root");
  set.options.root = "";
  CHECK_SAYS(ErrorKind::config, set.open(), "data.root");
  set.options.dataset = "camvit";
  set.options.root = set.path();
  set.options.train_list = "train.txt";
  CHECK_SAYS(ErrorKind::config, set.open(), "camvit", "one of list, shapes, camvid");
  CHECK_SAYS(ErrorKind::usage, set.open("dev"), "train, val or test");
}

TEST_CASE("list set rejects: a missing label or image (broken pair)") {
  SmallSet set;
  fs::remove(set.file("labels/b.png"));
  CHECK_SAYS(ErrorKind::data, set.open(), "label labels/b.png", "line 2", "pair of `images/b.png`");
  fs::remove(set.file("images/a.png"));
  CHECK_SAYS(ErrorKind::data, set.open(), "image images/a.png", "and 1 more");
}

TEST_CASE("list set rejects: duplicate ids in a split") {
  SmallSet set;
  set.list("train.txt", "images/a.png labels/a.png\nimages/./a.png labels/b.png\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "train.txt:2", "images/a.png", "first in line 1");
}

TEST_CASE("list set: equal stems in different folders get their paths as ids") {
  SmallSet set;
  write_png(set.file("other/a.png"), ramp({3, 4, 3}));
  set.list("train.txt", "images/a.png labels/a.png\nother/a.png labels/b.png\n");
  CHECK(set.open()->id(0) == "images/a");
  CHECK(set.open()->id(1) == "other/a");
}

TEST_CASE("list set rejects: an image in train and val") {
  SmallSet set;
  set.list("val.txt", "images/c.png labels/c.png\nimages/b.png labels/b.png\n");
  CHECK_SAYS(ErrorKind::data, set.open("train"), "images/b.png",
             "line 2 of the train list and line 2 of the val list");
  CHECK_SAYS(ErrorKind::data, set.open("val"), "images/b.png");
  set.options.val_list = "train.txt";
  CHECK_SAYS(ErrorKind::data, set.open("train"), "different lists");
}

TEST_CASE("list set rejects: paths that leave the root") {
  SmallSet set;
  for (const char* path : {"../x.png", "images/../../x.png", "/etc/passwd"}) {
    set.list("train.txt", std::string(path) + " labels/a.png\n");
    CHECK_SAYS(ErrorKind::data, set.open(), "train.txt:1", "inside the root");
    set.list("train.txt", std::string("images/a.png ") + path + "\n");
    CHECK_SAYS(ErrorKind::data, set.open(), "train.txt:1", "inside the root");
  }
}

TEST_CASE("list set rejects: image and label of different size, and says when EXIF is the reason") {
  SmallSet set;
  write_png(set.file("labels/a.png"), pixels({2, 2}, {0, 0, 1, 1}));
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "images/a.png with 4 x 3", "labels/a.png with 2 x 2");
  write_bytes(set.file("images/a.png"), jpeg_blocks(2, 1, {9, 90}, 3, 6));
  Tensor label = Tensor::zeros({8, 16}, DType::u8);
  write_png(set.file("labels/a.png"), label);
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "data.exif=ignore");
  set.options.exif = ExifPolicy::ignore;
  CHECK(set.open()->load(0).image.shape() == Shape{8, 16, 3});
}

TEST_CASE("list set rejects: wrong channels, alpha and 16 bits") {
  SmallSet set;
  CHECK_SAYS(ErrorKind::data, set.open("train", 2, 1)->load(0), "images/a.png", "3 channels",
             "model.in_channels=3");
  write_png(set.file("images/a.png"), ramp({3, 4}));
  CHECK(set.open()->load(0).image.shape() == Shape{3, 4, 3});  // grey serves as RGB
  Tensor grey = Tensor::full({3, 4, 3}, 7, DType::u8);
  write_png(set.file("images/a.png"), grey);
  CHECK(set.open("train", 2, 1)->load(0).image.shape() == Shape{3, 4, 1});  // RGB that is grey serves as grey
  const std::vector<uint8_t> row(4 * 4, 9), wide_row(4 * 2, 9);
  write_raw_png(set.file("images/a.png"),
                {.width = 4, .height = 3, .color_type = 6, .rows = {row, row, row}});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "alpha");
  set.options.alpha = AlphaPolicy::drop;
  CHECK(set.open()->load(0).image.dim(2) == 3);
  write_raw_png(set.file("images/b.png"),
                {.width = 4, .height = 3, .bit_depth = 16, .rows = {wide_row, wide_row, wide_row}});
  CHECK_SAYS(ErrorKind::data, set.open()->load(1), "8 bits per sample");
  set.options.sixteen_bit = DepthPolicy::reduce;
  CHECK(set.open()->load(1).image.data<uint8_t>()[0] == 9);
}

TEST_CASE("list set: 16-bit labels need a label map") {
  SmallSet set;
  const std::vector<uint8_t> row = {1, 44, 0, 0, 0, 0, 1, 44};  // 300 0 0 300
  write_raw_png(set.file("labels/a.png"),
                {.width = 4, .height = 3, .bit_depth = 16, .rows = {row, row, row}});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "labels/a.png", "16 bit", "data.label_map");
  set.options.label_map = "0:0,300:1";
  CHECK(values_of(set.open()->load(0).label) == std::vector<int>{1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1});
}

TEST_CASE("list set: test lists may have images only") {
  SmallSet set;
  set.list("test.txt", "images/c.png\n");
  const auto test = set.open("test");
  CHECK_FALSE(test->load(0).label.defined());
}

TEST_CASE("classes.json gives names, colours and the label map") {
  SmallSet set;
  set.list(
      "classes.json",
      R"({"ignore_index": 0, "classes": [{"id": 0, "name": "none"}, {"id": 1, "name": "road", "color": [1, 2, 3]},
                              {"id": 255, "name": "car"}]})");
  const auto data = set.open("train", 0, 0);
  CHECK(data->num_classes() == 2);
  CHECK(data->classes()[0].name == "road");
  CHECK(data->classes()[0].color == Color{1, 2, 3});
  CHECK(values_of(data->load(0).label) == std::vector<int>{255, 255, 0, 0, 255, 255, 0, 0, 255, 1, 0, 0});
  CHECK_SAYS(ErrorKind::config, set.open("train", 3), "has 2 classes", "model.num_classes=2");
  set.options.class_names = {"x"};
  CHECK_SAYS(ErrorKind::config, set.open("train", 2), "data.class_names");
}

TEST_CASE("classes.json: malformed tables are named") {
  SmallSet set;
  const auto rejects = [&](const std::string& text, const char* reason) {
    set.list("classes.json", text);
    INFO(text);
    CHECK_SAYS(ErrorKind::data, set.open(), "classes.json", reason);
  };
  rejects("{", "JSON object");
  rejects("[]", "JSON object");
  rejects("{}", "`classes` must be a list");
  rejects(R"({"classes": []})", "`classes` must be a list");
  rejects(R"({"classes": [1]})", "`name`");
  rejects(R"({"classes": [{"name": "a", "id": -1}]})", "label value");
  rejects(R"({"classes": [{"name": "a", "id": 1}, {"name": "b", "id": 1}]})", "duplicate id 1");
  rejects(R"({"classes": [{"name": "a", "color": [1, 2]}]})", "three numbers");
  rejects(R"({"classes": [{"name": "a", "color": [1, 2, 256]}]})", "0 to 255");
  rejects(R"({"classes": [{"name": "a"}], "ignore_index": "x"})", "`ignore_index`");
  rejects(R"({"classes": [{"name": "a"}], "ignore_index": 0})", "not ignored");
  rejects(std::string(200000, '['), "JSON object");
}

TEST_CASE("camvid: SegNet's absolute list paths, 11 classes, 11 is ignored") {
  TemporaryFolder folder;
  write_png(folder.file("train/x.png"), ramp({1, 3, 3}));
  write_png(folder.file("trainannot/x.png"), pixels({1, 3}, {0, 10, 11}));
  write_text(folder.file("train.txt"), "/SegNet/CamVid/train/x.png /SegNet/CamVid/trainannot/x.png\n");
  DataOptions options;
  options.dataset = "camvid";
  options.root = folder.path();
  const auto set = open_dataset(options, "train", 0, 0);
  CHECK(set->num_classes() == 11);
  CHECK(set->classes()[10].name == "bicyclist");
  CHECK(values_of(set->load(0).label) == std::vector<int>{0, 10, 255});
  write_png(folder.file("trainannot/x.png"), pixels({1, 3}, {0, 10, 12}));
  CHECK_SAYS(ErrorKind::data, set->load(0), "value 12", "x=2 y=0", "11 classes");
  CHECK_SAYS(ErrorKind::config, open_dataset(options, "train", 12, 3), "has 11 classes");
}

TEST_CASE("isbi2012: 255 is cell, 0 is membrane, one channel") {
  TemporaryFolder folder;
  write_png(folder.file("i/00.png"), ramp({1, 2}));
  write_png(folder.file("l/00.png"), pixels({1, 2}, {0, 255}));
  write_text(folder.file("train.txt"), "i/00.png l/00.png\n");
  DataOptions options;
  options.dataset = "isbi2012";
  options.root = folder.path();
  const auto set = open_dataset(options, "train", 0, 0);
  CHECK(set->in_channels() == 1);
  CHECK(values_of(set->load(0).label) == std::vector<int>{0, 1});
  CHECK(set->classes()[1].name == "cell");
}

TEST_CASE("label histogram and median frequency weights") {
  LabelHistogram h(3);
  h.add(pixels({2, 4}, {0, 0, 0, 1, 255, 255, 255, 255}));
  h.add(pixels({1, 4}, {0, 0, 0, 0}));
  CHECK(h.pixels == std::vector<int64_t>{7, 1, 0});
  CHECK(h.images == std::vector<int64_t>{2, 1, 0});
  CHECK(h.labelled_pixels == std::vector<int64_t>{8, 4, 0});
  CHECK(h.ignored == 4);
  CHECK(h.total == 12);
  // freq = 7/8, 1/4; median 9/16
  const auto weights = median_frequency_weights(h);
  CHECK(weights[0] == Approx(9.0 / 14));
  CHECK(weights[1] == Approx(9.0 / 4));
  CHECK(weights[2] == 1.0);
  CHECK_SAYS(ErrorKind::data, h.add(pixels({1, 1}, {3})), "Got 3");
  CHECK_SAYS(ErrorKind::data, median_frequency_weights(LabelHistogram(2)), "labelled pixels");
  SmallSet set;
  CHECK(label_histogram(*set.open()).pixels == std::vector<int64_t>{10, 12});
}

TEST_CASE("real CamVid: counts and weights as published with the set (ATROUS_DATA_DIR)") {
  const char* folder = std::getenv("ATROUS_DATA_DIR");
  if (!folder || !fs::exists(fs::path(folder) / "camvid")) {
    WARN("skipped: ATROUS_DATA_DIR does not name a folder with camvid/");
    return;
  }
  DataOptions options;
  options.dataset = "camvid";
  options.root = (fs::path(folder) / "camvid").string();
  const auto train = open_dataset(options, "train", 11, 3);
  CHECK(train->size() == 367);
  CHECK(train->load(0).image.shape() == Shape{360, 480, 3});
  const LabelHistogram h = label_histogram(*train);
  CHECK(h.pixels == std::vector<int64_t>{10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859,
                                         714595, 3719877, 405385, 184967});
  CHECK(h.images == std::vector<int64_t>{366, 365, 366, 367, 349, 319, 351, 173, 360, 317, 201});
  const std::vector<double> expected = {0.2794, 0.2018, 4.7889, 0.1491, 1.0000, 0.4235,
                                        3.8464, 1.9798, 0.7890, 6.3847, 8.8193};
  const auto weights = median_frequency_weights(h);
  for (size_t k = 0; k < 11; ++k) CHECK(weights[k] == Approx(expected[k]).margin(6e-5));
}
