#!/bin/sh
# Runs once, when the database's volume is empty: a role and a database for Label Studio beside ours.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --set password="$LABEL_STUDIO_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE labelstudio LOGIN PASSWORD :'password';
CREATE DATABASE labelstudio OWNER labelstudio;
SQL
