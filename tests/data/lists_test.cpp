// The text of lists, ids of what they name, and the files of folders.
#include "data/folder.h"
#include "data/instances.h"
#include "data/list_dataset.h"
#include "data/list_text.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

using Fields = std::vector<std::vector<std::string>>;

Fields fields_in(const std::string& text) {
  TemporaryFolder folder;
  write_text(folder.file("list.txt"), text);
  Fields out;
  for (const ListLine& line : read_list_lines(folder.file("list.txt"))) out.push_back(line.fields);
  return out;
}

std::vector<std::string> ids_in(const std::vector<std::string>& images) {
  std::vector<ListEntry> entries;
  for (const std::string& image : images)
    entries.push_back(
        {.id = {}, .image = image, .label = {}, .line = static_cast<int64_t>(entries.size()) + 1});
  assign_ids(entries, "list.txt");
  std::vector<std::string> ids;
  for (const ListEntry& e : entries) ids.push_back(e.id);
  return ids;
}

}  // namespace

TEST_CASE("lists: byte order marks, Windows line ends, tabs and empty lines mean nothing") {
  const Fields expected = {{"a.png", "b.png"}, {"c.png", "d.png"}};
  CHECK(fields_in("a.png b.png\nc.png d.png\n") == expected);
  CHECK(fields_in("\xef\xbb\xbf"
                  "a.png b.png\nc.png d.png") == expected);
  CHECK(fields_in("a.png b.png\r\nc.png d.png\r\n") == expected);
  CHECK(fields_in("a.png\tb.png\n \tc.png  d.png\t\n") == expected);
  CHECK(fields_in("\na.png b.png\n\n \r\nc.png d.png\n\n") == expected);
}

TEST_CASE("lists: names with blanks stand in quotes") {
  CHECK(fields_in("\"my photo.png\" mask.png\n") == Fields{{"my photo.png", "mask.png"}});
  CHECK(fields_in("\"my\tphoto.png\"\t\"the mask.png\"\r\n") == Fields{{"my\tphoto.png", "the mask.png"}});
  CHECK(fields_in("\"a \"\"b\"\" c.png\" \"\"\"\" x\"y\n") == Fields{{"a \"b\" c.png", "\"", "x\"y"}});
  CHECK_SAYS(ErrorKind::data, fields_in("ok ok\n\"open.png mask.png\n"), "list.txt:2",
             "must end with a quote");
  CHECK_SAYS(ErrorKind::data, fields_in("\"a\"b c\n"), "list.txt:1", "space must follow");
}

TEST_CASE("lists: an empty name or a folder is no file") {
  TemporaryFolder folder;
  const auto entries_in = [&](const std::string& text, const std::string& strip_prefix = "") {
    write_text(folder.file("list.txt"), text);
    return read_list(folder.file("list.txt"), true, strip_prefix);
  };
  for (const char* line : {"\"\" b.png\n", "a.png \"\"\n", ". b.png\n", "a.png x/..\n", "a.png labels/\n"})
    CHECK_SAYS(ErrorKind::data, entries_in("ok.png ok2.png\n" + std::string(line)), "list.txt:2",
               "names files");
  CHECK_SAYS(ErrorKind::data, entries_in("/SegNet/ b.png\n", "/SegNet/"), "list.txt:1", "names files");
  CHECK(entries_in("x/../a.png ./b.png\n")[0].label == "b.png");
}

TEST_CASE("lists: other encodings are refused by name") {
  CHECK_SAYS(ErrorKind::data,
             fields_in(std::string("\xff\xfe"
                                   "a\0 \0b\0\n\0",
                                   10)),
             "list.txt", "UTF-16", "iconv");
  CHECK_SAYS(ErrorKind::data, fields_in(std::string("\xfe\xff\0a\0 \0b\0\n", 10)), "UTF-16");
  CHECK_SAYS(ErrorKind::data, fields_in(std::string("a\0 \0b\0\n\0", 8)), "zero byte", "UTF-8");
  CHECK_SAYS(ErrorKind::data, fields_in("a b\rc d\n"), "list.txt:1", "carriage return");
  CHECK_SAYS(ErrorKind::data, fields_in("\n \r\n"), "at least one image");
}

TEST_CASE("lists: absolute paths are read if they lie below the root") {
  TemporaryFolder folder;
  const std::string list = folder.file("list.txt");
  write_text(list, folder.path() + "/i/a.png " + folder.path() + "/l/../l/a.png\n");
  for (const std::string& root : {folder.path(), folder.path() + "/", folder.path() + "/i/.."}) {
    const std::vector<ListEntry> entries = read_list(list, false, "", root);
    CHECK(entries[0].image == "i/a.png");
    CHECK(entries[0].label == "l/a.png");
  }
  for (const std::string& root : {std::string(), folder.path() + "/i", folder.path() + "x"})
    CHECK_SAYS(ErrorKind::data, read_list(list, false, "", root), "list.txt:1", "inside the root");
}

