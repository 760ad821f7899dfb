"""The words of addresses that are not written in Chinese characters: data alone, which the core reads as arrays.

Words stand as folded text: small letters, no accents, ß as ss. Sources: USPS Publication 28, appendix C (streets,
units, directions, states); Canada Post, Addressing Guidelines; Australia Post, AS 4590; AFNOR NF Z10-011 (voies); INE,
Callejero (tipos de vía); DIN 5008; UPU S42 and its country sheets (order, units, postal codes, boxes).
"""

from __future__ import annotations

from typing import Final

from ordervet.entities.address.lexicon import PlaceType, Unit

__all__ = [
    "BOX_WORDS",
    "CARE_OF",
    "DROPPED_BEFORE_NUMBER",
    "JOINED",
    "MONTHS",
    "PARTICLES",
    "PLACE_WORDS",
    "POSTCODES",
    "POSTFIX_UNITS",
    "REPEATED",
    "ROAD_PREFIXES",
    "ROAD_SUFFIXES",
    "ROAD_TYPES",
    "SHORT_FORMS",
    "STATES",
    "SUFFIXES",
    "UMLAUTS",
    "UNIT_BEHIND_SLASH",
    "UNIT_FIRST",
    "UNIT_WORDS",
    "WORD_NUMBERS",
    "ZIP_DIGITS",
]


SHORT_FORMS: Final = {
    long: short
    for short, longs in (
        ("st", "street saint sankt"),
        ("ave", "avenue av aven avn avnue avenida avda"),
        ("rd", "road"),
        ("blvd", "boulevard bd boul bvd boulv bulevar"),
        ("ln", "lane"),
        ("dr", "drive drv driv"),
        ("ct", "court crt"),
        ("pl", "place plaza plz platz plza pza pzza piazza praca plein plac"),
        ("sq", "square sqr"),
        ("ter", "terrace terr tce"),
        ("pkwy", "parkway pky parkwy pkway"),
        ("hwy", "highway hway hiway highwy"),
        ("fwy", "freeway frwy"),
        ("expy", "expressway exp expw express"),
        ("cir", "circle circ crcl circl"),
        ("cres", "crescent cresc crsnt crescnt"),
        ("trl", "trail trails trls"),
        ("aly", "alley allee ally all"),
        ("cswy", "causeway causwa"),
        ("ctr", "center centre cntr centr cent centro"),
        ("cv", "cove"),
        ("xing", "crossing crssng"),
        ("gdns", "gardens gdn garden gardn grdns"),
        ("grn", "green"),
        ("gr", "grove grv grov"),
        ("hts", "heights ht"),
        ("hl", "hill"),
        ("jct", "junction jction jctn"),
        ("lk", "lake"),
        ("mnr", "manor"),
        ("mdws", "meadows meadow mdw"),
        ("mt", "mount"),
        ("mtn", "mountain mntain mtin"),
        ("pk", "park prk"),
        ("pt", "point"),
        ("rdg", "ridge rdge"),
        ("riv", "river rvr"),
        ("rte", "route rt"),
        ("spg", "spring springs spgs spng"),
        ("sta", "station stn"),
        ("tpke", "turnpike trnpk turnpk"),
        ("vly", "valley vally vlly"),
        ("vlg", "village villag vill"),
        ("est", "estate estates ests"),
        ("ft", "fort"),
        ("ch", "chemin che chem"),
        ("imp", "impasse"),
        ("fbg", "faubourg fg"),
        ("res", "residence"),
        ("c", "calle cl"),
        ("pso", "paseo ps"),
        ("ctra", "carretera crta"),
        ("cno", "camino"),
        ("rda", "ronda"),
        ("trv", "travesia travessa tv"),
        ("cra", "carrera kr kra cr"),
        ("urb", "urbanizacion"),
        ("v", "via"),
        ("vle", "viale"),
        ("cso", "corso"),
        ("lgo", "largo"),
        ("vlo", "vicolo"),
        ("r", "rua"),
        ("ul", "ulica"),
        ("al", "aleja aleje"),
        ("os", "osiedle"),
        ("jln", "jalan jl"),
        ("n", "north nord norte"),
        ("s", "south sud sur"),
        ("e", "east ost este"),
        ("w", "west ouest oeste"),
        ("ne", "northeast"),
        ("nw", "northwest"),
        ("se", "southeast"),
        ("sw", "southwest"),
        ("1st", "first"),
        ("2nd", "second"),
        ("3rd", "third"),
        ("4th", "fourth"),
        ("5th", "fifth"),
        ("6th", "sixth"),
        ("7th", "seventh"),
        ("8th", "eighth"),
        ("9th", "ninth"),
        ("10th", "tenth"),
    )
    for long in longs.split()
}
"""A word → the form that stands for it and its other abbreviations."""

ROAD_TYPES: Final = frozenset(SHORT_FORMS.values()) | {"rue", "quai", "cours"}
"""What may stand before a road's name, as ``SHORT_FORMS`` has it."""

