// Vertices as integers: sorting them sorts vertices, and a step to a neighbour is an addition.
//
//   key  = r | q_0 - low_0 | ... | q_{d-1} - low_{d-1}      each field as wide as the points need
//   item = key | entry                                     a corner of a point: entry = p (d+1) + k
//
// No two items are equal; in rising order they are grouped by vertex, and by entry within a vertex.
#pragma once

#include <bit>
#include <cstdint>

#include "core/host_device.h"
#include "kernels/lattice_build/lattice_build.h"

namespace atrous::kernels {

// Quotients of the vertices with remainder 0, over all points.
struct LatticeBounds {
  int32_t low[lattice_most_dims], high[lattice_most_dims];
};

// Bits of the fields of an item. The others' quotients are at most one less than those of the bounds, and
// those of neighbours, of which many do not exist, one beyond that: no field overflows.
struct LatticeBits {
  int quotient[lattice_most_dims] = {}, remainder = 0, entry = 0;
  int key = 0;  // all but the entry
  LatticeBits(const LatticeProblem& p, const LatticeBounds& bounds) {
    remainder = std::bit_width(static_cast<uint64_t>(p.dims));
    entry = std::bit_width(static_cast<uint64_t>(p.points * (p.dims + 1) - 1));
    key = remainder;
    for (int64_t i = 0; i < p.dims; ++i) {
      quotient[i] = std::bit_width(static_cast<uint32_t>(bounds.high[i] - bounds.low[i] + 3));
      key += quotient[i];
    }
  }
  int item() const { return key + entry; }
};

using WideKey = unsigned __int128;

// Key: uint64_t if an item fits, else WideKey.
template <class Key>
struct LatticeKeys {
  int32_t least[lattice_most_dims] = {};    // the quotient that a field of 0 means
  Key unit[lattice_most_dims] = {};         // 1 in the field of q_i
  Key step[2][lattice_most_dims + 1] = {};  // to the vertex after along an axis; [1]: from remainder d
  Key entry_mask = 0;
  int dims = 0, entry_bits = 0, remainder_shift = 0, key_bits = 0;

  LatticeKeys(const LatticeProblem& p, const LatticeBounds& bounds, const LatticeBits& bits)
      : dims(static_cast<int>(p.dims)), entry_bits(bits.entry), key_bits(bits.key) {
    Key all = 0;
    int shift = 0;
    for (int i = dims - 1; i >= 0; --i) {
      least[i] = bounds.low[i] - 2;
      unit[i] = Key{1} << shift;
      shift += bits.quotient[i];
      all += unit[i];
    }
    remainder_shift = shift;
    // One more in every coordinate raises the remainder, or all quotients if that was d. Then d + 1 less in
    // one coordinate. (Unsigned numbers wrap as they should.)
    const Key one = Key{1} << shift;
    for (int axis = 0; axis <= dims; ++axis) {
      const Key less = axis < dims ? unit[axis] : 0;
      step[0][axis] = one - less;
      step[1][axis] = all - static_cast<Key>(dims) * one - less;
    }
    entry_mask = (Key{1} << bits.entry) - 1;
  }

  ATROUS_HD Key key_of(Key item) const { return item >> entry_bits; }
  ATROUS_HD int32_t entry_of(Key item) const { return static_cast<int32_t>(item & entry_mask); }
  ATROUS_HD Key item_of(Key key, int64_t entry) const { return key << entry_bits | static_cast<Key>(entry); }
  ATROUS_HD int remainder_of(Key key) const { return static_cast<int>(key >> remainder_shift); }
  ATROUS_HD Key after(Key key, int axis) const { return key + step[remainder_of(key) == dims][axis]; }
};

// f(keys) with the narrowest keys. Error(usage) if there are none.
template <class F>
decltype(auto) visit_lattice_keys(const LatticeProblem& p, const LatticeBounds& bounds, F&& f) {
  const LatticeBits bits(p, bounds);
  ATROUS_CHECK(bits.item() <= 128, ErrorKind::usage,
               "[lattice_build] features span so much that a vertex and its points take more than 128 bits. "
               "Got {} bits for {}. Take larger standard deviations.",
               bits.item(), p.str());
  if (bits.item() <= 64) return f(LatticeKeys<uint64_t>(p, bounds, bits));
  return f(LatticeKeys<WideKey>(p, bounds, bits));
}

}  // namespace atrous::kernels
