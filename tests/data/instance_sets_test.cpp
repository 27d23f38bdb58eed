// Data sets of objects, each on made-up files: what they read, and what they must refuse.
#include "data/sets/instance_sets.h"
#include "data/shapes.h"
#include "tests/data/coco_set.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

void masks(Made& made, const std::string& folder = "") {
  made.image(folder + "images/a.jpg");
  made.image(folder + "images/b.jpg");
  std::vector<int> ids(64, 0);
  ids[0] = ids[9] = 2;  // (0,0) and (1,1)
  ids[63] = 5;
  made.label(folder + "masks/a.png", ids);
  made.label(folder + "masks/b.png", {0, 1});
  made.text("train.txt", "images/a.jpg masks/a.png\n");
  made.text("val.txt", "images/b.jpg masks/b.png\n");
}

}  // namespace

TEST_CASE("instance sets: names are apart from those of label sets, and either kind says so") {
  for (const InstanceSet& set : instance_sets()) {
    INFO(set.name);
    CHECK(is_instance_set(set.name));
    CHECK_FALSE(set.summary.empty());
    for (const NamedSet& other : named_sets()) CHECK(other.name != set.name);
  }
  Made made("coco");
  CHECK_SAYS(ErrorKind::config, open_dataset(made.options, "train", 2, 3), "`coco` is an instance data set",
             "camvid");
  made.options.dataset = "camvid";
  CHECK_SAYS(ErrorKind::config, open_instance_dataset(made.options, "train", 2, 3),
             "a detection model needs one of", "coco", "camvid");
  made.options.dataset = "coco";
  made.options.root = made.file("nowhere") + "/x";
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "train", 0, 0), "must exist", "data.root");
}

TEST_CASE("coco: objects as annotated, images by rising id, categories counted from 1") {
  Coco made;
  made.object(made.train, 10, 7, {-1.5, 0, 4, 3}, {{0, 0, 2, 0, 2, 3, 0, 3}, {5, 5, 8, 5, 8, 8, 5, 8}});
  Json& crowd = made.object(made.train, 10, 3, {0, 0, 7, 7}, {{"size", {8, 8}}, {"counts", {0, 8, 56}}});
  crowd["iscrowd"] = 1;
  const auto set = made.read();
  CHECK(set->size() == 2);
  CHECK(set->num_classes() == 4);
  CHECK(set->in_channels() == 3);
  CHECK(set->id(0) == "000000000010");
  CHECK(set->image_id(1) == 20);
  CHECK(set->classes()[0].name == "background");
  CHECK(set->classes()[3].name == "thing7");
  CHECK(set->category_id(3) == 7);
  CHECK_THAT(set->describe(), Catch::Contains("coco, train: 2 images") && Catch::Contains("2:thing3"));
  const InstanceSample s = set->load(0);
  CHECK(s.image.shape() == Shape{8, 8, 3});
  const Instances& o = s.instances;
  CHECK(o.labels == std::vector<int32_t>{1, 3, 2});
  CHECK(o.ids == std::vector<int64_t>{100, 101, 102});
  CHECK(o.crowd == std::vector<uint8_t>{0, 0, 1});
  CHECK(o.areas[0] == 12.5);
  CHECK(box(o, 0) == std::vector<float>{1, 2, 4, 6});
  CHECK(box(o, 1) == std::vector<float>{-1.5, 0, 2.5, 3});
  CHECK(o.masks[0].bounds() == std::array<int64_t, 4>{1, 2, 4, 6});
  CHECK(o.masks[0].area() == 12);
  CHECK(o.masks[1].bounds() == std::array<int64_t, 4>{0, 0, 8, 8});
  CHECK(o.masks[1].area() == 15);
  CHECK(o.masks[2].bounds() == std::array<int64_t, 4>{0, 0, 1, 8});
  CHECK(set->load(1).instances.size() == 0);
  CHECK(set->load(1).instances.boxes.shape() == Shape{0, 4});
  const CocoAnnotations all = set->annotations();
  CHECK(all.annotations.size() == 3);
  CHECK(all.images[1].id == 20);
}

