// PyTorch files that break a rule: each is refused with a message that names it.
#include <catch2/catch.hpp>
#include <sstream>

#include "core/allocator.h"
#include "core/pytorch_file.h"
#include "tests/core/pytorch_files.h"

using namespace atrous;
using namespace atrous::test;
using Catch::Matchers::Contains;

namespace {

void read(const std::string& bytes) {
  std::istringstream in(bytes);
  const ByteSource file(in, bytes.size(), "test.pth");
  REQUIRE(is_pytorch(file));
  const PyTorchFile opened = open_pytorch(file);
  read_pytorch(file, opened, choose_state_dict(opened.tree, opened.found, "", "test.pth"));
}

void check_rejected(const std::string& bytes, const std::string& message) {
  try {
    read(bytes);
    FAIL("accepted; expected: " << message);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::checkpoint);
    CHECK_THAT(e.what(), Contains(message));
    CHECK(std::string(e.what()).size() < 2000);
  }
}

const std::string two_floats = bytes_of(std::vector<float>{3, 4});
const std::vector<Storage> data = {{"0", two_floats}};

std::string state_dict(const std::string& value) {
  return dict({{"w", value}});
}

// As a value beside honest weights, and as the whole of a zip and a legacy file.
void check_code(const std::string& value, const std::string& name) {
  INFO(name);
  const std::string message = "this file would run code: " + name;
  check_rejected(zip_file(dict({{"model", state_dict(tensor("0", {2}))}, {"x", value}}), data), message);
  check_rejected(zip_file(value), message);
  check_rejected(pickle(value), message);
  check_rejected(legacy_prelude() + pickle(value), message);
}

}  // namespace

TEST_CASE("hostile pickles: functions that run code are refused by name") {
  const std::vector<std::pair<const char*, const char*>> functions = {
      {"os", "system"},
      {"posix", "system"},
      {"nt", "system"},
      {"os", "popen"},
      {"os", "execv"},
      {"subprocess", "Popen"},
      {"subprocess", "check_output"},
      {"builtins", "eval"},
      {"builtins", "exec"},
      {"__builtin__", "eval"},
      {"builtins", "compile"},
      {"builtins", "__import__"},
      {"builtins", "getattr"},
      {"builtins", "setattr"},
      {"builtins", "open"},
      {"sys", "modules"},
      {"sys", "exit"},
      {"runpy", "run_path"},
      {"importlib", "import_module"},
      {"pickle", "loads"},
      {"_pickle", "loads"},
      {"torch.hub", "load"},
      {"torch", "load"},
      {"torch.storage", "_load_from_bytes"},
      {"torch.jit", "load"},
      {"torch._utils", "_import_dotted_name"},
      {"torch.serialization", "load"},
      {"operator", "attrgetter"},
      {"functools", "partial"},
      {"pty", "spawn"},
      {"shutil", "rmtree"},
      {"socket", "socket"},
      {"ctypes", "CDLL"},
      {"code", "interact"},
      {"marshal", "loads"},
      {"types", "FunctionType"},
      {"webbrowser", "open"},
      {"timeit", "timeit"},
      {"numpy", "load"},
      {"numpy.testing._private.utils", "runstring"},
      {"torch", "Generator"},
      {"collections", "namedtuple"},
      {"_codecs", "decode"}};
  for (const auto& [module, name] : functions) {
    const std::string what = std::string(module) + "." + name;
    check_code(call(global(module, name), {text("id")}), what);
  }
  // Also where nothing is called, or only later.
  check_code(global("os", "system"), "os.system");
  check_code(global("os", "system") + "0N", "os.system");
  check_code(text("os") + text("system") + "\x93", "os.system");
  check_code(text("builtins") + text("eval.__call__") + "\x93", "builtins.eval.__call__");
  check_code("(ios\nsystem\n", "os.system");
  check_code("(" + global("os", "system") + text("id") + "o", "os.system");
  check_code(global("os", "system") + tuple({text("id")}) + "\x81", "os.system");
  check_code(global("os", "system") + tuple({text("id")}) + "}\x92", "os.system");
  check_code(call(global("my.package", "Config"), {}), "my.package.Config");
  check_code(global("os\x1b[2J", "system"), "os\\x1b[2J.system");
  check_code(global("__main__", std::string(500, 'x')), "__main__.xxx");
}

