#include "data/check.h"

#include <nlohmann/json.hpp>

#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

// Two train images and one val image, all different; labels as given.
struct Set : TemporaryFolder {
  DataOptions options;
  explicit Set(const Tensor& label) {
    options.root = path();
    int seed = 0;
    for (const char* name : {"a", "b", "c"}) {
      Tensor image = ramp({2, 4, 3});
      image.data<uint8_t>()[0] = static_cast<uint8_t>(++seed);
      write_png(file(std::string("i/") + name + ".png"), image);
      write_png(file(std::string("l/") + name + ".png"), label);
    }
    write_text(file("train.txt"), "i/a.png l/a.png\ni/b.png l/b.png\n");
    write_text(file("val.txt"), "i/c.png l/c.png\n");
  }
  CheckReport check(int64_t classes) const { return check_data(options, classes, 3); }
};

bool says(const CheckReport& report, bool error, const std::string& part) {
  for (const Finding& f : report.findings) {
    if (f.is_error == error && f.message.find(part) != std::string::npos) return true;
  }
  UNSCOPED_INFO(report.table());
  return false;
}

Tensor two_classes() {
  return pixels({2, 4}, {0, 0, 1, 1, 0, 0, 1, 255});
}

}  // namespace

TEST_CASE("data check: a good set has no findings, and its table and JSON agree") {
  const Set set(two_classes());
  const CheckReport report = set.check(2);
  CHECK(report.findings.empty());
  CHECK_THAT(report.table(),
             Catch::Contains("train: 2 images; sizes 4x2 (2)") && Catch::Contains("0 errors, 0 warnings"));
  const auto json = nlohmann::json::parse(report.json());
  CHECK(json["splits"][0]["class_pixels"] == nlohmann::json({8, 6}));
  CHECK(json["splits"][0]["file_values"]["255"] == 2);
  CHECK(json["splits"][1]["split"] == "val");
  CHECK(json["errors"].empty());
}

TEST_CASE("data check: binary masks of 0 and 255") {
  const Set set(pixels({2, 4}, {0, 0, 255, 255, 0, 0, 255, 255}));
  CHECK(says(set.check(2), true, "data.label_map=0:0,255:1"));
}

TEST_CASE("data check: labels that count from 1") {
  const Set set(pixels({2, 4}, {1, 1, 2, 2, 1, 1, 2, 2}));
  CHECK(says(set.check(3), false, "data.label_map=1-3:0"));
  CHECK(says(set.check(2), true, "value 2"));
  CHECK(says(set.check(3), false, "class 0 (class0) has no pixels"));
}

TEST_CASE("data check: colour labels, and palettes turned grey") {
  Set set(two_classes());
  write_png(set.file("l/a.png"), ramp({2, 4, 3}));
  CHECK(says(set.check(2), true, "labels must hold class indices"));
  const Set grey(pixels({2, 4}, {0, 38, 75, 113, 0, 38, 75, 113}));
  CHECK(says(grey.check(4), true, "converted to grey"));
}

TEST_CASE("data check: one class per label, classes without pixels, everything ignored") {
  const Set single(pixels({2, 4}, {1, 1, 1, 1, 1, 1, 1, 1}));
  CHECK(says(single.check(2), false, "one class only"));
  CHECK(says(single.check(2), false, "train: class 0 (class0) has no pixels: it cannot be learned"));
  CHECK(says(single.check(2), false,
             "val: class 0 (class0) has no pixels: it scores 0 if anything is predicted as it"));
  const Set nothing(pixels({2, 4}, {255, 255, 255, 255, 255, 255, 255, 255}));
  CHECK(says(nothing.check(2), true, "every labelled pixel is ignored"));
}

TEST_CASE("data check: Cityscapes train ids under a map of labelIds") {
  Set set(pixels({2, 4}, {0, 1, 2, 18, 0, 1, 2, 255}));
  set.options.label_map = "7:0,8:1,11:2,0-6:ignore,9-10:ignore,12-255:ignore";
  CHECK(says(set.check(3), true, "labelTrainIds"));
}

