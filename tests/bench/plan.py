"""How large the measurements are: full, or small enough to see in seconds that the benchmark itself works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One shape of load."""

    name: str
    alerts: int
    connections: int
    requests: int

    @property
    def total(self) -> int:
        """How many alerts that is."""
        return self.alerts * self.requests


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything; ``folder`` is where ledgers lie, on a real disk.

    ``listed``: how many alerts Alertmanager lists. ``interval``: seconds between two rounds.
    """

    folder: Path
    rounds: int
    small: bool = False
    single: Shape
    grouped: Shape
    groups: int
    large_group: int
    open_alarms: int
    storm: int
    settle: float
    known: int
    clones: int
    listed: tuple[int, ...]
    interval: int


def plan(folder: Path, rounds: int, *, small: bool) -> Plan:
    """Return the plan of a run."""
    parts = 40 if small else 1
    return Plan(
        folder=folder,
        rounds=rounds,
        small=small,
        single=Shape(name="1 alert × 32 connections", alerts=1, connections=32, requests=20_000 // parts),
        grouped=Shape(name="50 alerts × 16 connections", alerts=50, connections=16, requests=2_000 // parts),
        groups=10_000 // parts,
        large_group=10_000 // parts,
        open_alarms=100_000 // parts,
        storm=10_000 // parts,
        settle=0.2 if small else 5.0,
        known=10_000 // parts,
        clones=3 if small else 100,
        listed=(10_000 // parts, 100_000 // parts),
        interval=1 if small else 30,
    )
