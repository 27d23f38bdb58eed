#include "kernels/gpu/cublas.h"

#ifdef ATROUS_WITH_CUDA

#include <cublas_v2.h>

#include "core/device_runtime.h"

namespace atrous::kernels {
namespace {

void check_cublas(cublasStatus_t status, const char* what) {
  ATROUS_CHECK(
      status == CUBLAS_STATUS_SUCCESS, ErrorKind::internal,
      "[cublas] a call of the library failed. Got {} from {}. Report this; ATROUS_IMPL=gemm:tiled does "
      "without cuBLAS.",
      cublasGetStatusString(status), what);
}

// A handle may serve one thread at a time, so each thread has its own for the device. It is never destroyed:
// at the end of the process CUDA may have been unloaded before it.
cublasHandle_t handle() {
  static thread_local cublasHandle_t of_thread = [] {
    cublasHandle_t created = nullptr;
    cublasStatus_t status = cublasCreate(&created);
    if (status == CUBLAS_STATUS_ALLOC_FAILED || status == CUBLAS_STATUS_NOT_INITIALIZED) {
      release_device_cache(Device::cuda);  // memory that freed tensors left in the cache may fill the GPU
      status = cublasCreate(&created);
    }
    check_cublas(status, "cublasCreate");
    // By default parts of a sum may be added in bf16 where the result is bf16.
    check_cublas(cublasSetMathMode(
                     created, static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH |
                                                        CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)),
                 "cublasSetMathMode");
    return created;
  }();
  check_cublas(cublasSetStream(of_thread, static_cast<cudaStream_t>(current_stream(Device::cuda).handle())),
               "cublasSetStream");
  return of_thread;
}

cudaDataType_t type_of(const Tensor& t) {
  ATROUS_ASSERT(t.dtype() == DType::f32 || t.dtype() == DType::bf16);
  return t.dtype() == DType::f32 ? CUDA_R_32F : CUDA_R_16BF;
}

// Distance of the rows. A single row may claim any; cuBLAS requires at least its length.
int stride_of(const Tensor& t) {
  return narrow<int>(std::max(t.pixel_stride(), t.dim(1)), "cublas");
}

}  // namespace

// cuBLAS reads matrices by columns: it sees row-major ones as their transposes. So it computes y^T = op(b)^T
// op(a)^T.
void cublas_product(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Tensor& y,
                    bool tf32) {
  const int m = narrow<int>(y.dim(0), "cublas"), n = narrow<int>(y.dim(1), "cublas");
  const int k = narrow<int>(a.dim(transpose_a ? 0 : 1), "cublas");
  const float one = 1, zero = 0;
  // Pedantic: f32 products as they are, in the order of the kernel, never through a narrower type.
  const bool f32 = a.dtype() == DType::f32;
  const cublasComputeType_t compute = !f32   ? CUBLAS_COMPUTE_32F
                                      : tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                             : CUBLAS_COMPUTE_32F_PEDANTIC;
  check_cublas(cublasGemmEx(handle(), transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                            transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k, &one, b.device_raw(),
                            type_of(b), stride_of(b), a.device_raw(), type_of(a), stride_of(a), &zero,
                            y.device_raw(), type_of(y), stride_of(y), compute, CUBLAS_GEMM_DEFAULT),
               "cublasGemmEx");
}

}  // namespace atrous::kernels

#endif
