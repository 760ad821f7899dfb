"""What commands about files say on the screen, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ordervet.policy import Lang

_WORDS: Final[dict[str, dict[Lang, str]]] = {
    "account": {
        "zh": "{file}：读入 {read:,} 行 = 采用 {accepted:,} + 合并 {merged:,} + 已有 {known:,} + 搁置 {aside:,}",
        "en": "{file}: {read:,} rows read = {accepted:,} accepted + {merged:,} merged + {known:,} already known + "
        "{aside:,} quarantined",
    },
    "lacking": {
        "zh": "  缺少证据的订单占比（共 {n:,} 单）：{what}",
        "en": "  missing evidence, share of {n:,} orders: {what}",
    },
    "masked": {"zh": "（{share:.0%} 脱敏）", "en": " ({share:.0%} masked)"},
    "undated": {"zh": "  没有日期而未采用：{what}", "en": "  left out for want of a date: {what}"},
    "unknown_states": {
        "zh": "  格式不认识的状态：{what}",
        "en": "  states that the format does not know: {what}",
    },
    "aside_none": {
        "zh": "没有整行被搁置，但有些行的部分内容未采用（{lines:,} 条）",
        "en": "no row was set aside, but parts of rows were left out ({lines:,} lines)",
    },
    "aside": {"zh": "{rows:,} 行被搁置（{lines:,} 条）", "en": "{rows:,} rows were set aside ({lines:,} lines)"},
    "see": {"zh": "见 {path}", "en": "see {path}"},
    "quarantine": {"zh": "用 --quarantine FILE 列出", "en": "--quarantine FILE lists them"},
    "validate": {"zh": "用 ordervet validate FILE... 列出", "en": "ordervet validate FILE... lists them"},
    "waiting": {
        "zh": "等待对应订单、订单到后才计入：{n:,}",
        "en": "waiting for their order, to count once it is brought in: {n:,}",
    },
    "differing": {
        "zh": "已有订单带来了不同的时间或金额，以最早的为准：{n:,}",
        "en": "known orders that came with another time or amount, of which the first stands: {n:,}",
    },
    "version": {"zh": "历史库现为版本 {n}", "en": "the history is at version {n}"},
    "as_it_was": {
        "zh": "历史库没有变化；再运行一次同样的命令即可，不会重复计入",
        "en": "the history is as it was; run the same command again, nothing is counted twice",
    },
    "written": {"zh": "已写出：{path}", "en": "written: {path}"},
    "key_written": {"zh": "密钥 {id} 已写入 {path}", "en": "key {id} written to {path}"},
    "no_key": {
        "zh": "未设置密钥：此密钥只在本次命令内有效（ordervet key new 可生成）",
        "en": "no key is set: this one lasts for this call only (ordervet key new makes one)",
    },
    "rotated": {
        "zh": "{history} 已改用密钥 {id}：{orders:,} 单订单，{later:,} 条后续事件",
        "en": "{history} is under key {id}: {orders:,} orders, {later:,} later events",
    },
    "rotated_without": {
        "zh": "未保留：{orders:,} 单不在任何文件中的订单，及其 {later:,} 条后续事件",
        "en": "dropped: {orders:,} orders that are in no file, and {later:,} later events of these",
    },
    "rotated_next": {
        "zh": "从现在起把 ORDERVET_KEY_FILE 指向新密钥文件；用旧密钥生成的名单需要重新生成",
        "en": "from now on, set ORDERVET_KEY_FILE to the new key's file, and make lists of keyed ids again",
    },
    "good": {"zh": "合格行：", "en": "good rows: "},
    "failures": {"zh": "{n:,} 条问题：", "en": "{n:,} failures:"},
    "orders": {"zh": "{n:,} 订单", "en": "{n:,} orders"},
    "outcomes": {"zh": "{n:,} 结果", "en": "{n:,} outcomes"},
    "verdicts": {"zh": "{n:,} 判定", "en": "{n:,} verdicts"},
    "corrections": {"zh": "{n:,} 更正", "en": "{n:,} corrections"},
}

_ENTITIES: Final[dict[str, str]] = {
    "buyer": "买家", "recipient": "收货人", "address": "地址", "phone": "电话", "device": "设备", "ip": "网络地址",
    "payment": "付款账户", "item": "商品", "category": "类目", "shop": "店铺", "channel": "渠道", "place": "楼栋",
}  # fmt: skip


def name_entity(name: str, lang: Lang) -> str:
    """Name an entity; one of a mapping goes by its own name."""
    return _ENTITIES.get(name, name) if lang == "zh" else name


def name_outcome(kind: str, lang: Lang) -> str:
    """Name what became of orders, in the words of the reasons."""
    from ordervet.policy.registry import load_registry

    return load_registry().columns[kind][lang]


def word(name: str, lang: Lang, **values: Any) -> str:  # noqa: ANN401 -- whatever the sentence quotes
    """Say something in one language.

    Parameters
    ----------
    name : of the sentence
    lang : "zh" or "en"
    values : what it quotes
    """
    return _WORDS[name][lang].format(**values)


def join(parts: list[str], lang: Lang) -> str:
    """Join the parts of a list."""
    return ("，" if lang == "zh" else ", ").join(parts)
