// The feature engine: events in, point-in-time features out, whether one order or a year of them.
//
//     log          events in the order seen, orders
//     entities     per entity its ids, slots, and running totals of hot ids; lower levels first need no others
//     groups       linked buyers
//
// A batch goes through in parts, so that what a part touches stays near; a part in chunks, entity after entity. An event
// counts once the clock has moved past its time: everything up to the present waits, so ties are invisible to each
// other, also across calls. Entities of one level do not depend on each other, and are shared out among threads.

#pragma once

#include "groups.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>

namespace ordervet::features {

/// An event was seen before one that is already in.
class EarlierEventsError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An exported state is not one of this engine, or of none.
class InvalidStateError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Rows as bytes: an exported array, or one to take over.
struct Bytes {
  const std::byte* data;
  std::size_t n_rows, stride;
  std::shared_ptr<const void> owner;  ///< keeps them where they are
};

/// What baselines lead one to expect of the events of a batch, a row each: given for baselines without a plan of their
/// own, filled in for the others. Nothing where nobody asks.
struct Weights {
  std::span<std::int32_t> orders, later;
};

class Engine {
 public:
  /// Throws std::invalid_argument where a number of the plans points nowhere.
  Engine(const Shape& shape, const std::vector<EntityArrays>& entities, const std::optional<GroupPlan>& groups,
         std::size_t n_threads);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Add events; write the features of the orders, row by row as given, unless `out` is empty.
  ///
  /// An order that is known is answered as of now, from the ids of its first sight and without its own events, and
  /// counted once. Later events of an order that is not known yet wait for it. Throws EarlierEventsError.
  void advance(const Orders& orders, const LaterEvents& later, std::span<float> out, const Weights& weights = {});

  /// Let the events that have left every window leave the state too; a batch does so when they are more than half.
  void compact();

  std::int64_t last_seen_at() const { return last_seen_at_; }
  std::size_t n_features() const { return shape_.n_features; }
  std::size_t n_entities() const { return shape_.n_entities; }
  std::size_t n_weights() const { return shape_.n_weights; }

  /// All that the engine remembers besides the time of the last event, by name; see `state.cpp`.
  std::map<std::string, Bytes> export_state() const;

  /// Take over an exported state. Throws InvalidStateError, whatever the arrays hold; the engine is empty then.
  void import_state(const std::map<std::string, Bytes>& arrays, std::int64_t last_seen_at);

 private:
  struct Part {
    std::span<const std::uint32_t> orders, later;  ///< as seen
    std::int64_t until;                            ///< events before this time count when it is through
    bool is_last;
  };

  /// A later event whose order is known, among those of one instant.
  struct Due {
    std::uint8_t rank;
    std::int64_t amount, mask;
    std::int32_t order;
    std::int32_t given;  ///< its number among those given, -1: it has waited

    /// Refunds are measured in an order that does not depend on how they came.
    auto key() const { return std::tuple(rank, ~amount, mask); }  // the largest amount first
  };

  void advance_part(const Orders& orders, const LaterEvents& later, const Part& part, std::span<float> out,
                    const Weights& weights);
  void place_orders(const Orders& orders, std::span<const std::uint32_t> by_time);
  void append(const Orders& orders, const LaterEvents& later, const Part& part, bool are_asked);
  void append_due();
  void append_later(std::int64_t seen_at, const Due& event);
  void exchange_weights(std::size_t first, const Weights& weights, bool are_given) const;
  void replay(std::span<const std::size_t> share, const Batch& batch, std::int64_t until);
  void compact_if_worth();
  void build_entities();
  std::vector<std::vector<std::size_t>> share_out(const std::vector<std::size_t>& members, std::size_t n) const;
  void run(std::size_t n_tasks, bool in_threads, const std::function<void(std::size_t)>& task) const;
  void for_each_entity(bool in_threads, const std::function<void(Entity&)>& task);
  void take_arrays(const std::map<std::string, Bytes>& arrays);
  void check_log() const;
  void check_entity(const Entity& entity) const;
  void check_groups() const;

  const Shape shape_;
  const std::vector<EntityArrays> arrays_;
  const std::optional<GroupPlan> group_plan_;
  const std::size_t n_threads_;
  std::int64_t last_seen_at_ = kNever;
  std::int64_t longest_us_ = 0;
  bool is_broken_ = false;           ///< a batch failed in its middle, for want of memory
  std::size_t next_look_ = 0;        ///< with so many events: whether compaction is worth it
  std::optional<Log> log_;
  std::vector<Entity> entities_;
  std::optional<Groups> groups_;
  std::vector<std::vector<std::size_t>> levels_;  ///< entities, and kGroups among the first
  std::vector<std::vector<std::vector<std::size_t>>> shares_;  ///< per level, per thread
  std::vector<std::size_t> in_turn_;              ///< all, lower levels first

  // Of the present batch, kept so that a live order allocates nothing.
  std::vector<std::uint32_t> by_time_, by_seen_;
  std::vector<std::int32_t> rows_, out_row_;
  std::vector<std::int32_t> order_given_, later_given_;  ///< per new event its number among those given, -1: none
  std::vector<char> is_new_;
  std::vector<Due> due_;  ///< at `due_at_`, where something waited for an order of that instant
  std::int64_t due_at_ = kNever;
};

}  // namespace ordervet::features
