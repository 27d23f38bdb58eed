// The detections of `predict`, for scripts and COCO's tools.
//
// A file has COCO's format: `images` (`id`, `file_name`, `width`, `height`), `categories` (`id`, which is the
// label, and `name`), and `annotations`, which are results (`image_id`, `category_id`, `bbox`, `score` and,
// with masks, `segmentation`) that also have `id`, `area` and `iscrowd`, so that readers of annotations
// can read them.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/rle.h"
#include "layers/detection_model.h"

namespace atrous::cli {

// Detections of one image, which has the id 1. `masks` of all detections, or none. Error(io).
void write_predictions(const std::string& path, const std::string& image_path, const Tensor& image,
                       const layers::Detections& found, const std::vector<data::Rle>& masks,
                       const std::vector<data::ClassInfo>& classes);

// All detections of a run from its images' files: images and annotations are renumbered from 1 in the order
// of `parts`. One part is in memory at a time. Error(data) if a part is no such file; Error(io).
void join_predictions(const std::string& path, const std::vector<std::string>& parts);

}  // namespace atrous::cli
