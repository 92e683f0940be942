"""Whatever Alertmanager's side holds, the event that is built keeps AOM's limits, and loses nothing silently."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge import event as module
from bridge.clock import DAY, HOUR, MINUTE, format_rfc3339
from bridge.emulator.validation import read_events, units
from bridge.event import (
    MANDATORY,
    MAX_ANNOTATION_CHARACTERS,
    MAX_ANNOTATIONS,
    MAX_KEY_CHARACTERS,
    MAX_KEYS,
    MAX_PROVIDER_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    Event,
    annotation_value,
    build_annotations,
    build_metadata,
    clear,
    cut,
    metadata_value,
    report,
)

NOW = 1_800_000_000_000
MARK = "\u2026"
FIRE = "\U0001f525"

any_text = st.text(st.characters(exclude_categories=()), max_size=30)
long_text = st.builds(
    lambda piece, times, tail: piece * times + tail,
    st.sampled_from(
        ["x", "\u00e9", FIRE, "a" + FIRE, "\x00", "\ud800", "\udfff", "a\n", "\x85", "\u2028", "\U0001f468\u200d"]
    ),
    st.integers(0, 5_000),
    any_text,
)
nasty = any_text | long_text
some = nasty.filter(bool)


def fixed(**more):
    """Give the fields that every event has, in their order."""
    return {
        "event_name": "DiskFull",
        "event_severity": "Major",
        "event_type": "alarm",
        "resource_provider": "Prometheus",
        "resource_type": "node",
        "resource_id": "node-1",
        "alert_fingerprint": "00000000000000ff",
        "alert_source": "default",
        **more,
    }


def event(timeout=5 * DAY, **more):
    """Give an event."""
    return Event(metadata=fixed(**more), annotations={"message": "full"}, timeout=timeout)


def violations(entry, *, clearing=False, now=NOW):
    """Give what the emulated AOM has against one entry of a push."""
    keys = ("id", "starts_at", "metadata", "annotations", "timeout") + (("ends_at",) if clearing else ())
    body = json.dumps({"events": [{key: getattr(entry, key) for key in keys}]}).encode()
    return read_events(body, clearing=clearing, now=now)[1]


# Texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("  spaces stay  ", "  spaces stay  "),
        ("a\nb", "a b"),
        ("a\r\nb", "a b"),
        ("a\rb\tc", "a b c"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("\x00\x01\x1b\x7f\x80\x9f", "\ufffd" * 6),
        ("\ud800x\udfff", "\ufffdx\ufffd"),
        ("\u78c1\u76d8 " + FIRE, "\u78c1\u76d8 " + FIRE),
        ("zero\u200bwidth", "zero\u200bwidth"),
    ],
)
def test_a_metadata_value_is_one_clean_line(text, expected):
    """Line breaks and tabs become a space, other control characters and lone surrogates become U+FFFD."""
    assert metadata_value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a\r\n\tb\n", "a\r\n\tb\n"),
        ("\x00\x08\x0b\x0c\x0e\x1f\x7f\x9f", "\ufffd" * 8),
        ("\ud800x", "\ufffdx"),
        ("a\u2028b " + FIRE, "a\u2028b " + FIRE),
    ],
)
def test_an_annotation_keeps_its_line_breaks_and_tabs(text, expected):
    """In annotations line breaks and tabs stay; other control characters and lone surrogates become U+FFFD."""
    assert annotation_value(text) == expected


@pytest.mark.parametrize(
    ("text", "longest", "expected"),
    [
        ("abcd", 4, "abcd"),
        ("abcde", 4, "abc" + MARK),
        (FIRE * 2, 4, FIRE * 2),
        (FIRE * 3, 4, FIRE + MARK),
        (FIRE * 3, 5, FIRE * 2 + MARK),
        ("ab" + FIRE, 3, "ab" + MARK),
        ("\u00e9" * 5, 4, "\u00e9" * 3 + MARK),
    ],
)
def test_a_long_text_is_cut_between_characters_with_a_mark(text, longest, expected):
    """A text over so many UTF-16 units ends in a visible mark, and no character is cut in two."""
    assert cut(text, longest) == expected


@given(st.text(max_size=60) | st.text(st.sampled_from(["a", FIRE]), max_size=60), st.integers(2, 60))
def test_cutting_keeps_a_beginning_and_the_limit(text, longest):
    """What is cut is a beginning of the text plus the mark, as long as fits; what fits is not touched."""
    found = cut(text, longest)
    assert units(found) <= longest
    if units(text) <= longest:
        assert found == text
    else:
        kept = found.removesuffix(MARK)
        assert found == kept + MARK
        assert text.startswith(kept)
        assert units(found) + units(text[len(kept)]) > longest


@pytest.mark.parametrize(
    ("value", "limit"),
    [(metadata_value, MAX_VALUE_CHARACTERS), (annotation_value, MAX_ANNOTATION_CHARACTERS)],
    ids=["metadata", "annotation"],
)
@pytest.mark.parametrize(
    "piece", ["x", "\u78c1", FIRE, "a\x00", "\ud800"], ids=["ASCII", "CJK", "emoji", "NUL", "half"]
)
def test_the_limits_are_2048_and_16384_units(value, limit, piece):
    """A value at the limit is whole, one above it is cut to the limit with the mark."""
    whole = (piece * limit)[: limit // (2 if piece == FIRE else 1)]
    assert units(value(whole)) == limit
    assert not value(whole).endswith(MARK)
    found = value(whole + "y")
    assert found.endswith(MARK)
    assert limit - 1 <= units(found) <= limit


@settings(deadline=None)
@given(nasty)
def test_a_clean_value_stays_as_it_is(text):
    """Cleaning twice changes nothing more, and what came out can be written as UTF-8."""
    for clean in (metadata_value, annotation_value):
        once = clean(text)
        assert clean(once) == once
        assert once.encode().decode() == once
        assert bool(once) == bool(text)


# Metadata


def test_the_mandatory_six_come_first_then_ours_then_the_rules_then_labels_by_name():
    """The order of the metadata is the order in which room is given."""
    metadata, left_out = build_metadata(fixed(zone="z"), [("b", "2"), ("a", "1")])
    assert list(metadata) == [*MANDATORY, "alert_fingerprint", "alert_source", "zone", "a", "b"]
    assert left_out == []


def test_labels_over_30_keys_are_left_out_and_counted():
    """Of too many labels the last by name are left out, and their number is told."""
    metadata, left_out = build_metadata(fixed(), [(f"l{number:02d}", "v") for number in range(40)])
    assert len(metadata) == MAX_KEYS
    assert list(metadata)[-1] == "l21"
    assert left_out == [f"l{number:02d}" for number in range(22, 40)]


def test_labels_that_matter_come_before_the_alphabet():
    """Without room for all, the names of the first list come first, then those of the second, then the rest."""
    labels = [(f"l{number:02d}", "v") for number in range(40)]
    metadata, left_out = build_metadata(fixed(), labels, ({"l39"}, {"l38", "l39", "l37", "none"}))
    assert list(metadata)[8:] == ["l39", "l37", "l38", *(f"l{number:02d}" for number in range(19))]
    assert left_out == [f"l{number:02d}" for number in range(19, 37)]
    enough, _ = build_metadata(fixed(), labels[:20], ({"l15"},))
    assert list(enough)[8:] == [name for name, _ in labels[:20]]


def test_fields_of_rules_over_30_keys_are_left_out_and_counted():
    """Rules may set more than there is room for: the rest is left out, and counted as labels are."""
    metadata, left_out = build_metadata(fixed(**{f"f{number:02d}": "v" for number in range(25)}), [("a", "1")])
    assert list(metadata)[:8] == list(fixed())
    assert len(metadata) == MAX_KEYS
    assert left_out == ["f22", "f23", "f24", "a"]


def test_empty_values_are_left_out_and_take_no_room():
    """A label or field without a value is no key, and is not counted as lost."""
    labels = [(f"e{number}", "") for number in range(50)] + [("z", "1")]
    metadata, left_out = build_metadata(fixed(nothing=""), labels)
    assert metadata == fixed(z="1")
    assert left_out == []


@pytest.mark.parametrize("name", [*fixed(), "zone"])
def test_a_label_whose_name_is_taken_gets_a_prefix(name):
    """A label called as a field becomes label_<name>; the field keeps its value."""
    metadata, _ = build_metadata(fixed(zone="z"), [(name, "mine")])
    assert metadata == fixed(zone="z") | {f"label_{name}": "mine"}


def test_the_prefix_never_costs_another_label():
    """Where label_<name> is itself a label, both stay."""
    labels = [("event_name", "1"), ("label_event_name", "2"), ("label_label_event_name", "3")]
    metadata, left_out = build_metadata(fixed(), labels)
    assert sorted(set(metadata.values()) & {"1", "2", "3"}) == ["1", "2", "3"]
    assert metadata["event_name"] == "DiskFull"
    assert left_out == []


def test_names_that_are_the_same_after_cleaning_stay_apart():
    """Labels whose names differ only in what is cut or cleaned keep a key each."""
    names = ["n" * 300, "n" * 301, "n" * 302, "a\x00", "a\x01", "a\ufffd", FIRE * 200, FIRE * 201]
    metadata, left_out = build_metadata(fixed(), [(name, str(place)) for place, name in enumerate(names)])
    assert set(metadata.values()) >= {str(place) for place in range(len(names))}
    assert all(units(key) <= MAX_KEY_CHARACTERS for key in metadata)
    assert left_out == []


def test_a_label_without_a_name_breaks_nothing():
    """A label with an empty name, which AOM cannot hold as a key, is renamed or counted as left out."""
    metadata, left_out = build_metadata(fixed(), [("", "x")])
    entry = report(Event(metadata=metadata, annotations={}, timeout=DAY), alarm_id="a", starts_at=NOW, now=NOW)
    assert violations(entry) == []
    assert ("x" in metadata.values()) != (left_out == [""])


def test_the_provider_is_cut_to_64():
    """AOM's alarm rules match providers of at most 64 characters."""
    metadata, _ = build_metadata(fixed(resource_provider="p" * 65), [])
    assert metadata["resource_provider"] == "p" * (MAX_PROVIDER_CHARACTERS - 1) + MARK
    metadata, _ = build_metadata(fixed(resource_provider="p" * 64), [])
    assert metadata["resource_provider"] == "p" * MAX_PROVIDER_CHARACTERS


