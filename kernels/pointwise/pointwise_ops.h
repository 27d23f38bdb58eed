// The table of pointwise ops. To add one: a functor in pointwise_math.h, a row here, a line in
// layers/pointwise.h and a row in tests/kernels/pointwise_cases.cpp. Enums, names, kernels and dispatch
// follow from the row.
#pragma once

#define ATROUS_UNARY_OPS(ROW) \
  ROW(relu)                   \
  ROW(relu6)                  \
  ROW(leaky_relu)             \
  ROW(sigmoid)                \
  ROW(tanh)                   \
  ROW(softplus)               \
  ROW(gelu)                   \
  ROW(silu)                   \
  ROW(hard_sigmoid)           \
  ROW(hard_swish)             \
  ROW(exp)                    \
  ROW(log)                    \
  ROW(sqrt)                   \
  ROW(neg)                    \
  ROW(abs)                    \
  ROW(square)                 \
  ROW(scale)

#define ATROUS_BINARY_OPS(ROW) \
  ROW(add)                     \
  ROW(sub)                     \
  ROW(mul)                     \
  ROW(div)                     \
  ROW(maximum)                 \
  ROW(minimum)
