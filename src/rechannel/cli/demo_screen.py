"""The screen of `rechannel demo` for the twin: what was lost, what was said on the eve, what habit would have said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from rechannel.answers.answer import Answer
from rechannel.case import Run
from rechannel.cli.terminal import aligned, columns, language, put, wrapped
from rechannel.cli.verb import words
from rechannel.report import phrases
from rechannel.report.facts import CaseFacts
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import Estimate, Quantity
from rechannel.vocabulary.wording import text

HORIZON = 90
NAMED_PLACES, NAMED_CHANNELS = 4, 5


@dataclass(frozen=True, slots=True)
class Told:
    """What the maker of the twin knows.

    Attributes
    ----------
    facts
        The case, for names.
    channel, on, announced
        What closed, when, and when it was told.
    truth
        Figures of `truth.json` by horizon.
    worth
        Those of one quarter: its `period`, and `net_loss` by metric had the channel closed on its first day.
    margin
        The stated 90 % range.
    """

    facts: CaseFacts
    channel: str
    on: date
    announced: date
    truth: Mapping[str, Mapping[str, object]]
    worth: Mapping[str, object]
    margin: tuple[float, float]

    @property
    def asked_on(self) -> date:
        """A day to ask about next: the day after the data."""
        return (self.facts.last or self.on) + timedelta(days=1)

    def true_figure(self, *path: str) -> float:
        """A number of the truth at the horizon shown."""
        found: object = self.truth[str(HORIZON)]
        for key in path:
            assert isinstance(found, Mapping)
            found = found[key]
        assert isinstance(found, int | float)
        return float(found)


def show_twin(finished: Run, told: Told) -> None:
    """Loss beside truth and habit, where it went, profit, what was measured, and the exposure table."""
    spoken = language()
    answers = {answer.question: answer for answer in finished.answers}
    forecast = answers["closure"]
    days = {"on": numbers.day(told.on, spoken), "announced": numbers.day(told.announced, spoken)}
    _say(words("demo_happened", channel=told.facts.display(told.channel, spoken), **days))
    put()
    _losses(forecast, answers["impact"], told)
    put()
    _say(_caught(forecast, told))
    _say(_net(forecast, told))
    _say(answers["impact"].text[spoken])
    loss = forecast.find("net_loss_visits", horizon=HORIZON)
    for check in phrases.changes(loss, spoken)[:1]:
        _say(words("demo_check", check=check))
    put()
    _exposure(answers["exposure"], told)
    put()
    _say(words("demo_worth", text=answers["worth"].text[spoken]))
    _worth(answers["worth"], told)


def _say(paragraph: str) -> None:
    """A paragraph, its later lines set in."""
    first, *rest = wrapped(paragraph, columns())
    put(first)
    for line in wrapped("".join(f"{part} " for part in rest), columns(), "  ") if rest else ():
        put(line)


def _graded(value: Quantity) -> str:
    return f"{value.grade} {text(f'grade.{value.grade}', language())}"


def _cells(name: str, row: Estimate, *, graded: bool = True) -> list[str]:
    """Name, median, interval and grade of a row, or why there is no number."""
    if not isinstance(row.value, Quantity):
        return [name, "", row.value.message(language()), ""]
    low, high = row.value.quantiles.interval()
    median, span = numbers.apart(row.value.quantiles.median, low, high, language())
    return [
        name,
        median,
        span if low < high else "",
        _graded(row.value) if graded else "",
    ]


def _losses(forecast: Answer, measured: Answer, told: Told) -> None:
    spoken = language()
    eve = numbers.day(told.announced - timedelta(days=1), spoken)
    true, naive = (told.true_figure(*path) for path in (("net_loss", "visits"), ("before_after",)))
    lines = [
        [words("demo_really"), numbers.number(true, spoken), "", ""],
        _cells(words("demo_forecast", eve=eve), forecast.find("net_loss_visits", horizon=HORIZON)),
        _cells(words("demo_measured"), measured.find("net_loss_visits", horizon=HORIZON)),
        _cells(words("demo_last_touch"), _credited(forecast), graded=False),
        [words("demo_before_after"), numbers.number(naive, spoken), "", ""],
    ]
    header = [words("demo_head_loss", days=str(HORIZON)), words("demo_head_number")]
    header += [words("ask_head_interval"), words("ask_head_grade")]
    for line in aligned(header, lines, numbers=(1,)):
        put(line)


def _worth(answer: Answer, told: Told) -> None:
    """One quarter's orders by every method of credit, beside what would not have come and the truth."""
    spoken, period, true = language(), str(told.worth["period"]), told.worth["net_loss"]
    assert isinstance(true, Mapping)
    lines = [
        _cells(
            text(f"report.method.{method}", spoken),
            _of_quarter(answer, "credited_orders", period, method),
            graded=False,
        )
        for method in ("last_touch", "shapley", "removal")
    ]
    lines.append(_cells(words("demo_incremental"), _of_quarter(answer, "incremental_orders", period, None)))
    lines.append([words("demo_worth_really"), numbers.number(float(true["orders"]), spoken), "", ""])
    header = [words("demo_head_worth", period=period), words("demo_head_orders")]
    header += [words("ask_head_interval"), words("ask_head_grade")]
    for line in aligned(header, lines, numbers=(1,)):
        put(f"  {line}")


