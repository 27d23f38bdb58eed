#include "data/rle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace atrous::data {
namespace {

// Sides first: their product could overflow.
int64_t checked_pixels(int64_t height, int64_t width, const std::string& where) {
  ATROUS_CHECK(
      height >= 1 && width >= 1 && height <= max_mask_pixels && width <= max_mask_pixels &&
          height * width <= max_mask_pixels,
      ErrorKind::data,
      "[{}] a mask must have between 1 and {} pixels. Got height {} and width {}. Check \"size\", which is "
      "[height, width].",
      where, max_mask_pixels, height, width);
  return height * width;
}

// Collects runs in their shortest form and checks their sum.
class Runs {
 public:
  Runs(int64_t height, int64_t width, const std::string& where)
      : where_(where), pixels_(checked_pixels(height, width, where)) {
    rle_.height = height;
    rle_.width = width;
  }

  void add(int64_t count) {
    ATROUS_CHECK(count >= 0, ErrorKind::data,
                 "[{}] run lengths must not be negative. Count {} is {}. The mask is damaged.", where_,
                 added_, count);
    // Not `sum_ + count`, which a damaged file could let overflow.
    ATROUS_CHECK(count <= pixels_ - sum_, ErrorKind::data,
                 "[{}] run lengths must add up to height * width = {} * {} = {}. They pass it at count {}. "
                 "Is \"size\" [height, width] that of the image?",
                 where_, rle_.height, rle_.width, pixels_, added_);
    const bool inside = added_ % 2 == 1;
    // The mask continues with the same value (after a run of 0), or begins with a run that may be 0.
    if (!rle_.counts.empty() && (inside == last_inside_)) {
      rle_.counts.back() += static_cast<uint32_t>(count);
    } else if (count > 0 || rle_.counts.empty()) {
      rle_.counts.push_back(static_cast<uint32_t>(count));
      last_inside_ = inside;
    }
    sum_ += count;
    ++added_;
  }

  Rle finish() {
    ATROUS_CHECK(
        sum_ == pixels_, ErrorKind::data,
        "[{}] run lengths must add up to height * width = {} * {} = {}. Got {}. Is \"size\" [height, width] "
        "that of the image?",
        where_, rle_.height, rle_.width, pixels_, sum_);
    rle_.counts.shrink_to_fit();
    return std::move(rle_);
  }

 private:
  const std::string& where_;
  int64_t pixels_;
  Rle rle_;
  int64_t sum_ = 0;
  int64_t added_ = 0;
  bool last_inside_ = false;
};

// The inside runs of a mask one after the other, as [begin, end) in the order of its columns.
class InsideRuns {
 public:
  explicit InsideRuns(const std::vector<uint32_t>& counts) : counts_(counts) { next(); }
  bool done() const { return at_ > counts_.size(); }
  int64_t begin() const { return begin_; }
  int64_t end() const { return end_; }
  void next() {
    if (at_ + 1 < counts_.size()) {
      begin_ = end_ + counts_[at_];
      end_ = begin_ + counts_[at_ + 1];
    }
    at_ += 2;
    if (at_ > counts_.size()) at_ = counts_.size() + 1;  // no inside run is left
  }

