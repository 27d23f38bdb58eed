// The named sets, each on made-up files in its official layout: what they read, and every file they must
// refuse.
#include <map>
#include <set>

#include "tests/data/made_set.h"
#include "tests/data/mat_files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

TEST_CASE("named sets: each has a summary, distinct class names, and a label map for its classes") {
  std::set<std::string> names;
  for (const NamedSet& set : named_sets()) {
    INFO(set.name);
    CHECK(names.insert(set.name).second);
    CHECK_FALSE(set.summary.empty());
  }
  CHECK(names.size() == 18);
  Made made("x");
  for (const char* folder :
       {"JPEGImages", "SegmentationClassContext", "leftImg8bit", "images", "annotations/trimaps"})
    fs::create_directories(made.file(folder));
  const std::map<std::string, size_t> classes = {{"camvid", 11},
                                                 {"camvid32", 31},
                                                 {"voc2012", 21},
                                                 {"voc2012_aug", 21},
                                                 {"pascal_context59", 59},
                                                 {"cityscapes", 19},
                                                 {"ade20k", 150},
                                                 {"oxford_pets", 3},
                                                 {"cocostuff171", 171},
                                                 {"pascal_context60", 60},
                                                 {"isbi2012", 2},
                                                 {"crackforest", 2},
                                                 {"cocostuff182", 182},
                                                 {"loveda", 7},
                                                 {"oxford_pets_binary", 2},
                                                 {"pennfudan_person", 2}};
  for (const auto& [name, count] : classes) {
    INFO(name);
    made.options.dataset = name;
    for (const NamedSet& set : named_sets()) {
      if (set.name != name) continue;
      const SplitPlan plan = set.plan(made.options, "val");
      CHECK(plan.classes.size() == count);
      const LabelMap map = LabelMap::parse(plan.label_map, static_cast<int64_t>(count));
      std::set<std::string> distinct;
      for (const ClassInfo& c : plan.classes) distinct.insert(c.name);
      CHECK(distinct.size() == count);
      if (map.uses_colors()) continue;
      std::set<int16_t> reached;
      for (int value = 0; value < 65536; ++value) reached.insert(map.lookup(value));
      for (size_t k = 0; k < count; ++k) CHECK(reached.count(static_cast<int16_t>(k)) == 1);
    }
  }
}

// A slip in a table would give every picture wrong names, or numbers, and nothing else would notice.
TEST_CASE("named sets: classes stand in the order of the numbers in the files") {
  Made made("x");
  for (const char* folder : {"JPEGImages", "SegmentationClassContext", "images"})
    fs::create_directories(made.file(folder));
  const auto plan_of = [&](const std::string& name) {
    for (const NamedSet& set : named_sets()) {
      if (set.name == name) return set.plan(made.options, "val");
    }
    FAIL("no such set");
    return SplitPlan();
  };
  const auto name_of = [&](const std::string& set, size_t k) { return plan_of(set).classes.at(k).name; };
  Ids camvid;
  for (const ClassInfo& c : plan_of("camvid").classes) camvid.push_back(c.name);
  CHECK(camvid == Ids{"sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence", "car",
                      "pedestrian", "bicyclist"});
  for (const auto& [k, name] : {std::pair<size_t, const char*>{0, "wall"},
                                {1, "building"},
                                {2, "sky"},
                                {12, "person"},
                                {20, "car"},
                                {80, "bus"},
                                {83, "truck"},
                                {127, "bicycle"},
                                {136, "traffic light"},
                                {149, "flag"}})
    CHECK(name_of("ade20k", k) == name);
  for (const auto& [k, name] : {std::pair<size_t, const char*>{0, "person"},
                                {7, "truck"},
                                {14, "bird"},
                                {15, "cat"},
                                {56, "chair"},
                                {58, "potted plant"},
                                {62, "tv"},
                                {79, "toothbrush"},
                                {80, "banner"},
                                {170, "wood"}})
    CHECK(name_of("cocostuff171", k) == name);
  // The categories without a picture: 182 has them, 171 refuses their values.
  const LabelMap things = LabelMap::parse(plan_of("cocostuff171").label_map, 171);
  for (const int category : {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91})
    CHECK(things.lookup(category - 1) == things.lookup(200));
}

