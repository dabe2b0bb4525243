"""How Alembic runs here: on a connection that ``ropa.database.migrate`` hands over, in one transaction.

For ``alembic revision --autogenerate`` a developer passes ``target_metadata`` (a MetaData or a list) in the attributes.
"""

from alembic import context

config = context.config


def run() -> None:
    connection = config.attributes.get("connection")
    if connection is None:
        msg = "migrations run through ropa.database.migrate, which opens the database"
        raise RuntimeError(msg)
    context.configure(
        connection=connection,
        target_metadata=config.attributes.get("target_metadata"),
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
