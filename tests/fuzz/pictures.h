// What an image file says of itself, read apart from the decoders that are tested.
#pragma once

#include <optional>
#include <string>

#include "core/tensor.h"
#include "harness.h"

namespace fuzz {

enum class PictureKind { png, jpeg, bmp, pnm, tga };

struct PictureHeader {
  PictureKind kind = PictureKind::tga;
  int64_t width = 0;
  int64_t height = 0;
  // PNM alone: channels, the largest sample, and where the samples begin.
  int64_t channels = 0;
  int64_t maxval = 0;
  size_t samples_at = 0;
};
// None where the header is cut or senseless.
std::optional<PictureHeader> header_of(Bytes file);

// A PNG with right checksums whose header, chunks and rows are taken from the input: what lies behind them is
// reached without guessing a CRC.
std::string assembled_png(Input& input);
std::string png_chunk(const char* type, Bytes body);

bool same(const atrous::Tensor& a, const atrous::Tensor& b);

}  // namespace fuzz
