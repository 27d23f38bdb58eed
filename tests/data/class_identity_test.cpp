// Splits and data sets whose classes have other ids, another order or other names than those that labels have
// to mean.
#include <nlohmann/json.hpp>

#include "data/check_instances.h"
#include "data/class_match.h"
#include "data/coco_categories.h"
#include "data/instances.h"
#include "tests/data/made_set.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

using Json = nlohmann::json;
using Categories = std::vector<std::pair<int64_t, std::string>>;

// One image per split with an object of each category, whose x is 2 for the first letter of its name a, 3 for
// b ...
struct Coco : Made {
  Coco() : Made("coco") {}
  void split(const std::string& name, const Categories& categories) {
    Json json = {{"images", {{{"id", 1}, {"file_name", name + ".jpg"}, {"height", 8}, {"width", 8}}}},
                 {"annotations", Json::array()},
                 {"categories", Json::array()}};
    for (const auto& [id, text] : categories) {
      json["categories"].push_back({{"id", id}, {"name", text}});
      const int x = (text[0] | 32) - 'a' + 1;
      json["annotations"].push_back({{"id", id + 1},
                                     {"image_id", 1},
                                     {"category_id", id},
                                     {"bbox", {x, 1, 2, 2}},
                                     {"area", 4},
                                     {"iscrowd", 0}});
    }
    image(name + ".jpg");
    text(name + ".json", json.dump());
  }
  std::unique_ptr<InstanceDataset> read(const std::string& split, int64_t classes = 0,
                                        const ClassList* meant = nullptr) {
    return open_instance_dataset(options, split, classes, 0, meant);
  }
  void text(const std::string& name, const std::string& content) { write_text(file(name), content); }
};

// Label of the object at x; 0 if there is none.
int32_t label_at(const InstanceDataset& set, float x) {
  const Instances o = set.instances(0);
  for (int64_t i = 0; i < o.size(); ++i) {
    if (o.box(i)[0] == x) return o.labels[static_cast<size_t>(i)];
  }
  return 0;
}

std::vector<int32_t> labels_of(const InstanceDataset& set) {
  return {label_at(set, 1), label_at(set, 2), label_at(set, 3)};
}

std::string lines(const std::vector<std::string>& notes) {
  std::string out;
  for (const std::string& note : notes) out += note + "\n";
  return out;
}

