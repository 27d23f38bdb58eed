// The rungs "winograd_f4" and "winograd_f2": 3x3 filters of stride 1 with 36 multiplications in place of 144
// for 4x4 results, or 16 in place of 36 for 2x2.
//
// Channels turn the element-wise products of the algorithm into one matrix product per element over many
// tiles. An atrous convolution is a dense one on each of the sub-images that its rate cuts out: only the
// positions of tiles change. The gradient of the input is the same convolution with the filter turned by 180
// degrees. The gradient of the filter is in conv2d_winograd_weight.cpp. No size here depends on the number of
// threads.
//
// Accuracy: transformed values are rounded to f32, so results differ from the direct sums by 1e-6 to 8e-6 of
// the largest value for F(4x4) (measured, 16 to 512 channels), and small integers do not come out exact.
// The config key `exact` avoids it.
#include <algorithm>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/kept_filters.h"
#include "kernels/conv2d/rows.h"
#include "kernels/conv2d/tiles.h"
#include "kernels/conv2d/winograd.h"

namespace atrous::kernels {
namespace {

using namespace winograd;

constexpr int64_t row_block = 14;           // tiles that are multiplied at a time
constexpr int64_t panel_width = 2 * lanes;  // output channels that multiply() computes at a time

// A filter and its transformed panels: per panel and element [c][channel in panel], elements
// element_stride() floats apart, panels panel_floats().
struct Filter {
  const Steps& steps;
  const float* w;
  bool turned;
  int64_t k_count, c_count;

  int64_t panels() const { return (k_count + panel_width - 1) / panel_width; }
  int64_t width(int64_t panel) const { return std::min(panel_width, k_count - panel * panel_width); }
  int64_t element_stride() const { return c_count * panel_width + skew; }
  int64_t panel_floats() const { return steps.elements * element_stride(); }
  void transform(int64_t panel, float* u) const {
    steps.transform_filter(w, turned, k_count, c_count, panel * panel_width, width(panel), u,
                           element_stride());
  }
  FloatBuffer transform_all() const {
    FloatBuffer u(panels() * panel_floats());
    parallel_for(panels(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) transform(panel, u.data() + panel * panel_floats());
    });
    return u;
  }
};

// m[t][k] = sum_c v[t][c] * u[c][k] for one element and one panel, in the tiles of the direct sums.
void multiply(const float* v, const float* u, int64_t c_count, int64_t tiles, int64_t width, float* m,
              int64_t m_stride) {
  alignas(64) static constexpr float zeros[panel_width] = {};
  const TileKernels& kernels = tile_kernels_avx512();
  const int64_t vectors = width / lanes;
  const int64_t blocks = (tiles + kernels.max_rows[2 - vectors] - 1) / kernels.max_rows[2 - vectors];
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t t = i * tiles / blocks, t_end = (i + 1) * tiles / blocks;
    const Run run{v + t * c_count, u, c_count};
    kernels.forward({&run, 1, c_count, zeros, 0, m + t * m_stride, m_stride, width}, vectors, t_end - t);
  }
}

struct Convolution {
  const Steps& steps;
  const Map& x;
  int64_t pad_h, pad_w;
  const Filter& filter;
  const ReadFusion& prologue;
  const WriteFusion& epilogue;
  const Map& y;
  const Tiling tiling;
  KeptFilters* kept;  // null: the filter is transformed for this call

  void transform_input(int64_t tile, float* v, int64_t v_stride) const {
    steps.transform_input(x, prologue, tiling.image(tile), tiling.top(tile) - pad_h,
                          tiling.left(tile) - pad_w, v, v_stride);
  }
  // Channels [k, k + channels); m is at the first of them.
  void transform_output(int64_t tile, int64_t k, int64_t channels, const float* m, int64_t m_stride,
                        double* sums, double* squares) const {
    const auto from = [k](auto* p) { return p ? p + k : p; };
    const WriteFusion own{from(epilogue.bias),      sums,         squares, from(epilogue.residual),
                          epilogue.residual_stride, epilogue.relu};
    Map part = y;
    part.data += k;
    part.channels = channels;
    steps.transform_output(m, m_stride, own, tiling.image(tile), tiling.top(tile), tiling.left(tile), part);
  }
};

