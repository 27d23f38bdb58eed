// PyTorch files whose weights are read: types, views, containers, the choice of the dictionary.
#include "core/pytorch_file.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <sstream>

#include "core/weights_file.h"
#include "tests/core/pytorch_files.h"
#include "tests/same_bits.h"
#include "tests/temporary_folder.h"

using namespace atrous;
using namespace atrous::test;
using Catch::Matchers::Contains;

namespace {

TensorFile parse(const std::string& bytes, const std::string& wanted = "") {
  std::istringstream in(bytes);
  const ByteSource file(in, bytes.size(), "test.pth");
  REQUIRE(is_pytorch(file));
  const PyTorchFile opened = open_pytorch(file);
  return read_pytorch(file, opened, choose_state_dict(opened.tree, opened.found, wanted, "test.pth"));
}

void check_rejected(const std::string& bytes, const std::string& message, const std::string& wanted = "") {
  try {
    parse(bytes, wanted);
    FAIL("accepted; expected: " << message);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::checkpoint);
    CHECK_THAT(e.what(), Contains(message));
  }
}

const std::vector<float> six = {1, -2, 0.5f, NAN, INFINITY, -0.0f};

// {"w": a tensor of two elements}, which is storage "0".
std::string small() {
  return dict({{"w", tensor("0", {2})}});
}
const std::vector<Storage> small_data = {{"0", bytes_of(std::vector<float>{3, 4})}};

}  // namespace

TEST_CASE("pytorch: a state_dict in a zip archive and in the legacy form is read, with the same bits") {
  const std::string value = dict({{"w", tensor("0", {2, 3})}, {"n", tensor("1", {}, "LongStorage")}});
  const std::string w = bytes_of(six), n = bytes_of(int64_t{7});
  const Tensor expected = Tensor::from<float>({2, 3}, std::span<const float>(six));
  const TensorFile zip = parse(zip_file(value, {{"0", w}, {"1", n}}));
  CHECK(zip.tensors.size() == 2);
  CHECK(zip.tensors[0].first == "w");
  CHECK(same_bits(zip.at("w"), expected));
  CHECK(zip.at("n").rank() == 0);
  CHECK(zip.at("n").item() == 7);
  CHECK(zip.notes.empty());
  const TensorFile floats = parse(legacy_file(small(), small_data, 4));
  CHECK(same_bits(floats.at("w"), Tensor::from<float>({2}, {3, 4})));
}

TEST_CASE("pytorch: OrderedDicts, attributes of them, Parameters and pickles of protocol 4 are read") {
  const std::string ordered = call(global("collections", "OrderedDict"), {});
  const std::string filled = ordered + "(" + text("w") + tensor("0", {2}) + "u";
  const std::string attributes = dict({{"_metadata", ordered}});
  CHECK(parse(zip_file(filled + attributes + "b", small_data)).at("w").data<float>()[1] == 4);
  const std::string python2 =
      call(global("collections", "OrderedDict"), {"](](" + text("w") + tensor("0", {2}) + "ee"});
  CHECK(parse(zip_file(python2, small_data)).tensors.size() == 1);
  const std::string none = call(global("collections", "OrderedDict"), {});
  const std::string parameter =
      call(global("torch._utils", "_rebuild_parameter"), {tensor("0", {2}), "\x88", none});
  CHECK(parse(zip_file(dict({{"w", parameter}}), small_data)).at("w").data<float>()[0] == 3);
  const std::string with_state = call(global("torch._utils", "_rebuild_parameter_with_state"),
                                      {tensor("0", {2}), "\x88", none, dict({{"foo", integer(3)}})});
  CHECK(parse(zip_file(dict({{"w", with_state}}), small_data)).at("w").data<float>()[0] == 3);
  const std::string arguments =
      tuple({storage("0", 2), integer(0), list_of_ints({2}), list_of_ints({1}), "\x89", none});
  const auto of_class = [&](const std::string& type) {
    return call(global("torch._tensor", "_rebuild_from_type_v2"),
                {global("torch._utils", "_rebuild_tensor_v2"), type, arguments, dict({{"foo", integer(1)}})});
  };
  CHECK(parse(zip_file(dict({{"w", of_class(global("torch", "Tensor"))}}), small_data)).tensors.size() == 1);
  check_rejected(zip_file(dict({{"w", of_class(global("torch", "float32"))}}), small_data),
                 "torch.Tensor or Parameter");
  // Protocol 4: frames, memo without numbers, short texts, globals from the stack.
  const auto brief = [](const std::string& s) {
    return "\x8c" + std::string(1, static_cast<char>(s.size())) + s + "\x94";
  };
  const auto stacked = [&](const std::string& m, const std::string& n) {
    return brief(m) + brief(n) + "\x93\x94";
  };
  std::string four = "}(" + brief("w") + stacked("torch._utils", "_rebuild_tensor_v2") + "((" +
                     brief("storage") + stacked("torch", "FloatStorage") + brief("0") + brief("cpu") +
                     "K\x02tQ" + "K";
  four += std::string("\0", 1) + "K\x02\x85" + "K\x01\x85" + "\x89" + stacked("collections", "OrderedDict") +
          ")RtRu.";
  const std::string framed = "\x80\x04\x95" + bytes_of(static_cast<uint64_t>(four.size())) + four;
  Archive a =
      archive({{.name = "b/data.pkl", .data = framed}, {.name = "b/data/0", .data = small_data[0].data}});
  CHECK(parse(a.whole()).at("w").data<float>()[1] == 4);
}

