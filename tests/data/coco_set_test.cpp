// COCO annotations as people have them: what is missing, where files lie, and what `data check` finds in
// them.
#include "tests/data/coco_set.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

TEST_CASE("coco: what is missing is derived, for training and for scores alike, and said once") {
  Coco made;
  made.object(made.train, 10, 3, {0, 0, 1, 1}, {{2, 1, 6, 1, 6, 4, 2, 4}}).erase("bbox");
  made.object(made.train, 10, 3, {0, 0, 1, 1}, {{2, 1, 6, 1, 6, 4, 2, 4}}).erase("area");
  made.object(made.train, 10, 3, {0, 0, 1, 1}, {{0, 0, 1, 0, 1, 1, 0, 1}})["id"] = 0;
  const auto set = made.read();
  const Instances o = set->instances(0);
  CHECK(box(o, 1) == std::vector<float>{2, 1, 6, 4});
  CHECK(o.areas[2] == 12);
  const CocoAnnotations all = set->annotations();
  CHECK(all.annotations[1].box == CocoBox{2, 1, 4, 3});
  CHECK(all.annotations[2].area == 12);
  REQUIRE(set->notes().size() == 3);
  for (const char* part : {"note: ", "1 record without \"bbox\"", "1 record without \"area\"", "the id 0"})
    CHECK_THAT(set->describe(), Catch::Contains(part));
  const InstanceCheckReport report = made.findings();
  CHECK(report.errors() == 0);
  CHECK_THAT(report.table(),
             Catch::Contains("note: ") && Catch::Contains("without \"bbox\"") && Catch::Contains("the id 0"));
}

TEST_CASE("coco: annotations beside the images of each split, as Roboflow exports them") {
  for (const char* val : {"valid", "val"}) {
    CAPTURE(val);
    Coco made;
    const auto write = [&](const std::string& folder, Json json) {
      for (Json& image : json["images"]) {
        const auto name = fmt::format("x{}_png.rf.0a{}.jpg", image["id"].get<int>(), folder);
        image["file_name"] = name;
        made.image(folder + "/" + name);
      }
      made.text(folder + "/_annotations.coco.json", json.dump());
    };
    write("train", made.train);
    write(val, made.val);
    write("test", made.val);
    for (const char* split : {"train", "val", "test"}) {
      const auto set = open_instance_dataset(made.options, split, 4, 3);
      CHECK(set->size() == 2);
      CHECK(set->load(0).instances.size() == 1);
    }
    CHECK(has_instance_split(made.options, "test"));
    const InstanceCheckReport report = check_instances(made.options, 0, 0);
    CHECK(report.errors() == 0);
    REQUIRE(report.splits.size() == 3);
    CHECK(report.splits[2].split == "test");
    // The same with the files named.
    made.options.train_list = "train/_annotations.coco.json";
    made.options.val_list = std::string(val) + "/_annotations.coco.json";
    made.options.test_list = "test/_annotations.coco.json";
    CHECK(check_instances(made.options, 0, 0).errors() == 0);
  }
  Coco made;
  made.read();
  CHECK_FALSE(has_instance_split(made.options, "test"));
  CHECK(check_instances(made.options, 0, 0).splits.size() == 2);
}

TEST_CASE("coco: a missing first image does not hide where the others are") {
  Coco made;
  fs::remove(made.file("train2017/000000000010.jpg"));
  CHECK_SAYS(ErrorKind::data, made.read(), "Missing", "train2017/000000000010.jpg. ");
  made.train["images"][1]["file_name"] = "train2017\\000000000010.jpg";
  CHECK_SAYS(ErrorKind::data, made.read(), "back slashes", "Replace them by /");
  CHECK_THAT(all_findings(made.findings(), true),
             Catch::Contains("must exist") && Catch::Contains("back slashes"));
}

