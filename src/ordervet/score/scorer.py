"""The scorer that an order system imports: orders in, decisions out, outcomes and verdicts observed on the way."""

from __future__ import annotations

import logging
import time
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ordervet.entities import load_key
from ordervet.errors import ContractError, HistoryError, HistoryLockedError, ModelError, OrdervetError
from ordervet.model import find_live_model
from ordervet.policy import DecisionCode, keep_policy, load_policy
from ordervet.score.arrival import now_us
from ordervet.score.arriving import ArrivalScorer
from ordervet.score.compiling import compile_kernels
from ordervet.score.opening import find_bundled_models, load_live, open_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ordervet.history import Erased
    from ordervet.history.journal import Durability
    from ordervet.policy import Lang
    from ordervet.score.opening import Past

_log = logging.getLogger("ordervet")


class Scorer(ArrivalScorer):
    """Scores orders as they come, or tables of them, and remembers what it has seen.

    Open one with `Scorer.open`, and close it, or use it as a context manager. A scorer is used by one thread at a time.

    Parameters
    ----------
    model : the model that decides; None lets every order pass, coded UNSCORED_…
    policy : bands, actions, evidence
    key : the key of the ids; it must be the same for everything that shares a history
    predictor : the model's compiled forest, when it was built before
    code_without_model : why there is no model
    lang : language of the reasons
    n_jobs : threads for tables
    deadline_ms : a live score that takes longer is answered UNSCORED_LATE; None waits
    clock : gives the present instant, UTC microseconds; replaced in tests and replays
    memory : where events are remembered; None remembers them as long as the process lives
    """

    _models: Path | None = None
    _policies_in: Path | None = None
    _policy_path: str | Path | None = None
    _reload_every_s: float | None = None
    _looked_at_s = -inf

    @classmethod
    def open(
        cls,
        models: str | Path | None = None,
        *,
        history: Past | None = None,
        read_only: bool = False,
        durability: Durability = "batch",
        policy: str | Path | None = None,
        lang: Lang = "zh",
        n_jobs: int = 1,
        deadline_ms: float | None = None,
        clock: Callable[[], int] = now_us,
        challenger: str | None = None,
        shadow: str | Path | None = None,
        reload_every_s: float | None = None,
    ) -> Self:
        """Open a scorer with the live model of a models folder.

        It fails open: without a readable model or history the scorer works, and says so in every decision's code.

        Parameters
        ----------
        models : folder with a `live` pointer; None takes the bundled starter model
        history : the folder of a history store, which the scorer then adds to as its only writer until it is closed;
            or past events, or the files (or a folder of files) that hold them, in native form, which are only read
        read_only : read the store, and remember what follows as long as the process lives
        durability : what is acknowledged survives the death of the process; with "always" also that of the machine,
            with "batch" that a twentieth of a second later (docs/history.md)
        policy : a policy file; None takes the default
        lang, n_jobs, deadline_ms, clock : see the class
        challenger : id of a model of the folder that scores beside the live one, decides nothing, and is recorded
        shadow : file of these records; None takes ``shadow.sqlite`` in the folder of models
        reload_every_s : look for a new live model before a live order, when so many seconds have passed since the last
            look; None leaves it to `reload_if_changed`

        Raises
        ------
        HistoryError
            Another process is writing the history store, or this one may not.
        PolicyError, KeyMismatchError
            The policy file is wrong, or the key is not the history's: mistakes to mend, not to pass over.
        """
        compile_kernels()
        folder = Path(models) if models else find_bundled_models()
        model, predictor, code = load_live(folder)
        key = load_key()
        rules = load_policy(policy)
        try:
            memory = open_memory(
                history,
                key,
                model.spec if model else None,
                is_read_only=read_only,
                n_jobs=n_jobs,
                durability=durability,
            )
        except HistoryLockedError:
            raise
        except (OSError, ContractError, HistoryError) as error:
            _log.error("the history cannot be read: %s", getattr(error, "message", type(error).__name__))
            model, predictor, memory, code = None, None, None, DecisionCode.UNSCORED_BROKEN_HISTORY
        scorer = cls(
            model, rules, key, predictor=predictor, code_without_model=code, lang=lang,
            n_jobs=n_jobs, deadline_ms=deadline_ms, clock=clock, memory=memory,
        )  # fmt: skip
        scorer._models, scorer._policy_path = folder, policy
        if isinstance(history, (str, Path)) and memory is not None and memory.history_version is not None:
            scorer._policies_in = None if read_only else Path(history)
        scorer._keep_policy()
        scorer._reload_every_s, scorer._looked_at_s = reload_every_s, time.monotonic()
        if challenger is not None:
            from ordervet.score.shadow import open_shadow

            path = None if shadow is None else Path(shadow)
            scorer._shadow = open_shadow(folder, challenger, model, path=path, now_us=clock())
        return scorer

    def reload_if_changed(self) -> bool:
        """Take over the model that serves now, with its compiled forest and the policy; call it between orders.

        Where the new model has other features, its state is built from the history first. Until all of it stands, and
        whenever it cannot be had, the old model goes on deciding.

        Returns
        -------
        whether another model decides from now on

        Raises
        ------
        HistoryError
            The history cannot be replayed for the new model's features.
        PolicyError
            The policy file is wrong.
        """
        if self._models is None:
            return False
        try:
            if self.model is not None and find_live_model(self._models).name == self.model.model_id:
                return False
        except ModelError as error:
            _log.error("the live model cannot be found: %s", error.message)
            return False
        model, predictor, _ = load_live(self._models)
        if model is None or (self.model is not None and model.model_id == self.model.model_id):
            return False
        policy = load_policy(self._policy_path)
        if self.model is None or self.model.spec != model.spec:
            self._memory.rebuild(model.spec)
        self.model, self._predictor, self.policy = model, predictor, policy
        self._keep_policy()
        return True

    def erase_buyer(self, buyer_id: str) -> Erased:
        """Erase a buyer from the history store and from what is remembered; see `History.erase_buyer`.

        Raises
        ------
        HistoryError
            The scorer has no store, or it cannot be written.
        """
        return self._memory.erase_buyer(buyer_id)

    def flush(self) -> None:
        """Bring all that was acknowledged into the history store, for other processes to read.

        Raises
        ------
        HistoryError
            The store cannot be written; what was acknowledged is in the journal.
        """
        self._memory.flush()

    def close(self) -> None:
        """Bring everything into the history store, and let others write it."""
        self._memory.close()
        if self._shadow is not None:
            self._shadow.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look_for_new_model(self) -> None:
        """Take over a new live model, if it is time to look; whatever goes wrong, the old one goes on."""
        if self._reload_every_s is None or time.monotonic() - self._looked_at_s < self._reload_every_s:
            return
        self._looked_at_s = time.monotonic()
        try:
            self.reload_if_changed()
        except OrdervetError as error:
            _log.error("the new model was not taken over: %s", error.message)

    def _keep_policy(self) -> None:
        """Keep the policy beside the history store, for its decisions to be made again."""
        try:
            if self._policies_in is not None:
                keep_policy(self.policy, self._policies_in)
        except ContractError as error:
            _log.error("the policy was not kept: %s", error.message)
