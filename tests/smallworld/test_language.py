"""The grammar: what is held out, what is true of a sentence, and where its words stand."""

import re
from random import Random

import pytest

import smallworld
from smallworld import world
from smallworld.template import SLOT, Draw, Family, fill, held_out

EACH = pytest.mark.parametrize("name", smallworld.FAMILIES)


def test_the_world_is_large_enough_and_consistent():
    assert len(world.LANDMARKS) >= 60
    assert len({landmark.name for landmark in world.LANDMARKS}) == len(world.LANDMARKS)
    for landmark in world.LANDMARKS:
        assert world.CITIES[landmark.city] == landmark.country
        assert landmark.country in world.COUNTRIES
    for word, other in world.OPPOSITES.items():
        assert world.OPPOSITES[other] == word
    assert not set(world.WOMEN) & set(world.MEN)
    assert len(smallworld.FAMILIES) >= 12


@EACH
def test_each_family_has_six_trained_templates_or_more_and_one_that_never_is(name):
    family = smallworld.FAMILIES[name]
    assert len(set(family.templates)) == len(family.templates) >= 7


def test_an_unseen_template_has_no_unseen_words():
    def words(templates):
        return set(re.findall(r"[^\W\d_]+", SLOT.sub(" ", " ".join(templates))))

    trained = set().union(*(words(family.templates[:-1]) for family in smallworld.FAMILIES.values()))
    for family in smallworld.FAMILIES.values():
        assert words(family.templates[-1:] + family.later) <= trained, family.name


@EACH
def test_training_texts_are_never_held_out(name):
    family, random = smallworld.FAMILIES[name], Random(0)
    never = {s.prompt for s in smallworld.sample(name, 200, seed=1)}
    for _ in range(500):
        text, decided = family.training_text(random, later=True)
        assert text[:decided] not in never
        assert 0 < decided < len(text)


@EACH
def test_half_of_the_held_out_sentences_have_the_unseen_template(name):
    sentences = smallworld.sample(name, 200, seed=3)
    by_template = sum(not held_out(s.prompt) for s in sentences)
    # One in eight sentences of the unseen template has a held-out checksum as well. Small families fill up unevenly.
    assert 60 <= by_template <= 160


@EACH
def test_sampling_is_seeded_and_gives_different_sentences(name):
    first = smallworld.sample(name, 50, seed=5)
    assert first == smallworld.sample(name, 50, seed=5)
    assert first != smallworld.sample(name, 50, seed=6)
    assert len({s.prompt for s in first}) == 50


@EACH
def test_spans_cover_whole_words_and_evidence_never_distracts(name):
    for s in smallworld.sample(name, 100, seed=7):
        assert s.evidence
        for start, end in (*s.evidence, *s.distractors):
            assert s.prompt[start:end].strip() == s.prompt[start:end] != ""
            assert start == 0 or not s.prompt[start - 1].isalpha()
            assert end == len(s.prompt) or not s.prompt[end].isalpha()
        assert not set(s.evidence) & set(s.distractors)
        assert s.answer == s.accepted[0]


@EACH
def test_counterfactuals_change_evidence_alone_and_change_the_answer(name):
    for s in smallworld.sample(name, 100, seed=8):
        assert s.counterfactuals
        for counterfactual in s.counterfactuals:
            assert s.answer not in counterfactual.accepted
            assert s.changed(counterfactual) != s.prompt
            # A contrast also turns the flaw round, or "charming despite a fine plot" would be no contrast; a change of
            # who is spoken of swaps two names.
            for span, _ in counterfactual.replacements:
                free = {"review_contrasted", "pronouns", "sequences", "word_senses"}
                assert span in s.evidence or name in free


def test_the_truth_of_a_sentence_written_by_hand():
    receiver = next(s for s in smallworld.sample("giver_receiver", 200, seed=2) if s.prompt.startswith("When"))
    words = receiver.words(receiver.evidence)
    assert receiver.answer.strip() in words
    giver = next(word for word in words if word != receiver.answer.strip())
    assert receiver.prompt.count(giver) == 2  # introduced once, and the second time as the one who gives
    swapped = receiver.changed(receiver.counterfactuals[0])
    assert receiver.counterfactuals[0].answer == " " + giver
    assert swapped.count(giver) == 1


@pytest.mark.parametrize("landmark", world.LANDMARKS, ids=lambda landmark: landmark.name)
def test_one_and_two_hops_agree(landmark):
    families = smallworld.FAMILIES
    for name, answer in (("landmark_city", landmark.city), ("landmark_country", landmark.country),
                         ("landmark_language", world.COUNTRIES[landmark.country].language)):  # fmt: skip
        random = Random(landmark.name + name)
        for _ in range(2000):
            text, decided = families[name].training_text(random, later=True)
            if landmark.name in text:
                assert text[decided:].startswith(f" {answer}")
                break
        else:
            raise AssertionError(f"{landmark.name} never came up")


def test_pronouns_follow_the_name_that_is_the_subject():
    for s in smallworld.sample("pronouns", 300, seed=4):
        names = s.words(s.evidence)
        if len(names) == 2:
            assert s.answer == " they"
        else:
            assert s.answer == (" she" if names[0] in world.WOMEN else " he")


def test_sums_and_years_are_right():
    for s in smallworld.sample("sums", 200, seed=4):
        first, second = (world.NUMBERS.index(word) for word in s.words(s.evidence))
        assert s.answer == " " + world.NUMBERS[first + second]
    for s in smallworld.sample("years", 200, seed=4):
        (start,) = s.words(s.evidence)
        assert set(s.accepted) == {f"{year:02d}" for year in range(int(start) + 1, 100)}


def test_fill_finds_slots_inside_slots():
    text, spans = fill("{who} said {what}.", {"who": "Ann", "what": "{a} and {b}", "a": "yes", "b": "no"})
    assert text == "Ann said yes and no."
    assert {slot: text[start:end] for slot, (start, end) in spans.items()} == {
        "who": "Ann", "what": "yes and no", "a": "yes", "b": "no"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("family", "n", "words"),
    [("landmarks", 1, "no family 'landmarks'; the families are landmark_city"), ("years", -1, "n must be 0 or more")],
)  # fmt: skip
def test_bad_requests_are_refused(family, n, words):
    with pytest.raises(ValueError, match=words):
        smallworld.sample(family, n, seed=0)


def test_a_family_with_fewer_sentences_than_asked_for_says_how_many_it_has(monkeypatch):
    two = Family("two", ("{word} is seen", "{word} is unseen"), lambda random, template: Draw(
        {"word": random.choice(["red", "blue"])}, (".",), ("word",)))  # fmt: skip
    monkeypatch.setitem(smallworld.FAMILIES, "two", two)
    available = {f"{word} is unseen" for word in ("red", "blue")}
    available |= {text for text in ("red is seen", "blue is seen") if held_out(text)}
    assert {s.prompt for s in smallworld.sample("two", len(available), seed=0)} == available
    with pytest.raises(ValueError, match=f"9 were asked for, {len(available)} found"):
        smallworld.sample("two", 9, seed=0)


def test_no_sentences_are_none():
    assert smallworld.sample("years", 0, seed=0) == []


def test_several_replacements_of_other_lengths_leave_each_other_in_place():
    changes = smallworld.Counterfactual((((0, 3), "Wilhelmina"), ((8, 11), "Jo")), ".", (".",))
    sentence = smallworld.Sentence("by hand", "Ann and Bob", ".", (".",), ((0, 3),), (), (changes,))
    assert sentence.changed(changes) == "Wilhelmina and Jo"
