"""The facts of the small world, all of them true of the large one as well.

Everything that a sentence of `smallworld.language` can speak about stands here: landmarks with their city, cities with
their country, countries with their capital and main language, people's names, things, animals, places and what one can
say about them. Answers are single words throughout, so that the first token of an answer is the whole of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Country:
    name: str
    capital: str
    language: str


@dataclass(frozen=True)
class Landmark:
    name: str
    city: str
    country: str


_COUNTRIES = """
France Paris French | Italy Rome Italian | Spain Madrid Spanish | Germany Berlin German | England London English
Austria Vienna German | Czechia Prague Czech | Hungary Budapest Hungarian | Greece Athens Greek | Turkey Ankara Turkish
Russia Moscow Russian | Portugal Lisbon Portuguese | Holland Amsterdam Dutch | Denmark Copenhagen Danish
Sweden Stockholm Swedish | Norway Oslo Norwegian | Poland Warsaw Polish | Japan Tokyo Japanese | China Beijing Chinese
India Delhi Hindi | Thailand Bangkok Thai | Indonesia Jakarta Indonesian | Egypt Cairo Arabic
Australia Canberra English | Peru Lima Spanish | Morocco Rabat Arabic | Iran Tehran Persian | Ukraine Kyiv Ukrainian
Croatia Zagreb Croatian | Scotland Edinburgh English | Iceland Reykjavik Icelandic | Finland Helsinki Finnish
Bulgaria Sofia Bulgarian | Serbia Belgrade Serbian | Estonia Tallinn Estonian | Lithuania Vilnius Lithuanian
Vietnam Hanoi Vietnamese | Cuba Havana Spanish | Chile Santiago Spanish | Colombia Bogota Spanish
Romania Bucharest Romanian | Latvia Riga Latvian
"""

_LANDMARKS = {
    "France": {
        "Paris": ["Eiffel Tower", "Louvre Museum", "Pompidou Centre", "Sacre Coeur"],
        "Lyon": ["Bellecour Square"],
        "Marseille": ["Velodrome Stadium"],
    },
    "Italy": {
        "Rome": ["Colosseum", "Trevi Fountain", "Spanish Steps"],
        "Pisa": ["Leaning Tower"],
        "Venice": ["Rialto Bridge"],
        "Florence": ["Uffizi Gallery", "Pitti Palace"],
        "Milan": ["Scala Theatre"],
    },
    "Spain": {
        "Barcelona": ["Sagrada Familia", "Miro Foundation"],
        "Madrid": ["Prado Museum"],
        "Granada": ["Alhambra"],
        "Seville": ["Giralda"],
    },
    "Germany": {
        "Berlin": ["Brandenburg Gate", "Reichstag"],
        "Dresden": ["Zwinger Palace"],
        "Munich": ["Allianz Arena"],
        "Hamburg": ["Elbe Philharmonic"],
    },
    "England": {"London": ["Tower Bridge", "Buckingham Palace", "British Museum"]},
    "Austria": {"Vienna": ["Hofburg", "Belvedere"]},
    "Czechia": {"Prague": ["Charles Bridge", "Powder Tower"]},
    "Hungary": {"Budapest": ["Chain Bridge", "Gellert Baths"]},
    "Greece": {"Athens": ["Acropolis", "Parthenon"]},
    "Turkey": {"Istanbul": ["Galata Tower", "Blue Mosque", "Topkapi Palace"]},
    "Russia": {"Moscow": ["Kremlin", "Bolshoi Theatre"]},
    "Portugal": {"Lisbon": ["Belem Tower"], "Porto": ["Lello Bookshop"], "Sintra": ["Pena Palace"]},
    "Holland": {"Amsterdam": ["Rijksmuseum", "Anne Frank House"]},
    "Denmark": {"Copenhagen": ["Little Mermaid", "Tivoli Gardens"]},
    "Sweden": {"Stockholm": ["Vasa Museum"]},
    "Norway": {"Oslo": ["Munch Museum"]},
    "Poland": {"Krakow": ["Wawel Castle"]},
    "Japan": {"Tokyo": ["Shibuya Crossing", "Meiji Shrine"], "Kyoto": ["Golden Pavilion", "Nijo Castle"]},
    "China": {"Beijing": ["Forbidden Palace", "Summer Palace"], "Shanghai": ["Pearl Tower"]},
    "India": {
        "Agra": ["Taj Mahal"],
        "Delhi": ["Red Fort", "Lotus Temple"],
        "Hyderabad": ["Charminar"],
        "Jaipur": ["Palace of Winds"],
    },
    "Thailand": {"Bangkok": ["Temple of Dawn", "Grand Palace"]},
    "Indonesia": {"Jakarta": ["Istiqlal Mosque"]},
    "Egypt": {"Giza": ["Great Sphinx", "Great Pyramid"]},
    "Australia": {"Sydney": ["Harbour Bridge", "Bondi Beach"]},
    "Peru": {"Lima": ["Larco Museum"]},
    "Morocco": {"Rabat": ["Hassan Tower"], "Marrakesh": ["Majorelle Garden"]},
    "Iran": {"Tehran": ["Azadi Tower", "Golestan Palace"]},
    "Ukraine": {"Kyiv": ["Mariinskyi Palace"]},
    "Croatia": {"Split": ["Diocletian Palace"]},
    "Scotland": {"Edinburgh": ["Royal Mile", "Holyrood Palace"]},
    "Iceland": {"Reykjavik": ["Harpa Hall"]},
    "Finland": {"Helsinki": ["Rock Church"]},
    "Bulgaria": {"Sofia": ["Boyana Church"]},
    "Serbia": {"Belgrade": ["Kalemegdan Fortress"]},
    "Estonia": {"Tallinn": ["Toompea Castle"]},
    "Lithuania": {"Vilnius": ["Gediminas Tower"]},
    "Vietnam": {"Hanoi": ["Temple of Literature"]},
    "Cuba": {"Havana": ["Capitolio"]},
    "Colombia": {"Bogota": ["Gold Museum"]},
    "Romania": {"Bucharest": ["Village Museum"]},
}

COUNTRIES = {row.split()[0]: Country(*row.split()) for row in _COUNTRIES.strip().replace("\n", "|").split("|")}
LANDMARKS = tuple(
    Landmark(name, city, country)
    for country, cities in _LANDMARKS.items()
    for city, names in cities.items()
    for name in names
)
CITIES = {landmark.city: landmark.country for landmark in LANDMARKS} | {c.capital: c.name for c in COUNTRIES.values()}
LANGUAGES = tuple(sorted({country.language for country in COUNTRIES.values()}))

WOMEN = tuple(
    """Mary Anna Emma Laura Sarah Julia Alice Helen Maria Sophie Clara Nina Rachel Diana Lucy Martha Eva Olga
