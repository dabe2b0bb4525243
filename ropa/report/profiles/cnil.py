"""The CNIL's form of the "registre simplifié": a sheet "liste", and a form for each activity, in the CNIL's words.

Source: cnil.fr, "registre-traitement-simplifie.ods" (July 2019), blocks and rows as public copies have them; "Autres
catégories" comes from the CNIL's "registre de base". Each line of a form is a block, a row, a column and the answer, so
that the header is the first row and nothing is merged; CSV has the same lines, the form's reference in front. Where we
are a processor, a row says so that the template does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ropa.report.model import ActivityPart, Party, RecipientPart
from ropa.report.phrases import is_known, receiver
from ropa.report.profiles import keeping, notices, questions, record
from ropa.report.profiles.questions import Entry, FormView
from ropa.report.workbook import Cell, Table, Value
from ropa.vocabulary import measure_of

Line = tuple[str, str, str, Value | Cell]

_HEADS = ("Bloc", "Ligne", "Colonne", "Réponse")
_LIST = (
    *("Nom du traitement", "N° / RÉF", "Date de création de la fiche", "Dernière mise à jour de la fiche"),
    *("Finalité du traitement", "Données sensibles ? (Oui/non)"),
)
_NO_NAME = "\N{EN DASH}"
"""Where the template has no name for a row or a column."""
_OTHER = "Autres catégories"
_IDENTITY = "État civil, identité…"
_PRIVATE = "Vie personnelle"
_WORK = "Vie professionnelle"
_MONEY = "Informations d'ordre économique et financier"
_CONNECTION = "Données de connexion"
_LOCATION = "Données de localisation"
_NUMBER = "Numéro de Sécurité Sociale"

_FALLS = {
    _IDENTITY: ("name", "birth-date", "telephone", "email", "address", "photo", "identity-document", "language"),
    _PRIVATE: ("preferences", "correspondence", "chat", "social-handle"),
    _WORK: ("cv", "employment", "organisation-name"),
    _MONEY: ("bank-account", "invoice"),
    _CONNECTION: (
        *("ip-address", "cookie-id", "device", "browsing", "search-terms", "cross-site-behaviour"),
        *("credentials", "account"),
    ),
    _LOCATION: ("location",),
    _NUMBER: ("national-id",),
    _OTHER: (),
}
BOXES = {key: box for box, keys in _FALLS.items() for key in keys}
"""Into which row of "Catégories de données personnelles concernées" a category of the vocabulary falls."""

SENSITIVE = {
    "ethnic-origin": "Origine raciale ou ethnique",
    "political-opinion": "Opinions politiques",
    "religious-belief": "Convictions religieuses ou philosophiques",
    "trade-union": "Appartenance syndicale",
    "genetic": "Données génétiques",
    "biometric": "Données biométriques aux fins d'identifier une personne physique de manière unique",
    "health": "Données de santé",
    "sex-life": "Vie sexuelle ou orientation sexuelle",
    "criminal": "Condamnations pénales ou infractions",
}
"""Into which row of "Données sensibles"; a special category of the organisation's own has none, and is listed below."""

_TYPES = {
    "processor": "Sous-traitants",
    "controller": "Partenaires institutionnels ou commerciaux",
    "joint-controller": "Partenaires institutionnels ou commerciaux",
    "authority": "Partenaires institutionnels ou commerciaux",
}
_ACTORS = {
    "controller": "Responsable du traitement",
    "dpo": "Délégué à la protection des données",
    "representative": "Représentant",
    "joint-controller": "Responsable(s) conjoint(s)",
}
_KINDS = {"technical": "Technique", "organisational": "Organisationnelle"}


def table(view: FormView) -> Table:
    """Return every line of every form."""
    heads = ("N° / RÉF", "Nom du traitement", *_HEADS)
    rows = (
        (activity.key, activity.title or activity.key, *line)
        for activity in view.document.activities
        for line in lines(view, activity)
    )
    return Table("fiches", heads, rows)