TEST_CASE("coco: raw category ids leave gaps, as torchvision's 91 classes do") {
  Coco made({1, 3, 90});
  made.options.category_ids = CategoryIds::raw;
  const auto set = made.read("train", 91);
  CHECK(set->num_classes() == 91);
  CHECK(set->classes()[90].name == "thing90");
  CHECK(set->classes()[2].name == "N/A");
  CHECK(set->category_id(2) == -1);
  CHECK(made.read("train", 95)->num_classes() == 95);  // a part of a larger set
  CHECK_SAYS(ErrorKind::config, made.read("train", 4), "must be 91", "raw", "contiguous would need 4");
  made.options.category_ids = CategoryIds::contiguous;
  CHECK_SAYS(ErrorKind::config, made.read("train", 91), "must be 4", "raw would need 91");
  made.options.class_names = {"none", "x", "y", "z"};
  CHECK(made.read()->classes()[3].name == "z");
  made.options.class_names = {"x", "y", "z"};
  CHECK_SAYS(ErrorKind::config, made.read(), "background first", "3 names for 4");
  Coco zero({0, 1});
  zero.options.category_ids = CategoryIds::raw;
  CHECK_SAYS(ErrorKind::config, zero.read(), "from 1", "0 to 1");
}

TEST_CASE("coco: annotations and images are found in the usual places, or where the options say") {
  Coco made;
  made.image("images/x.jpg");
  made.train["images"] = {{{"id", 10}, {"file_name", "x.jpg"}, {"height", 8}, {"width", 8}}};
  made.text("annotations/train.json", made.train.dump());
  CHECK(open_instance_dataset(made.options, "train", 0, 0)->load(0).image_path ==
        made.path() + "/images/x.jpg");
  made.text("elsewhere/mine.json", made.train.dump());
  made.options.train_list = "elsewhere/mine.json";
  CHECK(open_instance_dataset(made.options, "train", 0, 0)->size() == 1);
  made.options.train_list = "none.json";
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "train", 0, 0), "none.json");
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "test", 0, 0), "no test split",
             "annotations/instances_test2017.json", "data.test_list");
}

TEST_CASE("coco rejects: what contradicts itself") {
  {
    Coco made;
    made.train["images"][0]["file_name"] = "../../outside.jpg";
    CHECK_SAYS(ErrorKind::data, made.read(), "below the folder", "outside.jpg");
  }
  {
    Coco made;
    made.train["images"][0]["file_name"] = made.train["images"][1]["file_name"];
    CHECK_SAYS(ErrorKind::data, made.read(), "must differ", "10 and 20");
  }
  {
    Coco made;
    made.train["images"][0]["file_name"] = "gone.jpg";
    CHECK_SAYS(ErrorKind::data, made.read(), "must exist", "gone.jpg");
  }
  {
    Coco made;
    made.val["images"] = made.train["images"];
    made.val["annotations"] = Json::array();
    for (const int64_t id : {10, 20}) made.image(fmt::format("val2017/{:012}.jpg", id));
    CHECK(made.read()->size() == 2);  // same names in different folders are different images
  }
  {
    Coco made;
    made.image("images/x.jpg");
    made.train["images"][1]["file_name"] = made.val["images"][0]["file_name"] = "x.jpg";
    fs::rename(made.file("train2017"), made.file("elsewhere"));
    fs::copy(made.file("elsewhere"), made.file("images"));
    fs::rename(made.file("val2017"), made.file("elsewhere/val"));
    fs::copy(made.file("elsewhere/val"), made.file("images"));
    CHECK_SAYS(ErrorKind::data, made.read(), "not both", "images/x.jpg");
  }
  {
    Coco made;
    made.train["images"][1]["height"] = 9;  // image 10 is 8 x 8
    CHECK_SAYS(ErrorKind::data, made.read()->load(0), "same size", "8 x 8", "8 x 9");
  }
  {
    Coco made;
    made.object(made.train, 10, 1, {0, 0, 2, 2}, nullptr);
    CHECK_SAYS(ErrorKind::data, made.read(), "annotation 101 has no mask (no \"segmentation\")",
               "1 other has");
    made.train["annotations"][0].erase("segmentation");
    CHECK_FALSE(made.read()->load(0).instances.boxes.dim(0) == 0);  // a set of boxes
    CHECK(made.read()->load(0).instances.masks.empty());
    made.train["annotations"][0].erase("bbox");
    CHECK_SAYS(ErrorKind::data, made.read(), "annotation 100", "neither");
  }
  {
    Coco made;
    made.train["images"] = Json::array();
    made.train["annotations"] = Json::array();
    CHECK_SAYS(ErrorKind::data, made.read(), "\"images\" is empty");
  }
  {
    Coco made(std::vector<int64_t>{});
    made.train["annotations"] = Json::array();
    CHECK_SAYS(ErrorKind::data, made.read(), "\"categories\" is empty");
  }
  {
    Coco made;  // one of the reader's own rules, with its place
    made.object(made.train, 10, 1, {0, 0, 8, 8}, {{"size", {8, 8}}, {"counts", {0, 8, 57}}});
    CHECK_SAYS(ErrorKind::data, made.read(), "annotations[1]");
  }
}