std::string errors_of(const InstanceCheckReport& report) {
  std::string out;
  for (const Finding& f : report.findings) {
    if (f.is_error) out += f.message + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("coco: val has the labels of train, whatever its ids are") {
  Coco made;
  made.split("train", {{0, "a"}, {1, "b"}, {2, "c"}});
  made.split("val", {{0, "b"}, {4, "a"}, {9, "c"}});
  const auto train = made.read("train", 4), val = made.read("val", 4);
  CHECK(labels_of(*train) == std::vector<int32_t>{1, 2, 3});
  CHECK(labels_of(*val) == std::vector<int32_t>{1, 2, 3});
  CHECK(val->category_id(1) == 4);
  CHECK(val->category_id(2) == 0);
  CHECK(val->classes()[2].name == "b");
  CHECK_THAT(val->describe(), Catch::Contains("2 of 3 have another number in the val split"));
  const CocoAnnotations all = val->annotations();
  CHECK(all.categories[static_cast<size_t>(all.annotations[0].category)].id == 0);
  CHECK(errors_of(check_instances(made.options, 4, 0)).empty());
}

TEST_CASE("coco: a category that val lacks is said, and the other labels stay") {
  Coco made;
  made.split("train", {{0, "a"}, {1, "b"}, {2, "c"}});
  made.split("val", {{0, "a"}, {1, "c"}});
  const auto val = made.read("val", 4);
  CHECK(labels_of(*val) == std::vector<int32_t>{1, 0, 3});
  CHECK(val->num_classes() == 4);
  CHECK(val->category_id(2) == -1);
  CHECK_THAT(val->describe(), Catch::Contains("has no \"b\""));
  const InstanceCheckReport report = check_instances(made.options, 4, 0);
  CHECK(errors_of(report).empty());
  CHECK_THAT(lines(report.notes), Catch::Contains("has no \"b\""));
  CHECK(report.splits[1].class_objects == std::vector<int64_t>{0, 1, 0, 1});
}

TEST_CASE("coco: a category that train lacks is refused, or mapped") {
  Coco made;
  made.split("train", {{1, "a"}, {2, "b"}});
  made.split("val", {{1, "b"}, {2, "A"}, {3, "c"}});
  CHECK_SAYS(ErrorKind::data, made.read("val", 3), "every class of the val split", "A  ", "-  ",
             "data.class_map=A:a,c:ignore");
  const InstanceCheckReport report = check_instances(made.options, 3, 0);
  CHECK_THAT(errors_of(report), Catch::Contains("val: ") && Catch::Contains("data.class_map"));
  REQUIRE(report.splits.size() == 2);  // what else there is in val is checked all the same
  CHECK(report.splits[1].objects == 3);
  CHECK(report.splits[1].classes[3].name == "c");
  made.split("test", {{1, "b"}, {2, "zoo"}});  // a test split that is there is checked too
  CHECK_THAT(errors_of(check_instances(made.options, 3, 0)),
             Catch::Contains("test: ") && Catch::Contains("zoo:ignore"));
  made.split("test", {{1, "b"}});
  made.options.class_map = {"A:a", "c:ignore"};
  const auto val = made.read("val", 3);
  CHECK(labels_of(*val) == std::vector<int32_t>{1, 2, 0});
  CHECK(val->annotations().annotations.size() == 2);
  CHECK_THAT(val->describe(), Catch::Contains("1 object of ignored classes is left out"));
  CHECK(errors_of(check_instances(made.options, 3, 0)).empty());
  // Merged in training too: fewer classes.
  made.options.class_map = {"A:b", "a:b", "c:ignore"};
  CHECK(labels_of(*made.read("train", 2)) == std::vector<int32_t>{1, 1, 0});
  CHECK(labels_of(*made.read("val", 2)) == std::vector<int32_t>{1, 1, 0});
}

TEST_CASE("coco: a category that train lacks is a class if model.num_classes counts it") {
  Coco made;
  made.split("train", {{0, "a"}, {1, "c"}});
  made.split("val", {{0, "a"}, {1, "b"}, {2, "c"}});
  for (const int64_t classes : {0, 4}) {
    const auto train = made.read("train", classes);
    REQUIRE(train->num_classes() == 4);
    CHECK(labels_of(*train) == std::vector<int32_t>{1, 0, 2});
    CHECK(train->classes()[3].name == "b");
    CHECK(train->category_id(3) == -1);
    CHECK_THAT(train->describe(), Catch::Contains("has no \"b\", which the data set"));
    const ClassList meant{.what = "the train split", .classes = train->classes(), .objects = true};
    CHECK(labels_of(*made.read("val", classes)) == std::vector<int32_t>{1, 3, 2});
    CHECK(labels_of(*made.read("val", classes, &meant)) == std::vector<int32_t>{1, 3, 2});
    const InstanceCheckReport report = check_instances(made.options, classes, 0);
    CHECK(errors_of(report).empty());
    CHECK_THAT(lines(report.notes), Catch::Contains("has no \"b\""));
    CHECK(report.splits[1].class_objects == std::vector<int64_t>{0, 1, 1, 1});
  }
  // As many as train has: the others must be mapped, or counted.
  CHECK(labels_of(*made.read("train", 3)) == std::vector<int32_t>{1, 0, 2});
  CHECK_SAYS(ErrorKind::data, made.read("val", 3), "\"b\"", "set model.num_classes=4.");
  CHECK_THAT(errors_of(check_instances(made.options, 3, 0)), Catch::Contains("set model.num_classes=4."));
  CHECK_SAYS(ErrorKind::config, made.read("train", 6),
             "must be 4 with background for the 3 categories of all",
             "(data.category_ids=contiguous). Got 6. Set model.num_classes=4");
  // The weights of a network cannot grow.
  const ClassList net{.what = "the checkpoint",
                      .classes = {{"background", {}, {}}, {"a", {}, {}}, {"c", {}, {}}},
                      .objects = true};
  CHECK_THAT(message_of(ErrorKind::data, [&] { made.read("val", 3, &net); }),
             Catch::Contains("\"b\"") && !Catch::Contains("num_classes"));
  // The test split counts as well; what is left out by the class map does not.
  made.split("test", {{1, "d"}, {2, "b"}});
  CHECK(labels_of(*made.read("test", 5)) == std::vector<int32_t>{0, 3, 0});
  CHECK(label_at(*made.read("test", 5), 4) == 4);
  CHECK(made.read("val", 4)->num_classes() == 4);
  made.options.class_map = {"b:ignore", "d:ignore"};
  CHECK(made.read("train", 0)->num_classes() == 3);
}

TEST_CASE("coco: raw ids of categories that train lacks are kept where they are free") {
  Coco made;
  made.options.category_ids = CategoryIds::raw;
  made.split("train", {{1, "a"}, {5, "b"}});
  made.split("val", {{3, "c"}, {5, "d"}, {8, "e"}});
  const auto val = made.read("val", 10);
  CHECK(labels_of(*val) == std::vector<int32_t>{0, 0, 3});
  CHECK(label_at(*val, 4) == 9);
  CHECK(label_at(*val, 5) == 8);
  const auto train = made.read("train", 10);
  CHECK(labels_of(*train) == std::vector<int32_t>{1, 5, 0});
  CHECK(train->classes()[4].name == "N/A");
  CHECK(train->classes()[9].name == "d");
}

TEST_CASE("coco: raw ids are those of train; val may have any") {
  Coco made;
  made.options.category_ids = CategoryIds::raw;
  made.split("train", {{1, "a"}, {5, "b"}, {7, "c"}});
  made.split("val", {{0, "c"}, {1, "b"}, {2, "a"}});
  CHECK(labels_of(*made.read("train", 8)) == std::vector<int32_t>{1, 5, 7});
  const auto val = made.read("val", 8);
  CHECK(labels_of(*val) == std::vector<int32_t>{1, 5, 7});
  CHECK(val->category_id(7) == 0);
  CHECK(val->classes()[2].name == "N/A");
}

TEST_CASE("coco: class_names name the classes of train, and val finds them by its own names") {
  Coco made;
  made.options.class_names = {"nothing", "Anton", "Berta", "Caesar"};
  made.split("train", {{0, "a"}, {1, "b"}, {2, "c"}});
  made.split("val", {{0, "c"}, {1, "a"}});
  const auto val = made.read("val", 4);
  CHECK(labels_of(*val) == std::vector<int32_t>{1, 0, 3});
  CHECK(val->classes()[3].name == "Caesar");
  CHECK(val->classes()[3].set_name == "c");
  const CocoAnnotations all = val->annotations();
  CHECK(all.categories[0].name == "Caesar");
}

TEST_CASE("coco: labels are those of a checkpoint's classes") {
  Coco made;
  made.split("train", {{0, "a"}, {1, "b"}, {2, "c"}});
  const ClassList net{.what = "the checkpoint",
                      .classes = {{"background", {}, {}}, {"c", {}, {}}, {"a", {}, {}}, {"b", {}, {}}},
                      .objects = true,
                      .numbers = {}};
  CHECK(labels_of(*made.read("train", 4, &net)) == std::vector<int32_t>{2, 3, 1});
  ClassList bare = net;
  for (size_t k = 0; k < 4; ++k) bare.classes[k].name = fmt::format("class{}", k);
  const auto by_number = made.read("train", 4, &bare);
  CHECK(labels_of(*by_number) == std::vector<int32_t>{1, 2, 3});
  CHECK(by_number->classes()[1].name == "a");
  CHECK_THAT(by_number->describe(), Catch::Contains("the checkpoint has no class names"));
  // Without names nobody can know a missing category by its number, but by the names of train.
  made.split("val", {{0, "a"}, {1, "c"}});
  CHECK(labels_of(*made.read("val", 4, &bare)) == std::vector<int32_t>{1, 0, 3});
}

TEST_CASE("id masks: the objects are the class of that name in a larger network") {
  Made made("pennfudan");
  made.image("images/a.jpg");
  made.image("images/b.jpg");
  made.label("masks/a.png", {0, 1});
  made.label("masks/b.png", {0, 0, 2});
  made.text("train.txt", "images/a.jpg masks/a.png\n");
  made.text("val.txt", "images/b.jpg masks/b.png\n");
  const ClassList net{.what = "the checkpoint",
                      .classes = {{"background", {}, {}}, {"dog", {}, {}}, {"person", {}, {}}},
                      .objects = true,
                      .numbers = {}};
  const auto val = open_instance_dataset(made.options, "val", 3, 3, &net);
  CHECK(val->instances(0).labels == std::vector<int32_t>{2});
  CHECK(val->category_id(1) == -1);
  CHECK(val->category_id(2) == 1);
  CHECK(val->annotations().categories[0].name == "person");
  made.options.dataset = "nuclei";
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "val", 3, 3, &net), "\"nucleus\"",
             "data.class_map=nucleus:NAME");
  made.options.class_map = {"nucleus:dog"};
  CHECK(open_instance_dataset(made.options, "val", 3, 3, &net)->instances(0).labels ==
        std::vector<int32_t>{1});
}