def tables(view: FormView) -> Iterator[Table]:
    """Yield the list, and a sheet for each activity."""
    yield Table("liste", _LIST, (_listed(view, activity) for activity in view.document.activities))
    for activity in view.document.activities:
        yield Table(activity.title or activity.key, _HEADS, lines(view, activity))


def lines(view: FormView, activity: ActivityPart) -> Iterator[Line]:
    """Yield the lines of one form."""
    entries = questions.entries(view, activity)
    entry = entries[0]
    yield from _block("Description du traitement", _NO_NAME, _description(entry))
    yield from _actors(entry)
    yield from _purposes(entries)
    yield from _data(entries)
    yield from _sensitive(entries)
    yield from _subjects(entry)
    yield from _recipients(entry)
    yield from _measures(entry)
    yield from _transfers(entry)


def _block(block: str, row: str, answers: Iterable[tuple[str, Value | Cell]]) -> Iterator[Line]:
    for column, answer in answers:
        yield block, row, column, answer


def _listed(view: FormView, activity: ActivityPart) -> tuple[Value | Cell, ...]:
    entries = questions.entries(view, activity)
    is_sensitive = any(entry.is_sensitive for entry in entries)
    (_, name), (_, key), (_, created), (_, updated) = _description(entries[0])
    aims = questions.joined([record.purposes(entry) for entry in entries])
    return name, key, created, updated, aims, view.words("common.yes" if is_sensitive else "common.no")


def _description(entry: Entry) -> list[tuple[str, Cell]]:
    return [
        ("Nom du traitement", record.title(entry)),
        ("N° / RÉF", Cell(entry.activity.key)),
        ("Date de création du traitement", notices.created(entry)),
        ("Mise à jour du traitement", notices.updated(entry)),
    ]


def _actors(entry: Entry) -> Iterator[Line]:
    parties = entry.view.document.organisation.parties
    for role, row in _ACTORS.items():
        found = [party for party in parties if party.role == role]
        if role == "controller" and entry.is_processor:
            yield from _people(entry, "Sous-traitant", found)
            found = list(entry.activity.controllers)
        yield from _people(entry, row, found)
        if not found:
            nobody = entry.open("controllers") if role == "controller" else questions.nobody(entry.view, role)
            yield "Acteurs", row, "Nom", nobody
        if role == "dpo":
            yield "Acteurs", "Société du DPO", "Nom", entry.open("dpo_company") if found else entry.not_applicable()


def _people(entry: Entry, row: str, found: Sequence[Party]) -> Iterator[Line]:
    view = entry.view
    within = Cell(view.words("form.within_address"))
    for party in found:
        names = tuple(part for part in (party.name, party.legal_name, party.registration) if part)
        address = questions.detail(view, party.address)
        town = within if party.address else address
        country = questions.detail(view, view.country(party.country) if is_known(party.country) else None)
        answers = (
            *(("Nom", names), ("Adresse", address), ("Code Postal", town), ("Ville", town), ("Pays", country)),
            *(
                ("Téléphone", questions.detail(view, party.telephone)),
                ("Adresse mél", questions.detail(view, party.email)),
            ),
        )
        yield from _block("Acteurs", row, answers)


def _purposes(entries: Sequence[Entry]) -> Iterator[Line]:
    block = "Finalité(s) du traitement effectué"
    activity = entries[0].activity
    more = (purpose for entry in entries if entry.row for purpose in entry.row.purposes)
    first, *others = dict.fromkeys([*(activity.purposes or activity.processing), *more, ""])
    yield block, "Finalité principale", _NO_NAME, first or entries[0].open("purposes")
    for number, purpose in enumerate([one for one in others if one] or [None], 1):
        yield block, f"Sous-finalité {number}", _NO_NAME, purpose or entries[0].none()


def _data(entries: Sequence[Entry]) -> Iterator[Line]:
    block = "Catégories de données personnelles concernées"
    for box in _FALLS:
        yield from _kept(block, box, entries, [key for key in _keys(entries) if _box(key, entries) == box])


