// Boundary F1: how well predicted contours follow the labelled ones.
//
// Csurka, Larlus, Perronnin, Meylan: "What is a good evaluation measure for semantic segmentation?", BMVC
// 2013.
//
//   P_c = share of predicted boundary pixels of class c within distance theta of a labelled boundary pixel of
//   class c R_c = share of labelled boundary pixels of class c within theta of a predicted one F1_c = 2 P_c
//   R_c / (P_c + R_c), 0 if both are 0 image = mean of F1_c over the classes that are present in its label or
//   its prediction; set = mean over images
//
// theta = 0.0075 * sqrt(H^2 + W^2) pixels, Euclidean. A boundary pixel of class c is a pixel of class c with
// a 4-neighbour of another class. Ignored pixels have no class in either map, and next to them nothing is a
// boundary: nobody drew one there. A class without boundary in both maps (it fills the image) scores 1;
// without boundary in only one of them, 0.
#pragma once

#include <cstdint>
#include <optional>

#include "core/tensor.h"

namespace atrous::eval {

inline constexpr double boundary_tolerance = 0.0075;  // of the image's diagonal

// label, prediction: u8 [H, W], values below 255 or `ignore` (label only). Empty if every pixel is ignored.
std::optional<double> boundary_f1(const Tensor& label, const Tensor& prediction, int64_t ignore,
                                  double tolerance = boundary_tolerance);

}  // namespace atrous::eval