JOINED: Final = {"strasse": "str", "str": "str", "straat": "str"}
"""A word that is joined to the one before it: Goethe-Straße is Goethestr."""

SUFFIXES: Final = {"strasse": "str", "straat": "str", "platz": "pl", "gasse": "g", "gatan": "g", "vagen": "v"}
"""The end of a word → what stands for it: Birkenstrasse is Birkenstr."""

ROAD_PREFIXES: Final = frozenset(
    {
        "c",
        "cra",
        "diagonal",
        "dg",
        "transversal",
        "trv",
        "ave",
        "v",
        "hwy",
        "rte",
        "rue",
        "r",
        "jln",
        "ctra",
        "sr",
        "cr",
    }
)
"""After these a number is a road's name: Calle 50, Highway 101."""

ROAD_SUFFIXES: Final = ("str", "weg", "allee", "damm", "ufer", "laan", "gracht", "kade", "gade", "vej", "vagen", "gata")
"""The ends of words that are roads: Birkenweg."""

PARTICLES: Final = frozenset(
    {"de", "del", "la", "las", "los", "le", "les", "du", "des", "da", "do", "dos", "das", "di", "della", "delle"}
)
"""Directly after a road's type they are left out as often as they are written: Calle (de) Alcalá."""

DROPPED_BEFORE_NUMBER: Final = frozenset({"no", "nr", "num", "numero", "number", "nummer", "hausnummer", "д", "дом"})

UNIT_WORDS: Final = {
    **dict.fromkeys(
        (
            *(
                "apt",
                "apartment",
                "apartament",
                "appartement",
                "appt",
                "app",
                "apto",
                "apartamento",
                "unit",
                "suite",
                "ste",
            ),
            *("flat", "room", "rm", "door", "space", "spc", "trailer", "trlr", "slip", "wohnung", "whg", "tur", "top"),
            *(
                "puerta",
                "pta",
                "depto",
                "departamento",
                "dpto",
                "interno",
                "int",
                "bus",
                "bte",
                "boite",
                "lokal",
                "lok",
            ),
            *("m", "mieszkanie", "leilighet", "lgh", "кв", "оф", "офис", "penthouse", "ph", "shop", "kiosk", "locker"),
        ),
        Unit.ROOM,
    ),
    **dict.fromkeys(
        ("floor", "fl", "flr", "level", "lvl", "etage", "piso", "planta", "stock", "og", "andar"), Unit.FLOOR
    ),
    **dict.fromkeys(("entrance", "stiege", "escalera", "esc", "scala", "staircase", "escalier"), Unit.STAIR),
    **dict.fromkeys(
        (
            *(
                "building",
                "bldg",
                "bld",
                "block",
                "blk",
                "bloque",
                "tower",
                "twr",
                "lot",
                "batiment",
                "bat",
                "edificio",
            ),
            *("edif", "haus", "wing", "к", "корп", "корпус", "стр", "blok", "torre", "portal"),
        ),
        Unit.BUILDING,
    ),
}
"""A word before a number or a letter or two → what that counts."""

POSTFIX_UNITS: Final = {
    **dict.fromkeys(("floor", "fl", "flr", "etage", "piso", "planta", "stock", "og", "stockwerk", "층"), Unit.FLOOR),
    "동": Unit.BUILDING,
    "호": Unit.ROOM,
}
"""A word after a number → what it counts."""

UNIT_FIRST: Final = {"AU": "/", "NZ": "/", "CA": "-"}
"""Where a unit stands before the house number, by what parts them: 5/12 High Street."""

UNIT_BEHIND_SLASH: Final = frozenset({"AT", "PL", "HU"})
"""Where what stands behind the house number and a slash is a unit: Hauptstraße 12/3/5. Elsewhere it may be a house."""

UMLAUTS: Final = frozenset({"DE", "AT", "CH", "LI"})
"""Where ae, oe and ue are written for ä, ö and ü."""

BOX_WORDS: Final = (
    *(("po", "box"), ("p", "o", "box"), ("pobox",), ("p", "obox"), ("post", "office", "box"), ("gpo", "box"), ("pob",)),
    *(
        ("postfach",),
        ("boite", "postale"),
        ("bp",),
        ("postbus",),
        ("apartado", "de", "correos"),
        ("apartado", "postal"),
    ),
    *(("apartado",), ("apdo",), ("casella", "postale"), ("caixa", "postal"), ("locked", "bag"), ("private", "bag")),
    *(("skrytka", "pocztowa"), ("postboks",), ("postbox",), ("box",)),
)
"""What stands before the number of a box at a post office; the longest come first of those that begin alike."""

WORD_NUMBERS: Final = dict(
    zip(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
        map(str, range(1, 11)),
        strict=True,
    )
)

