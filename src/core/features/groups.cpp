#include "groups.hpp"

#include <utility>

namespace ordervet::features {

Groups::Groups(const GroupPlan& given, const Shape& shape, std::int64_t longest_us, Log& log)
    : plan(given), log_(log), longest_us_(longest_us) {
  const auto require = [](bool holds) {
    if (!holds) throw std::invalid_argument("the plan of the features is wrong: groups");
  };
  require(plan.buyer < shape.n_entities && plan.address < kGroupKeys);
  for (const std::size_t key : plan.keys) require(key < shape.n_entities);
  for (const std::int64_t column : plan.columns) require(column < static_cast<std::int64_t>(shape.n_features));
}

void Groups::resize(const std::vector<Entity>& entities) {
  members.resize(entities[plan.buyer].ids.size());
  for (std::size_t key = 0; key < kGroupKeys; ++key) keys[key].resize(entities[plan.keys[key]].ids.size());
}

/// Find the root of a buyer's group, and shorten the way there.
std::int32_t Groups::find_root(std::int32_t buyer) {
  std::int32_t parent = members[buyer].parent_1 - 1;
  while (parent != buyer) {
    const std::int32_t up = members[parent].parent_1;
    members[buyer].parent_1 = up;
    buyer = up - 1;
    parent = members[buyer].parent_1 - 1;
  }
  return buyer;
}

/// Make one group of two: the smaller root goes under the larger one, totals add up.
void Groups::unite(std::int32_t one, std::int32_t other) {
  one = find_root(one);
  other = find_root(other);
  if (one == other) return;
  if (members[one].n_buyers < members[other].n_buyers) std::swap(one, other);
  Member& upper = members[one];
  Member& lower = members[other];
  lower.parent_1 = one + 1;
  upper.n_buyers += lower.n_buyers;
  for (std::size_t at = 0; at < kGroupMeasures; ++at) upper.totals[at] += lower.totals[at];
}

/// Find one of the keys of an order; null when it has none, or one that cannot link.
Key* Groups::find_key(std::span<const std::int32_t> slots, std::size_t key, std::int64_t mask) {
  const std::int32_t slot = slots[plan.keys[key]];
  if (slot < 0 || (key == plan.address && (mask & kSharedPlaceBit))) return nullptr;
  return &keys[key][slot];
}

void Groups::prefetch_keys(std::size_t event) const {
  const std::span<const std::int32_t> slots = log_.slots(log_.events[event].order);
  if (slots[plan.buyer] >= 0) members.prefetch_row(slots[plan.buyer]);
  for (std::size_t key = 0; key < kGroupKeys; ++key) {
    if (slots[plan.keys[key]] >= 0) keys[key].prefetch_row(slots[plan.keys[key]]);
  }
}

void Groups::prefetch_users(std::size_t event) const {
  const std::span<const std::int32_t> slots = log_.slots(log_.events[event].order);
  for (std::size_t key = 0; key < kGroupKeys; ++key) {
    if (slots[plan.keys[key]] < 0) continue;
    const Key& used = keys[key][slots[plan.keys[key]]];
    if (used.n_users > 0 && used.n_users <= kMaxLinked) members.prefetch_row(used.users[0]);
  }
}

/// Let an order's buyer be among the users of its keys.
void Groups::join_users(std::size_t event, std::int64_t mask) {
  const std::span<const std::int32_t> slots = log_.slots(log_.events[event].order);
  const std::int32_t buyer = slots[plan.buyer];
  if (buyer < 0) return;
  Member& member = members[buyer];
  if (member.parent_1 == 0) {
    member.parent_1 = buyer + 1;
    member.n_buyers = 1;
  }
  for (std::size_t at = 0; at < kGroupKeys; ++at) {
    Key* key = find_key(slots, at, mask);
    if (key == nullptr || key->n_users > kMaxLinked) continue;
    const auto end = key->users.begin() + key->n_users;
    if (std::find(key->users.begin(), end, buyer) == end) key->users[key->n_users++] = buyer;
  }
}

/// Link an order's buyer to the users of its keys.
void Groups::unite_users(std::size_t event, std::int64_t mask) {
  const std::span<const std::int32_t> slots = log_.slots(log_.events[event].order);
  const std::int32_t buyer = slots[plan.buyer];
  if (buyer < 0) return;
  for (std::size_t at = 0; at < kGroupKeys; ++at) {
    const Key* key = find_key(slots, at, mask);
    if (key != nullptr && key->n_users <= kMaxLinked && key->users[0] != buyer) unite(buyer, key->users[0]);
  }
}

/// Add what a mask says of an event's order to the totals of its buyer's group, or take it out.
void Groups::count(std::size_t event, std::int64_t mask, bool is_added) {
  const std::int32_t buyer = log_.slots(log_.events[event].order)[plan.buyer];
  if (buyer < 0 || members[buyer].parent_1 == 0) return;
  Member& root = members[find_root(buyer)];
  for (std::size_t at = 0; at < kGroupMeasures; ++at) {
    if (mask & plan.measures[at]) root.totals[at] += is_added ? 1U : ~0U;
  }
}

/// Let the events of one time count.
void Groups::apply_time(std::size_t begin, std::size_t end) {
  for (std::size_t event = begin; event < end; ++event) {
    if (log_.mask_of(event) & kOrderBit) join_users(event, log_.mask_of(event));
  }
  for (std::size_t event = begin; event < end; ++event) {
    if (log_.mask_of(event) & kOrderBit) unite_users(event, log_.mask_of(event));
  }
  for (std::size_t event = begin; event < end; ++event) {
    const std::int64_t mask = log_.mask_of(event);
    if (mask & kJudgementBit) {
      const std::int32_t replaced = log_.judgement_of(event).replaced_kind;
      if (replaced >= 0) count(event, log_.masks[replaced], false);
    }
    count(event, mask, true);
  }
}

/// Let the events before `end` count that were seen before `now`.
void Groups::apply_until(std::size_t end, std::int64_t now) {
  while (applied < end && log_.events[applied].seen_at < now) {
    const std::int64_t time = log_.events[applied].seen_at;
    std::size_t next = applied + 1;
    while (next < log_.events.size() && log_.events[next].seen_at == time) ++next;
    apply_time(applied, next);
    applied = next;
  }
}

/// Add the totals of a buyer's group to the sums, if they are not among them.
void Groups::add_group(std::int32_t buyer, Sums& sums) {
  const std::int32_t root = find_root(buyer);
  const auto end = sums.roots.begin() + sums.n_roots;
  if (std::find(sums.roots.begin(), end, root) != end) return;
  sums.roots[sums.n_roots++] = root;
  sums.n_buyers += members[root].n_buyers;
  for (std::size_t at = 0; at < kGroupMeasures; ++at)
    sums.totals[at] += static_cast<std::int32_t>(members[root].totals[at]);
}

/// Take an order's own events of the longest window out of the totals of its buyer's group.
void Groups::take_out(std::int32_t order, std::int64_t now, Sums& sums) const {
  const auto bound = static_cast<std::int32_t>(applied);
  for (std::int32_t event = log_.orders[order].latest_1 - 1; event >= 0; event = log_.before[event]) {
    const std::int64_t mask = log_.mask_of(event);
    if (event >= bound || now - log_.events[event].seen_at > longest_us_) continue;
    if ((mask & kJudgementBit) && log_.is_taken_back(event, bound)) continue;
    for (std::size_t at = 0; at < kGroupMeasures; ++at) {
      if (mask & plan.measures[at]) sums.totals[at] -= 1;
    }
  }
}

/// Write the features of the group that an order would join.
void Groups::write(std::size_t event, std::span<float> out) {
  const std::span<const std::int32_t> slots = log_.slots(log_.events[event].order);
  const std::int64_t mask = log_.mask_of(event);
  const std::int32_t buyer = slots[plan.buyer];
  bool is_known = buyer >= 0;
  Sums sums;
  if (buyer >= 0 && members[buyer].parent_1 != 0) {
    add_group(buyer, sums);
    sums.n_buyers -= 1;
    if (!(mask & kOrderBit)) take_out(log_.events[event].order, log_.events[event].seen_at, sums);
  }
  for (std::size_t at = 0; at < kGroupKeys; ++at) {
    const Key* key = find_key(slots, at, mask);
    if (key == nullptr) continue;
    is_known = true;
    const bool is_own = key->users[0] == buyer && sums.n_roots > 0;
    if (key->n_users > 0 && key->n_users <= kMaxLinked && !is_own) add_group(key->users[0], sums);
  }
  constexpr std::size_t kMalicious = 1, kInnocent = 2, kShare = 1 + kGroupMeasures;
  const auto total = [&sums](std::size_t at) { return static_cast<double>(sums.totals[at]); };
  const double n_decided = total(kMalicious) + total(kInnocent);
  for (std::size_t at = 0; at < plan.columns.size(); ++at) {
    if (plan.columns[at] < 0) continue;
    double value = std::numeric_limits<double>::quiet_NaN();
    if (is_known && at == 0) value = static_cast<double>(sums.n_buyers);
    if (is_known && at > 0 && at < kShare) value = total(at - 1);
    if (is_known && at == kShare && n_decided > 0)
      value = total(kMalicious) / n_decided;
    out[plan.columns[at]] = static_cast<float>(value);
  }
}

void Groups::replay(std::size_t begin, std::size_t end, std::int64_t until, const Batch& batch) {
  const std::size_t n_events = log_.events.size();
  for (std::size_t event = begin; event < end; ++event) {
    if (event + kFar < n_events) {
      prefetch_keys(event + kFar);
      prefetch_users(event + kNear);
    }
    const std::int32_t out_row = batch.out_row[event - batch.first];
    if (out_row < 0) continue;
    apply_until(event, log_.events[event].seen_at);
    write(event, batch.row(out_row));
  }
  apply_until(end, until);
}

}  // namespace ordervet::features
