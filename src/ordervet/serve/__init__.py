"""The service: one scorer for many workers, of any language, over HTTP; and its clients.

`scoring.py` is the thread that scores, `app.py` what is asked over HTTP, `listening.py` the sockets and the server,
`client.py` the other side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordervet.late_imports import export_lazily

if TYPE_CHECKING:
    from ordervet.serve.client import AsyncRemoteScorer, RemoteScorer

__all__ = ["AsyncRemoteScorer", "RemoteScorer"]

__getattr__ = export_lazily(__name__, {"client": "AsyncRemoteScorer RemoteScorer"})
