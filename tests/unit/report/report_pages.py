"""Documents that a page must stand: one of a register with nothing in it, and one in which every name is hostile."""

import leaves
import report_sample as sample

from ropa.register.text import from_toml
from ropa.report.model import Document

_SAMPLE = sample.document()

EMPTY = sample.document(
    register=from_toml('[organisation]\nname = "Niemand"\n'),
    standings=(),
    adherence=(),
    runs=(),
    findings=(),
    holds=(),
    evidence=None,
)

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "template": "{{7*7}}{% for x in doc %}",
    "format": "{n} {0.__class__} %s",
    "formula": '=HYPERLINK("http://evil.example","x")',
    "newline": "een\r\ntwee\x00drie",
    "style": "</style><style>*{display:none}</style><b>",
    "comment": "<!-- ]]> </title></script><script>alert(2)</script>",
    "css": "expression(alert(3));}@import url(//evil.example/x)",
    "long": "ø" * 2000,
    "direction": "\u202egnp.exe\u2066",
    "arabic": "شركة الأرشيف",
}

FREE = {
    *(("Party", name) for name in ("name", "legal_name", "registration", "address", "email", "telephone", "country")),
    *(
        ("OrganisationPart", name)
        for name in ("website", "authority", "policy_url", "policy_version", "policy_start", "own_systems", "languages")
    ),
    *(("RecipientPart", name) for name in ("name", "role", "country", "contact", "systems", "transfer_evidence")),
    *(("PlacePart", name) for name in ("title", "connector", "country")),
    *(("DatasetPart", name) for name in ("title", "source")),
    *(("TermPart", name) for name in ("anchor", "action", "conditions", "legal_ground", "reason")),
    *(
        ("RowPart", name)
        for name in ("purposes", "legal_reference", "interest", "source", "criterion", "stated_start", "stated_text")
    ),
    *(
        ("ActivityPart", name)
        for name in ("title", "description", "processing", "owner", "purposes", "legal_reference")
    ),
    *(
        ("ActivityPart", name)
        for name in (
            "interest",
            "subjects",
            "systems",
            "measures",
            "status",
            "source",
            "criterion",
            "stated_text",
            "policy_reference",
        )
    ),
    *(("CookiePart", name) for name in ("name", "setter", "purpose", "activity")),
    *(("Finding", name) for name in ("entry", "message", "fix", "code")),
    *(("HoldCount", name) for name in ("reason", "kind")),
    *(("Evidence", name) for name in ("origin", "root", "checkpoint_text", "problems")),
}


def hostile(*texts) -> Document:
    """The sample with every text that a person can write replaced; by each of several texts in turn."""
    document = _SAMPLE
    for i, (path, instance, _owner, name, kind) in enumerate(leaves.places(_SAMPLE)):
        if (type(instance).__name__, name) in FREE:
            text = texts[i % len(texts)]
            value = text if kind is str or kind == str | None else (text, f"{text}{i}")
            document = leaves.changed(document, path, name, value)
    return document
