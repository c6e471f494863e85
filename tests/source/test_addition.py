"""Additions: by key, all tables or none, the way out of what changed meanwhile, and several processes at once."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_cases import TODAY, admitted, daily, events, litter, make, rivals, said, snapshot, stored, touches

from rechannel.source.addition import add_files, add_relation, add_relations, add_to_case
from rechannel.source.store import create_case, open_case_folder
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.errors import CaseError, FileRefused, StoreError


def test_add_appends_and_replaces_by_key(tmp_path: Path) -> None:
    folder = create_case(tmp_path / "c", {"daily": daily(tmp_path / "d.csv")}, today=TODAY).folder
    text = (folder / "case.toml").read_text().replace('host = ""', 'host = "WeChat"', 1)
    (folder / "case.toml").write_text(text)
    case = open_case_folder(folder)
    before = case.data_sha256
    more = tmp_path / "more.csv"
    more.write_text("date,channel,visits,orders\n2025-02-09,app,139,3\n2025-02-10,app,7,4\n2025-02-10,entry,8,5\n")
    done = add_to_case(case, "daily", more, today=TODAY)
    assert (done.added, done.revised, done.rows) == (2, 1, 82)
    assert done.revised_keys == ("2025-02-09 app",)
    again = open_case_folder(folder)
    relation = again.relation("daily")
    assert relation is not None
    assert relation.num_rows == 82
    assert relation["visits"].to_pylist()[-3:] == [139.0, 7.0, 8.0]
    assert relation["orders"].to_pylist()[-3:] == [3.0, 4.0, 5.0]
    assert again.data_sha256 != before
    assert again.config.channels[0].host == "WeChat"
    assert again.config.tables["daily"].original == ("d.csv", "more.csv")
    assert len(list((folder / "data").iterdir())) == 1
    state = snapshot(folder)
    more.write_text("date,channel,visits\n2025-02-11,app,-7\n")
    with pytest.raises(FileRefused):
        add_to_case(again, "daily", more, today=TODAY)
    assert snapshot(folder) == state
    add_to_case(again, "touches", touches(tmp_path / "t.csv"), today=TODAY)
    assert re.fullmatch(r"[0-9a-f]{64}", open_case_folder(folder).config.salt)


def test_two_orders_of_one_second_are_two_touches(tmp_path: Path) -> None:
    head, at = "customer,time,channel,event,value\n", "u1,2025-01-01 11:00:00,app,order,"
    log, more = tmp_path / "t.csv", tmp_path / "more.csv"
    log.write_text(f"{head}{at}7\n{at}5\n{at}7\nu1,2025-01-01 10:00:00,app,visit,\n")
    made = create_case(tmp_path / "c", {"daily": daily(tmp_path / "d.csv"), "touches": log}, today=TODAY)
    loud = {(fault.code, fault.line, fault.severity) for fault in made.faults if fault.file == "t.csv"}
    assert {("RC150", 4, "warning"), ("RC185", 2, "note")} <= loud
    relation = open_case_folder(made.folder).relation("touches")
    assert relation is not None
    assert relation["value"].to_pylist() == [7.0, 5.0, None]
    for stated, added, revised, left in (
        (f"{at}5\n{at}8\n", 0, 1, [None, 5.0, 8.0]),  # the lower for the lower, the higher for the higher
        (f"{at}5\n{at}8\n{at}9\n", 1, 0, [None, 5.0, 8.0, 9.0]),
        (f"{at}5\n", 0, 0, [None, 5.0]),
    ):
        more.write_text(head + stated)
        done = add_to_case(open_case_folder(made.folder), "touches", more, today=TODAY)
        assert (done.added, done.revised) == (added, revised)
        relation = open_case_folder(made.folder).relation("touches")
        assert relation is not None
        assert relation["value"].to_pylist() == left


def test_all_files_come_in_or_none(tmp_path: Path) -> None:
    folder = create_case(tmp_path / "c", {"daily": daily(tmp_path / "d.csv")}, today=TODAY).folder
    state = snapshot(folder)
    good, bad = daily(tmp_path / "good.csv", 50), tmp_path / "e.csv"
    bad.write_text("start,end,kind\n2025-01-01,2025-01-01,sale\n")
    negative = tmp_path / "negative.csv"
    negative.write_text("date,channel,visits\n2025-02-11,app,-7\n")
    with pytest.raises(FileRefused) as refusal:
        add_files(open_case_folder(folder), {"daily": negative, "events": bad}, today=TODAY)
    assert {fault.file for fault in refusal.value.faults} == {"negative.csv", "e.csv"}
    with pytest.raises(FileRefused):
        add_files(open_case_folder(folder), {"daily": good, "events": bad}, today=TODAY)
    assert snapshot(folder) == state
    bad.write_text("start,end,kind\n2025-01-01,2025-01-01,promo\n")
    both = add_files(open_case_folder(folder), {"events": bad, "daily": good}, today=TODAY)
    assert [(one.table, one.added, one.revised, one.rows) for one in both] == [
        ("daily", 20, 0, 100),
        ("events", 1, 0, 1),
    ]


def test_rows_that_break_the_contract_only_together_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    rows = daily(file).read_text().splitlines()
    file.write_text("\n".join([rows[0] + ",market", *(f"{row},north" for row in rows[1:])]) + "\n")
    folder = create_case(tmp_path / "c", {"daily": file}, today=TODAY).folder
    state = snapshot(folder)
    more = tmp_path / "more.csv"
    more.write_text("date,channel,visits,market\n2025-01-03,app,5,all\n")
    with pytest.raises(FileRefused) as refusal:
        add_files(open_case_folder(folder), {"daily": more}, today=TODAY)
    assert [fault.code for fault in refusal.value.faults] == ["RC135"]
    assert snapshot(folder) == state
    more.write_text("date,channel,visits,market\n2025-01-03,app,5,south\n")
    assert add_files(open_case_folder(folder), {"daily": more}, today=TODAY)[0].rows == 81


def test_names_of_several_originals_are_kept_in_order(tmp_path: Path) -> None:
    folder = make(tmp_path / "c")
    case = open_case_folder(folder)
    add_relation(
        case, "events", replace(events(1), original=("x.csv", "y.csv"), sha256=("2" * 64, "3" * 64)), today=TODAY
    )
    source = open_case_folder(folder).config.tables["events"]
    assert source.original == ("events.csv", "x.csv", "y.csv")
    assert source.sha256 == ("0" * 64, "2" * 64, "3" * 64)


def test_what_the_case_declares_may_not_change_while_rows_are_read(tmp_path: Path) -> None:
    folder = make(tmp_path / "c")
    text = (folder / "case.toml").read_text()
    case = open_case_folder(folder)
    rows = admitted("touches", {"customer": ["a"], "time": [None], "channel": ["app"], "event": ["visit"]})
    for old, new, table in (
        ('timezone = "Asia/Shanghai"', 'timezone = "UTC"', events(1)),
        ('cadence = "daily"', 'cadence = "weekly"', events(1)),
        ('salt = "salt"', 'salt = "other"', rows),
    ):
        (folder / "case.toml").write_text(text.replace(old, new))
        state = snapshot(folder)
        opened = replace(case.config)
        case.config = opened
        with pytest.raises(StoreError, match="RC412"):
            add_relation(case, table.table, table, today=TODAY)
        assert snapshot(folder) == state
        (folder / "case.toml").write_text(text)
        case = open_case_folder(folder)
    add_relation(case, "events", events(1), today=TODAY)


def test_a_market_beside_the_sum_of_all_is_refused(tmp_path: Path) -> None:
    folder = create_case(tmp_path / "c", {"daily": daily(tmp_path / "d.csv")}, today=TODAY).folder
    more = tmp_path / "more.csv"
    more.write_text("date,channel,visits,market\n2025-01-03,app,5,south\n")
    with pytest.raises(FileRefused, match="RC100") as refusal:
        add_files(open_case_folder(folder), {"daily": more}, today=TODAY)
    assert [fault.code for fault in refusal.value.faults] == ["RC135"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[tables.events]", "[tables]\n[tables.events]"),
        ("[tables.events]", "[ tables . 'events' ]"),
        ("\n\n", "\r\n\r\n"),
        ("# A case", "\ufeff# A case"),
        ("store_version = 2\n", ""),
    ],
)
def test_any_layout_of_case_toml_takes_an_addition_or_is_left_alone(tmp_path: Path, old: str, new: str) -> None:
    folder = make(tmp_path / "c")
    place = folder / "case.toml"
    place.write_bytes(place.read_bytes().decode().replace(old, new, 1).encode())
    case = open_case_folder(folder)
    done = add_relations(case, {"events": events(1), "rivals": rivals(0)}, today=TODAY)
    assert [one.rows for one in done] == [2, 1]
    assert {table: len(rows) for table, rows in said(folder)[0].items()} == {"events": 2, "rivals": 1}
    assert litter(folder) == []


def test_tables_written_inline_are_left_alone(tmp_path: Path) -> None:
    folder = make(tmp_path / "c")
    place = folder / "case.toml"
    text = place.read_text()
    section = text[text.index("[tables.events]") : text.index("\n# Ranges")]
    entries = ", ".join(line for line in section.splitlines()[1:] if line)
    place.write_text(f"tables = {{ events = {{ {entries} }} }}\n" + text.replace(section, ""))
    state = stored(folder)
    with pytest.raises(CaseError, match="RC214"):
        add_relations(open_case_folder(folder), {"events": events(1), "rivals": rivals(0)}, today=TODAY)
    assert stored(folder) == state
    assert litter(folder) == []


def test_other_names_hold_for_every_table(tmp_path: Path) -> None:
    channels = (Channel("app", aliases=("手机应用",)),)
    folder = create_case(tmp_path / "c", {"daily": daily(tmp_path / "d.csv")}, channels=channels, today=TODAY).folder
    more, log, known = tmp_path / "more.csv", tmp_path / "t.csv", tmp_path / "e.csv"
    more.write_text("date,channel,visits\n2025-02-10,手机应用,7\n2025-02-10,ENTRY,8\n", encoding="utf-8")
    log.write_text("customer,time,channel,event\nu1,2025-01-01 10:00:00,手机应用,visit\n", encoding="utf-8")
    known.write_text("start,end,kind,channel\n2025-01-05,2025-01-05,outage,手机应用\n", encoding="utf-8")
    done = add_files(open_case_folder(folder), {"daily": more, "touches": log, "events": known}, today=TODAY)
    assert {fault.args["names"] for one in done for fault in one.faults if fault.code == "RC702"} == {
        "手机应用",
        "ENTRY",
    }
    case = open_case_folder(folder)
    for table in ("daily", "touches", "events"):
        relation = case.relation(table)
        assert relation is not None
        assert set(relation["channel"].to_pylist()) <= {"app", "entry"}