# Annotations


def test_annotations_keep_their_order_and_empty_ones_are_left_out():
    """The given order stays; an empty annotation is none and is not counted as lost."""
    kept, left_out = build_annotations({"z": "1", "empty": "", "a": "2\n"})
    assert list(kept.items()) == [("z", "1"), ("a", "2\n")]
    assert left_out == []


def test_annotations_over_30_are_left_out_and_counted():
    """The first thirty annotations stay, the number of the others is told."""
    kept, left_out = build_annotations({f"a{number}": "v" for number in range(35)})
    assert list(kept) == [f"a{number}" for number in range(MAX_ANNOTATIONS)]
    assert left_out == [f"a{number}" for number in range(30, 35)]


def test_annotations_whose_names_are_the_same_after_cleaning_are_not_lost_silently():
    """Two annotations whose names clean to one keep a key each, or one of them is counted as left out."""
    kept, left_out = build_annotations({"a\x00": "1", "a\x01": "2"})
    assert len(kept) + len(left_out) == 2


# The whole


mandatory_texts = st.fixed_dictionaries(dict.fromkeys(MANDATORY, some)).map(
    lambda fields: {key: fields[key] for key in MANDATORY} | {"event_severity": "Info", "event_type": "alarm"}
)
labels_of_any_text = st.dictionaries(nasty, nasty, max_size=12)
many_labels = st.integers(0, 60).map(
    lambda count: {f"label_event_name{number}": FIRE * number for number in range(count)}
)


