// VOC 2012, SBD and PASCAL-Context on made-up files in their official layouts.
#include <algorithm>

#include "tests/data/made_set.h"
#include "tests/data/mat_files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

// Train a, b; val c; test d without label.
struct Voc : Made {
  std::string base;
  explicit Voc(const std::string& dataset = "voc2012", const std::string& folder = "VOCdevkit/VOC2012/")
      : Made(dataset), base(folder) {
    for (const char* id : {"a", "b", "c", "d"}) image(base + "JPEGImages/" + id + ".jpg");
    for (const char* id : {"a", "b", "c"}) label(base + "SegmentationClass/" + id + ".png", {0, 20, 255});
    list("train", "a\nb\n");
    list("val", "c\n");
    list("test", "d\n");
  }
  void list(const std::string& name, const std::string& content) {
    text(base + "ImageSets/Segmentation/" + name + ".txt", content);
  }
  std::string mask(const std::string& id) const { return file(base + "SegmentationClass/" + id + ".png"); }
};

}  // namespace

TEST_CASE("voc2012: palette indices are classes, 255 is ignored, test has no labels") {
  Voc set;
  std::vector<Color> palette;
  for (int k = 0; k < 256; ++k) palette.push_back(default_color(k));
  CHECK(palette[1] == Color{128, 0, 0});
  CHECK(palette[15] == Color{192, 128, 128});
  CHECK(palette[255] == Color{224, 224, 192});
  write_png(set.mask("a"), Made::cycle({0, 1, 15, 255}), palette);
  CHECK(set.labels(4) == std::vector<int>{0, 1, 15, 255});
  CHECK(set.ids() == Ids{"a", "b"});
  CHECK(set.ids("val") == Ids{"c"});
  CHECK_FALSE(set.open("test")->load(0).label.defined());
  CHECK(set.open()->classes()[15].name == "person");
  CHECK(set.open()->classes()[15].color == Color{192, 128, 128});
  CHECK(set.check().errors() == 0);
  set.list("trainval", "a\nb\nd\n");
  set.label(set.base + "SegmentationClass/d.png", {1});
  set.options.train_list = "trainval.txt";
  CHECK(set.open()->size() == 3);
  CHECK(Voc("voc2012", "").open()->size() == 2);  // the root may be the set's own folder
}

