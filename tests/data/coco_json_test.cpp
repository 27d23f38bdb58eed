// COCO's files: what is read, what is tolerated, and every rule whose breach is refused.
#include "tests/data/coco_files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

// With one value of the first annotation replaced.
CocoAnnotations read_with(const TemporaryFolder& folder, const char* key, const Json& value) {
  Json j = good();
  j["annotations"][0][key] = value;
  return read(folder, j);
}
std::vector<CocoResult> read_results(const TemporaryFolder& folder, const std::string& text,
                                     CocoMasks masks = CocoMasks::keep) {
  const std::string path = folder.file("dt.json");
  write_text(path, text);
  return read_coco_results(path, read(folder, good()), masks);
}

}  // namespace

TEST_CASE("coco json: images and categories by id, annotations in the order of the file") {
  const TemporaryFolder folder;
  const CocoAnnotations a = read(folder, good());
  REQUIRE(a.images.size() == 2);
  CHECK(a.images[0].id == 5);
  CHECK(a.images[1].file_name == "b.jpg");
  CHECK(a.images[1].height == 4);
  CHECK(a.images[1].width == 5);
  CHECK(a.categories[0].name == "car");
  CHECK(a.categories[1].id == 90);
  REQUIRE(a.annotations.size() == 2);
  CHECK(a.annotations[0].id == 11);
  CHECK(a.annotations[0].image == 1);
  CHECK(a.annotations[0].category == 0);
  CHECK(a.annotations[0].box == CocoBox{1, 1, 2, 2});
  CHECK(a.annotations[0].area == 4);
  CHECK_FALSE(a.annotations[0].crowd);
  CHECK(a.annotations[0].mask == rle_from_box(4, 5, {1, 1, 2, 2}));
  CHECK(a.find_image(7) == 1);
  CHECK(a.find_image(6) == -1);
  CHECK_FALSE(read_text(folder, good().dump(), CocoMasks::skip).annotations[0].has_mask());
}

TEST_CASE("coco json: masks come as polygons, as lists of counts and as compressed counts") {
  const TemporaryFolder folder;
  const auto mask = [&](const Json& segmentation) {
    return read_with(folder, "segmentation", segmentation).annotations[0].mask.counts;
  };
  CHECK(mask({{"size", {4, 5}}, {"counts", {0, 3, 17}}}) == Counts{0, 3, 17});
  CHECK(mask({{"size", {4, 5}}, {"counts", rle_to_string(rle_from_box(4, 5, {1, 1, 2, 2}))}}) ==
        rle_from_box(4, 5, {1, 1, 2, 2}).counts);
  CHECK(rle_area(rle_from_counts(4, 5, std::vector<int64_t>{0, 3, 17})) == 3);
  CHECK(mask({{0, 0, 1, 0, 1, 1, 0, 1}, {2, 0, 3, 0, 3, 1, 2, 1}}) == Counts{0, 1, 7, 1, 11});
}

TEST_CASE("coco json: what real files have beside the rules is read") {
  const TemporaryFolder folder;
  Json j = good();
  j["annotations"][0]["keypoints"] = {1, 2, 2};
  j["annotations"][0]["attributes"] = {{"occluded", {{"deep", {1, {2}}}}}};
  j["annotations"][0].erase("iscrowd");
  j["annotations"][1]["iscrowd"] = true;
  j["annotations"][1]["image_id"] = 5.0;  // a table of floats
  j["annotations"][0]["segmentation"] = Json::array();
  j["annotations"][0].erase("bbox");
  j["licenses"] = {{{"id", 1}, {"id", 1}}};
  j["images"][0].erase("height");
  j["images"][0].erase("width");
  j["images"][0].erase("file_name");
  j["categories"][0].erase("name");
  const CocoAnnotations a = read(folder, j);
  CHECK_FALSE(a.annotations[0].crowd);
  CHECK_FALSE(a.annotations[0].has_mask());
  CHECK_FALSE(a.annotations[0].has_box);
  CHECK(a.annotations[1].crowd);
  CHECK(a.images[1].height == 0);
  CHECK(a.categories[1].name == "category 90");
  CHECK(read_text(folder, "\xef\xbb\xbf" + j.dump(2)).annotations.size() ==
        2);  // a byte order mark, white space
  const CocoAnnotations none = read_text(folder, R"({"images": [], "annotations": [], "categories": []})");
  CHECK(none.images.empty());
}

