"""The model card: what a model is, what it was learned from, what it can and cannot be used for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ordervet.reports.ring_table import build_rings
from ordervet.words import find_words, format_text
from ordervet.words.error_texts import translate_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ordervet.model import Model
    from ordervet.words import Lang

    Words = Mapping[str, Any]


def build_card(model: Model, lang: Lang = "en") -> str:
    """Write the card as Markdown; every figure in it is read from the manifest.

    Parameters
    ----------
    model : trained on orders, not only loaded from a booster
    lang : language of the words; what the data is stands as it was given
    """
    words, origin, metrics = find_words("card", lang), model.origin, model.metrics
    versions = ", ".join(f"{name} {version}" for name, version in sorted(origin["versions"].items()))
    sources = (
        translate_error(origin["about"], lang) if "about" in origin else words["about"],
        words["source_orders"].format(**origin),
        words["source_labels"].format(**origin),
        words["source_parts"].format(**origin),
        words["source_versions"].format(n_features=len(model.spec.names), seed=origin["seed"], versions=versions),
    )
    rates = [[f"{at[name]:.1%}" for name in ("alert_rate", "recall", "precision")] for at in metrics["at_alert_rate"]]
    measured = [
        _describe_kinds(metrics.get("kinds"), words),
        _describe_claims(metrics.get("claims"), words),
        _describe_rings(metrics.get("rings"), words, lang),
        _describe_trust(metrics.get("trust"), words),
    ]
    simulated = format_text("notes.simulated_data", lang) if origin.get("is_simulated") else ""
    parts = [
        f"# {words['title'].format(model_id=model.model_id)}",
        words["purpose"],
        f"## {words['sources']}\n{_list(sources)}",
        f"## {words['measured']}\n{words['holdout'].format(**metrics)}" + (f"\n{simulated}" if simulated else ""),
        words["figures"].format(**metrics),
        _build_table(words["rates"], rates),
        *(part for part in measured if part),
        f"## {words['limits']}\n{_list(words['limits_list'])}",
    ]
    return "\n\n".join(parts) + "\n"


def _describe_kinds(kinds: dict[str, Any] | None, words: Words) -> str:
    if kinds is None or not kinds["n_orders"]:
        return ""
    said: str = words["kinds_named" if kinds["right"] is None else "kinds_right"].format(**kinds)
    return said


def _describe_claims(claims: dict[str, Any] | None, words: Words) -> str:
    if claims is None or not claims["n_malicious"]:
        return ""
    faulty = "" if claims["faulty_paid"] is None else words["claims_faulty"].format(**claims)
    said: str = words["claims"].format(**claims, faulty=faulty)
    return said


def _describe_rings(rows: list[dict[str, Any]] | None, words: Words, lang: Lang) -> str:
    if not rows:
        return ""
    found = build_rings(rows, lang)
    return f"{words['rings']}\n\n{_build_table(found['titles'], found['rows'])}"


def _describe_trust(trust: dict[str, Any] | None, words: Words) -> str:
    if not trust:
        return ""
    columns = (trust[name] for name in ("p", "n_orders", "n_buyers", "share", "upper"))
    rows = [
        [f"{p:.4f}", f"{n_orders:,}", f"{n_buyers:,}", f"{share:.2%}", f"{upper:.2%}"]
        for p, n_orders, n_buyers, share, upper in zip(*columns, strict=True)
    ]
    return f"{words['trust'].format(**trust)}\n\n{_build_table(words['trust_columns'], rows)}"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _build_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (titles, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(titles)}", *lines[1:]])
