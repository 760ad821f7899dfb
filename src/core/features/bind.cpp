// The feature engine as Python sees it (features/engine.py): plans, batches and exported arrays go in and out.

#include "bindings.hpp"

#include "engine.hpp"

#include <mutex>

#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

namespace ordervet::features {

namespace {

template <class T>
using Column = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using WeightRows = nb::ndarray<std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Table = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <class T>
std::span<const T> view(const Column<T>& column, std::size_t n) {
  if (column.shape(0) != n) throw std::invalid_argument("columns of different lengths");
  return {column.data(), n};
}

/// An engine that lets other Python threads run while it works, one caller after the other.
class BoundEngine {
 public:
  BoundEngine(const Shape& shape, const std::vector<EntityArrays>& entities, const std::optional<GroupPlan>& groups,
              const std::vector<std::size_t>& own_columns, std::size_t n_threads)
      : engine_(shape, entities, groups, n_threads), own_columns_(own_columns) {
    for (const std::size_t column : own_columns) {
      if (column >= shape.n_features) throw std::invalid_argument("the plan of the features is wrong: own columns");
    }
    one_.ids.resize(shape.n_entities);
  }

  void advance(const Column<std::uint64_t>& id, const Column<std::int64_t>& placed_at,
               const Column<std::int64_t>& seen_at, const Column<std::int64_t>& amount,
               const Column<double>& rate, const Column<std::int64_t>& mask, const std::vector<Column<std::uint64_t>>& ids,
               const Column<std::uint64_t>& later_id, const Column<std::int64_t>& later_happened_at,
               const Column<std::int64_t>& later_seen_at,
               const Column<std::int64_t>& later_mask, const Column<std::int64_t>& later_amount,
               const Column<std::uint8_t>& later_rank, const std::optional<Matrix>& own,
               const std::optional<Output>& out, const std::optional<WeightRows>& order_weights,
               const std::optional<WeightRows>& later_weights) {
    const std::size_t n = id.shape(0), n_later = later_id.shape(0);
    if (ids.size() != engine_.n_entities()) throw std::invalid_argument("ids of another number of entities");
    Orders orders{view(id, n), view(placed_at, n), view(seen_at, n), view(amount, n), view(mask, n), view(rate, n), {}};
    for (const Column<std::uint64_t>& each : ids) orders.ids.push_back(view(each, n));
    const LaterEvents later{view(later_id, n_later),   view(later_happened_at, n_later), view(later_seen_at, n_later),
                            view(later_mask, n_later), view(later_amount, n_later),      view(later_rank, n_later)};
    if (own && (own->shape(0) != n || own->shape(1) != own_columns_.size()))
      throw std::invalid_argument("own features of another shape");
    const std::span<float> rows = out ? view_rows(*out, n) : std::span<float>();
    const Weights weights{view_weights(order_weights, n), view_weights(later_weights, n_later)};
    if (order_weights.has_value() != later_weights.has_value()) throw std::invalid_argument("half of the weights");
    const nb::gil_scoped_release others_run;
    const std::lock_guard alone(mutex_);
    if (own && out) {
      for (std::size_t row = 0; row < n; ++row) {
        for (std::size_t at = 0; at < own_columns_.size(); ++at)
          rows[row * engine_.n_features() + own_columns_[at]] = own->data()[row * own_columns_.size() + at];
      }
    }
    engine_.advance(orders, later, rows, weights);
  }

  void advance_one(std::uint64_t id, std::int64_t placed_at, std::int64_t seen_at, std::int64_t amount, double rate,
                   std::int64_t mask, const Column<std::uint64_t>& ids, const std::vector<double>& own, const Output& out) {
    if (own.size() != own_columns_.size()) throw std::invalid_argument("own features of another number");
    const std::span<const std::uint64_t> each = view(ids, engine_.n_entities());
    const std::span<float> row = view_rows(out, 1);
    const nb::gil_scoped_release others_run;
    const std::lock_guard alone(mutex_);
    one_.id = {&id, 1};
    one_.placed_at = {&placed_at, 1};
    one_.seen_at = {&seen_at, 1};
    one_.amount = {&amount, 1};
    one_.rate = {&rate, 1};
    one_.mask = {&mask, 1};
    for (std::size_t at = 0; at < each.size(); ++at) one_.ids[at] = each.subspan(at, 1);
    for (std::size_t at = 0; at < own.size(); ++at) row[own_columns_[at]] = static_cast<float>(own[at]);
    engine_.advance(one_, {}, row);
  }