TEST_CASE("hostile pickles: a class is refused with what to do, a function that runs code without") {
  check_rejected(zip_file(global("omegaconf", "DictConfig")), "save the weights alone");
  check_rejected(zip_file(global("os", "system")), "Do not open it with Python either");
  check_rejected(zip_file(global("commands", "Popen")), "Do not open it with Python either");  // subprocess's
}

TEST_CASE("hostile pickles: opcodes that torch.save does not write are refused by name") {
  const std::vector<std::pair<std::string, const char*>> opcodes = {{"I1\n", "INT"},
                                                                    {"L1L\n", "LONG"},
                                                                    {"F1\n", "FLOAT"},
                                                                    {"S'a'\n", "STRING"},
                                                                    {"Va\n", "UNICODE"},
                                                                    {"Np0\n", "PUT"},
                                                                    {"g0\n", "GET"},
                                                                    {"(d", "DICT"},
                                                                    {"(l", "LIST"},
                                                                    {"N2", "DUP"},
                                                                    {"Pa\n", "PERSID"},
                                                                    {"(icollections\nOrderedDict\n", "INST"},
                                                                    {"(ccollections\nOrderedDict\no", "OBJ"},
                                                                    {"\x82\x01", "EXT1"},
                                                                    {"\x83\x01\x01", "EXT2"},
                                                                    {"\x84\x01\x01\x01\x01", "EXT4"},
                                                                    {"\x97", "NEXT_BUFFER"},
                                                                    {"N\x98", "READONLY_BUFFER"}};
  for (const auto& [bytes, name] : opcodes)
    check_rejected(zip_file(bytes), std::string("does not write are refused. Got ") + name + ".");
  check_rejected(zip_file("\xfe"), "Got the byte 0xfe");
  check_rejected(archive({{.name = "a/data.pkl", .data = "\x80\x06N."}}).whole(),
                 "protocols 2 to 5 are read. Got 6");
}

TEST_CASE("hostile pickles: calls need something to call, and arguments") {
  check_rejected(zip_file(text("os") + ")R"), "REDUCE calls a function or class. Got a str");
  check_rejected(zip_file(global("torch", "FloatStorage") + ")R"), "Got the global torch.FloatStorage");
  check_rejected(zip_file(global("torch", "Tensor") + ")\x81"), "NEWOBJ calls a function or class");
  check_rejected(zip_file(global("torch", "Size") + "NR"),
                 "its arguments as a tuple. Got None for torch.Size");
  check_rejected(zip_file(global("torch._utils", "_rebuild_tensor_v2") + ")\x81"),
                 "NEWOBJ makes an object of a class");
  check_rejected(zip_file(tensor("0", {2}) + "}b", data),
                 "BUILD sets the state of an object. Got a result of");
  check_rejected(zip_file("}}b"), "BUILD sets the state of an object. Got a dict");
  check_rejected(zip_file(tensor("0", {2}) + text("a") + "Ns", data),
                 "SETITEM changes a dict. Got a result of");
  check_rejected(zip_file("}Na"), "APPEND changes a list. Got a dict");
  check_rejected(zip_file("](NN\x90"), "ADDITEMS changes a set. Got a list");
  check_rejected(zip_file("}(Nu"), "SETITEMS takes keys with values. Got 1");
  check_rejected(zip_file("NN\x93"), "STACK_GLOBAL takes two texts. Got None and None");
  check_rejected(zip_file(call(global("collections", "OrderedDict"), {"](Ne"})),
                 "OrderedDict takes a list of pairs");
  check_rejected(zip_file(call(global("collections", "OrderedDict"), {"N"})),
                 "OrderedDict takes a list of pairs");
}

