// Adaptive average pooling on a GPU: the bins of the problem, averaged by kernels/common/averaging.cu, which
// has the ladder.
#include "kernels/adaptive_avg_pool2d/adaptive_avg_pool2d_impl.h"
#include "kernels/common/averaging.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {

void adaptive_avg_pool2d_forward_naive(const AdaptiveAvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  average_forward_naive(p.rows(), p.cols(), x, y);
}
void adaptive_avg_pool2d_forward_vectorised(const AdaptiveAvgPool2dProblem& p, const Tensor& x,
                                            const Tensor& y) {
  average_forward_vectorised(p.rows(), p.cols(), x, y);
}
void adaptive_avg_pool2d_forward_shared(const AdaptiveAvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  average_forward_shared(p.rows(), p.cols(), x, y);
}
void adaptive_avg_pool2d_backward_naive(const AdaptiveAvgPool2dProblem& p, const Tensor& dy,
                                        const Tensor& dx) {
  average_backward_naive(p.rows(), p.cols(), dy, dx);
}
void adaptive_avg_pool2d_backward_vectorised(const AdaptiveAvgPool2dProblem& p, const Tensor& dy,
                                             const Tensor& dx) {
  average_backward_vectorised(p.rows(), p.cols(), dy, dx);
}

}  // namespace atrous::kernels::ATROUS_GPU