TEST_CASE("named sets reject: a root without the layout, and say where they looked") {
  for (const auto& [name, part] :
       {std::pair{"voc2012", "VOCdevkit/VOC2012/JPEGImages"},
        std::pair{"pascal_context59", "VOCdevkit/VOC2010/JPEGImages"}, std::pair{"cityscapes", "leftImg8bit"},
        std::pair{"ade20k", "ADEChallengeData2016/images"}, std::pair{"oxford_pets", "annotations/trimaps"},
        std::pair{"cocostuff171", "images/train2017"}, std::pair{"loveda", "Train"}}) {
    INFO(name);
    const Made empty(name);
    CHECK_SAYS(ErrorKind::data, empty.open(), part, "data.root");
  }
}

namespace {

struct Cityscapes : Made {
  Cityscapes() : Made("cityscapes") {
    add("train", "aachen", "aachen_000000_000019", {7, 8, 33});
    add("train", "bonn", "bonn_000001_000019", {7, 21});
    add("val", "lindau", "lindau_000000_000019", {7, 26, 1});
  }
  void add(const std::string& split, const std::string& city, const std::string& id,
           const std::vector<int>& values) {
    image("leftImg8bit/" + split + "/" + city + "/" + id + "_leftImg8bit.png");
    label("gtFine/" + split + "/" + city + "/" + id + "_gtFine_labelIds.png", values);
  }
  std::string mask() const { return "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"; }
};

}  // namespace

TEST_CASE("cityscapes: all cities of a split, label ids become train ids") {
  Cityscapes set;
  CHECK(set.ids() == Ids{"aachen_000000_000019", "bonn_000001_000019"});
  CHECK(set.ids("val") == Ids{"lindau_000000_000019"});
  CHECK(set.check().errors() == 0);
  // The file that comes with every label is no label.
  set.label("gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png", {0, 255});
  std::vector<int> ids(34), expected(34, 255);
  for (int id = 0; id < 34; ++id) ids[static_cast<size_t>(id)] = id;
  const int classes[] = {7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33};
  for (int k = 0; k < 19; ++k) expected[static_cast<size_t>(classes[k])] = k;
  set.label(set.mask(), ids);
  CHECK(set.labels(34) == expected);
  CHECK(set.open()->classes()[18].name == "bicycle");
  set.image("leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png");
  set.label("gtFine/test/berlin/berlin_000000_000019_gtFine_labelIds.png", {0, 1, 2, 3});
  CHECK_FALSE(set.open("test")->load(0).label.defined());  // its ground truth is a dummy
}

TEST_CASE("cityscapes rejects: train ids given as label ids, the dummy ground truth, values above 33") {
  Cityscapes set;
  set.label(set.mask(), {0, 1, 18, 255});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "labelTrainIds", "*_labelIds.png");
  set.label(set.mask(), {0, 1, 2, 3});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "dummy ground truth");
  set.label(set.mask(), {7, 34});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 34");
  set.label(set.mask(), {7, 26, 255});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 255");
  // Train ids without a single ignored pixel: only the whole set shows it.
  set.label(set.mask(), {0, 7, 8});
  set.label("gtFine/train/bonn/bonn_000001_000019_gtFine_labelIds.png", {0, 7, 11});
  CHECK_THAT(set.check().table(), Catch::Contains("labelTrainIds"));
  write_png(set.file(set.mask()), Tensor::full({8, 8, 3}, 128, DType::u8));  // *_color.png
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "class indices");
}

