"""Options that several commands take, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Files = Annotated[
    list[Path],
    typer.Argument(
        help="Orders, outcomes, verdicts and corrections: CSV, JSONL, Parquet, Arrow or xlsx, in any order; each is "
        "recognised by its columns. A folder stands for its files named orders…, outcomes…, verdicts…, corrections…. "
        "Files and folders may lie in an object store: s3://BUCKET/FOLDER/orders.csv.",
        show_default=False,
    ),
]
FilesOrSource = Annotated[
    list[Path] | None, typer.Argument(help="Files as for `ordervet validate`; or give --source.", show_default=False)
]
Source = Annotated[
    Path | None,
    typer.Option(help="TOML file that names a database and what to read from it; see docs/sources.md."),
]
History = Annotated[Path, typer.Option("--history", help="Folder of the history.", show_default=False)]
HistoryFolder = Annotated[
    Path | None, typer.Option("--history", help="Folder of the history that `ordervet ingest` fills.")
]
FilesOrHistory = Annotated[
    list[Path] | None,
    typer.Argument(help="Files as for `ordervet score`; or give --history.", show_default=False),
]
Mapping = Annotated[
    str | None,
    typer.Option(
        help="TOML file that maps columns to fields; or the name of a shipped mapping, such as handbook.toml."
    ),
]
FormatName = Annotated[
    str, typer.Option("--format", help="Format of the files, one that `ordervet formats` lists; by default detected.")
]
TimeZone = Annotated[
    str | None,
    typer.Option(
        "--time-zone",
        help="Zone of times without an offset, such as Europe/Berlin; by default the format's.",
    ),
]
Shop = Annotated[
    str | None,
    typer.Option("--shop", help="Shop of the orders in files that name none: two shops can share order ids."),
]
Currency = Annotated[
    str | None,
    typer.Option("--currency", help="Currency of orders in files that name none, such as EUR."),
]
FormatsDir = Annotated[Path | None, typer.Option("--formats", help="Folder of your own formats.")]
ScriptsDir = Annotated[
    Path | None, typer.Option("--scripts", help="Folder of your own scripts, which replace or add to the shipped ones.")
]
Models = Annotated[
    Path | None,
    typer.Option(help="Folder of models; without it, or before the first promotion in it, the bundled starter."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
LangOption = Annotated[
    Literal["zh", "en"] | None,
    typer.Option("--lang", help="Language of everything printed, errors included; by default the locale's."),
]
Threads = Annotated[
    int, typer.Option(min=0, max=256, help="Threads; 0 uses every processor. Results do not depend on it.")
]
Maturity = Annotated[float, typer.Option(min=0, help="Days after which an order without a verdict counts as innocent.")]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="TOML file with LightGBM settings; see docs/definitions.md M1.")
]
Policy = Annotated[Path | None, typer.Option("--policy", help="Policy file; by default the shipped policy.")]
About = Annotated[str, typer.Option("--about", help="What the data is; recorded in the manifest and the card.")]
Simulated = Annotated[bool, typer.Option(help="The data is simulated: every figure will say so.")]
