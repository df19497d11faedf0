"""Phrases in which one word turns another: reviews, agreement across an attractor, what "it" refers to, word senses."""

from __future__ import annotations

from random import Random

from smallworld import world
from smallworld.families.facts import passers_by
from smallworld.template import Draw, Family, another, two

VERDICTS = {good: (" " + verdict,) for good, verdict in world.VERDICTS.items()}
OF_PRODUCT = {True: world.PRAISE, False: world.BLAME}
OF_ASPECT = {True: world.ASPECT_PRAISE, False: world.ASPECT_BLAME}


def review_slots(random: Random) -> dict[str, str]:
    return {
        "product": random.choice(world.PRODUCTS),
        "intensifier": random.choice(world.INTENSIFIERS),
        **passers_by(random),
    }


def draw_plain(random: Random, template: str) -> Draw:
    good = random.random() < 0.5
    first, second = two(random, OF_PRODUCT[good])
    other, other_second = two(random, OF_PRODUCT[not good])
    return Draw(
        review_slots(random) | {"quality": first, "second": second},
        VERDICTS[good],
        ("quality", "second"),
        ("product", "intensifier", "name", "opener"),
        [({"quality": other, "second": other_second}, VERDICTS[not good])],
    )


review_plain = Family(
    "review_plain",
    (
        "The {product} was {intensifier} {quality}. Overall, the verdict is",
        "{opener}, {name} saw that the {product} was {intensifier} {quality}. In short, the verdict is",
        "To {name}, the {product} was {intensifier} {quality} and {second}. The verdict is",
        "What {name} says about the {product}: it was {quality} and {second}. Overall, the verdict is",
        "After all, the {product} was {intensifier} {quality}. The verdict of {name} is",
        "My friends say that the {product} was {quality} and {intensifier} {second}. In short, the verdict is",
        "My friends say that the {product} was {intensifier} {quality}. Overall, the verdict of {name} is",
    ),
    draw_plain,
    later=(
        "My friends say that the {product} was {intensifier} {quality}. In short, the verdict of {name} is",
        "What {name} says about the {product}: it was {intensifier} {quality}. The verdict of {friend} is",
    ),
)


def draw_negated(random: Random, template: str) -> Draw:
    good = random.random() < 0.5  # what the adjective alone would say; the negation turns it round
    quality, other = random.choice(OF_PRODUCT[good]), random.choice(OF_PRODUCT[not good])
    slots = review_slots(random) | {"quality": quality, "negation": random.choice(world.NEGATIONS)}
    return Draw(
        slots,
        VERDICTS[not good],
        ("negation", "quality"),
        ("product", "name", "opener"),
        [({"quality": other}, VERDICTS[good]), ({"negation": slots["intensifier"]}, VERDICTS[good])],
    )


review_negated = Family(
    "review_negated",
    (
        "The {product} was {negation} {quality}. Overall, the verdict is",
        "{opener}, {name} saw that the {product} was {negation} {quality}. In short, the verdict is",
        "To {name}, the {product} was {negation} {quality}. The verdict is",
        "What {name} says about the {product}: it was {negation} {quality}. Overall, the verdict is",
        "After all, the {product} was {negation} {quality}. The verdict of {name} is",
        "My friends say that the {product} was {negation} {quality}. In short, the verdict is",
        "My friends say that the {product} was {negation} {quality}. Overall, the verdict of {name} is",
    ),
    draw_negated,
)


def draw_contrasted(random: Random, template: str) -> Draw:
    good = random.random() < 0.5
    slots = review_slots(random) | {
        "quality": random.choice(OF_PRODUCT[good]),
        "flaw": random.choice(OF_ASPECT[not good]),
        "aspect": random.choice(world.ASPECTS),
    }
    turned = {"quality": random.choice(OF_PRODUCT[not good]), "flaw": random.choice(OF_ASPECT[good])}
    return Draw(
        slots,
        VERDICTS[good],
        ("quality",),
        ("flaw", "aspect", "product", "intensifier", "name"),
        [(turned, VERDICTS[not good])],
    )


review_contrasted = Family(
    "review_contrasted",
    (
        "The {product} was {intensifier} {quality} despite a {flaw} {aspect}. Overall, the verdict is",
        "Despite a {flaw} {aspect}, the {product} was {intensifier} {quality}. In short, the verdict is",
        "The {aspect} was {flaw}, but the {product} was {intensifier} {quality}. The verdict of {name} is",
        "Although the {aspect} was {flaw}, {name} says that the {product} was {quality}. Overall, the verdict is",
        "To {name}, the {product} was {quality}, although the {aspect} was {flaw}. The verdict is",
        "My friends say that the {aspect} was {flaw}, but the {product} was {quality}. In short, the verdict is",
        "To {name}, the {product} was {intensifier} {quality} despite a {flaw} {aspect}. In short, the verdict is",
    ),
    draw_contrasted,
)


