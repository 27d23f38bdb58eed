// `atrous crf`: results, and what users get wrong.
#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/safetensors.h"
#include "data/image_io.h"
#include "eval/crf.h"
#include "tests/cli/program.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;

namespace {

constexpr int64_t h = 20, w = 31, k = 3;

// A striped picture and probabilities [K, H, W] that know its stripes, but for a wrong pixel here and there.
struct Files {
  TemporaryFolder folder;
  std::string image = folder.path("i.png"), probs = folder.path("p.safetensors"),
              output = folder.path("o.safetensors");
  Tensor labels = stripes(h, w, k);

  Files() {
    data::write_png(image, striped_picture(h, w, k));
    write_probs(probabilities());
  }
  Tensor probabilities() const {
    const Tensor p = Tensor::full({k, h, w}, 0.2);
    for (int64_t i = 0; i < h * w; ++i) {
      const int64_t own = (labels.data<uint8_t>()[i] + (i % 17 == 0)) % k;
      p.data<float>()[own * h * w + i] = 0.6f;
    }
    return p;
  }
  void write_probs(const Tensor& p, const std::string& name = "probs") const {
    write_safetensors(probs, {{name, p}});
  }
  Outcome crf(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"crf", "--image", image, "--probs", probs, "--output", output};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
};

}  // namespace

TEST_CASE("crf writes refined probabilities, class indices and JSON") {
  const Files f;
  const std::string params = "bilateral_xy=8,bilateral_rgb=13,iterations=5";
  const Outcome o = f.crf({"--params", params, "--labels", f.folder.path("l.png"), "--json", "-"});
  INFO(o.err);
  REQUIRE(o.code == 0);
  const TensorFile out = read_safetensors(f.output);
  REQUIRE(out.tensors.size() == 1);
  const Tensor& refined = out.at("probs");
  REQUIRE(refined.shape() == Shape({k, h, w}));
  // What the library makes of the same.
  const Tensor rows = Tensor::empty({h, w, k}), p = f.probabilities();
  for (int64_t i = 0; i < h * w * k; ++i) rows.data<float>()[i] = p.data<float>()[i % k * h * w + i / k];
  const Tensor want =
      eval::refine(data::read_image(f.image), rows, eval::parse_crf(params, {}, "t")).probabilities;
  for (int64_t i = 0; i < h * w * k; ++i)
    REQUIRE(refined.data<float>()[i % k * h * w + i / k] == want.data<float>()[i]);
  const data::LabelFile labels = data::read_label_file(f.folder.path("l.png"));
  REQUIRE(labels.values.shape() == Shape({h, w}));
  CHECK(labels.palette.size() > k);
  for (int64_t i = 0; i < h * w; ++i)
    REQUIRE(labels.values.data<uint8_t>()[i] == f.labels.data<uint8_t>()[i]);  // the wrong pixels are mended
  const auto j = nlohmann::json::parse(o.out);
  CHECK(j["height"] == h);
  CHECK(j["width"] == w);
  CHECK(j["classes"] == k);
  CHECK(j["tiles"] == 1);
  CHECK(j["changed_pixels"] == (h * w + 16) / 17);
  CHECK(j["crf"]["iterations"] == 5);
  CHECK(j["crf"]["normalization"] == "symmetric");
  // The printed parameters are what was used, and can be given back.
  const std::string bytes = read_text(f.output);
  REQUIRE(f.crf({"--params", j["crf"]["text"]}).code == 0);
  CHECK(read_text(f.output) == bytes);
}

TEST_CASE("crf takes grey images, doubles and a device") {
  const Files f;
  data::write_png(f.image, stripes(h, w, k));
  CHECK(f.crf().code == 0);
  f.write_probs(f.probabilities().to(DType::f64));
  CHECK(f.crf({"--device", "cpu", "--params", "preset=deeplab_v1"}).code == 0);
  CHECK(f.crf({"--device", "gpu"}).code == 2);
}

