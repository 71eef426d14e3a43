"""The database: types that SQLite and PostgreSQL share, sessions, migrations."""
