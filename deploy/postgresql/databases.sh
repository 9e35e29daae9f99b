#!/bin/sh
# Run once by the image of PostgreSQL: the role, databases and parameters of docs/deployment.md.
set -eu
psql --username postgres --set ON_ERROR_STOP=1 --set password="$POSTGRES_PASSWORD" <<'END'
CREATE ROLE orders LOGIN PASSWORD :'password';
CREATE DATABASE orders OWNER orders;
CREATE DATABASE orders_read OWNER orders;
CREATE ROLE order_reports NOLOGIN;
END
echo "include '/etc/postgresql/orders.conf'" >> "$PGDATA/postgresql.conf"
