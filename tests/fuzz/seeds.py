"""What the targets begin with: one of each shape that has its own way through the code."""

from __future__ import annotations

import gzip

EVENT = (
    b'{"date":"2026-11-22T07:30:40.123Z","type":"fp","log_id":"90020261122073040123000000000000000001223372038981421504",'
    b'"details":{"request":{"auth":{"user":{"name":"a"}}},"session_id":"s"},"scope":["a","b"],"ip":"192.0.2.1"}'
)
ODD = [
    rb'"\ud800"',
    rb'"\u0000\ud83d"',
    b'"\xff\xfe"',
    b"NaN",
    b"-Infinity",
    b"1" * 400,
    b"9223372036854775808",
    b"1e999999",
    b"[" * 3000 + b"]" * 3000,
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
    rb'"]}\"],[{"',
    rb'"\x"',
    b'"open',
    b"{}",
    b"null",
    b'{"$date":{"$numberLong":"1795332607000"}}',
    b'"2016-12-31T23:59:60Z"',
    b'"9999-12-31T23:59:59.999999+23:59"',
    b'"0001-01-01T00:00:00-23:59"',
]
RECORDS = [
    EVENT,
    *(b'{"log_id":%s,"date":"2026-11-22"}' % odd for odd in ODD),
    *(b'{"log_id":"a","date":%s}' % odd for odd in ODD),
    *(b'{"log_id":"a","details":%s,"type":"fp","scope":%s}' % (odd, odd) for odd in ODD),
    b'{"_id":"b","log_id":"","log_id":"c"}',
    b' {"log_id" :\n "a" , "scope" : [ "a" , 1 ] ,"ip":7 } ',
]
PAGES = [b"[]", b" [ ] ", b"[" + b",".join(RECORDS) + b"]", b"[1,,2]", b"[1,]", b"[", b"", b"{}", b"\xef\xbb\xbf[]"]
HEADERS = [
    b"7\n1795332607",
    b"Sun, 22 Nov 2026 07:30:60 GMT\nnan",
    b"Sunday, 22-Nov-26 07:30:07 GMT\n-inf",
    b"Sun Nov 22 07:30:07 2026\n1e308",
    b"Sun, 22 Nov 2026 07:30:07 +9999\n\xd9\xa7",
    b"Sun, 22 Nov 99999 07:30:07 -0000\n1_0",
]
TOKENS = [
    b'{"access_token":"a","expires_in":86400,"scope":"read:logs"}',
    *(b'{"access_token":%s,"expires_in":%s,"scope":%s,"error":%s}' % (odd, odd, odd, odd) for odd in ODD),
    b"<html></html>",
]
IDS = [
    b"90020261122073040123000000000000000001223372038981421504",
    b"900" + b"00010101000000".ljust(53, b"0"),
    b"900" + b"99991231235959999999".ljust(53, b"9"),
    "９".encode() * 56,
]
BODIES = [
    b"\x01" + gzip.compress(b"[1]"),
    b"\x09" + gzip.compress(bytes(10_000)),
    b"\x01" + gzip.compress(b"[1]")[:-3],
    b"\x01" + gzip.compress(b"a") + gzip.compress(b"b"),
    b"\x00" + b"x" * 5000,
    b"\x01\x1f\x8b\x08\xff",
]
SEEDS: dict[str, list[bytes]] = {
    "pages": PAGES + RECORDS,
    "cutting": PAGES + RECORDS + ODD,
    "mapping": RECORDS + ODD,
    "headers": HEADERS,
    "tokens": TOKENS,
    "ids": IDS,
    "bodies": BODIES,
}
