package measure

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Hold keeps a snapshot of a Postgres database open in a connection of its own, as a backup does, until release is
// called.
func Hold(ctx context.Context, url string) (release func() error, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connect to hold a snapshot: %w", err)
	}
	// A snapshot is that of the first look.
	_, err = conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1 FROM pg_class LIMIT 1`)
	if err != nil {
		_ = conn.Close(ctx) // the first error says more
		return nil, fmt.Errorf("take a snapshot: %w", err)
	}
	return func() error { return conn.Close(context.WithoutCancel(ctx)) }, nil
}
