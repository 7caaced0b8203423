package db

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	readOnlyState = "25006" // read_only_sql_transaction
	tooManyState  = "53300" // too_many_connections
)

// useless reports whether an error code means that its connection will not work again: the server has become
// read-only (after a failover the old primary may be a standby), or it ends the session (57P01 to 57P05, which
// include an idle session's timeout). A new connection may reach the right server.
func useless(code string) bool { return code == readOnlyState || strings.HasPrefix(code, "57P") }

// closeUseless makes the driver close a connection after an error that shows it to be useless, as it does after every
// fatal error. The pool then replaces it. readOnly is called when the server accepts no writes, because other
// connections to it are useless too.
func closeUseless(config *pgconn.Config, readOnly func()) {
	fatal := config.OnPgError
	config.OnPgError = func(c *pgconn.PgConn, e *pgconn.PgError) bool {
		if e.Code == readOnlyState {
			readOnly()
		}
		return !useless(e.Code) && (fatal == nil || fatal(c, e))
	}
}

// keptFor is the maximum lifetime of a reserved connection. It is practically unlimited, because a server whose
// connections are all in use would not accept a replacement.
const keptFor = 365 * 24 * time.Hour

func (p *postgres) reservedMade() int64 { return p.made.Load() }

// letGo closes the idle connections of the pool for work if an error says that the server has no connection left. The
// heartbeat needs one.
func (p *postgres) letGo(ctx context.Context, err error) {
	if sqlState(err) != tooManyState {
		return
	}
	for _, c := range p.pool.AcquireAllIdle(ctx) {
		_ = c.Conn().Close(ctx) // the connection is discarded in any case
		c.Release()
	}
}
