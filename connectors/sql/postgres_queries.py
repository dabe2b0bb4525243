"""The questions put to pg_catalog. Invariant: nothing is written into them; ``%s`` is a list of tables (oids)."""

from __future__ import annotations

_SYSTEM = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

RELATIONS = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relispartition
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_SYSTEM}
"""  # noqa: S608 - a constant
"""oid, schema, name, kind, whether it is a partition."""

INHERITANCE = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits"
"""child, parent: of partitions, of their indexes, and of tables with INHERITS."""

# A foreign key of a partitioned table has rows for its partitions as well; kept is the one that was declared.
FOREIGN_KEYS = """
SELECT c.conrelid, c.conkey::text, c.confrelid, c.confkey::text, c.confdeltype::text
FROM pg_catalog.pg_constraint c
WHERE c.contype = 'f' AND c.conparentid = 0
ORDER BY c.conrelid, c.conname, c.oid
"""
"""table, its columns, the other table, its columns, action."""

COLUMNS = """
SELECT a.attrelid, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod,
       a.attnotnull, a.attgenerated <> '' OR a.attidentity = 'a',
       CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) ELSE '' END
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY (%s::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
"""
"""table, number, name, type as shown, type, modifier, NOT NULL, generated, and by what."""

TYPES = """
WITH RECURSIVE used AS (
    SELECT DISTINCT a.atttypid AS oid FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = ANY (%s::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT t.typbasetype FROM pg_catalog.pg_type t JOIN used u ON t.oid = u.oid WHERE t.typtype = 'd'
)
SELECT t.oid, n.nspname, t.typname, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname),
       t.typtype = 'd', t.typtype = 'e',
       t.typcategory NOT IN ('A', 'C') AND (t.typcategory <> 'U' OR EXISTS (
           SELECT FROM pg_catalog.pg_operator o WHERE o.oprname = '>' AND o.oprleft = t.oid AND o.oprright = t.oid)),
       t.typbasetype, t.typtypmod, t.typnotnull,
       (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)::text
        FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
FROM pg_catalog.pg_type t JOIN used u ON u.oid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
"""
"""oid, schema, name, quoted name, is a domain, an enum, has an order and is no array or row; of a domain its base,
modifier and NOT NULL; labels."""

INDEXES = """
SELECT i.indrelid, i.indkey::text, i.indnkeyatts, i.indisunique, i.indisprimary,
       i.indpred IS NULL AND i.indisvalid AND i.indisready, m.amname,
       CASE WHEN i.indpred IS NULL AND i.indexprs IS NULL AND NOT i.indisexclusion THEN ''
       ELSE pg_catalog.pg_get_indexdef(i.indexrelid) END,
       c.relname, i.indisexclusion,
       CASE WHEN i.indisexclusion OR i.indisunique AND (o.tells_no_nulls_apart OR i.indpred IS NOT NULL
                                                        OR i.indexprs IS NOT NULL)
       THEN 'NOT (' || coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid), 'true') || ')'
            || CASE WHEN o.tells_no_nulls_apart THEN '' ELSE pg_catalog.array_to_string(ARRAY(
                   SELECT ' OR (' || pg_catalog.pg_get_indexdef(i.indexrelid, n, true) || ') IS NULL'
                   FROM pg_catalog.generate_series(1, i.indnkeyatts) n), '') END
       ELSE '' END
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam
CROSS JOIN LATERAL (
    SELECT coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS tells_no_nulls_apart
) o
WHERE i.indrelid = ANY (%s::pg_catalog.oid[])
ORDER BY i.indrelid, i.indexrelid
"""
"""table, columns (0: an expression), how many of them are its key, unique, primary, covers the whole table, method,
and how it was made where it is about some of the rows or something computed, or an exclusion constraint; name; whether
it is one; and what holds of a row that can never be one too many for it."""

# tgtype: bit 3 is DELETE, bit 4 UPDATE. Disabled triggers and those of a replica do not run for us; those made for
# foreign keys are known as such; those a partition has from its table are told there.
TRIGGERS = """
SELECT t.tgrelid, c.relname, t.tgname, t.tgfoid, t.tgtype & 8 <> 0, t.tgtype & 16 <> 0, t.tgtype & 4 <> 0
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 28 <> 0 AND t.tgparentid = 0
ORDER BY t.tgrelid, t.tgname
"""
"""Of all tables and views: it, its name, the trigger's, function, whether it runs on deletion, change, insertion."""

WRITTEN_BY = """
SELECT i.inhrelid, c.oid, c.relname FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhparent
UNION
SELECT k.conrelid, c.oid, c.relname FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.confrelid
WHERE k.contype = 'f' AND k.confupdtype IN ('c', 'n', 'd')
UNION
SELECT d.refobjid, c.oid, c.relname
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.refobjid <> r.ev_class AND d.refobjid >= 16384 AND c.relkind = 'v'
"""
"""A table or view, and another, with its name, by which it is written to: what it is a part of, what its keys follow, a
view over it."""