TEST_CASE("coco json: files that are no JSON, or another kind of it") {
  const TemporaryFolder folder;
  const auto text = [&](const std::string& t) { return read_text(folder, t); };
  CHECK_SAYS(ErrorKind::data, read_coco_annotations(folder.file("none.json")), "none.json", "File not found");
  CHECK_SAYS(ErrorKind::data, read_coco_annotations(folder.path()), "must be a JSON file");
  CHECK_SAYS(ErrorKind::data, text(""), "must be JSON", "end of input");
  CHECK_SAYS(ErrorKind::data, text("{\"images\": [}"), "must be JSON", "At byte 13");
  const std::string whole = good().dump();
  for (size_t cut = 1; cut < whole.size(); cut += 7)
    CHECK_SAYS(ErrorKind::data, text(whole.substr(0, cut)), "JSON");
  CHECK_SAYS(ErrorKind::data, text(whole + "x"), "must be JSON");
  CHECK_SAYS(ErrorKind::data, text("5"), "single value");
  CHECK_SAYS(ErrorKind::data, text("[]"), "Got a list. Is it a results file?");
  CHECK_SAYS(ErrorKind::data, text("{}"), "There is no \"annotations\"");
  CHECK_SAYS(ErrorKind::data, text(R"({"images": [], "annotations": []})"), "There is no \"categories\"");
  CHECK_SAYS(ErrorKind::data, text(R"({"images": [], "images": [], "annotations": [], "categories": []})"),
             "duplicate key \"images\"");
  CHECK_SAYS(ErrorKind::data, text(R"({"images": 5})"), "\"images\" must be a list");
  CHECK_SAYS(ErrorKind::data, text(R"({"images": {"id": 5}})"), "\"images\" must be a list");
  CHECK_SAYS(ErrorKind::data, text(R"({"images": [5]})"), "images[0]", "must be an object");
  CHECK_SAYS(ErrorKind::data, text(R"({"images": [[]]})"), "images[0]", "must be an object");
  CHECK_SAYS(ErrorKind::data, text(R"({"images": [null]})"), "must be an object");
}

TEST_CASE("coco json: nesting without end does not end the program, and long records are refused") {
  const TemporaryFolder folder;
  const std::string deep(1000000, '[');
  CHECK_SAYS(ErrorKind::data, read_text(folder, "{\"info\": " + deep), "nested at most 32 deep");
  CHECK_SAYS(ErrorKind::data, read_text(folder, "{\"annotations\": [{\"x\": " + deep),
             "nested at most 32 deep");
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  CHECK_SAYS(ErrorKind::data, read_text(folder, objects), "nested at most 32 deep");
  CHECK_SAYS(ErrorKind::data, read_results(folder, "[{\"x\": " + deep), "nested at most 32 deep", "dt.json");
  CocoLimits limits;
  limits.max_values_per_record = 15;
  CHECK_SAYS(ErrorKind::data, read_text(folder, good().dump(), CocoMasks::keep, limits), "annotations[0]",
             "at most 15 values");
  // Few bytes, many runs: a triangle over all columns of a wide image.
  limits = {};
  limits.max_runs = 1000;
  Json wide = good();
  wide["images"][0]["width"] = 700;
  wide["annotations"].erase(1);
  wide["annotations"][0]["segmentation"] = {{0, 0, 700, 0, 700, 4}};
  CHECK_SAYS(ErrorKind::data, read_text(folder, wide.dump(), CocoMasks::keep, limits), "at most 1000 runs");
  CHECK(read_text(folder, wide.dump(), CocoMasks::skip, limits).annotations.size() == 1);
  // The same columns there and back: no run is left, but the work was done.
  limits = {};
  limits.max_crossings = 1000;
  wide["annotations"][0]["segmentation"] = {{0, 0, 700, 0, 350, 0}};
  CHECK_SAYS(ErrorKind::data, read_text(folder, wide.dump(), CocoMasks::keep, limits),
             "at most 1000 crossings");
  limits.max_crossings = 1400;
  CHECK(read_text(folder, wide.dump(), CocoMasks::keep, limits).annotations.size() == 1);
  limits = {};
  limits.max_categories = 1;
  Json two = good();
  two["categories"] = {{{"id", 1}}, {{"id", 2}}};
  CHECK_SAYS(ErrorKind::data, read_text(folder, two.dump(), CocoMasks::keep, limits), "at most 1 categories");
  limits = {};
  limits.max_file_bytes = 100;
  CHECK_SAYS(ErrorKind::data, read_text(folder, good().dump(), CocoMasks::keep, limits), "at most 100 bytes");
}