TEST_CASE("hostile pickles: the stack, the memo and marks are what they must be") {
  check_rejected(zip_file(""), "Got an empty one");
  check_rejected(zip_file("NN"), "ends with one value. Got 1 more");
  check_rejected(zip_file("N(a"), "Got an empty one");  // what lies below the mark is out of reach
  check_rejected(zip_file("t"), "Got no mark");
  check_rejected(zip_file("N1"), "Got no mark");
  check_rejected(zip_file("h\x05"), "put before it is taken. Got number 5");
  check_rejected(zip_file("q\x01"), "Got an empty one");
  check_rejected(zip_file("Nr\xff\xff\xff\xff"), "numbers below 4000000. Got 4294967295");
  check_rejected(zip_file(std::string(2000, '(')), "nested 1000 deep");
  check_rejected(zip_file(std::string(4'000'001, 'N')), "4000000 values");
  // Each tuple doubles what the one before holds: seen as values, not expanded.
  std::string bomb = "N\x94";
  for (int i = 0; i < 60; ++i) bomb += "2";
  check_rejected(zip_file(bomb), "Got DUP");
  std::string doubling = "]q";
  doubling += '\0';
  for (char i = 0; i < 60; ++i)
    doubling += std::string("](h") + i + "h" + i + "eq" + static_cast<char>(i + 1);
  for (int i = 0; i < 60; ++i) doubling = "(" + doubling;
  check_rejected(zip_file(doubling + std::string(60, 't')), "dictionary of tensors. Got a tuple");
}

TEST_CASE("hostile pickles: lengths are checked before anything is taken") {
  const auto number = [](uint64_t n) { return bytes_of(n); };
  const int64_t before = allocator_stats().allocations;
  for (const char* op : {"\x8d", "\x8e", "\x96"}) {  // BINUNICODE8, BINBYTES8, BYTEARRAY8
    check_rejected(zip_file(op + number(uint64_t{1} << 63)), "must lie in the file");
    check_rejected(zip_file(op + number(~uint64_t{0})), "must lie in the file");
  }
  check_rejected(zip_file("X" + bytes_of(uint32_t{0xffffffff})), "must lie in the file");
  check_rejected(zip_file("\x8b" + bytes_of(uint32_t{0x7fffffff})), "may have 255 bytes. Got 2147483647");
  check_rejected(zip_file("\x8b" + bytes_of(int32_t{-1})), "may have 255 bytes");
  check_rejected(zip_file("\x95" + number(1000) + "N"), "A frame must lie in the file");
  check_rejected(zip_file("cos"), "The name of a global ends with a line break");
  CHECK(allocator_stats().allocations == before);
}