// Adds the batch-norm sums of tasks, `count` each, in their order: bit-identical for any number of threads.
void add_in_order(const std::vector<double>& partial, double* sums, int64_t count) {
  for (size_t i = 0; i < partial.size(); ++i) sums[i % static_cast<size_t>(count)] += partial[i];
}

// For small filters. A task takes a block of tiles through all steps: intermediate results stay in its
// second-level cache, and so does the transformed filter.
void convolve_by_tiles(const Convolution& c, double* sums) {
  constexpr int64_t task_floats = 300 * 1024;  // of transformed tiles: 60 % of a 2 MiB second-level cache
  const int64_t c_count = c.x.channels, k_count = c.y.channels, elements_of_tile = c.steps.elements;
  const int64_t tiles = c.tiling.count();
  const FloatBuffer u =
      c.kept ? c.kept->get(c.steps.name, [&] { return c.filter.transform_all(); }) : c.filter.transform_all();
  int64_t blocks =
      std::clamp<int64_t>(task_floats / (elements_of_tile * (c_count + k_count)) / row_block, 1, 4);
  while (blocks > 1 && tiles < 8 * blocks * row_block) --blocks;  // at least 8 tasks, if the map allows
  const int64_t per_task = blocks * row_block, tasks = (tiles + per_task - 1) / per_task;
  std::vector<double> partial(sums ? static_cast<size_t>(tasks * 2 * k_count) : 0);
  parallel_for(tasks, 1, [&](int64_t begin, int64_t end) {
    const int64_t v_stride = per_task * c_count + skew, m_stride = per_task * k_count + skew;
    const FloatBuffer v(elements_of_tile * v_stride), m(elements_of_tile * m_stride);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task * per_task, count = std::min(per_task, tiles - first);
      for (int64_t t = 0; t < count; ++t) c.transform_input(first + t, v.data() + t * c_count, v_stride);
      for (int64_t e = 0; e < elements_of_tile; ++e) {
        for (int64_t panel = 0; panel < c.filter.panels(); ++panel) {
          multiply(v.data() + e * v_stride,
                   u.data() + panel * c.filter.panel_floats() + e * c.filter.element_stride(), c_count, count,
                   c.filter.width(panel), m.data() + e * m_stride + panel * panel_width, k_count);
        }
      }
      double* task_sums = sums ? &partial[static_cast<size_t>(task * 2 * k_count)] : nullptr;
      for (int64_t t = 0; t < count; ++t)
        c.transform_output(first + t, 0, k_count, m.data() + t * k_count, m_stride, task_sums,
                           sums ? task_sums + k_count : nullptr);
    }
  });
  add_in_order(partial, sums, 2 * k_count);
}

// For large filters. All tiles of a chunk are transformed first; then a task takes one panel of output
// channels through the remaining steps for a group of tiles. The panel's transformed filter stays in its
// cache and is not kept: at 4 times the size of the filter, the whole of it would be written to memory and
// read again.
void convolve_by_panels(const Convolution& c, double* sums) {
  constexpr int64_t chunk_floats = 12 << 20;  // of transformed tiles
  constexpr int64_t group_tiles = 128;        // the least for which transforming the filter is a small part
  constexpr int64_t enough_tasks = 8;
  const int64_t c_count = c.x.channels, k_count = c.y.channels, elements_of_tile = c.steps.elements;
  const int64_t tiles = c.tiling.count(), panels = c.filter.panels();
  const int64_t chunk = std::min(
      tiles, std::max<int64_t>(1, chunk_floats / (elements_of_tile * c_count * row_block)) * row_block);
  const int64_t v_stride = chunk * c_count + skew;
  const FloatBuffer v(elements_of_tile * v_stride);
  std::vector<double> partial;
  for (int64_t first = 0; first < tiles; first += chunk) {
    const int64_t count = std::min(chunk, tiles - first);
    const int64_t groups = std::max<int64_t>(1, count / group_tiles);
    const int64_t m_stride = (count + groups - 1) / groups * panel_width + skew;
    partial.assign(sums ? static_cast<size_t>(groups * 2 * k_count) : 0, 0.0);
    parallel_for(count, 4, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) c.transform_input(first + t, v.data() + t * c_count, v_stride);
    });
    parallel_for(panels * groups, panels < enough_tasks ? 1 : groups, [&](int64_t begin, int64_t end) {
      const FloatBuffer u(c.filter.panel_floats()), m(elements_of_tile * m_stride);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t panel = task / groups, group = task % groups;
        if (task == begin || group == 0) c.filter.transform(panel, u.data());
        const int64_t k = panel * panel_width, width = c.filter.width(panel);
        const int64_t t_begin = group * count / groups, t_end = (group + 1) * count / groups;
        for (int64_t e = 0; e < elements_of_tile; ++e)
          multiply(v.data() + e * v_stride + t_begin * c_count, u.data() + e * c.filter.element_stride(),
                   c_count, t_end - t_begin, width, m.data() + e * m_stride, panel_width);
        double* task_sums = sums ? &partial[static_cast<size_t>(group * 2 * k_count + k)] : nullptr;
        for (int64_t t = t_begin; t < t_end; ++t)
          c.transform_output(first + t, k, width, m.data() + (t - t_begin) * panel_width, m_stride, task_sums,
                             sums ? task_sums + k_count : nullptr);
      }
    });
    add_in_order(partial, sums, 2 * k_count);
  }
}

