#include "contributions.hpp"

#include <algorithm>
#include <stdexcept>

namespace ordervet::model {
namespace {

struct Step {
    std::uint32_t node; // of the forest
    bool is_right;
    double ratio; // the share of the node's training rows that took this step
};

//: A feature on the way to a leaf: the share of training rows that satisfy all its conditions, its place in the group's
//: entries, and which bits of a number are on it and what they must be.
struct Slot {
    std::uint32_t feature;
    double weight;
    std::uint32_t place, mask, wanted;
};

using Subsets = std::array<std::array<double, max_depth>, 1 << max_depth>;

//: Sums, over subsets of a leaf's other features, Shapley's weight times the share of rows that reach the leaf.
//:
//: The coefficients of the product of (weight + is_satisfied * y) over the other features, by powers of y, gather
//: subsets of equal size k, whose weight is k! (n - k - 1)! / n!.
double weigh(std::span<const Slot> slots, std::uint32_t satisfied, std::size_t left_out) {
    const std::size_t n = slots.size();
    std::array<double, max_depth + 1> product{1.0};
    for (std::size_t feature = 0; feature < n; ++feature) {
        if (feature == left_out) {
            continue;
        }
        const double is_satisfied = satisfied >> feature & 1;
        for (std::size_t power = n - 1; power > 0; --power) {
            product[power] = product[power] * slots[feature].weight + product[power - 1] * is_satisfied;
        }
        product[0] *= slots[feature].weight;
    }
    double total = 0.0;
    double weight = 1.0 / static_cast<double>(n);
    for (std::size_t size = 0; size < n; ++size) {
        total += product[size] * weight;
        weight *= static_cast<double>(size + 1) / static_cast<double>(std::max<std::size_t>(n - size - 1, 1));
    }
    return total;
}

class Builder {
public:
    Builder(const Forest& forest, Contributions& built, std::span<const double> node_count,
            std::span<const double> leaf_count)
        : forest(forest), built(built), node_count(node_count), leaf_count(leaf_count) {}

    void add_tree(const Tree& each) {
        tree = &each;
        if (tree->n_nodes > 0) {
            visit(0);
        }
    }

private:
    const Node& node_at(std::int32_t at) const { return forest.nodes[tree->first_node + static_cast<std::uint32_t>(at)]; }

    double count(std::int32_t at) const {
        return at < 0 ? leaf_count[tree->first_leaf + static_cast<std::uint32_t>(~at)]
                      : node_count[tree->first_node + static_cast<std::uint32_t>(at)];
    }

    Step step(std::int32_t at, bool is_right) const {
        const Node& node = node_at(at);
        return {tree->first_node + static_cast<std::uint32_t>(at), is_right,
                count(is_right ? node.right : node.left) / count(at)};
    }

    std::size_t count_nodes(std::int32_t at) const {
        return at < 0 ? 0 : 1 + count_nodes(node_at(at).left) + count_nodes(node_at(at).right);
    }

    //: Parts a subtree: what fits becomes a group, from left to right.
    void visit(std::int32_t at) {
        std::vector<std::uint32_t> leading;
        for (const Step& each : path) {
            const std::uint32_t feature = forest.nodes[each.node].feature;
            if (std::ranges::find(leading, feature) == leading.end()) {
                leading.push_back(feature);
            }
        }
        // NOTE: from a node to its child this never grows: a feature more at most, and a question less at least.
        if (at < 0 || leading.size() + count_nodes(at) <= group_bits) {
            add_group(at, leading);
            return;
        }
        for (const bool is_right : {false, true}) {
            path.push_back(step(at, is_right));
            visit(is_right ? node_at(at).right : node_at(at).left);
            path.pop_back();
        }
    }

    void add_group(std::int32_t root, const std::vector<std::uint32_t>& leading) {
        inside.clear();
        list_questions(root);
        Group group{static_cast<std::uint32_t>(built.bit_start.size() - 1),
                    static_cast<std::uint32_t>(leading.size() + inside.size()),
                    static_cast<std::uint32_t>(built.features.size()), 0, static_cast<std::uint32_t>(built.shares.size())};
        bit_of_lead = leading;
        for (const std::uint32_t feature : leading) {
            for (const Step& each : path) {
                if (forest.nodes[each.node].feature == feature) {
                    built.conditions.push_back({forest.steps[each.node].plane, each.is_right});
                }
            }
            built.bit_start.push_back(static_cast<std::uint32_t>(built.conditions.size()));
            built.features.push_back(feature);
        }
        for (const std::uint32_t node : inside) {
            built.conditions.push_back({forest.steps[node].plane, true});
            built.bit_start.push_back(static_cast<std::uint32_t>(built.conditions.size()));
            const auto own = std::span(built.features).subspan(group.first_feature);
            if (std::ranges::find(own, forest.nodes[node].feature) == own.end()) {
                built.features.push_back(forest.nodes[node].feature);
            }
        }
        group.n_features = static_cast<std::uint32_t>(built.features.size()) - group.first_feature;
        built.shares.resize(built.shares.size() + (std::size_t{1} << group.n_bits));
        n_leading_steps = path.size();
        add_leaves(root, group);
        built.groups.push_back(group);
    }

    //: The questions of a subtree, a node before what is below it, right before left.
    void list_questions(std::int32_t at) {
        if (at >= 0) {
            inside.push_back(tree->first_node + static_cast<std::uint32_t>(at));
            list_questions(node_at(at).right);
            list_questions(node_at(at).left);
        }
    }

