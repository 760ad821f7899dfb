// Linked groups of buyers: a union-find forest that only grows, with totals at its roots (docs/definitions.md G1 to G5).
//
//     member   of a buyer: its parent | of a root the totals of its group: buyers, and events of four selectors
//     key      of a phone, address, device or payment account: how many buyers have used it, and which
//
// What was seen at one time is linked at once: first all its buyers join the users of their keys, then those keys that
// are still no hub link them. So ties are blind to each other here too.

#pragma once

#include "entity.hpp"

namespace ordervet::features {

inline constexpr std::size_t kGroupKeys = 4, kGroupMeasures = 4;
inline constexpr std::int32_t kMaxLinked = 8;

struct Member {
  std::int32_t parent_1;  ///< plus one; 0: not seen yet
  std::uint32_t n_buyers;  ///< of the group, of a root; of any other as it was when it was linked
  std::array<std::uint32_t, kGroupMeasures> totals;
};

struct Key {
  std::int32_t n_users;  ///< at most one more than are linked
  std::array<std::int32_t, kMaxLinked + 1> users;
};

struct GroupPlan {
  std::size_t buyer;                                 ///< column among the slots of an order
  std::array<std::size_t, kGroupKeys> keys;          ///< likewise
  std::size_t address;                               ///< which of the keys is one only where few people live
  std::array<std::int64_t, kGroupMeasures> measures;  ///< selector bits: orders, malicious, innocent, refund requests
  std::array<std::int64_t, 2 + kGroupMeasures> columns;  ///< of the matrix: size, measures, share; -1: not asked for
};

class Groups {
 public:
  /// Throws std::invalid_argument where a number of the plan points nowhere.
  Groups(const GroupPlan& plan, const Shape& shape, std::int64_t longest_us, Log& log);

  const GroupPlan plan;
  Rows<Member> members;
  std::array<Rows<Key>, kGroupKeys> keys;
  std::size_t applied = 0;  ///< the first event that does not count yet

  /// Make room for the ids there are.
  void resize(const std::vector<Entity>& entities);

  /// As `Entity::replay`.
  void replay(std::size_t begin, std::size_t end, std::int64_t until, const Batch& batch);

  void compact(std::size_t n_expired) { applied -= n_expired; }

 private:
  struct Sums {
    std::int64_t n_buyers = 0;
    std::array<std::int64_t, kGroupMeasures> totals{};
    std::array<std::int32_t, 1 + kGroupKeys> roots{};
    std::size_t n_roots = 0;
  };

  std::int32_t find_root(std::int32_t buyer);
  void unite(std::int32_t one, std::int32_t other);
  Key* find_key(std::span<const std::int32_t> slots, std::size_t key, std::int64_t mask);
  void prefetch_keys(std::size_t event) const;
  void prefetch_users(std::size_t event) const;
  void join_users(std::size_t event, std::int64_t mask);
  void unite_users(std::size_t event, std::int64_t mask);
  void count(std::size_t event, std::int64_t mask, bool is_added);
  void apply_time(std::size_t begin, std::size_t end);
  void apply_until(std::size_t end, std::int64_t now);
  void add_group(std::int32_t buyer, Sums& sums);
  void take_out(std::int32_t order, std::int64_t now, Sums& sums) const;
  void write(std::size_t event, std::span<float> out);

  // SPEED: benchmarks/bench_features.py. How many events ahead keys and members are asked for, and those they lead to.
  static constexpr std::size_t kFar = 16, kNear = 8;

  Log& log_;
  std::int64_t longest_us_;
};

}  // namespace ordervet::features