TEST_CASE("id masks: every value but 0 is an object, also in 16 bits") {
  for (const char* name : {"id_masks", "nuclei", "pennfudan"}) {
    Made made(name);
    masks(made);
    const auto set = open_instance_dataset(made.options, "train", 2, 0);
    CHECK(set->num_classes() == 2);
    const InstanceSample s = set->load(0);
    CHECK(s.instances.size() == 2);
    CHECK(s.instances.labels == std::vector<int32_t>{1, 1});
    CHECK(box(s.instances, 0) == std::vector<float>{0, 0, 2, 2});
    CHECK(s.instances.masks[0].pixels == std::vector<uint8_t>{1, 0, 0, 1});
    CHECK(box(s.instances, 1) == std::vector<float>{7, 7, 8, 8});
    CHECK(s.instances.areas == std::vector<double>{2, 1});
    const CocoAnnotations all = set->annotations();
    CHECK(all.images[0].file_name == "images/a.jpg");
    CHECK(all.annotations[0].area == 2);
    CHECK(all.annotations[0].box == CocoBox{0, 0, 2, 2});
    CHECK(all.annotations[1].mask.counts == std::vector<uint32_t>{63, 1});
  }
  Made made("nuclei");
  masks(made);
  RawPng wide{.width = 8, .height = 8, .bit_depth = 16};
  for (int y = 0; y < 8; ++y) wide.rows.push_back(std::vector<uint8_t>(16, 0));
  wide.rows[3][6] = 1;  // 256 + 44 at (3, 3)
  wide.rows[3][7] = 44;
  write_raw_png(made.file("masks/a.png"), wide);
  const Instances o = open_instance_dataset(made.options, "train", 0, 0)->instances(0);
  CHECK(o.size() == 1);
  CHECK(box(o, 0) == std::vector<float>{3, 3, 4, 4});
  CHECK(open_instance_dataset(made.options, "train", 0, 0)->classes()[1].name == "nucleus");
  CHECK_SAYS(ErrorKind::config, open_instance_dataset(made.options, "train", 3, 0), "must be 2");
}

TEST_CASE("id masks: images without objects are legal, binary masks and colours are refused") {
  Made made("id_masks");
  masks(made);
  made.label("masks/a.png", {0});
  CHECK(open_instance_dataset(made.options, "train", 0, 0)->load(0).instances.size() == 0);
  made.label("masks/a.png", {0, 255});
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "train", 0, 0)->load(0), "its own number");
  write_png(made.file("masks/a.png"), ramp({8, 8, 3}));
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "train", 0, 0)->load(0), "RGB colours");
  write_png(made.file("masks/a.png"), ramp({8, 4}));
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "train", 0, 0)->load(0), "same size");
  made.text("train.txt", "images/a.jpg masks/a.png\nimages/b.jpg masks/b.png\n");
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "train", 0, 0), "train or val, not both");
  made.text("train.txt", "images/a.jpg masks/gone.png\n");
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "train", 0, 0), "gone.png");
}

