// Run-length encoded masks, as COCO's files hold them, and the polygons that become such masks.
//
// A mask [height, width] is read column by column; `counts` are the lengths of its runs, alternately outside
// and inside the object, the first one outside (0 if the first pixel is inside). Every Rle made here is in
// its shortest form: only the first count may be 0, and they add up to height * width.
//
// Results equal those of COCO's maskApi bit for bit (cocodataset/cocoapi, common/maskApi.c): areas, boxes,
// IoU, strings, and the pixels of a polygon. Unlike it, this code does not trust files: every text, list or
// polygon is checked before memory is allocated for it, and refused with Error(data). `where` names it in
// that message.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace atrous::data {

struct Rle {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint32_t> counts;

  bool operator==(const Rle&) const = default;
};

// A mask is never larger than an image may be (data/image_io.h); a few bytes of text can claim any size.
inline constexpr int64_t max_mask_pixels = int64_t{1} << 28;
// Polygons may lie partly or wholly outside of their image, but not this far.
inline constexpr double max_polygon_coordinate = 1e6;

// Corner, width and height in pixels, as in COCO's files: a box covers [x, x + width) x [y, y + height).
struct CocoBox {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;

  double area() const { return width * height; }
  bool operator==(const CocoBox&) const = default;
};

// Uncompressed counts; runs of length 0 are folded into their neighbours.
Rle rle_from_counts(int64_t height, int64_t width, std::span<const int64_t> counts,
                    const std::string& where = "rle");

// Compressed counts. Each is written in characters of 5 bits + 48, the lowest bits first: bit 5 says that
// more follow, bit 4 of the last one is the sign; from the fourth on, the difference to the count two before.
Rle rle_from_string(int64_t height, int64_t width, std::string_view text, const std::string& where = "rle");
std::string rle_to_string(const Rle& rle);

// mask: u8 [H, W] on the CPU; every value but 0 is inside.
Rle rle_encode(const Tensor& mask);
// u8 [height, width] of 0 and 1.
Tensor rle_decode(const Rle& rle);

// The pixels of a closed polygon x0, y0, x1, y1, ... (pixels; the centre of the first is 0.5, 0.5). At least
// three corners, all finite.
//
// The rule (COCO's, not that of a scanline): corners are rounded to a grid five times as fine; each edge is
// drawn on it, a point per step along its longer axis; where an edge passes the middle of a pixel column, a
// crossing is noted at the row that the fine row rounds up to; a column is inside between its first and
// second crossing, and so on.
Rle rle_from_polygon(int64_t height, int64_t width, std::span<const double> corners,
                     const std::string& where = "polygon");
// Error(data) unless the list is a polygon; for readers that need no mask.
void check_polygon(std::span<const double> corners, const std::string& where = "polygon");
// The union of an object's polygons; at least one. `crossings`: how many pixel columns their edges pass.
Rle rle_from_polygons(int64_t height, int64_t width, const std::vector<std::vector<double>>& polygons,
                      const std::string& where = "polygon", int64_t* crossings = nullptr);
// The pixels of a box, as those of the polygon of its corners.
Rle rle_from_box(int64_t height, int64_t width, const CocoBox& box, const std::string& where = "box");

enum class MaskSet { union_of, intersection_of };
// At least one mask; all of one size.
Rle rle_merge(std::span<const Rle> masks, MaskSet set);

int64_t rle_area(const Rle& rle);
// The smallest box that holds the mask; zeros for an empty one.
CocoBox rle_box(const Rle& rle);

// Intersection over union, and for a crowd intersection over the area of the detection: of a group of
// objects, a detection may well cover only one. 0 if there is nothing to share.
double box_iou(const CocoBox& detection, const CocoBox& object, bool crowd);
double rle_iou(const Rle& detection, const Rle& object, bool crowd);

// Precomputed data for comparing a mask with many others.
struct MeasuredMask {
  const Rle* mask = nullptr;
  CocoBox box;
  int64_t area = 0;

  MeasuredMask() = default;
  explicit MeasuredMask(const Rle& rle) : mask(&rle), box(rle_box(rle)), area(rle_area(rle)) {}
};
double rle_iou(const MeasuredMask& detection, const MeasuredMask& object, bool crowd);

}  // namespace atrous::data
