"""docs/mappings.md: every key and reason is explained, its examples run, its lists are those of the mapping files."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields, replace
from datetime import date, timedelta
from pathlib import Path
from typing import get_args

import pytest
from exports import pdd
from exports.shop import made_shop

from rechannel.case import open_case
from rechannel.source.assemble import assemble
from rechannel.source.channelrules import LISTS, RULES
from rechannel.source.checks import Rules
from rechannel.source.export import (
    DATE_FIELDS,
    EVENT_FIELDS,
    ORDER_FIELDS,
    SOURCE_FIELDS,
    Counts,
    Export,
    Grain,
    Reason,
    Role,
)
from rechannel.source.imports import Imports, add_from_files, new_from_files
from rechannel.source.products import parse_product, products_with
from rechannel.source.store import create_case, open_case_folder
from rechannel.vocabulary.errors import FileRefused
from rechannel.vocabulary.estimate import Quantity
from rechannel.vocabulary.wording import LANGUAGES, catalogue

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "mappings.md").read_text(encoding="utf-8")


def example(name: str) -> str:
    """The block of the page behind `<!-- example: NAME -->`."""
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found.group(1)


def test_the_lists_are_those_of_the_mapping_files() -> None:
    spec = importlib.util.spec_from_file_location("mappings_script", ROOT / "scripts" / "mappings.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.page_with_lists(PAGE) == PAGE, "run make mappings"


def test_every_key_and_word_is_explained() -> None:
    explained = PAGE.split("## Products")[0]
    keys = {one.name for one in fields(Export)} - {"product", "export_id", "version", "own"}
    words = {*keys, *get_args(Reason), *get_args(Grain), *get_args(Role), *get_args(Counts), *RULES, *LISTS} - {""}
    words |= {*ORDER_FIELDS, *EVENT_FIELDS, *SOURCE_FIELDS, *DATE_FIELDS}
    assert (
        sorted(word for word in words if f"`{word}`" not in explained and f"[[export.{word}]]" not in explained) == []
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_and_count_has_a_sentence(language: str) -> None:
    known = catalogue("intake", language)  # type: ignore[arg-type]
    assert {f"left.{reason}" for reason in get_args(Reason)} <= set(known)
    assert {f"count.{counts}" for counts in get_args(Counts) if counts} <= set(known)


def test_the_worked_example_runs(tmp_path: Path) -> None:
    folder, own = tmp_path / "files", tmp_path / "counter.toml"
    folder.mkdir()
    own.write_text(example("counter.toml"), encoding="utf-8")
    title, header, *rows = example("counter.csv").splitlines()
    later = [
        row.replace("2025-03-03", str(date(2025, 3, 3) + timedelta(days=day))).replace(
            "Main", "Main" if day else "Front"
        )
        for day in range(30)
        for row in rows
    ]
    (folder / "counter.csv").write_text("\n".join([title, header, *later]) + "\n", encoding="utf-8")
    rules = Rules(date(2025, 12, 31), currency="EUR")
    made = assemble([folder], rules, products=products_with([own]))
    relation = made.tables["daily"].relation
    assert set(relation["channel"].to_pylist()) == {"Main door", "Car park"}
    assert relation.num_rows == 60
    assert relation["gmv"].to_pylist()[:2] == [310.5, 1250.0]
    assert made.files[0].left == {"Buyers": "buyers"}
    assert (made.counts, made.channels[0].names["zh-Hant"]) == ("visitors", "正門")
    with pytest.raises(FileRefused, match="RC740"):
        assemble([folder], replace(rules, currency="CNY"), products=products_with([own]))


def test_the_shop_names_its_order_event() -> None:
    product = parse_product(example("own.toml"), "own.toml")
    (export,) = product.exports
    assert export.order_events == ("payOrder",)
    assert export.visit_events
    assert export.columns["value"] == ("properties.order_amount",)
    assert export.columns["customer"] == ("distinct_id",)


def test_a_channel_is_declared_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    shop = made_shop(days=30)
    pdd.write(folder, shop)
    header, row, _ = example("counted.csv").splitlines()
    days = [row.replace("2025-03-03", str(day)) for day in shop.days]
    (tmp_path / "counted.csv").write_text("\n".join([header, *days]) + "\n", encoding="utf-8")
    case = tmp_path / "case"
    new_from_files(case, Imports([folder], {"daily": tmp_path / "counted.csv"}))
    answer = open_case(case).closure("私域社群", shop.days[-1] + timedelta(days=1), (30,))
    answered = {row.metric for row in answer.estimates if isinstance(row.value, Quantity)}
    assert {"visits_removed", "net_loss_visits"} <= answered


def test_the_channels_of_case_toml_are_as_the_page_says(tmp_path: Path) -> None:
    found = re.search(r"```toml\n(\[\[channels\]\].*?)```", PAGE, re.DOTALL)
    assert found
    rows = "".join(f"{date(2025, 3, 3) + timedelta(days=n)},关键词推广,{100 + n}\n" for n in range(30))
    (tmp_path / "d.csv").write_text("date,channel,visits\n" + rows, encoding="utf-8")
    folder = create_case(tmp_path / "case", {"daily": tmp_path / "d.csv"}).folder
    text = (folder / "case.toml").read_text(encoding="utf-8")
    before = text[text.index("[[channels]]") :].split("\n\n")[0]
    (folder / "case.toml").write_text(text.replace(before, found.group(1).strip()), encoding="utf-8")
    (channel,) = open_case_folder(folder).config.channels
    assert (channel.channel_id, channel.aliases, channel.host) == ("关键词推广", ("直通车",), "淘宝")
    (tmp_path / "more.csv").write_text("date,channel,visits\n2025-04-02,直通车,140\n", encoding="utf-8")
    add_from_files(open_case_folder(folder), Imports([tmp_path / "more.csv"], {}))
    relation = open_case_folder(folder).relation("daily")
    assert relation is not None
    assert set(relation["channel"].to_pylist()) == {"关键词推广"}
