"""Guessing which category of data a column holds, from its name, in Dutch, French, German and English.

Invariant: a guess is only ever proposed to a person (``ropa location discover``); nothing is decided by it.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

_WORDS: dict[str, str] = {
    "national-id": (
        "rijksregister rijksregisternummer rrn insz niss bsn registrenational numeronational steuerid "
        "sozialversicherungsnummer svnr ssn nationalid nationalnumber nir"
    ),
    "identity-document": (
        "paspoort passeport reisepass passport identiteitskaart carteidentite personalausweis idcard eid"
    ),
    "birth-date": (
        "geboortedatum geboren gebdat datenaissance naissance geburtsdatum geburtstag birthdate birthday birth dob"
    ),
    "email": "email mail emailadres courriel emailaddress mailadres",
    "telephone": "tel telefoon telefoonnummer gsm mobiel telephone portable telefon handy mobile phone fax mobil",
    "bank-account": "iban rekening rekeningnummer bankrekening compte comptebancaire konto kontonummer bankaccount bic",
    "ip-address": "ip ipadres ipaddress adresseip ipadresse remoteaddr clientip ipv4 ipv6",
    "cookie-id": "cookie cookieid visitorid clientid",
    "address": (
        "adres straat huisnummer postcode woonplaats gemeente stad adresse rue codepostal ville commune strasse "
        "hausnummer plz ort wohnort address street city zip zipcode postal postalcode"
    ),
    "location": "latitude longitude lat lon lng gps geolocation",
    "browsing": "useragent referrer referer pageurl clickstream",
    "device": "device deviceid imei toestel appareil geraet macaddress",
    "cv": "cv curriculum curriculumvitae lebenslauf resume",
    "photo": "foto photo pasfoto avatar picture bild",
    "credentials": "wachtwoord motdepasse passwort kennwort password passwordhash pwd",
    "correspondence": "bericht boodschap message nachricht opmerking opmerkingen remarque bemerkung comment notes note",
    "invoice": "factuur factuurnummer facture rechnung rechnungsnummer invoice invoicenumber",
    "preferences": "voorkeur voorkeuren preference preferences einstellungen newsletter nieuwsbrief",
    "name": (
        "naam voornaam achternaam familienaam roepnaam nom prenom nomdefamille name vorname nachname familienname "
        "firstname lastname fullname surname givenname forename middlename initials contactname"
    ),
}
_CATEGORIES = {word: category for category, words in _WORDS.items() for word in words.split()}
_TOO_COMMON = frozenset({"name", "ort", "note", "notes", "message", "lat", "lon"})
"""Words that say something alone, or beside a word about people, and nothing as a part of another name."""
_THINGS = (
    "product table file company column server host domain event category type group project item track album genre "
    "bedrijf produit fichier societe firma produkt datei artikel"
)
_OF_THINGS = frozenset(_THINGS.split())


def hint_category(column_name: str) -> str | None:
    """Return the key of the data category that a column's name suggests, None where it suggests none.

    ``emailaddress1``, ``E-mail``, ``GeboorteDatum``, ``contact_iban`` and ``date de naissance`` are all understood.
    """
    words = _split(column_name)
    whole = re.sub(r"\d+$", "", "".join(words))
    if whole in _CATEGORIES:
        return _CATEGORIES[whole]
    if _OF_THINGS.intersection(words):
        return None
    # Two neighbouring words may be one of ours: "birth date", "ip address". Longer beats shorter.
    pairs = ["".join(pair) for pair in pairwise(words)]
    for word in (*pairs, *words):
        plain = re.sub(r"\d+$", "", word)
        if plain in _CATEGORIES and plain not in _TOO_COMMON:
            return _CATEGORIES[plain]
    return None


def _split(name: str) -> list[str]:
    """Return the words of a column's name, lower-case, without accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)).replace("ß", "ss")
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain.replace("E-mail", "Email"))
    return [word for word in re.split(r"[^A-Za-z0-9]+", spaced.lower().replace("e-mail", "email")) if word]