// y = x (*) filter. sums: f64 [2][K] or null.
void convolve(const Steps& steps, int64_t images, const Map& x, int64_t pad_h, int64_t pad_w,
              const Filter& filter, const ReadFusion& prologue, const WriteFusion& epilogue, const Map& y,
              double* sums, KeptFilters* kept) {
  constexpr int64_t small_filter = 128 * 128;  // pairs of channels: 2.4 MB transformed
  const Convolution c{steps, x, pad_h, pad_w, filter, prologue, epilogue, y, Tiling(images, y, steps.output),
                      kept};
  if (sums) std::fill_n(sums, 2 * y.channels, 0.0);
  (filter.k_count * filter.c_count <= small_filter ? convolve_by_tiles : convolve_by_panels)(c, sums);
}

const float* optional_data(const Tensor& t) {
  return t.defined() ? t.data<float>() : nullptr;
}

// The cost rule: per pair of input and output channel, in the time of one multiplication at the peak rate.
// Every product costs more than that by a factor for transforms and edges; the filter has a fixed price, for
// reading it, which outweighs the rest on small maps, and for transforming or packing it. Fitted to
// milliseconds on two cores of a Sapphire Rapids Xeon, batch 1 (backward_input takes the same time):
//
//                    F(4x4)   F(2x2)   direct
//    8x8   c512       2.2      2.2      2.1
//   16x16  c512       3.4      3.2      4.5
//   15x20  c512       3.7      4.0      4.9
//   32x32  c512 k256  3.7      5.2      7.3
//   32x32  c256       1.9      2.8      3.4
//   32x32  c128       0.6      1.0      1.0
//   64x64  c128       1.5      2.2      3.9
//  256x256 c32        1.8      2.9      4.1
//   45x60  c512 d2   14.2     24.4     40.2
struct Costs {
  double direct, f4, f2;
};
Costs costs_of(const Conv2dProblem& p) {
  const Map y{nullptr, p.p(), p.q(), p.k, p.k, p.dilation_h, p.dilation_w};
  const auto tiles = [&](int64_t m) { return static_cast<double>(Tiling(p.n, y, m).count()); };
  return {1.15 * static_cast<double>(products_inside(p)) + 800, 1.3 * 36 * tiles(4) + 1700,
          1.5 * 16 * tiles(2) + 1000};
}
// 4, 2, or 0 for direct sums
int64_t fastest(const Conv2dProblem& p) {
  const Costs c = costs_of(p);
  if (c.direct <= std::min(c.f4, c.f2)) return 0;
  return c.f4 <= c.f2 ? 4 : 2;
}