TEST_CASE("crf: a turned photograph with probabilities of either size") {
  const Files f;
  // Stored lying, h x w, with the tag of a quarter turn: upright it has w rows.
  std::string png = read_text(f.image);
  const auto crc_of = [](const std::string& bytes) {
    uint32_t crc = 0xffffffffu;
    for (const char c : bytes) {
      crc ^= static_cast<uint8_t>(c);
      for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
  };
  const std::string tiff("MM\0*\0\0\0\10\0\1\1\22\0\4\0\0\0\1\0\0\0\6\0\0\0\0", 26);
  const std::string chunk = "eXIf" + tiff;
  std::string whole(3, '\0');
  whole += static_cast<char>(tiff.size());
  whole += chunk;
  for (int shift = 24; shift >= 0; shift -= 8) whole += static_cast<char>(crc_of(chunk) >> shift);
  write_text(f.image, png.insert(33, whole));  // after IHDR
  const Outcome lying = f.crf();
  CHECK(lying.code == 4);
  CHECK_THAT(lying.err, Contains("31 x 20 pixels (H x W)") && Contains("--set data.exif=ignore"));
  const Outcome advised = f.crf({"--set", "data.exif=ignore"});
  INFO(advised.err);
  CHECK(advised.code == 0);
  CHECK(read_safetensors(f.output).at("probs").shape() == Shape({k, h, w}));
  // The reverse.
  f.write_probs(f.probabilities().reshape({k, w, h}));
  CHECK(f.crf().code == 0);
  const Outcome other = f.crf({"--set", "data.exif=ignore"});
  CHECK(other.code == 4);
  CHECK_THAT(other.err, Contains("--set data.exif=apply"));
  CHECK(f.crf({"--set", "data.batch_size=3"}).code == 3);
}

TEST_CASE("crf: bad input is refused, and an existing output stays") {
  const Files f;
  write_text(f.output, "precious");
  const auto expect = [&](int code, const std::string& text, const std::vector<std::string>& more = {}) {
    CAPTURE(text);
    const Outcome o = f.crf(more);
    CHECK(o.code == code);
    CHECK_THAT(o.err, Contains(text));
    CHECK(read_text(f.output) == "precious");
  };
  expect(2, "Did you mean \"bilateral_xy\"", {"--params", "bilateral_yx=3"});
  expect(2, "deeplab_v2", {"--params", "preset=nothing"});
  const std::string before = read_text(f.probs);
  CHECK(run({"crf", "--image", f.image, "--probs", f.probs, "--output", f.probs}).code == 2);
  CHECK(read_text(f.probs) == before);
  expect(2, "must not replace", {"--labels", f.image});
  expect(2, "two files", {"--labels", f.output});
  expect(2, "--max-memory", {"--max-memory", "0"});

  Tensor p = f.probabilities();
  f.write_probs(p, "probabilities");
  expect(4, "probabilities");  // the file's own names
  f.write_probs(p.reshape({1, k, h, w}));
  expect(4, "[K, H, W]");
  f.write_probs(p.reshape({k, h * w}));
  expect(4, "[K, H, W]");
  f.write_probs(p.reshape({k, w, h}));
  expect(4, "one size");
  f.write_probs(p.reshape({h, w, k}));
  expect(4, "probs\" [20, 31, 3], read as [K, H, W]. It looks like [H, W, K]: transpose to [K, H, W]");
  f.write_probs(Tensor::zeros({k, 0, w}));
  expect(4, "at least one pixel");
  f.write_probs(Tensor::full({1, h, w}, 1));
  expect(4, "two classes");
  f.write_probs(Tensor::full({k, h, w}, 1, DType::u8));
  expect(4, "floats");
  p.data<float>()[7] += 0.2f;
  f.write_probs(p);
  expect(4, "sum to 1");
  p.data<float>()[7] = std::nanf("");
  f.write_probs(p);
  expect(4, "NaN for class 0 at pixel y 0, x 7");
  p.data<float>()[7] = 0.6f;
  p.data<float>()[h * w + 2 * w + 5] = std::nanf("");
  f.write_probs(p);
  expect(4, "NaN for class 1 at pixel y 2, x 5");
  p = f.probabilities();
  p.data<float>()[0] = -0.1f, p.data<float>()[h * w] = 0.7f, p.data<float>()[2 * h * w] = 0.4f;
  f.write_probs(p);
  expect(4, "negative");
  f.write_probs(f.probabilities());
  data::write_png(f.image, striped_picture(h, w + 1, k));
  expect(4, "20 x 32");
  write_text(f.image, "no image");
  expect(4, "i.png");
  data::write_png(f.image, striped_picture(h, w, k));
  write_text(f.probs, "{}");
  expect(5, "p.safetensors");
}
