"""Questions of the kind that the public asks, and what answers each: what the chat is judged on.

`TUNED` was looked at while the chat was written, `FOLLOWED` since topics were added, so neither says how fresh
questions fare. The answer is the title of a topic or (species, kind); several where each is right; `COMPARED` where
facts of several species are; none where the base holds no answer.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.helpers.labelled_questions import (
    ADMIRAL,
    BUCKEYE,
    CLOAK,
    COPPER,
    ERATO,
    LADY,
    MONARCH,
    SWALLOWTAIL,
    WHITE,
    ZEBRA,
)

COMPARED = "compared"
DIET, HOSTS, GROWTH = "Feeding and the proboscis", "Host plants", "Metamorphosis and the four stages"


class Asked(NamedTuple):
    """A question without a photo, unless a species is given, after `before`, and what answers it."""

    text: str
    answers: tuple[object, ...] = ()
    photo: str = ""
    before: tuple[str, ...] = ()


TUNED = (
    Asked("What do butterflies eat?", (DIET,)),
    Asked("How does a caterpillar turn into a butterfly?", (GROWTH,)),
    Asked("can you explain the life cycle of a butterfly to my 8 year old?", (GROWTH,)),
    Asked("were there butterflies when dinosaurs lived?", ("How old butterflies are",)),
    Asked("do butterflies bite", ("Bites, stings and pets",)),
    Asked(
        "my dog ate a butterfly, is that dangerous?",
        ("Cats and butterflies", "Bites, stings and pets"),
    ),
    Asked("Do butterflies sleep at night?", ("Sleep, night and rain",)),
    Asked("where do butterflys go when it rains", ("Sleep, night and rain",)),
    Asked("Can butterflies hear us talking?", ("Hearing",)),
    Asked("does a butterfly have a heart?", ("Blood and heart",)),
    Asked("what colour is a butterflies blood", ("Blood and heart",)),
    Asked("how fast can butterflies fly", ("Speed and height of flight",)),
    Asked(
        "how high can they fly? I mean butterflies",
        (
            "How high butterflies fly",
            "Speed and height of flight",
        ),
    ),
    Asked("Do butterflies remember being a caterpillar?", ("Memory and learning",)),
    Asked("why is it called a butterfly", ("The word butterfly",)),
    Asked("How long do butterflys live?", ("Life span",)),
    Asked("is it true that butterflies only live for a day", ("Life span",)),
    Asked("How long does a butterfly stay in its cocoon?", ("Time in the chrysalis",)),
    Asked("how many days until the chrysalis opens?", ("Time in the chrysalis",)),
    Asked("What happens if you touch a butterfly's wings?", ("Touching and handling butterflies", "Wing scales")),
    Asked("what is the powder on their wings? on butterfly wings", ("Wing scales",)),
    Asked("Why are butterflies so colorful?", ("Why butterflies are colourful", "How wings get their colours")),
    Asked("Where do butterflies go in the winter?", ("Migration", "Overwintering and diapause")),
    Asked(
        "How do I attract butterflies to my yard?",
        ("How to begin a butterfly garden", "A garden for butterflies"),
    ),
    Asked(
        "what flowers do butterflies like best",
        ("Flowers that butterflies like best", "A garden for butterflies", "Pollination"),
    ),
    Asked("which plants should I grow for monarchs", ((MONARCH, "host_plants"), "Garden plants by species")),
    Asked("What is the biggest butterfly in the world?", ("Largest and smallest butterflies",)),
    Asked("how many types of butterflies are there", ("How many species there are", "Families of butterflies")),
    Asked("are butterflies going extinct?", ("Threats and decline",)),
    Asked(
        "How can I help save the butterflies",
        ("How to help butterflies", "Threats and decline"),
    ),
    Asked(
        "why do butterflies land on me?",
        ("Why a butterfly lands on you", "Puddling"),
    ),
    Asked("Why are butterflies important to the ecosystem?", ("Why butterflies matter",)),
    Asked("do birds eat butterflies?", ("Predators and parasites",)),
    Asked("what eats caterpilars", ("Predators and parasites",)),
    Asked("how do butterflies protect themselves", ("Defences",)),
    Asked(
        "I found a butterfly with a torn wing. What should I do?",
        ("A wing that is missing or torn", "A butterfly found injured or weak"),
    ),
    Asked(
        "can i give a weak butterfly sugar water",
        ("A wing that is missing or torn", "A butterfly found injured or weak"),
    ),
    Asked(
        "Can I keep a butterfly as a pet?",
        ("Butterflies as pets", "Raising caterpillars"),
    ),
    Asked("what should i feed the caterpillar i found", (HOSTS, "Raising caterpillars")),
    Asked(
        "do all caterpillars become butterflies or moths?",
        ("Whether all caterpillars become butterflies", "Butterfly or moth", "Predators and parasites"),
    ),
    Asked("whats the difference between a cocoon and chrysalis", ("Chrysalis or cocoon",)),
    Asked("how many eyes do butterflies have", ("Eyes of butterflies",)),
    Asked("how many legs does a butterfly have?", ("Legs of butterflies", "Families of butterflies")),
    Asked("how do butterflies smell things", ("Smell and taste",)),
    Asked(
        "Do butterflies taste with their feet?",
        ("Tasting with the feet", "Smell and taste"),
    ),
    Asked("Do butterflies drink water?", ("Water and drinking", DIET, "Puddling")),
    Asked(
        "how do butterflys mate",
        ("How butterflies mate", "Courtship and territories"),
    ),
    Asked(
        "why do two butterflies spiral around each other",
        ("Fights of males", "Courtship and territories"),
    ),
    Asked(
        "why do butterflies open and close their wings when sitting",
        ("Why butterflies close or open their wings", "Warming up and cooling down"),
    ),
    Asked(
        "can butterflies fly in cold weather",
        ("Weather for butterflies", "Warming up and cooling down"),
    ),
    Asked("does roundup kill butterflies? I mean weedkiller", ("Pesticides",)),
    Asked("What do monarch butterflies eat?", ((MONARCH, "host_plants"), (MONARCH, "life_cycle"), DIET)),
    Asked(
        "where do monarchs migrate to",
        ("Migration of Monarchs", (MONARCH, "habitat"), (MONARCH, "life_cycle"), "Migration"),
    ),
    Asked(
        "Why are monarch butterflies endangered?",
        (
            "Are Monarchs endangered",
            (MONARCH, "conservation"),
        ),
    ),
    Asked(
        "are monarchs poisonous?",
        (
            "Poisonous butterflies",
            (MONARCH, "host_plants"),
        ),
    ),
    Asked("How can you tell a viceroy from a monarch?", ((MONARCH, "look_alikes"),)),
    Asked(
        "is my monarch a boy or girl",
        ((MONARCH, "identification"), "Telling males and females apart"),
    ),
    Asked("how big do giant swallowtails get", ((SWALLOWTAIL, "wingspan"),)),
    Asked("where does the red admiral lay its eggs?", ((ADMIRAL, "host_plants"), (ADMIRAL, "life_cycle"))),
    Asked("is the painted lady rare", ((LADY, "conservation"),)),
    Asked("when do mourning cloaks come out", ((CLOAK, "flight_season"),)),
    Asked("are cabbage whites bad for my garden?", ((WHITE, "conservation"), (WHITE, "host_plants"))),
    Asked("what does the buckeye caterpiller eat", ((BUCKEYE, "host_plants"),)),
    Asked("how long do zebra longwings live", ((ZEBRA, "life_cycle"),)),
    Asked("Does it bite?", ("Bites, stings and pets",), ADMIRAL),
    Asked("What does it eat?", ((COPPER, "host_plants"),), COPPER),
    Asked("Where can I see one?", ((ERATO, "range"), (ERATO, "habitat")), ERATO),
    Asked("is it dangerous", ("Bites, stings and pets", (SWALLOWTAIL, "conservation")), SWALLOWTAIL),
    Asked("whats its lifespan", ("Life span", (ADMIRAL, "life_cycle")), ADMIRAL),
    Asked("does it sleep at night?", ("Sleep, night and rain", (ZEBRA, "life_cycle")), ZEBRA),
    Asked("Why?", ((MONARCH, "conservation"),), "", ("Is the monarch endangered?",)),
    Asked("And where does it live?", ((ADMIRAL, "range"),), "", ("What does the red admiral eat?",)),
    Asked("And how big is it?", ((CLOAK, "wingspan"),), "", ("Where does the mourning cloak live?",)),
    Asked("and the painted lady?", ((LADY, "wingspan"),), "", ("How big is the red admiral?",)),
    Asked("which one is bigger, the monarch or the painted lady?", (COMPARED,)),
    Asked("which is the largest?", (COMPARED,)),
    Asked("what is the smallest species you know", (COMPARED,)),
    Asked("How many species do you know?", (COMPARED,)),
    Asked("which of them live in Europe?", (COMPARED,)),
    Asked("which butterfly eats nettles?", (COMPARED,)),
    Asked("Which of your butterflies migrate?", (COMPARED,)),
    Asked("which species belong to the swallowtails", (COMPARED,)),
    Asked("which ones survive the winter as adults?", (COMPARED,)),
    Asked("which butterfly is orange and black?", (COMPARED,)),
    Asked("How much does a monarch weigh?", ("Weight",)),
    Asked("how many butterflies die each year from cars"),
    Asked(
        "Can butterflies swim?",
        ("A wet or drowned butterfly", "Walking, swimming and other skills"),
    ),
    Asked("do butterflies feel pain", ("Pain and feelings",)),
    Asked("How much does a butterfly cost?"),
    Asked("what is the genome size of the painted lady"),
    Asked("Do butterflies get cancer?"),
    Asked("Who has the largest butterfly collection?"),
    Asked("How do I pin a butterfly for a collection?", ("Keeping a dead butterfly",)),
    Asked("What is the butterfly effect?", ("The butterfly effect",)),
    Asked("who sang butterfly kisses"),
    Asked("do butterflies get drunk", ("Drunk butterflies",)),
    Asked("Can I buy monarch eggs online?"),
    Asked("how many monarchs wintered in Mexico last year"),
    Asked("what is the butterfly stroke"),
    Asked("Are butterflies kosher"),
)
FOLLOWED = (
    Asked("what do butterflies like to eat most", (DIET,)),
    Asked("what do baby caterpillars eat", (HOSTS,)),
    Asked("how do caterpillars become butterflies", (GROWTH,)),
    Asked("What are the 4 stages of a butterfly?", (GROWTH,)),
    Asked("do butterflys sting", ("Bites, stings and pets",)),
    Asked(
        "Are butterflies toxic to cats?",
        ("Cats and butterflies", "Bites, stings and pets"),
    ),
    Asked("do butterflies close their eyes when they sleep", ("Sleep, night and rain",)),
    Asked("can butterflies fly in the rain?", ("Sleep, night and rain",)),
    Asked("Do butterflies have ears?", ("Hearing",)),
    Asked("Do butterflies have lungs?", ("Breathing",)),
    Asked("what is the top speed of a butterfly", ("Speed and height of flight",)),
    Asked(
        "Are butterflies smart?",
        ("Brain of a butterfly", "Memory and learning"),
    ),
    Asked("where does the name butterfly come from", ("The word butterfly",)),
    Asked("What does it mean when a butterfly visits you", ("Butterflies in culture", "Puddling")),
    Asked("how long is a butterfly's life", ("Life span",)),
    Asked(
        "how long till a caterpillar turns into a butterfly", ("From egg to butterfly", "Time in the chrysalis", GROWTH)
    ),
    Asked("will a butterfly die if its wings are touched", ("Touching and handling butterflies",)),
    Asked("How do butterflies survive winter?", ("Overwintering and diapause",)),
    Asked(
        "how do butterflies know where to migrate",
        ("How butterflies find their way", "Migration"),
    ),
    Asked(
        "best plants for a butterfly garden",
        ("How to begin a butterfly garden", "A garden for butterflies"),
    ),
    Asked("what's the tiniest butterfly on earth", ("Largest and smallest butterflies",)),
    Asked("why are butterfly populations declining", ("Threats and decline",)),
    Asked("what good are butterflies", ("Why butterflies matter",)),
    Asked("what are butterflies predators", ("Predators and parasites",)),
    Asked(
        "why do some butterflies have eyes on their wings",
        ("Eyespots on wings", "Defences"),
    ),
    Asked(
        "can a butterfly survive with a broken wing?",
        ("A wing that is missing or torn", "A butterfly found injured or weak"),
    ),
    Asked("there's a butterfly in my living room and it is december", ("A butterfly indoors in winter",)),
    Asked("how do you tell a moth from a butterfly", ("Butterfly or moth",)),
    Asked("can butterflies see color", ("Colours that butterflies see",)),
    Asked(
        "do monarch caterpillars only eat milkweed",
        (
            "Milkweed",
            (MONARCH, "host_plants"),
        ),
    ),
    Asked("how many generations of painted ladies in a year", ((LADY, "flight_season"), (LADY, "life_cycle"))),
    Asked(
        "are red admirals common in britain",
        ((ADMIRAL, "conservation"), (ADMIRAL, "range")),
    ),
    Asked(
        "is the caterpillar of the giant swallowtail poisonous",
        ((SWALLOWTAIL, "life_cycle"), (SWALLOWTAIL, "host_plants")),
    ),
    Asked("what does a mourning cloak look like", ((CLOAK, "identification"),)),
    Asked("How big is it?", ((BUCKEYE, "wingspan"),), BUCKEYE),
    Asked("what plants should I put in for it", ((WHITE, "host_plants"), "Garden plants by species"), WHITE),
    Asked("And where does that plant grow?", (), "", ("What do monarch caterpillars eat?",)),
    Asked("and when does it fly?", ((COPPER, "flight_season"),), "", ("How big is the american copper?",)),
    Asked("which species is the biggest one in your list?", (COMPARED,)),
    Asked("Which of them eat passion flowers?", (COMPARED,)),
    Asked("is a red admiral bigger than a small copper?", (COMPARED,)),
    Asked("what species can you tell me about", (COMPARED,)),
    Asked("can butterflies get fat"),
    Asked("how many muscles does a butterfly have"),
    Asked("what do butterflies think about", ("Souls and thoughts",)),
    Asked("Is it legal to kill a monarch", ("Catching butterflies and the law",)),
    Asked("how much is a rare butterfly worth"),
    Asked("how many chromosomes does a butterfly have"),
    Asked("where can I get a butterfly tattoo"),
    Asked("do butterflies have friends", ("Living alone or together",)),
)
