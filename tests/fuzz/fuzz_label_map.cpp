// Label maps as text: "0:0,1:1,255:ignore".
#include "data/label_map.h"
#include "harness.h"

using namespace atrous;

// The number of classes, then the text.
FUZZ_HARNESS(label_map, bytes) {
  fuzz::Input input{bytes};
  const int64_t classes = input.take<uint8_t>();
  const std::string text = fuzz::text_of(input.left);
  fuzz::accepts({ErrorKind::config}, [&] {
    const data::LabelMap map = data::LabelMap::parse(text, classes);
    fuzz::require(map.num_classes() == classes, "the number of classes is kept");
    fuzz::require(!map.describe({}).empty() || map.uses_colors(), "a map can be described");
    for (int64_t v = -1; v <= 65536; v += v < 300 ? 1 : 59) {
      const int16_t k = map.lookup(v);
      fuzz::require(k == data::LabelMap::unknown || k == data::ignore_label || (k >= 0 && k < classes),
                    "a value has a class that exists, is ignored, or is unknown");
    }
    if (text.find("identity") != std::string::npos || classes == data::ignore_label) return;
    const data::LabelMap more = data::LabelMap::parse(text, classes + 1);
    for (int64_t v = 0; v <= 65535; v += v < 300 ? 1 : 59)
      fuzz::require(map.lookup(v) == more.lookup(v), "another class more changes no value");
  });
}