TEST_CASE("label sets: values become the checkpoint's class of that name") {
  Made made("list");
  made.image("a.jpg");
  made.image("b.jpg");
  made.label("a.png", {0, 1, 2, 255});
  made.text("train.txt", "a.jpg a.png\n");
  made.text("val.txt", "b.jpg a.png\n");
  const auto table = [&](const std::vector<std::string>& names) {
    Json json = {{"classes", Json::array()}};
    for (size_t k = 0; k < names.size(); ++k) json["classes"].push_back({{"id", k}, {"name", names[k]}});
    made.text("classes.json", json.dump());
  };
  const auto labels = [&](const ClassList& net) {
    std::vector<int> all = values_of(open_dataset(made.options, "val", 3, 0, &net)->load(0).label);
    all.resize(4);
    return all;
  };
  const ClassList net{.what = "the checkpoint",
                      .classes = {{"sky", {}, {}}, {"road", {}, {}}, {"car", {}, {}}}};
  table({"road", "car", "sky"});
  CHECK(labels(net) == std::vector<int>{1, 2, 0, 255});
  table({"road", "Car", "sky"});
  CHECK_SAYS(ErrorKind::data, labels(net), "must be one of the checkpoint", "data.class_map=Car:car");
  made.options.class_map = {"Car:car"};
  CHECK(labels(net) == std::vector<int>{1, 2, 0, 255});
  made.options.class_map = {"Car:ignore"};
  CHECK(labels(net) == std::vector<int>{1, 255, 0, 255});
  const auto part = open_dataset(made.options, "val", 3, 0, &net);
  CHECK(part->can_occur(0));
  CHECK_FALSE(part->can_occur(2));
  CHECK_THAT(part->describe(), Catch::Contains("\"car\" cannot occur in the labels"));
  // In training as well, where the set is the one that numbers.
  const auto own = open_dataset(made.options, "train", 2, 0);
  CHECK(own->classes()[1].name == "sky");
  CHECK(values_of(own->load(0).label)[2] == 1);
}

