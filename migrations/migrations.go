// Package migrations holds the schema of each database, one numbered file a step, applied by platform/db.
// Steps only go up: a step that has been released is never edited.
package migrations

import "embed"

// Postgres and SQLite are the steps of each dialect, under the folder of its name.
//
//go:embed postgres/*.sql
var Postgres embed.FS

// SQLite see Postgres.
//
//go:embed sqlite/*.sql
var SQLite embed.FS