TEST_CASE("voc2012 rejects: colours, ids without a mask, values above 20, wrong lists") {
  Voc set;
  write_png(set.mask("a"), Tensor::full({8, 8, 3}, 128, DType::u8));
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "a.png", "class indices", "palette PNG");
  write_png(set.mask("a"), Made::cycle({0, 21}));
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 21");
  write_png(set.mask("a"), Tensor::full({8, 7}, 0, DType::u8));
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "same size");
  write_text(set.mask("a"), "\x89PNG\r\n\x1a\n");
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "a.png");
  fs::remove(set.mask("a"));
  CHECK_SAYS(ErrorKind::data, set.open(), "label", "SegmentationClass/a.png", "line 1");
  set.list("train", "b\nb\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "train.txt:2", "`b` again", "line 1");
  set.list("train", "b\nc\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "train or val, not both", "`c` in line 2");
  set.list("train", "");
  CHECK_SAYS(ErrorKind::data, set.open(), "at least one image");
  set.list("train",
           "\xef\xbb\xbf"
           "d\r\n\n");  // as an editor of Windows writes it
  CHECK_SAYS(ErrorKind::data, set.open(), "JPEGImages/d.jpg", "line 1");
  set.list("train", "../../b\n..\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "train.txt:2");
  fs::remove(set.file(set.base + "ImageSets/Segmentation/train.txt"));
  CHECK_SAYS(ErrorKind::data, set.open(), "no train split", "train.txt does not exist");
}

TEST_CASE("voc2012_aug: a trainaug list with SegmentationClassAug; VOC's own masks come first") {
  Voc set("voc2012_aug");
  set.image(set.base + "JPEGImages/e.jpg");
  set.label(set.base + "SegmentationClassAug/e.png", {5});
  set.label(set.base + "SegmentationClassAug/a.png", {5});
  set.list("trainaug", "a\ne\n");
  CHECK(set.ids() == Ids{"a", "e"});
  CHECK(set.labels(3) == std::vector<int>{0, 20, 255});
  CHECK(set.open()->load(1).label.data<uint8_t>()[0] == 5);
  CHECK(set.ids("val") == Ids{"c"});
  // Lists of file pairs are in use too.
  set.list("trainaug",
           "/JPEGImages/a.jpg /SegmentationClassAug/a.png\n/JPEGImages/e.jpg /SegmentationClassAug/e.png\n");
  CHECK(set.ids() == Ids{"a", "e"});
  CHECK(set.check().errors() == 0);
}

TEST_CASE("voc2012_aug: SBD's own .mat files, its two lists without VOC's validation images") {
  Voc set("voc2012_aug");
  for (const char* id : {"b", "c", "e", "f"}) {
    write_bytes(set.file(std::string("sbd/cls/") + id + ".mat"), mat::sbd(8, 8, mat::Blob(64, 7)));
    set.image(std::string("sbd/img/") + id + ".jpg");
  }
  set.text("sbd/train.txt", "e\nc\n");
  set.text("sbd/val.txt", "f\nb\n");
  CHECK(set.ids() == Ids{"a", "b", "e", "f"});  // c is VOC's
  const auto train = set.open();
  CHECK(train->load(1).label.data<uint8_t>()[1] == 20);  // b: VOC's mask
  CHECK(train->load(2).label.data<uint8_t>()[1] == 7);
  CHECK(set.check().errors() == 0);
  write_bytes(set.file("sbd/cls/e.mat"), mat::sbd(8, 8, mat::Blob(64, 21)));
  CHECK_SAYS(ErrorKind::data, set.open()->load(2), "e.mat", "value 21");
}

TEST_CASE("voc2012_aug rejects: validation images in the training list, no labels, no lists") {
  Voc set("voc2012_aug");
  CHECK_SAYS(ErrorKind::data, set.open(), "neither", "trainaug.txt", "sbd/");
  set.list("trainaug", "a\nc\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "trainaug.txt:2", "validation", "Got c");
  set.list("trainaug", "a\ne\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "e.jpg");
  set.options.train_list = "nope.txt";
  CHECK_SAYS(ErrorKind::data, set.open(), "nope.txt", "data.train_list");
  set.options.train_list = "train.txt";
  fs::remove(set.file(set.base + "ImageSets/Segmentation/val.txt"));
  CHECK_SAYS(ErrorKind::data, set.open(), "validation list");
}

TEST_CASE("pascal_context: PNG files of 0 to 59, as 59 classes or with background as 60") {
  Made set("pascal_context59");
  for (const char* id : {"a", "b"}) {
    set.image(std::string("VOC2010/JPEGImages/") + id + ".jpg");
    set.label(std::string("VOC2010/SegmentationClassContext/") + id + ".png", {0, 1, 59});
  }
  set.text("VOC2010/ImageSets/SegmentationContext/train.txt", "a\n");
  set.text("VOC2010/ImageSets/SegmentationContext/val.txt", "b\n");
  CHECK(set.labels(3) == std::vector<int>{255, 0, 58});
  CHECK(set.open()->classes()[58].name == "wood");
  set.options.dataset = "pascal_context60";
  CHECK(set.labels(3) == std::vector<int>{0, 1, 59});
  CHECK(set.open()->classes()[59].name == "wood");
  CHECK(set.check().errors() == 0);
  set.label("VOC2010/SegmentationClassContext/a.png", {60});
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "value 60");
}

// The numbers of the Detail API; classes count through them.
TEST_CASE("pascal_context: which of the raw labels are the 59 classes") {
  Made set("pascal_context59");
  for (const char* folder : {"JPEGImages", "trainval"}) fs::create_directories(set.file(folder));
  const std::vector<int> raw = {2,   9,   18,  19,  22,  23,  25,  31,  33,  34,  44,  45,  46,  59,  65,
                                68,  72,  80,  85,  98,  104, 105, 113, 115, 144, 158, 159, 162, 187, 189,
                                207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326, 347, 349, 354,
                                355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458};
  REQUIRE(raw.size() == 59);
  for (const NamedSet& named : named_sets()) {
    if (named.name != "pascal_context59") continue;
    const LabelMap map = LabelMap::parse(named.plan(set.options, "val").label_map, 59);
    int next = 0;
    for (int value = 0; value <= 459; ++value) {
      const bool is_class = std::find(raw.begin(), raw.end(), value) != raw.end();
      CAPTURE(value);
      CHECK(map.lookup(value) == (is_class ? next++ : ignore_label));
    }
  }
}

TEST_CASE("pascal_context: the 459 raw labels as .mat or 16-bit PNG; raw ids above 459 are refused") {
  Made set("pascal_context60");
  for (const char* id : {"a", "b"}) set.image(std::string("VOCdevkit/VOC2010/JPEGImages/") + id + ".jpg");
  set.text("VOCdevkit/VOC2010/train.txt", "a\n");
  set.text("VOCdevkit/VOC2010/val.txt", "b\n");
  CHECK_SAYS(ErrorKind::data, set.open(), "SegmentationClassContext", "trainval");
  const auto raw = [&](uint16_t first) {
    std::vector<uint16_t> values(64, 284);  // person
    values[0] = first;
    return mat::file(mat::array(mat::kind_u16, {8, 8}, "LabelMap",
                                mat::element(mat::uint16, mat::bytes_of_values(values))));
  };
  write_bytes(set.file("trainval/a.mat"), raw(458));
  write_bytes(set.file("trainval/b.mat"), raw(1));  // accordion: none of the 59
  CHECK(set.labels(2) == std::vector<int>{59, 37});
  CHECK(set.open()->classes()[37].name == "person");
  CHECK(set.labels(2, "val") == std::vector<int>{0, 37});
  set.options.dataset = "pascal_context59";
  CHECK(set.labels(2) == std::vector<int>{58, 36});
  CHECK(set.labels(2, "val") == std::vector<int>{255, 36});
  write_bytes(set.file("trainval/a.mat"), raw(460));
  CHECK_SAYS(ErrorKind::data, set.open()->load(0), "a.mat", "value 460", "x=0 y=0");
  std::vector<uint8_t> row;
  for (int x = 0; x < 8; ++x) row.insert(row.end(), {1, 202});  // 458
  for (const char* id : {"a", "b"})
    write_raw_png(set.file(std::string("trainval/") + id + ".png"),
                  {.width = 8, .height = 8, .bit_depth = 16, .rows = {8, row}});
  CHECK(set.labels(1) == std::vector<int>{58});
}
