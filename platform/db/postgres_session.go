package db

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// setting is a parameter of a PostgreSQL session.
type setting struct{ name, value string }

// sessionSettings apply to every connection. They are sent with SET after connecting, because a pooler such as
// PgBouncer refuses most of them as startup parameters, or ignores them silently if it is configured to.
//
// The first group keeps new tables, which have no statistics, from plans that read whole tables: a generic plan made
// while a table was empty was 5 to 20 times slower (docs/adr/0002). Every statement finds its rows by an index, so a
// nested loop is right.
var sessionSettings = []setting{
	{"plan_cache_mode", "force_custom_plan"},
	{"enable_hashjoin", "off"},
	{"enable_mergejoin", "off"},
	{"enable_seqscan", "off"},
	{"enable_bitmapscan", "off"}, // a bitmap scan reads all that an index finds before a LIMIT applies
	{"jit", "off"},

	{"synchronous_commit", "on"}, // a commit that was reported survives a crash; see Transaction
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_deferrable", "off"},
	{"search_path", ""}, // an unqualified name fails, instead of reaching another tenant's table
	{"client_encoding", "UTF8"},
	{"timezone", "UTC"},
	{"datestyle", "ISO, MDY"},
	{"standard_conforming_strings", "on"},
}

// sessionSetup prepares the connections of a pool.
type sessionSetup struct {
	// transactionPooling says that a pooler assigns a server connection per transaction, so that settings last only
	// for a transaction.
	transactionPooling bool
	settings           []setting

	mu   sync.Mutex
	open map[string]*pgx.Conn // by server process
	of   map[*pgx.Conn]string
}

// newSessionSetup removes sluice's own parameter pool_mode from the configuration, and refuses a search_path.
func newSessionSetup(cfg *pgx.ConnConfig) (*sessionSetup, error) {
	s := &sessionSetup{open: map[string]*pgx.Conn{}, of: map[*pgx.Conn]string{}}
	params := cfg.RuntimeParams
	switch mode := params["pool_mode"]; mode {
	case "", "session":
	case "transaction":
		s.transactionPooling = true
		if cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
			// A prepared statement would belong to one server connection.
			cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		}
	default:
		return nil, fmt.Errorf("%w: unknown pool_mode %q: use session or transaction", ErrInvalidURL, mode)
	}
	delete(params, "pool_mode")
	if path := params["search_path"]; path != "" {
		return nil, fmt.Errorf(
			"%w: search_path %q is not supported: a tenant is a schema, so use --tenant (SLUICE_TENANT)", ErrInvalidURL,
			path)
	}
	if strings.Contains(params["options"], "search_path") {
		return nil, fmt.Errorf(
			"%w: search_path in options is not supported: a tenant is a schema, so use --tenant (SLUICE_TENANT)",
			ErrInvalidURL)
	}
	s.settings = slices.DeleteFunc(slices.Clone(sessionSettings), func(x setting) bool {
		_, given := params[x.name]
		return given && x.name == "synchronous_commit" // the user may choose another durability
	})
	if params["application_name"] == "" {
		params["application_name"] = "sluice"
	}
	return s, nil
}

// attach makes the pool prepare and register its connections.
func (s *sessionSetup) attach(cfg *pgxpool.Config) {
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := s.prepare(ctx, conn, ""); err != nil {
			return err
		}
		if err := s.register(ctx, conn); err != nil {
			return err
		}
		return registerTypes(ctx, conn)
	}
	cfg.BeforeClose = s.forget
}

// prepare sets the session's settings, with searchPath in place of the empty one. It refuses a database that is not
// UTF8, because it could not store every text.
func (s *sessionSetup) prepare(ctx context.Context, conn *pgx.Conn, searchPath string) error {
	if encoding := conn.PgConn().ParameterStatus("server_encoding"); encoding != "UTF8" {
		return fmt.Errorf("%w: the database's encoding is %s", ErrEncoding, encoding)
	}
	if s.transactionPooling {
		return nil // see local
	}
	var sql strings.Builder
	for _, x := range s.settings {
		value := quoteLiteral(x.value)
		if x.name == "search_path" && searchPath != "" {
			value = pgx.Identifier{searchPath}.Sanitize()
		}
		fmt.Fprintf(&sql, "SET %s = %s;", x.name, value)
	}
	if _, err := conn.PgConn().Exec(ctx, sql.String()).ReadAll(); err != nil {
		return fmt.Errorf("set the session's parameters: %w", err)
	}
	return nil
}

// local returns a statement that applies the settings to one transaction. It serves poolers that assign connections
// per transaction.
func (s *sessionSetup) local() string {
	calls := make([]string, len(s.settings))
	for i, x := range s.settings {
		calls[i] = fmt.Sprintf("set_config(%s, %s, true)", quoteLiteral(x.name), quoteLiteral(x.value))
	}
	return "SELECT " + strings.Join(calls, ", ")
}

// register refuses a connection if its server process already serves another connection of this pool. In that case a
// pooler assigns server connections per transaction, and the settings of one client would reach others.
func (s *sessionSetup) register(ctx context.Context, conn *pgx.Conn) error {
	if s.transactionPooling {
		return nil
	}
	var backend string
	err := conn.QueryRow(ctx,
		`SELECT pid::text || ' ' || backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()`,
		pgx.QueryExecModeSimpleProtocol).Scan(&backend)
	if err != nil {
		return fmt.Errorf("identify the server process: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.open[backend]; other != nil && other != conn {
		return ErrTransactionPooling
	}
	s.open[backend], s.of[conn] = conn, backend
	return nil
}

func (s *sessionSetup) forget(conn *pgx.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if backend, ok := s.of[conn]; ok {
		delete(s.of, conn)
		delete(s.open, backend)
	}
}

// quoteLiteral returns a constant of this package as an SQL literal.
func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
