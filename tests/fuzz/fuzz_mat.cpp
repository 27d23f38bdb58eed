// MATLAB version 5 label files.
#include <zlib.h>

#include "data/image_io.h"
#include "pictures.h"

using namespace atrous;

namespace {

std::string compressed(fuzz::Bytes element) {
  uLongf size = ::compressBound(static_cast<uLong>(element.size()));
  std::string body(size, '\0');
  fuzz::require(::compress(reinterpret_cast<Bytef*>(body.data()), &size, element.data(),
                           static_cast<uLong>(element.size())) == Z_OK,
                "the harness cannot compress");
  const uint32_t tag[] = {15, static_cast<uint32_t>(size)};
  return std::string(reinterpret_cast<const char*>(tag), sizeof tag) + body.substr(0, size);
}

}  // namespace

// A byte of choices; then a whole file, or the elements behind a right header, as they are or compressed.
FUZZ_HARNESS(mat, bytes) {
  fuzz::Input input{bytes};
  const auto choice = input.take<uint8_t>();
  std::string file = fuzz::text_of(input.left);
  if (choice & 1) {
    std::string header = "MATLAB 5.0 MAT-file";
    header.resize(124, ' ');
    header += std::string("\0\1IM", 4);
    file = header + (choice & 2 ? compressed(input.left) : file);
  }
  data::ImageLimits limits;
  limits.max_pixels = 1 << 18;
  const auto read = [&](data::LabelFile& into, uint8_t stain) {
    const std::string& path = fuzz::file_with(fuzz::bytes_of(file));
    return fuzz::accepts({ErrorKind::data}, [&] {
      const fuzz::Stain stained(stain);
      into = data::read_label_file(path, limits);
    });
  };
  data::LabelFile label, again;
  if (!read(label, 0x5a)) return;
  fuzz::require(read(again, 0xa5) && fuzz::same(label.values, again.values),
                "every label comes from the file");
  const bool wide = label.values.dtype() == DType::i32;
  for (int64_t i = 0; wide && i < label.values.numel(); ++i)
    fuzz::require(label.values.data<int32_t>()[i] >= 0 && label.values.data<int32_t>()[i] <= 65535,
                  "labels have 16 bits");
}
