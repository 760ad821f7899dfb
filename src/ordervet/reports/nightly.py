"""A night as one self-contained page: what was decided and why, what drifted, what to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ordervet.policy.reason_registry import load_registry
from ordervet.reports.page import build_page
from ordervet.reports.plots import Line, draw_lines
from ordervet.reports.ring_table import build_rings
from ordervet.words import find_words, format_text, join_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from ordervet.words import Lang

    Words = Mapping[str, Any]

_N_DRIFTED, _N_EXPECTED, _N_REASONS, _N_LOOKED_AT, _N_NAMED = 10, 5, 12, 3, 5
#: Population stability from which a shift is worth a look.
_SHIFTED = 0.25


def build_nightly_page(record: dict[str, Any], *, lang: Lang) -> str:
    """Write a night as a page that needs nothing but itself.

    Parameters
    ----------
    record : what `nightly.night.run_night` tells, as plain values
    lang : language of the page
    """
    words = find_words("nightly", lang)
    curve = record["maturity_curve"]
    values = {
        "words": words,
        "verdict": describe_outcome(record, lang),
        "cutoff": _describe_cutoff(record, words),
        "simulated": format_text("notes.simulated", lang) if record["origin"].get("is_simulated") else "",
        "audit": describe_audit(record, lang),
        "claims": _build_claims(record, words, lang),
        "look": _list_findings(record, words, lang) or [words["look_nothing"]],
        "gates": _build_gates(record["gates"], words, lang),
        "flow": _draw_flow(record["label_flow"], words),
        "maturity": _draw_maturity(curve, words) if curve else "",
        "maturity_note": words["maturity_note"].format(days=f"{record['order_days']:g}"),
    }
    return build_page(
        "nightly.html",
        lang=lang,
        title=words["title"],
        styles=("base.css", "backtest.css", "nightly.css"),
        values=values | (_build_trial(record, words, lang) if record["metrics"] else {"metrics": None}),
    )


def _build_trial(record: dict[str, Any], words: Words, lang: Lang) -> dict[str, Any]:
    """Build what there is to see where a new model was learned."""
    return {
        "metrics": _build_metrics(record, words),
        "rings_words": find_words("rings", lang),
        "rings": build_rings(
            record["metrics"].get("rings") or [], lang, before=record["champion_metrics"].get("rings") or []
        ),
        "own_groups": _build_groups(record.get("groups") or [], record["origin"].get("offsets") or {}, words, lang),
        "drift": _build_drift(record["drift"], words),
        "drift_note": words["drift_note"].format(
            score=f"{record['score_psi']:.2f}", channel=f"{record['channel_psi']:.2f}"
        ),
        "reasons": _build_attribution(
            _label_reasons(record["attribution_drift"]["reasons"][:_N_REASONS], lang),
            "code",
            words["reason"],
            words,
            "{:.1%}",
        ),
        "features": _build_attribution(
            record["attribution_drift"]["features"], "name", words["feature"], words, "{:.3f}"
        ),
    }


def describe_missing(record: dict[str, Any], lang: Lang) -> list[str]:
    """Say what a night had too little of to learn from, and how long it will take; empty where it learned."""
    words = find_words("nightly", lang)
    return [
        words["missing"][each["what"]].format(have=f"{each['have']:,}", need=f"{each['need']:,}")
        + (words["in_days"].format(days=f"{each['days']:,}") if each["days"] else "")
        for each in record["missing"]
    ]


def describe_audit(record: dict[str, Any], lang: Lang) -> str:
    """Say how much malice was missed, as the audit tells; empty where there was none."""
    audit = record.get("audit")
    if audit is None:
        return ""
    values = {name: f"{audit[name]:,.0f}" for name in audit if not name.startswith("recall")}
    values |= {name: _percent(audit[name]) for name in audit if name.startswith("recall")}
    said: str = find_words("nightly", lang)["audit"].format(**values)
    return said


def describe_claims(record: dict[str, Any], lang: Lang) -> str:
    """Say what a night made of refund requests; empty where nothing was learned at all."""
    claims = record.get("claims")
    if claims is None:
        return ""
    words = find_words("nightly", lang)["claims"]
    missing = [
        words["missing_of"][each["what"]].format(have=f"{each['have']:,}", need=f"{each['need']:,}")
        for each in claims["missing"]
    ]
    values = {"missing": join_words(missing, lang) or words["too_few"]}
    for name, part in (("train", "train"), ("later", "holdout")):
        counts = claims["counts"][part]
        values[name] = words[name].format(n=f"{sum(counts.values()):,}", n_malicious=f"{counts['malicious']:,}")
    said: str = words[claims["outcome"]].format(**values)
    return said


def describe_outcome(record: dict[str, Any], lang: Lang) -> str:
    """Explain in one sentence what a night came to."""
    words = find_words("nightly", lang)
    champion = record["champion_id"]
    if record["is_starter"]:
        champion = words["starter"].format(model=champion)
    failed = [words["gate_names"][gate["name"]] for gate in record["gates"] if not gate["passed"]]
    open_gates = [gate for gate in record["gates"] if not is_decided(gate)]
    if record["missing"]:
        which = "waiting"
    elif open_gates and len(open_gates) == len(failed) and not record["serve_id"]:
        which = "undecided"
    elif not record["passed"]:
        which = "rescaled" if record["serve_id"] and not record.get("superseded_by") else "refused"
    else:
        which = "superseded" if record.get("superseded_by") else "promoted"
    said: str = words[which].format(
        model=record["model_id"],
        champion=champion,
        gates=join_words(failed, lang),
        live=record.get("superseded_by"),
        serves=record["serve_id"],
        by=max((gate["values"]["by"] for gate in open_gates), default=""),
        missing=join_words(describe_missing(record, lang), lang),
    )
    return said


def name_gate(name: str, lang: Lang) -> str:
    """Name a gate; one that this version does not know goes by its own name."""
    named: str = find_words("nightly", lang)["gate_names"].get(name, name)
    return named


def name_group(group: str, lang: Lang) -> str:
    """Name a look-alike group, and the channel of one that is of a channel."""
    name, _, channel = group.partition(":")
    named: str = find_words("nightly", lang)["group_names"][name]
    return f"{named} · {channel}" if channel else named


def describe_gate(gate: dict[str, Any], lang: Lang) -> tuple[str, str]:
    """Return a gate's name and its note in words."""
    words, values = find_words("nightly", lang), gate["values"]
    if "group_names" in values:
        values = values | {"names": join_words([name_group(each, lang) for each in values["group_names"]], lang)}
    note = words["gate_notes"][gate["note"]].format(**_fill(values)) if gate["note"] else ""
    if not is_decided(gate):
        note += words["not_decided"].format(more=values["more"], by=values["by"])
    return words["gate_names"][gate["name"]], note


