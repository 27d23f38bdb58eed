// Classes of two origins are the same by name.
#include "data/class_match.h"

#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

using Labels = std::vector<int64_t>;

ClassList list(const std::string& what, const std::vector<std::string>& names, bool objects = false) {
  ClassList out{.what = what, .classes = {}, .objects = objects, .numbers = {}};
  for (const std::string& name : names) out.classes.push_back({name, {}, {}});
  return out;
}

std::vector<std::string> names_of(const ClassMatch& match) {
  std::vector<std::string> out;
  for (const ClassInfo& c : match.classes) out.push_back(c.name);
  return out;
}

std::string notes_of(const ClassMatch& match) {
  std::string out;
  for (const std::string& note : match.notes) out += note + "\n";
  return out;
}

}  // namespace

TEST_CASE("classes match by name: order and numbers do not matter") {
  const ClassMatch same = match_classes(list("val", {"a", "b", "c"}), list("train", {"a", "b", "c"}));
  CHECK(same.labels == Labels{0, 1, 2});
  CHECK(same.notes.empty());
  const ClassMatch turned = match_classes(list("val", {"c", "a", "b"}), list("train", {"a", "b", "c"}));
  CHECK(turned.labels == Labels{2, 0, 1});
  CHECK(names_of(turned) == std::vector<std::string>{"a", "b", "c"});
  CHECK_THAT(notes_of(turned), Catch::Contains("3 of 3 have another number in val than in train"));
  // A class that val lacks is a note; the others keep their names.
  const ClassMatch part = match_classes(list("val", {"c", "a"}), list("train", {"a", "b", "c"}));
  CHECK(part.labels == Labels{2, 0});
  CHECK_THAT(notes_of(part), Catch::Contains("val has no \"b\", which train has"));
  // Background and gaps of raw ids are not matched.
  const ClassMatch raw = match_classes(list("val", {"background", "N/A", "y", "x"}, true),
                                       list("train", {"bg", "x", "N/A", "N/A", "y"}, true));
  CHECK(raw.labels == Labels{0, no_class, 4, 1});
}

TEST_CASE("other names are an error that prints both lists and a class map") {
  const std::string text = message_of(ErrorKind::data, [] {
    match_classes(list("val", {"road", "Side Walk", "plate:x", "sky"}),
                  list("train", {"sky", "road", "sidewalk", "car"}));
  });
  CHECK_THAT(text, Catch::Contains("every class of val must be one of train"));
  CHECK_THAT(text, Catch::Contains("\"Side Walk\", \"plate:x\""));
  CHECK_THAT(text,
             Catch::Contains("\n  val        train\n  Side Walk  -\n  plate:x    -\n  -          sidewalk\n"
                             "  -          car\n  road       road\n  sky        sky"));
  CHECK_THAT(text, Catch::Contains("data.class_map=Side Walk:sidewalk,plate\\:x:ignore"));
  CHECK_SAYS(ErrorKind::data, match_classes(list("val", {"a", "b"}), list("train", {"a", "b", "a"})),
             "names must differ", "\"a\" 2 times in train");
  // Ignoring every class is no way out.
  CHECK_SAYS(ErrorKind::data, match_classes(list("val", {"sea", "sand"}), list("train", {"water", "beach"})),
             "data.class_map=sea:NAME,sand:NAME with names of the second column");
  CHECK_SAYS(ErrorKind::data,
             match_classes(list("val", {"sea"}), list("train", {"water"}), "data.class_map", "Or swim."),
             "data.class_map=sea:NAME with", "\nOr swim.");
  const ClassList twice = list("train", {"a", "b", "a"});
  CHECK(match_classes(twice, twice).labels == Labels{0, 1, 2});
}

