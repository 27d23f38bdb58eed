// `atrous eval` and `atrous predict` with a small untrained network: results, and what users get wrong.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/device_runtime.h"
#include "data/image_io.h"
#include "tests/cli/label_project.h"
#include "tests/cli/program.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;

TEST_CASE("eval needs only the checkpoint, and gives table, JSON and a report") {
  const Project p;
  // b is one class to its own confusion: whatever is predicted, the images differ in their scores.
  data::write_png(p.folder.path("b_label.png"), stripes(19, 26, 1));
  const std::string folder = p.folder.path("report");
  const Outcome o = p.eval({"--json", p.folder.path("s.json"), "--report", folder, "--worst", "1"});
  INFO(o.err);
  REQUIRE(o.code == 0);
  const auto j = nlohmann::json::parse(read_text(p.folder.path("s.json")));
  for (const char* key : {"miou", "pixel_accuracy", "mean_accuracy", "fw_iou", "mean_dice", "boundary_f1",
                          "per_class", "confusion"}) {
    CHECK(j.contains(key));
  }
  CHECK(j["images"] == 2);
  CHECK(j["pixels"] == 2 * 19 * 26);
  CHECK(j["per_class"].size() == 3);
  CHECK(j["confusion"].size() == 3);
  CHECK_THAT(o.out, Contains("definition      one confusion matrix over the set"));
  CHECK_THAT(o.out, Contains("resolution"));
  // The same numbers in the report's folder; the page needs no other file.
  CHECK(nlohmann::json::parse(read_text(folder + "/scores.json")) == j);
  CHECK_THAT(read_text(folder + "/confusion.svg"), Contains("right → right"));
  // The list does not name its classes; the checkpoint does.
  CHECK(j["per_class"][1]["name"] == "middle");
  CHECK_THAT(o.out, Contains("middle") && !Contains("class1"));
  const auto& images = j["per_image"];
  REQUIRE(images.size() == 2);
  for (const char* key : {"id", "path", "miou", "pixel_accuracy", "loss", "boundary_f1"})
    CHECK(images[0].contains(key));
  CHECK(j["per_class"][0].contains("boundary_f1"));
  REQUIRE(images[0]["miou"] != images[1]["miou"]);
  const std::string worst = images[0]["miou"] < images[1]["miou"] ? "a" : "b";
  for (const char* kind : {"image", "label", "prediction", "error"}) {
    const Tensor picture = data::read_image(folder + "/worst/01_" + worst + "_" + kind + ".png");
    CHECK(picture.shape() == Shape({19, 26, 3}));
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder + "/worst"), {}) == 4);
  const std::string page = read_text(folder + "/report.html");
  CHECK_THAT(page, Contains("middle") && !Contains("class1"));
  CHECK_THAT(page, Contains("<h3>1. " + worst + "</h3>") && Contains("data:image/png;base64,iVBOR") &&
                       Contains("Confusion matrix") && Contains("Boundary F1") && !Contains("src=\"http"));
  // Names that the user gives to the classes of the set are matched like those of the set.
  const Outcome named = p.eval({"--set", "data.class_names=road,car,sky"});
  CHECK(named.code == 4);
  CHECK_THAT(named.err, Contains("\n  car") && Contains("middle") && Contains("data.class_map=road:NAME"));
  // A second report replaces the pictures of the first, and only those.
  write_text(folder + "/worst/notes.txt", "mine");
  REQUIRE(p.eval({"--report", folder, "--worst", "0"}).code == 0);
  CHECK(std::distance(std::filesystem::directory_iterator(folder + "/worst"), {}) == 1);
  for (const std::vector<std::string>& mode : std::vector<std::vector<std::string>>{{"--flip"},
                                                                                    {"--multi-scale"},
                                                                                    {"--sliding", "16x16"},
                                                                                    {"--config", p.config},
                                                                                    {"--split", "test"}}) {
    CHECK(p.eval(mode).code == 0);
  }
}