def is_decided(gate: dict[str, Any]) -> bool:
    """Return whether more labels would change nothing about a gate's verdict; those of former versions do not say."""
    return bool(gate.get("is_decided", True))


def _describe_cutoff(record: dict[str, Any], words: Words) -> str:
    origin, metrics = record["origin"], record["metrics"]
    if metrics is None:
        waiting: str = words["cutoff_waiting"].format(
            as_of=record["as_of"][:16].replace("T", " "),
            version=origin["history_version"],
            n_orders=f"{origin['n_orders']:,}",
            n_labelled=f"{origin['n_labelled']:,}",
        )
        return waiting
    said: str = words["cutoff"].format(
        as_of=record["as_of"][:16].replace("T", " "),
        version=origin["history_version"],
        n_fitted=f"{origin['n_fitted']:,}",
        n_malicious=f"{origin['n_malicious']:,}",
        n_held=f"{metrics['n_orders']:,}",
        n_held_malicious=f"{metrics['n_malicious']:,}",
    )
    return said


def _list_findings(record: dict[str, Any], words: Words, lang: Lang) -> list[str]:
    lines = []
    for gate in record["gates"]:
        if not gate["passed"]:
            name, note = describe_gate(gate, lang)
            lines.append(words["look_gate"].format(gate=name, note=note) if note else name)
    lines += describe_missing(record, lang)
    lines += [words["look_fault"].format(fault=fault) for fault in record["champion_faults"]]
    gone = record["features_gone"]
    if gone:
        lines.append(words["look_gone"].format(n=len(gone), names=", ".join(gone[:_N_NAMED])))
    drifted = [each for each in record["drift"] if each["psi"] > _SHIFTED and not each["is_expected"]][:_N_LOOKED_AT]
    lines += [words["look_drift"].format(name=each["name"], psi=f"{each['psi']:.2f}") for each in drifted]
    lines += [
        words[f"look_{part}"].format(psi=f"{record[f'{part}_psi']:.2f}")
        for part in ("score", "channel")
        if (record[f"{part}_psi"] or 0.0) > _SHIFTED
    ]
    return lines


