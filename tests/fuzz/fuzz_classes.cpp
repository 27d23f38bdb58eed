// classes.json beside list files.
#include "data/list_dataset.h"
#include "harness.h"

using namespace atrous;

FUZZ_HARNESS(classes, bytes) {
  fuzz::accepts({ErrorKind::data}, [&] {
    const data::ClassTable table = data::read_class_table(fuzz::file_with(bytes));
    fuzz::require(!table.classes.empty() && table.classes.size() <= data::ignore_label, "1 to 255 classes");
    fuzz::require(table.ids.size() == table.classes.size(), "every class has its value");
    for (const int64_t id : table.ids) {
      fuzz::require(id >= 0 && id <= 65535, "a class has a value that labels can have");
      fuzz::require(id != table.ignore_index, "the ignored value is no class");
      fuzz::require(std::count(table.ids.begin(), table.ids.end(), id) == 1, "a value has one class");
    }
    const std::string& copy = fuzz::file_with({}, "classes.json");
    data::write_class_table(copy, table);
    const data::ClassTable again = data::read_class_table(copy);
    fuzz::require(again.ids == table.ids && again.ignore_index == table.ignore_index,
                  "values are read as they were written");
    for (size_t k = 0; k < table.classes.size(); ++k) {
      fuzz::require(
          again.classes[k].name == table.classes[k].name && again.classes[k].color == table.classes[k].color,
          "classes are read as they were written");
    }
  });
}