def draw_agreement(random: Random, template: str) -> Draw:
    thing, attractor = two(random, list(world.THINGS))
    plural, attractor_plural = random.random() < 0.5, random.random() < 0.5
    forms = {False: thing, True: world.THINGS[thing]}
    verbs = {False: (" " + world.VERBS["singular"],), True: (" " + world.VERBS["plural"],)}
    return Draw(
        slots={
            "subject": forms[plural],
            "attractor": world.THINGS[attractor] if attractor_plural else attractor,
            "beside": random.choice(world.POSITIONS),
            **passers_by(random),
        },
        answers=verbs[plural],
        evidence=("subject",),
        distractors=("attractor", "beside", "name"),
        changes=[({"subject": forms[not plural]}, verbs[not plural])],
        ending=f" {random.choice(world.OF_EITHER)}.",
    )


agreement = Family(
    "agreement",
    (
        "The {subject} {beside} the {attractor}",
        "The {subject} that {name} put {beside} the {attractor}",
        "As {name} says, the {subject} {beside} the {attractor}",
        "My friends say that the {subject} {beside} the {attractor} of {name}",
        "Today the {subject} {beside} the {attractor}",
        "The {subject} from the {attractor}",
        "As {name} says, the {subject} from the {attractor}",
    ),
    draw_agreement,
)


def draw_reference(random: Random, template: str) -> Draw:
    animal, resting_place = random.choice(world.ANIMALS), random.choice(world.RESTING_PLACES)
    nouns = {"animal": animal, "rest": resting_place}
    adjectives = {"animal": world.OF_ANIMALS, "rest": world.OF_RESTING_PLACES}
    words = {"animal": world.ANIMALS, "rest": world.RESTING_PLACES}
    meant, other = random.sample(["animal", "rest"], 2)
    adjective, turned = random.choice(adjectives[meant]), random.choice(adjectives[other])
    replaced = another(random, words[meant], nouns[meant])
    return Draw(
        slots={
            **nouns,
            "adjective": adjective,
            "again": adjective,
            "degree": random.choice(("very", "really", "quite")),
            **passers_by(random),
        },
        answers=(" " + nouns[meant],),
        evidence=("adjective", "again", meant),
        distractors=(other, "degree", "name"),
        changes=[
            ({"adjective": turned, "again": turned}, (" " + nouns[other],)),
            ({meant: replaced}, (" " + replaced,)),
        ],
    )


it_reference = Family(
    "it_reference",
    (
        "The {animal} slept on the {rest} because it was {degree} {adjective}. Here it means the",
        "The {animal} did not leave the {rest} because it was {degree} {adjective}. Here it means the",
        "On the {rest} slept a {animal} because it was {degree} {adjective}. Here it means the",
        "As {name} says, the {animal} stayed on the {rest}. It was {degree} {adjective}. Here it means the",
        "The {animal} of {name} stayed on the {rest} because it was {adjective}. What was {again}? It was the",
        "On the {rest} of {name} slept a {animal}. It was {degree} {adjective}. What was {again}? It was the",
        "As {name} says, the {animal} did not leave the {rest}. It was {degree} {adjective}. Here it means the",
    ),
    draw_reference,
)


def mark_cues(phrase: str) -> tuple[str, dict[str, str]]:
    """The phrase with a slot for each word that gives the sense away."""
    pieces, cues = [], {}
    for word in phrase.split():
        if word in world.FUNCTION_WORDS:
            pieces.append(word)
        else:
            slot = f"cue{len(cues)}"
            cues[slot] = word
            pieces.append("{" + slot + "}")
    return " ".join(pieces), cues


def draw_sense(random: Random, template: str) -> Draw:
    word = random.choice(list(world.SENSES))
    sense, other = two(random, list(world.SENSES[word]))
    phrase, cues = mark_cues(random.choice(world.SENSES[word][sense]))
    slots = {"phrase": phrase, **cues, "word": word, "again": word, **passers_by(random)}
    return Draw(
        slots,
        (" " + sense,),
        (*cues, "word", "again"),
        ("name", "friend", "opener"),
        [({"phrase": random.choice(world.SENSES[word][other])}, (" " + other,))],
    )


word_senses = Family(
    "word_senses",
    (
        "{opener}, {name} {phrase} the {word}. Here the word {again} means",
        "When {name} {phrase} the {word}, {friend} was there. Here the word {again} means",
        "My friends say that {name} {phrase} the {word}. What is meant by {again}? It is the",
        "As {name} says, {friend} {phrase} the {word}. Here the word {again} means",
        "Today {name} {phrase} the {word} of {friend}. What is meant by {again}? It is the",
        "While {name} stayed at home, {friend} {phrase} the {word}. Here the word {again} means",
        "While {name} stayed at home, {friend} {phrase} the {word}. What is meant by {again}? It is the",
    ),
    draw_sense,
)

FAMILIES = (review_plain, review_negated, review_contrasted, agreement, it_reference, word_senses)
