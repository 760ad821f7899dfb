// ordervet._core.Forest and .Contributions: what src/ordervet/model hands arrays to.
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "bindings.hpp"
#include "contributions.hpp"
#include "forest.hpp"
#include "kernels.hpp"

namespace ordervet::model {
namespace {

template <typename Number>
using Flat = nb::ndarray<const Number, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <typename Number>
std::span<const Number> view(const Flat<Number>& array) {
    return {array.data(), array.size()};
}

std::span<const std::uint8_t> view_bytes(const Flat<bool>& array) {
    return {reinterpret_cast<const std::uint8_t*>(array.data()), array.size()};
}

const Kernels& find_kernels(std::string_view instructions) {
    for (const Kernels* kernels : list_kernels()) {
        if (instructions.empty() || instructions == kernels->name) {
            return *kernels;
        }
    }
    throw std::invalid_argument("this machine lacks these instructions");
}

//: Rows `start` to `stop` of a matrix, checked against the forest.
Rows take_rows(const Forest& forest, const Matrix& features, std::size_t start, std::size_t stop) {
    if (features.shape(1) != forest.n_features || start > stop || stop > features.shape(0)) {
        throw std::invalid_argument("features do not fit the forest");
    }
    return Rows{{features.data(), features.size()}, forest.n_features}.part(start, stop - start);
}

std::span<double> take_out(const Out& out, std::size_t n_rows, std::size_t n_columns, std::size_t start, std::size_t stop) {
    if (out.shape(0) != n_rows || out.shape(1) != n_columns) {
        throw std::invalid_argument("the output does not fit the rows");
    }
    return std::span(out.data(), out.size()).subspan(start * n_columns, (stop - start) * n_columns);
}

//: A forest with the kernels that score it.
struct BoundForest {
    Forest forest;
    const Kernels& kernels;

    void score(const Matrix& features, std::size_t start, std::size_t stop, const Out& raw) const {
        const Rows rows = take_rows(forest, features, start, stop);
        const auto out = take_out(raw, features.shape(0), forest.n_outputs, start, stop);
        nb::gil_scoped_release released;
        kernels.score(forest, rows, out);
    }

    double score_one(const Matrix& features) const {
        if (forest.n_outputs != 1) {
            throw std::invalid_argument("the forest has several outputs");
        }
        double raw = 0.0;
        kernels.score(forest, take_rows(forest, features, 0, 1), {&raw, 1});
        return raw;
    }

    void walk(const Matrix& features, const Out& raw) const {
        const std::size_t n_rows = features.shape(0);
        const Rows rows = take_rows(forest, features, 0, n_rows);
        const auto out = take_out(raw, n_rows, forest.n_outputs, 0, n_rows);
        nb::gil_scoped_release released;
        forest.walk(rows.values, out);
    }
};

struct BoundContributions {
    const Kernels& kernels;
    Contributions contributions;

    void explain(const Matrix& features, std::size_t start, std::size_t stop, const Flat<std::int32_t>& columns, const Out& shares) const {
        const Forest& forest = contributions.forest;
        const Rows rows = take_rows(forest, features, start, stop);
        std::vector<std::int32_t> position(forest.n_features, -1);
        for (std::size_t at = 0; at < columns.size(); ++at) {
            const auto feature = static_cast<std::uint32_t>(columns.data()[at]);
            if (feature >= position.size() || position[feature] >= 0) {
                throw std::invalid_argument("columns must be features of the forest, each once");
            }
            position[feature] = static_cast<std::int32_t>(at);
        }
        const Wanted wanted{position, take_out(shares, features.shape(0), columns.size(), start, stop), columns.size()};
        nb::gil_scoped_release released;
        kernels.explain(contributions, rows, wanted);
    }
};

void build_forest(BoundForest* self, std::size_t n_features, std::size_t n_outputs, const Flat<std::int64_t>& node_start,
                  const Flat<std::int64_t>& leaf_start, const Flat<std::int64_t>& feature, const Flat<double>& threshold,
                  const Flat<std::int8_t>& missing, const Flat<bool>& default_left, const Flat<std::int64_t>& left,
                  const Flat<std::int64_t>& right, const Flat<double>& leaf_value, std::string_view instructions) {
    const ForestArrays arrays{view(node_start), view(leaf_start), view(feature), view(threshold), view(missing),
                              view_bytes(default_left), view(left), view(right), view(leaf_value)};
    const Kernels& kernels = find_kernels(instructions);
    nb::gil_scoped_release released;
    new (self) BoundForest{Forest(n_features, n_outputs, arrays), kernels};
}

} // namespace
} // namespace ordervet::model

void bind_model(nb::module_& module) {
    using namespace ordervet::model;
    nb::class_<BoundForest>(module, "Forest", "Score rows; see src/core/model/forest.hpp.")
        .def("__init__", build_forest, nb::arg("n_features"), nb::arg("n_outputs"), nb::arg("node_start"), nb::arg("leaf_start"),
             nb::arg("feature"), nb::arg("threshold"), nb::arg("missing"), nb::arg("default_left"), nb::arg("left"),
             nb::arg("right"), nb::arg("leaf_value"), nb::arg("instructions") = "")
        .def("score", &BoundForest::score, nb::arg("features").noconvert(), nb::arg("start"), nb::arg("stop"), nb::arg("raw").noconvert())
        .def("score_one", &BoundForest::score_one, nb::arg("features").noconvert())
        .def("walk", &BoundForest::walk, nb::arg("features").noconvert(), nb::arg("raw").noconvert())
        .def_prop_ro("depths", [](const BoundForest& self) {
            std::vector<std::uint32_t> depths;
            std::ranges::transform(self.forest.trees, std::back_inserter(depths), &Tree::depth);
            return depths;
        })
        .def_prop_ro("n_columns", [](const BoundForest& self) { return self.forest.columns.size(); })
        .def_prop_ro("instructions", [](const BoundForest& self) { return self.kernels.name; });
    nb::class_<BoundContributions>(module, "Contributions", "Explain rows; see src/core/model/contributions.hpp.")
        .def("__init__",
             [](BoundContributions* self, const BoundForest& forest, const Flat<double>& node_count, const Flat<double>& leaf_count) {
                 nb::gil_scoped_release released;
                 new (self) BoundContributions{forest.kernels, {forest.forest, view(node_count), view(leaf_count)}};
             },
             nb::keep_alive<1, 2>(), nb::arg("forest"), nb::arg("node_count"), nb::arg("leaf_count"))
        .def("explain", &BoundContributions::explain, nb::arg("features").noconvert(), nb::arg("start"), nb::arg("stop"),
             nb::arg("columns").noconvert(), nb::arg("shares").noconvert());
    module.def("round_threshold", &round_threshold, nb::arg("threshold"));
    module.def("list_instructions", [] {
        std::vector<std::string_view> names;
        std::ranges::transform(list_kernels(), std::back_inserter(names), &Kernels::name);
        return names;
    });
}
