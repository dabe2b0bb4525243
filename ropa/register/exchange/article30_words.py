"""How spreadsheets name the columns of Art. 30, in four languages, and the words whose meaning is certain.

Invariant: a heading or a word is recognised only when it equals one that is listed here, articles and words such as
"categories of" apart; what merely resembles one is not recognised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from ropa.vocabulary import LANGUAGES, categories, iso_countries, plain, safeguards, subjects
from ropa.vocabulary.terms import Term

COLUMNS: Mapping[str, str] = {
    "title": "business function|business process|name of processing activity|processing activity|activity|process|name"
    "|title|processing operation|verwerkingsactiviteit|naam verwerkingsactiviteit|naam van de verwerking|verwerking"
    "|bedrijfsproces|proces|naam|activiteit|nom de l'activite|nom du traitement|activite|activite de traitement"
    "|traitement|intitule|denomination|verarbeitungstatigkeit|bezeichnung der verarbeitungstatigkeit|bezeichnung"
    "|name der verarbeitung|verarbeitung|verfahren",
    "purposes": "purposes of the processing|purpose of processing|purposes|purpose|processing purposes|doeleinden"
    "|doel|doeleinde|verwerkingsdoeleinden|verwerkingsdoel|doel van de verwerking|verwerkingsdoel(einden)"
    "|finalites du traitement|finalite du traitement|finalites|finalite|objectifs poursuivis|objectif|objectifs"
    "|finalite(s) du traitement|finalite(s)|zwecke der verarbeitung|zweck der verarbeitung|zwecke|zweck"
    "|verarbeitungszweck|verarbeitungszwecke",
    "subjects": "data subjects|data subject|individuals|persons|people concerned|betrokkenen|betrokkene|personen"
    "|personnes concernees|personne concernee|personnes|betroffene personen|betroffene|betroffener personen"
    "|personengruppen|betroffenengruppen|betroffene personengruppen",
    "data": "personal data|data|categories of data|data categories|persoonsgegevens|gegevens|gegevenscategorieen"
    "|donnees a caractere personnel|donnees personnelles|donnees|donnees collectees|categories de donnees"
    "|donnees personnelles concernees|personenbezogene daten|personenbezogener daten|daten|datenkategorien"
    "|datenarten",
    "recipients": "recipients|recipient|recipients of personal data|recipients to whom personal data are disclosed"
    "|ontvangers|ontvanger|ontvangers van persoonsgegevens|destinataires|destinataire|organismes externes|empfanger"
    "|empfangern",
    "abroad": "recipients in third countries|name of recipients in third countries|recipient in third country"
    "|third country recipients|ontvangers in derde landen|naam van ontvangers in derde landen"
    "|destinataires dans des pays tiers|noms des destinataires dans des pays tiers|empfanger in drittlandern"
    "|namen der empfanger in drittlandern",
    "countries": "international recipient country|third countries|third country|country|third countries or"
    " international organisations|third countries or international organisations that personal data are transferred"
    " to|transfers to third countries|transfers|transfer to third countries|recipient country|derde landen|derde land"
    "|land|doorgifte|doorgiften|doorgifte aan derde landen|doorgiften aan derde landen"
    "|derde landen of internationale organisaties|pays tiers|pays|transferts|transferts hors ue|transfert hors ue"
    "|transferts vers des pays tiers|pays tiers ou organisations internationales|drittlander|drittland|staat"
    "|ubermittlung in drittlander|ubermittlungen in drittlander|ubermittlungen an drittlander"
    "|drittlander oder internationale organisationen|drittstaaten",
    "safeguards": "suitable safeguards|documentation of suitable safeguards|safeguards|appropriate safeguards"
    "|transfer safeguards|safeguards for exceptional transfers of personal data to third countries or international"
    " organisations|passende waarborgen|documentatie van de passende waarborgen|waarborgen|garanties appropriees"
    "|documents attestant de l'existence de garanties appropriees|garanties|geeignete garantien|garantien"
    "|dokumentierung geeigneter garantien|dokumentation geeigneter garantien",
    "period": "time limits for erasure of the different categories of data|envisaged time limits for erasure"
    "|time limits for erasure|time limits|time limit|retention|retention period|retention periods|retention schedule"
    "|storage period|storage duration|retention time|bewaartermijn|bewaartermijnen|bewaarperiode"
    "|beoogde termijnen waarbinnen de gegevens moeten worden gewist|termijnen voor het wissen|wistermijnen"
    "|duree de conservation|durees de conservation|delais prevus pour l'effacement|delai de conservation"
    "|delais de conservation|delais prevus pour l'effacement des differentes categories de donnees|loschfristen"
    "|loschfrist|fristen fur die loschung|vorgesehene fristen fur die loschung der verschiedenen datenkategorien"
    "|speicherdauer|aufbewahrungsfrist|aufbewahrungsfristen|aufbewahrungsdauer",
    "measures": "technical and organisational security|technical and organisational security measures"
    "|technical and organisational measures|security measures|security|measures|technical and organizational measures"
    "|technical and organizational security measures|beveiligingsmaatregelen|beveiliging|maatregelen"
    "|technische en organisatorische beveiligingsmaatregelen|technische en organisatorische maatregelen"
    "|mesures de securite|securite|mesures de securite techniques et organisationnelles|mesures"
    "|mesures techniques et organisationnelles|technische und organisatorische massnahmen"
    "|technischen und organisatorischen massnahmen|technisch-organisatorische massnahmen|massnahmen|sicherheit"
    "|sicherheitsmassnahmen|tom|toms",
    "processing": "categories of processing|categories of processing carried out on behalf of each controller"
    "|categorieen van verwerkingen|categories de traitements|kategorien von verarbeitungen",
    "controllers": "controllers|controllers on whose behalf we act|verwerkingsverantwoordelijken"
    "|responsables du traitement|verantwortlichen|auftraggeber",
    "controller": "controller|name and contact details of the controller|name of controller|data controller"
    "|verwerkingsverantwoordelijke|naam en contactgegevens van de verwerkingsverantwoordelijke"
    "|responsable du traitement|responsable de traitement|nom et coordonnees du responsable du traitement"
    "|verantwortlicher|name und kontaktdaten des verantwortlichen|der verantwortliche",
    "legal_basis": "legal basis|lawful basis|article 6 lawful basis for processing personal data|lawful basis for"
    " processing|legal ground|rechtsgrond|rechtsgrondslag|grondslag|verwerkingsgrond|base legale|base juridique"
    "|fondement juridique|rechtsgrundlage",
    "condition": "article 9 condition for processing special category data|condition for special categories",
    "interest": "legitimate interests for the processing|legitimate interests|gerechtvaardigd belang"
    "|interet legitime|interets legitimes|berechtigtes interesse|berechtigte interessen",
    "source": "source of the personal data|source|source of data|bron|bron van de gegevens|source des donnees"
    "|datenquelle|quelle|herkunft der daten",
    "owner": "owner|process owner|eigenaar|proceseigenaar|verantwoordelijke dienst|service responsable"
    "|fachbereich|ansprechpartner",
    "systems": "systems|system|software|application|applications|systemen|systeem|toepassing|toepassingen|logiciel"
    "|logiciels|nom du logiciel ou de l'application|systeme|anwendung|anwendungen",
}
"""What a column holds, with its headings as ``plain`` writes them."""

PARTIES: Mapping[str, str] = {
    "organisation": "controller|data controller|organisation|organization|company|verwerkingsverantwoordelijke"
    "|organisatie|onderneming|responsable du traitement|responsable de traitement|organisme|verantwortlicher"
    "|unternehmen|name of controller|naam verwerkingsverantwoordelijke|name of organisation",
    "dpo": "dpo|data protection officer|fg|functionaris voor gegevensbescherming|functionaris gegevensbescherming"
    "|dpd|delegue a la protection des donnees|dsb|datenschutzbeauftragter|datenschutzbeauftragte",
    "representative": "representative|vertegenwoordiger|representant|vertreter",
}
DETAILS: Mapping[str, str] = {
    "name": "name|naam|nom",
    "address": "address|postal address|adres|adresse|anschrift|postanschrift",
    "email": "email|e-mail|email address|e-mail address|e-mailadres|adresse mel|adresse e-mail|courriel|e-mail-adresse",
    "telephone": "telephone|phone|telephone number|phone number|telefoon|telefoonnummer|numero de telephone|telefon"
    "|telefonnummer",
    "website": "website|site web|webseite",
    "registration": "company number|registration number|ondernemingsnummer|kbo-nummer|numero d'entreprise|siret",
}

NONE = frozenset(
    {"nil", "none", "no", "n/a", "na", "not applicable", "-", "/", "geen", "nihil", "nvt", "n.v.t."}
    | {"niet van toepassing"}
    | {"neant", "aucun", "aucune", "non", "sans objet", "keine", "keiner", "nein", "entfallt", "nicht zutreffend"}
)  # fmt: skip
UNCLEAR = frozenset({"unknown", "onbekend", "inconnu", "unbekannt", "?", "tbd", "tbc"})

_SUBJECTS = {
    "customers": "customer", "clients": "customer", "client": "customer", "klanten": "customer", "kunden": "customer",
    "employees": "employee", "staff": "employee", "werknemers": "employee", "werknemer": "employee",
    "medewerkers": "employee", "personeel": "employee", "personeelsleden": "employee", "salaries": "employee",
    "employes": "employee", "personnel": "employee", "beschaftigte": "employee", "mitarbeiter": "employee",
    "applicants": "applicant", "job applicants": "applicant", "sollicitanten": "applicant", "bewerber": "applicant",
    "candidats a un emploi": "applicant", "prospects": "prospect", "interessenten": "prospect",
    "suppliers": "supplier", "leveranciers": "supplier", "fournisseurs": "supplier", "lieferanten": "supplier",
    "website visitors": "visitor", "visitors of the website": "visitor", "websitebezoekers": "visitor",
    "bezoekers van de website": "visitor", "visiteurs du site web": "visitor", "websitebesucher": "visitor",
    "users": "user", "gebruikers": "user", "utilisateurs": "user", "nutzer": "user",
    "children": "child", "kinderen": "child", "enfants": "child", "kinder": "child",
    "newsletter subscribers": "subscriber", "abonnees van de nieuwsbrief": "subscriber",
    "abonnes a la newsletter": "subscriber", "newsletter-abonnenten": "subscriber",
}  # fmt: skip
_CATEGORIES = {
    "names": "name", "namen": "name", "noms": "name", "email": "email", "e-mail": "email", "email address": "email",
    "email addresses": "email", "e-mail addresses": "email", "e-mailadressen": "email", "courriel": "email",
    "phone number": "telephone", "phone": "telephone", "telephone": "telephone", "telefoon": "telephone",
    "telefon": "telephone", "birth date": "birth-date", "postal address": "address", "ip addresses": "ip-address",
    "bank account": "bank-account", "curriculum vitae": "cv", "lebenslauf": "cv",
}  # fmt: skip

_LONGEST_HEADING = 300
_MOST_HEADINGS = 256
_BRACKETED = re.compile(r"\([^()]*\)")
_NOT_WORD = re.compile(r"[^\w]+")
_GRAMMAR = (
    "the|a|an|of|for|to|in|on|by|with|and|or|de|het|een|van|voor|en|aan|bij|met|le|la|les|l|d|des|du|au|aux|pour|par|et"
    "|ou|der|die|das|dem|den|ein|eine|einer|fur|von|und|oder|im|zur|zum|s"
)
_VAGUE = (
    "categories|category|description|general|different|envisaged|kinds|types|type|name|names|details|list|categorie"
    "|categorieen|beschrijving|algemene|soorten|soort|beoogde|verschillende|generale|prevus|prevues|differentes|noms|nom"
    "|kategorien|kategorie|beschreibung|allgemeine|vorgesehene|vorgesehenen|verschiedenen|gdpr|avg|rgpd|dsgvo|art"
    "|article|artikel"
)
"""Words that a heading may have or not, without meaning something else."""


def column_of(heading: str) -> str | None:
    """Return which of ``COLUMNS`` a heading means; None where it is none of them."""
    if len(heading) > _LONGEST_HEADING:
        return None
    return _recognised(heading, "columns")


def recognised(row: Sequence[object]) -> int:
    """Return how many columns a row names, if it is the headings; 0 where neither purposes nor data are among them."""
    named = {column_of(cell) for cell in row[:_MOST_HEADINGS] if isinstance(cell, str)} - {None}
    return len(named) if named & {"purposes", "data", "processing"} else 0


def party_of(text: str) -> str | None:
    """Return whose details a label above the table announces: ``organisation``, ``dpo`` or ``representative``."""
    return _table("parties").get(_words(text))


def detail_of(text: str) -> str | None:
    """Return which detail a label above the table announces, as a key of the register."""
    return _table("details").get(_words(text))


def subject_of(text: str) -> str | None:
    """Return the category of data subjects that a wording is, exactly."""
    return _labels("subject").get(plain(text))


def category_of(text: str) -> str | None:
    """Return the data category that a wording is, exactly."""
    return _labels("category").get(plain(text))


def safeguard_of(text: str) -> str | None:
    """Return the transfer mechanism that a wording is, exactly."""
    return _labels("safeguard").get(plain(text))


def country_of(text: str) -> str | None:
    """Return the code of a country by its code or its name in one of our languages."""
    stripped = text.strip()
    return stripped if stripped in iso_countries() else _countries().get(plain(text))


def _recognised(heading: str, name: str) -> str | None:
    words = _words(heading)
    if not words:
        return None
    table, loose = _table(name), _loose_table(name)
    bare = _words(_BRACKETED.sub(" ", heading))
    return table.get(words) or table.get(bare) or loose.get(_meant(words)) or loose.get(_meant(bare))


def _words(text: str) -> frozenset[str]:
    found = _NOT_WORD.split(plain(text.replace("ß", "ss")))
    return frozenset(found) - {*_GRAMMAR.split("|"), ""}


def _meant(words: frozenset[str]) -> frozenset[str]:
    """Without numbers of articles and words that say nothing."""
    return frozenset(word for word in words - {*_VAGUE.split("|")} if len(word) > 1 and not any(map(str.isdigit, word)))


@cache
def _table(name: str) -> Mapping[frozenset[str], str]:
    listed = {"columns": COLUMNS, "parties": PARTIES, "details": DETAILS}[name]
    return {_words(one): key for key, many in listed.items() for one in many.split("|")}


@cache
def _loose_table(name: str) -> Mapping[frozenset[str], str]:
    """The same without words that say nothing; what would then mean two things is left out."""
    found: dict[frozenset[str], set[str]] = {}
    for words, key in _table(name).items():
        found.setdefault(_meant(words), set()).add(key)
    return {words: next(iter(keys)) for words, keys in found.items() if words and len(keys) == 1}


@cache
def _labels(kind: str) -> Mapping[str, str]:
    sources: Mapping[str, Mapping[str, Term]]
    sources = {"subject": subjects(), "category": categories(), "safeguard": safeguards()}
    terms = sources[kind]
    found = dict({"subject": _SUBJECTS, "category": _CATEGORIES}.get(kind, {}))
    for key, term in terms.items():
        for one in (key, key.replace("-", " "), *(term.labels[language] for language in LANGUAGES)):
            found[plain(one)] = key
    return found


@cache
def _countries() -> Mapping[str, str]:
    from babel import Locale

    found = {}
    for language in LANGUAGES:
        for code, name in Locale.parse(language).territories.items():
            if code in iso_countries():
                found[plain(name)] = code
    return found
