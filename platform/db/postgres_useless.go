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

// useless reports whether an error says that its connection will never again do what this program needs: the server has become read-only
// (after a failover the old primary may be a standby), or ends the session (57P01 to 57P05, an idle session's timeout included). Whoever
// connects anew may reach the right server.
func useless(code string) bool { return code == readOnlyState || strings.HasPrefix(code, "57P") }

// closeUseless has the driver close a connection that an error shows to be useless, as it does after every fatal error. A pool replaces
// it. readOnly is told of a server that takes no writes: other connections to it are of no use either.
func closeUseless(config *pgconn.Config, readOnly func()) {
	fatal := config.OnPgError
	config.OnPgError = func(c *pgconn.PgConn, e *pgconn.PgError) bool {
		if e.Code == readOnlyState {
			readOnly()
		}
		return !useless(e.Code) && (fatal == nil || fatal(c, e))
	}
}

// keptFor is how long a reserved connection may live: it is made first and kept, for a server whose connections are all taken gives
// no other.
const keptFor = 365 * 24 * time.Hour

func (p *postgres) reservedMade() int64 { return p.made.Load() }

// letGo closes the idle connections of the pool for work, if an error says that the server has none left: the heartbeat needs one.
func (p *postgres) letGo(ctx context.Context, err error) {
	if sqlState(err) != tooManyState {
		return
	}
	for _, c := range p.pool.AcquireAllIdle(ctx) {
		_ = c.Conn().Close(ctx) // it is given up either way
		c.Release()
	}
}