    void add_leaves(std::int32_t at, const Group& group) {
        if (at < 0) {
            add_shares(forest.leaf_value[tree->first_leaf + static_cast<std::uint32_t>(~at)], group);
            return;
        }
        for (const bool is_right : {true, false}) {
            path.push_back(step(at, is_right));
            add_leaves(is_right ? node_at(at).right : node_at(at).left, group);
            path.pop_back();
        }
    }

    std::vector<Slot> list_slots(const Group& group) const {
        std::vector<Slot> slots;
        for (std::size_t depth = 0; depth < path.size(); ++depth) {
            const std::uint32_t feature = forest.nodes[path[depth].node].feature;
            auto slot = std::ranges::find(slots, feature, &Slot::feature);
            const bool is_first = slot == slots.end();
            if (is_first) {
                const auto own = std::span(built.features).subspan(group.first_feature, group.n_features);
                const auto place = static_cast<std::uint32_t>(std::ranges::find(own, feature) - own.begin());
                slot = slots.insert(slots.end(), {feature, 1.0, place, 0, 0});
            }
            slot->weight *= path[depth].ratio;
            const bool is_question = depth >= n_leading_steps;
            if (!is_question && !is_first) {
                continue;
            }
            const auto bit = is_question
                                 ? bit_of_lead.size() + static_cast<std::size_t>(std::ranges::find(inside, path[depth].node) - inside.begin())
                                 : static_cast<std::size_t>(std::ranges::find(bit_of_lead, feature) - bit_of_lead.begin());
            const std::uint32_t flag = 1U << (group.n_bits - 1 - bit);
            slot->mask += flag;
            slot->wanted += is_question && !path[depth].is_right ? 0 : flag;
        }
        return slots;
    }

    void add_shares(double leaf_value, const Group& group) {
        const std::vector<Slot> slots = list_slots(group);
        Subsets of_subset{};
        for (std::uint32_t satisfied = 0; satisfied < 1U << slots.size(); ++satisfied) {
            for (std::size_t feature = 0; feature < slots.size(); ++feature) {
                if ((satisfied >> feature & 1) == 0) {
                    const double share = weigh(slots, satisfied, feature);
                    of_subset[satisfied][feature] = leaf_value * (0 - slots[feature].weight) * share;
                    of_subset[satisfied | 1U << feature][feature] = leaf_value * (1 - slots[feature].weight) * share;
                }
            }
        }
        for (std::uint32_t number = 0; number < 1U << group.n_bits; ++number) {
            std::uint32_t satisfied = 0;
            for (std::size_t feature = 0; feature < slots.size(); ++feature) {
                satisfied |= ((number & slots[feature].mask) == slots[feature].wanted ? 1U : 0U) << feature;
            }
            auto& entry = built.shares[group.first_entry + number].shares;
            for (std::size_t feature = 0; feature < slots.size(); ++feature) {
                entry[slots[feature].place] += of_subset[satisfied][feature];
            }
        }
    }

    const Forest& forest;
    Contributions& built;
    std::span<const double> node_count, leaf_count;
    const Tree* tree = nullptr;
    std::size_t n_leading_steps = 0;
    std::vector<Step> path;
    std::vector<std::uint32_t> inside, bit_of_lead;
};

} // namespace

Contributions::Contributions(const Forest& forest_, std::span<const double> node_count, std::span<const double> leaf_count)
    : forest(forest_), bit_start{0} {
    if (!std::ranges::all_of(forest.trees, &Tree::is_shallow)) {
        throw std::invalid_argument("a tree is deeper than 6");
    }
    const auto is_positive = [](double count) { return count > 0; };
    if (node_count.size() != forest.nodes.size() || leaf_count.size() != forest.leaf_value.size() ||
        !std::ranges::all_of(node_count, is_positive) || !std::ranges::all_of(leaf_count, is_positive)) {
        throw std::invalid_argument("nodes lack counts of training rows");
    }
    Builder builder(forest, *this, node_count, leaf_count);
    for (const Tree& tree : forest.trees) {
        builder.add_tree(tree);
    }
    build_chunks();
}

void Contributions::build_chunks() {
    struct Place {
        std::uint32_t feature, group, place;
    };
    std::uint32_t n_shares = 0;
    for (std::size_t first = 0; first < groups.size(); first += chunk_groups) {
        const std::size_t n = std::min(chunk_groups, groups.size() - first);
        std::vector<Place> found;
        for (std::size_t number = first; number < first + n; ++number) {
            for (std::uint32_t place = 0; place < groups[number].n_features; ++place) {
                found.push_back({features[groups[number].first_feature + place], static_cast<std::uint32_t>(number), place});
            }
        }
        std::ranges::stable_sort(found, {}, &Place::feature);
        Chunk chunk{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(runs.size()), 0};
        for (const Place& each : found) {
            if (runs.size() == chunk.first_run || runs.back().feature != each.feature) {
                runs.push_back({each.feature, static_cast<std::uint32_t>(lookups.size()), 0});
            }
            ++runs.back().n_lookups;
            lookups.push_back({each.group, each.place, n_shares});
            n_shares += 1U << groups[each.group].n_bits;
        }
        chunk.n_runs = static_cast<std::uint32_t>(runs.size()) - chunk.first_run;
        chunks.push_back(chunk);
    }
}

std::span<const double> Contributions::turn_shares() const {
    std::call_once(is_turned, [this] {
        for (const Lookup& lookup : lookups) {
            const Group& group = groups[lookup.group];
            for (std::size_t number = 0; number < std::size_t{1} << group.n_bits; ++number) {
                by_feature.push_back(shares[group.first_entry + number].shares[lookup.place]);
            }
        }
    });
    return by_feature;
}

} // namespace ordervet::model