@settings(deadline=None, max_examples=150)
@given(mandatory_texts, st.dictionaries(nasty, nasty, max_size=6), labels_of_any_text | many_labels, nasty)
@example(fixed(), {}, {"": "x"}, "")
@example(fixed(), {"": "x"}, {}, "")
def test_whatever_comes_in_aom_takes_what_goes_out(fields, extra, labels, text):
    """Any text in any field, label or annotation gives a report and a clear without a violation."""
    metadata, _ = build_metadata(fields | {k: v for k, v in extra.items() if k not in fields}, labels.items())
    annotations, _ = build_annotations(labels | extra | {"message": text})
    made = Event(metadata=metadata, annotations=annotations, timeout=DAY)
    assert list(metadata)[:6] == list(MANDATORY)
    assert violations(report(made, alarm_id="a", starts_at=NOW, now=NOW)) == []
    assert violations(clear(made, aom_id="a", starts_at=NOW, ends_at=NOW, now=NOW), clearing=True) == []
    assert all(units(value) <= MAX_ANNOTATION_CHARACTERS for value in annotations.values())


@settings(deadline=None)
@given(st.dictionaries(some, nasty, max_size=12) | many_labels)
def test_every_label_has_a_key_or_is_counted(labels):
    """Labels that are not empty are all there, or in the number of those left out."""
    metadata, left_out = build_metadata(fixed(), labels.items())
    assert {key: metadata[key] for key in fixed()} == fixed()
    assert len(metadata) - len(fixed()) + len(left_out) == sum(1 for value in labels.values() if value)


