"""Patterns that need no fact: repeated random words, years that must be later, sequences, and small sums."""

from __future__ import annotations

from random import Random

from smallworld import world
from smallworld.families.facts import passers_by
from smallworld.template import Draw, Family, another

LONGEST_REPEAT = 12
SHORTEST_EVENT = 4  # years; any later year is accepted, but nothing in this world is over sooner


def draw_repeat(random: Random, template: str) -> Draw:
    words = random.sample(world.COMMON_WORDS, random.randint(3, LONGEST_REPEAT))
    said = random.randint(1, len(words) - 1)
    answer, new = words[said], another(random, world.COMMON_WORDS, *words)
    slots = {f"word{i}": word for i, word in enumerate(words)} | {
        f"again{i}": word for i, word in enumerate(words[:said])
    }
    slots["words"] = " ".join(f"{{word{i}}}" for i in range(len(words)))
    slots["again"] = " ".join(f"{{again{i}}}" for i in range(said))
    deciding = (f"word{said - 1}", f"word{said}", f"again{said - 1}")
    return Draw(
        slots | passers_by(random),
        (" " + answer,),
        deciding,
        tuple(slot for slot in slots if slot[-1].isdigit() and slot not in deciding),
        [({f"word{said}": new}, (" " + new,))],
        ending="".join(" " + word for word in words[said + 1 :]) + ".",
    )


repeats = Family(
    "repeats",
    (
        "The words are {words}. Again, the words are {again}",
        "Here are some words: {words}. Here they are again: {again}",
        "First {name} says: {words}. Then {friend} says: {again}",
        "They wrote {words}. They wrote {again}",
        "Today {name} wrote: {words}. Later {friend} wrote: {again}",
        "As {name} says: {words}. Again: {again}",
        "First {name} wrote: {words}. Then {friend} says again: {again}",
    ),
    draw_repeat,
)


def later(year: int) -> tuple[str, ...]:
    """The two digits of each later year of the century."""
    return tuple(f"{y:02d}" for y in range(year + 1, 100))


def draw_year(random: Random, template: str) -> Draw:
    century, year = random.randint(11, 18), random.randint(2, 90)
    end = random.randint(year + SHORTEST_EVENT, 98)
    accepted = (f"{end:02d}",) + tuple(y for y in later(year) if y != f"{end:02d}")
    return Draw(
        slots={
            "event": random.choice(world.EVENTS),
            "start": f"{century}{{digits}}",
            "digits": f"{year:02d}",
            "century": str(century),
            **passers_by(random),
        },
        answers=accepted,
        evidence=("digits",),
        distractors=("event", "name"),
        changes=[({"digits": f"{end:02d}"}, later(end))],
    )


years = Family(
    "years",
    (
        "The {event} lasted from the year {start} to the year {century}",
        "The {event} began in {start} and ended in {century}",
        "As {name} says, the {event} lasted from {start} to {century}",
        "From the year {start} the {event} went on until the year {century}",
        "The {event} that began in {start} went on until {century}",
        "My friends say that the {event} began in {start} and lasted until {century}",
        "As {name} says, the {event} began in the year {start} and ended in the year {century}",
    ),
    draw_year,
)


def draw_sequence(random: Random, template: str) -> Draw:
    def run() -> list[str]:
        kind = random.choice(("days", "months", "numbers"))
        if kind == "numbers":
            step = random.choice((1, 2))
            start = random.randint(0, len(world.NUMBERS) - 1 - 3 * step)
            return world.NUMBERS[start : start + 3 * step + 1 : step]
        cycle = world.DAYS if kind == "days" else world.MONTHS
        start = random.randrange(len(cycle))
        return [cycle[(start + i) % len(cycle)] for i in range(4)]

    first, second, third, answer = run()
    while (changed := run())[3] == answer:
        pass
    return Draw(
        slots={"first": first, "second": second, "third": third, **passers_by(random)},
        answers=(" " + answer,),
        evidence=("second", "third") if first in world.NUMBERS else ("third",),
        distractors=("name", "friend") if first in world.NUMBERS else ("first", "second", "name", "friend"),
        changes=[({"first": changed[0], "second": changed[1], "third": changed[2]}, (" " + changed[3],))],
    )


sequences = Family(
    "sequences",
    (
        "First comes {first}, then {second}, then {third}, then",
        "As {name} says, it goes {first}, {second}, {third},",
        "Today {name} wrote {first}, {second}, {third} and",
        "In the right order: {first}, {second}, {third},",
        "After {first}, {second} and {third} comes",
        "They say {first}. They say {second}. They say {third}. They say",
        "Today {name} says it in the right order: {first}, {second}, {third} and",
    ),
    draw_sequence,
)


def draw_sum(random: Random, template: str) -> Draw:
    first, second = random.randint(0, 10), random.randint(0, 10)
    changed = another(random, range(11), second)
    word = world.NUMBERS
    return Draw(
        slots={
            "first": word[first],
            "second": word[second],
            "gift": random.choice(world.COUNTED),
            **passers_by(random),
        },
        answers=(" " + word[first + second],),
        evidence=("first", "second"),
        distractors=("gift", "name", "friend"),
        changes=[({"second": word[changed]}, (" " + word[first + changed],))],
    )


sums = Family(
    "sums",
    (
        "The sum of {first} and {second} is",
        "As {name} says, {first} plus {second} is",
        "There are {first} {gift} and then {second} more, so in all there are",
        "Today {name} wrote that {first} and {second} makes",
        "If {name} has {first} {gift} and {friend} has {second}, in all there are",
        "My friends say that {first} plus {second} makes",
        "As {name} says, the sum of {first} and {second} is",
    ),
    draw_sum,
)

FAMILIES = (repeats, years, sequences, sums)
