"""People: who gives what to whom, which pronoun they take, and short stories about one of them."""

from __future__ import annotations

from random import Random

from smallworld import world
from smallworld.template import Draw, Family, another, two


def draw_receiver(random: Random, template: str) -> Draw:
    receiver, giver = two(random, world.NAMES)
    stranger = another(random, world.NAMES, receiver, giver)
    received, gave = ("first", "second") if random.random() < 0.5 else ("second", "first")
    return Draw(
        slots={
            received: receiver,
            gave: giver,
            "giver": giver,
            "place": random.choice(world.SHOPS),
            "gift": random.choice(world.GIFTS),
            "verb": random.choice(world.GIVING),
            "opener": random.choice(world.OPENERS),
        },
        answers=(" " + receiver,),
        evidence=(received, "giver"),
        distractors=(gave, "place", "gift", "verb", "opener"),
        changes=[({"giver": receiver}, (" " + giver,)), ({received: stranger}, (" " + stranger,))],
    )


# Many openings, each with several ends: with few, a model learns at which place each of them names the giver.
WHILE_TOGETHER = (
    "When {first} and {second} went to the {place}",
    "After {first} and {second} met at the {place}",
    "While {first} and {second} were at the {place}",
    "After {first} and {second} had a rest at the {place}",
    "When {first} and {second} came home from the {place}",
    "While {first} and {second} worked at the {place}",
)
TOGETHER = (
    "{opener}, {first} and {second} were at the {place}",
    "Then {first} and {second} had a rest near the {place}",
    "The friends {first} and {second} worked at the {place}",
    "There {first} and {second} met at the {place}",
)
giver_receiver = Family(
    "giver_receiver",
    (
        *(opening + ", {giver} {verb} a {gift} to" for opening in WHILE_TOGETHER),
        *(opening + ", {giver} {verb} the {gift} to" for opening in WHILE_TOGETHER),
        *(opening + ", and {giver} {verb} a {gift} to" for opening in TOGETHER),
        *(opening + ". Later {giver} {verb} the {gift} to" for opening in TOGETHER),
        *(opening + ". One day {giver} {verb} a {gift} to" for opening in TOGETHER),
        "While {first} and {second} had a rest at the {place}, {giver} {verb} a {gift} to",
    ),
    draw_receiver,
)


def draw_pronoun(random: Random, template: str) -> Draw:
    own, opposite = random.sample(
        [(world.WOMEN, " " + world.PRONOUNS["woman"]), (world.MEN, " " + world.PRONOUNS["man"])], 2
    )
    (name, second), other = two(random, own[0]), random.choice(opposite[0])
    they = (" " + world.PRONOUNS["several"],)
    slots = {
        "opener": random.choice(world.OPENERS),
        "place": random.choice(world.SHOPS),
        "gift": random.choice(world.GIFTS),
    }
    ending = f" was {random.choice(world.OF_ANIMALS)}."
    if "{who}" in template:
        slots |= {"name": name, "who": other, "friend": random.choice(opposite[0])}
        change = {"name": other, "who": name}
        return Draw(slots, (own[1],), ("name",), ("who", "place", "gift", "opener"), [(change, (opposite[1],))], ending)
    if random.random() < 0.25:
        slots |= {"name": "{one} and {two}", "one": name, "two": other}
        single = [({"name": name}, (own[1],)), ({"name": other}, (opposite[1],))]
        return Draw(
            slots,
            they,
            ("one", "two"),
            ("place", "gift", "opener"),
            single,
            f" were {random.choice(world.OF_ANIMALS)}.",
        )
    slots["name"] = name
    changes = [({"name": other}, (opposite[1],)), ({"name": f"{name} and {second}"}, they)]
    return Draw(slots, (own[1],), ("name",), ("place", "gift", "opener"), changes, ending)


pronouns = Family(
    "pronouns",
    (
        "{name} stayed at the {place} because",
        "{opener}, {name} went to the {place} because",
        "{name} lost the {gift} because",
        "The friends of {who} say that {name} left the {place} because",
        "After a talk with {who} about the {gift}, {name} went home because",
        "{opener}, {name} sold the {gift} of {who} because",
        "{opener}, {name} left the {place} of {who} because",
    ),
    draw_pronoun,
)


def draw_story(random: Random, template: str) -> Draw:
    names, pronoun = random.choice(
        [(world.WOMEN, world.SUBJECT_PRONOUNS["woman"]), (world.MEN, world.SUBJECT_PRONOUNS["man"])]
    )
    animal, other = two(random, world.ANIMALS)
    city = random.choice(list(world.CITIES))
    food, drink = two(random, world.DRINKS)
    return Draw(
        slots={
            "name": random.choice(names),
            "pronoun": pronoun,
            "animal": animal,
            "city": city,
            "adjective": random.choice(world.OF_ANIMALS),
            "food": food,
            "drink": drink,
            "place": random.choice(world.SHOPS),
            "day": random.choice(world.DAYS),
            "thing": random.choice(list(world.THINGS)),
        },
        answers=(" " + animal,),
        evidence=("animal",),
        distractors=("name", "city", "adjective", "food", "drink", "place", "day", "thing"),
        changes=[({"animal": other}, (" " + other,))],
    )


stories = Family(
    "stories",
    (
        "On {day}, {name} went to the {place}. {pronoun} saw a {animal} near the {thing}. It was very {adjective}. "
        "So {name} gave some {food} to the",
        "There is a {animal} in the {place}. Here {name} works with {food} and {drink}. On {day} the {place} was "
        "closed, and "
        "{name} took a walk with the",
        "When {name} came to {city}, there was a {animal} on the {thing}. {pronoun} took it to the {place}. On {day}, "
        "{name} came back for the",
        "The {thing} of {name} is old. Under it lives a {animal}. {pronoun} brings it some {food} and some {drink}. "
        "When {name} is in {city}, nobody brings food to the",
        "In {city} there is a {place}. On {day}, {name} bought a {thing} there. A {animal} slept on it. It was very "
        "{adjective}, but {name} was happy about the",
        "One day {name} had some {food}. A {animal} came into the {place} and looked at it. It was {adjective}. "
        "So {name} had some {drink} with the",
        "When {name} came to the {place}, a {animal} was there. {pronoun} bought some {drink}. It was {adjective}. "
        "On {day}, "
        "{name} took a walk with the",
    ),
    draw_story,
)

FAMILIES = (giver_receiver, pronouns, stories)