TEST_CASE("coco: crowds alone are explained, and may be read as objects") {
  Coco made;
  for (Json* json : {&made.train, &made.val}) (*json)["annotations"][0]["iscrowd"] = 1;
  made.object(made.val, 11, 1, {1, 2, 3, 4}, {{1, 2, 4, 2, 4, 6, 1, 6}});
  const auto set = made.read();
  CHECK(set->instances(0).crowd == std::vector<uint8_t>{1});
  CHECK_SAYS(ErrorKind::data, training_images(*set, made.options), "1 with crowds, 1 with boxes",
             "1 of 1 annotation has iscrowd 1", "CVAT", "data.crowds=objects");
  const InstanceCheckReport report = check_instances(made.options, 0, 0);
  CHECK_THAT(report.table(), Catch::Contains("CVAT"));
  CHECK(Json::parse(report.json())["notes"].size() == 1);
  CHECK(made.read("val")->notes().empty());  // one of two
  made.options.crowds = Crowds::objects;
  const auto objects = made.read();
  CHECK(objects->instances(0).crowd == std::vector<uint8_t>{0});
  CHECK_FALSE(objects->annotations().annotations[0].crowd);
  CHECK(training_images(*objects, made.options).members == std::vector<int64_t>{0});
  CHECK_THAT(objects->describe(), Catch::Contains("1 of 1 annotation has iscrowd 1, treated as an object"));
}

TEST_CASE("coco: training and validation may share images where the config allows it") {
  Coco made;
  made.options.train_list = made.options.val_list = "annotations/instances_train2017.json";
  CHECK_SAYS(ErrorKind::data, made.read(), "train or val, not both", "data.allow_overlap=true");
  CHECK_SAYS(ErrorKind::data, made.read("val"), "train or val, not both");
  made.options.allow_overlap = true;
  CHECK(made.read()->notes().empty());
  const auto val = made.read("val");
  REQUIRE(val->notes().size() == 1);
  CHECK_THAT(val->notes()[0], Catch::Contains("2 of 2 validation images are training images too"));
  const InstanceCheckReport report = made.findings();
  CHECK(report.errors() == 0);
  CHECK_THAT(all_findings(report, false),
             Catch::Contains("2 images of val have the same pixels as images of train"));
}

TEST_CASE("checking objects: every fault of every record is found in one run") {
  Coco made;
  made.object(made.train, 10, 1, {14, 16, 8, 8}, {{14, 16, 22, 24}});
  made.object(made.train, 10, 1, {1e7, 0, 8, 8}, Json::array({Json::array()}));
  made.object(made.train, 10, 99, {0, 0, 2, -2}, {{0, 0, 2, 0, 2, 2}, {3, 3, 4, 4}});
  made.object(made.train, 20, 3, {0, 0, 4, 4}, {{0, 0, 4, 0, 4, 4}});
  made.object(made.val, 11, 3, {0, 0, 4, 4}, {{0, 0, 4, 0}});
  made.add_image(made.train, "train", 30);
  made.train["images"].back()["file_name"] = "../x.jpg";
  made.object(made.train, 30, 3, {0, 0, 4, 4}, {{0, 0, 4, 0, 4, 4}});
  made.add_image(made.train, "train", 40);
  made.text("train2017/000000000040.jpg", "no image");
  const InstanceCheckReport report = made.findings();
  const std::string errors = all_findings(report, true);
  const std::vector<std::string> expected = {
      "annotations[1], id 101] a polygon must be",
      "\"bbox\" of annotation 102 must lie within",
      "annotation 102 has no mask (\"segmentation\" is empty), but 5 others",
      "annotations[3], id 103] \"bbox\" is [x, y, width, height]",
      "annotations[3], id 103, polygon 1] a polygon must be",
      "annotation 103] \"category_id\" must be one of",
      "of image 30 must be a path below",
      "000000000040.jpg",
      "val: [" + made.file("annotations/instances_val2017.json") + ": annotations[1], id 101] a polygon",
  };
  for (const std::string& one : expected) CHECK_THAT(errors, Catch::Contains(one));
  CHECK(report.errors() == std::ssize(expected));
  REQUIRE(report.splits.size() == 2);
  CHECK(report.splits[0].faulty_records == 7);
  CHECK(report.splits[0].objects == 2);  // those without a fault
  CHECK(report.splits[0].unreadable == 1);
  CHECK(Json::parse(report.json())["splits"][0]["faults_in_records"] == 7);
  CHECK_SAYS(ErrorKind::data, made.read(), "annotations[1], id 101");  // a training stops at the first
}

TEST_CASE("checking objects: of many faults of a kind ten are printed, all are in the JSON") {
  Coco made;
  for (int i = 0; i < 25; ++i) made.object(made.train, 10, 1, {1, 1, 2, 2}, {{1, 1, i, 2}});
  made.object(made.train, 10, 1, {1, 1, -2, 2}, {{1, 1, 2, 2, 1, 3}});
  const InstanceCheckReport report = made.findings();
  CHECK(report.errors() == 26);
  CHECK(Json::parse(report.json())["errors"].size() == 26);
  const std::string table = report.table();
  CHECK_THAT(table, Catch::Contains("id 110] a polygon") && !Catch::Contains("id 111] a polygon") &&
                        Catch::Contains("error: 15 more like this; --json lists all") &&
                        Catch::Contains("sides must not be negative") && Catch::Contains("26 errors"));
}