  void compact() {
    const nb::gil_scoped_release others_run;
    const std::lock_guard alone(mutex_);
    engine_.compact();
  }

  nb::dict export_state() {
    std::map<std::string, Bytes> arrays;
    {
      const nb::gil_scoped_release others_run;
      const std::lock_guard alone(mutex_);
      arrays = engine_.export_state();
    }
    nb::dict exported;
    for (const auto& [name, array] : arrays) {
      auto* owner = new std::shared_ptr<const void>(array.owner);
      const nb::capsule keeps(owner, [](void* held) noexcept { delete static_cast<std::shared_ptr<const void>*>(held); });
      const auto* data = reinterpret_cast<const std::uint8_t*>(array.data);
      exported[name.c_str()] =
          nb::cast(nb::ndarray<nb::numpy, const std::uint8_t, nb::ndim<2>>(data, {array.n_rows, array.stride}, keeps));
    }
    return exported;
  }

  void import_state(const nb::dict& given, std::int64_t last_seen_at) {
    std::map<std::string, Bytes> arrays;
    std::vector<Table> tables;  // kept while they are read
    for (const auto [name, array] : given) {
      Table table;
      if (!nb::isinstance<nb::str>(name) || !nb::try_cast(array, table, false))
        throw InvalidStateError("an array is not one of rows of bytes");
      arrays[nb::cast<std::string>(name)] = {reinterpret_cast<const std::byte*>(table.data()), table.shape(0),
                                             table.shape(1), nullptr};
      tables.push_back(std::move(table));
    }
    const nb::gil_scoped_release others_run;
    const std::lock_guard alone(mutex_);
    engine_.import_state(arrays, last_seen_at);
  }

  std::int64_t last_seen_at() const { return engine_.last_seen_at(); }

 private:
  std::span<float> view_rows(const Output& out, std::size_t n) const {
    if (out.shape(0) != n || out.shape(1) != engine_.n_features())
      throw std::invalid_argument("a matrix of another shape");
    return {out.data(), n * engine_.n_features()};
  }

  std::span<std::int32_t> view_weights(const std::optional<WeightRows>& given, std::size_t n) const {
    if (!given) return {};
    if (given->shape(0) != n || given->shape(1) != engine_.n_weights())
      throw std::invalid_argument("weights of another shape");
    return {given->data(), n * engine_.n_weights()};
  }

  Engine engine_;
  const std::vector<std::size_t> own_columns_;  ///< matrix columns of the features of an order itself
  Orders one_;
  std::mutex mutex_;
};

}  // namespace

}  // namespace ordervet::features

