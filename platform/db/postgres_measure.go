package db

import (
	"context"

	"gorm.io/gorm"
)

// measure reports the server's process id only if the connection did not leave this machine.
func (p *postgres) measure(ctx context.Context, tenant string, _ *gorm.DB) (Measure, error) {
	m := Measure{Settings: map[string]string{}}
	err := p.sql.QueryRowContext(ctx, `SELECT current_setting('server_version'), pg_current_wal_lsn() - '0/0'::pg_lsn,
  (SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relnamespace = to_regnamespace($1)
  AND relkind = 'r'),
  CASE WHEN coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true)
    THEN pg_backend_pid() ELSE 0 END`,
		schemaOf(tenant)).Scan(&m.Version, &m.WALBytes, &m.DataBytes, &m.ServerPID)
	if err != nil {
		return m, err
	}
	for _, name := range []string{
		"fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size",
		"wal_compression",
	} {
		var value string
		if err := p.sql.QueryRowContext(ctx, `SELECT current_setting($1)`, name).Scan(&value); err != nil {
			return m, err
		}
		m.Settings[name] = value
	}
	return m, nil
}