TEST_CASE("hostile storages and tensors") {
  const auto bad = [&](const std::string& value, const std::string& message) {
    check_rejected(zip_file(state_dict(value), data), message);
  };
  const std::string make = global("torch._utils", "_rebuild_tensor_v2");
  bad(text("x") + "Q", "A storage is (\"storage\"");
  bad(tuple({text("module"), global("torch", "FloatStorage"), text("0"), text("cpu"), integer(2)}) + "Q",
      "A storage is");
  bad(tuple({text("storage"), global("torch", "float32"), text("0"), text("cpu"), integer(2)}) + "Q",
      "A storage is");
  bad(storage("0", -1), "A storage is");
  bad(tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), integer(2),
             tuple({text("1"), integer(0), integer(2)})}) +
          "Q",
      "before 0.4, are not read");
  bad(storage("0", int64_t{1} << 62, "DoubleStorage"), "must fit 64 bits");
  bad(tensor("../../etc/passwd", {2}), "Got none for \"../../etc/passwd\"");
  bad(tensor("0", {3}), "the size of its entry. Storage \"0\" has 12 and 8 bytes");
  bad(tuple({tensor("0", {2}), rebuild(storage("0", 2, "IntStorage"), 0, {2}, {1}),
             rebuild(storage("0", 4, "HalfStorage"), 0, {2}, {1})}),
      "A storage has one size and type");
  bad(call(make, {text("os"), integer(0), list_of_ints({2}), list_of_ints({1})}), "a storage in first place");
  bad(call(make, {}), "a storage in first place");
  bad(call(global("torch._utils", "_rebuild_parameter"), {text("x")}), "a tensor in first place");
  bad(call(global("torch._utils", "_rebuild_tensor_v3"),
           {storage("0", 2), integer(0), list_of_ints({2}), list_of_ints({1})}),
      "a dtype in seventh place");
  std::string many = "}(";
  for (int i = 0; i < 40; ++i) many += integer(i) + "N";
  bad(rebuild(storage("0", 2), 0, {2}, {1}, many + "u"), "metadata of a tensor have at most 16 entries");
  bad(rebuild(storage("0", 2), 0, {2}, {-1}), "integers of 0 or more. Got -1");
  bad(rebuild(storage("0", 2), 0, {-2}, {1}), "integers of 0 or more. Got -2");
  bad(rebuild(storage("0", 2), -1, {2}, {1}), "integers of 0 or more. Got -1");
  bad(rebuild(storage("0", 2), 1, {2}, {1}), "must lie in its storage");
  bad(rebuild(storage("0", 2), 0, {2}, {2}), "must lie in its storage");
  bad(rebuild(storage("0", 2), 3, {0}, {1}), "must lie in its storage");
  bad(rebuild(storage("0", 2), 0, {2, 1}, {1}), "as many strides as dimensions");
  bad(rebuild(storage("0", 2), 0, {INT64_MAX, 4}, {0, 0}), "must fit 64 bits");
  bad(rebuild(storage("0", 2), 0, {0, INT64_MAX, 4}, {0, 0, 0}), "must fit 64 bits");
  bad(rebuild(storage("0", 2), 0, {5}, {INT64_MAX}), "must fit 64 bits");
  bad(rebuild(storage("0", 2), INT64_MAX, {4}, {int64_t{1} << 62}), "must fit 64 bits");
  bad(rebuild(storage("0", 2), 0, {int64_t{1} << 40}, {0}), "16 bytes for each byte of the file. \"w\"");
  bad(rebuild(storage("0", 2), 0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1)),
      "at most 64 dimensions");
}