void bind_features(nb::module_& module) {
  using namespace ordervet::features;

  nb::exception<EarlierEventsError>(module, "EarlierEventsError", PyExc_ValueError);
  nb::exception<InvalidStateError>(module, "InvalidStateError", PyExc_ValueError);
  nb::class_<EntityArrays>(module, "EntityArrays")
      .def(
          "__init__",
          [](EntityArrays* made, std::string name, std::size_t own, std::size_t level,
             std::vector<std::int64_t> windows_us, std::vector<std::int64_t> values,
             std::vector<std::array<std::int64_t, 4>> cells, std::vector<std::int64_t> clocks,
             std::vector<std::array<std::int64_t, 5>> asks, std::vector<std::int64_t> usual,
             std::vector<std::array<std::int64_t, 7>> operations) {
            new (made) EntityArrays{std::move(name),  own,    level, std::move(windows_us), std::move(values),
                                    std::move(cells), clocks, asks,  usual,                 operations};
          },
          nb::kw_only(), nb::arg("name"), nb::arg("own"), nb::arg("level"), nb::arg("windows_us"), nb::arg("values"),
          nb::arg("cells"), nb::arg("clocks"), nb::arg("asks"), nb::arg("usual"), nb::arg("operations"));
  nb::class_<GroupPlan>(module, "GroupPlan")
      .def(
          "__init__",
          [](GroupPlan* made, std::size_t buyer, std::array<std::size_t, kGroupKeys> keys, std::size_t address,
             std::array<std::int64_t, kGroupMeasures> measures, std::array<std::int64_t, 2 + kGroupMeasures> columns) {
            new (made) GroupPlan{buyer, keys, address, measures, columns};
          },
          nb::kw_only(), nb::arg("buyer"), nb::arg("keys"), nb::arg("address"), nb::arg("measures"),
          nb::arg("columns"));
  nb::class_<BoundEngine>(module, "FeatureEngine")
      .def(
          "__init__",
          [](BoundEngine* made, const std::vector<EntityArrays>& entities, const std::optional<GroupPlan>& groups,
             const std::vector<std::size_t>& own_columns, std::size_t n_features, std::size_t n_weights,
             std::int64_t prior_orders, std::int64_t first_order_entity, std::int64_t hot_from,
             std::size_t n_threads) {
            const Shape shape{entities.size(), n_features, n_weights, prior_orders, first_order_entity, hot_from};
            new (made) BoundEngine(shape, entities, groups, own_columns, n_threads);
          },
          nb::kw_only(), nb::arg("entities"), nb::arg("groups").none(), nb::arg("own_columns"), nb::arg("n_features"),
          nb::arg("n_weights"), nb::arg("prior_orders"), nb::arg("first_order_entity"), nb::arg("hot_from"),
          nb::arg("n_threads"))
      .def("advance", &BoundEngine::advance, nb::kw_only(), nb::arg("order_id"), nb::arg("placed_at"),
           nb::arg("seen_at"), nb::arg("amount"), nb::arg("rate"), nb::arg("mask"), nb::arg("ids"), nb::arg("later_id"),
           nb::arg("later_happened_at"), nb::arg("later_seen_at"), nb::arg("later_mask"), nb::arg("later_amount"), nb::arg("later_rank"), nb::arg("own").none(), nb::arg("out").none(), nb::arg("order_weights").none() = nb::none(),
           nb::arg("later_weights").none() = nb::none())
      .def("advance_one", &BoundEngine::advance_one)
      .def("compact", &BoundEngine::compact)
      .def("export_state", &BoundEngine::export_state)
      .def("import_state", &BoundEngine::import_state, nb::arg("arrays"), nb::arg("last_seen_at"))
      .def_prop_ro("last_seen_at", &BoundEngine::last_seen_at);
  // What a plan names by number, and the bits of masks that both sides know.
  nb::list statistics, cell_kinds;
  for (const StatisticForm& each : kStatistics) statistics.append(each.name);
  for (const char* const each : kCellKinds) cell_kinds.append(each);
  module.attr("STATISTICS") = statistics;
  module.attr("CELL_KINDS") = cell_kinds;
  nb::dict bits;
  bits["order"] = kOrderBit;
  bits["first_order"] = kFirstOrderBit;
  bits["verdicts"] = kVerdictBits;
  bits["malicious"] = kRunBits[0];
  bits["innocent"] = kRunBits[1];
  bits["judgement"] = kJudgementBit;
  bits["excused"] = kExcusedBit;
  bits["shared_place"] = kSharedPlaceBit;
  bits["refund_requested"] = kRefundRequestedBit;
  bits["refunds"] = kRefundBits;
  bits["minor_refund"] = kMinorRefundBit;
  bits["exchange"] = kExchangeBit;
  bits["amount_known"] = kAmountKnownBit;
  module.attr("FEATURE_BITS") = bits;
  module.attr("SIZE_SOURCE") = kSizeSource;
  module.attr("CAPPED_SOURCE") = kCappedSource;
  module.attr("SPIKE_SOURCE") = kSpikeSource;
  module.attr("SPIKE_FROM") = kSpikeFrom;
  module.attr("SIZED_POSITIONS") = nb::cast(kSizedPositions);
  module.attr("FIRST_REFUND_SHIFT") = kFirstRefundShift;
  module.attr("MAX_LINKED") = kMaxLinked;
}
