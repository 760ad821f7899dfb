// The kernels of a forest, compiled once per instruction set from `kernels.inc`, and chosen when the program runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "contributions.hpp"
#include "forest.hpp"

namespace ordervet::model {

//: Rows one after the other, n_features numbers each.
struct Rows {
    std::span<const float> values;
    std::size_t n_features;

    std::size_t size() const { return values.size() / n_features; }
    std::span<const float> row(std::size_t at) const { return values.subspan(at * n_features, n_features); }
    Rows part(std::size_t first, std::size_t n) const { return {values.subspan(first * n_features, n * n_features), n_features}; }
};

//: Which features' shares are wanted, and where they go: out[row * stride + position].
struct Wanted {
    std::span<const std::int32_t> position_of_feature; // below 0 for those that are not wanted
    std::span<double> out;
    std::size_t stride;
};

struct Kernels {
    std::string_view name;
    bool (*is_supported)();
    //: Writes n_outputs raw scores per row.
    void (*score)(const Forest& forest, Rows rows, std::span<double> raw);
    void (*explain)(const Contributions& contributions, Rows rows, const Wanted& wanted);
};

//: All kernels that this machine can run, the widest first; the last is plain C++.
std::vector<const Kernels*> list_kernels();

} // namespace ordervet::model