def _build_gates(gates: list[dict[str, Any]], words: Words, lang: Lang) -> dict[str, Any]:
    rows = []
    for gate in gates:
        name, note = describe_gate(gate, lang)
        verdict = "passed" if gate["passed"] else "failed" if is_decided(gate) else "open"
        rows.append([name, _number(gate["figure"]), _number(gate["bound"]), words[verdict], note])
    return {
        "titles": [words[each] for each in ("gate", "figure", "bound", "verdict", "note")],
        "rows": rows,
        "numbers": (2, 3),
        "bad": [at for at, gate in enumerate(gates) if not gate["passed"]],
    }


def _build_metrics(record: dict[str, Any], words: Words) -> dict[str, Any]:
    ours, theirs = record["metrics"], record["champion_metrics"]
    gains = {"ap": ours["gains"]["ap_gain"], "money": ours["gains"]["money_gain"]}
    rows = []
    for name, key in (("ap", "ap"), ("money", "money"), ("auc", "auc"), ("calibration", "calibration_error")):
        gain = gains.get(name)
        change = f"{gain['gain']:+.4f} [{_number(gain['low'])}, {_number(gain['high'])}]" if gain else ""
        rows.append([words[name], _number(ours[key]), _number(theirs.get(key)), change])
    for at, mine in enumerate(ours["at_alert_rate"]):
        other = theirs["at_alert_rate"][at]
        for name in ("recall", "precision"):
            title = words[f"{name}_at"].format(rate=f"{mine['alert_rate']:.1%}")
            rows.append([title, _percent(mine[name]), _percent(other.get(name)), ""])
    return {
        "titles": ["", words["challenger"], words["champion"], words["gain"]],
        "rows": rows,
        "numbers": (2, 3, 4),
        "bad": (),
    }


def _build_claims(record: dict[str, Any], words: Words, lang: Lang) -> dict[str, Any] | None:
    """Build what there is to see of refund requests."""
    claims = record.get("claims")
    if claims is None:
        return None
    own, rows = words["claims"], list[list[str]]()
    if ours := claims.get("metrics"):
        theirs = claims.get("champion_metrics") or {}
        rows = [[own["ap"], _number(ours["ap"]), _number(theirs.get("ap"))]]
        paid = ("honest_paid", "faulty_paid", "malicious_paid")
        rows += [[own[name], _percent(ours[name]), _percent(theirs.get(name))] for name in paid]
    return {
        "title": own["title"],
        "said": describe_claims(record, lang),
        "note": own["note"],
        "titles": ["", words["challenger"], words["champion"]],
        "rows": rows,
        "numbers": (2, 3),
        "bad": (),
    }


