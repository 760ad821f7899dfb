#include "forest.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace ordervet::model {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

void require(bool holds, const char* problem) {
    if (!holds) {
        throw std::invalid_argument(problem);
    }
}

std::span<const std::int64_t> check_starts(std::span<const std::int64_t> starts, std::size_t n) {
    require(starts.size() >= 2 && starts.front() == 0 && starts.back() == static_cast<std::int64_t>(n) &&
                std::is_sorted(starts.begin(), starts.end()),
            "trees do not follow one another");
    return starts;
}

//: Follows the tree from its root; every node and leaf must be met once. Gives the depth.
std::uint32_t check_shape(std::span<const Node> nodes, std::size_t n_leaves) {
    struct Waiting {
        std::int32_t at;
        std::uint32_t depth;
    };
    std::vector<bool> node_met(nodes.size()), leaf_met(n_leaves);
    std::vector<Waiting> waiting{{nodes.empty() ? ~0 : 0, 0}};
    std::uint32_t deepest = 0;
    std::size_t n_met = 0;
    while (!waiting.empty()) {
        const auto [at, depth] = waiting.back();
        waiting.pop_back();
        std::vector<bool>& met = at < 0 ? leaf_met : node_met;
        const auto number = static_cast<std::size_t>(at < 0 ? ~at : at);
        require(number < met.size() && !met[number], "nodes and leaves are not one tree");
        met[number] = true;
        ++n_met;
        deepest = std::max(deepest, depth);
        if (at >= 0) {
            const auto [left, right] = std::pair{nodes[number].left, nodes[number].right};
            require((left < 0 || left > at) && (right < 0 || right > at), "a node is numbered before its parent");
            waiting.push_back({nodes[number].right, depth + 1});
            waiting.push_back({nodes[number].left, depth + 1});
        }
    }
    require(n_met == nodes.size() + n_leaves, "nodes and leaves are not one tree");
    return deepest;
}

bool goes_left(const Node& node, double value) {
    if (std::abs(value) <= static_cast<double>(zero_size) || (std::isnan(value) && node.missing != Missing::nan)) {
        value = 0.0;
    }
    const bool is_missing = std::isnan(value) || (node.missing == Missing::zero && value == 0.0);
    return is_missing ? node.default_left : value <= node.threshold;
}

} // namespace

float round_threshold(double threshold) {
    constexpr float largest = std::numeric_limits<float>::max();
    float below = threshold < 0 ? -infinity : infinity;
    if (threshold > static_cast<double>(largest) && std::isfinite(threshold)) {
        below = largest;
    } else if (std::abs(threshold) <= static_cast<double>(largest)) {
        below = static_cast<float>(threshold);
        if (static_cast<double>(below) > threshold) {
            below = std::nextafter(below, -infinity);
        }
    }
    // NOTE: LightGBM reads values up to `zero_size` as 0, so no threshold may lie among them: it moves to their end.
    return threshold >= 0 ? std::max(below, zero_size) : std::min(below, std::nextafter(-zero_size, -infinity));
}

Forest::Forest(std::size_t n_features_, std::size_t n_outputs_, const ForestArrays& arrays)
    : n_features(n_features_), n_outputs(n_outputs_) {
    require(n_features > 0 && n_features < (1U << 24) && n_outputs > 0 && n_outputs <= 1024, "sizes out of range");
    read(arrays);
    build_questions();
    build_places();
}

void Forest::read(const ForestArrays& arrays) {
    const std::size_t n_nodes = arrays.feature.size();
    const auto node_start = check_starts(arrays.node_start, n_nodes);
    const auto leaf_start = check_starts(arrays.leaf_start, arrays.leaf_value.size());
    for (const std::size_t size : {arrays.threshold.size(), arrays.missing.size(), arrays.default_left.size(),
                                   arrays.left.size(), arrays.right.size()}) {
        require(size == n_nodes, "arrays of nodes differ in length");
    }
    require(node_start.size() == leaf_start.size() && (node_start.size() - 1) % n_outputs == 0, "trees are missing");
    require(n_nodes < (1U << 24), "too many nodes");
    const auto read_child = [](std::int64_t child) {
        constexpr auto most = static_cast<std::int64_t>(tree_size);
        require(-most <= child && child < most, "a child that is missing");
        return static_cast<std::int32_t>(child);
    };
    for (std::size_t node = 0; node < n_nodes; ++node) {
        const auto feature = static_cast<std::uint64_t>(arrays.feature[node]);
        require(feature < n_features, "a split on a feature that is missing");
        // NOTE: +inf is LightGBM's own: it parts what is missing from all that is not.
        require(arrays.threshold[node] >= std::numeric_limits<double>::lowest(), "a threshold that is no number");
        require(arrays.missing[node] >= 0 && arrays.missing[node] <= 2, "an unknown rule for missing values");
        nodes.push_back({static_cast<std::uint32_t>(feature), static_cast<Missing>(arrays.missing[node]),
                         arrays.default_left[node] != 0, arrays.threshold[node], read_child(arrays.left[node]),
                         read_child(arrays.right[node])});
    }
    for (std::size_t tree = 0; tree + 1 < node_start.size(); ++tree) {
        const auto first = static_cast<std::size_t>(node_start[tree]);
        const auto size = static_cast<std::size_t>(node_start[tree + 1]) - first;
        const auto first_leaf = static_cast<std::size_t>(leaf_start[tree]);
        const auto n_leaves = static_cast<std::size_t>(leaf_start[tree + 1]) - first_leaf;
        require(n_leaves == size + 1 && n_leaves <= tree_size, "a tree of more than 64 leaves, or of too few");
        const auto depth = check_shape(std::span(nodes).subspan(first, size), n_leaves);
        trees.push_back({static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(size),
                         static_cast<std::uint32_t>(first_leaf), depth, depth <= max_depth});
        std::ranges::copy(arrays.leaf_value.subspan(first_leaf, n_leaves), leaves.emplace_back().begin());
    }
    leaf_value.assign(arrays.leaf_value.begin(), arrays.leaf_value.end());
}

