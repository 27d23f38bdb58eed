// A set with COCO annotations that the tests make up.
#pragma once

#include <nlohmann/json.hpp>

#include "data/check_instances.h"
#include "tests/data/made_set.h"

namespace atrous::data::test {

using Json = nlohmann::json;

// A set with COCO annotations under construction: images of 8 x 8 pixels.
struct Coco : Made {
  Json train = {{"images", Json::array()}, {"annotations", Json::array()}, {"categories", Json::array()}},
       val = train;

  explicit Coco(const std::vector<int64_t>& categories = {1, 3, 7}) : Made("coco") {
    for (const int64_t id : categories) category(id, "thing" + std::to_string(id));
    for (const auto& [json, split] : {std::pair{&train, "train"}, {&val, "val"}}) {
      for (const int64_t id : {20, 10}) add_image(*json, split, id + (split[0] == 'v'));
    }
    object(train, 10, 1, {1, 2, 3, 4}, {{1, 2, 4, 2, 4, 6, 1, 6}});
    object(val, 11, 1, {1, 2, 3, 4}, {{1, 2, 4, 2, 4, 6, 1, 6}});
  }
  void category(int64_t id, const std::string& name) {
    for (Json* json : {&train, &val}) (*json)["categories"].push_back({{"id", id}, {"name", name}});
  }
  void add_image(Json& json, const std::string& split, int64_t id) {
    const std::string name = fmt::format("{:012}.jpg", id);
    image(split + "2017/" + name);
    json["images"].push_back({{"id", id}, {"file_name", name}, {"height", 8}, {"width", 8}});
  }
  Json& object(Json& json, int64_t image_id, int64_t category_id, std::vector<double> box,
               Json segmentation) {
    const auto number = static_cast<int64_t>(json["annotations"].size()) + 100;
    json["annotations"].push_back({{"id", number},
                                   {"image_id", image_id},
                                   {"category_id", category_id},
                                   {"bbox", box},
                                   {"area", 12.5},
                                   {"iscrowd", 0},
                                   {"segmentation", std::move(segmentation)}});
    return json["annotations"].back();
  }
  void write() {
    text("annotations/instances_train2017.json", train.dump());
    text("annotations/instances_val2017.json", val.dump());
  }
  std::unique_ptr<InstanceDataset> read(const std::string& split = "train", int64_t classes = 0) {
    write();
    return open_instance_dataset(options, split, classes, 0);
  }
  InstanceCheckReport findings() {
    write();
    return check_instances(options, 0, 0);
  }
};

inline std::vector<float> box(const Instances& o, int64_t i) {
  return {o.box(i), o.box(i) + 4};
}

inline std::string all_findings(const InstanceCheckReport& report, bool errors) {
  std::string out;
  for (const Finding& f : report.findings) {
    if (f.is_error == errors) out += f.message + "\n";
  }
  return out;
}

}  // namespace atrous::data::test