TEST_CASE("coco json: numbers must be numbers, and finite") {
  const TemporaryFolder folder;
  const auto put = [&](const std::string& key, const std::string& value) {
    Json j = good();
    j["annotations"][0][key] = "HERE";
    std::string text = j.dump();
    text.replace(text.find("\"HERE\""), 6, value);
    return read_text(folder, text);
  };
  CHECK_SAYS(ErrorKind::data, put("area", "NaN"), "must be JSON");
  CHECK_SAYS(ErrorKind::data, put("area", "-Infinity"), "must be JSON");
  CHECK_SAYS(ErrorKind::data, put("area", "1e999"), "must be JSON", "overflow");
  CHECK_SAYS(ErrorKind::data, put("area", "\"4\""), "annotations[0], id 11",
             "\"area\" must be a finite number. Got \"4\"");
  CHECK_SAYS(ErrorKind::data, put("area", "-1"), "\"area\" must not be negative");
  CHECK_SAYS(ErrorKind::data, put("bbox", "[1, 2, 3]"),
             "\"bbox\" must be [x, y, width, height]. Got an array of 3");
  CHECK_SAYS(ErrorKind::data, put("bbox", "[1, 2, 3, null]"), "finite number. Got null");
  CHECK_SAYS(ErrorKind::data, put("bbox", "[1, 2, -3, 4]"), "must not be negative. Got width -3");
  CHECK_SAYS(ErrorKind::data, put("bbox", "{}"), "\"bbox\" must be");
  CHECK_SAYS(ErrorKind::data, put("iscrowd", "2"), "\"iscrowd\" must be 0 or 1. Got 2");
  CHECK_SAYS(ErrorKind::data, put("iscrowd", "\"no\""), "\"iscrowd\" must be a whole number");
  CHECK_SAYS(ErrorKind::data, put("id", "1.5"), "\"id\" must be a whole number. Got 1.5");
  CHECK_SAYS(ErrorKind::data, put("id", "99999999999999999999"), "\"id\" must be a whole number");
  CHECK_SAYS(ErrorKind::data, put("id", "true"), "\"id\" must be a whole number");
  for (const char* text : {"\"\"", "\"a7\"", "\"7a\"", "\" 7\"", "\"7.5\"", "\"99999999999999999999\""})
    CHECK_SAYS(ErrorKind::data, put("id", text), "\"id\" must be a whole number. Got \"");
}