@given(st.dictionaries(any_text.filter(bool), any_text, min_size=2, max_size=8))
def test_the_order_of_labels_changes_nothing(labels):
    """The same labels in another order give the same metadata, so a repeat is the same alarm."""
    assert build_metadata(fixed(), labels.items()) == build_metadata(fixed(), reversed(labels.items()))


# Times


@pytest.mark.parametrize(
    ("starts_at", "sent"),
    [(NOW - HOUR, NOW - HOUR), (NOW, NOW), (NOW + 1, NOW), (NOW + DAY, NOW), (0, 1), (-1, 1), (1, 1), (-(10**14), 1)],
)
def test_a_start_of_a_clear_is_never_in_the_future_and_at_least_1(starts_at, sent):
    """A start ahead of now is sent as now, one of 1970 or before as 1."""
    assert clear(event(), aom_id="a", starts_at=starts_at, ends_at=NOW, now=NOW).starts_at == sent


@pytest.mark.parametrize("timeout", [HOUR, 5 * DAY, 15 * DAY])
@pytest.mark.parametrize("starts_at", [NOW - HOUR, NOW, NOW + DAY, NOW - 14 * DAY, NOW - 60 * DAY, 0, -(10**14)])
def test_a_start_leaves_room_for_the_timeout(timeout, starts_at):
    """Wherever AOM counts from, an alarm lives for its timeout: as near to the true start as allows it."""
    sent = report(event(timeout), alarm_id="a", starts_at=starts_at, now=NOW)
    assert sent.starts_at + sent.timeout >= NOW + timeout
    assert sent.timeout <= 15 * DAY
    assert sent.starts_at == min(NOW, max(starts_at, NOW - (15 * DAY - timeout)))


def test_a_start_that_was_moved_is_told_in_an_annotation():
    """Where AOM is told another start than the alert's, `alert_starts_at` says the true one; elsewhere it is absent."""
    old = NOW - 60 * DAY
    moved = report(event(), alarm_id="a", starts_at=old, now=NOW, true_start=old)
    assert moved.annotations == {"message": "full", "alert_starts_at": format_rfc3339(old)}
    ahead = report(event(), alarm_id="a", starts_at=NOW, now=NOW, true_start=NOW + HOUR)
    assert ahead.annotations["alert_starts_at"] == format_rfc3339(NOW + HOUR)
    assert "alert_starts_at" not in report(event(), alarm_id="a", starts_at=NOW, now=NOW, true_start=NOW).annotations


