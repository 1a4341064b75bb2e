"""Tables that live in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator.errors import DataError, reason_of

if TYPE_CHECKING:
    import pandas as pd


def read_database(url: str, query: str | None, table: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Read a query's rows, or a whole table; see `read_table`."""
    import pandas as pd
    import sqlalchemy
    from sqlalchemy import exc

    shown = without_password(url)
    try:
        engine = sqlalchemy.create_engine(url)
    except exc.ArgumentError:
        raise DataError(
            f"{shown}: is not an SQLAlchemy URL, which `query` and `table` need, e.g. sqlite:///file.db"
        ) from None
    except (exc.NoSuchModuleError, ImportError) as error:
        raise DataError(f"{shown}: the driver of this database is not installed ({error})") from None
    try:
        with engine.connect() as connection:
            if query is not None:
                # As a plain string: in `text(...)` a colon within quotes would be taken for a parameter.
                frame = pd.read_sql_query(query, connection)
            else:
                frame = pd.read_sql_table(str(table), connection)
    except (exc.SQLAlchemyError, pd.errors.DatabaseError) as error:
        reason = reason_of(getattr(error, "orig", None) or error)
        raise DataError(f"{shown}: the database refused: {reason}") from None
    except ValueError as error:
        raise DataError(f"{shown}: {error}") from None
    finally:
        engine.dispose()
    if query is not None and "order by" in query.lower():
        return frame, []
    # A database promises no order, and the splits follow the order of rows.
    order = pd.util.hash_pandas_object(frame.astype(str), index=False).argsort(kind="stable")
    return frame.iloc[order.to_numpy()], ["rows from the database put in a fixed order (the query names none)"]


def without_password(url: str) -> str:
    """Return a URL fit to be shown."""
    if "://" not in url:
        return url  # a path; SQLAlchemy takes long to import
    import sqlalchemy

    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url


def is_database(url: str) -> bool:
    """Whether a URL is of a database that SQLAlchemy knows by name (``postgresql+psycopg://...``)."""
    scheme = url.split("://", maxsplit=1)[0].split("+", maxsplit=1)[0]
    return scheme in {"sqlite", "postgresql", "postgres", "mysql", "mariadb", "oracle", "mssql", "duckdb", "snowflake",
                      "bigquery", "redshift", "trino", "clickhouse", "databricks"}  # fmt: skip