TEST_CASE("masks that reach over each other without end are refused before memory is taken") {
  Made made("id_masks");
  masks(made);
  constexpr size_t width = 2000, height = 1200;
  RawPng mirrored{.width = width, .height = height, .bit_depth = 16};
  mirrored.rows.assign(height, std::vector<uint8_t>(2 * width, 0));
  for (size_t x = 0; x < width; ++x) {  // number x + 1 in the first row, and mirrored in the last
    for (const auto& [row, at] : {std::pair{size_t{0}, x}, {height - 1, width - 1 - x}}) {
      mirrored.rows[row][2 * at] = static_cast<uint8_t>((x + 1) >> 8);
      mirrored.rows[row][2 * at + 1] = static_cast<uint8_t>(x + 1);
    }
  }
  write_raw_png(made.file("masks/a.png"), mirrored);
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "train", 0, 0)->instances(0), "a.png",
             "1073741824 pixels together", "in 2000 objects", "Is each value one object?");
  Coco coco;
  coco.train["images"][1]["height"] = coco.train["images"][1]["width"] = 1 << 14;
  for (int i = 0; i < 5; ++i)
    coco.object(coco.train, 10, 1, {0, 0, 9, 9}, {{0, 0, 1 << 14, 0, 1 << 14, 1 << 14}});
  CHECK_SAYS(ErrorKind::data, coco.read()->instances(0), "1073741824 pixels together", "image 10",
             "6 objects");
}

TEST_CASE("coco rejects: boxes that f32 cannot hold") {
  for (const std::vector<double>& box :
       {std::vector<double>{1e300, 0, 4, 4}, {0, 0, 4, 1e39}, {0, -2e6, 1, 1}}) {
    Coco made;
    made.object(made.train, 10, 1, box, {{1, 2, 4, 2, 4, 6, 1, 6}});
    CHECK_SAYS(ErrorKind::data, made.read(), "annotation 101", "within 1e+06 pixels");
  }
}

namespace {

// A set of mask pictures of 20 x 20 pixels, `place(image, y, x)` being their values; and what the check says.
template <class Place>
std::string warnings_of_masks(int images, Place place, const std::string& dataset = "id_masks") {
  Made made(dataset);
  for (int i = 0; i < images; ++i) {
    Tensor image = Tensor::full({20, 20, 3}, i, DType::u8), mask = Tensor::empty({20, 20}, DType::u8);
    for (int64_t p = 0; p < 400; ++p)
      mask.data<uint8_t>()[p] = static_cast<uint8_t>(place(i, p / 20, p % 20));
    write_png(made.file(fmt::format("images/i{}.png", i)), image);
    write_png(made.file(fmt::format("masks/i{}.png", i)), mask);
    const std::string line = fmt::format("images/i{0}.png masks/i{0}.png\n", i);
    std::ofstream(made.file(i == 0 ? "val.txt" : "train.txt"), std::ios::app) << line;
  }
  const InstanceCheckReport report = check_instances(made.options, 0, 0);
  CHECK(report.errors() == 0);
  return all_findings(report, false);
}

}  // namespace

TEST_CASE("checking objects: label pictures in the place of id masks are noticed") {
  // Three bars of one class each image, and one of another.
  const auto classes = [](int, int64_t y, int64_t x) { return y < 5 ? 2 : y > 7 && x % 7 < 3 ? 1 : 0; };
  const std::string found = warnings_of_masks(5, classes);
  for (const char* part : {"train: 4 of 8 objects, in 4 of 4 images, are scattered",
                           "value 1 of i1 in 3 places", "...", "its own number", "data.dataset=list"})
    CHECK_THAT(found, Catch::Contains(part));
  CHECK_THAT(found, !Catch::Contains("val:"));  // one picture is no evidence
  // Every class in one piece, but the same in every image.
  const auto organs = [](int i, int64_t y, int64_t x) { return y < 5 + i % 3 ? 0 : x < 10 ? 1 : 2; };
  CHECK_THAT(warnings_of_masks(11, organs), Catch::Contains("train: all 10 images") &&
                                                Catch::Contains("the same 2 values") &&
                                                Catch::Contains("data.dataset=list"));
  CHECK_THAT(warnings_of_masks(6, organs), !Catch::Contains("data.dataset=list"));
}

