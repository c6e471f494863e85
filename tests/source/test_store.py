"""The case folder: whole or not at all, the same bytes for the same files, faults of case.toml with their place."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_cases import TODAY, admitted, daily, events, make, snapshot, touches

from rechannel.source.addition import add_relation, add_to_case
from rechannel.source.config import Assumption, CaseConfig, read_config
from rechannel.source.store import case_faults, create_case, open_case_folder, store_case, store_faults
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.errors import CallError, CaseError, FileRefused, RechannelError, StoreError
from rechannel.vocabulary.wording import LANGUAGES


def test_the_same_files_make_the_same_case(tmp_path: Path) -> None:
    files = {"daily": daily(tmp_path / "d.csv"), "touches": touches(tmp_path / "t.csv")}
    one = create_case(tmp_path / "1", files, today=TODAY, name="n")
    other = create_case(tmp_path / "2", files, today=TODAY, name="n")
    assert snapshot(one.folder) == snapshot(other.folder)
    opened = open_case_folder(one.folder)
    assert opened.config == one.config
    assert opened.data_sha256 == open_case_folder(other.folder).data_sha256
    assert [channel.channel_id for channel in opened.config.channels] == ["app", "entry"]
    assert opened.relation("events") is None
    stored = opened.relation("touches")
    assert stored is not None
    assert "u1" not in stored["customer"].to_pylist()
    assert b"u1" not in (one.folder / "data" / "touches.parquet").read_bytes()
    assert opened.config.tables["daily"].original == ("d.csv",)
    assert str(tmp_path) not in (one.folder / "case.toml").read_text()
    assert {fault.code for fault in case_faults(opened)} == {"RC171", "RC172", "RC173"}


def test_a_refusal_stores_nothing_and_lists_the_faults_of_all_files(tmp_path: Path) -> None:
    bad = tmp_path / "e.csv"
    bad.write_text("start,end,kind\n2025-01-01,2025-01-01,sale\n")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileRefused) as refusal:
        create_case(tmp_path / "c", {"daily": daily(tmp_path / "d.csv", 10), "events": bad}, today=TODAY)
    assert {fault.code for fault in refusal.value.faults} == {"RC138", "RC129"}
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "d.csv"])


def test_calls_that_cannot_be(tmp_path: Path) -> None:
    file = daily(tmp_path / "d.csv")
    for call, code in (
        ({"tables": {}}, "RC305"),
        ({"timezone": "Mars/Olympus"}, "RC306"),
        ({"timezone": "../../etc/passwd"}, "RC306"),
        ({"currency": "yuan"}, "RC307"),
        ({"tables": {"daily": tmp_path / "none.csv"}}, "RC310"),
    ):
        with pytest.raises(CallError, match=code):
            create_case(tmp_path / "c", **({"tables": {"daily": file}} | call))
    with pytest.raises(CaseError, match="RC201"):
        create_case(tmp_path, {"daily": file}, today=TODAY)
    (tmp_path / "empty").mkdir()
    assert create_case(tmp_path / "empty", {"daily": file}, today=TODAY).folder.is_dir()
    with pytest.raises(CaseError, match="RC202"):
        open_case_folder(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ('cadence = "daily"', "cadence = daily", "RC203", "line 5, column 11"),
        ('cadence = "daily"', 'cadence = "monthly"', "RC204", "line 5, column 11"),
        ("seed = 20250930", 'seed = "x"', "RC204", "line 6, column 8"),
        ('timezone = "Asia/Shanghai"', 'timezone = "Nowhere"', "RC204", "line 4, column 12"),
        ('currency = "CNY"', "currency = 3", "RC204", "line 3, column 12"),
        ("rows = 80", "rows = true", "RC204", "line 14, column 8"),
        ('file = "daily.parquet"', 'file = "../daily.parquet"', "RC204", "line 13, column 8"),
        ("[tables.daily]", "[tables.dialy]", "RC204", "line 12, column 1"),
    ],
)
def test_faults_of_case_toml_have_a_place(tmp_path: Path, old: str, new: str, code: str, place: str) -> None:
    folder = create_case(tmp_path / "c", {"daily": daily(tmp_path / "d.csv")}, today=TODAY).folder
    text = (folder / "case.toml").read_text()
    assert old in text
    (folder / "case.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(CaseError) as error:
        read_config(folder)
    assert error.value.code == code
    assert place in error.value.message("en")


@pytest.mark.parametrize("file", ["daily.parquet", "touches.parquet"])
def test_no_flipped_byte_of_a_data_file_changes_a_value(tmp_path: Path, file: str) -> None:
    files = {"daily": daily(tmp_path / "d.csv"), "touches": touches(tmp_path / "t.csv")}
    folder = create_case(tmp_path / "c", files, today=TODAY).folder
    table, path = file.removesuffix(".parquet"), folder / "data" / file
    body = path.read_bytes()
    for place in range(0, len(body), 31):
        path.write_bytes(body[:place] + bytes([body[place] ^ 1 << place % 8]) + body[place + 1 :])
        with pytest.raises(CaseError, match="RC209") as error:
            open_case_folder(folder).relation(table)
        assert file in error.value.message("zh-Hans")
    path.write_bytes(body)
    assert open_case_folder(folder).relation(table) is not None


def test_a_data_file_edited_by_hand_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = create_case(tmp_path / "c", {"daily": daily(tmp_path / "d.csv")}, today=TODAY).folder
    path = folder / "data" / "daily.parquet"
    relation = pq.read_table(path)
    pq.write_table(relation.slice(1), path)
    for read in (lambda case: case.relation("daily"), lambda case: case.data_sha256):
        with pytest.raises(CaseError, match="RC209") as error:
            read(open_case_folder(folder))
        for language in LANGUAGES:
            assert "d.csv" in error.value.message(language)
            assert "rechannel new" in error.value.message(language)
    taken = create_case(tmp_path / "taken", {"daily": path}, today=TODAY)
    assert open_case_folder(taken.folder).relation("daily").num_rows == 79
    text = (folder / "case.toml").read_text()
    pq.write_table(relation, path)
    (folder / "case.toml").write_text(text.replace("rows = 80", "rows = 79"))
    with pytest.raises(CaseError, match="RC209"):
        open_case_folder(folder).relation("daily")


def early(folder: Path) -> Path:
    """The same case as store version 1 wrote it: no salt without touches, no SHA-256 of data files, no lock."""
    place = folder / "case.toml"
    lines = [line for line in place.read_text().splitlines() if not line.startswith(("file_", "salt"))]
    place.write_text("\n".join(lines).replace("store_version = 2", "store_version = 1") + "\n")
    (folder / ".lock").unlink()
    return folder


def test_a_case_of_the_earlier_version_is_read_and_gets_its_proofs_with_the_next_addition(tmp_path: Path) -> None:
    files = {"daily": daily(tmp_path / "d.csv")}
    now = open_case_folder(create_case(tmp_path / "now", files, today=TODAY).folder)
    folder = early(create_case(tmp_path / "c", files, today=TODAY).folder)
    before = snapshot(folder)
    case = open_case_folder(folder)
    assert case.data_sha256 == now.data_sha256
    (note,) = store_faults(case)
    assert (note.code, note.severity) == ("RC190", "note")
    assert "daily.parquet" in note.message("en")
    assert snapshot(folder) == before
    add_relation(case, "events", events(0), today=TODAY)
    assert store_faults(open_case_folder(folder)) == ()
    config = read_config(folder)
    assert (config.store_version, config.tables["daily"]) == (2, now.config.tables["daily"])
    add_to_case(case, "touches", touches(tmp_path / "t.csv"), today=TODAY)
    with_touches = {**files, "touches": tmp_path / "t.csv"}
    other = open_case_folder(create_case(tmp_path / "other", with_touches, today=TODAY).folder)
    assert read_config(folder).salt == other.config.salt
    assert case.relation("touches").equals(other.relation("touches"))


def test_a_case_is_made_from_tables_already_admitted(tmp_path: Path) -> None:
    rows = {"date": [date(2025, 1, 1)], "channel": ["app"], "visits": [5.0]}
    two = replace(admitted("daily", rows), original=("a.xlsx", 'bad\udcff name\n".csv'), sha256=("0" * 64, "1" * 64))
    declared = CaseConfig(
        "n",
        "USD",
        "UTC",
        "weekly",
        {},
        channels=(Channel("live", {"en": "Live"}, "Host", "live", "top", "shop", ("直播", 'a "b"')),),
        assumptions={"x y": Assumption(0.1, 0.2, "s", "share")},
        margin=Assumption(0.1, 0.2, "s"),
        host={"ads": Assumption(1, 2, "s")},
        seed=3,
        salt="salt",
    )
    made = store_case(tmp_path / "c", {"daily": two}, declared)
    opened = open_case_folder(made.folder)
    assert opened.config == made.config
    assert opened.config.channels == (*declared.channels, Channel("app"))
    assert (opened.config.host, opened.config.seed, opened.config.salt) == (declared.host, 3, "salt")
    assert opened.config.tables["daily"].original == ("a.xlsx", 'bad\\udcff name\n".csv')
    assert opened.config.tables["daily"].sha256 == two.sha256
    with pytest.raises(CaseError, match="RC201"):
        store_case(tmp_path / "c", {"daily": two}, declared)
    for wrong in (replace(declared, margin=Assumption(0.1, 0.2, "")), replace(declared, currency="yuan")):
        with pytest.raises(CaseError, match="RC204"):  # it could not be opened again
            store_case(tmp_path / "d", {"daily": two}, wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_an_opened_case_is_a_snapshot(tmp_path: Path) -> None:
    folder = make(tmp_path / "c")
    readers = [open_case_folder(folder)]
    for day in range(1, 4):
        add_relation(open_case_folder(folder), "events", events(day), today=TODAY)
        readers.append(open_case_folder(folder))
    assert [reader.relation("events").num_rows for reader in readers] == [1, 2, 3, 4]
    assert len({reader.data_sha256 for reader in readers}) == 4
    assert len(list((folder / "data").iterdir())) == 1
    readers[0].refresh()
    assert readers[0].relation("events").num_rows == 4


def test_a_folder_that_may_not_be_read_or_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "c")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
        with pytest.raises(CaseError, match="RC215"):
            open_case_folder(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
        with pytest.raises(CaseError, match="RC207"):
            open_case_folder(folder)
    case = open_case_folder(folder)
    shutil.rmtree(folder)
    assert case.relation("events") is not None
    with pytest.raises(CaseError, match="RC213"):
        add_relation(case, "events", events(1), today=TODAY)
    with pytest.raises(StoreError, match="RC407"), case.new_run():
        pass
    with pytest.raises(CaseError, match="RC202"):
        case.refresh()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("body", [b"", b"\n \n", b"\0" * 100, b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_case_toml_is_no_case_without_tables(tmp_path: Path, body: bytes) -> None:
    folder = make(tmp_path / "c")
    (folder / "case.toml").write_bytes(body)
    with pytest.raises(CaseError, match="RC203"):
        open_case_folder(folder)


def test_ranges_of_case_toml(tmp_path: Path) -> None:
    given = {"retained": Assumption(0.2, 0.6, "panel of experts", "share")}
    made = create_case(
        tmp_path / "c",
        {"daily": daily(tmp_path / "d.csv")},
        today=TODAY,
        assumptions=given,
        channels=[Channel("entry", {"zh-Hans": "发现-购物"}, host="WeChat")],
    )
    place = tmp_path / "c" / "case.toml"
    text = place.read_text(encoding="utf-8")
    place.write_text(text + '\n[margin]\nlow = 0.1\nhigh = 0.2\nsource = "plan"\n', encoding="utf-8")
    config = read_config(made.folder)
    assert config.assumptions == given
    assert config.margin == Assumption(0.1, 0.2, "plan")
    assert config.channels[0].display("zh-Hans") == "发现-购物"
    for bad in ("low = 0.3", "low = nan", 'low = "a"'):
        place.write_text(text + f'\n[margin]\n{bad}\nhigh = 0.2\nsource = "plan"\n', encoding="utf-8")
        with pytest.raises(CaseError, match="RC204"):
            read_config(made.folder)


def test_a_newer_or_damaged_store_is_refused(tmp_path: Path) -> None:
    folder = create_case(tmp_path / "c", {"daily": daily(tmp_path / "d.csv")}, today=TODAY).folder
    place = folder / "case.toml"
    text = place.read_text()
    place.write_text(text.replace("store_version = 2", "store_version = 99"))
    with pytest.raises(StoreError, match="RC401"):
        open_case_folder(folder)
    place.write_text(text)
    (folder / "data" / "daily.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(CaseError, match="RC209"):
        open_case_folder(folder).relation("daily")
    (folder / "data" / "daily.parquet").unlink()
    for read in (lambda case: case.relation("daily"), lambda case: case.data_sha256):
        with pytest.raises(RechannelError, match="RC205"):
            read(open_case_folder(folder))
