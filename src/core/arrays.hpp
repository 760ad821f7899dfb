// NumPy arrays and bytes as they come from Python, viewed as spans.

#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <span>
#include <stdexcept>

#include "text/texts.hpp"

namespace ordervet {

// One dimension, contiguous.
template <typename Value>
using Array = nanobind::ndarray<Value, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

template <typename Value>
std::span<Value> view(const Array<Value>& array) {
    return {array.data(), array.size()};
}

// Throws std::invalid_argument unless the array has so many elements.
template <typename Value>
std::span<Value> view(const Array<Value>& array, std::size_t size) {
    if (array.size() != size) throw std::invalid_argument("arrays of different lengths");
    return {array.data(), array.size()};
}

inline Bytes view(const nanobind::bytes& bytes) {
    return {static_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace ordervet
