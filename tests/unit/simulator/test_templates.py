from __future__ import annotations

import json

from conductor.simulator import templates


def test_text_markers_stand_inside_strings_and_raw_ones_replace_them():
    template = templates.compiled({"a": "x {{one}} y", "b": "{{=two}}", "c": "100 %"})
    assert json.loads(template % {b"one": b"1", b"two": b"[2]"}) == {"a": "x 1 y", "b": [2], "c": "100 %"}


def test_the_last_variant_is_tidy():
    tidy = templates.variants("s", "api")[-1]
    for name in (b"client_id", b"user_id", b"location", b"tenant"):
        assert b"%(" + name + b")b" in tidy
    assert b'"_id":"%(log_id)b"' in tidy


def test_plain_has_one_variant_and_the_others_many():
    assert len(templates.variants("s", "plain")) == 1
    assert len(set(templates.variants("s", "api"))) > 10
