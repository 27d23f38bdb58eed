// PNG, JPEG, BMP, PNM and TGA as images: decode_image.
#include "data/image_io.h"
#include "data/notes.h"
#include "pictures.h"

using namespace atrous;

namespace {

data::ImageReadOptions options_of(uint8_t choice) {
  data::ImageReadOptions options;
  options.apply_exif = choice & 1;
  options.alpha = static_cast<data::AlphaPolicy>((choice >> 1 & 3) % 3);
  options.sixteen_bit = static_cast<data::DepthPolicy>((choice >> 3 & 3) % 3);
  options.limits.max_pixels = 1 << 18;
  return options;
}

void check_form(const Tensor& image, const data::ImageReadOptions& options) {
  fuzz::require(image.rank() == 3 && image.dim(2) >= 1 && image.dim(2) <= 4,
                "an image is [H, W, C] with 1 to 4 channels");
  fuzz::require(image.pixels() <= options.limits.max_pixels, "the limit of pixels holds");
  fuzz::require(image.dim(2) % 2 == 1 || options.alpha == data::AlphaPolicy::keep,
                "alpha is there only where it is kept");
  fuzz::require(image.dtype() == DType::u8 || options.sixteen_bit == data::DepthPolicy::keep,
                "16 bits are there only where they are kept");
  for (int64_t i = 0; image.dtype() == DType::i32 && i < image.numel(); ++i)
    fuzz::require(image.data<int32_t>()[i] >= 0 && image.data<int32_t>()[i] <= 65535, "samples have 16 bits");
}

void check_size(const Tensor& image, fuzz::Bytes file, bool may_turn) {
  const auto header = fuzz::header_of(file);
  fuzz::require(header.has_value(), "a file without a size in its header is refused");
  const bool upright = image.dim(0) == header->height && image.dim(1) == header->width;
  const bool turned = image.dim(1) == header->height && image.dim(0) == header->width;
  const bool has_exif = header->kind == fuzz::PictureKind::jpeg || header->kind == fuzz::PictureKind::png;
  fuzz::require(upright || (turned && may_turn && has_exif), "an image has the size in its header");
}

}  // namespace

// Two bytes of choices, two that say where the file is cut for the second reading, then the file.
FUZZ_HARNESS(image, bytes) {
  fuzz::Input input{bytes};
  const data::ImageReadOptions options = options_of(input.take<uint8_t>());
  const bool assemble = input.take<uint8_t>() & 1;
  const size_t cut = input.take<uint16_t>();
  const std::string assembled = assemble ? fuzz::assembled_png(input) : std::string();
  const fuzz::Bytes file = assemble ? fuzz::bytes_of(assembled) : input.left;

  Tensor image, again;
  const auto decode = [&](Tensor& into, fuzz::Bytes from, uint8_t stain) {
    return fuzz::accepts({ErrorKind::data}, [&] {
      const fuzz::Stain stained(stain);
      into = data::decode_image(from, "x", options);
    });
  };
  const bool accepted = decode(image, file, 0x5a);
  fuzz::require(data::notes().size() < 300, "remarks on files are of few kinds, to be counted");
  if (!accepted) return;
  check_form(image, options);
  check_size(image, file, options.apply_exif);
  fuzz::require(decode(again, file, 0xa5) && fuzz::same(image, again), "every pixel comes from the file");
  if (decode(again, file.first(cut % file.size()), 0xa5))
    fuzz::require(fuzz::same(image, again), "a cut file is refused, or nothing of the image was cut off");
  if (image.dtype() == DType::u8 && image.dim(2) % 2 == 1) {
    for (const int64_t channels : {1, 3})
      fuzz::accepts({ErrorKind::data}, [&] { data::with_channels(image, channels, "x"); });
  }
}