TEST_CASE("cityscapes rejects: images without label, labels without image, a folder without label ids") {
  Cityscapes set;
  set.image("leftImg8bit/train/bonn/bonn_000002_000019_leftImg8bit.png");
  CHECK_SAYS(ErrorKind::data, set.open(), "1 image without", "bonn_000002_000019");
  set.label("gtFine/train/bonn/bonn_000002_000019_gtFine_labelIds.png", {7});
  set.label("gtFine/train/bonn/bonn_000003_000019_gtFine_labelIds.png", {7});
  CHECK_SAYS(ErrorKind::data, set.open(), "1 label without", "bonn_000003_000019");
  fs::rename(set.file(set.mask()),
             set.file("gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png"));
  CHECK_SAYS(ErrorKind::data, set.open(), "_gtFine_labelIds.png", "labelTrainIds");
  fs::remove_all(set.file("gtFine/train/aachen"));
  CHECK_SAYS(ErrorKind::data, set.open(), "gtFine/train/aachen", "annotations");
  Cityscapes shared;
  shared.add("val", "aachen", "aachen_000000_000019", {7});
  CHECK_SAYS(ErrorKind::data, shared.open(), "train or val, not both", "aachen_000000_000019");
}

TEST_CASE("ade20k: 0 is ignored, k is class k - 1; grey images serve as RGB; a split may be absent") {
  Made set("ade20k");
  const std::string base = "ADEChallengeData2016/";
  write_bytes(set.file(base + "images/validation/ADE_val_00000001.jpg"), jpeg_blocks(1, 1, {77}, 1, 0));
  set.label(base + "annotations/validation/ADE_val_00000001.png", {0, 1, 150});
  set.text(base + "images/validation/._ADE_val_00000001.jpg", "left by another system");
  CHECK(set.labels(3, "val") == std::vector<int>{255, 0, 149});
  CHECK(set.open("val")->load(0).image.shape() == Shape{8, 8, 3});
  CHECK(set.open("val")->classes()[12].name == "person");
  CHECK(set.open("val")->classes()[149].color == Color{92, 0, 255});
  CHECK_SAYS(ErrorKind::data, set.open(), "no train split", "images/training");
  CHECK(check_data(set.options, 0, 0, {"val"}).errors() == 0);
  CHECK(check_data(set.options, 0, 0).errors() == 1);
  set.label(base + "annotations/validation/ADE_val_00000001.png", {0, 151});
  CHECK_SAYS(ErrorKind::data, set.open("val")->load(0), "value 151");
  set.label(base + "annotations/validation/ADE_val_00000002.png", {1});
  CHECK_SAYS(ErrorKind::data, set.open("val"), "1 label without", "ADE_val_00000002");
  fs::remove_all(set.file(base + "annotations/validation"));
  CHECK_SAYS(ErrorKind::data, set.open("val"), "annotations/validation");
  fs::remove(set.file(base + "images/validation/ADE_val_00000001.jpg"));
  CHECK_SAYS(ErrorKind::data, set.open("val"), "a split must hold images");
}

TEST_CASE("cocostuff: pixel maps as 182 or 171 classes, and the 171 of *_labelTrainIds.png") {
  Made set("cocostuff182");
  for (const char* split : {"train2017/", "val2017/"}) {
    const std::string id = std::string(split) + (split[0] == 't' ? "000000000009" : "000000000139");
    set.image("images/" + id + ".jpg");
    set.label("stuffthingmaps/" + id + ".png", {0, 12, 181, 255});
  }
  CHECK(set.labels(4) == std::vector<int>{0, 12, 181, 255});
  CHECK(set.open()->classes()[12].name == "stop sign");
  CHECK(set.open()->classes()[181].name == "wood");
  set.options.dataset = "cocostuff171";
  CHECK(set.labels(4) == std::vector<int>{0, 11, 170, 255});
  CHECK(set.open()->classes()[11].name == "stop sign");
  CHECK(set.open()->classes()[170].name == "wood");
  CHECK(set.open()->classes()[80].name == "banner");
  CHECK(set.check().errors() == 0);
  set.label("stuffthingmaps/train2017/000000000009.png", {11});  // street sign was never annotated
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 11");
  set.label("stuffthingmaps/train2017/000000000009.png", {182});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 182");
  set.label("stuffthingmaps/train2017/000000000009_labelTrainIds.png", {11, 170, 255});
  CHECK(set.labels(3) == std::vector<int>{11, 170, 255});
  set.label("stuffthingmaps/train2017/000000000009_labelTrainIds.png", {171});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 171");
}

