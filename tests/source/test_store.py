"""The case folder: whole or not at all, the same bytes for the same files, faults of case.toml with their place."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from rechannel.source.addition import add_to_case
from rechannel.source.config import Assumption, read_config
from rechannel.source.store import case_faults, create_case, open_case_folder
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.errors import CallError, CaseError, FileRefused, RechannelError, StoreError

TODAY = date(2025, 12, 31)
FIRST = date(2025, 1, 1)


def daily(path: Path, days: int = 40, visits: int = 100) -> Path:
    rows = [f"{FIRST + timedelta(days=day)},{name},{visits + day}" for day in range(days) for name in ("app", "entry")]
    path.write_text("date,channel,visits\n" + "\n".join(rows) + "\n")
    return path


def touches(path: Path) -> Path:
    path.write_text(
        "customer,time,channel,event,value\nu1,2025-01-01 10:00:00,app,visit,\nu1,2025-01-01 11:00:00,app,order,5\n"
    )
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


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


def test_runs_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    case = open_case_folder(create_case(tmp_path / "c", {"daily": daily(tmp_path / "d.csv")}, today=TODAY).folder)
    with case.new_run() as first:
        (first.folder / "answers").mkdir()
        (first.folder / "answers" / "a.json").write_text("{}")
        assert case.runs() == ()
        with case.new_run() as second:
            pass
    with pytest.raises(KeyboardInterrupt), case.new_run():
        raise KeyboardInterrupt
    assert [run.name for run in case.runs()] == [first.name, second.name]
    assert (first.number, second.number) == (1, 2)
    assert (first.final / "answers" / "a.json").read_text() == "{}"
    assert sorted(path.name for path in (case.folder / "runs").iterdir()) == sorted([first.name, second.name])


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