void forward(const Steps& steps, const Conv2dProblem& p, const Tensor& x, const Tensor& w,
             const Conv2dFusion& f, const Tensor& y) {
  const Tensor filter = w.contiguous_copy_if_needed();
  const Filter packed{steps, filter.data<float>(), false, p.k, p.c};
  const WriteFusion epilogue{optional_data(f.bias),
                             nullptr,
                             nullptr,
                             optional_data(f.residual),
                             f.residual.defined() ? f.residual.pixel_stride() : 0,
                             f.relu};
  convolve(steps, p.n, {x.data<float>(), p.h, p.w, p.c, x.pixel_stride(), p.dilation_h, p.dilation_w},
           p.pad_h, p.pad_w, packed, {optional_data(f.in_scale), optional_data(f.in_bias), f.in_relu},
           epilogue, {y.data<float>(), p.p(), p.q(), p.k, y.pixel_stride(), p.dilation_h, p.dilation_w},
           f.channel_sums.defined() ? f.channel_sums.data<double>() : nullptr, f.kept);
}

void backward_input(const Steps& steps, const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                    const Tensor& bias, const Tensor& dx) {
  const Tensor filter = w.contiguous_copy_if_needed();
  convolve(
      steps, p.n, {dy.data<float>(), p.p(), p.q(), p.k, dy.pixel_stride(), p.dilation_h, p.dilation_w},
      2 * p.dilation_h - p.pad_h, 2 * p.dilation_w - p.pad_w, {steps, filter.data<float>(), true, p.c, p.k},
      {}, {optional_data(bias), nullptr, nullptr, nullptr, 0, false},
      {dx.data<float>(), p.h, p.w, p.c, dx.pixel_stride(), p.dilation_h, p.dilation_w}, nullptr, nullptr);
}

}  // namespace

// First pixels of the MxM tiles that cover a line: of every `step`-th pixel from 0, then from 1, and so on.
static std::vector<int64_t> tile_starts(int64_t length, int64_t step, int64_t m) {
  std::vector<int64_t> starts;
  for (int64_t phase = 0; phase < std::min(step, length); ++phase) {
    for (int64_t first = phase; first < length; first += m * step) starts.push_back(first);
  }
  return starts;
}

winograd::Tiling::Tiling(int64_t images, const Map& y, int64_t m)
    : images_(images), tops_(tile_starts(y.h, y.step_h, m)), lefts_(tile_starts(y.w, y.step_w, m)) {}

const char* conv2d_can_winograd(const Conv2dProblem& p) {
  if (p.dtype != DType::f32) return "f32 only";
  if (p.r != 3 || p.s != 3) return "3x3 filters only";
  if (p.stride_h != 1 || p.stride_w != 1) return "stride 1 only";
  if (p.groups != 1) return "one group only";
  if (p.c % lanes != 0 || p.k % lanes != 0) return "channels must be multiples of 16";
  if (p.c > 4096 || p.k > 4096) return "more than 4096 channels";
  return nullptr;
}

// Rows (columns) of the output for which a tap lies inside the image, over all three taps of a line.
static int64_t taps_inside(int64_t in, int64_t out, int64_t pad, int64_t rate) {
  int64_t inside = 0;
  for (int64_t r = 0; r < 3; ++r) {
    const int64_t first = std::max<int64_t>(0, pad - r * rate), end = std::min(out, in + pad - r * rate);
    inside += std::max<int64_t>(0, end - first);
  }
  return inside;
}

int64_t winograd::products_inside(const Conv2dProblem& p) {
  return p.n * taps_inside(p.h, p.p(), p.pad_h, p.dilation_h) *
         taps_inside(p.w, p.q(), p.pad_w, p.dilation_w);
}

bool conv2d_prefers_winograd_f4(const Conv2dProblem& p) {
  return fastest(p) == 4;
}
bool conv2d_prefers_winograd_f2(const Conv2dProblem& p) {
  return fastest(p) == 2;
}

void conv2d_forward_winograd_f4(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                const Conv2dFusion& f, const Tensor& y) {
  forward(steps_f4_avx512(), p, x, w, f, y);
}
void conv2d_forward_winograd_f2(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                const Conv2dFusion& f, const Tensor& y) {
  forward(steps_f2_avx512(), p, x, w, f, y);
}
void conv2d_backward_input_winograd_f4(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                       const Tensor& bias, const Tensor& dx) {
  backward_input(steps_f4_avx512(), p, dy, w, bias, dx);
}
void conv2d_backward_input_winograd_f2(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                       const Tensor& bias, const Tensor& dx) {
  backward_input(steps_f2_avx512(), p, dy, w, bias, dx);
}

}  // namespace atrous::kernels
