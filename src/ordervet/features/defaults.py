"""The built-in features, declared as patterns over derived names."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ordervet.features.spec import BUILT_IN_ENTITIES, ORDER_VALUES, FeatureSpec, expand_names

if TYPE_CHECKING:
    from collections.abc import Mapping

#: NOT hour and weekday: a model that knows them learns its own weeks, and ranks those of an opening evening worse.
_ORDER = (
    *(f"order__value__{value}" for value in ORDER_VALUES if value not in ("hour", "weekday")),
    "order__is__{household,dormitory,office,pick_up,village}",
)

# SPEED: an entity costs an order a walk through memory, each of its windows an expiry per event, each pair of entities
# that are counted apart (distinct, sameness) a look into a large table; another count in a window that is there is next
# to nothing. So: few windows, few pairs, and no second window where one tells as much (docs/evaluation.md, "Features").
_BUYER = (
    "buyer__count__order__{1h,90d}",
    "buyer__ratio__amount__90d",
    "buyer__count__{refund_requested,refund_only,refund_unexcused}__90d",
    "buyer__share__{refund_requested,refund_only,cancelled_unpaid}__90d",
    "buyer__count__{delivery_refused,claim,bad_review,chargeback,malicious,innocent}__90d",
    "buyer__{recency,age}__order",
    # What went beyond the expectation of the item or the campaign, as known then; no fault of the shop.
    "buyer__excess__{refund_only,refund_requested}__item__90d",
    "buyer__excess__{cancelled_unpaid,refund_before_shipping}__campaign__90d",
)

#: Address, phone, device and the like: what several buyers can have in common.
_SHARED = ("{entity}__distinct__buyer__90d", "{entity}__age__order")
_SHARED_ENTITIES = ("address", "place", "phone", "device", "ip", "payment")

#: At a shared place reuse alone says little; growth of new accounts, sameness of items and synchrony of refunds do.
_PLACES = (
    "{address,place,phone,device,ip}__count__malicious__90d",
    "{address,place}__share__new_account__90d",
    "place__distinct__buyer__1h",
    "place__count__order__90d",
    "place__share__{malicious,refund_requested}__90d",
    "place__excess__{refund_only,refund_requested}__item__90d",
    "place__sameness__item__90d",
    "place__synchrony__refund_requested__90d",
)

#: Buyers linked by phones, doors, devices and payment accounts.
_GROUP = ("group__count__{malicious,refund_requested}", "group__share__malicious")

#: What is bought: a rate here is an expectation, not a suspicion.
#: NOT rates of campaigns, channels and shops: they tell which weeks an order is from, and later weeks are ranked worse.
_CONTEXT = (
    "item__burst__order__1h",
    "item__share__new_account__1h",
    # A live stream's burst comes from as many devices as orders, a farm's from few, or to few doors.
    "item__sameness__{device,place}__1h",
    "item__mean__amount__30d",
    "item__share__{refund_requested,cancelled_unpaid,malicious}__30d",
    "category__share__refund_requested__30d",
)

#: A mapped entity is treated like a shared thing whose meaning is not known.
_MAPPED_ENTITY = (
    "{entity}__count__order__{1h,1d,7d,30d}",
    "{entity}__distinct__buyer__7d",
    "{entity}__mean__amount__30d",
    "{entity}__share__malicious__{1d,7d,30d}",
    "{entity}__age__order",
)

#: A mapped category enters as its point-in-time rates.
_MAPPED_CATEGORY = ("{entity}__count__order__1d", "{entity}__share__malicious__{7d,30d}")


def build_spec(
    *,
    entities: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    numbers: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    use_defaults: bool = True,
    time_zone: str = "Asia/Shanghai",
    rates: Mapping[str, float] = MappingProxyType({}),
) -> FeatureSpec:
    """Build the feature spec for the built-in entities and whatever a mapping adds.

    Parameters
    ----------
    entities, categories, numbers : mapped extras
    names : further features, as derived names or brace patterns
    use_defaults : False leaves only `names`
    time_zone : IANA name of the zone in which orders have an hour
    rates : what a unit of a currency is worth in `currencies.REFERENCE`, where not what `currencies.find_rate` says

    Raises
    ------
    MappingError
        A name does not fit; every wrong one is listed.
    """
    patterns: list[str] = []
    if use_defaults:
        patterns += [*_ORDER, *_BUYER]
        patterns += _fill(_SHARED, _SHARED_ENTITIES)
        patterns += [*_PLACES, *_GROUP, *_CONTEXT]
        patterns += _fill(_MAPPED_ENTITY, entities)
        patterns += _fill(_MAPPED_CATEGORY, categories)
        patterns += [f"order__number__{number}" for number in numbers]
    patterns += list(names)
    return FeatureSpec(
        names=expand_names(patterns),
        entities=(*BUILT_IN_ENTITIES, *entities, *categories),
        numbers=numbers,
        time_zone=time_zone,
        rates=tuple(sorted(rates.items())),
    )


def _fill(patterns: tuple[str, ...], entities: tuple[str, ...]) -> list[str]:
    return [pattern.replace("{entity}", entity) for entity in entities for pattern in patterns]