TEST_CASE("coco: the panoptic format is recognised before anything else") {
  Coco made;
  made.val["annotations"] = {
      {{"image_id", 11},
       {"file_name", "000000000011.png"},
       {"segments_info",
        {{{"id", 5}, {"category_id", 1}, {"bbox", {1, 2, 3, 4}}, {"area", 12}, {"iscrowd", 0}}}}}};
  CHECK_SAYS(ErrorKind::data, made.read("val", 2), "instances_val2017.json", "panoptic format",
             "segments_info", "panoptic2detection_coco_format.py");
  const std::string errors = all_findings(made.findings(), true);
  CHECK_THAT(errors, Catch::Contains("val: [") && Catch::Contains("panoptic format"));
  CHECK_THAT(errors, !Catch::Contains("must have") && !Catch::Contains("num_classes"));
}

TEST_CASE("coco: objects without a mask are counted against all that the file has, faulty ones too") {
  Coco made;
  made.object(made.train, 10, 1, {1, 2, 3, 4}, {{1, 2, 3}});
  made.object(made.train, 10, 1, {1, 2, 3, 4}, Json::array({Json::array()}));
  made.object(made.train, 10, 1, {1, 2, 3, 4}, Json::array());
  const std::string errors = all_findings(made.findings(), true);
  CHECK_THAT(errors, Catch::Contains("annotation 102 has no mask (\"segmentation\" is empty), but 2 others "
                                     "have one"));
  CHECK_THAT(errors, Catch::Contains("annotation 103 has no mask (\"segmentation\" is empty), but 2 others"));
  made.train["annotations"].erase(1);
  CHECK_SAYS(ErrorKind::data, made.read(), "annotation 102", "but 1 other has one");
}

TEST_CASE(
    "coco: faults of the training split are not reported for validation, which notes what it cannot check") {
  Coco made;
  made.object(made.train, 10, 1, {1, 2, 3, 4}, {{1, 2, 3}});
  const InstanceCheckReport report = made.findings();
  CHECK_THAT(all_findings(report, true), !Catch::Contains("val: "));
  CHECK(report.errors() == 1);
  CHECK_THAT(made.read("val")->describe(), Catch::Contains("is not known for all"));
}

TEST_CASE("checking objects: what happens to odd ones is what happens in that split") {
  Coco made;
  made.image("val2017/x.jpg");
  made.val["images"].push_back({{"id", 5}, {"file_name", "x.jpg"}, {"height", 8}, {"width", 8}});
  made.object(made.val, 11, 1, {3, 3, 0, 2}, {{3, 3, 5, 3, 5, 5}});
  made.object(made.val, 11, 1, {-4, 0, 8, 8}, {{0, 0, 4, 0, 4, 8, 0, 8}});
  const std::string warnings = all_findings(made.findings(), false);
  CHECK_THAT(warnings, Catch::Contains("train: 1 image has no object. Training excludes such images"));
  CHECK_THAT(warnings,
             Catch::Contains("val: 2 images have no object: every detection in such images counts as wrong"));
  CHECK_THAT(warnings, Catch::Contains("val: 1 box has no area inside its image: scores of boxes count"));
  CHECK_THAT(warnings, Catch::Contains("val: 1 box reaches more than a pixel beyond its image. Scores use"));
}

TEST_CASE("id masks: every bad line of a list is reported in one run") {
  Made made("id_masks");
  for (const char* name : {"a", "b"}) {
    made.image(fmt::format("{}.jpg", name));
    made.label(fmt::format("{}_mask.png", name), {0, 1});
  }
  made.text("train.txt", "a.jpg\na.jpg a_mask.png\na b c\n");
  made.text("val.txt", "b.jpg b_mask.png\n");
  const InstanceCheckReport report = check_instances(made.options, 0, 0);
  const std::string errors = all_findings(report, true);
  CHECK(report.errors() == 2);
  CHECK_THAT(errors, Catch::Contains("train.txt:1]") && Catch::Contains("train.txt:3]"));
  REQUIRE(report.splits.size() == 2);
  CHECK(report.splits[0].images == 1);
}