TEST_CASE("pytorch: every element type is kept, widened without loss, or left unread") {
  const auto read = [](const char* type, const std::string& data, int64_t elements) {
    return parse(zip_file(dict({{"x", tensor("0", {elements}, type)}}), {{"0", data}})).at("x");
  };
  CHECK(same_bits(read("DoubleStorage", bytes_of(0.1), 1), Tensor::from<double>({1}, {0.1})));
  CHECK(read("BFloat16Storage", bytes_of(uint16_t{0x3f80}), 1).dtype() == DType::bf16);
  CHECK(same_bits(read("IntStorage", bytes_of(int32_t{-5}), 1), Tensor::from<int32_t>({1}, {-5})));
  CHECK(same_bits(read("ByteStorage", "\xff", 1), Tensor::from<uint8_t>({1}, {255})));
  CHECK(same_bits(read("BoolStorage", "\1", 1), Tensor::from<uint8_t>({1}, {1})));
  CHECK(same_bits(read("CharStorage", "\x80", 1), Tensor::from<int32_t>({1}, {-128})));
  CHECK(same_bits(read("ShortStorage", bytes_of(int16_t{-300}), 1), Tensor::from<int32_t>({1}, {-300})));
  const Tensor half = read("HalfStorage", bytes_of(std::vector<uint16_t>{0x3C00, 0x0001, 0x7C00, 0x8000}), 4);
  CHECK(same_bits(half, Tensor::from<float>({4}, {1, std::ldexp(1.0f, -24), INFINITY, -0.0f})));
  // Types without a typed storage come with their dtype.
  const auto untyped = [](const char* dtype, const std::string& data, int64_t elements, int64_t offset = 0) {
    const std::string bytes =
        storage("0", static_cast<int64_t>(data.size()), "UntypedStorage", "torch.storage");
    const std::string made = global("torch._utils", "_rebuild_tensor_v3") + "(" + bytes + integer(offset) +
                             list_of_ints({elements}) + list_of_ints({1}) + "\x89" +
                             call(global("collections", "OrderedDict"), {}) + global("torch", dtype) + "tR";
    return parse(zip_file(dict({{"x", made}}), {{"0", data}}));
  };
  const Tensor e4m3 = untyped("float8_e4m3fn", "\x38\x01\x7e\xb8\x7f", 5).at("x");
  CHECK(e4m3.data<float>()[0] == 1);
  CHECK(e4m3.data<float>()[1] == std::ldexp(1.0f, -9));
  CHECK(e4m3.data<float>()[2] == 448);
  CHECK(e4m3.data<float>()[3] == -1);
  CHECK(std::isnan(e4m3.data<float>()[4]));
  const Tensor e5m2 = untyped("float8_e5m2", "\x3c\x01\x7b\xfc", 4).at("x");
  CHECK(same_bits(e5m2, Tensor::from<float>({4}, {1, std::ldexp(1.0f, -16), 57344, -INFINITY})));
  CHECK(same_bits(untyped("uint16", bytes_of(std::vector<uint16_t>{1, 65535}), 1, 1).at("x"),
                  Tensor::from<int32_t>({1}, {65535})));
  CHECK(same_bits(untyped("uint32", bytes_of(uint32_t{4294967295u}), 1).at("x"),
                  Tensor::from<int64_t>({1}, {4294967295})));
  const TensorFile wide = untyped("uint64", bytes_of(uint64_t{1}), 1);
  CHECK(wide.tensors.empty());
  CHECK(wide.unread.at("x") == "of type u64, which atrous does not have");
  CHECK_THROWS_WITH(wide.at("x"), Contains("must be readable") && Contains("u64"));
}