RULES = """
SELECT r.ev_class, c.relname, r.rulename, r.is_instead, pg_catalog.pg_get_ruledef(r.oid), r.ev_type
FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
WHERE c.oid >= 16384 AND r.ev_type IN ('2', '3', '4') AND r.ev_enabled IN ('O', 'A')
ORDER BY r.ev_class, r.rulename
"""
"""Of all tables and views: it, its name, the rule's, INSTEAD, definition, and what it is about: change (2), insertion
(3), deletion (4)."""

# A domain's CHECK stands for each column of that domain (also of a domain made of it); MATCH FULL asks that all columns
# of a reference are NULL or none.
CHECKS = """
WITH RECURSIVE domains AS (
    SELECT a.attrelid, a.attnum, a.atttypid AS oid FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = ANY (%s::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT d.attrelid, d.attnum, t.typbasetype FROM domains d JOIN pg_catalog.pg_type t ON t.oid = d.oid
    WHERE t.typtype = 'd'
)
SELECT c.conrelid AS of_table, c.conname, c.conkey::text, pg_catalog.pg_get_expr(c.conbin, c.conrelid)
FROM pg_catalog.pg_constraint c WHERE c.contype = 'c' AND c.conrelid IN (SELECT attrelid FROM domains)
UNION ALL
SELECT d.attrelid, c.conname, '{' || d.attnum || '}', pg_catalog.pg_get_constraintdef(c.oid)
FROM pg_catalog.pg_constraint c JOIN domains d ON c.contypid = d.oid
WHERE c.contype = 'c'
UNION ALL
SELECT c.conrelid, c.conname, c.conkey::text,
       'pg_catalog.num_nulls('
       || pg_catalog.array_to_string(pg_catalog.array_agg(pg_catalog.quote_ident(a.attname)), ', ')
       || ') IN (0, ' || pg_catalog.count(*) || ')'
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
WHERE c.contype = 'f' AND c.confmatchtype = 'f' AND c.conrelid IN (SELECT attrelid FROM domains)
GROUP BY c.oid, c.conrelid, c.conname, c.conkey::text
ORDER BY 1, 2, 3
"""
"""table, name, columns, expression."""

FUNCTIONS = """
SELECT p.oid, n.nspname, p.proname, p.prosrc,
       pg_catalog.to_jsonb(p) ->> 'prosqlbody' IS NOT NULL, l.lanname
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE p.oid >= 16384 AND p.prokind IN ('f', 'p') AND l.lanname NOT IN ('internal', 'c')
"""

"""oid, schema, name, text, whether its body is parsed SQL (since version 14), language."""

BODIES = """
SELECT p.oid, pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc p
WHERE p.oid >= 16384 AND p.prokind IN ('f', 'p') AND p.prosrc = ''
"""


def _print(rows: str, oid: str = "x.oid", *, weight: str = "1") -> str:
    """Return the question for a fingerprint of rows of pg_catalog: how many, and a sum over what each is hashed to."""
    number = f"({oid}::bigint << 32) | x.xmin::text::bigint"
    return f"(SELECT pg_catalog.count(*) || '.' || sum(pg_catalog.hashint8({number})::bigint * {weight}) FROM {rows})"  # noqa: S608 - constants


_VERSIONED = (
    _print("tables x"),
    _print(
        "pg_catalog.pg_attribute x JOIN tables t ON t.oid = x.attrelid WHERE x.attnum > 0",
        "x.attrelid",
        weight="x.attnum",
    ),
    _print("pg_catalog.pg_index x JOIN tables t ON t.oid = x.indrelid", "x.indexrelid"),
    _print(
        "pg_catalog.pg_constraint x LEFT JOIN tables t ON t.oid = x.conrelid"
        " WHERE x.oid >= 16384 AND (t.oid IS NOT NULL OR x.conrelid = 0)"
    ),
    _print("pg_catalog.pg_trigger x JOIN tables t ON t.oid = x.tgrelid"),
    _print("pg_catalog.pg_rewrite x JOIN tables t ON t.oid = x.ev_class"),
    _print("pg_catalog.pg_proc x WHERE x.oid >= 16384"),
    _print("pg_catalog.pg_namespace x WHERE x.nspname !~ '^pg_'"),
)

# Rows of pg_catalog are written anew when a definition changes, and then have another xmin. Temporary tables of others
# come and go all day and are left out.
VERSION = f"""
WITH tables AS MATERIALIZED (
    SELECT c.oid, c.xmin FROM pg_catalog.pg_class c
    WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
)
SELECT {", ".join(_VERSIONED)}
"""  # noqa: S608 - constants
