// A forest of decision trees, laid out so that scoring branches on no value.
//
//   value --cut--> bin --compare--> plane --choose--> leaf number --look up--> float64, added in the order of trees
//
//   Column   one feature under one rule for missing values, with all thresholds that the forest has for it, ascending.
//            A value's bin is the number of thresholds below it, one byte; a missing value's bin is above all of them.
//   plane    the answers of 512 rows to one question ("is the bin above this threshold?"), one bit each.
//            Plane 0 answers no. A column owns 8 * n_blocks planes from `first_plane` on: the first n_cuts are its
//            questions, the next says who is missing. Questions whose missing values go left follow at the end.
//   Tree     of depth 6 or less: 64 places in heap order (the root at 1, the children of p at 2p and 2p + 1) that name
//            planes, and 64 leaves from left to right; a leaf that lies higher is repeated below its place. Other trees
//            of up to 64 leaves are their own nodes, each named by its number.
//
// One row is answered in bytes in place of planes, and walks the same places. Every path adds the same numbers in the
// same order, so all give the same bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ordervet::model {

constexpr std::size_t block_rows = 512;
constexpr std::size_t tree_size = 64;
constexpr int max_depth = 6;
constexpr std::size_t cuts_per_block = 8;
//: Bins 0 to 247, and 248 for what is missing. More thresholds take more columns.
constexpr std::size_t max_cuts = 247;
//: What LightGBM holds to be zero: values up to this size.
constexpr float zero_size = 1e-35F;

//: What a node takes for a missing value; the numbers are LightGBM's.
enum class Missing : std::uint8_t { none, zero, nan };

struct Node {
    std::uint32_t feature;
    Missing missing;
    bool default_left;
    double threshold;
    std::int32_t left; // a node of the same tree, or ~leaf
    std::int32_t right;
};

//: What a walk needs of a node. SPEED: eight bytes, as a single row finds its trees in far memory
//: (benchmarks/bench_forest.py).
struct Step {
    std::uint32_t plane; // that answers whether a row goes right
    std::int8_t left;    // as of the node
    std::int8_t right;
};
static_assert(sizeof(Step) == 8);

struct Column {
    std::uint32_t feature;
    Missing missing;
    std::uint32_t n_cuts;
    std::uint32_t n_blocks;    // n_cuts / 8 + 1 blocks of 8 cuts, filled up with +inf
    std::uint32_t first_cut;   // in `cuts`
    std::uint32_t first_pivot; // in `pivots`: the last cut of each block but the last, then +inf
    std::uint32_t first_plane;
};

//: A question whose missing values go left: plane[to] = plane[from] and not plane[missing].
struct LeftQuestion {
    std::uint32_t to, from, missing;
};

struct Tree {
    std::uint32_t first_node;
    std::uint32_t n_nodes;
    std::uint32_t first_leaf;
    std::uint32_t depth;
    bool is_shallow; // of depth 6 or less: walked by `places`
};

//: A forest as LightGBM's text has it; trees one after the other. Children are nodes of the tree, or ~leaf.
struct ForestArrays {
    std::span<const std::int64_t> node_start, leaf_start; // n_trees + 1
    std::span<const std::int64_t> feature;
    std::span<const double> threshold;
    std::span<const std::int8_t> missing;
    std::span<const std::uint8_t> default_left; // NOT: bool. An array may come with any byte.
    std::span<const std::int64_t> left, right;
    std::span<const double> leaf_value;
};

struct Forest {
    //: Checks every number before it is used; throws std::invalid_argument.
    Forest(std::size_t n_features, std::size_t n_outputs, const ForestArrays& arrays);

    //: Scores rows by LightGBM's own words, node by node: what the fast paths are checked against.
    void walk(std::span<const float> rows, std::span<double> raw) const;

    std::size_t n_features;
    std::size_t n_outputs; // tree t adds to output t modulo their number
    std::size_t n_planes = 1;
    std::vector<Column> columns;
    std::vector<float> cuts, pivots;
    std::vector<LeftQuestion> left_questions;
    std::vector<Tree> trees;
    std::vector<Node> nodes;
    std::vector<Step> steps; // of the nodes
    std::vector<double> leaf_value;
    std::vector<std::array<std::uint32_t, tree_size>> places;
    std::vector<std::array<double, tree_size>> leaves; // by place, or by number

private:
    void read(const ForestArrays& arrays);
    void build_questions();
    void build_places();
};

//: Gives the float32 threshold that parts float32 values exactly as LightGBM's float64 threshold does.
float round_threshold(double threshold);

} // namespace ordervet::model
