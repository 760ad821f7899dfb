"""The built-in features, declared as patterns over derived names."""

from __future__ import annotations

from ordervet.features.spec import BUILT_IN_ENTITIES, ORDER_VALUES, FeatureSpec, expand_names

_ORDER = (
    *(f"order__value__{value}" for value in ORDER_VALUES),
    "order__is__{household,dormitory,office,pick_up,village}",
)

_BUYER = (
    "buyer__count__order__{10m,1h,1d,7d,30d,90d}",
    "buyer__sum__amount__{1d,30d,90d}",
    "buyer__ratio__amount__90d",
    "buyer__drift__amount__{1d,7d}",
    "buyer__distinct__{address,device}__30d",
    "buyer__count__cancelled_unpaid__{1d,30d}",
    "buyer__count__cancelled_paid__30d",
    "buyer__count__refund_before_shipping__{1d,30d}",
    "buyer__count__refund_requested__{7d,30d,90d}",
    "buyer__count__refund_only__{30d,90d}",
    "buyer__count__refund_unexcused__90d",
    "buyer__share__{refund_requested,refund_only,cancelled_unpaid}__90d",
    "buyer__count__{delivery_refused,claim,bad_review,chargeback,malicious,innocent}__90d",
    "buyer__{recency,age}__order",
    # What went beyond the expectation of the item, its category and the campaign, as known then; no fault of the shop.
    "buyer__excess__{refund_only,refund_requested}__{item,category}__90d",
    "buyer__excess__{cancelled_unpaid,refund_before_shipping}__campaign__30d",
)

#: Address, place, phone, device, ip and the like: what several buyers can have in common.
_SHARED = (
    "{entity}__count__order__{10m,1h,1d,30d}",
    "{entity}__distinct__buyer__{1h,1d,30d}",
    "{entity}__count__refund_requested__30d",
    "{entity}__share__{refund_requested,cancelled_unpaid}__30d",
    "{entity}__count__malicious__90d",
    "{entity}__share__malicious__90d",
    "{entity}__age__order",
    "{entity}__excess__refund_only__item__90d",
    "{entity}__share__new_account__30d",
    "{entity}__sameness__item__30d",
)
_SHARED_ENTITIES = ("address", "place", "phone", "device", "ip", "payment")

#: At a shared place reuse alone says little; growth of new accounts, sameness of items and synchrony of refunds do.
_PLACES = (
    "{place,address}__excess__refund_requested__item__90d",
    "{place,address,ip}__count__new_account__1d",
    "{place,address,ip}__synchrony__refund_requested__30d",
    "place__sameness__item__1d",
)

#: Buyers linked by phones, doors, devices and payment accounts.
_GROUP = ("group__count__{malicious,refund_requested}", "group__share__malicious")

_RECIPIENT = ("recipient__distinct__{buyer,address}__30d", "recipient__count__malicious__90d")

#: What is bought and where: a rate here is an expectation, not a suspicion.
_CONTEXT = (
    "item__count__order__{10m,1h,1d,7d}",
    "item__distinct__buyer__1h",
    "item__burst__order__{10m,1h}",
    "item__share__new_account__{10m,1h}",
    "item__sameness__{device,ip}__{10m,1h}",
    "item__sameness__{place,channel}__1h",
    "item__mean__amount__30d",
    "item__share__{refund_requested,cancelled_unpaid,malicious}__30d",
    "item__count__seller_fault__30d",
    "category__share__{refund_requested,malicious}__30d",
    "shop__share__{refund_requested,malicious}__30d",
    "channel__count__order__{10m,1h,1d}",
    "channel__share__{refund_requested,cancelled_unpaid,malicious}__30d",
    "channel__burst__order__1h",
    "channel__share__new_account__1h",
    "campaign__share__{cancelled_unpaid,refund_before_shipping,malicious}__30d",
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
) -> FeatureSpec:
    """Build the feature spec for the built-in entities and whatever a mapping adds.

    Parameters
    ----------
    entities, categories, numbers : mapped extras
    names : further features, as derived names or brace patterns
    use_defaults : False leaves only `names`
    time_zone : IANA name of the zone in which orders have an hour

    Raises
    ------
    MappingError
        A name does not fit; every wrong one is listed.
    """
    patterns: list[str] = []
    if use_defaults:
        patterns += [*_ORDER, *_BUYER]
        patterns += _fill(_SHARED, _SHARED_ENTITIES)
        patterns += [*_PLACES, *_GROUP, *_RECIPIENT, *_CONTEXT]
        patterns += _fill(_MAPPED_ENTITY, entities)
        patterns += _fill(_MAPPED_CATEGORY, categories)
        patterns += [f"order__number__{number}" for number in numbers]
    patterns += list(names)
    return FeatureSpec(
        names=expand_names(patterns),
        entities=(*BUILT_IN_ENTITIES, *entities, *categories),
        numbers=numbers,
        time_zone=time_zone,
    )


def _fill(patterns: tuple[str, ...], entities: tuple[str, ...]) -> list[str]:
    return [pattern.replace("{entity}", entity) for entity in entities for pattern in patterns]