 private:
  const std::vector<uint32_t>& counts_;
  size_t at_ = 0;
  int64_t begin_ = 0, end_ = 0;
};

int64_t intersection(const Rle& a, const Rle& b) {
  int64_t shared = 0;
  InsideRuns x(a.counts), y(b.counts);
  while (!x.done() && !y.done()) {
    shared += std::max<int64_t>(0, std::min(x.end(), y.end()) - std::max(x.begin(), y.begin()));
    if (x.end() < y.end()) {
      x.next();
    } else {
      y.next();
    }
  }
  return shared;
}

void check_same_size(const Rle& a, const Rle& b) {
  ATROUS_CHECK(
      a.height == b.height && a.width == b.width, ErrorKind::data,
      "[rle] masks must have one size to be compared or merged. Got {}x{} and {}x{} (height x width).",
      a.height, a.width, b.height, b.width);
}

Rle merge(const Rle& a, const Rle& b, MaskSet set) {
  check_same_size(a, b);
  Rle out{a.height, a.width, {}};
  out.counts.reserve(a.counts.size() + b.counts.size());
  const bool all = set == MaskSet::intersection_of;
  const int64_t pixels = a.height * a.width;
  size_t ia = 0, ib = 0;
  int64_t end_a = a.counts[0], end_b = b.counts[0], at = 0, run_begin = 0;
  bool inside = false;
  while (at < pixels) {
    // The runs that hold pixel `at`.
    while (end_a <= at) end_a += a.counts[++ia];
    while (end_b <= at) end_b += b.counts[++ib];
    const bool in_a = ia % 2 == 1, in_b = ib % 2 == 1;
    const bool now = all ? in_a && in_b : in_a || in_b;
    if (now != inside) {
      out.counts.push_back(static_cast<uint32_t>(at - run_begin));
      run_begin = at;
      inside = now;
    }
    at = std::min(end_a, end_b);
  }
  out.counts.push_back(static_cast<uint32_t>(pixels - run_begin));
  return out;
}

}  // namespace

Rle rle_from_counts(int64_t height, int64_t width, std::span<const int64_t> counts,
                    const std::string& where) {
  Runs runs(height, width, where);
  for (int64_t count : counts) runs.add(count);
  return runs.finish();
}

Rle rle_from_string(int64_t height, int64_t width, std::string_view text, const std::string& where) {
  Runs runs(height, width, where);
  constexpr int max_characters = 7;  // 35 bits: more than a count of 32 bits and its sign need
  int64_t before[2] = {0, 0};        // the two counts before: [0] the older
  int64_t number = 0;
  for (size_t at = 0; at < text.size(); ++number) {
    const size_t first = at;
    int64_t value = 0;
    int bits = 0;
    for (bool more = true; more; ++at) {
      ATROUS_CHECK(at < text.size(), ErrorKind::data,
                   "[{}] compressed counts must not end within a count. They do after {} characters. The "
                   "text was cut.",
                   where, text.size());
      const int c = static_cast<unsigned char>(text[at]) - 48;
      ATROUS_CHECK(c >= 0 && c < 64, ErrorKind::data,
                   "[{}] compressed counts consist of the characters '0' to 'o'. Got byte {} at position {}.",
                   where, c + 48, at);
      ATROUS_CHECK(at - first < max_characters, ErrorKind::data,
                   "[{}] a compressed count has at most {} characters. Count {}, at position {}, has more.",
                   where, max_characters, number, first);
      value |= static_cast<int64_t>(c & 0x1f) << bits;
      bits += 5;
      more = c & 0x20;
      if (!more && (c & 0x10)) value -= int64_t{1} << bits;
    }
    if (number > 2) value += before[0];
    runs.add(value);
    before[0] = before[1];
    before[1] = value;
  }
  return runs.finish();
}

std::string rle_to_string(const Rle& rle) {
  std::string text;
  for (size_t i = 0; i < rle.counts.size(); ++i) {
    int64_t value = rle.counts[i];
    if (i > 2) value -= rle.counts[i - 2];
    for (bool more = true; more;) {
      const int bits = static_cast<int>(value & 0x1f);
      value >>= 5;
      more = (bits & 0x10) ? value != -1 : value != 0;
      text += static_cast<char>((bits | (more ? 0x20 : 0)) + 48);
    }
  }
  return text;
}