TEST_CASE("hostile archives") {
  const std::string value = state_dict(tensor("0", {2}));
  const auto changed = [&](auto&& change) {
    std::vector<Member> members = members_of(value, data);
    change(members);
    return archive(members).whole();
  };
  read(changed([](auto&) {}));
  check_rejected(changed([](auto& m) { m[1].method = 8; }), "stored, not compressed");
  check_rejected(changed([](auto& m) { m[1].flags = 1; }), "not encrypted");
  check_rejected(changed([](auto& m) { m[1].crc = 1; }), "must have its checksum. \"0\"");
  check_rejected(changed([](auto& m) { m[0].crc = 1; }), "must have its checksum. \"a/data.pkl\"");
  check_rejected(changed([](auto& m) { m[1].size = 4000; }), "has 4000 and 8 bytes");
  check_rejected(changed([](auto& m) { m[1].size = 4000, m[1].flags = 8; }), "Data must lie in the file");
  check_rejected(changed([](auto& m) { m[1].header = 1 << 20; }), "before the directory");
  check_rejected(changed([](auto& m) { m[1].header = 3; }), "local header must agree");
  check_rejected(changed([](auto& m) { m[1].local_name = "a/data/1"; }), "local header must agree");
  check_rejected(changed([](auto& m) { m.push_back(m[1]); }), "Duplicate \"a/data/0\"");
  check_rejected(changed([](auto& m) { m[1].size = 40, m[1].flags = 8; }), "must not overlap");
  check_rejected(changed([](auto& m) { m[2].name = "b/data.pkl"; }), "one entry data.pkl. Got 2");
  check_rejected(changed([](auto& m) { m[1].size = 0xffffffff; }), "has a zip64 field");
  check_rejected(changed([](auto& m) {
                   m[1].size = 0xffffffff;
                   m[1].extra = bytes_of(uint16_t{1}) + bytes_of(uint16_t{4}) + "1234";
                 }),
                 "field holds all that it stands for");
  check_rejected(changed([](auto& m) {
                   m[1].size = 0xffffffff;
                   m[1].extra = bytes_of(uint16_t{1}) + bytes_of(uint16_t{16}) + bytes_of(~uint64_t{0}) +
                                bytes_of(~uint64_t{0});
                 }),
                 "must agree");
  const std::string whole = zip_file(value, data);
  check_rejected(whole + "x", "ends with its directory");
  check_rejected("PK\3\4", "ends with its directory");
  check_rejected("PK\3\4" + whole, "end where the end record begins");
  for (size_t n = 4; n < whole.size(); ++n) CHECK_THROWS_AS(read(whole.substr(0, n)), Error);
  // Zip64: the right record, and records that say something else.
  const Archive a = archive(members_of(value, data));
  const auto wide = [&](uint64_t entries, uint64_t size, uint64_t offset, uint64_t at, uint64_t narrow) {
    const std::string record = bytes_of(uint32_t{0x06064b50}) + bytes_of(uint64_t{44}) +
                               std::string(12, '\0') + bytes_of(entries) + bytes_of(entries) +
                               bytes_of(size) + bytes_of(offset);
    return a.local + a.directory + record + bytes_of(uint32_t{0x07064b50}) + std::string(4, '\0') +
           bytes_of(at) + bytes_of(uint32_t{1}) + end_record(narrow, 0xffffffff, 0xffffffff);
  };
  const uint64_t size = a.directory.size(), offset = a.local.size(), at = offset + size;
  read(wide(a.entries, size, offset, at, 0xffff));
  check_rejected(wide(a.entries, size, offset, at, 7), "must agree. Got 3 and 7 entries");
  check_rejected(wide(a.entries, size, offset, ~uint64_t{0}, 0xffff), "lie before its locator");
  check_rejected(wide(a.entries, size + 1, offset, at, 0xffff), "end where the end record begins");
  check_rejected(wide(a.entries + 1, size, offset, at, 0xffff), "as many entries as it says");
  check_rejected(wide(a.entries - 1, size, offset, at, 0xffff), "as many entries as it says");
  check_rejected(wide(~uint64_t{0}, size, offset, at, 0xffff), "at most 100000000 bytes and 1000000 entries");
  check_rejected(wide(a.entries, size, ~uint64_t{0}, at, 0xffff), "end where the end record begins");
}

TEST_CASE("hostile legacy files") {
  const std::string value = state_dict(tensor("0", {2}));
  const std::string whole = legacy_file(value, data, 4);
  read(whole);
  for (size_t n = 2; n < whole.size(); ++n) CHECK_THROWS_AS(read(whole.substr(0, n)), Error);
  check_rejected(whole + "x", "1 bytes after it");
  check_rejected(whole.substr(0, whole.size() - 1), "is it truncated?");
  const auto with_keys = [&](const std::string& keys) {
    return legacy_prelude() + pickle(value) + pickle(keys);
  };
  check_rejected(with_keys("]"), "Every storage has data. Got none for \"0\"");
  check_rejected(with_keys("N"), "The keys of storages are a list. Got None");
  check_rejected(with_keys("](" + text("1") + "e"), "Every key is that of one storage. Got \"1\"");
  const std::string one = bytes_of(uint64_t{2}) + two_floats;
  check_rejected(with_keys("](" + text("0") + text("0") + "e") + one + one,
                 "Every key is that of one storage");
  check_rejected(with_keys("](" + text("0") + "e") + bytes_of(uint64_t{3}) + two_floats,
                 "has 8 bytes and 3 elements");
  check_rejected(with_keys("](" + text("0") + "e") + bytes_of(~uint64_t{0}) + two_floats, "has 8 bytes and");
  std::string magic = whole;
  magic[5] = 'x';
  check_rejected(magic, "without its magic number");
  check_rejected(
      pickle(std::string("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12)) + pickle(integer(1)),
      "has version 1001");
}
