package db

import (
	"context"
	"database/sql"
	"errors"
)

// openSessions lists who has a transaction open, one row each, with the columns of Session.
const openSessions = `(SELECT 'session' AS kind, pid, NULL AS name, datname::text AS database,
  usename::text AS "user", application_name AS application,
    state, xact_start AS since, CASE WHEN state IS NOT NULL THEN left(query, 120) END AS query,
    greatest(age(backend_xid), age(backend_xmin))::bigint AS age, NULL::text AS vxid
  FROM pg_stat_activity WHERE (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL) AND pid <> pg_backend_pid()
  UNION ALL SELECT 'prepared', 0, gid, database::text, owner::text, NULL, 'prepared', prepared,
  NULL, age(transaction)::bigint, '-1/' || transaction
  FROM pg_prepared_xacts
  UNION ALL SELECT 'slot', 0, slot_name::text,
  database::text, NULL, NULL, CASE WHEN active THEN 'active' ELSE 'inactive' END, NULL, NULL,
    greatest(age(xmin), age(catalog_xmin))::bigint, NULL
  FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL) AS s`

const sessionColumns = `s.kind, s.pid, s.name, s.database, s."user", s.application, s.state, s.since, s.query, ` +
	`coalesce(s.age, 0)`

func (p *postgres) openTransactions(ctx context.Context, tenant, table string) (h OpenTransactions, err error) {
	h.Blocking, err = p.sessions(ctx, `SELECT `+sessionColumns+` FROM `+openSessions+` WHERE EXISTS (
  SELECT 1 FROM pg_locks AS l WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
  AND l.relation = $1::regclass
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.pid = s.pid OR l.pid IS NULL AND l.virtualtransaction = s.vxid))
ORDER BY s.since NULLS FIRST, s.age DESC LIMIT 20`, p.table(tenant, table))
	if err != nil {
		return h, err
	}
	h.OldestSnapshot, err = p.sessions(ctx, `SELECT `+sessionColumns+` FROM `+openSessions+
		` ORDER BY coalesce(s.age, 0) DESC, s.since LIMIT 3`)
	return h, err
}

func (p *postgres) sessions(ctx context.Context, query string, args ...any) (list []Session, err error) {
	rows, err := p.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	list = []Session{}
	for rows.Next() {
		var s Session
		err := rows.Scan(&s.Kind, &s.PID, &s.Name, &s.Database, &s.User, &s.Application, &s.State, &s.Since, &s.Query,
			&s.Age)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

func (p *postgres) storage(ctx context.Context, tenant, table string) (s Storage, err error) {
	err = p.sql.QueryRowContext(ctx, `SELECT n_live_tup, n_dead_tup, greatest(last_vacuum, last_autovacuum)
FROM pg_stat_all_tables WHERE relid = $1::regclass`, p.table(tenant, table)).Scan(&s.LiveRows, &s.DeadRows, &s.Vacuumed)
	if errors.Is(err, sql.ErrNoRows) {
		return Storage{}, nil // no statistics yet
	}
	return s, err
}