TEST_CASE("eval of labels that are all ignored has no scores, in table, JSON and report") {
  const Project p;
  for (const char* name : {"a_label.png", "b_label.png"})
    data::write_png(p.folder.path(name), Tensor::full({19, 26}, 255, DType::u8));
  const std::string json = p.folder.path("s.json"), report = p.folder.path("report");
  const Outcome o = p.eval({"--json", json, "--report", report});
  REQUIRE(o.code == 0);
  CHECK_THAT(o.out,
             Contains("nothing to score: all pixels of the labels are ignored") && !Contains("0.0000"));
  const auto j = nlohmann::json::parse(read_text(json));
  for (const char* key :
       {"miou", "pixel_accuracy", "mean_accuracy", "fw_iou", "mean_dice", "boundary_f1", "loss"})
    CHECK(j[key].is_null());
  REQUIRE(j["per_image"].size() == 2);
  for (const char* key : {"miou", "pixel_accuracy", "loss", "boundary_f1"})
    CHECK(j["per_image"][0][key].is_null());
  CHECK_THAT(read_text(report + "/report.html"),
             Contains("nothing to score: all pixels") && !Contains("0.0 %") && !Contains("– %"));
  // The CRF's table has the same nothing before and after.
  const Outcome crf = p.eval({"--crf", "--json", json, "--report", report});
  REQUIRE(crf.code == 0);
  CHECK_THAT(crf.out, Contains("mIoU                  -       -        -"));
  CHECK(nlohmann::json::parse(read_text(json))["crf"]["before"]["loss"].is_null());
  // A search among equal nothings has no best.
  const Outcome search = run({"crf-search", "--weights", p.weights, "--output", p.folder.path("crf.json"),
                              "--grid", "iterations=1"});
  CHECK(search.code == 4);
  CHECK_THAT(search.err, Contains("[crf-search] a search needs scored pixels. Got 2 images"));
}

TEST_CASE("eval: wrong options, configs and weights have messages and codes of their own") {
  const Project p;
  CHECK(p.eval({"--sliding", "16"}).code == 2);
  CHECK_THAT(p.eval({"--sliding", "16"}).err, Contains("wants HEIGHTxWIDTH"));
  Outcome o = p.eval({"--set", "eval.flipp=true"});
  CHECK(o.code == 3);
  CHECK_THAT(o.err, Contains("flipp") && Contains("flip"));
  CHECK(p.eval({"--set", "eval.flip=perhaps"}).code == 3);
  CHECK(p.eval({"--config", p.folder.path("none.json")}).code == 3);
  CHECK_THAT(p.eval({"--config", p.folder.path("none.json")}).err, Contains("none.json"));
  write_text(p.config, p.config_text(5));
  o = p.eval({"--config", p.config});
  CHECK(o.code == 5);
  CHECK_THAT(o.err, Contains("outc"));  // the layer whose class count differs
  o = run({"eval", "--weights", p.folder.path("none.safetensors")});
  CHECK(o.code == 5);
  CHECK_THAT(o.err, Contains("none.safetensors"));
  const std::string whole = read_text(p.weights);
  write_text(p.weights, whole.substr(0, whole.size() - 100));
  CHECK(p.eval().code == 5);
  write_text(p.weights, "{}");
  CHECK(p.eval().code == 5);
}

TEST_CASE("eval: bad labels and images are named, with exit code 4") {
  const Project p;
  const std::string label = p.folder.path("b_label.png"), image = p.folder.path("b.png");
  auto expect = [&](const std::string& text) {
    const Outcome o = p.eval();
    CHECK(o.code == 4);
    CHECK_THAT(o.err, Contains(text));
  };
  const Tensor wrong = stripes(19, 26, 3);
  wrong.data<uint8_t>()[26 + 3] = 7;
  data::write_png(label, wrong);
  expect("b_label.png");
  expect("7");
  data::write_png(label, striped_picture(19, 26, 3));  // an RGB mask
  expect("b_label.png");
  data::write_png(label, stripes(19, 25, 3));  // another size
  expect("b_label.png");
  data::write_png(label, stripes(19, 26, 3));
  const std::string whole = read_text(image);
  write_text(image, whole.substr(0, whole.size() - 30));
  expect("b.png");
  write_text(image, "no image");
  expect("b.png");
  std::filesystem::remove(image);
  expect("b.png");
}