TEST_CASE("label sets: a label map names its classes by the values that become them") {
  Made made("list");
  made.image("a.jpg");
  made.image("b.jpg");
  made.label("a.png", {0, 1, 2, 3});
  made.text("train.txt", "a.jpg a.png\n");
  made.text("val.txt", "b.jpg a.png\n");
  made.text("classes.json",
            R"({"classes": [{"name": "sky"}, {"name": "road"}, {"name": "car"}, {"name": "van"}]})");
  made.options.label_map = "0:1,1:0,2:2,3:2";
  const auto set = open_dataset(made.options, "train", 3, 0);
  CHECK(set->classes()[0].name == "road");
  CHECK(set->classes()[1].name == "sky");
  CHECK(set->classes()[2].name == "car+van");
  const ClassList net{.what = "the checkpoint",
                      .classes = {{"sky", {}, {}}, {"road", {}, {}}, {"car+van", {}, {}}}};
  std::vector<int> got = values_of(open_dataset(made.options, "val", 3, 0, &net)->load(0).label);
  got.resize(4);
  CHECK(got == std::vector<int>{0, 1, 2, 2});
  // The user's own names for the numbers of the map.
  made.options.class_names = {"x", "y", "z"};
  CHECK(open_dataset(made.options, "train", 3, 0)->classes()[0].name == "x");
}

TEST_CASE("label sets: with a label map and class_names, classes are still matched by the set's names") {
  Made made("list");
  made.image("a.jpg");
  made.image("b.jpg");
  made.label("a.png", {0, 1, 255});
  made.text("train.txt", "a.jpg a.png\n");
  made.text("val.txt", "b.jpg a.png\n");
  made.options.label_map = "0:0,1:1,255:ignore";
  made.options.class_names = {"water", "beach"};
  made.text("classes.json", R"({"classes": [{"name": "sea"}, {"name": "sand"}]})");
  const auto train = open_dataset(made.options, "train", 2, 0);
  CHECK(train->classes()[0].name == "water");
  CHECK(train->classes()[0].set_name == "sea");
  const ClassList net{.what = "the checkpoint", .classes = train->classes()};
  // Another set has the two values exchanged.
  made.text("classes.json", R"({"classes": [{"name": "sand"}, {"name": "sea"}]})");
  const auto val = open_dataset(made.options, "val", 2, 0, &net);
  std::vector<int> got = values_of(val->load(0).label);
  got.resize(3);
  CHECK(got == std::vector<int>{1, 0, 255});
  CHECK(val->classes()[0].name == "water");
  CHECK_THAT(val->describe(), Catch::Contains("2 of 2 have another number"));
  made.text("classes.json", R"({"classes": [{"name": "sand"}, {"name": "ice"}]})");
  CHECK_SAYS(ErrorKind::data, open_dataset(made.options, "val", 2, 0, &net), "\"ice\"");
}

