// What is kept for one entity: a slot per id, and for ids with many events ("hot") running totals.
//
//     slot        how many events it has, its latest three | per clock the last and first time
//     record      of a hot id: when something expires next, latest node | per window its oldest node
//                 | runs | peaks | sums | counts
//     node        an event of a hot id: the next one | per column of values the nodes before and after with the same one
//     pair        record and value -> latest node that has it
//
// The events of a slot are linked in the log, from the latest to the earliest. Most ids have few: what an order is told
// of them is added up anew, event by event. A hot id keeps totals per window: an event is added once, and taken out
// once per window when it expires. Both fill the same totals, and features do not depend on which ids are hot.
//
// Runs of verdicts and peaks of amounts are no sums: of a hot id they are told again, node by node, where the peak itself
// expires, and where a verdict is taken back that was the first or the last of its run.
//
// An order that is asked about again is told of all but its own events: they are left out of what is added up, and taken
// out of a copy of running totals.
//
// Exact distinct counts: a node knows the next node with the same value, so that an expiring order lowers the count only
// where no later one carries the value.

#pragma once

#include "log.hpp"

namespace ordervet::features {

struct Slot {
  std::int32_t n_events;   ///< at most `hot_from`; of a hot id -1 minus the number of its record
  std::int32_t latest[3];  ///< the latest first, -1 where there are fewer; SPEED: the others only tell what to fetch

  bool is_hot() const { return n_events < 0; }
  std::int32_t record() const { return -1 - n_events; }
};

struct Clock {
  std::int64_t last, first;
};

struct Record {
  std::int64_t wake_at;  ///< nothing expires up to then
  std::int32_t latest;   ///< node, -1: none
  std::int32_t padding;
};

/// The oldest node of a window that has not expired, -1: none.
struct Tail {
  std::int64_t seen_at;
  std::int32_t node;
  std::int32_t padding;
};

struct Node {
  std::int64_t next_seen_at;
  std::int32_t event;
  std::int32_t kind;
  std::int32_t next;  ///< node, -1: none yet
  std::int32_t padding;
};

/// The nodes of one hot id before and after this one that have the same value.
struct ValueLink {
  std::int32_t before;  ///< -1: none, kNoValue: the order has no id to count
  std::int32_t after;
};

inline constexpr std::int32_t kNoValue = -2;

struct Pair {
  std::uint64_t key;  ///< record << 32 | value, plus one; 0: empty
  std::int32_t node;
  std::int32_t column;

  bool is_empty() const { return key == 0; }
  std::size_t find_home(std::size_t size) const;
};

/// The run of each verdict in a window: what was seen after the last one of the other.
struct Run {
  struct Side {
    std::int64_t last = kNever;   ///< when the last one was seen, in the run or not
    std::int64_t first = kNever;  ///< when the run began
    std::int32_t length = 0;
    std::int32_t padding = 0;
  };

  Side sides[2];  ///< as `kRunBits`

  /// Add a verdict that was seen no earlier than all others.
  void add(std::size_t verdict, std::int64_t seen_at);

  /// Take out a verdict; false where that takes all of the others to tell.
  bool take_out(std::size_t verdict, std::int64_t seen_at);
};

/// The largest amount in a window, and when it was seen last.
struct Peak {
  std::int64_t amount = 0;
  std::int64_t seen_at = kNever;

  /// Add an order that was seen no earlier than all others.
  void add(const Event& event) {
    if (seen_at == kNever || event.amount >= amount) *this = {event.amount, event.seen_at};
  }
};

/// What an id has seen in its windows; unsigned, since a forged state may overflow.
struct Totals {
  std::span<std::uint64_t> sums;
  std::span<std::uint32_t> counts;
  std::span<Run> runs;
  std::span<Peak> peaks;

  explicit operator bool() const { return sums.data() != nullptr; }
  double sum(std::size_t place) const { return static_cast<double>(static_cast<std::int64_t>(sums[place])); }

