"""Excel 97-2003: read as far as its reader goes, in a process that may break."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from rechannel.source import apart
from rechannel.source.faultlist import FaultList

BOOK = zlib.decompress(
    base64.b85decode(
        "c-"
        "rk)O=uHA6#iy+lP00fPfdkZD4}4hwLORz54Nj<_GGDgP(;+k?4ibN%9=~PSW|N>2%Z!#h4$d3>ct;a(3=IJq6a|`62+4zp@N4t>zkL|nnZ*Kv{"
        "2n|nKv_U-h1<Q-^|;ceZ3Sb&ED@SqXENEQL%&Y*YE_DpxcRp#%)_R-"
        "8w+U_OPiC3{W8bK0IlA)gogk<6VY=d)f=4z(*>lF@e#XX(Tof2ib?DkUk6%6}U~DFgn?*cBbc<Zee<tC7&|g&zu>iLnK=gr?8}t_V0C8@kynJ$"
        "HI_yAF|GS=IllXUdmN`<+`ZK`f$J+PhQ+)1KnCH=0E`*F-*gf{Rrj}0wxKA+3a9CT|%6KJ%?|00$6r;_49<s-"
        "&no?@xRyeTYke2P!JpWHxvz+f_;uRNs$tCLaVNY<15%F*8mq9{A|ppe88oA(#orVVWvqiGtQNn%NsN{Vdb(p6(WD8Z>CTP$$ZcGAzGIo+IZiz5"
        "=|q*?HKQ#C^@)t=j)pzsWJU5bEf#6P<?Z3myW{5RjEPBVII-eXg_Q0Vp?FU+qm7uG)_yK>fW&qr*U|iWv=mPFU_-u@mBAvY44zR@ypRi-NjG(P"
        "HHcVlrP5@-"
        "s!XGp$C;FeR)k|Kn#dmHzgkHZY`WF^MPsSFBvDGM4fxHo!4Uot8$MKVoark!gp6Mp|FH}Ce@z%{Hi^Ldg@wFrJm;4QX6bNBM(*1h8GqUqUNHsC"
        "G}Lc;&ZI1Y(++HSZT)tIThu|p9sN&2M-=Rc<|uC!~X)oX9GCjmf&wjzjJ1g|8-"
        "WWRJ`9L|16FnM^~N>m4{$bZDF#h^|KW|;o1`G)N%h8N}QnCEo6{lKQc|PUpk|S+WT3zV)V~#p=Rf=G~?%Ap8p3Dklg+"
    )
)
"""A sheet written by xlwt: a title, a blank row, start, end, kind and note, one row with dates."""


def test_rows_of_an_old_workbook(door: Any) -> None:
    path = door.put(BOOK, "t.xls")
    assert door.loud(path, "events") == {("RC149", 3, "")}
    header, rows, _ = door.raw(path)
    assert header.names == ("start", "end", "kind", "note")
    assert rows == [("2025-01-01", "2025-01-02", "promo", "年货节", 4)]
    assert {code for code, *_ in door.loud(type(path)(f"{path}#T"), "events")} == {"RC145"}


@pytest.mark.parametrize("content", [BOOK[:3000], BOOK[:600] + b"\xff" * 4000, BOOK[:512] + b"\0" * 5120])
def test_a_broken_one_is_refused(door: Any, content: bytes) -> None:
    assert {code for code, *_ in door.loud(door.put(content, "t.xls"), "events")} <= {"RC114", "RC101"}


@pytest.mark.parametrize("ending", ["import os; os.abort()", "bytearray(1 << 42)", "print('no stream')", ""])
def test_a_reader_that_breaks_ends_in_a_fault(door: Any, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Whatever becomes of the other process, the caller gets a fault and no exception."""
    (door.folder / "breaking.py").write_text(ending)
    monkeypatch.setenv("PYTHONPATH", str(door.folder))
    faults = FaultList("t.xls")
    path = door.put(BOOK, "t.xls")
    assert apart.read_apart("breaking", path, "", "XLS", faults, lambda told: [*map(json.loads, told)] or None) is None
    assert [fault.code for fault in faults.ordered()] == ["RC114"]
