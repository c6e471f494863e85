"""Closure of fresh twins holds the truth; the full series of thirty is in the closing note of the issue."""

from __future__ import annotations

import pyarrow as pa
import pytest

from rechannel.answers.answer import Answer, Provenance
from rechannel.answers.closure import ClosureQuestion, Surrounds, answer_closure
from rechannel.answers.money import Money
from rechannel.lab.twin import make_twin
from rechannel.lab.worlds import MadeWorld
from rechannel.tables.calendar import read_events
from rechannel.tables.panel import build_panel
from rechannel.tables.rivals import read_rivals
from rechannel.vocabulary.estimate import Quantity

SEEDS = range(9101, 9107)
HORIZON = 90
METRICS = ("visits", "orders", "gmv", "new_customers")
FEWEST = 4
"""Of six: a 90 % interval that is right holds fewer with probability .016, one that holds half of the time with .66."""


def ask(world: MadeWorld, tables: dict[str, pa.Table]) -> Answer:
    question = ClosureQuestion(world.closed_channel, world.on, (HORIZON,), announced=world.announced)
    around = Surrounds(read_events(tables["events"]), (), read_rivals(tables["rivals"]))
    stamp = Provenance("test", world.spec.seed, "0" * 64, "2025-01-01T00:00:00Z")
    return answer_closure(build_panel(tables["daily"]), around, question, Money("CNY"), stamp)


@pytest.mark.slow
def test_the_truth_lies_in_the_interval_of_the_eve() -> None:
    held = dict.fromkeys(METRICS, 0)
    for seed in SEEDS:
        world = make_twin(seed, touches=0)
        answer = ask(world, world.before())
        for metric in METRICS:
            value = answer.find(f"net_loss_{metric}", horizon=HORIZON).value
            assert isinstance(value, Quantity)
            low, high = value.quantiles.interval()
            truth = world.truth.net_loss(metric, HORIZON)
            held[metric] += low <= truth <= high
    assert min(held.values()) >= FEWEST, held
