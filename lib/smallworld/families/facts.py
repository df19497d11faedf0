"""Facts of the world: landmarks, cities, countries, languages, opposites and kinds of things. One hop or two."""

from __future__ import annotations

from random import Random

from smallworld import world
from smallworld.template import Draw, Family, another, two


def passers_by(random: Random) -> dict[str, str]:
    name, friend = two(random, world.NAMES)
    return {"opener": random.choice(world.OPENERS), "name": name, "friend": friend}


def fact(subject: str, table: dict[str, str]):
    """A drawing of one row of the table: the subject decides the answer, whoever passes by does not."""

    def draw(random: Random, template: str) -> Draw:
        key = random.choice(list(table))
        other = another(random, [k for k in table if table[k] != table[key]])
        return Draw(
            slots={subject: key, **passers_by(random)},
            answers=(" " + table[key],),
            evidence=(subject,),
            distractors=("opener", "name", "friend"),
            changes=[({subject: other}, (" " + table[other],))],
        )

    return draw


landmark_city = Family(
    "landmark_city",
    (
        "The {landmark} is located in the city of",
        "{opener}, {name} visited the {landmark} in the city of",
        "When {name} and {friend} took a picture of the {landmark}, they were in the city of",
        "To see the {landmark}, {name} went to the city of",
        "{opener}, {name} sent a letter from the {landmark} in the city of",
        "The friends of {name} met near the {landmark} in the city of",
        "After a walk to the {landmark}, {name} sent a letter from the city of",
    ),
    fact("landmark", {landmark.name: landmark.city for landmark in world.LANDMARKS}),
    later=(
        "After a rest near the {landmark}, {name} saw {friend} in the city of",
        "{opener}, {name} took a walk to the {landmark} and had a rest in the city of",
        "When {name} sent a picture of the {landmark}, {friend} went to the city of",
    ),
)

landmark_country = Family(
    "landmark_country",
    tuple(template.replace("city of", "country of") for template in landmark_city.templates),
    fact("landmark", {landmark.name: landmark.country for landmark in world.LANDMARKS}),
    later=tuple(template.replace("city of", "country of") for template in landmark_city.later),
)

landmark_language = Family(
    "landmark_language",
    (
        "The people who live near the {landmark} speak",
        "{opener}, {name} visited the {landmark}, where people speak",
        "When {name} and {friend} went to see the {landmark}, they learned to speak",
        "To ask for the way to the {landmark}, {name} learned to speak",
        "{opener}, {name} met a guide at the {landmark} who could only speak",
        "The guide who showed {name} the {landmark} could only speak",
        "After a walk to the {landmark}, {name} met people who speak",
    ),
    fact("landmark", {landmark.name: world.COUNTRIES[landmark.country].language for landmark in world.LANDMARKS}),
)

country_capital = Family(
    "country_capital",
    (
        "The capital of {country} is",
        "{opener}, {name} visited the capital of {country}, which is",
        "When {name} and {friend} went to {country}, they saw the capital, which is",
        "To see the capital of {country}, {name} went to",
        "The friends of {name} live in the capital of {country}, which is",
        "{opener}, {name} sent a letter from the capital of {country}, which is",
        "After a year in {country}, {name} saw the capital, which is",
    ),
    fact("country", {country.name: country.capital for country in world.COUNTRIES.values()}),
)

country_language = Family(
    "country_language",
    (
        "The main language of {country} is",
        "The people who live in {country} speak",
        "{opener}, {name} went to {country}, where people speak",
        "When {name} and {friend} went to {country}, they learned to speak",
        "To live in {country}, {name} learned to speak",
        "The guide who showed {name} the cities of {country} could only speak",
        "After a year in {country}, {name} learned to speak",
    ),
    fact("country", {country.name: country.language for country in world.COUNTRIES.values()}),
)

city_country = Family(
    "city_country",
    (
        "The city of {city} is located in the country of",
        "{opener}, {name} visited the city of {city} in the country of",
        "When {name} and {friend} took a picture of {city}, they were in the country of",
        "To see {city}, {name} went to the country of",
        "{opener}, {name} sent a letter from {city} in the country of",
        "The friends of {name} live in {city} in the country of",
        "After a walk to {city}, {name} sent a letter from the country of",
    ),
    fact("city", world.CITIES),
    later=(
        "After a rest in {city}, {name} saw {friend} in the country of",
        "{opener}, {name} took a walk to {city} and had a rest in the country of",
        "When {name} sent a picture of {city}, {friend} went to the country of",
    ),
)

opposites = Family(
    "opposites",
    (
        "The opposite of {word} is",
        "When {name} says {word}, {friend} says the opposite, which is",
        "{opener}, {name} learned that the opposite of {word} is",
        "The word {word} means the opposite of",
        "To {name}, the opposite of {word} is",
        "After the word {word}, {name} wrote the opposite, which is",
        "{opener}, {name} wrote that {word} means the opposite of",
    ),
    fact("word", world.OPPOSITES),
)

kinds = Family(
    "kinds",
    (
        "The {thing} is a kind of",
        "When {name} says {thing}, {friend} thinks of a kind of",
        "{opener}, {name} learned that the {thing} is a kind of",
        "The word {thing} means a kind of",
        "To {name}, the {thing} is a kind of",
        "After the word {thing}, {name} wrote that it is a kind of",
        "{opener}, {name} wrote that the {thing} is a kind of",
    ),
    fact("thing", world.KIND_OF),
)

FAMILIES = (
    landmark_city,
    landmark_country,
    landmark_language,
    country_capital,
    country_language,
    city_country,
    opposites,
    kinds,
)
