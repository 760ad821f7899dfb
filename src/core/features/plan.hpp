// What the features of a spec need, as Python lays it out (features/plan.py), checked and ready for use.
//
//     cell        a total over one window of one entity: how many events of a selector, their sum, different ids; of
//                 refunds, which count by their size, the sum of sizes takes the place of how many they are
//     run         over one window of one entity: how many of the latest standing verdicts agree, and since when
//     peak        over one window of one entity: the largest amount
//     clock       the first and last time of a selector's events, without a window
//     ask         what an entity leads one to expect, noted with every event as a weight that others add up
//     usual       how much of an order's amount counts as usual of an entity, noted as a weight that the entity adds up
//     operation   one feature: what is made of which cells
//
// To add a statistic: name it here, say in `kStatistics` what it reads, and what it makes of that in `write.cpp`.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ordervet::features {

// Bits of an event's mask, as features/spec.py and features/events.py have them (tests/features/test_core_plan.py).
inline constexpr std::int64_t kOrderBit = 1;
inline constexpr std::int64_t kRefundRequestedBit = std::int64_t{1} << 3;
inline constexpr std::int64_t kRefundBits = std::int64_t{3} << 3;  // requested, completed
inline constexpr std::int64_t kFirstOrderBit = std::int64_t{1} << 20;
inline constexpr std::int64_t kVerdictBits = std::int64_t{7} << 16;  // verdict, malicious, innocent
inline constexpr std::array<std::int64_t, 2> kRunBits{std::int64_t{1} << 17, std::int64_t{1} << 18};  // these two
inline constexpr std::int64_t kJudgementBit = std::int64_t{1} << 40;
inline constexpr std::int64_t kExcusedBit = std::int64_t{1} << 41;
inline constexpr std::int64_t kSharedPlaceBit = std::int64_t{1} << 42;
inline constexpr std::int64_t kMinorRefundBit = std::int64_t{1} << 43;
inline constexpr std::int64_t kExchangeBit = std::int64_t{1} << 44;
inline constexpr std::int64_t kAmountKnownBit = std::int64_t{1} << 45;

/// Of refunds: their selectors, and so many bits higher the first of its order that is each of them.
inline constexpr std::array<int, 6> kSizedPositions{3, 4, 12, 13, 14, 15};
inline constexpr int kFirstRefundShift = 43;

/// Sizes and weights are parts of so many.
inline constexpr std::int64_t kMillion = 1'000'000;

/// What a sum adds up, if no column of weights: amounts, sizes of refunds, usual parts of amounts, and a million for
/// each order of which not all is usual.
inline constexpr std::int64_t kAmountSource = -1, kSizeSource = -2, kCappedSource = -3, kSpikeSource = -4;

/// Of an order so many usual amounts are usual.
inline constexpr double kSpikeFrom = 3;

enum class CellKind : std::size_t { count, sum, distinct, known, run, peak };

inline constexpr std::array<const char*, 6> kCellKinds{"count", "sum", "distinct", "known", "run", "peak"};

enum class Statistic : std::size_t {
  count, total, millionths, quotient, mean, ratio, drift, burst, sameness, lift, run, run_age, verdict_recency, peak,
  recency, age
};

enum class Argument : char { none, count, sum, run, peak, clock };

/// A statistic's name in a plan, and what it reads: counts or sizes, sums, a run, a peak, or a clock.
struct StatisticForm {
  const char* name;
  std::array<Argument, 4> arguments;
};

/// In the order of `Statistic`.
inline constexpr std::array<StatisticForm, 16> kStatistics{{
    {"count", {Argument::count}},
    {"total", {Argument::sum}},
    {"millionths", {Argument::sum}},
    {"quotient", {Argument::count, Argument::count}},
    {"mean", {Argument::sum, Argument::count}},
    {"ratio", {Argument::sum, Argument::count}},
    {"drift", {Argument::sum, Argument::count, Argument::sum, Argument::count}},
    {"burst", {Argument::count, Argument::count}},
    {"sameness", {Argument::count, Argument::count}},
    {"lift", {Argument::count, Argument::sum}},
    {"run", {Argument::run}},
    {"run_age", {Argument::run}},
    {"verdict_recency", {Argument::run}},
    {"peak", {Argument::peak, Argument::sum, Argument::count}},
    {"recency", {Argument::clock}},
    {"age", {Argument::clock}},
}};

