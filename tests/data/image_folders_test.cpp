#include "data/image_folders.h"

#include <cmath>
#include <set>

#include "data/check_folders.h"
#include "data/class_loader.h"
#include "data/shapes.h"
#include "data/warp.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;
using Catch::Contains;

namespace {

struct Set {
  TemporaryFolder folder;
  DataOptions options;
  Set() {
    options.dataset = "folders";
    options.root = folder.path();
    options.workers = 0;
  }
  // A picture of that number, 12 x 10.
  void add(const std::string& file, int value) const {
    write_png(folder.file(file), Tensor::full({10, 12, 3}, value, DType::u8));
  }
  std::unique_ptr<ImageFolders> open(const std::string& split, int64_t classes = 0,
                                     const ClassList* ours = nullptr) const {
    return open_image_folders(options, split, classes, 3, ours);
  }
};

ClassList list_of(const ImageFolders& set) {
  ClassList list;
  list.what = "the train split";
  list.classes = set.classes();
  return list;
}

std::string text_of(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += line + "\n";
  return all;
}

}  // namespace

TEST_CASE("folders: classes are the folders sorted by name, in every split the same by name") {
  const Set set;
  set.add("train/dog/a.png", 1);
  set.add("train/cat/a.png", 2);
  set.add("train/cat/b.png", 3);
  set.add("train/eel/c.png", 4);
  set.add("val/eel/x.png", 5);
  set.add("val/cat/y.png", 6);
  const auto train = set.open("train", 3);
  REQUIRE(train->size() == 4);
  CHECK(train->classes()[0].name == "cat");
  CHECK(train->classes()[1].name == "dog");
  CHECK(train->counts() == std::vector<int64_t>{2, 1, 1});
  CHECK(train->id(0) == "cat/a.png");
  CHECK(train->load(2).label == 1);
  CHECK(train->load(2).image.data<uint8_t>()[0] == 1);
  const ClassList ours = list_of(*train);
  const auto val = set.open("val", 3, &ours);
  REQUIRE(val->size() == 2);
  CHECK(val->label(0) == 0);                           // cat
  CHECK(val->label(1) == 2);                           // eel, though the second folder of its split
  CHECK_THAT(text_of(val->notes()), Contains("dog"));  // said: val has no dog
  CHECK_THAT(train->describe(), Contains("cat 2, dog 1, eel 1"));
}

TEST_CASE("folders: a class that only val has is an error that says what to do") {
  Set set;
  set.add("train/cat/a.png", 1);
  set.add("train/dog/a.png", 1);
  set.add("val/cat/a.png", 1);
  set.add("val/wolf/a.png", 1);
  const auto train = set.open("train");
  const ClassList ours = list_of(*train);
  const std::string text = message_of(ErrorKind::data, [&] { set.open("val", 2, &ours); });
  CHECK_THAT(text, Contains("wolf"));
  CHECK_THAT(text, Contains("data.class_map"));
  set.options.class_map = {"wolf:dog"};
  CHECK(set.open("val", 2, &ours)->counts() == std::vector<int64_t>{1, 1});
  set.options.class_map = {"wolf:ignore"};
  CHECK(set.open("val", 2, &ours)->counts() == std::vector<int64_t>{1, 0});
}

TEST_CASE("folders: files are taken by content, and what is left out is said") {
  const Set set;
  set.add("train/cat/a.png", 1);
  set.add("train/cat/b", 1);  // a picture without an extension
  write_text(set.folder.file("train/cat/notes.txt"), "no picture");
  write_text(set.folder.file("train/cat/.DS_Store"), "x");
  write_text(set.folder.file("train/README"), "x");
  set.add("train/cat/more/c.png", 1);
  fs::create_directories(set.folder / "train/empty");
  fs::create_directories(set.folder / "train/.cache");
  const auto train = set.open("train");
  CHECK(train->size() == 2);
  CHECK(train->num_classes() == 2);
  const std::string notes = text_of(train->notes());
  CHECK_THAT(notes, Contains("no image (notes.txt)"));
  CHECK_THAT(notes, Contains("README"));
  CHECK_THAT(notes, Contains("more/"));
  CHECK_THAT(notes, Contains("folders without images") && Contains("\"empty\""));
}