TEST_CASE("ids: stems, paths where stems repeat, whole names where those repeat") {
  CHECK(ids_in({"x/a.png", "y/b.png"}) == std::vector<std::string>{"a", "b"});
  CHECK(ids_in({"x/a.png", "y/a.png"}) == std::vector<std::string>{"x/a", "y/a"});
  CHECK(ids_in({"x/a.png", "x/a.jpg"}) == std::vector<std::string>{"x/a.png", "x/a.jpg"});
  CHECK_SAYS(ErrorKind::data, ids_in({"x/a.png", "x/a.jpg", "x/a.png"}), "list.txt:3", "x/a.png", "line 1");
}

TEST_CASE("list set: two images whose names differ in their endings alone") {
  TemporaryFolder folder;
  write_png(folder.file("a.png"), ramp({2, 2, 3}));
  write_bytes(folder.file("a.jpg"), jpeg_blocks(1, 1, {90}, 3, 0));
  write_png(folder.file("one.png"), pixels({2, 2}, {0, 1, 0, 1}));
  write_png(folder.file("two.png"), Tensor::full({8, 8}, 1, DType::u8));
  write_text(folder.file("train.txt"), "a.png one.png\na.jpg two.png\n");
  DataOptions options;
  options.root = folder.path();
  const auto set = open_dataset(options, "train", 2, 3);
  REQUIRE(set->size() == 2);
  CHECK(set->id(0) == "a.png");
  CHECK(set->id(1) == "a.jpg");
  CHECK(values_of(set->load(0).label) == std::vector<int>{0, 1, 0, 1});
  CHECK(set->load(1).image.shape() == Shape{8, 8, 3});
}

TEST_CASE("coco: two images whose names differ in their endings alone") {
  TemporaryFolder folder;
  write_png(folder.file("images/a.png"), Tensor::full({8, 8, 3}, 77, DType::u8));
  write_bytes(folder.file("images/a.jpg"), jpeg_blocks(1, 1, {200}, 3, 0));
  write_text(folder.file("train.json"),
             R"({"images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 8},
                            {"id": 2, "file_name": "a.jpg", "height": 8, "width": 8}],
                 "categories": [{"id": 1, "name": "thing"}],
                 "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12,
                                  "iscrowd": 0, "segmentation": [[1, 2, 4, 2, 4, 6, 1, 6]]}]})");
  DataOptions options;
  options.dataset = "coco";
  options.root = folder.path();
  const auto set = open_instance_dataset(options, "train", 0, 3);
  REQUIRE(set->size() == 2);
  CHECK(set->id(0) == "images/a.png");
  CHECK(set->id(1) == "images/a.jpg");
  CHECK(set->load(0).image.data<uint8_t>()[0] == 77);
  CHECK(set->load(0).instances.size() == 1);
  CHECK(set->load(1).image.data<uint8_t>()[0] > 190);
}

TEST_CASE("folders: what is read, what is left out, and why") {
  TemporaryFolder folder;
  write_png(folder.file("b.png"), ramp({2, 2}));
  const std::vector<uint8_t> jpeg = jpeg_blocks(1, 1, {90}, 3, 0);
  for (const char* name : {"c.jfif", "d.jpe", "e", "F.JPG"}) write_bytes(folder.file(name), jpeg);
  write_text(folder.file("cut.png"), "");  // named like an image: reading it says what is wrong
  write_text(folder.file("g.pgm"), "P5 1 1 255\n\1");
  write_text(folder.file("._b.png"), std::string("\0\5\26\7", 4));
  for (const char* name : {".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png", "notes.txt"})
    write_text(folder.file(name), "text");
  write_text(folder.file("h.tif"), std::string("II*\0....", 8));
  write_text(folder.file("i.png"), "GIF89a......");
  fs::create_directories(folder.file("__MACOSX/deep"));
  fs::create_directories(folder.file("more/deep"));
  fs::create_symlink("nowhere", folder.file("link.png"));
  const auto names = [&](FolderOf of) {
    std::vector<std::string> out;
    for (const std::string& file : list_images(folder.path(), of).files)
      out.push_back(fs::path(file).filename().string());
    return out;
  };
  CHECK(names(FolderOf::images) ==
        std::vector<std::string>{"F.JPG", "b.png", "c.jfif", "cut.png", "d.jpe", "e", "g.pgm"});
  CHECK(names(FolderOf::labels) == std::vector<std::string>{"b.png", "cut.png", "g.pgm"});
  const std::string text = list_images(folder.path(), FolderOf::images).skipped_text("photos");
  for (const char* part :
       {"left behind by the operating system (", ".DS_Store", "and 2 more)", "hidden (.hidden.png)",
        "no image (notes.txt)", "TIFF is not read: convert it to PNG (h.tif)",
        "GIF is not read: convert it to PNG (i.png)", "folders inside a folder are not searched (more/)",
        "neither a file nor a folder (link.png)", "skipped in photos: "})
    CHECK_THAT(text, Catch::Contains(part));
  CHECK(std::count(text.begin(), text.end(), '\n') == 6);
  CHECK_THAT(list_images(folder.path(), FolderOf::labels).skipped_text("x"),
             Catch::Contains("without loss (F.JPG, c.jfif, d.jpe and 1 more)"));
  CHECK_SAYS(ErrorKind::io, list_images(folder.file("none/at/all") + "/x", FolderOf::images),
             "must be readable");
}
