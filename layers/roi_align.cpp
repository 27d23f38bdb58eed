#include "layers/roi_align.h"

namespace atrous::layers {

Variable roi_align(const std::vector<Variable>& maps, const Tensor& rois, const Tensor& levels,
                   const RoiAlignOptions& options) {
  std::vector<Tensor> values;
  std::vector<Shape> shapes;
  for (const Variable& map : maps) {
    values.push_back(map.value());
    shapes.push_back(map.shape());
  }
  const Tensor y = kernels::roi_align_forward(values, rois, levels, options);
  // The maps themselves are not needed again.
  auto backward = [rois = Saved(rois), levels = levels.defined() ? Saved(levels) : Saved(), shapes,
                   options](const BackwardContext& ctx) {
    std::vector<Tensor> gradients(shapes.size());
    for (size_t l = 0; l < shapes.size(); ++l) {
      if (!ctx.needs(static_cast<int>(l))) continue;
      gradients[l] =
          kernels::roi_align_backward(ctx.grad(), rois.get(), levels.defined() ? levels.get() : Tensor(),
                                      shapes, static_cast<int64_t>(l), options);
    }
    return gradients;
  };
  return record("roi_align", y, maps, backward);
}

}  // namespace atrous::layers
