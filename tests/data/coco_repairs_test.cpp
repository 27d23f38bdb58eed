// What COCO files leave out or say differently, and all their faults at once.
#include <algorithm>

#include "tests/data/coco_files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

TEST_CASE("coco json: what is missing is derived from the rest, and counted") {
  const TemporaryFolder folder;
  for (const CocoMasks masks : {CocoMasks::keep, CocoMasks::skip}) {
    const auto changed = [&](auto&& change) {
      Json j = good();
      change(j["annotations"][0]);
      return read_text(folder, j.dump(), masks);
    };
    const CocoAnnotations whole = changed([](Json&) {});
    CHECK(coco_notes(whole, "").empty());
    CHECK_FALSE(has_id_zero(whole));

    const CocoAnnotations boxless = changed([](Json& a) {
      a.erase("bbox");
      a["segmentation"] = {{1, 0, 3, 0, 3, 3, 1, 3}};
    });
    CHECK(boxless.annotations[0].has_box);
    CHECK(boxless.annotations[0].box == CocoBox{1, 0, 2, 3});
    CHECK(boxless.annotations[0].area == 4);
    CHECK(boxless.annotations[0].has_mask() == (masks == CocoMasks::keep));
    CHECK(boxless.repairs.boxes_from_masks == 1);
    REQUIRE(coco_notes(boxless, "").size() == 1);
    CHECK_THAT(coco_notes(boxless, "")[0], Catch::Contains("gt.json: 1 record without \"bbox\""));

    const CocoAnnotations no_area = changed([](Json& a) { a["area"] = nullptr; });
    CHECK(no_area.annotations[0].area == 4);
    CHECK(no_area.repairs.areas_from_masks == 1);
    const CocoAnnotations box_alone = changed([](Json& a) {
      a.erase("area");
      a["segmentation"] = Json::array({Json::array()});
      a["bbox"] = {0, 0, 2.5, 3};
    });
    CHECK(box_alone.annotations[0].area == 7.5);
    CHECK_FALSE(box_alone.annotations[0].has_mask());
    CHECK(box_alone.repairs.areas_from_boxes == 1);
    CHECK(box_alone.repairs.empty_polygons == 1);
    CHECK(coco_notes(box_alone, "").size() == 2);

    const CocoAnnotations list = changed([](Json& a) {
      a.erase("bbox");
      a["segmentation"] = {{{"size", {4, 5}}, {"counts", {0, 1, 19}}},
                           {{"size", {4, 5}}, {"counts", {5, 2, 13}}}};
    });
    CHECK(list.annotations[0].box == CocoBox{0, 0, 2, 3});
    if (masks == CocoMasks::keep) CHECK(list.annotations[0].mask.counts == Counts{0, 1, 4, 2, 13});
    CHECK(list.repairs.rles_in_lists == 1);

    const CocoAnnotations text = changed([](Json& a) {
      a["id"] = "0";
      a["image_id"] = "7";
    });
    CHECK(text.annotations[0].id == 0);
    CHECK(text.annotations[0].image == 1);
    CHECK(text.repairs.text_ids == 1);
    CHECK(has_id_zero(text));
  }
  std::vector<std::string> notes;
  const std::string path = folder.file("dt.json");
  write_text(path, R"([{"image_id": "7", "category_id": "3", "score": 1,
                        "segmentation": [{"size": [4, 5], "counts": [5, 2, 13]}]}])");
  const auto results = read_coco_results(path, read(folder, good()), CocoMasks::keep, {}, &notes);
  CHECK(results[0].mask.counts == Counts{5, 2, 13});
  CHECK(results[0].image == 1);
  REQUIRE(notes.size() == 2);
  CHECK_THAT(notes[0], Catch::Contains("dt.json: 1 record with run lengths in a list"));
  CHECK_THAT(notes[1], Catch::Contains("dt.json: 1 record with ids as text"));
}

TEST_CASE("coco json: crowds are spoken of where most objects are crowds") {
  const TemporaryFolder folder;
  Json j = good();
  j["annotations"][0]["iscrowd"] = 1;
  CHECK(coco_notes(read(folder, j), "do this").empty());
  j["annotations"][1]["iscrowd"] = 1;
  const auto notes = coco_notes(read(folder, j), "do this");
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0], Catch::StartsWith("note: ") && Catch::Contains("2 of 2 annotations have iscrowd 1") &&
                           Catch::Contains("CVAT") && Catch::Contains("do this"));
}

TEST_CASE("coco json: all faults of all records are collected where asked for") {
  const TemporaryFolder folder;
  Json j = good();
  j["images"].push_back({{"id", 8}, {"height", 0}, {"width", 5}});
  j["images"].push_back(5);
  j["images"].push_back(j["images"][0]);
  j["categories"].push_back({{"id", 4}, {"name", 4}});
  const auto add = [&](int64_t id, auto&& change) {
    Json a = annotation(id, 7, 3);
    change(a);
    j["annotations"].push_back(a);
  };
  add(20, [](Json& a) {  // six faults
    a["category_id"] = 99;
    a["bbox"] = {1, 2, 3};
    a["area"] = -1;
    a["iscrowd"] = 3;
    a["segmentation"] = {{0, 0, 1, 0}, {0, 0, 1, 0, 1, 1}, {0, 0, 1, 0, 1}};
  });
  add(21, [](Json& a) { a.erase("id"), a["image_id"] = 44; });
  add(22, [](Json& a) { a["image_id"] = 8; });     // of an image with a fault: no fault of its own
  add(23, [](Json& a) { a["category_id"] = 4; });  // the same
  add(10, [](Json&) {});
  add(24, [](Json& a) { a["segmentation"] = {{"size", {5, 4}}, {"counts", {20}}}; });
  add(25, [](Json&) {});
  const std::string path = folder.file("gt.json");
  write_text(path, j.dump());
  std::vector<std::string> faults;
  const CocoAnnotations a = read_coco_annotations(path, CocoMasks::keep, {}, &faults);
  const std::vector<std::string> expected = {
      "images[2]] an image must have pixels",
      "images[3]] a record must be an object",
      "categories[2]] \"name\" must be text",
      "id 20] \"bbox\" must be [x, y, width, height]. Got an array of 3",
      "id 20] \"area\" must not be negative",
      "id 20] \"iscrowd\" must be 0 or 1",
      "id 20, polygon 0] a polygon must be",
      "id 20, polygon 2] a polygon must be",
      "annotations[3]] must have \"id\"",
      "ids of images must be unique. Duplicate id 7",
      "annotation 20] \"category_id\" must be one of the 2 categories",
      "annotations[3]] \"image_id\" must be one of the 2 images",
      "ids of annotations must be unique. Duplicate id 10",
      "annotation 24] a mask must have the size of its image",
  };
  for (const std::string& one : expected) {
    CAPTURE(one, faults);
    CHECK(std::ranges::count_if(faults, [&](const std::string& f) { return f.find(one) != f.npos; }) == 1);
  }
  CHECK(faults.size() == expected.size());
  CHECK(a.images.size() == 2);
  CHECK(a.categories.size() == 2);
  REQUIRE(a.annotations.size() == 3);
  CHECK(a.annotations[2].id == 25);
  CHECK(a.annotations[2].mask == rle_from_box(4, 5, {1, 1, 2, 2}));
  // What is wrong with the file as a whole still ends it, after what was found before.
  faults.clear();
  std::string cut = j.dump();
  cut.pop_back();
  write_text(path, cut);
  CHECK_SAYS(ErrorKind::data, read_coco_annotations(path, CocoMasks::keep, {}, &faults), "must be JSON");
  CHECK(faults.size() == 9);
}
