// Boundary F1: how well predicted contours follow the labelled ones.
//
// Csurka, Larlus, Perronnin, Meylan: "What is a good evaluation measure for semantic segmentation?", BMVC
// 2013.
//
//   P_c = share of predicted boundary pixels of class c within distance theta of a labelled one of class c
//   R_c = share of labelled boundary pixels of class c within distance theta of a predicted one of class c
//   F1_c = 2 P_c R_c / (P_c + R_c), 0 if both are 0
//
// of one image. Over a set:
//
//   class c  mean of F1_c over the images whose label or prediction holds c
//   set      mean over images of (mean of F1_c over the classes that the image's label or prediction holds)
//
// theta = 0.0075 * sqrt(H^2 + W^2) pixels, Euclidean (4.5 pixels at 360x480). A boundary pixel of class c is
// a pixel of class c with a 4-neighbour of another class. Ignored pixels have no class in either map, and
// next to them no pixel is a boundary pixel: no contour was annotated there. A class without boundary in both
// maps (it fills the image) scores 1; without boundary in only one of them, 0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/tensor.h"
#include "eval/metrics.h"

namespace atrous::eval {

inline constexpr double boundary_tolerance = 0.0075;  // of the image's diagonal

// Scores of one image.
struct BoundaryF1 {
  std::optional<double> mean;                        // empty if every pixel is ignored
  std::array<std::optional<double>, 255> per_class;  // empty where neither map holds the class
};

// label, prediction: u8 [H, W], values below 255 or `ignore` (label only). Classes that `classes` excludes
// have no score and are not in the mean; pixels predicted as them still bound others.
BoundaryF1 boundary_f1(const Tensor& label, const Tensor& prediction, int64_t ignore,
                       double tolerance = boundary_tolerance, const ScoredClasses& classes = {});

// Scores of a set.
class BoundaryMean {
 public:
  void add(const BoundaryF1& image);
  std::optional<double> mean() const { return all_.mean(); }
  std::optional<double> class_mean(int64_t c) const { return classes_.at(static_cast<size_t>(c)).mean(); }

 private:
  struct Sum {
    double total = 0;
    int64_t images = 0;
    void add(const std::optional<double>& value);
    std::optional<double> mean() const;
  };
  Sum all_;
  std::array<Sum, 255> classes_;
};

}  // namespace atrous::eval