TEST_CASE("data check: the same picture in train and val, or twice in train") {
  Set set(two_classes());
  fs::copy_file(set.file("i/a.png"), set.file("i/c.png"), fs::copy_options::overwrite_existing);
  CHECK(says(set.check(2), true, "a (train) and c (val) have the same pixels"));
  set.options.allow_overlap = true;
  CHECK(says(set.check(2), false, "a (train) and c (val) have the same pixels (data.allow_overlap)"));
  CHECK(set.check(2).errors() == 0);
  set.options.allow_overlap = false;
  fs::copy_file(set.file("i/a.png"), set.file("i/b.png"), fs::copy_options::overwrite_existing);
  CHECK(says(set.check(2), false, "a (train) and b (train) have the same pixels"));
}

TEST_CASE("data check: the same pictures in val and test, and many of them") {
  Set set(two_classes());
  std::string test;
  for (const char* name : {"d", "e", "f", "g", "h"}) {
    fs::copy_file(set.file("i/c.png"), set.file(fmt::format("i/{}.png", name)));
    write_png(set.file(fmt::format("l/{}.png", name)), two_classes());
    test += fmt::format("i/{0}.png l/{0}.png\n", name);
  }
  write_text(set.file("test.txt"), test);
  const CheckReport report = set.check(2);
  CHECK(report.errors() == 0);
  CHECK(says(report, false,
             "5 images of test have the same pixels as images of val: c (val) and d (test), c (val) and e "
             "(test), c (val) and f (test), .... The best checkpoint is the one that scores best on val"));
  CHECK_FALSE(says(report, false, "validation"));
  fs::copy_file(set.file("i/a.png"), set.file("i/d.png"), fs::copy_options::overwrite_existing);
  CHECK(
      says(set.check(2), true, "a (train) and d (test) have the same pixels. Scores on test would measure"));
}

TEST_CASE("data check: train and val may be the same image where the config allows it") {
  Set set(two_classes());
  for (const char* list : {"train.txt", "val.txt"})
    write_text(set.file(list), "i/a.png l/a.png\ni/b.png l/b.png\n");
  CHECK(says(set.check(2), true, "line 1 of the train list (2 in all). Remove one"));
  for (const char* list : {"train.txt", "val.txt"}) write_text(set.file(list), "i/a.png l/a.png\n");
  CHECK(says(set.check(2), true, "train or val, not both. Got `i/a.png` in line 1 of the val list"));
  // Said once, with how many there are.
  const auto said = [&] {
    const auto report = set.check(2);
    return std::ranges::count_if(
        report.findings, [](const Finding& f) { return f.message.find("not both") != std::string::npos; });
  };
  CHECK(said() == 1);
  CHECK(says(set.check(2), true, "data.allow_overlap=true"));
  set.options.val_list = "train.txt";
  CHECK(says(set.check(2), true, "must be different lists"));
  CHECK(says(set.check(2), true, "data.allow_overlap=true"));
  set.options.allow_overlap = true;
  const CheckReport report = set.check(2);
  CHECK(report.errors() == 0);
  CHECK_THAT(report.table(), Catch::Contains("note: 1 of 1 validation images are training images too"));
  CHECK_THAT(open_dataset(set.options, "val", 2, 3)->describe(), Catch::Contains("note: 1 of 1 validation"));
  CHECK_THAT(open_dataset(set.options, "train", 2, 3)->describe(), !Catch::Contains("validation images"));
}