def _sensitive(entries: Sequence[Entry]) -> Iterator[Line]:
    block = "Données sensibles"
    keys = _keys(entries)
    for key, row in SENSITIVE.items():
        yield from _kept(block, row, entries, [key] if key in keys else [])
    for key in keys:
        if _box(key, entries) is None and key not in SENSITIVE:
            yield from _kept(block, entries[0].view.category(key), entries, [key])


def _keys(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(key for entry in entries for key in entry.categories))


def _box(key: str, entries: Sequence[Entry]) -> str | None:
    """The row of a category; None for a sensitive one."""
    is_sensitive = any(entry.is_sensitive for entry in entries if key in entry.categories)
    return None if is_sensitive else BOXES.get(key, _OTHER)


def _kept(block: str, row: str, entries: Sequence[Entry], keys: Sequence[str]) -> Iterator[Line]:
    """Which data fall into a row, and how long each group of them stays."""
    entry = entries[0]
    if not keys:
        is_open = not entry.categories
        yield block, row, "Description", entry.open("data") if is_open else entry.none()
        yield block, row, "Durée de conservation", entry.open("period") if is_open else entry.not_applicable()
        return
    yield block, row, "Description", tuple(entry.view.category(key) for key in keys)
    chosen = ((one, tuple(key for key in one.categories if key in keys)) for one in entries)
    limits = [keeping.limit(Entry(one.view, one.activity, one.row, own)) for one, own in chosen if own]
    yield block, row, "Durée de conservation", questions.joined(limits)


def _subjects(entry: Entry) -> Iterator[Line]:
    block = "Catégories de personnes concernées"
    for number, label in enumerate(entry.view.labels("subject", entry.activity.subjects), 1):
        yield block, f"Catégorie {number}", "Description", label
        yield block, f"Catégorie {number}", "Précisions", entry.none()
    if not entry.activity.subjects:
        yield block, "Catégorie 1", "Description", entry.open("subjects")
        yield block, "Catégorie 1", "Précisions", entry.none()


def _recipients(entry: Entry) -> Iterator[Line]:
    block, view = "Destinataires", entry.view
    keys = entry.activity.recipients
    for number, key in enumerate(keys, 1):
        row, found = f"Destinataire {number}", view.party(key)
        if found is None:
            is_unknown = not is_known(key)
            yield block, row, "Type de destinataire", entry.open("recipients") if is_unknown else view.recipient(key)
            yield block, row, "Précisions", entry.none()
            continue
        yield block, row, "Type de destinataire", _type(entry, found)
        yield block, row, "Précisions", receiver(view, key)
    if not keys:
        yield block, "Destinataire 1", "Type de destinataire", entry.open("recipients")
        yield block, "Destinataire 1", "Précisions", entry.none()


def _type(entry: Entry, found: RecipientPart) -> Value | Cell:
    return _TYPES.get(found.role or "") or entry.open("recipient_kind", name=found.name)


def _measures(entry: Entry) -> Iterator[Line]:
    block = "Mesures de sécurité"
    for number, (text, label) in enumerate(
        zip(entry.activity.measures, entry.view.measures(entry.activity.measures), strict=True), 1
    ):
        known = measure_of(text)
        kind = _KINDS.get(known.kind) if known else None
        yield block, f"Mesure {number}", "Type", kind or entry.open("measure_kind")
        yield block, f"Mesure {number}", "Précisions", label
    if not entry.activity.measures:
        yield block, "Mesure 1", "Type", entry.open("measures")
        yield block, "Mesure 1", "Précisions", entry.open("measures")


def _transfers(entry: Entry) -> Iterator[Line]:
    block, view = "Transferts hors UE", entry.view
    found = record.transferred(entry)
    for number, one in enumerate(found, 1):
        row = f"Organisme {number}"
        country = view.country(one.transfer_country) if is_known(one.transfer_country) else None
        proof = one.transfer_evidence
        yield block, row, "Destinataire", one.name
        yield block, row, "Pays", country or entry.open("transfer_country", name=one.name)
        yield block, row, "Garanties", record.safeguard(entry, one)
        yield block, row, "Documentation", proof or entry.open("transfer_evidence", name=one.name)
    if not found:
        yield block, "Organisme 1", "Destinataire", record.countries(entry)