def _of_quarter(answer: Answer, metric: str, period: str, method: str | None) -> Estimate:
    return next(row for row in answer.estimates if (row.metric, row.period, row.method) == (metric, period, method))


def _credited(answer: Answer, channel: str | None = None) -> Estimate:
    return answer.find("credited_visits", horizon=HORIZON, channel=channel)


def _caught(forecast: Answer, told: Told) -> str:
    """Where the visits go, the largest places first; the last words are the truth."""
    spoken = language()
    shares: list[tuple[float, str]] = []
    for row in forecast.estimates:
        if row.metric == "diversion" and row.horizon_days == HORIZON and told.facts.owns(row.channel or ""):
            assert isinstance(row.value, Quantity)
            shares.append((row.value.quantiles.median, told.facts.display(row.channel or "", spoken)))
    shares.sort(reverse=True)
    places = [(name, share) for share, name in shares[:NAMED_PLACES]]
    for metric in ("to_rivals", "lost_outside"):
        value = forecast.find(metric, horizon=HORIZON).value
        if isinstance(value, Quantity):
            places.append((text(f"metric.{metric}", spoken), value.quantiles.median))
    kept = forecast.find("retained_own", horizon=HORIZON).value
    assert isinstance(kept, Quantity)
    listed = [words("demo_place", name=name, share=numbers.percent(share)) for name, share in places]
    rest = sum(share for share, _ in shares[NAMED_PLACES:])
    listed.insert(NAMED_PLACES, words("demo_rest", share=numbers.percent(rest)))
    low, high = kept.quantiles.interval()
    bracketed = f" ({numbers.percent_span(low, high)})" if spoken == "en" else f"（{numbers.percent_span(low, high)}）"
    return words(
        "demo_caught",
        places=_joined(listed),
        kept=f"{numbers.percent(kept.quantiles.median)}{bracketed}",
        really=numbers.percent(told.true_figure("retained_own")),
    )


def _joined(parts: Sequence[str]) -> str:
    return (", " if language() == "en" else "、").join(parts)


def _net(forecast: Answer, told: Told) -> str:
    """What the closure does to profit, as surely as its interval allows."""
    spoken, row = language(), forecast.find("net_profit_effect", horizon=HORIZON)
    if not isinstance(row.value, Quantity):
        return words("demo_unsaid", why=row.value.message(spoken))
    quantiles = row.value.quantiles
    low, high = quantiles.interval()
    key = "up" if low > 0 else "down" if high < 0 else "unclear"
    if key == "down":
        quantiles = quantiles.mirrored()
        low, high = quantiles.interval()
    amount = numbers.with_span(quantiles.median, low, high, spoken, told.facts.currency)
    return words(
        "demo_net",
        days=str(HORIZON),
        effect=words(f"demo_net_{key}", amount=amount),
        grade=str(row.value.grade),
        meaning=text(f"grade.{row.value.grade}", spoken),
        margin=numbers.RANGE.join(numbers.percent(end, width=1.0) for end in told.margin),
    )


def _exposure(answer: Answer, told: Told) -> None:
    """The first channels of the exposure table: last touch beside the loss."""
    spoken = language()
    on = numbers.day(date.fromisoformat(answer.asked["on"]), spoken)
    _say(words("demo_exposure", on=on, days=str(HORIZON)))
    order = [item.label for item in answer.evidence]
    lines = []
    for channel in order[:NAMED_CHANNELS]:
        name, loss, span, grade = _cells(
            told.facts.display(channel, spoken), answer.find("net_loss_visits", horizon=HORIZON, channel=channel)
        )
        lines.append([name, _cells("", _credited(answer, channel))[1], loss, span, grade])
    header = [words(f"demo_head_{name}") for name in ("channel", "last_touch", "closed")]
    header += [words("ask_head_interval"), words("ask_head_grade")]
    for line in aligned(header, lines, numbers=(1, 2)):
        put(f"  {line}")
    if len(order) > NAMED_CHANNELS:
        put(f"  {words('demo_more', count=str(len(order) - NAMED_CHANNELS))}")