TEST_CASE("pytorch: tensors that are not read do not refuse the file") {
  const std::string hooks = call(global("collections", "OrderedDict"), {});
  const std::string quantised = call(
      global("torch._utils", "_rebuild_qtensor"),
      {storage("1", 2, "QInt8Storage"), integer(0), list_of_ints({2}), list_of_ints({1}),
       tuple({global("torch", "per_tensor_affine"), "G" + std::string(8, '\0'), integer(0)}), "\x89", hooks});
  const std::string layout = call(global("torch.serialization", "_get_layout"), {text("torch.sparse_coo")});
  const std::string sparse =
      call(global("torch._utils", "_rebuild_sparse_tensor"),
           {layout, tuple({tensor("0", {2}), tensor("0", {2}),
                           call(global("torch", "Size"), {list_of_ints({4})}), "\x88"})});
  const std::string meta = call(global("torch._utils", "_rebuild_meta_tensor_no_storage"),
                                {global("torch", "float32"), list_of_ints({3}), list_of_ints({1}), "\x89"});
  const std::string negative = rebuild(storage("0", 2), 0, {2}, {1}, dict({{"neg", "\x88"}}));
  const std::string deep = rebuild(storage("0", 2), 0, {1, 1, 1, 1, 1, 1, 2}, {1, 1, 1, 1, 1, 1, 1});
  const std::string value = dict({{"w", tensor("0", {2})},
                                  {"q", quantised},
                                  {"s", sparse},
                                  {"m", meta},
                                  {"neg", negative},
                                  {"deep", deep},
                                  {"c", tensor("2", {1}, "ComplexFloatStorage")}});
  const TensorFile file =
      parse(zip_file(value, {{"0", small_data[0].data}, {"1", "ab"}, {"2", std::string(8, 'c')}}));
  REQUIRE(file.tensors.size() == 1);
  CHECK(file.tensors[0].first == "w");
  CHECK_THAT(file.unread.at("q"), Contains("quantised"));
  CHECK_THAT(file.unread.at("s"), Contains("sparse"));
  CHECK_THAT(file.unread.at("m"), Contains("\"meta\""));
  CHECK_THAT(file.unread.at("neg"), Contains("resolve_neg()"));
  CHECK_THAT(file.unread.at("deep"), Contains("7 dimensions"));
  CHECK_THAT(file.unread.at("c"), Contains("c64"));
}