TEST_CASE("predict writes label images with palette and overlays at the size of the image") {
  const Project p;
  const Outcome o = p.predict({p.folder.path("a.png"), p.folder.path("b.png"), "--json", "-"});
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(nlohmann::json::parse(o.out)["written"].size() == 2);
  const data::LabelFile labels = data::read_label_file(p.folder.path("out/a.png"));
  CHECK(labels.values.shape() == Shape({19, 26}));
  CHECK_FALSE(labels.is_rgb);
  REQUIRE(labels.palette.size() >= 3);
  CHECK(labels.palette[1] == data::Color{0, 255, 0});
  const Tensor overlay = data::read_image(p.folder.path("out/overlays/b.png"));
  CHECK(overlay.dim(1) == 26);
  CHECK(overlay.dim(0) > 19);  // the legend below
  // What predict wrote is what metrics reads.
  std::filesystem::create_directory(p.folder.path("gt"));
  for (const char* name : {"a", "b"}) {
    std::filesystem::copy(p.folder.path(std::string(name) + "_label.png"),
                          p.folder.path("gt/" + std::string(name) + ".png"));
  }
  const Outcome scores = run({"metrics", "semantic", "--gt", p.folder.path("gt"), "--pred",
                              p.folder.path("out"), "--classes", "3", "--json", "-"});
  REQUIRE(scores.code == 0);
  REQUIRE(p.eval({"--json", p.folder.path("s.json")}).code == 0);
  CHECK(nlohmann::json::parse(scores.out)["miou"] ==
        nlohmann::json::parse(read_text(p.folder.path("s.json")))["miou"]);
}

TEST_CASE("predict goes on after an unreadable image and lists it; --resume skips what is done") {
  const Project p;
  write_text(p.folder.path("broken.jpg"), "\xff\xd8\xff\xe0 not really");
  Outcome o = p.predict({p.folder.path("broken.jpg"), p.folder.path("a.png"), p.folder.path("missing.png")});
  CHECK(o.code == 4);
  CHECK_THAT(o.err, Contains("2 of 3 were refused") && Contains("broken.jpg") && Contains("missing.png"));
  CHECK(std::filesystem::exists(p.folder.path("out/a.png")));
  CHECK_FALSE(std::filesystem::exists(p.folder.path("out/broken.png")));
  o = p.predict({"--resume", p.folder.path("a.png"), p.folder.path("b.png")});
  CHECK(o.code == 0);
  CHECK_THAT(o.err, Contains("1 image(s) were already done"));
  CHECK_THAT(o.out, Contains("b.png"));
  CHECK(o.out.find("a.png") == std::string::npos);
}

TEST_CASE("predict never replaces a photograph") {
  const Project p;
  const std::string photos = p.folder.path("photos");
  std::filesystem::create_directories(photos + "/overlays");
  const std::string a = photos + "/a.png", b = photos + "/overlays/b.png";
  std::filesystem::copy(p.folder.path("a.png"), a);
  std::filesystem::copy(p.folder.path("b.png"), b);
  const std::string a_before = read_text(a), b_before = read_text(b);
  std::filesystem::create_directory_symlink(photos, p.folder.path("link"));
  const auto into = [&](const std::string& out, const std::vector<std::string>& images) {
    std::vector<std::string> arguments = {"predict", "--weights", p.weights, "--out", out};
    arguments.insert(arguments.end(), images.begin(), images.end());
    return run(arguments);
  };
  for (const std::string& out : {photos, photos + "/", photos + "/../photos", p.folder.path("link")}) {
    CAPTURE(out);
    const Outcome o = into(out, {a});
    CHECK(o.code == 2);
    CHECK_THAT(o.err, Contains("a.png") && Contains("--out"));
  }
  CHECK(into(photos, {b}).code == 2);  // its own overlay's name
  // An image of the same stem: both keep their endings, and no result has the name of an image.
  std::filesystem::copy(p.folder.path("c.png"), p.folder.path("b.jpg"));
  CHECK(into(photos, {p.folder.path("b.jpg"), b}).code == 0);
  CHECK(read_text(a) == a_before);
  CHECK(read_text(b) == b_before);
}

TEST_CASE("device option: the simulator gives the CPU's scores, unknown and absent devices are refused") {
  const Project p;
  const Outcome cpu = p.eval({"--device", "cpu", "--json", "-"}),
                sim = p.eval({"--device", "sim", "--json", "-"});
  REQUIRE(cpu.code == 0);
  REQUIRE(sim.code == 0);
  CHECK(nlohmann::json::parse(sim.out)["miou"] == nlohmann::json::parse(cpu.out)["miou"]);
  std::vector<std::string> refused{"gpu"};
  if (why_unavailable(Device::cuda)) refused.push_back("cuda");
  for (const std::string& device : refused) {
    for (const Outcome& o :
         {p.eval({"--device", device}), p.predict({p.folder.path("a.png"), "--device", device}),
          run({"train", "--config", p.config, "--out", p.folder.path("run"), "--device", device}),
          run({"forward", "--config", p.config, "--input", "i", "--output", "o", "--device", device})}) {
      CHECK(o.code == 2);
      CHECK_THAT(o.err, Contains("--device") && Contains(device));
    }
  }
}

