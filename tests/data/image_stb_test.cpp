// stb_image as an outside truth for the formats that have readers of our own: what it writes is read back as
// it was, and what the test writes is read as stb reads it.
#include <cstring>
#include <memory>

#include "core/random.h"
#include "tests/data/files.h"

#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#define STBI_ONLY_TGA
#include <stb/stb_image.h>
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

using Bytes = std::vector<uint8_t>;

// Runs of equal pixels among others, so that run lengths occur.
Bytes random_pixels(Rng& rng, int64_t width, int64_t height, int64_t channels) {
  Bytes out;
  Bytes pixel(static_cast<size_t>(channels));
  for (int64_t i = 0; i < width * height; ++i) {
    if (i == 0 || rng.uniform() < 0.6)
      for (uint8_t& v : pixel) v = static_cast<uint8_t>(rng.integer(0, 255));
    out.insert(out.end(), pixel.begin(), pixel.end());
  }
  return out;
}

void append_to(void* context, void* data, int size) {
  auto& out = *static_cast<Bytes*>(context);
  const auto* bytes = static_cast<const uint8_t*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

void require_pixels(const Tensor& image, const uint8_t* expected, int64_t width, int64_t height,
                    int64_t channels) {
  REQUIRE(image.shape() == Shape{height, width, channels});
  REQUIRE(std::memcmp(image.data<uint8_t>(), expected, static_cast<size_t>(image.numel())) == 0);
}

void require_as_stb_reads(const Bytes& bytes, const std::string& name, int channels) {
  int width = 0, height = 0, stored = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> truth(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &stored, channels),
      stbi_image_free);
  REQUIRE(truth);
  require_pixels(decode_image(bytes, name, {.alpha = AlphaPolicy::keep}), truth.get(), width, height,
                 channels);
}

void put(Bytes& to, size_t at, int64_t value, size_t count) {
  for (size_t i = 0; i < count; ++i) to[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

}  // namespace

TEST_CASE("what stb_image writes as BMP and TGA is read back as it was", "[data]") {
  Rng rng(17);
  for (int round = 0; round < 60; ++round) {
    const auto width = 1 + static_cast<int>(rng.integer(0, 36)),
               height = 1 + static_cast<int>(rng.integer(0, 22));
    const int channels = round % 3 == 0 ? 4 : 3;
    const Bytes pixels = random_pixels(rng, width, height, channels);
    const ImageReadOptions keep{.alpha = AlphaPolicy::keep};
    INFO(width << "x" << height << ", " << channels << " channels");
    Bytes bmp, tga;
    REQUIRE(stbi_write_bmp_to_func(append_to, &bmp, width, height, channels, pixels.data()));
    require_pixels(decode_image(bmp, "stb.bmp", keep), pixels.data(), width, height, channels);
    stbi_write_tga_with_rle = round % 2;
    REQUIRE(stbi_write_tga_to_func(append_to, &tga, width, height, channels, pixels.data()));
    require_pixels(decode_image(tga, "stb.tga", keep), pixels.data(), width, height, channels);
    const Bytes grey = random_pixels(rng, width, height, 1);
    tga.clear();
    REQUIRE(stbi_write_tga_to_func(append_to, &tga, width, height, 1, grey.data()));
    require_pixels(decode_image(tga, "grey.tga", keep), grey.data(), width, height, 1);
  }
}

TEST_CASE("palette BMP and binary PNM are read as stb_image reads them", "[data]") {
  Rng rng(18);
  for (int round = 0; round < 60; ++round) {
    const auto width = 1 + static_cast<int64_t>(rng.integer(0, 40)),
               height = 1 + static_cast<int64_t>(rng.integer(0, 18));
    const int64_t bits = std::array<int64_t, 3>{1, 4, 8}[static_cast<size_t>(round % 3)];
    INFO(width << "x" << height << ", " << bits << " bits");
    const int64_t colors = int64_t{1} << bits, stride = (width * bits + 31) / 32 * 4;
    const auto begin = static_cast<size_t>(54 + 4 * colors);
    Bytes bmp(begin + static_cast<size_t>(stride * height));
    for (size_t i = 54; i < bmp.size(); ++i) bmp[i] = static_cast<uint8_t>(rng.integer(0, 255));
    bmp[0] = 'B', bmp[1] = 'M';
    put(bmp, 2, static_cast<int64_t>(bmp.size()), 4);
    put(bmp, 10, static_cast<int64_t>(begin), 4);
    put(bmp, 14, 40, 4);
    put(bmp, 18, width, 4);
    put(bmp, 22, round % 2 ? height : -height, 4);
    put(bmp, 26, 1, 2);
    put(bmp, 28, bits, 2);
    require_as_stb_reads(bmp, "palette.bmp", 3);

    const int channels = round % 2 ? 3 : 1;
    const std::string header =
        fmt::format("P{}\n# a comment\n{} {}\n255\n", channels == 3 ? 6 : 5, width, height);
    Bytes pnm(header.begin(), header.end());
    const Bytes samples = random_pixels(rng, width, height, channels);
    pnm.insert(pnm.end(), samples.begin(), samples.end());
    require_as_stb_reads(pnm, "samples.pnm", channels);
    require_pixels(decode_image(pnm, "samples.pnm"), samples.data(), width, height, channels);
  }
}