TEST_CASE("checking objects: id masks are no label pictures because of a few split objects") {
  // Object 1 has a bar in front of it, of unequal sides; touching at a corner is one piece; object 3 is
  // alone.
  const auto objects = [](int i, int64_t y, int64_t x) {
    if (y < 6) return x == 4 ? 2 : 1;
    if (y > 8 && y < 15) return (y < 12) == (x < 10) ? 4 : 0;
    return y > 16 && x < 3 + i ? 3 : 0;
  };
  CHECK_THAT(warnings_of_masks(9, objects), !Catch::Contains("data.dataset=list"));
  // One in sixteen in two equal parts.
  const auto rare = [](int i, int64_t y, int64_t x) {
    const int number = static_cast<int>(1 + y / 5 * 4 + x / 5);
    return x % 5 == 4 || y % 5 == 4 || (number == 6 && x == 7) || (number == 16 && i % 2) ? 0 : number;
  };
  CHECK_THAT(warnings_of_masks(9, rare), !Catch::Contains("data.dataset=list"));
}

TEST_CASE("pennfudan as published: the last five of seventeen of either place are for validation") {
  Made made("pennfudan");
  const auto add = [&](const std::string& stem) {
    made.image("PennFudanPed/PNGImages/" + stem + ".png");  // read by content, whatever the name says
    made.label("PennFudanPed/PedMasks/" + stem + "_mask.png", {0, 1});
  };
  for (int i = 1; i <= 17; ++i) add(fmt::format("FudanPed{:05}", i));
  for (int i = 1; i <= 3; ++i) add(fmt::format("PennPed{:05}", i));
  const auto train = open_instance_dataset(made.options, "train", 0, 0);
  const auto val = open_instance_dataset(made.options, "val", 0, 0);
  CHECK(train->size() == 14);
  CHECK(val->size() == 6);
  CHECK(train->id(11) == "FudanPed00012");
  CHECK(val->id(0) == "FudanPed00013");
  CHECK(val->id(5) == "PennPed00003");
  CHECK(val->classes()[1].name == "person");
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "test", 0, 0), "no test split");
  fs::remove(made.file("PennFudanPed/PedMasks/PennPed00002_mask.png"));
  CHECK_SAYS(ErrorKind::data, open_instance_dataset(made.options, "train", 0, 0), "PennPed00002");
}

TEST_CASE("generated shapes serve as a set of objects, in agreement with their scenes") {
  Made made("shapes_instances");
  const ShapesOptions shapes{.train = 3, .val = 2, .height = 48, .width = 64, .classes = 5, .seed = 4};
  write_shapes(made.path(), shapes);
  const auto set = open_instance_dataset(made.options, "train", 5, 3);
  CHECK(set->size() == 3);
  CHECK(set->classes()[2].name == "square");
  for (int64_t i = 0; i < 3; ++i) {
    const ShapeScene scene = generate_scene(shapes, i);
    const InstanceSample s = set->load(i);
    CHECK(same(s.image, scene.image));
    REQUIRE(s.instances.masks.size() == scene.instances.size());
    for (size_t k = 0; k < scene.instances.size(); ++k) {
      const ShapeInstance& truth = scene.instances[k];
      CHECK(s.instances.labels[k] == truth.label);
      CHECK(s.instances.masks[k].area() == truth.area);
      CHECK(s.instances.masks[k].bounds() == std::array<int64_t, 4>{truth.x0, truth.y0, truth.x1, truth.y1});
      CHECK(s.instances.masks[k].pixels ==
            Mask::of_value(scene.instance, static_cast<int64_t>(k) + 1).pixels);
    }
  }
  CHECK(check_instances(made.options, 0, 0).errors() == 0);
}

