"""Encodings: what is read, with which word, and what nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rechannel.source.engine import scratch_folder

HEADER = "date,channel,visits\n"


@pytest.mark.parametrize(
    ("codec", "name", "channel"),
    [
        ("utf-8", "", "渠道"),
        ("utf-8-sig", "", "渠道"),
        ("gb18030", "GB18030", "渠道"),
        ("gb18030", "GB18030", "京东"),
        ("gb18030", "GB18030", "嘀嗒"),
        ("gb18030", "GB18030", "訪客數與成交金額"),
        ("big5", "Big5", "訪客數"),
        ("big5", "Big5", "成交金額"),
        ("big5", "Big5", "臉書"),
        ("utf-16", "UTF-16", "渠道"),
        ("utf-16-le", "UTF-16", "渠道一"),
        ("utf-16-be", "UTF-16", "渠道一"),
    ],
)
def test_readable(door: Any, panel: Callable[..., str], codec: str, name: str, channel: str) -> None:
    path = door.put((HEADER + panel(channel)).encode(codec))
    faults = [fault for fault in door.faults(path) if fault.code != "RC169"]
    assert [(fault.code, fault.args) for fault in faults] == ([("RC112", {"encoding": name})] if name else [])
    assert {row[1] for row in door.rows(path)} == {channel}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ((HEADER + "2025-01-01,café,3\n").encode("latin-1"), ("RC104", 2)),
        (HEADER.encode() + "2025-01-01,渠道,3\n".encode("gb18030") + "2025-01-02,渠道,3\n".encode(), ("RC113", 2)),
        (HEADER.encode() + "2025-01-01,渠道,3\n".encode() + "2025-01-02,渠道,3\n".encode("gb18030"), ("RC113", 3)),
        (("\ufeff" + HEADER).encode() + b"2025-01-01,\xc7\xfe,3\n", ("RC104", 2)),
        ((HEADER + "2025-01-01,渠道,3\n").encode("utf-16")[:-1], ("RC104", 2)),
        ((HEADER + "2025-01-01,渠道,3\n").encode("utf-32"), ("RC104", 1)),
        ("date,渠道,visits\n2025-01-01,app,3\n".encode("utf-7"), ("RC104", 1)),
        ("날짜,채널,방문\n".encode("euc-kr"), ("RC113", 1)),
        ("日付,チャネル,訪問\n".encode("shift-jis"), ("RC104", 1)),
        (HEADER.encode() + b"2025-01-01,a\0b,3\n", ("RC103", 2)),
    ],
)
def test_refused_with_its_line(door: Any, content: bytes, expected: tuple[str, int]) -> None:
    assert {(code, line) for code, line, _ in door.loud(door.put(content))} == {expected}


def test_long_text_is_decoded_in_pieces(door: Any) -> None:
    """A character may lie across the border of two pieces, wherever the border falls."""
    rows = 90_000
    for shift in range(2):
        text = "channel,kind,start,end\n" + "x" * shift + "渠道,promo,2025-01-01,2025-01-01\n" * rows
        header, found, _ = door.raw(door.put(text.encode("gb18030")))
        assert header.names == ("channel", "kind", "start", "end")
        assert len(found) == rows
        assert {row[0] for row in found[1:]} == {"渠道"}
        assert found[-1][-1] == rows + 1


def test_the_decoded_copy_is_gone(door: Any, panel: Callable[..., str]) -> None:
    door.rows(door.put((HEADER + panel("渠道")).encode("gb18030")))
    assert not list(scratch_folder(door.engine).glob("*.csv"))
