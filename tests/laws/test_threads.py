"""Threads: as many as find a free core, on planted machines with planted clocks; a number that was given is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from limner.core import threads
from limner.core.events import Look, Progress, Threads
from limner.core.threads import REST, WINDOW, Balance, balanced, fitting, quota, settle, shares


@dataclass
class Machine:
    """Cores and as many busy programs as one likes; each takes a core, which a thread of ours then shares with it.

    fair: programs wander, so that each thread is short of the same time; else they stay on their cores
    waiting: share of the time in which a training computes nothing, whatever is free
    """

    cores: int
    busy: int = 0
    fair: bool = False
    waiting: float = 0.0
    now: float = 0.0
    computed: float = 0.0
    measured: int = 0

    def shares(self, count: int) -> list[float]:
        self.measured += 1
        if self.fair:
            return [min(1.0, self.cores / (count + self.busy))] * count
        free = max(0, self.cores - self.busy)
        return [1.0 if k < free else 0.5 for k in range(count)]

    def step(self, count: int, seconds: float = WINDOW) -> None:
        """A training of so many threads computes while all of them have a core."""
        self.now += seconds
        self.computed += seconds * sum(self.shares(count)) * (1 - self.waiting)
        self.measured -= 1

    def balance(self, **more: int | bool) -> Balance:
        return Balance(**({"most": self.cores, "count": self.cores} | more), measure=self.shares,
                       clock=lambda: (self.now, self.computed))  # fmt: skip

    def train(self, balance: Balance, seconds: float) -> list[str]:
        """What is said meanwhile."""
        end, said = self.now + seconds, []
        while self.now < end:
            self.step(balance.count)
            said += filter(None, [balance.check()])
        return said


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (Machine(1), 1),
        (Machine(1, busy=5), 1),
        (Machine(2), 2),
        (Machine(2, busy=1), 1),
        (Machine(2, busy=1, fair=True), 1),
        (Machine(2, busy=9), 1),
        (Machine(16, busy=1), 15),
        (Machine(16, busy=5), 11),
        (Machine(16, busy=1, fair=True), 16),  # each lacks a seventeenth of its core
        (Machine(8, busy=8, fair=True), 1),
    ],
)
def test_as_many_threads_as_there_are_free_cores(machine: Machine, expected: int) -> None:
    assert fitting(machine.cores, machine.shares) == expected


def test_one_thread_needs_no_measurement() -> None:
    machine = Machine(1, busy=3)
    assert fitting(1, machine.shares) == 1 and machine.measured == 0


def test_a_quiet_machine_is_never_measured() -> None:
    machine = Machine(4)
    assert machine.train(machine.balance(), 3600) == [] and machine.measured == 0


def test_threads_go_at_once_when_a_program_comes_and_come_back_when_it_goes() -> None:
    machine = Machine(2)
    balance = machine.balance()
    assert machine.train(balance, 60) == []
    machine.busy = 1
    (said,) = machine.train(balance, 2 * WINDOW)
    assert balance.count == 1 and said.startswith("1 instead of 2: other programs") and "75%" in said
    assert machine.train(balance, 3600) == [] and balance.count == 1
    assert machine.measured < 3600 / REST + 2, "a measurement costs as much as 50 ms of training"
    machine.busy = 0
    (said,) = machine.train(balance, 2 * REST + WINDOW)
    assert balance.count == 2 and "free cores again" in said


def test_a_program_that_comes_and_goes_does_not_make_the_number_swing() -> None:
    machine, said = Machine(2), []
    balance = machine.balance()
    for _ in range(120):  # an hour of half a minute busy, half a minute idle
        machine.busy = 1 - machine.busy
        said += machine.train(balance, 30)
    assert len(said) < 40


def test_what_waits_for_something_else_keeps_its_threads() -> None:
    """For a disk, say: computing time is short, but every core is free."""
    machine = Machine(4, waiting=0.6)
    balance = machine.balance()
    assert machine.train(balance, 600) == [] and balance.count == 4
    assert machine.measured <= 600 / REST + 1


def test_a_number_that_has_to_stay_stays_and_that_is_said_once() -> None:
    machine = Machine(2, busy=1)
    balance = machine.balance(held=True)
    (said,) = machine.train(balance, 3600)
    assert balance.count == 2 and "1 thread would be faster" in said and "--threads 1" in said


def test_a_window_holds_training_steps_only() -> None:
    """A look, in which little is computed, is no sign of a busy machine."""
    machine = Machine(2)
    balance = machine.balance()
    machine.now += 30
    balance.restart()
    assert machine.train(balance, 60) == [] and machine.measured == 0


def test_between_two_steps_the_number_is_set_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(2, busy=1)
    used: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)

    def events() -> object:
        for k in range(3):
            machine.step(2 - len(used))
            yield Progress(8 * k, 0.1, machine.now)
        yield Look(24, 0.2, machine.now)

    seen = list(balanced(events(), machine.balance()))  # pyright: ignore[reportArgumentType]
    assert [type(event) for event in seen] == [Progress, Threads, Progress, Progress, Look]
    assert used == [1] and isinstance(seen[1], Threads) and (seen[1].nimg, seen[1].count) == (0, 1)


def refuse(count: int) -> None:
    raise AssertionError(f"set to {count}")


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_number_that_was_given_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv(name, "3")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", refuse)
    assert settle.__wrapped__() == 3


def test_without_one_what_is_free_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, count = Machine(4, busy=1), [4]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: count[-1])
    monkeypatch.setattr(torch, "set_num_threads", count.append)
    monkeypatch.setattr(threads, "most", lambda: 4)
    monkeypatch.setattr(threads, "shares", machine.shares)
    assert settle.__wrapped__() == 3 and count == [4, 3]


@pytest.mark.slow  # of the machine itself: beside other tests its threads get less than their share
def test_shares_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 16 threads in one process no more can compute than there are cores; one alone gets some of one."""
    import os

    monkeypatch.setattr(threads, "SPINNING", 0.01)
    (alone,) = shares(1)
    many = shares(16)
    assert 0 < alone < 1.2 and len(many) == 16
    assert sum(many) < 1.5 * (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_the_quota_of_a_container(tmp_path: Path, files: dict[str, str], expected: float) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota(tmp_path) == expected


@pytest.mark.parametrize(("limit", "expected"), [(1.5, 1), (0.2, 1), (3.0, 3), (math.inf, 8)])
def test_no_more_threads_than_the_quota(monkeypatch: pytest.MonkeyPatch, limit: float, expected: int) -> None:
    most: Callable[[], int] = threads.most.__wrapped__
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(threads, "quota", lambda: limit)
    assert most() == expected