TEST_CASE("predict: folders, equal names, output that cannot be made") {
  const Project p;
  const std::string photos = p.folder.path("photos");
  std::filesystem::create_directory(photos);
  CHECK(p.predict({photos}).code == 4);  // no image in it
  std::filesystem::copy(p.folder.path("a.png"), photos + "/a.png");
  CHECK(p.predict({photos}).code == 0);
  Outcome o = p.predict({photos, p.folder.path("a.png")});
  CHECK(o.code == 2);
  CHECK_THAT(o.err, Contains("names must differ"));
  // A file where a folder must be: refused whoever runs the test.
  o = run({"predict", "--weights", p.weights, "--out", p.config + "/out", p.folder.path("a.png")});
  CHECK(o.code == 8);
  CHECK_THAT(o.err, Contains("[--out]"));
  // Nothing is made before the weights are known to be good.
  const std::string results = p.folder.path("results");
  CHECK(run({"predict", "--weights", p.folder.path("none"), "--out", results, p.folder.path("a.png")}).code ==
        5);
  CHECK(run({"eval", "--weights", p.folder.path("none"), "--report", results}).code == 5);
  CHECK_FALSE(std::filesystem::exists(results));
  data::write_png(p.folder.path("grey.png"), stripes(9, 9, 3));
  CHECK(p.predict({p.folder.path("grey.png")}).code == 0);  // grey serves as RGB
}

TEST_CASE("eval --crf tells the scores before and after, and shows what changed") {
  const Project p;
  const std::string folder = p.folder.path("report");
  const std::string params = "bilateral_xy=5,bilateral_rgb=40,iterations=3";
  const Outcome plain = p.eval({"--json", "-"});
  const Outcome o = p.eval({"--crf", params, "--json", p.folder.path("s.json"), "--report", folder});
  INFO(o.err);
  REQUIRE(plain.code == 0);
  REQUIRE(o.code == 0);
  const auto before = nlohmann::json::parse(plain.out),
             j = nlohmann::json::parse(read_text(p.folder.path("s.json")));
  CHECK_FALSE(before.contains("crf"));
  REQUIRE(j.contains("crf"));
  CHECK(j["crf"]["bilateral_xy"] == 5);
  CHECK(j["crf"]["gaussian_weight"] == 3);  // of the config
  for (const char* key :
       {"miou", "boundary_f1", "pixel_accuracy", "loss", "per_class", "confusion", "per_image"})
    CHECK(j["crf"]["before"][key] == before[key]);
  CHECK(j["confusion"] != before["confusion"]);
  CHECK_THAT(o.out, Contains("CRF              before   after") && Contains("dense CRF iterations=3"));
  CHECK_THAT(o.out, Contains(fmt::format("cross-entropy   {:>7.4f} {:>7.4f}", before["loss"].get<double>(),
                                         j["loss"].get<double>())));
  const std::string page = read_text(folder + "/report.html");
  CHECK_THAT(page, Contains("What the CRF changed") && Contains("bilateral_xy=5"));
  CHECK_THAT(page, Contains(fmt::format("<td>cross-entropy (nats)</td><td>{:.4f}</td><td>{:.4f}</td>",
                                        before["loss"].get<double>(), j["loss"].get<double>())));
  for (const char* kind : {"before", "after", "change"}) {
    int64_t found = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder + "/crf"))
      found += file.path().string().ends_with(std::string("_") + kind + ".png");
    CHECK(found == 2);
  }
  // A report without CRF into the same folder leaves none of it.
  REQUIRE(p.eval({"--report", folder}).code == 0);
  CHECK(std::filesystem::is_empty(folder + "/crf"));
  CHECK(read_text(folder + "/report.html").find("CRF") == std::string::npos);

  // The config's parameters serve where none are given.
  const Outcome bare = p.eval({"--crf", "--set", "eval.crf.bilateral_xy=5", "--set",
                               "eval.crf.bilateral_rgb=40", "--set", "eval.crf.iterations=3", "--json", "-"});
  const Outcome config =
      p.eval({"--set", "eval.crf.bilateral_xy=5", "--set", "eval.crf.bilateral_rgb=40", "--set",
              "eval.crf.iterations=3", "--set", "eval.crf.enabled=true", "--json", "-"});
  REQUIRE(bare.code == 0);
  REQUIRE(config.code == 0);
  CHECK(nlohmann::json::parse(bare.out)["confusion"] == j["confusion"]);
  CHECK(nlohmann::json::parse(config.out)["confusion"] == j["confusion"]);
}