TEST_CASE("data check: unreadable files are all counted, the rest is still judged") {
  Set set(two_classes());
  write_text(set.file("i/a.png"), "no image");
  const CheckReport report = set.check(2);
  CHECK(says(report, true, "i/a.png"));
  CHECK(report.errors() == 1);
  CHECK(report.splits.at(0).unreadable == 1);
  CHECK(report.splits.at(1).images == 1);
  fs::remove(set.file("i/b.png"));
  fs::remove(set.file("l/b.png"));
  const CheckReport missing = set.check(2);
  CHECK(missing.errors() == 2);
  CHECK(says(missing, true, "i/b.png] file not found, nor its label l/b.png. Every listed file"));
  CHECK(says(missing, true, "i/a.png"));
}

TEST_CASE("data check: mixed sizes") {
  Set set(two_classes());
  write_png(set.file("i/a.png"), ramp({1, 4, 3}));
  write_png(set.file("l/a.png"), pixels({1, 4}, {0, 0, 1, 1}));
  CHECK(says(set.check(2), false, "train: images have 2 different sizes"));
  // Validation takes images one by one.
  write_text(set.file("val.txt"), "i/c.png l/c.png\ni/d.png l/d.png\n");
  write_png(set.file("i/d.png"), ramp({1, 3, 3}));
  write_png(set.file("l/d.png"), pixels({1, 3}, {0, 1, 1}));
  CHECK_FALSE(says(set.check(2), false, "val: images have 2 different sizes"));
}

TEST_CASE("data check: every bad line of a list is reported once, for the split whose list it is") {
  Set set(two_classes());
  write_text(set.file("train.txt"),
             "i/a.png l/a.png\nmy dir/a.png my dir/b.png\ni/b.png\n\"i/b.png l/b.png\n../x l/b.png\n"
             "i/a.png l/a.png\ni/b.png l/b.png\n");
  CheckReport report = set.check(2);
  CHECK(report.errors() == 5);
  for (const auto& [line, what] : {std::pair{2, "Got 4 in"},
                                   {3, "Got 1 in"},
                                   {4, "must end with a quote"},
                                   {5, "inside the root"},
                                   {6, "again (first in line 1)"}})
    CHECK(std::ranges::any_of(report.findings, [&, line = line, what = what](const Finding& f) {
      return f.message.starts_with(fmt::format("train: [{}:{}] ", set.file("train.txt"), line)) &&
             f.message.find(what) != std::string::npos;
    }));
  for (const Finding& f : report.findings) CHECK(f.message.starts_with("train: ["));
  REQUIRE(report.splits.size() == 2);
  CHECK(report.splits[0].images == 2);
  CHECK(report.splits[1].images == 1);
  CHECK_THAT(report.table(), Catch::Contains("val: 1 image;") && Catch::Contains("is not known for all"));
  CHECK_SAYS(ErrorKind::data, open_dataset(set.options, "train", 2, 3), "train.txt:4", "5 faults in all");
  CHECK(open_dataset(set.options, "val", 2, 3)->size() == 1);

  const std::string utf16(
      "\xff\xfe"
      "a\0 \0b\0\n\0",
      10);
  write_text(set.file("train.txt"), utf16);
  report = set.check(2);
  CHECK(report.errors() == 1);
  CHECK(says(report, true, "train: [" + set.file("train.txt") + "] lists must be UTF-8"));
  write_text(set.file("val.txt"), utf16);
  CHECK(set.check(2).errors() == 2);
  CHECK_THAT(set.check(2).table(), !Catch::Contains("label map"));
}

TEST_CASE("data check: a label that cannot be read is called a label") {
  Set set(two_classes());
  write_text(set.file("l/a.png"), "P5 4 2 255\n\1\1\1");
  const CheckReport report = set.check(2);
  CHECK(report.errors() == 1);
  CHECK(says(report, true, "[label " + set.file("l/a.png") + "] PGM"));
  CHECK_FALSE(report.findings[0].message.find("list") != std::string::npos);
  write_text(set.file("i/b.png"), "P5 4 2 255\n\1\1\1");
  CHECK(says(set.check(2), true, "[image " + set.file("i/b.png") + "] PGM"));
}