struct Cell {
  std::size_t window;
  CellKind kind;
  std::int64_t selector;  ///< of a count or sum: the bit of its events; of the others: the column of values
  std::int64_t source;    ///< of a sum: `kAmountSource` and the like, or the column of weights
  std::size_t place;      ///< among the counts, sums, runs or peaks of a record
};

/// Longer than all that is known, and short enough to be taken off a time.
inline constexpr std::int64_t kMaxWindow = std::int64_t{1} << 60;

/// No id is looked back on for more events than this before it is hot.
inline constexpr std::int64_t kMaxLookBack = 1'000'000;

inline constexpr std::int64_t kMaxPriorOrders = 1'000'000;

struct Ask {
  std::size_t weight;  ///< column of weights
  std::size_t count, n_orders;  ///< places of counts; see `EntityPlan::n_counts`
  std::int64_t selector;
  std::int64_t prior_ppm;
};

struct Usual {
  std::size_t weight;         ///< column of weights
  std::size_t sum, n_orders;  ///< places of the capped amounts and of orders
};

struct Operation {
  Statistic statistic;
  std::size_t column;                 ///< of the matrix
  std::array<std::size_t, 4> places;  ///< of counts, sums, runs, peaks or clocks, as the statistic reads them
  std::int64_t parameter;
};

/// A place among the counts, and the column of values that it counts.
struct ValueCount {
  std::size_t place, column;
};

/// One window: its length, the counts of values over it, its run and its peak.
struct Window {
  std::int64_t length_us;
  std::vector<ValueCount> distinct, known;
  std::optional<std::size_t> run, peak;  ///< places
};

/// What Python hands over for one entity; numbers only, nothing checked.
struct EntityArrays {
  std::string name;
  std::size_t own;                           ///< column among the slots of an order
  std::size_t level;                         ///< 0 needs no weights, n those of lower levels
  std::vector<std::int64_t> windows_us;      ///< ascending
  std::vector<std::int64_t> values;          ///< columns of the entities whose ids are counted
  std::vector<std::array<std::int64_t, 4>> cells;       ///< window, kind, selector or value, source; by window
  std::vector<std::int64_t> clocks;                     ///< selector bits
  std::vector<std::array<std::int64_t, 5>> asks;        ///< weight, cell, cell of orders, selector bit, prior
  std::vector<std::int64_t> usual;                      ///< weight, cell of capped amounts, cell of orders; or nothing
  std::vector<std::array<std::int64_t, 7>> operations;  ///< statistic, matrix column, four cells or a clock, parameter
};

/// What an engine is made of, besides its entities.
struct Shape {
  std::size_t n_entities;
  std::size_t n_features;
  std::size_t n_weights;
  std::int64_t prior_orders;
  std::int64_t first_order_entity;  ///< column of the buyer where first orders are asked for, else -1
  std::int64_t hot_from;            ///< from so many events on an id keeps running totals, at least 1
};

struct EntityPlan {
  std::string name;
  std::size_t own, level;
  std::vector<Window> windows;
  std::vector<std::size_t> values;
  std::vector<Cell> cells;
  std::vector<std::int64_t> clocks;
  std::vector<Ask> asks;
  std::optional<Usual> usual;
  std::vector<Operation> operations;        ///< of cells
  std::vector<Operation> clock_operations;  ///< of clocks
  std::size_t n_counts = 0, n_sums = 0;  ///< the place of a sum of sizes, where a count is read: `n_counts` plus its own
  std::size_t n_runs = 0, n_peaks = 0;
  std::int64_t prior_orders = 0;
  std::int64_t listens = 0;  ///< all bits that any cell or clock counts

  /// Throws std::invalid_argument where a number points nowhere.
  EntityPlan(const EntityArrays& given, const Shape& shape);
};

}  // namespace ordervet::features