namespace {

struct Pets : Made {
  explicit Pets(const std::string& dataset = "oxford_pets") : Made(dataset) {
    std::string lines;
    for (int i = 0; i < 12; ++i) {
      const std::string id = fmt::format("Abyssinian_{}", i);
      image("images/" + id + ".jpg");
      label("annotations/trimaps/" + id + ".png", {1, 2, 3});
      lines += id + " 1 1 1\n";
    }
    text("annotations/trainval.txt", lines);
  }
};

}  // namespace

TEST_CASE("oxford_pets: trimaps, every tenth image of trainval for validation, binary as smp maps it") {
  Pets set;
  CHECK(set.ids("val") == Ids{"Abyssinian_0", "Abyssinian_10"});
  CHECK(set.ids().size() == 10);
  CHECK(set.labels(3) == std::vector<int>{0, 1, 2});
  set.text("annotations/trimaps/._Abyssinian_1.png", "left by another system");
  CHECK(set.check().errors() == 0);
  CHECK(Pets("oxford_pets_binary").labels(3) == std::vector<int>{1, 0, 1});
  set.text("annotations/test.txt", "Bengal_1 6 1 2\n");
  set.image("images/Bengal_1.jpg");
  set.label("annotations/trimaps/Bengal_1.png", {1});
  CHECK(set.labels(1, "test") == std::vector<int>{0});
}

TEST_CASE("oxford_pets: images are read by their content, whatever their name says") {
  Pets set;
  const Tensor picture = ramp({8, 8, 3});
  write_png(set.file("images/Abyssinian_1.jpg"), picture);
  CHECK(same(set.open()->load(0).image, picture));
  set.text("images/Abyssinian_1.jpg", "GIF89a...");
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "Abyssinian_1.jpg", "GIF", "Convert it to PNG");
  const std::vector<uint8_t> row(8 * 4, 9);
  write_raw_png(set.file("images/Abyssinian_1.jpg"),
                {.width = 8, .height = 8, .color_type = 6, .rows = {8, row}});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "alpha", "data.alpha=drop");
}

TEST_CASE("oxford_pets rejects: trimap values outside 1 to 3, ids without trimap, duplicates") {
  Pets set;
  set.label("annotations/trimaps/Abyssinian_1.png", {0, 1});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 0");
  set.label("annotations/trimaps/Abyssinian_1.png", {1, 4});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 4");
  fs::remove(set.file("annotations/trimaps/Abyssinian_1.png"));
  CHECK_SAYS(ErrorKind::data, set.open(), "annotations/trimaps/Abyssinian_1.png", "line 2");
  set.text("annotations/trainval.txt", "Abyssinian_2 1 1 1\nAbyssinian_2 1 1 1\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "trainval.txt:2", "Abyssinian_2");
}

TEST_CASE("loveda: urban and rural scenes, 0 is no data; lists of one's own") {
  Made set("loveda");
  const auto add = [&](const std::string& folder, const std::string& id) {
    set.image(folder + "/images_png/" + id + ".png");
    set.label(folder + "/masks_png/" + id + ".png", {0, 1, 7});
  };
  add("Train/Urban", "1366");
  add("Train/Rural", "0");
  add("Val/Urban", "3514");
  Made empty("loveda");
  CHECK_SAYS(ErrorKind::data, empty.open(), "/Train is there", "/train.txt of a selection",
             "`image label` per line");
  CHECK(set.ids() == Ids{"0", "1366"});
  CHECK(set.labels(3) == std::vector<int>{255, 0, 6});
  CHECK(set.check().errors() == 0);
  CHECK_THAT(set.open()->describe(), !Catch::Contains("left out"));
  set.image("Train/Urban/images_png/1367.tif");
  set.text("Train/Urban/images_png/.DS_Store", "");
  set.text("Train/__MACOSX/images_png/._0.png", "");
  for (const std::string& told : {set.open()->describe(), set.check().table()})
    CHECK_THAT(
        told,
        Catch::Contains(
            "left out: 1 file in Train/Urban/images_png whose name does not end in `.png` (1367.tif)") &&
            Catch::Contains("left out: 1 file in Train/Urban/images_png that the operating system left "
                            "behind (.DS_Store)"));
  set.image("Test/Rural/images_png/4191.png");
  CHECK_FALSE(set.open("test")->load(0).label.defined());
  set.label("Train/Rural/masks_png/0.png", {8});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 8");
  set.text("train.txt", "Train/Urban/images_png/1366.png Train/Urban/masks_png/1366.png\n");
  CHECK(set.ids() == Ids{"1366"});
  fs::remove(set.file("train.txt"));
  add("Train/Rural", "1366");
  CHECK_SAYS(ErrorKind::data, set.open(), "an id may occur once", "1366");
  fs::remove_all(set.file("Train/Rural"));
  add("Val/Urban", "1366");
  CHECK_SAYS(ErrorKind::data, set.open(), "train or val, not both");
}

TEST_CASE("camvid32: colours are classes, black is ignored, other colours are refused") {
  Made set("camvid32");
  set.text("train.txt", "i/a.png l/a_L.png\n");
  set.image("i/a.png");
  Tensor label = Tensor::zeros({8, 8, 3}, DType::u8);
  const auto paint = [&](int64_t pixel, const Color& c) {
    std::copy_n(c.data(), 3, label.data<uint8_t>() + 3 * pixel);
  };
  paint(1, {64, 128, 64});
  paint(2, {64, 192, 0});
  write_png(set.file("l/a_L.png"), label);
  CHECK(set.labels(3) == std::vector<int>{255, 0, 30});
  CHECK(set.open()->classes()[30].name == "Wall");
  paint(9, {1, 2, 3});
  write_png(set.file("l/a_L.png"), label);
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "#010203", "x=1 y=1");
  set.label("l/a_L.png", {0, 1});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "labels must be RGB");
}

