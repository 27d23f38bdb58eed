// Separable resize for f32 on the CPU.
//
// forward: input rows are stretched horizontally into a row buffer; consecutive output rows mostly read the
// same two of them, so when enlarging by s each row is stretched once and used s times. The vertical blend is
// one long vector loop. backward: the transpose, vertical first. Each input row gathers the output rows that
// read it (a contiguous range, since source positions grow with the output index), then each input pixel
// gathers its columns. One task owns each row of dx, so neither atomics nor partial sums are needed.
#include <algorithm>
#include <cstring>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/resize/resize_impl.h"

namespace atrous::kernels::resize {
namespace {

// For each input index along one axis, which outputs read it and with what weight.
struct Readers {
  std::vector<int64_t> begin;  // in + 1 offsets into the lists
  std::vector<int32_t> output;
  std::vector<float> weight;
};

Readers readers_of(const ResizeProblem& p, int64_t in, int64_t out) {
  const std::vector<ResizeTap> taps = taps_of(p, in, out);
  Readers r;
  r.begin.assign(static_cast<size_t>(in) + 1, 0);
  auto each = [&](auto f) {
    for (size_t i = 0; i < taps.size(); ++i) {
      if (taps[i].weight != 1)
        f(taps[i].low, static_cast<int32_t>(i), static_cast<float>(1 - taps[i].weight));
      if (taps[i].weight != 0) f(taps[i].high, static_cast<int32_t>(i), static_cast<float>(taps[i].weight));
    }
  };
  each([&](int32_t source, int32_t, float) { ++r.begin[static_cast<size_t>(source) + 1]; });
  for (size_t i = 1; i < r.begin.size(); ++i) r.begin[i] += r.begin[i - 1];
  std::vector<int64_t> next(r.begin.begin(), r.begin.end() - 1);
  r.output.resize(static_cast<size_t>(r.begin.back()));
  r.weight.resize(r.output.size());
  each([&](int32_t source, int32_t output, float weight) {
    const auto at = static_cast<size_t>(next[static_cast<size_t>(source)]++);
    r.output[at] = output;
    r.weight[at] = weight;
  });
  return r;
}

ATROUS_MULTIVERSION void blend(const float* a, const float* b, float weight, int64_t n, float* out) {
  const float keep = 1.0f - weight;
  for (int64_t i = 0; i < n; ++i) out[i] = keep * a[i] + weight * b[i];
}

ATROUS_MULTIVERSION void add_scaled(const float* a, float weight, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] += weight * a[i];
}

ATROUS_MULTIVERSION void stretch_row(const float* x, int64_t stride, const ResizeTap* taps, int64_t width,
                                     int64_t channels, float* out) {
  for (int64_t j = 0; j < width; ++j) {
    const float* a = x + taps[j].low * stride;
    const float* b = x + taps[j].high * stride;
    const auto weight = static_cast<float>(taps[j].weight);
    const float keep = 1.0f - weight;
    for (int64_t k = 0; k < channels; ++k) out[j * channels + k] = keep * a[k] + weight * b[k];
  }
}

// dx[b] = sum of weight * row[output] over the readers of b; rows of dx and `row` are dense.
ATROUS_MULTIVERSION void gather_row(const float* row, const int64_t* begin, const int32_t* output,
                                    const float* weight, int64_t width, int64_t channels, float* dx) {
  for (int64_t b = 0; b < width; ++b) {
    float* sum = dx + b * channels;
    for (int64_t k = 0; k < channels; ++k) sum[k] = 0;
    for (int64_t r = begin[b]; r < begin[b + 1]; ++r) {
      const float* g = row + output[r] * channels;
      const float w = weight[r];
      for (int64_t k = 0; k < channels; ++k) sum[k] += w * g[k];
    }
  }
}

// Output rows per task: long enough that stretched rows are reused, fixed so that tasks do not depend on
// threads.
constexpr int64_t rows_per_task = 16;

void forward_nearest(const ResizeProblem& p, const Tensor& x, const Tensor& y) {
  const auto rows = taps_of(p, p.in_h, p.out_h);
  const auto columns = taps_of(p, p.in_w, p.out_w);
  parallel_for(p.n * p.out_h, rows_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t source = (r / p.out_h) * p.in_h + rows[static_cast<size_t>(r % p.out_h)].low;
      const float* from = x.data<float>() + source * p.in_w * x.pixel_stride();
      float* to = y.data<float>() + r * p.out_w * y.pixel_stride();
      for (int64_t j = 0; j < p.out_w; ++j) {
        std::memcpy(to + j * y.pixel_stride(), from + columns[static_cast<size_t>(j)].low * x.pixel_stride(),
                    static_cast<size_t>(p.channels) * sizeof(float));
      }
    }
  });
}

}  // namespace

