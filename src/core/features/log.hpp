// The log of events, in the order seen, and the orders they are about.
//
//     event       when seen, amount, row of the order, class | per entity the event before it in the same slot, -1: none
//     order       its standing verdict | per entity the slot of its id, -1: not known
//     judgement   of a verdict or correction, which has no amount but its number here: what it takes back, and what
//                 takes it back
//     weights     of an event, what baselines led one to expect of it, parts per million
//
// Events with the same mask are one class, and there are few. Events that have left every window leave the log
// (`compact`); orders stay, so that a late outcome finds its entities.

#pragma once

#include "id_map.hpp"
#include "plan.hpp"

#include <limits>

namespace ordervet::features {

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();
inline constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();

/// Times lie within so many microseconds of 1970, so that differences do not overflow.
inline constexpr std::int64_t kMaxTime = std::int64_t{1} << 61;

struct Event {
  std::int64_t seen_at;
  std::int64_t amount;
  std::int32_t order;
  std::int32_t kind;
};

struct Judgement {
  std::int32_t event;
  std::int32_t takes_back;     ///< an event, -1: none, or it has left the log
  std::int32_t taken_back_by;  ///< an event, -1: none
  std::int32_t replaced_kind;  ///< class of what it takes back, in the log or not; -1: nothing
};

struct Standing {
  std::int32_t judgement_1;  ///< plus one; 0: none, or it has left the log
  std::int32_t kind_1;       ///< class plus one; 0: none
};

/// Orders as given, in any order of time.
struct Orders {
  std::span<const std::uint64_t> id;
  std::span<const std::int64_t> seen_at, amount, mask;
  std::vector<std::span<const std::uint64_t>> ids;  ///< per entity; 0 is not known
};

/// Outcomes, verdicts and corrections as given, in any order of time.
struct LaterEvents {
  std::span<const std::uint64_t> order_id;
  std::span<const std::int64_t> seen_at, mask, amount;
  std::span<const std::uint8_t> rank;  ///< the order among events of one time
};

class Log {
 public:
  Log(const Shape& shape, std::size_t n_links);

  Rows<Event> events;
  Rows<Standing> orders;
  Rows<Judgement> judgements;
  Rows<std::int32_t> weights;
  IdMap order_rows;
  std::vector<std::int64_t> masks;       ///< per class
  Rows<std::int64_t> first_seen;         ///< per buyer, where first orders are asked for

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

  /// Append an event of a known order; `is_new` is its first sight.
  void append(std::int64_t seen_at, std::int64_t amount, std::int64_t mask, std::int32_t order);

  /// The bit of a first order where none of the buyer was seen before that time; ties are all first.
  std::int64_t mark_first(std::int64_t seen_at, std::int32_t order);

  /// Count the events at the beginning that were seen before a time.
  std::size_t count_before(std::int64_t seen_at) const;

  /// Let the first events go, after they have left every entity.
  void compact(std::size_t n_expired);

  void set_first_order_slots(std::size_t n_buyers);

  std::size_t n_links() const { return n_links_; }
  std::size_t n_weights() const { return n_weights_; }
  std::int64_t first_order_entity() const { return first_order_entity_; }

 private:
  std::int32_t find_class(std::int64_t mask);

  std::size_t n_links_, n_entities_, n_weights_;
  std::int64_t first_order_entity_;
};

}  // namespace ordervet::features
