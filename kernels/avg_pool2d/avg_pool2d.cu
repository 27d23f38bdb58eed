// Average pooling on a GPU: the windows of the problem, averaged by kernels/common/averaging.cu, which has
// the ladder.
#include "kernels/avg_pool2d/avg_pool2d_impl.h"
#include "kernels/common/averaging.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {

void avg_pool2d_forward_naive(const AvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  average_forward_naive(p.rows(), p.cols(), x, y);
}
void avg_pool2d_forward_vectorised(const AvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  average_forward_vectorised(p.rows(), p.cols(), x, y);
}
void avg_pool2d_forward_shared(const AvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  average_forward_shared(p.rows(), p.cols(), x, y);
}
void avg_pool2d_backward_naive(const AvgPool2dProblem& p, const Tensor& dy, const Tensor& dx) {
  average_backward_naive(p.rows(), p.cols(), dy, dx);
}
void avg_pool2d_backward_vectorised(const AvgPool2dProblem& p, const Tensor& dy, const Tensor& dx) {
  average_backward_vectorised(p.rows(), p.cols(), dy, dx);
}

}  // namespace atrous::kernels::ATROUS_GPU