void forward_separable(const ResizeProblem& p, const Tensor& x, const Tensor& y) {
  if (p.mode == ResizeMode::nearest) return forward_nearest(p, x, y);
  const auto rows = taps_of(p, p.in_h, p.out_h);
  const auto columns = taps_of(p, p.in_w, p.out_w);
  const int64_t length = p.out_w * p.channels;
  const bool dense = y.contiguous();
  parallel_for(p.n * p.out_h, rows_per_task, [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(length) * (dense ? 2 : 3));
    float* stretched[2] = {buffer.data(), buffer.data() + length};
    int64_t held[2] = {-1, -1};  // which input row each buffer holds; row r always goes to buffer r % 2
    auto fetch = [&](int64_t row) {
      const int64_t slot = row % 2;
      if (held[slot] != row) {
        stretch_row(x.data<float>() + row * p.in_w * x.pixel_stride(), x.pixel_stride(), columns.data(),
                    p.out_w, p.channels, stretched[slot]);
        held[slot] = row;
      }
      return stretched[slot];
    };
    for (int64_t r = begin; r < end; ++r) {
      const ResizeTap tap = rows[static_cast<size_t>(r % p.out_h)];
      const int64_t image = (r / p.out_h) * p.in_h;
      const float* a = fetch(image + tap.low);
      const float* b = fetch(image + tap.high);
      float* to = y.data<float>() + r * p.out_w * y.pixel_stride();
      float* target = dense ? to : buffer.data() + 2 * length;
      blend(a, b, static_cast<float>(tap.weight), length, target);
      for (int64_t j = 0; !dense && j < p.out_w; ++j) {
        std::memcpy(to + j * y.pixel_stride(), target + j * p.channels,
                    static_cast<size_t>(p.channels) * sizeof(float));
      }
    }
  });
}

void backward_separable(const ResizeProblem& p, const Tensor& dy, const Tensor& dx) {
  const Readers rows = readers_of(p, p.in_h, p.out_h);
  const Readers columns = readers_of(p, p.in_w, p.out_w);
  const int64_t length = p.out_w * p.channels;
  parallel_for(p.n * p.in_h, 4, [&](int64_t begin, int64_t end) {
    std::vector<float> sum(static_cast<size_t>(length));
    for (int64_t r = begin; r < end; ++r) {
      const auto row = static_cast<size_t>(r % p.in_h);
      std::fill(sum.begin(), sum.end(), 0.0f);
      for (int64_t i = rows.begin[row]; i < rows.begin[row + 1]; ++i) {
        const auto reader = static_cast<size_t>(i);
        const int64_t output = (r / p.in_h) * p.out_h + rows.output[reader];
        const float* g = dy.data<float>() + output * p.out_w * dy.pixel_stride();
        if (dy.contiguous()) {
          add_scaled(g, rows.weight[reader], length, sum.data());
        } else {
          for (int64_t j = 0; j < p.out_w; ++j) {
            add_scaled(g + j * dy.pixel_stride(), rows.weight[reader], p.channels,
                       sum.data() + j * p.channels);
          }
        }
      }
      gather_row(sum.data(), columns.begin.data(), columns.output.data(), columns.weight.data(), p.in_w,
                 p.channels, dx.data<float>() + r * p.in_w * p.channels);
    }
  });
}

}  // namespace atrous::kernels::resize