TEST_CASE("coco results with categories are of the category of that name") {
  TemporaryFolder folder;
  const auto gt = [&](const Categories& categories) {
    Json json = {{"images", {{{"id", 1}, {"file_name", "a.jpg"}, {"height", 8}, {"width", 8}}}},
                 {"annotations", Json::array()},
                 {"categories", Json::array()}};
    for (const auto& [id, name] : categories) json["categories"].push_back({{"id", id}, {"name", name}});
    write_text(folder.file("gt.json"), json.dump());
    return read_coco_annotations(folder.file("gt.json"));
  };
  const auto results = [&](const CocoAnnotations& all, const Categories& categories,
                           std::vector<std::string>* notes = nullptr, const ClassMap* map = nullptr) {
    Json json = {{"annotations",
                  {{{"image_id", 1}, {"category_id", 1}, {"bbox", {0, 0, 2, 2}}, {"score", 0.5}},
                   {{"image_id", 1}, {"category_id", 2}, {"bbox", {0, 0, 2, 2}}, {"score", 0.4}}}},
                 {"images", Json::array()},
                 {"categories", Json::array()}};
    for (const auto& [id, name] : categories) json["categories"].push_back({{"id", id}, {"name", name}});
    write_text(folder.file("dt.json"), json.dump());
    return read_coco_results(folder.file("dt.json"), all, CocoMasks::keep, {}, notes, map);
  };
  const CocoAnnotations all = gt({{7, "b"}, {9, "a"}});
  std::vector<std::string> notes;
  const auto found = results(all, {{1, "a"}, {2, "b"}}, &notes);
  REQUIRE(found.size() == 2);
  CHECK(found[0].category == 1);
  CHECK(found[1].category == 0);
  CHECK_THAT(lines(notes), Catch::Contains("2 of 2 have another number"));
  // What is not annotated cannot be scored.
  notes.clear();
  CHECK(results(gt({{7, "b"}}), {{1, "a"}, {2, "b"}}, &notes).size() == 1);
  CHECK_THAT(lines(notes), Catch::Contains("1 result is of a class that"));
  // Gaps between raw labels alone.
  notes.clear();
  CHECK(results(all, {{1, "N/A"}, {2, "N/A"}}, &notes).empty());
  CHECK_THAT(lines(notes), Catch::Contains("2 results are of classes that"));
  CHECK_SAYS(ErrorKind::data, results(gt({{1, "a"}, {2, "c"}}), {{1, "a"}, {2, "b"}}), "\"c\"",
             "--class-map=c:ignore", "NAME:NAME");
  // What the results lack is never found; if both lack something, that must be meant.
  notes.clear();
  const auto few = results(gt({{1, "x"}, {2, "b"}, {4, "a"}}), {{1, "a"}, {2, "b"}}, &notes);
  REQUIRE(few.size() == 2);
  CHECK(few[0].category == 2);
  CHECK(few[1].category == 1);
  CHECK_THAT(lines(notes),
             Catch::Contains("has no \"x\", which") && Catch::Contains("scored as never detected"));
  const ClassMap meant({"c:c"}, "--class-map");
  notes.clear();
  const auto own = results(gt({{1, "c"}, {2, "a"}}), {{1, "a"}, {2, "b"}}, &notes, &meant);
  REQUIRE(own.size() == 1);
  CHECK(own[0].category == 1);
  CHECK_THAT(lines(notes),
             Catch::Contains("has no \"c\", which") && Catch::Contains("1 result is of a class"));
  CocoAnnotations mapped = gt({{1, "a"}, {2, "c"}});
  apply_class_map(mapped, ClassMap({"c:b"}, "--class-map"), "gt");
  CHECK(results(mapped, {{1, "b"}, {2, "a"}})[0].category == 1);
  CHECK_SAYS(ErrorKind::data, results(all, {{1, "a"}, {3, "b"}}),
             "\"category_id\" must be one of the 2 categories");
}