TEST_CASE("coco json: ids must be there, differ and be known") {
  const TemporaryFolder folder;
  const auto changed = [&](auto&& change) {
    Json j = good();
    change(j);
    return read(folder, j);
  };
  CHECK_SAYS(ErrorKind::data, read_with(folder, "id", 10),
             "ids of annotations must be unique. Duplicate id 10");
  CHECK_SAYS(ErrorKind::data, changed([](Json& j) { j["images"][0]["id"] = 5; }),
             "ids of images must be unique. Duplicate id 5");
  CHECK_SAYS(ErrorKind::data, changed([](Json& j) { j["categories"][0]["id"] = 3; }),
             "ids of categories must be unique. Duplicate id 3");
  CHECK_SAYS(ErrorKind::data, read_with(folder, "image_id", 8), "annotation 11", "one of the 2 images",
             "Got 8");
  CHECK_SAYS(ErrorKind::data, read_with(folder, "category_id", 1), "annotation 11", "one of the 2 categories",
             "Got 1");
  for (const char* key : {"id", "image_id", "category_id"}) {
    CHECK_SAYS(ErrorKind::data, changed([&](Json& j) { j["annotations"][0].erase(key); }), "annotations[0]",
               "must have", key);
  }
  CHECK_SAYS(ErrorKind::data, changed([](Json& j) { j["images"][1].erase("id"); }), "images[1]",
             "must have \"id\"");
  CHECK_SAYS(ErrorKind::data, changed([](Json& j) { j["images"][1].erase("width"); }), "images[1]",
             "must have \"width\"");
  CHECK_SAYS(ErrorKind::data, changed([](Json& j) { j["images"][1]["width"] = 0; }), "must have pixels");
  CHECK_SAYS(ErrorKind::data, changed([](Json& j) { j["images"][1]["file_name"] = 3; }),
             "\"file_name\" must be text");
}

TEST_CASE("coco json: segmentations that lie are refused, whether masks are kept or not") {
  const TemporaryFolder folder;
  for (const CocoMasks masks : {CocoMasks::keep, CocoMasks::skip}) {
    const auto put = [&](const Json& segmentation) {
      Json j = good();
      j["annotations"][0]["segmentation"] = segmentation;
      return read_text(folder, j.dump(), masks);
    };
    CHECK_SAYS(ErrorKind::data, put({{0, 0, 1, 0, 1}}), "id 11", "three corners. Got 5 numbers");
    CHECK_SAYS(ErrorKind::data, put({{0, 0, 1, 0}}), "Got 4 numbers");
    CHECK_SAYS(ErrorKind::data, put({{0, 0, 1, 0, 1, 1}, {0, 0, 1, 0}}), "id 11, polygon 1", "Got 4 numbers");
    const Json rle = {{"size", {4, 5}}, {"counts", {20}}}, other = {{"size", {5, 4}}, {"counts", {20}}};
    CHECK_SAYS(ErrorKind::data, put({rle, other}), "must have one size. Got 4x5 and 5x4");
    CHECK_SAYS(ErrorKind::data, put({rle, {0, 0, 1, 0, 1, 1}}), "instead of a polygon");
    CHECK_SAYS(ErrorKind::data, put({0, 0, 1, 0, 1, 1}), "Got 0 instead of a polygon",
               "both pairs of brackets");
    CHECK_SAYS(ErrorKind::data, put({{0, 0, 1, 0, 1, nullptr}}), "finite number. Got null");
    CHECK_SAYS(ErrorKind::data, put({{0, 0, 1, 0, 1, 1e12}}), "1e+06 pixels");
    CHECK_SAYS(ErrorKind::data, put("mask.png"), "list of polygons", "\"mask.png\"");
    CHECK_SAYS(ErrorKind::data, put(Json{{"counts", {20}}}), "must have \"size\"");
    CHECK_SAYS(ErrorKind::data, put({{"size", {4, 5}}}), "must have \"counts\"");
    CHECK_SAYS(ErrorKind::data, put({{"size", {4}}, {"counts", {20}}}), "must be [height, width]");
    CHECK_SAYS(ErrorKind::data, put({{"size", {4, 5}}, {"counts", 20}}), "a list or a text");
    CHECK_SAYS(ErrorKind::data, put({{"size", {4, 5}}, {"counts", {"a"}}}), "whole number");
    CHECK_SAYS(ErrorKind::data, put({{"size", {4, 5}}, {"counts", {19}}}), "id 11",
               "add up to height * width = 4 * 5 = 20");
    CHECK_SAYS(ErrorKind::data, put({{"size", {5, 4}}, {"counts", {20}}}), "must have the size of its image",
               "Got 5x4", "is 4x5");
    CHECK_SAYS(ErrorKind::data, put({{"size", {1000000, 1000000}}, {"counts", {1000000000000}}}),
               "between 1 and");
    CHECK_SAYS(ErrorKind::data, put({{"size", {4, 5}}, {"counts", "P"}}), "end within a count");
  }
  Json j = good();
  j["images"][0].erase("height");
  j["images"][0].erase("width");
  CHECK_SAYS(ErrorKind::data, read(folder, j), "a polygon needs \"height\" and \"width\"", "Image 7");
}

