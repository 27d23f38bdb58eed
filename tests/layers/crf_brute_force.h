// Mean field of a dense CRF in double, from its definition and nothing of the library but the tables of a
// lattice: what tests of layers/dense_crf.h compare with.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "kernels/lattice_build/lattice_build.h"

namespace atrous::crf_oracle {

using Rows = std::vector<double>;                                 // [N, L], pixel after pixel
using Filter = std::function<Rows(const Rows&, size_t classes)>;  // K times the rows

// K(i, j) for all pairs of n pixels, 8 n^2 bytes.
inline Filter brute_force(size_t n, const std::function<double(size_t, size_t)>& weight) {
  std::vector<double> k(n * n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) k[i * n + j] = weight(i, j);
  }
  return [n, k = std::move(k)](const Rows& x, size_t classes) {
    Rows y(x.size());
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        for (size_t c = 0; c < classes; ++c) y[i * classes + c] += k[i * n + j] * x[j * classes + c];
      }
    }
    return y;
  };
}

inline double gaussian(double distance_squared, double sigma) {
  return std::exp(-distance_squared / (2 * sigma * sigma));
}

// Rows and columns from pixel j to pixel i.
inline std::pair<double, double> offset(size_t i, size_t j, size_t width) {
  const size_t row = i / width, other_row = j / width, column = i % width, other_column = j % width;
  return {static_cast<double>(row) - static_cast<double>(other_row),
          static_cast<double>(column) - static_cast<double>(other_column)};
}

inline Filter spatial_kernel(size_t height, size_t width, double sigma) {
  return brute_force(height * width, [=](size_t i, size_t j) {
    const auto [dy, dx] = offset(i, j, width);
    return gaussian(dx * dx + dy * dy, sigma);
  });
}

// image: u8 [H, W, 3].
inline Filter bilateral_kernel(const Tensor& image, double xy, double rgb) {
  const auto width = static_cast<size_t>(image.dim(1));
  const uint8_t* colour = image.data<uint8_t>();
  return brute_force(static_cast<size_t>(image.numel()) / 3, [=](size_t i, size_t j) {
    const auto [dy, dx] = offset(i, j, width);
    double difference = 0;
    for (size_t c = 0; c < 3; ++c) {
      const double d = static_cast<double>(colour[i * 3 + c]) - static_cast<double>(colour[j * 3 + c]);
      difference += d * d;
    }
    return gaussian(dx * dx + dy * dy, xy) * gaussian(difference, rgb);
  });
}

// The same lattice, f32 or f64 weights, with all arithmetic in double.
inline Filter on_lattice(const kernels::Lattice& lattice) {
  return [lattice](const Rows& x, size_t classes) {
    const auto corners = static_cast<size_t>(lattice.dims + 1),
               vertices = static_cast<size_t>(lattice.vertices);
    const Tensor weight = lattice.weight.to(DType::f64);
    const auto at = [&](size_t k) { return static_cast<size_t>(lattice.vertex.data<int32_t>()[k]); };
    Rows v(vertices * classes), y(x.size());
    for (size_t k = 0; k < x.size() / classes * corners; ++k) {
      for (size_t c = 0; c < classes; ++c)
        v[at(k) * classes + c] += weight.data<double>()[k] * x[k / corners * classes + c];
    }
    for (size_t axis = 0; axis < corners; ++axis) {
      const int32_t* neighbours = lattice.neighbours.data<int32_t>() + axis * vertices * 2;
      const Rows old = v;
      for (size_t s = 0; s < vertices * 2; ++s) {
        if (neighbours[s] < 0) continue;
        for (size_t c = 0; c < classes; ++c)
          v[s / 2 * classes + c] += 0.5 * old[static_cast<size_t>(neighbours[s]) * classes + c];
      }
    }
    const double alpha = 1 / (1 + std::pow(2, -static_cast<double>(lattice.dims)));
    for (size_t k = 0; k < x.size() / classes * corners; ++k) {
      for (size_t c = 0; c < classes; ++c)
        y[k / corners * classes + c] += alpha * weight.data<double>()[k] * v[at(k) * classes + c];
    }
    return y;
  };
}

enum class Normalized { symmetric, before, after, none };

// Factors are those of the kernel's row sums.
inline Filter normalized(const Filter& filter, Normalized how, size_t pixels) {
  const Rows sums = filter(Rows(pixels, 1.0), 1);
  return [=](const Rows& x, size_t classes) {
    const auto scaled = [&](Rows rows, bool input) {
      for (size_t i = 0; i < rows.size(); ++i) {
        const double n = sums[i / classes];
        if (how == Normalized::symmetric) rows[i] /= std::sqrt(n);
        if (how == (input ? Normalized::before : Normalized::after)) rows[i] /= n;
      }
      return rows;
    };
    return scaled(filter(scaled(x, true), classes), false);
  };
}

// One pairwise kernel: the filter, normalised, and the cost matrix [L, L] applied to what comes out.
struct Kernel {
  Filter filter;
  Rows costs;
};
inline Rows potts(double weight, size_t classes) {
  Rows costs(classes * classes);
  for (size_t c = 0; c < classes; ++c) costs[c * classes + c] = -weight;
  return costs;
}

inline void softmax(Rows& z, size_t classes) {
  for (size_t i = 0; i < z.size(); i += classes) {
    const double max = *std::max_element(z.begin() + static_cast<std::ptrdiff_t>(i),
                                         z.begin() + static_cast<std::ptrdiff_t>(i + classes));
    double sum = 0;
    for (size_t c = i; c < i + classes; ++c) sum += z[c] = std::exp(z[c] - max);
    for (size_t c = i; c < i + classes; ++c) z[c] /= sum;
  }
}

// Q after 0, 1, ..., iterations updates. probabilities: f32 [H, W, L].
inline std::vector<Rows> mean_field(const Tensor& probabilities, const std::vector<Kernel>& kernels,
                                    int iterations) {
  const auto classes = static_cast<size_t>(probabilities.dim(2));
  Rows unary(static_cast<size_t>(probabilities.numel()));
  for (size_t i = 0; i < unary.size(); ++i)
    unary[i] = -std::log(std::max(1e-5, static_cast<double>(probabilities.data<float>()[i])));
  std::vector<Rows> states;
  for (int step = 0; step <= iterations; ++step) {
    Rows z(unary.size());
    for (size_t i = 0; i < z.size(); ++i) z[i] = -unary[i];
    for (size_t m = 0; step > 0 && m < kernels.size(); ++m) {
      const Rows v = kernels[m].filter(states.back(), classes);
      for (size_t i = 0; i < z.size(); ++i) {
        const size_t first = i / classes * classes;
        for (size_t c = 0; c < classes; ++c)
          z[i] -= kernels[m].costs[i % classes * classes + c] * v[first + c];
      }
    }
    softmax(z, classes);
    states.push_back(std::move(z));
  }
  return states;
}

}  // namespace atrous::crf_oracle
