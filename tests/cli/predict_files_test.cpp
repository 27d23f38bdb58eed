// `atrous predict`: which files it takes, and what its results are called.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/image_io.h"
#include "tests/cli/label_project.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;

TEST_CASE("predict on a folder reads images under any ending, and says what it leaves out") {
  const Project p;
  const std::string photos = p.folder.path("photos");
  std::filesystem::create_directory(photos);
  for (const char* name : {"/a.jfif", "/b.JPE", "/c"})
    std::filesystem::copy(p.folder.path("a.png"), photos + name);
  write_text(photos + "/._a.jfif", std::string("\0\5\26\7", 4));
  write_text(photos + "/Thumbs.db", "x");
  write_text(photos + "/d.tif", std::string("II*\0........", 12));
  write_text(photos + "/list.txt", "a b");
  const Outcome o = p.predict({photos, "--json", "-"});
  INFO(o.err);
  REQUIRE(o.code == 0);
  for (const char* name : {"a", "b", "c"})
    CHECK(std::filesystem::exists(p.folder.path("out/") + name + ".png"));
  CHECK_THAT(o.err, Contains("left behind by the operating system (._a.jfif, Thumbs.db)") &&
                        Contains("TIFF is not read: convert it to PNG (d.tif)") &&
                        Contains("no image (list.txt)"));
  const auto j = nlohmann::json::parse(o.out);
  CHECK(j["written"].size() == 3);
  REQUIRE(j["left_out"].size() == 4);
  for (const auto& file : j["left_out"]) CHECK(file["reason"] != "");
}

TEST_CASE("predict: images that differ in their endings alone keep them in the names of their results") {
  const Project p;
  std::filesystem::copy(p.folder.path("b.png"), p.folder.path("a.bmp"));
  const Outcome o = p.predict({p.folder.path("a.png"), p.folder.path("a.bmp"), p.folder.path("c.png")});
  INFO(o.err);
  REQUIRE(o.code == 0);
  for (const char* name : {"a.png.png", "a.bmp.png", "c.png", "overlays/a.png.png", "overlays/a.bmp.png"})
    CHECK(std::filesystem::exists(p.folder.path("out/") + name));
  CHECK_FALSE(std::filesystem::exists(p.folder.path("out/a.png")));
  CHECK_THAT(o.err, Contains("2 images differ from others only in the extension") && Contains("a.png.png"));
  // A name that a third image has by itself.
  std::filesystem::copy(p.folder.path("b.png"), p.folder.path("a.bmp.png"));
  const Outcome clash =
      p.predict({p.folder.path("a.png"), p.folder.path("a.bmp"), p.folder.path("a.bmp.png")});
  CHECK(clash.code == 2);
  CHECK_THAT(clash.err, Contains("names must differ"));
}

TEST_CASE("four-band pictures: the advice of the errors works") {
  const Project p;
  // 3 x 2 pixels of blue, green, red, alpha: a 32-bit bitmap whose header declares transparency.
  std::string bmp(14 + 108, '\0');
  const auto put = [&](size_t at, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) bmp[at + i] = static_cast<char>(value >> (8 * i));
  };
  put(10, 122), put(14, 108), put(18, 32), put(22, 32), put(26, 1 | 32u << 16), put(30, 3);
  put(54, 0xff0000), put(58, 0xff00), put(62, 0xff), put(66, 0xff000000);
  bmp[0] = 'B', bmp[1] = 'M';
  for (int i = 0; i < 32 * 32 * 4; ++i) bmp += static_cast<char>(i * 13);
  const std::string image = p.folder.path("four.bmp");
  write_text(image, bmp);
  const Outcome refused = p.predict({image});
  CHECK(refused.code == 4);
  CHECK_THAT(refused.err,
             Contains("data.alpha=drop") && Contains("data.alpha=keep with model.in_channels=4"));
  CHECK(p.predict({image, "--set", "data.alpha=drop"}).code == 0);
  // Trained on four channels: the same picture as it is; three channels are refused.
  for (const char* list : {"train.txt", "val.txt"})
    write_text(p.folder.path(list), std::string(list) + ".bmp l.png\n");
  for (const char* list : {"train.txt", "val.txt"}) {
    bmp.back() = list[0];  // two pictures
    write_text(p.folder.path(std::string(list) + ".bmp"), bmp);
  }
  data::write_png(p.folder.path("l.png"), stripes(32, 32, 3));
  const std::string run_folder = p.folder.path("run");
  const std::vector<std::string> train = {
      "train", "--config",          p.config, "--out",          run_folder, "--set", "train.epochs=1",
      "--set", "data.batch_size=1", "--set",  "data.alpha=keep"};
  const Outcome three = run(train);
  CHECK(three.code == 4);
  CHECK_THAT(three.err, Contains("model.in_channels=4"));
  std::vector<std::string> four = train;
  four[4] = p.folder.path("run4");
  four.insert(four.end(), {"--set", "model.in_channels=4"});
  const Outcome trained = run(four);
  INFO(trained.err);
  REQUIRE(trained.code == 0);
  const auto predict = [&](const std::string& file) {
    return run({"predict", "--weights", four[4], "--out", p.folder.path("out4"), file});
  };
  CHECK(predict(image).code == 0);
  const Outcome reverse = predict(p.folder.path("a.png"));
  CHECK(reverse.code == 4);
  CHECK_THAT(reverse.err, Contains("Got 3 channels, model.in_channels is 4"));
}

TEST_CASE("predict: more classes than a label image holds are refused before anything is written") {
  const Project p(300);
  const Outcome o = p.predict({p.folder.path("a.png")});
  CHECK(o.code == 3);
  CHECK_THAT(o.err, Contains("at most 255 classes") && Contains("300"));
  CHECK_FALSE(std::filesystem::exists(p.folder.path("out")));
}