void Forest::build_questions() {
    std::map<std::pair<std::uint32_t, Missing>, std::vector<float>> thresholds;
    for (const Node& node : nodes) {
        thresholds[{node.feature, node.missing}].push_back(round_threshold(node.threshold));
    }
    std::map<std::pair<std::uint32_t, Missing>, std::size_t> first_column;
    for (auto& [rule, found] : thresholds) {
        std::ranges::sort(found);
        found.erase(std::unique(found.begin(), found.end()), found.end());
        first_column[rule] = columns.size();
        for (std::size_t start = 0; start < found.size(); start += max_cuts) {
            const auto own = std::span(found).subspan(start, std::min(max_cuts, found.size() - start));
            const auto n_blocks = own.size() / cuts_per_block + 1;
            columns.push_back({rule.first, rule.second, static_cast<std::uint32_t>(own.size()),
                               static_cast<std::uint32_t>(n_blocks), static_cast<std::uint32_t>(cuts.size()),
                               static_cast<std::uint32_t>(pivots.size()), static_cast<std::uint32_t>(n_planes)});
            cuts.insert(cuts.end(), own.begin(), own.end());
            cuts.resize(cuts.size() + n_blocks * cuts_per_block - own.size(), infinity);
            for (std::size_t block = 0; block < n_blocks; ++block) {
                pivots.push_back(cuts[columns.back().first_cut + block * cuts_per_block + cuts_per_block - 1]);
            }
            pivots.back() = infinity;
            n_planes += n_blocks * cuts_per_block;
        }
    }
    cuts.resize(cuts.size() + cuts_per_block, infinity); // NOTE: a missing value of the last column reads a block more
    std::map<std::uint32_t, std::uint32_t> left_plane;
    for (const Node& node : nodes) {
        const std::pair rule{node.feature, node.missing};
        const auto& found = thresholds[rule];
        const auto cut = static_cast<std::size_t>(std::ranges::lower_bound(found, round_threshold(node.threshold)) -
                                                  found.begin());
        const Column& column = columns[first_column[rule] + cut / max_cuts];
        std::uint32_t plane = column.first_plane + static_cast<std::uint32_t>(cut % max_cuts);
        if (node.missing != Missing::none && node.default_left) {
            const auto [at, is_new] = left_plane.try_emplace(plane, static_cast<std::uint32_t>(n_planes));
            if (is_new) {
                left_questions.push_back({at->second, plane, column.first_plane + column.n_cuts});
                ++n_planes;
            }
            plane = at->second;
        }
        steps.push_back({plane, static_cast<std::int8_t>(node.left), static_cast<std::int8_t>(node.right)});
    }
}

void Forest::build_places() {
    struct Waiting {
        std::int32_t at;
        std::uint32_t place, depth;
    };
    places.resize(trees.size());
    for (std::size_t number = 0; number < trees.size(); ++number) {
        const Tree& tree = trees[number];
        if (!tree.is_shallow) {
            continue;
        }
        std::vector<Waiting> waiting{{tree.n_nodes == 0 ? ~0 : 0, 1, 0}};
        while (!waiting.empty()) {
            const auto [at, place, depth] = waiting.back();
            waiting.pop_back();
            if (at >= 0) {
                const Step& step = steps[tree.first_node + static_cast<std::uint32_t>(at)];
                places[number][place] = step.plane;
                waiting.push_back({step.left, 2 * place, depth + 1});
                waiting.push_back({step.right, 2 * place + 1, depth + 1});
                continue;
            }
            const auto width = tree_size >> depth;
            const auto first = place * width - tree_size;
            std::fill_n(leaves[number].begin() + static_cast<std::ptrdiff_t>(first), width,
                        leaf_value[tree.first_leaf + static_cast<std::uint32_t>(~at)]);
        }
    }
}

void Forest::walk(std::span<const float> rows, std::span<double> raw) const {
    for (std::size_t row = 0; row < rows.size() / n_features; ++row) {
        const auto values = rows.subspan(row * n_features, n_features);
        const auto totals = raw.subspan(row * n_outputs, n_outputs);
        std::ranges::fill(totals, 0.0);
        for (std::size_t number = 0; number < trees.size(); ++number) {
            const Tree& tree = trees[number];
            std::int32_t at = tree.n_nodes == 0 ? ~0 : 0;
            while (at >= 0) {
                const Node& node = nodes[tree.first_node + static_cast<std::uint32_t>(at)];
                at = goes_left(node, static_cast<double>(values[node.feature])) ? node.left : node.right;
            }
            totals[number % n_outputs] += leaf_value[tree.first_leaf + static_cast<std::uint32_t>(~at)];
        }
    }
}

} // namespace ordervet::model