def _build_groups(
    groups: list[dict[str, Any]], offsets: dict[str, float], words: Words, lang: Lang
) -> dict[str, Any] | None:
    rows = [
        [
            name_group(row["group"], lang),
            f"{row['n_orders']:,}",
            *(_percent(row[name]) for name in ("alert_rate", "champion_rate", "plain_rate")),
            _describe_excess(row),
            _describe_group_state(row, words),
            f"{offsets[row['group']]:.2f}" if row["group"] in offsets else "–",
        ]
        for row in groups
    ]
    names = (
        "group",
        "group_orders",
        "group_rate",
        "champion",
        "group_plain",
        "group_excess",
        "verdict",
        "group_offset",
    )
    titles = [words[name] for name in names]
    return {"titles": titles, "rows": rows, "numbers": (2, 3, 4, 5, 6, 8), "bad": ()} if rows else None


def _describe_excess(row: dict[str, Any]) -> str:
    low, high = row["excess_low"], row["excess_high"]
    return "–" if low is None or high is None else f"{_percent(low)} – {_percent(high)}"


def _describe_group_state(row: dict[str, Any], words: Words) -> str:
    """Say whether a group is held fairly, or from when on that can be told."""
    said: str = words["group_states"][row["state"]]
    if row["by"]:
        said += words["group_by"].format(more=f"{row['more']:,}", by=row["by"])
    return said


def _build_drift(drift: list[dict[str, Any]], words: Words) -> dict[str, Any]:
    unexpected, expected = ([each for each in drift if each["is_expected"] is said] for said in (False, True))
    return {
        "titles": [words[each] for each in ("feature", "psi", "top_before", "top_now", "notice")],
        "rows": [
            [
                each["name"],
                f"{each['psi']:.3f}",
                _percent(each["before"]),
                _percent(each["now"]),
                words["is_expected"] if each["is_expected"] else "",
            ]
            for each in [*unexpected[:_N_DRIFTED], *expected[:_N_EXPECTED]]
        ],
        "numbers": (2, 3, 4),
        "bad": (),
    }


def _label_reasons(rows: list[dict[str, Any]], lang: Lang) -> list[dict[str, Any]]:
    """Add to each reason's code what it stands for."""
    registry = load_registry()
    said = []
    for row in rows:
        reason = registry.reasons.get(row["code"])
        entity = registry.entities[reason.entity][lang] if reason and reason.entity in registry.entities else ""
        words = [row["code"], entity, reason.label[lang] if reason else ""]
        said.append(row | {"code": " · ".join(word for word in words if word)})
    return said


def _build_attribution(rows: list[dict[str, Any]], key: str, title: str, words: Words, form: str) -> dict[str, Any]:
    return {
        "titles": [title, words["challenger"], words["champion"]],
        "rows": [[row[key], form.format(row["challenger"]), form.format(row["champion"])] for row in rows],
        "numbers": (2, 3),
        "bad": (),
    }


def _draw_flow(flow: list[dict[str, Any]], words: Words) -> Markup:
    most = max([1, *(max(day["malicious"], day["innocent"]) for day in flow)])
    x = [at / max(len(flow) - 1, 1) for at in range(len(flow))]
    lines = [Line(words[name], x, [day[name] / most for day in flow]) for name in ("malicious", "innocent")]
    ticks = _spread(flow[0]["days_ago"], 0) if flow else ()
    return draw_lines(
        lines, x_title=words["days_ago"], y_title=words["share"].format(n=f"{most:,}"), x_ticks=ticks, alt=words["flow"]
    )


def _draw_maturity(curve: list[float], words: Words) -> Markup:
    last = len(curve) - 1
    line = Line("", [at / last for at in range(len(curve))], curve)
    return draw_lines(
        [line], x_title=words["age"], y_title=words["arrived"], x_ticks=_spread(0, last), alt=words["maturity"]
    )


def _spread(first: int, last: int) -> list[str]:
    """Spread five whole numbers evenly."""
    return [f"{first + (last - first) * at / 4:.0f}" for at in range(5)]


def _fill(values: dict[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if value is None else value for name, value in values.items()}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"