Irene Susan Linda Karen Nora Vera""".split()
)
MEN = tuple(
    """John Tom Peter David Paul James Mark Simon Daniel Robert Martin Henry Oscar Victor Adam Felix George Jack
Leo Max Oliver Samuel Walter Hugo""".split()
)
NAMES = WOMEN + MEN

SHOPS = tuple("store market bakery library museum park school garden station hospital kitchen restaurant".split())
GIFTS = tuple("drink book ring ticket letter present flower map phone camera coin basket".split())

GIVING = ("gave", "handed", "showed", "sent", "brought", "passed", "offered")
OPENERS = ("Last year", "In April", "On Monday", "Two years ago", "One day", "Last summer", "Last winter")
PRONOUNS = {"woman": "she", "man": "he", "several": "they"}
SUBJECT_PRONOUNS = {"woman": "She", "man": "He"}

# Subjects and attractors of agreement, singular and plural.
THINGS = {
    "key": "keys",
    "cup": "cups",
    "box": "boxes",
    "lamp": "lamps",
    "chair": "chairs",
    "table": "tables",
    "cabinet": "cabinets",
    "door": "doors",
    "window": "windows",
    "picture": "pictures",
    "bottle": "bottles",
    "plate": "plates",
    "clock": "clocks",
    "bag": "bags",
    "shelf": "shelves",
    "mirror": "mirrors",
    "basket": "baskets",
    "candle": "candles",
    "car": "cars",
    "truck": "trucks",
    "boat": "boats",
    "tree": "trees",
}

VERBS = {"singular": "is", "plural": "are"}
POSITIONS = ("near", "behind", "beside", "under")
COUNTED = ("coins", "books", "apples")

ANIMALS = tuple("dog cat horse rabbit donkey monkey lion tiger bear fox wolf goat".split())
RESTING_PLACES = tuple("pillow blanket sofa carpet cushion mattress mat hay".split())
OF_ANIMALS = tuple("tired sleepy hungry thirsty lazy afraid sick lonely".split())
OF_RESTING_PLACES = tuple("soft warm dry thick comfortable fluffy cosy woollen".split())
OF_EITHER = tuple("old clean small white".split())

KINDS = {
    "bird": "robin sparrow eagle owl duck".split(),
    "fish": "salmon trout shark tuna cod".split(),
    "fruit": "apple banana cherry mango pear".split(),
    "vegetable": "carrot onion potato cabbage spinach".split(),
    "metal": "iron copper silver gold tin".split(),
    "tool": "hammer saw drill wrench chisel".split(),
    "insect": "ant bee beetle moth wasp".split(),
    "instrument": "piano violin flute guitar trumpet".split(),
    "sport": "tennis football hockey rowing boxing".split(),
    "colour": "red blue green yellow purple".split(),
}
KIND_OF = {thing: kind for kind, things in KINDS.items() for thing in things}

PRODUCTS = tuple("film book play concert hotel meal show series game novel".split())
ASPECTS = tuple("script ending plot price service music sound design beginning title".split())
PRAISE = tuple("entertaining wonderful brilliant charming delightful superb moving clever".split())
BLAME = tuple("boring terrible awful dull tedious clumsy disappointing painful".split())
ASPECT_PRAISE = tuple("strong fine solid lovely fresh".split())
ASPECT_BLAME = tuple("weak poor bad silly messy".split())
VERDICTS = {True: "positive", False: "negative"}
INTENSIFIERS = tuple("very really truly surprisingly extremely quite".split())
NEGATIONS = ("not", "never", "hardly", "far from", "anything but", "not at all")

_OPPOSITES = """hot cold | big small | tall short | fast slow | light dark | early late | open closed | rich poor
happy sad | young old | strong weak | hard soft | wet dry | full empty | loud quiet | clean dirty | high low | near far
right wrong | cheap expensive | safe dangerous | sweet bitter | thin thick | smooth rough"""
OPPOSITES = {
    word: other
    for pair in _OPPOSITES.replace("\n", "|").split("|")
    for word, other in (pair.split(), pair.split()[::-1])
}

# word -> sense -> what somebody did, in words that give the sense away
SENSES = {
    "bank": {
        "money": ["kept the savings in", "borrowed some coins from", "opened an account at"],
        "river": ["went fishing from", "pulled the boat onto", "watched the water from"],
    },
    "bat": {
        "animal": ["heard the wings of", "fed some insects to", "looked into the cave of"],
        "club": ["hit the ball with", "won the tournament with", "carried the gloves and"],
    },
    "spring": {
        "season": ["planted the flowers in", "heard the birds sing in", "waited all winter for"],
        "coil": ["repaired the clock with", "stretched the metal of", "oiled the screws and"],
    },
    "seal": {
        "animal": ["swam in the sea with", "fed some fish to", "touched the whiskers of"],
        "stamp": ["closed the letter with", "melted the wax for", "saw the envelope with"],
    },
    "crane": {
        "bird": ["counted the eggs of", "saw the nest of", "studied the feathers of"],
        "machine": ["lifted the steel with", "raised the bricks with", "drove the engine of"],
    },
    "mouse": {
        "animal": ["lost the cheese to", "saw the cat hunt", "found the tail of"],
        "device": ["clicked on the screen with", "bought the keyboard and", "moved the cursor with"],
    },
    "palm": {
        "tree": ["picked the coconuts of", "climbed the trunk of", "rested in the shade of"],
        "hand": ["held the coin in", "wrote the number on", "burned the skin of"],
    },
    "match": {
        "fire": ["lit the candle with", "burned the paper with", "started the stove with"],
        "game": ["scored two goals in", "met the players of", "shouted at the referee of"],
    },
}
FUNCTION_WORDS = frozenset("the a an of in with to from for on at and into onto some all".split())
COMMON_WORDS = tuple(
    """stone cloud river paper salt mountain button feather needle ladder bridge island pepper rocket
violet marble copper velvet pocket tunnel engine barrel lemon ribbon pencil hammer blanket mirror candle carpet bottle
window garden basket camera letter flower ticket forest desert castle harbour village planet shadow thunder winter
butter sugar cotton silver rabbit monkey donkey tiger piano violin trumpet saddle anchor compass lantern
pillow""".split()
)

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = """January February March April May June July August September October November December""".split()
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty""".split()
EVENTS = tuple("war siege reign journey strike festival drought famine project voyage".split())
DRINKS = tuple("tea coffee milk juice water wine soup honey bread cheese rice cake".split())