TEST_CASE("pytorch: views, tied tensors, empty tensors") {
  const std::string data = bytes_of(std::vector<float>{0, 1, 2, 3, 4, 5});
  const std::string value = dict({{"whole", tensor("0", {2, 3})},
                                  {"transposed", rebuild(storage("0", 6), 0, {3, 2}, {1, 3})},
                                  {"row", rebuild(storage("0", 6), 3, {3}, {1})},
                                  {"column", rebuild(storage("0", 6), 1, {2, 1}, {3, 1})},
                                  {"repeated", rebuild(storage("0", 6), 5, {2, 2}, {0, 0})},
                                  {"tied", rebuild(storage("0", 6), 0, {2, 3}, {3, 1})},
                                  {"scalar", rebuild(storage("0", 6), 4, {}, {})},
                                  {"empty", rebuild(storage("0", 6), 6, {0, 3}, {3, 1})},
                                  {"cube", rebuild(storage("0", 6), 0, {2, 3, 1}, {1, 2, 6})}});
  const TensorFile file = parse(zip_file(value, {{"0", data}}));
  const auto is = [&](const char* name, const Shape& shape, std::initializer_list<float> values) {
    INFO(name);
    CHECK(same_bits(file.at(name), Tensor::from<float>(shape, values)));
  };
  is("whole", {2, 3}, {0, 1, 2, 3, 4, 5});
  is("transposed", {3, 2}, {0, 3, 1, 4, 2, 5});
  is("row", {3}, {3, 4, 5});
  is("column", {2, 1}, {1, 4});
  is("repeated", {2, 2}, {5, 5, 5, 5});
  is("scalar", {}, {4});
  is("cube", {2, 3, 1}, {0, 2, 4, 1, 3, 5});
  CHECK(same_bits(file.at("tied"), file.at("whole")));
  CHECK(file.at("empty").shape() == Shape{0, 3});
}

TEST_CASE("pytorch: the dictionary of the weights is chosen by rule, or named") {
  const auto file_of = [&](const std::vector<std::pair<std::string, std::string>>& entries) {
    return zip_file(dict(entries), {{"0", small_data[0].data}});
  };
  const std::string other = dict({{"v", tensor("0", {2})}, {"u", tensor("0", {2})}});
  // The only one, at any key and depth up to four.
  TensorFile file = parse(file_of({{"epoch", integer(3)}, {"whatever", dict({{"inner", small()}})}}));
  CHECK(file.tensors.size() == 1);
  REQUIRE(file.notes.size() == 1);
  CHECK_THAT(file.notes[0], Contains("those under \"whatever/inner\""));
  // The only one under a key for weights; the others are named.
  file = parse(file_of({{"state_dict", small()}, {"normalizer", other}}));
  CHECK(file.find("w"));
  CHECK_THAT(file.notes[0], Contains("\"state_dict\"") && Contains("also \"normalizer\""));
  // The whole file before dictionaries in it under other keys; entries that are no tensors are skipped,
  // aloud.
  file = parse(file_of({{"w", tensor("0", {2})}, {"x", tensor("0", {2})}, {"extra", other}}));
  CHECK(file.find("x"));
  CHECK_THAT(file.notes[0], Contains("not a tensor: \"extra\""));
  // Statistics beside the weights make no weights of the whole file.
  file = parse(file_of({{"mean", tensor("0", {2})}, {"std", tensor("0", {2})}, {"model", small()}}));
  CHECK(file.find("w"));
  const std::string two = file_of({{"model", small()}, {"ema", other}});
  check_rejected(two, "2 dictionaries of tensors: \"model\", \"ema\"");
  check_rejected(two, "test.pth#model");
  CHECK(parse(two, "ema").find("v"));
  check_rejected(two, "Got \"emma\"; there are: \"model\", \"ema\"", "emma");
  check_rejected(file_of({{"epoch", integer(1)}, {"lr", integer(2)}}), "Got a dict of \"epoch\", \"lr\"");
  check_rejected(zip_file(tensor("0", {2}), small_data), "holds a dictionary of tensors. Got a tensor");
  check_rejected(file_of({{"w", tensor("0", {2})}, {"w", tensor("0", {2})}}), "Duplicate name \"w\"");
  check_rejected(file_of({{"\xff", tensor("0", {2})}}), "must be UTF-8. Got \"\\xff\"");
}