TEST_CASE("folders: errors name the folder and the remedy") {
  Set set;
  set.add("validation/cat/a.png", 1);
  CHECK_THAT(message_of(ErrorKind::data, [&] { set.open("val"); }),
             Contains("there is no val split") && Contains("The root has \"validation\""));
  set.add("train/a.png", 1);
  CHECK_THAT(message_of(ErrorKind::data, [&] { set.open("train"); }),
             Contains("a folder of images per class") && Contains("but 1 file"));
  set.add("train/cat/a.png", 1);
  set.add("train/dog/a.png", 1);
  CHECK_THAT(message_of(ErrorKind::config, [&] { set.open("train", 3); }),
             Contains("has 2 classes: \"cat\", \"dog\"") && Contains("model.num_classes=2"));
  set.options.class_names = {"one"};
  CHECK_THAT(message_of(ErrorKind::config, [&] { set.open("train"); }), Contains("1 names for 2 classes"));
  set.options.class_names = {"Katze", "Hund"};
  CHECK(set.open("train")->classes()[1].name == "Hund");
  set.options.dataset = "list";
  CHECK_THAT(message_of(ErrorKind::config, [&] { set.open("train"); }), Contains("must be `folders`"));
  set.options.dataset = "folders";
  CHECK_THAT(message_of(ErrorKind::config, [&] { open_dataset(set.options, "train", 0, 0); }),
             Contains("`folders` is a classification data set"));
  write_text(set.folder.file("train/cat/torn.png"), "\x89PNG\r\n\x1a\n");
  set.options.class_names.clear();
  CHECK_THAT(message_of(ErrorKind::data, [&] { set.open("train")->load(1); }), Contains("torn.png"));
}

TEST_CASE("folders: checkpoint classes without names are taken by number, and that is said") {
  const Set set;
  set.add("val/n01/a.png", 1);
  set.add("val/n02/a.png", 1);
  ClassList bare;
  bare.what = "the checkpoint";
  bare.classes = {{"class0", {}, {}}, {"class1", {}, {}}};
  const auto val = set.open("val", 2, &bare);
  CHECK(val->counts() == std::vector<int64_t>{1, 1});
  CHECK(val->classes()[0].name == "n01");
  CHECK_THAT(text_of(val->notes()), Contains("has no class names"));
  bare.classes.push_back({"class2", {}, {}});
  CHECK_THAT(message_of(ErrorKind::data, [&] { set.open("val", 3, &bare); }), Contains("Got 3 and 2"));
}

TEST_CASE("folders: batches are functions of their number, whatever the workers") {
  Set set;
  for (int i = 0; i < 7; ++i) set.add(fmt::format("train/{}/{}.png", i % 2 ? "odd" : "even", i), 10 * i);
  const auto train = set.open("train");
  set.options.batch_size = 3;
  AugmentOptions augment;
  augment.flip_horizontal = 0.5;
  augment.brightness = 0.3;
  const AugmentOptions crop = class_augmentation(augment, set.options, 8);
  CHECK(crop.resized_crop);
  CHECK(crop.crop_height == 8);
  std::vector<Batch> first;
  {
    ClassLoader loader(*train, set.options, crop, 5, 0);
    for (int i = 0; i < 6; ++i) first.push_back(loader.next());
  }
  std::multiset<std::string> epoch;
  for (int i = 0; i < 7; ++i) epoch.insert(first[static_cast<size_t>(i / 3)].ids[static_cast<size_t>(i % 3)]);
  CHECK(std::set<std::string>(epoch.begin(), epoch.end()).size() == 7);
  set.options.workers = 2;
  ClassLoader again(*train, set.options, crop, 5, 2);
  for (size_t i = 2; i < 6; ++i) {
    const Batch b = again.next();
    CHECK(b.ids == first[i].ids);
    CHECK(same(b.images, first[i].images));
    CHECK(same(b.labels, first[i].labels));
    CHECK(b.labels.shape() == Shape{3, 1, 1});
    CHECK(b.images.shape() == Shape{3, 8, 8, 3});
    for (size_t k = 0; k < 3; ++k)
      CHECK(b.labels.data<int32_t>()[k] == (b.ids[k].starts_with("odd") ? 1 : 0));
  }
  // Images of one size need no crop.
  set.options.image_height = 6;
  set.options.image_width = 5;
  CHECK_FALSE(class_augmentation(augment, set.options, 8).resized_crop);
  ClassLoader fixed(*train, set.options, class_augmentation(augment, set.options, 8), 5, 0);
  CHECK(fixed.next().images.shape() == Shape{3, 6, 5, 3});
}

