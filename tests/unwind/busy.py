# SPDX-License-Identifier: GPL-2.0-only
"""Allocates through the interpreter, extension modules and their libraries."""
import json
import re
import sqlite3
import zlib


def use_database(connection):
    connection.execute("create table if not exists t (a integer, b text)")
    connection.executemany("insert into t values (?, ?)", [(i, "x" * i) for i in range(200)])
    rows = connection.execute("select a, b from t order by b desc").fetchall()
    connection.execute("delete from t")
    return len(rows)


def use_text(round_number):
    text = json.dumps({str(i): ["v" * (i % 700)] * 3 for i in range(300)})
    json.loads(text)
    pattern = re.compile("(a|b%d)+c?" % round_number)
    pattern.sub(lambda match: match.group(0) * 600, "ab" * 400)
    return zlib.decompress(zlib.compress(text.encode()))


connection = sqlite3.connect(":memory:")
round_number = 0
while True:
    use_database(connection)
    use_text(round_number)
    round_number += 1
