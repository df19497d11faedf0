"""All sentence families, by name."""

from smallworld.families import facts, patterns, people, phrases

FAMILIES = {family.name: family for file in (facts, people, phrases, patterns) for family in file.FAMILIES}