TEST_CASE("a network with a CRF of its own is named so, and weights without one are told how to get it") {
  const Project p;
  const std::string weights = p.folder.path("crf.safetensors"), crf = "model.crf_as_rnn={}";
  const Outcome lacking = p.eval({"--set", crf});
  CHECK(lacking.code == 5);
  CHECK_THAT(lacking.err, Contains("a network without CRF") && Contains("import-weights --partial"));
  const Outcome imported = run({"import-weights", "--config", p.config, "--set", crf, "--input", p.weights,
                                "--output", weights, "--partial"});
  INFO(imported.err);
  REQUIRE(imported.code == 0);
  const std::string folder = p.folder.path("report"), scores = p.folder.path("s.json");
  const Outcome own = run({"eval", "--weights", weights, "--report", folder, "--json", scores});
  INFO(own.err);
  REQUIRE(own.code == 0);
  CHECK_THAT(own.out, Contains("CRF as RNN      10 iterations, full weights"));
  CHECK(nlohmann::json::parse(read_text(scores))["CRF_as_RNN"] == "10 iterations, full weights");
  CHECK_THAT(read_text(folder + "/report.html"), Contains("Evaluation: unet, with CRF as RNN"));
  CHECK_THAT(own.err, !Contains("once more"));
  const Outcome twice = run({"eval", "--weights", weights, "--crf", "iterations=1"});
  CHECK(twice.code == 0);
  CHECK_THAT(twice.err, Contains("once more"));
}

TEST_CASE("eval --crf: wrong parameters and images without colours") {
  Project p;
  CHECK(p.eval({"--crf", "bilateral=3"}).code == 2);
  CHECK_THAT(p.eval({"--crf", "bilateral=3"}).err, Contains("[--crf]") && Contains("bilateral_xy"));
  Outcome o = p.eval({"--set", "eval.crf.bilateral_xy=0"});
  CHECK(o.code == 3);
  CHECK_THAT(o.err, Contains("eval.crf.bilateral_xy"));
  o = p.eval({"--set", "eval.crf.normalization=befor"});
  CHECK(o.code == 3);
  CHECK_THAT(o.err, Contains("did you mean \"before\""));
  o = p.eval({"--crf", "--set", "eval.crf.max_memory=1", "--set", "eval.crf.iterations=1"});
  CHECK(o.code == 0);  // 19 x 26 pixels fit
  CHECK_THAT(o.out, !Contains("approximation"));

  // What was refined in parts says so, in every place.
  for (const char* name : {"a", "b"}) {
    data::write_png(p.folder.path(std::string(name) + ".png"), striped_picture(70, 300, 3));
    data::write_png(p.folder.path(std::string(name) + "_label.png"), stripes(70, 300, 3));
  }
  const std::vector<std::string> tiled = {"--crf", "bilateral_xy=4,gaussian_xy=2,iterations=1", "--set",
                                          "eval.crf.max_memory=12"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), tiled.begin(), tiled.end());
    return more;
  };
  o = p.eval(with({"--json", p.folder.path("t.json"), "--report", p.folder.path("tiled")}));
  INFO(o.err);
  REQUIRE(o.code == 0);
  const std::string says = "2 of 2 images in up to 2 parts, to stay within 12 MiB: an approximation";
  CHECK_THAT(o.out, Contains("tiles           " + says));
  CHECK_THAT(read_text(p.folder.path("tiled/report.html")), Contains("Refined " + says));
  const auto scores = nlohmann::json::parse(read_text(p.folder.path("t.json")));
  CHECK(scores["crf"]["tiled_images"] == 2);
  CHECK(scores["crf"]["most_tiles"] == 2);
  o = p.predict(with({p.folder.path("a.png"), "--json", p.folder.path("p.json")}));
  REQUIRE(o.code == 0);
  CHECK_THAT(o.err, Contains("a.png: the CRF in 2 tiles, to stay within 12 MiB: an approximation"));
  CHECK(nlohmann::json::parse(read_text(p.folder.path("p.json")))["written"][0]["crf_tiles"] == 2);
}

