// The log of events, in the order seen, and the orders they are about.
//
//     event       when seen, amount, row of the order, class, size of a refund
//                 | per entity the event before it in the same slot, -1: none
//     before      of an event: the one before it of the same order, -1: none, or it has left the log
//     order       its standing verdict, its latest event | per entity the slot of its id, -1: not known
//     value       of an order: its amount, what a unit of it is worth, and how much of it has been asked back and paid back
//     waiting     a later event of an order that has not come yet; it counts from the order's arrival on
//     judgement   of a verdict or correction, which has no amount but its number here: what it takes back, and what
//                 takes it back
//     weights     of an event, what baselines led one to expect of it, parts per million
//
// Events with the same mask are one class, and there are few. Events that have left every window leave the log
// (`compact`); orders stay, so that a late outcome finds its entities.

#pragma once

#include "id_map.hpp"
#include "plan.hpp"

#include <cmath>
#include <limits>
#include <unordered_map>

namespace ordervet::features {

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();
inline constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();

/// Times lie within so many microseconds of 1970, so that differences do not overflow.
inline constexpr std::int64_t kMaxTime = std::int64_t{1} << 61;

struct Event {
  std::int64_t seen_at;
  std::int64_t amount;
  std::int32_t order;
  std::uint32_t kind : 12;  ///< SPEED: with the size in one word, so that a row fits into a cache line
  std::uint32_t size : 20;  ///< of a refund: its part of the order, parts per million
};

/// No minor unit is worth more, and no amount of another currency.
inline constexpr double kMaxRate = 1e9, kMaxWorth = 9e15;

inline constexpr std::size_t kMaxKinds = 1U << 12U;

struct Judgement {
  std::int32_t event;
  std::int32_t takes_back;     ///< an event, -1: none, or it has left the log
  std::int32_t taken_back_by;  ///< an event, -1: none
  std::int32_t replaced_kind;  ///< class of what it takes back, in the log or not; -1: nothing
};

struct Standing {
  std::int32_t judgement_1;  ///< plus one; 0: none, or it has left the log
  std::int32_t kind_1;       ///< class plus one; 0: none
  std::int32_t latest_1;     ///< its latest event, plus one; 0: none in the log
};

struct Value {
  std::int64_t amount;                ///< minor units of the order's currency
  double rate;                        ///< what one of them is worth, minor units of the currency of the features
  std::int32_t requested, completed;  ///< parts per million of the amount
  std::int64_t refunded;              ///< selectors of its refunds so far
};

struct Waiting {
  std::uint64_t order_id;  ///< 0: it has come
  std::int64_t seen_at, happened_at, mask, amount, rank;
};

/// Orders as given, in any order of time.
struct Orders {
  std::span<const std::uint64_t> id;
  std::span<const std::int64_t> placed_at, seen_at, amount, mask;
  std::span<const double> rate;                   ///< what a minor unit of the amount is worth
  std::vector<std::span<const std::uint64_t>> ids;  ///< per entity; 0 is not known
};

/// Outcomes, verdicts and corrections as given, in any order of time.
struct LaterEvents {
  std::span<const std::uint64_t> order_id;
  std::span<const std::int64_t> happened_at, seen_at, mask, amount;
  std::span<const std::uint8_t> rank;  ///< the order among events of one time
};

/// Whether a rate can be one: `to_worth` is defined for no other.
inline bool is_rate(double rate) { return rate > 0 && rate <= kMaxRate; }

/// What an amount is worth, in minor units of the currency of the features; that currency's own stay as they are.
inline std::int64_t to_worth(std::int64_t amount, double rate) {
  if (rate == 1) return amount;
  return static_cast<std::int64_t>(std::min(std::floor(static_cast<double>(amount) * rate + .5), kMaxWorth));
}

class Log {
 public:
  Log(const Shape& shape, std::size_t n_links);

  Rows<Event> events;
  Rows<Standing> orders;
  Rows<Value> values;
  Rows<std::int32_t> before;
  Rows<Judgement> judgements;
  Rows<std::int32_t> weights;
  IdMap order_rows;
  std::vector<std::int64_t> masks;       ///< per class
  Rows<std::int64_t> first_seen;         ///< per buyer, where first orders are asked for
  Rows<Waiting> waiting;                 ///< in the order given

  std::span<std::int32_t> links(std::size_t event) const {
    return events.part<std::int32_t>(event, sizeof(Event), n_links_);
  }

  std::span<std::int32_t> slots(std::size_t order) const {
    return orders.part<std::int32_t>(order, sizeof(Standing), n_entities_);
  }

  std::span<std::int32_t> weights_of(std::size_t event) const {
    return weights.part<std::int32_t>(event, 0, n_weights_);
  }

  std::int64_t mask_of(std::size_t event) const { return masks[events[event].kind]; }

  const Judgement& judgement_of(std::size_t event) const { return judgements[events[event].amount]; }

  /// Whether a verdict has been taken back by an event before `bound`.
  bool is_taken_back(std::size_t event, std::int32_t bound) const {
    const std::int32_t by = judgement_of(event).taken_back_by;
    return by >= 0 && by < bound;
  }

  /// Append an event of a known order; its amount is of the order's currency, whose rate is given with an order.
  void append(std::int64_t seen_at, std::int64_t amount, std::int64_t mask, std::int32_t order, double rate);
  void append(std::int64_t seen_at, std::int64_t amount, std::int64_t mask, std::int32_t order) {
    append(seen_at, amount, mask, order, values[order].rate);
  }

  /// Append an event of an order that is not known yet to those that wait.
  void wait(const Waiting& event);

  bool has_waiting() const { return !waiting_of_.empty(); }

  /// Take out what has waited for an order; what happened before it was placed is dropped.
  std::vector<Waiting> take_waiting(std::uint64_t order_id, std::int64_t placed_at);

  /// Know again which events wait, and what all events are worth, after they were taken over.
  void restore();

  /// The bit of a first order where none of the buyer was seen before that time; ties are all first.
  std::int64_t mark_first(std::int64_t seen_at, std::int32_t order);

  /// Count the events at the beginning that were seen before a time.
  std::size_t count_before(std::int64_t seen_at) const;

  /// Let the first events go, after they have left every entity, and what has waited since before a time.
  void compact(std::size_t n_expired, std::int64_t expired_before);

  void set_first_order_slots(std::size_t n_buyers);

  std::size_t n_links() const { return n_links_; }
  std::size_t n_weights() const { return n_weights_; }
  std::int64_t first_order_entity() const { return first_order_entity_; }

 private:
  void add_worth(std::int64_t amount);
  void find_waiting();
  std::uint32_t find_class(std::int64_t mask);
  std::int64_t mark_refund(std::int64_t mask, std::int32_t order);
  std::uint32_t measure(std::int64_t amount, std::int64_t mask, std::int32_t order);

  std::unordered_multimap<std::uint64_t, std::size_t> waiting_of_;  ///< by order
  std::uint64_t worth_ = 0;  ///< NOTE: of all events together; while it fits into 63 bits, no total of some overflows
  std::size_t n_links_, n_entities_, n_weights_;
  std::int64_t first_order_entity_;
};

}  // namespace ordervet::features
