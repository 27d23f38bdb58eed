// PGM and PPM in binary form. The header is text: magic, width, height, largest sample, then one white space
// and the samples, of one byte, or of two (high byte first) where the largest exceeds 255.
#include <algorithm>
#include <limits>

#include "data/codecs.h"

namespace atrous::data::codecs {
namespace {

constexpr int64_t largest_number = 1 << 30;

class Header {
 public:
  Header(Bytes bytes, const FileName& name) : bytes_(bytes), name_(name) {}

  // The next number; blanks and comments may precede it.
  int64_t number(const char* what) {
    while (at_ < bytes_.size() && (is_blank(bytes_[at_]) || bytes_[at_] == '#')) {
      if (bytes_[at_] == '#') {
        while (at_ < bytes_.size() && bytes_[at_] != '\n' && bytes_[at_] != '\r') ++at_;
      } else {
        ++at_;
      }
    }
    int64_t value = 0;
    const size_t first = at_;
    for (; at_ < bytes_.size() && bytes_[at_] >= '0' && bytes_[at_] <= '9'; ++at_) {
      value = value * 10 + (bytes_[at_] - '0');
      if (value > largest_number)
        bad_image(name_, "PNM", fmt::format("the {} in its header is too large", what));
    }
    if (at_ == first) {
      bad_image(name_, "PNM",
                at_ == bytes_.size() ? std::string("the file ends in its header")
                                     : fmt::format("the {} in its header is not a number", what));
    }
    return value;
  }

  // Where the samples begin.
  size_t samples() {
    if (at_ == bytes_.size() || !is_blank(bytes_[at_]))
      bad_image(name_, "PNM", "a white space must follow the largest sample in its header");
    return at_ + 1;
  }

 private:
  static bool is_blank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
  Bytes bytes_;
  const FileName& name_;
  size_t at_ = 2;  // after the magic
};

// Samples out of `count` bytes each; `scale_to` 0 keeps them.
template <class T>
void copy_samples(Bytes from, Tensor& out, int64_t maxval, int64_t scale_to, const FileName& name,
                  const std::string& format) {
  const int64_t width = maxval > 255 ? 2 : 1;
  T* target = out.data<T>();
  const uint8_t* source = from.data();
  int64_t largest = 0;
  for (int64_t i = 0; i < out.numel(); ++i, source += width) {
    int64_t v = source[0];
    if (width == 2) v = v << 8 | source[1];
    largest = std::max(largest, v);
    target[i] =
        static_cast<T>(scale_to == 0 || scale_to == maxval ? v : (2 * v * scale_to + maxval) / (2 * maxval));
  }
  if (largest > maxval) {
    bad_image(
        name, format,
        fmt::format("a sample is {}, more than the largest that the header allows, {}", largest, maxval));
  }
}

}  // namespace

Decoded decode_pnm(Bytes bytes, const FileName& name, Use use, const ImageLimits& limits) {
  Header header(bytes, name);
  const int64_t channels = bytes[1] == '6' ? 3 : 1;
  const int64_t width = header.number("width"), height = header.number("height");
  const int64_t maxval = header.number("largest sample");
  if (maxval < 1 || maxval > 65535)
    bad_image(name, "PNM", fmt::format("the largest sample must be 1 to 65535. The header says {}", maxval));
  const size_t begin = header.samples();
  Decoded out;
  const bool wide = maxval > 255;
  out.bit_depth = wide ? 16 : 8;
  out.format = fmt::format("{}, {} bit", channels == 3 ? "PPM" : "PGM", out.bit_depth);
  const auto available = static_cast<int64_t>(bytes.size() - begin);
  check_size(name, out.format, width, height, limits, std::numeric_limits<int64_t>::max());
  check_bytes(name, out.format, width * height * channels * (wide ? 2 : 1), available);
  out.pixels = Tensor::empty({height, width, channels}, wide ? DType::i32 : DType::u8);
  const Bytes samples = bytes.subspan(begin);
  const int64_t scale_to = use == Use::label ? 0 : wide ? 65535 : 255;
  if (wide) {
    copy_samples<int32_t>(samples, out.pixels, maxval, scale_to, name, out.format);
  } else {
    copy_samples<uint8_t>(samples, out.pixels, maxval, scale_to, name, out.format);
  }
  return out;
}

}  // namespace atrous::data::codecs