  /// How many events; of sizes whole ones, with fractions.
  double count(std::size_t place) const {
    if (place >= counts.size()) return sum(place - counts.size()) / static_cast<double>(kMillion);
    return static_cast<double>(static_cast<std::int32_t>(counts[place]));
  }

  /// Likewise, in parts per million.
  std::int64_t millionths(std::size_t place) const {
    if (place >= counts.size()) return static_cast<std::int64_t>(sums[place - counts.size()]);
    return counts[place] * kMillion;
  }
};

/// What an event of one class does to a slot of this entity.
struct EventClass {
  struct SumTouch {
    std::size_t place;
    std::int64_t source;  ///< as `Cell::source`
  };

  bool is_listed = false;     ///< some cell or clock counts it
  bool is_judgement = false;  ///< it may take back a verdict that some cell counts
  bool is_order = false;
  bool is_asked = false;  ///< the entity notes what it leads one to expect of it, or how much of it is usual
  std::optional<std::size_t> run;  ///< which verdict it is, where the entity has runs
  std::vector<std::size_t> clocks;
  std::vector<std::size_t> counts, count_start;  ///< places that go up by one; per window where they begin
  std::vector<SumTouch> sums;
  std::vector<std::size_t> sum_start;
};

/// The events that a batch adds, and where the features of its orders go.
struct Batch {
  std::size_t first;                      ///< new event
  std::span<const std::int32_t> out_row;  ///< per new event its row of `out`, -1: it asks for nothing
  std::span<float> out;
  std::size_t n_features;

  std::span<float> row(std::int32_t number) const { return out.subspan(number * n_features, n_features); }
};

void write_features(std::span<const Operation> operations, const Totals& totals, std::int64_t amount, std::int64_t now,
                    std::span<float> out);

class Entity {
 public:
  /// An entity that is only counted by others has a plan without windows and clocks, and `link` -1.
  Entity(EntityPlan plan, std::int64_t link, std::int64_t hot_from, std::int64_t longest_us, Log& log);

  const EntityPlan plan;
  IdMap ids;
  Rows<Slot> slots;
  Rows<Record> records;
  Rows<Node> nodes;
  Rows<Pair> pairs;

  bool has_features() const { return link_ >= 0; }
  std::size_t n_pairs() const { return n_pairs_; }

  /// Give the ids of new orders their slots.
  void place_ids(std::span<const std::uint64_t> given, std::span<const std::uint32_t> by_time,
                 std::span<const std::int32_t> order_rows, std::span<const char> is_new);

  /// Know every class of events that the log has.
  void learn_classes();

  /// Replay the events `begin` to `end`: write the features of the orders among them, let count what was seen before
  /// `until`.
  void replay(std::size_t begin, std::size_t end, std::int64_t until, const Batch& batch);

  /// Let the first events go, before they leave the log.
  void compact(std::int64_t now, std::size_t n_expired);

  std::size_t applied = 0;  ///< the first event that does not count yet

  std::span<Clock> clocks(std::size_t slot) const {
    return slots.part<Clock>(slot, sizeof(Slot), plan.clocks.size());
  }
  std::span<Tail> tails(std::size_t record) const {
    return records.part<Tail>(record, sizeof(Record), plan.windows.size());
  }
  std::span<Run> runs(std::size_t record) const {
    return records.part<Run>(record, sizeof(Record) + plan.windows.size() * sizeof(Tail), plan.n_runs);
  }
  std::span<Peak> peaks(std::size_t record) const {
    const std::size_t at = sizeof(Record) + plan.windows.size() * sizeof(Tail) + plan.n_runs * sizeof(Run);
    return records.part<Peak>(record, at, plan.n_peaks);
  }
  std::span<ValueLink> value_links(std::size_t node) const {
    return nodes.part<ValueLink>(node, sizeof(Node), plan.values.size());
  }
  const std::vector<EventClass>& classes() const { return classes_; }

  /// Count the pairs that were taken over; throws std::invalid_argument where they are no table of pairs.
  void check_pairs();