TEST_CASE("coco json: the first result says whether boxes or masks decide areas") {
  const TemporaryFolder folder;
  const auto boxes =
      read_results(folder, R"([{"image_id": 7, "category_id": 3, "score": 0.5, "bbox": [1, 1, 2, 2]}])");
  REQUIRE(boxes.size() == 1);
  CHECK(boxes[0].image == 1);
  CHECK(boxes[0].category == 0);
  CHECK(boxes[0].score == 0.5);
  CHECK(boxes[0].area == 4);
  CHECK(boxes[0].mask == rle_from_box(4, 5, {1, 1, 2, 2}));
  const std::string mask = R"("segmentation": {"size": [4, 5], "counts": [5, 2, 13]})";
  const std::string ids = R"({"image_id": 7, "category_id": 3, "score": 1, )";
  const auto both = read_results(folder, "[" + ids + mask + R"(, "bbox": [0, 0, 5, 4], "area": 77}])");
  CHECK(both[0].area == 20);  // as COCO's tools do, though the mask has 2 pixels
  CHECK(both[0].mask.counts == Counts{5, 2, 13});
  for (const CocoMasks masks : {CocoMasks::keep, CocoMasks::skip}) {
    const auto masks_only =
        read_results(folder, "[" + ids + mask + "}, " + ids + mask + R"(, "bbox": []}])", masks);
    CHECK(masks_only[1].area == 2);
    CHECK(masks_only[1].box == CocoBox{1, 1, 1, 2});
    CHECK(masks_only[1].mask.counts.empty() == (masks == CocoMasks::skip));
  }
  CHECK(read_results(folder, "[]").empty());
  CHECK_SAYS(ErrorKind::data,
             read_results(folder, "[" + ids + mask + R"(, "bbox": [0, 0, 5, 4]}, )" + ids + mask + "}]"),
             "result 1", "must have \"bbox\", since the first result has a bbox");
  CHECK_SAYS(ErrorKind::data,
             read_results(folder, "[" + ids + mask + "}, " + ids + R"("bbox": [0, 0, 5, 4]}])"), "result 1",
             "must have \"segmentation\"");
}

TEST_CASE("coco json: results that belong to nothing are refused") {
  const TemporaryFolder folder;
  const auto one = [&](const std::string& fields) {
    return read_results(folder, "[{" + fields + R"(, "bbox": [1, 1, 2, 2]}])");
  };
  CHECK_SAYS(ErrorKind::data, one(R"("image_id": 8, "category_id": 3, "score": 1)"), "result 0", "2 images",
             "Got 8");
  CHECK_SAYS(ErrorKind::data, one(R"("image_id": 7, "category_id": 1, "score": 1)"), "2 categories", "Got 1",
             "class numbers");
  CHECK_SAYS(ErrorKind::data, one(R"("image_id": 7, "category_id": 3)"), "must have \"score\"");
  CHECK_SAYS(ErrorKind::data, one(R"("image_id": 7, "category_id": 3, "score": NaN)"), "must be JSON");
  CHECK_SAYS(ErrorKind::data, one(R"("image_id": 7, "category_id": 3, "score": "high")"),
             "\"score\" must be a finite number");
  CHECK_SAYS(ErrorKind::data, one(R"("image_id": "seven", "category_id": 3, "score": 1)"),
             "\"image_id\" must be a whole number");
  CHECK_SAYS(ErrorKind::data, one(R"("image_id": 7, "category_id": 3, "score": 1, "segmentation": [[]])"),
             "result 0", "must not be empty");
  CHECK_SAYS(ErrorKind::data, read_results(folder, good().dump()), "a result must have \"score\"",
             "annotation file?");
  CHECK_SAYS(ErrorKind::data, read_results(folder, "[[1]]"), "must be an object");
  CHECK_SAYS(
      ErrorKind::data,
      read_results(
          folder,
          R"([{"image_id": 7, "category_id": 3, "score": 1, "segmentation": {"size": [5, 4], "counts": [20]}}])"),
      "must have the size of its image");
}

