// Label pictures: PNG of indices and colours, PGM and PPM; then label maps on them.
#include "data/image_io.h"
#include "data/label_map.h"
#include "pictures.h"

using namespace atrous;

namespace {

// Values of a PGM or PPM are those of its bytes.
void check_stored(const data::LabelFile& label, const fuzz::PictureHeader& header, fuzz::Bytes file) {
  const size_t width = header.maxval > 255 ? 2 : 1;
  fuzz::require(header.samples_at + static_cast<size_t>(label.values.numel()) * width <= file.size(),
                "every sample is in the file");
  for (int64_t i = 0; i < label.values.numel(); ++i) {
    const uint8_t* at = file.data() + header.samples_at + static_cast<size_t>(i) * width;
    const int stored = width == 2 ? at[0] << 8 | at[1] : at[0];
    const int read =
        label.values.dtype() == DType::u8 ? label.values.data<uint8_t>()[i] : label.values.data<int32_t>()[i];
    fuzz::require(read == stored, "labels are the values in the file, never scaled");
  }
}

void check_classes(const data::LabelFile& label) {
  static const data::LabelMap indices = data::LabelMap::identity(21);
  static const data::LabelMap colors = data::LabelMap::parse("#ff0000:0,#00ff00:1,#000000:ignore", 2);
  const data::LabelMap& map = label.is_rgb ? colors : indices;
  for (const bool unknown_to_ignore : {true, false}) {
    fuzz::accepts({ErrorKind::data}, [&] {
      const Tensor classes = map.apply(label, "x", unknown_to_ignore);
      for (int64_t i = 0; i < classes.numel(); ++i) {
        const uint8_t k = classes.data<uint8_t>()[i];
        fuzz::require(k < map.num_classes() || k == data::ignore_label, "a class or the ignored value");
      }
    });
  }
}

}  // namespace

// A byte of choices, two that say where the file is cut, then the file.
FUZZ_HARNESS(label, bytes) {
  fuzz::Input input{bytes};
  const bool assemble = input.take<uint8_t>() & 1;
  const size_t cut = input.take<uint16_t>();
  const std::string assembled = assemble ? fuzz::assembled_png(input) : std::string();
  const fuzz::Bytes file = assemble ? fuzz::bytes_of(assembled) : input.left;

  data::ImageLimits limits;
  limits.max_pixels = 1 << 18;
  const auto read = [&](data::LabelFile& into, fuzz::Bytes from, uint8_t stain) {
    const std::string& path = fuzz::file_with(from);
    return fuzz::accepts({ErrorKind::data}, [&] {
      const fuzz::Stain stained(stain);
      into = data::read_label_file(path, limits);
    });
  };
  data::LabelFile label, again;
  if (!read(label, file, 0x5a)) return;
  const auto header = fuzz::header_of(file);
  fuzz::require(label.values.rank() == (label.is_rgb ? 3 : 2), "labels are [H, W], or colours [H, W, 3]");
  fuzz::require(header && label.values.dim(0) == header->height && label.values.dim(1) == header->width,
                "labels have the size in the header");
  fuzz::require(read(again, file, 0xa5) && fuzz::same(label.values, again.values),
                "every label comes from the file");
  if (read(again, file.first(cut % file.size()), 0xa5))
    fuzz::require(fuzz::same(label.values, again.values),
                  "a cut file is refused, or none of the labels was cut off");
  if (header->kind == fuzz::PictureKind::pnm) check_stored(label, *header, file);
  check_classes(label);
}
