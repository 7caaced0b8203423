package db

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// useless reports whether an error says that its connection will never again do what this program needs: the server has become read-only
// (25006: after a failover the old primary may be a standby), or ends the session (57P01 to 57P05, an idle session's timeout included).
// Whoever connects anew may reach the right server.
func useless(code string) bool {
	return code == readOnlyState || strings.HasPrefix(code, "57P")
}

const (
	readOnlyState = "25006" // read_only_sql_transaction
	tooManyState  = "53300" // too_many_connections
)

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

// sessionSettings are what every session must have, each as the arguments of a SELECT set_config(…) with its condition.
//
// A commit that the server may forget after it has answered would let a task run twice, so a server, database or role that defaults to
// that is overruled; stricter values (remote_apply, remote_write) stay, and so does what the URL asks for.
func sessionSettings(asked map[string]string) (list []string) {
	if _, ok := asked["synchronous_commit"]; !ok && !strings.Contains(asked["options"], "synchronous_commit") {
		list = append(list, `set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')`)
	}
	return list
}

// prepareSessions has every new connection of a pool set up.
func prepareSessions(cfg *pgxpool.Config, readOnly func()) {
	closeUseless(&cfg.ConnConfig.Config, readOnly)
	settings := sessionSettings(cfg.ConnConfig.RuntimeParams)
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := fastArrays(ctx, conn); err != nil {
			return err
		}
		var batch strings.Builder
		for _, s := range settings {
			batch.WriteString("SELECT " + s + ";")
		}
		if batch.Len() == 0 {
			return nil
		}
		if _, err := conn.PgConn().Exec(ctx, batch.String()).ReadAll(); err != nil {
			return fmt.Errorf("set up the session: %w", err)
		}
		return nil
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