TEST_CASE("coco json: results may stand in an object that names their images") {
  const TemporaryFolder folder;
  const auto object = [&](Json images) {
    Json j = {{"info", {1}}, {"images", std::move(images)}, {"categories", Json::array()}};
    j["annotations"] =
        Json::parse(R"([{"image_id": 7, "category_id": 3, "score": 0.5, "bbox": [1, 1, 2, 2]}])");
    return j;
  };
  const std::string name = read(folder, good()).images[0].file_name;
  REQUIRE_FALSE(name.empty());
  const int64_t id = read(folder, good()).images[0].id;
  for (const Json& images : {Json::array(), Json{{{"id", id}, {"file_name", "/elsewhere/" + name}}},
                             Json{{{"id", id}}}, Json{{{"id", id}, {"file_name", "C:\\pictures\\" + name}}},
                             Json{{{"id", 4711}, {"file_name", "unknown.png"}}}}) {
    const auto results = read_results(folder, object(images).dump());
    REQUIRE(results.size() == 1);
    CHECK(results[0].score == 0.5);
  }
  CHECK_SAYS(ErrorKind::data, read_results(folder, object({{{"id", id}, {"file_name", "other.png"}}}).dump()),
             "ids must mean the same images", "other.png", "eval --results");
  Json no_list = object(Json::array());
  no_list.erase("annotations");
  CHECK_SAYS(ErrorKind::data, read_results(folder, no_list.dump()), "There is no \"annotations\"");
}

TEST_CASE("coco json: what ids mean is written in COCO's form") {
  const TemporaryFolder folder;
  CocoAnnotations a = read(folder, good());
  a.images[0].file_name = "b\xff.png";
  const std::string path = folder.file("images.json");
  write_coco_images(path, a);
  std::ifstream in(path);
  const Json j = Json::parse(in);
  REQUIRE(j["images"].size() == a.images.size());
  CHECK(j["images"][0] == Json{{"id", a.images[0].id},
                               {"file_name", "b\xef\xbf\xbd.png"},
                               {"width", a.images[0].width},
                               {"height", a.images[0].height}});
  REQUIRE(j["categories"].size() == a.categories.size());
  CHECK(j["categories"][1]["name"] == a.categories[1].name);
}

TEST_CASE("coco json: written results are read again") {
  const TemporaryFolder folder;
  const CocoAnnotations a = read(folder, good());
  const std::string path = folder.file("out.json");
  std::vector<CocoResult> results(2);
  results[0] = {0, 1, 0.1, {1.25, 0, 3, 2}, 6, rle_from_box(6, 8, {1, 0, 3, 2})};
  results[1] = {1, 0, 1.0 / 3, {0, 0, 5, 4}, 20, rle_from_box(4, 5, {0, 0, 5, 4})};
  write_coco_results(path, a, results);
  const auto back = read_coco_results(path, a);
  REQUIRE(back.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    CHECK(back[i].image == results[i].image);
    CHECK(back[i].category == results[i].category);
    CHECK(back[i].score == results[i].score);
    CHECK(back[i].box == results[i].box);
    CHECK(back[i].area == results[i].area);
    CHECK(back[i].mask == results[i].mask);
  }
  write_coco_results(path, a, {});
  CHECK(read_coco_results(path, a).empty());
}