TEST_CASE("the random part of an image has the area and the aspect of the options, and lies inside") {
  AugmentOptions o;
  o.crop_height = 20;
  o.crop_width = 30;
  o.area_min = 0.2;
  o.area_max = 0.6;
  o.resized_crop = true;
  Rng rng(3, 4);
  double least = 1, most = 0;
  for (int i = 0; i < 300; ++i) {
    const internal::Warp warp = internal::draw_warp(200, 300, o, rng);
    const auto corner = warp.map(0, 0), far = warp.map(30, 20);
    const double w = far[0] - corner[0], h = far[1] - corner[1];
    CHECK(corner[0] >= -1e-9);
    CHECK(corner[1] >= -1e-9);
    CHECK(far[0] <= 300 + 1e-9);
    CHECK(far[1] <= 200 + 1e-9);
    const double area = w * h / (200 * 300);
    CHECK(w / h > 0.74);
    CHECK(w / h < 1.35);
    least = std::min(least, area);
    most = std::max(most, area);
  }
  CHECK(least > 0.19);
  CHECK(least < 0.25);
  CHECK(most < 0.61);
  CHECK(most > 0.5);
  // No part of that aspect has that area: the largest in the middle.
  o.area_min = o.area_max = 1;
  const internal::Warp middle = internal::draw_warp(100, 400, o, rng);
  CHECK(middle.map(0, 0)[0] == Approx((400 - 133) / 2));
  CHECK(middle.map(30, 20)[0] - middle.map(0, 0)[0] == Approx(133));
  CHECK(middle.map(30, 20)[1] == Approx(100));
}

TEST_CASE("evaluation sees the centre of the image whose shorter side was resized") {
  Tensor image = Tensor::empty({4, 9, 1}, DType::u8);
  for (int64_t i = 0; i < 36; ++i) image.data<uint8_t>()[i] = static_cast<uint8_t>(i);
  // (9 - 3) / 2 = 3; (4 - 3) / 2 = 0.5, which rounds to the even 0.
  const Tensor view = center_view(image, {}, 4, 3);
  CHECK(values_of(view) == std::vector<int>{3, 4, 5, 12, 13, 14, 21, 22, 23});
  CHECK(center_view(Tensor::full({50, 100, 3}, 7, DType::u8), {}, 20, 16).shape() == Shape{16, 16, 3});
  DataOptions fixed;
  fixed.image_height = 5;
  fixed.image_width = 6;
  CHECK(center_view(image, fixed, 4, 3).shape() == Shape{5, 6, 1});
  CHECK_THAT(message_of(ErrorKind::config, [&] { center_view(image, {}, 4, 5); }), Contains("[eval.crop]"));
}

TEST_CASE("generated shapes in folders: balanced, of the seed, and checked without findings") {
  const TemporaryFolder folder;
  const ShapesOptions shapes{.train = 10, .val = 5, .height = 32, .width = 40, .classes = 4, .seed = 9};
  write_shape_folders(folder.path(), shapes);
  DataOptions options;
  options.dataset = "folders";
  options.root = folder.path();
  const auto train = open_image_folders(options, "train", 3, 3);
  CHECK(train->classes()[2].name == "triangle");
  CHECK(train->counts() == std::vector<int64_t>{4, 3, 3});
  CHECK(same(train->load(0).image, generate_single_shape(shapes, 0)));
  const FolderCheckReport report = check_folders(options, 0, 0);
  CHECK(report.errors() == 0);
  CHECK(report.splits.size() == 2);
  CHECK(report.splits[1].class_images == std::vector<int64_t>{2, 2, 1});
  CHECK_THAT(report.table(), Contains("sizes 40x32 (10)"));

  fs::copy_file(folder / "train/circle/0000.png", folder / "val/circle/copy.png");
  write_text(folder / "val/square/torn.png", "\x89PNG\r\n\x1a\n");
  fs::create_directories(folder / "val/star");
  const FolderCheckReport faulty = check_folders(options, 0, 0);
  std::string all;
  for (const Finding& f : faulty.findings) all += (f.is_error ? "error " : "warning ") + f.message + "\n";
  CHECK_THAT(all, Contains("\"star\""));  // a class that only val has ends the reading of that split
  fs::remove(folder / "val/star");
  all.clear();
  for (const Finding& f : check_folders(options, 0, 0).findings)
    all += (f.is_error ? "error " : "warning ") + f.message + "\n";
  CHECK_THAT(all, Contains("torn.png"));
  CHECK_THAT(all, Contains("circle/copy.png"));
}