TEST_CASE("predict --crf writes the labels that eval --crf scores; a file after the flag is an image") {
  const Project p;
  const std::string params = "bilateral_xy=5,bilateral_rgb=40,iterations=3";
  const auto labels_after = [&](const std::vector<std::string>& arguments) {
    std::filesystem::remove_all(p.folder.path("out"));
    const Outcome o = p.predict(arguments);
    INFO(o.err);
    REQUIRE(o.code == 0);
    return read_text(p.folder.path("out/a.png"));
  };
  const std::string a = p.folder.path("a.png"), b = p.folder.path("b.png");
  const std::string plain = labels_after({a}), refined = labels_after({a, "--crf", params});
  CHECK(plain != refined);
  CHECK(labels_after({"--crf", params, a}) == refined);
  const std::vector<std::string> set = {"--set", "eval.crf.bilateral_xy=5",
                                        "--set", "eval.crf.bilateral_rgb=40",
                                        "--set", "eval.crf.iterations=3"};
  for (std::vector<std::string> arguments :
       std::vector<std::vector<std::string>>{{a, b, "--crf"}, {"--crf", a, b}, {b, "--crf", a}}) {
    arguments.insert(arguments.end(), set.begin(), set.end());
    CHECK(labels_after(arguments) == refined);
    CHECK(std::filesystem::exists(p.folder.path("out/b.png")));
  }
  CHECK(p.predict({a, "--crf", "iterations"}).code == 4);  // no parameter, so an image, which is not there
}

TEST_CASE("crf-search writes its tables and names the best parameters") {
  const Project p;
  const std::string table = p.folder.path("search/crf.json");
  const std::vector<std::string> command = {"crf-search",
                                            "--weights",
                                            p.weights,
                                            "--output",
                                            table,
                                            "--params",
                                            "iterations=2,bilateral_rgb=40",
                                            "--grid",
                                            "bilateral_xy=3:6:3,bilateral_weight=1:9:4"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  Outcome o = with({"--cache-memory", "0"});
  INFO(o.err);
  REQUIRE(o.code == 0);
  const auto j = nlohmann::json::parse(read_text(table));
  CHECK(j["complete"] == true);
  CHECK(j["images"] == 2);
  REQUIRE(j["trials"].size() == 6);
  double best = 0;
  for (const auto& trial : j["trials"]) {
    CHECK(trial["iterations"] == 2);
    best = std::max(best, trial["miou"].get<double>());
  }
  CHECK(j["best"]["miou"] == best);
  const std::string text = j["best"]["text"];
  CHECK_THAT(o.out, Contains("--crf " + text) && Contains("without CRF"));
  CHECK_THAT(read_text(p.folder.path("search/crf.md")), Contains("| 2 | 3 | 3 | 9 | 6 | 40 |"));
  const auto scored = nlohmann::json::parse(p.eval({"--crf", text, "--json", "-"}).out);
  CHECK(scored["miou"] == j["best"]["miou"]);
  CHECK(scored["boundary_f1"] == j["best"]["boundary_f1"]);
  CHECK(scored["crf"]["before"]["miou"] == j["before"]["miou"]);
  // Nothing but the two tables is left.
  CHECK(std::distance(std::filesystem::directory_iterator(p.folder.path("search")), {}) == 2);

  o = with({"--images", "1", "--rounds", "2", "--metric", "boundary_f1", "--json", "-"});
  REQUIRE(o.code == 0);
  CHECK(nlohmann::json::parse(o.out)["trials"].size() > 6);
  CHECK(with({"--grid", "bilateral_xy=3:6"}).code == 2);

  // A run that fails before its first trials are done leaves the tables as they were.
  const std::string finished = read_text(table), markdown = read_text(p.folder.path("search/crf.md"));
  for (const char* name : {"a", "b"}) {  // whose CRF needs more than 1 MiB
    data::write_png(p.folder.path(std::string(name) + ".png"), striped_picture(60, 60, 3));
    data::write_png(p.folder.path(std::string(name) + "_label.png"), stripes(60, 60, 3));
  }
  o = with({"--max-memory", "1"});
  CHECK(o.code == 2);
  CHECK_THAT(o.err, Contains("allowed are 1 MiB"));
  CHECK(read_text(table) == finished);
  CHECK(read_text(p.folder.path("search/crf.md")) == markdown);
  CHECK(with({"--output", p.folder.path("table.md")}).code == 2);
  CHECK(with({"--max-memory", "x"}).code == 2);
}