 private:
  bool has_sequences() const { return plan.n_runs + plan.n_peaks > 0; }
  EventClass build_class(std::int64_t mask) const;
  std::int32_t find_slot(std::size_t event) const;
  Totals totals_of(std::size_t record) const;
  void prefetch_past(std::int32_t slot) const;
  void prefetch_further(std::size_t event, std::int32_t slot) const;
  void apply_until(std::size_t end, std::int64_t now, std::size_t event);
  void apply(std::int32_t slot, std::int32_t event);
  void add(const Totals& totals, const EventClass& kind, std::int32_t event, std::size_t first_window,
           std::size_t end_window, bool is_added) const;
  Totals find_totals(std::int32_t slot, std::int64_t now, std::int32_t without);
  Totals rescan(std::int32_t latest, std::int64_t now, std::int32_t without);
  void take_out(std::int32_t record, std::int64_t now, std::int32_t order, const Totals& totals) const;
  Clock clock_without(std::int32_t slot, std::size_t at, std::int64_t now, std::int32_t order) const;
  void count_values(std::int32_t order, std::size_t window);
  std::int32_t count_live(std::int32_t latest, std::int64_t now) const;
  void make_hot(std::int32_t slot, std::int32_t n_live, std::int32_t bound);
  void add_node(std::int32_t record, std::int32_t event, std::int32_t bound);
  void enter_values(std::int32_t record, std::int32_t node, std::int32_t order);
  void take_back(std::int32_t record, std::int32_t event, std::int32_t bound);
  void expire(std::int32_t record, std::int64_t now);
  void add_in_order(const Totals& totals, const EventClass& kind, const Event& event, std::size_t window) const;
  void tell_in_order(std::int64_t now, const Totals& totals) const;
  void tell_again(std::int32_t record, std::size_t window, std::int32_t bound, std::int32_t without,
                  const Totals& totals) const;
  void settle(std::int32_t record, std::size_t window, std::int64_t opened_at, const Totals& totals) const;
  void weigh(std::size_t event, const Totals& totals);
  std::int64_t measure_usual(std::int64_t amount, const Totals& totals) const;
  std::int64_t value_of(std::int32_t event, std::int64_t source) const;
  void write(std::int32_t slot, const Totals& totals, const Event& event, std::span<float> out) const;
  std::uint64_t pair_key(std::int32_t record, std::int32_t order, std::size_t column) const;
  std::size_t find_pair(std::uint64_t key, std::size_t column) const;
  void rebuild_pairs(std::span<const std::int32_t> owners, std::span<const std::int32_t> moved,
                     const Rows<Node>& staying);

  // SPEED: benchmarks/bench_features.py. How many events ahead a slot is asked for, what it points at, and what that
  // points at; and how many slots of past events are kept at hand.
  static constexpr std::size_t kFar = 24, kNear = 16, kNext = 8, kBehind = 32, kRing = 64;

  Log& log_;
  std::int64_t link_;
  std::int32_t hot_from_;
  std::int64_t longest_us_;  ///< its longest window; without one that of all entities
  std::vector<EventClass> classes_;
  std::size_t n_pairs_ = 0;
  std::array<std::int32_t, kRing> ring_{};      ///< slots of the events around the present one
  std::vector<std::uint64_t> scratch_sums_;     ///< of a rescan, or a copy of running totals
  std::vector<std::uint32_t> scratch_counts_;   ///< likewise
  std::vector<Run> scratch_runs_;               ///< likewise
  std::vector<Peak> scratch_peaks_;             ///< likewise
  std::vector<std::int32_t> in_order_;          ///< likewise, its events, the latest first
  std::vector<std::vector<std::int32_t>> noted_;  ///< likewise, per column of values those that have been counted
  enum class Seen : char { absent, again, first };
  std::vector<Seen> seen_;  ///< likewise, what the present order's values are
  std::vector<std::int32_t> becoming_hot_;
  std::vector<float> empty_values_;  ///< per operation, the feature of an id that has seen nothing in any window
};

}  // namespace ordervet::features