@pytest.mark.parametrize(
    ("timeout", "passed", "sent"),
    [
        (5 * DAY, 0, 5 * DAY),
        (5 * DAY, -HOUR, 5 * DAY),
        (5 * DAY, HOUR, 5 * DAY + HOUR),
        (5 * DAY, 10 * DAY, 15 * DAY),
        (5 * DAY, 10 * DAY + 1, 15 * DAY),
        (15 * DAY, HOUR, 15 * DAY),
        (MINUTE, 0, MINUTE),
        (1, 0, MINUTE),
    ],
)
def test_the_time_already_passed_is_sent_on_top_of_the_timeout(timeout, passed, sent):
    """AOM may run the timeout from the start, so what has passed is added, within 1 minute and 15 days."""
    assert report(event(timeout), alarm_id="a", starts_at=NOW - passed, now=NOW).timeout == sent


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "sent"),
    [
        (NOW - HOUR, NOW - MINUTE, NOW - MINUTE),
        (NOW - HOUR, NOW + DAY, NOW),
        (NOW - HOUR, NOW - DAY, NOW - HOUR),
        (NOW + HOUR, NOW + DAY, NOW),
        (-1, -1, 1),
    ],
)
def test_an_end_is_never_before_the_start_nor_in_the_future(starts_at, ends_at, sent):
    """A clear ends when the alert did, but not before it started and not after now."""
    assert clear(event(), aom_id="a", starts_at=starts_at, ends_at=ends_at, now=NOW).ends_at == sent


times = st.integers(-(10**15), 10**15)


@given(times, times, st.integers(1, 10**15), st.integers(0, 10**12))
def test_whatever_the_times_aom_takes_them(starts_at, ends_at, now, timeout):
    """Any start, end and now give a report and a clear without a violation."""
    reported = report(event(timeout), alarm_id="a", starts_at=starts_at, now=now)
    cleared = clear(event(timeout), aom_id="a", starts_at=starts_at, ends_at=ends_at, now=now)
    assert violations(reported, now=now) == []
    assert violations(cleared, clearing=True, now=now) == []
    assert 1 <= reported.starts_at <= now
    assert cleared.starts_at <= cleared.ends_at <= now


def test_a_report_has_no_end_and_a_clear_repeats_the_metadata():
    """A report carries our id, metadata and annotations; the clear of it the same metadata and AOM's id."""
    reported = report(event(), alarm_id="ours", starts_at=NOW, now=NOW)
    cleared = clear(event(), aom_id="theirs", starts_at=NOW, ends_at=NOW, now=NOW)
    assert (reported.id, reported.ends_at, reported.annotations) == ("ours", None, {"message": "full"})
    assert (cleared.id, cleared.metadata) == ("theirs", reported.metadata)


def test_an_event_knows_its_severity_and_type():
    """Severity and type are read from the metadata, so they cannot differ from it."""
    assert (event().severity, event().event_type) == ("Major", "alarm")
    assert event(event_type="event").event_type == "event"


@pytest.mark.parametrize("text", ["x", "\r\n", "a\r\n", "\u00e9\t", "\U0001f600", "\x00", "\r\nb\n"])
@pytest.mark.parametrize("longest", [1, 2, 3, 7, 64])
def test_only_the_part_that_can_be_left_of_a_text_is_cleaned(text, longest):
    """A value of megabytes costs no more than its limit, and what is left of it is as if all of it had been cleaned."""
    whole = text * 10_000
    assert metadata_value(whole, longest) == module.cut(
        module._CONTROLS.sub("\ufffd", module._BREAKS.sub(" ", whole)), longest
    )
    assert annotation_value(whole) == module.cut(
        module._CONTROLS_BUT_BREAKS.sub("\ufffd", whole), module.MAX_ANNOTATION_CHARACTERS
    )
