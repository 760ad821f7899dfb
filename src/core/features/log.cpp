#include "log.hpp"

namespace ordervet::features {

Log::Log(const Shape& shape, std::size_t n_links)
    : events(fit_lines(sizeof(Event) + n_links * sizeof(std::int32_t))),
      orders(fit_lines(sizeof(Standing) + shape.n_entities * sizeof(std::int32_t))),
      weights(std::max<std::size_t>(shape.n_weights, 1) * sizeof(std::int32_t)),
      n_links_(n_links),
      n_entities_(shape.n_entities),
      n_weights_(shape.n_weights),
      first_order_entity_(shape.first_order_entity) {
  if (first_order_entity_ >= static_cast<std::int64_t>(n_entities_))
    throw std::invalid_argument("the plan of the features is wrong: entity of first orders");
}

std::int32_t Log::find_class(std::int64_t mask) {
  const auto found = std::find(masks.begin(), masks.end(), mask);
  if (found == masks.end()) {
    masks.push_back(mask);
    return static_cast<std::int32_t>(masks.size() - 1);
  }
  return static_cast<std::int32_t>(found - masks.begin());
}

void Log::append(std::int64_t seen_at, std::int64_t amount, std::int64_t mask, std::int32_t order) {
  const std::int32_t kind = find_class(mask);
  const auto number = static_cast<std::int32_t>(events.append());
  if (n_weights_ > 0) weights.append();
  if (mask & kJudgementBit) {
    const std::size_t judgement = judgements.append();
    Standing& standing = orders[order];
    std::int32_t before = -1;
    if (standing.judgement_1 > 0) {
      Judgement& replaced = judgements[standing.judgement_1 - 1];
      before = replaced.event;
      replaced.taken_back_by = number;
    }
    judgements[judgement] = {number, before, -1, standing.kind_1 - 1};
    standing = {static_cast<std::int32_t>(judgement + 1), kind + 1};
    amount = static_cast<std::int64_t>(judgement);
  }
  events[number] = {seen_at, amount, order, kind};
  for (std::int32_t& before : links(number)) before = -1;
}

std::int64_t Log::mark_first(std::int64_t seen_at, std::int32_t order) {
  if (first_order_entity_ < 0) return 0;
  const std::int32_t buyer = slots(order)[first_order_entity_];
  if (buyer < 0) return 0;
  std::int64_t& first = first_seen[buyer];
  if (first == kNever) first = seen_at;
  return first == seen_at ? kFirstOrderBit : 0;
}

std::size_t Log::count_before(std::int64_t seen_at) const {
  std::size_t low = 0, high = events.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (events[middle].seen_at < seen_at) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void Log::set_first_order_slots(std::size_t n_buyers) {
  if (first_order_entity_ < 0) return;
  while (first_seen.size() < n_buyers) first_seen[first_seen.append()] = kNever;
}

void Log::compact(std::size_t n_expired) {
  const auto moved = static_cast<std::int32_t>(n_expired);
  std::size_t n_judgements = 0;
  while (n_judgements < judgements.size() && judgements[n_judgements].event < moved) ++n_judgements;
  const auto judgements_moved = static_cast<std::int32_t>(n_judgements);
  events.erase_front(n_expired);
  if (n_weights_ > 0) weights.erase_front(n_expired);
  judgements.erase_front(n_judgements);
  for (std::size_t event = 0; event < events.size(); ++event) {
    for (std::int32_t& before : links(event)) before = std::max(before - moved, -1);
    if (mask_of(event) & kJudgementBit) events[event].amount -= judgements_moved;
  }
  for (std::size_t at = 0; at < judgements.size(); ++at) {
    Judgement& each = judgements[at];
    each.event -= moved;
    each.takes_back = std::max(each.takes_back - moved, -1);
    if (each.taken_back_by >= 0) each.taken_back_by -= moved;
  }
  for (std::size_t order = 0; order < orders.size(); ++order) {
    Standing& standing = orders[order];
    standing.judgement_1 = std::max(standing.judgement_1 - judgements_moved, 0);
  }
}

}  // namespace ordervet::features