TEST_CASE("pytorch: plain data beside the weights is dropped, unread") {
  const std::string scalar = call(
      global("numpy.core.multiarray", "scalar"),
      {call(global("numpy", "dtype"), {text("f8"), "\x89", "\x88"}) + tuple({integer(3), text("<")}) + "b",
       call(global("_codecs", "encode"), {text("abc"), text("latin1")})});
  const std::string args = global("argparse", "Namespace") + ")\x81" + dict({{"lr", integer(1)}}) + "b";
  const std::string value = dict({{"model", small()},
                                  {"best", scalar},
                                  {"args", args},
                                  {"counter", call(global("collections", "Counter"), {dict({})})},
                                  {"set", call(global("__builtin__", "set"), {"]"})},
                                  {"state", "}(" + integer(0) + small() + "u"},
                                  {"list", "](N\x88" + text("x") + "e"}});
  CHECK(parse(zip_file(value, small_data)).tensors.size() == 1);
}

TEST_CASE("pytorch: a weights file is known by its content, and lists what it holds") {
  TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
    return folder / name;
  };
  const std::string value = dict({{"ema", small()},
                                  {"model", dict({{"a", tensor("0", {2})},
                                                  {"b", rebuild(storage("0", 2), 0, {2}, {1})},
                                                  {"h", tensor("1", {1}, "HalfStorage")},
                                                  {"c", tensor("2", {1}, "ComplexFloatStorage")}})}});
  const std::string two = write("weights.safetensors",
                                zip_file(value, {{"0", small_data[0].data}, {"1", "ab"}, {"2", "12345678"}}));
  CHECK_THROWS_WITH(read_weights(two), Contains("which weights are meant"));
  CHECK(read_weights(two + "#ema").tensors.size() == 1);
  const WeightsList list = list_weights(two + "#model");
  CHECK(list.container == "PyTorch (zip)");
  CHECK(list.name == "model");
  CHECK(list.names == std::vector<std::string>{"ema", "model"});
  REQUIRE(list.tensors.size() == 4);
  CHECK(list.tensors[0].same_as.empty());
  CHECK(list.tensors[1].same_as == "a");
  CHECK(list.tensors[2].dtype == "f16");
  CHECK(list.tensors[2].bytes == 2);
  CHECK_THAT(list.tensors[3].problem, Contains("c64"));
  const std::string safe = folder / "x.pth";
  write_safetensors(safe, {{"t", Tensor::zeros({3})}}, {{"k", "v"}});
  CHECK(read_weights(safe).find("t"));
  CHECK(list_weights(safe).container == "safetensors");
  CHECK(list_weights(safe).metadata.at("k") == "v");
  CHECK(list_weights(safe).tensors[0].shape == std::vector<uint64_t>{3});
  CHECK_THROWS_WITH(read_weights(safe + "#model"), Contains("has one. Leave it out"));
  CHECK_THROWS_WITH(read_safetensors(two), Contains("is not a safetensors file"));
  // A # in the name of a file is no choice.
  const std::string hash = write("a#b.pth", zip_file(small(), small_data));
  CHECK(read_weights(hash).find("w"));
  CHECK(list_weights(write("old.bin", legacy_file(small(), small_data, 4))).container == "PyTorch (legacy)");
  CHECK_THROWS_WITH(read_weights(folder / "none.pth"), Contains("no such file"));
}

TEST_CASE("pytorch: other forms are refused with what to do") {
  check_rejected(
      archive({{.name = "m/data.pkl", .data = pickle("}")}, {.name = "m/code/__torch__.py", .data = "x"}})
          .whole(),
      "TorchScript archive, which holds code");
  check_rejected(archive({{.name = "m/data.pkl", .data = pickle(small())},
                          {.name = "m/byteorder", .data = "big"},
                          {.name = "m/data/0", .data = small_data[0].data}})
                     .whole(),
                 "must be little-endian. Got \"big\"");
  check_rejected(legacy_prelude("\x89"), "big-endian");
  check_rejected(pickle(dict({{"model", integer(1)}})), "without its magic number");
  std::string tar(1024, '\0');
  tar.replace(257, 5, "ustar");
  std::istringstream in(tar);
  CHECK_THROWS_WITH(is_pytorch(ByteSource(in, tar.size(), "t")), Contains("tar files of PyTorch 0.1"));
  check_rejected(archive({{.name = "x.txt", .data = "hello"}}).whole(), "one entry data.pkl. Got 0 in 1");
}