_MONTHS = """
januar februar marz april mai juni juli august september oktober november dezember janvier fevrier mars avril juin
juillet aout septembre octobre novembre decembre enero febrero marzo abril mayo junio julio agosto septiembre octubre
noviembre diciembre gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre janeiro fevereiro marco
maio junho julho setembro outubro novembro dezembro january february march may june july october december maja
stycznia lutego marca kwietnia czerwca lipca sierpnia wrzesnia pazdziernika listopada grudnia
"""
MONTHS: Final = frozenset(_MONTHS.split())
"""A number before one of these is a day, and part of a road's name: Straße des 17. Juni, 9 de Julio."""

REPEATED: Final = frozenset({"bis", "ter", "quater"})
"""Behind a house number, these are part of it: 5 bis."""

CARE_OF: Final = (("c", "o"), ("attn",), ("att",), ("z", "hd"), ("z", "h"))
"""A part of an address that begins so names a person."""

_DIGITS = {
    "#####": "DE FR ES IT FI MX TR MY ID TH KR UA HR EE LT MC SM RS ME CU MA EG SA SE CZ SK GR",
    "####": "AT CH BE DK NO AU NZ HU LU BG SI LV ZA PH LI TN CY GE BD",
    "######": "RU SG IN RO KZ BY VN CO EC",
}
POSTCODES: Final = {
    **{country: (mask,) for mask, countries in _DIGITS.items() for country in countries.split()},
    "US": ("#####", "#####-####"),
    "PR": ("#####", "#####-####"),
    "CA": ("@#@#@#",),
    "GB": ("@##@@", "@#?#@@", "@@##@@", "@@#?#@@"),
    "IE": ("@##????", "@#w????"),
    "NL": ("####@@",),
    "PL": ("##-###",),
    "PT": ("####-###",),
    "BR": ("#####-###",),
    "JP": ("###-####",),
    "IL": ("#######", "#####"),
    "AR": ("####", "@####", "####@@@", "@####@@@"),
}
"""Country → its postal codes, written without spaces: # a digit, @ a letter, ? either, - a dash that may be missing."""

ZIP_DIGITS: Final = {"US": 5, "PR": 5}
"""Where a postal code may go on with digits that tell the house, how many stand before these."""

_US = """al alabama;ak alaska;az arizona;ar arkansas;ca california;co colorado;ct connecticut;de delaware;
dc districtofcolumbia;fl florida;ga georgia;hi hawaii;id idaho;il illinois;in indiana;ia iowa;ks kansas;ky kentucky;
la louisiana;me maine;md maryland;ma massachusetts;mi michigan;mn minnesota;ms mississippi;mo missouri;mt montana;
ne nebraska;nv nevada;nh newhampshire;nj newjersey;nm newmexico;ny newyork;nc northcarolina;nd northdakota;oh ohio;
ok oklahoma;or oregon;pa pennsylvania;ri rhodeisland;sc southcarolina;sd southdakota;tn tennessee;tx texas;ut utah;
vt vermont;va virginia;wa washington;wv westvirginia;wi wisconsin;wy wyoming;pr puertorico"""
_CA = """ab alberta;bc britishcolumbia;mb manitoba;nb newbrunswick;nl newfoundlandandlabrador;ns novascotia;on ontario;
pe princeedwardisland;qc quebec;sk saskatchewan;nt northwestterritories;nu nunavut;yt yukon"""
_AU = """nsw newsouthwales;vic victoria;qld queensland;sa southaustralia;wa westernaustralia;tas tasmania;
act australiancapitalterritory;nt northernterritory"""
STATES: Final = {
    country: frozenset(word for state in states.replace("\n", "").split(";") for word in state.split())
    for country, states in (("US", _US), ("CA", _CA), ("AU", _AU))
}
"""Country → its states, by code and in full: the postal code tells them."""

PLACE_WORDS: Final = {
    **dict.fromkeys(
        ("packstation", "paketshop", "postfiliale", "parcelshop", "locker", "parcellocker"), PlaceType.PICK_UP
    ),
    **dict.fromkeys(("paczkomat", "mondialrelay", "pickup", "dropoff", "inpost"), PlaceType.PICK_UP),
    **dict.fromkeys(("hospital", "clinic", "krankenhaus", "klinikum", "hopital", "ospedale"), PlaceType.HOSPITAL),
    **dict.fromkeys(("dormitory", "dorm", "hostel", "wohnheim", "studentenwohnheim"), PlaceType.DORMITORY),
    **dict.fromkeys(("university", "college", "school", "universitat", "universite", "universidad"), PlaceType.CAMPUS),
    **dict.fromkeys(
        ("warehouse", "depot", "forwarding", "logistics", "fulfillment", "fulfilment"), PlaceType.WAREHOUSE
    ),
    **dict.fromkeys(("hotel", "motel", "inn", "resort"), PlaceType.HOTEL),
    **dict.fromkeys(("gmbh", "inc", "ltd", "llc", "corp", "office", "offices", "sarl"), PlaceType.OFFICE),
    **dict.fromkeys(("mall", "store", "supermarket", "pharmacy"), PlaceType.SHOP),
}
"""A word → the kind of place it tells; of several the first in the order of `PlaceType` after households wins."""