TEST_CASE("classes without names are matched by number, which is said if the other list has names") {
  const ClassMatch both = match_classes(list("val", {"class0", "class1"}), list("net", {"class0", "class1"}));
  CHECK(both.labels == Labels{0, 1});
  CHECK(both.notes.empty());
  for (const bool we : {true, false}) {
    const ClassList named = list(we ? "net" : "val", {"a", "b"}),
                    bare = list(we ? "val" : "net", {"class0", "class1"});
    const ClassMatch one = we ? match_classes(bare, named) : match_classes(named, bare);
    CHECK(one.labels == Labels{0, 1});
    CHECK_FALSE(one.by_name);
    CHECK(names_of(one) == std::vector<std::string>{"a", "b"});
    REQUIRE(one.notes.size() == 1);
    CHECK_THAT(one.notes[0], Catch::Contains((we ? "val" : "net") + std::string(" has no class names")));
  }
  // Names that look generated, in another order, are names.
  const ClassMatch swapped =
      match_classes(list("val", {"class1", "class0"}), list("net", {"class0", "class1"}));
  CHECK(swapped.labels == Labels{1, 0});
  // Categories without names have ids, which mean the same in all files of a set.
  const ClassMatch ids = match_classes(list("val", {"bg", "category 7"}, true),
                                       list("train", {"bg", "category 3", "category 7"}, true));
  CHECK(ids.labels == Labels{0, 2});
}

TEST_CASE("a class map renames, merges and leaves out") {
  const ClassMap map({"van:car", "void:ignore", "a\\:b:c"});
  const ClassMatch own = map.apply(list("train", {"void", "van", "road", "car", "a:b"}));
  CHECK(own.labels == Labels{no_class, 0, 1, 0, 2});
  CHECK(names_of(own) == std::vector<std::string>{"car", "road", "c"});
  CHECK_THAT(notes_of(own), Catch::Contains("takes \"van\" as \"car\", \"a:b\" as \"c\"") &&
                                Catch::Contains("ignores \"void\""));
  CHECK_THAT(notes_of(own), Catch::Contains("as \"c\" in train\n") && Catch::Contains("\"void\" in train\n"));
  const ClassMatch part = map.apply(list("val", {"bg", "void", "van", "N/A", "car"}, true));
  CHECK(part.labels == Labels{0, no_class, 1, no_class, 1});
  CHECK(names_of(part) == std::vector<std::string>{"bg", "car", "N/A"});
  CHECK_THAT(notes_of(part), Catch::Contains("val has no \"a:b\", which data.class_map names"));
  for (const char* wrong : {"van", "van:", ":car", "a:b:c"}) {
    INFO(wrong);
    CHECK_SAYS(ErrorKind::config, ClassMap({wrong}), "[data.class_map] entries are `theirs:ours`", wrong);
  }
  CHECK_SAYS(ErrorKind::config, ClassMap({"a:b", "a:c"}, "--class-map"), "[--class-map]", "given before");
}

TEST_CASE("names that the user gives are shown, and the set's own are matched") {
  ClassList train = list("train", {"bolt", "nut"});
  rename_classes(train.classes, {"Schraube", "Mutter"});
  const ClassMatch match = match_classes(list("val", {"nut", "bolt"}), train);
  CHECK(match.labels == Labels{1, 0});
  CHECK(names_of(match) == std::vector<std::string>{"Schraube", "Mutter"});
  CHECK(match_classes(list("val", {"Mutter", "Schraube"}), train).labels == Labels{1, 0});
}

TEST_CASE("names of the user's alone are matched by number unless they say otherwise") {
  // A checkpoint with data.class_names from before the names of the set were stored.
  ClassList net = list("net", {"water", "beach", "sky"});
  for (size_t k = 0; k < 3; ++k) net.classes[k].set_name = fmt::format("class{}", k);
  const ClassMatch own = match_classes(list("val", {"sea", "sand", "sky"}), net);
  CHECK(own.labels == Labels{0, 1, 2});
  CHECK_FALSE(own.by_name);
  CHECK(names_of(own) == std::vector<std::string>{"sea", "sand", "sky"});
  CHECK_THAT(notes_of(own), Catch::Contains("net has no class names but those of data.class_names, so its "
                                            "classes are matched with those of val by number"));
  // All of the names are known, or one of them has another number.
  const ClassMatch known = match_classes(list("val", {"sky", "water", "beach"}), net);
  CHECK(known.by_name);
  CHECK(known.labels == Labels{2, 0, 1});
  CHECK_SAYS(ErrorKind::data, match_classes(list("val", {"sky", "sea", "sand"}), net), "must be one of net");
  // A set without names keeps those of the user.
  const ClassMatch bare = match_classes(list("val", {"class0", "class1", "class2"}), net);
  CHECK(bare.labels == Labels{0, 1, 2});
  CHECK(names_of(bare) == std::vector<std::string>{"water", "beach", "sky"});
}
