// Run lengths as text and as numbers; every operation is compared with the same on pixels.
#include <algorithm>

#include "data/rle.h"
#include "pictures.h"

using namespace atrous;
using data::Rle;

namespace {

void check_shortest(const Rle& rle) {
  int64_t sum = 0;
  for (size_t i = 0; i < rle.counts.size(); ++i) {
    sum += rle.counts[i];
    fuzz::require(i == 0 || rle.counts[i] > 0, "run lengths are in their shortest form");
  }
  fuzz::require(sum == rle.height * rle.width, "run lengths add up to the size");
}

template <class Combine>
Rle combined(const Tensor& a, const Tensor& b, Combine combine) {
  Tensor out = Tensor::empty(a.shape(), DType::u8);
  for (int64_t i = 0; i < a.numel(); ++i)
    out.data<uint8_t>()[i] = combine(a.data<uint8_t>()[i] != 0, b.data<uint8_t>()[i] != 0);
  return data::rle_encode(out);
}

void check_pixels(const Rle& rle, const Rle& other) {
  const Tensor a = data::rle_decode(rle), b = data::rle_decode(other);
  fuzz::require(data::rle_encode(a) == rle, "decoded and encoded again");
  int64_t area = 0, other_area = 0, shared = 0, left = rle.width, right = -1, top = rle.height, bottom = -1;
  for (int64_t y = 0; y < rle.height; ++y) {
    for (int64_t x = 0; x < rle.width; ++x) {
      const bool in = a.data<uint8_t>()[y * rle.width + x], in_other = b.data<uint8_t>()[y * rle.width + x];
      area += in;
      other_area += in_other;
      shared += in && in_other;
      if (!in) continue;
      left = std::min(left, x), right = std::max(right, x);
      top = std::min(top, y), bottom = std::max(bottom, y);
    }
  }
  data::CocoBox box;
  if (area > 0) {
    box = {static_cast<double>(left), static_cast<double>(top), static_cast<double>(right - left + 1),
           static_cast<double>(bottom - top + 1)};
  }
  fuzz::require(data::rle_area(rle) == area, "area");
  fuzz::require(data::rle_box(rle) == box, "box");
  const Rle pair[] = {rle, other};
  fuzz::require(
      data::rle_merge(pair, data::MaskSet::union_of) == combined(a, b, [](bool p, bool q) { return p || q; }),
      "union");
  fuzz::require(data::rle_merge(pair, data::MaskSet::intersection_of) ==
                    combined(a, b, [](bool p, bool q) { return p && q; }),
                "intersection");
  const auto ratio = [&](int64_t whole) {
    return shared ? static_cast<double>(shared) / static_cast<double>(whole) : 0;
  };
  fuzz::require(data::rle_iou(rle, other, false) == ratio(area + other_area - shared), "IoU");
  fuzz::require(data::rle_iou(rle, other, true) == ratio(area), "IoU with a crowd");
}

void check(const Rle& rle) {
  check_shortest(rle);
  fuzz::require(data::rle_from_string(rle.height, rle.width, data::rle_to_string(rle)) == rle,
                "text is read as it was written");
  const Rle other = data::rle_from_box(
      rle.height, rle.width, {1, 1, static_cast<double>(rle.width) / 2, static_cast<double>(rle.height) / 2});
  if (rle.height * rle.width <= 1 << 16) return check_pixels(rle, other);
  const Rle pair[] = {rle, other};
  check_shortest(data::rle_merge(pair, data::MaskSet::union_of));
  check_shortest(data::rle_merge(pair, data::MaskSet::intersection_of));
}

}  // namespace

// A byte of choices, height and width, then text or numbers.
FUZZ_HARNESS(rle, bytes) {
  fuzz::Input input{bytes};
  const auto choice = input.take<uint8_t>();
  int64_t height = input.take<uint16_t>() % 300, width = input.take<uint16_t>() % 300;
  if (choice & 2) height = input.take<int64_t>();
  if (choice & 4) width = input.take<int64_t>();
  fuzz::accepts({ErrorKind::data}, [&] {
    if (choice & 1) return check(data::rle_from_string(height, width, fuzz::text_of(input.left)));
    std::vector<int64_t> runs;
    while (!input.left.empty()) runs.push_back(choice & 8 ? input.take<int64_t>() : input.take<uint16_t>());
    check(data::rle_from_counts(height, width, runs));
  });
}
