// What totals amount to: one statistic after the other, in float64, rounded once.

#include "entity.hpp"

#include <cmath>

namespace ordervet::features {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double divide(double total, double n) { return n != 0 ? total / n : kNan; }

double compute(const Operation& operation, const Totals& totals, std::int64_t amount, std::int64_t now) {
  const auto count = [&](std::size_t at) { return totals.count(operation.places[at]); };
  const auto sum = [&](std::size_t at) { return totals.sum(operation.places[at]); };
  const auto run = [&]() -> const Run::Side& { return totals.runs[operation.places[0]].sides[operation.parameter]; };
  const auto age = [&](std::int64_t time) { return time == kNever ? kNan : static_cast<double>(now - time) / 1e6; };
  switch (operation.statistic) {
    case Statistic::count:
      return count(0);
    case Statistic::total:
      return sum(0);
    case Statistic::millionths:
      return sum(0) / 1e6;
    case Statistic::quotient:
      return divide(count(0), count(1));
    case Statistic::mean:
      return divide(sum(0), count(1));
    case Statistic::ratio:  // this order's amount over the mean
      return sum(0) != 0 ? static_cast<double>(amount) / divide(sum(0), count(1)) : kNan;
    case Statistic::drift:  // the mean over that of a longer window
      return count(1) != 0 && sum(2) != 0 ? divide(sum(0), count(1)) / divide(sum(2), count(3)) : kNan;
    case Statistic::burst:  // the count over what is usual in as long a time
      return (count(0) + 1.0) / (count(1) / static_cast<double>(operation.parameter) + 1.0);
    case Statistic::sameness:
      return count(1) > 1 ? 1.0 - divide(count(0) - 1.0, count(1) - 1.0) : kNan;
    case Statistic::lift:
      return (count(0) + 1.0) / (sum(1) / 1e6 + 1.0);
    case Statistic::run:
      return run().length;
    case Statistic::run_age:
      return age(run().first);
    case Statistic::verdict_recency:
      return age(run().last);
    case Statistic::peak: {  // the largest amount over the usual one
      const Peak& peak = totals.peaks[operation.places[0]];
      return peak.seen_at != kNever && sum(1) != 0 ? static_cast<double>(peak.amount) / divide(sum(1), count(2)) : kNan;
    }
    case Statistic::recency:
    case Statistic::age:
      break;  // of clocks, not of totals
  }
  return kNan;
}

}  // namespace

void write_features(std::span<const Operation> operations, const Totals& totals, std::int64_t amount, std::int64_t now,
                    std::span<float> out) {
  for (const Operation& each : operations) out[each.column] = static_cast<float>(compute(each, totals, amount, now));
}

}  // namespace ordervet::features