TEST_CASE("crackforest and pennfudan_person: list sets with their own label maps") {
  Made set("crackforest");
  set.text("train.txt", "i/a.jpg l/a.png\n");
  set.image("i/a.jpg");
  set.label("l/a.png", {0, 1, 255});
  CHECK(set.labels(3) == std::vector<int>{0, 1, 255});
  set.label("l/a.png", {0, 3});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 3");
  set.text("train.txt", "i/a.jpg l/a.mat\n");
  mat::Blob values(64, 1);
  values[8] = 2;  // second column
  values[16] = 4;
  write_bytes(set.file("l/a.mat"),
              mat::file(mat::structure("groundTruth", {{"Segmentation", mat::array_u8(8, 8, "", values)}})));
  CHECK(set.labels(3) == std::vector<int>{0, 1, 255});
  Made people("pennfudan_person");
  people.text("train.txt", "i/a.jpg l/a.png\n");
  people.image("i/a.jpg");
  people.label("l/a.png", {0, 1, 2, 9});
  CHECK(people.labels(4) == std::vector<int>{0, 1, 1, 1});
}

TEST_CASE("a label map of one's own replaces the set's, and its objections") {
  Cityscapes set;
  set.label(set.mask(), {0, 1, 18, 255});
  set.options.label_map = "0-18:0,255:ignore";
  CHECK(open_dataset(set.options, "train", 19, 3)->load(0).label.data<uint8_t>()[2] == 18);
}

TEST_CASE("JPEG: print colours (CMYK) become RGB") {
  TemporaryFolder folder;
  write_bytes(folder.file("a.jpg"), jpeg_cmyk(8, {255, 128, 0, 255}));
  const Tensor image = read_image(folder.file("a.jpg"));
  REQUIRE(image.shape() == Shape{8, 8, 3});
  CHECK(image.data<uint8_t>()[0] == Approx(255).margin(3));
  CHECK(image.data<uint8_t>()[1] == Approx(128).margin(3));
  CHECK(image.data<uint8_t>()[2] == Approx(0).margin(3));
  write_bytes(folder.file("a.jpg"), jpeg_cmyk(8, {255, 255, 255, 100}));  // 155 of black ink
  CHECK(read_image(folder.file("a.jpg")).data<uint8_t>()[0] == Approx(100).margin(3));
}
