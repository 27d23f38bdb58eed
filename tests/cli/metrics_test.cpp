// `atrous metrics semantic` on files: good ones, and every way in which they can be wrong.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "data/image_io.h"
#include "eval/pictures.h"
#include "tests/cli/program.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;

namespace {

// Two pairs of label and prediction; the first prediction has one wrong pixel in 96.
struct Pairs {
  TemporaryFolder folder;
  std::string gt = folder.path("gt"), pred = folder.path("pred");
  Pairs() {
    std::filesystem::create_directory(gt);
    std::filesystem::create_directory(pred);
    for (const char* name : {"a", "b"}) {
      const Tensor label = stripes(8, 12, 3);
      data::write_png(gt + "/" + name + ".png", label);
      if (*name == 'a') label.data<uint8_t>()[0] = 2;
      data::write_png(pred + "/" + name + ".png", label, eval::voc_palette());
    }
  }
  Outcome score(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"metrics", "semantic", "--gt",      gt,
                                          "--pred",  pred,       "--classes", "3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
};

}  // namespace

TEST_CASE("scores of files, palette or grey, as JSON") {
  const Pairs p;
  const Outcome o = p.score({"--json", "-", "--names", "left,middle,right"});
  CHECK(o.code == 0);
  const auto j = nlohmann::json::parse(o.out);
  for (const char* key : {"miou", "pixel_accuracy", "mean_accuracy", "fw_iou", "mean_dice", "boundary_f1",
                          "per_class", "confusion"}) {
    CHECK(j.contains(key));
  }
  CHECK(j["pixel_accuracy"].get<double>() == Approx(191.0 / 192));
  CHECK(j["miou"].get<double>() == Approx((63.0 / 64 + 1 + 64.0 / 65) / 3));
  CHECK(j["per_class"][0]["name"] == "left");
  CHECK(j["confusion"][0][2] == 1);
  CHECK(j["images"] == 2);
  CHECK_THAT(o.err, Contains("one confusion matrix over the set"));
}

TEST_CASE("absent classes and ignored pixels are stated") {
  const Pairs p;
  const Outcome o = p.score({"--classes", "5", "--ignore", "1"});
  // --classes twice is a usage error; the table is asked for again properly.
  CHECK(o.code == 2);
  const Outcome table =
      run({"metrics", "semantic", "--gt", p.gt, "--pred", p.pred, "--classes", "5", "--ignore", "1"});
  CHECK(table.code == 0);
  CHECK_THAT(table.out, Contains("64 ignored"));
  CHECK_THAT(table.out, Contains("absent classes  class3, class4"));
  CHECK_THAT(table.out, Contains("excluded        class1"));
  CHECK_THAT(table.out, Contains("over 2 of 5 classes"));
}

TEST_CASE("an ignored value that is a class leaves all means, wherever it is predicted") {
  const TemporaryFolder folder;
  for (const char* name : {"gt", "pred"}) std::filesystem::create_directory(folder.path(name));
  const Tensor label = stripes(8, 12, 3);
  data::write_png(folder.path("gt/a.png"), label);
  label.data<uint8_t>()[0] = 1;  // of class 0, predicted as the ignored class
  data::write_png(folder.path("pred/a.png"), label);
  const Outcome o = run({"metrics", "semantic", "--gt", folder.path("gt"), "--pred", folder.path("pred"),
                         "--classes", "3", "--ignore", "1", "--json", "-"});
  REQUIRE(o.code == 0);
  const auto j = nlohmann::json::parse(o.out);
  CHECK(j["classes_in_mean"] == 2);
  CHECK(j["miou"].get<double>() == Approx((31.0 / 32 + 1) / 2));
  CHECK(j["mean_accuracy"].get<double>() == Approx((31.0 / 32 + 1) / 2));
  CHECK(j["mean_dice"].get<double>() == Approx((62.0 / 63 + 1) / 2));
  CHECK(j["excluded_classes"] == nlohmann::json({"class1"}));
  CHECK(j["absent_classes"].empty());
  CHECK(j["per_class"][1]["iou"].is_null());
  CHECK(j["per_class"][1]["boundary_f1"].is_null());
  CHECK(j["per_class"][1]["excluded"] == true);
  CHECK(j["per_class"][1]["predicted"] == 1);
  CHECK(j["confusion"][0][1] == 1);
  CHECK(j["boundary_f1"].get<double>() == Approx((j["per_class"][0]["boundary_f1"].get<double>() +
                                                  j["per_class"][2]["boundary_f1"].get<double>()) /
                                                 2));
}

TEST_CASE("a missing prediction is an error that names it; an extra one is a note") {
  const Pairs p;
  std::filesystem::rename(p.pred + "/b.png", p.pred + "/c.png");
  const Outcome o = p.score();
  CHECK(o.code == 4);
  CHECK_THAT(o.err, Contains("gt/b.png: no prediction \"b\""));
  CHECK_THAT(o.err, Contains("1 prediction(s) have no label"));
}

TEST_CASE("all that is wrong is named in one run, with exit code 4") {
  const Pairs p;
  data::write_png(p.pred + "/a.png", stripes(8, 13, 3));
  data::write_png(p.gt + "/b.png", Tensor::full({8, 12}, 9, DType::u8));
  const Outcome o = p.score();
  CHECK(o.code == 4);
  CHECK(o.out == "");
  CHECK_THAT(
      o.err,
      Contains("every label must be scored. Got 2 of 2 that cannot be: 1 with a size that differs from the "
               "prediction's; 1 with a value that is no class, here or in the prediction. Fix"));
  CHECK_THAT(o.err, Contains("pred/a.png") && Contains("must have one size"));
  CHECK_THAT(o.err, Contains("gt/b.png") && Contains("Got 9 at x=0, y=0"));
}

TEST_CASE("without an ignored value the message names none, and the table says so") {
  const Pairs p;
  const Outcome good = p.score({"--ignore", "-1", "--json", "-"});
  REQUIRE(good.code == 0);
  CHECK(nlohmann::json::parse(good.out)["ignored_value"] == "none");
  data::write_png(p.gt + "/b.png", Tensor::full({8, 12}, 255, DType::u8));
  const Outcome o = p.score({"--ignore", "-1"});
  CHECK(o.code == 4);
  CHECK_THAT(o.err, Contains("Got 1 of 2 that cannot be: 1 with a value that is no class") &&
                        Contains("label values must be below 3. Got 255 at x=0, y=0") &&
                        !Contains("(ignored)") && !Contains("readable") && !Contains("or -1"));
}

TEST_CASE("labels that are all ignored have no scores: null, and not 0") {
  const Pairs p;
  for (const char* name : {"/a.png", "/b.png"})
    data::write_png(p.gt + name, Tensor::full({8, 12}, 255, DType::u8));
  const Outcome o = p.score({"--json", p.folder.path("s.json")});
  REQUIRE(o.code == 0);
  CHECK_THAT(o.out, Contains("\nnothing to score: all pixels of the labels are ignored\n") &&
                        Contains("192 ignored (100.00 %)") && !Contains("0.0000"));
  const auto j = nlohmann::json::parse(read_text(p.folder.path("s.json")));
  for (const char* key :
       {"miou", "pixel_accuracy", "mean_accuracy", "fw_iou", "mean_dice", "boundary_f1", "loss"})
    CHECK(j[key].is_null());
  CHECK(j["pixels"] == 0);
  CHECK(j["classes_in_mean"] == 0);
}

TEST_CASE("RGB masks, truncated files and files that are no images are refused by name") {
  const Pairs p;
  data::write_png(p.gt + "/a.png", striped_picture(8, 12, 3));
  CHECK(p.score().code == 4);
  CHECK_THAT(p.score().err, Contains("gt/a.png") && Contains("RGB"));
  const std::string whole = read_text(p.pred + "/a.png");
  data::write_png(p.gt + "/a.png", stripes(8, 12, 3));
  write_text(p.pred + "/a.png", whole.substr(0, whole.size() / 2));
  CHECK(p.score().code == 4);
  CHECK_THAT(p.score().err, Contains("pred/a.png"));
  write_text(p.pred + "/a.png", "hello");
  CHECK(p.score().code == 4);
}

TEST_CASE("pairs are found by name, then by stem where only one file has it") {
  const Pairs p;
  const Tensor label = stripes(8, 12, 3);
  const auto pixel_accuracy = [&] {
    const Outcome o = p.score({"--json", "-"});
    INFO(o.err);
    REQUIRE(o.code == 0);
    return nlohmann::json::parse(o.out)["pixel_accuracy"].get<double>();
  };
  const double before = pixel_accuracy();
  // What is no label is left out, and said.
  write_text(p.gt + "/._a.png", "x");
  write_text(p.pred + "/readme.txt", "x");
  write_text(p.pred + "/a.jpg", "\xff\xd8\xff\xe0 a photograph beside its label");
  CHECK(pixel_accuracy() == before);
  CHECK_THAT(p.score().err, Contains("operating system (._a.png)") && Contains("no image (readme.txt)") &&
                                Contains("without loss (a.jpg)"));
  // A second prediction of the stem a: the one of the same name counts, the other is not scored.
  data::write_png(p.pred + "/a.bmp", label);
  CHECK(pixel_accuracy() == before);
  CHECK_THAT(p.score().err, Contains("1 prediction(s) have no label"));
  // Then the label has two, and both pairs count: one wrong pixel in three pictures.
  data::write_png(p.gt + "/a.bmp", label);
  CHECK(pixel_accuracy() == Approx(287.0 / 288));
  // The only prediction of a stem serves for one label, not for two.
  std::filesystem::remove(p.pred + "/a.bmp");
  const Outcome o = p.score();
  CHECK(o.code == 4);
  CHECK_THAT(o.err, Contains("a.bmp: no prediction \"a.bmp\"") && Contains("whole names must agree") &&
                        Contains("Got 1 of 3 that cannot be: 1 without a prediction. Fix"));
}

TEST_CASE("folders that are none, or empty, or ambiguous") {
  const Pairs p;
  CHECK(run({"metrics", "semantic", "--gt", p.gt + "x", "--pred", p.pred, "--classes", "3"}).code == 4);
  const std::string empty = p.folder.path("empty");
  std::filesystem::create_directory(empty);
  const Outcome o = run({"metrics", "semantic", "--gt", empty, "--pred", p.pred, "--classes", "3"});
  CHECK(o.code == 4);
  CHECK_THAT(o.err, Contains("has none"));
  CHECK(run({"metrics", "semantic", "--gt", p.gt, "--pred", p.pred, "--classes", "0"}).code == 2);
}