TEST_CASE("checking objects: counts, and what a training would trip over") {
  Coco made;
  made.train["images"].push_back(made.train["images"][0]);
  made.train["images"].back()["id"] = 30;
  made.train["images"].back()["file_name"] = "x.jpg";
  made.image("train2017/x.jpg");
  Json& crowd = made.object(made.train, 20, 3, {0, 0, 7, 7}, {{"size", {8, 8}}, {"counts", {0, 8, 56}}});
  crowd["iscrowd"] = 1;
  made.object(made.train, 10, 3, {3, 3, 0, 2}, {{3, 3, 5, 3, 5, 5}});
  made.object(made.train, 10, 3, {-4, 0, 8, 8}, {{0, 0, 4, 0, 4, 8, 0, 8}});
  made.object(made.train, 10, 3, {6, 6, 2, 2}, {{0, 0, 2, 0, 2, 2, 0, 2}});
  made.object(made.train, 10, 3, {6, 6, 2, 2}, {{100, 100, 102, 100, 102, 102}});
  const InstanceCheckReport report = made.findings();
  CHECK(report.errors() == 0);
  const InstanceSplitReport& s = report.splits[0];
  CHECK(s.images == 3);
  CHECK(s.objects == 5);
  CHECK(s.crowds == 1);
  CHECK(s.most_objects == 5);
  CHECK(s.images_without_objects == 1);
  CHECK(s.images_with_crowds_only == 1);
  CHECK(s.boxes_degenerate == 1);
  CHECK(s.boxes_outside == 1);
  CHECK(s.masks_empty == 1);
  CHECK(s.masks_beside_box >= 1);
  CHECK(s.class_objects == std::vector<int64_t>{0, 1, 4, 0});
  CHECK(s.class_images == std::vector<int64_t>{0, 1, 1, 0});
  const std::string warnings = all_findings(report, false);
  for (const char* part : {"1 image has no object", "crowds only", "no area inside", "beyond its image",
                           "covers no pixel", "different places", "annotation 104", "thing7"})
    CHECK_THAT(warnings, Catch::Contains(part));
  CHECK_THAT(report.table(), Catch::Contains("5 objects") && Catch::Contains("thing3"));
  CHECK(Json::parse(report.json())["splits"][0]["class_objects"][2] == 4);
}

TEST_CASE("checking objects: errors are found, whatever is wrong") {
  {
    Coco made;  // x1, y1, x2, y2 where x, y, width, height belongs
    for (int i = 0; i < 4; ++i) made.object(made.train, 20, 1, {4, 4, 7, 7}, {{4, 4, 7, 4, 7, 7, 4, 7}});
    CHECK_THAT(all_findings(made.findings(), true), Catch::Contains("far corner"));
  }
  {
    Coco made;
    made.train["annotations"] = Json::array();
    CHECK_THAT(all_findings(made.findings(), true), Catch::Contains("train: no image has an object"));
  }
  {
    Coco made;
    made.text("train2017/000000000010.jpg", "no image");
    CHECK_THAT(all_findings(made.findings(), true), Catch::Contains("000000000010.jpg"));
  }
  {
    Coco made;  // the same picture in both splits
    fs::copy_file(made.file("train2017/000000000010.jpg"), made.file("val2017/000000000011.jpg"),
                  fs::copy_options::overwrite_existing);
    CHECK_THAT(all_findings(made.findings(), true), Catch::Contains("same pixels"));
  }
  {
    Coco made;
    made.read();
    made.text("annotations/instances_train2017.json", "{\"images\": [");
    const InstanceCheckReport report = check_instances(made.options, 0, 0);
    CHECK_THAT(all_findings(report, true), Catch::Contains("train: "));
    CHECK(report.splits.size() == 1);  // val is still looked at
  }
}
