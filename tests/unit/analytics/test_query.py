"""The search language: what is understood, what is said about the rest."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from conductor.analytics import query
from conductor.analytics.query import QueryError, canonical, parse
from conductor.analytics.syntax import And, Everything, Not, Or, Term

REFUSED = [
    (
        "type:",
        "Add a value after `type:`, for example `type:fp`. To find events where it is set, use `type:*`.",
        "type:",
        None,
    ),
    (
        "(type:fp OR type:fu",
        "The bracket opened here is never closed. Add `)` at the end.",
        "(",
        "(type:fp OR type:fu)",
    ),
    ('"abc', 'The quote opened here is never closed. Add `"` at the end.', '"', '"abc"'),
    ("a OR", "`OR` needs something after it, for example `OR type:fu`.", "OR", None),
    (
        "OR a",
        '`OR` needs something before it. To search for the word, put it in quotes: "OR".',
        "OR",
        '"OR" a',
    ),
    (")", "There is a `)` here with no matching `(`. Remove it, or add `(` earlier.", ")", None),
    (
        "ip:10.0.0.0/33",
        "`10.0.0.0/33` is not a valid network: the number after `/` must be 0–32.",
        "10.0.0.0/33",
        None,
    ),
    (
        "ip:nope",
        "`nope` is not an IP address or network. Use `ip:203.0.113.7`, `ip:10.0.0.0/8` or `ip:203.0.113.*`.",
        "nope",
        None,
    ),
    (
        "severity:>bad",
        "`bad` is not a severity. Use one of: informational, low, medium, high, critical.",
        "bad",
        None,
    ),
    (
        "ts:[2026-13-01 TO *]",
        "`2026-13-01` is not a time. Use `2026-11-21`, `2026-11-21T14:05Z` or `now-2h`.",
        "2026-13-01",
        None,
    ),
    (
        'user:bob"x',
        'A quote in the middle of a value. Put the whole value in quotes, or escape it as `\\"`.',
        '"',
        None,
    ),
    ("ip:::1/129", "`::1/129` is not a valid network: the number after `/` must be 0–128.", "::1/129", None),
    ("asn:x", "`x` is not a number. Use one such as `asn:64512` or `asn:>=64512`.", "x", None),
    ("own:maybe", "`maybe` is neither true nor false. Use `own:true` or `own:false`.", "maybe", None),
    (
        "is:odd",
        "`odd` is not known to `is:`. Use one of: failure, success, attack, admin-change, self, unparsed.",
        "odd",
        None,
    ),
    ("a - b", "`-` needs something after it, for example `-type:fu`.", "-", None),
    ("a ()", "There is nothing between these brackets.", "()", None),
    ("asn:[1 to 2]", "Write `TO` in capitals in a range: `[low TO high]`.", "to", "asn:[1 TO 2]"),
    ("asn:[1 2]", "A range has two ends: `[low TO high]`. Use `*` for an open end.", "[1", None),
    (
        "user:>bob",
        "`>` works for numbers, severities, times and addresses; `user` is none of them.",
        ">",
        None,
    ),
    (
        'detection:"x"',
        "Searching by `detection:` is not available yet. To search for the text, put it in quotes.",
        "detection:",
        None,
    ),
    ("saved:*", '`saved:` needs the name of a saved search, for example `saved:"Failed logins"`.', "*", None),
    (
        "date:now-2ſ",  # a long s is an s to those who ignore case
        "`now-2ſ` is not a time. Use `2026-11-21`, `2026-11-21T14:05Z` or `now-2h`.",
        "now-2ſ",
        None,
    ),
    ("has:\u212a", "`has:` needs the name of a field, for example `has:ip`.", "\u212a", None),  # the sign for kelvin
    ("has:is", "`has:` needs the name of a field, for example `has:ip`.", "is", None),
    ('""', "There is nothing between the quotes. Type a word, or remove them.", '""', None),
]


@pytest.mark.parametrize(("text", "message", "marked", "fix"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_query_that_cannot_run_says_where_and_how_to_mend_it(text: str, message: str, marked: str, fix: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    error = caught.value
    assert (str(error), text[error.start : error.end], error.fix) == (message, marked, fix)
    assert error.code == "query.invalid"


HINTED = [
    ("usr:bob", "There is no field called `usr`. Did you mean `user`?", "usr", "user:bob", "Use `user`"),
    (
        "type:(fp fu) a",
        "`type` has one value per event, so asking for all of these matches nothing. Use OR.",
        "fp fu",
        "type:(fp OR fu) a",
        "Fix",
    ),
    (
        "fp or fu",
        'Searching for the word "or". For the operator, use capitals: OR.',
        "or",
        "fp OR fu",
        "Fix",
    ),
    (
        "isMobile:true",
        "There is no field called `isMobile`. Searching the raw event for a key of that name.",
        "isMobile:",
        None,
        "Fix",
    ),
]


@pytest.mark.parametrize(("text", "message", "marked", "fix", "label"), HINTED, ids=[case[0] for case in HINTED])
def test_a_doubtful_query_runs_with_a_hint(text: str, message: str, marked: str, fix: str, label: str) -> None:
    (hint,) = parse(text).hints
    assert (hint.message, text[hint.start : hint.end], hint.fix, hint.label) == (message, marked, fix, label)


CANONICAL = [
    ("type:fp AND NOT ip:10.0.0.1", "type:fp -ip:10.0.0.1"),
    ("user:bob app:Web org:acme ua:curl stream:x src_ip:::1", None),
    ("own:true parsed:true time:>now-2h", "is:self -is:unparsed date:>now-2h"),
    ("own:false parsed:false", "-is:self is:unparsed"),
    ("type:fp OR type:fu", "type:(fp OR fu)"),
    ("TYPE:fp", "type:fp"),
    ("“a b” “c”", '"a b" c'),
    ("a\u00a0b", "a b"),
    ("203.0.113.7 fe80::1 10.0.0.9/8", "ip:203.0.113.7 ip:fe80::1 ip:10.0.0.0/8"),
    ('"203.0.113.7"', '"203.0.113.7"'),
    ("ip:2001:db8::1 user_id:auth0|64ab", "ip:2001:db8::1 user_id:auth0|64ab"),
    ("http://x.y/z auth-eu-1 -auth-eu-1", "http://x.y/z auth-eu-1 -auth-eu-1"),
    ("a OR (b AND c)", "a OR b c"),
    ("(a OR b) c", "(a OR b) c"),
    ("NOT (a b)", "-(a b)"),
    ("--a", "a"),
    ("has:ip -has:user", "ip:* -user_name:*"),
    ('user:""', "-user_name:*"),
    ("date:[2026-11-20 TO now-2h]", "date:[2026-11-20 TO now-2h]"),
    ("date:2026-11-21T15:05+01:00", "date:2026-11-21T14:05Z"),
    ("severity:[HIGH TO *] asn:{1 TO 5]", "severity:>=high asn:{1 TO 5]"),
    ("country:OR", "country:OR"),
    ('country:("OR" OR TX)', 'country:("OR" OR TX)'),
    (r"user:CORP\bob a\*b*", r"user_name:CORP\bob a\*b*"),
    (r'"a\"b\\"', r'"a\"b\\"'),
    (r'app:"//a" app:\//a*', r'client_name:"//a" client_name:\//a*'),  # without, `app://a` would be text
    ("type: fp", "type:fp"),
    ("* type:*", "type:*"),
    ("details.Request.method:POST", "details.Request.method:POST"),
    ("*", ""),
    ("  ", ""),
]


@pytest.mark.parametrize(("text", "expected"), CANONICAL)
def test_every_spelling_of_a_query_has_one_canonical_text(text: str, expected: str | None) -> None:
    every_alias = "user_name:bob client_name:Web organization_name:acme user_agent:curl category:x ip:::1"
    assert canonical(parse(text)) == (every_alias if expected is None else expected)


def test_not_binds_before_and_and_and_before_or() -> None:
    tree = parse("-a b OR c").tree
    assert isinstance(tree, Or)
    first = tree.parts[0]
    assert isinstance(first, And)
    assert isinstance(first.parts[0], Not)


def test_it_tells_that_a_date_term_narrows_the_range() -> None:
    assert "date" in parse("ts:>now-1d a").fields
    assert "date" not in parse("a").fields


def test_a_lone_star_is_everything() -> None:
    assert parse("*").tree == parse("").tree == Everything()


def test_the_limits_are_told() -> None:
    for text in ("a" * 8_001, "a " * 201, "(" * 42 + "a" + ")" * 42, "NOT " * 42 + "a"):
        with pytest.raises(QueryError, match=r"8,000|200 terms|40 levels"):
            parse(text)
    assert isinstance(parse("(" * 40 + "a" + ")" * 40).tree, Term)


def test_a_fix_for_an_open_quote_stands_a_backslash_at_the_end() -> None:
    with pytest.raises(QueryError) as caught:
        parse('"a\\')
    assert caught.value.fix is not None
    parse(caught.value.fix)


PIECES = st.sampled_from(
    ("a", "bob", "fp", "OR", "AND", "NOT", "or", "-", "(", ")", '"', "“", "\\", ":", "*", "?", ">", ">=", "<", "[", "]")
    + ("{", "}", "TO", "now-2h", "2026-11-20", "10.0.0.1", "::1", "10.0.0.0/8", "5", "5.0", "é", "ß", "|", "/", ".")
    + ("type:", "ip:", "user:", "asn:", "severity:", "high", "date:", "is:", "self", "has:", "saved:", "details.x:")
    + ("usr:", "own:", "true", "\u00a0", "\ud800", " ")
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=25).map("".join), st.lists(PIECES).map(" ".join))


@settings(max_examples=1500, deadline=None)
@given(TEXTS)
@example("\\\\(0)")
def test_any_text_gives_a_query_or_a_message_and_canonical_text_keeps_its_meaning(text: str) -> None:
    try:
        found = parse(text)
    except QueryError as error:
        assert 0 <= error.start < error.end <= len(text)
        assert error.message.endswith(".")
        return
    rewritten = canonical(found)
    assume(len(rewritten) <= query.LONGEST)
    assert parse(rewritten).tree == found.tree
    assert canonical(parse(rewritten)) == rewritten
