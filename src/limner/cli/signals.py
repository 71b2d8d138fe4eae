"""Ctrl-C and SIGTERM as a wish to stop: the step is finished, the state saved, the exit code tells why."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Stop:
    """While entered, the first signal is remembered; a second of its kind acts at once, as it usually does.

    Call it to ask whether to stop.
    """

    def __init__(self) -> None:
        self._got = 0
        self._before: dict[int, signal._HANDLER] = {}  # pyright: ignore[reportPrivateUsage]

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self._got != 0

    @property
    def exit_code(self) -> int:
        """128 + the signal, 0 without one."""
        return 128 + self._got if self._got else 0

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._got = number
        signal.signal(number, self._before[number])