Rle rle_encode(const Tensor& mask) {
  ATROUS_CHECK(mask.rank() == 2 && mask.dtype() == DType::u8, ErrorKind::usage,
               "[rle] a mask to encode must be u8 [H, W]. Got {} {}.", name_of(mask.dtype()),
               mask.shape().str());
  const int64_t height = mask.dim(0), width = mask.dim(1);
  checked_pixels(height, width, "rle");
  Rle rle{height, width, {}};
  const Tensor dense = mask.contiguous_copy_if_needed();
  const uint8_t* values = dense.data<uint8_t>();
  bool inside = false;
  uint32_t run = 0;
  for (int64_t x = 0; x < width; ++x) {
    for (int64_t y = 0; y < height; ++y, ++run) {
      if ((values[y * width + x] != 0) == inside) continue;
      rle.counts.push_back(run);
      run = 0;
      inside = !inside;
    }
  }
  rle.counts.push_back(run);
  return rle;
}

Tensor rle_decode(const Rle& rle) {
  const Tensor mask = Tensor::zeros({rle.height, rle.width}, DType::u8);
  uint8_t* values = mask.data<uint8_t>();
  for (InsideRuns run(rle.counts); !run.done(); run.next()) {
    int64_t x = run.begin() / rle.height, y = run.begin() % rle.height;
    for (int64_t i = run.begin(); i < run.end(); ++i) {
      values[y * rle.width + x] = 1;
      if (++y == rle.height) {
        y = 0;
        ++x;
      }
    }
  }
  return mask;
}

Rle rle_merge(std::span<const Rle> masks, MaskSet set) {
  ATROUS_CHECK(!masks.empty(), ErrorKind::usage, "[rle] merging needs at least one mask. Got none.");
  Rle merged = masks[0];
  for (const Rle& next : masks.subspan(1)) merged = merge(merged, next, set);
  return merged;
}

int64_t rle_area(const Rle& rle) {
  int64_t area = 0;
  for (size_t i = 1; i < rle.counts.size(); i += 2) area += rle.counts[i];
  return area;
}

CocoBox rle_box(const Rle& rle) {
  InsideRuns run(rle.counts);
  if (run.done()) return {};
  const int64_t h = rle.height;
  const int64_t left = run.begin() / h;
  int64_t right = left, top = h, bottom = 0;
  for (; !run.done(); run.next()) {
    const int64_t first = run.begin(), last = run.end() - 1;
    right = last / h;
    if (first / h < right) {  // a run that continues in the next column reaches both edges
      top = 0;
      bottom = h - 1;
    }
    top = std::min({top, first % h, last % h});
    bottom = std::max({bottom, first % h, last % h});
  }
  return {static_cast<double>(left), static_cast<double>(top), static_cast<double>(right - left + 1),
          static_cast<double>(bottom - top + 1)};
}

double box_iou(const CocoBox& detection, const CocoBox& object, bool crowd) {
  const double width =
      std::fmin(detection.width + detection.x, object.width + object.x) - std::fmax(detection.x, object.x);
  if (width <= 0) return 0;
  const double height =
      std::fmin(detection.height + detection.y, object.height + object.y) - std::fmax(detection.y, object.y);
  if (height <= 0) return 0;
  const double shared = width * height;
  // In this order of additions: the last bit decides whether an IoU reaches a threshold.
  const double whole = crowd ? detection.area() : detection.area() + object.area() - shared;
  return shared / whole;
}

double rle_iou(const MeasuredMask& detection, const MeasuredMask& object, bool crowd) {
  check_same_size(*detection.mask, *object.mask);
  if (!(box_iou(detection.box, object.box, false) > 0)) return 0;
  const int64_t shared = intersection(*detection.mask, *object.mask);
  if (shared == 0) return 0;
  const int64_t whole = crowd ? detection.area : detection.area + object.area - shared;
  return static_cast<double>(shared) / static_cast<double>(whole);
}

double rle_iou(const Rle& detection, const Rle& object, bool crowd) {
  return rle_iou(MeasuredMask(detection), MeasuredMask(object), crowd);
}

}  // namespace atrous::data
